//! Random joins of rows with the greatest or least of their own window: what a row of the same window is ahead of is not joined
//! (`plan/lower/outdone.rs`); what only looks alike must not be taken for it.
//!
//! Faults that were planted one at a time, and the case that caught each, before joins by the windows' bounds were drawn as well; that
//! the ends of a join are turned, and that a window's last moment is not its end, the planner's unit tests catch.
//!
//! | where | fault | case |
//! |---|---|---|
//! | threshold | a row at the very start of its window is left out | 133 |
//! | threshold | a row that has just reached it is left out | 0 |
//! | threshold | windows are aligned without their offset | 47 |
//! | join | rows may lie longer before the window's end than it is long | 624 |
//! | join | or behind its end | 153 |
//! | join | a key of the groups need not be the row's | 0 |
//! | join | it may be another column of it | 755 |
//! | join | fewer rows are counted than joined | 24 |
//! | join | those are wanted that are behind | 85 |
//! | join | another column is compared | 20 |
//! | join | another stream is counted | 19 |
//! | join | rows without a match are wanted, too | 60 |
//! | join | windows overlap | 113 |
//! | join | the least are taken for the greatest | 0 |

use super::data::{MARK, Shape};
use super::draw::Draw;
use super::query::{Making, Query, Relation, both, draw_body};

/// A random query of this kind.
pub(super) fn draw_outdone(d: &mut Draw, shape: &Shape) -> Query {
    draw_body(d, shape, |making| making.joined_with_best_of_window())
}

/// In what a query only looks like one whose rows can be left out.
#[derive(Clone, Copy, PartialEq)]
enum Unlike {
    Stream,
    Value,
    Key,
    Filter,
    Windows,
    Compared,
    Time,
    Bound,
    Kind,
}

const UNLIKE: [Unlike; 9] = [
    Unlike::Stream,
    Unlike::Value,
    Unlike::Key,
    Unlike::Filter,
    Unlike::Windows,
    Unlike::Compared,
    Unlike::Time,
    Unlike::Bound,
    Unlike::Kind,
];

impl Making<'_> {
    fn joined_with_best_of_window(&mut self) -> String {
        let unlike = self.d.chance(60).then(|| self.d.one(&UNLIKE));
        let is = |what: Unlike| unlike == Some(what);
        let one = self.d.one(&["s", "s", "t"]);
        let streams = match (one, is(Unlike::Stream)) {
            _ if self.shape.table => ["s", "s"],
            ("s", true) => ["s", "t"],
            (_, true) => ["t", "s"],
            _ => [one, one],
        };
        let size = self.d.one(&[10, 30, 60]);
        let [by, of] = match is(Unlike::Value) {
            _ if is(Unlike::Key) => ["i", "i"],
            true => self.d.one(&[["x", "i"], ["i", "x"], ["u", "u"], ["x", "k"]]),
            false => self.d.one(&[["x", "x"], ["i", "i"], ["ts", "ts"], ["k", "k"], ["f", "f"], ["d", "d"]]),
        };
        // What divides windows into groups, and what the join says of it.
        let [key, own] = match is(Unlike::Key) {
            true => self.d.one(&[["k", ""], ["g", ""], ["k", "x"], ["x", "k"], ["id % 2", "id % 2"]]),
            false => self.d.one(&[["", ""], ["", ""], ["", ""], ["k", "k"], ["g", "g"], ["b", "b"]]),
        };
        let [mine, theirs] = match is(Unlike::Filter) {
            true => self.d.one(&[["", " WHERE k < 4"], [" WHERE k < 4", " WHERE k < 5"], ["", " WHERE b"]]),
            false => self.d.one(&[
                ["", ""],
                ["", ""],
                [" WHERE k < 4", " WHERE k < 4"],
                [" WHERE k < 4 AND b", " WHERE k < 4"],
                [" WHERE b", ""],
            ]),
        };
        let (call, compared) = self.compared(is(Unlike::Compared));
        let bound = if is(Unlike::Bound) { "window_time" } else { "window_end" };
        let near = self.near(size, is(Unlike::Time));
        let kind = match is(Unlike::Kind) {
            true => self.d.pick(&["LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "LEFT ANTI JOIN"]),
            false => self.d.pick(&["JOIN", "JOIN", "JOIN", "LEFT SEMI JOIN"]),
        };
        let unit = self.shape.unit_ns();
        let in_time = format!("ts IS NOT NULL AND ({MARK} IS NULL OR CAST(ts AS BIGINT) * {unit} >= {MARK})");
        let late = match mine {
            "" => both("", &format!(" WHERE {in_time}")),
            filter => format!("{filter}{}", both("", &format!(" AND {in_time}"))),
        };
        let mut from = self.stream();
        from.text = streams[1].into();
        // Either rows as they are, near the window in time, or rows in their windows, which are equal.
        let in_windows = self.d.chance(35);
        let overlap = if in_windows { self.d.chance(30) } else { is(Unlike::Windows) };
        let from = self.windows_of(from, size, overlap);
        let (rows, near) = if in_windows {
            // Of another stream, or others of the same.
            let of = match is(Unlike::Stream) || is(Unlike::Windows) {
                true => {
                    let other = Relation { text: streams[0].into(), ..self.stream() };
                    self.windows_of(other, size, overlap).text
                }
                false => from.text.clone(),
            };
            let equal = self.d.pick(&["a.ws = w.b AND a.we = w.e", "a.we = w.e", "a.ws = w.b"]);
            let equal = if is(Unlike::Bound) { "a.ws = w.b AND a.we > w.e" } else { equal };
            (
                format!(
                    "(SELECT id, ts, k, g, b, x, {by} AS v, window_start AS ws, window_end AS we FROM {of} AS r{mine}) AS a"
                ),
                equal.to_string(),
            )
        } else {
            (format!("(SELECT id, ts, k, g, b, x, {by} AS v FROM {}{late}) AS a", streams[0]), near)
        };
        let having = self.d.pick(&["", "", "", " HAVING count(*) > 1"]);
        let named = if key.is_empty() { String::new() } else { format!(", {key} AS kk") };
        let then = if key.is_empty() { String::new() } else { format!(", {key}") };
        let groups = format!(
            "(SELECT {call}({of}) AS best, window_start AS b, {bound} AS e{named} FROM {} AS r{theirs} \
             GROUP BY window_start, window_end, window_time{then}{having}) AS w",
            from.text
        );
        let tie = if own.is_empty() { String::new() } else { format!("a.{own} = w.kk AND ") };
        let shown = if kind.contains("SEMI") || kind.contains("ANTI") {
            "a.id, a.v, a.ts"
        } else {
            "a.id, a.ts, w.best, w.e"
        };
        let turned = kind == "JOIN" && self.d.chance(40);
        let [left, right] = if turned { [groups, rows] } else { [rows, groups] };
        format!("SELECT {shown} FROM {left} {kind} {right} ON {tie}{compared} AND {near}")
    }

    /// Which end of the group is asked for, and how rows are compared with it.
    fn compared(&mut self, otherwise: bool) -> (&'static str, &'static str) {
        if otherwise {
            return self.d.one(&[
                ("max", "a.v <= w.best"),
                ("max", "a.v < w.best"),
                ("min", "a.v >= w.best"),
                ("min", "w.best < a.v"),
                ("avg", "a.v = w.best"),
                ("count", "a.v = w.best"),
            ]);
        }
        self.d.one(&[
            ("max", "a.v = w.best"),
            ("max", "a.v >= w.best"),
            ("max", "w.best <= a.v"),
            ("min", "a.v = w.best"),
            ("min", "a.v <= w.best"),
        ])
    }

    /// How far the row's time lies from the end of the group's window.
    fn near(&mut self, size: i64, otherwise: bool) -> String {
        let s = |n: i64| format!("INTERVAL '{n} seconds'");
        if otherwise {
            if self.d.chance(25) {
                return self
                    .d
                    .pick(&[
                        "a.ts BETWEEN w.b AND w.b + INTERVAL '7 seconds'",
                        "a.ts >= w.b - INTERVAL '1 second' AND a.ts < w.e",
                    ])
                    .into();
            }
            let (before, after) =
                self.d.one(&[(size + 1, 0), (2 * size, 0), (size, 1), (size, 5), (-1, 2 * size)]);
            return format!("a.ts BETWEEN w.e - {} AND w.e + {}", s(before), s(after));
        }
        match self.d.below(8) {
            0 => format!("a.ts >= w.e - {} AND a.ts < w.e", s(size)),
            6 => "a.ts >= w.b AND a.ts < w.e".into(),
            7 => "a.ts BETWEEN w.b AND w.e".into(),
            1 => format!("w.e >= a.ts AND a.ts + {} >= w.e", s(size)),
            2 => format!("a.ts + {} BETWEEN w.e - {} AND w.e", s(1), s(size - 1)),
            3 => format!("a.ts BETWEEN w.e - {} AND w.e", s(size / 2)),
            _ => format!("a.ts BETWEEN w.e - {} AND w.e", s(size)),
        }
    }
}
