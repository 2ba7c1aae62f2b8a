//! The commands that begin with a backslash, and duckdb's and sqlite's names for them, which begin with a dot.
//!
//! One list: `\?`, completion and the parser are made from it.

use super::help;
use crate::cli::wrap::wrapped;
use crate::config::FORMATS;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meta {
    Describe,
    DescribeMore,
    Peek,
    Plan,
    Jobs,
    Job,
    Stop,
    Why,
    Resume,
    Timing,
    Expanded,
    Format,
    MaxRows,
    Watch,
    Include,
    Edit,
    Output,
    Set,
    Help,
    SqlHelp,
    Quit,
}

/// What a command takes.
#[derive(Clone, Copy)]
pub(super) enum Takes {
    Nothing,
    Relation,
    Job,
    Path,
    Sql,
    Text,
    Words(fn() -> Vec<&'static str>),
}

struct Command {
    word: &'static str,
    also: &'static [&'static str],
    usage: &'static str,
    takes: Takes,
    does: &'static str,
    meta: Meta,
}

const fn command(
    word: &'static str,
    also: &'static [&'static str],
    usage: &'static str,
    takes: Takes,
    does: &'static str,
    meta: Meta,
) -> Command {
    Command { word, also, usage, takes, does, meta }
}

fn formats() -> Vec<&'static str> {
    FORMATS.iter().map(|(word, _)| *word).chain(["changelog"]).collect()
}

fn on_off() -> Vec<&'static str> {
    vec!["on", "off"]
}

const COMMANDS: &[Command] = &[
    command(
        "\\d",
        &[".tables", ".schema", "\\dt"],
        "[name]",
        Takes::Relation,
        "streams, tables and views; or the columns of one",
        Meta::Describe,
    ),
    command(
        "\\d+",
        &[],
        "name",
        Takes::Relation,
        "the same with its partitions, sizes, and who reads and writes it",
        Meta::DescribeMore,
    ),
    command(
        "\\peek",
        &[],
        "topic [n]",
        Takes::Relation,
        "the last n rows that were written to a topic (10); of files and views the first",
        Meta::Peek,
    ),
    command(
        "\\plan",
        &[],
        "[query]",
        Takes::Sql,
        "the plan of a query, or of the last one: EXPLAIN",
        Meta::Plan,
    ),
    command("\\jobs", &[], "", Takes::Nothing, "the jobs, numbered", Meta::Jobs),
    command("\\job", &[], "N", Takes::Job, "all that is known of a job", Meta::Job),
    command("\\why", &[], "[N]", Takes::Job, "why a job gives no rows", Meta::Why),
    command("\\stop", &[], "N", Takes::Job, "ends a job with a checkpoint", Meta::Stop),
    command(
        "\\resume",
        &[],
        "",
        Takes::Nothing,
        "goes on with the jobs of earlier sessions in this directory",
        Meta::Resume,
    ),
    command(
        "\\timing",
        &[".timer"],
        "[on|off]",
        Takes::Words(on_off),
        "how long a statement took",
        Meta::Timing,
    ),
    command(
        "\\x",
        &[],
        "[on|off]",
        Takes::Words(on_off),
        "a line for each column instead of a table",
        Meta::Expanded,
    ),
    command(
        "\\format",
        &[".mode"],
        "[format]",
        Takes::Words(formats),
        "how results are printed; changelog shows each change of a live result",
        Meta::Format,
    ),
    command(
        "\\maxrows",
        &[".maxrows"],
        "[n]",
        Takes::Text,
        "so many rows of a result are shown (40); 0 for all",
        Meta::MaxRows,
    ),
    command(
        "\\watch",
        &[],
        "[2s]",
        Takes::Text,
        "runs the last query again and again, until a key is pressed",
        Meta::Watch,
    ),
    command("\\i", &[".read"], "file", Takes::Path, "runs a SQL file", Meta::Include),
    command(
        "\\e",
        &[".edit"],
        "[file]",
        Takes::Path,
        "opens the last statement in $EDITOR, then runs it",
        Meta::Edit,
    ),
    command(
        "\\o",
        &[".output"],
        "[file]",
        Takes::Path,
        "writes results to a file, or again to the screen",
        Meta::Output,
    ),
    command(
        "\\set",
        &[],
        "[name [value]]",
        Takes::Text,
        "gives ${name} in SQL a value; without a name lists them",
        Meta::Set,
    ),
    command("\\?", &[".help", "help", "\\help"], "", Takes::Nothing, "this list", Meta::Help),
    command("\\h", &[], "[topic]", Takes::Words(help::topics), "help on SQL, with an example", Meta::SqlHelp),
    command("\\q", &[".quit", ".exit", "quit", "exit", "q"], "", Takes::Nothing, "leaves", Meta::Quit),
];

/// A command, understood: what, and the rest of the line.
pub(super) type Parsed<'t> = Result<(Meta, &'t str), String>;

/// Understands a line, if it is a command. The error says what was probably meant.
pub(super) fn parse(line: &str) -> Option<Parsed<'_>> {
    let line = line.trim().trim_end_matches(';').trim_end();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let (word, rest) = (word.trim(), rest.trim());
    if let Some(command) = find(word)
        && (word.starts_with(['\\', '.']) || rest.is_empty())
    {
        return Some(Ok((command.meta, rest)));
    }
    if !word.starts_with(['\\', '.']) {
        return None;
    }
    let near = COMMANDS
        .iter()
        .flat_map(|c| std::iter::once(c.word).chain(c.also.iter().copied()))
        .filter(|w| w.starts_with(['\\', '.']))
        .map(|w| (strsim::damerau_levenshtein(&word[1..], &w[1..]), w))
        .filter(|(distance, w)| *distance <= w.len() / 3)
        .min();
    Some(Err(match near {
        Some((_, near)) => format!("there is no command {word}: did you mean {near}?"),
        None => format!("there is no command {word}: \\? lists them"),
    }))
}

/// Whether a text is a command, which ends with its line.
pub(super) fn is_command(text: &str) -> bool {
    text.trim_start().starts_with(['\\', '.']) || find(text.trim()).is_some()
}

fn find(word: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|c| c.word == word || c.also.contains(&word))
}

/// All commands as they are typed: those with a dot, or with a backslash.
pub(super) fn words(dots: bool) -> Vec<String> {
    let all = COMMANDS.iter().flat_map(|c| std::iter::once(c.word).chain(c.also.iter().copied()));
    all.filter(|w| w.starts_with(if dots { '.' } else { '\\' })).map(String::from).collect()
}

/// What a command takes.
pub(super) fn takes(word: &str) -> Option<Takes> {
    find(word).map(|c| c.takes)
}

/// The list for people, on a screen that is `width` wide.
pub(super) fn list(screen: usize) -> String {
    let left = |c: &Command| format!("{} {}", c.word, c.usage);
    let width = COMMANDS.iter().map(|c| left(c).len()).max().unwrap_or(0);
    let mut text =
        wrapped("A statement ends with ; and may have several lines. What else can be typed:", screen, 0);
    for c in COMMANDS {
        let also: Vec<&str> = c.also.iter().copied().filter(|w| w.starts_with('.')).collect();
        let also = if also.is_empty() { String::new() } else { format!("  ({})", also.join(", ")) };
        let line = format!("  {:width$}  {}{also}", left(c), c.does);
        text.push_str(&wrapped(&line, screen, width + 4));
    }
    for line in [
        "While a query runs: q or Ctrl-C stops it, space freezes the screen, b goes on with it as a job in the background.",
        "At the prompt: Tab completes, Ctrl-R searches the history, Ctrl-C clears the line, Ctrl-D leaves.",
    ] {
        text.push_str(&wrapped(line, screen, 0));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_understood_and_slips_are_told() {
        assert_eq!(parse("\\d departures"), Some(Ok((Meta::Describe, "departures"))));
        assert_eq!(parse("  \\d+   x ;"), Some(Ok((Meta::DescribeMore, "x"))));
        assert_eq!(parse(".mode csv"), Some(Ok((Meta::Format, "csv"))));
        assert_eq!(parse("exit"), Some(Ok((Meta::Quit, ""))));
        assert_eq!(parse("quit;"), Some(Ok((Meta::Quit, ""))));
        assert_eq!(parse("\\watch 2s"), Some(Ok((Meta::Watch, "2s"))));
        assert_eq!(parse("SELECT 1"), None);
        assert_eq!(parse("help me"), None);
        assert_eq!(
            parse("\\timng").unwrap().unwrap_err(),
            "there is no command \\timng: did you mean \\timing?"
        );
        assert_eq!(parse("\\zzz").unwrap().unwrap_err(), "there is no command \\zzz: \\? lists them");
        assert!(is_command("\\d") && is_command("quit") && !is_command("SELECT") && !is_command(""));
    }

    #[test]
    fn every_word_is_there_once() {
        let mut words: Vec<&str> =
            COMMANDS.iter().flat_map(|c| std::iter::once(c.word).chain(c.also.iter().copied())).collect();
        let all = words.len();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), all);
        for c in COMMANDS {
            assert!(list(500).contains(c.does));
        }
        assert!(list(80).lines().all(|line| line.chars().count() <= 80));
    }
}
