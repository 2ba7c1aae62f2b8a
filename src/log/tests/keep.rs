//! Retention, compaction and pins.

use super::*;
use crate::log::index::index_path;
use crate::log::producers::producers_path;
use arrow::array::{BooleanArray, StringArray};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

/// A log with a clock of its own.
struct Kept {
    place: Place,
    clock: Clock,
    log: Log,
}

impl Kept {
    fn new() -> Self {
        let place = Place::new();
        let clock = Clock::manual(1_000_000_000_000);
        let dir = place.dir.path().join("data");
        let log = Log::open(dir, place.disk.clone(), clock.clone()).unwrap();
        Kept { place, clock, log }
    }

    /// A topic of one row a frame and three frames a segment, with these settings.
    fn topic(&self, settings: TopicSettings) -> Arc<Topic> {
        let options = TopicOptions { partitions: 1, codec: Codec::None, settings };
        self.log.create_topic("t", options, numbers_schema()).unwrap()
    }

    fn maintain(&self) -> Maintained {
        let done = self.log.maintain().unwrap();
        assert!(done.failures.is_empty(), "{:?}", done.failures);
        done
    }
}

/// Three frames of one number.
fn three_frames() -> u64 {
    let place = Place::new();
    let topic = place.create(1 << 20);
    for i in 0..3 {
        put(&topic, [i]).unwrap();
    }
    std::fs::metadata(&place.segments(&topic)[0]).unwrap().len()
}

#[test]
fn old_segments_go_and_who_asks_for_them_is_told_where_the_log_starts() {
    let kept = Kept::new();
    let hour = Duration::from_secs(3600);
    let settings = TopicSettings { retention: Some(2 * hour), ..settings(three_frames()) };
    let topic = kept.topic(settings);
    for i in 0..12 {
        put(&topic, [i]).unwrap();
        kept.clock.advance(hour / 2);
    }
    // It is 6 hours after the first row: the rows 0 to 7 are older than 2 hours, the segments 0, 3 and not 6.
    let mut reader = topic.reader(0, 1, None).unwrap();
    assert_eq!(values(&reader.next().unwrap().unwrap()), [1]);
    let done = kept.maintain();
    assert_eq!(done.removed[0].2.offsets, 6);
    assert_eq!(kept.place.segments(&topic).len(), 2);
    assert_eq!((topic.start_offset(0).unwrap(), topic.end_offset(0).unwrap()), (6, 12));
    assert_eq!(read_from(&kept.place.topic(), 6).0, (6..12).collect::<Vec<_>>());
    let error = topic.reader(0, 5, None).unwrap_err().to_string();
    assert!(error.contains("holds the offsets from 6 up to, but not including, 12"), "{error}");
    // Who was reading reads the segment to its end.
    assert_eq!(values(&reader.next().unwrap().unwrap()), [2]);
    assert!(matches!(reader.next(), Err(LogError::OffsetOutOfRange { offset: 3, start: 6, .. })));
    assert_eq!(topic.offset_for_time(0, 0).unwrap(), 6);

    // A boot later it starts there still.
    kept.place.faults.reboot();
    assert_eq!(kept.place.topic().start_offset(0).unwrap(), 6);
    assert_eq!(put(&kept.place.topic(), [12]).unwrap().base_offset, 12);

    // When all rows are old, the active segment goes too; offsets go on.
    kept.clock.advance(10 * hour);
    kept.maintain();
    assert_eq!((topic.start_offset(0).unwrap(), topic.end_offset(0).unwrap()), (13, 13));
    assert_eq!(put(&topic, [13]).unwrap().base_offset, 13);
    assert_eq!(read_from(&topic, 13).0, [13]);
}

#[test]
fn a_partition_keeps_at_least_its_bytes_and_producers_outlive_their_frames() {
    let kept = Kept::new();
    let bytes = three_frames();
    let settings = TopicSettings { retention_bytes: Some(2 * bytes), ..settings(bytes) };
    let topic = kept.topic(settings);
    let append = |topic: &Arc<Topic>, producer: u128, step: u64| {
        let rows = numbers([step as i64]);
        topic.writer(0).unwrap().append(Append { producer, step, ..Append::rows(&rows) }).unwrap()
    };
    append(&topic, 9, 0);
    for step in 1..20 {
        append(&topic, 5, step);
    }
    kept.maintain();
    let left: u64 = kept.place.segments(&topic).iter().map(|s| std::fs::metadata(s).unwrap().len()).sum();
    assert!((2 * bytes..3 * bytes).contains(&left), "{left} bytes, of {bytes} each");
    assert!(topic.start_offset(0).unwrap() > 0);
    for topic in [&topic, &kept.place.topic()] {
        assert!(append(topic, 9, 0).duplicate, "the frame is gone, what it says is not");
        assert!(append(topic, 5, 19).duplicate);
    }
}

#[test]
fn a_pin_holds_old_rows_but_no_bytes() {
    let kept = Kept::new();
    let bytes = three_frames();
    let settings = TopicSettings { retention: Some(Duration::from_secs(1)), ..settings(bytes) };
    let topic = kept.topic(settings);
    for i in 0..12 {
        put(&topic, [i]).unwrap();
    }
    kept.clock.advance(Duration::from_secs(60));
    kept.log.pin("job", &[Pin { topic: "t".into(), partition: 0, offset: 5 }]).unwrap();
    kept.maintain();
    assert_eq!(topic.start_offset(0).unwrap(), 3, "5 lies in the segment of 3");
    kept.log.alter_topic("t", |settings| settings.retention_bytes = Some(0)).unwrap();
    kept.maintain();
    assert_eq!(topic.start_offset(0).unwrap(), 12);
}

#[test]
fn settings_are_taken_over_by_others_and_survive() {
    let kept = Kept::new();
    let topic = kept.topic(settings(1 << 20));
    let other = kept.place.log();
    let seen = other.topic("t").unwrap();
    let hour = Some(Duration::from_secs(3600));
    let set = kept.log.alter_topic("t", |s| (s.retention, s.fsync) = (hour, Fsync::Step)).unwrap();
    assert_eq!((&*topic.settings(), topic.settings().retention), (&set, hour));
    assert_eq!(seen.settings().retention, None);
    other.maintain().unwrap();
    assert_eq!(*seen.settings(), set);
    assert_eq!(*kept.place.topic().settings(), set);
    let refused = kept.log.alter_topic("t", |s| s.compaction = Some(Compaction::by(vec!["x".into()], None)));
    assert!(refused.unwrap_err().to_string().contains("\"x\""));
    assert_eq!(*kept.place.topic().settings(), set);
}

#[test]
fn a_damaged_topic_keeps_none_of_the_others_from_being_looked_after() {
    let kept = Kept::new();
    let topic = kept.topic(TopicSettings { retention_bytes: Some(0), ..settings(three_frames()) });
    for i in 0..12 {
        put(&topic, [i]).unwrap();
    }
    let others = ["a", "z"]
        .map(|other| kept.log.create_topic(other, TopicOptions::default(), numbers_schema()).unwrap());
    for other in others {
        std::fs::write(other.dir().join("topic.json"), "no description").unwrap();
    }
    let done = kept.log.maintain().unwrap();
    assert_eq!((done.removed.len(), done.failures.len()), (1, 2), "{done:?}");
    assert_eq!(topic.start_offset(0).unwrap(), 9);
}

/// Rows of a table: key, value, whether the key is gone.
fn rows(rows: &[(u8, i64, bool)]) -> RecordBatch {
    let schema = Arc::new(Schema::new(vec![
        Field::new("k", DataType::Utf8, true),
        Field::new("v", DataType::Int64, true),
        Field::new("gone", DataType::Boolean, false),
    ]));
    let keys: StringArray = rows.iter().map(|r| (r.0 > 0).then(|| r.0.to_string())).collect();
    let values = Int64Array::from_iter_values(rows.iter().map(|r| r.1));
    let gone: BooleanArray = rows.iter().map(|r| Some(r.2)).collect();
    RecordBatch::try_new(schema, vec![Arc::new(keys), Arc::new(values), Arc::new(gone)]).unwrap()
}

type Row = (Option<String>, i64, bool);
/// A row at its offset.
type At = (u64, Row);

/// All rows from `offset` on with their offsets.
fn read_rows(topic: &Arc<Topic>, offset: u64) -> Vec<(u64, Row)> {
    use arrow::array::{Array, AsArray};
    let mut reader = topic.reader(0, offset, None).unwrap();
    let mut all = Vec::new();
    let mut next = offset;
    while let Some(frame) = reader.next().unwrap() {
        assert_eq!(frame.base_offset, next, "no offset is left out");
        next = frame.next_offset;
        assert_eq!(reader.offset(), next);
        let keys = frame.batch.column(0).as_string::<i32>().clone();
        let values = frame.batch.column(1).as_primitive::<arrow::datatypes::Int64Type>().clone();
        let gone = frame.batch.column(2).as_boolean().clone();
        if let Some(marks) = &frame.marks {
            let stays = |(mark, value)| mark == value || mark == Some(i64::MIN);
            assert!(marks.iter().zip(values.iter()).all(stays), "marks stay with their rows");
        }
        for i in 0..frame.batch.num_rows() {
            let key = keys.is_valid(i).then(|| keys.value(i).to_string());
            all.push((frame.offset(i), (key, values.value(i), gone.value(i))));
        }
    }
    assert_eq!(next, topic.end_offset(0).unwrap());
    all
}

/// What a table holds by these rows.
fn folded(rows: &[(u64, Row)]) -> BTreeMap<Option<String>, i64> {
    let mut table = BTreeMap::new();
    for (_, (key, value, gone)) in rows {
        match gone {
            true => table.remove(key),
            false => table.insert(key.clone(), *value),
        };
    }
    table
}

const TOMBSTONES: Duration = Duration::from_secs(100);

fn table(kept: &Kept, segment_bytes: u64, codec: Codec) -> Arc<Topic> {
    let compaction =
        Compaction { key: vec!["k".into()], deleted: Some("gone".into()), keep_tombstones: TOMBSTONES };
    let settings = TopicSettings { compaction: Some(compaction), ..settings(segment_bytes) };
    let options = TopicOptions { partitions: 1, codec, settings };
    kept.log.create_topic("t", options, rows(&[]).schema()).unwrap()
}

#[test]
fn of_each_key_the_last_row_stays_and_tombstones_for_their_time() {
    let kept = Kept::new();
    let topic = table(&kept, 1 << 20, Codec::Lz4);
    let mut writer = topic.writer(0).unwrap();
    let first = rows(&[(1, 10, false), (2, 20, false), (0, 1, false), (3, 30, false), (1, 11, false)]);
    writer.append(Append { producer: 8, step: 3, ..Append::rows(&first) }).unwrap();
    writer.append(Append::rows(&rows(&[(2, 0, true), (0, 2, false), (4, 40, false)]))).unwrap();
    let done = kept.log.compact_topic("t").unwrap();
    assert_eq!((done.compacted[0].2.rows, done.failures.len()), (3, 0));
    let key = |k: &str| Some(k.to_string());
    let expected = [
        (3, (key("3"), 30, false)),
        (4, (key("1"), 11, false)),
        (5, (key("2"), 0, true)),
        (6, (None, 2, false)),
        (7, (key("4"), 40, false)),
    ];
    assert_eq!(read_rows(&topic, 0), expected);
    for from in 0..=8 {
        assert_eq!(
            read_rows(&kept.place.topic(), from),
            expected[expected.partition_point(|r| r.0 < from)..]
        );
    }
    assert!(writer.append(Append { producer: 8, step: 3, ..Append::rows(&first) }).unwrap().duplicate);

    // The tombstone stays for its time, counted from when it was first compacted.
    kept.clock.advance(TOMBSTONES / 2);
    writer.append(Append::rows(&rows(&[(4, 41, false)]))).unwrap();
    kept.log.compact_topic("t").unwrap();
    assert!(read_rows(&topic, 0).iter().any(|(_, row)| row.2));
    kept.clock.advance(TOMBSTONES / 2);
    writer.append(Append::rows(&rows(&[(4, 42, false)]))).unwrap();
    kept.log.compact_topic("t").unwrap();
    let left: Vec<u64> = read_rows(&topic, 0).iter().map(|(offset, _)| *offset).collect();
    assert_eq!(left, [3, 4, 6, 9]);
    assert_eq!(
        kept.place.segments(&topic).len(),
        2,
        "small segments have become one; the active one is empty"
    );
}

#[test]
fn what_a_death_left_of_joined_segments_neither_counts_as_bytes_nor_stays() {
    let kept = Kept::new();
    let topic = table(&kept, 600, Codec::None);
    for i in 0..12 {
        topic.writer(0).unwrap().append(Append::rows(&rows(&[(1 + i % 2, i.into(), false)]))).unwrap();
    }
    let before: Vec<_> = kept.place.segments(&topic);
    kept.log.alter_topic("t", |settings| settings.segment_bytes = 1 << 20).unwrap();
    let copies: Vec<_> = before.iter().map(|path| (path, std::fs::read(path).unwrap())).collect();
    kept.log.compact_topic("t").unwrap();
    assert_eq!(
        kept.place.segments(&topic).len(),
        2,
        "{before:?} have become one, and there is the active one"
    );
    let held = read_rows(&topic, 0);
    let bytes = std::fs::metadata(&before[0]).unwrap().len();
    for (path, copy) in copies.iter().skip(1).filter(|(path, _)| !path.exists()) {
        std::fs::write(path, copy).unwrap();
    }
    assert!(kept.place.segments(&topic).len() > 3);
    kept.log.alter_topic("t", |settings| settings.retention_bytes = Some(bytes + 1)).unwrap();
    let done = kept.maintain();
    assert!(done.removed.is_empty(), "{:?}", done.removed);
    assert_eq!(read_rows(&topic, 0), held);
    assert_eq!(kept.place.segments(&topic).len(), 2);
}

#[test]
fn what_lay_beside_removed_segments_goes_and_wrong_indexes_are_made_anew() {
    let kept = Kept::new();
    let topic = kept.topic(settings(three_frames()));
    (0..12).for_each(|i| assert!(!put(&topic, [i]).unwrap().duplicate));
    let dir = topic.dir().join("0");
    let index = index_path(&dir, 3);
    let sound = std::fs::read(&index).unwrap();
    std::fs::write(&index, &sound[..sound.len() / 2]).unwrap();
    let orphans = [index_path(&dir, 4), producers_path(&dir, 4)];
    orphans.iter().for_each(|path| std::fs::write(path, &sound).unwrap());
    let beside = producers_path(&dir, 3);
    kept.maintain();
    assert_eq!(std::fs::read(&index).unwrap(), sound);
    assert!(orphans.iter().all(|path| !path.exists()) && beside.exists());
    std::fs::remove_file(&index).unwrap();
    kept.maintain();
    assert_eq!(std::fs::read(&index).unwrap(), sound);
}

#[derive(Debug, Clone)]
enum Act {
    Append(Vec<(u8, bool)>),
    Compact,
    Maintain,
    Wait(u8),
    Reopen {
        reboot: bool,
    },
    Pin(u8),
    /// The next compaction dies in the n-th write from now, with this much of it done.
    Die(u8, u8),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let append =
        proptest::collection::vec((0..6u8, proptest::bool::weighted(0.2)), 0..12).prop_map(Act::Append);
    let act = prop_oneof![
        8 => append,
        2 => Just(Act::Compact),
        1 => Just(Act::Maintain),
        1 => (0..80u8).prop_map(Act::Wait),
        1 => any::<bool>().prop_map(|reboot| Act::Reopen { reboot }),
        1 => any::<u8>().prop_map(Act::Pin),
        1 => (1..12u8, any::<u8>()).prop_map(|(n, keep)| Act::Die(n, keep)),
    ];
    proptest::collection::vec(act, 1..40)
}

/// Whatever is appended, compacted and interrupted: a table read from the start is what was written; the rows that are there
/// are those that were written, at their offsets; and from a pin on nothing is missing of what could be read there.
fn says_what_the_whole_one_said(acts: Vec<Act>, small: bool) {
    let kept = Kept::new();
    let mut topic = table(&kept, if small { 900 } else { 4_000 }, Codec::None);
    let mut log = kept.log.clone();
    let mut written: Vec<(u64, Row)> = Vec::new();
    // From where on nothing may go, and what was there already when it was set.
    let mut pin: Option<(u64, u64, Vec<At>)> = None;
    let mut value = 0;
    for act in acts {
        match act {
            Act::Append(new) => {
                let new: Vec<_> = new
                    .into_iter()
                    .map(|(k, gone)| {
                        value += 1;
                        (k, value, gone)
                    })
                    .collect();
                let batch = rows(&new);
                let marks = Int64Array::from_iter_values(new.iter().map(|r| r.1));
                let append = Append { marks: (value % 2 == 0).then_some(&marks), ..Append::rows(&batch) };
                let at = topic.writer(0).unwrap().append(append).unwrap().base_offset;
                for (i, (k, v, gone)) in new.into_iter().enumerate() {
                    written.push((at + i as u64, ((k > 0).then(|| k.to_string()), v, gone)));
                }
            }
            Act::Compact => assert!(log.compact_topic("t").unwrap().failures.is_empty()),
            Act::Maintain => assert!(log.maintain().unwrap().failures.is_empty()),
            Act::Wait(seconds) => kept.clock.advance(Duration::from_secs(seconds.into())),
            Act::Reopen { reboot } => {
                if reboot {
                    kept.place.faults.reboot();
                }
                log = Log::open(kept.log.dir(), kept.place.disk.clone(), kept.clock.clone()).unwrap();
                topic = log.topic("t").unwrap();
            }
            Act::Pin(at) => {
                let offset = u64::from(at) * written.len() as u64 / 255;
                // A job goes forward only.
                let offset = offset.max(pin.as_ref().map_or(0, |(offset, ..)| *offset));
                log.pin("job", &[Pin { topic: "t".into(), partition: 0, offset }]).unwrap();
                pin = Some((offset, written.len() as u64, read_rows(&topic, offset)));
            }
            Act::Die(n, keep) => {
                kept.place.faults.tear_write(n.into(), keep.into());
                let _ = log.compact_topic("t");
                kept.place.faults.heal();
                log = Log::open(kept.log.dir(), kept.place.disk.clone(), kept.clock.clone()).unwrap();
                topic = log.topic("t").unwrap();
            }
        }
        let found = read_rows(&topic, 0);
        assert_eq!(folded(&found), folded(&written));
        let of = |offset: u64| written.iter().find(|(o, _)| *o == offset);
        assert!(found.iter().all(|row| of(row.0) == Some(row)));
        if let Some((pin, end, then)) = &pin {
            let new = written.iter().filter(|(offset, _)| offset >= end);
            assert_eq!(
                found.iter().filter(|(offset, _)| offset >= pin).collect::<Vec<_>>(),
                then.iter().chain(new).collect::<Vec<_>>()
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_compacted_topic_says_what_the_whole_one_said(acts in acts(), small: bool) {
        says_what_the_whole_one_said(acts, small);
    }
}

#[test]
fn a_reader_does_not_begin_in_a_segment_that_a_compaction_has_left_behind() {
    let rows = |n: usize| Act::Append(vec![(0, false); n]);
    says_what_the_whole_one_said(
        vec![rows(1), Act::Die(3, 92), rows(5), Act::Die(6, 0), Act::Pin(85)],
        false,
    );
    says_what_the_whole_one_said(
        vec![rows(1), Act::Die(3, 92), rows(3), Act::Die(6, 0), Act::Pin(140)],
        false,
    );
}
