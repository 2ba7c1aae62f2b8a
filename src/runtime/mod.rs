//! A running job: sources, steps, workers, sink, journal and checkpoints. Knows no SQL text and no terminal.
//!
//! [`job::Job`] is one statement or several that share their sources and operators; `steps` is its loop. [`feed`] reads
//! the sources ahead of it; `crew` and `worker` run the operators; `part` and `output` hand each statement's result to
//! its [`sink`]; [`journal`], [`checkpoint`] and `replay` make it survive.

pub mod checkpoint;
mod checkpointer;
pub mod control;
mod crew;
pub mod feed;
pub mod job;
pub mod journal;
mod output;
mod part;
mod replay;
pub mod sink;
mod steps;
mod tables;
pub mod upsert_sink;
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
    /// An Arrow kernel failed.
    #[error("{}", crate::operators::plain(&.0.to_string()))]
    Arrow(#[from] ArrowError),
    /// Another worker has failed and told why.
    #[error("another worker failed")]
    WorkerGone,
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
    /// The result could not be handed over.
    #[error("{0}")]
    Output(String),
}

/// Result of the runtime.
pub type Result<T, E = RuntimeError> = std::result::Result<T, E>;
