//! What a test asks of its engine, which runs in a process of its own so that it can be killed, and what that answers: a line of
//! JSON each.

use crate::engine::{Diagnostic, explanation};
use serde::{Deserialize, Serialize};

/// A row as text, and how often it is added, or taken back.
pub(super) type Change = (i64, Vec<Option<String>>);

/// What is to be done.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    /// Run the statement of `source` that begins at a byte.
    Run { source: String, start: usize },
    /// Take note that something once wrote what has this name, which has been dropped since.
    PassOver(String),
    /// Move the clock on by so many nanoseconds.
    Clock(u64),
    /// Move a stream's watermark to a time (ns).
    Watermark { stream: String, at: i64 },
    /// Insert these rows.
    Feed { into: String, names: Vec<String>, rows: Vec<Vec<Option<String>>> },
    /// Append a file's records, of which those that are there already are left out. `number` tells the feeds of a test apart.
    FeedFile { into: String, file: String, number: usize },
    /// Wait until the jobs have read all that there is.
    Settle,
    /// End the jobs with checkpoints.
    Stop,
}

/// What has become of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// It is done, and gives no rows.
    Done,
    /// The columns of a result, and its changes, those that came together together.
    Rows { names: Vec<String>, deltas: Vec<Vec<Change>> },
    /// The SQL is wrong.
    Mistake(Told),
    /// It failed.
    Failed(String),
}

/// A diagnostic on its way.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Told {
    message: String,
    code: Option<String>,
    span: Option<(usize, usize)>,
    label: Option<String>,
    help: Option<String>,
    note: Option<String>,
}

impl From<Diagnostic> for Told {
    fn from(d: Diagnostic) -> Self {
        let span = d.span.map(|s| (s.start, s.end));
        Told {
            message: d.message,
            code: d.code.map(|c| c.id().to_string()),
            span,
            label: d.label.map(String::from),
            help: d.help,
            note: d.note,
        }
    }
}

impl From<Told> for Diagnostic {
    fn from(told: Told) -> Self {
        let mut d = Diagnostic::new(told.message);
        d.code = told.code.and_then(|id| explanation(&id)).map(|e| e.code);
        d.span = told.span.map(|(start, end)| start..end);
        (d.label, d.help, d.note) = (told.label.map(String::into_boxed_str), told.help, told.note);
        d
    }
}
