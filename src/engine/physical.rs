//! Windows and lateness in a bounded query's physical plan: the same operators as in a job, over batches.

use super::bounded::external;
use super::session_windows::SessionExec;
use super::single_row::SingleRowExec;
use crate::delta::{Delta, WATERMARK_NONE};
use crate::operators::Operator;
use crate::operators::in_time::{InTime, InTimeSpec};
use crate::operators::window::{WindowAssign, WindowSpec};
use crate::plan::EmitMode;
use crate::plan::in_time::InTimeNode;
use crate::plan::session::SessionNode;
use crate::plan::single_row::SingleRowNode;
use crate::plan::window::WindowNode;
use arrow::array::{Array, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{Int64Type, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::Session as DataFusionSession;
use datafusion::common::Result as DataFusionResult;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PhysicalExpr, PlanProperties,
};
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};
use futures::StreamExt;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many rows a bounded query has left out of its windows.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    /// Rows that were late for a window.
    pub(super) late: AtomicU64,
    /// Rows without an event time.
    pub(super) timeless: AtomicU64,
}

/// DataFusion's physical planner, and our nodes.
#[derive(Debug)]
pub(super) struct BoundedPlanner(pub(super) Arc<LeftOut>);

#[async_trait]
impl QueryPlanner for BoundedPlanner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        state: &dyn DataFusionSession,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(OurNodes(self.0.clone()))])
            .create_physical_plan(plan, state)
            .await
    }
}

struct OurNodes(Arc<LeftOut>);

#[async_trait]
impl ExtensionPlanner for OurNodes {
    async fn plan_extension(
        &self,
        _planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        _state: &dyn DataFusionSession,
        _context: &PhysicalPlanningContext,
    ) -> DataFusionResult<Option<Arc<dyn ExecutionPlan>>> {
        let [input] = physical_inputs else { return Ok(None) };
        if let Some(session) = node.as_any().downcast_ref::<SessionNode>() {
            let spec = session.spec(EmitMode::Final, true)?;
            return Ok(Some(Arc::new(SessionExec::new(spec, input.clone()))));
        }
        if node.as_any().is::<SingleRowNode>() {
            return Ok(Some(Arc::new(SingleRowExec::new(input.clone()))));
        }
        let (rows, from, mark) = if let Some(window) = node.as_any().downcast_ref::<WindowNode>() {
            (RowsSpec::Window(window.spec()?), &window.input, &window.mark)
        } else if let Some(in_time) = node.as_any().downcast_ref::<InTimeNode>() {
            (RowsSpec::InTime(in_time.spec()?), &in_time.input, &in_time.mark)
        } else {
            return Ok(None);
        };
        let mark = mark.as_ref().map(|mark| from.schema().index_of_column(mark)).transpose()?;
        Ok(Some(Arc::new(RowsExec::new(rows, mark, self.0.clone(), input.clone()))))
    }
}

/// An operator that looks at each row alone, and may leave it out because it is late.
#[derive(Debug, Clone)]
enum RowsSpec {
    Window(WindowSpec),
    InTime(InTimeSpec),
}

impl RowsSpec {
    fn schema(&self) -> &SchemaRef {
        match self {
            RowsSpec::Window(spec) => &spec.schema,
            RowsSpec::InTime(spec) => &spec.schema,
        }
    }

    fn operator(&self) -> Box<dyn Operator> {
        match self {
            RowsSpec::Window(spec) => Box::new(WindowAssign::new(spec.clone())),
            RowsSpec::InTime(spec) => Box::new(InTime::new(spec.clone())),
        }
    }
}

/// Such an operator over batches.
#[derive(Debug)]
struct RowsExec {
    spec: RowsSpec,
    /// The column of marks.
    mark: Option<usize>,
    left_out: Arc<LeftOut>,
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl RowsExec {
    fn new(
        spec: RowsSpec,
        mark: Option<usize>,
        left_out: Arc<LeftOut>,
        input: Arc<dyn ExecutionPlan>,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(spec.schema().clone()),
            input.output_partitioning().clone(),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        RowsExec { spec, mark, left_out, input, properties: Arc::new(properties) }
    }
}

impl DisplayAs for RowsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.spec {
            RowsSpec::Window(spec) => write!(f, "{spec}"),
            RowsSpec::InTime(spec) => write!(f, "{spec}"),
        }
    }
}

impl ExecutionPlan for RowsExec {
    fn name(&self) -> &str {
        match self.spec {
            RowsSpec::Window(_) => "WindowExec",
            RowsSpec::InTime(_) => "InTimeExec",
        }
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
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let input = children.pop().unwrap_or_else(|| self.input.clone());
        Ok(Arc::new(RowsExec::new(self.spec.clone(), self.mark, self.left_out.clone(), input)))
    }
    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DataFusionResult<SendableRecordBatchStream> {
        let mut operator = self.spec.operator();
        let mark = self.mark;
        let left_out = self.left_out.clone();
        let input = self.input.execute(partition, context)?;
        let batches = input.flat_map(move |batch| {
            let before = operator.metrics();
            let pushed = batch.and_then(|batch| push(operator.as_mut(), batch, mark));
            let after = operator.metrics();
            left_out.late.fetch_add(after.late - before.late, Ordering::Relaxed);
            left_out.timeless.fetch_add(after.timeless - before.timeless, Ordering::Relaxed);
            futures::stream::iter(match pushed {
                Ok(out) => out.into_iter().map(|d| Ok(d.batch)).collect::<Vec<_>>(),
                Err(error) => vec![Err(error)],
            })
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.spec.schema().clone(), batches)))
    }
    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DataFusionResult<TreeNodeRecursion>,
    ) -> DataFusionResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }
}

/// What follows from the rows of a batch; `mark` is the column of their marks, null where a row is not late.
fn push(
    operator: &mut dyn Operator,
    batch: RecordBatch,
    mark: Option<usize>,
) -> DataFusionResult<Vec<Delta>> {
    let marks = mark.map(|m| batch.column(m).as_primitive::<Int64Type>());
    let marks = marks.filter(|m| m.null_count() < m.len());
    let marks = marks.map(|m| m.iter().map(|v| v.unwrap_or(WATERMARK_NONE)).collect::<Int64Array>());
    let mut out = Vec::new();
    operator.push(0, Delta { batch, weights: None, marks }, &mut out).map_err(external)?;
    Ok(out)
}
