//! Text formats decoded into rows: JSON lines and CSV → Arrow batches of a declared schema. May use
//! `delta`; never knows where bytes come from.
//!
//! A [`RowDecoder`] is fed text and fills typed columns directly, record by record. It is our own
//! because a library's decoder that fails loses the batch and the place: here each record that does
//! not fit is left out alone, with its line, its character and a reason, and what other decoders let
//! pass silently is refused (1.5 into BIGINT, a timestamp beyond the column's unit, two records on a
//! line, half a record joined with the next line).
//!
//! - **JSON**: one object a line. A key means the column of that name, else the only one that differs
//!   just in case; unknown keys are ignored; of a key that comes twice the last counts. Absent = NULL.
//! - **CSV**: RFC 4180. A quoted field may hold delimiters, newlines and doubled quotes. With a header
//!   the fields are matched by name (as JSON keys are), in any order; declared columns that it lacks
//!   are NULL. Every record has as many fields as the header (or, without one, as columns are declared).
//!   An empty field is NULL, but `""` is the empty text in a text column.
//! - Both: UTF-8, lines end in LF or CRLF (the last one need not), blank lines are skipped, a record
//!   longer than [`MAX_RECORD`] is bad. What fits which column type: see the table in `column`.

mod changes;
mod column;
mod csv;
mod cursor;
mod guess;
mod infer;
mod json;
mod number;
mod record;
mod timestamp;

pub use changes::{Changes, TableColumns};
pub use guess::{Guess, Lines, guess};
pub use infer::{SAMPLE_RECORDS, infer};
pub use timestamp::timestamp_ns;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use changes::ChangeReader;
use csv::CsvFields;
use record::Record;

/// The longest record, in bytes: 16 MiB.
pub const MAX_RECORD: usize = 16 << 20;
/// How much of a bad record is kept, in bytes: 64 KiB.
pub const MAX_RAW: usize = 64 << 10;

/// A text format and its options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// Comma-separated values.
    Csv(CsvOptions),
}

/// How CSV is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CsvOptions {
    /// Between fields; an ASCII character other than `"`, CR and LF.
    pub delimiter: u8,
    /// Whether the first record names the columns.
    pub header: bool,
}

impl Default for CsvOptions {
    fn default() -> Self {
        CsvOptions { delimiter: b',', header: true }
    }
}

/// A record that does not fit the declared columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// The line that the reason is about, from 1.
    pub line: u64,
    /// The character in that line, from 1, where known.
    pub column: Option<u64>,
    /// Why, in words for the user.
    pub reason: String,
    /// The record's text without its line end (lossy UTF-8, cut at [`MAX_RAW`]).
    pub raw: String,
}

/// A piece of text to decode.
#[derive(Debug, Clone, Copy)]
pub struct Chunk<'a> {
    /// The text, from the start of a record.
    pub text: &'a [u8],
    /// How many lines come before it.
    pub line: u64,
    /// Whether nothing follows: then its last line is complete even without a line end.
    pub last: bool,
}

/// Where decoding stops at the latest. It goes on until one of them is reached, so a record may end
/// past `bytes`.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// Records, good or bad.
    pub records: usize,
    /// Bytes of text.
    pub bytes: usize,
}

/// Why decoding stopped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stop {
    /// No complete record is left in the text.
    #[default]
    Short,
    /// The limit is reached.
    Full,
    /// The next record is bad, and the decoder was told to stop before such. If no row came before
    /// it, [`RowDecoder::finish`] has it among the bad ones.
    Bad,
}

/// What was taken of a chunk: whole records and blank lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// Bytes.
    pub bytes: usize,
    /// Lines.
    pub lines: u64,
    /// Records, good or bad.
    pub records: usize,
    /// Why it was not more.
    pub stop: Stop,
}

impl Taken {
    fn reached(&self, limit: Limit) -> bool {
        self.records >= limit.records || self.bytes >= limit.bytes
    }
}

/// What is wrong with a format as a whole.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// A column's type has no text form here.
    #[error("column \"{column}\": {kind} cannot be read from JSON or CSV")]
    Unreadable {
        /// The column.
        column: String,
        /// Its type in SQL.
        kind: String,
    },
    /// A CSV header that has none of the declared columns.
    #[error("the header ({header}) has none of the declared columns ({declared})")]
    Header {
        /// The header's names.
        header: String,
        /// The declared columns.
        declared: String,
    },
    /// A CSV header without a column that may not be NULL.
    #[error("column \"{0}\" is NOT NULL, but the header does not have it")]
    Missing(String),
    /// A CSV header that has a declared column twice.
    #[error("the header has column \"{0}\" twice")]
    Twice(String),
    /// A CSV header that is no CSV record.
    #[error("the header cannot be read: {0}")]
    BadHeader(String),
    /// A column that is to tell the operation, but is no text.
    #[error("column \"{0}\" tells the operation, so it must be a VARCHAR")]
    Operation(String),
    /// No record to infer columns from.
    #[error("the columns cannot be inferred: {0}")]
    Inference(String),
    /// A batch could not be built.
    #[error("{0}")]
    Arrow(#[from] ArrowError),
}

/// Decodes text of one format into batches of one schema.
pub struct RowDecoder {
    schema: SchemaRef,
    record: Record,
    kind: Kind,
    /// What the records do to a table, if they are changes of one.
    changes: Option<ChangeReader>,
    bad: Vec<BadLine>,
    stop_at_bad: bool,
}

enum Kind {
    Json,
    Csv(CsvFields),
}

impl Kind {
    fn new(format: Format, columns: usize) -> Self {
        match format {
            Format::Json => Kind::Json,
            Format::Csv(options) => Kind::Csv(CsvFields::new(options, columns)),
        }
    }
}

impl RowDecoder {
    /// A decoder into `schema`. With `stop_at_bad` it stops before a bad record instead of leaving it
    /// out. Fails for a column type that has no text form.
    pub fn new(format: Format, schema: SchemaRef, stop_at_bad: bool) -> Result<Self, FormatError> {
        let record = Record::new(schema.fields(), None)?;
        let kind = Kind::new(format, schema.fields().len());
        Ok(RowDecoder { schema, record, kind, changes: None, bad: Vec::new(), stop_at_bad })
    }

    /// A decoder of records that say what they do to a table, into the columns of its topic. See
    /// [`RowDecoder::new`]. A record may give two rows.
    pub fn for_table(
        format: Format,
        changes: &Changes,
        columns: TableColumns,
        stop_at_bad: bool,
    ) -> Result<Self, FormatError> {
        let (changes, fields) = ChangeReader::new(changes, columns)?;
        let record = Record::new(&fields, None)?;
        let (kind, schema) = (Kind::new(format, fields.len()), changes.schema());
        Ok(RowDecoder { schema, record, kind, changes: Some(changes), bad: Vec::new(), stop_at_bad })
    }

    /// Takes the header, if the format has one, from the text's start. `None` = the text does not
    /// hold all of it yet. Fails for a header that does not go with the schema. To be called before
    /// the first [`push`](Self::push), also by a reader that starts in the middle.
    pub fn header(&mut self, chunk: Chunk<'_>) -> Result<Option<Taken>, FormatError> {
        match &mut self.kind {
            Kind::Json => Ok(Some(Taken::default())),
            Kind::Csv(fields) => fields.header(chunk, &self.record),
        }
    }

    /// Decodes records from the chunk's start until `limit`.
    pub fn push(&mut self, chunk: Chunk<'_>, limit: Limit) -> Taken {
        match self.kind {
            Kind::Json => self.push_json(chunk, limit),
            Kind::Csv(_) => self.push_csv(chunk, limit),
        }
    }

    /// Rows decoded since the last batch.
    pub fn rows(&self) -> usize {
        self.record.rows()
    }

    /// Notes the record at `line` as longer than [`MAX_RECORD`]: its caller holds just its beginning,
    /// `raw`. True = stop before it (see [`Stop::Bad`]).
    pub fn too_long(&mut self, line: u64, raw: &[u8]) -> bool {
        self.refuse(line, None, TOO_LONG.into(), raw)
    }

    /// The rows and the records that were left out since the last batch.
    pub fn finish(&mut self) -> Result<(RecordBatch, Vec<BadLine>), FormatError> {
        let options = RecordBatchOptions::new().with_row_count(Some(self.record.rows()));
        let (_, mut arrays) = self.record.finish()?;
        if let Some(changes) = &mut self.changes {
            arrays = changes.finish(arrays);
        }
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)?;
        Ok((batch, std::mem::take(&mut self.bad)))
    }

    /// Takes back what a bad record has left behind the first `rows` rows.
    fn take_back(&mut self, rows: usize) {
        self.record.truncate(rows);
        if let Some(changes) = &mut self.changes {
            changes.truncate(rows);
        }
    }

    /// Leaves a record out, or (true) stops before it.
    #[cold]
    fn refuse(&mut self, line: u64, column: Option<u64>, reason: String, raw: &[u8]) -> bool {
        // The first reason for such a record, so that it does not depend on how much of it was at hand.
        let (column, reason) =
            if raw.len() > MAX_RECORD { (None, TOO_LONG.to_owned()) } else { (column, reason) };
        if !self.stop_at_bad || self.record.rows() == 0 {
            let raw = raw.strip_suffix(b"\n").unwrap_or(raw);
            let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
            let raw = String::from_utf8_lossy(raw.get(..MAX_RAW).unwrap_or(raw)).into_owned();
            self.bad.push(BadLine { line, column, reason, raw });
        }
        self.stop_at_bad
    }
}

/// The reason for a record beyond [`MAX_RECORD`].
const TOO_LONG: &str = "the record is longer than 16 MiB";

/// The line (from 0) and character (from 1) of byte `at` of `text`.
fn place(text: &[u8], at: usize) -> (u64, u64) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    // Characters, not bytes: continuation bytes do not count.
    let characters = before.iter().skip(line).filter(|byte| **byte & 0xC0 != 0x80).count();
    (newlines(before), characters as u64 + 1)
}

fn newlines(text: &[u8]) -> u64 {
    text.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests;
