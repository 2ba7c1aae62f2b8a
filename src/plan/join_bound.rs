//! Which joins the watermark bounds: those whose keys hold a window, and those whose condition bounds the time between
//! the rows of a pair (interval joins).

use super::in_time::InTimeNode;
use super::trace::{ColumnTrace, trace};
use super::window::constant_interval;
use crate::operators::join::JoinBound;
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Extension, Join, LogicalPlan, Operator};
use std::sync::Arc;

/// How the watermark bounds a join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounded {
    /// For the operator.
    pub(super) bound: JoinBound,
    /// The event-time columns of the left and the right input, if the join is by the rows' own times: rows that are late
    /// by them are left out before the join. `None`: the windows before it have left out what is late.
    pub(super) times: Option<[usize; 2]>,
}

/// The bound of a join; `None` = its state grows with its inputs.
pub(super) fn join_bound(join: &Join) -> Result<Option<Bounded>> {
    let traces = [trace(&join.left)?, trace(&join.right)?];
    Ok(window(join, &traces).or_else(|| interval(join, &traces)))
}

/// The plan, its joins by the rows' own times without late rows. Says whether there is one that was not so before.
///
/// It is asked of a plan as it was written, so that no constant in a condition can decide who is late, and of the
/// optimized one, where conditions of WHERE and of subqueries have become conditions of joins.
pub(super) fn with_lateness(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    plan.transform_up(|plan| {
        let LogicalPlan::Join(mut join) = plan else { return Ok(Transformed::no(plan)) };
        let Some(Bounded { times: Some(times), .. }) = join_bound(&join)? else {
            return Ok(Transformed::no(LogicalPlan::Join(join)));
        };
        if in_time(&join.left).is_some() && in_time(&join.right).is_some() {
            return Ok(Transformed::no(LogicalPlan::Join(join)));
        }
        for (input, time) in [&mut join.left, &mut join.right].into_iter().zip(times) {
            let time = Column::from(input.schema().qualified_field(time));
            let node = InTimeNode::try_new(input.as_ref().clone(), time, 0)?;
            *input = Arc::new(LogicalPlan::Extension(Extension { node: Arc::new(node) }));
        }
        Ok(Transformed::yes(LogicalPlan::Join(join)))
    })
}

/// The grace with which late rows have been left out already, if they have been.
fn in_time(plan: &LogicalPlan) -> Option<i64> {
    match plan {
        LogicalPlan::Projection(p) => in_time(&p.input),
        LogicalPlan::Filter(f) => in_time(&f.input),
        LogicalPlan::SubqueryAlias(a) => in_time(&a.input),
        LogicalPlan::Extension(e) => e.node.as_any().downcast_ref::<InTimeNode>().map(|node| node.grace),
        _ => None,
    }
}

/// A pair of keys that are bounds of the same window. As a query is written, its equalities stand among the other conditions; they
/// become keys after those that are there, in their order.
fn window(join: &Join, traces: &[Vec<ColumnTrace>; 2]) -> Option<Bounded> {
    let of = |expr: &Expr, side: usize| {
        let (column, offset) = linear(expr, schema(join, side))?;
        traces[side][column].window.filter(|w| w.closes && offset == 0)
    };
    let equalities = join.filter.iter().flat_map(split_conjunction).filter_map(|condition| match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            Some((left.as_ref(), right.as_ref()))
        }
        _ => None,
    });
    let equalities = join.on.iter().map(|(left, right)| (left, right)).chain(equalities);
    let pairs = equalities.enumerate().filter_map(|(key, (one, other))| {
        let (left, right) = match (of(one, 0), of(other, 1)) {
            (Some(left), Some(right)) => (left, right),
            _ => (of(other, 0)?, of(one, 1)?),
        };
        (left.to_end == right.to_end).then_some((key, left.to_end, left.grace.max(right.grace)))
    });
    let (key, to_end, grace) = pairs.min_by_key(|(_, to_end, _)| *to_end)?;
    // Over when the watermark reaches the end plus grace, not only when it passes it.
    let keep = to_end.saturating_add(grace).saturating_sub(1);
    Some(Bounded { bound: JoinBound::Key { key, keep, lag: grace }, times: None })
}

/// Bounds of `left - right`, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Apart {
    /// The columns of the left and of the right side.
    pub(super) columns: [usize; 2],
    /// `None` = it may be as small as it likes.
    pub(super) least: Option<i64>,
    /// `None` = as great.
    pub(super) greatest: Option<i64>,
}

/// A condition that keeps the event times of a pair near each other.
fn interval(join: &Join, traces: &[Vec<ColumnTrace>; 2]) -> Option<Bounded> {
    // Rows may lie behind the watermark by the grace with which late ones have been left out.
    let grace = in_time(&join.left).max(in_time(&join.right)).unwrap_or(0);
    let is_time = |columns: [usize; 2]| (0..2).all(|side| traces[side][columns[side]].event_time);
    for (key, (left, right)) in join.on.iter().enumerate() {
        let (Some((l, a)), Some((r, b))) = (linear(left, schema(join, 0)), linear(right, schema(join, 1)))
        else {
            continue;
        };
        if is_time([l, r]) {
            // The key's value is left + a = right + b.
            let keep = a.min(b).saturating_neg().saturating_add(grace);
            let lag = a.saturating_sub(b).saturating_abs().saturating_add(grace);
            let bound = JoinBound::Key { key, keep, lag };
            return Some(Bounded { bound, times: Some([l, r]) });
        }
    }
    let mut found: Vec<Apart> = Vec::new();
    for condition in join.filter.iter().flat_map(split_conjunction) {
        for apart in apart(join, condition).into_iter().filter_map(|apart| of_times(apart, traces)) {
            match found.iter_mut().find(|f| f.columns == apart.columns) {
                Some(known) => {
                    known.least = known.least.max(apart.least);
                    known.greatest = match (known.greatest, apart.greatest) {
                        (Some(a), Some(b)) => Some(a.min(b)),
                        (a, b) => a.or(b),
                    };
                }
                None => found.push(apart),
            }
        }
    }
    found.into_iter().find_map(|Apart { columns, least, greatest }| {
        let keep = [least?.saturating_neg(), greatest?].map(|ns| ns.saturating_add(grace));
        let bound = JoinBound::Interval { columns, keep };
        Some(Bounded { bound, times: Some(columns) })
    })
}

/// What bounds on other columns say of event times. Of a window the watermark speaks of its end, and its start lies no further before that
/// than the window may be long: `ts >= window_start AND ts < window_end` keeps `ts` near `window_end`.
fn of_times(apart: Apart, traces: &[Vec<ColumnTrace>; 2]) -> Option<Apart> {
    let Apart { mut columns, mut least, mut greatest } = apart;
    for side in 0..2 {
        let here = &traces[side][columns[side]];
        if here.event_time {
            continue;
        }
        let start = here.window?;
        // The end itself, if it is there, whichever column comes first: the other conditions are most often on it.
        let ends = traces[side].iter().enumerate().filter(|(_, trace)| trace.event_time);
        let ends = ends.filter_map(|(column, trace)| Some((trace.window?.to_end, column)));
        let (end_to_end, end) = ends.min()?;
        // start >= end - before, and start <= end + end_to_end.
        let before = start.to_end.saturating_sub(end_to_end);
        let [down, up] = if side == 0 { [end_to_end, before] } else { [before, end_to_end] };
        least = least.map(|least| least.saturating_sub(down));
        greatest = greatest.map(|greatest| greatest.saturating_add(up));
        columns[side] = end;
    }
    Some(Apart { columns, least, greatest })
}

fn schema(join: &Join, side: usize) -> &DFSchema {
    if side == 0 { join.left.schema() } else { join.right.schema() }
}

/// What a condition says of a time of the left and one of the right.
pub(super) fn apart(join: &Join, condition: &Expr) -> Vec<Apart> {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            compared(join, left, *op, right).into_iter().collect()
        }
        Expr::Between(between) if !between.negated => {
            let low = compared(join, &between.expr, Operator::GtEq, &between.low);
            let high = compared(join, &between.expr, Operator::LtEq, &between.high);
            low.into_iter().chain(high).collect()
        }
        _ => vec![],
    }
}

fn compared(join: &Join, left: &Expr, op: Operator, right: &Expr) -> Option<Apart> {
    let of = |expr: &Expr, side: usize| linear(expr, schema(join, side));
    // left + a op right + b, that is: left - right op b - a.
    let (columns, op, bound) = match (of(left, 0), of(right, 1)) {
        (Some((l, a)), Some((r, b))) => ([l, r], op, b.checked_sub(a)?),
        _ => {
            let ((r, b), (l, a)) = (of(left, 1)?, of(right, 0)?);
            ([l, r], op.swap()?, b.checked_sub(a)?)
        }
    };
    let (least, greatest) = match op {
        Operator::Lt | Operator::LtEq => (None, Some(bound)),
        Operator::Gt | Operator::GtEq => (Some(bound), None),
        Operator::Eq => (Some(bound), Some(bound)),
        _ => return None,
    };
    Some(Apart { columns, least, greatest })
}

/// A timestamp column plus a constant: its index and the nanoseconds added.
fn linear(expr: &Expr, schema: &DFSchema) -> Option<(usize, i64)> {
    match expr {
        Expr::Column(column) => {
            let index = schema.index_of_column(column).ok()?;
            matches!(schema.field(index).data_type(), DataType::Timestamp(..)).then_some((index, 0))
        }
        Expr::Alias(alias) => linear(&alias.expr, schema),
        // To nanoseconds nothing is lost.
        Expr::Cast(cast)
            if matches!(cast.field.data_type(), DataType::Timestamp(TimeUnit::Nanosecond, _)) =>
        {
            linear(&cast.expr, schema)
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (column, constant) = match op {
                Operator::Plus => match constant_interval(right) {
                    Ok(constant) => (left, constant),
                    Err(_) => (right, constant_interval(left).ok()?),
                },
                Operator::Minus => (left, constant_interval(right).ok()?.checked_neg()?),
                _ => return None,
            };
            let (column, offset) = linear(column, schema)?;
            Some((column, offset.checked_add(constant)?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Column as Declared, Definitions, EventTimeDef, StreamDef};
    use crate::plan::Planner;
    use crate::plan::order::LastLimit;
    use crate::sql;

    fn written(query: &str) -> LogicalPlan {
        let time = DataType::Timestamp(TimeUnit::Nanosecond, None);
        let column =
            |name: &str, data_type: DataType| Declared { name: name.into(), data_type, nullable: true };
        let mut definitions = Definitions::default();
        for name in ["s", "t"] {
            let stream = StreamDef {
                name: name.into(),
                columns: vec![column("k", DataType::Int64), column("ts", time.clone())],
                event_time: Some(EventTimeDef { column: "ts".into(), delay: Some(0) }),
                connector: "topic".into(),
                options: vec![],
                primary_key: None,
                query: None,
            };
            definitions.streams.insert(name.into(), Arc::new(stream));
        }
        let statements = sql::parse(query).unwrap();
        let sql::Statement::Query(parsed) = &statements[0].statement else { panic!("not a query") };
        Planner::new().query(&definitions, query, &parsed.query).unwrap()
    }

    /// The bound of the only join of a query.
    fn bound_of(plan: &LogicalPlan) -> Option<JoinBound> {
        let mut found = None;
        plan.apply(|node| {
            if let LogicalPlan::Join(join) = node {
                found = join_bound(join)?.map(|b| b.bound);
            }
            Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
        })
        .unwrap();
        found
    }

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn conditions_on_times_bound_a_join_as_written_and_optimized() {
        let within = |left: i64, right: i64| {
            Some(JoinBound::Interval { columns: [1, 1], keep: [left * SECOND, right * SECOND] })
        };
        let i = |n: i64| format!("INTERVAL '{n} seconds'");
        for (condition, expected) in [
            (format!("b.ts BETWEEN a.ts - {} AND a.ts + {}", i(2), i(5)), within(5, 2)),
            (format!("b.ts >= a.ts - {} AND a.ts + {} >= b.ts", i(2), i(5)), within(5, 2)),
            (format!("a.ts > b.ts AND a.ts < b.ts + {}", i(7)), within(0, 7)),
            (format!("{} + b.ts <= a.ts AND a.ts <= b.ts + {} AND a.k < b.k", i(3), i(9)), within(-3, 9)),
            ("b.ts >= a.ts".into(), None),
            ("b.ts BETWEEN a.ts - INTERVAL '1 month' AND a.ts".into(), None),
            (format!("b.ts NOT BETWEEN a.ts - {} AND a.ts", i(2)), None),
            (format!("b.ts >= a.ts - {} OR a.ts + {} >= b.ts", i(2), i(5)), None),
        ] {
            let query = format!("SELECT a.k, b.k FROM s AS a JOIN t AS b ON a.k = b.k AND {condition}");
            let plan = written(&query);
            assert_eq!(bound_of(&plan), expected, "{condition}");
            let optimized = Planner::new().optimize(plan).unwrap();
            assert_eq!(bound_of(&optimized), expected, "{condition}, optimized");
            let late = optimized.display_indent().to_string().matches("InTime").count();
            assert_eq!(late, if expected.is_some() { 2 } else { 0 }, "{condition}");
        }
        // What WHERE says of a join without ON only the optimizer sees.
        let query =
            format!("SELECT a.k FROM s a, t b WHERE a.k = b.k AND b.ts BETWEEN a.ts AND a.ts + {}", i(4));
        let plan = written(&query);
        assert_eq!(bound_of(&plan), None);
        assert_eq!(bound_of(&Planner::new().optimize(plan.clone()).unwrap()), within(4, 0));
        assert!(
            Planner::new()
                .bounded(plan, LastLimit::First)
                .unwrap()
                .display_indent()
                .to_string()
                .contains("InTime")
        );
    }

    #[test]
    fn a_start_of_a_window_tells_of_its_end() {
        let i = |n: i64| format!("INTERVAL '{n} seconds'");
        let windows = |of: &str| format!("(SELECT *, 1 AS one FROM {of})");
        let tumble = windows("TUMBLE(t, ts, INTERVAL '10 seconds')");
        let cumulate = windows("CUMULATE(t, ts, INTERVAL '5 seconds', INTERVAL '10 seconds')");
        let groups = "(SELECT window_start, window_end, count(*) AS n FROM TUMBLE(t, ts, INTERVAL '10 seconds') \
                      GROUP BY window_start, window_end)";
        let timed = "(SELECT window_time, window_start, window_end, count(*) AS n FROM TUMBLE(t, ts, INTERVAL '10 seconds') \
                     GROUP BY window_time, window_start, window_end)";
        let within = |bound: Option<JoinBound>| match bound {
            Some(JoinBound::Interval { keep, .. }) => Some(keep.map(|ns| ns / SECOND)),
            _ => None,
        };
        for (of, condition, expected) in [
            (groups, "a.ts >= b.window_start AND a.ts < b.window_end".to_string(), Some([10, 0])),
            (groups, "a.ts BETWEEN b.window_start AND b.window_end".into(), Some([10, 0])),
            (groups, format!("a.ts + {} >= b.window_start AND b.window_end > a.ts", i(3)), Some([13, 0])),
            // So far from the start that it may be past the end.
            (
                groups,
                format!(
                    "a.ts BETWEEN b.window_start AND b.window_start + {} AND b.window_end > a.ts - {}",
                    i(2),
                    i(4)
                ),
                Some([10, 2]),
            ),
            (&tumble, "a.ts >= b.window_start AND a.ts < b.window_end".into(), Some([10, 0])),
            (&cumulate, "a.ts >= b.window_start AND a.ts < b.window_end".into(), Some([10, 0])),
            (timed, "a.ts >= b.window_start AND a.ts < b.window_end".into(), Some([10, 0])),
            (groups, "a.ts >= b.window_start".into(), None),
            (groups, "a.ts < b.window_end".into(), None),
        ] {
            let on = format!(
                "a.k = b.{} AND {condition}",
                if [groups, timed].contains(&of) { "n" } else { "one" }
            );
            let query = format!("SELECT a.k, b.* FROM s AS a JOIN {of} AS b ON {on}");
            let plan = written(&query);
            assert_eq!(within(bound_of(&plan)), expected, "{query}");
            assert_eq!(within(bound_of(&Planner::new().optimize(plan).unwrap())), expected, "{query}");
            let turned = format!("SELECT a.k, b.* FROM {of} AS b JOIN s AS a ON {on}");
            let expected = expected.map(|[a, b]| [b, a]);
            assert_eq!(
                within(bound_of(&Planner::new().optimize(written(&turned)).unwrap())),
                expected,
                "{turned}"
            );
        }
    }

    #[test]
    fn a_key_that_tells_the_time_bounds_a_join() {
        let optimized = |query: &str| Planner::new().optimize(written(query)).unwrap();
        let key =
            |keep: i64, lag: i64| Some(JoinBound::Key { key: 0, keep: keep * SECOND, lag: lag * SECOND });
        let query = "SELECT a.k FROM s a JOIN t b ON a.ts = b.ts + INTERVAL '3 seconds'";
        assert_eq!(bound_of(&optimized(query)), key(0, 3));
        let query = "SELECT a.k FROM s a LEFT JOIN t b ON a.ts + INTERVAL '3 seconds' = b.ts";
        assert_eq!(bound_of(&optimized(query)), key(0, 3));
        let window =
            |name: &str| format!("TUMBLE({name}, ts, INTERVAL '10 seconds', GRACE => INTERVAL '1 second')");
        let query = format!(
            "SELECT a.k FROM {} a JOIN {} b ON a.window_end = b.window_end",
            window("s"),
            window("t")
        );
        let expected = Some(JoinBound::Key { key: 0, keep: SECOND - 1, lag: SECOND });
        assert_eq!(bound_of(&optimized(&query)), expected);
    }
}
