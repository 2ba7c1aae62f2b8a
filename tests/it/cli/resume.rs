//! Jobs that are killed or ended, and run again: every row is there exactly once, whatever the moment.

use super::*;
use std::process::Child;
use std::time::Duration;

/// Numbers that look random and are the same in each run.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// All bytes of a directory's files.
fn size(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let sizes = entries.flatten().map(|e| match e.metadata() {
        Ok(meta) if meta.is_dir() => size(&e.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

/// Waits until the data directory has grown by so many bytes or the program has ended. Says whether it runs still.
pub(super) fn grown(place: &Place, child: &mut Child, bytes: u64) -> bool {
    let from = size(&place.path(".millstream"));
    loop {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if size(&place.path(".millstream")) >= from + bytes {
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub(super) fn spawn(place: &Place, arguments: &[&str]) -> Child {
    place.command(arguments).spawn().unwrap()
}

const DEPARTURES: &str =
    "event_time TIMESTAMP, flight_id TEXT, origin TEXT, sched_dep_time TIMESTAMP, dep_delay_min BIGINT";

/// A chain of jobs with a filter, a window, late rows and bad records.
fn chain(place: &Place, count: usize) {
    let mut lines = String::new();
    for (i, line) in departures(count).lines().enumerate() {
        lines.push_str(line);
        lines.push('\n');
        if i % 100 == 50 {
            lines.push_str(&format!("{{\"flight_id\":\"B{i}\",\"event_time\":\"never\"}}\n"));
        }
    }
    place.file("departures.jsonl", lines);
    place.file(
        "chain.sql",
        format!(
            "SET step_rows = 16; SET checkpoint_interval = '40 ms';
             CREATE STREAM file ({DEPARTURES}) WITH (connector = 'file', path = 'departures.jsonl', on_bad = 'topic');
             CREATE STREAM delayed ({DEPARTURES}, WATERMARK FOR sched_dep_time AS sched_dep_time - INTERVAL '10 minutes')
             WITH (partitions = 3, key = 'flight_id', late_topic = 'too_late');
             INSERT INTO delayed SELECT * FROM file WHERE dep_delay_min > -5;
             CREATE STREAM board AS
             SELECT window_start, origin, count(*) AS n, sum(dep_delay_min) AS minutes
             FROM TUMBLE(delayed, sched_dep_time, INTERVAL '30 minutes') GROUP BY window_start, origin EMIT FINAL;"
        ),
    );
}

const KEPT: [&str; 4] = ["delayed", "board", "too_late", "file_bad"];

fn kept(place: &Place) -> [Vec<String>; 4] {
    KEPT.map(|stream| place.rows(&format!("SELECT * FROM {stream}")))
}

#[test]
fn a_job_that_is_killed_again_and_again_writes_every_row_once() {
    let undisturbed = Place::new();
    chain(&undisturbed, 3_000);
    undisturbed.run(&["run", "chain.sql"]).ok();
    let expected = kept(&undisturbed);
    assert!(expected.iter().all(|rows| rows.len() >= 30), "{:?}", expected.each_ref().map(Vec::len));

    let place = Place::new();
    chain(&place, 3_000);
    let mut dice = Dice(7);
    let mut kills = 0;
    for round in 0..25 {
        let workers = (round % 4 + 1).to_string();
        let mut child = spawn(&place, &["run", "chain.sql", "--workers", &workers]);
        let bytes = dice.below(40_000);
        if !grown(&place, &mut child, bytes) {
            let ran = Ran::of(child.wait_with_output().unwrap()).ok();
            assert!(kills > 5, "done after {kills} kills: {}", ran.err);
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    place.run(&["run", "chain.sql", "--workers", "2"]).ok();
    for (stream, (rows, expected)) in KEPT.iter().zip(kept(&place).iter().zip(&expected)) {
        assert_eq!(rows.len(), expected.len(), "rows of {stream} after {kills} kills");
        assert!(rows == expected, "{stream} has other rows after {kills} kills");
    }
}

#[test]
fn a_job_over_a_growing_file_goes_on_where_it_was_killed() {
    let place = Place::new();
    let lines: Vec<String> = departures(1_200).lines().map(|l| format!("{l}\n")).collect();
    place.file("grows.jsonl", "");
    place.file(
        "follow.sql",
        format!(
            "SET step_rows = 10; SET checkpoint_interval = '30 ms';
             CREATE STREAM file ({DEPARTURES}, WATERMARK FOR event_time AS event_time) WITH (connector = 'file', path = 'grows.jsonl', follow = true);
             CREATE STREAM early AS SELECT flight_id, origin FROM file WHERE dep_delay_min < 0;
             CREATE STREAM board AS SELECT window_start, count(*) AS n FROM TUMBLE(file, event_time, INTERVAL '15 minutes')
             GROUP BY window_start EMIT FINAL;"
        ),
    );
    let append = |lines: &[String]| {
        let mut file = std::fs::OpenOptions::new().append(true).open(place.path("grows.jsonl")).unwrap();
        file.write_all(lines.concat().as_bytes()).unwrap();
    };
    let mut dice = Dice(11);
    for piece in lines.chunks(60) {
        let mut child = spawn(&place, &["run", "follow.sql"]);
        append(piece);
        let bytes = 1 + dice.below(3_000);
        assert!(grown(&place, &mut child, bytes), "a job that follows a file does not end by itself");
        child.kill().unwrap();
        child.wait().unwrap();
    }
    place.run(&["run", "follow.sql", "--until-caught-up", "--workers", "3"]).ok();
    let early = lines.iter().filter(|l| json(l)["dep_delay_min"].as_i64().is_some_and(|d| d < 0)).count();
    let rows = place.rows("SELECT * FROM early");
    assert_eq!(rows.len(), early);
    let ids = json(&place.sql("SELECT count(DISTINCT flight_id) AS n FROM early"));
    assert_eq!(ids["n"].as_u64().unwrap() as usize, early);
    // All windows but those that the watermark has not passed: the last.
    let all = place.rows(
        "SELECT window_start, count(*) AS n FROM TUMBLE(file, event_time, INTERVAL '15 minutes') GROUP BY window_start",
    );
    assert_eq!(place.rows("SELECT * FROM board"), all[..all.len() - 1]);
}

#[test]
fn a_signal_ends_a_job_with_0_and_the_next_run_goes_on() {
    let place = Place::new();
    place.sql("CREATE STREAM s (a BIGINT) WITH (partitions = 2)");
    place.file("job.sql", "CREATE STREAM twice AS SELECT a * 2 AS b FROM s;");
    let mut total = 0;
    for signal in ["TERM", "INT"] {
        let child = spawn(&place, &["run", "job.sql", "--workers", if signal == "INT" { "3" } else { "1" }]);
        for _ in 0..3 {
            place.sql("INSERT INTO s VALUES (1), (2), (3)");
            total += 3;
            until(|| rows_of(&place, "twice") == total);
        }
        signalled(&child, signal);
        let ran = Ran::of(child.wait_with_output().unwrap()).ok();
        assert!(ran.err.contains("rows in"), "{}", ran.err);
    }
    place.sql("INSERT INTO s VALUES (4)");
    let ran = place.run(&["run", "job.sql", "--workers", "4", "--until-caught-up"]).ok();
    assert!(ran.err.contains("1 row in, 1 out") && ran.err.contains("resumed"), "{}", ran.err);
    assert_eq!(rows_of(&place, "twice"), total + 1);
}

#[test]
fn a_signal_ends_a_query_and_a_reader_of_a_topic() {
    let place = Place::new();
    place.sql("CREATE STREAM s (a BIGINT); INSERT INTO s VALUES (1)");
    for arguments in [&["-c", "SELECT a FROM s EMIT CHANGES"][..], &["topic", "consume", "s", "--follow"]] {
        let mut child = spawn(&place, arguments);
        // The first row tells that it runs.
        let mut first = String::new();
        let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut out, &mut first).unwrap();
        assert!(first.contains("\"a\":1"), "{first}");
        signalled(&child, "TERM");
        Ran::of(child.wait_with_output().unwrap()).ok();
    }
}

/// Waits until a condition holds.
pub(super) fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How many rows a stream has; 0 where it is not there yet.
pub(super) fn rows_of(place: &Place, stream: &str) -> u64 {
    let topics = place.run(&["topic", "list"]).ok().out;
    let topic = topics.lines().map(json).find(|t| t["topic"] == stream);
    topic.map_or(0, |t| t["rows"].as_u64().unwrap())
}

/// Sends a signal.
pub(super) fn signalled(child: &Child, signal: &str) {
    let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}
