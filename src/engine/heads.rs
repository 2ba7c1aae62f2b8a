//! The heads of a result's columns as people read them.

use crate::sql::{EmitQuery, headings};
use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use std::sync::Arc;

/// The heads of a result, if they are others than the planner's names.
#[derive(Clone)]
pub(super) struct Heads(Option<SchemaRef>);

impl Heads {
    /// Those of the result of `query`, a part of `source`, which the planner has given the columns of `schema`.
    pub(super) fn of(source: &str, query: &EmitQuery, schema: &SchemaRef) -> Self {
        let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        let heads = headings(source, &query.span, &names);
        if heads.iter().zip(&names).all(|(head, name)| head == name) {
            return Heads(None);
        }
        let fields = schema.fields().iter().zip(heads).map(|(f, head)| Field::clone(f).with_name(head));
        Heads(Some(Arc::new(Schema::new(fields.collect::<Vec<_>>()))))
    }

    /// None but the planner's.
    pub(super) fn planned() -> Self {
        Heads(None)
    }

    pub(super) fn schema(&self, planned: &SchemaRef) -> SchemaRef {
        self.0.as_ref().unwrap_or(planned).clone()
    }

    /// Rows under these heads.
    pub(super) fn over(&self, rows: RecordBatch) -> Result<RecordBatch, ArrowError> {
        match &self.0 {
            None => Ok(rows),
            Some(schema) => {
                let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
                RecordBatch::try_new_with_options(schema.clone(), rows.columns().to_vec(), &options)
            }
        }
    }
}
