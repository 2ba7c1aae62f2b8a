//! A table for people: boxes drawn around names, SQL types and values; the number of rows below.
//!
//! On a terminal the table fits the screen: long texts end in `…`, and columns that find no place
//! are left out and counted below. Elsewhere nothing is cut: a very long value takes several lines.
//! Rows are held back to see how wide they are, at most [`HELD_ROWS`]; later ones are drawn below in
//! the same widths, or wider ones if they must.

use crate::cli::progress::grouped;
use crate::cli::terminal::Screen;
use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, Field, IntervalUnit, SchemaRef};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, DurationFormat, FormatOptions};
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
}

impl Table {
    pub(super) fn new(schema: SchemaRef, changes: bool, screen: Screen) -> Self {
        // Changes are drawn as they come, so their first rows say little about the width to come.
        let wanted =
            schema.fields().iter().skip(1).map(|field| match (changes, is_text(field.data_type())) {
                (false, _) => 0,
                (true, true) => 12,
                (true, false) => 8,
            });
        let first = usize::from(!schema.fields().is_empty());
        let wanted = std::iter::repeat_n(0, first).chain(wanted).collect();
        Table { schema, changes, screen, held: Vec::new(), held_rows: 0, wanted, widths: Vec::new(), rows: 0 }
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
        let plural = if self.rows == 1 { "" } else { "s" };
        let mut line = format!("{} {noun}{plural}", grouped(self.rows));
        let (shown, all) = (self.widths.len(), self.schema.fields().len());
        if shown < all {
            let _ = write!(line, " ({shown} of {all} columns shown)");
        }
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
        Cell::new_owned(format!("{name}\n{}", type_name(field.data_type())))
            .set_alignment(CellAlignment::Center)
    }

    fn add_rows(&self, batch: &RecordBatch, drawing: &mut Drawing) -> Result<(), ArrowError> {
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
        let null = if self.screen.colour { NULL_MARK } else { "NULL" };
        // A cell wider than the screen is cut in any case, so no more of it is kept.
        let limit = self.screen.width.map_or(usize::MAX, |w| w.saturating_mul(4));
        let mut value = String::new();
        for i in 0..batch.num_rows() {
            let mut row = Row::new();
            for (formatter, nulls) in &columns {
                if nulls.as_ref().is_some_and(|n| n.is_null(i)) {
                    row.add_cell(Cell::new(null));
                    continue;
                }
                value.clear();
                // Values that cannot be shown are written as their error; a String takes all.
                let _ = write!(value, "{}", formatter.value(i));
                row.add_cell(Cell::new_owned(cell_text(&value, limit)));
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
        let least: Vec<usize> = wanted
            .iter()
            .zip(self.schema.fields())
            .map(|(w, f)| (*w).min(if is_text(f.data_type()) { NARROW_TEXT } else { NARROW_OTHER }))
            .collect();
        // Each column costs its width, a blank on both sides and a line; one line ends the row.
        let cost = |widths: &[usize]| widths.iter().map(|w| w + 3).sum::<usize>() + 1;
        let shown = match self.widths.len() {
            0 => (1..=least.len()).rev().find(|n| cost(&least[..*n]) <= screen).unwrap_or(1),
            drawn => drawn,
        };
        let at = |cap: usize| -> Vec<usize> {
            wanted.iter().zip(&least).take(shown).map(|(w, l)| (*w).min(cap).max(*l)).collect()
        };
        let widest = wanted.iter().copied().max().unwrap_or(1).min(screen);
        let best = (1..=widest).rev().map(at).find(|widths| cost(widths) <= screen);
        // Later rows can be wider than the columns chosen for the first have place: equal shares then.
        let share = (screen.saturating_sub(1) / shown).saturating_sub(3).max(1);
        best.unwrap_or_else(|| wanted.iter().take(shown).map(|w| (*w).min(share)).collect())
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

/// A text as it may stand in a table: at most `limit` characters of it, control characters escaped
/// (data must not steer the terminal), our private marks replaced.
fn cell_text(value: &str, limit: usize) -> String {
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

fn is_number(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, value) => is_number(value),
        kind => kind.is_numeric(),
    }
}

fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, value) => is_text(value),
        kind => kind.is_string() || kind.is_binary() || kind.is_nested(),
    }
}

/// The SQL name of a type, as the second line of a table's head and DESCRIBE show it: `bigint`,
/// `timestamp`, `decimal(10,2)`, `varchar[]`, `struct(a bigint)`.
pub fn type_name(kind: &DataType) -> String {
    let word = match kind {
        DataType::Null => "null",
        DataType::Boolean => "boolean",
        DataType::Int8 => "tinyint",
        DataType::Int16 => "smallint",
        DataType::Int32 => "integer",
        DataType::Int64 => "bigint",
        DataType::UInt8 => "tinyint unsigned",
        DataType::UInt16 => "smallint unsigned",
        DataType::UInt32 => "integer unsigned",
        DataType::UInt64 => "bigint unsigned",
        DataType::Float16 | DataType::Float32 => "real",
        DataType::Float64 => "double",
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "varchar",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "bytea"
        }
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Time32(_) | DataType::Time64(_) => "time",
        DataType::Timestamp(_, None) => "timestamp",
        DataType::Timestamp(_, Some(_)) => "timestamptz",
        DataType::Interval(IntervalUnit::YearMonth | IntervalUnit::DayTime | IntervalUnit::MonthDayNano)
        | DataType::Duration(_) => "interval",
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => return format!("decimal({p},{s})"),
        DataType::Dictionary(_, value) => return type_name(value),
        DataType::RunEndEncoded(_, values) => return type_name(values.data_type()),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => return format!("{}[]", type_name(item.data_type())),
        DataType::Struct(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|f| format!("{} {}", f.name(), type_name(f.data_type()))).collect();
            return format!("struct({})", fields.join(", "));
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => {
                let [key, value] = [0, 1].map(|i| type_name(fields[i].data_type()));
                return format!("map({key}, {value})");
            }
            _ => "map",
        },
        DataType::Union(..) => "union",
    };
    word.to_string()
}
