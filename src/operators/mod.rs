//! The incremental operators, one file each. May use `delta` and `state`; knows no threads, no
//! topics, no SQL text and no wall time.

pub mod aggregate;
mod combine;
pub mod expand;
pub mod filter;
pub mod in_time;
pub mod join;
pub mod kept_rows;
pub mod late;
mod plain;
pub mod project;
pub mod session;
pub(crate) mod shown;
pub mod single_row;
pub mod spill;
pub mod threshold;
pub mod top_n;
mod trial;
pub mod unnest;
pub mod upsert;
pub mod window;

pub use plain::plain;

use crate::delta::{Delta, EventTime, Part};
use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use kept_rows::KeptRows;

/// What can go wrong while an operator runs. The user's data (a division by zero, an overflow, a
/// cast that fails) comes as `Expression`.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// Evaluating an expression or an aggregate function failed on the data.
    #[error("{}", plain_error(.0))]
    Expression(#[from] DataFusionError),
    /// An Arrow kernel failed.
    #[error("{}", plain(&.0.to_string()))]
    Arrow(#[from] ArrowError),
    /// A subquery that stands for one value has several rows.
    #[error("more than one row returned by a subquery used as an expression")]
    ManyRows,
    /// State that has left memory could not be read back.
    #[error(transparent)]
    Cold(#[from] crate::state::cold::ColdError),
    /// A state table that is restored does not have the shape that the operator wrote.
    #[error("checkpoint does not fit operator {operator}: {reason}")]
    Restore {
        /// The operator's name.
        operator: &'static str,
        /// What does not fit.
        reason: String,
    },
}

/// Result of an operator.
pub type Result<T, E = OperatorError> = std::result::Result<T, E>;

/// One table of an operator's state, as a checkpoint keeps it. Its first `key_columns` columns are
/// the key by which the rows are spread over workers (0 = the first worker keeps all).
#[derive(Debug, Clone)]
pub struct StateTable {
    /// Name, unique within the operator.
    pub name: String,
    /// The rows.
    pub batch: RecordBatch,
    /// How many leading columns are the distribution key.
    pub key_columns: usize,
}

/// What has become of one table of an operator's state. The rows of a key are replaced as a whole, but for those that are
/// added.
#[derive(Debug, Clone)]
pub struct TableChange {
    /// The table's name.
    pub name: String,
    /// How many leading columns are the key, at least one.
    pub key_columns: usize,
    /// All rows that the changed keys have now, with those of `kept`; `None` = they have none.
    pub rows: Option<RecordBatch>,
    /// Such rows that stay where they are until they are written; of a key either these or others.
    pub kept: Option<KeptRows>,
    /// The keys (key columns only) that had rows and may have none now. Those that are also among the rows have those.
    pub removed: Option<RecordBatch>,
    /// Rows that have come beside what their keys have besides.
    pub added: Option<KeptRows>,
}

/// The state of an operator as the checkpoint after the last one needs it.
#[derive(Debug, Clone)]
pub enum StateChange {
    /// All of it.
    Whole(Vec<StateTable>),
    /// What is not as it was at the last checkpoint.
    Some(Vec<TableChange>),
}

/// Counters that an operator keeps for the job's summary and metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OperatorMetrics {
    /// Rows that were left out of at least one window because they were late for it.
    pub late: u64,
    /// Rows that were in time in their own partition but came after it had been idle, when the others had closed their window.
    pub after_idle: u64,
    /// Rows without an event time, which therefore lie in no window.
    pub timeless: u64,
    /// Tombstones of keys that a table does not have.
    pub unknown_deletes: u64,
    /// Rows of state that were dropped because of their age.
    pub expired: u64,
    /// Rows that were taken back after they had been dropped: that changes nothing.
    pub ignored: u64,
    /// Rows of state held now.
    pub state_rows: u64,
    /// Bytes of state held in memory now, roughly.
    pub state_bytes: u64,
    /// Bytes of state held on disk now.
    pub disk_bytes: u64,
    /// How often state could not be moved to disk, and stayed in memory.
    pub disk_failures: u64,
}

impl OperatorMetrics {
    /// Adds another's counters.
    pub fn add(&mut self, other: &OperatorMetrics) {
        self.late += other.late;
        self.after_idle += other.after_idle;
        self.timeless += other.timeless;
        self.unknown_deletes += other.unknown_deletes;
        self.expired += other.expired;
        self.ignored += other.ignored;
        self.state_rows += other.state_rows;
        self.state_bytes += other.state_bytes;
        self.disk_bytes += other.disk_bytes;
        self.disk_failures += other.disk_failures;
    }
}

/// The window of an operator that is over next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenWindow {
    /// Its end (ns of event time).
    pub end: EventTime,
    /// The watermark (ns) at which it is over.
    pub closes: EventTime,
    /// Whether its result goes out only then.
    pub waits: bool,
}

/// What holds when a step begins.
#[derive(Debug, Clone, Copy)]
pub struct StepStart {
    /// The watermark (ns) that the operator's inputs had reached before the step.
    pub closed: EventTime,
    /// The clock (ns since the epoch): the same each time the step is run.
    pub now: i64,
    /// Rows that came before this time (ns) leave state that nothing else bounds; `None` = all stay.
    pub keep_since: Option<i64>,
}

impl StepStart {
    /// A step before which `closed` had been reached, where no row leaves by its age.
    pub fn after(closed: EventTime) -> Self {
        StepStart { closed, now: 0, keep_since: None }
    }
}

/// Takes what an operator gives out, as it does. A batch that an operator has emitted is no longer its concern: it goes
/// through the operators behind before the next is made.
pub trait Emit {
    /// Takes one delta.
    fn emit(&mut self, delta: Delta) -> Result<()>;
}

impl Emit for Vec<Delta> {
    fn emit(&mut self, delta: Delta) -> Result<()> {
        self.push(delta);
        Ok(())
    }
}

/// A running operator: one worker's shard. Methods in life order.
///
/// Within a step: one [`Operator::begin_step`], any number of [`Operator::push`], then one [`Operator::finish_step`]. The law:
/// the sum of all output deltas up to a step is the query over the sum of all input deltas.
pub trait Operator: Send {
    /// Begins a step. Errors: state that is to leave could not be moved.
    fn begin_step(&mut self, start: StepStart) -> Result<()> {
        let _ = start;
        Ok(())
    }

    /// Takes one delta of this step from input `port` and gives what follows from it to `out`.
    fn push(&mut self, port: usize, delta: Delta, out: &mut dyn Emit) -> Result<()>;

    /// The same for rows that have not been copied: whoever gains from that takes them so.
    fn push_part(&mut self, port: usize, part: Part, out: &mut dyn Emit) -> Result<()> {
        self.push(port, part.delta()?, out)
    }

    /// Ends the step. `watermark` (ns) is what the operator's inputs have reached: no row that is
    /// not late comes with an event time below it. Gives to `out` what the step's end lets out and
    /// returns the watermark that holds for the operator's output.
    fn finish_step(&mut self, watermark: EventTime, out: &mut dyn Emit) -> Result<EventTime> {
        let _ = out;
        Ok(watermark)
    }

    /// The whole state, between two steps.
    fn snapshot(&mut self) -> Result<Vec<StateTable>> {
        Ok(Vec::new())
    }

    /// What has changed of the state since this was last asked or the state was restored, between two steps. All of it
    /// when it is asked for the first time, and always by those that do not follow what changes; which of both it is
    /// is the same on all workers.
    fn snapshot_changes(&mut self) -> Result<StateChange> {
        Ok(StateChange::Whole(self.snapshot()?))
    }

    /// Takes the state from a checkpoint into a fresh operator. The tables hold this worker's rows only.
    fn restore(&mut self, tables: Vec<StateTable>) -> Result<()> {
        let _ = tables;
        Ok(())
    }

    /// How its state can leave memory key by key; `None` = it stays.
    fn keyed(&mut self) -> Option<&mut dyn spill::KeyedState> {
        None
    }

    /// Whether it can be restored by several calls, each with some of the rows; those of a key may come in several, a table
    /// after another.
    fn restores_in_parts(&mut self) -> bool {
        false
    }

    /// The counters so far.
    fn metrics(&self) -> OperatorMetrics {
        OperatorMetrics::default()
    }

    /// Of the windows that hold rows, the one that the watermark closes next.
    fn open_window(&mut self) -> Option<OpenWindow> {
        None
    }
}

/// An expression error in words for people: that of ours which it carries, else the library's in SQL's words.
pub(crate) fn plain_error(error: &DataFusionError) -> String {
    match error.find_root() {
        DataFusionError::External(inner) => inner.to_string(),
        root => plain(&root.strip_backtrace()),
    }
}
