//! Running what was typed: statements one by one, their results on the screen.

use super::keys::{Key, Keys};
use super::live::{self, Left, Options};
use super::{Next, Shell};
use crate::cli::print::{Format, PrintError, ResultPrinter, print_prose};
use crate::cli::progress::{grouped, summary};
use crate::cli::report;
use crate::cli::run::tell_expired;
use crate::cli::terminal::{self, Screen};
use crate::engine::{
    Bounded, Continuous, Diagnostic, EngineError, Outcome, ParsedStatement, Rows, Statement, parse_each,
    substitute,
};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

/// How long a query waits for jobs to have read what there is.
const SETTLE: Duration = Duration::from_millis(300);
/// How often keys are looked at while a bounded query runs.
const TICK: Duration = Duration::from_millis(20);
/// Batches that wait to be printed.
const QUEUE: usize = 8;

/// What can go wrong with a statement.
pub(super) enum Failure {
    Sql(Diagnostic),
    Engine(EngineError),
    Other(String),
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Sql(d) => Failure::Sql(d),
            error => Failure::Engine(error),
        }
    }
}

impl From<PrintError> for Failure {
    fn from(error: PrintError) -> Self {
        Failure::Other(error.to_string())
    }
}

impl From<live::Failure> for Failure {
    fn from(failure: live::Failure) -> Self {
        match failure {
            live::Failure::Engine(error) => error.into(),
            live::Failure::Print(error) => error.into(),
        }
    }
}

/// Writes a line to the screen. Where even that cannot be written there is nobody to tell.
pub(super) fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{}", text.trim_end());
}

impl Shell {
    /// Runs all statements of a text that came from `name`; whether all of them succeeded.
    pub(super) fn text(&mut self, name: &str, text: &str) -> bool {
        let source = match substitute(text, &|variable| self.variable(variable)) {
            Ok(source) => source,
            Err(mistake) => {
                self.mistake(&mistake, name, text);
                return false;
            }
        };
        let mut statements = parse_each(&source).into_iter();
        while let Some(statement) = statements.next() {
            let done = statement.map_err(Failure::Sql);
            match done.and_then(|statement| self.statement(name, &source, &statement)) {
                Ok(()) => continue,
                Err(Failure::Sql(mistake)) => self.mistake(&mistake, name, &source),
                Err(failure) => self.say_failure(&failure, name),
            };
            match statements.len() {
                0 => {}
                1 => say("the statement behind it was not run"),
                rest => say(&format!("the {rest} statements behind it were not run")),
            }
            return false;
        }
        true
    }

    /// Tells of a failure in a text that came from `name`.
    pub(super) fn say_failure(&self, failure: &Failure, name: &str) {
        let screen = self.screen();
        say(&match failure {
            Failure::Sql(mistake) => report::render(mistake, "", "", screen),
            Failure::Engine(error) => report::error(error, name, screen),
            Failure::Other(message) => report::failure(message, screen),
        });
    }

    fn mistake(&self, mistake: &Diagnostic, name: &str, source: &str) {
        say(&report::render(mistake, name, source, self.screen()));
    }

    pub(super) fn screen(&self) -> Screen {
        Screen { width: Some(terminal::size().0), colour: self.colour }
    }

    fn statement(&mut self, name: &str, source: &str, statement: &ParsedStatement) -> Result<(), Failure> {
        let text = source[statement.span.clone()].to_string();
        let started = self.now();
        let outcome = {
            let session = self.session.clone();
            let mut session = super::lock(&session);
            if session.needs_settled(&statement.statement) {
                let until = started + SETTLE;
                let clock = self.engine.clone();
                session.settle(&mut || clock.clock().monotonic() < until)?;
            }
            let outcome = session.execute(source, statement);
            let outcome = match outcome {
                Err(EngineError::Busy { job })
                    if super::background::running(&session).iter().any(|j| j.name == job) =>
                {
                    let message = format!("job {job} runs already: \\stop {job} ends it");
                    return Err(Failure::Other(message));
                }
                outcome => outcome?,
            };
            session.start_jobs()?;
            for warning in session.take_warnings() {
                say(&report::warning(&warning, name, source, self.screen()));
            }
            if let Some(replay) = &self.replay {
                replay.set_speed(session.settings.replay_speed);
            }
            outcome
        };
        if let Statement::Query(_) = &statement.statement {
            self.last_query = Some(text.clone());
        }
        match outcome {
            Outcome::Notice(notice) => {
                say(&notice);
                self.refresh_names(true);
                Ok(())
            }
            Outcome::Job(job) => {
                self.jobs_here().started(&job, &text);
                let number = self.jobs_here().number(&job);
                let jobs = super::lock(&self.session).jobs();
                let sink =
                    jobs.into_iter().rev().find(|j| j.name == job).and_then(|j| j.writes).unwrap_or_default();
                say(&format!(
                    "job {number} is {job}, in the background, and writes {sink}: \\jobs, \\why {number}"
                ));
                self.refresh_names(true);
                Ok(())
            }
            Outcome::Rows(rows) => self.rows(&rows),
            Outcome::Bounded(query) => self.bounded(query, started),
            Outcome::Continuous(query) => self.continuous(*query, &text, &statement.statement),
        }
    }

    /// How results are printed now.
    pub(super) fn format(&self) -> Format {
        let set = Format::of(super::lock(&self.session).settings.format, true);
        match self.expanded {
            true if set == Format::Table => Format::Line,
            _ => set,
        }
    }

    fn printer(&self, schema: SchemaRef) -> Result<ResultPrinter, Failure> {
        let format = self.format();
        if let Some((_, file)) = &self.out {
            let file = file.try_clone().map_err(PrintError::from)?;
            let format = if format == Format::Table { Format::Box } else { format };
            return Ok(ResultPrinter::new(format, schema, false, Box::new(file)));
        }
        if format.is_binary() {
            return Err(Failure::Other(
                "arrow and parquet are not for a terminal: \\o FILE writes results to a file".into(),
            ));
        }
        Ok(ResultPrinter::new(format, schema, false, Box::new(io::stdout())).on(self.screen()))
    }

    /// Prints a small result.
    pub(super) fn rows(&mut self, rows: &Rows) -> Result<(), Failure> {
        if let Some(sentences) = rows.sentences().filter(|_| self.format().is_drawn() && self.out.is_none()) {
            return Ok(print_prose(&sentences)?);
        }
        match self.format().is_drawn() {
            true => self.batch(&rows.drawn()),
            false => self.batch(&rows.batch),
        }
    }

    pub(super) fn batch(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        let mut printer = self.printer(batch.schema())?;
        printer.write(batch, None)?;
        Ok(printer.finish()?)
    }

    /// Runs a query that ends, on a thread of its own: a key stops it at any moment.
    fn bounded(&mut self, mut query: Bounded, started: Duration) -> Result<(), Failure> {
        let mut printer = self.printer(query.schema())?;
        let limited = self.out.is_none() && self.format().is_drawn() && self.max_rows > 0;
        let most = if limited { self.max_rows } else { u64::MAX };
        let stop = Arc::new(AtomicBool::new(false));
        let (send, batches) = sync_channel(QUEUE);
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name("query".into()).spawn(move || {
            loop {
                let next = query.next_batch_unless(&|| stopped.load(Ordering::Acquire));
                let (over, left_out) = (!matches!(next, Ok(Some(_))), query.left_out());
                // Nobody listens to a query that was left.
                if send.send((next, left_out)).is_err() || over {
                    return;
                }
            }
        });
        thread.map_err(PrintError::from)?;
        let mut keys = Keys::begin();
        let mut rows = 0;
        let failed = loop {
            let pressed = keys.wait(Duration::ZERO);
            if self.typed_while(&pressed) {
                stop.store(true, Ordering::Release);
                break None;
            }
            match batches.recv_timeout(TICK) {
                Ok((Ok(Some(batch)), _)) => {
                    let room = usize::try_from(most.saturating_sub(rows)).unwrap_or(usize::MAX);
                    rows += batch.num_rows() as u64;
                    if room > 0 {
                        printer.write(&batch.slice(0, room.min(batch.num_rows())), None)?;
                    }
                }
                Ok((Ok(None), left_out)) => {
                    crate::cli::run::tell_left_out(left_out);
                    break None;
                }
                // The rows before the failure are good.
                Ok((Err(error), _)) => break Some(error),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break None,
            }
        };
        drop(keys);
        let mut tail = String::new();
        if rows > most {
            tail.push_str(&format!(", the first {} shown (\\maxrows 0 shows all)", grouped(most)));
        }
        if self.timing {
            tail.push_str(&format!(", {:.3} s", self.now().saturating_sub(started).as_secs_f64()));
        }
        printer.tell(rows, &tail);
        printer.finish()?;
        if self.timing && !matches!(self.format(), Format::Table | Format::Box) {
            say(&format!("{} {}{tail}", grouped(rows), if rows == 1 { "row" } else { "rows" }));
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Keeps what is typed while a query runs that does not look at keys; whether it is to be stopped.
    fn typed_while(&mut self, keys: &[Key]) -> bool {
        for key in keys {
            match key {
                Key::Interrupt => {
                    self.ahead.clear();
                    return true;
                }
                Key::Char(c) => self.ahead.push(*c),
                Key::Enter => self.ahead.push('\n'),
                Key::Back => drop(self.ahead.pop()),
                Key::End | Key::Escape => {}
            }
        }
        false
    }

    fn continuous(&mut self, query: Continuous, text: &str, statement: &Statement) -> Result<(), Failure> {
        let append_only = query.listing().append_only;
        let options = Options {
            format: if self.out.is_some() && self.format() == Format::Table {
                Format::Box
            } else {
                self.format()
            },
            changelog: self.changelog,
            colour: self.colour,
            suggestion: self.free_relation(),
            out: self.out.as_ref().map(|(_, file)| file.try_clone()).transpose().map_err(PrintError::from)?,
            keys: live::KeysDo::All,
        };
        if options.format.is_binary() && options.out.is_none() {
            return Err(Failure::Other(
                "arrow and parquet are not for a terminal: \\o FILE writes results to a file".into(),
            ));
        }
        let engine = self.engine.clone();
        let session = self.session.clone();
        let (background, colour) = (self.background.clone(), self.colour);
        let started = self.now();
        let watched = live::watch(query, options, &|| engine.clock().monotonic(), &mut || {
            super::news(&super::lock(&session), &background, colour)
        })?;
        say(&summary("query", &watched.totals, self.now().saturating_sub(started)));
        tell_expired(&watched.totals);
        if let Left::AsJob(name) = watched.left {
            let sql = as_job(&name, text, statement, append_only);
            if !self.text("b", &sql) {
                say(&format!("(b runs {sql})"));
            }
        }
        Ok(())
    }

    /// A name that no stream, table or view has.
    fn free_relation(&self) -> String {
        let definitions = self.engine.definitions().unwrap_or_default();
        let taken =
            |name: &String| definitions.streams.contains_key(name) || definitions.views.contains_key(name);
        let free = (1..10_000).map(|n| format!("q{n}")).find(|name| !taken(name));
        free.unwrap_or_else(|| "q".into())
    }

    /// Runs a statement of ours, whose rows are printed.
    pub(super) fn ask(&mut self, sql: &str) -> Next {
        self.text("\\", sql);
        Next::GoOn
    }
}

/// The statement that goes on with a query as a job that keeps its result as `name`.
fn as_job(name: &str, text: &str, statement: &Statement, append_only: bool) -> String {
    let Statement::Query(query) = statement else { return text.into() };
    let emit = query.emit.as_ref();
    let is_final = emit.is_some_and(|(emit, _)| *emit == crate::engine::Emit::Final);
    // The words of EMIT stand at the end of the query.
    let length = emit.map_or(0, |(_, span)| query.span.end.saturating_sub(span.start));
    let bare = text.get(..text.len().saturating_sub(length)).unwrap_or(text).trim_end();
    match (is_final, append_only) {
        (true, _) => format!("CREATE STREAM {name} AS {bare}\nEMIT FINAL;"),
        (false, true) => format!("CREATE STREAM {name} AS {bare};"),
        (false, false) => format!("CREATE MATERIALIZED VIEW {name} AS {bare};"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::parse_all;

    #[test]
    fn a_query_becomes_the_job_that_keeps_its_result() {
        for (sql, append_only, expected) in [
            ("SELECT a FROM s EMIT CHANGES", true, "CREATE STREAM q AS SELECT a FROM s;"),
            (
                "SELECT a, count(*) FROM s GROUP BY a\nEMIT  CHANGES;",
                false,
                "CREATE MATERIALIZED VIEW q AS SELECT a, count(*) FROM s GROUP BY a;",
            ),
            ("SELECT a FROM s EMIT FINAL", true, "CREATE STREAM q AS SELECT a FROM s\nEMIT FINAL;"),
        ] {
            let statement = parse_all(sql).0.remove(0);
            let text = &sql[statement.span.clone()];
            assert_eq!(as_job("q", text, &statement.statement, append_only), expected);
        }
    }
}
