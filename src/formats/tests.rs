//! The decoder as a whole: each trap closed, bad records told apart from good ones, any cut of the text
//! the same rows.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use proptest::prelude::*;

use super::*;

const ALL: Limit = Limit { records: usize::MAX, bytes: usize::MAX };
const CSV: Format = Format::Csv(CsvOptions { delimiter: b',', header: true });

/// `name TYPE` or, with `!`, NOT NULL.
fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
    let field = |(name, kind): &(&str, DataType)| match name.strip_suffix('!') {
        Some(name) => Field::new(name, kind.clone(), false),
        None => Field::new(*name, kind.clone(), true),
    };
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

fn nanos() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, None)
}

/// Each row as `a|b`, NULL as `∅`.
fn shown(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("∅");
    let columns: Vec<_> =
        batch.columns().iter().map(|c| ArrayFormatter::try_new(c.as_ref(), &options).unwrap()).collect();
    (0..batch.num_rows())
        .map(|row| columns.iter().map(|c| c.value(row).to_string()).collect::<Vec<_>>().join("|"))
        .collect()
}

/// Rows, and `line:column reason` of bad ones.
fn decode(format: Format, schema: &SchemaRef, text: &[u8]) -> (Vec<String>, Vec<String>) {
    let mut decoder = RowDecoder::new(format, schema.clone(), false).unwrap();
    let chunk = Chunk { text, line: 0, last: true };
    let header = decoder.header(chunk).unwrap().unwrap();
    let rest = Chunk { text: &text[header.bytes..], line: header.lines, last: true };
    let taken = decoder.push(rest, ALL);
    assert_eq!(header.bytes + taken.bytes, text.len());
    let (batch, bad) = decoder.finish().unwrap();
    assert_eq!(batch.num_rows() + bad.len(), taken.records);
    let place = |b: &BadLine| format!("{}:{}", b.line, b.column.map_or("-".into(), |c| c.to_string()));
    (shown(&batch), bad.iter().map(|b| format!("{} {}", place(b), b.reason)).collect())
}

/// The one column's value in JSON, or why not.
fn json_value(name: &str, kind: DataType, value: &str) -> Result<String, String> {
    let text = format!("{{\"{}\":{value}}}", name.trim_end_matches('!'));
    let (mut rows, mut bad) = decode(Format::Json, &schema(&[(name, kind)]), text.as_bytes());
    rows.pop().ok_or_else(|| bad.pop().unwrap().split_once(' ').unwrap().1.to_owned())
}

#[test]
fn json_values_that_fit() {
    use DataType::{Boolean, Date32, Decimal128, Float32, Float64, Int16, Int64, UInt64, Utf8};
    let good = [
        ("n", Int64, "-7", "-7"),
        ("n", Int64, "\" 7 \"", "7"),
        ("n", Int64, "1e3", "1000"),
        ("n", Int64, "-2.50e1", "-25"),
        ("n", Int64, "9223372036854775807", "9223372036854775807"),
        ("n", Int64, "9007199254740993.0", "9007199254740993"),
        ("n", Int64, "-9223372036854775808", "-9223372036854775808"),
        ("n", Int16, "-32768", "-32768"),
        ("n", UInt64, "18446744073709551615", "18446744073709551615"),
        ("n", Int64, "null", "∅"),
        ("x", Float64, "9007199254740993", "9007199254740992.0"),
        ("x", Float64, "-0", "-0.0"),
        ("x", Float64, "1e-400", "0.0"),
        ("x", Float32, "0.1", "0.1"),
        ("x", Float64, "\"NaN\"", "NaN"),
        ("d", Decimal128(10, 2), "1.50", "1.50"),
        ("d", Decimal128(10, 2), "\"-12\"", "-12.00"),
        ("b", Boolean, "true", "true"),
        ("b", Boolean, "\"F\"", "false"),
        ("s", Utf8, r#""é\u00e9\ud83d\ude00\n""#, "éé😀\n"),
        ("s", Utf8, r#"{"a" :[1,{}]}"#, r#"{"a" :[1,{}]}"#),
        ("s", Utf8, "1.50", "1.50"),
        ("s", DataType::Utf8View, "\"long enough not to be inline\"", "long enough not to be inline"),
        ("t", nanos(), "\"2013-01-01 10:17:00.5+02:00\"", "2013-01-01T08:17:00.500"),
        ("t", nanos(), "1357035420", "2013-01-01T10:17:00"),
        ("t", nanos(), "1357035420000", "2013-01-01T10:17:00"),
        ("t", nanos(), "1357035420.25", "2013-01-01T10:17:00.250"),
        ("t", DataType::Timestamp(TimeUnit::Second, None), "1357035420999999999", "2013-01-01T10:17:00"),
        ("t", DataType::Timestamp(TimeUnit::Second, None), "\"9999-12-31\"", "9999-12-31T00:00:00"),
        ("d", Date32, "\"2013-01-31\"", "2013-01-31"),
        ("t", DataType::Time64(TimeUnit::Nanosecond), "\"10:17:00.5\"", "10:17:00.500"),
    ];
    for (name, kind, value, expected) in good {
        assert_eq!(json_value(name, kind, value).as_deref(), Ok(expected), "{value}");
    }
}

#[test]
fn json_values_that_do_not_fit_are_refused_with_a_reason() {
    use DataType::{Boolean, Date32, Decimal128, Float32, Float64, Int16, Int64, UInt64};
    let bad = [
        ("n", Int64, "1.5", "expected BIGINT in column \"n\", found 1.5 (not a whole number)"),
        ("n", Int64, "\"abc\"", "expected BIGINT in column \"n\", found \"abc\""),
        ("n", Int64, "true", "expected BIGINT in column \"n\", found true"),
        ("n", Int64, "[1]", "expected BIGINT in column \"n\", found [1]"),
        (
            "n",
            Int64,
            "9223372036854775808",
            "expected BIGINT in column \"n\", found 9223372036854775808 (out of range)",
        ),
        ("n", Int16, "32768", "expected SMALLINT in column \"n\", found 32768 (out of range)"),
        ("n", UInt64, "-1", "expected BIGINT UNSIGNED in column \"n\", found -1 (out of range)"),
        ("n!", Int64, "null", "column \"n\" is NOT NULL, but its value is null"),
        ("x", Float64, "1e400", "expected DOUBLE in column \"x\", found 1e400 (out of range)"),
        ("x", Float32, "1e39", "expected REAL in column \"x\", found 1e39 (out of range)"),
        (
            "d",
            Decimal128(4, 2),
            "1.505",
            "expected DECIMAL(4,2) in column \"d\", found 1.505 (too many places)",
        ),
        ("d", Decimal128(4, 2), "100", "expected DECIMAL(4,2) in column \"d\", found 100 (out of range)"),
        ("b", Boolean, "1", "expected BOOLEAN in column \"b\", found 1"),
        ("t", nanos(), "\"soon\"", "expected TIMESTAMP in column \"t\", found \"soon\""),
        (
            "t",
            nanos(),
            "\"2500-01-01\"",
            "expected TIMESTAMP in column \"t\", found \"2500-01-01\" (out of range: 1677 to 2262)",
        ),
        (
            "t",
            nanos(),
            "20130131",
            "expected TIMESTAMP in column \"t\", found 20130131 (a date is written 2013-01-31)",
        ),
        ("d", Date32, "7", "expected DATE in column \"d\", found 7"),
        ("s", DataType::new_list(Int64, true), "1", "expected BIGINT[] in column \"s\", found 1"),
    ];
    for (name, kind, value, expected) in bad {
        assert_eq!(json_value(name, kind, value), Err(expected.to_owned()), "{value}");
    }
    let long = json_value("n", Int64, &format!("\"{}\"", "é".repeat(100))).unwrap_err();
    assert_eq!(long, format!("expected BIGINT in column \"n\", found \"{}…", "é".repeat(39)));
    assert!(RowDecoder::new(Format::Json, schema(&[("x", DataType::Binary)]), false).is_err());
}

#[test]
fn a_bad_line_harms_no_other() {
    let columns = schema(&[("n", DataType::Int64), ("s", DataType::Utf8)]);
    let text = concat!(
        "{\"n\":1,\"s\":\"a\"}\r\n",
        "\n  \t\n",
        "{\"n\":2,\"s\":\"b\"\n",
        ",\"x\":3}\n",
        "{\"n\":4 \"s\":\"d\"}\n",
        "{\"n\":5}{\"n\":6}\n",
        "{\"n\":7,\"s\":\"é\",\"x\":tru}\n",
        "[1]\n",
        "{\"n\":8,\"s\":\"open\n",
        "{\"n\":9,}\n",
        "{\"x\":{\"n\":10}, \"s\":\"\", \"n\":11} \n",
        "{}",
    );
    let (rows, bad) = decode(Format::Json, &columns, text.as_bytes());
    assert_eq!(rows, ["1|a", "11|", "∅|∅"]);
    assert_eq!(
        bad,
        [
            "4:15 expected ',' or '}' after a value, found the end of the line",
            "5:1 expected '{', the beginning of an object, found ','",
            "6:8 expected ',' or '}' after a value, found '\"'",
            "7:8 expected the end of the line after the object, found '{'",
            "8:20 expected a value, found 't'",
            "9:1 expected '{', the beginning of an object, found '['",
            "10:12 the string that begins here is not closed",
            "11:8 expected a key in double quotes, found '}'",
        ]
    );
    let (rows, bad) = decode(Format::Json, &columns, b"{\"n\":1}\n{\"s\":\"\xC3\xA9\xFF\"}\n{\"n\":2}\n\xC3");
    assert_eq!(rows, ["1|∅", "2|∅"]);
    assert_eq!(bad, ["2:8 the text is not UTF-8", "4:1 the text is not UTF-8"]);
}

#[test]
fn keys_find_their_columns() {
    let columns = schema(&[("datetime", DataType::Int64), ("Id", DataType::Int64), ("ID", DataType::Int64)]);
    let text = concat!(
        "{\"dateTime\":1,\"Id\":2,\"ID\":3,\"id\":4}\n",
        "{\"ID\":1,\"dateTime\":2,\"DATETIME\":3}\n",
        "{\"datetime\":1,\"dateTime\":\"not looked at\"}\n",
        "{\"dateTime\":1,\"datetime\":2,\"datetime\":3}\n",
        "{\"date\\u0054ime\":7,\"other\":{\"datetime\":8}}\n",
    );
    let (rows, bad) = decode(Format::Json, &columns, text.as_bytes());
    assert_eq!(
        (rows, bad),
        (vec!["1|2|3", "2|∅|1", "1|∅|∅", "3|∅|∅", "7|∅|∅"].into_iter().map(String::from).collect(), vec![])
    );
    let (rows, bad) =
        decode(Format::Json, &schema(&[("n!", DataType::Int64)]), b"{\"n\":1}\n{\"m\":2}\n{\"n\":3}");
    assert_eq!(rows, ["1", "3"]);
    assert_eq!(bad, ["2:1 column \"n\" is NOT NULL, but the record does not have it"]);
}

#[test]
fn nested_values() {
    let point = DataType::Struct(
        vec![Field::new("x", DataType::Int64, false), Field::new("y", DataType::Utf8, true)].into(),
    );
    let columns = schema(&[("p", point.clone()), ("l", DataType::new_list(point, true))]);
    let text = concat!(
        "{\"p\":{\"x\":1,\"y\":\"a\"},\"l\":[{\"x\":2},null,{\"y\":\"b\",\"x\":3}]}\n",
        "{\"p\":{\"x\":1.5}}\n",
        "{\"p\":{\"x\":4},\"l\":[{\"x\":5},{\"y\":\"c\"}]}\n",
        "{\"p\":null,\"l\":[]}\n",
        "{\"p\":\"{\\\"x\\\":6}\"}\n",
    );
    let (rows, bad) = decode(Format::Json, &columns, text.as_bytes());
    assert_eq!(rows, ["{x: 1, y: a}|[{x: 2, y: ∅}, ∅, {x: 3, y: b}]", "∅|[]"].map(|row| row.to_owned()));
    assert_eq!(
        bad,
        [
            "2:11 expected BIGINT in column \"p.x\", found 1.5 (not a whole number)",
            "3:27 column \"l.x\" is NOT NULL, but the record does not have it",
            "5:6 expected STRUCT(x BIGINT, y VARCHAR) in column \"p\", found \"{\\\"x\\\":6}\"",
        ]
    );
    let csv = "p,l\n\"{\"\"x\"\":1}\",\"[{\"\"x\"\":2}]\"\n\"{\"\"x\"\":1} 2\",\n";
    let (rows, bad) = decode(CSV, &columns, csv.as_bytes());
    assert_eq!((rows.as_slice(), bad.len()), (&["{x: 1, y: ∅}|[{x: 2, y: ∅}]".to_owned()][..], 1));
}

#[test]
fn csv_records() {
    let columns = schema(&[("n", DataType::Int64), ("s", DataType::Utf8), ("missing", DataType::Utf8)]);
    let text = concat!(
        "\u{20}S , other,n\r\n",
        "a,x,1\r\n",
        "\r\n",
        "\"q \"\"x\"\", \r\ny\",,\" 2 \"\n",
        ",,\n",
        "\"\",\"\",\"\"\n",
        "too,few\n",
        "a,b,1.5\n",
        "\"a\"b,c,3\n",
        "é\"lit\",c,4\n",
        "\"open,c,5\n",
        "last,x,6",
    );
    let (rows, bad) = decode(CSV, &columns, text.as_bytes());
    assert_eq!(rows, ["1|a|∅", "2|q \"x\", \r\ny|∅", "∅|∅|∅", "∅||∅", "4|é\"lit\"|∅", "6|last|∅"]);
    assert_eq!(
        bad,
        [
            "8:1 expected 3 fields, found 2",
            "9:5 expected BIGINT in column \"n\", found \"1.5\" (not a whole number)",
            "10:4 a quoted field ends before this character",
            "12:1 the quote that opens here is not closed",
        ]
    );
    let bare = Format::Csv(CsvOptions { delimiter: b'\t', header: false });
    let (rows, bad) = decode(bare, &columns, b"1\ta\tb\n2\tc\n3\t\xFF\tx");
    assert_eq!(rows, ["1|a|b"]);
    assert_eq!(bad, ["2:1 expected 3 fields, found 2", "3:3 the text is not UTF-8"]);
    let not_null = schema(&[("n!", DataType::Int64)]);
    let (rows, bad) = decode(CSV, &not_null, b"n,m\n,1\n2,\n");
    assert_eq!(
        (rows.len(), bad),
        (1, vec!["2:1 column \"n\" is NOT NULL, but its value is null".to_owned()])
    );
}

#[test]
fn csv_headers_that_do_not_go_with_the_columns() {
    let header = |columns: &[(&str, DataType)], text: &str, last: bool| {
        let mut decoder = RowDecoder::new(CSV, schema(columns), false).unwrap();
        let taken = decoder.header(Chunk { text: text.as_bytes(), line: 0, last });
        taken.map(|taken| taken.map(|taken| (taken.bytes, taken.lines))).map_err(|error| error.to_string())
    };
    let n = [("n", DataType::Int64)];
    assert_eq!(header(&n, "\nm,N", false), Ok(None));
    assert_eq!(header(&n, "\nm,N", true), Ok(Some((4, 2))));
    assert_eq!(header(&n, "\"m\n\",n\r\n1,2", false), Ok(Some((8, 2))));
    assert_eq!(header(&n, "\n\n", true), Ok(Some((2, 2))));
    assert_eq!(header(&n, "N,n\n", false), Ok(Some((4, 1))));
    assert_eq!(header(&n, "n,n\n", false), Err("the header has column \"n\" twice".into()));
    assert_eq!(
        header(&n, "a,b\n", false),
        Err("the header (a, b) has none of the declared columns (n)".into())
    );
    assert_eq!(
        header(&n, "\"n\n", true),
        Err("the header cannot be read: the quote that opens here is not closed".into())
    );
    let two = [("n", DataType::Int64), ("m!", DataType::Int64)];
    assert_eq!(
        header(&two, "n\n", false),
        Err("column \"m\" is NOT NULL, but the header does not have it".into())
    );
}

#[test]
fn records_beyond_the_longest() {
    let text = format!("{{\"s\":\"a\"}}\n{{\"s\":\"{}\"}}\n{{\"s\":\"b\"}}\n", "x".repeat(MAX_RECORD));
    let columns = schema(&[("s", DataType::Utf8)]);
    let (rows, bad) = decode(Format::Json, &columns, text.as_bytes());
    assert_eq!(
        (rows, bad),
        (vec!["a".into(), "b".into()], vec!["2:- the record is longer than 16 MiB".into()])
    );
    let text = format!("s,t\na,\n\"x\n{}\nb,\n", "y".repeat(MAX_RECORD));
    let (rows, bad) = decode(CSV, &columns, text.as_bytes());
    assert_eq!(rows, ["a", "b"]);
    assert_eq!(bad, ["3:1 the quote that opens here is not closed", "4:- the record is longer than 16 MiB"]);
}

/// Feeds `text` in pieces that end at `cuts`, at most `records` at a time; the same to show as `decode`.
fn decode_cut(
    format: Format,
    schema: &SchemaRef,
    text: &[u8],
    cuts: &[usize],
    records: usize,
) -> (Vec<String>, Vec<BadLine>) {
    let mut decoder = RowDecoder::new(format, schema.clone(), false).unwrap();
    let (mut rows, mut bad, mut at, mut line, mut ready) = (vec![], vec![], 0, 0, false);
    for end in cuts.iter().copied().chain([text.len(), text.len() + 1]) {
        let last = end > text.len();
        loop {
            let chunk = Chunk { text: &text[at..end.clamp(at, text.len())], line, last };
            let taken = if ready {
                decoder.push(chunk, Limit { records, bytes: usize::MAX })
            } else {
                let Some(taken) = decoder.header(chunk).unwrap() else { break };
                ready = true;
                Taken { stop: Stop::Full, ..taken }
            };
            at += taken.bytes;
            line += taken.lines;
            let (batch, more) = decoder.finish().unwrap();
            assert!(batch.num_rows() + more.len() <= records);
            rows.extend(shown(&batch));
            bad.extend(more);
            if taken.stop == Stop::Short {
                break;
            }
        }
    }
    assert_eq!(at, text.len());
    (rows, bad)
}

const JSON_TEXT: &str = "{\"n\":1,\"s\":\"a\\\"é\",\"t\":\"2013-01-01T10:17:00Z\"}\r\n\n{\"n\":x}\n{\"n\":-2,\"s\":null}\n{\"l\":[1,2],\"t\":3}";
const CSV_TEXT: &str = "s,n,t\r\n\"a\"\"é\n,b\",1,2013-01-01\r\n\r\nx,y,z\n\"b\"c,2,\n,-3,\n\"\",4,7";

fn mixed() -> SchemaRef {
    schema(&[
        ("n", DataType::Int64),
        ("s", DataType::Utf8),
        ("t", nanos()),
        ("l", DataType::new_list(DataType::Int64, true)),
    ])
}

#[test]
fn every_prefix_decodes_without_harm_to_what_precedes_its_end() {
    for (format, text) in [(Format::Json, JSON_TEXT), (CSV, CSV_TEXT)] {
        let (whole, _) = decode(format, &mixed(), text.as_bytes());
        let first = if format == CSV { 7 } else { 0 };
        for end in first..=text.len() {
            let (rows, bad) = decode(format, &mixed(), &text.as_bytes()[..end]);
            // All rows but perhaps the last one, which the cut may have changed, are those of the whole.
            let sure = rows.len().saturating_sub(1);
            assert!(whole.starts_with(&rows[..sure]), "{end}");
            assert!(rows.len() <= whole.len() + 1 && bad.len() <= 3, "{end}");
        }
    }
}

#[test]
fn stop_at_bad_delivers_what_precedes_and_stays() {
    for (format, text) in [(Format::Json, "{\"n\":1}\n{\"n\":x}\n{\"n\":2}\n"), (CSV, "1,,,\nx,,,\n2,,,\n")] {
        let mut decoder = RowDecoder::new(format, mixed(), true).unwrap();
        let chunk = |at: usize| Chunk { text: &text.as_bytes()[at..], line: 0, last: true };
        let taken = decoder.push(chunk(0), ALL);
        assert_eq!((taken.stop, taken.lines, taken.records), (Stop::Bad, 1, 1));
        let (batch, bad) = decoder.finish().unwrap();
        assert_eq!((batch.num_rows(), bad.len()), (1, 0));
        for _ in 0..2 {
            let again = decoder.push(chunk(taken.bytes), ALL);
            assert_eq!((again.stop, again.bytes, again.records), (Stop::Bad, 0, 0));
            let (batch, bad) = decoder.finish().unwrap();
            assert_eq!((batch.num_rows(), bad.len()), (0, 1));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_cut_gives_the_same(cuts in proptest::collection::vec(0usize..150, 0..6), records in 1usize..4, json in any::<bool>()) {
        let (format, text) = if json { (Format::Json, JSON_TEXT) } else { (CSV, CSV_TEXT) };
        let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut <= text.len()).collect();
        cuts.sort_unstable();
        let cut = decode_cut(format, &mixed(), text.as_bytes(), &cuts, records);
        prop_assert_eq!(cut, decode_cut(format, &mixed(), text.as_bytes(), &[], usize::MAX));
    }

    #[test]
    fn any_bytes_are_survived(text in proptest::collection::vec(prop_oneof![4 => proptest::sample::select(b"{}[]\",:\\\n\r n1-.eu0".to_vec()), 1 => any::<u8>()], 0..60), json in any::<bool>()) {
        let format = if json { Format::Json } else { Format::Csv(CsvOptions { header: false, ..Default::default() }) };
        let cut = decode_cut(format, &mixed(), &text, &[text.len() / 2], 2);
        let whole = decode_cut(format, &mixed(), &text, &[], usize::MAX);
        prop_assert_eq!(cut, whole);
    }

    #[test]
    fn rows_come_back_from_their_json(
        rows in proptest::collection::vec((any::<Option<i64>>(), any::<Option<String>>(), any::<f64>(), any::<Option<i64>>(), any::<bool>(), proptest::collection::vec(any::<Option<i32>>(), 0..3)), 0..20)
    ) {
        use arrow::array::{BooleanArray, Float64Array, Int64Array, ListArray, StringArray, TimestampNanosecondArray};
        use arrow::datatypes::Int32Type;
        let columns = schema(&[("n", DataType::Int64), ("s", DataType::Utf8), ("x", DataType::Float64), ("t", nanos()), ("b!", DataType::Boolean), ("l", DataType::new_list(DataType::Int32, true))]);
        let lists = rows.iter().map(|r| Some(r.5.iter().copied()));
        let batch = RecordBatch::try_new(columns.clone(), vec![
            Arc::new(rows.iter().map(|r| r.0).collect::<Int64Array>()),
            Arc::new(rows.iter().map(|r| r.1.as_deref()).collect::<StringArray>()),
            Arc::new(rows.iter().map(|r| Some(r.2).filter(|x| x.is_finite())).collect::<Float64Array>()),
            Arc::new(rows.iter().map(|r| r.3).collect::<TimestampNanosecondArray>()),
            Arc::new(rows.iter().map(|r| Some(r.4)).collect::<BooleanArray>()),
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists)),
        ]).unwrap();
        let mut writer = arrow::json::LineDelimitedWriter::new(Vec::new());
        writer.write(&batch).unwrap();
        let text = writer.into_inner();
        let mut decoder = RowDecoder::new(Format::Json, columns, false).unwrap();
        decoder.push(Chunk { text: &text, line: 0, last: true }, ALL);
        let (read, bad) = decoder.finish().unwrap();
        prop_assert_eq!(bad, vec![]);
        prop_assert_eq!(read, batch);
    }

    #[test]
    fn texts_come_back_from_csv(rows in proptest::collection::vec((any::<i64>(), proptest::option::of("[a,\"\n\r é]{0,6}")), 0..10)) {
        let mut text = String::from("s,n\n");
        for (n, s) in &rows {
            let quoted = s.as_ref().map(|s| format!("\"{}\"", s.replace('"', "\"\""))).unwrap_or_default();
            text.push_str(&format!("{quoted},{n}\n"));
        }
        let (read, bad) = decode(CSV, &schema(&[("n", DataType::Int64), ("s", DataType::Utf8)]), text.as_bytes());
        let expected: Vec<String> = rows.iter().map(|(n, s)| format!("{n}|{}", s.as_deref().unwrap_or("∅"))).collect();
        prop_assert_eq!((read, bad), (expected, vec![]));
    }
}
