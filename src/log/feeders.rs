//! What must be on disk before a topic's rows are, and which of its rows to believe after a crash of the machine.
//!
//! A job that writes a topic keeps a journal of what it has read, from which it can make the same rows again. When the
//! power goes, the system may have written out the job's rows but not the journal, or not the rows that it had read: then the
//! topic holds the result of steps that nobody can make again as they were, and that would be made in another way. So
//!
//! * before rows of such a topic are made durable, what the job has read is, and its journal: what is known to be durable
//!   here can be made again for ever;
//! * when the partition is recovered after a crash of the machine, the rows of steps that the job cannot make again are cut
//!   off, unless rows of others lie behind them. Nobody has read them since the machine began, as nobody reads a partition
//!   before it is recovered.
//!
//! ```text
//!     topics/<uuid>/feeders/<name>.json
//!       {"version":1,"crc32c":"…","feeder":{"producer":"0123…","step_bits":0,"reads":["orders"]}}
//! ```
//!
//! The log knows a job only by its name; what is in the job's folder, who has opened the log answers ([`Jobs`]).

use super::Result;
use super::error::LogError;
use super::partition::guard;
use super::topic::{Topic, checksum};
use super::{Inner, Log};
use crate::disk::{Disk, DiskError};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

const VERSION: u64 = 1;

/// A job that writes a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feeder {
    /// Its name, which no other has that writes the topic.
    pub name: String,
    /// Under what it writes.
    pub producer: u128,
    /// The topic's steps are the job's, with so many bits behind them.
    pub step_bits: u32,
    /// The topics that it reads.
    pub reads: Vec<String>,
}

/// Who knows where the jobs' journals are.
pub trait Jobs: Send + Sync + fmt::Debug {
    /// Makes durable what the job says it has read.
    fn sync(&self, feeder: &Feeder) -> Result<(), DiskError>;

    /// The last step that the job can make again as it was; `None` = nobody knows, or it is not this job any more. Fails if it
    /// may be known later.
    fn last_step(&self, log: &Log, feeder: &Feeder) -> Result<Option<u64>>;
}

/// Up to which step to believe a producer: the bits behind the step, and the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limit {
    producer: u128,
    step_bits: u32,
    last: u64,
}

/// Up to which step to believe each producer of which that is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Limits(Vec<Limit>);

impl Limits {
    /// Whether this step of the producer cannot be made again.
    pub(super) fn exceeded_by(&self, producer: u128, step: u64) -> bool {
        producer != 0
            && self.0.iter().any(|l| l.producer == producer && step.checked_shr(l.step_bits) > Some(l.last))
    }
}

/// A topic's jobs, as its partitions see them.
#[derive(Debug, Clone)]
pub(super) struct Feeders {
    dir: PathBuf,
    disk: Disk,
    log: Weak<Inner>,
}

#[derive(Serialize, Deserialize)]
struct File {
    version: u64,
    crc32c: String,
    feeder: serde_json::Value,
}

#[derive(Serialize, Deserialize)]
struct Described {
    producer: String,
    step_bits: u32,
    reads: Vec<String>,
}

thread_local! {
    /// The topics whose jobs this thread is looking at: jobs may read what they write, by way of others.
    static LOOKED_AT: RefCell<Vec<PathBuf>> = const { RefCell::new(Vec::new()) };
}

/// Keeps a topic from being looked at once more while it is looked at.
struct Looking;

impl Looking {
    fn at(dir: &Path) -> Option<Self> {
        LOOKED_AT.with_borrow_mut(|dirs| {
            let new = !dirs.iter().any(|d| d == dir);
            new.then(|| {
                dirs.push(dir.to_owned());
                Looking
            })
        })
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        LOOKED_AT.with_borrow_mut(|dirs| drop(dirs.pop()));
    }
}

impl Feeders {
    pub(super) fn new(topic_dir: &Path, disk: &Disk, log: Weak<Inner>) -> Self {
        Feeders { dir: topic_dir.join("feeders"), disk: disk.clone(), log }
    }

    /// Those that are described. Of one that is damaged nothing is known: then its rows are believed as they are.
    fn all(&self) -> Result<Vec<Feeder>> {
        let names = match self.disk.list(&self.dir) {
            Err(e) if e.is_not_found() => return Ok(Vec::new()),
            names => names?,
        };
        let mut all = Vec::new();
        for file in names {
            let Some(name) = file.strip_suffix(".json") else { continue };
            match self.disk.read(&self.dir.join(&file)) {
                Err(e) if e.is_not_found() => {}
                bytes => all.extend(described(name, &bytes?)),
            }
        }
        Ok(all)
    }

    /// Describes a job, to last; nothing is done if it is described so already.
    fn put(&self, feeder: &Feeder) -> Result<()> {
        let path = self.dir.join(format!("{}.json", feeder.name));
        let bytes = description(feeder);
        match self.disk.read(&path) {
            Ok(there) if there == bytes.as_bytes() => return Ok(()),
            Err(e) if !e.is_not_found() => return Err(e.into()),
            _ => {}
        }
        self.disk.create_dir_durably(&self.dir, 1)?;
        Ok(self.disk.write_atomically(&path, bytes.as_bytes())?)
    }

    /// Makes durable all that has come before the topic's rows: what its jobs have read, and that they have. Whether that
    /// can be done: not while the log is being closed.
    pub(super) fn sync_before(&self) -> Result<bool> {
        let all = self.all()?;
        if all.is_empty() {
            return Ok(true);
        }
        let Some(log) = self.log.upgrade().map(Log) else { return Ok(false) };
        let jobs = guard(&log.0.jobs).clone();
        let (Some(_looking), Some(jobs)) = (Looking::at(&self.dir), jobs) else { return Ok(true) };
        for feeder in all {
            for name in &feeder.reads {
                if_it_can_be(log.topic(name).and_then(|topic| {
                    (0..topic.partitions()).try_for_each(|p| topic.partition(p)?.sync_for_another())
                }))?;
            }
            jobs.sync(&feeder)?;
        }
        Ok(true)
    }

    /// Up to where to believe the topic's jobs.
    pub(super) fn limits(&self) -> Result<Limits> {
        let all = self.all()?;
        if all.is_empty() {
            return Ok(Limits::default());
        }
        let Some(log) = self.log.upgrade().map(Log) else { return Ok(Limits::default()) };
        let jobs = guard(&log.0.jobs).clone();
        let (Some(_looking), Some(jobs)) = (Looking::at(&self.dir), jobs) else {
            return Ok(Limits::default());
        };
        let mut limits = Vec::new();
        for feeder in &all {
            let Feeder { producer, step_bits, .. } = *feeder;
            // Without it rows would be believed for ever that nobody can make again.
            let last = jobs.last_step(&log, feeder)?;
            limits.extend(last.map(|last| Limit { producer, step_bits, last }));
        }
        Ok(Limits(limits))
    }
}

/// What is damaged or gone keeps nobody from going on without it; whether it is cannot be told when the disk fails.
fn if_it_can_be(done: Result<()>) -> Result<()> {
    match done {
        Err(error @ (LogError::Disk(_) | LogError::SyncFailed { .. })) => Err(error),
        _ => Ok(()),
    }
}

fn description(feeder: &Feeder) -> String {
    let Feeder { producer, step_bits, reads, .. } = feeder;
    let described = serde_json::json!(Described {
        producer: format!("{producer:032x}"),
        step_bits: *step_bits,
        reads: reads.clone(),
    });
    let crc = checksum(&described);
    serde_json::json!({"version": VERSION, "crc32c": crc, "feeder": described}).to_string() + "\n"
}

fn described(name: &str, bytes: &[u8]) -> Option<Feeder> {
    let file: File = serde_json::from_slice(bytes).ok()?;
    if file.version != VERSION || checksum(&file.feeder) != file.crc32c {
        return None;
    }
    let Described { producer, step_bits, reads } = serde_json::from_value(file.feeder).ok()?;
    let producer = u128::from_str_radix(&producer, 16).ok()?;
    Some(Feeder { name: name.into(), producer, step_bits, reads })
}

impl Topic {
    /// Remembers, beside the topic, a job that writes it: before its first row, and whenever something of it has changed.
    pub fn fed_by(&self, feeder: &Feeder) -> Result<()> {
        self.feeders().put(feeder)
    }
}

impl Log {
    /// Whom to ask about the jobs that write topics. Without anybody all rows that are whole are believed.
    pub fn ask_about_jobs(&self, jobs: Arc<dyn Jobs>) {
        *guard(&self.0.jobs) = Some(jobs);
    }
}

/// Who is asked about jobs.
pub(super) type Asked = Mutex<Option<Arc<dyn Jobs>>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_reads_back_and_no_changed_byte_goes_unseen() {
        let feeder = Feeder {
            name: "paid".into(),
            producer: 77,
            step_bits: 16,
            reads: vec!["orders".into(), "payments".into()],
        };
        let sound = description(&feeder);
        assert_eq!(described("paid", sound.as_bytes()), Some(feeder));
        for at in 0..sound.len() {
            let mut bytes = sound.clone().into_bytes();
            bytes[at] ^= 1;
            // The line feed at the end says nothing.
            assert!(at + 1 == sound.len() || described("paid", &bytes).is_none(), "byte {at}");
        }
    }

    #[test]
    fn a_step_is_exceeded_without_the_bits_behind_it() {
        let limits = Limits(vec![
            Limit { producer: 1, step_bits: 0, last: 5 },
            Limit { producer: 2, step_bits: 16, last: 5 },
        ]);
        let exceeded = |producer, step| limits.exceeded_by(producer, step);
        assert!(!exceeded(1, 5) && exceeded(1, 6));
        assert!(!exceeded(2, 5 << 16 | 9) && exceeded(2, 6 << 16));
        assert!(!exceeded(3, 9) && !exceeded(0, 9));
    }
}
