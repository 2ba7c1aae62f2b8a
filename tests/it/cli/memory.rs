//! State larger than the memory it may take.

use super::resume::{rows_of, spawn, until};
use super::*;

/// Rows of each side.
const ROWS: u64 = 8000;
/// Of the sides' rows, so many have been read before the kill.
const HALF: u64 = ROWS / 2;

/// Rows `from..to` of a side, in an order that has nothing to do with the keys, each about 150 bytes long.
fn side(place: &Place, name: &str, from: u64, to: u64) {
    let row = |i: u64| {
        let key = (i * 7919) % (ROWS * 3 / 4);
        format!("{key},{i},{}\n", format!("{i:x}").repeat(120 / format!("{i:x}").len()))
    };
    let lines: String = std::iter::once("k,n,t\n".to_string()).chain((from..to).map(row)).collect();
    place.run_with(&["topic", "produce", name, "--format", "csv"], lines.as_bytes()).ok();
}

fn operators(place: &Place, job: &str) -> Vec<serde_json::Value> {
    let described = json(&place.run(&["job", "describe", job]).ok().out);
    described["status"]["operators"].as_array().cloned().unwrap_or_default()
}

/// A join, an aggregate over it that takes rows back, and the best row of each key, in a fraction of the memory that their
/// state needs; killed, and run again with more workers.
#[test]
fn a_job_whose_state_is_many_times_what_memory_may_hold_gives_the_right_answer_also_after_a_kill() {
    let place = Place::new();
    for name in ["a", "b"] {
        place.sql(&format!("CREATE STREAM {name} (k BIGINT, n BIGINT, t TEXT) WITH (partitions = 2)"));
        side(&place, name, 0, HALF);
    }
    let job = "SET memory_limit = '400 kB'; SET step_rows = 300; SET checkpoint_interval = '300 ms';
         CREATE STREAM pairs AS SELECT a.k, a.n AS an, b.n AS bn, a.t AS at, b.t AS bt FROM a JOIN b ON a.k = b.k;
         CREATE TABLE sums AS SELECT k, count(*) AS c, sum(n) AS s, max(t) AS t FROM a GROUP BY k;
         CREATE TABLE best AS SELECT k, n, t FROM
             (SELECT *, row_number() OVER (PARTITION BY k ORDER BY n DESC) AS r FROM b) WHERE r = 1;";
    let [pairs, sums, best] = [
        (
            "SELECT k, an, bn, at, bt FROM pairs",
            "SELECT a.k, a.n AS an, b.n AS bn, a.t AS at, b.t AS bt FROM a JOIN b ON a.k = b.k",
        ),
        (
            "SELECT k, c, s, t FROM sums",
            "SELECT k, count(*) AS c, sum(n) AS s, max(t) AS t FROM a GROUP BY k",
        ),
        (
            "SELECT k, n, t FROM best",
            "SELECT k, n, t FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY n DESC) AS r FROM b) WHERE r = 1",
        ),
    ];
    let wanted = |place: &Place| place.rows(pairs.1).len() as u64;
    place.file("job.sql", job);
    let mut child = spawn(&place, &["run", "job.sql", "--workers", "2"]);
    let half = wanted(&place);
    until(|| rows_of(&place, "pairs") == half);
    // What is seen follows what is done.
    until(|| operators(&place, "pairs").iter().any(|o| o["disk_bytes"].as_u64() > Some(500_000)));
    let held: u64 = operators(&place, "pairs").iter().filter_map(|o| o["state_bytes"].as_u64()).sum();
    assert!(held < 2_000_000, "{held} bytes of state in memory");
    child.kill().unwrap();
    child.wait().unwrap();
    for name in ["a", "b"] {
        side(&place, name, HALF, ROWS);
    }
    let all = place.run(&["run", "job.sql", "--workers", "3", "--until-caught-up"]).ok();
    assert!(!all.err.contains("could not"), "{}", all.err);
    for (result, query) in [pairs, sums, best] {
        assert_eq!(place.rows(result), place.rows(query), "{query}");
    }
}

/// What the operating system tells of the program while it runs.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod process {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::Child;

    /// It does not end by itself.
    const QUERY: &str = "SELECT a FROM s EMIT CHANGES";

    fn place() -> Place {
        let place = Place::new();
        place.sql("CREATE STREAM s (a BIGINT)");
        place.run_with(&["topic", "produce", "s", "--format", "csv"], b"a\n7\n").ok();
        place
    }

    /// The program with the query, its environment's variable as the user has it.
    fn program(place: &Place, own: Option<&str>) -> Command {
        let mut command = place.command(&["-c", QUERY, "--format", "jsonl"]);
        command.env_remove("GLIBC_TUNABLES").envs(own.map(|own| ("GLIBC_TUNABLES", own)));
        command
    }

    /// Starts it; looks at it once it has given its first row.
    fn while_it_runs<T>(mut command: Command, look: impl FnOnce(&mut Child) -> T) -> T {
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("\"a\":7"), "{line}");
        let looked = look(&mut child);
        child.kill().unwrap();
        child.wait().unwrap();
        looked
    }

    fn environment(child: &mut Child) -> String {
        String::from_utf8_lossy(&std::fs::read(format!("/proc/{}/environ", child.id())).unwrap()).into_owned()
    }

    /// Where memory is of huge pages is said to the C library; what a user says to it stays.
    #[test]
    fn the_allocator_is_told_of_huge_pages_unless_the_user_tells_it_something() {
        let place = place();
        for own in [None, Some(""), Some("glibc.malloc.perturb=7")] {
            let environment = while_it_runs(program(&place, own), environment);
            let told = environment.split('\0').find_map(|pair| pair.strip_prefix("GLIBC_TUNABLES="));
            match own {
                None => assert!(told.is_some_and(|told| told.contains("hugetlb=1")), "{told:?}"),
                Some(own) => assert_eq!(told, Some(own)),
            }
        }
    }

    /// A huge page may take a while when it is first touched: who waits for results has none while a job has caught up.
    #[test]
    fn a_job_that_has_caught_up_takes_no_huge_pages() {
        let place = place();
        // What the kernel tells of whoever looks, if it does (since Linux 5.0).
        let told = |process: &str| {
            let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
            status.lines().find_map(|line| Some(line.strip_prefix("THP_enabled:")?.trim().to_string()))
        };
        let enabled = told("self");
        for (own, caught_up) in [(None, enabled.as_ref().map(|_| "0".to_string())), (Some(""), enabled)] {
            while_it_runs(program(&place, own), |child| {
                while told(&child.id().to_string()) != caught_up {
                    assert!(child.try_wait().unwrap().is_none(), "it has ended");
                    std::thread::sleep(std::time::Duration::from_millis(10));
                }
            });
        }
    }

    /// A program that has more rights than who starts it finds the variable taken away; it must not start itself for ever.
    #[test]
    fn the_program_starts_itself_once_only_whatever_becomes_of_the_environment() {
        let place = place();
        let script = format!("export MILLSTREAM_STARTED=$$; exec \"$0\" -c '{QUERY}' --format jsonl");
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_millstream")]).current_dir(place.path(""));
        command.env_remove("GLIBC_TUNABLES").env_remove("MILLSTREAM_DATA");
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        assert!(!while_it_runs(command, environment).contains("GLIBC_TUNABLES"));
    }
}
