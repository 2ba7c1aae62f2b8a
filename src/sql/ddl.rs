//! CREATE STREAM, CREATE VIEW and DROP.

use super::cursor::Cursor;
use super::diagnostic::Diagnostic;
use super::parser::{literal, query};
use super::statement::{
    ColumnDef, CreateStream, CreateView, Name, ObjectKind, Statement, WatermarkDef, WithOption,
};
use super::types;
use super::words::{did_you_mean, folded, unquoted};
use sqlparser::ast::{BinaryOperator, Expr};
use sqlparser::tokenizer::Token;

const WATERMARK: &str = "write WATERMARK FOR column AS column - INTERVAL '5 seconds'";

/// CREATE, up to what is created.
pub(super) fn create(cursor: &mut Cursor<'_>) -> Result<Statement, Diagnostic> {
    let start = cursor.here().start;
    cursor.parser.advance_token();
    let or_replace = cursor.eat(&["OR", "REPLACE"]);
    if cursor.eat(&["VIEW"]) {
        return view(cursor, or_replace);
    }
    if cursor.sees(0, "STREAM") {
        if or_replace {
            return Err(Diagnostic::new("a stream cannot be replaced")
                .at(start..cursor.here().end)
                .help("DROP STREAM IF EXISTS removes the old one with its rows"));
        }
        cursor.parser.advance_token();
        return stream(cursor);
    }
    Err(not_created(cursor, start))
}

/// What cannot be created: known things by their name, with what to write instead.
fn not_created(cursor: &mut Cursor<'_>, start: usize) -> Diagnostic {
    let stream = "use CREATE STREAM, or CREATE VIEW for a named query";
    let not_yet: [(&[&str], &str); 9] = [
        (&["TABLE"], stream),
        (&["MATERIALIZED", "VIEW"], "use CREATE STREAM name AS SELECT … EMIT FINAL, or CREATE VIEW"),
        (&["EXTERNAL", "TABLE"], "use CREATE STREAM … WITH (connector = 'file', path = '…')"),
        (&["TEMPORARY", "VIEW"], "use CREATE VIEW"),
        (&["TEMPORARY", "TABLE"], stream),
        (&["TEMP", "VIEW"], "use CREATE VIEW"),
        (&["TEMP", "TABLE"], stream),
        (&["SOURCE"], "use CREATE STREAM … WITH (connector = …)"),
        (&["SINK"], "use CREATE STREAM … WITH (connector = …) and INSERT INTO"),
    ];
    for (words, help) in not_yet {
        if cursor.eat(words) {
            let message = format!("CREATE {} is not supported yet", words.join(" "));
            return Diagnostic::new(message).at(start..cursor.last_end()).help(help);
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
            Diagnostic::new(format!("CREATE {word} is not supported")).at(start..cursor.here().end)
        }
        _ => cursor.expected_one_of("STREAM or VIEW after CREATE", &["STREAM", "VIEW"]),
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
        return Err(Diagnostic::new("a view has no EMIT")
            .at(span.clone())
            .help("leave it out: EMIT belongs to the query that uses the view"));
    }
    Ok(Statement::CreateView(Box::new(CreateView { name, if_not_exists, or_replace, query })))
}

fn stream(cursor: &mut Cursor<'_>) -> Result<Statement, Diagnostic> {
    let if_not_exists = if_not_exists(cursor)?;
    let name = cursor.name("a name for the stream")?;
    let (columns, watermark) = match cursor.parser.consume_token(&Token::LParen) {
        true => definitions(cursor)?,
        false => (vec![], None),
    };
    let options = match cursor.eat(&["WITH"]) {
        true => options(cursor)?,
        false => vec![],
    };
    let query = match cursor.eat(&["AS"]) {
        true => Some(query(cursor)?),
        false => None,
    };
    // Some connectors know their columns; which do is not for the parser to say.
    let known = options.iter().any(|option| option.name.value == "connector");
    if query.is_none() && columns.is_empty() && !known {
        return Err(cursor
            .expected("columns, or AS SELECT")
            .help("write CREATE STREAM name (column TYPE, …) WITH (…), or CREATE STREAM name AS SELECT …"));
    }
    if query.is_none() && !cursor.at_end() {
        return Err(cursor.expected_one_of("WITH, AS or the end of the statement", &["WITH", "AS"]));
    }
    let create = CreateStream { name, if_not_exists, columns, watermark, options, query };
    Ok(Statement::CreateStream(Box::new(create)))
}

/// Columns and the watermark, up to the closing parenthesis.
fn definitions(cursor: &mut Cursor<'_>) -> Result<(Vec<ColumnDef>, Option<WatermarkDef>), Diagnostic> {
    let mut columns: Vec<ColumnDef> = vec![];
    let mut watermark: Option<WatermarkDef> = None;
    loop {
        if cursor.sees_all(&["WATERMARK", "FOR"]) {
            let clause = watermark_clause(cursor)?;
            if watermark.is_some() {
                return Err(Diagnostic::new("a stream has one watermark").at(clause.span));
            }
            watermark = Some(clause);
        } else {
            no_constraint(cursor)?;
            if !columns.is_empty() && cursor.peek().token == Token::RParen {
                return Err(cursor.expected("a column").help("remove the comma before it"));
            }
            let column = column(cursor)?;
            if columns.iter().any(|other| other.name.value == column.name.value) {
                let message = format!("column {} is declared twice", column.name.value);
                return Err(Diagnostic::new(message).at(column.name.span));
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
        watermark_column(watermark, &columns)?;
    }
    Ok((columns, watermark))
}

/// The watermark's column must be one of the columns, where columns are declared.
fn watermark_column(watermark: &WatermarkDef, columns: &[ColumnDef]) -> Result<(), Diagnostic> {
    let column = &watermark.column;
    if columns.is_empty() || columns.iter().any(|other| other.name.value == column.value) {
        return Ok(());
    }
    let names = || columns.iter().map(|column| column.name.value.as_str());
    let help = did_you_mean(&column.value, names())
        .unwrap_or_else(|| format!("the columns are {}", names().collect::<Vec<_>>().join(", ")));
    Err(Diagnostic::new(format!("there is no column {} for the watermark", column.value))
        .at(column.span.clone())
        .help(help))
}

fn no_constraint(cursor: &mut Cursor<'_>) -> Result<(), Diagnostic> {
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
            return Err(Diagnostic::new(format!("{what} is not supported in a stream"))
                .at(cursor.here())
                .help("a stream keeps every row; the option key = 'column' places rows by a key"));
        }
    }
    Ok(())
}

fn column(cursor: &mut Cursor<'_>) -> Result<ColumnDef, Diagnostic> {
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
            return Err(Diagnostic::new("expected FOR after WATERMARK").at(type_span).help(WATERMARK));
        }
        return Err(mistake.at(type_span));
    }
    let mut not_null = false;
    loop {
        if cursor.eat(&["NOT", "NULL"]) {
            not_null = true;
        } else if !cursor.eat(&["NULL"]) {
            break;
        }
    }
    no_constraint(cursor)?;
    if !matches!(cursor.peek().token, Token::Comma | Token::RParen) {
        return Err(cursor.expected_one_of("NOT NULL, a comma or )", &["NOT"]));
    }
    Ok(ColumnDef { name, data_type, type_span, not_null })
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
        return Err(Diagnostic::new(format!("a watermark is {name} or {name} less an interval"))
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
            return Err(Diagnostic::new(format!("option {} is given twice", name.value)).at(name.span));
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
        return Err(Diagnostic::new("options have lower-case names, with _ between words")
            .at(span)
            .help(format!("write {underscored}")));
    }
    Ok(Name { value, span })
}

/// DROP STREAM or VIEW.
pub(super) fn drop(cursor: &mut Cursor<'_>) -> Result<Statement, Diagnostic> {
    cursor.parser.advance_token();
    let kind = if cursor.eat(&["STREAM"]) {
        ObjectKind::Stream
    } else if cursor.eat(&["VIEW"]) {
        ObjectKind::View
    } else if cursor.sees(0, "TABLE") || cursor.sees(0, "TOPIC") {
        return Err(cursor.expected("STREAM or VIEW after DROP").help("write DROP STREAM"));
    } else {
        return Err(cursor.expected_one_of("STREAM or VIEW after DROP", &["STREAM", "VIEW"]));
    };
    let if_exists = cursor.eat(&["IF", "EXISTS"]);
    let name = cursor.name(if kind == ObjectKind::Stream { "a stream" } else { "a view" })?;
    Ok(Statement::Drop { kind, name, if_exists })
}
