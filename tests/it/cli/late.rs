//! Late rows: left out in every mode, counted, and kept where `late_topic` says so.

use super::*;

const STREAM: &str =
    "CREATE STREAM trips (id BIGINT, ts TIMESTAMP, note TEXT, WATERMARK FOR ts AS ts - INTERVAL '1 minute')
    WITH (connector = 'file', path = 'trips.jsonl', late_topic = 'trips_late');";
const WINDOW: &str =
    "SELECT window_start, count(*) AS n, sum(id) AS ids FROM TUMBLE(trips, ts, INTERVAL '10 minutes')
    GROUP BY window_start";

fn trips() -> String {
    // Every fifth trip is told half an hour after it happened, every seventh two minutes after.
    let row = |id: i64| {
        let minute = id
            - if id % 5 == 0 {
                30
            } else if id % 7 == 0 {
                2
            } else {
                0
            };
        let minute = minute.max(0);
        format!(
            "{{\"id\":{id},\"ts\":\"2024-01-01T{:02}:{:02}:00\",\"note\":\"n{id}\"}}\n",
            minute / 60,
            minute % 60
        )
    };
    (0..600).map(row).collect()
}

#[test]
fn all_modes_leave_out_the_same_rows_and_the_topic_keeps_them_whole() {
    let place = Place::new();
    place.file("trips.jsonl", trips());
    place.file(
        "board.sql",
        format!("SET step_rows = 13; {STREAM} CREATE STREAM board AS {WINDOW} EMIT FINAL;"),
    );
    let ran = place.run(&["run", "board.sql"]).ok();
    let late = place.rows("SELECT * FROM trips_late");
    assert!(late.len() > 80, "{}", late.len());
    assert!(ran.err.contains(&format!("{} late", late.len())), "{}", ran.err);
    assert!(late[0].contains("\"note\":\"n"), "{}", late[0]);

    let last = place.rows("SELECT * FROM board");
    assert_eq!(place.rows(WINDOW), last);
    assert_eq!(place.rows(&format!("{WINDOW} EMIT FINAL")), last);
    let mut folded = std::collections::HashMap::<String, i64>::new();
    for line in place.sql(&format!("SET step_rows = 7; {WINDOW} EMIT CHANGES")).lines() {
        let (plus, minus) = ("{\"_op\":\"+\",", "{\"_op\":\"-\",");
        let (row, weight) = match line.strip_prefix(plus) {
            Some(row) => (row, 1),
            None => (line.strip_prefix(minus).unwrap(), -1),
        };
        *folded.entry(format!("{{{row}")).or_default() += weight;
    }
    let mut folded: Vec<String> = folded.into_iter().filter(|(_, w)| *w != 0).map(|(row, _)| row).collect();
    folded.sort();
    assert_eq!(folded, last);
    // The rows of the windows and the late ones are all rows.
    let counted = place.sql("SELECT CAST(sum(n) AS BIGINT) AS n FROM board");
    assert_eq!(json(&counted)["n"].as_i64().unwrap() + late.len() as i64, 600);
    // The queries above kept no late row a second time, nor does the job.
    place.run(&["run", "board.sql"]).ok();
    assert_eq!(place.rows("SELECT * FROM trips_late"), late);
}

#[test]
fn the_grace_period_lets_late_rows_in() {
    let place = Place::new();
    place.file("trips.jsonl", trips());
    place.sql(STREAM);
    let ksql = "SELECT count(*) AS n FROM trips WINDOW TUMBLING (SIZE 10 MINUTES, GRACE PERIOD 1 HOUR)
                GROUP BY note EMIT FINAL";
    assert_eq!(place.rows(ksql).len(), 600);
}

#[test]
fn sessions_leave_out_what_is_late_by_its_own_time_and_the_topic_keeps_it() {
    const VISITS: &str = "SELECT id % 3 AS k, window_start, window_end, count(*) AS n, sum(id) AS ids
        FROM SESSION(trips, ts, INTERVAL '4 minutes', PARTITION => id % 3) GROUP BY id % 3, window_start, window_end";
    let place = Place::new();
    place.file("trips.jsonl", trips());
    place.file(
        "visits.sql",
        format!("SET step_rows = 13; {STREAM} CREATE STREAM visits AS {VISITS} EMIT FINAL;"),
    );
    let ran = place.run(&["run", "visits.sql"]).ok();
    let late = place.rows("SELECT * FROM trips_late");
    // Those told half an hour after they happened, but the very first. Those told two minutes after lie exactly where the
    // trip of a minute before has brought the watermark.
    assert_eq!(late.len(), 119);
    assert!(ran.err.contains(&format!("{} late", late.len())), "{}", ran.err);
    let last = place.rows("SELECT * FROM visits");
    assert_eq!(place.rows(VISITS), last);
    assert_eq!(place.rows(&format!("{VISITS} EMIT FINAL")), last);
    let counted = place.sql("SELECT CAST(sum(n) AS BIGINT) AS n FROM visits");
    assert_eq!(json(&counted)["n"].as_i64().unwrap() + late.len() as i64, 600);
    place.run(&["run", "visits.sql"]).ok();
    assert_eq!(place.rows("SELECT * FROM trips_late"), late);
}
