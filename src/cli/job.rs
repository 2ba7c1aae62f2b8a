//! `millstream job …`.

use super::Exit;
use super::args::Invocation;
use super::commands::JobCommand;
use super::print::{Format, PrintError, print_prose};
use super::run::tell;
use super::terminal::Screen;
use super::topic::{Failure, on_engine, print_batch};
use crate::engine::{Engine, JobAction, JobDescription, job_rows, jobs_rows, why, why_rows};
use serde::Serialize;
use std::io::{self, Write};

/// Runs a job command.
pub(super) fn run(invocation: &Invocation, command: &JobCommand) -> Exit {
    on_engine(invocation, |engine| match command {
        JobCommand::List => print_batch(invocation, &jobs_rows(&engine.jobs()?)?.batch),
        JobCommand::Describe { name } => describe(invocation, &engine.describe_job(name)?),
        JobCommand::Why { name } => explain(invocation, &engine.describe_job(name)?),
        JobCommand::Pause { name } => ask(engine, name, JobAction::Pause),
        JobCommand::Resume { name } => ask(engine, name, JobAction::Resume),
        JobCommand::Stop { name } => ask(engine, name, JobAction::Stop),
        JobCommand::Restart { name } => ask(engine, name, JobAction::Restart),
        JobCommand::Checkpoint { name } => ask(engine, name, JobAction::Checkpoint),
        JobCommand::Reset { name } => ask(engine, name, JobAction::Reset),
        JobCommand::Drop { name } => ask(engine, name, JobAction::Drop),
    })
}

/// Tells a job something, and what it answered.
fn ask(engine: &Engine, name: &str, action: JobAction) -> Result<(), Failure> {
    tell(&engine.ask_job(name, action)?.said);
    Ok(())
}

fn format(invocation: &Invocation) -> Format {
    invocation.format.unwrap_or(Format::auto(Screen::stdout().is_terminal()))
}

/// Shows a job: to people as a table, to programs as one JSON object.
fn describe(invocation: &Invocation, job: &JobDescription) -> Result<(), Failure> {
    match format(invocation) {
        Format::Jsonl => line(job),
        _ => print_batch(invocation, &job_rows(job)?.batch),
    }
}

/// Shows why a job gives no rows: to people as text, to programs as one JSON object.
fn explain(invocation: &Invocation, job: &JobDescription) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Why<'j> {
        job: &'j str,
        why: Vec<String>,
    }
    match format(invocation) {
        Format::Jsonl => line(&Why { job: &job.name, why: why(job) }),
        format if format.is_drawn() => Ok(print_prose(&why(job))?),
        _ => print_batch(invocation, &why_rows(job)?.batch),
    }
}

fn line(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(|e| PrintError::from(io::Error::from(e)))?;
    Ok(writeln!(io::stdout(), "{text}").map_err(PrintError::from)?)
}
