//! A SELECT without EMIT: DataFusion's batch engine answers it over what the streams hold now.

use super::cause::Running;
use super::heads::Heads;
use super::marks::{MARK, provided};
use super::physical::{BoundedPlanner, LeftOut};
use super::sources::{Wanted, open_partition, partitions_of, start_of};
use super::{Engine, EngineError, Result};
use crate::connectors::{ConnectorError, PartitionReader};
use crate::delta::{Delta, WATERMARK_NONE};
use crate::operators::Operator;
use crate::operators::upsert::{Upsert, UpsertSpec};
use crate::plan::mistake;
use crate::plan::order::LastLimit;
use crate::plan::stream::stream_of;
use crate::plan::table::table_spec;
use crate::runtime::feed::{FeedShape, Next, PartitionFeed};
use crate::sql::StartAt;
use arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session as DataFusionSession, TableProvider};
use datafusion::common::Result as DataFusionResult;
use datafusion::datasource::TableType;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, SessionStateBuilder, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Rows that a partition gives at a time.
const BATCH_ROWS: usize = 8192;

/// The running answer of a bounded query.
pub struct Bounded {
    schema: SchemaRef,
    stream: SendableRecordBatchStream,
    handle: tokio::runtime::Handle,
    left_out: Arc<LeftOut>,
    running: Option<Arc<Running>>,
    heads: Heads,
}

impl Bounded {
    /// The same under these heads; failures are told at the expression of the query that makes them.
    pub(super) fn of(self, running: Arc<Running>, heads: Heads) -> Self {
        Bounded { running: Some(running), heads, ..self }
    }

    fn next(&self, next: Option<DataFusionResult<RecordBatch>>) -> Result<Option<RecordBatch>> {
        let rows = next.transpose().map_err(|error| self.failed(error))?;
        Ok(rows.map(|rows| self.heads.over(rows)).transpose()?)
    }

    fn failed(&self, error: DataFusionError) -> EngineError {
        let error = EngineError::Query(error);
        match &self.running {
            Some(running) => running.placed(error),
            None => error,
        }
    }

    /// The answer's columns.
    pub fn schema(&self) -> SchemaRef {
        self.heads.schema(&self.schema)
    }

    /// Rows so far that were left out of a window: those late for it, and those without an event time.
    pub fn left_out(&self) -> (u64, u64) {
        (self.left_out.late.load(Ordering::Relaxed), self.left_out.timeless.load(Ordering::Relaxed))
    }

    /// The next rows, or nothing at the end. Waits for them.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let next = self.handle.block_on(self.stream.next());
        self.next(next)
    }

    /// The same; nothing as soon as `stop` says so.
    pub fn next_batch_unless(&mut self, stop: &dyn Fn() -> bool) -> Result<Option<RecordBatch>> {
        let stream = &mut self.stream;
        let next = self.handle.block_on(async {
            loop {
                tokio::select! {
                    batch = stream.next() => return batch,
                    () = tokio::time::sleep(LOOK) => if stop() { return None },
                }
            }
        });
        self.next(next)
    }
}

/// How often one who waits for rows looks whether they are still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// Tables that are not streams of the catalog, such as `stdin`.
pub(super) type ExtraTables = Arc<std::collections::HashMap<String, Arc<ReadOnce>>>;

/// Starts the plan of a bounded query.
pub(super) fn start(engine: &Engine, plan: LogicalPlan, extra: &ExtraTables) -> Result<Bounded> {
    let plan = engine.0.planner.bounded(plan, LastLimit::First)?;
    let provide = |scan: &TableScan, mark: bool| provider(engine, scan, mark, extra);
    let plan = provided(plan, &provide)?;
    let left_out = Arc::new(LeftOut::default());
    let state = SessionStateBuilder::new_from_existing(engine.0.planner.session_state().clone())
        .with_query_planner(Arc::new(BoundedPlanner(left_out.clone())))
        .build();
    let context = SessionContext::new_with_state(state);
    let handle = engine.0.handle.clone();
    // On a thread of the runtime with a deep stack of its own: DataFusion's planner recurses.
    let stream = handle.block_on(async {
        let frame = context.execute_logical_plan(plan).await?;
        frame.execute_stream().await
    });
    let stream = stream.map_err(planning)?;
    Ok(Bounded { schema: stream.schema(), stream, handle, left_out, running: None, heads: Heads::planned() })
}

/// An error that comes before the first row: mistakes in the SQL are told as such.
fn planning(error: DataFusionError) -> EngineError {
    match error.find_root() {
        DataFusionError::Plan(_) | DataFusionError::SchemaError(..) | DataFusionError::NotImplemented(_) => {
            mistake(error).into()
        }
        // Types that do not go together are told so in one case.
        DataFusionError::Internal(words) if words.contains("coerce types") => mistake(error).into(),
        _ => EngineError::Query(error),
    }
}

fn provider(
    engine: &Engine,
    scan: &TableScan,
    mark: bool,
    extra: &ExtraTables,
) -> DataFusionResult<Arc<dyn TableProvider>> {
    let Some(source) = stream_of(&scan.source) else {
        return datafusion::common::internal_err!("a scan of something that is not a stream");
    };
    let mut fields = datafusion::logical_expr::TableSource::schema(source).fields().to_vec();
    if mark {
        fields.push(Arc::new(Field::new(MARK, DataType::Int64, true)));
    }
    Ok(Arc::new(StreamProvider {
        engine: engine.clone(),
        stream: source.stream.clone(),
        start: source.start,
        once: extra.get(&source.stream.name).cloned(),
        schema: Arc::new(Schema::new(fields)),
        mark,
    }))
}

/// A reader that can be had once: standard input.
pub(super) struct ReadOnce(pub(super) Mutex<Option<Box<dyn PartitionReader>>>);

impl ReadOnce {
    /// The reader; the second time there is none.
    pub(super) fn open(&self) -> Result<Box<dyn PartitionReader>, ConnectorError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or_else(|| {
            ConnectorError::Other(
                "stdin can be read only once: name it once in the query, or put it into a stream first \
                 (CREATE STREAM s AS SELECT * FROM stdin)"
                    .into(),
            )
        })
    }
}

impl fmt::Debug for ReadOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadOnce")
    }
}

/// A stream as DataFusion scans it: its partitions, up to where they end now.
struct StreamProvider {
    engine: Engine,
    stream: Arc<crate::catalog::StreamDef>,
    start: StartAt,
    once: Option<Arc<ReadOnce>>,
    /// Declared columns, metadata columns if asked for, the mark if asked for.
    schema: SchemaRef,
    mark: bool,
}

impl fmt::Debug for StreamProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream {}", self.stream.name)
    }
}

#[async_trait]
impl TableProvider for StreamProvider {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
    fn table_type(&self) -> TableType {
        TableType::Base
    }
    async fn scan(
        &self,
        _state: &dyn DataFusionSession,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let columns = projection.cloned().unwrap_or(all);
        let schema = Arc::new(self.schema.project(&columns)?);
        let width = self.schema.fields().len();
        let mark = columns.iter().position(|c| self.mark && *c == width - 1);
        let mut data: Vec<usize> =
            columns.iter().copied().filter(|c| !(self.mark && *c == width - 1)).collect();
        let mut upsert = None;
        if self.stream.is_table() {
            let table = table_spec(&self.stream, &data, schema.clone());
            (data, upsert) = (table.source.columns, Some(table.upsert));
        }
        let partitions = partitions_of(&self.engine, &self.stream).map_err(external)?;
        let streams = (0..partitions).map(|partition| {
            Arc::new(StreamPartition {
                engine: self.engine.clone(),
                stream: self.stream.clone(),
                start: self.start,
                once: self.once.clone(),
                partition,
                data: data.clone(),
                upsert: upsert.clone(),
                mark,
                schema: schema.clone(),
            }) as Arc<dyn PartitionStream>
        });
        let exec = StreamingTableExec::try_new(schema.clone(), streams.collect(), None, [], false, limit)?;
        Ok(Arc::new(exec))
    }
}

pub(super) fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

#[derive(Clone)]
struct StreamPartition {
    engine: Engine,
    stream: Arc<crate::catalog::StreamDef>,
    start: StartAt,
    once: Option<Arc<ReadOnce>>,
    partition: usize,
    /// The stream's columns that are wanted, in order.
    data: Vec<usize>,
    /// What they become, if the stream is a table.
    upsert: Option<UpsertSpec>,
    /// Where among the output columns the mark stands.
    mark: Option<usize>,
    schema: SchemaRef,
}

impl fmt::Debug for StreamPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream {} partition {}", self.stream.name, self.partition)
    }
}

impl StreamPartition {
    fn open(&self) -> Result<PartitionFeed> {
        let wanted = Wanted::new(&self.stream, &self.data, self.mark.is_some())?;
        let reader = match &self.once {
            Some(once) => once.open()?,
            None => {
                let start = start_of(&self.engine, &self.stream, self.partition, self.start)?;
                open_partition(&self.engine, &self.stream, &wanted, self.partition, start, true)?
            }
        };
        let shape = FeedShape { late_rule: None, ..wanted.shape };
        Ok(PartitionFeed::new(reader, Arc::new(shape), WATERMARK_NONE))
    }

    fn batch(&self, delta: &Delta) -> DataFusionResult<RecordBatch> {
        let mut columns = delta.batch.columns().to_vec();
        if let Some(at) = self.mark {
            let marks: ArrayRef = match &delta.marks {
                Some(marks) => Arc::new(marks.clone()),
                None => Arc::new(Int64Array::new_null(delta.num_rows())),
            };
            columns.insert(at, marks);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(delta.num_rows()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }
}

/// The rows of a table that are in one partition now: what a job's state would hold.
fn folded(mut feed: PartitionFeed, spec: UpsertSpec) -> DataFusionResult<Vec<Delta>> {
    let mut table = Upsert::new(spec).map_err(external)?;
    let mut rows = Vec::new();
    while let Next::Rows(prepared) = feed.next(BATCH_ROWS).map_err(external)? {
        table.push(0, prepared.delta, &mut rows).map_err(external)?;
    }
    table.finish_step(WATERMARK_NONE, &mut rows).map_err(external)?;
    Ok(rows)
}

impl PartitionStream for StreamPartition {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut feed = match self.open() {
            Ok(feed) => feed,
            Err(error) => {
                let failed = futures::stream::iter([Err(external(error))]);
                return Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), failed));
            }
        };
        if let Some(spec) = self.upsert.clone() {
            // All at once, and only when it is asked for.
            let rows = std::iter::once_with(move || folded(feed, spec)).flat_map(|rows| match rows {
                Ok(deltas) => deltas.into_iter().map(|d| Ok(d.batch)).collect(),
                Err(error) => vec![Err(error)],
            });
            return Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), futures::stream::iter(rows)));
        }
        let this = self.clone();
        let batches = std::iter::from_fn(move || {
            loop {
                match feed.next(BATCH_ROWS) {
                    Ok(Next::Rows(prepared)) if prepared.delta.is_empty() => {}
                    Ok(Next::Rows(prepared)) => return Some(this.batch(&prepared.delta)),
                    Ok(Next::Pending | Next::End) => return None,
                    Err(error) => return Some(Err(external(error))),
                }
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), futures::stream::iter(batches)))
    }
}
