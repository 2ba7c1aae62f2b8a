//! `millstream test`: SQL files that say what they give.

mod file;

use super::Exit;
use super::args::Invocation;
use super::folder::Folder;
use super::print::cells;
use super::report;
use super::run::tell;
use super::terminal::Screen;
use crate::config::Settings;
use crate::delta::Delta;
use crate::engine::{Diagnostic, Engine, EngineError, Outcome, Session, Statement, TestClock, substitute};
use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use file::{Expected, Part, differences, drawn, parts};
use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Runs the tests; with `bless`, what they give is written into the files.
pub(super) fn run(invocation: &Invocation, paths: &[PathBuf], bless: bool) -> Exit {
    let screen = Screen::stderr();
    let files = match files(paths) {
        Ok(files) => files,
        Err(message) => {
            tell(&report::failure(&message, screen));
            return Exit::Failed;
        }
    };
    let mut failed = 0;
    for path in &files {
        match test(invocation, path, bless) {
            Ok(told) if told.is_empty() => put(&format!("ok      {}", path.display())),
            Ok(told) if bless => put(&format!("blessed {}: {} results", path.display(), told.len())),
            Ok(told) => {
                failed += 1;
                put(&format!("FAILED  {}", path.display()));
                told.iter().for_each(|t| put(t));
            }
            Err(message) => {
                failed += 1;
                put(&format!("FAILED  {}\n{}", path.display(), message.trim_end()));
            }
        }
    }
    let count = files.len();
    put(&format!("{count} {}, {failed} failed", if count == 1 { "file" } else { "files" }));
    if failed > 0 { Exit::Tests } else { Exit::Done }
}

/// The SQL files of folders, in order of their names.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let mut folders = vec![path.clone()];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            let entries = std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
            for entry in entries.flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "sql") {
                    found.push(path);
                }
            }
        }
        found.sort();
        files.append(&mut found);
    }
    Ok(files)
}

/// Writes to standard output; whoever reads it may have enough.
fn put(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// What differs, one text for each result; with `bless`, what was written anew.
fn test(invocation: &Invocation, path: &Path, bless: bool) -> Result<Vec<String>, String> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read {name}: {e}"))?;
    let shown = |d: &Diagnostic, source: &str| report::render(d, &name, source, Screen::stdout());
    let source = substitute(&text, &|v| invocation.variable(v)).map_err(|d| shown(&d, &text))?;
    let parts = parts(&source).map_err(|d| shown(&d, &source))?;
    let folder = Folder::make("test").map_err(|e| format!("cannot make a temporary directory: {e}"))?;
    let mut bench = Bench::open(&folder.0, None)?;
    let (mut told, mut written) = (Vec::new(), Vec::new());
    for (at, part) in parts.iter().enumerate() {
        match part {
            Part::Clock(by) => bench.clock.advance(*by),
            Part::Restart => {
                bench.session.stop();
                let clock = bench.clock.clone();
                drop(bench);
                bench = Bench::open(&folder.0, Some(clock))?;
                // What was done is done: the jobs go on, and rows are not inserted twice.
                for part in &parts[..at] {
                    if let Part::Statement { statement, .. } = part
                        && makes(&statement.statement)
                    {
                        bench.run(&source, statement).map_err(|e| failure(&e, &shown, &source))?;
                    }
                }
            }
            Part::Statement { statement, expected, ordered } => {
                let result = bench.run(&source, statement).map_err(|e| failure(&e, &shown, &source))?;
                let Some((names, rows)) = result else { continue };
                let found = drawn(&names, &rows, *ordered);
                if bless {
                    written.push((place(&source, statement.span.end, expected.as_ref()), found));
                    continue;
                }
                let Some(expected) = expected else { continue };
                if let Some(lines) = differences(&expected.lines, &found, *ordered) {
                    let line = source[..statement.span.start].matches('\n').count() + 1;
                    told.push(format!("{name}:{line}: expected (-) and found (+)\n{}", lines.join("\n")));
                }
            }
        }
    }
    bench.session.stop();
    if bless {
        told = written.iter().map(|(_, found)| found.join("\n")).collect();
        let mut blessed = source.clone();
        for (span, found) in written.into_iter().rev() {
            let lines: String =
                found.iter().map(|l| format!("-- {l}").trim_end().to_string() + "\n").collect();
            let before = if blessed[..span.start].ends_with('\n') { "" } else { "\n" };
            blessed.replace_range(span, &format!("{before}{lines}"));
        }
        std::fs::write(path, blessed).map_err(|e| format!("cannot write {name}: {e}"))?;
    }
    Ok(told)
}

fn failure(error: &EngineError, shown: &dyn Fn(&Diagnostic, &str) -> String, source: &str) -> String {
    match error {
        EngineError::Sql(mistake) => shown(mistake, source),
        error => report::failure(&error.to_string(), Screen::stdout()),
    }
}

/// Where a result is to stand.
fn place(source: &str, end: usize, expected: Option<&Expected>) -> std::ops::Range<usize> {
    match expected {
        Some(expected) => expected.span.clone(),
        None => {
            let at = source[end..].find('\n').map_or(source.len(), |line| end + line + 1);
            at..at
        }
    }
}

/// Whether a statement makes something that lasts.
fn makes(statement: &Statement) -> bool {
    use Statement::{CreateStream, CreateView, Delete, Insert, Set, Update};
    matches!(statement, CreateStream(_) | CreateView(_) | Insert(_) | Update(_) | Delete(_) | Set { .. })
}

type Table = (Vec<String>, Vec<Vec<Option<String>>>);

/// The engine of a test, whose clock moves when it is told.
struct Bench {
    session: Session,
    clock: TestClock,
}

impl Bench {
    fn open(folder: &Path, clock: Option<TestClock>) -> Result<Self, String> {
        let clock = clock.unwrap_or_default();
        let engine = Engine::open_for_test(&folder.join("data"), &clock).map_err(|e| e.to_string())?;
        // One worker: the changes of a result come in an order that is always the same.
        let settings = Settings { workers: 1, ..Settings::default() };
        Ok(Bench { session: Session::new(&engine, settings, Some("test"), true), clock })
    }

    /// Runs a statement; its rows, if it gives some.
    fn run(
        &mut self,
        source: &str,
        statement: &crate::engine::ParsedStatement,
    ) -> Result<Option<Table>, EngineError> {
        self.session.settle(&mut || true)?;
        self.session.check()?;
        let outcome = self.session.execute(source, statement)?;
        // Jobs are told by their results.
        self.session.take_warnings();
        match outcome {
            Outcome::Notice(_) | Outcome::Job(_) => Ok(None),
            Outcome::Rows(rows) => table(&rows.schema(), &[(rows.batch.clone(), None)]).map(Some),
            Outcome::Bounded(mut query) => {
                let mut batches = Vec::new();
                while let Some(batch) = query.next_batch()? {
                    batches.push((batch, None));
                }
                table(&query.schema(), &batches).map(Some)
            }
            Outcome::Continuous(query) => {
                let schema = query.schema();
                let taken: Arc<Mutex<Vec<Delta>>> = Arc::default();
                let taking = taken.clone();
                query.run(move |delta| {
                    taking.lock().unwrap_or_else(PoisonError::into_inner).push(delta.clone());
                    Ok(())
                })?;
                let deltas = std::mem::take(&mut *taken.lock().unwrap_or_else(PoisonError::into_inner));
                let batches: Vec<_> = deltas.iter().map(|d| (d.batch.clone(), d.weights.clone())).collect();
                table(&schema, &batches).map(Some)
            }
        }
    }
}

/// Rows as text: what is left of them when what was taken back is gone. How often a result changes on its way depends on how
/// its input is cut into steps, and is no property of the query.
fn table(schema: &SchemaRef, batches: &[(RecordBatch, Option<Int64Array>)]) -> Result<Table, EngineError> {
    let names = schema.fields().iter().map(|f| f.name().clone()).collect();
    let mut rows: Vec<Vec<Option<String>>> = Vec::new();
    let mut gone: HashMap<Vec<Option<String>>, u64> = HashMap::new();
    for (batch, weights) in batches {
        for (at, row) in cells(batch, usize::MAX)?.into_iter().enumerate() {
            let weight = weights.as_ref().map_or(1, |w| w.value(at));
            match weight {
                0.. => rows.extend((0..weight).map(|_| row.clone())),
                _ => *gone.entry(row).or_default() += weight.unsigned_abs(),
            }
        }
    }
    // A row is there again behind the last time that it was taken back.
    rows.retain(|row| match gone.get_mut(row).filter(|n| **n > 0) {
        Some(left) => {
            *left -= 1;
            false
        }
        None => true,
    });
    Ok((names, rows))
}
