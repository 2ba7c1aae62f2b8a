//! The operator's state as tables, and back: a table a side, its rows by key with their weights and matches.

use super::{Join, Matching};
use crate::delta::Delta;
use crate::operators::{OperatorError, Result, StateTable};
use crate::state::key_table::NO_SLOT;
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Int64Type, Schema};
use std::sync::Arc;

/// The tables: keys `key<i>`, the rows' columns `column<i>` (none where only their number matters), their weight, and
/// how often rows of the other side match them; of a side that nothing bounds also when (ns) they came.
const TABLES: [&str; 2] = ["left", "right"];
const WEIGHT: &str = "weight";
const MATCHED: &str = "matched";
const CAME: &str = "came";

impl Join {
    /// The whole state.
    pub(super) fn save(&mut self) -> Result<Vec<StateTable>> {
        let mut tables = Vec::new();
        for (side, name) in TABLES.into_iter().enumerate() {
            let (slots, columns, weights, matched): (Vec<u32>, Vec<ArrayRef>, Int64Array, Int64Array) =
                if self.counts_only[side] {
                    let used = self.keys.used().filter(|s| self.slots[*s as usize].weights[side] != 0);
                    let slots: Vec<u32> = used.collect();
                    let weights = slots.iter().map(|s| self.slots[*s as usize].weights[side]).collect();
                    let matched = Int64Array::from_value(0, slots.len());
                    (slots, vec![], weights, matched)
                } else {
                    let rows = &self.rows[side];
                    let ids: Vec<u32> = rows.ids().collect();
                    let of = |column: fn(&crate::state::row_lists::RowEntry) -> i64| -> Int64Array {
                        ids.iter().map(|id| column(rows.get(*id))).collect()
                    };
                    let (weights, matched) = (of(|row| row.weight), of(|row| row.matched));
                    let slots = ids.iter().map(|id| rows.get(*id).slot).collect();
                    (slots, rows.decode(ids.iter().copied())?, weights, matched)
                };
            if slots.is_empty() {
                continue;
            }
            let keys = self.keys.columns(slots.iter().copied())?;
            // A NOT IN stands on one worker, whatever its key is.
            let key_columns = if self.spec.null_aware { 0 } else { keys.len() };
            let mut fields = Vec::new();
            for (i, key) in keys.iter().enumerate() {
                fields.push(Field::new(format!("key{i}"), key.data_type().clone(), true));
            }
            for (i, column) in columns.iter().enumerate() {
                fields.push(Field::new(format!("column{i}"), column.data_type().clone(), true));
            }
            let mut counts: Vec<ArrayRef> = vec![Arc::new(weights), Arc::new(matched)];
            if self.ages_of(side) {
                let rows = &self.rows[side];
                counts.push(Arc::new(rows.ids().map(|id| rows.get(id).until).collect::<Int64Array>()));
            }
            for (name, column) in [WEIGHT, MATCHED, CAME].into_iter().zip(&counts) {
                fields.push(Field::new(name, column.data_type().clone(), false));
            }
            let columns = keys.into_iter().chain(columns).chain(counts).collect();
            let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
            tables.push(StateTable { name: name.into(), batch, key_columns });
        }
        Ok(tables)
    }

    /// Takes state tables in.
    pub(super) fn load(&mut self, tables: Vec<StateTable>) -> Result<()> {
        let mut counted = true;
        for StateTable { name, batch, .. } in tables {
            let Some(side) = TABLES.iter().position(|table| *table == name) else {
                return Err(misfit(format!("no table {name}")));
            };
            counted &= self.load_side(side, &batch)?;
        }
        if !counted && self.matching == Matching::Row && self.spec.residual.is_none() {
            self.count_all();
        }
        Ok(())
    }

    /// Counts the matches of all rows, each pair of a key being one.
    pub(super) fn count_all(&mut self) {
        for side in 0..2 {
            let ids: Vec<u32> = self.rows[side].ids().collect();
            for id in ids {
                let entry = self.rows[side].get_mut(id);
                entry.matched = self.slots[entry.slot as usize].weights[1 - side];
            }
        }
    }

    /// Takes one side's table in; says whether it has all that is saved today.
    fn load_side(&mut self, side: usize, batch: &RecordBatch) -> Result<bool> {
        let keys = self.spec.inputs[side].keys.len();
        let fields = self.spec.inputs[side].schema.fields().len();
        let width = if self.counts_only[side] { 0 } else { fields };
        let wanted = keys + width + 2;
        let with_ages = self.spec.unbounded[side] && batch.num_columns() == wanted + 1;
        if with_ages && !self.aging {
            // Rows may have left whose matches are still counted.
            self.begin_ages();
        }
        if batch.num_columns() != wanted && !with_ages {
            return Err(misfit(format!("{} columns instead of {wanted}", batch.num_columns())));
        }
        let (keys, rest) = batch.columns().split_at(keys);
        let (columns, counts) = rest.split_at(width);
        let came = counts.get(2).and_then(|c| c.as_primitive_opt::<Int64Type>());
        let [weights, matched] = [&counts[0], &counts[1]].map(|c| c.as_primitive_opt::<Int64Type>());
        let (Some(weights), Some(matched)) = (weights, matched) else {
            return Err(misfit("weights are not integers".into()));
        };
        let rows = batch.num_rows();
        self.intern(keys, rows)?;
        let slots = std::mem::take(&mut self.scratch);
        self.note_windows(keys, &slots)?;
        if self.spec.null_aware {
            let counted = Delta::weighted(batch.clone(), Some(weights.clone()));
            self.note_nulls(side, keys, &counted, &slots);
        }
        for (i, slot) in slots.iter().enumerate() {
            if *slot == NO_SLOT {
                return Err(misfit("a row without a key".into()));
            }
            self.slots[*slot as usize].weights[side] += weights.value(i);
        }
        if !self.counts_only[side] {
            let options = RecordBatchOptions::new().with_row_count(Some(rows));
            let schema = self.spec.inputs[side].schema.clone();
            let own = RecordBatch::try_new_with_options(schema, columns.to_vec(), &options)?;
            let until = self.until(side, &Delta::insert(own))?;
            let encoded = self.rows[side].encode(columns, rows)?;
            for (i, slot) in slots.iter().enumerate() {
                let (id, _) = self.rows[side].entry(*slot, encoded.row(i));
                let entry = self.rows[side].get_mut(id);
                (entry.weight, entry.matched) = (weights.value(i), matched.value(i));
                self.slots[*slot as usize].entries[side] += 1;
                if let Some(came) = came {
                    entry.until = came.value(i);
                }
                if let Some(until) = &until {
                    entry.until = until[i];
                    self.due[side].entry(until[i]).or_default().push(id);
                }
            }
        }
        self.scratch = slots;
        self.step = super::presence::Changes::default();
        Ok(with_ages || !self.ages_of(side))
    }
}

fn misfit(reason: String) -> OperatorError {
    OperatorError::Restore { operator: "join", reason }
}
