//! A topic: its description on disk, and its partitions.
//!
//! `topics/<uuid>/topic.json`:
//!
//! ```text
//! {"version":1,"crc32c":"…","topic":{"name":"trips","partitions":4,"codec":"lz4",
//!  "segment_bytes":268435456,"fsync":{"interval":{"nanoseconds":200000000}},
//!  "created_ns":1767225600000000000,"schema":"…"}}
//! ```
//!
//! The checksum is that of `topic`'s text without blanks; the schema is Arrow's IPC message in
//! hexadecimal digits. Of a description only the settings (settings.rs) ever change: then the file is replaced
//! whole, under the directory's lock.

use super::body::{Codec, stored_schema};
use super::error::LogError;
use super::feeders::Feeders;
use super::partition::{Partition, Recovery, guard};
use super::reader::LogReader;
use super::settings::TopicSettings;
use super::sync::SyncHandle;
use super::watch::Watched;
use super::writer::PartitionWriter;
use crate::clock::Clock;
use crate::disk::Disk;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;

const VERSION: u64 = 1;
/// How long one waits at most where nobody tells of other processes' appends.
const POLL: Duration = Duration::from_millis(5);
/// The most partitions of a topic.
pub(super) const MOST_PARTITIONS: u32 = 1024;

/// How a topic is to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicOptions {
    /// Number of partitions, 1 to 1024.
    pub partitions: u32,
    /// Compression of its frames.
    pub codec: Codec,
    /// What can be changed later.
    pub settings: TopicSettings,
}

impl Default for TopicOptions {
    /// One partition, lz4, and the default settings.
    fn default() -> Self {
        TopicOptions { partitions: 1, codec: Codec::Lz4, settings: TopicSettings::default() }
    }
}

/// What is known of a topic without looking into its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// Number of partitions.
    pub partitions: u32,
    /// Compression of its frames.
    pub codec: Codec,
    /// What can be changed; of an open topic, as it was when it was opened.
    pub settings: TopicSettings,
    /// When it was created, in nanoseconds since the epoch.
    pub created_ns: i64,
    /// Its columns, as readers get them: dictionaries have given way to their values.
    pub schema: SchemaRef,
}

impl TopicInfo {
    pub(super) fn new(
        name: &str,
        options: TopicOptions,
        schema: &Schema,
        created_ns: i64,
    ) -> Result<Self, LogError> {
        let TopicOptions { partitions, codec, settings } = options;
        check_name(name).map_err(|()| LogError::TopicName { name: name.into() })?;
        if !(1..=MOST_PARTITIONS).contains(&partitions) {
            return Err(LogError::PartitionCount { partitions, most: MOST_PARTITIONS });
        }
        let schema = stored_schema(schema)?;
        settings.check(&schema)?;
        Ok(TopicInfo { name: name.into(), partitions, codec, settings, created_ns, schema })
    }

    /// The description as it stands in the file at `path`.
    pub(super) fn json(&self) -> String {
        let topic = serde_json::json!(Description {
            name: self.name.clone(),
            partitions: self.partitions,
            codec: self.codec.name().into(),
            settings: self.settings.clone(),
            created_ns: self.created_ns,
            schema: hex(&schema_message(&self.schema)),
        });
        let crc = checksum(&topic);
        serde_json::json!({"version": VERSION, "crc32c": crc, "topic": topic}).to_string() + "\n"
    }

    /// Reads the description in the file at `path`.
    pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Self, LogError> {
        let damaged = |reason: &str| LogError::TopicDamaged { path: path.into(), reason: reason.into() };
        let no_json = |_| damaged("it is no topic's description");
        let mut file: File = serde_json::from_slice(bytes).map_err(no_json)?;
        if file.version > VERSION {
            return Err(LogError::NewerVersion { path: path.into(), found: file.version, known: VERSION });
        }
        if checksum(&file.topic) != file.crc32c {
            return Err(damaged("its checksum is wrong"));
        }
        let topic: Description = serde_json::from_value(file.topic.take()).map_err(no_json)?;
        let schema = unhex(&topic.schema).and_then(|message| schema_of(&message));
        let options = TopicOptions {
            partitions: topic.partitions,
            codec: Codec::from_name(&topic.codec).ok_or_else(|| damaged("its compression is unknown"))?,
            settings: topic.settings,
        };
        let schema = schema.ok_or_else(|| damaged("its columns cannot be read"))?;
        TopicInfo::new(&topic.name, options, &schema, topic.created_ns).map_err(|e| damaged(&e.to_string()))
    }
}

/// Whether topics and groups can be called so.
pub(super) fn check_name(name: &str) -> Result<(), ()> {
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let sound = (1..=249).contains(&name.len()) && !matches!(name, "." | "..") && name.chars().all(letters);
    if sound { Ok(()) } else { Err(()) }
}

#[derive(Deserialize)]
struct File {
    version: u64,
    crc32c: String,
    topic: serde_json::Value,
}

#[derive(Serialize, Deserialize)]
struct Description {
    name: String,
    partitions: u32,
    codec: String,
    #[serde(flatten)]
    settings: TopicSettings,
    created_ns: i64,
    schema: String,
}

pub(super) fn checksum(topic: &serde_json::Value) -> String {
    format!("{:08x}", crc32c::crc32c(topic.to_string().as_bytes()))
}

fn schema_message(schema: &Schema) -> Vec<u8> {
    let mut dictionaries = DictionaryTracker::new(false);
    let options = IpcWriteOptions::default();
    IpcDataGenerator::default()
        .schema_to_bytes_with_dictionary_tracker(schema, &mut dictionaries, &options)
        .ipc_message
}

/// The schema in an IPC message. Arrow panics on some that are malformed; only a description that somebody made up, with
/// a right checksum, has such a one.
fn schema_of(message: &[u8]) -> Option<Schema> {
    let read = || arrow::ipc::convert::try_schema_from_flatbuffer_bytes(message).ok();
    std::panic::catch_unwind(read).ok().flatten()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = digits.chars().map(|c| Some(c.to_digit(16)? as u8)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// Which topic something belongs to: its name for errors, its place, and how it is kept now.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) name: String,
    pub(super) dir: PathBuf,
    settings: Mutex<Arc<TopicSettings>>,
    /// The jobs that write it.
    pub(super) feeders: Feeders,
}

impl Identity {
    pub(super) fn settings(&self) -> Arc<TopicSettings> {
        Arc::clone(&guard(&self.settings))
    }
}

/// A topic, open. All its readers and writers in a process should come from one, so that they wake
/// each other.
#[derive(Debug)]
pub struct Topic {
    info: TopicInfo,
    identity: Arc<Identity>,
    clock: Clock,
    syncer: SyncHandle,
    partitions: Vec<Partition>,
    /// Raised with each append.
    generation: Mutex<u64>,
    appended: Condvar,
    /// Who is told of each append.
    listeners: Mutex<Vec<Weak<dyn Fn() + Send + Sync>>>,
    /// Tells of other processes' appends, once somebody has asked for it.
    watched: Watched,
}

impl Topic {
    pub(super) fn new(
        info: TopicInfo,
        dir: PathBuf,
        feeders: Feeders,
        disk: &Disk,
        clock: &Clock,
        syncer: SyncHandle,
        watched: Watched,
    ) -> Self {
        let settings = Mutex::new(Arc::new(info.settings.clone()));
        let identity = Arc::new(Identity { name: info.name.clone(), dir, settings, feeders });
        let partitions = (0..info.partitions)
            .map(|index| Partition::new(Arc::clone(&identity), index, disk.clone()))
            .collect();
        Topic {
            info,
            identity,
            clock: clock.clone(),
            syncer,
            partitions,
            generation: Mutex::default(),
            appended: Condvar::new(),
            listeners: Mutex::default(),
            watched,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.info.name
    }

    /// Its columns, as readers get them.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.info.schema)
    }

    /// Number of partitions.
    pub fn partitions(&self) -> u32 {
        self.info.partitions
    }

    /// Its description.
    pub fn info(&self) -> &TopicInfo {
        &self.info
    }

    /// How it is kept now.
    pub fn settings(&self) -> Arc<TopicSettings> {
        self.identity.settings()
    }

    /// Takes over settings that have been changed.
    pub(super) fn set(&self, settings: TopicSettings) {
        *guard(&self.identity.settings) = Arc::new(settings);
    }

    /// A writer for a partition. Fails if there is no such partition.
    pub fn writer(self: &Arc<Self>, partition: u32) -> Result<PartitionWriter, LogError> {
        PartitionWriter::new(Arc::clone(self), partition)
    }

    /// A reader of a partition that starts with the row `offset` and gives the columns at the positions
    /// of `projection`, in its order (`None` = all). Fails if there is no such partition or column, if
    /// the offset lies before the first or after the next one, or if the way to it is damaged.
    pub fn reader(
        self: &Arc<Self>,
        partition: u32,
        offset: u64,
        projection: Option<Vec<usize>>,
    ) -> Result<LogReader, LogError> {
        let columns = self.info.schema.fields().len();
        if let Some(&column) = projection.iter().flatten().find(|&&column| column >= columns) {
            return Err(LogError::NoColumn { topic: self.name().into(), column, columns });
        }
        LogReader::new(Arc::clone(self), partition, offset, projection)
    }

    /// The first offset that a partition still holds.
    pub fn start_offset(&self, partition: u32) -> Result<u64, LogError> {
        Ok(self.partition(partition)?.published()?.log_start)
    }

    /// The offset that a partition's next row will get.
    pub fn end_offset(&self, partition: u32) -> Result<u64, LogError> {
        Ok(self.partition(partition)?.published()?.next_offset)
    }

    /// The offset before which all rows of a partition are on disk for good.
    pub fn durable_offset(&self, partition: u32) -> Result<u64, LogError> {
        Ok(self.partition(partition)?.published()?.durable_offset)
    }

    /// How often the topic has been appended to, as far as is known here. Take it before looking for rows, then
    /// [`wait_newer`](Self::wait_newer) with it, and no append goes unnoticed.
    pub fn generation(&self) -> u64 {
        *guard(&self.generation)
    }

    /// Waits until somebody, in any process, has appended since `generation` was taken, or until `timeout` has
    /// passed; gives the new generation. It may come back early.
    pub fn wait_newer(self: &Arc<Self>, generation: u64, timeout: Duration) -> u64 {
        let timeout = if self.watch() { timeout } else { timeout.min(POLL) };
        let waited =
            self.appended.wait_timeout_while(guard(&self.generation), timeout, |now| *now <= generation);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Waits until somebody appends to the topic, or until `timeout` has passed.
    pub fn wait(self: &Arc<Self>, timeout: Duration) {
        self.wait_newer(self.generation(), timeout);
    }

    /// Has `news` called, on any thread, whenever somebody in any process has appended, as long as it lives. One may be
    /// missed until [`watch`](Self::watch) has said that none is: look now and then.
    pub fn notify(self: &Arc<Self>, news: &Arc<dyn Fn() + Send + Sync>) {
        let mut listeners = guard(&self.listeners);
        listeners.retain(|listener| listener.strong_count() > 0);
        listeners.push(Arc::downgrade(news));
        drop(listeners);
        self.watch();
    }

    /// Has other processes' appends told here; whether they have been since it was asked last.
    pub fn watch(self: &Arc<Self>) -> bool {
        self.watched.topic(self)
    }

    /// What recovery after a crash has done to the topic's partitions in this process.
    pub fn recovered(&self) -> Vec<Recovery> {
        self.partitions.iter().flat_map(Partition::recoveries).collect()
    }

    pub(super) fn wake(&self) {
        *guard(&self.generation) += 1;
        self.appended.notify_all();
        let listeners: Vec<_> = guard(&self.listeners).iter().filter_map(Weak::upgrade).collect();
        listeners.iter().for_each(|news| news());
    }

    pub(super) fn syncer(&self) -> &SyncHandle {
        &self.syncer
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(super) fn feeders(&self) -> &Feeders {
        &self.identity.feeders
    }

    pub(super) fn dir(&self) -> &Path {
        &self.identity.dir
    }

    pub(super) fn partition(&self, partition: u32) -> Result<&Partition, LogError> {
        let no_partition = || LogError::NoPartition {
            topic: self.name().into(),
            partition,
            partitions: self.info.partitions,
        };
        self.partitions.get(partition as usize).ok_or_else(no_partition)
    }
}
