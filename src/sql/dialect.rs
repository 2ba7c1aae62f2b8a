//! The SQL dialect: Postgres' lexical rules, DuckDB's comforts, and `TABLE s` as a function's argument.

use super::partition;
use super::relation::{TABLE_ARGUMENT, marked, partitioned, select_all, table};
use super::words::is_word;
use sqlparser::ast::{Expr, Ident, TableFactor, TableWithJoins};
use sqlparser::dialect::{Dialect, GenericDialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;
use std::any::TypeId;

/// The dialect of every text that Millstream reads.
#[derive(Debug)]
pub(super) struct StreamDialect;

/// Words that begin a clause of ours and so are no alias unless AS says so.
const CLAUSE_WORDS: &[&str] = &["EMIT", "WITHIN", "MATCH_RECOGNIZE", "ASOF"];

impl Dialect for StreamDialect {
    // The parser still asks for the dialect's identity in places that have no method of their own.
    fn dialect(&self) -> TypeId {
        TypeId::of::<GenericDialect>()
    }
    /// The operators of JSON bind as in Postgres: as `||` does, tighter than `=`.
    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        let json = matches!(
            parser.peek_token_ref().token,
            Token::Arrow | Token::LongArrow | Token::HashArrow | Token::HashLongArrow
        );
        json.then(|| Ok(self.prec_value(Precedence::PlusMinus)))
    }
    fn is_identifier_start(&self, c: char) -> bool {
        c.is_alphabetic() || c == '_'
    }
    fn is_identifier_part(&self, c: char) -> bool {
        c.is_alphanumeric() || c == '_' || c == '$'
    }
    fn is_delimited_identifier_start(&self, c: char) -> bool {
        c == '"' || c == '`'
    }
    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }
    fn supports_group_by_expr(&self) -> bool {
        true
    }
    fn supports_window_function_null_treatment_arg(&self) -> bool {
        true
    }
    fn supports_window_clause_named_window_reference(&self) -> bool {
        true
    }
    fn supports_named_fn_args_with_rarrow_operator(&self) -> bool {
        true
    }
    fn supports_dictionary_syntax(&self) -> bool {
        true
    }
    fn support_map_literal_syntax(&self) -> bool {
        true
    }
    fn supports_struct_literal(&self) -> bool {
        true
    }
    fn supports_array_typedef_with_brackets(&self) -> bool {
        true
    }
    fn supports_select_wildcard_except(&self) -> bool {
        true
    }
    fn supports_select_wildcard_exclude(&self) -> bool {
        true
    }
    fn supports_select_wildcard_replace(&self) -> bool {
        true
    }
    fn supports_string_escape_constant(&self) -> bool {
        true
    }
    fn supports_unicode_string_literal(&self) -> bool {
        true
    }
    fn supports_numeric_literal_underscores(&self) -> bool {
        true
    }
    fn supports_nested_comments(&self) -> bool {
        true
    }
    fn supports_values_as_table_factor(&self) -> bool {
        true
    }
    fn supports_parens_around_table_factor(&self) -> bool {
        true
    }
    fn allow_extract_custom(&self) -> bool {
        true
    }
    fn allow_extract_single_quotes(&self) -> bool {
        true
    }
    fn supports_extract_comma_syntax(&self) -> bool {
        true
    }
    fn supports_bitwise_shift_operators(&self) -> bool {
        true
    }
    fn supports_try_convert(&self) -> bool {
        true
    }
    fn supports_in_empty_list(&self) -> bool {
        true
    }
    fn supports_limit_comma(&self) -> bool {
        true
    }

    fn is_table_factor_alias(&self, explicit: bool, keyword: &Keyword, parser: &mut Parser) -> bool {
        explicit || (!at_clause_word(parser) && self.is_table_alias(keyword, parser))
    }

    fn is_select_item_alias(&self, explicit: bool, keyword: &Keyword, parser: &mut Parser) -> bool {
        explicit || (!at_clause_word(parser) && self.is_column_alias(keyword, parser))
    }

    /// `TABLE s`, `TABLE (SELECT …)` and what has a PARTITION BY where a function's argument begins.
    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        if !argument_begins(parser) {
            return None;
        }
        if !parser.peek_keyword(Keyword::TABLE) {
            return partition::relation_follows(parser).then(|| relation_argument(parser));
        }
        match &parser.peek_nth_token_ref(1).token {
            Token::Word(word) if !matches!(word.keyword, Keyword::FROM | Keyword::AS) => {
                parser.next_token();
                Some(relation_argument(parser))
            }
            Token::LParen => {
                parser.next_token();
                Some(query_argument(parser))
            }
            _ => None,
        }
    }
}

/// The word in question is the parser's current token when an alias hook is called.
fn at_clause_word(parser: &Parser) -> bool {
    let token = &parser.get_current_token().token;
    CLAUSE_WORDS.iter().any(|word| is_word(token, word))
}

fn argument_begins(parser: &Parser) -> bool {
    matches!(parser.get_current_token().token, Token::LParen | Token::Comma | Token::RArrow)
}

/// `s [PARTITION BY key, …]`, as a marked `SELECT * FROM s`; TABLE, if it stood before, is the current token.
fn relation_argument(parser: &mut Parser) -> Result<Expr, ParserError> {
    if parser.peek_token_ref().token == Token::LParen {
        return query_argument(parser);
    }
    let mut span = parser.peek_token_ref().span;
    if is_word(&parser.get_current_token().token, "TABLE") {
        span = parser.get_current_token().span;
    }
    let name = parser.parse_object_name(false)?;
    let from = TableWithJoins { relation: table(name, None), joins: vec![] };
    let keys = partition::keys(parser)?;
    let relation = marked(Ident::with_span(span, TABLE_ARGUMENT), select_all(from));
    Ok(match keys {
        Some(keys) => partitioned(relation, keys),
        None => relation,
    })
}

/// `(SELECT …)`, as the plain subquery that it is, or marked if a PARTITION BY follows.
fn query_argument(parser: &mut Parser) -> Result<Expr, ParserError> {
    let span = parser.peek_token_ref().span;
    parser.expect_token(&Token::LParen)?;
    let subquery = parser.parse_query()?;
    parser.expect_token(&Token::RParen)?;
    let Some(keys) = partition::keys(parser)? else { return Ok(Expr::Subquery(subquery)) };
    let relation = TableFactor::Derived { lateral: false, subquery, alias: None, sample: None };
    let from = TableWithJoins { relation, joins: vec![] };
    Ok(partitioned(marked(Ident::with_span(span, TABLE_ARGUMENT), select_all(from)), keys))
}
