//! How groups leave memory and come back.

use super::Aggregate;
use super::pane::{Pane, PaneTable, concat_columns, take_rows};
use crate::delta::Delta;
use crate::operators::spill::{Evicted, EvictedTable, KeyedState};
use crate::operators::{Result, StateTable};
use crate::state::cold::NEVER;
use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use std::collections::BTreeMap;

/// What one pane gives up.
pub(super) struct Leavers {
    /// The output's key columns.
    pub(super) keys: Vec<ArrayRef>,
    pub(super) unsaved: Vec<bool>,
    pub(super) tables: Vec<PaneTable>,
}

/// A table of several panes' leavers.
#[derive(Default)]
struct Part {
    tables: Vec<PaneTable>,
    /// Rows of each key so far.
    counts: Vec<u32>,
}

impl Aggregate {
    /// When the watermark needs each of these keys in memory.
    fn due(&self, keys: &[ArrayRef], rows: usize) -> Result<Vec<i64>> {
        if self.plan.spec.window.is_none() {
            // A final result goes out at the end.
            return Ok(vec![if self.plan.emits_changes() { NEVER } else { NEVER - 1 }; rows]);
        }
        let Some(windows) = self.plan.windows(keys)? else { return Ok(vec![NEVER - 1; rows]) };
        let window = |row: usize| windows.is_valid(row).then(|| windows.value(row));
        Ok((0..rows).map(|row| self.plan.close(window(row)).min(NEVER - 1)).collect())
    }

    /// The panes' leavers as one.
    fn evicted(&self, leavers: Vec<Leavers>) -> Result<Evicted> {
        let mut unsaved = Vec::new();
        let mut keys: Vec<Vec<ArrayRef>> = vec![Vec::new(); self.plan.keys()];
        let mut parts: BTreeMap<Option<usize>, Part> = BTreeMap::new();
        for leavers in leavers {
            let before = unsaved.len();
            for PaneTable { call, keys, columns, groups, added } in leavers.tables {
                let part = parts.entry(call).or_default();
                part.counts.resize(before + leavers.unsaved.len(), 0);
                groups.iter().for_each(|group| part.counts[before + *group] += 1);
                part.tables.push(PaneTable { call, keys, columns, groups, added });
            }
            keys.iter_mut().zip(leavers.keys).for_each(|(all, key)| all.push(key));
            unsaved.extend(leavers.unsaved);
        }
        let keys = keys.iter().map(|parts| concat_columns(parts.iter())).collect::<Result<Vec<_>>>()?;
        let mut tables = Vec::new();
        for (call, mut part) in parts {
            part.counts.resize(unsaved.len(), 0);
            tables.push(EvictedTable { table: self.table(call, &part.tables)?, counts: part.counts });
        }
        Ok(Evicted { due: self.due(&keys, unsaved.len())?, keys, unsaved, tables })
    }
}

impl KeyedState for Aggregate {
    fn key_types(&self) -> Result<Vec<DataType>> {
        let schema = self.plan.key_schema(false);
        Ok(schema.fields().iter().map(|f| f.data_type().clone()).collect())
    }

    fn keys_of(&self, _port: usize, delta: &Delta) -> Result<Vec<ArrayRef>> {
        self.plan.key_columns(delta)
    }

    fn live_bytes(&self) -> usize {
        self.panes.values().map(|pane| pane.size().1).sum()
    }

    fn evict(&mut self, bytes: usize) -> Result<Option<Evicted>> {
        let mut leavers = Vec::new();
        let mut freed = 0;
        // Twice, as those that have been used lately are passed over once. The oldest windows come first.
        for _ in 0..2 {
            for pane in self.panes.values_mut() {
                if freed >= bytes {
                    break;
                }
                let before = pane.size().1;
                let some = pane.evict(&self.plan, bytes - freed)?;
                if some.is_some() {
                    freed += before.saturating_sub(pane.size().1).max(1);
                }
                leavers.extend(some);
            }
        }
        for (_, pane) in self.panes.extract_if(.., |_, pane| pane.groups() == 0) {
            self.gone.extend(pane.into_forgotten());
        }
        if leavers.is_empty() {
            return Ok(None);
        }
        self.evicted(leavers).map(Some)
    }

    fn admit(&mut self, tables: Vec<StateTable>, unsaved: Option<Vec<ArrayRef>>) -> Result<()> {
        self.take_tables(tables)?;
        if !self.notes_unsaved {
            return Ok(());
        }
        self.panes.values_mut().for_each(Pane::note_in_checkpoint);
        let Some(keys) = unsaved else { return Ok(()) };
        let rows = keys[0].len();
        for (pane, part) in self.split(&keys, rows)? {
            let keys = keys.iter().map(|c| part.of(c)).collect::<Result<Vec<_>>>()?;
            if let Some(pane) = self.panes.get_mut(&pane) {
                pane.note_all(&self.plan, &keys, part.len(rows))?;
            }
        }
        Ok(())
    }
}

impl Pane {
    /// Gives up groups of about `bytes` bytes: those that have not been used for longest, roughly (a clock's hand goes round).
    fn evict(&mut self, plan: &super::plan::Plan, bytes: usize) -> Result<Option<Leavers>> {
        let total = self.groups();
        let wanted = bytes.div_ceil(self.size().1.div_ceil(total.max(1)).max(1));
        let mut goes = vec![false; total];
        let mut chosen: Vec<usize> = Vec::new();
        for i in 0..total {
            if chosen.len() >= wanted {
                break;
            }
            let group = (self.hand + i) % total;
            if !std::mem::take(&mut self.used[group]) {
                goes[group] = true;
                chosen.push(group);
            }
        }
        self.hand = 0;
        if chosen.is_empty() {
            return Ok(None);
        }
        // The hand stands behind the last one that has gone, where the groups move up.
        if let Some(last) = chosen.last() {
            self.hand = goes[..*last].iter().filter(|goes| !**goes).count();
        }
        chosen.sort_unstable();
        let keys = self.all_keys(plan)?;
        let keys = take_rows(&keys, &chosen, total)?;
        let unsaved = chosen.iter().map(|group| self.is_unsaved(*group)).collect();
        let tables = self.save_groups(plan, &chosen, keys.clone())?;
        let kept: Vec<usize> = (0..total).filter(|group| !goes[*group]).collect();
        self.keep(plan, &kept, false)?;
        Ok(Some(Leavers { keys, unsaved, tables }))
    }
}
