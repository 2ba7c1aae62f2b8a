//! A job's thread: runs it, and begins it again when it is told to, also after it has failed while its process lives on.

use super::jobs::Jobs;
use super::launch::shared_lock;
use super::steering::lock_folder;
use super::{EngineError, Result};
use crate::clock::Clock;
use crate::disk::{Disk, DiskLock};
use crate::log::Log;
use crate::plan::SharedFlow;
use crate::runtime::RuntimeError;
use crate::runtime::checkpoint::JobStore;
use crate::runtime::control::Control;
use crate::runtime::job::{Job, JobFailure, JobOptions, JobPart, JobSummary, RunEnd, SourceSetup};
use crate::runtime::sink::Sink;
use crate::runtime::wanted::Wanted;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How often a job that has failed looks whether it is to begin again.
const LOOK: Duration = Duration::from_millis(200);

/// Makes a statement's sink.
pub(super) type MakeSink = Box<dyn Fn() -> Result<Box<dyn Sink>> + Send>;
/// Opens the sources of a dataflow, writing as a producer.
pub(super) type MakeSources = Arc<dyn Fn(&SharedFlow, u128) -> Result<Vec<SourceSetup>> + Send + Sync>;

/// A statement of a job, as often as it is run.
pub(super) struct PartPlan {
    /// Its number among the session's jobs.
    pub(super) number: usize,
    pub(super) name: String,
    pub(super) fingerprint: String,
    pub(super) control: Arc<Control>,
    pub(super) dir: Option<PathBuf>,
    pub(super) sink: MakeSink,
}

/// A job, as often as it is run.
pub(super) struct JobPlan {
    pub(super) flow: Arc<SharedFlow>,
    pub(super) parts: Vec<PartPlan>,
    pub(super) options: JobOptions,
    pub(super) producer: u128,
    pub(super) sources: MakeSources,
    pub(super) store: Option<JobStore>,
    pub(super) log: Log,
    pub(super) clock: Clock,
}

impl JobPlan {
    /// The job, ready to run.
    pub(super) fn job(&self) -> Result<Job> {
        let part = |p: &PartPlan| -> Result<JobPart> {
            Ok(JobPart {
                name: p.name.clone(),
                sink: (p.sink)()?,
                fingerprint: p.fingerprint.clone(),
                control: p.control.clone(),
                dir: p.dir.clone(),
            })
        };
        Ok(Job {
            sources: (self.sources)(&self.flow, self.producer)?,
            flow: self.flow.clone(),
            parts: self.parts.iter().map(part).collect::<Result<_>>()?,
            options: self.options.clone(),
            store: self.store.clone(),
            log: Some(self.log.clone()),
            clock: self.clock.clone(),
        })
    }

    /// What was asked of its statements, to begin again.
    fn restarts_asked(&self, disk: &Disk) -> Vec<u64> {
        let dirs = self.parts.iter().filter_map(|p| p.dir.as_ref());
        dirs.map(|dir| Wanted::read(disk, dir).restart).collect()
    }
}

/// A job and what its thread holds of it.
pub(super) struct JobThread {
    pub(super) jobs: Arc<Jobs>,
    pub(super) plan: JobPlan,
    /// The locks on the statements' folders: each is kept until its statement has ended.
    pub(super) held: Vec<Option<DiskLock>>,
    /// The lock on the group's folder.
    pub(super) lock: Option<DiskLock>,
    /// What earlier runs of this thread did, by statement, where they have not ended.
    pub(super) so_far: Vec<Option<JobSummary>>,
}

impl JobThread {
    /// Runs `job`, which is the plan's, and those that come after it.
    pub(super) fn run(mut self, job: Job) {
        let mut next = Ok(job);
        loop {
            let failure = match next {
                Ok(job) => match self.run_once(job) {
                    Ok(RunEnd::Ended) => return,
                    Ok(RunEnd::Restart(so_far)) => {
                        self.note(so_far);
                        self.plan.parts.iter().for_each(|p| p.control.restarted());
                        next = self.plan.job();
                        continue;
                    }
                    Err(failure) => failure,
                },
                Err(error) => (0, as_failure(error)),
            };
            next = match self.fail(failure) {
                Some(next) => next,
                None => return,
            };
        }
    }

    fn run_once(&mut self, job: Job) -> Result<RunEnd, JobFailure> {
        let JobThread { jobs, plan, held, so_far, .. } = self;
        job.run(&mut |part, summary| {
            held[part] = None;
            let earlier = so_far.get_mut(part).and_then(Option::take);
            let summary = earlier.map_or(summary, |earlier| summary.after(&earlier));
            jobs.ended(plan.parts[part].number, Ok(summary));
        })
    }

    /// Adds what a run did that is followed by another.
    fn note(&mut self, run: Vec<JobSummary>) {
        self.so_far.resize(run.len(), None);
        for (all, run) in self.so_far.iter_mut().zip(run) {
            *all = Some(all.map_or(run, |all| run.after(&all)));
        }
    }

    /// Takes note of a failure, and waits until it is told to begin again; `None` = the session ends.
    fn fail(&mut self, (part, error): JobFailure) -> Option<Result<Job>> {
        let disk = self.plan.store.as_ref().map(|store| store.disk.clone());
        let asked = disk.as_ref().map(|disk| self.plan.restarts_asked(disk));
        // Whoever fixes the reason may as well run it in another process.
        self.held.iter_mut().for_each(|lock| *lock = None);
        self.lock = None;
        let numbers: Vec<usize> = self.plan.parts.iter().map(|p| p.number).collect();
        self.jobs.failed(&numbers, numbers[part], error);
        let (disk, asked) = disk.zip(asked)?;
        while self.plan.restarts_asked(&disk).iter().zip(&asked).all(|(now, before)| now <= before) {
            if self.jobs.is_closing() {
                return None;
            }
            std::thread::sleep(LOOK);
        }
        Some(self.revive(&disk, &numbers))
    }

    /// The job anew, after it had failed.
    fn revive(&mut self, disk: &Disk, numbers: &[usize]) -> Result<Job> {
        for (part, lock) in self.plan.parts.iter().zip(&mut self.held) {
            let Some(dir) = &part.dir else { continue };
            let held = lock_folder(disk, dir)?;
            *lock = Some(held.ok_or_else(|| EngineError::Busy { job: part.name.clone() })?);
        }
        if let Some(store) = self
            .plan
            .store
            .as_ref()
            .filter(|s| self.plan.parts.iter().all(|p| p.dir.as_ref() != Some(&s.dir)))
        {
            self.lock = shared_lock(store)?;
        }
        self.plan.parts.iter().for_each(|p| p.control.begin_again());
        self.jobs.revived(numbers);
        self.plan.job()
    }
}

fn as_failure(error: EngineError) -> RuntimeError {
    match error {
        EngineError::Runtime(error) => error,
        error => RuntimeError::Output(error.to_string()),
    }
}
