//! `millstream topic export`.

use super::Failure;
use crate::cli::progress::grouped;
use crate::cli::run::{Interrupt, tell};
use crate::cli::terminal::Screen;
use crate::engine::{Engine, ExportOptions};
use std::path::Path;

/// Writes a topic's rows into a file.
pub(super) fn export(
    engine: &Engine,
    name: &str,
    path: &Path,
    options: &ExportOptions,
) -> Result<(), Failure> {
    let interrupt = Interrupt::listen(engine);
    let exported = engine.export_topic(name, path, options, &mut || !interrupt.has_come())?;
    if Screen::stderr().is_terminal() {
        match exported {
            Some(rows) => tell(&format!("{} rows written to {}", grouped(rows), path.display())),
            None => tell(&format!("{} was not written", path.display())),
        }
    }
    Ok(())
}
