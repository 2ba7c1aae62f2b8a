//! Jobs on a simulated machine, driven by one thread, so that the same seed gives the same run: the topic `s`, a job `a` that
//! writes some of its rows into the stream `t`, and a job `b` that keeps counts of these by key in the table `u`.
//!
//! The job's own threads take turns: sources are read by the driver, and after each step it waits until the sink has it. What a
//! sink flushes, and when a checkpoint is written, the driver says.

use crate::catalog::{Column, Definitions, StreamDef};
use crate::clock::Clock;
use crate::connectors::topic::{FedBy, TopicAppender, TopicColumn, TopicReader};
use crate::connectors::{ConnectorError, PartitionReader, Position};
use crate::delta::{Delta, EventTime};
use crate::disk::Disk;
use crate::log::{Append, Fsync, Log, Topic, TopicOptions, TopicSettings};
use crate::plan::{EmitMode, Planner, SharedFlow};
use crate::runtime::checkpoint::JobStore;
use crate::runtime::control::{Control, News};
use crate::runtime::feed::{FeedShape, Next, PartitionFeed};
use crate::runtime::job::{Job, JobOptions, JobPart, SourceSetup};
use crate::runtime::monitor::Monitor;
use crate::runtime::settled::JobFolders;
use crate::runtime::sink::{Flusher, Sink, TopicSink};
use crate::runtime::steps::Run;
use crate::runtime::upsert_sink::{UpsertSink, UpsertTarget};
use crate::runtime::{Result, RuntimeError};
use crate::sql::{self, Statement};
use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(super) const PARTITIONS: u32 = 2;
const A: &str = "SELECT id, k, v FROM s WHERE v % 3 <> 0";
const B: &str = "SELECT k, count(*) AS n, sum(v) AS total FROM t GROUP BY k";

/// A row of `s` or `t`: id, key, value.
pub(super) type Row = (i64, i64, i64);

/// What both jobs are, planned once.
pub(super) struct Plans {
    a: Arc<SharedFlow>,
    b: Arc<SharedFlow>,
}

impl Plans {
    pub(super) fn new() -> Self {
        let column = |name: &str| Column { name: name.into(), data_type: DataType::Int64, nullable: true };
        let mut definitions = Definitions::default();
        for name in ["s", "t"] {
            let stream = StreamDef {
                name: name.into(),
                columns: vec![column("id"), column("k"), column("v")],
                event_time: None,
                connector: "topic".into(),
                options: Vec::new(),
                query: None,
                primary_key: None,
            };
            definitions.streams.insert(name.into(), Arc::new(stream));
        }
        let planner = Planner::new();
        let flow = |query: &str| {
            let statements = sql::parse(query).unwrap();
            let Statement::Query(parsed) = &statements[0].statement else { panic!("a query") };
            let plan = planner.query(&definitions, query, &parsed.query).unwrap();
            let plan = planner.optimize(plan).unwrap();
            Arc::new(SharedFlow::from(&planner.dataflow(&plan, EmitMode::Changes).unwrap()))
        };
        Plans { a: flow(A), b: flow(B) }
    }
}

fn fields(names: &[&str]) -> SchemaRef {
    Arc::new(Schema::new(names.iter().map(|n| Field::new(*n, DataType::Int64, true)).collect::<Vec<_>>()))
}

fn rows_schema() -> SchemaRef {
    fields(&["id", "k", "v"])
}

fn target() -> UpsertTarget {
    let mut topic: Vec<Field> = ["k", "n", "total"].map(|n| Field::new(n, DataType::Int64, true)).into();
    topic.push(Field::new("_deleted", DataType::Boolean, false));
    UpsertTarget {
        name: "u".into(),
        schema: fields(&["k", "n", "total"]),
        topic: Arc::new(Schema::new(topic)),
        key: vec![0],
    }
}

/// The folder of a job.
fn folder(name: &str) -> std::path::PathBuf {
    format!("/data/jobs/{name}").into()
}

/// The log as a process opens it.
pub(super) fn open(disk: &Disk) -> Result<Log> {
    let log = Log::open("/data", disk.clone(), Clock::manual(1_000))?;
    log.ask_about_jobs(Arc::new(JobFolders::new(disk.clone(), |feeder| Some(folder(&feeder.name)))));
    Ok(log)
}

/// Makes the topics; `at_once`: what the jobs write is durable at once.
pub(super) fn create(log: &Log, at_once: bool) -> Result<()> {
    for (name, schema) in [("s", rows_schema()), ("t", rows_schema()), ("u", target().topic)] {
        let fsync = if at_once && name != "s" { Fsync::Step } else { Fsync::Os };
        let settings = TopicSettings { fsync, ..TopicSettings::segments_of(3_000) };
        let options = TopicOptions { partitions: PARTITIONS, settings, ..TopicOptions::default() };
        log.create_topic(name, options, schema)?;
    }
    Ok(())
}

/// Appends rows to `s`.
pub(super) fn append(log: &Log, partition: u32, rows: &[Row]) -> Result<()> {
    let of = |column: fn(&Row) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(rows.iter().map(column)))
    };
    let batch = RecordBatch::try_new(rows_schema(), vec![of(|r| r.0), of(|r| r.1), of(|r| r.2)])?;
    log.topic("s")?.writer(partition)?.append(Append::rows(&batch))?;
    Ok(())
}

fn batches(log: &Log, topic: &str) -> Result<Vec<RecordBatch>> {
    let topic = log.topic(topic)?;
    let mut all = Vec::new();
    for partition in 0..topic.partitions() {
        let mut reader = topic.reader(partition, topic.start_offset(partition)?, None)?;
        while let Some(frame) = reader.next()? {
            all.push(frame.batch);
        }
    }
    Ok(all)
}

fn numbers(batch: &RecordBatch, column: usize) -> Vec<Option<i64>> {
    batch.column(column).as_primitive::<Int64Type>().iter().collect()
}

/// All rows of `s` or `t`, sorted.
pub(super) fn rows(log: &Log, topic: &str) -> Result<Vec<Row>> {
    let mut all = Vec::new();
    for batch in batches(log, topic)? {
        let [id, k, v] = [0, 1, 2].map(|c| numbers(&batch, c));
        all.extend((0..id.len()).filter_map(|i| Some((id[i]?, k[i]?, v[i]?))));
    }
    all.sort_unstable();
    Ok(all)
}

/// What `a` makes of rows.
pub(super) fn kept(rows: &[Row]) -> Vec<Row> {
    rows.iter().copied().filter(|(_, _, v)| v % 3 != 0).collect()
}

/// What `b` makes of rows.
pub(super) fn counted(rows: &[Row]) -> BTreeMap<i64, (i64, i64)> {
    let mut counts = BTreeMap::new();
    for (_, k, v) in rows {
        let (n, total): &mut (i64, i64) = counts.entry(*k).or_default();
        (*n, *total) = (*n + 1, *total + v);
    }
    counts
}

/// The rows of the table `u`.
pub(super) fn table(log: &Log) -> Result<BTreeMap<i64, (i64, i64)>> {
    let mut table = BTreeMap::new();
    for batch in batches(log, "u")? {
        let [k, n, total] = [0, 1, 2].map(|c| numbers(&batch, c));
        let deleted = batch.column(3).as_boolean();
        for i in 0..batch.num_rows() {
            match (k[i], n[i], total[i]) {
                (Some(k), Some(n), Some(total)) if !deleted.value(i) => drop(table.insert(k, (n, total))),
                (Some(k), ..) => drop(table.remove(&k)),
                _ => {}
            }
        }
    }
    Ok(table)
}

/// A sink that is flushed only when the driver says so: else it is only waited for.
struct Gate {
    sink: Box<dyn Sink>,
    open: Arc<AtomicBool>,
}

impl Sink for Gate {
    fn write(&mut self, step: u64, deltas: &[Delta], watermark: EventTime) -> Result<()> {
        self.sink.write(step, deltas, watermark)
    }

    fn is_durable_at_once(&self) -> bool {
        self.sink.is_durable_at_once()
    }

    fn last_step(&mut self) -> Result<Option<u64>> {
        self.sink.last_step()
    }

    fn flusher(&self) -> Option<Flusher> {
        let (open, flush) = (Arc::clone(&self.open), self.sink.flusher()?);
        Some(Arc::new(move || if open.load(Ordering::Acquire) { flush() } else { Ok(()) }))
    }

    fn fed_by(&mut self, job: &FedBy) -> Result<()> {
        self.sink.fed_by(job)
    }
}

/// A job that runs.
pub(super) struct Running {
    run: Run,
    feeds: Vec<Vec<PartitionFeed>>,
    flushes: Arc<AtomicBool>,
    control: Arc<Control>,
}

impl Running {
    /// Starts a job, and runs the journaled steps again.
    pub(super) fn start(
        plans: &Plans,
        name: &str,
        log: &Log,
        disk: &Disk,
        clock: &Clock,
        workers: usize,
    ) -> Result<Self> {
        let (flow, source) = if name == "a" { (&plans.a, "s") } else { (&plans.b, "t") };
        // Steps that are made anew end with a checkpoint.
        let flushes = Arc::new(AtomicBool::new(true));
        let control = Arc::new(Control::default());
        let part = JobPart {
            name: name.into(),
            sink: Box::new(Gate { sink: sink(log, name)?, open: flushes.clone() }),
            fingerprint: name.into(),
            control: control.clone(),
            dir: None,
        };
        let store = JobStore { disk: disk.clone(), dir: folder(name), job: name.into() };
        let options = JobOptions {
            workers,
            step_rows: 64,
            idle_timeout: Duration::ZERO,
            state_ttl: None,
            checkpoint_interval: Duration::MAX,
            until_caught_up: false,
        };
        let job = Job {
            flow: flow.clone(),
            sources: vec![source_of(flow, log, source)?],
            parts: vec![part],
            options,
            store: Some(store.clone()),
            log: Some(log.clone()),
            clock: clock.clone(),
            spill: None,
        };
        let manifest = store.manifest()?;
        let monitor = Arc::new(Monitor::start(&job)?);
        let mut run = Run::start(job, manifest, monitor)?;
        run.replay()?;
        run.drain()?;
        flushes.store(false, Ordering::Release);
        let feeds = run.open_feeds()?;
        Ok(Running { run, feeds, flushes, control })
    }

    /// Makes a step of what there is; whether there was anything.
    pub(super) fn step(&mut self, most: usize) -> Result<bool> {
        let mut any = false;
        let mut taken = Vec::new();
        for partitions in &mut self.feeds {
            let mut slices = Vec::new();
            for feed in partitions {
                let prepared = match feed.next(most)? {
                    Next::Rows(prepared) => vec![*prepared],
                    Next::Pending | Next::End => vec![],
                };
                any |= !prepared.is_empty();
                slices.push((prepared, false));
            }
            taken.push(slices);
        }
        if any {
            let moment = self.run.moment();
            self.run.one_step(taken, moment, true)?;
            self.run.drain()?;
        }
        Ok(any)
    }

    /// Writes a checkpoint, if there was a step since the last.
    pub(super) fn checkpoint(&mut self) -> Result<()> {
        self.flushes.store(true, Ordering::Release);
        // The checkpoint's thread then finds the sink as it is to be, and works alone.
        let written = self.run.drain().and_then(|()| self.run.checkpoint());
        self.flushes.store(false, Ordering::Release);
        written
    }

    /// The last step that was made.
    pub(super) fn last_step(&self) -> u64 {
        self.run.step
    }

    /// How many steps were made anew because their rows were gone.
    pub(super) fn made_anew(&self) -> usize {
        let steps = |news: &News| match news {
            News::Anew { steps, .. } => *steps,
            _ => 0,
        };
        self.control.take_news().iter().map(steps).sum()
    }
}

fn sink(log: &Log, name: &str) -> Result<Box<dyn Sink>> {
    let (topic, producer): (Arc<Topic>, u128) = match name {
        "a" => (log.topic("t")?, 1),
        _ => (log.topic("u")?, 2),
    };
    if name == "a" {
        let appender = TopicAppender::new(&topic, None, None, producer)?;
        return Ok(Box::new(TopicSink::new(appender, rows_schema(), false, true)));
    }
    let appender = TopicAppender::new(&topic, Some(vec![0]), None, producer)?;
    Ok(Box::new(UpsertSink::new(appender, target(), false, true)?))
}

fn source_of(flow: &SharedFlow, log: &Log, name: &str) -> Result<SourceSetup> {
    let spec = flow.sources.first().ok_or(RuntimeError::WorkerLost)?;
    let topic = log.topic(name)?;
    let (columns, schema) = (spec.columns.clone(), spec.schema.clone());
    let open = move |partition, from: Position| -> Result<Box<dyn PartitionReader>, ConnectorError> {
        let columns = columns.iter().map(|c| TopicColumn::Data(*c)).collect();
        let reader = TopicReader::new(&topic, partition as u32, columns, schema.clone(), from.offset, None)?;
        Ok(Box::new(reader))
    };
    Ok(SourceSetup {
        name: name.into(),
        partitions: PARTITIONS as usize,
        starts: Vec::new(),
        open: Box::new(open),
        is_topic: true,
        shape: FeedShape { keep: (0..spec.columns.len()).collect(), time: None, late_rule: None },
        idle_timeout: None,
        bad_topic: None,
        late_topic: None,
    })
}
