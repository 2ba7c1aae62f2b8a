//! Statements beside queries: definitions, views, values, settings, what SHOW and DESCRIBE tell, topics.

use super::*;

#[test]
fn values_of_every_type_come_back_as_they_were() {
    let place = Place::new();
    place.sql(
        "CREATE STREAM s (b BOOLEAN, i SMALLINT, n INTEGER, l BIGINT, r REAL, d DOUBLE, m DECIMAL(10, 2), t TEXT, dt DATE,
                          tm TIME, ts TIMESTAMP, tz TIMESTAMP WITH TIME ZONE, y BYTEA, a BIGINT[])",
    );
    place.sql(
        "INSERT INTO s VALUES (true, -7, 8, 9000000000, 1.5, -2.25, 12.30, 'Zürich \"1\"', DATE '2024-02-29', TIME '12:34:56',
                               TIMESTAMP '2024-02-29 12:34:56.789', TIMESTAMP WITH TIME ZONE '2024-02-29T12:34:56+01:00', X'00ff', [1, 2]),
                              (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
    );
    let rows = place.rows("SELECT * FROM s");
    let row = json(&rows[1]);
    for (column, expected) in [
        ("b", "true"),
        ("i", "-7"),
        ("n", "8"),
        ("l", "9000000000"),
        ("r", "1.5"),
        ("d", "-2.25"),
        ("m", "12.30"),
        ("t", "\"Zürich \\\"1\\\"\""),
        ("dt", "\"2024-02-29\""),
        ("ts", "\"2024-02-29T12:34:56.789\""),
        ("y", "\"00ff\""),
        ("a", "[1,2]"),
    ] {
        assert!(rows[1].contains(&format!("\"{column}\":{expected}")), "{column} in {}", rows[1]);
    }
    assert!(row["tz"].as_str().unwrap().starts_with("2024-02-29T11:34:56"), "{row}");
    let nulls = json(&rows[0]).as_object().unwrap().values().all(serde_json::Value::is_null);
    assert!(nulls || json(&rows[1]).is_object(), "{}", rows[0]);
    assert_eq!(place.sql("SELECT count(*) AS n FROM s WHERE t IS NULL"), "{\"n\":1}\n");
}

#[test]
fn values_in_a_file_are_inserted_once_and_from_the_command_line_each_time() {
    let place = Place::new();
    place.file(
        "in.sql",
        "CREATE STREAM s (a BIGINT, b TEXT); INSERT INTO s VALUES (1, 'x'); INSERT INTO s (b) VALUES ('y');",
    );
    place.run(&["run", "in.sql"]).ok();
    place.run(&["run", "in.sql"]).ok();
    assert_eq!(place.rows("SELECT * FROM s"), ["{\"a\":1,\"b\":\"x\"}", "{\"a\":null,\"b\":\"y\"}"]);
    place.sql("INSERT INTO s VALUES (1, 'x')");
    place.sql("INSERT INTO s VALUES (1, 'x')");
    assert_eq!(place.rows("SELECT * FROM s").len(), 4);
}

#[test]
fn definitions_are_kept_compared_and_dropped() {
    let place = Place::new();
    let create = "CREATE STREAM s (a BIGINT, ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL '5 seconds') WITH (partitions = 2, key = 'a')";
    place.sql(create);
    place.sql(create);
    place.sql("CREATE STREAM IF NOT EXISTS s (b TEXT)");
    place.run(&["-c", "CREATE STREAM s (a TEXT)"]).fails(3, &["differently", "BIGINT", "DROP STREAM s"]);
    assert_eq!(
        place.sql("SHOW STREAMS"),
        "{\"stream\":\"s\",\"connector\":\"topic\",\"partitions\":\"2\",\"rows\":\"0\"}\n"
    );
    let described = place.sql("DESCRIBE s");
    for part in ["\"a\"", "bigint", "key", "timestamp", "watermark 5 s behind", "partitions"] {
        assert!(described.contains(part), "{part} in {described}");
    }
    place.sql("CREATE VIEW v AS SELECT a + 1 AS b FROM s");
    assert!(place.sql("SHOW VIEWS").contains("a + 1"));
    assert!(place.sql("DESCRIBE v").contains("bigint"));
    place.sql("INSERT INTO s VALUES (1, '2024-01-01 00:00:00')");
    assert_eq!(place.sql("SELECT * FROM v"), "{\"b\":2}\n");
    place
        .run(&["-c", "CREATE VIEW v AS SELECT a FROM s"])
        .fails(3, &["differently", "CREATE OR REPLACE VIEW"]);
    place.sql("CREATE OR REPLACE VIEW v AS SELECT a FROM s");
    assert_eq!(place.sql("SELECT * FROM v"), "{\"a\":1}\n");
    place.sql("DROP VIEW v; DROP STREAM s");
    assert_eq!(place.sql("SHOW STREAMS; SHOW VIEWS"), "");
    place.run(&["-c", "SELECT * FROM s"]).fails(3, &["there is no stream"]);
    place.run(&["topic", "describe", "s"]).fails(1, &["there is no"]);
}

#[test]
fn a_job_starts_anew_when_its_stream_was_dropped() {
    let place = Place::new();
    place.sql("CREATE STREAM s (a BIGINT); INSERT INTO s VALUES (1), (2), (3)");
    place.file(
        "job.sql",
        "CREATE STREAM doubled AS SELECT a * 2 AS b FROM s; SELECT sum(b) AS b FROM doubled;",
    );
    let run = || place.run(&["run", "job.sql", "--until-caught-up"]).ok();
    assert_eq!(run().out, "{\"b\":12}\n");
    place.sql("INSERT INTO s VALUES (10)");
    assert_eq!(run().out, "{\"b\":32}\n");
    place.sql("DROP STREAM doubled");
    assert_eq!(run().out, "{\"b\":32}\n");
    // Another query under the same name is another definition.
    place.file("job.sql", "CREATE STREAM doubled AS SELECT a * 3 AS b FROM s;");
    place.run(&["run", "job.sql"]).fails(3, &["doubled", "differently", "a * 3"]);
    // An INSERT keeps its job's state by the file's name: another query cannot go on with it.
    place.file("in.sql", "CREATE STREAM sink (a BIGINT); INSERT INTO sink SELECT a FROM s WHERE a > 1;");
    place.run(&["run", "in.sql", "--until-caught-up"]).ok();
    place.file("in.sql", "CREATE STREAM sink (a BIGINT); INSERT INTO sink SELECT a FROM s WHERE a > 2;");
    let changed = place.run(&["run", "in.sql", "--until-caught-up"]);
    assert!(changed.code == Some(1) || changed.code == Some(3), "{}", changed.err);
    assert!(changed.err.contains("in.sink"), "{}", changed.err);
}

#[test]
fn settings_are_shown_set_and_reset() {
    let place = Place::new();
    let out = place.sql("SET step_rows = 7; SHOW step_rows; RESET step_rows; SHOW step_rows; SHOW ALL");
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].contains("\"value\":\"7\"") && lines[1].contains("\"value\":\"65536\""), "{out}");
    for name in ["checkpoint_interval", "format", "idle_timeout", "state_ttl", "step_rows", "workers"] {
        assert!(lines[2..].iter().any(|l| l.contains(name)), "{name}");
    }
    place.run(&["-c", "SHOW step_row"]).fails(3, &["step_rows"]);
}

#[test]
fn explain_tells_changes_event_time_and_state() {
    let place = Place::new();
    place.sql("CREATE STREAM s (a TEXT, ts TIMESTAMP, WATERMARK FOR ts AS ts)");
    let plan = place.sql(
        "EXPLAIN SELECT window_end, a, count(*) FROM TUMBLE(s, ts, INTERVAL '1 hour') GROUP BY window_end, a EMIT FINAL",
    );
    for part in
        ["Source s", "TUMBLE", "Aggregate", "append-only", "window_end", "the watermark of s.ts passes"]
    {
        assert!(plan.to_lowercase().contains(&part.to_lowercase()), "{part} in {plan}");
    }
    let plan = place.sql("EXPLAIN SELECT a, count(*) FROM s GROUP BY a EMIT CHANGES");
    assert!(plan.contains("updates") && plan.contains("grows with the number of distinct"), "{plan}");
    place.run(&["-c", "EXPLAIN SELECT b FROM s"]).fails(3, &["b"]);
}

#[test]
fn metadata_can_be_selected_and_keys_stay_in_their_partition() {
    let place = Place::new();
    place.sql("CREATE STREAM s (k TEXT, n BIGINT) WITH (partitions = 4, key = 'k')");
    let values: Vec<String> = (0..40).map(|n| format!("('k{}', {n})", n % 8)).collect();
    place.sql(&format!("INSERT INTO s VALUES {}", values.join(", ")));
    place.sql("INSERT INTO s VALUES ('k1', 100), ('k2', 101)");
    let spread =
        "SELECT k FROM (SELECT k, _partition FROM s) GROUP BY k HAVING count(DISTINCT _partition) > 1";
    assert_eq!(place.sql(spread), "");
    // Offsets count up in each partition, in the order in which the rows of a key came.
    let out = place.sql("SELECT *, _partition, _offset FROM s ORDER BY _partition, _offset");
    let mut last = std::collections::HashMap::<String, i64>::new();
    for row in out.lines().map(json) {
        let n = row["n"].as_i64().unwrap();
        assert!(last.insert(row["k"].to_string(), n).is_none_or(|before| before < n), "{row}");
    }
    let counts = "SELECT count(*) AS n FROM (SELECT _partition FROM s) GROUP BY _partition";
    assert!(place.rows(counts).len() > 1);
    assert!(!place.sql("SELECT *, n + 1 FROM s LIMIT 1").contains("_offset"));
    assert!(json(&place.sql("SELECT max(_timestamp) AS t FROM s"))["t"].is_string());
}

#[test]
fn topics_are_listed_described_consumed_and_deleted() {
    let place = Place::new();
    place.sql("CREATE STREAM s (k TEXT, n BIGINT) WITH (partitions = 3, key = 'k')");
    place.sql("INSERT INTO s VALUES ('a', 1), ('b', 2), ('c', 3), ('d', 4), ('e', 5)");
    assert_eq!(place.run(&["topic", "list"]).ok().out, "{\"topic\":\"s\",\"partitions\":3,\"rows\":5}\n");
    let described = place.run(&["topic", "describe", "s"]).ok();
    assert_eq!(described.out.lines().count(), 3);
    let all = sorted(&place.run(&["topic", "consume", "s"]).ok().out);
    assert_eq!(all, place.rows("SELECT * FROM s"));
    assert_eq!(place.run(&["topic", "consume", "s", "-n", "2"]).ok().out.lines().count(), 2);
    let parts = (0..3).flat_map(|p| {
        let partition = p.to_string();
        sorted(&place.run(&["topic", "consume", "s", "--partition", &partition]).ok().out)
    });
    assert_eq!(sorted(&parts.collect::<Vec<_>>().join("\n")), all);
    place.run(&["topic", "consume", "s", "--partition", "3"]).fails(1, &["partitions 0 to 2"]);
    place.run(&["topic", "consume", "t"]).fails(1, &["there is no"]);
    place.run(&["topic", "describe", "ss"]).fails(1, &["did you mean"]);
    place.run(&["topic", "delete", "s"]).ok();
    assert_eq!(place.run(&["topic", "list"]).ok().out, "");
    place.run(&["topic", "delete", "s"]).fails(1, &["there is no"]);
}
