//! The files of a checkpoint's state tables.
//!
//! A table is a list of Parquet files, the oldest first. The first may be all of it; each further one holds, for the keys
//! that changed until its checkpoint, all rows that they had then, and beside it stand the keys that had none any more.
//! So of a key the newest file counts that names it. Files are merged as in a log-structured merge tree (O'Neil et al.
//! 1996): as soon as those behind a file are as large as it is, they become one. What a checkpoint costs thus follows what
//! has changed, times the logarithm of the state's size at most, and a table has few files.

use super::checkpoint::{JobStore, TableManifest};
use super::worker::NodeState;
use super::{Result, RuntimeError};
use crate::operators::{StateChange, StateTable, TableChange};
use crate::state::key_table::{KeyTable, NO_SLOT};
use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};

/// Files of fewer rows count as if they had so many: below that, a file costs what it costs.
const FEW_ROWS: u64 = 64;

/// A file in the job's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    /// Its name.
    pub name: String,
    /// The CRC32C of its bytes in hexadecimal; an older layout had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crc32c: Option<String>,
}

/// One file of a table, and the keys beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFile {
    /// The rows; none = there are no rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<StoredFile>,
    /// The keys that have no rows, or those in `rows`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<StoredFile>,
    /// Rows in both.
    #[serde(default)]
    pub count: u64,
}

impl TableFile {
    /// The names of its files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().chain(&self.removed).map(|file| file.name.as_str())
    }
}

/// What has changed of one table, on all workers.
#[derive(Debug)]
struct Changed {
    node: usize,
    name: String,
    key_columns: usize,
    rows: Vec<RecordBatch>,
    removed: Vec<RecordBatch>,
    whole: bool,
}

/// The contents of one [`TableFile`].
#[derive(Debug, Default)]
struct Content {
    rows: Option<RecordBatch>,
    removed: Option<RecordBatch>,
}

/// What the workers' changes make of the tables: the new list of tables, whose files are written. `stem` begins the names of
/// the files and is the checkpoint's own.
pub(super) fn write(
    store: &JobStore,
    stem: &str,
    tables: &[TableManifest],
    workers: Vec<Vec<NodeState>>,
) -> Result<Vec<TableManifest>> {
    let mut next = tables.to_vec();
    let mut changed: Vec<Changed> = Vec::new();
    for (node, change) in workers.into_iter().flatten() {
        match change {
            StateChange::Whole(whole) => {
                next.retain(|table| table.node != node);
                for StateTable { name, batch, key_columns } in whole {
                    let change = TableChange { name, key_columns, rows: Some(batch), removed: None };
                    gather(&mut changed, node, change, true);
                }
            }
            StateChange::Some(changes) => {
                changes.into_iter().for_each(|change| gather(&mut changed, node, change, false));
            }
        }
    }
    for change in changed {
        let rows = one_batch(&change.rows)?;
        let mut removed = one_batch(&change.removed)?;
        let place = next.iter().position(|t| t.node == change.node && t.name == change.name);
        if change.whole || place.is_none() {
            // There is nothing that could go.
            removed = None;
        }
        if rows.is_none() && removed.is_none() {
            continue;
        }
        let stem = format!("{stem}-{}-{}", change.node, change.name);
        let file = put(store, &stem, &Content { rows, removed })?;
        match place.and_then(|place| next.get_mut(place)) {
            Some(table) => table.files.push(file),
            None => next.push(TableManifest {
                node: change.node,
                name: change.name,
                key_columns: change.key_columns,
                files: vec![file],
            }),
        }
    }
    for table in &mut next {
        merge(store, stem, table)?;
    }
    next.retain(|table| !table.files.is_empty());
    // Who reads them takes a node's tables together.
    next.sort_by_key(|table| table.node);
    Ok(next)
}

/// Puts a change to those of the same table.
fn gather(all: &mut Vec<Changed>, node: usize, change: TableChange, whole: bool) {
    let TableChange { name, key_columns, rows, removed } = change;
    match all.iter_mut().find(|c| c.node == node && c.name == name) {
        Some(same) => {
            same.rows.extend(rows);
            same.removed.extend(removed);
        }
        None => all.push(Changed {
            node,
            name,
            key_columns,
            rows: rows.into_iter().collect(),
            removed: removed.into_iter().collect(),
            whole,
        }),
    }
}

/// Merges the files of a table that are due.
fn merge(store: &JobStore, stem: &str, table: &mut TableManifest) -> Result<()> {
    let size = |file: &TableFile| file.count.max(FEW_ROWS);
    let mut behind = 0;
    let mut first = None;
    for (i, file) in table.files.iter().enumerate().rev() {
        if behind >= size(file) {
            first = Some(i);
        }
        behind += size(file);
    }
    let Some(first) = first else { return Ok(()) };
    let mut rows: Vec<RecordBatch> = Vec::new();
    let mut removed: Vec<RecordBatch> = Vec::new();
    for content in newest(store, &table.files[first..], table.key_columns)? {
        rows.extend(content.rows.filter(|rows| rows.num_rows() > 0));
        removed.extend(content.removed);
    }
    if rows.windows(2).any(|pair| pair[0].schema() != pair[1].schema()) {
        // The operator has begun to keep something more of its rows. The next time there may be one kind only.
        return Ok(());
    }
    let content =
        Content { rows: one_batch(&rows)?, removed: if first == 0 { None } else { one_batch(&removed)? } };
    table.files.truncate(first);
    if content.rows.is_some() || content.removed.is_some() {
        let stem = format!("{stem}-{}-{}-merged", table.node, table.name);
        table.files.push(put(store, &stem, &content)?);
    }
    Ok(())
}

/// The rows of a table's files that count, the newest file first.
pub(super) fn read(store: &JobStore, table: &TableManifest) -> Result<Vec<RecordBatch>> {
    Ok(newest(store, &table.files, table.key_columns)?
        .into_iter()
        .filter_map(|content| content.rows)
        .collect())
}

/// Of some files, the newest first: the rows of keys that no newer one names, and the keys likewise.
fn newest(store: &JobStore, files: &[TableFile], key_columns: usize) -> Result<Vec<Content>> {
    let mut seen: Option<KeyTable> = None;
    let mut all = Vec::with_capacity(files.len());
    for (i, file) in files.iter().enumerate().rev() {
        let get = |file: &Option<StoredFile>| match file {
            None => Ok(None),
            Some(StoredFile { name, crc32c }) => {
                let path = store.dir.join(name);
                let bytes = store.disk.read(&path)?;
                if crc32c.as_ref().is_some_and(|crc| *crc != checksum(&bytes)) {
                    return Err(store.damaged(&path, "its checksum is wrong"));
                }
                decode(bytes).map(Some).map_err(|e| store.damaged(&path, e))
            }
        };
        let mut content = Content { rows: get(&file.rows)?, removed: get(&file.removed)? };
        if files.len() > 1 {
            let some = content.rows.as_ref().or(content.removed.as_ref());
            if let (None, Some(batch)) = (&seen, some) {
                let fields = batch.schema_ref().fields().iter().take(key_columns);
                let types: Vec<_> = fields.map(|f| f.data_type().clone()).collect();
                seen = Some(KeyTable::new(&types)?);
            }
            if let Some(seen) = &mut seen {
                let before = seen.slots();
                let is_last = i == 0;
                // The rows first: a key that is also among the removed has them.
                content.rows = unseen(seen, content.rows, before, key_columns, is_last)?;
                let known = seen.slots();
                content.removed = unseen(seen, content.removed, known, key_columns, is_last)?;
            }
        }
        all.push(content);
    }
    Ok(all)
}

/// The rows whose keys have no slot below `before`. Their keys are then known, unless nothing older is to come.
fn unseen(
    seen: &mut KeyTable,
    batch: Option<RecordBatch>,
    before: usize,
    key_columns: usize,
    is_last: bool,
) -> Result<Option<RecordBatch>> {
    let Some(batch) = batch else { return Ok(None) };
    let mut slots = Vec::new();
    let keys = batch.columns().get(..key_columns).unwrap_or_default();
    match is_last {
        true => seen.look_up(keys, batch.num_rows(), &mut slots)?,
        false => seen.intern(keys, batch.num_rows(), |_| false, &mut slots)?,
    }
    let new = |slot: &u32| *slot == NO_SLOT || *slot as usize >= before;
    if slots.iter().all(new) {
        return Ok(Some(batch));
    }
    let mask: BooleanArray = slots.iter().map(|slot| Some(new(slot))).collect();
    Ok(Some(filter_record_batch(&batch, &mask)?))
}

/// Batches of one schema as one; none if there are no rows.
fn one_batch(batches: &[RecordBatch]) -> Result<Option<RecordBatch>> {
    let Some(first) = batches.iter().find(|batch| batch.num_rows() > 0) else { return Ok(None) };
    Ok(Some(concat_batches(first.schema_ref(), batches)?))
}

fn put(store: &JobStore, stem: &str, content: &Content) -> Result<TableFile> {
    let write = |batch: &Option<RecordBatch>, end: &str| -> Result<Option<StoredFile>> {
        let Some(batch) = batch else { return Ok(None) };
        let name = format!("{stem}{end}.parquet");
        let path = store.dir.join(&name);
        let bytes = encode(batch).map_err(|e| RuntimeError::Output(format!("cannot write {name}: {e}")))?;
        store.disk.write_atomically(&path, &bytes)?;
        Ok(Some(StoredFile { name, crc32c: Some(checksum(&bytes)) }))
    };
    let count =
        [&content.rows, &content.removed].into_iter().flatten().map(RecordBatch::num_rows).sum::<usize>();
    Ok(TableFile {
        rows: write(&content.rows, "")?,
        removed: write(&content.removed, ".removed")?,
        count: count as u64,
    })
}

/// The CRC32C of some bytes in hexadecimal.
pub(super) fn checksum(bytes: &[u8]) -> String {
    format!("{:08x}", crc32c::crc32c(bytes))
}

fn encode(batch: &RecordBatch) -> parquet::errors::Result<Vec<u8>> {
    let properties =
        WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
    writer.write(batch)?;
    writer.into_inner()
}

fn decode(bytes: Vec<u8>) -> parquet::errors::Result<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes))?;
    let schema = reader.schema().clone();
    let batches = reader.build()?.collect::<std::result::Result<Vec<_>, _>>()?;
    Ok(concat_batches(&schema, &batches)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Disk;
    use arrow::array::{ArrayRef, AsArray, Int64Array};
    use arrow::datatypes::Int64Type;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    type Rows = BTreeMap<i64, Vec<i64>>;

    fn keys(keys: impl Iterator<Item = i64>) -> RecordBatch {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(keys));
        RecordBatch::try_from_iter([("key0", column)]).unwrap()
    }

    fn rows(rows: &Rows) -> RecordBatch {
        let all = || rows.iter().flat_map(|(key, values)| values.iter().map(move |value| (*key, *value)));
        let columns: [ArrayRef; 2] = [
            Arc::new(Int64Array::from_iter_values(all().map(|row| row.0))),
            Arc::new(Int64Array::from_iter_values(all().map(|row| row.1))),
        ];
        RecordBatch::try_from_iter(["key0", "value"].into_iter().zip(columns)).unwrap()
    }

    fn held(store: &JobStore, tables: &[TableManifest]) -> Rows {
        let mut found = Rows::new();
        for batch in tables.iter().flat_map(|table| read(store, table).unwrap()) {
            let [keys, values] = [0, 1].map(|i| batch.column(i).as_primitive::<Int64Type>().values());
            keys.iter().zip(values).for_each(|(key, value)| found.entry(*key).or_default().push(*value));
        }
        found.values_mut().for_each(|values| values.sort_unstable());
        found
    }

    /// The changes of one worker: the keys that have rows now, and those that have none.
    fn change(changed: &Rows) -> NodeState {
        let (there, gone): (Rows, Rows) = changed.clone().into_iter().partition(|(_, rows)| !rows.is_empty());
        let batch = |rows: RecordBatch| (rows.num_rows() > 0).then_some(rows);
        let (rows, removed) = (batch(rows(&there)), batch(keys(gone.into_keys())));
        (4, StateChange::Some(vec![TableChange { name: "rows".into(), key_columns: 1, rows, removed }]))
    }

    fn store(dir: &tempfile::TempDir) -> JobStore {
        JobStore { disk: Disk::real(), dir: dir.path().into(), job: "j".into() }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn what_is_read_is_what_was_there_at_the_last_checkpoint(
            steps in proptest::collection::vec(
                proptest::collection::btree_map(0..300i64, proptest::collection::vec(0..9i64, 0..3), 0..200),
                1..12,
            )
        ) {
            let dir = tempfile::tempdir().unwrap();
            let store = store(&dir);
            let (mut model, mut tables) = (Rows::new(), Vec::new());
            for (i, step) in steps.into_iter().enumerate() {
                let mut step = step;
                step.values_mut().for_each(|values| values.sort_unstable());
                model.extend(step.clone());
                model.retain(|_, values| !values.is_empty());
                let (one, other): (Rows, Rows) = step.into_iter().partition(|(key, _)| key % 2 == 0);
                let workers = vec![vec![change(&one)], vec![change(&other)]];
                tables = write(&store, &format!("state-{i}"), &tables, workers).unwrap();
                prop_assert_eq!(&held(&store, &tables), &model);
            }
        }
    }

    #[test]
    fn a_small_change_writes_little_and_files_stay_few() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        let all: Rows = (0..20_000).map(|key| (key, vec![key])).collect();
        let mut model = all.clone();
        let batch = rows(&all);
        let whole = StateTable { name: "rows".into(), batch, key_columns: 1 };
        let mut tables = write(&store, "s", &[], vec![vec![(4, StateChange::Whole(vec![whole]))]]).unwrap();
        let mut written = 0;
        for i in 0..50 {
            let changed: Rows = (0..100).map(|key| (i * 97 + key, vec![-i])).collect();
            model.extend(changed.clone());
            let before = tables.clone();
            tables = write(&store, &format!("s{i}"), &tables, vec![vec![change(&changed)]]).unwrap();
            let new = tables[0].files.iter().filter(|file| !before[0].files.contains(file));
            written += new.map(|file| file.count).sum::<u64>();
            assert!(tables[0].files.len() <= 9, "{:?}", tables[0].files);
            assert_eq!(tables[0].files[0], before[0].files[0], "the large file stays as it is");
        }
        assert!(written < 50 * 100 * 8, "{written} rows for 50 changes of 100");
        assert_eq!(held(&store, &tables), model);
    }

    #[test]
    fn what_was_never_there_is_not_removed_and_an_empty_table_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        let gone: Rows = [(1, vec![])].into();
        let tables = write(&store, "a", &[], vec![vec![change(&gone)]]).unwrap();
        assert!(tables.is_empty());
        let tables = write(&store, "b", &tables, vec![vec![change(&[(1, vec![5])].into())]]).unwrap();
        let tables = write(&store, "c", &tables, vec![vec![change(&gone)]]).unwrap();
        assert!(tables.is_empty(), "{tables:?}");
    }
}
