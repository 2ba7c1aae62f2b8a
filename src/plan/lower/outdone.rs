//! Rows that are joined with the greatest or the least of their own window: those are left out before the join that a row of their
//! window is ahead of already.
//!
//! `SELECT … FROM s JOIN (SELECT window_end, max(v) AS most FROM TUMBLE(s, ts, size) GROUP BY window_start, window_end) ON v = most AND
//! ts BETWEEN window_end - size AND window_end`: a row meets the greatest of the window that its time lies in (and if that is
//! the window's very start, of the one before). It is counted there itself, as are all rows of the left side; so one that is smaller
//! than another of them is smaller than the greatest, now and for ever. The join then keeps a few rows of each window instead
//! of all. Nexmark's q7 is of this kind. Batch engines do the same with the build side's bounds ("sideways information passing", dynamic filters).

use super::super::in_time::InTimeNode;
use super::super::join_bound::apart;
use super::super::stream::stream_of;
use super::super::trace::{ColumnTrace, trace};
use super::super::window::{WINDOW_COLUMNS, WindowNode};
use super::super::{arrow_schema, mistakes};
use super::best::{extreme, plain};
use super::{Lowering, Result};
use crate::operators::aggregate::WindowKey;
use crate::operators::threshold::{ThresholdSpec, Tumbling};
use crate::operators::window::WindowKind;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, JoinType, NullEquality};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Aggregate, BinaryExpr, Expr, Join, LogicalPlan, Operator, TableScan};
use std::ops::RangeInclusive;

/// What a column of a stream's rows is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The stream's column.
    Stream(usize),
    /// Which of [`WINDOW_COLUMNS`] of the row's window.
    Bound(usize),
}

/// What a join compares: a column of one side, and what a column of the other side's groups is, if it is a key of theirs.
type Pairs = Vec<(usize, Operator, Option<Place>)>;

/// The rows of one stream: some of them, with some columns, perhaps each in its window.
struct Rows<'a> {
    scan: &'a TableScan,
    /// What each column is; `None` = it is computed.
    columns: Vec<Option<Place>>,
    /// The conditions by which rows are left out, over the stream's column names.
    filters: Vec<Expr>,
    /// The stream's column by which late rows are left out, and the grace.
    in_time: Option<(usize, i64)>,
    /// The windows, and the stream's column whose time lies in them.
    window: Option<(usize, &'a WindowNode)>,
}

impl<'a> Rows<'a> {
    fn of(plan: &'a LogicalPlan) -> Option<Self> {
        match plan {
            LogicalPlan::TableScan(scan) if scan.filters.is_empty() && scan.fetch.is_none() => {
                let all = || (0..scan.source.schema().fields().len()).collect();
                let columns: Vec<usize> = scan.projection.clone().unwrap_or_else(all);
                let columns = columns.into_iter().map(|column| Some(Place::Stream(column))).collect();
                Some(Rows { scan, columns, filters: Vec::new(), in_time: None, window: None })
            }
            LogicalPlan::SubqueryAlias(alias) => Rows::of(&alias.input),
            LogicalPlan::Projection(projection) => {
                let rows = Rows::of(&projection.input)?;
                let place = |e: &Expr| rows.columns[plain(e, &projection.input)?];
                let columns = projection.expr.iter().map(place).collect();
                Some(Rows { columns, ..rows })
            }
            LogicalPlan::Filter(filter) => {
                let mut rows = Rows::of(&filter.input)?;
                for condition in split_conjunction(&filter.predicate) {
                    rows.filters.push(rows.named(condition, &filter.input)?);
                }
                Some(rows)
            }
            LogicalPlan::Extension(extension) => {
                let node = extension.node.as_any();
                if let Some(in_time) = node.downcast_ref::<InTimeNode>() {
                    let rows = Rows::of(&in_time.input)?;
                    let time = rows.stream(in_time.time_index().ok()?).filter(|_| in_time.event_time)?;
                    let in_time = Some((time, in_time.grace)).filter(|_| rows.in_time.is_none())?;
                    return Some(Rows { in_time: Some(in_time), ..rows });
                }
                let window = node.downcast_ref::<WindowNode>()?;
                let mut rows = Rows::of(&window.input)?;
                let time = rows.stream(window.time_index().ok()?).filter(|_| window.event_time)?;
                rows.columns.extend((0..WINDOW_COLUMNS.len()).map(|bound| Some(Place::Bound(bound))));
                let window = Some((time, window)).filter(|_| rows.window.is_none())?;
                Some(Rows { window: Some(window), ..rows })
            }
            _ => None,
        }
    }

    /// The stream's column that one of the columns is.
    fn stream(&self, column: usize) -> Option<usize> {
        match self.columns.get(column)? {
            Some(Place::Stream(column)) => Some(*column),
            _ => None,
        }
    }

    /// A condition over the columns of `plan`, whose rows these are, over the stream's column names.
    fn named(&self, condition: &Expr, plan: &LogicalPlan) -> Option<Expr> {
        let schema = self.scan.source.schema();
        let renamed = condition.clone().transform(|expr| {
            let Expr::Column(_) = &expr else { return Ok(Transformed::no(expr)) };
            let column = plain(&expr, plan).and_then(|column| self.stream(column));
            let column = column.ok_or_else(|| DataFusionError::Plan("it is computed".into()))?;
            Ok(Transformed::yes(Expr::Column(Column::new_unqualified(schema.field(column).name()))))
        });
        Some(renamed.ok()?.data)
    }

    /// Whether these are among the other rows.
    fn are_among(&self, others: &Rows) -> bool {
        let stream = |rows: &Rows| {
            let source = stream_of(&rows.scan.source)?;
            // Where late rows are kept, the two may be read apart, and one may be ahead of the other.
            let together = !source.stream.is_table() && source.stream.option("late_topic").is_none();
            together.then(|| (source.stream.name.clone(), source.start))
        };
        stream(self).is_some_and(|one| stream(others) == Some(one))
            && others.filters.iter().all(|filter| self.filters.contains(filter))
    }
}

/// The groups whose greatest is asked for, below what names, chooses and leaves out some of them: the aggregate, and for each column
/// the one of its columns that it is.
fn groups(plan: &LogicalPlan) -> Option<(&Aggregate, Vec<Option<usize>>)> {
    match plan {
        LogicalPlan::Aggregate(aggregate) => {
            Some((aggregate, (0..aggregate.schema.fields().len()).map(Some).collect()))
        }
        LogicalPlan::SubqueryAlias(alias) => groups(&alias.input),
        LogicalPlan::Filter(filter) => groups(&filter.input),
        LogicalPlan::Projection(projection) => {
            let (aggregate, columns) = groups(&projection.input)?;
            let column = |e: &Expr| columns[plain(e, &projection.input)?];
            Some((aggregate, projection.expr.iter().map(column).collect()))
        }
        LogicalPlan::Extension(e) => groups(&e.node.as_any().downcast_ref::<InTimeNode>()?.input),
        _ => None,
    }
}

/// A join, seen from the side whose rows may be outdone.
struct Sides<'a> {
    join: &'a Join,
    /// Which side that is.
    side: usize,
    /// The plan of that side, and the other.
    plans: [&'a LogicalPlan; 2],
    /// What is known of their columns.
    traces: [Vec<ColumnTrace>; 2],
}

impl<'a> Sides<'a> {
    fn of(join: &'a Join, side: usize) -> datafusion::error::Result<Self> {
        let plans = [join.left.as_ref(), join.right.as_ref()];
        let plans = [plans[side], plans[1 - side]];
        Ok(Sides { join, side, plans, traces: [trace(plans[0])?, trace(plans[1])?] })
    }

    /// How far from a column of this side or the other its window ends, if it is a bound of one that closes.
    fn to_end(&self, other: bool, column: usize) -> Option<i64> {
        self.traces[usize::from(other)][column].window.filter(|w| w.closes).map(|w| w.to_end)
    }

    /// What the join compares: columns of this side with columns of the other.
    fn compared(&self) -> Vec<(usize, Operator, usize)> {
        let mut pairs = Vec::new();
        let mut pair = |one: &Expr, op: Operator, other: &Expr| {
            pairs.extend(plain(one, self.plans[0]).zip(plain(other, self.plans[1])).map(|(a, b)| (a, op, b)));
        };
        for (left, right) in &self.join.on {
            let [one, other] = if self.side == 0 { [left, right] } else { [right, left] };
            pair(one, Operator::Eq, other);
        }
        for condition in self.conditions() {
            if let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition {
                pair(left, *op, right);
                if let Some(op) = op.swap() {
                    pair(right, op, left);
                }
            }
        }
        pairs
    }

    fn conditions(&self) -> impl Iterator<Item = &Expr> {
        self.join.filter.iter().flat_map(split_conjunction)
    }

    /// Bounds (ns) of what lies between a time of this side and a window's end of the other, by the conditions on times.
    fn to_the_end(&self, is_time: impl Fn(usize) -> bool) -> RangeInclusive<i64> {
        let (mut least, mut greatest) = (i64::MIN, i64::MAX);
        for apart in self.conditions().flat_map(|condition| apart(self.join, condition)) {
            let (one, other) = (apart.columns[self.side], apart.columns[1 - self.side]);
            let Some(to_end) = self.to_end(true, other).filter(|_| is_time(one)) else { continue };
            let turned = |bound: Option<i64>| bound.map(i64::saturating_neg);
            let bounds = match self.side {
                0 => [apart.least, apart.greatest],
                _ => [turned(apart.greatest), turned(apart.least)],
            };
            least = bounds[0].map_or(least, |bound| least.max(bound.saturating_sub(to_end)));
            greatest = bounds[1].map_or(greatest, |bound| greatest.min(bound.saturating_sub(to_end)));
        }
        least..=greatest
    }

    /// Which of this side's columns tells the window whose greatest a row meets: its time, or a bound of its window.
    fn window(
        &self,
        rows: &Rows,
        counted: &Rows,
        pairs: &Pairs,
    ) -> Option<(WindowKey, usize, Option<Tumbling>)> {
        let (time, window) = counted.window?;
        let is = |place: Place| rows.columns.iter().position(|here| *here == Some(place));
        if let Some((own_time, own)) = rows.window {
            let same = own_time == time && rows.in_time.is_none();
            let (kind, offset, grace) = (own.kind, own.offset, own.grace);
            if !same || (kind, offset, grace) != (window.kind, window.offset, window.grace) {
                return None;
            }
            // From a start windows of several lengths may go.
            let first = usize::from(matches!(kind, WindowKind::Cumulate { .. }));
            let bound = |(one, op, other): &(usize, Operator, Option<Place>)| {
                let place =
                    rows.columns[*one].filter(|place| *op == Operator::Eq && *other == Some(*place))?;
                matches!(place, Place::Bound(bound) if bound >= first).then_some(*one)
            };
            let key = pairs.iter().find_map(bound)?;
            return Some((WindowKey { key: 0, to_end: self.to_end(false, key)?, grace }, key, None));
        }
        let WindowKind::Tumble { size } = window.kind else { return None };
        // A row in time by its own time is in time for its window, so that it is counted.
        let (in_time, grace) = rows.in_time?;
        let apart = self.to_the_end(|column| rows.stream(column) == Some(time));
        let meets_its_own = *apart.start() >= -size && *apart.end() <= 0;
        if in_time != time || grace > window.grace || !meets_its_own {
            return None;
        }
        let windows = Tumbling { size, offset: window.offset };
        Some((WindowKey { key: 0, to_end: size, grace }, is(Place::Stream(time))?, Some(windows)))
    }

    /// See [`Lowering::outdone`].
    fn outdone(&self) -> Option<ThresholdSpec> {
        let [plan, other] = self.plans;
        let rows = Rows::of(plan)?;
        let (of, columns) = groups(other)?;
        let counted = Rows::of(&of.input)?;
        if counted.in_time.is_some() || !rows.are_among(&counted) {
            return None;
        }
        let counted_as = |e: &Expr| counted.columns[plain(e, &of.input)?];
        let compared = self.compared().into_iter();
        let compared: Vec<(usize, Operator, usize)> =
            compared.filter_map(|(one, op, other)| Some((one, op, (*columns.get(other)?)?))).collect();
        let place = |at: usize| of.group_expr.get(at).and_then(counted_as);
        let pairs: Pairs = compared.iter().map(|(one, op, at)| (*one, *op, place(*at))).collect();
        let (window, key, windows) = self.window(&rows, &counted, &pairs)?;
        let mut keys = vec![key];
        for key in &of.group_expr {
            let key = counted_as(key)?;
            if matches!(key, Place::Stream(_)) {
                let same = |(one, op, other): &&(usize, Operator, Option<Place>)| {
                    *op == Operator::Eq && *other == Some(key) && rows.columns[*one] == Some(key)
                };
                keys.push(pairs.iter().find(same)?.0);
            }
        }
        let (by, descending) = compared.iter().find_map(|(by, op, at)| {
            let (descending, most) = extreme(of, at.checked_sub(of.group_expr.len())?)?;
            let better = if descending { Operator::GtEq } else { Operator::LtEq };
            let same = rows.columns[*by] == Some(counted_as(most)?);
            (same && [better, Operator::Eq].contains(op)).then_some((*by, descending))
        })?;
        let schema = arrow_schema(plan);
        ThresholdSpec { keys, windows, by, descending, most: 1, window, schema }.if_known()
    }
}

impl Lowering {
    /// What leaves rows of one side, whose node has been made, out before a join in which they can never meet a row.
    pub(super) fn outdone(&self, join: &Join, side: usize, node: usize) -> Result<Option<ThresholdSpec>> {
        let semi = if side == 0 { JoinType::LeftSemi } else { JoinType::RightSemi };
        let joins = [JoinType::Inner, semi].contains(&join.join_type);
        if !joins || join.null_equality != NullEquality::NullEqualsNothing || !self.append_only(node) {
            return Ok(None);
        }
        Ok(Sides::of(join, side).map_err(mistakes::without_place)?.outdone())
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::dataflow::Spec;
    use crate::plan::share::tests::flow;

    /// What leaves rows out before the exchanges of an operator, in words.
    fn before(query: &str, is_it: fn(&Spec) -> bool) -> Option<String> {
        let nodes = flow(query).nodes;
        let node = nodes.iter().rev().find(|node| is_it(&node.spec));
        let inputs = node.unwrap_or_else(|| panic!("{query}")).inputs.iter();
        inputs.map(|exchange| &nodes[nodes[*exchange].inputs[0]]).find_map(|node| match &node.spec {
            Spec::Threshold(spec) => Some(spec.to_string()),
            _ => None,
        })
    }

    fn left_out(query: &str) -> Option<String> {
        before(query, |spec| matches!(spec, Spec::Join(_)))
    }

    const WINDOW: &str = "TUMBLE(s, ts, INTERVAL '10 seconds')";
    const NEAR: &str = "a.ts BETWEEN m.e - INTERVAL '10 seconds' AND m.e";

    /// The greatest of each window.
    fn most(items: &str, from: &str, more: &str) -> String {
        format!("(SELECT {items}, window_end AS e FROM {from} GROUP BY window_start, window_end{more}) AS m")
    }

    #[test]
    fn rows_that_one_of_their_window_is_ahead_of_are_left_out() {
        let join = |groups: &str, on: &str| {
            format!("SELECT a.k, m.best FROM s AS a JOIN {groups} ON {on} AND {NEAR}")
        };
        let best = most("max(v) AS best", WINDOW, "");
        let plain = "Threshold 1 keys=[ts in 10 s] order=[v DESC]";
        for (query, expected) in [
            (join(&best, "a.v = m.best"), plain),
            (join(&best, "a.v >= m.best"), plain),
            (join(&best, "m.best <= a.v AND a.w > 3"), plain),
            (
                join(&most("min(v) AS best", WINDOW, ""), "a.v = m.best"),
                "Threshold 1 keys=[ts in 10 s] order=[v]",
            ),
            (join(&most("max(v) AS best", WINDOW, " HAVING count(*) > 1"), "a.v = m.best"), plain),
            (
                join(&most("max(v) AS best, k", WINDOW, ", k"), "a.k = m.k AND a.v = m.best"),
                "Threshold 1 keys=[ts in 10 s, k] order=[v DESC]",
            ),
            (format!("SELECT a.k FROM {best} JOIN s AS a ON m.best = a.v AND {NEAR}"), plain),
            (format!("SELECT a.k FROM s AS a LEFT SEMI JOIN {best} ON m.best = a.v AND {NEAR}"), plain),
            (
                format!(
                    "SELECT a.k FROM (SELECT * FROM s WHERE w > 3) AS a JOIN {best} ON m.best = a.v AND {NEAR}"
                ),
                plain,
            ),
            (
                format!(
                    "SELECT a.k FROM (SELECT * FROM s WHERE w > 3 AND k > 'a') AS a JOIN {} ON m.best = a.v AND {NEAR}",
                    most(
                        "max(v) AS best",
                        "TUMBLE((SELECT * FROM s WHERE w > 3), ts, INTERVAL '10 seconds')",
                        ""
                    )
                ),
                plain,
            ),
        ] {
            assert_eq!(left_out(&query).as_deref(), Some(expected), "{query}");
        }
        for near in [
            "a.ts >= m.e - INTERVAL '10 seconds' AND a.ts < m.e",
            "a.ts + INTERVAL '10 seconds' >= m.e AND m.e > a.ts",
            "a.ts BETWEEN m.e - INTERVAL '4 seconds' AND m.e - INTERVAL '2 seconds'",
        ] {
            let query = format!("SELECT a.k FROM s AS a JOIN {best} ON m.best = a.v AND {near}");
            assert_eq!(left_out(&query).as_deref(), Some(plain), "{near}");
        }
        let bounds = format!(
            "SELECT a.k FROM s AS a JOIN (SELECT max(v) AS best, window_start AS b, window_end AS e FROM {WINDOW} \
             GROUP BY window_start, window_end) AS m ON m.best = a.v AND a.ts >= m.b AND a.ts < m.e"
        );
        assert_eq!(left_out(&bounds).as_deref(), Some(plain));
        let time = "(SELECT max(v) AS best, window_time AS e FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_time) AS m";
        let near = "a.ts BETWEEN m.e - INTERVAL '9999 milliseconds' AND m.e + INTERVAL '1 millisecond'";
        let query = format!("SELECT a.k FROM {time} JOIN s AS a ON m.best = a.v AND {near}");
        assert_eq!(left_out(&query).as_deref(), Some(plain));
    }

    #[test]
    fn rows_of_windows_meet_the_greatest_of_theirs() {
        let of = |window: &str, other: &str, by: &str, on: &str| {
            format!(
                "SELECT a.k FROM {window} AS a JOIN (SELECT max(v) AS best, {by} FROM {other} GROUP BY {by}) AS m \
                 ON a.v = m.best AND {on}"
            )
        };
        let hop = "HOP(s, ts, INTERVAL '5 seconds', INTERVAL '10 seconds', GRACE => INTERVAL '3 seconds')";
        let cumulate = "CUMULATE(s, ts, INTERVAL '5 seconds', INTERVAL '10 seconds')";
        let [start, end] = ["a.window_start = m.window_start", "a.window_end = m.window_end"];
        let bounds = "window_start, window_end";
        let both = format!("{start} AND {end}");
        for (query, key) in [
            (of(WINDOW, WINDOW, bounds, &both), "window_start"),
            (of(WINDOW, WINDOW, bounds, end), "window_end"),
            (of(hop, hop, "window_end", end), "window_end"),
            (of(cumulate, cumulate, bounds, &both), "window_end"),
            (of(WINDOW, WINDOW, "window_end, k", &format!("{end} AND a.k = m.k")), "window_end, k"),
        ] {
            let expected = format!("Threshold 1 keys=[{key}] order=[v DESC]");
            assert_eq!(left_out(&query), Some(expected), "{query}");
        }
        let other = "TUMBLE(t, ts, INTERVAL '10 seconds')";
        let some = "TUMBLE((SELECT * FROM s WHERE w > 3), ts, INTERVAL '10 seconds')";
        let moved = "TUMBLE(s, ts, INTERVAL '10 seconds', INTERVAL '3 seconds')";
        let waits = "TUMBLE(s, ts, INTERVAL '10 seconds', GRACE => INTERVAL '3 seconds')";
        for query in [
            of(cumulate, cumulate, "window_start", start),
            of(cumulate, cumulate, bounds, start),
            of(WINDOW, WINDOW, "window_end, k", end),
            of(WINDOW, WINDOW, bounds, "a.window_end = m.window_start"),
            of(WINDOW, WINDOW, bounds, "a.window_end >= m.window_end"),
            of(WINDOW, other, bounds, &both),
            of(WINDOW, some, bounds, &both),
            of(WINDOW, moved, bounds, &both),
            of(WINDOW, waits, bounds, &both),
            of(WINDOW, hop, bounds, &both),
        ] {
            assert_eq!(left_out(&query), None, "{query}");
        }
    }

    #[test]
    fn what_may_meet_a_row_all_the_same_stays() {
        let best = most("max(v) AS best", WINDOW, "");
        let join = |kind: &str, groups: &str, on: &str| {
            format!("SELECT a.k FROM s AS a {kind} {groups} ON {on} AND {NEAR}")
        };
        for query in [
            join("LEFT JOIN", &best, "a.v = m.best"),
            join("FULL JOIN", &best, "a.v = m.best"),
            join("LEFT ANTI JOIN", &best, "a.v = m.best"),
            join("JOIN", &best, "a.v <= m.best"),
            join("JOIN", &best, "a.w = m.best"),
            join("JOIN", &best, "a.v + 0 = m.best"),
            join("JOIN", &most("min(v) AS best", WINDOW, ""), "a.v >= m.best"),
            join("JOIN", &most("max(v) FILTER (WHERE w > 3) AS best", WINDOW, ""), "a.v = m.best"),
            join("JOIN", &most("max(w) AS best", WINDOW, ""), "a.v = m.best"),
            // The greatest of another group may be less.
            join("JOIN", &most("max(v) AS best, k", WINDOW, ", k"), "a.v = m.best"),
            join("JOIN", &most("max(v) AS best, k", WINDOW, ", k"), "a.v = m.best AND a.k >= m.k"),
            join("JOIN", &most("max(v) AS best, w", WINDOW, ", w"), "a.v = m.best AND a.v = m.w"),
            // Not all rows are counted, or those of another stream.
            join("JOIN", &most("max(v) AS best", "TUMBLE(t, ts, INTERVAL '10 seconds')", ""), "a.v = m.best"),
            join(
                "JOIN",
                &most("max(v) AS best", "TUMBLE(s AT LATEST, ts, INTERVAL '10 seconds')", ""),
                "a.v = m.best",
            ),
            join(
                "JOIN",
                &most(
                    "max(v) AS best",
                    "TUMBLE((SELECT * FROM s WHERE w > 3), ts, INTERVAL '10 seconds')",
                    "",
                ),
                "a.v = m.best",
            ),
            // Windows of which a row meets several.
            join("JOIN", &most("max(v) AS best", "TUMBLE(s, ts, INTERVAL '5 seconds')", ""), "a.v = m.best"),
            join(
                "JOIN",
                &most("max(v) AS best", "HOP(s, ts, INTERVAL '5 seconds', INTERVAL '10 seconds')", ""),
                "a.v = m.best",
            ),
            join(
                "JOIN",
                &most("max(v) AS best", "CUMULATE(s, ts, INTERVAL '5 seconds', INTERVAL '10 seconds')", ""),
                "a.v = m.best",
            ),
        ] {
            assert_eq!(left_out(&query), None, "{query}");
        }
        for near in [
            "a.ts BETWEEN m.e - INTERVAL '11 seconds' AND m.e",
            "a.ts BETWEEN m.e - INTERVAL '10 seconds' AND m.e + INTERVAL '1 second'",
            "a.ts BETWEEN m.e AND m.e + INTERVAL '10 seconds'",
            "m.e BETWEEN a.ts - INTERVAL '10 seconds' AND a.ts",
            "a.ts <= m.e",
        ] {
            for query in [
                format!("SELECT a.k FROM s AS a JOIN {best} ON m.best = a.v AND {near}"),
                format!("SELECT a.k FROM {best} JOIN s AS a ON m.best = a.v AND {near}"),
            ] {
                assert_eq!(left_out(&query), None, "{query}");
            }
        }
        let time = "(SELECT max(v) AS best, window_time AS e FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_time) AS m";
        assert_eq!(left_out(&format!("SELECT a.k FROM s AS a JOIN {time} ON a.v = m.best AND {NEAR}")), None);
    }

    #[test]
    fn where_only_the_greatest_is_asked_for_the_others_are_left_out_before_they_move() {
        let groups =
            |calls: &str, from: &str, by: &str| format!("SELECT {by}, {calls} FROM {from} GROUP BY {by}");
        let found = |query: &str| before(query, |spec| matches!(spec, Spec::Aggregate(_)));
        let bounds = "window_start, window_end";
        let hop = "HOP(s, ts, INTERVAL '5 seconds', INTERVAL '10 seconds')";
        for (query, expected) in [
            (groups("max(v)", WINDOW, bounds), "[window_start, window_end] order=[v DESC]"),
            (groups("max(v) AS m", WINDOW, "window_end"), "[window_end] order=[v DESC]"),
            (groups("min(ts)", WINDOW, "k, window_end"), "[k, window_end] order=[ts]"),
            (groups("min(v)", hop, bounds), "[window_start, window_end] order=[v]"),
        ] {
            assert_eq!(found(&query), Some(format!("Threshold 1 keys={expected}")), "{query}");
        }
        for query in [
            groups("max(v), min(v)", WINDOW, bounds),
            groups("max(v), count(*)", WINDOW, bounds),
            groups("max(v) FILTER (WHERE w > 3)", WINDOW, bounds),
            groups("max(v + 1)", WINDOW, bounds),
            groups("max(k)", WINDOW, bounds),
            groups("sum(v)", WINDOW, bounds),
            groups("max(v)", WINDOW, "window_end, upper(k)"),
            groups("max(v)", "s", "k"),
            // Counts may be greater later, and are taken back then.
            format!(
                "SELECT we, max(n) FROM (SELECT window_end AS we, k, count(*) AS n FROM {WINDOW} GROUP BY window_end, k) GROUP BY we"
            ),
        ] {
            assert_eq!(found(&query), None, "{query}");
        }
    }
}
