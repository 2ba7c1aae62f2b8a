//! Random counts of rows and of different values, by few keys or none, with FILTERs: what a worker has sent to another it does not
//! send again, and what another has sent it cannot know.
//!
//! Faults that were planted one at a time, and the case that caught each:
//!
//! | where | fault | case |
//! |---|---|---|
//! | what was sent | a value of one group is thought to be another's too | 24 |
//! | what was sent | a value that was sent for one FILTER is thought to be sent for all | 128 |
//! | what was sent | nulls have the marks of the column before | 32 |
//! | rows that are only counted | those after the first are lost | 68 |
//! | rows that are only counted | one stands for those that pass other FILTERs | 68 |

use super::data::Shape;
use super::draw::Draw;
use super::query::{Query, split};

/// A random query of counts.
pub(super) fn draw_counts(d: &mut Draw, _: &Shape) -> Query {
    let rows = match d.below(6) {
        0..=2 => "s".to_string(),
        3 => "t".into(),
        4 => "(SELECT * FROM s UNION ALL SELECT * FROM t) AS r".into(),
        _ => {
            "(SELECT a.id, a.k, a.g, a.x, b.i, b.f, b.b, b.d, b.ts FROM s AS a JOIN t AS b ON a.k = b.k) AS r"
                .into()
        }
    };
    let keys = d.pick(&[
        "",
        "",
        "k",
        "k",
        "g",
        "k, g",
        "x % 3",
        "b, f",
        "date_trunc('minute', ts)",
        "ROLLUP (k, b)",
    ]);
    let filter = d.pick(&["", "", " WHERE id % 5 > 0", " WHERE k IS NOT NULL", " WHERE id < 0"]);
    let mut calls: Vec<String> = (0..1 + d.below(6)).map(|_| call(d)).collect();
    calls.push(format!("count(DISTINCT {})", value(d)));
    let mut items: Vec<String> = Vec::new();
    let plain = keys.trim_start_matches("ROLLUP (").trim_end_matches(')');
    if keys.starts_with("date") {
        items.push(format!("{keys} AS key0"));
    } else if !keys.is_empty() {
        items.extend(plain.split(", ").enumerate().map(|(i, key)| format!("{key} AS key{i}")));
    }
    items.extend(calls.into_iter().enumerate().map(|(i, call)| format!("{call} AS n{i}")));
    let by = if keys.is_empty() { String::new() } else { format!(" GROUP BY {keys}") };
    let having = if d.chance(15) { " HAVING count(DISTINCT x) > 1" } else { "" };
    let text = format!("SELECT {} FROM {rows}{filter}{by}{having}", items.join(", "));
    let (ours, reference) = split(&text);
    Query { ours, reference, view: None }
}

fn value(d: &mut Draw) -> &'static str {
    d.pick(&["k", "g", "x", "i", "f", "b", "d", "ts", "x + i", "upper(g)", "id", "x % 4", "x % 4", "id % 7"])
}

fn call(d: &mut Draw) -> String {
    let call = match d.below(7) {
        0 => "count(*)".to_string(),
        1 => format!("count({})", value(d)),
        2 => format!("count({}, {})", value(d), value(d)),
        _ => format!("count(DISTINCT {})", value(d)),
    };
    let filter = d.pick(&[
        "",
        "",
        " FILTER (WHERE b)",
        " FILTER (WHERE x > 3)",
        " FILTER (WHERE x > 3)",
        " FILTER (WHERE f < 0 OR b)",
        " FILTER (WHERE g IS NULL)",
    ]);
    call + filter
}
