//! The session's jobs that do not last: an INSERT that is given on the command line has no folder, so nobody else sees it.

use super::jobs::{JobState, JobView, Jobs};
use super::steering::{Condition, JobAction, JobAnswer, JobDescription};
use super::{Engine, EngineError, Result};
use crate::runtime::checkpoint::Totals;
use crate::runtime::status::{JobStatus, State};
use crate::sql::Code;
use crate::sql::Diagnostic;
use std::time::Duration;

/// How long is waited for a job of this process at most, and how often it is looked at.
const ANSWER: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(5);

/// All jobs that last, and those of the session that do not but run, by name.
pub(super) fn all(engine: &Engine, jobs: &Jobs) -> Result<Vec<JobDescription>> {
    let mut all = engine.jobs()?;
    for view in jobs.views().into_iter().filter(runs) {
        match all.iter_mut().find(|j| j.name == view.name) {
            Some(job) => brought_up(job, &view),
            None => all.push(described(jobs, &view)),
        }
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// A job that lasts, or one of the session's.
pub(super) fn describe(engine: &Engine, jobs: &Jobs, name: &str) -> Result<JobDescription> {
    let view = jobs.views().into_iter().rev().find(|v| v.name == name && runs(v));
    match (engine.describe_job(name), view) {
        (Ok(mut job), view) => {
            view.iter().for_each(|view| brought_up(&mut job, view));
            Ok(job)
        }
        (Err(_), Some(view)) => Ok(described(jobs, &view)),
        (Err(unknown), None) => Err(unknown),
    }
}

/// What a job has written of itself, which is up to a second old, with what this process knows now.
fn brought_up(job: &mut JobDescription, view: &JobView) {
    let Some(status) = job.status.as_mut().filter(|status| status.pid == std::process::id()) else { return };
    let read = view.rows_in.saturating_sub(status.run.rows_in);
    let written = view.rows_out.saturating_sub(status.run.rows_out);
    for totals in [&mut status.run, &mut status.total] {
        (totals.rows_in, totals.rows_out) = (totals.rows_in + read, totals.rows_out + written);
    }
    // What was there is read before it has caught up.
    if view.caught_up && read > 0 {
        let partitions = status.sources.iter_mut().flat_map(|source| &mut source.partitions);
        partitions.filter_map(|p| p.lag.as_mut()).for_each(|lag| *lag = 0);
    }
}

/// Tells a job that lasts, or one of the session's, something.
pub(super) fn ask(engine: &Engine, jobs: &Jobs, name: &str, action: JobAction) -> Result<JobAnswer> {
    let own = jobs.views().into_iter().rev().find(|v| v.name == name && runs(v));
    let Some(control) = own.filter(|_| engine.describe_job(name).is_err()).and_then(|_| jobs.control(name))
    else {
        return engine.ask_job(name, action);
    };
    let done: &dyn Fn(&JobDescription) -> bool = match action {
        JobAction::Pause => {
            control.pause(true);
            &|job| job.is == Condition::Paused
        }
        JobAction::Resume => {
            control.pause(false);
            &|job| job.is == Condition::Running
        }
        JobAction::Stop => {
            control.stop();
            &|_| false
        }
        _ => {
            let d = Diagnostic::coded(Code::Job, format!("job {name} keeps no state: it ends with this run"));
            return Err(d.help("INSERT INTO … SELECT in a file that is run keeps its state").into());
        }
    };
    let mut waited = Duration::ZERO;
    loop {
        let Ok(job) = describe(engine, jobs, name) else {
            let said = format!("job {name} has ended");
            let status = JobStatus { name: name.into(), state: State::Stopped, ..JobStatus::default() };
            return Ok(JobAnswer { job: JobDescription::of_session(Condition::Stopped, status, ""), said });
        };
        if done(&job) {
            let said = format!("job {name} is {}", job.is.word());
            return Ok(JobAnswer { job, said });
        }
        if waited >= ANSWER {
            let d = Diagnostic::coded(
                Code::Job,
                format!("job {name} has not come to it within {} seconds", ANSWER.as_secs()),
            );
            return Err(EngineError::Sql(d.help("it may be in a long step")));
        }
        std::thread::sleep(LOOK);
        waited += LOOK;
    }
}

fn runs(view: &JobView) -> bool {
    view.state == JobState::Running && view.writes.is_some()
}

fn described(jobs: &Jobs, view: &JobView) -> JobDescription {
    let held = jobs.control(&view.name).is_some_and(|c| c.held());
    let run = Totals { rows_in: view.rows_in, rows_out: view.rows_out, ..Totals::default() };
    let status = JobStatus {
        name: view.name.clone(),
        pid: std::process::id(),
        state: if held { State::Paused } else { State::Running },
        run,
        total: run,
        ..JobStatus::default()
    };
    let is = if held { Condition::Paused } else { Condition::Running };
    JobDescription::of_session(is, status, view.writes.as_deref().unwrap_or_default())
}
