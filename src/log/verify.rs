//! Looking at every byte of a partition: which frames are damaged, and what is lost with them.
//!
//! After a damaged place the search goes on for the next whole frame (frames begin at multiples of 16 bytes), so that each
//! damaged place is named, not only the first. Nothing is changed, and nothing locked: rows that are appended meanwhile are
//! not looked at.

use super::body::Decoder;
use super::error::LogError;
use super::frame::HEADER_LEN;
use super::partition::Partition;
use super::parts::Body;
use super::segment::{Fault, Segment, list_segments, segment_path};
use super::tail::Tail;
use super::topic::Topic;
use std::fmt;
use std::path::PathBuf;

/// Frames begin at multiples of this.
const ALIGNED: u64 = 16;

/// A damaged place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The segment file.
    pub segment: PathBuf,
    /// The bytes of it that hold no frame that could be believed; nothing = the file is missing.
    pub bytes: (u64, u64),
    /// The offsets that are lost: from the first up to, but not including, the second.
    pub offsets: (u64, u64),
    /// What is wrong there.
    pub reason: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Damage { segment, bytes, offsets, reason } = self;
        write!(f, "{}, bytes {} to {}: {reason}; ", segment.display(), bytes.0, bytes.1)?;
        match offsets.1 - offsets.0 {
            0 => write!(f, "no row is lost"),
            1 => write!(f, "the offset {} is lost", offsets.0),
            _ => write!(f, "the offsets {} to {} are lost", offsets.0, offsets.1 - 1),
        }
    }
}

/// What a look at a partition found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Segments.
    pub segments: u64,
    /// Whole frames.
    pub frames: u64,
    /// Rows in them.
    pub rows: u64,
    /// Bytes that were looked at.
    pub bytes: u64,
    /// What is damaged, in order.
    pub damage: Vec<Damage>,
}

impl Topic {
    /// Reads every frame of a partition, and says which are damaged. `progress` is told how many rows have been read.
    pub fn verify(&self, partition: u32, progress: &mut dyn FnMut(u64)) -> Result<Verified, LogError> {
        let partition = self.partition(partition)?;
        let Some(tail) = partition.seen()? else { return Ok(Verified::default()) };
        let decoder = Decoder::new(self.schema(), None);
        let mut found = Verified::default();
        for piece in partition.pieces(&tail, &decoder, progress)? {
            match piece {
                Piece::Segment { .. } => found.segments += 1,
                Piece::Frames { frames, rows, bytes, .. } => {
                    found.frames += frames;
                    found.rows += rows;
                    found.bytes += bytes.1 - bytes.0;
                }
                Piece::Damaged(damage) => {
                    found.bytes += damage.bytes.1 - damage.bytes.0;
                    found.damage.push(damage);
                }
            }
        }
        Ok(found)
    }
}

/// A part of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Here a segment begins; its pieces follow.
    Segment { base: u64 },
    /// Whole frames, one behind the other, and the greatest epoch among them.
    Frames { frames: u64, rows: u64, bytes: (u64, u64), epoch: u32 },
    /// None.
    Damaged(Damage),
}

impl Partition {
    /// The newest tail that can be read, whatever else is wrong; nothing = nothing was ever written.
    fn seen(&self) -> Result<Option<Tail>, LogError> {
        match self.published() {
            Ok(tail) => Ok(Some(tail).filter(|tail| tail.next_offset > 0 || tail.written > 0)),
            // Recovery has told of the first damage; here all of it is wanted.
            Err(LogError::Corrupt(_)) => {
                let Some(&first) = list_segments(&self.disk, &self.dir)?.first() else { return Ok(None) };
                self.extent(None, first).map(Some)
            }
            Err(e) => Err(e),
        }
    }

    /// All that the partition consists of up to what `tail` says.
    pub(super) fn pieces(
        &self,
        tail: &Tail,
        decoder: &Decoder,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Vec<Piece>, LogError> {
        let mut pieces = Vec::new();
        let bases = list_segments(&self.disk, &self.dir)?;
        let held: Vec<u64> =
            bases.into_iter().filter(|base| (tail.log_start..=tail.segment).contains(base)).collect();
        let mut offset = tail.log_start;
        for (i, &base) in held.iter().enumerate() {
            if base < offset {
                // Its rows have gone into the one before.
                continue;
            }
            if base > offset {
                pieces.push(self.missing_piece(offset, base));
            }
            // Where it ends: where the next one begins, unless that is only left over.
            let next = held[i + 1..].first().copied();
            let known_end = next.or((tail.next_offset > 0).then_some(tail.next_offset));
            let len = (base == tail.segment).then_some(tail.written);
            pieces.push(Piece::Segment { base });
            offset = self.segment_pieces(base, len, known_end, decoder, &mut pieces, progress)?;
        }
        if !held.contains(&tail.segment) && tail.segment >= offset {
            pieces.push(self.missing_piece(tail.segment, tail.next_offset.max(tail.segment)));
        }
        Ok(pieces)
    }

    fn missing_piece(&self, from: u64, to: u64) -> Piece {
        Piece::Damaged(Damage {
            segment: segment_path(&self.dir, from),
            bytes: (0, 0),
            offsets: (from, to),
            reason: "the segment file is missing".into(),
        })
    }

    /// The pieces of one segment, of which `len` bytes count (else all); gives the offset behind it.
    fn segment_pieces(
        &self,
        base: u64,
        len: Option<u64>,
        known_end: Option<u64>,
        decoder: &Decoder,
        pieces: &mut Vec<Piece>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<u64, LogError> {
        let mut segment = Segment::open(&self.disk, &self.dir, base)?;
        let file = segment.len()?;
        let len = len.filter(|len| *len != u64::MAX).unwrap_or(file);
        let (mut position, mut offset, mut epoch) = (0, base, 0);
        while position < len {
            let from = position;
            let (mut frames, mut rows) = (0, 0);
            let reason = loop {
                if position >= len {
                    break None;
                }
                let read = segment.frame(position, len).and_then(|(header, body)| {
                    if header.base_offset != offset || header.epoch < epoch {
                        return Err(Fault::Bad("the frame there does not continue the one before".into()));
                    }
                    decoder.decode(&header, &Body::Whole(body)).map_err(Fault::Bad)?;
                    Ok(header)
                });
                match read {
                    Ok(header) => {
                        (frames, rows) = (frames + 1, rows + u64::from(header.rows));
                        (position, offset) = (position + header.frame_len(), header.next_offset());
                        epoch = header.epoch;
                        progress(u64::from(header.rows));
                    }
                    Err(Fault::Disk(e)) => return Err(e.into()),
                    Err(Fault::Short) => break Some("the file ends too early".into()),
                    Err(Fault::Bad(reason)) => break Some(reason),
                }
            };
            if frames > 0 {
                pieces.push(Piece::Frames { frames, rows, bytes: (from, position), epoch });
            }
            let Some(reason) = reason else { continue };
            let at = position;
            let found = next_frame(&mut segment, at + ALIGNED, len.min(file), offset)?;
            // Where nothing follows, what is lost reaches to the segment's end, as far as that is known.
            let (to, lost_to) = found.unwrap_or((len, known_end.map_or(offset, |end| end.max(offset))));
            pieces.push(Piece::Damaged(Damage {
                segment: segment_path(&self.dir, base),
                bytes: (at, to),
                offsets: (offset, lost_to),
                reason,
            }));
            (position, offset) = (to, lost_to);
        }
        Ok(offset)
    }
}

/// The next place where a whole frame begins that may follow the offset `after`, and its offset.
fn next_frame(
    segment: &mut Segment,
    from: u64,
    len: u64,
    after: u64,
) -> Result<Option<(u64, u64)>, LogError> {
    let mut at = from;
    while at + HEADER_LEN as u64 <= len {
        match segment.header(at, len) {
            Ok(header) if header.base_offset >= after && segment.frame(at, len).is_ok() => {
                return Ok(Some((at, header.base_offset)));
            }
            Err(Fault::Disk(e)) => return Err(e.into()),
            _ => at += ALIGNED,
        }
    }
    Ok(None)
}
