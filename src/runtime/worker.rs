//! A worker: one thread that owns one shard of every operator's state and runs the dataflow step by step.
//!
//! Nothing is locked: rows change workers only at exchanges, over channels. Within a step each batch that a node emits
//! runs through the nodes behind it before the next is made, up to an exchange or a result; so a join that makes many
//! rows of few does not hold them. The nodes end their step in topological order; an exchange then waits for all
//! workers' rows and takes them in the workers' order, so that a step's result does not depend on how the threads were
//! scheduled.

use super::RuntimeError;
#[cfg(debug_assertions)]
use super::audit::Audit;
use super::checkpoint::RestoredPart;
use super::journal::Moment;
use super::seen::{Moved, NodeSeen, RowCount};
use super::times::{Lifts, Reached};
use crate::delta::{Delta, EventTime, Part, WATERMARK_NONE, hash_columns, partition};
use crate::operators::aggregate::{Aggregate, SendOnce};
use crate::operators::expand::Expand;
use crate::operators::filter::Filter;
use crate::operators::in_time::InTime;
use crate::operators::join::Join;
use crate::operators::project::Project;
use crate::operators::session::SessionWindow;
use crate::operators::single_row::SingleRow;
use crate::operators::spill::{SpillTo, Spilling};
use crate::operators::threshold::Threshold;
use crate::operators::top_n::TopN;
use crate::operators::unnest::Unnest;
use crate::operators::upsert::Upsert;
use crate::operators::window::WindowAssign;
use crate::operators::{Emit, Operator, OperatorError, StateChange, StateTable, StepStart};
use crate::plan::{ExchangeSpec, SharedFlow, Spec};
use datafusion::physical_expr::PhysicalExpr;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// A node's state: its index, and what it has to save.
pub(super) type NodeState = (usize, StateChange);

/// What the coordinator tells a worker.
pub(super) enum Command {
    /// Run one step.
    Step(StepInput),
    /// Tell what the nodes show.
    Look,
    /// Send the whole state.
    Snapshot,
    /// Take some rows of a checkpoint's state.
    Restore(RestoredPart),
    /// All of it has been sent.
    EndRestore,
}

/// One worker's part of a step.
pub(super) struct StepInput {
    /// Rows for each source.
    pub(super) sources: Vec<Vec<Delta>>,
    /// How far time was before the step.
    pub(super) before: Reached,
    /// How far it is after the step.
    pub(super) after: Reached,
    /// When it runs, and what leaves by its age.
    pub(super) moment: Moment,
}

/// What a worker answers.
pub(super) enum Reply {
    /// A step's result.
    Step(StepOutput),
    /// What each node shows.
    Seen(Vec<NodeSeen>),
    /// The state: (node, tables).
    Snapshot(Vec<NodeState>),
    /// Rows of state have been taken.
    Restored,
}

/// A worker's part of a step's result.
pub(super) struct StepOutput {
    /// For each statement its deltas and its watermark.
    pub(super) results: Vec<(Vec<Delta>, EventTime)>,
}

/// A reply: whose, and which node failed, if one did.
pub(super) struct Answer {
    pub(super) worker: usize,
    pub(super) node: Option<usize>,
    pub(super) reply: Result<Reply, RuntimeError>,
}

/// Rows on their way from one worker to another in one step: who sends them, and the rows, or nothing when the
/// sender has failed and no more will come.
type Parcel = (usize, Option<Vec<Part>>);

/// One worker's end of an exchange.
struct Exchange {
    /// What its rows become first, if they do not stay as they are.
    once: Option<Box<SendOnce>>,
    keys: Vec<Arc<dyn PhysicalExpr>>,
    send: Vec<Sender<Parcel>>,
    receive: Receiver<Parcel>,
    /// Rows of this step that wait for its end.
    held: Vec<Delta>,
    moved: Moved,
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

impl Running {
    fn operator(&mut self) -> Option<&mut dyn Operator> {
        match self {
            Running::Operator(operator) => Some(operator.as_mut()),
            _ => None,
        }
    }

    fn moved(&self) -> Moved {
        match self {
            Running::Exchange(exchange) => exchange.moved,
            _ => Moved::default(),
        }
    }
}

/// Where a node's output goes.
struct Route {
    /// To which nodes, and there to which input.
    consumers: Vec<(usize, usize)>,
    /// Whose result it is.
    parts: Vec<usize>,
}

fn routes(flow: &SharedFlow) -> Vec<Route> {
    let route = |from: usize| {
        let inputs = flow.nodes.iter().enumerate().flat_map(|(to, node)| {
            let ports = node.inputs.iter().enumerate().filter(move |(_, input)| **input == from);
            ports.map(move |(port, _)| (to, port))
        });
        let parts = flow.parts.iter().enumerate().filter(|(_, p)| p.root() == from).map(|(i, _)| i);
        Route { consumers: inputs.collect(), parts: parts.collect() }
    };
    (0..flow.nodes.len()).map(route).collect()
}

/// One worker's dataflow.
pub(super) struct Worker {
    index: usize,
    flow: Arc<SharedFlow>,
    nodes: Vec<Running>,
    routes: Vec<Route>,
    lifts: Lifts,
    /// How many rows each node has taken and given.
    counts: Vec<RowCount>,
    /// The watermark that each node's output has reached.
    reached: Vec<EventTime>,
    /// The node that failed.
    failed: Cell<Option<usize>>,
    /// State that has come of nodes that take theirs all at once.
    restoring: BTreeMap<usize, Vec<StateTable>>,
    /// Looks whether checkpoints have all of the state.
    #[cfg(debug_assertions)]
    audit: Audit,
}

/// The nodes behind one, as it sends its rows to them.
struct Behind<'a> {
    routes: &'a [Route],
    /// The node that sends.
    from: usize,
    /// The nodes after it.
    nodes: &'a mut [Running],
    results: &'a mut [Vec<Delta>],
    counts: &'a [RowCount],
    failed: &'a Cell<Option<usize>>,
}

impl Emit for Behind<'_> {
    fn emit(&mut self, delta: Delta) -> Result<(), OperatorError> {
        if delta.is_empty() {
            return Ok(());
        }
        self.counts[self.from].gave(delta.num_rows());
        let route = &self.routes[self.from];
        for part in &route.parts {
            self.results[*part].push(delta.clone());
        }
        if let Some(((to, port), others)) = route.consumers.split_last() {
            for (to, port) in others {
                self.deliver(*to, *port, delta.clone())?;
            }
            self.deliver(*to, *port, delta)?;
        }
        Ok(())
    }
}

impl Behind<'_> {
    /// Sends rows on that have not been copied. A single operator behind copies what it needs of them; where several take them,
    /// or none does, they are copied here, once.
    fn emit_part(&mut self, part: Part) -> Result<(), OperatorError> {
        let route = &self.routes[self.from];
        let [(to, port)] = route.consumers[..] else { return self.emit(part.delta()?) };
        let (upto, _) = self.nodes.split_at_mut(to - self.from);
        if !route.parts.is_empty() || !matches!(upto.last(), Some(Running::Operator(_))) {
            return self.emit(part.delta()?);
        }
        self.counts[self.from].gave(part.num_rows());
        self.deliver(to, port, part)
    }

    fn deliver(&mut self, to: usize, port: usize, part: impl Into<Part>) -> Result<(), OperatorError> {
        let part = part.into();
        let (upto, nodes) = self.nodes.split_at_mut(to - self.from);
        let Some(node) = upto.last_mut() else { return Ok(()) };
        self.counts[to].took(part.num_rows());
        let (results, counts) = (&mut *self.results, self.counts);
        let mut behind =
            Behind { routes: self.routes, from: to, nodes, results, counts, failed: self.failed };
        match node {
            Running::Operator(operator) => operator
                .push_part(port, part, &mut behind)
                .inspect_err(|_| self.failed.set(self.failed.get().or(Some(to)))),
            Running::Exchange(exchange) => {
                let failed = |_: &OperatorError| self.failed.set(self.failed.get().or(Some(to)));
                match exchange.take(part.delta()?).inspect_err(failed)? {
                    Some(delta) => behind.emit(delta),
                    None => Ok(()),
                }
            }
            Running::Union | Running::Source(_) | Running::Values(_) => behind.emit(part.delta()?),
        }
    }
}

/// The workers of a dataflow, their exchanges joined. `fresh` = not restored from a checkpoint; `spill` = where state goes
/// that does not fit into memory.
pub(super) fn build(
    flow: &Arc<SharedFlow>,
    workers: usize,
    fresh: bool,
    spill: Option<&SpillTo>,
) -> Result<Vec<Worker>, OperatorError> {
    let mut joined: Vec<Vec<Option<Exchange>>> = (0..workers).map(|_| Vec::new()).collect();
    for node in &flow.nodes {
        let ends: Vec<Option<Exchange>> = match &node.spec {
            Spec::Exchange(spec) if !spec.there => join(spec, workers)?.into_iter().map(Some).collect(),
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
            .map(|(node, exchange)| running(&node.spec, exchange, index == 0, fresh, spill))
            .collect::<Result<_, _>>()?;
        Ok(Worker {
            index,
            flow: flow.clone(),
            nodes,
            routes: routes(flow),
            lifts: Lifts::of(flow),
            counts: vec![RowCount::default(); flow.nodes.len()],
            reached: vec![WATERMARK_NONE; flow.nodes.len()],
            failed: Cell::new(None),
            restoring: BTreeMap::new(),
            #[cfg(debug_assertions)]
            audit: Audit::default(),
        })
    };
    joined.into_iter().enumerate().map(build_one).collect()
}

fn join(spec: &ExchangeSpec, workers: usize) -> Result<Vec<Exchange>, OperatorError> {
    let (send, receive): (Vec<_>, Vec<_>) = (0..workers).map(|_| channel()).unzip();
    let join = |receive| {
        let once = match &spec.once {
            Some(aggregate) => Some(Box::new(SendOnce::new(aggregate.as_ref().clone())?)),
            None => None,
        };
        let (send, held, moved) = (send.clone(), Vec::new(), Moved::default());
        Ok(Exchange { once, keys: spec.hashed(), send, receive, held, moved })
    };
    receive.into_iter().map(join).collect()
}

fn running(
    spec: &Spec,
    exchange: Option<Exchange>,
    first: bool,
    fresh: bool,
    spill: Option<&SpillTo>,
) -> Result<Running, OperatorError> {
    let stateful = |operator: Box<dyn Operator>| {
        Running::Operator(match spill {
            Some(to) => Box::new(Spilling::new(operator, to)),
            None => operator,
        })
    };
    Ok(match (spec, exchange) {
        (_, Some(exchange)) => Running::Exchange(exchange),
        (Spec::Source(i), _) => Running::Source(*i),
        (Spec::Values(batch), _) => Running::Values((first && fresh).then(|| Delta::insert(batch.clone()))),
        (Spec::Union | Spec::Exchange(_), _) => Running::Union,
        (Spec::Filter(s), _) => Running::Operator(Box::new(Filter::new(s.clone()))),
        (Spec::Project(s), _) => Running::Operator(Box::new(Project::new(s.clone()))),
        (Spec::Window(s), _) => Running::Operator(Box::new(WindowAssign::new(s.clone()))),
        (Spec::InTime(s), _) => Running::Operator(Box::new(InTime::new(s.clone()))),
        (Spec::Threshold(s), _) => Running::Operator(Box::new(Threshold::new(s.clone())?)),
        (Spec::Session(s), _) => stateful(Box::new(SessionWindow::new(s.clone())?)),
        (Spec::Expand(s), _) => Running::Operator(Box::new(Expand::new(s.clone()))),
        (Spec::Unnest(s), _) => Running::Operator(Box::new(Unnest::new(s.clone()))),
        (Spec::Upsert(s), _) => stateful(Box::new(Upsert::new(s.clone())?)),
        (Spec::Aggregate(s), _) => stateful(Box::new(Aggregate::new(s.clone(), first)?)),
        (Spec::Join(s), _) => stateful(Box::new(Join::new(s.as_ref().clone())?)),
        (Spec::SingleRow, _) => Running::Operator(Box::new(SingleRow::default())),
        (Spec::TopN(s), _) => stateful(Box::new(TopN::new(s.clone())?)),
    })
}

impl Worker {
    /// Answers commands until the coordinator hangs up or something fails.
    pub(super) fn run(mut self, commands: Receiver<Command>, replies: Sender<Answer>) {
        for command in commands {
            let reply = match command {
                Command::Step(input) => self.step(input).map(Reply::Step),
                Command::Look => Ok(Reply::Seen(self.seen())),
                Command::Snapshot => self.snapshot().map(Reply::Snapshot),
                Command::Restore(part) => self.restore(part).map(|()| Reply::Restored),
                Command::EndRestore => self.end_restore().map(|()| Reply::Restored),
            };
            let failed = reply.is_err();
            let answer = Answer { worker: self.index, node: self.failed.get(), reply };
            if replies.send(answer).is_err() || failed {
                return;
            }
        }
    }

    fn step(&mut self, mut input: StepInput) -> Result<StepOutput, RuntimeError> {
        self.begin(&input.before, input.moment)?;
        let mut results: Vec<Vec<Delta>> = vec![Vec::new(); self.flow.parts.len()];
        let mut watermarks: Vec<EventTime> = Vec::with_capacity(self.nodes.len());
        for from in 0..self.nodes.len() {
            let inputs = self.flow.nodes[from].inputs.iter();
            let reached = |n: &usize| self.lifts.reached(from, *n, watermarks[*n], &input.after.parts);
            let least = inputs.map(reached).min().unwrap_or(WATERMARK_NONE);
            let (upto, nodes) = self.nodes.split_at_mut(from + 1);
            let Some(node) = upto.last_mut() else { continue };
            let (failed, counts) = (&self.failed, self.counts.as_slice());
            let mut behind =
                Behind { routes: &self.routes, from, nodes, results: &mut results, counts, failed };
            watermarks.push(match node {
                Running::Source(s) => {
                    for delta in std::mem::take(&mut input.sources[*s]) {
                        behind.emit(delta)?;
                    }
                    input.after.sources[*s]
                }
                // Constant rows are complete from the start.
                Running::Values(batch) => {
                    if let Some(delta) = batch.take() {
                        behind.emit(delta)?;
                    }
                    EventTime::MAX
                }
                Running::Union => least,
                Running::Exchange(exchange) => {
                    if exchange.send.len() > 1 {
                        for part in exchange.swap(self.index)? {
                            behind.emit_part(part)?;
                        }
                    }
                    least
                }
                Running::Operator(operator) => operator
                    .finish_step(least, &mut behind)
                    .inspect_err(|_| failed.set(failed.get().or(Some(from))))?,
            });
        }
        let reached = self.flow.parts.iter().map(|part| watermarks[part.root()]);
        let results = results.into_iter().zip(reached).collect();
        self.reached = watermarks;
        Ok(StepOutput { results })
    }

    /// Begins a step: tells each operator the watermark that its inputs had reached before, and the time.
    fn begin(&mut self, times: &Reached, moment: Moment) -> Result<(), OperatorError> {
        let Moment { now, keep_since } = moment;
        let mut closed: Vec<EventTime> = Vec::with_capacity(self.nodes.len());
        for (i, (running, node)) in self.nodes.iter_mut().zip(&self.flow.nodes).enumerate() {
            let reached = |n: &usize| self.lifts.reached(i, *n, closed[*n], &times.parts);
            let before = node.inputs.iter().map(reached).min().unwrap_or(WATERMARK_NONE);
            if let Running::Operator(operator) = running {
                let failed = |_: &OperatorError| self.failed.set(Some(i));
                operator.begin_step(StepStart { closed: before, now, keep_since }).inspect_err(failed)?;
            }
            closed.push(match &node.spec {
                Spec::Source(s) => times.sources[*s],
                Spec::Values(_) => EventTime::MAX,
                // Its output lags behind its input; what it sends is never behind a window of its own making.
                Spec::Aggregate(_) | Spec::Join(_) | Spec::Session(_) | Spec::TopN(_) => WATERMARK_NONE,
                _ => before,
            });
        }
        Ok(())
    }

    fn seen(&mut self) -> Vec<NodeSeen> {
        let nodes = self.nodes.iter_mut().zip(self.counts.iter().zip(&self.reached));
        let seen = |(running, (rows, reached)): (&mut Running, (&RowCount, &EventTime))| {
            let moved = running.moved();
            NodeSeen::of(running.operator(), rows, moved, *reached)
        };
        nodes.map(seen).collect()
    }

    fn snapshot(&mut self) -> Result<Vec<NodeState>, RuntimeError> {
        let mut state = Vec::new();
        for (i, running) in self.nodes.iter_mut().enumerate() {
            if let Running::Operator(operator) = running {
                let failed = |_: &OperatorError| self.failed.set(Some(i));
                let change = operator.snapshot_changes().inspect_err(failed)?;
                #[cfg(debug_assertions)]
                self.audit.saved(i, operator.as_mut(), &change);
                state.push((i, change));
            }
        }
        Ok(state)
    }

    fn restore(&mut self, (node, table): RestoredPart) -> Result<(), RuntimeError> {
        if let Some(operator) = self.nodes.get_mut(node).and_then(Running::operator)
            && operator.restores_in_parts()
        {
            let failed = |_: &OperatorError| self.failed.set(Some(node));
            return Ok(operator.restore(vec![table]).inspect_err(failed)?);
        }
        self.restoring.entry(node).or_default().push(table);
        Ok(())
    }

    fn end_restore(&mut self) -> Result<(), RuntimeError> {
        for (node, tables) in std::mem::take(&mut self.restoring) {
            if let Some(operator) = self.nodes.get_mut(node).and_then(Running::operator) {
                operator.restore(tables)?;
            }
        }
        #[cfg(debug_assertions)]
        for (i, running) in self.nodes.iter_mut().enumerate() {
            if let Some(operator) = running.operator() {
                self.audit.restored(i, operator);
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
    /// Takes rows: holds them until the step's end, or gives them back if there is only one worker.
    fn take(&mut self, delta: Delta) -> Result<Option<Delta>, OperatorError> {
        let several = self.send.len() > 1;
        let delta = match &mut self.once {
            Some(once) => once.pass(&delta, several)?,
            None => delta,
        };
        if !several {
            return Ok(Some(delta));
        }
        self.held.push(delta);
        Ok(None)
    }

    /// Sends this worker's rows to where their keys belong and takes what belongs here. The rows are not copied: who takes them
    /// copies what it keeps, which is less, and on its own core.
    fn swap(&mut self, me: usize) -> Result<Vec<Part>, RuntimeError> {
        let rows = std::mem::take(&mut self.held);
        let workers = self.send.len();
        let mut parcels: Vec<Vec<Part>> = vec![Vec::new(); workers];
        if self.keys.is_empty() {
            parcels[0] = rows.into_iter().map(Part::from).collect();
        } else {
            for delta in rows {
                spread(&delta, &self.keys, &mut parcels)?;
            }
        }
        for (number, (to, parcel)) in self.send.iter().zip(parcels).enumerate() {
            if number != me {
                parcel.iter().for_each(|part| self.moved.add(part));
            }
            // A worker that is gone has told the coordinator why.
            let _ = to.send((me, Some(parcel)));
        }
        let mut arrived: Vec<Option<Vec<Part>>> = (0..workers).map(|_| None).collect();
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
    parcels: &mut [Vec<Part>],
) -> Result<(), OperatorError> {
    let rows = delta.num_rows();
    let columns =
        keys.iter().map(|k| k.evaluate(&delta.batch)?.into_array(rows)).collect::<Result<Vec<_>, _>>()?;
    let parts = partition(&hash_columns(&columns, rows)?, parcels.len());
    for (parcel, part) in parcels.iter_mut().zip(Part::deal(delta, parts)) {
        if !part.is_empty() {
            parcel.push(part);
        }
    }
    Ok(())
}
