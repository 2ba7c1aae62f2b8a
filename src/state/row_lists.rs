//! Rows with weights in a list a slot: what one side of a join keeps.
//!
//! Where rows can be taken back, they are row-format bytes in one buffer, and an index by their hash finds an equal row
//! without walking its list. Where they only come, nobody looks for one: each is an entry of its own, and they are kept as
//! columns, so that nothing is encoded.

use super::arena::{Arena, Span};
use super::bag::{FixedColumns, RowCodec};
use super::blocks::Blocks;
use super::columns::{ColumnStore, Held, Place, Pushed};
use super::key_table::{Encoded, codec};
use super::sparse::Sparse;
use crate::delta::Chosen;
use arrow::array::{ArrayRef, new_empty_array};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// No row.
pub const NO_ROW: u32 = u32::MAX;

/// Where an entry is in the lists.
#[derive(Debug, Clone, Copy)]
struct Link {
    /// The slot whose list it is in; [`NO_ROW`] = it is none any more.
    slot: u32,
    next: u32,
    previous: u32,
}

/// An entry of a row in bytes. All of it lies together: such entries are looked for, changed and removed singly.
#[derive(Debug, Clone, Copy)]
struct Coded {
    link: Link,
    hash: u32,
    span: Span,
    weight: i64,
    matched: i64,
    until: i64,
    note: u32,
}

/// An entry of a row in columns; what its owner notes of it is mostly nothing, and kept beside.
#[derive(Debug, Clone, Copy)]
struct Placed {
    link: Link,
    place: Place,
}

/// What the owner notes of entries, where that is unusual.
#[derive(Debug)]
struct Marks {
    weights: Sparse<i64>,
    matched: Sparse<i64>,
    until: Sparse<i64>,
    notes: Sparse<u32>,
}

impl Marks {
    fn new() -> Self {
        Marks {
            weights: Sparse::new(1),
            matched: Sparse::new(0),
            until: Sparse::new(i64::MAX),
            notes: Sparse::new(0),
        }
    }

    /// Forgets what was noted of an entry.
    fn clear(&mut self, id: u32) {
        self.weights.set(id, 1);
        self.matched.set(id, 0);
        self.until.set(id, i64::MAX);
        self.notes.set(id, 0);
    }

    fn bytes(&self) -> usize {
        self.weights.bytes() + self.matched.bytes() + self.until.bytes() + self.notes.bytes()
    }
}

/// How rows are kept.
#[derive(Debug)]
enum Kept {
    /// As bytes, with an index of them by their hash.
    Bytes { codec: RowCodec, fixed: FixedColumns, arena: Arena, entries: Vec<Coded>, index: HashTable<u32> },
    /// As columns.
    Columns { store: ColumnStore, entries: Blocks<Placed>, marks: Marks },
}

impl Kept {
    fn link(&self, id: u32) -> &Link {
        match self {
            Kept::Bytes { entries, .. } => &entries[id as usize].link,
            Kept::Columns { entries, .. } => &entries[id as usize].link,
        }
    }

    fn link_mut(&mut self, id: u32) -> &mut Link {
        match self {
            Kept::Bytes { entries, .. } => &mut entries[id as usize].link,
            Kept::Columns { entries, .. } => &mut entries[id as usize].link,
        }
    }

    /// Number of entries, removed ones too.
    fn len(&self) -> usize {
        match self {
            Kept::Bytes { entries, .. } => entries.len(),
            Kept::Columns { entries, .. } => entries.len(),
        }
    }
}

/// A batch's rows, ready to be looked for and kept.
pub enum Incoming {
    /// As bytes.
    Bytes(Encoded),
    /// Kept as columns already.
    Columns(Pushed),
}

impl Incoming {
    fn bytes(&self, row: usize) -> &[u8] {
        match self {
            Incoming::Bytes(encoded) => encoded.row(row),
            Incoming::Columns(_) => &[],
        }
    }
}

/// Lists of rows. An entry is equal rows of a slot, or one of them; its number may be another's when it has been removed.
#[derive(Debug)]
pub struct RowLists {
    kept: Kept,
    /// A column without rows of each type.
    none: Vec<ArrayRef>,
    free: Vec<u32>,
    /// How many entries have ever been removed.
    removed: u64,
    /// First entry of each slot.
    heads: Vec<u32>,
}

impl RowLists {
    /// No rows, over columns of these types. `append_only`: no row is ever taken back.
    pub fn new(types: &[DataType], append_only: bool) -> Result<Self, ArrowError> {
        let kept = if append_only {
            Kept::Columns { store: ColumnStore::default(), entries: Blocks::default(), marks: Marks::new() }
        } else {
            let (arena, index) = (Arena::default(), HashTable::new());
            let fixed = FixedColumns::new(types)?;
            Kept::Bytes { codec: codec(types)?, fixed, arena, entries: Vec::new(), index }
        };
        let none = types.iter().map(new_empty_array).collect();
        Ok(RowLists { kept, none, free: Vec::new(), removed: 0, heads: Vec::new() })
    }

    /// Takes a batch's rows in. Each is then to be made an [`entry`](Self::entry), or [let go](Self::let_go).
    pub fn incoming(&mut self, columns: &[ArrayRef], rows: Chosen) -> Result<Incoming, ArrowError> {
        match &mut self.kept {
            Kept::Bytes { codec, .. } => {
                let encoded = Encoded::new(codec, &rows.taken(columns)?, rows.len())?;
                Ok(Incoming::Bytes(encoded))
            }
            Kept::Columns { store, .. } => Ok(Incoming::Columns(store.push_all(columns, rows)?)),
        }
    }

    /// The entry for a row of `slot`: the one that is there, or a new one. Says whether it is new; then its weight is to be
    /// set.
    pub fn entry(&mut self, slot: u32, incoming: &Incoming, row: usize) -> (u32, bool) {
        let bytes = incoming.bytes(row);
        let hash = match &self.kept {
            Kept::Bytes { .. } => xxh3_64_with_seed(bytes, u64::from(slot)) as u32,
            Kept::Columns { .. } => 0,
        };
        if let Some(id) = self.find_hashed(slot, bytes, hash) {
            return (id, false);
        }
        if self.heads.len() <= slot as usize {
            self.heads.resize(slot as usize + 1, NO_ROW);
        }
        let next = self.heads[slot as usize];
        let link = Link { slot, next, previous: NO_ROW };
        let free = self.free.pop();
        let id = free.unwrap_or(self.kept.len() as u32);
        match (&mut self.kept, incoming) {
            (Kept::Bytes { arena, entries, index, .. }, _) => {
                let span = arena.push(bytes);
                let entry = Coded { link, hash, span, weight: 1, matched: 0, until: i64::MAX, note: 0 };
                match entries.get_mut(id as usize) {
                    Some(there) => *there = entry,
                    None => entries.push(entry),
                }
                index.insert_unique(spread(hash), id, |id| spread(entries[*id as usize].hash));
            }
            (Kept::Columns { entries, marks, .. }, Incoming::Columns(pushed)) => {
                let entry = Placed { link, place: pushed.place(row) };
                if free.is_some() {
                    entries[id as usize] = entry;
                    marks.clear(id);
                } else {
                    entries.push(entry);
                }
            }
            // Whoever keeps columns gives columns.
            (Kept::Columns { .. }, Incoming::Bytes(_)) => {}
        }
        if next != NO_ROW {
            self.kept.link_mut(next).previous = id;
        }
        self.heads[slot as usize] = id;
        (id, true)
    }

    /// A row that came in is not to be kept.
    pub fn let_go(&mut self, incoming: &Incoming, row: usize) {
        if let (Kept::Columns { store, .. }, Incoming::Columns(pushed)) = (&mut self.kept, incoming) {
            store.free(pushed.place(row));
        }
    }

    /// The entry for a row of `slot`, if it is there; where rows only come, none is found.
    pub fn find(&self, slot: u32, incoming: &Incoming, row: usize) -> Option<u32> {
        let bytes = incoming.bytes(row);
        self.find_hashed(slot, bytes, xxh3_64_with_seed(bytes, u64::from(slot)) as u32)
    }

    fn find_hashed(&self, slot: u32, bytes: &[u8], hash: u32) -> Option<u32> {
        let Kept::Bytes { arena, entries, index, .. } = &self.kept else { return None };
        let same = |id: &u32| {
            let entry = &entries[*id as usize];
            entry.hash == hash && entry.link.slot == slot && arena.get(entry.span) == bytes
        };
        index.find(spread(hash), same).copied()
    }

    /// The first entry of a slot, or [`NO_ROW`].
    pub fn first(&self, slot: u32) -> u32 {
        self.heads.get(slot as usize).copied().unwrap_or(NO_ROW)
    }

    /// The next entry of the same slot, or [`NO_ROW`].
    pub fn next(&self, id: u32) -> u32 {
        self.kept.link(id).next
    }

    /// The slot in whose list an entry is, or [`NO_ROW`] if it has been removed.
    pub fn slot(&self, id: u32) -> u32 {
        self.kept.link(id).slot
    }

    /// How often an entry's row is there.
    pub fn weight(&self, id: u32) -> i64 {
        match &self.kept {
            Kept::Bytes { entries, .. } => entries[id as usize].weight,
            Kept::Columns { marks, .. } => marks.weights.get(id),
        }
    }

    /// Says how often it is there.
    pub fn set_weight(&mut self, id: u32, weight: i64) {
        match &mut self.kept {
            Kept::Bytes { entries, .. } => entries[id as usize].weight = weight,
            Kept::Columns { marks, .. } => marks.weights.set(id, weight),
        }
    }

    /// The owner's: how often rows of the other side match it.
    pub fn matched(&self, id: u32) -> i64 {
        match &self.kept {
            Kept::Bytes { entries, .. } => entries[id as usize].matched,
            Kept::Columns { marks, .. } => marks.matched.get(id),
        }
    }

    /// Sets it.
    pub fn set_matched(&mut self, id: u32, matched: i64) {
        match &mut self.kept {
            Kept::Bytes { entries, .. } => entries[id as usize].matched = matched,
            Kept::Columns { marks, .. } => marks.matched.set(id, matched),
        }
    }

    /// The owner's: until when (ns) it is kept, or when it came.
    pub fn until(&self, id: u32) -> i64 {
        match &self.kept {
            Kept::Bytes { entries, .. } => entries[id as usize].until,
            Kept::Columns { marks, .. } => marks.until.get(id),
        }
    }

    /// Sets it.
    pub fn set_until(&mut self, id: u32, until: i64) {
        match &mut self.kept {
            Kept::Bytes { entries, .. } => entries[id as usize].until = until,
            Kept::Columns { marks, .. } => marks.until.set(id, until),
        }
    }

    /// The owner's: where in its list of changes of the running step the entry is noted, from 1; 0 = it is not.
    pub fn note(&self, id: u32) -> u32 {
        match &self.kept {
            Kept::Bytes { entries, .. } => entries[id as usize].note,
            Kept::Columns { marks, .. } => marks.notes.get(id),
        }
    }

    /// Sets it.
    pub fn set_note(&mut self, id: u32, note: u32) {
        match &mut self.kept {
            Kept::Bytes { entries, .. } => entries[id as usize].note = note,
            Kept::Columns { marks, .. } => marks.notes.set(id, note),
        }
    }

    /// Takes the entry `id` out of its list.
    pub fn remove(&mut self, id: u32) {
        let Link { slot, next, previous } = *self.kept.link(id);
        match previous {
            NO_ROW => self.heads[slot as usize] = next,
            previous => self.kept.link_mut(previous).next = next,
        }
        if next != NO_ROW {
            self.kept.link_mut(next).previous = previous;
        }
        match &mut self.kept {
            Kept::Bytes { arena, entries, index, .. } => {
                let Coded { hash, span, .. } = entries[id as usize];
                if let Ok(found) = index.find_entry(spread(hash), |other| *other == id) {
                    found.remove();
                }
                arena.free(span);
            }
            Kept::Columns { store, entries, .. } => store.free(entries[id as usize].place),
        }
        self.kept.link_mut(id).slot = NO_ROW;
        self.free.push(id);
        self.removed += 1;
    }

    /// How many entries have ever been removed: their numbers may be others' now.
    pub fn removed(&self) -> u64 {
        self.removed
    }

    /// Gives memory of removed rows back if they are many. Rows move; entries stay.
    pub fn sweep(&mut self) -> Result<(), ArrowError> {
        let wasteful = match &self.kept {
            Kept::Bytes { arena, .. } => arena.is_wasteful(),
            Kept::Columns { store, .. } => store.is_wasteful(),
        };
        if wasteful { self.compact() } else { Ok(()) }
    }

    /// Gives all memory of removed rows back.
    pub fn compact(&mut self) -> Result<(), ArrowError> {
        match &mut self.kept {
            Kept::Bytes { arena, entries, .. } => {
                let mut fresh = arena.successor();
                for entry in entries.iter_mut().filter(|entry| entry.link.slot != NO_ROW) {
                    entry.span = fresh.push(arena.get(entry.span));
                }
                *arena = fresh;
            }
            Kept::Columns { store, entries, .. } => {
                let living = entries.iter_mut().filter(|entry| entry.link.slot != NO_ROW);
                store.rewrite(living.map(|entry| &mut entry.place).collect(), &self.none)?;
            }
        }
        Ok(())
    }

    /// The columns of entries, one row each.
    pub fn decode(&self, ids: impl Iterator<Item = u32>) -> Result<Vec<ArrayRef>, ArrowError> {
        if self.none.is_empty() {
            return Ok(vec![]);
        }
        match &self.kept {
            Kept::Bytes { codec, arena, entries, .. } => {
                codec.decode(ids.map(|id| arena.get(entries[id as usize].span)))
            }
            Kept::Columns { store, entries, .. } => {
                let places: Vec<Place> = ids.map(|id| entries[id as usize].place).collect();
                store.gather(&places, &self.none)
            }
        }
    }

    /// The rows of entries as they are now, whatever becomes of them here.
    pub fn hold(&mut self, ids: impl ExactSizeIterator<Item = u32>) -> Result<Held, ArrowError> {
        match &mut self.kept {
            Kept::Columns { store, entries, .. } => {
                let places: Vec<Place> = ids.map(|id| entries[id as usize].place).collect();
                store.hold(places, &self.none)
            }
            Kept::Bytes { .. } => {
                let rows = ids.len();
                Held::of(&self.decode(ids)?, rows)
            }
        }
    }

    /// Whether rows only come: then each that comes is a new entry, the first of its slot.
    pub fn only_grows(&self) -> bool {
        matches!(self.kept, Kept::Columns { .. })
    }

    /// Whether to decode these columns alone costs much less than to decode all.
    pub fn decodes_alone(&self, columns: &[usize]) -> bool {
        match &self.kept {
            Kept::Bytes { fixed, .. } => columns.len() * 2 <= self.none.len() && fixed.has(columns),
            Kept::Columns { .. } => true,
        }
    }

    /// Some columns of entries, one row each.
    pub fn decode_some(
        &self,
        ids: impl Iterator<Item = u32> + Clone,
        columns: &[usize],
    ) -> Result<Vec<ArrayRef>, ArrowError> {
        match &self.kept {
            Kept::Bytes { fixed, arena, entries, .. } => {
                let rows = || ids.clone().map(|id| arena.get(entries[id as usize].span));
                let alone: Option<Result<Vec<ArrayRef>, ArrowError>> = match self.decodes_alone(columns) {
                    true => columns.iter().map(|column| fixed.decode(rows(), *column)).collect(),
                    false => None,
                };
                if let Some(alone) = alone {
                    return alone;
                }
                let all = self.decode(ids)?;
                Ok(columns.iter().map(|c| all[*c].clone()).collect())
            }
            Kept::Columns { store, entries, .. } => {
                let places: Vec<Place> = ids.map(|id| entries[id as usize].place).collect();
                store.gather_some(&places, &self.none, columns)
            }
        }
    }

    /// All entries.
    pub fn ids(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.kept.len() as u32).filter(|id| self.slot(*id) != NO_ROW)
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.kept.len() - self.free.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the rows take, without room that is only reserved.
    pub fn live_bytes(&self) -> usize {
        match &self.kept {
            Kept::Bytes { arena, .. } => self.len() * (size_of::<Coded>() + 5) + arena.live_bytes(),
            Kept::Columns { store, marks, .. } => {
                let marks = marks.bytes() * self.len() / self.kept.len().max(1);
                self.len() * size_of::<Placed>() + store.live_bytes() + marks
            }
        }
    }

    /// Bytes held, roughly.
    pub fn bytes(&self) -> usize {
        let rows = match &self.kept {
            Kept::Bytes { arena, entries, index, .. } => {
                arena.size() + entries.capacity() * size_of::<Coded>() + index.capacity() * 5
            }
            Kept::Columns { store, entries, marks } => store.bytes() + entries.bytes() + marks.bytes(),
        };
        rows + self.heads.capacity() * 4
    }
}

/// The table looks at a hash's high bits too, of which a kept hash has none.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::Int64Type;
    use std::sync::Arc;

    fn walk(lists: &RowLists, slot: u32) -> Vec<i64> {
        let mut ids = Vec::new();
        let mut id = lists.first(slot);
        while id != NO_ROW {
            ids.push(id);
            id = lists.next(id);
        }
        if ids.is_empty() {
            return vec![];
        }
        lists.decode(ids.into_iter()).unwrap()[0].as_primitive::<Int64Type>().values().to_vec()
    }

    fn numbers(numbers: impl IntoIterator<Item = i64>) -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(numbers))
    }

    #[test]
    fn rows_are_found_again_and_leave_their_lists() {
        let mut lists = RowLists::new(&[DataType::Int64], false).unwrap();
        let incoming = lists.incoming(&[numbers([5, 6, 5, 7])], Chosen::All(4)).unwrap();
        let ids: Vec<(u32, bool)> = (0..4).map(|i| lists.entry(1, &incoming, i)).collect();
        assert_eq!(ids, [(0, true), (1, true), (0, false), (2, true)]);
        assert_eq!(lists.entry(0, &incoming, 0), (3, true), "another slot");
        assert_eq!(walk(&lists, 1), [7, 6, 5]);
        lists.remove(1);
        assert_eq!(walk(&lists, 1), [7, 5]);
        lists.remove(2);
        lists.remove(0);
        assert_eq!((walk(&lists, 1), lists.len()), (vec![], 1));
        assert!(lists.entry(1, &incoming, 1).1);
        assert_eq!((walk(&lists, 0), walk(&lists, 1)), (vec![5], vec![6]));
    }

    #[test]
    fn where_rows_only_come_each_has_its_entry() {
        let mut lists = RowLists::new(&[], true).unwrap();
        let incoming = lists.incoming(&[], Chosen::All(2)).unwrap();
        assert_eq!((lists.entry(0, &incoming, 0), lists.entry(0, &incoming, 1)), ((0, true), (1, true)));
        let mut lists = RowLists::new(&[DataType::Int64], true).unwrap();
        let rows = 3 * ColumnStore::MOST + 5;
        let incoming = lists.incoming(&[numbers(0..rows as i64)], Chosen::All(rows)).unwrap();
        for row in 0..rows {
            if row % 1_000 == 7 {
                lists.entry(3, &incoming, row);
            } else {
                lists.let_go(&incoming, row)
            }
        }
        let expected: Vec<i64> = (0..rows as i64).rev().filter(|row| row % 1_000 == 7).collect();
        assert_eq!(walk(&lists, 3), expected);
        lists.sweep().unwrap();
        assert_eq!(walk(&lists, 3), expected);
        assert!(lists.bytes() < 10_000, "{} bytes", lists.bytes());
    }

    #[test]
    fn what_is_noted_of_an_entry_is_not_the_next_ones() {
        let mut lists = RowLists::new(&[DataType::Int64], true).unwrap();
        let incoming = lists.incoming(&[numbers([1, 2])], Chosen::All(2)).unwrap();
        let (id, _) = lists.entry(0, &incoming, 0);
        assert_eq!(
            (lists.weight(id), lists.matched(id), lists.until(id), lists.note(id)),
            (1, 0, i64::MAX, 0)
        );
        lists.set_weight(id, 0);
        lists.set_matched(id, 3);
        lists.set_until(id, 4);
        lists.set_note(id, 5);
        lists.remove(id);
        assert_eq!((lists.slot(id), lists.len()), (NO_ROW, 0));
        assert_eq!(lists.entry(0, &incoming, 1), (id, true));
        assert_eq!(
            (lists.weight(id), lists.matched(id), lists.until(id), lists.note(id)),
            (1, 0, i64::MAX, 0)
        );
        assert_eq!(walk(&lists, 0), [2]);
    }

    #[test]
    fn memory_of_removed_rows_is_given_back() {
        for append_only in [false, true] {
            let mut lists = RowLists::new(&[DataType::Int64], append_only).unwrap();
            for round in 0..10i64 {
                let rows = numbers(round * 5000..(round + 1) * 5000);
                let incoming = lists.incoming(&[rows], Chosen::All(5000)).unwrap();
                let ids: Vec<u32> = (0..5000).map(|i| lists.entry(i as u32 % 7, &incoming, i).0).collect();
                ids.iter().skip(1).for_each(|id| lists.remove(*id));
                lists.sweep().unwrap();
            }
            assert_eq!(lists.len(), 10);
            assert!(lists.bytes() < 1_000_000, "{} bytes", lists.bytes());
            let mut left: Vec<i64> = (0..7).flat_map(|slot| walk(&lists, slot)).collect();
            left.sort_unstable();
            assert_eq!(left, (0..10).map(|r| r * 5000).collect::<Vec<_>>());
        }
    }
}
