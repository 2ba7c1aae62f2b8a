//! The `tail` file of a partition: how far it has been written, in two slots that take turns, so that
//! one is whole whatever happens to the other.
//!
//! ```text
//!      0 │ slot with even sequence numbers │ 512 │ slot with odd ones │ 1024
//!
//!        0       4    5                8
//!      0 │ magic │ v1 │ 0              │ sequence number u64      │
//!     16 │ segment u64                 │ written length u64       │
//!     32 │ next offset u64             │ durable offset u64       │
//!     48 │ durable length u64          │ log start u64            │
//!     64 │ writer epoch u32 │ 0        │ boot id, 16 bytes        │
//!     88 │ crc32c of the 88 bytes before │ 92
//! ```
//!
//! Little endian. `segment` is the base offset of the active segment; the two lengths are bytes of it.
//! A boot id of zeros says that a sync failed: whoever comes next recovers, as after a boot.
//! The slots lie 512 bytes apart, the unit that a disk writes as a whole.

use super::frame::field;
use crate::disk::{Disk, DiskError, DiskFile, Open};
use std::path::Path;

const MAGIC: [u8; 4] = *b"MSTL";
const VERSION: u8 = 1;
const SLOT: usize = 92;
const APART: usize = 512;
const FILE: usize = 2 * APART;
/// In place of a boot id: a sync failed, so what is in memory may never reach the disk.
pub(super) const UNSURE: [u8; 16] = [0; 16];

/// How far a partition has been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tail {
    /// Raised with each publication; its parity says which slot holds it.
    pub(super) sequence: u64,
    /// Base offset of the active segment.
    pub(super) segment: u64,
    /// Bytes of the active segment that hold published frames.
    pub(super) written: u64,
    /// Offset of the next row.
    pub(super) next_offset: u64,
    /// All rows before this offset are on disk for good.
    pub(super) durable_offset: u64,
    /// Bytes of the active segment that are on disk for good: they end just before `durable_offset`.
    pub(super) durable: u64,
    /// The first offset that the partition still holds.
    pub(super) log_start: u64,
    /// Raised with each boot and with each takeover from a writer that died.
    pub(super) epoch: u32,
    /// The boot of the system under which this was written.
    pub(super) boot: [u8; 16],
}

impl Tail {
    /// The place up to which it is written: a segment and bytes of it.
    pub(super) fn written_place(&self) -> (u64, u64) {
        (self.segment, self.written)
    }

    /// The place up to which it is durable.
    pub(super) fn durable_place(&self) -> (u64, u64) {
        (self.segment, self.durable)
    }

    fn bytes(&self) -> [u8; SLOT] {
        let mut out = [0; SLOT];
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &MAGIC);
        put(4, &[VERSION]);
        put(8, &self.sequence.to_le_bytes());
        put(16, &self.segment.to_le_bytes());
        put(24, &self.written.to_le_bytes());
        put(32, &self.next_offset.to_le_bytes());
        put(40, &self.durable_offset.to_le_bytes());
        put(48, &self.durable.to_le_bytes());
        put(56, &self.log_start.to_le_bytes());
        put(64, &self.epoch.to_le_bytes());
        put(72, &self.boot);
        let crc = crc32c::crc32c(&out[..88]);
        out[88..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    fn read(slot: &[u8]) -> Slot {
        if slot.iter().all(|&byte| byte == 0) {
            return Slot::Empty;
        }
        let number = |at| u64::from_le_bytes(field(slot, at));
        let crc = u32::from_le_bytes(field(slot, 88));
        if slot[..4] != MAGIC || slot[4] != VERSION || crc != crc32c::crc32c(&slot[..88]) {
            return Slot::Torn;
        }
        Slot::Whole(Tail {
            sequence: number(8),
            segment: number(16),
            written: number(24),
            next_offset: number(32),
            durable_offset: number(40),
            durable: number(48),
            log_start: number(56),
            epoch: u32::from_le_bytes(field(slot, 64)),
            boot: field(slot, 72),
        })
    }
}

enum Slot {
    /// Never written.
    Empty,
    Torn,
    Whole(Tail),
}

/// What a tail file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// The whole slot with the greater sequence number.
    pub(super) newest: Option<Tail>,
    /// Whether the other slot is damaged: then `newest` may not be the last that was published.
    pub(super) torn: bool,
}

/// An open tail file.
#[derive(Debug)]
pub(super) struct TailFile(DiskFile);

impl TailFile {
    pub(super) fn open(disk: &Disk, path: &Path, how: Open) -> Result<Self, DiskError> {
        Ok(TailFile(disk.open(path, how)?))
    }

    /// Reads both slots. Without the append lock a slot may look torn because it is being written.
    pub(super) fn read(&self) -> Result<Found, DiskError> {
        let mut bytes = [0; FILE];
        self.0.read_at(&mut bytes, 0)?;
        let slots = [0, APART].map(|at| Tail::read(&bytes[at..at + SLOT]));
        let mut found = Found { newest: None, torn: false };
        for (parity, slot) in slots.into_iter().enumerate() {
            match slot {
                Slot::Empty => {}
                Slot::Whole(tail) if tail.sequence % 2 == parity as u64 => {
                    let newest = found.newest.is_none_or(|other| other.sequence < tail.sequence);
                    found.newest = if newest { Some(tail) } else { found.newest };
                }
                Slot::Whole(_) | Slot::Torn => found.torn = true,
            }
        }
        Ok(found)
    }

    /// Writes `tail` into the slot of its sequence number.
    pub(super) fn publish(&self, tail: &Tail) -> Result<(), DiskError> {
        self.0.write_all_at(&tail.bytes(), tail.sequence % 2 * APART as u64)
    }

    /// Makes the file as long as it gets, so that a full disk cannot keep us from publishing.
    pub(super) fn allocate(&self) -> Result<(), DiskError> {
        if self.0.len()? < FILE as u64 {
            self.0.write_all_at(&[0; FILE], 0)?;
        }
        Ok(())
    }

    pub(super) fn sync(&self) -> Result<(), DiskError> {
        self.0.sync_data()
    }

    pub(super) fn is_unlinked(&self) -> Result<bool, DiskError> {
        self.0.is_unlinked()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_whole_slot_counts_and_every_flipped_bit_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tail");
        let file = TailFile::open(&Disk::real(), &path, Open::Create).unwrap();
        assert_eq!(file.read().unwrap(), Found { newest: None, torn: false });
        file.allocate().unwrap();
        assert_eq!(file.read().unwrap(), Found { newest: None, torn: false });

        let older = Tail { sequence: 6, written: 10, boot: [3; 16], ..Tail::default() };
        let newer = Tail { sequence: 7, written: 20, epoch: 9, ..older };
        file.publish(&older).unwrap();
        file.publish(&newer).unwrap();
        assert_eq!(file.read().unwrap(), Found { newest: Some(newer), torn: false });

        let sound = std::fs::read(&path).unwrap();
        for (at, left) in [(0, newer), (APART, older)] {
            for bit in 0..SLOT * 8 {
                let mut bytes = sound.clone();
                bytes[at + bit / 8] ^= 1 << (bit % 8);
                std::fs::write(&path, &bytes).unwrap();
                assert_eq!(file.read().unwrap(), Found { newest: Some(left), torn: true }, "bit {bit}");
            }
        }
    }
}
