//! Expressions as people read them, for EXPLAIN: columns by their names, constants as SQL writes them.

use super::window::length;
use crate::delta::type_name;
use arrow::util::display::array_value_to_string;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column, Literal, UnKnownColumn};
use std::sync::Arc;

/// The text of an expression.
pub(crate) fn shown(expression: &Arc<dyn PhysicalExpr>) -> String {
    // Each leaf gives way to one that prints as it should; the nodes above print themselves.
    let plain = expression.clone().transform_up(|node| {
        let text = if let Some(column) = node.downcast_ref::<Column>() {
            tidy(column.name())
        } else if let Some(literal) = node.downcast_ref::<Literal>() {
            constant(literal.value())
        } else if let Some(cast) = node.downcast_ref::<CastExpr>() {
            format!("CAST({} AS {})", cast.expr(), type_name(cast.cast_type()))
        } else {
            return Ok(Transformed::no(node));
        };
        Ok(Transformed::yes(Arc::new(UnKnownColumn::new(&text)) as Arc<dyn PhysicalExpr>))
    });
    plain.map_or_else(|_| expression.to_string(), |plain| plain.data.to_string())
}

/// The name that DataFusion gives a column, such as `sum(s.v) FILTER (WHERE s.v > Int64(0))`, as one would write it.
pub(crate) fn tidy(name: &str) -> String {
    const TYPED: [&str; 8] = [
        "Int64(",
        "Int32(",
        "UInt64(",
        "Float64(",
        "Boolean(",
        "Utf8(",
        "LargeUtf8(",
        "__unnest_placeholder(",
    ];
    const FRAMES: [&str; 2] = [
        " RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
        " ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
    ];
    let mut text = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(next) = rest.chars().next() {
        let begins = !text.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let typed = TYPED.iter().find(|t| begins && rest.starts_with(**t));
        let inside =
            typed.and_then(|t| rest[t.len()..].split_once(')').map(|(inside, after)| (t, inside, after)));
        match inside {
            Some((typed, inside, after)) => {
                let inside = inside.strip_suffix(",depth=1").unwrap_or(inside);
                text.push_str(&match inside.strip_prefix('"').and_then(|i| i.strip_suffix('"')) {
                    Some(word) => format!("'{word}'"),
                    None if typed.starts_with("__") => format!("unnest({inside})"),
                    None => inside.to_string(),
                });
                rest = after;
            }
            None => {
                text.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    // Ranks do not hang on the frame.
    for frame in FRAMES {
        text = text.replace(frame, "");
    }
    text.replace("count(1)", "count(*)")
}

/// A constant as SQL writes it.
fn constant(value: &ScalarValue) -> String {
    if value.is_null() {
        return "NULL".into();
    }
    match value {
        ScalarValue::Utf8(Some(text))
        | ScalarValue::LargeUtf8(Some(text))
        | ScalarValue::Utf8View(Some(text)) => {
            format!("'{}'", text.replace('\'', "''"))
        }
        ScalarValue::IntervalMonthDayNano(Some(i)) if i.months == 0 => {
            match i64::from(i.days).checked_mul(86_400_000_000_000).and_then(|d| d.checked_add(i.nanoseconds))
            {
                Some(ns) => format!("INTERVAL '{}'", length(ns)),
                None => value.to_string(),
            }
        }
        other if other.data_type().is_temporal() => {
            let text = other.to_array().and_then(|a| Ok(array_value_to_string(&a, 0)?));
            text.map_or_else(|_| other.to_string(), |text| format!("'{text}'"))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_the_planner_s_types() {
        for (name, wanted) in [
            ("count(Int64(1))", "count(*)"),
            ("sum(s.v) FILTER (WHERE s.v > Int64(0))", "sum(s.v) FILTER (WHERE s.v > 0)"),
            ("string_agg(s.k,Utf8(\",\"))", "string_agg(s.k,',')"),
            ("__unnest_placeholder(s.xs,depth=1)", "unnest(s.xs)"),
            ("myInt64(1)", "myInt64(1)"),
            ("Int64(", "Int64("),
            ("größe@3", "größe@3"),
        ] {
            assert_eq!(tidy(name), wanted);
        }
    }
}
