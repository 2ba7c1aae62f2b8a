//! Rows for a checkpoint that stay where an operator keeps them until they are written.
//!
//! To put a million rows together takes a worker a tenth of a second, in which nothing else is done; who writes them does it
//! beside the steps, some thousand rows at a time.

use super::Result;
use crate::state::columns::Held;
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::take_arrays;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use std::sync::Arc;

/// The rows: columns that are there, such as the key, then those that are still kept, then others that are there.
#[derive(Debug, Clone)]
pub struct KeptRows {
    schema: SchemaRef,
    before: Vec<ArrayRef>,
    kept: Held,
    behind: Vec<ArrayRef>,
    rows: usize,
}

impl KeptRows {
    /// `rows` rows under the names of `fields`; those of `kept` are the same in the same order. Errors: the fields do not fit.
    pub fn new(
        fields: Vec<Field>,
        before: Vec<ArrayRef>,
        kept: Held,
        behind: Vec<ArrayRef>,
        rows: usize,
    ) -> Result<Self> {
        let made = KeptRows { schema: Arc::new(Schema::new(fields)), before, kept, behind, rows };
        // Whatever does not fit shows here, and not when it is written.
        made.take(&[])?;
        Ok(made)
    }

    /// Their columns' names and types.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// How many there are.
    pub fn num_rows(&self) -> usize {
        self.rows
    }

    /// The first columns: at least the key.
    pub fn keys(&self) -> &[ArrayRef] {
        &self.before
    }

    /// Some of the rows, in their order as given.
    pub fn take(&self, rows: &[u32]) -> std::result::Result<RecordBatch, ArrowError> {
        let indices = UInt32Array::from(rows.to_vec());
        let mut columns = take_arrays(&self.before, &indices, None)?;
        columns.extend(self.kept.take(rows)?);
        columns.extend(take_arrays(&self.behind, &indices, None)?);
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
    }

    /// All of them.
    pub fn batch(&self) -> std::result::Result<RecordBatch, ArrowError> {
        self.take(&(0..self.rows as u32).collect::<Vec<_>>())
    }
}

#[cfg(test)]
impl From<RecordBatch> for KeptRows {
    fn from(batch: RecordBatch) -> Self {
        let (schema, columns, rows) = batch.into_parts();
        KeptRows { schema, before: columns, kept: Held::of(vec![], rows), behind: vec![], rows }
    }
}
