//! ksqlDB's join of streams: `JOIN r WITHIN 10 SECONDS [GRACE PERIOD 1 MINUTE] ON l.id = r.id`, or
//! `WITHIN (1 MINUTE, 10 SECONDS)` for before and after.
//!
//! The parser has no room for the clause, so the tokens are rewritten: `ON "join within"(INTERVAL '10 seconds', INTERVAL
//! '10 seconds', INTERVAL '1 minute') AND (l.id = r.id)`. The planner puts the inputs' event times in.

use super::code::Code;
use super::place::Mistake;
use super::words::{is_word, unquoted};
use sqlparser::tokenizer::{Span, Token, TokenWithSpan};

/// The marker function; a space keeps it apart from any name that people use. Its arguments: how long before the left
/// row's time the right one's may lie, how long after it, and the grace.
pub const WITHIN: &str = "join within";

const USAGE: &str = "write JOIN r WITHIN 10 SECONDS ON l.id = r.id, or WITHIN (1 MINUTE, 10 SECONDS) for before and after, \
                     and GRACE PERIOD 1 MINUTE before ON";
const UNITS: [&str; 6] = ["MILLISECOND", "SECOND", "MINUTE", "HOUR", "DAY", "WEEK"];
/// What may follow a join's condition.
const AFTER: [&str; 20] = [
    "JOIN",
    "LEFT",
    "RIGHT",
    "FULL",
    "INNER",
    "CROSS",
    "NATURAL",
    "WHERE",
    "GROUP",
    "HAVING",
    "WINDOW",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "EMIT",
    "QUALIFY",
    "LATERAL",
];

/// Rewrites every such clause of a statement's tokens.
pub(super) fn rewrite(tokens: &[TokenWithSpan]) -> Result<Vec<TokenWithSpan>, Mistake> {
    let mut out = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        if begins(tokens, at) {
            at = Clause { tokens, at: at + 1 }.rewrite(at, &mut out)?;
        } else {
            out.push(tokens[at].clone());
            at += 1;
        }
    }
    Ok(out)
}

/// Whether the clause begins here; `WITHIN GROUP (…)` is another thing.
fn begins(tokens: &[TokenWithSpan], at: usize) -> bool {
    let token = |at: usize| tokens.get(at).map(|t| &t.token);
    is_word(&tokens[at].token, "WITHIN")
        && match token(at + 1) {
            Some(Token::Number(..)) => true,
            Some(Token::LParen) => matches!(token(at + 2), Some(Token::Number(..))),
            _ => false,
        }
}

/// A clause while it is read.
struct Clause<'a> {
    tokens: &'a [TokenWithSpan],
    at: usize,
}

impl Clause<'_> {
    /// Writes the condition with the clause in it, and gives the index of the token after it.
    fn rewrite(mut self, start: usize, out: &mut Vec<TokenWithSpan>) -> Result<usize, Mistake> {
        let (before, after) = match self.eat(&Token::LParen) {
            true => {
                let before = self.length()?;
                self.expect(&Token::Comma, ", and the time after")?;
                let after = self.length()?;
                self.expect(&Token::RParen, ")")?;
                (before, after)
            }
            false => {
                let length = self.length()?;
                (length.clone(), length)
            }
        };
        let grace = match self.word("GRACE") {
            true if !self.word("PERIOD") => return Err(self.expected("PERIOD")),
            true => self.length()?,
            false => "0 seconds".into(),
        };
        let span = self.tokens[start].span.union(&self.tokens[self.at - 1].span);
        let on = self.at;
        if !self.word("ON") {
            return Err(self.expected("ON"));
        }
        out.push(self.tokens[on].clone());
        let mut push = |token| out.push(TokenWithSpan::new(token, span));
        push(Token::make_word(WITHIN, Some('"')));
        push(Token::LParen);
        for (i, length) in [before, after, grace].into_iter().enumerate() {
            if i > 0 {
                push(Token::Comma);
            }
            push(Token::make_keyword("INTERVAL"));
            push(Token::SingleQuotedString(length));
        }
        push(Token::RParen);
        push(Token::make_keyword("AND"));
        push(Token::LParen);
        let end = self.condition_end();
        if end == self.at {
            return Err(self.expected("a condition"));
        }
        out.extend(self.tokens[self.at..end].iter().cloned());
        let last = self.tokens[end - 1].span.end;
        out.push(TokenWithSpan::new(Token::RParen, Span::new(last, last)));
        Ok(end)
    }

    /// Where the condition ends.
    fn condition_end(&self) -> usize {
        let mut depth = 0_usize;
        for (at, token) in self.tokens.iter().enumerate().skip(self.at) {
            // left(…) and right(…) are functions.
            let function = ["LEFT", "RIGHT"].iter().any(|name| is_word(&token.token, name))
                && self.tokens.get(at + 1).is_some_and(|next| next.token == Token::LParen);
            match &token.token {
                Token::LParen => depth += 1,
                Token::RParen if depth == 0 => return at,
                Token::RParen => depth -= 1,
                Token::Comma | Token::SemiColon | Token::EOF if depth == 0 => return at,
                word if depth == 0 && !function && AFTER.iter().any(|after| is_word(word, after)) => {
                    return at;
                }
                _ => {}
            }
        }
        self.tokens.len()
    }

    /// `10 SECONDS` as the text of an interval.
    fn length(&mut self) -> Result<String, Mistake> {
        let Some(Token::Number(number, _)) = self.peek() else { return Err(self.expected("a number")) };
        let number = number.clone();
        self.at += 1;
        let unit = self.peek().and_then(unquoted).map(str::to_ascii_uppercase);
        let known = |unit: &String| UNITS.contains(&unit.strip_suffix('S').unwrap_or(unit));
        let Some(unit) = unit.filter(known) else { return Err(self.expected("a unit such as SECONDS")) };
        self.at += 1;
        Ok(format!("{number} {}", unit.to_ascii_lowercase()))
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|token| &token.token)
    }

    fn eat(&mut self, token: &Token) -> bool {
        let there = self.peek() == Some(token);
        self.at += usize::from(there);
        there
    }

    fn word(&mut self, word: &str) -> bool {
        let there = self.peek().is_some_and(|token| is_word(token, word));
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, token: &Token, what: &str) -> Result<(), Mistake> {
        if self.eat(token) { Ok(()) } else { Err(self.expected(what)) }
    }

    fn expected(&self, what: &str) -> Mistake {
        let (span, found) = match self.tokens.get(self.at) {
            Some(token) => (token.span, token.token.to_string()),
            None => {
                let last = self.tokens.last().map_or(Span::empty(), |t| Span::new(t.span.end, t.span.end));
                (last, "the end of the statement".into())
            }
        };
        Mistake::new(Code::Window, span, format!("expected {what}, found {found}")).help(USAGE)
    }
}
