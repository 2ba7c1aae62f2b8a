//! What of a topic can be changed after it was created: how its segments are cut, how long rows are kept, when they are
//! synced to disk.

use super::error::LogError;
use arrow::datatypes::{DataType, Schema};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long tombstones are kept unless the topic says otherwise.
const KEEP_TOMBSTONES: Duration = Duration::from_secs(24 * 60 * 60);
/// How often rows are synced unless the topic says otherwise.
const SYNC_INTERVAL: Duration = Duration::from_millis(200);

/// When appended rows are made to survive a crash of the machine. They survive a crash of the process at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fsync {
    /// Before the append is acknowledged; and no reader sees a row before.
    Step,
    /// A while after, in the background: a crash of the machine loses what was appended in the last interval.
    Interval {
        /// The interval.
        #[serde(rename = "nanoseconds", with = "nanoseconds")]
        every: Duration,
    },
    /// When the system sees fit (usually within half a minute), and when a segment is closed.
    Os,
}

impl Default for Fsync {
    /// Every 200 ms.
    fn default() -> Self {
        Fsync::Interval { every: SYNC_INTERVAL }
    }
}

/// That of the rows with equal keys only the last one is to be kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compaction {
    /// The columns that make the key.
    pub key: Vec<String>,
    /// The column, a truth value, that is true in a tombstone: a row that says that its key is there no more.
    pub deleted: Option<String>,
    /// How long a tombstone is kept after the rows that it ends have gone: in this time every reader that has seen one
    /// of them must come to the tombstone.
    #[serde(rename = "keep_tombstones_ns", with = "nanoseconds")]
    pub keep_tombstones: Duration,
}

impl Compaction {
    /// By `key`; tombstones, told by the column `deleted`, stay for 24 hours.
    pub fn by(key: Vec<String>, deleted: Option<String>) -> Self {
        Compaction { key, deleted, keep_tombstones: KEEP_TOMBSTONES }
    }
}

/// The settings of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicSettings {
    /// Bytes after which a new segment file is begun, at least 1.
    pub segment_bytes: u64,
    /// Closed segments whose rows are all older go; `None` = none do.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "retention_ns", with = "optional")]
    pub retention: Option<Duration>,
    /// Of each partition the oldest closed segments go as long as this many bytes are left; `None` = none do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_bytes: Option<u64>,
    /// When rows are synced to disk.
    #[serde(default)]
    pub fsync: Fsync,
    /// Whether rows that have been replaced are taken out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compaction: Option<Compaction>,
}

impl Default for TopicSettings {
    /// Segments of 256 MiB, synced every 200 ms, kept for ever.
    fn default() -> Self {
        TopicSettings {
            segment_bytes: 256 << 20,
            retention: None,
            retention_bytes: None,
            fsync: Fsync::default(),
            compaction: None,
        }
    }
}

impl TopicSettings {
    /// Segments of `segment_bytes`, else the defaults.
    pub fn segments_of(segment_bytes: u64) -> Self {
        TopicSettings { segment_bytes, ..TopicSettings::default() }
    }

    /// Fails if they do not fit a topic of these columns.
    pub(super) fn check(&self, schema: &Schema) -> Result<(), LogError> {
        if self.segment_bytes == 0 {
            return Err(LogError::SegmentSize);
        }
        let Some(compaction) = &self.compaction else { return Ok(()) };
        let missing = |column: &String| LogError::CompactionColumn { column: column.clone() };
        for column in &compaction.key {
            schema.index_of(column).map_err(|_| missing(column))?;
        }
        match &compaction.deleted {
            Some(deleted) => match schema.field_with_name(deleted) {
                Ok(field) if field.data_type() == &DataType::Boolean => Ok(()),
                _ => Err(missing(deleted)),
            },
            None => Ok(()),
        }
    }
}

/// Durations as whole nanoseconds.
mod nanoseconds {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    pub(super) fn serialize<S: Serializer>(value: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u64(u64::try_from(value.as_nanos()).unwrap_or(u64::MAX))
    }
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        Ok(Duration::from_nanos(u64::deserialize(d)?))
    }
}

/// Durations that may be absent, as whole nanoseconds.
mod optional {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    pub(super) fn serialize<S: Serializer>(value: &Option<Duration>, s: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::nanoseconds::serialize(value, s),
            None => s.serialize_none(),
        }
    }
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(d)?.map(Duration::from_nanos))
    }
}
