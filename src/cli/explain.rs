//! `millstream explain MS003`: what a mistake's code means, with an example.

use super::Exit;
use super::report;
use super::run::tell;
use super::terminal::Screen;
use super::wrap::wrapped;
use crate::engine::{CODES, explanation};
use std::io::{self, Write};

/// Prints the explanation of a code, or without one the list of all.
pub(super) fn run(code: Option<&str>) -> Exit {
    let width = Screen::stdout().width.unwrap_or(usize::MAX);
    let text = match code.map(|code| (code, explained(code, width))) {
        None => list(width),
        Some((_, Some(text))) => text,
        Some((code, None)) => {
            tell(&report::failure(&unknown(code), Screen::stderr()));
            return Exit::Usage;
        }
    };
    // Whoever reads it may have enough.
    let _ = io::stdout().write_all(text.as_bytes());
    Exit::Done
}

/// What is told of a code that is none.
pub(super) fn unknown(code: &str) -> String {
    let last = CODES.last().map_or("", |e| e.id);
    format!(
        "there is no code {code}: they go from {} to {last}, and 'millstream explain' lists them",
        CODES[0].id
    )
}

/// All codes, each with its first sentence.
fn list(width: usize) -> String {
    let first = |text: &'static str| text.split_inclusive(". ").next().unwrap_or(text).trim_end();
    CODES.iter().map(|e| wrapped(&format!("{}  {}", e.id, first(e.text)), width, 7)).collect()
}

/// The explanation of a code on a screen of a width.
pub(super) fn explained(code: &str, width: usize) -> Option<String> {
    let explanation = explanation(code.trim().trim_end_matches(';'))?;
    let mut text = format!("{}\n\n{}", explanation.id, wrapped(explanation.text, width, 0));
    for (what, sql) in [("Wrong", explanation.wrong), ("Right", explanation.right)] {
        if !sql.is_empty() {
            text += &format!("\n{what}:\n{}", wrapped(&format!("  {sql}"), width, 2));
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::engine::{Engine, EngineError, Outcome, SETUP, Session, parse_each};

    /// The codes of what is wrong with statements behind [`SETUP`].
    fn codes(sql: &str) -> Vec<Option<&'static str>> {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open_dir(dir.path()).unwrap();
        let mut session = Session::new(&engine, Settings::default(), Some("file"), false);
        let source = format!("{SETUP} {sql}");
        let mut found = Vec::new();
        for statement in parse_each(&source) {
            let done = statement
                .map_err(EngineError::from)
                .and_then(|s| session.check_statement(&source, &s.statement));
            match done {
                Ok(()) => {}
                Err(EngineError::Sql(mistake)) => found.push(mistake.code.map(|c| c.id())),
                Err(other) => panic!("{sql}: {other}"),
            }
        }
        found
    }

    /// The codes of what fails when statements are run behind [`SETUP`].
    fn failures(sql: &str) -> Vec<Option<&'static str>> {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open_dir(dir.path()).unwrap();
        let mut session = Session::new(&engine, Settings::default(), None, false);
        let source = format!("{SETUP} {sql}");
        let mut found = Vec::new();
        for statement in parse_each(&source) {
            let mut rows = match session.execute(&source, &statement.unwrap()) {
                Ok(Outcome::Bounded(rows)) => rows,
                Ok(_) => continue,
                Err(error) => {
                    found.push(error.told().code);
                    continue;
                }
            };
            let failed = loop {
                match rows.next_batch() {
                    Ok(Some(_)) => {}
                    Ok(None) => break None,
                    Err(error) => break Some(error),
                }
            };
            found.extend(failed.map(|error| error.told().code));
        }
        found.into_iter().map(|code| code.map(|c| c.id())).collect()
    }

    #[test]
    fn every_example_makes_its_mistake_and_its_remedy_none() {
        for e in CODES.iter().filter(|e| !e.wrong.is_empty()) {
            // What fails only on the data is no mistake in the text.
            let on_data = codes(e.wrong).is_empty();
            let found = if on_data { failures(e.wrong) } else { codes(e.wrong) };
            assert_eq!(found, [Some(e.id)], "{}", e.wrong);
            assert!(codes(e.right).is_empty(), "{}", e.right);
            assert!(!on_data || failures(e.right).is_empty(), "{}", e.right);
        }
    }

    #[test]
    fn an_explanation_has_a_text_and_an_example() {
        let text = explained("ms003", 80).unwrap();
        assert!(
            text.starts_with("MS003\n\nNone of the") && text.contains("\nRight:\n  SELECT city"),
            "{text}"
        );
        assert!(text.lines().all(|line| line.chars().count() <= 80));
        assert!(explained("MS000", 80).is_none());
        assert!(unknown("MS000").contains("MS001 to MS0"));
        assert_eq!(list(500).lines().count(), CODES.len());
    }
}
