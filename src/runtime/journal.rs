//! The journal: what each step read, written before the step's output is, so that the step can be run again.
//!
//! A file per checkpoint, `journal-<step of the checkpoint>`, of JSON lines: `{"version":1}`, then one [`Entry`] each, in
//! step order. (The first ones lack the line with the version.)
//! A last line that is cut off belongs to a step whose output never went out; it is dropped.

use super::{Result, RuntimeError};
use crate::connectors::Position;
use crate::delta::EventTime;
use crate::disk::{Disk, DiskFile, Open};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Version of the file's layout.
const VERSION: u32 = 1;

/// The first line.
#[derive(Serialize, Deserialize)]
struct Head {
    version: u32,
}

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

/// An open journal.
pub struct Journal {
    file: DiskFile,
    length: u64,
}

impl Journal {
    /// The journal that follows the checkpoint of `step`, and the entries that it holds.
    pub fn open(disk: &Disk, dir: &Path, job: &str, step: u64) -> Result<(Self, Vec<Entry>)> {
        let path = path(dir, step);
        let bytes = if disk.exists(&path)? { disk.read(&path)? } else { Vec::new() };
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
        let mut entries = Vec::new();
        for (i, line) in bytes[..whole].split(|b| *b == b'\n').filter(|l| !l.is_empty()).enumerate() {
            if let Some(head) = serde_json::from_slice::<Head>(line).ok().filter(|_| i == 0) {
                if head.version > VERSION {
                    let known = format!("layout {}, this one knows {VERSION}", head.version);
                    return Err(RuntimeError::State {
                        job: job.into(),
                        path: path.display().to_string(),
                        reason: format!("was written by a newer millstream ({known})"),
                    });
                }
                continue;
            }
            let entry: Entry = serde_json::from_slice(line).map_err(|e| RuntimeError::State {
                job: job.into(),
                path: path.display().to_string(),
                reason: format!("is damaged after step {}: {e}", step + entries.len() as u64),
            })?;
            entries.push(entry);
        }
        let file = disk.open(&path, Open::Create)?;
        if whole < bytes.len() {
            file.truncate(whole as u64)?;
        }
        Ok((Journal { file, length: whole as u64 }, entries))
    }

    /// The name of the file that follows the checkpoint of `step`.
    pub(super) fn name(step: u64) -> String {
        format!("journal-{step}")
    }

    /// Adds the entry of the next step.
    pub fn append(&mut self, entry: &Entry) -> Result<()> {
        let failed = |e: serde_json::Error| RuntimeError::Output(e.to_string());
        let mut line = Vec::new();
        if self.length == 0 {
            line = serde_json::to_vec(&Head { version: VERSION }).map_err(failed)?;
            line.push(b'\n');
        }
        line.extend(serde_json::to_vec(entry).map_err(failed)?);
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

fn path(dir: &Path, step: u64) -> PathBuf {
    dir.join(Journal::name(step))
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
        let mut ends = Vec::new();
        for step in 1..=3 {
            journal.append(&entry(step)).unwrap();
            ends.push(journal.length);
        }
        let bytes = disk.read(&path(dir.path(), 0)).unwrap();
        for cut in 0..=bytes.len() {
            std::fs::write(path(dir.path(), 0), &bytes[..cut]).unwrap();
            let (mut journal, entries) = Journal::open(&disk, dir.path(), "j", 0).unwrap();
            let whole = ends.iter().filter(|e| **e <= cut as u64).count();
            assert_eq!(entries, (1..=whole as u64).map(entry).collect::<Vec<_>>());
            journal.append(&entry(99)).unwrap();
            let (_, entries) = Journal::open(&disk, dir.path(), "j", 0).unwrap();
            assert_eq!(entries.len(), whole + 1, "an entry written behind a cut one is whole");
        }
        // One without the line of the version, and one of a later layout.
        let text = String::from_utf8(bytes).unwrap();
        let (head, rest) = text.split_once('\n').unwrap();
        assert_eq!(head, "{\"version\":1}");
        std::fs::write(path(dir.path(), 0), rest).unwrap();
        assert_eq!(Journal::open(&disk, dir.path(), "j", 0).unwrap().1.len(), 3);
        std::fs::write(path(dir.path(), 0), text.replace("\"version\":1", "\"version\":2")).unwrap();
        let newer = Journal::open(&disk, dir.path(), "j", 0).err().map(|e| e.to_string());
        assert!(newer.unwrap().contains("newer millstream"));
    }
}
