//! What the planner says about a join: [`JoinSpec`] and its parts.

use super::Matching;
use crate::operators::shown::shown;
use crate::operators::window::length;
use arrow::datatypes::SchemaRef;
use datafusion::common::JoinType;
use datafusion::physical_expr::PhysicalExpr;
use std::fmt;
use std::sync::Arc;

/// A join of two inputs. `Display` is its line in EXPLAIN.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinSpec {
    /// Which rows go out: see the operator's head.
    pub join_type: JoinType,
    /// The inputs: left, right.
    pub inputs: [JoinInput; 2],
    /// Whether a null key equals a null key (set operations); else it equals nothing.
    pub nulls_equal: bool,
    /// `NOT IN`: a null on the right side leaves nothing, and a null on the left side stays only if the right side
    /// is empty. Only for [`JoinType::LeftAnti`] with one key, without a residual, on one worker.
    pub null_aware: bool,
    /// What must be true of a pair besides equal keys, over the left columns followed by the right ones.
    pub residual: Option<Arc<dyn PhysicalExpr>>,
    /// What the watermark tells about rows that can meet no other any more.
    pub bound: Option<JoinBound>,
    /// Of which inputs nothing bounds what is kept: their rows leave the state by their age, if a step says so.
    pub unbounded: [bool; 2],
    /// EMIT FINAL: an unmatched row of an outer or anti join goes out once, when nothing can match it any more.
    pub hold: bool,
    /// Columns of the output.
    pub schema: SchemaRef,
}

/// One input of a join.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinInput {
    /// Its columns.
    pub schema: SchemaRef,
    /// Its side of the key equalities, in the same order on both sides.
    pub keys: Vec<Arc<dyn PhysicalExpr>>,
    /// Whether none of its rows is ever taken back.
    pub append_only: bool,
}

/// When rows of a join's state can be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinBound {
    /// A key tells the time: a bound of the same window on both sides, or equal event times.
    Key {
        /// Which of the keys: a timestamp.
        key: usize,
        /// Nanoseconds from the key's value after which no row with this key comes any more.
        keep: i64,
        /// Nanoseconds by which the output's watermark stays behind the inputs'.
        lag: i64,
    },
    /// The residual holds only for rows whose times lie near each other.
    Interval {
        /// The time columns of the left and the right input: timestamps.
        columns: [usize; 2],
        /// For each input the nanoseconds after a row's time until which a row that can match it may come.
        keep: [i64; 2],
    },
}

impl JoinBound {
    /// Nanoseconds by which the output's watermark stays behind the inputs'.
    pub fn lag(self) -> i64 {
        match self {
            JoinBound::Key { lag, .. } => lag,
            JoinBound::Interval { keep, .. } => keep[0].max(keep[1]).max(0),
        }
    }
}

impl JoinSpec {
    /// How matches are counted. `ages`: rows leave by their age, and their matches stay counted.
    pub(super) fn matching(&self, ages: bool) -> Matching {
        let forgets = |side: usize| self.gives_rows_of(side) && ages && self.unbounded[1 - side];
        let counted = self.residual.is_some() && (self.gives_rows_of(0) || self.gives_rows_of(1));
        if counted || forgets(0) || forgets(1) { Matching::Row } else { Matching::Key }
    }

    /// Whether the rows of pairs go out.
    pub fn gives_pairs(&self) -> bool {
        matches!(self.join_type, JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full)
    }

    /// Whether of an input (0 = left) only the number of rows of each key matters.
    pub fn counts_only(&self, side: usize) -> bool {
        !self.gives_pairs() && self.residual.is_none() && !self.gives_rows_of(side)
    }

    /// Whether rows of an input (0 = left) go out depending on whether they are matched.
    pub fn gives_rows_of(&self, side: usize) -> bool {
        let left = matches!(
            self.join_type,
            JoinType::Left | JoinType::Full | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark
        );
        let right = matches!(
            self.join_type,
            JoinType::Right
                | JoinType::Full
                | JoinType::RightSemi
                | JoinType::RightAnti
                | JoinType::RightMark
        );
        [left, right][side]
    }
}

/// The join's name in EXPLAIN.
fn name(join_type: JoinType) -> &'static str {
    match join_type {
        JoinType::Inner => "InnerJoin",
        JoinType::Left => "LeftJoin",
        JoinType::Right => "RightJoin",
        JoinType::Full => "FullJoin",
        JoinType::LeftSemi => "LeftSemiJoin",
        JoinType::RightSemi => "RightSemiJoin",
        JoinType::LeftAnti => "LeftAntiJoin",
        JoinType::RightAnti => "RightAntiJoin",
        JoinType::LeftMark => "LeftMarkJoin",
        JoinType::RightMark => "RightMarkJoin",
    }
}

impl fmt::Display for JoinSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name(self.join_type))?;
        let pairs = self.inputs[0].keys.iter().zip(&self.inputs[1].keys);
        let equal = if self.nulls_equal { " is not distinct from " } else { " = " };
        let pairs: Vec<String> = pairs.map(|(l, r)| format!("{}{equal}{}", shown(l), shown(r))).collect();
        if !pairs.is_empty() {
            write!(f, " on=[{}]", pairs.join(", "))?;
        }
        if let Some(residual) = &self.residual {
            write!(f, " where={}", shown(residual))?;
        }
        if let Some(JoinBound::Interval { keep, .. }) = self.bound {
            write!(f, " within=({}, {})", length(keep[1]), length(keep[0]))?;
        }
        if self.null_aware {
            f.write_str(" null_aware")?;
        }
        if self.hold {
            f.write_str(" emit=final")?;
        }
        Ok(())
    }
}
