//! Finding a row by the time at which it was appended, and rows that have taken the place of others.

use super::error::LogError;
use super::index::Index;
use super::partition::Partition;
use super::segment::{Segment, list_segments};
use super::topic::Topic;
use crate::disk::{Disk, DiskError};
use std::path::Path;

impl Topic {
    /// Up to which offset a partition still has the rows before `offset` that were read under the writer epoch `epoch`
    /// (that of their frames, or the partition's): all, unless a crash of the machine took some of them.
    pub fn kept_until(&self, partition: u32, offset: u64, epoch: u32) -> Result<u64, LogError> {
        let partition = self.partition(partition)?;
        let tail = partition.published()?;
        let offset = offset.min(tail.next_offset);
        if epoch == tail.epoch {
            return Ok(offset);
        }
        first_newer(partition, offset, epoch)
    }

    /// The offset of a partition's first row that was appended at `time_ns` (nanoseconds since the epoch) or later; the
    /// end offset if there is none yet. Where clocks went back, rows behind it may be older.
    pub fn offset_for_time(&self, partition: u32, time_ns: i64) -> Result<u64, LogError> {
        let partition = self.partition(partition)?;
        let tail = partition.published()?;
        for base in list_segments(&partition.disk, &partition.dir)? {
            if !(tail.log_start..=tail.segment).contains(&base) {
                continue;
            }
            let found = match base == tail.segment {
                true => in_segment(partition, &Index::new(base), tail.written, time_ns)?,
                false => in_closed(partition, base, tail.next_offset, time_ns)?,
            };
            if let Some(offset) = found {
                return Ok(offset.max(tail.log_start));
            }
        }
        Ok(tail.next_offset)
    }
}

/// The row's offset, if it is in a closed segment; if the segment has gone meanwhile, it is not.
fn in_closed(partition: &Partition, base: u64, end: u64, time: i64) -> Result<Option<u64>, LogError> {
    let index = match partition.index(base) {
        Err(super::segment::Fault::Disk(e)) if e.is_not_found() => return Ok(None),
        index => index.map_err(|fault| partition.fault(fault, base, 0, base, end))?,
    };
    if index.newest < time {
        return Ok(None);
    }
    in_segment(partition, &index, index.len, time)
}

/// The row's offset, if it is in the first `len` bytes of the segment.
fn in_segment(partition: &Partition, index: &Index, len: u64, time: i64) -> Result<Option<u64>, LogError> {
    let mut segment = match Segment::open(&partition.disk, &partition.dir, index.base) {
        Err(e) if e.is_not_found() => return Ok(None),
        segment => segment?,
    };
    let (mut offset, mut position) = index.before_time(time);
    while position < len {
        let header = segment
            .header(position, len)
            .map_err(|fault| partition.fault(fault, index.base, position, offset, offset))?;
        if header.append_time >= time && header.rows > 0 {
            return Ok(Some(header.base_offset));
        }
        (offset, position) = (header.next_offset(), position + header.frame_len());
    }
    Ok(None)
}

/// The offset of the first frame before `offset` that was written under a greater epoch than `epoch`, or
/// `offset`.
fn first_newer(partition: &Partition, offset: u64, epoch: u32) -> Result<u64, LogError> {
    let Partition { dir, disk, .. } = partition;
    let mut first = offset;
    // Epochs only grow: what is not newer has nothing newer before it.
    for base in list_segments(disk, dir)?.into_iter().rev().filter(|&base| base < offset) {
        let newer = match newer_in(disk, dir, base, offset, epoch) {
            // Retention takes segments away while this looks.
            Err(e) if e.is_not_found() => break,
            newer => newer?,
        };
        match newer {
            Some(newer) => first = newer,
            None => break,
        }
        if first > base {
            break;
        }
    }
    Ok(first)
}

/// The same within one segment; `None` = there is no such frame. A damaged place is told when it is read.
fn newer_in(disk: &Disk, dir: &Path, base: u64, offset: u64, epoch: u32) -> Result<Option<u64>, DiskError> {
    let mut segment = Segment::open(disk, dir, base)?;
    let end = segment.len()?;
    let mut position = 0;
    while position < end {
        let Ok(header) = segment.header(position, end) else { return Ok(None) };
        if header.base_offset >= offset {
            return Ok(None);
        }
        if header.epoch > epoch && header.next_offset() > header.base_offset {
            return Ok(Some(header.base_offset));
        }
        position += header.frame_len();
    }
    Ok(None)
}
