//! How partitions leave memory and come back.

use super::checkpoint::ROWS;
use super::partitions::{Left, Partition, Partitions, size};
use super::rows::Columns;
use super::{TopN, TopNUse};
use crate::delta::Delta;
use crate::operators::spill::{Evicted, EvictedTable, KeyedState};
use crate::operators::{Result, StateTable};
use crate::state::cold::NEVER;
use crate::state::ranked::{Entry, Growth};
use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;

impl TopN {
    /// Whether its state can leave memory: it has partitions, each of which is one worker's alone.
    pub(super) fn can_spill(&self) -> bool {
        self.spec.purpose == TopNUse::Result && !self.spec.keys.is_empty()
    }
}

/// Rough bytes of a partition's rows, each of which takes `column_bytes` in columns.
fn bytes(partition: &Partition, column_bytes: usize) -> usize {
    let Growth { entries, bytes } = size(partition);
    usize::try_from(bytes).unwrap_or(0) + usize::try_from(entries).unwrap_or(0) * column_bytes
}

impl KeyedState for TopN {
    fn key_types(&self) -> Result<Vec<DataType>> {
        Ok(self.key_types.clone())
    }

    fn keys_of(&self, _port: usize, delta: &Delta) -> Result<Vec<ArrayRef>> {
        let keys = self.spec.keys.iter();
        keys.map(|key| Ok(key.evaluate(&delta.batch)?.into_array(delta.num_rows())?)).collect()
    }

    fn live_bytes(&self) -> usize {
        let rows = usize::try_from(self.size.bytes).unwrap_or(0);
        let columns = self.columns.as_ref().map_or(0, Columns::live_bytes);
        rows + columns + self.partitions.live_bytes()
    }

    fn evict(&mut self, wanted: usize) -> Result<Option<Evicted>> {
        // Of rows in columns each takes about as much as the others.
        let columns = self.columns.as_ref().map_or(0, Columns::live_bytes);
        let column_bytes = columns / usize::try_from(self.size.entries).unwrap_or(0).max(1);
        let Left { keys, partitions } =
            self.partitions.evict(wanted, |partition| bytes(partition, column_bytes))?;
        if partitions.is_empty() {
            return Ok(None);
        }
        partitions.iter().for_each(|partition| self.size += size(partition).less());
        let entries: Vec<&Entry> = partitions.iter().flat_map(|p| p.entries()).collect();
        let mut tables = Vec::new();
        if !entries.is_empty() {
            let batch = self.table(&entries)?;
            let counts = partitions.iter().map(|p| p.entries().count() as u32).collect();
            let table = StateTable { name: ROWS.into(), batch, key_columns: self.spec.keys.len() };
            tables.push(EvictedTable { table, counts });
        }
        self.forget_rows(&partitions);
        self.ages.forget(&self.partitions);
        let due = |p: &Partition| match (self.spec.window, self.spec.unbounded) {
            (Some(_), _) => p.closes.min(NEVER - 1),
            (None, true) => {
                let came = p.entries().map(|entry| entry.came).min();
                came.filter(|came| *came != i64::MAX).map_or(NEVER, |came| came + 1)
            }
            (None, false) => NEVER,
        };
        Ok(Some(Evicted {
            keys,
            unsaved: partitions.iter().map(Partitions::is_unsaved).collect(),
            due: partitions.iter().map(due).collect(),
            tables,
        }))
    }

    fn leaves_by_age(&self) -> bool {
        self.spec.unbounded
    }

    fn knows_ages(&self) -> bool {
        self.spec.unbounded && !self.ages.some_unknown
    }

    fn admit(&mut self, tables: Vec<StateTable>, unsaved: Option<Vec<ArrayRef>>) -> Result<()> {
        // The running step's rows wait for its end; they are of other partitions.
        let step = std::mem::take(&mut self.step);
        self.partitions.admitting = true;
        let loaded = self.load(tables);
        self.partitions.admitting = false;
        self.step = step;
        loaded?;
        if let Some(keys) = unsaved {
            for number in self.partitions.find(&keys, keys[0].len())? {
                self.partitions.note_unsaved(number);
            }
        }
        Ok(())
    }
}
