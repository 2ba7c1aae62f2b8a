//! `count(DISTINCT x)` over rows that only come: one state for all calls that count the same values, whatever their FILTERs.

use super::call::{CallState, Input, Saved, misfit, nulls_of};
use crate::operators::Result;
use crate::state::seen::SeenValues;
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::take;
use arrow::datatypes::{Int64Type, UInt32Type};
use std::sync::Arc;

/// The different values of each group, and for which of the calls each has been seen.
pub(super) struct CountSeen {
    values: SeenValues,
    calls: usize,
    /// For each row of a batch the calls, as bits, for which it counts.
    marks: Vec<u32>,
}

impl CountSeen {
    /// No groups yet; `values` is of as many questions as there are calls.
    pub(super) fn new(values: SeenValues, calls: usize) -> Self {
        CountSeen { values, calls, marks: Vec::new() }
    }

    /// A value and group for each row, all of them for call `call`.
    fn load_values(&mut self, call: usize, groups: &[usize], values: &ArrayRef) -> Result<()> {
        Ok(self.values.add_telling(values, groups, &vec![1 << call; groups.len()], |_, _| ())?)
    }
}

impl CallState for CountSeen {
    fn grow(&mut self, total: usize) -> Result<()> {
        Ok(self.values.grow(total)?)
    }

    fn update(&mut self, input: &Input) -> Result<()> {
        let column = &input.values[0];
        mark_calls(&mut self.marks, column, input.filters);
        Ok(self.values.add(column, input.groups, &self.marks)?)
    }

    fn evaluate(&mut self, groups: &[usize]) -> Result<ArrayRef> {
        self.evaluate_call(0, groups)
    }

    fn evaluate_call(&mut self, call: usize, groups: &[usize]) -> Result<ArrayRef> {
        Ok(Arc::new(Int64Array::from_iter_values(groups.iter().map(|g| self.values.count(*g, call)))))
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
        let [column, marks] = columns else {
            return Err(misfit("values that have been seen need two columns".into()));
        };
        let Some(marks) = marks.as_primitive_opt::<UInt32Type>() else {
            return Err(misfit("which calls a value counts for has another type".into()));
        };
        let most = u32::MAX >> (u32::BITS as usize - self.calls);
        if marks.values().iter().any(|marks| *marks & !most != 0) {
            return Err(misfit("a value counts for a call that is not there".into()));
        }
        Ok(self.values.add_telling(column, groups, marks.values(), |_, _| ())?)
    }

    fn notes_added(&self) -> bool {
        self.values.notes_added()
    }

    fn begin_added(&mut self) {
        self.values.note_added();
    }

    fn save_added(&mut self, groups: &[usize]) -> Result<Saved> {
        let (groups, columns) = self.values.take_added(groups)?;
        Ok(Saved { groups: Some(groups), columns })
    }

    /// Builds before this one kept values with weights for each call; the library's accumulators, where only final results go
    /// out, a list of values for each group.
    fn load_older(&mut self, call: usize, groups: &[usize], columns: &[ArrayRef]) -> Result<bool> {
        match columns {
            [values, weights] if weights.as_primitive_opt::<Int64Type>().is_some() => {
                self.load_values(call, groups, values)?;
            }
            [lists] if lists.as_list_opt::<i32>().is_some() => {
                let lists = lists.as_list::<i32>();
                let rows = (0..lists.len()).flat_map(|row| vec![row; lists.value_length(row) as usize]);
                let rows: Vec<usize> = rows.collect();
                let (from, to) = (lists.offsets()[0] as usize, lists.offsets()[lists.len()] as usize);
                let values = lists.values().slice(from, to - from);
                let some = UInt32Array::from_iter_values(
                    (0..values.len()).filter(|i| values.is_valid(*i)).map(|i| i as u32),
                );
                let groups: Vec<usize> = some.values().iter().map(|i| groups[rows[*i as usize]]).collect();
                self.load_values(call, &groups, &take(&values, &some, None)?)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn entries(&self) -> usize {
        self.values.entries()
    }

    fn bytes(&self) -> usize {
        self.values.bytes() + self.marks.capacity() * size_of::<u32>()
    }
}

/// For each row of a column of values the calls, by their filters, for which it counts: none if it is null.
pub(super) fn mark_calls(marks: &mut Vec<u32>, column: &ArrayRef, filters: &[Option<&BooleanBuffer>]) {
    marks.clear();
    marks.resize(column.len(), 0);
    for (call, filter) in filters.iter().enumerate() {
        match filter {
            None => marks.iter_mut().for_each(|marks| *marks |= 1 << call),
            Some(filter) => mark(marks, filter, call),
        }
    }
    if let Some(nulls) = nulls_of(column).filter(|nulls| nulls.null_count() > 0) {
        (!nulls.inner()).set_indices().for_each(|row| marks[row] = 0);
    }
}

/// Adds the call to the marks of the rows of its filter.
pub(super) fn mark(marks: &mut [u32], filter: &BooleanBuffer, call: usize) {
    for (marks, passing) in marks.chunks_mut(64).zip(filter.bit_chunks().iter_padded()) {
        for (row, marks) in marks.iter_mut().enumerate() {
            *marks |= ((passing >> row) as u32 & 1) << call;
        }
    }
}
