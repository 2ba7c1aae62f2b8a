//! The index of a closed segment: where in it a row lies, or a time. Made anew from the segment when it is missing or
//! damaged, and never trusted: it counts only beside the segment whose last frame it names, and who jumps to a place in it
//! finds the right frame there, or reads from the start.
//!
//! ```text
//!     <base>.index
//!
//!        0       4    5   8                  16
//!      0 │ magic │ v1 │ 0 │ base offset u64  │
//!     16 │ segment length u64 │ end offset u64        │
//!     32 │ greatest append time i64 │ least event time i64 │
//!     48 │ greatest event time i64 │ entries u32 │ crc32c of all the rest │
//!     64 │ position of the last frame u64 │ header crc of that frame │ 0 │
//!     80 │ offset u64 │ position u64 │ greatest append time before it i64 │
//!    104 │ … the next entry
//! ```
//!
//! Little endian; positions and lengths are bytes of the segment file, times nanoseconds since the epoch (event times: in
//! the column's own unit). Without event times the least one is the greatest of all numbers and the greatest the least.
//! There is an entry for the first frame after every 64 KiB of the segment.

use super::frame::{Header, field};
use super::partition::Partition;
use super::segment::{Fault, Segment};
use crate::disk::{Disk, DiskError, Open};
use std::path::{Path, PathBuf};

const MAGIC: [u8; 4] = *b"MSIX";
const VERSION: u8 = 1;
const HEAD: usize = 80;
const ENTRY: usize = 24;
/// Where the checksum stands.
const CRC: usize = 60;
/// The bytes of a segment between two entries.
const APART: u64 = 64 << 10;

/// The file of the index of the segment `base`.
pub(super) fn index_path(partition: &Path, base: u64) -> PathBuf {
    partition.join(format!("{base:020}.index"))
}

/// A segment's index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index {
    /// The segment's first offset.
    pub(super) base: u64,
    /// Bytes of the segment that it covers: all of a closed one.
    pub(super) len: u64,
    /// The offset after its last.
    pub(super) end_offset: u64,
    /// When its newest frame was appended; the least of all numbers if it has none.
    pub(super) newest: i64,
    /// Least and greatest event time, if its frames state any.
    pub(super) event_times: Option<(i64, i64)>,
    /// Position and header checksum of the last frame.
    last: (u64, u32),
    entries: Vec<Entry>,
}

/// A place in a segment where a frame begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    offset: u64,
    position: u64,
    /// When the newest frame before it was appended.
    newest: i64,
}

impl Index {
    /// That of an empty segment.
    pub(super) fn new(base: u64) -> Self {
        Index {
            base,
            len: 0,
            end_offset: base,
            newest: i64::MIN,
            event_times: None,
            last: (0, 0),
            entries: Vec::new(),
        }
    }

    /// Takes in the frame that stands at the end of what it covers.
    pub(super) fn take_in(&mut self, header: &Header) {
        if self.len >= self.entries.last().map_or(0, |entry| entry.position) + APART {
            let (offset, position, newest) = (header.base_offset, self.len, self.newest);
            self.entries.push(Entry { offset, position, newest });
        }
        self.last = (self.len, header.crc());
        self.len += header.frame_len();
        self.end_offset = header.next_offset();
        self.newest = self.newest.max(header.append_time);
        if let Some((least, greatest)) = header.timestamps {
            let (l, g) = self.event_times.unwrap_or((least, greatest));
            self.event_times = Some((l.min(least), g.max(greatest)));
        }
    }

    /// The offset and position of a frame at or before that of the row `offset`.
    pub(super) fn before_offset(&self, offset: u64) -> (u64, u64) {
        self.place(self.entries.partition_point(|entry| entry.offset <= offset))
    }

    /// The offset and position of a frame before all that were appended at `time` or later.
    pub(super) fn before_time(&self, time: i64) -> (u64, u64) {
        self.place(self.entries.partition_point(|entry| entry.newest < time))
    }

    fn place(&self, after: usize) -> (u64, u64) {
        let entry = after.checked_sub(1).and_then(|i| self.entries.get(i));
        entry.map_or((self.base, 0), |entry| (entry.offset, entry.position))
    }

    /// The index as it stands in its file.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = vec![0; HEAD];
        let (least, greatest) = self.event_times.unwrap_or((i64::MAX, i64::MIN));
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &MAGIC);
        put(4, &[VERSION]);
        put(8, &self.base.to_le_bytes());
        put(16, &self.len.to_le_bytes());
        put(24, &self.end_offset.to_le_bytes());
        put(32, &self.newest.to_le_bytes());
        put(40, &least.to_le_bytes());
        put(48, &greatest.to_le_bytes());
        // A segment of less than 2^48 bytes has fewer entries than a u32 counts.
        put(56, &(self.entries.len() as u32).to_le_bytes());
        put(64, &self.last.0.to_le_bytes());
        put(72, &self.last.1.to_le_bytes());
        for entry in &self.entries {
            out.extend_from_slice(&entry.offset.to_le_bytes());
            out.extend_from_slice(&entry.position.to_le_bytes());
            out.extend_from_slice(&entry.newest.to_le_bytes());
        }
        let crc = checksum(&out);
        out[CRC..CRC + 4].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// The index in a file's bytes, if they are one.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (head, entries) = bytes.split_at_checked(HEAD)?;
        let number = |at| u64::from_le_bytes(field(head, at));
        let time = |at| i64::from_le_bytes(field(head, at));
        let whole = head[..4] == MAGIC
            && head[4] == VERSION
            && u32::from_le_bytes(field(head, CRC)) == checksum(bytes)
            && entries.len() as u64 == u64::from(u32::from_le_bytes(field(head, 56))) * ENTRY as u64;
        whole.then(|| Index {
            base: number(8),
            len: number(16),
            end_offset: number(24),
            newest: time(32),
            event_times: Some((time(40), time(48))).filter(|(least, greatest)| least <= greatest),
            last: (number(64), u32::from_le_bytes(field(head, 72))),
            entries: entries
                .chunks_exact(ENTRY)
                .map(|entry| Entry {
                    offset: u64::from_le_bytes(field(entry, 0)),
                    position: u64::from_le_bytes(field(entry, 8)),
                    newest: i64::from_le_bytes(field(entry, 16)),
                })
                .collect(),
        })
    }

    /// Puts it beside its segment. It need not survive a crash.
    pub(super) fn write(&self, disk: &Disk, partition: &Path) -> Result<(), DiskError> {
        let file = disk.open(&index_path(partition, self.base), Open::Create)?;
        file.truncate(0)?;
        file.write_all_at(&self.bytes(), 0)
    }
}

impl Partition {
    /// The index of a closed segment, of which `len` bytes are to be read, if there is one of just this file: its last
    /// frame is where the index says, and as it says.
    pub(super) fn kept_index(&self, segment: &mut Segment, base: u64, len: u64) -> Option<Index> {
        let bytes = self.disk.read(&index_path(&self.dir, base)).ok()?;
        let index = Index::from_bytes(&bytes).filter(|index| (index.base, index.len) == (base, len))?;
        let (position, crc) = index.last;
        let last = segment.header(position, len).ok()?;
        let ends = (position + last.frame_len(), last.next_offset()) == (len, index.end_offset);
        (ends && last.crc() == crc).then_some(index)
    }

    /// The index of a closed segment: the kept one or, where there is none, from the frames' headers.
    pub(super) fn index(&self, base: u64) -> Result<Index, Fault> {
        let mut segment = Segment::open(&self.disk, &self.dir, base)?;
        let len = segment.len()?;
        match self.kept_index(&mut segment, base, len) {
            Some(index) => Ok(index),
            None => indexed(&mut segment, base, len),
        }
    }
}

/// The index of the first `len` bytes of a segment, from its frames' headers.
pub(super) fn indexed(segment: &mut Segment, base: u64, len: u64) -> Result<Index, Fault> {
    let mut index = Index::new(base);
    while index.len < len {
        let header = segment.header(index.len, len)?;
        if header.base_offset != index.end_offset {
            return Err(Fault::Bad("the frame there does not continue the one before".into()));
        }
        index.take_in(&header);
    }
    Ok(index)
}

fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[..CRC]), &bytes[CRC + 4..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Index {
        let mut index = Index::new(100);
        for i in 0..200 {
            index.take_in(&Header {
                base_offset: 100 + 10 * i,
                rows: 10,
                body_len: 4000,
                // A clock that goes back now and then.
                append_time: i as i64 * 5 - if i % 7 == 0 { 20 } else { 0 },
                timestamps: Some((i as i64, 1000 - i as i64)),
                ..Header::default()
            });
        }
        index
    }

    #[test]
    fn it_leads_to_a_frame_before_the_row_or_time() {
        let index = sample();
        assert_eq!((index.len, index.end_offset, index.newest), (200 * 4096, 2100, 995));
        assert_eq!(index.event_times, Some((0, 1000)));
        assert_eq!(index.entries.len(), 12);
        for offset in 100..2100 {
            let (at, position) = index.before_offset(offset);
            assert!(at <= offset && offset - at <= 160 && position == (at - 100) / 10 * 4096);
        }
        for time in -30..1000 {
            let (at, _) = index.before_time(time);
            // All frames before that place are older.
            assert!((0..(at as i64 - 100) / 10).all(|i| i * 5 - if i % 7 == 0 { 20 } else { 0 } < time));
        }
        assert_eq!(index.before_time(i64::MAX).0, 2020);
    }

    #[test]
    fn it_reads_back_and_no_flipped_bit_or_cut_goes_unseen() {
        for index in [sample(), Index::new(7)] {
            let sound = index.bytes();
            assert_eq!(Index::from_bytes(&sound), Some(index));
            for bit in 0..sound.len() * 8 {
                let mut bytes = sound.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Index::from_bytes(&bytes), None, "bit {bit}");
            }
            assert!((0..sound.len()).all(|cut| Index::from_bytes(&sound[..cut]).is_none()));
        }
    }
}
