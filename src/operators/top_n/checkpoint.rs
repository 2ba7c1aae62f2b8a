//! The operator's state as a table, and back.

use super::rows::Outgoing;
use super::walk::{Takes, send_all};
use super::{TopN, TopNUse};
use crate::delta::Delta;
use crate::operators::kept_rows::{Beside, KeptRows};
use crate::operators::{Emit, OperatorError, Result, StateChange, StateTable, TableChange};
use crate::state::ranked::Entry;
use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The one table: the partition keys (`key<i>`), the input's columns (`column<i>`), a `weight`, and where nothing bounds the
/// state when (ns) the row `came`. Where rows are spread by all of their columns, these are the distribution key instead, and
/// it is told how many of a row have been `sent`: among another number of workers other rows are the first of theirs.
pub(super) const ROWS: &str = "rows";

impl TopN {
    /// The whole state.
    pub(super) fn save(&self) -> Result<Vec<StateTable>> {
        // Candidates are found again among the rows that come.
        if self.spec.purpose == TopNUse::Candidates || self.size.entries == 0 {
            return Ok(vec![]);
        }
        let entries: Vec<&Entry> = self.partitions.iter().flat_map(|p| p.entries()).collect();
        let batch = self.table(&entries)?;
        // Behind the input's columns stand a weight and perhaps a time.
        let key_columns = match self.spec.purpose {
            TopNUse::Spread => self.spec.keys.len() + self.spec.input_schema.fields().len(),
            _ => self.spec.keys.len(),
        };
        Ok(vec![StateTable { name: ROWS.into(), batch, key_columns }])
    }

    /// What has changed since this was last called; the whole state the first time, and where rows have no partition that
    /// is one worker's alone.
    pub(super) fn save_changes(&mut self) -> Result<StateChange> {
        let key_columns = self.spec.keys.len();
        let by_key = self.spec.purpose == TopNUse::Result && key_columns > 0;
        let Some(changed) = self.partitions.take_changed().filter(|_| by_key) else {
            if by_key {
                self.partitions.begin_unsaved();
            }
            return Ok(StateChange::Whole(self.save()?));
        };
        let entries = |number: &u32| self.partitions.get(*number).into_iter().flat_map(|p| p.entries());
        let empty: Vec<u32> = changed.iter().filter(|n| entries(n).next().is_none()).copied().collect();
        let (mut rows, mut kept) = (None, None);
        if self.columns.is_some() {
            kept = self.kept(&changed)?;
        } else {
            let entries: Vec<&Entry> = changed.iter().flat_map(entries).collect();
            rows = (!entries.is_empty()).then(|| self.table(&entries)).transpose()?;
        }
        let empty_keys = self.partitions.keys_of(&empty)?;
        let (gone, count) = self.partitions.take_gone()?;
        let removed = match count + empty.len() {
            0 => None,
            _ => {
                let keys = gone.iter().zip(&empty_keys).enumerate();
                let named = keys.map(|(i, (gone, empty))| {
                    Ok((format!("key{i}"), concat(&[gone.as_ref(), empty.as_ref()])?, true))
                });
                Some(RecordBatch::try_from_iter_with_nullable(named.collect::<Result<Vec<_>>>()?)?)
            }
        };
        if rows.is_none() && kept.is_none() && removed.is_none() {
            return Ok(StateChange::Some(vec![]));
        }
        Ok(StateChange::Some(vec![TableChange {
            name: ROWS.into(),
            key_columns,
            rows,
            kept,
            removed,
            added: None,
        }]))
    }

    /// All entries of partitions as the table, where their rows are kept as columns; `None` = there is no entry.
    fn kept(&mut self, partitions: &[u32]) -> Result<Option<KeptRows>> {
        let Some(columns) = &mut self.columns else { return Ok(None) };
        let (mut numbers, mut entries): (Vec<u32>, Vec<&Entry>) = (Vec::new(), Vec::new());
        for number in partitions {
            entries.extend(self.partitions.get(*number).into_iter().flat_map(|p| p.entries()));
            numbers.resize(entries.len(), *number);
        }
        if entries.is_empty() {
            return Ok(None);
        }
        let keys = self.partitions.keys_of(&numbers)?;
        let held = columns.hold(entries.iter().map(|e| e.place).collect())?;
        let named = |name: &'static str| {
            move |(i, column): (usize, &ArrayRef)| {
                Field::new(format!("{name}{i}"), column.data_type().clone(), true)
            }
        };
        let mut fields: Vec<Field> = keys.iter().enumerate().map(named("key")).collect();
        fields.extend(held.none().iter().enumerate().map(named("column")));
        fields.push(Field::new("weight", DataType::Int64, false));
        let mut behind: Vec<Beside> = vec![entries.iter().map(|e| e.weight).collect()];
        if self.spec.unbounded {
            fields.push(Field::new("came", DataType::Int64, false));
            behind.push(entries.iter().map(|e| e.came).collect());
        }
        Ok(Some(KeptRows::new(fields, keys, held, behind, entries.len())?))
    }

    /// Entries as the table.
    pub(super) fn table(&self, entries: &[&Entry]) -> Result<RecordBatch> {
        let columns = self.bytes.columns_of(self.columns.as_ref(), entries)?;
        let weights = Int64Array::from_iter_values(entries.iter().map(|e| e.weight));
        let batch = self.batch(columns, weights.len())?;
        let mut table: Vec<(Field, ArrayRef)> = Vec::new();
        for (i, key) in self.spec.keys.iter().enumerate() {
            let column = key.evaluate(&batch)?.into_array(batch.num_rows())?;
            table.push((Field::new(format!("key{i}"), column.data_type().clone(), true), column));
        }
        for (i, column) in batch.columns().iter().enumerate() {
            table.push((Field::new(format!("column{i}"), column.data_type().clone(), true), column.clone()));
        }
        table.push((Field::new("weight", DataType::Int64, false), Arc::new(weights)));
        if self.spec.unbounded {
            let came = Int64Array::from_iter_values(entries.iter().map(|e| e.came));
            table.push((Field::new("came", DataType::Int64, false), Arc::new(came)));
        }
        if self.spec.purpose == TopNUse::Spread {
            let in_range = self.in_range();
            let count = |counts: &BTreeMap<Box<[u8]>, i64>, row| counts.get(row).copied().unwrap_or(0);
            let sent = entries.iter().map(|e| count(&in_range, &e.row) - count(&self.owed, &e.row));
            let sent = Int64Array::from_iter_values(sent);
            table.push((Field::new("sent", DataType::Int64, false), Arc::new(sent)));
        }
        let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = table.into_iter().unzip();
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
    }

    /// Takes saved rows in.
    pub(super) fn load(&mut self, tables: Vec<StateTable>) -> Result<()> {
        let spread = self.spec.purpose == TopNUse::Spread;
        let before = if spread { self.in_range() } else { BTreeMap::new() };
        let mut tells_sent = false;
        for table in tables {
            let (keys, width) = (self.spec.keys.len(), self.spec.input_schema.fields().len());
            let columns = table.batch.columns();
            let number =
                |name| table.batch.column_by_name(name).and_then(|c| c.as_primitive_opt::<Int64Type>());
            let (weights, came, sent) = (number("weight"), number("came"), number("sent"));
            let counts = 1 + usize::from(came.is_some()) + usize::from(sent.is_some());
            let (Some(weights), true) =
                (weights, table.name == ROWS && columns.len() == keys + width + counts)
            else {
                return Err(misfit(format!("no table {} of {} columns", table.name, columns.len())));
            };
            let rows = table.batch.num_rows();
            let batch = self.batch(columns[keys..keys + width].to_vec(), rows)?;
            self.ages.some_unknown |= self.spec.unbounded && came.is_none();
            // Of rows whose age is not told, it begins with the next step.
            let came = came.cloned().unwrap_or_else(|| Int64Array::from_value(i64::MAX, rows));
            self.gather(Delta::weighted(batch.clone(), Some(weights.clone())).into(), Some(&came))?;
            self.apply(false, &mut Vec::new())?;
            if let Some(sent) = sent.filter(|_| spread) {
                tells_sent = true;
                let (rows, _) = self.bytes.encode(&self.bytes.order_of(&batch)?, &batch)?;
                for (row, sent) in rows.iter().zip(sent.values()) {
                    *self.owed.entry(row.as_ref().into()).or_default() -= sent;
                }
            }
        }
        if tells_sent {
            for (counts, sign) in [(before, -1), (self.in_range(), 1)] {
                for (row, count) in counts {
                    *self.owed.entry(row).or_default() += sign * count;
                }
            }
            self.owed.retain(|_, count| *count != 0);
        }
        Ok(())
    }

    /// How many of each row are in the range.
    fn in_range(&self) -> BTreeMap<Box<[u8]>, i64> {
        let mut counts = Counts::default();
        for partition in self.partitions.iter() {
            send_all(self.wanted(), partition.entries(), &mut counts);
        }
        counts.rows.into_iter().collect()
    }

    /// Sends what is in the range but was not when the last checkpoint was taken, or the other way round: the rows were
    /// spread over another number of workers then.
    pub(super) fn send_owed(&mut self, out: &mut dyn Emit) -> Result<()> {
        let mut outgoing = Outgoing::new(&self.spec, &self.bytes, self.columns.as_ref());
        for (row, count) in std::mem::take(&mut self.owed) {
            let number = outgoing.row(&row, 0);
            outgoing.weight(number, 0, count);
        }
        outgoing.send(out)
    }

    /// A batch of the input.
    fn batch(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let fields = self.spec.input_schema.fields();
        let types = columns.iter().map(|c| c.data_type());
        if !types.eq(fields.iter().map(|f| f.data_type())) {
            return Err(misfit("the columns of its rows are not those of its input".into()));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(self.spec.input_schema.clone(), columns, &options)?)
    }
}

/// Rows, and how many of each go out.
#[derive(Default)]
struct Counts {
    rows: Vec<(Box<[u8]>, i64)>,
}

impl Takes for Counts {
    fn row(&mut self, row: &[u8], _place: u32) -> usize {
        self.rows.push((row.into(), 0));
        self.rows.len() - 1
    }

    fn weight(&mut self, row: usize, _rank: i64, weight: i64) {
        self.rows[row].1 += weight;
    }
}

fn misfit(reason: String) -> OperatorError {
    OperatorError::Restore { operator: "top_n", reason }
}
