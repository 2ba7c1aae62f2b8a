//! What is different where statements are typed one after the other: nothing is skipped because it was done before, and
//! jobs have names under which a later session, or the file of the session's jobs, goes on with them.

use super::asked::Asked;
use super::jobs::{JobState, jobs_dir, read_job_file};
use super::steering::lock_folder;
use super::{Result, Session};
use crate::connectors::StdinSource;
use crate::sql::Diagnostic;

/// Among so many jobs of a file that write one sink a query is looked for that has begun before.
const MOST_NAMES: usize = 32;

/// What is told of standard input once its first records have been looked at.
pub(super) fn told(source: &StdinSource) -> String {
    let schema = source.schema();
    let columns =
        schema.fields().iter().map(|f| format!("{} {}", f.name(), crate::delta::type_name(f.data_type())));
    format!("stdin is read as {}: {}", source.guess().name(), columns.collect::<Vec<_>>().join(", "))
}

impl Session {
    /// Goes on as if a statement that writes `sink` had been run here: what does so later has the name that it had then.
    pub fn pass_over(&mut self, sink: &str) {
        self.job_name(sink);
    }

    /// What standard input was taken for, in words; told once.
    pub fn take_guess(&mut self) -> Option<String> {
        self.guessed.take()
    }

    /// Statements are typed: VALUES, UPDATE and DELETE are done each time, and INSERT … SELECT runs as a job of its own name.
    pub fn set_interactive(&mut self) {
        self.interactive = true;
    }

    /// Fails where standard input is what the statements are typed into.
    pub(super) fn check_stdin(&self) -> Result<()> {
        if !self.interactive {
            return Ok(());
        }
        let d = Diagnostic::new("standard input is the keyboard here, and no table");
        Err(d
            .help("pipe the data into 'millstream -c \"SELECT … FROM stdin\"', or read a file: CREATE STREAM … WITH (connector = 'file', path = '…')")
            .into())
    }

    /// Whether a statement that is written again in the same place is the same one.
    pub(super) fn is_file(&self) -> bool {
        self.scope.is_some() && !self.interactive
    }

    /// Starts the jobs of the statements so far.
    pub fn start_jobs(&self) -> Result<()> {
        self.launch()
    }

    /// The columns of a view, as far as they can be told.
    pub fn columns_of(&self, view: &str) -> Vec<String> {
        let Ok(definitions) = self.engine.definitions() else { return Vec::new() };
        let Some(view) = definitions.views.get(view) else { return Vec::new() };
        let Ok(statements) = crate::sql::parse(&view.query) else { return Vec::new() };
        let Some(crate::sql::Statement::Query(query)) = statements.first().map(|s| &s.statement) else {
            return Vec::new();
        };
        let plan = self.engine.0.planner.query(&definitions, &view.query, &query.query);
        plan.map_or_else(|_| Vec::new(), |p| p.schema().fields().iter().map(|f| f.name().clone()).collect())
    }

    /// The name of a file's job that would be called `name`: another of those that the file gives to jobs which write `sink`,
    /// if that is the one under which this query has begun. So a job goes on when one that stood before it has been taken out
    /// of the file.
    pub(super) fn known_name(&mut self, name: String, sink: &str, asked: &Asked) -> Result<String> {
        let Some(scope) = self.scope.as_ref().filter(|_| self.chosen.is_plain()) else {
            return Ok(name);
        };
        let disk = &self.engine.0.disk;
        let has_begun = |job: &str| -> Result<bool> {
            let file = read_job_file(disk, &jobs_dir(&self.engine).join(job))?;
            Ok(file.and_then(|f| f.asked).is_some_and(|known| known.is_same(asked)))
        };
        if has_begun(&name)? {
            return Ok(name);
        }
        let base = format!("{scope}.{sink}");
        let numbered = (2..=MOST_NAMES).map(|n| format!("{base}.{n}"));
        for other in std::iter::once(base.clone()).chain(numbered) {
            if !self.names.contains(&other) && has_begun(&other)? {
                self.names.remove(&name);
                self.names.insert(other.clone());
                return Ok(other);
            }
        }
        Ok(name)
    }

    /// A name for a job that writes `sink`, of which no other query has a folder and which does not run: its own where it
    /// has run before.
    pub(super) fn free_name(&self, sink: &str, asked: &Asked) -> Result<String> {
        let disk = &self.engine.0.disk;
        let base = match &self.scope {
            Some(scope) => format!("{scope}.{sink}"),
            None => sink.to_string(),
        };
        let mut number = 1;
        loop {
            let name = if number == 1 { base.clone() } else { format!("{base}.{number}") };
            number += 1;
            let runs_here = self.jobs().iter().any(|j| j.name == name && j.state == JobState::Running);
            let dir = jobs_dir(&self.engine).join(&name);
            if runs_here {
                continue;
            }
            match read_job_file(disk, &dir)? {
                None => return Ok(name),
                Some(file) if file.asked.as_ref().is_some_and(|known| known.is_same(asked)) => {
                    if lock_folder(disk, &dir)?.is_some() {
                        return Ok(name);
                    }
                }
                Some(_) => {}
            }
        }
    }
}
