//! Where a plan's columns come from, as far as time is concerned: which carry the watermark, which are
//! bounds of a window.

use super::in_time::InTimeNode;
use super::join_bound::join_bound;
use super::session::SessionNode;
use super::single_row::SingleRowNode;
use super::stream::stream_of;
use super::window::WindowNode;
use crate::operators::window::WindowKind;
use datafusion::common::{JoinType, Result};
use datafusion::logical_expr::{Aggregate, Expr, Join, LogicalPlan, Window};
use std::any::Any;

/// A column that says which window its row belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowTrace {
    /// Nanoseconds from the column's value to the window's end.
    pub to_end: i64,
    /// Nanoseconds after its end at which the window closes.
    pub grace: i64,
    /// Whether the column's watermark exists at all (the window is over event time).
    pub closes: bool,
}

/// What is known of a column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ColumnTrace {
    /// The watermark speaks of this column: no row that is not late will come with a value below it.
    pub event_time: bool,
    /// The column is a bound of the row's window.
    pub window: Option<WindowTrace>,
}

/// The traces of a plan's columns, in order.
pub fn trace(plan: &LogicalPlan) -> Result<Vec<ColumnTrace>> {
    Ok(match plan {
        LogicalPlan::TableScan(scan) => {
            let event_time = stream_of(&scan.source).and_then(|s| s.stream.event_time.clone());
            let names = scan.projected_schema.fields().iter().map(|f| f.name().clone());
            names
                .map(|name| ColumnTrace {
                    event_time: event_time.as_ref().is_some_and(|e| e.column == name),
                    window: None,
                })
                .collect()
        }
        LogicalPlan::Projection(p) => {
            let input = trace(&p.input)?;
            p.expr.iter().map(|e| trace_expr(e, &p.input, &input)).collect::<Result<_>>()?
        }
        LogicalPlan::Filter(f) => trace(&f.input)?,
        LogicalPlan::SubqueryAlias(a) => trace(&a.input)?,
        LogicalPlan::Extension(e) => trace_extension(plan, e.node.as_any())?,
        LogicalPlan::Union(u) => {
            let inputs = u.inputs.iter().map(|i| trace(i)).collect::<Result<Vec<_>>>()?;
            (0..plan.schema().fields().len()).map(|i| common(inputs.iter().map(|t| t[i]))).collect()
        }
        LogicalPlan::Aggregate(a) => trace_aggregate(a)?,
        LogicalPlan::Join(join) => trace_join(join)?,
        // An order alone changes nothing of the rows.
        LogicalPlan::Sort(s) if s.fetch.is_none() => trace(&s.input)?,
        LogicalPlan::Window(w) => trace_ranks(w)?,
        LogicalPlan::Unnest(u) => {
            let input = trace(&u.input)?;
            let unnested =
                |i: usize| u.exec_columns.iter().any(|c| u.input.schema().index_of_column(c).ok() == Some(i));
            u.dependency_indices
                .iter()
                .map(|i| if unnested(*i) { ColumnTrace::default() } else { input[*i] })
                .collect()
        }
        _ => unknown(plan),
    })
}

fn unknown(plan: &LogicalPlan) -> Vec<ColumnTrace> {
    vec![ColumnTrace::default(); plan.schema().fields().len()]
}

fn trace_expr(expr: &Expr, input: &LogicalPlan, traces: &[ColumnTrace]) -> Result<ColumnTrace> {
    match expr {
        Expr::Alias(alias) => trace_expr(&alias.expr, input, traces),
        Expr::Column(column) => Ok(traces[input.schema().index_of_column(column)?]),
        _ => Ok(ColumnTrace::default()),
    }
}

/// What holds for a column of a union: what holds in all of its inputs.
fn common(mut traces: impl Iterator<Item = ColumnTrace>) -> ColumnTrace {
    let Some(first) = traces.next() else { return ColumnTrace::default() };
    traces.fold(first, |a, b| ColumnTrace {
        event_time: a.event_time && b.event_time,
        window: match (a.window, b.window) {
            (Some(a), Some(b)) if a.to_end == b.to_end => Some(WindowTrace {
                to_end: a.to_end,
                grace: a.grace.max(b.grace),
                closes: a.closes && b.closes,
            }),
            _ => None,
        },
    })
}

/// The nodes of our own.
fn trace_extension(plan: &LogicalPlan, node: &dyn Any) -> Result<Vec<ColumnTrace>> {
    if let Some(window) = node.downcast_ref::<WindowNode>() {
        return trace_window(window);
    }
    if let Some(in_time) = node.downcast_ref::<InTimeNode>() {
        let mut traces = trace(&in_time.input)?;
        traces[in_time.time_index()?].event_time &= in_time.event_time;
        return Ok(traces);
    }
    if let Some(session) = node.downcast_ref::<SessionNode>() {
        return trace_session(session);
    }
    if let Some(single) = node.downcast_ref::<SingleRowNode>() {
        return trace(&single.input);
    }
    Ok(unknown(plan))
}

/// A row goes out with every change of its session, so the watermark speaks of the session's end alone, as of what lies
/// at a fixed distance from it; the start tells nothing of the end. The watermark has the grace in it already.
fn trace_session(session: &SessionNode) -> Result<Vec<ColumnTrace>> {
    let input = trace(&session.input)?;
    let closes = input[session.time_index()?].event_time;
    let bound =
        |to_end| ColumnTrace { event_time: closes, window: Some(WindowTrace { to_end, grace: 0, closes }) };
    let mut traces = vec![ColumnTrace::default(); input.len() + 1];
    traces.extend([bound(0), bound(session.before_end())]);
    Ok(traces)
}

fn trace_window(window: &WindowNode) -> Result<Vec<ColumnTrace>> {
    let mut traces = trace(&window.input)?;
    let closes = traces[window.time_index()?].event_time && window.event_time;
    // Bounds of an inner window say nothing of the outer one, and a state can be cut by one only.
    traces.iter_mut().for_each(|t| t.window = None);
    let bound = |to_end| Some(WindowTrace { to_end, grace: window.grace, closes });
    // The start alone tells the end only where all windows from a start have the same length; a growing
    // window is then kept until the longest has ended.
    let longest = match window.kind {
        WindowKind::Tumble { size } | WindowKind::Hop { size, .. } | WindowKind::Cumulate { size, .. } => {
            size
        }
    };
    let millisecond = 1_000_000.max(window.unit_ns());
    traces.push(ColumnTrace { event_time: false, window: bound(longest) });
    traces.push(ColumnTrace { event_time: closes, window: bound(0) });
    traces.push(ColumnTrace { event_time: closes, window: bound(millisecond) });
    Ok(traces)
}

/// Only where the watermark bounds the join does it speak of the output, behind which it then stays by the grace.
fn trace_join(join: &Join) -> Result<Vec<ColumnTrace>> {
    let width = join.schema.fields().len();
    let Some(bounded) = join_bound(join)? else { return Ok(vec![ColumnTrace::default(); width]) };
    let side = |side: usize| -> Result<Vec<ColumnTrace>> {
        let mut traces = trace(if side == 0 { &join.left } else { &join.right })?;
        for (column, trace) in traces.iter_mut().enumerate() {
            *trace = match (bounded.times, trace.window) {
                (Some(times), _) => ColumnTrace { event_time: times[side] == column, window: None },
                (None, Some(window)) => {
                    ColumnTrace { window: Some(WindowTrace { grace: 0, ..window }), ..*trace }
                }
                (None, None) => ColumnTrace::default(),
            };
        }
        Ok(traces)
    };
    let mut traces = match join.join_type {
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => [side(0)?, side(1)?].concat(),
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => side(0)?,
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => side(1)?,
    };
    traces.resize(width, ColumnTrace::default());
    Ok(traces)
}

fn trace_aggregate(aggregate: &Aggregate) -> Result<Vec<ColumnTrace>> {
    let input = trace(&aggregate.input)?;
    let width = aggregate.schema.fields().len();
    let mut traces = vec![ColumnTrace::default(); width];
    let (keys, always) = group_keys(&aggregate.group_expr);
    let key_traces =
        keys.iter().map(|e| trace_expr(e, &aggregate.input, &input)).collect::<Result<Vec<_>>>()?;
    // Only where the aggregate is cut by a window does the watermark speak of its output; the watermark then
    // stays behind by the grace, so the window bounds need none any more.
    let windowed =
        key_traces.iter().zip(&always).any(|(t, always)| *always && t.window.is_some_and(|w| w.closes));
    for (i, key) in key_traces.iter().enumerate() {
        if windowed
            && always[i]
            && let Some(window) = key.window
        {
            let bound = WindowTrace { grace: 0, ..window };
            traces[i] = ColumnTrace { event_time: key.event_time && window.closes, window: Some(bound) };
        }
    }
    Ok(traces)
}

/// What is known of the columns of ranked rows, by what is known of the input's. Rows leave a ranking as others come
/// before them, at any time; only where a window cuts the partitions does the watermark still speak of its bounds,
/// and stays behind by the grace.
pub(super) fn ranked(input: &[ColumnTrace], keys: &[Option<usize>]) -> Vec<ColumnTrace> {
    let mut traces = vec![ColumnTrace::default(); input.len()];
    for i in keys.iter().flatten() {
        if let Some(window) = input[*i].window.filter(|w| w.closes) {
            let bound = WindowTrace { grace: 0, ..window };
            traces[*i] = ColumnTrace { event_time: input[*i].event_time, window: Some(bound) };
        }
    }
    traces
}

/// Which columns of the input the keys of a ranking are.
pub(super) fn key_columns(keys: &[Expr], input: &LogicalPlan) -> Vec<Option<usize>> {
    let column = |e: &Expr| match e.clone().unalias() {
        Expr::Column(c) => input.schema().index_of_column(&c).ok(),
        _ => None,
    };
    keys.iter().map(column).collect()
}

fn trace_ranks(window: &Window) -> Result<Vec<ColumnTrace>> {
    let mut traces = trace(&window.input)?;
    for expr in &window.window_expr {
        if let Expr::WindowFunction(function) = expr.clone().unalias_nested().data {
            traces = ranked(&traces, &key_columns(&function.params.partition_by, &window.input));
        }
    }
    traces.resize(window.schema.fields().len(), ColumnTrace::default());
    Ok(traces)
}

/// The keys of a GROUP BY in the order of the output columns, and for each whether every grouping set has it.
pub(super) fn group_keys(group: &[Expr]) -> (Vec<&Expr>, Vec<bool>) {
    use datafusion::logical_expr::GroupingSet;
    let [Expr::GroupingSet(set)] = group else { return (group.iter().collect(), vec![true; group.len()]) };
    match set {
        GroupingSet::Rollup(keys) | GroupingSet::Cube(keys) => {
            (keys.iter().collect(), vec![false; keys.len()])
        }
        GroupingSet::GroupingSets(sets) => {
            let mut keys: Vec<&Expr> = Vec::new();
            for key in sets.iter().flatten() {
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
            let always = keys.iter().map(|k| sets.iter().all(|s| s.contains(k))).collect();
            (keys, always)
        }
    }
}
