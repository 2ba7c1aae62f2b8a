//! What is fuzzed: the files of a data directory, each given as any bytes, and then the log is opened, read, appended
//! to and read again. Nothing may panic, no undue memory be asked for, and where a file is only an aid to reading, the
//! rows must be the same or the damage told.
//!
//! Where a file has checksums they are put right first, or hardly anything would get past them. Fuzzers call this
//! (fuzz_targets), and the tests of the crate, with mutations of the sound files (tests/it/fuzz.rs).
#![allow(dead_code, reason = "a fuzz target uses one entry")]

#[path = "jobs.rs"]
pub(crate) mod jobs;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array, ListArray, RecordBatch, StringArray};
use arrow::datatypes::{Int32Type, Int64Type};
use millstream::catalog::CatalogStore;
use millstream::clock::Clock;
use millstream::disk::{Disk, Open};
use millstream::log::{Append, Codec, Fsync, Log, LogError, Topic, TopicOptions, TopicSettings};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const HEADER: usize = 96;
const SLOT: usize = 512;
const APPENDS: i64 = 7;

/// What is done with a file's bytes.
type Entry = fn(&[u8]);

/// The names of the entries, for those who call all of them.
pub(crate) const ENTRIES: &[(&str, Entry)] = &[
    ("frame", frame),
    ("tail", tail),
    ("description", description),
    ("format", format),
    ("catalog", catalog),
    ("index", index),
    ("producers", producers),
    ("journal", jobs::journal),
    ("manifest", jobs::manifest),
    ("state", jobs::state),
    ("json", jobs::json),
    ("csv", jobs::csv),
    ("sql", jobs::sql),
];

fn batch(from: i64) -> RecordBatch {
    let numbers: Int64Array = (from..from + 3).map(|n| (n % 4 != 1).then_some(n)).collect();
    let words: StringArray = (from..from + 3).map(|n| (n % 5 != 2).then(|| format!("row {n}"))).collect();
    let truths: BooleanArray = (from..from + 3).map(|n| Some(n % 2 == 0)).collect();
    let lists = (from..from + 3).map(|n| Some((0..n as i32 % 3).map(Some)));
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(lists);
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("n", Arc::new(numbers), true),
        ("w", Arc::new(words), true),
        ("b", Arc::new(truths), true),
        ("l", Arc::new(lists), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// A data directory in memory with some rows in several segments.
struct Place {
    disk: Disk,
    topic: PathBuf,
}

impl Place {
    fn new(segment_bytes: u64) -> Self {
        let (disk, _) = Disk::simulated(1);
        let place = Place { disk, topic: PathBuf::new() };
        let settings = TopicSettings { fsync: Fsync::Os, ..TopicSettings::segments_of(segment_bytes) };
        let options = TopicOptions { partitions: 1, codec: Codec::Lz4, settings };
        let topic = place.log().unwrap().create_topic("t", options, batch(0).schema()).unwrap();
        let mut writer = topic.writer(0).unwrap();
        for step in 0..APPENDS {
            let (rows, marks) = (batch(3 * step), Int64Array::from_iter_values([step, 1, 2]));
            let append = Append {
                marks: (step % 2 == 0).then_some(&marks),
                producer: (step % 3) as u128,
                step: step as u64,
                watermark: Some(step),
                timestamps: Some((step, step + 1)),
                ..Append::rows(&rows)
            };
            writer.append(append).unwrap();
        }
        let topics = Path::new("/data/topics");
        let topic = topics.join(&place.disk.list(topics).unwrap()[0]);
        Place { topic, ..place }
    }

    fn log(&self) -> Result<Log, LogError> {
        Log::open("/data", self.disk.clone(), Clock::manual(1_000))
    }

    fn topic(&self) -> Result<Arc<Topic>, LogError> {
        self.log()?.topic("t")
    }

    /// The first file of the partition whose name ends so.
    fn file(&self, ending: &str) -> PathBuf {
        let dir = self.topic.join("0");
        let names = self.disk.list(&dir).unwrap();
        dir.join(names.iter().find(|name| name.ends_with(ending)).unwrap())
    }

    fn put(&self, path: &Path, bytes: &[u8]) {
        let file = self.disk.open(path, Open::Create).unwrap();
        file.truncate(0).unwrap();
        file.write_all_at(bytes, 0).unwrap();
    }
}

/// The numbers of all rows that can be read, and what ended it.
fn read(topic: &Arc<Topic>) -> (Vec<Option<i64>>, Option<LogError>) {
    let mut numbers = Vec::new();
    let mut reader = match topic.reader(0, topic.start_offset(0).unwrap_or(0), None) {
        Ok(reader) => reader,
        Err(e) => return (numbers, Some(e)),
    };
    loop {
        match reader.next() {
            Ok(Some(frame)) => {
                assert!(frame.offset(frame.batch.num_rows()) <= frame.next_offset.max(frame.base_offset));
                // Every value is looked at: what cannot be printed was not decoded rightly.
                let _ = format!("{:?}", frame.batch);
                numbers.extend(frame.batch.column(0).as_primitive::<Int64Type>().iter());
            }
            Ok(None) => return (numbers, None),
            Err(e) => return (numbers, Some(e)),
        }
    }
}

/// What was appended.
fn sound() -> Vec<Option<i64>> {
    (0..APPENDS)
        .flat_map(|step| batch(3 * step).column(0).as_primitive::<Int64Type>().iter().collect::<Vec<_>>())
        .collect()
}

/// Reads, appends and reads again. Where the rows are `known`, they must be the same, or the damage be told.
fn use_log(place: &Place, known: bool) {
    let Ok(topic) = place.topic() else { return };
    if topic.schema() != batch(0).schema() {
        return;
    }
    let (before, told) = read(&topic);
    if known && told.is_none() {
        assert_eq!(before, sound());
    }
    let _ = topic.offset_for_time(0, 5);
    let mut writer = topic.writer(0).unwrap();
    let _ = writer.last_step(1);
    if writer.append(Append::rows(&batch(900))).is_ok() {
        let (after, told) = read(&topic);
        assert!(
            told.is_some()
                || after
                    .ends_with(&batch(900).column(0).as_primitive::<Int64Type>().iter().collect::<Vec<_>>())
        );
    }
    let _ = writer.sync();
    let _ = read(&place.topic().unwrap());
}

/// The sound bytes of an entry's file, where a fuzzer may begin.
pub(crate) fn sample(entry: &str) -> Vec<u8> {
    let place = Place::new(900);
    let path = match entry {
        "frame" => place.file(".log"),
        "tail" => place.file("tail"),
        "description" => place.topic.join("topic.json"),
        "format" => "/data/FORMAT".into(),
        "catalog" => return CATALOG.into(),
        "journal" | "manifest" | "state" | "json" | "csv" | "sql" => return jobs::sample(entry),
        other => place.file(&format!(".{other}")),
    };
    place.disk.read(&path).unwrap()
}

/// The segment of a partition without `tail`: frames, one behind the other.
pub(crate) fn frame(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    while bytes.len() - at >= HEADER {
        let room = bytes.len() - at - HEADER;
        let len = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
        let len = if len > room { room } else { len };
        let (header, body) = bytes[at..at + HEADER + len].split_at_mut(HEADER);
        header[..5].copy_from_slice(b"MSFR\x01");
        header[8..12].copy_from_slice(&(len as u32).to_le_bytes());
        header[16..20].copy_from_slice(&crc32c::crc32c(body).to_le_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&header[..12]), &header[16..]);
        header[12..16].copy_from_slice(&crc.to_le_bytes());
        at += HEADER + len;
    }
    let place = Place::new(1 << 20);
    place.put(&place.file(".log"), &bytes);
    place.disk.remove_file(&place.file("tail")).unwrap();
    use_log(&place, false);
}

/// The tail of a partition.
pub(crate) fn tail(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    for slot in bytes.chunks_mut(SLOT).filter(|slot| slot.len() > 92 && slot[93..].iter().all(|b| b % 2 == 0))
    {
        slot[..5].copy_from_slice(b"MSTL\x01");
        let crc = crc32c::crc32c(&slot[..88]);
        slot[88..92].copy_from_slice(&crc.to_le_bytes());
    }
    let place = Place::new(900);
    place.put(&place.file("tail"), &bytes);
    // A tail with a right checksum is believed: it may say that there are fewer rows.
    use_log(&place, false);
}

/// A topic's description; given the inner part alone, under a checksum that is right.
pub(crate) fn description(bytes: &[u8]) {
    let place = Place::new(900);
    let path = place.topic.join("topic.json");
    place.put(&path, bytes);
    use_log(&place, false);
    let Ok(mut file) = serde_json::from_slice::<serde_json::Value>(bytes) else { return };
    let topic = file.get("topic").cloned().unwrap_or_else(|| file.clone());
    let crc = format!("{:08x}", crc32c::crc32c(topic.to_string().as_bytes()));
    file = serde_json::json!({"version": 1, "crc32c": crc, "topic": topic});
    place.put(&path, file.to_string().as_bytes());
    use_log(&place, false);
}

/// The format file.
pub(crate) fn format(bytes: &[u8]) {
    let place = Place::new(900);
    place.put(Path::new("/data/FORMAT"), bytes);
    use_log(&place, true);
}

/// The index of a closed segment.
pub(crate) fn index(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    if bytes.len() >= 64 {
        bytes[..5].copy_from_slice(b"MSIX\x01");
        let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..60]), &bytes[64..]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    }
    let place = Place::new(900);
    place.put(&place.file(".index"), &bytes);
    use_log(&place, true);
    let Ok(topic) = place.topic() else { return };
    let all = sound();
    for (offset, expected) in all.into_iter().enumerate() {
        let mut reader = topic.reader(0, offset as u64, None).unwrap();
        let frame = reader.next().unwrap().unwrap();
        let number = frame.batch.column(0).as_primitive::<Int64Type>();
        assert_eq!((frame.base_offset, number.iter().next()), (offset as u64, Some(expected)));
    }
}

/// The snapshot of the producers with which a segment begins.
pub(crate) fn producers(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    if bytes.len() >= 24 {
        bytes[..5].copy_from_slice(b"MSPR\x01");
        let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..20]), &bytes[24..]);
        bytes[20..24].copy_from_slice(&crc.to_le_bytes());
    }
    let place = Place::new(900);
    place.put(&place.file(".producers"), &bytes);
    use_log(&place, true);
}

/// The catalog's file.
pub(crate) fn catalog(bytes: &[u8]) {
    let (disk, _) = Disk::simulated(1);
    let store = CatalogStore::open(disk.clone(), Path::new("/data")).unwrap();
    let file = disk.open(Path::new("/data/catalog/catalog.json"), Open::Create).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    let Ok(found) = store.load() else { return };
    for stream in found.streams.values() {
        let _ = (stream.schema(), stream.topic_schema(), stream.key_indices(), stream.event_time_index());
        assert!(stream.differences(stream, &ToString::to_string).is_empty());
    }
    // What could be read can be written, and is then read as the same.
    store.change(|_| ()).unwrap();
    assert_eq!(store.load().unwrap(), found);
}

const CATALOG: &str = r#"{"version": 1, "views": [{"name": "v", "query": "SELECT 1"}], "streams": [{"name": "s",
    "columns": [{"name": "a", "type": "Int64", "nullable": true}, {"name": "b", "nullable": false,
    "type": "Timestamp(ns, \"+00:00\")"}], "event_time": {"column": "b", "delay": 5}, "connector": "topic",
    "options": [["partitions", "3"]], "query": null, "primary_key": ["a"]}]}"#;
