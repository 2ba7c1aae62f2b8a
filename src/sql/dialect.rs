//! The SQL dialect: Postgres' lexical rules, DuckDB's comforts, and `TABLE s` as a function's argument.

use super::relation::{PARTITIONED_ARGUMENT, TABLE_ARGUMENT, marked, select_all, table};
use super::words::is_word;
use sqlparser::ast::{Expr, Ident, TableWithJoins};
use sqlparser::dialect::{Dialect, GenericDialect};
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

    /// `TABLE s` and `TABLE (SELECT …)` where a function's argument begins.
    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        if !parser.peek_keyword(Keyword::TABLE) || !argument_begins(parser) {
            return None;
        }
        match &parser.peek_nth_token_ref(1).token {
            Token::Word(word) if !matches!(word.keyword, Keyword::FROM | Keyword::AS) => {
                Some(table_argument(parser))
            }
            Token::LParen => Some(query_argument(parser)),
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

/// `TABLE s [PARTITION BY key]`, as a marked `SELECT * FROM s`.
fn table_argument(parser: &mut Parser) -> Result<Expr, ParserError> {
    let mut marker = Ident::with_span(parser.next_token().span, TABLE_ARGUMENT);
    let name = parser.parse_object_name(false)?;
    if parser.parse_keywords(&[Keyword::PARTITION, Keyword::BY]) {
        // Only to get past it: the window then says that it takes no partition.
        parser.parse_expr()?;
        marker.value = PARTITIONED_ARGUMENT.to_owned();
    }
    let from = TableWithJoins { relation: table(name, None), joins: vec![] };
    Ok(marked(marker, select_all(from)))
}

/// `TABLE (SELECT …)`, as the plain subquery that it is.
fn query_argument(parser: &mut Parser) -> Result<Expr, ParserError> {
    parser.next_token();
    parser.expect_token(&Token::LParen)?;
    let query = parser.parse_query()?;
    parser.expect_token(&Token::RParen)?;
    Ok(Expr::Subquery(query))
}
