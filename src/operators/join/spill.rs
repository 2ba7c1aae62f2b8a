//! How keys leave memory and come back: the rows of both sides at once.

use super::due::Due;
use super::unsaved::{is_unsaved, of_nobody};
use super::{Join, JoinBound, Slot};
use crate::delta::{Delta, EventTime};
use crate::operators::spill::{Evicted, EvictedTable, KeyedState};
use crate::operators::{Result, StateTable};
use crate::state::cold::NEVER;
use crate::state::key_table::NO_SLOT;
use crate::state::row_lists::NO_ROW;
use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;

impl Join {
    /// Whether its state can leave memory: a NOT IN looks at all keys, and without keys there is one.
    pub(super) fn can_spill(&self) -> bool {
        !self.spec.null_aware && !self.spec.inputs[0].keys.is_empty()
    }

    /// The slots that have not been used for longest, roughly.
    fn coldest(&mut self, bytes: usize) -> Vec<u32> {
        let row_bytes: Vec<usize> =
            self.rows.iter().map(|rows| rows.live_bytes().div_ceil(rows.len().max(1))).collect();
        let key_bytes = self.keys.live_bytes().div_ceil(self.keys.len().max(1)) + size_of::<Slot>();
        self.hand.find(self.slots.len(), bytes, |slot| {
            let state = &mut self.slots[slot];
            let stays = !self.keys.is_used(slot as u32) || std::mem::take(&mut state.used);
            let rows = |side: usize| state.entries[side] as usize * row_bytes[side];
            (!stays).then(|| key_bytes + rows(0) + rows(1))
        })
    }

    /// When the watermark needs a slot, or where rows have ages when the first of its rows leaves.
    fn due(&self, slot: u32) -> EventTime {
        let untils = |side: usize| {
            let rows = &self.rows[side];
            let next = move |id: &u32| Some(rows.next(*id)).filter(|id| *id != NO_ROW);
            let first = Some(rows.first(slot)).filter(|id| *id != NO_ROW);
            std::iter::successors(first, next).map(move |id| rows.until(id))
        };
        let both = || untils(0).chain(untils(1));
        let until = match self.spec.bound {
            None => match (0..2).filter(|side| self.ages_of(*side)).flat_map(untils).min() {
                Some(came) if came != i64::MAX => came,
                _ => return NEVER,
            },
            Some(JoinBound::Key { .. }) => self.slots[slot as usize].until,
            Some(JoinBound::Interval { .. }) if self.spec.hold => both().min().unwrap_or(i64::MAX),
            // Nothing goes out when a row is over: the key comes back once, when all of its rows are.
            Some(JoinBound::Interval { .. }) => both().max().unwrap_or(i64::MAX),
        };
        // It is over when the watermark is beyond it, and at the end; it leaves when rows are kept since a later time.
        until.saturating_add(1).min(NEVER - 1)
    }

    /// The entries of a side by slot, or of a side of which only the number of rows matters the slots; how many of each slot.
    pub(super) fn places(&self, side: usize, slots: &[u32]) -> (Vec<u32>, Vec<u32>) {
        let (mut places, mut counts) = (Vec::new(), Vec::with_capacity(slots.len()));
        for slot in slots {
            let before = places.len();
            if self.counts_only[side] {
                places.extend((self.slots[*slot as usize].weights[side] != 0).then_some(*slot));
            } else {
                let mut id = self.rows[side].first(*slot);
                while id != NO_ROW {
                    places.push(id);
                    id = self.rows[side].next(id);
                }
            }
            counts.push((places.len() - before) as u32);
        }
        (places, counts)
    }

    /// Forgets when rows and slots are over that are no longer here.
    fn forget_due(&mut self) {
        self.forget_arrivals();
        if self.spec.bound.is_none() {
            return;
        }
        for side in 0..2 {
            let mut due = Due::default();
            if matches!(self.spec.bound, Some(JoinBound::Interval { .. })) {
                for id in self.rows[side].ids() {
                    due.add(self.rows[side].until(id), id);
                }
            }
            self.due[side] = due;
        }
        self.due_slots.clear();
        for slot in self.keys.used() {
            let until = self.slots[slot as usize].until;
            if until != i64::MAX {
                self.due_slots.entry(until).or_default().push(slot);
            }
        }
    }
}

impl KeyedState for Join {
    fn key_types(&self) -> Result<Vec<DataType>> {
        let input = &self.spec.inputs[0];
        input.keys.iter().map(|key| Ok(key.data_type(&input.schema)?)).collect()
    }

    fn keys_of(&self, port: usize, delta: &Delta) -> Result<Vec<ArrayRef>> {
        self.key_columns(port, &delta.clone().into())
    }

    fn live_bytes(&self) -> usize {
        self.keys.live_bytes()
            + self.keys.len() * size_of::<Slot>()
            + self.rows.iter().map(|rows| rows.live_bytes()).sum::<usize>()
    }

    fn evict(&mut self, bytes: usize) -> Result<Option<Evicted>> {
        let slots = self.coldest(bytes);
        if slots.is_empty() {
            return Ok(None);
        }
        let mut tables = Vec::new();
        for side in 0..2 {
            let (places, counts) = self.places(side, &slots);
            if !places.is_empty() {
                let table = self.state_table(side, &places)?;
                tables.push(EvictedTable { table, counts });
            }
        }
        let evicted = Evicted {
            keys: self.keys.columns(slots.iter().copied())?,
            unsaved: slots.iter().map(|slot| is_unsaved(self.slots[*slot as usize].unsaved)).collect(),
            due: slots.iter().map(|slot| self.due(*slot)).collect(),
            tables,
        };
        for slot in slots {
            for rows in &mut self.rows {
                while rows.first(slot) != NO_ROW {
                    rows.remove(rows.first(slot));
                }
            }
            let unsaved = of_nobody(self.slots[slot as usize].unsaved);
            self.slots[slot as usize] = Slot { unsaved, ..Slot::default() };
            self.keys.remove(slot);
        }
        self.rows.iter_mut().try_for_each(|rows| rows.compact())?;
        self.keys.compact();
        self.forget_due();
        Ok(Some(evicted))
    }

    fn leaves_by_age(&self) -> bool {
        self.spec.unbounded != [false; 2]
    }

    fn knows_ages(&self) -> bool {
        self.aging
    }

    fn admit(&mut self, tables: Vec<StateTable>, unsaved: Option<Vec<ArrayRef>>) -> Result<()> {
        for table in &tables {
            self.load_table(table)?;
        }
        if let Some(keys) = unsaved {
            let mut slots = Vec::new();
            self.keys.look_up(&keys, keys[0].len(), &mut slots)?;
            slots.into_iter().filter(|slot| *slot != NO_SLOT).for_each(|slot| self.note_both_unsaved(slot));
        }
        Ok(())
    }
}
