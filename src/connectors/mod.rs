//! One file or folder for each outside system, behind two traits. May use `clock`, `delta`, `log`
//! and `formats`; knows nothing of plans, operators and jobs.

mod blackhole;
mod file;
pub mod nexmark;
mod options;
mod source;
mod stdin;
mod text;
pub mod topic;

pub use blackhole::{BLACKHOLE, Blackhole};
pub use file::{FILE, FileConfig, FileFormat, FileSource, FileWriter, TableFiles};
pub use nexmark::{NEXMARK, NexmarkConfig};
pub use options::{ConnectorInfo, OptionError, OptionInfo, check_options, nearest};
pub use stdin::StdinSource;
pub use topic::TOPIC;

use arrow::array::{Int64Array, RecordBatch};
use std::sync::Arc;

use crate::formats::FormatError;
use crate::log::LogError;

/// Every connector that `CREATE STREAM … WITH (connector = …)` knows; help and SHOW are made from it.
pub const CONNECTORS: &[&ConnectorInfo] = &[&TOPIC, &FILE, &NEXMARK, &BLACKHOLE];

/// What happens to a record that does not fit the declared columns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnBad {
    /// The query ends with the record's place and the reason.
    #[default]
    Fail,
    /// It is left out and counted.
    Skip,
    /// It is left out and written to the stream's topic of bad records.
    Topic,
}

/// Where a reader of one source partition stands. What `offset` counts is the connector's own
/// (log offset, byte of the decompressed text, Parquet row); `line` serves error messages.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct Position {
    /// How far the partition has been read.
    pub offset: u64,
    /// How many lines or records lie before it; 0 where that means nothing. In a topic: the writer's epoch of the row before
    /// it, 0 where it is not known; rows that have taken the place of lost ones have a greater one.
    pub line: u64,
}

/// A record that could not be turned into a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRecord {
    /// File, topic or `stdin`.
    pub origin: String,
    /// Line (from 1), or record number.
    pub line: u64,
    /// Character in the line (from 1), where known.
    pub column: Option<u64>,
    /// Why, in words for the user.
    pub reason: String,
    /// The record's text (lossy UTF-8, cut at 64 KiB).
    pub raw: String,
}

/// Rows read from one partition.
#[derive(Debug, Clone)]
pub struct Slice {
    /// The rows, in the schema that the reader was opened with.
    pub batch: RecordBatch,
    /// The rows' marks where the source carries them (see `delta::Delta::marks`).
    pub marks: Option<Int64Array>,
    /// The rows' writer tells how late they are, by `marks` (none = none of them is late); a declared delay
    /// does not apply to them.
    pub stated: bool,
    /// The watermark (ns) that the source itself states after these rows, if it carries one.
    pub watermark: Option<i64>,
    /// Records that were left out (on_bad = 'skip' or 'topic').
    pub bad: Vec<BadRecord>,
    /// Where the reader stands after these rows.
    pub end: Position,
}

/// What a read gave.
#[derive(Debug)]
pub enum Read {
    /// Some rows (possibly none, but then the position or the watermark moved or records were bad).
    Rows(Slice),
    /// Nothing there now; more may come.
    Pending,
    /// The end of a bounded partition.
    End,
}

/// Reads one partition in order. A read from the same position with the same `max_rows` gives the same slice.
pub trait PartitionReader: Send {
    /// At most `max_rows` rows from where the reader stands. Does not wait for more input to appear.
    fn read(&mut self, max_rows: usize) -> Result<Read, ConnectorError>;
    /// At most `max_rows` rows, none from `end` on; `end` is the end of an earlier slice. So a step that
    /// runs again reads what it read then, though the source may have grown since. Readers whose
    /// offsets do not count rows have their own.
    fn read_until(&mut self, end: Position, max_rows: usize) -> Result<Read, ConnectorError> {
        let rows = end.offset.saturating_sub(self.position().offset);
        self.read(max_rows.min(usize::try_from(rows).unwrap_or(usize::MAX)))
    }
    /// Has `news` called, on any thread, when more may be there to read, as long as `news` lives; `false` = the caller has
    /// to look by itself.
    fn notify(&mut self, _news: &Arc<dyn Fn() + Send + Sync>) -> bool {
        false
    }
    /// Where the reader stands.
    fn position(&self) -> Position;
}

/// What can go wrong at an outside system.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// A file cannot be opened, read or listed.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// A record does not fit the declared columns and the stream has on_bad = 'fail'.
    #[error("{}:{}{}: {}", .0.origin, .0.line, .0.column.map(|c| format!(":{c}")).unwrap_or_default(), .0.reason)]
    Bad(Box<BadRecord>),
    /// A record format that does not go with the declared columns.
    #[error("{origin}: {source}")]
    Format {
        /// The file, or `stdin`.
        origin: String,
        /// What is wrong.
        source: FormatError,
    },
    /// A topic cannot be appended to.
    #[error(transparent)]
    Log(Box<LogError>),
    /// Anything else, with what to do.
    #[error("{0}")]
    Other(String),
}

impl From<LogError> for ConnectorError {
    fn from(error: LogError) -> Self {
        ConnectorError::Log(Box::new(error))
    }
}

#[cfg(test)]
mod tests;
