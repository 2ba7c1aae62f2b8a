//! What is counted: kernels and queries in one thread, and one whole job.

use crate::data::{BATCH, Result, bid_schema, bids};
use crate::flow::{Flow, Step};
use crate::job;
use crate::lines::{csv_text, decode, json_text, wide_schema};
use arrow::array::{Int64Array, RecordBatch};
use millstream::clock::Clock;
use millstream::delta::{Delta, WATERMARK_NONE, hash_columns, partition};
use millstream::disk::Disk;
use millstream::formats::{CsvOptions, Format};
use millstream::log::{Append, Codec, Log, Topic, TopicOptions};
use millstream::plan::EmitMode;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

/// Work that is ready to be done; it gives how many rows it was.
pub(crate) type Work = Box<dyn FnOnce() -> Result<usize>>;

/// What is counted.
pub(crate) struct Kernel {
    pub(crate) name: &'static str,
    /// By how many of a hundred its count may differ.
    pub(crate) tolerance: f64,
    /// Whether its threads are counted from the start of the process on: it has several.
    pub(crate) is_process: bool,
    /// Makes what it needs in a folder of its own.
    pub(crate) prepare: fn(&Path) -> Result<Work>,
}

/// Of what runs in one thread; it moves by less than 1 from run to run, as seeds of hash tables are drawn anew.
const TOLERANCE: f64 = 3.0;
/// Of a job: its steps are cut as its threads happen to run, so that it moves by up to 7.
const JOB_TOLERANCE: f64 = 15.0;

const fn kernel(name: &'static str, prepare: fn(&Path) -> Result<Work>) -> Kernel {
    Kernel { name, tolerance: TOLERANCE, is_process: false, prepare }
}

/// All of them.
pub(crate) const KERNELS: &[Kernel] = &[
    kernel("json lines to columns", |_| {
        let (text, schema) = (json_text(2 * BATCH, true)?, wide_schema());
        Ok(Box::new(move || decode(Format::Json, &schema, text.as_bytes())))
    }),
    kernel("csv lines to columns", |_| {
        let (text, schema) = (csv_text(5 * BATCH)?, bid_schema());
        Ok(Box::new(move || decode(Format::Csv(CsvOptions::default()), &schema, text.as_bytes())))
    }),
    kernel("frames appended, lz4", append),
    kernel("frames read, lz4", |dir| read(dir, None)),
    kernel("frames read, 1 of 3 columns", |dir| read(dir, Some(vec![0]))),
    kernel("exchange by one key", exchange),
    kernel("filter and project", |_| {
        let query = "SELECT auction, price * 2 AS twice, ts FROM bids WHERE auction % 4 <> 0";
        rows_come(query, EmitMode::Changes, 128, 10_000)
    }),
    kernel("tumbling count, final", |_| rows_come(TUMBLING, EmitMode::Final, 40, 10_000)),
    kernel("tumbling count, changes", |_| rows_come(TUMBLING, EmitMode::Changes, 24, 10_000)),
    kernel("hopping count, final", |_| rows_come(HOPPING, EmitMode::Final, 16, 10_000)),
    kernel("count and average by key, rows come", |_| rows_come(SUMS, EmitMode::Changes, 16, 50_000)),
    kernel("count and average by key, rows come and go", |_| come_and_go(SUMS, 8, 50_000)),
    kernel("least and greatest by key, rows come and go", |_| come_and_go(EXTREMES, 3, 10_000)),
    kernel("distinct values by key", |_| rows_come(DISTINCT, EmitMode::Changes, 12, 1_000)),
    kernel("distinct values sent once", |_| {
        let query = "SELECT auction % 4 AS k, count(*) AS n, count(DISTINCT auction) AS a,
            count(DISTINCT auction) FILTER (WHERE price > 500) AS b FROM bids GROUP BY auction % 4";
        come(Flow::of(query, EmitMode::Changes, false)?.of_several(), 24, 1_000)
    }),
    kernel("sessions, final", |_| rows_come(SESSIONS, EmitMode::Final, 2, 10_000)),
    kernel("join, rows come", |_| rows_come(JOIN, EmitMode::Changes, 4, 10_000)),
    kernel("join, rows come and go", |_| come_and_go(JOIN, 2, 10_000)),
    kernel("join within a time", |_| rows_come(JOIN_WITHIN, EmitMode::Changes, 4, 20_000)),
    kernel("first 10 of each key, rows come", |_| rows_come(FIRST_TEN, EmitMode::Changes, 4, 1_000)),
    kernel("last row of each key, rows come", |_| rows_come(LAST_ROW, EmitMode::Changes, 4, 20_000)),
    kernel("q5, operators", |_| rows_come(Q5, EmitMode::Changes, 3, 1_000)),
    Kernel { name: "q5, a job", tolerance: JOB_TOLERANCE, is_process: true, prepare: job::prepare },
];

const TUMBLING: &str = "SELECT window_start, auction, count(*) AS n
    FROM TUMBLE(bids, ts, INTERVAL '100 milliseconds') GROUP BY window_start, auction";
const HOPPING: &str = "SELECT window_start, auction, count(*) AS n
    FROM HOP(bids, ts, INTERVAL '20 milliseconds', INTERVAL '100 milliseconds') GROUP BY window_start, auction";
const SESSIONS: &str = "SELECT window_start, auction, count(*) AS n
    FROM SESSION(bids PARTITION BY auction, ts, INTERVAL '20 milliseconds') GROUP BY window_start, window_end, auction";
const SUMS: &str = "SELECT auction, count(*), avg(price) FROM bids GROUP BY auction";
const EXTREMES: &str = "SELECT auction, min(price), max(price) FROM bids GROUP BY auction";
const DISTINCT: &str = "SELECT auction, count(*), count(DISTINCT price) FROM bids GROUP BY auction";
const JOIN: &str =
    "SELECT b.auction, b.price, o.price AS offered FROM bids AS b JOIN offers AS o ON b.auction = o.auction";
const JOIN_WITHIN: &str = "SELECT b.auction, b.price, o.price AS offered FROM bids AS b JOIN offers AS o
    ON b.auction = o.auction AND o.ts BETWEEN b.ts - INTERVAL '10 milliseconds' AND b.ts + INTERVAL '10 milliseconds'";
const FIRST_TEN: &str = "SELECT auction, price, ts, n FROM
    (SELECT *, row_number() OVER (PARTITION BY auction ORDER BY price DESC) AS n FROM bids) WHERE n <= 10";
const LAST_ROW: &str = "SELECT auction, price, ts FROM
    (SELECT *, row_number() OVER (PARTITION BY auction ORDER BY ts DESC) AS n FROM bids) WHERE n = 1";
/// As in `queries/nexmark/q5.sql`, with windows as long for the bids here.
const Q5: &str = "SELECT b.auction, b.num, b.s, b.e
    FROM (
      SELECT auction, count(*) AS num, window_start AS s, window_end AS e
      FROM HOP(bids, ts, INTERVAL '2 milliseconds', INTERVAL '10 milliseconds')
      GROUP BY auction, window_start, window_end
    ) AS b
    JOIN (
      SELECT max(c.num) AS maxn, c.s, c.e
      FROM (
        SELECT count(*) AS num, window_start AS s, window_end AS e
        FROM HOP(bids, ts, INTERVAL '2 milliseconds', INTERVAL '10 milliseconds')
        GROUP BY auction, window_start, window_end
      ) AS c
      GROUP BY c.s, c.e
    ) AS m
    ON b.s = m.s AND b.e = m.e AND b.num >= m.maxn";

fn topic(dir: &Path, codec: Codec) -> Result<Arc<Topic>> {
    let log = Log::open(dir.join("data"), Disk::real(), Clock::system())?;
    let options = TopicOptions { codec, ..TopicOptions::default() };
    Ok(log.create_topic("bids", options, bid_schema())?)
}

fn append(dir: &Path) -> Result<Work> {
    let topic = topic(dir, Codec::Lz4)?;
    let batches = (0..16).map(|i| bids(BATCH, 10_000, i * BATCH as i64)).collect::<Result<Vec<_>>>()?;
    let mut writer = topic.writer(0)?;
    Ok(Box::new(move || {
        for batch in &batches {
            writer.append(Append::rows(batch))?;
        }
        Ok(batches.len() * BATCH)
    }))
}

fn read(dir: &Path, columns: Option<Vec<usize>>) -> Result<Work> {
    let topic = topic(dir, Codec::Lz4)?;
    let mut writer = topic.writer(0)?;
    for i in 0..64 {
        writer.append(Append::rows(&bids(BATCH, 10_000, i * BATCH as i64)?))?;
    }
    Ok(Box::new(move || {
        let mut reader = topic.reader(0, 0, columns)?;
        let mut rows = 0;
        while let Some(frame) = reader.next()? {
            rows += black_box(frame.batch).num_rows();
        }
        Ok(rows)
    }))
}

/// What an exchange between two workers does to batches: hash, partition, take.
fn exchange(_: &Path) -> Result<Work> {
    let batches = (0..64).map(|i| bids(BATCH, 10_000, i * BATCH as i64)).collect::<Result<Vec<_>>>()?;
    Ok(Box::new(move || {
        let mut rows = 0;
        for delta in batches.into_iter().map(Delta::insert) {
            let hashes = hash_columns(&[delta.batch.column(0).clone()], BATCH)?;
            for part in partition(&hashes, 2) {
                rows += black_box(delta.take(&part)?).num_rows();
            }
        }
        Ok(rows)
    }))
}

/// Rows of each source that come, a batch a step, on so many keys; time goes on with them.
fn rows_come(query: &str, mode: EmitMode, batches: i64, keys: u64) -> Result<Work> {
    come(Flow::of(query, mode, false)?, batches, keys)
}

fn come(mut flow: Flow, batches: i64, keys: u64) -> Result<Work> {
    let mut steps = Vec::new();
    for i in 0..batches {
        let sources = drawn(&flow, i, keys)?.into_iter().map(Delta::insert).collect();
        // Rows are a microsecond apart.
        steps.push(Step { sources, watermark: (i + 1) * BATCH as i64 * 1000 });
    }
    Ok(Box::new(move || flow.run(steps)))
}

/// Rows of each source that come in one step and go in the next but one.
fn come_and_go(query: &str, batches: i64, keys: u64) -> Result<Work> {
    let mut flow = Flow::of(query, EmitMode::Changes, true)?;
    let mut steps = Vec::new();
    let step = |sources| Step { sources, watermark: WATERMARK_NONE };
    let mut before: Option<Vec<RecordBatch>> = None;
    for i in 0..batches {
        let come = drawn(&flow, i, keys)?;
        steps.push(step(come.iter().cloned().map(Delta::insert).collect()));
        let gone = before.replace(come).into_iter().flatten();
        let minus = |rows: RecordBatch| {
            let weights = Int64Array::from_value(-1, rows.num_rows());
            Delta::weighted(rows, Some(weights))
        };
        steps.push(step(gone.map(minus).collect()));
    }
    Ok(Box::new(move || flow.run(steps)))
}

/// A batch of rows for each source; they differ.
fn drawn(flow: &Flow, number: i64, keys: u64) -> Result<Vec<RecordBatch>> {
    let at = number * BATCH as i64;
    let rows = |source| flow.rows(source, &bids(BATCH, keys, at + source as i64 * 37)?);
    (0..flow.sources()).map(rows).collect()
}
