//! `millstream check`: all that is wrong in SQL files, and which state would grow without end.

use super::Exit;
use super::args::Invocation;
use super::folder::Folder;
use super::print::Format;
use super::report;
use super::run::tell;
use super::terminal::Screen;
use crate::config::Settings;
use crate::engine::{
    Diagnostic, Engine, EngineError, PieceKind, Session, Statement, lex, parse_each, substitute,
};
use serde::Serialize;
use std::collections::HashSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A finding, as JSON.
#[derive(Debug, Serialize)]
struct Finding<'f> {
    file: &'f str,
    severity: &'static str,
    /// What `millstream explain` takes.
    code: Option<&'static str>,
    message: &'f str,
    /// From 1; of the first character that it is about.
    line: Option<usize>,
    column: Option<usize>,
    /// Behind the last character.
    end_line: Option<usize>,
    end_column: Option<usize>,
    label: Option<&'f str>,
    help: Option<&'f str>,
    note: Option<&'f str>,
}

/// Looks at the files.
pub(super) fn run(invocation: &Invocation, files: &[PathBuf], json: bool) -> Exit {
    let json = json || matches!(invocation.format, Some(Format::Jsonl | Format::Json));
    match check(invocation, files, json) {
        Ok(0) => Exit::Done,
        Ok(_) => Exit::Sql,
        Err(message) => {
            tell(&report::failure(&message, Screen::stderr()));
            Exit::Failed
        }
    }
}

/// How many mistakes there are.
fn check(invocation: &Invocation, files: &[PathBuf], json: bool) -> Result<usize, String> {
    let folder = Folder::make("check").map_err(|e| format!("cannot make a temporary directory: {e}"))?;
    let engine = Engine::open_dir(&folder.0).map_err(|e| e.to_string())?;
    // What is defined already counts, but nothing is made where nothing is.
    if invocation.data.exists() {
        let there = invocation.open().map_err(|e| e.to_string())?;
        engine.define_as(&there).map_err(|e| e.to_string())?;
    }
    let mut session = Session::new(&engine, Settings::default(), Some("check"), false);
    let mut told = Told { json, mistakes: 0, warnings: 0, screen: Screen::stdout() };
    for path in files {
        file(invocation, &mut session, path, &mut told)?;
    }
    if !json {
        let count = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
        let all = count(files.len(), "file");
        let line = format!("{all}: {}, {}", count(told.mistakes, "mistake"), count(told.warnings, "warning"));
        put(&line)?;
    }
    Ok(told.mistakes)
}

struct Told {
    json: bool,
    mistakes: usize,
    warnings: usize,
    screen: Screen,
}

fn file(invocation: &Invocation, session: &mut Session, path: &Path, told: &mut Told) -> Result<(), String> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => format!("there is no file {name}"),
        io::ErrorKind::InvalidData => format!("{name} is not UTF-8 text"),
        _ => format!("cannot read {name}: {e}"),
    })?;
    let source = match substitute(&text, &|variable| invocation.variable(variable)) {
        Ok(source) => source,
        Err(mistake) => return told.tell(&mistake, &name, &text, true),
    };
    // What was not made because of a mistake is not missed once more.
    let mut missing: HashSet<String> = HashSet::new();
    for statement in parse_each(&source) {
        let (checked, makes) = match statement {
            Ok(parsed) => (session.check_statement(&source, &parsed.statement), made(&parsed.statement)),
            Err(mistake) => {
                let makes = mistake.span.as_ref().and_then(|span| named(&source, span.start));
                (Err(mistake.into()), makes)
            }
        };
        for warning in session.take_warnings() {
            told.tell(&warning, &name, &source, false)?;
        }
        let Err(error) = checked else { continue };
        let mistake = match error {
            EngineError::Sql(mistake) => mistake,
            error => error.told(),
        };
        let follows = missing.iter().any(|gone| {
            mistake.message.starts_with("there is no") && mistake.message.contains(&format!("\"{gone}\""))
        });
        missing.extend(makes);
        if !follows {
            told.tell(&mistake, &name, &source, true)?;
        }
    }
    Ok(())
}

/// What a statement defines.
fn made(statement: &Statement) -> Option<String> {
    match statement {
        Statement::CreateStream(create) => Some(create.name.value.clone()),
        Statement::CreateView(create) => Some(create.name.value.clone()),
        _ => None,
    }
}

/// What the statement around a byte would define that cannot be read.
fn named(source: &str, byte: usize) -> Option<String> {
    let mut words: Vec<&str> = Vec::new();
    for piece in lex(source).pieces {
        match piece.kind {
            PieceKind::Semicolon if piece.span.start >= byte => break,
            PieceKind::Semicolon => words.clear(),
            PieceKind::Comment => {}
            _ => words.push(&source[piece.span.clone()]),
        }
    }
    let is = |word: &str, among: &[&str]| among.iter().any(|w| word.eq_ignore_ascii_case(w));
    let mut words = words.into_iter().skip_while(|w| is(w, &["CREATE", "OR", "REPLACE", "MATERIALIZED"]));
    let kind = words.next().filter(|w| is(w, &["STREAM", "TABLE", "VIEW"]));
    kind?;
    let name = words.find(|w| !is(w, &["IF", "NOT", "EXISTS"]))?;
    Some(match name.strip_prefix('"') {
        Some(quoted) => quoted.trim_end_matches('"').into(),
        None => name.to_ascii_lowercase(),
    })
}

impl Told {
    fn tell(&mut self, finding: &Diagnostic, name: &str, source: &str, mistake: bool) -> Result<(), String> {
        if mistake {
            self.mistakes += 1;
        } else {
            self.warnings += 1;
        }
        if !self.json {
            return put(&match mistake {
                true => report::render(finding, name, source, self.screen),
                false => report::warning(finding, name, source, self.screen),
            });
        }
        let from = finding.span.as_ref().map(|span| place(source, span.start));
        let to = finding.span.as_ref().map(|span| place(source, span.end));
        let finding = Finding {
            file: name,
            severity: if mistake { "error" } else { "warning" },
            code: finding.code.map(crate::engine::Code::id),
            message: &finding.message,
            line: from.map(|p| p.0),
            column: from.map(|p| p.1),
            end_line: to.map(|p| p.0),
            end_column: to.map(|p| p.1),
            label: finding.label.as_deref(),
            help: finding.help.as_deref(),
            note: finding.note.as_deref(),
        };
        put(&serde_json::to_string(&finding).map_err(|e| e.to_string())?)
    }
}

/// Line and character of a byte, from 1.
fn place(source: &str, byte: usize) -> (usize, usize) {
    let mut byte = byte.min(source.len());
    while !source.is_char_boundary(byte) {
        byte -= 1;
    }
    let before = &source[..byte];
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
}

/// Writes to standard output; whoever reads it may have enough.
fn put(text: &str) -> Result<(), String> {
    match writeln!(io::stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("cannot write: {error}")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_has_a_name_all_the_same() {
        let source = "CREATE STREAM a (b INT); CREATE TABLE IF NOT EXISTS Wrong (b TXT); SELECT 1 FRM x;";
        let at = |word: &str| named(source, source.find(word).unwrap());
        assert_eq!([at("INT"), at("TXT"), at("FRM")], [Some("a".into()), Some("wrong".into()), None]);
        assert_eq!(named("CREATE MATERIALIZED VIEW \"My V\" AS SELEC", 36), Some("My V".into()));
    }

    #[test]
    fn places_count_characters() {
        let source = "a\né東x\n";
        assert_eq!(
            [place(source, 0), place(source, 2), place(source, 7), place(source, 99)],
            [(1, 1), (2, 1), (2, 3), (3, 1)]
        );
        assert_eq!(place(source, 3), (2, 1));
    }
}
