//! Which statements run as one job: those of one text that read the same streams, unless one of them needs another's
//! result.
//!
//! | statements | run |
//! |---|---|
//! | begun anew, that share a stream and do not depend on each other | together |
//! | that ran together before | together, from their checkpoint |
//! | some of those that ran together before | together, from a copy of what that checkpoint has of them |
//! | any other | each for itself |

use super::jobs::{GROUP, JobHome, Jobs, drop_unused_groups, jobs_dir};
use super::rerun::{JobPlan, MakeSink, MakeSources, PartPlan};
use super::{Engine, Result};
use crate::disk::{DiskLock, Open};
use crate::plan::{Dataflow, SharedFlow};
use crate::runtime::checkpoint::{JobStore, split};
use crate::runtime::control::Control;
use crate::runtime::job::JobOptions;
use std::collections::HashSet;
use std::sync::Arc;

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
    /// Its folder, if it lasts.
    pub(super) home: Option<JobHome>,
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
        let (store, lock) = home_of(engine, &group)?;
        let flows: Vec<&Dataflow> = group.members.iter().map(|m| m.flow.as_ref()).collect();
        let flow = Arc::new(SharedFlow::of(&flows));
        let Some(first) = group.members.first() else { continue };
        let (options, producer) = (first.options.clone(), first.producer);
        let (mut parts, mut held) = (Vec::new(), Vec::new());
        for member in group.members {
            let Pending { number, name, sink, fingerprint, control, home, .. } = member;
            let dir = home.as_ref().map(|h| h.store.dir.clone());
            held.push(home.map(|h| h.lock));
            parts.push(PartPlan { number, name, fingerprint, control, dir, sink });
        }
        let (sources, log, clock) = (sources.clone(), engine.0.log.clone(), engine.0.clock.clone());
        jobs.start(JobPlan { flow, parts, options, producer, sources, store, log, clock }, held, lock)?;
    }
    Ok(())
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
    let alike = a.options == b.options && a.home.is_some() == b.home.is_some();
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
fn home_of(engine: &Engine, group: &Group) -> Result<(Option<JobStore>, Option<DiskLock>)> {
    let homes: Vec<&JobHome> = group.members.iter().filter_map(|m| m.home.as_ref()).collect();
    let [first, others @ ..] = homes.as_slice() else { return Ok((None, None)) };
    let names: Vec<&str> = group.members.iter().map(|m| m.name.as_str()).collect();
    if let Some(saved) = &group.saved {
        let whole =
            saved.manifest()?.is_some_and(|m| m.parts.iter().all(|p| names.contains(&p.name.as_str())));
        if whole {
            return Ok((Some(saved.clone()), group_lock(saved, &first.store)?));
        }
    }
    let store = if others.is_empty() {
        first.store.clone()
    } else {
        let dir = jobs_dir(engine).join(format!("{GROUP}{}", uuid::Uuid::new_v4()));
        JobStore { dir, ..first.store.clone() }
    };
    store.disk.create_dir_all(&store.dir)?;
    let lock = group_lock(&store, &first.store)?;
    if let Some(saved) = &group.saved {
        // Nobody may go on from it while it is copied.
        let _held = group_lock(saved, &first.store)?;
        split(saved, &names, &store)?;
    }
    for home in &homes {
        home.moves_to(&store)?;
    }
    drop_unused_groups(engine)?;
    Ok((Some(store), lock))
}

/// The lock on a group's folder. A single job's own folder is locked already.
fn group_lock(store: &JobStore, own: &JobStore) -> Result<Option<DiskLock>> {
    if store.dir == own.dir { Ok(None) } else { shared_lock(store) }
}

/// The lock on a group's folder.
pub(super) fn shared_lock(store: &JobStore) -> Result<Option<DiskLock>> {
    let file = Arc::new(store.disk.open(&store.dir.join("lock"), Open::Create)?);
    match file.try_lock()? {
        Some(lock) => Ok(Some(lock)),
        None => Err(super::EngineError::Busy { job: store.job.clone() }),
    }
}
