//! How keys leave memory and come back.

use super::timeline::{Rows, Timeline};
use super::{Result, SessionWindow};
use crate::delta::{Delta, EventTime};
use crate::operators::StateTable;
use crate::operators::spill::{Evicted, EvictedTable, KeyedState};
use crate::state::cold::NEVER;
use crate::state::key_table::NO_SLOT;
use crate::state::zero::one_zero;
use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;

impl SessionWindow {
    /// The slots that have not been used for longest, roughly.
    fn coldest(&mut self, bytes: usize) -> Vec<u32> {
        let row_bytes = self.size.bytes.div_ceil(self.size.rows.max(1));
        self.hand.find(self.timelines.len(), bytes, |slot| {
            let timeline = &mut self.timelines[slot];
            let stays = timeline.is_empty() || std::mem::take(&mut timeline.used);
            (!stays).then(|| size_of::<Timeline>() + timeline.rows().len() * row_bytes)
        })
    }

    /// When the watermark needs a key: when the first of its sessions is over.
    fn due(&self, slot: u32) -> EventTime {
        let first = self.timelines[slot as usize].sessions().next().filter(|_| self.spec.closes);
        first.map_or(NEVER, |session| {
            let end = session.last.saturating_mul(self.unit).saturating_add(self.spec.gap);
            end.saturating_add(self.spec.grace).saturating_add(1).min(NEVER - 1)
        })
    }
}

impl KeyedState for SessionWindow {
    fn key_types(&self) -> Result<Vec<DataType>> {
        Ok(self.spec.keys.iter().map(|key| self.spec.schema.field(*key).data_type().clone()).collect())
    }

    fn keys_of(&self, _port: usize, delta: &Delta) -> Result<Vec<ArrayRef>> {
        Ok(self.spec.keys.iter().map(|key| one_zero(delta.batch.column(*key).clone())).collect())
    }

    fn live_bytes(&self) -> usize {
        self.size.bytes + self.keys.live_bytes() + self.keys.len() * size_of::<Timeline>()
    }

    fn evict(&mut self, bytes: usize) -> Result<Option<Evicted>> {
        let slots = self.coldest(bytes);
        if slots.is_empty() {
            return Ok(None);
        }
        let all: Vec<&Rows> = slots.iter().map(|slot| self.timelines[*slot as usize].rows()).collect();
        let counts = all.iter().map(|rows| rows.len() as u32).collect();
        let table = self.state_table(&all)?;
        let evicted = Evicted {
            keys: self.keys.columns(slots.iter().copied())?,
            unsaved: slots.iter().map(|slot| self.timelines[*slot as usize].unsaved).collect(),
            due: slots.iter().map(|slot| self.due(*slot)).collect(),
            tables: vec![EvictedTable { table, counts }],
        };
        for slot in slots {
            let timeline = std::mem::take(&mut self.timelines[slot as usize]);
            for session in timeline.sessions().filter(|_| self.spec.closes) {
                self.ends.remove(&(session.last, slot, session.start));
            }
            drop(timeline.into_rows(&mut self.size));
            self.keys.remove(slot);
        }
        self.keys.compact();
        Ok(Some(evicted))
    }

    fn admit(&mut self, tables: Vec<StateTable>, unsaved: Option<Vec<ArrayRef>>) -> Result<()> {
        self.load(tables)?;
        if let Some(keys) = unsaved {
            let mut slots = Vec::new();
            self.keys.look_up(&keys, keys[0].len(), &mut slots)?;
            slots.into_iter().filter(|slot| *slot != NO_SLOT).for_each(|slot| self.note_unsaved(slot));
        }
        Ok(())
    }
}
