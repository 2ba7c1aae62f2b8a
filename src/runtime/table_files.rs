//! One Parquet file of a state table, written and read piece by piece: neither holds the file in memory.
//!
//! Its rows stand in the order of their keys' hashes, so that several files can be walked through side by side.

use super::checkpoint::JobStore;
use super::tables::StoredFile;
use super::{Result, RuntimeError};
use crate::disk::{Beside, DiskFile, Open};
use crate::operators::kept_rows::KeptRows;
use crate::state::bag::RowCodec;
use crate::state::key_table::{Encoded, codec};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{concat_batches, interleave_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::{ChunkReader, Length};
use std::io::Read;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// How the rows of files are ordered that are written today: by XXH3 of the key in Arrow's row format. Files that say
/// something else are read whole.
pub(super) const ORDER: &str = "xxh3-row-1";
/// Rows that are read at once.
const READ_ROWS: usize = 8192;
/// Rows that are put together at once where they are still kept: each time all chunks in which rows are kept are looked at,
/// and they are thousands.
const GATHERED_ROWS: usize = 1 << 16;
/// Rows of a row group: so many are held encoded while a file is written.
const GROUP_ROWS: usize = 1 << 17;
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

    /// Gives the rows in the order of their hashes, some at a time: what is written may be all state. Those of a key stay in
    /// their order.
    pub(super) fn sorted(
        &self,
        batches: &[&RecordBatch],
        mut give: impl FnMut(RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let hashes = batches.iter().map(|batch| self.of(batch)).collect::<Result<Vec<_>, _>>()?;
        if let ([batch], [hashes]) = (batches, hashes.as_slice())
            && hashes.is_sorted()
        {
            return give((*batch).clone());
        }
        in_order(&hashes, READ_ROWS, |some| give(interleave_record_batch(batches, some)?))
    }

    /// The same of rows that are put together only then.
    pub(super) fn sorted_kept(
        &self,
        all: &[KeptRows],
        mut give: impl FnMut(RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let hashes = all.iter().map(|kept| self.of_columns(kept.keys(), kept.num_rows()));
        in_order(&hashes.collect::<Result<Vec<_>, _>>()?, GATHERED_ROWS, |some| {
            let mut of_each: Vec<Vec<u32>> = vec![Vec::new(); all.len()];
            let places = some.iter().map(|(n, row)| {
                let of_this = &mut of_each[*n];
                of_this.push(*row as u32);
                (*n, of_this.len() - 1)
            });
            let places: Vec<(usize, usize)> = places.collect();
            let taken = all.iter().zip(&of_each).map(|(kept, rows)| kept.take(rows));
            let taken = taken.collect::<Result<Vec<_>, ArrowError>>()?;
            give(match taken.as_slice() {
                [one] => one.clone(),
                several => interleave_record_batch(&several.iter().collect::<Vec<_>>(), &places)?,
            })
        })
    }
}

/// Gives the rows of batches with these hashes in the order of the hashes, `at_once` at a time: of each its batch and its row.
/// Those of one hash stay in their order.
fn in_order(
    hashes: &[Vec<u64>],
    at_once: usize,
    mut give: impl FnMut(&[(usize, usize)]) -> Result<()>,
) -> Result<()> {
    // Rows with the same first bits come together first, as their numbers alone: what is sorted is little at a time, and in
    // the processor's caches.
    let rows: usize = hashes.iter().map(Vec::len).sum();
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

/// A file that is being written.
pub(super) struct FileWriter {
    name: String,
    writer: ArrowWriter<Beside>,
}

impl FileWriter {
    pub(super) fn begin(store: &JobStore, name: String, schema: SchemaRef) -> Result<Self> {
        // Nobody looks for values in these files: they are read from beginning to end. In the order of hashes, equal
        // values do not lie together, so dictionaries and statistics cost more than they save.
        let properties = WriterProperties::builder()
            .set_compression(Compression::LZ4_RAW)
            .set_dictionary_enabled(false)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .build();
        let beside = store.disk.begin_atomically(&store.dir.join(&name))?;
        let writer = ArrowWriter::try_new(beside, schema, Some(properties)).map_err(|e| failed(&name, e))?;
        Ok(FileWriter { name, writer })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(|e| failed(&self.name, e))
    }

    pub(super) fn finish(self) -> Result<StoredFile> {
        let FileWriter { name, writer } = self;
        let beside = writer.into_inner().map_err(|e| failed(&name, e))?;
        let crc32c = Some(format!("{:08x}", beside.commit()?));
        Ok(StoredFile { name, crc32c })
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

/// A walk through a file.
pub(super) struct FileCursor<'a> {
    store: &'a JobStore,
    name: String,
    reader: ParquetRecordBatchReader,
    schema: SchemaRef,
    hashes_of: KeyHashes,
    /// Rows that have been read and not been taken, and their hashes.
    rows: RecordBatch,
    hashes: Vec<u64>,
    /// Whether the reader may have more.
    more: bool,
}

impl<'a> FileCursor<'a> {
    /// Opens a file whose checksum is right.
    pub(super) fn open(store: &'a JobStore, file: &StoredFile, key_columns: usize) -> Result<Self> {
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
        let damaged = |e: &dyn std::fmt::Display| store.damaged(&path, e);
        let builder = ParquetRecordBatchReaderBuilder::try_new(Chunks { file: opened, len })
            .map_err(|e| damaged(&e))?;
        let schema = builder.schema().clone();
        let reader = builder.with_batch_size(READ_ROWS).build().map_err(|e| damaged(&e))?;
        let hashes_of = KeyHashes::new(&schema, key_columns).map_err(|e| damaged(&e))?;
        let rows = RecordBatch::new_empty(schema.clone());
        let name = file.name.clone();
        Ok(FileCursor { store, name, reader, schema, hashes_of, rows, hashes: vec![], more: true })
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Reads on until it has rows of more than one hash, or has read all. Gives the hash up to which, but not with which, its
    /// rows are complete; none if all of them are.
    pub(super) fn fill(&mut self) -> Result<Option<u64>> {
        while self.more && self.hashes.first() == self.hashes.last() {
            self.read()?;
        }
        Ok(if self.more { self.hashes.last().copied() } else { None })
    }

    fn read(&mut self) -> Result<()> {
        let path = self.store.dir.join(&self.name);
        let Some(batch) = self.reader.next().transpose().map_err(|e| self.store.damaged(&path, e))? else {
            self.more = false;
            return Ok(());
        };
        let hashes = self.hashes_of.of(&batch).map_err(|e| self.store.damaged(&path, e))?;
        self.hashes.extend(hashes);
        if !self.hashes.is_sorted() {
            return Err(self.store.damaged(&path, "its rows are out of order"));
        }
        self.rows = match self.rows.num_rows() {
            0 => batch,
            _ => concat_batches(&self.schema, [&self.rows, &batch])
                .map_err(|e| self.store.damaged(&path, e))?,
        };
        Ok(())
    }

    /// Takes the rows whose hash is below `bound`; without one all that have been read.
    pub(super) fn take(&mut self, bound: Option<u64>) -> Option<RecordBatch> {
        let count = bound.map_or(self.hashes.len(), |bound| self.hashes.partition_point(|h| *h < bound));
        if count == 0 {
            return None;
        }
        let taken = self.rows.slice(0, count);
        self.rows = self.rows.slice(count, self.rows.num_rows() - count);
        self.hashes.drain(..count);
        Some(taken)
    }

    /// All of its rows, in whatever order they are.
    pub(super) fn whole(self) -> Result<RecordBatch> {
        let path = self.store.dir.join(&self.name);
        let batches = self.reader.collect::<std::result::Result<Vec<_>, _>>();
        let batches = batches.map_err(|e| self.store.damaged(&path, e))?;
        concat_batches(&self.schema, &batches).map_err(|e| self.store.damaged(&path, e))
    }

    /// Whether all rows have been taken.
    pub(super) fn is_over(&self) -> bool {
        !self.more && self.hashes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, StringArray};
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
            at_once in prop_oneof![Just(READ_ROWS), Just(GATHERED_ROWS), Just(7)],
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
            in_order(&hashes, at_once, |some| {
                assert!(!some.is_empty() && some.len() <= at_once);
                given.extend_from_slice(some);
                Ok(())
            })
            .unwrap();
            prop_assert_eq!(given, expected.into_iter().map(|(_, n, row)| (n, row)).collect::<Vec<_>>());
        }
    }
}
