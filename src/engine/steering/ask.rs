//! What a job is told from outside, and how it answers.

use super::{Condition, JobDescription, lock_folder};
use crate::disk::DiskLock;
use crate::engine::jobs::{drop_unused_groups, job_home, jobs_dir};
use crate::engine::{Engine, EngineError, Result};
use crate::runtime::status::State;
use crate::runtime::wanted::Wanted;
use crate::sql::Code;
use crate::sql::{Diagnostic, JobVerb};
use std::time::Duration;

/// How long an answer is waited for.
const ANSWER: Duration = Duration::from_secs(5);
/// How long it is waited whether a job that has failed has a process that can begin it again.
const ALIVE: Duration = Duration::from_secs(2);
/// How often it is looked for one.
const LOOK: Duration = Duration::from_millis(25);
/// What a job can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobAction {
    /// Make no steps, until told otherwise.
    Pause,
    /// Make steps again.
    Resume,
    /// End, with a checkpoint.
    Stop,
    /// End, with a checkpoint, and begin again from it.
    Restart,
    /// Write a checkpoint now.
    Checkpoint,
    /// Forget the state, so that the next run begins anew.
    Reset,
    /// Forget the job; what it has written stays.
    Drop,
}

impl From<JobVerb> for JobAction {
    fn from(verb: JobVerb) -> Self {
        match verb {
            JobVerb::Pause => JobAction::Pause,
            JobVerb::Resume => JobAction::Resume,
            JobVerb::Stop => JobAction::Stop,
            JobVerb::Restart => JobAction::Restart,
            JobVerb::Checkpoint => JobAction::Checkpoint,
        }
    }
}

/// How a job answered.
#[derive(Debug, Clone)]
pub struct JobAnswer {
    /// What it is now; of one that was dropped, what it was.
    pub job: JobDescription,
    /// In words.
    pub said: String,
}

impl Engine {
    /// Tells a job something, and waits until it has done it. Errors: there is no such job; it cannot do it as it is; it
    /// does not answer.
    pub fn ask_job(&self, name: &str, action: JobAction) -> Result<JobAnswer> {
        let job = self.describe_job(name)?;
        match action {
            JobAction::Pause => self.pause(job),
            JobAction::Resume => self.resume(job),
            JobAction::Stop => self.stop(job),
            JobAction::Restart => self.restart(job),
            JobAction::Checkpoint => self.checkpoint(job),
            JobAction::Reset => self.reset(job),
            JobAction::Drop => self.drop_job(job),
        }
    }

    fn pause(&self, job: JobDescription) -> Result<JobAnswer> {
        if job.is == Condition::Finished {
            return Err(Diagnostic::coded(
                Code::Job,
                format!("job {} has finished: it makes no steps any more", job.name),
            )
            .into());
        }
        self.want(&job, true, |wanted| wanted.paused = true)?;
        if !job.runs() {
            let said = format!("job {} does not run; it will be paused when it is run again", job.name);
            return self.told(&job.name, said);
        }
        let job = self.answered(&job.name, |j| j.is == Condition::Paused || !j.runs())?;
        let step = job.status.as_ref().map_or(0, |s| s.step);
        let said = match job.runs() {
            true => format!("job {} is paused after step {step}{}", job.name, with_others(&job)),
            false => format!("job {} has just ended; it will be paused when it is run again", job.name),
        };
        Ok(JobAnswer { job, said })
    }

    fn resume(&self, job: JobDescription) -> Result<JobAnswer> {
        self.want(&job, true, |wanted| wanted.paused = false)?;
        if !job.runs() {
            let said = format!(
                "job {} is not paused any more; it goes on when it is run again: {}",
                job.name,
                job.again()
            );
            return self.told(&job.name, said);
        }
        let job = self.answered(&job.name, |j| j.is != Condition::Paused)?;
        let said = format!("job {} goes on{}", job.name, with_others(&job));
        Ok(JobAnswer { job, said })
    }

    fn stop(&self, job: JobDescription) -> Result<JobAnswer> {
        if !job.runs() {
            let said = format!("job {} does not run: it is {}", job.name, job.is.word());
            return Ok(JobAnswer { job, said });
        }
        self.want(&job, false, |wanted| wanted.stop += 1)?;
        let others = with_others(&job);
        let job = self.answered(&job.name, |j| !j.runs())?;
        let step = job.status.as_ref().map_or(0, |s| s.step);
        let said = match job.is {
            Condition::Failed => return Err(failed_instead(&job)),
            _ => format!(
                "job {} is {} after step {step}{others}; it is run again by {}",
                job.name,
                job.is.word(),
                job.again()
            ),
        };
        Ok(JobAnswer { job, said })
    }

    fn restart(&self, job: JobDescription) -> Result<JobAnswer> {
        if !job.runs() && job.is != Condition::Failed {
            let d = Diagnostic::coded(
                Code::Job,
                format!("job {} does not run, it is {}", job.name, job.is.word()),
            );
            return Err(d.help(format!("run it again by {}", job.again())).into());
        }
        let before = job.status.as_ref().map_or(0, |s| s.started);
        self.want(&job, false, |wanted| wanted.restart += 1)?;
        let begun = |j: &JobDescription| j.status.as_ref().is_some_and(|s| s.started != before);
        let job = match job.runs() {
            true => self.answered(&job.name, |j| begun(j) || !j.runs())?,
            // Its process may live on with other jobs.
            false => self.awaited(&job.name, ALIVE, begun)?,
        };
        // It may have come to its end already.
        if !begun(&job) || job.is == Condition::Failed {
            return Err(failed_instead(&job));
        }
        let step = job.status.as_ref().and_then(|s| s.checkpoint.as_ref()).map_or(0, |c| c.step);
        let others = with_others(&job);
        let said = format!("job {} has begun again from its checkpoint of step {step}{others}", job.name);
        Ok(JobAnswer { job, said })
    }

    fn checkpoint(&self, job: JobDescription) -> Result<JobAnswer> {
        let last =
            |j: &JobDescription| j.status.as_ref().and_then(|s| s.checkpoint.clone()).unwrap_or_default();
        if !job.runs() {
            let d = Diagnostic::coded(
                Code::Job,
                format!("job {} does not run, it is {}", job.name, job.is.word()),
            );
            let step = last(&job).step;
            return Err(d.help(format!("its last checkpoint, of step {step}, has all that it did")).into());
        }
        let wanted = self.want(&job, false, |wanted| wanted.checkpoint += 1)?.checkpoint;
        let made = |j: &JobDescription| j.status.as_ref().is_some_and(|s| s.checkpoints_answered >= wanted);
        let job = self.answered(&job.name, |j| made(j) || !j.runs())?;
        if job.is == Condition::Failed {
            return Err(failed_instead(&job));
        }
        let said = format!("job {} has a checkpoint of step {}", job.name, last(&job).step);
        Ok(JobAnswer { job, said })
    }

    fn reset(&self, job: JobDescription) -> Result<JobAnswer> {
        let mut home = job_home(self, &job.name, &job.sink).map_err(|error| match error {
            EngineError::Busy { .. } => runs(&job),
            other => other,
        })?;
        home.reset()?;
        self.0.log.unpin(&folder_name(&job))?;
        drop_unused_groups(self)?;
        let said = format!(
            "job {} has no state any more and begins anew when it is run again; what it has written into {} stays",
            job.name, job.sink
        );
        Ok(JobAnswer { job, said })
    }

    fn drop_job(&self, job: JobDescription) -> Result<JobAnswer> {
        let _held = self.at_rest(&job)?;
        self.0.disk.remove_dir_all(&job.dir)?;
        self.0.log.unpin(&folder_name(&job))?;
        drop_unused_groups(self)?;
        let said = format!("job {} is forgotten; what it has written into {} stays", job.name, job.sink);
        Ok(JobAnswer { job, said })
    }

    /// The lock on the folder of a job that must not run.
    fn at_rest(&self, job: &JobDescription) -> Result<DiskLock> {
        if let Some(held) = lock_folder(&self.0.disk, &job.dir)? {
            return Ok(held);
        }
        Err(runs(job))
    }

    /// Changes what is asked of a job; with `all`, of all that run as one with it.
    fn want(&self, job: &JobDescription, all: bool, change: impl Fn(&mut Wanted)) -> Result<Wanted> {
        let disk = &self.0.disk;
        for other in job.others().into_iter().filter(|_| all) {
            let dir = jobs_dir(self).join(other);
            if disk.exists(&dir)? {
                Wanted::change(disk, &dir, &change)?;
            }
        }
        Ok(Wanted::change(disk, &job.dir, &change)?)
    }

    /// The job, once what was asked of it is done.
    fn answered(&self, name: &str, done: impl Fn(&JobDescription) -> bool) -> Result<JobDescription> {
        let job = self.awaited(name, ANSWER, &done)?;
        if done(&job) { Ok(job) } else { Err(no_answer(&job).into()) }
    }

    /// The job, once it is as wanted, or after so long.
    fn awaited(
        &self,
        name: &str,
        most: Duration,
        done: impl Fn(&JobDescription) -> bool,
    ) -> Result<JobDescription> {
        let mut waited = Duration::ZERO;
        loop {
            let job = self.describe_job(name)?;
            if done(&job) || waited >= most {
                return Ok(job);
            }
            std::thread::sleep(LOOK);
            waited += LOOK;
        }
    }

    fn told(&self, name: &str, said: String) -> Result<JobAnswer> {
        Ok(JobAnswer { job: self.describe_job(name)?, said })
    }
}

/// The job runs, and must not.
fn runs(job: &JobDescription) -> EngineError {
    let by = job.status.as_ref().map_or(String::new(), |s| format!(", in process {}", s.pid));
    let d = Diagnostic::coded(Code::Job, format!("job {} runs{by}", job.name));
    d.help(format!("stop it first: millstream job stop {}", job.name)).into()
}

fn folder_name(job: &JobDescription) -> String {
    job.dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// ", and with it …": the statements that are told the same, as they run as one.
fn with_others(job: &JobDescription) -> String {
    match job.others().as_slice() {
        [] => String::new(),
        others => {
            format!(", and with it {}: they run as one, since they read the same streams", others.join(", "))
        }
    }
}

fn no_answer(job: &JobDescription) -> Diagnostic {
    let pid = job.status.as_ref().map_or(0, |s| s.pid);
    let d = Diagnostic::coded(
        Code::Job,
        format!(
            "job {} has not answered within {} seconds; what was asked stands, and is done as soon as it comes to it",
            job.name,
            ANSWER.as_secs()
        ),
    );
    let waiting = job.status.as_ref().filter(|s| s.state == State::Waiting).and_then(|s| s.reason.clone());
    d.help(match waiting {
        Some(reason) => format!("it waits: {reason}"),
        None => format!("it may be in a long step, or process {pid}, which runs it, may be stopped or busy"),
    })
}

fn failed_instead(job: &JobDescription) -> EngineError {
    let error = job.status.as_ref().and_then(|s| s.error.as_ref());
    let why = error.map_or("it has ended".into(), |e| e.message.clone());
    let d = Diagnostic::coded(Code::Job, format!("job {} is {}: {why}", job.name, job.is.word()));
    d.help(format!("run it again by {}", job.again())).into()
}
