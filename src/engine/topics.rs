//! Looking at topics, as the `topic` command does.

use super::settings::{SETTINGS, set};
use super::sources::option_diagnostic;
use super::{Engine, Result};
use crate::connectors::nearest;
use crate::log::Maintained;
use crate::sql::Diagnostic;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

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
    /// First and next offset of each partition.
    pub partitions: Vec<(u64, u64)>,
}

/// What a consumer gets.
#[derive(Debug)]
pub struct Consumed {
    /// Which partition.
    pub partition: u32,
    /// The rows.
    pub batch: RecordBatch,
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
        let partitions = (0..topic.partitions())
            .map(|p| Ok((topic.start_offset(p)?, topic.end_offset(p)?)))
            .collect::<Result<_>>()?;
        let codec = topic.info().codec.name();
        Ok(TopicDescription { name: name.into(), schema: topic.schema(), codec, partitions })
    }

    /// Reads a topic from its start (one partition or all), giving each batch to `take` until it says no more. With
    /// `follow`, waits for rows to come; `tick` is asked now and then whether to go on.
    pub fn consume_topic(
        &self,
        name: &str,
        partition: Option<u32>,
        follow: bool,
        tick: &mut dyn FnMut() -> bool,
        take: &mut dyn FnMut(Consumed) -> Result<bool>,
    ) -> Result<()> {
        let topic = self.0.log.topic(name)?;
        let partitions: Vec<u32> = partition.map_or_else(|| (0..topic.partitions()).collect(), |p| vec![p]);
        let mut readers = Vec::new();
        for p in partitions {
            readers.push((p, topic.reader(p, topic.start_offset(p)?, None)?));
        }
        loop {
            let generation = topic.generation();
            let mut read_any = false;
            for (p, reader) in &mut readers {
                while let Some(frame) = reader.next()? {
                    read_any = true;
                    if frame.batch.num_rows() > 0 && !take(Consumed { partition: *p, batch: frame.batch })? {
                        return Ok(());
                    }
                }
            }
            if !follow && !read_any {
                return Ok(());
            }
            if !tick() {
                return Ok(());
            }
            if !read_any {
                topic.wait_newer(generation, std::time::Duration::from_millis(50));
            }
        }
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

    /// Removes and compacts now what a topic's settings say, even if little has been replaced.
    pub fn compact_topic(&self, name: &str) -> Result<Maintained> {
        Ok(self.0.log.compact_topic(name)?)
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
}

fn no_setting(name: &str) -> Diagnostic {
    let d = Diagnostic::new(format!("a topic has no setting '{name}' that can be changed"));
    match nearest(name, SETTINGS.iter().copied()) {
        Some(near) => d.help(format!("did you mean '{near}'?")),
        None => d.help(format!("what can be changed is {}", SETTINGS.join(", "))),
    }
}
