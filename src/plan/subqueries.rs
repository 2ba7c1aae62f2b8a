//! A pass over the plan as it was written: subqueries that stand for one value.
//!
//! DataFusion's optimizer joins them to the rows around them, which is right while they give at most one row.
//!
//! | a scalar subquery | becomes |
//! |---|---|
//! | that gives at most one row: an aggregate, LIMIT 1, a unique key held to one value | itself |
//! | other, without columns of the query around it | the same under a [`SingleRowNode`], which fails at a second row |
//! | of at most one row for each row around it, but no aggregate | `max(…)` of it, which the optimizer can join |
//! | any other that names columns of the query around it | refused |
//! | in GROUP BY, an aggregate, a window function, ORDER BY or ON | a column beneath |

use super::context::mistake;
use super::single_row::SingleRowNode;
use super::unique::unique_keys;
use crate::sql::Code;
use crate::sql::Diagnostic;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::functions_aggregate::expr_fn::max;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, LogicalPlanBuilder, Subquery};
use std::sync::Arc;

/// A subquery's value as a column beneath the node that uses it.
const VALUE: &str = "__subquery";

/// The plan with each of its scalar subqueries of at most one row.
pub(super) fn single_valued(plan: LogicalPlan) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|node| {
        let node = node.map_expressions(|e| e.transform_up(checked))?;
        node.transform_data(hoisted)
    });
    Ok(rewritten?.data)
}

fn checked(expr: Expr) -> Result<Transformed<Expr>> {
    let Expr::ScalarSubquery(subquery) = expr else { return Ok(Transformed::no(expr)) };
    let alone = subquery.outer_ref_columns.is_empty();
    let one_row = unique_keys(&subquery.subquery).covered_by(&[]);
    if (alone && one_row) || (!alone && is_aggregate(&subquery.subquery)) {
        return Ok(Transformed::no(Expr::ScalarSubquery(subquery)));
    }
    let plan = subquery.subquery.as_ref().clone();
    let plan = if alone {
        // A projection above, as it is from this that the optimizer takes the value's name.
        let value = Expr::Column(plan.schema().columns().swap_remove(0));
        let node = Extension { node: Arc::new(SingleRowNode { input: plan }) };
        LogicalPlanBuilder::from(LogicalPlan::Extension(node)).project([value])?.build()?
    } else if one_row && !is_limited(&plan)? && has_greatest(plan.schema().field(0).data_type()) {
        greatest(plan)?
    } else {
        let d = Diagnostic::coded(
            Code::NotMaintained,
            "a subquery that stands for a value and names columns of the query around it must be an aggregate",
        );
        let help = "use an aggregate such as max(…), or a join";
        return Err(mistake(d.note("nothing says that it gives one row for each row around it").help(help)));
    };
    let subquery = Subquery { subquery: Arc::new(plan), ..subquery };
    Ok(Transformed::yes(Expr::ScalarSubquery(subquery)))
}

/// Whether the optimizer sees by itself that there is one row.
fn is_aggregate(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(_) => true,
        LogicalPlan::Projection(p) => is_aggregate(&p.input),
        LogicalPlan::SubqueryAlias(a) => is_aggregate(&a.input),
        LogicalPlan::Filter(f) => is_aggregate(&f.input),
        LogicalPlan::Sort(s) => is_aggregate(&s.input),
        _ => false,
    }
}

/// Whether the rows that a LIMIT leaves depend on the row around it, which the optimizer does not plan.
fn is_limited(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|node| Ok(matches!(node, LogicalPlan::Limit(_))))
}

/// Whether there is a greatest of such values.
pub(super) fn has_greatest(data_type: &DataType) -> bool {
    !data_type.is_nested() && !matches!(data_type, DataType::Null)
}

/// The only value, or null, as an aggregate of the same name.
fn greatest(plan: LogicalPlan) -> Result<LogicalPlan> {
    let (qualifier, field) = plan.schema().qualified_field(0);
    let (qualifier, name) = (qualifier.cloned(), field.name().clone());
    let value = max(Expr::Column(Column::new(qualifier.clone(), &name)));
    let plan = LogicalPlanBuilder::from(plan).aggregate(Vec::<Expr>::new(), [value])?.build()?;
    let value = Expr::Column(plan.schema().columns().swap_remove(0));
    LogicalPlanBuilder::from(plan).project([value.alias_qualified(qualifier, name)])?.build()
}

/// Subqueries in nodes of which the optimizer makes no joins, as columns of a projection beneath.
fn hoisted(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let keeps_columns = match &node {
        LogicalPlan::Aggregate(_) => false,
        LogicalPlan::Window(_) | LogicalPlan::Sort(_) | LogicalPlan::Join(_) => true,
        _ => return Ok(Transformed::no(node)),
    };
    let mut found: Vec<Expr> = Vec::new();
    let mut expressions = Vec::new();
    for expr in node.expressions() {
        let name = expr.schema_name().to_string();
        let replaced = expr.transform_down(|e| match e {
            Expr::ScalarSubquery(s) if is_alone(&node, &s) => {
                let value = Expr::ScalarSubquery(s);
                let at = found.iter().position(|f| *f == value).unwrap_or(found.len());
                if at == found.len() {
                    found.push(value);
                }
                let column = Expr::Column(Column::new_unqualified(format!("{VALUE}{at}")));
                Ok(Transformed::new(column, true, TreeNodeRecursion::Jump))
            }
            other => Ok(Transformed::no(other)),
        })?;
        let renamed =
            replaced.transformed && matches!(&node, LogicalPlan::Aggregate(_) | LogicalPlan::Window(_));
        expressions.push(if renamed { replaced.data.alias(name) } else { replaced.data });
    }
    if found.is_empty() {
        return Ok(Transformed::no(node));
    }
    let columns = node.schema().columns();
    let mut inputs: Vec<LogicalPlan> = node.inputs().into_iter().cloned().collect();
    let first = inputs.remove(0);
    let values = found.into_iter().enumerate().map(|(i, value)| value.alias(format!("{VALUE}{i}")));
    let all: Vec<Expr> = first.schema().columns().into_iter().map(Expr::Column).chain(values).collect();
    inputs.insert(0, LogicalPlanBuilder::from(first).project(all)?.build()?);
    let node = node.with_new_exprs(expressions, inputs)?;
    if !keeps_columns {
        return Ok(Transformed::yes(node));
    }
    let shown = columns.into_iter().map(Expr::Column);
    Ok(Transformed::yes(LogicalPlanBuilder::from(node).project(shown)?.build()?))
}

/// Whether a subquery can be a column of the node's first input.
fn is_alone(node: &LogicalPlan, subquery: &Subquery) -> bool {
    subquery.outer_ref_columns.is_empty() || !matches!(node, LogicalPlan::Join(_))
}
