//! Values as the text of a table's cells.

use arrow::array::{Array, RecordBatch};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, DurationFormat, FormatOptions};
use std::fmt::Write as _;

/// The rows of a batch as text, NULL as `None`: at most `limit` characters a cell, control characters escaped (data must
/// not steer the terminal).
pub(in crate::cli) fn cells(
    batch: &RecordBatch,
    limit: usize,
) -> Result<Vec<Vec<Option<String>>>, ArrowError> {
    let options = FormatOptions::new()
        .with_display_error(true)
        .with_null("NULL")
        .with_duration_format(DurationFormat::Pretty)
        .with_datetime_format(Some("%Y-%m-%d %H:%M:%S%.f"))
        .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.f"))
        .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.f%:z"));
    let columns = batch
        .columns()
        .iter()
        .map(|array| Ok((ArrayFormatter::try_new(array, &options)?, array.logical_nulls())))
        .collect::<Result<Vec<_>, ArrowError>>()?;
    let mut value = String::new();
    let mut rows = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let cell = |(formatter, nulls): &(ArrayFormatter, Option<arrow::buffer::NullBuffer>)| {
            if nulls.as_ref().is_some_and(|n| n.is_null(row)) {
                return None;
            }
            value.clear();
            // Values that cannot be shown are written as their error; a String takes all.
            let _ = write!(value, "{}", formatter.value(row));
            Some(cell_text(&value, limit))
        };
        rows.push(columns.iter().map(cell).collect());
    }
    Ok(rows)
}

/// A text as it may stand in a cell: at most `limit` characters of it, control characters escaped, the private characters
/// that stand for NULL while a table is laid out replaced.
pub(in crate::cli) fn cell_text(value: &str, limit: usize) -> String {
    let mut text = String::with_capacity(value.len().min(limit));
    for c in value.chars().take(limit) {
        match c {
            '\u{E000}'..='\u{E003}' => text.push('\u{FFFD}'),
            c if c.is_control() => text.extend(c.escape_default()),
            c => text.push(c),
        }
    }
    text
}
