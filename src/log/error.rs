//! What can go wrong in the log, in words for those who run it.

use crate::disk::DiskError;
use std::path::PathBuf;

/// An error of the log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A file operation failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The data directory's path leads to something else.
    #[error("{} is not a directory; choose another data directory with -d", dir.display())]
    NotADirectory {
        /// The path.
        dir: PathBuf,
    },
    /// The directory holds files, but not ours.
    #[error(
        "{} is not a millstream data directory: it holds other files, such as {found:?}; \
         choose another directory with -d",
        dir.display()
    )]
    NotOurs {
        /// The directory.
        dir: PathBuf,
        /// A name in it.
        found: String,
    },
    /// The directory lies on a file system that other machines write too.
    #[error(
        "{} lies on a network file system ({kind}), where locks and the order of writes cannot be relied on: choose a \
         directory of this machine with -d, or say --force if nothing but this machine ever uses it",
        dir.display()
    )]
    NetworkFileSystem {
        /// The directory.
        dir: PathBuf,
        /// The file system's kind.
        kind: String,
    },
    /// The directory's format file says nothing that we know.
    #[error(
        "{} is damaged: it should say {expected:?}; restore it if the directory is a millstream \
         data directory, else choose another one with -d",
        path.display()
    )]
    FormatDamaged {
        /// The format file.
        path: PathBuf,
        /// What it should say.
        expected: String,
    },
    /// A newer millstream made this.
    #[error(
        "{} has format version {found}, but this millstream knows versions up to {known}: \
         use a newer millstream",
        path.display()
    )]
    NewerVersion {
        /// The file that says so.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The newest version that we know.
        known: u64,
    },
    /// A topic cannot have this name.
    #[error(
        "{name:?} cannot be a topic's name: use 1 to 249 letters, digits, dots, hyphens and \
         underscores (and not . or .. alone)"
    )]
    TopicName {
        /// The name.
        name: String,
    },
    /// A topic cannot have this many partitions.
    #[error("a topic has 1 to {most} partitions, not {partitions}")]
    PartitionCount {
        /// What was asked for.
        partitions: u32,
        /// The limit.
        most: u32,
    },
    /// Segments of no bytes.
    #[error("a topic's segments need a size of at least 1 byte")]
    SegmentSize,
    /// Compaction by a column that is not there, or tombstones told by one that holds no truth values.
    #[error("a topic cannot be compacted by the column {column:?}: it has none, or one of another type")]
    CompactionColumn {
        /// The column.
        column: String,
    },
    /// A column of a type that the log cannot keep.
    #[error("a topic cannot hold the column {column:?}: its type {data_type} has no place in the log")]
    ColumnType {
        /// The column.
        column: String,
        /// Its type.
        data_type: String,
    },
    /// There is such a topic already.
    #[error("the topic {name:?} exists already")]
    TopicExists {
        /// Its name.
        name: String,
    },
    /// There is no such topic.
    #[error("there is no topic {name:?}{}", nearest.as_ref().map(|n| format!("; did you mean {n:?}?")).unwrap_or_default())]
    NoTopic {
        /// The name that was asked for.
        name: String,
        /// The topic whose name comes nearest.
        nearest: Option<String>,
    },
    /// The topic was deleted while it was in use.
    #[error("the topic {topic:?} was deleted")]
    TopicDeleted {
        /// Its name.
        topic: String,
    },
    /// A topic's description cannot be read.
    #[error("{} is damaged: {reason}", path.display())]
    TopicDamaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A group cannot have this name.
    #[error(
        "{name:?} cannot be a group's name: use 1 to 249 letters, digits, dots, hyphens and \
         underscores (and not . or .. alone)"
    )]
    GroupName {
        /// The name.
        name: String,
    },
    /// There is no such consumer group.
    #[error("there is no group {name:?}{}", nearest.as_ref().map(|n| format!("; did you mean {n:?}?")).unwrap_or_default())]
    NoGroup {
        /// The name that was asked for.
        name: String,
        /// The group whose name comes nearest.
        nearest: Option<String>,
    },
    /// What is to be changed is in use.
    #[error(
        "the group {group:?} cannot be {done} while {} with it: end {} first",
        if pids.len() == 1 { format!("process {} reads", pids[0]) } else { format!("processes {} read", list(pids)) },
        if pids.len() == 1 { "it" } else { "them" }
    )]
    GroupHasMembers {
        /// The group.
        group: String,
        /// The processes that are its members.
        pids: Vec<u32>,
        /// What was to be done with it, as a participle.
        done: &'static str,
    },
    /// A commit by who does not own the partition any more.
    #[error(
        "the group {group:?} cannot commit an offset of partition {partition} of the topic {topic:?} here: \
         another member has the partition now"
    )]
    NotOwner {
        /// The group.
        group: String,
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
    },
    /// A group's place in a partition cannot be read.
    #[error(
        "{} is damaged, so nobody knows how far the group {group:?} has read that partition: \
         say where it goes on with 'millstream group reset {group}'",
        path.display()
    )]
    PlaceDamaged {
        /// The group.
        group: String,
        /// The file.
        path: PathBuf,
    },
    /// There is no such partition.
    #[error("the topic {topic:?} has partitions 0 to {}, no partition {partition}", partitions - 1)]
    NoPartition {
        /// The topic.
        topic: String,
        /// The partition that was asked for.
        partition: u32,
        /// How many there are.
        partitions: u32,
    },
    /// There is no such column.
    #[error("the topic {topic:?} has {columns} columns, no column at position {column}")]
    NoColumn {
        /// The topic.
        topic: String,
        /// The position that was asked for, from 0.
        column: usize,
        /// How many there are.
        columns: usize,
    },
    /// Rows that do not fit the topic's columns.
    #[error("these rows do not fit the topic {topic:?}: {reason}")]
    RowsDoNotFit {
        /// The topic.
        topic: String,
        /// Why.
        reason: String,
    },
    /// A row that no frame holds.
    #[error("a row of {bytes} bytes is too large for the topic {topic:?} (at most {most_bytes} bytes)")]
    FrameTooLarge {
        /// The topic.
        topic: String,
        /// Its size.
        bytes: u64,
        /// The most bytes of a frame, compressed or not.
        most_bytes: u64,
    },
    /// An offset that the partition does not hold.
    #[error(
        "partition {partition} of the topic {topic:?} holds the offsets from {start} up to, but not \
         including, {end}: offset {offset} is out of range"
    )]
    OffsetOutOfRange {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// What was asked for.
        offset: u64,
        /// The first offset.
        start: u64,
        /// The offset that the next row will get.
        end: u64,
    },
    /// Bytes that were written are not there any more.
    #[error(transparent)]
    Corrupt(Box<Corruption>),
    /// The system could not say whether what was written is on disk; nobody can tell until recovery.
    #[error(
        "partition {partition} of the topic {topic:?} takes no more rows: an earlier sync to disk failed, \
         so nobody can tell what is safe; check the disk, then run again"
    )]
    SyncFailed {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
    },
}

/// A damaged place in the log. What lies before it can still be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "partition {partition} of the topic {topic:?} is damaged in {} at byte {position}: {reason}; \
     {}, those before can be read",
    segment.display(),
    lost(*first_lost, *end_lost)
)]
pub struct Corruption {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The segment file.
    pub segment: PathBuf,
    /// Where in it the first bad frame starts.
    pub position: u64,
    /// The first offset that cannot be read.
    pub first_lost: u64,
    /// The first offset after it that is known to lie behind the damage.
    pub end_lost: u64,
    /// What is wrong there.
    pub reason: String,
}

fn list(pids: &[u32]) -> String {
    pids.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

fn lost(first: u64, end: u64) -> String {
    if first < end {
        format!("the offsets from {first} to {} may be lost", end - 1)
    } else {
        format!("the offsets from {first} on may be lost")
    }
}

impl From<Corruption> for LogError {
    fn from(corruption: Corruption) -> Self {
        LogError::Corrupt(Box::new(corruption))
    }
}
