//! The data directory as it was written by an earlier version, kept in `tests/fixtures/directory`: it opens, and its jobs go
//! on from their checkpoint and journal. `fixture.txt` tells what is in it. A new one is made, where a layout has changed,
//! with `MILLSTREAM_FIXTURE=1` and this test's `make`; the old one then gets a name of its own and stays.

use super::resume::{rows_of, signalled, spawn, until};
use super::*;

const ORDERS: usize = 60;

const SETUP: &str = "
CREATE STREAM orders (id BIGINT, customer TEXT, amount DOUBLE, at TIMESTAMP, WATERMARK FOR at AS at - INTERVAL '5 seconds')
WITH (partitions = 2, key = 'customer');
CREATE TABLE customers (customer TEXT, name TEXT, PRIMARY KEY (customer)) WITH (segment_bytes = 1, keep_tombstones = '0 s');
CREATE VIEW large AS SELECT * FROM orders WHERE amount > 20;
";

const JOBS: &str = "
SET step_rows = 10; SET checkpoint_interval = '1 hour';
CREATE MATERIALIZED VIEW totals AS SELECT customer, count(*) AS n, sum(amount) AS total FROM orders GROUP BY customer;
CREATE STREAM minutes AS SELECT window_start, count(*) AS n FROM TUMBLE(orders, at, INTERVAL '1 minute') GROUP BY window_start EMIT FINAL;
CREATE MATERIALIZED VIEW named AS
SELECT c.name, max(o.amount) AS most, count(*) AS n FROM large o JOIN customers c ON o.customer = c.customer GROUP BY c.name;
";

const FIXTURE: &str = "tests/fixtures/directory";

fn order(id: usize) -> String {
    format!(
        "({id}, 'c{}', {}.5, TIMESTAMP '2024-01-01 00:{:02}:{:02}')",
        id * 7 % 5,
        id % 40,
        id / 10,
        id % 10 * 6
    )
}

fn orders(place: &Place, ids: std::ops::Range<usize>) {
    place.sql(&format!("INSERT INTO orders VALUES {}", ids.map(order).collect::<Vec<_>>().join(", ")));
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The fixture, where it can be changed.
fn fixture() -> Place {
    let place = Place::new();
    copy(&project().join(FIXTURE), &place.path(""));
    std::fs::rename(place.path("data"), place.path(".millstream")).unwrap();
    place
}

/// What the jobs have computed.
fn check_results(place: &Place) {
    for (stream, query) in [
        ("totals", "SELECT customer, count(*) AS n, sum(amount) AS total FROM orders GROUP BY customer"),
        (
            "named",
            "SELECT c.name, max(o.amount) AS most, count(*) AS n FROM large o JOIN customers c ON o.customer = c.customer GROUP BY c.name",
        ),
    ] {
        assert_eq!(place.rows(&format!("SELECT * FROM {stream}")), place.rows(query), "{stream}");
    }
}

#[test]
fn a_directory_of_an_earlier_version_opens_and_its_jobs_go_on() {
    let place = fixture();
    assert_eq!(rows_of(&place, "orders"), ORDERS as u64);
    for topic in ["orders", "customers", "totals", "minutes", "named"] {
        place.run(&["topic", "verify", topic]).ok();
    }
    // Five customers that have been renamed again and again, of which one is gone; compacted.
    assert_eq!(place.rows("SELECT * FROM customers").len(), 4);
    assert!(rows_of(&place, "customers") >= 40);
    assert!(place.run(&["topic", "consume", "customers"]).ok().out.lines().count() < 20);
    // The group goes on where it was.
    let rest = place.run(&["topic", "consume", "orders", "--group", "billing"]).ok();
    assert_eq!(rest.out.lines().count(), ORDERS - 10);
    // The jobs have read 40 orders; 20 of them in steps behind their checkpoint.
    let before = place.rows("SELECT * FROM totals");
    let ran = place.run(&["run", "job.sql", "--until-caught-up"]).ok();
    assert!(ran.err.contains("resumed"), "{}", ran.err);
    assert_ne!(place.rows("SELECT * FROM totals"), before);
    check_results(&place);
    assert_eq!(place.rows("SELECT * FROM minutes").len(), 5);
    assert_eq!(json(&place.sql("SELECT sum(n) AS n FROM minutes"))["n"], 50);
    // And on.
    orders(&place, ORDERS..ORDERS + 25);
    place.sql("UPDATE customers SET name = 'Zoe' WHERE customer = 'c1'");
    place.run(&["run", "job.sql", "--until-caught-up", "--workers", "3"]).ok();
    check_results(&place);
}

#[test]
fn what_a_newer_version_has_written_is_refused_in_plain_words() {
    let files = |place: &Place, name: &str| -> Vec<std::path::PathBuf> {
        let (mut found, mut dirs) = (Vec::new(), vec![place.path(".millstream")]);
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).unwrap().flatten() {
                match entry.file_type().unwrap().is_dir() {
                    true => dirs.push(entry.path()),
                    false if entry.file_name().to_string_lossy().starts_with(name) => {
                        found.push(entry.path())
                    }
                    false => {}
                }
            }
        }
        found
    };
    for (name, from, to) in [
        ("FORMAT", "millstream 1", "millstream 9"),
        ("catalog.json", "\"version\":1", "\"version\":9"),
        ("topic.json", "\"version\":1", "\"version\":9"),
        ("job.json", "\"version\":1", "\"version\":9"),
        // It speaks for the journal and the state tables too.
        ("checkpoint.json", "\"version\":3", "\"version\":99"),
        ("group.json", "\"version\":1", "\"version\":9"),
    ] {
        let place = fixture();
        let mut changed = 0;
        for path in files(&place, name) {
            let text = std::fs::read_to_string(&path).unwrap();
            let newer = text.replace(from, to).replace(&from.replace(':', ": "), &to.replace(':', ": "));
            changed += usize::from(newer != text);
            std::fs::write(path, newer).unwrap();
        }
        assert!(changed > 0, "{name} says no version");
        let ran = match name {
            "group.json" => place.run(&["topic", "consume", "orders", "--group", "billing"]),
            _ => place.run(&["run", "job.sql", "--until-caught-up"]),
        };
        assert!(ran.code != Some(0), "{name}");
        assert!(ran.err.contains("newer"), "{name}: {}", ran.err);
    }
}

/// Makes the fixture anew.
#[test]
fn make() {
    if std::env::var_os("MILLSTREAM_FIXTURE").is_none() {
        return;
    }
    let place = Place::new();
    place.sql(SETUP);
    place.file("job.sql", JOBS);
    for round in 0..8 {
        let rows: Vec<String> = (0..5).map(|c| format!("('c{c}', 'name {c} {round}')")).collect();
        place.sql(&format!("INSERT INTO customers VALUES {}", rows.join(", ")));
    }
    place.sql("DELETE FROM customers WHERE customer = 'c4'");
    place.sql("INSERT INTO customers VALUES ('c0', 'Ann')");
    place.run(&["topic", "compact", "customers"]).ok();
    orders(&place, 0..20);
    place.run(&["topic", "consume", "orders", "--group", "billing", "-n", "10"]).ok();
    // A checkpoint, then steps behind it whose end is a crash.
    let child = spawn(&place, &["run", "job.sql", "--workers", "2"]);
    let counted = |n: u64| json(&place.sql("SELECT sum(n) AS n FROM totals"))["n"] == n;
    until(|| rows_of(&place, "totals") > 0 && counted(20));
    signalled(&child, "TERM");
    Ran::of(child.wait_with_output().unwrap()).ok();
    let mut child = spawn(&place, &["run", "job.sql", "--workers", "2"]);
    orders(&place, 20..40);
    until(|| counted(40));
    child.kill().unwrap();
    child.wait().unwrap();
    orders(&place, 40..ORDERS);
    let to = project().join(FIXTURE);
    std::fs::remove_dir_all(&to).ok();
    copy(&place.path(""), &to);
    std::fs::rename(to.join(".millstream"), to.join("data")).unwrap();
    // Where it was made says nothing.
    for job in std::fs::read_dir(to.join("data/jobs")).unwrap().flatten() {
        let path = job.path().join("job.json");
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let mut file = json(&text);
        file["origin"]["command"] = serde_json::json!(["millstream", "run", "job.sql"]);
        file["origin"]["directory"] = "/data".into();
        std::fs::write(path, serde_json::to_string_pretty(&file).unwrap()).unwrap();
    }
    let told = "A data directory (data) and the file of its jobs (job.sql), as a run left them that was killed.\n\
                It is made by the test cli::upgrade::make and read by its neighbours.\n";
    std::fs::write(to.join("fixture.txt"), told).unwrap();
}
