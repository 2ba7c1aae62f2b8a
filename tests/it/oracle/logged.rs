//! The same through the front door: streams in the log, a session, SELECT with and without EMIT.

use super::data::{Partitions, STREAMS, Shape};
use super::draw::Draw;
use super::query::Query;
use super::rows::Answer;
use millstream::clock::Clock;
use millstream::config::Settings;
use millstream::disk::Disk;
use millstream::engine::{Engine, Outcome, Session, parse_all};
use millstream::log::{Append, Log};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// An engine on a directory of its own.
pub(super) struct Logged {
    dir: tempfile::TempDir,
    engine: Engine,
}

impl Logged {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open_dir(dir.path()).unwrap();
        Logged { dir, engine }
    }

    /// The bounded answer, the sum of what EMIT CHANGES gives until all is read, and what a materialized view holds then,
    /// if the query's rows have a key; each with the way's name.
    pub(super) fn answers(
        &self,
        d: &mut Draw,
        shape: &Shape,
        data: &[Partitions; 2],
        query: &Query,
    ) -> Result<Vec<(&'static str, Answer)>, String> {
        let workers = 1 + d.below(4);
        let step_rows = d.one(&[5, 50, 65_536]);
        let settings = Settings { idle_timeout: None, workers, step_rows, ..Settings::default() };
        let mut session = Session::new(&self.engine, settings, None, true);
        for (stream, partitions) in data.iter().enumerate() {
            run(&mut session, &shape.create(stream, partitions.len()))?;
            fill(self.dir.path(), d, STREAMS[stream], partitions);
        }
        if let Some(view) = &query.view {
            run(&mut session, &format!("CREATE VIEW v AS {view}"))?;
        }
        let mut answers = Vec::new();
        let all = bounded(&mut session, &query.ours)
            .map(|rows| answers.push(("SELECT without EMIT", rows)))
            .and_then(|()| changes(&mut session, &query.ours))
            .map(|rows| answers.push(("EMIT CHANGES over the log", rows)))
            .and_then(|()| kept(&mut session, &query.ours))
            .map(|rows| answers.extend(rows.map(|rows| ("a materialized view", rows))));
        if query.view.is_some() {
            run(&mut session, "DROP VIEW v")?;
        }
        for (i, stream) in STREAMS.iter().enumerate() {
            run(&mut session, &format!("DROP {} {stream}", shape.kind(i)))?;
        }
        all.map(|()| answers)
    }
}

fn run(session: &mut Session, sql: &str) -> Result<Outcome, String> {
    let (statements, mistake) = parse_all(sql);
    if let Some(mistake) = mistake {
        return Err(format!("{sql}: {mistake:?}"));
    }
    let [statement] = statements.as_slice() else { return Err(format!("{sql}: not one statement")) };
    session.execute(sql, statement).map_err(|e| e.to_string())
}

/// Appends the rows in frames of random sizes.
fn fill(dir: &Path, d: &mut Draw, stream: &str, partitions: &Partitions) {
    let log = Log::open(dir, Disk::real(), Clock::system()).unwrap();
    let topic = log.topic(stream).unwrap();
    let most = d.one(&[3, 30, 3000]);
    for (p, rows) in partitions.iter().enumerate() {
        let mut writer = topic.writer(p as u32).unwrap();
        let mut at = 0;
        while at < rows.num_rows() {
            let cut = (1 + d.below(most)).min(rows.num_rows() - at);
            writer.append(Append::rows(&rows.slice(at, cut))).unwrap();
            at += cut;
        }
    }
}

fn bounded(session: &mut Session, sql: &str) -> Result<Answer, String> {
    let Outcome::Bounded(mut answer) = run(session, sql)? else { return Err("not a bounded query".into()) };
    let schema = answer.schema();
    let mut batches = Vec::new();
    while let Some(batch) = answer.next_batch().map_err(|e| e.to_string())? {
        batches.push(batch);
    }
    Ok(Answer::of(&schema, &batches))
}

fn changes(session: &mut Session, sql: &str) -> Result<Answer, String> {
    let Outcome::Continuous(query) = run(session, &format!("{sql} EMIT CHANGES"))? else {
        return Err("not a continuous query".into());
    };
    let schema = query.schema();
    let deltas = Arc::new(Mutex::new(Vec::new()));
    let taken = deltas.clone();
    let take = move |delta: &millstream::delta::Delta| {
        taken.lock().unwrap().push(delta.clone());
        Ok(())
    };
    query.run(take).map_err(|e| e.to_string())?;
    Answer::fold(&schema, deltas.lock().unwrap().iter())
}

/// What a materialized view of the query holds when all is read; nothing where the query's rows have no key, or a column
/// cannot be kept.
fn kept(session: &mut Session, sql: &str) -> Result<Option<Answer>, String> {
    const REFUSED: [&str; 3] =
        ["nothing tells the rows", "the query gives two columns", "which cannot be in a key"];
    if let Err(reason) = run(session, &format!("CREATE MATERIALIZED VIEW kept AS {sql}")) {
        let refused = REFUSED.iter().any(|r| reason.contains(r));
        return if refused { Ok(None) } else { Err(format!("not kept: {reason}")) };
    }
    let settled = session.settle(&mut || true).and_then(|()| session.check()).map_err(|e| e.to_string());
    let answer = settled.and_then(|()| bounded(session, "SELECT * FROM kept"));
    run(session, "DROP MATERIALIZED VIEW kept")?;
    answer.map(Some)
}
