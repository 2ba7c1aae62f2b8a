//! The program as it is started from a shell: arguments, exit codes, what goes to which stream, and what is kept
//! from one run to the next. Each test has a directory of its own, with the data directory `.millstream` in it.

mod bench;
mod changed;
mod damage;
mod failing;
mod follow;
mod groups;
mod growth;
mod idle;
mod input;
mod jobs;
mod late;
mod memory;
mod mistakes;
mod output;
mod resume;
mod sql_tests;
mod statements;
mod tables;
mod together;
mod topics;
mod tour;
mod upgrade;
mod usage;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A directory in which the program is run.
pub(crate) struct Place(TempDir);

/// What a run left.
pub(crate) struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        Place(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        std::fs::write(self.path(name), content).unwrap();
        self
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
        command.args(arguments).current_dir(self.0.path()).env_remove("MILLSTREAM_DATA");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    /// Runs the program to its end, with this as its standard input.
    fn run_with(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            // The program may end before it has read all.
            scope.spawn(move || drop(stdin.write_all(input)));
            Ran::of(child.wait_with_output().unwrap())
        })
    }

    /// Runs SQL that must succeed; its output.
    pub(crate) fn sql(&self, sql: &str) -> String {
        self.run(&["-c", sql]).ok().out
    }

    /// Runs SQL that must succeed; its lines, sorted.
    pub(crate) fn rows(&self, sql: &str) -> Vec<String> {
        sorted(&self.sql(sql))
    }
}

impl Ran {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let ran = Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
        for bad in ["panicked", "internal error", "RUST_BACKTRACE", "\u{1b}"] {
            assert!(!ran.err.contains(bad), "{bad:?} in:\n{}", ran.err);
        }
        assert!(!ran.out.contains('\u{1b}'), "escape codes off a terminal");
        ran
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "stderr:\n{}", self.err);
        self
    }

    /// Asserts the exit code, and that standard error holds all of `words`.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "stderr:\n{}", self.err);
        for word in words {
            assert!(self.err.contains(word), "no {word:?} in:\n{}", self.err);
        }
        self
    }
}

fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(String::from).collect();
    lines.sort();
    lines
}

/// The project's own directory.
fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The first departures of the month, one JSON object a line.
fn departures(count: usize) -> String {
    use std::io::Read;
    let file = std::fs::File::open(project().join("queries/data/nyc_flights/departures.jsonl.gz")).unwrap();
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).unwrap();
    let lines: Vec<&str> = text.lines().take(count).collect();
    lines.join("\n") + "\n"
}

/// The rows of a run's output, as JSON.
fn json(line: &str) -> serde_json::Value {
    serde_json::from_str(line).unwrap()
}
