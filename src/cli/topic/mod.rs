//! `millstream topic …`.

mod care;
mod consume;
mod create;
mod describe;
mod export;
mod produce;

use super::Exit;
use super::args::Invocation;
use super::commands::TopicCommand;
use super::print::{Format, PrintError, ResultPrinter};
use super::report;
use super::run::{tell, tell_recoveries};
use super::terminal::Screen;
use crate::engine::{ConsumeOptions, Diagnostic, Engine, EngineError, ExportOptions, Start};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray};
use arrow::datatypes::{Field, Schema, SchemaRef};
use std::io;
use std::sync::Arc;

/// Runs a topic command.
pub(super) fn run(invocation: &Invocation, command: &TopicCommand) -> Exit {
    on_engine(invocation, |engine| match command {
        TopicCommand::Create { name, columns, partitions, codec, key, settings, with } => {
            let options = [
                ("partitions", partitions.map(|n| n.to_string())),
                ("codec", codec.clone()),
                ("key", key.clone()),
            ];
            let options = options.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?)));
            let options = options.chain(settings.given()).chain(with.iter().cloned());
            create::create(engine, name, columns, options.collect())
        }
        TopicCommand::List => describe::list(engine, invocation),
        TopicCommand::Describe { name } => describe::describe(engine, invocation, name),
        TopicCommand::Produce { name, no_header, on_error, producer } => {
            produce::produce(engine, invocation, name, *no_header, *on_error, producer.clone())
        }
        TopicCommand::Consume { name, rows, from, from_beginning, follow, partition, group, metadata } => {
            let options = ConsumeOptions {
                partition: *partition,
                from: from.or(from_beginning.then_some(Start::Earliest)),
                limit: *rows,
                follow: *follow,
                group: group.clone(),
                metadata: *metadata,
            };
            consume::consume(engine, invocation, name, &options)
        }
        TopicCommand::Export { name, to, partition, from, to_offset, metadata } => {
            let (partition, from, to_offset, metadata) = (*partition, *from, *to_offset, *metadata);
            export::export(engine, name, to, &ExportOptions { partition, from, to_offset, metadata })
        }
        TopicCommand::Alter { name, settings } => {
            let settings = settings.given();
            if settings.is_empty() {
                return Err(Failure::Usage(
                    "say what is to change: see 'millstream topic alter --help'".into(),
                ));
            }
            Ok(engine.alter_topic(name, &settings)?)
        }
        TopicCommand::Verify { name, partition } => care::verify(engine, invocation, name, *partition),
        TopicCommand::Repair { name, partition } => care::repair(engine, name, *partition),
        TopicCommand::Compact { name } => care::compact(engine, name),
        TopicCommand::Delete { name } => Ok(engine.delete_topic(name)?),
    })
}

/// Runs a command on the data directory, and tells how it failed if it did.
pub(super) fn on_engine(
    invocation: &Invocation,
    command: impl FnOnce(&Engine) -> Result<(), Failure>,
) -> Exit {
    let engine = match invocation.open() {
        Ok(engine) => engine,
        Err(error) => return failed_at(&error),
    };
    let done = command(&engine);
    tell_recoveries(&engine);
    match done {
        Ok(()) | Err(Failure::Print(PrintError::Closed)) => Exit::Done,
        Err(Failure::Sql(mistake, name, text)) => {
            tell(&report::render(&mistake, name, &text, Screen::stderr()));
            Exit::Sql
        }
        Err(Failure::Usage(message)) => {
            tell(&report::failure(&message, Screen::stderr()));
            Exit::Usage
        }
        Err(Failure::Engine(EngineError::Sql(mistake))) => {
            tell(&report::render(&mistake, "", "", Screen::stderr()));
            Exit::Failed
        }
        Err(Failure::Engine(error)) => failed_at(&error),
        Err(Failure::Print(error)) => failed(&error.to_string()),
    }
}

fn failed_at(error: &EngineError) -> Exit {
    tell(&report::error(error, "", Screen::stderr()));
    Exit::Failed
}

fn failed(message: &str) -> Exit {
    tell(&report::failure(message, Screen::stderr()));
    Exit::Failed
}

/// Why a command failed.
pub(super) enum Failure {
    Engine(EngineError),
    Print(PrintError),
    /// A mistake in a text of this name.
    Sql(Box<Diagnostic>, &'static str, String),
    /// The command line asks for what cannot be.
    Usage(String),
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Failure::Engine(error)
    }
}

impl From<PrintError> for Failure {
    fn from(error: PrintError) -> Self {
        Failure::Print(error)
    }
}

fn printer(invocation: &Invocation, schema: SchemaRef) -> ResultPrinter {
    let screen = Screen::stdout();
    let format = invocation.format.unwrap_or(Format::auto(screen.is_terminal()));
    ResultPrinter::new(format, schema, false, Box::new(io::stdout())).on(screen)
}

/// Prints a small table.
pub(super) fn print(invocation: &Invocation, columns: Vec<(&str, ArrayRef)>) -> Result<(), Failure> {
    let fields: Vec<Field> =
        columns.iter().map(|(n, c)| Field::new(*n, c.data_type().clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let arrays = columns.into_iter().map(|(_, c)| c).collect();
    print_batch(invocation, &RecordBatch::try_new(schema, arrays).map_err(PrintError::from)?)
}

/// Prints rows.
pub(super) fn print_batch(invocation: &Invocation, batch: &RecordBatch) -> Result<(), Failure> {
    let mut printer = printer(invocation, batch.schema());
    printer.write(batch, None)?;
    Ok(printer.finish()?)
}

pub(super) fn numbers(values: impl IntoIterator<Item = u64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values.into_iter().map(|v| v as i64)))
}

pub(super) fn some_numbers(values: impl IntoIterator<Item = Option<u64>>) -> ArrayRef {
    Arc::new(values.into_iter().map(|v| v.map(|v| v as i64)).collect::<Int64Array>())
}

pub(super) fn texts<T: AsRef<str>>(values: impl IntoIterator<Item = T>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

/// Times in nanoseconds since the epoch, shown to the millisecond: what lies below it tells nobody anything.
pub(super) fn times(values: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    let shown = |ns: i64| ns - ns.rem_euclid(1_000_000);
    Arc::new(values.into_iter().map(|v| v.map(shown)).collect::<TimestampNanosecondArray>())
}
