//! What a session warns of when a job starts: state that will grow without end.

use super::Session;
use crate::catalog::StreamDef;
use crate::plan::Dataflow;
use crate::sql::{Diagnostic, EmitQuery};

impl Session {
    /// What the statements so far are warned of; each is told once.
    pub fn take_warnings(&mut self) -> Vec<Diagnostic> {
        std::mem::take(&mut self.warnings)
    }

    /// Warns of each operator of a query whose state nothing bounds.
    pub(super) fn warn_of_growth(&mut self, source: &str, flow: &Dataflow, query: &EmitQuery) {
        let endless =
            |name: &str| flow.sources.iter().any(|s| s.stream.name == name && is_endless(&s.stream));
        let warnings = flow.warnings(&endless, self.settings.state_ttl.is_some());
        // The whole query under a caret would hide the warning: its first word tells which it is.
        let text = source.get(query.span.clone()).unwrap_or_default();
        let word = text.find(|c: char| !c.is_alphanumeric()).filter(|end| *end > 0).unwrap_or(text.len());
        let place = query.span.start..query.span.start + word;
        self.warnings.extend(warnings.into_iter().map(|w| w.at(place.clone())));
    }
}

/// Whether a stream does not end by itself.
fn is_endless(stream: &StreamDef) -> bool {
    match stream.connector.as_str() {
        "topic" => true,
        "file" => stream.option("follow") == Some("true"),
        _ => false,
    }
}
