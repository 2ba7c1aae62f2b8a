//! A check of the plan as it was written: RIGHT and FULL joins whose columns are merged by USING or NATURAL.
//!
//! DataFusion takes the left side's column for the merged one, which is null where only the right side has a row.

use super::context::mistake;
use crate::sql::Diagnostic;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{JoinConstraint, JoinType, Result};
use datafusion::logical_expr::{Join, LogicalPlan};

/// The plan, if no such join is in it.
pub(super) fn merged(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.apply_with_subqueries(|node| match node {
        LogicalPlan::Join(join) if is_merged(join) => Err(mistake(refused(join))),
        _ => Ok(TreeNodeRecursion::Continue),
    })?;
    Ok(plan)
}

fn is_merged(join: &Join) -> bool {
    join.join_constraint == JoinConstraint::Using
        && matches!(join.join_type, JoinType::Right | JoinType::Full)
}

fn refused(join: &Join) -> Diagnostic {
    let side = if join.join_type == JoinType::Right { "RIGHT" } else { "FULL" };
    let d = Diagnostic::new(format!("{side} JOIN with USING or NATURAL is not supported"));
    match join.on.first() {
        Some((l, r)) => d.help(format!("write ON {l} = {r}, and coalesce({l}, {r}) for the column of both")),
        None => d.help("write ON, and coalesce(…) for the columns of both"),
    }
}
