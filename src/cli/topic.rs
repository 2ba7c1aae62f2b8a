//! `millstream topic list|describe|consume|delete`.

use super::Exit;
use super::args::{Invocation, TopicCommand};
use super::print::{Format, PrintError, ResultPrinter, type_name};
use super::report;
use super::run::{Interrupt, tell, tell_recoveries};
use super::terminal::Screen;
use crate::engine::{Diagnostic, Engine, EngineError};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema};
use std::io;
use std::sync::Arc;

/// Runs a topic command.
pub(super) fn run(invocation: &Invocation, command: &TopicCommand) -> Exit {
    let engine = match Engine::open_dir(&invocation.data) {
        Ok(engine) => engine,
        Err(error) => return failed(&error.to_string()),
    };
    let done = match command {
        TopicCommand::List => list(&engine, invocation),
        TopicCommand::Describe { name } => describe(&engine, invocation, name),
        TopicCommand::Consume { name, rows, follow, partition, from_beginning: _ } => {
            consume(&engine, invocation, name, rows.unwrap_or(u64::MAX), *follow, *partition)
        }
        TopicCommand::Delete { name } => engine.delete_topic(name).map_err(TopicFailure::Engine),
    };
    tell_recoveries(&engine);
    match done {
        Ok(()) | Err(TopicFailure::Print(PrintError::Closed)) => Exit::Done,
        Err(TopicFailure::Engine(error)) => failed(&error.to_string()),
        Err(TopicFailure::Print(error)) => failed(&error.to_string()),
    }
}

fn failed(message: &str) -> Exit {
    tell(&report::failure(message, Screen::stderr()));
    Exit::Failed
}

enum TopicFailure {
    Engine(EngineError),
    Print(PrintError),
}

impl From<EngineError> for TopicFailure {
    fn from(error: EngineError) -> Self {
        TopicFailure::Engine(error)
    }
}

impl From<PrintError> for TopicFailure {
    fn from(error: PrintError) -> Self {
        TopicFailure::Print(error)
    }
}

fn printer(invocation: &Invocation, schema: Arc<Schema>) -> ResultPrinter {
    let screen = Screen::stdout();
    let format = invocation.format.unwrap_or(Format::auto(screen.is_terminal()));
    ResultPrinter::new(format, schema, false, Box::new(io::stdout())).on(screen)
}

fn print(invocation: &Invocation, columns: Vec<(&str, ArrayRef)>) -> Result<(), TopicFailure> {
    let fields: Vec<Field> =
        columns.iter().map(|(n, c)| Field::new(*n, c.data_type().clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let arrays = columns.into_iter().map(|(_, c)| c).collect();
    let batch = RecordBatch::try_new(schema.clone(), arrays).map_err(PrintError::from)?;
    let mut printer = printer(invocation, schema);
    printer.write(&batch, None)?;
    Ok(printer.finish()?)
}

fn numbers(values: impl IntoIterator<Item = u64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values.into_iter().map(|v| v as i64)))
}

fn list(engine: &Engine, invocation: &Invocation) -> Result<(), TopicFailure> {
    let topics = engine.topics()?;
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(topics.iter().map(|t| &t.name)));
    let partitions = numbers(topics.iter().map(|t| u64::from(t.partitions)));
    let rows = numbers(topics.iter().map(|t| t.rows));
    print(invocation, vec![("topic", names), ("partitions", partitions), ("rows", rows)])
}

fn describe(engine: &Engine, invocation: &Invocation, name: &str) -> Result<(), TopicFailure> {
    let topic = engine.describe_topic(name)?;
    let columns: Vec<String> =
        topic.schema.fields().iter().map(|f| format!("{} {}", f.name(), type_name(f.data_type()))).collect();
    tell(&format!("{} ({}), frames compressed with {}", topic.name, columns.join(", "), topic.codec));
    let partitions = &topic.partitions;
    print(
        invocation,
        vec![
            ("partition", numbers(0..partitions.len() as u64)),
            ("start_offset", numbers(partitions.iter().map(|p| p.0))),
            ("end_offset", numbers(partitions.iter().map(|p| p.1))),
            ("rows", numbers(partitions.iter().map(|p| p.1 - p.0))),
        ],
    )
}

fn consume(
    engine: &Engine,
    invocation: &Invocation,
    name: &str,
    mut left: u64,
    follow: bool,
    partition: Option<u32>,
) -> Result<(), TopicFailure> {
    let topic = engine.describe_topic(name)?;
    if let Some(p) = partition.filter(|p| *p as usize >= topic.partitions.len()) {
        let last = topic.partitions.len() - 1;
        let d = Diagnostic::new(format!("topic {name} has partitions 0 to {last}, not {p}"));
        return Err(EngineError::Sql(d).into());
    }
    let interrupt = Interrupt::listen(engine);
    let mut printer = printer(invocation, topic.schema);
    let mut printed: Result<(), PrintError> = Ok(());
    let consumed =
        engine.consume_topic(name, partition, follow, &mut || !interrupt.has_come(), &mut |consumed| {
            let rows = left.min(consumed.batch.num_rows() as u64);
            left -= rows;
            printed = printer.write(&consumed.batch.slice(0, rows as usize), None);
            if follow && printed.is_ok() {
                printed = printer.flush();
            }
            Ok(left > 0 && printed.is_ok())
        });
    printed?;
    // The rows before a damaged place are good.
    printer.finish()?;
    Ok(consumed?)
}
