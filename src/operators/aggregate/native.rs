//! Aggregates that are DataFusion's own, over input that only grows: all groups in one vectorised
//! accumulator (read once), or one accumulator a group (read as often as one likes).

use super::call::{CallState, Input, Saved, misfit};
use crate::operators::Result;
use arrow::array::{Array, ArrayRef, BooleanArray, UInt32Array, new_empty_array};
use arrow::compute::take;
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};
use datafusion::physical_expr::GroupsAccumulatorAdapter;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use std::sync::Arc;

/// One vectorised accumulator for all groups: the speed of the batch engine. Reading it empties it,
/// so reading some groups early means to merge all of them into a fresh one.
pub(super) struct Vectorised {
    expr: Arc<AggregateFunctionExpr>,
    accumulator: Box<dyn GroupsAccumulator>,
    /// Types of the inputs.
    types: Vec<DataType>,
    total: usize,
}

impl Vectorised {
    /// No groups yet; `types` are those of the inputs.
    pub(super) fn new(expr: Arc<AggregateFunctionExpr>, types: Vec<DataType>) -> Result<Self> {
        let accumulator = fresh(&expr)?;
        Ok(Vectorised { expr, accumulator, types, total: 0 })
    }

    /// Makes the accumulator know all groups, also those that no row has reached.
    fn reach(&mut self) -> Result<()> {
        let empty: Vec<ArrayRef> = self.types.iter().map(new_empty_array).collect();
        Ok(self.accumulator.update_batch(&empty, &[], None, self.total)?)
    }

    /// The state of all groups, taken out.
    fn take_state(&mut self) -> Result<Vec<ArrayRef>> {
        self.reach()?;
        let state = self.accumulator.state(EmitTo::All)?;
        self.accumulator = fresh(&self.expr)?;
        Ok(state)
    }

    /// Fills the empty accumulator: row i of `state` belongs to group i.
    fn put_state(&mut self, state: &[ArrayRef], total: usize) -> Result<()> {
        self.total = total;
        let all: Vec<usize> = (0..total).collect();
        Ok(self.accumulator.merge_batch(state, &all, total)?)
    }
}

fn fresh(expr: &Arc<AggregateFunctionExpr>) -> Result<Box<dyn GroupsAccumulator>> {
    if expr.groups_accumulator_supported() {
        return Ok(expr.create_groups_accumulator()?);
    }
    let expr = expr.clone();
    Ok(Box::new(GroupsAccumulatorAdapter::new(move || expr.create_accumulator())))
}

fn take_rows(columns: &[ArrayRef], rows: &[usize]) -> Result<Vec<ArrayRef>> {
    let indices = UInt32Array::from_iter_values(rows.iter().map(|row| *row as u32));
    Ok(columns.iter().map(|c| take(c, &indices, None)).collect::<Result<_, _>>()?)
}

impl CallState for Vectorised {
    fn grow(&mut self, total: usize) -> Result<()> {
        self.total = total.max(self.total);
        Ok(())
    }

    fn update(&mut self, input: &Input) -> Result<()> {
        let filter = input.filter().map(|f| BooleanArray::new(f.clone(), None));
        Ok(self.accumulator.update_batch(input.values, input.groups, filter.as_ref(), input.total)?)
    }

    fn evaluate(&mut self, groups: &[usize]) -> Result<ArrayRef> {
        let state = self.take_state()?;
        self.put_state(&state, self.total)?;
        let mut some = Vectorised::new(self.expr.clone(), self.types.clone())?;
        some.put_state(&take_rows(&state, groups)?, groups.len())?;
        Ok(some.accumulator.evaluate(EmitTo::All)?)
    }

    fn finish(&mut self, groups: &[usize], total: usize) -> Result<ArrayRef> {
        self.total = total;
        self.reach()?;
        let all = self.accumulator.evaluate(EmitTo::All)?;
        self.total = 0;
        if groups.len() == total { Ok(all) } else { Ok(take_rows(&[all], groups)?.swap_remove(0)) }
    }

    fn retain(&mut self, groups: &[usize]) -> Result<()> {
        let state = self.take_state()?;
        self.put_state(&take_rows(&state, groups)?, groups.len())
    }

    fn save(&mut self, groups: &[usize]) -> Result<Saved> {
        let all = self.take_state()?;
        self.put_state(&all, self.total)?;
        Ok(Saved { groups: None, columns: take_rows(&all, groups)? })
    }

    fn load(&mut self, groups: &[usize], columns: &[ArrayRef]) -> Result<()> {
        let mut probe = Vectorised::new(self.expr.clone(), self.types.clone())?;
        probe.total = 1;
        check_types(&probe.take_state()?, columns)?;
        Ok(self.accumulator.merge_batch(columns, groups, self.total)?)
    }

    fn bytes(&self) -> usize {
        self.accumulator.size()
    }
}

/// One accumulator a group, of a function whose answer does not depend on the order of rows.
///
/// Its last result is part of the state: a float may lose a last bit on its way through a saved
/// state, and what is taken back must be what was emitted. Saving puts the state through columns on
/// this side too, so that who goes on and who restores compute the same bits.
pub(super) struct PerGroup {
    expr: Arc<AggregateFunctionExpr>,
    accumulators: Vec<Box<dyn Accumulator>>,
    results: Vec<Option<ScalarValue>>,
}

impl PerGroup {
    /// No groups yet.
    pub(super) fn new(expr: Arc<AggregateFunctionExpr>) -> Self {
        PerGroup { expr, accumulators: vec![], results: vec![] }
    }
}

impl CallState for PerGroup {
    fn grow(&mut self, total: usize) -> Result<()> {
        while self.accumulators.len() < total {
            self.accumulators.push(self.expr.create_accumulator()?);
            self.results.push(None);
        }
        Ok(())
    }

    fn update(&mut self, input: &Input) -> Result<()> {
        let mut rows: Vec<usize> = input.rows(None).collect();
        // Stable: the rows of a group stay in order.
        rows.sort_by_key(|row| input.groups[*row]);
        let values = take_rows(input.values, &rows)?;
        let mut start = 0;
        for run in rows.chunk_by(|a, b| input.groups[*a] == input.groups[*b]) {
            let slices: Vec<ArrayRef> = values.iter().map(|v| v.slice(start, run.len())).collect();
            let group = input.groups[run[0]];
            self.accumulators[group].update_batch(&slices)?;
            self.results[group] = None;
            start += run.len();
        }
        Ok(())
    }

    fn evaluate(&mut self, groups: &[usize]) -> Result<ArrayRef> {
        if groups.is_empty() {
            return Ok(new_empty_array(self.expr.field().data_type()));
        }
        let mut results = Vec::with_capacity(groups.len());
        for group in groups {
            let result = match self.results[*group].take() {
                Some(result) => result,
                None => self.accumulators[*group].evaluate()?,
            };
            self.results[*group] = Some(result.clone());
            results.push(result);
        }
        Ok(ScalarValue::iter_to_array(results)?)
    }

    fn retain(&mut self, groups: &[usize]) -> Result<()> {
        let mut old: Vec<_> = std::mem::take(&mut self.accumulators).into_iter().map(Some).collect();
        self.accumulators = groups.iter().filter_map(|g| old[*g].take()).collect();
        self.results = groups.iter().map(|g| self.results[*g].take()).collect();
        Ok(())
    }

    fn save(&mut self, groups: &[usize]) -> Result<Saved> {
        let result = self.evaluate(groups)?;
        let mut columns: Vec<Vec<ScalarValue>> = Vec::new();
        for group in groups {
            let fresh = self.expr.create_accumulator()?;
            let state = std::mem::replace(&mut self.accumulators[*group], fresh).state()?;
            columns.resize(state.len(), Vec::new());
            columns.iter_mut().zip(state).for_each(|(column, value)| column.push(value));
        }
        let columns = columns.into_iter().map(ScalarValue::iter_to_array);
        let columns = [Ok(result)].into_iter().chain(columns).collect::<Result<Vec<_>, _>>()?;
        self.load(groups, &columns)?;
        Ok(Saved { groups: None, columns })
    }

    fn load(&mut self, groups: &[usize], columns: &[ArrayRef]) -> Result<()> {
        let Some((results, columns)) = columns.split_first() else {
            return Err(misfit("an aggregate's state without its result".into()));
        };
        let state = self.expr.create_accumulator()?.state()?;
        let state = state.iter().map(|s| s.to_array()).collect::<Result<Vec<_>, _>>()?;
        check_types(&state, columns)?;
        for (row, group) in groups.iter().enumerate() {
            let state: Vec<ArrayRef> = columns.iter().map(|c| c.slice(row, 1)).collect();
            self.accumulators[*group].merge_batch(&state)?;
            self.results[*group] = Some(ScalarValue::try_from_array(results, row)?);
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let results = self.results.capacity() * size_of::<Option<ScalarValue>>();
        results + self.accumulators.iter().map(|a| a.size()).sum::<usize>()
    }
}

/// An error unless saved columns have the types that the function expects: it would panic.
fn check_types(expected: &[ArrayRef], columns: &[ArrayRef]) -> Result<()> {
    let same = |(e, c): (&ArrayRef, &ArrayRef)| e.data_type() == c.data_type();
    if expected.len() == columns.len() && expected.iter().zip(columns).all(same) {
        return Ok(());
    }
    let types = |columns: &[ArrayRef]| columns.iter().map(|c| c.data_type().to_string()).collect::<Vec<_>>();
    Err(misfit(format!("state columns are {:?}, not {:?}", types(columns), types(expected))))
}
