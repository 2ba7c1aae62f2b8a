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
    assert!(ran.out.contains("- JFK | 2 | 13\n+ JFK | 2 | 12"), "{}", ran.out);
    assert!(
        ran.out.contains("tests/wrong.sql:1:8") && ran.out.ends_with("2 files, 2 failed\n"),
        "{}",
        ran.out
    );
    assert!(!place.path(".millstream").exists());
    place.run(&["test", "nowhere.sql"]).fails(6, &[]);
}
