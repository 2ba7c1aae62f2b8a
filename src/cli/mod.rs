//! The program: arguments, running files, printing. May use `config`, `delta`, `engine` and `bench`.

pub mod allocator;
pub mod args;
mod bench;
mod check;
pub mod commands;
mod explain;
mod folder;
mod group;
mod job;
pub mod print;
pub mod progress;
mod prompt;
pub mod report;
mod run;
pub mod terminal;
mod test;
mod topic;
mod wrap;

use std::ffi::OsString;
use std::process::ExitCode;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or ended by SIGINT or SIGTERM, or by a reader that has gone.
    Done = 0,
    /// Failed while running.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The SQL is wrong.
    Sql = 3,
    /// A test gives other rows than it says.
    Tests = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Runs the program on the process's arguments and returns its exit code.
pub fn main() -> ExitCode {
    allocator::set_up();
    run_on(std::env::args_os())
}

/// Runs the program on the words of a command line, its name first.
pub fn run_on(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    match args::Invocation::parse(words) {
        Ok(invocation) => {
            terminal::choose(invocation.colour);
            match &invocation.action {
                args::Action::Prompt if prompt::is_typed() => prompt::run(&invocation, None).into(),
                args::Action::Demo(demo, speed) => prompt::run(&invocation, Some((*demo, *speed))).into(),
                args::Action::Test(paths, bless) => test::run(&invocation, paths, *bless).into(),
                args::Action::ServeTest(folder, clock) => {
                    test::serve(folder, std::time::Duration::from_nanos(*clock)).into()
                }
                args::Action::Bench(command, data) => bench::run(&invocation, command, data.clone()).into(),
                args::Action::ServeBench(ask) => bench::serve_bench(ask).into(),
                args::Action::Explain(code) => explain::run(code.as_deref()).into(),
                args::Action::Check(files, json) => check::run(&invocation, files, *json).into(),
                args::Action::Topic(command) => topic::run(&invocation, command).into(),
                args::Action::Group(command) => group::run(&invocation, command).into(),
                args::Action::Job(command) => job::run(&invocation, command).into(),
                _ => run::run(&invocation).into(),
            }
        }
        Err(error) => {
            // Nothing is left to be done where even this cannot be printed.
            let _ = error.print();
            if error.exit_code() == 0 { Exit::Done.into() } else { Exit::Usage.into() }
        }
    }
}
