//! Checkpoints: the state of all operators and the positions of all sources after a step.
//!
//! `checkpoint.json` (the manifest, renamed into place) names the step, the statements, the sources' positions and the
//! Parquet files of each state table (see `tables`). What the manifest does not name is left over from a checkpoint that did not finish, or
//! from the one before, and is removed. The first manifest is written before the first step.

use super::feed::PartitionState;
use super::journal::Journal;
use super::tables::{self, StoredFile, TableFile, checksum};
use super::worker::NodeState;
use super::{Result, RuntimeError};
use crate::connectors::Position;
use crate::delta::{EventTime, WATERMARK_NONE, hash_columns, partition};
use crate::disk::{Disk, Open};
use crate::operators::StateTable;
use arrow::array::RecordBatch;
use arrow::compute::take_record_batch;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// Version of the manifest's layout.
const VERSION: u32 = 4;
/// The layout before, in which no rows were added to those of a key.
const NOTHING_ADDED: u32 = 3;
/// That before, in which a table was one file.
const WHOLE_TABLES: u32 = 2;

/// Rows of a state table of one node, for one worker.
pub type RestoredPart = (usize, StateTable);

/// Counters of a job over all its runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Rows read.
    pub rows_in: u64,
    /// Rows written (a row of weight -1 is one too).
    pub rows_out: u64,
    /// Rows that lay behind their partition's watermark.
    pub behind: u64,
    /// Rows left out of a window because they were late for it.
    pub late: u64,
    /// Rows left out of a window because they came after their partition had been idle and the window had gone out.
    pub after_idle: u64,
    /// Rows without an event time, left out of windows.
    pub timeless: u64,
    /// Records that could not be read as rows and were left out.
    pub bad: u64,
    /// Rows of state that were older than `state_ttl` and were dropped.
    #[serde(default)]
    pub expired: u64,
    /// Rows that were taken back after they had been dropped.
    #[serde(default)]
    pub ignored: u64,
}

impl Totals {
    /// The sum.
    pub(super) fn plus(&self, other: &Totals) -> Totals {
        Totals {
            rows_in: self.rows_in + other.rows_in,
            rows_out: self.rows_out + other.rows_out,
            behind: self.behind + other.behind,
            late: self.late + other.late,
            after_idle: self.after_idle + other.after_idle,
            timeless: self.timeless + other.timeless,
            bad: self.bad + other.bad,
            expired: self.expired + other.expired,
            ignored: self.ignored + other.ignored,
        }
    }
}

/// The manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Layout version.
    pub version: u32,
    /// How many manifests there have been.
    pub generation: u64,
    /// The last step that is in the checkpoint; 0 = the job has not begun.
    pub step: u64,
    /// The statements.
    pub parts: Vec<PartManifest>,
    /// For each source its partitions.
    pub sources: Vec<Vec<PartitionManifest>>,
    /// For each source its watermark.
    pub watermarks: Vec<EventTime>,
    /// The state tables.
    pub tables: Vec<TableManifest>,
}

/// A statement in the manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartManifest {
    /// Its name.
    pub name: String,
    /// What it computes: its query and the definitions of its sources.
    pub fingerprint: String,
    /// It has read all of its bounded input and closed all windows.
    pub finished: bool,
    /// The counters.
    pub totals: Totals,
    /// How far its time was (ns).
    #[serde(default = "no_time")]
    pub time: EventTime,
    /// For each node of its own dataflow the node of the job's.
    pub nodes: Vec<usize>,
    /// For each source of its own dataflow the source of the job's.
    pub sources: Vec<usize>,
}

/// Manifests of before have no times of statements: none had gone ahead of a source.
fn no_time() -> EventTime {
    WATERMARK_NONE
}

/// What every manifest says first.
#[derive(Deserialize)]
struct Layout {
    version: u32,
}

/// The manifest as it lies on disk: the checksum is that of its text without blanks.
#[derive(Serialize, Deserialize)]
struct Sealed {
    version: u32,
    crc32c: String,
    checkpoint: serde_json::Value,
}

impl Manifest {
    /// What is said of the statement `name`. Errors: it is not there, or was another query.
    pub(super) fn part(&self, store: &JobStore, name: &str, fingerprint: &str) -> Result<&PartManifest> {
        let part = self.parts.iter().find(|p| p.name == name && p.fingerprint == fingerprint);
        part.ok_or_else(|| {
            store.misfit(
                name,
                "belongs to another query: its query or one of its streams has changed since; drop its stream first, or \
                 write to another one",
            )
        })
    }
}

/// A source partition in the manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartitionManifest {
    /// Where it stood.
    pub position: Position,
    /// Its running watermark.
    pub running: EventTime,
    /// It had ended.
    pub ended: bool,
}

impl From<&PartitionState> for PartitionManifest {
    fn from(state: &PartitionState) -> Self {
        PartitionManifest { position: state.position, running: state.running, ended: state.ended }
    }
}

/// A state table in the manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableManifest {
    /// The node it belongs to.
    pub node: usize,
    /// Its name within the node.
    pub name: String,
    /// How many leading columns spread it over workers.
    pub key_columns: usize,
    /// Its files, the oldest first (see `tables`).
    pub files: Vec<TableFile>,
}

/// A state table as the layout before named it: in one file.
#[derive(Deserialize)]
struct WholeTable {
    node: usize,
    name: String,
    key_columns: usize,
    file: String,
}

impl From<WholeTable> for TableManifest {
    fn from(WholeTable { node, name, key_columns, file }: WholeTable) -> Self {
        // How many rows it has is not told; the first merge finds out.
        let rows = StoredFile { name: file, crc32c: None };
        let files = vec![TableFile { rows: Some(rows), removed: None, added: None, count: 0, order: None }];
        TableManifest { node, name, key_columns, files }
    }
}

/// A job's folder.
#[derive(Debug, Clone)]
pub struct JobStore {
    /// The disk.
    pub disk: Disk,
    /// The folder.
    pub dir: PathBuf,
    /// The job's name, for messages.
    pub job: String,
}

impl JobStore {
    /// The name under which its pins stand in the log.
    pub(super) fn owner(&self) -> String {
        self.dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn manifest_path(&self) -> PathBuf {
        self.dir.join("checkpoint.json")
    }

    pub(super) fn damaged(&self, path: &Path, reason: impl std::fmt::Display) -> RuntimeError {
        RuntimeError::State {
            job: self.job.clone(),
            path: path.display().to_string(),
            reason: format!("is damaged: {reason} ('millstream job reset {}' begins the job anew)", self.job),
        }
    }

    /// A file of the folder that cannot be used.
    pub(super) fn unreadable(&self, path: &Path, reason: String) -> RuntimeError {
        RuntimeError::State { job: self.job.clone(), path: path.display().to_string(), reason }
    }

    /// What is kept here does not fit the statement `name`.
    pub(super) fn misfit(&self, name: &str, reason: &str) -> RuntimeError {
        let path = self.dir.display().to_string();
        RuntimeError::State { job: name.into(), path, reason: reason.into() }
    }

    /// The newest checkpoint's manifest, if there is one.
    pub fn manifest(&self) -> Result<Option<Manifest>> {
        let path = self.manifest_path();
        if !self.disk.exists(&path)? {
            return Ok(None);
        }
        let bytes = self.disk.read(&path)?;
        let layout: Layout = serde_json::from_slice(&bytes).map_err(|e| self.damaged(&path, e))?;
        if ![WHOLE_TABLES, NOTHING_ADDED, VERSION].contains(&layout.version) {
            let (age, then) = if layout.version > VERSION {
                ("a newer", "")
            } else {
                ("an older", ": drop its stream first")
            };
            let found = layout.version;
            return Err(RuntimeError::State {
                job: self.job.clone(),
                path: path.display().to_string(),
                reason: format!(
                    "was written by {age} millstream (layout {found}, this one knows {VERSION}){then}"
                ),
            });
        }
        let damaged = |e| self.damaged(&path, e);
        if layout.version == WHOLE_TABLES {
            let mut value: serde_json::Value = serde_json::from_slice(&bytes).map_err(damaged)?;
            let tables = value.get_mut("tables").map(serde_json::Value::take).unwrap_or_default();
            let tables: Vec<WholeTable> = serde_json::from_value(tables).map_err(damaged)?;
            value["tables"] = serde_json::Value::Array(Vec::new());
            let manifest: Manifest = serde_json::from_value(value).map_err(damaged)?;
            return Ok(Some(Manifest { tables: tables.into_iter().map(Into::into).collect(), ..manifest }));
        }
        let Sealed { crc32c, checkpoint, .. } = serde_json::from_slice(&bytes).map_err(damaged)?;
        if crc32c != checksum(checkpoint.to_string().as_bytes()) {
            return Err(self.damaged(&path, "its checksum is wrong"));
        }
        Ok(Some(serde_json::from_value(checkpoint).map_err(damaged)?))
    }

    /// How many bytes the newest checkpoint has, as far as that can be seen.
    pub(super) fn checkpoint_bytes(&self) -> u64 {
        let names = self.disk.list(&self.dir).unwrap_or_default();
        let own = names.iter().filter(|n| n.starts_with("state-") || n.starts_with("checkpoint"));
        let length = |name: &String| self.disk.open(&self.dir.join(name), Open::Read)?.len();
        own.filter_map(|name| length(name).ok()).sum()
    }

    /// Writes a checkpoint whose state is that of `tables` and what the workers have changed since; gives its tables. If it
    /// fails, the checkpoint before is as it was.
    pub(super) fn write(
        &self,
        mut manifest: Manifest,
        tables: &[TableManifest],
        workers: Vec<Vec<NodeState>>,
        needless: &AtomicBool,
    ) -> Result<Vec<TableManifest>> {
        manifest.version = VERSION;
        let stem = format!("state-{}-{}", manifest.step, manifest.generation);
        manifest.tables = tables::write(self, &stem, tables, workers, needless)?;
        self.write_manifest(&manifest)?;
        self.remove_unnamed(&manifest)?;
        Ok(manifest.tables)
    }

    fn write_manifest(&self, manifest: &Manifest) -> Result<()> {
        let path = self.manifest_path();
        let checkpoint = serde_json::to_value(manifest).map_err(|e| self.damaged(&path, e))?;
        let crc32c = checksum(checkpoint.to_string().as_bytes());
        let sealed = Sealed { version: VERSION, crc32c, checkpoint };
        let bytes = serde_json::to_vec_pretty(&sealed).map_err(|e| self.damaged(&path, e))?;
        Ok(self.disk.write_atomically(&path, &bytes)?)
    }

    fn remove_unnamed(&self, manifest: &Manifest) -> Result<()> {
        let files = manifest.tables.iter().flat_map(|table| &table.files);
        let named: HashSet<&str> = files.flat_map(TableFile::names).collect();
        for name in self.disk.list(&self.dir)? {
            if name.starts_with("state-") && !named.contains(&name.as_str()) {
                self.disk.remove_file(&self.dir.join(name))?;
            }
        }
        Ok(())
    }

    /// The checkpoint's state, spread over `workers` workers by the tables' keys: `give` takes some of it at a time, for
    /// each worker. `nodes`: for each of its nodes the one that takes its state; `by`: for each of those which of its
    /// keys name the worker, if not all.
    pub fn read(
        &self,
        manifest: &Manifest,
        nodes: &[Option<usize>],
        by: &[Option<&[usize]>],
        workers: usize,
        give: &mut dyn FnMut(Vec<RestoredPart>) -> Result<()>,
    ) -> Result<()> {
        for table in &manifest.tables {
            let Some(node) = nodes.get(table.node).copied().flatten() else { continue };
            tables::read(self, table, &mut |batch| {
                let (name, key_columns) = (&table.name, table.key_columns);
                let by = by.get(node).copied().flatten();
                let parts =
                    parts(&batch, key_columns, by, workers).map_err(|e| self.damaged(&self.dir, e))?;
                let part = |batch| (node, StateTable { name: name.clone(), batch, key_columns });
                give(parts.into_iter().map(part).collect())
            })?;
        }
        Ok(())
    }
}

/// The tables of a checkpoint under the numbers that its nodes have now; those of nodes that are no more are left out.
pub(super) fn renumbered(tables: &[TableManifest], nodes: &[Option<usize>]) -> Vec<TableManifest> {
    let now = |table: &TableManifest| nodes.get(table.node).copied().flatten();
    tables.iter().filter_map(|t| Some(TableManifest { node: now(t)?, ..t.clone() })).collect()
}

/// Copies into `to` what `from` keeps of some of its statements, as a job of their own. Its manifest comes last: until it
/// is there, nothing is.
pub fn split(from: &JobStore, names: &[&str], to: &JobStore) -> Result<()> {
    let Some(mut manifest) = from.manifest()? else { return Ok(()) };
    manifest.parts.retain(|p| names.contains(&p.name.as_str()));
    manifest.tables.retain(|t| manifest.parts.iter().any(|p| p.nodes.contains(&t.node)));
    let disk = &from.disk;
    disk.create_dir_durably(&to.dir, 1)?;
    let journals = Journal::names(disk, &from.dir, manifest.step)?;
    let tables = manifest.tables.iter().flat_map(|table| &table.files).flat_map(TableFile::names);
    for file in tables.chain(journals.iter().map(String::as_str)) {
        disk.write_atomically(&to.dir.join(file), &disk.read(&from.dir.join(file))?)?;
    }
    to.write_manifest(&manifest)
}

/// A table's rows for each worker: by the same hash as the exchanges use; without a key all for the first.
fn parts(
    batch: &RecordBatch,
    keys: usize,
    by: Option<&[usize]>,
    workers: usize,
) -> std::result::Result<Vec<RecordBatch>, Box<dyn std::error::Error>> {
    if workers == 1 {
        return Ok(vec![batch.clone()]);
    }
    if keys == 0 {
        let empty = batch.slice(0, 0);
        return Ok(std::iter::once(batch.clone()).chain((1..workers).map(|_| empty.clone())).collect());
    }
    let keys = batch.columns().get(..keys).ok_or("it lacks key columns")?;
    let hashed = match by {
        Some(by) => by.iter().map(|key| keys.get(*key).cloned()).collect::<Option<_>>(),
        None => Some(keys.to_vec()),
    };
    let hashes = hash_columns(&hashed.ok_or("it lacks key columns")?, batch.num_rows())?;
    Ok(partition(&hashes, workers)
        .iter()
        .map(|p| take_record_batch(batch, p))
        .collect::<std::result::Result<_, _>>()?)
}

/// The manifest of a job that has neither statements nor sources.
#[cfg(test)]
pub(super) fn manifest(step: u64) -> Manifest {
    Manifest {
        version: 0,
        generation: step,
        step,
        parts: vec![],
        sources: vec![],
        watermarks: vec![],
        tables: vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delta::{Delta, draw, drawn};
    use crate::operators::StateChange;
    use arrow::datatypes::{DataType, Field, Schema};
    use std::sync::Arc;

    #[test]
    fn state_is_restored_onto_any_number_of_workers_each_key_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = JobStore { disk: Disk::real(), dir: dir.path().into(), job: "j".into() };
        let schema = Arc::new(Schema::new(vec![
            Field::new("k", DataType::Int64, true),
            Field::new("v", DataType::Utf8, true),
        ]));
        let table = |text: &str| StateTable {
            name: "groups".into(),
            batch: drawn(&schema, text).batch,
            key_columns: 1,
        };
        let whole = |text: &str| (2, StateChange::Whole(vec![table(text)]));
        let rows: String = (0..100).map(|i| format!("+ {i} v{i}\n")).collect();
        let needed = AtomicBool::new(false);
        store
            .write(manifest(3), &[], vec![vec![whole(&rows)], vec![whole("+ 100 x\n+ null y")]], &needed)
            .unwrap();
        store
            .write(manifest(4), &[], vec![vec![whole(&rows)], vec![whole("+ 100 x\n+ null y")]], &needed)
            .unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "the checkpoint before is gone");
        let manifest = store.manifest().unwrap().unwrap();
        assert_eq!(manifest.step, 4);
        for workers in 1..=4 {
            let mut lines: Vec<String> = Vec::new();
            let give = &mut |parts: Vec<RestoredPart>| {
                assert_eq!(parts.len(), workers);
                for (node, table) in parts {
                    assert_eq!(node, 2);
                    let text = draw(&[Delta::insert(table.batch)]);
                    lines.extend(text.lines().map(String::from));
                }
                Ok(())
            };
            store.read(&manifest, &[None, None, Some(2)], &[], workers, give).unwrap();
            assert_eq!(lines.len(), 102);
            lines.sort();
            lines.dedup();
            assert_eq!(lines.len(), 102);
        }
    }

    #[test]
    fn no_bit_of_a_checkpoint_flips_unseen() {
        let dir = tempfile::tempdir().unwrap();
        let store = JobStore { disk: Disk::real(), dir: dir.path().into(), job: "j".into() };
        let schema = Arc::new(Schema::new(vec![Field::new("k", DataType::Int64, true)]));
        let batch = drawn(&schema, "+ 1\n+ 2").batch;
        let table = StateTable { name: "groups".into(), batch, key_columns: 1 };
        store
            .write(
                manifest(7),
                &[],
                vec![vec![(0, StateChange::Whole(vec![table]))]],
                &AtomicBool::new(false),
            )
            .unwrap();
        let sound = store.manifest().unwrap().unwrap();
        for name in store.disk.list(&store.dir).unwrap() {
            let path = dir.path().join(&name);
            let bytes = std::fs::read(&path).unwrap();
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                std::fs::write(&path, &flipped).unwrap();
                let seen = match store.manifest() {
                    Ok(Some(manifest)) if manifest == sound => {
                        store.read(&manifest, &[Some(0)], &[], 1, &mut |_| Ok(())).is_err()
                    }
                    Ok(_) => false,
                    Err(_) => true,
                };
                // A blank between two words may become another one.
                assert!(
                    seen || (!name.ends_with("parquet") && bytes[bit / 8].is_ascii_whitespace()),
                    "bit {bit} of {name}"
                );
            }
            std::fs::write(&path, bytes).unwrap();
        }
    }

    #[test]
    fn a_damaged_or_newer_checkpoint_is_an_error_not_a_panic() {
        let dir = tempfile::tempdir().unwrap();
        let store = JobStore { disk: Disk::real(), dir: dir.path().into(), job: "j".into() };
        assert!(store.manifest().unwrap().is_none());
        store.write(manifest(1), &[], vec![], &AtomicBool::new(false)).unwrap();
        let path = dir.path().join("checkpoint.json");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\"version\": 4", "\"version\": 9")).unwrap();
        assert!(store.manifest().unwrap_err().to_string().contains("newer millstream"));
        std::fs::write(&path, &text[..text.len() / 2]).unwrap();
        assert!(store.manifest().unwrap_err().to_string().contains("damaged"));
    }
}
