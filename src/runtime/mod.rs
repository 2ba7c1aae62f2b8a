//! A running job: sources, steps, workers, sink, journal and checkpoints. Knows no SQL text and no terminal.
//!
//! [`job::Job`] is one statement or several that share their sources and operators; `steps` is its loop. [`feed`] reads
//! the sources ahead of it; `crew` and `worker` run the operators; `part` and `output` hand each statement's result to
//! its [`sink`]; [`journal`], [`checkpoint`] and `replay` make it survive,
//! [`settled`] which steps can be made again, `retry` what passes; [`rebuild`] begins a table's job afresh. `monitor` tells others of it ([`status`]) and it what they ask
//! ([`wanted`], `hold`).

mod aside;
#[cfg(debug_assertions)]
mod audit;
pub mod checkpoint;
mod checkpointer;
pub mod control;
mod crew;
pub mod feed;
mod hold;
pub mod instant;
pub mod job;
pub mod journal;
mod monitor;
mod output;
mod pages;
mod part;
#[cfg(test)]
mod power;
pub mod rebuild;
mod replay;
pub mod retry;
mod saving;
mod seen;
pub mod settled;
pub mod sink;
pub mod status;
pub mod step_times;
mod steps;
mod table_files;
mod table_walk;
mod tables;
#[cfg(test)]
mod tests;
mod times;
pub mod upsert_sink;
pub mod wanted;
mod worker;

use crate::connectors::ConnectorError;
use crate::disk::DiskError;
use crate::log::LogError;
use crate::operators::OperatorError;
use arrow::error::ArrowError;

/// What can end a job.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// A source or sink failed.
    #[error("{0}")]
    Connector(#[from] ConnectorError),
    /// The log failed.
    #[error("{0}")]
    Log(#[from] LogError),
    /// An operator failed on the data.
    #[error("{0}")]
    Operator(#[from] OperatorError),
    /// The job's own files failed.
    #[error("{0}")]
    Disk(#[from] DiskError),
    /// The journal could not be made durable: what it says may be lost.
    #[error("{0}: the job goes on from its last checkpoint when it is run again")]
    JournalSync(DiskError),
    /// An Arrow kernel failed.
    #[error("{}", crate::operators::plain(&.0.to_string()))]
    Arrow(#[from] ArrowError),
    /// Another worker has failed and told why.
    #[error("another worker failed")]
    WorkerGone,
    /// A worker has come upon a fault of the program.
    #[error("a worker stopped at a fault of the program: {0}")]
    WorkerPanicked(String),
    /// A worker ended without telling why.
    #[error("a worker thread stopped unexpectedly")]
    WorkerLost,
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// The job's files do not fit what is run.
    #[error("the state of job {job} in {path} {reason}")]
    State {
        /// The job.
        job: String,
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// What was read again while steps were replayed is not what was read before.
    #[error("source {source_name} has changed since the job read it: {reason}")]
    SourceChanged {
        /// The stream.
        source_name: String,
        /// How.
        reason: String,
    },
    /// The job was told to end while it waited to write something.
    #[error("it was ended while it waited: {reason}")]
    StoppedWaiting {
        /// What it waited for.
        reason: String,
    },
    /// Rows of a stream that were read before are gone.
    #[error("source {source_name} has changed since the job read it: rows that were read before are gone")]
    RowsGone {
        /// The stream.
        source_name: String,
    },
    /// What was being written is not needed any more; nobody is told.
    #[error("it is not needed any more")]
    Needless,
    /// The result could not be handed over.
    #[error("{0}")]
    Output(String),
}

impl RuntimeError {
    /// What kind of failure it is, in a word that stays the same.
    pub fn code(&self) -> &'static str {
        match self {
            RuntimeError::Connector(_) => "connector",
            RuntimeError::Log(_) => "log",
            RuntimeError::Operator(_) | RuntimeError::Arrow(_) => "data",
            RuntimeError::Disk(_) | RuntimeError::JournalSync(_) => "disk",
            RuntimeError::WorkerGone
            | RuntimeError::WorkerLost
            | RuntimeError::WorkerPanicked(_)
            | RuntimeError::Thread(_) => "thread",
            RuntimeError::State { .. } => "state",
            RuntimeError::SourceChanged { .. } | RuntimeError::RowsGone { .. } => "source",
            RuntimeError::StoppedWaiting { .. } | RuntimeError::Needless => "stopped",
            RuntimeError::Output(_) => "sink",
        }
    }

    /// What to do about it, where that is known and not in its message.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            RuntimeError::Connector(ConnectorError::Bad(_)) => Some(
                "mend the record and run the job again; with on_bad = 'skip' or 'topic' in its definition a stream leaves \
                 such records out",
            ),
            _ => None,
        }
    }
}

/// Result of the runtime.
pub type Result<T, E = RuntimeError> = std::result::Result<T, E>;
