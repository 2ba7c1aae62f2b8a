//! Several processes on one data directory, and runs that end when they have caught up.

use super::resume::{rows_of, signalled, until};
use super::*;

#[test]
fn others_read_and_write_while_a_job_runs_but_no_second_one_runs_it() {
    let place = Place::new();
    place.sql("CREATE STREAM s (a BIGINT)");
    place.file("job.sql", "CREATE STREAM big AS SELECT a FROM s WHERE a > 1;");
    let child = place.command(&["run", "job.sql"]).spawn().unwrap();
    place.sql("INSERT INTO s VALUES (1), (2), (3)");
    until(|| rows_of(&place, "big") == 2);
    assert_eq!(place.sql("SELECT sum(a) AS a FROM big"), "{\"a\":5}\n");
    assert_eq!(place.run(&["topic", "consume", "big", "-n", "1"]).ok().out, "{\"a\":2}\n");
    place.run(&["run", "job.sql"]).fails(1, &["job big runs already, in another process"]);
    place.run(&["-c", "DROP STREAM big"]).fails(1, &["big", "in another process"]);
    signalled(&child, "TERM");
    Ran::of(child.wait_with_output().unwrap()).ok();
    place.sql("DROP STREAM big");
}

#[test]
fn a_reader_that_follows_sees_rows_as_they_come() {
    let place = Place::new();
    place.sql("CREATE STREAM s (a BIGINT)");
    for arguments in
        [&["-c", "SELECT a FROM s WHERE a % 2 = 0 EMIT CHANGES"][..], &["topic", "consume", "s", "--follow"]]
    {
        let mut child = place.command(arguments).spawn().unwrap();
        let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        for n in [2, 4] {
            place.sql(&format!("INSERT INTO s VALUES ({n})"));
            line.clear();
            std::io::BufRead::read_line(&mut out, &mut line).unwrap();
            assert!(!line.is_empty());
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn caught_up_with_a_topic_windows_stay_open_until_more_rows_come() {
    let place = Place::new();
    place.sql("CREATE STREAM s (a BIGINT, ts TIMESTAMP, WATERMARK FOR ts AS ts)");
    place.file(
        "board.sql",
        "CREATE STREAM board AS SELECT window_start, sum(a) AS a FROM TUMBLE(s, ts, INTERVAL '1 hour') GROUP BY window_start EMIT FINAL;",
    );
    let run =
        |workers: &str| place.run(&["run", "board.sql", "--until-caught-up", "--workers", workers]).ok();
    place.sql("INSERT INTO s VALUES (1, '2024-01-01 00:10:00'), (2, '2024-01-01 00:50:00'), (4, '2024-01-01 01:10:00')");
    run("2");
    assert_eq!(place.sql("SELECT * FROM board"), "{\"window_start\":\"2024-01-01T00:00:00\",\"a\":3}\n");
    place.sql("INSERT INTO s VALUES (8, '2024-01-01 01:20:00'), (16, '2024-01-01 00:59:00'), (32, '2024-01-01 02:00:00')");
    let ran = run("3");
    assert!(ran.err.contains("1 late"), "{}", ran.err);
    let rows = place.rows("SELECT * FROM board");
    assert_eq!(rows[1], "{\"window_start\":\"2024-01-01T01:00:00\",\"a\":12}");
    assert_eq!(rows.len(), 2);
    // What is open yet is part of the answer of a query that asks what there is now.
    let now = "SELECT window_start, sum(a) AS a FROM TUMBLE(s, ts, INTERVAL '1 hour') GROUP BY window_start ORDER BY 1";
    assert_eq!(place.sql(now).lines().last().unwrap(), "{\"window_start\":\"2024-01-01T02:00:00\",\"a\":32}");
    place.run(&["-c", "SELECT a FROM s EMIT CHANGES", "--until-caught-up"]).ok();
}

#[test]
fn a_query_begins_where_it_is_told_to_and_a_job_only_the_first_time() {
    let place = Place::new();
    place.sql("CREATE STREAM s (a BIGINT) WITH (partitions = 2)");
    place.sql("INSERT INTO s VALUES (1)");
    place.sql("INSERT INTO s VALUES (2), (3)");
    assert_eq!(place.rows("SELECT a FROM s AT LATEST"), [""; 0]);
    assert_eq!(place.rows("SELECT a FROM s AT '2200-01-01'"), [""; 0]);
    let time = json(place.rows("SELECT max(_timestamp) AS t FROM s").first().unwrap())["t"].to_string();
    let since = format!("SELECT a FROM s AT '{}'", time.trim_matches('"'));
    assert_eq!(place.rows(&since), ["{\"a\":2}", "{\"a\":3}"]);
    assert_eq!(sorted(&place.run(&["-c", &since, "--until-caught-up"]).ok().out).len(), 2);

    place.file("job.sql", "CREATE STREAM kept AS SELECT a FROM s AT LATEST;");
    let run = || place.run(&["run", "job.sql", "--until-caught-up"]).ok();
    run();
    assert_eq!(rows_of(&place, "kept"), 0);
    place.sql("INSERT INTO s VALUES (4), (5)");
    run();
    place.sql("INSERT INTO s VALUES (6)");
    run();
    assert_eq!(place.rows("SELECT a FROM kept"), ["{\"a\":4}", "{\"a\":5}", "{\"a\":6}"]);
    place.file("job.sql", "CREATE STREAM kept AS SELECT a FROM s AT EARLIEST;");
    place.run(&["run", "job.sql", "--until-caught-up"]).fails(3, &["differently"]);

    // From the end on: rows that come while it runs.
    let mut child = place.command(&["-c", "SELECT a FROM s AT LATEST EMIT CHANGES"]).spawn().unwrap();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    // It begins when it begins: rows are written until one is seen.
    let seen = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !seen.load(std::sync::atomic::Ordering::Relaxed) {
                place.sql("INSERT INTO s VALUES (7)");
            }
        });
        std::io::BufRead::read_line(&mut out, &mut line).unwrap();
        seen.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(line.contains("\"a\":7"), "{line}");
    child.kill().unwrap();
    child.wait().unwrap();
}
