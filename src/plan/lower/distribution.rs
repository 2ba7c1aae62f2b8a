//! Which worker has which rows: where an exchange must stand, and where rows that belong together are together already.
//!
//! Rows behind an exchange are at the worker that the hash of some columns names, and stay there through whatever passes these
//! columns on. A GROUP BY over such columns and others, a ranking of the rows of such columns, a join by just these needs no
//! exchange of its own ("interesting properties" of Selinger et al. 1979, as partitioning in Zhou et al., ICDE 2010).

use super::super::dataflow::{ExchangeSpec, Node, Spec};
use super::{Lowering, column};
use crate::operators::aggregate::AggregateSpec;
use arrow::datatypes::{DataType, Schema};
use datafusion::common::JoinType;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::collect_columns;
use std::sync::Arc;

type Keys = [Arc<dyn PhysicalExpr>];

/// The columns of a node's output whose hash, in this order, names the worker of a row. Several columns of one place are equal
/// in every row.
type Distribution = Vec<Vec<usize>>;

impl Lowering {
    /// Brings rows that are equal in `keys` together; without keys all to the first worker.
    pub(super) fn exchange(&mut self, input: usize, keys: &Keys) -> usize {
        let by = self.distribution(input).and_then(|there| places(&there, keys));
        let schema = &self.flow.nodes[input].schema;
        // Rows of hardly different times that are together are few at a time: better spread them by the other keys.
        let timed = |place: &usize| keys[*place].data_type(schema).is_ok_and(|t| is_time(&t));
        let spreads = |by: &Vec<usize>| {
            !by.iter().all(timed) || (0..keys.len()).all(|key| by.contains(&key) || timed(&key))
        };
        let spec = match by.filter(spreads) {
            Some(by) => ExchangeSpec { keys: keys.to_vec(), by, there: true, once: None },
            None => {
                ExchangeSpec { keys: keys.to_vec(), by: spread_by(keys, schema), there: false, once: None }
            }
        };
        self.exchanged(input, spec)
    }

    /// Brings the rows of two nodes together of which those of the first are equal in its keys to those of the other in its.
    pub(super) fn exchange_pair(&mut self, inputs: [usize; 2], keys: [&Keys; 2]) -> [usize; 2] {
        let all: Vec<usize> = (0..keys[0].len()).collect();
        let found = |side: usize| {
            let by = self.distribution(inputs[side]).and_then(|there| places(&there, keys[side]))?;
            // By some of the keys alone rows of the other side would come together that are nowhere near as many values.
            all.iter().all(|key| by.contains(key)).then_some(by)
        };
        let there = [found(0), found(1)];
        let by = there.iter().flatten().next().unwrap_or(&all).clone();
        [0, 1].map(|side| {
            let there = there[side].as_ref() == Some(&by);
            let (keys, by) = (keys[side].to_vec(), by.clone());
            self.exchanged(inputs[side], ExchangeSpec { keys, by, there, once: None })
        })
    }

    /// Spreads rows by all their columns, whatever has been before.
    pub(super) fn spread(&mut self, input: usize, columns: Vec<Arc<dyn PhysicalExpr>>) -> usize {
        let by = (0..columns.len()).collect();
        self.exchanged(input, ExchangeSpec { keys: columns, by, there: false, once: None })
    }

    /// Before an aggregate, brings the rows of its groups together; gives the aggregate as it is to be over them.
    pub(super) fn exchange_groups(&mut self, input: usize, spec: AggregateSpec) -> (usize, AggregateSpec) {
        let keys: Vec<Arc<dyn PhysicalExpr>> = spec.group.iter().map(|(key, _)| key.clone()).collect();
        let exchange = self.exchange(input, &keys);
        let node = &mut self.flow.nodes[exchange];
        let Spec::Exchange(ExchangeSpec { there: false, once, .. }) = &mut node.spec else {
            return (exchange, spec);
        };
        // What cannot be kept is told where the operator is made.
        let Ok(Some(over)) = spec.over_sent_once() else { return (exchange, spec) };
        *once = Some(Box::new(spec));
        node.schema = over.input_schema.clone();
        node.event_time =
            node.event_time.and_then(|time| keys.iter().position(|key| column(key) == Some(time)));
        (exchange, over)
    }

    fn exchanged(&mut self, input: usize, spec: ExchangeSpec) -> usize {
        let from = &self.flow.nodes[input];
        let node = Node {
            spec: Spec::Exchange(spec),
            inputs: vec![input],
            schema: from.schema.clone(),
            append_only: from.append_only,
            event_time: from.event_time,
            state: None,
        };
        self.flow.nodes.push(node);
        self.flow.nodes.len() - 1
    }

    /// By what the rows that a node gives are at their workers, if that is known.
    fn distribution(&self, node: usize) -> Option<Distribution> {
        let node = &self.flow.nodes[node];
        let of_input = |input: usize| self.distribution(*node.inputs.get(input)?);
        match &node.spec {
            Spec::Exchange(spec) if spec.there => of_input(0),
            Spec::Exchange(spec) if spec.by.is_empty() => None,
            Spec::Exchange(spec) if spec.once.is_some() => {
                Some(spec.by.iter().map(|key| vec![*key]).collect())
            }
            Spec::Exchange(spec) => spec.by.iter().map(|key| Some(vec![column(&spec.keys[*key])?])).collect(),
            // They pass their input's columns on as the first of theirs.
            Spec::Filter(_) | Spec::InTime(_) | Spec::Threshold(_) => of_input(0),
            Spec::Expand(_) | Spec::Session(_) | Spec::TopN(_) => of_input(0),
            // Where rows are combined, their time is another afterwards.
            Spec::Window(spec) => {
                let kept = |column: &usize| !spec.counted || *column != spec.time;
                renamed(of_input(0)?, |column| Some(*column).filter(kept).into_iter().collect())
            }
            Spec::Project(spec) => {
                let given = |from: &usize| {
                    let to = spec.expressions.iter().enumerate();
                    to.filter(|(_, e)| column(e) == Some(*from)).map(|(to, _)| to).collect::<Vec<usize>>()
                };
                renamed(of_input(0)?, given)
            }
            Spec::Upsert(spec) => renamed(of_input(0)?, |from| {
                let to = spec.columns.iter().enumerate();
                to.filter(|(_, column)| *column == from).map(|(to, _)| to).collect()
            }),
            // The keys are its first columns.
            Spec::Aggregate(_) => match &self.flow.nodes.get(*node.inputs.first()?)?.spec {
                Spec::Exchange(spec) if !spec.by.is_empty() => {
                    Some(spec.by.iter().map(|key| vec![*key]).collect())
                }
                _ => None,
            },
            Spec::Join(spec) => {
                let left = spec.inputs[0].schema.fields().len();
                let right = || renamed(of_input(1)?, |column| vec![left + column]);
                match spec.join_type {
                    JoinType::Inner => match (of_input(0), right()) {
                        (Some(left), Some(right)) => Some(together(left, right)),
                        (left, right) => left.or(right),
                    },
                    // Of the other side's columns there may be nulls, or none.
                    JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => {
                        of_input(0)
                    }
                    JoinType::Right => right(),
                    JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => of_input(1),
                    JoinType::Full => None,
                }
            }
            Spec::Union => {
                let mut all = (0..node.inputs.len()).map(of_input);
                let first = all.next()??;
                all.try_fold(first, |known, other| common(known, other?))
            }
            Spec::Source(_) | Spec::Values(_) | Spec::Unnest(_) | Spec::SingleRow => None,
        }
    }
}

/// Where each place of the distribution stands among the keys; nothing if one does not.
fn places(there: &Distribution, keys: &Keys) -> Option<Vec<usize>> {
    let place = |columns: &Vec<usize>| {
        keys.iter().position(|key| column(key).is_some_and(|column| columns.contains(&column)))
    };
    there.iter().map(place).collect()
}

/// The distribution under the columns' names behind a node; nothing if one has none.
fn renamed(there: Distribution, given: impl Fn(&usize) -> Vec<usize>) -> Option<Distribution> {
    let place = |columns: Vec<usize>| Some(columns.iter().flat_map(&given).collect::<Vec<usize>>());
    there.into_iter().map(place).map(|place| place.filter(|columns| !columns.is_empty())).collect()
}

/// Rows of two distributions, joined: the columns of a place are equal.
fn together(left: Distribution, right: Distribution) -> Distribution {
    left.into_iter().zip(right).map(|(left, right)| [left, right].concat()).collect()
}

/// What holds for the rows of either.
fn common(mut known: Distribution, other: Distribution) -> Option<Distribution> {
    if known.len() != other.len() {
        return None;
    }
    for (columns, other) in known.iter_mut().zip(&other) {
        columns.retain(|column| other.contains(column));
    }
    known.iter().all(|columns| !columns.is_empty()).then_some(known)
}

/// The keys that spread rows. Beside a whole number, which is most often an id, what is computed of times alone (the day) or of
/// nothing is left out: it costs more to compute and to hash than it spreads. Beside a text or a truth value, of which there may be
/// few, it counts: of rows that are years apart the hours spread what three states would not.
fn spread_by(keys: &Keys, schema: &Schema) -> Vec<usize> {
    let of_times = |key: &Arc<dyn PhysicalExpr>| {
        let mut columns = collect_columns(key).into_iter();
        column(key).is_none() && columns.all(|c| is_time(schema.field(c.index()).data_type()))
    };
    let others: Vec<usize> = (0..keys.len()).filter(|key| !of_times(&keys[*key])).collect();
    let is_number = |key: &usize| keys[*key].data_type(schema).is_ok_and(|t| t.is_integer());
    if others.iter().any(is_number) { others } else { (0..keys.len()).collect() }
}

fn is_time(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64)
}
