//! Key columns → slot numbers, in order of first appearance. Slots are numbered from 0 and stay
//! until [`Keys::retain`] drops some; there is no deletion of a single key.

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::logical_expr::EmitTo;
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;

/// The keys that are known, and their slots.
pub struct Keys {
    /// `None` without key columns: then there is at most slot 0.
    table: Option<Box<dyn GroupValues>>,
    schema: SchemaRef,
    single: bool,
}

impl Keys {
    /// No keys yet; `schema` holds the key columns.
    pub fn new(schema: SchemaRef) -> Result<Self> {
        let table = if schema.fields().is_empty() {
            None
        } else {
            Some(new_group_values(schema.clone(), &GroupOrdering::None)?)
        };
        Ok(Keys { table, schema, single: false })
    }

    /// Puts the slot of each of the `rows` rows of `columns` into `slots`; new keys get new slots.
    pub fn intern(&mut self, columns: &[ArrayRef], rows: usize, slots: &mut Vec<usize>) -> Result<()> {
        if let Some(table) = &mut self.table {
            return table.intern(columns, slots);
        }
        slots.clear();
        slots.resize(rows, 0);
        self.single |= rows > 0;
        Ok(())
    }

    /// Number of slots.
    pub fn len(&self) -> usize {
        self.table.as_ref().map_or(usize::from(self.single), |t| t.len())
    }

    /// Whether there is no slot.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The key columns, one row a slot. The table has to be built again for it: O(slots).
    pub fn columns(&mut self) -> Result<Vec<ArrayRef>> {
        let columns = self.take()?;
        self.rebuild(&columns)?;
        Ok(columns)
    }

    /// The key columns, one row a slot; no key is left.
    pub fn take(&mut self) -> Result<Vec<ArrayRef>> {
        self.single = false;
        match &mut self.table {
            Some(table) if !table.is_empty() => table.emit(EmitTo::All),
            _ => Ok(self
                .schema
                .fields()
                .iter()
                .map(|f| arrow::array::new_empty_array(f.data_type()))
                .collect()),
        }
    }

    /// Keeps the slots `ids` as slots `0..`, in that order, and forgets the other keys. Gives the columns of all keys that
    /// there were.
    pub fn retain(&mut self, ids: &[usize]) -> Result<Vec<ArrayRef>> {
        if self.table.is_none() {
            self.single &= !ids.is_empty();
            return Ok(vec![]);
        }
        let indices = UInt32Array::from_iter_values(ids.iter().map(|id| *id as u32));
        let columns = self.take()?;
        let kept = columns.iter().map(|c| take(c, &indices, None)).collect::<Result<Vec<_>, _>>()?;
        self.rebuild(&kept)?;
        Ok(columns)
    }

    /// Fills the empty table with different keys, in order. A fresh table, so that memory is given back.
    fn rebuild(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let rows = columns.first().map_or(0, |c| c.len());
        let mut slots = Vec::with_capacity(rows);
        *self = Keys::new(self.schema.clone())?;
        self.intern(columns, rows, &mut slots)?;
        // Of a batch's keys the table numbers those last whose hash another has. That is no rare thing: it leaves nulls out of
        // the hash, so that (x, null) and (null, x) have the same.
        let mut next = 0;
        let last: Vec<usize> = (0..rows)
            .filter(|row| {
                slots[*row] != next || {
                    next += 1;
                    false
                }
            })
            .collect();
        if last.is_empty() {
            return Ok(());
        }
        *self = Keys::new(self.schema.clone())?;
        let mut from = 0;
        for row in last {
            for (from, to) in [(from, row), (row, row + 1)].into_iter().filter(|(from, to)| from < to) {
                let part: Vec<ArrayRef> = columns.iter().map(|c| c.slice(from, to - from)).collect();
                self.intern(&part, to - from, &mut slots)?;
            }
            from = row + 1;
        }
        let rest: Vec<ArrayRef> = columns.iter().map(|c| c.slice(from, rows - from)).collect();
        if rows > from { self.intern(&rest, rows - from, &mut slots) } else { Ok(()) }
    }

    /// Bytes held, roughly.
    pub fn bytes(&self) -> usize {
        self.table.as_ref().map_or(0, |t| t.size())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};
    use std::sync::Arc;

    #[test]
    fn slots_are_numbered_by_first_appearance_and_renumbered_by_retain() {
        let fields = vec![Field::new("a", DataType::Int64, true), Field::new("b", DataType::Utf8, true)];
        let mut keys = Keys::new(Arc::new(Schema::new(fields))).unwrap();
        let a: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None, Some(7), Some(3)]));
        let b: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), None, Some("x"), Some("y")]));
        let mut slots = Vec::new();
        keys.intern(&[a.clone(), b.clone()], 4, &mut slots).unwrap();
        assert_eq!(slots, [0, 1, 0, 2]);
        assert_eq!(keys.columns().unwrap()[0].len(), 3);
        keys.retain(&[2, 1]).unwrap();
        keys.intern(&[a, b], 4, &mut slots).unwrap();
        assert_eq!(slots, [2, 1, 2, 0]);
        assert_eq!((keys.take().unwrap()[1].len(), keys.len()), (3, 0));
    }

    #[test]
    fn keys_with_equal_hashes_keep_their_places() {
        let fields = ["a", "b", "c"].map(|name| Field::new(name, DataType::Utf8, true));
        let mut keys = Keys::new(Arc::new(Schema::new(fields.to_vec()))).unwrap();
        let values = [None, Some("x"), Some("y"), Some("")];
        let all: Vec<[Option<&str>; 3]> = values
            .iter()
            .flat_map(|a| values.iter().flat_map(move |b| values.map(|c| [*a, *b, c])))
            .collect();
        let column =
            |i: usize| -> ArrayRef { Arc::new(all.iter().map(|row| row[i]).collect::<StringArray>()) };
        let columns = [column(0), column(1), column(2)];
        let mut slots = Vec::new();
        keys.intern(&columns, all.len(), &mut slots).unwrap();
        let before = keys.columns().unwrap();
        let mut again = Vec::new();
        keys.intern(&columns, all.len(), &mut again).unwrap();
        assert_eq!(again, slots, "to look changes nothing");
        let kept: Vec<usize> = (0..all.len()).filter(|slot| slot % 3 != 1).rev().collect();
        keys.retain(&kept).unwrap();
        let kept = UInt32Array::from_iter_values(kept.into_iter().map(|slot| slot as u32));
        let after = keys.columns().unwrap();
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(&take(before, &kept, None).unwrap(), after);
        }
        keys.intern(&after, kept.len(), &mut slots).unwrap();
        assert_eq!(slots, (0..kept.len()).collect::<Vec<_>>());
    }

    #[test]
    fn without_key_columns_there_is_one_slot() {
        let mut keys = Keys::new(Arc::new(Schema::empty())).unwrap();
        assert!(keys.is_empty());
        let mut slots = Vec::new();
        keys.intern(&[], 3, &mut slots).unwrap();
        assert_eq!((slots, keys.len()), (vec![0, 0, 0], 1));
        keys.retain(&[]).unwrap();
        assert!(keys.is_empty());
    }
}
