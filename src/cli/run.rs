//! Running SQL: files and `-c` texts, statement by statement; results on standard output, all else on standard error.

use super::Exit;
use super::args::{Action, Invocation};
use super::print::{Format, PrintError, ResultPrinter, print_prose};
use super::progress::{Progress, grouped, summary};
use super::report;
use super::terminal::Screen;
use crate::config::Settings;
use crate::engine::{
    Bounded, Continuous, Control, Diagnostic, Engine, EngineError, JobState, JobSummary, Origin, Outcome,
    ParsedStatement, Rows, Session, Totals, parse_all, parse_each, substitute,
};
use std::io::{self, IsTerminal, Read as _, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Why running ended before the end.
pub(super) enum Stop {
    /// A mistake in the SQL; told already.
    Sql,
    /// A failure; told already.
    Failed,
    /// The reader of our output has gone.
    Closed,
}

/// The texts to run: each with the name under which mistakes in it are reported, and, for a file, its scope.
struct Text {
    name: String,
    scope: Option<String>,
    source: String,
}

/// Whether SIGINT or SIGTERM has come, and the query that is then to end.
#[derive(Clone, Default)]
pub(super) struct Interrupt {
    come: Arc<AtomicBool>,
    query: Arc<Mutex<Option<Arc<Control>>>>,
}

impl Interrupt {
    /// Listens for SIGINT and SIGTERM; the second of them ends the process at once.
    pub(super) fn listen(engine: &Engine) -> Self {
        let interrupt = Interrupt::default();
        let heard = interrupt.clone();
        use tokio::signal::unix::{SignalKind, signal};
        // Heard from here on: not only once the task has its turn.
        let signals = {
            let _runtime = engine.tokio().enter();
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        };
        let (Ok(mut int), Ok(mut term)) = signals else { return interrupt };
        engine.tokio().spawn(async move {
            tokio::select! { _ = int.recv() => {}, _ = term.recv() => {} }
            heard.come.store(true, Ordering::Release);
            if let Some(control) = heard.query.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
                control.stop();
            }
            // Who asks again does not want to wait: what a crash leaves is whole.
            let signal = tokio::select! { _ = int.recv() => 2, _ = term.recv() => 15 };
            std::process::exit(128 + signal);
        });
        interrupt
    }

    pub(super) fn has_come(&self) -> bool {
        self.come.load(Ordering::Acquire)
    }

    /// The query that an interrupt ends.
    fn ends(&self, control: Option<Arc<Control>>) {
        let stop_now = control.clone().filter(|_| self.has_come());
        *self.query.lock().unwrap_or_else(PoisonError::into_inner) = control;
        if let Some(control) = stop_now {
            control.stop();
        }
    }
}

/// Runs what the command line asks for.
pub(super) fn run(invocation: &Invocation) -> Exit {
    let screen = Screen::stderr();
    let texts = match texts(invocation) {
        Ok(texts) => texts,
        Err(message) => {
            tell(&report::failure(&message, screen));
            return Exit::Failed;
        }
    };
    let engine = match invocation.open() {
        Ok(engine) => engine,
        Err(error) => {
            tell(&report::error(&error, "", screen));
            return Exit::Failed;
        }
    };
    let mut settings = Settings::default();
    if let Some(workers) = invocation.workers {
        settings.workers = workers;
    }
    let started = engine.clock().monotonic();
    let scope = texts.first().and_then(|t| t.scope.clone());
    let mut runner = Runner {
        session: Session::new(&engine, settings, scope.as_deref(), invocation.until_caught_up),
        interrupt: Interrupt::listen(&engine),
        engine,
        format: invocation.format,
        screen,
        queries: Vec::new(),
        printed: false,
        mistakes: 0,
        read: Vec::new(),
        bounded: invocation.until_caught_up,
    };
    runner.session.set_ways(invocation.ways.clone(), origin(&texts));
    let ended = runner.texts(invocation, &texts).and_then(|()| runner.check_ways());
    let ended = match ended {
        Ok(()) => runner.finish().and(if runner.mistakes > 0 { Err(Stop::Sql) } else { Ok(()) }),
        Err(stop) => {
            runner.session.stop();
            // The first failure has been told.
            let _ = runner.failures();
            Err(stop)
        }
    };
    tell_recoveries(&runner.engine);
    let name = texts.last().map_or("", |t| t.name.as_str());
    let elapsed = runner.engine.clock().monotonic().saturating_sub(started);
    if !matches!(ended, Err(Stop::Sql)) {
        runner.summarize(name, elapsed);
    }
    match ended {
        Ok(()) | Err(Stop::Closed) => Exit::Done,
        Err(Stop::Sql) => Exit::Sql,
        Err(Stop::Failed) => Exit::Failed,
    }
}

fn texts(invocation: &Invocation) -> Result<Vec<Text>, String> {
    match &invocation.action {
        Action::Sql(texts) => {
            Ok(texts.iter().map(|t| Text { name: "-c".into(), scope: None, source: t.clone() }).collect())
        }
        Action::Files(files) => files.iter().map(|f| file_text(f)).collect(),
        Action::Prompt => {
            let mut source = String::new();
            io::stdin().read_to_string(&mut source).map_err(|e| match e.kind() {
                io::ErrorKind::InvalidData => "standard input is not UTF-8 text".to_string(),
                _ => format!("cannot read standard input: {e}"),
            })?;
            Ok(vec![Text { name: "stdin".into(), scope: None, source }])
        }
        _ => Ok(Vec::new()),
    }
}

/// What is run, so that it can be run again: without what is to be done but once.
fn origin(texts: &[Text]) -> Option<Origin> {
    let text = texts.first().filter(|t| t.scope.is_some())?;
    let once = |word: &String| word == "--fresh" || word.starts_with("--fresh=");
    let command = std::env::args().filter(|word| !once(word)).collect();
    let directory = std::env::current_dir().unwrap_or_default().to_string_lossy().into_owned();
    Some(Origin { file: text.name.clone(), command, directory })
}

fn file_text(path: &Path) -> Result<Text, String> {
    let source = std::fs::read(path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => format!("there is no file {}", path.display()),
        _ => format!("cannot read {}: {e}", path.display()),
    })?;
    let source = String::from_utf8(source).map_err(|_| format!("{} is not UTF-8 text", path.display()))?;
    let stem = path.file_stem().map_or_else(|| "file".into(), |s| s.to_string_lossy().into_owned());
    Ok(Text { name: path.display().to_string(), scope: Some(stem), source })
}

/// Writes a line to standard error. Where even that cannot be written there is nobody to tell.
pub(super) fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{}", text.trim_end());
}

/// Tells of what the log had to recover from; a topic that cannot be listed has been told of otherwise.
pub(super) fn tell_recoveries(engine: &Engine) {
    for note in engine.recoveries().unwrap_or_default() {
        tell(&format!("note: {note}"));
    }
}

/// Tells how many rows a bounded query left out of its windows: they must not vanish silently.
pub(super) fn tell_left_out((late, timeless): (u64, u64)) {
    for (rows, why) in [(late, "late for their window"), (timeless, "without an event time")] {
        if rows > 0 {
            let (noun, verb) = if rows == 1 { ("row", "was") } else { ("rows", "were") };
            tell(&format!("note: {} {noun} {why} {verb} left out", grouped(rows)));
        }
    }
}

/// Tells what `state_ttl` has cut: what is missing in the result for it must not vanish silently.
pub(super) fn tell_expired(totals: &Totals) {
    let rows = |n: u64| if n == 1 { "1 row".to_string() } else { format!("{} rows", grouped(n)) };
    if totals.expired > 0 {
        let were = if totals.expired == 1 {
            "was older than state_ttl and was"
        } else {
            "were older than state_ttl and were"
        };
        tell(&format!("note: {} of state {were} dropped", rows(totals.expired)));
    }
    if totals.ignored > 0 {
        let were = if totals.ignored == 1 { "was" } else { "were" };
        tell(&format!(
            "note: {} {were} taken back after {} been dropped, which changed nothing",
            rows(totals.ignored),
            if totals.ignored == 1 { "it had" } else { "they had" }
        ));
    }
}

struct Runner {
    engine: Engine,
    session: Session,
    interrupt: Interrupt,
    format: Option<Format>,
    screen: Screen,
    /// What continuous queries did.
    queries: Vec<JobSummary>,
    /// A result has been printed: the next one stands apart from it.
    printed: bool,
    /// Statements that were wrong, behind which it went on.
    mistakes: usize,
    /// The texts that are run, each with its name.
    read: Vec<(String, String)>,
    /// Continuous queries end when they have read what there is.
    bounded: bool,
}

impl Runner {
    fn texts(&mut self, invocation: &Invocation, texts: &[Text]) -> Result<(), Stop> {
        for text in texts {
            if let Some(scope) = &text.scope {
                self.session.set_scope(scope).map_err(|e| self.failed(&e))?;
            }
            let source = substitute(&text.source, &|name| invocation.variable(name))
                .map_err(|d| self.mistake(&d, &text.name, &text.source))?;
            self.read.push((text.name.clone(), source.clone()));
            let (statements, mistake) = parse_all(&source);
            // A file that cannot be read to its end is not begun, unless that is asked for.
            if let Some(mistake) = mistake.filter(|_| !invocation.keep_going) {
                return Err(self.mistake(&mistake, &text.name, &source));
            }
            let statements = match invocation.keep_going {
                true => parse_each(&source),
                false => statements.into_iter().map(Ok).collect(),
            };
            for statement in statements {
                if self.interrupt.has_come() {
                    return Ok(());
                }
                let done = statement.map_err(|d| Failure::Engine(d.into()));
                let done = done.and_then(|statement| self.statement(&text.name, &source, &statement));
                let Err(failure) = done else { continue };
                // A query that has failed on its rows is as wrong as one that cannot be read.
                let of_statement = matches!(
                    failure,
                    Failure::Engine(EngineError::Sql(_) | EngineError::Placed { .. } | EngineError::Query(_))
                );
                let stop = match failure {
                    Failure::Engine(EngineError::Sql(d)) => self.mistake(&d, &text.name, &source),
                    Failure::Engine(error) => self.failed(&error),
                    Failure::Print(PrintError::Closed) => Stop::Closed,
                    Failure::Print(error) => self.failure(&error.to_string()),
                };
                match stop {
                    _ if of_statement && invocation.keep_going => self.mistakes += 1,
                    stop => return Err(stop),
                }
            }
        }
        Ok(())
    }

    fn mistake(&self, diagnostic: &Diagnostic, name: &str, source: &str) -> Stop {
        tell(&report::render(diagnostic, name, source, self.screen));
        Stop::Sql
    }

    fn failure(&self, message: &str) -> Stop {
        tell(&report::failure(message, self.screen));
        Stop::Failed
    }

    /// Tells a failure in the text that it comes from.
    fn failed(&self, error: &EngineError) -> Stop {
        let of = |read: &&(String, String)| Some(read.1.as_str()) == error.text();
        let name = self.read.iter().rev().find(of).map_or("", |(name, _)| name);
        tell(&report::error(error, name, self.screen));
        Stop::Failed
    }

    fn statement(&mut self, name: &str, source: &str, statement: &ParsedStatement) -> Result<(), Failure> {
        if self.session.needs_settled(&statement.statement) {
            let mut progress = Progress::new(io::stderr(), self.screen);
            let started = self.engine.clock().monotonic();
            self.session.settle(&mut || self.tick(&mut progress, started))?;
            let _ = progress.erase();
            self.session.check()?;
        }
        if self.interrupt.has_come() {
            return Ok(());
        }
        let outcome = self.session.execute(source, statement);
        if let Some(guess) = self.session.take_guess() {
            tell(&format!("note: {guess}"));
        }
        let outcome = outcome?;
        for warning in self.session.take_warnings() {
            tell(&report::warning(&warning, name, source, self.screen));
        }
        match outcome {
            Outcome::Notice(notice) => {
                if self.screen.is_terminal() {
                    tell(&notice);
                }
                Ok(())
            }
            Outcome::Job(_) => Ok(()),
            Outcome::Rows(rows) => self.rows(&rows),
            Outcome::Bounded(query) => self.bounded(query),
            Outcome::Continuous(query) => self.continuous(*query),
        }
    }

    /// Shows how far the jobs are; whether to go on waiting.
    fn tick(&self, progress: &mut Progress<io::Stderr>, started: Duration) -> bool {
        let rows = self.session.jobs().iter().map(|j| j.rows_in).sum();
        self.tell_news(progress);
        // A terminal that has gone needs no progress.
        let _ = progress.update(self.engine.clock().monotonic().saturating_sub(started), rows);
        !self.interrupt.has_come()
    }

    fn result_format(&self) -> Format {
        let terminal = Screen::stdout().is_terminal();
        self.format.unwrap_or(Format::of(self.session.settings.format, terminal))
    }

    fn tell_news(&self, progress: &mut Progress<io::Stderr>) {
        for news in self.session.take_upkeep_failures().into_iter().chain(self.session.take_news()) {
            let _ = progress.erase();
            tell(&format!("note: {news}"));
        }
    }

    /// Fails if options of the command line had nothing to do.
    fn check_ways(&self) -> Result<(), Stop> {
        let stopped = self.interrupt.has_come();
        self.session.unused_ways().filter(|_| !stopped).map_or(Ok(()), |unused| Err(self.failure(&unused)))
    }

    /// Tells each failure of a job.
    fn failures(&self) -> Result<(), Stop> {
        let failures = self.session.take_failures();
        let told = failures.iter().map(|failure| self.failed(failure)).last();
        told.map_or(Ok(()), Err)
    }

    fn printer(
        &mut self,
        schema: arrow::datatypes::SchemaRef,
        changes: bool,
    ) -> Result<ResultPrinter, Failure> {
        let (screen, format) = (Screen::stdout(), self.result_format());
        if format.is_binary() && screen.is_terminal() {
            return Err(PrintError::Binary(if format == Format::Arrow { "arrow" } else { "parquet" }).into());
        }
        if std::mem::replace(&mut self.printed, true) && matches!(format, Format::Csv | Format::Tsv) {
            writeln!(io::stdout()).map_err(PrintError::from)?;
        }
        Ok(ResultPrinter::new(format, schema, changes, Box::new(io::stdout())).on(screen))
    }

    fn rows(&mut self, rows: &Rows) -> Result<(), Failure> {
        if let Some(sentences) = rows.sentences().filter(|_| self.result_format().is_drawn()) {
            return Ok(print_prose(&sentences)?);
        }
        let mut printer = self.printer(rows.schema(), false)?;
        match self.result_format().is_drawn() {
            true => printer.write(&rows.drawn(), None)?,
            false => printer.write(&rows.batch, None)?,
        }
        Ok(printer.finish()?)
    }

    fn bounded(&mut self, mut query: Bounded) -> Result<(), Failure> {
        let mut printer = self.printer(query.schema(), false)?;
        loop {
            let interrupt = self.interrupt.clone();
            match query.next_batch_unless(&|| interrupt.has_come()) {
                Ok(Some(batch)) => printer.write(&batch, None)?,
                Ok(None) => {
                    tell_left_out(query.left_out());
                    return Ok(printer.finish()?);
                }
                // The rows before the failure are good.
                Err(error) => {
                    printer.finish()?;
                    return Err(error.into());
                }
            }
            if self.interrupt.has_come() {
                return Ok(printer.finish()?);
            }
        }
    }

    /// Whether continuous queries are watched: somebody sees the screen, and has not said how rows are to be printed.
    fn watches(&self) -> bool {
        self.format.is_none()
            && !self.bounded
            && Screen::stdout().is_terminal()
            && self.result_format().is_drawn()
    }

    /// Runs a continuous query whose result is drawn in place, or whose rows scroll, with what it is at below.
    fn watched(&mut self, query: Continuous) -> Result<(), Failure> {
        use super::prompt::{KeysDo, Left, WatchFailure, WatchOptions, watch};
        let options = WatchOptions {
            format: self.result_format(),
            changelog: false,
            colour: Screen::stdout().colour,
            suggestion: String::new(),
            out: None,
            keys: if io::stdin().is_terminal() { KeysDo::NoJob } else { KeysDo::Nothing },
        };
        query.control().shows();
        self.interrupt.ends(Some(query.control()));
        let (engine, session) = (self.engine.clone(), &self.session);
        let mut news = || {
            let told = session.take_upkeep_failures().into_iter().chain(session.take_news());
            told.map(|news| format!("note: {news}")).collect()
        };
        let watched = watch(query, options, &|| engine.clock().monotonic(), &mut news);
        self.interrupt.ends(None);
        let watched = watched.map_err(|failure| match failure {
            WatchFailure::Engine(error) => Failure::Engine(error),
            WatchFailure::Print(error) => Failure::Print(error),
        })?;
        if matches!(watched.left, Left::Interrupted) {
            self.interrupt.come.store(true, Ordering::Release);
        }
        let so_far = JobSummary { run: watched.totals, ..JobSummary::default() };
        self.queries.push(watched.ended.unwrap_or(so_far));
        Ok(self.session.check()?)
    }

    fn continuous(&mut self, query: Continuous) -> Result<(), Failure> {
        if self.watches() {
            return self.watched(query);
        }
        let printer = self.printer(query.schema(), query.changes())?;
        let printer = Arc::new(Mutex::new((printer, None::<PrintError>)));
        let control = query.control();
        self.interrupt.ends(Some(control.clone()));
        let shared = printer.clone();
        let result = query.run(move |delta| {
            let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let (printer, failed) = &mut *shared;
            if failed.is_none()
                && let Err(error) =
                    printer.write(&delta.batch, delta.weights.as_ref()).and_then(|()| printer.flush())
            {
                *failed = Some(error);
                control.stop();
            }
            Ok(())
        });
        self.interrupt.ends(None);
        let shared = Arc::into_inner(printer).map(|m| m.into_inner().unwrap_or_else(PoisonError::into_inner));
        if let Some((printer, failed)) = shared {
            match failed {
                Some(error) => return Err(error.into()),
                None => printer.finish()?,
            }
        }
        self.queries.push(result?);
        Ok(self.session.check()?)
    }

    fn finish(&mut self) -> Result<(), Stop> {
        let mut progress = Progress::new(io::stderr(), self.screen);
        let started = self.engine.clock().monotonic();
        let finished = self.session.wait(&mut || self.tick(&mut progress, started));
        self.session.stop();
        self.tell_news(&mut progress);
        let _ = progress.erase();
        let finished = finished.map_err(|e| self.failed(&e));
        // Each of them is told, whatever was first.
        let failures = self.failures();
        finished.and(failures)
    }

    /// The line that says what was done, if jobs or continuous queries ran.
    fn summarize(&self, name: &str, elapsed: Duration) {
        let jobs = self.session.jobs();
        let mut totals = Totals::default();
        let (mut resumed, mut before_in, mut before_out, mut ran) = (false, 0, 0, false);
        for job in jobs.iter().filter(|j| j.writes.is_some()) {
            let JobState::Ended(summary) = job.state else { continue };
            ran = true;
            // Rows that one job hands to another are neither in nor out.
            let from_outside = !jobs.iter().any(|j| j.writes.as_ref().is_some_and(|w| job.reads.contains(w)));
            let to_outside = !jobs.iter().any(|j| job.writes.as_ref().is_some_and(|w| j.reads.contains(w)));
            add(&mut totals, &summary, from_outside, to_outside);
            if summary.resumed_from.is_some() {
                resumed = true;
                let earlier = |total: u64, run: u64, counts: bool| if counts { total - run } else { 0 };
                before_in += earlier(summary.total.rows_in, summary.run.rows_in, from_outside);
                before_out += earlier(summary.total.rows_out, summary.run.rows_out, to_outside);
            }
        }
        for summary in &self.queries {
            // A query in the foreground may read what a job here writes.
            let from_outside = !jobs.iter().any(|j| j.writes.is_some());
            add(&mut totals, summary, from_outside, true);
        }
        if !ran && self.queries.is_empty() {
            return;
        }
        let mut line = summary(name, &totals, elapsed);
        if resumed {
            line.push_str(&format!(
                " (resumed: {} rows in and {} out before)",
                grouped(before_in),
                grouped(before_out)
            ));
        }
        tell(&line);
        tell_expired(&totals);
    }
}

fn add(totals: &mut Totals, summary: &JobSummary, from_outside: bool, to_outside: bool) {
    // What was read once for several statements is told once.
    let (run, shared) = (&summary.run, &summary.shared);
    if from_outside {
        totals.rows_in += run.rows_in - shared.rows_in;
    }
    if to_outside {
        totals.rows_out += run.rows_out;
    }
    totals.behind += run.behind - shared.behind;
    totals.late += run.late - shared.late;
    totals.after_idle += run.after_idle - shared.after_idle;
    totals.timeless += run.timeless - shared.timeless;
    totals.bad += run.bad - shared.bad;
    totals.expired += run.expired - shared.expired;
    totals.ignored += run.ignored - shared.ignored;
}

/// What can go wrong with one statement.
enum Failure {
    Engine(EngineError),
    Print(PrintError),
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Failure::Engine(error)
    }
}

impl From<PrintError> for Failure {
    fn from(error: PrintError) -> Self {
        Failure::Print(error)
    }
}
