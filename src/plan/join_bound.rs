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

/// An optimized plan whose joins by the rows' own times leave late rows out. Says whether there is one.
pub(super) fn with_lateness(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    plan.transform_up(|plan| {
        let LogicalPlan::Join(mut join) = plan else { return Ok(Transformed::no(plan)) };
        let Some(Bounded { times: Some(times), .. }) = join_bound(&join)? else {
            return Ok(Transformed::no(LogicalPlan::Join(join)));
        };
        for (input, time) in [&mut join.left, &mut join.right].into_iter().zip(times) {
            let time = Column::from(input.schema().qualified_field(time));
            let node = InTimeNode::try_new(input.as_ref().clone(), time, 0)?;
            *input = Arc::new(LogicalPlan::Extension(Extension { node: Arc::new(node) }));
        }
        Ok(Transformed::yes(LogicalPlan::Join(join)))
    })
}

/// A pair of keys that are bounds of the same window.
fn window(join: &Join, traces: &[Vec<ColumnTrace>; 2]) -> Option<Bounded> {
    let of = |expr: &Expr, side: usize| {
        let (column, offset) = linear(expr, schema(join, side))?;
        traces[side][column].window.filter(|w| w.closes && offset == 0)
    };
    let pairs = join.on.iter().enumerate().filter_map(|(key, (left, right))| {
        let (left, right) = (of(left, 0)?, of(right, 1)?);
        (left.to_end == right.to_end).then_some((key, left.to_end, left.grace.max(right.grace)))
    });
    let (key, to_end, grace) = pairs.min_by_key(|(_, to_end, _)| *to_end)?;
    // Over when the watermark reaches the end plus grace, not only when it passes it.
    let keep = to_end.saturating_add(grace).saturating_sub(1);
    Some(Bounded { bound: JoinBound::Key { key, keep, lag: grace }, times: None })
}

/// Bounds of `left - right`, in nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Apart {
    columns: [usize; 2],
    least: Option<i64>,
    greatest: Option<i64>,
}

/// A condition that keeps the event times of a pair near each other.
fn interval(join: &Join, traces: &[Vec<ColumnTrace>; 2]) -> Option<Bounded> {
    let is_time = |columns: [usize; 2]| (0..2).all(|side| traces[side][columns[side]].event_time);
    for (key, (left, right)) in join.on.iter().enumerate() {
        let (Some((l, a)), Some((r, b))) = (linear(left, schema(join, 0)), linear(right, schema(join, 1)))
        else {
            continue;
        };
        if is_time([l, r]) {
            // The key's value is left + a = right + b.
            let keep = a.min(b).saturating_neg();
            let bound = JoinBound::Key { key, keep, lag: a.saturating_sub(b).saturating_abs() };
            return Some(Bounded { bound, times: Some([l, r]) });
        }
    }
    let mut found: Vec<Apart> = Vec::new();
    for condition in join.filter.iter().flat_map(split_conjunction) {
        let Some(apart) = apart(join, condition).filter(|a| is_time(a.columns)) else { continue };
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
    found.into_iter().find_map(|Apart { columns, least, greatest }| {
        let bound = JoinBound::Interval { columns, keep: [least?.saturating_neg(), greatest?] };
        Some(Bounded { bound, times: Some(columns) })
    })
}

fn schema(join: &Join, side: usize) -> &DFSchema {
    if side == 0 { join.left.schema() } else { join.right.schema() }
}

/// What a comparison of a time of the left with one of the right says.
fn apart(join: &Join, condition: &Expr) -> Option<Apart> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition else { return None };
    let of = |expr: &Expr, side: usize| linear(expr, schema(join, side));
    // left + a op right + b, that is: left - right op b - a.
    let (columns, op, bound) = match (of(left, 0), of(right, 1)) {
        (Some((l, a)), Some((r, b))) => ([l, r], *op, b.checked_sub(a)?),
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
