//! A run in a process of its own: the same program, told by its command line what to run; it answers with a line of JSON.

use super::data::{Data, remove};
use super::queries::query;
use super::{BenchError, Emit, Input, Observer, Result, batch, check, ours};
use crate::engine::{EngineError, StepTimes};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The command by which the program is such a process.
pub const SERVE: &str = "serve-bench";
/// How often it is looked whether the process has ended.
const LOOK: Duration = Duration::from_millis(5);

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// Our engine runs the query.
    Ours,
    /// DataFusion does.
    Batch,
    /// Both do, and their answers are compared.
    Check,
}

/// What is asked of the process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ask {
    /// What it is to do.
    pub task: Task,
    /// With which query.
    pub query: String,
    /// What the query reads.
    pub input: Input,
    /// What is asked for.
    pub emit: Emit,
    /// With how many workers.
    pub workers: usize,
    /// Over which events.
    pub data: Data,
}

/// What a run took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Ran {
    /// Seconds from before the query was planned until its result had been taken.
    pub wall_s: f64,
    /// Seconds that all threads had computed in this time.
    pub cpu_s: f64,
    /// The most memory of the process in this time, in millions of bytes.
    pub peak_mb: Option<f64>,
    /// Rows read, where they are counted.
    pub rows_in: Option<u64>,
    /// Rows of the result; of one that changes, all that were added or taken back.
    pub rows_out: u64,
    /// How long the steps of the job took.
    pub steps: Option<StepTimes>,
    /// What the job kept when it had read all, and what it moved.
    pub kept: Option<Kept>,
}

/// What a job says of itself when it has read all that there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Rows of state.
    pub state_rows: u64,
    /// Bytes of state.
    pub state_bytes: u64,
    /// Rows that went from one worker to another, each time they did.
    pub moved_rows: u64,
    /// The bytes of their columns.
    pub moved_bytes: u64,
}

/// What becomes of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// It ran.
    Ran(Ran),
    /// The answers were compared.
    Checked {
        /// What differs, if something does.
        difference: Option<String>,
    },
    /// It failed.
    Failed(String),
}

/// Does what is asked; the answer as a line of JSON.
pub fn serve(ask: &str) -> String {
    let answer = answer(ask).unwrap_or_else(|error| {
        Answer::Failed(match error {
            BenchError::Engine(EngineError::Sql(mistake)) => match mistake.help {
                Some(help) => format!("{}: {help}", mistake.message),
                None => mistake.message,
            },
            error => error.to_string(),
        })
    });
    serde_json::to_string(&answer).unwrap_or_default()
}

fn answer(ask: &str) -> Result<Answer> {
    let ask: Ask = serde_json::from_str(ask).map_err(|e| BenchError::Run(e.to_string()))?;
    let query =
        query(&ask.query).ok_or_else(|| BenchError::Run(format!("there is no query {}", ask.query)))?;
    Ok(match ask.task {
        Task::Ours => Answer::Ran(ours::run(&ask, query)?),
        Task::Batch => Answer::Ran(batch::run(&ask, query)?),
        Task::Check => Answer::Checked { difference: check::run(&ask, query)? },
    })
}

/// Has a process do what is asked, and waits for its answer.
pub(super) fn run(ask: &Ask, observer: &dyn Observer) -> Result<Answer> {
    let failed = |e: std::io::Error| BenchError::Run(format!("cannot run a process of its own: {e}"));
    let program = std::env::current_exe().map_err(failed)?;
    let text = serde_json::to_string(ask).map_err(|e| BenchError::Run(e.to_string()))?;
    let mut child = Command::new(program)
        .arg(SERVE)
        .arg(text)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let pid = child.id();
    let ended = loop {
        // The answer is short: it finds room in the pipe, whoever reads it.
        match child.try_wait() {
            Ok(None) if observer.stopped() => {
                // One that has ended by itself needs no kill.
                let _ = child.kill();
                let _ = child.wait();
                break Err(BenchError::Stopped);
            }
            Ok(None) => std::thread::sleep(LOOK),
            Ok(Some(status)) => break Ok(status),
            Err(error) => break Err(failed(error)),
        }
    };
    // It removes it itself, unless it was killed.
    remove(&ask.data.scratch(pid))?;
    let status = ended?;
    observer.go_on()?;
    let mut line = String::new();
    if let Some(mut out) = child.stdout.take() {
        out.read_to_string(&mut line).map_err(failed)?;
    }
    serde_json::from_str(&line)
        .map_err(|_| BenchError::Run(format!("the process of a run ended with {status}")))
}
