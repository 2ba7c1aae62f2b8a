//! What a condition says about the least and the greatest value of a rank.

use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

/// A range of ranks, which begin at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// The least.
    pub(super) first: u64,
    /// The greatest, if there is one.
    pub(super) last: Option<u64>,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { first: 1, last: None }
    }
}

impl Bounds {
    /// The rows behind the first `skip`, up to number `last`.
    pub(super) fn rows(skip: usize, last: Option<usize>) -> Self {
        Bounds { first: (skip as u64).saturating_add(1), last: last.map(|n| n as u64) }
    }

    /// Whether no rank is in the range.
    pub(super) fn is_empty(self) -> bool {
        self.last.is_some_and(|last| last < self.first)
    }

    /// Whether all are.
    pub(super) fn all(self) -> bool {
        self == Bounds::default()
    }

    /// What is in both.
    pub(super) fn and(self, other: Bounds) -> Bounds {
        let last = [self.last, other.last].into_iter().flatten().min();
        Bounds { first: self.first.max(other.first), last }
    }

    /// The least range that holds both.
    fn or(self, other: Bounds) -> Bounds {
        if self.is_empty() {
            return other;
        }
        if other.is_empty() {
            return self;
        }
        let last = self.last.zip(other.last).map(|(a, b)| a.max(b));
        Bounds { first: self.first.min(other.first), last }
    }

    /// From `low` to `high`, where ranks begin at 1.
    fn between(low: Option<i128>, high: Option<i128>) -> Bounds {
        let rank = |n: i128, least: i128| u64::try_from(n.max(least)).unwrap_or(u64::MAX);
        Bounds { first: rank(low.unwrap_or(1), 1), last: high.map(|n| rank(n, 0)) }
    }

    /// The range that a condition leaves of the rank in the column that `is_rank` knows, and whether it says no more
    /// than that. `None` if it bounds nothing.
    pub(super) fn of(condition: &Expr, is_rank: &dyn Fn(&Column) -> bool) -> Option<(Bounds, bool)> {
        match condition {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                match (Bounds::of(left, is_rank), Bounds::of(right, is_rank)) {
                    (Some((a, x)), Some((b, y))) => Some((a.and(b), x && y)),
                    (Some((a, _)), None) | (None, Some((a, _))) => Some((a, false)),
                    (None, None) => None,
                }
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
                let ((a, _), (b, _)) = (Bounds::of(left, is_rank)?, Bounds::of(right, is_rank)?);
                let either = a.or(b);
                (!either.all()).then_some((either, false))
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                if rank(left, is_rank) {
                    compared(*op, integer(right)?)
                } else if rank(right, is_rank) {
                    compared(op.swap()?, integer(left)?)
                } else {
                    None
                }
            }
            Expr::Between(between) if !between.negated && rank(&between.expr, is_rank) => {
                Some((Bounds::between(Some(integer(&between.low)?), Some(integer(&between.high)?)), true))
            }
            Expr::InList(InList { expr, list, negated: false }) if rank(expr, is_rank) => {
                let values = list.iter().map(integer).collect::<Option<Vec<_>>>()?;
                let (low, high) = (values.iter().min()?, values.iter().max()?);
                Some((Bounds::between(Some(*low), Some(*high)), values.len() == 1))
            }
            _ => None,
        }
    }
}

/// `rank op n`.
fn compared(op: Operator, n: i128) -> Option<(Bounds, bool)> {
    let (low, high) = match op {
        Operator::Eq | Operator::IsNotDistinctFrom => (Some(n), Some(n)),
        Operator::Lt => (None, Some(n - 1)),
        Operator::LtEq => (None, Some(n)),
        Operator::Gt => (Some(n + 1), None),
        Operator::GtEq => (Some(n), None),
        _ => return None,
    };
    Some((Bounds::between(low, high), true))
}

/// Whether an expression is the rank, as it is or as another integer.
fn rank(expr: &Expr, is_rank: &dyn Fn(&Column) -> bool) -> bool {
    match expr {
        Expr::Column(column) => is_rank(column),
        Expr::Alias(alias) => rank(&alias.expr, is_rank),
        Expr::Cast(cast) => cast.field.data_type().is_integer() && rank(&cast.expr, is_rank),
        _ => false,
    }
}

fn integer(expr: &Expr) -> Option<i128> {
    match expr {
        Expr::Literal(value, _) => match value {
            ScalarValue::Int8(v) => v.map(i128::from),
            ScalarValue::Int16(v) => v.map(i128::from),
            ScalarValue::Int32(v) => v.map(i128::from),
            ScalarValue::Int64(v) => v.map(i128::from),
            ScalarValue::UInt8(v) => v.map(i128::from),
            ScalarValue::UInt16(v) => v.map(i128::from),
            ScalarValue::UInt32(v) => v.map(i128::from),
            ScalarValue::UInt64(v) => v.map(i128::from),
            _ => None,
        },
        Expr::Alias(alias) => integer(&alias.expr),
        Expr::Negative(inner) => integer(inner).map(|n| -n),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::logical_expr::{col, lit};

    fn of(condition: Expr) -> Option<(u64, Option<u64>, bool)> {
        Bounds::of(&condition, &|c| c.name == "r").map(|(b, exact)| (b.first, b.last, exact))
    }

    #[test]
    fn comparisons_with_constants_bound_a_rank_from_either_side() {
        let r = || col("r");
        assert_eq!(of(r().lt_eq(lit(3u64))), Some((1, Some(3), true)));
        assert_eq!(of(r().lt(lit(3i64))), Some((1, Some(2), true)));
        assert_eq!(of(lit(3i64).gt(r())), Some((1, Some(2), true)));
        assert_eq!(of(lit(3i64).lt_eq(r())), Some((3, None, true)));
        assert_eq!(of(r().eq(lit(2i32))), Some((2, Some(2), true)));
        assert_eq!(of(r().between(lit(2u64), lit(4u64))), Some((2, Some(4), true)));
        assert_eq!(of(r().lt(lit(1u64))), Some((1, Some(0), true)));
        assert_eq!(of(r().lt_eq(lit(-4i64))), Some((1, Some(0), true)));
        assert_eq!(of(r().gt(lit(-4i64))), Some((1, None, true)));
        assert_eq!(of(col("x").lt(lit(3u64))), None);
        assert_eq!(of(r().lt(col("x"))), None);
        assert_eq!(of(r().not_eq(lit(3u64))), None);
    }

    #[test]
    fn a_list_or_a_choice_bounds_it_but_says_more() {
        let r = || col("r");
        assert_eq!(of(r().in_list(vec![lit(5u64), lit(2u64)], false)), Some((2, Some(5), false)));
        assert_eq!(of(r().eq(lit(5u64)).or(r().eq(lit(2u64)))), Some((2, Some(5), false)));
        assert_eq!(of(r().eq(lit(5u64)).or(col("x").eq(lit(2u64)))), None);
        assert_eq!(of(r().lt(lit(5u64)).or(r().gt(lit(2u64)))), None);
        assert_eq!(of(r().lt(lit(5u64)).and(col("x").eq(lit(2u64)))), Some((1, Some(4), false)));
    }
}
