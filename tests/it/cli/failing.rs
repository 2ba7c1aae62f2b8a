//! Jobs that fail while others go on, jobs that wait for room on the disk, and signals in all of this.

use super::resume::{Dice, rows_of, signalled, spawn, until};
use super::*;
use std::process::Child;
use std::time::{Duration, Instant};

/// Whether a program listens for SIGTERM yet.
fn listens(child: &Child) -> bool {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{}/status", child.id())) else { return true };
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_none_or(|mask| mask & (1 << 14) != 0)
}

/// Waits for the end of a program that has been told to end: it must not take long.
#[track_caller]
fn ends(child: Child, within: Duration) -> Ran {
    let told = Instant::now();
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert!(told.elapsed() < within, "it took {:?}", told.elapsed());
    ran
}

const SOON: Duration = Duration::from_secs(10);

#[test]
fn when_a_job_fails_the_others_go_on_and_each_failure_is_named_at_the_end() {
    let place = Place::new();
    place.sql("CREATE STREAM s (a BIGINT); INSERT INTO s VALUES (1), (2), (0), (3)");
    place.sql("CREATE STREAM u (a BIGINT); INSERT INTO u VALUES (5)");
    let text = "CREATE STREAM inverse AS SELECT 6 / a AS b FROM s;
                CREATE STREAM twice AS SELECT a * 2 AS b FROM s;
                CREATE STREAM more AS SELECT b + 1 AS c FROM inverse;
                CREATE STREAM thirds AS SELECT a / (a - 5) AS b FROM u;
                CREATE STREAM none AS SELECT a FROM u;";
    place.file("job.sql", text);
    let failed = place.run(&["run", "job.sql", "--until-caught-up"]);
    let ran = failed.fails(1, &["job inverse failed", "job thirds failed", "division by zero"]);
    assert_eq!(ran.err.matches("error[MS028]: ").count(), 2, "{}", ran.err);
    // Those with which it ran have written all.
    assert_eq!(place.rows("SELECT * FROM twice").len(), 4);
    assert_eq!(place.rows("SELECT * FROM none").len(), 1);
    // Run again, it goes on and fails again; without those that fail the others go on.
    place
        .run(&["run", "job.sql", "--until-caught-up"])
        .fails(1, &["job inverse failed", "job thirds failed"]);
    place.sql("INSERT INTO s VALUES (10)");
    place.file(
        "job.sql",
        "CREATE STREAM twice AS SELECT a * 2 AS b FROM s; CREATE STREAM none AS SELECT a FROM u;",
    );
    place.run(&["run", "job.sql", "--until-caught-up"]).ok();
    assert_eq!(place.rows("SELECT * FROM twice").len(), 5);
    assert_eq!(place.rows("SELECT * FROM none").len(), 1);
}

#[test]
fn what_goes_on_after_a_failure_and_what_waits_is_told_and_the_exit_code_says_it() {
    let place = Place::new();
    place.sql("CREATE STREAM s (a BIGINT); CREATE STREAM u (a BIGINT); INSERT INTO s VALUES (0)");
    place.file(
        "job.sql",
        "CREATE STREAM inverse AS SELECT 6 / a AS b FROM s; CREATE STREAM more AS SELECT b FROM inverse;
         CREATE STREAM other AS SELECT a FROM u;",
    );
    let child = spawn(&place, &["run", "job.sql"]);
    until(|| place.path(".millstream/jobs/other/checkpoint.json").exists());
    for n in 1..4 {
        place.sql("INSERT INTO u VALUES (1)");
        until(|| rows_of(&place, "other") == n);
    }
    signalled(&child, "TERM");
    let ran = ends(child, SOON)
        .fails(1, &["job inverse failed", "the others go on", "more, which reads what it writes"]);
    assert_eq!(ran.err.matches("job inverse failed").count(), 2, "{}", ran.err);
    // With --fail-fast the first failure ends all.
    let ran = place.run(&["run", "job.sql", "--fail-fast"]).fails(1, &["job inverse failed"]);
    assert!(!ran.err.contains("go on"), "{}", ran.err);
    // Where nothing else is left to do, the run ends by itself.
    place.file(
        "job.sql",
        "CREATE STREAM inverse AS SELECT 6 / a AS b FROM s; CREATE STREAM more AS SELECT b FROM inverse;",
    );
    place.run(&["run", "job.sql"]).fails(1, &["job inverse failed"]);
}

/// A program whose files may grow to so many KiB, until the limit is lifted.
fn confined(place: &Place, kib: u32, arguments: &[&str]) -> Child {
    let mut command = Command::new("bash");
    let confine = format!("trap '' XFSZ; ulimit -S -f {kib}; exec \"$@\"");
    command.args(["-c", &confine, "bash", env!("CARGO_BIN_EXE_millstream")]).args(arguments);
    command.current_dir(place.path("")).env_remove("MILLSTREAM_DATA");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn lift(child: &Child) {
    let pid = child.id().to_string();
    assert!(Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status().unwrap().success());
}

/// Rows of a topic that do not compress.
fn numbers(place: &Place, topic: &str, count: u64) {
    let mut dice = Dice(5);
    let lines: String =
        (0..count).map(|i| format!("{{\"a\":{i},\"b\":{}}}\n", dice.below(1 << 31))).collect();
    place.run_with(&["topic", "produce", topic], lines.as_bytes()).ok();
}

fn log_of(place: &Place, topic: &str) -> u64 {
    rows_of(place, topic)
}

#[test]
fn a_job_waits_for_room_and_goes_on_by_itself() {
    let place = Place::new();
    place.sql("CREATE STREAM s (a BIGINT, b BIGINT)");
    numbers(&place, "s", 30_000);
    place.file(
        "job.sql",
        "SET step_rows = 500; SET checkpoint_interval = '50 ms';
         CREATE STREAM copy AS SELECT a, b FROM s; CREATE MATERIALIZED VIEW last AS SELECT a, max(b) AS b FROM s GROUP BY a;",
    );
    let child = confined(&place, 100, &["run", "job.sql", "--until-caught-up"]);
    // It writes as much as there is room, then nothing more.
    let mut seen = 0;
    until(|| {
        std::thread::sleep(Duration::from_millis(700));
        std::mem::replace(&mut seen, log_of(&place, "copy")) == log_of(&place, "copy") && seen > 0
    });
    assert!((1..30_000).contains(&seen), "{seen}");
    lift(&child);
    let ran = Ran::of(child.wait_with_output().unwrap()).ok();
    for word in ["waits: file too large: cannot write", "it tries again by itself", "goes on"] {
        assert!(ran.err.contains(word), "no {word:?} in:\n{}", ran.err);
    }
    let sums = "SELECT count(*) AS n, count(DISTINCT a) AS d, sum(b) AS b FROM";
    assert_eq!(place.sql(&format!("{sums} copy")), place.sql(&format!("{sums} s")));
    assert_eq!(place.sql(&format!("{sums} last")), place.sql(&format!("{sums} s")));
}

#[test]
fn a_job_that_waits_for_room_ends_with_a_signal_and_the_next_run_goes_on() {
    let place = Place::new();
    place.sql("CREATE STREAM s (a BIGINT, b BIGINT)");
    numbers(&place, "s", 20_000);
    place.file(
        "job.sql",
        "SET step_rows = 500; SET checkpoint_interval = '50 ms';
         CREATE STREAM copy AS SELECT a, b FROM s; CREATE STREAM odd AS SELECT a, b FROM s WHERE a % 2 = 1;
         CREATE STREAM again AS SELECT a, b FROM copy;",
    );
    for kib in [60, 100] {
        let child = confined(&place, kib, &["run", "job.sql"]);
        std::thread::sleep(Duration::from_millis(1_500));
        signalled(&child, "TERM");
        let ran = ends(child, SOON).ok();
        assert!(ran.err.contains("waits: file too large"), "{}", ran.err);
        assert!(ran.err.contains("was ended while it waited"), "{}", ran.err);
    }
    place.run(&["run", "job.sql", "--until-caught-up"]).ok();
    let sums = |stream: &str, filter: &str| {
        place
            .sql(&format!("SELECT count(*) AS n, count(DISTINCT a) AS d, sum(b) AS b FROM {stream} {filter}"))
    };
    assert_eq!(sums("copy", ""), sums("s", ""));
    assert_eq!(sums("again", ""), sums("s", ""));
    assert_eq!(sums("odd", ""), sums("s", "WHERE a % 2 = 1"));
}

#[test]
fn a_signal_ends_several_jobs_soon_while_they_catch_up_and_while_they_run_steps_again() {
    let place = Place::new();
    place.sql("CREATE STREAM s (a BIGINT, b BIGINT) WITH (partitions = 2)");
    numbers(&place, "s", 60_000);
    place.file(
        "job.sql",
        "SET step_rows = 100; SET checkpoint_interval = '1 hour';
         CREATE STREAM copy AS SELECT a, b FROM s; CREATE STREAM odd AS SELECT a, b FROM s WHERE a % 2 = 1;
         CREATE MATERIALIZED VIEW sums AS SELECT a % 100 AS a, sum(b) AS b FROM copy GROUP BY 1;",
    );
    let run = ["run", "job.sql", "--workers", "2"];
    for (i, wait) in [700, 300, 100, 0].into_iter().enumerate() {
        // Steps that the signal's checkpoint does not hold have to be run again after a crash.
        let mut crashed = spawn(&place, &run);
        std::thread::sleep(Duration::from_millis(600));
        crashed.kill().unwrap();
        crashed.wait().unwrap();
        let child = spawn(&place, &run);
        until(|| listens(&child) && (i > 0 || rows_of(&place, "copy") > 0));
        std::thread::sleep(Duration::from_millis(wait));
        signalled(&child, if i % 2 == 0 { "TERM" } else { "INT" });
        ends(child, SOON).ok();
    }
    place.run(&["run", "job.sql", "--until-caught-up"]).ok();
    let rows = |stream: &str| place.sql(&format!("SELECT count(*) AS n, sum(b) AS b FROM {stream}"));
    assert_eq!(rows("copy"), rows("s"));
    assert_eq!(rows("odd"), place.sql("SELECT count(*) AS n, sum(b) AS b FROM s WHERE a % 2 = 1"));
    assert_eq!(
        place.rows("SELECT * FROM sums"),
        place.rows("SELECT a % 100 AS a, sum(b) AS b FROM s GROUP BY 1")
    );
}

#[test]
fn a_second_signal_ends_at_once_what_cannot_end_by_itself() {
    let place = Place::new();
    place.sql("CREATE STREAM s (a BIGINT, b BIGINT)");
    numbers(&place, "s", 20_000);
    // Nobody reads what it prints.
    let mut child = spawn(&place, &["-c", "SELECT a, b FROM s EMIT CHANGES"]);
    std::thread::sleep(Duration::from_millis(1_500));
    signalled(&child, "TERM");
    std::thread::sleep(Duration::from_millis(500));
    assert!(child.try_wait().unwrap().is_none());
    signalled(&child, "TERM");
    until(|| child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(143));
}
