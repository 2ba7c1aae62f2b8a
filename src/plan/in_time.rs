//! Lateness by a row's own time as a logical plan node: what sessions and interval joins have below them.

use super::trace::trace;
use crate::operators::in_time::InTimeSpec;
use crate::operators::window::length;
use datafusion::common::{Column, DFSchemaRef, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};
use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// Leaves out the rows whose own time plus grace lies before their mark, and those without a time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InTimeNode {
    /// The rows.
    pub input: LogicalPlan,
    /// The time column of the input.
    pub time: Column,
    /// Grace, ns.
    pub grace: i64,
    /// Whether the watermark speaks of the time column: else no row is late. It is seen once, in the plan as it was
    /// written, so that all modes leave out the same rows, whatever their optimizers make of the plan.
    pub event_time: bool,
    /// The input's column of marks (Int64, ns), where a bounded query carries them in one.
    pub mark: Option<Column>,
}

impl InTimeNode {
    /// The node over `input`, whose column `time` is a timestamp.
    pub fn try_new(input: LogicalPlan, time: Column, grace: i64) -> Result<Self> {
        let index = input.schema().index_of_column(&time)?;
        let event_time = trace(&input)?[index].event_time;
        Ok(InTimeNode { input, time, grace, event_time, mark: None })
    }

    /// The same over another plan of the same rows, whose marks are in a column.
    pub fn over(&self, input: LogicalPlan, mark: Option<Column>) -> Self {
        InTimeNode { input, mark, ..self.clone() }
    }

    /// The operator's spec: indices into the input's columns.
    pub fn spec(&self) -> Result<InTimeSpec> {
        Ok(InTimeSpec {
            time: self.time_index()?,
            grace: self.grace,
            event_time: self.event_time,
            schema: Arc::new(self.input.schema().as_arrow().clone()),
        })
    }

    /// Index of the time column.
    pub fn time_index(&self) -> Result<usize> {
        self.input.schema().index_of_column(&self.time)
    }
}

impl PartialOrd for InTimeNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let inputs = self.input.partial_cmp(&other.input)?;
        Some(inputs.then_with(|| (&self.time, self.grace).cmp(&(&other.time, other.grace))))
    }
}

impl UserDefinedLogicalNodeCore for InTimeNode {
    fn name(&self) -> &str {
        "InTime"
    }
    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }
    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }
    fn expressions(&self) -> Vec<Expr> {
        std::iter::once(&self.time).chain(&self.mark).cloned().map(Expr::Column).collect()
    }
    /// Whether a row is late depends on the row alone, so any filter may come first.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        HashSet::new()
    }
    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "InTime: {} grace={}", self.time, length(self.grace))
    }
    fn with_exprs_and_inputs(&self, mut exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let column = |e: Expr| match e.unalias() {
            Expr::Column(column) => Ok(column),
            _ => datafusion::common::internal_err!("the time and the mark of rows are columns"),
        };
        let mark = if self.mark.is_some() { exprs.pop().map(column).transpose()? } else { None };
        let (Some(time), Some(input)) = (exprs.pop(), inputs.pop()) else {
            return datafusion::common::internal_err!("lateness has one input and one time column");
        };
        let (grace, event_time) = (self.grace, self.event_time);
        Ok(InTimeNode { input, time: column(time)?, grace, event_time, mark })
    }
    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let mut needed = output_columns.to_vec();
        needed.push(self.time_index().ok()?);
        if let Some(mark) = &self.mark {
            needed.push(self.input.schema().index_of_column(mark).ok()?);
        }
        needed.sort_unstable();
        needed.dedup();
        Some(vec![needed])
    }
}
