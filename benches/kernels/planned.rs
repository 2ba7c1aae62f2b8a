//! Operators as the planner makes them of a query over bids and offers, two streams with the same columns.

use crate::data::{Result, bid_schema};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use millstream::catalog::{Column, Definitions, EventTimeDef, StreamDef};
use millstream::operators::aggregate::{AggregateSpec, EmitMode};
use millstream::operators::join::JoinSpec;
use millstream::operators::top_n::TopNSpec;
use millstream::plan::{Planner, Spec};
use millstream::sql::{Statement, parse_all};
use std::sync::Arc;

/// The operators of a query.
fn specs(query: &str) -> Result<Vec<Spec>> {
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
    let flow = planner.dataflow(&plan, EmitMode::Changes).map_err(|d| d.message)?;
    Ok(flow.nodes.into_iter().map(|node| node.spec).collect())
}

/// A GROUP BY over the bids.
pub(crate) fn aggregate_spec(query: &str) -> Result<AggregateSpec> {
    let mut specs = specs(query)?.into_iter().filter_map(|spec| match spec {
        Spec::Aggregate(spec) => Some(spec),
        _ => None,
    });
    specs.next().ok_or_else(|| "no aggregate".into())
}

/// A ranking of the bids.
pub(crate) fn top_n_spec(query: &str) -> Result<TopNSpec> {
    let specs = specs(query)?.into_iter().filter_map(|spec| match spec {
        Spec::TopN(spec) => Some(spec),
        _ => None,
    });
    // The first ones are those on each worker.
    specs.last().ok_or_else(|| "no ranking".into())
}

/// A join of the bids with the offers.
pub(crate) fn join_spec(query: &str) -> Result<JoinSpec> {
    let mut specs = specs(query)?.into_iter().filter_map(|spec| match spec {
        Spec::Join(spec) => Some(*spec),
        _ => None,
    });
    specs.next().ok_or_else(|| "no join".into())
}

/// The columns of a batch that an operator wants.
pub(crate) fn with_columns(batch: &RecordBatch, wanted: &SchemaRef) -> Result<RecordBatch> {
    let columns = wanted.fields().iter().map(|f| batch.column_by_name(f.name()).cloned());
    let columns: Option<Vec<ArrayRef>> = columns.collect();
    Ok(RecordBatch::try_new(wanted.clone(), columns.ok_or("an operator wants other columns")?)?)
}
