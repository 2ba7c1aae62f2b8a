//! Appending to a partition.
//!
//! An append encodes its rows, then enters the partition (partition.rs), and under the lock: asks
//! whether the producer's step is there already, closes the active segment if it is full, stamps offset,
//! epoch and time onto the frame, writes it in one go, and publishes the new length in `tail`. An append
//! that fails leaves the partition as it was.
//!
//! What was appended outlives the process at once, and a crash of the machine from the next sync on (sync.rs). A
//! sync writes out the frames, not `tail`: after a crash of the machine an older `tail` only makes recovery scan more.

use super::body::{self, Encoder};
use super::error::LogError;
use super::frame::{HEADER_LEN, Header, MAX_BODY};
use super::partition::Entered;
use super::segment::{list_segments, segment_path};
use super::tail::Tail;
use super::topic::Topic;
use arrow::array::{Array, Int64Array, RecordBatch};
use arrow::error::ArrowError;
use std::fmt;
use std::sync::Arc;

/// Rows of more bytes than this are spread over several frames, of which readers see all or none.
const FRAME_BYTES: usize = 16 << 20;

/// What is appended at once.
#[derive(Debug, Clone, Copy)]
pub struct Append<'a> {
    /// The rows, with the topic's columns in their order; may be none.
    pub batch: &'a RecordBatch,
    /// A number per row that is kept beside the columns.
    pub marks: Option<&'a Int64Array>,
    /// Who appends; 0 = nobody who would ever append the same again.
    pub producer: u128,
    /// The producer's step. A step that is not greater than the producer's last one in this partition is
    /// there already, and not appended again.
    pub step: u64,
    /// The watermark that holds after these rows.
    pub watermark: Option<i64>,
    /// Least and greatest timestamp of the rows.
    pub timestamps: Option<(i64, i64)>,
}

impl<'a> Append<'a> {
    /// Rows and nothing else.
    pub fn rows(batch: &'a RecordBatch) -> Self {
        Append { batch, marks: None, producer: 0, step: 0, watermark: None, timestamps: None }
    }
}

/// What became of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The first row's offset. Of a duplicate: the offset that the next row will get.
    pub base_offset: u64,
    /// The offset that the next row will get.
    pub next_offset: u64,
    /// The step was there already: nothing was appended.
    pub duplicate: bool,
}

/// Appends to one partition. Any number of them, in any number of processes, may do so at once.
pub struct PartitionWriter {
    topic: Arc<Topic>,
    partition: u32,
    encoder: Encoder,
    frame_bytes: usize,
}

impl fmt::Debug for PartitionWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PartitionWriter({:?}, {})", self.topic.name(), self.partition)
    }
}

impl PartitionWriter {
    pub(super) fn new(topic: Arc<Topic>, partition: u32) -> Result<Self, LogError> {
        topic.partition(partition)?;
        let encoder = Encoder::new(&topic.schema(), topic.info().codec).map_err(|e| unfit(&topic, e))?;
        Ok(PartitionWriter { topic, partition, encoder, frame_bytes: FRAME_BYTES })
    }

    /// Spreads rows of more than `bytes` over several frames.
    #[cfg(test)]
    pub(super) fn spread(&mut self, bytes: usize) {
        self.frame_bytes = bytes;
    }

    /// Appends rows, as one frame or, if they are large, several. Readers see all of them or nothing, also
    /// after a crash. Fails, and appends nothing, if the rows do not fit the topic, if one alone is too large
    /// for a frame, if the partition is damaged or its topic deleted, or if the disk fails or is full. If
    /// only the sync fails that the topic asks for, the rows may be there or not.
    pub fn append(&mut self, append: Append<'_>) -> Result<Appended, LogError> {
        let appended = self.append_frames(append)?;
        if !appended.duplicate {
            self.topic.wake();
        }
        // A duplicate too: who appended it may have died before it was synced.
        self.topic.appended(self.partition)?;
        Ok(appended)
    }

    fn append_frames(&mut self, append: Append<'_>) -> Result<Appended, LogError> {
        let PartitionWriter { topic, partition, encoder, frame_bytes } = self;
        let partition = topic.partition(*partition)?;
        partition.check_sound()?;
        let does_not_fit = |reason| LogError::RowsDoNotFit { topic: topic.name().into(), reason };
        let batch = body::conform(append.batch, &topic.schema()).map_err(does_not_fit)?;
        if let Some(marks) = append.marks.filter(|marks| marks.len() != batch.num_rows()) {
            let reason = format!("there are {} marks for {} rows", marks.len(), batch.num_rows());
            return Err(does_not_fit(reason));
        }
        let mut frames = Vec::new();
        encode(encoder, topic, *frame_bytes, &batch, append.marks, &mut frames)?;
        let last = frames.len() - 1;
        for (i, (header, _)) in frames.iter_mut().enumerate() {
            *header = Header {
                producer: append.producer,
                step: append.step,
                // It holds after all of the rows.
                watermark: append.watermark.filter(|_| i == last),
                timestamps: append.timestamps,
                continues: i < last,
                ..*header
            };
        }
        let len = frames.iter().map(|(header, _)| header.frame_len()).sum();
        let segment_bytes = topic.settings().segment_bytes;
        let mut entered = partition.enter()?;
        if !entered.has_room(len, segment_bytes) {
            // Closing a segment makes its rows durable. What has to be before them takes locks of other partitions.
            drop(entered);
            partition.topic.feeders.sync_before()?;
            entered = partition.enter()?;
        }
        if append.producer != 0 && entered.last_step(append.producer)? >= Some(append.step) {
            let next_offset = entered.core.state.next_offset;
            return Ok(Appended { base_offset: next_offset, next_offset, duplicate: true });
        }
        entered.make_room(len, segment_bytes)?;
        let appended = entered.write(&mut frames, topic.clock().now_ns());
        frames.into_iter().for_each(|(_, frame)| encoder.reuse(frame));
        appended
    }

    /// The last step that `producer` (not 0) appended to this partition, if it ever did.
    pub fn last_step(&self, producer: u128) -> Result<Option<u64>, LogError> {
        self.topic.partition(self.partition)?.enter()?.last_step(producer)
    }

    /// Makes durable what has been appended so far, by whomever. Once this has failed, nothing more can
    /// be appended to the partition by this process.
    pub fn sync(&mut self) -> Result<(), LogError> {
        self.topic.sync(self.partition)
    }
}

/// Encodes rows as frames: one, unless they are large.
fn encode(
    encoder: &mut Encoder,
    topic: &Topic,
    frame_bytes: usize,
    batch: &RecordBatch,
    marks: Option<&Int64Array>,
    frames: &mut Vec<(Header, Vec<u8>)>,
) -> Result<(), LogError> {
    let rows = batch.num_rows();
    let bytes: usize = batch
        .columns()
        .iter()
        .map(|column| column.to_data().get_slice_memory_size().unwrap_or(usize::MAX / 2))
        .fold(0, usize::saturating_add);
    if bytes <= frame_bytes || rows <= 1 {
        if let Some(frame) = encoder.encode(batch, marks, None).map_err(|e| unfit(topic, e))? {
            frames.push(frame);
            return Ok(());
        }
        if rows <= 1 {
            let (topic, bytes) = (topic.name().into(), bytes as u64);
            return Err(LogError::FrameTooLarge { topic, bytes, most_bytes: MAX_BODY });
        }
    }
    let half = rows / 2;
    for (at, len) in [(0, half), (half, rows - half)] {
        let marks = marks.map(|marks| marks.slice(at, len));
        encode(encoder, topic, frame_bytes, &batch.slice(at, len), marks.as_ref(), frames)?;
    }
    Ok(())
}

fn unfit(topic: &Topic, error: ArrowError) -> LogError {
    LogError::RowsDoNotFit { topic: topic.name().into(), reason: error.to_string() }
}

impl Entered<'_> {
    /// Whether frames of `len` bytes go into the active segment.
    fn has_room(&self, len: u64, segment_bytes: u64) -> bool {
        let state = self.core.state;
        // Two segments must not start at one offset: one that only holds watermarks goes on growing.
        state.next_offset == state.segment || state.written.saturating_add(len) <= segment_bytes
    }

    /// Closes the active segment if it holds rows and frames of `len` bytes would make it too long.
    fn make_room(&mut self, len: u64, segment_bytes: u64) -> Result<(), LogError> {
        if self.has_room(len, segment_bytes) { Ok(()) } else { self.roll() }
    }

    /// Closes the active segment, which holds rows, and begins the next one.
    pub(super) fn roll(&mut self) -> Result<(), LogError> {
        let state = self.core.state;
        let closing = self.open_active(state.segment)?;
        self.sync(&closing)?;
        let partition = self.partition;
        // Left by somebody who died here before; readers would take it for a part of the partition.
        for base in list_segments(&partition.disk, &partition.dir)? {
            if base > state.segment {
                let stray = segment_path(&partition.dir, base);
                partition.disk.remove_file(&stray)?;
            }
        }
        let known = self.known()?;
        let (mut producers, index) = (known.producers.clone(), known.index.clone());
        // Without it, its readers go the long way.
        let _ = index.write(&partition.disk, &partition.dir);
        producers.write(partition, state.next_offset)?;
        self.create_segment(state.next_offset)?;
        self.publish(Tail {
            segment: state.next_offset,
            written: 0,
            durable: 0,
            durable_offset: state.next_offset,
            ..state
        })?;
        // After a crash of the machine, recovery then scans this segment and none before it.
        self.sync_tail()
    }

    /// Stamps the frames of an append, writes them behind the others and publishes all of them at once.
    fn write(&mut self, frames: &mut [(Header, Vec<u8>)], now_ns: i64) -> Result<Appended, LogError> {
        let state = self.core.state;
        let mut next = state;
        let file = self.open_active(state.segment)?;
        let mut put = || {
            for (header, frame) in &mut *frames {
                (header.base_offset, header.epoch, header.append_time) =
                    (next.next_offset, state.epoch, now_ns);
                frame[..HEADER_LEN].copy_from_slice(&header.bytes());
                file.write_all_at(frame, next.written)?;
                (next.written, next.next_offset) = (next.written + header.frame_len(), header.next_offset());
            }
            Ok(())
        };
        if let Err(e) = put().and_then(|()| self.publish(next)) {
            // If this fails too, the next one to enter finds unpublished bytes, and cuts them.
            if file.truncate(state.written).is_ok() {
                // Or the power may go when others stand in their place, and bring them back.
                let _ = self.sync(&file);
            }
            return Err(e);
        }
        self.take_in(&state, frames.iter().map(|(header, _)| header));
        Ok(Appended { base_offset: state.next_offset, next_offset: next.next_offset, duplicate: false })
    }
}
