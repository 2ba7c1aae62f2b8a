//! Who has written which step last, and the snapshot of it that each new segment begins with: so that deduplication
//! survives a restart without reading the log from its start, and survives the frames that it comes from.
//!
//! ```text
//!     <base>.producers     the frames before the offset `base`
//!
//!        0       4    5   8                  16
//!      0 │ magic │ v1 │ 0 │ base offset u64  │
//!     16 │ producers u32 │ crc32c of all the rest │
//!     24 │ producer u128 │ step u64 │ append time of that step i64 │
//!     56 │ … the next producer, in ascending order
//! ```
//!
//! Little endian. Written whole and synced before the segment is begun. Precedent: Kafka's producer snapshots.

use super::frame::{Header, field};
use super::partition::Partition;
use crate::disk::DiskError;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

const MAGIC: [u8; 4] = *b"MSPR";
const VERSION: u8 = 1;
const HEAD: usize = 24;
const ENTRY: usize = 32;
/// Where the checksum stands.
const CRC: usize = 20;
/// The most producers of a partition that are remembered: those that have written last.
const MOST: usize = 65_536;

/// The file of the snapshot with which the segment `base` begins.
pub(super) fn producers_path(partition: &Path, base: u64) -> PathBuf {
    partition.join(format!("{base:020}.producers"))
}

/// Each producer's last step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Producers(HashMap<u128, Last>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Last {
    step: u64,
    append_time: i64,
}

impl Producers {
    /// The last step of `producer`.
    pub(super) fn last_step(&self, producer: u128) -> Option<u64> {
        self.0.get(&producer).map(|last| last.step)
    }

    /// Takes in the next frame.
    pub(super) fn take_in(&mut self, header: &Header) {
        if header.producer == 0 {
            return;
        }
        let now = Last { step: header.step, append_time: header.append_time };
        let last = self.0.entry(header.producer).or_insert(now);
        if last.step <= now.step {
            *last = now;
        }
        if self.0.len() > 2 * MOST {
            self.forget();
        }
    }

    /// Keeps those that have written last.
    fn forget(&mut self) {
        if self.0.len() > MOST {
            let mut times: Vec<(i64, u128)> = self.0.iter().map(|(p, last)| (last.append_time, *p)).collect();
            times.sort_unstable();
            let gone = times.len() - MOST;
            for (_, producer) in &times[..gone] {
                self.0.remove(producer);
            }
        }
    }

    /// The snapshot as it stands in the file of the segment `base`.
    fn bytes(&mut self, base: u64) -> Vec<u8> {
        self.forget();
        let mut sorted: Vec<_> = self.0.iter().collect();
        sorted.sort_unstable_by_key(|(producer, _)| **producer);
        let mut out = vec![0; HEAD];
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &MAGIC);
        put(4, &[VERSION]);
        put(8, &base.to_le_bytes());
        // At most MOST.
        put(16, &(sorted.len() as u32).to_le_bytes());
        for (producer, last) in sorted {
            out.extend_from_slice(&producer.to_le_bytes());
            out.extend_from_slice(&last.step.to_le_bytes());
            out.extend_from_slice(&last.append_time.to_le_bytes());
        }
        let crc = checksum(&out);
        out[CRC..HEAD].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// The snapshot of the segment `base` in a file's bytes, if they are one.
    pub(super) fn from_bytes(base: u64, bytes: &[u8]) -> Option<Self> {
        let (head, entries) = bytes.split_at_checked(HEAD)?;
        let count = u32::from_le_bytes(field(head, 16)) as usize;
        let whole = head[..4] == MAGIC
            && head[4] == VERSION
            && u32::from_le_bytes(field(head, CRC)) == checksum(bytes)
            && u64::from_le_bytes(field(head, 8)) == base
            && count <= MOST
            && entries.len() == count * ENTRY;
        whole.then(|| {
            let entries = entries.chunks_exact(ENTRY).map(|entry| {
                let step = u64::from_le_bytes(field(entry, 16));
                let append_time = i64::from_le_bytes(field(entry, 24));
                (u128::from_le_bytes(field(entry, 0)), Last { step, append_time })
            });
            Producers(entries.collect())
        })
    }

    /// Puts the snapshot beside the segment `base`, to last.
    pub(super) fn write(&mut self, partition: &Partition, base: u64) -> Result<(), DiskError> {
        partition.disk.write_atomically(&producers_path(&partition.dir, base), &self.bytes(base))
    }
}

impl Partition {
    /// The producers before the segment `base`; none if there is no sound snapshot of them.
    pub(super) fn producers(&self, base: u64) -> Option<Producers> {
        let bytes = self.disk.read(&producers_path(&self.dir, base)).ok()?;
        Producers::from_bytes(base, &bytes)
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    let (head, entries) = bytes.split_at(HEAD);
    crc32c::crc32c_append(crc32c::crc32c(&head[..CRC]), entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(producer: u128, step: u64, append_time: i64) -> Header {
        Header { producer, step, append_time, ..Header::default() }
    }

    #[test]
    fn a_snapshot_reads_back_and_no_flipped_bit_or_cut_goes_unseen() {
        let mut producers = Producers::default();
        for (producer, step) in [(5, 1), (0, 9), (7, 3), (5, 2), (7, 1)] {
            producers.take_in(&frame(producer, step, step as i64));
        }
        let sound = producers.bytes(40);
        assert_eq!(Producers::from_bytes(40, &sound), Some(producers.clone()));
        assert_eq!([0, 5, 7].map(|p| producers.last_step(p)), [None, Some(2), Some(3)]);
        assert_eq!(Producers::from_bytes(41, &sound), None, "another segment's");
        for bit in 0..sound.len() * 8 {
            let mut bytes = sound.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Producers::from_bytes(40, &bytes), None, "bit {bit}");
        }
        assert!((0..sound.len()).all(|cut| Producers::from_bytes(40, &sound[..cut]).is_none()));
    }

    #[test]
    fn those_that_have_written_last_are_remembered() {
        let mut producers = Producers::default();
        let most = MOST as u128;
        (1..=3 * most).for_each(|p| producers.take_in(&frame(p, 1, p as i64)));
        let known = Producers::from_bytes(0, &producers.bytes(0)).unwrap();
        assert_eq!(known.0.len(), MOST);
        assert!(known.last_step(3 * most).is_some() && known.last_step(most).is_none());
    }
}
