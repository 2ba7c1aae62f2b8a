//! What the planner says about a ranking: [`TopNSpec`].

use crate::operators::aggregate::{EmitMode, WindowKey};
use crate::operators::shown::shown;
use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use std::fmt;
use std::sync::Arc;

/// How rows are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RankFunction {
    /// 1, 2, 3, …; rows that tie in the ORDER BY in the order of their other columns.
    RowNumber,
    /// 1 + the number of rows before; rows that tie have the same.
    Rank,
    /// 1 + the number of different sort keys before.
    DenseRank,
}

impl RankFunction {
    /// Its name in SQL.
    pub fn name(self) -> &'static str {
        match self {
            RankFunction::RowNumber => "row_number",
            RankFunction::Rank => "rank",
            RankFunction::DenseRank => "dense_rank",
        }
    }
}

/// What becomes of the rows that lie in the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopNUse {
    /// They are the result, kept up to date.
    Result,
    /// They are rows among which the result is sought by another of these operators, over the rows of all workers:
    /// those of append-only input that have once been in the range of their worker. They are sent once and never
    /// taken back, and the state need not outlive the process.
    Candidates,
    /// The same over rows that come and go; they are spread over the workers by all of their columns.
    Spread,
}

/// The rows of each partition whose rank lies in a range. `Display` is its line in EXPLAIN.
#[derive(Debug, Clone, PartialEq)]
pub struct TopNSpec {
    /// Columns of the input.
    pub input_schema: SchemaRef,
    /// PARTITION BY.
    pub keys: Vec<Arc<dyn PhysicalExpr>>,
    /// ORDER BY. Ties are decided by the input's other columns, in order, ascending, nulls last.
    pub order: Vec<(Arc<dyn PhysicalExpr>, SortOptions)>,
    /// How rows are numbered.
    pub function: RankFunction,
    /// The least rank in the result, at least 1.
    pub first: u64,
    /// The greatest rank in the result, if there is one.
    pub last: Option<u64>,
    /// Whether the rank is an output column: the last one.
    pub output: bool,
    /// What the rows are for.
    pub purpose: TopNUse,
    /// Set if a partition key is a window column: partitions then end with their window.
    pub window: Option<WindowKey>,
    /// Whether no row of the input is ever taken back: then no delta has weights.
    pub input_append_only: bool,
    /// Whether a row is only taken back in a step in which it comes again and stands no further behind: see
    /// [`threshold`](crate::operators::threshold). Of those that stand behind the range some may be taken back that have not come.
    /// Not with ranks that are dense.
    pub rising: bool,
    /// Whether nothing bounds what is kept: its rows then leave by their age, if a step says so.
    pub unbounded: bool,
    /// When results go out; final only with a window.
    pub mode: EmitMode,
    /// Columns of the output: the input's, then the rank if it is asked for.
    pub schema: SchemaRef,
}

impl TopNSpec {
    /// The greatest rank as a count.
    pub(super) fn most(&self) -> i64 {
        self.last.map_or(i64::MAX, |last| i64::try_from(last).unwrap_or(i64::MAX))
    }

    /// The least rank as a count.
    pub(super) fn least(&self) -> i64 {
        i64::try_from(self.first).unwrap_or(i64::MAX)
    }

    /// Whether only rows that are in the range, or would be without its lower end, need be kept.
    pub(super) fn keeps_top_only(&self) -> bool {
        (self.input_append_only || self.rising) && self.last.is_some()
    }

    /// Whether moreover rows only come.
    pub(super) fn takes_top_only(&self) -> bool {
        self.input_append_only && self.last.is_some()
    }

    /// Whether ties in the ORDER BY share a rank.
    pub(super) fn has_ties(&self) -> bool {
        self.function != RankFunction::RowNumber
    }

    /// Whether one row a partition is all that is kept.
    pub(super) fn keeps_one(&self) -> bool {
        self.takes_top_only() && self.function == RankFunction::RowNumber && self.last == Some(1)
    }

    /// The ORDER BY without the columns at its end that would decide between ties anyway.
    pub(super) fn sort_key(&self) -> &[(Arc<dyn PhysicalExpr>, SortOptions)] {
        // What shares a rank hangs on all of it.
        if self.has_ties() {
            return &self.order;
        }
        let plain = |expr: &Arc<dyn PhysicalExpr>| expr.downcast_ref::<Column>().map(Column::index);
        // Within a partition a key decides nothing.
        let keys: Vec<usize> = self.keys.iter().filter_map(plain).collect();
        let decides_anyway = |from: usize| {
            let (before, behind) = self.order.split_at(from);
            let sorted: Vec<usize> = before.iter().filter_map(|(expr, _)| plain(expr)).collect();
            let mut others =
                (0..self.input_schema.fields().len()).filter(|c| !keys.contains(c) && !sorted.contains(c));
            let mut known = sorted.clone();
            behind.iter().all(|(expr, options)| match plain(expr) {
                Some(column) if keys.contains(&column) || known.contains(&column) => true,
                Some(column) => {
                    known.push(column);
                    !options.descending && !options.nulls_first && others.next() == Some(column)
                }
                None => false,
            })
        };
        let length = (1..self.order.len()).find(|from| decides_anyway(*from)).unwrap_or(self.order.len());
        &self.order[..length]
    }

    /// Whether rows are kept as columns, with the sort key alone as bytes: nothing is looked for by the others' values, but
    /// where sort keys are equal.
    pub(super) fn keeps_columns(&self) -> bool {
        self.takes_top_only() && self.function == RankFunction::RowNumber && !self.order.is_empty()
    }

    /// Whether what goes out is never taken back.
    pub fn append_only(&self) -> bool {
        self.purpose == TopNUse::Candidates || self.mode == EmitMode::Final
    }
}

impl fmt::Display for TopNSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.function.name();
        match (self.first, self.last) {
            (1, None) => write!(f, "Rank {name}")?,
            (1, Some(last)) => write!(f, "TopN {name} <= {last}")?,
            (first, None) => write!(f, "TopN {name} >= {first}")?,
            (first, Some(last)) if first == last => write!(f, "TopN {name} = {last}")?,
            (first, Some(last)) => write!(f, "TopN {name} {first}..{last}")?,
        }
        let keys: Vec<String> = self.keys.iter().map(shown).collect();
        let order: Vec<String> = self.order.iter().map(|(e, options)| sorted(&shown(e), *options)).collect();
        if !keys.is_empty() {
            write!(f, " keys=[{}]", keys.join(", "))?;
        }
        write!(f, " order=[{}]", order.join(", "))?;
        match (self.purpose, self.mode) {
            (TopNUse::Candidates | TopNUse::Spread, _) => write!(f, " on each worker"),
            (TopNUse::Result, EmitMode::Changes) => write!(f, " emit=changes"),
            (TopNUse::Result, EmitMode::Final) => write!(f, " emit=final"),
        }
    }
}

/// A sort key as SQL writes it, without what goes without saying.
fn sorted(text: &str, options: SortOptions) -> String {
    let direction = if options.descending { " DESC" } else { "" };
    let nulls = match (options.descending, options.nulls_first) {
        (false, true) => " NULLS FIRST",
        (true, false) => " NULLS LAST",
        _ => "",
    };
    format!("{text}{direction}{nulls}")
}
