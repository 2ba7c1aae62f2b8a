//! `millstream test`: files that say what they give.

use super::*;

const BOARD: &str = "\
-- Flights by origin, over a restart.
CREATE STREAM flights (at TIMESTAMP, origin TEXT, delay BIGINT, WATERMARK FOR at AS at);
CREATE MATERIALIZED VIEW board AS SELECT origin, count(*) AS flights, sum(delay) AS delay FROM flights GROUP BY origin;
INSERT INTO flights VALUES ('2026-01-31 12:00:00', 'JFK', 5), ('2026-01-31 12:10:00', 'EWR', NULL);
SELECT * FROM board ORDER BY origin;
-- RESTART
INSERT INTO flights VALUES ('2026-01-31 13:00:00', 'JFK', 7);
-- CLOCK + 1 min
SELECT * FROM board;
SELECT window_start, count(*) AS n FROM TUMBLE(flights, at, INTERVAL '1 hour') GROUP BY window_start EMIT FINAL;
SELECT count(*) AS n FROM flights EMIT CHANGES;
";

#[test]
fn a_test_is_blessed_and_then_holds_and_tells_what_differs() {
    let place = Place::new();
    std::fs::create_dir(place.path("tests")).unwrap();
    place.file("tests/board.sql", BOARD);
    place.run(&["test", "tests", "--bless"]).ok();
    let blessed = std::fs::read_to_string(place.path("tests/board.sql")).unwrap();
    assert!(
        blessed.contains(
            "-- origin | flights | delay\n-- EWR    | 1       | NULL\n-- JFK    | 1       | 5\n-- RESTART"
        ),
        "{blessed}"
    );
    assert!(blessed.contains("-- EWR    | 1       | NULL\n-- JFK    | 2       | 12\n"), "{blessed}");
    assert!(blessed.contains("-- 2026-01-31 12:00:00 | 2\n"), "{blessed}");
    let ran = place.run(&["test", "tests"]).ok();
    assert!(
        ran.out.contains("ok      tests/board.sql") && ran.out.ends_with("1 file, 0 failed\n"),
        "{}",
        ran.out
    );
    // Blessed again it stays as it is.
    place.run(&["test", "tests/board.sql", "--bless"]).ok();
    assert_eq!(std::fs::read_to_string(place.path("tests/board.sql")).unwrap(), blessed);

    place.file("tests/board.sql", blessed.replace("| 2       | 12", "| 2       | 13"));
    place.file("tests/wrong.sql", "SELECT nothing;\n");
    let ran = place.run(&["test", "tests"]).fails(6, &[]);
    assert!(ran.out.contains("- JFK    | 2       | 13\n+ JFK    | 2       | 12"), "{}", ran.out);
    assert!(
        ran.out.contains("tests/wrong.sql:1:8") && ran.out.ends_with("2 files, 2 failed\n"),
        "{}",
        ran.out
    );
    assert!(!place.path(".millstream").exists());
    place.run(&["test", "nowhere.sql"]).fails(6, &[]);
}

#[test]
fn the_projects_own_tests_hold() {
    let ran = Command::new(env!("CARGO_BIN_EXE_millstream"))
        .current_dir(project())
        .args(["test", "tests/sql/scripted"])
        .args(std::env::var_os("MILLSTREAM_BLESS").map(|_| "--bless"))
        .output()
        .unwrap();
    let ran = Ran::of(ran);
    assert_eq!(ran.code, Some(0), "MILLSTREAM_BLESS=1 writes what there is:\n{}{}", ran.out, ran.err);
    assert!(ran.out.lines().count() > 15, "{}", ran.out);
}

#[test]
fn what_was_not_durable_is_lost_by_a_kill_and_by_no_restart() {
    let place = Place::new();
    // A query that no job keeps is over in either case; the clock goes on.
    let test = "CREATE STREAM s (a BIGINT);\n-- FEED s\n-- a\n-- 1\n-- CLOCK + 1 h\n-- RESTART KILL\nSELECT a, _timestamp FROM s;\n-- FEED s\n-- a\n-- 2\nSELECT max(_timestamp) AS at FROM s;\n";
    place.file("clock.sql", test);
    place.run(&["test", "clock.sql", "--bless"]).ok();
    let blessed = std::fs::read_to_string(place.path("clock.sql")).unwrap();
    assert!(blessed.contains("-- 1 | 2026-01-01 00:00:00\n"), "{blessed}");
    assert!(blessed.contains("-- at\n-- 2026-01-01 01:00:00\n"), "{blessed}");
    place.run(&["test", "clock.sql"]).ok();
}

#[test]
fn a_test_says_where_it_cannot_be_run() {
    let place = Place::new();
    for (test, words) in [
        ("-- FEED s\n-- a\n-- 1\n", "there is no stream \"s\""),
        ("CREATE STREAM s (a BIGINT);\n-- FEED s\n-- a\n-- x\n", "--> t.sql:2:1"),
        ("CREATE STREAM s (a BIGINT);\n-- FEED s FROM nowhere.jsonl\n", "nowhere.jsonl"),
        ("CREATE STREAM s (a BIGINT);\n-- WATERMARK s 2026-01-31\n", "has no event time"),
        ("-- CLOCK 5\n", "the clock moves on by a duration"),
        ("SELECT 1 AS a;\n-- error: no\n", "+ a"),
    ] {
        place.file("t.sql", test);
        let ran = place.run(&["test", "t.sql"]).fails(6, &[]);
        assert!(ran.out.contains(words), "{test}{}", ran.out);
    }
}
