//! What is appended is what is read: types × codecs × projections × offsets, and all that a frame
//! carries beside its rows.

use super::*;
use arrow::array::*;
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Int32Type};

/// A batch with many kinds of columns and nulls in all of them.
pub(super) fn many_columns(rows: usize) -> RecordBatch {
    let some = |i: usize| (i % 3 != 1).then_some(i);
    let all = || (0..rows).map(some);
    let strings = || all().map(|i| i.map(|i| format!("row {i} with a text of some length")));
    let numbers: Int64Array = all().map(|i| i.map(|i| i as i64 * -7)).collect();
    let nulls: NullBuffer = (0..rows).map(|i| i % 3 != 1).collect();
    let parts = StructArray::from(vec![
        (Arc::new(Field::new("a", DataType::Int64, true)), Arc::new(numbers.clone()) as ArrayRef),
        (
            Arc::new(Field::new("b", DataType::Utf8, true)),
            Arc::new(strings().collect::<StringArray>()) as ArrayRef,
        ),
    ]);
    let (fields, columns, _) = parts.into_parts();
    let mut maps = MapBuilder::new(None, StringBuilder::new(), Float64Builder::new());
    for i in 0..rows {
        (0..i % 3).for_each(|key| {
            maps.keys().append_value(format!("k{key}"));
            maps.values().append_value(i as f64);
        });
        maps.append(i % 5 != 0).unwrap();
    }
    let lists = all().map(|i| i.map(|i| (0..i % 4).map(move |n| (n != 2).then_some(n as i32))));
    let times = TimestampNanosecondArray::from_iter(numbers.iter()).with_timezone("Europe/Zurich");
    let decimals = Decimal128Array::from_iter(numbers.iter().map(|n| n.map(i128::from)));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("bool", Arc::new(all().map(|i| i.map(|i| i % 2 == 0)).collect::<BooleanArray>())),
        ("int", Arc::new(numbers)),
        ("float", Arc::new(all().map(|i| i.map(|i| i as f64 / 3.0)).collect::<Float64Array>())),
        ("text", Arc::new(strings().collect::<StringArray>())),
        ("view", Arc::new(strings().collect::<StringViewArray>())),
        ("bytes", Arc::new(all().map(|i| i.map(|i| vec![i as u8; i % 5])).collect::<LargeBinaryArray>())),
        ("decimal", Arc::new(decimals.with_precision_and_scale(20, 3).unwrap())),
        ("time", Arc::new(times)),
        ("list", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists))),
        ("struct", Arc::new(StructArray::new(fields, columns, Some(nulls)))),
        ("map", Arc::new(maps.finish())),
        ("null", Arc::new(NullArray::new(rows))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, c)| (name, c, true))).unwrap()
}

fn topic_of(place: &Place, codec: Codec, schema: SchemaRef) -> Arc<Topic> {
    let name = format!("{}-{}", codec.name(), schema.fields().len());
    let options = TopicOptions { codec, ..TopicOptions::default() };
    place.log().create_topic(&name, options, schema).unwrap()
}

#[test]
fn every_type_reads_back_under_every_codec_and_projection() {
    every_type_reads_back(50);
}

#[test]
fn every_type_reads_back_where_only_the_wanted_columns_are_read() {
    every_type_reads_back(5_000);
}

fn every_type_reads_back(rows: usize) {
    let batch = many_columns(rows);
    let columns = batch.num_columns();
    let mut projections: Vec<Option<Vec<usize>>> = (0..columns).map(|i| Some(vec![i])).collect();
    projections.extend([None, Some(vec![]), Some((0..columns).rev().collect()), Some(vec![3, 3, 0])]);
    for codec in Codec::ALL {
        let place = Place::new();
        let topic = topic_of(&place, codec, batch.schema());
        let mut writer = topic.writer(0).unwrap();
        // A slice, so that encoding must cut buffers; and no rows at all.
        let (front, back) = (batch.slice(0, 7), batch.slice(7, rows - 7));
        for part in [&front, &batch.slice(0, 0), &back] {
            writer.append(Append::rows(part)).unwrap();
        }
        for projection in &projections {
            let wanted = |part: &RecordBatch| match projection {
                Some(columns) => part.project(columns).unwrap(),
                None => part.clone(),
            };
            let mut reader = topic.reader(0, 0, projection.clone()).unwrap();
            for part in [&front, &batch.slice(0, 0), &back] {
                assert_eq!(reader.next().unwrap().unwrap().batch, wanted(part), "{codec:?} {projection:?}");
            }
            assert!(reader.next().unwrap().is_none());
            // From the middle of a frame.
            let mut reader = topic.reader(0, 20, projection.clone()).unwrap();
            let frame = reader.next().unwrap().unwrap();
            assert_eq!((frame.base_offset, frame.batch), (20, wanted(&batch.slice(20, rows - 20))));
        }
    }
}

#[test]
fn rows_without_columns_are_counted() {
    let place = Place::new();
    let topic = topic_of(&place, Codec::Lz4, Arc::new(Schema::empty()));
    let options = RecordBatchOptions::new().with_row_count(Some(9));
    let batch = RecordBatch::try_new_with_options(topic.schema(), vec![], &options).unwrap();
    assert_eq!(topic.writer(0).unwrap().append(Append::rows(&batch)).unwrap().next_offset, 9);
    assert_eq!(topic.reader(0, 4, None).unwrap().next().unwrap().unwrap().batch.num_rows(), 5);
}

#[test]
fn what_a_frame_carries_beside_its_rows_reads_back_under_any_projection() {
    let place = Place::new();
    for codec in Codec::ALL {
        let topic = topic_of(&place, codec, numbers_schema());
        let mut writer = topic.writer(0).unwrap();
        let marks = Int64Array::from_iter_values([i64::MIN, 5, i64::MAX]);
        let rows = numbers([1, 2, 3]);
        let append = Append {
            batch: &rows,
            marks: Some(&marks),
            producer: u128::MAX - 1,
            step: 42,
            watermark: Some(i64::MIN),
            timestamps: Some((-5, 5)),
        };
        writer.append(append).unwrap();
        // Only a watermark: no rows, no offset.
        let none = numbers([]);
        let appended = writer.append(Append { watermark: Some(77), ..Append::rows(&none) }).unwrap();
        assert_eq!((appended.base_offset, appended.next_offset), (3, 3));

        for projection in [None, Some(vec![]), Some(vec![0])] {
            let mut reader = topic.reader(0, 1, projection).unwrap();
            let frame = reader.next().unwrap().unwrap();
            assert_eq!((frame.base_offset, frame.batch.num_rows()), (1, 2));
            assert_eq!(frame.marks, Some(marks.slice(1, 2)));
            assert_eq!((frame.watermark, frame.timestamps), (Some(i64::MIN), Some((-5, 5))));
            assert_eq!((frame.producer, frame.step, frame.append_time), (u128::MAX - 1, 42, 1_000));
            let frame = reader.next().unwrap().unwrap();
            assert_eq!((frame.base_offset, frame.batch.num_rows(), frame.watermark), (3, 0, Some(77)));
            assert_eq!((frame.marks, frame.timestamps, frame.producer), (None, None, 0));
        }
        // Who starts at the end gets the watermark that holds there.
        assert_eq!(topic.reader(0, 3, None).unwrap().next().unwrap().unwrap().watermark, Some(77));
    }
}

#[test]
fn a_column_of_dictionary_type_is_kept_as_its_values() {
    let place = Place::new();
    let dictionary: DictionaryArray<Int32Type> =
        [Some("a"), None, Some("b"), Some("a")].into_iter().collect();
    let batch = RecordBatch::try_from_iter([("d", Arc::new(dictionary) as ArrayRef)]).unwrap();
    let topic = topic_of(&place, Codec::Lz4, batch.schema());
    assert_eq!(topic.schema().field(0).data_type(), &DataType::Utf8);
    topic.writer(0).unwrap().append(Append::rows(&batch)).unwrap();
    let read = topic.reader(0, 0, None).unwrap().next().unwrap().unwrap().batch;
    let values: Vec<_> = read.column(0).as_string::<i32>().iter().collect();
    assert_eq!(values, [Some("a"), None, Some("b"), Some("a")]);
}

#[test]
fn rows_that_do_not_fit_are_refused_in_words() {
    let place = Place::new();
    let schema = Schema::new(vec![Field::new("n", DataType::Int64, false)]);
    let topic = topic_of(&place, Codec::Lz4, Arc::new(schema));
    let mut writer = topic.writer(0).unwrap();
    let column = |column: ArrayRef| RecordBatch::try_from_iter([("other name", column)]).unwrap();
    let mut refused = |batch: &RecordBatch| writer.append(Append::rows(batch)).unwrap_err().to_string();
    assert_eq!(
        refused(&column(Arc::new(StringArray::from(vec!["x"])))),
        "these rows do not fit the topic \"lz4-1\": the column \"n\" holds Utf8, not Int64"
    );
    assert!(
        refused(&column(Arc::new(Int64Array::from(vec![None])))).ends_with("has nulls, but must have none")
    );
    assert!(refused(&many_columns(1)).ends_with("they have 12 columns, not 1"));
    let marks = Int64Array::from(vec![1]);
    let rows = numbers([1, 2]);
    let append = Append { marks: Some(&marks), ..Append::rows(&rows) };
    assert!(writer.append(append).unwrap_err().to_string().ends_with("there are 1 marks for 2 rows"));
    writer.append(Append::rows(&column(Arc::new(Int64Array::from(vec![1]))))).unwrap();
    assert_eq!(topic.end_offset(0).unwrap(), 1);
}

#[test]
fn types_that_the_log_cannot_keep_are_refused() {
    let place = Place::new();
    let words = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    let list = DataType::new_list(words, true);
    let schema = Arc::new(Schema::new(vec![Field::new("words", list, true)]));
    let refused = place.log().create_topic("t", TopicOptions::default(), schema).unwrap_err();
    assert!(matches!(refused, LogError::ColumnType { column, .. } if column == "words"));
}

#[test]
fn offsets_and_columns_that_are_not_there_are_refused() {
    let place = Place::new();
    let topic = place.create(1 << 20);
    assert_eq!(read(&topic), [0i64; 0]);
    put(&topic, [1, 2]).unwrap();
    assert!(matches!(topic.reader(0, 3, None), Err(LogError::OffsetOutOfRange { offset: 3, end: 2, .. })));
    assert!(matches!(
        topic.reader(0, 0, Some(vec![1])),
        Err(LogError::NoColumn { column: 1, columns: 1, .. })
    ));
    assert!(matches!(topic.reader(1, 0, None), Err(LogError::NoPartition { partition: 1, .. })));
    assert!(matches!(topic.writer(7), Err(LogError::NoPartition { partition: 7, partitions: 1, .. })));
    assert_eq!((topic.start_offset(0).unwrap(), topic.end_offset(0).unwrap()), (0, 2));
}

/// What a reader from `offset` gives: base offset, rows and watermark of each frame.
fn frames_from(topic: &Arc<Topic>, offset: u64) -> Vec<(u64, u64, i64)> {
    let mut reader = topic.reader(0, offset, Some(vec![])).unwrap();
    std::iter::from_fn(|| reader.next().unwrap())
        .map(|frame| (frame.base_offset, frame.batch.num_rows() as u64, frame.watermark.unwrap()))
        .collect()
}

#[test]
fn every_offset_can_be_sought_across_segments() {
    let place = Place::new();
    let topic = place.create(900);
    let mut writer = topic.writer(0).unwrap();
    let mut all = Vec::new();
    // Frames of 0 to 3 rows, among them runs without any that are longer than a segment.
    for i in 0..80i64 {
        let rows = if i % 20 < 5 { 0 } else { i % 4 };
        let batch = numbers(0..rows);
        let appended = writer.append(Append { watermark: Some(i), ..Append::rows(&batch) }).unwrap();
        all.push((appended.base_offset, rows as u64, i));
    }
    assert!(place.segments(&topic).len() > 10);
    for offset in 0..=topic.end_offset(0).unwrap() {
        let wanted = all.iter().filter(|(base, rows, _)| base + rows > offset || *base == offset);
        let wanted = wanted.map(|&(base, rows, i)| (base.max(offset), base + rows - base.max(offset), i));
        assert_eq!(frames_from(&topic, offset), wanted.collect::<Vec<_>>(), "from {offset}");
    }
}
