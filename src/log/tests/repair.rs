//! Looking for damage, and mending it.

use super::*;
use proptest::prelude::*;

/// A topic of 40 frames of three numbers each, in some segments, and where each frame is: segment file, first byte, end.
fn filled(place: &Place) -> (Arc<Topic>, Vec<(PathBuf, u64, u64)>) {
    let topic = place.create(4_000);
    let mut frames: Vec<(PathBuf, u64, u64)> = Vec::new();
    for i in 0..40 {
        put(&topic, [3 * i, 3 * i + 1, 3 * i + 2]).unwrap();
        let path = place.segments(&topic).pop().unwrap();
        let end = std::fs::metadata(&path).unwrap().len();
        let begin = frames.last().filter(|(p, ..)| *p == path).map_or(0, |(_, _, end)| *end);
        frames.push((path, begin, end));
    }
    assert!(place.segments(&topic).len() > 2);
    topic.writer(0).unwrap().sync().unwrap();
    (topic, frames)
}

fn verified(topic: &Topic) -> Verified {
    topic.verify(0, &mut |_| {}).unwrap()
}

#[test]
fn a_sound_topic_is_found_sound_and_left_alone() {
    let place = Place::new();
    let (topic, frames) = filled(&place);
    let found = verified(&topic);
    assert_eq!((found.frames, found.rows, found.damage.len()), (40, 120, 0));
    assert_eq!(found.segments, place.segments(&topic).len() as u64);
    let last_of_each = frames.iter().zip(frames.iter().skip(1)).filter(|(a, b)| a.0 != b.0).map(|(a, _)| a.2);
    assert_eq!(found.bytes, last_of_each.sum::<u64>() + frames[39].2);
    assert_eq!(topic.repair(0).unwrap(), []);
    assert_eq!(read(&topic), (0..120).collect::<Vec<_>>());
}

#[test]
fn a_missing_segment_is_named_and_mended() {
    for gone in 0..3 {
        let place = Place::new();
        let (topic, frames) = filled(&place);
        let path = place.segments(&topic)[gone].clone();
        let of: Vec<usize> = (0..40).filter(|i| frames[*i].0 == path).collect();
        std::fs::remove_file(&path).unwrap();
        let topic = place.topic();
        let lost = (3 * of[0] as u64, 3 * (of[of.len() - 1] as u64 + 1));
        let damage = verified(&topic).damage;
        assert_eq!((damage.len(), damage[0].offsets, &damage[0].segment), (1, lost, &path));
        assert_eq!(topic.repair(0).unwrap(), damage);
        let left: Vec<i64> = (0..120).filter(|n| !(lost.0..lost.1).contains(&(*n as u64))).collect();
        assert_eq!(all_rows(&topic), left);
        assert_eq!(put(&topic, [7]).unwrap().base_offset, 120);
    }
}

/// All numbers that can be read, whatever offsets are missing between them.
fn all_rows(topic: &Arc<Topic>) -> Vec<i64> {
    let mut reader = topic.reader(0, topic.start_offset(0).unwrap(), None).unwrap();
    let mut all = Vec::new();
    while let Some(frame) = reader.next().unwrap() {
        all.extend(values(&frame));
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whichever frames are damaged, and however: each is named, all others are kept, and after the repair the topic is
    /// sound and takes rows at the offsets that follow.
    #[test]
    fn each_damaged_frame_is_named_and_all_others_are_kept(
        hits in proptest::collection::vec((0..40usize, any::<prop::sample::Index>(), 1..=255u8), 1..6),
        reboot: bool,
        others: bool,
    ) {
        let place = Place::new();
        let (topic, frames) = filled(&place);
        let mut lost: Vec<usize> = hits.iter().map(|hit| hit.0).collect();
        lost.sort_unstable();
        lost.dedup();
        for (frame, at, flip) in hits.iter().filter(|hit| lost.contains(&hit.0)) {
            let (path, begin, end) = &frames[*frame];
            let mut bytes = std::fs::read(path).unwrap();
            let at = *begin as usize + at.index((end - begin) as usize);
            bytes[at] ^= flip;
            std::fs::write(path, bytes).unwrap();
        }
        // Two hits on one byte may cancel each other out.
        lost.retain(|i| {
            let (path, begin, end) = &frames[*i];
            let disk = Disk::real();
            let base = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
            let mut segment = segment::Segment::open(&disk, path.parent().unwrap(), base).unwrap();
            segment.frame(*begin, *end).is_err()
        });
        if reboot {
            place.faults.reboot();
        }
        let topic = if others { place.topic() } else { topic };
        let found = verified(&topic);
        prop_assert_eq!(found.frames, 40 - lost.len() as u64);
        let offsets: u64 = found.damage.iter().map(|d| d.offsets.1 - d.offsets.0).sum();
        prop_assert_eq!(offsets, 3 * lost.len() as u64);
        for i in &lost {
            let (path, begin, end) = &frames[*i];
            let names = |d: &Damage| d.segment == *path && d.bytes.0 <= *begin && d.bytes.1 >= *end;
            prop_assert!(found.damage.iter().any(names), "frame {i}: {:?}", found.damage);
        }
        prop_assert_eq!(topic.repair(0).unwrap().len(), found.damage.len());
        let left: Vec<i64> = (0..120).filter(|n| !lost.contains(&(*n as usize / 3))).collect();
        prop_assert_eq!(verified(&topic).damage, []);
        for topic in [&topic, &place.topic()] {
            prop_assert_eq!(all_rows(topic), left.clone());
        }
        prop_assert_eq!(put(&topic, [500]).unwrap().base_offset, 120);
        prop_assert_eq!(all_rows(&place.topic()).pop(), Some(500));
        let aside: u64 = std::fs::read_dir(topic.dir().join("0")).unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_name().to_string_lossy().ends_with(".damaged"))
            .map(|entry| entry.metadata().unwrap().len())
            .sum();
        let bytes: u64 = found.damage.iter().map(|d| d.bytes.1 - d.bytes.0).sum();
        prop_assert_eq!(aside, bytes, "what was damaged is kept");
    }
}
