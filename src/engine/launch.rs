//! Which statements run as one job: those of one text that read the same streams, unless one of them needs another's
//! result.
//!
//! | statements | run |
//! |---|---|
//! | begun anew, that share a stream and do not depend on each other | together |
//! | that ran together before | together, from their checkpoint |
//! | some of those that ran together before | together, from a copy of what that checkpoint has of them |
//! | any other | each for itself |
//!
//! When one of a job's statements fails, the others go on together, as if it had been taken out of the text.

use super::failing::as_failure;
use super::jobs::{GROUP, JobHome, Jobs, drop_unused_groups, jobs_dir};
use super::memory;
use super::revive::Failed;
use super::{Engine, Result};
use crate::disk::{DiskLock, Open};
use crate::plan::{Dataflow, SharedFlow};
use crate::runtime::RuntimeError;
use crate::runtime::checkpoint::{JobStore, split};
use crate::runtime::control::Control;
use crate::runtime::job::{Job, JobOptions, JobPart, JobSummary, RunEnd, SourceSetup};
use crate::runtime::retry::Patience;
use crate::runtime::sink::Sink;
use std::collections::HashSet;
use std::sync::Arc;

/// Makes a statement's sink.
pub(super) type MakeSink = Box<dyn Fn() -> Result<Box<dyn Sink>> + Send>;
/// Opens the sources of a dataflow, writing as a producer.
pub(super) type MakeSources = Arc<dyn Fn(&SharedFlow, u128) -> Result<Vec<SourceSetup>> + Send + Sync>;

/// A statement that is to run.
pub(super) struct Pending {
    /// Its number among the session's jobs.
    pub(super) number: usize,
    pub(super) name: String,
    pub(super) reads: Vec<String>,
    pub(super) writes: String,
    pub(super) flow: Arc<Dataflow>,
    pub(super) sink: MakeSink,
    pub(super) fingerprint: String,
    pub(super) control: Arc<Control>,
    pub(super) options: JobOptions,
    pub(super) producer: u128,
    /// It is not to run together with others: what it has is in no checkpoint yet.
    pub(super) alone: bool,
    /// Its folder, if it lasts.
    pub(super) home: Option<JobHome>,
    /// What it has done in this process before it was begun again.
    pub(super) so_far: Option<JobSummary>,
}

/// Statements that run as one job.
#[derive(Default)]
struct Group {
    members: Vec<Pending>,
    /// Where their checkpoint is, if there is one.
    saved: Option<JobStore>,
}

/// What reads and writes what: all jobs of the session.
pub(super) type Edges = Vec<(Vec<String>, String)>;

/// Starts all of `pending`.
pub(super) fn launch(
    engine: &Engine,
    jobs: &Arc<Jobs>,
    pending: Vec<Pending>,
    sources: &MakeSources,
) -> Result<()> {
    for group in grouped(pending, &jobs.edges())? {
        match Launched::new(engine, group, sources, None) {
            Ok(launched) => jobs.start(launched)?,
            Err(failed) if failed.error.is_passing() => {
                let (jobs_of, engine, sources) = (jobs.clone(), engine.clone(), sources.clone());
                let begin = move || failed.group.begin(&engine, &jobs_of, &sources);
                let thread = std::thread::Builder::new().name("begin".into()).spawn(begin);
                jobs.keep(thread.map_err(super::EngineError::Start)?);
            }
            Err(failed) => return Err(failed.error),
        }
    }
    Ok(())
}

/// Statements that could not be made ready to run.
struct NotLaunched {
    group: Group,
    error: super::EngineError,
}

impl super::EngineError {
    /// Whether what failed may succeed when it is tried again.
    fn is_passing(&self) -> bool {
        match self {
            super::EngineError::Runtime(error) => error.is_passing(),
            super::EngineError::Log(crate::log::LogError::Disk(error)) => error.is_passing(),
            super::EngineError::Disk(error) => error.is_passing(),
            _ => false,
        }
    }
}

impl Group {
    /// Runs the job, once what it needs to begin can be had. What keeps it from that passes.
    fn begin(self, engine: &Engine, jobs: &Arc<Jobs>, sources: &MakeSources) {
        let numbers: Vec<usize> = self.members.iter().map(|m| m.number).collect();
        let controls: Vec<Arc<Control>> = self.members.iter().map(|m| m.control.clone()).collect();
        let patience = Patience::of(controls.clone());
        match Launched::new(engine, self, sources, Some(&patience)) {
            Ok(launched) => launched.run_on(jobs),
            Err(failed) => could_not_begin(jobs, numbers, &controls, &failed.error),
        }
    }
}

/// Takes note of why statements could not begin.
fn could_not_begin(jobs: &Jobs, numbers: Vec<usize>, controls: &[Arc<Control>], error: &super::EngineError) {
    let stopped = controls.iter().any(|c| c.stopping());
    let reason = error.to_string();
    for number in numbers {
        match stopped {
            true => jobs.fell(number),
            false => jobs.ended(number, Err(RuntimeError::Output(reason.clone()))),
        }
    }
}

/// A job that is ready to run.
pub(super) struct Launched {
    engine: Engine,
    sources: MakeSources,
    job: Job,
    /// Its statements; those that have ended are gone, with the locks on their folders.
    members: Vec<Option<Pending>>,
    /// The lock on the group's folder.
    lock: Option<DiskLock>,
}

impl Launched {
    /// Makes all that it needs; with `patience`, what fails for a reason that passes is tried again. Where it fails, the
    /// statements are given back.
    fn new(
        engine: &Engine,
        mut group: Group,
        sources: &MakeSources,
        patience: Option<&Patience>,
    ) -> Result<Self, Box<NotLaunched>> {
        match Launched::job(engine, &mut group, sources, patience) {
            Ok((job, lock)) => {
                let members = group.members.into_iter().map(Some).collect();
                Ok(Launched { engine: engine.clone(), sources: sources.clone(), job, members, lock })
            }
            Err(error) => Err(Box::new(NotLaunched { group, error })),
        }
    }

    fn job(
        engine: &Engine,
        group: &mut Group,
        sources: &MakeSources,
        patience: Option<&Patience>,
    ) -> Result<(Job, Option<DiskLock>)> {
        let (store, lock) = patiently(patience, || home_of(engine, group))?;
        let flows: Vec<&Dataflow> = group.members.iter().map(|m| m.flow.as_ref()).collect();
        let flow = Arc::new(SharedFlow::of(&flows));
        let part = |m: &Pending| {
            let (name, fingerprint, control) = (m.name.clone(), m.fingerprint.clone(), m.control.clone());
            let dir = m.home.as_ref().map(|home| home.store.dir.clone());
            Ok(JobPart { name, sink: (m.sink)()?, fingerprint, control, dir })
        };
        let parts = || group.members.iter().map(part).collect::<Result<Vec<_>>>();
        let parts = patiently(patience, parts)?;
        let Some(first) = group.members.first() else { return Err(RuntimeError::WorkerLost.into()) };
        let job = Job {
            sources: patiently(patience, || sources(&flow, first.producer))?,
            flow,
            parts,
            options: first.options.clone(),
            store,
            log: Some(engine.0.log.clone()),
            clock: engine.0.clock.clone(),
            spill: Some(patiently(patience, || memory::spill_to(engine))?),
        };
        Ok((job, lock))
    }

    /// Runs it, and what it becomes, to the end, on this thread.
    pub(super) fn run_on(self, jobs: &Arc<Jobs>) {
        let mut next = Some(self);
        while let Some(launched) = next.take() {
            next = launched.run(jobs);
        }
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.members.iter().flatten().map(|m| m.name.as_str()).collect()
    }

    /// A statement that runs for itself.
    pub(super) fn alone(engine: &Engine, member: Pending, sources: &MakeSources) -> Result<Self> {
        let saved = member.home.as_ref().map(JobHome::saved).transpose()?.flatten();
        Launched::new(engine, Group { members: vec![member], saved }, sources, None).map_err(|f| f.error)
    }

    /// Runs it to its end. If a statement fails, gives the job of the others; if it was told to begin again, that of all.
    pub(super) fn run(self, jobs: &Arc<Jobs>) -> Option<Self> {
        let Launched { engine, sources, job, mut members, lock } = self;
        let result = job.run(&mut |part, summary| {
            // The lock on its folder goes before anybody is told.
            let ended = members[part].take().map(|ended| (ended.number, ended.so_far));
            if let Some((number, so_far)) = ended {
                let summary = so_far.map_or(summary, |earlier| summary.after(&earlier));
                jobs.ended(number, Ok(summary));
            }
        });
        drop(lock);
        match result {
            Ok(RunEnd::Ended) => return None,
            Ok(RunEnd::Restart(run)) => {
                for (member, run) in members.iter_mut().zip(run) {
                    let Some(member) = member else { continue };
                    member.control.restarted();
                    member.so_far = Some(member.so_far.map_or(run, |earlier| run.after(&earlier)));
                }
            }
            Err((part, error)) => {
                if let Some(failed) = members[part].take() {
                    let (number, failed) = (failed.number, Failed::new(failed));
                    jobs.ended(number, Err(error));
                    failed.into_iter().for_each(|failed| failed.wait(&engine, jobs, &sources));
                }
            }
        }
        let rest: Vec<Pending> = members.into_iter().flatten().collect();
        // What has no checkpoint could only begin anew, and would write twice.
        let goes_on = rest.iter().all(|m| m.home.is_some() && !m.control.stopping());
        if rest.is_empty() || !goes_on {
            let numbers: Vec<usize> = rest.into_iter().map(|m| m.number).collect();
            numbers.into_iter().for_each(|number| jobs.fell(number));
            return None;
        }
        let numbers: Vec<usize> = rest.iter().map(|m| m.number).collect();
        let controls: Vec<Arc<Control>> = rest.iter().map(|m| m.control.clone()).collect();
        let patience = Patience::of(controls.clone());
        let saved = rest.first().and_then(|m| m.home.as_ref()).map(JobHome::saved).transpose();
        let again = saved.and_then(|saved| {
            let group = Group { members: rest, saved: saved.flatten() };
            Launched::new(&engine, group, &sources, Some(&patience)).map_err(|failed| failed.error)
        });
        match again {
            Ok(again) => Some(again),
            Err(error) => {
                could_not_begin(jobs, numbers, &controls, &error);
                None
            }
        }
    }
}

fn patiently<T>(patience: Option<&Patience>, mut act: impl FnMut() -> Result<T>) -> Result<T> {
    match patience {
        None => act(),
        Some(patience) => Ok(patience.until_done(|| act().map_err(as_failure))?),
    }
}

fn grouped(pending: Vec<Pending>, edges: &Edges) -> Result<Vec<Group>> {
    let mut groups: Vec<Group> = Vec::new();
    for member in pending {
        let saved = member.home.as_ref().map(JobHome::saved).transpose()?.flatten();
        let fits = |g: &&mut Group| match (&g.saved, &saved) {
            (Some(a), Some(b)) => a.dir == b.dir,
            (None, None) => g.members.iter().all(|m| go_together(m, &member, edges)) && shares(g, &member),
            _ => false,
        };
        match groups.iter_mut().find(fits) {
            Some(group) => group.members.push(member),
            None => groups.push(Group { members: vec![member], saved }),
        }
    }
    Ok(groups)
}

fn shares(group: &Group, member: &Pending) -> bool {
    group.members.iter().any(|m| m.reads.iter().any(|r| member.reads.contains(r)))
}

fn go_together(a: &Pending, b: &Pending, edges: &Edges) -> bool {
    let alike = !a.alone && !b.alone && a.options == b.options && a.home.is_some() == b.home.is_some();
    alike && !needs(a, &b.writes, edges) && !needs(b, &a.writes, edges)
}

/// Whether a statement reads, itself or through other jobs, what is written to `stream`.
fn needs(statement: &Pending, stream: &str, edges: &Edges) -> bool {
    let mut reached: HashSet<&str> = HashSet::from([stream]);
    loop {
        let more = edges
            .iter()
            .filter(|(reads, writes)| {
                !reached.contains(writes.as_str()) && reads.iter().any(|r| reached.contains(r.as_str()))
            })
            .map(|(_, writes)| writes.as_str())
            .collect::<Vec<_>>();
        if more.is_empty() {
            return statement.reads.iter().any(|r| reached.contains(r.as_str()));
        }
        reached.extend(more);
    }
}

/// The folder in which a group's checkpoints are kept, and the lock on it if it is not that of its only member.
fn home_of(engine: &Engine, group: &mut Group) -> Result<(Option<JobStore>, Option<DiskLock>)> {
    let names: Vec<String> = group.members.iter().map(|m| m.name.clone()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut homes: Vec<&mut JobHome> = group.members.iter_mut().filter_map(|m| m.home.as_mut()).collect();
    let [first, others @ ..] = homes.as_slice() else { return Ok((None, None)) };
    if let Some(saved) = &group.saved {
        let whole =
            saved.manifest()?.is_some_and(|m| m.parts.iter().all(|p| names.contains(&p.name.as_str())));
        if whole {
            return Ok((Some(saved.clone()), shared_lock(saved, &first.store)?));
        }
    }
    let store = if others.is_empty() {
        first.store.clone()
    } else {
        let dir = jobs_dir(engine).join(format!("{GROUP}{}", uuid::Uuid::new_v4()));
        JobStore { dir, ..first.store.clone() }
    };
    store.disk.create_dir_durably(&store.dir, 1)?;
    let lock = shared_lock(&store, &first.store)?;
    if let Some(saved) = &group.saved {
        // Nobody may go on from it while it is copied.
        let _held = shared_lock(saved, &first.store)?;
        split(saved, &names, &store)?;
    }
    for home in &mut homes {
        home.moves_to(&store)?;
    }
    drop_unused_groups(engine)?;
    Ok((Some(store), lock))
}

/// The lock on a group's folder. A single job's own folder is locked already.
fn shared_lock(store: &JobStore, own: &JobStore) -> Result<Option<DiskLock>> {
    if store.dir == own.dir {
        return Ok(None);
    }
    let file = Arc::new(store.disk.open(&store.dir.join("lock"), Open::Create)?);
    match file.try_lock()? {
        Some(lock) => Ok(Some(lock)),
        None => Err(super::EngineError::Busy { job: store.job.clone() }),
    }
}
