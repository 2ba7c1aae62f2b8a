//! CREATE STREAM, TABLE, VIEW, MATERIALIZED VIEW, and DROP.

use super::code::Code;
use super::cursor::Cursor;
use super::diagnostic::Diagnostic;
use super::parser::{literal, query};
use super::statement::{
    ColumnDef, CreateKind, CreateStream, CreateView, KeyDef, Name, ObjectKind, Statement, WatermarkDef,
    WithOption,
};
use super::table;
use super::types;
use super::words::{did_you_mean, folded, unquoted};
use sqlparser::ast::{BinaryOperator, Expr};
use sqlparser::tokenizer::Token;
use std::ops::Range;

const WATERMARK: &str = "write WATERMARK FOR column AS column - INTERVAL '5 seconds'";

/// CREATE, up to what is created.
pub(super) fn create(cursor: &mut Cursor<'_>) -> Result<Statement, Diagnostic> {
    let start = cursor.here().start;
    cursor.parser.advance_token();
    let or_replace = cursor.eat(&["OR", "REPLACE"]);
    if cursor.eat(&["VIEW"]) {
        return view(cursor, or_replace);
    }
    let kinds: [(&[&str], CreateKind); 3] = [
        (&["STREAM"], CreateKind::Stream),
        (&["TABLE"], CreateKind::Table),
        (&["MATERIALIZED", "VIEW"], CreateKind::MaterializedView),
    ];
    for (words, kind) in kinds {
        if cursor.eat(words) {
            if or_replace {
                return Err(Diagnostic::coded(
                    Code::NotSupported,
                    format!("a {} cannot be replaced", kind.word()),
                )
                .at(start..cursor.last_end())
                .help(format!("DROP {} IF EXISTS removes the old one with its rows", words.join(" "))));
            }
            return stream(cursor, kind);
        }
    }
    Err(not_created(cursor, start))
}

/// What cannot be created: known things by their name, with what to write instead.
fn not_created(cursor: &mut Cursor<'_>, start: usize) -> Diagnostic {
    let table = "use CREATE TABLE, or CREATE VIEW for a named query";
    let not_yet: [(&[&str], &str); 7] = [
        (&["EXTERNAL", "TABLE"], "use CREATE STREAM … WITH (connector = 'file', path = '…')"),
        (&["TEMPORARY", "VIEW"], "use CREATE VIEW"),
        (&["TEMPORARY", "TABLE"], table),
        (&["TEMP", "VIEW"], "use CREATE VIEW"),
        (&["TEMP", "TABLE"], table),
        (&["SOURCE"], "use CREATE STREAM … WITH (connector = …)"),
        (&["SINK"], "use CREATE STREAM … WITH (connector = …) and INSERT INTO"),
    ];
    for (words, help) in not_yet {
        if cursor.eat(words) {
            let message = format!("CREATE {} is not supported yet", words.join(" "));
            return Diagnostic::coded(Code::Syntax, message).at(start..cursor.last_end()).help(help);
        }
    }
    let known = [
        "INDEX",
        "SCHEMA",
        "DATABASE",
        "FUNCTION",
        "TYPE",
        "ROLE",
        "USER",
        "SEQUENCE",
        "TRIGGER",
        "DOMAIN",
        "EXTENSION",
        "MACRO",
        "PROCEDURE",
        "SECRET",
        "POLICY",
        "SERVER",
        "CONNECTOR",
        "STAGE",
        "UNIQUE",
    ];
    let word = unquoted(&cursor.peek().token).map(str::to_ascii_uppercase);
    match word {
        Some(word) if known.contains(&word.as_str()) => {
            Diagnostic::coded(Code::NotSupported, format!("CREATE {word} is not supported"))
                .at(start..cursor.here().end)
        }
        _ => cursor.expected_one_of(
            "STREAM, TABLE or VIEW after CREATE",
            &["STREAM", "TABLE", "VIEW", "MATERIALIZED"],
        ),
    }
}

fn if_not_exists(cursor: &mut Cursor<'_>) -> Result<bool, Diagnostic> {
    if cursor.eat(&["IF", "NOT", "EXISTS"]) {
        return Ok(true);
    }
    match cursor.sees_all(&["IF", "NOT"]) || cursor.sees_all(&["IF", "EXISTS"]) {
        true => Err(cursor.expected("IF NOT EXISTS")),
        false => Ok(false),
    }
}

fn view(cursor: &mut Cursor<'_>, or_replace: bool) -> Result<Statement, Diagnostic> {
    let if_not_exists = if_not_exists(cursor)?;
    let name = cursor.name("a name for the view")?;
    if cursor.peek().token == Token::LParen {
        return Err(cursor.expected("AS").help("name the columns in the view's SELECT"));
    }
    cursor.expect("AS")?;
    let query = query(cursor)?;
    if let Some((_, span)) = &query.emit {
        return Err(Diagnostic::coded(Code::Syntax, "a view has no EMIT")
            .at(span.clone())
            .help("leave it out: EMIT belongs to the query that uses the view"));
    }
    Ok(Statement::CreateView(Box::new(CreateView { name, if_not_exists, or_replace, query })))
}

fn stream(cursor: &mut Cursor<'_>, kind: CreateKind) -> Result<Statement, Diagnostic> {
    let word = kind.word();
    let if_not_exists = if_not_exists(cursor)?;
    let name = cursor.name(&format!("a name for the {word}"))?;
    let Definitions { columns, primary_key, watermark } = match cursor.parser.consume_token(&Token::LParen) {
        true => definitions(cursor, kind)?,
        false => Definitions::default(),
    };
    let options = match cursor.eat(&["WITH"]) {
        true => options(cursor)?,
        false => vec![],
    };
    let query = match cursor.eat(&["AS"]) {
        true => Some(query(cursor)?),
        false => None,
    };
    let upper = word.to_uppercase();
    if query.is_none() && kind == CreateKind::MaterializedView {
        return Err(cursor.expected("AS SELECT").help("write CREATE MATERIALIZED VIEW name AS SELECT …"));
    }
    // Some connectors know their columns; which do is not for the parser to say.
    let known = options.iter().any(|option| option.name.value == "connector");
    let inferred = known || kind == CreateKind::Table && primary_key.is_some();
    if query.is_none() && columns.is_empty() && !inferred {
        return Err(cursor.expected("columns, or AS SELECT").help(format!(
            "write CREATE {upper} name (column TYPE, …) WITH (…), or CREATE {upper} name AS SELECT …"
        )));
    }
    if query.is_none() && !cursor.at_end() {
        return Err(cursor.expected_one_of("WITH, AS or the end of the statement", &["WITH", "AS"]));
    }
    if query.is_none() && kind == CreateKind::Table && primary_key.is_none() {
        return Err(table::no_key(&name, &columns));
    }
    let create = CreateStream { kind, name, if_not_exists, columns, primary_key, watermark, options, query };
    Ok(Statement::CreateStream(Box::new(create)))
}

/// What stands in the parentheses behind a stream's name.
#[derive(Default)]
struct Definitions {
    columns: Vec<ColumnDef>,
    primary_key: Option<KeyDef>,
    watermark: Option<WatermarkDef>,
}

/// Columns, the primary key and the watermark, up to the closing parenthesis.
fn definitions(cursor: &mut Cursor<'_>, kind: CreateKind) -> Result<Definitions, Diagnostic> {
    let Definitions { mut columns, mut primary_key, mut watermark } = Definitions::default();
    loop {
        if cursor.sees_all(&["WATERMARK", "FOR"]) {
            let clause = watermark_clause(cursor)?;
            if kind != CreateKind::Stream {
                return Err(table::no_watermark(kind, clause.span));
            }
            if watermark.is_some() {
                return Err(Diagnostic::coded(Code::Syntax, "a stream has one watermark").at(clause.span));
            }
            watermark = Some(clause);
        } else if kind != CreateKind::Stream && table::begins_key(cursor) {
            table::set_key(&mut primary_key, table::key_clause(cursor)?)?;
        } else {
            no_constraint(cursor, kind)?;
            if !columns.is_empty() && cursor.peek().token == Token::RParen {
                return Err(cursor.expected("a column").help("remove the comma before it"));
            }
            let (column, key) = column(cursor, kind)?;
            if columns.iter().any(|other: &ColumnDef| other.name.value == column.name.value) {
                let message = format!("column {} is declared twice", column.name.value);
                return Err(Diagnostic::coded(Code::Taken, message).at(column.name.span));
            }
            if let Some(span) = key {
                table::set_key(&mut primary_key, KeyDef { columns: vec![column.name.clone()], span })?;
            }
            columns.push(column);
        }
        if !cursor.parser.consume_token(&Token::Comma) {
            break;
        }
    }
    if cursor.peek().token != Token::RParen {
        return Err(cursor.expected(", or )"));
    }
    cursor.parser.advance_token();
    if let Some(watermark) = &watermark {
        known_column(&watermark.column, "watermark", &columns)?;
    }
    for column in primary_key.iter().flat_map(|key: &KeyDef| &key.columns) {
        known_column(column, "primary key", &columns)?;
    }
    Ok(Definitions { columns, primary_key, watermark })
}

/// The column of a clause must be one of the columns, where columns are declared.
fn known_column(column: &Name, clause: &str, columns: &[ColumnDef]) -> Result<(), Diagnostic> {
    if columns.is_empty() || columns.iter().any(|other| other.name.value == column.value) {
        return Ok(());
    }
    let names = || columns.iter().map(|column| column.name.value.as_str());
    let help = did_you_mean(&column.value, names())
        .unwrap_or_else(|| format!("the columns are {}", names().collect::<Vec<_>>().join(", ")));
    Err(Diagnostic::coded(Code::NoColumn, format!("there is no column {} for the {clause}", column.value))
        .at(column.span.clone())
        .help(help))
}

fn no_constraint(cursor: &mut Cursor<'_>, kind: CreateKind) -> Result<(), Diagnostic> {
    let constraints: [(&[&str], &str); 4] = [
        (&["PRIMARY", "KEY"], "PRIMARY KEY"),
        (&["UNIQUE"], "UNIQUE"),
        (&["FOREIGN", "KEY"], "FOREIGN KEY"),
        (&["CONSTRAINT"], "CONSTRAINT"),
    ];
    for (words, what) in constraints {
        let begins = cursor.sees_all(words)
            && (words.len() > 1
                || what == "CONSTRAINT"
                || cursor.parser.peek_nth_token_ref(1).token == Token::LParen);
        if begins {
            let help = match (kind, what) {
                (CreateKind::Stream, "PRIMARY KEY") => {
                    "a stream keeps every row: CREATE TABLE keeps one for each key; the option key = 'column' places rows"
                }
                (CreateKind::Stream, _) => {
                    "a stream keeps every row; the option key = 'column' places rows by a key"
                }
                _ => "a table has a PRIMARY KEY and NOT NULL, and no other constraint",
            };
            let message = format!("{what} is not supported in a {}", kind.word());
            return Err(Diagnostic::coded(Code::NotSupported, message).at(cursor.here()).help(help));
        }
    }
    Ok(())
}

/// A column; if it is declared as the primary key, where.
fn column(
    cursor: &mut Cursor<'_>,
    kind: CreateKind,
) -> Result<(ColumnDef, Option<Range<usize>>), Diagnostic> {
    let watermark = cursor.sees(0, "WATERMARK");
    let name = cursor.name("a column")?;
    let start = cursor.here().start;
    if cursor.at_end() || matches!(cursor.peek().token, Token::Comma | Token::RParen) {
        return Err(cursor.expected(&format!("a type for column {}", name.value)));
    }
    let parsed = cursor.parser.parse_data_type();
    let data_type = parsed.map_err(|error| cursor.convert(error))?;
    let type_span = start..cursor.last_end();
    if let Err(mistake) = types::check(&data_type) {
        if watermark {
            return Err(Diagnostic::coded(Code::Syntax, "expected FOR after WATERMARK")
                .at(type_span)
                .help(WATERMARK));
        }
        return Err(mistake.at(type_span));
    }
    let (mut not_null, mut key) = (false, None);
    loop {
        let here = cursor.here().start;
        if cursor.eat(&["NOT", "NULL"]) {
            not_null = true;
        } else if kind != CreateKind::Stream && cursor.eat(&["PRIMARY", "KEY"]) {
            cursor.eat(&["NOT", "ENFORCED"]);
            key = Some(here..cursor.last_end());
        } else if !cursor.eat(&["NULL"]) {
            break;
        }
    }
    no_constraint(cursor, kind)?;
    if !matches!(cursor.peek().token, Token::Comma | Token::RParen) {
        return Err(cursor.expected_one_of("NOT NULL, a comma or )", &["NOT"]));
    }
    Ok((ColumnDef { name, data_type, type_span, not_null }, key))
}

fn watermark_clause(cursor: &mut Cursor<'_>) -> Result<WatermarkDef, Diagnostic> {
    let start = cursor.here().start;
    cursor.eat(&["WATERMARK", "FOR"]);
    let column = cursor.name("a column")?;
    if !cursor.eat(&["AS"]) {
        return Err(cursor.expected("AS").help(WATERMARK));
    }
    let expr_start = cursor.here().start;
    let parsed = cursor.parser.parse_expr();
    let expr = parsed.map_err(|error| cursor.convert(error))?;
    let end = cursor.last_end();
    let right = match &expr {
        Expr::BinaryOp { left, op: BinaryOperator::Minus, right } => {
            is_column(left, &column) && matches!(right.as_ref(), Expr::Interval(_))
        }
        other => is_column(other, &column),
    };
    if !right {
        let name = &column.value;
        return Err(Diagnostic::coded(
            Code::EventTime,
            format!("a watermark is {name} or {name} less an interval"),
        )
        .at(expr_start..end)
        .help(format!("write WATERMARK FOR {name} AS {name} - INTERVAL '5 seconds'")));
    }
    Ok(WatermarkDef { column, expr, span: start..end })
}

fn is_column(expr: &Expr, column: &Name) -> bool {
    match expr {
        Expr::Identifier(ident) => folded(ident) == column.value,
        Expr::Nested(inner) => is_column(inner, column),
        _ => false,
    }
}

/// `(name = value, …)`.
fn options(cursor: &mut Cursor<'_>) -> Result<Vec<WithOption>, Diagnostic> {
    cursor.expect_token(&Token::LParen)?;
    let mut options: Vec<WithOption> = vec![];
    if cursor.parser.consume_token(&Token::RParen) {
        return Ok(options);
    }
    loop {
        let name = option_name(cursor)?;
        if options.iter().any(|other| other.name.value == name.value) {
            return Err(Diagnostic::coded(Code::NoOption, format!("option {} is given twice", name.value))
                .at(name.span));
        }
        cursor.expect_token(&Token::Eq)?;
        let (value, value_span) = literal(cursor, false)?;
        options.push(WithOption { name, value, value_span });
        if !cursor.parser.consume_token(&Token::Comma) {
            break;
        }
    }
    if cursor.peek().token != Token::RParen {
        return Err(cursor.expected(", or )"));
    }
    cursor.parser.advance_token();
    Ok(options)
}

fn option_name(cursor: &mut Cursor<'_>) -> Result<Name, Diagnostic> {
    let span = cursor.here();
    let value = match &cursor.peek().token {
        Token::Word(word) if word.quote_style.is_none() => word.value.to_ascii_lowercase(),
        Token::Word(word) => word.value.clone(),
        Token::SingleQuotedString(text) => text.clone(),
        _ => return Err(cursor.expected("an option, as in format = 'json'")),
    };
    cursor.parser.advance_token();
    let snake = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if cursor.peek().token == Token::Period || value.is_empty() || !value.chars().all(snake) {
        while cursor.parser.consume_token(&Token::Period) {
            cursor.parser.advance_token();
        }
        let span = span.start..cursor.last_end();
        let written = cursor.index.text()[span.clone()].trim_matches(['\'', '"']);
        let underscored: String =
            written.to_ascii_lowercase().chars().map(|c| if snake(c) { c } else { '_' }).collect();
        return Err(Diagnostic::coded(Code::NoOption, "options have lower-case names, with _ between words")
            .at(span)
            .help(format!("write {underscored}")));
    }
    Ok(Name { value, span })
}

/// DROP STREAM, TABLE, VIEW or MATERIALIZED VIEW.
pub(super) fn drop(cursor: &mut Cursor<'_>) -> Result<Statement, Diagnostic> {
    cursor.parser.advance_token();
    let expected = "STREAM, TABLE or VIEW after DROP";
    let (kind, what) = if cursor.eat(&["STREAM"]) {
        (ObjectKind::Stream, "a stream")
    } else if cursor.eat(&["TABLE"]) {
        (ObjectKind::Table, "a table")
    } else if cursor.eat(&["VIEW"]) {
        (ObjectKind::View, "a view")
    } else if cursor.eat(&["MATERIALIZED", "VIEW"]) {
        (ObjectKind::MaterializedView, "a materialized view")
    } else if cursor.sees(0, "TOPIC") {
        return Err(cursor.expected(expected).help("write DROP STREAM"));
    } else {
        return Err(cursor.expected_one_of(expected, &["STREAM", "TABLE", "VIEW", "MATERIALIZED"]));
    };
    let if_exists = cursor.eat(&["IF", "EXISTS"]);
    let name = cursor.name(what)?;
    Ok(Statement::Drop { kind, name, if_exists })
}
