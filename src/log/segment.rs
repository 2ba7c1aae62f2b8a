//! A segment file: frames one behind the other, and the reading of them in large pieces.

use super::frame::{HEADER_LEN, Header, field};
use super::message::{PREFIX, head_len};
use super::parts::{Body, Checks, Column, Part, Parts, Plan, Wanted};
use crate::disk::{Disk, DiskError, DiskFile, Open};
use arrow::buffer::{Buffer, MutableBuffer};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// How much is read at once where the frames themselves are wanted, in bytes.
const READ_AHEAD: usize = 1 << 20;
/// How much is read at once where only some columns of frames are wanted: a header and what describes the rows.
const HEAD: usize = 4 << 10;
/// A frame is large from this part of that on.
const LARGE: usize = 8;
/// How much is read at once where only the headers are: more the denser they lie.
const HOP_LEAST: usize = 4 << 10;
const HOP_MOST: usize = 256 << 10;

/// The file of the segment whose first row has the offset `base`.
pub(super) fn segment_path(partition: &Path, base: u64) -> PathBuf {
    partition.join(format!("{base:020}.log"))
}

/// The base offsets of a partition's segments, ascending; none if there is no such directory.
pub(super) fn list_segments(disk: &Disk, partition: &Path) -> Result<Vec<u64>, DiskError> {
    let names = match disk.list(partition) {
        Err(e) if e.is_not_found() => Vec::new(),
        names => names?,
    };
    // Fixed width: the order of the names is that of the numbers.
    Ok(names
        .iter()
        .filter_map(|name| name.strip_suffix(".log"))
        .filter(|name| name.len() == 20)
        .filter_map(|name| name.parse().ok())
        .collect())
}

/// Why a frame could not be read.
#[derive(Debug)]
pub(super) enum Fault {
    /// The file ends before what was said to be written does.
    Short,
    /// No whole frame is there, for the reason given.
    Bad(String),
    Disk(DiskError),
}

impl From<DiskError> for Fault {
    fn from(error: DiskError) -> Self {
        Fault::Disk(error)
    }
}

/// A segment that is read.
#[derive(Debug)]
pub(super) struct Segment {
    file: DiskFile,
    /// The piece of the file that was read last, and where in the file it starts.
    piece: Buffer,
    piece_at: u64,
    /// How much to read next while hopping, and how many headers the piece has given.
    hop: usize,
    hops: usize,
}

impl Segment {
    pub(super) fn open(disk: &Disk, partition: &Path, base: u64) -> Result<Self, DiskError> {
        let file = disk.open(&segment_path(partition, base), Open::Read)?;
        Ok(Segment { file, piece: Buffer::default(), piece_at: 0, hop: HOP_LEAST, hops: 0 })
    }

    /// The length of the file in bytes.
    pub(super) fn len(&self) -> Result<u64, DiskError> {
        self.file.len()
    }

    /// The header at `position`, its checksum verified; its frame ends at `end` or before.
    pub(super) fn header(&mut self, position: u64, end: u64) -> Result<Header, Fault> {
        if !self.holds(position, HEADER_LEN) {
            // Sparse headers: large reads would be wasted on bodies. Dense ones: small reads cost calls.
            self.hop = if self.hops > 1 { self.hop * 4 } else { self.hop / 4 }.clamp(HOP_LEAST, HOP_MOST);
            self.hops = 0;
        }
        self.hops += 1;
        let at = self.fill(position, HEADER_LEN, end, self.hop)?;
        self.header_in_piece(at, end - position)
    }

    /// The header and body of the frame at `position`, both checksums verified; the frame ends at
    /// `end` or before. The body shares the memory of the piece that was read.
    pub(super) fn frame(&mut self, position: u64, end: u64) -> Result<(Header, Buffer), Fault> {
        let at = self.fill(position, HEADER_LEN, end, READ_AHEAD)?;
        let header = self.header_in_piece(at, end - position)?;
        // A header bounds its body's length, so this asks for no undue memory.
        let len = HEADER_LEN + header.body_len as usize;
        // Of large frames one at a time, and the next one's header: a part of a frame would be read once more with its rest.
        let ahead = if len > READ_AHEAD / LARGE { len + HEADER_LEN } else { READ_AHEAD };
        let at = self.fill(position, len, end, ahead)?;
        let body = self.piece.slice_with_length(at + HEADER_LEN, header.body_len as usize);
        if crc32c::crc32c(&body) != header.body_crc {
            return Err(Fault::Bad("the checksum of the frame is wrong".into()));
        }
        Ok((header, body))
    }

    /// The frame at `position` as [`frame`](Self::frame) gives it, or only those of its parts that are wanted.
    pub(super) fn parts(
        &mut self,
        position: u64,
        end: u64,
        wanted: &Wanted,
    ) -> Result<(Header, Body), Fault> {
        let at = self.fill(position, HEADER_LEN, end, HEAD)?;
        let header = self.header_in_piece(at, end - position)?;
        if header.has_checks
            && let Some(parts) = self.wanted_parts(&header, position, end, wanted)?
        {
            return Ok((header, Body::Parts(parts)));
        }
        self.frame(position, end).map(|(header, body)| (header, Body::Whole(body)))
    }

    fn wanted_parts(
        &mut self,
        header: &Header,
        position: u64,
        end: u64,
        wanted: &Wanted,
    ) -> Result<Option<Parts>, Fault> {
        let damaged = || Fault::Bad("the checksum of the frame is wrong".into());
        let body_at = position + HEADER_LEN as u64;
        let at = self.fill(body_at, PREFIX, end, HEAD)?;
        let head = head_len(&field(&self.piece, at)).filter(|len| *len <= header.body_len as usize);
        let head = head.ok_or_else(damaged)?;
        let at = self.fill(body_at, head, end, HEAD)?;
        let head = self.piece.slice_with_length(at, head);
        // With them comes the next frame's header.
        let checks_len = Checks::len(wanted.all_columns());
        let checks_at =
            (position + header.frame_len()).checked_sub(checks_len as u64).filter(|at| *at >= body_at);
        let at = self.fill(checks_at.ok_or_else(damaged)?, checks_len, end, checks_len + HEAD)?;
        let checks =
            Checks::read(&self.piece[at..at + checks_len], wanted.all_columns()).ok_or_else(damaged)?;
        if crc32c::crc32c(&head) != checks.head {
            return Err(damaged());
        }
        let Some(plan) = wanted.plan(header, &head).map_err(Fault::Bad)? else { return Ok(None) };
        let beside = self.read(body_at, &plan.beside)?;
        if crc32c::crc32c(&beside) != checks.beside {
            return Err(damaged());
        }
        let columns = self.columns(body_at, &plan, &checks)?;
        Ok(Some(Parts { head, columns, beside }))
    }

    /// The columns of `plan`, their checksums verified.
    fn columns(&self, body_at: u64, plan: &Plan, checks: &Checks) -> Result<Vec<Part>, Fault> {
        let mut parts = Vec::with_capacity(plan.columns.len());
        for columns in plan.reads() {
            let from = columns[0].bytes.start;
            let bytes = self.read(body_at, &(from..columns[columns.len() - 1].bytes.end))?;
            for Column { index, bytes: place } in columns {
                let bytes = bytes.slice_with_length(place.start - from, place.len());
                if crc32c::crc32c(&bytes) != checks.columns[*index] {
                    return Err(Fault::Bad("the checksum of the frame is wrong".into()));
                }
                let at = place.start - plan.data_at;
                parts.push(Part { column: *index, at, bytes, own: columns.len() == 1 });
            }
        }
        Ok(parts)
    }

    /// A part of the body at `body_at`.
    fn read(&self, body_at: u64, part: &Range<usize>) -> Result<Buffer, Fault> {
        let mut bytes = vec![0; part.len()];
        if self.file.read_at(&mut bytes, body_at + part.start as u64)? < bytes.len() {
            return Err(Fault::Short);
        }
        Ok(Buffer::from_vec(bytes))
    }

    fn header_in_piece(&self, at: usize, room: u64) -> Result<Header, Fault> {
        let header = Header::read(&field(&self.piece, at)).map_err(|why| Fault::Bad(why.into()))?;
        if header.frame_len() > room {
            return Err(Fault::Bad("the frame is longer than what was written".into()));
        }
        Ok(header)
    }

    fn holds(&self, position: u64, len: usize) -> bool {
        let end = self.piece_at + self.piece.len() as u64;
        position >= self.piece_at && position.saturating_add(len as u64) <= end
    }

    /// Sees to it that the piece holds `need` bytes from `position`, reading up to `ahead` bytes but
    /// nothing from `end` on, and gives their place in the piece.
    fn fill(&mut self, position: u64, need: usize, end: u64, ahead: usize) -> Result<usize, Fault> {
        if !self.holds(position, need) {
            let room = end.saturating_sub(position);
            if (need as u64) > room {
                return Err(Fault::Bad("the frame is cut off".into()));
            }
            let len = usize::try_from(room).unwrap_or(usize::MAX).min(ahead.max(need));
            let mut space = match std::mem::take(&mut self.piece).into_mutable() {
                Ok(space) if space.capacity() >= len => space,
                // Somebody still uses the rows in it, or it is too small. A little more, so that it suits the next frame.
                _ => MutableBuffer::with_capacity(len + len / 8),
            };
            space.resize(len, 0);
            let read = self.file.read_at(space.as_slice_mut(), position)?;
            space.truncate(read);
            self.piece = space.into();
            self.piece_at = position;
            if read < need {
                return Err(Fault::Short);
            }
        }
        // Both lie in one piece, whose length is a usize.
        Ok((position - self.piece_at) as usize)
    }
}
