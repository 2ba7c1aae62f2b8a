//! Operators as the planner makes them of a query over bids and offers.

use crate::data::Result;
use crate::flows::flow;
use millstream::operators::aggregate::{AggregateSpec, EmitMode};
use millstream::operators::join::JoinSpec;
use millstream::operators::top_n::TopNSpec;
use millstream::plan::Spec;

/// The operators of a query.
fn specs(query: &str) -> Result<Vec<Spec>> {
    Ok(flow(query, EmitMode::Changes)?.nodes.into_iter().map(|node| node.spec).collect())
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
