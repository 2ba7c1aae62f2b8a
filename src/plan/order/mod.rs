//! A pass over the plan as the SQL planner gives it: where an answer hangs on an order, ties are decided by the
//! rows' other columns, so that a bounded and a continuous query agree to the row, whatever order the rows come in.
//!
//! | plan | becomes |
//! |---|---|
//! | `row_number() OVER (… ORDER BY a)` | `… ORDER BY a` and the other columns that the SELECT reads ([`narrow`]) |
//! | `ORDER BY a LIMIT n` | `ORDER BY a` and the input's other columns, `LIMIT n` beneath the projection |
//! | `LIMIT n` | `ORDER BY` all columns `LIMIT n` |
//! | `ORDER BY a OFFSET m` | `row_number() OVER (ORDER BY a …) > m` |
//! | `DISTINCT ON (k) … ORDER BY …` | `row_number() OVER (PARTITION BY k ORDER BY …) = 1` |
//!
//! The columns follow in their order, ascending, nulls last, until they hold a key of the input (the keys of a GROUP BY); those whose
//! values have no order are left out. It runs before the optimizer, which leaves unused columns out: which columns
//! decide must not hang on which are shown above the SELECT that ranks.

mod narrow;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result};
use datafusion::functions_window::row_number::row_number_udwf;
use datafusion::logical_expr::expr::{Sort as SortExpr, WindowFunction, WindowFunctionDefinition};
use datafusion::logical_expr::expr_rewriter::normalize_cols;
use datafusion::logical_expr::{
    Distinct, DistinctOn, Expr, LogicalPlan, LogicalPlanBuilder, Projection, Sort, Window, lit,
};
use std::collections::HashSet;
use std::sync::Arc;

/// The number of a row in an order of which the first are left out.
const OFFSET_RANK: &str = "__offset";
/// A computed value that rows are ordered by.
const KEY: &str = "__order";
/// The number of a row in its `DISTINCT ON` key.
pub(super) const DISTINCT_RANK: &str = "__distinct_on";

/// Which answer is wanted of a LIMIT without ORDER BY that is the last thing a query does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastLimit {
    /// The least rows by value.
    Least,
    /// Whichever rows come first: a look at a stream must not read all of it.
    First,
}

/// The plan with every order total on which its answer hangs.
pub fn total(plan: LogicalPlan, last: LastLimit) -> Result<LogicalPlan> {
    if let LogicalPlan::Limit(limit) = &plan
        && last == LastLimit::First
        && comes_in_pieces(&limit.input)
    {
        return plan
            .map_children(|input| Ok(Transformed::yes(total(input, LastLimit::Least)?)))
            .map(|t| t.data);
    }
    let narrowed = plan.transform_up_with_subqueries(narrow::block)?.data;
    let rewritten = narrowed.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Window(window) => numbered(window),
        LogicalPlan::Sort(sort) => by_columns(sort),
        LogicalPlan::Limit(_) => limited(node),
        LogicalPlan::Distinct(Distinct::On(distinct)) => first_rows(distinct),
        other => Ok(Transformed::no(other)),
    });
    Ok(rewritten?.data)
}

/// Whether rows come out as they are read, so that a LIMIT need not wait for the last.
fn comes_in_pieces(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::TableScan(_) | LogicalPlan::Values(_) | LogicalPlan::EmptyRelation(_) => true,
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::Extension(_) => plan.inputs().into_iter().all(comes_in_pieces),
        _ => false,
    }
}

/// Whether values of the type can be sorted, here and in the batch engine.
fn has_order(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(f) | DataType::LargeList(f) | DataType::FixedSizeList(f, _) => {
            has_order(f.data_type())
        }
        DataType::Struct(fields) => fields.iter().all(|f| has_order(f.data_type())),
        DataType::Dictionary(_, values) => has_order(values),
        other => !other.is_nested(),
    }
}

/// Columns that tell the plan's rows apart: the keys of the GROUP BY that they come from.
fn key(plan: &LogicalPlan) -> Option<HashSet<usize>> {
    match plan {
        LogicalPlan::Aggregate(a) => {
            let plain =
                !a.group_expr.is_empty() && !a.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_)));
            plain.then(|| (0..a.group_expr.len()).collect())
        }
        LogicalPlan::Filter(f) => key(&f.input),
        LogicalPlan::Sort(s) => key(&s.input),
        LogicalPlan::Limit(l) => key(&l.input),
        LogicalPlan::Window(w) => key(&w.input),
        LogicalPlan::SubqueryAlias(a) => key(&a.input),
        LogicalPlan::Projection(p) => {
            let of_input = |e: &Expr| match e.clone().unalias() {
                Expr::Column(c) => p.input.schema().index_of_column(&c).ok(),
                _ => None,
            };
            let shown: Vec<Option<usize>> = p.expr.iter().map(of_input).collect();
            key(&p.input)?.into_iter().map(|i| shown.iter().position(|s| *s == Some(i))).collect()
        }
        _ => None,
    }
}

/// Columns that a window above this plan need not be ordered by: ranks that follow from the other columns.
fn ranks(plan: &LogicalPlan) -> HashSet<usize> {
    let LogicalPlan::Window(window) = plan else { return HashSet::new() };
    let width = window.input.schema().fields().len();
    let mut found = ranks(&window.input);
    found.extend(
        window.window_expr.iter().enumerate().filter(|(_, e)| !is_row_number(e)).map(|(i, _)| width + i),
    );
    found
}

fn is_row_number(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(alias) => is_row_number(&alias.expr),
        Expr::WindowFunction(f) => {
            matches!(&f.fun, WindowFunctionDefinition::WindowUDF(udf) if udf.name() == "row_number")
        }
        _ => false,
    }
}

/// The order with as many columns of `input` behind it as tell its rows apart. `within`: rows are only compared
/// where these are equal.
fn completed(mut order: Vec<SortExpr>, within: &[Expr], input: &LogicalPlan) -> Vec<SortExpr> {
    let schema = input.schema();
    let index = |e: &Expr| match e {
        Expr::Column(c) => schema.index_of_column(c).ok(),
        _ => None,
    };
    let mut there: HashSet<usize> = order.iter().map(|s| &s.expr).chain(within).filter_map(index).collect();
    let (key, skip) = (key(input), ranks(input));
    for i in 0..schema.fields().len() {
        if key.as_ref().is_some_and(|key| key.is_subset(&there)) {
            break;
        }
        if !skip.contains(&i) && has_order(schema.field(i).data_type()) && there.insert(i) {
            let column = Expr::Column(Column::from(schema.qualified_field(i)));
            order.push(column.sort(true, false));
        }
    }
    order
}

/// `row_number()` by a total order. Those functions of the node whose order stays as it is go into a node above.
fn numbered(window: Window) -> Result<Transformed<LogicalPlan>> {
    if !window.window_expr.iter().any(is_row_number) {
        return Ok(Transformed::no(LogicalPlan::Window(window)));
    }
    let width = window.input.schema().fields().len();
    let (mut numbers, mut others) = (Vec::new(), Vec::new());
    for (i, expr) in window.window_expr.into_iter().enumerate() {
        if !is_row_number(&expr) {
            others.push(expr);
            continue;
        }
        // The columns keep their names, which nodes above refer to.
        let name = window.schema.field(width + i).name().clone();
        let Expr::WindowFunction(mut function) = expr.unalias_nested().data else { continue };
        let params = &mut function.params;
        params.order_by =
            completed(std::mem::take(&mut params.order_by), &params.partition_by, &window.input);
        numbers.push(Expr::WindowFunction(function).alias(name));
    }
    let mut plan = LogicalPlan::Window(Window::try_new(numbers, window.input)?);
    if !others.is_empty() {
        plan = LogicalPlan::Window(Window::try_new(others, Arc::new(plan))?);
    }
    Ok(Transformed::yes(plan))
}

/// A LIMIT right above its ORDER BY, which is total.
fn limited(limit: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Limit(mut limit) = limit else { return Ok(Transformed::no(limit)) };
    // What stands between a LIMIT and its ORDER BY only names columns.
    let mut between = Vec::new();
    let mut below = limit.input.clone();
    let sorted = loop {
        let next = match below.as_ref() {
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => break Some(sort.clone()),
            LogicalPlan::Projection(p) => p.input.clone(),
            LogicalPlan::SubqueryAlias(a) => a.input.clone(),
            _ => break None,
        };
        between.push(std::mem::replace(&mut below, next));
    };
    let (input, order) = match sorted {
        Some(sort) => (sort.input, sort.expr),
        None => {
            between.clear();
            (limit.input.clone(), Vec::new())
        }
    };
    let expr = completed(order, &[], &input);
    let mut plan = match (expr.is_empty(), &limit.fetch, &limit.skip) {
        (true, ..) => {
            limit.input = input;
            LogicalPlan::Limit(limit)
        }
        (false, None, Some(skip)) => behind(skip, expr, input)?,
        (false, ..) => {
            limit.input = Arc::new(LogicalPlan::Sort(Sort { expr, input, fetch: None }));
            LogicalPlan::Limit(limit)
        }
    };
    for node in between.into_iter().rev() {
        plan = match Arc::unwrap_or_clone(node) {
            LogicalPlan::Projection(p) => {
                LogicalPlan::Projection(Projection::try_new_with_schema(p.expr, Arc::new(plan), p.schema)?)
            }
            LogicalPlan::SubqueryAlias(a) => LogicalPlanBuilder::from(plan).alias(a.alias)?.build()?,
            other => other,
        };
    }
    Ok(Transformed::yes(plan))
}

/// An ORDER BY whose computed keys are columns of its input. (Of some, such as a negation with its nulls first, the physical
/// planner does not see that the rows are in their order, and gives up.)
fn by_columns(sort: Sort) -> Result<Transformed<LogicalPlan>> {
    let Sort { mut expr, input, fetch } = sort;
    let shown: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
    let mut columns = shown.clone();
    for key in &mut expr {
        if !matches!(key.expr, Expr::Column(_)) {
            let name = format!("{KEY}{}", columns.len() - shown.len());
            let value = std::mem::replace(&mut key.expr, Expr::Column(Column::new_unqualified(&name)));
            columns.push(value.alias(name));
        }
    }
    if columns.len() == shown.len() {
        return Ok(Transformed::no(LogicalPlan::Sort(Sort { expr, input, fetch })));
    }
    let input = Arc::new(LogicalPlanBuilder::from(Arc::unwrap_or_clone(input)).project(columns)?.build()?);
    let sorted = LogicalPlan::Sort(Sort { expr, input, fetch });
    Ok(Transformed::yes(LogicalPlanBuilder::from(sorted).project(shown)?.build()?))
}

/// The rows behind the first `skip`, in order. (Under an aggregate the batch engine drops the order of an OFFSET that has no
/// LIMIT, and leaves out whichever rows come first.)
fn behind(skip: &Expr, order: Vec<SortExpr>, input: Arc<LogicalPlan>) -> Result<LogicalPlan> {
    let columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
    let mut function = WindowFunction::new(row_number_udwf(), vec![]);
    function.params.order_by = order.clone();
    let number = Expr::WindowFunction(Box::new(function)).alias(OFFSET_RANK);
    let window = LogicalPlan::Window(Window::try_new(vec![number], input)?);
    let rank = Expr::Column(Column::new_unqualified(OFFSET_RANK));
    LogicalPlanBuilder::from(window).filter(rank.gt(skip.clone()))?.sort(order)?.project(columns)?.build()
}

/// `DISTINCT ON` as the first row of each key. (As aggregates, which the optimizer would make of it, columns of
/// different rows could get into one where rows tie.)
fn first_rows(distinct: DistinctOn) -> Result<Transformed<LogicalPlan>> {
    let DistinctOn { on_expr, select_expr, sort_expr, input, schema } = distinct;
    let (on_expr, select_expr) = (normalize_cols(on_expr, &input)?, normalize_cols(select_expr, &input)?);
    let order = sort_expr.clone().unwrap_or_default();
    let keys = order.iter().map(|key| &key.expr);
    let read = narrow::only(&input, on_expr.iter().chain(&select_expr).chain(keys).cloned());
    let input = read.map_or(input, Arc::new);
    let mut function = WindowFunction::new(row_number_udwf(), vec![]);
    function.params.order_by = completed(order.clone(), &on_expr, &input);
    function.params.partition_by = on_expr;
    let number = Expr::WindowFunction(Box::new(function)).alias(DISTINCT_RANK);
    let window = LogicalPlan::Window(Window::try_new(vec![number], input)?);
    let rank = Expr::Column(Column::new_unqualified(DISTINCT_RANK));
    let mut plan = LogicalPlanBuilder::from(window).filter(rank.eq(lit(1u64)))?;
    if !order.is_empty() {
        plan = plan.sort(order)?;
    }
    let shown = select_expr
        .into_iter()
        .zip(schema.iter())
        .map(|(expr, (qualifier, field))| expr.alias_qualified(qualifier.cloned(), field.name()));
    Ok(Transformed::yes(plan.project(shown.collect::<Vec<_>>())?.build()?))
}
