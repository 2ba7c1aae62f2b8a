//! A sorted run: records in the order of their keys' hashes in one file that nothing changes any more.
//!
//! What is needed to find a record stands in memory: where each block begins, and a Bloom filter of the hashes (Bloom
//! 1970) so that a run is seldom read for a key that it does not have. A record that has been taken is marked there too.

use super::{NEVER, Result};
use crate::disk::{Disk, DiskError, DiskFile, Open};
use std::path::Path;
use std::sync::Arc;

/// Bytes of a block that are worth a read.
const BLOCK: usize = 8192;
/// Bytes that are written at once.
const BUFFER: usize = 1 << 20;
/// Bits of the filter for a record, and how many of them are set: about 1 in 100 absent hashes seems to be there.
const FILTER_BITS: usize = 10;
const FILTER_SET: u32 = 6;
/// Bytes of a record's head: hash, due, lengths of key and value.
const HEAD: usize = 24;

/// A record: a key and what is kept of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The hash of the key.
    pub hash: u64,
    /// The event time (ns) at which it is needed at the latest, or [`NEVER`].
    pub due: i64,
    /// The key's bytes.
    pub key: &'a [u8],
    /// What is kept.
    pub value: &'a [u8],
}

impl<'a> Record<'a> {
    /// The first record of `bytes`, and how long it is; none if there is none.
    fn first(bytes: &'a [u8]) -> Option<(Record<'a>, usize)> {
        let (head, rest) = bytes.split_at_checked(HEAD)?;
        let hash = u64::from_le_bytes(head[..8].try_into().ok()?);
        let due = i64::from_le_bytes(head[8..16].try_into().ok()?);
        let key = u32::from_le_bytes(head[16..20].try_into().ok()?) as usize;
        let value = u32::from_le_bytes(head[20..24].try_into().ok()?) as usize;
        let (key, rest) = rest.split_at_checked(key)?;
        let value = rest.get(..value)?;
        Some((Record { hash, due, key, value }, HEAD + key.len() + value.len()))
    }
}

/// The records of a block, in order.
fn records(bytes: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (record, len) = Record::first(&bytes[at..])?;
        at += len;
        Some(record)
    })
}

/// Where a block stands.
#[derive(Debug, Clone)]
struct Block {
    hash: u64,
    start: u64,
    len: u32,
    crc: u32,
    /// Its first record's number in the run.
    first: u32,
    /// The least time at which one of its records is due.
    due: i64,
}

/// Which records have been taken.
#[derive(Debug, Clone, Default)]
struct Taken(Vec<u64>);

impl Taken {
    fn is(&self, record: usize) -> bool {
        self.0[record / 64] & (1 << (record % 64)) != 0
    }

    fn set(&mut self, record: usize) {
        self.0[record / 64] |= 1 << (record % 64);
    }
}

/// A run.
#[derive(Debug, Clone)]
pub(super) struct Run {
    file: Arc<DiskFile>,
    blocks: Vec<Block>,
    filter: Arc<[u64]>,
    taken: Taken,
    bytes: u64,
    live_records: usize,
    live_bytes: u64,
    /// The least time at which a record is due.
    due: i64,
}

/// What becomes of a record that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// It stays.
    Keep,
    /// It goes.
    Take,
}

impl Run {
    pub(super) fn live_records(&self) -> usize {
        self.live_records
    }

    pub(super) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// Bytes on disk.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes in memory.
    pub(super) fn index_bytes(&self) -> usize {
        self.blocks.len() * size_of::<Block>() + self.filter.len() * 8 + self.taken.0.len() * 8
    }

    pub(super) fn due(&self) -> i64 {
        self.due
    }

    fn read(&self, block: usize, into: &mut Vec<u8>) -> Result<()> {
        let Block { start, len, crc, .. } = self.blocks[block];
        into.resize(len as usize, 0);
        let filled = self.file.read_at(into, start)?;
        if filled < into.len() || crc32c::crc32c(into) != crc {
            return Err(super::ColdError::Damaged(self.file.path().to_owned()));
        }
        Ok(())
    }

    /// Gives the records with these hashes, which are in order, to `found`.
    pub(super) fn find(
        &mut self,
        hashes: &[u64],
        look: Look,
        found: &mut impl FnMut(Record) -> Result<()>,
    ) -> Result<()> {
        let (mut bytes, mut at, mut from) = (Vec::new(), None, 0);
        let filter = self.filter.clone();
        for hash in hashes.iter().filter(|hash| may_have(&filter, **hash)) {
            from += self.blocks[from..].partition_point(|block| block.hash <= *hash);
            // The block before is the one; it may hold the next hash too.
            let Some(block) = from.checked_sub(1) else { continue };
            from = block;
            if at != Some(block) {
                self.read(block, &mut bytes)?;
                at = Some(block);
            }
            for (i, record) in records(&bytes).enumerate() {
                let number = self.blocks[block].first as usize + i;
                if record.hash == *hash && !self.taken.is(number) {
                    found(record)?;
                    if look == Look::Take {
                        self.note_taken(number, &record);
                    }
                }
                if record.hash > *hash {
                    break;
                }
            }
        }
        Ok(())
    }

    fn note_taken(&mut self, number: usize, record: &Record) {
        self.taken.set(number);
        self.live_records -= 1;
        self.live_bytes -= (HEAD + record.key.len() + record.value.len()) as u64;
    }

    /// Takes the records that are due at `time` or before, and gives them to `found`.
    pub(super) fn take_due(&mut self, time: i64, found: &mut impl FnMut(Record) -> Result<()>) -> Result<()> {
        let mut bytes = Vec::new();
        for block in 0..self.blocks.len() {
            if self.blocks[block].due > time {
                continue;
            }
            self.read(block, &mut bytes)?;
            let mut least = NEVER;
            for (i, record) in records(&bytes).enumerate() {
                let number = self.blocks[block].first as usize + i;
                if self.taken.is(number) {
                    continue;
                }
                if record.due > time {
                    least = least.min(record.due);
                    continue;
                }
                found(record)?;
                self.note_taken(number, &record);
            }
            self.blocks[block].due = least;
        }
        self.due = self.blocks.iter().map(|block| block.due).min().unwrap_or(NEVER);
        Ok(())
    }

    /// Walks through the records that have not been taken.
    pub(super) fn cursor(&self) -> Cursor<'_> {
        Cursor { run: self, block: 0, record: 0, bytes: Vec::new(), at: 0, len: 0 }
    }
}

/// A walk through a run's records, in order.
pub(super) struct Cursor<'a> {
    run: &'a Run,
    /// The block to be read next.
    block: usize,
    /// The number of the record at `at`.
    record: usize,
    bytes: Vec<u8>,
    at: usize,
    /// The length of the record at `at`; 0 = there is none yet.
    len: usize,
}

impl Cursor<'_> {
    /// Goes on to the next record; says whether there is one.
    pub(super) fn advance(&mut self) -> Result<bool> {
        loop {
            if self.len > 0 {
                self.record += 1;
            }
            self.at += self.len;
            self.len = 0;
            if self.at >= self.bytes.len() {
                if self.block == self.run.blocks.len() {
                    return Ok(false);
                }
                self.run.read(self.block, &mut self.bytes)?;
                (self.block, self.at) = (self.block + 1, 0);
            }
            match Record::first(&self.bytes[self.at..]) {
                Some((_, len)) => self.len = len,
                None => return Err(super::ColdError::Damaged(self.run.file.path().to_owned())),
            }
            if !self.run.taken.is(self.record) {
                return Ok(true);
            }
        }
    }

    /// The record, after [`Cursor::advance`] has said that there is one.
    pub(super) fn record(&self) -> Option<Record<'_>> {
        Some(Record::first(self.bytes.get(self.at..)?)?.0)
    }
}

/// Whether a filter may have a hash.
fn may_have(filter: &[u64], hash: u64) -> bool {
    places(filter.len(), hash).all(|(word, bit)| filter[word] & bit != 0)
}

/// The bits of a hash. The hash is well mixed, so that two halves of it make all of them (Kirsch and Mitzenmacher 2006).
fn places(words: usize, hash: u64) -> impl Iterator<Item = (usize, u64)> {
    let step = hash.rotate_left(32) | 1;
    (0..u64::from(FILTER_SET)).map(move |i| {
        let place = hash.wrapping_add(step.wrapping_mul(i + 1));
        ((place >> 6) as usize % words, 1 << (place & 63))
    })
}

/// Writes a run.
pub(super) struct Writer {
    file: DiskFile,
    written: u64,
    buffer: Vec<u8>,
    /// Where in the buffer the running block begins.
    start: usize,
    blocks: Vec<Block>,
    filter: Vec<u64>,
    records: usize,
    last: Option<u64>,
}

impl Writer {
    /// Of a run of about `records` records, in a new file that has no name as soon as it is open: nothing is left of it
    /// when the process is gone.
    pub(super) fn new(disk: &Disk, path: &Path, records: usize) -> Result<Self> {
        let file = disk.open(path, Open::Create)?;
        disk.remove_file(path)?;
        Ok(Writer {
            file,
            written: 0,
            buffer: Vec::with_capacity(BUFFER.min(records * 64)),
            start: 0,
            blocks: Vec::new(),
            filter: vec![0; records * FILTER_BITS / 64 + 1],
            records: 0,
            last: None,
        })
    }

    /// Adds a record, whose hash is not less than the last one's. Equal hashes stand in one block.
    pub(super) fn push(&mut self, record: Record) -> Result<()> {
        let Record { hash, due, key, value } = record;
        let (Ok(key_len), Ok(value_len)) = (u32::try_from(key.len()), u32::try_from(value.len())) else {
            return Err(super::ColdError::TooLarge);
        };
        let is_full = self.buffer.len() - self.start >= BLOCK && self.last != Some(hash);
        if self.blocks.is_empty() || is_full {
            self.end_block()?;
            let first = self.records as u32;
            let start = self.written + self.buffer.len() as u64;
            self.blocks.push(Block { hash, start, len: 0, crc: 0, first, due: NEVER });
        }
        self.last = Some(hash);
        self.records += 1;
        if let Some(block) = self.blocks.last_mut() {
            block.due = block.due.min(due);
        }
        let words = self.filter.len();
        places(words, hash).for_each(|(word, bit)| self.filter[word] |= bit);
        self.buffer.extend_from_slice(&hash.to_le_bytes());
        self.buffer.extend_from_slice(&due.to_le_bytes());
        self.buffer.extend_from_slice(&key_len.to_le_bytes());
        self.buffer.extend_from_slice(&value_len.to_le_bytes());
        self.buffer.extend_from_slice(key);
        self.buffer.extend_from_slice(value);
        Ok(())
    }

    fn end_block(&mut self) -> Result<()> {
        if let Some(block) = self.blocks.last_mut() {
            let bytes = &self.buffer[self.start..];
            block.len = u32::try_from(bytes.len()).map_err(|_| super::ColdError::TooLarge)?;
            block.crc = crc32c::crc32c(bytes);
        }
        self.start = self.buffer.len();
        if self.buffer.len() >= BUFFER {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        self.file.write_all_at(&self.buffer, self.written)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        self.start = 0;
        Ok(())
    }

    /// The run.
    pub(super) fn finish(mut self) -> Result<Run> {
        self.end_block()?;
        self.flush()?;
        self.blocks.shrink_to_fit();
        Ok(Run {
            file: Arc::new(self.file),
            due: self.blocks.iter().map(|block| block.due).min().unwrap_or(NEVER),
            blocks: self.blocks,
            filter: self.filter.into(),
            taken: Taken(vec![0; self.records.div_ceil(64)]),
            bytes: self.written,
            live_records: self.records,
            live_bytes: self.written,
        })
    }
}
