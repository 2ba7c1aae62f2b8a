//! How a query's rows are to be listed: its outermost ORDER BY, where it names columns of the result.

use super::words::folded;
use sqlparser::ast::{Expr, OrderByKind, Query, Value};

/// A column of the result by which its rows are ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedBy {
    /// Its folded name, or its number from 1.
    pub column: Result<String, usize>,
    /// Greatest first.
    pub descending: bool,
    /// Nulls first.
    pub nulls_first: bool,
}

/// The columns of the result that ORDER BY names, up to the first thing that is none.
pub fn listed_by(query: &Query) -> Vec<ListedBy> {
    let Some(order) = &query.order_by else { return Vec::new() };
    let OrderByKind::Expressions(items) = &order.kind else { return Vec::new() };
    let mut listed = Vec::new();
    for item in items {
        let column = match &item.expr {
            Expr::Identifier(name) => Ok(folded(name)),
            Expr::CompoundIdentifier(parts) => match parts.last() {
                Some(name) => Ok(folded(name)),
                None => break,
            },
            Expr::Value(value) => match &value.value {
                Value::Number(number, _) => match number.parse() {
                    Ok(number) => Err(number),
                    Err(_) => break,
                },
                _ => break,
            },
            _ => break,
        };
        let descending = item.options.asc == Some(false);
        let nulls_first = item.options.nulls_first.unwrap_or(descending);
        listed.push(ListedBy { column, descending, nulls_first });
    }
    listed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Statement, parse};

    #[test]
    fn names_and_numbers_are_found_up_to_an_expression() {
        let listed = |sql: &str| match &parse(sql).unwrap()[0].statement {
            Statement::Query(query) => listed_by(&query.query),
            _ => panic!("{sql}"),
        };
        let by = |column: Result<&str, usize>, descending, nulls_first| ListedBy {
            column: column.map(String::from),
            descending,
            nulls_first,
        };
        assert_eq!(listed("SELECT 1"), []);
        assert_eq!(
            listed("SELECT a, b, c FROM t ORDER BY T.A DESC, 2, c NULLS FIRST, a + 1, b"),
            [by(Ok("a"), true, true), by(Err(2), false, false), by(Ok("c"), false, true)]
        );
    }
}
