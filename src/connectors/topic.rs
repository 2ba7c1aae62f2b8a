//! Streams in the embedded log: `CREATE STREAM s (…) WITH (partitions = 4, key = 'k')` (the connector by default).
//!
//! An offset is the row's place in its partition. Read again, a partition gives the same rows; writes are
//! exactly once: each frame carries the job and the step, and a step that a partition already has is dropped.

use super::{ConnectorError, ConnectorInfo, OptionInfo, PartitionReader, Position, Read, Slice};
use crate::log::{Append, Feeder, Frame, Fsync, LogReader, PartitionWriter, Topic};
use arrow::array::{
    Array, ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, RecordBatchOptions,
    TimestampNanosecondArray, UInt32Array,
};
use arrow::compute::{cast, concat, concat_batches, max, min, take, take_record_batch};
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// What the connector is called and takes.
pub const TOPIC: ConnectorInfo = ConnectorInfo {
    name: "topic",
    help: "rows in a partitioned topic of the data directory",
    options: &[
        OptionInfo {
            name: "partitions",
            default: Some("1"),
            help: "how many partitions the topic has (1 to 1024)",
        },
        OptionInfo {
            name: "key",
            default: Some(""),
            help: "the column by whose hash rows are placed in partitions; without it they go round",
        },
        OptionInfo {
            name: "codec",
            default: Some("lz4"),
            help: "how frames are compressed: lz4, zstd or none",
        },
        OptionInfo {
            name: "fsync",
            default: Some("200 ms"),
            help: "when rows are made to survive a power cut: 'step' (before they count as written), an interval \
                   such as '200 ms', or 'os' (when the system sees fit)",
        },
        OptionInfo {
            name: "retention",
            default: Some(""),
            help: "how long rows are kept, such as '7 days'; without it for ever",
        },
        OptionInfo {
            name: "retention_bytes",
            default: Some(""),
            help: "how many bytes of each partition are kept at least, such as '10 GB'; without it all",
        },
        OptionInfo {
            name: "segment_bytes",
            default: Some("256 MiB"),
            help: "how long a segment file gets: what is removed or compacted are whole segments",
        },
        OptionInfo {
            name: "compaction",
            default: Some("on"),
            help: "of a table: whether rows that have been replaced are taken out, on or off",
        },
        OptionInfo {
            name: "keep_tombstones",
            default: Some("24 hours"),
            help: "of a table: how long after that the mark of a deleted row is kept",
        },
    ],
};

/// Frames of fewer rows than this are read together.
const COALESCE_ROWS: usize = 8192;

/// So many rows of a producer that numbers them follow each other in a partition.
const NUMBERED_RUN: u64 = 1024;

/// The metadata columns that a reader adds behind the topic's own, by what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicColumn {
    /// A column of the topic.
    Data(usize),
    /// `_partition`.
    Partition,
    /// `_offset`.
    Offset,
    /// `_timestamp`: when the row was written.
    Timestamp,
}

/// Reads one partition of a topic. It never ends by itself; with `until`, it ends there.
pub struct TopicReader {
    topic: Arc<Topic>,
    partition: u32,
    columns: Vec<TopicColumn>,
    projection: Vec<usize>,
    schema: SchemaRef,
    reader: LogReader,
    /// A frame of which only the first rows have been given, and how many.
    held: Option<(Frame, usize)>,
    /// The least offset that is given.
    from: u64,
    position: u64,
    /// The writer's epoch of the last frame of which rows were given; 0 = none were yet.
    epoch: u32,
    until: Option<u64>,
    /// Somebody wants to be told of news.
    is_told: bool,
    /// A failure that comes after rows that have just been given.
    failed: Option<ConnectorError>,
}

impl TopicReader {
    /// A reader of `partition` from offset `start` on, giving `columns` under `schema`. The offset may be one that the
    /// partition does not have yet: then it waits for that row.
    pub fn new(
        topic: &Arc<Topic>,
        partition: u32,
        columns: Vec<TopicColumn>,
        schema: SchemaRef,
        start: u64,
        until: Option<u64>,
    ) -> Result<Self, ConnectorError> {
        let mut projection: Vec<usize> = columns
            .iter()
            .filter_map(|c| match c {
                TopicColumn::Data(i) => Some(*i),
                _ => None,
            })
            .collect();
        projection.sort_unstable();
        projection.dedup();
        let begin = start.min(topic.end_offset(partition)?);
        let reader = topic.reader(partition, begin, Some(projection.clone()))?;
        Ok(TopicReader {
            topic: Arc::clone(topic),
            partition,
            columns,
            projection,
            schema,
            reader,
            held: None,
            from: start,
            position: start,
            epoch: 0,
            until,
            is_told: false,
            failed: None,
        })
    }

    /// The next frame, or the rest of one, cut to `room` rows; nothing if there is none, or if its rows' lateness is
    /// told in another way than that of the rows before it in the slice (`stated`).
    /// Gives no rows from `end` on.
    fn next_part(
        &mut self,
        room: usize,
        stated: Option<bool>,
        end: u64,
    ) -> Result<Option<Part>, ConnectorError> {
        if self.held.is_none() {
            self.held = self.reader.next()?.map(|frame| {
                let before = rows_before(&frame, self.from);
                (frame, before)
            });
        }
        let Some((frame, given)) = self.held.take() else { return Ok(None) };
        if stated.is_some_and(|stated| stated != frame.watermark.is_some()) {
            self.held = Some((frame, given));
            return Ok(None);
        }
        let rows = frame.batch.num_rows() - given;
        let taken = rows.min(room).min(rows_before(&frame, end).saturating_sub(given));
        let part = Part {
            batch: self.shape(&frame, given, taken)?,
            marks: frame.marks.as_ref().map(|m| m.slice(given, taken)),
            // What the writer states holds after all of the frame's rows.
            watermark: frame.watermark.filter(|_| taken == rows),
            stated: frame.watermark.is_some(),
        };
        // What compaction took away before `end` has been read with the rows around it.
        self.position = frame.offset(given + taken).min(end).max(self.from);
        self.epoch = frame.epoch;
        if taken < rows {
            self.held = Some((frame, given + taken));
        }
        Ok(Some(part))
    }

    /// The asked-for columns of rows `given..given + taken` of a frame.
    fn shape(&self, frame: &Frame, given: usize, taken: usize) -> Result<RecordBatch, ConnectorError> {
        let batch = frame.batch.slice(given, taken);
        let column = |c: &TopicColumn| -> ArrayRef {
            match c {
                TopicColumn::Data(i) => {
                    let at = self.projection.binary_search(i).unwrap_or_default();
                    batch.column(at).clone()
                }
                TopicColumn::Partition => Arc::new(Int32Array::from_value(self.partition as i32, taken)),
                TopicColumn::Offset => Arc::new(Int64Array::from_iter_values(
                    (given..given + taken).map(|i| frame.offset(i) as i64),
                )),
                TopicColumn::Timestamp => {
                    Arc::new(TimestampNanosecondArray::from_value(frame.append_time, taken))
                }
            }
        };
        let columns = self.columns.iter().map(column).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(taken));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options).map_err(other)
    }
}

/// How many of a frame's rows have offsets before this one.
fn rows_before(frame: &Frame, offset: u64) -> usize {
    let rows = frame.batch.num_rows();
    match &frame.offsets {
        None => usize::try_from(offset.saturating_sub(frame.base_offset)).unwrap_or(rows).min(rows),
        Some(offsets) => offsets.values().partition_point(|o| *o < offset),
    }
}

/// A part of a slice: rows of one frame.
struct Part {
    batch: RecordBatch,
    marks: Option<Int64Array>,
    watermark: Option<i64>,
    stated: bool,
}

impl PartitionReader for TopicReader {
    fn read(&mut self, max_rows: usize) -> Result<Read, ConnectorError> {
        self.read_before(u64::MAX, max_rows)
    }

    fn read_until(&mut self, end: Position, max_rows: usize) -> Result<Read, ConnectorError> {
        self.read_before(end.offset, max_rows)
    }

    fn notify(&mut self, news: &Arc<dyn Fn() + Send + Sync>) -> bool {
        self.topic.notify(news);
        self.is_told = true;
        true
    }

    fn position(&self) -> Position {
        Position { offset: self.position, line: u64::from(self.epoch) }
    }
}

impl TopicReader {
    /// Rows before the offset `end`.
    fn read_before(&mut self, end: u64, max_rows: usize) -> Result<Read, ConnectorError> {
        let end = self.until.map_or(end, |until| until.min(end));
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut parts: Vec<Part> = Vec::new();
        let mut rows = 0;
        let enough = max_rows.min(COALESCE_ROWS);
        while rows < enough && self.position < end {
            let part = match self.next_part(max_rows - rows, parts.last().map(|p| p.stated), end) {
                Ok(Some(part)) => part,
                Ok(None) => break,
                // What lies before the damage is still given.
                Err(error) if !parts.is_empty() => {
                    self.failed = Some(error);
                    break;
                }
                Err(error) => return Err(error),
            };
            let states = part.watermark.is_some();
            rows += part.batch.num_rows();
            parts.push(part);
            if states {
                break;
            }
        }
        if parts.is_empty() {
            if self.is_told {
                // Partitions may have appeared since.
                self.topic.watch();
            }
            let ended = self.until.is_some_and(|until| self.position >= until);
            return Ok(if ended { Read::End } else { Read::Pending });
        }
        Ok(Read::Rows(self.slice(parts)?))
    }

    fn slice(&self, parts: Vec<Part>) -> Result<Slice, ConnectorError> {
        let batch = concat_batches(&self.schema, parts.iter().map(|p| &p.batch)).map_err(other)?;
        let marks = if parts.iter().any(|p| p.marks.is_some()) {
            let all: Vec<Int64Array> = parts
                .iter()
                .map(|p| {
                    p.marks.clone().unwrap_or_else(|| Int64Array::from_value(i64::MIN, p.batch.num_rows()))
                })
                .collect();
            let all: Vec<&dyn Array> = all.iter().map(|a| a as &dyn Array).collect();
            Some(concat(&all).map_err(other)?.as_primitive::<Int64Type>().clone())
        } else {
            None
        };
        let watermark = parts.iter().filter_map(|p| p.watermark).max();
        let stated = parts.iter().any(|p| p.stated);
        Ok(Slice { batch, marks, stated, watermark, bad: Vec::new(), end: self.position() })
    }
}

/// A job that writes a topic, see [`Feeder`].
#[derive(Debug, Clone, Copy)]
pub struct FedBy<'a> {
    /// Its name.
    pub name: &'a str,
    /// The bits behind its steps in the steps of what is appended.
    pub step_bits: u32,
    /// The topics that it reads.
    pub reads: &'a [String],
}

/// Appends rows to a topic: by the hash of the key columns, else whole steps round the partitions.
pub struct TopicAppender {
    topic: Arc<Topic>,
    writers: Vec<PartitionWriter>,
    key: Option<Vec<usize>>,
    time: Option<usize>,
    producer: u128,
}

impl TopicAppender {
    /// An appender for `producer` (0 = nothing is dropped as a repetition). `key` are the key columns' indices (a key
    /// of no columns puts all rows into the first partition), `time` is that of the event time, whose bounds each
    /// frame states.
    pub fn new(
        topic: &Arc<Topic>,
        key: Option<Vec<usize>>,
        time: Option<usize>,
        producer: u128,
    ) -> Result<Self, ConnectorError> {
        let writers = (0..topic.partitions()).map(|p| topic.writer(p)).collect::<Result<_, _>>()?;
        Ok(TopicAppender { topic: topic.clone(), writers, key, time, producer })
    }

    /// Appends one step's rows, with their marks, and states a watermark in every partition.
    /// Partitions that have the step already drop their part.
    pub fn append(
        &mut self,
        step: u64,
        batch: &RecordBatch,
        marks: Option<&Int64Array>,
        watermark: Option<i64>,
    ) -> Result<(), ConnectorError> {
        let partitions = self.writers.len();
        let parts = match &self.key {
            Some(key) if partitions > 1 => {
                let key: Vec<&ArrayRef> = key.iter().map(|c| batch.column(*c)).collect();
                by_key(&key, batch.num_rows(), partitions)?
            }
            _ => Vec::new(),
        };
        for (p, writer) in self.writers.iter_mut().enumerate() {
            let (rows, marks) = match parts.get(p) {
                Some(indices) => {
                    let marks = marks.map(|m| take(m, indices, None)).transpose().map_err(other)?;
                    let marks = marks.map(|m| m.as_primitive::<Int64Type>().clone());
                    (take_record_batch(batch, indices).map_err(other)?, marks)
                }
                None if step as usize % partitions == p => (batch.clone(), marks.cloned()),
                None => (batch.slice(0, 0), None),
            };
            if rows.num_rows() == 0 && watermark.is_none() {
                continue;
            }
            let marks = marks.as_ref().filter(|_| rows.num_rows() > 0);
            let timestamps = self.time.map(|time| time_bounds(rows.column(time))).transpose()?.flatten();
            writer.append(Append {
                batch: &rows,
                marks,
                producer: self.producer,
                step,
                watermark,
                timestamps,
            })?;
        }
        Ok(())
    }

    /// Appends rows of a producer that numbers them: the first of `batch` has the number `first`, which is not 0. Leaves
    /// those out that are there already, however they were cut into batches; gives how many it appended.
    /// Without a key, a row's number says its partition.
    pub fn append_numbered(&mut self, first: u64, batch: &RecordBatch) -> Result<u64, ConnectorError> {
        let (rows, partitions) = (batch.num_rows(), self.writers.len());
        let parts = match &self.key {
            Some(key) => {
                let key: Vec<&ArrayRef> = key.iter().map(|c| batch.column(*c)).collect();
                by_key(&key, rows, partitions)?
            }
            None => by_number(first, rows, partitions),
        };
        let step = first + rows as u64 - 1;
        let mut appended = 0;
        for (writer, indices) in self.writers.iter_mut().zip(parts) {
            let known = writer.last_step(self.producer)?.unwrap_or_default();
            let new = indices.values().iter().copied().filter(|row| first + u64::from(*row) > known);
            let new = UInt32Array::from_iter_values(new);
            if new.is_empty() {
                continue;
            }
            let rows = take_record_batch(batch, &new).map_err(other)?;
            let timestamps = self.time.map(|time| time_bounds(rows.column(time))).transpose()?.flatten();
            let producer = self.producer;
            let append = Append { producer, step, timestamps, ..Append::rows(&rows) };
            writer.append(append)?;
            appended += rows.num_rows() as u64;
        }
        Ok(appended)
    }

    /// Whether what is appended is durable at once.
    pub fn is_durable_at_once(&self) -> bool {
        self.topic.settings().fsync == Fsync::Step
    }

    /// Remembers beside the topic that a job writes it.
    pub fn fed_by(&self, job: &FedBy) -> Result<(), ConnectorError> {
        Ok(self.topic.fed_by(&Feeder {
            name: job.name.into(),
            producer: self.producer,
            step_bits: job.step_bits,
            reads: job.reads.to_vec(),
        })?)
    }

    /// The last step of the producer that any partition has.
    pub fn last_step(&mut self) -> Result<Option<u64>, ConnectorError> {
        let mut last = None;
        for writer in &self.writers {
            last = last.max(writer.last_step(self.producer)?);
        }
        Ok(last)
    }

    /// The topic.
    pub fn topic(&self) -> Arc<Topic> {
        self.topic.clone()
    }

    /// Makes what was appended durable.
    pub fn sync(&mut self) -> Result<(), ConnectorError> {
        Ok(self.topic.sync_all()?)
    }
}

/// The least and the greatest of a timestamp column, in its own unit; nothing where all are null.
fn time_bounds(times: &ArrayRef) -> Result<Option<(i64, i64)>, ConnectorError> {
    let times = cast(times, &DataType::Int64).map_err(other)?;
    let times = times.as_primitive::<Int64Type>();
    Ok(min(times).zip(max(times)))
}

fn other(error: impl std::fmt::Display) -> ConnectorError {
    ConnectorError::Other(error.to_string())
}

/// The rows of each partition, by a hash of the key that stays the same for ever: that of the only column, or
/// xxh3 of the columns' hashes one after the other. Without columns all rows have one place.
fn by_key(key: &[&ArrayRef], rows: usize, partitions: usize) -> Result<Vec<UInt32Array>, ConnectorError> {
    let columns = key.iter().map(|column| hashes(column)).collect::<Result<Vec<_>, _>>()?;
    let mut indices: Vec<Vec<u32>> = vec![Vec::new(); partitions];
    let mut bytes = Vec::with_capacity(columns.len() * 8);
    for row in 0..rows {
        let hash = match columns.as_slice() {
            [] => 0,
            [one] => one[row],
            several => {
                bytes.clear();
                several.iter().for_each(|hashes| bytes.extend_from_slice(&hashes[row].to_le_bytes()));
                xxh3_64(&bytes)
            }
        };
        indices[(hash % partitions as u64) as usize].push(row as u32);
    }
    Ok(indices.into_iter().map(UInt32Array::from).collect())
}

/// The rows of each partition, by their numbers: so many that follow each other lie in one.
fn by_number(first: u64, rows: usize, partitions: usize) -> Vec<UInt32Array> {
    let mut indices: Vec<Vec<u32>> = vec![Vec::new(); partitions];
    for row in 0..rows as u32 {
        let turn = (first + u64::from(row)) / NUMBERED_RUN;
        indices[(turn % partitions as u64) as usize].push(row);
    }
    indices.into_iter().map(UInt32Array::from).collect()
}

/// A hash of each value that stays the same for ever: xxh3 of the little-endian 64-bit value of whole numbers and
/// booleans, of the UTF-8 text of everything else; 0 for null.
fn hashes(column: &ArrayRef) -> Result<Vec<u64>, ConnectorError> {
    if column.data_type().is_integer() || column.data_type() == &DataType::Boolean {
        let column = cast(column, &DataType::Int64).map_err(other)?;
        let values = column.as_primitive::<Int64Type>().iter();
        return Ok(values.map(|value| value.map_or(0, |v| xxh3_64(&v.to_le_bytes()))).collect());
    }
    let column = cast(column, &DataType::Utf8).map_err(other)?;
    let values = column.as_string::<i32>().iter();
    Ok(values.map(|value| value.map_or(0, |v| xxh3_64(v.as_bytes()))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::StringArray;

    fn topic(partitions: u32) -> (tempfile::TempDir, Arc<Topic>) {
        let dir = tempfile::tempdir().unwrap();
        let disk = crate::disk::Disk::real();
        let log =
            crate::log::Log::open(dir.path().join("data"), disk, crate::clock::Clock::manual(5)).unwrap();
        let options = crate::log::TopicOptions { partitions, ..Default::default() };
        let topic = log.create_topic("t", options, rows(0..0).schema()).unwrap();
        (dir, topic)
    }

    fn rows(numbers: std::ops::Range<i64>) -> RecordBatch {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers));
        RecordBatch::try_from_iter([("n", column)]).unwrap()
    }

    /// All that a reader gives, a slice after the other.
    fn read(reader: &mut TopicReader, max_rows: usize) -> Vec<i64> {
        let mut all = Vec::new();
        while let Read::Rows(slice) = reader.read(max_rows).unwrap() {
            all.extend_from_slice(slice.batch.column(0).as_primitive::<Int64Type>().values());
        }
        all
    }

    fn reader(topic: &Arc<Topic>, partition: u32, start: u64) -> TopicReader {
        TopicReader::new(topic, partition, vec![TopicColumn::Data(0)], topic.schema(), start, None).unwrap()
    }

    #[test]
    fn a_reader_may_start_with_a_row_that_is_yet_to_come() {
        for max_rows in [1, 3, 1000] {
            let (_dir, topic) = topic(1);
            let mut appender = TopicAppender::new(&topic, None, None, 0).unwrap();
            let mut append = |numbers| appender.append(0, &rows(numbers), None, None).unwrap();
            append(0..4);
            let mut readers = [2, 4, 5, 9, 12].map(|start| (start, reader(&topic, 0, start)));
            for (start, reader) in &mut readers {
                assert_eq!(read(reader, max_rows), (*start as i64..4).collect::<Vec<_>>());
                assert_eq!(reader.position().offset, (*start).max(4));
            }
            append(4..7);
            append(7..11);
            for (start, reader) in &mut readers {
                assert_eq!(read(reader, max_rows), ((*start as i64).max(4)..11).collect::<Vec<_>>());
                assert_eq!(reader.position().offset, (*start).max(11));
            }
        }
    }

    #[test]
    fn numbered_rows_are_appended_once_however_they_are_cut() {
        for key in [None, Some(vec![0])] {
            let (_dir, topic) = topic(3);
            let appender = || TopicAppender::new(&topic, key.clone(), None, 77).unwrap();
            let append = |appender: &mut TopicAppender, numbers: std::ops::Range<i64>| {
                appender.append_numbered(numbers.start as u64 + 1, &rows(numbers)).unwrap()
            };
            assert_eq!(append(&mut appender(), 0..2_000), 2_000);
            let mut again = appender();
            assert_eq!(append(&mut again, 0..1_999), 0);
            assert_eq!(append(&mut again, 1_999..2_500), 500);
            assert_eq!(append(&mut again, 2_500..6_000), 3_500);
            let whole = (0..9_000).step_by(700).map(|at| append(&mut appender(), at..(at + 700).min(9_000)));
            assert_eq!(whole.sum::<u64>(), 3_000);
            let mut all: Vec<i64> = (0..3).flat_map(|p| read(&mut reader(&topic, p, 0), 1000)).collect();
            assert!((0..3).all(|p| topic.end_offset(p).unwrap() > 2_000), "all partitions are used");
            all.sort_unstable();
            assert!(all == (0..9_000).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_place_of_a_key_never_changes() {
        let text: ArrayRef = Arc::new(StringArray::from(vec![Some("EWR"), Some("JFK"), Some("LGA"), None]));
        let places_of = |key: &[&ArrayRef]| -> Vec<usize> {
            let parts = by_key(key, 4, 4).unwrap();
            (0..4).map(|r| parts.iter().position(|p| p.values().contains(&r)).unwrap()).collect()
        };
        let places = |key: &ArrayRef| places_of(&[key]);
        assert_eq!(places(&text), vec![2, 3, 2, 0]);
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, -1]));
        let narrow: ArrayRef = cast(&numbers, &DataType::Int16).unwrap();
        assert_eq!(places(&numbers), places(&narrow), "the width of a number does not move it");
        assert_eq!(places(&numbers), vec![2, 3, 1, 3]);
        assert_eq!(places_of(&[&text, &numbers]), vec![0, 0, 0, 1]);
        assert_eq!(places_of(&[]), vec![0; 4], "a key of no columns");
    }
}
