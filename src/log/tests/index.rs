//! Indexes and producer snapshots: made when a segment is closed, and done without when they are gone or wrong.

use super::*;
use crate::log::index::{Index, index_path};
use crate::log::producers::producers_path;

/// A topic of a few hundred frames in many segments, appended one a nanosecond from 1,000 on, each by a producer of
/// three; frame `i` holds the numbers `2 * i` and `2 * i + 1`.
fn filled(place: &Place) -> Arc<Topic> {
    let clock = Clock::manual(1_000);
    let log = Log::open(place.dir.path().join("data"), place.disk.clone(), clock.clone()).unwrap();
    let options = TopicOptions { partitions: 1, codec: Codec::None, settings: settings(200_000) };
    let topic = log.create_topic("t", options, numbers_schema()).unwrap();
    let mut writer = topic.writer(0).unwrap();
    for i in 0..2_000 {
        let batch = numbers([2 * i, 2 * i + 1]);
        let append = Append { producer: 1 + i as u128 % 3, step: i as u64, ..Append::rows(&batch) };
        writer.append(append).unwrap();
        clock.advance(std::time::Duration::from_nanos(1));
    }
    topic
}

#[test]
fn rows_are_found_by_offset_and_by_time_with_indexes_and_without() {
    let place = Place::new();
    let topic = filled(&place);
    let segments = segment::list_segments(&place.disk, &topic.dir().join("0")).unwrap();
    assert!(segments.len() > 2, "{segments:?}");
    let check = || {
        let topic = place.topic();
        for offset in (0..4_000).step_by(37) {
            let mut reader = topic.reader(0, offset, None).unwrap();
            assert_eq!(values(&reader.next().unwrap().unwrap())[0], offset as i64);
        }
        for i in (0..2_000).step_by(31) {
            assert_eq!(topic.offset_for_time(0, 1_000 + i).unwrap(), 2 * i as u64);
        }
        assert_eq!(topic.offset_for_time(0, i64::MIN).unwrap(), 0);
        assert_eq!(topic.offset_for_time(0, 3_000).unwrap(), 4_000, "later than all");
    };
    check();
    let dir = topic.dir().join("0");
    let index = index_path(&dir, segments[1]);
    let sound = std::fs::read(&index).unwrap();
    assert!(Index::from_bytes(&sound).is_some_and(|index| index.end_offset == segments[2]));
    // Another segment's, one whose places are wrong, a damaged one, none.
    std::fs::write(&index, std::fs::read(index_path(&dir, segments[0])).unwrap()).unwrap();
    check();
    std::fs::write(&index, &sound[..sound.len() - 1]).unwrap();
    check();
    segments.iter().for_each(|base| drop(std::fs::remove_file(index_path(&dir, *base))));
    check();
}

#[test]
fn the_last_steps_are_known_after_a_restart_from_the_newest_snapshot_alone() {
    let place = Place::new();
    let topic = filled(&place);
    let dir = topic.dir().join("0");
    let segments = segment::list_segments(&place.disk, &dir).unwrap();
    let last = |topic: &Arc<Topic>| [1, 2, 3, 4].map(|p| topic.writer(0).unwrap().last_step(p).unwrap());
    let expected = [Some(1998), Some(1999), Some(1997), None];
    assert_eq!(last(&topic), expected);
    assert_eq!(last(&place.topic()), expected);
    // The frames before the snapshot are not read: were they, this damage would be found.
    let active = *segments.last().unwrap();
    for base in segments.iter().filter(|base| **base < active) {
        let path = segment::segment_path(&dir, *base);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[40] ^= 1;
        std::fs::write(path, bytes).unwrap();
    }
    assert_eq!(last(&place.topic()), expected);
    // Nor does recovery after a boot look at them.
    place.faults.reboot();
    assert_eq!(last(&place.topic()), expected);
    // Without it the way is long, and leads past the damage.
    segments.iter().for_each(|base| drop(std::fs::remove_file(producers_path(&dir, *base))));
    let error = place.topic().writer(0).unwrap().last_step(1).unwrap_err();
    assert!(matches!(error, LogError::Corrupt(_)), "{error}");
}

#[test]
fn a_lost_snapshot_is_made_up_for_by_the_one_before() {
    let place = Place::new();
    let topic = filled(&place);
    let dir = topic.dir().join("0");
    let segments = segment::list_segments(&place.disk, &dir).unwrap();
    for base in segments.iter().rev() {
        let _ = std::fs::remove_file(producers_path(&dir, *base));
        let last = [1, 2, 3].map(|p| place.topic().writer(0).unwrap().last_step(p).unwrap());
        assert_eq!(last, [Some(1998), Some(1999), Some(1997)], "without those from {base} on");
    }
}
