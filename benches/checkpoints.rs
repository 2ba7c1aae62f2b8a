//! What journal and checkpoints cost a job whose state is large and changes little, and how long it takes to go on from one.
//!
//!     cargo bench --bench checkpoints
//!
//! KEYS (100,000 1,000,000 8,000,000), HOT (20,000), STEPS (400), STEP_ROWS (8,192), EVERY_MS (200) and RUNS (3) are taken from
//! the environment. The job groups by a key and keeps count, sum, least and greatest. First each key comes once; then STEPS
//! steps follow with rows of HOT keys. That is done without journal and checkpoints, with a journal alone, and with a checkpoint every
//! EVERY_MS, in turns RUNS times. Shown are the times between the results of two steps that follow each other, of all RUNS
//! runs, while the keys come (the longest) and after that; the seconds from the first result to the last of the quickest
//! run, and what part of those without journal and checkpoints that is; and of the last run, how long its end took (the last
//! checkpoint), how long it took to begin again from it, and how large it was.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use millstream::catalog::{Column, Definitions, StreamDef};
use millstream::clock::Clock;
use millstream::connectors::{ConnectorError, PartitionReader, Position, Read, Slice};
use millstream::delta::Delta;
use millstream::disk::Disk;
use millstream::plan::{EmitMode, Planner, SharedFlow};
use millstream::runtime::checkpoint::JobStore;
use millstream::runtime::control::Control;
use millstream::runtime::feed::FeedShape;
use millstream::runtime::job::{Job, JobOptions, JobPart, SourceSetup};
use millstream::runtime::sink::Sink;
use millstream::sql::{self, Statement};
use std::error::Error;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const QUERY: &str =
    "SELECT k, count(*) AS n, sum(v) AS total, min(v) AS least, max(v) AS most FROM s GROUP BY k";

#[derive(Debug, Clone, Copy)]
struct Size {
    keys: usize,
    hot: usize,
    step_rows: usize,
    steps: usize,
}

/// Rows of all keys in turn, then of hot ones.
struct Reader {
    at: usize,
    size: Size,
    schema: SchemaRef,
    columns: Vec<usize>,
}

impl PartitionReader for Reader {
    fn read(&mut self, max_rows: usize) -> Result<Read, ConnectorError> {
        let Size { keys, hot, step_rows, steps } = self.size;
        let end = keys + steps * step_rows;
        if self.at == end {
            // More might come: the state is kept.
            return Ok(Read::Pending);
        }
        let limit = if self.at < keys { keys } else { end };
        let rows = self.at..limit.min(self.at + max_rows);
        let key = |row: usize| if row < keys { row } else { row.wrapping_mul(7919) % hot };
        let of = |column: &usize| -> ArrayRef {
            let value = |row: usize| if *column == 0 { key(row) as i64 } else { (row % 1000) as i64 };
            Arc::new(Int64Array::from_iter_values(rows.clone().map(value)))
        };
        let columns = self.columns.iter().map(of).collect();
        let batch = RecordBatch::try_new(self.schema.clone(), columns)
            .map_err(|e| ConnectorError::Other(e.to_string()))?;
        self.at = rows.end;
        let end = self.position();
        Ok(Read::Rows(Slice { batch, marks: None, stated: false, watermark: None, bad: vec![], end }))
    }

    fn position(&self) -> Position {
        Position { offset: self.at as u64, line: 0 }
    }
}

/// When each step's result came.
#[derive(Clone, Default)]
struct Times(Arc<Mutex<Vec<Instant>>>);

impl Sink for Times {
    fn write(&mut self, _: u64, _: &[Delta], _: i64) -> millstream::runtime::Result<()> {
        if let Ok(mut times) = self.0.lock() {
            times.push(Instant::now());
        }
        Ok(())
    }
}

fn flow() -> Result<Arc<SharedFlow>, Box<dyn Error>> {
    let column = |name: &str| Column { name: name.into(), data_type: DataType::Int64, nullable: true };
    let stream = StreamDef {
        name: "s".into(),
        columns: vec![column("k"), column("v")],
        event_time: None,
        connector: "topic".into(),
        options: Vec::new(),
        query: None,
        primary_key: None,
    };
    let mut definitions = Definitions::default();
    definitions.streams.insert("s".into(), Arc::new(stream));
    let planner = Planner::new();
    let statements = sql::parse(QUERY).map_err(|e| format!("{e:?}"))?;
    let Statement::Query(parsed) = &statements[0].statement else { return Err("not a query".into()) };
    let plan = planner.query(&definitions, QUERY, &parsed.query).map_err(|e| format!("{e:?}"))?;
    let plan = planner.optimize(plan).map_err(|e| format!("{e:?}"))?;
    Ok(Arc::new(SharedFlow::from(&planner.dataflow(&plan, EmitMode::Changes).map_err(|e| format!("{e:?}"))?)))
}

/// What a run has shown.
struct Shown {
    /// The times between the results of two steps, as the keys come and behind that.
    loading: Vec<Duration>,
    gaps: Vec<Duration>,
    /// From the first result to the last.
    steps: Duration,
    /// From the last result to the job's end.
    end: Duration,
    whole: Duration,
}

/// How state is kept.
#[derive(Clone, Copy)]
enum Kept {
    No,
    Every(Duration),
}

/// Runs the job over what there is.
fn run(flow: &Arc<SharedFlow>, dir: &Path, size: Size, kept: Kept) -> Result<Shown, Box<dyn Error>> {
    let times = Times::default();
    let spec = flow.sources.first().ok_or("no source")?;
    let (columns, schema) = (spec.columns.clone(), spec.schema.clone());
    let open = move |_, from: Position| -> Result<Box<dyn PartitionReader>, ConnectorError> {
        let (schema, columns) = (schema.clone(), columns.clone());
        Ok(Box::new(Reader { at: from.offset as usize, size, schema, columns }))
    };
    let job = Job {
        flow: flow.clone(),
        sources: vec![SourceSetup {
            name: "s".into(),
            partitions: 1,
            starts: Vec::new(),
            open: Box::new(open),
            is_topic: false,
            shape: FeedShape { keep: (0..spec.columns.len()).collect(), time: None, late_rule: None },
            idle_timeout: None,
            bad_topic: None,
            late_topic: None,
        }],
        parts: vec![JobPart {
            name: "bench".into(),
            sink: Box::new(times.clone()),
            fingerprint: "bench".into(),
            control: Arc::new(Control::default()),
            dir: None,
        }],
        options: JobOptions {
            workers: 2,
            step_rows: size.step_rows,
            idle_timeout: Duration::ZERO,
            state_ttl: None,
            checkpoint_interval: match kept {
                Kept::No => Duration::MAX,
                Kept::Every(every) => every,
            },
            until_caught_up: true,
        },
        store: match kept {
            Kept::No => None,
            Kept::Every(_) => Some(JobStore { disk: Disk::real(), dir: dir.into(), job: "bench".into() }),
        },
        log: None,
        clock: Clock::system(),
        spill: None,
    };
    let began = Instant::now();
    job.run_alone()?;
    let (whole, ended) = (began.elapsed(), Instant::now());
    let times = times.0.lock().map_err(|_| "a sink failed")?;
    let last = times.len().saturating_sub(size.steps);
    let gaps = |times: &[Instant]| times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let first_and_last = times.first().zip(times.last());
    let (steps, end) =
        first_and_last.map(|(first, last)| (*last - *first, ended - *last)).unwrap_or_default();
    Ok(Shown { loading: gaps(&times[..last]), gaps: gaps(&times[last..]), steps, end, whole })
}

/// The bytes of the checkpoint's tables.
fn state_bytes(dir: &Path) -> Result<u64, Box<dyn Error>> {
    let mut sum = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("state-") {
            sum += entry.metadata()?.len();
        }
    }
    Ok(sum)
}

fn numbers(name: &str, default: &[usize]) -> Vec<usize> {
    let asked = std::env::var(name).unwrap_or_default();
    let asked: Vec<usize> = asked.split_whitespace().filter_map(|text| text.parse().ok()).collect();
    if asked.is_empty() { default.to_vec() } else { asked }
}

fn main() -> Result<(), Box<dyn Error>> {
    let flow = flow()?;
    let one = |name: &str, default: usize| numbers(name, &[default])[0];
    let every = Duration::from_millis(one("EVERY_MS", 200) as u64);
    let (step_rows, hot, runs) = (one("STEP_ROWS", 8192), one("HOT", 20_000), one("RUNS", 3));
    println!(
        "steps of {step_rows} rows, then of {hot} keys; times between results in ms; best of {runs} runs"
    );
    println!(
        "    keys  checkpoints  while keys come      p50     p90     p99  longest  seconds  ratio    end  begun again  state MiB"
    );
    for keys in numbers("KEYS", &[100_000, 1_000_000, 8_000_000]) {
        let size = Size { keys, hot: hot.min(keys), step_rows, steps: one("STEPS", 400) };
        let ways = [
            ("none at all", Kept::No),
            ("journal", Kept::Every(Duration::MAX)),
            ("every", Kept::Every(every)),
        ];
        let mut shown: Vec<Vec<Shown>> = ways.iter().map(|_| Vec::new()).collect();
        let mut again = Vec::new();
        for _ in 0..runs {
            for ((_, kept), shown) in ways.iter().zip(&mut shown) {
                let dir = tempfile::tempdir()?;
                shown.push(run(&flow, dir.path(), size, *kept)?);
                if let Kept::Every(_) = kept {
                    again = vec![run(&flow, dir.path(), size, *kept)?.whole.as_secs_f64()];
                    again.push(state_bytes(dir.path())? as f64 / f64::from(1 << 20));
                }
            }
        }
        let seconds = |shown: &[Shown]| shown.iter().map(|s| s.steps).min().unwrap_or_default().as_secs_f64();
        let none = seconds(&shown[0]);
        for ((name, _), shown) in ways.iter().zip(shown) {
            let ms = |d: Duration| d.as_secs_f64() * 1e3;
            let mut gaps: Vec<Duration> = shown.iter().flat_map(|s| s.gaps.iter().copied()).collect();
            gaps.sort_unstable();
            let at = |part: f64| ms(gaps[((gaps.len() - 1) as f64 * part) as usize]);
            let loading = shown.iter().flat_map(|s| s.loading.iter().copied()).max().unwrap_or_default();
            let end = shown.iter().map(|s| s.end).min().unwrap_or_default().as_secs_f64();
            print!(
                "{keys:8}  {name:11}  {:15.2}  {:7.2} {:7.2} {:7.2} {:8.2} {:8.2} {:6.2} {end:6.2}",
                ms(loading),
                at(0.5),
                at(0.9),
                at(0.99),
                at(1.0),
                seconds(&shown),
                seconds(&shown) / none
            );
            match again.as_slice() {
                [seconds, state] if *name == "every" => println!("  {seconds:11.2} {state:10.1}"),
                _ => println!(),
            }
        }
    }
    Ok(())
}
