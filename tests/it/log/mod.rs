//! The log between processes: this binary starts itself again as writers and readers of one data directory.

mod processes;
mod python;
