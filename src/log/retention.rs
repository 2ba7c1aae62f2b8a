//! Retention: the oldest closed segments go, whole, when their rows are older than the topic keeps them or the partition
//! is larger than it may be. First `tail` says, for good, that the log starts behind them; then their files are removed.
//! Who reads in one of them reads on to its end; who wants to begin there is told that the offset is out of range.

use super::error::LogError;
use super::index::index_path;
use super::partition::{Entered, Partition};
use super::producers::producers_path;
use super::segment::{Segment, list_segments, segment_path};
use super::settings::TopicSettings;
use super::tail::Tail;
use crate::disk::DiskError;

/// What has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removed {
    /// Segments.
    pub segments: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Offsets that they covered.
    pub offsets: u64,
}

impl Partition {
    /// Removes what the settings say at the time `now_ns`. Rows from `pinned` on are kept however old they are.
    pub(super) fn retain(
        &self,
        settings: &TopicSettings,
        now_ns: i64,
        pinned: Option<u64>,
    ) -> Result<Removed, LogError> {
        if (settings.retention, settings.retention_bytes) == (None, None) {
            return Ok(Removed::default());
        }
        self.check_sound()?;
        if settings.retention.is_some() {
            // Closing a segment makes its rows durable.
            self.topic.feeders.sync_before()?;
        }
        let mut entered = self.enter()?;
        let oldest = settings.retention.map(|keep| now_ns.saturating_sub(nanoseconds(keep)));
        if let Some(oldest) = oldest {
            entered.close_if_older(oldest)?;
        }
        let state = entered.core.state;
        let all: Vec<u64> = list_segments(&self.disk, &self.dir)?;
        let bases: Vec<u64> =
            all.iter().copied().filter(|base| (state.log_start..=state.segment).contains(base)).collect();
        // What a compaction has put into the one before and not yet removed is no part of the partition.
        let joined = settings.compaction.is_some() && settings.retention_bytes.is_some();
        let mut end = state.log_start;
        let mut held = Vec::with_capacity(bases.len());
        for base in bases {
            if base < end {
                continue;
            }
            match Segment::open(&self.disk, &self.dir, base) {
                Err(e) if e.is_not_found() => continue,
                segment => held.push((base, segment?.len()?)),
            }
            if joined && base < state.segment {
                let fault = |fault| self.fault(fault, base, 0, base, state.next_offset);
                end = self.index(base).map_err(fault)?.end_offset;
            }
        }
        let (bases, lens): (Vec<u64>, Vec<u64>) = held.into_iter().unzip();
        let mut left: u64 = lens.iter().sum();
        let mut removed = Removed::default();
        // The active one, the last, always stays.
        for (pair, len) in bases.windows(2).zip(&lens) {
            let (base, next) = (pair[0], pair[1]);
            let too_large = settings.retention_bytes.is_some_and(|most| left - len >= most);
            let unpinned = pinned.is_none_or(|pinned| pinned >= next);
            let too_old = || -> Result<bool, LogError> {
                let Some(oldest) = oldest.filter(|_| unpinned) else { return Ok(false) };
                let index = self.index(base).map_err(|fault| self.fault(fault, base, 0, base, next))?;
                Ok(index.newest < oldest)
            };
            if !too_large && !too_old()? {
                break;
            }
            left -= len;
            removed.segments += 1;
            removed.bytes += len;
            removed.offsets += next - base;
        }
        let first = bases.get(removed.segments as usize).filter(|_| removed.segments > 0);
        let start = first.copied().unwrap_or(state.log_start);
        // Also where somebody has published it before, but died or failed before it was durable.
        if all.first().is_some_and(|base| *base < start) {
            entered.publish(Tail { log_start: start, ..state })?;
            entered.sync_tail()?;
        }
        drop(entered);
        self.remove_below(start)?;
        Ok(removed)
    }

    /// Removes the files of segments before `start`, where the log begins.
    fn remove_below(&self, start: u64) -> Result<(), LogError> {
        for base in list_segments(&self.disk, &self.dir)?.into_iter().filter(|base| *base < start) {
            self.remove_segment(base)?;
        }
        Ok(())
    }

    /// Removes a segment's file and what belongs to it; others may do so at the same time.
    pub(super) fn remove_segment(&self, base: u64) -> Result<(), DiskError> {
        let beside = [index_path(&self.dir, base), producers_path(&self.dir, base)];
        for path in [segment_path(&self.dir, base)].iter().chain(&beside) {
            match self.disk.remove_file(path) {
                Err(e) if e.is_not_found() => {}
                removed => removed?,
            }
        }
        Ok(())
    }
}

impl Entered<'_> {
    /// Closes the active segment if it has rows, all of them older than `oldest`: only closed ones can go.
    fn close_if_older(&mut self, oldest: i64) -> Result<(), LogError> {
        let state = self.core.state;
        if state.next_offset > state.segment && self.known()?.index.newest < oldest {
            self.roll()?;
        }
        Ok(())
    }
}

fn nanoseconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
