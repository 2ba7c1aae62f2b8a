//! Whether two interval literals say the same: `INTERVAL '1' HOUR` and `INTERVAL '60 minutes'` do.

use super::words::folded;
use sqlparser::ast::{Expr, Ident, Interval, Value};

/// Whether two arguments of a window say the same: columns by name, intervals by length, all else by text.
pub(super) fn same(a: &Expr, b: &Expr) -> bool {
    match (a, b) {
        (Expr::Interval(a), Expr::Interval(b)) => match (length(a), length(b)) {
            (Some(a), Some(b)) => a == b,
            _ => a == b,
        },
        _ => same_column(a, b) || a == b,
    }
}

/// A literal interval as months and microseconds; `None` for anything but whole numbers of plain units.
fn length(interval: &Interval) -> Option<(i64, i64)> {
    let Expr::Value(value) = interval.value.as_ref() else { return None };
    let text = match &value.value {
        Value::SingleQuotedString(text) | Value::Number(text, _) => text,
        _ => return None,
    };
    let unit = interval.leading_field.as_ref().map(ToString::to_string);
    if interval.last_field.is_some() {
        return None;
    }
    let mut words: Vec<&str> = text.split_whitespace().collect();
    words.extend(unit.as_deref());
    let mut sum = (0_i64, 0_i64);
    for pair in words.chunks(2) {
        let [number, unit] = pair else { return None };
        let number: i64 = number.parse().ok()?;
        let (months, micros) = unit_length(unit)?;
        sum.0 = sum.0.checked_add(number.checked_mul(months)?)?;
        sum.1 = sum.1.checked_add(number.checked_mul(micros)?)?;
    }
    Some(sum)
}

fn unit_length(unit: &str) -> Option<(i64, i64)> {
    let unit = unit.to_ascii_lowercase();
    Some(match unit.trim_end_matches('s') {
        "microsecond" => (0, 1),
        "millisecond" => (0, 1_000),
        "second" => (0, 1_000_000),
        "minute" => (0, 60_000_000),
        "hour" => (0, 3_600_000_000),
        "day" => (0, 86_400_000_000),
        "week" => (0, 7 * 86_400_000_000),
        "month" => (1, 0),
        "year" => (12, 0),
        _ => return None,
    })
}

/// Whether two column references name the same column, as far as the text tells.
fn same_column(a: &Expr, b: &Expr) -> bool {
    match (last_part(a), last_part(b)) {
        (Some(a), Some(b)) => folded(a) == folded(b),
        _ => false,
    }
}

fn last_part(expr: &Expr) -> Option<&Ident> {
    match expr {
        Expr::Identifier(ident) => Some(ident),
        Expr::CompoundIdentifier(parts) => parts.last(),
        _ => None,
    }
}
