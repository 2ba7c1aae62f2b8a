//! Grouping sets in a bounded query's physical plan: what their input promises does not hold of their groups.
//!
//! DataFusion takes over an input's constants as constants of the groups: a key that is `true` in every row, or that a
//! filter has set equal to a number, would be the same in every group. In a grouping set that leaves the key out it is null.
//! The second stage of the aggregate then holds the groups to be sorted, gives them out when the key changes, and a group
//! that comes from two partitions comes out twice.

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateInputMode};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties,
    PlanProperties, ReplaceChildrenOptions,
};
use std::fmt;
use std::sync::Arc;

/// DataFusion's rules for physical plans, after one that hides an input's promises from grouping sets.
pub(super) fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let ours: Arc<dyn PhysicalOptimizerRule + Send + Sync> = Arc::new(NoPromises);
    std::iter::once(ours).chain(PhysicalOptimizer::new().rules).collect()
}

/// Puts [`UnpromisedExec`] below each aggregate that has grouping sets.
#[derive(Debug)]
struct NoPromises;

impl PhysicalOptimizerRule for NoPromises {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        // From below: an aggregate's second stage takes its properties from the first anew.
        plan.transform_up(|node| match node.downcast_ref::<AggregateExec>() {
            Some(aggregate) if has_sets(aggregate) => {
                let input = Arc::new(UnpromisedExec::new(aggregate.input().clone()));
                Ok(Transformed::yes(node.replace_children(
                    vec![input],
                    ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute),
                )?))
            }
            _ => Ok(Transformed::no(node)),
        })
        .data()
    }
    fn name(&self) -> &str {
        "no_promises_to_grouping_sets"
    }
    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether this is the stage that makes the sets.
fn has_sets(aggregate: &AggregateExec) -> bool {
    aggregate.mode().input_mode() == AggregateInputMode::Raw && aggregate.group_expr().has_grouping_set()
}

/// Its input's rows, in as many partitions, with nothing known of them.
#[derive(Debug)]
struct UnpromisedExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl UnpromisedExec {
    fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        UnpromisedExec { input, properties: Arc::new(properties) }
    }
}

impl DisplayAs for UnpromisedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Unpromised")
    }
}

impl ExecutionPlan for UnpromisedExec {
    fn name(&self) -> &str {
        "UnpromisedExec"
    }
    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }
    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }
    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(UnpromisedExec::new(children.pop().unwrap_or_else(|| self.input.clone()))))
    }
    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }
    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::Planner;
    use datafusion::execution::SessionStateBuilder;
    use datafusion::prelude::{SessionConfig, SessionContext};

    #[tokio::test]
    async fn groups_of_two_partitions_come_once() {
        let state = Planner::new().session_state().clone();
        // With one partition behind it, the second stage sees all groups mixed.
        let config = SessionConfig::new().with_target_partitions(1);
        let context = SessionContext::new_with_state(
            SessionStateBuilder::new_from_existing(state).with_config(config).build(),
        );
        let sql = "SELECT c, count(*) AS n FROM (SELECT true AS c FROM (SELECT * FROM (VALUES (1)) AS a (x) \
                   UNION ALL SELECT * FROM (VALUES (2)) AS b (x)) AS u WHERE x = 1) AS r GROUP BY ROLLUP (c)";
        let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
        let rows: usize = batches.iter().map(|b| b.num_rows()).sum();
        assert_eq!(rows, 2, "{batches:?}");
    }
}
