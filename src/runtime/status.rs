//! What a job says of itself: `status.json` in the folder of each of its statements.
//!
//! The running job replaces it about once a second while something changes. Whether the job really runs is told by
//! the lock on the folder, never by this file: a process that was killed leaves it as it was.

use super::checkpoint::Totals;
use super::instant;
use super::step_times::StepTimes;
use crate::delta::EventTime;
use crate::disk::{Disk, DiskError, Open};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// The file's name.
pub const STATUS_FILE: &str = "status.json";
/// Its length is a multiple of this: so another one finds room in its place.
const ROOM: usize = 4096;
/// Version of the file's layout.
pub const STATUS_VERSION: u32 = 1;

/// What a job is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It makes steps, or waits for rows.
    #[default]
    Running,
    /// It was told to make no steps.
    Paused,
    /// It cannot go on now, and tries again.
    Waiting,
    /// Its run was ended; it goes on when it is run again.
    Stopped,
    /// Its bounded input has ended, and every window is closed.
    Finished,
    /// It failed.
    Failed,
}

impl State {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Paused => "paused",
            State::Waiting => "waiting",
            State::Stopped => "stopped",
            State::Finished => "finished",
            State::Failed => "failed",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A failure of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// When (ns since the epoch).
    #[serde(with = "instant::told")]
    pub at: i64,
    /// What kind of failure, in a word.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// The last checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckpointStatus {
    /// The last step in it.
    pub step: u64,
    /// When it was written (ns since the epoch), if that is known.
    #[serde(with = "instant::maybe")]
    pub at: Option<i64>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// How many bytes it has.
    pub bytes: u64,
}

/// One partition of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PartitionStatus {
    /// Which.
    pub partition: usize,
    /// How far it has been read: a topic's offset, a file's byte.
    pub position: u64,
    /// Where it ends now, if it is a topic's.
    pub end: Option<u64>,
    /// How many rows are yet to be read, if it is a topic's.
    pub lag: Option<u64>,
    /// Its watermark (ns), if it has given a row with an event time.
    #[serde(with = "instant::maybe")]
    pub watermark: Option<EventTime>,
    /// The greatest event time (ns) of its rows, where the stream declares how far the watermark stays behind it.
    #[serde(with = "instant::maybe")]
    pub event_time: Option<EventTime>,
    /// When it last gave something (ns since the epoch), in this run.
    #[serde(with = "instant::maybe")]
    pub last_row: Option<i64>,
    /// It has been silent for the idle timeout and does not hold the watermark.
    pub idle: bool,
    /// It has ended.
    pub ended: bool,
}

/// A source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceStatus {
    /// Its number among the job's.
    pub number: usize,
    /// The stream.
    pub name: String,
    /// Whether it is a topic.
    pub is_topic: bool,
    /// Its event-time column, if it has one.
    pub time_column: Option<String>,
    /// How far the watermark stays behind the greatest event time (ns), if that is declared.
    pub delay: Option<i64>,
    /// After how many milliseconds of silence a partition is idle; 0 = never.
    pub idle_timeout_ms: u64,
    /// Its watermark (ns), once it has one.
    #[serde(with = "instant::maybe")]
    pub watermark: Option<EventTime>,
    /// It has ended.
    pub ended: bool,
    /// Rows read in this run.
    pub rows: u64,
    /// Its partitions.
    pub partitions: Vec<PartitionStatus>,
}

/// The window of an operator that closes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenStatus {
    /// Its end (ns of event time).
    #[serde(with = "instant::told")]
    pub end: EventTime,
    /// The watermark (ns) that closes it.
    #[serde(with = "instant::told")]
    pub closes: EventTime,
    /// Whether its result goes out only then.
    pub waits: bool,
}

/// An operator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OperatorStatus {
    /// Its number among the job's.
    pub node: usize,
    /// What it does, as EXPLAIN says it.
    pub operator: String,
    /// The numbers of those whose rows it takes.
    pub inputs: Vec<usize>,
    /// Which of the job's sources it reads, if it reads one.
    pub source: Option<usize>,
    /// Whether its result goes out only when the watermark has passed.
    pub is_final: bool,
    /// Rows taken in this run.
    pub rows_in: u64,
    /// Rows given in this run.
    pub rows_out: u64,
    /// Rows that an exchange has sent from one worker to another in this run.
    #[serde(default)]
    pub moved_rows: u64,
    /// The bytes of their columns.
    #[serde(default)]
    pub moved_bytes: u64,
    /// Rows of state.
    pub state_rows: u64,
    /// Bytes of state, roughly.
    pub state_bytes: u64,
    /// Bytes of state on disk, because they do not fit into memory.
    #[serde(default)]
    pub disk_bytes: u64,
    /// How often state could not be moved to disk.
    #[serde(default)]
    pub disk_failures: u64,
    /// Rows late for a window.
    pub late: u64,
    /// Rows that came after their partition had been idle, for a window that had closed.
    pub after_idle: u64,
    /// Rows without an event time.
    pub timeless: u64,
    /// Rows of state that were too old.
    pub expired: u64,
    /// The window that closes next.
    pub open: Option<OpenStatus>,
    /// The watermark (ns) of what it gives.
    #[serde(with = "instant::maybe")]
    pub watermark: Option<EventTime>,
}

/// What a job says of itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobStatus {
    /// Layout version.
    pub version: u32,
    /// Its name.
    pub name: String,
    /// The statements that run as one with it, itself among them.
    pub members: Vec<String>,
    /// The process that runs it, or ran it last.
    pub pid: u32,
    /// What it is doing.
    pub state: State,
    /// Since when (ns since the epoch).
    #[serde(with = "instant::told")]
    pub since: i64,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When its run began (ns since the epoch).
    #[serde(with = "instant::told")]
    pub started: i64,
    /// Whether it had read all that there was.
    pub caught_up: bool,
    /// The last step.
    pub step: u64,
    /// How long the steps of this run took.
    pub steps: StepTimes,
    /// Rows in a second, over the last seconds.
    pub rows_in_per_s: f64,
    /// The same of rows written.
    pub rows_out_per_s: f64,
    /// Counters of this run.
    pub run: Totals,
    /// Counters of all runs.
    pub total: Totals,
    /// The streams that it reads.
    pub sources: Vec<SourceStatus>,
    /// What it consists of, inputs first.
    pub operators: Vec<OperatorStatus>,
    /// The last checkpoint.
    pub checkpoint: Option<CheckpointStatus>,
    /// How many of the checkpoints that were asked for have been made.
    pub checkpoints_answered: u64,
    /// The last failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

impl JobStatus {
    /// What the job in the folder `dir` said last, if it said something that can be read.
    pub fn read(disk: &Disk, dir: &Path) -> Option<JobStatus> {
        let status: JobStatus = serde_json::from_slice(&disk.read(&dir.join(STATUS_FILE)).ok()?).ok()?;
        (status.version == STATUS_VERSION).then_some(status)
    }

    /// Puts it into the folder `dir`; with `lasting`, so that it outlives a power cut.
    pub(super) fn write(&self, disk: &Disk, dir: &Path, lasting: bool) -> Result<(), DiskError> {
        let path = dir.join(STATUS_FILE);
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.resize(bytes.len().next_multiple_of(ROOM), b' ');
        let put = || -> Result<(), DiskError> {
            if lasting {
                return disk.write_atomically(&path, &bytes);
            }
            let beside = dir.join("status.json.tmp");
            let file = disk.open(&beside, Open::Create)?;
            file.truncate(0)?;
            file.write_all_at(&bytes, 0)?;
            disk.rename(&beside, &path)
        };
        put().or_else(|failed| {
            // That the disk is full is what has to be told: there is room where the last one stands.
            let file = disk.open(&path, Open::Write).map_err(|_| failed)?;
            let rest = usize::try_from(file.len()?).unwrap_or(0);
            bytes.resize(bytes.len().max(rest), b' ');
            file.write_all_at(&bytes, 0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_the_disk_is_full_can_be_told_on_the_full_disk() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, faults) = Disk::faulty();
        let mut status = JobStatus { version: STATUS_VERSION, name: "j".into(), ..Default::default() };
        status.reason = Some("a".repeat(200));
        status.write(&disk, dir.path(), true).unwrap();
        faults.full_after(0);
        for (state, reason) in [(State::Waiting, "b".repeat(300)), (State::Waiting, "c".into())] {
            (status.state, status.reason) = (state, Some(reason));
            for lasting in [true, false] {
                status.write(&disk, dir.path(), lasting).unwrap();
                assert_eq!(JobStatus::read(&disk, dir.path()).as_ref(), Some(&status));
            }
        }
    }

    #[test]
    fn what_is_written_is_read_and_what_is_of_another_version_or_cut_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::real();
        assert_eq!(JobStatus::read(&disk, dir.path()), None);
        let mut status = JobStatus { version: STATUS_VERSION, name: "j".into(), ..Default::default() };
        status.operators.push(OperatorStatus {
            open: Some(OpenStatus { end: 1, closes: i64::MAX, waits: true }),
            watermark: Some(i64::MIN + 1),
            ..Default::default()
        });
        status.error = Some(Failure { at: 1, code: "disk".into(), message: "full".into(), help: None });
        for lasting in [false, true] {
            status.write(&disk, dir.path(), lasting).unwrap();
            assert_eq!(JobStatus::read(&disk, dir.path()).as_ref(), Some(&status));
        }
        let path = dir.path().join(STATUS_FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.trim_end().len() - 1]).unwrap();
        assert_eq!(JobStatus::read(&disk, dir.path()), None);
        std::fs::write(&path, text.replace("\"version\":1", "\"version\":99")).unwrap();
        assert_eq!(JobStatus::read(&disk, dir.path()), None);
    }
}
