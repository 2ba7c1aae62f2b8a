//! Text to coloured pieces: what an editor needs to know of SQL that is being typed.
//!
//! The tokenizer is the parser's own, so what the editor takes for a string, a comment or the end of a statement is one.

use super::dialect::StreamDialect;
use super::place::LineIndex;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, Tokenizer, Whitespace};
use std::ops::Range;

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceKind {
    /// A word that SQL knows.
    Keyword,
    /// Another word, or a name in double quotes.
    Name,
    /// A text in single quotes.
    Text,
    /// A number.
    Number,
    /// A comment.
    Comment,
    /// An operator, a parenthesis, a comma.
    Sign,
    /// The end of a statement.
    Semicolon,
}

/// A piece of text that is no white space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// What it is.
    pub kind: PieceKind,
    /// Its bytes.
    pub span: Range<usize>,
}

/// A text in pieces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lexed {
    /// The pieces in order.
    pub pieces: Vec<Piece>,
    /// The text ends within quotes or a comment, which begin here.
    pub open: Option<usize>,
    /// There is something in the text that is no SQL in any reading; whoever runs it is told.
    pub broken: bool,
}

impl Lexed {
    /// Whether the text is whole statements: its last piece ends one.
    pub fn ends(&self) -> bool {
        let last = self.pieces.iter().rev().find(|p| p.kind != PieceKind::Comment);
        self.open.is_none() && last.is_none_or(|p| p.kind == PieceKind::Semicolon)
    }

    /// Whether there is nothing but white space and comments.
    pub fn is_empty(&self) -> bool {
        self.open.is_none() && self.pieces.iter().all(|p| p.kind == PieceKind::Comment)
    }
}

/// Cuts a text into pieces, as far as it can be read.
pub fn lex(sql: &str) -> Lexed {
    let index = LineIndex::new(sql);
    let mut tokens = vec![];
    let result = Tokenizer::new(&StreamDialect, sql).tokenize_with_location_into_buf(&mut tokens);
    let mut lexed = Lexed::default();
    let mut end = 0;
    for token in &tokens {
        let (Some(from), Some(to)) = (index.offset(token.span.start), index.offset(token.span.end)) else {
            continue;
        };
        end = to;
        if let Some(kind) = kind(&token.token) {
            lexed.pieces.push(Piece { kind, span: from..to });
        }
    }
    calls_are_names(sql, &mut lexed.pieces);
    let Err(error) = result else { return lexed };
    let rest = sql[end..].trim_start();
    let from = sql.len() - rest.len();
    // What is cut off by the end of the text may still be finished; anything else cannot.
    let message = error.message.as_str();
    if message.contains("EOF") || message.contains("nterminated") {
        lexed.open = Some(from);
    } else {
        lexed.broken = true;
    }
    if !rest.is_empty() {
        let kind = match rest.as_bytes()[0] {
            b'"' | b'`' => PieceKind::Name,
            b'/' => PieceKind::Comment,
            _ => PieceKind::Text,
        };
        lexed.pieces.push(Piece { kind, span: from..sql.len() });
    }
    lexed
}

/// Keywords that a parenthesis may follow directly without being a call.
const NOT_CALLED: &[&str] = &[
    "all",
    "and",
    "any",
    "as",
    "by",
    "cube",
    "else",
    "except",
    "exists",
    "filter",
    "from",
    "having",
    "in",
    "intersect",
    "interval",
    "join",
    "key",
    "not",
    "on",
    "or",
    "over",
    "rollup",
    "select",
    "sets",
    "some",
    "then",
    "union",
    "using",
    "values",
    "when",
    "where",
    "with",
    "within",
];
/// Words of ours that the parser does not know.
const OWN: &[&str] = &["emit", "watermark"];

/// A word that a parenthesis follows is a function's name, whatever else SQL knows it for.
fn calls_are_names(sql: &str, pieces: &mut [Piece]) {
    let is =
        |piece: &Piece, among: &[&str]| among.iter().any(|w| sql[piece.span.clone()].eq_ignore_ascii_case(w));
    for at in 0..pieces.len() {
        let called = pieces
            .get(at + 1)
            .is_some_and(|next| next.span.start == pieces[at].span.end && &sql[next.span.clone()] == "(");
        let piece = &pieces[at];
        match piece.kind {
            PieceKind::Keyword if called && !is(piece, NOT_CALLED) => pieces[at].kind = PieceKind::Name,
            PieceKind::Name if !called && is(piece, OWN) => pieces[at].kind = PieceKind::Keyword,
            _ => {}
        }
    }
}

fn kind(token: &Token) -> Option<PieceKind> {
    Some(match token {
        Token::EOF => return None,
        Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_)) => {
            PieceKind::Comment
        }
        Token::Whitespace(_) => return None,
        Token::Word(word) if word.quote_style.is_none() && word.keyword != Keyword::NoKeyword => {
            PieceKind::Keyword
        }
        Token::Word(_) => PieceKind::Name,
        Token::Number(..) => PieceKind::Number,
        Token::SemiColon => PieceKind::Semicolon,
        Token::SingleQuotedString(_)
        | Token::EscapedStringLiteral(_)
        | Token::UnicodeStringLiteral(_)
        | Token::DollarQuotedString(_)
        | Token::NationalStringLiteral(_)
        | Token::HexStringLiteral(_)
        | Token::SingleQuotedRawStringLiteral(_) => PieceKind::Text,
        _ => PieceKind::Sign,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drawn(sql: &str) -> String {
        let lexed = lex(sql);
        let piece = |p: &Piece| format!("{:?}:{}", p.kind, &sql[p.span.clone()]);
        lexed.pieces.iter().map(piece).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn pieces_are_what_the_parser_takes_them_for() {
        assert_eq!(
            drawn("SELECT a, 'é;' FROM \"T\" -- x;\n WHERE b > 1.5;"),
            "Keyword:SELECT Name:a Sign:, Text:'é;' Keyword:FROM Name:\"T\" Comment:-- x;\n Keyword:WHERE Name:b Sign:> Number:1.5 Semicolon:;"
        );
    }

    #[test]
    fn what_is_called_is_a_name_and_our_words_are_keywords() {
        assert_eq!(
            drawn("count(x) IN(1) EMIT CHANGES"),
            "Name:count Sign:( Name:x Sign:) Keyword:IN Sign:( Number:1 Sign:) Keyword:EMIT Keyword:CHANGES"
        );
    }

    #[test]
    fn a_statement_ends_at_a_semicolon_that_is_one() {
        for (sql, ends) in [
            ("", true),
            ("  \n", true),
            ("-- only a comment", true),
            ("SELECT 1", false),
            ("SELECT 1;", true),
            ("SELECT 1; -- done", true),
            ("SELECT 1; SELECT", false),
            ("SELECT ';", false),
            ("SELECT ';'", false),
            ("SELECT \"a;", false),
            ("SELECT /* ;", false),
            ("SELECT /* ; */ 1;", true),
            ("SELECT 1 -- ;", false),
        ] {
            assert_eq!(lex(sql).ends(), ends, "{sql:?}");
        }
        assert_eq!(lex("SELECT 'it").open, Some(7));
        assert!(lex("").is_empty() && lex("-- a").is_empty() && !lex("'").is_empty());
    }

    proptest! {
        #[test]
        fn no_text_panics_and_pieces_lie_in_order(sql in "[a-z'\"é;/*\\- \n$0-9.]{0,40}") {
            let mut end = 0;
            for piece in lex(&sql).pieces {
                prop_assert!(piece.span.start >= end && piece.span.end <= sql.len());
                prop_assert!(sql.get(piece.span.clone()).is_some());
                end = piece.span.end;
            }
        }
    }
}
