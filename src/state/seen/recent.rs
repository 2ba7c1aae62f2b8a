//! Which of the values that come have come lately: a table of fixed size that forgets the older of two values that want one place.

use super::super::words::{self as column_words, spread};
use super::{MOST, SeenValues};
use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

/// Places for values that are words: 128 KiB, so that the tables of several columns lie in a core's own cache.
const PLACES: usize = 1 << 13;
/// Bytes of other values, beyond which all are forgotten.
const MOST_BYTES: usize = 1 << 20;

/// Values of slots with the questions for which they have been seen, as far as they are remembered.
#[derive(Debug)]
pub struct RecentValues {
    data_type: DataType,
    questions: usize,
    values: Values,
}

#[derive(Debug)]
enum Values {
    /// In each place a value, and the slot with below it the marks; without marks it is free.
    Words(Vec<[u64; 2]>, Vec<u64>),
    Others(Box<SeenValues>),
}

impl RecentValues {
    /// No values yet, of type `data_type`, for at most [`MOST`] questions; an error if values of the type cannot be kept.
    pub fn new(data_type: &DataType, questions: usize) -> Result<Self, ArrowError> {
        debug_assert!((1..=MOST).contains(&questions), "{questions} questions");
        let values = if column_words::fits(data_type) {
            Values::Words(vec![[0; 2]; PLACES], Vec::new())
        } else {
            Values::Others(Box::new(SeenValues::new(data_type, questions)?))
        };
        Ok(RecentValues { data_type: data_type.clone(), questions, values })
    }

    /// Row `i` shows value `i` of `column` to slot `slots[i]`, below `total`, for the questions whose bits `marks[i]` has.
    /// `new` is told the rows whose value is not known to have been seen for each of them.
    pub fn add(
        &mut self,
        column: &ArrayRef,
        (slots, total): (&[usize], usize),
        marks: &[u32],
        mut new: impl FnMut(usize),
    ) -> Result<(), ArrowError> {
        debug_assert_eq!(*column.data_type(), self.data_type);
        match &mut self.values {
            Values::Words(places, words) => {
                column_words::words(column, words);
                for (row, ((value, slot), marks)) in words.iter().zip(slots).zip(marks).enumerate() {
                    let (of, marks) = ((*slot as u64) << 32, u64::from(*marks));
                    let hash = spread(value ^ (*slot as u64).rotate_left(32));
                    let place = &mut places[(hash >> (u64::BITS - PLACES.trailing_zeros())) as usize];
                    let known =
                        if *place == [*value, of | place[1] as u32 as u64] { place[1] as u32 } else { 0 };
                    if marks & !u64::from(known) != 0 {
                        *place = [*value, of | u64::from(known) | marks];
                        new(row);
                    }
                }
            }
            Values::Others(values) => {
                values.grow(total)?;
                values.add_telling(column, slots, marks, |row, _| new(row))?;
                if values.bytes() > MOST_BYTES {
                    self.forget()?;
                }
            }
        }
        Ok(())
    }

    /// Forgets all.
    pub fn forget(&mut self) -> Result<(), ArrowError> {
        match &mut self.values {
            Values::Words(places, _) => places.fill([0; 2]),
            Values::Others(values) => **values = SeenValues::new(&self.data_type, self.questions)?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;
    use arrow::compute::cast;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    /// Whatever is forgotten: what has not been seen is always told, and what came last is known.
    #[test]
    fn what_is_new_is_always_told() {
        let mut random = 3u64;
        let mut draw = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        for data_type in [DataType::Int64, DataType::Int32, DataType::Utf8] {
            let mut recent = RecentValues::new(&data_type, 3).unwrap();
            let mut seen: BTreeMap<(usize, i64), u32> = BTreeMap::new();
            let (mut told, mut known) = (0, 0);
            for _ in 0..60 {
                let rows = 2000;
                let numbers: Vec<i64> = (0..rows)
                    .map(|_| {
                        let most = 1 << draw(16);
                        draw(most) as i64
                    })
                    .collect();
                let slots: Vec<usize> = (0..rows).map(|_| draw(3) as usize).collect();
                let marks: Vec<u32> = (0..rows).map(|_| draw(8) as u32).collect();
                let column: ArrayRef = Arc::new(Int64Array::from(numbers.clone()));
                let column = cast(&column, &data_type).unwrap();
                let mut new = vec![false; rows];
                recent.add(&column, (&slots, 3), &marks, |row| new[row] = true).unwrap();
                for row in 0..rows {
                    let entry = seen.entry((slots[row], numbers[row])).or_default();
                    assert!(new[row] || marks[row] & !*entry == 0, "row {row} is new");
                    *entry |= marks[row];
                    told += usize::from(new[row]);
                    known += usize::from(!new[row]);
                }
                new.fill(false);
                recent
                    .add(&column.slice(rows - 1, 1), (&slots[rows - 1..], 3), &marks[rows - 1..], |row| {
                        new[row] = true
                    })
                    .unwrap();
                assert!(!new[0] || data_type == DataType::Utf8, "the last is known");
            }
            assert!(told > seen.len() / 2 && known > told / 4, "{data_type}: {told} told, {known} known");
            recent.forget().unwrap();
            let mut new = 0;
            let zero = cast(&(Arc::new(Int64Array::from(vec![0])) as ArrayRef), &data_type).unwrap();
            recent.add(&zero, (&[0], 1), &[1], |_| new += 1).unwrap();
            assert_eq!(new, 1);
        }
    }
}
