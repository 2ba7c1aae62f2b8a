//! The thread that tells others of a running job (`status.json`), and the job what others ask of it (`wanted.json`).
//!
//! The step loop notes what it is at in memory and goes on; all that touches files or topics is done here.

use super::checkpoint::JobStore;
use super::control::Control;
use super::job::Job;
use super::seen::{Checkpointed, Seen};
use super::status::{
    CheckpointStatus, Failure, JobStatus, OpenStatus, OperatorStatus, PartitionStatus, STATUS_VERSION,
    SourceStatus, State,
};
use super::wanted::Wanted;
use super::{Result, RuntimeError};
use crate::clock::Clock;
use crate::delta::{EventTime, WATERMARK_END, WATERMARK_NONE};
use crate::log::Log;
use crate::operators::aggregate::EmitMode;
use crate::plan::explain::operator_text;
use crate::plan::{SharedFlow, Spec};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often it is looked what others ask.
const LOOK: Duration = Duration::from_millis(200);
/// How often the status is told at most, unless the job's state changes.
pub(super) const TELL: Duration = Duration::from_secs(1);
/// Over how many tellings rates are taken.
const SAMPLES: usize = 5;

/// A statement of the job that others look at.
struct Watched {
    name: String,
    /// Its folder; without one it is looked at by whoever has its control.
    dir: Option<PathBuf>,
    control: Arc<Control>,
    /// Which of the job's sources and operators are its own.
    sources: Vec<usize>,
    nodes: Vec<usize>,
    /// What was asked of it before this run.
    before: Wanted,
}

/// What the step loop has noted.
struct Live {
    seen: Seen,
    /// Which statements have ended.
    over: Vec<bool>,
    /// There is something to be told at once.
    urgent: bool,
    /// Something has been noted that has not been told.
    news: bool,
    end: bool,
}

/// What has been told of a statement.
#[derive(Default)]
struct Told {
    status: JobStatus,
    /// When (monotonic), and the rows read and written then.
    samples: VecDeque<(Duration, u64, u64)>,
    /// How many checkpoints others have asked for, and how many the job must have made for that.
    asked: (u64, u64),
}

struct Shared {
    /// By statement; `None` = nobody looks at it.
    parts: Vec<Option<Watched>>,
    members: Vec<String>,
    /// What does not change: the sources and the operators.
    sources: Vec<SourceStatus>,
    operators: Vec<OperatorStatus>,
    started: i64,
    store: Option<JobStore>,
    log: Option<Log>,
    clock: Clock,
    live: Mutex<Live>,
    changed: Condvar,
    /// Held while a status is written.
    told: Mutex<Vec<Told>>,
}

/// Tells others of a running job, and the job what they ask.
pub(super) struct Monitor {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Monitor {
    /// Begins to watch the folders of a job's statements.
    pub(super) fn start(job: &Job) -> Result<Self> {
        let clock = job.clock.clone();
        let mut parts = Vec::with_capacity(job.parts.len());
        let mut told = Vec::with_capacity(job.parts.len());
        for (part, flow) in job.parts.iter().zip(&job.flow.parts) {
            let folder = part.dir.as_ref().zip(job.store.as_ref());
            let mut known = Told::default();
            parts.push((folder.is_some() || part.control.is_shown()).then(|| {
                let mut before = Wanted::default();
                if let Some((dir, store)) = folder {
                    known.status = JobStatus::read(&store.disk, dir).unwrap_or_default();
                    before = Wanted::read(&store.disk, dir);
                    known.asked.0 = before.checkpoint;
                    part.control.pause(before.paused);
                }
                let nodes = flow.reached.iter().copied().collect();
                let (name, control) = (part.name.clone(), part.control.clone());
                // A join of a stream with itself reads it once.
                let mut sources = flow.sources.clone();
                sources.sort_unstable();
                sources.dedup();
                let dir = folder.map(|(dir, _)| dir.clone());
                Watched { name, dir, control, sources, nodes, before }
            }));
            told.push(known);
        }
        let over = vec![false; parts.len()];
        let shared = Arc::new(Shared {
            members: job.parts.iter().map(|p| p.name.clone()).collect(),
            sources: sources(job),
            operators: operators(&job.flow),
            started: clock.now_ns(),
            store: job.store.clone(),
            log: job.log.clone(),
            clock,
            live: Mutex::new(Live { seen: Seen::default(), over, urgent: false, news: false, end: false }),
            changed: Condvar::new(),
            told: Mutex::new(told),
            parts,
        });
        let mut monitor = Monitor { shared, thread: None };
        if monitor.watches() {
            let shared = monitor.shared.clone();
            let thread = std::thread::Builder::new().name("monitor".into()).spawn(move || shared.run());
            monitor.thread = Some(thread.map_err(RuntimeError::Thread)?);
        }
        Ok(monitor)
    }

    /// Whether there is anybody to tell.
    pub(super) fn watches(&self) -> bool {
        self.shared.parts.iter().any(Option::is_some)
    }

    /// Takes note of how far the job is; with `urgent`, it is told at once.
    pub(super) fn note(&self, seen: Seen, urgent: bool) {
        let mut live = self.shared.live();
        live.seen = seen;
        live.news = true;
        live.urgent |= urgent;
        drop(live);
        if urgent {
            self.shared.changed.notify_all();
        }
    }

    /// Tells how a statement ended; nothing is told of it later. `None` = it has left the job for good.
    pub(super) fn over(&self, part: usize, state: Option<State>) {
        self.shared.over(part, state, None);
    }

    /// Tells that the statement `blamed` failed, and that the others have ended, which may then go on without it.
    pub(super) fn failed(&self, blamed: usize, error: &RuntimeError) {
        let failure = Failure {
            at: self.shared.clock.now_ns(),
            code: error.code().into(),
            message: error.to_string(),
            help: error.help().map(String::from),
        };
        let over = self.shared.live().over.clone();
        for part in (0..over.len()).filter(|part| !over[*part]) {
            match part == blamed {
                true => self.shared.over(part, Some(State::Failed), Some(failure.clone())),
                false => self.shared.over(part, Some(State::Stopped), None),
            }
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.shared.live().end = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A monitor that panicked has nothing to add.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn live(&self) -> MutexGuard<'_, Live> {
        // Every change is one assignment, so a panic elsewhere leaves it whole.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self) -> MutexGuard<'_, Vec<Told>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut last: Option<Duration> = None;
        loop {
            self.obey();
            let (urgent, news, end) = self.wait();
            if end {
                return;
            }
            let now = self.clock.monotonic();
            let due = if news { TELL / 2 } else { TELL };
            if urgent || last.is_none_or(|last| now.saturating_sub(last) >= due) {
                last = Some(now);
                self.live().news = false;
                let mut told = self.told();
                for (part, told) in told.iter_mut().enumerate() {
                    self.tell(part, told);
                }
            }
        }
    }

    /// Waits for the next look, or until there is something urgent to be told; whether there is, whether something was
    /// noted that has not been told, and whether to end.
    fn wait(&self) -> (bool, bool, bool) {
        let live = self.live();
        let idle = |live: &mut Live| !live.urgent && !live.end;
        let waited = self.changed.wait_timeout_while(live, LOOK, idle);
        let mut live = waited.unwrap_or_else(PoisonError::into_inner).0;
        (std::mem::take(&mut live.urgent), live.news, live.end)
    }

    /// Looks what others ask, and passes it on.
    fn obey(&self) {
        let Some(store) = &self.store else { return };
        let mut told = self.told();
        let over = self.live().over.clone();
        for (i, part) in self.parts.iter().enumerate().filter(|(i, _)| !over[*i]) {
            let Some((part, dir)) = part.as_ref().and_then(|p| Some((p, p.dir.as_ref()?))) else { continue };
            let wanted = Wanted::read(&store.disk, dir);
            part.control.pause(wanted.paused);
            if wanted.stop > part.before.stop {
                part.control.stop();
            }
            if wanted.restart > part.before.restart {
                part.control.restart();
            }
            if wanted.checkpoint > told[i].asked.0 {
                part.control.ask_checkpoint();
                let needed = self.parts.iter().flatten().map(|p| p.control.checkpoints_asked()).sum();
                told[i].asked = (wanted.checkpoint, needed);
            }
        }
    }

    /// Writes a statement's status if it has changed.
    fn tell(&self, part: usize, told: &mut Told) {
        let live = self.live();
        if live.over[part] {
            return;
        }
        let seen = live.seen.clone();
        drop(live);
        let Some(watched) = self.parts[part].as_ref() else { return };
        let reason = watched.control.waits_for();
        let state = match (&reason, seen.held) {
            (Some(_), _) => State::Waiting,
            (None, true) => State::Paused,
            (None, false) => State::Running,
        };
        let mut status = self.status(part, watched, &seen, told, state);
        status.reason = reason;
        if status != told.status {
            let changed = (status.state, status.pid, status.started)
                != (told.status.state, told.status.pid, told.status.started);
            watched.control.show(&status);
            if let Some((store, dir)) = self.store.as_ref().zip(watched.dir.as_ref()) {
                // Where even this cannot be written, there is nobody to tell.
                let _ = status.write(&store.disk, dir, changed);
            }
            told.status = status;
        }
    }

    fn over(&self, part: usize, state: Option<State>, failure: Option<Failure>) {
        let mut all = self.told();
        let mut live = self.live();
        live.over[part] = true;
        let seen = live.seen.clone();
        drop(live);
        let Some(state) = state else { return };
        let (Some(watched), Some(told)) = (self.parts[part].as_ref(), all.get_mut(part)) else { return };
        let mut status = self.status(part, watched, &seen, told, state);
        (status.rows_in_per_s, status.rows_out_per_s) = (0.0, 0.0);
        status.error = failure.or(status.error);
        watched.control.show(&status);
        if let Some((store, dir)) = self.store.as_ref().zip(watched.dir.as_ref()) {
            let _ = status.write(&store.disk, dir, true);
        }
        told.status = status;
    }

    fn status(
        &self,
        part: usize,
        watched: &Watched,
        seen: &Seen,
        told: &mut Told,
        state: State,
    ) -> JobStatus {
        let now = self.clock.monotonic();
        let (rows_in, rows_out) = (watched.control.rows_in(), watched.control.rows_out());
        told.samples.push_back((now, rows_in, rows_out));
        while told.samples.len() > SAMPLES + 1 {
            told.samples.pop_front();
        }
        let before = &told.status;
        let same = before.state == state && before.started == self.started;
        let (run, total) = seen.parts.get(part).copied().unwrap_or_default();
        let answered = if seen.answered >= told.asked.1 { told.asked.0 } else { before.checkpoints_answered };
        JobStatus {
            version: STATUS_VERSION,
            name: watched.name.clone(),
            members: self.members.clone(),
            pid: std::process::id(),
            state,
            since: if same { before.since } else { self.clock.now_ns() },
            reason: None,
            started: self.started,
            caught_up: watched.control.caught_up(),
            step: seen.step,
            steps: seen.steps,
            rows_in_per_s: rate(&told.samples, |s| s.1),
            rows_out_per_s: rate(&told.samples, |s| s.2),
            run,
            total,
            sources: watched.sources.iter().map(|s| self.source(*s, seen)).collect(),
            operators: watched.nodes.iter().map(|n| self.operator(*n, seen)).collect(),
            checkpoint: seen.checkpoint.map(|c| self.checkpoint(c, before.checkpoint.as_ref())),
            checkpoints_answered: answered,
            error: before.error.clone(),
        }
    }

    fn source(&self, number: usize, seen: &Seen) -> SourceStatus {
        let mut source = self.sources[number].clone();
        source.watermark = seen.watermarks.get(number).copied().and_then(told_time);
        source.ended = seen.watermarks.get(number) == Some(&WATERMARK_END);
        source.rows = seen.nodes.get(number).map_or(0, |node| node.rows_out);
        let topic =
            self.log.as_ref().filter(|_| source.is_topic).and_then(|log| log.topic(&source.name).ok());
        let ago = self.clock.monotonic();
        let now = self.clock.now_ns();
        for (partition, state) in seen.partitions.get(number).into_iter().flatten().enumerate() {
            let p = u32::try_from(partition).unwrap_or(u32::MAX);
            let span = topic.as_ref().and_then(|t| Some((t.start_offset(p).ok()?, t.end_offset(p).ok()?)));
            let position = state.position.offset;
            let watermark = told_time(state.running);
            let since = |last: Duration| {
                now.saturating_sub(i64::try_from(ago.saturating_sub(last).as_nanos()).unwrap_or(i64::MAX))
            };
            source.partitions.push(PartitionStatus {
                partition,
                position,
                end: span.map(|(_, end)| end),
                lag: span.map(|(start, end)| end.saturating_sub(position.max(start))),
                watermark,
                event_time: watermark.zip(source.delay).map(|(w, delay)| w.saturating_add(delay)),
                last_row: state.gave.then(|| since(state.last)),
                idle: state.idle,
                ended: state.ended || state.running == WATERMARK_END,
            });
        }
        source
    }

    fn operator(&self, number: usize, seen: &Seen) -> OperatorStatus {
        let operator = self.operators[number].clone();
        let Some(node) = seen.nodes.get(number) else { return operator };
        OperatorStatus {
            rows_in: node.rows_in,
            rows_out: node.rows_out,
            moved_rows: node.moved.rows,
            moved_bytes: node.moved.bytes,
            state_rows: node.metrics.state_rows,
            state_bytes: node.metrics.state_bytes,
            disk_bytes: node.metrics.disk_bytes,
            disk_failures: node.metrics.disk_failures,
            late: node.metrics.late,
            after_idle: node.metrics.after_idle,
            timeless: node.metrics.timeless,
            expired: node.metrics.expired,
            open: node.open.map(|o| OpenStatus { end: o.end, closes: o.closes, waits: o.waits }),
            watermark: told_time(node.reached),
            ..operator
        }
    }

    /// The last checkpoint; of one of an earlier run, what was told of it then.
    fn checkpoint(&self, written: Checkpointed, before: Option<&CheckpointStatus>) -> CheckpointStatus {
        let known = before.filter(|b| b.step == written.step && (written.at.is_none() || b.at == written.at));
        if let Some(known) = known {
            return known.clone();
        }
        let bytes = self.store.as_ref().map_or(0, JobStore::checkpoint_bytes);
        let took_ms = u64::try_from(written.took.as_millis()).unwrap_or(u64::MAX);
        CheckpointStatus { step: written.step, at: written.at, took_ms, bytes }
    }
}

/// A watermark that says something.
fn told_time(watermark: EventTime) -> Option<EventTime> {
    (watermark != WATERMARK_NONE && watermark != WATERMARK_END).then_some(watermark)
}

/// By how much a counter grew in a second over the samples.
fn rate(samples: &VecDeque<(Duration, u64, u64)>, counter: impl Fn(&(Duration, u64, u64)) -> u64) -> f64 {
    let (Some(first), Some(last)) = (samples.front(), samples.back()) else { return 0.0 };
    let seconds = last.0.saturating_sub(first.0).as_secs_f64();
    if seconds < 0.1 {
        return 0.0;
    }
    let rows = counter(last).saturating_sub(counter(first)) as f64;
    (rows / seconds * 10.0).round() / 10.0
}

fn sources(job: &Job) -> Vec<SourceStatus> {
    let pairs = job.sources.iter().zip(&job.flow.sources);
    let source = pairs.enumerate().map(|(number, (setup, spec))| SourceStatus {
        number,
        name: setup.name.clone(),
        is_topic: setup.is_topic,
        time_column: spec.stream.event_time.as_ref().map(|e| e.column.clone()),
        delay: spec.stream.event_time.as_ref().and_then(|e| e.delay),
        idle_timeout_ms: u64::try_from(setup.idle_after(&job.options).as_millis()).unwrap_or(u64::MAX),
        ..SourceStatus::default()
    });
    source.collect()
}

fn operators(flow: &SharedFlow) -> Vec<OperatorStatus> {
    let operator = |(number, node): (usize, &crate::plan::Node)| OperatorStatus {
        node: number,
        operator: operator_text(&flow.nodes, &flow.sources, number),
        inputs: node.inputs.clone(),
        source: match node.spec {
            Spec::Source(source) => Some(source),
            _ => None,
        },
        is_final: match &node.spec {
            Spec::Aggregate(spec) => spec.mode == EmitMode::Final,
            Spec::Session(spec) => spec.mode == EmitMode::Final,
            Spec::TopN(spec) => spec.mode == EmitMode::Final,
            Spec::Join(spec) => spec.hold,
            _ => false,
        },
        ..OperatorStatus::default()
    };
    flow.nodes.iter().enumerate().map(operator).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_taken_over_the_last_tellings() {
        let at = |tenths: u64, rows| (Duration::from_millis(tenths * 100), rows, 0);
        assert_eq!(rate(&[].into(), |s| s.1), 0.0);
        assert_eq!(rate(&[at(0, 5)].into(), |s| s.1), 0.0);
        assert_eq!(rate(&[at(0, 5), at(15, 35)].into(), |s| s.1), 20.0);
        assert_eq!(rate(&[at(0, 0), at(10, 1), at(30, 1)].into(), |s| s.1), 0.3);
        // A counter that began anew gives no negative rate.
        assert_eq!(rate(&[at(0, 9), at(10, 1)].into(), |s| s.1), 0.0);
    }
}
