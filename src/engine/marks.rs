//! A bounded query leaves out the same late rows as the continuous one: this rewriting of its plan carries each
//! row's mark from the scan to the first window, as a hidden column.

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
        LogicalPlan::Extension(e) => match e.node.as_any().downcast_ref::<WindowNode>() {
            Some(window) => windowed(window, provide),
            None => Ok(LogicalPlan::Extension(e)),
        },
        // Subqueries in expressions scan streams too.
        plan => {
            let plan = plan.map_subqueries(|p| Ok(Transformed::yes(provided(p, provide)?)))?.data;
            Ok(plan.map_children(|p| Ok(Transformed::yes(provided(p, provide)?)))?.data)
        }
    }
}

fn scanned(scan: &TableScan, provide: Provide, mark: bool) -> Result<LogicalPlan> {
    let source = provider_as_source(provide(scan, mark)?);
    // The planner has not projected yet: all columns of the stream, and the mark behind them.
    LogicalPlanBuilder::scan(scan.table_name.clone(), source, None)?.build()
}

/// The window told where its marks are; they stay among the columns, for a further window.
fn marked_window(window: &WindowNode, provide: Provide) -> Result<(LogicalPlan, Option<Column>)> {
    let (input, mark) = marked(window.input.clone(), provide)?;
    let node = window.over(input, mark.clone())?;
    Ok((LogicalPlan::Extension(Extension { node: Arc::new(node) }), mark))
}

fn windowed(window: &WindowNode, provide: Provide) -> Result<LogicalPlan> {
    let (plan, mark) = marked_window(window, provide)?;
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
        LogicalPlan::Extension(e) => match e.node.as_any().downcast_ref::<WindowNode>() {
            Some(window) => marked_window(window, provide),
            None => Ok((LogicalPlan::Extension(e), None)),
        },
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
