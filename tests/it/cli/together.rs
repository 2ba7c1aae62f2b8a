//! Statements of one file that run as one job: read once, killed together, and taken apart and put together again.

use super::resume::{Dice, grown, spawn};
use super::*;

const DEPARTURES: &str = "event_time TIMESTAMP, flight_id TEXT, origin TEXT, dep_delay_min BIGINT";

/// What follows the definition of the stream `file`: name, statement, and the query whose answer it must have in the end.
const STATEMENTS: [[&str; 3]; 4] = [
    [
        "early",
        "CREATE STREAM early AS SELECT flight_id, origin FROM file WHERE dep_delay_min < 0",
        "SELECT flight_id, origin FROM file WHERE dep_delay_min < 0",
    ],
    [
        "counted",
        "CREATE TABLE counted AS SELECT origin, count(*) AS n, sum(dep_delay_min) AS minutes FROM file GROUP BY origin",
        "SELECT origin, count(*) AS n, sum(dep_delay_min) AS minutes FROM file GROUP BY origin",
    ],
    [
        "most",
        "CREATE TABLE most AS SELECT 1 AS one, max(n) AS n FROM (SELECT origin, count(*) AS n, sum(dep_delay_min) AS minutes
         FROM file GROUP BY origin)",
        "SELECT 1 AS one, max(n) AS n FROM (SELECT count(*) AS n FROM file GROUP BY origin)",
    ],
    [
        "hours",
        "CREATE TABLE hours AS SELECT window_start, origin, count(*) AS n FROM TUMBLE(file, event_time, INTERVAL '1 hour')
         GROUP BY window_start, origin",
        "SELECT window_start, origin, count(*) AS n FROM TUMBLE(file, event_time, INTERVAL '1 hour') GROUP BY window_start, origin",
    ],
];

/// Writes the file with these of the statements, in this order.
fn jobs(place: &Place, follow: bool, which: &[usize]) {
    let statements: Vec<&str> = which.iter().map(|i| STATEMENTS[*i][1]).collect();
    place.file(
        "jobs.sql",
        format!(
            "SET step_rows = 10; SET checkpoint_interval = '30 ms';
             CREATE STREAM file ({DEPARTURES}, WATERMARK FOR event_time AS event_time)
             WITH (connector = 'file', path = 'grows.jsonl', follow = {follow});
             {};",
            statements.join(";\n")
        ),
    );
}

fn are_right(place: &Place) {
    for [name, _, query] in STATEMENTS {
        let kept = place.rows(&format!("SELECT * FROM {name}"));
        assert!(!kept.is_empty(), "{name} has rows");
        assert_eq!(kept, place.rows(query), "{name}");
    }
}

#[test]
fn a_stream_that_several_statements_read_is_read_once() {
    let place = Place::new();
    place.file("grows.jsonl", departures(500));
    jobs(&place, false, &[0, 1, 2, 3]);
    let ran = place.run(&["run", "jobs.sql"]).ok();
    assert!(ran.err.contains("jobs.sql: 500 rows in"), "{}", ran.err);
    are_right(&place);
    let again = place.run(&["run", "jobs.sql"]).ok();
    assert!(again.err.contains("jobs.sql: 0 rows in, 0 out"), "{}", again.err);
}

#[test]
fn statements_go_on_in_any_company_however_often_they_are_killed() {
    let place = Place::new();
    let lines: Vec<String> = departures(1_500).lines().map(|l| format!("{l}\n")).collect();
    place.file("grows.jsonl", "");
    let append = |lines: &[String]| {
        let mut file = std::fs::OpenOptions::new().append(true).open(place.path("grows.jsonl")).unwrap();
        file.write_all(lines.concat().as_bytes()).unwrap();
    };
    let mut dice = Dice(5);
    for (round, piece) in lines.chunks(60).enumerate() {
        let mut which: Vec<usize> =
            (0..STATEMENTS.len()).filter(|_| round < 4 || dice.below(3) > 0).collect();
        if which.is_empty() {
            which.push(dice.below(4) as usize);
        }
        let turn = dice.below(which.len() as u64) as usize;
        which.rotate_left(turn);
        jobs(&place, true, &which);
        let workers = (1 + round % 3).to_string();
        let mut child = spawn(&place, &["run", "jobs.sql", "--workers", &workers]);
        append(piece);
        let bytes = 1 + dice.below(6_000);
        assert!(grown(&place, &mut child, bytes), "jobs that follow a file do not end by themselves");
        child.kill().unwrap();
        child.wait().unwrap();
    }
    jobs(&place, true, &[3, 1, 0, 2]);
    place.run(&["run", "jobs.sql", "--until-caught-up"]).ok();
    are_right(&place);
}

#[test]
fn a_statement_whose_stream_is_dropped_begins_anew_and_leaves_the_others_as_they_are() {
    let place = Place::new();
    place.file("grows.jsonl", departures(200));
    jobs(&place, true, &[0, 1, 2, 3]);
    place.run(&["run", "jobs.sql", "--until-caught-up"]).ok();
    place.file("drop.sql", "DROP TABLE counted;");
    place.run(&["run", "drop.sql"]).ok();
    let ran = place.run(&["run", "jobs.sql", "--until-caught-up"]).ok();
    assert!(ran.err.contains("200 rows in"), "the one that is new reads all: {}", ran.err);
    are_right(&place);
}
