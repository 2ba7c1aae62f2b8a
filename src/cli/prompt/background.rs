//! The jobs that were started at the prompt: what is told of them, their numbers, and the file that goes on with them.

use crate::cli::progress::grouped;
use crate::cli::report;
use crate::cli::terminal::Screen;
use crate::engine::{JobState, JobView, Session, parse_each};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What stands before the names of INSERT jobs: the name of the file that goes on with them, without its ending.
pub(super) const SCOPE: &str = "prompt";

/// What is known of the session's jobs.
pub(super) struct Background {
    /// Jobs by their numbers, which stay the same.
    numbered: Vec<String>,
    /// The statement of each job that was started here.
    statements: Vec<(String, String)>,
    /// The file that goes on with them; none in a directory that does not last.
    file: Option<PathBuf>,
    written: Vec<String>,
    known: HashMap<usize, Known>,
}

/// What has been told of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Known {
    over: bool,
    caught_up: bool,
}

impl Background {
    pub(super) fn new(data: &Path, lasts: bool) -> Self {
        Background {
            numbered: Vec::new(),
            statements: Vec::new(),
            file: lasts.then(|| data.join(format!("{SCOPE}.sql"))),
            written: Vec::new(),
            known: HashMap::new(),
        }
    }

    /// The file that goes on with the jobs.
    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The statements of an earlier session's jobs, as a text, and how many they are.
    pub(super) fn left(&self) -> Option<(String, usize)> {
        let text = std::fs::read_to_string(self.file.as_ref()?).ok()?;
        let count = parse_each(&text).iter().filter(|s| s.is_ok()).count();
        (count > 0).then_some((text, count))
    }

    /// Takes note of a job that was started.
    pub(super) fn started(&mut self, job: &str, statement: &str) {
        self.statements.retain(|(name, _)| name != job);
        self.statements.push((job.into(), statement.trim().trim_end_matches(';').into()));
        self.number(job);
    }

    /// The number of a job.
    pub(super) fn number(&mut self, job: &str) -> usize {
        match self.numbered.iter().position(|name| name == job) {
            Some(at) => at + 1,
            None => {
                self.numbered.push(job.into());
                self.numbered.len()
            }
        }
    }

    /// The job that a number or a name stands for.
    pub(super) fn job(&self, word: &str) -> Result<String, String> {
        let Ok(number) = word.parse::<usize>() else { return Ok(word.into()) };
        let found = number.checked_sub(1).and_then(|at| self.numbered.get(at)).cloned();
        found.ok_or_else(|| format!("there is no job {number}: \\jobs lists them"))
    }

    /// What has happened to the jobs since this was asked last.
    pub(super) fn news(&mut self, session: &Session, screen: Screen) -> Vec<String> {
        let mut told: Vec<String> = session.take_news();
        told.extend(session.take_upkeep_failures());
        let failures = session.take_failures();
        told.extend(failures.iter().map(|f| report::error(f, "prompt", screen).trim_end().to_string()));
        for (at, job) in session.jobs().into_iter().enumerate().filter(|(_, j)| j.writes.is_some()) {
            let known = self.known.entry(at).or_default();
            let before = *known;
            known.over = job.state != JobState::Running;
            known.caught_up |= job.caught_up;
            told.extend(event(&job, before, *known));
        }
        self.write(session);
        told.into_iter().map(|line| format!("● {line}")).collect()
    }

    /// Writes the file that goes on with the jobs that run, if they are others than before.
    pub(super) fn write(&mut self, session: &Session) {
        let Some(file) = &self.file else { return };
        let running = running(session);
        let runs = |name: &String| running.iter().any(|job| job.name == *name);
        let statements: Vec<String> = self
            .statements
            .iter()
            .filter(|(name, _)| runs(name))
            .map(|(_, text)| format!("{text};\n"))
            .collect();
        if statements == self.written || self.statements.is_empty() {
            return;
        }
        let text = format!(
            "-- The jobs of the last session at the prompt. \\resume goes on with them.\n\n{}",
            statements.join("\n")
        );
        // Without the file the statements have to be typed again: nothing else is lost.
        let _ = std::fs::write(file, text);
        self.written = statements;
    }
}

/// The jobs that run.
pub(super) fn running(session: &Session) -> Vec<JobView> {
    let runs = |job: &JobView| job.state == JobState::Running && job.writes.is_some();
    session.jobs().into_iter().filter(runs).collect()
}

/// The only job that runs, if it is the only one.
pub(super) fn only(session: &Session) -> Option<String> {
    match running(session).as_slice() {
        [one] => Some(one.name.clone()),
        _ => None,
    }
}

/// What is told of a job.
fn event(job: &JobView, before: Known, now: Known) -> Option<String> {
    let name = &job.name;
    let rows = |n: u64| format!("{} {}", grouped(n), if n == 1 { "row" } else { "rows" });
    match job.state {
        _ if before.over => None,
        JobState::Ended(summary) => {
            let how = if summary.finished { "has finished" } else { "has stopped, with a checkpoint" };
            Some(format!(
                "job {name} {how}: {} in, {} out",
                rows(summary.run.rows_in),
                grouped(summary.run.rows_out)
            ))
        }
        // Why is told with its failure.
        JobState::Failed => None,
        JobState::Running if now.caught_up && !before.caught_up => {
            Some(format!("job {name} has caught up: {} in, {} out", rows(job.rows_in), grouped(job.rows_out)))
        }
        JobState::Running => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::JobSummary;

    fn job(state: JobState) -> JobView {
        JobView {
            name: "board".into(),
            reads: Vec::new(),
            writes: Some("board".into()),
            state,
            rows_in: 1,
            rows_out: 2000,
            waits_for: None,
            caught_up: true,
        }
    }

    #[test]
    fn each_event_is_told_once() {
        let (fresh, caught) = (Known::default(), Known { over: false, caught_up: true });
        let told = event(&job(JobState::Running), fresh, caught);
        assert_eq!(told.unwrap(), "job board has caught up: 1 row in, 2,000 out");
        assert_eq!(event(&job(JobState::Running), caught, caught), None);
        let over = Known { over: true, caught_up: true };
        let ended = job(JobState::Ended(JobSummary { finished: true, ..JobSummary::default() }));
        assert_eq!(event(&ended, caught, over).unwrap(), "job board has finished: 0 rows in, 0 out");
        assert_eq!(event(&ended, over, over), None);
    }

    #[test]
    fn numbers_stay_and_names_are_taken_too() {
        let mut background = Background::new(Path::new("x"), false);
        assert_eq!([background.number("b"), background.number("a"), background.number("b")], [1, 2, 1]);
        assert_eq!(background.job("2"), Ok("a".into()));
        assert_eq!(background.job("c"), Ok("c".into()));
        assert!(background.job("3").unwrap_err().contains("\\jobs"));
    }
}
