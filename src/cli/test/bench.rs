//! The engine of a test, seen from the test: a process that can be killed at any moment, with what it keeps in its folder.

use super::protocol::{Answer, Ask};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// The command by which the program is such an engine.
pub(in crate::cli) const SERVE: &str = "serve-test";

pub(super) struct Bench {
    child: Child,
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Bench {
    /// Starts an engine over `folder`, whose clock has moved on by so much.
    pub(super) fn start(folder: &Path, clock: Duration) -> Result<Self, String> {
        let failed = |e: std::io::Error| format!("cannot start the engine of the test: {e}");
        let program = std::env::current_exe().map_err(failed)?;
        let mut child = Command::new(program)
            .arg(SERVE)
            .arg(folder)
            .arg(clock.as_nanos().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (ask, answers) = (child.stdin.take(), child.stdout.take());
        match answers {
            Some(answers) => Ok(Bench { child, ask, answers: BufReader::new(answers) }),
            None => Err("the engine of the test cannot be heard".into()),
        }
    }

    /// What becomes of something that is asked.
    pub(super) fn ask(&mut self, ask: &Ask) -> Result<Answer, String> {
        let gone = || "the engine of the test has ended in the middle of it".to_string();
        let text = serde_json::to_string(ask).map_err(|e| e.to_string())?;
        let pipe = self.ask.as_mut().ok_or_else(gone)?;
        writeln!(pipe, "{text}").and_then(|()| pipe.flush()).map_err(|_| gone())?;
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(read) if read > 0 => serde_json::from_str(&line).map_err(|e| e.to_string()),
            _ => Err(gone()),
        }
    }

    /// Kills it, as the system kills a process: nothing more is written, and no lock is kept.
    pub(super) fn kill(mut self) {
        // One that has ended by itself needs no kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Lets its jobs end with checkpoints, then ends it.
    pub(super) fn stop(mut self) -> Result<(), String> {
        let stopped = self.ask(&Ask::Stop)?;
        drop(self.ask.take());
        let _ = self.child.wait();
        match stopped {
            Answer::Failed(message) => Err(message),
            _ => Ok(()),
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
