//! A test file: SQL with comments that say what is expected, and others that steer.
//!
//! ```sql
//! CREATE STREAM s (at TIMESTAMP, a BIGINT, WATERMARK FOR at AS at);
//! CREATE MATERIALIZED VIEW sums AS SELECT sum(a) AS a FROM s;
//! -- FEED s
//! -- at                  | a
//! -- 2026-01-31 12:00:00 | 1
//! -- RESTART KILL
//! SELECT * FROM sums;
//! -- a
//! -- 1
//! ```
//!
//! The comments right behind a statement that gives rows are its result, the names of its columns first. Rows are compared
//! in their order if the query has an ORDER BY, else in any.

use crate::config::parse_duration;
use crate::engine::{Diagnostic, ParsedStatement, PieceKind, Start, Statement, lex, parse_each, parse_start};
use std::ops::Range;
use std::time::Duration;

/// The first column of a result that is told change by change.
pub(super) const OP: &str = "_op";
/// How the result of a statement begins that is to be refused.
pub(super) const ERROR: &str = "error: ";

/// A part of a test.
pub(super) enum Part {
    /// A statement, and where its result stands, if it stands there: the lines of comments behind it.
    Statement { statement: Box<ParsedStatement>, expected: Option<Expected>, ordered: bool },
    /// The engine ends with a checkpoint and begins again; or it is killed at once.
    Restart { kill: bool },
    /// The clock moves on.
    Clock(Duration),
    /// A stream's watermark moves to a time (ns), without a row.
    Watermark { stream: String, at: i64, span: Range<usize> },
    /// Rows go into a stream or table.
    Feed { into: String, rows: Fed, span: Range<usize> },
}

impl Part {
    /// The name of what it makes, or writes rows to.
    pub(super) fn writes(&self) -> Option<&str> {
        match self {
            Part::Statement { statement, .. } => match &statement.statement {
                Statement::CreateStream(create) => Some(&create.name.value),
                _ => self.inserts(),
            },
            _ => self.inserts(),
        }
    }

    /// The name of what it writes rows to, in a statement of its own.
    pub(super) fn inserts(&self) -> Option<&str> {
        match self {
            Part::Statement { statement, .. } => match &statement.statement {
                Statement::Insert(insert) => Some(&insert.table.value),
                Statement::Update(update) => Some(&update.table.value),
                Statement::Delete(delete) => Some(&delete.table.value),
                _ => None,
            },
            Part::Feed { into, .. } => Some(into),
            Part::Restart { .. } | Part::Clock(_) | Part::Watermark { .. } => None,
        }
    }
}

/// Rows that are fed.
pub(super) enum Fed {
    /// Of a file, relative to the test.
    File(String),
    /// As they stand in the test: the names of the columns, and the cells.
    Table(Vec<String>, Vec<Vec<Option<String>>>),
}

/// A result that is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expected {
    /// The bytes of its lines.
    pub(super) span: Range<usize>,
    /// The lines without what makes them comments.
    pub(super) lines: Vec<String>,
}

impl Expected {
    /// Whether each change is expected, not only what is left in the end.
    pub(super) fn is_changelog(&self) -> bool {
        self.lines.first().is_some_and(|names| names.split('|').next().is_some_and(|n| n.trim() == OP))
    }

    /// Whether the statement is to be refused.
    pub(super) fn is_error(&self) -> bool {
        self.lines.first().is_some_and(|line| line.starts_with(ERROR.trim_end()))
    }
}

/// The parts of a test in order.
pub(super) fn parts(source: &str) -> Result<Vec<Part>, Diagnostic> {
    let mut parts = Vec::new();
    let mut done = 0;
    for statement in parse_each(source) {
        let statement = statement?;
        steer(source, done..statement.span.start, &mut parts)?;
        // The semicolon belongs to it.
        let rest = &source[statement.span.end..];
        let end = rest.find(';').filter(|at| rest[..*at].trim().is_empty()).map_or(0, |at| at + 1)
            + statement.span.end;
        let expected = expected(source, end);
        done = expected.as_ref().map_or(end, |e| e.span.end);
        let text = &source[statement.span.clone()];
        let ordered = lex(text)
            .pieces
            .iter()
            .any(|p| p.kind == PieceKind::Keyword && text[p.span.clone()].eq_ignore_ascii_case("order"));
        parts.push(Part::Statement { statement: Box::new(statement), expected, ordered });
    }
    steer(source, done..source.len(), &mut parts)?;
    Ok(parts)
}

/// The text of a line that is a comment.
fn comment(line: &str) -> Option<&str> {
    line.trim().strip_prefix("--").map(str::trim)
}

/// Whether a comment steers: its first word is one that does, in capitals.
fn steers(text: &str) -> bool {
    matches!(text.split_whitespace().next(), Some("RESTART" | "CLOCK" | "WATERMARK" | "FEED"))
}

/// The comments that steer among those of a range.
fn steer(source: &str, range: Range<usize>, parts: &mut Vec<Part>) -> Result<(), Diagnostic> {
    let mut lines = Vec::new();
    let mut at = range.start;
    for line in source[range].split_inclusive('\n') {
        lines.push((at..at + line.trim_end().len(), line));
        at += line.len();
    }
    let mut next = 0;
    while let Some((span, line)) = lines.get(next).cloned() {
        next += 1;
        let Some(text) = comment(line).filter(|text| steers(text)) else { continue };
        let wrong = |message: &str, help: &str| Diagnostic::new(message).at(span.clone()).help(help);
        let words: Vec<&str> = text.split_whitespace().collect();
        parts.push(match words.as_slice() {
            ["RESTART"] => Part::Restart { kill: false },
            ["RESTART", "KILL"] => Part::Restart { kill: true },
            ["RESTART", ..] => {
                return Err(wrong("a restart is clean, or a kill", "write -- RESTART or -- RESTART KILL"));
            }
            ["CLOCK", by @ ..] => {
                let by = by.join(" ");
                let by = by.strip_prefix('+').and_then(|by| parse_duration(by.trim()));
                Part::Clock(by.ok_or_else(|| wrong("the clock moves on by a duration", "write -- CLOCK + 20 s"))?)
            }
            ["WATERMARK", stream, time @ ..] => match parse_start(&time.join(" ")) {
                Ok(Start::Time(at)) => Part::Watermark { stream: (*stream).into(), at, span },
                _ => {
                    let help = format!("write -- WATERMARK {stream} 2026-01-31 12:00:00");
                    return Err(wrong("a watermark moves to a time", &help));
                }
            },
            ["FEED", into, "FROM", file @ ..] if !file.is_empty() => {
                Part::Feed { into: (*into).into(), rows: Fed::File(file.join(" ")), span }
            }
            ["FEED", into] => {
                let begin = next;
                while lines.get(next).is_some_and(|(_, line)| {
                    line.starts_with("--") && comment(line).is_some_and(|text| !text.is_empty() && !steers(text))
                }) {
                    next += 1;
                }
                let table: Vec<&str> = lines[begin..next].iter().filter_map(|(_, line)| comment(line)).collect();
                let last = lines[next - 1].0.end;
                let rows = fed(&table).map_err(|message| {
                    Diagnostic::new(message).at(span.start..last).help(
                        "below it stand the names of the columns, then the rows, each a comment, with | between the columns",
                    )
                })?;
                Part::Feed { into: (*into).into(), rows, span: span.start..last }
            }
            _ => {
                return Err(wrong(
                    "this says neither what nor how",
                    "write -- FEED stream with the rows below, -- FEED stream FROM file.jsonl, or -- WATERMARK stream time",
                ));
            }
        });
    }
    Ok(())
}

/// A table in comments: names, then rows.
fn fed(lines: &[&str]) -> Result<Fed, String> {
    let cells = |line: &str| -> Vec<String> { line.split('|').map(|cell| cell.trim().to_string()).collect() };
    let Some((names, rows)) = lines.split_first() else { return Err("no rows stand below".into()) };
    let names = cells(names);
    let mut table = Vec::new();
    for row in rows {
        let row = cells(row);
        if row.len() != names.len() {
            return Err(format!("a row has {} cells where there are {} columns", row.len(), names.len()));
        }
        table.push(row.into_iter().map(|cell| Some(cell).filter(|c| c != "NULL")).collect());
    }
    if table.is_empty() {
        return Err("no rows stand below the names of the columns".into());
    }
    Ok(Fed::Table(names, table))
}

/// The result that stands behind a statement which ends here.
fn expected(source: &str, end: usize) -> Option<Expected> {
    let start = end + source[end..].find('\n')? + 1;
    if !source[end..start].trim().is_empty() {
        return None;
    }
    let mut lines = Vec::new();
    let mut at = start;
    for line in source[start..].split_inclusive('\n') {
        let Some(text) = line.strip_prefix("--") else { break };
        let text = text.strip_prefix(' ').unwrap_or(text).trim_end();
        if steers(text) {
            break;
        }
        lines.push(text.to_string());
        at += line.len();
    }
    (!lines.is_empty()).then_some(Expected { span: start..at, lines })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "-- A test.\nCREATE STREAM s (a BIGINT);\n\n-- RESTART\n-- CLOCK + 20 s\nSELECT a FROM s ORDER BY a;\n-- a\n-- 1\n-- RESTART KILL\n\nSELECT 1;\n-- FEED s\n-- a | b\n-- 1 | NULL\n-- 2 | x y\n-- FEED t FROM a b.jsonl\n-- WATERMARK s 1970-01-01 00:00:02\n";

    fn told(part: &Part) -> String {
        match part {
            Part::Restart { kill } => format!("restart {kill}"),
            Part::Clock(by) => format!("clock {by:?}"),
            Part::Watermark { stream, at, .. } => format!("watermark {stream} {at}"),
            Part::Feed { into, rows: Fed::File(file), .. } => format!("feed {into} from {file}"),
            Part::Feed { into, rows: Fed::Table(names, rows), .. } => {
                format!("feed {into} {names:?} {rows:?}")
            }
            Part::Statement { expected, ordered, .. } => {
                format!("{:?} {ordered}", expected.as_ref().map(|e| e.lines.join("/")))
            }
        }
    }

    #[test]
    fn a_file_has_statements_results_and_what_steers() {
        let told: Vec<String> = parts(TEXT).unwrap().iter().map(told).collect();
        assert_eq!(
            told,
            [
                "None false",
                "restart false",
                "clock 20s",
                "Some(\"a/1\") true",
                "restart true",
                "None false",
                "feed s [\"a\", \"b\"] [[Some(\"1\"), None], [Some(\"2\"), Some(\"x y\")]]",
                "feed t from a b.jsonl",
                "watermark s 2000000000",
            ]
        );
    }

    #[test]
    fn what_steers_wrongly_is_told_at_its_line() {
        for (text, message) in [
            ("-- CLOCK 5\nSELECT 1", "the clock moves on by a duration"),
            ("-- RESTART SOON\n", "a restart is clean, or a kill"),
            ("-- WATERMARK s soon\n", "a watermark moves to a time"),
            ("-- WATERMARK\n", "this says neither what nor how"),
            ("-- FEED s\n\nSELECT 1;", "no rows stand below"),
            ("-- FEED s\n-- a\n", "no rows stand below the names of the columns"),
            ("-- FEED s\n-- a | b\n-- 1\n", "a row has 1 cells where there are 2 columns"),
        ] {
            let mistake = parts(text).err().unwrap();
            assert_eq!(mistake.message, message);
            assert_eq!(mistake.span.unwrap().start, 0);
        }
        assert!(parts("-- Restart at once, says the text.\nSELECT 1;").unwrap().len() == 1);
    }
}
