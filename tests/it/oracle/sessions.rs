//! Session windows in every spelling, and as window functions for the reference.
//!
//! They draw from a side stream of random numbers, so that all that is drawn besides them stays what it was without them.

use super::data::{MARK, SECOND};
use super::draw::Draw;
use super::expr::Type::{Bool, Date, Decimal, Int, Text, Time};
use super::expr::{Calls, aggregate};
use super::query::{Making, Relation, both, names};

/// In how many of a hundred places a window over a stream's rows is a session, and over results, which may change.
const SESSIONS: [usize; 2] = [20, 60];

/// Sessions in seconds.
struct Sessions {
    gap: i64,
    grace: i64,
    keys: Vec<String>,
}

impl Making<'_> {
    /// A side stream, where the window that is about to be drawn shall be a session.
    pub(super) fn side(&self, from: &Relation) -> Option<Draw> {
        let mut side = Draw::new(self.d.clone().bits() ^ 0x7365_7373_696f_6e73);
        side.chance(SESSIONS[usize::from(!from.marks)]).then_some(side)
    }

    /// The rows of `from` in sessions over its time.
    pub(super) fn session(&mut self, mut side: Draw, from: Relation) -> Relation {
        let d = &mut side;
        let mut keys: Vec<String> = Vec::new();
        let plain =
            from.cols.iter().filter(|c| c.0 != "id" && [Int, Text, Bool, Decimal, Date].contains(&c.1));
        let plain: Vec<_> = plain.collect();
        for _ in 0..d.one(&[0, 1, 1, 1, 1, 2]) {
            if plain.is_empty() {
                break;
            }
            let (name, kind) = plain[d.below(plain.len())].clone();
            let key = if kind == Int && d.chance(25) { format!("({name} % 2)") } else { name };
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        let w = Sessions { gap: d.one(&[1, 2, 5, 10, 10, 30]), grace: d.one(&[0, 0, 0, 5, 20, 60]), keys };
        let time = from.time.clone().unwrap_or_else(|| "ts".into());
        let (before, after) = spelling(d, &w, &time, from.named);
        let (reference_before, reference_after) = self.session_reference(&w, &time, &from);
        let text =
            format!("{}{}{}", both(&before, &reference_before), from.text, both(&after, &reference_after));
        let mut cols = from.cols.clone();
        cols.extend(["window_start", "window_end", "window_time"].map(|name| (name.to_string(), Time)));
        // The reference's rows come in another order than that of their ids, and there grouping sets overlook an ORDER BY.
        Relation { text, named: false, cols, windowed: true, marks: false, order: None, ..from }
    }

    /// The rows that are not late, numbered by how many sessions have begun up to them.
    fn session_reference(&self, w: &Sessions, time: &str, from: &Relation) -> (String, String) {
        let unit = self.shape.unit_ns();
        let (gap, grace, short) = (w.gap * SECOND, w.grace * SECOND, 1_000_000.max(unit));
        let mark = if from.marks && !from.mixed { MARK } else { "CAST(NULL AS BIGINT)" };
        let stamp = |ns: &str| format!("arrow_cast(({ns}) / {unit}, '{}')", self.shape.time_arrow());
        let by = match w.keys.as_slice() {
            [] => String::new(),
            keys => format!("PARTITION BY {} ", keys.join(", ")),
        };
        let all: String = w.keys.iter().map(|key| format!("{key}, ")).collect();
        let before = format!(
            "(SELECT {}, {} AS window_start, {} AS window_end, {} AS window_time FROM (SELECT *, \
             min(t__) OVER (PARTITION BY {all}n__) AS a__, max(t__) OVER (PARTITION BY {all}n__) + {gap} AS z__ FROM \
             (SELECT *, sum(s__) OVER ({by}ORDER BY t__) AS n__ FROM (SELECT *, \
             CASE WHEN t__ - lag(t__) OVER ({by}ORDER BY t__) <= {gap} THEN 0 ELSE 1 END AS s__ FROM \
             (SELECT *, CAST({time} AS BIGINT) * {unit} AS t__, {mark} AS m__ FROM ",
            names(&from.cols),
            stamp("a__"),
            stamp("z__"),
            stamp(&format!("z__ - {short}")),
        );
        let after = format!(
            " AS r1) AS r2 WHERE t__ IS NOT NULL AND (m__ IS NULL OR m__ <= t__ + {grace})) AS r3) AS r4) AS r5)"
        );
        (before, after)
    }

    /// ksqlDB's clause, or Flink's older window in GROUP BY: the group's key keeps the sessions apart, and WHERE comes first.
    pub(super) fn old_session(&mut self, mut side: Draw, from: &Relation) -> String {
        let d = &mut side;
        let key = d.pick(&["k", "g", "b"]);
        // A table has no event time, which the clause takes by itself.
        let ksql = d.chance(50) && !self.shape.is_table(usize::from(from.text == "t"));
        let grace = if ksql { d.one(&[0, 0, 5, 20]) } else { 0 };
        let w = Sessions { gap: d.one(&[1, 2, 5, 10, 30]), grace, keys: vec![key.into()] };
        let calls = Calls { cols: &from.cols, order: None, exact: false };
        let (a, b) = (aggregate(d, &calls).0, aggregate(d, &calls).0);
        let filter = if d.chance(50) {
            format!(" WHERE {}", super::expr::condition(d, &from.cols, 1))
        } else {
            String::new()
        };
        let (head, start, by) = if ksql {
            let grace = if grace > 0 { format!(", GRACE PERIOD {grace} SECONDS") } else { String::new() };
            let window = format!("SESSION ({} SECONDS{grace})", w.gap);
            (format!("{} WINDOW {window}{filter}", from.text), "WINDOWSTART".into(), key.to_string())
        } else {
            let args = format!("ts, INTERVAL '{}' SECOND", w.gap);
            let by = format!("{key}, SESSION({args})");
            (format!("{}{filter}", from.text), format!("SESSION_START({args})"), by)
        };
        let (before, after) = self.session_reference(&w, "ts", from);
        let source = both(&head, &format!("{before}(SELECT * FROM {}{filter}){after} AS r", from.text));
        let by = both(&by, &format!("{key}, window_start, window_end, window_time"));
        let start = both(&start, "window_start");
        format!("SELECT {start} AS ws, {key}, {a} AS a0, {b} AS a1 FROM {source} GROUP BY {by}")
    }
}

/// What stands before and after the relation in one of the spellings.
fn spelling(d: &mut Draw, w: &Sessions, time: &str, named: bool) -> (String, String) {
    let gap = format!("INTERVAL '{} seconds'", w.gap);
    let grace =
        if w.grace > 0 { format!(", GRACE => INTERVAL '{} seconds'", w.grace) } else { String::new() };
    let keys = w.keys.join(", ");
    let by = if keys.is_empty() { String::new() } else { format!(" PARTITION BY {keys}") };
    let table = if named { "TABLE " } else { "" };
    match d.below(4) {
        0 => {
            let by = match w.keys.len() {
                0 => String::new(),
                1 => format!(", PARTITION => {keys}"),
                _ => format!(", PARTITION => ({keys})"),
            };
            ("SESSION(".into(), format!(", {time}, {gap}{by}{grace})"))
        }
        1 => ("SESSION(".into(), format!("{by}, {time}, {gap}{grace})")),
        2 => {
            let gap = format!("INTERVAL '{}' SECOND", w.gap);
            (format!("TABLE(SESSION({table}"), format!("{by}, DESCRIPTOR({time}), {gap}{grace}))"))
        }
        _ => (
            format!("TABLE(SESSION(DATA => {table}"),
            format!("{by}, TIMECOL => DESCRIPTOR({time}), GAP => {gap}{grace}))"),
        ),
    }
}
