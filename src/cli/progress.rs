//! One line on standard error that says how far a running job is, and the summary at its end.
//!
//! The line is redrawn in place, at most ten times a second and only on a terminal; it has
//! to be erased before anything else is written. This file reads no clock: callers say how long they run.

use crate::cli::terminal::Screen;
use crate::engine::Totals;
use std::io::{self, Write};
use std::time::Duration;

/// How often the line may change.
const PER_SECOND: u32 = 10;

/// The progress line.
pub struct Progress<W: Write> {
    out: W,
    screen: Screen,
    /// When the line was last drawn, since the start.
    drawn_at: Option<Duration>,
    /// The line is on the screen now.
    visible: bool,
}

impl<W: Write> Progress<W> {
    /// A progress line on `out`; draws nothing unless `screen` is a terminal.
    pub fn new(out: W, screen: Screen) -> Self {
        Progress { out, screen, drawn_at: None, visible: false }
    }

    /// Shows that `rows` rows were read in the `elapsed` time since the start. Cheap to call often.
    pub fn update(&mut self, elapsed: Duration, rows: u64) -> io::Result<()> {
        let Some(width) = self.screen.width else { return Ok(()) };
        if self.drawn_at.is_some_and(|then| elapsed < then + Duration::from_secs(1) / PER_SECOND) {
            return Ok(());
        }
        self.drawn_at = Some(elapsed);
        self.visible = true;
        let line = format!("{} rows, {} rows/s", grouped(rows), grouped(rate(rows, elapsed)));
        // A line that wraps could not be erased again.
        let line = &line[..line.len().min(width.saturating_sub(1))];
        write!(self.out, "\r\u{1b}[K{line}")?;
        self.out.flush()
    }

    /// Takes the line off the screen, before other output and at the end.
    pub fn erase(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.visible) {
            write!(self.out, "\r\u{1b}[K")?;
            self.out.flush()?;
        }
        Ok(())
    }
}

/// The line that ends a run: `hourly_board: 26,483 rows in, 1,763 out, 0 late, 0 bad, 0.41 s, 64,593 rows/s`.
/// Rows behind the watermark and rows without a time are told where there are any.
pub fn summary(name: &str, totals: &Totals, elapsed: Duration) -> String {
    let Totals { rows_in, rows_out, behind, late, after_idle, timeless, bad, .. } = *totals;
    let rows = if rows_in == 1 { "row" } else { "rows" };
    let mut line = format!("{name}: {} {rows} in, {} out", grouped(rows_in), grouped(rows_out));
    if behind > 0 {
        line.push_str(&format!(", {} behind the watermark", grouped(behind)));
    }
    line.push_str(&format!(", {} late", grouped(late)));
    if after_idle > 0 {
        line.push_str(&format!(", {} after idleness", grouped(after_idle)));
    }
    if timeless > 0 {
        line.push_str(&format!(", {} without a time", grouped(timeless)));
    }
    let seconds = elapsed.as_secs_f64();
    line.push_str(&format!(
        ", {} bad, {seconds:.2} s, {} rows/s",
        grouped(bad),
        grouped(rate(rows_in, elapsed))
    ));
    line
}

/// Rows a second, rounded; 0 where no time has passed.
fn rate(rows: u64, elapsed: Duration) -> u64 {
    let seconds = elapsed.as_secs_f64();
    if seconds > 0.0 { (rows as f64 / seconds).round() as u64 } else { 0 }
}

/// A number with a comma after every third digit from the right.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (26_483, "26,483"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn the_summary_has_all_counts() {
        let totals = Totals { rows_in: 26_483, rows_out: 1_763, bad: 2, ..Totals::default() };
        assert_eq!(
            summary("hourly_board", &totals, Duration::from_millis(410)),
            "hourly_board: 26,483 rows in, 1,763 out, 0 late, 2 bad, 0.41 s, 64,593 rows/s"
        );
        assert_eq!(
            summary("q", &Totals::default(), Duration::ZERO),
            "q: 0 rows in, 0 out, 0 late, 0 bad, 0.00 s, 0 rows/s"
        );
    }

    #[test]
    fn the_line_is_drawn_ten_times_a_second_and_erased() {
        let mut out = Vec::new();
        let mut progress = Progress::new(&mut out, Screen { width: Some(80), colour: false });
        for millis in 1..=1_000 {
            progress.update(Duration::from_millis(millis), millis * 10).unwrap();
        }
        progress.erase().unwrap();
        progress.erase().unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches("rows/s").count(), 10);
        assert!(text.starts_with("\r\u{1b}[K10 rows, 10,000 rows/s"), "{text}");
        assert!(text.ends_with("rows/s\r\u{1b}[K"), "{text}");
    }

    #[test]
    fn nothing_is_drawn_off_a_terminal_and_no_line_wraps() {
        let mut out = Vec::new();
        let mut progress = Progress::new(&mut out, Screen::default());
        progress.update(Duration::from_secs(1), 5).unwrap();
        progress.erase().unwrap();
        assert!(out.is_empty());
        let mut progress = Progress::new(&mut out, Screen { width: Some(6), colour: false });
        progress.update(Duration::from_secs(1), 1_234_567).unwrap();
        assert_eq!(out, b"\r\x1b[K1,234");
    }
}
