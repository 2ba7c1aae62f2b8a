//! Places in SQL text: the parser counts lines and characters, everybody else counts bytes.

use super::code::Code;
use super::diagnostic::Diagnostic;
use sqlparser::tokenizer::{Location, Span};
use std::ops::Range;

/// The bytes of `sql` that a parser's span covers; `None` if the span is empty (the parser knows no place).
///
/// The spans of a parsed query count from the beginning of the text that was given to the parser,
/// so `sql` must be that whole text. Places past the end of a line or of the text are moved to its end.
pub fn byte_range(sql: &str, span: Span) -> Option<Range<usize>> {
    LineIndex::new(sql).range(span)
}

/// Where the lines of a text begin, to turn line and column into bytes.
pub(super) struct LineIndex<'a> {
    sql: &'a str,
    starts: Vec<usize>,
}

impl<'a> LineIndex<'a> {
    pub(super) fn new(sql: &'a str) -> Self {
        // Only a line feed begins a line for the tokenizer; a carriage return is one more column.
        let feeds = sql.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        LineIndex { sql, starts: std::iter::once(0).chain(feeds).collect() }
    }

    /// The byte of a location; `None` for the parser's "unknown" (line 0).
    pub(super) fn offset(&self, location: Location) -> Option<usize> {
        let line = usize::try_from(location.line).ok()?.checked_sub(1)?;
        let column = usize::try_from(location.column).ok()?.checked_sub(1)?;
        let Some(&start) = self.starts.get(line) else { return Some(self.sql.len()) };
        let end = self.starts.get(line + 1).copied().unwrap_or(self.sql.len());
        let text = &self.sql[start..end];
        let within = text.char_indices().nth(column).map_or(text.len(), |(at, _)| at);
        Some(start + within)
    }

    /// The bytes of a span; `None` if it is empty.
    pub(super) fn range(&self, span: Span) -> Option<Range<usize>> {
        let start = self.offset(span.start)?;
        let end = self.offset(span.end)?;
        Some(start..end.max(start))
    }

    /// The character at a location (empty at the end of the text).
    pub(super) fn char_at(&self, location: Location) -> Option<Range<usize>> {
        let start = self.offset(location)?;
        let length = self.sql[start..].chars().next().map_or(0, char::len_utf8);
        Some(start..start + length)
    }

    /// The text itself.
    pub(super) fn text(&self) -> &'a str {
        self.sql
    }
}

/// A mistake found in the syntax tree, where places are still the parser's spans.
#[derive(Debug)]
pub(super) struct Mistake {
    /// What to tell; boxed to keep results small.
    pub(super) diagnostic: Box<Diagnostic>,
    /// Where; may be empty.
    pub(super) at: Span,
}

impl Mistake {
    pub(super) fn new(code: Code, at: Span, message: impl Into<String>) -> Self {
        Mistake { diagnostic: Box::new(Diagnostic::coded(code, message)), at }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.diagnostic.help = Some(help.into());
        self
    }

    /// As a diagnostic with bytes; `otherwise` is the place if the span is empty.
    pub(super) fn place(self, index: &LineIndex<'_>, otherwise: Range<usize>) -> Diagnostic {
        let range = index.range(self.at).unwrap_or(otherwise);
        self.diagnostic.at(range)
    }
}

#[cfg(test)]
mod tests {
    use super::super::dialect::StreamDialect;
    use super::*;
    use sqlparser::tokenizer::{Token, Tokenizer};

    /// Every token's bytes, put together again, are the text: so no column is counted wrongly.
    #[test]
    fn token_spans_tile_the_text() {
        for sql in [
            "SELECT 'é世界🦀' AS \"naïve\",\tb\r\n\tFROM s -- Ünïcode\r\n WHERE a = 'x\ny' /* 世\n界 */ ;",
            "",
            "\n\n  SELECT\t1",
            "sélect ß",
            "SELECT 1.5e3, E'a\\'b', $$x$$, U&'\\0041' -- end",
        ] {
            let index = LineIndex::new(sql);
            let tokens = Tokenizer::new(&StreamDialect, sql).tokenize_with_location().unwrap();
            let mut at = 0;
            for token in tokens {
                let range = index.range(token.span).unwrap();
                assert_eq!(range.start, at, "in {sql:?} at {token:?}");
                at = range.end;
                if let Token::Word(word) = &token.token {
                    let text = &sql[range];
                    assert_eq!(text.trim_matches('"'), word.value);
                }
            }
            assert_eq!(at, sql.len(), "in {sql:?}");
        }
    }

    #[test]
    fn places_outside_the_text_stay_inside() {
        let sql = "a\nü";
        assert_eq!(byte_range(sql, Span::empty()), None);
        let far = Span::new(Location::new(9, 1), Location::new(9, 9));
        assert_eq!(byte_range(sql, far), Some(4..4));
        let beyond = Span::new(Location::new(1, 1), Location::new(1, 99));
        assert_eq!(byte_range(sql, beyond), Some(0..2));
    }
}
