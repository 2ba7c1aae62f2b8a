//! The operator's state as a table, and back: where sessions begin and end follows from the rows.

use super::timeline::Rows;
use super::{Result, SessionWindow};
use crate::operators::{OperatorError, StateChange, StateTable, TableChange};
use crate::state::zero::one_zero;
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{Field, Int64Type, Schema};
use std::sync::Arc;

/// The table: the keys `key<i>`, by which rows are spread over workers, the rows' columns `column<i>`, the weight.
const ROWS: &str = "rows";
const WEIGHT: &str = "weight";

impl SessionWindow {
    /// The whole state.
    pub(super) fn save(&mut self) -> Result<Vec<StateTable>> {
        if self.size.rows == 0 {
            return Ok(Vec::new());
        }
        let all: Vec<&Rows> = self.timelines.iter().map(|timeline| timeline.rows()).collect();
        Ok(vec![self.state_table(&all)?])
    }

    /// What has changed since this was last called; the whole state the first time, and where there are no keys.
    pub(super) fn save_changes(&mut self) -> Result<StateChange> {
        let key_columns = self.spec.keys.len();
        let Some(mut changed) = self.unsaved.replace(Vec::new()).filter(|_| key_columns > 0) else {
            self.timelines.iter_mut().for_each(|timeline| timeline.saved = true);
            return Ok(StateChange::Whole(self.save()?));
        };
        // Those that have become other keys' are noted again where these have changed.
        changed.retain(|slot| std::mem::take(&mut self.timelines[*slot as usize].unsaved));
        changed.iter().for_each(|slot| self.timelines[*slot as usize].saved = true);
        let rows = match changed.is_empty() {
            true => None,
            false => {
                let all: Vec<&Rows> =
                    changed.iter().map(|slot| self.timelines[*slot as usize].rows()).collect();
                Some(self.state_table(&all)?.batch)
            }
        };
        let (gone, gone_rows) = self.keys.take_removed()?;
        let mut removed = None;
        if gone_rows > 0 {
            let gone = gone.into_iter().enumerate();
            let named = gone.map(|(i, column)| (format!("key{i}"), column, true));
            removed = Some(RecordBatch::try_from_iter_with_nullable(named)?);
        }
        Ok(StateChange::Some(match (&rows, &removed) {
            (None, None) => vec![],
            _ => vec![TableChange { name: ROWS.into(), key_columns, rows, kept: None, removed, added: None }],
        }))
    }

    /// Takes note that the rows of a slot have changed.
    pub(super) fn note_unsaved(&mut self, slot: u32) {
        let Some(unsaved) = &mut self.unsaved else { return };
        if !std::mem::replace(&mut self.timelines[slot as usize].unsaved, true) {
            unsaved.push(slot);
        }
    }

    /// Timelines as the table.
    pub(super) fn state_table(&self, timelines: &[&Rows]) -> Result<StateTable> {
        let all = || timelines.iter().copied().flatten();
        let columns = self.codec.decode(all().map(|(place, _)| place.1.as_ref()))?;
        let weights: ArrayRef = Arc::new(Int64Array::from_iter_values(all().map(|(_, weight)| *weight)));
        let keys = self.spec.keys.iter().enumerate();
        let keys = keys.map(|(i, key)| (format!("key{i}"), one_zero(columns[*key].clone())));
        let named = columns.iter().enumerate().map(|(i, column)| (format!("column{i}"), column.clone()));
        let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = keys
            .chain(named)
            .chain([(WEIGHT.to_string(), weights)])
            .map(|(name, column)| (Field::new(name, column.data_type().clone(), true), column))
            .unzip();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
        Ok(StateTable { name: ROWS.into(), batch, key_columns: self.spec.keys.len() })
    }

    /// Takes rows in that the checkpoint has.
    pub(super) fn load(&mut self, tables: Vec<StateTable>) -> Result<()> {
        for StateTable { name, batch, key_columns } in tables {
            let expected = self.spec.keys.len() + self.width() + 1;
            if name != ROWS || key_columns != self.spec.keys.len() || batch.num_columns() != expected {
                return Err(misfit(format!("table {name} is not that of the query's sessions")));
            }
            let columns = &batch.columns()[key_columns..expected - 1];
            for (column, field) in columns.iter().zip(self.spec.schema.fields()) {
                if column.data_type() != field.data_type() {
                    return Err(misfit(format!("column {} has another type", field.name())));
                }
            }
            let Some(weights) = batch.column(expected - 1).as_primitive_opt::<Int64Type>() else {
                return Err(misfit("weights are not integers".into()));
            };
            if columns[self.spec.time].null_count() > 0 {
                return Err(misfit("a row has no time".into()));
            }
            for (slot, _) in self.absorb(columns, Some(weights))? {
                self.timelines[slot as usize].saved = true;
            }
        }
        Ok(())
    }
}

fn misfit(reason: String) -> OperatorError {
    OperatorError::Restore { operator: "Session", reason }
}
