//! The incremental dataflow that a query becomes: operators' specs in topological order.

use super::state_bound::StateBound;
use crate::catalog::StreamDef;
use crate::operators::aggregate::AggregateSpec;
use crate::operators::expand::ExpandSpec;
use crate::operators::filter::FilterSpec;
use crate::operators::in_time::InTimeSpec;
use crate::operators::join::JoinSpec;
use crate::operators::late::LateRule;
use crate::operators::project::ProjectSpec;
use crate::operators::session::SessionSpec;
use crate::operators::threshold::ThresholdSpec;
use crate::operators::top_n::TopNSpec;
use crate::operators::unnest::UnnestSpec;
use crate::operators::upsert::UpsertSpec;
use crate::operators::window::WindowSpec;
use crate::sql::StartAt;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use std::sync::Arc;

/// A stream that the dataflow reads.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceSpec {
    /// Its definition.
    pub stream: Arc<StreamDef>,
    /// Where reading it begins the first time.
    pub start: StartAt,
    /// Which of its columns are needed, as indices into the declared columns followed by the three metadata columns, or,
    /// for a table, by the one that tells tombstones.
    pub columns: Vec<usize>,
    /// Those columns.
    pub schema: SchemaRef,
    /// What its rows meet first that leaves late ones out, if the stream keeps its late rows.
    pub late_rule: Option<LateRule>,
}

/// Rows that are equal in some keys come to one worker; without keys, all to the first.
#[derive(Debug, Clone, PartialEq)]
pub struct ExchangeSpec {
    /// The keys.
    pub keys: Vec<Arc<dyn PhysicalExpr>>,
    /// Which of them, by their hash in this order, name the worker; so do they in the state of what comes next.
    pub by: Vec<usize>,
    /// Whether the rows are there already, as they were sent by the same before: then none is moved.
    pub there: bool,
    /// Set if what it gives is not its input's rows but what [`SendOnce`](crate::operators::aggregate::SendOnce) makes of them for
    /// this aggregate. The keys come first then.
    pub once: Option<Box<AggregateSpec>>,
}

impl ExchangeSpec {
    /// The keys whose hash names the worker, over the rows of the input.
    pub fn named_by(&self) -> impl Iterator<Item = &Arc<dyn PhysicalExpr>> {
        self.by.iter().filter_map(|key| self.keys.get(*key))
    }

    /// The same over the rows as they are sent.
    pub fn hashed(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        match &self.once {
            None => self.named_by().cloned().collect(),
            Some(once) => {
                let keys = self.by.iter().filter_map(|key| Some((*key, once.group.get(*key)?)));
                keys.map(|(at, (_, name))| Arc::new(Column::new(name, at)) as Arc<dyn PhysicalExpr>).collect()
            }
        }
    }
}

/// What a node does.
#[derive(Debug, Clone, PartialEq)]
pub enum Spec {
    /// Rows of a source (index into [`Dataflow::sources`]).
    Source(usize),
    /// Constant rows, sent once.
    Values(RecordBatch),
    /// See [`FilterSpec`].
    Filter(FilterSpec),
    /// See [`ProjectSpec`].
    Project(ProjectSpec),
    /// See [`WindowSpec`].
    Window(WindowSpec),
    /// See [`InTimeSpec`].
    InTime(InTimeSpec),
    /// See [`ThresholdSpec`].
    Threshold(ThresholdSpec),
    /// See [`SessionSpec`].
    Session(SessionSpec),
    /// See [`ExpandSpec`].
    Expand(ExpandSpec),
    /// See [`UnnestSpec`].
    Unnest(UnnestSpec),
    /// See [`UpsertSpec`].
    Upsert(UpsertSpec),
    /// See [`crate::operators::single_row::SingleRow`].
    SingleRow,
    /// All rows of all inputs.
    Union,
    /// See [`ExchangeSpec`].
    Exchange(ExchangeSpec),
    /// See [`AggregateSpec`].
    Aggregate(AggregateSpec),
    /// See [`JoinSpec`].
    Join(Box<JoinSpec>),
    /// See [`TopNSpec`].
    TopN(TopNSpec),
}

/// One operator of the dataflow.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it does.
    pub spec: Spec,
    /// The nodes whose output it takes, by index; all lie before it.
    pub inputs: Vec<usize>,
    /// Its output's columns.
    pub schema: SchemaRef,
    /// Whether its output only ever adds rows.
    pub append_only: bool,
    /// The output column that the watermark speaks of, if any.
    pub event_time: Option<usize>,
    /// What bounds its state; `None` = it keeps none.
    pub state: Option<StateBound>,
}

/// A query as operators. The last node's output is the query's result.
#[derive(Debug, Clone)]
pub struct Dataflow {
    /// The streams read.
    pub sources: Vec<SourceSpec>,
    /// The operators, inputs before consumers.
    pub nodes: Vec<Node>,
}

impl Dataflow {
    /// The node whose output is the result.
    ///
    /// # Panics
    /// Never: the planner makes no dataflow without a node.
    #[expect(clippy::expect_used, reason = "the planner makes no dataflow without a node")]
    pub fn root(&self) -> &Node {
        self.nodes.last().expect("a dataflow has a node")
    }
}
