//! Tables and materialized views from the shell: killed and taken up again, changed from several runs, dropped.

use super::resume::{Dice, grown, spawn};
use super::*;
use millstream::config::Settings;
use millstream::engine::{Engine, Outcome, Session, parse_all};
use std::collections::BTreeMap;

/// Changes of few rows, as Debezium writes them, in several files; and the rows that are left.
fn changes(place: &Place, count: u64) -> BTreeMap<u64, (Option<u64>, u64)> {
    let (mut dice, mut rows) = (Dice(3), BTreeMap::<u64, (Option<u64>, u64)>::new());
    let mut lines = Vec::new();
    let shown = |id: u64, (shop, price): (Option<u64>, u64)| {
        let shop = shop.map_or("null".into(), |s| format!("\"s{s}\""));
        format!("{{\"id\":{id},\"shop\":{shop},\"price\":{price}}}")
    };
    for _ in 0..count {
        let id = dice.below(150);
        let row = ((dice.below(10) > 0).then(|| dice.below(12)), dice.below(1000));
        let before = rows.get(&id).copied();
        lines.push(match (before, dice.below(4)) {
            (Some(before), 0) => {
                rows.remove(&id);
                format!("{{\"op\":\"d\",\"before\":{},\"after\":null}}\n", shown(id, before))
            }
            (Some(before), _) => {
                rows.insert(id, row);
                format!("{{\"op\":\"u\",\"before\":{},\"after\":{}}}\n", shown(id, before), shown(id, row))
            }
            (None, _) => {
                rows.insert(id, row);
                format!("{{\"op\":\"c\",\"after\":{}}}\n", shown(id, row))
            }
        });
    }
    for (i, some) in lines.chunks(lines.len() / 3 + 1).enumerate() {
        place.file(&format!("changes{i}.jsonl"), some.concat());
    }
    rows
}

fn chain(place: &Place) {
    place.file(
        "chain.sql",
        "SET step_rows = 16; SET checkpoint_interval = '40 ms';
         CREATE TABLE source (id BIGINT, shop TEXT, price BIGINT, PRIMARY KEY (id))
         WITH (connector = 'file', path = 'changes*.jsonl', format = 'debezium_json');
         CREATE TABLE items (id BIGINT PRIMARY KEY, shop TEXT, price BIGINT) WITH (partitions = 3);
         INSERT INTO items SELECT id, shop, price FROM source;
         CREATE MATERIALIZED VIEW shops WITH (partitions = 2) AS
         SELECT shop, count(*) AS n, sum(price) AS total, min(price) AS least FROM items GROUP BY shop;
         CREATE TABLE whole AS SELECT count(*) AS shops, sum(n) AS items, sum(total) AS total FROM shops;",
    );
}

const KEPT: [&str; 3] = ["items", "shops", "whole"];

fn kept(place: &Place) -> [Vec<String>; 3] {
    KEPT.map(|table| place.rows(&format!("SELECT * FROM {table}")))
}

#[test]
fn views_of_views_are_right_however_often_their_jobs_are_killed() {
    let undisturbed = Place::new();
    let left = changes(&undisturbed, 4_000);
    chain(&undisturbed);
    undisturbed.run(&["run", "chain.sql"]).ok();
    let expected = kept(&undisturbed);
    assert_eq!(expected[0].len(), left.len());
    let whole = json(&expected[2][0]);
    assert_eq!(whole["items"], left.len());
    assert_eq!(whole["total"], left.values().map(|(_, price)| price).sum::<u64>());

    let place = Place::new();
    changes(&place, 4_000);
    chain(&place);
    let (mut dice, mut kills) = (Dice(5), 0);
    for round in 0..20 {
        let workers = (round % 4 + 1).to_string();
        let mut child = spawn(&place, &["run", "chain.sql", "--workers", &workers]);
        let bytes = dice.below(40_000);
        if !grown(&place, &mut child, bytes) {
            Ran::of(child.wait_with_output().unwrap()).ok();
            assert!(kills > 5, "done after {kills} kills");
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    place.run(&["run", "chain.sql", "--workers", "2"]).ok();
    for (table, (rows, expected)) in KEPT.iter().zip(kept(&place).iter().zip(&expected)) {
        assert_eq!(rows, expected, "{table} after {kills} kills");
    }
}

#[test]
fn a_view_follows_its_table_over_many_runs() {
    let place = Place::new();
    place.file(
        "shop.sql",
        "CREATE TABLE t (k INT PRIMARY KEY, g TEXT, x BIGINT) WITH (partitions = 2);
         CREATE MATERIALIZED VIEW v AS SELECT g, sum(x) AS x FROM t GROUP BY g;",
    );
    let follow = || place.run(&["run", "shop.sql", "--until-caught-up"]).ok();
    follow();
    place.sql("INSERT INTO t VALUES (1, 'a', 1), (2, 'a', 2), (3, 'b', 3)");
    follow();
    assert_eq!(place.rows("SELECT * FROM v"), [r#"{"g":"a","x":3}"#, r#"{"g":"b","x":3}"#]);
    place.sql("UPDATE t SET x = x * 10 WHERE g = 'a'; DELETE FROM t WHERE g = 'b'");
    follow();
    assert_eq!(place.rows("SELECT * FROM v"), [r#"{"g":"a","x":30}"#]);
    let consumed = place.run(&["topic", "consume", "v"]).ok().out;
    assert!(consumed.lines().map(json).any(|row| row["g"] == "b" && row["_deleted"] == true), "{consumed}");
    place.sql("DROP MATERIALIZED VIEW v");
    assert!(place.run(&["-c", "SELECT * FROM v"]).err.contains("there is no"), "it is gone");
    follow();
    assert_eq!(place.rows("SELECT * FROM v"), [r#"{"g":"a","x":30}"#]);
}

#[test]
fn a_file_that_is_run_again_changes_nothing_twice() {
    let place = Place::new();
    place.file(
        "change.sql",
        "CREATE TABLE t (k INT PRIMARY KEY, x BIGINT) WITH (partitions = 3);
         INSERT INTO t VALUES (1, 1), (2, 2), (3, 3), (4, 4);
         UPDATE t SET x = x + 100;
         UPDATE t SET k = k + 1;
         DELETE FROM t WHERE x = 102;
         UPDATE t SET x = x + 100;",
    );
    place.run(&["run", "change.sql"]).ok();
    let rows = place.rows("SELECT * FROM t");
    assert_eq!(rows, [r#"{"k":2,"x":201}"#, r#"{"k":4,"x":203}"#, r#"{"k":5,"x":204}"#]);
    let changes = place.rows("SHOW TABLES");
    for _ in 0..2 {
        place.run(&["run", "change.sql"]).ok();
        assert_eq!(place.rows("SELECT * FROM t"), rows);
        assert_eq!(place.rows("SHOW TABLES"), changes);
    }
    // Without a file each statement is a new one.
    place.sql("UPDATE t SET x = 0; UPDATE t SET x = x + 1; UPDATE t SET x = x + 1");
    assert_eq!(place.rows("SELECT DISTINCT x FROM t"), [r#"{"x":2}"#]);
}

#[test]
fn statements_say_how_many_rows_they_changed() {
    let place = Place::new();
    let engine = Engine::open_dir(&place.path(".millstream")).unwrap();
    let text = "CREATE TABLE t (k INT PRIMARY KEY, x BIGINT) WITH (partitions = 3);
        INSERT INTO t VALUES (1, 1), (2, 2), (1, 3);
        UPDATE t SET x = x + 1;
        UPDATE t SET x = 0 WHERE k = 1;
        DELETE FROM t WHERE x > 7;
        DELETE FROM t WHERE x = 0;";
    let told = || {
        let mut session = Session::new(&engine, Settings::default(), Some("file"), true);
        let (statements, mistake) = parse_all(text);
        assert!(mistake.is_none());
        let notice = |s| match session.execute(text, s).unwrap() {
            Outcome::Notice(notice) => notice,
            _ => "something else".into(),
        };
        statements.iter().map(notice).collect::<Vec<_>>()
    };
    let first = ["table t created", "3 rows inserted into t", "2 rows of t updated", "1 row of t updated"];
    assert_eq!(told(), [&first[..], &["0 rows of t deleted", "1 row of t deleted"]].concat());
    let again = ["table t is there already", "t has these 3 rows already", "t has this update already"];
    let rest = ["t has this update already", "t has this delete already", "t has this delete already"];
    assert_eq!(told(), [&again[..], &rest].concat());
}
