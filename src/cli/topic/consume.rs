//! `millstream topic consume`.

use super::{Failure, printer};
use crate::cli::args::Invocation;
use crate::cli::print::PrintError;
use crate::cli::progress::grouped;
use crate::cli::run::{Interrupt, tell};
use crate::engine::{ConsumeOptions, Consumed, Engine};

/// Prints a topic's rows. Those of a group are out before their place is kept.
pub(super) fn consume(
    engine: &Engine,
    invocation: &Invocation,
    name: &str,
    options: &ConsumeOptions,
) -> Result<(), Failure> {
    let schema = engine.consumed_schema(name, options.metadata)?;
    let interrupt = Interrupt::listen(engine);
    let mut printer = printer(invocation, schema);
    let mut printed: Result<(), PrintError> = Ok(());
    let at_once = options.follow || options.group.is_some();
    let consumed = engine.consume_topic(name, options, &mut || !interrupt.has_come(), &mut |consumed| {
        match consumed {
            Consumed::Rows { batch, .. } => {
                printed = printer.write(&batch, None);
                if at_once && printed.is_ok() {
                    printed = printer.flush();
                }
            }
            Consumed::Missed { partition, rows } => tell(&format!(
                "note: {} rows of partition {partition} that the group had not read are not there any more",
                grouped(rows)
            )),
        }
        Ok(printed.is_ok())
    });
    printed?;
    // The rows before a damaged place are good.
    printer.finish()?;
    Ok(consumed?)
}
