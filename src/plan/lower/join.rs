//! Joins to operators.

use super::super::dataflow::Spec;
use super::super::join_bound::join_bound;
use super::super::{EmitMode, arrow_schema, mistakes};
use super::best::Ranked;
use super::{Lowering, Result, physical};
use crate::operators::join::{JoinBound, JoinInput, JoinSpec};
use crate::sql::Code;
use crate::sql::Diagnostic;
use datafusion::common::{DFSchema, JoinType, NullEquality};
use datafusion::logical_expr::{BinaryExpr, Expr, Join, LogicalPlan, Operator};

impl Lowering {
    pub(super) fn join(&mut self, plan: &LogicalPlan, join: &Join) -> Result<usize> {
        let keyed = null_aware_key(join);
        let join = keyed.as_ref().unwrap_or(join);
        if join.null_aware && (join.on.len() != 1 || join.filter.is_some()) {
            let d = Diagnostic::coded(
                Code::NotMaintained,
                "this NOT IN, whose subquery may give nulls, is not maintained continuously",
            );
            return Err(d.help("write NOT EXISTS (SELECT … WHERE …), or leave nulls out of the subquery"));
        }
        let left = match self.best(plan, join)? {
            Some(Ranked::As(ranked)) => return Ok(ranked),
            Some(Ranked::Not(left)) => left,
            None => self.plan(&join.left)?,
        };
        let mut nodes = [left, self.plan(&join.right)?];
        for (side, node) in nodes.iter_mut().enumerate() {
            if let Some(threshold) = self.outdone(join, side, *node)? {
                *node = self.cut_by(*node, threshold);
            }
        }
        let append_only = nodes.map(|node| self.append_only(node));
        let (mut left_keys, mut right_keys) = (Vec::new(), Vec::new());
        for (left, right) in &join.on {
            left_keys.push(physical(left, join.left.schema())?);
            right_keys.push(physical(right, join.right.schema())?);
        }
        let pair = join.left.schema().join(join.right.schema()).map_err(mistakes::without_place)?;
        let residual = join.filter.as_ref().map(|filter| physical(filter, &pair)).transpose()?;
        let bounded = join_bound(join).map_err(mistakes::without_place)?;
        // The optimizer makes keys of all equalities.
        let is_key =
            |bound: &JoinBound| !matches!(bound, JoinBound::Key { key, .. } if *key >= join.on.len());
        let bounded = bounded.filter(|bounded| is_key(&bounded.bound));
        let bound = bounded.map(|bounded| bounded.bound);
        let both = append_only == [true, true];
        let hold = self.mode == EmitMode::Final && bound.is_some() && both;
        let grows = both && (hold || grows_only(join.join_type));
        // Nulls of a NOT IN matter to all keys; without keys, every row may meet every other.
        let spread = if join.null_aware { [&[][..], &[][..]] } else { [&left_keys[..], &right_keys[..]] };
        let inputs = self.exchange_pair(nodes, spread);
        let input = |plan: &LogicalPlan, keys, append_only| JoinInput {
            schema: arrow_schema(plan),
            keys,
            append_only,
        };
        let mut spec = JoinSpec {
            join_type: join.join_type,
            inputs: [
                input(&join.left, left_keys, append_only[0]),
                input(&join.right, right_keys, append_only[1]),
            ],
            nulls_equal: join.null_equality == NullEquality::NullEqualsNull,
            null_aware: join.null_aware,
            residual,
            bound,
            unbounded: [false; 2],
            hold,
            schema: arrow_schema(plan),
        };
        spec.unbounded = self.unbounded_sides(&spec, nodes);
        let state = self.join_state(join, &spec, nodes, bounded.as_ref());
        self.add(plan, Spec::Join(Box::new(spec)), inputs.to_vec(), grows, Some(state))
    }
}

/// A NOT IN whose one equality does not stand among the keys, as its left side is a constant.
fn null_aware_key(join: &Join) -> Option<Join> {
    let Some(Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right })) = &join.filter else {
        return None;
    };
    if !join.null_aware || !join.on.is_empty() {
        return None;
    }
    let of = |expr: &Expr, schema: &DFSchema| expr.column_refs().iter().all(|c| schema.has_column(c));
    let pair = if of(left, join.left.schema()) && of(right, join.right.schema()) {
        (left.as_ref().clone(), right.as_ref().clone())
    } else if of(right, join.left.schema()) && of(left, join.right.schema()) {
        (right.as_ref().clone(), left.as_ref().clone())
    } else {
        return None;
    };
    Some(Join { on: vec![pair], filter: None, ..join.clone() })
}

/// Whether rows that only come give a join to which rows only come.
fn grows_only(join_type: JoinType) -> bool {
    matches!(join_type, JoinType::Inner | JoinType::LeftSemi | JoinType::RightSemi)
}
