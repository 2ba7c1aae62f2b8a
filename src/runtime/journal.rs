//! The journal: what each step read, written before the step's output is, so that the step can be run again.
//!
//! A file per checkpoint, `journal-<step of the checkpoint>`, of lines, one [`Entry`] each, in step order: the CRC32C of the
//! entry's JSON in hexadecimal, a blank, the JSON. (An older layout had the JSON alone.) The first line of a file also names
//! the topics that the sources are.
//!
//! What stands behind the first line that is not sound is dropped: when the power goes, what was not yet made durable may be
//! there in pieces. No sink must have a step from there on; who goes on from a journal makes sure of that.

use super::tables::checksum;
use super::{Result, RuntimeError};
use crate::connectors::Position;
use crate::delta::EventTime;
use crate::disk::{Disk, DiskFile, Open};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// When a step runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// The clock when it began, ns since the epoch.
    pub now: i64,
    /// Rows that came before this time (ns) leave state that nothing else bounds; `None` = none do. It is kept, as
    /// `state_ttl` may be another one when the step is run again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_since: Option<i64>,
}

/// What one step read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The step.
    pub step: u64,
    /// When it ran.
    #[serde(flatten)]
    pub moment: Moment,
    /// For each source the partitions that gave something or changed.
    pub sources: Vec<Vec<PartitionEntry>>,
}

/// What a step read of one partition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartitionEntry {
    /// Which partition.
    pub partition: usize,
    /// The slices, in order.
    pub slices: Vec<SliceEntry>,
    /// The partition had ended after them.
    pub ended: bool,
    /// It was idle.
    pub idle: bool,
}

/// One slice.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SliceEntry {
    /// How much was asked for.
    pub asked: usize,
    /// How many rows came.
    pub rows: usize,
    /// Where the partition stood after them.
    pub end: Position,
    /// The running watermark after them.
    pub running: EventTime,
}

/// For each source the topic that it is, if it is one.
pub(super) type Topics = Vec<Option<String>>;

/// The first line of a file.
#[derive(Serialize)]
struct First<'a> {
    #[serde(flatten)]
    entry: &'a Entry,
    topics: &'a Topics,
}

/// What it says beside its entry.
#[derive(Deserialize)]
struct Named {
    topics: Option<Topics>,
}

/// An open journal.
pub struct Journal {
    file: Arc<DiskFile>,
    length: u64,
    topics: Topics,
}

/// The file of a journal.
pub(super) struct JournalSyncer(Arc<DiskFile>);

impl JournalSyncer {
    /// See [`Journal::sync`].
    pub(super) fn sync(&self) -> Result<()> {
        self.0.sync_data().map_err(RuntimeError::JournalSync)
    }
}

/// What is sound of a file.
struct Sound {
    entries: Vec<Entry>,
    bytes: usize,
    topics: Option<Topics>,
}

impl Sound {
    fn of(bytes: &[u8]) -> Self {
        let mut sound = Sound { entries: Vec::new(), bytes: 0, topics: None };
        for line in bytes.split_inclusive(|b| *b == b'\n') {
            let Some((entry, json)) = line.strip_suffix(b"\n").and_then(read) else { break };
            if sound.bytes == 0 {
                sound.topics = serde_json::from_slice::<Named>(json).ok().and_then(|named| named.topics);
            }
            sound.entries.push(entry);
            sound.bytes += line.len();
        }
        sound
    }
}

impl Journal {
    /// The journal that follows the checkpoint of `step`, and the entries that it holds. Where later checkpoints were begun
    /// but not finished, the journals that were to follow them go on where it ends; then it is the last of them.
    pub fn open(disk: &Disk, dir: &Path, job: &str, step: u64) -> Result<(Self, Vec<Entry>)> {
        let mut names = Journal::names(disk, dir, step)?;
        if names.is_empty() {
            names.push(name(step));
        }
        let mut entries: Vec<Entry> = Vec::new();
        let mut last = None;
        for name in names {
            let path = dir.join(name);
            let (journal, more) = Journal::open_file(disk, &path)?;
            for entry in more {
                let before = entries.last().map_or(step, |e| e.step);
                if entry.step != before + 1 {
                    return Err(RuntimeError::State {
                        job: job.into(),
                        path: path.display().to_string(),
                        reason: format!("is damaged: step {} follows step {before}", entry.step),
                    });
                }
                entries.push(entry);
            }
            last = Some(journal);
        }
        // There was one name at least.
        Ok((last.ok_or(RuntimeError::WorkerLost)?, entries))
    }

    fn open_file(disk: &Disk, path: &Path) -> Result<(Self, Vec<Entry>)> {
        let bytes = if disk.exists(path)? { disk.read(path)? } else { Vec::new() };
        let Sound { entries, bytes: whole, .. } = Sound::of(&bytes);
        // Whoever wrote it may have died before it was on disk, or been told that a sync failed: then nobody can tell
        // what the system still means to write.
        disk.write_atomically(path, &bytes[..whole])?;
        let file = Arc::new(disk.open(path, Open::Create)?);
        Ok((Journal { file, length: whole as u64, topics: Vec::new() }, entries))
    }

    /// Has it say which topics the sources are.
    pub(super) fn of_topics(self, topics: Topics) -> Self {
        Journal { topics, ..self }
    }

    /// The entries that follow the checkpoint of `step`, and the topics that the sources are, without touching anything;
    /// `None` = that is not known.
    pub(super) fn look(disk: &Disk, dir: &Path, step: u64) -> Result<Option<(Vec<Entry>, Topics)>> {
        let mut all: Vec<Entry> = Vec::new();
        let mut topics = Vec::new();
        for name in Journal::names(disk, dir, step)? {
            let sound = Sound::of(&disk.read(&dir.join(name))?);
            for entry in sound.entries {
                if entry.step != all.last().map_or(step, |e| e.step) + 1 {
                    return Ok(None);
                }
                all.push(entry);
            }
            if sound.bytes > 0 {
                let Some(named) = sound.topics else { return Ok(None) };
                topics = named;
            }
        }
        Ok(Some((all, topics)))
    }

    /// An empty journal for what follows the checkpoint of `step`. What came before is made durable first: this one goes on
    /// where it ends.
    pub(super) fn next(&self, disk: &Disk, dir: &Path, step: u64) -> Result<Self> {
        self.sync()?;
        let file = disk.open(&dir.join(name(step)), Open::Create)?;
        // Left by a run that was cut short before it wrote into it.
        file.truncate(0)?;
        // Of steps behind this one, that could not be made again and are made anew. Were they to stay, this one would lead to
        // them, and the next checkpoint would come to begin the journal that is being written.
        for later in Journal::names(disk, dir, step + 1)? {
            disk.remove_file(&dir.join(later))?;
        }
        // Or what is made durable in it would be lost with its name.
        disk.sync_dir(dir)?;
        Ok(Journal { file: Arc::new(file), length: 0, topics: self.topics.clone() })
    }

    /// Makes its entries durable. If that fails it must not be tried again: the system may then take for written what is not.
    pub(super) fn sync(&self) -> Result<()> {
        self.syncer().sync()
    }

    /// Makes its entries durable on whatever thread, while others are added.
    pub(super) fn syncer(&self) -> JournalSyncer {
        JournalSyncer(Arc::clone(&self.file))
    }

    /// The names of the journals that follow the checkpoint of `step` and later ones, in their order.
    pub(super) fn names(disk: &Disk, dir: &Path, step: u64) -> Result<Vec<String>> {
        let of = |name: &String| name.strip_prefix("journal-").and_then(|s| s.parse::<u64>().ok());
        let mut found: Vec<u64> = disk.list(dir)?.iter().filter_map(of).filter(|of| *of >= step).collect();
        found.sort_unstable();
        Ok(found.into_iter().map(name).collect())
    }

    /// Adds the entry of the next step.
    pub fn append(&mut self, entry: &Entry) -> Result<()> {
        let first = self.length == 0 && !self.topics.is_empty();
        let json = match first {
            true => serde_json::to_vec(&First { entry, topics: &self.topics }),
            false => serde_json::to_vec(entry),
        };
        let json = json.map_err(|e| RuntimeError::Output(e.to_string()))?;
        let mut line = format!("{} ", checksum(&json)).into_bytes();
        line.extend(json);
        line.push(b'\n');
        self.file.write_all_at(&line, self.length)?;
        self.length += line.len() as u64;
        Ok(())
    }

    /// Removes the journals of checkpoints before `step`.
    pub fn remove_older(disk: &Disk, dir: &Path, step: u64) -> Result<()> {
        for name in disk.list(dir)? {
            let of = name.strip_prefix("journal-").and_then(|s| s.parse::<u64>().ok());
            if of.is_some_and(|of| of < step) {
                disk.remove_file(&dir.join(name))?;
            }
        }
        Ok(())
    }
}

/// The entry in a line, if there is a sound one, and its text.
fn read(line: &[u8]) -> Option<(Entry, &[u8])> {
    let json = match line.split_at_checked(9) {
        Some((crc, json)) if crc[8] == b' ' => {
            if crc[..8] != *checksum(json).as_bytes() {
                return None;
            }
            json
        }
        _ => line,
    };
    Some((serde_json::from_slice(json).ok()?, json))
}

/// The name of the file that follows the checkpoint of `step`.
fn name(step: u64) -> String {
    format!("journal-{step}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_truncation_gives_back_the_whole_entries_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::real();
        let entry = |step| Entry {
            step,
            moment: Moment { now: 7, keep_since: (step > 1).then_some(5) },
            sources: vec![vec![PartitionEntry {
                partition: 0,
                slices: vec![SliceEntry {
                    asked: 8,
                    rows: 3,
                    end: Position { offset: 9, line: 1 },
                    running: i64::MIN,
                }],
                ended: false,
                idle: true,
            }]],
        };
        let (mut journal, none) = Journal::open(&disk, dir.path(), "j", 0).unwrap();
        assert!(none.is_empty());
        let mut ends = vec![0];
        for step in 1..=3 {
            journal.append(&entry(step)).unwrap();
            ends.push(journal.length);
        }
        let bytes = disk.read(&dir.path().join(name(0))).unwrap();
        for cut in 0..=bytes.len() {
            std::fs::write(dir.path().join(name(0)), &bytes[..cut]).unwrap();
            let (mut journal, entries) = Journal::open(&disk, dir.path(), "j", 0).unwrap();
            let whole = ends.iter().filter(|e| **e <= cut as u64).count() - 1;
            assert_eq!(entries, (1..=whole as u64).map(entry).collect::<Vec<_>>());
            journal.append(&entry(whole as u64 + 1)).unwrap();
            let (_, entries) = Journal::open(&disk, dir.path(), "j", 0).unwrap();
            assert_eq!(entries.len(), whole + 1, "an entry written behind a cut one is whole");
        }
    }

    #[test]
    fn no_bit_of_an_entry_flips_unseen() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::real();
        let entry =
            |step| Entry { step, moment: Moment { now: 71, keep_since: None }, sources: vec![vec![]] };
        let (mut journal, _) = Journal::open(&disk, dir.path(), "j", 0).unwrap();
        (1..=3).for_each(|step| journal.append(&entry(step)).unwrap());
        let path = dir.path().join(name(0));
        let bytes = std::fs::read(&path).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &flipped).unwrap();
            let line = bytes[..bit / 8].iter().filter(|b| **b == b'\n').count() as u64;
            let (_, entries) = Journal::open(&disk, dir.path(), "j", 0).unwrap();
            assert_eq!(entries, (1..=line).map(entry).collect::<Vec<_>>(), "bit {bit}");
        }
        // The layout before had no checksums.
        let old: String = (1..=2).map(|step| serde_json::to_string(&entry(step)).unwrap() + "\n").collect();
        std::fs::write(&path, old).unwrap();
        assert_eq!(Journal::open(&disk, dir.path(), "j", 0).unwrap().1, [entry(1), entry(2)]);
    }

    #[test]
    fn journals_of_checkpoints_that_were_not_finished_go_on_where_the_one_before_ends() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::real();
        let entry = |step| Entry { step, moment: Moment { now: 7, keep_since: None }, sources: vec![] };
        let open = |step| Journal::open(&disk, dir.path(), "j", step);
        let (mut journal, _) = open(5).unwrap();
        journal.append(&entry(6)).unwrap();
        let mut journal = journal.next(&disk, dir.path(), 6).unwrap();
        let _never_written = journal.next(&disk, dir.path(), 9).unwrap();
        journal.append(&entry(7)).unwrap();
        let steps = |step| open(step).unwrap().1.iter().map(|e| e.step).collect::<Vec<_>>();
        assert_eq!((steps(5), steps(6)), (vec![6, 7], vec![7]));
        // Steps that are made anew leave no journal of later ones behind.
        let anew = Journal::open(&disk, dir.path(), "j", 6).unwrap().0.next(&disk, dir.path(), 6).unwrap();
        assert_eq!(Journal::names(&disk, dir.path(), 0).unwrap(), ["journal-5", "journal-6"]);
        drop(anew);
        let (mut journal, _) = open(6).unwrap();
        journal.append(&entry(7)).unwrap();
        let _never_written = journal.next(&disk, dir.path(), 9).unwrap();
        let (mut last, _) = open(5).unwrap();
        last.append(&entry(9)).unwrap();
        let error = open(5).err().unwrap().to_string();
        assert!(error.contains("step 9 follows step 7"), "{error}");
        Journal::remove_older(&disk, dir.path(), 9).unwrap();
        assert_eq!(Journal::names(&disk, dir.path(), 0).unwrap(), ["journal-9"]);
    }
}
