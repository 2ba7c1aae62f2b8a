//! The result of a continuous query as it is now: its changes, folded.
//!
//! Rows are kept as bytes that compare as the rows are ordered, so that the first rows can be drawn without looking at the
//! others, and a change costs what it is, not what there is.

use crate::engine::Listing;
use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use std::collections::{BTreeMap, HashMap};

/// The place of a row: what it is ordered by, then the row itself.
type Place = (Box<[u8]>, Box<[u8]>);

/// The rows of a result.
pub(super) struct Fold {
    schema: SchemaRef,
    /// The columns that order the rows.
    order: Vec<usize>,
    ordering: RowConverter,
    whole: RowConverter,
    /// The columns that tell rows apart; empty = all of them.
    key: Vec<usize>,
    rows: BTreeMap<Place, i64>,
    total: i64,
    changes: u64,
}

/// The rows that are drawn.
pub(super) struct Top {
    pub(super) batch: RecordBatch,
    /// What tells each of them apart.
    pub(super) keys: Vec<String>,
    /// All rows that there are.
    pub(super) total: u64,
}

impl Fold {
    /// An empty result. Fails for columns that cannot be compared.
    pub(super) fn new(schema: SchemaRef, listing: &Listing) -> Result<Self, ArrowError> {
        let kind = |column: usize| schema.field(column).data_type().clone();
        let mut order: Vec<usize> = listing.order.iter().map(|o| o.column).collect();
        let mut fields: Vec<SortField> = listing
            .order
            .iter()
            .map(|o| {
                let options = SortOptions { descending: o.descending, nulls_first: o.nulls_first };
                SortField::new_with_options(kind(o.column), options)
            })
            .collect();
        for column in listing.key.iter().filter(|k| !listing.order.iter().any(|o| o.column == **k)) {
            order.push(*column);
            fields.push(SortField::new(kind(*column)));
        }
        let whole = (0..schema.fields().len()).map(|c| SortField::new(kind(c))).collect();
        Ok(Fold {
            order,
            ordering: RowConverter::new(fields)?,
            whole: RowConverter::new(whole)?,
            key: listing.key.clone(),
            rows: BTreeMap::new(),
            total: 0,
            changes: 0,
            schema,
        })
    }

    /// Takes changes in.
    pub(super) fn apply(
        &mut self,
        batch: &RecordBatch,
        weights: Option<&Int64Array>,
    ) -> Result<(), ArrowError> {
        let ordering: Vec<ArrayRef> = self.order.iter().map(|c| batch.column(*c).clone()).collect();
        let whole = self.whole.convert_columns(batch.columns())?;
        let ordered = match ordering.is_empty() {
            true => None,
            false => Some(self.ordering.convert_columns(&ordering)?),
        };
        for row in 0..batch.num_rows() {
            let first = ordered.as_ref().map_or(&[][..], |o| o.row(row).data());
            let place: Place = (first.into(), whole.row(row).data().into());
            let weight = weights.map_or(1, |w| w.value(row));
            self.total += weight;
            self.changes += weight.unsigned_abs();
            match self.rows.entry(place) {
                std::collections::btree_map::Entry::Vacant(entry) => {
                    if weight != 0 {
                        entry.insert(weight);
                    }
                }
                std::collections::btree_map::Entry::Occupied(mut entry) => {
                    *entry.get_mut() += weight;
                    if *entry.get() == 0 {
                        entry.remove();
                    }
                }
            }
        }
        Ok(())
    }

    /// Changes since this was asked last.
    pub(super) fn take_changes(&mut self) -> u64 {
        std::mem::take(&mut self.changes)
    }

    /// The first rows, at most so many.
    pub(super) fn top(&self, most: usize) -> Result<Top, ArrowError> {
        let mut rows: Vec<&[u8]> = Vec::with_capacity(most.min(self.rows.len()));
        'rows: for ((_, row), weight) in &self.rows {
            for _ in 0..(*weight).max(0) {
                if rows.len() == most {
                    break 'rows;
                }
                rows.push(row);
            }
        }
        let parser = self.whole.parser();
        let columns = self.whole.convert_rows(rows.iter().map(|row| parser.parse(row)))?;
        // A column's type may come back in another encoding than it is announced in.
        let batch = RecordBatch::try_from_iter_with_nullable(
            self.schema.fields().iter().zip(columns).map(|(f, c)| (f.name().clone(), c, true)),
        )
        .or_else(|error| {
            if rows.is_empty() { Ok(RecordBatch::new_empty(self.schema.clone())) } else { Err(error) }
        })?;
        let cells = crate::cli::print::cells(&batch, usize::MAX)?;
        let key = |cells: &Vec<Option<String>>| {
            let columns: Vec<usize> =
                if self.key.is_empty() { (0..cells.len()).collect() } else { self.key.clone() };
            columns.iter().map(|c| cells[*c].as_deref().unwrap_or("\u{0}")).collect::<Vec<_>>().join("\u{1}")
        };
        let keys = cells.iter().map(key).collect();
        Ok(Top { batch, keys, total: u64::try_from(self.total).unwrap_or(0) })
    }
}

/// Which cells differ from those that were drawn before, by the rows' keys.
#[derive(Default)]
pub(super) struct Drawn {
    rows: HashMap<String, Vec<Option<String>>>,
    marked: Vec<Vec<bool>>,
}

impl Drawn {
    /// The cells that are to be marked, and how many rows have changed since they were drawn last. Marks stay until the next
    /// change comes, so that they can be seen; a result that is drawn for the first time has none.
    pub(super) fn marks(
        &mut self,
        keys: &[String],
        cells: &[Vec<Option<String>>],
        changes: u64,
    ) -> (Vec<Vec<bool>>, u64) {
        let first = self.rows.is_empty();
        let changed = self.changed(keys, cells);
        let seen = changed.iter().filter(|row| row.contains(&true)).count() as u64;
        if first {
            self.marked = changed.iter().map(|row| vec![false; row.len()]).collect();
        } else if changes > 0 || self.marked.len() != changed.len() {
            self.marked = changed;
        }
        (self.marked.clone(), seen)
    }

    /// For each row and cell whether it is new or has changed; then these are the ones that were drawn.
    fn changed(&mut self, keys: &[String], cells: &[Vec<Option<String>>]) -> Vec<Vec<bool>> {
        let changed = keys
            .iter()
            .zip(cells)
            .map(|(key, row)| match self.rows.get(key) {
                Some(before) => row.iter().zip(before).map(|(now, before)| now != before).collect(),
                None => vec![true; row.len()],
            })
            .collect();
        self.rows = keys.iter().cloned().zip(cells.iter().cloned()).collect();
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Ordered;
    use arrow::array::{Float64Array, StringArray};
    use std::sync::Arc;

    fn batch(rows: &[(&str, Option<f64>)]) -> RecordBatch {
        let names: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.0)));
        let values: ArrayRef = Arc::new(Float64Array::from_iter(rows.iter().map(|r| r.1)));
        RecordBatch::try_from_iter_with_nullable([("name", names, true), ("value", values, true)]).unwrap()
    }

    fn shown(fold: &Fold, most: usize) -> Vec<String> {
        let top = fold.top(most).unwrap();
        let cells = crate::cli::print::cells(&top.batch, 100).unwrap();
        cells
            .iter()
            .map(|r| r.iter().map(|c| c.as_deref().unwrap_or("NULL")).collect::<Vec<_>>().join(" "))
            .collect()
    }

    #[test]
    fn changes_fold_into_the_rows_in_their_order() {
        let order = vec![Ordered { column: 1, descending: true, nulls_first: false }];
        let listing = Listing { key: vec![0], order, ..Listing::default() };
        let first = batch(&[("a", Some(1.0)), ("b", Some(3.0)), ("c", None), ("d", Some(2.0))]);
        let mut fold = Fold::new(first.schema(), &listing).unwrap();
        assert!(shown(&fold, 5).is_empty());
        fold.apply(&first, None).unwrap();
        assert_eq!(shown(&fold, 3), ["b 3.0", "d 2.0", "a 1.0"]);
        assert_eq!(fold.take_changes(), 4);
        let second = batch(&[("b", Some(3.0)), ("b", Some(0.5)), ("c", None), ("e", Some(9.0))]);
        fold.apply(&second, Some(&vec![-1, 1, -1, 2].into())).unwrap();
        assert_eq!(shown(&fold, 9), ["e 9.0", "e 9.0", "d 2.0", "a 1.0", "b 0.5"]);
        assert_eq!((fold.take_changes(), fold.top(1).unwrap().total), (5, 5));
    }

    #[test]
    fn without_an_order_rows_are_ordered_by_their_key_then_by_all_columns() {
        let rows = batch(&[("b", Some(1.0)), ("a", Some(2.0)), ("a", Some(1.0))]);
        for key in [vec![0], vec![]] {
            let mut fold = Fold::new(rows.schema(), &Listing { key, ..Listing::default() }).unwrap();
            fold.apply(&rows, None).unwrap();
            assert_eq!(shown(&fold, 9), ["a 1.0", "a 2.0", "b 1.0"]);
        }
    }

    #[test]
    fn what_changed_is_told_by_the_key() {
        let row = |a: &str, b: &str| vec![Some(a.to_string()), Some(b.to_string())];
        let mut drawn = Drawn::default();
        let keys = ["x".to_string(), "y".to_string()];
        assert_eq!(drawn.changed(&keys, &[row("x", "1"), row("y", "1")]), [[true, true], [true, true]]);
        let keys = ["y".to_string(), "x".to_string()];
        assert_eq!(drawn.changed(&keys, &[row("y", "1"), row("x", "2")]), [[false, false], [false, true]]);
    }

    #[test]
    fn marks_stay_until_the_next_change() {
        let row = |a: &str, b: &str| vec![Some(a.to_string()), Some(b.to_string())];
        let mut drawn = Drawn::default();
        let keys = ["x".to_string()];
        assert_eq!(drawn.marks(&keys, &[row("x", "1")], 1), (vec![vec![false, false]], 1));
        assert_eq!(drawn.marks(&keys, &[row("x", "2")], 2), (vec![vec![false, true]], 1));
        assert_eq!(drawn.marks(&keys, &[row("x", "2")], 0), (vec![vec![false, true]], 0));
        assert_eq!(drawn.marks(&keys, &[row("x", "2")], 4), (vec![vec![false, false]], 0));
    }
}
