//! The command line: what may be typed, and what it means.

use crate::cli::bench::BenchCommand;
use crate::cli::commands::{GroupCommand, JobCommand, TopicCommand};
use crate::cli::print::Format;
use crate::cli::terminal::Colour;
use crate::config::{self, MAX_WORKERS};
use crate::engine::{Engine, EngineError, Fresh, Rename, Ways};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

/// The variable that names the data directory where `-d` does not.
pub const DATA_VARIABLE: &str = "MILLSTREAM_DATA";
/// The data directory where nothing else names one.
pub const DEFAULT_DATA: &str = "./.millstream";

const EXAMPLES: &str = "\
Examples:
  millstream                      opens the prompt, where SQL is typed; \\? lists what else can be
  millstream demo flights         the same over a month of flights that is played again
  millstream run queries/tour/01_hourly_board.sql
  millstream run -d /var/lib/board --set PORT=LGA departures.sql board.sql
  millstream -c 'SELECT origin, count(*) FROM departures GROUP BY origin'
  zcat quakes.jsonl.gz | millstream -c 'SELECT region, count(*) FROM stdin GROUP BY region'
  millstream topic consume hourly_board -n 5
  zcat trips.jsonl.gz | millstream topic produce trips
  millstream job why hourly_board

Exit codes:
  0  done, or ended by SIGINT or SIGTERM
  1  failed while running, or one of the jobs did
  2  the command line is wrong
  3  the SQL is wrong; nothing after the mistake was run, unless --keep-going is given
  6  a test failed
";

const TESTS: &str = "\
A test is a SQL file. The comments right behind a query are its result: the names of the columns, then the rows, with | between \
the columns. Rows are compared in their order if the query has an ORDER BY. Of EMIT CHANGES the rows that are left count; if the \
first column that is expected is _op, each change does, in its order (SET step_rows = 1 makes a step of each row). A statement \
that is to be refused has -- error: and the message behind it. What else can stand between statements:
  -- FEED s                           rows go into s: names and rows stand below, each a comment, with | between the columns
  -- FEED s FROM rows.jsonl           the same with a file beside the test, of JSON lines or CSV
  -- WATERMARK s 2026-01-31 13:00:00  the watermark of s moves on, without a row
  -- CLOCK + 20 s                     the clock, which stands still otherwise, moves on
  -- RESTART                          the engine ends with checkpoints and begins again; jobs go on
  -- RESTART KILL                     it is killed, and begins again from what it had written

  CREATE STREAM s (at TIMESTAMP, a BIGINT, WATERMARK FOR at AS at);
  CREATE MATERIALIZED VIEW sums AS SELECT sum(a) AS a FROM s;
  -- FEED s
  -- at                  | a
  -- 2026-01-31 12:00:00 | 1
  -- 2026-01-31 12:00:01 | 2
  SELECT * FROM sums;
  -- a
  -- 3

Each file has a data directory of its own, which is removed afterwards. The exit code is 6 if a test fails.
";

const FRESH: &str = "\
Begin those jobs anew whose query, or a view or stream that it reads, has changed since they began: with new state, from \
the start of their input, into the same sink. A table keeps its rows; once the job has read all that was there, what \
differs is written at once: rows that are new or other, and the removal of rows that the new query does not give. A \
stream can only be added to, so a job that has written to one is refused (see --as). A run that is cut off goes on when it is \
run again, with or without --fresh. --fresh=all begins all jobs anew, --fresh=JOB the one of this name or that writes the \
table of this name, changed or not.";

const AS: &str = "\
Write the result of the statement whose query has changed to NAME, a new stream or table like the one that it names. The \
old one stays as it is, and nobody writes it in this run. With SINK=NAME the statement that writes SINK writes NAME \
instead, changed or not; may be given several times. Say it again when the file is run again.";

#[derive(Debug, Parser)]
#[command(
    name = "millstream",
    version,
    about = "A SQL streaming query engine over an embedded partitioned log",
    after_help = EXAMPLES,
    after_long_help = format!("Settings (SET name = value):\n{}\n{EXAMPLES}", config::help())
)]
struct Args {
    /// Run SQL given here; may be given several times, and the data piped in is the table `stdin`
    #[arg(short = 'c', value_name = "SQL", allow_hyphen_values = true)]
    sql: Vec<String>,
    /// Run a SQL file, the same as 'run FILE'; may be given several times
    #[arg(short = 'f', value_name = "FILE.sql")]
    files: Vec<PathBuf>,
    /// Data directory [env: MILLSTREAM_DATA] [default: ./.millstream]
    #[arg(short = 'd', long = "data", value_name = "DIR", global = true)]
    data: Option<PathBuf>,
    /// Use the data directory even if it lies on a network file system
    #[arg(long, global = true)]
    force: bool,
    /// How results are printed [default: a table on a terminal, JSON lines in a pipe]
    #[arg(long, value_enum, global = true)]
    format: Option<Format>,
    /// Whether colour is used
    #[arg(long, value_name = "WHEN", value_enum, default_value = "auto", global = true)]
    color: Colour,
    #[command(flatten)]
    running: RunOptions,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Options of everything that runs SQL; taken before and after `run`.
#[derive(Debug, Default, clap::Args)]
struct RunOptions {
    /// Worker threads of a job [default: the machine's cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MAX_WORKERS as i64))]
    workers: Option<u16>,
    /// End once everything that is there now has been read, instead of waiting for more
    #[arg(long)]
    until_caught_up: bool,
    /// Begin jobs anew whose query has changed, and write what differs; =all: all jobs, =JOB: this one, changed or not
    #[arg(
        long,
        value_name = "JOB",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        value_parser = parse_fresh,
        long_help = FRESH
    )]
    fresh: Vec<Fresh>,
    /// Write the result of a changed query to NAME, beside the old one
    #[arg(long = "as", value_name = "[SINK=]NAME", value_parser = parse_rename, long_help = AS)]
    renames: Vec<Rename>,
    /// End all jobs as soon as one fails; else the others go on
    #[arg(long)]
    fail_fast: bool,
    /// Go on behind a statement that is wrong; all mistakes are told, and the exit code is still 3
    #[arg(long)]
    keep_going: bool,
    /// Give ${NAME} in the SQL a value; else it is taken from the environment
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_variable)]
    set: Vec<(String, String)>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Open the prompt, where SQL is typed and continuous queries are watched; the same as no command
    Sql,
    /// Open the prompt over real data that is played again in a directory which is removed afterwards
    Demo {
        /// Which data
        #[arg(value_enum)]
        name: Demo,
        /// How many times faster than it happened it is played again [default: 3600; storms: 2592000]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000_000))]
        speed: Option<u32>,
    },
    /// Tell all that is wrong in SQL files, and which state would grow without end; nothing is run
    Check {
        /// The files
        #[arg(required = true, value_name = "FILE.sql")]
        files: Vec<PathBuf>,
        /// Tell it as JSON lines; the same as --format jsonl
        #[arg(long)]
        json: bool,
    },
    /// Say what the code of a mistake means, with an example; without one list them
    Explain {
        /// The code, such as MS003
        code: Option<String>,
    },
    /// Run SQL files that say in comments what their queries give, and show what differs
    #[command(after_help = TESTS)]
    Test {
        /// Files, or folders of them
        #[arg(required = true, value_name = "FILE.sql|DIR")]
        paths: Vec<PathBuf>,
        /// Write what the queries give into the files
        #[arg(long)]
        bless: bool,
    },
    /// Be the engine of a test, which asks on standard input
    #[command(name = crate::cli::test::SERVE, hide = true)]
    ServeTest {
        /// Where its data is
        folder: PathBuf,
        /// How far its clock has moved on, in nanoseconds
        clock: u64,
    },
    /// Measure how fast it is on this machine, beside a batch engine
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Be a run of a bench, which takes what this says
    #[command(name = crate::cli::bench::SERVE, hide = true)]
    ServeBench {
        /// What is asked, as JSON
        ask: String,
    },
    /// Run SQL files, one after the other
    Run {
        /// The files
        #[arg(required = true, value_name = "FILE.sql")]
        files: Vec<PathBuf>,
        #[command(flatten)]
        running: RunOptions,
    },
    /// Make, fill, read and look at the topics of the data directory
    #[command(subcommand)]
    Topic(TopicCommand),
    /// Look at consumer groups: how far they have read
    #[command(subcommand)]
    Group(GroupCommand),
    /// Look at jobs and steer them, in whichever process they run
    #[command(subcommand)]
    Job(JobCommand),
}

/// Data that comes with the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Demo {
    /// The departures from New York's airports in January 2013
    Flights,
    /// A week of earthquakes in 2018, in the order in which they became known
    Quakes,
    /// The tropical storms of the Atlantic, 1975 to 2020
    Storms,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Open the prompt; where nobody types, run what standard input holds.
    Prompt,
    /// Open the prompt over a demo's data, played so many times faster than it happened.
    Demo(Demo, Option<u32>),
    /// Tell what is wrong in these SQL files; as JSON?
    Check(Vec<PathBuf>, bool),
    /// Say what a mistake's code means.
    Explain(Option<String>),
    /// Run these tests; write their results into them?
    Test(Vec<PathBuf>, bool),
    /// Be the engine of a test: over this folder, with a clock that has moved on by so many nanoseconds.
    ServeTest(PathBuf, u64),
    /// Measure something; where what that needs is to stay, if it is.
    Bench(BenchCommand, Option<PathBuf>),
    /// Be a run of a bench.
    ServeBench(String),
    /// Run these SQL files, in order.
    Files(Vec<PathBuf>),
    /// Run these SQL texts, in order.
    Sql(Vec<String>),
    /// Do something with a topic.
    Topic(TopicCommand),
    /// Do something with a consumer group.
    Group(GroupCommand),
    /// Do something with a job.
    Job(JobCommand),
}

/// A command line, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// What is to be done.
    pub action: Action,
    /// The data directory: from `-d`, else the environment, else [`DEFAULT_DATA`].
    pub data: PathBuf,
    /// `--force`: the directory may lie anywhere.
    pub force: bool,
    /// `--format`, if given.
    pub format: Option<Format>,
    /// `--workers`, if given: 1 to [`MAX_WORKERS`].
    pub workers: Option<usize>,
    /// `--until-caught-up`.
    pub until_caught_up: bool,
    /// `--fresh`, `--as` and `--fail-fast`.
    pub ways: Ways,
    /// `--keep-going`.
    pub keep_going: bool,
    /// `--color`.
    pub colour: Colour,
    /// `--set NAME=VALUE`, in order.
    pub variables: Vec<(String, String)>,
}

impl Invocation {
    /// Understands the words of a command line, the program's name first. The error is clap's own:
    /// it knows what to print, where, and the exit code (help and version are 0, the rest 2).
    pub fn parse<I>(words: I) -> Result<Self, clap::Error>
    where
        I: IntoIterator,
        I::Item: Into<OsString> + Clone,
    {
        let args = Args::try_parse_from(words)?;
        let wrong = |kind, message: &str| Err(Args::command().error(kind, message));
        if !args.files.is_empty() && (args.command.is_some() || !args.sql.is_empty()) {
            let message = "-f FILE cannot be used together with -c or a command";
            return wrong(ErrorKind::ArgumentConflict, message);
        }
        let (action, inner) = match (args.command, args.sql.is_empty()) {
            (Some(_), false) => {
                return wrong(ErrorKind::ArgumentConflict, "-c SQL cannot be used together with a command");
            }
            (None, true) if !args.files.is_empty() => (Action::Files(args.files), RunOptions::default()),
            (None | Some(Command::Sql), true) => (Action::Prompt, RunOptions::default()),
            (Some(Command::Demo { name, speed }), true) => (Action::Demo(name, speed), RunOptions::default()),
            (Some(Command::Check { files, json }), true) => {
                (Action::Check(files, json), RunOptions::default())
            }
            (Some(Command::Test { paths, bless }), true) => {
                (Action::Test(paths, bless), RunOptions::default())
            }
            (Some(Command::Explain { code }), true) => (Action::Explain(code), RunOptions::default()),
            (Some(Command::ServeTest { folder, clock }), true) => {
                (Action::ServeTest(folder, clock), RunOptions::default())
            }
            (Some(Command::Bench(command)), true) => {
                (Action::Bench(command, args.data.clone()), RunOptions::default())
            }
            (Some(Command::ServeBench { ask }), true) => (Action::ServeBench(ask), RunOptions::default()),
            (None, false) => (Action::Sql(args.sql), RunOptions::default()),
            (Some(Command::Run { files, running }), true) => (Action::Files(files), running),
            (Some(Command::Topic(command)), true) => (Action::Topic(command), RunOptions::default()),
            (Some(Command::Group(command)), true) => (Action::Group(command), RunOptions::default()),
            (Some(Command::Job(command)), true) => (Action::Job(command), RunOptions::default()),
        };
        let mut ways = Ways {
            fresh: args.running.fresh,
            renames: args.running.renames,
            fail_fast: args.running.fail_fast || inner.fail_fast,
        };
        ways.fresh.extend(inner.fresh);
        ways.renames.extend(inner.renames);
        let unnamed = ways.renames.iter().filter(|r| r.sink.is_none()).count();
        if unnamed > 1 || (unnamed == 1 && ways.fresh.contains(&Fresh::Changed)) {
            let message = "--as NAME can stand for one changed statement only: write --as SINK=NAME";
            return wrong(ErrorKind::ArgumentConflict, message);
        }
        let mut variables = args.running.set;
        variables.extend(inner.set);
        let from_environment = || std::env::var_os(DATA_VARIABLE).filter(|dir| !dir.is_empty());
        Ok(Invocation {
            action,
            data: args
                .data
                .or_else(|| from_environment().map(PathBuf::from))
                .unwrap_or_else(|| DEFAULT_DATA.into()),
            force: args.force,
            format: args.format,
            workers: inner.workers.or(args.running.workers).map(usize::from),
            until_caught_up: inner.until_caught_up || args.running.until_caught_up,
            ways,
            keep_going: args.running.keep_going || inner.keep_going,
            colour: args.color,
            variables,
        })
    }

    /// Opens the data directory.
    pub(super) fn open(&self) -> Result<Engine, EngineError> {
        if self.force { Engine::open_anywhere(&self.data) } else { Engine::open_dir(&self.data) }
    }

    /// The value of `${name}`: the last `--set` of it, else the environment's.
    pub fn variable(&self, name: &str) -> Option<String> {
        let set = self.variables.iter().rev().find(|(n, _)| n == name);
        set.map(|(_, value)| value.clone()).or_else(|| std::env::var(name).ok())
    }
}

fn parse_fresh(text: &str) -> Result<Fresh, String> {
    Ok(match text {
        "" => Fresh::Changed,
        "all" => Fresh::All,
        job => Fresh::Job(job.into()),
    })
}

fn parse_rename(text: &str) -> Result<Rename, String> {
    let (sink, name) = match text.split_once('=') {
        Some((sink, name)) => (Some(sink.trim().to_string()), name.trim()),
        None => (None, text.trim()),
    };
    let sound = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    if !sound(name) || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format!(
            "\"{name}\" is no name: it takes lower-case letters, digits and _, and begins with no digit"
        ));
    }
    if sink.as_deref() == Some("") {
        return Err("before = it takes the name of a stream or table".into());
    }
    Ok(Rename { sink, name: name.into() })
}

fn parse_variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it takes NAME=VALUE")?;
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    if !name.starts_with(letter) || !name.chars().all(|c| letter(c) || c.is_ascii_digit()) {
        return Err(format!(
            "\"{name}\" is no name: it takes letters, digits and _, and begins with no digit"
        ));
    }
    Ok((name.to_string(), value.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Start;

    fn parse(line: &str) -> Result<Invocation, clap::Error> {
        Invocation::parse(std::iter::once("millstream").chain(line.split_whitespace()))
    }

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn options_work_before_and_after_the_command() {
        let after =
            parse("run a.sql b.sql -d dir --workers 3 --format csv --until-caught-up --set A=1 --set B=x=y")
                .unwrap();
        let before =
            parse("-d dir --workers 3 --format csv --until-caught-up --set A=1 run a.sql b.sql --set B=x=y")
                .unwrap();
        assert_eq!(before, after);
        assert_eq!(after.action, Action::Files(vec!["a.sql".into(), "b.sql".into()]));
        assert_eq!(after.data, PathBuf::from("dir"));
        assert_eq!((after.workers, after.format, after.until_caught_up), (Some(3), Some(Format::Csv), true));
        assert_eq!(after.variable("B").as_deref(), Some("x=y"));
        assert_eq!(parse("run a.sql --set A=1 --set A=2").unwrap().variable("A").as_deref(), Some("2"));
        assert_eq!(parse("run a.sql --workers 2 --data x").unwrap().data, PathBuf::from("x"));
        assert_eq!(parse("-d x topic list").unwrap(), parse("topic list -d x").unwrap());
    }

    #[test]
    fn sql_may_be_given_several_times_and_begin_with_a_comment() {
        let words = ["millstream", "-c", "-- hello\nSELECT 1", "-c", "SELECT 2"];
        let sql = words[2..].iter().step_by(2).map(|s| s.to_string()).collect();
        assert_eq!(Invocation::parse(words).unwrap().action, Action::Sql(sql));
    }

    #[test]
    fn without_a_command_the_prompt_opens() {
        for line in ["", "sql", "-d x", "--color never"] {
            assert_eq!(parse(line).unwrap().action, Action::Prompt, "{line}");
        }
        assert_eq!(parse("-f a.sql -f b.sql").unwrap().action, parse("run a.sql b.sql").unwrap().action);
        assert_eq!(parse("demo quakes --speed 60").unwrap().action, Action::Demo(Demo::Quakes, Some(60)));
        assert!(parse("--keep-going run a.sql").unwrap().keep_going);
    }

    #[test]
    fn topics() {
        let consume = TopicCommand::Consume {
            name: "board".into(),
            rows: Some(5),
            from: None,
            from_beginning: false,
            follow: true,
            partition: Some(2),
            group: None,
            metadata: false,
        };
        assert_eq!(
            parse("topic consume board -n 5 --follow --partition 2").unwrap().action,
            Action::Topic(consume)
        );
        assert_eq!(
            parse("topic delete t").unwrap().action,
            Action::Topic(TopicCommand::Delete { name: "t".into() })
        );
        let reset = GroupCommand::Reset {
            name: "g".into(),
            topic: "t".into(),
            partition: None,
            to: Start::Offset(7),
        };
        assert_eq!(parse("group reset g --topic t --to 7").unwrap().action, Action::Group(reset));
        let why = JobCommand::Why { name: "board.hourly".into() };
        assert_eq!(parse("job why board.hourly").unwrap().action, Action::Job(why));
    }

    #[test]
    fn what_becomes_of_changed_queries() {
        let ways = |line: &str| parse(line).unwrap().ways;
        assert_eq!(ways("run a.sql --fresh").fresh, [Fresh::Changed]);
        assert_eq!(parse("run --fresh a.sql").unwrap().action, Action::Files(vec!["a.sql".into()]));
        assert_eq!(ways("run a.sql --fresh=all --fresh=b").fresh, [Fresh::All, Fresh::Job("b".into())]);
        let rename =
            |sink: Option<&str>, name: &str| Rename { sink: sink.map(String::from), name: name.into() };
        assert_eq!(ways("run a.sql --as b").renames, [rename(None, "b")]);
        assert_eq!(ways("run a.sql --as a=b --fresh").renames, [rename(Some("a"), "b")]);
        assert!(ways("run a.sql --fail-fast").fail_fast && !ways("run a.sql").fail_fast);
    }

    #[test]
    fn mistakes_are_usage_errors() {
        for line in [
            "run",
            "demo",
            "demo trains",
            "check",
            "test",
            "-f",
            "-f a.sql -c x",
            "-f a.sql topic list",
            "--color blue",
            "-c x run a.sql",
            "run a.sql --workers 0",
            "run a.sql --workers 257",
            "run a.sql --format xml",
            "run a.sql --set A",
            "run a.sql --as",
            "run a.sql --as 1x",
            "run a.sql --as a --as b",
            "run a.sql --as a --fresh",
            "run a.sql --as =a",
            "run a.sql --set 1A=2",
            "topic",
            "topic describe",
            "topic consume t -n x",
            "topic consume t --from never",
            "topic consume t --group g --partition 1",
            "topic create t",
            "topic create t --columns a --with key",
            "topic produce t --on-error ignore",
            "topic alter t --retention",
            "topic export t",
            "group",
            "group reset g --topic t",
            "group reset g --to latest",
            "job",
            "job pause",
            "job halt j",
            "bench",
            "bench nexmark --query q99",
            "bench nexmark --events 0",
            "bench nexmark --events 5,x",
            "bench nexmark --input csv",
            "walk",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
        for line in ["--help", "-h", "--version", "run --help"] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 0, "{line}");
        }
    }

    #[test]
    fn help_lists_the_settings_and_exit_codes() {
        let help = parse("--help").unwrap_err().to_string();
        for text in ["idle_timeout", "Exit codes:", "MILLSTREAM_DATA", "millstream topic consume"] {
            assert!(help.contains(text), "{text} is missing in:\n{help}");
        }
    }
}
