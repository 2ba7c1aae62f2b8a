//! What is told of a case: as a row of a table for people, of one in Markdown, and as columns for programs.

use super::child::{Kept, Ran};
use super::growth;
use super::{Bench, BenchError, Case, Result};
use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;

/// A figure over several runs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figure {
    /// The least.
    pub best: f64,
    /// The one in the middle.
    pub median: f64,
}

impl Figure {
    fn of(figures: impl Iterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let (best, middle) = (*figures.first()?, figures.len() / 2);
        let median = match figures.len().is_multiple_of(2) {
            true => (figures[middle - 1] + figures[middle]) / 2.0,
            false => figures[middle],
        };
        Some(Figure { best, median })
    }
}

/// What the runs of one engine took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Side {
    /// Seconds waited.
    pub wall: Figure,
    /// Seconds computed.
    pub cpu: Figure,
    /// The most memory at once, in MB, of the run that took the least.
    pub peak_mb: Option<f64>,
    /// Rows given.
    pub rows_out: u64,
    /// Milliseconds that half of the steps of the quickest run took at most, and 99 % of them.
    pub steps: Option<(f64, f64)>,
    /// What the job kept when it had read all, and what its workers sent each other.
    pub kept: Option<Kept>,
}

impl Side {
    /// The sum of runs; none if there are none.
    pub(super) fn of(runs: &[Ran]) -> Option<Self> {
        let quickest = runs.iter().min_by(|a, b| a.wall_s.total_cmp(&b.wall_s))?;
        let ms = |us: u64| us as f64 / 1000.0;
        Some(Side {
            wall: Figure::of(runs.iter().map(|r| r.wall_s))?,
            cpu: Figure::of(runs.iter().map(|r| r.cpu_s))?,
            peak_mb: runs.iter().filter_map(|r| r.peak_mb).min_by(f64::total_cmp),
            rows_out: quickest.rows_out,
            steps: quickest.steps.map(|steps| (ms(steps.p50_us), ms(steps.p99_us))),
            kept: quickest.kept,
        })
    }
}

/// Whether both answers are equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// They are.
    Equal,
    /// They are not; in words.
    Differs(String),
}

/// What is told of a case.
#[derive(Debug, Clone)]
pub struct Line {
    /// Which query, over what, for what.
    pub case: Case,
    /// With how many workers.
    pub workers: usize,
    /// Over how many events.
    pub events: u64,
    /// How many rows there are in the streams that it reads.
    pub rows: u64,
    /// What our engine took.
    pub ours: Option<Side>,
    /// What the batch engine took.
    pub batch: Option<Side>,
    /// Whether their answers are equal, if that was asked.
    pub check: Option<Checked>,
}

/// What stands in a place that nothing is known for.
pub(super) const NOTHING: &str = "–";

impl Line {
    pub(super) fn new(case: Case, workers: usize, events: u64, rows: u64) -> Self {
        Line { case, workers, events, rows, ours: None, batch: None, check: None }
    }

    pub(super) fn set(&mut self, ours: Option<Side>, batch: Option<Side>) {
        (self.ours, self.batch) = (ours, batch);
    }

    fn rows_per_s(&self) -> Option<f64> {
        self.ours.filter(|o| o.wall.best > 0.0).map(|o| (self.rows as f64 / o.wall.best).round())
    }

    /// Microseconds that are computed for a row that is read.
    pub(super) fn us_per_row(&self) -> Option<f64> {
        self.ours.filter(|_| self.rows > 0).map(|o| o.cpu.best / self.rows as f64 * 1e6)
    }

    pub(super) fn kept(&self) -> Option<Kept> {
        self.ours.and_then(|o| o.kept)
    }

    /// Our engine's figure by the batch engine's.
    fn ratio(&self, figure: impl Fn(&Side) -> f64) -> Option<f64> {
        let (ours, batch) = (self.ours.as_ref().map(&figure)?, self.batch.as_ref().map(&figure)?);
        (batch > 0.0).then(|| ours / batch)
    }

    /// All that there is to tell, for programs.
    fn cells(&self) -> Vec<(&'static str, Cell)> {
        let ours = |f: fn(&Side) -> f64| Cell::Number(self.ours.as_ref().map(f).map(rounded));
        let batch = |f: fn(&Side) -> f64| Cell::Number(self.batch.as_ref().map(f).map(rounded));
        let ratio = |f: fn(&Side) -> f64| Cell::Number(self.ratio(f).map(rounded));
        let kept = |f: fn(&Kept) -> u64| Cell::Count(self.kept().as_ref().map(f));
        let (q, o, b) = (&self.case, &self.ours, &self.batch);
        vec![
            ("query", Cell::Text(Some(q.query.name.into()))),
            ("input", Cell::Text(Some(q.input.word().into()))),
            ("emit", Cell::Text(Some(q.emit.word().into()))),
            ("events", Cell::Count(Some(self.events))),
            ("workers", Cell::Count(Some(self.workers as u64))),
            ("rows_in", Cell::Count(Some(self.rows))),
            ("rows_out", Cell::Count(o.map(|o| o.rows_out))),
            ("batch_rows_out", Cell::Count(b.map(|b| b.rows_out))),
            ("rows_per_s", Cell::Number(self.rows_per_s())),
            ("cpu_s", ours(|s| s.cpu.best)),
            ("cpu_median_s", ours(|s| s.cpu.median)),
            ("batch_cpu_s", batch(|s| s.cpu.best)),
            ("batch_cpu_median_s", batch(|s| s.cpu.median)),
            ("cpu_ratio", ratio(|s| s.cpu.best)),
            ("cpu_median_ratio", ratio(|s| s.cpu.median)),
            ("wall_s", ours(|s| s.wall.best)),
            ("wall_median_s", ours(|s| s.wall.median)),
            ("batch_wall_s", batch(|s| s.wall.best)),
            ("batch_wall_median_s", batch(|s| s.wall.median)),
            ("wall_ratio", ratio(|s| s.wall.best)),
            ("peak_mb", Cell::Number(o.and_then(|o| o.peak_mb).map(rounded))),
            ("batch_peak_mb", Cell::Number(b.and_then(|b| b.peak_mb).map(rounded))),
            ("cpu_us_per_row", Cell::Number(self.us_per_row().map(rounded))),
            ("state_rows", kept(|k| k.state_rows)),
            ("state_bytes", kept(|k| k.state_bytes)),
            ("moved_rows", kept(|k| k.moved_rows)),
            ("moved_bytes", kept(|k| k.moved_bytes)),
            ("step_p50_ms", Cell::Number(o.and_then(|o| o.steps).map(|s| s.0))),
            ("step_p99_ms", Cell::Number(o.and_then(|o| o.steps).map(|s| s.1))),
            (
                "answers",
                Cell::Text(self.check.as_ref().map(|check| match check {
                    Checked::Equal => "equal".into(),
                    Checked::Differs(how) => format!("differ: {how}"),
                })),
            ),
        ]
    }

    /// All that there is to tell, as a row.
    pub fn batch(&self) -> Result<RecordBatch> {
        let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = self
            .cells()
            .into_iter()
            .map(|(name, cell)| {
                let column: ArrayRef = match cell {
                    Cell::Text(text) => Arc::new(StringArray::from(vec![text])),
                    Cell::Count(count) => {
                        Arc::new(Int64Array::from(vec![count.map(|n| i64::try_from(n).unwrap_or(i64::MAX))]))
                    }
                    Cell::Number(number) => Arc::new(Float64Array::from(vec![number])),
                };
                (Field::new(name, column.data_type().clone(), true), column)
            })
            .unzip();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(BenchError::from)
    }
}

enum Cell {
    Text(Option<String>),
    Count(Option<u64>),
    Number(Option<f64>),
}

/// To a thousandth: what lies below is noise.
fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

/// The columns of [`Line::batch`].
pub fn schema() -> SchemaRef {
    let text = ["query", "input", "emit", "answers"];
    let counts = [
        "events",
        "workers",
        "rows_in",
        "rows_out",
        "batch_rows_out",
        "state_rows",
        "state_bytes",
        "moved_rows",
        "moved_bytes",
    ];
    let case =
        Case { query: &super::queries::QUERIES[0], input: super::Input::Json, emit: super::Emit::Changes };
    let fields = Line::new(case, 0, 0, 0).cells().into_iter().map(|(name, _)| {
        let data_type = match name {
            name if text.contains(&name) => DataType::Utf8,
            name if counts.contains(&name) => DataType::Int64,
            _ => DataType::Float64,
        };
        Field::new(name, data_type, true)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// A column of the table for people.
struct Column {
    name: &'static str,
    width: usize,
    /// Where there is not room for all, those with the highest number go first.
    rank: u8,
    cell: fn(&Line) -> String,
}

const COLUMNS: [Column; 17] = {
    const fn column(name: &'static str, width: usize, rank: u8, cell: fn(&Line) -> String) -> Column {
        Column { name, width, rank, cell }
    }
    [
        column("query", 5, 0, |l| l.case.query.name.into()),
        column("input", 5, 0, |l| l.case.input.word().into()),
        column("emit", 7, 0, |l| l.case.emit.word().into()),
        column(EVENTS, 11, 0, |l| shown(Some(l.events as f64), 0)),
        column("rows/s", 10, 0, |l| shown(l.rows_per_s(), 0)),
        column("CPU s", 6, 0, |l| shown(l.ours.map(|s| s.cpu.best), 2)),
        column("batch CPU", 9, 0, |l| shown(l.batch.map(|s| s.cpu.best), 2)),
        column("CPU ratio", 9, 0, |l| shown(l.ratio(|s| s.cpu.best), 2)),
        column("wall s", 6, 1, |l| shown(l.ours.map(|s| s.wall.best), 2)),
        column("batch wall", 10, 2, |l| shown(l.batch.map(|s| s.wall.best), 2)),
        column("MB", 5, 1, |l| shown(l.ours.and_then(|s| s.peak_mb), 0)),
        column("batch MB", 8, 2, |l| shown(l.batch.and_then(|s| s.peak_mb), 0)),
        column("state MB", 8, 3, |l| shown(l.kept().map(|k| k.state_bytes as f64 / 1e6), 1)),
        column("step p50", 8, 3, |l| shown(l.ours.and_then(|s| s.steps).map(|s| s.0), 1)),
        column("p99 ms", 6, 3, |l| shown(l.ours.and_then(|s| s.steps).map(|s| s.1), 1)),
        column("rows out", 10, 4, |l| shown(l.ours.map(|s| s.rows_out as f64), 0)),
        column(ANSWERS, 7, 0, |l| match l.check {
            None => String::new(),
            Some(Checked::Equal) => "equal".into(),
            Some(Checked::Differs(_)) => "DIFFER".into(),
        }),
    ]
};

/// The column that is there if there are several numbers of events, and the one if answers are compared.
const EVENTS: &str = "events";
const ANSWERS: &str = "answers";

/// The columns that name the case: they stand at the left of theirs.
const NAMES: usize = 3;
const BETWEEN: &str = "  ";

/// Draws lines as a table for people, one after the other.
pub struct Table {
    columns: Vec<&'static Column>,
}

impl Table {
    /// A table that is so wide at most. `sizes` = there are several numbers of events.
    pub fn new(width: Option<usize>, checks: bool, sizes: bool) -> Self {
        let shown = |c: &&Column| match c.name {
            EVENTS => sizes,
            ANSWERS => checks,
            _ => true,
        };
        let mut columns: Vec<&Column> = COLUMNS.iter().filter(shown).collect();
        let wide = |columns: &[&Column]| columns.iter().map(|c| c.width + BETWEEN.len()).sum::<usize>();
        while let Some(last) = columns.iter().map(|c| c.rank).max().filter(|rank| *rank > 0)
            && width.is_some_and(|width| wide(&columns) > width + BETWEEN.len())
        {
            columns.retain(|c| c.rank < last);
        }
        Table { columns }
    }

    /// The names of the columns.
    pub fn head(&self) -> String {
        self.drawn(|c| c.name.into())
    }

    /// A line.
    pub fn line(&self, line: &Line) -> String {
        self.drawn(|c| (c.cell)(line))
    }

    fn drawn(&self, cell: impl Fn(&Column) -> String) -> String {
        let cells = self.columns.iter().enumerate().map(|(i, column)| {
            let (text, width) = (cell(column), column.width);
            if i < NAMES { format!("{text:<width$}") } else { format!("{text:>width$}") }
        });
        cells.collect::<Vec<_>>().join(BETWEEN).trim_end().to_string() + "\n"
    }
}

/// What the figures are, in words; over so many events each.
pub fn heading(bench: &Bench, sizes: &[u64]) -> String {
    let events: Vec<String> = sizes.iter().map(|events| shown(Some(*events as f64), 0)).collect();
    let runs = match bench.runs {
        0 => String::new(),
        1 => ", one run".into(),
        runs => format!(", best of {runs} runs, in turn"),
    };
    let workers = if bench.workers == 1 { "1 worker".into() } else { format!("{} workers", bench.workers) };
    format!("{} events, {workers}{runs}", events.join(" / "))
}

/// What has to be known to read the figures.
pub const NOTES: &str = "\
Ours is a whole job, with journal and checkpoints, into a blackhole that takes every change; batch is DataFusion's batch \
engine on the same number of threads. CPU is what all threads computed, wall what was waited, planning included. Input json: both read \
and parse the same files. Input topic: ours reads topics on disk; batch has the rows in memory, loaded before the clock starts and \
counted in its MB.";

/// The lines as a document in Markdown.
pub fn markdown(bench: &Bench, sizes: &[u64], lines: &[Line]) -> String {
    let mut text = format!("# Nexmark: {}\n\n{NOTES}\n", heading(bench, sizes));
    text.push_str("In brackets the median. Steps: p50 / p99 in ms.\n\n");
    let mut head = vec![
        "query",
        "input",
        "emit",
        "rows in",
        "rows/s",
        "CPU s",
        "batch CPU s",
        "CPU ratio",
        "wall s",
        "batch wall s",
        "peak MB",
        "batch MB",
        "steps",
    ];
    if bench.check {
        head.push(ANSWERS);
    }
    if sizes.len() > 1 {
        head.insert(NAMES, EVENTS);
    }
    text.push_str(&format!("| {} |\n", head.join(" | ")));
    let rule = (0..head.len()).map(|i| if i < NAMES { "---" } else { "---:" });
    text.push_str(&format!("| {} |\n", rule.collect::<Vec<_>>().join(" | ")));
    let both = |figure: Option<Figure>| match figure {
        Some(figure) if bench.runs > 1 => format!("{:.2} ({:.2})", figure.best, figure.median),
        figure => shown(figure.map(|f| f.best), 2),
    };
    for line in lines {
        let (ours, batch) = (line.ours, line.batch);
        let steps = ours.and_then(|s| s.steps);
        let mut cells = vec![
            line.case.query.name.into(),
            line.case.input.word().into(),
            line.case.emit.word().into(),
            shown(Some(line.rows as f64), 0),
            shown(line.rows_per_s(), 0),
            both(ours.map(|s| s.cpu)),
            both(batch.map(|s| s.cpu)),
            both(
                line.ratio(|s| s.cpu.best)
                    .zip(line.ratio(|s| s.cpu.median))
                    .map(|(best, median)| Figure { best, median }),
            ),
            both(ours.map(|s| s.wall)),
            both(batch.map(|s| s.wall)),
            shown(ours.and_then(|s| s.peak_mb), 0),
            shown(batch.and_then(|s| s.peak_mb), 0),
            steps.map_or(NOTHING.into(), |(p50, p99)| format!("{p50:.1} / {p99:.1}")),
        ];
        if bench.check {
            cells.push(match &line.check {
                None => NOTHING.into(),
                Some(Checked::Equal) => "equal".into(),
                Some(Checked::Differs(how)) => format!("differ: {}", how.replace('|', "\\|")),
            });
        }
        if sizes.len() > 1 {
            cells.insert(NAMES, shown(Some(line.events as f64), 0));
        }
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    if sizes.len() > 1 {
        text.push_str(&growth::growth(lines));
    }
    text + &growth::moved(lines)
}

/// A number with so many decimals, and commas in what stands before them.
pub(super) fn shown(number: Option<f64>, decimals: usize) -> String {
    let Some(number) = number else { return NOTHING.into() };
    let text = format!("{number:.decimals$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::with_capacity(text.len() + whole.len() / 3);
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::data::Data;
    use crate::bench::queries::query;
    use crate::bench::{Emit, Input};
    use crate::engine::StepTimes;

    fn line() -> Line {
        let ran = |wall_s, cpu_s| Ran {
            wall_s,
            cpu_s,
            peak_mb: Some(120.4),
            rows_in: None,
            rows_out: 7,
            steps: Some(StepTimes { count: 3, p50_us: 4_100, p99_us: 9_000, longest_us: 9_000 }),
            kept: Some(Kept { state_rows: 10, state_bytes: 2_500_000, moved_rows: 4, moved_bytes: 99 }),
        };
        let case = Case { query: query("q5").unwrap(), input: Input::Json, emit: Emit::Final };
        let mut line = Line::new(case, 2, 2_000_000, 1_840_000);
        line.set(
            Side::of(&[ran(2.0, 3.0), ran(1.0, 2.0), ran(4.0, 2.5)]),
            Side::of(&[ran(0.5, 1.0), ran(0.7, 1.1)]),
        );
        line.check = Some(Checked::Equal);
        line
    }

    #[test]
    fn the_best_and_the_middle_of_the_runs_count() {
        let line = line();
        let (ours, batch) = (line.ours.unwrap(), line.batch.unwrap());
        assert_eq!(ours.cpu, Figure { best: 2.0, median: 2.5 });
        assert_eq!(ours.wall, Figure { best: 1.0, median: 2.0 });
        assert_eq!(batch.cpu, Figure { best: 1.0, median: 1.05 });
        assert_eq!((line.rows_per_s(), line.ratio(|s| s.cpu.best)), (Some(1_840_000.0), Some(2.0)));
        assert!(Side::of(&[]).is_none());
    }

    #[test]
    fn the_table_fits_the_screen() {
        let table = Table::new(None, true, false);
        assert_eq!(
            table.head() + &table.line(&line()),
            "query  input  emit         rows/s   CPU s  batch CPU  CPU ratio  wall s  batch wall     MB  batch MB  state MB  step p50  p99 ms    rows out  answers\n\
             q5     json   final     1,840,000    2.00       1.00       2.00    1.00        0.50    120       120       2.5       4.1     9.0           7    equal\n"
        );
        for width in 60..150 {
            let table = Table::new(Some(width), false, false);
            let (head, line) = (table.head(), table.line(&line()));
            assert!(
                head.trim_end().len() <= width.max(63) && line.trim_end().len() <= width.max(63),
                "{head}"
            );
            assert!(head.contains("CPU ratio") && !head.contains("answers"));
        }
    }

    #[test]
    fn programs_get_every_figure() {
        let batch = line().batch().unwrap();
        assert_eq!(batch.schema(), schema());
        let empty = Line { ours: None, batch: None, check: None, ..line() };
        assert_eq!(empty.batch().unwrap().schema(), schema());
    }

    #[test]
    fn the_document_is_a_table() {
        let data = Data { dir: "x".into(), events: 2_000_000 };
        let bench = Bench { data, workers: 2, runs: 3, check: true, ours_only: false };
        let mut other = line();
        other.check = Some(Checked::Differs("a|b".into()));
        let text = markdown(&bench, &[2_000_000], &[line(), other]);
        assert!(
            text.starts_with("# Nexmark: 2,000,000 events, 2 workers, best of 3 runs, in turn\n"),
            "{text}"
        );
        let rows: Vec<&str> = text.lines().filter(|l| l.starts_with('|')).collect();
        // Then what the workers moved.
        assert_eq!(rows.len(), 4 + 4);
        assert_eq!(
            rows[2],
            "| q5 | json | final | 1,840,000 | 1,840,000 | 2.00 (2.50) | 1.00 (1.05) | 2.00 (2.38) | 1.00 (2.00) | 0.50 (0.60) | 120 | 120 | 4.1 / 9.0 | equal |"
        );
        assert!(rows[3].ends_with("differ: a\\|b |"), "{}", rows[3]);
    }

    #[test]
    fn numbers_are_grouped() {
        for (number, decimals, text) in
            [(0.0, 0, "0"), (999.4, 1, "999.4"), (1234.5, 1, "1,234.5"), (1_234_567.0, 0, "1,234,567")]
        {
            assert_eq!(shown(Some(number), decimals), text);
        }
        assert_eq!(shown(None, 2), NOTHING);
    }
}
