//! Where a stream is read from: `FROM s AT EARLIEST | AT LATEST | AT '2026-01-31 12:00' | AT OFFSET 17`, behind the stream's
//! name and before its alias.
//!
//! The parser has no room for the clause, so the tokens are rewritten: name and clause become one quoted name,
//! `"s$at latest"`, which every relation may have. [`alias_start`] then gives it the alias `s`, so that columns are
//! qualified as if the clause were not there, and the planner asks [`split_start`] what it means.

use super::code::Code;
use super::place::Mistake;
use super::relation::alias;
use super::words::{folded, is_word, nearest, unquoted};
use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use sqlparser::ast::{Ident, ObjectNamePart, TableFactor};
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};
use std::fmt;

/// Where reading a stream begins the first time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum StartAt {
    /// With the first row that is still there.
    #[default]
    Earliest,
    /// Behind the last row.
    Latest,
    /// With the row of this offset, in each partition.
    Offset(u64),
    /// With the first row that was written at this time (nanoseconds since the epoch) or later; at the end where there
    /// is none yet.
    Time(i64),
}

impl fmt::Display for StartAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartAt::Earliest => f.write_str("earliest"),
            StartAt::Latest => f.write_str("latest"),
            StartAt::Offset(offset) => write!(f, "offset {offset}"),
            StartAt::Time(ns) => write!(f, "time {ns}"),
        }
    }
}

/// What stands between a name and its clause.
const MARK: &str = "$at ";
const WORDS: [&str; 4] = ["EARLIEST", "LATEST", "OFFSET", "TIMESTAMP"];
/// What may stand before a relation's name.
const BEFORE: [&str; 3] = ["FROM", "JOIN", "TABLE"];
const USAGE: &str = "write AT EARLIEST, AT LATEST, AT OFFSET 17, or a time: AT '2026-01-31 12:00:00'";

/// The name of a relation without the clause, and what the clause says.
pub fn split_start(name: &str) -> (&str, StartAt) {
    let start = |clause: &str| match clause.split_once(' ') {
        None if clause == "earliest" => Some(StartAt::Earliest),
        None if clause == "latest" => Some(StartAt::Latest),
        Some(("offset", offset)) => offset.parse().ok().map(StartAt::Offset),
        Some(("time", ns)) => ns.parse().ok().map(StartAt::Time),
        _ => None,
    };
    let split = name.rsplit_once(MARK).and_then(|(name, clause)| Some((name, start(clause)?)));
    split.unwrap_or((name, StartAt::Earliest))
}

/// Whether a relation's name has the clause.
pub fn has_start(name: &str) -> bool {
    split_start(name).0.len() < name.len()
}

/// Gives a relation with the clause, and without an alias, its own name as one.
pub(super) fn alias_start(factor: &mut TableFactor) {
    let TableFactor::Table { name, alias: given @ None, .. } = factor else { return };
    let [ObjectNamePart::Identifier(ident)] = name.0.as_slice() else { return };
    let stream = folded(ident);
    if has_start(&stream) {
        let value = split_start(&stream).0.to_owned();
        *given = Some(alias(Ident { value, quote_style: Some('"'), span: ident.span }));
    }
}

/// Rewrites every such clause of a statement's tokens.
pub(super) fn rewrite(tokens: &[TokenWithSpan]) -> Result<Vec<TokenWithSpan>, Mistake> {
    let mut out = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let clause = if begins(tokens, at) { clause(tokens, at + 2)? } else { None };
        let Some((start, end)) = clause else {
            out.push(tokens[at].clone());
            at += 1;
            continue;
        };
        if let Token::Word(word) = &tokens[at].token {
            let name = folded(&Ident {
                value: word.value.clone(),
                quote_style: word.quote_style,
                span: tokens[at].span,
            });
            let token = Token::make_word(&format!("{name}{MARK}{start}"), Some('"'));
            out.push(TokenWithSpan::new(token, tokens[at].span.union(&tokens[end - 1].span)));
        }
        at = end;
    }
    Ok(out)
}

/// Whether a relation's name and AT stand here.
fn begins(tokens: &[TokenWithSpan], at: usize) -> bool {
    let relation = match at.checked_sub(1).map(|before| &tokens[before].token) {
        Some(Token::Comma | Token::LParen | Token::RArrow) => true,
        Some(before) => BEFORE.iter().any(|word| is_word(before, word)),
        None => false,
    };
    let named = matches!(&tokens[at].token, Token::Word(Word { quote_style: None | Some('"' | '`'), .. }));
    relation && named && tokens.get(at + 1).is_some_and(|next| is_word(&next.token, "AT"))
}

/// What the clause behind the AT before `at` says, and the index of the token after it; `None` = the AT is another
/// thing: an alias, or `AT TIME ZONE`.
fn clause(tokens: &[TokenWithSpan], at: usize) -> Result<Option<(StartAt, usize)>, Mistake> {
    let Some(token) = tokens.get(at) else { return Ok(None) };
    let argument = tokens.get(at + 1);
    let found = match &token.token {
        Token::SingleQuotedString(text) => (StartAt::Time(time(token, text)?), at + 1),
        word if is_word(word, "EARLIEST") => (StartAt::Earliest, at + 1),
        word if is_word(word, "LATEST") => (StartAt::Latest, at + 1),
        word if is_word(word, "OFFSET") => (StartAt::Offset(offset(token, argument)?), at + 2),
        word if is_word(word, "TIMESTAMP") => match argument.map(|token| (token, &token.token)) {
            Some((token, Token::SingleQuotedString(text))) => (StartAt::Time(time(token, text)?), at + 2),
            _ => {
                return Err(
                    Mistake::new(Code::Start, token.span, "TIMESTAMP needs a time behind it").help(USAGE)
                );
            }
        },
        Token::Number(number, _) => {
            let mistake = Mistake::new(Code::Start, token.span, format!("AT does not say what {number} is"));
            return Err(mistake.help(format!("write AT OFFSET {number}, or a time in quotes")));
        }
        other => return unknown(token, unquoted(other), argument),
    };
    Ok(Some(found))
}

fn unknown(
    token: &TokenWithSpan,
    word: Option<&str>,
    next: Option<&TokenWithSpan>,
) -> Result<Option<(StartAt, usize)>, Mistake> {
    let Some(word) = word else { return Ok(None) };
    if next.is_some_and(|next| next.token == Token::LParen) && !is_word(&token.token, "USING") {
        let mistake =
            Mistake::new(Code::Start, token.span, "AT takes a fixed place, not the result of a function");
        return Err(mistake.help(USAGE));
    }
    match nearest(word, WORDS) {
        Some(near) => {
            let mistake = Mistake::new(
                Code::Start,
                token.span,
                format!("expected a place to start from after AT, found {word}"),
            );
            Err(mistake.help(format!("did you mean {near}?")))
        }
        None => Ok(None),
    }
}

fn time(token: &TokenWithSpan, text: &str) -> Result<i64, Mistake> {
    string_to_timestamp_nanos(text).map_err(|_| {
        Mistake::new(Code::Start, token.span, format!("'{text}' cannot be read as a time"))
            .help("write it as '2026-01-31 12:00:00' (UTC), or with an offset such as +01:00")
    })
}

fn offset(word: &TokenWithSpan, argument: Option<&TokenWithSpan>) -> Result<u64, Mistake> {
    let number = match argument.map(|token| &token.token) {
        Some(Token::Number(number, _)) => number.parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| {
        let span = argument.map_or(word.span, |token| word.span.union(&token.span));
        Mistake::new(Code::Start, span, "an offset is a whole number from 0 on").help("write AT OFFSET 17")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Statement, parse};

    /// The relations of a query's FROM as they are after parsing.
    fn from(sql: &str) -> String {
        let statements = parse(sql).unwrap_or_else(|d| panic!("{sql}: {}", d.message));
        let Statement::Query(query) = &statements[0].statement else { panic!("{sql}") };
        let text = query.query.to_string();
        text.split_once(" FROM ").unwrap().1.to_string()
    }

    #[test]
    fn the_clause_becomes_a_part_of_the_name() {
        for (sql, expected) in [
            ("SELECT * FROM s AT LATEST", "\"s$at latest\" AS \"s\""),
            ("SELECT * FROM S at earliest x WHERE x.a > 1", "\"s$at earliest\" x WHERE x.a > 1"),
            ("SELECT * FROM \"S\" AT OFFSET 17 AS x, t", "\"S$at offset 17\" AS x, t"),
            (
                "SELECT * FROM a JOIN b AT '1970-01-01T00:00:01Z' ON a.k = b.k",
                "a JOIN \"b$at time 1000000000\" AS \"b\" ON a.k = b.k",
            ),
            ("SELECT * FROM s AT TIMESTAMP '1970-01-01 01:00:00+01:00'", "\"s$at time 0\" AS \"s\""),
            (
                "SELECT * FROM a, b AT LATEST, c AT OFFSET 0",
                "a, \"b$at latest\" AS \"b\", \"c$at offset 0\" AS \"c\"",
            ),
            // Another AT: an alias, and the time zone of an expression.
            (
                "SELECT * FROM s at WHERE at.a AT TIME ZONE 'UTC' > x",
                "s at WHERE at.a AT TIME ZONE 'UTC' > x",
            ),
            ("SELECT * FROM s AS at", "s AS at"),
            ("SELECT * FROM s at JOIN t USING (k)", "s at JOIN t USING(k)"),
        ] {
            assert_eq!(from(sql), expected, "{sql}");
        }
    }

    #[test]
    fn names_give_back_what_was_put_in() {
        for start in [StartAt::Earliest, StartAt::Latest, StartAt::Offset(u64::MAX), StartAt::Time(-5)] {
            let name = format!("s$at x{MARK}{start}");
            assert_eq!(split_start(&name), ("s$at x", start));
            assert!(has_start(&name));
        }
        for name in ["s", "", "s$at", "s$at sometime", "s$at offset x", "at latest"] {
            assert_eq!(split_start(name), (name, StartAt::Earliest));
            assert!(!has_start(name));
        }
    }

    #[test]
    fn mistakes_have_their_place() {
        for (sql, at, message) in [
            ("SELECT * FROM s AT 'soon'", "'soon'", "cannot be read as a time"),
            ("SELECT * FROM s AT 17", "17", "does not say what 17 is"),
            ("SELECT * FROM s AT OFFSET -1", "OFFSET -", "whole number"),
            ("SELECT * FROM s AT OFFSET 1.5", "OFFSET 1.5", "whole number"),
            ("SELECT * FROM s AT LATST", "LATST", "expected a place to start from"),
            ("SELECT * FROM s AT now() - INTERVAL '1 hour'", "now", "not the result of a function"),
            ("SELECT * FROM s AT TIMESTAMP 5", "TIMESTAMP", "needs a time"),
            ("WITH c AS (SELECT 1 AS a) SELECT * FROM c AT LATEST", "c AT LATEST", "begins nowhere else"),
        ] {
            let diagnostic = parse(sql).unwrap_err();
            assert!(diagnostic.message.contains(message), "{sql}: {}", diagnostic.message);
            assert_eq!(&sql[diagnostic.span.unwrap()], at, "{sql}");
        }
    }
}
