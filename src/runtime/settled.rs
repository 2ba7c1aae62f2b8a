//! Which steps of a job can be made again as they were: those of its checkpoint, and the journaled ones behind it as far
//! as the topics that it reads still have the rows. After a crash of the machine the log asks for it before it believes what
//! the job has written (`crate::log::Jobs`); before it makes such rows durable, it has the journal made durable.

use super::checkpoint::JobStore;
use super::journal::{Entry, Journal};
use super::{Result, RuntimeError};
use crate::connectors::Position;
use crate::disk::{Disk, DiskError, Open};
use crate::log::{Feeder, Jobs, Log, LogError};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// The folder from which a job writes; `None` = it does not write as that producer any more.
type FolderOf = Box<dyn Fn(&Feeder) -> Option<PathBuf> + Send + Sync>;

/// The folders of jobs, as the log sees them.
pub struct JobFolders {
    disk: Disk,
    folder_of: FolderOf,
}

impl fmt::Debug for JobFolders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JobFolders")
    }
}

impl JobFolders {
    /// `folder_of`: the folder from which a job writes; `None` = it does not write as that producer any more.
    pub fn new(disk: Disk, folder_of: impl Fn(&Feeder) -> Option<PathBuf> + Send + Sync + 'static) -> Self {
        JobFolders { disk, folder_of: Box::new(folder_of) }
    }
}

impl Jobs for JobFolders {
    fn sync(&self, feeder: &Feeder) -> Result<(), DiskError> {
        let Some(dir) = (self.folder_of)(feeder) else { return Ok(()) };
        let names = match self.disk.list(&dir) {
            // The job was dropped.
            Err(e) if e.is_not_found() => return Ok(()),
            names => names?,
        };
        for name in names.iter().filter(|name| name.starts_with("journal-")) {
            match self.disk.open(&dir.join(name), Open::Write) {
                // A checkpoint took its place.
                Err(e) if e.is_not_found() => {}
                file => file?.sync_data()?,
            }
        }
        Ok(())
    }

    fn last_step(&self, log: &Log, feeder: &Feeder) -> Result<Option<u64>, LogError> {
        let Some(dir) = (self.folder_of)(feeder) else { return Ok(None) };
        let store = JobStore { disk: self.disk.clone(), dir, job: feeder.name.clone() };
        match last_step(&store, log) {
            Ok(last) => Ok(last),
            Err(RuntimeError::Disk(error)) => Err(error.into()),
            Err(RuntimeError::Log(error @ (LogError::Disk(_) | LogError::SyncFailed { .. }))) => Err(error),
            // What is damaged stays so.
            Err(_) => Ok(None),
        }
    }
}

/// The last step that the job can make again as it was; `None` = nobody knows.
fn last_step(store: &JobStore, log: &Log) -> Result<Option<u64>> {
    let mut before = None;
    let (manifest, found) = loop {
        let Some(manifest) = store.manifest()? else { return Ok(None) };
        match Journal::look(&store.disk, &store.dir, manifest.step) {
            // The job runs, and its next checkpoint has taken the journal's place meanwhile.
            Err(RuntimeError::Disk(e)) if e.is_not_found() && before != Some(manifest.step) => {
                before = Some(manifest.step);
            }
            found => break (manifest, found?),
        }
    };
    let Some((entries, topics)) = found else { return Ok(None) };
    let last = entries.last().map_or(manifest.step, |e| e.step);
    let mut kept = BTreeMap::new();
    for (partition, end) in ends(&entries) {
        if let Some(Some(topic)) = topics.get(partition.0) {
            kept.insert(partition, kept_until(log, topic, partition.1, end)?);
        }
    }
    let gone = |entry: &&Entry| {
        slices(entry).any(|(partition, end)| kept.get(&partition).is_some_and(|kept| end.offset > *kept))
    };
    Ok(Some(entries.iter().find(gone).map_or(last, |e| e.step - 1)))
}

/// What an entry read: of a source and its partition, up to where.
fn slices(entry: &Entry) -> impl Iterator<Item = ((usize, usize), Position)> {
    entry.sources.iter().enumerate().flat_map(|(s, partitions)| {
        partitions.iter().flat_map(move |p| p.slices.iter().map(move |slice| ((s, p.partition), slice.end)))
    })
}

/// Up to where all of them have read each partition.
fn ends(entries: &[Entry]) -> BTreeMap<(usize, usize), Position> {
    entries.iter().flat_map(slices).collect()
}

/// Up to which offset the rows that were read before `end` are there. Of a topic that was dropped none has been lost.
fn kept_until(log: &Log, topic: &str, partition: usize, end: Position) -> Result<u64> {
    let topic = match log.topic(topic) {
        Err(LogError::NoTopic { .. }) => return Ok(u64::MAX),
        topic => topic?,
    };
    let partition = partition as u32;
    Ok(match u32::try_from(end.line) {
        // Written by a version that did not keep the epoch.
        Ok(0) | Err(_) => end.offset.min(topic.end_offset(partition)?),
        Ok(epoch) => topic.kept_until(partition, end.offset, epoch)?,
    })
}
