//! A cursor over one statement's tokens: sqlparser's parser, with places in bytes and errors in our words.

use super::diagnostic::Diagnostic;
use super::dialect::StreamDialect;
use super::ksql;
use super::place::LineIndex;
use super::refuse;
use super::statement::Name;
use super::tokens::{Segment, decapitalised};
use super::words::{CLAUSES, did_you_mean, is_word, name, nearest, unquoted};
use sqlparser::ast::Ident;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan};
use std::ops::Range;

static DIALECT: StreamDialect = StreamDialect;

/// Reads one statement.
pub(super) struct Cursor<'a> {
    pub(super) parser: Parser<'a>,
    pub(super) index: &'a LineIndex<'a>,
    segment: &'a Segment,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(segment: &'a Segment, index: &'a LineIndex<'a>) -> Result<Self, Diagnostic> {
        let rewritten = refuse::tokens(&segment.tokens).and_then(|()| ksql::rewrite(&segment.tokens));
        let tokens = rewritten.map_err(|mistake| mistake.place(index, segment.end.clone()))?;
        let parser = Parser::new(&DIALECT).with_tokens_with_locations(tokens);
        Ok(Cursor { parser, index, segment })
    }

    /// The next token.
    pub(super) fn peek(&self) -> &TokenWithSpan {
        self.parser.peek_token_ref()
    }

    pub(super) fn at_end(&self) -> bool {
        self.peek().token == Token::EOF
    }

    /// Whether the token after `skip` others is this unquoted word.
    pub(super) fn sees(&self, skip: usize, word: &str) -> bool {
        is_word(&self.parser.peek_nth_token_ref(skip).token, word)
    }

    /// Whether the next words are these.
    pub(super) fn sees_all(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(skip, word)| self.sees(skip, word))
    }

    /// Goes past these words if they are next.
    pub(super) fn eat(&mut self, words: &[&str]) -> bool {
        let there = self.sees_all(words);
        if there {
            for _ in words {
                self.parser.advance_token();
            }
        }
        there
    }

    pub(super) fn expect(&mut self, word: &str) -> Result<(), Diagnostic> {
        if self.eat(&[word]) { Ok(()) } else { Err(self.expected_word(word)) }
    }

    pub(super) fn expect_token(&mut self, token: &Token) -> Result<(), Diagnostic> {
        if self.parser.consume_token(token) { Ok(()) } else { Err(self.expected(&token.to_string())) }
    }

    /// A name of one part. `what` is what the name is of, with its article.
    pub(super) fn name(&mut self, what: &str) -> Result<Name, Diagnostic> {
        let token = self.peek().clone();
        let place = self.here();
        match token.token {
            Token::Word(word) => {
                self.parser.advance_token();
                if self.peek().token == Token::Period {
                    return Err(Diagnostic::new(format!("{what} has a single part, without a schema"))
                        .at(place.start..self.here().end));
                }
                let ident = Ident { value: word.value, quote_style: word.quote_style, span: token.span };
                Ok(name(&ident, place))
            }
            Token::SingleQuotedString(text) => {
                Err(self.expected(what).help(format!("names stand in double quotes: \"{text}\"")))
            }
            _ => Err(self.expected(what)),
        }
    }

    /// Bytes of the next token, or of the statement's end.
    pub(super) fn here(&self) -> Range<usize> {
        self.index.range(self.peek().span).unwrap_or_else(|| self.segment.end.clone())
    }

    /// The byte where the last token ended.
    pub(super) fn last_end(&self) -> usize {
        let last = self.parser.get_current_token().span.end;
        self.index.offset(last).unwrap_or(self.segment.end.start)
    }

    /// Something else was expected where the cursor is.
    pub(super) fn expected(&self, what: &str) -> Diagnostic {
        Diagnostic::new(format!("expected {what}, found {}", shown(&self.peek().token))).at(self.here())
    }

    /// [`Cursor::expected`] for a word, with a guess if a word near it is there.
    pub(super) fn expected_word(&self, word: &str) -> Diagnostic {
        self.expected_one_of(word, &[word])
    }

    /// [`Cursor::expected`] for any of some words.
    pub(super) fn expected_one_of(&self, what: &str, words: &[&str]) -> Diagnostic {
        let diagnostic = self.expected(what);
        let guess = unquoted(&self.peek().token).and_then(|found| did_you_mean(found, words.iter().copied()));
        match guess {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        }
    }

    /// Errors unless the statement ends here.
    pub(super) fn finish(&self) -> Result<(), Diagnostic> {
        if self.at_end() {
            return Ok(());
        }
        Err(self.suggest(self.expected("the end of the statement"), self.parser.index()))
    }

    /// An error of the parser in our words, at the token that it is about.
    pub(super) fn convert(&self, error: ParserError) -> Diagnostic {
        let text = match error {
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
            ParserError::RecursionLimitExceeded => {
                return Diagnostic::new("the statement is nested too deeply").at(self.here());
            }
        };
        let (message, location) = split_location(&text);
        let message = match message.strip_prefix("Expected: ").and_then(|rest| rest.rsplit_once(", found: "))
        {
            Some((what, "EOF")) => format!("expected {what}, found the end of the statement"),
            Some((what, found)) => format!("expected {what}, found {found}"),
            None => decapitalised(message),
        };
        let Some(location) = location else {
            let at_end = message.ends_with("the end of the statement");
            let place = if at_end { self.segment.end.clone() } else { self.here() };
            return self.suggest(Diagnostic::new(message).at(place), self.segment.tokens.len());
        };
        let token = self.segment.tokens.iter().position(|token| token.span.start == location);
        let range = match token {
            Some(at) => self.index.range(self.segment.tokens[at].span),
            None => self.index.char_at(location),
        };
        let diagnostic = Diagnostic::new(message).at(range.unwrap_or_else(|| self.here()));
        match token {
            Some(at) => self.suggest(diagnostic, at),
            None => diagnostic,
        }
    }

    /// Adds a guess: the token at `at`, or the word before it (taken for an alias, say), is a misspelt clause.
    fn suggest(&self, diagnostic: Diagnostic, at: usize) -> Diagnostic {
        let tokens = &self.segment.tokens;
        let plain = |at: usize| match tokens.get(at).map(|token| &token.token) {
            Some(Token::Word(word)) if word.quote_style.is_none() && word.keyword == Keyword::NoKeyword => {
                Some(word.value.as_str())
            }
            _ => None,
        };
        let guess = |word: &str| nearest(word, CLAUSES.iter().copied());
        if let Some(near) = plain(at).and_then(guess) {
            return diagnostic.help(format!("did you mean {near}?"));
        }
        let before = at.checked_sub(1).and_then(plain);
        if let Some((word, near)) = before.and_then(|word| Some((word, guess(word)?))) {
            return diagnostic.help(format!("did you mean {near} instead of {word}?"));
        }
        let comma = at.checked_sub(1).is_some_and(|before| tokens[before].token == Token::Comma);
        if comma && matches!(tokens.get(at).map(|token| &token.token), Some(Token::Word(_) | Token::RParen)) {
            return diagnostic.help("remove the comma before it");
        }
        diagnostic
    }
}

/// A token as a message shows it.
pub(super) fn shown(token: &Token) -> String {
    match token {
        Token::EOF => "the end of the statement".to_owned(),
        other => other.to_string(),
    }
}

/// Cuts the parser's " at Line: 1, Column: 8" off a message.
fn split_location(text: &str) -> (&str, Option<Location>) {
    let parsed = || {
        let (message, place) = text.rsplit_once(" at Line: ")?;
        let (line, column) = place.split_once(", Column: ")?;
        Some((message, Location::new(line.trim().parse().ok()?, column.trim().parse().ok()?)))
    };
    match parsed() {
        Some((message, location)) => (message, Some(location)),
        None => (text, None),
    }
}
