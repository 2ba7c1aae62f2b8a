//! Reading a partition, from an offset to its end and on as it grows. Takes no locks; sees frames only
//! below the published length, hence whole ones only.

use super::body::Decoder;
use super::error::LogError;
use super::frame::Header;
use super::partition::Partition;
use super::parts::{Body, Wanted};
use super::segment::{Fault, Segment, list_segments};
use super::tail::Tail;
use super::topic::Topic;
use arrow::array::{Int64Array, RecordBatch, UInt64Array};
use arrow::buffer::Buffer;
use std::fmt;
use std::sync::Arc;

type Result<T, E = LogError> = std::result::Result<T, E>;

/// Rows that were appended at once, or what compaction has left of some. The first frame of a reader may lack the rows
/// before its offset.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The first offset that it covers: the first row's, unless compaction has taken that row away.
    pub base_offset: u64,
    /// The offset after the last one that it covers.
    pub next_offset: u64,
    /// The rows' offsets, where they are not those from `base_offset` on one after the other.
    pub offsets: Option<UInt64Array>,
    /// The rows, with the columns that the reader was asked for; may be none.
    pub batch: RecordBatch,
    /// The rows' marks, if they were appended with any.
    pub marks: Option<Int64Array>,
    /// The watermark that holds after these rows, if the writer had one.
    pub watermark: Option<i64>,
    /// Least and greatest timestamp of all rows that were appended at once, if the writer gave them.
    pub timestamps: Option<(i64, i64)>,
    /// Who wrote it; 0 = nobody who needs deduplication.
    pub producer: u128,
    /// The producer's step.
    pub step: u64,
    /// When it was appended, in nanoseconds since the epoch.
    pub append_time: i64,
    /// The writer's epoch: rows that take the place of lost ones have a greater one.
    pub epoch: u32,
}

impl Frame {
    /// The offset of the row at `index`; of the row after the last, the offset after the frame.
    pub fn offset(&self, index: usize) -> u64 {
        match &self.offsets {
            None => self.base_offset + index as u64,
            Some(offsets) => offsets.values().get(index).copied().unwrap_or(self.next_offset),
        }
    }

    /// Leaves out the rows before `offset`.
    fn start_at(&mut self, offset: u64) {
        if offset <= self.base_offset {
            return;
        }
        let rows = self.batch.num_rows();
        let skipped = match &self.offsets {
            None => usize::try_from(offset - self.base_offset).unwrap_or(rows).min(rows),
            Some(offsets) => offsets.values().partition_point(|o| *o < offset),
        };
        self.base_offset = offset;
        self.batch = self.batch.slice(skipped, rows - skipped);
        self.marks = self.marks.as_ref().map(|marks| marks.slice(skipped, rows - skipped));
        self.offsets = self.offsets.as_ref().map(|offsets| offsets.slice(skipped, rows - skipped));
    }
}

/// Reads one partition.
pub struct LogReader {
    topic: Arc<Topic>,
    index: u32,
    decoder: Decoder,
    /// What of a frame is read; `None` = all.
    wanted: Option<Wanted>,
    /// Rows before this offset are left out.
    from: u64,
    /// The offset that the frame at `position` must have.
    offset: u64,
    /// The segment that is read, or to be opened once something is in it.
    base: u64,
    segment: Option<Segment>,
    position: u64,
    /// The segment may be read up to here; if it is closed, nothing will follow in it.
    end: u64,
    closed: bool,
    /// The epoch under which `end` was published.
    epoch: u32,
    /// It has looked for its place again, and not found a frame since.
    sought_again: bool,
}

impl fmt::Debug for LogReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogReader({:?}, {} at {})", self.topic.name(), self.index, self.offset)
    }
}

impl LogReader {
    pub(super) fn new(
        topic: Arc<Topic>,
        index: u32,
        offset: u64,
        projection: Option<Vec<usize>>,
    ) -> Result<Self> {
        topic.partition(index)?;
        let decoder = Decoder::new(topic.schema(), projection);
        let mut reader = LogReader {
            wanted: decoder.wanted(),
            decoder,
            topic,
            index,
            from: offset,
            offset,
            base: 0,
            segment: None,
            position: 0,
            end: 0,
            closed: false,
            epoch: 0,
            sought_again: false,
        };
        reader.seek(offset)?;
        Ok(reader)
    }

    /// The offset of the next row that it will give.
    pub fn offset(&self) -> u64 {
        self.offset.max(self.from)
    }

    /// The next frame; `None` = there is nothing more now, ask again later. Fails when it comes to a
    /// damaged place, and does so again each time it is asked.
    #[expect(clippy::should_implement_trait, reason = "an iterator that has ended does not go on, this does")]
    pub fn next(&mut self) -> Result<Option<Frame>> {
        let Some((header, body)) = self.at_frame(true)? else { return Ok(None) };
        let content = self.decoder.decode(&header, &body).map_err(|why| self.fault(Fault::Bad(why)))?;
        let mut frame = Frame {
            base_offset: header.base_offset,
            next_offset: header.next_offset(),
            offsets: content.offsets,
            batch: content.batch,
            marks: content.marks,
            watermark: header.watermark,
            timestamps: header.timestamps,
            producer: header.producer,
            step: header.step,
            append_time: header.append_time,
            epoch: header.epoch,
        };
        frame.start_at(self.from);
        self.step_over(&header);
        Ok(Some(frame))
    }

    /// Goes to the frame that holds the row `offset`, or to the end.
    fn seek(&mut self, offset: u64) -> Result<()> {
        let topic = Arc::clone(&self.topic);
        let partition = topic.partition(self.index)?;
        let tail = partition.published()?;
        if !(tail.log_start..=tail.next_offset).contains(&offset) {
            return Err(self.out_of_range(offset, &tail));
        }
        let bases = list_segments(&partition.disk, &partition.dir)?;
        // Where a segment starts with the row, frames without rows may stand at the end of the one before.
        let held = tail.log_start..=tail.segment;
        let before = bases.iter().copied().filter(|base| *base < offset && held.contains(base)).max();
        self.base = before.unwrap_or(tail.log_start);
        if self.base < tail.segment && topic.settings().compaction.is_some() {
            self.base = holding(partition, &bases, tail.log_start, offset).unwrap_or(self.base);
        }
        (self.segment, self.position, self.end, self.closed) = (None, 0, 0, false);
        (self.offset, self.from, self.epoch) = (self.base, offset, tail.epoch);
        if self.base < tail.segment {
            self.jump(partition, &tail)?;
        }
        while let Some((header, _)) = self.at_frame(false)? {
            if header.next_offset() > offset || header.base_offset == offset {
                break;
            }
            self.step_over(&header);
        }
        Ok(())
    }

    /// Goes forward in a closed segment to where its index says that a frame begins before the wanted row. The index
    /// is right if the frame is there; else the way begins at the segment's start.
    fn jump(&mut self, partition: &Partition, tail: &Tail) -> Result<()> {
        self.open(partition, tail)?;
        let Some(segment) = &mut self.segment else { return Ok(()) };
        let len = segment.len()?;
        let Some(index) = partition.kept_index(segment, self.base, len) else { return Ok(()) };
        let (offset, position) = index.before_offset(self.from);
        let header = segment.header(position, len);
        if position < len && header.is_ok_and(|header| header.base_offset == offset) {
            (self.offset, self.position) = (offset, position);
        }
        Ok(())
    }

    fn out_of_range(&self, offset: u64, tail: &Tail) -> LogError {
        LogError::OffsetOutOfRange {
            topic: self.topic.name().into(),
            partition: self.index,
            offset,
            start: tail.log_start,
            end: tail.next_offset,
        }
    }

    fn step_over(&mut self, header: &Header) {
        self.position += header.frame_len();
        self.offset = header.next_offset();
    }

    /// The frame at the reader's place, without its body unless that is wanted; `None` = there is none
    /// yet.
    fn at_frame(&mut self, with_body: bool) -> Result<Option<(Header, Body)>> {
        let mut recovered = false;
        while self.find_end()? {
            let Some(segment) = &mut self.segment else { return Ok(None) };
            let whole = |(header, body)| (header, Body::Whole(body));
            let read = match &self.wanted {
                _ if !with_body => {
                    let header = segment.header(self.position, self.end);
                    header.map(|header| whole((header, Buffer::default())))
                }
                None => segment.frame(self.position, self.end).map(whole),
                Some(wanted) => segment.parts(self.position, self.end, wanted),
            };
            match read {
                Ok((header, body)) if header.base_offset == self.offset => {
                    // While it seeks, frames before the missing place are no progress.
                    self.sought_again &= !with_body;
                    return Ok(Some((header, body)));
                }
                Ok(_) => {
                    return Err(
                        self.fault(Fault::Bad("the frame there does not continue the one before".into()))
                    );
                }
                Err(Fault::Short) if !recovered && !self.closed => {
                    recovered = true;
                    self.recover_end()?;
                }
                Err(fault) => return Err(self.fault(fault)),
            }
        }
        Ok(None)
    }

    /// The file ends before what is published: lets recovery say which rows there are.
    fn recover_end(&mut self) -> Result<()> {
        self.end = self.position;
        let recovered = self.topic.partition(self.index)?.enter().map(drop);
        match recovered {
            // What recovery found may lie elsewhere; what this reader came upon lies here.
            Err(LogError::Corrupt(_)) => Err(self.fault(Fault::Short)),
            recovered => recovered,
        }
    }

    /// Finds out up to where the segment at hand may be read, going on to the next one when it is
    /// finished; whether there is anything to read.
    fn find_end(&mut self) -> Result<bool> {
        if self.position < self.end {
            return Ok(true);
        }
        let topic = Arc::clone(&self.topic);
        let partition = topic.partition(self.index)?;
        loop {
            if self.closed {
                self.next_segment()?;
            }
            let tail = partition.published()?;
            if tail.epoch != self.epoch {
                // Frames that were published may have been cut, and others written in their place.
                self.seek(self.offset())?;
            } else if tail.segment == self.base {
                self.end = tail.written;
            } else {
                self.open(partition, &tail)?;
                let segment = self.segment.as_ref();
                self.end = segment.map_or(Ok(0), Segment::len)?;
                self.closed = true;
            }
            if self.position < self.end {
                self.open(partition, &tail)?;
                return Ok(true);
            }
            if !self.closed {
                partition.check_alive()?;
                return Ok(false);
            }
        }
    }

    /// Goes from the end of a closed segment to the one that starts with the next row.
    fn next_segment(&mut self) -> Result<()> {
        if self.offset <= self.base {
            return Err(self.fault(Fault::Bad("the segment holds no rows".into())));
        }
        (self.base, self.position, self.end, self.closed) = (self.offset, 0, 0, false);
        self.segment = None;
        Ok(())
    }

    /// Opens the segment at hand, unless it is open.
    fn open(&mut self, partition: &Partition, tail: &Tail) -> Result<()> {
        if self.segment.is_some() {
            return Ok(());
        }
        match Segment::open(&partition.disk, &partition.dir, self.base) {
            Err(e) if e.is_not_found() => {
                partition.check_alive()?;
                if self.base < tail.log_start {
                    return Err(self.out_of_range(self.offset, tail));
                }
                if self.sought_again {
                    return Err(partition.missing(self.base, tail.next_offset));
                }
                // Retention may have taken it, or compaction made one of it and its neighbours.
                self.sought_again = true;
                self.seek(self.offset())
            }
            segment => {
                self.segment = Some(segment?);
                Ok(())
            }
        }
    }

    /// The error for a fault at the reader's place.
    fn fault(&self, fault: Fault) -> LogError {
        match self.topic.partition(self.index) {
            Ok(partition) => {
                // What a failed sync has left in memory may be gone: no damage, but nobody can tell.
                if let Err(e) = partition.check_synced() {
                    return e;
                }
                let end = partition.published().map_or(0, |tail| tail.next_offset);
                partition.fault(fault, self.base, self.position, self.offset, end)
            }
            Err(e) => e,
        }
    }
}

/// The segment that a reader from `offset` on begins in, of a topic that is compacted: rows of those that a compaction has
/// put into another one must not be read, since they are removed later (compaction.rs). `None` = it cannot be told.
fn holding(partition: &Partition, bases: &[u64], start: u64, offset: u64) -> Option<u64> {
    let (mut holding, mut end) = (None, start);
    for base in bases.iter().copied().filter(|base| (start..offset).contains(base)) {
        if base == end {
            (holding, end) = (Some(base), partition.index(base).ok()?.end_offset);
        } else if base > end {
            return None;
        }
    }
    holding
}
