//! Jobs that are seen and steered from another process.

use super::resume::{rows_of, signalled, spawn, until};
use super::*;
use std::process::Child;
use std::time::Duration;

/// One job over one stream, which runs.
fn twice(place: &Place) -> Child {
    place.sql("CREATE STREAM s (a BIGINT) WITH (partitions = 2)");
    place.file("job.sql", "CREATE STREAM twice AS SELECT a * 2 AS b FROM s;");
    let child = spawn(place, &["run", "job.sql"]);
    until(|| state(place, "twice") == "running");
    child
}

fn insert(place: &Place, numbers: std::ops::Range<u64>) {
    let values: Vec<String> = numbers.map(|n| format!("({n})")).collect();
    place.sql(&format!("INSERT INTO s VALUES {}", values.join(", ")));
}

/// What `job list` says of a job.
fn listed(place: &Place, job: &str) -> serde_json::Value {
    let all = place.run(&["job", "list"]).ok().out;
    all.lines().map(json).find(|j| j["job"] == job).unwrap_or_default()
}

pub(super) fn state(place: &Place, job: &str) -> String {
    listed(place, job)["state"].as_str().unwrap_or_default().to_string()
}

pub(super) fn described(place: &Place, job: &str) -> serde_json::Value {
    json(&place.run(&["job", "describe", job]).ok().out)
}

/// Why a job gives no rows, as one text.
pub(super) fn why(place: &Place, job: &str) -> String {
    place.run(&["job", "why", job, "--format", "table"]).ok().out
}

/// What a command about jobs that must succeed tells.
pub(super) fn told(place: &Place, arguments: &[&str]) -> String {
    place.run(&[&["job"], arguments].concat()).ok().err
}

pub(super) fn ends(child: Child) -> Ran {
    Ran::of(child.wait_with_output().unwrap()).ok()
}

/// Long enough for a job to make a step if it did.
fn a_while() {
    std::thread::sleep(Duration::from_millis(600));
}

#[test]
fn a_paused_job_makes_no_steps_until_it_is_resumed_also_when_it_is_run_again() {
    let place = Place::new();
    let child = twice(&place);
    insert(&place, 0..3);
    until(|| rows_of(&place, "twice") == 3);
    let said = told(&place, &["pause", "twice"]);
    assert!(said.contains("job twice is paused after step"), "{said}");
    insert(&place, 3..6);
    a_while();
    assert_eq!((rows_of(&place, "twice"), state(&place, "twice").as_str()), (3, "paused"));
    assert!(why(&place, "twice").contains("Job twice is paused since"), "{}", why(&place, "twice"));
    until(|| {
        described(&place, "twice")["status"]["sources"][0]["partitions"].to_string().contains("\"lag\":")
    });
    until(|| listed(&place, "twice")["lag"] == 3);
    told(&place, &["checkpoint", "twice"]);
    let said = told(&place, &["stop", "twice"]);
    assert!(said.contains("job twice is stopped after step"), "{said}");
    ends(child);
    assert!(why(&place, "twice").contains("It was paused, and will be when it is run again."));

    let child = spawn(&place, &["run", "job.sql"]);
    until(|| state(&place, "twice") == "paused");
    a_while();
    assert_eq!(rows_of(&place, "twice"), 3);
    let said = told(&place, &["resume", "twice"]);
    assert!(said.contains("job twice goes on"), "{said}");
    until(|| rows_of(&place, "twice") == 6);
    signalled(&child, "TERM");
    let ran = ends(child);
    for words in ["job twice is paused: it makes no steps", "millstream job resume twice", "RESUME JOB"] {
        assert!(ran.err.contains(words), "{}", ran.err);
    }
    // A run that ends when all is read does not wait for a paused job.
    told(&place, &["pause", "twice"]);
    insert(&place, 6..9);
    place.run(&["run", "job.sql", "--until-caught-up"]).ok();
    assert_eq!(rows_of(&place, "twice"), 6);
    told(&place, &["resume", "twice"]);
    place.run(&["run", "job.sql", "--until-caught-up"]).ok();
    assert_eq!(rows_of(&place, "twice"), 9);
}

#[test]
fn a_job_that_is_stopped_leaves_the_others_and_the_process_ends_with_the_last() {
    let place = Place::new();
    place.sql("CREATE STREAM s (a BIGINT); CREATE STREAM t (a BIGINT)");
    place.file(
        "two.sql",
        "CREATE STREAM one AS SELECT a FROM s; CREATE STREAM two AS SELECT a FROM t; CREATE STREAM three AS SELECT a + 1 AS a FROM t;",
    );
    let child = spawn(&place, &["run", "two.sql"]);
    until(|| ["one", "two", "three"].iter().all(|job| state(&place, job) == "running"));
    assert!(!told(&place, &["stop", "one"]).contains("and with it"));
    assert_eq!((state(&place, "one").as_str(), state(&place, "two").as_str()), ("stopped", "running"));
    assert!(told(&place, &["stop", "one"]).contains("job one does not run: it is stopped"));
    place.sql("INSERT INTO t VALUES (1)");
    until(|| rows_of(&place, "two") == 1 && rows_of(&place, "three") == 1);
    // Those that read the same stream run as one.
    let said = told(&place, &["pause", "two"]);
    assert!(said.contains("and with it three: they run as one"), "{said}");
    assert_eq!(state(&place, "three"), "paused");
    let said = told(&place, &["resume", "three"]);
    assert!(said.contains("and with it two"), "{said}");
    assert_eq!(described(&place, "two")["members"], serde_json::json!(["two", "three"]));
    told(&place, &["stop", "three"]);
    ends(child);
    assert_eq!((state(&place, "two").as_str(), state(&place, "three").as_str()), ("stopped", "stopped"));
}

#[test]
fn a_job_begins_again_in_its_process_and_loses_and_doubles_nothing() {
    let place = Place::new();
    let child = twice(&place);
    let mut total = 0;
    for _ in 0..3 {
        insert(&place, total..total + 50);
        let said = told(&place, &["restart", "twice"]);
        assert!(said.contains("job twice has begun again from its checkpoint of step"), "{said}");
        total += 50;
    }
    until(|| rows_of(&place, "twice") == total);
    assert_eq!(listed(&place, "twice")["pid"], child.id());
    let step = |place: &Place| described(place, "twice")["status"]["checkpoint"]["step"].as_u64().unwrap();
    let before = step(&place);
    insert(&place, total..total + 1);
    until(|| rows_of(&place, "twice") == total + 1);
    let said = told(&place, &["checkpoint", "twice"]);
    assert!(step(&place) > before, "{said}");
    assert!(said.contains(&format!("has a checkpoint of step {}", step(&place))), "{said}");
    signalled(&child, "TERM");
    let ran = ends(child);
    assert!(ran.err.contains("151 rows in, 151 out"), "the runs are counted together: {}", ran.err);
    let distinct = json(&place.sql("SELECT count(*) AS n, count(DISTINCT b) AS d FROM twice"));
    assert_eq!((distinct["n"].as_u64(), distinct["d"].as_u64()), (Some(151), Some(151)));
    place
        .run(&["job", "restart", "twice"])
        .fails(1, &["job twice does not run, it is stopped", "run it again by"]);
    place.run(&["job", "checkpoint", "twice"]).fails(1, &["does not run", "its last checkpoint, of step"]);
}

#[test]
fn a_job_is_described_to_people_and_to_programs() {
    let place = Place::new();
    place.sql("CREATE STREAM s (k BIGINT, at TIMESTAMP(3), WATERMARK FOR at AS at - INTERVAL '5 seconds') WITH (partitions = 2, key = 'k')");
    place.file(
        "board.sql",
        "CREATE STREAM hourly AS SELECT window_start, count(*) AS n FROM TUMBLE(s, at, INTERVAL '1 minute') WHERE k > 0 GROUP BY window_start EMIT FINAL;",
    );
    let child = spawn(&place, &["run", "board.sql"]);
    until(|| state(&place, "hourly") == "running");
    assert!(why(&place, "hourly").contains("No rows have come from s."));
    place.sql("INSERT INTO s VALUES (-1, '2026-01-01 10:00:10'), (-2, '2026-01-01 10:00:20')");
    until(|| why(&place, "hourly").contains("Filter k > 0 has let none of 2 rows pass."));
    place.sql("INSERT INTO s VALUES (1, '2026-01-01 10:00:10'), (2, '2026-01-01 10:00:20'), (3, '2026-01-01 10:00:30')");
    until(|| described(&place, "hourly")["status"]["run"]["rows_in"] == 5);
    let seen = described(&place, "hourly");
    assert_eq!(
        (&seen["job"], &seen["state"], &seen["sink"]),
        (&"hourly".into(), &"running".into(), &"hourly".into())
    );
    let operators = seen["status"]["operators"].as_array().unwrap();
    let filter = operators.iter().find(|o| o["operator"] == "Filter k > 0").unwrap();
    assert_eq!((&filter["rows_in"], &filter["rows_out"]), (&5.into(), &3.into()));
    let aggregate = operators.iter().find(|o| o["is_final"] == true).unwrap();
    assert_eq!(aggregate["open"]["closes"], "2026-01-01T10:01:00Z");
    assert!(aggregate["state_rows"] == 1 && aggregate["state_bytes"].as_u64().unwrap() > 0, "{aggregate}");
    let partitions = seen["status"]["sources"][0]["partitions"].as_array().unwrap();
    assert_eq!(partitions.iter().map(|p| p["position"].as_u64().unwrap()).sum::<u64>(), 5);
    assert!(partitions.iter().all(|p| p["lag"] == 0), "{partitions:?}");
    let text = why(&place, "hourly");
    for words in [
        "Filter k > 0 has let 3 of 5 rows pass (60.0 %).",
        "holds 1 row until the watermark reaches 2026-01-01 10:01:00: the end of its next window.",
        "holds the watermark: its greatest at is 2026-01-01 10:00:",
        "a row of at 2026-01-01 10:01:05 or later closes it, as the watermark stays 5 s behind",
        "when it has been silent for 10 s (idle_timeout)",
    ] {
        assert!(text.contains(words), "no {words:?} in\n{text}");
    }
    let table = place.run(&["job", "describe", "hourly", "--format", "table"]).ok().out;
    for words in [
        "last checkpoint",
        "Filter k > 0",
        "5 rows in, 3 out",
        "next window ends 2026-01-01 10:01:00",
        "holds the watermark",
    ] {
        assert!(table.contains(words), "no {words:?} in\n{table}");
    }
    assert!(place.run(&["job", "list", "--format", "table"]).ok().out.contains("│ hourly  │ running │"));
    assert!(place.run(&["job", "list", "--format", "csv"]).ok().out.starts_with("job,state,sink,rows_in"));
    assert_eq!(json(&place.run(&["job", "why", "hourly"]).ok().out)["job"], "hourly");
    // The same in SQL, from yet another process.
    assert!(place.sql("SHOW JOBS").contains("\"job\":\"hourly\",\"state\":\"running\""));
    assert!(
        place
            .sql("DESCRIBE JOB hourly")
            .contains("\"what\":\"rows in\",\"value\":\"5, 5 of them in this run")
    );
    assert!(place.sql("EXPLAIN WAITING hourly").contains("until the watermark reaches 2026-01-01 10:01:00"));
    place.sql("PAUSE JOB hourly");
    assert_eq!(state(&place, "hourly"), "paused");
    place.sql("RESUME JOB hourly; RESTART JOB hourly; CHECKPOINT JOB hourly; STOP JOB hourly");
    ends(child);
    assert_eq!(state(&place, "hourly"), "stopped");
}

#[test]
fn late_rows_are_told_with_what_would_have_waited_for_them() {
    let place = Place::new();
    place.sql("CREATE STREAM s (at TIMESTAMP(3), WATERMARK FOR at AS at - INTERVAL '5 seconds')");
    place.file(
        "board.sql",
        "CREATE STREAM hourly AS SELECT window_start, count(*) AS n FROM TUMBLE(s, at, INTERVAL '1 minute') GROUP BY window_start EMIT FINAL;",
    );
    let child = spawn(&place, &["run", "board.sql"]);
    until(|| state(&place, "hourly") == "running");
    place.sql(
        "INSERT INTO s VALUES ('2026-01-01 10:10:10'), ('2026-01-01 10:00:20'), ('2026-01-01 10:00:30')",
    );
    until(|| why(&place, "hourly").contains("2 of 3 rows that came to Tumble at size=1 min were late"));
    let text = why(&place, "hourly");
    assert!(
        text.contains("A greater delay than 5 s of s in WATERMARK FOR would have waited for them."),
        "{text}"
    );
    told(&place, &["stop", "hourly"]);
    ends(child);
}

#[test]
fn a_job_whose_process_was_killed_says_so_and_one_that_has_finished_too() {
    let place = Place::new();
    let mut child = twice(&place);
    insert(&place, 0..3);
    until(|| rows_of(&place, "twice") == 3);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(state(&place, "twice"), "interrupted");
    assert!(why(&place, "twice").contains("its process ended without a word"), "{}", why(&place, "twice"));
    place.file("rows.jsonl", "{\"a\":1}\n{\"a\":2}\n");
    place.file(
        "file.sql",
        "CREATE STREAM f (a BIGINT) WITH (connector = 'file', path = 'rows.jsonl'); CREATE STREAM kept (a BIGINT); INSERT INTO kept SELECT a FROM f;",
    );
    place.run(&["run", "file.sql"]).ok();
    assert_eq!(state(&place, "file.kept"), "finished");
    let text = why(&place, "file.kept");
    assert!(
        text.contains("has finished") && text.contains("It has read 2 rows and written 2 rows in all."),
        "{text}"
    );
    place.run(&["job", "pause", "file.kept"]).fails(1, &["job file.kept has finished"]);
    // A name is found without its file, and in any case.
    place.run(&["job", "why", "kept"]).fails(1, &["there is no job \"kept\"", "did you mean \"file.kept\"?"]);
    place.run(&["job", "why", "FILE.Kept"]).ok();
    place.run(&["job", "why", "twise"]).fails(1, &["did you mean \"twice\"?"]);
    place
        .run(&["job", "pause", "zzz"])
        .fails(1, &["there is no job \"zzz\"", "the jobs are file.kept, twice"]);
}

#[test]
fn a_failed_job_tells_its_failure() {
    let place = Place::new();
    place.file("rows.jsonl", "{\"a\":1}\n{\"a\":\"x\"}\n");
    place.file(
        "file.sql",
        "CREATE STREAM f (a BIGINT) WITH (connector = 'file', path = 'rows.jsonl'); CREATE STREAM kept AS SELECT a FROM f;",
    );
    place.run(&["run", "file.sql"]).fails(1, &["rows.jsonl:2"]);
    let seen = described(&place, "kept");
    assert_eq!((&seen["state"], &seen["status"]["error"]["code"]), (&"failed".into(), &"connector".into()));
    let text = why(&place, "kept");
    for words in
        ["Job kept has failed since", "rows.jsonl:2", "with on_bad = 'skip' or 'topic'", "Run it again by"]
    {
        assert!(text.contains(words), "no {words:?} in\n{text}");
    }
    place
        .run(&["job", "restart", "kept"])
        .fails(1, &["job kept is failed", "rows.jsonl:2", "run it again by"]);
}

#[test]
fn a_failed_job_begins_again_while_its_process_lives_on_with_others() {
    let place = Place::new();
    place.sql("CREATE STREAM s (a BIGINT)");
    place.file("rows.jsonl", "{\"a\":1}\n{\"a\":\"x\"}\n");
    place.file(
        "file.sql",
        "CREATE STREAM f (a BIGINT) WITH (connector = 'file', path = 'rows.jsonl'); CREATE STREAM kept AS SELECT a FROM f;
         CREATE STREAM other AS SELECT a FROM s;",
    );
    let child = spawn(&place, &["run", "file.sql"]);
    until(|| state(&place, "kept") == "failed" && state(&place, "other") == "running");
    // Nothing has changed: it fails again.
    let failed_at = || described(&place, "kept")["status"]["error"]["at"].clone();
    let first = failed_at();
    place.run(&["job", "restart", "kept"]);
    until(|| state(&place, "kept") == "failed" && failed_at() != first);
    place.file("rows.jsonl", "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
    told(&place, &["restart", "kept"]);
    until(|| state(&place, "kept") == "finished");
    assert_eq!(place.rows("SELECT a FROM kept"), ["{\"a\":1}", "{\"a\":2}", "{\"a\":3}"]);
    told(&place, &["stop", "other"]);
    ends(child);
}

#[test]
fn a_job_is_reset_or_dropped_only_when_it_does_not_run() {
    let place = Place::new();
    let child = twice(&place);
    insert(&place, 0..3);
    until(|| rows_of(&place, "twice") == 3);
    for action in ["reset", "drop"] {
        let stop = "stop it first: millstream job stop twice";
        place.run(&["job", action, "twice"]).fails(1, &["job twice runs, in process", stop]);
    }
    told(&place, &["stop", "twice"]);
    ends(child);
    let said = told(&place, &["reset", "twice"]);
    assert!(
        said.contains("begins anew when it is run again; what it has written into twice stays"),
        "{said}"
    );
    place.run(&["run", "job.sql", "--until-caught-up"]).ok();
    assert_eq!(place.rows("SELECT b FROM twice ORDER BY b").len(), 6, "all rows once more");
    place.run(&["run", "job.sql", "--until-caught-up"]).ok();
    assert_eq!(rows_of(&place, "twice"), 6);
    told(&place, &["drop", "twice"]);
    assert_eq!(place.run(&["job", "list"]).ok().out, "");
    assert_eq!(rows_of(&place, "twice"), 6, "the sink stays");
}

#[test]
fn one_of_those_that_run_as_one_is_reset_alone() {
    let place = Place::new();
    place.sql("CREATE STREAM s (a BIGINT); INSERT INTO s VALUES (1), (2)");
    place.file("two.sql", "CREATE STREAM one AS SELECT a FROM s; CREATE STREAM two AS SELECT a FROM s;");
    place.run(&["run", "two.sql", "--until-caught-up"]).ok();
    told(&place, &["reset", "one"]);
    place.run(&["run", "two.sql", "--until-caught-up"]).ok();
    assert_eq!((rows_of(&place, "one"), rows_of(&place, "two")), (4, 2));
    told(&place, &["drop", "one"]);
    place.run(&["run", "two.sql", "--until-caught-up"]).ok();
    assert_eq!(rows_of(&place, "two"), 2);
}

#[test]
fn a_process_that_does_not_answer_is_told_of_and_does_it_when_it_can() {
    let place = Place::new();
    let child = twice(&place);
    signalled(&child, "STOP");
    place
        .run(&["job", "pause", "twice"])
        .fails(1, &["job twice has not answered within 5 seconds", &child.id().to_string()]);
    signalled(&child, "CONT");
    until(|| state(&place, "twice") == "paused");
    told(&place, &["stop", "twice"]);
    ends(child);
}

#[test]
fn a_job_of_the_command_line_alone_is_seen_and_told_in_its_process() {
    let place = Place::new();
    place.sql("CREATE STREAM s (a BIGINT); CREATE STREAM kept (a BIGINT)");
    let jobs = |sql: &str| {
        let all = place.sql(&format!("INSERT INTO kept SELECT a FROM s; {sql}"));
        let state = |line: &str| (json(line)["job"].to_string(), json(line)["state"].to_string());
        all.lines().map(state).collect::<Vec<_>>()
    };
    let kept = |state: &str| ("\"kept\"".to_string(), format!("\"{state}\""));
    assert_eq!(jobs("SHOW JOBS; STOP JOB kept; SHOW JOBS"), [kept("running")]);
    let told = jobs("PAUSE JOB kept; SHOW JOBS; RESUME JOB kept; SHOW JOBS; STOP JOB kept");
    assert_eq!(told, [kept("paused"), kept("running")]);
    let mistake = "INSERT INTO kept SELECT a FROM s; CHECKPOINT JOB kept";
    place
        .run(&["-c", mistake])
        .fails(3, &["job kept keeps no state", "in a file that is run keeps its state"]);
    assert_eq!(place.run(&["job", "list"]).ok().out, "", "others do not see it");
}
