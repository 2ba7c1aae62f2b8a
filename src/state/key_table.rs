//! Key columns → slots, where single keys come and go: look-ups by the batch, keys as row-format bytes.
//!
//! Unlike [`super::keys::Keys`], which numbers keys for vectors of accumulators, a slot here is freed when its
//! owner says so, and its number is given to another key later.

use super::arena::{Arena, Span};
use super::bag::RowCodec;
use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::row::{Rows, SortField};
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

/// Slot of a row that has none: its key holds a null that equals nothing.
pub const NO_SLOT: u32 = u32::MAX;

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

#[derive(Debug, Clone, Copy)]
struct Key {
    hash: u64,
    span: Span,
    used: bool,
}

/// The keys that are known, and their slots.
#[derive(Debug)]
pub struct KeyTable {
    codec: RowCodec,
    columns: usize,
    table: HashTable<u32>,
    keys: Vec<Key>,
    free: Vec<u32>,
    arena: Arena,
    /// The bytes of keys that have been removed, and where each ends.
    removed: (Vec<u8>, Vec<usize>),
}

impl KeyTable {
    /// No keys yet, over key columns of these types (none: there is one key).
    pub fn new(types: &[DataType]) -> Result<Self, ArrowError> {
        let (table, keys, free) = (HashTable::new(), Vec::new(), Vec::new());
        let columns = types.len();
        let (arena, removed) = (Arena::default(), Default::default());
        Ok(KeyTable { codec: codec(types)?, columns, table, keys, free, arena, removed })
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
        let encoded = Encoded::new(&self.codec, columns, rows)?;
        slots.clear();
        slots.reserve(rows);
        for i in 0..rows {
            slots.push(if skip(i) { NO_SLOT } else { self.slot(encoded.row(i)) });
        }
        Ok(())
    }

    /// Puts the slot of each of the `rows` rows of `columns` into `slots`; [`NO_SLOT`] for keys that have none.
    pub fn look_up(&self, columns: &[ArrayRef], rows: usize, slots: &mut Vec<u32>) -> Result<(), ArrowError> {
        let encoded = Encoded::new(&self.codec, columns, rows)?;
        slots.clear();
        slots.extend((0..rows).map(|i| {
            let bytes = encoded.row(i);
            self.find(xxh3_64(bytes), bytes).unwrap_or(NO_SLOT)
        }));
        Ok(())
    }

    fn find(&self, hash: u64, bytes: &[u8]) -> Option<u32> {
        let (keys, arena) = (&self.keys, &self.arena);
        let same = |slot: &u32| {
            let key = &keys[*slot as usize];
            key.hash == hash && arena.get(key.span) == bytes
        };
        self.table.find(hash, same).copied()
    }

    fn slot(&mut self, bytes: &[u8]) -> u32 {
        let hash = xxh3_64(bytes);
        if let Some(slot) = self.find(hash, bytes) {
            return slot;
        }
        let key = Key { hash, span: self.arena.push(bytes), used: true };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.keys[slot as usize] = key;
                slot
            }
            None => {
                self.keys.push(key);
                (self.keys.len() - 1) as u32
            }
        };
        let keys = &self.keys;
        self.table.insert_unique(hash, slot, |slot| keys[*slot as usize].hash);
        slot
    }

    /// Forgets the key of `slot`, which [`KeyTable::take_removed`] then gives.
    pub fn remove_noted(&mut self, slot: u32) {
        let key = self.keys[slot as usize];
        if key.used {
            self.removed.0.extend_from_slice(self.arena.get(key.span));
            self.removed.1.push(self.removed.0.len());
        }
        self.remove(slot);
    }

    /// The key columns of the keys that have been removed and noted since this was last called, some of which may be there
    /// again; and how many they are.
    pub fn take_removed(&mut self) -> Result<(Vec<ArrayRef>, usize), ArrowError> {
        let (bytes, ends) = std::mem::take(&mut self.removed);
        if self.columns == 0 {
            return Ok((vec![], ends.len()));
        }
        let starts = [0].into_iter().chain(ends.iter().copied());
        Ok((self.codec.decode(starts.zip(&ends).map(|(start, end)| &bytes[start..*end]))?, ends.len()))
    }

    /// Forgets the key of `slot`.
    pub fn remove(&mut self, slot: u32) {
        let key = &mut self.keys[slot as usize];
        if !std::mem::take(&mut key.used) {
            return;
        }
        let (hash, span) = (key.hash, key.span);
        if let Ok(found) = self.table.find_entry(hash, |other| *other == slot) {
            found.remove();
        }
        self.arena.free(span);
        self.free.push(slot);
        if self.arena.is_wasteful() {
            self.compact();
        }
    }

    /// Gives all memory of removed keys' bytes back.
    pub fn compact(&mut self) {
        let mut arena = self.arena.successor();
        for key in self.keys.iter_mut().filter(|key| key.used) {
            key.span = arena.push(self.arena.get(key.span));
        }
        self.arena = arena;
    }

    /// The greatest number of slots so far: slots are below it.
    pub fn slots(&self) -> usize {
        self.keys.len()
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.keys.len() - self.free.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The slots that are in use.
    pub fn used(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.keys.len() as u32).filter(|slot| self.keys[*slot as usize].used)
    }

    /// The key columns of `slots`, one row each.
    pub fn columns(&self, slots: impl Iterator<Item = u32>) -> Result<Vec<ArrayRef>, ArrowError> {
        if self.columns == 0 {
            return Ok(vec![]);
        }
        self.codec.decode(slots.map(|slot| self.arena.get(self.keys[slot as usize].span)))
    }

    /// Whether a slot is in use.
    pub fn is_used(&self, slot: u32) -> bool {
        self.keys.get(slot as usize).is_some_and(|key| key.used)
    }

    /// Bytes that the keys take, without room that is only reserved.
    pub fn live_bytes(&self) -> usize {
        self.len() * (size_of::<Key>() + 5) + self.arena.live_bytes()
    }

    /// Bytes held, roughly.
    pub fn bytes(&self) -> usize {
        self.keys.capacity() * size_of::<Key>() + self.table.capacity() * 5 + self.arena.size()
    }
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
