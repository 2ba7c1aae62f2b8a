//! Large frames of which only some columns are read.

use super::*;
use crate::disk::Open;
use crate::log::parts::Checks;
use arrow::array::{Array, Float64Array, StringArray};

const ROWS: usize = 6_000;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("n", DataType::Int64, true),
        Field::new("text", DataType::Utf8, true),
        Field::new("x", DataType::Float64, false),
    ]))
}

fn rows() -> RecordBatch {
    let numbers = Int64Array::from_iter((0..ROWS as i64).map(|i| (i % 7 != 3).then_some(i * i)));
    let texts = StringArray::from_iter(
        (0..ROWS).map(|i| (i % 5 != 1).then(|| format!("text {}", i * 7_919 % 1_009))),
    );
    let floats = Float64Array::from_iter_values((0..ROWS).map(|i| (i as f64).sqrt()));
    RecordBatch::try_new(schema(), vec![Arc::new(numbers), Arc::new(texts), Arc::new(floats)]).unwrap()
}

/// A topic of two such frames; the first one's marks.
fn filled(place: &Place, codec: Codec) -> (Arc<Topic>, Int64Array) {
    let options = TopicOptions { partitions: 1, codec, settings: settings(100 << 20) };
    let topic = place.log().create_topic("t", options, schema()).unwrap();
    let marks = Int64Array::from_iter((0..ROWS as i64).map(|i| (i % 11 != 0).then_some(i - 5)));
    let mut writer = topic.writer(0).unwrap();
    let rows = rows();
    writer.append(Append { marks: Some(&marks), watermark: Some(9), ..Append::rows(&rows) }).unwrap();
    writer.append(Append::rows(&rows)).unwrap();
    writer.sync().unwrap();
    drop(writer);
    (topic, marks)
}

const PROJECTIONS: [&[usize]; 6] = [&[0], &[1], &[2], &[2, 0], &[1, 1], &[]];

#[test]
fn marks_and_watermarks_come_with_any_columns() {
    for codec in Codec::ALL {
        let place = Place::new();
        let (topic, marks) = filled(&place, codec);
        for projection in PROJECTIONS {
            let mut reader = topic.reader(0, 0, Some(projection.to_vec())).unwrap();
            let frame = reader.next().unwrap().unwrap();
            assert_eq!(frame.batch, rows().project(projection).unwrap(), "{codec:?} {projection:?}");
            assert_eq!((frame.marks.as_ref(), frame.watermark), (Some(&marks), Some(9)));
            let frame = reader.next().unwrap().unwrap();
            assert_eq!((frame.base_offset, frame.marks), (ROWS as u64, None));
            assert_eq!(frame.batch, rows().project(projection).unwrap());
            assert!(reader.next().unwrap().is_none());
        }
    }
}

#[test]
fn a_flipped_bit_is_seen_or_lies_in_a_column_that_is_not_wanted() {
    for codec in Codec::ALL {
        let place = Place::new();
        let (topic, marks) = filled(&place, codec);
        let path = place.segments(&topic).remove(0);
        let frame_len = {
            let mut segment = segment::Segment::open(&place.disk, &topic.dir().join("0"), 0).unwrap();
            let end = segment.len().unwrap();
            let header = segment.header(0, end).unwrap();
            assert!(header.has_checks);
            header.frame_len()
        };
        let file = place.disk.open(&path, Open::Write).unwrap();
        let (mut unseen, mut seen) = (0, 0);
        // All that describes the columns, and a sample of what they hold.
        let near_ends = (0..1_500).step_by(3).chain((frame_len - 100..frame_len).step_by(3));
        for at in near_ends.chain((1_500..frame_len - 100).step_by(997)) {
            let mut byte = [0];
            file.read_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ 1 << (at % 8)], at).unwrap();
            let read =
                |projection: Option<Vec<usize>>| topic.reader(0, 0, projection).and_then(|mut r| r.next());
            assert!(matches!(read(None), Err(LogError::Corrupt(_))), "{codec:?}, byte {at}");
            for projection in PROJECTIONS {
                match read(Some(projection.to_vec())) {
                    Ok(frame) => {
                        let frame = frame.unwrap();
                        assert_eq!(frame.batch, rows().project(projection).unwrap(), "{codec:?}, byte {at}");
                        assert_eq!((frame.marks.as_ref(), frame.watermark), (Some(&marks), Some(9)));
                        unseen += 1;
                    }
                    Err(LogError::Corrupt(told)) => {
                        assert_eq!((told.position, told.first_lost), (0, 0), "{codec:?}, byte {at}");
                        seen += 1;
                    }
                    Err(other) => panic!("{codec:?}, byte {at}: {other}"),
                }
            }
            file.write_all_at(&byte, at).unwrap();
        }
        // Were whole frames read, none would be unseen.
        assert!(seen > unseen && unseen > 100, "{codec:?}: {seen} seen, {unseen} not");
    }
}

#[test]
fn columns_that_are_kept_do_not_keep_what_was_read_with_them() {
    for codec in [Codec::Lz4, Codec::Zstd] {
        let place = Place::new();
        let (topic, _) = filled(&place, codec);
        for projection in [None, Some(vec![0]), Some(vec![2])] {
            let frame = topic.reader(0, 0, projection).unwrap().next().unwrap().unwrap();
            for column in frame.batch.columns() {
                let (held, needed) =
                    (column.get_array_memory_size(), column.to_data().get_slice_memory_size().unwrap());
                assert!(held < needed + needed / 4 + 1_000, "{codec:?}: {held} bytes for {needed}");
            }
        }
    }
}

/// Bytes that are wrong under checksums that are right.
#[test]
fn what_describes_the_columns_is_not_believed() {
    let place = Place::new();
    let (topic, _) = filled(&place, Codec::Lz4);
    let path = place.segments(&topic).remove(0);
    let header_len = frame::HEADER_LEN as u64;
    let mut segment = segment::Segment::open(&place.disk, &topic.dir().join("0"), 0).unwrap();
    let end = segment.len().unwrap();
    let (header, body) = segment.frame(0, end).unwrap();
    let head = message::Message::read(&body).unwrap().data_at;
    let checks_at = body.len() - Checks::len(3);
    let file = place.disk.open(&path, Open::Write).unwrap();
    let mut bytes = body.to_vec();
    for at in 8..head {
        for value in [0, 0xFF, bytes[at] ^ 0x80, bytes[at].wrapping_add(1)] {
            let was = std::mem::replace(&mut bytes[at], value);
            let crc = crc32c::crc32c(&bytes[..head]);
            let sound = Checks::read(&body[checks_at..], 3).unwrap();
            let checks = Checks { head: crc, ..sound }.bytes();
            bytes[checks_at..].copy_from_slice(&checks);
            let header = frame::Header { body_crc: crc32c::crc32c(&bytes), ..header };
            file.write_all_at(&header.bytes(), 0).unwrap();
            file.write_all_at(&bytes[..head], header_len).unwrap();
            file.write_all_at(&checks, header_len + checks_at as u64).unwrap();
            for projection in [None, Some(vec![0]), Some(vec![1]), Some(vec![])] {
                match topic.reader(0, 0, projection).and_then(|mut reader| reader.next()) {
                    // Some bytes say nothing of the rows.
                    Ok(frame) => assert_eq!(frame.unwrap().batch.num_rows(), ROWS),
                    Err(error) => assert!(matches!(error, LogError::Corrupt(_)), "byte {at}: {error}"),
                }
            }
            bytes[at] = was;
        }
    }
}
