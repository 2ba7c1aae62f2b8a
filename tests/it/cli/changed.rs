//! Statements whose query has changed since their job began: refused with what has changed, begun afresh, or written
//! beside the old result.

use super::resume::spawn;
use super::*;

/// Runs a file until all is read.
fn run(place: &Place, arguments: &[&str]) -> Ran {
    let mut all = vec!["run", "job.sql", "--until-caught-up"];
    all.extend(arguments);
    place.run(&all)
}

/// The rows that a topic holds, from its start, as (offset in all partitions, row).
fn appended(place: &Place, topic: &str) -> Vec<serde_json::Value> {
    place.run(&["topic", "consume", topic]).ok().out.lines().map(json).collect()
}

fn table(place: &Place) -> &Place {
    place.sql("CREATE STREAM s (k TEXT, n BIGINT)");
    place.sql("INSERT INTO s VALUES ('a', 1), ('b', 2), ('c', 30), ('a', 4), ('d', 50)");
    place.file("job.sql", "CREATE MATERIALIZED VIEW sums AS SELECT k, sum(n) AS n FROM s GROUP BY k;")
}

#[test]
fn a_changed_query_is_refused_with_what_has_changed_and_the_ways_on() {
    let place = Place::new();
    table(&place);
    run(&place, &[]).ok();
    // Other spaces, comments and capitals are no change.
    place.file(
        "job.sql",
        "CREATE MATERIALIZED VIEW sums AS -- all of them\n select k, SUM(n)  AS n FROM s GROUP BY k;",
    );
    assert!(run(&place, &[]).ok().err.contains("resumed"));
    place.file(
        "job.sql",
        "CREATE MATERIALIZED VIEW sums AS SELECT k, sum(n) AS n FROM s WHERE n < 40 GROUP BY k;",
    );
    let words = ["\"sums\" is defined already", "WHERE n < 40", "--fresh", "--as NEW_NAME", "the old text"];
    run(&place, &[]).fails(3, &words);
    // An INSERT's job, in a file that keeps other jobs.
    place.sql("CREATE TABLE big (k TEXT, n BIGINT, PRIMARY KEY (k))");
    place.file("job.sql", "INSERT INTO big SELECT k, max(n) FROM s WHERE n > 1 AND k <> 'x  y' GROUP BY k;");
    run(&place, &[]).ok();
    place.file("job.sql", "INSERT INTO big SELECT k, max(n) FROM s WHERE n > 2 AND k <> 'x  y' GROUP BY k;");
    let words =
        ["job job.big", "its query has changed", "n > 1 AND", "n > 2 AND", "--fresh", "--as NEW_NAME"];
    run(&place, &[]).fails(3, &words);
    place.file("job.sql", "INSERT INTO big SELECT k, max(n) FROM s WHERE n > 1 AND k <> 'x y' GROUP BY k;");
    run(&place, &[]).fails(3, &["its query has changed", "'x  y'", "'x y'"]);
    // The old text goes on.
    place.file("job.sql", "INSERT INTO big SELECT k, max(n) FROM s WHERE n > 1 AND k <> 'x  y' GROUP BY k;");
    assert!(run(&place, &[]).ok().err.contains("resumed"));
    // The columns of an INSERT are a part of it.
    place.file(
        "job.sql",
        "INSERT INTO big (k, n) SELECT k, max(n) FROM s WHERE n > 1 AND k <> 'x  y' GROUP BY k;",
    );
    run(&place, &[]).fails(3, &["its query has changed", "(k, n)"]);
}

#[test]
fn changed_views_and_streams_are_told_by_name() {
    let place = Place::new();
    table(&place);
    place.sql("CREATE VIEW few AS SELECT * FROM s WHERE n < 10; CREATE VIEW v AS SELECT k, n FROM few");
    place.file("job.sql", "CREATE MATERIALIZED VIEW sums AS SELECT k, sum(n) AS n FROM v GROUP BY k;");
    run(&place, &[]).ok();
    place.sql("CREATE OR REPLACE VIEW few AS SELECT * FROM s WHERE n < 20");
    run(&place, &[])
        .fails(3, &["job sums", "the view \"few\", which it reads, has changed", "n < 10", "n < 20"]);
    place.sql("CREATE OR REPLACE VIEW few AS SELECT * FROM s WHERE n < 10");
    run(&place, &[]).ok();
    let create = |more: &str| {
        place.sql(&format!(
            "DROP STREAM s; CREATE STREAM s (k TEXT, n BIGINT{more}); INSERT INTO s (k, n) VALUES ('z', 1)"
        ))
    };
    create("");
    run(&place, &[]).fails(3, &["the stream \"s\", which it reads, was dropped and made anew"]);
    create(", m BIGINT");
    run(&place, &[]).fails(3, &["the stream \"s\", which it reads, has changed", "+ m BIGINT"]);
    run(&place, &["--fresh"]).ok();
    assert_eq!(place.rows("SELECT * FROM sums"), ["{\"k\":\"z\",\"n\":1}"]);
}

#[test]
fn of_a_table_that_is_begun_afresh_only_the_differences_are_written() {
    let place = Place::new();
    table(&place);
    run(&place, &[]).ok();
    let before = appended(&place, "sums").len();
    assert_eq!(place.rows("SELECT * FROM sums").len(), 4);
    let query =
        "CREATE MATERIALIZED VIEW sums AS SELECT k, sum(n) AS n FROM s WHERE n < 40 AND n <> 4 GROUP BY k;";
    place.file("job.sql", query);
    place.sql("INSERT INTO s VALUES ('e', 6)");
    run(&place, &["--fresh"]).ok();
    let expected = ["a:1", "b:2", "c:30", "e:6"];
    let rows = || -> Vec<String> {
        let rows = place.rows("SELECT * FROM sums");
        rows.iter().map(|r| format!("{}:{}", json(r)["k"].as_str().unwrap(), json(r)["n"])).collect()
    };
    assert_eq!(rows(), expected);
    let changes: Vec<String> =
        appended(&place, "sums")[before..].iter().map(|r| r["k"].to_string()).collect();
    assert_eq!(sorted(&changes.join("\n")), ["\"a\"", "\"d\"", "\"e\""], "what stays is not written again");
    // From then on it is a job like any other, and its query is the new one.
    place.sql("INSERT INTO s VALUES ('b', 5)");
    let again = run(&place, &[]).ok();
    assert!(again.err.contains("resumed") && again.err.contains("1 row in"), "{}", again.err);
    assert_eq!(rows(), ["a:1", "b:7", "c:30", "e:6"]);
    assert_eq!(appended(&place, "sums").len(), before + 4);
    assert!(place.sql("DESCRIBE sums").contains("n <> 4"));
    // Begun afresh without a change it writes nothing.
    run(&place, &["--fresh=sums"]).ok();
    assert_eq!(appended(&place, "sums").len(), before + 4);
    run(&place, &["--fresh=other"]).fails(1, &["--fresh=other", "no statement"]);
    // Another key or other columns do not fit the rows that are there.
    place.file("job.sql", "CREATE MATERIALIZED VIEW sums AS SELECT k, count(*) AS m FROM s GROUP BY k;");
    run(&place, &["--fresh"]).fails(3, &["other columns", "+ m BIGINT", "DROP MATERIALIZED VIEW sums"]);
}

#[test]
fn of_a_table_that_others_write_too_only_the_jobs_own_rows_go() {
    let place = Place::new();
    place.sql(
        "CREATE STREAM s (k TEXT, n BIGINT); INSERT INTO s VALUES ('a', 1), ('b', 2), ('c', 3);
         CREATE TABLE t (k TEXT, n BIGINT, PRIMARY KEY (k)) WITH (partitions = 3)",
    );
    place.file("job.sql", "INSERT INTO t SELECT k, sum(n) FROM s GROUP BY k;");
    run(&place, &[]).ok();
    place.sql("INSERT INTO t VALUES ('x', 10), ('b', 20)");
    place.file("job.sql", "INSERT INTO t SELECT k, sum(n) FROM s WHERE k = 'a' GROUP BY k;");
    run(&place, &["--fresh"]).ok();
    let rows = place.rows("SELECT k, n FROM t");
    assert_eq!(rows, ["{\"k\":\"a\",\"n\":1}", "{\"k\":\"b\",\"n\":20}", "{\"k\":\"x\",\"n\":10}"]);
    // A second one knows all the producers that wrote before it.
    place.file("job.sql", "INSERT INTO t SELECT k, sum(n) FROM s WHERE k = 'c' GROUP BY k;");
    run(&place, &["--fresh"]).ok();
    let rows = place.rows("SELECT k, n FROM t");
    assert_eq!(rows, ["{\"k\":\"b\",\"n\":20}", "{\"k\":\"c\",\"n\":3}", "{\"k\":\"x\",\"n\":10}"]);
}

#[test]
fn a_stream_that_has_rows_is_not_begun_afresh() {
    let place = Place::new();
    place.sql("CREATE STREAM s (a BIGINT); INSERT INTO s VALUES (1), (2), (3)");
    for text in [
        "CREATE STREAM big AS SELECT a FROM s WHERE a > 10;",
        "CREATE STREAM o (a BIGINT); INSERT INTO o SELECT a FROM s WHERE a > 10;",
    ] {
        place.file("job.sql", text);
        run(&place, &[]).ok();
        // Nothing has been written yet.
        place.file("job.sql", text.replace("10", "1"));
        run(&place, &["--fresh"]).ok();
        place.file("job.sql", text.replace("10", "2"));
        run(&place, &["--fresh"])
            .fails(3, &["cannot be begun afresh", "rows can only be added", "--as NEW_NAME"]);
        place.file("job.sql", text.replace("10", "1"));
        assert!(run(&place, &["--fresh"]).ok().err.contains("resumed"));
    }
    assert_eq!(place.rows("SELECT * FROM big"), ["{\"a\":2}", "{\"a\":3}"]);
    assert_eq!(place.rows("SELECT * FROM o"), ["{\"a\":2}", "{\"a\":3}"]);
}

#[test]
fn rows_that_retention_has_taken_are_not_taken_out_of_the_result() {
    let place = Place::new();
    place.sql("CREATE STREAM s (k TEXT, n BIGINT) WITH (segment_bytes = 1)");
    for row in ["('a', 1)", "('b', 2)", "('c', 3)"] {
        place.sql(&format!("INSERT INTO s VALUES {row}"));
    }
    place.file("job.sql", "CREATE MATERIALIZED VIEW sums AS SELECT k, sum(n) AS n FROM s GROUP BY k;");
    run(&place, &[]).ok();
    place.run(&["topic", "alter", "s", "--retention-bytes", "1"]).ok();
    place.run(&["topic", "compact", "s"]).ok();
    place.file(
        "job.sql",
        "CREATE MATERIALIZED VIEW sums AS SELECT k, sum(n) AS n FROM s WHERE n > 0 GROUP BY k;",
    );
    run(&place, &["--fresh"]).fails(3, &["the rows before offset", "--as NEW_NAME"]);
}

#[test]
fn under_another_name_the_new_result_stands_beside_the_old_one() {
    let place = Place::new();
    table(&place);
    run(&place, &[]).ok();
    place.file("job.sql", "CREATE MATERIALIZED VIEW sums AS SELECT k, max(n) AS m FROM s GROUP BY k;");
    run(&place, &["--as", "most"]).ok();
    assert_eq!(place.rows("SELECT m FROM most"), ["{\"m\":2}", "{\"m\":30}", "{\"m\":4}", "{\"m\":50}"]);
    assert_eq!(place.rows("SELECT n FROM sums").len(), 4);
    place.sql("INSERT INTO s VALUES ('z', 9)");
    assert!(run(&place, &["--as", "most"]).ok().err.contains("resumed"));
    assert_eq!((place.rows("SELECT m FROM most").len(), place.rows("SELECT n FROM sums").len()), (5, 4));
    // An INSERT writes to a stream like the one that it names.
    place.sql("CREATE STREAM o (a BIGINT) WITH (partitions = 3, key = 'a')");
    place.file("job.sql", "INSERT INTO o SELECT n FROM s WHERE n > 5;");
    run(&place, &[]).ok();
    place.file("job.sql", "INSERT INTO o SELECT n FROM s WHERE n > 3;");
    run(&place, &["--as", "p"]).ok();
    run(&place, &["--as", "p"]).ok();
    assert_eq!((place.rows("SELECT a FROM o").len(), place.rows("SELECT a FROM p").len()), (3, 4));
    assert!(place.sql("DESCRIBE p").contains("partitions"));
    // What is there already and is no such stream.
    run(&place, &["--as", "s"]).fails(3, &["--as s", "already"]);
    place.file("job.sql", "INSERT INTO o SELECT n FROM s WHERE n > 5;");
    run(&place, &["--as", "q"]).fails(1, &["no statement's query has changed", "--as SINK=q"]);
    run(&place, &["--as", "o=q"]).ok();
    assert_eq!(place.rows("SELECT a FROM q").len(), 3);
    run(&place, &["--as", "nothing=q"]).fails(1, &["no statement writes", "nothing"]);
    // Whoever reads the old one in this run would read what nobody writes.
    place.file("job.sql", "INSERT INTO o SELECT n FROM s WHERE n > 5; CREATE STREAM r AS SELECT a FROM o;");
    run(&place, &["--as", "o=q"]).fails(3, &["reads \"o\"", "write q here"]);
}

/// The table's rows however often the job is killed while it is begun afresh; run again with and without the option.
#[test]
fn a_job_that_is_killed_while_it_begins_afresh_goes_on() {
    let place = Place::new();
    place.sql("CREATE STREAM s (k BIGINT, n BIGINT) WITH (partitions = 2, key = 'k')");
    let lines: String = (0..6_000).map(|i| format!("{{\"k\":{},\"n\":{i}}}\n", i * 7 % 500)).collect();
    place.run_with(&["topic", "produce", "s"], lines.as_bytes()).ok();
    let text = |less: u32| {
        format!(
            "SET step_rows = 50; SET checkpoint_interval = '30 ms';
             CREATE MATERIALIZED VIEW sums WITH (partitions = 3) AS SELECT k, sum(n) AS n, count(*) AS c FROM s WHERE k < {less} GROUP BY k;"
        )
    };
    place.file("job.sql", text(500));
    run(&place, &[]).ok();
    let mut dice = super::resume::Dice(3);
    for round in 0..6u32 {
        let less = 450 - round * 50;
        place.file("job.sql", text(less));
        for kill in 0..4 {
            let mut arguments = vec!["run", "job.sql"];
            if kill == 0 || dice.below(2) == 0 {
                arguments.push("--fresh");
            }
            let mut child = spawn(&place, &arguments);
            std::thread::sleep(std::time::Duration::from_millis(30 + dice.below(500)));
            child.kill().unwrap();
            let ran = Ran::of(child.wait_with_output().unwrap());
            // It ends by itself only where it was killed before it had begun anew, and is not told to now.
            assert!(ran.code.is_none() || ran.err.contains("run with --fresh"), "{}", ran.err);
        }
        // Run again without the option it goes on, unless it had not come so far as to begin.
        let ran = run(&place, &[]);
        if ran.code != Some(0) {
            assert!(ran.err.contains("--fresh"), "{}", ran.err);
            run(&place, &["--fresh"]).ok();
        }
        let expected =
            place.rows(&format!("SELECT k, sum(n) AS n, count(*) AS c FROM s WHERE k < {less} GROUP BY k"));
        assert_eq!(place.rows("SELECT * FROM sums"), expected, "round {round}");
    }
    // 500 rows at first, 50 tombstones a round, and nothing else.
    assert_eq!(appended(&place, "sums").iter().filter(|r| r["_deleted"] == true).count(), 300);
}
