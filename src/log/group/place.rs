//! The file of a group's place in one partition: which row it wants next, in two slots that take turns,
//! so that one is whole whatever happens to the other.
//!
//! ```text
//!      0 │ slot with even sequence numbers │ 512 │ slot with odd ones │ 1024
//!
//!        0       4    5   6            8
//!      0 │ magic │ v1 │ c │ 0          │ sequence number u64      │
//!     16 │ offset u64                  │ committed, ns i64        │
//!     32 │ pid u32 │ writer epoch u32  │ crc32c of the 40 before  │ 44
//! ```
//!
//! Little endian. `c` is 1 once something was committed, `offset` that of the first row that was not, and
//! `committed` when that was. `pid` is the process that wrote the slot. `writer epoch` is that of the
//! partition when it was committed: rows of a greater epoch have taken the place of rows that were lost.
//!
//! Law: only who holds the file's lock writes it. So a member that has lost its partition commits nothing.

use crate::disk::{Disk, DiskError, DiskFile, DiskLock, Open};
use crate::log::frame::field;
use std::path::Path;
use std::sync::Arc;

const MAGIC: [u8; 4] = *b"MSGP";
const VERSION: u8 = 1;
const SLOT: usize = 44;
const APART: usize = 512;
const FILE: usize = 2 * APART;
/// How often who holds no lock looks again at a file of which both slots are being written.
const LOOKS: usize = 64;

/// Where a group stands in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    /// Raised with each commit; its parity says which slot holds it.
    pub(super) sequence: u64,
    /// The first row that was not consumed; `None` = nothing was committed yet.
    pub(super) offset: Option<u64>,
    /// When it was committed, in nanoseconds since the epoch.
    pub(super) committed_ns: i64,
    /// The process that wrote this.
    pub(super) pid: u32,
    /// The partition's writer epoch then.
    pub(super) epoch: u32,
}

impl Place {
    fn bytes(&self) -> [u8; SLOT] {
        let mut out = [0; SLOT];
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &MAGIC);
        put(4, &[VERSION, u8::from(self.offset.is_some())]);
        put(8, &self.sequence.to_le_bytes());
        put(16, &self.offset.unwrap_or_default().to_le_bytes());
        put(24, &self.committed_ns.to_le_bytes());
        put(32, &self.pid.to_le_bytes());
        put(36, &self.epoch.to_le_bytes());
        let crc = crc32c::crc32c(&out[..40]);
        out[40..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    fn read(slot: &[u8], parity: u64) -> Slot {
        if slot.iter().all(|&byte| byte == 0) {
            return Slot::Empty;
        }
        let number = |at| u64::from_le_bytes(field(slot, at));
        let crc = u32::from_le_bytes(field(slot, 40));
        let sound = slot[..4] == MAGIC && slot[4] == VERSION && crc == crc32c::crc32c(&slot[..40]);
        if !sound || number(8) % 2 != parity {
            return Slot::Torn;
        }
        Slot::Whole(Place {
            sequence: number(8),
            offset: (slot[5] == 1).then(|| number(16)),
            committed_ns: i64::from_le_bytes(field(slot, 24)),
            pid: u32::from_le_bytes(field(slot, 32)),
            epoch: u32::from_le_bytes(field(slot, 36)),
        })
    }
}

enum Slot {
    /// Never written.
    Empty,
    Torn,
    Whole(Place),
}

/// What such a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// The newest whole slot; the default of a file that was never written.
    Place(Place),
    /// No slot is whole.
    Damaged,
}

/// An open file of a place.
#[derive(Debug)]
pub(super) struct PlaceFile(Arc<DiskFile>);

impl PlaceFile {
    /// Opens the file at `path`; `None` if it is not there.
    pub(super) fn open(disk: &Disk, path: &Path) -> Result<Option<Self>, DiskError> {
        match disk.open(path, Open::Write) {
            Err(e) if e.is_not_found() => Ok(None),
            file => Ok(Some(PlaceFile(Arc::new(file?)))),
        }
    }

    /// Opens the file at `path`, making it if it is not there: as long as it gets, so that a full disk
    /// keeps nobody from committing, and its name durable.
    pub(super) fn create(disk: &Disk, path: &Path) -> Result<Self, DiskError> {
        let file = disk.open(path, Open::Create)?;
        if file.len()? < FILE as u64 {
            file.truncate(0)?;
            file.write_all_at(&[0; FILE], 0)?;
            disk.sync_dir(path.parent().unwrap_or(Path::new(".")))?;
        }
        Ok(PlaceFile(Arc::new(file)))
    }

    /// Takes the lock, if nobody owns the partition.
    pub(super) fn try_lock(&self) -> Result<Option<DiskLock>, DiskError> {
        self.0.try_lock()
    }

    /// Takes the lock, waiting for who has it.
    pub(super) fn lock(&self) -> Result<DiskLock, DiskError> {
        self.0.lock()
    }

    /// Reads what is there. Without the lock a slot may look torn because it is being written.
    pub(super) fn read(&self) -> Result<Found, DiskError> {
        let mut found = Found::Damaged;
        for _ in 0..LOOKS {
            let mut bytes = [0; FILE];
            self.0.read_at(&mut bytes, 0)?;
            let slots = [0, 1].map(|n| Place::read(&bytes[n * APART..n * APART + SLOT], n as u64));
            found = match slots {
                [Slot::Whole(a), Slot::Whole(b)] => Found::Place(if a.sequence > b.sequence { a } else { b }),
                [Slot::Whole(one), _] | [_, Slot::Whole(one)] => Found::Place(one),
                [Slot::Empty, Slot::Empty] => Found::Place(Place::default()),
                _ => Found::Damaged,
            };
            if found != Found::Damaged {
                break;
            }
            std::thread::yield_now();
        }
        Ok(found)
    }

    /// Writes `place` into the slot of its sequence number. Only for who holds the lock.
    pub(super) fn write(&self, place: &Place) -> Result<(), DiskError> {
        self.0.write_all_at(&place.bytes(), place.sequence % 2 * APART as u64)
    }

    pub(super) fn sync(&self) -> Result<(), DiskError> {
        self.0.sync_data()
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_whole_slot_counts_and_every_flipped_bit_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0");
        assert!(PlaceFile::open(&Disk::real(), &path).unwrap().is_none());
        let file = PlaceFile::create(&Disk::real(), &path).unwrap();
        assert_eq!(file.read().unwrap(), Found::Place(Place::default()));

        let older = Place { sequence: 6, offset: Some(10), committed_ns: -5, pid: 77, epoch: 3 };
        let newer = Place { sequence: 7, offset: Some(0), ..older };
        file.write(&older).unwrap();
        assert_eq!(file.read().unwrap(), Found::Place(older));
        file.write(&newer).unwrap();
        assert_eq!(file.read().unwrap(), Found::Place(newer));

        let sound = std::fs::read(&path).unwrap();
        for (at, left) in [(0, newer), (APART, older)] {
            for bit in 0..SLOT * 8 {
                let mut bytes = sound.clone();
                bytes[at + bit / 8] ^= 1 << (bit % 8);
                std::fs::write(&path, &bytes).unwrap();
                assert_eq!(file.read().unwrap(), Found::Place(left), "bit {bit}");
            }
        }
        let mut bytes = sound;
        (bytes[8], bytes[APART + 8]) = (1, 1);
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(file.read().unwrap(), Found::Damaged);
    }
}
