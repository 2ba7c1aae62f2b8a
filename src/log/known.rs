//! What a process that writes a partition knows of its frames: each producer's last step, and the active segment's
//! index. It follows the frames from header to header, those of other processes when it is asked.

use super::error::LogError;
use super::frame::Header;
use super::index::Index;
use super::partition::Entered;
use super::producers::Producers;
use super::segment::{Segment, list_segments};
use super::tail::Tail;

/// What is known of the frames before a place in the partition.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) producers: Producers,
    /// Of the segment that it stands in; covers it up to that place.
    pub(super) index: Index,
    /// The epoch under which it was made: another one may have cut frames off.
    epoch: u32,
}

impl Known {
    /// Whether it stands at the partition's end.
    fn is_current(&self, state: &Tail) -> bool {
        (self.epoch, self.index.base, self.index.len) == (state.epoch, state.segment, state.written)
    }

    /// Takes in the frame that stands at its place.
    fn take_in(&mut self, header: &Header) {
        self.producers.take_in(header);
        self.index.take_in(header);
    }
}

impl Entered<'_> {
    /// The last step of `producer`.
    pub(super) fn last_step(&mut self, producer: u128) -> Result<Option<u64>, LogError> {
        Ok(self.known()?.producers.last_step(producer))
    }

    /// What is known of all frames.
    pub(super) fn known(&mut self) -> Result<&mut Known, LogError> {
        let state = self.core.state;
        // Of another segment it is no use: a closed one may have been compacted since, and the active one begins with a
        // snapshot.
        let place = (state.epoch, state.segment);
        let kept = self.core.known.take().filter(|known| (known.epoch, known.index.base) == place);
        let mut known = match kept {
            Some(known) => known,
            None => self.start(&state)?,
        };
        if !known.is_current(&state) {
            self.follow(&mut known, &state)?;
        }
        Ok(self.core.known.insert(known))
    }

    /// Takes in frames that have just been appended behind `before`.
    pub(super) fn take_in<'h>(&mut self, before: &Tail, frames: impl Iterator<Item = &'h Header>) {
        if let Some(known) = self.core.known.as_mut().filter(|known| known.is_current(before)) {
            frames.for_each(|header| known.take_in(header));
        }
    }

    /// What the newest snapshot knows; without any, nothing, from the partition's start.
    fn start(&self, state: &Tail) -> Result<Known, LogError> {
        let partition = self.partition;
        let held = state.log_start..=state.segment;
        let segments = list_segments(&partition.disk, &partition.dir)?;
        let mut bases = segments.into_iter().rev().filter(|base| held.contains(base));
        let found = bases.find_map(|base| Some((base, partition.producers(base)?)));
        let (base, producers) = found.unwrap_or((state.log_start, Producers::default()));
        Ok(Known { producers, index: Index::new(base), epoch: state.epoch })
    }

    /// Goes on from where `known` stands to the partition's end.
    fn follow(&self, known: &mut Known, state: &Tail) -> Result<(), LogError> {
        let partition = self.partition;
        let from = known.index.base;
        for base in list_segments(&partition.disk, &partition.dir)? {
            // One in the middle of what has been read was left over when its rows went into the one before.
            let next = base == from || base >= known.index.end_offset;
            if base < from || base > state.segment || !next {
                continue;
            }
            if base != known.index.base {
                known.index = Index::new(base);
            }
            let mut segment = Segment::open(&partition.disk, &partition.dir, base)?;
            let end = if base == state.segment { state.written } else { segment.len()? };
            while known.index.len < end {
                let (position, offset) = (known.index.len, known.index.end_offset);
                let header = segment
                    .header(position, end)
                    .map_err(|fault| partition.fault(fault, base, position, offset, state.next_offset))?;
                known.take_in(&header);
            }
        }
        known.epoch = state.epoch;
        Ok(())
    }
}
