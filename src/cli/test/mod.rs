//! `millstream test`: SQL files that say what they give.
//!
//! [`file`] is what such a file consists of, [`table`] results and their differences; [`bench`] the engine that a test
//! drives, which is a process of its own ([`serve`], by [`protocol`]).

mod bench;
mod file;
mod protocol;
mod serve;
mod table;

use super::Exit;
use super::args::Invocation;
use super::folder::Folder;
use super::report;
use super::run::tell;
use super::terminal::Screen;
use crate::engine::{Diagnostic, ParsedStatement, Statement, substitute};
use bench::Bench;
use file::{ERROR, Expected, Fed, Part, parts};
use protocol::{Answer, Ask, Change};
use std::collections::HashMap;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;
use table::{Table, differences};

pub(super) use bench::SERVE;
pub(super) use serve::serve;

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
        let name = path.display();
        match Test::of(invocation, path, bless).and_then(Test::run) {
            Ok(told) if told.is_empty() => put(&format!("ok      {name}")),
            Ok(told) if bless => put(&format!("blessed {name}: {} results", told.len())),
            Ok(told) => {
                failed += 1;
                put(&format!("FAILED  {name}"));
                told.iter().for_each(|t| put(t));
            }
            Err(message) => {
                failed += 1;
                put(&format!("FAILED  {name}\n{}", message.trim_end()));
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

/// A test that is run.
struct Test {
    path: PathBuf,
    name: String,
    /// The text, with its variables filled in.
    source: String,
    parts: Vec<Part>,
    bless: bool,
    folder: Folder,
    /// How far the clock has moved on.
    clock: Duration,
    /// What differs, one text for each result.
    told: Vec<String>,
    /// What was found, and where it is to stand.
    written: Vec<(Range<usize>, Vec<String>)>,
}

impl Test {
    fn of(invocation: &Invocation, path: &Path, bless: bool) -> Result<Self, String> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read {name}: {e}"))?;
        let shown = |d: &Diagnostic, source: &str| report::render(d, &name, source, Screen::stdout());
        let source = substitute(&text, &|v| invocation.variable(v)).map_err(|d| shown(&d, &text))?;
        if bless && source != text {
            return Err(format!("{name} names variables, whose values a blessed file would hold instead"));
        }
        let parts = parts(&source).map_err(|d| shown(&d, &source))?;
        let folder = Folder::make("test").map_err(|e| format!("cannot make a temporary directory: {e}"))?;
        Ok(Test {
            path: path.into(),
            name,
            source,
            parts,
            bless,
            folder,
            clock: Duration::ZERO,
            told: Vec::new(),
            written: Vec::new(),
        })
    }

    /// What differs; of a test that is blessed, what was found.
    fn run(mut self) -> Result<Vec<String>, String> {
        let mut bench = Bench::start(&self.folder.0, self.clock)?;
        for at in 0..self.parts.len() {
            if let Part::Restart { kill } = self.parts[at] {
                // What was done is done, in either case.
                self.done(bench.ask(&Ask::Settle)?, None)?;
                if kill {
                    bench.kill()
                } else {
                    bench.stop()?
                }
                bench = Bench::start(&self.folder.0, self.clock)?;
                self.again(&mut bench, at)?;
                continue;
            }
            self.part(&mut bench, at)?;
        }
        bench.stop()?;
        if self.bless {
            return self.write();
        }
        Ok(self.told)
    }

    /// Makes once more what there was before the restart: jobs go on, and rows are not inserted twice. What has been dropped
    /// is not made again.
    fn again(&mut self, bench: &mut Bench, before: usize) -> Result<(), String> {
        for at in 0..before {
            let lasts = match &self.parts[at] {
                Part::Statement { statement, expected, .. } => {
                    makes(&statement.statement) && !expected.as_ref().is_some_and(Expected::is_error)
                }
                Part::Feed { .. } => true,
                Part::Clock(_) | Part::Watermark { .. } | Part::Restart { .. } => false,
            };
            if lasts && self.is_dropped(at, before) {
                let passed = self.parts[at].inserts().map(|name| Ask::PassOver(name.into()));
                passed.map_or(Ok(Answer::Done), |ask| bench.ask(&ask))?;
            } else if lasts {
                let answer = bench.ask(&self.question(at))?;
                self.done(answer, self.span(at))?;
            }
        }
        Ok(())
    }

    /// Whether what part `at` makes or writes is dropped behind it, before part `before`.
    fn is_dropped(&self, at: usize, before: usize) -> bool {
        let Some(made) = self.parts[at].writes() else { return false };
        let drops = |part: &Part| match part {
            Part::Statement { statement, expected, .. } => match &statement.statement {
                Statement::Drop { name, .. } => {
                    name.value == made && !expected.as_ref().is_some_and(Expected::is_error)
                }
                _ => false,
            },
            _ => false,
        };
        self.parts[at..before].iter().any(drops)
    }

    /// What is asked of the engine.
    fn question(&self, at: usize) -> Ask {
        match &self.parts[at] {
            Part::Statement { statement, .. } => {
                Ask::Run { source: self.source.clone(), start: statement.span.start }
            }
            Part::Clock(by) => Ask::Clock(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)),
            Part::Watermark { stream, at, .. } => Ask::Watermark { stream: stream.clone(), at: *at },
            Part::Feed { into, rows: Fed::Table(names, rows), .. } => {
                Ask::Feed { into: into.clone(), names: names.clone(), rows: rows.clone() }
            }
            Part::Feed { into, rows: Fed::File(file), .. } => {
                let beside = self.path.parent().unwrap_or(Path::new("")).join(file);
                Ask::FeedFile { into: into.clone(), file: beside.display().to_string(), number: at }
            }
            Part::Restart { .. } => Ask::Settle,
        }
    }

    /// Where a part stands.
    fn span(&self, at: usize) -> Option<Range<usize>> {
        match &self.parts[at] {
            Part::Statement { statement, .. } => Some(statement.span.clone()),
            Part::Watermark { span, .. } | Part::Feed { span, .. } => Some(span.clone()),
            Part::Clock(_) | Part::Restart { .. } => None,
        }
    }

    /// Fails if something that gives no rows has failed.
    fn done(&self, answer: Answer, place: Option<Range<usize>>) -> Result<(), String> {
        match answer {
            Answer::Done | Answer::Rows { .. } => Ok(()),
            Answer::Mistake(told) => {
                let mut mistake = Diagnostic::from(told);
                mistake.span = mistake.span.or(place);
                Err(report::render(&mistake, &self.name, &self.source, Screen::stdout()))
            }
            Answer::Failed(message) => {
                let mistake = Diagnostic { span: place, ..Diagnostic::new(message) };
                Err(report::render(&mistake, &self.name, &self.source, Screen::stdout()))
            }
        }
    }

    fn part(&mut self, bench: &mut Bench, at: usize) -> Result<(), String> {
        let answer = bench.ask(&self.question(at))?;
        if let Part::Clock(by) = &self.parts[at] {
            self.clock += *by;
        }
        let Part::Statement { statement, expected, ordered } = &self.parts[at] else {
            return self.done(answer, self.span(at));
        };
        let refused = expected.as_ref().is_some_and(Expected::is_error);
        let found = match answer {
            Answer::Mistake(told) if refused => Table {
                names: vec![format!("{ERROR}{}", Diagnostic::from(told).message)],
                ordered: true,
                ..Table::default()
            },
            Answer::Failed(message) if refused => {
                Table { names: vec![format!("{ERROR}{message}")], ordered: true, ..Table::default() }
            }
            Answer::Done if refused => {
                Table { names: vec!["it is done".into()], ordered: true, ..Table::default() }
            }
            Answer::Rows { names, deltas } => match expected.as_ref().is_some_and(Expected::is_changelog) {
                true => Table::of_changes(&names, &deltas),
                false => Table { names, rows: left(&deltas), ordered: *ordered },
            },
            answer => return self.done(answer, self.span(at)),
        };
        if self.bless {
            let place = place(&self.source, statement, expected.as_ref());
            self.written.push((place, found.drawn()));
            return Ok(());
        }
        let Some(expected) = expected else { return Ok(()) };
        if let Some(lines) = differences(&expected.lines, &found) {
            let line = self.source[..statement.span.start].matches('\n').count() + 1;
            let colour = Screen::stdout().colour;
            let lines: Vec<String> = lines.iter().map(|line| coloured(line, colour)).collect();
            self.told.push(format!("{}:{line}: expected (-) and found (+)\n{}", self.name, lines.join("\n")));
        }
        Ok(())
    }

    /// Writes what was found into the file.
    fn write(self) -> Result<Vec<String>, String> {
        let told = self.written.iter().map(|(_, found)| found.join("\n")).collect();
        let mut blessed = self.source;
        for (span, found) in self.written.into_iter().rev() {
            let lines: String =
                found.iter().map(|l| format!("-- {l}").trim_end().to_string() + "\n").collect();
            let before = if blessed[..span.start].ends_with('\n') { "" } else { "\n" };
            blessed.replace_range(span, &format!("{before}{lines}"));
        }
        std::fs::write(&self.path, blessed).map_err(|e| format!("cannot write {}: {e}", self.name))?;
        Ok(told)
    }
}

/// A line of a difference in the colour of its sign.
fn coloured(line: &str, colour: bool) -> String {
    let code = match line.chars().next() {
        Some('-') => "31",
        Some('+') => "32",
        _ => return line.into(),
    };
    if colour { format!("\u{1b}[{code}m{line}\u{1b}[0m") } else { line.into() }
}

/// Where a result is to stand.
fn place(source: &str, statement: &ParsedStatement, expected: Option<&Expected>) -> Range<usize> {
    match expected {
        Some(expected) => expected.span.clone(),
        None => {
            let end = statement.span.end;
            let at = source[end..].find('\n').map_or(source.len(), |line| end + line + 1);
            at..at
        }
    }
}

/// Whether a statement makes or writes something, or says how. (A view is kept as it is.)
fn makes(statement: &Statement) -> bool {
    use Statement::{CreateStream, Delete, Insert, Set, Update};
    matches!(statement, CreateStream(_) | Insert(_) | Update(_) | Delete(_) | Set { .. })
}

/// What is left of changes when what was taken back is gone. How often a result changes on its way depends on how its input
/// is cut into steps.
fn left(deltas: &[Vec<Change>]) -> Vec<Vec<Option<String>>> {
    let mut rows: Vec<&Vec<Option<String>>> = Vec::new();
    let mut gone: HashMap<&Vec<Option<String>>, u64> = HashMap::new();
    for (weight, row) in deltas.iter().flatten() {
        match weight {
            0.. => rows.extend((0..*weight).map(|_| row)),
            _ => *gone.entry(row).or_default() += weight.unsigned_abs(),
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
    rows.into_iter().cloned().collect()
}
