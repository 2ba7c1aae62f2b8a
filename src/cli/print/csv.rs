//! CSV as RFC 4180 has it, but with plain newlines: a header, then a line for each row.
//!
//! NULL is an empty field and an empty text is `""`, so that they can be told apart. Values look as
//! in JSON lines, without quotes; lists, structs and maps are JSON text.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{Field, FieldRef, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::writer::{EncoderOptions, NullableEncoder, make_encoder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use std::io::Write;
use std::sync::Arc;

/// Writes batches as CSV.
pub(super) struct Csv {
    /// Until the header is written.
    header: Option<SchemaRef>,
    /// What stands between two fields.
    delimiter: u8,
}

/// How the values of one column become text.
enum Values<'a> {
    Plain(ArrayFormatter<'a>),
    Nested(NullableEncoder<'a>),
}

impl Csv {
    pub(super) fn new(schema: SchemaRef, delimiter: u8) -> Self {
        Csv { header: Some(schema), delimiter }
    }

    /// Appends the rows, after the header if these are the first.
    pub(super) fn write(&mut self, batch: &RecordBatch, text: &mut Vec<u8>) -> Result<(), ArrowError> {
        self.finish(text);
        let plain = FormatOptions::new().with_display_error(true);
        let nested = EncoderOptions::default().with_explicit_nulls(true);
        let fields: Vec<FieldRef> =
            batch.schema().fields().iter().map(|f| Arc::new(Field::clone(f))).collect();
        let mut columns = Vec::with_capacity(fields.len());
        for (field, array) in fields.iter().zip(batch.columns()) {
            let values = if array.data_type().is_nested() {
                Values::Nested(make_encoder(field, array, &nested)?)
            } else {
                Values::Plain(ArrayFormatter::try_new(array, &plain)?)
            };
            columns.push((values, array.logical_nulls()));
        }
        for row in 0..batch.num_rows() {
            for (i, (values, nulls)) in columns.iter_mut().enumerate() {
                if i > 0 {
                    text.push(self.delimiter);
                }
                if nulls.as_ref().is_some_and(|n| n.is_null(row)) {
                    continue;
                }
                let start = text.len();
                match values {
                    Values::Plain(formatter) => write!(text, "{}", formatter.value(row))?,
                    Values::Nested(encoder) => encoder.encode(row, text),
                }
                quote_from(start, self.delimiter, text);
            }
            text.push(b'\n');
        }
        Ok(())
    }

    /// Writes the header if no row has done so.
    pub(super) fn finish(&mut self, text: &mut Vec<u8>) {
        let Some(schema) = self.header.take() else { return };
        for (i, field) in schema.fields().iter().enumerate() {
            if i > 0 {
                text.push(self.delimiter);
            }
            let start = text.len();
            text.extend_from_slice(field.name().as_bytes());
            quote_from(start, self.delimiter, text);
        }
        text.push(b'\n');
    }
}

/// Puts the field that begins at `start` into quotes if it needs them.
fn quote_from(start: usize, delimiter: u8, text: &mut Vec<u8>) {
    let field = &text[start..];
    if !field.is_empty() && !field.iter().any(|b| *b == delimiter || matches!(b, b'"' | b'\r' | b'\n')) {
        return;
    }
    let field = text.split_off(start);
    text.push(b'"');
    for part in field.split_inclusive(|b| *b == b'"') {
        text.extend_from_slice(part);
        if part.ends_with(b"\"") {
            text.push(b'"');
        }
    }
    text.push(b'"');
}
