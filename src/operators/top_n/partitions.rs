//! The partitions: key → what is kept of its rows, and which are over at what time.

use crate::delta::{EventTime, WATERMARK_END};
use crate::operators::aggregate::WindowKey;
use crate::state::clock_hand::ClockHand;
use crate::state::ranked::{Entry, Growth, Ranked};
use hashbrown::{DefaultHashBuilder, HashTable};
use std::collections::BTreeMap;
use std::hash::BuildHasher;

/// No row of the running step.
pub(super) const NONE: u32 = u32::MAX;

/// What is kept of a partition's rows.
#[derive(Debug)]
pub(super) enum Kept {
    /// The first row.
    One(Option<Entry>),
    /// Several, in order.
    Many(Ranked),
}

/// A partition.
#[derive(Debug)]
pub(super) struct Partition {
    /// The bytes of its key.
    pub(super) key: Box<[u8]>,
    pub(super) kept: Kept,
    /// Where only one row is kept: the best of the running step, by its place among the pending ones.
    pub(super) best: u32,
    /// Whether all rows behind the last kept one can be left out.
    pub(super) full: bool,
    /// It is among those that have changed since the last checkpoint.
    unsaved: bool,
    /// The last checkpoint may have rows of it.
    saved: bool,
    /// It has been used since it was last looked at whether it may leave memory.
    used: bool,
    /// When its window is over.
    pub(super) closes: EventTime,
}

impl Partition {
    /// The last row that is kept, if no row behind it can come into the range.
    pub(super) fn limit(&self) -> Option<&Entry> {
        match &self.kept {
            Kept::One(one) => one.as_ref(),
            Kept::Many(rows) if self.full => rows.last(),
            Kept::Many(_) => None,
        }
    }

    fn entries_mut(&mut self) -> Box<dyn Iterator<Item = &mut Entry> + '_> {
        match &mut self.kept {
            Kept::One(one) => Box::new(one.iter_mut()),
            Kept::Many(rows) => Box::new(rows.all_mut()),
        }
    }

    /// All that is kept.
    pub(super) fn entries(&self) -> Box<dyn Iterator<Item = &Entry> + '_> {
        match &self.kept {
            Kept::One(one) => Box::new(one.iter()),
            Kept::Many(rows) => Box::new(rows.all()),
        }
    }
}

/// Partitions by number. A number is used again after its partition has gone.
pub(super) struct Partitions {
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
    all: Vec<Option<Partition>>,
    free: Vec<u32>,
    /// With windows: the partitions by the time at which they are over.
    closing: BTreeMap<EventTime, Vec<u32>>,
    windowed: bool,
    one: bool,
    key_bytes: usize,
    /// What has changed since the last checkpoint; `None` = nobody has asked yet.
    unsaved: Option<Unsaved>,
    /// Partitions come back to memory: what is taken in is no change, and the last checkpoint has it.
    pub(super) admitting: bool,
    /// The partition that is looked at next when some are to leave memory.
    hand: ClockHand,
}

/// The numbers of partitions that have changed, and the keys of those that have gone.
pub(super) type ChangedAndGone = (Vec<u32>, Vec<Box<[u8]>>);

/// What has changed since the last checkpoint.
#[derive(Debug, Default)]
struct Unsaved {
    /// Partitions; some numbers may have been given to others since.
    changed: Vec<u32>,
    /// Keys of partitions that have gone.
    gone: Vec<Box<[u8]>>,
}

impl Partitions {
    /// None yet. `windowed`: they end with their windows; `one`: one row of each is kept.
    pub(super) fn new(windowed: bool, one: bool) -> Self {
        Partitions {
            table: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            all: Vec::new(),
            free: Vec::new(),
            closing: BTreeMap::new(),
            windowed,
            one,
            key_bytes: 0,
            unsaved: None,
            admitting: false,
            hand: ClockHand::default(),
        }
    }

    /// The number of the partition with this key, which comes into being; `close` says when it will be over.
    pub(super) fn number(&mut self, key: &[u8], close: impl FnOnce() -> EventTime) -> u32 {
        let hash = self.hasher.hash_one(key);
        let all = &self.all;
        let same = |n: &u32| all[*n as usize].as_ref().is_some_and(|p| *p.key == *key);
        if let Some(number) = self.table.find(hash, same).copied() {
            if let Some(partition) = self.get_mut(number) {
                partition.used = true;
            }
            return number;
        }
        let close = if self.windowed { close() } else { WATERMARK_END };
        let kept = if self.one { Kept::One(None) } else { Kept::Many(Ranked::default()) };
        let partition = Partition {
            key: key.into(),
            kept,
            best: NONE,
            full: false,
            unsaved: false,
            saved: self.admitting,
            used: true,
            closes: close,
        };
        let number = match self.free.pop() {
            Some(number) => {
                self.all[number as usize] = Some(partition);
                number
            }
            None => {
                self.all.push(Some(partition));
                self.all.len() as u32 - 1
            }
        };
        let (all, hasher) = (&self.all, &self.hasher);
        let rehash = |n: &u32| all[*n as usize].as_ref().map_or(0, |p| hasher.hash_one(&*p.key));
        self.table.insert_unique(hash, number, rehash);
        self.key_bytes += key.len();
        if self.windowed {
            self.closing.entry(close).or_default().push(number);
        }
        number
    }

    /// When the first of the partitions that end with their windows is over.
    pub(super) fn next_close(&self) -> Option<EventTime> {
        self.closing.first_key_value().map(|(closes, _)| *closes)
    }

    pub(super) fn get(&self, number: u32) -> Option<&Partition> {
        self.all.get(number as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Partition> {
        self.all.get_mut(number as usize)?.as_mut()
    }

    /// Forgets a partition that holds nothing. One with a window is forgotten with its window.
    pub(super) fn forget_empty(&mut self, number: u32) {
        let empty = |p: &Partition| match &p.kept {
            Kept::One(one) => one.is_none(),
            Kept::Many(rows) => rows.is_empty(),
        };
        if !self.windowed && self.get(number).is_some_and(empty) {
            self.remove(number);
        }
    }

    fn remove(&mut self, number: u32) -> Option<Partition> {
        let partition = self.take(number)?;
        if let Some(unsaved) = self.unsaved.as_mut().filter(|_| partition.saved) {
            unsaved.gone.push(partition.key.clone());
        }
        Some(partition)
    }

    fn take(&mut self, number: u32) -> Option<Partition> {
        let partition = self.all.get_mut(number as usize)?.take()?;
        let hash = self.hasher.hash_one(&*partition.key);
        if let Ok(found) = self.table.find_entry(hash, |n| *n == number) {
            found.remove();
        }
        self.free.push(number);
        self.key_bytes -= partition.key.len();
        Some(partition)
    }

    /// Takes partitions out of about `bytes` bytes, where `size` tells how many a partition has: those that have not been
    /// used for longest, roughly.
    pub(super) fn evict(&mut self, bytes: usize, size: impl Fn(&Partition) -> usize) -> Vec<Partition> {
        let numbers = self.hand.find(self.all.len(), bytes, |number| {
            let partition = self.all[number].as_mut()?;
            // Those that are empty wait for their window's end.
            let stays = std::mem::take(&mut partition.used) || partition.entries().next().is_none();
            (!stays).then(|| size(partition))
        });
        let evicted: Vec<Partition> = numbers.into_iter().filter_map(|number| self.take(number)).collect();
        if self.windowed && !evicted.is_empty() {
            self.closing.clear();
            for (number, partition) in (0u32..).zip(&self.all) {
                if let Some(partition) = partition {
                    self.closing.entry(partition.closes).or_default().push(number);
                }
            }
        }
        evicted
    }

    /// Whether the last checkpoint does not have a partition as it is.
    pub(super) fn is_unsaved(partition: &Partition) -> bool {
        partition.unsaved
    }

    /// The number of the partition with this key, if it is there.
    pub(super) fn find(&self, key: &[u8]) -> Option<u32> {
        let same = |n: &u32| self.get(*n).is_some_and(|p| *p.key == *key);
        self.table.find(self.hasher.hash_one(key), same).copied()
    }

    /// Bytes of all keys.
    pub(super) fn key_bytes(&self) -> usize {
        self.key_bytes
    }

    /// The greatest number so far is below this.
    pub(super) fn numbers(&self) -> usize {
        self.all.len()
    }

    /// Number of partitions.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// The partitions whose window is over at `watermark`; they are forgotten.
    pub(super) fn close(&mut self, watermark: EventTime) -> Vec<Partition> {
        let mut over = Vec::new();
        while let Some(first) = self.closing.first_entry().filter(|e| *e.key() <= watermark) {
            let numbers = first.remove();
            over.extend(numbers.into_iter().filter_map(|n| self.remove(n)));
        }
        over
    }

    /// Takes note that what is kept of a partition has changed.
    pub(super) fn note_unsaved(&mut self, number: u32) {
        if self.admitting {
            return;
        }
        let partition = self.all.get_mut(number as usize).and_then(Option::as_mut);
        if let (Some(unsaved), Some(partition)) = (&mut self.unsaved, partition)
            && !std::mem::replace(&mut partition.unsaved, true)
        {
            unsaved.changed.push(number);
        }
    }

    /// Begins to note what changes; the checkpoint has all that there is.
    pub(super) fn begin_unsaved(&mut self) {
        self.unsaved = Some(Unsaved::default());
        self.all.iter_mut().flatten().for_each(|partition| partition.saved = true);
    }

    /// The partitions that have changed since this was last called, and the keys of those that have gone; `None` = that is
    /// not noted yet.
    pub(super) fn take_unsaved(&mut self) -> Option<ChangedAndGone> {
        let Unsaved { mut changed, gone } = std::mem::take(self.unsaved.as_mut()?);
        changed.retain(|number| {
            let partition = self.all.get_mut(*number as usize).and_then(Option::as_mut);
            partition.is_some_and(|partition| {
                partition.saved = true;
                std::mem::take(&mut partition.unsaved)
            })
        });
        Some((changed, gone))
    }

    /// What is kept of each partition, with its number.
    pub(super) fn numbered(&mut self) -> impl Iterator<Item = (u32, &mut Kept)> {
        let numbered = (0u32..).zip(&mut self.all);
        numbered.filter_map(|(number, partition)| Some((number, &mut partition.as_mut()?.kept)))
    }

    /// All that is kept, to be changed otherwise than in its order.
    pub(super) fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.all.iter_mut().flatten().flat_map(Partition::entries_mut)
    }

    /// All partitions.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Partition> {
        self.all.iter().flatten()
    }

    /// Bytes held besides the rows, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.all.capacity() * size_of::<Option<Partition>>() + self.table.allocation_size() + self.key_bytes
    }
}

impl WindowKey {
    /// When (ns) the window with this key value, in a column of `unit` ns, is over; at the end of input without one.
    pub(super) fn close(&self, value: Option<i64>, unit: i64) -> EventTime {
        let Some(value) = value else { return WATERMARK_END };
        let close = i128::from(value) * i128::from(unit) + i128::from(self.to_end) + i128::from(self.grace);
        i64::try_from(close).unwrap_or(if close < 0 { i64::MIN } else { i64::MAX })
    }
}

/// What one entry is, for counting.
pub(super) fn size(partition: &Partition) -> Growth {
    let mut growth = Growth::default();
    partition.entries().for_each(|e| growth += Growth::of(e));
    growth
}
