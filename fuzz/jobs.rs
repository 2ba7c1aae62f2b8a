//! What is fuzzed of jobs and of what they read: journals, checkpoints, JSON and CSV text, SQL text. See entries.rs.

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use millstream::disk::{Disk, Open};
use millstream::formats::{Chunk, CsvOptions, Format, Limit, RowDecoder, Stop};
use millstream::runtime::checkpoint::JobStore;
use millstream::runtime::journal::Journal;
use std::path::Path;
use std::sync::Arc;

/// A job's folder in memory with one file.
fn store(name: &str, bytes: &[u8]) -> JobStore {
    let (disk, _) = Disk::simulated(1);
    let dir = Path::new("/data/jobs/j");
    disk.create_dir_all(dir).unwrap();
    disk.open(&dir.join(name), Open::Create).unwrap().write_all_at(bytes, 0).unwrap();
    JobStore { disk, dir: dir.into(), job: "j".into() }
}

/// A journal; then, in an own one, its lines under checksums that are right. What was read is read again.
pub(crate) fn journal(bytes: &[u8]) {
    let mut sealed = Vec::new();
    for line in bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        let json = line.get(9..).filter(|_| line[0] != b'{').unwrap_or(line);
        sealed.extend(format!("{:08x} ", crc32c::crc32c(json)).bytes());
        sealed.extend(json);
        sealed.push(b'\n');
    }
    for bytes in [bytes, &sealed] {
        let store = store("journal-0", bytes);
        let open = || Journal::open(&store.disk, &store.dir, "j", 0);
        let Ok((mut journal, entries)) = open() else { continue };
        let Some(mut next) = entries.last().cloned() else { continue };
        next.step += 1;
        journal.append(&next).unwrap();
        let (_, again) = open().unwrap();
        assert_eq!(again[..entries.len()], entries);
        assert_eq!(again[entries.len()..], [next]);
    }
}

/// A checkpoint's manifest; then one whose inner part is this, under a checksum that is right.
pub(crate) fn manifest(bytes: &[u8]) {
    let first = store("checkpoint.json", bytes);
    read(&first);
    let Ok(inner) = serde_json::from_slice::<serde_json::Value>(bytes) else { return };
    let inner = inner.get("checkpoint").cloned().unwrap_or(inner);
    let crc32c = format!("{:08x}", crc32c::crc32c(inner.to_string().as_bytes()));
    let sealed = serde_json::json!({"version": 3, "crc32c": crc32c, "checkpoint": inner}).to_string();
    read(&store("checkpoint.json", sealed.as_bytes()));
}

fn read(store: &JobStore) {
    let Ok(Some(manifest)) = store.manifest() else { return };
    let nodes: Vec<Option<usize>> = (0..16).map(Some).collect();
    let _ = store.read(&manifest, &nodes, &[], 2, &mut |_| Ok(()));
}

/// A file of a state table, whose checksum the manifest knows.
pub(crate) fn state(bytes: &[u8]) {
    let sound = sample("state");
    let crc32c = format!("{:08x}", crc32c::crc32c(&sound));
    let table = serde_json::json!({"node": 0, "name": "t", "key_columns": 1,
        "files": [{"rows": {"name": "state-1", "crc32c": crc32c}, "count": 3}]});
    let checkpoint = serde_json::json!({"version": 3, "generation": 1, "step": 1, "parts": [], "sources": [],
        "watermarks": [], "tables": [table]});
    let crc32c = format!("{:08x}", crc32c::crc32c(checkpoint.to_string().as_bytes()));
    let sealed = serde_json::json!({"version": 3, "crc32c": crc32c, "checkpoint": checkpoint}).to_string();
    let store = store("state-1", bytes);
    store.disk.write_atomically(&store.dir.join("checkpoint.json"), sealed.as_bytes()).unwrap();
    let manifest = store.manifest().unwrap().unwrap();
    let state = store.read(&manifest, &[Some(0)], &[], 2, &mut |_| Ok(()));
    assert_eq!(state.is_ok(), bytes == sound, "other bytes are told");
}

fn schema() -> SchemaRef {
    let inner = Fields::from(vec![
        Field::new("a", DataType::Int32, true),
        Field::new("b", DataType::new_list(DataType::Utf8, true), true),
    ]);
    Arc::new(Schema::new(vec![
        Field::new("n", DataType::Int64, true),
        Field::new("s", DataType::Utf8, false),
        Field::new("f", DataType::Float64, true),
        Field::new("t", DataType::Timestamp(TimeUnit::Microsecond, None), true),
        Field::new("d", DataType::Date32, true),
        Field::new("m", DataType::Decimal128(12, 3), true),
        Field::new("o", DataType::Boolean, true),
        Field::new("i", DataType::Struct(inner), true),
    ]))
}

/// Text, whole and in two pieces: the rows and the bad lines must be the same.
fn text(format: Format, schema: &SchemaRef, bytes: &[u8]) {
    let cut = bytes.first().map_or(0, |b| usize::from(*b) % bytes.len().max(1));
    let whole = decode(format, schema, &[bytes]);
    let pieces = decode(format, schema, &[&bytes[..cut], bytes]);
    assert_eq!(whole, pieces, "however it is cut");
}

type Decoded = Option<(RecordBatch, Vec<(u64, Option<u64>, String)>)>;

/// Decodes growing beginnings of a text; the last is all of it.
fn decode(format: Format, schema: &SchemaRef, beginnings: &[&[u8]]) -> Decoded {
    let mut decoder = RowDecoder::new(format, schema.clone(), false).unwrap();
    let (mut at, mut line, mut begun) = (0, 0, false);
    for (i, text) in beginnings.iter().enumerate() {
        let last = i + 1 == beginnings.len();
        if !begun {
            match decoder.header(Chunk { text: &text[at..], line, last }).ok()? {
                Some(taken) => (at, line, begun) = (at + taken.bytes, line + taken.lines, true),
                None if last => return None,
                None => continue,
            }
        }
        loop {
            let chunk = Chunk { text: &text[at..], line, last };
            let taken = decoder.push(chunk, Limit { records: 3, bytes: 1 << 20 });
            (at, line) = (at + taken.bytes, line + taken.lines);
            if taken.stop != Stop::Full || taken.bytes == 0 {
                break;
            }
        }
    }
    let (batch, bad) = decoder.finish().unwrap();
    let _ = format!("{batch:?}");
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let batch =
        RecordBatch::try_new_with_options(batch.schema(), batch.columns().to_vec(), &options).unwrap();
    Some((batch, bad.into_iter().map(|b| (b.line, b.column, b.reason)).collect()))
}

/// JSON lines.
pub(crate) fn json(bytes: &[u8]) {
    text(Format::Json, &schema(), bytes);
}

/// CSV with a header.
pub(crate) fn csv(bytes: &[u8]) {
    let flat = schema().project(&[0, 1, 2, 3, 4, 5, 6]).unwrap();
    text(Format::Csv(CsvOptions::default()), &Arc::new(flat), bytes);
}

/// SQL text: it is read, or what is wrong with it is told.
pub(crate) fn sql(bytes: &[u8]) {
    let Ok(sql) = std::str::from_utf8(bytes) else { return };
    let (statements, mistake) = millstream::sql::parse_all(sql);
    let _ = format!("{statements:?} {mistake:?}");
}

/// The sound bytes of an entry's file.
pub(crate) fn sample(entry: &str) -> Vec<u8> {
    match entry {
        "journal" => {
            let json = "{\"step\":1,\"now\":5,\"sources\":[[{\"partition\":0,\"slices\":[{\"asked\":8,\"rows\":3,\
                \"end\":{\"offset\":9,\"line\":1},\"running\":7}],\"ended\":false,\"idle\":true}]]}";
            format!("{:08x} {json}\n", crc32c::crc32c(json.as_bytes())).into_bytes()
        }
        "manifest" => br#"{"version":3,"generation":1,"step":1,"parts":[{"name":"p","fingerprint":"f","finished":false,
            "totals":{"rows_in":1,"rows_out":1,"behind":0,"late":0,"after_idle":0,"timeless":0,"bad":0},
            "nodes":[0],"sources":[0]}],"sources":[[{"position":{"offset":3,"line":0},"running":5,"ended":false}]],
            "watermarks":[5],"tables":[{"node":0,"name":"groups","key_columns":1,"files":[{"rows":{"name":"state-1"},"count":3}]}]}"#
            .to_vec(),
        "json" => br#"{"n": 5, "s": "a\u00e9", "f": 1.5e3, "t": "2024-01-01T00:00:00Z", "d": "2024-02-29", "m": 12.345, "o": true, "i": {"a": 1, "b": ["x", null]}}
{"s": "b"}
"#
        .to_vec(),
        "csv" => b"n,s,f,t,d,m,o\n5,\"a\"\"b\",1.5,2024-01-01 00:00:00,2024-02-29,12.345,true\n,x,,,,,\n".to_vec(),
        "sql" => b"CREATE STREAM s (a BIGINT, t TIMESTAMP, WATERMARK FOR t AS t - INTERVAL '5 seconds') WITH (partitions = 2);
            SELECT window_start, count(*) FROM TUMBLE(s, t, INTERVAL '1 minute') GROUP BY window_start EMIT FINAL; -- end"
            .to_vec(),
        _ => parquet(),
    }
}

/// Three rows as a Parquet file.
fn parquet() -> Vec<u8> {
    let column: arrow::array::ArrayRef =
        Arc::new(arrow::array::Int64Array::from(vec![Some(1), None, Some(3)]));
    let batch = RecordBatch::try_from_iter([("k", column)]).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}
