//! Rows for a checkpoint that stay where an operator keeps them until they are written.
//!
//! To put a million rows together takes a worker a tenth of a second, in which nothing else is done; who writes them does it
//! beside the steps, some thousand rows at a time.

use super::Result;
use crate::state::columns::Held;
use arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{take, take_arrays};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use std::sync::Arc;

/// A column of whole numbers beside rows.
#[derive(Debug, Clone)]
pub enum Beside {
    /// All rows have this one.
    Same(i64),
    /// Each row has its own.
    Each(Int64Array),
}

impl FromIterator<i64> for Beside {
    fn from_iter<I: IntoIterator<Item = i64>>(values: I) -> Self {
        let mut values = values.into_iter();
        let Some(first) = values.next() else { return Beside::Same(0) };
        let mut same = 1;
        let other = loop {
            match values.next() {
                Some(value) if value == first => same += 1,
                other => break other,
            }
        };
        let Some(other) = other else { return Beside::Same(first) };
        let each: Vec<i64> = std::iter::repeat_n(first, same).chain([other]).chain(values).collect();
        Beside::Each(each.into())
    }
}

impl Beside {
    fn take(&self, rows: &UInt32Array) -> std::result::Result<ArrayRef, ArrowError> {
        match self {
            Beside::Same(value) => Ok(Arc::new(Int64Array::from_value(*value, rows.len()))),
            Beside::Each(values) => take(values, rows, None),
        }
    }

    /// As the column of so many rows.
    pub fn column(&self, rows: usize) -> ArrayRef {
        match self {
            Beside::Same(value) => Arc::new(Int64Array::from_value(*value, rows)),
            Beside::Each(values) => Arc::new(values.clone()),
        }
    }
}

/// The rows: columns that are there, such as the key, then those that are still kept, then numbers beside them.
#[derive(Debug, Clone)]
pub struct KeptRows {
    schema: SchemaRef,
    before: Vec<ArrayRef>,
    kept: Held,
    behind: Vec<Beside>,
    rows: usize,
}

impl KeptRows {
    /// `rows` rows under the names of `fields`; those of `kept` are the same in the same order. Errors: the fields do not fit.
    pub fn new(
        fields: Vec<Field>,
        before: Vec<ArrayRef>,
        kept: Held,
        behind: Vec<Beside>,
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

    /// The numbers of all of them, those that lie near each other together.
    pub fn as_they_lie(&self) -> Vec<u32> {
        self.kept.as_they_lie().unwrap_or_else(|| (0..self.rows as u32).collect())
    }

    /// Some of the rows, in their order as given.
    pub fn take(&self, rows: &[u32]) -> std::result::Result<RecordBatch, ArrowError> {
        let indices = UInt32Array::from(rows.to_vec());
        let mut columns = take_arrays(&self.before, &indices, None)?;
        columns.extend(self.kept.take(rows)?);
        for beside in &self.behind {
            columns.push(beside.take(&indices)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
    }

    /// All of them.
    pub fn batch(&self) -> std::result::Result<RecordBatch, ArrowError> {
        self.take(&(0..self.rows as u32).collect::<Vec<_>>())
    }
}

/// Rows that are there.
impl From<RecordBatch> for KeptRows {
    fn from(batch: RecordBatch) -> Self {
        let (schema, before, rows) = batch.into_parts();
        KeptRows { schema, before, kept: Held::default(), behind: vec![], rows }
    }
}
