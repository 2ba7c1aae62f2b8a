//! Jobs that fail or wait: what is told of them while the others go on, and when nothing can go on any more.
//!
//! A job that fails keeps its last checkpoint. The others of the run go on; those that read what it writes wait for it,
//! and when only such jobs are left, the run ends.

use super::jobs::{Entry, JobState, Jobs};
use super::{EngineError, Result};
use crate::runtime::RuntimeError;
use crate::runtime::control::News;
use std::collections::HashSet;

impl Jobs {
    /// What has happened to the jobs since the last time, in words: what one waits for and, unless it ends all
    /// (`fail_fast`), a failure while others go on.
    pub(super) fn take_news(&self, fail_fast: bool) -> Vec<String> {
        let mut told = Vec::new();
        let mut entries = self.lock();
        let starved = starved(&entries.iter().map(|e| (e.state, &e.reads, &e.writes)).collect::<Vec<_>>());
        let running = |i: &usize| entries[*i].state == JobState::Running;
        let others: Vec<usize> = (0..entries.len()).filter(running).collect();
        let mut failed = Vec::new();
        for (i, entry) in entries.iter().enumerate() {
            let name = &entry.name;
            told.extend(entry.control.take_news().into_iter().map(|news| match news {
                News::Waits(reason) => {
                    format!("job {name} waits: {reason}; it tries again by itself")
                }
                News::GoesOn => format!("job {name} goes on"),
                News::Anew { stream, steps } => format!(
                    "rows of {stream} that job {name} had read are gone, as when the machine loses its power: its last {steps} \
                     steps, of which no result had been kept, are made anew from what there is"
                ),
                News::GaveUp(reason) => {
                    format!("job {name} was ended while it waited ({reason}); the next run goes on from its last checkpoint")
                }
            }));
            let tells = !entry.told && !others.is_empty() && !fail_fast;
            if let Some(failure) = entry.failure.as_ref().filter(|_| tells) {
                let waits = |j: &&usize| starved.contains(*j) && reads_of(&entry.writes, &entries[**j].reads);
                let readers: Vec<&str> =
                    others.iter().filter(waits).map(|j| entries[*j].name.as_str()).collect();
                let mut line = format!("job {name} failed: {failure}; the others go on");
                match readers.as_slice() {
                    [] => {}
                    [one] => line.push_str(&format!(", but {one}, which reads what it writes, waits for it")),
                    all => line.push_str(&format!(
                        ", but those that read what it writes wait for it: {}",
                        all.join(", ")
                    )),
                }
                failed.push(i);
                told.push(line);
            }
        }
        for i in failed {
            entries[i].told = true;
        }
        told
    }

    /// All failures that have not been taken yet.
    pub(super) fn take_failures(&self) -> Vec<EngineError> {
        self.lock().iter_mut().filter_map(Entry::take_failure).collect()
    }

    /// Waits until no job runs, or none that runs can get anything to do any more, or `tick` says no more. With `fail_fast`
    /// the first failure ends it.
    pub(super) fn wait_ended(&self, fail_fast: bool, tick: &mut dyn FnMut() -> bool) -> Result<()> {
        loop {
            if fail_fast {
                self.check()?;
            }
            let entries = self.lock();
            let seen: Vec<_> = entries.iter().map(|e| (e.state, &e.reads, &e.writes)).collect();
            let starved = starved(&seen);
            let goes_on =
                |(i, e): (usize, &(JobState, _, _))| e.0 == JobState::Running && !starved.contains(&i);
            if !seen.iter().enumerate().any(goes_on) {
                return Ok(());
            }
            drop(seen);
            self.wait_for_change(entries);
            self.close_again();
            if !tick() {
                return Ok(());
            }
        }
    }
}

/// An error as a job's own: whether it passes can be asked of it.
pub(super) fn as_failure(error: EngineError) -> RuntimeError {
    match error {
        EngineError::Runtime(e) => e,
        EngineError::Placed { source, .. } => as_failure(*source),
        EngineError::Log(e) => RuntimeError::Log(e),
        EngineError::Connector(e) => RuntimeError::Connector(e),
        EngineError::Disk(e) => RuntimeError::Disk(e),
        e => RuntimeError::Output(e.to_string()),
    }
}

fn reads_of(stream: &Option<String>, reads: &[String]) -> bool {
    stream.as_ref().is_some_and(|stream| reads.contains(stream))
}

type Seen<'a> = (JobState, &'a Vec<String>, &'a Option<String>);

/// The running jobs that only read what failed jobs would write, or jobs that wait for those.
fn starved(jobs: &[Seen]) -> HashSet<usize> {
    let mut starved: HashSet<usize> = HashSet::new();
    loop {
        let dry = |stream: &String| {
            let mut failed = false;
            let writers = jobs.iter().enumerate().filter(|(_, job)| job.2.as_ref() == Some(stream));
            for (i, job) in writers {
                let waits = starved.contains(&i);
                if job.0 == JobState::Running && !waits {
                    return false;
                }
                failed |= waits || job.0 == JobState::Failed;
            }
            failed
        };
        let waits = |(i, job): &(usize, &Seen)| {
            let (state, reads, _) = job;
            *state == JobState::Running && !starved.contains(i) && !reads.is_empty() && reads.iter().all(dry)
        };
        let more: Vec<usize> = jobs.iter().enumerate().filter(waits).map(|(i, _)| i).collect();
        if more.is_empty() {
            return starved;
        }
        starved.extend(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_only_what_failed_jobs_write_waits_for_ever() {
        let (running, failed) = (JobState::Running, JobState::Failed);
        let ended = JobState::Ended(Default::default());
        let named = |names: &str| names.split_whitespace().map(String::from).collect::<Vec<_>>();
        let check = |jobs: &[(JobState, &str, &str)], expected: &[usize]| {
            let lists: Vec<_> = jobs.iter().map(|j| (named(j.1), Some(j.2.to_string()))).collect();
            let seen: Vec<Seen> = jobs.iter().zip(&lists).map(|(j, (r, w))| (j.0, r, w)).collect();
            let mut found: Vec<usize> = starved(&seen).into_iter().collect();
            found.sort_unstable();
            assert_eq!(found, expected, "{jobs:?}");
        };
        check(&[(failed, "s", "a"), (running, "a", "b"), (running, "b", "c"), (running, "s", "d")], &[1, 2]);
        check(&[(failed, "s", "a"), (running, "a s", "b"), (running, "b", "c")], &[]);
        // Another writer of the same stream goes on.
        check(&[(failed, "s", "a"), (running, "s", "a"), (running, "a", "b")], &[]);
        check(&[(failed, "s", "a"), (ended, "s", "a"), (running, "a", "b")], &[2]);
        check(&[(ended, "s", "a"), (running, "a", "b")], &[]);
        check(&[(running, "s", "a"), (running, "a", "b")], &[]);
    }
}
