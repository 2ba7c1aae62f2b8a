//! Random queries, as one text for Millstream and one for DataFusion.
//!
//! Both are the same text but for the windows: where they differ it holds `⟦ours¦reference⟧`. A window is a table
//! function for us; for the reference it is arithmetic over the time and the hidden column of marks, which is here
//! and nowhere else decided who is late.

use super::data::{MARK, Shape};
use super::draw::Draw;
use super::expr::Type::{Bool, Date, Decimal, Float, Int, List, Rough, Text, Time};
use super::expr::{Calls, Col, TYPES, Type, aggregate, condition, expr};

/// A query in both dialects.
#[derive(Debug, Clone)]
pub(super) struct Query {
    pub(super) ours: String,
    pub(super) reference: String,
    /// The text of the view `v`, ours.
    pub(super) view: Option<String>,
}

/// A relation as it stands in FROM.
#[derive(Clone)]
pub(super) struct Relation {
    pub(super) text: String,
    /// A name, not a subquery.
    pub(super) named: bool,
    pub(super) cols: Vec<Col>,
    /// The reference's column of marks is among its columns.
    pub(super) marks: bool,
    /// Its time column.
    pub(super) time: Option<String>,
    /// An ORDER BY between whose ties nothing but windows differs.
    pub(super) order: Option<&'static str>,
    pub(super) windowed: bool,
    /// Rows of a table are among those of a stream: then no watermark speaks of its time.
    pub(super) mixed: bool,
}

pub(super) fn both(ours: &str, reference: &str) -> String {
    format!("⟦{ours}¦{reference}⟧")
}

/// The two texts in `text`.
pub(super) fn split(text: &str) -> (String, String) {
    let (mut ours, mut reference) = (String::new(), String::new());
    for (i, part) in text.split('⟦').enumerate() {
        let mut shared = part;
        if i > 0 {
            let (alternatives, rest) = part.split_once('⟧').unwrap();
            let (a, b) = alternatives.split_once('¦').unwrap();
            ours.push_str(a);
            reference.push_str(b);
            shared = rest;
        }
        ours.push_str(shared);
        reference.push_str(shared);
    }
    (ours, reference)
}

/// What has been made beside the query's body.
pub(super) struct Making<'a> {
    pub(super) d: &'a mut Draw,
    pub(super) shape: &'a Shape,
    view: Option<(String, String, Relation)>,
    with: Vec<String>,
}

/// A random query.
pub(super) fn draw_query(d: &mut Draw, shape: &Shape) -> Query {
    draw_body(d, shape, |making| making.top())
}

/// A query with this body.
pub(super) fn draw_body(d: &mut Draw, shape: &Shape, body: fn(&mut Making) -> String) -> Query {
    let mut making = Making::new(d, shape);
    let body = body(&mut making);
    let with = match making.with.as_slice() {
        [] => String::new(),
        ctes => format!("WITH {} ", ctes.join(", ")),
    };
    let (ours, reference) = split(&format!("{with}{body}"));
    Query { ours, reference, view: making.view.map(|v| v.0) }
}

pub(super) fn names(cols: &[Col]) -> String {
    cols.iter().map(|c| c.0.as_str()).collect::<Vec<_>>().join(", ")
}

impl<'a> Making<'a> {
    /// Nothing yet.
    pub(super) fn new(d: &'a mut Draw, shape: &'a Shape) -> Self {
        Making { d, shape, view: None, with: Vec::new() }
    }
}

impl Making<'_> {
    fn top(&mut self) -> String {
        match self.d.below(20) {
            0..=3 => {
                let from = self.relation(2);
                self.rows(&from)
            }
            4..=9 => {
                let from = self.maybe_window(60);
                self.grouped(&from, false).0
            }
            10 => self.old_spelling(),
            11..=12 => {
                let inner = self.aggregated(true);
                self.grouped(&inner, false).0
            }
            13 => {
                let inner = self.aggregated(true);
                if self.d.chance(40) { self.elements(&inner) } else { self.rows(&inner) }
            }
            14..=16 => {
                let inner = self.window_of_windows();
                self.grouped(&inner, false).0
            }
            17 => {
                let inner = self.union_of_aggregates();
                self.grouped(&inner, false).0
            }
            18 => {
                let inner = self.distinct();
                self.grouped(&inner, false).0
            }
            _ => self.union_of_rows(),
        }
    }

    pub(super) fn stream(&mut self) -> Relation {
        let name = self.d.pick(&["s", "s", "t"]);
        let types = [Int, Time, Int, Text, Int, Int, Float, Bool, Decimal, Date, Text, List];
        let cols =
            self.shape.schema().fields().iter().zip(types).map(|(f, t)| (f.name().clone(), t)).collect();
        Relation {
            text: name.into(),
            named: true,
            cols,
            marks: true,
            time: Some("ts".into()),
            order: Some("id"),
            windowed: false,
            mixed: false,
        }
    }

    /// Rows of a stream, as such or through subqueries, views, unions, lists.
    pub(super) fn relation(&mut self, depth: usize) -> Relation {
        match if depth == 0 { 0 } else { self.d.below(12) } {
            5..=6 => self.subquery(depth),
            7 => self.union_all(),
            8 => self.unnested(),
            9 => self.view(),
            10 => self.cte(depth),
            11 => self.window_over_rows(depth),
            _ => self.stream(),
        }
    }

    /// Some columns and expressions over another relation, among them its id and time.
    fn subquery(&mut self, depth: usize) -> Relation {
        let from = self.relation(depth - 1);
        let (text, cols) = self.narrowed(&from);
        Relation { text: format!("({text})"), named: false, cols, windowed: false, ..from }
    }

    /// `SELECT id, ts, … FROM …`, with the marks.
    fn narrowed(&mut self, from: &Relation) -> (String, Vec<Col>) {
        let mut cols: Vec<Col> = Vec::new();
        let mut items = Vec::new();
        for col in &from.cols {
            let kept = ["id", "ts", "e"].contains(&col.0.as_str()) || self.d.chance(60);
            if kept && !col.0.starts_with("window_") {
                items.push(col.0.clone());
                cols.push(col.clone());
            }
        }
        for _ in 0..self.d.below(3) {
            let t = self.d.one(&TYPES);
            let name = format!("c{}", cols.len());
            items.push(format!("{} AS {name}", expr(self.d, &from.cols, t, 2)));
            cols.push((name, t));
        }
        let mark = if from.marks { both("", &format!(", {MARK}")) } else { String::new() };
        let text = format!(
            "SELECT {}{mark} FROM {} AS r{}",
            items.join(", "),
            from.text,
            self.filter(&from.cols, 50)
        );
        (text, cols)
    }

    pub(super) fn filter(&mut self, cols: &[Col], percent: usize) -> String {
        let depth = self.d.below(3);
        if self.d.chance(percent) {
            format!(" WHERE {}", condition(self.d, cols, depth))
        } else {
            String::new()
        }
    }

    fn union_all(&mut self) -> Relation {
        let from = self.stream();
        let (a, b) = (self.filter(&from.cols, 40), self.filter(&from.cols, 40));
        let cols: Vec<Col> = from.cols.iter().take(7).cloned().collect();
        let x = expr(self.d, &cols, Int, 1);
        let mark = both("", &format!(", {MARK}"));
        let text = format!(
            "(SELECT {list}{mark} FROM s{a} UNION ALL SELECT id, ts, k, g, {x} AS x, i, f{mark} FROM t{b})",
            list = names(&cols)
        );
        Relation { text, named: false, cols, mixed: self.shape.table, ..from }
    }

    fn unnested(&mut self) -> Relation {
        let from = self.stream();
        let list = if self.d.chance(60) { "l".into() } else { expr(self.d, &from.cols, List, 2) };
        let mut cols: Vec<Col> = from.cols.iter().take(7).cloned().collect();
        let mark = both("", &format!(", {MARK}"));
        let filter = self.filter(&from.cols, 30);
        let text = format!("(SELECT {}, unnest({list}) AS e{mark} FROM {}{filter})", names(&cols), from.text);
        cols.push(("e".into(), Int));
        Relation { text, named: false, cols, order: Some("id, e"), ..from }
    }

    /// Elements of lists made of results that change.
    fn elements(&mut self, from: &Relation) -> String {
        let one = expr(self.d, &from.cols, Int, 1);
        let other = expr(self.d, &from.cols, Int, 2);
        let kept = from.cols.iter().find(|c| c.1 == Int).map_or_else(|| "1".into(), |c| c.0.clone());
        format!(
            "SELECT {kept} AS o0, unnest(make_array({one}, {other}, {one})) AS o1 FROM {} AS r",
            from.text
        )
    }

    fn view(&mut self) -> Relation {
        if self.view.is_none() {
            let depth = self.d.below(2);
            let from = self.relation_without_view(depth);
            let (text, cols) = self.narrowed(&from);
            let (ours, reference) = split(&text);
            let text = both("v", &format!("({reference})"));
            self.view =
                Some((ours, reference, Relation { text, named: true, cols, windowed: false, ..from }));
        }
        match &self.view {
            Some((_, _, relation)) => relation.clone(),
            None => self.stream(),
        }
    }

    fn relation_without_view(&mut self, depth: usize) -> Relation {
        match if depth == 0 { 0 } else { self.d.below(3) } {
            1 => self.union_all(),
            2 => self.unnested(),
            _ => self.stream(),
        }
    }

    fn cte(&mut self, depth: usize) -> Relation {
        let from = self.relation(depth - 1);
        let (text, cols) = self.narrowed(&from);
        let name = format!("cte{}", self.with.len());
        self.with.push(format!("{name} AS ({text})"));
        Relation { text: name, named: true, cols, windowed: false, ..from }
    }

    /// Rows that have been in a window before.
    fn window_over_rows(&mut self, depth: usize) -> Relation {
        let from = self.relation(depth - 1);
        let from = self.window(from);
        let (text, cols) = self.narrowed(&from);
        Relation { text: format!("({text})"), named: false, cols, windowed: false, ..from }
    }

    fn distinct(&mut self) -> Relation {
        let from = self.relation(1);
        let some: Vec<Col> = from.cols.iter().filter(|c| c.1 != Float).take(5).cloned().collect();
        let (list, filter) = (names(&some[1..]), self.filter(&from.cols, 40));
        let text = if self.d.chance(70) {
            format!("(SELECT DISTINCT {list} FROM {} AS r{filter})", from.text)
        } else {
            format!(
                "(SELECT {list} FROM {} AS r{filter} UNION SELECT {list} FROM {} AS r)",
                from.text, from.text
            )
        };
        let cols = some[1..].to_vec();
        let time = cols.iter().any(|c| c.0 == "ts").then(|| "ts".to_string());
        let plain = Relation { text, named: false, cols, marks: false, time, order: None, ..from };
        if plain.time.is_some() && self.d.chance(40) { self.window(plain) } else { plain }
    }

    fn maybe_window(&mut self, percent: usize) -> Relation {
        let from = self.relation(2);
        if self.d.chance(percent) { self.window(from) } else { from }
    }

    fn window_of_windows(&mut self) -> Relation {
        let inner = self.aggregated(true);
        if inner.time.is_some() { self.window(inner) } else { inner }
    }

    pub(super) fn aggregated(&mut self, exact: bool) -> Relation {
        let from = self.maybe_window(85);
        let (text, cols, time) = self.grouped(&from, exact);
        Relation {
            text: format!("({text})"),
            named: false,
            cols,
            marks: false,
            time,
            order: None,
            windowed: false,
            mixed: false,
        }
    }

    fn union_of_aggregates(&mut self) -> Relation {
        let arm = |this: &mut Self| {
            let from = this.maybe_window(70);
            let key = this.key(&from.cols);
            let key = if key.1 == Int { key.0 } else { "k".into() };
            let key = if from.cols.iter().any(|c| c.0 == "k") || key != "k" { key } else { "id % 3".into() };
            let order = from.order;
            let calls = Calls { cols: &from.cols, order, exact: true };
            let a = loop {
                let (call, t) = aggregate(this.d, &calls);
                if t == Int {
                    break call;
                }
            };
            let window = if from.windowed { ", window_start, window_end" } else { "" };
            format!(
                "SELECT {key} AS k0, CAST({a} AS BIGINT) AS a0, count(*) AS n FROM {} AS r GROUP BY {key}{window}",
                from.text
            )
        };
        let text = format!("({} UNION ALL {})", arm(self), arm(self));
        let cols = vec![("k0".into(), Int), ("a0".into(), Int), ("n".into(), Int)];
        Relation {
            text,
            named: false,
            cols,
            marks: false,
            time: None,
            order: None,
            windowed: false,
            mixed: false,
        }
    }

    fn union_of_rows(&mut self) -> String {
        let (a, b) = (self.relation(1), self.relation(1));
        let types: Vec<Type> =
            (0..1 + self.d.below(3)).map(|_| self.d.one(&[Int, Text, Bool, Decimal, Date])).collect();
        let mut arm = |from: &Relation| {
            let items = types.iter().enumerate().map(|(i, t)| {
                let e = expr(self.d, &from.cols, *t, 2);
                let e = match t {
                    Int => format!("CAST({e} AS BIGINT)"),
                    Decimal => format!("CAST({e} AS DECIMAL(20, 2))"),
                    _ => e,
                };
                format!("{e} AS o{i}")
            });
            let items: Vec<String> = items.collect();
            format!("SELECT {} FROM {} AS r{}", items.join(", "), from.text, self.filter(&from.cols, 50))
        };
        let (a, b) = (arm(&a), arm(&b));
        let union = self.d.pick(&["UNION", "UNION ALL"]);
        format!("{a} {union} {b}")
    }

    /// A query without groups.
    fn rows(&mut self, from: &Relation) -> String {
        let from =
            if self.d.chance(40) && from.time.is_some() { self.window(from.clone()) } else { from.clone() };
        let filter = self.filter(&from.cols, 60);
        if self.d.chance(15) {
            let all = both("*", &names(&from.cols));
            return format!("SELECT {all} FROM {} AS r{filter}", from.text);
        }
        let rough = from.cols.iter().any(|c| c.1 == Rough);
        let distinct = if self.d.chance(30) && !rough { "DISTINCT " } else { "" };
        let count = if distinct.is_empty() { 1 + self.d.below(5) } else { 1 + self.d.below(2) };
        let mut items = Vec::new();
        for i in 0..count {
            let t =
                if distinct.is_empty() { self.d.one(&TYPES) } else { self.d.one(&[Int, Text, Bool, Date]) };
            items.push(format!("{} AS o{i}", expr(self.d, &from.cols, t, 3)));
        }
        if from.windowed && self.d.chance(70) {
            items.push("window_start".into());
            items.push("window_end".into());
        }
        items.extend(from.cols.iter().filter(|c| c.1 == Rough).map(|c| c.0.clone()));
        format!("SELECT {distinct}{} FROM {} AS r{filter}", items.join(", "), from.text)
    }

    /// A group key: a column, or an expression over one.
    pub(super) fn key(&mut self, cols: &[Col]) -> Col {
        let plain: Vec<&Col> = cols
            .iter()
            .filter(|c| c.0 != "id" && !c.0.starts_with("window_") && c.1 != List && c.1 != Rough)
            .collect();
        if plain.is_empty() {
            return ("1 + 1".into(), Int);
        }
        let (name, t) = self.d.one(&plain).clone();
        let few = if self.d.chance(30) { 0 } else { 1 + self.d.below(4) };
        match (t, few) {
            (Int, 1) => (format!("{name} % 3"), Int),
            (Int, 2) => (format!("({name} > 2)"), Bool),
            (Text, 1) => (format!("upper({name})"), Text),
            (Text, 2) => (format!("coalesce({name}, 'none')"), Text),
            (Float, 0) => (name, Float),
            (Float, _) => (format!("floor({name} / 10)"), Float),
            (Time, _) => (format!("date_trunc('minute', {name})"), Time),
            (Decimal, 1..) => (format!("({name} > 0)"), Bool),
            _ => (name, t),
        }
    }

    /// A query with groups: its text, its columns, and which of them is a time that windows can be over.
    pub(super) fn grouped(&mut self, from: &Relation, exact: bool) -> (String, Vec<Col>, Option<String>) {
        let mut keys: Vec<(String, String, Type)> = Vec::new();
        let mut time = None;
        if from.windowed && self.d.chance(85) {
            let bounds: &[&[&str]] = &[
                &["window_start", "window_end"],
                &["window_start", "window_end", "window_time"],
                &["window_end"],
                &["window_start"],
                &["window_time", "window_start"],
            ];
            for bound in self.d.one(bounds) {
                keys.push(((*bound).into(), format!("w{}", keys.len()), Time));
                if *bound != "window_start" {
                    time = keys.last().map(|k| k.1.clone());
                }
            }
        }
        let windows = keys.len();
        for _ in 0..self.d.one(&[0, 1, 1, 1, 2, 2, 3]) {
            let (text, t) = self.key(&from.cols);
            if keys.iter().all(|k| k.0 != text) && (!exact || t != Float) {
                keys.push((text, format!("k{}", keys.len()), t));
            }
        }
        let filter = self.filter(&from.cols, 35);
        let sets = (keys.len() > windows && self.d.chance(20)).then(|| self.sets(&keys, windows, !exact));
        let mut items: Vec<String> = keys.iter().map(|k| format!("{} AS {}", k.0, k.1)).collect();
        let mut cols: Vec<Col> = keys.iter().map(|k| (k.1.clone(), k.2)).collect();
        if sets.is_some() {
            items.push(format!("grouping({}) AS gr", keys[windows].0));
            cols.push(("gr".into(), Int));
        }
        let descending =
            if self.d.chance(40) { from.order.filter(|o| !o.contains(',')).map(|_| "id DESC") } else { None };
        let calls = Calls { cols: &from.cols, order: descending.or(from.order), exact };
        let fewest = usize::from(keys.is_empty());
        for i in 0..fewest + self.d.below(5) {
            let (call, t) = aggregate(self.d, &calls);
            items.push(format!("{call} AS a{i}"));
            cols.push((format!("a{i}"), t));
        }
        if exact {
            items.push("count(*) AS n".into());
            cols.push(("n".into(), Int));
        }
        let by = match (&sets, keys.is_empty()) {
            (Some(sets), _) => format!(" GROUP BY {sets}"),
            (None, true) => String::new(),
            (None, false) => {
                format!(" GROUP BY {}", keys.iter().map(|k| k.0.as_str()).collect::<Vec<_>>().join(", "))
            }
        };
        let having = if self.d.chance(25) && !keys.is_empty() {
            let calls = Calls { order: None, exact: true, ..calls };
            let condition = match self.d.below(3) {
                0 => format!("count(*) > {}", self.d.below(4)),
                1 => format!("{} IS NOT NULL", aggregate(self.d, &calls).0),
                _ => format!("sum({}) > {}", expr(self.d, calls.cols, Int, 1), self.d.range(-5, 40)),
            };
            format!(" HAVING {condition}")
        } else {
            String::new()
        };
        (format!("SELECT {} FROM {} AS r{filter}{by}{having}", items.join(", "), from.text), cols, time)
    }

    /// Grouping sets over the keys that are no windows; one of them `twice`, unless something stands above that would have
    /// to tell equal rows apart.
    fn sets(&mut self, keys: &[(String, String, Type)], windows: usize, twice: bool) -> String {
        let texts: Vec<&str> = keys.iter().map(|k| k.0.as_str()).collect();
        let (bounds, plain) = texts.split_at(windows);
        let before: String = bounds.iter().map(|b| format!("{b}, ")).collect();
        match self.d.below(3) {
            0 => format!("{before}ROLLUP ({})", plain.join(", ")),
            1 => format!("{before}CUBE ({})", plain.join(", ")),
            _ => {
                let first = if windows > 0 { bounds.join(", ") } else { plain[0].into() };
                let all = texts.join(", ");
                let again = if twice { format!(", ({all})") } else { String::new() };
                format!("GROUPING SETS (({all}), ({first}){again})")
            }
        }
    }
}
