//! A table and the lines below it, as lines of the screen; and the screen, on which they are drawn in place.

use crate::cli::print::{cell_text, fit, is_number, least_widths, shown_type};
use crate::cli::progress::grouped;
use arrow::datatypes::SchemaRef;
use std::io::{self, Write};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What a table is drawn from.
pub(super) struct Content<'c> {
    pub(super) schema: &'c SchemaRef,
    pub(super) cells: &'c [Vec<Option<String>>],
    /// Which cells have changed.
    pub(super) changed: &'c [Vec<bool>],
    /// All rows that there are.
    pub(super) total: u64,
}

/// Rows of the screen that a table takes beside its rows: three lines, names, types.
pub(super) const FRAME: usize = 5;

/// The lines of a table that is `width` wide. `wanted` are the widths that columns have had so far: they do not shrink,
/// so that nothing jumps.
pub(super) fn table(content: &Content, wanted: &mut Vec<usize>, width: usize, colour: bool) -> Vec<String> {
    let schema = content.schema;
    let names: Vec<String> = schema.fields().iter().map(|f| cell_text(f.name(), 200)).collect();
    let types: Vec<String> = schema.fields().iter().map(|f| shown_type(f.data_type())).collect();
    wanted.resize(names.len(), 1);
    for (at, wide) in wanted.iter_mut().enumerate() {
        let cells = content.cells.iter().map(|row| row[at].as_deref().unwrap_or("NULL").width());
        *wide = cells.chain([names[at].width(), types[at].width(), *wide]).max().unwrap_or(1);
    }
    let widths = fit(wanted, &least_widths(wanted, schema), width, None);
    let rule = |left: char, middle: &str, right: char| {
        let parts: Vec<String> = widths.iter().map(|w| "─".repeat(w + 2)).collect();
        format!("{left}{}{right}", parts.join(middle))
    };
    let row = |cells: Vec<String>| format!("│ {} │", cells.join(" │ "));
    let heading = |words: &[String]| row(widths.iter().zip(words).map(|(w, n)| centred(n, *w)).collect());
    let mut lines = vec![rule('┌', "┬", '┐'), heading(&names), heading(&types), rule('├', "┼", '┤')];
    for (cells, changed) in content.cells.iter().zip(content.changed) {
        let drawn = widths.iter().enumerate().map(|(at, w)| {
            let text = cells[at].as_deref().unwrap_or("NULL");
            let text = padded(text, *w, is_number(schema.field(at).data_type()));
            match (colour, changed[at], cells[at].is_none()) {
                (true, true, _) => format!("\u{1b}[1;33m{text}\u{1b}[0m"),
                (true, false, true) => format!("\u{1b}[2m{text}\u{1b}[0m"),
                _ => text,
            }
        });
        lines.push(row(drawn.collect()));
    }
    lines.push(rule('└', "┴", '┘'));
    let mut told = Vec::new();
    if content.total > content.cells.len() as u64 {
        told.push(format!("{} of {} rows", grouped(content.cells.len() as u64), grouped(content.total)));
    }
    if widths.len() < names.len() {
        told.push(format!("{} of {} columns", widths.len(), names.len()));
    }
    if !told.is_empty() {
        lines.push(cut(&format!("{} shown", told.join(", ")), width));
    }
    lines
}

fn centred(text: &str, width: usize) -> String {
    let text = cut(text, width);
    let room = width.saturating_sub(text.width());
    // The half column stands on the left, as in the tables of results that end.
    format!("{}{text}{}", " ".repeat(room - room / 2), " ".repeat(room / 2))
}

fn padded(text: &str, width: usize, right: bool) -> String {
    let text = cut(text, width);
    let room = " ".repeat(width.saturating_sub(text.width()));
    if right { room + &text } else { text + &room }
}

/// A text that is at most `width` wide; what is cut off ends in `…`.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_string();
    }
    let mut cut = String::new();
    let mut wide = 0;
    for c in text.chars() {
        let w = c.width().unwrap_or(0);
        if wide + w + 1 > width {
            break;
        }
        wide += w;
        cut.push(c);
    }
    if width > 0 {
        cut.push('…');
    }
    cut
}

/// Lines that stand at the end of what was written, and are drawn again in their place.
pub(super) struct Screen<W: Write> {
    out: W,
    /// How many lines stand there now.
    lines: usize,
    size: (usize, usize),
}

impl<W: Write> Screen<W> {
    pub(super) fn new(out: W, size: (usize, usize)) -> Self {
        Screen { out, lines: 0, size }
    }

    /// Draws these lines where the last ones stood. A screen that has another size now is begun anew.
    pub(super) fn draw(&mut self, lines: &[String], size: (usize, usize)) -> io::Result<()> {
        let mut text = String::from("\u{1b}[?2026h\u{1b}[?25l");
        if size != self.size && self.lines > 0 {
            // The terminal has folded the lines as it likes.
            text.push_str("\u{1b}[H\u{1b}[2J");
            self.lines = 0;
        }
        self.size = size;
        text.push_str(&self.home());
        // One row stays free, so that nothing scrolls.
        let most = size.1.saturating_sub(1).max(1);
        let lines = &lines[lines.len().saturating_sub(most)..];
        for line in lines {
            text.push_str(line);
            text.push_str("\u{1b}[K\n");
        }
        text.push_str("\u{1b}[J\u{1b}[?2026l");
        self.lines = lines.len();
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    /// Takes the lines off the screen.
    pub(super) fn erase(&mut self) -> io::Result<()> {
        let text = format!("{}\u{1b}[J", self.home());
        self.lines = 0;
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    /// Leaves the lines where they stand.
    pub(super) fn leave(&mut self) -> io::Result<()> {
        self.lines = 0;
        self.out.write_all(b"\x1b[?25h")?;
        self.out.flush()
    }

    fn home(&self) -> String {
        match self.lines {
            0 => "\r".into(),
            lines => format!("\r\u{1b}[{lines}A"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field, Schema};
    use std::sync::Arc;

    fn schema() -> SchemaRef {
        let fields = [("city", DataType::Utf8), ("n", DataType::Int64), ("note", DataType::Utf8)];
        Arc::new(Schema::new(fields.map(|(n, t)| Field::new(n, t, true)).to_vec()))
    }

    fn row(cells: [Option<&str>; 3]) -> Vec<Option<String>> {
        cells.map(|c| c.map(String::from)).to_vec()
    }

    #[test]
    fn a_table_fits_and_marks_what_changed() {
        let cells = [
            row([Some("Zürich"), Some("7"), Some("a note that is long")]),
            row([Some("東京"), Some("12"), None]),
        ];
        let changed = [vec![false, true, false], vec![false, false, false]];
        let schema = schema();
        let content = Content { schema: &schema, cells: &cells, changed: &changed, total: 9 };
        let mut wanted = Vec::new();
        let lines = table(&content, &mut wanted, 40, false);
        assert_eq!(
            lines,
            [
                "┌─────────┬────────┬───────────────────┐",
                "│   city  │    n   │        note       │",
                "│ varchar │ bigint │      varchar      │",
                "├─────────┼────────┼───────────────────┤",
                "│ Zürich  │      7 │ a note that is l… │",
                "│ 東京    │     12 │ NULL              │",
                "└─────────┴────────┴───────────────────┘",
                "2 of 9 rows shown",
            ]
        );
        assert!(lines.iter().all(|l| l.width() <= 40));
        let marked = table(&content, &mut wanted, 40, true);
        assert!(marked[4].contains("\u{1b}[1;33m     7\u{1b}[0m"), "{:?}", marked[4]);
        let narrow = table(&content, &mut wanted, 24, false);
        assert!(narrow.iter().all(|l| l.width() <= 24), "{narrow:#?}");
        assert!(narrow.last().unwrap().contains("2 of 3 col"));
    }

    #[test]
    fn lines_are_drawn_in_place_and_never_scroll() {
        let mut out = Vec::new();
        let mut screen = Screen::new(&mut out, (20, 4));
        let lines = |n: usize| (0..n).map(|i| format!("line {i}")).collect::<Vec<_>>();
        screen.draw(&lines(2), (20, 4)).unwrap();
        screen.draw(&lines(9), (20, 4)).unwrap();
        screen.draw(&lines(1), (30, 4)).unwrap();
        screen.leave().unwrap();
        let text = String::from_utf8(out).unwrap();
        let mut terminal = vt100::Parser::new(4, 20, 0);
        terminal.process(text.replace('\n', "\r\n").as_bytes());
        assert_eq!(terminal.screen().contents(), "line 0");
        assert!(
            text.contains("\u{1b}[2A") && text.contains("line 8") && !text.contains("line 5\u{1b}"),
            "{text:?}"
        );
    }
}
