//! Which keys have changed since the last checkpoint: noted once somebody has asked, for each side by itself.

use super::Join;
use crate::state::row_lists::NO_ROW;

/// All rows of a side's key are to be saved anew.
pub(super) const ALL: u32 = u32::MAX;

/// What a side has to save of the keys that have changed.
pub(super) struct ToSave {
    /// The slots of those whose rows are saved anew.
    pub(super) anew: Vec<u32>,
    /// The entries that have come to those of others.
    pub(super) added: Vec<u32>,
}

impl Join {
    /// The rows that a side has of a slot, or how often they match, have changed.
    pub(super) fn note_unsaved(&mut self, side: usize, slot: u32) {
        let Some(unsaved) = &mut self.unsaved else { return };
        if std::mem::replace(&mut self.slots[slot as usize].unsaved[side], ALL) == 0 {
            unsaved[side].push(slot);
        }
    }

    /// A side has a row more of a slot, and it stands first.
    pub(super) fn note_added(&mut self, side: usize, slot: u32) {
        let Some(unsaved) = &mut self.unsaved else { return };
        let rows = &mut self.slots[slot as usize].unsaved[side];
        if *rows == 0 {
            unsaved[side].push(slot);
        }
        *rows = rows.saturating_add(1);
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

    /// What is to be saved of a side's slots that have been noted; they are no longer.
    pub(super) fn take_unsaved(&mut self, side: usize, noted: &[u32]) -> ToSave {
        let mut save = ToSave { anew: Vec::new(), added: Vec::new() };
        for slot in noted {
            // Those that have become other keys' are noted again where these have changed.
            match std::mem::take(&mut self.slots[*slot as usize].unsaved[side]) {
                0 => {}
                ALL => save.anew.push(*slot),
                rows => {
                    let next = |id: &u32| Some(self.rows[side].next(*id)).filter(|id| *id != NO_ROW);
                    let first = Some(self.rows[side].first(*slot)).filter(|id| *id != NO_ROW);
                    save.added.extend(std::iter::successors(first, next).take(rows as usize));
                }
            }
        }
        // As they lie in memory.
        save.added.sort_unstable();
        save
    }
}
