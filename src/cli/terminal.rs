//! What is known of the terminal that a stream ends in: its width, and whether colour is welcome.

use std::env;
use std::io::IsTerminal;

/// Columns assumed for a terminal that does not say how wide it is.
const UNKNOWN_WIDTH: usize = 80;

/// How an output stream is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Screen {
    /// Columns of the terminal; `None` = not a terminal: nothing may be cut or redrawn.
    pub width: Option<usize>,
    /// Colour may be used.
    pub colour: bool,
}

impl Screen {
    /// The screen behind standard output.
    pub fn stdout() -> Self {
        Screen::of(std::io::stdout().is_terminal())
    }

    /// The screen behind standard error.
    pub fn stderr() -> Self {
        Screen::of(std::io::stderr().is_terminal())
    }

    /// Whether there is a terminal at all.
    pub fn is_terminal(&self) -> bool {
        self.width.is_some()
    }

    fn of(terminal: bool) -> Self {
        if !terminal {
            return Screen::default();
        }
        let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let width = variable("COLUMNS").and_then(|c| c.parse().ok()).filter(|w| *w > 0);
        Screen {
            width: Some(width.unwrap_or(UNKNOWN_WIDTH)),
            // https://no-color.org: set and not empty means no colour.
            colour: variable("NO_COLOR").is_none() && variable("TERM").is_none_or(|t| t != "dumb"),
        }
    }
}
