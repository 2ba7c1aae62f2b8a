//! A job: one statement or several that share what they read and compute, each with its own sink.

use super::checkpoint::{JobStore, Totals};
use super::control::Control;
use super::feed::FeedShape;
use super::monitor::Monitor;
use super::sink::Sink;
use super::status::State;
use super::step_times::StepTimes;
use super::steps::Run;
use super::{Result, RuntimeError};
use crate::clock::Clock;
use crate::connectors::topic::TopicAppender;
use crate::connectors::{ConnectorError, PartitionReader, Position};
use crate::log::Log;
use crate::operators::spill::SpillTo;
use crate::plan::SharedFlow;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Opens a reader of a partition at a position.
pub type OpenReader = Box<dyn Fn(usize, Position) -> Result<Box<dyn PartitionReader>, ConnectorError> + Send>;

/// A source of a job.
pub struct SourceSetup {
    /// The stream's name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: usize,
    /// Where each of them begins, unless a checkpoint says where it goes on; those that are not told begin at their start.
    pub starts: Vec<Position>,
    /// Opens them.
    pub open: OpenReader,
    /// Whether it is a topic: then the rows from a checkpoint on are pinned in it.
    pub is_topic: bool,
    /// How slices become deltas.
    pub shape: FeedShape,
    /// After how long a silence its partitions are idle, if it is told; zero = never.
    pub idle_timeout: Option<Duration>,
    /// Where records go that cannot be read as rows (on_bad = 'topic'): columns of [`bad_schema`].
    pub bad_topic: Option<TopicAppender>,
    /// Where late rows go (late_topic): the stream's columns.
    pub late_topic: Option<TopicAppender>,
}

impl SourceSetup {
    /// After how long a silence its partitions are idle in a job; zero = never.
    pub(super) fn idle_after(&self, options: &JobOptions) -> Duration {
        self.idle_timeout.unwrap_or(options.idle_timeout)
    }
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
#[derive(Debug, Clone, PartialEq)]
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
    /// What it computes.
    pub flow: Arc<SharedFlow>,
    /// Its sources, as `flow.sources`.
    pub sources: Vec<SourceSetup>,
    /// Its statements, as `flow.parts`.
    pub parts: Vec<JobPart>,
    /// How it runs.
    pub options: JobOptions,
    /// Where it keeps its journal and checkpoints; `None` = it starts anew each time.
    pub store: Option<JobStore>,
    /// Where the topics are that it reads; `None` = nothing is pinned.
    pub log: Option<Log>,
    /// The clock.
    pub clock: Clock,
    /// Where state goes that does not fit into memory; `None` = it all stays there.
    pub spill: Option<SpillTo>,
}

/// One statement of a job.
pub struct JobPart {
    /// Its name.
    pub name: String,
    /// Where its result goes.
    pub sink: Box<dyn Sink>,
    /// What it computes, in words that change when the answer may: see [`super::checkpoint::PartManifest::fingerprint`].
    pub fingerprint: String,
    /// What others see and say.
    pub control: Arc<Control>,
    /// Its own folder, where others see and say it too; `None` = none can.
    pub dir: Option<PathBuf>,
}

/// How the run of a job's statement ended.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct JobSummary {
    /// Counters of this run.
    pub run: Totals,
    /// Those of this run's counters that an earlier statement of the job counts too: what was read once for both.
    pub shared: Totals,
    /// Counters over all runs.
    pub total: Totals,
    /// How long this run took.
    pub elapsed: Duration,
    /// The bounded input has ended and every window is closed.
    pub finished: bool,
    /// The run went on from an earlier one's checkpoint (of this step).
    pub resumed_from: Option<u64>,
    /// How long its steps took.
    pub steps: StepTimes,
}

impl JobSummary {
    /// This run and `earlier` ones of the same process as one.
    pub fn after(&self, earlier: &JobSummary) -> JobSummary {
        JobSummary {
            run: self.run.plus(&earlier.run),
            shared: self.shared.plus(&earlier.shared),
            elapsed: self.elapsed + earlier.elapsed,
            resumed_from: earlier.resumed_from,
            ..*self
        }
    }
}

/// Why a job failed, and which of its statements did first.
pub type JobFailure = (usize, RuntimeError);

/// Why a run of a job ended that did not fail.
#[derive(Debug, Clone, PartialEq)]
pub enum RunEnd {
    /// All of its statements have ended.
    Ended,
    /// It was told to begin again: what each statement has done; those that have not ended wait for that.
    Restart(Vec<JobSummary>),
}

impl Job {
    /// Runs until the input ends, the job is told to stop, or it fails. `ended` hears of each statement that comes to
    /// its end, by its number.
    pub fn run(self, ended: &mut dyn FnMut(usize, JobSummary)) -> Result<RunEnd, JobFailure> {
        let monitor = Arc::new(Monitor::start(&self).map_err(|e| (0, e))?);
        let result = self.run_watched(monitor.clone(), ended);
        result.inspect_err(|(blamed, error)| monitor.failed(*blamed, error))
    }

    fn run_watched(
        self,
        monitor: Arc<Monitor>,
        ended: &mut dyn FnMut(usize, JobSummary),
    ) -> Result<RunEnd, JobFailure> {
        let manifest = self.store.as_ref().map(JobStore::manifest).transpose().map_err(|e| (0, e))?.flatten();
        let parts = self.parts.len();
        let mut run = match Run::start(self, manifest, monitor.clone()) {
            // It was told to end before it could begin.
            Err(RuntimeError::StoppedWaiting { .. }) => {
                for part in 0..parts {
                    monitor.over(part, Some(State::Stopped));
                    ended(part, JobSummary::default());
                }
                return Ok(RunEnd::Ended);
            }
            started => started.map_err(|e| (0, e))?,
        };
        run.run(ended).map_err(|error| (run.blamed(), error))?;
        if run.any_runs() && run.restarts() {
            run.look().map_err(|e| (0, e))?;
            let parts = 0..run.parts.len();
            return Ok(RunEnd::Restart(parts.map(|part| run.summary(part)).collect()));
        }
        Ok(RunEnd::Ended)
    }

    /// Runs a job of one statement.
    pub fn run_alone(self) -> Result<JobSummary> {
        let mut summary = None;
        self.run(&mut |_, ended| summary = Some(ended)).map_err(|(_, error)| error)?;
        summary.ok_or(RuntimeError::WorkerLost)
    }
}
