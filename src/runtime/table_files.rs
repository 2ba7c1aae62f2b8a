//! One Parquet file of a state table, written and read piece by piece: neither holds the file in memory.
//!
//! Its rows stand in the order of their keys' hashes, so that several files can be walked through side by side: all of them in
//! files that have been merged, in others those of each row group ("run") for itself. A run is made of rows that lie near each other in
//! memory: to put gigabytes in one order takes each row from somewhere else.

use super::checkpoint::JobStore;
use super::tables::StoredFile;
use super::{Result, RuntimeError};
use crate::disk::{Beside, DiskFile, Open};
use crate::operators::kept_rows::KeptRows;
use crate::state::bag::RowCodec;
use crate::state::key_table::{Encoded, codec};
use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::{filter_record_batch, interleave_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::{ChunkReader, Length};
use std::collections::VecDeque;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use xxhash_rust::xxh3::xxh3_64;

/// How the rows of files are ordered: by XXH3 of the key in Arrow's row format. Files that say something else are read whole.
pub(super) const ORDER: &str = "xxh3-row-1";
/// The same of each row group for itself.
pub(super) const ORDER_OF_RUNS: &str = "xxh3-row-1 by row group";
/// Rows that are read at once.
const READ_ROWS: usize = 8192;
/// The least that are read at once of each of many runs.
const LEAST_READ_ROWS: usize = 256;
/// Rows of a row group, and so of a run, of which a file has few: so many are put together at once, and held encoded while a file is
/// written. Few where it is tested that what is written can be read.
const GROUP_ROWS: usize = if cfg!(debug_assertions) { 1 << 7 } else { 1 << 17 };
/// The same where it would have many.
const MOST_GROUP_ROWS: usize = 4 * GROUP_ROWS;
/// A file has more runs only if they have [`MOST_GROUP_ROWS`].
const MANY_RUNS: usize = 64;
/// Rows of a page: one of each column is held for each run that is read.
const PAGE_ROWS: usize = 2048;
/// Bytes that are read at once where only their checksum is looked at.
const CHECK_BYTES: usize = 1 << 20;

/// The hashes of rows' keys.
pub(super) struct KeyHashes {
    codec: RowCodec,
    columns: usize,
}

impl KeyHashes {
    /// Of the first `columns` columns of rows of this schema.
    pub(super) fn new(schema: &SchemaRef, columns: usize) -> Result<Self, ArrowError> {
        let types: Vec<_> = schema.fields().iter().take(columns).map(|f| f.data_type().clone()).collect();
        Ok(KeyHashes { codec: codec(&types)?, columns })
    }

    pub(super) fn of(&self, batch: &RecordBatch) -> Result<Vec<u64>, ArrowError> {
        self.of_columns(batch.columns(), batch.num_rows())
    }

    /// Of rows that begin with these columns.
    fn of_columns(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<u64>, ArrowError> {
        let keys = columns.get(..self.columns).unwrap_or_default();
        let mut hashes = Vec::with_capacity(rows);
        // Some at a time: it may be all state, whose keys in bytes nobody needs at once.
        for begin in (0..rows).step_by(READ_ROWS) {
            let len = (rows - begin).min(READ_ROWS);
            let some: Vec<ArrayRef> = keys.iter().map(|key| key.slice(begin, len)).collect();
            let encoded = Encoded::new(&self.codec, &some, len)?;
            hashes.extend((0..len).map(|i| xxh3_64(encoded.row(i))));
        }
        Ok(hashes)
    }

    /// Rows with theirs; none where there is no row.
    pub(super) fn with(&self, rows: RecordBatch) -> Result<Option<Hashed>, ArrowError> {
        let hashes = self.of(&rows)?;
        Ok((rows.num_rows() > 0).then_some(Hashed { rows, hashes }))
    }

    /// Gives rows that are put together only then: runs of at most `run_rows` that lie near each other, each in the order of
    /// their hashes. Those of a key stay in their order within it.
    pub(super) fn runs(
        &self,
        all: &[KeptRows],
        run_rows: usize,
        mut give: impl FnMut(RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let hashes = all.iter().map(|kept| self.of_columns(kept.keys(), kept.num_rows()));
        let hashes = hashes.collect::<Result<Vec<_>, _>>()?;
        let orders: Vec<Vec<u32>> = all.iter().map(KeptRows::as_they_lie).collect();
        let rows = (0u32..).zip(orders.iter().zip(&hashes));
        // As numbers, which are quicker to sort than tuples: the hash, which of `all`, and the row there.
        let mut rows = rows.flat_map(|(n, (order, hashes))| {
            let number =
                move |row| u128::from(hashes[row as usize]) << 64 | u128::from(n) << 32 | u128::from(row);
            order.iter().map(move |row| number(*row))
        });
        loop {
            let mut run: Vec<u128> = rows.by_ref().take(run_rows).collect();
            if run.is_empty() {
                return Ok(());
            }
            run.sort_unstable();
            let mut of_each: Vec<Vec<u32>> = vec![Vec::new(); all.len()];
            let places = run.iter().map(|number| {
                let n = (number >> 32) as u32 as usize;
                let of_this = &mut of_each[n];
                of_this.push(*number as u32);
                (n, of_this.len() - 1)
            });
            let places: Vec<(usize, usize)> = places.collect();
            let taken = all.iter().zip(&of_each).map(|(kept, rows)| kept.take(rows));
            let taken = taken.collect::<Result<Vec<_>, ArrowError>>()?;
            let mut some = taken.iter().filter(|batch| batch.num_rows() > 0);
            give(match (some.next(), some.next()) {
                (Some(one), None) => one.clone(),
                _ => interleave_record_batch(&taken.iter().collect::<Vec<_>>(), &places)?,
            })?;
        }
    }
}

/// Gives the rows in the order of their hashes, some at a time: what is written may be all state. Those of a key stay in
/// their order.
fn sorted(all: &[Hashed], mut give: impl FnMut(RecordBatch) -> Result<()>) -> Result<()> {
    if let [one] = all
        && one.hashes.is_sorted()
    {
        return give(one.rows.clone());
    }
    let batches: Vec<&RecordBatch> = all.iter().map(|one| &one.rows).collect();
    let hashes: Vec<&[u64]> = all.iter().map(|one| one.hashes.as_slice()).collect();
    in_order(&hashes, READ_ROWS, |some| give(interleave_record_batch(&batches, some)?))
}

/// Gives the rows of batches with these hashes in the order of the hashes, `at_once` at a time: of each its batch and its row.
/// Those of one hash stay in their order.
fn in_order(
    hashes: &[&[u64]],
    at_once: usize,
    mut give: impl FnMut(&[(usize, usize)]) -> Result<()>,
) -> Result<()> {
    // Rows with the same first bits come together first, as their numbers alone: what is sorted is little at a time, and in
    // the processor's caches.
    let rows: usize = hashes.iter().map(|hashes| hashes.len()).sum();
    let bits = (rows / READ_ROWS + 1).ilog2().min(20);
    let bucketed: Vec<Bucketed> = hashes.iter().map(|hashes| Bucketed::new(hashes, bits)).collect();
    let (mut bucket, mut ready) = (Vec::new(), Vec::new());
    for number in 0..1usize << bits {
        for (batch, (bucketed, hashes)) in bucketed.iter().zip(hashes).enumerate() {
            bucket
                .extend(bucketed.get(number).iter().map(|row| (hashes[*row as usize], batch, *row as usize)));
        }
        bucket.sort_unstable();
        ready.extend(bucket.drain(..).map(|(_, batch, row)| (batch, row)));
        // A bucket may have many times as many: those of one key.
        let whole = ready.len() - ready.len() % at_once;
        ready[..whole].chunks(at_once).try_for_each(&mut give)?;
        ready.drain(..whole);
    }
    if ready.is_empty() { Ok(()) } else { give(&ready) }
}

/// The rows of a batch by the first bits of their hashes.
struct Bucketed {
    rows: Vec<u32>,
    /// Where each bucket begins, and the last one ends.
    begins: Vec<usize>,
}

impl Bucketed {
    fn new(hashes: &[u64], bits: u32) -> Bucketed {
        let number = |hash: u64| hash.checked_shr(u64::BITS - bits).unwrap_or(0) as usize;
        let mut begins = vec![0; (1 << bits) + 1];
        hashes.iter().for_each(|hash| begins[number(*hash) + 1] += 1);
        for i in 1..begins.len() {
            begins[i] += begins[i - 1];
        }
        let (mut rows, mut next) = (vec![0; hashes.len()], begins.clone());
        for (row, hash) in (0u32..).zip(hashes) {
            let next = &mut next[number(*hash)];
            rows[*next] = row;
            *next += 1;
        }
        Bucketed { rows, begins }
    }

    fn get(&self, number: usize) -> &[u32] {
        &self.rows[self.begins[number]..self.begins[number + 1]]
    }
}

/// Rows, and the hashes of their keys.
#[derive(Debug)]
pub(super) struct Hashed {
    pub(super) rows: RecordBatch,
    hashes: Vec<u64>,
}

impl Hashed {
    /// Those of the rows for which the mask is true.
    pub(super) fn filtered(&self, mask: &BooleanArray) -> Result<Hashed, ArrowError> {
        let hashes = self.hashes.iter().zip(mask.values()).filter(|(_, stays)| *stays);
        Ok(Hashed {
            hashes: hashes.map(|(hash, _)| *hash).collect(),
            rows: filter_record_batch(&self.rows, mask)?,
        })
    }
}

/// A file that is being written.
pub(super) struct FileWriter {
    name: String,
    writer: ArrowWriter<Beside>,
    hashes_of: KeyHashes,
    runs: usize,
}

impl FileWriter {
    /// Begins one of rows whose first `key_columns` columns are their key.
    pub(super) fn begin(
        store: &JobStore,
        name: String,
        schema: SchemaRef,
        key_columns: usize,
    ) -> Result<Self> {
        let hashes_of = KeyHashes::new(&schema, key_columns)?;
        // Nobody looks for values in these files: they are read from beginning to end. In the order of hashes, equal
        // values do not lie together, so dictionaries and statistics cost more than they save.
        let properties = WriterProperties::builder()
            .set_compression(Compression::LZ4_RAW)
            .set_dictionary_enabled(false)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_max_row_group_row_count(Some(MOST_GROUP_ROWS))
            .set_data_page_row_count_limit(PAGE_ROWS)
            .build();
        let beside = store.disk.begin_atomically(&store.dir.join(&name))?;
        let writer = ArrowWriter::try_new(beside, schema, Some(properties)).map_err(|e| failed(&name, e))?;
        Ok(FileWriter { name, writer, hashes_of, runs: 0 })
    }

    /// Writes rows behind all that have been written: the hashes of their keys are not below theirs.
    pub(super) fn write_behind(&mut self, all: &[Hashed]) -> Result<()> {
        sorted(all, |rows| {
            let written = self.writer.write(&rows).and_then(|()| match self.writer.in_progress_rows() {
                GROUP_ROWS.. => self.writer.flush(),
                _ => Ok(()),
            });
            written.map_err(|error| failed(&self.name, error))
        })
    }

    /// Writes rows in whatever order, until nobody needs them any more.
    pub(super) fn write_runs(&mut self, all: &[KeptRows], needless: &AtomicBool) -> Result<()> {
        let rows: usize = all.iter().map(KeptRows::num_rows).sum();
        let run_rows = (rows / MANY_RUNS).clamp(GROUP_ROWS, MOST_GROUP_ROWS);
        self.hashes_of.runs(all, run_rows, |run| {
            go_on(needless)?;
            self.runs += 1;
            let written = self.writer.write(&run).and_then(|()| self.writer.flush());
            written.map_err(|error| failed(&self.name, error))
        })
    }

    /// Whether all rows are in one order.
    pub(super) fn is_ordered(&self) -> bool {
        self.runs < 2
    }

    pub(super) fn finish(self) -> Result<StoredFile> {
        let FileWriter { name, writer, .. } = self;
        let beside = writer.into_inner().map_err(|e| failed(&name, e))?;
        let crc32c = Some(format!("{:08x}", beside.commit()?));
        Ok(StoredFile { name, crc32c })
    }
}

/// Ends what nobody needs any more.
pub(super) fn go_on(needless: &AtomicBool) -> Result<()> {
    match needless.load(Ordering::Relaxed) {
        true => Err(RuntimeError::Needless),
        false => Ok(()),
    }
}

/// What went wrong, as the disk's own error where it was the disk: that may pass.
fn failed(name: &str, error: ParquetError) -> RuntimeError {
    if let ParquetError::External(inner) = &error
        && let Some(io) = inner.downcast_ref::<std::io::Error>()
    {
        let source = match io.raw_os_error() {
            Some(code) => std::io::Error::from_raw_os_error(code),
            None => std::io::Error::new(io.kind(), io.to_string()),
        };
        return crate::disk::DiskError { doing: "write", path: name.into(), source }.into();
    }
    RuntimeError::Output(format!("cannot write {name}: {error}"))
}

/// Bytes of a file as the Parquet reader wants them.
#[derive(Clone)]
struct Chunks {
    file: Arc<DiskFile>,
    len: u64,
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for Chunks {
    type T = ChunkRead;

    fn get_read(&self, start: u64) -> parquet::errors::Result<ChunkRead> {
        Ok(ChunkRead { file: self.file.clone(), at: start })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let mut bytes = vec![0; length];
        let read = self.file.read_at(&mut bytes, start).map_err(|e| ParquetError::External(Box::new(e)))?;
        if read < length {
            return Err(ParquetError::EOF(format!("{read} bytes at {start} where {length} were expected")));
        }
        Ok(bytes.into())
    }
}

/// A file from some place on.
struct ChunkRead {
    file: Arc<DiskFile>,
    at: u64,
}

impl Read for ChunkRead {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read_at(into, self.at).map_err(|e| e.source)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// A file whose checksum is right.
pub(super) struct OpenFile<'a> {
    store: &'a JobStore,
    name: String,
    chunks: Chunks,
    metadata: ArrowReaderMetadata,
}

impl<'a> OpenFile<'a> {
    pub(super) fn open(store: &'a JobStore, file: &StoredFile) -> Result<Self> {
        let path = store.dir.join(&file.name);
        let opened = Arc::new(store.disk.open(&path, Open::Read)?);
        let len = opened.len()?;
        if let Some(crc32c) = &file.crc32c {
            let (mut crc, mut at, mut bytes) = (0, 0, vec![0; CHECK_BYTES]);
            while at < len {
                let read = opened.read_at(&mut bytes, at)?;
                if read == 0 {
                    break;
                }
                crc = crc32c::crc32c_append(crc, &bytes[..read]);
                at += read as u64;
            }
            if *crc32c != format!("{crc:08x}") {
                return Err(store.damaged(&path, "its checksum is wrong"));
            }
        }
        let chunks = Chunks { file: opened, len };
        let metadata = ArrowReaderMetadata::load(&chunks, ArrowReaderOptions::new());
        let metadata = metadata.map_err(|e| store.damaged(&path, e))?;
        Ok(OpenFile { store, name: file.name.clone(), chunks, metadata })
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    /// How many row groups it has.
    pub(super) fn groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    /// Its rows, some at a time, in whatever order they are.
    pub(super) fn rows(&self) -> Result<impl Iterator<Item = Result<RecordBatch>> + use<'a>> {
        let reader = self.reader(None, READ_ROWS)?;
        let (store, path) = (self.store, self.store.dir.join(&self.name));
        Ok(reader.map(move |batch| batch.map_err(|e| store.damaged(&path, e))))
    }

    /// Walks through its runs side by side, where there are `runs` in all that are walked through: those of its row groups, or
    /// itself.
    pub(super) fn cursors(
        &self,
        by_group: bool,
        key_columns: usize,
        runs: usize,
    ) -> Result<Vec<FileCursor<'a>>> {
        let at_once = (READ_ROWS * 16 / runs.max(1)).clamp(LEAST_READ_ROWS, READ_ROWS);
        let cursor = |group: Option<usize>| {
            let (store, path) = (self.store, self.store.dir.join(&self.name));
            let hashes_of =
                KeyHashes::new(self.schema(), key_columns).map_err(|e| store.damaged(&path, e))?;
            let reader = self.reader(group, at_once)?;
            Ok(FileCursor { store, path, reader, at_once, hashes_of, read: VecDeque::new(), more: true })
        };
        match by_group {
            true => (0..self.groups()).map(|group| cursor(Some(group))).collect(),
            false => Ok(vec![cursor(None)?]),
        }
    }

    fn reader(&self, group: Option<usize>, at_once: usize) -> Result<ParquetRecordBatchReader> {
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(self.chunks.clone(), self.metadata.clone());
        let builder = match group {
            Some(group) => builder.with_row_groups(vec![group]),
            None => builder,
        };
        let reader = builder.with_batch_size(at_once).build();
        reader.map_err(|e| self.store.damaged(&self.store.dir.join(&self.name), e))
    }
}

/// A walk through a run of a file.
pub(super) struct FileCursor<'a> {
    store: &'a JobStore,
    path: PathBuf,
    reader: ParquetRecordBatchReader,
    at_once: usize,
    hashes_of: KeyHashes,
    /// Rows that have been read and not been taken.
    read: VecDeque<Hashed>,
    /// Whether the reader may have more.
    more: bool,
}

impl FileCursor<'_> {
    /// Reads on until it has enough rows, of more than one hash, or has read all. Gives the hash up to which, but not with which, its
    /// rows are complete; none if all of them are.
    pub(super) fn fill(&mut self) -> Result<Option<u64>> {
        let damaged = |e: &dyn std::fmt::Display| self.store.damaged(&self.path, e);
        // All runs go on to where the first of them ends: from one with few rows left, little way.
        while self.more && !(self.rows() >= self.at_once && self.first() != self.last()) {
            let Some(batch) = self.reader.next().transpose().map_err(|e| damaged(&e))? else {
                self.more = false;
                break;
            };
            let Some(next) = self.hashes_of.with(batch).map_err(|e| damaged(&e))? else { continue };
            if !next.hashes.is_sorted() || self.last() > next.hashes.first().copied() {
                return Err(damaged(&"its rows are out of order"));
            }
            self.read.push_back(next);
        }
        Ok(if self.more { self.last() } else { None })
    }

    fn rows(&self) -> usize {
        self.read.iter().map(|read| read.hashes.len()).sum()
    }

    fn first(&self) -> Option<u64> {
        self.read.front()?.hashes.first().copied()
    }

    fn last(&self) -> Option<u64> {
        self.read.back()?.hashes.last().copied()
    }

    /// Adds the rows to `to` whose hash is below `bound`; without one all that have been read.
    pub(super) fn take(&mut self, bound: Option<u64>, to: &mut Vec<Hashed>) {
        while let Some(mut first) = self.read.pop_front() {
            let all = first.hashes.len();
            let count = bound.map_or(all, |bound| first.hashes.partition_point(|hash| *hash < bound));
            if count == all {
                to.push(first);
                continue;
            }
            let rest =
                Hashed { rows: first.rows.slice(count, all - count), hashes: first.hashes.split_off(count) };
            if count > 0 {
                to.push(Hashed { rows: first.rows.slice(0, count), hashes: first.hashes });
            }
            self.read.push_front(rest);
            return;
        }
    }

    /// Whether all rows have been taken.
    pub(super) fn is_over(&self) -> bool {
        !self.more && self.read.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
    use arrow::datatypes::Int64Type;
    use proptest::prelude::*;

    /// Files of other versions are walked through by these hashes: if the row format comes to be another one, so must
    /// [`ORDER`].
    #[test]
    fn the_order_of_files_stays_what_it_is() {
        let a: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None, Some(-1)]));
        let b: ArrayRef =
            Arc::new(StringArray::from(vec![Some("x"), Some("long enough for several blocks"), None]));
        let batch = RecordBatch::try_from_iter([("key0", a), ("key1", b)]).unwrap();
        let hashes = KeyHashes::new(&batch.schema(), 2).unwrap().of(&batch).unwrap();
        assert_eq!(hashes, [585443202319436902, 17344435937060846126, 9585362693787229484]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn rows_come_in_the_order_of_their_hashes_and_as_they_stood(
            sizes in prop::collection::vec(0usize..30_000, 0..4),
            different in prop_oneof![Just(1u64), Just(50), Just(u64::MAX)],
            at_once in prop_oneof![Just(READ_ROWS), Just(1 << 16), Just(7)],
        ) {
            let hash = |batch: usize, row: usize| {
                let number = xxh3_64(&[batch.to_le_bytes(), row.to_le_bytes()].concat()) % different;
                xxh3_64(&number.to_le_bytes())
            };
            let batch = |(n, size): (usize, &usize)| (0..*size).map(|row| hash(n, row)).collect();
            let hashes: Vec<Vec<u64>> = sizes.iter().enumerate().map(batch).collect();
            let numbered = hashes.iter().enumerate();
            let all = numbered.flat_map(|(n, of)| of.iter().enumerate().map(move |(row, hash)| (*hash, n, row)));
            let mut expected: Vec<(u64, usize, usize)> = all.collect();
            expected.sort_unstable();
            let mut given = Vec::new();
            let each: Vec<&[u64]> = hashes.iter().map(Vec::as_slice).collect();
            in_order(&each, at_once, |some| {
                assert!(!some.is_empty() && some.len() <= at_once);
                given.extend_from_slice(some);
                Ok(())
            })
            .unwrap();
            prop_assert_eq!(given, expected.into_iter().map(|(_, n, row)| (n, row)).collect::<Vec<_>>());
        }

        #[test]
        fn runs_are_all_rows_and_each_is_in_the_order_of_its_hashes(
            batches in prop::collection::vec(prop::collection::vec((0i64..40, 0i64..9), 0..90), 0..4),
            run_rows in 1usize..100,
        ) {
            let column = |values: &mut dyn Iterator<Item = i64>| -> ArrayRef {
                Arc::new(Int64Array::from_iter_values(values))
            };
            let batch = |rows: &Vec<(i64, i64)>| {
                let keys = column(&mut rows.iter().map(|row| row.0));
                let values = column(&mut rows.iter().map(|row| row.1));
                RecordBatch::try_from_iter([("key0", keys), ("value", values)]).unwrap()
            };
            let given: Vec<RecordBatch> = batches.iter().map(batch).collect();
            let rows_of = |batch: &RecordBatch| {
                let [keys, values] = [0, 1].map(|c| batch.column(c).as_primitive::<Int64Type>().clone());
                (0..batch.num_rows()).map(|i| (keys.value(i), values.value(i))).collect::<Vec<_>>()
            };
            let all: Vec<KeptRows> = given.iter().cloned().map(KeptRows::from).collect();
            let hashes_of = KeyHashes::new(&batch(&vec![]).schema(), 1).unwrap();
            let mut rows = batches.concat().into_iter();
            hashes_of
                .runs(&all, run_rows, |run| {
                    assert!(hashes_of.of(&run)?.is_sorted());
                    // Of each key its rows as they stood.
                    let mut expected: Vec<_> = rows.by_ref().take(run_rows).collect();
                    let mut found = rows_of(&run);
                    expected.sort_by_key(|row| row.0);
                    found.sort_by_key(|row| row.0);
                    assert_eq!(found, expected);
                    Ok(())
                })
                .unwrap();
            prop_assert_eq!(rows.next(), None);
        }
    }
}
