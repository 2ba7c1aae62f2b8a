//! Standard input, and files of every kind that are good or bad.

use super::*;

#[test]
fn standard_input_is_a_table_in_json_or_csv() {
    let place = Place::new();
    let query = &["-c", "SELECT city, sum(n) AS n FROM stdin GROUP BY city ORDER BY city"];
    let expected = "{\"city\":\"Oslo\",\"n\":2}\n{\"city\":\"Rome\",\"n\":4}\n";
    let json = b"{\"city\":\"Rome\",\"n\":1}\n{\"city\":\"Oslo\",\"n\":2}\n{\"city\":\"Rome\",\"n\":3}";
    assert_eq!(place.run_with(query, json).ok().out, expected);
    assert_eq!(place.run_with(query, b"city,n\nRome,1\nOslo,2\nRome,3\n").ok().out, expected);
    assert_eq!(place.run_with(query, b"city,n\r\nRome,1\r\nOslo,2\r\nRome,3\r\n").ok().out, expected);

    let changes = &["-c", "SELECT city, count(*) AS n FROM stdin GROUP BY city EMIT CHANGES"];
    let ran = place.run_with(changes, json).ok();
    assert_eq!(sorted(&ran.out).last().unwrap(), "{\"_op\":\"+\",\"city\":\"Rome\",\"n\":2}");
    // Kept in a stream, it can be read again.
    let keep = "CREATE STREAM kept AS SELECT * FROM stdin";
    place.run_with(&["-c", keep], json).ok();
    assert_eq!(place.sql("SELECT count(*) AS n, sum(n) AS s FROM kept"), "{\"n\":3,\"s\":6}\n");
}

#[test]
fn logs_that_are_piped_in_are_tables_and_what_was_guessed_is_told_once() {
    let place = Place::new();
    let access = |status: u16| {
        format!(
            "10.0.0.1 - - [10/Oct/2000:13:55:36 +0000] \"GET /{status} HTTP/1.1\" {status} 17 \"-\" \"curl\"\n"
        )
    };
    let log = [access(200), access(404), access(200)].concat();
    let query = &["-c", "SELECT status, count(*) AS n FROM stdin GROUP BY status EMIT CHANGES"];
    let ran = place.run_with(query, log.as_bytes()).ok();
    assert_eq!(sorted(&ran.out).last().unwrap(), "{\"_op\":\"+\",\"status\":404,\"n\":1}");
    assert!(ran.out.contains("{\"_op\":\"+\",\"status\":200,\"n\":2}"), "{}", ran.out);
    assert_eq!(
        ran.err.matches("note: stdin is read as combined log: host VARCHAR").count(),
        1,
        "{}",
        ran.err
    );
    for (input, sql, expected, told) in [
        (
            "level=info took=3\nlevel=warn took=4\n",
            "SELECT sum(took) AS t FROM stdin",
            "{\"t\":7}\n",
            "logfmt",
        ),
        ("one line\nanother, line", "SELECT count(line) AS n FROM stdin", "{\"n\":2}\n", "plain lines"),
        ("a\tb\n1\tx\n2\ty\n", "SELECT sum(a) AS s FROM stdin", "{\"s\":3}\n", "TSV"),
        ("{\"a\":1}\n", "SELECT a FROM stdin", "{\"a\":1}\n", "JSON lines"),
    ] {
        let ran = place.run_with(&["-c", sql], input.as_bytes()).ok();
        assert_eq!(ran.out, expected);
        assert!(ran.err.contains(&format!("note: stdin is read as {told}: ")), "{}", ran.err);
    }
}

#[test]
fn standard_input_that_is_no_table() {
    let place = Place::new();
    let query = &["-c", "SELECT n FROM stdin"];
    place.run_with(query, b"{\"n\":1}\n{\"n\":\"x\n").fails(1, &["stdin:2:"]);
    place.run_with(query, b"{\"m\":1}\n").fails(3, &["n", "1:8"]);
    let ran = place.run_with(query, b"");
    assert!(ran.code != Some(0) || ran.out.is_empty());
    let twice = &["-c", "SELECT a.n FROM stdin a JOIN stdin b ON a.n = b.n"];
    place.run_with(twice, b"{\"n\":1}\n").fails(1, &["stdin can be read only once"]);
}

#[test]
fn every_file_format_gives_the_same_rows() {
    use std::io::Write;
    let place = Place::new();
    let json =
        "{\"a\":1,\"b\":\"x\",\"t\":\"2024-01-01T00:00:00Z\"}\n{\"a\":null,\"b\":\"y, z\",\"t\":null}\n";
    let csv = "a,b,t\n1,x,2024-01-01 00:00:00\n,\"y, z\",\n";
    place
        .file("rows.jsonl", json)
        .file("rows.csv", csv)
        .file("rows.tsv", csv.replace("\"y, z\"", "y; z").replace(',', "\t").replace(';', ","));
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(json.as_bytes()).unwrap();
    place.file("rows.jsonl.gz", gz.finish().unwrap());
    place.file("rows.csv.zst", zstd::encode_all(csv.as_bytes(), 1).unwrap());
    let expected =
        ["{\"a\":1,\"b\":\"x\",\"t\":\"2024-01-01T00:00:00\"}", "{\"a\":null,\"b\":\"y, z\",\"t\":null}"];
    for name in ["rows.jsonl", "rows.csv", "rows.tsv", "rows.jsonl.gz", "rows.csv.zst"] {
        let place_sql = format!(
            "CREATE STREAM f (a BIGINT, b TEXT, t TIMESTAMP) WITH (connector = 'file', path = '{name}');
             SELECT * FROM f; DROP STREAM f"
        );
        assert_eq!(place.rows(&place_sql), expected, "{name}");
    }
    let several =
        "CREATE STREAM g (a BIGINT) WITH (connector = 'file', path = 'rows.jsonl*', format = 'json');
                   SELECT count(*) AS n FROM g";
    assert_eq!(place.sql(several), "{\"n\":4}\n");
}

#[test]
fn bad_records_are_left_out_and_counted_or_kept_with_their_place() {
    let place = Place::new();
    place.file("in.jsonl", "{\"a\":1}\n{\"a\":\"two\"}\nnonsense\n{\"a\":4}\n");
    let stream = |name: &str, on_bad: &str| {
        format!(
            "CREATE STREAM {name} (a BIGINT) WITH (connector = 'file', path = 'in.jsonl', on_bad = '{on_bad}');"
        )
    };
    let job = |name: &str| format!("CREATE STREAM {name}_out AS SELECT a FROM {name};");
    place.file("skip.sql", stream("skipping", "skip") + &job("skipping"));
    place.run(&["run", "skip.sql"]).ok().fails(0, &["2 bad"]);
    assert_eq!(place.rows("SELECT * FROM skipping_out"), ["{\"a\":1}", "{\"a\":4}"]);

    place.file("keep.sql", stream("keeping", "topic") + &job("keeping"));
    place.run(&["run", "keep.sql"]).ok().fails(0, &["2 bad"]);
    assert_eq!(place.rows("SELECT * FROM keeping_out"), ["{\"a\":1}", "{\"a\":4}"]);
    let bad = place.sql("SELECT * FROM keeping_bad");
    let bad: Vec<serde_json::Value> = bad.lines().map(json).collect();
    let of = |name: &str| bad.iter().map(|r| r[name].to_string()).collect::<Vec<_>>();
    assert_eq!(of("origin"), ["\"in.jsonl\"", "\"in.jsonl\""]);
    assert_eq!(of("line"), ["2", "3"]);
    assert!(bad[0]["reason"].as_str().unwrap().contains("BIGINT"));
    assert_eq!(bad[1]["raw"], "nonsense");
    assert!(bad[0]["column"].as_i64().is_some());
    // Once, however often it is run.
    place.run(&["run", "keep.sql"]).ok();
    assert_eq!(place.sql("SELECT count(*) AS n FROM keeping_bad"), "{\"n\":2}\n");

    place.file("fail.sql", stream("failing", "fail") + &job("failing"));
    place.run(&["run", "fail.sql"]).fails(1, &["failing_out", "in.jsonl:2:", "BIGINT"]);
}

#[test]
fn a_compressed_file_that_ends_too_soon() {
    let place = Place::new();
    let whole = std::fs::read(project().join("queries/data/quakes/quakes.jsonl.gz")).unwrap();
    place.file("cut.jsonl.gz", &whole[..whole.len() / 2]);
    let sql = "CREATE STREAM f (quake_id TEXT) WITH (connector = 'file', path = 'cut.jsonl.gz');
               SELECT count(*) FROM f";
    place.run(&["-c", sql]).fails(1, &["cut.jsonl.gz"]);
}
