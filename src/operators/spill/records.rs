//! State tables' rows ⇄ the records of keys.
//!
//! A record's value has for each table, in the order in which the tables were first seen, the number of the key's rows and
//! these, each as its length and its bytes in Arrow's row format, without the key's columns.

use super::{Evicted, StateTable, TableChange};
use crate::operators::{OperatorError, Result};
use crate::state::bag::RowCodec;
use crate::state::cold::{self, ColdError, Record};
use crate::state::key_table::{Encoded, codec};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use std::collections::BTreeMap;
use std::ops::Range;
use xxhash_rust::xxh3::xxh3_64;

/// What the tables look like.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    keys: Option<RowCodec>,
    key_types: Vec<DataType>,
    tables: Vec<Shape>,
    /// The key columns of each table that a checkpoint may have rows in, also of those of which none went to disk.
    saved: BTreeMap<String, Vec<FieldRef>>,
}

/// What one table looks like.
#[derive(Debug)]
struct Shape {
    name: String,
    schema: SchemaRef,
    /// Of the columns behind the key.
    rows: RowCodec,
}

/// Records that are about to be written.
pub(super) struct Records {
    keys: Encoded,
    due: Vec<i64>,
    values: Vec<u8>,
    /// Where each value ends.
    ends: Vec<usize>,
}

impl Records {
    pub(super) fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        starts.zip(&self.ends).enumerate().map(|(i, (start, end))| {
            let (key, value) = (self.keys.row(i), &self.values[start..*end]);
            Record { hash: xxh3_64(key), due: self.due[i], key, value }
        })
    }

    pub(super) fn hashes(&self) -> Vec<u64> {
        (0..self.ends.len()).map(|i| xxh3_64(self.keys.row(i))).collect()
    }
}

/// A row's bytes, and the number of its record.
type RowOf<'a> = (usize, &'a [u8]);

/// Records that have been read.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    bytes: Vec<u8>,
    records: Vec<(u64, Range<usize>, Range<usize>)>,
}

impl Gathered {
    pub(super) fn add(&mut self, record: Record) -> cold::Result<()> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(record.key);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(record.value);
        self.records.push((record.hash, start..middle, middle..self.bytes.len()));
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The numbers of the records for whose hash `wanted` holds.
    pub(super) fn numbers(&self, mut wanted: impl FnMut(u64) -> bool) -> Vec<usize> {
        let records = self.records.iter().enumerate();
        records.filter_map(|(i, (hash, ..))| wanted(*hash).then_some(i)).collect()
    }

    fn key(&self, record: usize) -> &[u8] {
        &self.bytes[self.records[record].1.clone()]
    }

    /// The rows of all records, by table: the record and the row's bytes.
    fn rows(&self, tables: usize) -> Result<Vec<Vec<RowOf<'_>>>> {
        let mut all = vec![Vec::new(); tables];
        for (i, (_, _, value)) in self.records.iter().enumerate() {
            let mut rest = &self.bytes[value.clone()];
            for rows in &mut all {
                if rest.is_empty() {
                    break;
                }
                for _ in 0..number(&mut rest)? {
                    let len = number(&mut rest)?;
                    let (row, behind) = rest.split_at_checked(len).ok_or_else(short)?;
                    rows.push((i, row));
                    rest = behind;
                }
            }
        }
        Ok(all)
    }
}

fn number(rest: &mut &[u8]) -> Result<usize> {
    let (bytes, behind) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    *rest = behind;
    Ok(u32::from_le_bytes(*bytes) as usize)
}

fn short() -> OperatorError {
    ColdError::Unusable("a record of state on disk is shorter than it says".into()).into()
}

impl Shapes {
    /// Whether it is known what the keys are.
    pub(super) fn is_known(&self) -> bool {
        self.keys.is_some()
    }

    /// Keys have these types. Says whether they can be written as bytes.
    pub(super) fn begin(&mut self, types: &[DataType]) -> bool {
        self.key_types = types.to_vec();
        self.keys = codec(types).ok();
        self.is_known()
    }

    fn keys_codec(&self) -> Result<&RowCodec> {
        self.keys.as_ref().ok_or_else(short)
    }

    /// The hashes of rows' keys.
    pub(super) fn hashes(&self, keys: &[ArrayRef], rows: usize) -> Result<Vec<u64>> {
        let encoded = Encoded::new(self.keys_codec()?, keys, rows)?;
        Ok((0..rows).map(|i| xxh3_64(encoded.row(i))).collect())
    }

    /// The number of a table, which is noted if it is new.
    fn number(&mut self, table: &StateTable) -> Result<usize> {
        if let Some(number) = self.tables.iter().position(|shape| shape.name == table.name) {
            return Ok(number);
        }
        let schema = table.batch.schema();
        let types = schema.fields().iter().skip(table.key_columns).map(|f| f.data_type().clone());
        let rows = codec(&types.collect::<Vec<_>>())?;
        self.tables.push(Shape { name: table.name.clone(), schema, rows });
        Ok(self.tables.len() - 1)
    }

    /// The records of what leaves memory.
    pub(super) fn records(&mut self, evicted: &Evicted) -> Result<Records> {
        let keys = Encoded::new(self.keys_codec()?, &evicted.keys, evicted.due.len())?;
        let mut tables: Vec<Option<(&[u32], Encoded, usize)>> = Vec::new();
        for table in &evicted.tables {
            let number = self.number(&table.table)?;
            let batch = &table.table.batch;
            let columns = &batch.columns()[table.table.key_columns..];
            let rows = Encoded::new(&self.tables[number].rows, columns, batch.num_rows())?;
            if tables.len() <= number {
                tables.resize_with(number + 1, || None);
            }
            tables[number] = Some((&table.counts, rows, 0));
        }
        let (mut values, mut ends) = (Vec::new(), Vec::with_capacity(keys.len()));
        for key in 0..keys.len() {
            for table in &mut tables {
                let Some((counts, rows, next)) = table else {
                    values.extend_from_slice(&0u32.to_le_bytes());
                    continue;
                };
                values.extend_from_slice(&counts[key].to_le_bytes());
                for row in *next..*next + counts[key] as usize {
                    let bytes = rows.row(row);
                    let len = u32::try_from(bytes.len()).map_err(|_| ColdError::TooLarge)?;
                    values.extend_from_slice(&len.to_le_bytes());
                    values.extend_from_slice(bytes);
                }
                *next += counts[key] as usize;
            }
            ends.push(values.len());
        }
        Ok(Records { keys, due: evicted.due.clone(), values, ends })
    }

    /// The key columns of some records.
    pub(super) fn keys(&self, gathered: &Gathered, records: &[usize]) -> Result<Vec<ArrayRef>> {
        self.key_columns(records.iter().map(|record| gathered.key(*record)))
    }

    fn key_columns<'a>(&self, keys: impl Iterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>> {
        if self.key_types.is_empty() {
            return Ok(vec![]);
        }
        Ok(self.keys_codec()?.decode(keys)?)
    }

    fn batch(&self, shape: &Shape, gathered: &Gathered, rows: &[RowOf]) -> Result<RecordBatch> {
        let mut columns = self.key_columns(rows.iter().map(|(record, _)| gathered.key(*record)))?;
        columns.extend(shape.rows.decode(rows.iter().map(|(_, row)| *row))?);
        Ok(RecordBatch::try_new(shape.schema.clone(), columns)?)
    }

    /// The tables of all records.
    pub(super) fn tables(&self, gathered: &Gathered) -> Result<Vec<StateTable>> {
        let mut tables = Vec::new();
        let all = gathered.rows(self.tables.len())?;
        for (shape, rows) in self.tables.iter().zip(&all).filter(|(_, rows)| !rows.is_empty()) {
            let batch = self.batch(shape, gathered, rows)?;
            tables.push(StateTable { name: shape.name.clone(), batch, key_columns: self.key_types.len() });
        }
        Ok(tables)
    }

    /// Takes note of a table that a checkpoint has.
    pub(super) fn note_saved(&mut self, name: &str, schema: &Schema, key_columns: usize) {
        if !self.saved.contains_key(name) {
            self.saved.insert(name.into(), schema.fields()[..key_columns].to_vec());
        }
    }

    /// All records as changes: those of a key that has no rows in a table are told to be gone from there.
    pub(super) fn changes(&self, gathered: &Gathered) -> Result<Vec<TableChange>> {
        let mut changes = Vec::new();
        let all = gathered.rows(self.tables.len())?;
        for (shape, rows) in self.tables.iter().zip(&all) {
            let mut has = vec![false; gathered.records.len()];
            rows.iter().for_each(|(record, _)| has[*record] = true);
            let without: Vec<usize> = (0..has.len()).filter(|record| !has[*record]).collect();
            let removed = match without.is_empty() {
                true => None,
                false => Some(keys_table(
                    &shape.schema.fields()[..self.key_types.len()],
                    self.keys(gathered, &without)?,
                )?),
            };
            let rows = if rows.is_empty() { None } else { Some(self.batch(shape, gathered, rows)?) };
            if rows.is_some() || removed.is_some() {
                changes.push(TableChange {
                    name: shape.name.clone(),
                    key_columns: self.key_types.len(),
                    rows,
                    kept: None,
                    removed,
                    added: None,
                });
            }
        }
        for (name, fields) in &self.saved {
            if !gathered.is_empty() && self.tables.iter().all(|shape| shape.name != *name) {
                let all: Vec<usize> = (0..gathered.records.len()).collect();
                let removed = Some(keys_table(fields, self.keys(gathered, &all)?)?);
                let key_columns = self.key_types.len();
                changes.push(TableChange {
                    name: name.clone(),
                    key_columns,
                    rows: None,
                    kept: None,
                    removed,
                    added: None,
                });
            }
        }
        Ok(changes)
    }
}

/// Keys alone, named as in their table.
fn keys_table(fields: &[FieldRef], keys: Vec<ArrayRef>) -> Result<RecordBatch> {
    let named = fields.iter().zip(keys).map(|(field, key)| (field.name(), key, true));
    Ok(RecordBatch::try_from_iter_with_nullable(named)?)
}
