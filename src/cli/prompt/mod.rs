//! The prompt: SQL is typed and run, continuous queries are watched live, jobs run in the background.
//!
//! [`editor`] the line and its history ([`history`]), [`complete`] what Tab offers; [`meta`] the commands with a backslash and
//! [`look`] what they do; [`run`] statements, [`live`] a query that is watched, by [`keys`]; [`background`] jobs; [`help`]
//! and [`demo`] to begin with.

mod background;
mod complete;
mod demo;
mod editor;
mod help;
mod history;
mod keys;
mod live;
mod look;
mod meta;
mod run;

pub(super) use live::{Failure as WatchFailure, KeysDo, Left, Options as WatchOptions, watch};

use super::Exit;
use super::args::{Demo, Invocation};
use super::folder::Folder;
use super::report;
use super::run::tell;
use super::terminal::{self, Screen};
use super::wrap::wrapped;
use crate::config::{OnExit, Settings};
use crate::engine::{Engine, Origin, Session, option_names, parse_all};
use background::{Background, SCOPE};
use complete::{Names, Relation};
use demo::{Replay, Script};
use editor::{Line, Typed};
use run::say;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What stands before what is typed.
const PROMPT: &str = "millstream> ";
/// How to find out more.
const HELP: &str = "\\? lists commands, \\h helps on SQL, \\q leaves.";
/// How often it is looked whether there is something to tell.
const LOOK: Duration = Duration::from_millis(200);
/// Rows of a result that are shown, unless that is changed.
const MAX_ROWS: u64 = 40;

/// Whether somebody types and sees the answer.
pub(super) fn is_typed() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// What comes after a text.
enum Next {
    /// The prompt again.
    GoOn,
    /// The prompt with a text that is begun.
    Begin(String),
    /// The end.
    Leave,
}

/// What is typed into.
struct Shell {
    engine: Engine,
    session: Arc<Mutex<Session>>,
    line: Line,
    names: Arc<Mutex<Names>>,
    background: Arc<Mutex<Background>>,
    colour: bool,
    expanded: bool,
    changelog: bool,
    timing: bool,
    max_rows: u64,
    /// The file that results go to.
    out: Option<(String, std::fs::File)>,
    variables: Vec<(String, String)>,
    last_query: Option<String>,
    replay: Option<Replay>,
    /// What was typed while a query ran.
    ahead: String,
    /// The directory, as it is to be named in commands.
    data: PathBuf,
}

/// Ctrl-C is a key here: between two of them, while the terminal is as others left it, it ends nothing.
fn outlive_interrupts(engine: &Engine) {
    use tokio::signal::unix::{SignalKind, signal};
    let _runtime = engine.tokio().enter();
    if let Ok(mut interrupts) = signal(SignalKind::interrupt()) {
        engine.tokio().spawn(async move { while interrupts.recv().await.is_some() {} });
    }
}

/// The session, whoever had it last.
fn lock(session: &Mutex<Session>) -> MutexGuard<'_, Session> {
    // A statement that panicked has left the session as whole as a failed one.
    session.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens the prompt; with a demo, over its data in a directory of its own.
pub(super) fn run(invocation: &Invocation, demo: Option<(Demo, Option<u32>)>) -> Exit {
    let screen = Screen::stdout();
    let failed = |message: &str| {
        tell(&report::failure(message, screen));
        Exit::Failed
    };
    if !is_typed() {
        tell(&report::failure(
            "the prompt wants a terminal: what is typed and what is shown",
            Screen::stderr(),
        ));
        return Exit::Usage;
    }
    let mut invocation = invocation.clone();
    let mut folder = None;
    if demo.is_some() {
        match Folder::make("demo") {
            Ok(made) => {
                invocation.data = made.0.join("data");
                folder = Some(made);
            }
            Err(error) => return failed(&format!("cannot make a temporary directory: {error}")),
        }
    }
    let engine = match invocation.open() {
        Ok(engine) => engine,
        Err(error) => return failed(&error.to_string()),
    };
    let script = demo.map(|(demo, speed)| (demo::script(demo), speed));
    let mut shell = match Shell::open(&invocation, engine, script.is_none(), screen) {
        Ok(shell) => shell,
        Err(error) => return failed(&error),
    };
    if let Err(error) = shell.begin(script) {
        return failed(&error);
    }
    outlive_interrupts(&shell.engine);
    shell.go();
    drop(shell);
    drop(folder);
    Exit::Done
}

impl Shell {
    fn open(invocation: &Invocation, engine: Engine, lasts: bool, screen: Screen) -> Result<Self, String> {
        let mut settings = Settings::default();
        if let Some(workers) = invocation.workers {
            settings.workers = workers;
        }
        let mut session = Session::new(&engine, settings, Some(SCOPE), invocation.until_caught_up);
        session.set_interactive();
        let background = Background::new(&invocation.data, lasts);
        session
            .set_ways(invocation.ways.clone(), background.file().map(|file| origin(&invocation.data, file)));
        let names = Arc::new(Mutex::new(Names { options: option_names(), ..Names::default() }));
        let line = Line::open(names.clone(), screen.colour)
            .map_err(|e| format!("the terminal cannot be used: {e}"))?;
        let mut shell = Shell {
            session: Arc::new(Mutex::new(session)),
            line,
            names,
            background: Arc::new(Mutex::new(background)),
            colour: screen.colour,
            expanded: false,
            changelog: false,
            timing: true,
            max_rows: MAX_ROWS,
            out: None,
            variables: invocation.variables.clone(),
            last_query: None,
            replay: None,
            ahead: String::new(),
            data: invocation.data.clone(),
            engine,
        };
        if let Some(format) = invocation.format {
            use clap::ValueEnum;
            let word = format.to_possible_value().map(|v| v.get_name().to_string()).unwrap_or_default();
            lock(&shell.session).settings.set("format", &word).map_err(|e| e.to_string())?;
        }
        shell.refresh_names(true);
        Ok(shell)
    }

    /// What is told first; a demo begins to play.
    fn begin(&mut self, script: Option<(&'static Script, Option<u32>)>) -> Result<(), String> {
        let version = env!("CARGO_PKG_VERSION");
        let Some((script, speed)) = script else {
            let count = lock_names(&self.names).relations.len();
            let there = match count {
                0 => "which is empty".to_string(),
                1 => "1 stream, table or view".into(),
                n => format!("{n} streams, tables and views"),
            };
            self.say_wrapped(&format!("millstream {version} over {} ({there})", self.data.display()));
            say(HELP);
            if let Some((_, count)) = self.jobs_here().left() {
                let jobs = if count == 1 { "1 job" } else { &format!("{count} jobs") };
                say(&format!("{jobs} of an earlier session can go on: \\resume"));
            }
            return Ok(());
        };
        let speed = speed.map_or(script.speed, |n| usize::try_from(n).unwrap_or(usize::MAX));
        self.say_wrapped(&format!("millstream {version}: {}", script.about));
        for sql in [script.create.to_string(), format!("SET replay_speed = {speed}")] {
            let (statements, _) = parse_all(&sql);
            for statement in &statements {
                lock(&self.session).execute(&sql, statement).map_err(|e| e.to_string())?;
            }
        }
        self.replay = Some(Replay::start(&self.engine, script, speed).map_err(|e| e.to_string())?);
        for query in script.queries.iter().rev() {
            self.line.suggest(query);
        }
        say(&format!("The stream {} plays it again, {speed} times as quick as it was.", script.stream));
        say("SET replay_speed = … changes that. Nothing is kept when you leave.");
        say("Three queries are in the history: press the up arrow, then Enter.");
        say(HELP);
        self.refresh_names(true);
        Ok(())
    }

    /// Writes a line, broken between words.
    fn say_wrapped(&self, line: &str) {
        say(&wrapped(line, terminal::size().0, 0));
    }

    /// Takes texts until it is left.
    fn go(&mut self) {
        let busy = Arc::new(AtomicBool::new(false));
        let notices = self.notices(busy.clone());
        let mut begun = String::new();
        loop {
            self.news().iter().for_each(|line| say(line));
            self.refresh_names(false);
            busy.store(false, Ordering::Release);
            let typed = match self.typed_ahead(&mut begun) {
                Some(text) => Typed::Text(text),
                None => self.line.read(PROMPT, &std::mem::take(&mut begun)),
            };
            busy.store(true, Ordering::Release);
            let next = match typed {
                Typed::Nothing => Next::GoOn,
                Typed::End => Next::Leave,
                Typed::Text(text) => self.typed(&text),
            };
            match next {
                Next::GoOn => {}
                Next::Begin(text) => begun = text,
                Next::Leave if self.may_leave() => break,
                Next::Leave => {}
            }
        }
        if let Some(stop) = notices {
            stop.store(true, Ordering::Release);
        }
    }

    /// A whole text that was typed while a query ran, as if it was typed now; what is not whole is begun.
    fn typed_ahead(&mut self, begun: &mut String) -> Option<String> {
        let (whole, rest) = split_ahead(&std::mem::take(&mut self.ahead));
        match whole {
            Some(text) => {
                self.ahead = rest;
                say(&format!("{PROMPT}{text}"));
                Some(text)
            }
            None => {
                begun.push_str(&rest);
                None
            }
        }
    }

    fn typed(&mut self, text: &str) -> Next {
        if text.trim().is_empty() {
            return Next::GoOn;
        }
        self.line.keep(text);
        match meta::parse(text) {
            Some(Ok((meta, rest))) => self.command(meta, rest),
            Some(Err(message)) => {
                say(&report::failure(&message, self.screen()));
                Next::GoOn
            }
            None => {
                self.text("prompt", text);
                Next::GoOn
            }
        }
    }

    /// Tells above the prompt what happens to jobs while somebody types; what ends it.
    fn notices(&mut self, busy: Arc<AtomicBool>) -> Option<Arc<AtomicBool>> {
        let mut above = self.line.above().ok()?;
        let end = Arc::new(AtomicBool::new(false));
        let (over, session) = (end.clone(), Arc::downgrade(&self.session));
        let (background, colour) = (self.background.clone(), self.colour);
        let told = std::thread::Builder::new().name("notices".into()).spawn(move || {
            while !over.load(Ordering::Acquire) {
                std::thread::sleep(LOOK);
                let Some(session) = session.upgrade() else { return };
                if busy.load(Ordering::Acquire) {
                    continue;
                }
                let lines = match session.try_lock() {
                    Ok(session) => news(&session, &background, colour),
                    Err(_) => continue,
                };
                for line in lines {
                    above(format!("{line}\n"));
                }
            }
        });
        told.ok().map(|_| end)
    }

    /// Whether the prompt may be left: with jobs running, what is to become of them.
    fn may_leave(&mut self) -> bool {
        let running: Vec<String> =
            background::running(&lock(&self.session)).into_iter().map(|job| job.name).collect();
        if running.is_empty() {
            return true;
        }
        let jobs = match running.as_slice() {
            [one] => format!("job {one} runs"),
            all => format!("{} jobs run ({})", all.len(), all.join(", ")),
        };
        let mut choice = lock(&self.session).settings.on_exit;
        while choice == OnExit::Ask {
            self.say_wrapped(&format!(
                "{jobs}. [s]top with a checkpoint and leave, [w]ait for the end, or [c]ancel?"
            ));
            choice = match self.line.ask("s/w/c> ") {
                Typed::Text(text) => match text.trim().trim_end_matches(';').to_ascii_lowercase().as_str() {
                    "s" | "stop" | "y" | "yes" | "" => OnExit::Stop,
                    "w" | "wait" => OnExit::Wait,
                    "c" | "cancel" | "n" | "no" => return false,
                    _ => OnExit::Ask,
                },
                Typed::Nothing => return false,
                // Whoever says twice that it is over means it.
                Typed::End => OnExit::Stop,
            };
        }
        if choice == OnExit::Wait {
            say("waiting for the jobs to end; Ctrl-C goes back to the prompt");
            let mut keys = keys::Keys::begin();
            while !background::running(&lock(&self.session)).is_empty() {
                if keys.wait(LOOK).contains(&keys::Key::Interrupt) {
                    return false;
                }
                self.news().iter().for_each(|line| say(line));
            }
            return true;
        }
        {
            let session = lock(&self.session);
            self.jobs_here().write(&session);
            session.stop();
        }
        let file = self.jobs_here().file().map(Path::to_path_buf);
        say(&match file {
            Some(file) => format!(
                "{} stopped, with {}. Go on with \\resume at the next prompt, or with\n  millstream -d {} run {}",
                if running.len() == 1 { "The job has" } else { "The jobs have" },
                if running.len() == 1 { "a checkpoint" } else { "checkpoints" },
                self.data.display(),
                file.display()
            ),
            None => "The jobs go with the demo.".into(),
        });
        true
    }

    /// The jobs that were started here. Whoever has the session as well takes that first.
    fn jobs_here(&self) -> MutexGuard<'_, Background> {
        self.background.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has happened to the jobs since this was asked last.
    fn news(&self) -> Vec<String> {
        news(&lock(&self.session), &self.background, self.colour)
    }

    fn now(&self) -> Duration {
        self.engine.clock().monotonic()
    }

    /// The value of `${name}`.
    fn variable(&self, name: &str) -> Option<String> {
        let set = self.variables.iter().rev().find(|(n, _)| n == name);
        set.map(|(_, value)| value.clone()).or_else(|| std::env::var(name).ok())
    }

    /// Looks again which names there are, for completion; `all`: definitions may have changed.
    fn refresh_names(&mut self, all: bool) {
        let jobs = self.engine.jobs().unwrap_or_default().into_iter().map(|job| job.name).collect();
        let mut names = lock_names(&self.names).clone();
        names.jobs = jobs;
        if names.functions.is_empty() {
            names.functions = self.engine.function_names();
        }
        if all {
            let Ok(definitions) = self.engine.definitions() else { return };
            let mut relations: Vec<Relation> = definitions
                .streams
                .values()
                .map(|s| Relation {
                    name: s.name.clone(),
                    columns: s.columns.iter().map(|c| c.name.clone()).collect(),
                })
                .collect();
            for view in definitions.views.keys() {
                let known = names.relations.iter().find(|r| r.name == *view).map(|r| r.columns.clone());
                let columns = known.unwrap_or_else(|| lock(&self.session).columns_of(view));
                relations.push(Relation { name: view.clone(), columns });
            }
            relations.sort_by(|a, b| a.name.cmp(&b.name));
            names.relations = relations;
        }
        *lock_names(&self.names) = names;
    }
}

/// What has happened to the jobs since this was asked last.
fn news(session: &Session, background: &Mutex<Background>, colour: bool) -> Vec<String> {
    let screen = Screen { width: Some(terminal::size().0), colour };
    background.lock().unwrap_or_else(PoisonError::into_inner).news(session, screen)
}

/// The first whole text of what was typed, and the rest.
fn split_ahead(typed: &str) -> (Option<String>, String) {
    for (at, _) in typed.match_indices('\n') {
        if !typed[..at].trim().is_empty() && editor::is_whole(&typed[..at]) {
            return (Some(typed[..at].trim_start().into()), typed[at + 1..].into());
        }
    }
    (None, typed.trim_start().into())
}

fn lock_names(names: &Mutex<Names>) -> MutexGuard<'_, Names> {
    names.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How the prompt's jobs are run again without it.
fn origin(data: &Path, file: &Path) -> Origin {
    let word = |path: &Path| path.to_string_lossy().into_owned();
    Origin {
        file: word(file),
        command: vec!["millstream".into(), "-d".into(), word(data), "run".into(), word(file)],
        directory: word(&std::env::current_dir().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_ahead_is_run_when_it_is_whole() {
        assert_eq!(split_ahead(""), (None, "".into()));
        assert_eq!(split_ahead("SELECT 1"), (None, "SELECT 1".into()));
        assert_eq!(split_ahead("SELECT\n1;\n\\d\nSEL"), (Some("SELECT\n1;".into()), "\\d\nSEL".into()));
        assert_eq!(split_ahead("\n\\d\nSEL"), (Some("\\d".into()), "SEL".into()));
    }
}
