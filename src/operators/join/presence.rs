//! Rows that go out depending on whether they are matched: outer, semi, anti and mark joins, and NOT IN.
//!
//! During a step it is noted how each touched row and key was before it; at the end the difference goes out.

use super::{BATCH_ROWS, Join, Matching};
use crate::delta::{Delta, Part};
use crate::operators::{Emit, Result};
use crate::state::key_table::NO_SLOT;
use crate::state::row_lists::NO_ROW;
use arrow::array::{
    Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, new_null_array,
};
use datafusion::common::JoinType;
use std::sync::Arc;

/// What the running step has touched, as it was before.
#[derive(Debug, Default)]
pub(super) struct Changes {
    rows: [Vec<Before>; 2],
    slots: Vec<(u32, [i64; 2])>,
    /// For a NOT IN: the right side's weights, all and null.
    right: Option<[i64; 2]>,
}

/// An entry before the step.
#[derive(Debug, Clone, Copy)]
struct Before {
    id: u32,
    weight: i64,
    matched: i64,
}

/// An entry that goes out, so often, as matched or not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) id: u32,
    pub(super) weight: i64,
    pub(super) matched: bool,
}

impl Join {
    /// Notes an entry, which has had the weight `weight`, before it changes.
    pub(super) fn note_row(&mut self, side: usize, id: u32, weight: i64) {
        let changes = &mut self.step.rows[side];
        let rows = &mut self.rows[side];
        if rows.note(id) == 0 {
            changes.push(Before { id, weight, matched: rows.matched(id) });
            rows.set_note(id, changes.len() as u32);
        }
    }

    /// Notes a slot before it changes.
    pub(super) fn note_slot(&mut self, slot: u32) {
        let state = &mut self.slots[slot as usize];
        if state.note == 0 {
            self.step.slots.push((slot, state.weights));
            state.note = self.step.slots.len() as u32;
        }
    }

    /// For a NOT IN: counts the right side's rows and nulls, and finds the null key's slot.
    pub(super) fn note_nulls(&mut self, side: usize, keys: &[ArrayRef], part: &Part, slots: &[u32]) {
        self.step.right.get_or_insert(self.right);
        let Some(key) = keys.first() else { return };
        for (row, slot) in slots.iter().enumerate() {
            let null = key.is_null(row);
            if null {
                self.null_slot = Some(*slot);
            }
            if side == 1 {
                self.right[0] += part.weight(row);
                self.right[1] += if null { part.weight(row) } else { 0 };
            }
        }
    }

    /// Rows whose key equals nothing go out, or not, at once.
    pub(super) fn unmatchable(
        &mut self,
        side: usize,
        part: &Part,
        slots: &[u32],
        out: &mut dyn Emit,
    ) -> Result<()> {
        if !self.spec.gives_rows_of(side) || !slots.contains(&NO_SLOT) || self.shown(side, false).is_none() {
            return Ok(());
        }
        let rows: Vec<u32> =
            (0..).zip(slots).filter(|(_, slot)| **slot == NO_SLOT).map(|(row, _)| row).collect();
        let rows = part.some(&rows).delta()?;
        let batch = self.output(side, rows.batch.columns().to_vec(), rows.num_rows(), |_| false)?;
        out.emit(Delta::weighted(batch, rows.weights))?;
        Ok(())
    }

    /// Whether the entry is matched now.
    pub(super) fn is_matched(&self, side: usize, id: u32) -> bool {
        match self.matching {
            Matching::Row => self.rows[side].matched(id) > 0,
            Matching::Key => {
                let slot = self.rows[side].slot(id);
                let weights = self.slots[slot as usize].weights;
                self.matches_key(slot, weights[1 - side], self.right)
            }
        }
    }

    /// Whether a key is matched by `weight` rows of the other side; `right` as in [`Join::right`].
    fn matches_key(&self, slot: u32, weight: i64, right: [i64; 2]) -> bool {
        match self.spec.null_aware {
            false => weight > 0,
            // An IN that is not false: true or unknown.
            true => right[0] > 0 && (right[1] > 0 || weight > 0 || self.null_slot == Some(slot)),
        }
    }

    /// Whether a row of this side goes out when it is (not) matched, and as what.
    fn shown(&self, side: usize, matched: bool) -> Option<Shown> {
        match self.spec.join_type {
            JoinType::Inner => None,
            JoinType::Left | JoinType::Right | JoinType::Full => {
                (!matched).then_some(if side == 0 { Shown::PadRight } else { Shown::PadLeft })
            }
            JoinType::LeftSemi | JoinType::RightSemi => matched.then_some(Shown::Itself),
            JoinType::LeftAnti | JoinType::RightAnti => (!matched).then_some(Shown::Itself),
            JoinType::LeftMark | JoinType::RightMark => Some(Shown::Marked),
        }
    }

    /// With `hold`, a row that is matched goes out at once: that cannot change any more.
    pub(super) fn is_given_early(&self, matched: bool) -> bool {
        matched
    }

    /// Sends what the step has changed about rows, and forgets what was noted.
    pub(super) fn give_changes(&mut self, out: &mut dyn Emit) -> Result<()> {
        let changes = std::mem::take(&mut self.step);
        let right_before = changes.right.unwrap_or(self.right);
        let mut slots = changes.slots;
        if self.spec.null_aware && kind(right_before) != kind(self.right) {
            // The whole left side may change.
            let noted: Vec<u32> = self.keys.used().filter(|s| self.slots[*s as usize].note == 0).collect();
            slots.extend(noted.into_iter().map(|slot| (slot, self.slots[slot as usize].weights)));
        }
        for side in 0..2 {
            if !self.spec.gives_rows_of(side) {
                continue;
            }
            let mut given: Vec<Row> = Vec::new();
            let before = &changes.rows[side];
            for (slot, weights) in &slots {
                let was = self.matches_key(*slot, weights[1 - side], right_before);
                let is = self.matches_key(*slot, self.slots[*slot as usize].weights[1 - side], self.right);
                if was != is && self.matching == Matching::Key {
                    self.turn(side, *slot, (was, is), before, &mut given);
                }
            }
            for before in before {
                // Else its whole slot has turned, and it with it.
                if self.rows[side].note(before.id) == 0 {
                    continue;
                }
                self.rows[side].set_note(before.id, 0);
                let weight = self.rows[side].weight(before.id);
                let is = self.is_matched(side, before.id);
                let was = if self.matching == Matching::Row { before.matched > 0 } else { is };
                self.changed(before.id, (before.weight, was), (weight, is), &mut given);
            }
            self.give_rows(side, &given, out)?;
        }
        for (slot, _) in slots {
            self.slots[slot as usize].note = 0;
        }
        Ok(())
    }

    /// All rows of a slot have become matched, or have lost their matches.
    fn turn(
        &mut self,
        side: usize,
        slot: u32,
        (was, is): (bool, bool),
        before: &[Before],
        given: &mut Vec<Row>,
    ) {
        let mut id = self.rows[side].first(slot);
        while id != NO_ROW {
            let rows = &mut self.rows[side];
            let (next, weight, note) = (rows.next(id), rows.weight(id), rows.note(id));
            rows.set_note(id, 0);
            let old = match note {
                0 => weight,
                note => before[note as usize - 1].weight,
            };
            self.changed(id, (old, was), (weight, is), given);
            id = next;
        }
    }

    /// An entry was there so often, (not) matched, and is now.
    fn changed(&self, id: u32, before: (i64, bool), now: (i64, bool), given: &mut Vec<Row>) {
        let wanted = |matched: bool| !self.spec.hold || self.is_given_early(matched);
        if before.1 == now.1 {
            if before.0 != now.0 && wanted(now.1) {
                given.push(Row { id, weight: now.0 - before.0, matched: now.1 });
            }
            return;
        }
        for (weight, matched) in [(-before.0, before.1), now] {
            if weight != 0 && wanted(matched) {
                given.push(Row { id, weight, matched });
            }
        }
    }

    /// Sends entries of a side.
    pub(super) fn give_rows(&self, side: usize, rows: &[Row], out: &mut dyn Emit) -> Result<()> {
        let shown: Vec<Row> =
            rows.iter().filter(|r| self.shown(side, r.matched).is_some()).copied().collect();
        for rows in shown.chunks(BATCH_ROWS) {
            let columns = self.rows[side].decode(rows.iter().map(|r| r.id))?;
            let batch = self.output(side, columns, rows.len(), |i| rows[i].matched)?;
            let weighted = rows.iter().any(|r| r.weight != 1);
            let weights = weighted.then(|| rows.iter().map(|r| r.weight).collect::<Int64Array>());
            out.emit(Delta::weighted(batch, weights))?;
        }
        Ok(())
    }

    /// A side's rows as rows of the output.
    fn output(
        &self,
        side: usize,
        columns: Vec<ArrayRef>,
        rows: usize,
        matched: impl Fn(usize) -> bool,
    ) -> Result<RecordBatch> {
        let nulls = |side: usize| {
            let fields = self.spec.inputs[side].schema.fields().iter();
            fields.map(|f| new_null_array(f.data_type(), rows)).collect::<Vec<_>>()
        };
        let columns = match self.shown(side, false).or_else(|| self.shown(side, true)) {
            Some(Shown::PadRight) => [columns, nulls(1)].concat(),
            Some(Shown::PadLeft) => [nulls(0), columns].concat(),
            Some(Shown::Marked) => {
                let marks: BooleanArray = (0..rows).map(|i| Some(matched(i))).collect();
                [columns, vec![Arc::new(marks) as ArrayRef]].concat()
            }
            Some(Shown::Itself) | None => columns,
        };
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(self.spec.schema.clone(), columns, &options)?)
    }
}

/// How a row of one side goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// With nulls for the right side.
    PadRight,
    /// With nulls for the left side.
    PadLeft,
    Itself,
    /// With a column that tells whether it is matched.
    Marked,
}

/// What of a NOT IN's right side matters for all rows of the left: whether it has rows, whether it has nulls.
fn kind(right: [i64; 2]) -> (bool, bool) {
    (right[0] > 0, right[1] > 0)
}
