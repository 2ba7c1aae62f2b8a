//! The first or last of a group's values: `min`, `max`, `first_value`, `last_value`, `any_value`.
//!
//! Three ways to keep it: a primitive inline, or one row's bytes (input only grows: the best so far
//! is enough), or all rows in an ordered bag (the best may be taken back). Which of several rows is
//! first is told by ORDER BY, ties by the value itself; never by arrival. Nulls come last there, so
//! that `first_value` and `last_value` without ORDER BY give a value if there is one.

use super::call::{CallState, Input, Saved, misfit, nulls_of, primitive, retain_by};
use crate::operators::Result;
use crate::state::bag::{Bags, RowCodec};
use arrow::array::{
    Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, PrimitiveArray, UInt32Array,
    new_null_array,
};
use arrow::compute::take;
use arrow::datatypes::{DataType, Int64Type};
use std::sync::Arc;

/// Which end of the order is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    First,
    Last,
}

/// `min` or `max` of a primitive type over input that only grows. Floats in total order: NaN is
/// greatest, whatever came first.
pub(super) struct PrimitiveExtreme<T: ArrowPrimitiveType> {
    best: Vec<Option<T::Native>>,
    end: End,
    data_type: DataType,
}

impl<T: ArrowPrimitiveType> PrimitiveExtreme<T> {
    /// No groups yet.
    pub(super) fn new(end: End, data_type: DataType) -> Self {
        PrimitiveExtreme { best: vec![], end, data_type }
    }
}

/// Takes `x` if it is better than what is kept.
#[inline]
fn offer<N: ArrowNativeTypeOp>(kept: &mut Option<N>, x: N, end: End) {
    let better = kept.is_none_or(|kept| match end {
        End::First => x.is_lt(kept),
        End::Last => x.is_gt(kept),
    });
    if better {
        *kept = Some(x);
    }
}

impl<T: ArrowPrimitiveType> CallState for PrimitiveExtreme<T> {
    fn grow(&mut self, total: usize) -> Result<()> {
        self.best.resize(total.max(self.best.len()), None);
        Ok(())
    }

    fn update(&mut self, input: &Input) -> Result<()> {
        let array = input.values[0].as_primitive::<T>();
        let (values, best, end) = (array.values(), &mut self.best, self.end);
        input.each(array.nulls(), |row, group, _| offer(&mut best[group], values[row], end));
        Ok(())
    }

    fn evaluate(&mut self, groups: &[usize]) -> Result<ArrayRef> {
        let array = PrimitiveArray::<T>::from_iter(groups.iter().map(|g| self.best[*g]));
        Ok(Arc::new(array.with_data_type(self.data_type.clone())))
    }

    fn retain(&mut self, groups: &[usize]) -> Result<()> {
        retain_by(&mut self.best, groups);
        Ok(())
    }

    fn save(&mut self, groups: &[usize]) -> Result<Saved> {
        Ok(Saved { groups: None, columns: vec![self.evaluate(groups)?] })
    }

    fn load(&mut self, groups: &[usize], columns: &[ArrayRef]) -> Result<()> {
        let saved = primitive::<T>(columns, 0)?;
        for (group, value) in groups.iter().zip(saved.iter()) {
            value.into_iter().for_each(|x| offer(&mut self.best[*group], x, self.end));
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.best.capacity() * size_of::<Option<T::Native>>()
    }
}

/// Which rows an end is sought among, and what of the row is wanted.
#[derive(Debug, Clone)]
pub(super) struct EndOf {
    pub(super) end: End,
    /// Which input column is the result.
    pub(super) result: usize,
    /// Whether rows where the result is null are left out.
    pub(super) skip_null: bool,
    /// The result's type.
    pub(super) data_type: DataType,
}

impl EndOf {
    /// Rows to take in.
    fn rows(&self, input: &Input) -> Box<dyn Iterator<Item = usize>> {
        let nulls = if self.skip_null { nulls_of(&input.values[self.result]) } else { None };
        input.rows(nulls.as_ref())
    }

    /// One result a row of bytes, null for none.
    fn results<'a>(
        &self,
        rows: impl Iterator<Item = Option<&'a [u8]>>,
        decode: impl FnOnce(&[&'a [u8]]) -> Result<Vec<ArrayRef>, arrow::error::ArrowError>,
    ) -> Result<ArrayRef> {
        let mut found = Vec::new();
        let indices: UInt32Array = rows
            .map(|row| {
                found.push(row?);
                Some(found.len() as u32 - 1)
            })
            .collect();
        if found.is_empty() {
            return Ok(new_null_array(&self.data_type, indices.len()));
        }
        let column = decode(&found)?.swap_remove(self.result);
        Ok(if indices.null_count() == 0 { column } else { take(&column, &indices, None)? })
    }
}

/// An end over input that only grows: one row a group.
pub(super) struct BestRow {
    of: EndOf,
    codec: RowCodec,
    best: Vec<Option<Box<[u8]>>>,
    bytes: usize,
}

impl BestRow {
    /// No groups yet; `codec` encodes the call's inputs.
    pub(super) fn new(of: EndOf, codec: RowCodec) -> Self {
        BestRow { of, codec, best: vec![], bytes: 0 }
    }

    fn offer(
        &mut self,
        columns: &[ArrayRef],
        groups: &[usize],
        rows: impl Iterator<Item = usize>,
    ) -> Result<()> {
        let encoded = self.codec.encode(columns)?;
        for i in rows {
            let row = encoded.row(i);
            let (new, best): (&[u8], _) = (row.as_ref(), &mut self.best[groups[i]]);
            let better = match (&best, self.of.end) {
                (None, _) => true,
                (Some(old), End::First) => *new < **old,
                (Some(old), End::Last) => *new > **old,
            };
            if better {
                self.bytes += new.len();
                self.bytes -= best.as_ref().map_or(0, |old| old.len());
                *best = Some(new.into());
            }
        }
        Ok(())
    }
}

impl CallState for BestRow {
    fn grow(&mut self, total: usize) -> Result<()> {
        self.best.resize(total.max(self.best.len()), None);
        Ok(())
    }

    fn update(&mut self, input: &Input) -> Result<()> {
        self.offer(input.values, input.groups, self.of.rows(input))
    }

    fn evaluate(&mut self, groups: &[usize]) -> Result<ArrayRef> {
        let rows = groups.iter().map(|g| self.best[*g].as_deref());
        self.of.results(rows, |found| self.codec.decode(found.iter().copied()))
    }

    fn retain(&mut self, groups: &[usize]) -> Result<()> {
        self.best = groups.iter().map(|g| self.best[*g].take()).collect();
        self.bytes = self.best.iter().flatten().map(|row| row.len()).sum();
        Ok(())
    }

    fn save(&mut self, groups: &[usize]) -> Result<Saved> {
        let some = || groups.iter().enumerate().filter_map(|(i, g)| Some((i, self.best[*g].as_deref()?)));
        let columns = self.codec.decode(some().map(|(_, row)| row))?;
        Ok(Saved { groups: Some(some().map(|(i, _)| i).collect()), columns })
    }

    fn load(&mut self, groups: &[usize], columns: &[ArrayRef]) -> Result<()> {
        self.offer(columns, groups, 0..groups.len())
    }

    fn entries(&self) -> usize {
        self.best.len()
    }

    fn bytes(&self) -> usize {
        self.bytes + self.best.capacity() * size_of::<Option<Box<[u8]>>>()
    }
}

/// An end over input that changes: all rows, in order.
pub(super) struct BagEnd {
    of: EndOf,
    bags: Bags,
}

impl BagEnd {
    /// No groups yet; `codec` encodes the call's inputs.
    pub(super) fn new(of: EndOf, codec: RowCodec) -> Self {
        BagEnd { of, bags: Bags::new(codec) }
    }
}

impl CallState for BagEnd {
    fn grow(&mut self, total: usize) -> Result<()> {
        self.bags.grow(total);
        Ok(())
    }

    fn update(&mut self, input: &Input) -> Result<()> {
        let rows = self.of.rows(input);
        Ok(self.bags.add(input.values, input.groups, rows, |i| input.weight(i))?)
    }

    fn evaluate(&mut self, groups: &[usize]) -> Result<ArrayRef> {
        let end = |g: &usize| match self.of.end {
            End::First => self.bags.rows(*g).next(),
            End::Last => self.bags.rows(*g).next_back(),
        };
        let rows = groups.iter().map(|g| end(g).map(|(row, _)| row));
        self.of.results(rows, |found| self.bags.decode(found.iter().copied()))
    }

    fn retain(&mut self, groups: &[usize]) -> Result<()> {
        self.bags.retain(groups);
        Ok(())
    }

    fn save(&mut self, groups: &[usize]) -> Result<Saved> {
        let (groups, columns) = self.bags.save(groups)?;
        Ok(Saved { groups: Some(groups), columns })
    }

    fn load(&mut self, groups: &[usize], columns: &[ArrayRef]) -> Result<()> {
        load_bags(&mut self.bags, groups, columns)
    }

    fn entries(&self) -> usize {
        self.bags.entries()
    }

    fn bytes(&self) -> usize {
        self.bags.bytes()
    }
}

/// Adds what [`Bags::save`] gave.
pub(super) fn load_bags(bags: &mut Bags, groups: &[usize], columns: &[ArrayRef]) -> Result<()> {
    let Some((weights, rows)) = columns.split_last() else {
        return Err(misfit("a bag without columns".into()));
    };
    let weights = primitive::<Int64Type>(std::slice::from_ref(weights), 0)?;
    Ok(bags.add(rows, groups, 0..groups.len(), |i| weights.value(i))?)
}
