//! `(SELECT …)` as a value, where nothing in the subquery says that it has one row
//!
//! | | |
//! |---|---|
//! | Law | the identity on a relation of at most one row; on any other it fails |
//! | State | how many rows there are now |
//! | In / Out | append-only or changing, the same out |
//! | Watermark | passes |
//! | Cost | O(delta) |
//!
//! Rows are counted at the end of a step: within it a row may come before the one goes that it replaces.

use super::{Emit, Operator, OperatorError, OperatorMetrics, Result, StateTable};
use crate::delta::{Delta, EventTime};
use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::compute::sum;
use arrow::datatypes::Int64Type;
use std::sync::Arc;

const TABLE: &str = "rows";

/// The running operator. All rows come to one worker.
#[derive(Debug, Default)]
pub struct SingleRow {
    rows: i64,
}

impl Operator for SingleRow {
    fn push(&mut self, _port: usize, delta: Delta, out: &mut dyn Emit) -> Result<()> {
        self.rows += match &delta.weights {
            Some(weights) => sum(weights).unwrap_or(0),
            None => delta.num_rows() as i64,
        };
        out.emit(delta)?;
        Ok(())
    }

    fn finish_step(&mut self, watermark: EventTime, _out: &mut dyn Emit) -> Result<EventTime> {
        if self.rows > 1 { Err(OperatorError::ManyRows) } else { Ok(watermark) }
    }

    fn snapshot(&mut self) -> Result<Vec<StateTable>> {
        if self.rows == 0 {
            return Ok(Vec::new());
        }
        let rows: ArrayRef = Arc::new(Int64Array::from(vec![self.rows]));
        let batch = RecordBatch::try_from_iter([("rows", rows)])?;
        Ok(vec![StateTable { name: TABLE.into(), batch, key_columns: 0 }])
    }

    fn restore(&mut self, tables: Vec<StateTable>) -> Result<()> {
        let wrong = |reason: &str| OperatorError::Restore { operator: "SingleRow", reason: reason.into() };
        for table in tables {
            if table.name != TABLE || table.batch.num_columns() != 1 {
                return Err(wrong("not a count of rows"));
            }
            let counts = table.batch.column(0).as_primitive_opt::<Int64Type>();
            let counts = counts.ok_or_else(|| wrong("the count is not a number"))?;
            self.rows += sum(counts).unwrap_or(0);
        }
        Ok(())
    }

    fn metrics(&self) -> OperatorMetrics {
        OperatorMetrics { state_rows: u64::from(self.rows != 0), ..Default::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delta::{WATERMARK_NONE, draw, drawn};
    use arrow::datatypes::{DataType, Field, Schema};

    fn step(operator: &mut SingleRow, drawing: &str) -> Result<String> {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        let mut out = Vec::new();
        operator.push(0, drawn(&schema, drawing), &mut out)?;
        operator.finish_step(WATERMARK_NONE, &mut out)?;
        Ok(draw(&out))
    }

    #[test]
    fn one_row_passes_and_may_be_replaced_within_a_step() {
        let mut operator = SingleRow::default();
        assert_eq!(step(&mut operator, "+ 1").unwrap(), "+ 1\n");
        assert_eq!(step(&mut operator, "+ 2\n- 1").unwrap(), "+ 2\n- 1\n");
        step(&mut operator, "- 2").unwrap();
        assert!(operator.snapshot().unwrap().is_empty());
        step(&mut operator, "+ 3").unwrap();
        let error = step(&mut operator, "+ 3").unwrap_err();
        assert_eq!(error.to_string(), "more than one row returned by a subquery used as an expression");
    }

    #[test]
    fn the_count_outlives_a_checkpoint() {
        let mut operator = SingleRow::default();
        step(&mut operator, "+ 1").unwrap();
        let mut restored = SingleRow::default();
        restored.restore(operator.snapshot().unwrap()).unwrap();
        step(&mut restored, "- 1\n+ 5").unwrap();
        assert!(step(&mut restored, "+ 6").is_err());
    }
}
