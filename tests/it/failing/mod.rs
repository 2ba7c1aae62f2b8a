//! A disk that fills up, or whose writes fail now and then, under jobs that run: they wait and go on, and every row is
//! there once.

use millstream::clock::Clock;
use millstream::disk::{Disk, Faults};
use millstream::engine::{Engine, Outcome, Session, parse_all};
use std::time::{Duration, Instant};

const ROWS: usize = 300;

const DEFINITIONS: &str = "
    CREATE STREAM s (a BIGINT, b TEXT, ts TIMESTAMP, WATERMARK FOR ts AS ts) WITH (partitions = 2, key = 'a', late_topic = 'too_late');
    CREATE STREAM lines (a BIGINT, b TEXT, ts TIMESTAMP) WITH (connector = 'file', path = '${DATA}', on_bad = 'topic');";

const JOBS: &str = "
    SET step_rows = 7; SET checkpoint_interval = '5 ms'; SET workers = 2;
    INSERT INTO s SELECT a, b, ts FROM lines;
    CREATE STREAM copy AS SELECT a, b FROM s;
    CREATE MATERIALIZED VIEW counts AS SELECT b, count(*) AS n, sum(a) AS a FROM s GROUP BY b;
    CREATE STREAM windows AS SELECT window_start, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_start EMIT FINAL;
    SHOW STREAMS;";

struct Run {
    dir: tempfile::TempDir,
    engine: Engine,
    faults: Faults,
}

impl Run {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut lines = String::new();
        for i in 0..ROWS {
            // Some come late; some are no rows.
            let second = if i % 29 == 3 { i / 2 } else { i };
            let time = format!("2024-01-01T00:{:02}:{:02}", second / 60, second % 60);
            lines.push_str(&format!("{{\"a\":{i},\"b\":\"b{}\",\"ts\":\"{time}\"}}\n", i * 7 % 13));
            if i % 50 == 20 {
                lines.push_str("{\"a\":\"none\"}\n");
            }
        }
        std::fs::write(dir.path().join("lines.jsonl"), lines).unwrap();
        let (disk, faults) = Disk::faulty();
        let engine = Engine::open(&dir.path().join("data"), disk, Clock::system()).unwrap();
        let run = Run { dir, engine, faults };
        run.execute(&mut run.session(), DEFINITIONS);
        run
    }

    fn session(&self) -> Session {
        Session::new(&self.engine, Default::default(), Some("job"), false)
    }

    fn execute(&self, session: &mut Session, text: &str) -> Vec<String> {
        let text = text.replace("${DATA}", &self.dir.path().join("lines.jsonl").display().to_string());
        let mut rows = Vec::new();
        for statement in parse_all(&text).0 {
            if let Outcome::Bounded(mut query) = session.execute(&text, &statement).unwrap() {
                while let Some(batch) = query.next_batch().unwrap() {
                    let table = arrow::util::pretty::pretty_format_batches(&[batch]).unwrap().to_string();
                    let dir = self.dir.path().display().to_string();
                    let row = |line: &str| line.replace(&dir, "").split_whitespace().collect::<String>();
                    rows.extend(table.lines().skip(3).filter(|l| l.starts_with('|')).map(row));
                }
            }
        }
        rows.sort();
        rows
    }

    /// Runs all jobs to their end; `tick` is called now and then, `begin` when they are about to run. Gives what they
    /// told.
    fn jobs(&self, begin: impl FnOnce(), tick: &mut dyn FnMut(&Session)) -> Vec<String> {
        let mut session = self.session();
        // The last of the statements has the jobs started.
        self.execute(&mut session, JOBS);
        begin();
        let mut news = Vec::new();
        let begun = Instant::now();
        session
            .wait(&mut || {
                tick(&session);
                news.extend(session.take_news());
                assert!(begun.elapsed() < Duration::from_secs(60), "it hangs: {news:?}");
                true
            })
            .unwrap();
        session.stop();
        news.extend(session.take_news());
        let failures: Vec<String> = session.take_failures().iter().map(ToString::to_string).collect();
        assert!(failures.is_empty(), "{failures:?}");
        news
    }

    fn results(&self) -> Vec<Vec<String>> {
        let mut session = self.session();
        ["s", "copy", "counts", "windows", "too_late", "lines_bad"]
            .map(|stream| self.execute(&mut session, &format!("SELECT * FROM {stream};")))
            .to_vec()
    }
}

fn undisturbed() -> Vec<Vec<String>> {
    let run = Run::new();
    assert!(run.jobs(|| (), &mut |_| ()).is_empty());
    let results = run.results();
    assert_eq!((results[0].len(), results[1].len(), results[5].len()), (ROWS, ROWS, 6));
    assert!(results[2].len() == 13 && results[3].len() > 20 && results[4].len() > 3, "{results:?}");
    results
}

#[track_caller]
fn check(run: &Run, expected: &[Vec<String>], when: &str) {
    for (i, (rows, expected)) in run.results().iter().zip(expected).enumerate() {
        let other: Vec<_> = rows.iter().filter(|r| !expected.contains(r)).take(5).collect();
        assert!(
            rows == expected,
            "{when}: {} of {} rows of stream {i}: {other:?}",
            rows.len(),
            expected.len()
        );
    }
}

#[test]
fn a_full_disk_pauses_jobs_and_nothing_is_lost_or_doubled() {
    let expected = undisturbed();
    for room in [0, 1, 700, 3_000, 9_000, 20_000, 40_000] {
        let run = Run::new();
        let faults = run.faults.clone();
        let mut full = Some(Instant::now());
        let begin = || run.faults.full_after(room);
        let news = run.jobs(begin, &mut |session| {
            let waits = session.jobs().iter().any(|job| job.waits_for.is_some());
            if waits && full.is_some_and(|since| since.elapsed() > Duration::from_millis(400)) {
                full = None;
                faults.heal();
            }
        });
        let told = |word: &str| news.iter().filter(|n| n.contains(word)).count();
        assert!(told("waits: no space left on device") > 0, "{room}: {news:?}");
        assert_eq!(told("waits:"), told("goes on"), "{room}: {news:?}");
        check(&run, &expected, &format!("with room for {room} bytes"));
    }
}

#[test]
fn a_write_that_fails_once_is_made_again_whichever_it_is() {
    let expected = undisturbed();
    for n in (0..24).map(|i| 1 + i * i) {
        let run = Run::new();
        run.jobs(|| run.faults.disturb_write(n), &mut |_| ());
        check(&run, &expected, &format!("write {n}"));
    }
}
