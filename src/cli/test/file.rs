//! A test file: SQL with comments that say what is expected, and two that steer.
//!
//! ```sql
//! CREATE STREAM s (at TIMESTAMP, a BIGINT, WATERMARK FOR at AS at);
//! CREATE MATERIALIZED VIEW sums AS SELECT sum(a) AS a FROM s;
//! INSERT INTO s VALUES ('2026-01-31 12:00:00', 1);
//! -- RESTART
//! -- CLOCK + 20 s
//! SELECT * FROM sums;
//! -- a
//! -- 1
//! ```
//!
//! The comments right behind a statement that gives rows are its result, the names of its columns first. Rows are compared
//! in their order if the query has an ORDER BY, else in any.

use crate::config::parse_duration;
use crate::engine::{Diagnostic, ParsedStatement, PieceKind, lex, parse_each};
use std::ops::Range;
use std::time::Duration;

/// A part of a test.
pub(super) enum Part {
    /// A statement, and where its result stands, if it stands there: the lines of comments behind it.
    Statement { statement: Box<ParsedStatement>, expected: Option<Expected>, ordered: bool },
    /// The engine ends with a checkpoint and begins again.
    Restart,
    /// The clock moves on.
    Clock(Duration),
}

/// A result that is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expected {
    /// The bytes of its lines.
    pub(super) span: Range<usize>,
    /// The lines without what makes them comments.
    pub(super) lines: Vec<String>,
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

/// The comments that steer among those of a range.
fn steer(source: &str, range: Range<usize>, parts: &mut Vec<Part>) -> Result<(), Diagnostic> {
    let mut at = range.start;
    for line in source[range].split_inclusive('\n') {
        let place = at..at + line.trim_end().len();
        at += line.len();
        let Some(comment) = line.trim().strip_prefix("--").map(str::trim) else { continue };
        if comment == "RESTART" {
            parts.push(Part::Restart);
        } else if let Some(by) = comment.strip_prefix("CLOCK") {
            let by = by.trim().strip_prefix('+').and_then(parse_duration);
            let wrong = || {
                Diagnostic::new("the clock moves on by a duration").at(place).help("write -- CLOCK + 20 s")
            };
            parts.push(Part::Clock(by.ok_or_else(wrong)?));
        }
    }
    Ok(())
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
        if text == "RESTART" || text.starts_with("CLOCK") {
            break;
        }
        lines.push(text.to_string());
        at += line.len();
    }
    (!lines.is_empty()).then_some(Expected { span: start..at, lines })
}

/// A result as it is written down: names and rows, columns one below the other.
pub(super) fn drawn(names: &[String], rows: &[Vec<Option<String>>], ordered: bool) -> Vec<String> {
    let null = |c: &Option<String>| c.clone().unwrap_or_else(|| "NULL".into());
    let mut all: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(null).collect()).collect();
    if !ordered {
        all.sort();
    }
    all.insert(0, names.to_vec());
    let columns = names.len();
    let widths: Vec<usize> =
        (0..columns).map(|c| all.iter().map(|row| row[c].chars().count()).max().unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, w)| format!("{cell:w$}"));
        cells.collect::<Vec<_>>().join(" | ").trim_end().to_string()
    };
    all.iter().map(line).collect()
}

/// What differs, line by line; nothing if the cells are the same, however wide.
pub(super) fn differences(expected: &[String], found: &[String], ordered: bool) -> Option<Vec<String>> {
    let cells = |lines: &[String]| {
        let mut rows: Vec<String> =
            lines.iter().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>().join(" | ")).collect();
        if !ordered && rows.len() > 1 {
            rows[1..].sort();
        }
        rows
    };
    let (expected, found) = (cells(expected), cells(found));
    if expected == found {
        return None;
    }
    let mut lines = Vec::new();
    let (mut left, mut right) = (expected.iter().peekable(), found.iter().peekable());
    while left.peek().is_some() || right.peek().is_some() {
        match (left.peek(), right.peek()) {
            (Some(a), Some(b)) if a == b => {
                lines.push(format!("  {a}"));
                left.next();
                right.next();
            }
            (Some(a), other) if other.is_none() || !found.contains(a) => {
                lines.push(format!("- {a}"));
                left.next();
            }
            (_, Some(b)) => {
                lines.push(format!("+ {b}"));
                right.next();
            }
            (Some(a), None) => {
                lines.push(format!("- {a}"));
                left.next();
            }
            (None, None) => break,
        }
    }
    Some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "-- A test.\nCREATE STREAM s (a BIGINT);\n\n-- RESTART\n-- CLOCK + 20 s\nSELECT a FROM s ORDER BY a;\n-- a\n-- 1\n\nSELECT 1;\n-- RESTART\n";

    #[test]
    fn a_file_has_statements_results_and_what_steers() {
        let parts = parts(TEXT).unwrap();
        let told: Vec<String> = parts
            .iter()
            .map(|part| match part {
                Part::Restart => "restart".into(),
                Part::Clock(by) => format!("clock {by:?}"),
                Part::Statement { expected, ordered, .. } => {
                    format!("{:?} {ordered}", expected.as_ref().map(|e| e.lines.join("/")))
                }
            })
            .collect();
        assert_eq!(
            told,
            ["None false", "restart", "clock 20s", "Some(\"a/1\") true", "None false", "restart"]
        );
        assert!(super::parts("-- CLOCK 5\nSELECT 1").is_err());
    }

    #[test]
    fn results_are_compared_by_their_cells() {
        let lines = |lines: &[&str]| lines.iter().map(|l| l.to_string()).collect::<Vec<_>>();
        let names = ["a".to_string(), "long".to_string()];
        let rows = [vec![Some("12".into()), None], vec![Some("1".into()), Some("x".into())]];
        let found = drawn(&names, &rows, false);
        assert_eq!(found, ["a  | long", "1  | x", "12 | NULL"]);
        assert_eq!(differences(&lines(&["a|long", "12|NULL", "1|x"]), &found, false), None);
        assert_eq!(
            differences(&lines(&["a | long", "2 | y", "12 | NULL"]), &found, true).unwrap(),
            ["  a | long", "- 2 | y", "+ 1 | x", "  12 | NULL"]
        );
    }
}
