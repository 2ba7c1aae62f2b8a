//! The partitioned log: topics → partitions → segments → frames, in a directory that several processes
//! may share. It keeps Arrow batches at offsets; it knows no SQL, no deltas and no event time.
//!
//! ```text
//! DIR/FORMAT            "millstream 1"; who does not know the version keeps out
//! DIR/lock              held while a topic is created or deleted
//! DIR/topics/<uuid>/    topic.json, a directory per partition (partition.rs), the jobs that write it (feeders.rs)
//! DIR/groups/<uuid>/    group.json, and what the group has read of topics (group/mod.rs)
//! ```
//!
//! In reading order: `frame` and `body` (the unit of everything), `segment` (a file of frames), `tail`
//! (how far it is written), `partition`, `recover`, `writer`, `reader`, `topic`, `start`, `group`, and here
//! the [`Log`].
//! What is deliberately absent: mapped memory, offsets in files that must be believed without a
//! checksum, locks for readers.

mod body;
mod compaction;
mod error;
mod feeders;
mod find;
mod frame;
mod group;
mod index;
mod known;
mod maintain;
mod message;
mod partition;
mod parts;
mod pins;
mod producers;
mod reader;
mod recover;
mod repair;
mod retention;
mod segment;
mod settings;
mod start;
mod stats;
mod sync;
mod tail;
#[cfg(test)]
mod tests;
mod topic;
mod unpack;
mod verify;
mod watch;
mod writer;

pub use body::Codec;
pub use compaction::Compacted;
pub use error::{Corruption, LogError};
pub use feeders::{Feeder, Jobs};
pub use group::{Assignment, Gained, Group, GroupInfo, GroupPartition, Member};
pub use maintain::Maintained;
pub use partition::Recovery;
pub use pins::Pin;
pub use reader::{Frame, LogReader};
pub use retention::Removed;
pub use settings::{Compaction, Fsync, TopicSettings};
pub use start::Start;
pub use stats::PartitionStats;
pub use topic::{Topic, TopicInfo, TopicOptions};
pub use verify::{Damage, Verified};
pub use writer::{Append, Appended, PartitionWriter};

use crate::clock::Clock;
use crate::disk::{Disk, DiskError, Open};
use arrow::datatypes::SchemaRef;
use feeders::Feeders;
use partition::guard;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use sync::Syncer;
use watch::Watched;

type Result<T, E = LogError> = std::result::Result<T, E>;

const MAGIC: &str = "millstream";
const VERSION: u64 = 1;
/// How much like a name another one must be to be suggested (Jaro-Winkler, 0 to 1).
const ALIKE: f64 = 0.75;

/// A data directory's topics. Cheap to clone; clones share their open topics. Other processes, and
/// other `Log`s of this one, may use the directory at the same time.
#[derive(Debug, Clone)]
pub struct Log(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    disk: Disk,
    clock: Clock,
    open: Mutex<HashMap<String, Arc<Topic>>>,
    syncer: Syncer,
    watched: Watched,
    jobs: feeders::Asked,
}

impl Log {
    /// Opens the data directory `dir`, making it if it is absent or empty. Fails if it holds something
    /// else, or is of a newer version.
    pub fn open(dir: impl AsRef<Path>, disk: Disk, clock: Clock) -> Result<Self> {
        let dir = dir.as_ref().to_owned();
        match disk.list(&dir) {
            Err(e) if e.is_not_found() => {
                disk.create_dir_all(&dir).map_err(|e| no_directory(&dir, e))?;
                initialise(&dir, &disk)?;
            }
            Err(e) => return Err(no_directory(&dir, e)),
            Ok(names) if names.iter().any(|name| name == "FORMAT") => {}
            Ok(names) => match names.into_iter().find(|name| !matches!(&**name, "lock" | "FORMAT.tmp")) {
                Some(found) => return Err(LogError::NotOurs { dir, found }),
                None => initialise(&dir, &disk)?,
            },
        }
        check_format(&dir, &disk)?;
        let syncer = Syncer::new(clock.clone());
        let watched = Watched::new(disk.clone());
        Ok(Log(Arc::new(Inner {
            dir,
            disk,
            clock,
            open: Mutex::default(),
            syncer,
            watched,
            jobs: Mutex::default(),
        })))
    }

    /// The data directory.
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// Creates a topic with the columns of `schema`. Fails if there is one of that name, if the name or
    /// an option will not do, or if a column has a type that the log cannot keep (unions, run-end
    /// encoding, dictionaries inside other types; a column of dictionary type is kept as its values).
    pub fn create_topic(&self, name: &str, options: TopicOptions, schema: SchemaRef) -> Result<Arc<Topic>> {
        let Inner { dir, disk, clock, .. } = &*self.0;
        let info = TopicInfo::new(name, options, &schema, clock.now_ns())?;
        let _lock = self.lock()?;
        if self.find(name)?.is_some() {
            return Err(LogError::TopicExists { name: name.into() });
        }
        let topics = dir.join("topics");
        disk.create_dir(&topics)?;
        disk.sync_dir(dir)?;
        let topic_dir = topics.join(disk.random_id().to_string());
        let create = || {
            disk.create_dir(&topic_dir)?;
            // Before it can be found: others may make rows in it durable at once.
            disk.sync_dir(&topics)?;
            disk.write_atomically(&topic_dir.join("topic.json"), info.json().as_bytes())
        };
        if let Err(e) = create() {
            // Half a topic has no description, and is none; this only saves its room.
            let _ = disk.remove_dir_all(&topic_dir);
            return Err(e.into());
        }
        Ok(self.keep(info, topic_dir))
    }

    /// The topic of that name, open.
    pub fn topic(&self, name: &str) -> Result<Arc<Topic>> {
        let open = guard(&self.0.open).get(name).cloned();
        if let Some(topic) = open
            && self.0.disk.exists(&topic.dir().join("topic.json"))?
        {
            return Ok(topic);
        }
        match self.find(name)? {
            Some((info, dir)) => Ok(self.keep(info, dir)),
            None => Err(self.no_topic(name)),
        }
    }

    /// Whether there is a topic of that name.
    pub fn topic_exists(&self, name: &str) -> Result<bool> {
        Ok(self.find(name)?.is_some())
    }

    /// All topics, by name.
    pub fn topics(&self) -> Result<Vec<TopicInfo>> {
        let mut topics = Vec::new();
        for dir in self.topic_dirs()? {
            topics.extend(self.info(&dir)?);
        }
        topics.sort_by(|a: &TopicInfo, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// Changes a topic's settings; gives the new ones. Other processes take them over when they next look after the
    /// topic (see [`maintain`](Self::maintain)). Fails, and changes nothing, if they do not fit the topic.
    pub fn alter_topic(&self, name: &str, change: impl FnOnce(&mut TopicSettings)) -> Result<TopicSettings> {
        let _lock = self.lock()?;
        let (mut info, dir) = self.find(name)?.ok_or_else(|| self.no_topic(name))?;
        change(&mut info.settings);
        info.settings.check(&info.schema)?;
        self.0.disk.write_atomically(&dir.join("topic.json"), info.json().as_bytes())?;
        let settings = info.settings.clone();
        self.keep(info, dir).set(settings.clone());
        Ok(settings)
    }

    /// Deletes a topic with all its rows. Who has it open is told so with the next append, or at the
    /// end of what could still be read.
    pub fn delete_topic(&self, name: &str) -> Result<()> {
        let disk = &self.0.disk;
        let _lock = self.lock()?;
        let (_, dir) = self.find(name)?.ok_or_else(|| self.no_topic(name))?;
        guard(&self.0.open).remove(name);
        let mut deleted = dir.clone().into_os_string();
        deleted.push(".deleted");
        let deleted = PathBuf::from(deleted);
        disk.rename(&dir, &deleted)?;
        disk.sync_dir(&self.0.dir.join("topics"))?;
        self.sweep()
    }

    fn lock(&self) -> Result<crate::disk::DiskLock> {
        let file = Arc::new(self.0.disk.open(&self.0.dir.join("lock"), Open::Create)?);
        Ok(file.lock()?)
    }

    /// Removes what is left of deleted topics, each partition when its writers have finished.
    fn sweep(&self) -> Result<()> {
        let disk = &self.0.disk;
        let topics = self.0.dir.join("topics");
        for name in disk.list(&topics)?.iter().filter(|name| name.ends_with(".deleted")) {
            let dir = topics.join(name);
            for partition in disk.list(&dir)?.iter().filter(|name| name.parse::<u32>().is_ok()) {
                let path = dir.join(partition).join("lock");
                match disk.open(&path, Open::Write) {
                    Err(e) if e.is_not_found() => {}
                    file => {
                        let _lock = Arc::new(file?).lock()?;
                        // Whoever waits for this lock sees that its file has no name any more.
                        disk.remove_file(&path)?;
                    }
                }
            }
            disk.remove_dir_all(&dir)?;
        }
        Ok(())
    }

    /// Keeps a topic open, unless it is already.
    fn keep(&self, info: TopicInfo, dir: PathBuf) -> Arc<Topic> {
        let mut open = guard(&self.0.open);
        if let Some(topic) = open.get(&info.name).filter(|topic| topic.dir() == dir) {
            return Arc::clone(topic);
        }
        let name = info.name.clone();
        let feeders = Feeders::new(&dir, &self.0.disk, Arc::downgrade(&self.0));
        let topic = Arc::new(Topic::new(
            info,
            dir,
            feeders,
            &self.0.disk,
            &self.0.clock,
            self.0.syncer.handle(),
            self.0.watched.clone(),
        ));
        open.insert(name, Arc::clone(&topic));
        topic
    }

    /// The topic of that name on disk. One with a damaged description hides no other.
    fn find(&self, name: &str) -> Result<Option<(TopicInfo, PathBuf)>> {
        let mut damaged = None;
        for dir in self.topic_dirs()? {
            match self.info(&dir) {
                Ok(Some(info)) if info.name == name => return Ok(Some((info, dir))),
                Ok(_) => {}
                Err(e) => damaged = Some(e),
            }
        }
        // It might be the one.
        damaged.map_or(Ok(None), Err)
    }

    fn topic_dirs(&self) -> Result<Vec<PathBuf>> {
        let topics = self.0.dir.join("topics");
        let names = match self.0.disk.list(&topics) {
            Err(e) if e.is_not_found() => Vec::new(),
            names => names?,
        };
        Ok(names.iter().filter(|name| !name.ends_with(".deleted")).map(|name| topics.join(name)).collect())
    }

    /// The description in a topic's directory, if it is one: it may be half made, or just deleted.
    fn info(&self, dir: &Path) -> Result<Option<TopicInfo>> {
        let path = dir.join("topic.json");
        match self.0.disk.read(&path) {
            Err(e) if matches!(e.source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            bytes => TopicInfo::read(&path, &bytes?).map(Some),
        }
    }

    fn no_topic(&self, name: &str) -> LogError {
        let names = self.topics().unwrap_or_default().into_iter().map(|topic| topic.name);
        let nearest = nearest(name, names);
        LogError::NoTopic { name: name.into(), nearest }
    }
}

/// The name that is most like `name`, if one is much like it.
fn nearest(name: &str, names: impl Iterator<Item = String>) -> Option<String> {
    let likeness = |other: &String| strsim::jaro_winkler(other, name);
    names.filter(|other| likeness(other) >= ALIKE).max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}

fn no_directory(dir: &Path, error: DiskError) -> LogError {
    match error.source.kind() {
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => LogError::NotADirectory { dir: dir.into() },
        _ => error.into(),
    }
}

fn format_line() -> String {
    format!("{MAGIC} {VERSION}\n")
}

/// Makes an empty directory ours.
fn initialise(dir: &Path, disk: &Disk) -> Result<()> {
    let lock = Arc::new(disk.open(&dir.join("lock"), Open::Create)?);
    let _lock = lock.lock()?;
    let format = dir.join("FORMAT");
    // Another process may have been quicker.
    if !disk.exists(&format)? {
        // First the way to it: any of these directories may be new, whoever made them, and who finds FORMAT does not
        // look at them again.
        for above in dir.ancestors().skip(1) {
            let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
            match disk.sync_dir(above) {
                Err(e) if e.source.kind() != ErrorKind::PermissionDenied => return Err(e.into()),
                _ => {}
            }
        }
        disk.write_atomically(&format, format_line().as_bytes())?;
    }
    Ok(())
}

fn check_format(dir: &Path, disk: &Disk) -> Result<()> {
    let path = dir.join("FORMAT");
    let text = String::from_utf8_lossy(&disk.read(&path)?).into_owned();
    let version = text.strip_prefix(MAGIC).and_then(|rest| rest.trim().parse::<u64>().ok());
    match version {
        Some(VERSION) => Ok(()),
        Some(found) if found > VERSION => Err(LogError::NewerVersion { path, found, known: VERSION }),
        _ => Err(LogError::FormatDamaged { path, expected: format_line().trim().into() }),
    }
}
