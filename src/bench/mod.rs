//! Nexmark, measured: the same queries over the same events by this engine and by DataFusion's batch engine, in turn.
//!
//! [`events`] makes the events once; [`data`] keeps them, as JSON files and in topics; [`queries`] are the questions, which
//! [`ours`] asks as whole jobs and [`batch`] once. Each run is a process of its own ([`child`]), so that its CPU time and
//! memory are its own ([`usage`]). [`check`] compares what both answer; [`report`] is what is told, [`growth`] what is told of
//! several numbers of events, and of what workers send each other.

pub mod batch;
pub mod check;
pub mod child;
pub mod data;
pub mod events;
pub mod growth;
pub mod ours;
pub mod queries;
pub mod report;
pub mod usage;

use crate::engine::EngineError;
use child::{Answer, Ask, Task};
use data::Data;
use datafusion::error::DataFusionError;
use queries::Query;
use report::{Checked, Line, Side};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// Where the queries read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Input {
    /// JSON files, which are read and parsed in each run
    Json,
    /// Topics, loaded before; DataFusion has the rows in memory
    Topic,
}

impl Input {
    /// Both.
    pub const ALL: [Input; 2] = [Input::Json, Input::Topic];

    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Input::Json => "json",
            Input::Topic => "topic",
        }
    }
}

/// What a job gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Emit {
    /// Every change of the result.
    Changes,
    /// The results of windows, each once.
    Final,
}

impl Emit {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Emit::Changes => "changes",
            Emit::Final => "final",
        }
    }
}

/// Why a bench failed.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// It was told to end.
    #[error("stopped")]
    Stopped,
    /// A file operation failed.
    #[error("cannot {what} {}: {source}", path.display())]
    File {
        /// What was to be done.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Our engine failed.
    #[error("{0}")]
    Engine(#[from] EngineError),
    /// DataFusion failed.
    #[error("DataFusion: {0}")]
    Batch(#[from] DataFusionError),
    /// A kernel failed.
    #[error("{0}")]
    Arrow(#[from] arrow::error::ArrowError),
    /// A run failed.
    #[error("{0}")]
    Run(String),
}

impl BenchError {
    /// A file operation that failed.
    pub(crate) fn file(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| BenchError::File { what, path, source }
    }
}

/// Result of a bench.
pub type Result<T, E = BenchError> = std::result::Result<T, E>;

/// Who waits for a bench.
pub trait Observer {
    /// Hears what is being done.
    fn note(&self, what: &str);
    /// Whether to end now.
    fn stopped(&self) -> bool;

    /// Fails if it is to end now.
    fn go_on(&self) -> Result<()> {
        if self.stopped() { Err(BenchError::Stopped) } else { Ok(()) }
    }
}

/// Nobody.
pub struct Unobserved;

impl Observer for Unobserved {
    fn note(&self, _what: &str) {}

    fn stopped(&self) -> bool {
        false
    }
}

/// What is measured.
#[derive(Debug, Clone)]
pub struct Bench {
    /// The events.
    pub data: Data,
    /// Worker threads of a job, and partitions of a batch query.
    pub workers: usize,
    /// How often each engine runs each query.
    pub runs: usize,
    /// Whether what both answer is compared.
    pub check: bool,
    /// Whether the batch engine is left out, but for comparing.
    pub ours_only: bool,
}

/// A query, as it is asked.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The query.
    pub query: &'static Query,
    /// What it reads.
    pub input: Input,
    /// What is asked for.
    pub emit: Emit,
}

impl Bench {
    /// Runs a case: both engines in turn, each in processes of its own.
    pub fn run(&self, case: Case, observer: &dyn Observer) -> Result<Line> {
        let ask = |task| Ask {
            task,
            query: case.query.name.into(),
            input: case.input,
            emit: case.emit,
            workers: self.workers,
            data: self.data.clone(),
        };
        let name = format!("{} from {}, {}", case.query.name, case.input.word(), case.emit.word());
        let rows = self.data.rows(case.query.tables);
        let mut line = Line::new(case, self.workers, self.data.events, rows);
        if self.check {
            observer.note(&format!("{name}: comparing"));
            line.check = Some(match child::run(&ask(Task::Check), observer)? {
                Answer::Checked { difference: None } => Checked::Equal,
                Answer::Checked { difference: Some(difference) } => Checked::Differs(difference),
                other => return Err(unexpected(&name, other)),
            });
        }
        let (mut ours, mut batch) = (Vec::new(), Vec::new());
        for run in 1..=self.runs {
            for (task, who, figures) in
                [(Task::Ours, "ours", &mut ours), (Task::Batch, "DataFusion", &mut batch)]
            {
                if task == Task::Batch && self.ours_only {
                    continue;
                }
                observer.note(&format!("{name}: run {run} of {}, {who}", self.runs));
                match child::run(&ask(task), observer)? {
                    // What was not read was not measured.
                    Answer::Ran(ran) if ran.rows_in.is_some_and(|read| read < rows) => {
                        let read = ran.rows_in.unwrap_or_default();
                        return Err(BenchError::Run(format!("{name}: {read} of {rows} rows were read")));
                    }
                    Answer::Ran(ran) => figures.push(ran),
                    other => return Err(unexpected(&name, other)),
                }
            }
        }
        line.set(Side::of(&ours), Side::of(&batch));
        Ok(line)
    }
}

fn unexpected(name: &str, answer: Answer) -> BenchError {
    match answer {
        Answer::Failed(message) => BenchError::Run(format!("{name}: {message}")),
        Answer::Ran(_) | Answer::Checked { .. } => BenchError::Run(format!("{name}: another answer came")),
    }
}
