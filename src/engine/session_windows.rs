//! Session windows in a bounded query's physical plan: the same operator as in a job, over all rows of its keys at once.

use super::bounded::external;
use crate::delta::{Delta, WATERMARK_END};
use crate::operators::Operator;
use crate::operators::session::{SessionSpec, SessionWindow};
use arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{Distribution, EquivalenceProperties, Partitioning};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, InputDistributionRequirements,
    PhysicalExpr, PlanProperties,
};
use futures::{StreamExt, TryStreamExt};
use std::fmt;
use std::sync::Arc;

/// The session operator over batches.
#[derive(Debug)]
pub(super) struct SessionExec {
    spec: SessionSpec,
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl SessionExec {
    /// Sessions by `spec`, which is to be final.
    pub(super) fn new(spec: SessionSpec, input: Arc<dyn ExecutionPlan>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(spec.schema.clone()),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            EmissionType::Final,
            input.boundedness(),
        );
        SessionExec { spec, input, properties: Arc::new(properties) }
    }
}

impl DisplayAs for SessionExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.spec)
    }
}

impl ExecutionPlan for SessionExec {
    fn name(&self) -> &str {
        "SessionExec"
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
        let input = children.pop().unwrap_or_else(|| self.input.clone());
        Ok(Arc::new(SessionExec::new(self.spec.clone(), input)))
    }
    /// All rows of a key must come to one partition.
    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        let key = |i: &usize| Arc::new(Column::new(self.spec.schema.field(*i).name(), *i)) as _;
        InputDistributionRequirements::new(vec![match self.spec.keys.as_slice() {
            [] => Distribution::SinglePartition,
            keys => Distribution::KeyPartitioned(keys.iter().map(key).collect()),
        }])
    }
    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let spec = self.spec.clone();
        let sessions = async move {
            let batches: Vec<RecordBatch> = input.try_collect().await?;
            let mut operator = SessionWindow::new(spec).map_err(external)?;
            let mut out = Vec::new();
            for batch in batches.into_iter().filter(|batch| batch.num_rows() > 0) {
                operator.push(0, Delta::insert(batch), &mut out).map_err(external)?;
            }
            operator.finish_step(WATERMARK_END, &mut out).map_err(external)?;
            Ok::<_, datafusion::error::DataFusionError>(futures::stream::iter(
                out.into_iter().map(|delta| Ok(delta.batch)),
            ))
        };
        let batches = futures::stream::once(sessions).try_flatten().boxed();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.spec.schema.clone(), batches)))
    }
    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }
}
