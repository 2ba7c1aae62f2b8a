//! The data directory and the topics in it.

use super::*;
use std::os::unix::fs::PermissionsExt;

fn open(dir: &Path) -> Result<Log> {
    Log::open(dir, Disk::real(), Clock::manual(0))
}

#[test]
fn an_absent_or_empty_directory_becomes_ours_alone() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("a/b");
    open(&data).unwrap();
    assert_eq!(std::fs::read_to_string(data.join("FORMAT")).unwrap(), "millstream 1\n");
    assert_eq!(std::fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    open(&data).unwrap();
    // Half made by somebody who died.
    std::fs::rename(data.join("FORMAT"), data.join("FORMAT.tmp")).unwrap();
    open(&data).unwrap();
}

#[test]
fn a_directory_that_is_not_ours_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("thesis.tex");
    std::fs::write(&file, "x").unwrap();
    let refused = open(dir.path()).unwrap_err();
    assert!(matches!(&refused, LogError::NotOurs { found, .. } if found == "thesis.tex"));
    assert!(refused.to_string().ends_with("choose another directory with -d"), "{refused}");
    assert_eq!(Disk::real().list(dir.path()).unwrap(), ["thesis.tex"]);
    assert!(matches!(open(&file), Err(LogError::NotADirectory { .. })));
    assert!(matches!(open(&file.join("below")), Err(LogError::NotADirectory { .. })));
}

#[test]
fn a_newer_or_damaged_format_keeps_us_out() {
    let dir = tempfile::tempdir().unwrap();
    for (text, newer) in [("millstream 2\n", true), ("millstream\n", false), ("\u{0}\u{0}", false)] {
        std::fs::write(dir.path().join("FORMAT"), text).unwrap();
        let refused = open(dir.path()).unwrap_err();
        assert_eq!(matches!(refused, LogError::NewerVersion { found: 2, known: 1, .. }), newer, "{refused}");
        assert_eq!(matches!(refused, LogError::FormatDamaged { .. }), !newer, "{refused}");
    }
}

#[test]
fn topics_are_found_by_every_process_and_listed_by_name() {
    let place = Place::new();
    let (one, two) = (place.log(), place.log());
    for name in ["trips", "Trips", "a.b-c_d"] {
        one.create_topic(name, TopicOptions::default(), numbers_schema()).unwrap();
        assert!(two.topic_exists(name).unwrap());
        assert_eq!(two.topic(name).unwrap().info(), one.topic(name).unwrap().info());
    }
    let names: Vec<String> = two.topics().unwrap().into_iter().map(|topic| topic.name).collect();
    assert_eq!(names, ["Trips", "a.b-c_d", "trips"]);
    let twice = two.create_topic("trips", TopicOptions::default(), numbers_schema());
    assert!(matches!(twice, Err(LogError::TopicExists { .. })));
    assert!(Arc::ptr_eq(&one.topic("trips").unwrap(), &one.clone().topic("trips").unwrap()));
    let unknown = two.topic("tripz").unwrap_err().to_string();
    assert_eq!(unknown, "there is no topic \"tripz\"; did you mean \"trips\"?");
    assert_eq!(two.topic("quakes").unwrap_err().to_string(), "there is no topic \"quakes\"");
}

#[test]
fn names_and_options_that_will_not_do_are_refused() {
    let log = Place::new().log();
    let long = "x".repeat(250);
    for name in ["", ".", "..", "a/b", "a b", "ä", &long] {
        let refused = log.create_topic(name, TopicOptions::default(), numbers_schema());
        assert!(matches!(refused, Err(LogError::TopicName { .. })), "{name:?}");
    }
    for partitions in [0, 1025] {
        let options = TopicOptions { partitions, ..TopicOptions::default() };
        let refused = log.create_topic("t", options, numbers_schema());
        assert!(matches!(refused, Err(LogError::PartitionCount { .. })));
    }
    let options = TopicOptions { settings: TopicSettings::segments_of(0), ..TopicOptions::default() };
    assert!(matches!(log.create_topic("t", options, numbers_schema()), Err(LogError::SegmentSize)));
}

#[test]
fn no_bit_of_a_topics_description_flips_unseen_and_none_hides_other_topics() {
    let place = Place::new();
    let topic = place.create(100);
    place.log().create_topic("other", TopicOptions::default(), numbers_schema()).unwrap();
    let path = topic.dir().join("topic.json");
    let sound = std::fs::read(&path).unwrap();
    for bit in 0..sound.len() * 8 {
        let mut bytes = sound.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(info) = TopicInfo::read(&path, &bytes) {
            assert_eq!(&info, topic.info(), "bit {bit}");
        }
    }
    for cut in 0..sound.len() - 1 {
        assert!(TopicInfo::read(&path, &sound[..cut]).is_err(), "cut at {cut}");
    }
    std::fs::write(&path, &sound[..sound.len() / 2]).unwrap();
    let log = place.log();
    log.topic("other").unwrap();
    assert!(matches!(log.topic("t"), Err(LogError::TopicDamaged { .. })));
}

#[test]
fn a_topic_can_be_deleted_and_made_anew_under_its_name() {
    let place = Place::new();
    let old = place.create(1 << 20);
    put(&old, [1, 2, 3]).unwrap();
    let (mut writer, mut reader) = (old.writer(0).unwrap(), old.reader(0, 0, None).unwrap());
    // Another process has it open too, and a partition of another topic has never been written.
    let elsewhere = place.topic();
    let never = place.log().create_topic("never", TopicOptions::default(), numbers_schema()).unwrap();
    let mut waiting = never.reader(0, 0, None).unwrap();
    put(&elsewhere, [4]).unwrap();

    let log = place.log();
    log.delete_topic("t").unwrap();
    log.delete_topic("never").unwrap();
    assert!(matches!(log.delete_topic("t"), Err(LogError::NoTopic { .. })));
    assert!(matches!(log.topic("t"), Err(LogError::NoTopic { .. })));
    let schema = Arc::new(Schema::new(vec![Field::new("text", DataType::Utf8, true)]));
    let new = log.create_topic("t", TopicOptions::default(), schema).unwrap();
    assert_eq!(place.topic().schema(), new.schema());
    assert_eq!(new.end_offset(0).unwrap(), 0);

    let rows = numbers([5]);
    let deleted =
        |result: Result<Appended>| matches!(result, Err(LogError::TopicDeleted { topic }) if topic == "t");
    assert!(deleted(writer.append(Append::rows(&rows))));
    assert!(deleted(put(&elsewhere, [6])));
    assert!(matches!(waiting.next(), Err(LogError::TopicDeleted { .. })));
    assert!(matches!(
        never.writer(0).unwrap().append(Append::rows(&rows)),
        Err(LogError::TopicDeleted { .. })
    ));
    // What the reader had in sight it may still read; then it is told.
    let told = std::iter::from_fn(|| match reader.next() {
        Ok(frame) => Some(frame.is_none()),
        Err(LogError::TopicDeleted { .. }) => None,
        Err(e) => panic!("{e}"),
    });
    assert!(told.take(10).all(|ended| !ended));
    assert_eq!(Disk::real().list(&new.dir().join("..")).unwrap().len(), 1);
}
