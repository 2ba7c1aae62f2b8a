//! What the planner says about a GROUP BY: [`AggregateSpec`] and its parts.

use crate::delta::{EventTime, WATERMARK_END};
use crate::operators::shown::tidy;
use arrow::datatypes::SchemaRef;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use std::fmt;
use std::sync::Arc;

/// A GROUP BY, or a DISTINCT when there are no aggregates. `Display` is its line in EXPLAIN.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateSpec {
    /// Columns of the input.
    pub input_schema: SchemaRef,
    /// The group keys with their output names: the first columns of the output, in order.
    pub group: Vec<(Arc<dyn PhysicalExpr>, String)>,
    /// The aggregates: one output column each, after the keys.
    pub aggregates: Vec<AggregateCall>,
    /// Set if a group key is a window column: groups then end with their window.
    pub window: Option<WindowKey>,
    /// Whether no row of the input is ever taken back: then no delta has weights, but where rows are only counted.
    pub input_append_only: bool,
    /// When results go out.
    pub mode: EmitMode,
    /// Columns of the output: keys, then aggregates.
    pub schema: SchemaRef,
}

/// One aggregate function with its FILTER.
#[derive(Debug, Clone)]
pub struct AggregateCall {
    /// Function, arguments, DISTINCT, ORDER BY, IGNORE NULLS.
    pub expr: Arc<AggregateFunctionExpr>,
    /// `FILTER (WHERE …)`: a boolean over the input; null counts as false.
    pub filter: Option<Arc<dyn PhysicalExpr>>,
}

impl PartialEq for AggregateCall {
    /// The library's own comparison of functions trusts their names to tell DISTINCT, IGNORE NULLS and ORDER BY.
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (&self.expr, &other.expr);
        a == b
            && a.is_distinct() == b.is_distinct()
            && a.ignore_nulls() == b.ignore_nulls()
            && a.is_reversed() == b.is_reversed()
            && a.order_bys() == b.order_bys()
            && self.filter == other.filter
    }
}

/// Which group key tells the window, and when a window is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowKey {
    /// Index into [`AggregateSpec::group`]; the key is a timestamp.
    pub key: usize,
    /// Nanoseconds from the key's value to the window's end.
    pub to_end: i64,
    /// Nanoseconds for which the window stays open after its end.
    pub grace: i64,
}

impl WindowKey {
    /// When (ns) the window with this key value, in a column of `unit` ns, is over; at the end of input without one.
    pub(crate) fn close(&self, value: Option<i64>, unit: i64) -> EventTime {
        let Some(value) = value else { return WATERMARK_END };
        let close = i128::from(value) * i128::from(unit) + i128::from(self.to_end) + i128::from(self.grace);
        i64::try_from(close).unwrap_or(if close < 0 { i64::MIN } else { i64::MAX })
    }
}

/// When results go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmitMode {
    /// At the end of every step, what changed.
    Changes,
    /// Once per group, when its window is over (without a window: when the input has ended).
    Final,
}

impl fmt::Display for AggregateSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<String> = self.group.iter().map(|(_, name)| tidy(name)).collect();
        let calls: Vec<String> = self.aggregates.iter().map(|call| tidy(call.expr.name())).collect();
        if calls.is_empty() {
            return write!(f, "Distinct keys=[{}]", keys.join(", "));
        }
        let mode = match self.mode {
            EmitMode::Changes => "changes",
            EmitMode::Final => "final",
        };
        write!(f, "Aggregate keys=[{}] aggregates=[{}] emit={mode}", keys.join(", "), calls.join(", "))
    }
}
