//! Files and standard input read as partitions: the same rows from any position in any portions.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit};

use super::*;
use crate::formats::{CsvOptions, Format};

fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(|(n, k)| Field::new(*n, k.clone(), true)).collect::<Vec<_>>()))
}

fn numbers() -> SchemaRef {
    schema(&[("n", DataType::Int64)])
}

fn config(path: &Path, options: &[(&str, &str)]) -> FileConfig {
    let mut all = vec![("path".to_owned(), path.to_str().unwrap().to_owned())];
    all.extend(options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
    FileConfig::parse(&all, &[]).unwrap()
}

fn reader(config: &FileConfig, schema: &SchemaRef, start: Position) -> Box<dyn PartitionReader> {
    FileSource::open(config.clone(), schema.clone(), None).unwrap().reader(0, start).unwrap()
}

/// Everything from here to the end: rows, bad records, and where each slice ended.
fn read_all(
    reader: &mut dyn PartitionReader,
    max_rows: usize,
) -> (Vec<RecordBatch>, Vec<BadRecord>, Vec<Position>) {
    let (mut rows, mut bad, mut ends) = (vec![], vec![], vec![reader.position()]);
    loop {
        match reader.read(max_rows).unwrap() {
            Read::Rows(slice) => {
                assert!(slice.batch.num_rows() + slice.bad.len() <= max_rows);
                assert_eq!(slice.end, reader.position());
                rows.push(slice.batch);
                bad.extend(slice.bad);
                ends.push(slice.end);
            }
            Read::Pending => panic!("a bounded source is never pending"),
            Read::End => return (rows, bad, ends),
        }
    }
}

fn n(batches: &[RecordBatch]) -> Vec<i64> {
    batches.iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}

fn n_of(read: Read) -> Vec<i64> {
    let Read::Rows(slice) = read else { panic!("{read:?}") };
    n(&[slice.batch])
}

/// Reading in portions of 1, 7 and many rows, and from every end of a slice, gives the same.
fn check_positions(config: &FileConfig, schema: &SchemaRef) -> (RecordBatch, Vec<BadRecord>) {
    let (rows, bad, _) = read_all(&mut *reader(config, schema, Position::default()), 64 << 10);
    let whole = concat_batches(schema, &rows).unwrap();
    for max_rows in [1, 7] {
        let (rows, more, ends) = read_all(&mut *reader(config, schema, Position::default()), max_rows);
        assert_eq!(concat_batches(schema, &rows).unwrap(), whole);
        assert_eq!(more, bad);
        for (at, start) in ends.iter().enumerate().step_by(1 + ends.len() / 20) {
            let (rest, _, resumed) = read_all(&mut *reader(config, schema, *start), max_rows);
            assert_eq!(resumed, ends[at..]);
            assert_eq!(rest, rows[at..]);
        }
        // A slice again, though the reader would go further.
        if let [start, _, end, ..] = ends[..] {
            let mut again = reader(config, schema, start);
            let mut read = vec![];
            while again.position() < end {
                let Read::Rows(slice) = again.read_until(end, max_rows).unwrap() else { panic!("no rows") };
                read.push(slice.batch);
            }
            assert_eq!(again.position(), end);
            assert_eq!(concat_batches(schema, &read).unwrap(), concat_batches(schema, &rows[..2]).unwrap());
        }
    }
    (whole, bad)
}

/// Lines of two columns with blank lines, bad ones, and long ones that cross what is read at a time.
fn lines(csv: bool) -> String {
    let mut text = if csv { "\u{feff}s,n\r\n".to_owned() } else { "\u{feff}".to_owned() };
    for n in 0..300 {
        let s = "x\\u00e9".repeat(if n % 50 == 0 { 3000 } else { n % 5 });
        match (csv, n % 11) {
            (_, 3) => text.push_str("\r\n"),
            (false, 5) => text.push_str("{\"n\":1.5}\n"),
            (true, 5) => text.push_str("a,1.5\n"),
            (false, _) => text.push_str(&format!("{{\"n\":{n},\"s\":\"{s}\"}}\r\n")),
            (true, 7) => text.push_str(&format!("\"{s}\n\"\"{s}\",{n}\n")),
            (true, _) => text.push_str(&format!("{s},{n}\n")),
        }
    }
    text.trim_end().to_owned()
}

fn packed(name: &str, text: &[u8]) -> Vec<u8> {
    if name.ends_with(".gz") {
        // Two members: gzip files may be concatenated.
        let half = text.len() / 2;
        [&text[..half], &text[half..]]
            .into_iter()
            .flat_map(|part| {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(part).unwrap();
                encoder.finish().unwrap()
            })
            .collect()
    } else if name.ends_with(".zst") {
        zstd::stream::encode_all(text, 1).unwrap()
    } else {
        text.to_vec()
    }
}

#[test]
fn every_position_of_every_kind_of_text_file() {
    let folder = tempfile::tempdir().unwrap();
    let columns = schema(&[("n", DataType::Int64), ("s", DataType::Utf8)]);
    for csv in [false, true] {
        let mut seen: Option<(RecordBatch, Vec<String>)> = None;
        for end in ["", ".gz", ".zst"] {
            let path = folder.path().join(format!("a.{}{end}", if csv { "csv" } else { "jsonl" }));
            let text = lines(csv);
            std::fs::write(&path, packed(end, text.as_bytes())).unwrap();
            let (rows, bad) = check_positions(&config(&path, &[("on_bad", "skip")]), &columns);
            assert_eq!((rows.num_rows(), bad.len()), (246, 27));
            for bad in &bad {
                let line = text.lines().nth(bad.line as usize - 1).unwrap();
                assert_eq!(bad.raw, line);
                assert!(
                    bad.reason.ends_with("1.5 (not a whole number)")
                        || bad.reason.ends_with("\"1.5\" (not a whole number)"),
                    "{bad:?}"
                );
                assert_eq!(bad.column, Some(if csv { 3 } else { 6 }));
            }
            let told = bad.into_iter().map(|bad| bad.reason).collect();
            let first = seen.get_or_insert_with(|| (rows.clone(), told));
            assert_eq!(first.0, rows);
        }
    }
}

#[test]
fn the_real_data_sets() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("queries/data");
    for (name, count) in
        [("nyc_flights/departures", 26_483), ("quakes/quakes", 1_707), ("quakes/quakes_by_arrival", 1_707)]
    {
        let config = config(&data.join(format!("{name}.jsonl.gz")), &[]);
        let schema = config.infer_schema().unwrap();
        assert_eq!(
            *schema.field_with_name("event_time").unwrap().data_type(),
            DataType::Timestamp(TimeUnit::Nanosecond, None)
        );
        let (rows, bad, ends) = read_all(&mut *reader(&config, &schema, Position::default()), 64 << 10);
        assert_eq!((rows.iter().map(RecordBatch::num_rows).sum::<usize>(), bad.len()), (count, 0));
        assert_eq!(ends.last().unwrap().line, count as u64);
    }
}

#[test]
fn patterns_name_the_partitions_in_order() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("d.jsonl")).unwrap();
    for (name, n) in [("b.jsonl", 2), ("a.jsonl", 1), ("c.jsonl.gz", 3), ("x[1].jsonl", 4)] {
        let text = format!("{{\"n\":{n}}}");
        std::fs::write(folder.path().join(name), packed(name, text.as_bytes())).unwrap();
    }
    let all = config(&folder.path().join("*.jsonl*"), &[("format", "json")]);
    let source = FileSource::open(all, numbers(), None).unwrap();
    let names: Vec<_> = source.partitions().iter().map(|path| path.rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["a.jsonl", "b.jsonl", "c.jsonl.gz", "x[1].jsonl"]);
    for partition in 0..4 {
        let mut reader = source.reader(partition, Position::default()).unwrap();
        assert_eq!(n(&read_all(&mut *reader, 9).0), [partition as i64 + 1]);
    }
    assert!(source.reader(4, Position::default()).is_err());
    let literal = config(&folder.path().join("x[1].jsonl"), &[]);
    assert_eq!(FileSource::open(literal, numbers(), None).unwrap().partitions().len(), 1);

    let error = |path: &str| {
        let config = config(Path::new(path), &[("format", "json")]);
        FileSource::open(config, numbers(), None).unwrap_err().to_string()
    };
    let here = std::env::current_dir().unwrap();
    assert_eq!(
        error("no/such.jsonl"),
        format!("there is no file 'no/such.jsonl' (looked in {})", here.display())
    );
    assert_eq!(error("no/*.jsonl"), format!("no file matches 'no/*.jsonl' (looked in {})", here.display()));
    assert!(error("src").starts_with("src is a directory; write 'src/*.jsonl'"));
    assert!(error("[").contains("no file matches") || error("[").contains("is not a pattern"));
}

#[test]
fn bad_records_end_the_query_or_are_handed_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    std::fs::write(&path, "{\"n\":1}\n{\"n\":2}\n{\"n\":\"x\"}\n{\"n\":3}\n").unwrap();
    let mut failing = reader(&config(&path, &[]), &numbers(), Position::default());
    assert_eq!(n_of(failing.read(100).unwrap()), [1, 2]);
    for _ in 0..2 {
        let error = failing.read(100).unwrap_err().to_string();
        assert_eq!(error, format!("{}:3:6: expected BIGINT in column \"n\", found \"x\"", path.display()));
        assert_eq!(failing.position(), Position { offset: 16, line: 2 });
    }
    for policy in ["skip", "topic"] {
        let (rows, bad, _) = read_all(
            &mut *reader(&config(&path, &[("on_bad", policy)]), &numbers(), Position::default()),
            100,
        );
        assert_eq!((n(&rows), bad.len()), (vec![1, 2, 3], 1));
        assert_eq!((bad[0].line, bad[0].column, bad[0].raw.as_str()), (3, Some(6), "{\"n\":\"x\"}"));
    }
}

#[test]
fn a_record_longer_than_the_longest_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    let text = format!("{{\"n\":1}}\n{{\"s\":\"{}\"}}\n{{\"n\":2}}\n", "x".repeat(20 << 20));
    std::fs::write(&path, &text).unwrap();
    let (rows, bad, ends) =
        read_all(&mut *reader(&config(&path, &[("on_bad", "skip")]), &numbers(), Position::default()), 100);
    assert_eq!((n(&rows), bad.len(), bad[0].raw.len()), (vec![1, 2], 1, 64 << 10));
    assert_eq!(*ends.last().unwrap(), Position { offset: text.len() as u64, line: 3 });
    let mut failing = reader(&config(&path, &[]), &numbers(), Position::default());
    assert_eq!(n_of(failing.read(100).unwrap()), [1]);
    let error = failing.read(100).unwrap_err().to_string();
    assert!(error.ends_with(":2: the record is longer than 16 MiB"), "{error}");
}

#[test]
fn a_followed_file_may_only_grow() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    let append = |text: &str| {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    append("");
    let config = config(&path, &[("follow", "true")]);
    let mut following = reader(&config, &numbers(), Position::default());
    let pending =
        |reader: &mut Box<dyn PartitionReader>| assert!(matches!(reader.read(9).unwrap(), Read::Pending));
    pending(&mut following);
    append("n,s\n1,\"a\n");
    pending(&mut following);
    append("b\"\n2,");
    assert_eq!(n_of(following.read(9).unwrap()), [1]);
    let end = following.position();
    assert_eq!(end, Position { offset: 12, line: 3 });
    pending(&mut following);
    append("c\n3,d\n");
    assert_eq!(n_of(following.read(9).unwrap()), [2, 3]);
    let mut again = reader(&config, &numbers(), Position::default());
    assert_eq!(n_of(again.read_until(end, 9).unwrap()), [1]);
    assert_eq!(again.position(), end);
    assert!(
        again
            .read_until(Position { offset: 13, line: 3 }, 9)
            .unwrap_err()
            .to_string()
            .contains("has changed")
    );

    std::fs::remove_file(&path).unwrap();
    assert!(following.read(9).unwrap_err().to_string().contains("was removed or replaced"));
    append("n,s\n1,a\n2,b\n3,c\n4,d\n");
    if cfg!(unix) {
        assert!(following.read(9).unwrap_err().to_string().contains("was removed or replaced"));
    }
    let mut cut = reader(&config, &numbers(), Position::default());
    assert_eq!(n_of(cut.read(9).unwrap()), [1, 2, 3, 4]);
    std::fs::File::options().write(true).open(&path).unwrap().set_len(5).unwrap();
    assert!(cut.read(9).unwrap_err().to_string().contains("was cut to 5 bytes, but 20 were read"));
    let source = FileSource::open(config, numbers(), None).unwrap();
    assert!(
        source.reader(0, cut.position()).err().unwrap().to_string().contains("is shorter than the 20 bytes")
    );
}

#[test]
fn damage_is_reported_after_what_precedes_it() {
    let folder = tempfile::tempdir().unwrap();
    let text: String = (0..1000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    for end in [".gz", ".zst"] {
        let path = folder.path().join(format!("a.jsonl{end}"));
        let whole = packed(end, text.as_bytes());
        for cut in (0..whole.len()).step_by(whole.len() / 40 + 1) {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let source = FileSource::open(config(&path, &[]), numbers(), None).unwrap();
            let Ok(mut reader) = source.reader(0, Position::default()) else { continue };
            let mut rows = vec![];
            let error = loop {
                match reader.read(100) {
                    Ok(Read::Rows(slice)) => rows.extend(n(&[slice.batch])),
                    Ok(Read::End) => break None,
                    Ok(Read::Pending) => panic!("pending"),
                    Err(error) => break Some(error.to_string()),
                }
            };
            assert_eq!(rows, (0..rows.len() as i64).collect::<Vec<_>>());
            // Nothing at all is an empty file, and the first of two members is a whole one.
            if let Some(error) = error {
                assert!(error.contains("broken") && error.contains("bytes of text"), "{error}");
                assert_eq!(reader.read(100).unwrap_err().to_string(), error);
            } else {
                assert!(cut == 0 || (end == ".gz" && rows.len() > 400), "{cut}");
            }
        }
    }
}

#[test]
fn options_are_checked() {
    let parse = |options: &[(&str, &str)]| {
        let options: Vec<_> = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        FileConfig::parse(&options, &[OptionInfo { name: "connector", default: Some(""), help: "" }])
    };
    let csv = |delimiter| FileFormat::Text(Format::Csv(CsvOptions { delimiter, header: true }));
    let format = |options: &[(&str, &str)]| parse(options).unwrap().format;
    assert_eq!(format(&[("path", "a.JSONL.gz"), ("connector", "file")]), FileFormat::Text(Format::Json));
    assert_eq!(format(&[("path", "a/*.tsv.zst")]), csv(b'\t'));
    assert_eq!(format(&[("path", "a.csv"), ("delimiter", ";")]), csv(b';'));
    assert_eq!(format(&[("path", "a.txt"), ("format", "csv"), ("delimiter", "tab")]), csv(b'\t'));
    assert_eq!(format(&[("path", "a.parquet")]), FileFormat::Parquet);
    for (options, option, message) in [
        (&[("path", "")][..], "path", "the path is empty"),
        (&[("path", "a.gz")], "path", "the name 'a.gz' does not tell the format"),
        (&[("path", "a.csv"), ("pth", "x")], "pth", "connector 'file' has no option 'pth'"),
        (&[("path", "a"), ("format", "xml")], "format", "'xml' is not a value of 'format'"),
        (&[("path", "a.csv"), ("on_bad", "x")], "on_bad", "'x' is not a value of 'on_bad'"),
        (&[("path", "a.csv"), ("follow", "yes")], "follow", "'yes' is not a value of 'follow'"),
        (&[("path", "a.csv"), ("delimiter", "\"")], "delimiter", "'\"' is not a value of 'delimiter'"),
        (&[("path", "a.csv"), ("delimiter", "")], "delimiter", "'' is not a value of 'delimiter'"),
        (
            &[("path", "a.json"), ("header", "true")],
            "header",
            "'header' is an option of CSV, and the format is not",
        ),
        (
            &[("path", "a.csv.gz"), ("follow", "true")],
            "follow",
            "only plain JSON and CSV files can be followed",
        ),
        (
            &[("path", "a.pq"), ("compression", "gz")],
            "compression",
            "a Parquet file says itself how it is compressed",
        ),
    ] {
        let error = parse(options).unwrap_err();
        assert_eq!((error.option.as_str(), error.message.as_str()), (option, message));
    }
}

#[test]
fn a_projection_delivers_less_and_refuses_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    std::fs::write(&path, "{\"n\":1,\"m\":2}\n{\"n\":3,\"m\":\"x\"}\n").unwrap();
    let columns = schema(&[("n", DataType::Int64), ("m", DataType::Int64)]);
    for projection in [vec![0], vec![]] {
        let config = config(&path, &[("on_bad", "skip")]);
        let source = FileSource::open(config, columns.clone(), Some(projection.clone())).unwrap();
        let Read::Rows(slice) = source.reader(0, Position::default()).unwrap().read(9).unwrap() else {
            panic!()
        };
        assert_eq!((slice.batch.num_rows(), slice.bad.len()), (1, 1));
        assert_eq!(slice.batch.schema(), source.schema());
        assert_eq!(slice.batch.num_columns(), projection.len());
    }
}

mod parquet_files {
    use arrow::array::{Int32Array, Int64Array, StringArray, TimestampMicrosecondArray};
    use parquet::arrow::ArrowWriter;

    use super::*;

    fn write(path: &Path, columns: Vec<(&str, arrow::array::ArrayRef)>) {
        let batch =
            RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap();
        let mut writer =
            ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }

    #[test]
    fn columns_are_matched_cast_and_read_from_any_row() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let hour = 3_600_000_000;
        write(
            &path,
            vec![
                ("S", Arc::new(StringArray::from_iter((0..300).map(|n| (n % 7 > 0).then(|| n.to_string()))))),
                ("other", Arc::new(Int64Array::from_iter_values(0..300))),
                ("n", Arc::new(Int32Array::from_iter_values(0..300))),
                (
                    "t",
                    Arc::new(
                        TimestampMicrosecondArray::from_iter_values((0..300).map(|n| n * hour))
                            .with_timezone("+02:00"),
                    ),
                ),
            ],
        );
        let nanos = DataType::Timestamp(TimeUnit::Nanosecond, None);
        let columns = schema(&[
            ("n", DataType::Int64),
            ("t", nanos.clone()),
            ("s", DataType::Utf8View),
            ("none", DataType::Utf8),
        ]);
        let (rows, _) = check_positions(&config(&path, &[]), &columns);
        assert_eq!(n(std::slice::from_ref(&rows)), (0..300).collect::<Vec<_>>());
        let times = rows.column(1).as_primitive::<arrow::datatypes::TimestampNanosecondType>();
        assert_eq!(times.value(2), 2 * hour * 1000);
        assert_eq!((rows.column(2).null_count(), rows.column(3).null_count()), (43, 300));
        assert_eq!(config(&path, &[]).infer_schema().unwrap().fields().len(), 4);

        let source = FileSource::open(config(&path, &[]), columns, Some(vec![2, 0])).unwrap();
        let Read::Rows(slice) =
            source.reader(0, Position { offset: 299, line: 299 }).unwrap().read(9).unwrap()
        else {
            panic!()
        };
        assert_eq!(slice.batch.schema(), source.schema());
        assert_eq!((slice.batch.num_rows(), slice.end.offset), (1, 300));
        assert!(source.reader(0, Position { offset: 301, line: 301 }).is_err());

        let error = |columns: &[(&str, DataType)]| {
            FileSource::open(config(&path, &[]), schema(columns), None).unwrap_err().to_string()
        };
        assert!(
            error(&[("n", DataType::Int16)])
                .ends_with("column \"n\" is INTEGER in the file, which does not fit SMALLINT")
        );
        assert!(
            error(&[("x", DataType::Int16)])
                .ends_with("it has none of the declared columns (x), but S, other, n, t")
        );
    }

    #[test]
    fn rows_that_do_not_fit_are_bad() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        write(
            &path,
            vec![
                ("n", Arc::new(Int64Array::from(vec![Some(1), None, Some(3), Some(4)]))),
                ("t", Arc::new(TimestampMicrosecondArray::from(vec![0, 0, i64::MAX, 0]))),
            ],
        );
        let columns: SchemaRef = Arc::new(Schema::new(vec![
            Field::new("n", DataType::Int64, false),
            Field::new("t", DataType::Timestamp(TimeUnit::Nanosecond, None), true),
        ]));
        let (rows, bad, _) =
            read_all(&mut *reader(&config(&path, &[("on_bad", "skip")]), &columns, Position::default()), 9);
        assert_eq!(n(&rows), [1, 4]);
        let told: Vec<_> = bad.iter().map(|bad| (bad.line, bad.reason.as_str())).collect();
        assert_eq!(
            told,
            [
                (2, "column \"n\" is NOT NULL, but its value is null"),
                (3, "the value of column \"t\" does not fit TIMESTAMP"),
            ]
        );
        // What is bad does not depend on what is delivered.
        let only_t = FileSource::open(config(&path, &[]), columns.clone(), Some(vec![1])).unwrap();
        let mut failing = only_t.reader(0, Position::default()).unwrap();
        for max_rows in [9, 1] {
            if max_rows == 9 {
                let Read::Rows(slice) = failing.read(max_rows).unwrap() else { panic!() };
                assert_eq!((slice.batch.num_rows(), slice.batch.num_columns(), slice.end.offset), (1, 1, 1));
            }
            assert!(failing.read(max_rows).unwrap_err().to_string().contains(":2: column \"n\" is NOT NULL"));
        }
        let resumed = reader(&config(&path, &[]), &columns, Position { offset: 3, line: 3 }).read(9).unwrap();
        assert_eq!(n_of(resumed), [4]);
        std::fs::write(&path, "PAR1 is not all of it").unwrap();
        assert!(
            FileSource::open(config(&path, &[]), columns, None)
                .unwrap_err()
                .to_string()
                .contains("cannot be read as Parquet")
        );
    }
}

mod standard_input {
    use super::*;

    fn rows(reader: &mut dyn PartitionReader) -> Vec<i64> {
        let mut rows = vec![];
        loop {
            match reader.read(3).unwrap() {
                Read::Rows(slice) => rows.extend(n(&[slice.batch])),
                Read::Pending => std::thread::yield_now(),
                Read::End => return rows,
            }
        }
    }

    #[test]
    fn it_is_looked_at_and_read_once() {
        let json: String =
            (0..5000).map(|n| format!("{{\"N\":{n},\"s\":\"{}\"}}\n", "x".repeat(200))).collect();
        let csv: String = (0..5000).fold("N\n".to_owned(), |text, n| text + &format!("{n}\n"));
        for (text, format) in [(json, Format::Json), (csv, Format::Csv(CsvOptions::default()))] {
            let length = text.len() as u64;
            let mut source = StdinSource::over(std::io::Cursor::new(format!("\n {text}"))).unwrap();
            assert_eq!(source.guess().decoded(), format);
            assert_eq!(
                (source.schema().field(0).name().as_str(), source.schema().field(0).data_type()),
                ("n", &DataType::Int64)
            );
            let mut reader = source.reader(Position::default(), OnBad::Fail).unwrap();
            assert_eq!(rows(&mut *reader), (0..5000).collect::<Vec<_>>());
            assert_eq!(reader.position().offset, length + 2);
            assert!(source.reader(Position::default(), OnBad::Fail).is_err());
        }
    }

    #[test]
    fn what_cannot_be_looked_at_is_refused() {
        for (text, message) in [
            ("", "stdin: the columns cannot be inferred: there is no record"),
            (
                "{\"a\":",
                "stdin: the columns cannot be inferred: the first line is not JSON: EOF while parsing a value at line 1 column 5",
            ),
        ] {
            let error = StdinSource::over(std::io::Cursor::new(text)).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
        let mut source = StdinSource::over(std::io::Cursor::new("a\n1\n")).unwrap();
        assert!(source.reader(Position { offset: 2, line: 1 }, OnBad::Skip).is_err());
    }
}
