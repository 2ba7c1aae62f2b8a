//! What comes out for which rows, to the byte.

use super::*;
use arrow::array::*;
use arrow::datatypes::Int64Type;
use proptest::prelude::*;
use std::sync::{Arc, Mutex};

/// An output that can be looked at after the printer has it.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn printed(
    format: Format,
    changes: bool,
    screen: Screen,
    parts: &[(RecordBatch, Option<Vec<i64>>)],
) -> String {
    let out = Shared::default();
    let schema = parts[0].0.schema();
    let mut printer = ResultPrinter::new(format, schema, changes, Box::new(out.clone())).on(screen);
    for (batch, weights) in parts {
        printer.write(batch, weights.clone().map(Int64Array::from).as_ref()).unwrap();
    }
    printer.finish().unwrap();
    out.text()
}

fn plain(format: Format, batch: &RecordBatch) -> String {
    printed(format, false, Screen::default(), &[(batch.clone(), None)])
}

fn board() -> RecordBatch {
    let hour = 1_357_038_000_000_000_000;
    RecordBatch::try_from_iter([
        (
            "window_start",
            Arc::new(TimestampNanosecondArray::from(vec![hour, hour + 1_500_000_000])) as ArrayRef,
        ),
        ("origin", Arc::new(StringViewArray::from(vec![Some("LGA"), None]))),
        ("n", Arc::new(Int64Array::from(vec![20, 1_000]))),
        ("avg", Arc::new(Float64Array::from(vec![Some(-2.7), None]))),
    ])
    .unwrap()
}

/// One column of every kind that prints in its own way, with a NULL below each value.
fn kinds() -> RecordBatch {
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None]), None]);
    let inner = Field::new("a,b", DataType::Utf8, true);
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("say \"x\""), None]));
    let nested = StructArray::new(vec![inner].into(), vec![texts], Some(vec![true, false].into()));
    let decimal = Decimal128Array::from(vec![Some(-1_050), None]).with_precision_and_scale(10, 2).unwrap();
    let zoned = TimestampMillisecondArray::from(vec![Some(1_357_038_000_123), None]).with_timezone("UTC");
    RecordBatch::try_from_iter([
        ("text", Arc::new(StringArray::from(vec![Some("a,\"b\"\nc"), None])) as ArrayRef),
        ("empty", Arc::new(StringArray::from(vec![Some(""), None]))),
        ("price", Arc::new(decimal)),
        ("at", Arc::new(zoned)),
        ("day", Arc::new(Date32Array::from(vec![Some(15_706), None]))),
        ("raw", Arc::new(BinaryArray::from_opt_vec(vec![Some(b"\x00\xff"), None]))),
        ("yes", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        ("nan", Arc::new(Float64Array::from(vec![Some(f64::NAN), None]))),
        ("list", Arc::new(list)),
        ("nested", Arc::new(nested)),
        ("nothing", Arc::new(NullArray::new(2))),
    ])
    .unwrap()
}

#[test]
fn json_lines() {
    assert_eq!(
        plain(Format::Jsonl, &board()),
        r#"{"window_start":"2013-01-01T11:00:00","origin":"LGA","n":20,"avg":-2.7}
{"window_start":"2013-01-01T11:00:01.500","origin":null,"n":1000,"avg":null}
"#
    );
    assert_eq!(
        plain(Format::Jsonl, &kinds()),
        r#"{"text":"a,\"b\"\nc","empty":"","price":-10.50,"at":"2013-01-01T11:00:00.123Z","day":"2013-01-01","raw":"00ff","yes":true,"nan":null,"list":[1,null],"nested":{"a,b":"say \"x\""},"nothing":null}
{"text":null,"empty":null,"price":null,"at":null,"day":null,"raw":null,"yes":null,"nan":null,"list":null,"nested":null,"nothing":null}
"#
    );
}

#[test]
fn csv() {
    assert_eq!(
        plain(Format::Csv, &board()),
        "window_start,origin,n,avg\n2013-01-01T11:00:00,LGA,20,-2.7\n2013-01-01T11:00:01.500,,1000,\n"
    );
    assert_eq!(
        plain(Format::Csv, &kinds()),
        "text,empty,price,at,day,raw,yes,nan,list,nested,nothing\n\
         \"a,\"\"b\"\"\nc\",\"\",-10.50,2013-01-01T11:00:00.123Z,2013-01-01,00ff,true,NaN,\"[1,null]\",\
         \"{\"\"a,b\"\":\"\"say \\\"\"x\\\"\"\"\"}\",\n\
         ,,,,,,,,,,\n"
    );
    assert_eq!(plain(Format::Csv, &board().slice(0, 0)), "window_start,origin,n,avg\n");
}

#[test]
fn a_table_in_a_file() {
    assert_eq!(
        plain(Format::Table, &board()),
        "\
┌─────────────────────────┬─────────┬────────┬────────┐
│       window_start      │  origin │    n   │   avg  │
│        timestamp        │ varchar │ bigint │ double │
├─────────────────────────┼─────────┼────────┼────────┤
│ 2013-01-01 11:00:00     │ LGA     │     20 │   -2.7 │
│ 2013-01-01 11:00:01.500 │ NULL    │   1000 │   NULL │
└─────────────────────────┴─────────┴────────┴────────┘
2 rows
"
    );
    assert_eq!(
        plain(Format::Table, &board().project(&[2]).unwrap().slice(0, 0)),
        "┌────────┐\n│    n   │\n│ bigint │\n├────────┤\n└────────┘\n0 rows\n"
    );
    // Nothing is cut off a terminal: a very long value goes on in the next line.
    let long =
        RecordBatch::try_from_iter([("s", Arc::new(StringArray::from(vec!["x".repeat(1_700)])) as ArrayRef)]);
    assert_eq!(plain(Format::Table, &long.unwrap()).matches('x').count(), 1_700);
}

#[test]
fn a_table_fits_the_terminal() {
    let screen = |width| Screen { width: Some(width), colour: false };
    let batch = RecordBatch::try_from_iter([
        ("n", Arc::new(Int64Array::from(vec![123_456_789, 1])) as ArrayRef),
        ("place", Arc::new(StringArray::from(vec!["37km NNE of Amboy, Washington", "東京の近く"]))),
        ("a_rather_long_name", Arc::new(StringArray::from(vec!["x", "y"]))),
    ])
    .unwrap();
    let parts = [(batch, None)];
    assert_eq!(
        printed(Format::Table, false, screen(44), &parts),
        "\
┌───────────┬──────────────┬──────────────┐
│     n     │     place    │ a_rather_lo… │
│   bigint  │    varchar   │    varchar   │
├───────────┼──────────────┼──────────────┤
│ 123456789 │ 37km NNE of… │ x            │
│         1 │ 東京の近く   │ y            │
└───────────┴──────────────┴──────────────┘
2 rows
"
    );
    let narrow = printed(Format::Table, false, screen(26), &parts);
    assert!(narrow.ends_with("2 rows (2 of 3 columns shown)\n"), "{narrow}");
    for width in 1..200 {
        printed(Format::Table, false, screen(width), &parts);
    }
}

#[test]
fn null_is_dim_and_data_cannot_steer_the_terminal() {
    let screen = Screen { width: Some(80), colour: true };
    let hostile = StringArray::from(vec![Some("\u{1b}[2Jx\t\u{E000}"), None]);
    let batch = RecordBatch::try_from_iter([("s", Arc::new(hostile) as ArrayRef)]).unwrap();
    let text = printed(Format::Table, false, screen, &[(batch, None)]);
    assert_eq!(text.matches('\u{1b}').count(), 2, "{text}");
    assert!(text.contains("\u{1b}[2mNULL\u{1b}[0m") && text.contains("\\u{1b}[2Jx\\t\u{FFFD}"), "{text}");
}

#[test]
fn changes_carry_their_op() {
    let batch = board().project(&[1, 2]).unwrap();
    let parts = [(batch.clone(), None), (batch.clone(), Some(vec![-1, 1])), (batch, Some(vec![2, -1]))];
    assert_eq!(
        printed(Format::Jsonl, true, Screen::default(), &parts),
        r#"{"_op":"+","origin":"LGA","n":20}
{"_op":"+","origin":null,"n":1000}
{"_op":"-","origin":"LGA","n":20}
{"_op":"+","origin":null,"n":1000}
{"_op":"+","origin":"LGA","n":20}
{"_op":"+","origin":"LGA","n":20}
{"_op":"-","origin":null,"n":1000}
"#
    );
    let csv = printed(Format::Csv, true, Screen::default(), &parts);
    assert!(csv.starts_with("_op,origin,n\n+,LGA,20\n+,,1000\n-,LGA,20\n"), "{csv}");
    assert_eq!(
        printed(Format::Table, true, Screen { width: Some(80), colour: false }, &parts),
        "\
┌───┬──────────────┬──────────┐
│   │    origin    │     n    │
│   │    varchar   │  bigint  │
├───┼──────────────┼──────────┤
│ + │ LGA          │       20 │
│ + │ NULL         │     1000 │
│ - │ LGA          │       20 │
│ + │ NULL         │     1000 │
│ + │ LGA          │       20 │
│ + │ LGA          │       20 │
│ - │ NULL         │     1000 │
└───┴──────────────┴──────────┘
7 changes
"
    );
}

#[test]
fn a_retraction_needs_an_op() {
    let mut printer = ResultPrinter::new(Format::Jsonl, board().schema(), false, Box::new(io::sink()));
    let weights = Int64Array::from(vec![1, -1]);
    assert!(matches!(printer.write(&board(), Some(&weights)), Err(PrintError::Retraction)));
}

#[test]
fn a_reader_that_has_gone_is_told_apart() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for format in [Format::Jsonl, Format::Csv] {
        let mut printer = ResultPrinter::new(format, board().schema(), false, Box::new(Gone));
        assert!(matches!(printer.write(&board(), None), Err(PrintError::Closed)));
    }
    let mut printer = ResultPrinter::new(Format::Table, board().schema(), false, Box::new(Gone));
    printer.write(&board(), None).unwrap();
    assert!(matches!(printer.finish(), Err(PrintError::Closed)));
}

#[test]
fn no_columns_are_no_panic() {
    let options = RecordBatchOptions::new().with_row_count(Some(2));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();
    assert_eq!(plain(Format::Jsonl, &batch), "{}\n{}\n");
    assert_eq!(plain(Format::Csv, &batch), "\n\n\n");
    assert_eq!(plain(Format::Table, &batch), "2 rows\n");
}

#[test]
fn many_rows_are_drawn_in_parts_of_the_same_widths() {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..25_000));
    let batch = RecordBatch::try_from_iter([("n", numbers)]).unwrap();
    let text = plain(Format::Table, &batch);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 25_000 + 6);
    assert_eq!((lines[4], lines[25_003]), ("│      0 │", "│  24999 │"));
    assert_eq!(lines.last(), Some(&"25,000 rows"));
}

#[test]
fn later_rows_that_are_wider_never_burst_the_terminal() {
    let part = |n: i64, s: &str| {
        let null: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>]));
        let columns = (0..6).map(|_| Arc::new(Int64Array::from(vec![n])) as ArrayRef);
        let texts = [Arc::new(StringArray::from(vec![s])) as ArrayRef, null];
        let columns = columns.chain(texts).enumerate().map(|(i, array)| (format!("c{i}"), array, true));
        (RecordBatch::try_from_iter_with_nullable(columns).unwrap(), None)
    };
    for width in [30, 60, 100] {
        let screen = Screen { width: Some(width), colour: true };
        let text = printed(Format::Table, true, screen, &[part(1, "a"), part(i64::MIN, &"東".repeat(500))]);
        for line in text.lines().filter(|l| !l.contains("changes")) {
            let line = line.replace("\u{1b}[2m", "").replace("\u{1b}[0m", "");
            let cells = line.chars().count() + line.matches('東').count();
            assert!(cells <= width, "{width}: {cells}\n{text}");
            assert!(!line.contains('\u{E000}'), "{text}");
        }
    }
}

proptest! {
    /// Each row comes as often as its weight says, in order, with its sign, over any cut into chunks.
    #[test]
    fn rows_come_as_often_as_they_weigh(weights in prop::collection::vec(-3i64..4, 0..60), heavy in 0i64..20_000) {
        let mut weights = weights;
        weights.push(heavy);
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..weights.len() as i64));
        let batch = RecordBatch::try_from_iter([("n", numbers)]).unwrap();
        let text = printed(Format::Jsonl, true, Screen::default(), &[(batch, Some(weights.clone()))]);
        let expected: String = weights.iter().enumerate().map(|(i, w)| {
            let op = if *w < 0 { "-" } else { "+" };
            format!("{{\"_op\":\"{op}\",\"n\":{i}}}\n").repeat(w.unsigned_abs() as usize)
        }).collect();
        prop_assert_eq!(text, expected);
    }
}
