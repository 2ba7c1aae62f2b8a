//! A worker: one thread that owns one shard of every operator's state and runs the dataflow step by step.
//!
//! Nothing is locked: rows change workers only at exchanges, over channels. Within a step the nodes run in
//! topological order; an exchange waits for all workers' rows and takes them in the workers' order, so that a
//! step's result does not depend on how the threads were scheduled.

use super::RuntimeError;
use super::journal::Moment;
use crate::delta::{Delta, EventTime, WATERMARK_NONE, hash_columns, partition};
use crate::operators::aggregate::Aggregate;
use crate::operators::expand::Expand;
use crate::operators::filter::Filter;
use crate::operators::in_time::InTime;
use crate::operators::join::Join;
use crate::operators::project::Project;
use crate::operators::session::SessionWindow;
use crate::operators::single_row::SingleRow;
use crate::operators::top_n::TopN;
use crate::operators::unnest::Unnest;
use crate::operators::upsert::Upsert;
use crate::operators::window::WindowAssign;
use crate::operators::{Operator, OperatorError, OperatorMetrics, StateTable, StepStart};
use crate::plan::{SharedFlow, Spec};
use datafusion::physical_expr::PhysicalExpr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// A node's state: its index and its tables.
pub(super) type NodeState = (usize, Vec<StateTable>);

/// What the coordinator tells a worker.
pub(super) enum Command {
    /// Run one step.
    Step(StepInput),
    /// Send the whole state.
    Snapshot,
    /// Take the state of a checkpoint: (node, tables).
    Restore(Vec<NodeState>),
}

/// One worker's part of a step.
pub(super) struct StepInput {
    /// Rows for each source.
    pub(super) sources: Vec<Vec<Delta>>,
    /// Each source's watermark before the step.
    pub(super) closed: Vec<EventTime>,
    /// Each source's watermark after the step.
    pub(super) watermarks: Vec<EventTime>,
    /// When it runs, and what leaves by its age.
    pub(super) moment: Moment,
}

/// What a worker answers.
pub(super) enum Reply {
    /// A step's result.
    Step(StepOutput),
    /// The state: (node, tables).
    Snapshot(Vec<NodeState>),
    /// A restore is done.
    Restored,
}

/// A worker's part of a step's result.
pub(super) struct StepOutput {
    /// For each statement its deltas and its watermark.
    pub(super) results: Vec<(Vec<Delta>, EventTime)>,
    /// For each node its counters so far.
    pub(super) metrics: Vec<OperatorMetrics>,
}

/// A reply: whose, and at which node it was last.
pub(super) struct Answer {
    pub(super) worker: usize,
    pub(super) node: usize,
    pub(super) reply: Result<Reply, RuntimeError>,
}

/// Rows on their way from one worker to another in one step: who sends them, and the rows, or nothing when the
/// sender has failed and no more will come.
type Parcel = (usize, Option<Vec<Delta>>);

/// One worker's end of an exchange.
struct Exchange {
    keys: Vec<Arc<dyn PhysicalExpr>>,
    send: Vec<Sender<Parcel>>,
    receive: Receiver<Parcel>,
}

/// A node as a worker runs it.
enum Running {
    Source(usize),
    /// Constant rows: the first worker sends them in the first step.
    Values(Option<Delta>),
    Union,
    Exchange(Exchange),
    Operator(Box<dyn Operator>),
}

/// One worker's dataflow.
pub(super) struct Worker {
    index: usize,
    flow: Arc<SharedFlow>,
    nodes: Vec<Running>,
    /// The node that it is at.
    at: usize,
}

/// The workers of a dataflow, their exchanges joined. `fresh` = not restored from a checkpoint.
pub(super) fn build(
    flow: &Arc<SharedFlow>,
    workers: usize,
    fresh: bool,
) -> Result<Vec<Worker>, OperatorError> {
    let mut joined: Vec<Vec<Option<Exchange>>> = (0..workers).map(|_| Vec::new()).collect();
    for node in &flow.nodes {
        let ends: Vec<Option<Exchange>> = match &node.spec {
            Spec::Exchange(keys) => join(keys, workers).into_iter().map(Some).collect(),
            _ => (0..workers).map(|_| None).collect(),
        };
        for (worker, end) in joined.iter_mut().zip(ends) {
            worker.push(end);
        }
    }
    let build_one = |(index, exchanges): (usize, Vec<Option<Exchange>>)| {
        let nodes = flow
            .nodes
            .iter()
            .zip(exchanges)
            .map(|(node, exchange)| running(&node.spec, exchange, index == 0, fresh))
            .collect::<Result<_, _>>()?;
        Ok(Worker { index, flow: flow.clone(), nodes, at: 0 })
    };
    joined.into_iter().enumerate().map(build_one).collect()
}

fn join(keys: &[Arc<dyn PhysicalExpr>], workers: usize) -> Vec<Exchange> {
    let (send, receive): (Vec<_>, Vec<_>) = (0..workers).map(|_| channel()).unzip();
    receive.into_iter().map(|receive| Exchange { keys: keys.to_vec(), send: send.clone(), receive }).collect()
}

fn running(
    spec: &Spec,
    exchange: Option<Exchange>,
    first: bool,
    fresh: bool,
) -> Result<Running, OperatorError> {
    Ok(match (spec, exchange) {
        (_, Some(exchange)) => Running::Exchange(exchange),
        (Spec::Source(i), _) => Running::Source(*i),
        (Spec::Values(batch), _) => Running::Values((first && fresh).then(|| Delta::insert(batch.clone()))),
        (Spec::Union | Spec::Exchange(_), _) => Running::Union,
        (Spec::Filter(s), _) => Running::Operator(Box::new(Filter::new(s.clone()))),
        (Spec::Project(s), _) => Running::Operator(Box::new(Project::new(s.clone()))),
        (Spec::Window(s), _) => Running::Operator(Box::new(WindowAssign::new(s.clone()))),
        (Spec::InTime(s), _) => Running::Operator(Box::new(InTime::new(s.clone()))),
        (Spec::Session(s), _) => Running::Operator(Box::new(SessionWindow::new(s.clone())?)),
        (Spec::Expand(s), _) => Running::Operator(Box::new(Expand::new(s.clone()))),
        (Spec::Unnest(s), _) => Running::Operator(Box::new(Unnest::new(s.clone()))),
        (Spec::Upsert(s), _) => Running::Operator(Box::new(Upsert::new(s.clone())?)),
        (Spec::Aggregate(s), _) => Running::Operator(Box::new(Aggregate::new(s.clone(), first)?)),
        (Spec::Join(s), _) => Running::Operator(Box::new(Join::new(s.as_ref().clone())?)),
        (Spec::SingleRow, _) => Running::Operator(Box::new(SingleRow::default())),
        (Spec::TopN(s), _) => Running::Operator(Box::new(TopN::new(s.clone())?)),
    })
}

impl Worker {
    /// Answers commands until the coordinator hangs up or something fails.
    pub(super) fn run(mut self, commands: Receiver<Command>, replies: Sender<Answer>) {
        for command in commands {
            let reply = match command {
                Command::Step(input) => self.step(input).map(Reply::Step),
                Command::Snapshot => self.snapshot().map(Reply::Snapshot),
                Command::Restore(state) => self.restore(state).map(|()| Reply::Restored),
            };
            let failed = reply.is_err();
            let answer = Answer { worker: self.index, node: self.at, reply };
            if replies.send(answer).is_err() || failed {
                return;
            }
        }
    }

    fn step(&mut self, mut input: StepInput) -> Result<StepOutput, RuntimeError> {
        let mut outputs: Vec<Vec<Delta>> = Vec::with_capacity(self.nodes.len());
        let mut watermarks: Vec<EventTime> = Vec::with_capacity(self.nodes.len());
        let mut closed: Vec<EventTime> = Vec::with_capacity(self.nodes.len());
        for (i, running) in self.nodes.iter_mut().enumerate() {
            self.at = i;
            let inputs = &self.flow.nodes[i].inputs;
            let least = inputs.iter().map(|n| watermarks[*n]).min().unwrap_or(WATERMARK_NONE);
            let before = inputs.iter().map(|n| closed[*n]).min().unwrap_or(WATERMARK_NONE);
            closed.push(match &self.flow.nodes[i].spec {
                Spec::Source(s) => input.closed[*s],
                Spec::Values(_) => EventTime::MAX,
                // Its output lags behind its input; what it sends is never behind a window of its own making.
                Spec::Aggregate(_) | Spec::Join(_) | Spec::Session(_) | Spec::TopN(_) => WATERMARK_NONE,
                _ => before,
            });
            let later = &self.flow.nodes[i + 1..];
            let mut rows: Vec<Vec<Delta>> = Vec::with_capacity(inputs.len());
            for n in inputs {
                let shared = later.iter().any(|node| node.inputs.contains(n)) || self.flow.is_root(*n);
                rows.push(if shared { outputs[*n].clone() } else { std::mem::take(&mut outputs[*n]) });
            }
            let mut out = Vec::new();
            let mut watermark = least;
            match running {
                Running::Source(s) => {
                    out = std::mem::take(&mut input.sources[*s]);
                    watermark = input.watermarks[*s];
                }
                // Constant rows are complete from the start.
                Running::Values(batch) => {
                    out.extend(batch.take().filter(|b| !b.is_empty()));
                    watermark = EventTime::MAX;
                }
                Running::Union => out = rows.into_iter().flatten().collect(),
                Running::Exchange(exchange) => {
                    out = exchange.swap(self.index, rows.pop().unwrap_or_default())?
                }
                Running::Operator(operator) => {
                    let Moment { now, keep_since } = input.moment;
                    operator.begin_step(StepStart { closed: before, now, keep_since });
                    for (port, deltas) in rows.into_iter().enumerate() {
                        for delta in deltas.into_iter().filter(|d| !d.is_empty()) {
                            operator.push(port, delta, &mut out)?;
                        }
                    }
                    watermark = operator.finish_step(least, &mut out)?;
                }
            }
            outputs.push(out);
            watermarks.push(watermark);
        }
        let roots = self.flow.parts.iter().map(|part| part.root());
        let results = roots.map(|root| (outputs[root].clone(), watermarks[root])).collect();
        Ok(StepOutput { results, metrics: self.metrics() })
    }

    fn metrics(&self) -> Vec<OperatorMetrics> {
        let of = |running: &Running| match running {
            Running::Operator(operator) => operator.metrics(),
            _ => OperatorMetrics::default(),
        };
        self.nodes.iter().map(of).collect()
    }

    fn snapshot(&mut self) -> Result<Vec<NodeState>, RuntimeError> {
        let mut state = Vec::new();
        for (i, running) in self.nodes.iter_mut().enumerate() {
            self.at = i;
            if let Running::Operator(operator) = running {
                let tables = operator.snapshot()?;
                if !tables.is_empty() {
                    state.push((i, tables));
                }
            }
        }
        Ok(state)
    }

    fn restore(&mut self, state: Vec<NodeState>) -> Result<(), RuntimeError> {
        for (i, tables) in state {
            if let Some(Running::Operator(operator)) = self.nodes.get_mut(i) {
                operator.restore(tables)?;
            }
        }
        Ok(())
    }
}

impl Drop for Worker {
    /// However this worker ends, the others must not wait for its rows.
    fn drop(&mut self) {
        for running in &self.nodes {
            if let Running::Exchange(exchange) = running {
                for to in &exchange.send {
                    let _ = to.send((self.index, None));
                }
            }
        }
    }
}

impl Exchange {
    /// Sends this worker's rows to where their keys belong and takes what belongs here.
    fn swap(&self, me: usize, rows: Vec<Delta>) -> Result<Vec<Delta>, RuntimeError> {
        let workers = self.send.len();
        if workers == 1 {
            return Ok(rows);
        }
        let mut parcels: Vec<Vec<Delta>> = vec![Vec::new(); workers];
        if self.keys.is_empty() {
            parcels[0] = rows;
        } else {
            for delta in rows {
                spread(&delta, &self.keys, &mut parcels)?;
            }
        }
        for (to, parcel) in self.send.iter().zip(parcels) {
            // A worker that is gone has told the coordinator why.
            let _ = to.send((me, Some(parcel)));
        }
        let mut arrived: Vec<Option<Vec<Delta>>> = (0..workers).map(|_| None).collect();
        for _ in 0..workers {
            let (from, parcel) = self.receive.recv().map_err(|_| RuntimeError::WorkerGone)?;
            arrived[from] = Some(parcel.ok_or(RuntimeError::WorkerGone)?);
        }
        Ok(arrived.into_iter().flatten().flatten().collect())
    }
}

fn spread(
    delta: &Delta,
    keys: &[Arc<dyn PhysicalExpr>],
    parcels: &mut [Vec<Delta>],
) -> Result<(), OperatorError> {
    let rows = delta.num_rows();
    let columns =
        keys.iter().map(|k| k.evaluate(&delta.batch)?.into_array(rows)).collect::<Result<Vec<_>, _>>()?;
    let parts = partition(&hash_columns(&columns, rows)?, parcels.len());
    for (parcel, indices) in parcels.iter_mut().zip(parts) {
        if !indices.is_empty() {
            parcel.push(delta.take(&indices)?);
        }
    }
    Ok(())
}
