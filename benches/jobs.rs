//! Whole jobs over a topic, beside DataFusion's batch engine over the same rows in the same run.
//!
//!     cargo bench --bench jobs                    all queries
//!     cargo bench --bench jobs -- tumbling        those whose name has this in it
//!
//! ROWS (5,000,000), RUNS (3), WORKERS (the machine's cores), KEYS (10,000) are taken from the environment.
//!
//! Each query is run three ways in turn, RUNS times: as a job that reads the topic and throws its result away,
//! as a bounded SELECT over the topic, and by DataFusion over the rows in memory. The best of each counts. Wall
//! time tells what a user waits, CPU time what it costs; on a machine that does other things too, trust the latter.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use millstream::clock::Clock;
use millstream::config::Settings;
use millstream::connectors::topic::TopicAppender;
use millstream::delta::WATERMARK_END;
use millstream::disk::Disk;
use millstream::engine::{Engine, Outcome, Session, parse_all};
use millstream::log::Log;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Rows of one appended batch.
const BATCH: usize = 8192;
const PARTITIONS: usize = 2;
/// The event time that all rows span, in microseconds.
const SPAN: i64 = 600_000_000;

/// A query as a job, as a bounded SELECT and for DataFusion (over the table `m`).
struct Case {
    name: &'static str,
    job: &'static str,
    bounded: &'static str,
    batch: &'static str,
}

const CASES: [Case; 7] = [
    Case {
        name: "filter and project",
        job: "SELECT auction, price * 2 + 1 AS p FROM bids WHERE auction % 10 = 3 EMIT CHANGES",
        bounded: "SELECT auction, price * 2 + 1 AS p FROM bids WHERE auction % 10 = 3",
        batch: "SELECT auction, price * 2 + 1 AS p FROM m WHERE auction % 10 = 3",
    },
    Case {
        name: "tumbling count, avg by key",
        job: "SELECT window_start, auction, count(*), avg(price) FROM TUMBLE(bids, ts, INTERVAL '10 seconds')
              GROUP BY window_start, auction EMIT FINAL",
        bounded: "SELECT window_start, auction, count(*), avg(price) FROM TUMBLE(bids, ts, INTERVAL '10 seconds')
                  GROUP BY window_start, auction",
        batch: "SELECT date_bin(INTERVAL '10 seconds', ts) AS w, auction, count(*), avg(price) FROM m GROUP BY w, auction",
    },
    Case {
        name: "tumbling, both bounds",
        job: "SELECT window_start, window_end, auction, count(*), avg(price)
              FROM TUMBLE(bids, ts, INTERVAL '10 seconds') GROUP BY window_start, window_end, auction EMIT FINAL",
        bounded: "SELECT window_start, window_end, auction, count(*), avg(price)
                  FROM TUMBLE(bids, ts, INTERVAL '10 seconds') GROUP BY window_start, window_end, auction",
        batch: "SELECT date_bin(INTERVAL '10 seconds', ts) AS w, date_bin(INTERVAL '10 seconds', ts) + INTERVAL '10 seconds' AS e,
                auction, count(*), avg(price) FROM m GROUP BY w, e, auction",
    },
    Case {
        name: "tumbling count, no key",
        job: "SELECT window_start, count(*), max(price) FROM TUMBLE(bids, ts, INTERVAL '1 second')
              GROUP BY window_start EMIT FINAL",
        bounded: "SELECT window_start, count(*), max(price) FROM TUMBLE(bids, ts, INTERVAL '1 second') GROUP BY window_start",
        batch: "SELECT date_bin(INTERVAL '1 second', ts) AS w, count(*), max(price) FROM m GROUP BY w",
    },
    Case {
        name: "hopping, 5 windows a row",
        job: "SELECT window_start, auction, count(*) FROM HOP(bids, ts, INTERVAL '2 seconds', INTERVAL '10 seconds')
              GROUP BY window_start, auction EMIT FINAL",
        bounded: "SELECT window_start, auction, count(*)
                  FROM HOP(bids, ts, INTERVAL '2 seconds', INTERVAL '10 seconds') GROUP BY window_start, auction",
        batch: "SELECT date_bin(INTERVAL '2 seconds', ts) - back AS w, auction, count(*)
                FROM m CROSS JOIN (VALUES (INTERVAL '0 seconds'), (INTERVAL '2 seconds'), (INTERVAL '4 seconds'),
                (INTERVAL '6 seconds'), (INTERVAL '8 seconds')) AS n(back) GROUP BY w, auction",
    },
    Case {
        name: "group by, changes",
        job: "SELECT auction, count(*), sum(price) FROM bids GROUP BY auction EMIT CHANGES",
        bounded: "SELECT auction, count(*), sum(price) FROM bids GROUP BY auction",
        batch: "SELECT auction, count(*), sum(price) FROM m GROUP BY auction",
    },
    Case {
        name: "tumbling count distinct",
        job: "SELECT window_start, count(DISTINCT auction) FROM TUMBLE(bids, ts, INTERVAL '10 seconds')
              GROUP BY window_start EMIT FINAL",
        bounded: "SELECT window_start, count(DISTINCT auction) FROM TUMBLE(bids, ts, INTERVAL '10 seconds')
                  GROUP BY window_start",
        batch: "SELECT date_bin(INTERVAL '10 seconds', ts) AS w, count(DISTINCT auction) FROM m GROUP BY w",
    },
];

/// What one run took, and how many rows came out.
#[derive(Clone, Copy)]
struct Took {
    wall: Duration,
    cpu: Duration,
    rows: usize,
}

fn main() -> Result<()> {
    let rows = number("ROWS", 5_000_000);
    let runs = number("RUNS", 3);
    let mut settings = Settings::default();
    settings.workers = number("WORKERS", settings.workers);
    // What cargo itself passes begins with a dash.
    let wanted = std::env::args().skip(1).find(|a| !a.starts_with('-'));

    let home = tempfile::tempdir()?;
    let engine = Engine::open_dir(&home.path().join("data"))?;
    let memory = load(&engine, &home.path().join("data"), &settings, rows, number("KEYS", 10_000) as u64)?;
    println!("{rows} rows, {PARTITIONS} partitions, {} workers, best of {runs}", settings.workers);
    println!(
        "million rows a second; CPU ratio = CPU seconds, wall ratio = wall seconds, each against DataFusion's\n"
    );
    println!(
        "{:<28} {:>8} {:>8} {:>8} {:>10} {:>10} {:>10} {:>10}",
        "", "job", "bounded", "batch", "job wall", "job CPU", "bnd wall", "bnd CPU"
    );
    for case in CASES.iter().filter(|c| wanted.as_ref().is_none_or(|w| c.name.contains(w.as_str()))) {
        let mut best = [None; 3];
        for _ in 0..runs {
            let took = [
                ours(&engine, &settings, case.job)?,
                ours(&engine, &settings, case.bounded)?,
                theirs(&engine, &settings, &memory, case.batch)?,
            ];
            for (best, took) in best.iter_mut().zip(took) {
                *best = Some(better(*best, took));
            }
        }
        let [Some(job), Some(bounded), Some(batch)] = best else { return Err("no runs".into()) };
        report(case.name, rows, job, bounded, batch);
    }
    Ok(())
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The better of both in each figure.
fn better(best: Option<Took>, took: Took) -> Took {
    let best = best.unwrap_or(took);
    Took { wall: best.wall.min(took.wall), cpu: best.cpu.min(took.cpu), rows: took.rows }
}

fn report(name: &str, rows: usize, job: Took, bounded: Took, batch: Took) {
    let rate = |took: Took| rows as f64 / took.wall.as_secs_f64() / 1e6;
    let ratio = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64();
    println!(
        "{name:<28} {:>8.2} {:>8.2} {:>8.2} {:>10.2} {:>10.2} {:>10.2} {:>10.2}   {} / {} / {} rows out",
        rate(job),
        rate(bounded),
        rate(batch),
        ratio(job.wall, batch.wall),
        ratio(job.cpu, batch.cpu),
        ratio(bounded.wall, batch.wall),
        ratio(bounded.cpu, batch.cpu),
        job.rows,
        bounded.rows,
        batch.rows,
    );
}

/// Fills the topic `bids`, whose end is stated so that all windows close; gives the same rows as batches.
fn load(
    engine: &Engine,
    dir: &std::path::Path,
    settings: &Settings,
    rows: usize,
    keys: u64,
) -> Result<Vec<Vec<RecordBatch>>> {
    let create = format!(
        "CREATE STREAM bids (auction BIGINT, price BIGINT, ts TIMESTAMP, WATERMARK FOR ts AS ts) \
         WITH (partitions = {PARTITIONS})"
    );
    ours(engine, settings, &create)?;
    let log = Log::open(dir, Disk::real(), Clock::system())?;
    let topic = log.topic("bids")?;
    let schema = topic.schema();
    let mut appender = TopicAppender::new(&topic, None, None, 0)?;
    let mut memory = vec![Vec::new(); PARTITIONS];
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut step = 0;
    while step * BATCH < rows {
        let batch = bids(&schema, step * BATCH..rows.min((step + 1) * BATCH), rows, keys, &mut random)?;
        appender.append(step as u64, &batch, None, None)?;
        memory[step % PARTITIONS].push(batch);
        step += 1;
    }
    appender.append(step as u64, &RecordBatch::new_empty(schema), None, Some(WATERMARK_END))?;
    appender.sync()?;
    Ok(memory)
}

/// Rows `range` of `all`: half of the bids go to a hundredth of the auctions.
fn bids(
    schema: &SchemaRef,
    range: std::ops::Range<usize>,
    all: usize,
    keys: u64,
    random: &mut u64,
) -> Result<RecordBatch> {
    let mut next = || {
        // xorshift64: the same rows each time.
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        *random
    };
    let len = range.len();
    let (mut auction, mut price) = (Vec::with_capacity(len), Vec::with_capacity(len));
    for _ in 0..len {
        let (a, b) = (next(), next());
        auction.push(((a >> 8) % if a & 1 == 0 { keys } else { keys.div_ceil(100) }) as i64);
        price.push((b % 10_000) as i64);
    }
    let ts: ArrayRef =
        Arc::new(TimestampMicrosecondArray::from_iter_values(range.map(|i| i as i64 * SPAN / all as i64)));
    let ts = match schema.field(2).data_type() {
        DataType::Timestamp(..) => arrow::compute::cast(&ts, schema.field(2).data_type())?,
        other => return Err(format!("a TIMESTAMP is kept as {other}").into()),
    };
    let columns: Vec<ArrayRef> =
        vec![Arc::new(Int64Array::from(auction)), Arc::new(Int64Array::from(price)), ts];
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

/// Runs a statement in a session of its own.
fn ours(engine: &Engine, settings: &Settings, sql: &str) -> Result<Took> {
    let (wall, cpu) = (Instant::now(), cpu_time()?);
    let mut session = Session::new(engine, settings.clone(), None, true);
    let (statements, wrong) = parse_all(sql);
    if let Some(wrong) = wrong {
        return Err(wrong.to_string().into());
    }
    let mut rows = 0;
    for statement in &statements {
        match session.execute(sql, statement)? {
            Outcome::Continuous(query) => {
                let count = Arc::new(AtomicUsize::new(0));
                let counted = count.clone();
                query.run(move |delta| {
                    counted.fetch_add(delta.num_rows(), Ordering::Relaxed);
                    Ok(())
                })?;
                rows += count.load(Ordering::Relaxed);
            }
            Outcome::Bounded(mut answer) => {
                while let Some(batch) = answer.next_batch()? {
                    rows += batch.num_rows();
                }
            }
            _ => {}
        }
    }
    drop(session);
    Ok(Took { wall: wall.elapsed(), cpu: cpu_time()?.saturating_sub(cpu), rows })
}

/// Runs a query by DataFusion alone, over the rows in memory.
fn theirs(engine: &Engine, settings: &Settings, memory: &[Vec<RecordBatch>], sql: &str) -> Result<Took> {
    let (wall, cpu) = (Instant::now(), cpu_time()?);
    let config = SessionConfig::new().with_target_partitions(settings.workers);
    let context = SessionContext::new_with_config(config);
    let schema = memory[0].first().ok_or("no rows")?.schema();
    context.register_table("m", Arc::new(MemTable::try_new(schema, memory.to_vec())?))?;
    let batches = engine.tokio().block_on(async { context.sql(sql).await?.collect().await })?;
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    Ok(Took { wall: wall.elapsed(), cpu: cpu_time()?.saturating_sub(cpu), rows })
}

/// What all threads of this process have used of the processors, as Linux counts it (in hundredths of a second).
fn cpu_time() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(") ").next().ok_or("no process status")?;
    let ticks: u64 = fields.split(' ').skip(11).take(2).filter_map(|f| f.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 10))
}
