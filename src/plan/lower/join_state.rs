//! What bounds the state of a join, and what would.

use super::super::in_time::InTimeNode;
use super::super::join_bound::Bounded;
use super::super::state_bound::{Growth, StateBound, TTL, listed, passes};
use super::super::stream::stream_of;
use super::Lowering;
use crate::operators::join::{JoinBound, JoinSpec};
use crate::operators::shown::tidy;
use crate::operators::window::length;
use datafusion::common::{Column, JoinType};
use datafusion::logical_expr::{Expr, Join, LogicalPlan};

impl Lowering {
    /// What bounds the state of a join of the rows of two nodes.
    pub(super) fn join_state(
        &self,
        join: &Join,
        spec: &JoinSpec,
        nodes: [usize; 2],
        bounded: Option<&Bounded>,
    ) -> StateBound {
        let sides = nodes.map(|node| self.flow.growth(node));
        let gives = match join.join_type {
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
                sides[0].clone().and(sides[1].clone())
            }
            JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => sides[0].clone(),
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => sides[1].clone(),
        };
        if let Some(bounded) = bounded {
            let watermark = self.flow.watermark_of(&nodes);
            return StateBound::watermark(dropped(join, bounded, &watermark), gives);
        }
        let [left, right] = [self.kept(join, spec, 0, &sides[0]), self.kept(join, spec, 1, &sides[1])];
        StateBound::all_of(left.and(right), || self.rewrite(join, &sides)).giving(gives)
    }

    /// Whether nothing bounds what a join keeps of each side.
    pub(super) fn unbounded_sides(&self, spec: &JoinSpec, nodes: [usize; 2]) -> [bool; 2] {
        let unbounded = |side: usize| {
            spec.bound.is_none()
                && !spec.counts_only(side)
                && !self.flow.growth(nodes[side]).streams.is_empty()
        };
        [unbounded(0), unbounded(1)]
    }

    /// What the state of one side grows with.
    fn kept(&self, join: &Join, spec: &JoinSpec, side: usize, growth: &Growth) -> Growth {
        // Of a side that matters by its presence a count for each key is all that is kept.
        if !spec.counts_only(side) || growth.streams.is_empty() {
            return growth.clone();
        }
        let key = |(left, right): &(Expr, Expr)| match if side == 0 { left } else { right } {
            Expr::Column(column) => in_words(column.clone()),
            other => tidy(&other.schema_name().to_string()),
        };
        Growth::of_distinct(&join.on.iter().map(key).collect::<Vec<_>>())
    }

    /// What to write so that the watermark bounds the join.
    fn rewrite(&self, join: &Join, sides: &[Growth; 2]) -> String {
        // Only rows of streams have times that can be near each other; set operations have no condition to add to.
        let of_streams = sides.iter().all(|side| !side.streams.is_empty());
        if !of_streams || join.null_equality == datafusion::common::NullEquality::NullEqualsNull {
            return TTL.into();
        }
        let timeless = |name: &&String| {
            let mut sources = self.flow.sources.iter();
            sources.any(|s| s.stream.name == **name && s.stream.event_time.is_none())
        };
        let mut streams: Vec<String> =
            sides.iter().flat_map(|side| &side.streams).filter(timeless).cloned().collect();
        streams.dedup();
        let [left, right] = [time_column(&join.left), time_column(&join.right)]
            .map(|column| column.map(|c| c.quoted_flat_name()));
        match (left, right) {
            _ if !streams.is_empty() => {
                let are = if streams.len() == 1 { "it is" } else { "they are" };
                format!(
                    "a WATERMARK for {} where {are} created and a bound on the time between the rows, or {TTL}",
                    listed(&streams)
                )
            }
            (Some(left), Some(right)) if left != right => format!(
                "AND {right} BETWEEN {left} - INTERVAL '1 hour' AND {left} + INTERVAL '1 hour', a join of windows, or {TTL}"
            ),
            _ => format!("a bound on the time between the rows, a join of windows, or {TTL}"),
        }
    }
}

/// When rows of a join that the watermark bounds are dropped.
fn dropped(join: &Join, bounded: &Bounded, watermark: &str) -> String {
    let column = |side: usize, column: usize| {
        let schema = if side == 0 { join.left.schema() } else { join.right.schema() };
        let column = Column::from(schema.qualified_field(column));
        let own = time_column(if side == 0 { &join.left } else { &join.right });
        in_words(own.filter(|own| own.name == column.name && is_made_up(&column)).unwrap_or(column))
    };
    match bounded.bound {
        JoinBound::Interval { columns, keep } => {
            let past =
                |side: usize| format!("{} past {}", length(keep[side].max(0)), column(side, columns[side]));
            format!("dropped when {watermark} is {} or {}", past(0), past(1))
        }
        JoinBound::Key { keep, .. } if let Some(times) = bounded.times => {
            passes(watermark, &column(0, times[0]), keep)
        }
        JoinBound::Key { lag, .. } => passes(watermark, "the window's end", lag),
    }
}

/// Whether the column's relation is one that the optimizer has made of a subquery.
fn is_made_up(column: &Column) -> bool {
    column.relation.as_ref().is_some_and(|relation| relation.table().starts_with("__"))
}

/// A column as the query names it.
fn in_words(column: Column) -> String {
    if is_made_up(&column) { column.name } else { column.quoted_flat_name() }
}

/// The event-time column that the rows of a plan have, or would have if the query asked for it.
fn time_column(plan: &LogicalPlan) -> Option<Column> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let event_time = stream_of(&scan.source)?.stream.event_time.as_ref()?;
            Some(Column::new(Some(scan.table_name.clone()), event_time.column.clone()))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let inner = time_column(&alias.input)?;
            let named = Column::new(Some(alias.alias.clone()), inner.name.clone());
            Some(if is_made_up(&named) { inner } else { named })
        }
        LogicalPlan::Filter(filter) => time_column(&filter.input),
        LogicalPlan::Projection(projection) => time_column(&projection.input),
        LogicalPlan::Join(join) => time_column(&join.left).or_else(|| time_column(&join.right)),
        LogicalPlan::Extension(e) => time_column(&e.node.as_any().downcast_ref::<InTimeNode>()?.input),
        _ => None,
    }
}
