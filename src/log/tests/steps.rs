//! Appends of several frames: all of them, or none.

use super::*;

/// As many numbers as take two frames.
const MANY: i64 = 3_000_000;

#[test]
fn many_rows_are_several_frames_of_one_step() {
    let place = Place::new();
    let topic = place.create(64 << 20);
    put(&topic, [-1]).unwrap();
    let batch = numbers(0..MANY);
    let marks = Int64Array::from_iter_values(0..MANY);
    let append =
        Append { marks: Some(&marks), producer: 7, step: 1, watermark: Some(5), ..Append::rows(&batch) };
    let appended = topic.writer(0).unwrap().append(append).unwrap();
    assert_eq!((appended.base_offset, appended.next_offset), (1, 1 + MANY as u64));
    assert!(topic.writer(0).unwrap().append(append).unwrap().duplicate);

    let mut reader = topic.reader(0, 1, None).unwrap();
    let mut next = 0;
    let mut watermarks = Vec::new();
    while let Some(frame) = reader.next().unwrap() {
        assert_eq!(frame.base_offset, 1 + next as u64);
        let rows = frame.batch.num_rows() as i64;
        assert_eq!(values(&frame), (next..next + rows).collect::<Vec<_>>());
        assert_eq!(frame.marks.as_ref().unwrap().values()[0], next);
        watermarks.push(frame.watermark);
        next += rows;
    }
    assert_eq!(next, MANY);
    assert_eq!(watermarks, [None, Some(5)], "a watermark holds after all of the rows");
}

#[test]
fn after_a_power_cut_a_step_is_there_whole_or_not_at_all() {
    let place = Place::new();
    let topic = place.create(64 << 20);
    put(&topic, [-2, -1]).unwrap();
    topic.writer(0).unwrap().sync().unwrap();
    let file = place.segments(&topic).pop().unwrap();
    let before = std::fs::metadata(&file).unwrap().len();
    put(&topic, 0..MANY).unwrap();
    let sound = std::fs::read(&file).unwrap();
    let first = before + u64::from(u32::from_le_bytes(frame::field(&sound, before as usize + 8))) + 96;
    assert!(first < sound.len() as u64, "there are two frames");

    for (kept, rows) in
        [(sound.len() as u64, 2 + MANY as u64), (sound.len() as u64 - 1, 2), (first, 2), (first - 1, 2)]
    {
        std::fs::write(&file, &sound[..kept as usize]).unwrap();
        place.faults.reboot();
        let topic = place.topic();
        assert_eq!(topic.end_offset(0).unwrap(), rows, "{kept} bytes were left");
        let cut = kept - if rows == 2 { before } else { kept };
        assert_eq!(topic.recovered().iter().map(|r| r.bytes).sum::<u64>(), cut);
        // As it was, for the next round.
        std::fs::remove_file(topic.dir().join("0/tail")).unwrap();
    }
}
