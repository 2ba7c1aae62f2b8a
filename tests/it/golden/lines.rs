//! Rows as lines: one JSON object a row, as goldens hold them, and how two answers are compared.

use arrow::array::{Array, AsArray, Int64Array, RecordBatch};
use arrow::json::WriterBuilder;
use arrow::json::writer::LineDelimited;
use serde_json::Value;
use std::collections::BTreeMap;

/// The rows of a batch as JSON lines, every column in every line.
pub(super) fn of_batch(batch: &RecordBatch) -> Vec<String> {
    if batch.num_columns() == 0 {
        return vec!["{}".into(); batch.num_rows()];
    }
    let mut text = Vec::new();
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut text);
    writer.write(batch).unwrap();
    writer.finish().unwrap();
    String::from_utf8(text).unwrap().lines().map(String::from).collect()
}

/// The rows of EXPLAIN: the tree, and what is said of each operator in brackets.
pub(super) fn of_plan(batch: &RecordBatch) -> Vec<String> {
    let column = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>().clone();
    let (operator, changes) = (column("operator"), column("changes"));
    let (event_time, state) = (column("event_time"), column("state"));
    let to_bound_it = column("to_bound_it");
    let line = |i: usize| {
        let said = [
            ("", &changes),
            ("event time: ", &event_time),
            ("state: ", &state),
            ("to bound it: ", &to_bound_it),
        ];
        let said = said.iter().filter(|(_, c)| c.is_valid(i));
        let said: Vec<String> = said.map(|(word, c)| format!("{word}{}", c.value(i))).collect();
        format!("{}  [{}]", operator.value(i), said.join("; "))
    };
    (0..batch.num_rows()).map(line).collect()
}

/// Adds a delta's rows into `sums`. Fails where a row is taken back that is not there.
pub(super) fn fold(
    sums: &mut BTreeMap<String, i64>,
    batch: &RecordBatch,
    weights: Option<&Int64Array>,
) -> Result<(), String> {
    assert!(weights.is_none_or(|w| w.null_count() == 0 && w.len() == batch.num_rows()));
    for (i, line) in of_batch(batch).into_iter().enumerate() {
        let sum = sums.entry(line.clone()).or_default();
        *sum += weights.map_or(1, |w| w.value(i));
        if *sum < 0 {
            return Err(format!("takes back a row that is not there: {line}"));
        }
    }
    Ok(())
}

/// The rows that are left, each as often as it is there.
pub(super) fn unfold(sums: BTreeMap<String, i64>) -> Vec<String> {
    sums.into_iter()
        .flat_map(|(line, n)| std::iter::repeat_n(line, usize::try_from(n).unwrap_or(0)))
        .collect()
}

/// What must be equal of two answers: the lines, in order only where that is asked for, with doubles rounded, for
/// their sums depend on the order of addition in the last digits.
pub(super) fn comparable(lines: &[String], ordered: bool) -> Vec<String> {
    let mut lines: Vec<String> = lines
        .iter()
        .map(|line| match serde_json::from_str(line) {
            Ok(value) => rounded(value).to_string(),
            Err(_) => line.clone(),
        })
        .collect();
    if !ordered {
        lines.sort();
    }
    lines
}

fn rounded(value: Value) -> Value {
    match value {
        Value::Number(n) if n.is_f64() => Value::String(format!("{:.11e}", n.as_f64().unwrap_or(f64::NAN))),
        Value::Array(values) => values.into_iter().map(rounded).collect(),
        Value::Object(values) => values.into_iter().map(|(k, v)| (k, rounded(v))).collect(),
        other => other,
    }
}

/// The first lines that only one side has.
pub(super) fn difference(expected: &[String], got: &[String]) -> String {
    let only = |a: &[String], b: &[String]| {
        let mut rest = b.to_vec();
        let mut only = Vec::new();
        for line in a {
            match rest.iter().position(|r| r == line) {
                Some(i) => drop(rest.swap_remove(i)),
                None => only.push(line.clone()),
            }
        }
        only.truncate(4);
        only.join("\n    ")
    };
    let (missing, more) = (only(expected, got), only(got, expected));
    if missing.is_empty() && more.is_empty() {
        return "  the same rows in another order".into();
    }
    format!("  missing:\n    {missing}\n  unexpected:\n    {more}")
}
