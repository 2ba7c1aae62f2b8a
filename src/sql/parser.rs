//! Text to statements.

use super::code::Code;
use super::cursor::Cursor;
use super::ddl;
use super::depth::with_deep_stack;
use super::diagnostic::Diagnostic;
use super::job;
use super::place::LineIndex;
use super::rewrite;
use super::statement::{Emit, EmitQuery, Insert, Name, ObjectKind, ParsedStatement, Statement};
use super::table;
use super::tokens::{Segment, segments};
use super::words::{did_you_mean, unquoted};
use sqlparser::ast::SetExpr;
use sqlparser::tokenizer::Token;
use std::ops::Range;

/// The words that begin a statement.
const VERBS: &[&str] = &[
    "CREATE",
    "INSERT",
    "UPDATE",
    "DELETE",
    "SELECT",
    "WITH",
    "VALUES",
    "DROP",
    "SHOW",
    "DESCRIBE",
    "DESC",
    "EXPLAIN",
    "SET",
    "RESET",
    "PAUSE",
    "RESUME",
    "STOP",
    "RESTART",
    "CHECKPOINT",
];

/// Statements that other systems have, with what to write here instead, if anything.
const FOREIGN: &[(&str, Option<&str>)] = &[
    ("TRUNCATE", Some("DELETE FROM a table deletes its rows; DROP STREAM removes a stream with its rows")),
    ("MERGE", Some("INSERT INTO a table replaces the rows whose keys are there")),
    ("UPSERT", Some("INSERT INTO a table replaces the rows whose keys are there")),
    ("REPLACE", Some("INSERT INTO a table replaces the rows whose keys are there")),
    ("ALTER", Some("DROP and CREATE it again")),
    ("COPY", Some("CREATE STREAM … WITH (connector = 'file', path = '…') reads a file")),
    ("LOAD", Some("CREATE STREAM … WITH (connector = 'file', path = '…') reads a file")),
    ("PRINT", Some("SELECT * FROM stream EMIT CHANGES shows rows as they come")),
    ("USE", None),
    ("CALL", None),
    ("EXECUTE", None),
    ("PREPARE", None),
    ("DEALLOCATE", None),
    ("BEGIN", None),
    ("START", None),
    ("COMMIT", None),
    ("ROLLBACK", None),
    ("SAVEPOINT", None),
    ("RELEASE", None),
    ("GRANT", None),
    ("REVOKE", None),
    ("DENY", None),
    ("ANALYZE", None),
    ("VACUUM", None),
    ("OPTIMIZE", None),
    ("COMMENT", None),
    ("RENAME", None),
    ("CACHE", None),
    ("UNCACHE", None),
    ("REFRESH", None),
    ("FLUSH", None),
    ("DISCARD", None),
    ("LOCK", None),
    ("UNLOCK", None),
    ("DECLARE", None),
    ("FETCH", None),
    ("OPEN", None),
    ("CLOSE", None),
    ("LISTEN", None),
    ("UNLISTEN", None),
    ("NOTIFY", None),
    ("KILL", None),
    ("PRAGMA", None),
    ("ATTACH", None),
    ("DETACH", None),
    ("INSTALL", None),
    ("UNLOAD", None),
    ("EXPORT", None),
    ("ASSERT", None),
    ("MSCK", None),
    ("RAISE", None),
    ("RETURN", None),
    ("IF", None),
    ("WHILE", None),
    ("CASE", None),
    ("FROM", Some("begin the query with SELECT")),
    ("TABLE", Some("write SELECT * FROM name")),
];

/// Parses a whole text: all of its statements, or the first mistake.
///
/// Spans are bytes of `sql`. A trailing semicolon may be left out; empty statements are skipped.
pub fn parse(sql: &str) -> Result<Vec<ParsedStatement>, Diagnostic> {
    match parse_all(sql) {
        (statements, None) => Ok(statements),
        (_, Some(mistake)) => Err(mistake),
    }
}

/// Parses a whole text as far as it is right: the statements before the first mistake, and the mistake.
pub fn parse_all(sql: &str) -> (Vec<ParsedStatement>, Option<Diagnostic>) {
    with_deep_stack(|| parse_here(sql))
}

fn parse_here(sql: &str) -> (Vec<ParsedStatement>, Option<Diagnostic>) {
    let index = LineIndex::new(sql);
    let (segments, unreadable) = segments(&index);
    let mut statements = Vec::with_capacity(segments.len());
    for segment in &segments {
        match parse_segment(segment, &index) {
            Ok(statement) => statements.push(statement),
            Err(mistake) => return (statements, Some(mistake)),
        }
    }
    (statements, unreadable)
}

/// Parses each statement of a text for itself, whatever is wrong with the others.
pub fn parse_each(sql: &str) -> Vec<Result<ParsedStatement, Diagnostic>> {
    with_deep_stack(|| {
        let index = LineIndex::new(sql);
        let (segments, unreadable) = segments(&index);
        let each = segments.iter().map(|segment| parse_segment(segment, &index));
        each.chain(unreadable.map(Err)).collect()
    })
}

fn parse_segment(segment: &Segment, index: &LineIndex<'_>) -> Result<ParsedStatement, Diagnostic> {
    let mut cursor = Cursor::new(segment, index)?;
    let start = cursor.here().start;
    let statement = statement(&mut cursor)?;
    cursor.finish()?;
    Ok(ParsedStatement { statement, span: start..cursor.last_end() })
}

fn statement(cursor: &mut Cursor<'_>) -> Result<Statement, Diagnostic> {
    let word = unquoted(&cursor.peek().token).map(str::to_ascii_uppercase);
    match word.as_deref() {
        Some("CREATE") => ddl::create(cursor),
        Some("DROP") => ddl::drop(cursor),
        Some("INSERT") => insert(cursor),
        Some("UPDATE") => table::update(cursor),
        Some("DELETE") => table::delete(cursor),
        Some("SELECT" | "WITH" | "VALUES") => Ok(Statement::Query(query(cursor)?)),
        None if cursor.peek().token == Token::LParen => Ok(Statement::Query(query(cursor)?)),
        Some("SHOW") => show(cursor),
        Some("DESCRIBE" | "DESC") => describe(cursor),
        Some("EXPLAIN") => explain(cursor),
        Some("SET") => set(cursor),
        Some("PAUSE" | "RESUME" | "STOP" | "RESTART" | "CHECKPOINT") => job::told(cursor),
        Some("RESET") => {
            cursor.parser.advance_token();
            Ok(Statement::Reset(cursor.name("a setting")?))
        }
        other => Err(no_statement(cursor, other)),
    }
}

fn no_statement(cursor: &Cursor<'_>, word: Option<&str>) -> Diagnostic {
    let Some(word) = word else { return cursor.expected("a statement") };
    if let Some((verb, help)) = FOREIGN.iter().find(|(verb, _)| *verb == word) {
        let diagnostic =
            Diagnostic::coded(Code::NotSupported, format!("{verb} is not supported")).at(cursor.here());
        return match help {
            Some(help) => diagnostic.help(*help),
            None => diagnostic,
        };
    }
    let help = did_you_mean(word, VERBS.iter().copied());
    let help = help.unwrap_or_else(|| format!("statements begin with {}", VERBS.join(", ")));
    cursor.expected("a statement").help(help)
}

/// A query with its EMIT clause, which is the rest of its statement.
pub(super) fn query(cursor: &mut Cursor<'_>) -> Result<EmitQuery, Diagnostic> {
    let start = cursor.here().start;
    let mut query = cursor.query()?;
    let emit = emit(cursor)?;
    cursor.finish()?;
    let span = start..cursor.last_end();
    rewrite::query(&mut query).map_err(|mistake| cursor.place(mistake, span.clone()))?;
    Ok(EmitQuery { query, span, emit })
}

fn emit(cursor: &mut Cursor<'_>) -> Result<Option<(Emit, Range<usize>)>, Diagnostic> {
    let start = cursor.here().start;
    if !cursor.eat(&["EMIT"]) {
        return Ok(None);
    }
    let (emit, word) = if cursor.eat(&["CHANGES"]) {
        (Emit::Changes, "CHANGES")
    } else if cursor.eat(&["FINAL"]) {
        (Emit::Final, "FINAL")
    } else {
        return Err(cursor.expected_one_of("CHANGES or FINAL after EMIT", &["CHANGES", "FINAL"]));
    };
    let span = start..cursor.last_end();
    if !cursor.at_end() {
        let found = cursor.shown();
        let diagnostic = Diagnostic::coded(
            Code::Syntax,
            format!("EMIT {word} is the last clause, found {found} after it"),
        );
        return Err(diagnostic.at(cursor.here()).help("write all other clauses before EMIT"));
    }
    Ok(Some((emit, span)))
}

fn insert(cursor: &mut Cursor<'_>) -> Result<Statement, Diagnostic> {
    cursor.parser.advance_token();
    cursor.expect("INTO")?;
    let table = cursor.name("a stream or a table")?;
    let mut columns: Vec<Name> = vec![];
    let query_follows = ["SELECT", "WITH", "VALUES"].iter().any(|word| cursor.sees(1, word));
    if cursor.peek().token == Token::LParen && !query_follows {
        cursor.parser.advance_token();
        loop {
            let column = cursor.name("a column")?;
            if columns.iter().any(|other| other.value == column.value) {
                return Err(Diagnostic::coded(
                    Code::Taken,
                    format!("column {} is named twice", column.value),
                )
                .at(column.span));
            }
            columns.push(column);
            if !cursor.parser.consume_token(&Token::Comma) {
                break;
            }
        }
        cursor.expect_token(&Token::RParen)?;
    }
    let begins = ["SELECT", "WITH", "VALUES"].iter().any(|word| cursor.sees(0, word));
    if !begins && cursor.peek().token != Token::LParen {
        return Err(cursor.expected_one_of("VALUES or SELECT", &["VALUES", "SELECT"]));
    }
    let query = query(cursor)?;
    let is_values = matches!(*query.query.body, SetExpr::Values(_));
    if let (true, Some((_, span))) = (is_values, &query.emit) {
        return Err(Diagnostic::coded(Code::Syntax, "VALUES has no EMIT")
            .at(span.clone())
            .help("leave it out"));
    }
    Ok(Statement::Insert(Box::new(Insert { table, columns, query, is_values })))
}

fn show(cursor: &mut Cursor<'_>) -> Result<Statement, Diagnostic> {
    cursor.parser.advance_token();
    if cursor.eat(&["STREAMS"]) {
        return Ok(Statement::Show { kind: ObjectKind::Stream });
    }
    if cursor.eat(&["TABLES"]) {
        return Ok(Statement::Show { kind: ObjectKind::Table });
    }
    if cursor.eat(&["MATERIALIZED", "VIEWS"]) {
        return Ok(Statement::Show { kind: ObjectKind::MaterializedView });
    }
    if cursor.eat(&["VIEWS"]) {
        return Ok(Statement::Show { kind: ObjectKind::View });
    }
    if cursor.eat(&["JOBS"]) {
        return Ok(Statement::ShowJobs);
    }
    if cursor.eat(&["ALL"]) {
        return Ok(Statement::ShowSetting(None));
    }
    let expected = "STREAMS, TABLES, VIEWS, JOBS, ALL or a setting";
    if ["QUERIES", "JOB", "PROCESSLIST"].iter().any(|word| cursor.sees(0, word)) {
        return Err(cursor.expected(expected).help("write SHOW JOBS"));
    }
    if ["TOPICS", "SOURCES", "SINKS", "STREAM"].iter().any(|word| cursor.sees(0, word)) {
        return Err(cursor.expected(expected).help("write SHOW STREAMS"));
    }
    if cursor.sees(0, "TABLE") {
        return Err(cursor.expected(expected).help("write SHOW TABLES"));
    }
    Ok(Statement::ShowSetting(Some(cursor.name(expected)?)))
}

fn describe(cursor: &mut Cursor<'_>) -> Result<Statement, Diagnostic> {
    cursor.parser.advance_token();
    if job::follows(cursor, &["JOB"]) {
        cursor.eat(&["JOB"]);
        return Ok(Statement::DescribeJob(job::name(cursor)?));
    }
    let named = |word: &Token| matches!(word, Token::Word(_));
    let kinds: [&[&str]; 4] = [&["STREAM"], &["TABLE"], &["VIEW"], &["MATERIALIZED", "VIEW"]];
    for words in kinds {
        if cursor.sees_all(words) && named(&cursor.parser.peek_nth_token_ref(words.len()).token) {
            cursor.eat(words);
            break;
        }
    }
    Ok(Statement::Describe(cursor.name("a stream, a table or a view")?))
}

fn explain(cursor: &mut Cursor<'_>) -> Result<Statement, Diagnostic> {
    cursor.parser.advance_token();
    if job::follows(cursor, &["WAITING"]) {
        cursor.eat(&["WAITING"]);
        return Ok(Statement::ExplainWaiting(job::name(cursor)?));
    }
    let begins = ["SELECT", "WITH", "VALUES"].iter().any(|word| cursor.sees(0, word));
    if !begins && cursor.peek().token != Token::LParen {
        return Err(cursor.expected_one_of(
            "a query, or WAITING and a job, after EXPLAIN",
            &["SELECT", "WITH", "VALUES", "WAITING"],
        ));
    }
    Ok(Statement::Explain(query(cursor)?))
}

fn set(cursor: &mut Cursor<'_>) -> Result<Statement, Diagnostic> {
    cursor.parser.advance_token();
    let name = cursor.name("a setting")?;
    if !cursor.parser.consume_token(&Token::Eq) && !cursor.eat(&["TO"]) {
        return Err(cursor.expected("= or TO"));
    }
    let (value, value_span) = literal(cursor, true)?;
    Ok(Statement::Set { name, value, value_span })
}

/// A literal as text: a string without its quotes, a number with its sign, a truth value; with `words`, any bare word.
pub(super) fn literal(cursor: &mut Cursor<'_>, words: bool) -> Result<(String, Range<usize>), Diagnostic> {
    let start = cursor.here().start;
    let sign = match cursor.peek().token {
        Token::Minus => "-",
        Token::Plus => "+",
        _ => "",
    };
    if !sign.is_empty() {
        cursor.parser.advance_token();
    }
    let value = match &cursor.peek().token {
        Token::Number(number, _) => format!("{}{number}", sign.trim_start_matches('+')),
        Token::SingleQuotedString(text) if sign.is_empty() => text.clone(),
        Token::Word(word) if sign.is_empty() && word.quote_style.is_none() => {
            let lower = word.value.to_ascii_lowercase();
            if !words && lower != "true" && lower != "false" {
                let help = format!("write '{}'", word.value);
                return Err(cursor.expected("a string, a number, true or false").help(help));
            }
            lower
        }
        Token::Word(word) if sign.is_empty() => {
            let help = format!("strings stand in single quotes: '{}'", word.value);
            return Err(cursor.expected("a string, a number, true or false").help(help));
        }
        _ if sign.is_empty() => return Err(cursor.expected("a string, a number, true or false")),
        _ => return Err(cursor.expected("a number")),
    };
    cursor.parser.advance_token();
    Ok((value, start..cursor.last_end()))
}
