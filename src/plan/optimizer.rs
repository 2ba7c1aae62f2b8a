//! DataFusion's optimizer rules, with the faults of some of them kept out.

use super::context::mistake;
use super::mistakes;
use crate::sql::Code;
use crate::sql::Diagnostic;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{ApplyOrder, Optimizer, OptimizerConfig, OptimizerContext, OptimizerRule};
use std::sync::Arc;

/// The rules, in their order.
pub(super) fn rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let kept = |rule: Arc<dyn OptimizerRule + Send + Sync>| match rule.name() {
        "push_down_filter" => Arc::new(AboveAggregates(rule)) as Arc<dyn OptimizerRule + Send + Sync>,
        _ => rule,
    };
    Optimizer::new().rules.into_iter().map(kept).collect()
}

/// The plan after all rules.
pub(super) fn optimized(plan: LogicalPlan, context: &OptimizerContext) -> Result<LogicalPlan> {
    let subqueries = plan.exists(|node| Ok(node.expressions().iter().any(mistakes::has_subquery)))?;
    let optimized = Optimizer::with_rules(rules()).optimize(plan, context, |_, _| {});
    optimized.map_err(|error| match error.find_root() {
        // The analyzer has found every column, so it is a rule that has lost one.
        DataFusionError::SchemaError(..) if subqueries => {
            let what = "a subquery in an expression is not maintained continuously where it stands here";
            mistake(
                Diagnostic::coded(Code::NotMaintained, what)
                    .help("compare its columns with those around it by =, or write a join"),
            )
        }
        _ => error,
    })
}

/// Pushes filters down, but none below an aggregate over all rows: one that names no column (`WHERE false`, once constants
/// are in their places) would go below it, where it takes away the aggregate's rows and not its result.
#[derive(Debug)]
struct AboveAggregates(Arc<dyn OptimizerRule + Send + Sync>);

impl OptimizerRule for AboveAggregates {
    fn name(&self) -> &str {
        self.0.name()
    }
    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }
    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match is_above_one_row(&plan) {
            true => Ok(Transformed::no(plan)),
            false => self.0.rewrite(plan, config),
        }
    }
}

/// Whether a filter, or several, stand directly above an aggregate over all rows.
fn is_above_one_row(plan: &LogicalPlan) -> bool {
    let LogicalPlan::Filter(filter) = plan else { return false };
    match filter.input.as_ref() {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        below => is_above_one_row(below),
    }
}
