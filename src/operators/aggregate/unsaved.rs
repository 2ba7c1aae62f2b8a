//! Which groups of a pane have changed since the last checkpoint, and which have gone: noted once somebody has asked.

use super::pane::{concat_columns, take_rows};
use crate::operators::Result;
use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::take;

/// The key columns of some groups.
pub(super) type KeyColumns = Vec<ArrayRef>;

/// A group that has been forgotten.
const FORGOTTEN: usize = usize::MAX;

/// What a pane has changed since the last checkpoint.
pub(super) struct Unsaved {
    /// Whether a group is among `parts`.
    is: Vec<bool>,
    /// Groups of which the checkpoint is to have all rows anew, not those that have been added.
    anew: Vec<usize>,
    /// Groups and their keys, as columns of the output.
    parts: Vec<(Vec<usize>, KeyColumns)>,
    /// Keys of groups that have been forgotten.
    pub(super) gone: Vec<KeyColumns>,
    /// Whether the checkpoint may have groups of this pane.
    pub(super) in_checkpoint: bool,
}

impl Unsaved {
    /// Of a pane of `total` groups, of which the checkpoint has all or none.
    pub(super) fn new(total: usize, in_checkpoint: bool) -> Self {
        Unsaved { is: vec![false; total], anew: vec![], parts: vec![], gone: vec![], in_checkpoint }
    }

    /// Takes note of the groups from `from` on among `slots`, the groups of rows with these keys, of `total` groups.
    pub(super) fn note(
        &mut self,
        slots: &[usize],
        keys: &[ArrayRef],
        from: usize,
        total: usize,
    ) -> Result<()> {
        self.is.resize(total, false);
        let (mut groups, mut rows) = (Vec::new(), Vec::new());
        for (row, group) in slots.iter().enumerate() {
            if *group >= from && !self.is[*group] {
                self.is[*group] = true;
                groups.push(*group);
                rows.push(row as u32);
            }
        }
        if !groups.is_empty() {
            let rows = UInt32Array::from(rows);
            let keys = keys.iter().map(|c| take(c, &rows, None)).collect::<Result<_, _>>()?;
            self.parts.push((groups, keys));
        }
        Ok(())
    }

    /// Takes note that all rows of these groups are to be saved, whatever the checkpoint has of them.
    pub(super) fn note_anew(&mut self, slots: &[usize]) {
        self.anew.extend(slots);
    }

    /// Whether a group has changed.
    pub(super) fn is(&self, group: usize) -> bool {
        self.is.get(group).copied().unwrap_or(false)
    }

    /// Of `total` groups only `kept` are left, as groups `0..` in that order; `gone` are the keys of all, if the others are
    /// no more.
    pub(super) fn retain(&mut self, kept: &[usize], gone: Option<&KeyColumns>, total: usize) -> Result<()> {
        let mut now = vec![FORGOTTEN; total];
        kept.iter().enumerate().for_each(|(new, old)| now[*old] = new);
        if let Some(keys) = gone.filter(|_| self.in_checkpoint) {
            let over: Vec<usize> = (0..total).filter(|g| now[*g] == FORGOTTEN).collect();
            self.gone.push(take_rows(keys, &over, total)?);
        }
        self.is.resize(total, false);
        self.is = kept.iter().map(|old| self.is[*old]).collect();
        self.anew.retain_mut(|group| {
            *group = now[*group];
            *group != FORGOTTEN
        });
        for (groups, _) in &mut self.parts {
            groups.iter_mut().filter(|g| **g != FORGOTTEN).for_each(|g| *g = now[*g]);
        }
        Ok(())
    }

    /// The groups that have changed, with their keys, of which there are `keys` columns, and which of them are to be saved anew; from
    /// now on the checkpoint has them.
    pub(super) fn take(&mut self, keys: usize) -> Result<(Vec<usize>, KeyColumns, Vec<bool>)> {
        let parts = std::mem::take(&mut self.parts);
        let mut anew = vec![false; self.is.len()];
        std::mem::take(&mut self.anew).into_iter().for_each(|group| anew[group] = true);
        self.in_checkpoint |= !parts.is_empty();
        self.is.fill(false);
        if parts.is_empty() {
            return Ok((vec![], vec![], vec![]));
        }
        let all: Vec<usize> = parts.iter().flat_map(|(groups, _)| groups.iter().copied()).collect();
        let keys = (0..keys).map(|k| concat_columns(parts.iter().map(|(_, keys)| &keys[k])));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let there: Vec<usize> = (0..all.len()).filter(|i| all[*i] != FORGOTTEN).collect();
        let keys = take_rows(&keys, &there, all.len())?;
        let groups: Vec<usize> = there.into_iter().map(|i| all[i]).collect();
        let anew = groups.iter().map(|group| anew[*group]).collect();
        Ok((groups, keys, anew))
    }
}
