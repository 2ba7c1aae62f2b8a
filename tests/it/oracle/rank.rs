//! Queries with ranks and limits. The reference is told the whole order: by the ORDER BY and then all columns that the
//! SELECT reads of the rows that are ranked, which Millstream takes of itself.

use super::data::Shape;
use super::draw::Draw;
use super::expr::Type::{Bool, Int, List, Rough, Text};
use super::expr::{Col, TYPES, condition, expr};
use super::query::{Making, Query, Relation, both, draw_body, names};

/// A random query with ranks.
pub(super) fn draw_ranking(d: &mut Draw, shape: &Shape) -> Query {
    draw_body(d, shape, |making| making.ranking())
}

/// Whether a rank may be asked for these columns: no result whose last bits depend on the order of addition decides.
fn exact(cols: &[Col]) -> Vec<Col> {
    cols.iter().filter(|c| c.1 != Rough).cloned().collect()
}

/// Where an order of the reference has the columns that decide between ties.
const TIES: &str = "‹ties›";

/// The columns that a SELECT reads: those that it lists, and those in its expressions.
fn read(cols: &[Col], listed: &[Col], expressions: &str) -> Vec<Col> {
    // Every second piece is a text.
    let outside: String = expressions.split('\'').step_by(2).collect::<Vec<_>>().join(" ");
    let words: Vec<&str> = outside.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let is_read = |c: &&Col| listed.contains(c) || words.contains(&c.0.as_str());
    cols.iter().filter(is_read).cloned().collect()
}

/// These columns as they decide between ties.
fn ties(cols: &[Col]) -> String {
    cols.iter().map(|c| format!("{} ASC NULLS LAST", c.0)).collect::<Vec<_>>().join(", ")
}

/// The two texts of an order.
fn order_of(both: &str) -> (&str, &str) {
    both.trim_start_matches('⟦').trim_end_matches('⟧').split_once('¦').unwrap()
}

impl Making<'_> {
    fn ranking(&mut self) -> String {
        let from = self.rows_to_rank();
        match self.d.below(10) {
            0..=5 => self.ranks(&from),
            6..=7 => self.limits(&from),
            8 => self.distinct_on(&from),
            _ => {
                let (text, cols) = match self.d.below(3) {
                    0 => self.limited(&from),
                    _ => self.ranked(&from),
                };
                let inner = Relation {
                    text: format!("({text})"),
                    named: false,
                    cols,
                    marks: false,
                    time: None,
                    order: None,
                    windowed: false,
                    mixed: false,
                };
                self.grouped(&inner, false).0
            }
        }
    }

    /// Rows, rows in windows, groups.
    fn rows_to_rank(&mut self) -> Relation {
        let from = match self.d.below(10) {
            0..=2 => self.relation(1),
            3..=5 => {
                let from = self.relation(1);
                self.window(from)
            }
            _ => self.aggregated(true),
        };
        Relation { cols: exact(&from.cols), ..from }
    }

    /// PARTITION BY.
    fn partition(&mut self, from: &Relation) -> Vec<String> {
        let bound = |c: &&Col| c.0.starts_with("window_") || c.0.starts_with('w');
        let bounds: Vec<&Col> = from.cols.iter().filter(bound).collect();
        let mut keys = Vec::new();
        if !bounds.is_empty() && self.d.chance(75) {
            keys.push(self.d.one(&bounds).0.clone());
            if self.d.chance(40) {
                keys.push(self.d.one(&bounds).0.clone());
            }
            keys.dedup();
        }
        if self.d.chance(if keys.is_empty() { 70 } else { 35 }) {
            let key = self.key(&from.cols).0;
            keys.push(key);
        }
        keys
    }

    /// ORDER BY, of which the reference is told the rest, at [`TIES`], if it has to be total.
    fn order(&mut self, from: &Relation, total: bool) -> String {
        let mut written = Vec::new();
        for _ in 0..self.d.one(&[0, 1, 1, 1, 2]) {
            let t = self.d.one(&TYPES);
            let key = if t == List || self.d.chance(70) {
                self.d.one(&from.cols).0.clone()
            } else {
                let t = self.d.one(&[Int, Text, Bool]);
                expr(self.d, &from.cols, t, 2)
            };
            let direction =
                self.d.pick(&["", "", " DESC", " NULLS FIRST", " DESC NULLS LAST", " ASC NULLS LAST"]);
            // A number alone would be the number of a column.
            let plain = key.parse::<i64>().is_err();
            written.push(format!("{}{direction}", if plain { key } else { format!("{key} + 0") }));
        }
        let by = |keys: &[String]| match keys {
            [] => String::new(),
            keys => format!("ORDER BY {}", keys.join(", ")),
        };
        if !total {
            return by(&written);
        }
        let mut whole = written.clone();
        whole.push(TIES.into());
        both(&by(&written), &by(&whole))
    }

    /// A rank over the rows. `others`: those of the same SELECT. Rows that are equal in all that it reads may be numbered in any
    /// order, so that of two numberings it is not decided which number goes with which: there is one.
    fn over(&mut self, from: &Relation, others: &[String]) -> String {
        let numbered = others.iter().any(|rank| rank.starts_with("row_number"));
        let functions = ["row_number", "row_number", "rank", "dense_rank"];
        let function = self.d.pick(if numbered { &functions[2..] } else { &functions[..] });
        let keys = self.partition(from);
        let by = if keys.is_empty() { String::new() } else { format!("PARTITION BY {} ", keys.join(", ")) };
        let order = self.order(from, function == "row_number");
        format!("{function}() OVER ({by}{order})")
    }

    /// A condition on a rank.
    fn wanted(&mut self, rank: &str, cols: &[Col]) -> String {
        let n = self.d.range(1, 5);
        let wanted = match self.d.below(12) {
            0..=3 => format!("{rank} <= {n}"),
            4 => format!("{rank} < {n}"),
            5 => format!("{rank} = 1"),
            6 => format!("{n} >= {rank}"),
            7 => format!("{rank} = {n}"),
            8 => format!("{rank} BETWEEN {n} AND {}", n + self.d.range(0, 3)),
            9 => format!("{rank} IN (1, {n})"),
            10 => format!("{rank} > {n}"),
            _ => format!("{rank} <= {n} AND {rank} % 2 = 1"),
        };
        if self.d.chance(20) { format!("{wanted} AND {}", condition(self.d, cols, 1)) } else { wanted }
    }

    /// Ranked rows, and their columns.
    fn ranked(&mut self, from: &Relation) -> (String, Vec<Col>) {
        let filter = self.filter(&from.cols, 25);
        let mut listed = from.cols.clone();
        if self.d.chance(40) {
            listed.retain(|_| self.d.chance(50));
        }
        if listed.is_empty() {
            listed.push(self.d.one(&from.cols));
        }
        let mut ranks = vec![format!("{} AS rank0", self.over(from, &[]))];
        if self.d.chance(20) {
            ranks.push(format!("{} AS rank1", self.over(from, &ranks)));
        }
        let condition = if self.d.chance(88) {
            let rank = if ranks.len() > 1 { self.d.pick(&["rank0", "rank1"]) } else { "rank0" };
            format!(" WHERE {}", self.wanted(rank, &listed))
        } else {
            String::new()
        };
        let decide = ties(&read(&from.cols, &listed, &ranks.join(" ").replace(TIES, "")));
        // Which columns are shown of these must not decide which rows there are.
        let mut shown = listed.clone();
        shown.retain(|_| self.d.chance(60));
        if shown.is_empty() {
            shown.push(self.d.one(&listed));
        }
        if condition.is_empty() || self.d.chance(55) {
            shown.extend((0..ranks.len()).map(|i| (format!("rank{i}"), Int)));
        }
        let text = format!(
            "SELECT {} FROM (SELECT {}, {} FROM {} AS r{filter}) AS q{condition}",
            names(&shown),
            names(&listed),
            ranks.join(", ").replace(TIES, &decide),
            from.text
        );
        (text, shown)
    }

    fn ranks(&mut self, from: &Relation) -> String {
        self.ranked(from).0
    }

    /// Some rows by their order, and their columns.
    fn limited(&mut self, from: &Relation) -> (String, Vec<Col>) {
        let filter = self.filter(&from.cols, 25);
        let offset = if self.d.chance(35) { format!(" OFFSET {}", self.d.below(4)) } else { String::new() };
        let limit = if offset.is_empty() || self.d.chance(85) {
            format!(" LIMIT {}", self.d.one(&[0, 1, 2, 3, 5, 20]))
        } else {
            String::new()
        };
        let order = self.order(from, true).replace(TIES, &ties(&from.cols));
        let cols = names(&from.cols);
        let rest = format!("FROM {} AS r{filter} ", from.text);
        let text = match (limit.is_empty(), offset.strip_prefix(" OFFSET ")) {
            // DataFusion may leave out any rows where an OFFSET has no LIMIT.
            (true, Some(skip)) => {
                let (ours, whole) = order_of(&order);
                let before = both("", &format!("SELECT {cols} FROM ("));
                let rank = both("", &format!(", row_number() OVER ({whole}) AS rank0"));
                let after = both(&format!("{ours}{offset}"), &format!(") AS q WHERE rank0 > {skip}"));
                format!("{before}SELECT {cols}{rank} {rest}{after}")
            }
            _ => format!("SELECT {cols} {rest}{order}{limit}{offset}"),
        };
        (text, from.cols.clone())
    }

    fn limits(&mut self, from: &Relation) -> String {
        let (text, cols) = self.limited(from);
        // As the last thing a query does it shows its rows in their order; without one any may come.
        let shown: Vec<Col> = cols.iter().filter(|_| self.d.chance(70)).cloned().collect();
        let shown = if shown.is_empty() { cols } else { shown };
        format!("SELECT {} FROM ({text}) AS q", names(&shown))
    }

    fn distinct_on(&mut self, from: &Relation) -> String {
        let keys: Vec<&Col> = from.cols.iter().filter(|c| c.0 != "id" && c.1 != List).collect();
        let mut on: Vec<String> = (0..1 + self.d.below(2)).map(|_| self.d.one(&keys).0.clone()).collect();
        on.dedup();
        let mut order: Vec<String> =
            on.iter().map(|k| format!("{k}{}", self.d.pick(&["", " DESC", " NULLS FIRST"]))).collect();
        if self.d.chance(70) {
            order.push(format!("{} DESC NULLS LAST", self.d.one(&from.cols).0));
        }
        let shown: Vec<Col> = from.cols.iter().filter(|_| self.d.chance(60)).cloned().collect();
        let shown = if shown.is_empty() { from.cols.clone() } else { shown };
        let (on, by) = (on.join(", "), order.join(", "));
        let by = if self.d.chance(85) { by } else { String::new() };
        let ours = match by.is_empty() {
            true => String::new(),
            false => format!(" ORDER BY {by}"),
        };
        let decide = ties(&read(&from.cols, &shown, &format!("{on} {by}")));
        let whole = [by, decide].into_iter().filter(|by| !by.is_empty()).collect::<Vec<_>>().join(", ");
        let shown = names(&shown);
        let before = both(
            &format!("SELECT DISTINCT ON ({on}) {shown} FROM "),
            &format!(
                "SELECT {shown} FROM (SELECT *, row_number() OVER (PARTITION BY {on} ORDER BY {whole}) AS rank0 FROM "
            ),
        );
        format!("{before}{} AS r{}", from.text, both(&ours, ") AS q WHERE rank0 = 1"))
    }
}
