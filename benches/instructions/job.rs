//! A small q5 as a whole job: topics are read, steps journaled, checkpoints written, all by the engine's own threads.

use crate::data::Result;
use crate::kernels::Work;
use millstream::bench::Unobserved;
use millstream::bench::data::{Data, Needs};
use millstream::bench::queries::query;
use millstream::config::Settings;
use millstream::engine::{Engine, JobState, Session, parse_all};
use std::path::Path;

/// How many events it reads.
const EVENTS: u64 = 200_000;

/// Makes the events, if they are not below `dir` yet. In a folder where it has run before, the job would go on where it ended.
pub(crate) fn make_events(dir: &Path) -> Result<Data> {
    Ok(Data::prepare(dir, EVENTS, Needs { files: false, topics: true }, &Unobserved)?)
}

/// The job over events that are there.
pub(crate) fn prepare(dir: &Path) -> Result<Work> {
    let data = make_events(dir)?;
    let query = query("q5").ok_or("there is no q5")?;
    let rows = data.rows(query.tables);
    let sql =
        format!("CREATE STREAM counted WITH (connector = 'blackhole') AS\n{} EMIT CHANGES;", query.ours());
    Ok(Box::new(move || {
        let engine = Engine::open_dir(&data.topics())?;
        let settings = Settings { workers: 1, ..Settings::default() };
        let mut session = Session::new(&engine, settings, None, true);
        let (statements, wrong) = parse_all(&sql);
        if let Some(wrong) = wrong {
            return Err(wrong.to_string().into());
        }
        for statement in &statements {
            session.execute(&sql, statement)?;
        }
        session.wait(&mut || true)?;
        session.stop();
        session.check()?;
        let read = session.jobs().into_iter().find_map(|job| match job.state {
            JobState::Ended(summary) => Some(summary.run.rows_in),
            _ => None,
        });
        match read {
            Some(read) if read == rows => Ok(usize::try_from(rows)?),
            read => Err(format!("{read:?} of {rows} rows were read").into()),
        }
    }))
}
