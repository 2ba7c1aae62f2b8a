//! Random queries for the first rows of groups by their own counts: ranked, or joined with the greatest or least. Where a count only
//! rises, rows that stand too far behind are not kept, and such a join is a ranking (`plan/lower/rising.rs`, `best.rs`); what only
//! looks alike must not be taken for it.
//!
//! Faults that were planted one at a time, and the case that caught each; the others that were tried (a sum that is said to rise, a
//! ranking by more than what rises, the best of other groups) the planner's unit tests catch.
//!
//! | where | fault | case |
//! |---|---|---|
//! | threshold | so many rows have reached it but one | 84 |
//! | threshold | a row that has just reached it is left out | 1 |
//! | ranking | what is null at first is said to rise though nulls come first | 62 |
//! | ranking | dense ranks are cut as well | 832 |
//! | filter | groups that may outgrow their HAVING are said to stay | 708 |
//! | join | the worst of the group are taken for the best | 88 |

use super::data::Shape;
use super::draw::Draw;
use super::query::{Making, Query, both, draw_body};

/// A random query of this kind.
pub(super) fn draw_best(d: &mut Draw, shape: &Shape) -> Query {
    draw_body(d, shape, |making| making.best())
}

impl Making<'_> {
    fn best(&mut self) -> String {
        let mut rows = self.stream();
        if self.d.chance(85) {
            // Never a table, whose counts also fall.
            rows.text = "s".into();
        }
        // Windows that hold many groups, most often.
        let from = match self.d.below(20) {
            0 => rows,
            1..=6 => self.window(rows),
            _ => self.tumble(rows, 600),
        };
        let keys = if from.windowed {
            self.d.pick(&["window_start AS a0, window_end AS a1", "window_end AS a0, window_start AS a1"])
        } else {
            "k AS a0, date_trunc('minute', ts) AS a1"
        };
        let by = keys.replace(" AS a0", "").replace(" AS a1", "");
        let filter = self.d.pick(&["", "", "", " WHERE x > 2", " WHERE k IS NOT NULL"]);
        let extra = self.d.pick(&[
            "",
            "",
            "",
            ", max(x) AS m",
            ", max(x) AS m",
            ", max(f) AS m",
            ", min(x) AS m",
            ", sum(x) AS m",
            ", count(DISTINCT k) AS m",
            ", count(x) FILTER (WHERE b) AS m",
        ]);
        let having =
            self.d.pick(&["", "", "", " HAVING count(*) > 1", " HAVING count(*) < 3", " HAVING max(x) > 3"]);
        let key = self.d.pick(&["g", "k", "id % 3", "id % 7", "id % 13", "x", "i", "coalesce(g, '')"]);
        let groups = format!(
            "(SELECT {keys}, {key} AS b, count(*) AS n{extra} FROM {} AS r{filter} GROUP BY {by}, {key}{having})",
            from.text
        );
        let with = if extra.is_empty() { "" } else { ", m" };
        match self.d.below(5) {
            0..=1 => self.joined_with_best(&groups, with),
            _ => self.best_ranked(&groups, with),
        }
    }

    /// Groups joined with what is best among them.
    fn joined_with_best(&mut self, groups: &str, with: &str) -> String {
        let of = if with.is_empty() { "n" } else { self.d.pick(&["n", "n", "m"]) };
        let (call, better, worse) = self.d.one(&[
            ("max", ">=", "<="),
            ("max", ">=", "<="),
            ("max", "=", "="),
            ("min", "<=", ">="),
            ("max", "<=", ">="),
            ("max", "<", ">"),
        ]);
        // Now and then the best of fewer rows, or by other columns.
        let among = self.d.pick(&["", "", "", "", " WHERE b IS NOT NULL"]);
        let (by, on) = self.d.one(&[
            ("a0, a1", "x.a0 = y.a0 AND x.a1 = y.a1"),
            ("a0, a1", "y.a1 = x.a1 AND x.a0 = y.a0"),
            ("a0", "y.a0 = x.a0"),
            ("a1", "x.a1 = y.a1"),
            ("a0, a1", "x.a0 = y.a0"),
        ]);
        let compared = if self.d.chance(50) {
            format!("x.{of} {better} y.best")
        } else {
            format!("y.best {worse} x.{of}")
        };
        let kind = self.d.pick(&[
            "JOIN",
            "JOIN",
            "JOIN",
            "LEFT SEMI JOIN",
            "LEFT SEMI JOIN",
            "LEFT JOIN",
            "LEFT ANTI JOIN",
        ]);
        let shown = match kind {
            "JOIN" | "LEFT JOIN" => {
                self.d.pick(&["x.b, x.n", "x.a0, x.b, x.n", "x.b, y.best", "y.best, y.a1, x.a1"])
            }
            _ => self.d.pick(&["x.b, x.n", "x.a0, x.b, x.n"]),
        };
        let mine = if with.is_empty() { "" } else { self.d.pick(&["", ", x.m"]) };
        format!(
            "SELECT {shown}{mine} FROM {groups} AS x {kind} \
             (SELECT {by}, {call}({of}) AS best FROM {groups} AS u{among} GROUP BY {by}) AS y ON {on} AND {compared}"
        )
    }

    /// Groups with their ranks.
    fn best_ranked(&mut self, groups: &str, with: &str) -> String {
        let function = self.d.pick(&["row_number", "row_number", "row_number", "rank", "rank", "dense_rank"]);
        let by = self.d.pick(&["a0, a1", "a0, a1", "a1", "a0", "a1, a0", "a0, b"]);
        let of = if with.is_empty() { "n" } else { self.d.pick(&["n", "n", "m", "m"]) };
        let direction = self.d.pick(&[
            "DESC",
            "DESC",
            "DESC NULLS LAST",
            "DESC NULLS LAST",
            "DESC NULLS LAST",
            "",
            "ASC NULLS FIRST",
        ]);
        let next = self.d.pick(&["", "", ", b", ", b DESC NULLS LAST", ", n DESC"]);
        let ties = format!(
            ", a0 ASC NULLS LAST, a1 ASC NULLS LAST, b ASC NULLS LAST, n ASC NULLS LAST{}",
            if with.is_empty() { "" } else { ", m ASC NULLS LAST" }
        );
        let ties = if function == "row_number" { both("", &ties) } else { String::new() };
        let most = self.d.range(1, 4);
        let wanted = match self.d.below(5) {
            0 => "= 1".to_string(),
            1 => format!("BETWEEN {most} AND {}", most + 1),
            2 => format!("< {}", most + 1),
            _ => format!("<= {most}"),
        };
        let rank = self.d.pick(&["", "", ", rank0"]);
        format!(
            "SELECT a0, a1, b, n{with}{rank} FROM (SELECT a0, a1, b, n{with}, \
             {function}() OVER (PARTITION BY {by} ORDER BY {of} {direction}{next}{ties}) AS rank0 FROM {groups} AS u) AS v \
             WHERE rank0 {wanted}"
        )
    }
}
