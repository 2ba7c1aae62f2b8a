//! Aggregates that keep rows: any function over its group's whole multiset, and `count(DISTINCT x)`.

use super::call::{CallState, Input, Saved, misfit, nulls_of, primitive};
use super::extremes::load_bags;
use crate::operators::Result;
use crate::state::bag::Bags;
use crate::state::distinct::DistinctValues;
use arrow::array::{ArrayRef, Int64Array, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::Int64Type;
use datafusion::common::ScalarValue;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use std::sync::Arc;

/// Rows that an accumulator is fed at once.
const CHUNK: usize = 1 << 16;

/// An argument of the function.
#[derive(Debug, Clone)]
pub(super) enum Argument {
    /// A column of the bag.
    Column(usize),
    /// The same for every row: not kept.
    Constant(ScalarValue),
}

/// How a bag's rows become a result.
#[derive(Debug, Clone)]
pub(super) struct Recompute {
    /// Makes the accumulator.
    pub(super) expr: Arc<AggregateFunctionExpr>,
    /// What it is fed.
    pub(super) arguments: Vec<Argument>,
    /// Whether it is fed each different row once.
    pub(super) distinct: bool,
}

impl Recompute {
    /// The result over `rows`, in their order.
    fn result(&self, bags: &Bags, slot: usize) -> Result<ScalarValue> {
        let mut accumulator = self.expr.create_accumulator()?;
        let columns = bags.decode(bags.rows(slot).map(|(row, _)| row))?;
        let mut chunk: Vec<u32> = Vec::new();
        for (i, (_, weight)) in bags.rows(slot).enumerate() {
            let mut left = if self.distinct { 1 } else { weight };
            while left > 0 {
                let some = left.min((CHUNK - chunk.len()) as i64);
                chunk.resize(chunk.len() + some as usize, i as u32);
                left -= some;
                if chunk.len() == CHUNK {
                    let full = std::mem::take(&mut chunk);
                    accumulator.update_batch(&self.arguments(&columns, full)?)?;
                }
            }
        }
        if !chunk.is_empty() {
            accumulator.update_batch(&self.arguments(&columns, chunk)?)?;
        }
        Ok(accumulator.evaluate()?)
    }

    fn arguments(&self, columns: &[ArrayRef], rows: Vec<u32>) -> Result<Vec<ArrayRef>> {
        let rows = UInt32Array::from(rows);
        let argument = |argument: &Argument| {
            Ok(match argument {
                Argument::Column(i) => take(&columns[*i], &rows, None)?,
                Argument::Constant(value) => value.to_array_of_size(rows.len())?,
            })
        };
        self.arguments.iter().map(argument).collect()
    }
}

/// Any aggregate function: a group's rows in order, and the last result until they change.
pub(super) struct Kept {
    how: Recompute,
    bags: Bags,
    results: Vec<Option<ScalarValue>>,
}

impl Kept {
    /// No groups yet; the bags' codec encodes the call's inputs.
    pub(super) fn new(how: Recompute, bags: Bags) -> Self {
        Kept { how, bags, results: vec![] }
    }
}

impl CallState for Kept {
    fn grow(&mut self, total: usize) -> Result<()> {
        self.bags.grow(total);
        self.results.resize(total.max(self.results.len()), None);
        Ok(())
    }

    fn update(&mut self, input: &Input) -> Result<()> {
        input.each(None, |_, group, _| self.results[group] = None);
        Ok(self.bags.add(input.values, input.groups, input.rows(None), |i| input.weight(i))?)
    }

    fn evaluate(&mut self, groups: &[usize]) -> Result<ArrayRef> {
        let mut results = Vec::with_capacity(groups.len());
        for group in groups {
            let result = match &self.results[*group] {
                Some(result) => result.clone(),
                None => self.how.result(&self.bags, *group)?,
            };
            self.results[*group] = Some(result.clone());
            results.push(result);
        }
        if results.is_empty() {
            return Ok(arrow::array::new_empty_array(self.how.expr.field().data_type()));
        }
        Ok(ScalarValue::iter_to_array(results)?)
    }

    fn retain(&mut self, groups: &[usize]) -> Result<()> {
        self.bags.retain(groups);
        self.results = groups.iter().map(|g| self.results[*g].take()).collect();
        Ok(())
    }

    fn save(&mut self, groups: &[usize]) -> Result<Saved> {
        let (groups, columns) = self.bags.save(groups)?;
        Ok(Saved { groups: Some(groups), columns })
    }

    fn load(&mut self, groups: &[usize], columns: &[ArrayRef]) -> Result<()> {
        groups.iter().for_each(|g| self.results[*g] = None);
        load_bags(&mut self.bags, groups, columns)
    }

    fn entries(&self) -> usize {
        self.bags.entries()
    }

    fn bytes(&self) -> usize {
        self.bags.bytes() + self.results.capacity() * size_of::<Option<ScalarValue>>()
    }
}

/// `count(DISTINCT x)`.
pub(super) struct CountDistinct {
    values: DistinctValues,
}

impl CountDistinct {
    /// No groups yet.
    pub(super) fn new(values: DistinctValues) -> Self {
        CountDistinct { values }
    }
}

impl CallState for CountDistinct {
    fn grow(&mut self, total: usize) -> Result<()> {
        self.values.grow(total);
        Ok(())
    }

    fn update(&mut self, input: &Input) -> Result<()> {
        let column = &input.values[0];
        let rows = input.rows(nulls_of(column).as_ref());
        Ok(self.values.add(column, input.groups, rows, |i| input.weight(i))?)
    }

    fn evaluate(&mut self, groups: &[usize]) -> Result<ArrayRef> {
        Ok(Arc::new(Int64Array::from_iter_values(groups.iter().map(|g| self.values.count(*g)))))
    }

    fn retain(&mut self, groups: &[usize]) -> Result<()> {
        self.values.retain(groups);
        Ok(())
    }

    fn save(&mut self, groups: &[usize]) -> Result<Saved> {
        let (groups, columns) = self.values.save(groups)?;
        Ok(Saved { groups: Some(groups), columns })
    }

    fn load(&mut self, groups: &[usize], columns: &[ArrayRef]) -> Result<()> {
        let [column, weights] = columns else {
            return Err(misfit("distinct values need two columns".into()));
        };
        let weights = primitive::<Int64Type>(std::slice::from_ref(weights), 0)?;
        Ok(self.values.add(column, groups, 0..groups.len(), |i| weights.value(i))?)
    }

    fn entries(&self) -> usize {
        self.values.entries()
    }

    fn bytes(&self) -> usize {
        self.values.bytes()
    }
}
