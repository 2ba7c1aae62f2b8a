//! Random relational queries: joins of every kind, subqueries, set operations, aggregates and DISTINCT, composed up to
//! four deep. Both sides get the same text, but for windows and for who is late.

use super::data::{MARK, Shape};
use super::draw::Draw;
use super::expr::Type::{Bool, Date, Decimal, Float, Int, List, Rough, Text, Time};
use super::expr::{Calls, Col, Type, aggregate, condition, expr};
use super::query::{Making, Query, Relation, both, split};

/// The types whose values can be compared and kept without a doubt.
const PLAIN: [Type; 5] = [Int, Text, Bool, Date, Decimal];
const DEEPEST: usize = 4;

/// A query, and its columns, whose names are its own.
#[derive(Clone)]
pub(super) struct Rel {
    pub(super) text: String,
    pub(super) cols: Vec<Col>,
}

pub(super) struct Composing<'a> {
    pub(super) d: &'a mut Draw,
    shape: &'a Shape,
    names: usize,
}

/// A random relational query.
pub(super) fn draw_relational(d: &mut Draw, shape: &Shape) -> Query {
    let mut composing = Composing { d, shape, names: 0 };
    let depth = 1 + composing.d.below(DEEPEST);
    let rel = composing.rel(depth);
    let (ours, reference) = split(&rel.text);
    Query { ours, reference, view: None }
}

impl Composing<'_> {
    pub(super) fn name(&mut self) -> String {
        self.names += 1;
        format!("v{}", self.names)
    }

    pub(super) fn rel(&mut self, depth: usize) -> Rel {
        if depth == 0 {
            return self.base();
        }
        match self.d.below(26) {
            0..=6 => self.join(depth),
            7..=9 => self.semi(depth),
            10..=11 => self.scalar(depth),
            12..=14 => self.grouped(depth),
            15..=16 => self.set(depth),
            17 => self.distinct(depth),
            18 => self.narrowed(depth),
            19 => self.interval_join(),
            20 => self.window_join(),
            21 => self.unnested(),
            22..=24 => self.tested(depth),
            _ => self.base(),
        }
    }

    /// A relation that is not deeper than what is beside it needs.
    pub(super) fn other(&mut self, depth: usize) -> Rel {
        let depth = self.d.below(depth.min(2));
        self.rel(depth)
    }

    /// Some columns of a stream.
    fn base(&mut self) -> Rel {
        let stream = self.d.pick(&["s", "t"]);
        let all = stream_cols(self.shape);
        let filter =
            if self.d.chance(30) { format!(" WHERE {}", condition(self.d, &all, 1)) } else { String::new() };
        let mut rel = self.select(&all, 3);
        rel.text = format!("{} FROM {stream}{filter}", rel.text);
        rel
    }

    /// `SELECT …` over these columns: some of them, and now and then an expression, under new names.
    pub(super) fn select(&mut self, from: &[Col], least: usize) -> Rel {
        let (mut items, mut cols) = (Vec::new(), Vec::new());
        let plain: Vec<&Col> = from.iter().filter(|c| PLAIN.contains(&c.1)).collect();
        for _ in 0..least + self.d.below(3) {
            let (text, t) = if plain.is_empty() || self.d.chance(25) {
                let t = self.d.one(&PLAIN);
                (expr(self.d, from, t, 1), t)
            } else {
                let (name, t) = self.d.one(&plain);
                (name.clone(), *t)
            };
            let text = exact(&text, t);
            let name = self.name();
            items.push(format!("{text} AS {name}"));
            cols.push((name, t));
        }
        Rel { text: format!("SELECT {}", items.join(", ")), cols }
    }

    /// An equality between the two sides, as SQL.
    pub(super) fn equality(&mut self, left: &[Col], right: &[Col]) -> String {
        let t = self.d.one(&[Int, Int, Int, Text, Bool, Date]);
        let deep = usize::from(self.d.chance(20));
        let (a, b) = (expr(self.d, left, t, deep), expr(self.d, right, t, deep));
        let op = if self.d.chance(12) { "IS NOT DISTINCT FROM" } else { "=" };
        format!("({} {op} {})", exact(&a, t), exact(&b, t))
    }

    fn on(&mut self, left: &[Col], right: &[Col]) -> String {
        let mut terms: Vec<String> =
            (0..self.d.one(&[0, 1, 1, 1, 1, 2])).map(|_| self.equality(left, right)).collect();
        if terms.is_empty() || self.d.chance(35) {
            let both = [left, right].concat();
            terms.push(condition(self.d, &both, 1));
        }
        terms.join(" AND ")
    }

    fn join(&mut self, depth: usize) -> Rel {
        let (mut left, mut right) = (self.rel(depth - 1), self.other(depth));
        if self.d.chance(30) {
            std::mem::swap(&mut left, &mut right);
        }
        let all = [left.cols.clone(), right.cols.clone()].concat();
        let kind =
            self.d.pick(&["JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN"]);
        let on = match kind {
            "CROSS JOIN" => String::new(),
            _ => format!(" ON {}", self.on(&left.cols, &right.cols)),
        };
        let filter = if kind == "CROSS JOIN" || self.d.chance(20) {
            format!(" WHERE {}", condition(self.d, &all, 1))
        } else {
            String::new()
        };
        let mut rel = self.select(&all, 2);
        let (a, b) = (self.name(), self.name());
        rel.text =
            format!("{} FROM ({}) AS {a} {kind} ({}) AS {b}{on}{filter}", rel.text, left.text, right.text);
        rel
    }

    /// EXISTS, IN and their like.
    fn semi(&mut self, depth: usize) -> Rel {
        let (left, right) = (self.rel(depth - 1), self.other(depth));
        let (a, b) = (self.name(), self.name());
        let not = self.d.pick(&["", "NOT "]);
        let test = if self.d.chance(50) {
            let on = self.on(&left.cols, &right.cols);
            format!("{not}EXISTS (SELECT 1 FROM ({}) AS {b} WHERE {on})", right.text)
        } else {
            let t = self.d.one(&[Int, Int, Text, Bool]);
            let (x, y) = (expr(self.d, &left.cols, t, 0), expr(self.d, &right.cols, t, 0));
            let filter = match self.d.below(3) {
                0 => Some(condition(self.d, &right.cols, 1)),
                1 => Some(self.equality(&left.cols, &right.cols)),
                _ => None,
            };
            let (x, y) = (exact(&x, t), exact(&y, t));
            let clause = |word: &str| filter.as_ref().map_or(String::new(), |f| format!(" {word} ({f})"));
            if not.is_empty() {
                format!("{x} IN (SELECT {y} FROM ({}) AS {b}{})", right.text, clause("WHERE"))
            } else {
                // The reference overlooks some of the nulls.
                let before = both(&format!("{x} NOT IN (SELECT {y} FROM ("), "NOT EXISTS (SELECT 1 FROM (");
                let (ours, others) = (clause("WHERE"), clause("AND"));
                let after = both(&ours, &format!(" WHERE ({x} = {y}) IS NOT FALSE{others}"));
                format!("{before}{}) AS {b}{after})", right.text)
            }
        };
        let extra = match self.d.below(6) {
            0 => format!(" OR {}", condition(self.d, &left.cols, 1)),
            1 => format!(" AND {}", condition(self.d, &left.cols, 1)),
            _ => String::new(),
        };
        let mut rel = self.select(&left.cols, 2);
        rel.text = format!("{} FROM ({}) AS {a} WHERE {test}{extra}", rel.text, left.text);
        rel
    }

    /// A subquery that gives one value.
    fn scalar(&mut self, depth: usize) -> Rel {
        let (left, right) = (self.rel(depth - 1), self.other(depth));
        let (a, b) = (self.name(), self.name());
        let x = expr(self.d, &right.cols, Int, 1);
        let call = self.d.pick(&["max", "min", "count", "sum"]);
        let filter = match self.d.below(3) {
            0 => String::new(),
            1 => format!(" WHERE {}", condition(self.d, &right.cols, 1)),
            _ => {
                let (x, y) = (expr(self.d, &left.cols, Int, 0), expr(self.d, &right.cols, Int, 0));
                format!(" WHERE {} = {}", exact(&y, Int), exact(&x, Int))
            }
        };
        let value = format!("(SELECT {call}({}) FROM ({}) AS {b}{filter})", exact(&x, Int), right.text);
        let mut rel = self.select(&left.cols, 2);
        if self.d.chance(50) {
            let name = self.name();
            rel.text = format!("{}, {value} AS {name} FROM ({}) AS {a}", rel.text, left.text);
            rel.cols.push((name, Int));
        } else {
            let y = expr(self.d, &left.cols, Int, 1);
            let op = self.d.pick(&["=", "<", ">", "<>"]);
            rel.text = format!("{} FROM ({}) AS {a} WHERE {y} {op} {value}", rel.text, left.text);
        }
        rel
    }

    fn grouped(&mut self, depth: usize) -> Rel {
        let from = self.rel(depth - 1);
        let (mut items, mut cols, mut by) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.d.below(3) {
            let t = self.d.one(&[Int, Text, Bool, Date]);
            let key = exact(&expr(self.d, &from.cols, t, 0), t);
            // A constant in GROUP BY would be a place in the list.
            if from.cols.iter().any(|c| key.contains(&c.0)) {
                let name = self.name();
                items.push(format!("{key} AS {name}"));
                cols.push((name, t));
                by.push(key);
            }
        }
        let calls = Calls { cols: &from.cols, order: None, exact: true };
        for _ in 0..1 + self.d.below(2) {
            let (call, t) = loop {
                let (call, t) = aggregate(self.d, &calls);
                if PLAIN.contains(&t) {
                    break (call, t);
                }
            };
            let name = self.name();
            items.push(format!("{} AS {name}", exact(&call, t)));
            cols.push((name, t));
        }
        let having = if !by.is_empty() && self.d.chance(25) {
            format!(" HAVING count(*) > {}", self.d.below(3))
        } else {
            String::new()
        };
        let by = if by.is_empty() { String::new() } else { format!(" GROUP BY {}", by.join(", ")) };
        let a = self.name();
        let text = format!("SELECT {} FROM ({}) AS {a}{by}{having}", items.join(", "), from.text);
        Rel { text, cols }
    }

    /// UNION, INTERSECT and EXCEPT of two queries with the same types.
    fn set(&mut self, depth: usize) -> Rel {
        let types: Vec<Type> = (0..1 + self.d.below(3)).map(|_| self.d.one(&PLAIN)).collect();
        let names: Vec<String> = types.iter().map(|_| self.name()).collect();
        let arms = [self.rel(depth - 1), self.other(depth)].map(|from| {
            let items: Vec<String> = types
                .iter()
                .zip(&names)
                .map(|(t, name)| format!("{} AS {name}", exact(&expr(self.d, &from.cols, *t, 0), *t)))
                .collect();
            let a = self.name();
            format!("SELECT {} FROM ({}) AS {a}", items.join(", "), from.text)
        });
        let op = self.d.pick(&["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "INTERSECT ALL", "EXCEPT ALL"]);
        if let Some(distinct) = op.strip_suffix(" ALL").filter(|op| *op != "UNION") {
            // With the number of each row among its equals all rows are distinct.
            let names = names.join(", ");
            let numbered = format!("SELECT {names}, row_number() OVER (PARTITION BY {names}) AS rn FROM (");
            let before = both("", &format!("SELECT {names} FROM ({numbered}"));
            let between = both(&format!(" {op} "), &format!(") AS x {distinct} {numbered}"));
            let text = format!("{before}{}{between}{}{}", arms[0], arms[1], both("", ") AS y) AS z"));
            let cols = types.into_iter();
            return Rel { text, cols: names.split(", ").map(String::from).zip(cols).collect() };
        }
        Rel { text: format!("{} {op} {}", arms[0], arms[1]), cols: names.into_iter().zip(types).collect() }
    }

    fn distinct(&mut self, depth: usize) -> Rel {
        let mut rel = self.narrowed(depth);
        rel.text = rel.text.replacen("SELECT ", "SELECT DISTINCT ", 1);
        rel
    }

    fn narrowed(&mut self, depth: usize) -> Rel {
        let from = self.rel(depth - 1);
        let a = self.name();
        let mut rel = self.select(&from.cols, 1);
        rel.text = format!("{} FROM ({}) AS {a}", rel.text, from.text);
        if self.d.chance(60) {
            rel.text = format!("{} WHERE {}", rel.text, condition(self.d, &from.cols, 2));
        }
        rel
    }

    /// The rows of a stream under new names, with their time; and whether it is a table.
    fn timed(&mut self) -> (String, Vec<Col>, String, bool) {
        let stream = self.d.pick(&["s", "t"]);
        let all = stream_cols(self.shape);
        let mut rel = self.select(&all, 2);
        let time = self.name();
        rel.text = format!("{}, ts AS {time} FROM {stream}", rel.text);
        rel.cols.push((time.clone(), Time));
        (rel.text, rel.cols, time, stream == "t" && self.shape.table)
    }

    /// A join of two streams whose times are near each other.
    fn interval_join(&mut self) -> Rel {
        let ((mut left, left_cols, l, l_table), (mut right, right_cols, r, r_table)) =
            (self.timed(), self.timed());
        if !l_table && !r_table {
            // For the reference without the rows that are late. With a table it is a join like any other.
            let unit = self.shape.unit_ns();
            let in_time = format!(
                " WHERE ts IS NOT NULL AND ({MARK} IS NULL OR CAST(ts AS BIGINT) * {unit} >= {MARK})"
            );
            [&mut left, &mut right].into_iter().for_each(|side| side.push_str(&both("", &in_time)));
        }
        let all = [left_cols.clone(), right_cols.clone()].concat();
        let (before, after) = (self.d.one(&[0, 5, 20, 60]), self.d.one(&[0, 5, 20, -3]));
        let near = match self.d.below(4) {
            0 => format!("{r} = {l}"),
            1 => format!(
                "{r} >= {l} - INTERVAL '{before} seconds' AND {l} + INTERVAL '{after} seconds' >= {r}"
            ),
            _ => {
                format!("{r} BETWEEN {l} - INTERVAL '{before} seconds' AND {l} + INTERVAL '{after} seconds'")
            }
        };
        let equal = if self.d.chance(75) {
            format!("{} AND ", self.equality(&left_cols, &right_cols))
        } else {
            String::new()
        };
        let residual =
            if self.d.chance(25) { format!(" AND {}", condition(self.d, &all, 1)) } else { String::new() };
        let (a, b) = (self.name(), self.name());
        let kind = self.d.pick(&[
            "JOIN",
            "LEFT JOIN",
            "RIGHT JOIN",
            "FULL JOIN",
            "LEFT SEMI JOIN",
            "LEFT ANTI JOIN",
        ]);
        let seen =
            if kind.starts_with("LEFT SEMI") || kind.starts_with("LEFT ANTI") { &left_cols } else { &all };
        let mut rel = self.select(seen, 2);
        rel.text =
            format!("{} FROM ({left}) AS {a} {kind} ({right}) AS {b} ON {equal}{near}{residual}", rel.text);
        rel
    }

    /// The rows of a stream with each element of their list.
    fn unnested(&mut self) -> Rel {
        let stream = self.d.pick(&["s", "t"]);
        let mut all = stream_cols(self.shape);
        let list = all.iter().find(|c| c.1 == List).unwrap().0.clone();
        let (a, u, x) = (self.name(), self.name(), self.name());
        let (kind, on, elements) = if self.d.chance(50) {
            ("CROSS JOIN", "", list.clone())
        } else {
            let one =
                format!("CASE WHEN array_length({list}) > 0 THEN {list} ELSE [CAST(NULL AS BIGINT)] END");
            ("LEFT JOIN", " ON true", one)
        };
        let from = both(
            &format!("{stream} AS {a} {kind} UNNEST({a}.{list}) AS {u}({x}){on}"),
            &format!("(SELECT *, unnest({elements}) AS {x} FROM {stream}) AS {a}"),
        );
        all.push((x, Int));
        let mut rel = self.select(&all, 2);
        rel.text = format!("{} FROM {from}", rel.text);
        rel
    }

    /// A join of two streams' rows, or of their groups, window by window.
    fn window_join(&mut self) -> Rel {
        let size = self.d.one(&[10, 30, 60]);
        let grouped = self.d.chance(40);
        let arms: Vec<(String, Vec<Col>, String)> = (0..2)
            .map(|_| {
                let from = Relation { text: self.d.pick(&["s", "t"]).into(), ..stream_relation(self.shape) };
                let mut making = Making::new(self.d, self.shape);
                let from = making.tumble(from, size);
                let end = self.name();
                if grouped {
                    let (key, n) = (self.name(), self.name());
                    let text = format!(
                        "SELECT k AS {key}, window_end AS {end}, count(*) AS {n} FROM {} AS r GROUP BY k, window_start, window_end",
                        from.text
                    );
                    return (text, vec![(key, Int), (n, Int)], end);
                }
                let mut rel = self.select(&stream_cols(self.shape), 2);
                rel.text = format!("{}, window_end AS {end} FROM {} AS r", rel.text, from.text);
                (rel.text, rel.cols, end)
            })
            .collect();
        let [(left, left_cols, l), (right, right_cols, r)] = &arms[..] else { unreachable!() };
        let equal = if self.d.chance(80) {
            format!("{} AND ", self.equality(left_cols, right_cols))
        } else {
            String::new()
        };
        let all = [left_cols.clone(), right_cols.clone()].concat();
        let residual =
            if self.d.chance(25) { format!(" AND {}", condition(self.d, &all, 1)) } else { String::new() };
        let kind = self.d.pick(&[
            "JOIN",
            "LEFT JOIN",
            "RIGHT JOIN",
            "FULL JOIN",
            "LEFT SEMI JOIN",
            "LEFT ANTI JOIN",
        ]);
        let seen =
            if kind.starts_with("LEFT SEMI") || kind.starts_with("LEFT ANTI") { left_cols } else { &all };
        let (a, b) = (self.name(), self.name());
        let mut rel = self.select(seen, 2);
        rel.text = format!(
            "{} FROM ({left}) AS {a} {kind} ({right}) AS {b} ON {equal}{l} = {r}{residual}",
            rel.text
        );
        rel
    }
}

/// A value with one type on both sides of a comparison or set operation.
pub(super) fn exact(text: &str, t: Type) -> String {
    match t {
        Int => format!("CAST({text} AS BIGINT)"),
        Decimal => format!("CAST({text} AS DECIMAL(20, 2))"),
        _ => text.to_string(),
    }
}

fn stream_cols(shape: &Shape) -> Vec<Col> {
    let types = [Int, Time, Int, Text, Int, Int, Float, Bool, Decimal, Date, Text, List];
    let fields = shape.schema();
    let cols = fields.fields().iter().zip(types).map(|(f, t)| (f.name().clone(), t));
    cols.filter(|c| c.1 != Rough).collect()
}

fn stream_relation(shape: &Shape) -> Relation {
    Relation {
        text: String::new(),
        named: true,
        cols: stream_cols(shape),
        marks: true,
        time: Some("ts".into()),
        order: Some("id"),
        windowed: false,
        mixed: false,
    }
}
