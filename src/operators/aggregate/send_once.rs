//! `count(DISTINCT x)` before rows change workers: a value that a worker has sent is not sent again.
//!
//! SQL    GROUP BY whose calls are all `count` and `count(DISTINCT x)`, over rows that only come
//! Law    the aggregate over what goes on is the aggregate over what came: a value that has been sent is null when it comes
//!        again, and rows that are then only counted are one row, whose weight says how many
//! State  some thousand values that were sent last; it is in no checkpoint, as it may be forgotten at any time: a value that is
//!        sent twice counts once
//! In     append-only; marks are ignored, as the aggregate ignores them
//! Out    the group's keys, what the calls read, and of each call that counts different values these
//! Cost   O(rows); where more than half of the rows go on it is tried only now and then
//!
//! So that one day, one country or no key at all is the work of all workers, as nearly all of it is to find that a value is
//! known. As local aggregation of Flink SQL ("two-phase", for which distinct values are cut into buckets); a table of what was
//! sent needs neither buckets nor a second round.

use super::call::nulls_of;
use super::plan::{Plan, Rows};
use super::seen::{mark, mark_calls};
use super::spec::{AggregateCall, AggregateSpec};
use crate::delta::Delta;
use crate::operators::Result;
use crate::operators::shown::shown;
use crate::operators::trial::Trial;
use crate::state::keys::Keys;
use crate::state::seen::RecentValues;
use crate::state::words::spread;
use arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::take;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use hashbrown::HashTable;
use std::sync::Arc;

/// Groups beyond which all is forgotten.
const MOST_GROUPS: usize = 1 << 14;
/// Rows of a batch below which it is not worth looking. Where debug assertions are on it always is: tests have few rows.
const FEW: usize = if cfg!(debug_assertions) { 1 } else { 256 };
/// Places of groups and what is told of their rows up to which there is one for each.
const MOST_PLACES: usize = 1 << 12;
/// States of different values, and conditions under which rows are counted, that a row's bits can tell.
const MOST: usize = u32::BITS as usize;

/// Where what the aggregate reads stands behind the keys.
#[derive(Debug)]
struct Layout {
    /// The numbers of the expressions that are passed on: FILTERs, and what is counted.
    passed: Vec<usize>,
    /// The states whose values are passed on, each in a column of its own.
    states: Vec<usize>,
    /// Expressions that tell whether a row counts: FILTERs by being true, the others by not being null.
    told: Vec<(usize, bool)>,
}

impl Layout {
    /// Nothing if the rows must all be sent as they are.
    fn of(plan: &Plan) -> Option<Layout> {
        let states = || plan.states.iter().enumerate();
        let mut layout = Layout { passed: vec![], states: vec![], told: vec![] };
        layout.states.extend(states().filter(|(_, s)| s.is_seen()).map(|(i, _)| i));
        if !plan.append_only || !plan.takes_several() || layout.states.is_empty() {
            return None;
        }
        let filters = |counts: bool| {
            let some = states().filter(move |(_, s)| s.is_count() || !counts);
            some.flat_map(|(_, s)| s.filters.iter().copied().flatten())
        };
        let counted = || states().filter(|(_, s)| s.is_count()).flat_map(|(_, s)| s.inputs.iter().copied());
        layout.passed.extend(filters(false).chain(counted()));
        layout.passed.sort_unstable();
        layout.passed.dedup();
        layout.told.extend(filters(true).map(|f| (f, true)).chain(counted().map(|c| (c, false))));
        layout.told.sort_unstable();
        layout.told.dedup();
        (layout.states.len() <= MOST && layout.told.len() <= MOST).then_some(layout)
    }

    /// The place of an expression that is passed on.
    fn place(&self, plan: &Plan, number: usize) -> Option<usize> {
        Some(plan.keys() + self.passed.iter().position(|passed| *passed == number)?)
    }

    /// The columns of what goes on.
    fn schema(&self, plan: &Plan) -> Result<SchemaRef> {
        let input = &plan.spec.input_schema;
        let keys = plan.spec.group.iter().map(|(key, name)| (key, name.clone()));
        let values = self.states.iter().flat_map(|state| &plan.states[*state].inputs);
        let others = self.passed.iter().chain(values).filter_map(|number| plan.expression_of(*number));
        let all = keys.chain(others.map(|e| (e, shown(e))));
        let fields = all.map(|(e, name)| Ok(Field::new(name, e.data_type(input)?, true)));
        Ok(Arc::new(Schema::new(fields.collect::<Result<Vec<_>>>()?)))
    }
}

impl AggregateSpec {
    /// The same over what [`SendOnce`] makes of its input; nothing where nothing is gained or a call needs the rows themselves.
    /// Errors: a function or type that cannot be kept.
    pub fn over_sent_once(&self) -> Result<Option<AggregateSpec>> {
        let plan = Plan::new(self.clone())?;
        let Some(layout) = Layout::of(&plan) else { return Ok(None) };
        let schema = layout.schema(&plan)?;
        let column = |at: usize| Arc::new(Column::new(schema.field(at).name(), at)) as Arc<dyn PhysicalExpr>;
        let mut aggregates = Vec::with_capacity(self.aggregates.len());
        for (call, (state, number)) in self.aggregates.iter().zip(&plan.calls) {
            let values = layout.states.iter().position(|seen| seen == state);
            let argument = |argument: &Arc<dyn PhysicalExpr>| {
                let place = match values {
                    Some(values) => Some(plan.keys() + layout.passed.len() + values),
                    None => plan.argument(argument).and_then(|number| layout.place(&plan, number)),
                };
                place.map_or_else(|| argument.clone(), column)
            };
            let arguments = call.expr.expressions().iter().map(argument).collect();
            let Some(expr) = call.expr.with_new_expressions(arguments, vec![]) else { return Ok(None) };
            let filter = plan.states[*state].filters[*number];
            let filter = filter.and_then(|number| layout.place(&plan, number)).map(column);
            aggregates.push(AggregateCall { expr: Arc::new(expr), filter });
        }
        let group = self.group.iter().enumerate().map(|(i, (_, name))| (column(i), name.clone()));
        Ok(Some(AggregateSpec { group: group.collect(), aggregates, input_schema: schema, ..self.clone() }))
    }

    /// The values that are sent once, in words.
    pub fn sent_once(&self) -> Vec<String> {
        let Ok(plan) = Plan::new(self.clone()) else { return vec![] };
        let states = plan.states.iter().filter(|state| state.is_seen());
        let values = states.flat_map(|state| &state.inputs);
        values.filter_map(|number| plan.expression_of(*number)).map(shown).collect()
    }
}

/// What stands before an exchange at each worker.
pub struct SendOnce {
    plan: Plan,
    layout: Layout,
    schema: SchemaRef,
    /// The groups of which something was sent.
    keys: Keys,
    /// What was sent, for each of the layout's states.
    sent: Vec<RecentValues>,
    few: usize,
    trial: Trial,
    scratch: Scratch,
}

#[derive(Debug, Default)]
struct Scratch {
    slots: Vec<usize>,
    marks: Vec<u32>,
    /// For each row, as bits, the states to which it brings a new value.
    new: Vec<u32>,
    /// For each row, as bits, what is told of it.
    told: Vec<u32>,
    counted: Counted,
}

/// Rows that are only counted: of each group and told bits the first, by its place among those that go on.
#[derive(Debug, Default)]
struct Counted {
    bits: usize,
    /// By slot and bits, where these are few.
    places: Vec<u32>,
    table: HashTable<(u64, u32)>,
}

impl SendOnce {
    /// Nothing sent yet. `spec`: the aggregate over the rows as they come. Errors: nothing can be left out of what it reads, a
    /// function or type that cannot be kept.
    pub fn new(spec: AggregateSpec) -> Result<Self> {
        let plan = Plan::new(spec)?;
        let Some(layout) = Layout::of(&plan) else {
            return Ok(datafusion::common::internal_err!("an aggregation that needs all rows")?);
        };
        let schema = layout.schema(&plan)?;
        let keys = Keys::new(plan.key_schema(false))?;
        let trial = Trial::new();
        let mut sent = Vec::with_capacity(layout.states.len());
        for state in layout.states.iter().map(|state| &plan.states[*state]) {
            let Some(value) = state.inputs.first().and_then(|n| plan.expression_of(*n)) else { continue };
            let data_type = value.data_type(&plan.spec.input_schema)?;
            sent.push(RecentValues::new(&data_type, state.filters.len())?);
        }
        let scratch = Scratch::default();
        Ok(SendOnce { plan, layout, schema, keys, sent, few: FEW, trial, scratch })
    }

    /// The delta's rows as the aggregate's input has them; if they go to `several` workers, only what has not been sent.
    pub fn pass(&mut self, delta: &Delta, several: bool) -> Result<Delta> {
        let rows = self.plan.rows(delta)?;
        if !several || rows.len < self.few || self.trial.is_paused() {
            let columns = self.columns(&rows).cloned().collect();
            return self.delta(columns, rows.len, rows.weights.clone());
        }
        let sent = self.only_new(&rows)?;
        self.trial.judge(rows.len, sent.num_rows());
        if self.keys.len() > MOST_GROUPS || self.trial.has_failed() {
            self.keys = Keys::new(self.plan.key_schema(false))?;
            self.sent.iter_mut().try_for_each(RecentValues::forget)?;
        }
        Ok(sent)
    }

    /// The columns of what goes on, for all rows.
    fn columns<'a>(&'a self, rows: &'a Rows) -> impl Iterator<Item = &'a ArrayRef> {
        let values = self.layout.states.iter().flat_map(|state| &self.plan.states[*state].inputs);
        rows.keys.iter().chain(self.layout.passed.iter().chain(values).map(|number| &rows.columns[*number]))
    }

    fn delta(&self, columns: Vec<ArrayRef>, rows: usize, weights: Option<Int64Array>) -> Result<Delta> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?;
        Ok(Delta::weighted(batch, weights))
    }

    fn only_new(&mut self, rows: &Rows) -> Result<Delta> {
        let Scratch { slots, marks, new, told, counted } = &mut self.scratch;
        self.keys.intern(&rows.keys, rows.len, slots)?;
        let groups = self.keys.len();
        new.clear();
        new.resize(rows.len, 0);
        let mut marked = None;
        for (at, (state, sent)) in self.layout.states.iter().zip(&mut self.sent).enumerate() {
            let state = &self.plan.states[*state];
            let Some(column) = state.inputs.first().map(|number| &rows.columns[*number]) else { continue };
            // Most often all calls have the same filters.
            let with_nulls = nulls_of(column).is_some();
            if with_nulls || marked != Some(&state.filters) {
                let filters = state.filters.iter().map(|filter| filter.map(|f| rows.filter(f)));
                mark_calls(marks, column, &filters.collect::<Vec<Option<&BooleanBuffer>>>());
                marked = Some(&state.filters).filter(|_| !with_nulls);
            }
            sent.add(column, (slots, groups), marks, |row| new[row] |= 1 << at)?;
        }
        told.clear();
        told.resize(rows.len, 0);
        for (at, (number, is_filter)) in self.layout.told.iter().enumerate() {
            match (is_filter, nulls_of(&rows.columns[*number])) {
                (true, _) => mark(told, rows.filter(*number), at),
                (false, Some(nulls)) => mark(told, nulls.inner(), at),
                (false, None) => told.iter_mut().for_each(|told| *told |= 1 << at),
            }
        }

        counted.begin(groups, self.layout.told.len());
        let (mut chosen, mut weights): (Vec<u32>, Vec<i64>) = (Vec::new(), Vec::new());
        for row in 0..rows.len {
            if new[row] == 0 {
                let first = counted.first(slots[row], told[row], chosen.len() as u32);
                if let Some(weight) = weights.get_mut(first as usize) {
                    *weight += rows.weight(row);
                    continue;
                }
            }
            chosen.push(row as u32);
            weights.push(rows.weight(row));
        }

        let states = self.layout.states.len();
        let (all, sent) = (self.columns(rows).count(), chosen.len());
        let new: Vec<u32> = chosen.iter().map(|row| self.scratch.new[*row as usize]).collect();
        let chosen = UInt32Array::from(chosen);
        let mut columns = Vec::with_capacity(all);
        for (at, column) in self.columns(rows).enumerate() {
            let chosen = match (at + states).checked_sub(all) {
                None => chosen.clone(),
                Some(state) => {
                    let is_new = BooleanBuffer::collect_bool(sent, |row| new[row] >> state & 1 == 1);
                    UInt32Array::new(chosen.values().clone(), Some(NullBuffer::new(is_new)))
                }
            };
            columns.push(take(column, &chosen, None)?);
        }
        let weighted = weights.iter().any(|w| *w != 1);
        self.delta(columns, sent, weighted.then(|| Int64Array::from(weights)))
    }
}

impl Counted {
    /// None yet; for slots below `groups` and so many bits.
    fn begin(&mut self, groups: usize, bits: usize) {
        self.table.clear();
        self.places.clear();
        self.bits = bits;
        let places = groups.checked_shl(bits as u32).filter(|places| *places <= MOST_PLACES);
        self.places.resize(places.unwrap_or(0), u32::MAX);
    }

    /// The place of the first row of a slot with these bits: `place`, if this is it.
    fn first(&mut self, slot: usize, told: u32, place: u32) -> u32 {
        if let Some(first) = self.places.get_mut(slot << self.bits | told as usize) {
            *first = place.min(*first);
            return *first;
        }
        let key = (slot as u64) << 32 | u64::from(told);
        let entry = self.table.entry(spread(key), |known| known.0 == key, |known| spread(known.0));
        entry.or_insert((key, place)).get().1
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::spec;
    use super::super::{Aggregate, EmitMode};
    use super::*;
    use crate::delta::{draw, drawn};
    use crate::operators::Operator;
    use crate::operators::trial::{PAUSE, TRIAL};
    use arrow::datatypes::DataType;

    fn counts(sql: &str) -> (AggregateSpec, SchemaRef) {
        let field = |name, data_type| Field::new(name, data_type, true);
        let fields = [("k", DataType::Utf8), ("u", DataType::Int64), ("p", DataType::Int64)];
        let schema = Arc::new(Schema::new(fields.map(|(name, t)| field(name, t)).to_vec()));
        (spec(&RecordBatch::new_empty(schema.clone()), sql, true, EmitMode::Changes), schema)
    }

    #[test]
    fn values_go_once_and_the_other_rows_as_one() {
        let sql = "SELECT k, count(*) FILTER (WHERE p > 5), count(DISTINCT u), count(DISTINCT u) FILTER (WHERE p > 5) \
                   FROM t GROUP BY k";
        let (spec, schema) = counts(sql);
        assert_eq!(spec.sent_once(), ["u"]);
        let mut once = SendOnce::new(spec).unwrap();
        let mut pass = |text: &str, several| draw(&[once.pass(&drawn(&schema, text), several).unwrap()]);
        assert_eq!(
            pass("+ a 1 0\n+ a 1 0\n+ a 1 9\n+ a 1 9\n+ b 1 0\n+ a null 0\n+ a 1 null", true),
            "+ a false 1\n+3 a false null\n+ a true 1\n+ a true null\n+ b false 1\n"
        );
        assert_eq!(
            pass("+ b 1 1\n+ b 2 1\n+ a 1 9\n+ b null 1", true),
            "+2 b false null\n+ b false 2\n+ a true null\n"
        );
        assert_eq!(pass("+ b 1 1\n+ b 2 1", false), "+ b false 1\n+ b false 2\n");
    }

    #[test]
    fn only_counts_of_rows_that_only_come_are_sent_so() {
        for sql in [
            "SELECT k, count(*) FROM t GROUP BY k",
            "SELECT k, count(DISTINCT u), sum(p) FROM t GROUP BY k",
            "SELECT k FROM t GROUP BY k HAVING max(p) > 1",
        ] {
            let (spec, _) = counts(sql);
            assert!(spec.over_sent_once().unwrap().is_none() && SendOnce::new(spec).is_err(), "{sql}");
        }
        let (spec, _) = counts("SELECT count(DISTINCT u) FROM t");
        assert!(spec.over_sent_once().unwrap().is_some());
        let changing = AggregateSpec { input_append_only: false, ..spec };
        assert!(changing.over_sent_once().unwrap().is_none());
    }

    /// More groups, and more values of a group, than are remembered.
    #[test]
    fn what_is_forgotten_is_sent_again() {
        let (spec, schema) = counts("SELECT k, count(DISTINCT u) FROM t GROUP BY k");
        let mut once = SendOnce::new(spec.clone()).unwrap();
        let mut aggregate = Aggregate::new(spec.over_sent_once().unwrap().unwrap(), true).unwrap();
        let groups = MOST_GROUPS as i64 * 3 / 2;
        let mut out = Vec::new();
        for round in 0..3 {
            let keys = arrow::array::StringArray::from_iter_values((0..groups).map(|i| i.to_string()));
            let values = Int64Array::from_iter_values((0..groups).map(|i| i % 2 * (i + round / 2)));
            let columns: Vec<ArrayRef> = vec![Arc::new(keys), Arc::new(values.clone()), Arc::new(values)];
            let delta = Delta::insert(RecordBatch::try_new(schema.clone(), columns).unwrap());
            let sent = once.pass(&delta, true).unwrap();
            assert!(once.keys.is_empty(), "all is forgotten");
            aggregate.push(0, sent, &mut out).unwrap();
        }
        aggregate.finish_step(0, &mut out).unwrap();
        let counts = out[0].batch.column(1).clone();
        let expected: ArrayRef = Arc::new(Int64Array::from_iter_values((0..groups).map(|i| 1 + i % 2)));
        assert_eq!(&counts, &expected);
    }

    #[test]
    fn it_is_tried_now_and_then_where_nothing_is_gained() {
        let (spec, schema) = counts("SELECT k, count(DISTINCT u) FROM t GROUP BY k");
        let mut once = SendOnce::new(spec).unwrap();
        once.trial.pauses = true;
        let rows = |n: usize| {
            (0..n).map(|i| format!("+ a {i} 0\n")).collect::<String>() + &"+ a 0 0\n".repeat(10 - n)
        };
        let mut sent = |n: usize| once.pass(&drawn(&schema, &rows(n)), true).unwrap().num_rows();
        assert_eq!((0..TRIAL).map(|_| sent(2)).collect::<Vec<_>>()[1..], [1; TRIAL as usize - 1]);
        // Half of a trial nothing is known, as at the beginning; then it is as it will be.
        for batch in 0..TRIAL {
            let all: String = (0..10).map(|i| format!("+ b {} 0\n", batch * 10 + i)).collect();
            assert_eq!(once.pass(&drawn(&schema, &all), true).unwrap().num_rows(), 10);
        }
        let mut sent = |n: usize| once.pass(&drawn(&schema, &rows(n)), true).unwrap().num_rows();
        assert!((0..PAUSE).all(|_| sent(2) == 10));
        assert_eq!((sent(2), sent(2)), (3, 1));
    }
}
