//! Random joins of rows with the greatest or least of their own window: what a row of the same window is ahead of is not joined
//! (`plan/lower/outdone.rs`); what only looks alike must not be taken for it.

use super::data::{MARK, Shape};
use super::draw::Draw;
use super::query::{Making, Query, both, draw_body};

/// A random query of this kind.
pub(super) fn draw_outdone(d: &mut Draw, shape: &Shape) -> Query {
    draw_body(d, shape, |making| making.joined_with_best_of_window())
}

impl Making<'_> {
    fn joined_with_best_of_window(&mut self) -> String {
        let one = self.d.chance(85);
        let streams = match self.d.chance(50) || self.shape.table {
            true => ["s", if one || self.shape.table { "s" } else { "t" }],
            false => ["t", if one { "t" } else { "s" }],
        };
        let size = self.d.one(&[10, 30, 60]);
        let by = self.d.pick(&["x", "x", "x", "i", "ts", "f", "k"]);
        let of = if by == "ts" || self.d.chance(90) { by } else { self.d.pick(&["x", "i"]) };
        // Now and then a group is less than a window, and the join may or may not say so.
        let key = self.d.pick(&["", "", "", "k", "g", "b", "id % 2"]);
        let own = if key == "k" && self.d.chance(10) { "x" } else { key };
        let tie = match key.is_empty() || self.d.chance(25) {
            true => String::new(),
            false => format!("a.{own} = w.kk AND "),
        };
        let [mine, theirs] = self.d.one(&[
            ["", ""],
            ["", ""],
            ["", ""],
            [" WHERE k < 4", " WHERE k < 4"],
            [" WHERE k < 4 AND b", " WHERE k < 4"],
            ["", " WHERE k < 4"],
            [" WHERE k < 4", " WHERE k < 5"],
        ]);
        let unit = self.shape.unit_ns();
        let in_time = format!("ts IS NOT NULL AND ({MARK} IS NULL OR CAST(ts AS BIGINT) * {unit} >= {MARK})");
        let late = match mine {
            "" => both("", &format!(" WHERE {in_time}")),
            filter => format!("{filter}{}", both("", &format!(" AND {in_time}"))),
        };
        let more = if key.is_empty() { String::new() } else { format!(", {key} AS kk") };
        let rows = format!("(SELECT id, ts, k, g, b, x, {by} AS v FROM {}{late}) AS a", streams[0]);
        let mut from = self.stream();
        from.text = streams[1].into();
        let from = self.windows_of(from, size);
        let call = self.d.pick(&["max", "max", "max", "min"]);
        let bound = self.d.pick(&["window_end", "window_end", "window_end", "window_time"]);
        let having = self.d.pick(&["", "", "", " HAVING count(*) > 1"]);
        let then = if key.is_empty() { String::new() } else { format!(", {key}") };
        let groups = format!(
            "(SELECT {call}({of}) AS best, {bound} AS e{more} FROM {} AS r{theirs} \
             GROUP BY window_start, window_end, window_time{then}{having}) AS w",
            from.text
        );
        let compared = match call {
            "max" => ["a.v = w.best", "a.v = w.best", "a.v >= w.best", "w.best <= a.v", "a.v <= w.best"],
            _ => ["a.v = w.best", "a.v = w.best", "a.v <= w.best", "w.best >= a.v", "a.v >= w.best"],
        };
        let compared = self.d.pick(&compared);
        let before = self.d.one(&[size, size, size, size, size / 2, size + 1, 2 * size]);
        let s = |n: i64| format!("INTERVAL '{n} seconds'");
        let near = match self.d.below(8) {
            0 => format!("a.ts >= w.e - {} AND a.ts < w.e", s(before)),
            1 => format!("w.e >= a.ts AND a.ts + {} >= w.e", s(before)),
            2 => format!("a.ts > w.e - {} AND a.ts <= w.e + {}", s(before), s(5)),
            3 => format!("a.ts + {} BETWEEN w.e - {} AND w.e", s(5), s(before)),
            _ => format!("a.ts BETWEEN w.e - {} AND w.e", s(before)),
        };
        let kind =
            self.d.pick(&["JOIN", "JOIN", "JOIN", "JOIN", "LEFT SEMI JOIN", "LEFT JOIN", "RIGHT JOIN"]);
        let shown = if kind == "LEFT SEMI JOIN" { "a.id, a.v, a.ts" } else { "a.id, a.ts, w.best, w.e" };
        let turned = kind == "JOIN" && self.d.chance(40);
        let [left, right] = if turned { [groups, rows] } else { [rows, groups] };
        format!("SELECT {shown} FROM {left} {kind} {right} ON {tie}{compared} AND {near}")
    }
}
