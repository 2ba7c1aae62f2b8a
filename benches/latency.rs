//! How long it takes from the append of a row until its result can be read in the job's sink, exactly once.
//!
//!     cargo bench --bench latency                 all queries
//!     cargo bench --bench latency -- filter       those whose name has this in it
//!
//! RATES (10,000 100,000 500,000 rows a second), SECONDS (10), FSYNC (os), CHECKPOINT (1 s), PARTITIONS (2) and WORKERS (the
//! machine's cores) are taken from the environment. Rows are appended every millisecond, through a log of their own, as another
//! process would; a reader waits at the sink's topic. The time of a row begins before its append and ends when the reader has it. What
//! comes in the first second is left out. Of a table's rows those count that are in the sink: of a key that changes several times in
//! a step there is one. A result that is given once, when its window is over, is that of the rows that told so: the
//! first ones behind the window's end, of each partition. *Sent* is what was appended in a second: where it is less than what was
//! asked for, this machine cannot append and compute so much at once.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{Int64Type, Schema, TimestampMillisecondType};
use millstream::clock::Clock;
use millstream::config::Settings;
use millstream::disk::Disk;
use millstream::engine::{Engine, Session, parse_all};
use millstream::log::{Append, Log};
use std::error::Error;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Between two appends.
const TICK: Duration = Duration::from_millis(1);
const WARM_UP: Duration = Duration::from_secs(1);
/// Different keys of the rows, where any may come at any time.
const KEYS: u64 = 10_000;
/// Where rows are bids on auctions that are open: auctions for so many bids, how many are open, and for how many the hot one is.
const AUCTIONS: u64 = 3;
const BIDS_OF_AUCTIONS: u64 = 46;
const OPEN: u64 = 100;
/// Auctions that are loaded at once.
const LOADED: u64 = 8192;
/// The event time of the first rows, in milliseconds since the epoch.
const BASE_MS: i64 = 1_767_225_600_000;

/// Which row a row of the result is due to.
#[derive(Clone, Copy)]
enum Due {
    /// The one with the id in this column.
    Id(usize),
    /// The one that was the last to tell that the window is over whose end is in this column.
    WindowEnd(usize),
}

/// A query and what it reads.
struct Case {
    name: &'static str,
    /// The columns of the stream `s`.
    columns: &'static str,
    query: &'static str,
    due: Due,
    keys: Keys,
}

/// Which keys rows have.
#[derive(Clone, Copy)]
enum Keys {
    /// Any of so many, again and again.
    Any,
    /// The auctions that are open, as in Nexmark: half of the rows have the hot one, and time goes on from one to the next.
    Open,
}

impl Keys {
    fn of(self, id: u64) -> i64 {
        let drawn = id.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
        (match self {
            Keys::Any => id.wrapping_mul(7919) % KEYS,
            Keys::Open => {
                let last = OPEN + id * AUCTIONS / BIDS_OF_AUCTIONS;
                if drawn.is_multiple_of(2) { last / OPEN * OPEN } else { last - drawn / 2 % OPEN }
            }
        }) as i64
    }

    /// How many different ones there are among so many rows.
    fn count(self, rows: u64) -> u64 {
        match self {
            Keys::Any => KEYS,
            Keys::Open => OPEN + rows * AUCTIONS / BIDS_OF_AUCTIONS + 1,
        }
    }
}

/// As bids are.
const BIDS: &str = "id BIGINT, k BIGINT, v BIGINT, ts TIMESTAMP(3), channel TEXT, url TEXT, extra TEXT, WATERMARK FOR ts AS ts";

/// The auctions are there before, all bids are kept, a tenth of the auctions is wanted.
const JOIN: &str = "CREATE STREAM t WITH (partitions = {p}, fsync = '{f}') AS
                SELECT b.id, b.k, b.v, b.channel, b.url, b.ts, b.extra, a.item, a.seller, a.category, a.extra AS auction_extra
                FROM s AS b JOIN auctions AS a ON b.k = a.id WHERE a.category = 10";

const CASES: [Case; 6] = [
    Case {
        name: "filter and project",
        columns: "id BIGINT, k BIGINT, v BIGINT",
        query: "CREATE STREAM t WITH (partitions = {p}, fsync = '{f}') AS SELECT id, k, v + 1 AS v FROM s WHERE v >= 0",
        due: Due::Id(0),
        keys: Keys::Any,
    },
    Case {
        name: "group by into a table",
        columns: "id BIGINT, k BIGINT, v BIGINT",
        query: "CREATE TABLE t WITH (partitions = {p}, fsync = '{f}') AS SELECT k, count(*) AS n, max(id) AS id FROM s GROUP BY k",
        due: Due::Id(2),
        keys: Keys::Any,
    },
    // Each change of a count.
    Case {
        name: "tumbling count, changes",
        columns: BIDS,
        query: "CREATE TABLE t WITH (partitions = {p}, fsync = '{f}') AS SELECT window_start, k, count(*) AS n, max(id) AS id
                FROM TUMBLE(s, ts, INTERVAL '1 second') GROUP BY window_start, k EMIT CHANGES",
        due: Due::Id(3),
        keys: Keys::Any,
    },
    // Each count once.
    Case {
        name: "tumbling count, final",
        columns: BIDS,
        query: "CREATE STREAM t WITH (partitions = {p}, fsync = '{f}') AS SELECT window_end, k, count(*) AS n
                FROM TUMBLE(s, ts, INTERVAL '100 milliseconds') GROUP BY window_end, k EMIT FINAL",
        due: Due::WindowEnd(0),
        keys: Keys::Any,
    },
    // Nexmark's q20.
    Case {
        name: "join with auctions, as q20",
        columns: BIDS,
        query: JOIN,
        due: Due::Id(0),
        keys: Keys::Open,
    },
    // The same, but bids on any of 10,000 auctions come as long as it runs, so that what each has grows.
    Case {
        name: "join with any of them",
        columns: BIDS,
        query: JOIN,
        due: Due::Id(0),
        keys: Keys::Any,
    },
];

fn text(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.into())
}

fn main() -> Result<()> {
    millstream::cli::allocator::set_up();
    let wanted = std::env::args().skip(1).find(|a| !a.starts_with('-'));
    let seconds: u64 = text("SECONDS", "10").parse()?;
    let (partitions, fsync, checkpoint) =
        (text("PARTITIONS", "2"), text("FSYNC", "os"), text("CHECKPOINT", "1 s"));
    println!(
        "fsync = '{fsync}', a checkpoint every {checkpoint}, {partitions} partitions, {seconds} s each; ms from append to sink"
    );
    println!(
        "{:28} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "", "rows/s", "sent", "seen", "p50", "p99", "p99.9", "longest"
    );
    for case in CASES.iter().filter(|c| wanted.as_ref().is_none_or(|w| c.name.contains(w.as_str()))) {
        for rate in text("RATES", "10000 100000 500000").split_whitespace() {
            let rate: u64 = rate.parse()?;
            let home = tempfile::tempdir()?;
            let sql = format!(
                "SET checkpoint_interval = '{checkpoint}';
                 CREATE STREAM auctions (id BIGINT, item TEXT, seller BIGINT, category BIGINT, extra TEXT);
                 CREATE STREAM s ({}) WITH (partitions = {partitions}, fsync = '{fsync}');
                 {};",
                case.columns,
                case.query.replace("{p}", &partitions).replace("{f}", &fsync)
            );
            let (mut times, sent) =
                measure(&home.path().join("data"), &sql, rate, Duration::from_secs(seconds), case)?;
            times.sort_unstable();
            let at = |part: f64| match times.len() {
                0 => f64::NAN,
                n => times[((n - 1) as f64 * part) as usize].as_secs_f64() * 1e3,
            };
            println!(
                "{:28} {rate:8} {sent:8.0} {:8} {:8.2} {:8.2} {:8.2} {:8.2}",
                case.name,
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

/// Runs the statements while rows are appended to `s`; gives the times of those that come to `t`, and how many rows were
/// appended in a second.
fn measure(dir: &Path, sql: &str, rate: u64, lasts: Duration, case: &Case) -> Result<(Vec<Duration>, f64)> {
    let engine = Engine::open_dir(dir)?;
    let mut settings = Settings::default();
    settings.workers = text("WORKERS", &settings.workers.to_string()).parse()?;
    let mut session = Session::new(&engine, settings, None, false);
    let log = Log::open(dir, Disk::real(), Clock::system())?;
    let (statements, wrong) = parse_all(sql);
    if let Some(wrong) = wrong {
        return Err(wrong.to_string().into());
    }
    let per_tick = (rate * TICK.as_millis() as u64 / 1000).max(1);
    let rows = ((lasts + WARM_UP).as_millis() / TICK.as_millis()) as u64 * per_tick;
    for (i, statement) in statements.iter().enumerate() {
        // What is there before the query comes.
        if i + 1 == statements.len() {
            load_auctions(&log, case.keys.count(rows))?;
        }
        session.execute(sql, statement)?;
    }
    let began = Instant::now();
    // When each row was appended, in nanoseconds since then.
    let sent: Sent = Sent { began, per_tick, at: (0..rows).map(|_| AtomicU64::new(0)).collect() };
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| read(&log, &sent, case.due, &over));
        let producer = scope.spawn(|| -> Result<f64> {
            let written = produce(&log, &sent, case.keys);
            // What is still under way comes.
            std::thread::sleep(Duration::from_millis(500));
            over.store(true, Ordering::Release);
            written
        });
        session.wait(&mut || !over.load(Ordering::Acquire))?;
        let per_second = producer.join().map_err(|_| "the producer panicked")??;
        let times = reader.join().map_err(|_| "the reader panicked")??;
        session.stop();
        session.check()?;
        Ok((times, per_second))
    })
}

/// When rows were appended.
struct Sent {
    began: Instant,
    per_tick: u64,
    /// Each row, in nanoseconds since it began.
    at: Vec<AtomicU64>,
}

impl Sent {
    /// When the row was appended that a value of the result is due to; none if that is yet to come, or was before.
    fn when(&self, due: Due, value: i64, partitions: u64) -> Option<Duration> {
        let row = match due {
            Due::Id(_) => value as u64,
            // Each tick's rows go to one partition, in turn: as many later all have passed the end.
            Due::WindowEnd(_) => ((value - BASE_MS) as u64 + partitions - 1) * self.per_tick,
        };
        let at = self.at.get(usize::try_from(row).ok()?)?.load(Ordering::Acquire);
        (at > 0).then(|| Duration::from_nanos(at))
    }
}

fn load_auctions(log: &Log, count: u64) -> Result<()> {
    let topic = log.topic("auctions")?;
    let mut writer = topic.writer(0)?;
    for from in (0..count).step_by(LOADED as usize) {
        let ids = from as i64..(from + LOADED).min(count) as i64;
        let of = |value: fn(i64) -> i64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(ids.clone().map(value)))
        };
        let text = |width: usize| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(ids.clone().map(|id| format!("{id:0width$}"))))
        };
        // The hot one is a multiple of a hundred: its category must not always be the same.
        let category =
            of(|id| 10 + id.wrapping_mul(0x2545_F491_4F6C_DD1D).cast_unsigned().wrapping_shr(40) as i64 % 10);
        let columns = vec![of(|id| id), text(20), of(|id| id % 1000), category, text(250)];
        writer.append(Append::rows(&RecordBatch::try_new(topic.schema(), columns)?))?;
    }
    Ok(())
}

/// Appends the rows when they are due; gives how many it were in a second.
fn produce(log: &Log, sent: &Sent, keys: Keys) -> Result<f64> {
    let topic = log.topic("s")?;
    let schema = topic.schema();
    let mut writers =
        (0..topic.partitions()).map(|p| topic.writer(p)).collect::<std::result::Result<Vec<_>, _>>()?;
    let (partitions, per_tick) = (writers.len(), sent.per_tick);
    let texts = Texts::of(per_tick as usize);
    for tick in 0..sent.at.len() as u64 / per_tick {
        let due = TICK * tick as u32;
        if let Some(left) = due.checked_sub(sent.began.elapsed()) {
            std::thread::sleep(left);
        }
        let ids = tick * per_tick..(tick + 1) * per_tick;
        let batch = batch(&schema, tick, ids.clone(), keys, &texts)?;
        let now = sent.began.elapsed().as_nanos() as u64;
        ids.for_each(|id| sent.at[id as usize].store(now, Ordering::Release));
        writers[tick as usize % partitions].append(Append::rows(&batch))?;
    }
    Ok(sent.at.len() as f64 / sent.began.elapsed().as_secs_f64())
}

/// The texts of a tick's rows, the same ones in each tick: made once, as making them is no part of what is measured.
struct Texts {
    channel: ArrayRef,
    url: ArrayRef,
    extra: ArrayRef,
}

impl Texts {
    fn of(rows: usize) -> Self {
        let texts = |text: fn(usize) -> String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values((0..rows).map(text)))
        };
        Texts {
            channel: texts(|i| format!("channel-{}", i * 7919 % 10_000)),
            url: texts(|i| format!("https://www.nexmark.com/{:05}/item.htm?query=1", i * 104_729 % 99_991)),
            extra: texts(|i| format!("{:060}", i as u64 * 2_654_435_761)),
        }
    }
}

fn batch(schema: &Arc<Schema>, tick: u64, ids: Range<u64>, keys: Keys, texts: &Texts) -> Result<RecordBatch> {
    let of = |value: &dyn Fn(u64) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(ids.clone().map(value)))
    };
    let column = |name: &str| -> Result<ArrayRef> {
        Ok(match name {
            "id" => of(&|id| id as i64),
            "k" => of(&|id| keys.of(id)),
            "v" => of(&|id| (id % 1000) as i64),
            "ts" => {
                let rows = (ids.end - ids.start) as usize;
                Arc::new(TimestampMillisecondArray::from_value(BASE_MS + tick as i64, rows))
            }
            "channel" => texts.channel.clone(),
            "url" => texts.url.clone(),
            "extra" => texts.extra.clone(),
            other => return Err(format!("nothing for the column {other}").into()),
        })
    };
    let columns = schema.fields().iter().map(|f| column(f.name())).collect::<Result<Vec<_>>>()?;
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

fn read(log: &Log, sent: &Sent, due: Due, over: &AtomicBool) -> Result<Vec<Duration>> {
    let topic = log.topic("t")?;
    let partitions = u64::from(log.topic("s")?.partitions());
    let (Due::Id(column) | Due::WindowEnd(column)) = due;
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
                let now = sent.began.elapsed();
                let column = frame.batch.column(0);
                let values = match due {
                    Due::Id(_) => column.as_primitive::<Int64Type>().values(),
                    Due::WindowEnd(_) => column.as_primitive::<TimestampMillisecondType>().values(),
                };
                let then = values.iter().filter_map(|value| sent.when(due, *value, partitions));
                times.extend(then.filter(|then| *then >= WARM_UP).map(|then| now.saturating_sub(then)));
            }
        }
        if !any {
            topic.wait_newer(seen, Duration::from_millis(20));
        }
    }
    Ok(times)
}
