//! Random streams: nulls, ties, duplicates, rows out of order and late, empty partitions.

use super::draw::Draw;
use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, ListArray,
    RecordBatch, StringArray, TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray,
    UInt32Array,
};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit};
use millstream::catalog::{Column, EventTimeDef, StreamDef};
use std::sync::Arc;

/// Where the streams' time begins: 2024-01-01, in seconds.
const START: i64 = 1_704_067_200;
pub(super) const SECOND: i64 = 1_000_000_000;
/// The reference's column of marks: the running watermark before the row (ns), null while there is none.
pub(super) const MARK: &str = "mark__";

/// What is fixed about the two streams of a case.
#[derive(Clone)]
pub(super) struct Shape {
    pub(super) unit: TimeUnit,
    /// The declared delays of `s` and `t` in nanoseconds.
    pub(super) delays: [i64; 2],
    /// `t` is a table by `id`.
    pub(super) table: bool,
}

pub(super) const STREAMS: [&str; 2] = ["s", "t"];

impl Shape {
    pub(super) fn draw(d: &mut Draw) -> Self {
        // Not from the same numbers: a seed without a table is as it was before there were tables.
        let table = Draw::new(d.clone().bits() ^ 0x7ab1e).chance(30);
        let unit = d.one(&[
            TimeUnit::Nanosecond,
            TimeUnit::Nanosecond,
            TimeUnit::Nanosecond,
            TimeUnit::Millisecond,
            TimeUnit::Second,
        ]);
        let mut delay = || d.one(&[0, 1, 5, 10, 30]) * SECOND;
        Shape { unit, delays: [delay(), delay()], table }
    }

    pub(super) fn unit_ns(&self) -> i64 {
        match self.unit {
            TimeUnit::Second => SECOND,
            TimeUnit::Millisecond => 1_000_000,
            TimeUnit::Microsecond => 1_000,
            TimeUnit::Nanosecond => 1,
        }
    }

    /// The SQL type of the time column.
    pub(super) fn time_sql(&self) -> &'static str {
        match self.unit {
            TimeUnit::Second => "TIMESTAMP(0)",
            TimeUnit::Millisecond => "TIMESTAMP(3)",
            _ => "TIMESTAMP",
        }
    }

    pub(super) fn time_arrow(&self) -> String {
        DataType::Timestamp(self.unit, None).to_string()
    }

    pub(super) fn schema(&self) -> SchemaRef {
        let list = DataType::List(Arc::new(Field::new("item", DataType::Int64, true)));
        Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("ts", DataType::Timestamp(self.unit, None), true),
            Field::new("k", DataType::Int64, true),
            Field::new("g", DataType::Utf8, true),
            Field::new("x", DataType::Int64, true),
            Field::new("i", DataType::Int32, true),
            Field::new("f", DataType::Float64, true),
            Field::new("b", DataType::Boolean, true),
            Field::new("d", DataType::Decimal128(10, 2), true),
            Field::new("dt", DataType::Date32, true),
            Field::new("u", DataType::Utf8, true),
            Field::new("l", list, true),
        ]))
    }

    /// Whether a stream is a table.
    pub(super) fn is_table(&self, stream: usize) -> bool {
        stream == 1 && self.table
    }

    pub(super) fn definition(&self, stream: usize) -> StreamDef {
        let schema = self.schema();
        let columns = schema.fields().iter().map(|f| Column {
            name: f.name().clone(),
            data_type: f.data_type().clone(),
            nullable: f.is_nullable(),
        });
        StreamDef {
            name: STREAMS[stream].into(),
            columns: columns.collect(),
            event_time: (!self.is_table(stream))
                .then(|| EventTimeDef { column: "ts".into(), delay: Some(self.delays[stream]) }),
            connector: "topic".into(),
            options: vec![],
            query: None,
            primary_key: self.is_table(stream).then(|| vec!["id".into()]),
        }
    }

    /// STREAM or TABLE.
    pub(super) fn kind(&self, stream: usize) -> &'static str {
        if self.is_table(stream) { "TABLE" } else { "STREAM" }
    }

    /// The CREATE of a stream or table with `partitions`.
    pub(super) fn create(&self, stream: usize, partitions: usize) -> String {
        let clause = match self.is_table(stream) {
            true => "PRIMARY KEY (id)".into(),
            false => format!("WATERMARK FOR ts AS ts - INTERVAL '{} seconds'", self.delays[stream] / SECOND),
        };
        format!(
            "CREATE {} {} (id BIGINT NOT NULL, ts {}, k BIGINT, g TEXT, x BIGINT, i INT, f DOUBLE, b BOOLEAN, \
             d DECIMAL(10, 2), dt DATE, u TEXT, l BIGINT[], {clause}) WITH (partitions = {partitions})",
            self.kind(stream),
            STREAMS[stream],
            self.time_sql(),
        )
    }
}

/// The partitions of one stream, each in its order.
pub(super) type Partitions = Vec<RecordBatch>;

/// Random contents of both streams; `small` for queries whose answer may be as long as a product of both.
pub(super) fn draw_data(d: &mut Draw, shape: &Shape, small: bool) -> [Partitions; 2] {
    let large = d.chance(2) && !small;
    let mut stream = |first_id: i64| {
        let partitions = 1 + d.below(4);
        let most = match (large, small) {
            (true, _) => 1500,
            (_, true) => d.one(&[2, 5, 10, 20, 40]),
            _ => d.one(&[2, 10, 30, 60, 100, 200]),
        };
        let mut id = first_id;
        (0..partitions)
            .map(|_| {
                let rows = if large {
                    1200 + d.below(300)
                } else if d.chance(10) {
                    0
                } else {
                    d.below(most / partitions + 1)
                };
                let batch = draw_rows(d, shape, id, rows);
                id += rows as i64;
                batch
            })
            .collect()
    };
    let s = stream(0);
    let t = stream(100_000);
    [s, if shape.table { upserts(&mut Draw::new(d.clone().bits()), shape, &t) } else { t }]
}

/// The rows as changes of a table: few ids, each in a partition of its own choice, so that rows are replaced, deleted and
/// inserted again.
fn upserts(d: &mut Draw, shape: &Shape, partitions: &Partitions) -> Partitions {
    let all = concat_batches(&shape.schema(), partitions).unwrap();
    let rows = all.num_rows();
    let (ids, deletes) = (1 + rows / d.one(&[1, 2, 4, 10]), d.one(&[0, 10, 30, 60]));
    let mut columns = all.columns().to_vec();
    let id: Vec<i64> = (0..rows).map(|_| 100_000 + d.below(ids) as i64).collect();
    columns[0] = Arc::new(Int64Array::from(id.clone()));
    columns.push(Arc::new(BooleanArray::from((0..rows).map(|_| d.chance(deletes)).collect::<Vec<_>>())));
    let all = RecordBatch::try_new(shape.definition(1).topic_schema(), columns).unwrap();
    let count = partitions.len() as i64;
    let rows_of = |p: i64| (0..rows).filter(|i| id[*i] % count == p).map(|i| i as u32).collect::<Vec<_>>();
    (0..count).map(|p| take_record_batch(&all, &UInt32Array::from(rows_of(p))).unwrap()).collect()
}

/// The rows of a table from its changes: of each id the last one, if that is no deletion.
fn folded(shape: &Shape, partitions: &Partitions) -> RecordBatch {
    let mut kept = Vec::new();
    for batch in partitions {
        let ids = arrow::array::AsArray::as_primitive::<Int64Type>(batch.column(0)).values().to_vec();
        let deleted = arrow::array::AsArray::as_boolean(batch.column(batch.num_columns() - 1)).clone();
        let last = |i: &usize| !ids[i + 1..].contains(&ids[*i]) && !deleted.value(*i);
        let rows = (0..ids.len()).filter(last).map(|i| i as u32);
        let rows = take_record_batch(batch, &UInt32Array::from_iter_values(rows)).unwrap();
        let own: Vec<usize> = (0..shape.schema().fields().len()).collect();
        kept.push(rows.project(&own).unwrap().with_schema(shape.schema()).unwrap());
    }
    concat_batches(&shape.schema(), &kept).unwrap()
}

fn draw_rows(d: &mut Draw, shape: &Shape, first_id: i64, rows: usize) -> RecordBatch {
    let unit = shape.unit_ns();
    // How event time runs: from calm to wild.
    let (pace, jitter, wild) = (d.one(&[1, 2, 5, 20]), d.one(&[0, 1, 8, 40]), d.one(&[0, 5, 15]));
    let nulls = d.one(&[0, 5, 20]);
    let mut clock = d.range(0, 30);
    let mut times = Vec::new();
    for _ in 0..rows {
        clock += if d.chance(50) { d.range(0, pace) } else { 0 };
        let back = if d.chance(wild) { d.range(0, 200) } else { d.range(0, jitter) };
        let fine = if d.chance(20) { d.range(0, 999) * 1_000_000 } else { 0 };
        let seconds = START + if rows > 500 { (clock / 8 - back) % 300 } else { clock - back };
        times.push((!d.chance(nulls / 4)).then(|| (seconds * SECOND + fine) / unit));
    }
    macro_rules! some {
        ($value:expr) => {
            (0..rows).map(|_| (!d.chance(nulls)).then(|| $value)).collect::<Vec<_>>()
        };
    }
    let groups = d.one(&[2, 4, 12]);
    let texts = ["", "a", "b", "B", "ab", "a b", "%x_", "Ünïcode ß", "zz9", " pad "];
    let k = some!(d.range(0, groups));
    let g = some!(d.pick(&["a", "b", "B", "", "ccc"]));
    let x = some!(d.range(-50, 50));
    let i = some!(d.range(-5, 5) as i32);
    let f = some!(d.range(-200, 200) as f64 * 0.25);
    let b = some!(d.chance(50));
    let dec = some!(i128::from(d.range(-9999, 9999)));
    let dt = some!(d.range(19_000, 19_010) as i32);
    let u = some!(d.pick(&texts));
    let l = some!((0..d.below(4)).map(|_| (!d.chance(15)).then(|| d.range(-3, 6))).collect::<Vec<_>>());
    let time: ArrayRef = match shape.unit {
        TimeUnit::Second => Arc::new(TimestampSecondArray::from(times)),
        TimeUnit::Millisecond => Arc::new(TimestampMillisecondArray::from(times)),
        _ => Arc::new(TimestampNanosecondArray::from(times)),
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(first_id..first_id + rows as i64)),
        time,
        Arc::new(Int64Array::from(k)),
        Arc::new(StringArray::from(g)),
        Arc::new(Int64Array::from(x)),
        Arc::new(Int32Array::from(i)),
        Arc::new(Float64Array::from(f)),
        Arc::new(BooleanArray::from(b)),
        Arc::new(Decimal128Array::from(dec).with_precision_and_scale(10, 2).unwrap()),
        Arc::new(Date32Array::from(dt)),
        Arc::new(StringArray::from(u)),
        Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(l)),
    ];
    RecordBatch::try_new(shape.schema(), columns).unwrap()
}

/// All rows of a stream with their marks: for each row the greatest time before it in its partition less the delay.
/// No row of a table is late.
pub(super) fn marked(shape: &Shape, stream: usize, partitions: &Partitions) -> RecordBatch {
    if shape.is_table(stream) {
        let rows = folded(shape, partitions);
        return with_marks(shape, &rows, vec![None; rows.num_rows()]);
    }
    let unit = shape.unit_ns();
    let mut marks: Vec<Option<i64>> = Vec::new();
    for batch in partitions {
        let times = arrow::compute::cast(batch.column(1), &DataType::Int64).unwrap();
        let times = arrow::array::AsArray::as_primitive::<Int64Type>(&times).clone();
        let mut greatest: Option<i64> = None;
        for time in &times {
            marks.push(greatest.map(|g| g * unit - shape.delays[stream]));
            greatest = greatest.max(time);
        }
    }
    let all = concat_batches(&shape.schema(), partitions).unwrap();
    with_marks(shape, &all, marks)
}

fn with_marks(shape: &Shape, all: &RecordBatch, marks: Vec<Option<i64>>) -> RecordBatch {
    let schema = shape.schema();
    let mut fields = schema.fields().to_vec();
    fields.push(Arc::new(Field::new(MARK, DataType::Int64, true)));
    let mut columns = all.columns().to_vec();
    columns.push(Arc::new(Int64Array::from(marks)));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// The data without the rows `from..from + rows` of partition `p`.
pub(super) fn without(batch: &RecordBatch, from: usize, rows: usize) -> RecordBatch {
    let kept = (0..batch.num_rows()).filter(|i| *i < from || *i >= from + rows).map(|i| i as u32);
    take_record_batch(batch, &UInt32Array::from_iter_values(kept)).unwrap()
}
