//! The line that is typed: rustyline, told what a statement is, how it is coloured and what can be completed.

use super::complete::{Names, complete};
use super::history;
use super::meta::is_command;
use crate::engine::{PieceKind, lex};
use rustyline::completion::Completer;
use rustyline::config::{Behavior, BellStyle, CompletionType};
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{ColorMode, Config, Context, Editor, ExternalPrinter, Helper};
use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Writes a line above the prompt.
pub(super) type Above = Box<dyn FnMut(String) + Send>;

/// What was typed.
pub(super) enum Typed {
    /// A whole text.
    Text(String),
    /// Ctrl-C: the line is given up.
    Nothing,
    /// Ctrl-D, or the terminal has gone.
    End,
}

/// The line editor with its history.
pub(super) struct Line {
    editor: Editor<Knows, FileHistory>,
    file: Option<PathBuf>,
}

impl Line {
    /// An editor that completes from `names`. Fails if the terminal cannot be used.
    pub(super) fn open(names: Arc<Mutex<Names>>, colour: bool) -> Result<Self, ReadlineError> {
        let config = Config::builder()
            .max_history_size(history::MOST)?
            .history_ignore_dups(true)?
            .completion_type(CompletionType::List)
            .completion_prompt_limit(200)
            .bell_style(BellStyle::None)
            .behavior(Behavior::Stdio)
            .bracketed_paste(true)
            .auto_add_history(false)
            .color_mode(if colour { ColorMode::Enabled } else { ColorMode::Disabled })
            .build();
        let mut editor = Editor::with_config(config)?;
        editor.set_helper(Some(Knows { names, colour, asking: false }));
        let file = history::file();
        if let Some(file) = &file {
            // The first time there is none; one that cannot be read is no reason not to work.
            let _ = editor.load_history(file);
        }
        Ok(Line { editor, file })
    }

    /// What writes above the line while it is typed.
    pub(super) fn above(&mut self) -> Result<Above, ReadlineError> {
        let mut printer = self.editor.create_external_printer()?;
        Ok(Box::new(move |text| {
            // A terminal that has gone hears of nothing more.
            let _ = printer.print(text);
        }))
    }

    /// Waits for a text.
    pub(super) fn read(&mut self, prompt: &str, begun: &str) -> Typed {
        let read = match begun {
            "" => self.editor.readline(prompt),
            begun => self.editor.readline_with_initial(prompt, (begun, "")),
        };
        match read {
            Ok(text) => Typed::Text(text),
            Err(ReadlineError::Interrupted) => Typed::Nothing,
            Err(_) => Typed::End,
        }
    }

    /// Asks something that is answered in a line.
    pub(super) fn ask(&mut self, prompt: &str) -> Typed {
        let asking = |editor: &mut Editor<Knows, FileHistory>, asking| {
            if let Some(knows) = editor.helper_mut() {
                knows.asking = asking;
            }
        };
        asking(&mut self.editor, true);
        let answer = self.read(prompt, "");
        asking(&mut self.editor, false);
        answer
    }

    /// Keeps a text in the history, in the file as well.
    pub(super) fn keep(&mut self, text: &str) {
        let kept = history::kept(text.trim());
        let added = !kept.is_empty() && self.editor.add_history_entry(kept).unwrap_or(false);
        if let Some(file) = self.file.as_ref().filter(|_| added) {
            // A history that cannot be written is no reason not to work.
            let _ = self.editor.append_history(file);
        }
    }

    /// Puts a text into the history of this session alone.
    pub(super) fn suggest(&mut self, text: &str) {
        let _ = self.editor.add_history_entry(text);
    }

    /// The last text that was kept.
    pub(super) fn last(&self) -> Option<String> {
        use rustyline::history::{History, SearchDirection};
        let history = self.editor.history();
        let at = history.len().checked_sub(1)?;
        history.get(at, SearchDirection::Forward).ok()?.map(|found| found.entry.into_owned())
    }
}

/// What the editor knows of SQL.
struct Knows {
    names: Arc<Mutex<Names>>,
    colour: bool,
    /// An answer is typed, not SQL.
    asking: bool,
}

impl Helper for Knows {}

impl Hinter for Knows {
    type Hint = String;
}

impl Validator for Knows {
    fn validate(&self, context: &mut ValidationContext) -> rustyline::Result<ValidationResult> {
        Ok(if self.asking || is_whole(context.input()) {
            ValidationResult::Valid(None)
        } else {
            ValidationResult::Incomplete
        })
    }
}

/// Whether a text is run when Enter is pressed, or has a further line.
pub(super) fn is_whole(text: &str) -> bool {
    is_command(text) || lex(text).ends()
}

impl Completer for Knows {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        // What stands behind the cursor tells which columns are in scope; what is completed stands before it.
        let (start, words) = complete(&names, line.get(..pos).unwrap_or(line));
        if words.is_empty() && !line[pos..].is_empty() {
            return Ok((start, complete_within(&names, line, pos)));
        }
        Ok((start, words))
    }
}

/// Completes in the middle of a text, where the relations that are named further behind count.
fn complete_within(names: &Names, line: &str, pos: usize) -> Vec<String> {
    let moved = format!("{} ; {}", &line[pos..], &line[..pos]);
    complete(names, &moved).1
}

impl Highlighter for Knows {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        if self.colour && !is_command(line) { coloured(line).into() } else { line.into() }
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        if self.colour { format!("\u{1b}[1m{prompt}\u{1b}[0m").into() } else { prompt.into() }
    }

    fn highlight_char(&self, _: &str, _: usize, _: CmdKind) -> bool {
        self.colour
    }
}

/// The text with its keywords, strings, numbers and comments coloured.
fn coloured(line: &str) -> String {
    let mut text = String::with_capacity(line.len() * 2);
    let mut done = 0;
    for piece in lex(line).pieces {
        text.push_str(&line[done..piece.span.start]);
        let colour = match piece.kind {
            PieceKind::Keyword => "1;34",
            PieceKind::Text => "32",
            PieceKind::Number => "36",
            PieceKind::Comment => "2",
            PieceKind::Name | PieceKind::Sign | PieceKind::Semicolon => "",
        };
        let word = &line[piece.span.clone()];
        match colour {
            "" => text.push_str(word),
            colour => text.push_str(&format!("\u{1b}[{colour}m{word}\u{1b}[0m")),
        }
        done = piece.span.end;
    }
    text.push_str(&line[done..]);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_whole_at_its_semicolon_and_a_command_at_its_line() {
        for text in ["", "SELECT 1;", "\\d", "\\watch 2s", "exit", ".tables", "SELECT ';' ;"] {
            assert!(is_whole(text), "{text}");
        }
        for text in ["SELECT 1", "SELECT ';", "SELECT 1; SELECT", "exits"] {
            assert!(!is_whole(text), "{text}");
        }
    }

    #[test]
    fn colours_change_no_character() {
        let line = "SELECT 'é', 1 -- x\nFROM t";
        let text = coloured(line);
        assert!(
            text.contains("\u{1b}[1;34mSELECT\u{1b}[0m") && text.contains("\u{1b}[32m'é'\u{1b}[0m"),
            "{text:?}"
        );
        let mut plain = String::new();
        let mut inside = false;
        for c in text.chars() {
            match c {
                '\u{1b}' => inside = true,
                'm' if inside => inside = false,
                c if !inside => plain.push(c),
                _ => {}
            }
        }
        assert_eq!(plain, line);
    }

    #[test]
    fn in_the_middle_the_relations_behind_count() {
        let names = Names {
            relations: vec![super::super::complete::Relation {
                name: "t".into(),
                columns: vec!["alpha".into()],
            }],
            ..Names::default()
        };
        let line = "SELECT al FROM t";
        assert_eq!(complete_within(&names, line, 9), ["alpha", "all"]);
    }
}
