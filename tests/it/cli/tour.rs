//! The queries of the tour, and that their answers depend on the data alone.

use super::*;

fn tour(data: &Path, arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    command.current_dir(project()).env_remove("MILLSTREAM_DATA").arg("-d").arg(data);
    Ran::of(command.args(arguments).output().unwrap()).ok()
}

#[test]
fn the_hourly_board_is_right_and_is_made_once() {
    let place = Place::new();
    let data = place.path("data");
    let query = "queries/tour/01_hourly_board.sql";
    let first = tour(&data, &["run", query]);
    let board: Vec<serde_json::Value> = first.out.lines().map(json).collect();
    assert_eq!(board.len(), 1_763);
    let hour = |at: &str, origin: &str| {
        let row = board.iter().find(|r| r["window_start"] == at && r["origin"] == origin).unwrap();
        (row["flights"].as_i64().unwrap(), row["avg_delay"].as_f64().unwrap())
    };
    assert_eq!(hour("2013-01-01T11:00:00", "LGA"), (20, -2.7));
    let busy = board.iter().filter(|r| r["flights"].as_i64().unwrap() >= 10);
    let worst =
        busy.max_by(|a, b| a["avg_delay"].as_f64().unwrap().total_cmp(&b["avg_delay"].as_f64().unwrap()));
    assert_eq!(worst.unwrap()["window_start"], "2013-01-26T03:00:00");
    assert_eq!(hour("2013-01-26T03:00:00", "EWR"), (12, 134.9));
    assert!(first.err.contains("26,483 rows in, 1,763 out, 0 late, 0 bad"), "{}", first.err);

    let topics = tour(&data, &["topic", "list"]).out;
    let second = tour(&data, &["run", query]);
    assert_eq!(second.out, first.out);
    assert!(second.err.contains("0 rows in, 0 out"), "{}", second.err);
    assert!(second.err.contains("resumed: 26,483 rows in and 1,763 out before"), "{}", second.err);
    assert_eq!(tour(&data, &["topic", "list"]).out, topics);
}

#[test]
fn the_quakes_are_the_same_at_any_number_of_workers_and_any_step() {
    let place = Place::new();
    for name in ["02_busiest_regions", "03_late_quakes"] {
        let text = std::fs::read_to_string(project().join(format!("queries/tour/{name}.sql"))).unwrap();
        let mut all = Vec::new();
        for (workers, step) in [(1, 65_536), (2, 65_536), (3, 7), (4, 1), (1, 7)] {
            let query = place.path(&format!("{name}-{workers}-{step}.sql"));
            std::fs::write(&query, format!("SET step_rows = {step};\n{text}")).unwrap();
            let data = place.path(&format!("{name}-{workers}-{step}"));
            let ran = tour(&data, &["run", query.to_str().unwrap(), "--workers", &workers.to_string()]);
            if name == "03_late_quakes" {
                assert!(ran.err.contains("750 behind the watermark, 736 late"), "{}", ran.err);
            }
            all.push(sorted(&ran.out));
        }
        assert!(!all[0].is_empty());
        all.iter().for_each(|rows| assert_eq!(*rows, all[0]));
    }
}

#[test]
fn the_joins_find_what_the_data_hold() {
    let place = Place::new();
    let rows = |name: &str| -> Vec<serde_json::Value> {
        let ran = tour(&place.path(name), &["run", &format!("queries/tour/{name}.sql"), "--workers", "3"]);
        ran.out.lines().map(json).collect()
    };
    // Of 524 flights without a departure in twelve hours three left later, and 521 never did.
    let never = rows("10_never_left");
    assert_eq!(never[0]["flights"], 524);
    assert_eq!(never.iter().filter(|r| !r["departed"].is_null()).count(), 3);
    assert_eq!(never[never.len() - 1]["not_yet"], 521);
    assert_eq!(rows("11_in_the_air")[0]["flights"], 26_468);
    let turnarounds = &rows("12_turnarounds")[0];
    assert_eq!(turnarounds["turnarounds"], 13_646);
    assert_eq!(
        (&turnarounds["mean_minutes"], &turnarounds["least_minutes"]),
        (&json("613.0"), &json("68.0"))
    );
    // With the unknown ones all departures, without them those of known aeroplanes.
    let planes = rows("13_manufacturers");
    let unknown = planes.iter().find(|r| r.get("manufacturer").is_some_and(|m| m.is_null()));
    assert_eq!(unknown.unwrap()["flights"], 4_224);
    let known = planes.iter().filter(|r| r.get("seats").is_some()).map(|r| r["flights"].as_i64().unwrap());
    assert_eq!(known.sum::<i64>(), 26_483 - 4_224);
    let storms = rows("14_rapid_intensification");
    assert_eq!((&storms[0]["observations"], &storms[0]["storms"]), (&json("610"), &json("167")));
    // Each of two fixes at one time is in pairs of its own.
    let pairs = &storms[storms.len() - 1];
    assert_eq!((&pairs["pairs"], &pairs["times"]), (&json("9390"), &json("9361")));
}

/// Puts departures into a topic with so many partitions and keeps a board of them; the board's rows.
fn board(lines: &str, time: &str, partitions: usize, workers: usize, step: usize) -> Vec<String> {
    let place = Place::new();
    place.file("departures.jsonl", lines);
    let columns =
        "event_time TIMESTAMP, flight_id TEXT, origin TEXT, sched_dep_time TIMESTAMP, dep_delay_min BIGINT";
    place.file(
        "board.sql",
        format!(
            "SET step_rows = {step};
             CREATE STREAM file ({columns}) WITH (connector = 'file', path = 'departures.jsonl');
             CREATE STREAM departures ({columns}, WATERMARK FOR {time} AS {time} - INTERVAL '10 minutes')
             WITH (partitions = {partitions}, key = 'flight_id');
             INSERT INTO departures SELECT * FROM file;
             CREATE STREAM board AS
             SELECT window_start, origin, count(*) AS n, sum(dep_delay_min) AS late, max(flight_id) AS last
             FROM TUMBLE(departures, {time}, INTERVAL '30 minutes') GROUP BY window_start, origin EMIT FINAL;"
        ),
    );
    place.run(&["run", "board.sql", "--workers", &workers.to_string()]).ok();
    place.rows("SELECT * FROM board")
}

#[test]
fn partitions_workers_and_steps_change_nothing() {
    let lines = departures(1_500);
    let expected = board(&lines, "event_time", 1, 1, 65_536);
    assert!(expected.len() > 100);
    for (partitions, workers, step) in [(1, 4, 7), (3, 1, 65_536), (3, 2, 1), (8, 3, 7), (8, 4, 65_536)] {
        let rows = board(&lines, "event_time", partitions, workers, step);
        assert_eq!(rows, expected, "{partitions} partitions, {workers} workers, steps of {step}");
    }
    // By the scheduled time many rows are late; which ones depends on what stands before them in their partition.
    for partitions in [1, 3, 8] {
        let expected = board(&lines, "sched_dep_time", partitions, 1, 65_536);
        for (workers, step) in [(2, 1), (3, 7), (4, 65_536)] {
            let rows = board(&lines, "sched_dep_time", partitions, workers, step);
            assert_eq!(rows, expected, "{partitions} partitions, {workers} workers, steps of {step}");
        }
    }
}
