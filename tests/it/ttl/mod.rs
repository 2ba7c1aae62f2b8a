//! `state_ttl` in a running job: what leaves by its age does so by the time of the journaled step, so steps that are run
//! again after a crash give what they gave, whenever that is and whatever `state_ttl` is then.

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::DataType;
use millstream::catalog::{Column, Definitions, StreamDef};
use millstream::clock::Clock;
use millstream::connectors::{ConnectorError, PartitionReader, Position, Read, Slice};
use millstream::delta::{Delta, draw};
use millstream::disk::Disk;
use millstream::operators::spill::SpillTo;
use millstream::plan::{EmitMode, Planner, SharedFlow};
use millstream::runtime::RuntimeError;
use millstream::runtime::checkpoint::JobStore;
use millstream::runtime::control::Control;
use millstream::runtime::feed::FeedShape;
use millstream::runtime::job::{Job, JobOptions, JobPart, JobSummary, SourceSetup};
use millstream::runtime::sink::Sink;
use millstream::sql::{self, Statement};
use millstream::state::budget::MemoryBudget;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Rows of each stream.
const ROWS: usize = 60;

/// Streams `l` and `r` of keys and numbers.
fn definitions() -> Definitions {
    let mut definitions = Definitions::default();
    for name in ["l", "r"] {
        let column = |name: &str| Column { name: name.into(), data_type: DataType::Int64, nullable: true };
        let stream = StreamDef {
            name: name.into(),
            columns: vec![column("k"), column("v")],
            event_time: None,
            connector: "topic".into(),
            options: Vec::new(),
            query: None,
            primary_key: None,
        };
        definitions.streams.insert(name.into(), Arc::new(stream));
    }
    definitions
}

fn flow(query: &str) -> Arc<SharedFlow> {
    let planner = Planner::new();
    let statements = sql::parse(query).unwrap();
    let Statement::Query(parsed) = &statements[0].statement else { panic!("not a query") };
    let plan = planner.query(&definitions(), query, &parsed.query).unwrap();
    let flow = planner.dataflow(&planner.optimize(plan).unwrap(), EmitMode::Changes).unwrap();
    Arc::new(SharedFlow::from(&flow))
}

/// A stream of a row at a time.
struct Reader {
    at: usize,
    columns: Vec<usize>,
    schema: arrow::datatypes::SchemaRef,
}

impl PartitionReader for Reader {
    fn read(&mut self, max_rows: usize) -> Result<Read, ConnectorError> {
        if self.at == ROWS {
            return Ok(Read::End);
        }
        let rows = self.at as i64..(self.at + max_rows.min(1)) as i64;
        let keys: ArrayRef = Arc::new(rows.clone().map(|i| i % 4).collect::<Int64Array>());
        let values: ArrayRef = Arc::new(rows.collect::<Int64Array>());
        let columns = self.columns.iter().map(|c| [&keys, &values][*c].clone()).collect();
        let batch = RecordBatch::try_new(self.schema.clone(), columns).unwrap();
        self.at += batch.num_rows();
        let end = self.position();
        Ok(Read::Rows(Slice { batch, marks: None, stated: false, watermark: None, bad: vec![], end }))
    }

    fn position(&self) -> Position {
        Position { offset: self.at as u64, line: 0 }
    }
}

/// What each step gives, with which a second passes; fails after so many.
#[derive(Clone)]
struct Taken {
    steps: Arc<Mutex<BTreeMap<u64, Vec<Delta>>>>,
    most: u64,
    clock: Clock,
}

impl Sink for Taken {
    fn write(&mut self, step: u64, deltas: &[Delta], _: i64) -> millstream::runtime::Result<()> {
        self.clock.advance(Duration::from_secs(1));
        if step > self.most {
            return Err(RuntimeError::Output("crash".into()));
        }
        self.steps.lock().unwrap().insert(step, deltas.to_vec());
        Ok(())
    }
}

type Steps = BTreeMap<u64, String>;

/// Runs a query's job in `dir`, with a clock that begins at `start`, until its step `most` or its end.
fn run(
    flow: &Arc<SharedFlow>,
    dir: &Path,
    start: i64,
    ttl: Option<u64>,
    most: u64,
) -> (Steps, Result<JobSummary, String>) {
    run_on(2, flow, dir, start, ttl, most)
}

/// Does so on so many workers.
fn run_on(
    workers: usize,
    flow: &Arc<SharedFlow>,
    dir: &Path,
    start: i64,
    ttl: Option<u64>,
    most: u64,
) -> (Steps, Result<JobSummary, String>) {
    let clock = Clock::manual(start);
    let taken = Taken { steps: Arc::default(), most, clock: clock.clone() };
    let sources = flow.sources.iter().map(|spec| {
        let (columns, schema) = (spec.columns.clone(), spec.schema.clone());
        let open = move |_, from: Position| -> Result<Box<dyn PartitionReader>, ConnectorError> {
            Ok(Box::new(Reader {
                at: from.offset as usize,
                columns: columns.clone(),
                schema: schema.clone(),
            }))
        };
        SourceSetup {
            name: spec.stream.name.clone(),
            partitions: 1,
            starts: Vec::new(),
            open: Box::new(open),
            is_topic: false,
            shape: FeedShape { keep: (0..spec.columns.len()).collect(), time: None, late_rule: None },
            idle_timeout: None,
            bad_topic: None,
            late_topic: None,
        }
    });
    let job = Job {
        flow: flow.clone(),
        sources: sources.collect(),
        parts: vec![JobPart {
            name: "ttl".into(),
            sink: Box::new(taken.clone()),
            fingerprint: "ttl".into(),
            control: Arc::new(Control::default()),
            dir: None,
        }],
        options: JobOptions {
            workers,
            step_rows: 1,
            idle_timeout: Duration::ZERO,
            state_ttl: ttl.map(Duration::from_secs),
            checkpoint_interval: Duration::MAX,
            until_caught_up: false,
        },
        store: Some(JobStore { disk: Disk::real(), dir: dir.into(), job: "ttl".into() }),
        log: None,
        clock,
        // Who goes on has the state on disk.
        spill: (start > 0).then(|| SpillTo {
            budget: MemoryBudget::new(0),
            disk: Disk::real(),
            dir: std::env::temp_dir(),
        }),
    };
    let ended = job.run_alone().map_err(|error| error.to_string());
    let steps = taken.steps.lock().unwrap();
    // State that comes back from disk may give a step's rows in another order.
    let sorted = |deltas: &Vec<Delta>| {
        let text = draw(deltas);
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        lines.join("\n")
    };
    (steps.iter().map(|(step, deltas)| (*step, sorted(deltas))).collect(), ended)
}

#[test]
fn steps_that_are_run_again_later_cut_what_they_cut() {
    const HOUR: i64 = 3_600_000_000_000;
    for query in [
        "SELECT l.k, l.v, r.v AS w FROM l JOIN r ON l.k = r.k",
        "SELECT l.k, l.v, r.v AS w FROM l LEFT JOIN r ON l.k = r.k AND r.v % 3 = l.v % 3",
        "SELECT k, v, row_number() OVER (PARTITION BY k ORDER BY v) AS n FROM l",
    ] {
        let flow = flow(query);
        let dir = tempfile::tempdir().unwrap();
        let (before, crashed) = run(&flow, dir.path(), 0, Some(10), 30);
        assert_eq!(crashed.unwrap_err(), "crash", "{query}");
        assert!(before.len() >= 30, "{query}: {} steps", before.len());
        // The journal has these steps, and what was kept in them.
        let (again, ended) = run(&flow, dir.path(), HOUR, None, u64::MAX);
        for (step, out) in &before {
            assert_eq!(again.get(step), Some(out), "{query}: step {step}");
        }
        let totals = ended.unwrap().total;
        assert!(totals.expired > 0, "{query}: {totals:?}");
        // Nothing has left since, and all of it without `state_ttl` makes more of a difference than none.
        let kept = tempfile::tempdir().unwrap();
        let (all, ended) = run(&flow, kept.path(), 0, None, u64::MAX);
        assert_eq!(ended.unwrap().total.expired, 0, "{query}");
        let lines = |steps: &Steps| steps.values().map(|text| text.lines().count()).sum::<usize>();
        assert_ne!(lines(&all), lines(&again), "{query}");
    }
}

#[test]
fn the_same_journal_gives_the_same_output_on_any_number_of_workers() {
    for query in [
        "SELECT k, v + 1 AS w FROM l WHERE v % 3 > 0",
        "SELECT k, count(*) AS n, sum(v) AS total, max(v) AS most, count(DISTINCT v % 5) AS d FROM l GROUP BY k",
        "SELECT k, avg(v) AS mean, array_agg(v ORDER BY v) AS all_of_them FROM l GROUP BY k",
        "SELECT count(*) AS n, sum(v) AS total FROM l",
        "SELECT l.k, l.v, r.v AS w FROM l LEFT JOIN r ON l.k = r.k AND r.v % 3 = l.v % 3",
        "SELECT l.v, count(*) AS n FROM l JOIN r ON l.v = r.v GROUP BY l.v",
        "SELECT k, v, row_number() OVER (PARTITION BY k ORDER BY v DESC) AS n FROM l",
        "SELECT v FROM l WHERE v NOT IN (SELECT v FROM r WHERE v % 2 = 0)",
        "SELECT DISTINCT k FROM l UNION SELECT v % 7 FROM r",
    ] {
        let flow = flow(query);
        let dir = tempfile::tempdir().unwrap();
        let (first, crashed) = run_on(1, &flow, dir.path(), 0, None, 40);
        assert_eq!(crashed.unwrap_err(), "crash", "{query}");
        assert!(first.len() >= 40 && first.values().any(|out| !out.is_empty()), "{query}");
        let sorted = |out: &String| {
            let mut lines: Vec<&str> = out.lines().collect();
            lines.sort_unstable();
            lines.join("\n")
        };
        for workers in 1..=4 {
            let copy = tempfile::tempdir().unwrap();
            for file in std::fs::read_dir(dir.path()).unwrap() {
                let file = file.unwrap();
                std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
            }
            let (again, ended) = run_on(workers, &flow, copy.path(), 77, None, u64::MAX);
            ended.unwrap();
            for (step, out) in &first {
                assert_eq!(
                    again.get(step).map(sorted),
                    Some(sorted(out)),
                    "{query}: step {step}, {workers} workers"
                );
            }
        }
    }
}

#[test]
fn what_was_cut_is_counted_over_all_runs() {
    let flow = flow("SELECT l.k, l.v, r.v AS w FROM l JOIN r ON l.k = r.k");
    let dir = tempfile::tempdir().unwrap();
    let (_, ended) = run(&flow, dir.path(), 0, Some(5), u64::MAX);
    let total = ended.unwrap().total;
    assert!(total.expired > 0 && total.expired < 2 * ROWS as u64, "{total:?}");
    assert_eq!(total.ignored, 0);
    // It stands in the checkpoint; one of before, which does not tell of it, can be read still.
    let path = dir.path().join("checkpoint.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    let totals = &mut manifest["checkpoint"]["parts"][0]["totals"];
    assert_eq!(totals["expired"].as_u64(), Some(total.expired));
    for name in ["expired", "ignored"] {
        totals.as_object_mut().unwrap().remove(name).unwrap();
    }
    let crc = crc32c::crc32c(manifest["checkpoint"].to_string().as_bytes());
    manifest["crc32c"] = format!("{crc:08x}").into();
    std::fs::write(&path, manifest.to_string()).unwrap();
    let (_, ended) = run(&flow, dir.path(), 0, Some(5), u64::MAX);
    assert_eq!(ended.unwrap().total.expired, 0);
}
