//! Topics made, filled, read and exported from the command line.

use super::resume::{Dice, grown, rows_of};
use super::*;
use arrow::array::AsArray;
use std::io::{BufRead, BufReader};

/// Numbered JSON lines.
fn lines(numbers: std::ops::Range<u64>) -> String {
    numbers.map(|n| format!("{{\"n\":{n},\"name\":\"row {n}\"}}\n")).collect()
}

/// The numbers of printed rows, sorted.
fn printed(out: &str) -> Vec<u64> {
    let mut numbers: Vec<u64> = out.lines().map(|line| json(line)["n"].as_u64().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn a_topic_made_by_hand_is_a_stream() {
    let place = Place::new();
    let columns = "n BIGINT NOT NULL, at TIMESTAMP(3), WATERMARK FOR at AS at - INTERVAL '1 second'";
    let create = ["topic", "create", "Trips", "--columns", columns, "--partitions", "2", "--codec", "zstd"];
    place.run(&create).ok();
    place.run(&create).ok();
    let input = b"{\"n\":1,\"at\":\"2026-01-01T00:00:00\"}\n{\"n\":2,\"at\":\"2026-01-01T00:10:00\"}\n";
    place.run_with(&["topic", "produce", "Trips"], input).ok();
    assert_eq!(place.sql("SELECT sum(n) AS n FROM \"Trips\""), "{\"n\":3}\n");
    let described = place.run(&["topic", "describe", "Trips"]).ok();
    assert!(described.err.contains("n bigint") && described.err.contains("zstd"), "{}", described.err);
    let rows: Vec<_> = described.out.lines().map(json).collect();
    let sum = |name: &str| rows.iter().map(|row| row[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("rows"), sum("rows_last_minute")), (2, 2));
    assert!(sum("bytes") > 100 && rows.iter().any(|row| row["first_event_time"] == "2026-01-01T00:00:00"));

    let alter =
        ["topic", "alter", "Trips", "--retention", "2 days", "--segment-bytes", "1 MiB", "--fsync", "step"];
    place.run(&alter).ok();
    let described = place.run(&["topic", "describe", "Trips"]).ok();
    for words in ["segments of 1 MiB", "rows kept for 2 d", "each append synced"] {
        assert!(described.err.contains(words), "{words} in {}", described.err);
    }
    place.run(&["topic", "alter", "Trips"]).fails(2, &["what is to change"]);
    place
        .run(&["topic", "alter", "Trips", "--fsync", "never"])
        .fails(1, &["expected step, os, or an interval"]);
    place.run(&["topic", "alter", "trips", "--fsync", "os"]).fails(1, &["did you mean \"Trips\""]);
    place.run(&["topic", "create", "kept", "--columns", "n INT", "--retention", "1 hour"]).ok();
    assert!(place.run(&["topic", "describe", "kept"]).ok().err.contains("rows kept for 1 h"));

    let wrong = ["topic", "create", "t", "--columns", "n BIGINTT"];
    place.run(&wrong).fails(3, &["BIGINTT", "^^^"]);
    place
        .run(&["topic", "create", "t", "--columns", "n INT", "--codec", "zip"])
        .fails(3, &["lz4, zstd or none"]);
    place
        .run(&["topic", "create", "t", "--columns", "n INT", "--with", "partitons=2"])
        .fails(3, &["did you mean 'partitions'"]);
    place.run(&["topic", "create", "a b", "--columns", "n INT"]).fails(3, &["cannot be a topic's name"]);
    place.run(&["topic", "create", "Trips", "--columns", "n INT"]).fails(3, &["differently"]);
}

#[test]
fn a_line_that_is_typed_is_there_at_once_for_another_process() {
    let place = Place::new();
    place.sql("CREATE STREAM t (n BIGINT, name TEXT)");
    let mut consumer = place.command(&["topic", "consume", "t", "--follow"]).spawn().unwrap();
    let mut out = BufReader::new(consumer.stdout.take().unwrap());
    let mut producer = place.command(&["topic", "produce", "t"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = producer.stdin.take().unwrap();
    for n in 0..5 {
        stdin.write_all(lines(n..n + 1).as_bytes()).unwrap();
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert_eq!(line, lines(n..n + 1));
    }
    drop(stdin);
    Ran::of(producer.wait_with_output().unwrap()).ok();
    consumer.kill().unwrap();
    consumer.wait().unwrap();
}

#[test]
fn csv_goes_in_and_bad_records_are_told() {
    let place = Place::new();
    place.sql("CREATE STREAM t (n BIGINT NOT NULL, name TEXT)");
    let csv = "name,n\none,1\ntwo,zwei\nthree,3\nnone,\n\"fo\"\"ur\",4\n";
    let stopped = place.run_with(&["topic", "produce", "t", "--format", "csv"], csv.as_bytes());
    stopped.fails(1, &["stdin:3:5", "zwei"]);
    assert_eq!(rows_of(&place, "t"), 1, "the rows before the bad record");
    let skip = ["topic", "produce", "t", "--format", "csv", "--on-error", "skip"];
    let skipped = place.run_with(&skip, csv.as_bytes()).ok();
    for told in ["stdin:3:5", "stdin:5", "2 records were left out"] {
        assert!(skipped.err.contains(told), "{told} in {}", skipped.err);
    }
    let bare = ["topic", "produce", "t", "--format", "csv", "--no-header"];
    place.run_with(&bare, b"5,five\n6,six").ok();
    assert_eq!(
        place.rows("SELECT n, name FROM t"),
        ["{\"n\":1,\"name\":\"one\"}", "{\"n\":1,\"name\":\"one\"}", "{\"n\":3,\"name\":\"three\"}"]
            .into_iter()
            .chain([
                "{\"n\":4,\"name\":\"fo\\\"ur\"}",
                "{\"n\":5,\"name\":\"five\"}",
                "{\"n\":6,\"name\":\"six\"}"
            ])
            .collect::<Vec<_>>()
    );
    place.run_with(&["topic", "produce", "t", "--format", "csv"], b"a,b\n1,2\n").fails(1, &["header"]);
    place.run(&["topic", "produce", "t", "--no-header"]).fails(2, &["--format csv"]);
    place.run(&["topic", "produce", "u"]).fails(1, &["there is no topic"]);
    place.run(&["-c", "CREATE STREAM v AS SELECT n FROM t", "--until-caught-up"]).ok();
    place.run(&["topic", "produce", "v"]).fails(1, &["written by its own query"]);
}

#[test]
fn a_named_producer_appends_each_row_once() {
    for (columns, key) in [("", ""), ("key", ", key = 'n'")] {
        let place = Place::new();
        place.sql(&format!("CREATE STREAM t (n BIGINT, name TEXT) WITH (partitions = 3{key})"));
        let produce = ["topic", "produce", "t", "--producer", "me"];
        place.run_with(&produce, lines(0..5_000).as_bytes()).ok();
        place.run_with(&produce, lines(0..3_000).as_bytes()).ok();
        assert_eq!(rows_of(&place, "t"), 5_000, "{columns}");
        // Killed at any moment, and given the whole input again.
        let mut dice = Dice(3);
        let whole = lines(0..40_000);
        for _ in 0..4 {
            let mut child = place.command(&produce).stdin(Stdio::piped()).spawn().unwrap();
            let mut stdin = child.stdin.take().unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| drop(stdin.write_all(whole.as_bytes())));
                grown(&place, &mut child, 1 + dice.below(100_000));
                child.kill().unwrap();
                child.wait().unwrap();
            });
        }
        place.run_with(&produce, whole.as_bytes()).ok();
        let rows = printed(&place.run(&["topic", "consume", "t"]).ok().out);
        assert!(rows == (0..40_000).collect::<Vec<_>>(), "{} rows", rows.len());
        place.run_with(&["topic", "produce", "t"], lines(0..10).as_bytes()).ok();
        assert_eq!(rows_of(&place, "t"), 40_010, "without a name all rows are appended");
    }
}

#[test]
fn reading_starts_where_it_is_told_to() {
    let place = Place::new();
    place.sql("CREATE STREAM t (n BIGINT, name TEXT)");
    place.run_with(&["topic", "produce", "t"], lines(0..10).as_bytes()).ok();
    let consume = |more: &[&str]| {
        let arguments: Vec<&str> = ["topic", "consume", "t"].iter().chain(more).copied().collect();
        printed(&place.run(&arguments).ok().out)
    };
    assert_eq!(consume(&["--from", "7"]), [7, 8, 9]);
    assert_eq!(consume(&["--from", "2", "-n", "3"]), [2, 3, 4]);
    assert_eq!(consume(&["--from", "latest"]), [0; 0]);
    assert_eq!(consume(&["--from", "99"]), [0; 0]);
    assert_eq!(consume(&["--from", "1999-01-01"]).len(), 10);
    assert_eq!(consume(&["--from", "2200-01-01"]), [0; 0]);
    let metadata = place.run(&["topic", "consume", "t", "--metadata", "--from", "9"]).ok().out;
    let row = json(&metadata);
    assert_eq!((row["_partition"].as_u64(), row["_offset"].as_u64()), (Some(0), Some(9)));
    let time = row["_timestamp"].as_str().unwrap();
    assert_eq!(consume(&["--from", time]).last(), Some(&9));
    place.run(&["topic", "consume", "t", "--from", "soon"]).fails(2, &["earliest, latest"]);
}

#[test]
fn what_is_exported_reads_back_as_it_was() {
    let place = Place::new();
    let columns = "n BIGINT, name TEXT, at TIMESTAMP(3), list BIGINT[]";
    place.sql(&format!("CREATE STREAM t ({columns}) WITH (partitions = 2, key = 'n')"));
    let rows: String = (0..20_000)
        .map(|n| {
            let name = if n % 7 == 0 { "null".to_string() } else { format!("\"ä{n}\"") };
            format!(
                "{{\"n\":{n},\"name\":{name},\"at\":{},\"list\":[{n},null]}}\n",
                1_700_000_000_000_u64 + n
            )
        })
        .collect();
    place.run_with(&["topic", "produce", "t"], rows.as_bytes()).ok();
    place.run(&["topic", "export", "t", "--to", "all.parquet", "--metadata"]).ok();
    place.sql(&format!(
        "CREATE STREAM f ({columns}, p INT, o BIGINT) WITH (connector = 'file', path = 'bare.parquet')"
    ));
    place.run(&["topic", "export", "t", "--to", "bare.parquet"]).ok();
    let query = |from: &str| format!("SELECT n, name, at, list FROM {from}");
    let (there, here) = (place.rows(&query("t")), place.rows(&query("f")));
    assert_eq!(there.len(), 20_000);
    assert!(there == here);

    place
        .run(&[
            "topic",
            "export",
            "t",
            "--to",
            "part.arrow",
            "--partition",
            "1",
            "--from",
            "5",
            "--to-offset",
            "9",
        ])
        .ok();
    let file = std::fs::File::open(place.path("part.arrow")).unwrap();
    let batches = arrow::ipc::reader::FileReader::try_new(file, None).unwrap();
    assert_eq!(batches.map(|b| b.unwrap().num_rows()).sum::<usize>(), 4);
    let file = std::fs::File::open(place.path("all.parquet")).unwrap();
    let builder = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let names: Vec<String> = builder.schema().fields().iter().map(|f| f.name().clone()).collect();
    assert_eq!(names, ["n", "name", "at", "list", "_partition", "_offset", "_timestamp"]);
    let mut offsets = [0; 2];
    for batch in builder.build().unwrap() {
        let batch = batch.unwrap();
        let partitions = batch.column(4).as_primitive::<arrow::datatypes::Int32Type>();
        let numbers = batch.column(5).as_primitive::<arrow::datatypes::Int64Type>();
        for (partition, offset) in partitions.values().iter().zip(numbers.values()) {
            assert_eq!(*offset, offsets[*partition as usize]);
            offsets[*partition as usize] += 1;
        }
    }
    assert_eq!(offsets.iter().sum::<i64>(), 20_000);

    place.run(&["topic", "export", "t", "--to", "x.csv"]).fails(1, &[".parquet or .arrow"]);
    place.run(&["topic", "export", "u", "--to", "x.arrow"]).fails(1, &["there is no topic"]);
    place
        .run(&["topic", "export", "t", "--to", "x.arrow", "--partition", "2"])
        .fails(1, &["partitions 0 to 1"]);
    let left = std::fs::read_dir(place.path(""))
        .unwrap()
        .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().ends_with(".tmp"));
    assert_eq!(left.count(), 0);
}
