//! Ranking functions as they stand in a plan: node on node, with projections between and a filter above.

use super::Result;
use super::bounds::Bounds;
use crate::operators::top_n::RankFunction;
use crate::sql::Code;
use crate::sql::Diagnostic;
use arrow::datatypes::FieldRef;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchemaRef};
use datafusion::logical_expr::expr::{Sort as SortExpr, WindowFunction, WindowFunctionDefinition};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{Expr, Filter, LogicalPlan, Projection, Window};
use std::collections::HashSet;

/// Where a column comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// A column of what the rankings are over.
    Input(usize),
    /// The rank of the call with this number.
    Rank(usize),
}

/// One ranking function.
pub(super) struct Call {
    pub(super) function: RankFunction,
    pub(super) keys: Vec<Expr>,
    pub(super) order: Vec<SortExpr>,
    /// What its expressions are over, and where those columns come from.
    pub(super) schema: DFSchemaRef,
    pub(super) columns: Vec<Source>,
    /// The column that it makes.
    pub(super) source: Source,
    pub(super) field: FieldRef,
    /// Which ranks are wanted.
    pub(super) bounds: Bounds,
}

/// Ranking functions over the same rows, the first applied first, with what a filter above says of them.
pub(super) struct Ranking<'a> {
    pub(super) input: &'a LogicalPlan,
    pub(super) calls: Vec<Call>,
    /// The columns of the whole: where they come from, and their names.
    pub(super) columns: Vec<Source>,
    pub(super) schema: DFSchemaRef,
    /// The conditions that the ranges of the calls do not say.
    pub(super) filter: Option<Expr>,
}

/// The plan below what only names it.
fn unaliased(mut plan: &LogicalPlan) -> &LogicalPlan {
    while let LogicalPlan::SubqueryAlias(alias) = plan {
        plan = &alias.input;
    }
    plan
}

/// For each column of a projection which column of its input it is; nothing if it computes any.
fn passed(projection: &Projection) -> Option<Vec<usize>> {
    let column = |e: &Expr| match e.clone().unalias_nested().data {
        Expr::Column(c) => projection.input.schema().index_of_column(&c).ok(),
        _ => None,
    };
    projection.expr.iter().map(column).collect()
}

impl<'a> Ranking<'a> {
    /// The ranking that a plan is, if it is one.
    pub(super) fn of(plan: &'a LogicalPlan) -> Option<Result<Self>> {
        match unaliased(plan) {
            LogicalPlan::Filter(filter) => {
                Some(Ranking::without_filter(&filter.input)?.map(|ranking| ranking.bounded(filter)))
            }
            _ => Ranking::without_filter(plan),
        }
    }

    fn without_filter(plan: &'a LogicalPlan) -> Option<Result<Self>> {
        match unaliased(plan) {
            LogicalPlan::Window(window) => {
                let below = Ranking::without_filter(&window.input).unwrap_or_else(|| {
                    let width = window.input.schema().fields().len();
                    let columns = (0..width).map(Source::Input).collect();
                    let schema = window.input.schema().clone();
                    Ok(Ranking { input: &window.input, calls: vec![], columns, schema, filter: None })
                });
                Some(below.and_then(|below| below.with(window)))
            }
            LogicalPlan::Projection(projection) => {
                let passed = passed(projection)?;
                Some(Ranking::without_filter(&projection.input)?.map(|below| Ranking {
                    columns: passed.iter().map(|i| below.columns[*i]).collect(),
                    schema: projection.schema.clone(),
                    ..below
                }))
            }
            _ => None,
        }
    }

    /// The functions of one more node.
    fn with(mut self, window: &Window) -> Result<Self> {
        let (columns, schema) = (self.columns.clone(), window.input.schema().clone());
        for (i, expr) in window.window_expr.iter().enumerate() {
            let Expr::WindowFunction(function) = expr.clone().unalias_nested().data else {
                return Err(Diagnostic::coded(
                    Code::NotMaintained,
                    "this OVER is not maintained continuously",
                ));
            };
            let source = Source::Rank(self.calls.len());
            self.columns.push(source);
            self.calls.push(Call {
                function: rank_function(&function)?,
                keys: function.params.partition_by.clone(),
                order: function.params.order_by.clone(),
                schema: schema.clone(),
                columns: columns.clone(),
                source,
                field: window.schema.field(columns.len() + i).clone(),
                bounds: Bounds::default(),
            });
        }
        self.schema = window.schema.clone();
        Ok(self)
    }

    /// With the conditions of a filter: those on a rank become its range. A range may be cut before later functions
    /// rank only if what it leaves out stands behind all that stays.
    fn bounded(mut self, filter: &Filter) -> Self {
        let mut rest = Vec::new();
        // Under the names that the filter knows.
        self.schema = filter.input.schema().clone();
        for condition in split_conjunction(&filter.predicate) {
            let found = (0..self.calls.len()).rev().find_map(|i| {
                let source = self.calls[i].source;
                let is_rank = |c: &Column| {
                    self.schema.index_of_column(c).is_ok_and(|column| self.columns[column] == source)
                };
                Some((i, Bounds::of(condition, &is_rank)?))
            });
            let Some((i, (mut bounds, mut exact))) = found else {
                rest.push(condition.clone());
                continue;
            };
            let (call, later) = self.calls.split_at_mut(i + 1);
            let call = &mut call[i];
            if !later.iter().all(|later| follows(call, later)) {
                (bounds, exact) = (Bounds::default(), false);
            } else if !later.is_empty() {
                // Rows before the range must stay: they count for the later ranks.
                exact &= bounds.first == 1;
                bounds.first = 1;
            }
            call.bounds = call.bounds.and(bounds);
            if !exact {
                rest.push(condition.clone());
            }
        }
        self.filter = conjunction(rest);
        self
    }

    /// The rank that nobody reads, if it is the last column: without it in the output fewer rows change.
    pub(super) fn leave_out_unread(&self, used: Option<&HashSet<usize>>) -> Option<Source> {
        let last = self.columns.len().checked_sub(1)?;
        let source = self.columns[last];
        let filtered = self.filter.iter().flat_map(|e| e.column_refs());
        let mut filtered = filtered.filter_map(|c| self.schema.index_of_column(c).ok());
        let ranked_by = |call: &Call| {
            let columns = call.keys.iter().chain(call.order.iter().map(|s| &s.expr));
            let mut columns = columns.flat_map(|e| e.column_refs());
            columns.any(|c| call.schema.index_of_column(c).is_ok_and(|i| call.columns[i] == source))
        };
        let unread = !used?.contains(&last)
            && !filtered.any(|i| self.columns[i] == source)
            && !self.columns[..last].contains(&source)
            && !self.calls.iter().any(ranked_by);
        (unread && matches!(source, Source::Rank(_))).then_some(source)
    }

    /// Brings a bounded call before those that would otherwise rank all rows, where that changes no rank.
    pub(super) fn tightest_first(&mut self) {
        let Some(at) = self.calls.iter().position(|call| call.bounds.last.is_some()) else { return };
        let bounded = &self.calls[at];
        let over_input = |call: &Call| {
            let columns = call.keys.iter().chain(call.order.iter().map(|s| &s.expr));
            let mut columns = columns.flat_map(|e| e.column_refs());
            let input = |i: usize| matches!(call.columns[i], Source::Input(_));
            columns.all(|c| call.schema.index_of_column(c).is_ok_and(input))
        };
        let movable = self.calls[..at].iter().all(|other| follows(bounded, other)) && over_input(bounded);
        if movable && bounded.bounds.first == 1 {
            self.calls[..=at].rotate_right(1);
        }
    }
}

/// Whether two calls rank the same partitions in the same order, as far as both go: then the rows beyond a rank of `call`
/// stand behind all others for `other` too.
fn follows(call: &Call, other: &Call) -> bool {
    let common = call.order.len().min(other.order.len());
    let order = |c: &Call| -> Option<Vec<(Expr, bool, bool)>> {
        let key = |s: &SortExpr| Some((named_by_source(&s.expr, c)?, s.asc, s.nulls_first));
        c.order[..common].iter().map(key).collect()
    };
    let keys = |c: &Call| c.keys.iter().map(|e| named_by_source(e, c)).collect::<Option<HashSet<Expr>>>();
    // A shared rank is cut with its whole tie, a row number anywhere in it: the other must not look further into the tie
    // than it does. And a row number whose order says less than the cut's goes by other columns where that says no more.
    let (longer, number) = (call.order.len() >= other.order.len(), RankFunction::RowNumber);
    let whole = (call.function != number || longer)
        && (other.function != number || other.order.len() >= call.order.len());
    let comparable = whole && keys(call).is_some() && order(call).is_some();
    comparable && keys(call) == keys(other) && order(call) == order(other)
}

/// An expression with its columns named by where they come from.
fn named_by_source(expr: &Expr, call: &Call) -> Option<Expr> {
    let renamed = expr.clone().transform(|e| match &e {
        Expr::Column(c) => {
            let source = call.columns[call.schema.index_of_column(c)?];
            Ok(Transformed::yes(Expr::Column(Column::new_unqualified(format!("{source:?}")))))
        }
        _ => Ok(Transformed::no(e)),
    });
    Some(renamed.ok()?.data)
}

fn rank_function(function: &WindowFunction) -> Result<RankFunction> {
    let name = function.fun.name().to_string();
    let aggregate = matches!(function.fun, WindowFunctionDefinition::AggregateUDF(_));
    match name.as_str() {
        "row_number" => return Ok(RankFunction::RowNumber),
        "rank" => return Ok(RankFunction::Rank),
        "dense_rank" => return Ok(RankFunction::DenseRank),
        _ => {}
    }
    let first_or_last = matches!(name.as_str(), "first_value" | "last_value" | "nth_value");
    let help = match name.as_str() {
        _ if first_or_last => {
            "take the row itself: row_number() OVER (PARTITION BY … ORDER BY …) = 1, or DISTINCT ON (…) … ORDER BY …"
                .into()
        }
        _ if aggregate => format!("write {name}(…) with a GROUP BY, over the rows or in a subquery that is joined to them"),
        "lag" | "lead" => {
            "number the rows in a subquery, row_number() OVER (…) AS n, and join it to itself where a.n = b.n + 1".into()
        }
        "ntile" | "percent_rank" | "cume_dist" => {
            "it hangs on how many rows there are in all; rank() OVER (…) does not".into()
        }
        _ => "a SELECT without EMIT answers it once, over what is there now".to_string(),
    };
    Err(Diagnostic::coded(Code::NotMaintained, format!("{name}() OVER (…) is not maintained continuously"))
        .note("of the functions with OVER, row_number(), rank() and dense_rank() are")
        .help(help))
}
