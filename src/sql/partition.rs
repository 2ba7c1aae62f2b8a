//! `PARTITION BY` behind the relation that a session window is over: `SESSION(TABLE s PARTITION BY k, l, DESCRIPTOR(ts), …)`.
//!
//! Nothing but commas stands between the keys and the arguments after them, so where the keys end has to be looked
//! for: before DESCRIPTOR, before a named argument, and else before the last two, which are the time and the gap.

use super::words::is_word;
use sqlparser::ast::Expr;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

/// Whether the argument that begins here is `s PARTITION BY …` or `(SELECT …) PARTITION BY …`.
pub(super) fn relation_follows(parser: &Parser) -> bool {
    let mut at = 0;
    match &token(parser, 0) {
        Token::LParen => at = closing(parser) + 1,
        Token::Word(word) if word.keyword != Keyword::PARTITION => {
            at += 1;
            while *token(parser, at) == Token::Period {
                at += 2;
            }
        }
        _ => return false,
    }
    is_word(token(parser, at), "PARTITION") && is_word(token(parser, at + 1), "BY")
}

/// The keys of `PARTITION BY k, l`, if it stands here.
pub(super) fn keys(parser: &mut Parser) -> Result<Option<Vec<Expr>>, ParserError> {
    if !parser.parse_keywords(&[Keyword::PARTITION, Keyword::BY]) {
        return Ok(None);
    }
    let mut keys = Vec::new();
    for i in 0..count(parser) {
        if i > 0 {
            parser.expect_token(&Token::Comma)?;
        }
        keys.extend(flat(parser.parse_expr()?));
    }
    Ok(Some(keys))
}

/// One key, or the keys in parentheses.
pub(super) fn flat(keys: Expr) -> Vec<Expr> {
    match keys {
        Expr::Tuple(keys) => keys,
        Expr::Nested(key) => vec![*key],
        key => vec![key],
    }
}

/// How many of the arguments from here on are keys.
fn count(parser: &Parser) -> usize {
    let mut starts = vec![0];
    let named = loop {
        let start = starts[starts.len() - 1];
        if *token(parser, start + 1) == Token::RArrow {
            starts.pop();
            break true;
        }
        let end = end_of_part(parser, start);
        if *token(parser, end) != Token::Comma {
            break false;
        }
        starts.push(end + 1);
    };
    let first = |word: &str| starts.iter().position(|start| is_word(token(parser, *start), word));
    let count = match (first("DESCRIPTOR"), first("INTERVAL")) {
        (Some(time), _) => time,
        (None, Some(gap)) => gap.saturating_sub(1),
        (None, None) if named => starts.len(),
        (None, None) => starts.len().saturating_sub(2),
    };
    count.max(1)
}

/// The closing parenthesis of the opening one that is next; the end if there is none.
fn closing(parser: &Parser) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    loop {
        match token(parser, at) {
            Token::EOF => return at,
            Token::LParen => depth += 1,
            Token::RParen if depth == 1 => return at,
            Token::RParen => depth -= 1,
            _ => {}
        }
        at += 1;
    }
}

/// The first comma or closing parenthesis from `at` on that is not inside of others; the end if there is none.
fn end_of_part(parser: &Parser, mut at: usize) -> usize {
    let mut depth = 0_usize;
    loop {
        match token(parser, at) {
            Token::EOF => return at,
            Token::LParen | Token::LBracket | Token::LBrace => depth += 1,
            Token::Comma | Token::RParen if depth == 0 => return at,
            Token::RParen | Token::RBracket | Token::RBrace => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
}

fn token<'a>(parser: &'a Parser, at: usize) -> &'a Token {
    &parser.peek_nth_token_ref(at).token
}
