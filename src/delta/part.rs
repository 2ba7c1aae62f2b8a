//! Some rows of a delta that have not been copied: what an exchange hands on. Who keeps rows copies them once, to where they
//! stay; who only looks at a column copies that.

use super::Delta;
use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::{take, take_arrays};
use arrow::error::ArrowError;

/// Rows from which on who keeps some of a column that others keep with him keeps it whole: fewer are copied, to lie with others.
pub const KEPT_WHOLE: usize = 1 << 11;

/// Rows of a delta.
#[derive(Debug, Clone)]
pub struct Part {
    delta: Delta,
    /// The numbers of its rows, in order; `None` = all.
    rows: Option<UInt32Array>,
    /// Its other rows have gone to others, each to one, and nearly all to such as have [`KEPT_WHOLE`] or more.
    dealt: bool,
}

/// Which rows of some columns.
#[derive(Debug, Clone, Copy)]
pub enum Chosen<'a> {
    /// All, so many.
    All(usize),
    /// Those of these numbers, which may be any of the columns' rows in any order.
    These(&'a UInt32Array),
    /// The same, and the columns' other rows are kept by others: a column that all keep takes no more memory than the copies of
    /// its parts that each would make.
    Dealt(&'a UInt32Array),
}

impl Chosen<'_> {
    /// How many they are.
    pub fn len(&self) -> usize {
        match self {
            Chosen::All(rows) => *rows,
            Chosen::These(rows) | Chosen::Dealt(rows) => rows.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Those rows of the columns, copied unless they are all.
    pub fn taken(&self, columns: &[ArrayRef]) -> Result<Vec<ArrayRef>, ArrowError> {
        match self {
            Chosen::All(_) => Ok(columns.to_vec()),
            Chosen::These(rows) | Chosen::Dealt(rows) => take_arrays(columns, rows, None),
        }
    }
}

impl From<Delta> for Part {
    fn from(delta: Delta) -> Self {
        Part { delta, rows: None, dealt: false }
    }
}

impl Part {
    /// All rows of a delta, each in one of the parts: of each the numbers of its rows, in order.
    pub fn deal(delta: &Delta, parts: Vec<UInt32Array>) -> Vec<Part> {
        // If few kept it whole and the others copied their rows, more would be kept than anybody counts as his.
        let whole: usize = parts.iter().map(UInt32Array::len).filter(|rows| *rows >= KEPT_WHOLE).sum();
        let dealt = whole >= delta.num_rows() - delta.num_rows() / 8;
        let part = |rows: UInt32Array| match rows.len() == delta.num_rows() {
            true => Part::from(delta.clone()),
            false => Part { delta: delta.clone(), rows: Some(rows), dealt },
        };
        parts.into_iter().map(part).collect()
    }

    /// Number of rows (not the sum of weights).
    pub fn num_rows(&self) -> usize {
        self.chosen().len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.num_rows() == 0
    }

    /// Whether every row has weight +1.
    pub fn is_unweighted(&self) -> bool {
        self.delta.weights.is_none()
    }

    /// The weight of row `row`.
    pub fn weight(&self, row: usize) -> i64 {
        let Some(weights) = &self.delta.weights else { return 1 };
        weights.value(self.rows.as_ref().map_or(row, |rows| rows.value(row) as usize))
    }

    /// The columns in which the rows are, with others.
    pub fn columns(&self) -> &[ArrayRef] {
        self.delta.batch.columns()
    }

    /// Which rows of [`Part::columns`] they are.
    pub fn chosen(&self) -> Chosen<'_> {
        match &self.rows {
            Some(rows) => Chosen::These(rows),
            None => Chosen::All(self.delta.num_rows()),
        }
    }

    /// The same for who keeps all of them as long as the other parts' rows are kept.
    pub fn to_keep(&self) -> Chosen<'_> {
        match &self.rows {
            Some(rows) if self.dealt => Chosen::Dealt(rows),
            _ => self.chosen(),
        }
    }

    /// One column.
    pub fn column(&self, column: usize) -> Result<ArrayRef, ArrowError> {
        let whole = self.delta.batch.column(column);
        match &self.rows {
            Some(rows) => take(whole, rows, None),
            None => Ok(whole.clone()),
        }
    }

    /// The same of some of the rows.
    pub fn some(&self, rows: &[u32]) -> Part {
        let rows = match &self.rows {
            Some(own) => rows.iter().map(|row| own.value(*row as usize)).collect::<Vec<u32>>().into(),
            None => UInt32Array::from(rows.to_vec()),
        };
        Part { delta: self.delta.clone(), rows: Some(rows), dealt: false }
    }

    /// The rows alone, copied unless they are all of the delta's.
    pub fn delta(&self) -> Result<Delta, ArrowError> {
        match &self.rows {
            Some(rows) => self.delta.take(rows),
            None => Ok(self.delta.clone()),
        }
    }

    /// How many numbers each row has beside its columns: its weight, its mark.
    pub fn numbers_beside(&self) -> usize {
        [&self.delta.weights, &self.delta.marks].into_iter().flatten().count()
    }

    /// How much of the delta they are, in rows: for estimates.
    pub fn share(&self) -> f64 {
        self.num_rows() as f64 / self.delta.num_rows().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::super::{draw, drawn};
    use super::*;
    use arrow::datatypes::{DataType, Field, Schema};
    use std::sync::Arc;

    #[test]
    fn a_part_is_what_would_have_been_copied() {
        let fields = vec![Field::new("a", DataType::Int64, true), Field::new("b", DataType::Utf8, true)];
        let schema = Arc::new(Schema::new(fields));
        let delta = drawn(&schema, "+ 1 x\n- 2 y\n+3 3 null\n+ 4 z\n");
        let parts = Part::deal(&delta, vec![UInt32Array::from(vec![1, 2, 3]), UInt32Array::from(vec![0])]);
        let [part, other] = parts.as_slice() else { panic!("{} parts", parts.len()) };
        assert_eq!(draw(&[other.delta().unwrap()]), "+ 1 x\n");
        assert_eq!(draw(&[part.delta().unwrap()]), "- 2 y\n+3 3 null\n+ 4 z\n");
        let some = part.some(&[2, 1, 1]);
        assert_eq!(draw(&[some.delta().unwrap()]), "+ 4 z\n+3 3 null\n+3 3 null\n");
        assert_eq!((0..3).map(|row| some.weight(row)).collect::<Vec<_>>(), [1, 3, 3]);
        assert_eq!(&some.column(1).unwrap(), some.delta().unwrap().batch.column(1));
        let all = Part::deal(&delta, vec![UInt32Array::from(vec![0, 1, 2, 3])]);
        assert!(matches!(all[0].chosen(), Chosen::All(4)));
        let whole = Part::from(delta.clone());
        assert_eq!((whole.num_rows(), draw(&[whole.delta().unwrap()])), (4, draw(&[delta])));
        assert_eq!(draw(&[whole.some(&[3]).delta().unwrap()]), "+ 4 z\n");
    }

    #[test]
    fn columns_are_kept_together_only_if_nearly_all_keep_them() {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        let rows = |n: usize| "+ 1\n".repeat(n);
        let kept = |sizes: &[usize]| {
            let delta = drawn(&schema, &rows(sizes.iter().sum()));
            let mut next = 0..;
            let parts = sizes.iter().map(|size| next.by_ref().take(*size).collect::<Vec<u32>>().into());
            let parts = Part::deal(&delta, parts.collect());
            parts.iter().map(|part| matches!(part.to_keep(), Chosen::Dealt(_))).collect::<Vec<bool>>()
        };
        // Sixteen workers: alike, one of them with much more than the others, one with less.
        assert_eq!(kept(&[3_000; 16]), [true; 16]);
        let mut sizes = [1_900; 16];
        sizes[3] = 20_000;
        assert_eq!(kept(&sizes), [false; 16]);
        sizes = [3_000; 16];
        sizes[7] = 500;
        assert_eq!(kept(&sizes), [true; 16]);
        assert_eq!(kept(&[500, 0, 1_000]), [false; 3]);
    }
}
