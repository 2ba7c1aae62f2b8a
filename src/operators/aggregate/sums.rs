//! Counts, sums, averages and boolean folds that take values back exactly: vectors indexed by group.

use super::call::{CallState, Input, Saved, misfit, nulls_of, primitive, retain_by};
use crate::operators::Result;
use crate::state::exact_sum::ExactSum;
use arrow::array::{
    Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, BooleanArray, Float64Array, Int64Array,
    ListBuilder, PrimitiveArray, PrimitiveBuilder, UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, i256};
use datafusion::logical_expr::EmitTo;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use std::marker::PhantomData;
use std::sync::Arc;

/// `count(*)`, `count(x)`, `count(x, y)`: rows in which no input is null.
#[derive(Default)]
pub(super) struct Count {
    counts: Vec<i64>,
}

impl CallState for Count {
    fn grow(&mut self, total: usize) -> Result<()> {
        self.counts.resize(total.max(self.counts.len()), 0);
        Ok(())
    }

    fn update(&mut self, input: &Input) -> Result<()> {
        let nulls = input.values.iter().fold(None, |all, column| {
            arrow::buffer::NullBuffer::union(all.as_ref(), nulls_of(column).as_ref())
        });
        let counts = &mut self.counts;
        input.each(nulls.as_ref(), |_, group, w| counts[group] += w);
        Ok(())
    }

    fn evaluate(&mut self, groups: &[usize]) -> Result<ArrayRef> {
        Ok(Arc::new(Int64Array::from_iter_values(groups.iter().map(|g| self.counts[*g]))))
    }

    fn retain(&mut self, groups: &[usize]) -> Result<()> {
        retain_by(&mut self.counts, groups);
        Ok(())
    }

    fn save(&mut self, groups: &[usize]) -> Result<Saved> {
        Ok(Saved { groups: None, columns: vec![of_groups(&self.counts, groups)] })
    }

    fn load(&mut self, groups: &[usize], columns: &[ArrayRef]) -> Result<()> {
        let counts = primitive::<Int64Type>(columns, 0)?;
        groups.iter().zip(counts.values()).for_each(|(g, n)| self.counts[*g] += n);
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.counts.capacity() * 8
    }
}

/// The numbers of some groups as a column.
fn of_groups(numbers: &[i64], groups: &[usize]) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(groups.iter().map(|g| numbers[*g])))
}

/// A weight as a factor of a sum's native type, wrapping as the sum itself does.
pub(super) trait Factor: ArrowNativeTypeOp {
    /// The weight in this type.
    fn factor(weight: i64) -> Self;
}

macro_rules! factor {
    ($($native:ty),*) => {
        $(impl Factor for $native {
            fn factor(weight: i64) -> Self {
                weight as $native
            }
        })*
    };
}
factor!(i32, i64, u64, i128, f64);

impl Factor for i256 {
    fn factor(weight: i64) -> Self {
        i256::from_i128(i128::from(weight))
    }
}

/// What a sum and a count become.
#[derive(Clone)]
pub(super) enum Outcome {
    /// The sum; null of no value.
    Sum,
    /// Sum by count, as a float.
    Mean,
    /// Left to the function itself, whose state is (count, sum): decimal and duration averages.
    Merged(Arc<AggregateFunctionExpr>),
}

/// Sums (wrapping, as the batch engine's) and counts of values `I`, summed as `S`.
pub(super) struct Sum<I: ArrowPrimitiveType, S: ArrowPrimitiveType> {
    sums: Vec<S::Native>,
    counts: Vec<i64>,
    data_type: DataType,
    widen: fn(I::Native) -> S::Native,
    mean: fn(S::Native, i64) -> f64,
    outcome: Outcome,
    input: PhantomData<fn(I)>,
}

impl<I: ArrowPrimitiveType, S: ArrowPrimitiveType> Sum<I, S> {
    /// No groups yet. `data_type` is the sums' type, of native type `S`; `mean` is for `Outcome::Mean`.
    pub(super) fn new(
        data_type: DataType,
        widen: fn(I::Native) -> S::Native,
        mean: fn(S::Native, i64) -> f64,
        outcome: Outcome,
    ) -> Self {
        Sum { sums: vec![], counts: vec![], data_type, widen, mean, outcome, input: PhantomData }
    }

    /// The sums of `groups`, null where nothing was summed.
    fn sums(&self, groups: &[usize]) -> PrimitiveArray<S> {
        let sums = groups.iter().map(|g| (self.counts[*g] != 0).then(|| self.sums[*g]));
        PrimitiveArray::<S>::from_iter(sums).with_data_type(self.data_type.clone())
    }
}

impl<I: ArrowPrimitiveType, S: ArrowPrimitiveType> CallState for Sum<I, S>
where
    S::Native: Factor,
{
    fn grow(&mut self, total: usize) -> Result<()> {
        self.sums.resize(total.max(self.sums.len()), S::Native::ZERO);
        self.counts.resize(total.max(self.counts.len()), 0);
        Ok(())
    }

    fn update(&mut self, input: &Input) -> Result<()> {
        let array = input.values[0].as_primitive::<I>();
        let values = array.values();
        let (sums, counts, widen) = (&mut self.sums, &mut self.counts, self.widen);
        if input.weights.is_none() {
            input.each(array.nulls(), |row, group, _| {
                sums[group] = sums[group].add_wrapping(widen(values[row]));
                counts[group] += 1;
            });
            return Ok(());
        }
        input.each(array.nulls(), |row, group, w| {
            let product = widen(values[row]).mul_wrapping(S::Native::factor(w));
            sums[group] = sums[group].add_wrapping(product);
            counts[group] += w;
        });
        Ok(())
    }

    fn evaluate(&mut self, groups: &[usize]) -> Result<ArrayRef> {
        match &self.outcome {
            Outcome::Sum => Ok(Arc::new(self.sums(groups))),
            Outcome::Mean => {
                let mean =
                    |g: &usize| (self.counts[*g] != 0).then(|| (self.mean)(self.sums[*g], self.counts[*g]));
                Ok(Arc::new(Float64Array::from_iter(groups.iter().map(mean))))
            }
            Outcome::Merged(expr) => {
                let counts = groups.iter().map(|g| u64::try_from(self.counts[*g]).ok().filter(|n| *n > 0));
                let counts: ArrayRef = Arc::new(UInt64Array::from_iter(counts));
                let all: Vec<usize> = (0..groups.len()).collect();
                let mut fresh = expr.create_groups_accumulator()?;
                fresh.merge_batch(&[counts, Arc::new(self.sums(groups))], &all, all.len())?;
                Ok(fresh.evaluate(EmitTo::All)?)
            }
        }
    }

    fn retain(&mut self, groups: &[usize]) -> Result<()> {
        retain_by(&mut self.sums, groups);
        retain_by(&mut self.counts, groups);
        Ok(())
    }

    fn save(&mut self, groups: &[usize]) -> Result<Saved> {
        let sums = PrimitiveArray::<S>::from_iter_values(groups.iter().map(|g| self.sums[*g]));
        let sums = Arc::new(sums.with_data_type(self.data_type.clone()));
        let columns: Vec<ArrayRef> = vec![sums, of_groups(&self.counts, groups)];
        Ok(Saved { groups: None, columns })
    }

    fn load(&mut self, groups: &[usize], columns: &[ArrayRef]) -> Result<()> {
        let (sums, counts) = (primitive::<S>(columns, 0)?, primitive::<Int64Type>(columns, 1)?);
        for (row, group) in groups.iter().enumerate() {
            self.sums[*group] = self.sums[*group].add_wrapping(sums.value(row));
            self.counts[*group] += counts.value(row);
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.sums.capacity() * size_of::<S::Native>() + self.counts.capacity() * 8
    }
}

/// `sum` and `avg` of floats that may be taken back: exact, so no order and no detour shows.
pub(super) struct ExactFloat {
    sums: Vec<ExactSum>,
    counts: Vec<i64>,
    mean: bool,
}

impl ExactFloat {
    /// No groups yet; `mean` = average, else sum.
    pub(super) fn new(mean: bool) -> Self {
        ExactFloat { sums: vec![], counts: vec![], mean }
    }
}

impl CallState for ExactFloat {
    fn grow(&mut self, total: usize) -> Result<()> {
        self.sums.resize(total.max(self.sums.len()), ExactSum::default());
        self.counts.resize(total.max(self.counts.len()), 0);
        Ok(())
    }

    fn update(&mut self, input: &Input) -> Result<()> {
        let array = input.values[0].as_primitive::<Float64Type>();
        input.each(array.nulls(), |row, group, w| {
            self.sums[group].add(array.value(row), w);
            self.counts[group] += w;
        });
        Ok(())
    }

    fn evaluate(&mut self, groups: &[usize]) -> Result<ArrayRef> {
        let value = |g: &usize| {
            let count = self.counts[*g];
            let divisor = if self.mean { count as f64 } else { 1.0 };
            (count != 0).then(|| self.sums[*g].value() / divisor)
        };
        Ok(Arc::new(Float64Array::from_iter(groups.iter().map(value))))
    }

    fn retain(&mut self, groups: &[usize]) -> Result<()> {
        self.sums = groups.iter().map(|g| std::mem::take(&mut self.sums[*g])).collect();
        retain_by(&mut self.counts, groups);
        Ok(())
    }

    fn save(&mut self, groups: &[usize]) -> Result<Saved> {
        let mut lists = [(); 2].map(|()| ListBuilder::new(PrimitiveBuilder::<Float64Type>::new()));
        let mut special = [(); 3].map(|()| Vec::with_capacity(groups.len()));
        for group in groups {
            let (parts, huge, counts) = self.sums[*group].parts();
            for (list, values) in lists.iter_mut().zip([parts, huge]) {
                list.values().append_slice(values);
                list.append(true);
            }
            special.iter_mut().zip(counts).for_each(|(column, n)| column.push(n));
        }
        let mut columns: Vec<ArrayRef> = vec![of_groups(&self.counts, groups)];
        columns.extend(lists.iter_mut().map(|l| Arc::new(l.finish()) as ArrayRef));
        columns.extend(special.into_iter().map(|c| Arc::new(Int64Array::from(c)) as ArrayRef));
        Ok(Saved { groups: None, columns })
    }

    fn load(&mut self, groups: &[usize], columns: &[ArrayRef]) -> Result<()> {
        let counts = primitive::<Int64Type>(columns, 0)?;
        let list = |i: usize| {
            let list = columns.get(i).and_then(|c| c.as_list_opt::<i32>());
            let list = list.filter(|l| l.value_type() == DataType::Float64);
            list.ok_or_else(|| misfit("a float sum is not a list of its parts".into()))
        };
        let (parts, huge) = (list(1)?, list(2)?);
        let special = [3, 4, 5].map(|i| primitive::<Int64Type>(columns, i));
        let [nan, infinite, negative] = special;
        let (nan, infinite, negative) = (nan?, infinite?, negative?);
        for (row, group) in groups.iter().enumerate() {
            let (parts, huge) = (parts.value(row), huge.value(row));
            self.sums[*group].merge(
                parts.as_primitive::<Float64Type>().values(),
                huge.as_primitive::<Float64Type>().values(),
                [nan.value(row), infinite.value(row), negative.value(row)],
            );
            self.counts[*group] += counts.value(row);
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let inline = self.sums.capacity() * size_of::<ExactSum>() + self.counts.capacity() * 8;
        inline + self.sums.iter().map(ExactSum::heap_bytes).sum::<usize>()
    }
}

/// An average over decimals: the values are widened to the type that the function sums in.
pub(super) struct Widened<C: CallState> {
    pub(super) inner: C,
    pub(super) to: DataType,
}

impl<C: CallState> CallState for Widened<C> {
    fn grow(&mut self, total: usize) -> Result<()> {
        self.inner.grow(total)
    }

    fn update(&mut self, input: &Input) -> Result<()> {
        let values = [cast(&input.values[0], &self.to)?];
        let Input { filters, weights, groups, total, .. } = *input;
        self.inner.update(&Input { values: &values, filters, weights, groups, total })
    }

    fn evaluate(&mut self, groups: &[usize]) -> Result<ArrayRef> {
        self.inner.evaluate(groups)
    }

    fn retain(&mut self, groups: &[usize]) -> Result<()> {
        self.inner.retain(groups)
    }

    fn save(&mut self, groups: &[usize]) -> Result<Saved> {
        self.inner.save(groups)
    }

    fn load(&mut self, groups: &[usize], columns: &[ArrayRef]) -> Result<()> {
        self.inner.load(groups, columns)
    }

    fn bytes(&self) -> usize {
        self.inner.bytes()
    }
}

/// `bool_and`, `bool_or`: how many values are true and how many false.
pub(super) struct BoolFold {
    counts: [Vec<i64>; 2],
    /// `bool_and`; else `bool_or`.
    and: bool,
}

impl BoolFold {
    /// No groups yet.
    pub(super) fn new(and: bool) -> Self {
        BoolFold { counts: [vec![], vec![]], and }
    }
}

impl CallState for BoolFold {
    fn grow(&mut self, total: usize) -> Result<()> {
        self.counts.iter_mut().for_each(|c| c.resize(total.max(c.len()), 0));
        Ok(())
    }

    fn update(&mut self, input: &Input) -> Result<()> {
        let array = input.values[0].as_boolean();
        let counts = &mut self.counts;
        input.each(array.nulls(), |row, group, w| counts[usize::from(array.value(row))][group] += w);
        Ok(())
    }

    fn evaluate(&mut self, groups: &[usize]) -> Result<ArrayRef> {
        let value = |g: &usize| match (self.counts[0][*g], self.counts[1][*g]) {
            (0, 0) => None,
            (no, yes) => Some(if self.and { no == 0 } else { yes != 0 }),
        };
        Ok(Arc::new(BooleanArray::from_iter(groups.iter().map(value))))
    }

    fn retain(&mut self, groups: &[usize]) -> Result<()> {
        self.counts.iter_mut().for_each(|c| retain_by(c, groups));
        Ok(())
    }

    fn save(&mut self, groups: &[usize]) -> Result<Saved> {
        let columns = self.counts.iter().map(|counts| of_groups(counts, groups));
        Ok(Saved { groups: None, columns: columns.collect() })
    }

    fn load(&mut self, groups: &[usize], columns: &[ArrayRef]) -> Result<()> {
        for (i, counts) in self.counts.iter_mut().enumerate() {
            let saved = primitive::<Int64Type>(columns, i)?;
            groups.iter().zip(saved.values()).for_each(|(g, n)| counts[*g] += n);
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.counts.iter().map(|c| c.capacity() * 8).sum()
    }
}
