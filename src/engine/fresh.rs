//! Beginning a job anew under its old name: new state from the start of its input, the same sink.
//!
//! What counts is the job's file: once it names another producer and says that what lies beside it is stale, the job has
//! been begun afresh, whatever a crash leaves undone. A table's rows of before are then not written again: see
//! [`crate::runtime::rebuild`]. A stream can only be added to, so that a job that has written into one is refused.

use super::asked::Asked;
use super::jobs::{JOB_FILE, JobHome, producer_of};
use super::{Engine, Result};
use crate::catalog::StreamDef;
use crate::disk::DiskError;
use crate::plan::Dataflow;
use crate::runtime::rebuild;
use crate::sql::Code;
use crate::sql::{Diagnostic, StartAt};

/// What stays in a job's folder: who holds it and what others want of it.
const STAYS: [&str; 4] = [JOB_FILE, "lock", "wanted.json", "wanted.lock"];

impl JobHome {
    /// Begins the job afresh, to compute `asked`. `is_table`: what it writes keeps rows by a key.
    pub(super) fn begin_afresh(&mut self, asked: &Asked, is_table: bool) -> Result<()> {
        let producer = uuid::Uuid::new_v4().as_u128();
        let before = std::mem::replace(&mut self.file.producer, format!("{producer:032x}"));
        self.file.earlier.push(before);
        self.producer = producer;
        self.file.group = None;
        self.file.rebuild = is_table;
        self.file.stale = true;
        self.file.asked = Some(asked.clone());
        self.write()?;
        self.clear_stale()
    }

    /// Forgets what the job has done, whatever it is to compute next.
    pub(super) fn reset(&mut self) -> Result<()> {
        let producer = self.store.disk.random_id().as_u128();
        // A topic drops the steps that it has of a producer: who begins anew must be another one.
        let before = std::mem::replace(&mut self.file.producer, format!("{producer:032x}"));
        self.file.earlier.push(before);
        self.producer = producer;
        self.file.group = None;
        self.file.rebuild = false;
        self.file.asked = None;
        self.file.stale = true;
        self.write()?;
        self.clear_stale()
    }

    /// Removes what the folder keeps of what the job computed before, if there is such.
    pub(super) fn clear_stale(&mut self) -> Result<()> {
        if !self.file.stale {
            return Ok(());
        }
        let disk = &self.store.disk;
        for name in disk.list(&self.store.dir)?.iter().filter(|n| !STAYS.contains(&n.as_str())) {
            let path = self.store.dir.join(name);
            match disk.remove_file(&path) {
                Err(DiskError { source, .. }) if source.kind() == std::io::ErrorKind::IsADirectory => {
                    disk.remove_dir_all(&path)?;
                }
                removed => removed?,
            }
        }
        self.file.stale = false;
        self.write()
    }

    /// Whether its result is still to be brought into a table that has rows of before. Once that is done, it is noted.
    pub(super) fn is_rebuilding(&mut self) -> Result<bool> {
        if !self.file.rebuild {
            return Ok(false);
        }
        let written = rebuild::written(&self.store)?;
        let step = self.store.manifest()?.map_or(0, |m| m.step);
        if written.is_none_or(|written| written > step) {
            return Ok(true);
        }
        self.file.rebuild = false;
        self.write()?;
        rebuild::forget(&self.store)?;
        Ok(false)
    }

    /// The producers under which it has written.
    pub(super) fn producers(&self) -> Result<Vec<u128>> {
        let all = self.file.earlier.iter().map(|digits| producer_of(&self.store, digits));
        all.chain([Ok(self.producer)]).collect()
    }
}

/// Fails if a job that writes `sink` cannot be begun afresh.
pub(super) fn check(
    engine: &Engine,
    home: &JobHome,
    sink: &StreamDef,
    flow: &Dataflow,
) -> Result<(), Diagnostic> {
    let failed = |e: super::EngineError| Diagnostic::new(e.to_string());
    if sink.connector != "topic" {
        return Ok(());
    }
    let job = &home.store.job;
    if !sink.is_table() {
        if !has_written(engine, home, sink).map_err(failed)? {
            return Ok(());
        }
        let d = Diagnostic::coded(
            Code::QueryChanged,
            format!(
                "job {job} cannot be begun afresh: \"{}\" is a stream, to which rows can only be added, so that its whole \
             result would be there twice",
                sink.name
            ),
        );
        let drop = match sink.query {
            Some(_) => format!(", or DROP STREAM {} first", sink.name),
            None => String::new(),
        };
        return Err(d.help(format!(
            "run with --as NEW_NAME: the new result goes into a stream of that name, beside the old one{drop}"
        )));
    }
    for source in flow.sources.iter().filter(|s| s.start == StartAt::Earliest) {
        let stream = &source.stream;
        if stream.connector != "topic" || stream.is_table() {
            continue;
        }
        let topic = engine.0.log.topic(&stream.name).map_err(|e| failed(e.into()))?;
        for p in 0..topic.partitions() {
            let start = topic.start_offset(p).map_err(|e| failed(e.into()))?;
            if start > 0 {
                let d = Diagnostic::coded(
                    Code::QueryChanged,
                    format!(
                        "job {job} cannot be begun afresh: of \"{}\" the rows before offset {start} of partition {p} have gone \
                     (its retention), and what came of them would be taken out of \"{}\"",
                        stream.name, sink.name
                    ),
                );
                return Err(d.help(
                    "run with --as NEW_NAME: the new result goes into a table of that name, and the old one stays",
                ));
            }
        }
    }
    Ok(())
}

/// Whether a job has ever appended anything to its sink.
fn has_written(engine: &Engine, home: &JobHome, sink: &StreamDef) -> Result<bool> {
    let topic = engine.0.log.topic(&sink.name)?;
    let producers = home.producers()?;
    for p in 0..topic.partitions() {
        let writer = topic.writer(p)?;
        for producer in &producers {
            if writer.last_step(*producer)?.is_some() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
