//! `millstream bench nexmark`: how fast this program is on this machine, beside a batch engine.

use super::Exit;
use super::args::Invocation;
use super::folder::Folder;
use super::print::{Format, PrintError, ResultPrinter};
use super::report;
use super::run::tell;
use super::terminal::Screen;
use crate::bench::data::{Data, Needs};
use crate::bench::queries::{QUERIES, Query, query};
use crate::bench::report::{Checked, Line, NOTES, Table, heading, markdown, schema};
use crate::bench::{Bench, BenchError, Case, Emit, Input, Observer};
use crate::config::{MAX_WORKERS, Settings};
use crate::engine::Diagnostic;
use clap::builder::PossibleValuesParser;
use clap::{Subcommand, ValueEnum};
use std::cell::Cell;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) use crate::bench::child::{SERVE, serve};

const ABOUT: &str = "\
Runs the queries of Nexmark as jobs and by DataFusion's batch engine over the same events, in turn and each run in a process \
of its own, and shows rows a second, CPU seconds, memory and how long the steps took.

The events are made first (2,000,000 of them are half a gigabyte of JSON lines) in a temporary directory that is removed \
afterwards, or in --data DIR, where they are found again by the next run and can be read by other engines: \
DIR/nexmark-N/{person,auction,bid}/part-{0,1}.json.

Examples:
  millstream bench nexmark --query q5 --query q7
  millstream bench nexmark --input topic --workers 2 --runs 5 --markdown nexmark.md
  millstream bench nexmark --events 100000 --runs 0 --check
  millstream bench nexmark --ours-only --input topic --events 1000000,10000000,50000000 --markdown growth.md
";

/// What can be measured.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum BenchCommand {
    /// Run the queries of Nexmark, an auction house, beside a batch engine
    #[command(after_help = ABOUT)]
    Nexmark(Nexmark),
}

/// How Nexmark is run.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Nexmark {
    /// Run this query only; may be given several times
    #[arg(long, value_name = "QUERY", value_delimiter = ',', value_parser = names())]
    query: Vec<String>,
    /// Read from this only
    #[arg(long, value_enum)]
    input: Option<Input>,
    /// How many events there are; several numbers show what grows with them
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "2000000", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    events: Vec<u64>,
    /// How many threads each engine computes with [default: the machine's cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MAX_WORKERS as i64))]
    workers: Option<u16>,
    /// How often each engine runs each query
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(0..=1000))]
    runs: u16,
    /// What the jobs give: every change, or, of queries over windows, the results once
    #[arg(long, value_enum, default_value = "changes")]
    emit: Emitted,
    /// Compare first what both engines answer
    #[arg(long)]
    check: bool,
    /// Leave the batch engine out, but for --check
    #[arg(long)]
    ours_only: bool,
    /// Write the results as a table in Markdown, too
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

/// What the jobs give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Emitted {
    /// Every change
    Changes,
    /// The results of windows, once
    Final,
    /// The one and the other
    Both,
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(QUERIES.iter().map(|q| q.name))
}

/// Runs it. `data` is where the events are to stay, if they are.
pub(super) fn run(invocation: &Invocation, command: &BenchCommand, data: Option<PathBuf>) -> Exit {
    let BenchCommand::Nexmark(options) = command;
    let watcher = Watcher::listen();
    let done = nexmark(invocation, options, data, &watcher);
    watcher.erase();
    let failed = |message: &str| {
        tell(&report::failure(message, Screen::stderr()));
        Exit::Failed
    };
    match done {
        Ok(0) | Err(Failure::Print(PrintError::Closed) | Failure::Bench(BenchError::Stopped)) => Exit::Done,
        Ok(1) => failed("the answers to one query differ"),
        Ok(n) => failed(&format!("the answers to {n} queries differ")),
        Err(Failure::Usage(mistake)) => {
            tell(&report::render(&mistake, "", "", Screen::stderr()));
            Exit::Usage
        }
        Err(Failure::Bench(error)) => failed(&error.to_string()),
        Err(Failure::Print(error)) => failed(&error.to_string()),
    }
}

/// Why it ended early.
enum Failure {
    /// The command line asks for what cannot be.
    Usage(Diagnostic),
    Bench(BenchError),
    Print(PrintError),
}

impl From<BenchError> for Failure {
    fn from(error: BenchError) -> Self {
        Failure::Bench(error)
    }
}

impl From<PrintError> for Failure {
    fn from(error: PrintError) -> Self {
        Failure::Print(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Print(error.into())
    }
}

/// Measures; gives how many answers differ.
fn nexmark(
    invocation: &Invocation,
    options: &Nexmark,
    kept: Option<PathBuf>,
    watcher: &Watcher,
) -> Result<usize, Failure> {
    let cases = cases(options).map_err(Failure::Usage)?;
    if options.runs == 0 && !options.check {
        let mistake = Diagnostic::new("without runs there is nothing to be done");
        return Err(Failure::Usage(mistake.help("--runs 0 is for --check, which compares the answers only")));
    }
    let screen = Screen::stdout();
    let format = invocation.format.unwrap_or(Format::auto(screen.is_terminal()));
    let mut sizes = options.events.clone();
    sizes.sort_unstable();
    sizes.dedup();
    let mut output = Output::new(format, screen, options.check, sizes.len() > 1)?;
    if let Some(path) = &options.markdown {
        // That it cannot be written is not to be told after an hour.
        std::fs::write(path, "").map_err(unwritable(path))?;
    }
    let folder = match &kept {
        Some(_) => None,
        None => Some(Folder::make("bench").map_err(|e| {
            BenchError::Run(format!("cannot make a temporary directory: {e}; --data DIR names another"))
        })?),
    };
    let dir = match (&folder, &kept) {
        (Some(folder), _) => folder.0.clone(),
        // The runs are processes of their own, but of the same directory.
        (None, kept) => std::path::absolute(kept.clone().unwrap_or_default())?,
    };
    let inputs = inputs(options);
    let needs = Needs {
        // The batch engine's rows come from them even if they are in memory.
        files: inputs.contains(&Input::Json) || options.check || !options.ours_only,
        topics: inputs.contains(&Input::Topic),
    };
    let mut benches = Vec::with_capacity(sizes.len());
    for events in &sizes {
        benches.push(Bench {
            data: Data::prepare(&dir, *events, needs, watcher)?,
            workers: options.workers.map_or(Settings::default().workers, usize::from),
            runs: options.runs.into(),
            check: options.check,
            ours_only: options.ours_only,
        });
    }
    let Some(any) = benches.first() else { return Ok(0) };
    output.begin(any, &sizes, watcher)?;
    let mut lines: Vec<Line> = Vec::with_capacity(cases.len() * sizes.len());
    let mut result = Ok(());
    for (bench, case) in benches.iter().flat_map(|bench| cases.iter().map(move |case| (bench, *case))) {
        match bench.run(case, watcher) {
            Ok(line) => {
                watcher.erase();
                output.line(&line)?;
                if let Some(Checked::Differs(how)) = &line.check {
                    let (query, input) = (case.query.name, case.input.word());
                    tell(&format!("{query} from {input}, EMIT {}: {how}", case.emit.word().to_uppercase()));
                }
                lines.push(line);
            }
            Err(error) => {
                result = Err(error);
                break;
            }
        }
    }
    // What was measured before it ended early counts.
    if let Some(path) = &options.markdown {
        std::fs::write(path, markdown(any, &sizes, &lines)).map_err(unwritable(path))?;
    }
    output.finish(any, &sizes, &lines)?;
    result?;
    Ok(lines.iter().filter(|l| matches!(l.check, Some(Checked::Differs(_)))).count())
}

fn unwritable(path: &std::path::Path) -> impl FnOnce(io::Error) -> BenchError {
    let path = path.display().to_string();
    move |error| BenchError::Run(format!("cannot write {path}: {error}"))
}

fn inputs(options: &Nexmark) -> Vec<Input> {
    options.input.map_or(Input::ALL.to_vec(), |input| vec![input])
}

/// What is to be run, in order.
fn cases(options: &Nexmark) -> Result<Vec<Case>, Diagnostic> {
    let queries: Vec<&'static Query> = match options.query.as_slice() {
        [] => QUERIES.iter().collect(),
        named => named.iter().filter_map(|name| query(name)).collect(),
    };
    let mut cases = Vec::new();
    for query in queries {
        let emits: &[Emit] = match (options.emit, query.has_final) {
            (Emitted::Changes, _) | (Emitted::Both, false) => &[Emit::Changes],
            (Emitted::Final, true) => &[Emit::Final],
            (Emitted::Both, true) => &[Emit::Changes, Emit::Final],
            (Emitted::Final, false) if options.query.is_empty() => &[],
            (Emitted::Final, false) => {
                let finals: Vec<&str> = QUERIES.iter().filter(|q| q.has_final).map(|q| q.name).collect();
                let mistake = Diagnostic::new(format!("the result of {} is never final", query.name));
                return Err(mistake.help(format!("--emit final goes with {}", finals.join(", "))));
            }
        };
        for input in inputs(options) {
            cases.extend(emits.iter().map(|emit| Case { query, input, emit: *emit }));
        }
    }
    Ok(cases)
}

/// Where the results go: a table for people, which grows line by line, or rows for programs.
enum Output {
    Table { table: Table, screen: Screen },
    Markdown,
    Rows(Box<ResultPrinter>),
}

impl Output {
    /// `sizes` = there are several numbers of events.
    fn new(format: Format, screen: Screen, checks: bool, sizes: bool) -> Result<Self, Failure> {
        Ok(match format {
            Format::Table => Output::Table { table: Table::new(screen.width, checks, sizes), screen },
            Format::Box => Output::Table { table: Table::new(None, checks, sizes), screen },
            Format::Md => Output::Markdown,
            format if format.is_binary() && screen.is_terminal() => {
                let name = if format == Format::Arrow { "arrow" } else { "parquet" };
                return Err(PrintError::Binary(name).into());
            }
            format => {
                let printer = ResultPrinter::new(format, schema(), false, Box::new(io::stdout()));
                Output::Rows(Box::new(printer.on(screen)))
            }
        })
    }

    fn begin(&self, bench: &Bench, sizes: &[u64], watcher: &Watcher) -> Result<(), Failure> {
        watcher.erase();
        if let Output::Table { table, screen } = self {
            let notes = super::wrap::wrapped(NOTES, screen.width.unwrap_or(120), 0);
            write!(io::stdout(), "{}\n{notes}\n{}", heading(bench, sizes), table.head())?;
        }
        Ok(())
    }

    fn line(&mut self, line: &Line) -> Result<(), Failure> {
        match self {
            Output::Table { table, .. } => write!(io::stdout(), "{}", table.line(line))?,
            Output::Markdown => {}
            Output::Rows(printer) => {
                printer.write(&line.batch()?, None)?;
                printer.flush()?;
            }
        }
        Ok(())
    }

    fn finish(self, bench: &Bench, sizes: &[u64], lines: &[Line]) -> Result<(), Failure> {
        match self {
            Output::Table { .. } => {}
            Output::Markdown => write!(io::stdout(), "{}", markdown(bench, sizes, lines))?,
            Output::Rows(printer) => printer.finish()?,
        }
        Ok(())
    }
}

/// Shows on a terminal what is being done, and hears of SIGINT and SIGTERM.
struct Watcher {
    screen: Screen,
    /// A line is on the screen now.
    visible: Cell<bool>,
    stopped: Arc<AtomicBool>,
}

impl Watcher {
    fn listen() -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let heard = stopped.clone();
        // Where no thread can be had, a signal ends the process as it ends others.
        let _ = std::thread::Builder::new().name("signals".into()).spawn(move || wait_for_signal(&heard));
        Watcher { screen: Screen::stderr(), visible: Cell::new(false), stopped }
    }

    fn erase(&self) {
        if self.visible.replace(false) {
            // A terminal that has gone needs no erasing.
            let _ = write!(io::stderr(), "\r\u{1b}[K");
        }
    }
}

impl Observer for Watcher {
    fn note(&self, what: &str) {
        let Some(width) = self.screen.width else { return };
        self.visible.set(true);
        // A line that wraps could not be erased again.
        let what: String = what.chars().take(width.saturating_sub(1)).collect();
        let _ = write!(io::stderr(), "\r\u{1b}[K{what}");
    }

    fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}

fn wait_for_signal(stopped: &AtomicBool) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(threads) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    threads.block_on(async {
        let (Ok(mut int), Ok(mut term)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return;
        };
        tokio::select! { _ = int.recv() => {}, _ = term.recv() => {} }
        stopped.store(true, Ordering::Release);
        // Who asks again does not want to wait.
        let signal = tokio::select! { _ = int.recv() => 2, _ = term.recv() => 15 };
        std::process::exit(128 + signal);
    });
}

/// Runs what another process of the bench asks for, and answers it.
pub(super) fn serve_bench(ask: &str) -> Exit {
    // Whoever asked and has gone wants no answer.
    let _ = writeln!(io::stdout(), "{}", serve(ask));
    Exit::Done
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(query: &[&str], emit: Emitted) -> Nexmark {
        Nexmark {
            query: query.iter().map(|q| q.to_string()).collect(),
            input: None,
            events: vec![1],
            workers: None,
            runs: 1,
            emit,
            check: false,
            ours_only: false,
            markdown: None,
        }
    }

    fn shown(options: &Nexmark) -> Vec<String> {
        let cases = cases(options).unwrap();
        cases.iter().map(|c| format!("{} {} {}", c.query.name, c.input.word(), c.emit.word())).collect()
    }

    #[test]
    fn what_is_run() {
        assert_eq!(shown(&options(&["q4"], Emitted::Both)), ["q4 json changes", "q4 topic changes"]);
        assert_eq!(
            shown(&Nexmark { input: Some(Input::Topic), ..options(&["q5", "q4"], Emitted::Both) }),
            ["q5 topic changes", "q5 topic final", "q4 topic changes"]
        );
        assert_eq!(shown(&options(&[], Emitted::Changes)).len(), 2 * QUERIES.len());
        assert!(shown(&options(&[], Emitted::Final)).iter().all(|case| case.ends_with("final")));
        let refused = cases(&options(&["q4"], Emitted::Final)).err().unwrap();
        assert_eq!(refused.message, "the result of q4 is never final");
        assert!(refused.help.unwrap().contains("wc, q5"));
    }
}
