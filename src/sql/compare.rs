//! Whether two texts say the same, and where they differ: in words and signs, without white space and comments.

use super::dialect::StreamDialect;
use super::place::LineIndex;
use sqlparser::tokenizer::{Token, Tokenizer};

/// How many words of what is the same stand around a difference.
const AROUND: usize = 4;
/// Texts whose lengths multiply to more than this are not compared word by word.
const MOST: usize = 4_000_000;

/// A word or sign.
struct Piece<'a> {
    text: &'a str,
    token: Token,
    /// White space or a comment stands before it.
    apart: bool,
}

impl Piece<'_> {
    fn same(&self, other: &Self) -> bool {
        match (&self.token, &other.token) {
            (Token::Word(a), Token::Word(b)) if a.quote_style.is_none() && b.quote_style.is_none() => {
                a.value.eq_ignore_ascii_case(&b.value)
            }
            (a, b) => a == b,
        }
    }
}

/// The words and signs of a text; `None` where it holds what is none.
fn pieces(text: &str) -> Option<Vec<Piece<'_>>> {
    let index = LineIndex::new(text);
    let mut apart = false;
    let mut pieces = Vec::new();
    for token in Tokenizer::new(&StreamDialect, text).tokenize_with_location().ok()? {
        match token.token {
            Token::Whitespace(_) => apart = true,
            Token::EOF => {}
            _ => {
                let text = &text[index.range(token.span)?];
                pieces.push(Piece { text, token: token.token, apart: std::mem::take(&mut apart) });
            }
        }
    }
    Some(pieces)
}

fn joined(pieces: &[Piece<'_>]) -> String {
    let mut text = String::new();
    for piece in pieces {
        if piece.apart && !text.is_empty() {
            text.push(' ');
        }
        text.push_str(piece.text);
    }
    text
}

/// A text with single spaces between its words, and without comments.
pub fn normalized(text: &str) -> String {
    match pieces(text) {
        Some(pieces) => joined(&pieces),
        None => text.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

/// Whether two texts have the same words and signs; unquoted words in any case.
pub fn same_text(a: &str, b: &str) -> bool {
    match (pieces(a), pieces(b)) {
        (Some(a), Some(b)) => a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.same(b)),
        _ => a == b,
    }
}

/// Where two texts differ: pairs of lines, what stands in the old one and what in the new one, with some words around.
pub fn text_changes(old: &str, new: &str) -> Vec<(String, String)> {
    let (Some(old_pieces), Some(new_pieces)) = (pieces(old), pieces(new)) else {
        return vec![(old.to_string(), new.to_string())];
    };
    let (a, b) = (old_pieces.as_slice(), new_pieces.as_slice());
    let mut kept = kept(a, b);
    kept.push((a.len(), b.len()));
    // The stretches between what is kept; those that come close to each other as one.
    let mut hunks: Vec<[usize; 4]> = Vec::new();
    let (mut i, mut j) = (0, 0);
    for (x, y) in kept {
        if (i, j) != (x, y) {
            match hunks.last_mut().filter(|h| i - h[1] <= 2 * AROUND) {
                Some(last) => (last[1], last[3]) = (x, y),
                None => hunks.push([i, x, j, y]),
            }
        }
        (i, j) = (x + 1, y + 1);
    }
    let line = |pieces: &[Piece<'_>], from: usize, to: usize| {
        let (start, end) = (from.saturating_sub(AROUND), (to + AROUND).min(pieces.len()));
        let (before, after) = (if start > 0 { "… " } else { "" }, if end < pieces.len() { " …" } else { "" });
        format!("{before}{}{after}", joined(&pieces[start..end]))
    };
    hunks.iter().map(|h| (line(a, h[0], h[1]), line(b, h[2], h[3]))).collect()
}

/// The places of a longest common subsequence.
fn kept(a: &[Piece<'_>], b: &[Piece<'_>]) -> Vec<(usize, usize)> {
    let head = a.iter().zip(b).take_while(|(a, b)| a.same(b)).count();
    let (rest_a, rest_b) = (&a[head..], &b[head..]);
    let tail = rest_a.iter().rev().zip(rest_b.iter().rev()).take_while(|(a, b)| a.same(b)).count();
    let (mid_a, mid_b) = (&rest_a[..rest_a.len() - tail], &rest_b[..rest_b.len() - tail]);
    let mut kept: Vec<(usize, usize)> = (0..head).map(|i| (i, i)).collect();
    if mid_a.len().saturating_mul(mid_b.len()) <= MOST {
        let width = mid_b.len() + 1;
        // longest[i * width + j]: of what is common in mid_a[i..] and mid_b[j..].
        let mut longest = vec![0u32; (mid_a.len() + 1) * width];
        for i in (0..mid_a.len()).rev() {
            for j in (0..mid_b.len()).rev() {
                longest[i * width + j] = if mid_a[i].same(&mid_b[j]) {
                    longest[(i + 1) * width + j + 1] + 1
                } else {
                    longest[(i + 1) * width + j].max(longest[i * width + j + 1])
                };
            }
        }
        let (mut i, mut j) = (0, 0);
        while i < mid_a.len() && j < mid_b.len() {
            if mid_a[i].same(&mid_b[j]) {
                kept.push((head + i, head + j));
                (i, j) = (i + 1, j + 1);
            } else if longest[(i + 1) * width + j] >= longest[i * width + j + 1] {
                i += 1;
            } else {
                j += 1;
            }
        }
    }
    kept.extend((0..tail).map(|i| (a.len() - tail + i, b.len() - tail + i)));
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_comments_and_the_case_of_words_say_nothing() {
        let a = "SELECT  a,\n\tb -- both\nFROM s /* the\n stream */ WHERE c = 'x  y'";
        assert_eq!(normalized(a), "SELECT a, b FROM s WHERE c = 'x  y'");
        assert!(same_text(a, "select A,b from S where c='x  y'"));
        for other in ["SELECT a, b FROM s WHERE c = 'x y'", "SELECT a, b FROM s WHERE \"C\" = 'x  y'"] {
            assert!(!same_text(a, other), "{other}");
        }
        assert_eq!(normalized("SELECT 'a"), "SELECT 'a");
    }

    #[test]
    fn differences_are_told_with_the_words_around() {
        let told = |old, new| text_changes(old, new);
        assert_eq!(
            told("SELECT a FROM s WHERE a > 1", "SELECT a FROM s WHERE a > 20"),
            [("… s WHERE a > 1".to_string(), "… s WHERE a > 20".to_string())]
        );
        let long = "SELECT a, b, c, d, e, f, g FROM s WHERE a > 1 AND b < 2 AND c < 3 GROUP BY x, y, z";
        let other = "SELECT a, bb, c, d, e, f, g FROM s WHERE a > 1 AND b < 2 AND c < 3 GROUP BY x, y";
        let changes = told(long, other);
        assert_eq!(changes.len(), 2, "{changes:?}");
        assert_eq!(changes[0], ("SELECT a, b, c, d …".into(), "SELECT a, bb, c, d …".into()));
        assert_eq!(changes[1].1, "… BY x, y");
        assert_eq!(told("SELECT 1", "SELECT 1"), []);
        let pair = told("", "SELECT 1");
        assert_eq!(pair, [(String::new(), "SELECT 1".into())]);
    }
}
