//! Which columns decide between the rows that tie in a ranking: those that its SELECT reads, and no others of its FROM.
//!
//! Rows that are equal in all of them cannot be told apart by whoever reads the SELECT, so that it need not matter which of
//! them comes first. What stands above the SELECT is not looked at: two readers of one view agree on its rows.

use super::super::mistakes::has_subquery;
use super::is_row_number;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Expr, Filter, LogicalPlan, LogicalPlanBuilder, Projection, Window};
use std::collections::HashSet;
use std::sync::Arc;

/// A SELECT with window functions over no more columns than it reads.
pub(super) fn block(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Projection(select) = plan else { return Ok(Transformed::no(plan)) };
    // QUALIFY is a filter above the windows, WHERE one below them.
    let (mut above, mut windows, mut numbered) = (Vec::new(), 0, false);
    let mut below = &select.input;
    loop {
        match below.as_ref() {
            LogicalPlan::Window(window) => {
                above.push(below.clone());
                below = &window.input;
                windows = above.len();
                numbered |= window.window_expr.iter().any(is_row_number);
            }
            LogicalPlan::Filter(filter) => {
                above.push(below.clone());
                below = &filter.input;
            }
            _ => break,
        }
    }
    above.truncate(windows);
    let lowest = match above.last().map(AsRef::as_ref) {
        Some(LogicalPlan::Window(lowest)) if numbered => lowest,
        _ => return Ok(Transformed::no(LogicalPlan::Projection(select))),
    };
    let read = above.iter().flat_map(|node| node.expressions()).chain(select.expr.iter().cloned());
    let Some(mut input) = only(&lowest.input, read) else {
        return Ok(Transformed::no(LogicalPlan::Projection(select)));
    };
    for node in above.into_iter().rev() {
        input = match Arc::unwrap_or_clone(node) {
            LogicalPlan::Window(window) => {
                LogicalPlan::Window(Window::try_new(window.window_expr, Arc::new(input))?)
            }
            LogicalPlan::Filter(filter) => {
                LogicalPlan::Filter(Filter::try_new(filter.predicate, Arc::new(input))?)
            }
            other => other,
        };
    }
    let Projection { expr, schema, .. } = select;
    Ok(Transformed::yes(LogicalPlan::Projection(Projection::try_new_with_schema(
        expr,
        Arc::new(input),
        schema,
    )?)))
}

/// The plan with those of its columns that expressions read, if these are some but not all of them.
pub(super) fn only(input: &Arc<LogicalPlan>, read: impl Iterator<Item = Expr>) -> Option<LogicalPlan> {
    let mut found: HashSet<usize> = HashSet::new();
    let schema = input.schema();
    for expr in read {
        // A correlated one reads columns that are not seen here.
        if has_subquery(&expr) {
            return None;
        }
        found.extend(expr.column_refs().into_iter().filter_map(|c| schema.index_of_column(c).ok()));
    }
    if found.is_empty() || found.len() == schema.fields().len() {
        return None;
    }
    let column = |i: usize| Expr::Column(Column::from(schema.qualified_field(i)));
    let columns: Vec<Expr> = (0..schema.fields().len()).filter(|i| found.contains(i)).map(column).collect();
    LogicalPlanBuilder::from(input.clone()).project(columns).ok()?.build().ok()
}
