//! Prints results, batch by batch as they come: tables for people, JSON, CSV, Arrow and Parquet for programs.
//!
//! Rows may carry weights. A row of weight n is written n times; in a stream of changes each row
//! says in `_op` whether it was added (`+`) or taken back (`-`), so that folding the lines gives
//! the answer.

mod cells;
mod csv;
mod files;
mod json;
mod lines;
mod table;

pub use crate::delta::shown_type;
pub(super) use cells::{cell_text, cells};
pub(super) use lines::columns_line;
pub(super) use table::{fit, is_number, least_widths};

use crate::cli::terminal::Screen;
use crate::cli::wrap::wrapped;
use crate::config::OutputFormat;
use arrow::array::{ArrayRef, DictionaryArray, Int8Array, Int64Array, RecordBatch, StringArray, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use std::io::{self, Write};
use std::sync::Arc;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A drawn table, cut to the screen where it ends on one.
    Table,
    /// A drawn table in full width.
    Box,
    /// A table in Markdown.
    Md,
    /// A line for each column.
    Line,
    /// One JSON object a line.
    Jsonl,
    /// One JSON array.
    Json,
    /// Comma-separated values with a header.
    Csv,
    /// The same separated by tabs.
    Tsv,
    /// An Arrow IPC stream.
    Arrow,
    /// A Parquet file.
    Parquet,
    /// Nothing at all.
    Null,
}

impl Format {
    /// The format where none was asked for: a table on a terminal, JSON lines in a pipe.
    pub fn auto(stdout_is_terminal: bool) -> Self {
        if stdout_is_terminal { Format::Table } else { Format::Jsonl }
    }

    /// The format that the setting `format` asks for.
    pub fn of(setting: OutputFormat, stdout_is_terminal: bool) -> Self {
        match setting {
            OutputFormat::Auto => Format::auto(stdout_is_terminal),
            OutputFormat::Table => Format::Table,
            OutputFormat::Box => Format::Box,
            OutputFormat::Md => Format::Md,
            OutputFormat::Line => Format::Line,
            OutputFormat::Jsonl => Format::Jsonl,
            OutputFormat::Json => Format::Json,
            OutputFormat::Csv => Format::Csv,
            OutputFormat::Tsv => Format::Tsv,
            OutputFormat::Arrow => Format::Arrow,
            OutputFormat::Parquet => Format::Parquet,
            OutputFormat::Null => Format::Null,
        }
    }

    /// Whether it is drawn for people: notes may stand between results.
    pub fn is_drawn(self) -> bool {
        matches!(self, Format::Table | Format::Box | Format::Md | Format::Line)
    }

    /// Whether it would upset a terminal.
    pub fn is_binary(self) -> bool {
        matches!(self, Format::Arrow | Format::Parquet)
    }
}

/// Why rows could not be printed.
#[derive(Debug, thiserror::Error)]
pub enum PrintError {
    /// Whoever read our output has gone (`| head` does that): the program ends, and that is no failure.
    #[error("the reader of the output has gone")]
    Closed,
    /// The output cannot be written.
    #[error("cannot write the result: {0}")]
    Io(io::Error),
    /// A value cannot be put into the format.
    #[error("cannot print the result: {0}")]
    Encode(#[from] ArrowError),
    /// Bytes that no terminal can show.
    #[error(
        "{0} is not for a terminal: write it to a file or into a pipe, as in 'millstream … > result.{0}'"
    )]
    Binary(&'static str),
    /// A row was taken back, but this result has no `_op` that could say so.
    #[error("the result takes a row back, which only a stream of changes can show: use EMIT CHANGES")]
    Retraction,
}

impl From<io::Error> for PrintError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { PrintError::Closed } else { PrintError::Io(error) }
    }
}

/// Prints sentences for people, each on a line of its own; on a terminal they are broken between words.
pub fn print_prose<T: AsRef<str>>(sentences: &[T]) -> Result<(), PrintError> {
    let width = Screen::stdout().width.unwrap_or(usize::MAX);
    let mut out = io::stdout().lock();
    for sentence in sentences {
        out.write_all(wrapped(sentence.as_ref(), width, 2).as_bytes())?;
    }
    Ok(())
}

/// The column that says whether a row was added or taken back.
const OP: &str = "_op";
/// Rows that are encoded at once, which bounds the text held in memory.
const CHUNK_ROWS: usize = 8192;

/// Writes one result.
pub struct ResultPrinter {
    encoder: Encoder,
    /// What ends on a screen is to fit it.
    fits: bool,
    /// The schema as printed: with `_op` in front for changes.
    schema: SchemaRef,
    changes: bool,
    /// Encoded text that is not yet written; empty between calls.
    text: Vec<u8>,
    out: Box<dyn Write + Send>,
}

enum Encoder {
    Table(Box<table::Table>),
    Markdown(lines::Markdown),
    Lines(lines::Lines),
    Jsonl,
    Json(json::Array),
    Csv(csv::Csv),
    Arrow(Box<files::ArrowStream>),
    Parquet(Box<files::ParquetFile>),
    Null,
    /// The schema cannot be written; told with the first rows.
    Failed(Option<ArrowError>),
}

impl ResultPrinter {
    /// A printer of rows of `schema` to `out`. `changes`: rows carry `_op`. Takes `out` for a file
    /// or pipe; see [`ResultPrinter::on`] for a terminal.
    pub fn new(format: Format, schema: SchemaRef, changes: bool, out: Box<dyn Write + Send>) -> Self {
        let schema = if changes { with_op_field(&schema) } else { schema };
        let encoder = match format {
            Format::Table | Format::Box => {
                Encoder::Table(Box::new(table::Table::new(schema.clone(), changes, Screen::default())))
            }
            Format::Md => Encoder::Markdown(lines::Markdown::new(schema.clone())),
            Format::Line => Encoder::Lines(lines::Lines::new(schema.clone())),
            Format::Jsonl => Encoder::Jsonl,
            Format::Json => Encoder::Json(json::Array::default()),
            Format::Csv => Encoder::Csv(csv::Csv::new(schema.clone(), b',')),
            Format::Tsv => Encoder::Csv(csv::Csv::new(schema.clone(), b'\t')),
            Format::Arrow => files::ArrowStream::new(&schema)
                .map_or_else(|e| Encoder::Failed(Some(e)), |stream| Encoder::Arrow(Box::new(stream))),
            Format::Parquet => files::ParquetFile::new(&schema)
                .map_or_else(|e| Encoder::Failed(Some(e)), |file| Encoder::Parquet(Box::new(file))),
            Format::Null => Encoder::Null,
        };
        ResultPrinter { encoder, fits: format == Format::Table, schema, changes, text: Vec::new(), out }
    }

    /// The same printer for output that ends on `screen`: tables fit its width and may use colour.
    pub fn on(mut self, screen: Screen) -> Self {
        if let Encoder::Table(_) = self.encoder {
            let screen = if self.fits { screen } else { Screen { width: None, ..screen } };
            let table = table::Table::new(self.schema.clone(), self.changes, screen);
            self.encoder = Encoder::Table(Box::new(table));
        }
        self
    }

    /// Writes the rows of `batch`, each as often as its weight says (`None` = once). JSON lines,
    /// CSV and changes are out when this returns; a table of other results may hold rows back
    /// (a bounded number), to see how wide they are: see [`ResultPrinter::flush`].
    pub fn write(&mut self, batch: &RecordBatch, weights: Option<&Int64Array>) -> Result<(), PrintError> {
        if !self.changes && weights.is_some_and(|w| w.values().iter().any(|w| *w < 0)) {
            return Err(PrintError::Retraction);
        }
        let mut chunks = Chunks::new(batch, weights);
        while let Some((rows, ops)) = chunks.next()? {
            let rows = if self.changes { with_ops(&rows, ops)? } else { rows };
            match &mut self.encoder {
                Encoder::Table(table) => table.write(rows, &mut self.text)?,
                Encoder::Markdown(markdown) => markdown.write(&rows, &mut self.text)?,
                Encoder::Lines(lines) => lines.write(&rows, &mut self.text)?,
                Encoder::Jsonl => json::write(&rows, &mut self.text)?,
                Encoder::Json(array) => array.write(&rows, &mut self.text)?,
                Encoder::Csv(csv) => csv.write(&rows, &mut self.text)?,
                Encoder::Arrow(stream) => stream.write(&rows, &mut self.text)?,
                Encoder::Parquet(file) => file.write(&rows, &mut self.text)?,
                Encoder::Null => {}
                Encoder::Failed(error) => {
                    return Err(error.take().map_or(PrintError::Closed, PrintError::from));
                }
            }
            self.out.write_all(&self.text)?;
            self.text.clear();
        }
        if self.changes {
            return self.flush();
        }
        self.out.flush()?;
        Ok(())
    }

    /// Puts out what is held back. Call it when no further rows are at hand for now.
    pub fn flush(&mut self) -> Result<(), PrintError> {
        if let Encoder::Table(table) = &mut self.encoder {
            table.flush(&mut self.text)?;
        }
        self.put()
    }

    /// The same printer for rows that come one by one: the first say little about how wide the later ones are.
    pub fn streams(mut self) -> Self {
        if let Encoder::Table(table) = &mut self.encoder {
            table.expect_wider();
        }
        self
    }

    /// What is told below a table: of how many rows its rows are the first, and what else there is to say.
    pub(super) fn tell(&mut self, total: u64, tail: &str) {
        if let Encoder::Table(table) = &mut self.encoder {
            table.tell(total, tail);
        }
    }

    /// Ends the result: the rows held back, a table's last line and count, the header of an empty CSV.
    pub fn finish(mut self) -> Result<(), PrintError> {
        self.end()
    }

    /// The same; nothing may be written afterwards.
    pub(super) fn end(&mut self) -> Result<(), PrintError> {
        match &mut self.encoder {
            Encoder::Table(table) => table.finish(&mut self.text)?,
            Encoder::Markdown(markdown) => markdown.finish(&mut self.text),
            Encoder::Json(array) => array.finish(&mut self.text),
            Encoder::Csv(csv) => csv.finish(&mut self.text),
            Encoder::Arrow(stream) => stream.finish(&mut self.text)?,
            Encoder::Parquet(file) => file.finish(&mut self.text)?,
            Encoder::Failed(error) => return Err(error.take().map_or(PrintError::Closed, PrintError::from)),
            Encoder::Jsonl | Encoder::Lines(_) | Encoder::Null => {}
        }
        self.put()
    }

    fn put(&mut self) -> Result<(), PrintError> {
        self.out.write_all(&self.text)?;
        self.text.clear();
        self.out.flush()?;
        Ok(())
    }
}

fn with_op_field(schema: &SchemaRef) -> SchemaRef {
    let kind = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    let op = Arc::new(Field::new(OP, kind, false));
    let fields: Vec<_> = std::iter::once(op).chain(schema.fields().iter().cloned()).collect();
    Arc::new(Schema::new(fields))
}

fn with_ops(rows: &RecordBatch, ops: Option<Int8Array>) -> Result<RecordBatch, ArrowError> {
    let ops = ops.unwrap_or_else(|| Int8Array::from_value(0, rows.num_rows()));
    let words: ArrayRef = Arc::new(StringArray::from(vec!["+", "-"]));
    let ops: ArrayRef = Arc::new(DictionaryArray::try_new(ops, words)?);
    let columns = std::iter::once(ops).chain(rows.columns().iter().cloned()).collect();
    // From the batch's own schema: it may differ from the announced one, in nullability say.
    RecordBatch::try_new(with_op_field(&rows.schema()), columns)
}

/// Cuts a weighted batch into plain ones of at most [`CHUNK_ROWS`] rows, with an op for each row
/// (0 = `+`, 1 = `-`; `None` = all `+`).
struct Chunks<'a> {
    batch: &'a RecordBatch,
    weights: Option<&'a [i64]>,
    /// Every weight is 1 or -1: rows can be taken as slices.
    single: bool,
    row: usize,
    /// How often `row` was written already; only where weights are not single.
    written: u64,
}

impl<'a> Chunks<'a> {
    fn new(batch: &'a RecordBatch, weights: Option<&'a Int64Array>) -> Self {
        let weights = weights.map(|w| w.values().as_ref());
        let single = weights.is_none_or(|w| w.iter().all(|w| w.unsigned_abs() == 1));
        Chunks { batch, weights, single, row: 0, written: 0 }
    }

    fn next(&mut self) -> Result<Option<(RecordBatch, Option<Int8Array>)>, ArrowError> {
        let rows = self.batch.num_rows();
        if self.row >= rows {
            return Ok(None);
        }
        let Some(weights) = self.weights else { return Ok(Some((self.slice(rows).0, None))) };
        if self.single {
            let (slice, from) = self.slice(rows);
            let ops = weights[from..self.row].iter().map(|w| i8::from(*w < 0)).collect::<Vec<_>>();
            return Ok(Some((slice, Some(ops.into()))));
        }
        let mut indices: Vec<u32> = Vec::with_capacity(CHUNK_ROWS);
        let mut ops: Vec<i8> = Vec::with_capacity(CHUNK_ROWS);
        while self.row < rows && indices.len() < CHUNK_ROWS {
            let weight = weights[self.row];
            let room = (CHUNK_ROWS - indices.len()) as u64;
            let times = (weight.unsigned_abs() - self.written).min(room);
            indices.extend(std::iter::repeat_n(self.row as u32, times as usize));
            ops.extend(std::iter::repeat_n(i8::from(weight < 0), times as usize));
            self.written += times;
            if self.written == weight.unsigned_abs() {
                (self.row, self.written) = (self.row + 1, 0);
            }
        }
        let chunk = take_record_batch(self.batch, &UInt32Array::from(indices))?;
        Ok(Some((chunk, Some(ops.into()))))
    }

    /// The next rows as they are, and where they begin.
    fn slice(&mut self, rows: usize) -> (RecordBatch, usize) {
        let from = self.row;
        self.row = rows.min(from + CHUNK_ROWS);
        (self.batch.slice(from, self.row - from), from)
    }
}

#[cfg(test)]
mod tests;
