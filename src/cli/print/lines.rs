//! Two plain formats for people: a Markdown table, and a line for each column (what psql's `\x` shows).

use super::cells::{cell_text, cells};
use super::table::is_number;
use crate::delta::shown_type;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

/// A table in Markdown.
pub(super) struct Markdown {
    /// Until the header is written.
    header: Option<SchemaRef>,
}

impl Markdown {
    pub(super) fn new(schema: SchemaRef) -> Self {
        Markdown { header: Some(schema) }
    }

    pub(super) fn write(&mut self, batch: &RecordBatch, text: &mut Vec<u8>) -> Result<(), ArrowError> {
        self.finish(text);
        for row in cells(batch, usize::MAX)? {
            let row: Vec<String> =
                row.into_iter().map(|c| escaped(&c.unwrap_or_else(|| "NULL".into()))).collect();
            text.extend_from_slice(format!("| {} |\n", row.join(" | ")).as_bytes());
        }
        Ok(())
    }

    /// Writes the header if no row has done so.
    pub(super) fn finish(&mut self, text: &mut Vec<u8>) {
        let Some(schema) = self.header.take() else { return };
        let names: Vec<String> =
            schema.fields().iter().map(|f| escaped(&cell_text(f.name(), usize::MAX))).collect();
        let rules: Vec<&str> =
            schema.fields().iter().map(|f| if is_number(f.data_type()) { "---:" } else { "---" }).collect();
        text.extend_from_slice(format!("| {} |\n| {} |\n", names.join(" | "), rules.join(" | ")).as_bytes());
    }
}

fn escaped(cell: &str) -> String {
    cell.replace('|', "\\|")
}

/// A line for each column, an empty line between rows.
pub(super) struct Lines {
    schema: SchemaRef,
    rows: u64,
}

impl Lines {
    pub(super) fn new(schema: SchemaRef) -> Self {
        Lines { schema, rows: 0 }
    }

    pub(super) fn write(&mut self, batch: &RecordBatch, text: &mut Vec<u8>) -> Result<(), ArrowError> {
        let names: Vec<String> =
            self.schema.fields().iter().map(|f| cell_text(f.name(), usize::MAX)).collect();
        let width = names.iter().map(|n| n.chars().count()).max().unwrap_or(0);
        for row in cells(batch, usize::MAX)? {
            if self.rows > 0 {
                text.push(b'\n');
            }
            self.rows += 1;
            for (name, cell) in names.iter().zip(row) {
                let cell = cell.unwrap_or_else(|| "NULL".into());
                text.extend_from_slice(format!("{name:>width$} = {cell}\n").as_bytes());
            }
        }
        Ok(())
    }
}

/// The columns of a schema with their types, as one line.
pub(in crate::cli) fn columns_line(schema: &SchemaRef) -> String {
    let columns = schema.fields().iter().map(|f| format!("{} {}", f.name(), shown_type(f.data_type())));
    columns.collect::<Vec<_>>().join(", ")
}
