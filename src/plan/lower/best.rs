//! Rows that are compared with the greatest or the least of their own group: a join in SQL, a ranking in the dataflow.
//!
//! `SELECT … FROM r JOIN (SELECT w, max(n) AS most FROM r GROUP BY w) ON r.w = w AND n >= most` gives the rows of `r` of which
//! `rank() OVER (PARTITION BY w ORDER BY n DESC)` is 1. So it is planned where `n` is a count that only rises, or rows only
//! come: a join would keep all rows of `r` and compare them at each change, the ranking keeps the first of them (see `rising`). Nexmark's q5 is of this kind.

use super::super::dataflow::Spec;
use super::super::in_time::InTimeNode;
use super::super::stream::stream_of;
use super::super::trace::trace;
use super::super::{arrow_schema, mistakes};
use super::bounds::Bounds;
use super::rank::{Cut, window_key};
use super::{Lowering, Result};
use crate::operators::project::ProjectSpec;
use crate::operators::threshold::ThresholdSpec;
use crate::operators::top_n::RankFunction;
use crate::sql::StartAt;
use arrow::compute::SortOptions;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, NullEquality};
use datafusion::logical_expr::{Aggregate, BinaryExpr, Expr, Join, LogicalPlan, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use std::sync::Arc;

/// A join that asks for the best rows of the left side's groups.
struct Best {
    /// The groups' columns, on the left side.
    keys: Vec<usize>,
    /// The column of which the greatest or least is wanted.
    by: usize,
    descending: bool,
    /// For each column of the join's output the left side's that it equals.
    output: Vec<usize>,
}

/// Some columns of a plan.
struct Columns<'a> {
    plan: &'a LogicalPlan,
    /// For each column which one of the plan it is; `None` = it is computed.
    columns: Vec<Option<usize>>,
}

impl<'a> Columns<'a> {
    /// The plan below what only names, chooses and orders its columns.
    fn of(plan: &'a LogicalPlan) -> Self {
        let below = |input: &'a LogicalPlan, columns: Vec<Option<usize>>| {
            let below = Columns::of(input);
            let columns = columns.into_iter().map(|column| below.columns[column?]).collect();
            Columns { plan: below.plan, columns }
        };
        match plan {
            LogicalPlan::SubqueryAlias(alias) => Columns::of(&alias.input),
            LogicalPlan::Projection(projection) => {
                let columns = projection.expr.iter().map(|e| plain(e, &projection.input));
                below(&projection.input, columns.collect())
            }
            // No group of a window is late any more.
            LogicalPlan::Extension(extension) => match extension.node.as_any().downcast_ref::<InTimeNode>() {
                Some(in_time) if matches!(Columns::of(&in_time.input).plan, LogicalPlan::Aggregate(_)) => {
                    Columns::of(&in_time.input)
                }
                _ => Columns::all(plan),
            },
            _ => Columns::all(plan),
        }
    }

    fn all(plan: &'a LogicalPlan) -> Self {
        Columns { plan, columns: (0..plan.schema().fields().len()).map(Some).collect() }
    }

    /// The column of the plan that an expression over `over`, whose columns these are, names.
    fn named(&self, expr: &Expr, over: &LogicalPlan) -> Option<usize> {
        *self.columns.get(plain(expr, over)?)?
    }
}

/// The column of a plan that an expression is.
pub(super) fn plain(expr: &Expr, over: &LogicalPlan) -> Option<usize> {
    match expr {
        Expr::Column(column) => over.schema().index_of_column(column).ok(),
        Expr::Alias(alias) => plain(&alias.expr, over),
        _ => None,
    }
}

/// Whether two plans give the same rows.
fn are_same(one: &LogicalPlan, other: &LogicalPlan) -> bool {
    one == other && starts(one).is_some_and(|starts_of_one| starts(other) == Some(starts_of_one))
}

/// Where the streams of a plan are read from; nothing if it reads something else.
fn starts(plan: &LogicalPlan) -> Option<Vec<(String, StartAt)>> {
    let mut found = Some(Vec::new());
    let visited = plan.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let source = stream_of(&scan.source).map(|s| (s.stream.name.clone(), s.start));
            found = found.take().zip(source).map(|(found, source)| [found, vec![source]].concat());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found.filter(|_| visited.is_ok())
}

impl Best {
    fn of(join: &Join) -> Option<Best> {
        let joins = matches!(join.join_type, JoinType::Inner | JoinType::LeftSemi);
        if !joins || join.null_aware || join.null_equality != NullEquality::NullEqualsNothing {
            return None;
        }
        let (left, right) = (Columns::of(&join.left), Columns::of(&join.right));
        let LogicalPlan::Aggregate(most) = right.plan else { return None };
        let rows = Columns::of(&most.input);
        if !matches!(rows.plan, LogicalPlan::Aggregate(_)) || !are_same(left.plan, rows.plan) {
            return None;
        }
        // The left side's column, first of those that are the same, that equals one of the right side's.
        let equal = |right: usize| {
            let rows = match right.checked_sub(most.group_expr.len()) {
                None => rows.named(&most.group_expr[right], &most.input)?,
                Some(call) => rows.named(extreme(most, call)?.1, &most.input)?,
            };
            left.columns.iter().position(|column| *column == Some(rows))
        };
        let (mut keys, mut compared) = (Vec::new(), Vec::new());
        for (of_left, of_right) in &join.on {
            let (of_left, of_right) = (plain(of_left, &join.left)?, right.named(of_right, &join.right)?);
            match of_right.checked_sub(most.group_expr.len()) {
                None => keys.push((of_left, of_right)),
                Some(call) => compared.push((of_left, Operator::Eq, call)),
            }
        }
        if let Some(filter) = &join.filter {
            let Expr::BinaryExpr(BinaryExpr { left: one, op, right: other }) = filter else { return None };
            let sides = |l: &Expr, r: &Expr, op: Operator| {
                let call = right.named(r, &join.right)?.checked_sub(most.group_expr.len())?;
                Some((plain(l, &join.left)?, op, call))
            };
            compared.push(sides(one, other, *op).or_else(|| sides(other, one, op.swap()?))?);
        }
        let [(by, op, call)] = compared[..] else { return None };
        let (descending, _) = extreme(most, call)?;
        let better = if descending { Operator::GtEq } else { Operator::LtEq };
        let is_same = |of_left: usize, of_right: usize| {
            let same = equal(of_right).and_then(|column| left.columns[column]);
            same.is_some() && same == left.columns[of_left]
        };
        let groups = 0..most.group_expr.len();
        let all = keys.len() == most.group_expr.len()
            && groups.clone().all(|group| keys.iter().any(|(_, of_right)| *of_right == group))
            && keys.iter().all(|(of_left, of_right)| is_same(*of_left, *of_right));
        if !all || ![better, Operator::Eq].contains(&op) || !is_same(by, groups.end + call) {
            return None;
        }
        let keys: Vec<usize> = keys.into_iter().map(|(of_left, _)| of_left).collect();
        // Nulls are equal to nothing, and no better than anything.
        let fields = join.left.schema().fields();
        if keys.iter().chain([&by]).any(|column| fields[*column].is_nullable())
            || !ThresholdSpec::takes(fields[by].data_type())
            // Of those a join and an order do not see the same as equal.
            || fields[by].data_type().is_floating()
        {
            return None;
        }
        let mut output: Vec<usize> = (0..fields.len()).collect();
        if join.join_type == JoinType::Inner {
            for column in &right.columns {
                output.push(equal((*column)?)?);
            }
        }
        Some(Best { keys, by, descending, output })
    }
}

/// Whether a call of an aggregate is the greatest or the least, and of what.
pub(super) fn extreme(aggregate: &Aggregate, call: usize) -> Option<(bool, &Expr)> {
    let mut expr = aggregate.aggr_expr.get(call)?;
    while let Expr::Alias(alias) = expr {
        expr = &alias.expr;
    }
    let Expr::AggregateFunction(function) = expr else { return None };
    let descending = match function.func.name() {
        "max" => true,
        "min" => false,
        _ => return None,
    };
    let [of] = function.params.args.as_slice() else { return None };
    function.params.filter.is_none().then_some((descending, of))
}

impl Lowering {
    /// The ranking that a join stands for, if its left side's rows only come or only rise. Else the left side's node, if that has
    /// been made.
    pub(super) fn best(&mut self, plan: &LogicalPlan, join: &Join) -> Result<Option<Ranked>> {
        let Some(best) = Best::of(join) else { return Ok(None) };
        let node = self.plan(&join.left)?;
        let rises = self.append_only(node)
            || self.rising(node).is_some_and(|rising| {
                rising.moves(best.descending).contains(&best.by)
                    && best.keys.iter().all(|key| rising.fixed.contains(key))
            });
        let traces = trace(&join.left).map_err(mistakes::without_place)?;
        let keys: Vec<Option<usize>> = best.keys.iter().copied().map(Some).collect();
        let window = window_key(&traces, &keys).filter(|_| rises);
        if window.is_none() {
            return Ok(Some(Ranked::Not(node)));
        }
        let schema = self.flow.nodes[node].schema.clone();
        let column =
            |at: usize| Arc::new(PhysicalColumn::new(schema.field(at).name(), at)) as Arc<dyn PhysicalExpr>;
        let order = SortOptions { descending: best.descending, nulls_first: false };
        let cut = Cut {
            keys: best.keys.iter().map(|key| column(*key)).collect(),
            order: vec![(column(best.by), order)],
            function: RankFunction::Rank,
            bounds: Bounds { first: 1, last: Some(1) },
            output: false,
            window,
            gathers: best.keys.iter().all(|key| traces[*key].window.is_some_and(|w| w.closes)),
            named: best.keys.iter().map(|key| schema.field(*key).name().clone()).collect(),
            limit: false,
            schema: schema.clone(),
            event_time: traces.iter().position(|t| t.event_time),
        };
        let ranked = self.cut(node, cut);
        if join.join_type == JoinType::LeftSemi {
            return Ok(Some(Ranked::As(ranked)));
        }
        let spec = ProjectSpec {
            expressions: best.output.iter().map(|at| column(*at)).collect(),
            schema: arrow_schema(plan),
        };
        let append_only = self.append_only(ranked);
        Ok(Some(Ranked::As(self.add(plan, Spec::Project(spec), vec![ranked], append_only, None)?)))
    }
}

/// What has become of a join that asks for the best rows.
pub(super) enum Ranked {
    /// The node that gives its rows.
    As(usize),
    /// Only its left side's node.
    Not(usize),
}
