//! Key → its current row, and what has changed since the last look: a table's state.
//!
//! Keys and rows are bytes (Arrow's row format); they never leave memory: checkpoints get columns again
//! ([`KeyedRows::save`]). Look-ups go by hashes that were computed for a whole batch. A key that is deleted
//! gives its memory back at the end of the step.

use super::bag::RowCodec;
use super::clock_hand::ClockHand;
use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::row::{Rows, SortField};
use hashbrown::HashTable;

/// Columns ⇄ row bytes, also of no columns at all: then every row is the same.
#[derive(Debug)]
pub struct RowBytes {
    /// `None` without columns.
    codec: Option<RowCodec>,
}

/// Encoded rows.
pub struct EncodedRows(Option<Rows>);

impl EncodedRows {
    /// The bytes of row `i`.
    pub fn row(&self, i: usize) -> &[u8] {
        // The rows own the bytes; a `Row` only borrows them.
        self.0.as_ref().map_or(&[], |rows| rows.row(i).data())
    }
}

impl RowBytes {
    /// For columns of these types; an error if the row format lacks one.
    pub fn new(types: Vec<DataType>) -> Result<Self, ArrowError> {
        if types.is_empty() {
            return Ok(RowBytes { codec: None });
        }
        let fields = types.iter().map(|t| SortField::new(t.clone())).collect();
        Ok(RowBytes { codec: Some(RowCodec::new(fields, types)?) })
    }

    /// For the columns of a schema.
    pub fn of(schema: &SchemaRef) -> Result<Self, ArrowError> {
        RowBytes::new(schema.fields().iter().map(|f| f.data_type().clone()).collect())
    }

    /// The rows of `columns`.
    pub fn encode(&self, columns: &[ArrayRef]) -> Result<EncodedRows, ArrowError> {
        Ok(EncodedRows(self.codec.as_ref().map(|codec| codec.encode(columns)).transpose()?))
    }

    /// The columns of rows that were encoded here.
    pub fn decode<'a>(&self, rows: impl Iterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>, ArrowError> {
        self.codec.as_ref().map_or(Ok(Vec::new()), |codec| codec.decode(rows))
    }
}

/// A key and what is known of it.
#[derive(Debug)]
struct Entry {
    hash: u64,
    key: Box<[u8]>,
    /// `None` = deleted in this step; the entry goes at its end.
    row: Option<Box<[u8]>>,
    /// It is among the changed ones of this step.
    touched: bool,
    /// It is among those that have changed since the last checkpoint.
    unsaved: bool,
    /// It has been used since it was last looked at whether it may leave memory.
    used: bool,
}

/// The rows, by key.
#[derive(Debug, Default)]
pub struct KeyedRows {
    /// Indices into `entries`.
    table: HashTable<u32>,
    entries: Vec<Entry>,
    /// Entries that are no key's now.
    free: Vec<u32>,
    /// The entries that were touched since the last look, in that order, and their rows before.
    changed: Vec<(u32, Option<Box<[u8]>>)>,
    bytes: usize,
    /// What has changed since the last checkpoint; `None` = nobody has asked yet.
    unsaved: Option<Unsaved>,
    /// The entry that is looked at next when keys are to leave memory.
    hand: ClockHand,
}

/// The slots of keys that have changed, and the keys that have gone.
pub type ChangedAndGone = (Vec<u32>, Vec<Box<[u8]>>);

/// A row that has been taken out.
#[derive(Debug)]
pub struct EvictedRow {
    /// Its key.
    pub key: Box<[u8]>,
    /// The row.
    pub row: Box<[u8]>,
    /// Whether the last checkpoint does not have it as it is.
    pub unsaved: bool,
}

/// Keys that have changed since the last checkpoint.
#[derive(Debug, Default)]
struct Unsaved {
    /// Slots; some of them may have been given to other keys, or to none, since: [`KeyedRows::take_unsaved`] knows.
    slots: Vec<u32>,
    /// Keys that have gone, some of which may have come back.
    gone: Vec<Box<[u8]>>,
}

/// Rough cost of an entry beside its bytes.
const ENTRY_BYTES: usize = std::mem::size_of::<Entry>() + 8;

impl KeyedRows {
    /// Makes `row` the row of `key`, whose hash is `hash`.
    pub fn put(&mut self, hash: u64, key: &[u8], row: &[u8]) {
        let slot = match self.find(hash, key) {
            Some(slot) => slot,
            None => self.add(hash, key),
        };
        let Some(entry) = self.entries.get_mut(slot as usize) else { return };
        entry.used = true;
        if entry.row.as_deref() == Some(row) {
            return;
        }
        let before = entry.row.replace(row.into());
        self.bytes += row.len();
        self.note(slot, before);
    }

    /// Forgets the row of `key`; says whether there was one.
    pub fn delete(&mut self, hash: u64, key: &[u8]) -> bool {
        let Some(slot) = self.find(hash, key) else { return false };
        let before = self.entries.get_mut(slot as usize).and_then(|entry| entry.row.take());
        let there = before.is_some();
        if there {
            self.note(slot, before);
        }
        there
    }

    /// The row of `key`, if there is one.
    pub fn get(&self, hash: u64, key: &[u8]) -> Option<&[u8]> {
        let slot = self.find(hash, key)?;
        self.entries.get(slot as usize)?.row.as_deref()
    }

    fn find(&self, hash: u64, key: &[u8]) -> Option<u32> {
        let entries = &self.entries;
        let same = |slot: &u32| {
            entries.get(*slot as usize).is_some_and(|entry| entry.hash == hash && *entry.key == *key)
        };
        self.table.find(hash, same).copied()
    }

    fn add(&mut self, hash: u64, key: &[u8]) -> u32 {
        let entry = Entry { hash, key: key.into(), row: None, touched: false, unsaved: false, used: true };
        self.bytes += key.len() + ENTRY_BYTES;
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => self.entries.len() as u32,
        };
        match self.entries.get_mut(slot as usize) {
            Some(free) => *free = entry,
            None => self.entries.push(entry),
        }
        let entries = &self.entries;
        let hash_of = |slot: &u32| entries.get(*slot as usize).map_or(0, |entry| entry.hash);
        self.table.insert_unique(hash, slot, hash_of);
        slot
    }

    /// Takes note that an entry had the row `before`.
    fn note(&mut self, slot: u32, before: Option<Box<[u8]>>) {
        self.bytes -= before.as_ref().map_or(0, |row| row.len());
        let Some(entry) = self.entries.get_mut(slot as usize) else { return };
        if !entry.touched {
            entry.touched = true;
            self.changed.push((slot, before));
        }
        if let Some(unsaved) = self.unsaved.as_mut().filter(|_| !entry.unsaved) {
            entry.unsaved = true;
            unsaved.slots.push(slot);
        }
    }

    /// Ends a step: what has changed since the last one, net, in the order of the keys' first change. Rows that
    /// are as they were before are left out.
    pub fn changes(&mut self) -> Vec<RowChange> {
        let mut changes = Vec::with_capacity(self.changed.len());
        for (slot, before) in std::mem::take(&mut self.changed) {
            let Some(entry) = self.entries.get_mut(slot as usize) else { continue };
            entry.touched = false;
            if entry.row != before {
                changes.push(RowChange { before, slot: entry.row.is_some().then_some(slot) });
            }
            if entry.row.is_none() {
                self.remove(slot);
            }
        }
        changes
    }

    fn remove(&mut self, slot: u32) {
        let Some(key) = self.take_entry(slot) else { return };
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.gone.push(key);
        }
    }

    /// Takes an entry out; gives its key.
    fn take_entry(&mut self, slot: u32) -> Option<Box<[u8]>> {
        let entry = self.entries.get_mut(slot as usize)?;
        if let Ok(found) = self.table.find_entry(entry.hash, |other| *other == slot) {
            found.remove();
        }
        self.bytes -= entry.key.len() + ENTRY_BYTES;
        entry.unsaved = false;
        self.free.push(slot);
        Some(std::mem::take(&mut entry.key))
    }

    /// Takes about `bytes` bytes of rows out, between two steps: those that have not been used for longest,
    /// roughly.
    pub fn evict(&mut self, bytes: usize) -> Vec<EvictedRow> {
        let slots = self.hand.find(self.entries.len(), bytes, |slot| {
            let entry = &mut self.entries[slot];
            let used = std::mem::take(&mut entry.used);
            let row = entry.row.as_ref().filter(|_| !used)?;
            Some(entry.key.len() + row.len() + ENTRY_BYTES)
        });
        let take = |slot: u32| {
            let entry = self.entries.get_mut(slot as usize)?;
            let (row, unsaved) = (entry.row.take()?, entry.unsaved);
            self.bytes -= row.len();
            Some(EvictedRow { key: self.take_entry(slot)?, row, unsaved })
        };
        slots.into_iter().filter_map(take).collect()
    }

    /// Takes note that a key, if it is there, is not as the last checkpoint has it.
    pub fn note_unsaved(&mut self, hash: u64, key: &[u8]) {
        let slot = self.find(hash, key);
        let entry = slot.and_then(|slot| Some((slot, self.entries.get_mut(slot as usize)?)));
        if let (Some((slot, entry)), Some(unsaved)) = (entry, &mut self.unsaved)
            && !std::mem::replace(&mut entry.unsaved, true)
        {
            unsaved.slots.push(slot);
        }
    }

    /// The row of a slot that [`KeyedRows::changes`] has just named.
    pub fn row(&self, slot: u32) -> &[u8] {
        self.entries.get(slot as usize).and_then(|entry| entry.row.as_deref()).unwrap_or_default()
    }

    /// All keys with their rows, between two steps.
    pub fn save(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().filter_map(|entry| Some((&*entry.key, entry.row.as_deref()?)))
    }

    /// Begins to note which keys change.
    pub fn begin_unsaved(&mut self) {
        self.unsaved.get_or_insert_default();
    }

    /// The keys that have changed since this was last called, between two steps: those that have rows, and those that have
    /// gone. `None` = that is not noted yet.
    pub fn take_unsaved(&mut self) -> Option<ChangedAndGone> {
        let Unsaved { mut slots, gone } = std::mem::take(self.unsaved.as_mut()?);
        slots.retain(|slot| {
            let entry = self.entries.get_mut(*slot as usize);
            entry.is_some_and(|entry| std::mem::take(&mut entry.unsaved))
        });
        Some((slots, gone))
    }

    /// The key and the row of a slot that [`KeyedRows::take_unsaved`] has just named.
    pub fn key_and_row(&self, slot: u32) -> (&[u8], &[u8]) {
        let key = self.entries.get(slot as usize).map_or(&[][..], |entry| &entry.key);
        (key, self.row(slot))
    }

    /// Takes a row from a checkpoint: it is no change.
    pub fn load(&mut self, hash: u64, key: &[u8], row: &[u8]) {
        let slot = self.add(hash, key);
        self.bytes += row.len();
        if let Some(entry) = self.entries.get_mut(slot as usize) {
            entry.row = Some(row.into());
        }
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Bytes held, roughly.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// A key's change over a step.
#[derive(Debug)]
pub struct RowChange {
    /// Its row before; `None` = it was not there.
    pub before: Option<Box<[u8]>>,
    /// Where its row is now, see [`KeyedRows::row`]; `None` = it is gone.
    pub slot: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Told = (Option<Vec<u8>>, Option<Vec<u8>>);

    fn step(rows: &mut KeyedRows) -> Vec<Told> {
        let changes = rows.changes();
        changes
            .iter()
            .map(|c| (c.before.as_ref().map(|b| b.to_vec()), c.slot.map(|s| rows.row(s).to_vec())))
            .collect()
    }

    #[test]
    fn a_step_tells_what_is_left_of_its_changes() {
        let mut rows = KeyedRows::default();
        rows.put(1, b"a", b"1");
        rows.put(1, b"b", b"2");
        rows.put(1, b"a", b"3");
        assert!(!rows.delete(1, b"c"));
        assert_eq!(step(&mut rows), [(None, Some(b"3".to_vec())), (None, Some(b"2".to_vec()))]);
        rows.put(1, b"a", b"4");
        rows.put(1, b"a", b"3");
        assert!(rows.delete(1, b"b"));
        assert!(!rows.delete(1, b"b"), "it is gone already");
        rows.put(1, b"d", b"5");
        assert!(rows.delete(1, b"d"));
        assert_eq!(step(&mut rows), [(Some(b"2".to_vec()), None)]);
        assert_eq!(rows.len(), 1);
        assert!(step(&mut rows).is_empty());
    }

    proptest! {
        #[test]
        fn it_is_a_map_and_its_changes_add_up(
            steps in proptest::collection::vec(proptest::collection::vec((0u8..6, proptest::option::of(0u8..3)), 0..12), 1..8)
        ) {
            let (mut rows, mut model, mut kept) = (KeyedRows::default(), BTreeMap::new(), BTreeMap::new());
            for changes in steps {
                let before = model.clone();
                for (key, row) in changes {
                    // Hashes that collide.
                    let hash = u64::from(key % 2);
                    match row {
                        Some(row) => {
                            rows.put(hash, &[key], &[row]);
                            model.insert(key, row);
                        }
                        None => prop_assert_eq!(rows.delete(hash, &[key]), model.remove(&key).is_some()),
                    }
                }
                let told = step(&mut rows).len();
                let differ = (0..6).filter(|k| before.get(k) != model.get(k)).count();
                prop_assert_eq!(told, differ);
                if let Some((slots, gone)) = rows.take_unsaved() {
                    kept.retain(|key, _| !gone.iter().any(|gone| gone[0] == *key));
                    for slot in slots {
                        let (key, row) = rows.key_and_row(slot);
                        kept.insert(key[0], row[0]);
                    }
                    prop_assert_eq!(&kept, &model, "what was saved and what has changed since");
                } else {
                    rows.begin_unsaved();
                    kept = model.clone();
                }
                let mut saved: Vec<_> = rows.save().map(|(k, r)| (k[0], r[0])).collect();
                saved.sort_unstable();
                prop_assert_eq!(saved, model.iter().map(|(k, r)| (*k, *r)).collect::<Vec<_>>());
                prop_assert_eq!(rows.len(), model.len());
            }
            for key in 0..6u8 {
                rows.delete(u64::from(key % 2), &[key]);
            }
            rows.changes();
            prop_assert_eq!((rows.len(), rows.bytes()), (0, 0));
        }
    }
}
