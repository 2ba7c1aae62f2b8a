//! Jobs from outside: what is seen of them, and what they are told, in whichever process they run.
//!
//! All of it goes through the jobs' folders: `status.json` is what a job says of itself, `wanted.json` what is asked of it,
//! and the lock on the folder tells whether it runs.

mod ask;
mod rows;
mod why;

pub use ask::{JobAction, JobAnswer};
pub(super) use rows::holder;
pub use rows::{job_rows, jobs_rows};
pub(super) use why::inputs;
pub use why::{why, why_rows};

use super::jobs::{Origin, jobs_dir, read_job_file};
use super::{Engine, Result};
use crate::connectors::nearest;
use crate::disk::{Disk, DiskLock, Open};
use crate::runtime::checkpoint::{JobStore, Manifest};
use crate::runtime::status::{JobStatus, State};
use crate::runtime::wanted::Wanted;
use crate::sql::Code;
use crate::sql::Diagnostic;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How a job is, as far as can be seen from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// It makes steps, or waits for rows.
    Running,
    /// Its process has it, but it has not said anything yet.
    Starting,
    /// It was told to make no steps.
    Paused,
    /// It cannot go on now, and tries again.
    Waiting,
    /// Its run was ended; it goes on when it is run again.
    Stopped,
    /// Its process ended without a word: it was killed, or the machine went down. It goes on when it is run again.
    Interrupted,
    /// Its bounded input has ended, and every window is closed.
    Finished,
    /// It failed.
    Failed,
}

impl Condition {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Condition::Running => "running",
            Condition::Starting => "starting",
            Condition::Paused => "paused",
            Condition::Waiting => "waiting",
            Condition::Stopped => "stopped",
            Condition::Interrupted => "interrupted",
            Condition::Finished => "finished",
            Condition::Failed => "failed",
        }
    }

    /// What a job is that says `said` of itself and whose lock is held or not.
    fn of(said: Option<State>, runs: bool) -> Self {
        match (said, runs) {
            (Some(State::Running), true) => Condition::Running,
            (Some(State::Paused), true) => Condition::Paused,
            (Some(State::Waiting), true) => Condition::Waiting,
            (_, true) => Condition::Starting,
            (Some(State::Running | State::Paused | State::Waiting), false) => Condition::Interrupted,
            (Some(State::Finished), false) => Condition::Finished,
            (Some(State::Failed), false) => Condition::Failed,
            (Some(State::Stopped) | None, false) => Condition::Stopped,
        }
    }
}

/// What is known of a job.
#[derive(Debug, Clone, Serialize)]
pub struct JobDescription {
    /// Its name.
    #[serde(rename = "job")]
    pub name: String,
    /// How it is.
    #[serde(rename = "state")]
    pub is: Condition,
    /// Where its result goes.
    pub sink: String,
    /// Where it comes from, if that is known.
    pub origin: Option<Origin>,
    /// Whether it is to make no steps, now or when it is run again.
    pub pause_asked: bool,
    /// The statements that run as one with it, itself among them.
    pub members: Vec<String>,
    /// What it says of itself, or said last.
    pub status: Option<JobStatus>,
    #[serde(skip)]
    dir: PathBuf,
    #[serde(skip)]
    group: Option<String>,
}

impl JobDescription {
    /// A job of this session that has no folder.
    pub(super) fn of_session(is: Condition, status: JobStatus, sink: &str) -> Self {
        JobDescription {
            name: status.name.clone(),
            is,
            sink: sink.into(),
            origin: None,
            pause_asked: is == Condition::Paused,
            members: vec![status.name.clone()],
            status: Some(status),
            dir: PathBuf::new(),
            group: None,
        }
    }

    /// Whether a process runs it.
    pub fn runs(&self) -> bool {
        use Condition::{Paused, Running, Starting, Waiting};
        matches!(self.is, Running | Starting | Paused | Waiting)
    }

    /// The other statements that run as one with it.
    pub fn others(&self) -> Vec<&str> {
        self.members.iter().map(String::as_str).filter(|m| *m != self.name).collect()
    }

    /// How it is run again, in words.
    pub fn again(&self) -> String {
        let words = |origin: &Origin| {
            let quoted = |word: &String| match word
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-/=:,@%+".contains(c))
            {
                true if !word.is_empty() => word.clone(),
                _ => format!("'{}'", word.replace('\'', "'\\''")),
            };
            origin.command.iter().map(quoted).collect::<Vec<_>>().join(" ")
        };
        let origin = self.origin.as_ref().filter(|o| !o.command.is_empty());
        match (origin, self.name.strip_suffix(&format!(".{}", self.sink))) {
            (Some(origin), _) => format!("'{}', in {}", words(origin), origin.directory),
            (None, Some(file)) => format!("'millstream run {file}.sql'"),
            (None, None) => "'millstream run' with its file".into(),
        }
    }
}

impl Engine {
    /// All jobs that last, by name.
    pub fn jobs(&self) -> Result<Vec<JobDescription>> {
        let dir = jobs_dir(self);
        if !self.0.disk.exists(&dir)? {
            return Ok(Vec::new());
        }
        let mut jobs: Vec<JobDescription> = Vec::new();
        for name in self.0.disk.list(&dir)? {
            jobs.extend(look(&self.0.disk, &dir.join(name)));
        }
        let groups: Vec<(String, Option<String>)> =
            jobs.iter().map(|j| (j.name.clone(), j.group.clone())).collect();
        for job in &mut jobs {
            let together = groups.iter().filter(|(_, g)| g.is_some() && *g == job.group);
            let members: Vec<String> = together.map(|(name, _)| name.clone()).collect();
            let said = job.status.as_ref().filter(|_| job.runs()).map(|s| s.members.clone());
            job.members = said.unwrap_or(members);
            if job.members.is_empty() {
                job.members.push(job.name.clone());
            }
        }
        jobs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(jobs)
    }

    /// What is known of a job. Its name may be written in any case, if that is clear.
    pub fn describe_job(&self, name: &str) -> Result<JobDescription> {
        // What is asked for again and again while an answer is waited for is looked at alone, if it can be.
        let plain = !name.is_empty() && !name.contains(['/', '\\']) && !name.starts_with('.');
        if let Some(mut job) = plain.then(|| look(&self.0.disk, &jobs_dir(self).join(name))).flatten() {
            let said = job.status.as_ref().filter(|_| job.runs()).map(|s| s.members.clone());
            if let Some(members) = said.or_else(|| job.group.is_none().then(|| vec![job.name.clone()])) {
                job.members = members;
                return Ok(job);
            }
        }
        let mut jobs = self.jobs()?;
        let same = |j: &JobDescription| j.name.eq_ignore_ascii_case(name);
        let place = jobs.iter().position(|j| j.name == name).or_else(|| {
            let mut like = jobs.iter().enumerate().filter(|(_, j)| same(j));
            like.next().map(|(at, _)| at).filter(|_| like.next().is_none())
        });
        place.map(|at| jobs.swap_remove(at)).ok_or_else(|| unknown(name, &jobs).into())
    }
}

/// There is no such job: what was probably meant.
fn unknown(name: &str, jobs: &[JobDescription]) -> Diagnostic {
    let d = Diagnostic::coded(Code::Job, format!("there is no job \"{name}\""));
    let names = || jobs.iter().map(|j| j.name.as_str());
    // The file's name stands before a job's; it is easily left out.
    let by_sink: Vec<&str> = jobs.iter().filter(|j| j.sink == name).map(|j| j.name.as_str()).collect();
    match (by_sink.as_slice(), nearest(name, names())) {
        ([one], _) => d.help(format!("did you mean \"{one}\"?")),
        ([], Some(near)) => d.help(format!("did you mean \"{near}\"?")),
        _ if jobs.is_empty() => {
            d.help("there are none: CREATE STREAM … AS SELECT, and INSERT INTO … SELECT in a file that is run, make jobs")
        }
        _ => d.help(format!("the jobs are {}", names().collect::<Vec<_>>().join(", "))),
    }
}

/// What is known of the job in a folder; `None` = it is no job's, or that of a statement that is done at once.
fn look(disk: &Disk, dir: &Path) -> Option<JobDescription> {
    let folder = read_job_file(disk, dir).ok().flatten()?;
    let status = JobStatus::read(disk, dir);
    let runs = is_locked(disk, dir);
    let mut is = Condition::of(status.as_ref().map(|s| s.state), runs);
    if status.is_none() {
        let home = folder.group.as_ref().map_or(dir.to_path_buf(), |group| dir.with_file_name(group));
        let manifest = manifest(disk, home, &folder.name);
        // VALUES, UPDATE and DELETE have a folder too, but no state.
        let part = manifest.and_then(|m| m.parts.into_iter().find(|p| p.name == folder.name));
        match part {
            None if !runs => return None,
            Some(part) if part.finished && !runs => is = Condition::Finished,
            _ => {}
        }
    }
    let wanted = Wanted::read(disk, dir);
    Some(JobDescription {
        name: folder.name,
        is,
        sink: folder.sink,
        origin: folder.origin,
        pause_asked: wanted.paused,
        members: Vec::new(),
        status,
        dir: dir.into(),
        group: folder.group,
    })
}

fn manifest(disk: &Disk, dir: PathBuf, job: &str) -> Option<Manifest> {
    JobStore { disk: disk.clone(), dir, job: job.into() }.manifest().ok().flatten()
}

/// Whether a process has the folder's lock. It is taken for a moment to see.
fn is_locked(disk: &Disk, dir: &Path) -> bool {
    let Ok(file) = disk.open(&dir.join("lock"), Open::Write) else { return false };
    Arc::new(file).try_lock().is_ok_and(|lock| lock.is_none())
}

/// The lock on a job's folder, if no process runs the job. Whoever only looks has it for a moment too: so it is tried for
/// a while.
pub(super) fn lock_folder(disk: &Disk, dir: &Path) -> Result<Option<DiskLock>> {
    let file = Arc::new(disk.open(&dir.join("lock"), Open::Create)?);
    for _ in 0..20 {
        if let Some(lock) = file.try_lock()? {
            return Ok(Some(lock));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::config::Settings;
    use crate::engine::{Session, parse_all};

    fn run(session: &mut Session, sql: &str) {
        for statement in &parse_all(sql).0 {
            session.execute(sql, statement).unwrap();
        }
        session.settle(&mut || false).unwrap();
    }

    fn until(mut holds: impl FnMut() -> bool) {
        while !holds() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_job_on_a_full_disk_says_so_and_goes_on_when_there_is_room() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, faults) = Disk::faulty();
        let full = Engine::open(dir.path(), disk, Clock::system()).unwrap();
        let other = Engine::open(dir.path(), Disk::real(), Clock::system()).unwrap();
        let mut runs = Session::new(&full, Settings::default(), None, false);
        let mut writes = Session::new(&other, Settings::default(), None, false);
        run(&mut runs, "CREATE STREAM s (a BIGINT); CREATE STREAM kept AS SELECT a FROM s");
        until(|| other.describe_job("kept").is_ok_and(|job| job.is == Condition::Running));
        faults.full_after(0);
        run(&mut writes, "INSERT INTO s VALUES (1), (2)");
        until(|| other.describe_job("kept").is_ok_and(|job| job.is == Condition::Waiting));
        let told = why(&other.describe_job("kept").unwrap());
        assert!(
            told[0].contains("cannot go on since") && told[0].contains("no space left on device"),
            "{told:?}"
        );
        faults.heal();
        until(|| {
            let job = other.describe_job("kept").unwrap();
            job.is == Condition::Running
                && job.status.is_some_and(|s| s.run.rows_out == 2 && s.reason.is_none())
        });
        let answer = other.ask_job("kept", JobAction::Stop).unwrap();
        assert_eq!(answer.job.is, Condition::Stopped);
    }

    #[test]
    fn what_a_job_says_counts_only_as_long_as_it_has_its_folder() {
        for (said, runs, expected) in [
            (None, false, Condition::Stopped),
            (None, true, Condition::Starting),
            (Some(State::Running), true, Condition::Running),
            (Some(State::Running), false, Condition::Interrupted),
            (Some(State::Paused), false, Condition::Interrupted),
            (Some(State::Waiting), true, Condition::Waiting),
            (Some(State::Failed), true, Condition::Starting),
            (Some(State::Failed), false, Condition::Failed),
            (Some(State::Finished), false, Condition::Finished),
        ] {
            assert_eq!(Condition::of(said, runs), expected, "{said:?} {runs}");
        }
    }
}
