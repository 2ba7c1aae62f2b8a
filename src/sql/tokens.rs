//! Text to tokens, cut into statements at their semicolons.

use super::code::Code;
use super::diagnostic::Diagnostic;
use super::dialect::StreamDialect;
use super::place::LineIndex;
use super::words::words_at;
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use std::ops::Range;

const END: &str = "the end of the statement";

/// The tokens of one statement, without white space, comments and the semicolon; never empty.
pub(super) struct Segment {
    pub(super) tokens: Vec<TokenWithSpan>,
    /// Where the statement ends: its semicolon, or nothing at the end of the text.
    pub(super) end: Range<usize>,
    /// What a message calls this end.
    pub(super) end_word: &'static str,
}

impl Segment {
    /// The subqueries in parentheses, each before those that it lies in.
    pub(super) fn subqueries(&self, index: &LineIndex<'_>) -> Vec<Segment> {
        let mut open = vec![];
        let mut found = vec![];
        for (at, token) in self.tokens.iter().enumerate() {
            match token.token {
                Token::LParen => open.push(at + 1),
                Token::RParen => {
                    let Some(start) = open.pop() else { continue };
                    if ["SELECT", "WITH"].iter().any(|word| words_at(&self.tokens, start, &[word])) {
                        let end = index.range(token.span).unwrap_or_default();
                        found.push(Segment { tokens: self.tokens[start..at].to_vec(), end, end_word: ")" });
                    }
                }
                _ => {}
            }
        }
        found
    }
}

/// The statements of a text, up to a place that is no token at all.
///
/// A statement that such a place cuts off is left out: its diagnostic stands for it.
pub(super) fn segments(index: &LineIndex<'_>) -> (Vec<Segment>, Option<Diagnostic>) {
    let mut tokens = vec![];
    let result = Tokenizer::new(&StreamDialect, index.text()).tokenize_with_location_into_buf(&mut tokens);
    let mistake = result.err().map(|error| {
        let place = index.char_at(error.location).unwrap_or(index.text().len()..index.text().len());
        Diagnostic::coded(Code::Syntax, decapitalised(&error.message).replace("EOF", "the end of the text"))
            .at(place)
    });

    let mut segments = vec![];
    let mut open: Vec<TokenWithSpan> = vec![];
    for token in tokens {
        match token.token {
            Token::Whitespace(_) | Token::EOF => {}
            Token::SemiColon => {
                let end = index.range(token.span).unwrap_or_default();
                close(&mut segments, std::mem::take(&mut open), end);
            }
            _ => open.push(token),
        }
    }
    if mistake.is_none() {
        let end = open.last().and_then(|token| index.offset(token.span.end)).unwrap_or_default();
        close(&mut segments, open, end..end);
    }
    (segments, mistake)
}

fn close(segments: &mut Vec<Segment>, tokens: Vec<TokenWithSpan>, end: Range<usize>) {
    if !tokens.is_empty() {
        segments.push(Segment { tokens, end, end_word: END });
    }
}

/// A library's message in our manner: no capital at its beginning, no full stop at its end.
pub(super) fn decapitalised(message: &str) -> String {
    let message = message.trim().trim_end_matches('.');
    let mut chars = message.chars();
    match chars.next() {
        // A word in capitals is a keyword and stays as it is.
        Some(first) if !chars.clone().next().is_some_and(char::is_uppercase) => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => message.to_owned(),
    }
}
