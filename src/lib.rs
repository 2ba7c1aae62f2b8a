//! Millstream: a SQL streaming query engine over an embedded partitioned log.
//!
//! The modules in reading order, lowest first; each may import only those above it (tests/tidy.rs
//! holds the exact table):
//!
//! [`clock`] · [`disk`] · [`config`] · [`delta`] what everything else stands on;
//! [`log`] the partitioned log; [`state`] and [`operators`] the incremental operators;
//! [`formats`] and [`connectors`] bytes and outside systems; [`catalog`] and [`sql`] definitions
//! and text; [`plan`] text to dataflow; [`runtime`] a running job; [`engine`] the API;
//! [`mod@bench`] what is measured; [`cli`] the program.

pub mod bench;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connectors;
pub mod delta;
pub mod disk;
pub mod engine;
pub mod formats;
pub mod log;
pub mod operators;
pub mod plan;
pub mod runtime;
pub mod sql;
pub mod state;
