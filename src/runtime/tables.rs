//! The files of a checkpoint's state tables.
//!
//! A table is a list of Parquet files, the oldest first. The first may be all of it; each further one holds, for the keys
//! that changed until its checkpoint, all rows that they had then, and beside it stand the keys that had none any more.
//! So of a key the newest file counts that names it, and besides the rows that this and newer ones add. Files are merged as
//! in a log-structured merge tree (O'Neil et al. 1996): the newest ones become one as soon as none of them is larger than the others
//! together, or, where rows have only been added and all of them count, than a seventh of them. So each time that a row is
//! written again, its file becomes twice or eight times as large: what a checkpoint costs follows what has changed, times the
//! logarithm of the state's size at most, and a table has few files. A large file is not written again to be rid of a small
//! one before it. They are walked through side by side in the order of their keys' hashes, so that no table is held in memory whole.

use super::Result;
use super::checkpoint::{JobStore, TableManifest};
use super::table_files::{FileWriter, Hashed, ORDER, ORDER_OF_RUNS, go_on};
use super::table_walk::{Content, Walk, hashed, keys_of};
use super::worker::NodeState;
use crate::operators::kept_rows::KeptRows;
use crate::operators::{StateChange, StateTable, TableChange};
use crate::state::key_table::NO_SLOT;
use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, not};
use arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};
use std::sync::atomic::AtomicBool;

/// Files of fewer rows count as if they had so many: below that, a file costs what it costs.
const FEW_ROWS: u64 = 64;
/// How many times as large as the largest the others are when files are merged that only add: nothing is on disk that does not
/// count, and a row is written less often.
const TIMES_ADDED: u64 = 7;
/// If a table has more files, it is merged from the first one on that those behind it outweigh, however large one of them is. Only
/// sizes that rise and fall again and again lead there.
const MANY_FILES: usize = 32;

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
    /// The keys that have no rows, or those in `rows` and `added`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<StoredFile>,
    /// Rows beside those that their keys have by these and older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added: Option<StoredFile>,
    /// Rows in all of them.
    #[serde(default)]
    pub count: u64,
    /// How the rows are ordered; files of an older layout are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
}

impl TableFile {
    /// Whether all that it says is said beside older files.
    fn only_adds(&self) -> bool {
        self.rows.is_none() && self.removed.is_none()
    }

    /// The names of its files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().chain(&self.removed).chain(&self.added).map(|file| file.name.as_str())
    }
}

/// What has changed of one table, on all workers.
#[derive(Debug)]
struct Changed {
    node: usize,
    name: String,
    key_columns: usize,
    rows: Vec<RecordBatch>,
    kept: Vec<KeptRows>,
    removed: Vec<RecordBatch>,
    added: Vec<KeptRows>,
    whole: bool,
}

/// What the workers' changes make of the tables: the new list of tables, whose files are written. `stem` begins the names of
/// the files and is the checkpoint's own. Ends with [`super::RuntimeError::Needless`] once that is true.
pub(super) fn write(
    store: &JobStore,
    stem: &str,
    tables: &[TableManifest],
    workers: Vec<Vec<NodeState>>,
    needless: &AtomicBool,
) -> Result<Vec<TableManifest>> {
    let mut next = tables.to_vec();
    let mut changed: Vec<Changed> = Vec::new();
    for (node, change) in workers.into_iter().flatten() {
        match change {
            StateChange::Whole(whole) => {
                next.retain(|table| table.node != node);
                for StateTable { name, batch, key_columns } in whole {
                    let change = TableChange {
                        name,
                        key_columns,
                        rows: Some(batch),
                        kept: None,
                        removed: None,
                        added: None,
                    };
                    gather(&mut changed, node, change, true);
                }
            }
            StateChange::Some(changes) => {
                changes.into_iter().for_each(|change| gather(&mut changed, node, change, false));
            }
        }
    }
    for change in changed {
        let Changed { mut rows, mut kept, mut removed, added, .. } = change;
        let place = next.iter().position(|t| t.node == change.node && t.name == change.name);
        if change.whole || place.is_none() {
            // There is nothing that could go.
            removed.clear();
        }
        let none_is_kept = kept.iter().chain(&added).all(|kept| kept.num_rows() == 0);
        if none_is_kept && rows.iter().chain(&removed).all(|batch| batch.num_rows() == 0) {
            continue;
        }
        let stem = format!("{stem}-{}-{}", change.node, change.name);
        let mut file = NewFile::new(store, &stem, change.key_columns, needless);
        if !kept.is_empty() {
            kept.extend(std::mem::take(&mut rows).into_iter().map(KeptRows::from));
            file.add_runs(0, &kept)?;
        }
        let (rows, removed) = (file.hashed(rows)?, file.hashed(removed)?);
        file.add(Content { rows, removed, added: vec![] })?;
        file.add_runs(2, &added)?;
        let file = file.finish()?;
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
        merge(store, stem, table, needless)?;
    }
    next.retain(|table| !table.files.is_empty());
    // Who reads them takes a node's tables together.
    next.sort_by_key(|table| table.node);
    Ok(next)
}

/// Puts a change to those of the same table.
fn gather(all: &mut Vec<Changed>, node: usize, change: TableChange, whole: bool) {
    let TableChange { name, key_columns, rows, kept, removed, added } = change;
    match all.iter_mut().find(|c| c.node == node && c.name == name) {
        Some(same) => {
            same.rows.extend(rows);
            same.kept.extend(kept);
            same.removed.extend(removed);
            same.added.extend(added);
        }
        None => all.push(Changed {
            node,
            name,
            key_columns,
            rows: rows.into_iter().collect(),
            kept: kept.into_iter().collect(),
            removed: removed.into_iter().collect(),
            added: added.into_iter().collect(),
            whole,
        }),
    }
}

/// From which file on a table's files are due to be merged.
fn due(files: &[TableFile]) -> Option<usize> {
    let (mut all, mut largest, mut added, mut first) = (0, 0, true, None);
    for (i, file) in files.iter().enumerate().rev() {
        let size = file.count.max(FEW_ROWS);
        all += size;
        largest = if files.len() > MANY_FILES { size } else { size.max(largest) };
        let times = if added { TIMES_ADDED } else { 1 };
        if all - largest >= largest * times {
            first = Some(i);
        }
        added &= file.only_adds();
    }
    first
}

/// Merges the files of a table that are due.
fn merge(store: &JobStore, stem: &str, table: &mut TableManifest, needless: &AtomicBool) -> Result<()> {
    let Some(first) = due(&table.files) else { return Ok(()) };
    let mut walk = Walk::open(store, &table.files[first..], table.key_columns)?;
    if !walk.is_of_one_kind() {
        // The operator has begun to keep something more of its rows. The next time there may be one kind only.
        return Ok(());
    }
    let stem = format!("{stem}-{}-{}-merged", table.node, table.name);
    let mut merged = NewFile::new(store, &stem, table.key_columns, needless);
    while let Some(contents) = walk.next()? {
        let [mut rows, mut removed, mut added] = [const { Vec::new() }; 3];
        for content in contents {
            rows.extend(content.rows);
            removed.extend(content.removed);
            added.extend(content.added);
        }
        if first == 0 {
            // Where nothing older is left, nothing is there that could be gone, or be added to.
            rows.append(&mut added);
            merged.add(Content { rows, ..Content::default() })?;
            continue;
        }
        let added = known_apart(&mut rows, &removed, added, table.key_columns)?;
        merged.add(Content { rows, removed, added })?;
    }
    let merged = merged.finish()?;
    table.files.truncate(first);
    if merged.count > 0 {
        table.files.push(merged);
    }
    Ok(())
}

/// Gives the rows of a table's files that count, some at a time; all rows of a key come together: it may go to disk then, and need not
/// be taken back.
pub(super) fn read(
    store: &JobStore,
    table: &TableManifest,
    give: &mut dyn FnMut(RecordBatch) -> Result<()>,
) -> Result<()> {
    let mut walk = Walk::open(store, &table.files, table.key_columns)?;
    while let Some(contents) = walk.next()? {
        let parts = contents.into_iter().flat_map(|content| [content.rows, content.added]);
        for part in parts {
            if let Some(first) = part.first() {
                give(concat_batches(first.rows.schema_ref(), part.iter().map(|hashed| &hashed.rows))?)?;
            }
        }
    }
    Ok(())
}

/// Moves those of the added rows to `rows` whose keys are there or among the removed: nothing older counts of them. Gives the
/// others, which are added still.
fn known_apart(
    rows: &mut Vec<Hashed>,
    removed: &[Hashed],
    added: Vec<Hashed>,
    key_columns: usize,
) -> Result<Vec<Hashed>> {
    let Some(first) = added.first() else { return Ok(added) };
    if rows.is_empty() && removed.is_empty() {
        return Ok(added);
    }
    let mut known = keys_of(&first.rows, key_columns)?;
    let mut slots = Vec::new();
    for Hashed { rows, .. } in rows.iter().chain(removed) {
        known.intern(&rows.columns()[..key_columns], rows.num_rows(), |_| false, &mut slots)?;
    }
    let mut others = Vec::new();
    for hashed in added {
        let new = &hashed.rows;
        known.look_up(&new.columns()[..key_columns], new.num_rows(), &mut slots)?;
        let is_new: BooleanArray = slots.iter().map(|slot| Some(*slot == NO_SLOT)).collect();
        others.push(hashed.filtered(&is_new)?);
        rows.push(hashed.filtered(&not(&is_new)?)?);
    }
    for some in [&mut *rows, &mut others] {
        some.retain(|hashed| hashed.rows.num_rows() > 0);
    }
    Ok(others)
}

/// A [`TableFile`] that is being written.
struct NewFile<'a> {
    store: &'a JobStore,
    stem: &'a str,
    key_columns: usize,
    /// Whether nobody needs it any more.
    needless: &'a AtomicBool,
    /// The rows, the removed keys, and the added rows.
    writers: [Option<FileWriter>; 3],
    count: u64,
}

impl<'a> NewFile<'a> {
    fn new(store: &'a JobStore, stem: &'a str, key_columns: usize, needless: &'a AtomicBool) -> Self {
        NewFile { store, stem, key_columns, needless, writers: [None, None, None], count: 0 }
    }

    /// Adds contents, whose keys' hashes are above those that have been added.
    fn add(&mut self, content: Content) -> Result<()> {
        go_on(self.needless)?;
        for (part, some) in [content.rows, content.removed, content.added].into_iter().enumerate() {
            let Some(first) = some.first() else { continue };
            self.count += some.iter().map(|hashed| hashed.rows.num_rows() as u64).sum::<u64>();
            self.writer(part, first.rows.schema_ref())?.write_behind(&some)?;
        }
        Ok(())
    }

    /// The same of rows of a change, whatever their order.
    fn hashed(&self, batches: Vec<RecordBatch>) -> Result<Vec<Hashed>> {
        let Some(first) = batches.first() else { return Ok(vec![]) };
        let schema = first.schema();
        hashed(batches.into_iter().map(Ok), &schema, self.key_columns)
    }

    /// Adds all rows (part 0) or added rows (part 2), in whatever order.
    fn add_runs(&mut self, part: usize, all: &[KeptRows]) -> Result<()> {
        let Some(first) = all.iter().find(|kept| kept.num_rows() > 0) else { return Ok(()) };
        self.count += all.iter().map(|kept| kept.num_rows() as u64).sum::<u64>();
        let needless = self.needless;
        self.writer(part, first.schema())?.write_runs(all, needless)
    }

    fn writer(&mut self, part: usize, schema: &SchemaRef) -> Result<&mut FileWriter> {
        Ok(match &mut self.writers[part] {
            Some(writer) => writer,
            none => {
                let name = format!("{}{}.parquet", self.stem, ["", ".removed", ".added"][part]);
                none.insert(FileWriter::begin(self.store, name, schema.clone(), self.key_columns)?)
            }
        })
    }

    fn finish(self) -> Result<TableFile> {
        let is_ordered = self.writers.iter().flatten().all(FileWriter::is_ordered);
        let order = if is_ordered { ORDER } else { ORDER_OF_RUNS };
        let [rows, removed, added] = self.writers.map(|writer| writer.map(FileWriter::finish).transpose());
        let (rows, removed, added) = (rows?, removed?, added?);
        Ok(TableFile { rows, removed, added, count: self.count, order: Some(order.into()) })
    }
}

/// The CRC32C of some bytes in hexadecimal.
pub(super) fn checksum(bytes: &[u8]) -> String {
    format!("{:08x}", crc32c::crc32c(bytes))
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

    fn write(
        store: &JobStore,
        stem: &str,
        tables: &[TableManifest],
        workers: Vec<Vec<NodeState>>,
    ) -> Result<Vec<TableManifest>> {
        super::write(store, stem, tables, workers, &AtomicBool::new(false))
    }

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
        let mut batches = Vec::new();
        for table in tables {
            let give = &mut |batch| {
                batches.push(batch);
                Ok(())
            };
            read(store, table, give).unwrap();
        }
        for batch in batches {
            let [keys, values] = [0, 1].map(|i| batch.column(i).as_primitive::<Int64Type>().values());
            keys.iter().zip(values).for_each(|(key, value)| found.entry(*key).or_default().push(*value));
        }
        found.values_mut().for_each(|values| values.sort_unstable());
        found
    }

    /// The changes of one worker: the keys that have other rows now, and those that have none.
    fn change(changed: &Rows) -> NodeState {
        change_and_add(changed, &Rows::new())
    }

    /// The same, and rows that have come beside others.
    fn change_and_add(changed: &Rows, added: &Rows) -> NodeState {
        let (there, gone): (Rows, Rows) = changed.clone().into_iter().partition(|(_, rows)| !rows.is_empty());
        let batch = |rows: RecordBatch| (rows.num_rows() > 0).then_some(rows);
        let (kept, there): (Rows, Rows) = there.into_iter().partition(|(key, _)| key % 2 == 0);
        let [kept, added] = [&kept, added].map(|all| batch(rows(all)).map(KeptRows::from));
        let (rows, removed) = (batch(rows(&there)), batch(keys(gone.into_keys())));
        (
            4,
            StateChange::Some(vec![TableChange {
                name: "rows".into(),
                key_columns: 1,
                rows,
                kept,
                removed,
                added,
            }]),
        )
    }

    fn store(dir: &tempfile::TempDir) -> JobStore {
        JobStore { disk: Disk::real(), dir: dir.path().into(), job: "j".into() }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn what_is_read_is_what_was_there_at_the_last_checkpoint(
            steps in proptest::collection::vec(
                proptest::collection::btree_map(
                    0..300i64,
                    (proptest::collection::vec(0..9i64, 0..3), 0..4u8),
                    0..200,
                ),
                1..12,
            )
        ) {
            let dir = tempfile::tempdir().unwrap();
            let store = store(&dir);
            let (mut model, mut tables) = (Rows::new(), Vec::new());
            for (i, step) in steps.into_iter().enumerate() {
                // Of each worker what changes, and what is added, to keys that it has just removed too.
                let mut workers = [const { (Rows::new(), Rows::new()) }; 2];
                for (key, (values, kind)) in step {
                    let (changed, added) = &mut workers[(key % 2) as usize];
                    if kind < 3 {
                        model.insert(key, vec![]);
                        changed.insert(key, if kind == 0 { vec![] } else { values.clone() });
                    }
                    if kind == 0 || kind == 3 {
                        added.insert(key, values.clone());
                    }
                    model.entry(key).or_default().extend(values);
                }
                model.retain(|_, values| !values.is_empty());
                model.values_mut().for_each(|values| values.sort_unstable());
                let workers = workers.iter().map(|(changed, added)| vec![change_and_add(changed, added)]);
                let workers = workers.collect();
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
    fn rows_that_only_come_are_written_again_seldom() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        let (mut model, mut tables) = (Rows::new(), Vec::<TableManifest>::new());
        let (mut came, mut written) = (0, 0);
        for i in 0..60 {
            let added: Rows = (0..500).map(|key| (key, vec![i; 2])).collect();
            for (key, values) in &added {
                model.entry(*key).or_default().extend(values);
            }
            let workers = vec![vec![change_and_add(&Rows::new(), &added)]];
            let next = write(&store, &format!("s{i}"), &tables, workers).unwrap();
            let before: Vec<&TableFile> = tables.iter().flat_map(|table| &table.files).collect();
            let new = next[0].files.iter().filter(|file| !before.contains(file));
            written += new.map(|file| file.count).sum::<u64>();
            came += 1000;
            tables = next;
            assert!(tables[0].files.len() <= 16, "{:?}", tables[0].files);
        }
        assert!(written <= came * 3, "{written} rows for {came}");
        assert_eq!(held(&store, &tables), model);
        let gone: Rows = (0..250).map(|key| (key, vec![])).collect();
        tables = write(&store, "gone", &tables, vec![vec![change(&gone)]]).unwrap();
        model.retain(|key, _| *key >= 250);
        assert_eq!(held(&store, &tables), model);
    }

    /// Files that become ever more, merged as is due: how often a row is written, and how many files there are at most.
    fn merged_by_and_by(sizes: impl Iterator<Item = u64>, only_adds: bool) -> (f64, usize) {
        let file = |count| TableFile {
            rows: (!only_adds).then(|| StoredFile { name: String::new(), crc32c: None }),
            removed: None,
            added: None,
            count,
            order: None,
        };
        let (mut files, mut came, mut written, mut most) = (Vec::new(), 0, 0, 0);
        for size in sizes {
            files.push(file(size));
            came += size;
            written += size;
            if let Some(first) = due(&files) {
                let all = files.drain(first..).map(|file| file.count).sum();
                written += all;
                files.push(file(all));
            }
            most = most.max(files.len());
        }
        (written as f64 / came as f64, most)
    }

    #[test]
    fn rows_are_written_again_seldom_and_files_stay_few_however_large_they_are() {
        let k = 1000;
        // As a query catches up: each checkpoint takes longer than the one before, so that there is more to write the next time.
        assert_eq!(merged_by_and_by([192 * k, 1097 * k, 2216 * k].into_iter(), true), (1.0, 3));
        let of_one_size = || std::iter::repeat_n(k, 500);
        let up_and_down = || (0..400).map(|i| 100 * 10u64.pow(i % 4));
        let drawn = || (0..400u64).map(|i| 100 + (i * 7919 * 7919) % 100_003);
        for (only_adds, times, most) in [(true, 3.0, 33), (false, 6.0, 13)] {
            let of_each = [
                merged_by_and_by(of_one_size(), only_adds),
                merged_by_and_by(up_and_down(), only_adds),
                merged_by_and_by(drawn(), only_adds),
            ];
            assert!(of_each.iter().all(|(amp, files)| *amp < times && *files <= most), "{of_each:?}");
        }
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
