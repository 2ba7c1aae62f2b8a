//! Which keys have changed since the last checkpoint: noted once somebody has asked.

use super::Join;

impl Join {
    /// The rows of a slot, or how often they match, have changed.
    pub(super) fn note_unsaved(&mut self, slot: u32) {
        let Some(unsaved) = &mut self.unsaved else { return };
        let state = &mut self.slots[slot as usize];
        if !std::mem::replace(&mut state.unsaved, true) {
            unsaved.push(slot);
        }
    }

    /// Those of all slots have.
    pub(super) fn note_all_unsaved(&mut self) {
        let used: Vec<u32> = self.keys.used().collect();
        used.into_iter().for_each(|slot| self.note_unsaved(slot));
    }
}
