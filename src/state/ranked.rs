//! An ordered multiset of rows in which one can tell how many rows stand before another: what ranking needs.
//!
//! Rows are order-preserving bytes (Arrow's row format), the first `key` of which are the sort key. They lie in
//! blocks of at most [`MOST`] entries, and a block knows the sum of its weights, so that a position is found by
//! adding up blocks and a row by two binary searches. A change moves at most one block's entries.

use std::cmp::Ordering;

/// Entries of a block before it is split.
const MOST: usize = 256;
/// Rough cost of an entry beside its bytes.
const ENTRY_BYTES: usize = size_of::<Entry>();

/// A row and how often it is there; below 0 while it is owed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The row's bytes, its sort key first.
    pub row: Box<[u8]>,
    /// How they begin: mostly all that has to be compared, without a look at them.
    begin: Begin,
    /// Length of the sort key.
    pub key: u32,
    /// The owner's: where else it keeps the row.
    pub place: u32,
    /// How often the row is there.
    pub weight: i64,
    /// When (ns) it came last.
    pub came: i64,
}

/// A row that comes or goes.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// The row's bytes, its sort key first.
    pub row: &'a [u8],
    /// Length of the sort key.
    pub key: u32,
    /// The owner's: where else it keeps the row.
    pub place: u32,
    /// How many of it come, below 0: go.
    pub weight: i64,
    /// When (ns) it comes, if it comes.
    pub came: i64,
}

/// The first 16 bytes of a row, as two numbers that are in the order of the bytes. Of equal ones the rows have to be compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Begin([u64; 2]);

impl Begin {
    /// How a row begins.
    pub fn of(row: &[u8]) -> Self {
        let mut bytes = [[0; 8]; 2];
        for (to, from) in bytes.iter_mut().flatten().zip(row) {
            *to = *from;
        }
        Begin(bytes.map(u64::from_be_bytes))
    }
}

impl Entry {
    /// A row that comes.
    pub fn new(change: &Change) -> Self {
        let Change { row, key, place, weight, came } = *change;
        Entry { row: row.into(), begin: Begin::of(row), key, place, weight, came }
    }

    /// Its bytes go on behind those that it had, which no other row has.
    pub fn lengthen(&mut self, row: Box<[u8]>) {
        self.begin = Begin::of(&row);
        self.row = row;
    }

    /// How the row stands to another, or to the beginning of others.
    pub fn compare(&self, begin: Begin, row: &[u8]) -> Ordering {
        self.begin.cmp(&begin).then_with(|| (*self.row).cmp(row))
    }

    /// The bytes of the sort key.
    pub fn sort_key(&self) -> &[u8] {
        &self.row[..self.key as usize]
    }

    /// Bytes held, roughly.
    pub fn bytes(&self) -> usize {
        self.row.len() + ENTRY_BYTES
    }
}

#[derive(Debug, Default)]
struct Block {
    entries: Vec<Entry>,
    /// Sum of the weights above 0.
    weight: i64,
}

/// Where an entry is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    block: usize,
    entry: usize,
}

/// What stands before a position.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Before {
    /// Rows.
    pub rows: i64,
    /// Different sort keys; only counted where asked for.
    pub keys: i64,
}

/// How the size has changed: entries and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Growth {
    /// Entries more.
    pub entries: i64,
    /// Bytes more.
    pub bytes: i64,
}

impl Growth {
    /// What an entry brings.
    pub fn of(entry: &Entry) -> Self {
        Growth { entries: 1, bytes: entry.bytes() as i64 }
    }

    /// The opposite.
    pub fn less(self) -> Self {
        Growth { entries: -self.entries, bytes: -self.bytes }
    }
}

impl std::ops::AddAssign for Growth {
    fn add_assign(&mut self, more: Growth) {
        self.entries += more.entries;
        self.bytes += more.bytes;
    }
}

/// The rows, in order.
#[derive(Debug, Default)]
pub struct Ranked {
    blocks: Vec<Block>,
}

impl Ranked {
    /// Whether there is no entry at all.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Adds a change. Where the row is there already, it stays at its place.
    pub fn add(&mut self, change: &Change) -> Growth {
        let Change { row, weight, came, .. } = *change;
        let at = self.find(row);
        let Some(block) = self.blocks.get_mut(at.block) else {
            let entry = Entry::new(change);
            let growth = Growth::of(&entry);
            // One row is what most partitions hold: no room for more until more come.
            let entries = vec![entry];
            self.blocks.push(Block { entries, weight: weight.max(0) });
            return growth;
        };
        match block.entries.get_mut(at.entry).filter(|e| *e.row == *row) {
            Some(entry) => {
                let before = entry.weight.max(0);
                entry.weight += weight;
                if weight > 0 {
                    entry.came = came;
                }
                block.weight += entry.weight.max(0) - before;
                if entry.weight != 0 {
                    return Growth::default();
                }
                let growth = Growth::of(entry).less();
                block.entries.remove(at.entry);
                self.shrunk(at.block);
                growth
            }
            None => {
                let entry = Entry::new(change);
                let growth = Growth::of(&entry);
                block.weight += weight.max(0);
                block.entries.insert(at.entry, entry);
                if block.entries.len() > MOST {
                    let back = block.entries.split_off(MOST / 2);
                    let block_weight = weight_of(&back);
                    block.weight -= block_weight;
                    self.blocks.insert(at.block + 1, Block { entries: back, weight: block_weight });
                }
                growth
            }
        }
    }

    /// After an entry of a block has gone: no empty blocks, and no long run of small ones.
    fn shrunk(&mut self, at: usize) {
        if self.blocks[at].entries.is_empty() {
            self.blocks.remove(at);
            return;
        }
        let Some(next) = self.blocks.get(at + 1) else { return };
        if self.blocks[at].entries.len() + next.entries.len() < MOST / 4 {
            let next = self.blocks.remove(at + 1);
            self.blocks[at].weight += next.weight;
            self.blocks[at].entries.extend(next.entries);
        }
    }

    /// Where `bytes` are or would be: the first entry that is not less, in the last block if there is none.
    fn find(&self, bytes: &[u8]) -> Position {
        let begin = Begin::of(bytes);
        let less = |e: &Entry| e.compare(begin, bytes) == Ordering::Less;
        let block = self.blocks.partition_point(|b| b.entries.last().is_some_and(less));
        let block = block.min(self.blocks.len().saturating_sub(1));
        let entry = self.blocks.get(block).map_or(0, |b| b.entries.partition_point(less));
        Position { block, entry }
    }

    /// The first entry not less than `bytes`, and what stands before it; nothing once that is seen to be `enough`
    /// rows or more (with `keys`: sort keys).
    pub fn seek(&self, bytes: &[u8], keys: bool, enough: i64) -> Option<(Position, Before)> {
        let at = self.find(bytes);
        let mut before = Before::default();
        let mut last: Option<&[u8]> = None;
        for (i, block) in self.blocks.iter().enumerate().take(at.block + 1) {
            let part = if i == at.block { &block.entries[..at.entry] } else { &block.entries[..] };
            before.rows += if i == at.block { weight_of(part) } else { block.weight };
            if keys {
                for entry in part.iter().filter(|e| e.weight > 0) {
                    before.keys += i64::from(last != Some(entry.sort_key()));
                    last = Some(entry.sort_key());
                }
            }
            if enough <= if keys { before.keys } else { before.rows } {
                return None;
            }
        }
        Some((at, before))
    }

    /// The entries from a position on, also those that are owed.
    pub fn from(&self, at: Position) -> impl Iterator<Item = &Entry> {
        let blocks = self.blocks.iter().enumerate().skip(at.block);
        blocks.flat_map(move |(i, b)| {
            let first = if i == at.block { at.entry.min(b.entries.len()) } else { 0 };
            &b.entries[first..]
        })
    }

    /// All entries, also those that are owed.
    pub fn all(&self) -> impl Iterator<Item = &Entry> {
        self.blocks.iter().flat_map(|b| &b.entries)
    }

    /// All entries, to be changed otherwise than in their rows and weights.
    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.blocks.iter_mut().flat_map(|b| &mut b.entries)
    }

    /// The entry of a row.
    pub fn get(&self, row: &[u8]) -> Option<&Entry> {
        let at = self.find(row);
        self.blocks.get(at.block)?.entries.get(at.entry).filter(|e| *e.row == *row)
    }

    /// The first entry whose bytes begin with these.
    pub fn beginning(&mut self, bytes: &[u8]) -> Option<&mut Entry> {
        let at = self.find(bytes);
        let entry = self.blocks.get_mut(at.block)?.entries.get_mut(at.entry);
        entry.filter(|e| e.row.starts_with(bytes))
    }

    /// Says of a row, if it is there, that it came at the time `came`.
    pub fn renew(&mut self, row: &[u8], came: i64) {
        let at = self.find(row);
        let entry = self.blocks.get_mut(at.block).and_then(|b| b.entries.get_mut(at.entry));
        if let Some(entry) = entry.filter(|e| *e.row == *row) {
            entry.came = came;
        }
    }

    /// The last entry.
    pub fn last(&self) -> Option<&Entry> {
        self.blocks.last().and_then(|b| b.entries.last())
    }

    /// Sum of the weights above 0.
    pub fn weight(&self) -> i64 {
        self.blocks.iter().map(|b| b.weight).sum()
    }

    /// Keeps the first `count` entries; `gone` is told of the others.
    pub fn truncate(&mut self, count: usize, mut gone: impl FnMut(&Entry)) -> Growth {
        let (mut left, mut growth) = (count, Growth::default());
        for block in &mut self.blocks {
            let keep = left.min(block.entries.len());
            left -= keep;
            if keep < block.entries.len() {
                let cut = block.entries.split_off(keep);
                block.weight -= weight_of(&cut);
                for entry in &cut {
                    growth += Growth::of(entry).less();
                    gone(entry);
                }
            }
        }
        self.blocks.retain(|b| !b.entries.is_empty());
        growth
    }
}

fn weight_of(entries: &[Entry]) -> i64 {
    entries.iter().map(|e| e.weight.max(0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// A row of two bytes, the first its sort key.
    fn row(n: u16) -> [u8; 2] {
        n.to_be_bytes()
    }

    /// A change of such a row.
    fn change(row: &[u8; 2], weight: i64, came: i64) -> Change<'_> {
        Change { row, key: 1, place: u32::from(u16::from_be_bytes(*row)), weight, came }
    }

    #[test]
    fn beginnings_are_in_the_order_of_rows() {
        let long = [7u8; 40];
        let mut longer = long;
        longer[39] = 8;
        let rows: [&[u8]; 10] =
            [&[], &[0], &[0, 0], &[0, 1], &[255; 7], &[255; 16], &long[..15], &long[..17], &long, &longer];
        for a in rows {
            for b in rows {
                let change = Change { row: a, key: 0, place: 0, weight: 1, came: 0 };
                assert_eq!(Entry::new(&change).compare(Begin::of(b), b), a.cmp(b));
                assert!(Begin::of(a) == Begin::of(b) || Begin::of(a).cmp(&Begin::of(b)) == a.cmp(b));
            }
        }
    }

    #[test]
    fn a_row_that_is_owed_counts_for_nothing() {
        let mut rows = Ranked::default();
        rows.add(&change(&row(5), -1, 0));
        rows.add(&change(&row(7), 2, 0));
        assert_eq!((rows.weight(), rows.all().count()), (2, 2));
        assert_eq!(rows.seek(&row(7), false, 9).unwrap().1.rows, 0);
        rows.add(&change(&row(5), 1, 0));
        rows.add(&change(&row(7), -2, 0));
        assert!(rows.is_empty());
    }

    #[test]
    fn a_row_tells_when_it_came_last() {
        let mut rows = Ranked::default();
        rows.add(&change(&row(5), 1, 10));
        rows.add(&change(&row(5), 1, 20));
        rows.add(&change(&row(5), -1, 30));
        assert_eq!(rows.get(&row(5)).map(|e| (e.weight, e.came)), Some((1, 20)));
        rows.renew(&row(5), 40);
        rows.renew(&row(6), 50);
        assert_eq!(rows.all_mut().map(|e| e.came).collect::<Vec<_>>(), [40]);
        assert!(rows.get(&row(4)).is_none() && rows.get(&row(6)).is_none());
    }

    #[test]
    fn rows_that_begin_alike_are_told_apart_when_they_go_on() {
        let mut rows = Ranked::default();
        for (bytes, place) in [([1, 1], 0), ([2, 1], 1), ([2, 2], 2)] {
            rows.add(&Change { row: &bytes[..], key: 1, place, weight: 1, came: 0 });
        }
        rows.add(&Change { row: &[3], key: 1, place: 3, weight: 1, came: 0 });
        let mut place = |bytes: &[u8]| rows.beginning(bytes).map(|e| e.place);
        assert_eq!([place(&[1]), place(&[2]), place(&[3]), place(&[4])], [Some(0), Some(1), Some(3), None]);
        rows.beginning(&[3]).unwrap().lengthen(Box::new([3, 7]));
        rows.add(&Change { row: &[3, 5], key: 1, place: 4, weight: 1, came: 0 });
        assert_eq!(rows.all().map(|e| e.place).collect::<Vec<_>>(), [0, 1, 2, 4, 3]);
    }

    proptest! {
        /// The same as a plain ordered map, whatever comes and goes, over many blocks.
        #[test]
        fn rows_and_their_positions_are_those_of_a_map(
            changes in prop::collection::vec((0u16..3000, -2i64..4), 1..3000),
            looks in prop::collection::vec(0u16..3000, 20),
            kept in 0usize..900,
        ) {
            let (mut rows, mut map) = (Ranked::default(), BTreeMap::<u16, i64>::new());
            let mut size = Growth::default();
            for (n, weight) in changes.into_iter().filter(|c| c.1 != 0) {
                size += rows.add(&change(&row(n), weight, 0));
                let sum = map.entry(n).or_default();
                *sum += weight;
                if *sum == 0 {
                    map.remove(&n);
                }
            }
            let got: Vec<(u16, i64)> =
                rows.all().map(|e| (u16::from_be_bytes([e.row[0], e.row[1]]), e.weight)).collect();
            prop_assert_eq!(&got, &map.iter().map(|(n, w)| (*n, *w)).collect::<Vec<_>>());
            prop_assert_eq!(size.entries as usize, map.len());
            prop_assert_eq!(size.bytes as usize, rows.all().map(Entry::bytes).sum::<usize>());
            for look in looks {
                let there = || map.range(..look).filter(|(_, w)| **w > 0);
                let mut keys: Vec<u16> = there().map(|(n, _)| n >> 8).collect();
                keys.dedup();
                let expected = Before { rows: there().map(|(_, w)| w).sum(), keys: keys.len() as i64 };
                let (at, before) = rows.seek(&row(look), true, i64::MAX).unwrap();
                prop_assert_eq!(before, expected);
                let next = rows.from(at).next().map(|e| u16::from_be_bytes([e.row[0], e.row[1]]));
                prop_assert_eq!(next, map.range(look..).next().map(|(n, _)| *n));
                prop_assert_eq!(rows.seek(&row(look), false, expected.rows.max(1)).is_none(), expected.rows > 0);
            }
            let mut cut = Vec::new();
            size += rows.truncate(kept, |entry| cut.push(entry.place));
            prop_assert_eq!(cut, map.keys().skip(kept).map(|n| u32::from(*n)).collect::<Vec<_>>());
            prop_assert_eq!(size.entries as usize, map.len().min(kept));
            prop_assert_eq!(rows.weight(), map.values().take(kept).map(|w| (*w).max(0)).sum::<i64>());
        }
    }
}
