//! The integration tests: one binary, one module for each side of the program.

mod cli;
