//! What is known of the terminal that a stream ends in: its width, and whether colour is welcome.

use rustix::termios::tcgetwinsize;
use std::env;
use std::io::IsTerminal;
use std::sync::OnceLock;

/// Columns assumed for a terminal that does not say how wide it is.
const UNKNOWN_WIDTH: usize = 80;

/// Rows assumed for a terminal that does not say how high it is.
const UNKNOWN_HEIGHT: usize = 24;

/// Whether colour is used: `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What the command line says of colour, once for the process.
static COLOUR: OnceLock<Colour> = OnceLock::new();

/// Takes note of `--color`.
pub(super) fn choose(colour: Colour) {
    // Only the first counts, and there is one command line.
    let _ = COLOUR.set(colour);
}

/// Columns and rows of the terminal behind standard output.
pub(super) fn size() -> (usize, usize) {
    let told = tcgetwinsize(rustix::stdio::stdout()).ok();
    let part = |n: u16, unknown| if n == 0 { unknown } else { usize::from(n) };
    told.map_or((UNKNOWN_WIDTH, UNKNOWN_HEIGHT), |size| {
        (part(size.ws_col, UNKNOWN_WIDTH), part(size.ws_row, UNKNOWN_HEIGHT))
    })
}

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
        Screen::of(std::io::stdout().is_terminal(), || tcgetwinsize(rustix::stdio::stdout()))
    }

    /// The screen behind standard error.
    pub fn stderr() -> Self {
        Screen::of(std::io::stderr().is_terminal(), || tcgetwinsize(rustix::stdio::stderr()))
    }

    /// Whether there is a terminal at all.
    pub fn is_terminal(&self) -> bool {
        self.width.is_some()
    }

    fn of(
        terminal: bool,
        size: impl FnOnce() -> Result<rustix::termios::Winsize, rustix::io::Errno>,
    ) -> Self {
        let chosen = COLOUR.get().copied().unwrap_or(Colour::Auto);
        if !terminal {
            return Screen { colour: chosen == Colour::Always, ..Screen::default() };
        }
        let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let told = size().ok().map(|size| usize::from(size.ws_col)).filter(|w| *w > 0);
        let width = told.or_else(|| variable("COLUMNS").and_then(|c| c.parse().ok()).filter(|w| *w > 0));
        // https://no-color.org: set and not empty means no colour.
        let welcome = variable("NO_COLOR").is_none() && variable("TERM").is_none_or(|t| t != "dumb");
        Screen {
            width: Some(width.unwrap_or(UNKNOWN_WIDTH)),
            colour: chosen == Colour::Always || chosen == Colour::Auto && welcome,
        }
    }
}
