//! Recovery: what to believe of a partition after a boot, or when its `tail` is damaged.
//!
//! Frames are scanned from where the partition was last known to be durable (without any tail: from
//! the start of the last segment; those before it were synced when they were closed). A frame counts
//! if both its checksums are right, its base offset is the expected one, and its epoch is not smaller
//! than that of the frame before; the frames of a step count when all of them do. The first one that does not count
//!
//! * in the last segment is a torn tail: an append that did not get through. It is cut off, and noted;
//! * in the last segment may also be rows of a job that cannot be made again (feeders.rs): they are cut off too, unless
//!   rows of others lie behind them;
//! * elsewhere, or when the file ends before what was synced, is corruption: nothing is changed, and
//!   nothing more is appended.

use super::error::LogError;
use super::feeders::Limits;
use super::frame::Header;
use super::partition::Entered;
use super::segment::{Fault, Segment, list_segments, segment_path};
use super::tail::{Tail, UNSURE};
use crate::disk::{DiskError, DiskFile};

/// How much is written again at once.
const PIECE: u64 = 1 << 20;

/// Where a scan stands.
#[derive(Debug, Clone, Copy)]
struct Scan {
    segment: u64,
    position: u64,
    offset: u64,
    epoch: u32,
    /// Where it stood when the last step was whole: the frames since then are of a step whose last frame is not there.
    whole: (u64, u64),
    /// It stopped before the segment's end.
    stopped: bool,
    ahead: Ahead,
}

/// Rows of jobs that these cannot make again as they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ahead {
    None,
    /// From this place (segment, position, offset) on there are no others.
    From(u64, u64, u64),
    /// Others lie behind them, that are to stay: then all do.
    Mixed,
}

impl Scan {
    /// The scan as it ends where a step is cut off: before that step.
    fn cut(self) -> Self {
        let (position, offset) = self.whole;
        Scan { position, offset, stopped: true, ..self }
    }

    /// Whether the step of the last frame is whole.
    fn is_whole(&self) -> bool {
        self.whole == (self.position, self.offset)
    }

    /// Takes in the next frame.
    fn take_in(&mut self, header: &Header, limits: &Limits) {
        let exceeded = limits.exceeded_by(header.producer, header.step);
        self.ahead = match self.ahead {
            Ahead::None if exceeded => Ahead::From(self.segment, self.whole.0, self.whole.1),
            Ahead::From(..) if !exceeded => Ahead::Mixed,
            ahead => ahead,
        };
        self.position += header.frame_len();
        self.offset = header.next_offset();
        self.epoch = header.epoch;
        if !header.continues {
            self.whole = (self.position, self.offset);
        }
    }

    /// The scan as it ends where rows that cannot be made again are cut off, and whether there are any.
    fn believed(self) -> (Self, bool) {
        match self.ahead {
            Ahead::From(segment, position, offset) if segment == self.segment => {
                (Scan { position, offset, stopped: true, ..self }, true)
            }
            _ => (self, false),
        }
    }
}

impl Entered<'_> {
    /// Brings the partition into a state that can be believed, from the newest tail that could be read; up to `limits`
    /// what jobs have written.
    pub(super) fn recover(&mut self, prior: Option<Tail>, limits: &Limits) -> Result<(), LogError> {
        self.core.active = None;
        let segments = self.without_strays(prior)?;
        let Some(&last) = segments.last() else { return self.start_empty(prior) };
        let known = prior.unwrap_or(Tail { segment: last, durable_offset: last, ..Tail::default() });
        let end = known.next_offset.max(known.durable_offset);
        if !segments.contains(&known.segment) {
            return Err(self.partition.missing(known.segment, end));
        }
        let mut at = Scan {
            segment: known.segment,
            position: known.durable,
            offset: known.durable_offset,
            epoch: 0,
            whole: (known.durable, known.durable_offset),
            stopped: false,
            ahead: Ahead::None,
        };
        for &segment in segments.iter().filter(|&&base| base >= known.segment) {
            if segment != at.segment {
                if at.offset != segment {
                    return Err(self.partition.missing(at.offset, segment));
                }
                at = Scan { segment, position: 0, whole: (0, at.offset), ..at };
            }
            at = self.scan(at, segment == last, end, limits)?;
        }
        let (at, ahead) = at.believed();
        self.settle(at, known, ahead, segments.first().copied().unwrap_or(last))
    }

    /// The partition's segments without those that were made but never came to hold a frame: who made
    /// them died before saying so in `tail`.
    fn without_strays(&self, prior: Option<Tail>) -> Result<Vec<u64>, LogError> {
        let partition = self.partition;
        let mut segments = list_segments(&partition.disk, &partition.dir)?;
        while let [.., before, last] = segments[..]
            && prior.map_or(before, |tail| tail.segment) < last
            && Segment::open(&partition.disk, &partition.dir, last)?.len()? == 0
        {
            partition.disk.remove_file(&segment_path(&partition.dir, last))?;
            segments.pop();
        }
        Ok(segments)
    }

    /// Starts a partition that has no segment: a new one, unless rows are missed.
    fn start_empty(&mut self, prior: Option<Tail>) -> Result<(), LogError> {
        if let Some(tail) = prior.filter(|tail| tail.next_offset > 0) {
            return Err(self.partition.missing(tail.segment, tail.next_offset));
        }
        self.create_segment(0)?;
        self.partition.disk.sync_dir(&self.partition.topic.dir)?;
        self.core.state = prior.unwrap_or_default();
        let epoch = self.core.state.epoch.wrapping_add(1);
        self.republish(Tail { epoch, boot: self.boot(), ..Tail::default() })
    }

    /// Scans the frames of one segment from `at` on.
    fn scan(&self, mut at: Scan, is_last: bool, end_offset: u64, limits: &Limits) -> Result<Scan, LogError> {
        let partition = self.partition;
        let mut segment = Segment::open(&partition.disk, &partition.dir, at.segment)?;
        let end = segment.len()?;
        if end < at.position {
            // Scanning from the start says which rows are left.
            let start = (0, at.segment);
            let from_start = Scan { position: 0, offset: at.segment, epoch: 0, whole: start, ..at };
            let left = self.scan(from_start, false, end_offset, limits)?;
            let reason = format!("the file was synced up to byte {}, but ends at byte {end}", at.position);
            return Err(partition.damaged(at.segment, left.position, left.offset, end_offset, reason));
        }
        while at.position < end {
            match segment.frame(at.position, end) {
                Ok((header, _)) if header.base_offset == at.offset && header.epoch >= at.epoch => {
                    at.take_in(&header, limits);
                }
                Err(Fault::Disk(e)) => return Err(e.into()),
                _ if is_last => return Ok(at.cut()),
                Ok(_) => {
                    let reason = "the frame there does not continue the one before".to_string();
                    return Err(partition.damaged(at.segment, at.position, at.offset, end_offset, reason));
                }
                Err(fault) => {
                    return Err(partition.fault(fault, at.segment, at.position, at.offset, end_offset));
                }
            }
        }
        match at.is_whole() {
            true => Ok(at),
            false if is_last => Ok(at.cut()),
            false => {
                let reason = "the rest of the step there is missing".to_string();
                Err(partition.damaged(at.segment, at.position, at.offset, end_offset, reason))
            }
        }
    }

    /// Cuts the last segment where the scan stopped, makes the rest durable, and publishes it.
    fn settle(&mut self, at: Scan, known: Tail, ahead: bool, first: u64) -> Result<(), LogError> {
        // Who made the segment may have died before its name was durable.
        self.partition.disk.sync_dir(&self.partition.dir)?;
        self.partition.disk.sync_dir(&self.partition.topic.dir)?;
        let file = self.open_active(at.segment)?;
        let cut = file.len()?.saturating_sub(at.position);
        if at.stopped {
            file.truncate(at.position)?;
        }
        self.core.state = known;
        if known.boot == UNSURE || known.boot == self.boot() {
            // A sync may have failed, which leaves in memory what the system wrongly takes for written.
            let from = if at.segment == known.segment { known.durable } else { 0 };
            write_again(&file, from, at.position)?;
        }
        self.sync(&file)?;
        self.republish(Tail {
            segment: at.segment,
            written: at.position,
            next_offset: at.offset,
            durable_offset: at.offset,
            durable: at.position,
            log_start: first.max(known.log_start),
            epoch: known.epoch.max(at.epoch).wrapping_add(1),
            boot: self.boot(),
            ..known
        })?;
        let rows = known.next_offset.saturating_sub(at.offset);
        if cut > 0 || rows > 0 {
            let state = self.core.state;
            self.partition.note(at.position, cut, rows, ahead, &state);
        }
        Ok(())
    }

    /// Publishes into both slots, so that none is left that is torn, and makes it durable.
    fn republish(&mut self, state: Tail) -> Result<(), LogError> {
        self.publish(state)?;
        self.publish(state)?;
        self.sync_tail()
    }
}

/// Writes the bytes from `from` to `to` where they are already, so that the next sync has to write them.
fn write_again(file: &DiskFile, from: u64, to: u64) -> Result<(), DiskError> {
    let mut position = from;
    while position < to {
        let mut piece = vec![0; usize::try_from((to - position).min(PIECE)).unwrap_or_default()];
        let read = file.read_at(&mut piece, position)?;
        if read == 0 {
            return Ok(());
        }
        file.write_all_at(&piece[..read], position)?;
        position += read as u64;
    }
    Ok(())
}
