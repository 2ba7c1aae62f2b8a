//! How long it takes from the append of a row until its result can be read in the job's sink, exactly once.
//!
//!     cargo bench --bench latency                 both queries
//!     cargo bench --bench latency -- filter       those whose name has this in it
//!
//! RATES (1,000 10,000 100,000 rows a second), SECONDS (10), FSYNC (os), CHECKPOINT (1 s) and PARTITIONS (2) are taken from the
//! environment. Rows are appended every millisecond, through a log of their own, as another process would; a reader waits at
//! the sink's topic. The time of a row begins before its append and ends when the reader has it. What comes in the first
//! second is left out. Of a table's rows those count that are in the sink: of a key that changes several times in a step
//! there is one.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use millstream::clock::Clock;
use millstream::config::Settings;
use millstream::disk::Disk;
use millstream::engine::{Engine, Session, parse_all};
use millstream::log::{Append, Log};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Between two appends.
const TICK: Duration = Duration::from_millis(1);
const WARM_UP: Duration = Duration::from_secs(1);

/// A query, and the column of its result that names the last row that went into it.
const CASES: [(&str, &str, usize); 2] = [
    (
        "filter and project",
        "CREATE STREAM t WITH (partitions = {p}, fsync = '{f}') AS SELECT id, k, v + 1 AS v FROM s WHERE v >= 0",
        0,
    ),
    (
        "group by into a table",
        "CREATE TABLE t WITH (partitions = {p}, fsync = '{f}') AS SELECT k, count(*) AS n, max(id) AS id FROM s GROUP BY k",
        2,
    ),
];

fn text(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.into())
}

fn main() -> Result<()> {
    let wanted = std::env::args().skip(1).find(|a| !a.starts_with('-'));
    let seconds: u64 = text("SECONDS", "10").parse()?;
    let (partitions, fsync, checkpoint) =
        (text("PARTITIONS", "2"), text("FSYNC", "os"), text("CHECKPOINT", "1 s"));
    println!(
        "fsync = '{fsync}', a checkpoint every {checkpoint}, {partitions} partitions, {seconds} s each; ms from append to sink"
    );
    println!(
        "{:24} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "", "rows/s", "seen", "p50", "p99", "p99.9", "longest"
    );
    for (name, query, column) in
        CASES.iter().filter(|c| wanted.as_ref().is_none_or(|w| c.0.contains(w.as_str())))
    {
        for rate in text("RATES", "1000 10000 100000").split_whitespace() {
            let rate: u64 = rate.parse()?;
            let home = tempfile::tempdir()?;
            let sql = format!(
                "SET checkpoint_interval = '{checkpoint}';
                 CREATE STREAM s (id BIGINT, k BIGINT, v BIGINT) WITH (partitions = {partitions}, fsync = '{fsync}');
                 {};",
                query.replace("{p}", &partitions).replace("{f}", &fsync)
            );
            let mut times =
                measure(&home.path().join("data"), &sql, rate, Duration::from_secs(seconds), *column)?;
            times.sort_unstable();
            let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
            println!(
                "{name:24} {rate:8} {:8} {:8.2} {:8.2} {:8.2} {:8.2}",
                times.len(),
                at(0.5),
                at(0.99),
                at(0.999),
                at(1.0)
            );
        }
    }
    Ok(())
}

/// Runs the statements while rows are appended to `s`; gives the times of those that come to `t`.
fn measure(dir: &Path, sql: &str, rate: u64, lasts: Duration, column: usize) -> Result<Vec<Duration>> {
    let engine = Engine::open_dir(dir)?;
    let mut session = Session::new(&engine, Settings::default(), None, false);
    let (statements, wrong) = parse_all(sql);
    if let Some(wrong) = wrong {
        return Err(wrong.to_string().into());
    }
    for statement in &statements {
        session.execute(sql, statement)?;
    }
    let log = Log::open(dir, Disk::real(), Clock::system())?;
    let began = Instant::now();
    // When each row was appended, in nanoseconds since then.
    let per_tick = (rate * TICK.as_millis() as u64 / 1000).max(1);
    let ticks = (lasts + WARM_UP).as_millis() / TICK.as_millis();
    let appended: Vec<AtomicU64> = (0..ticks as u64 * per_tick).map(|_| AtomicU64::new(0)).collect();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| -> Result<Vec<Duration>> {
        let reader = scope.spawn(|| read(&log, began, &appended, column, &over));
        let producer = scope.spawn(|| -> Result<()> {
            let written = produce(&log, began, &appended, per_tick);
            // What is still under way comes.
            std::thread::sleep(Duration::from_millis(500));
            over.store(true, Ordering::Release);
            written
        });
        session.wait(&mut || !over.load(Ordering::Acquire))?;
        producer.join().map_err(|_| "the producer panicked")??;
        let times = reader.join().map_err(|_| "the reader panicked")??;
        session.stop();
        session.check()?;
        Ok(times)
    })
}

fn produce(log: &Log, began: Instant, appended: &[AtomicU64], per_tick: u64) -> Result<()> {
    let topic = log.topic("s")?;
    let schema = topic.schema();
    let mut writers =
        (0..topic.partitions()).map(|p| topic.writer(p)).collect::<std::result::Result<Vec<_>, _>>()?;
    let partitions = writers.len();
    for tick in 0..appended.len() as u64 / per_tick {
        let due = TICK * tick as u32;
        if let Some(left) = due.checked_sub(began.elapsed()) {
            std::thread::sleep(left);
        }
        let ids = tick * per_tick..(tick + 1) * per_tick;
        let of = |value: fn(u64) -> i64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(ids.clone().map(value)))
        };
        let columns = vec![
            of(|id| id as i64),
            of(|id| (id.wrapping_mul(7919) % 10_000) as i64),
            of(|id| (id % 1000) as i64),
        ];
        let batch = RecordBatch::try_new(schema.clone(), columns)?;
        let now = began.elapsed().as_nanos() as u64;
        ids.for_each(|id| appended[id as usize].store(now, Ordering::Release));
        writers[tick as usize % partitions].append(Append::rows(&batch))?;
    }
    Ok(())
}

fn read(
    log: &Log,
    began: Instant,
    appended: &[AtomicU64],
    column: usize,
    over: &AtomicBool,
) -> Result<Vec<Duration>> {
    let topic = log.topic("t")?;
    let mut readers = (0..topic.partitions())
        .map(|p| topic.reader(p, 0, Some(vec![column])))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let mut times = Vec::new();
    while !over.load(Ordering::Acquire) {
        let seen = topic.generation();
        let mut any = false;
        for reader in &mut readers {
            while let Some(frame) = reader.next()? {
                any = true;
                let now = began.elapsed();
                for id in frame.batch.column(0).as_primitive::<Int64Type>().iter().flatten() {
                    let then = Duration::from_nanos(appended[id as usize].load(Ordering::Acquire));
                    if then >= WARM_UP {
                        times.push(now.saturating_sub(then));
                    }
                }
            }
        }
        if !any {
            topic.wait_newer(seen, Duration::from_millis(20));
        }
    }
    Ok(times)
}
