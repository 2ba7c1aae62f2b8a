//! Rows with weights in a list a slot: what one side of a join keeps.
//!
//! Rows are row-format bytes in one buffer. Where rows can be taken back, an index by their hash finds an equal row
//! without walking its list; where they only come, each is an entry of its own.

use super::arena::{Arena, Span};
use super::bag::RowCodec;
use super::key_table::{Encoded, codec};
use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// No row.
pub const NO_ROW: u32 = u32::MAX;

/// One entry: equal rows of a slot, or one of them.
#[derive(Debug, Clone, Copy)]
pub struct RowEntry {
    /// The slot whose list it is in.
    pub slot: u32,
    /// The next entry of the slot, or [`NO_ROW`].
    pub next: u32,
    previous: u32,
    hash: u32,
    span: Span,
    /// How often the row is there.
    pub weight: i64,
    /// The owner's: how often rows of the other side match it.
    pub matched: i64,
    /// The owner's: until when (ns) it is kept, or when it came.
    pub until: i64,
    /// The owner's: where in its list of changes of the running step the entry is noted, from 1; 0 = it is not.
    pub note: u32,
}

/// Lists of rows.
#[derive(Debug)]
pub struct RowLists {
    codec: RowCodec,
    columns: usize,
    rows: Vec<RowEntry>,
    free: Vec<u32>,
    arena: Arena,
    /// First entry of each slot.
    heads: Vec<u32>,
    /// Entries by the hash of slot and row; `None` where rows only come.
    index: Option<HashTable<u32>>,
}

impl RowLists {
    /// No rows, over columns of these types. `append_only`: no row is ever taken back.
    pub fn new(types: &[DataType], append_only: bool) -> Result<Self, ArrowError> {
        Ok(RowLists {
            codec: codec(types)?,
            columns: types.len(),
            rows: Vec::new(),
            free: Vec::new(),
            arena: Arena::default(),
            heads: Vec::new(),
            index: (!append_only).then(HashTable::new),
        })
    }

    /// The bytes of a batch's rows.
    pub fn encode(&self, columns: &[ArrayRef], rows: usize) -> Result<Encoded, ArrowError> {
        Encoded::new(&self.codec, columns, rows)
    }

    /// The entry for a row of `slot`: the one that is there, or a new one of weight 0. Says whether it is new.
    pub fn entry(&mut self, slot: u32, bytes: &[u8]) -> (u32, bool) {
        let hash = xxh3_64_with_seed(bytes, u64::from(slot));
        if let Some(id) = self.find_hashed(slot, bytes, hash as u32) {
            return (id, false);
        }
        let span = self.arena.push(bytes);
        if self.heads.len() <= slot as usize {
            self.heads.resize(slot as usize + 1, NO_ROW);
        }
        let next = self.heads[slot as usize];
        let entry = RowEntry {
            slot,
            next,
            previous: NO_ROW,
            hash: hash as u32,
            span,
            weight: 0,
            matched: 0,
            until: i64::MAX,
            note: 0,
        };
        let id = match self.free.pop() {
            Some(id) => {
                self.rows[id as usize] = entry;
                id
            }
            None => {
                self.rows.push(entry);
                (self.rows.len() - 1) as u32
            }
        };
        if next != NO_ROW {
            self.rows[next as usize].previous = id;
        }
        self.heads[slot as usize] = id;
        if let Some(index) = &mut self.index {
            let rows = &self.rows;
            index.insert_unique(spread(hash as u32), id, |id| spread(rows[*id as usize].hash));
        }
        (id, true)
    }

    /// The entry for a row of `slot`, if it is there; where rows only come, none is found.
    pub fn find(&self, slot: u32, bytes: &[u8]) -> Option<u32> {
        self.find_hashed(slot, bytes, xxh3_64_with_seed(bytes, u64::from(slot)) as u32)
    }

    fn find_hashed(&self, slot: u32, bytes: &[u8], hash: u32) -> Option<u32> {
        let same = |id: &u32| {
            let row = &self.rows[*id as usize];
            row.slot == slot && row.hash == hash && self.arena.get(row.span) == bytes
        };
        self.index.as_ref()?.find(spread(hash), same).copied()
    }

    /// The first entry of a slot, or [`NO_ROW`].
    pub fn first(&self, slot: u32) -> u32 {
        self.heads.get(slot as usize).copied().unwrap_or(NO_ROW)
    }

    /// The entry `id`.
    pub fn get(&self, id: u32) -> &RowEntry {
        &self.rows[id as usize]
    }

    /// The entry `id`, to be changed by its owner.
    pub fn get_mut(&mut self, id: u32) -> &mut RowEntry {
        &mut self.rows[id as usize]
    }

    /// Takes the entry `id` out of its list.
    pub fn remove(&mut self, id: u32) {
        let RowEntry { slot, next, previous, hash, span, .. } = self.rows[id as usize];
        match previous {
            NO_ROW => self.heads[slot as usize] = next,
            previous => self.rows[previous as usize].next = next,
        }
        if next != NO_ROW {
            self.rows[next as usize].previous = previous;
        }
        if let Some(index) = &mut self.index
            && let Ok(found) = index.find_entry(spread(hash), |other| *other == id)
        {
            found.remove();
        }
        self.rows[id as usize].slot = NO_ROW;
        self.arena.free(span);
        self.free.push(id);
    }

    /// Gives memory of removed rows back if they are many. Bytes move; entries stay.
    pub fn sweep(&mut self) {
        if self.arena.is_wasteful() {
            self.compact();
        }
    }

    /// Gives all memory of removed rows' bytes back.
    pub fn compact(&mut self) {
        let mut arena = self.arena.successor();
        for row in self.rows.iter_mut().filter(|row| row.slot != NO_ROW) {
            row.span = arena.push(self.arena.get(row.span));
        }
        self.arena = arena;
    }

    /// The columns of entries, one row each.
    pub fn decode(&self, ids: impl Iterator<Item = u32>) -> Result<Vec<ArrayRef>, ArrowError> {
        if self.columns == 0 {
            return Ok(vec![]);
        }
        self.codec.decode(ids.map(|id| self.arena.get(self.rows[id as usize].span)))
    }

    /// All entries.
    pub fn ids(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.rows.len() as u32).filter(|id| self.rows[*id as usize].slot != NO_ROW)
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.rows.len() - self.free.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the rows take, without room that is only reserved.
    pub fn live_bytes(&self) -> usize {
        let index = if self.index.is_some() { 5 } else { 0 };
        self.len() * (size_of::<RowEntry>() + index) + self.arena.live_bytes()
    }

    /// Bytes held, roughly.
    pub fn bytes(&self) -> usize {
        let index = self.index.as_ref().map_or(0, |index| index.capacity() * 5);
        self.rows.capacity() * size_of::<RowEntry>() + self.heads.capacity() * 4 + self.arena.size() + index
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
            id = lists.get(id).next;
        }
        if ids.is_empty() {
            return vec![];
        }
        lists.decode(ids.into_iter()).unwrap()[0].as_primitive::<Int64Type>().values().to_vec()
    }

    #[test]
    fn rows_are_found_again_and_leave_their_lists() {
        let mut lists = RowLists::new(&[DataType::Int64], false).unwrap();
        let rows: ArrayRef = Arc::new(Int64Array::from(vec![5, 6, 5, 7]));
        let encoded = lists.encode(&[rows], 4).unwrap();
        let ids: Vec<(u32, bool)> = (0..4).map(|i| lists.entry(1, encoded.row(i))).collect();
        assert_eq!(ids, [(0, true), (1, true), (0, false), (2, true)]);
        assert_eq!(lists.entry(0, encoded.row(0)), (3, true), "another slot");
        assert_eq!(walk(&lists, 1), [7, 6, 5]);
        lists.remove(1);
        assert_eq!(walk(&lists, 1), [7, 5]);
        lists.remove(2);
        lists.remove(0);
        assert_eq!((walk(&lists, 1), lists.len()), (vec![], 1));
        assert!(lists.entry(1, encoded.row(1)).1);
        assert_eq!((walk(&lists, 0), walk(&lists, 1)), (vec![5], vec![6]));
    }

    #[test]
    fn where_rows_only_come_each_has_its_entry() {
        let mut lists = RowLists::new(&[], true).unwrap();
        let encoded = lists.encode(&[], 2).unwrap();
        assert_eq!((lists.entry(0, encoded.row(0)), lists.entry(0, encoded.row(1))), ((0, true), (1, true)));
    }

    #[test]
    fn memory_of_removed_rows_is_given_back() {
        let mut lists = RowLists::new(&[DataType::Int64], false).unwrap();
        for round in 0..10i64 {
            let rows: ArrayRef = Arc::new(Int64Array::from_iter_values(round * 5000..(round + 1) * 5000));
            let encoded = lists.encode(&[rows], 5000).unwrap();
            let ids: Vec<u32> = (0..5000).map(|i| lists.entry(i as u32 % 7, encoded.row(i)).0).collect();
            ids.iter().skip(1).for_each(|id| lists.remove(*id));
            lists.sweep();
        }
        assert_eq!(lists.len(), 10);
        assert!(lists.arena.size() < 200_000, "{} bytes", lists.arena.size());
        let mut left: Vec<i64> = (0..7).flat_map(|slot| walk(&lists, slot)).collect();
        left.sort_unstable();
        assert_eq!(left, (0..10).map(|r| r * 5000).collect::<Vec<_>>());
    }
}
