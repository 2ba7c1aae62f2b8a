//! Where reading a partition may begin.

use super::Topic;
use super::error::LogError;

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
    /// The first row that was appended at this time (nanoseconds since the epoch) or later; the end where there is none yet.
    Time(i64),
}

impl Topic {
    /// The offset of `start` in a partition: the row's, or the end where it is not there yet. One
    /// that was given as such is not looked at: it may lie before the first row or behind the last.
    pub fn offset_of(&self, partition: u32, start: Start) -> Result<u64, LogError> {
        match start {
            Start::Earliest => self.start_offset(partition),
            Start::Latest => self.end_offset(partition),
            Start::Offset(offset) => Ok(offset),
            Start::Time(ns) => self.offset_for_time(partition, ns),
        }
    }

    /// The same, but fails for an offset that the partition does not hold and that is not its next one.
    pub fn offset_in_range(&self, partition: u32, start: Start) -> Result<u64, LogError> {
        let offset = self.offset_of(partition, start)?;
        let (first, end) = (self.start_offset(partition)?, self.end_offset(partition)?);
        if (first..=end).contains(&offset) {
            return Ok(offset);
        }
        Err(LogError::OffsetOutOfRange { topic: self.name().into(), partition, offset, start: first, end })
    }
}
