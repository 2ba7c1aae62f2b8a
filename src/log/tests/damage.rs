//! What a crash, a full disk or a flipped bit leaves behind, and what is made of it.

use super::*;
use proptest::prelude::*;

/// Which of some frames' rows lie in the first `bytes` of their file.
struct Frames {
    /// Where each frame ends, and the rows up to there.
    ends: Vec<(u64, Vec<i64>)>,
}

impl Frames {
    /// Appends `frames` frames of `i` and `10 * i`.
    fn put(place: &Place, topic: &Arc<Topic>, frames: i64) -> Self {
        let mut ends = Vec::new();
        for i in 1..=frames {
            put(topic, [i, 10 * i]).unwrap();
            let len = std::fs::metadata(&place.segments(topic)[0]).unwrap().len();
            ends.push((len, read(topic)));
        }
        Frames { ends }
    }

    /// The rows and the length of the whole frames in the first `bytes`.
    fn whole(&self, bytes: u64) -> (Vec<i64>, u64) {
        let last = self.ends.iter().rfind(|(end, _)| *end <= bytes);
        last.map_or((vec![], 0), |(end, rows)| (rows.clone(), *end))
    }
}

struct Saved(Vec<(PathBuf, Vec<u8>)>);

impl Saved {
    fn of(place: &Place, topic: &Topic) -> Self {
        let mut files = place.segments(topic);
        files.push(topic.dir().join("0/tail"));
        Saved(files.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect())
    }

    fn restore(&self) {
        self.0.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
    }
}

#[test]
fn a_segment_cut_anywhere_keeps_its_whole_frames_and_goes_on_behind_them() {
    let place = Place::new();
    let topic = place.create(1 << 20);
    let frames = Frames::put(&place, &topic, 3);
    let saved = Saved::of(&place, &topic);
    let (segment, bytes) = saved.0[0].clone();
    for cut in 0..bytes.len() {
        let (rows, len) = frames.whole(cut as u64);
        // Whether a reader or a writer comes upon it first, under the same boot or another.
        for case in 0..4 {
            saved.restore();
            std::fs::write(&segment, &bytes[..cut]).unwrap();
            if case > 1 {
                place.faults.reboot();
            }
            let topic = place.topic();
            if case % 2 == 0 {
                assert_eq!(read(&topic), rows, "cut at {cut}, case {case}");
            }
            let appended = put(&topic, [-1]).unwrap();
            assert_eq!(appended.base_offset, rows.len() as u64, "cut at {cut}, case {case}");
            assert_eq!(read(&topic), [&rows[..], &[-1]].concat());
            let [note] = &topic.recovered()[..] else { panic!("one recovery") };
            assert_eq!((note.bytes, note.rows), (cut as u64 - len, 6 - rows.len() as u64));
            assert_eq!(read(&place.topic()), [&rows[..], &[-1]].concat());
        }
    }
}

#[test]
fn a_durable_segment_cut_anywhere_is_damaged_and_takes_no_more() {
    let place = Place::new();
    let topic = place.create(1 << 20);
    let frames = Frames::put(&place, &topic, 3);
    topic.writer(0).unwrap().sync().unwrap();
    let saved = Saved::of(&place, &topic);
    let (segment, bytes) = saved.0[0].clone();
    for cut in 0..bytes.len() {
        let (rows, len) = frames.whole(cut as u64);
        for case in 0..4 {
            saved.restore();
            std::fs::write(&segment, &bytes[..cut]).unwrap();
            if case > 1 {
                place.faults.reboot();
            }
            let topic = place.topic();
            if case % 2 == 0 {
                assert!(matches!(put(&topic, [-1]), Err(LogError::Corrupt(_))), "cut at {cut}, case {case}");
            }
            let (read, error) = read_from(&topic, 0);
            let Some(LogError::Corrupt(corruption)) = error else { panic!("cut at {cut}: {error:?}") };
            assert_eq!(read, rows, "cut at {cut}, case {case}");
            assert_eq!((corruption.position, corruption.first_lost), (len, rows.len() as u64));
            assert_eq!((&corruption.segment, corruption.end_lost), (&segment, 6));
            assert!(matches!(put(&topic, [-1]), Err(LogError::Corrupt(_))));
            assert_eq!(std::fs::read(&segment).unwrap(), bytes[..cut], "left as it was");
        }
    }
}

#[test]
fn no_bit_of_a_segment_flips_unseen() {
    let place = Place::new();
    let topic = place.create(1 << 20);
    let frames = Frames::put(&place, &topic, 2);
    let saved = Saved::of(&place, &topic);
    let (segment, bytes) = saved.0[0].clone();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&segment, &flipped).unwrap();
        let (read, error) = read_from(&topic, 0);
        let (rows, len) = frames.whole(bit as u64 / 8);
        let Some(LogError::Corrupt(corruption)) = error else { panic!("bit {bit}: {error:?}") };
        assert_eq!((read, corruption.position), (rows, len), "bit {bit}");
    }
    assert!(matches!(put(&topic, [1]), Err(LogError::Corrupt(_))), "who has seen it appends no more");
    assert_eq!(std::fs::metadata(&segment).unwrap().len(), bytes.len() as u64);
}

#[test]
fn damage_in_a_closed_segment_is_told_with_its_place_and_extent() {
    let place = Place::new();
    let topic = place.create(700);
    for i in 0..9 {
        put(&topic, [i]).unwrap();
    }
    let segments = place.segments(&topic);
    let second: u64 = segments[1].file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let third: u64 = segments[2].file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let bytes = std::fs::read(&segments[1]).unwrap();
    std::fs::write(&segments[1], &bytes[..bytes.len() - 1]).unwrap();
    let (rows, error) = read_from(&topic, 0);
    let Some(LogError::Corrupt(corruption)) = error else { panic!("{error:?}") };
    assert_eq!(rows, (0..third as i64 - 1).collect::<Vec<_>>());
    assert_eq!(
        (&corruption.segment, corruption.first_lost, corruption.end_lost),
        (&segments[1], third - 1, third)
    );
    let told = corruption.to_string();
    assert!(
        told.starts_with("partition 0 of the topic \"t\" is damaged in ") && told.contains("at byte"),
        "{told}"
    );
    // Behind the damage one can read on.
    assert_eq!(read_from(&topic, third + 1).0, (third as i64 + 1..9).collect::<Vec<_>>());

    std::fs::remove_file(&segments[1]).unwrap();
    let (rows, error) = read_from(&place.topic(), 0);
    assert_eq!(rows, (0..second as i64).collect::<Vec<_>>());
    assert!(matches!(error, Some(LogError::Corrupt(c)) if c.first_lost == second && c.end_lost == third));
}

#[test]
fn a_tail_file_with_any_bit_flipped_or_lost_loses_nothing() {
    let place = Place::new();
    let topic = place.create(1 << 20);
    Frames::put(&place, &topic, 3);
    let all = read(&topic);
    let saved = Saved::of(&place, &topic);
    let (tail, bytes) = saved.0[1].clone();
    let mut broken: Vec<Vec<u8>> = (0..bytes.len() * 8)
        .filter(|bit| bytes[bit / 8] != 0)
        .map(|bit| {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            flipped
        })
        .collect();
    broken.extend([vec![], vec![0; 1024], vec![0xA5; 1024]]);
    for bytes in broken {
        saved.restore();
        std::fs::write(&tail, &bytes).unwrap();
        let topic = place.topic();
        // Enters, and publishes nothing.
        topic.writer(0).unwrap().last_step(1).unwrap();
        let healed = tail::TailFile::open(&place.disk, &tail, Open::Read).unwrap().read().unwrap();
        assert!(!healed.torn, "nobody needs to recover again");
        assert_eq!(put(&topic, [-1]).unwrap().base_offset, 6);
        assert_eq!(read(&topic), [&all[..], &[-1]].concat());
        assert!(topic.recovered().is_empty(), "nothing was cut");
    }
    saved.restore();
    std::fs::remove_file(&tail).unwrap();
    assert_eq!(read(&place.topic()), all);
}

#[test]
fn a_stale_tail_brings_back_after_a_boot_all_that_was_written() {
    let place = Place::new();
    let topic = place.create(700);
    put(&topic, [1]).unwrap();
    let stale = std::fs::read(topic.dir().join("0/tail")).unwrap();
    for i in 2..9 {
        put(&topic, [i]).unwrap();
    }
    // The system may have written out the segments, but not the tail.
    std::fs::write(topic.dir().join("0/tail"), &stale).unwrap();
    place.faults.reboot();
    let topic = place.topic();
    assert_eq!(read(&topic), (1..9).collect::<Vec<_>>());
    put(&topic, [9]).unwrap();
    assert_eq!(read(&place.topic()), (1..10).collect::<Vec<_>>());
}

#[test]
fn after_a_boot_zeros_behind_the_last_whole_frame_are_cut() {
    let place = Place::new();
    let topic = place.create(1 << 20);
    let frames = Frames::put(&place, &topic, 3);
    let segment = &place.segments(&topic)[0];
    let mut bytes = std::fs::read(segment).unwrap();
    // Lengths may reach the disk before what they measure.
    bytes[frames.ends[1].0 as usize..].fill(0);
    bytes.extend([0; 4096]);
    std::fs::write(segment, &bytes).unwrap();
    place.faults.reboot();
    let topic = place.topic();
    assert_eq!(read(&topic), [1, 10, 2, 20]);
    assert_eq!(put(&topic, [3]).unwrap().base_offset, 4);
    assert_eq!(std::fs::metadata(segment).unwrap().len() % 16, 0);
    assert!(topic.recovered()[0].to_string().contains("with 2 rows that were not yet safe on disk"));
}

#[test]
fn what_a_dead_writer_left_never_comes_back_to_life() {
    let place = Place::new();
    let topic = place.create(1 << 20);
    put(&topic, [1]).unwrap();
    let tail = std::fs::read(topic.dir().join("0/tail")).unwrap();
    put(&topic, [2]).unwrap();
    put(&topic, [3]).unwrap();
    let left = std::fs::read(&place.segments(&topic)[0]).unwrap();
    // As if the last two had been written but never published.
    std::fs::write(topic.dir().join("0/tail"), &tail).unwrap();
    let other = place.topic();
    assert_eq!(read(&other), [1], "readers see what is published");
    assert_eq!(put(&other, [4]).unwrap().base_offset, 1);
    assert_eq!(read(&topic), [1, 4]);
    assert_eq!(other.recovered().len(), 1);
    // A frame that fits to the byte and the offset, were it not of the dead writer's epoch.
    let segment = &place.segments(&topic)[0];
    let whole = std::fs::read(segment).unwrap();
    assert_eq!(whole.len(), left.len() / 3 * 2, "what was left is gone");
    std::fs::write(segment, [&whole[..], &left[whole.len()..]].concat()).unwrap();
    place.faults.reboot();
    let topic = place.topic();
    assert_eq!(read(&topic), [1, 4]);
    assert_eq!(topic.recovered().len(), 1);
}

#[test]
fn a_step_whose_frame_was_cut_can_be_appended_again() {
    let place = Place::new();
    let topic = place.create(1 << 20);
    let step = |step: u64| {
        let rows = numbers([step as i64]);
        let append = Append { producer: 7, step, ..Append::rows(&rows) };
        topic.writer(0).unwrap().append(append).unwrap().duplicate
    };
    assert!(!step(1) && !step(2) && step(2));
    let segment = &place.segments(&topic)[0];
    let file = std::fs::OpenOptions::new().write(true).open(segment).unwrap();
    file.set_len(file.metadata().unwrap().len() - 1).unwrap();
    assert!(step(1) && !step(2) && step(2));
    assert_eq!(read(&topic), [1, 2]);
}

#[test]
fn a_reader_whose_rows_were_cut_is_told_and_one_before_them_reads_on() {
    let place = Place::new();
    let topic = place.create(1 << 20);
    // Long frames, so that no reader holds the next one already.
    for i in 0..3 {
        put(&topic, i * 1_000..i * 1_000 + 1_000).unwrap();
    }
    let mut behind = topic.reader(0, 3_000, None).unwrap();
    let mut before = topic.reader(0, 1_000, None).unwrap();
    let segment = &place.segments(&topic)[0];
    let file = std::fs::OpenOptions::new().write(true).open(segment).unwrap();
    file.set_len(file.metadata().unwrap().len() / 3 + 5).unwrap();
    put(&place.topic(), [7, 8, 9]).unwrap();
    let told = behind.next().unwrap_err();
    assert!(matches!(told, LogError::OffsetOutOfRange { offset: 3_000, end: 1_003, .. }), "{told}");
    assert_eq!(values(&before.next().unwrap().unwrap()), [7, 8, 9]);
    assert!(before.next().unwrap().is_none());
}

#[test]
fn an_unfinished_new_segment_is_no_part_of_the_log() {
    let place = Place::new();
    let topic = place.create(1 << 20);
    put(&topic, [1, 2, 3]).unwrap();
    let stray = segment::segment_path(&topic.dir().join("0"), 3);
    std::fs::write(&stray, b"").unwrap();
    put(&topic, [4]).unwrap();
    assert_eq!(read(&topic), [1, 2, 3, 4]);
    place.faults.reboot();
    let topic = place.topic();
    assert_eq!(read(&topic), [1, 2, 3, 4]);
    assert!(!stray.exists());
    // Nor when the segment before goes on past it and is closed then.
    let options = TopicOptions { partitions: 1, codec: Codec::None, settings: settings(1_000) };
    let small = place.log().create_topic("small", options, numbers_schema());
    let small = small.unwrap();
    put(&small, [1, 2]).unwrap();
    std::fs::write(segment::segment_path(&small.dir().join("0"), 3), b"").unwrap();
    for i in 2..6 {
        put(&small, [2 * i - 1, 2 * i]).unwrap();
    }
    for offset in 0..10 {
        assert_eq!(read_from(&small, offset).0, (offset as i64 + 1..11).collect::<Vec<_>>());
    }
    // Without any tail, too.
    std::fs::write(segment::segment_path(&topic.dir().join("0"), 4), b"").unwrap();
    std::fs::remove_file(topic.dir().join("0/tail")).unwrap();
    let topic = place.topic();
    assert_eq!(put(&topic, [5]).unwrap().base_offset, 4);
    assert_eq!(read(&topic), [1, 2, 3, 4, 5]);
}

#[test]
fn a_full_disk_leaves_the_log_as_it_was() {
    for room in (0..4_000).step_by(61) {
        let place = Place::new();
        let topic = place.create(1_000);
        put(&topic, [0]).unwrap();
        place.faults.full_after(room);
        let mut acknowledged = vec![0];
        let error = (1..).find_map(|i| match put(&topic, [i]) {
            Ok(_) => {
                acknowledged.push(i);
                None
            }
            Err(e) => Some(e),
        });
        let error = error.unwrap().to_string();
        assert!(error.contains("no space left on device: free some, then run again"), "{error}");
        assert!(error.contains(".log") || error.contains(".producers"), "{error}");
        assert_eq!((read(&topic), read(&place.topic())), (acknowledged.clone(), acknowledged.clone()));
        place.faults.heal();
        put(&topic, [-1]).unwrap();
        acknowledged.push(-1);
        assert_eq!(read(&topic), acknowledged);
        assert!(topic.recovered().is_empty());
    }
}

#[test]
fn an_append_whose_write_fails_is_told_and_leaves_the_log_as_it_was() {
    for n in 1..40 {
        let place = Place::new();
        let topic = place.create(1_000);
        place.faults.fail_write(n);
        let mut acknowledged = Vec::new();
        for i in 0..20 {
            match put(&topic, [i]) {
                Ok(_) => acknowledged.push(i),
                Err(e) => assert!(matches!(e, LogError::Disk(_)), "{e}"),
            }
        }
        // An index that cannot be written fails no append.
        assert!((19..=20).contains(&acknowledged.len()), "only one append failed");
        assert_eq!((read(&topic), read(&place.topic())), (acknowledged.clone(), acknowledged));
        assert!(topic.recovered().is_empty());
    }
}

#[test]
fn a_failed_sync_is_final_for_this_process() {
    let place = Place::new();
    let topic = place.create(1 << 20);
    put(&topic, [1]).unwrap();
    let mut writer = topic.writer(0).unwrap();
    place.faults.fail_sync(1);
    assert!(matches!(writer.sync(), Err(LogError::Disk(_))));
    assert!(matches!(writer.sync(), Err(LogError::SyncFailed { .. })));
    assert!(matches!(put(&topic, [2]), Err(LogError::SyncFailed { .. })));
    assert_eq!((read(&topic), topic.durable_offset(0).unwrap()), (vec![1], 0));
    put(&place.topic(), [2]).unwrap();
    assert_eq!(read(&topic), [1, 2]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A process dies in the middle of any write, having written any part of it, and the system may
    /// go down with it: then all that was acknowledged is there, in order, at most followed by what
    /// was being appended; and a producer that appends the same again ends with every step once.
    #[test]
    fn a_crash_in_any_write_loses_and_doubles_nothing(n in 1..30u64, keep in 0..500usize, reboot: bool) {
        let place = Place::new();
        let topic = place.create(1_000);
        let append = |topic: &Arc<Topic>, step: u64| {
            let rows = numbers([step as i64]);
            topic.writer(0)?.append(Append { producer: 5, step, ..Append::rows(&rows) })
        };
        place.faults.tear_write(n, keep);
        let crashed = (1..).find(|&step| append(&topic, step).is_err()).unwrap();
        place.faults.heal();
        if reboot {
            place.faults.reboot();
        }
        let topic = place.topic();
        let rows = read(&topic);
        let acknowledged: Vec<i64> = (1..crashed as i64).collect();
        prop_assert!(rows == acknowledged || rows == [&acknowledged[..], &[crashed as i64]].concat(), "{rows:?}");
        for step in 1..crashed + 3 {
        append(&topic, step).unwrap();
    }
        prop_assert_eq!(read(&topic), (1..crashed as i64 + 3).collect::<Vec<_>>());
        prop_assert_eq!(read(&place.topic()), (1..crashed as i64 + 3).collect::<Vec<_>>());
    }
}
