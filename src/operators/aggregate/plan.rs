//! A spec made ready to run: each expression evaluated once, each call with its kind of state; and
//! the batch of rows that comes of it.

use super::call::CallState;
use super::choose::CallPlan;
use super::spec::{AggregateSpec, EmitMode, WindowKey};
use crate::delta::{Delta, WATERMARK_END};
use crate::operators::Result;
use crate::state::zero::one_zero;
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{cast, prep_null_mask_filter, take};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit};
use datafusion::common::{exec_err, internal_err};
use datafusion::physical_expr::PhysicalExpr;
use std::sync::Arc;

/// The spec and what follows from it.
pub(super) struct Plan {
    pub(super) spec: AggregateSpec,
    pub(super) append_only: bool,
    /// The different expressions of all calls.
    expressions: Vec<Arc<dyn PhysicalExpr>>,
    /// Which of them are FILTERs.
    is_filter: Vec<bool>,
    pub(super) states: Vec<StatePlan>,
    /// For each call its state, and which of that state's calls it is.
    pub(super) calls: Vec<(usize, usize)>,
    /// Types of the keys.
    key_types: Vec<DataType>,
    /// Nanoseconds in a unit of the window key.
    unit: i64,
}

/// The state of a call, or of several that share it, and what it reads of [`Rows::columns`].
pub(super) struct StatePlan {
    plan: CallPlan,
    /// The first of its calls: what it saves is named by it.
    pub(super) call: usize,
    pub(super) inputs: Vec<usize>,
    /// The FILTER of each of its calls.
    pub(super) filters: Vec<Option<usize>>,
}

impl StatePlan {
    /// Whether a call with this plan may share the state.
    fn takes(&self, plan: &CallPlan, inputs: &[usize]) -> bool {
        self.filters.len() < self.plan.shared_by() && plan.shared_by() > 1 && self.inputs == inputs
    }

    /// Whether its calls are counts of different values that have been seen.
    pub(super) fn is_seen(&self) -> bool {
        self.plan.shared_by() > 1
    }

    /// Whether its call counts rows.
    pub(super) fn is_count(&self) -> bool {
        self.plan.is_count()
    }
}

impl Plan {
    /// Checks the spec and chooses the states.
    pub(super) fn new(spec: AggregateSpec) -> Result<Self> {
        let schema = &spec.input_schema;
        let keys = spec.group.iter().map(|(key, _)| key.data_type(schema));
        let key_types = keys.collect::<Result<Vec<_>, _>>()?;
        let unit = match spec.window {
            None => 1,
            Some(window) => unit_of(key_types.get(window.key))?,
        };
        if spec.schema.fields().len() != spec.group.len() + spec.aggregates.len() {
            return Ok(internal_err!("an aggregation's columns are not its keys and aggregates")?);
        }
        let append_only = spec.input_append_only;
        let (expressions, is_filter, states, calls) = (vec![], vec![], vec![], vec![]);
        let mut plan = Plan { spec, append_only, expressions, is_filter, states, calls, key_types, unit };
        for (i, call) in plan.spec.aggregates.clone().iter().enumerate() {
            let chosen = CallPlan::new(call, &plan.spec)?;
            let inputs: Vec<usize> = chosen.inputs.iter().map(|e| plan.expression(e, false)).collect();
            let filter = call.filter.as_ref().map(|e| plan.expression(e, true));
            let shared = plan.states.iter().position(|state| state.takes(&chosen, &inputs));
            let state = shared.unwrap_or_else(|| {
                plan.states.push(StatePlan { plan: chosen, call: i, inputs, filters: vec![] });
                plan.states.len() - 1
            });
            plan.states[state].filters.push(filter);
            plan.calls.push((state, plan.states[state].filters.len() - 1));
        }
        Ok(plan)
    }

    /// The number of an expression. A FILTER's column is without nulls: not shared with arguments.
    fn expression(&mut self, wanted: &Arc<dyn PhysicalExpr>, filter: bool) -> usize {
        let known = self.expressions.iter().zip(&self.is_filter);
        let at = known.into_iter().position(|(e, f)| e == wanted && *f == filter);
        at.unwrap_or_else(|| {
            self.expressions.push(wanted.clone());
            self.is_filter.push(filter);
            self.expressions.len() - 1
        })
    }

    /// The expression with a number.
    pub(super) fn expression_of(&self, number: usize) -> Option<&Arc<dyn PhysicalExpr>> {
        self.expressions.get(number)
    }

    /// The number of a call's argument; nothing if it is not evaluated.
    pub(super) fn argument(&self, wanted: &Arc<dyn PhysicalExpr>) -> Option<usize> {
        self.expressions.iter().zip(&self.is_filter).position(|(e, f)| e == wanted && !f)
    }

    /// Whether a row may stand for several: rows are only counted, and values by whether they are there.
    pub(super) fn takes_several(&self) -> bool {
        !self.states.is_empty() && self.states.iter().all(|state| state.is_count() || state.is_seen())
    }

    /// Number of keys.
    pub(super) fn keys(&self) -> usize {
        self.spec.group.len()
    }

    /// The key columns of a delta's rows.
    pub(super) fn key_columns(&self, delta: &Delta) -> Result<Vec<ArrayRef>> {
        let keys = self.spec.group.iter();
        let keys =
            keys.map(|(key, _)| key.evaluate(&delta.batch)?.into_array(delta.num_rows()).map(one_zero));
        Ok(keys.collect::<Result<_, _>>()?)
    }

    /// Which key is the window's.
    pub(super) fn window_key(&self) -> Option<usize> {
        self.spec.window.map(|w| w.key)
    }

    /// Whether every step emits what changed.
    pub(super) fn emits_changes(&self) -> bool {
        self.spec.mode == EmitMode::Changes
    }

    /// Whether there are no keys: the one group is there without any row.
    pub(super) fn always_exists(&self) -> bool {
        self.spec.group.is_empty()
    }

    /// The columns of a key table, with or without the window's.
    pub(super) fn key_schema(&self, without_window: bool) -> SchemaRef {
        let skip = self.window_key().filter(|_| without_window);
        let kept = self.key_types.iter().enumerate().filter(|(i, _)| Some(*i) != skip);
        let fields: Vec<Field> = kept.map(|(i, t)| Field::new(format!("key{i}"), t.clone(), true)).collect();
        Arc::new(Schema::new(fields))
    }

    /// The states, empty.
    pub(super) fn new_states(&self) -> Result<Vec<Box<dyn CallState>>> {
        let schema = &self.spec.input_schema;
        self.states.iter().map(|state| state.plan.state(schema, state.filters.len())).collect()
    }

    /// The results of all calls in their output types; `of` gives those of a state's call.
    pub(super) fn results(
        &self,
        mut of: impl FnMut(usize, usize) -> Result<ArrayRef>,
    ) -> Result<Vec<ArrayRef>> {
        self.calls.iter().enumerate().map(|(i, (state, call))| self.result(i, of(*state, *call)?)).collect()
    }

    /// The result column of call `i` in its output type.
    fn result(&self, i: usize, column: ArrayRef) -> Result<ArrayRef> {
        let wanted = self.spec.schema.field(self.keys() + i).data_type();
        Ok(if column.data_type() == wanted { column } else { cast(&column, wanted)? })
    }

    /// Evaluates keys and arguments over a delta.
    pub(super) fn rows(&self, delta: &Delta) -> Result<Rows> {
        if self.append_only && delta.weights.is_some() && !self.takes_several() {
            return Ok(internal_err!("weights in input that was said to be append-only")?);
        }
        let len = delta.num_rows();
        let evaluate = |e: &Arc<dyn PhysicalExpr>| e.evaluate(&delta.batch)?.into_array(len);
        let keys = self.key_columns(delta)?;
        let mut columns = Vec::with_capacity(self.expressions.len());
        for (expression, is_filter) in self.expressions.iter().zip(&self.is_filter) {
            let column = evaluate(expression)?;
            columns.push(if *is_filter { pass(&column)? } else { column });
        }
        Ok(Rows { keys, columns, weights: delta.weights.clone(), len })
    }

    /// The window key's values in their own unit.
    pub(super) fn windows(&self, keys: &[ArrayRef]) -> Result<Option<Int64Array>> {
        let Some(WindowKey { key, .. }) = self.spec.window else { return Ok(None) };
        Ok(Some(cast(&keys[key], &DataType::Int64)?.as_primitive::<Int64Type>().clone()))
    }

    /// When (ns) a window with this key value is over; at the end of input without one.
    pub(super) fn close(&self, window: Option<i64>) -> i64 {
        let (Some(WindowKey { to_end, grace, .. }), Some(window)) = (self.spec.window, window) else {
            return WATERMARK_END;
        };
        let close = i128::from(window) * i128::from(self.unit) + i128::from(to_end) + i128::from(grace);
        i64::try_from(close).unwrap_or(if close < 0 { i64::MIN } else { i64::MAX })
    }

    /// Which groups' windows are over at `watermark`.
    pub(super) fn closed(&self, keys: &[ArrayRef], watermark: i64) -> Result<Vec<bool>> {
        let Some(windows) = self.windows(keys)? else { return Ok(vec![]) };
        Ok(windows.iter().map(|w| self.close(w) <= watermark).collect())
    }
}

/// Nanoseconds in a unit of a window key's type.
fn unit_of(data_type: Option<&DataType>) -> Result<i64> {
    Ok(match data_type {
        Some(DataType::Timestamp(TimeUnit::Second, _)) => 1_000_000_000,
        Some(DataType::Timestamp(TimeUnit::Millisecond, _)) => 1_000_000,
        Some(DataType::Timestamp(TimeUnit::Microsecond, _)) => 1_000,
        Some(DataType::Timestamp(TimeUnit::Nanosecond, _)) => 1,
        _ => return Ok(exec_err!("a window key must be a timestamp")?),
    })
}

/// A FILTER's column with null as false.
fn pass(column: &ArrayRef) -> Result<ArrayRef> {
    let Some(mask) = column.as_boolean_opt() else {
        return Ok(exec_err!("FILTER needs a boolean, not {}", column.data_type())?);
    };
    Ok(if mask.null_count() == 0 { column.clone() } else { Arc::new(prep_null_mask_filter(mask)) })
}

/// A delta's rows, evaluated.
pub(super) struct Rows {
    /// The group keys.
    pub(super) keys: Vec<ArrayRef>,
    /// The plan's expressions.
    pub(super) columns: Vec<ArrayRef>,
    pub(super) weights: Option<Int64Array>,
    pub(super) len: usize,
}

impl Rows {
    /// The weight of a row.
    pub(super) fn weight(&self, row: usize) -> i64 {
        self.weights.as_ref().map_or(1, |w| w.value(row))
    }

    /// The FILTER with number `i`.
    pub(super) fn filter(&self, i: usize) -> &BooleanBuffer {
        self.columns[i].as_boolean().values()
    }

    /// Some of the rows.
    pub(super) fn part(&self, part: &Part) -> Result<Rows> {
        let columns =
            |columns: &[ArrayRef]| -> Result<Vec<ArrayRef>> { columns.iter().map(|c| part.of(c)).collect() };
        let weights = match &self.weights {
            None => None,
            Some(w) => Some(part.of(&(Arc::new(w.clone()) as ArrayRef))?.as_primitive().clone()),
        };
        let len = part.len(self.len);
        Ok(Rows { keys: columns(&self.keys)?, columns: columns(&self.columns)?, weights, len })
    }
}

/// Which rows of a batch.
pub(super) enum Part {
    All,
    Slice(usize, usize),
    Take(UInt32Array),
}

impl Part {
    /// The part of a column.
    pub(super) fn of(&self, column: &ArrayRef) -> Result<ArrayRef> {
        Ok(match self {
            Part::All => column.clone(),
            Part::Slice(offset, len) => column.slice(*offset, *len),
            Part::Take(rows) => take(column, rows, None)?,
        })
    }

    /// The number of rows, out of `all`.
    pub(super) fn len(&self, all: usize) -> usize {
        match self {
            Part::All => all,
            Part::Slice(_, len) => *len,
            Part::Take(rows) => rows.len(),
        }
    }
}
