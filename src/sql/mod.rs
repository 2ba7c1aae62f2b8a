//! Text to statements: sqlparser plus our clauses, and diagnostics with a caret. May use nothing of ours.

pub mod diagnostic;
pub mod statement;

pub use diagnostic::Diagnostic;
pub use statement::*;
