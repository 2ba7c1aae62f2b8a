//! Reading a topic's rows, alone or with others in a group.
//!
//! At least once: a group's place moves on when its rows have been taken, never before. A partition that goes
//! to another member has been committed up to the last row that was taken.

use crate::connectors::topic::{TopicColumn, TopicReader};
use crate::connectors::{PartitionReader, Read};
use crate::engine::{Engine, Result};
use crate::log::{Member, Start, Topic};
use crate::plan::stream::metadata_fields;
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Rows that are taken at a time, at most.
const BATCH_ROWS: u64 = 8192;
/// How long a look at a topic at its end waits at most: appends wake it, members that come and go do not.
const LOOK: Duration = Duration::from_millis(50);

/// What is to be read of a topic.
#[derive(Debug, Clone, Default)]
pub struct ConsumeOptions {
    /// One partition only.
    pub partition: Option<u32>,
    /// Where to begin. In a group: in partitions of which it has committed nothing.
    pub from: Option<Start>,
    /// How many rows, at most.
    pub limit: Option<u64>,
    /// Wait for further rows instead of ending.
    pub follow: bool,
    /// The group whose member reads.
    pub group: Option<String>,
    /// The columns `_partition`, `_offset` and `_timestamp` as well.
    pub metadata: bool,
}

/// What a consumer gets.
#[derive(Debug)]
pub enum Consumed {
    /// Rows of a partition.
    Rows {
        /// Which partition.
        partition: u32,
        /// The rows.
        batch: RecordBatch,
    },
    /// Rows that the group had not read are not there any more.
    Missed {
        /// Which partition.
        partition: u32,
        /// How many rows.
        rows: u64,
    },
}

/// The columns that are read of a topic.
pub(super) fn columns(topic: &Topic, metadata: bool) -> (Vec<TopicColumn>, SchemaRef) {
    let schema = topic.schema();
    let mut columns: Vec<TopicColumn> = (0..schema.fields().len()).map(TopicColumn::Data).collect();
    if !metadata {
        return (columns, schema);
    }
    columns.extend([TopicColumn::Partition, TopicColumn::Offset, TopicColumn::Timestamp]);
    let fields = schema.fields().iter().cloned().chain(metadata_fields().map(Arc::new));
    (columns, Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

impl Engine {
    /// The columns that [`consume_topic`](Self::consume_topic) gives.
    pub fn consumed_schema(&self, name: &str, metadata: bool) -> Result<SchemaRef> {
        Ok(columns(&*self.0.log.topic(name)?, metadata).1)
    }

    /// Reads a topic, giving each batch to `take` until it says no more; what it has said no to is not committed.
    /// `tick` is asked now and then whether to go on.
    pub fn consume_topic(
        &self,
        name: &str,
        options: &ConsumeOptions,
        tick: &mut dyn FnMut() -> bool,
        take: &mut dyn FnMut(Consumed) -> Result<bool>,
    ) -> Result<()> {
        let topic = self.topic_with(name, options.partition)?;
        let mut reading = Reading::start(self, topic, options)?;
        while tick() {
            let generation = reading.topic.generation();
            reading.look(take)?;
            match reading.round(take)? {
                Round::Enough => break,
                Round::Some => {}
                Round::Nothing if !options.follow && !reading.waits() => break,
                Round::Nothing => drop(reading.topic.wait_newer(generation, LOOK)),
            }
        }
        match &reading.member {
            Some(member) => Ok(member.sync()?),
            None => Ok(()),
        }
    }
}

/// What a look at all partitions gave.
enum Round {
    /// No more is wanted.
    Enough,
    Some,
    Nothing,
}

/// A topic that is read.
struct Reading {
    topic: Arc<Topic>,
    columns: Vec<TopicColumn>,
    schema: SchemaRef,
    readers: BTreeMap<u32, TopicReader>,
    member: Option<Member>,
    from: Start,
    follow: bool,
    left: u64,
}

impl Reading {
    fn start(engine: &Engine, topic: Arc<Topic>, options: &ConsumeOptions) -> Result<Self> {
        let (columns, schema) = columns(&topic, options.metadata);
        let member = match &options.group {
            Some(group) => Some(engine.0.log.ensure_group(group)?.join(&topic)?),
            None => None,
        };
        let mut reading = Reading {
            columns,
            schema,
            readers: BTreeMap::new(),
            member,
            from: options.from.unwrap_or_default(),
            follow: options.follow,
            left: options.limit.unwrap_or(u64::MAX),
            topic,
        };
        if reading.member.is_none() {
            let partitions = match options.partition {
                Some(partition) => partition..partition + 1,
                None => 0..reading.topic.partitions(),
            };
            for partition in partitions {
                let offset = reading.topic.offset_of(partition, reading.from)?;
                reading.open(partition, offset)?;
            }
        }
        Ok(reading)
    }

    fn open(&mut self, partition: u32, offset: u64) -> Result<()> {
        let start = offset.max(self.topic.start_offset(partition)?);
        let until = if self.follow { None } else { Some(self.topic.end_offset(partition)?) };
        let (columns, schema) = (self.columns.clone(), self.schema.clone());
        let reader = TopicReader::new(&self.topic, partition, columns, schema, start, until)?;
        self.readers.insert(partition, reader);
        Ok(())
    }

    /// Looks at the group's other members: gives partitions up, and takes some over.
    fn look(&mut self, take: &mut dyn FnMut(Consumed) -> Result<bool>) -> Result<()> {
        let Some(member) = &mut self.member else { return Ok(()) };
        let assignment = member.refresh()?;
        let mut starts = Vec::new();
        for partition in &assignment.lost {
            self.readers.remove(partition);
        }
        for gained in assignment.gained {
            let partition = gained.partition;
            if gained.missed > 0 {
                take(Consumed::Missed { partition, rows: gained.missed })?;
            }
            let offset = match gained.committed {
                Some(offset) => offset,
                // Kept at once: the next run is to go on from here, though it may start another way.
                None => {
                    let offset = self.topic.offset_of(partition, self.from)?;
                    let offset = offset.min(self.topic.end_offset(partition)?);
                    starts.push((partition, offset));
                    offset
                }
            };
            self.open(partition, offset)?;
        }
        if let Some(member) = &mut self.member {
            starts.into_iter().try_for_each(|(partition, offset)| member.commit(partition, offset))?;
        }
        Ok(())
    }

    /// A partition that it is assigned is another's still, and may hold rows for it.
    fn waits(&self) -> bool {
        self.member.as_ref().is_some_and(Member::waits)
    }

    /// One batch of each partition.
    fn round(&mut self, take: &mut dyn FnMut(Consumed) -> Result<bool>) -> Result<Round> {
        let mut round = Round::Nothing;
        for (&partition, reader) in &mut self.readers {
            if self.left == 0 {
                return Ok(Round::Enough);
            }
            let Read::Rows(slice) = reader.read(self.left.min(BATCH_ROWS) as usize)? else { continue };
            round = Round::Some;
            let rows = slice.batch.num_rows() as u64;
            self.left -= rows;
            if rows > 0 && !take(Consumed::Rows { partition, batch: slice.batch })? {
                return Ok(Round::Enough);
            }
            if let Some(member) = &mut self.member {
                member.commit(partition, reader.position().offset)?;
            }
        }
        Ok(if self.left == 0 { Round::Enough } else { round })
    }
}
