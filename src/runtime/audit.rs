//! In builds with debug assertions: what the checkpoints of an operator add up to is its state, after every checkpoint.
//!
//! A checkpoint that forgets a key, or keeps one that has gone, is seen only after a restore, and then only by a query whose
//! answer depends on that key. So every test that runs a job looks here, whatever its query is.

use crate::operators::kept_rows::KeptRows;
use crate::operators::{Operator, StateChange, StateTable, TableChange};
use arrow::array::{ArrayRef, AsArray, BinaryArray, RecordBatch};
use arrow::compute::is_null;
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// More rows of an operator's state than these are not looked at: a debug build would do nothing else.
const MOST_ROWS: u64 = 20_000;

/// Tables of different values, of which a row's last column are bits: those that are added to a value come with these alone.
const SEEN: &str = "seen";
/// The last bytes of such a row are the bits.
const MARKS: usize = size_of::<u32>();

type Row = Vec<u8>;
/// By table and key the rows, in the row format.
type Saved = BTreeMap<String, HashMap<Row, Vec<Row>>>;

/// What has been saved of each node's state.
#[derive(Default)]
pub(super) struct Audit(BTreeMap<usize, Saved>);

impl Audit {
    /// The state of a node, as it has been restored, is what the checkpoint has.
    pub(super) fn restored(&mut self, node: usize, operator: &mut dyn Operator) {
        match whole(operator) {
            Some(saved) => self.0.insert(node, saved),
            None => self.0.remove(&node),
        };
    }

    /// Brings in what a checkpoint saves of a node.
    ///
    /// # Panics
    /// When the checkpoints since the whole state was saved or restored do not add up to the state.
    pub(super) fn saved(&mut self, node: usize, operator: &mut dyn Operator, change: &StateChange) {
        let Some(state) = whole(operator) else {
            self.0.remove(&node);
            return;
        };
        let saved = match change {
            StateChange::Whole(tables) => fold(tables),
            StateChange::Some(changes) => {
                self.0.remove(&node).and_then(|saved| changes.iter().try_fold(saved, apply))
            }
        };
        if let Some(saved) = saved {
            let differs = differences(&saved, &state);
            assert!(differs.is_empty(), "node {node}: {}", differs.join("; "));
        }
        self.0.insert(node, state);
    }
}

fn whole(operator: &mut dyn Operator) -> Option<Saved> {
    if operator.metrics().state_rows > MOST_ROWS {
        return None;
    }
    // A disk that fails under the state fails the checkpoint, not this.
    fold(&operator.snapshot().ok()?)
}

fn fold(tables: &[StateTable]) -> Option<Saved> {
    tables.iter().try_fold(Saved::new(), |mut saved, StateTable { name, batch, key_columns }| {
        add(saved.entry(name.clone()).or_default(), batch, *key_columns)?;
        Some(saved)
    })
}

fn apply(mut saved: Saved, change: &TableChange) -> Option<Saved> {
    let table = saved.entry(change.name.clone()).or_default();
    let [kept, added] =
        [&change.kept, &change.added].map(|rows| rows.as_ref().map(KeptRows::batch).transpose());
    let (kept, added) = (kept.ok()?, added.ok()?);
    for batch in change.rows.iter().chain(&kept).chain(&change.removed) {
        for key in rows(&batch.columns()[..change.key_columns])? {
            table.remove(&key);
        }
    }
    for batch in change.rows.iter().chain(&kept).chain(&added) {
        add(table, batch, change.key_columns)?;
    }
    Some(saved)
}

fn add(table: &mut HashMap<Row, Vec<Row>>, batch: &RecordBatch, key_columns: usize) -> Option<()> {
    let keys = match key_columns {
        0 => vec![Row::new(); batch.num_rows()],
        _ => rows(&batch.columns()[..key_columns])?,
    };
    // Floats that went to disk and came back were added anew, to nothing: their last digits are not what they were.
    let told = |(i, column): (usize, &ArrayRef)| -> Option<ArrayRef> {
        match column.data_type() {
            _ if i < key_columns => Some(column.clone()),
            kind if kind.is_floating() => Some(Arc::new(is_null(column).ok()?)),
            DataType::List(_) => in_order(column),
            _ => Some(column.clone()),
        }
    };
    let columns = batch.columns().iter().enumerate().map(told).collect::<Option<Vec<_>>>()?;
    for (key, row) in keys.into_iter().zip(rows(&columns)?) {
        table.entry(key).or_default().push(row);
    }
    Some(())
}

/// Lists as bytes, whatever the order of what is in them: a set of different values has none, and tells it anew each time.
fn in_order(lists: &ArrayRef) -> Option<ArrayRef> {
    let lists = lists.as_list::<i32>().iter().map(|list| match list {
        Some(list) => {
            let mut values = rows(&[list])?;
            values.sort();
            Some(Some(values.concat()))
        }
        None => Some(None),
    });
    let lists: Vec<Option<Vec<u8>>> = lists.collect::<Option<_>>()?;
    Some(Arc::new(lists.into_iter().collect::<BinaryArray>()))
}

/// The rows of columns as bytes that tell them apart; `None` for types that have none.
fn rows(columns: &[ArrayRef]) -> Option<Vec<Row>> {
    let fields = columns.iter().map(|c| SortField::new(c.data_type().clone())).collect();
    let rows = RowConverter::new(fields).ok()?.convert_columns(columns).ok()?;
    Some(rows.iter().map(|row| row.as_ref().to_vec()).collect())
}

/// Which keys of which tables have other rows.
fn differences(saved: &Saved, state: &Saved) -> Vec<String> {
    let none = HashMap::new();
    let names = saved.keys().chain(state.keys().filter(|name| !saved.contains_key(*name)));
    names.fold(Vec::new(), |mut found, name| {
        let (saved, state) = (saved.get(name).unwrap_or(&none), state.get(name).unwrap_or(&none));
        let of = |table: &HashMap<Row, Vec<Row>>, key: &Row| {
            let mut rows = table.get(key).cloned().unwrap_or_default();
            rows.sort();
            if name.starts_with(SEEN) { marks_together(rows) } else { rows }
        };
        let forgotten = state.keys().filter(|key| !saved.contains_key(*key)).count();
        let kept = saved.keys().filter(|key| !state.contains_key(*key)).count();
        let others = saved.keys().filter(|key| state.contains_key(*key) && of(saved, key) != of(state, key));
        let others = others.count();
        if forgotten + kept + others > 0 {
            found.push(format!(
                "table {name}: checkpoints have forgotten {forgotten} keys, kept {kept} that have gone, \
                 and have other rows of {others}"
            ));
        }
        found
    })
}

/// Sorted rows of which each has the bits of all that are otherwise equal.
fn marks_together(rows: Vec<Row>) -> Vec<Row> {
    let mut together: Vec<Row> = Vec::with_capacity(rows.len());
    for row in rows {
        let at = row.len().saturating_sub(MARKS);
        match together.last_mut().filter(|last| last.len() == row.len() && last[..at] == row[..at]) {
            Some(last) => last[at..].iter_mut().zip(&row[at..]).for_each(|(all, marks)| *all |= marks),
            None => together.push(row),
        }
    }
    together
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delta::drawn;
    use arrow::datatypes::{Field, Schema};

    fn batch(text: &str) -> RecordBatch {
        let names = ["k", "v"].map(|name| Field::new(name, DataType::Int64, true));
        drawn(&Arc::new(Schema::new(names.to_vec())), text).batch
    }

    #[test]
    fn a_set_is_the_same_in_any_order() {
        use arrow::array::ListArray;
        use arrow::datatypes::Int64Type;
        let lists = |of: [Option<[i64; 2]>; 2]| -> ArrayRef {
            let lists = of.map(|list| list.map(|values| values.map(Some)));
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists))
        };
        let one = in_order(&lists([Some([7, 0]), None])).unwrap();
        assert_eq!(&one, &in_order(&lists([Some([0, 7]), None])).unwrap());
        assert_ne!(&one, &in_order(&lists([Some([0, 8]), None])).unwrap());
    }

    fn saved(text: &str) -> Saved {
        fold(&[StateTable { name: "t".into(), batch: batch(text), key_columns: 1 }]).unwrap()
    }

    #[test]
    fn what_is_forgotten_kept_and_other_is_told() {
        let removed = batch("+ 2 0").project(&[0]).unwrap();
        let change = TableChange {
            name: "t".into(),
            key_columns: 1,
            rows: Some(batch("+ 1 5\n+ 1 6\n+ 4 0")),
            kept: None,
            removed: Some(removed),
            added: Some(batch("+ 3 4\n+ 2 9").into()),
        };
        let after = apply(saved("+ 1 1\n+ 2 2\n+ 3 3"), &change).unwrap();
        assert!(differences(&after, &saved("+ 4 0\n+ 3 3\n+ 3 4\n+ 2 9\n+ 1 6\n+ 1 5")).is_empty());
        let other = differences(&after, &saved("+ 1 6\n+ 3 3\n+ 3 4\n+ 2 9\n+ 5 5")).join("");
        assert!(
            other.contains("forgotten 1 keys, kept 1 that have gone, and have other rows of 1"),
            "{other}"
        );
    }
}
