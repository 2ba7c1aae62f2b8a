//! JSON lines, and one JSON array: `{"window_start":"2013-01-01T11:00:00","origin":"LGA","n":20,"avg":null}`.
//!
//! Every column is in every line, NULL as `null`; so is a double that is no finite number, for which
//! JSON has no word. Timestamps are RFC 3339 (without a zone where the type has none), decimals are
//! numbers with all their digits, binary is hexadecimal.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow::json::WriterBuilder;
use arrow::json::writer::LineDelimited;

/// One array of all rows, an object a line.
#[derive(Default)]
pub(super) struct Array {
    begun: bool,
}

impl Array {
    pub(super) fn write(&mut self, batch: &RecordBatch, text: &mut Vec<u8>) -> Result<(), ArrowError> {
        let mut lines = Vec::new();
        write(batch, &mut lines)?;
        for line in lines.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            text.extend_from_slice(if std::mem::replace(&mut self.begun, true) { b",\n" } else { b"[\n" });
            text.extend_from_slice(line);
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, text: &mut Vec<u8>) {
        text.extend_from_slice(if self.begun { b"\n]\n" } else { b"[]\n" });
    }
}

/// Appends a line for each row of `batch` to `text`.
pub(super) fn write(batch: &RecordBatch, text: &mut Vec<u8>) -> Result<(), ArrowError> {
    if batch.num_columns() == 0 {
        // The encoder wants a column to know the number of rows from.
        text.extend(b"{}\n".repeat(batch.num_rows()));
        return Ok(());
    }
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(text);
    writer.write(batch)?;
    writer.finish()
}
