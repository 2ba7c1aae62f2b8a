//! A table's job that was begun afresh: its result is held back until all has been read that was there when it began, and
//! then compared with the rows that the table has. Only the differences are written, in one step: rows that are new or
//! other, and a tombstone for each key that the result does not have. From the next step on it is an [`UpsertSink`].
//!
//! The number of that step is kept in `rebuilt.json` before it is written: a run after a crash writes the differences in
//! the same step, and of the table's partitions those that have it drop it. Until then there is no checkpoint, and
//! the journal gives the held rows again.

use super::checkpoint::JobStore;
use super::sink::{Flusher, Sink};
use super::upsert_sink::UpsertSink;
use super::{Result, RuntimeError};
use crate::connectors::topic::FedBy;
use crate::delta::{Delta, EventTime, hash_columns};
use crate::log::Topic;
use crate::state::keyed_rows::{KeyedRows, RowBytes};
use arrow::array::{Array, AsArray, RecordBatch};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Version of the file's layout.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    step: u64,
}

fn path(store: &JobStore) -> std::path::PathBuf {
    store.dir.join("rebuilt.json")
}

/// The step in which a job has written, or begun to write, the differences.
pub fn written(store: &JobStore) -> Result<Option<u64>> {
    let path = path(store);
    if !store.disk.exists(&path)? {
        return Ok(None);
    }
    let state = |reason: String| store.unreadable(&path, reason);
    let file: File =
        serde_json::from_slice(&store.disk.read(&path)?).map_err(|e| state(format!("is damaged: {e}")))?;
    if file.version > VERSION {
        let known = format!("layout {}, this one knows {VERSION}", file.version);
        return Err(state(format!("was written by a newer millstream ({known})")));
    }
    Ok(Some(file.step))
}

/// Forgets that step: the checkpoint is behind it.
pub fn forget(store: &JobStore) -> Result<()> {
    let path = path(store);
    if store.disk.exists(&path)? {
        store.disk.remove_file(&path)?;
    }
    Ok(())
}

/// How far a rebuild is.
#[derive(Debug, Default)]
pub struct Progress {
    /// All that was there has been read, and handed to the sink.
    ready: AtomicBool,
    /// The differences are written.
    done: AtomicBool,
}

impl Progress {
    /// Whether the differences are written.
    pub(super) fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// Has them written with the next step.
    pub(super) fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }
}

/// Writes a result into a table that has rows of before.
pub struct RebuildSink {
    sink: UpsertSink,
    topic: Arc<Topic>,
    /// Whose rows may be taken out; `None` = everybody's.
    owners: Option<HashSet<u128>>,
    store: JobStore,
    /// The step in which an earlier run began to write the differences.
    step: Option<u64>,
    progress: Arc<Progress>,
    /// The result so far.
    now: KeyedRows,
    keys: RowBytes,
    rows: RowBytes,
}

impl RebuildSink {
    /// Writes through `sink` into `topic`, of the job in `store`. `owners`: the producers whose rows this job's result
    /// replaces; `None` = nobody else writes the table.
    pub fn new(
        sink: UpsertSink,
        topic: Arc<Topic>,
        owners: Option<HashSet<u128>>,
        store: JobStore,
    ) -> Result<Self> {
        let target = sink.target();
        let types = target.key.iter().map(|k| target.schema.field(*k).data_type().clone());
        let (keys, rows) = (RowBytes::new(types.collect())?, RowBytes::of(&target.schema)?);
        let step = written(&store)?;
        Ok(RebuildSink {
            sink,
            topic,
            owners,
            store,
            step,
            progress: Arc::default(),
            now: KeyedRows::default(),
            keys,
            rows,
        })
    }

    /// Takes rows of the table's topic into `into`; gives the keys' bytes and hashes to `seen`.
    fn fold(
        &self,
        batch: &RecordBatch,
        into: &mut KeyedRows,
        seen: &mut dyn FnMut(u64, &[u8]),
    ) -> Result<()> {
        let target = self.sink.target();
        let columns = &batch.columns()[..target.schema.fields().len()];
        let key_columns = target.key_columns(columns);
        let hashes = hash_columns(&key_columns, batch.num_rows()).map_err(other)?;
        let (keys, rows) = (self.keys.encode(&key_columns)?, self.rows.encode(columns)?);
        let deleted = batch.column(columns.len()).as_boolean();
        for (row, hash) in hashes.into_iter().enumerate() {
            let key = keys.row(row);
            if deleted.is_valid(row) && deleted.value(row) {
                into.delete(hash, key);
            } else {
                into.put(hash, key, rows.row(row));
            }
            seen(hash, key);
        }
        // Only what is there in the end counts.
        into.changes();
        Ok(())
    }

    /// What the table holds, and the keys among them that somebody else wrote last.
    fn before(&self) -> Result<(KeyedRows, KeyedRows)> {
        let (mut before, mut others) = (KeyedRows::default(), KeyedRows::default());
        for p in 0..self.topic.partitions() {
            let mut reader = self.topic.reader(p, self.topic.start_offset(p)?, None)?;
            while let Some(frame) = reader.next()? {
                if frame.batch.num_rows() == 0 {
                    continue;
                }
                let ours = self.owners.as_ref().is_none_or(|owners| owners.contains(&frame.producer));
                self.fold(&frame.batch, &mut before, &mut |hash, key| match ours {
                    true => drop(others.delete(hash, key)),
                    false => others.put(hash, key, &[]),
                })?;
                others.changes();
            }
        }
        Ok((before, others))
    }

    /// The rows of the topic that make of the table what the result is.
    fn differences(&self) -> Result<RecordBatch> {
        let (before, others) = self.before()?;
        let target = self.sink.target();
        let key_hash = |keys: &[&[u8]]| -> Result<Vec<u64>> {
            let columns = self.keys.decode(keys.iter().copied())?;
            hash_columns(&columns, keys.len()).map_err(other)
        };
        let (now_keys, now_rows): (Vec<&[u8]>, Vec<&[u8]>) = self.now.save().unzip();
        let (old_keys, old_rows): (Vec<&[u8]>, Vec<&[u8]>) = before.save().unzip();
        let mut rows: Vec<&[u8]> = Vec::new();
        for ((hash, key), row) in key_hash(&now_keys)?.into_iter().zip(now_keys).zip(now_rows) {
            if before.get(hash, key) != Some(row) {
                rows.push(row);
            }
        }
        let upserts = rows.len() as u32;
        for ((hash, key), row) in key_hash(&old_keys)?.into_iter().zip(old_keys).zip(old_rows) {
            if self.now.get(hash, key).is_none() && others.get(hash, key).is_none() {
                rows.push(row);
            }
        }
        let all = rows.len() as u32;
        let columns = self.rows.decode(rows.into_iter())?;
        let upserted: Vec<u32> = (0..upserts).collect();
        let gone: Vec<u32> = (upserts..all).collect();
        target.rows(&columns, &upserted, &gone)
    }

    /// Notes that the differences are written in this step, or are being written.
    fn note(&mut self, step: u64) -> Result<()> {
        let bytes = serde_json::to_vec(&File { version: VERSION, step }).map_err(other)?;
        self.store.disk.write_atomically(&path(&self.store), &bytes)?;
        self.step = Some(step);
        Ok(())
    }
}

fn other(error: impl std::fmt::Display) -> RuntimeError {
    RuntimeError::Output(error.to_string())
}

impl Sink for RebuildSink {
    fn write(&mut self, step: u64, deltas: &[Delta], watermark: EventTime) -> Result<()> {
        if self.progress.is_done() {
            return self.sink.write(step, deltas, watermark);
        }
        let rows = self.sink.rows(deltas)?;
        // A step that is written again after a failure is folded again, which changes nothing.
        let mut now = std::mem::take(&mut self.now);
        let folded = self.fold(&rows, &mut now, &mut |_, _| ());
        self.now = now;
        folded?;
        let due = match self.step {
            Some(due) => step >= due,
            None => self.progress.ready.load(Ordering::Acquire),
        };
        if !due {
            return Ok(());
        }
        let differences = self.differences()?;
        if self.step.is_none() {
            self.note(step)?;
        }
        self.sink.append(step, &differences, watermark)?;
        self.now = KeyedRows::default();
        self.progress.done.store(true, Ordering::Release);
        Ok(())
    }

    fn flusher(&self) -> Option<Flusher> {
        self.sink.flusher()
    }

    fn fed_by(&mut self, job: &FedBy) -> Result<()> {
        self.sink.fed_by(job)
    }

    fn is_durable_at_once(&self) -> bool {
        self.sink.is_durable_at_once()
    }

    fn last_step(&mut self) -> Result<Option<u64>> {
        self.sink.last_step()
    }

    fn rebuild(&self) -> Option<Arc<Progress>> {
        Some(Arc::clone(&self.progress))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::connectors::topic::TopicAppender;
    use crate::delta::{WATERMARK_NONE, draw, drawn};
    use crate::disk::Disk;
    use crate::log::{Log, TopicOptions};
    use crate::runtime::upsert_sink::UpsertTarget;
    use arrow::datatypes::{DataType, Field, Schema};
    use std::path::Path;

    fn target() -> UpsertTarget {
        let field = |name, data_type, nullable| Field::new(name, data_type, nullable);
        let fields = |k: bool| vec![field("k", DataType::Int64, !k), field("v", DataType::Utf8, true)];
        let topic = [fields(true), vec![field("_deleted", DataType::Boolean, false)]].concat();
        UpsertTarget {
            name: "t".into(),
            schema: Arc::new(Schema::new(fields(true))),
            topic: Arc::new(Schema::new(topic)),
            key: vec![0],
        }
    }

    fn open(dir: &Path, disk: &Disk) -> (Log, JobStore) {
        let log = Log::open(dir.join("log"), disk.clone(), Clock::system()).unwrap();
        std::fs::create_dir_all(dir.join("job")).unwrap();
        (log, JobStore { disk: disk.clone(), dir: dir.join("job"), job: "j".into() })
    }

    fn upsert_sink(topic: &Arc<Topic>, producer: u128) -> UpsertSink {
        let appender = TopicAppender::new(topic, Some(vec![0]), None, producer).unwrap();
        UpsertSink::new(appender, target(), false, true).unwrap()
    }

    fn step(sink: &mut dyn Sink, step: u64, text: &str) -> Result<()> {
        sink.write(step, &[drawn(&target().schema, text)], WATERMARK_NONE)
    }

    /// Each key's last row, and how many rows `producer` has written of each.
    fn table(topic: &Arc<Topic>, producer: u128) -> (Vec<String>, Vec<usize>) {
        let mut rows = std::collections::BTreeMap::<String, (String, usize)>::new();
        for p in 0..topic.partitions() {
            let mut reader = topic.reader(p, 0, None).unwrap();
            while let Some(frame) = reader.next().unwrap() {
                for line in draw(&[Delta::insert(frame.batch)]).lines() {
                    let key = line.split_whitespace().nth(1).unwrap().to_string();
                    let row = rows.entry(key).or_default();
                    row.0 = line.into();
                    row.1 += usize::from(frame.producer == producer);
                }
            }
        }
        let there: Vec<_> = rows.into_values().collect();
        let shown = there.iter().filter(|(row, _)| !row.ends_with("true")).map(|(row, _)| row.clone());
        (shown.collect(), there.iter().map(|(_, written)| *written).collect())
    }

    const STEPS: [&str; 3] = ["+ 1 a\n+ 2 b\n+ 3 c", "- 1 a\n+ 1 z\n+ 5 e\n+ 6 f", "- 5 e\n+ 7 g"];

    fn made(dir: &Path) {
        let (log, _) = open(dir, &Disk::real());
        let options = TopicOptions { partitions: 3, ..TopicOptions::default() };
        let topic = log.create_topic("t", options, target().topic).unwrap();
        let mut old = upsert_sink(&topic, 7);
        step(&mut old, 1, "+ 1 a\n+ 2 b\n+ 3 x\n+ 4 d\n+ 5 e\n+ 8 h").unwrap();
        step(&mut old, 2, "- 8 h").unwrap();
    }

    fn rebuilding(topic: &Arc<Topic>, store: &JobStore) -> RebuildSink {
        RebuildSink::new(upsert_sink(topic, 8), topic.clone(), None, store.clone()).unwrap()
    }

    #[test]
    fn nothing_is_written_until_all_is_read_and_then_what_differs() {
        let dir = tempfile::tempdir().unwrap();
        made(dir.path());
        let (log, store) = open(dir.path(), &Disk::real());
        let topic = log.topic("t").unwrap();
        let before = table(&topic, 8);
        let mut sink = rebuilding(&topic, &store);
        for (i, text) in STEPS.into_iter().enumerate() {
            step(&mut sink, i as u64 + 1, text).unwrap();
        }
        assert_eq!(table(&topic, 8), before);
        sink.progress.set_ready();
        step(&mut sink, 4, "").unwrap();
        assert!(sink.progress.is_done());
        let (rows, written) = table(&topic, 8);
        assert_eq!(rows, ["+ 1 z false", "+ 2 b false", "+ 3 c false", "+ 6 f false", "+ 7 g false"]);
        // Keys 1 to 8: 2 stays as it is, 8 had gone before.
        assert_eq!(written, [1, 0, 1, 1, 1, 1, 1, 0]);
        step(&mut sink, 5, "- 2 b").unwrap();
        assert_eq!(table(&topic, 8).0.len(), 4);
    }

    #[test]
    fn a_crash_at_any_write_changes_nothing_of_what_is_there_in_the_end() {
        for n in 1..40 {
            let dir = tempfile::tempdir().unwrap();
            made(dir.path());
            let (disk, faults) = Disk::faulty();
            let failed = {
                let (log, store) = open(dir.path(), &disk);
                let topic = log.topic("t").unwrap();
                let mut sink = rebuilding(&topic, &store);
                step(&mut sink, 1, STEPS[0]).unwrap();
                step(&mut sink, 2, STEPS[1]).unwrap();
                faults.tear_write(n, 10);
                sink.progress.set_ready();
                step(&mut sink, 3, STEPS[2]).is_err()
            };
            faults.heal();
            let (log, store) = open(dir.path(), &disk);
            let topic = log.topic("t").unwrap();
            let due = written(&store).unwrap();
            assert!(due.is_none_or(|due| due == 3), "{due:?}");
            let mut sink = rebuilding(&topic, &store);
            for (i, text) in STEPS.into_iter().enumerate() {
                step(&mut sink, i as u64 + 1, text).unwrap();
            }
            // Where nothing had begun to be written, it is in any later step.
            sink.progress.set_ready();
            step(&mut sink, 4, "").unwrap();
            let (rows, counts) = table(&topic, 8);
            assert_eq!(rows, ["+ 1 z false", "+ 2 b false", "+ 3 c false", "+ 6 f false", "+ 7 g false"]);
            assert_eq!(counts, [1, 0, 1, 1, 1, 1, 1, 0], "write {n}");
            if !failed {
                assert!(n > 3);
                return;
            }
        }
        panic!("there are more writes than that");
    }
}
