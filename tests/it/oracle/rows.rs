//! Answers as multisets of rows, and how two of them differ.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use millstream::delta::Delta;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// How far two floats may be apart, relative to the greater.
const TOLERANCE: f64 = 1e-9;

#[derive(Debug, Clone)]
enum Cell {
    Shown(String),
    Float(f64),
}

impl Cell {
    fn order(&self, other: &Cell) -> Ordering {
        match (self, other) {
            (Cell::Shown(a), Cell::Shown(b)) => a.cmp(b),
            (Cell::Float(a), Cell::Float(b)) => a.total_cmp(b),
            (Cell::Shown(_), Cell::Float(_)) => Ordering::Less,
            (Cell::Float(_), Cell::Shown(_)) => Ordering::Greater,
        }
    }

    fn same(&self, other: &Cell) -> bool {
        match (self, other) {
            (Cell::Shown(a), Cell::Shown(b)) => a == b,
            (Cell::Float(a), Cell::Float(b)) => {
                a == b
                    || (a.is_nan() && b.is_nan())
                    || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs()).max(1.0)
            }
            _ => false,
        }
    }

    fn text(&self) -> String {
        match self {
            Cell::Shown(s) => s.clone(),
            Cell::Float(f) => format!("{f:?}"),
        }
    }
}

type Row = Vec<Cell>;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    types: Vec<DataType>,
    rows: Vec<Row>,
}

fn row_cells(batch: &RecordBatch) -> Vec<Row> {
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = vec![Vec::with_capacity(batch.num_columns()); batch.num_rows()];
    for column in batch.columns() {
        let floats = column.as_primitive_opt::<Float64Type>();
        let formatter = ArrayFormatter::try_new(column.as_ref(), &options).unwrap();
        for (i, row) in rows.iter_mut().enumerate() {
            row.push(match floats {
                // Two zeros are one value.
                Some(floats) if floats.is_valid(i) => Cell::Float(floats.value(i) + 0.0),
                _ => Cell::Shown(formatter.value(i).to_string()),
            });
        }
    }
    rows
}

fn types(schema: &arrow::datatypes::Schema) -> Vec<DataType> {
    schema.fields().iter().map(|f| f.data_type().clone()).collect()
}

impl Answer {
    /// The rows of batches.
    pub(crate) fn of(schema: &arrow::datatypes::Schema, batches: &[RecordBatch]) -> Self {
        Answer { types: types(schema), rows: batches.iter().flat_map(row_cells).collect() }
    }

    /// The sum of deltas; fails if a row is there a negative number of times.
    pub(crate) fn fold<'a>(
        schema: &arrow::datatypes::Schema,
        deltas: impl Iterator<Item = &'a Delta>,
    ) -> Result<Self, String> {
        let mut sums: BTreeMap<Vec<String>, (Row, i64)> = BTreeMap::new();
        for delta in deltas {
            for (i, row) in row_cells(&delta.batch).into_iter().enumerate() {
                let key = row.iter().map(Cell::text).collect();
                sums.entry(key).or_insert((row, 0)).1 += delta.weight(i);
            }
        }
        let mut rows = Vec::new();
        for (row, weight) in sums.into_values() {
            let times =
                usize::try_from(weight).map_err(|_| format!("{} is there {weight} times", show(&row)))?;
            rows.extend(std::iter::repeat_n(row, times));
        }
        Ok(Answer { types: types(schema), rows })
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The same rows for the types of another answer: a table keeps all texts as one type.
    pub(super) fn typed_as(self, other: &Answer) -> Self {
        Answer { types: other.types.clone(), ..self }
    }

    /// A row that has the same in these columns as another one.
    pub(super) fn repeats(&self, columns: &[usize]) -> Option<String> {
        let mut seen = std::collections::BTreeSet::new();
        let key = |row: &Row| columns.iter().map(|c| row[*c].text()).collect::<Vec<_>>();
        self.rows.iter().find(|row| !seen.insert(key(row))).map(show)
    }

    /// What is in one and not in the other; nothing if they are the same.
    pub(crate) fn difference(&self, expected: &Answer) -> Option<String> {
        if self.types != expected.types {
            return Some(format!("types {:?} instead of {:?}", self.types, expected.types));
        }
        let (mut got, mut want) = (sorted(&self.rows), sorted(&expected.rows));
        // First exactly, then within the tolerance.
        let same = |a: &Row, b: &Row| a.iter().zip(b).all(|(a, b)| a.same(b));
        if got.len() == want.len() && got.iter().zip(&want).all(|(a, b)| same(a, b)) {
            return None;
        }
        got.retain(|row| match want.iter().position(|w| same(row, w)) {
            Some(at) => {
                want.remove(at);
                false
            }
            None => true,
        });
        if got.is_empty() && want.is_empty() {
            return None;
        }
        let lines = |sign: &str, rows: &[Row]| -> String {
            rows.iter().take(20).map(|r| format!("  {sign} {}\n", show(r))).collect()
        };
        Some(format!(
            "{} rows missing, {} too many (of {})\n{}{}",
            want.len(),
            got.len(),
            expected.rows.len(),
            lines("missing ", &want),
            lines("too many", &got)
        ))
    }
}

fn sorted(rows: &[Row]) -> Vec<Row> {
    let mut rows = rows.to_vec();
    let shown = |row: &Row| -> Vec<Option<String>> {
        row.iter()
            .map(|c| match c {
                Cell::Shown(s) => Some(s.clone()),
                Cell::Float(_) => None,
            })
            .collect()
    };
    rows.sort_by_cached_key(shown);
    // Among rows that are the same but for their floats, by these.
    rows.sort_by(|a, b| {
        shown(a).cmp(&shown(b)).then_with(|| {
            a.iter().zip(b).map(|(a, b)| a.order(b)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
        })
    });
    rows
}

fn show(row: &Row) -> String {
    row.iter().map(Cell::text).collect::<Vec<_>>().join(" | ")
}
