//! Queries over bids and offers, two streams with the same columns, as the planner makes dataflows of them.

use crate::data::{Result, bid_schema};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use millstream::catalog::{Column, Definitions, EventTimeDef, StreamDef};
use millstream::plan::{Dataflow, EmitMode, Planner};
use millstream::sql::{Statement, parse_all};
use std::sync::Arc;

/// The dataflow of a query without an EMIT clause, or with one that says the same as `mode`.
pub(crate) fn flow(query: &str, mode: EmitMode) -> Result<Dataflow> {
    let schema = bid_schema();
    let columns = schema.fields().iter().map(|f| Column {
        name: f.name().clone(),
        data_type: f.data_type().clone(),
        nullable: true,
    });
    let columns: Vec<Column> = columns.collect();
    let stream = |name: &str| StreamDef {
        name: name.into(),
        columns: columns.clone(),
        event_time: Some(EventTimeDef { column: "ts".into(), delay: Some(0) }),
        connector: "topic".into(),
        options: Vec::new(),
        query: None,
        primary_key: None,
    };
    let mut definitions = Definitions::default();
    for name in ["bids", "offers"] {
        definitions.streams.insert(name.into(), Arc::new(stream(name)));
    }
    let (statements, _) = parse_all(query);
    let Some(Statement::Query(parsed)) = statements.first().map(|s| &s.statement) else {
        return Err("not a query".into());
    };
    let planner = Planner::new();
    let plan = planner.query(&definitions, query, &parsed.query).map_err(|d| d.message)?;
    let plan = planner.optimize(plan).map_err(|d| d.message)?;
    Ok(planner.dataflow(&plan, mode).map_err(|d| d.message)?)
}

/// The columns of a batch that an operator wants.
pub(crate) fn with_columns(batch: &RecordBatch, wanted: &SchemaRef) -> Result<RecordBatch> {
    let columns = wanted.fields().iter().map(|f| batch.column_by_name(f.name()).cloned());
    let columns: Option<Vec<ArrayRef>> = columns.collect();
    Ok(RecordBatch::try_new(wanted.clone(), columns.ok_or("an operator wants other columns")?)?)
}
