//! Sources and partitions that fall silent, and what is waited for then.

use super::jobs::{described, ends, state, told, why};
use super::resume::{spawn, until};
use super::*;
use std::time::Duration;

/// A key that lies in the first of two partitions, and one in the second.
fn key_of_each_partition(place: &Place) -> (u64, u64) {
    place.sql(
        "CREATE STREAM probe (k BIGINT) WITH (partitions = 2, key = 'k');
         INSERT INTO probe VALUES (1), (2), (3), (4), (5), (6), (7), (8)",
    );
    let of = |partition: u64| {
        let least = place.sql(&format!("SELECT min(k) AS k FROM probe WHERE _partition = {partition}"));
        json(&least)["k"].as_u64().unwrap()
    };
    (of(0), of(1))
}

#[test]
fn time_goes_on_when_all_partitions_are_silent_and_the_same_after_a_kill() {
    let place = Place::new();
    let (first, second) = key_of_each_partition(&place);
    // The option of the stream counts, not the setting.
    place.file(
        "board.sql",
        "SET idle_timeout = '0'; SET checkpoint_interval = '1 hour';
         CREATE STREAM s (k BIGINT, at TIMESTAMP(3), WATERMARK FOR at AS at) WITH (partitions = 2, key = 'k', idle_timeout = '3 s');
         CREATE STREAM hourly AS SELECT window_start, count(*) AS n FROM TUMBLE(s, at, INTERVAL '1 minute') GROUP BY window_start EMIT FINAL;",
    );
    let mut child = spawn(&place, &["run", "board.sql"]);
    until(|| state(&place, "hourly") == "running");
    let idle =
        |p: usize| described(&place, "hourly")["status"]["sources"][0]["partitions"][p]["idle"] == true;
    place.sql(&format!(
        "INSERT INTO s VALUES ({first}, '2026-01-01 10:05:00'), ({second}, '2026-01-01 10:00:30')"
    ));
    std::thread::sleep(Duration::from_secs(1));
    // The one that lies behind is the last to fall silent.
    place.sql(&format!("INSERT INTO s VALUES ({second}, '2026-01-01 10:00:31')"));
    until(|| !place.rows("SELECT * FROM hourly").is_empty());
    let closed = r#"{"window_start":"2026-01-01T10:00:00","n":2}"#;
    assert_eq!(place.rows("SELECT * FROM hourly"), [closed]);
    until(|| idle(0) && idle(1));
    let text = why(&place, "hourly");
    assert!(
        text.contains("All partitions of s are idle, and its watermark is 2026-01-01 10:05:00"),
        "{text}"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    place.run(&["run", "board.sql", "--until-caught-up"]).ok();
    assert_eq!(place.rows("SELECT * FROM hourly"), [closed]);
}

#[test]
fn who_was_idle_when_a_step_was_made_is_so_when_it_is_made_again() {
    let place = Place::new();
    let (silent, lively) = key_of_each_partition(&place);
    let begin = |idle_timeout: &str| {
        place.file(
            "board.sql",
            format!(
                "SET checkpoint_interval = '1 hour'; SET idle_timeout = '{idle_timeout}';
                 CREATE STREAM s (k BIGINT, at TIMESTAMP(3), WATERMARK FOR at AS at) WITH (partitions = 2, key = 'k');
                 CREATE STREAM hourly AS SELECT window_start, count(*) AS n FROM TUMBLE(s, at, INTERVAL '1 minute') GROUP BY window_start EMIT FINAL;"
            ),
        );
        let child = spawn(&place, &["run", "board.sql"]);
        until(|| state(&place, "hourly") == "running");
        child
    };
    let comes = |k: u64, at: &str| place.sql(&format!("INSERT INTO s VALUES ({k}, '2026-01-01 {at}')"));
    let read = |rows: u64| until(|| described(&place, "hourly")["status"]["total"]["rows_in"] == rows);
    let windows = || place.rows("SELECT * FROM hourly").len();
    let mut child = begin("500 ms");
    comes(silent, "10:00:30");
    comes(lively, "10:05:00");
    until(|| described(&place, "hourly")["status"]["sources"][0]["partitions"][0]["idle"] == true);
    comes(lively, "10:06:00");
    until(|| windows() == 2);
    child.kill().unwrap();
    child.wait().unwrap();
    // Now the silent one is not idle for a while: it holds the watermark, and is heard.
    let mut child = begin("1 hour");
    comes(lively, "10:10:00");
    read(4);
    comes(silent, "10:06:20");
    read(5);
    child.kill().unwrap();
    child.wait().unwrap();
    let child = begin("500 ms");
    until(|| windows() == 3);
    told(&place, &["stop", "hourly"]);
    ends(child);
    let rows = place.rows("SELECT n FROM hourly ORDER BY window_start");
    assert_eq!(rows, ["{\"n\":1}", "{\"n\":1}", "{\"n\":2}"], "none is left out as late");
}

#[test]
fn a_join_does_not_wait_for_a_source_that_is_silent_and_others_of_its_statements_lose_nothing() {
    let place = Place::new();
    place.file(
        "orders.sql",
        "SET idle_timeout = '700 ms'; SET checkpoint_interval = '1 hour';
         CREATE STREAM orders (k BIGINT, at TIMESTAMP(3), WATERMARK FOR at AS at) WITH (idle_timeout = '0');
         CREATE STREAM paid (k BIGINT, at TIMESTAMP(3), WATERMARK FOR at AS at);
         CREATE STREAM unpaid AS SELECT orders.k FROM orders LEFT JOIN paid
            ON orders.k = paid.k AND paid.at BETWEEN orders.at AND orders.at + INTERVAL '1 minute'
            WHERE paid.k IS NULL EMIT FINAL;
         CREATE STREAM minutes AS SELECT window_start, count(*) AS n FROM TUMBLE(paid, at, INTERVAL '1 minute')
            GROUP BY window_start EMIT FINAL;",
    );
    let mut child = spawn(&place, &["run", "orders.sql"]);
    until(|| state(&place, "unpaid") == "running");
    let comes = |stream: &str, rows: &[(u64, &str)]| {
        let rows: Vec<String> = rows.iter().map(|(k, at)| format!("({k}, '2026-01-01 {at}')")).collect();
        place.sql(&format!("INSERT INTO {stream} VALUES {}", rows.join(", ")));
    };
    comes("paid", &[(1, "10:00:10")]);
    comes("orders", &[(1, "10:00:00"), (2, "10:00:00")]);
    comes("orders", &[(3, "10:10:00")]);
    until(|| place.rows("SELECT k FROM unpaid") == [r#"{"k":2}"#]);
    until(|| why(&place, "unpaid").contains("All partitions of paid are idle and do not hold the watermark"));
    // What is known of time is in the checkpoint too.
    told(&place, &["checkpoint", "unpaid"]);
    child.kill().unwrap();
    child.wait().unwrap();
    let child = spawn(&place, &["run", "orders.sql"]);
    comes("paid", &[(2, "10:00:30")]);
    comes("paid", &[(9, "10:05:00")]);
    until(|| !place.rows("SELECT * FROM minutes").is_empty());
    assert_eq!(place.rows("SELECT n FROM minutes"), [r#"{"n":2}"#], "in time in its own stream");
    let after_idle = || -> u64 {
        let operators = described(&place, "unpaid")["status"]["operators"].clone();
        operators.as_array().unwrap().iter().map(|o| o["after_idle"].as_u64().unwrap_or(0)).sum()
    };
    until(|| after_idle() == 2);
    told(&place, &["stop", "unpaid"]);
    told(&place, &["stop", "minutes"]);
    ends(child);
    assert_eq!(place.rows("SELECT k FROM unpaid"), [r#"{"k":2}"#], "no second answer, no match after it");
}
