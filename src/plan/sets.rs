//! A pass over the plan as it was written: INTERSECT ALL and EXCEPT ALL, which DataFusion takes for semi and anti joins,
//! that is without counting how often a row is on either side.
//!
//! | plan | becomes |
//! |---|---|
//! | `l INTERSECT ALL r` | each row of `l UNION ALL r` `least(l's, r's)` times |
//! | `l EXCEPT ALL r` | each row of `l UNION ALL r` `greatest(l's - r's, 0)` times |
//!
//! Without ALL the left side is distinct, and a join is right.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, JoinType, NullEquality, Result, plan_err};
use datafusion::functions::core::expr_fn::{greatest, least};
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::functions_nested::range::range_udf;
use datafusion::logical_expr::{Distinct, Expr, Join, LogicalPlan, LogicalPlanBuilder, cast, lit};
use datafusion::logical_expr_common::type_coercion::binary::comparison_coercion;

/// How often a row is on the left, on the right, and in the answer.
const COUNTS: [&str; 2] = ["__left", "__right"];
const COPIES: &str = "__copies";

/// The plan with its INTERSECT ALL and EXCEPT ALL by counts.
pub(super) fn counted(plan: LogicalPlan) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Join(join) if counts(&join) => Ok(Transformed::yes(by_counts(join)?)),
        other => Ok(Transformed::no(other)),
    })?;
    if !rewritten.transformed {
        return Ok(rewritten.data);
    }
    // Whether a column can be null may have changed.
    Ok(rewritten.data.transform_up(|node| Ok(Transformed::yes(node.recompute_schema()?)))?.data)
}

/// Nulls are equal in no join that is written as one.
fn counts(join: &Join) -> bool {
    join.null_equality == NullEquality::NullEqualsNull
        && matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti)
        && !is_distinct(&join.left)
}

fn is_distinct(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Distinct(Distinct::All(_)) => true,
        LogicalPlan::SubqueryAlias(alias) => is_distinct(&alias.input),
        _ => false,
    }
}

fn place(i: usize) -> String {
    format!("__c{i}")
}

fn by_counts(join: Join) -> Result<LogicalPlan> {
    let Join { left, right, join_type, .. } = join;
    let (schema, others) = (left.schema().clone(), right.schema().clone());
    let arms = [arm(&left, &schema, right.schema(), 0)?, arm(&right, &schema, left.schema(), 1)?];
    let [left, right] = arms;
    let column = |name: &str| Expr::Column(Column::new_unqualified(name));
    let places: Vec<Expr> = (0..schema.fields().len()).map(|i| column(&place(i))).collect();
    let totals = COUNTS.map(|name| sum(column(name)).alias(name));
    let [l, r] = COUNTS.map(column);
    let copies = match join_type {
        JoinType::LeftSemi => least(vec![l, r]),
        _ => greatest(vec![l - r, lit(0i64)]),
    };
    let list = range_udf().call(vec![lit(0i64), copies.clone()]).alias(COPIES);
    let shown = schema.iter().enumerate().map(|(i, (qualifier, field))| {
        let (own, other) = (field.data_type(), others.field(i).data_type());
        let column = column(&place(i));
        let column = if own == other { column } else { cast(column, own.clone()) };
        column.alias_qualified(qualifier.cloned(), field.name())
    });
    LogicalPlanBuilder::from(left)
        .union(right)?
        .aggregate(places.clone(), totals)?
        .filter(copies.gt(lit(0i64)))?
        .project(places.into_iter().chain([list]))?
        .unnest_column(Column::new_unqualified(COPIES))?
        .project(shown.collect::<Vec<_>>())?
        .build()
}

/// One side under names of places, with a column for each side's count. Values have the type by which the sides compare.
fn arm(plan: &LogicalPlan, left: &DFSchema, other: &DFSchema, side: usize) -> Result<LogicalPlan> {
    let mut columns = Vec::new();
    for (i, (qualifier, field)) in plan.schema().iter().enumerate() {
        let (own, others) = (field.data_type(), other.field(i).data_type());
        let Some(common) = comparison_coercion(own, others) else {
            let name = left.field(i).name();
            return plan_err!(
                "the two sides of a set operation cannot be compared: {own} and {others} of {name}"
            );
        };
        let column = Expr::Column(Column::from((qualifier, field)));
        let column = if common == *own { column } else { cast(column, common) };
        columns.push(column.alias(place(i)));
    }
    for (i, name) in COUNTS.iter().enumerate() {
        columns.push(lit(i64::from(i == side)).alias(*name));
    }
    LogicalPlanBuilder::from(plan.clone()).project(columns)?.build()
}
