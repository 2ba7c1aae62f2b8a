//! A table for people: boxes drawn around names, SQL types and values; the number of rows below.
//!
//! On a terminal the table fits the screen: long texts end in `…`, and columns that find no place
//! are left out and counted below. Elsewhere nothing is cut: a very long value takes several lines.
//! Rows are held back to see how wide they are, at most [`HELD_ROWS`]; later ones are drawn below in
//! the same widths, or wider ones if they must.

use super::cells::{cell_text, cells};
use crate::cli::progress::grouped;
use crate::cli::terminal::Screen;
use crate::delta::shown_type;
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, SchemaRef};
use arrow::error::ArrowError;
use comfy_table::{
    Cell, CellAlignment, ColumnConstraint, ContentLineStyle, LineStyle, Row, Table as Drawing, TableStyle,
    Width,
};
use std::fmt::Write as _;

/// Rows held back before the first are drawn.
const HELD_ROWS: usize = 10_000;
/// The widest column off a terminal; longer values go on in the next line.
const WIDEST: usize = 500;
/// A text column is not cut below this width; columns are left out instead.
const NARROW_TEXT: usize = 8;
/// Numbers and times are not cut unless they are wider than this.
const NARROW_OTHER: usize = 32;
/// What stands for NULL while the table is laid out, where NULL is to be dim: as wide as the word,
/// made of private characters, which no other cell can contain.
const NULL_MARK: &str = "\u{E000}\u{E001}\u{E002}\u{E003}";

const BOX: TableStyle = TableStyle::new()
    .top_border(LineStyle::new('┌', '─', '┬', '┐'))
    .header_lines(ContentLineStyle::new('│', '│', '│'))
    .header_separator(LineStyle::new('├', '─', '┼', '┤'))
    .content_lines(ContentLineStyle::new('│', '│', '│'));
const BODY: TableStyle = TableStyle::new().content_lines(ContentLineStyle::new('│', '│', '│'));

/// Draws batches as one table.
pub(super) struct Table {
    schema: SchemaRef,
    changes: bool,
    screen: Screen,
    held: Vec<RecordBatch>,
    held_rows: usize,
    /// The width that each column would like to have, as far as rows were seen.
    wanted: Vec<usize>,
    /// The widths of the columns shown, a prefix of all; empty until something is drawn.
    widths: Vec<usize>,
    rows: u64,
    /// All rows of the result, if these are the first of them, and what is told behind their number.
    told: Option<(u64, String)>,
}

impl Table {
    pub(super) fn new(schema: SchemaRef, changes: bool, screen: Screen) -> Self {
        let wanted = vec![0; schema.fields().len()];
        let mut table = Table {
            schema,
            changes,
            screen,
            held: Vec::new(),
            held_rows: 0,
            wanted,
            widths: Vec::new(),
            rows: 0,
            told: None,
        };
        if changes {
            table.expect_wider();
        }
        table
    }

    /// Rows are drawn as they come, so the first ones say little about the width to come.
    pub(super) fn expect_wider(&mut self) {
        for (wanted, field) in
            self.wanted.iter_mut().zip(self.schema.fields()).skip(usize::from(self.changes))
        {
            *wanted = if is_text(field.data_type()) { 12 } else { 8 };
        }
    }

    /// Of how many rows these are the first, and what is told behind that number.
    pub(super) fn tell(&mut self, total: u64, tail: &str) {
        self.told = Some((total, tail.into()));
    }

    /// Takes rows, and draws all that are held once they are many.
    pub(super) fn write(&mut self, batch: RecordBatch, text: &mut Vec<u8>) -> Result<(), ArrowError> {
        self.held_rows += batch.num_rows();
        self.rows += batch.num_rows() as u64;
        self.held.push(batch);
        if self.held_rows >= HELD_ROWS {
            self.flush(text)?;
        }
        Ok(())
    }

    /// Draws the rows held.
    pub(super) fn flush(&mut self, text: &mut Vec<u8>) -> Result<(), ArrowError> {
        if self.held_rows > 0 {
            self.draw(text)?;
        }
        Ok(())
    }

    /// Draws the rows held and ends the table.
    pub(super) fn finish(&mut self, text: &mut Vec<u8>) -> Result<(), ArrowError> {
        if self.schema.fields().is_empty() {
            text.extend_from_slice(self.count().as_bytes());
            return Ok(());
        }
        if self.widths.is_empty() || self.held_rows > 0 {
            self.draw(text)?;
        }
        let line = self.widths.iter().map(|w| "─".repeat(w + 2)).collect::<Vec<_>>().join("┴");
        text.extend_from_slice(format!("└{line}┘\n{}", self.count()).as_bytes());
        Ok(())
    }

    /// The line below the table.
    fn count(&self) -> String {
        let noun = if self.changes { "change" } else { "row" };
        let rows = self.told.as_ref().map_or(self.rows, |told| told.0);
        let plural = if rows == 1 { "" } else { "s" };
        let mut line = format!("{} {noun}{plural}", grouped(rows));
        let (shown, all) = (self.widths.len(), self.schema.fields().len());
        if shown < all {
            let _ = write!(line, " ({shown} of {all} columns shown)");
        }
        line.push_str(self.told.as_ref().map_or("", |told| &told.1));
        line + "\n"
    }

    fn draw(&mut self, text: &mut Vec<u8>) -> Result<(), ArrowError> {
        if self.schema.fields().is_empty() {
            self.held.clear();
            self.held_rows = 0;
            return Ok(());
        }
        let first = self.widths.is_empty();
        let mut drawing = Drawing::new();
        drawing.set_delimiter('\0').set_truncation_indicator("…");
        drawing.load_style(if first { BOX } else { BODY });
        if first {
            drawing.set_header(self.schema.fields().iter().enumerate().map(|(i, f)| self.heading(i, f)));
        }
        for batch in std::mem::take(&mut self.held) {
            self.add_rows(&batch, &mut drawing)?;
        }
        self.held_rows = 0;
        for (wanted, width) in self.wanted.iter_mut().zip(drawing.column_max_content_widths()) {
            *wanted = (*wanted).max(usize::from(width));
        }
        self.widths = self.fitted();
        self.lay_out(first, &mut drawing);
        for line in drawing.lines() {
            text.extend_from_slice(Self::with_nulls(line).as_bytes());
            text.push(b'\n');
        }
        Ok(())
    }

    /// Column name above SQL type; nothing above `+` and `-`.
    fn heading(&self, index: usize, field: &Field) -> Cell {
        if self.changes && index == 0 {
            return Cell::new("\n");
        }
        let name = cell_text(field.name(), usize::MAX);
        Cell::new_owned(format!("{name}\n{}", shown_type(field.data_type())))
            .set_alignment(CellAlignment::Center)
    }

    fn add_rows(&self, batch: &RecordBatch, drawing: &mut Drawing) -> Result<(), ArrowError> {
        let null = if self.screen.colour { NULL_MARK } else { "NULL" };
        // A cell wider than the screen is cut in any case, so no more of it is kept.
        let limit = self.screen.width.map_or(usize::MAX, |w| w.saturating_mul(4));
        for cells in cells(batch, limit)? {
            let mut row = Row::new();
            for cell in cells {
                row.add_cell(cell.map_or_else(|| Cell::new(null), Cell::new_owned));
            }
            if self.screen.is_terminal() {
                row.max_height(1);
            }
            drawing.add_row(row);
        }
        Ok(())
    }

    /// Widths of the columns shown: as wanted if they find place, else narrower, texts first.
    fn fitted(&self) -> Vec<usize> {
        let Some(screen) = self.screen.width else {
            return self.wanted.iter().map(|w| (*w).clamp(1, WIDEST)).collect();
        };
        let wanted: Vec<usize> = self.wanted.iter().map(|w| (*w).max(1)).collect();
        let least = least_widths(&wanted, &self.schema);
        fit(&wanted, &least, screen, Some(self.widths.len()).filter(|drawn| *drawn > 0))
    }

    /// Gives the columns their widths, and hides those that are not shown.
    fn lay_out(&self, first: bool, drawing: &mut Drawing) {
        for (i, field) in self.schema.fields().iter().enumerate() {
            let Some(column) = drawing.column_mut(i) else { continue };
            let Some(width) = self.widths.get(i) else {
                column.set_constraint(ColumnConstraint::Hidden);
                continue;
            };
            // The constraint counts the blanks on both sides.
            let width = u16::try_from(width + 2).unwrap_or(u16::MAX);
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
            if is_number(field.data_type()) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        if first && self.screen.is_terminal() {
            let fields = self.schema.fields().iter().zip(&self.widths).enumerate();
            let cells: Vec<Cell> = fields
                .map(|(i, (field, width))| {
                    let heading = self.heading(i, field);
                    let lines: Vec<String> = heading.content().lines().map(|l| cut(l, *width)).collect();
                    Cell::new_owned(lines.join("\n")).set_alignment(CellAlignment::Center)
                })
                .collect();
            drawing.set_header(cells);
        }
    }

    /// The line with the marks for NULL written out.
    fn with_nulls(line: String) -> String {
        if !line.contains('\u{E000}') {
            return line;
        }
        let line = line.replace(NULL_MARK, "\u{1b}[2mNULL\u{1b}[0m");
        // A mark that was cut for want of place.
        line.replace('\u{E000}', "N").replace('\u{E001}', "U").replace('\u{E002}', "L")
    }
}

/// The widths below which columns are left out rather than cut.
pub(in crate::cli) fn least_widths(wanted: &[usize], schema: &SchemaRef) -> Vec<usize> {
    let least = |(w, f): (&usize, &std::sync::Arc<Field>)| {
        (*w).min(if is_text(f.data_type()) { NARROW_TEXT } else { NARROW_OTHER })
    };
    wanted.iter().zip(schema.fields()).map(least).collect()
}

/// The widths of the columns that find place on a screen, a prefix of all (of `shown` columns, if that is settled): as
/// wanted, else narrower, the widest first.
pub(in crate::cli) fn fit(
    wanted: &[usize],
    least: &[usize],
    screen: usize,
    shown: Option<usize>,
) -> Vec<usize> {
    // Each column costs its width, a blank on both sides and a line; one line ends the row.
    let cost = |widths: &[usize]| widths.iter().map(|w| w + 3).sum::<usize>() + 1;
    let places = || (1..=least.len()).rev().find(|n| cost(&least[..*n]) <= screen).unwrap_or(1);
    let shown = shown.unwrap_or_else(places);
    let at = |cap: usize| -> Vec<usize> {
        wanted.iter().zip(least).take(shown).map(|(w, l)| (*w).min(cap).max(*l)).collect()
    };
    let widest = wanted.iter().copied().max().unwrap_or(1).min(screen);
    let best = (1..=widest).rev().map(at).find(|widths| cost(widths) <= screen);
    // Later rows can be wider than the columns chosen for the first have place: equal shares then.
    let share = (screen.saturating_sub(1) / shown.max(1)).saturating_sub(3).max(1);
    best.unwrap_or_else(|| wanted.iter().take(shown).map(|w| (*w).min(share)).collect())
}

/// Cuts one line of text to a width on the screen.
fn cut(line: &str, width: usize) -> String {
    let mut drawing = Drawing::new();
    drawing.set_delimiter('\0').set_truncation_indicator("…").load_style(TableStyle::new());
    let mut row = Row::from([line]);
    row.max_height(1);
    drawing.add_row(row);
    if let Some(column) = drawing.column_mut(0) {
        let width = u16::try_from(width).unwrap_or(u16::MAX);
        column.set_padding((0, 0)).set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
    }
    drawing.lines().next().map(|l| l.trim_end().to_string()).unwrap_or_default()
}

pub(in crate::cli) fn is_number(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, value) => is_number(value),
        kind => kind.is_numeric(),
    }
}

pub(in crate::cli) fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, value) => is_text(value),
        kind => kind.is_string() || kind.is_binary() || kind.is_nested(),
    }
}
