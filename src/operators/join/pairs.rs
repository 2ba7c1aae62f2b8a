//! The pairs of a delta's rows with the rows that the other side has, and the delta's rows put beside them.

use super::{BATCH_ROWS, Join, Matching};
use crate::delta::Delta;
use crate::operators::{Emit, Result};
use crate::state::key_table::NO_SLOT;
use crate::state::row_lists::NO_ROW;
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array,
};
use arrow::compute::{filter_record_batch, prep_null_mask_filter, take};
use arrow::datatypes::{Schema, SchemaRef};
use std::sync::Arc;

/// Pairs that wait to be made: rows of the delta and entries of the other side.
#[derive(Default)]
struct Waiting {
    rows: Vec<u32>,
    others: Vec<u32>,
}

impl Join {
    /// Sends the pairs of a side's rows with what the other side has. Where rows count their own matches, gives
    /// the number of matches of each row, and counts them at the other side's entries.
    pub(super) fn pairs(
        &mut self,
        side: usize,
        delta: &Delta,
        slots: &[u32],
        out: &mut dyn Emit,
    ) -> Result<Option<Vec<i64>>> {
        let counting = self.matching == Matching::Row;
        let mut matches = counting.then(|| vec![0; slots.len()]);
        if !self.spec.gives_pairs() && !counting {
            return Ok(None);
        }
        let mut waiting = Waiting::default();
        for (row, slot) in slots.iter().enumerate().filter(|(_, slot)| **slot != NO_SLOT) {
            let mut other = self.rows[1 - side].first(*slot);
            while other != NO_ROW {
                let entry = self.rows[1 - side].get(other);
                let next = entry.next;
                waiting.rows.push(row as u32);
                waiting.others.push(other);
                if waiting.rows.len() == BATCH_ROWS {
                    self.make(side, delta, &mut waiting, matches.as_deref_mut(), out)?;
                }
                other = next;
            }
        }
        self.make(side, delta, &mut waiting, matches.as_deref_mut(), out)?;
        Ok(matches)
    }

    /// Makes the pairs that wait, asks the residual, counts matches, and sends the pairs if they are wanted.
    fn make(
        &mut self,
        side: usize,
        delta: &Delta,
        waiting: &mut Waiting,
        matches: Option<&mut [i64]>,
        out: &mut dyn Emit,
    ) -> Result<()> {
        let Waiting { rows, others } = std::mem::take(waiting);
        if rows.is_empty() {
            return Ok(());
        }
        let mut weights: Vec<i64> = rows
            .iter()
            .zip(&others)
            .map(|(row, other)| delta.weight(*row as usize) * self.rows[1 - side].get(*other).weight)
            .collect();
        let batch = self.pair_batch(side, delta, &rows, &others)?;
        // Entries that have come to nothing in this step wait to be removed.
        let mut mask: Option<BooleanArray> =
            weights.contains(&0).then(|| weights.iter().map(|w| Some(*w != 0)).collect());
        let holds = match &self.spec.residual {
            Some(residual) => {
                let value = residual.evaluate(&batch)?.into_array(batch.num_rows())?;
                let value = value.as_boolean();
                Some(if value.null_count() > 0 { prep_null_mask_filter(value) } else { value.clone() })
            }
            None => None,
        };
        if let Some(matches) = matches {
            match &holds {
                Some(holds) => {
                    let held = holds.values().set_indices();
                    self.count(side, delta, &rows, &others, held, matches);
                }
                None => self.count(side, delta, &rows, &others, 0..rows.len(), matches),
            }
        }
        mask = match (mask, holds) {
            (Some(mask), Some(holds)) => Some(arrow::compute::and(&mask, &holds)?),
            (mask, holds) => mask.or(holds),
        };
        if !self.spec.gives_pairs() {
            return Ok(());
        }
        let batch = match &mask {
            Some(mask) => {
                let mut kept = mask.values().iter();
                weights.retain(|_| kept.next().unwrap_or(false));
                filter_record_batch(&batch, mask)?
            }
            None => batch,
        };
        if batch.num_rows() > 0 {
            let batch = RecordBatch::try_new_with_options(
                self.spec.schema.clone(),
                batch.columns().to_vec(),
                &RecordBatchOptions::new().with_row_count(Some(batch.num_rows())),
            )?;
            let weights = weights.iter().any(|w| *w != 1).then(|| Int64Array::from(weights));
            out.emit(Delta::weighted(batch, weights))?;
        }
        Ok(())
    }

    /// Counts matches, the pairs `held`, at the delta's rows and at the other side's entries.
    fn count(
        &mut self,
        side: usize,
        delta: &Delta,
        rows: &[u32],
        others: &[u32],
        held: impl Iterator<Item = usize>,
        matches: &mut [i64],
    ) {
        let noted = self.spec.gives_rows_of(1 - side);
        for i in held {
            let (row, other) = (rows[i] as usize, others[i]);
            matches[row] += self.rows[1 - side].get(other).weight;
            if noted {
                self.note_row(1 - side, other);
                self.rows[1 - side].get_mut(other).matched += delta.weight(row);
            }
        }
    }

    /// The columns of pairs, left before right.
    fn pair_batch(&self, side: usize, delta: &Delta, rows: &[u32], others: &[u32]) -> Result<RecordBatch> {
        let indices = UInt32Array::from(rows.to_vec());
        let own: Vec<ArrayRef> =
            delta.batch.columns().iter().map(|c| take(c, &indices, None)).collect::<Result<_, _>>()?;
        let other = self.rows[1 - side].decode(others.iter().copied())?;
        let columns = if side == 0 { [own, other].concat() } else { [other, own].concat() };
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(RecordBatch::try_new_with_options(self.pair_schema(), columns, &options)?)
    }

    /// The left columns and the right ones; any may be null.
    fn pair_schema(&self) -> SchemaRef {
        let fields = self.spec.inputs.iter().flat_map(|input| input.schema.fields().iter());
        Arc::new(Schema::new(fields.map(|f| f.as_ref().clone().with_nullable(true)).collect::<Vec<_>>()))
    }

    /// Makes a side's rows part of it.
    pub(super) fn take_in(
        &mut self,
        side: usize,
        delta: &Delta,
        slots: &[u32],
        matches: Option<&[i64]>,
    ) -> Result<()> {
        let noting = self.spec.gives_rows_of(side) || self.spec.gives_rows_of(1 - side);
        let until = self.until(side, delta)?;
        let encoded = match self.counts_only[side] {
            true => None,
            false => Some(self.rows[side].encode(delta.batch.columns(), delta.num_rows())?),
        };
        for (row, slot) in slots.iter().enumerate().filter(|(_, slot)| **slot != NO_SLOT) {
            let weight = delta.weight(row);
            if noting && self.matching == Matching::Key {
                self.note_slot(*slot);
            }
            self.slots[*slot as usize].weights[side] += weight;
            let Some(encoded) = &encoded else {
                if self.slots[*slot as usize].weights[side] == 0 {
                    self.empty.push(*slot);
                }
                continue;
            };
            let (id, new) = self.rows[side].entry(*slot, encoded.row(row));
            if self.spec.gives_rows_of(side) {
                self.note_row(side, id);
            }
            let entry = self.rows[side].get_mut(id);
            entry.weight += weight;
            if entry.weight == 0 {
                self.dead[side].push(id);
            }
            if self.ages_of(side) && (new || weight > 0) {
                self.ages.note(side, &mut self.rows[side], id);
            }
            if !new {
                continue;
            }
            let entry = self.rows[side].get_mut(id);
            entry.matched = matches.map_or(0, |m| m[row]);
            self.slots[*slot as usize].entries[side] += 1;
            if let Some(until) = &until {
                entry.until = until[row];
                self.due[side].entry(until[row]).or_default().push(id);
            }
        }
        Ok(())
    }
}
