//! The partitions: key → what is kept of its rows, and which are over at what time.

use crate::delta::{EventTime, WATERMARK_END};
use crate::operators::Result;
use crate::state::clock_hand::ClockHand;
use crate::state::key_table::{KeyTable, NO_SLOT};
use crate::state::ranked::{Entry, Growth, Ranked};
use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use std::collections::BTreeMap;

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

/// Partitions by number: the slot of their key. A number is used again after its partition has gone.
pub(super) struct Partitions {
    keys: KeyTable,
    all: Vec<Option<Partition>>,
    /// With windows: the partitions by the time at which they are over.
    closing: BTreeMap<EventTime, Vec<u32>>,
    windowed: bool,
    one: bool,
    /// The numbers of those that have changed since the last checkpoint; some may have been given to others since. `None` =
    /// nobody has asked yet.
    unsaved: Option<Vec<u32>>,
    /// Partitions come back to memory: what is taken in is no change, and the last checkpoint has it.
    pub(super) admitting: bool,
    /// The partition that is looked at next when some are to leave memory.
    hand: ClockHand,
}

/// Partitions that have left, with their keys.
pub(super) struct Left {
    pub(super) keys: Vec<ArrayRef>,
    pub(super) partitions: Vec<Partition>,
}

impl Partitions {
    /// None yet, with keys of these types. `windowed`: they end with their windows; `one`: one row of each is kept.
    pub(super) fn new(key_types: &[DataType], windowed: bool, one: bool) -> Result<Self> {
        Ok(Partitions {
            keys: KeyTable::new(key_types)?,
            all: Vec::new(),
            closing: BTreeMap::new(),
            windowed,
            one,
            unsaved: None,
            admitting: false,
            hand: ClockHand::default(),
        })
    }

    /// The number of the partition of each row, by its key; those that are not there come into being; `close` says of a row
    /// when its partition will be over.
    pub(super) fn number(
        &mut self,
        keys: &[ArrayRef],
        rows: usize,
        close: impl Fn(usize) -> EventTime,
    ) -> Result<Vec<u32>> {
        let mut numbers = Vec::new();
        self.keys.intern(keys, rows, |_| false, &mut numbers)?;
        self.all.resize_with(self.keys.slots(), || None);
        for (row, number) in numbers.iter().enumerate() {
            let there = &mut self.all[*number as usize];
            if let Some(partition) = there {
                partition.used = true;
                continue;
            }
            let closes = if self.windowed { close(row) } else { WATERMARK_END };
            *there = Some(Partition {
                kept: if self.one { Kept::One(None) } else { Kept::Many(Ranked::default()) },
                best: NONE,
                full: false,
                unsaved: false,
                saved: self.admitting,
                used: true,
                closes,
            });
            if self.windowed {
                self.closing.entry(closes).or_default().push(*number);
            }
        }
        Ok(numbers)
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
        let partition = self.all.get_mut(number as usize)?.take()?;
        match self.unsaved.is_some() && partition.saved {
            true => self.keys.remove_noted(number),
            false => self.keys.remove(number),
        }
        Some(partition)
    }

    /// Takes partitions out of about `bytes` bytes, where `size` tells how many a partition has beside its key: those that
    /// have not been used for longest, roughly.
    pub(super) fn evict(&mut self, bytes: usize, size: impl Fn(&Partition) -> usize) -> Result<Left> {
        let beside = self.keys.live_bytes() / self.keys.len().max(1) + size_of::<Option<Partition>>();
        let numbers = self.hand.find(self.all.len(), bytes, |number| {
            let partition = self.all[number].as_mut()?;
            // Those that are empty wait for their window's end.
            let stays = std::mem::take(&mut partition.used) || partition.entries().next().is_none();
            (!stays).then(|| size(partition) + beside)
        });
        let keys = self.keys.columns(numbers.iter().copied())?;
        let mut partitions = Vec::with_capacity(numbers.len());
        for number in numbers {
            partitions.extend(self.all[number as usize].take());
            self.keys.remove(number);
        }
        if self.windowed && !partitions.is_empty() {
            self.closing.clear();
            for (number, partition) in (0u32..).zip(&self.all) {
                if let Some(partition) = partition {
                    self.closing.entry(partition.closes).or_default().push(number);
                }
            }
        }
        Ok(Left { keys, partitions })
    }

    /// Whether the last checkpoint does not have a partition as it is.
    pub(super) fn is_unsaved(partition: &Partition) -> bool {
        partition.unsaved
    }

    /// The partitions with these keys, of `rows` rows, that are there.
    pub(super) fn find(&self, keys: &[ArrayRef], rows: usize) -> Result<Vec<u32>> {
        let mut numbers = Vec::new();
        self.keys.look_up(keys, rows, &mut numbers)?;
        numbers.retain(|number| *number != NO_SLOT);
        Ok(numbers)
    }

    /// The keys of partitions.
    pub(super) fn keys_of(&self, numbers: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(self.keys.columns(numbers.iter().copied())?)
    }

    /// The greatest number so far is below this.
    pub(super) fn numbers(&self) -> usize {
        self.all.len()
    }

    /// Number of partitions.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
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
            unsaved.push(number);
        }
    }

    /// Begins to note what changes; the checkpoint has all that there is.
    pub(super) fn begin_unsaved(&mut self) {
        self.unsaved = Some(Vec::new());
        self.all.iter_mut().flatten().for_each(|partition| partition.saved = true);
    }

    /// The partitions that have changed since this was last called; `None` = that is not noted yet.
    pub(super) fn take_changed(&mut self) -> Option<Vec<u32>> {
        let mut changed = std::mem::take(self.unsaved.as_mut()?);
        changed.retain(|number| {
            let partition = self.all.get_mut(*number as usize).and_then(Option::as_mut);
            partition.is_some_and(|partition| {
                partition.saved = true;
                std::mem::take(&mut partition.unsaved)
            })
        });
        Some(changed)
    }

    /// The keys of the partitions that have gone since this was last called, of those that the last checkpoint may have;
    /// and how many they are. Some may be there again.
    pub(super) fn take_gone(&mut self) -> Result<(Vec<ArrayRef>, usize)> {
        Ok(self.keys.take_removed()?)
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
        self.all.capacity() * size_of::<Option<Partition>>() + self.keys.bytes()
    }

    /// The same, without room that is only reserved.
    pub(super) fn live_bytes(&self) -> usize {
        self.len() * size_of::<Option<Partition>>() + self.keys.live_bytes()
    }
}

/// What one entry is, for counting.
pub(super) fn size(partition: &Partition) -> Growth {
    let mut growth = Growth::default();
    partition.entries().for_each(|e| growth += Growth::of(e));
    growth
}
