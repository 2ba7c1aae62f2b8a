//! Where reading a partition may begin.

use super::Topic;
use super::error::LogError;
use std::sync::Arc;

/// A place in a partition, told without knowing what the partition holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Start {
    /// The first row that is still there.
    #[default]
    Earliest,
    /// Behind the last row: the rows that come.
    Latest,
    /// The row of this offset.
    Offset(u64),
    /// The first row that was appended at this time (nanoseconds since the epoch) or later.
    Time(i64),
}

impl Topic {
    /// The offset of `start` in a partition: the row's, or the end where it is not there yet. One
    /// that was given as such is not looked at: it may lie before the first row or behind the last.
    pub fn offset_of(self: &Arc<Self>, partition: u32, start: Start) -> Result<u64, LogError> {
        match start {
            Start::Earliest => self.start_offset(partition),
            Start::Latest => self.end_offset(partition),
            Start::Offset(offset) => Ok(offset),
            Start::Time(ns) => self.offset_for_time(partition, ns),
        }
    }

    /// The same, but fails for an offset that the partition does not hold and that is not its next one.
    pub fn offset_in_range(self: &Arc<Self>, partition: u32, start: Start) -> Result<u64, LogError> {
        let offset = self.offset_of(partition, start)?;
        let (first, end) = (self.start_offset(partition)?, self.end_offset(partition)?);
        if (first..=end).contains(&offset) {
            return Ok(offset);
        }
        Err(LogError::OffsetOutOfRange { topic: self.name().into(), partition, offset, start: first, end })
    }

    /// The offset of the first row of a partition that was appended at `ns` (nanoseconds since the epoch)
    /// or later; the end where there is none.
    pub fn offset_for_time(self: &Arc<Self>, partition: u32, ns: i64) -> Result<u64, LogError> {
        let mut reader = self.reader(partition, self.start_offset(partition)?, Some(Vec::new()))?;
        while let Some(frame) = reader.next()? {
            if frame.append_time >= ns && frame.batch.num_rows() > 0 {
                return Ok(frame.base_offset);
            }
        }
        Ok(reader.offset())
    }
}
