//! A table in FROM: `CREATE TABLE t (…, PRIMARY KEY (k))`
//!
//! | | |
//! |---|---|
//! | Law | the table is the fold of its topic: of each key the last row counts, a tombstone takes it away; out goes how that fold changes |
//! | State | key → the row's columns that are read; one row a key |
//! | In | upserts and tombstones of a key in their order, all of a key at one worker |
//! | Out | changing: per step and key the row before is taken back and the row after added, nothing where they are equal |
//! | Watermark | passes |
//! | Cost | O(delta): a look-up and a copy of the row for each upsert |

use super::spill::{Evicted, EvictedTable, KeyedState};
use super::{Emit, Operator, OperatorError, OperatorMetrics, Result, StateChange, StateTable, TableChange};
use crate::delta::{Delta, EventTime, hash_columns};
use crate::state::cold::NEVER;
use crate::state::keyed_rows::{KeyedRows, RowBytes};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::fmt;
use std::sync::Arc;

/// The one state table.
const ROWS: &str = "rows";
/// Keys whose changes go out in one batch.
const CHUNK: usize = 8192;

/// How a table's rows are told.
#[derive(Debug, Clone, PartialEq)]
pub struct UpsertSpec {
    /// The table's name.
    pub table: String,
    /// The input's columns.
    pub input_schema: SchemaRef,
    /// The key columns in the input.
    pub keys: Vec<usize>,
    /// The input's column that says that the key is gone.
    pub deleted: usize,
    /// The input's columns that are read, in the output's order.
    pub columns: Vec<usize>,
    /// The output's columns.
    pub schema: SchemaRef,
}

impl fmt::Display for UpsertSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&str> = self.keys.iter().map(|k| self.input_schema.field(*k).name().as_str()).collect();
        write!(f, "Upsert {} by ({})", self.table, keys.join(", "))
    }
}

/// The running operator.
pub struct Upsert {
    spec: UpsertSpec,
    keys: RowBytes,
    values: RowBytes,
    rows: KeyedRows,
    unknown_deletes: u64,
}

impl Upsert {
    /// An empty table.
    pub fn new(spec: UpsertSpec) -> Result<Self> {
        let type_of = |i: &usize| spec.input_schema.field(*i).data_type().clone();
        let keys = RowBytes::new(spec.keys.iter().map(type_of).collect())?;
        let values = RowBytes::new(spec.columns.iter().map(type_of).collect())?;
        Ok(Upsert { spec, keys, values, rows: KeyedRows::default(), unknown_deletes: 0 })
    }

    /// Keys and rows as a state table.
    fn table(&self, rows: &[(&[u8], &[u8])]) -> Result<RecordBatch> {
        let mut columns = self.keys.decode(rows.iter().map(|(key, _)| *key))?;
        columns.extend(self.values.decode(rows.iter().map(|(_, row)| *row))?);
        // A table file has at least one column: without it the number of rows would be lost.
        columns.push(Arc::new(BooleanArray::from(vec![true; rows.len()])));
        let name = |i: usize| match i.checked_sub(self.spec.keys.len()) {
            None => format!("key_{i}"),
            Some(i) if i < self.spec.columns.len() => format!("column_{i}"),
            Some(_) => "there".into(),
        };
        let fields = columns.iter().enumerate();
        let fields: Vec<Field> =
            fields.map(|(i, c)| Field::new(name(i), c.data_type().clone(), true)).collect();
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
    }

    /// The delta of some changes: for each the row before, then the row after.
    fn delta(&self, changes: &[crate::state::keyed_rows::RowChange]) -> Result<Delta> {
        let mut rows: Vec<&[u8]> = Vec::with_capacity(changes.len() * 2);
        let mut weights = Vec::with_capacity(changes.len() * 2);
        for change in changes {
            if let Some(before) = &change.before {
                rows.push(before);
                weights.push(-1);
            }
            if let Some(slot) = change.slot {
                rows.push(self.rows.row(slot));
                weights.push(1);
            }
        }
        let columns = self.values.decode(rows.iter().copied())?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let batch = RecordBatch::try_new_with_options(self.spec.schema.clone(), columns, &options)?;
        let weights = weights.contains(&-1).then(|| Int64Array::from(weights));
        Ok(Delta::weighted(batch, weights))
    }
}

/// Columns as a table, named after their places.
fn table_of(columns: Vec<ArrayRef>, prefix: &str) -> Result<RecordBatch> {
    let fields = columns.iter().enumerate();
    let fields: Vec<Field> =
        fields.map(|(i, c)| Field::new(format!("{prefix}{i}"), c.data_type().clone(), true)).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// The columns of `batch` at some places.
fn columns_at(batch: &RecordBatch, places: &[usize]) -> Vec<ArrayRef> {
    places.iter().map(|i| batch.column(*i).clone()).collect()
}

impl Operator for Upsert {
    fn push(&mut self, _port: usize, delta: Delta, _out: &mut dyn Emit) -> Result<()> {
        debug_assert!(delta.weights.is_none(), "a topic's rows are never taken back");
        let batch = &delta.batch;
        let rows = batch.num_rows();
        let key_columns = columns_at(batch, &self.spec.keys);
        let hashes = hash_columns(&key_columns, rows)?;
        let keys = self.keys.encode(&key_columns)?;
        let values = self.values.encode(&columns_at(batch, &self.spec.columns))?;
        let deleted = batch.column(self.spec.deleted).as_boolean();
        for (i, hash) in hashes.into_iter().enumerate() {
            if deleted.value(i) {
                self.unknown_deletes += u64::from(!self.rows.delete(hash, keys.row(i)));
            } else {
                self.rows.put(hash, keys.row(i), values.row(i));
            }
        }
        Ok(())
    }

    fn finish_step(&mut self, watermark: EventTime, out: &mut dyn Emit) -> Result<EventTime> {
        let changes = self.rows.changes();
        for some in changes.chunks(CHUNK) {
            out.emit(self.delta(some)?)?;
        }
        Ok(watermark)
    }

    fn snapshot(&mut self) -> Result<Vec<StateTable>> {
        if self.rows.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<_> = self.rows.save().collect();
        let batch = self.table(&rows)?;
        Ok(vec![StateTable { name: ROWS.into(), batch, key_columns: self.spec.keys.len() }])
    }

    fn snapshot_changes(&mut self) -> Result<StateChange> {
        let key_columns = self.spec.keys.len();
        let Some((slots, gone)) = self.rows.take_unsaved().filter(|_| key_columns > 0) else {
            self.rows.begin_unsaved();
            return Ok(StateChange::Whole(self.snapshot()?));
        };
        if slots.is_empty() && gone.is_empty() {
            return Ok(StateChange::Some(Vec::new()));
        }
        let rows: Vec<_> = slots.iter().map(|slot| self.rows.key_and_row(*slot)).collect();
        let rows = if rows.is_empty() { None } else { Some(self.table(&rows)?) };
        let removed = match gone.is_empty() {
            true => None,
            false => Some(table_of(self.keys.decode(gone.iter().map(|key| &**key))?, "key_")?),
        };
        Ok(StateChange::Some(vec![TableChange {
            name: ROWS.into(),
            key_columns,
            rows,
            kept: None,
            removed,
            added: None,
        }]))
    }

    fn restore(&mut self, tables: Vec<StateTable>) -> Result<()> {
        self.rows.begin_unsaved();
        self.load(tables)
    }

    fn keyed(&mut self) -> Option<&mut dyn KeyedState> {
        if self.spec.keys.is_empty() { None } else { Some(self) }
    }

    fn metrics(&self) -> OperatorMetrics {
        OperatorMetrics {
            state_rows: self.rows.len() as u64,
            state_bytes: self.rows.bytes() as u64,
            unknown_deletes: self.unknown_deletes,
            ..OperatorMetrics::default()
        }
    }
}

impl Upsert {
    /// Takes saved rows in.
    fn load(&mut self, tables: Vec<StateTable>) -> Result<()> {
        for table in tables {
            let (keys, columns) = (self.spec.keys.len(), self.spec.columns.len());
            let wanted = self.spec.keys.iter().chain(&self.spec.columns);
            let types: Vec<&DataType> =
                wanted.map(|i| self.spec.input_schema.field(*i).data_type()).collect();
            let found: Vec<DataType> = table.batch.columns().iter().map(|c| c.data_type().clone()).collect();
            if found.len() != keys + columns + 1 || types.iter().zip(&found).any(|(a, b)| *a != b) {
                let reason = format!("its columns are {found:?}, not {types:?}");
                return Err(OperatorError::Restore { operator: "upsert", reason });
            }
            let rows = table.batch.num_rows();
            let all = table.batch.columns();
            let hashes = hash_columns(&all[..keys], rows)?;
            let (key_rows, value_rows) =
                (self.keys.encode(&all[..keys])?, self.values.encode(&all[keys..keys + columns])?);
            for (i, hash) in hashes.into_iter().enumerate() {
                self.rows.load(hash, key_rows.row(i), value_rows.row(i));
            }
        }
        Ok(())
    }
}

impl KeyedState for Upsert {
    fn key_types(&self) -> Result<Vec<DataType>> {
        let types = self.spec.keys.iter().map(|key| self.spec.input_schema.field(*key).data_type().clone());
        Ok(types.collect())
    }

    fn keys_of(&self, _port: usize, delta: &Delta) -> Result<Vec<ArrayRef>> {
        Ok(columns_at(&delta.batch, &self.spec.keys))
    }

    fn live_bytes(&self) -> usize {
        self.rows.bytes()
    }

    fn evict(&mut self, bytes: usize) -> Result<Option<Evicted>> {
        let rows = self.rows.evict(bytes);
        if rows.is_empty() {
            return Ok(None);
        }
        let pairs: Vec<(&[u8], &[u8])> = rows.iter().map(|row| (&*row.key, &*row.row)).collect();
        let key_columns = self.spec.keys.len();
        let batch = self.table(&pairs)?;
        Ok(Some(Evicted {
            keys: batch.columns()[..key_columns].to_vec(),
            unsaved: rows.iter().map(|row| row.unsaved).collect(),
            due: vec![NEVER; rows.len()],
            tables: vec![EvictedTable {
                table: StateTable { name: ROWS.into(), batch, key_columns },
                counts: vec![1; rows.len()],
            }],
        }))
    }

    fn admit(&mut self, tables: Vec<StateTable>, unsaved: Option<Vec<ArrayRef>>) -> Result<()> {
        self.load(tables)?;
        if let Some(keys) = unsaved {
            let hashes = hash_columns(&keys, keys[0].len())?;
            let encoded = self.keys.encode(&keys)?;
            hashes.into_iter().enumerate().for_each(|(i, hash)| self.rows.note_unsaved(hash, encoded.row(i)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delta::{WATERMARK_NONE, draw, drawn};

    fn spec(keys: &[usize], columns: &[usize]) -> UpsertSpec {
        let input_schema: SchemaRef = Arc::new(Schema::new(vec![
            Field::new("k", DataType::Int64, true),
            Field::new("g", DataType::Utf8, true),
            Field::new("x", DataType::Float64, true),
            Field::new("_deleted", DataType::Boolean, false),
        ]));
        let schema = Arc::new(input_schema.project(columns).unwrap());
        UpsertSpec {
            table: "t".into(),
            input_schema,
            keys: keys.to_vec(),
            deleted: 3,
            columns: columns.to_vec(),
            schema,
        }
    }

    fn step(upsert: &mut Upsert, text: &str) -> String {
        let input = drawn(&upsert.spec.input_schema.clone(), text);
        let mut out = Vec::new();
        upsert.push(0, input, &mut out).unwrap();
        upsert.finish_step(WATERMARK_NONE, &mut out).unwrap();
        draw(&out)
    }

    #[test]
    fn a_step_gives_the_net_change_of_each_key() {
        let mut upsert = Upsert::new(spec(&[0], &[0, 1, 2])).unwrap();
        let first = "+ 1 a 1 false\n+ 2 b 2 false\n+ 1 a 3 false\n+ 9 null null true";
        assert_eq!(step(&mut upsert, first), "+ 1 a 3.0\n+ 2 b 2.0\n");
        assert_eq!(upsert.metrics().unknown_deletes, 1);
        let second = "+ 1 a 3 false\n+ 2 null null true\n+ 3 c null false\n+ 4 d 1 false\n+ 4 null null true";
        assert_eq!(step(&mut upsert, second), "- 2 b 2.0\n+ 3 c null\n");
        assert_eq!(
            step(&mut upsert, "+ 3 null 0 false\n+ 2 x 1 false"),
            "- 3 c null\n+ 3 null 0.0\n+ 2 x 1.0\n"
        );
        assert_eq!(upsert.metrics().state_rows, 3);
    }

    #[test]
    fn what_is_not_read_changes_nothing() {
        let mut upsert = Upsert::new(spec(&[0], &[1])).unwrap();
        assert_eq!(step(&mut upsert, "+ 1 a 1 false\n+ 2 a 1 false"), "+ a\n+ a\n");
        assert_eq!(step(&mut upsert, "+ 1 a 2 false"), "");
        assert_eq!(step(&mut upsert, "+ 1 b 2 false\n+ 2 null null true"), "- a\n+ b\n- a\n");
    }

    #[test]
    fn several_columns_or_none_are_keys_and_none_need_be_read() {
        let mut upsert = Upsert::new(spec(&[1, 0], &[2])).unwrap();
        let rows = "+ 1 a 1 false\n+ 1 b 2 false\n+ null a 3 false\n+ 1 a 4 false\n+ null null 5 false";
        assert_eq!(step(&mut upsert, rows), "+ 4.0\n+ 2.0\n+ 3.0\n+ 5.0\n");
        let mut single = Upsert::new(spec(&[], &[0])).unwrap();
        assert_eq!(step(&mut single, "+ 1 a 1 false\n+ 2 a 1 false"), "+ 2\n");
        assert_eq!(step(&mut single, "+ null null null true"), "- 2\n");
        let mut count = Upsert::new(spec(&[0], &[])).unwrap();
        assert_eq!(step(&mut count, "+ 1 a 1 false\n+ 2 a 1 false\n+ 1 b 1 false"), "+\n+\n");
        assert_eq!(step(&mut count, "+ 2 a 7 false\n+ 1 null null true"), "-\n");
    }

    #[test]
    fn it_goes_on_from_its_snapshot() {
        for (keys, columns) in [(&[0usize][..], &[1usize, 2][..]), (&[1, 0], &[]), (&[], &[2]), (&[], &[])] {
            let (mut whole, mut before) =
                (Upsert::new(spec(keys, columns)).unwrap(), Upsert::new(spec(keys, columns)).unwrap());
            let first = "+ 1 a 1 false\n+ 2 b null false\n+ null c 3 false\n+ 2 null null true";
            step(&mut whole, first);
            step(&mut before, first);
            let mut after = Upsert::new(spec(keys, columns)).unwrap();
            after.restore(before.snapshot().unwrap()).unwrap();
            assert_eq!(after.metrics().state_rows, whole.metrics().state_rows);
            let second = "+ 1 null null true\n+ null c 4 false\n+ 2 b 5 false";
            assert_eq!(step(&mut after, second), step(&mut whole, second), "{keys:?} {columns:?}");
        }
        let mut other = Upsert::new(spec(&[0], &[1])).unwrap();
        step(&mut other, "+ 1 a 1 false");
        let tables = other.snapshot().unwrap();
        let error = Upsert::new(spec(&[0], &[1, 2])).unwrap().restore(tables).unwrap_err();
        assert!(error.to_string().contains("upsert"), "{error}");
    }
}
