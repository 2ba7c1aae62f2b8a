//! Our engine's side: a whole job with journal and checkpoints, whose result goes into a blackhole that takes every change.

use super::child::{Ask, Kept, Ran};
use super::data::remove;
use super::queries::{Query, TABLES, Table};
use super::usage::{Stopwatch, peak_memory_mb};
use super::{BenchError, Emit, Input, Result};
use crate::config::Settings;
use crate::delta::Delta;
use crate::engine::{Engine, EngineError, JobState, OperatorStatus, Outcome, Session, parse_all};
use arrow::datatypes::SchemaRef;
use std::path::PathBuf;
use std::sync::mpsc::channel;

/// The stream that the job writes, and the job's name.
const SINK: &str = "bench_sink";

/// Runs a query as a job until it has read all that there is.
pub(super) fn run(ask: &Ask, query: &Query) -> Result<Ran> {
    let place = Place::of(ask, query)?;
    if ask.input == Input::Topic {
        // A run that was killed left it.
        let engine = Engine::open_dir(&place.dir)?;
        run_all(&engine, &format!("DROP STREAM IF EXISTS {SINK};"), ask.workers)?;
    }
    let sql = format!(
        "{}CREATE STREAM {SINK} WITH (connector = 'blackhole') AS\n{} {};",
        place.definitions,
        query.ours(),
        emit(ask.emit)
    );
    let watch = Stopwatch::start();
    let engine = Engine::open_dir(&place.dir)?;
    let session = run_all(&engine, &sql, ask.workers)?;
    let state =
        session.jobs().into_iter().find(|job| job.writes.as_deref() == Some(SINK)).map(|job| job.state);
    let (wall_s, cpu_s) = watch.seconds();
    let Some(JobState::Ended(summary)) = state else {
        return Err(BenchError::Run("the job did not come to its end".into()));
    };
    let ran = Ran {
        wall_s,
        cpu_s,
        peak_mb: peak_memory_mb(),
        rows_in: Some(summary.run.rows_in),
        rows_out: summary.run.rows_out,
        steps: Some(summary.steps),
        kept: kept(&engine),
    };
    drop(session);
    if ask.input == Input::Topic {
        run_all(&engine, &format!("DROP STREAM {SINK};"), ask.workers)?;
    }
    Ok(ran)
}

/// What the job said of itself last.
fn kept(engine: &Engine) -> Option<Kept> {
    let status = engine.describe_job(SINK).ok()?.status?;
    let sum = |of: fn(&OperatorStatus) -> u64| status.operators.iter().map(of).sum();
    Some(Kept {
        state_rows: sum(|o| o.state_rows),
        state_bytes: sum(|o| o.state_bytes),
        moved_rows: sum(|o| o.moved_rows),
        moved_bytes: sum(|o| o.moved_bytes),
    })
}

/// All changes of a query's result.
pub(super) fn changes(ask: &Ask, query: &Query) -> Result<(SchemaRef, Vec<Delta>)> {
    let place = Place::of(ask, query)?;
    let engine = Engine::open_dir(&place.dir)?;
    run_all(&engine, &place.definitions, ask.workers)?;
    let sql = format!("{} {};", query.ours(), emit(ask.emit));
    let mut session = Session::new(&engine, settings(ask.workers), None, true);
    let (statements, _) = parse_all(&sql);
    for statement in &statements {
        if let Outcome::Continuous(continuous) = session.execute(&sql, statement)? {
            let schema = continuous.schema();
            let (give, take) = channel();
            // Who takes them is there until the query has ended.
            continuous.run(move |delta| give.send(delta.clone()).map_err(|e| e.to_string()))?;
            return Ok((schema, take.into_iter().collect()));
        }
    }
    Err(BenchError::Run("the query gives no changes".into()))
}

/// Runs all statements of a text, and their jobs to the end of what there is.
pub(super) fn run_all(engine: &Engine, sql: &str, workers: usize) -> Result<Session> {
    let mut session = Session::new(engine, settings(workers), None, true);
    let (statements, wrong) = parse_all(sql);
    if let Some(wrong) = wrong {
        return Err(EngineError::from(wrong).into());
    }
    for statement in &statements {
        session.execute(sql, statement)?;
    }
    let waited = session.wait(&mut || true);
    session.stop();
    waited?;
    session.check()?;
    Ok(session)
}

fn settings(workers: usize) -> Settings {
    Settings { workers, ..Settings::default() }
}

fn emit(emit: Emit) -> &'static str {
    match emit {
        Emit::Changes => "EMIT CHANGES",
        Emit::Final => "EMIT FINAL",
    }
}

/// The data directory in which a job runs, which is removed behind it if it is for this run alone.
struct Place {
    dir: PathBuf,
    /// What has to be defined in it first.
    definitions: String,
    is_own: bool,
}

impl Place {
    fn of(ask: &Ask, query: &Query) -> Result<Self> {
        if ask.input == Input::Topic {
            return Ok(Place { dir: ask.data.topics(), definitions: String::new(), is_own: false });
        }
        let dir = ask.data.scratch(std::process::id());
        remove(&dir)?;
        let read = TABLES.iter().filter(|t| query.tables.contains(&t.name));
        let definition = |t: &Table| t.as_files(&ask.data.folder(t.name).to_string_lossy());
        Ok(Place { dir, definitions: read.map(definition).collect(), is_own: true })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_own {
            // What is left, whoever asked for the run removes.
            let _ = remove(&self.dir);
        }
    }
}
