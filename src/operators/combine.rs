//! Rows that are equal in all that matters as one row that stands for several: before rows are multiplied by windows and
//! sent to other workers, where they are only counted.
//!
//! A row's weight says how many it stands for ("pre-aggregation" elsewhere; with weights it needs no functions of its own).

use crate::delta::Delta;
use crate::operators::Result;
use crate::state::keys::Keys;
use crate::state::words::{self, spread};
use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, RecordBatch};
use arrow::error::ArrowError;
use hashbrown::HashTable;

/// Rows of a batch below which it is not worth looking. Where debug assertions are on, whatever can be combined is: tests
/// have few rows.
const FEW: usize = if cfg!(debug_assertions) { 1 } else { 256 };
/// Batches that are let through once it has been seen that nothing is gained.
const PAUSE: u32 = 31;

/// Combines the rows of batches. It pauses while batches would not become half as long.
#[derive(Debug)]
pub(super) struct Combine {
    few: usize,
    pauses: bool,
    pause: u32,
    slots: Vec<usize>,
    pairs: Pairs,
}

impl Default for Combine {
    fn default() -> Self {
        Combine {
            few: FEW,
            pauses: !cfg!(debug_assertions),
            pause: 0,
            slots: Vec::new(),
            pairs: Pairs::default(),
        }
    }
}

impl Combine {
    /// The delta's rows, but that those which are equal in all columns except `time`, and have the same of `parts` (a column),
    /// are one row, whose time is that of `parts`. No row may be marked or null in `time`.
    pub(super) fn combine(&mut self, delta: Delta, time: usize, parts: &ArrayRef) -> Result<Delta> {
        if delta.num_rows() < self.few {
            return Ok(delta);
        }
        if self.pause > 0 {
            self.pause -= 1;
            return Ok(delta);
        }
        let schema = delta.batch.schema();
        let mut columns = delta.batch.columns().to_vec();
        columns[time] = parts.clone();
        let different = match Pairs::can(&columns) {
            true => self.pairs.intern(&columns, &mut self.slots)?,
            false => {
                let mut keys = Keys::new(schema.clone())?;
                keys.intern(&columns, delta.num_rows(), &mut self.slots)?;
                keys.take()?
            }
        };
        let len = different[time].len();
        if len * 2 > delta.num_rows() && self.pauses {
            self.pause = PAUSE;
            return Ok(delta);
        }
        let mut weights = vec![0i64; len];
        match &delta.weights {
            Some(own) => self.slots.iter().zip(own.values()).for_each(|(slot, w)| weights[*slot] += w),
            None => self.slots.iter().for_each(|slot| weights[*slot] += 1),
        }
        // Of what comes and goes in one batch nothing is left.
        let some: Option<BooleanArray> =
            weights.contains(&0).then(|| weights.iter().map(|w| Some(*w != 0)).collect());
        let batch = RecordBatch::try_new(schema, different)?;
        let combined = Delta::weighted(batch, Some(Int64Array::from(weights)));
        Ok(match some {
            Some(some) => combined.filter(&some)?,
            None => combined,
        })
    }
}

/// The different rows of two columns of numbers or times, most often of one key and the time.
#[derive(Debug, Default)]
struct Pairs {
    words: [Vec<u64>; 2],
    different: [Vec<u64>; 2],
    table: HashTable<u32>,
}

impl Pairs {
    /// Whether columns are such, without nulls.
    fn can(columns: &[ArrayRef]) -> bool {
        columns.len() == 2 && columns.iter().all(|c| words::fits(c.data_type()) && c.null_count() == 0)
    }

    /// Puts the number of each row into `slots`; gives the different rows in the order of their numbers.
    fn intern(
        &mut self,
        columns: &[ArrayRef],
        slots: &mut Vec<usize>,
    ) -> std::result::Result<Vec<ArrayRef>, ArrowError> {
        self.table.clear();
        self.different.iter_mut().for_each(Vec::clear);
        columns.iter().zip(&mut self.words).for_each(|(column, words)| words::words(column, words));
        let [a, b] = &mut self.different;
        let hash = |x: u64, y: u64| spread(x ^ y.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        slots.clear();
        slots.extend(self.words[0].iter().zip(&self.words[1]).map(|(x, y)| {
            let same = |slot: &u32| a[*slot as usize] == *x && b[*slot as usize] == *y;
            let hashed = hash(*x, *y);
            if let Some(slot) = self.table.find(hashed, same) {
                return *slot as usize;
            }
            let slot = a.len() as u32;
            a.push(*x);
            b.push(*y);
            self.table.insert_unique(hashed, slot, |slot| hash(a[*slot as usize], b[*slot as usize]));
            slot as usize
        }));
        let columns = columns.iter().zip(&self.different);
        columns.map(|(column, words)| words::column(column.data_type(), words, None)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delta::{consolidate, draw, drawn};
    use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
    use std::sync::Arc;

    fn schema() -> SchemaRef {
        let field = |name| Field::new(name, DataType::Int64, true);
        Arc::new(Schema::new(vec![field("ts"), field("k")]))
    }

    fn parts(delta: &Delta) -> ArrayRef {
        use arrow::array::AsArray;
        use arrow::datatypes::Int64Type;
        let times = delta.batch.column(0).as_primitive::<Int64Type>();
        Arc::new(Int64Array::from_iter(times.iter().map(|t| t.map(|t| t / 10 * 10))))
    }

    /// 600 rows of the times 0 to 19 and three keys.
    fn rows(weight: &str, keys: [&str; 3]) -> String {
        (0..600).map(|i| format!("{weight} {} {}\n", i % 20, keys[i % 3])).collect()
    }

    #[test]
    fn equal_rows_of_a_part_become_one() {
        let mut combine = Combine::default();
        for keys in [["null", "1", "2"], ["0", "1", "2"]] {
            for (weight, each) in [("+", 100), ("-", -100), ("+3", 300)] {
                let delta = drawn(&schema(), &rows(weight, keys));
                let parts = parts(&delta);
                let out = combine.combine(delta, 0, &parts).unwrap();
                assert_eq!(out.num_rows(), 6);
                let (batch, weights) = consolidate(&schema(), &[out]).unwrap();
                let part = |part| keys.map(|key| format!("{each:+} {part} {key}\n")).concat();
                assert_eq!(draw(&[Delta::weighted(batch, Some(weights))]), part(0) + &part(10));
            }
        }
    }

    #[test]
    fn what_would_not_become_less_is_let_through() {
        let mut combine = Combine { few: 256, pauses: true, ..Combine::default() };
        let different: String = (0..600).map(|i| format!("+ {i} {i}\n")).collect();
        for text in [&different, &rows("+", ["1", "2", "null"])] {
            let delta = drawn(&schema(), text);
            let parts = parts(&delta);
            assert_eq!(draw(&[combine.combine(delta.clone(), 0, &parts).unwrap()]), draw(&[delta]));
        }
        for _ in 1..PAUSE {
            let delta = drawn(&schema(), &rows("+", ["1", "2", "null"]));
            combine.combine(delta.clone(), 0, &parts(&delta)).unwrap();
        }
        let delta = drawn(&schema(), &rows("+", ["1", "2", "null"]));
        let parts = parts(&delta);
        assert_eq!(combine.combine(delta, 0, &parts).unwrap().num_rows(), 6);
    }
}
