//! Which columns of rows that come and go only rise or fall: counts over rows that only come. A ranking by such a column need not keep
//! what stands behind its range, as nothing before that goes away.
//!
//! As the "modified monotonicity" of Flink's planner, which chooses its ranking and its `max` by it.

use super::super::EmitMode;
use super::super::dataflow::{Node, Spec};
use super::super::state_bound::{StateBound, passes};
use super::{Lowering, column};
use crate::operators::aggregate::AggregateSpec;
use crate::operators::threshold::ThresholdSpec;
use crate::operators::top_n::{RankFunction, TopNSpec};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Literal};
use datafusion::physical_expr::utils::collect_columns;
use std::sync::Arc;

/// Rows that are there once they have come: one is taken back only in a step in which it comes again.
#[derive(Debug, Default)]
pub(super) struct Rising {
    /// The columns that then have the same values.
    pub(super) fixed: Vec<usize>,
    /// Those whose value is then no smaller.
    up: Vec<usize>,
    /// Those whose value is then no greater.
    down: Vec<usize>,
}

impl Rising {
    /// Rows that only come, with so many columns.
    fn nothing_changes(columns: usize) -> Rising {
        let all: Vec<usize> = (0..columns).collect();
        Rising { fixed: all.clone(), up: all.clone(), down: all }
    }

    /// The groups of an aggregate over rows that only come.
    fn of_groups(spec: &AggregateSpec) -> Option<Rising> {
        if spec.mode != EmitMode::Changes || !spec.input_append_only || spec.window.is_none() {
            return None;
        }
        let keys = spec.group.len();
        let calls = spec.aggregates.iter().enumerate();
        let named = |names: &'static [&'static str]| {
            let of = calls.clone().filter(move |(_, call)| names.contains(&call.expr.fun().name()));
            of.map(|(at, _)| keys + at).collect::<Vec<usize>>()
        };
        Some(Rising { fixed: (0..keys).collect(), up: named(&["count", "max"]), down: named(&["min"]) })
    }

    /// The columns by which a row that comes again stands no further behind.
    pub(super) fn moves(&self, descending: bool) -> &[usize] {
        if descending { &self.up } else { &self.down }
    }

    fn is_fixed(&self, expression: &Arc<dyn PhysicalExpr>) -> bool {
        collect_columns(expression).iter().all(|column| self.fixed.contains(&column.index()))
    }

    /// Whether a condition that held for a row holds when it comes again.
    fn stays_true(&self, condition: &Arc<dyn PhysicalExpr>) -> bool {
        if self.is_fixed(condition) {
            return true;
        }
        let Some(binary) = condition.downcast_ref::<BinaryExpr>() else { return false };
        let (left, right) = (binary.left(), binary.right());
        let moves = |columns: &[usize]| column(left).is_some_and(|column| columns.contains(&column));
        match binary.op() {
            Operator::And => self.stays_true(left) && self.stays_true(right),
            Operator::Gt | Operator::GtEq => moves(&self.up) && right.is::<Literal>(),
            Operator::Lt | Operator::LtEq => moves(&self.down) && right.is::<Literal>(),
            _ => false,
        }
    }

    /// Under the columns of a projection.
    fn projected(&self, expressions: &[Arc<dyn PhysicalExpr>]) -> Rising {
        let all = || expressions.iter().enumerate();
        let of = |columns: &[usize]| {
            let named = all().filter(|(_, e)| column(e).is_some_and(|column| columns.contains(&column)));
            named.map(|(to, _)| to).collect()
        };
        let fixed = all().filter(|(_, e)| self.is_fixed(e)).map(|(to, _)| to).collect();
        Rising { fixed, up: of(&self.up), down: of(&self.down) }
    }
}

impl Lowering {
    /// What only rises in the rows that a node gives.
    pub(super) fn rising(&self, node: usize) -> Option<Rising> {
        let node = &self.flow.nodes[node];
        let of_input = || self.rising(*node.inputs.first()?);
        match &node.spec {
            Spec::Aggregate(spec) => Rising::of_groups(spec),
            Spec::Project(spec) => Some(of_input()?.projected(&spec.expressions)),
            Spec::Filter(spec) => of_input().filter(|rising| rising.stays_true(&spec.predicate)),
            Spec::InTime(spec) => of_input().filter(|rising| rising.fixed.contains(&spec.time)),
            _ => None,
        }
    }

    /// What leaves rows out before a ranking that would not keep them, if its rows only come or only rise.
    fn threshold(&self, input: usize, spec: &TopNSpec) -> Option<ThresholdSpec> {
        let (last, window) = (spec.last?, spec.window?);
        let fields = spec.input_schema.fields();
        let rising = match self.append_only(input) {
            true => Rising::nothing_changes(fields.len()),
            false => self.rising(input)?,
        };
        let fixed = |expression: &Arc<dyn PhysicalExpr>| {
            column(expression).filter(|column| rising.fixed.contains(column))
        };
        let keys = spec.keys.iter().map(fixed).collect::<Option<Vec<usize>>>()?;
        let [(first, options), others @ ..] = spec.order.as_slice() else { return None };
        let by = column(first)?;
        let field = fields.get(by)?;
        let rises = rising.moves(options.descending).contains(&by)
            && (!options.nulls_first || !field.is_nullable())
            && others.iter().all(|(expression, _)| rising.is_fixed(expression));
        // Between rows that tie all columns decide, so that none of them may change.
        let ties = match spec.function {
            RankFunction::RowNumber => (0..fields.len()).all(|c| c == by || rising.fixed.contains(&c)),
            RankFunction::Rank => true,
            RankFunction::DenseRank => false,
        };
        let most = usize::try_from(last).ok()?;
        let (descending, schema) = (options.descending, spec.input_schema.clone());
        let spec = ThresholdSpec { keys, windows: None, by, descending, most, window, schema };
        spec.if_known().filter(|_| rises && ties)
    }

    /// Before a ranking over rows that only come or only rise, leaves out those that it would not keep.
    pub(super) fn above_threshold(&mut self, input: usize, spec: &TopNSpec) -> Option<usize> {
        let threshold = self.threshold(input, spec)?;
        Some(self.cut_by(input, threshold))
    }

    /// Leaves out of a node's rows those that are behind a threshold.
    pub(super) fn cut_by(&mut self, input: usize, threshold: ThresholdSpec) -> usize {
        let watermark = self.flow.watermark_of(&[input]);
        let over = passes(&watermark, "the window's end", threshold.window.grace);
        let state = StateBound::watermark(over, self.flow.growth(input));
        let below = &self.flow.nodes[input];
        let node = Node {
            spec: Spec::Threshold(threshold),
            inputs: vec![input],
            state: Some(state),
            ..below.clone()
        };
        self.flow.nodes.push(node);
        self.flow.nodes.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::share::tests::flow;

    /// The operators of a continuous query that matter here, the result first.
    fn operators(query: &str) -> Vec<String> {
        let flow = flow(query);
        let name = |node: &Node| match &node.spec {
            Spec::Threshold(spec) => format!("Threshold {}", spec.most),
            Spec::TopN(spec) => format!("TopN rising={}", spec.rising),
            Spec::Join(_) => "Join".into(),
            _ => String::new(),
        };
        flow.nodes.iter().rev().map(name).filter(|name| !name.is_empty()).collect()
    }

    /// Groups of windows.
    fn groups(items: &str, having: &str) -> String {
        format!(
            "(SELECT window_start AS ws, window_end AS we, k, {items} FROM TUMBLE(s, ts, INTERVAL '10 seconds') \
             GROUP BY window_start, window_end, k{having})"
        )
    }

    #[test]
    fn only_what_rises_is_cut_before_it_is_ranked() {
        let ranked = |rank: &str, groups: &str| {
            format!("SELECT * FROM (SELECT *, {rank} AS r FROM {groups}) WHERE r <= 2")
        };
        let n = groups("count(*) AS n", "");
        let with = |items: &str| groups(items, "");
        let cut = |query: &str| operators(query).iter().any(|name| name == "Threshold 2");
        for (rank, groups) in [
            ("row_number() OVER (PARTITION BY ws, we ORDER BY n DESC)", &n),
            ("row_number() OVER (PARTITION BY we ORDER BY n DESC, k)", &n),
            ("rank() OVER (PARTITION BY we, k ORDER BY n DESC)", &n),
            ("rank() OVER (PARTITION BY we ORDER BY n DESC)", &with("count(*) AS n, sum(v) AS m")),
            ("rank() OVER (PARTITION BY we ORDER BY n DESC)", &with("count(DISTINCT v) AS n")),
            ("rank() OVER (PARTITION BY we ORDER BY n DESC)", &with("count(v) FILTER (WHERE w > 1) AS n")),
            ("rank() OVER (PARTITION BY we ORDER BY m DESC NULLS LAST)", &with("max(v) AS m")),
            ("rank() OVER (PARTITION BY we ORDER BY m)", &with("min(v) AS m")),
            (
                "rank() OVER (PARTITION BY we ORDER BY n DESC)",
                &groups("count(*) AS n", " HAVING count(*) > 3"),
            ),
            (
                "rank() OVER (PARTITION BY we ORDER BY n DESC)",
                &groups("count(*) AS n", " HAVING k > 'a' AND count(*) >= 3"),
            ),
        ] {
            assert!(cut(&ranked(rank, groups)), "{rank} {groups}");
            assert!(operators(&ranked(rank, groups)).contains(&"TopN rising=true".to_string()));
        }
        for (rank, groups) in [
            // What falls, what may do either.
            ("rank() OVER (PARTITION BY we ORDER BY n)", &n),
            ("rank() OVER (PARTITION BY we ORDER BY m DESC NULLS LAST)", &with("min(v) AS m")),
            ("rank() OVER (PARTITION BY we ORDER BY m)", &with("max(v) AS m")),
            ("rank() OVER (PARTITION BY we ORDER BY m DESC NULLS LAST)", &with("sum(v) AS m")),
            ("rank() OVER (PARTITION BY we ORDER BY n + 0 DESC)", &n),
            // From null it falls.
            ("rank() OVER (PARTITION BY we ORDER BY m DESC)", &with("max(v) AS m")),
            // Between ties stands what changes.
            (
                "row_number() OVER (PARTITION BY we ORDER BY n DESC)",
                &with("count(v) AS n, max(w) AS m, count(*) AS r0"),
            ),
            (
                "rank() OVER (PARTITION BY we ORDER BY n DESC, m DESC NULLS LAST)",
                &with("count(v) AS n, max(v) AS m"),
            ),
            // The second value may be that of the third row.
            ("dense_rank() OVER (PARTITION BY we ORDER BY n DESC)", &n),
            // It goes when it has risen.
            (
                "rank() OVER (PARTITION BY we ORDER BY n DESC)",
                &groups("count(*) AS n", " HAVING count(*) < 3"),
            ),
            ("rank() OVER (PARTITION BY we ORDER BY n DESC)", &groups("count(*) AS n", " HAVING sum(v) > 3")),
            // Its partition changes.
            ("rank() OVER (PARTITION BY we, m ORDER BY n DESC)", &with("count(*) AS n, max(v) AS m")),
            // No window ends it.
            ("rank() OVER (PARTITION BY k ORDER BY n DESC)", &n),
        ] {
            assert!(
                !operators(&ranked(rank, groups)).contains(&"TopN rising=true".into()),
                "{rank} {groups}"
            );
        }
    }

    #[test]
    fn a_join_with_the_best_of_the_same_groups_is_a_ranking() {
        let n = groups("count(*) AS n", "");
        let join = |items: &str, kind: &str, of: &str, best: &str, on: &str| {
            let best = format!("(SELECT ws, we, {best} AS best FROM {of} AS u GROUP BY ws, we)");
            format!("SELECT {items} FROM {n} AS x {kind} {best} AS y ON {on}")
        };
        let both = "x.ws = y.ws AND x.we = y.we";
        let most = format!("{both} AND x.n >= y.best");
        for query in [
            join("x.k, x.n", "JOIN", &n, "max(n)", &most),
            join("x.k, x.n", "LEFT SEMI JOIN", &n, "max(n)", &most),
            join("x.k, y.best, y.we", "JOIN", &n, "max(n)", &most),
            join("x.k", "JOIN", &n, "max(n)", "y.we = x.we AND y.best <= x.n AND y.ws = x.ws"),
            join("x.k", "JOIN", &n, "max(n)", &format!("{both} AND x.n = y.best")),
        ] {
            let found = operators(&query);
            assert_eq!(found, ["TopN rising=true", "Threshold 1"], "{query}");
        }
        let other = groups("count(*) AS n", "").replace("TUMBLE(s", "TUMBLE(t");
        let later = groups("count(*) AS n", "").replace("TUMBLE(s", "TUMBLE(s AT LATEST");
        let some = format!("(SELECT * FROM {n} WHERE k > 'a')");
        for query in [
            join("x.k, y.best", "LEFT JOIN", &n, "max(n)", &most),
            join("x.k", "LEFT ANTI JOIN", &n, "max(n)", &most),
            join("x.k", "JOIN", &n, "min(n)", &format!("{both} AND x.n <= y.best")),
            join("x.k", "JOIN", &n, "max(n)", &format!("{both} AND x.n > y.best")),
            join("x.k", "JOIN", &n, "max(n)", &format!("{both} AND x.n <= y.best")),
            join("x.k", "JOIN", &n, "max(n) FILTER (WHERE k > 'a')", &most),
            join("x.k", "JOIN", &n, "max(n)", &format!("{most} AND x.k > 'b' AND x.k <> 'c'")),
            join("x.k", "JOIN", &n, "max(n)", "x.ws = y.ws AND x.n >= y.best"),
            join("x.k", "JOIN", &n, "max(n)", "x.ws = y.ws AND x.ws = y.we AND x.n >= y.best"),
            join("x.k", "JOIN", &other, "max(n)", &most),
            join("x.k", "JOIN", &later, "max(n)", &most),
            join("x.k", "JOIN", &some, "max(n)", &most),
        ] {
            assert!(operators(&query).contains(&"Join".into()), "{query}");
        }
    }
}
