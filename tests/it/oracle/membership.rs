//! Tests of subqueries as truth values, in every place of a query: IN, NOT IN, EXISTS, ANY and ALL with three truth values.
//!
//! The reference has no such values, and overlooks nulls in some places. For it the rows are put together from those where
//! the test is true, false and unknown, each told by an EXISTS in WHERE, and the truth value is a column. (It seems to be random, as
//! the reference pushes conditions on constants below aggregates over all rows, which then lose nothing.)

use super::expr::Type::{Bool, Date, Int, Text};
use super::expr::{Col, condition, expr};
use super::query::{both, split};
use super::relational::{Composing, Rel, exact};

/// A test for both sides.
struct Test {
    ours: String,
    /// Where it is true, and where it is false.
    reference: [String; 2],
}

impl Composing<'_> {
    /// Some rows, and a test about them somewhere in the query.
    pub(super) fn tested(&mut self, depth: usize) -> Rel {
        let (left, right) = (self.rel(depth - 1), self.other(depth));
        let test = self.test(&left.cols, &right);
        let (a, v) = (self.name(), self.name());
        let (ours, reference) = split(&left.text);
        let [yes, no] = &test.reference;
        let with = |value: &str, filter: String| {
            format!(
                "SELECT *, CASE WHEN random() >= 0 THEN {value} END AS {v} FROM ({reference}) AS {a} WHERE {filter}"
            )
        };
        let reference = [
            with("true", yes.clone()),
            with("false", no.clone()),
            with("CAST(NULL AS BOOLEAN)", format!("NOT ({yes}) AND NOT ({no})")),
        ]
        .join(" UNION ALL ");
        let write = |place: &str, truth: &str| place.replace("{test}", truth);
        let of = |items: &str, rest: &str| {
            let ours = write(&format!("{items} FROM ({ours}) AS {a}{rest}"), &test.ours);
            let reference = write(&format!("{items} FROM ({reference}) AS {a}{rest}"), &v);
            both(&ours, &reference)
        };
        match self.d.below(6) {
            0..=1 => {
                let mut rel = self.select(&left.cols, 1);
                let name = self.name();
                rel.text = of(&format!("{}, {{test}} AS {name}", rel.text), "");
                rel.cols.push((name, Bool));
                rel
            }
            2..=3 => {
                let name = self.name();
                let text = of(&format!("SELECT count(*) FILTER (WHERE {{test}}) AS {name}"), "");
                Rel { text, cols: vec![(name, Int)] }
            }
            _ => {
                let other = condition(self.d, &left.cols, 1);
                let place = self.d.pick(&[
                    "{test}",
                    "NOT {test}",
                    "{test} OR {other}",
                    "NOT ({test} OR {other})",
                    "NOT ({test} AND {other})",
                    "{test} IS NULL",
                    "({test}) IS NOT TRUE",
                    "CASE WHEN {other} THEN {test} ELSE NOT {test} END",
                    "({test}) = ({other})",
                ]);
                let mut rel = self.select(&left.cols, 2);
                rel.text = of(&rel.text, &format!(" WHERE {}", place.replace("{other}", &other)));
                rel
            }
        }
    }

    fn test(&mut self, left: &[Col], right: &Rel) -> Test {
        let b = self.name();
        let (ours, reference) = split(&right.text);
        let filter = match self.d.below(4) {
            0 => Some(condition(self.d, &right.cols, 1)),
            1 => Some(self.equality(left, &right.cols)),
            _ => None,
        };
        let clause = filter.as_ref().map_or(String::new(), |f| format!(" WHERE ({f})"));
        let some = |truth: &str| {
            let other = filter.as_ref().map_or(String::new(), |f| format!(" AND ({f})"));
            format!("EXISTS (SELECT 1 FROM ({reference}) AS {b} WHERE {truth}{other})")
        };
        if self.d.chance(20) {
            let ours = format!("EXISTS (SELECT 1 FROM ({ours}) AS {b}{clause})");
            return Test { ours, reference: [some("true"), format!("NOT {}", some("true"))] };
        }
        let t = self.d.one(&[Int, Int, Text, Bool, Date]);
        let (x, y) = (expr(self.d, left, t, 0), expr(self.d, &right.cols, t, 0));
        let (x, y) = (exact(&x, t), exact(&y, t));
        let rows = format!("(SELECT {y} FROM ({ours}) AS {b}{clause})");
        let (word, op, all) = match self.d.below(4) {
            0 => ("IN".to_string(), "=", false),
            1 => ("NOT IN".to_string(), "<>", true),
            _ => {
                let op = self.d.pick(&["=", "<>", "<", "<=", ">", ">="]);
                let all = self.d.chance(50);
                (format!("{op} {}", if all { "ALL" } else { "ANY" }), op, all)
            }
        };
        let compared = |is: &str| some(&format!("({x} {op} {y}) {is}"));
        let reference = match all {
            true => [format!("NOT {}", compared("IS NOT TRUE")), compared("IS FALSE")],
            false => [compared("IS TRUE"), format!("NOT {}", compared("IS NOT FALSE"))],
        };
        Test { ours: format!("({x} {word} {rows})"), reference }
    }
}
