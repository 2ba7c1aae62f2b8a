//! Which keys have changed since the last checkpoint: noted once somebody has asked, for each side by itself.

use super::Join;
use crate::state::row_lists::NO_ROW;
use std::ops::Range;

/// All rows of a side's key are to be saved anew.
pub(super) const ALL: u32 = u32::MAX;
/// The slot is noted, but was another key's then: of its own there is nothing.
const OTHERS: u32 = u32::MAX - 1;

/// What a slot says of each side when it becomes nobody's. It stays noted: slots are used again and again.
pub(super) fn of_nobody(unsaved: [u32; 2]) -> [u32; 2] {
    unsaved.map(|rows| if rows == 0 { 0 } else { OTHERS })
}

/// Whether the last checkpoint lacks something of a slot.
pub(super) fn is_unsaved(unsaved: [u32; 2]) -> bool {
    unsaved.iter().any(|rows| ![0, OTHERS].contains(rows))
}

/// What is noted of a side since the last checkpoint.
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// The slots that have changed, and whether some of them are to be saved anew.
    slots: Vec<u32>,
    anew: bool,
    /// The entries that have come to a side that only grows, as long as none has been removed of it: mostly one behind the
    /// other, and as many as there are rows.
    added: Vec<Range<u32>>,
    /// How many entries had been removed of the side when this began: an entry that is removed gives its number away.
    removed: u64,
}

impl Noted {
    /// The slots that have changed.
    pub(super) fn slots(&self) -> &[u32] {
        &self.slots
    }
}

/// What a side has to save of the keys that have changed.
#[derive(Default)]
pub(super) struct ToSave {
    /// The slots of those whose rows are saved anew.
    pub(super) anew: Vec<u32>,
    /// The entries that have come to those of others.
    pub(super) added: Vec<u32>,
}

impl Join {
    /// Notes changes from now on; gives what was noted.
    pub(super) fn note_anew(&mut self) -> Option<[Noted; 2]> {
        let begin = |side: usize| Noted { removed: self.rows[side].removed(), ..Noted::default() };
        self.unsaved.replace([begin(0), begin(1)])
    }

    /// The rows that a side has of a slot, or how often they match, have changed.
    pub(super) fn note_unsaved(&mut self, side: usize, slot: u32) {
        let Some(noted) = &mut self.unsaved else { return };
        if std::mem::replace(&mut self.slots[slot as usize].unsaved[side], ALL) == 0 {
            noted[side].slots.push(slot);
        }
        noted[side].anew = true;
    }

    /// A side that only grows has a row more of a slot, and it stands first.
    pub(super) fn note_added(&mut self, side: usize, slot: u32, id: u32) {
        let Some(noted) = &mut self.unsaved else { return };
        let rows = &mut self.slots[slot as usize].unsaved[side];
        if *rows == 0 {
            noted[side].slots.push(slot);
        }
        *rows = match *rows {
            ALL => ALL,
            OTHERS => 1,
            // There are fewer than so many rows.
            rows => rows + 1,
        };
        if self.rows[side].removed() == noted[side].removed {
            match noted[side].added.last_mut() {
                Some(last) if last.end == id => last.end += 1,
                _ => noted[side].added.push(id..id + 1),
            }
        } else {
            noted[side].added = Vec::new();
        }
    }

    /// All rows of a slot have changed.
    pub(super) fn note_both_unsaved(&mut self, slot: u32) {
        (0..2).for_each(|side| self.note_unsaved(side, slot));
    }

    /// Those of all slots have.
    pub(super) fn note_all_unsaved(&mut self) {
        let used: Vec<u32> = self.keys.used().collect();
        used.into_iter().for_each(|slot| self.note_both_unsaved(slot));
    }

    /// What is to be saved of a side; it is noted no longer.
    pub(super) fn take_unsaved(&mut self, side: usize, noted: &mut Noted) -> ToSave {
        let Noted { slots, anew, added, removed } = noted;
        let rows = &self.rows[side];
        let mut save = ToSave::default();
        // Where no entry has been removed, none is another now.
        let as_they_came = rows.removed() == *removed;
        if as_they_came {
            let all = std::mem::take(added).into_iter().flatten();
            save.added = match *anew {
                true => all.filter(|id| self.slots[rows.slot(*id) as usize].unsaved[side] != ALL).collect(),
                false => all.collect(),
            };
        }
        for slot in slots {
            match std::mem::take(&mut self.slots[*slot as usize].unsaved[side]) {
                0 | OTHERS => {}
                ALL => save.anew.push(*slot),
                _ if as_they_came => {}
                came => {
                    let next = |id: &u32| Some(rows.next(*id)).filter(|id| *id != NO_ROW);
                    let first = Some(rows.first(*slot)).filter(|id| *id != NO_ROW);
                    save.added.extend(std::iter::successors(first, next).take(came as usize));
                }
            }
        }
        // As they lie in memory.
        save.added.sort_unstable();
        save
    }
}
