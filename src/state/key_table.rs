//! Key columns → slots, where single keys come and go: look-ups by the batch, keys as row-format bytes, or as they are where
//! they are one number or time.
//!
//! Unlike [`super::keys::Keys`], which numbers keys for vectors of accumulators, a slot here is freed when its
//! owner says so, and its number is given to another key later.

use super::arena::{Arena, Span};
use super::bag::RowCodec;
use super::words::{self, spread};
use arrow::array::{Array, ArrayRef};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::row::{Rows, SortField};
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

/// Slot of a row that has none: its key holds a null that equals nothing.
pub const NO_SLOT: u32 = u32::MAX;

/// Keys that are looked for together.
const AHEAD: usize = 16;

/// Rows of a batch as bytes. Without columns every row is the empty string.
pub struct Encoded {
    rows: Option<Rows>,
    len: usize,
}

impl Encoded {
    /// The rows of `columns`, each of `len` rows.
    pub fn new(codec: &RowCodec, columns: &[ArrayRef], len: usize) -> Result<Self, ArrowError> {
        let rows = if columns.is_empty() { None } else { Some(codec.encode(columns)?) };
        Ok(Encoded { rows, len })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes of row `i`.
    pub fn row(&self, i: usize) -> &[u8] {
        match &self.rows {
            Some(rows) => rows.row(i).data(),
            None => &[],
        }
    }
}

/// A codec for columns of these types in their own order; an error if the row format lacks a type.
pub fn codec(types: &[DataType]) -> Result<RowCodec, ArrowError> {
    RowCodec::new(types.iter().cloned().map(SortField::new).collect(), types.to_vec())
}

/// What the keys are, by slot.
#[derive(Debug)]
enum Kept {
    /// Row-format bytes, with their hash.
    Bytes { arena: Arena, keys: Vec<(u64, Span)> },
    /// The values themselves: of a single column whose values fit into a word.
    Words { values: Vec<u64>, null: Option<u32> },
}

/// Keys that have been removed.
#[derive(Debug, Default)]
struct Removed {
    bytes: Vec<u8>,
    /// Where each ends in `bytes`.
    ends: Vec<usize>,
    words: Vec<u64>,
    /// Of the words: which are null.
    nulls: Vec<bool>,
}

/// The keys that are known, and their slots.
#[derive(Debug)]
pub struct KeyTable {
    codec: RowCodec,
    types: Vec<DataType>,
    table: HashTable<u32>,
    used: Vec<bool>,
    kept: Kept,
    free: Vec<u32>,
    removed: Removed,
    scratch: Vec<u64>,
}

impl KeyTable {
    /// No keys yet, over key columns of these types (none: there is one key).
    pub fn new(types: &[DataType]) -> Result<Self, ArrowError> {
        let kept = match types {
            [only] if words::fits(only) => Kept::Words { values: Vec::new(), null: None },
            _ => Kept::Bytes { arena: Arena::default(), keys: Vec::new() },
        };
        Ok(KeyTable {
            codec: codec(types)?,
            types: types.to_vec(),
            table: HashTable::new(),
            used: Vec::new(),
            kept,
            free: Vec::new(),
            removed: Removed::default(),
            scratch: Vec::new(),
        })
    }

    /// Puts the slot of each of the `rows` rows of `columns` into `slots`; new keys get slots. Rows for which `skip`
    /// is true get [`NO_SLOT`].
    pub fn intern(
        &mut self,
        columns: &[ArrayRef],
        rows: usize,
        skip: impl Fn(usize) -> bool,
        slots: &mut Vec<u32>,
    ) -> Result<(), ArrowError> {
        slots.clear();
        slots.reserve(rows);
        if let (Kept::Words { .. }, [column]) = (&self.kept, columns) {
            let mut scratch = std::mem::take(&mut self.scratch);
            words::words(column, &mut scratch);
            for (n, values) in scratch.chunks(AHEAD).enumerate() {
                // Looking for all first lets the processor fetch their places side by side.
                let mut found = [None; AHEAD];
                for (found, value) in found.iter_mut().zip(values) {
                    *found = self.find_word(spread(*value), *value);
                }
                for (i, (value, found)) in values.iter().zip(found).enumerate() {
                    let row = n * AHEAD + i;
                    slots.push(match found {
                        _ if skip(row) => NO_SLOT,
                        _ if column.is_null(row) => self.null_slot(),
                        Some(slot) => slot,
                        None => self.word_slot(*value),
                    });
                }
            }
            self.scratch = scratch;
            return Ok(());
        }
        let encoded = Encoded::new(&self.codec, columns, rows)?;
        for i in 0..rows {
            slots.push(if skip(i) { NO_SLOT } else { self.slot(encoded.row(i)) });
        }
        Ok(())
    }

    /// Puts the slot of each of the `rows` rows of `columns` into `slots`; [`NO_SLOT`] for keys that have none.
    pub fn look_up(&self, columns: &[ArrayRef], rows: usize, slots: &mut Vec<u32>) -> Result<(), ArrowError> {
        slots.clear();
        if let (Kept::Words { null, .. }, [column]) = (&self.kept, columns) {
            let mut values = Vec::new();
            words::words(column, &mut values);
            slots.extend(values.iter().enumerate().map(|(i, value)| {
                let found = if column.is_null(i) { *null } else { self.find_word(spread(*value), *value) };
                found.unwrap_or(NO_SLOT)
            }));
            return Ok(());
        }
        let encoded = Encoded::new(&self.codec, columns, rows)?;
        slots.extend((0..rows).map(|i| {
            let bytes = encoded.row(i);
            self.find(xxh3_64(bytes), bytes).unwrap_or(NO_SLOT)
        }));
        Ok(())
    }

    fn find(&self, hash: u64, bytes: &[u8]) -> Option<u32> {
        let Kept::Bytes { arena, keys } = &self.kept else { return None };
        let same = |slot: &u32| {
            let (known, span) = keys[*slot as usize];
            known == hash && arena.get(span) == bytes
        };
        self.table.find(hash, same).copied()
    }

    fn find_word(&self, hash: u64, value: u64) -> Option<u32> {
        let Kept::Words { values, .. } = &self.kept else { return None };
        self.table.find(hash, |slot| values[*slot as usize] == value).copied()
    }

    fn slot(&mut self, bytes: &[u8]) -> u32 {
        let hash = xxh3_64(bytes);
        if let Some(slot) = self.find(hash, bytes) {
            return slot;
        }
        let slot = self.fresh();
        if let Kept::Bytes { arena, keys } = &mut self.kept {
            put(keys, slot, (hash, arena.push(bytes)));
            self.table.insert_unique(hash, slot, |slot| keys[*slot as usize].0);
        }
        slot
    }

    fn word_slot(&mut self, value: u64) -> u32 {
        let hash = spread(value);
        if let Some(slot) = self.find_word(hash, value) {
            return slot;
        }
        let slot = self.fresh();
        if let Kept::Words { values, .. } = &mut self.kept {
            put(values, slot, value);
            self.table.insert_unique(hash, slot, |slot| spread(values[*slot as usize]));
        }
        slot
    }

    /// The slot of the null key, which is in no table.
    fn null_slot(&mut self) -> u32 {
        if let Kept::Words { null: Some(slot), .. } = self.kept {
            return slot;
        }
        let slot = self.fresh();
        if let Kept::Words { values, null } = &mut self.kept {
            put(values, slot, 0);
            *null = Some(slot);
        }
        slot
    }

    /// A slot that is in use from now on.
    fn fresh(&mut self) -> u32 {
        let slot = self.free.pop().unwrap_or(self.used.len() as u32);
        put(&mut self.used, slot, true);
        slot
    }

    fn is_null(&self, slot: u32) -> bool {
        matches!(self.kept, Kept::Words { null: Some(null), .. } if null == slot)
    }

    /// Forgets the key of `slot`, which [`KeyTable::take_removed`] then gives.
    pub fn remove_noted(&mut self, slot: u32) {
        if self.is_used(slot) {
            let null = self.is_null(slot);
            match &self.kept {
                Kept::Bytes { arena, keys } => {
                    self.removed.bytes.extend_from_slice(arena.get(keys[slot as usize].1));
                    self.removed.ends.push(self.removed.bytes.len());
                }
                Kept::Words { values, .. } => {
                    self.removed.words.push(values[slot as usize]);
                    self.removed.nulls.push(null);
                }
            }
        }
        self.remove(slot);
    }

    /// The key columns of the keys that have been removed and noted since this was last called, some of which may be there
    /// again; and how many they are.
    pub fn take_removed(&mut self) -> Result<(Vec<ArrayRef>, usize), ArrowError> {
        let Removed { bytes, ends, words, nulls } = std::mem::take(&mut self.removed);
        if let (Kept::Words { .. }, [only]) = (&self.kept, self.types.as_slice()) {
            return Ok((vec![words::column(only, &words, validity(&nulls))?], words.len()));
        }
        if self.types.is_empty() {
            return Ok((vec![], ends.len()));
        }
        let starts = [0].into_iter().chain(ends.iter().copied());
        Ok((self.codec.decode(starts.zip(&ends).map(|(start, end)| &bytes[start..*end]))?, ends.len()))
    }

    /// Forgets the key of `slot`.
    pub fn remove(&mut self, slot: u32) {
        let Some(used) = self.used.get_mut(slot as usize) else { return };
        if !std::mem::take(used) {
            return;
        }
        self.free.push(slot);
        if let Kept::Words { null, .. } = &mut self.kept
            && *null == Some(slot)
        {
            *null = None;
            return;
        }
        let hash = match &self.kept {
            Kept::Bytes { keys, .. } => keys[slot as usize].0,
            Kept::Words { values, .. } => spread(values[slot as usize]),
        };
        if let Ok(found) = self.table.find_entry(hash, |other| *other == slot) {
            found.remove();
        }
        if let Kept::Bytes { arena, keys } = &mut self.kept {
            arena.free(keys[slot as usize].1);
            if arena.is_wasteful() {
                self.compact();
            }
        }
    }

    /// Gives all memory of removed keys' bytes back.
    pub fn compact(&mut self) {
        let Kept::Bytes { arena, keys } = &mut self.kept else { return };
        let mut fresh = arena.successor();
        for ((_, span), _) in keys.iter_mut().zip(&self.used).filter(|(_, used)| **used) {
            *span = fresh.push(arena.get(*span));
        }
        *arena = fresh;
    }

    /// The greatest number of slots so far: slots are below it.
    pub fn slots(&self) -> usize {
        self.used.len()
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.used.len() - self.free.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The slots that are in use.
    pub fn used(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.used.len() as u32).filter(|slot| self.used[*slot as usize])
    }

    /// The key columns of `slots`, one row each.
    pub fn columns(&self, slots: impl Iterator<Item = u32>) -> Result<Vec<ArrayRef>, ArrowError> {
        match (&self.kept, self.types.as_slice()) {
            (_, []) => Ok(vec![]),
            (Kept::Words { values, .. }, [only, ..]) => {
                let (mut words, mut nulls) = (Vec::new(), Vec::new());
                for slot in slots {
                    words.push(values[slot as usize]);
                    nulls.push(self.is_null(slot));
                }
                Ok(vec![words::column(only, &words, validity(&nulls))?])
            }
            (Kept::Bytes { arena, keys }, _) => {
                self.codec.decode(slots.map(|slot| arena.get(keys[slot as usize].1)))
            }
        }
    }

    /// Whether a slot is in use.
    pub fn is_used(&self, slot: u32) -> bool {
        self.used.get(slot as usize).copied().unwrap_or(false)
    }

    /// Bytes that the keys take, without room that is only reserved.
    pub fn live_bytes(&self) -> usize {
        // Whether it is used, and the place in the table.
        let beside = 1 + 5;
        match &self.kept {
            Kept::Bytes { arena, .. } => {
                self.len() * (beside + size_of::<(u64, Span)>()) + arena.live_bytes()
            }
            Kept::Words { .. } => self.len() * (beside + 8),
        }
    }

    /// Bytes held, roughly.
    pub fn bytes(&self) -> usize {
        let kept = match &self.kept {
            Kept::Bytes { arena, keys } => keys.capacity() * size_of::<(u64, Span)>() + arena.size(),
            Kept::Words { values, .. } => values.capacity() * 8,
        };
        self.used.capacity() + self.table.capacity() * 5 + kept
    }
}

/// Puts the value of `slot`, which is at most the next one, in its place.
fn put<T>(values: &mut Vec<T>, slot: u32, value: T) {
    match values.get_mut(slot as usize) {
        Some(there) => *there = value,
        None => values.push(value),
    }
}

/// Which values are none, as Arrow says it.
fn validity(nulls: &[bool]) -> Option<NullBuffer> {
    nulls.contains(&true).then(|| nulls.iter().map(|null| !null).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{AsArray, Int64Array, StringArray};
    use arrow::datatypes::Int64Type;
    use std::sync::Arc;

    #[test]
    fn a_slot_is_its_keys_until_it_is_removed() {
        let mut table = KeyTable::new(&[DataType::Int64, DataType::Utf8]).unwrap();
        let a: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None, Some(7), Some(3)]));
        let b: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), None, Some("x"), Some("y")]));
        let mut slots = Vec::new();
        table.intern(&[a.clone(), b.clone()], 4, |i| i == 1, &mut slots).unwrap();
        assert_eq!(slots, [0, NO_SLOT, 0, 1]);
        table.remove(0);
        table.remove(0);
        assert_eq!(table.len(), 1);
        table.intern(&[a, b], 4, |_| false, &mut slots).unwrap();
        assert_eq!(slots, [0, 2, 0, 1]);
        assert_eq!(table.used().collect::<Vec<_>>(), [0, 1, 2]);
        let columns = table.columns([1, 0].into_iter()).unwrap();
        assert_eq!(columns[0].as_primitive::<Int64Type>().values(), &[3, 7]);
    }

    #[test]
    fn a_null_is_a_key_beside_the_numbers() {
        let mut table = KeyTable::new(&[DataType::Int64]).unwrap();
        let keys: ArrayRef = Arc::new(Int64Array::from(vec![Some(0), None, Some(-1), None]));
        let mut slots = Vec::new();
        table.intern(std::slice::from_ref(&keys), 4, |_| false, &mut slots).unwrap();
        assert_eq!(slots, [0, 1, 2, 1]);
        assert_eq!(table.columns(slots.iter().copied()).unwrap(), std::slice::from_ref(&keys));
        table.remove_noted(1);
        table.remove_noted(2);
        table.look_up(std::slice::from_ref(&keys), 4, &mut slots).unwrap();
        assert_eq!(slots, [0, NO_SLOT, NO_SLOT, NO_SLOT]);
        let gone: ArrayRef = Arc::new(Int64Array::from(vec![None, Some(-1)]));
        assert_eq!(table.take_removed().unwrap(), (vec![gone], 2));
        table.intern(std::slice::from_ref(&keys), 4, |i| i == 2, &mut slots).unwrap();
        assert_eq!((slots[0], slots[2], slots[1] == slots[3]), (0, NO_SLOT, true));
        table.look_up(&[keys], 4, &mut slots).unwrap();
        assert_eq!((table.len(), slots[1] != NO_SLOT), (2, true));
    }

    #[test]
    fn without_columns_there_is_one_key() {
        let mut table = KeyTable::new(&[]).unwrap();
        let mut slots = Vec::new();
        table.intern(&[], 3, |_| false, &mut slots).unwrap();
        assert_eq!((slots, table.len()), (vec![0, 0, 0], 1));
    }

    #[test]
    fn many_keys_come_and_go() {
        let mut table = KeyTable::new(&[DataType::Int64]).unwrap();
        let mut slots = Vec::new();
        for round in 0..20i64 {
            let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(round * 1000..round * 1000 + 3000));
            table.intern(&[keys], 3000, |_| false, &mut slots).unwrap();
            let old: Vec<u32> = slots.iter().take(1000).copied().collect();
            let columns = table.columns(slots.iter().copied()).unwrap();
            assert_eq!(columns[0].as_primitive::<Int64Type>().value(2999), round * 1000 + 2999);
            old.into_iter().for_each(|slot| table.remove(slot));
        }
        assert_eq!((table.len(), table.slots()), (2000, 3000));
        assert_eq!(table.take_removed().unwrap().1, 0);
        let last: Vec<ArrayRef> = table.columns(slots[2998..].iter().copied()).unwrap();
        slots[2998..].iter().for_each(|slot| table.remove_noted(*slot));
        assert_eq!(table.take_removed().unwrap(), (last, 2));
    }
}
