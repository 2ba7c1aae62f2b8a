//! The step loop of one job.
//!
//! A step takes what its sources have ready, writes what it took into the journal, sends the rows through the
//! workers and the result to the sink. After a crash the last checkpoint is loaded and the journaled steps are
//! run again with the same input; the sink drops those that it has.

use super::checkpoint::{JobStore, Manifest, PartitionManifest, Totals};
use super::crew::Crew;
use super::feed::{Feed, FeedShape, Next, PartitionFeed, PartitionState, Prepared, source_watermark};
use super::journal::{Entry, Journal, Moment, PartitionEntry, SliceEntry};
use super::output::Output;
use super::sink::Sink;
use super::{Result, RuntimeError};
use crate::clock::Clock;
use crate::connectors::topic::TopicAppender;
use crate::connectors::{BadRecord, ConnectorError, PartitionReader, Position};
use crate::delta::{Delta, EventTime, WATERMARK_END, WATERMARK_NONE};
use crate::operators::OperatorMetrics;
use crate::plan::Dataflow;
use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How long the step loop waits at most before it looks around again.
const WAIT: Duration = Duration::from_millis(20);

/// Opens a reader of a partition at a position.
pub type OpenReader = Box<dyn Fn(usize, Position) -> Result<Box<dyn PartitionReader>, ConnectorError> + Send>;

/// A source of a job.
pub struct SourceSetup {
    /// The stream's name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: usize,
    /// Opens them.
    pub open: OpenReader,
    /// How slices become deltas.
    pub shape: FeedShape,
    /// Where records go that cannot be read as rows (on_bad = 'topic'): columns of [`bad_schema`].
    pub bad_topic: Option<TopicAppender>,
    /// Where late rows go (late_topic): the stream's columns.
    pub late_topic: Option<TopicAppender>,
}

/// The columns of a topic of bad records: where from, which line, which character, why, and the text.
pub fn bad_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("origin", DataType::Utf8, false),
        Field::new("line", DataType::Int64, false),
        Field::new("column", DataType::Int64, true),
        Field::new("reason", DataType::Utf8, false),
        Field::new("raw", DataType::Utf8, false),
    ]))
}

/// How a job runs.
#[derive(Debug, Clone)]
pub struct JobOptions {
    /// Worker threads.
    pub workers: usize,
    /// Rows per source partition in a step, at most.
    pub step_rows: usize,
    /// A partition that gave nothing for this long does not hold the watermark; zero = never.
    pub idle_timeout: Duration,
    /// How long rows stay in state that nothing else bounds; `None` = for ever.
    pub state_ttl: Option<Duration>,
    /// How often state is checkpointed.
    pub checkpoint_interval: Duration,
    /// End when everything there has been read.
    pub until_caught_up: bool,
}

/// A job, ready to run.
pub struct Job {
    /// Its name.
    pub name: String,
    /// What it computes.
    pub flow: Arc<Dataflow>,
    /// Its sources, as `flow.sources`.
    pub sources: Vec<SourceSetup>,
    /// Where the result goes.
    pub sink: Box<dyn Sink>,
    /// How it runs.
    pub options: JobOptions,
    /// Where it keeps its journal and checkpoints; `None` = it starts anew each time.
    pub store: Option<JobStore>,
    /// What it computes, in words that change when the answer may: see [`Manifest::fingerprint`].
    pub fingerprint: String,
    /// The clock.
    pub clock: Clock,
    /// What others see and say.
    pub control: Arc<Control>,
}

/// What a running job shows, and what it is told.
#[derive(Debug, Default)]
pub struct Control {
    stop: AtomicBool,
    caught_up: AtomicBool,
    recheck: AtomicBool,
    rows_in: AtomicU64,
    rows_out: AtomicU64,
}

impl Control {
    /// Asks the job to end after its step, with a checkpoint.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }
    /// Whether the job has been asked to end.
    pub fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
    /// Whether the job had read everything there when it last looked, and its result had been written.
    pub fn caught_up(&self) -> bool {
        !self.recheck.load(Ordering::Acquire) && self.caught_up.load(Ordering::Acquire)
    }
    /// Makes the job look at its sources anew before it counts as caught up.
    pub fn recheck(&self) {
        self.recheck.store(true, Ordering::Release);
        self.caught_up.store(false, Ordering::Release);
    }
    /// Rows read in this run.
    pub fn rows_in(&self) -> u64 {
        self.rows_in.load(Ordering::Relaxed)
    }
    /// Rows written in this run.
    pub fn rows_out(&self) -> u64 {
        self.rows_out.load(Ordering::Relaxed)
    }
}

/// How a job's run ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JobSummary {
    /// Counters of this run.
    pub run: Totals,
    /// Counters over all runs.
    pub total: Totals,
    /// How long this run took.
    pub elapsed: Duration,
    /// The bounded input has ended and every window is closed.
    pub finished: bool,
    /// The run went on from an earlier one's checkpoint (of this step).
    pub resumed_from: Option<u64>,
}

impl Job {
    /// Runs until the input ends, the job is told to stop, or it fails.
    pub fn run(self) -> Result<JobSummary> {
        let manifest = self.store.as_ref().map(JobStore::manifest).transpose()?.flatten();
        if let (Some(store), Some(manifest)) = (&self.store, &manifest)
            && manifest.fingerprint != self.fingerprint
        {
            return Err(RuntimeError::State {
                job: self.name,
                path: store.dir.display().to_string(),
                reason: "belongs to another query: its query or one of its streams has changed since; drop its stream \
                         first, or write to another one"
                    .into(),
            });
        }
        if let Some(manifest) = manifest.as_ref().filter(|m| m.finished) {
            self.control.caught_up.store(true, Ordering::Release);
            return Ok(JobSummary {
                run: Totals::default(),
                total: manifest.totals,
                elapsed: Duration::ZERO,
                finished: true,
                resumed_from: Some(manifest.step),
            });
        }
        let mut run = Run::start(self, manifest)?;
        run.replay()?;
        let finished = run.steps()?;
        run.finish(finished)
    }
}

/// A job that runs.
struct Run {
    job: Job,
    crew: Crew,
    output: Output,
    step: u64,
    /// For each source its partitions.
    partitions: Vec<Vec<PartitionState>>,
    watermarks: Vec<EventTime>,
    before: Totals,
    totals: Totals,
    /// The workers' counters at the last step.
    metrics: OperatorMetrics,
    journal: Option<Journal>,
    pending: Vec<Entry>,
    resumed_from: Option<u64>,
    started: Duration,
    checkpointed: Duration,
    /// The steps since the last checkpoint.
    dirty: bool,
}

impl Run {
    fn start(mut job: Job, manifest: Option<Manifest>) -> Result<Self> {
        let started = job.clock.monotonic();
        let fresh = manifest.is_none();
        let crew = Crew::start(&job.flow, job.options.workers.max(1), fresh)?;
        let sink = std::mem::replace(&mut job.sink, Box::new(Nowhere));
        let output = Output::start(sink, job.control.clone())?;
        let partition = |m: Option<&super::checkpoint::PartitionManifest>| PartitionState {
            position: m.map_or(Position::default(), |m| m.position),
            running: m.map_or(WATERMARK_NONE, |m| m.running),
            ended: m.is_some_and(|m| m.ended),
            idle: false,
            last: started,
        };
        let partitions = job.sources.iter().enumerate().map(|(s, source)| {
            let known = manifest.as_ref().and_then(|m| m.sources.get(s));
            (0..source.partitions).map(|p| partition(known.and_then(|k| k.get(p)))).collect()
        });
        let partitions = partitions.collect();
        let watermarks = match &manifest {
            Some(m) => m.watermarks.clone(),
            None => vec![WATERMARK_NONE; job.sources.len()],
        };
        let step = manifest.as_ref().map_or(0, |m| m.step);
        let (journal, pending) = match &job.store {
            Some(store) => {
                store.disk.create_dir_all(&store.dir)?;
                let (journal, pending) = Journal::open(&store.disk, &store.dir, &store.job, step)?;
                (Some(journal), pending)
            }
            None => (None, Vec::new()),
        };
        if let (Some(store), Some(manifest)) = (&job.store, &manifest) {
            crew.restore(store.read(manifest, crew.len())?)?;
        }
        let before = manifest.as_ref().map_or(Totals::default(), |m| m.totals);
        let resumed_from = manifest.is_some().then_some(step).or((!pending.is_empty()).then_some(0));
        Ok(Run {
            crew,
            output,
            step,
            partitions,
            watermarks,
            before,
            totals: before,
            metrics: OperatorMetrics::default(),
            journal,
            pending,
            resumed_from,
            started,
            checkpointed: started,
            dirty: false,
            job,
        })
    }

    /// Runs the journaled steps again.
    fn replay(&mut self) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        if pending.is_empty() {
            return Ok(());
        }
        let mut feeds = self.open_feeds()?;
        for entry in pending {
            let mut taken = Vec::new();
            for ((source, feeds), entries) in self.job.sources.iter().zip(&mut feeds).zip(&entry.sources) {
                let mut slices: Vec<(Vec<Prepared>, bool)> =
                    feeds.iter().map(|_| (Vec::new(), false)).collect();
                for partition in entries {
                    let into = slices.get_mut(partition.partition).zip(feeds.get_mut(partition.partition));
                    let (into, feed) = into.ok_or_else(|| changed(source, "it has fewer partitions"))?;
                    for slice in &partition.slices {
                        into.0.extend(read_again(source, feed, slice)?);
                    }
                    into.1 = partition.ended;
                }
                taken.push(slices);
            }
            for (states, entries) in self.partitions.iter_mut().zip(&entry.sources) {
                for e in entries {
                    states[e.partition].idle = e.idle;
                    if let Some(last) = e.slices.last() {
                        states[e.partition].running = last.running;
                    }
                }
            }
            self.step = entry.step - 1;
            self.one_step(taken, entry.moment, false)?;
        }
        Ok(())
    }

    fn open_feeds(&self) -> Result<Vec<Vec<PartitionFeed>>> {
        let mut feeds = Vec::new();
        for (source, states) in self.job.sources.iter().zip(&self.partitions) {
            let shape = Arc::new(source.shape.clone());
            let mut partitions = Vec::new();
            for (p, state) in states.iter().enumerate() {
                let reader = (source.open)(p, state.position)?;
                partitions.push(PartitionFeed::new(reader, shape.clone(), state.running));
            }
            feeds.push(partitions);
        }
        Ok(feeds)
    }

    /// Runs steps until the end of the input (`true`) or until told to stop (`false`).
    fn steps(&mut self) -> Result<bool> {
        let mut feeds = Vec::new();
        let mut shares = Vec::new();
        for (partitions, source) in self.open_feeds()?.into_iter().zip(&self.job.sources) {
            let share = self.share_of_step(partitions.len());
            feeds.push(Feed::start(&source.name, partitions, share, self.crew.len())?);
            shares.push(share);
        }
        loop {
            if self.job.control.stopping() {
                return Ok(false);
            }
            self.output.check()?;
            if self.job.control.recheck.swap(false, Ordering::AcqRel) {
                feeds.iter().for_each(Feed::look_again);
                self.job.control.caught_up.store(false, Ordering::Release);
            }
            let caught_up = feeds.iter().all(Feed::caught_up);
            let taken =
                feeds.iter().zip(&shares).map(|(f, rows)| f.take(*rows)).collect::<Result<Vec<_>>>()?;
            let rows = taken.iter().flatten().any(|(slices, _)| !slices.is_empty());
            let moved = self.note_idle_and_ended(&taken);
            if rows || moved || self.step == 0 {
                self.job.control.caught_up.store(false, Ordering::Release);
                self.one_step(taken, self.moment(), true)?;
                self.maybe_checkpoint()?;
                if self.watermarks.iter().all(|w| *w == WATERMARK_END)
                    && !rows
                    && feeds.iter().all(Feed::caught_up)
                {
                    return Ok(true);
                }
                continue;
            }
            if self.watermarks.iter().all(|w| *w == WATERMARK_END) && caught_up {
                return Ok(true);
            }
            if caught_up && !self.job.control.recheck.load(Ordering::Acquire) {
                self.output.drain()?;
                self.job.control.caught_up.store(true, Ordering::Release);
                if self.job.options.until_caught_up {
                    return Ok(false);
                }
            }
            self.maybe_checkpoint()?;
            match feeds.as_slice() {
                [one] => one.wait(WAIT),
                _ => feeds.iter().for_each(|f| f.wait(WAIT / 10)),
            }
        }
    }

    /// How many rows a step takes of each of a source's partitions, so that each worker gets `step_rows` at most.
    fn share_of_step(&self, partitions: usize) -> usize {
        let step_rows = self.job.options.step_rows.max(1);
        (step_rows * self.crew.len()).div_ceil(partitions.max(1)).clamp(1, step_rows)
    }

    /// Takes note of partitions that have ended or gone idle; whether that alone may move a watermark.
    fn note_idle_and_ended(&mut self, taken: &[Vec<(Vec<Prepared>, bool)>]) -> bool {
        let now = self.job.clock.monotonic();
        let timeout = self.job.options.idle_timeout;
        let mut moved = false;
        for (states, taken) in self.partitions.iter_mut().zip(taken) {
            for (state, (slices, ended)) in states.iter_mut().zip(taken) {
                if !slices.is_empty() {
                    state.last = now;
                    state.idle = false;
                }
                let idle = !timeout.is_zero() && !state.ended && now.saturating_sub(state.last) >= timeout;
                moved |= (idle && !state.idle) || (*ended && !state.ended);
                state.idle = idle;
            }
        }
        moved
    }

    /// Now, and what leaves by its age then.
    fn moment(&self) -> Moment {
        let now = self.job.clock.now_ns();
        let age = |ttl: Duration| i64::try_from(ttl.as_nanos()).unwrap_or(i64::MAX);
        Moment { now, keep_since: self.job.options.state_ttl.map(|ttl| now.saturating_sub(age(ttl))) }
    }

    /// One step over `taken`; with `live`, it is journaled first.
    fn one_step(&mut self, taken: Vec<Vec<(Vec<Prepared>, bool)>>, moment: Moment, live: bool) -> Result<()> {
        self.step += 1;
        self.dirty = true;
        if live && let Some(journal) = &mut self.journal {
            journal.append(&entry(self.step, moment, &taken, &self.partitions))?;
        }
        let closed = self.watermarks.clone();
        let mut sources = Vec::with_capacity(taken.len());
        for (s, slices) in taken.into_iter().enumerate() {
            sources.push(self.take_in(s, slices)?);
        }
        let outputs = self.crew.step(sources, closed, self.watermarks.clone(), moment)?;
        let watermark = outputs.first().map_or(WATERMARK_NONE, |o| o.watermark);
        let mut metrics = OperatorMetrics::default();
        let mut deltas = Vec::new();
        for output in outputs {
            metrics.late += output.metrics.late;
            metrics.after_idle += output.metrics.after_idle;
            metrics.timeless += output.metrics.timeless;
            metrics.unknown_deletes += output.metrics.unknown_deletes;
            metrics.expired += output.metrics.expired;
            metrics.ignored += output.metrics.ignored;
            metrics.state_rows += output.metrics.state_rows;
            metrics.state_bytes += output.metrics.state_bytes;
            deltas.extend(output.deltas);
        }
        self.totals.late = self.before.late + metrics.late;
        self.totals.after_idle = self.before.after_idle + metrics.after_idle;
        self.totals.timeless = self.before.timeless + metrics.timeless;
        self.totals.expired = self.before.expired + metrics.expired;
        self.totals.ignored = self.before.ignored + metrics.ignored;
        self.metrics = metrics;
        let rows: usize = deltas.iter().map(Delta::num_rows).sum();
        self.totals.rows_out += rows as u64;
        self.job.control.rows_out.fetch_add(rows as u64, Ordering::Relaxed);
        self.output.write(self.step, deltas, watermark)
    }

    /// Counts one source's slices, keeps its bad and late rows, moves its watermark; gives its deltas.
    fn take_in(&mut self, s: usize, slices: Vec<(Vec<Prepared>, bool)>) -> Result<Vec<Delta>> {
        let mut deltas = Vec::new();
        let (mut bad, mut late) = (Vec::new(), Vec::new());
        for (state, (slices, ended)) in self.partitions[s].iter_mut().zip(slices) {
            for prepared in slices {
                let rows = prepared.delta.num_rows() as u64;
                self.totals.rows_in += rows;
                self.job.control.rows_in.fetch_add(rows, Ordering::Relaxed);
                self.totals.behind += prepared.behind;
                self.totals.bad += prepared.bad.len() as u64;
                state.position = prepared.end;
                state.running = state.running.max(prepared.running);
                bad.extend(prepared.bad);
                late.extend(prepared.late);
                if !prepared.delta.is_empty() {
                    deltas.push(prepared.delta);
                }
            }
            state.ended |= ended;
        }
        let source = &mut self.job.sources[s];
        if let Some(topic) = source.bad_topic.as_mut().filter(|_| !bad.is_empty()) {
            topic.append(self.step, &bad_batch(&bad)?, None, None)?;
        }
        if let Some(topic) = &mut source.late_topic {
            for (i, batch) in late.iter().enumerate() {
                topic.append((self.step << 16) | i as u64, batch, None, None)?;
            }
        }
        self.watermarks[s] = source_watermark(&self.partitions[s], self.watermarks[s]);
        Ok(deltas)
    }

    fn maybe_checkpoint(&mut self) -> Result<()> {
        let now = self.job.clock.monotonic();
        if now.saturating_sub(self.checkpointed) < self.job.options.checkpoint_interval {
            return Ok(());
        }
        self.checkpoint(false)
    }

    fn checkpoint(&mut self, finished: bool) -> Result<()> {
        self.checkpointed = self.job.clock.monotonic();
        let Some(store) = self.job.store.clone().filter(|_| self.dirty || finished) else { return Ok(()) };
        self.output.drain()?;
        let state = if finished { Vec::new() } else { self.crew.snapshot()? };
        let manifest = Manifest {
            version: 0,
            fingerprint: self.job.fingerprint.clone(),
            step: self.step,
            finished,
            sources: self
                .partitions
                .iter()
                .map(|p| p.iter().map(PartitionManifest::from).collect())
                .collect(),
            watermarks: self.watermarks.clone(),
            totals: self.totals,
            tables: Vec::new(),
        };
        store.write(manifest, state)?;
        let (journal, _) = Journal::open(&store.disk, &store.dir, &store.job, self.step)?;
        self.journal = Some(journal);
        Journal::remove_older(&store.disk, &store.dir, self.step)?;
        self.dirty = false;
        Ok(())
    }

    fn finish(mut self, finished: bool) -> Result<JobSummary> {
        self.output.drain()?;
        self.checkpoint(finished)?;
        self.job.control.caught_up.store(true, Ordering::Release);
        let (t, b) = (self.totals, self.before);
        let run = Totals {
            rows_in: t.rows_in - b.rows_in,
            rows_out: t.rows_out - b.rows_out,
            behind: t.behind - b.behind,
            late: t.late - b.late,
            after_idle: t.after_idle - b.after_idle,
            timeless: t.timeless - b.timeless,
            bad: t.bad - b.bad,
            expired: t.expired - b.expired,
            ignored: t.ignored - b.ignored,
        };
        let elapsed = self.job.clock.monotonic().saturating_sub(self.started);
        Ok(JobSummary { run, total: t, elapsed, finished, resumed_from: self.resumed_from })
    }
}

fn entry(
    step: u64,
    moment: Moment,
    taken: &[Vec<(Vec<Prepared>, bool)>],
    states: &[Vec<PartitionState>],
) -> Entry {
    let slice = |p: &Prepared| SliceEntry {
        asked: p.asked,
        rows: p.delta.num_rows(),
        end: p.end,
        running: p.running,
    };
    let sources = taken
        .iter()
        .zip(states)
        .map(|(partitions, states)| {
            let all = partitions.iter().zip(states).enumerate();
            all.map(|(partition, ((slices, ended), state))| PartitionEntry {
                partition,
                slices: slices.iter().map(slice).collect(),
                ended: *ended || state.ended,
                idle: state.idle,
            })
            .filter(|e| !e.slices.is_empty() || e.ended || e.idle)
            .collect()
        })
        .collect();
    Entry { step, moment, sources }
}

/// Reads a slice as it was read before; nothing where it only moved the watermark, which the journal tells.
fn read_again(
    source: &SourceSetup,
    feed: &mut PartitionFeed,
    slice: &SliceEntry,
) -> Result<Option<Prepared>> {
    if slice.rows == 0 && feed.position() == slice.end {
        return Ok(None);
    }
    match feed.again(slice.end, slice.asked)? {
        Next::Rows(prepared) if prepared.end == slice.end && prepared.delta.num_rows() == slice.rows => {
            Ok(Some(*prepared))
        }
        Next::Rows(prepared) => Err(changed(
            source,
            &format!("{} rows where {} were read before", prepared.delta.num_rows(), slice.rows),
        )),
        Next::Pending | Next::End => Err(changed(source, "rows that were read before are gone")),
    }
}

fn changed(source: &SourceSetup, reason: &str) -> RuntimeError {
    RuntimeError::SourceChanged { source_name: source.name.clone(), reason: reason.into() }
}

fn bad_batch(bad: &[BadRecord]) -> Result<RecordBatch> {
    Ok(RecordBatch::try_new(
        bad_schema(),
        vec![
            Arc::new(StringArray::from_iter_values(bad.iter().map(|b| &b.origin))),
            Arc::new(Int64Array::from_iter_values(bad.iter().map(|b| b.line as i64))),
            Arc::new(Int64Array::from_iter(bad.iter().map(|b| b.column.map(|c| c as i64)))),
            Arc::new(StringArray::from_iter_values(bad.iter().map(|b| &b.reason))),
            Arc::new(StringArray::from_iter_values(bad.iter().map(|b| &b.raw))),
        ],
    )?)
}

/// Stands where the sink was before the output thread took it.
struct Nowhere;

impl Sink for Nowhere {
    fn write(&mut self, _: u64, _: &[Delta], _: EventTime) -> Result<()> {
        Ok(())
    }
}
