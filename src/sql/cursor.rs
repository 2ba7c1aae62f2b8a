//! A cursor over one statement's tokens: sqlparser's parser, with places in bytes and errors in our words.

use super::code::Code;
use super::depth;
use super::diagnostic::Diagnostic;
use super::dialect::StreamDialect;
use super::ksql;
use super::place::{LineIndex, Mistake};
use super::refuse;
use super::start;
use super::statement::Name;
use super::tokens::{Segment, decapitalised};
use super::within;
use super::words::{CLAUSES, did_you_mean, is_word, name, nearest, unquoted};
use sqlparser::ast::{Ident, Query};
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
        let rewritten = depth::check(&segment.tokens)
            .and_then(|()| refuse::tokens(&segment.tokens))
            .and_then(|()| start::rewrite(&segment.tokens))
            .and_then(|tokens| within::rewrite(&tokens))
            .and_then(|tokens| ksql::rewrite(&tokens));
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
                    return Err(Diagnostic::coded(
                        Code::Syntax,
                        "a name has a single part here, without a schema",
                    )
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

    /// The next token as a message shows it.
    pub(super) fn shown(&self) -> String {
        match &self.peek().token {
            Token::EOF => self.segment.end_word.to_owned(),
            token => token.to_string(),
        }
    }

    /// Reads a query. An error inside a subquery is told as such: the parser itself, having tried what else the
    /// parenthesis could be, would tell something about the outside.
    pub(super) fn query(&mut self) -> Result<Box<Query>, Diagnostic> {
        let error = match self.parser.parse_query() {
            Ok(query) => return Ok(query),
            Err(error) => error,
        };
        for subquery in self.segment.subqueries(self.index) {
            let mut inner = Cursor::new(&subquery, self.index)?;
            let parsed = inner.parser.parse_query();
            parsed.map_err(|error| inner.convert(error))?;
            inner.finish()?;
        }
        Err(self.convert(error))
    }

    /// Something else was expected where the cursor is.
    pub(super) fn expected(&self, what: &str) -> Diagnostic {
        Diagnostic::coded(Code::Syntax, format!("expected {what}, found {}", self.shown())).at(self.here())
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
        let here = self.peek().span;
        let diagnostic = self.expected(self.segment.end_word);
        // By place, not by index: the parser's tokens may be more than those that were written.
        match self.segment.tokens.iter().position(|token| token.span == here) {
            Some(at) => Err(self.suggest(diagnostic, at)),
            None => Err(diagnostic),
        }
    }

    /// An error of the parser in our words, at the token that it is about.
    pub(super) fn convert(&self, error: ParserError) -> Diagnostic {
        let text = match error {
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
            ParserError::RecursionLimitExceeded => {
                return Diagnostic::coded(Code::Syntax, "the statement is nested too deeply").at(self.here());
            }
        };
        let (message, location) = split_location(&text);
        let (message, found) = self.reworded(message);
        let Some(location) = location else {
            let at_end = message.ends_with(self.segment.end_word);
            let place = if at_end { self.segment.end.clone() } else { self.here() };
            return self
                .suggest(Diagnostic::coded(Code::Syntax, message).at(place), self.segment.tokens.len());
        };
        let tokens = &self.segment.tokens;
        let token = tokens.iter().position(|token| token.span.start == location);
        // Some of the parser's errors name one token and give the place of the next.
        let named = |at: usize| found.is_some_and(|found| tokens[at].token.to_string() == found);
        let token = token.map(|at| if at > 0 && !named(at) && named(at - 1) { at - 1 } else { at });
        let range = match token {
            Some(at) => self.index.range(tokens[at].span),
            None => self.index.char_at(location),
        };
        let diagnostic = Diagnostic::coded(Code::Syntax, message).at(range.unwrap_or_else(|| self.here()));
        match token {
            Some(at) => self.suggest(diagnostic, at),
            None => diagnostic,
        }
    }

    /// A message of the parser in our words, and the token that it names as found.
    fn reworded<'m>(&self, message: &'m str) -> (String, Option<&'m str>) {
        let expected = message.strip_prefix("Expected: ").or_else(|| message.strip_prefix("Expected "));
        let split = |rest: &'m str| rest.rsplit_once(", found: ").or_else(|| rest.rsplit_once(", found "));
        match expected.and_then(split) {
            Some((what, "EOF")) => (format!("expected {what}, found {}", self.segment.end_word), None),
            Some((what, found)) => (format!("expected {what}, found {found}"), Some(found)),
            None => (decapitalised(message), None),
        }
    }

    /// A mistake of the syntax tree as a diagnostic; `otherwise` is the place if it has none.
    pub(super) fn place(&self, mistake: Mistake, otherwise: Range<usize>) -> Diagnostic {
        let at = mistake.at;
        let mut diagnostic = mistake.place(self.index, otherwise);
        // The tree does not know where a call's closing parenthesis is.
        let tokens = &self.segment.tokens;
        let first = tokens.iter().position(|token| token.span.start == at.start).unwrap_or(tokens.len());
        let call =
            tokens.get(first + 1).is_some_and(|next| next.token == Token::LParen && next.span.end < at.end);
        if let (true, Some(span)) = (call, &mut diagnostic.span) {
            span.end = self.closing(first + 1).unwrap_or(span.end).max(span.end);
        }
        diagnostic
    }

    /// The byte after the parenthesis that closes the one at a token.
    fn closing(&self, open: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for token in &self.segment.tokens[open..] {
            match token.token {
                Token::LParen => depth += 1,
                Token::RParen if depth == 1 => return self.index.offset(token.span.end),
                Token::RParen => depth -= 1,
                _ => {}
            }
        }
        None
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
