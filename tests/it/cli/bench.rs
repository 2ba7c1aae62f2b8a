//! `millstream bench nexmark`: that what is measured is right, not how fast it is.

use super::*;

/// What a bench tells, one case a line.
fn bench(place: &Place, arguments: &[&str]) -> Vec<serde_json::Value> {
    let ran = place.run(&[&["bench", "nexmark"], arguments].concat()).ok();
    assert_eq!(ran.err, "", "off a terminal nothing is told but failures");
    ran.out.lines().map(json).collect()
}

#[test]
fn every_query_is_answered_as_by_the_batch_engine_from_files_and_from_topics() {
    let place = Place::new();
    let arguments =
        ["--events", "20000", "--runs", "0", "--check", "--emit", "both", "--workers", "2", "-d", "kept"];
    let lines = bench(&place, &arguments);
    assert!(lines.len() > 2 * 20, "{}", lines.len());
    for line in &lines {
        assert_eq!(line["answers"], "equal", "{line}");
        assert!(line["cpu_s"].is_null(), "{line}");
    }
    for emit in ["changes", "final"] {
        for input in ["json", "topic"] {
            assert!(lines.iter().any(|l| l["emit"] == emit && l["input"] == input && l["query"] == "q5"));
        }
    }
    // What is left are the events and the topics, for the next run.
    let mut left: Vec<_> = std::fs::read_dir(place.path("kept/nexmark-20000")).unwrap().collect();
    left.sort_by_key(|entry| entry.as_ref().unwrap().file_name());
    let left: Vec<_> = left.into_iter().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["auction", "bid", "events.json", "person", "topics", "topics.json"]);
    assert_eq!(place.run(&["job", "list", "-d", "kept/nexmark-20000/topics"]).ok().out, "");
}

#[test]
fn both_engines_are_measured_and_the_results_written_down() {
    let place = Place::new();
    let arguments =
        ["--events", "5000", "--runs", "2", "--query", "wc,q4", "--check", "--markdown", "result.md"];
    let lines = bench(&place, &arguments);
    let cases: Vec<_> = lines.iter().map(|l| format!("{} {}", l["query"], l["input"])).collect();
    assert_eq!(cases, [r#""wc" "json""#, r#""wc" "topic""#, r#""q4" "json""#, r#""q4" "topic""#]);
    for line in &lines {
        let number = |name: &str| line[name].as_f64().unwrap_or_else(|| panic!("{name} in {line}"));
        for figure in
            ["cpu_s", "batch_cpu_s", "wall_s", "batch_wall_s", "cpu_ratio", "rows_per_s", "step_p50_ms"]
        {
            assert!(number(figure) > 0.0, "{figure} in {line}");
        }
        assert!(number("cpu_median_s") >= number("cpu_s") && number("step_p99_ms") >= number("step_p50_ms"));
        let auctions = if line["query"] == "q4" { 300 } else { 0 };
        assert_eq!(number("rows_in"), f64::from(4600 + auctions), "{line}");
        assert!(number("rows_out") >= number("batch_rows_out"), "{line}");
        assert_eq!(line["answers"], "equal");
    }
    let document = std::fs::read_to_string(place.path("result.md")).unwrap();
    assert!(document.starts_with("# Nexmark: 5,000 events"), "{document}");
    let table = document.split("\n## ").next().unwrap_or_default();
    assert_eq!(table.lines().filter(|l| l.starts_with("| wc |") || l.starts_with("| q4 |")).count(), 4);
    // Without --data nothing stays behind.
    assert!(!place.path(".millstream").exists());
}

#[test]
fn what_grows_with_the_events_is_told_without_files_and_without_the_batch_engine() {
    let place = Place::new();
    let lines = bench(
        &place,
        &[
            "--events=4000,1000",
            "--runs=1",
            "--query=q20,wc",
            "--input=topic",
            "--ours-only",
            "--workers=2",
            "--markdown=result.md",
            "-dkept",
        ],
    );
    let cases: Vec<_> = lines.iter().map(|l| format!("{} {}", l["query"], l["events"])).collect();
    assert_eq!(cases, [r#""q20" 1000"#, r#""wc" 1000"#, r#""q20" 4000"#, r#""wc" 4000"#]);
    for line in &lines {
        let number = |name: &str| line[name].as_u64().unwrap_or_else(|| panic!("{name} in {line}"));
        assert!(line["batch_cpu_s"].is_null() && line["cpu_us_per_row"].as_f64() > Some(0.0), "{line}");
        if line["query"] == "q20" {
            // All bids are kept, and about half of the rows are on the other worker first.
            assert!(number("state_rows") >= number("events") * 92 / 100, "{line}");
            assert!(number("state_bytes") > number("state_rows"), "{line}");
            assert!(number("moved_rows") > number("events") / 10, "{line}");
            assert!(number("moved_bytes") > number("moved_rows") * 8, "{line}");
        } else {
            assert_eq!(number("state_rows"), 0, "the windows are over: {line}");
        }
    }
    let document = std::fs::read_to_string(place.path("result.md")).unwrap();
    for part in ["# Nexmark: 1,000 / 4,000 events, 2 workers", "## Growth", "xychart-beta", "send each other"]
    {
        assert!(document.contains(part), "{part} is missing in {document}");
    }
    assert!(!place.path("kept/nexmark-4000/bid").exists());
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let place = Place::new();
    for (arguments, words) in [
        (&["--query", "q6"][..], &["q6", "q5", "q7"][..]),
        (&["--query", "q4", "--emit", "final"], &["the result of q4 is never final", "wc, q5"]),
        (&["--runs", "0"], &["--check"]),
    ] {
        place.run(&[&["bench", "nexmark"], arguments].concat()).fails(2, words);
    }
    place.run(&["bench", "nexmark", "--events", "10", "--markdown", "no/such.md"]).fails(1, &["no/such.md"]);
}

#[test]
fn a_blackhole_takes_a_result_that_changes_and_a_topic_does_not() {
    let place = Place::new();
    place.file("in.jsonl", "{\"a\":1}\n{\"a\":2}\n{\"a\":1}\n");
    let counts = "AS SELECT a, count(*) AS n FROM s GROUP BY a EMIT CHANGES";
    let source = "CREATE STREAM s (a BIGINT) WITH (connector = 'file', path = 'in.jsonl', format = 'json');";
    let refused = format!("{source} CREATE STREAM kept {counts}");
    place.run(&["-c", &refused]).fails(3, &["a stream only ever takes new rows"]);
    let swallowed =
        format!("SET step_rows = 1; {source} CREATE STREAM gone WITH (connector = 'blackhole') {counts}");
    let ran = place.run(&["--until-caught-up", "--workers", "1", "-c", &swallowed]).ok();
    // Both groups come, and of the one that changes the row goes and another comes.
    assert!(ran.err.contains("3 rows in, 4 out"), "{}", ran.err);
    let described = place.run(&["job", "describe", "gone", "--format", "jsonl"]).ok().out;
    let steps = &json(&described)["status"]["steps"];
    assert!(
        steps["count"].as_u64().unwrap() >= 3 && steps["p99_us"].as_u64() >= steps["p50_us"].as_u64(),
        "{steps}"
    );
    let shown = place.run(&["job", "describe", "gone", "--format", "table"]).ok().out;
    assert!(shown.contains("step times") && shown.contains(" in this run"), "{shown}");
}
