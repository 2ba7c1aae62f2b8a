//! `SELECT unnest(list)`, `unnest(struct)`
//!
//! | | |
//! |---|---|
//! | Law | linear: each element's row carries the weight and mark of its row |
//! | State | none |
//! | In / Out | append-only or changing, the same out |
//! | Watermark | passes |
//! | Cost | O(rows out) |
//!
//! The unnesting itself is DataFusion's: each delta runs through its operator with a row number
//! beside it, by which weights and marks find their rows again.

use super::shown::tidy;
use super::{Emit, Operator, OperatorError, Result};
use crate::delta::Delta;
use arrow::array::{AsArray, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type};
use datafusion::common::UnnestOptions;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::unnest::{ListUnnest, UnnestExec};
use futures::StreamExt;
use std::fmt;
use std::sync::Arc;

/// Turns lists into rows and structs into columns.
#[derive(Debug, Clone, PartialEq)]
pub struct UnnestSpec {
    /// The input's columns.
    pub input_schema: SchemaRef,
    /// List columns to unnest, with their depth.
    pub lists: Vec<(usize, usize)>,
    /// Struct columns to unnest.
    pub structs: Vec<usize>,
    /// How nulls and nested lists are treated.
    pub options: UnnestOptions,
    /// The output's columns.
    pub schema: SchemaRef,
}

impl fmt::Display for UnnestSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.lists.iter().map(|(i, _)| i).chain(&self.structs);
        let names: Vec<String> = columns.map(|i| tidy(self.input_schema.field(*i).name())).collect();
        write!(f, "Unnest {}", names.join(", "))
    }
}

/// The running operator.
pub struct Unnest {
    spec: UnnestSpec,
    /// Input and output with the row number as last column.
    numbered_input: SchemaRef,
    numbered_output: SchemaRef,
    context: Arc<TaskContext>,
}

impl Unnest {
    /// An unnesting by `spec`.
    pub fn new(spec: UnnestSpec) -> Self {
        let numbered = |schema: &SchemaRef| {
            let mut fields = schema.fields().to_vec();
            fields.push(Arc::new(Field::new("__row", DataType::UInt32, false)));
            Arc::new(Schema::new(fields))
        };
        Unnest {
            numbered_input: numbered(&spec.input_schema),
            numbered_output: numbered(&spec.schema),
            context: Arc::new(TaskContext::default()),
            spec,
        }
    }

    fn unnest(&self, batch: RecordBatch) -> Result<Vec<RecordBatch>> {
        let source = MemorySourceConfig::try_new_exec(&[vec![batch]], self.numbered_input.clone(), None)?;
        let lists = self
            .spec
            .lists
            .iter()
            .map(|(index, depth)| ListUnnest { index_in_input_schema: *index, depth: *depth })
            .collect();
        let exec = UnnestExec::new(
            source,
            lists,
            self.spec.structs.clone(),
            self.numbered_output.clone(),
            self.spec.options.clone(),
        )?;
        let stream = exec.execute(0, self.context.clone())?;
        let batches = futures::executor::block_on(stream.collect::<Vec<_>>());
        batches.into_iter().map(|b| b.map_err(OperatorError::from)).collect()
    }
}

impl Operator for Unnest {
    fn push(&mut self, _port: usize, delta: Delta, out: &mut dyn Emit) -> Result<()> {
        let mut columns = delta.batch.columns().to_vec();
        columns.push(Arc::new(UInt32Array::from_iter_values(0..delta.num_rows() as u32)));
        let numbered = RecordBatch::try_new(self.numbered_input.clone(), columns)?;
        for batch in self.unnest(numbered)? {
            let mut columns = batch.columns().to_vec();
            let Some(rows) = columns.pop() else { continue };
            let rows = rows.as_primitive::<UInt32Type>();
            let pick = |column: &Option<arrow::array::Int64Array>| match column {
                Some(c) => Ok(Some(take(c, rows, None)?.as_primitive().clone())),
                None => Ok::<_, OperatorError>(None),
            };
            out.emit(Delta {
                batch: RecordBatch::try_new(self.spec.schema.clone(), columns)?,
                weights: pick(&delta.weights)?,
                marks: pick(&delta.marks)?,
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delta::draw;
    use arrow::array::{ArrayRef, Int64Array, ListArray};
    use arrow::datatypes::Int64Type;

    #[test]
    fn elements_carry_the_weight_of_their_row() {
        let list = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
            Some(vec![Some(1), Some(2)]),
            Some(vec![]),
            None,
            Some(vec![Some(3)]),
        ]);
        let input_schema = Arc::new(Schema::new(vec![
            Field::new("k", DataType::Int64, true),
            Field::new("l", arrow::array::Array::data_type(&list).clone(), true),
        ]));
        let keys: ArrayRef = Arc::new(Int64Array::from(vec![10, 20, 30, 40]));
        let batch = RecordBatch::try_new(input_schema.clone(), vec![keys, Arc::new(list)]).unwrap();
        let schema = Arc::new(Schema::new(vec![
            Field::new("k", DataType::Int64, true),
            Field::new("l", DataType::Int64, true),
        ]));
        let mut unnest = Unnest::new(UnnestSpec {
            input_schema,
            lists: vec![(1, 1)],
            structs: vec![],
            options: UnnestOptions::default(),
            schema,
        });
        let mut out = Vec::new();
        let delta = Delta::weighted(batch, Some(Int64Array::from(vec![-1, 1, 1, 2])));
        unnest.push(0, delta, &mut out).unwrap();
        let drawn = draw(&out);
        assert!(drawn.starts_with("- 10 1\n- 10 2\n"), "{drawn}");
        assert!(drawn.ends_with("+2 40 3\n"), "{drawn}");
    }
}
