//! The kernels that a job's speed comes from, one by one: formats, frames, exchange, windows, aggregates, rankings,
//! printing.
//!
//!     cargo bench --bench kernels                all
//!     cargo bench --bench kernels -- json        those whose name has this in it
//!
//! Throughput is rows (`elem`) or bytes of text a second. Where a library does the same, it runs beside ours.

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::csv::ReaderBuilder as CsvReaderBuilder;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::json::ReaderBuilder as JsonReaderBuilder;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use millstream::catalog::{Column, Definitions, EventTimeDef, StreamDef};
use millstream::cli::print::{Format as PrintFormat, ResultPrinter};
use millstream::clock::Clock;
use millstream::delta::{Delta, WATERMARK_END, WATERMARK_NONE, hash_columns, partition};
use millstream::disk::Disk;
use millstream::formats::{Chunk, CsvOptions, Format, Limit, RowDecoder};
use millstream::log::{Append, Codec, Log, TopicOptions};
use millstream::operators::Operator;
use millstream::operators::aggregate::{Aggregate, AggregateSpec, EmitMode};
use millstream::operators::session::{SessionSpec, SessionWindow};
use millstream::operators::top_n::{TopN, TopNSpec};
use millstream::operators::upsert::{Upsert, UpsertSpec};
use millstream::operators::window::{WindowAssign, WindowKind, WindowSpec};
use millstream::plan::{Planner, Spec};
use millstream::sql::{Statement, parse_all};
use std::error::Error;
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const BATCH: usize = 8192;
const SECOND: i64 = 1_000_000_000;

/// The columns of a bid: key, value, time.
fn bid_schema() -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Microsecond, None);
    Arc::new(Schema::new(vec![
        Field::new("auction", DataType::Int64, true),
        Field::new("price", DataType::Int64, true),
        Field::new("ts", time, true),
    ]))
}

/// `rows` bids on `keys` auctions, a microsecond apart from `from` on.
fn bids(rows: usize, keys: u64, from: i64) -> Result<RecordBatch> {
    let mixed = |i: usize| {
        // A few rounds of splitmix64.
        let mut z = (from as u64).wrapping_add(i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB) >> 8
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values((0..rows).map(|i| (mixed(i) % keys) as i64))),
        Arc::new(Int64Array::from_iter_values((0..rows).map(|i| (mixed(i) >> 20) as i64 % 10_000))),
        Arc::new(TimestampMicrosecondArray::from_iter_values((0..rows as i64).map(|i| from + i))),
    ];
    Ok(RecordBatch::try_new(bid_schema(), columns)?)
}

/// A wider bid: what Nexmark's generators write, about 220 bytes as JSON.
fn wide_schema() -> SchemaRef {
    let mut fields: Vec<Field> = bid_schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    fields.push(Field::new("bidder", DataType::Int64, true));
    fields.extend(["channel", "url", "extra"].map(|name| Field::new(name, DataType::Utf8, true)));
    Arc::new(Schema::new(fields))
}

/// Bids as JSON lines.
fn json_text(rows: usize, wide: bool) -> Result<String> {
    let batch = bids(rows, 10_000, 1_700_000_000_000_000)?;
    let (auction, price) = (batch.column(0).clone(), batch.column(1).clone());
    let number = |column: &ArrayRef, row: usize| -> i64 {
        arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(column).value(row)
    };
    let mut text = String::new();
    for row in 0..rows {
        let (a, p) = (number(&auction, row), number(&price, row));
        let (second, fraction) = (row / 1000 % 60, row % 1000);
        write!(text, r#"{{"auction":{a},"price":{p},"ts":"2023-11-14T22:13:{second:02}.{fraction:03}""#)?;
        if wide {
            write!(
                text,
                r#","bidder":{},"channel":"channel-{}","url":"https://www.nexmark.com/{a}/item.htm?query=1&channel_id={p}","extra":"{:045}""#,
                a * 7,
                p % 100,
                a * p
            )?;
        }
        text.push_str("}\n");
    }
    Ok(text)
}

fn csv_text(rows: usize) -> Result<String> {
    let batch = bids(rows, 10_000, 1_700_000_000_000_000)?;
    let mut text = Vec::new();
    arrow::csv::Writer::new(&mut text).write(&batch)?;
    Ok(String::from_utf8(text)?)
}

/// Decodes all of `text` in batches, by our decoder.
fn decode(format: Format, schema: &SchemaRef, text: &[u8]) -> Result<usize> {
    let mut decoder = RowDecoder::new(format, schema.clone(), false)?;
    let chunk = |from: usize| Chunk { text: &text[from..], line: 0, last: true };
    let mut at = decoder.header(chunk(0))?.map_or(0, |taken| taken.bytes);
    let mut rows = 0;
    while at < text.len() {
        at += decoder.push(chunk(at), Limit { records: BATCH, bytes: usize::MAX }).bytes;
        let (batch, bad) = decoder.finish()?;
        if let Some(bad) = bad.first() {
            return Err(bad.reason.clone().into());
        }
        rows += black_box(batch).num_rows();
    }
    Ok(rows)
}

fn formats(c: &mut Criterion) -> Result<()> {
    let rows = 4 * BATCH;
    for (name, schema, wide) in [("narrow", bid_schema(), false), ("wide", wide_schema(), true)] {
        let text = json_text(rows, wide)?;
        let mut group = c.benchmark_group(format!("json {name}, {} bytes a row", text.len() / rows));
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_function("ours", |b| {
            b.iter(|| decode(Format::Json, &schema, text.as_bytes()).map_or(0, |decoded| decoded))
        });
        group.bench_function("arrow-json", |b| {
            b.iter(|| {
                let reader =
                    JsonReaderBuilder::new(schema.clone()).with_batch_size(BATCH).build(text.as_bytes());
                reader.map_or(0, |reader| reader.flatten().map(|batch| black_box(batch).num_rows()).sum())
            })
        });
        group.finish();
    }
    let text = csv_text(rows)?;
    let schema = bid_schema();
    let mut group = c.benchmark_group(format!("csv, {} bytes a row", text.len() / rows));
    group.throughput(Throughput::Elements(rows as u64));
    group.bench_function("ours", |b| {
        let format = Format::Csv(CsvOptions::default());
        b.iter(|| decode(format, &schema, text.as_bytes()).map_or(0, |decoded| decoded))
    });
    group.bench_function("arrow-csv", |b| {
        b.iter(|| {
            let builder = CsvReaderBuilder::new(schema.clone()).with_header(true).with_batch_size(BATCH);
            let reader = builder.build(text.as_bytes());
            reader.map_or(0, |reader| reader.flatten().map(|batch| black_box(batch).num_rows()).sum())
        })
    });
    group.finish();
    Ok(())
}

/// Frames of a topic written and read back through the file system's cache.
fn frames(c: &mut Criterion) -> Result<()> {
    let home = tempfile::tempdir()?;
    let log = Log::open(home.path().join("data"), Disk::real(), Clock::system())?;
    let batch = bids(BATCH, 10_000, 0)?;
    let count = 64;
    let mut group = c.benchmark_group("frames");
    for codec in [Codec::Lz4, Codec::None] {
        let options = TopicOptions { codec, ..TopicOptions::default() };
        let name = codec.name();
        let topic = log.create_topic(&format!("read_{name}"), options, bid_schema())?;
        let mut writer = topic.writer(0)?;
        for _ in 0..count {
            writer.append(Append::rows(&batch))?;
        }
        group.throughput(Throughput::Elements((count * BATCH) as u64));
        group.bench_function(BenchmarkId::new("read all columns", name), |b| {
            b.iter(|| read_all(&topic, None).map_or(0, |rows| rows))
        });
        group.bench_function(BenchmarkId::new("read 1 of 3 columns", name), |b| {
            b.iter(|| read_all(&topic, Some(vec![0])).map_or(0, |rows| rows))
        });
        // A topic of its own, which only grows while it is measured.
        let topic = log.create_topic(&format!("write_{name}"), options, bid_schema())?;
        let mut writer = topic.writer(0)?;
        group.throughput(Throughput::Elements(BATCH as u64));
        group.bench_function(BenchmarkId::new("append", name), |b| {
            b.iter(|| writer.append(Append::rows(&batch)).is_ok())
        });
        log.delete_topic(&format!("write_{name}"))?;
    }
    group.finish();
    Ok(())
}

fn read_all(topic: &Arc<millstream::log::Topic>, columns: Option<Vec<usize>>) -> Result<usize> {
    let mut reader = topic.reader(0, 0, columns)?;
    let mut rows = 0;
    while let Some(frame) = reader.next()? {
        rows += black_box(frame.batch).num_rows();
    }
    Ok(rows)
}

/// What an exchange between workers does to a batch: hash, partition, take.
fn exchange(c: &mut Criterion) -> Result<()> {
    let delta = Delta::insert(bids(BATCH, 10_000, 0)?);
    let mut group = c.benchmark_group("exchange");
    group.throughput(Throughput::Elements(BATCH as u64));
    for (name, keys) in [("one key", vec![0]), ("two keys", vec![0, 2])] {
        let keys: Vec<ArrayRef> = keys.into_iter().map(|k: usize| delta.batch.column(k).clone()).collect();
        for workers in [2, 8] {
            group.bench_function(BenchmarkId::new(name, format!("{workers} workers")), |b| {
                b.iter(|| {
                    let hashes = hash_columns(&keys, BATCH).unwrap_or_default();
                    let parts = partition(&hashes, workers);
                    parts.iter().flat_map(|rows| delta.take(rows)).map(|part| part.num_rows()).sum::<usize>()
                })
            });
        }
    }
    group.finish();
    Ok(())
}

fn windows(c: &mut Criterion) -> Result<()> {
    let mut fields: Vec<Field> = bid_schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    let time = fields[2].data_type().clone();
    fields.extend(
        ["window_start", "window_end", "window_time"].map(|name| Field::new(name, time.clone(), true)),
    );
    let schema = Arc::new(Schema::new(fields));
    let delta = Delta::insert(bids(BATCH, 10_000, 0)?);
    let mut group = c.benchmark_group("window assign");
    group.throughput(Throughput::Elements(BATCH as u64));
    let kinds = [
        ("tumble", WindowKind::Tumble { size: 10 * SECOND }),
        ("hop of 5", WindowKind::Hop { slide: 2 * SECOND, size: 10 * SECOND }),
    ];
    for (name, kind) in kinds {
        let spec =
            WindowSpec { time: 2, kind, offset: 0, grace: 0, event_time: true, schema: schema.clone() };
        let mut operator = WindowAssign::new(spec);
        let mut out = Vec::new();
        group.bench_function(name, |b| {
            b.iter(|| {
                out.clear();
                operator.push(0, delta.clone(), &mut out).is_ok()
            })
        });
    }
    group.finish();
    Ok(())
}

/// 64 rows more at the end of one session of so many: the cost of a row must not grow with the session.
fn sessions(c: &mut Criterion) -> Result<()> {
    const STEP: usize = 64;
    let mut fields: Vec<Field> = bid_schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    let time = fields[2].data_type().clone();
    fields.extend(
        ["window_start", "window_end", "window_time"].map(|name| Field::new(name, time.clone(), true)),
    );
    let spec = SessionSpec {
        time: 2,
        keys: vec![],
        gap: SECOND,
        grace: 0,
        mode: EmitMode::Final,
        closes: true,
        schema: Arc::new(Schema::new(fields)),
    };
    let mut group = c.benchmark_group("session, 64 rows more");
    group.throughput(Throughput::Elements(STEP as u64));
    for (name, rows) in [("after 10k", 10_000), ("after 100k", 100_000), ("after 1M", 1_000_000)] {
        let mut operator = SessionWindow::new(spec.clone())?;
        let mut out = Vec::new();
        operator.push(0, Delta::insert(bids(rows, 10_000, 0)?), &mut out)?;
        operator.finish_step(WATERMARK_NONE, &mut out)?;
        let mut end = rows as i64;
        group.bench_function(name, |b| {
            b.iter_batched(
                || {
                    end += STEP as i64;
                    bids(STEP, 10_000, end)
                },
                |batch| -> Result<()> {
                    operator.push(0, Delta::insert(batch?), &mut out)?;
                    operator.finish_step(WATERMARK_NONE, &mut out)?;
                    Ok(())
                },
                BatchSize::SmallInput,
            )
        });
    }
    group.finish();
    Ok(())
}

/// What the planner makes of a query over the bids.
fn specs(query: &str, mode: EmitMode) -> Result<Vec<Spec>> {
    let schema = bid_schema();
    let columns = schema.fields().iter().map(|f| Column {
        name: f.name().clone(),
        data_type: f.data_type().clone(),
        nullable: true,
    });
    let bids = StreamDef {
        name: "bids".into(),
        columns: columns.collect(),
        event_time: Some(EventTimeDef { column: "ts".into(), delay: Some(0) }),
        connector: "topic".into(),
        options: Vec::new(),
        query: None,
        primary_key: None,
    };
    let mut definitions = Definitions::default();
    definitions.streams.insert("bids".into(), Arc::new(bids));
    let (statements, _) = parse_all(query);
    let Some(Statement::Query(parsed)) = statements.first().map(|s| &s.statement) else {
        return Err("not a query".into());
    };
    let planner = Planner::new();
    let plan = planner.query(&definitions, query, &parsed.query).map_err(|d| d.message)?;
    let plan = planner.optimize(plan).map_err(|d| d.message)?;
    let flow = planner.dataflow(&plan, mode).map_err(|d| d.message)?;
    Ok(flow.nodes.into_iter().map(|node| node.spec).collect())
}

/// What the planner makes of a GROUP BY over the bids.
fn aggregate_spec(query: &str, mode: EmitMode) -> Result<AggregateSpec> {
    let mut specs = specs(query, mode)?.into_iter().filter_map(|spec| match spec {
        Spec::Aggregate(spec) => Some(spec),
        _ => None,
    });
    specs.next().ok_or_else(|| "no aggregate".into())
}

/// What the planner makes of a ranking of the bids, as if they came and went (`changing`) or not.
fn top_n_spec(query: &str, changing: bool) -> Result<TopNSpec> {
    let specs = specs(query, EmitMode::Changes)?.into_iter().filter_map(|spec| match spec {
        Spec::TopN(spec) => Some(spec),
        _ => None,
    });
    let spec = specs.last().ok_or("no ranking")?;
    Ok(TopNSpec { input_append_only: !changing, ..spec })
}

/// What a changed row costs over a state of so many rows, in steps of few rows and of many.
fn rankings(c: &mut Criterion) -> Result<()> {
    let last = "SELECT auction, price, ts FROM (SELECT *, row_number() OVER (PARTITION BY auction ORDER BY ts DESC) AS n FROM bids) WHERE n = 1 EMIT CHANGES";
    let top = "SELECT auction, price, ts FROM bids ORDER BY price DESC LIMIT 10 EMIT CHANGES";
    let place = "SELECT auction, price, ts, n FROM (SELECT *, row_number() OVER (PARTITION BY auction ORDER BY price DESC) AS n FROM bids) WHERE n <= 10 EMIT CHANGES";
    let cases = [
        ("last row of each key, append-only", last, false),
        ("top 10 of all, changing", top, true),
        ("top 10 with place of each of 1,000 keys, changing", place, true),
    ];
    for (name, query, changing) in cases {
        for rows in [10_000usize, 100_000, 1_000_000] {
            let keys = if changing { 1_000 } else { rows as u64 };
            let mut operator = TopN::new(top_n_spec(query, changing)?)?;
            let mut out = Vec::new();
            // With as many keys as rows some keys come twice; that is near enough.
            for from in (0..rows).step_by(BATCH) {
                let batch = bids(BATCH.min(rows - from), keys, from as i64)?;
                operator.push(0, Delta::insert(batch), &mut out)?;
                operator.finish_step(WATERMARK_NONE, &mut out)?;
                out.clear();
            }
            let mut group = c.benchmark_group(name);
            for step in [10usize, 1024] {
                group.throughput(Throughput::Elements(step as u64));
                let mut at = rows as i64;
                group.bench_function(BenchmarkId::new(format!("{rows} rows of state"), step), |b| {
                    b.iter(|| {
                        let come = bids(step, keys, at).map(Delta::insert);
                        // What comes and goes leaves the state as large as it was.
                        let deltas = match (come, changing) {
                            (Ok(come), true) => {
                                let minus = Int64Array::from_value(-1, step);
                                let go = Delta::weighted(come.batch.clone(), Some(minus));
                                vec![come, go]
                            }
                            (Ok(come), false) => vec![come],
                            (Err(_), _) => vec![],
                        };
                        at += step as i64;
                        out.clear();
                        deltas.into_iter().all(|delta| {
                            operator.push(0, delta, &mut out).is_ok()
                                && operator.finish_step(WATERMARK_NONE, &mut out).is_ok()
                        })
                    })
                });
            }
            group.finish();
        }
    }
    Ok(())
}

fn aggregates(c: &mut Criterion) -> Result<()> {
    let query = "SELECT auction, count(*), avg(price) FROM bids GROUP BY auction EMIT CHANGES";
    let mut group = c.benchmark_group("aggregate count, avg");
    group.sample_size(20);
    group.throughput(Throughput::Elements((32 * BATCH) as u64));
    for (name, keys) in [("10k keys", 10_000), ("1M keys", 1_000_000)] {
        for (mode_name, mode) in [("changes", EmitMode::Changes), ("final", EmitMode::Final)] {
            // Without a window a final result goes out at the end of the input, which a query cannot ask for.
            let mut spec = aggregate_spec(query, EmitMode::Changes)?;
            spec.mode = mode;
            let wanted = spec.input_schema.clone();
            let mut deltas = Vec::new();
            for step in 0..32 {
                let batch = bids(BATCH, keys, step * BATCH as i64)?;
                let columns = wanted.fields().iter().map(|f| batch.column_by_name(f.name()).cloned());
                let columns: Option<Vec<ArrayRef>> = columns.collect();
                let columns = columns.ok_or("the aggregate wants other columns")?;
                deltas.push(Delta::insert(RecordBatch::try_new(wanted.clone(), columns)?));
            }
            let fresh = || Aggregate::new(spec.clone(), true);
            // Four batches a step: about what a worker gets of a step under load.
            let run = |operator: millstream::operators::Result<Aggregate>| -> Result<usize> {
                let (mut operator, mut out) = (operator?, Vec::new());
                for step in deltas.chunks(4) {
                    for delta in step {
                        operator.push(0, delta.clone(), &mut out)?;
                    }
                    operator.finish_step(WATERMARK_NONE, &mut out)?;
                }
                operator.finish_step(WATERMARK_END, &mut out)?;
                Ok(out.iter().map(Delta::num_rows).sum())
            };
            run(fresh())?;
            group.bench_function(BenchmarkId::new(name, mode_name), |b| {
                b.iter_batched(
                    fresh,
                    |operator| run(operator).map_or(0, |rows| rows),
                    BatchSize::PerIteration,
                )
            });
        }
    }
    group.finish();
    Ok(())
}

/// Upserts of a table that has so many keys: the cost of a changed row must not follow the size of the state.
fn upserts(c: &mut Criterion) -> Result<()> {
    let mut fields: Vec<Field> = bid_schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    fields.push(Field::new("_deleted", DataType::Boolean, false));
    let spec = UpsertSpec {
        table: "bids".into(),
        input_schema: Arc::new(Schema::new(fields)),
        keys: vec![0],
        deleted: 3,
        columns: vec![0, 1, 2],
        schema: bid_schema(),
    };
    let upserts = |bids: &RecordBatch| -> Result<Delta> {
        let mut columns = bids.columns().to_vec();
        columns.push(Arc::new(BooleanArray::from(vec![false; bids.num_rows()])));
        Ok(Delta::insert(RecordBatch::try_new(spec.input_schema.clone(), columns)?))
    };
    let mut group = c.benchmark_group("upsert");
    for (name, keys) in [("10k keys", 10_000), ("100k keys", 100_000), ("1M keys", 1_000_000)] {
        let mut table = Upsert::new(spec.clone())?;
        let mut step = |delta: &Delta| -> millstream::operators::Result<usize> {
            let mut out = Vec::new();
            table.push(0, delta.clone(), &mut out)?;
            table.finish_step(WATERMARK_NONE, &mut out)?;
            Ok(out.iter().map(Delta::num_rows).sum())
        };
        for first in (0..keys as i64).step_by(BATCH) {
            let ids = Int64Array::from_iter_values(first..(first + BATCH as i64).min(keys as i64));
            let rows = bids(ids.len(), keys, first)?;
            let columns = vec![Arc::new(ids) as ArrayRef, rows.column(1).clone(), rows.column(2).clone()];
            step(&upserts(&RecordBatch::try_new(bid_schema(), columns)?)?)?;
        }
        for rows in [10, BATCH] {
            let deltas = (0..64)
                .map(|i| upserts(&bids(rows, keys, (1 << 30) + i * rows as i64)?))
                .collect::<Result<Vec<_>>>()?;
            let mut next = deltas.iter().cycle();
            group.throughput(Throughput::Elements(rows as u64));
            group.bench_function(BenchmarkId::new(name, format!("{rows} rows a step")), |b| {
                b.iter(|| next.next().map_or(0, |delta| step(delta).unwrap_or(0)))
            });
        }
    }
    group.finish();
    Ok(())
}

fn printing(c: &mut Criterion) -> Result<()> {
    let bids = bids(BATCH, 10_000, 0)?;
    let names = StringArray::from_iter_values((0..BATCH).map(|i| format!("channel {i}")));
    let mut columns = bids.columns().to_vec();
    columns.push(Arc::new(names));
    columns.push(cast(bids.column(1), &DataType::Float64)?);
    let mut fields: Vec<Field> = bid_schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    fields.push(Field::new("channel", DataType::Utf8, true));
    fields.push(Field::new("dollars", DataType::Float64, true));
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
    let mut group = c.benchmark_group("print");
    group.throughput(Throughput::Elements(BATCH as u64));
    for (name, format) in [("jsonl", PrintFormat::Jsonl), ("csv", PrintFormat::Csv)] {
        let mut printer = ResultPrinter::new(format, batch.schema(), false, Box::new(std::io::sink()));
        group.bench_function(name, |b| b.iter(|| printer.write(&batch, None).is_ok()));
    }
    group.finish();
    Ok(())
}

fn all(c: &mut Criterion) {
    let groups = [formats, frames, exchange, windows, sessions, aggregates, rankings, upserts, printing];
    for group in groups {
        if let Err(error) = group(c) {
            panic!("{error}");
        }
    }
}

criterion_group! {
    name = kernels;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = all
}
criterion_main!(kernels);
