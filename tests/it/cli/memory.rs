//! State larger than the memory it may take.

use super::resume::{rows_of, spawn, until};
use super::*;

/// Rows of each side.
const ROWS: u64 = 8000;
/// Of the sides' rows, so many have been read before the kill.
const HALF: u64 = ROWS / 2;

/// Rows `from..to` of a side, in an order that has nothing to do with the keys, each about 150 bytes long.
fn side(place: &Place, name: &str, from: u64, to: u64) {
    let row = |i: u64| {
        let key = (i * 7919) % (ROWS * 3 / 4);
        format!("{key},{i},{}\n", format!("{i:x}").repeat(120 / format!("{i:x}").len()))
    };
    let lines: String = std::iter::once("k,n,t\n".to_string()).chain((from..to).map(row)).collect();
    place.run_with(&["topic", "produce", name, "--format", "csv"], lines.as_bytes()).ok();
}

fn operators(place: &Place, job: &str) -> Vec<serde_json::Value> {
    let described = json(&place.run(&["job", "describe", job]).ok().out);
    described["status"]["operators"].as_array().cloned().unwrap_or_default()
}

/// A join, an aggregate over it that takes rows back, and the best row of each key, in a fraction of the memory that their
/// state needs; killed, and run again with more workers.
#[test]
fn a_job_whose_state_is_many_times_what_memory_may_hold_gives_the_right_answer_also_after_a_kill() {
    let place = Place::new();
    for name in ["a", "b"] {
        place.sql(&format!("CREATE STREAM {name} (k BIGINT, n BIGINT, t TEXT) WITH (partitions = 2)"));
        side(&place, name, 0, HALF);
    }
    let job = "SET memory_limit = '400 kB'; SET step_rows = 300; SET checkpoint_interval = '300 ms';
         CREATE STREAM pairs AS SELECT a.k, a.n AS an, b.n AS bn, a.t AS at, b.t AS bt FROM a JOIN b ON a.k = b.k;
         CREATE TABLE sums AS SELECT k, count(*) AS c, sum(n) AS s, max(t) AS t FROM a GROUP BY k;
         CREATE TABLE best AS SELECT k, n, t FROM
             (SELECT *, row_number() OVER (PARTITION BY k ORDER BY n DESC) AS r FROM b) WHERE r = 1;";
    let [pairs, sums, best] = [
        (
            "SELECT k, an, bn, at, bt FROM pairs",
            "SELECT a.k, a.n AS an, b.n AS bn, a.t AS at, b.t AS bt FROM a JOIN b ON a.k = b.k",
        ),
        (
            "SELECT k, c, s, t FROM sums",
            "SELECT k, count(*) AS c, sum(n) AS s, max(t) AS t FROM a GROUP BY k",
        ),
        (
            "SELECT k, n, t FROM best",
            "SELECT k, n, t FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY n DESC) AS r FROM b) WHERE r = 1",
        ),
    ];
    let wanted = |place: &Place| place.rows(pairs.1).len() as u64;
    place.file("job.sql", job);
    let mut child = spawn(&place, &["run", "job.sql", "--workers", "2"]);
    let half = wanted(&place);
    until(|| rows_of(&place, "pairs") == half);
    // What is seen follows what is done.
    until(|| operators(&place, "pairs").iter().any(|o| o["disk_bytes"].as_u64() > Some(500_000)));
    let held: u64 = operators(&place, "pairs").iter().filter_map(|o| o["state_bytes"].as_u64()).sum();
    assert!(held < 2_000_000, "{held} bytes of state in memory");
    child.kill().unwrap();
    child.wait().unwrap();
    for name in ["a", "b"] {
        side(&place, name, HALF, ROWS);
    }
    let all = place.run(&["run", "job.sql", "--workers", "3", "--until-caught-up"]).ok();
    assert!(!all.err.contains("could not"), "{}", all.err);
    for (result, query) in [pairs, sums, best] {
        assert_eq!(place.rows(result), place.rows(query), "{query}");
    }
}
