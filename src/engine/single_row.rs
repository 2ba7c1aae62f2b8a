//! A subquery that stands for one value, in a bounded query's physical plan: the same operator as in a job.

use super::bounded::external;
use crate::delta::{Delta, WATERMARK_NONE};
use crate::operators::Operator;
use crate::operators::single_row::SingleRow;
use arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Distribution, EquivalenceProperties, Partitioning};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, InputDistributionRequirements,
    PhysicalExpr, PlanProperties,
};
use futures::StreamExt;
use std::fmt;
use std::sync::Arc;

/// Passes its input's rows; fails at the second.
#[derive(Debug)]
pub(super) struct SingleRowExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl SingleRowExec {
    /// The limit over `input`.
    pub(super) fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            Partitioning::UnknownPartitioning(1),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        SingleRowExec { input, properties: Arc::new(properties) }
    }
}

impl DisplayAs for SingleRowExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("SingleRow")
    }
}

impl ExecutionPlan for SingleRowExec {
    fn name(&self) -> &str {
        "SingleRowExec"
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
        Ok(Arc::new(SingleRowExec::new(children.pop().unwrap_or_else(|| self.input.clone()))))
    }
    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::SinglePartition])
    }
    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let mut operator = SingleRow::default();
        let batches = self.input.execute(partition, context)?.map(move |batch| {
            let batch = batch?;
            checked(&mut operator, batch.clone())?;
            Ok::<_, DataFusionError>(batch)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.input.schema(), batches)))
    }
    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }
}

/// Each batch is a step: rows only come, so that the second one is already too many.
fn checked(operator: &mut SingleRow, batch: RecordBatch) -> Result<()> {
    let mut out = Vec::new();
    operator.push(0, Delta::insert(batch), &mut out).map_err(external)?;
    operator.finish_step(WATERMARK_NONE, &mut out).map_err(external)?;
    Ok(())
}
