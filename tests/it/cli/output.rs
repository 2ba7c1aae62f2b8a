//! What is printed, in each format, and to whom.

use super::*;

const ROWS: &str = "SELECT * FROM (VALUES (1, 'x', 1.5), (2, NULL, NULL)) AS t (a, b, c)";

#[test]
fn each_format() {
    let place = Place::new();
    let print = |format: &str| place.run(&["-c", ROWS, "--format", format]).ok().out;
    assert_eq!(print("jsonl"), "{\"a\":1,\"b\":\"x\",\"c\":1.5}\n{\"a\":2,\"b\":null,\"c\":null}\n");
    assert_eq!(place.run(&["-c", ROWS]).ok().out, print("jsonl"), "a pipe gets JSON lines");
    assert_eq!(print("csv"), "a,b,c\n1,x,1.5\n2,,\n");
    let table = print("table");
    assert!(table.contains(" a ") && table.contains(" x ") && table.lines().count() >= 5, "{table}");
    let changes = "SELECT 1 AS a EMIT CHANGES";
    assert_eq!(place.run(&["-c", changes]).ok().out, "{\"_op\":\"+\",\"a\":1}\n");
    assert!(place.run(&["-c", changes, "--format", "table"]).ok().out.contains('+'));
    let set = "SET format = csv; SELECT 1 AS a";
    assert_eq!(place.sql(set), "a\n1\n");
}

#[test]
fn a_column_without_a_name_is_called_as_it_is_written() {
    let place = Place::new();
    place.sql("CREATE STREAM s (a BIGINT, k TEXT); INSERT INTO s VALUES (5, 'x')");
    let head = |sql: &str| {
        let ran = place.run(&["-c", sql, "--format", "csv", "--until-caught-up"]).ok();
        ran.out.lines().next().map(String::from)
    };
    for (query, expected) in [
        ("SELECT 7 % (a - 3), k || 'y', a FROM s", "7 % (a - 3),k || 'y',a"),
        ("SELECT CASE WHEN a > 1 THEN 'many' END FROM s LIMIT 1", "CASE WHEN a > 1 THEN 'many' END"),
        ("SELECT count(*), upper(k) FROM s GROUP BY k", "count(*),upper(s.k)"),
    ] {
        assert_eq!(head(query).as_deref(), Some(expected));
        assert_eq!(head(&format!("{query} EMIT CHANGES")).map(|h| h.contains("Int64")), Some(false));
    }
    let rows = place.sql("SELECT a + 1 FROM s");
    assert_eq!(rows, "{\"a + 1\":6}\n");
}

#[test]
fn more_formats() {
    let place = Place::new();
    let print = |format: &str| place.run(&["-c", ROWS, "--format", format]).ok().out;
    assert_eq!(print("json"), "[\n{\"a\":1,\"b\":\"x\",\"c\":1.5},\n{\"a\":2,\"b\":null,\"c\":null}\n]\n");
    assert_eq!(print("tsv"), "a\tb\tc\n1\tx\t1.5\n2\t\t\n");
    assert_eq!(print("md"), "| a | b | c |\n| ---: | --- | ---: |\n| 1 | x | 1.5 |\n| 2 | NULL | NULL |\n");
    assert_eq!(print("line"), "a = 1\nb = x\nc = 1.5\n\na = 2\nb = NULL\nc = NULL\n");
    assert_eq!(print("box"), print("table"));
    assert_eq!(print("null"), "");
    assert_eq!(place.run(&["-c", "SELECT 1 AS a WHERE false", "--format", "json"]).ok().out, "[]\n");
    // What is written for other programs can be read again.
    for format in ["parquet", "arrow"] {
        let file = place.path(&format!("rows.{format}"));
        let mut command = place.command(&["-c", ROWS, "--format", format]);
        assert!(command.stdout(std::fs::File::create(&file).unwrap()).status().unwrap().success());
        let bytes = std::fs::read(&file).unwrap();
        if format == "parquet" {
            let sql = "CREATE STREAM p (a BIGINT, b TEXT, c DOUBLE) WITH (connector = 'file', path = 'rows.parquet'); SELECT * FROM p";
            assert_eq!(place.sql(sql), print("jsonl"));
        } else {
            let mut reader = arrow::ipc::reader::StreamReader::try_new(bytes.as_slice(), None).unwrap();
            assert_eq!(reader.next().unwrap().unwrap().num_rows(), 2);
        }
    }
}

#[test]
fn only_data_goes_to_standard_output() {
    let place = Place::new();
    let sql = "CREATE STREAM s (a BIGINT); INSERT INTO s VALUES (1); CREATE VIEW v AS SELECT a FROM s; SET workers = 1;
               RESET workers; SELECT a FROM v; DROP VIEW v; DROP STREAM IF EXISTS nothing";
    let ran = place.run(&["-c", sql]).ok();
    assert_eq!(ran.out, "{\"a\":1}\n");
}

#[test]
fn a_reader_that_has_enough_ends_the_program_quietly() {
    let place = Place::new();
    let millstream = env!("CARGO_BIN_EXE_millstream");
    for sql in ["SELECT unnest(range(0, 200000)) AS a", "SELECT unnest(range(0, 200000)) AS a EMIT CHANGES"] {
        let script = format!("set -o pipefail; '{millstream}' -c \"$1\" | head -1");
        let mut command = Command::new("bash");
        command.args(["-c", &script, "bash", sql]).current_dir(place.0.path()).env_remove("MILLSTREAM_DATA");
        let ran = Ran::of(command.output().unwrap()).ok();
        assert_eq!(ran.out.lines().count(), 1);
        assert!(!ran.err.contains("error"), "{}", ran.err);
    }
}
