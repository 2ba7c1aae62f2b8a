//! What a partition holds, told from its segments' indexes and the headers of the last segment's frames.

use super::error::LogError;
use super::index::indexed;
use super::segment::{Fault, Segment, list_segments};
use super::topic::Topic;

/// What a partition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionStats {
    /// The first offset that it still holds.
    pub start: u64,
    /// The offset that its next row will get.
    pub end: u64,
    /// Segment files.
    pub segments: u64,
    /// Bytes of frames in them.
    pub bytes: u64,
    /// When its newest row was appended, in nanoseconds since the epoch; `None` = it holds none.
    pub newest: Option<i64>,
    /// Least and greatest event time, in the column's unit, if its writers state them.
    pub event_times: Option<(i64, i64)>,
}

impl Topic {
    /// What a partition holds. Costs a look at each closed segment's index and at each frame's header of the last one.
    pub fn stats(&self, partition: u32) -> Result<PartitionStats, LogError> {
        let partition = self.partition(partition)?;
        let tail = partition.published()?;
        let mut stats = PartitionStats {
            start: tail.log_start,
            end: tail.next_offset,
            segments: 0,
            bytes: 0,
            newest: None,
            event_times: None,
        };
        for base in list_segments(&partition.disk, &partition.dir)? {
            if base > tail.segment {
                break;
            }
            let index = match base == tail.segment {
                true => Segment::open(&partition.disk, &partition.dir, base)
                    .map_err(Fault::Disk)
                    .and_then(|mut segment| indexed(&mut segment, base, tail.written)),
                false => partition.index(base),
            };
            let index = match index {
                // Retention takes segments away while this looks.
                Err(Fault::Disk(e)) if e.is_not_found() => continue,
                index => index.map_err(|fault| partition.fault(fault, base, 0, base, tail.next_offset))?,
            };
            stats.segments += 1;
            stats.bytes += index.len;
            if index.newest > i64::MIN {
                stats.newest = stats.newest.max(Some(index.newest));
            }
            stats.event_times = match (stats.event_times, index.event_times) {
                (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
                (known, more) => known.or(more),
            };
        }
        Ok(stats)
    }
}
