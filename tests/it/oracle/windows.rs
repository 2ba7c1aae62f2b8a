//! Windows in every spelling, and as arithmetic for the reference.

use super::data::{MARK, SECOND};
use super::draw::Draw;
use super::expr::Type::Time;
use super::expr::{Calls, aggregate};
use super::query::{Making, Relation, both, names};

/// Windows in seconds.
struct Lengths {
    size: i64,
    /// Slide or step.
    inner: Option<i64>,
    cumulate: bool,
    offset: i64,
    grace: i64,
}

impl Lengths {
    fn draw(d: &mut Draw) -> Self {
        let size = d.one(&[10, 20, 30, 60, 60, 120]);
        let (offset, grace) = (d.one(&[0, 0, 0, 3, 7, -4]), d.one(&[0, 0, 0, 5, 20, 60]));
        let (inner, cumulate) = match d.below(10) {
            0..=3 => (None, false),
            4..=6 => (Some(d.one(&[size / 2, size / 5, 7, size, size * 2])), false),
            _ => (Some(size / d.one(&[1, 2, 5])), true),
        };
        Lengths { size, inner, cumulate, offset, grace }
    }

    fn name(&self) -> &'static str {
        match (self.inner, self.cumulate) {
            (None, _) => "TUMBLE",
            (_, false) => "HOP",
            _ => "CUMULATE",
        }
    }
}

impl Making<'_> {
    /// The rows of `from` in windows over its time.
    pub(super) fn window(&mut self, from: Relation) -> Relation {
        if from.windowed || from.cols.iter().any(|c| c.0.starts_with("window_")) {
            return from;
        }
        let side = self.side(&from);
        let lengths = Lengths::draw(self.d);
        let windowed = self.windowed(from.clone(), lengths);
        // Sessions take the place of some windows, without a change of what is drawn for the others.
        match side {
            Some(side) => self.session(side, from),
            None => windowed,
        }
    }

    fn windowed(&mut self, from: Relation, lengths: Lengths) -> Relation {
        let time = from.time.clone().unwrap_or_else(|| "ts".into());
        let (before, after) = self.spelling(&lengths, &time, from.named);
        let (reference_before, reference_after) = self.reference(&lengths, &time, &from);
        let text =
            format!("{}{}{}", both(&before, &reference_before), from.text, both(&after, &reference_after));
        let mut cols = from.cols.clone();
        cols.extend(["window_start", "window_end", "window_time"].map(|name| (name.to_string(), Time)));
        Relation { text, named: false, cols, windowed: true, ..from }
    }

    /// The rows of a stream in windows of `size` seconds.
    pub(super) fn tumble(&mut self, from: Relation, size: i64) -> Relation {
        self.windowed(from, Lengths { size, inner: None, cumulate: false, offset: 0, grace: 0 })
    }

    /// The rows of a stream in windows of `size` seconds, side by side or not, wherever they begin and however long they wait.
    pub(super) fn windows_of(&mut self, from: Relation, size: i64, overlap: bool) -> Relation {
        let inner = overlap.then(|| self.d.one(&[size / 2, size / 5]));
        let cumulate = overlap && self.d.chance(50);
        let (offset, grace) = (self.d.one(&[0, 0, 0, 3, -4]), self.d.one(&[0, 0, 0, 5, 60]));
        self.windowed(from, Lengths { size, inner, cumulate, offset, grace })
    }

    /// What stands before and after the relation in one of the spellings.
    fn spelling(&mut self, w: &Lengths, time: &str, named: bool) -> (String, String) {
        let name = w.name();
        let seconds = |n: i64| format!("INTERVAL '{n} seconds'");
        let flink =
            |n: i64| if n < 0 { format!("INTERVAL '{n} seconds'") } else { format!("INTERVAL '{n}' SECOND") };
        let inner = w.inner.map_or(String::new(), |i| format!(", {}", seconds(i)));
        let grace = if w.grace > 0 { format!(", GRACE => {}", seconds(w.grace)) } else { String::new() };
        let offset = if w.offset != 0 { format!(", {}", seconds(w.offset)) } else { String::new() };
        match self.d.below(3) {
            0 => (format!("{name}("), format!(", {time}{inner}, {}{offset}{grace})", seconds(w.size))),
            1 => {
                let table = if named { "TABLE " } else { "" };
                let inner = w.inner.map_or(String::new(), |i| format!(", {}", flink(i)));
                let offset = if w.offset != 0 { format!(", {}", flink(w.offset)) } else { String::new() };
                (
                    format!("TABLE({name}({table}"),
                    format!(", DESCRIPTOR({time}){inner}, {}{offset}{grace}))", flink(w.size)),
                )
            }
            _ => {
                let table = if named { "TABLE " } else { "" };
                let word = if w.cumulate { "STEP" } else { "SLIDE" };
                let inner = w.inner.map_or(String::new(), |i| format!(", {word} => {}", seconds(i)));
                let offset =
                    if w.offset != 0 { format!(", OFFSET => {}", seconds(w.offset)) } else { String::new() };
                let size = seconds(w.size);
                (
                    format!("TABLE({name}(DATA => {table}"),
                    format!(", TIMECOL => DESCRIPTOR({time}){inner}, SIZE => {size}{offset}{grace}))"),
                )
            }
        }
    }

    /// The same in arithmetic: every window that the time lies in, but those that the row is late for.
    fn reference(&self, w: &Lengths, time: &str, from: &Relation) -> (String, String) {
        let (size, offset) = (w.size * SECOND, w.offset * SECOND);
        let align = if w.cumulate { size } else { w.inner.map_or(size, |i| i * SECOND) };
        let unit = self.shape.unit_ns();
        let first = format!("(t__ - (((t__ - {offset}) % {align}) + {align}) % {align})");
        let (start, end, count) = if w.cumulate {
            let step = w.inner.unwrap_or(w.size) * SECOND;
            (first.clone(), format!("{first} + (n__ + 1) * {step}"), size / step)
        } else {
            let start = format!("{first} - n__ * {align}");
            (start.clone(), format!("{start} + {size}"), size / align + i64::from(size % align != 0))
        };
        let mark = if from.marks && !from.mixed { MARK } else { "CAST(NULL AS BIGINT)" };
        let kept = if from.marks { format!(", {MARK}") } else { String::new() };
        let zeroth: Vec<String> = (0..count).map(|n| format!("({n})")).collect();
        let short = 1_000_000.max(unit);
        let stamp = |ns: &str| format!("arrow_cast(({ns}) / {unit}, '{}')", self.shape.time_arrow());
        let cols = names(&from.cols);
        let before = format!(
            "(SELECT {cols}{kept}, {} AS window_start, {} AS window_end, {} AS window_time FROM (SELECT *, {start} AS a__, \
             {end} AS z__ FROM (SELECT *, CAST({time} AS BIGINT) * {unit} AS t__, {mark} AS m__ FROM ",
            stamp("a__"),
            stamp("z__"),
            stamp(&format!("z__ - {short}")),
        );
        let after = format!(
            " AS r1) AS r2 CROSS JOIN (VALUES {}) AS numbers (n__)) AS r3 WHERE t__ < z__ AND \
             (m__ IS NULL OR m__ < z__ + {}))",
            zeroth.join(", "),
            w.grace * SECOND
        );
        (before, after)
    }

    /// ksqlDB's clause, or Flink's older window in GROUP BY.
    pub(super) fn old_spelling(&mut self) -> String {
        let from = self.stream();
        if let Some(side) = self.side(&from) {
            return self.old_session(side, &from);
        }
        let table = self.shape.is_table(usize::from(from.text == "t"));
        let mut w = Lengths::draw(self.d);
        w.offset = 0;
        w.cumulate = false;
        let key = self.d.pick(&["k", "g", "b"]);
        let calls = Calls { cols: &from.cols, order: None, exact: false };
        let (a, b) = (aggregate(self.d, &calls).0, aggregate(self.d, &calls).0);
        let filter = self.filter(&from.cols, 30);
        let inner = w.inner;
        // A table has no event time, which the clause takes by itself.
        let (head, select, by) = if self.d.chance(50) && !table {
            let grace =
                if w.grace > 0 { format!(", GRACE PERIOD {} SECONDS", w.grace) } else { String::new() };
            let kind = match inner {
                None => format!("TUMBLING (SIZE {} SECONDS{grace})", w.size),
                Some(i) => format!("HOPPING (SIZE {} SECONDS, ADVANCE BY {i} SECONDS{grace})", w.size),
            };
            (format!("{} WINDOW {kind}", from.text), both("WINDOWSTART", "window_start"), key.to_string())
        } else {
            w.grace = 0;
            let args = match inner {
                None => format!("ts, INTERVAL '{}' SECOND", w.size),
                Some(i) => format!("ts, INTERVAL '{i}' SECOND, INTERVAL '{}' SECOND", w.size),
            };
            let name = w.name();
            (
                from.text.clone(),
                both(&format!("{name}_START({args})"), "window_start"),
                format!("{name}({args}), {key}"),
            )
        };
        let (before, after) = self.reference(&w, "ts", &from);
        let source = both(&head, &format!("{before}{}{after} AS r", from.text));
        let by = both(&by, &format!("{key}, window_start, window_end, window_time"));
        format!("SELECT {select} AS ws, {key}, {a} AS a0, {b} AS a1 FROM {source}{filter} GROUP BY {by}")
    }
}
