//! Text to statements: sqlparser plus our clauses, and diagnostics with a caret. May use nothing of ours.
//!
//! The way of a text: [`substitute`] fills `${NAME}` in; [`tokens`] cuts it into statements; [`start`] rewrites AT behind a stream's
//! name in the tokens, [`ksql`] and [`within`] two clauses of ksqlDB's; [`parser`] and [`ddl`] read statements, with sqlparser for queries and expressions; [`rewrite`] walks each
//! query once, brings every window into one form ([`group_window`], [`window`]) and refuses what would be ignored
//! ([`refuse`]). The planner then asks [`window_call`] what a table factor is, and calls [`expose_metadata`].

pub mod code;
mod compare;
mod cursor;
mod ddl;
mod depth;
mod dialect;
mod exact;
mod group_window;
mod headings;
mod interval;
mod items;
mod job;
mod ksql;
mod lex;
mod listing;
mod metadata;
mod parser;
mod partition;
mod place;
#[cfg(test)]
mod planned;
mod refuse;
mod relation;
mod rewrite;
mod start;
mod substitute;
mod suspects;
mod table;
mod tokens;
mod types;
mod window;
mod within;
mod words;

pub mod diagnostic;
pub mod statement;

pub use code::{CODES, Code, Explanation, SETUP, explanation};
pub use compare::{normalized, same_text, text_changes};
pub use depth::with_deep_stack;
pub use diagnostic::Diagnostic;
pub use exact::{exact_items, exact_values};
pub use headings::headings;
pub use items::{ValuesRow, select_items, values_rows};
pub use lex::{Lexed, Piece, PieceKind, lex};
pub use listing::{ListedBy, listed_by};
pub use metadata::{METADATA_COLUMNS, METADATA_SUFFIX, expose_metadata, mentions, reads};
pub use parser::{parse, parse_all, parse_each};
pub use place::byte_range;
pub use relation::call;
pub use start::{StartAt, has_start, split_start};
pub use statement::*;
pub use substitute::substitute;
pub use suspects::{Suspect, suspects};
pub use table::with_columns;
pub use window::{WindowCall, WindowKind, window_call};
pub use within::WITHIN;
pub use words::folded as fold;
