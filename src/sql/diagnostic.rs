//! What a person is told about a mistake in SQL: a message, the place, and what to write instead.

use super::code::Code;
use std::ops::Range;

/// A mistake in SQL text, or what it is warned of. Messages are lower case, without a full stop, free of Rust type names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Diagnostic {
    /// What is wrong.
    pub message: String,
    /// Its kind, if that has a code.
    pub code: Option<Code>,
    /// Bytes of the source text that it is about; `None` where no place is known.
    pub span: Option<Range<usize>>,
    /// A few words under the caret, if they add something.
    pub label: Option<Box<str>>,
    /// What to write instead.
    pub help: Option<String>,
    /// Background.
    pub note: Option<String>,
}

impl Diagnostic {
    /// A mistake without a place.
    pub fn new(message: impl Into<String>) -> Self {
        Diagnostic { message: message.into(), code: None, span: None, label: None, help: None, note: None }
    }
    /// A mistake of a kind, without a place.
    pub fn coded(code: Code, message: impl Into<String>) -> Self {
        Diagnostic { code: Some(code), ..Diagnostic::new(message) }
    }
    /// Sets the place.
    pub fn at(mut self, span: Range<usize>) -> Self {
        self.span = Some(span);
        self
    }
    /// Sets the words under the caret.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into().into_boxed_str());
        self
    }
    /// Sets what to write instead.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
    /// Sets the background.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }
}
