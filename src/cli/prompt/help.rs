//! `\h`: what SQL there is, in a few lines each, with an example that runs over the data of a demo.

use crate::cli::explain::explained;

/// A topic of help.
struct Topic {
    name: &'static str,
    text: &'static str,
    /// Runs as it is over the demo that it names.
    example: &'static str,
}

/// What an example begins with that needs another demo than flights.
#[cfg(test)]
const OTHER_DEMO: &str = "-- millstream demo ";

const TOPICS: &[Topic] = &[
    Topic {
        name: "AT",
        text: "FROM s AT LATEST | AT EARLIEST | AT OFFSET n | AT 'time'\nWhere reading of a stream begins; without it at the oldest row.",
        example: "SELECT flight_id, dest FROM departures AT '2013-01-01 12:00:00' LIMIT 3;",
    },
    Topic {
        name: "CREATE STREAM",
        text: "CREATE STREAM name (column TYPE, …, WATERMARK FOR column AS column - INTERVAL '5 seconds') WITH (option = 'value', …);\nCREATE STREAM name AS SELECT … [EMIT FINAL];      a job that writes the stream\nA stream takes rows that stay. connector = 'file' reads files; without it the stream is kept in the data directory.",
        example: "CREATE STREAM late_flights AS SELECT flight_id, origin, dep_delay_min FROM departures WHERE dep_delay_min > 60;",
    },
    Topic {
        name: "CREATE TABLE",
        text: "CREATE TABLE name (column TYPE, …, PRIMARY KEY (column));\nCREATE TABLE name AS SELECT …;      the same as CREATE MATERIALIZED VIEW\nA table holds the last row of each key; UPDATE and DELETE change it.",
        example: "CREATE TABLE carriers (carrier TEXT, name TEXT, PRIMARY KEY (carrier));",
    },
    Topic {
        name: "CREATE VIEW",
        text: "CREATE VIEW name AS SELECT …;                    a name for a query\nCREATE MATERIALIZED VIEW name AS SELECT …;       a job that keeps its result as a table",
        example: "CREATE MATERIALIZED VIEW per_carrier AS SELECT carrier, count(*) AS flights FROM departures GROUP BY carrier;",
    },
    Topic {
        name: "EMIT",
        text: "SELECT …;                 what the streams hold now; it ends\nSELECT … EMIT CHANGES;    every change of the answer, as it happens\nSELECT … EMIT FINAL;      each result once, when nothing can change it any more: with windows",
        example: "SELECT origin, count(*) AS flights FROM departures GROUP BY origin EMIT CHANGES;",
    },
    Topic {
        name: "EXPLAIN",
        text: "EXPLAIN SELECT …;         the plan: changes, event time and bound of state at each operator; \\plan is the same\nEXPLAIN WAITING job;      why a job gives no rows; \\why N is the same",
        example: "EXPLAIN SELECT origin, count(*) AS flights FROM departures GROUP BY origin EMIT CHANGES;",
    },
    Topic {
        name: "INSERT",
        text: "INSERT INTO name [(column, …)] VALUES (…), (…);    rows, written at once\nINSERT INTO name SELECT …;                          a job that goes on writing",
        example: "CREATE STREAM notes (flight_id TEXT, note TEXT); INSERT INTO notes VALUES ('UA1545-20130101-EWR', 'on time');",
    },
    Topic {
        name: "JOBS",
        text: "SHOW JOBS;  DESCRIBE JOB j;  EXPLAIN WAITING j;  PAUSE | RESUME | STOP | RESTART | CHECKPOINT JOB j;\nCREATE … AS SELECT and INSERT INTO … SELECT run as jobs in the background; they end with the prompt, with a checkpoint,\nand go on from it with \\resume, or when the same statement is run again.",
        example: "SHOW JOBS;",
    },
    Topic {
        name: "JOIN",
        text: "a JOIN b ON …, LEFT, RIGHT, FULL, CROSS; USING; IN, EXISTS and subqueries\nA join of two streams keeps their rows; a condition on time bounds that: b.ts BETWEEN a.ts AND a.ts + INTERVAL '1 hour'.",
        example: "SELECT a.flight_id, b.flight_id AS next, b.dest FROM departures a JOIN departures b ON a.tailnum = b.tailnum AND b.event_time BETWEEN a.event_time + INTERVAL '1 minute' AND a.event_time + INTERVAL '4 hours' LIMIT 5;",
    },
    Topic {
        name: "SELECT",
        text: "SELECT expressions FROM streams, tables, views [WHERE …] [GROUP BY …] [HAVING …] [ORDER BY …] [LIMIT n] [EMIT CHANGES | FINAL];\nTypes, expressions and functions are as in Postgres. Names fold to lower case unless they are in double quotes.",
        example: "SELECT carrier, count(*) AS flights, avg(dep_delay_min) AS delay FROM departures GROUP BY carrier ORDER BY flights DESC LIMIT 5;",
    },
    Topic {
        name: "SESSION",
        text: "FROM SESSION(TABLE s PARTITION BY key, DESCRIPTOR(ts), INTERVAL '2' HOUR)\nA window that ends when nothing has come for a key for so long.",
        example: "-- millstream demo storms\nSELECT storm_id, window_start, count(*) AS fixes, max(wind_kt) AS strongest_kt FROM SESSION(TABLE storms PARTITION BY storm_id, DESCRIPTOR(event_time), INTERVAL '24' HOUR) GROUP BY storm_id, window_start, window_end LIMIT 5;",
    },
    Topic {
        name: "SET",
        text: "SET name = 'value';  RESET name;  SHOW ALL;\nSHOW ALL lists the settings with what they do.",
        example: "SET replay_speed = 600;",
    },
    Topic {
        name: "TOP N",
        text: "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY key ORDER BY x DESC) AS n FROM s) WHERE n <= 3\nThe first rows of each key, kept up to date; ORDER BY … LIMIT n for the first rows of all.",
        example: "SELECT * FROM (SELECT origin, flight_id, dep_delay_min, row_number() OVER (PARTITION BY origin ORDER BY dep_delay_min DESC) AS n FROM departures) WHERE n <= 3 EMIT CHANGES;",
    },
    Topic {
        name: "WATERMARK",
        text: "WATERMARK FOR ts AS ts - INTERVAL '5 seconds'      in CREATE STREAM\nHow far event time has come: the greatest time seen, less the delay. It closes windows; rows behind it are late for them.\nA partition that is silent for idle_timeout does not hold it back.",
        example: "DESCRIBE departures;",
    },
    Topic {
        name: "WINDOW",
        text: "FROM TUMBLE(s, ts, INTERVAL '1 hour')                          windows side by side\nFROM HOP(s, ts, INTERVAL '1 hour', INTERVAL '6 hours')         slide, size: windows that overlap\nFROM CUMULATE(s, ts, INTERVAL '1 hour', INTERVAL '1 day')      step, size: windows that grow\nAll add window_start and window_end, by which is grouped. EMIT FINAL gives each window once, when it has closed.",
        example: "SELECT window_start, origin, count(*) AS flights FROM TUMBLE(departures, event_time, INTERVAL '1 hour') GROUP BY window_start, origin ORDER BY window_start LIMIT 6;",
    },
];

/// Names under which the topics are looked for as well.
const ALSO: &[(&str, &str)] = &[
    ("TUMBLE", "WINDOW"),
    ("HOP", "WINDOW"),
    ("CUMULATE", "WINDOW"),
    ("MATERIALIZED VIEW", "CREATE VIEW"),
    ("TABLE", "CREATE TABLE"),
    ("STREAM", "CREATE STREAM"),
    ("VIEW", "CREATE VIEW"),
    ("JOB", "JOBS"),
    ("ROW_NUMBER", "TOP N"),
    ("LIMIT", "TOP N"),
    ("GROUP BY", "SELECT"),
    ("UPDATE", "CREATE TABLE"),
    ("DELETE", "CREATE TABLE"),
    ("CREATE", "CREATE STREAM"),
];

/// The names of the topics.
pub(super) fn topics() -> Vec<&'static str> {
    TOPICS.iter().map(|t| t.name).collect()
}

/// What there is to say of a topic; without one, which there are.
pub(super) fn text(topic: &str) -> String {
    if let Some(text) = explained(topic, usize::MAX) {
        return text;
    }
    let wanted = topic.trim().to_uppercase();
    if wanted.is_empty() {
        return format!("\\h and one of: {}, or the code of a mistake", topics().join(", "));
    }
    let named = ALSO.iter().find(|(also, _)| *also == wanted).map_or(wanted.as_str(), |(_, name)| name);
    let found =
        TOPICS.iter().find(|t| t.name == named).or_else(|| TOPICS.iter().find(|t| t.name.starts_with(named)));
    match found {
        Some(topic) => format!(
            "{}\n\n{}\n\nExample, over the data of 'millstream demo':\n{}",
            topic.name, topic.text, topic.example
        ),
        None => format!("there is no help on {}; there is on: {}", topic.trim(), topics().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Demo;
    use crate::config::Settings;
    use crate::engine::{Engine, Session, parse_all};

    #[test]
    fn every_example_runs_over_a_demo() {
        for demo in [Demo::Flights, Demo::Storms] {
            let dir = tempfile::tempdir().unwrap();
            let engine = Engine::open_dir(dir.path()).unwrap();
            let mut session = Session::new(&engine, Settings::default(), None, true);
            let script = super::super::demo::script(demo);
            let mut run = |sql: &str| {
                for statement in parse_all(sql).0 {
                    session.execute(sql, &statement).map_err(|e| e.to_string()).unwrap();
                }
            };
            run(script.create);
            script.queries.iter().for_each(|query| run(query));
            for topic in TOPICS {
                let (text, mistake) = (topic.example, parse_all(topic.example).1);
                assert!(mistake.is_none(), "{text}");
                let storms = text.starts_with(OTHER_DEMO);
                if storms == (demo == Demo::Storms) {
                    run(text);
                }
            }
        }
    }

    #[test]
    fn topics_are_found_by_other_names_too() {
        assert!(TOPICS.is_sorted_by_key(|t| t.name));
        assert!(text("tumble").starts_with("WINDOW") && text("create t").starts_with("CREATE TABLE"));
        assert!(text("ms003").starts_with("MS003"));
        assert!(text("").contains("WINDOW") && text("nothing").contains("there is no help"));
        for (_, name) in ALSO {
            assert!(topics().contains(name), "{name}");
        }
    }
}
