//! Runs a dataflow over given partitions: cut at random, on some workers, in steps of some size, and, if wished,
//! stopped or crashed in the middle and taken up again by others.

use super::data::{Partitions, STREAMS, Shape};
use super::draw::Draw;
use super::rows::Answer;
use arrow::array::RecordBatch;
use millstream::clock::Clock;
use millstream::connectors::{ConnectorError, PartitionReader, Position, Read, Slice};
use millstream::delta::Delta;
use millstream::disk::Disk;
use millstream::operators::spill::SpillTo;
use millstream::plan::{Dataflow, SharedFlow};
use millstream::runtime::checkpoint::JobStore;
use millstream::runtime::control::Control;
use millstream::runtime::feed::FeedShape;
use millstream::runtime::job::{Job, JobOptions, JobPart, SourceSetup};
use millstream::runtime::sink::Sink;
use millstream::state::budget::MemoryBudget;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How the input is served.
#[derive(Debug, Clone)]
pub(super) struct Cuts {
    seed: u64,
    /// The most rows of a slice.
    most: usize,
    /// In how many of a hundred places there is nothing for a while.
    pending: usize,
}

/// One run of the job.
#[derive(Debug, Clone)]
pub(super) struct Phase {
    workers: usize,
    step_rows: usize,
    /// After how many rows it is stopped, or crashes.
    ends: Option<(i64, bool)>,
}

/// How a case is run.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    cuts: Cuts,
    phases: Vec<Phase>,
    every_step: bool,
    /// Bytes of memory for state; `None` = all of it stays there.
    memory: Option<u64>,
}

impl Plan {
    pub(super) fn draw(d: &mut Draw, rows: usize) -> Self {
        let cuts = Cuts {
            seed: d.bits(),
            most: d.one(&[1, 3, 10, 1000, 100_000]),
            pending: if d.chance(15) { 5 } else { 0 },
        };
        let interrupted = d.chance(25);
        let count = if interrupted { 2 + d.below(2) } else { 1 };
        let phases: Vec<Phase> = (0..count)
            .map(|i| Phase {
                workers: 1 + d.below(4),
                step_rows: d.one(&[1, 7, 2 + i, 40, 65_536]).max(rows / 150),
                ends: (i + 1 < count).then(|| (d.range(0, rows as i64), d.chance(50))),
            })
            .collect();
        let every_step = phases.iter().all(|p| rows / p.step_rows < 12) && d.chance(50);
        let memory = d.one(&[None, Some(0), Some(0), Some(20_000)]);
        Plan { cuts, phases, every_step, memory }
    }
}

/// A partition in memory.
struct Reader {
    rows: RecordBatch,
    at: usize,
    partition: u64,
    cuts: Cuts,
    waited: Option<usize>,
    /// Rows until the end of the phase.
    left: Option<(Arc<AtomicI64>, bool, Arc<Control>)>,
}

impl Reader {
    fn slice(&mut self, max_rows: usize) -> Read {
        let left = self.rows.num_rows() - self.at;
        if left == 0 {
            return Read::End;
        }
        let cut = 1 + Draw::new(self.cuts.seed ^ self.partition << 32 ^ self.at as u64).below(self.cuts.most);
        let rows = cut.min(max_rows).min(left);
        let batch = self.rows.slice(self.at, rows);
        self.at += rows;
        let end = self.position();
        Read::Rows(Slice { batch, marks: None, stated: false, watermark: None, bad: vec![], end })
    }
}

impl PartitionReader for Reader {
    fn read(&mut self, max_rows: usize) -> Result<Read, ConnectorError> {
        let mut d = Draw::new(self.cuts.seed ^ 0xabc ^ (self.at as u64) << 8 ^ self.partition);
        if self.waited != Some(self.at) && d.chance(self.cuts.pending) {
            self.waited = Some(self.at);
            return Ok(Read::Pending);
        }
        if let Some((left, crash, control)) = &self.left {
            let ended = left.load(Ordering::SeqCst) <= 0;
            if ended && *crash {
                return Err(ConnectorError::Other("crash".into()));
            }
            if ended {
                control.stop();
            }
        }
        let read = self.slice(max_rows);
        if let (Some((left, ..)), Read::Rows(slice)) = (&self.left, &read) {
            left.fetch_sub(slice.batch.num_rows() as i64, Ordering::SeqCst);
        }
        Ok(read)
    }

    fn read_until(&mut self, end: Position, max_rows: usize) -> Result<Read, ConnectorError> {
        Ok(self.slice(max_rows.min(end.offset as usize - self.at)))
    }

    fn position(&self) -> Position {
        Position { offset: self.at as u64, line: 0 }
    }
}

/// The steps that have come, each once.
#[derive(Clone, Default)]
struct Taken(Arc<Mutex<BTreeMap<u64, Vec<Delta>>>>);

impl Sink for Taken {
    fn write(&mut self, step: u64, deltas: &[Delta], _: i64) -> millstream::runtime::Result<()> {
        self.0.lock().unwrap().entry(step).or_insert_with(|| deltas.to_vec());
        Ok(())
    }
}

/// The sums of what `flows` give over `data` when they are run as one job by `plan`.
pub(super) fn run(
    flows: &[&Arc<Dataflow>],
    shape: &Shape,
    data: &[Partitions; 2],
    plan: &Plan,
) -> Result<Vec<Answer>, String> {
    let taken: Vec<Taken> = flows.iter().map(|_| Taken::default()).collect();
    let dir = (plan.phases.len() > 1).then(|| tempfile::tempdir().unwrap());
    let store =
        dir.as_ref().map(|d| JobStore { disk: Disk::real(), dir: d.path().into(), job: "oracle".into() });
    let shared = Arc::new(SharedFlow::of(&flows.iter().map(|f| f.as_ref()).collect::<Vec<_>>()));
    for phase in &plan.phases {
        let control = Arc::new(Control::default());
        let left = phase.ends.map(|(rows, crash)| (Arc::new(AtomicI64::new(rows)), crash, control.clone()));
        let sources = shared.sources.iter().map(|spec| {
            let stream = STREAMS.iter().position(|n| *n == spec.stream.name).unwrap();
            let (parts, cuts, left) = (data[stream].clone(), plan.cuts.clone(), left.clone());
            let open = move |p: usize, from: Position| -> Result<Box<dyn PartitionReader>, ConnectorError> {
                Ok(Box::new(Reader {
                    rows: parts[p].clone(),
                    at: from.offset as usize,
                    partition: p as u64,
                    cuts: cuts.clone(),
                    waited: None,
                    left: left.clone(),
                }))
            };
            let time = (!shape.is_table(stream)).then_some((1, Some(shape.delays[stream])));
            SourceSetup {
                name: spec.stream.name.clone(),
                partitions: data[stream].len(),
                starts: Vec::new(),
                open: Box::new(open),
                is_topic: false,
                shape: FeedShape { keep: spec.columns.clone(), time, late_rule: None },
                idle_timeout: None,
                bad_topic: None,
                late_topic: None,
            }
        });
        let parts = taken.iter().enumerate().map(|(i, taken)| JobPart {
            name: format!("oracle {i}"),
            sink: Box::new(taken.clone()),
            fingerprint: "oracle".into(),
            control: control.clone(),
            dir: None,
        });
        let job = Job {
            flow: shared.clone(),
            sources: sources.collect(),
            parts: parts.collect(),
            options: JobOptions {
                workers: phase.workers,
                step_rows: phase.step_rows,
                idle_timeout: Duration::ZERO,
                state_ttl: None,
                checkpoint_interval: if plan.every_step { Duration::ZERO } else { Duration::MAX },
                until_caught_up: false,
            },
            store: store.clone(),
            log: None,
            clock: Clock::manual(0),
            spill: plan.memory.map(|bytes| SpillTo {
                budget: MemoryBudget::new(bytes),
                disk: Disk::real(),
                dir: std::env::temp_dir(),
            }),
        };
        let mut finished = 0;
        let ended = job.run(&mut |_, summary| finished += usize::from(summary.finished));
        match ended.map_err(|(_, error)| error) {
            Ok(_) if finished == flows.len() => break,
            Ok(_) if phase.ends.is_some() => {}
            Err(error) if phase.ends.is_some_and(|(_, crash)| crash) && error.to_string() == "crash" => {}
            Ok(_) => return Err("the job ended before its input".into()),
            Err(error) => return Err(error.to_string()),
        }
    }
    let answer = |(flow, taken): (&&Arc<Dataflow>, &Taken)| {
        let steps = taken.0.lock().unwrap();
        let root = flow.root();
        if root.append_only && steps.values().flatten().any(|d| d.weights.is_some()) {
            return Err("a row was taken back from a result that only grows".into());
        }
        Answer::fold(&root.schema, steps.values().flatten())
    };
    flows.iter().zip(&taken).map(answer).collect()
}
