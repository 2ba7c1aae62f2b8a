//! Where the values of VALUES and the expressions of a SELECT list stand in the text.
//!
//! The parser's tree does not tell the whole place of each expression; the text does, cut into pieces as the parser cuts it.

use super::lex::{Piece, PieceKind, lex};
use std::ops::Range;

/// A row of VALUES: its place without the parentheses' outside, and the places of its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValuesRow {
    /// From parenthesis to parenthesis.
    pub span: Range<usize>,
    /// Each value.
    pub values: Vec<Range<usize>>,
}

/// The rows of a query that is VALUES, as bytes of `source`. `query` are the query's bytes.
pub fn values_rows(source: &str, query: &Range<usize>) -> Vec<ValuesRow> {
    let pieces = pieces(source, query);
    let mut rows = Vec::new();
    let (mut depth, mut open, mut commas) = (0_usize, 0, Vec::new());
    let begin = pieces.iter().position(|p| source[p.span.clone()].eq_ignore_ascii_case("values"));
    for piece in begin.map_or(&[][..], |at| &pieces[at + 1..]) {
        match sign(source, piece) {
            "(" | "[" | "{" => {
                depth += 1;
                if depth == 1 {
                    (open, commas) = (piece.span.start, vec![piece.span.end]);
                }
            }
            ")" | "]" | "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    commas.push(piece.span.start + 1);
                    let values = commas.windows(2).map(|w| trimmed(source, w[0]..w[1] - 1)).collect();
                    rows.push(ValuesRow { span: open..piece.span.end, values });
                }
            }
            "," if depth == 1 => commas.push(piece.span.end),
            _ => {}
        }
    }
    rows
}

/// The expressions of the outermost SELECT list, with their aliases; none if the query begins with something else.
pub fn select_items(source: &str, query: &Range<usize>) -> Vec<Range<usize>> {
    let pieces = pieces(source, query);
    let is = |piece: &Piece, word: &str| source[piece.span.clone()].eq_ignore_ascii_case(word);
    let Some((first, rest)) = pieces.split_first().filter(|(first, _)| is(first, "select")) else {
        return Vec::new();
    };
    let mut start = first.span.end;
    let (mut depth, mut items, mut end) = (0_usize, Vec::new(), query.end);
    for (at, piece) in rest.iter().enumerate() {
        match sign(source, piece) {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            "," if depth == 0 => {
                items.push(trimmed(source, start..piece.span.start));
                start = piece.span.end;
            }
            _ if depth > 0 => {}
            _ if at == 0 && (is(piece, "distinct") || is(piece, "all")) => {
                // What is distinct is not told apart from the first expression: neither has a place then.
                if rest.get(1).is_some_and(|next| is(next, "on")) {
                    return Vec::new();
                }
                start = piece.span.end;
            }
            _ if ENDS.iter().any(|word| is(piece, word)) || piece.kind == PieceKind::Semicolon => {
                end = piece.span.start;
                break;
            }
            _ => {}
        }
    }
    items.push(trimmed(source, start..end));
    items
}

/// Words that end a SELECT list where they stand outside of parentheses.
const ENDS: &[&str] =
    &["from", "where", "group", "having", "order", "limit", "union", "intersect", "except", "emit", "window"];

fn pieces(source: &str, query: &Range<usize>) -> Vec<Piece> {
    let Some(text) = source.get(query.clone()) else { return Vec::new() };
    let moved = |p: Piece| Piece { span: p.span.start + query.start..p.span.end + query.start, ..p };
    lex(text).pieces.into_iter().filter(|p| p.kind != PieceKind::Comment).map(moved).collect()
}

/// The piece's text if it is a sign.
fn sign<'s>(source: &'s str, piece: &Piece) -> &'s str {
    if piece.kind == PieceKind::Sign { &source[piece.span.clone()] } else { "" }
}

/// The range without the blanks at its ends.
fn trimmed(source: &str, range: Range<usize>) -> Range<usize> {
    let text = &source[range.clone()];
    let start = range.start + (text.len() - text.trim_start().len());
    start..start + text.trim().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_its_place() {
        let source = "INSERT INTO s VALUES (1, 'a,(b)'), ( f(x, 2) , NULL ) ;";
        let query = source.find("VALUES").unwrap()..source.len();
        let rows = values_rows(source, &query);
        let told: Vec<Vec<&str>> =
            rows.iter().map(|r| r.values.iter().map(|v| &source[v.clone()]).collect()).collect();
        assert_eq!(told, [vec!["1", "'a,(b)'"], vec!["f(x, 2)", "NULL"]]);
        assert_eq!(&source[rows[0].span.clone()], "(1, 'a,(b)')");
        assert!(values_rows("SELECT 1", &(0..8)).is_empty());
    }

    #[test]
    fn each_item_has_its_place() {
        for (source, expected) in [
            ("SELECT a, f(b, (c)) AS d FROM t, u", vec!["a", "f(b, (c)) AS d"]),
            ("SELECT DISTINCT a -- x\n , b", vec!["a -- x", "b"]),
            ("SELECT DISTINCT ON (a) a, b FROM t", vec![]),
            ("SELECT (SELECT x FROM t), 1 EMIT CHANGES", vec!["(SELECT x FROM t)", "1"]),
            ("WITH c AS (SELECT 1) SELECT 2", vec![]),
            ("VALUES (1)", vec![]),
        ] {
            let items = select_items(source, &(0..source.len()));
            let told: Vec<&str> = items.iter().map(|i| &source[i.clone()]).collect();
            assert_eq!(told, expected, "{source}");
        }
    }
}
