//! `millstream topic produce`.

use super::Failure;
use crate::cli::args::Invocation;
use crate::cli::commands::OnError;
use crate::cli::print::Format;
use crate::cli::progress::grouped;
use crate::cli::run::{Interrupt, tell};
use crate::cli::terminal::Screen;
use crate::engine::{CsvOptions, Engine, InputFormat, ProduceOptions};

/// So many bad records are told one by one.
const TOLD: u64 = 20;

/// Appends the records of standard input.
pub(super) fn produce(
    engine: &Engine,
    invocation: &Invocation,
    name: &str,
    no_header: bool,
    on_error: OnError,
    producer: Option<String>,
) -> Result<(), Failure> {
    let csv = |delimiter| CsvOptions { header: !no_header, delimiter };
    let format = match invocation.format {
        None | Some(Format::Jsonl | Format::Json) if no_header => {
            return Err(Failure::Usage("--no-header goes with --format csv".into()));
        }
        None | Some(Format::Jsonl | Format::Json) => InputFormat::Json,
        Some(Format::Csv) => InputFormat::Csv(csv(b',')),
        Some(Format::Tsv) => InputFormat::Csv(csv(b'\t')),
        Some(_) => return Err(Failure::Usage("records are read as jsonl, csv or tsv".into())),
    };
    let options = ProduceOptions { format, skip_bad: on_error == OnError::Skip, producer };
    let interrupt = Interrupt::listen(engine);
    let mut told = 0;
    let produced =
        engine.produce(name, &options, std::io::stdin(), &mut || !interrupt.has_come(), &mut |bad| {
            told += 1;
            if told <= TOLD {
                let column = bad.column.map(|column| format!(":{column}")).unwrap_or_default();
                tell(&format!("{}:{}{column}: {}", bad.origin, bad.line, bad.reason));
            }
        })?;
    let rows = |n: u64| if n == 1 { "1 row".to_string() } else { format!("{} rows", grouped(n)) };
    if produced.bad > 0 {
        let were = if produced.bad == 1 { "record was" } else { "records were" };
        tell(&format!("note: {} {were} left out", grouped(produced.bad)));
    }
    if Screen::stderr().is_terminal() {
        let known = if produced.known > 0 {
            format!(", {} were there already", rows(produced.known))
        } else {
            String::new()
        };
        tell(&format!("{} appended to {name}{known}", rows(produced.rows)));
    }
    Ok(())
}
