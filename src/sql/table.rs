//! What only tables have: PRIMARY KEY, UPDATE and DELETE.
//!
//! UPDATE and DELETE become queries over the table: which rows they are about, and the new values.

use super::code::Code;
use super::cursor::Cursor;
use super::diagnostic::Diagnostic;
use super::relation::{select_all, table};
use super::rewrite;
use super::statement::{ColumnDef, CreateKind, Delete, EmitQuery, KeyDef, Name, Statement, Update};
use sqlparser::ast::{Expr, Ident, ObjectName, Query, SelectItem, SetExpr, TableWithJoins};
use sqlparser::tokenizer::Token;
use std::ops::Range;

/// Whether a PRIMARY KEY clause is next, maybe with a name.
pub(super) fn begins_key(cursor: &Cursor<'_>) -> bool {
    cursor.sees_all(&["PRIMARY", "KEY"]) || (cursor.sees(0, "CONSTRAINT") && cursor.sees(2, "PRIMARY"))
}

/// `[CONSTRAINT name] PRIMARY KEY (column, …) [NOT ENFORCED]`.
pub(super) fn key_clause(cursor: &mut Cursor<'_>) -> Result<KeyDef, Diagnostic> {
    let start = cursor.here().start;
    if cursor.eat(&["CONSTRAINT"]) {
        cursor.name("a name for the constraint")?;
    }
    cursor.expect("PRIMARY")?;
    cursor.expect("KEY")?;
    cursor.expect_token(&Token::LParen)?;
    let mut columns: Vec<Name> = Vec::new();
    loop {
        let column = cursor.name("a column of the key")?;
        if columns.iter().any(|other| other.value == column.value) {
            let message = format!("column {} stands in the key twice", column.value);
            return Err(Diagnostic::coded(Code::Taken, message).at(column.span));
        }
        columns.push(column);
        if !cursor.parser.consume_token(&Token::Comma) {
            break;
        }
    }
    cursor.expect_token(&Token::RParen)?;
    // As Flink writes it; here the key is what the rows are kept by.
    cursor.eat(&["NOT", "ENFORCED"]);
    Ok(KeyDef { columns, span: start..cursor.last_end() })
}

/// Takes a key, unless there is one.
pub(super) fn set_key(key: &mut Option<KeyDef>, new: KeyDef) -> Result<(), Diagnostic> {
    if key.is_some() {
        return Err(Diagnostic::coded(Code::Key, "a table has one primary key")
            .at(new.span)
            .help("a key of several columns is written PRIMARY KEY (a, b)"));
    }
    *key = Some(new);
    Ok(())
}

/// CREATE TABLE without a key.
pub(super) fn no_key(name: &Name, columns: &[ColumnDef]) -> Diagnostic {
    let column = columns.first().map_or("column", |c| c.name.value.as_str());
    Diagnostic::coded(Code::Key, "a table needs a primary key: the columns that tell its rows apart")
        .at(name.span.clone())
        .help(format!(
            "add PRIMARY KEY ({column}) behind the columns; for rows that only come, CREATE STREAM"
        ))
}

/// WATERMARK in a table.
pub(super) fn no_watermark(kind: CreateKind, span: Range<usize>) -> Diagnostic {
    Diagnostic::coded(Code::EventTime, format!("a {} has no watermark yet", kind.word()))
        .at(span)
        .help("leave it out; what goes by event time, such as EMIT FINAL, needs a stream")
}

/// `UPDATE table SET column = value, … [WHERE …]`.
pub(super) fn update(cursor: &mut Cursor<'_>) -> Result<Statement, Diagnostic> {
    let start = cursor.here().start;
    cursor.parser.advance_token();
    let table = table_name(cursor)?;
    cursor.expect("SET")?;
    let (mut columns, mut items) = (Vec::<Name>::new(), Vec::new());
    loop {
        let column = cursor.name("a column")?;
        if columns.iter().any(|other| other.value == column.value) {
            let message = format!("column {} is set twice", column.value);
            return Err(Diagnostic::coded(Code::Taken, message).at(column.span));
        }
        cursor.expect_token(&Token::Eq)?;
        let expr = expression(cursor)?;
        items.push(SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', &column.value) });
        columns.push(column);
        if !cursor.parser.consume_token(&Token::Comma) {
            break;
        }
    }
    let query = rows_of(cursor, start, &table, items)?;
    Ok(Statement::Update(Box::new(Update { table, columns, query })))
}

/// `DELETE FROM table [WHERE …]`.
pub(super) fn delete(cursor: &mut Cursor<'_>) -> Result<Statement, Diagnostic> {
    let start = cursor.here().start;
    cursor.parser.advance_token();
    cursor.expect("FROM")?;
    let table = table_name(cursor)?;
    let query = rows_of(cursor, start, &table, Vec::new())?;
    Ok(Statement::Delete(Box::new(Delete { table, query })))
}

fn table_name(cursor: &mut Cursor<'_>) -> Result<Name, Diagnostic> {
    cursor.name("a table")
}

fn expression(cursor: &mut Cursor<'_>) -> Result<Expr, Diagnostic> {
    let parsed = cursor.parser.parse_expr();
    parsed.map_err(|error| cursor.convert(error))
}

/// The query of the rows that the rest of the statement is about.
fn rows_of(
    cursor: &mut Cursor<'_>,
    start: usize,
    name: &Name,
    items: Vec<SelectItem>,
) -> Result<EmitQuery, Diagnostic> {
    let selection = match cursor.eat(&["WHERE"]) {
        true => Some(expression(cursor)?),
        false => None,
    };
    if !cursor.at_end() && selection.is_none() {
        return Err(cursor.expected_one_of("WHERE or the end of the statement", &["WHERE"]));
    }
    cursor.finish()?;
    let ident = Ident::with_quote('"', &name.value);
    let relation = table(ObjectName::from(vec![ident]), None);
    let mut query = select_all(TableWithJoins { relation, joins: vec![] });
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.projection = items;
        select.selection = selection;
    }
    let span = start..cursor.last_end();
    rewrite::query(&mut query).map_err(|mistake| cursor.place(mistake, span.clone()))?;
    Ok(EmitQuery { query, span, emit: None })
}

/// A query of UPDATE or DELETE with these columns of its table behind its own, the n-th under the name `__old_n`.
pub fn with_columns<'a>(query: &EmitQuery, columns: impl Iterator<Item = &'a str>) -> EmitQuery {
    let mut query = query.clone();
    let Query { body, .. } = query.query.as_mut();
    if let SetExpr::Select(select) = body.as_mut() {
        let old = |(i, name): (usize, &str)| SelectItem::ExprWithAlias {
            expr: Expr::Identifier(Ident::with_quote('"', name)),
            alias: Ident::with_quote('"', format!("__old_{i}")),
        };
        select.projection.extend(columns.enumerate().map(old));
    }
    query
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::parse;

    fn statement(text: &str) -> Result<Statement, String> {
        parse(text).map(|mut s| s.remove(0).statement).map_err(|d| d.message)
    }

    #[test]
    fn keys_stand_behind_a_column_or_alone() {
        let key = |text: &str| match statement(text) {
            Ok(Statement::CreateStream(c)) => Ok(c
                .primary_key
                .map(|k| k.columns.iter().map(|c| c.value.clone()).collect::<Vec<_>>().join(","))),
            Ok(_) => Err("another statement".into()),
            Err(message) => Err(message),
        };
        let some = |key: &str| Ok(Some(key.to_string()));
        assert_eq!(key("CREATE TABLE t (a INT PRIMARY KEY, b INT)"), some("a"));
        assert_eq!(key("CREATE TABLE t (a INT NOT NULL PRIMARY KEY NOT ENFORCED, b INT)"), some("a"));
        assert_eq!(key("CREATE TABLE t (a INT, B TEXT, PRIMARY KEY (b, A) NOT ENFORCED)"), some("b,a"));
        assert_eq!(key("CREATE TABLE t (a INT, CONSTRAINT pk PRIMARY KEY (a))"), some("a"));
        assert_eq!(key("CREATE TABLE t (PRIMARY KEY (a)) AS SELECT 1 AS a"), some("a"));
        assert_eq!(key("CREATE TABLE t AS SELECT 1 AS a"), Ok(None));
        assert_eq!(key("CREATE MATERIALIZED VIEW IF NOT EXISTS v AS SELECT 1 AS a EMIT CHANGES"), Ok(None));
        let wrong = |text: &str| key(text).unwrap_err();
        assert!(wrong("CREATE TABLE t (a INT)").contains("needs a primary key"));
        assert!(wrong("CREATE TABLE t (a INT PRIMARY KEY, PRIMARY KEY (a))").contains("one primary key"));
        assert!(wrong("CREATE TABLE t (a INT, PRIMARY KEY (c))").contains("no column c for the primary key"));
        assert!(wrong("CREATE TABLE t (a INT, PRIMARY KEY (a, a))").contains("twice"));
        assert!(wrong("CREATE STREAM t (a INT PRIMARY KEY)").contains("not supported in a stream"));
        assert!(wrong("CREATE TABLE t (a INT, UNIQUE (a))").contains("not supported in a table"));
        assert!(wrong("CREATE MATERIALIZED VIEW v (a INT)").contains("expected AS SELECT"));
        assert!(
            wrong("CREATE TABLE t (a INT PRIMARY KEY, ts TIMESTAMP, WATERMARK FOR ts AS ts)")
                .contains("watermark")
        );
    }

    #[test]
    fn updates_and_deletes_become_queries() {
        let query = |text: &str| match statement(text).unwrap() {
            Statement::Update(u) => with_columns(&u.query, ["k", "v"].into_iter()).query.to_string(),
            Statement::Delete(d) => with_columns(&d.query, ["k"].into_iter()).query.to_string(),
            _ => "another statement".into(),
        };
        assert_eq!(
            query("UPDATE T SET V = v + 1, w = 'x' WHERE k IN (SELECT k FROM s)"),
            "SELECT v + 1 AS \"v\", 'x' AS \"w\", \"k\" AS \"__old_0\", \"v\" AS \"__old_1\" FROM \"t\" \
             WHERE k IN (SELECT k FROM s)"
        );
        assert_eq!(query("DELETE FROM t"), "SELECT \"k\" AS \"__old_0\" FROM \"t\"");
        assert_eq!(query("DELETE FROM t WHERE v > 3;"), "SELECT \"k\" AS \"__old_0\" FROM \"t\" WHERE v > 3");
        for (text, message) in [
            ("UPDATE t SET v = 1, v = 2", "column v is set twice"),
            ("UPDATE t WHERE v = 1", "expected SET, found WHERE"),
            ("DELETE t", "expected FROM, found t"),
            ("DELETE FROM t USING s", "expected WHERE or the end of the statement, found USING"),
            (
                "UPDATE t SET v = 1 WHERE k = 1 RETURNING k",
                "expected the end of the statement, found RETURNING",
            ),
        ] {
            let found = statement(text).err().unwrap_or_default();
            assert!(found.starts_with(message), "{text}: {found}");
        }
    }
}
