//! A bounded query leaves out the same late rows as the continuous one: this rewriting of its plan carries each
//! row's mark from the scan to the first window, or to where late rows are left out by their own time, as a hidden column.

use crate::plan::has_subquery;
use crate::plan::in_time::InTimeNode;
use crate::plan::stream::stream_of;
use crate::plan::window::WindowNode;
use arrow::datatypes::DataType;
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result, ScalarValue, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, LogicalPlanBuilder, TableScan, lit};
use std::sync::Arc;

/// The hidden column: the row's mark (ns), an Int64 that may be null (not late).
pub(super) const MARK: &str = "__mark";

/// Gives the provider of a scanned stream, with a column [`MARK`] behind its own if asked for.
pub(super) type Provide<'a> = &'a dyn Fn(&TableScan, bool) -> Result<Arc<dyn TableProvider>>;

/// The plan with its scans provided and its windows told where the marks are.
pub(super) fn provided(plan: LogicalPlan, provide: Provide) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::TableScan(scan) if stream_of(&scan.source).is_some() => scanned(&scan, provide, false),
        LogicalPlan::Extension(e) if e.node.as_any().is::<WindowNode>() => {
            let (plan, mark) = marked(LogicalPlan::Extension(e), provide)?;
            without_mark(plan, mark)
        }
        LogicalPlan::Extension(e) if e.node.as_any().is::<InTimeNode>() => {
            Ok(marked(LogicalPlan::Extension(e), provide)?.0)
        }
        // Subqueries in expressions scan streams too.
        plan => {
            let plan = plan.map_subqueries(|p| Ok(Transformed::yes(provided(p, provide)?)))?.data;
            Ok(plan.map_children(|p| Ok(Transformed::yes(provided(p, provide)?)))?.data)
        }
    }
}

fn scanned(scan: &TableScan, provide: Provide, mark: bool) -> Result<LogicalPlan> {
    let source = provider_as_source(provide(scan, mark)?);
    // All columns of the stream, or those that an optimizer has left, and the mark behind them.
    let mut projection = scan.projection.clone();
    if let Some(columns) = projection.as_mut().filter(|_| mark) {
        columns.push(source.schema().fields().len() - 1);
    }
    let (name, filters) = (scan.table_name.clone(), scan.filters.clone());
    LogicalPlanBuilder::scan_with_filters_fetch(name, source, projection, filters, scan.fetch)?.build()
}

/// The window told where its marks are; they stay among the columns, for a further window.
fn marked_window(window: &WindowNode, provide: Provide) -> Result<(LogicalPlan, Option<Column>)> {
    let (input, mark) = marked(window.input.clone(), provide)?;
    let node = window.over(input, mark.clone())?;
    Ok((LogicalPlan::Extension(Extension { node: Arc::new(node) }), mark))
}

/// The rows where late ones have been left out by their own time; their marks are used up.
fn marked_in_time(in_time: &InTimeNode, provide: Provide) -> Result<LogicalPlan> {
    let (input, mark) = marked(in_time.input.clone(), provide)?;
    let node = in_time.over(input, mark.clone());
    without_mark(LogicalPlan::Extension(Extension { node: Arc::new(node) }), mark)
}

fn without_mark(plan: LogicalPlan, mark: Option<Column>) -> Result<LogicalPlan> {
    let Some(mark) = mark else { return Ok(plan) };
    let columns: Vec<Expr> =
        plan.schema().columns().into_iter().filter(|c| *c != mark).map(Expr::Column).collect();
    LogicalPlanBuilder::from(plan).project(columns)?.build()
}

/// The plan with the mark among its columns, where its rows are still the source's own.
fn marked(plan: LogicalPlan, provide: Provide) -> Result<(LogicalPlan, Option<Column>)> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let has_time = stream_of(&scan.source).is_some_and(|s| s.stream.event_time.is_some());
            let plan = scanned(&scan, provide, has_time)?;
            let mark = has_time.then(|| Column::new(Some(scan.table_name.clone()), MARK));
            Ok((plan, mark))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let (input, mark) = marked(Arc::unwrap_or_clone(alias.input), provide)?;
            let plan = LogicalPlanBuilder::from(input).alias(alias.alias.clone())?.build()?;
            Ok((plan, mark.map(|_| Column::new(Some(alias.alias), MARK))))
        }
        // Subqueries become joins, which use marks up.
        LogicalPlan::Filter(_) | LogicalPlan::Projection(_)
            if plan.expressions().iter().any(has_subquery) =>
        {
            Ok((provided(plan, provide)?, None))
        }
        LogicalPlan::Filter(filter) => {
            let (input, mark) = marked(Arc::unwrap_or_clone(filter.input), provide)?;
            Ok((LogicalPlanBuilder::from(input).filter(filter.predicate)?.build()?, mark))
        }
        // A continuous query knows no such node.
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => {
            let (input, mark) = marked(Arc::unwrap_or_clone(sort.input), provide)?;
            Ok((LogicalPlanBuilder::from(input).sort(sort.expr)?.build()?, mark))
        }
        LogicalPlan::Projection(projection) => {
            let (input, mark) = marked(Arc::unwrap_or_clone(projection.input), provide)?;
            let mut columns = projection.expr;
            columns.extend(mark.clone().map(Expr::Column));
            Ok((LogicalPlanBuilder::from(input).project(columns)?.build()?, mark))
        }
        LogicalPlan::Unnest(unnest) => {
            let (input, mark) = marked(Arc::unwrap_or_clone(unnest.input), provide)?;
            let plan = LogicalPlanBuilder::from(input)
                .unnest_columns_with_options(unnest.exec_columns, unnest.options)?
                .build()?;
            Ok((plan, mark))
        }
        LogicalPlan::Union(union) => marked_union(union, provide),
        LogicalPlan::Extension(e) => {
            let node = e.node.as_any();
            if let Some(window) = node.downcast_ref::<WindowNode>() {
                return marked_window(window, provide);
            }
            if let Some(in_time) = node.downcast_ref::<InTimeNode>() {
                return Ok((marked_in_time(in_time, provide)?, None));
            }
            Ok((provided(LogicalPlan::Extension(e), provide)?, None))
        }
        plan => Ok((provided(plan, provide)?, None)),
    }
}

fn marked_union(
    union: datafusion::logical_expr::Union,
    provide: Provide,
) -> Result<(LogicalPlan, Option<Column>)> {
    let arms = union
        .inputs
        .into_iter()
        .map(|input| marked(Arc::unwrap_or_clone(input), provide))
        .collect::<Result<Vec<_>>>()?;
    if arms.iter().all(|(_, mark)| mark.is_none()) {
        let inputs = arms.into_iter().map(|(plan, _)| Arc::new(plan)).collect();
        return Ok((
            LogicalPlan::Union(datafusion::logical_expr::Union { inputs, schema: union.schema }),
            None,
        ));
    }
    let mut inputs = Vec::new();
    for (plan, mark) in arms {
        let mut columns: Vec<Expr> = plan
            .schema()
            .columns()
            .into_iter()
            .filter(|c| Some(c) != mark.as_ref())
            .map(Expr::Column)
            .collect();
        columns.push(match mark {
            Some(mark) => Expr::Column(mark).alias(MARK),
            None => lit(ScalarValue::try_from(&DataType::Int64)?).alias(MARK),
        });
        inputs.push(Arc::new(LogicalPlanBuilder::from(plan).project(columns)?.build()?));
    }
    let plan = LogicalPlan::Union(datafusion::logical_expr::Union::try_new_with_loose_types(inputs)?);
    Ok((plan, Some(Column::new(None::<TableReference>, MARK))))
}
