//! A topic's rows as a file for others: Parquet or Arrow IPC.

use super::consume::columns;
use crate::connectors::topic::TopicReader;
use crate::connectors::{FileWriter, PartitionReader, Read};
use crate::engine::{Engine, Result};
use crate::log::Start;
use std::path::Path;

/// Rows that are written at a time.
const BATCH_ROWS: usize = 8192;

/// What is to be exported of a topic.
#[derive(Debug, Clone, Default)]
pub struct ExportOptions {
    /// One partition only.
    pub partition: Option<u32>,
    /// Where to begin.
    pub from: Start,
    /// The offset before which to end; else where each partition ends now.
    pub to_offset: Option<u64>,
    /// The columns `_partition`, `_offset` and `_timestamp` as well.
    pub metadata: bool,
}

impl Engine {
    /// Writes a topic's rows, partition after partition, into the file at `path`, which is there when all of them
    /// are in it; its ending says the format. Gives the number of rows; `None` = `tick` said no more.
    pub fn export_topic(
        &self,
        name: &str,
        path: &Path,
        options: &ExportOptions,
        tick: &mut dyn FnMut() -> bool,
    ) -> Result<Option<u64>> {
        let topic = self.topic_with(name, options.partition)?;
        let (columns, schema) = columns(&topic, options.metadata);
        let mut writer = FileWriter::create(path, schema.clone())?;
        let partitions = match options.partition {
            Some(partition) => partition..partition + 1,
            None => 0..topic.partitions(),
        };
        let mut rows = 0;
        for partition in partitions {
            let start = topic.offset_of(partition, options.from)?.max(topic.start_offset(partition)?);
            let end = topic.end_offset(partition)?;
            let until = options.to_offset.map_or(end, |to| to.min(end));
            if start >= until {
                continue;
            }
            let (columns, schema) = (columns.clone(), schema.clone());
            let mut reader = TopicReader::new(&topic, partition, columns, schema, start, Some(until))?;
            loop {
                if !tick() {
                    return Ok(None);
                }
                let left = until.saturating_sub(reader.position().offset);
                let room = BATCH_ROWS.min(usize::try_from(left).unwrap_or(usize::MAX));
                let Read::Rows(slice) = reader.read(room)? else { break };
                rows += slice.batch.num_rows() as u64;
                writer.write(&slice.batch)?;
            }
        }
        writer.finish()?;
        Ok(Some(rows))
    }
}
