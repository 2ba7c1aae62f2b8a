//! The integration tests: one binary, one module for each side of the program.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cli;
mod crash;
mod failing;
mod fed;
mod fuzz;
mod golden;
mod log;
mod oracle;
mod prompt;
mod readme;
mod select;
mod tpch;
mod ttl;
