//! Jobs that are killed: at any moment, and at every kind of place in their work on files. In the end every sink has the rows
//! of an undisturbed run.
//!
//! The file of jobs has two streams and a table as sources, two joins, windows, aggregates, a ranking, a join of one job's
//! result, streams and tables as sinks. Between two deaths rows are appended to the sources.
//!
//! `MILLSTREAM_KILLS` says how many deaths there are, `MILLSTREAM_KILLS_SEED` which they are.

mod rows;

use crate::cli::Place;
use crate::oracle::draw::Draw;
use rows::Sources;
use std::io::Read;
use std::process::Child;
use std::time::Duration;

const JOBS: &str = "
SET step_rows = 40; SET checkpoint_interval = '40 ms'; SET idle_timeout = '0 s'; SET memory_limit = '20 kB';
CREATE STREAM orders_late (ts TIMESTAMP, id BIGINT, customer BIGINT, amount BIGINT) WITH (partitions = 2);
CREATE STREAM orders (ts TIMESTAMP, id BIGINT, customer BIGINT, amount BIGINT,
  WATERMARK FOR ts AS ts - INTERVAL '5 seconds') WITH (partitions = 3, segment_bytes = '64 KiB', late_topic = 'orders_late');
CREATE STREAM payments (id BIGINT, ok BOOLEAN) WITH (partitions = 2, segment_bytes = '64 KiB');
CREATE TABLE customers (customer BIGINT, city TEXT, PRIMARY KEY (customer)) WITH (partitions = 2);
CREATE STREAM paid WITH (partitions = 2, segment_bytes = '64 KiB') AS
  SELECT o.id, o.customer, o.amount FROM orders o JOIN payments p ON o.id = p.id WHERE p.ok;
CREATE TABLE by_city WITH (segment_bytes = '64 KiB') AS
  SELECT c.city, count(*) AS n, sum(o.amount) AS total, count(DISTINCT o.customer) AS customers
  FROM orders o JOIN customers c ON o.customer = c.customer GROUP BY c.city;
CREATE STREAM minutes AS
  SELECT window_start, customer % 4 AS part, count(*) AS n, sum(amount) AS total
  FROM TUMBLE(orders, ts, INTERVAL '1 minute') GROUP BY window_start, customer % 4 EMIT FINAL;
CREATE TABLE best WITH (segment_bytes = '64 KiB') AS SELECT customer, r, amount, id FROM (
  SELECT customer, amount, id, row_number() OVER (PARTITION BY customer ORDER BY amount DESC, id) AS r FROM orders) WHERE r <= 2;
CREATE TABLE named AS SELECT b.customer, b.r, c.city, b.id FROM best b LEFT JOIN customers c ON b.customer = c.customer;
";

/// The sinks, and what each must hold once nothing follows.
const SINKS: [(&str, &str); 5] = [
    ("paid", "SELECT o.id, o.customer, o.amount FROM orders o JOIN payments p ON o.id = p.id WHERE p.ok"),
    (
        "by_city",
        "SELECT c.city, count(*) AS n, sum(o.amount) AS total, count(DISTINCT o.customer) AS customers
         FROM orders o JOIN customers c ON o.customer = c.customer GROUP BY c.city",
    ),
    (
        "minutes",
        "SELECT window_start, customer % 4 AS part, count(*) AS n, sum(amount) AS total
         FROM TUMBLE(orders, ts, INTERVAL '1 minute') WHERE window_end < TIMESTAMP '2100-01-01'
         GROUP BY window_start, customer % 4",
    ),
    (
        "best",
        "SELECT customer, r, amount, id FROM (SELECT customer, amount, id,
         row_number() OVER (PARTITION BY customer ORDER BY amount DESC, id) AS r FROM orders) WHERE r <= 2",
    ),
    (
        "named",
        "SELECT b.customer, b.r, c.city, b.id FROM (SELECT customer, r, amount, id FROM (SELECT customer, amount, id,
         row_number() OVER (PARTITION BY customer ORDER BY amount DESC, id) AS r FROM orders) WHERE r <= 2) b
         LEFT JOIN customers c ON b.customer = c.customer",
    ),
];

/// Where a process may die: what it is doing, and at which files.
const PLACES: [(&str, &str); 15] = [
    ("write", "/journal-"),
    ("sync", "/journal-"),
    ("write", "/state-"),
    ("sync", "/state-"),
    ("rename", "/state-"),
    ("remove", "/state-"),
    ("write", "/checkpoint.json"),
    ("rename", "/checkpoint.json"),
    ("remove", "/journal-"),
    ("write", ".log"),
    ("sync", ".log"),
    ("write", "/tail"),
    ("write", ".producers"),
    ("rename", "/pins/"),
    ("rename", "/job.json"),
];

/// Where a process that compacts a topic may die.
const COMPACTING: [(&str, &str); 4] =
    [("write", ".cleaned"), ("rename", ".cleaned"), ("remove", ".log"), ("write", ".index")];

/// How often a process whose death is planned gets rows before it is killed as it has not come to its place.
const FED: usize = 6;

fn asked(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

/// How many checkpoints the jobs have written, in all.
fn checkpoints(place: &Place) -> u64 {
    let Ok(jobs) = std::fs::read_dir(place.path(".millstream/jobs")) else { return 0 };
    let of = |job: std::fs::DirEntry| {
        let text = std::fs::read(job.path().join("checkpoint.json")).ok()?;
        serde_json::from_slice::<serde_json::Value>(&text).ok()?["checkpoint"]["generation"].as_u64()
    };
    jobs.flatten().filter_map(of).sum()
}

/// Whether the process has died. An end other than by a signal is an error of the program's.
fn is_dead(child: &mut Child) -> bool {
    match child.try_wait().unwrap() {
        None => false,
        Some(status) if status.code().is_none() => true,
        Some(status) => {
            let mut told = String::new();
            child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
            panic!("it ended with {status}: {told}");
        }
    }
}

/// Gives the process rows until it dies, or has written many checkpoints; then kills it. Says whether it died by itself.
fn feed_until_dead(child: &mut Child, place: &Place, sources: &mut Sources, draw: &mut Draw) -> bool {
    for _ in 0..FED {
        let before = checkpoints(place);
        sources.append(draw);
        while checkpoints(place) <= before {
            if is_dead(child) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    false
}

fn are_right(place: &Place, told: &str) {
    for (sink, query) in SINKS {
        let (kept, expected) = (place.rows(&format!("SELECT * FROM {sink}")), place.rows(query));
        assert!(!kept.is_empty(), "{sink} has rows");
        if kept != expected {
            let more = kept.iter().filter(|row| !expected.contains(row)).take(5).collect::<Vec<_>>();
            let less = expected.iter().filter(|row| !kept.contains(row)).take(5).collect::<Vec<_>>();
            panic!(
                "{sink} has {} rows instead of {}, too many such as {more:?}, too few such as {less:?} ({told})",
                kept.len(),
                expected.len()
            );
        }
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "how many deaths there were is what a long run is for")]
fn jobs_that_are_killed_anywhere_write_what_an_undisturbed_run_writes() {
    let (kills, seed) = (asked("MILLSTREAM_KILLS", 50), asked("MILLSTREAM_KILLS_SEED", 1));
    let told =
        format!("MILLSTREAM_KILLS={kills} MILLSTREAM_KILLS_SEED={seed} cargo test --test it killed_anywhere");
    let mut draw = Draw::new(seed);
    let place = Place::new();
    place.file("jobs.sql", JOBS);
    place.run(&["run", "jobs.sql", "--until-caught-up"]).ok();
    let mut sources = Sources::open(&place);
    let (mut deaths, mut planned) = (0, 0);
    while deaths < kills {
        sources.append(&mut draw);
        let compacts = draw.chance(10);
        let places: &[(&str, &str)] = if compacts { &COMPACTING } else { &PLACES };
        let (what, file) = places[draw.below(places.len())];
        let when = ["before", "after", "in"][draw.below(if what == "write" { 3 } else { 2 })];
        let most = if draw.chance(75) { 4 } else { 25 };
        let plan = format!("{when} {what} {} {file}", 1 + draw.below(most));
        let workers = (1 + draw.below(4)).to_string();
        let arguments: &[&str] = match compacts {
            true => &["topic", "compact", ["best", "by_city"][draw.below(2)]],
            false => &["run", "jobs.sql", "--workers", &workers],
        };
        let mut command = place.command(arguments);
        // Some die by a signal alone, at any moment.
        let planned_one = compacts || draw.chance(75);
        if planned_one {
            command.env("MILLSTREAM_CRASH", &plan);
        }
        if compacts {
            let died = command.status().unwrap().code().is_none();
            (deaths, planned) = (deaths + u64::from(died), planned + u64::from(died));
            continue;
        }
        let mut child = command.spawn().unwrap();
        if planned_one {
            planned += u64::from(feed_until_dead(&mut child, &place, &mut sources, &mut draw));
        } else {
            std::thread::sleep(Duration::from_millis(draw.below(300) as u64));
            sources.append(&mut draw);
            std::thread::sleep(Duration::from_millis(draw.below(300) as u64));
            assert!(!is_dead(&mut child), "nobody has killed it");
            child.kill().unwrap();
            child.wait().unwrap();
        }
        deaths += 1;
        if deaths % 100 == 0 {
            place.run(&["run", "jobs.sql", "--until-caught-up"]).ok();
            place.run(&["topic", "verify", "best"]).ok();
        }
    }
    sources.close();
    place.run(&["run", "jobs.sql", "--workers", "2", "--until-caught-up"]).ok();
    eprintln!("{deaths} deaths, {planned} of them at a chosen place; {} orders", sources.orders());
    assert!(planned > deaths / 5, "{planned} of {deaths} were at a chosen place");
    are_right(&place, &told);
    let kept = place.rows("SELECT id FROM orders_late");
    let mut late: Vec<String> = sources.late().iter().map(|id| format!("{{\"id\":{id}}}")).collect();
    late.sort_unstable();
    assert!(kept == late, "{} late orders are kept instead of {} ({told})", kept.len(), late.len());
}
