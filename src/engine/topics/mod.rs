//! Topics, as the `topic` command lists, shows and deletes them.

mod care;
mod consume;
mod export;
mod produce;

pub use consume::{ConsumeOptions, Consumed};
pub use export::ExportOptions;
pub use produce::{ProduceOptions, Produced};

use super::settings::{SETTINGS, set};
use super::sources::option_diagnostic;
use super::{Engine, Result};
use crate::connectors::nearest;
use crate::formats::timestamp_ns;
use crate::log::{Fsync, GroupPartition, PartitionStats, Start, Topic, TopicSettings};
use crate::operators::window::length;
use crate::sql::Code;
use crate::sql::Diagnostic;
use arrow::datatypes::{DataType, SchemaRef};
use std::sync::Arc;
use std::time::Duration;

/// A topic in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicRow {
    /// Its name.
    pub name: String,
    /// Number of partitions.
    pub partitions: u32,
    /// Rows in it.
    pub rows: u64,
}

/// What is known of a topic.
#[derive(Debug, Clone)]
pub struct TopicDescription {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub schema: SchemaRef,
    /// How its frames are compressed.
    pub codec: &'static str,
    /// How it is kept, in words.
    pub kept: Vec<String>,
    /// What each partition holds.
    pub partitions: Vec<PartitionDescription>,
    /// The type of its event time, if it has one.
    pub event_time: Option<DataType>,
    /// The groups that have read it: their names, their places, and the processes that read it now.
    pub groups: Vec<(String, Vec<GroupPartition>)>,
}

/// What a partition holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionDescription {
    /// What its files tell.
    pub stats: PartitionStats,
    /// Rows that were appended within the last minute.
    pub last_minute: u64,
}

/// Where reading is to begin, as it is written: `earliest`, `latest`, an offset, or a time.
pub fn parse_start(text: &str) -> std::result::Result<Start, String> {
    match text.to_ascii_lowercase().as_str() {
        "earliest" => Ok(Start::Earliest),
        "latest" => Ok(Start::Latest),
        number if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => {
            number.parse().map(Start::Offset).map_err(|_| "no partition has that many rows".into())
        }
        _ => timestamp_ns(text).map(Start::Time).ok_or_else(|| {
            "write earliest, latest, an offset, or a time such as '2026-01-31 12:00:00'".to_string()
        }),
    }
}

impl Engine {
    /// All topics, by name.
    pub fn topics(&self) -> Result<Vec<TopicRow>> {
        let mut rows = Vec::new();
        for info in self.0.log.topics()? {
            let topic = self.0.log.topic(&info.name)?;
            let count = (0..topic.partitions()).try_fold(0, |sum, p| -> Result<u64> {
                Ok(sum + topic.end_offset(p)? - topic.start_offset(p)?)
            })?;
            rows.push(TopicRow { name: info.name, partitions: info.partitions, rows: count });
        }
        Ok(rows)
    }

    /// What this process has recovered from in topics: unfinished appends that were cut off, in words.
    pub fn recoveries(&self) -> Result<Vec<String>> {
        let mut notes = Vec::new();
        for info in self.0.log.topics()? {
            notes.extend(self.0.log.topic(&info.name)?.recovered().iter().map(ToString::to_string));
        }
        Ok(notes)
    }

    /// One topic.
    pub fn describe_topic(&self, name: &str) -> Result<TopicDescription> {
        let topic = self.0.log.topic(name)?;
        let partitions = (0..topic.partitions()).map(|p| self.describe_partition(&topic, p));
        let definitions = self.definitions()?;
        let stream = definitions.streams.get(name);
        let event_time = stream.and_then(|s| s.event_time_index().map(|i| s.columns[i].data_type.clone()));
        let mut groups = Vec::new();
        for info in self.0.log.groups()? {
            let rows = self.0.log.group(&info.name)?.describe_topic(&topic)?;
            if rows.iter().any(|row| row.committed.is_some() || row.owner.is_some()) {
                groups.push((info.name, rows));
            }
        }
        Ok(TopicDescription {
            name: name.into(),
            schema: topic.schema(),
            codec: topic.info().codec.name(),
            kept: kept(&topic.settings()),
            partitions: partitions.collect::<Result<_>>()?,
            event_time,
            groups,
        })
    }

    fn describe_partition(&self, topic: &Topic, partition: u32) -> Result<PartitionDescription> {
        let stats = topic.stats(partition)?;
        let minute_ago = self.0.clock.now_ns().saturating_sub(60_000_000_000);
        let last_minute = stats.end.saturating_sub(topic.offset_for_time(partition, minute_ago)?);
        Ok(PartitionDescription { stats, last_minute })
    }

    /// Changes how a topic is kept: settings and their values as in `WITH (…)`.
    pub fn alter_topic(&self, name: &str, settings: &[(String, String)]) -> Result<()> {
        let definitions = self.definitions()?;
        let key = definitions.streams.get(name).and_then(|stream| stream.primary_key.as_ref());
        let mut mistake = None;
        self.0.log.alter_topic(name, |kept| {
            let before = kept.clone();
            for (setting, value) in settings {
                match set(kept, (name, key), setting, value) {
                    Ok(true) => continue,
                    Ok(false) => mistake = Some(no_setting(setting)),
                    Err(e) => mistake = Some(option_diagnostic(e)),
                }
                *kept = before;
                return;
            }
        })?;
        mistake.map_or(Ok(()), |mistake| Err(mistake.into()))
    }

    /// Deletes a topic that is no stream's; a stream's goes with DROP STREAM.
    pub fn delete_topic(&self, name: &str) -> Result<()> {
        let topic = self.0.log.topic(name)?;
        if self.definitions()?.streams.contains_key(name) {
            super::jobs::forget_jobs_into(self, name)?;
            self.0.catalog.change(|all| all.streams.remove(name))?;
        }
        drop(topic);
        Ok(self.0.log.delete_topic(name)?)
    }

    /// A topic, and a partition of it that must be there.
    fn topic_with(&self, name: &str, partition: Option<u32>) -> Result<Arc<Topic>> {
        let topic = self.0.log.topic(name)?;
        if let Some(partition) = partition {
            topic.start_offset(partition)?;
        }
        Ok(topic)
    }
}

/// How a topic is kept, in words.
fn kept(settings: &TopicSettings) -> Vec<String> {
    let duration = |d: Duration| length(i64::try_from(d.as_nanos()).unwrap_or(i64::MAX));
    let mut words = vec![format!("segments of {}", size(settings.segment_bytes))];
    words.extend(settings.retention.map(|keep| format!("rows kept for {}", duration(keep))));
    words.extend(settings.retention_bytes.map(|bytes| format!("{} a partition kept", size(bytes))));
    if let Some(compaction) = &settings.compaction {
        words.push(format!("compacted by ({})", compaction.key.join(", ")));
    }
    words.push(match settings.fsync {
        Fsync::Step => "each append synced to disk".into(),
        Fsync::Interval { every } => format!("synced to disk every {}", duration(every)),
        Fsync::Os => "synced to disk when the system does".into(),
    });
    words
}

/// Bytes in the greatest unit that they are a whole number of.
fn size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} bytes"),
    }
}

fn no_setting(name: &str) -> Diagnostic {
    let d = Diagnostic::coded(Code::NoOption, format!("a topic has no setting '{name}' that can be changed"));
    match nearest(name, SETTINGS.iter().copied()) {
        Some(near) => d.help(format!("did you mean '{near}'?")),
        None => d.help(format!("what can be changed is {}", SETTINGS.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_as_they_are_written() {
        assert_eq!(parse_start("Earliest"), Ok(Start::Earliest));
        assert_eq!(parse_start("latest"), Ok(Start::Latest));
        assert_eq!(parse_start("17"), Ok(Start::Offset(17)));
        assert_eq!(parse_start("2026-01-31T12:00:00Z"), Ok(Start::Time(1_769_860_800_000_000_000)));
        assert_eq!(parse_start("2026-01-31"), Ok(Start::Time(1_769_817_600_000_000_000)));
        for wrong in ["", "newest", "-1", "99999999999999999999", "1.5"] {
            assert!(parse_start(wrong).is_err(), "{wrong}");
        }
    }
}
