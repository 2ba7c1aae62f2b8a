//! A table's upserts, all of keys that it has. State: a row a key.

use super::{Case, Step, Table, fill, measure, step};
use crate::data::{Result, bid_schema, bids, bids_each};
use arrow::array::{BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use criterion::Criterion;
use millstream::delta::Delta;
use millstream::operators::upsert::{Upsert, UpsertSpec};
use std::sync::Arc;

pub(super) fn upserts(c: &mut Criterion, table: &mut Table) -> Result<()> {
    let mut fields: Vec<Field> = bid_schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    fields.push(Field::new("_deleted", DataType::Boolean, false));
    let spec = UpsertSpec {
        table: "bids".into(),
        input_schema: Arc::new(Schema::new(fields)),
        keys: vec![0],
        deleted: 3,
        columns: vec![0, 1, 2],
        schema: bid_schema(),
    };
    let upserts = |bids: RecordBatch| -> Result<Step> {
        let mut columns = bids.columns().to_vec();
        columns.push(Arc::new(BooleanArray::from(vec![false; bids.num_rows()])));
        Ok(step(Delta::insert(RecordBatch::try_new(spec.input_schema.clone(), columns)?)))
    };
    let filled =
        |state: usize| fill(Upsert::new(spec.clone())?, state, |rows, from| upserts(bids_each(rows, from)?));
    let case = Case {
        name: "upsert",
        filled: &filled,
        round: &|at| Ok(vec![upserts(bids(at.rows, at.state as u64, at.from)?)?]),
    };
    measure(c, table, &case)
}
