//! The operator's state as a table, and back: where sessions begin and end follows from the rows.

use super::{Result, SessionWindow};
use crate::operators::{OperatorError, StateTable};
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{Field, Int64Type, Schema};
use std::sync::Arc;

/// The table: the keys `key<i>`, by which rows are spread over workers, the rows' columns `column<i>`, the weight.
const ROWS: &str = "rows";
const WEIGHT: &str = "weight";

impl SessionWindow {
    pub(super) fn save(&mut self) -> Result<Vec<StateTable>> {
        if self.size.rows == 0 {
            return Ok(Vec::new());
        }
        let all = || self.timelines.iter().flat_map(|timeline| timeline.rows());
        let columns = self.codec.decode(all().map(|(place, _)| place.1.as_ref()))?;
        let weights: ArrayRef = Arc::new(Int64Array::from_iter_values(all().map(|(_, weight)| *weight)));
        let keys = self.spec.keys.iter().enumerate();
        let keys = keys.map(|(i, key)| (format!("key{i}"), columns[*key].clone()));
        let named = columns.iter().enumerate().map(|(i, column)| (format!("column{i}"), column.clone()));
        let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = keys
            .chain(named)
            .chain([(WEIGHT.to_string(), weights)])
            .map(|(name, column)| (Field::new(name, column.data_type().clone(), true), column))
            .unzip();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
        Ok(vec![StateTable { name: ROWS.into(), batch, key_columns: self.spec.keys.len() }])
    }

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
            self.absorb(columns, Some(weights))?;
        }
        Ok(())
    }
}

fn misfit(reason: String) -> OperatorError {
    OperatorError::Restore { operator: "Session", reason }
}
