//! The ways in which a case can be run, each in a data directory of its own.

use super::lines;
use millstream::config::Settings;
use millstream::engine::{
    Diagnostic, Engine, EngineError, Outcome, ParsedStatement, Session, Statement, parse_all, substitute,
};
use millstream::sql::Emit;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// The stream that keeps a query's result in the ways that need one.
const KEPT: &str = "kept_result";
/// How often a job is cut off before it is let run to its end.
const CUTS: usize = 3;

/// Workers, rows a step takes, and whether INSERT … VALUES is a job: then its end is the end of the stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Way {
    pub(super) workers: usize,
    pub(super) step_rows: usize,
    pub(super) values_end: bool,
}

/// How a query is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mode {
    Bounded,
    Changes,
    Final,
    /// CREATE … AS the query, EMIT CHANGES or FINAL, cut off and resumed; then what that holds.
    Kept(Emit, Keeper),
}

/// What keeps a query's result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Keeper {
    Stream,
    MaterializedView,
}

/// A statement's answer, or why there is none.
pub(super) type Answer = Result<Vec<String>, String>;

pub(super) fn parsed(text: &str) -> Result<(String, Vec<ParsedStatement>), String> {
    let source = substitute(text, &|_| None).map_err(|d| told(&d))?;
    let (statements, mistake) = parse_all(&source);
    match mistake {
        Some(mistake) => Err(told(&mistake)),
        None => Ok((source, statements)),
    }
}

/// A diagnostic in one line.
fn told(d: &Diagnostic) -> String {
    let help = d.help.iter().map(|h| format!(" (help: {h})"));
    format!("{}{}", d.message, help.collect::<String>())
}

fn reason(error: &EngineError) -> String {
    match error {
        EngineError::Sql(d) => told(d),
        // Which job it was is not the same in every way.
        EngineError::Job { source, .. } => format!("failed: {source}"),
        EngineError::Placed { source, .. } => reason(source),
        other => format!("failed: {other}"),
    }
}

/// A case that is being run.
pub(super) struct Run {
    session: Session,
    engine: Engine,
    source: String,
}

impl Run {
    pub(super) fn new(dir: &Path, source: &str, way: Way) -> Self {
        let engine = Engine::open_dir(dir).unwrap();
        // With small steps all state that can goes to disk after each.
        let memory_limit = (way.step_rows < 65_536).then_some(0);
        let (workers, step_rows) = (way.workers, way.step_rows);
        let settings = Settings { workers, step_rows, memory_limit, ..Settings::default() };
        let session = Session::new(&engine, settings, Some("case"), true);
        Run { session, engine, source: source.into() }
    }

    /// Waits until the jobs so far have read what there is.
    pub(super) fn settle(&self) -> Result<(), String> {
        let settled = self.session.settle(&mut || true).and_then(|()| self.session.check());
        settled.map_err(|e| reason(&e))
    }

    /// Runs a statement as it is written.
    pub(super) fn statement(&mut self, statement: &ParsedStatement) -> Answer {
        if self.session.needs_settled(&statement.statement) {
            self.settle()?;
        }
        let source = self.source.clone();
        match self.session.execute(&source, statement).map_err(|e| reason(&e))? {
            Outcome::Notice(_) | Outcome::Job(_) => Ok(Vec::new()),
            Outcome::Rows(rows) if matches!(statement.statement, Statement::Explain(_)) => {
                Ok(lines::of_plan(&rows.batch))
            }
            Outcome::Rows(rows) => Ok(lines::of_batch(&rows.batch)),
            Outcome::Bounded(mut query) => {
                let mut rows = Vec::new();
                while let Some(batch) = query.next_batch().map_err(|e| reason(&e))? {
                    rows.extend(lines::of_batch(&batch));
                }
                Ok(rows)
            }
            Outcome::Continuous(query) => {
                let sums = Arc::new(Mutex::new(BTreeMap::new()));
                let (shared, changes) = (sums.clone(), query.changes());
                let ran = query.run(move |delta| {
                    if !changes && delta.weights.is_some() {
                        return Err("a final result takes rows back".into());
                    }
                    lines::fold(&mut shared.lock().unwrap(), &delta.batch, delta.weights.as_ref())
                });
                ran.and_then(|_| self.session.check()).map_err(|e| reason(&e))?;
                Ok(lines::unfold(std::mem::take(&mut *sums.lock().unwrap())))
            }
        }
    }

    /// Runs a statement that is no query; with `values_end`, INSERT … VALUES is run as a job.
    pub(super) fn set_up(&mut self, statement: &ParsedStatement, way: Way) -> Answer {
        let mut statement = statement.clone();
        if let Statement::Insert(insert) = &mut statement.statement
            && way.values_end
        {
            insert.is_values = false;
            // One insert after the other, as it is written.
            self.settle()?;
        }
        self.statement(&statement)
    }

    /// Asks a query in a mode.
    pub(super) fn ask(&mut self, statement: &ParsedStatement, mode: Mode) -> Answer {
        let mut statement = statement.clone();
        let Statement::Query(query) = &mut statement.statement else {
            return self.statement(&statement);
        };
        let place = query.emit.as_ref().map_or(query.span.clone(), |(_, place)| place.clone());
        query.emit = match mode {
            Mode::Bounded => None,
            Mode::Changes => Some((Emit::Changes, place)),
            Mode::Final => Some((Emit::Final, place)),
            Mode::Kept(emit, by) => return self.keep(&kept(&self.source, &statement, emit, by)),
        };
        self.settle()?;
        self.statement(&statement)
    }

    fn keep(&mut self, text: &str) -> Answer {
        let (source, statements) = parsed(text)?;
        self.settle()?;
        self.source = source;
        for statement in &statements {
            self.statement(statement)?;
        }
        self.settle()?;
        let (source, statements) = parsed(&format!("SELECT * FROM {KEPT}"))?;
        self.source = source;
        self.statement(&statements[0])
    }
}

/// The statement that keeps a query's result.
fn kept(source: &str, statement: &ParsedStatement, emit: Emit, by: Keeper) -> String {
    let Statement::Query(query) = &statement.statement else { unreachable!("only queries are asked") };
    let end = query.emit.as_ref().map_or(query.span.end, |(_, place)| place.start);
    let word = if emit == Emit::Final { "FINAL" } else { "CHANGES" };
    let kind = if by == Keeper::Stream { "STREAM" } else { "MATERIALIZED VIEW" };
    format!("CREATE {kind} {KEPT} AS {} EMIT {word};", &source[query.span.start..end])
}

/// The case up to `query`, whose result is kept: cut off again and again wherever it happens to be, each time
/// resumed with other workers and steps, and at last run to its end.
pub(super) fn cut_and_resumed(
    text: &str,
    set_up: &[ParsedStatement],
    query: &ParsedStatement,
    (emit, by): (Emit, Keeper),
    scale: usize,
) -> Answer {
    let dir = tempfile::tempdir().unwrap();
    for cut in 0..=CUTS {
        let way = Way { workers: 1 + cut % 3, step_rows: (1 + cut) * scale, values_end: true };
        let mut run = Run::new(dir.path(), text, way);
        for statement in set_up {
            run.set_up(statement, way)?;
        }
        let (source, statements) = parsed(&kept(text, query, emit, by))?;
        if cut < CUTS {
            run.source = source;
            statements.iter().try_for_each(|s| run.statement(s).map(|_| ()))?;
            // Cut off as soon as something has been written.
            run.session.stop();
            run.session.check().map_err(|e| reason(&e))?;
            drop(run.session);
            drop(run.engine);
            continue;
        }
        return run.keep(&kept(text, query, emit, by));
    }
    unreachable!("the last round returns")
}
