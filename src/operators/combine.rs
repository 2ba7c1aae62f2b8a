//! Rows that are equal in all that matters as one row that stands for several: before rows are multiplied by windows and
//! sent to other workers, where they are only counted.
//!
//! A row's weight says how many it stands for ("pre-aggregation" elsewhere; with weights it needs no functions of its own).

use crate::delta::Delta;
use crate::operators::Result;
use crate::state::keys::Keys;
use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch};

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
}

impl Default for Combine {
    fn default() -> Self {
        Combine { few: FEW, pauses: !cfg!(debug_assertions), pause: 0, slots: Vec::new() }
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
        let mut keys = Keys::new(schema.clone())?;
        keys.intern(&columns, delta.num_rows(), &mut self.slots)?;
        if keys.len() * 2 > delta.num_rows() && self.pauses {
            self.pause = PAUSE;
            return Ok(delta);
        }
        let mut weights = vec![0i64; keys.len()];
        match &delta.weights {
            Some(own) => self.slots.iter().zip(own.values()).for_each(|(slot, w)| weights[*slot] += w),
            None => self.slots.iter().for_each(|slot| weights[*slot] += 1),
        }
        // Of what comes and goes in one batch nothing is left.
        let some: Option<BooleanArray> =
            weights.contains(&0).then(|| weights.iter().map(|w| Some(*w != 0)).collect());
        let batch = RecordBatch::try_new(schema, keys.take()?)?;
        let combined = Delta::weighted(batch, Some(Int64Array::from(weights)));
        Ok(match some {
            Some(some) => combined.filter(&some)?,
            None => combined,
        })
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

    /// 600 rows of the times 0 to 19 and three keys, one of them null.
    fn rows(weight: &str) -> String {
        let key = |i: usize| ["1", "2", "null"][i % 3];
        (0..600).map(|i| format!("{weight} {} {}\n", i % 20, key(i))).collect()
    }

    #[test]
    fn equal_rows_of_a_part_become_one() {
        let mut combine = Combine::default();
        for (weight, each) in [("+", 100), ("-", -100), ("+3", 300)] {
            let delta = drawn(&schema(), &rows(weight));
            let parts = parts(&delta);
            let out = combine.combine(delta, 0, &parts).unwrap();
            assert_eq!(out.num_rows(), 6);
            let (batch, weights) = consolidate(&schema(), &[out]).unwrap();
            let expected: String = ["0 null", "0 1", "0 2", "10 null", "10 1", "10 2"]
                .map(|row| format!("{each:+} {row}\n"))
                .concat();
            assert_eq!(draw(&[Delta::weighted(batch, Some(weights))]), expected);
        }
    }

    #[test]
    fn what_would_not_become_less_is_let_through() {
        let mut combine = Combine { few: 256, pauses: true, ..Combine::default() };
        let different: String = (0..600).map(|i| format!("+ {i} {i}\n")).collect();
        for text in [&different, &rows("+")] {
            let delta = drawn(&schema(), text);
            let parts = parts(&delta);
            assert_eq!(draw(&[combine.combine(delta.clone(), 0, &parts).unwrap()]), draw(&[delta]));
        }
        for _ in 1..PAUSE {
            let delta = drawn(&schema(), &rows("+"));
            combine.combine(delta.clone(), 0, &parts(&delta)).unwrap();
        }
        let delta = drawn(&schema(), &rows("+"));
        let parts = parts(&delta);
        assert_eq!(combine.combine(delta, 0, &parts).unwrap().num_rows(), 6);
    }
}
