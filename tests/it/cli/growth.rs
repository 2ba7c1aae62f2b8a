//! State that grows without end: what a job warns of when it starts, and what `state_ttl` cuts.

use super::*;

const STREAMS: &str =
    "CREATE STREAM orders (order_id BIGINT, item TEXT, ts TIMESTAMP, WATERMARK FOR ts AS ts);
    CREATE STREAM payments (order_id BIGINT, paid BIGINT, ts TIMESTAMP, WATERMARK FOR ts AS ts);
    CREATE STREAM visits (who TEXT, at TIMESTAMP);
    CREATE TABLE items (item TEXT PRIMARY KEY, price BIGINT)";

/// What stands on standard error before the summary.
fn told(ran: &Ran) -> String {
    let lines: Vec<&str> = ran.err.lines().take_while(|line| !line.contains(" rows in, ")).collect();
    lines.join("\n")
}

fn run(place: &Place, text: &str) -> String {
    place.file("job.sql", text);
    told(&place.run(&["run", "job.sql", "--until-caught-up"]).ok())
}

const JOIN: &str = "CREATE STREAM paid AS
SELECT orders.order_id, item, paid FROM orders JOIN payments ON orders.order_id = payments.order_id;
";
const JOIN_WARNING: &str = "\
warning: the join on (order_id) keeps every row of orders and payments: its state grows without end
 --> job.sql:2:1
  |
2 | SELECT orders.order_id, item, paid FROM orders JOIN payments ON orders.order_id = payments.order_id;
  | ^^^^^^
  |
  = help: write AND payments.ts BETWEEN orders.ts - INTERVAL '1 hour' AND orders.ts + INTERVAL '1 hour', a join of windows, or SET state_ttl = '1 day'";

#[test]
fn a_job_that_keeps_every_row_warns_whenever_it_starts() {
    let place = Place::new();
    place.sql(STREAMS);
    assert_eq!(run(&place, JOIN), JOIN_WARNING);
    assert_eq!(run(&place, JOIN), JOIN_WARNING, "resumed");
    assert_eq!(run(&place, &format!("SET state_ttl = '1 day';{JOIN}")), "");
    let explained = place.sql(&format!("EXPLAIN {}", JOIN.split_once("AS\n").unwrap().1));
    assert!(explained.contains("grows with every row of orders and payments"), "{explained}");
}

#[test]
fn each_operator_that_nothing_bounds_is_told_once_with_what_bounds_it() {
    let place = Place::new();
    place.sql(STREAMS);
    let ranked = "CREATE MATERIALIZED VIEW ranked AS SELECT who, at, row_number() OVER (PARTITION BY who ORDER BY at) AS n FROM visits;";
    assert_eq!(
        run(&place, ranked),
        "\
warning: the ranking row_number by (who) keeps every row of visits: its state grows without end
 --> job.sql:1:36
  |
1 | CREATE MATERIALIZED VIEW ranked AS SELECT who, at, row_number() OVER (PARTITION BY who ORDER BY at) AS n FROM visits;
  |                                    ^^^^^^
  |
  = help: write WHERE row_number() <= n, or SET state_ttl = '1 day'"
    );
    let help = |query: &str| -> Vec<String> {
        let told = run(&place, query);
        let helps = told.lines().filter_map(|line| line.split_once("= help: "));
        helps.map(|(_, help)| help.to_string()).collect()
    };
    // A stream without event time, and a table beside a stream.
    let timeless = "CREATE STREAM a AS SELECT who, item FROM visits JOIN orders ON who = item;";
    assert_eq!(
        help(timeless),
        [
            "write a WATERMARK for visits where it is created and a bound on the time between the rows, or SET state_ttl = '1 day'"
        ]
    );
    let table = "CREATE MATERIALIZED VIEW priced AS
        SELECT DISTINCT order_id, ts FROM orders JOIN items ON orders.item = items.item;";
    assert_eq!(help(table), ["write SET state_ttl = '1 day'"]);
}

#[test]
fn what_is_bounded_or_ends_by_itself_warns_of_nothing() {
    let place = Place::new();
    place.sql(STREAMS);
    place.file("a.jsonl", "{\"k\":1}\n{\"k\":2}\n");
    for quiet in [
        "CREATE STREAM near AS SELECT orders.order_id FROM orders JOIN payments ON orders.order_id = payments.order_id
         AND payments.ts BETWEEN orders.ts AND orders.ts + INTERVAL '1 hour';",
        "CREATE MATERIALIZED VIEW counts AS SELECT item, count(*) AS n FROM orders GROUP BY item;",
        "CREATE MATERIALIZED VIEW last AS SELECT item, ts FROM (SELECT *, row_number() OVER (PARTITION BY item ORDER BY ts DESC) AS n FROM orders) WHERE n = 1;",
        "CREATE STREAM file (k BIGINT) WITH (connector = 'file', path = 'a.jsonl');
         CREATE STREAM pairs AS SELECT a.k FROM file AS a JOIN file AS b ON a.k = b.k;",
    ] {
        assert_eq!(run(&place, quiet), "", "{quiet}");
    }
    let asked = place.run(&["-c", "SELECT a.k FROM file AS a JOIN file AS b ON a.k = b.k EMIT CHANGES"]).ok();
    assert_eq!(told(&asked), "");
    let followed =
        "CREATE STREAM grows (k BIGINT) WITH (connector = 'file', path = 'a.jsonl', follow = true);
        CREATE STREAM twice AS SELECT a.k FROM grows AS a JOIN grows AS b ON a.k = b.k;";
    assert!(run(&place, followed).contains("keeps every row of grows"));
}

#[test]
fn a_query_in_the_foreground_warns_where_it_goes_on_without_end() {
    let place = Place::new();
    place.sql(STREAMS);
    let query = "SELECT who FROM visits JOIN orders ON who = item EMIT CHANGES";
    assert_eq!(told(&place.run(&["-c", query, "--until-caught-up"]).ok()), "");
    let mut child = place.command(&["-c", query]).spawn().unwrap();
    let mut err = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut err, &mut line).unwrap();
    assert_eq!(
        line,
        "warning: the join on (who = item) keeps every row of visits and orders: its state grows without end\n"
    );
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn state_ttl_drops_what_nothing_else_bounds_and_counts_it() {
    let place = Place::new();
    place.sql("CREATE STREAM l (k BIGINT, a BIGINT); CREATE STREAM r (k BIGINT, b BIGINT)");
    place.sql("INSERT INTO l VALUES (1, 10)");
    place.file(
        "job.sql",
        "SET state_ttl = '20 ms'; CREATE STREAM pairs AS SELECT l.k, a, b FROM l JOIN r ON l.k = r.k;",
    );
    // The row is kept by the first run; a later one, in whose time it is older, drops it.
    place.run(&["run", "job.sql", "--until-caught-up"]).ok();
    let mut dropped = String::new();
    for n in 0.. {
        place.sql(&format!("INSERT INTO r VALUES (2, {n})"));
        dropped = place.run(&["run", "job.sql", "--until-caught-up"]).ok().err;
        if dropped.contains("older than state_ttl") {
            break;
        }
    }
    let note = dropped.lines().last().unwrap();
    assert!(note.starts_with("note: ") && note.ends_with(" dropped"), "{note}");
    place.sql("INSERT INTO r VALUES (1, 99)");
    place.run(&["run", "job.sql", "--until-caught-up"]).ok();
    assert_eq!(place.sql("SELECT * FROM pairs"), "");
}

#[test]
fn state_ttl_is_a_setting_like_the_others() {
    let place = Place::new();
    let value = |sql: &str| {
        let out = place.sql(sql);
        json(out.lines().last().unwrap())["value"].as_str().unwrap().to_string()
    };
    assert_eq!(value("SHOW state_ttl"), "0");
    assert_eq!(value("SET state_ttl = '36 hours'; SHOW state_ttl"), "36 h");
    assert_eq!(value("SET state_ttl = '1 day'; RESET state_ttl; SHOW state_ttl"), "0");
    let wrong = place.run(&["-c", "SET state_ttl = 'a while'"]);
    wrong.fails(3, &["state_ttl cannot be \"a while\": it takes a duration such as '30 minutes'"]);
}
