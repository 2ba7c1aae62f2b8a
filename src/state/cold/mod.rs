//! What has left memory: records of keys in sorted runs on disk.
//!
//! A key is in memory or in one record here, never in both: who needs it takes it out. So nothing has versions, and a run
//! that is read for a key it does not have is only waste. Runs are merged as in a log-structured merge tree (O'Neil et al.
//! 1996), on a thread of their own. The files have no names and are gone with the process: what is durable stands in
//! checkpoints. May use `disk`.

mod run;
#[cfg(test)]
mod tests;

pub use run::Record;

use super::budget::MemoryBudget;
use crate::disk::{Disk, DiskError};
use run::{Look, Run, Writer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

/// Where state goes that does not fit into memory.
#[derive(Debug, Clone)]
pub struct SpillTo {
    /// How much fits.
    pub budget: Arc<MemoryBudget>,
    /// The disk.
    pub disk: Disk,
    /// A folder on it, which is there.
    pub dir: PathBuf,
}

/// No time at which a record is due.
pub const NEVER: i64 = i64::MAX;
/// Runs beyond which it is waited until some have been merged.
const MANY_RUNS: usize = 16;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum ColdError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// What is read is not what was written.
    #[error("state that was moved to disk cannot be read back from {}: its bytes have changed", .0.display())]
    Damaged(PathBuf),
    /// A record is longer than can be written.
    #[error("the state of one key is larger than 4 GiB")]
    TooLarge,
    /// Who asked could not use a record.
    #[error("{0}")]
    Unusable(String),
    /// The thread that merges runs is gone.
    #[error("the thread that merges state on disk has ended")]
    MergerLost,
}

/// Result of the store.
pub type Result<T, E = ColdError> = std::result::Result<T, E>;

/// The store of one operator's keys.
#[derive(Debug)]
pub struct Cold {
    disk: Disk,
    dir: PathBuf,
    runs: Vec<Run>,
    merging: Option<Merging>,
}

/// A merge that is under way.
#[derive(Debug)]
struct Merging {
    /// It makes one run of these.
    first: usize,
    count: usize,
    thread: JoinHandle<Result<Run>>,
    /// The hashes of records that have been taken from these runs since it began.
    taken: Vec<u64>,
}

/// Makes file names different.
static FILES: AtomicU64 = AtomicU64::new(0);

fn file_name(dir: &Path) -> PathBuf {
    dir.join(format!("{}-{}", std::process::id(), FILES.fetch_add(1, Ordering::Relaxed)))
}

impl Cold {
    /// An empty store.
    pub fn new(to: &SpillTo) -> Self {
        Cold { disk: to.disk.clone(), dir: to.dir.clone(), runs: Vec::new(), merging: None }
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.runs.iter().all(|run| run.live_records() == 0)
    }

    /// Number of records.
    pub fn records(&self) -> usize {
        self.runs.iter().map(Run::live_records).sum()
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.runs.iter().map(Run::bytes).sum()
    }

    /// Bytes in memory.
    pub fn index_bytes(&self) -> usize {
        self.runs.iter().map(Run::index_bytes).sum()
    }

    /// The time at which the first record is due, or some time before it.
    pub fn due(&self) -> i64 {
        self.runs.iter().map(Run::due).min().unwrap_or(NEVER)
    }

    /// Puts records in, in any order; after an error none of them is in.
    pub fn put(&mut self, records: &mut [Record]) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        records.sort_unstable_by_key(|record| record.hash);
        let mut writer = Writer::new(&self.disk, &file_name(&self.dir), records.len())?;
        records.iter().try_for_each(|record| writer.push(*record))?;
        self.runs.push(writer.finish()?);
        self.merge()
    }

    /// Takes the records of these hashes out, and gives them to `found`; of hashes that are equal by chance all. Sorts the
    /// hashes.
    pub fn take(&mut self, hashes: &mut [u64], mut found: impl FnMut(Record) -> Result<()>) -> Result<()> {
        self.end_merge(false)?;
        hashes.sort_unstable();
        let merging = &mut self.merging;
        for (i, run) in self.runs.iter_mut().enumerate() {
            let mut merging = merging.as_mut().filter(|m| (m.first..m.first + m.count).contains(&i));
            run.find(hashes, Look::Take, &mut |record| {
                if let Some(merging) = &mut merging {
                    merging.taken.push(record.hash);
                }
                found(record)
            })?;
        }
        self.drop_empty();
        Ok(())
    }

    /// As [`Cold::take`], but the records stay.
    pub fn look_at(&mut self, hashes: &mut [u64], mut found: impl FnMut(Record) -> Result<()>) -> Result<()> {
        hashes.sort_unstable();
        self.runs.iter_mut().try_for_each(|run| run.find(hashes, Look::Keep, &mut found))
    }

    /// Takes the records out that are due at `time` or before.
    pub fn take_due(&mut self, time: i64, mut found: impl FnMut(Record) -> Result<()>) -> Result<()> {
        if self.due() > time {
            return Ok(());
        }
        self.end_merge(true)?;
        self.runs.iter_mut().try_for_each(|run| run.take_due(time, &mut found))?;
        self.drop_empty();
        Ok(())
    }

    /// All records; they stay.
    pub fn all(&self, mut found: impl FnMut(Record) -> Result<()>) -> Result<()> {
        for run in &self.runs {
            let mut cursor = run.cursor();
            while cursor.advance()? {
                cursor.record().map_or(Ok(()), &mut found)?;
            }
        }
        Ok(())
    }

    fn drop_empty(&mut self) {
        if self.merging.is_none() {
            self.runs.retain(|run| run.live_records() > 0);
        }
    }

    /// Begins to merge runs that are due: as soon as those behind a run are as large as it is, they become one.
    fn merge(&mut self) -> Result<()> {
        self.end_merge(self.runs.len() > MANY_RUNS)?;
        if self.merging.is_some() {
            return Ok(());
        }
        let (mut behind, mut first) = (0, None);
        for (i, run) in self.runs.iter().enumerate().rev() {
            if behind > 0 && behind >= run.live_bytes() {
                first = Some(i);
            }
            behind += run.live_bytes();
        }
        let Some(first) = first else { return Ok(()) };
        let runs = self.runs[first..].to_vec();
        let (count, disk, path) = (runs.len(), self.disk.clone(), file_name(&self.dir));
        let merge = move || merged(&runs, &disk, &path);
        let name = std::thread::Builder::new().name("state-merge".into());
        let thread = name.spawn(merge).map_err(|_| ColdError::MergerLost)?;
        self.merging = Some(Merging { first, count, thread, taken: Vec::new() });
        Ok(())
    }

    /// Puts the merged run in its place if the thread has ended, or waits for it.
    fn end_merge(&mut self, wait: bool) -> Result<()> {
        let Some(merging) = self.merging.take_if(|merging| wait || merging.thread.is_finished()) else {
            return Ok(());
        };
        let Merging { first, count, thread, mut taken } = merging;
        // A merge that has failed leaves all as it was; the next one may be luckier.
        let Ok(mut run) = thread.join().map_err(|_| ColdError::MergerLost)? else { return Ok(()) };
        taken.sort_unstable();
        run.find(&taken, Look::Take, &mut |_| Ok(()))?;
        self.runs.splice(first..first + count, [run]);
        self.drop_empty();
        Ok(())
    }
}

impl Drop for Cold {
    fn drop(&mut self) {
        if let Some(merging) = self.merging.take() {
            // Its file has no name: nothing is left of it.
            let _ = merging.thread.join();
        }
    }
}

/// One run of several.
fn merged(runs: &[Run], disk: &Disk, path: &Path) -> Result<Run> {
    let mut writer = Writer::new(disk, path, runs.iter().map(Run::live_records).sum())?;
    let mut cursors = Vec::new();
    for run in runs {
        let mut cursor = run.cursor();
        if cursor.advance()? {
            cursors.push(cursor);
        }
    }
    let hash = |cursor: &run::Cursor| cursor.record().map_or(u64::MAX, |record| record.hash);
    while let Some(least) = (0..cursors.len()).min_by_key(|i| hash(&cursors[*i])) {
        if let Some(record) = cursors[least].record() {
            writer.push(record)?;
        }
        if !cursors[least].advance()? {
            cursors.swap_remove(least);
        }
    }
    writer.finish()
}
