//! Random chains of joins, groups, ranks and unions by the same columns again and again: once rows are together by a key, what
//! comes next by the same key finds them where they are. What no longer says where a row is (a side of an outer join that may
//! be null, a key that is computed anew, other keys) must not be taken for it.
//!
//! Faults that were planted one at a time, and the case that caught each:
//!
//! | where | fault | case |
//! |---|---|---|
//! | full join | its rows are thought to be where the key of either side says | 1184 |
//! | left join | its rows are thought to be where the other side's key says | 104 |
//! | join | both sides stay where they are, though spread by the same keys in another order | 300 |
//! | project | what is computed of a key is thought to be the key | 852 |
//! | union | its rows are thought to be where the first input's are | 2144 |
//! | checkpoint | state is dealt by all keys, not by those that rows are spread by | 88 |

use super::data::Shape;
use super::draw::Draw;
use super::query::{Query, split};

/// A relation of a number `a`, a text `b` and a number `c`.
struct Chain<'a>(&'a mut Draw);

/// A random chain.
pub(super) fn draw_together(d: &mut Draw, _: &Shape) -> Query {
    let mut chain = Chain(d);
    let mut text = chain.leaf();
    for _ in 0..2 + chain.0.below(4) {
        text = chain.link(&text);
    }
    let (ours, reference) = split(&text);
    Query { ours, reference, view: None }
}

impl Chain<'_> {
    fn leaf(&mut self) -> String {
        let stream = self.0.pick(&["s", "t"]);
        let filter = self.0.pick(&["", "", " WHERE id > 2", " WHERE k IS NOT NULL"]);
        let items =
            self.0.pick(&["k AS a, g AS b, id AS c", "k AS a, g AS b, id AS c", "id AS a, g AS b, k AS c"]);
        format!("SELECT {items} FROM {stream}{filter}")
    }

    fn link(&mut self, from: &str) -> String {
        match self.0.below(12) {
            0..=3 => self.join(from),
            4..=6 => self.group(from),
            7 => self.rank(from),
            8..=9 => {
                let all = self.0.pick(&["UNION ALL", "UNION ALL", "UNION"]);
                let other = self.side();
                format!("SELECT a, b, c FROM ({from}) AS x {all} SELECT a, b, c FROM ({other}) AS y")
            }
            _ => {
                let items = self.0.pick(&[
                    "a, b, c",
                    "a + 1 AS a, b, c",
                    "a, upper(b) AS b, a AS c",
                    "c AS a, b, a AS c",
                ]);
                let filter = self.0.pick(&["", " WHERE a > 0", " WHERE c IS NOT NULL"]);
                format!("SELECT {items} FROM ({from}) AS x{filter}")
            }
        }
    }

    /// What is joined: rows as they come, or rows that are together already.
    fn side(&mut self) -> String {
        let leaf = self.leaf();
        match self.0.below(3) {
            0 => leaf,
            1 => self.group(&leaf),
            _ => format!("SELECT DISTINCT a, b, c FROM ({leaf}) AS u"),
        }
    }

    fn join(&mut self, from: &str) -> String {
        let kinds = [
            "JOIN",
            "JOIN",
            "LEFT JOIN",
            "LEFT JOIN",
            "RIGHT JOIN",
            "RIGHT JOIN",
            "FULL JOIN",
            "LEFT SEMI JOIN",
            "LEFT ANTI JOIN",
            "RIGHT SEMI JOIN",
            "RIGHT ANTI JOIN",
        ];
        let (kind, right) = (self.0.pick(&kinds), self.side());
        let both = ["x.a = y.a AND x.b = y.b", "x.b = y.b AND x.a = y.a"];
        let on = self.0.pick(&["x.a = y.a", "x.a = y.a", "x.b = y.b", both[0], both[0], both[1]]);
        let sides: &[&str] = match kind {
            "LEFT SEMI JOIN" | "LEFT ANTI JOIN" => &["x"],
            "RIGHT SEMI JOIN" | "RIGHT ANTI JOIN" => &["y"],
            _ => &["x", "y"],
        };
        let [a, b, c] = ["a", "b", "c"].map(|column| format!("{}.{column}", self.0.pick(sides)));
        format!("SELECT {a} AS a, {b} AS b, {c} AS c FROM ({from}) AS x {kind} ({right}) AS y ON {on}")
    }

    fn group(&mut self, from: &str) -> String {
        let call = self.0.pick(&["count(*)", "max(c)", "sum(c)", "count(DISTINCT c)"]);
        let (items, by) = self.0.one(&[
            ("a, max(b) AS b", "a"),
            ("a, max(b) AS b", "a"),
            ("max(a) AS a, b", "b"),
            ("a, b", "a, b"),
            ("a, b", "a, b"),
            ("a, b", "b, a"),
            ("a, b", "b, a"),
        ]);
        format!("SELECT {items}, {call} AS c FROM ({from}) AS x GROUP BY {by}")
    }

    fn rank(&mut self, from: &str) -> String {
        let by = self.0.pick(&["a", "b", "a, b", "b, a"]);
        let filter = self.0.pick(&["", " WHERE c <= 2", " WHERE c = 1"]);
        let ranked = format!(
            "SELECT a, b, CAST(rank() OVER (PARTITION BY {by} ORDER BY c) AS BIGINT) AS c FROM ({from}) AS x"
        );
        format!("SELECT a, b, c FROM ({ranked}) AS u{filter}")
    }
}
