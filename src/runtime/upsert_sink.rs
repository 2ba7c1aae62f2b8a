//! A result that is kept in a table: per step its changes, net, as upserts and tombstones of the table's topic.
//!
//! The key tells the rows of the result apart, so of the changes of a key over a step at most one row is added:
//! that is its row now. Where rows are only taken back, the key is gone.

use super::sink::{Flusher, Sink, fit};
use super::{Result, RuntimeError};
use crate::connectors::topic::{FedBy, TopicAppender};
use crate::delta::{Delta, EventTime, WATERMARK_END};
use crate::state::keyed_rows::{EncodedRows, RowBytes};
use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use arrow::util::display::array_value_to_string;
use hashbrown::HashMap;
use std::sync::Arc;

/// The table that is written.
#[derive(Debug, Clone)]
pub struct UpsertTarget {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub schema: SchemaRef,
    /// The columns of its topic: these, and whether the key is gone.
    pub topic: SchemaRef,
    /// The key columns.
    pub key: Vec<usize>,
}

impl UpsertTarget {
    /// The rows of the topic that make the rows `upserts` of `columns` (the table's columns) rows of the table, and take the
    /// keys of the rows `tombstones` away.
    pub fn rows(&self, columns: &[ArrayRef], upserts: &[u32], tombstones: &[u32]) -> Result<RecordBatch> {
        let all = UInt32Array::from_iter_values(upserts.iter().chain(tombstones).copied());
        let there = upserts.iter().map(|i| Some(*i)).chain(tombstones.iter().map(|_| None));
        let there: UInt32Array = there.collect();
        let mut arrays = Vec::with_capacity(columns.len() + 1);
        for (i, column) in columns.iter().enumerate() {
            let rows = if self.key.contains(&i) { &all } else { &there };
            arrays.push(take(column, rows, None)?);
        }
        let deleted = (0..all.len()).map(|i| Some(i >= upserts.len()));
        arrays.push(Arc::new(deleted.collect::<BooleanArray>()));
        Ok(RecordBatch::try_new(self.topic.clone(), arrays)?)
    }

    /// The key columns among the table's columns.
    pub fn key_columns(&self, columns: &[ArrayRef]) -> Vec<ArrayRef> {
        self.key.iter().map(|k| columns[*k].clone()).collect()
    }

    /// The key of a row in words: `(k = 1)`.
    pub fn shown(&self, columns: &[ArrayRef], row: usize) -> String {
        let parts = self.key.iter().map(|k| {
            let value = match columns[*k].is_null(row) {
                true => "null".into(),
                false => array_value_to_string(&columns[*k], row).unwrap_or_default(),
            };
            format!("{} = {value}", self.schema.field(*k).name())
        });
        format!("({})", parts.collect::<Vec<_>>().join(", "))
    }

    /// Fails for a null in a key column that may not be null.
    fn check_key(&self, batch: &RecordBatch) -> Result<()> {
        for k in &self.key {
            let field = self.schema.field(*k);
            if !field.is_nullable() && batch.column(*k).null_count() > 0 {
                return Err(RuntimeError::Output(format!(
                    "the query gave a null for \"{}\", a column of the primary key of \"{}\"",
                    field.name(),
                    self.name
                )));
            }
        }
        Ok(())
    }
}

/// Writes a result into a table.
pub struct UpsertSink {
    appender: TopicAppender,
    target: UpsertTarget,
    /// Whether the result only ever adds rows: then of each key the last one counts.
    append_only: bool,
    /// Whether nobody else writes the table: the end of the job is then its end.
    owns: bool,
    ended: bool,
    keys: RowBytes,
    rows: RowBytes,
}

impl UpsertSink {
    /// A sink into `appender`, the topic of `target`; the result's columns are the table's, by position, cast.
    pub fn new(appender: TopicAppender, target: UpsertTarget, append_only: bool, owns: bool) -> Result<Self> {
        let keys = target.key.iter().map(|k| target.schema.field(*k).data_type().clone()).collect();
        let (keys, rows) = (RowBytes::new(keys)?, RowBytes::of(&target.schema)?);
        Ok(UpsertSink { appender, target, append_only, owns, ended: false, keys, rows })
    }

    /// Which rows of a step are upserts, and which are tombstones.
    fn net(&self, step: &Delta) -> Result<(Vec<u32>, Vec<u32>)> {
        let columns = step.batch.columns();
        let keys = self.keys.encode(&self.target.key_columns(columns))?;
        if self.append_only {
            return Ok((last_of_each(&keys, step.num_rows()), Vec::new()));
        }
        let rows = self.rows.encode(columns)?;
        let (mut upserts, mut tombstones) = (Vec::new(), Vec::new());
        let (mut order, mut found) = (Vec::<(u32, bool)>::new(), HashMap::<&[u8], usize>::new());
        for (row, weight) in sums(&rows, step) {
            let at = *found.entry(keys.row(row as usize)).or_insert_with(|| {
                order.push((row, false));
                order.len() - 1
            });
            match weight {
                ..=-1 => {}
                1 if !order[at].1 => order[at] = (row, true),
                _ => {
                    return Err(RuntimeError::Output(format!(
                        "the query gave two rows with the key {} of \"{}\"",
                        self.target.shown(columns, row as usize),
                        self.target.name
                    )));
                }
            }
        }
        for (row, there) in order {
            if there { &mut upserts } else { &mut tombstones }.push(row);
        }
        Ok((upserts, tombstones))
    }
}

/// The last row of each key, in order.
fn last_of_each(keys: &EncodedRows, rows: usize) -> Vec<u32> {
    let mut last = HashMap::<&[u8], u32>::with_capacity(rows);
    for row in 0..rows {
        last.insert(keys.row(row), row as u32);
    }
    let mut last: Vec<u32> = last.into_values().collect();
    last.sort_unstable();
    last
}

/// The different rows of a step with their summed weights, those of weight 0 left out, in the order of first appearance.
fn sums(rows: &EncodedRows, step: &Delta) -> Vec<(u32, i64)> {
    let mut sums: Vec<(u32, i64)> = Vec::with_capacity(step.num_rows());
    let mut found = HashMap::<&[u8], usize>::with_capacity(step.num_rows());
    for row in 0..step.num_rows() {
        let at = *found.entry(rows.row(row)).or_insert_with(|| {
            sums.push((row as u32, 0));
            sums.len() - 1
        });
        sums[at].1 += step.weight(row);
    }
    sums.retain(|(_, weight)| *weight != 0);
    sums
}

impl UpsertSink {
    /// The table that it writes.
    pub(super) fn target(&self) -> &UpsertTarget {
        &self.target
    }

    /// The rows of the table's topic that a step's deltas come to.
    pub(super) fn rows(&self, deltas: &[Delta]) -> Result<RecordBatch> {
        let mut rows = Vec::with_capacity(deltas.len());
        for delta in deltas.iter().filter(|d| !d.is_empty()) {
            self.target.check_key(&delta.batch)?;
            let batch = fit(&delta.batch, &self.target.schema)?;
            rows.push(Delta::weighted(batch, delta.weights.clone()));
        }
        if rows.is_empty() {
            return Ok(RecordBatch::new_empty(self.target.topic.clone()));
        }
        let all = Delta::concat(&self.target.schema, &rows)?;
        let (upserts, tombstones) = self.net(&all)?;
        self.target.rows(all.batch.columns(), &upserts, &tombstones)
    }

    /// Appends rows of the table's topic.
    pub(super) fn append(&mut self, step: u64, rows: &RecordBatch, watermark: EventTime) -> Result<()> {
        let end = (self.owns && !self.ended && watermark == WATERMARK_END).then_some(WATERMARK_END);
        if rows.num_rows() == 0 && end.is_none() {
            return Ok(());
        }
        self.appender.append(step, rows, None, end)?;
        self.ended |= end.is_some();
        Ok(())
    }
}

impl Sink for UpsertSink {
    fn write(&mut self, step: u64, deltas: &[Delta], watermark: EventTime) -> Result<()> {
        let rows = self.rows(deltas)?;
        self.append(step, &rows, watermark)
    }

    fn is_durable_at_once(&self) -> bool {
        self.appender.is_durable_at_once()
    }

    fn last_step(&mut self) -> Result<Option<u64>> {
        Ok(self.appender.last_step()?)
    }

    fn flusher(&self) -> Option<Flusher> {
        let topic = self.appender.topic();
        Some(Arc::new(move || Ok(topic.sync_all()?)))
    }

    fn fed_by(&mut self, job: &FedBy) -> Result<()> {
        Ok(self.appender.fed_by(job)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::delta::{WATERMARK_NONE, draw, drawn};
    use crate::disk::Disk;
    use crate::log::{Log, TopicOptions};
    use arrow::datatypes::{DataType, Field, Schema};

    struct Table {
        _dir: tempfile::TempDir,
        log: Log,
        target: UpsertTarget,
    }

    impl Table {
        fn new(key: &[usize], partitions: u32) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let log = Log::open(dir.path(), Disk::real(), Clock::system()).unwrap();
            let field = |name, data_type, i: usize, topic: bool| {
                Field::new(name, data_type, i > 0 || (topic && !key.contains(&i)))
            };
            let fields =
                |topic| vec![field("k", DataType::Int64, 0, topic), field("v", DataType::Utf8, 1, topic)];
            let mut topic = fields(true);
            topic.push(Field::new("_deleted", DataType::Boolean, false));
            let target = UpsertTarget {
                name: "t".into(),
                schema: Arc::new(Schema::new(fields(false))),
                topic: Arc::new(Schema::new(topic)),
                key: key.to_vec(),
            };
            let options = TopicOptions { partitions, ..TopicOptions::default() };
            log.create_topic("t", options, target.topic.clone()).unwrap();
            Table { _dir: dir, log, target }
        }

        fn sink(&self, append_only: bool) -> UpsertSink {
            let topic = self.log.topic("t").unwrap();
            let appender = TopicAppender::new(&topic, Some(self.target.key.clone()), None, 7).unwrap();
            UpsertSink::new(appender, self.target.clone(), append_only, true).unwrap()
        }

        fn step(&self, sink: &mut UpsertSink, step: u64, text: &str) -> Result<()> {
            sink.write(step, &[drawn(&self.target.schema, text)], WATERMARK_NONE)
        }

        /// What the partitions hold, one after the other, and the watermark at the end of each.
        fn topic(&self) -> (String, Vec<Option<i64>>) {
            let topic = self.log.topic("t").unwrap();
            let (mut text, mut ends) = (String::new(), Vec::new());
            for p in 0..topic.partitions() {
                let mut reader = topic.reader(p, 0, None).unwrap();
                let mut end = None;
                while let Some(frame) = reader.next().unwrap() {
                    text.push_str(&draw(&[Delta::insert(frame.batch)]));
                    end = frame.watermark.or(end);
                }
                ends.push(end);
            }
            (text, ends)
        }
    }

    #[test]
    fn a_step_becomes_upserts_and_tombstones_once() {
        let table = Table::new(&[0], 1);
        let mut sink = table.sink(false);
        table.step(&mut sink, 1, "+ 1 a\n+ 2 b\n+ 3 c\n- 3 c").unwrap();
        table.step(&mut sink, 2, "- 1 a\n+ 1 b\n- 2 b\n+ 2 b").unwrap();
        table.step(&mut sink, 3, "- 2 b\n+ 4 null").unwrap();
        let whole = "+ 1 a false\n+ 2 b false\n+ 1 b false\n+ 4 null false\n+ 2 null true\n";
        assert_eq!(table.topic().0, whole);
        // The steps again, as after a crash.
        let mut again = table.sink(false);
        table.step(&mut again, 2, "- 1 a\n+ 1 b").unwrap();
        table.step(&mut again, 3, "- 2 b\n+ 4 null").unwrap();
        again.write(4, &[], WATERMARK_END).unwrap();
        again.write(5, &[], WATERMARK_END).unwrap();
        assert_eq!(table.topic(), (whole.into(), vec![Some(WATERMARK_END)]));
    }

    #[test]
    fn what_the_key_does_not_tell_apart_fails() {
        let table = Table::new(&[0], 1);
        let mut sink = table.sink(false);
        for wrong in ["+ 1 a\n+ 1 b", "+2 1 a", "- 1 a\n+ 1 b\n+ 1 c"] {
            let error = table.step(&mut sink, 1, wrong).unwrap_err().to_string();
            assert!(error.contains("two rows with the key (k = 1) of \"t\""), "{error}");
        }
        let nullable = Arc::new(Schema::new(vec![
            Field::new("k", DataType::Int64, true),
            Field::new("v", DataType::Utf8, true),
        ]));
        let error = sink.write(1, &[drawn(&nullable, "+ null a")], WATERMARK_NONE).unwrap_err().to_string();
        assert!(error.contains("a null for \"k\", a column of the primary key of \"t\""), "{error}");
        assert_eq!(table.topic().0, "");
    }

    #[test]
    fn of_rows_that_only_come_the_last_of_a_key_counts() {
        let table = Table::new(&[0], 1);
        let mut sink = table.sink(true);
        table.step(&mut sink, 1, "+ 1 a\n+ 2 b\n+ 1 c\n+ 1 c").unwrap();
        assert_eq!(table.topic().0, "+ 2 b false\n+ 1 c false\n");
    }

    #[test]
    fn keys_of_several_columns_and_of_none() {
        let table = Table::new(&[0, 1], 3);
        let mut sink = table.sink(false);
        table.step(&mut sink, 1, "+ 1 a\n+ 1 b\n+ 2 null").unwrap();
        table.step(&mut sink, 2, "- 1 a\n- 2 null\n+ 2 a").unwrap();
        let (text, _) = table.topic();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            ["+ 1 a false", "+ 1 a true", "+ 1 b false", "+ 2 a false", "+ 2 null false", "+ 2 null true"]
        );
        let single = Table::new(&[], 2);
        let mut sink = single.sink(false);
        let row = Arc::new(Schema::new(vec![
            Field::new("k", DataType::Int64, false),
            Field::new("v", DataType::Utf8, true),
        ]));
        for (step, text) in [(1, "+ 0 a"), (2, "- 0 a\n+ 1 a"), (3, "- 1 a")] {
            sink.write(step, &[drawn(&row, text)], WATERMARK_NONE).unwrap();
        }
        assert_eq!(single.topic().0, "+ 0 a false\n+ 1 a false\n+ null null true\n");
    }
}
