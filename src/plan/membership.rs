//! A pass over the plan as it was written: IN, ANY, ALL and EXISTS where DataFusion's joins overlook nulls, or are not planned.
//!
//! `x IN (SELECT y …)` is true where a row has `x = y`, else unknown where one has a null there, else false; `x op ANY` is
//! the same with another comparison, `NOT IN` and `ALL` are its negation.
//!
//! | where | | becomes |
//! |---|---|---|
//! | a condition where unknown is as good as false | `x IN Q` | itself, a semi or mark join |
//! | | `x NOT IN Q`, alone | itself, an anti join that knows nulls |
//! | | `x NOT IN Q`, below OR, or of a constant | no row has `x = y`, none has `y IS NULL`, and x is not null or Q is empty |
//! | | `x NOT IN Q`, Q with columns of the query around it | `NOT EXISTS (Q WHERE (x = y) IS NOT FALSE)` |
//! | any other place | `x IN Q` | `CASE WHEN` a row has `x = y` `THEN true WHEN` one has a null `THEN NULL ELSE false END` |
//! | Q an aggregate with columns of the query around it | `x IN Q` | `x = Q` |
//! | anywhere | rows `(a, b) IN Q` | as above, by EXISTS, with `a = x AND b = y`; unknown: a row where that `IS NOT FALSE` |
//! | outside of WHERE and HAVING | `EXISTS Q` | `(SELECT count(*) > 0 …)` |

use super::context::mistake;
use super::rows::ROW;
use crate::sql::Code;
use crate::sql::Diagnostic;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchemaRef, ExprSchema, Result, ScalarValue, Spans};
use datafusion::error::DataFusionError;
use datafusion::functions::expr_fn::get_field;
use datafusion::functions_aggregate::expr_fn::{count, max, min};
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison, SetQuantifier};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable, Filter, LogicalPlan, LogicalPlanBuilder, Operator, Projection, Subquery,
    lit, not, when,
};
use std::sync::Arc;

/// What the subquery's column is called beside those of the query around it.
const MEMBER: &str = "__member";

/// The plan whose subqueries in conditions are right where there are nulls.
pub(super) fn exact(plan: LogicalPlan) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Filter(filter) if has_test(&filter.predicate)? => {
            let scope = Scope { schema: filter.input.schema().clone(), joins: true };
            let predicate = scope.condition(filter.predicate, Unknown::False, true)?;
            Ok(Transformed::yes(LogicalPlan::Filter(Filter::try_new(predicate, filter.input)?)))
        }
        LogicalPlan::Projection(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Join(_) => values(node),
        other => Ok(Transformed::no(other)),
    });
    Ok(rewritten?.data)
}

/// Tests in a node of which the optimizer makes no joins.
fn values(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let Some(schema) = tested_columns(&node)? else { return Ok(Transformed::no(node)) };
    let scope = Scope { schema, joins: false };
    let names = NamePreserver::new(&node);
    node.map_expressions(|expr| {
        if !has_test(&expr)? {
            return Ok(Transformed::no(expr));
        }
        let name = names.save(&expr);
        Ok(Transformed::yes(name.restore(scope.condition(expr, Unknown::Kept, false)?)))
    })
}

/// The columns that a node's tests are about, if it has some.
fn tested_columns(node: &LogicalPlan) -> Result<Option<DFSchemaRef>> {
    let mut tested = false;
    node.apply_expressions(|expr| {
        tested |= has_test(expr)?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    let mut schemas = node.inputs().into_iter().map(|input| input.schema());
    let Some(first) = schemas.next().filter(|_| tested).cloned() else { return Ok(None) };
    let join = |all: DFSchemaRef, next: &DFSchemaRef| Ok::<_, DataFusionError>(Arc::new(all.join(next)?));
    schemas.try_fold(first, join).map(Some)
}

fn has_test(expr: &Expr) -> Result<bool> {
    expr.exists(|e| Ok(matches!(e, Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_))))
}

/// What an unknown truth value may be taken for where an expression stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unknown {
    False,
    True,
    Kept,
}

impl Unknown {
    fn negated(self) -> Self {
        match self {
            Unknown::False => Unknown::True,
            Unknown::True => Unknown::False,
            Unknown::Kept => Unknown::Kept,
        }
    }
}

/// Where a condition stands.
struct Scope {
    /// The columns that it is about.
    schema: DFSchemaRef,
    /// Whether the optimizer makes joins of the tests there.
    joins: bool,
}

/// `value op ANY (subquery)`, or its negation.
struct Member {
    value: Expr,
    op: Operator,
    subquery: Subquery,
    negated: bool,
    /// Whether it was written as IN, which the optimizer knows.
    is_in: bool,
}

impl Scope {
    /// The condition with other tests in it. `whole`: it is one of those that a row must meet.
    fn condition(&self, expr: Expr, unknown: Unknown, whole: bool) -> Result<Expr> {
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
                let whole = whole && op == Operator::And;
                let left = Box::new(self.condition(*left, unknown, whole)?);
                let right = Box::new(self.condition(*right, unknown, whole)?);
                Ok(Expr::BinaryExpr(BinaryExpr { left, op, right }))
            }
            Expr::Not(inner) => match *inner {
                Expr::Not(inner) => self.condition(*inner, unknown, whole),
                Expr::InSubquery(test) => {
                    let negated = !test.negated;
                    self.condition(Expr::InSubquery(InSubquery { negated, ..test }), unknown, whole)
                }
                Expr::Exists(Exists { subquery, negated }) => self.exists(subquery, !negated),
                inner => Ok(not(self.condition(inner, unknown.negated(), false)?)),
            },
            Expr::Exists(Exists { subquery, negated }) => self.exists(subquery, negated),
            Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
                let member = Member { value: *expr, op: Operator::Eq, subquery, negated, is_in: true };
                self.member(member, unknown, whole)
            }
            Expr::SetComparison(SetComparison { expr, subquery, op, quantifier }) => {
                let all = quantifier == SetQuantifier::All;
                // It holds for all where its contrary holds for none.
                let contrary = if all { op.negate() } else { Some(op) };
                let Some(contrary) = contrary else {
                    return Ok(Expr::SetComparison(SetComparison { expr, subquery, op, quantifier }));
                };
                let member = Member { value: *expr, op: contrary, subquery, negated: all, is_in: false };
                self.member(member, unknown, whole)
            }
            other => Ok(other
                .map_children(|e| Ok(Transformed::yes(self.condition(e, Unknown::Kept, false)?)))?
                .data),
        }
    }

    fn exists(&self, subquery: Subquery, negated: bool) -> Result<Expr> {
        if is_one_row(&subquery) {
            return Ok(lit(!negated));
        }
        if self.joins {
            return Ok(Expr::Exists(Exists { subquery, negated }));
        }
        let any = has_rows(subquery.subquery.as_ref().clone())?;
        Ok(if negated { not(any) } else { any })
    }

    fn member(&self, member: Member, unknown: Unknown, whole: bool) -> Result<Expr> {
        let Member { value, subquery, negated, .. } = &member;
        let row = member.row().is_some();
        if row && (super::has_subquery(value) || is_one_row(subquery)) {
            let d = Diagnostic::coded(Code::Types, "a row cannot be IN such a subquery");
            return Err(mistake(d.help("compare its values one by one, each with a subquery of its own")));
        }
        if super::has_subquery(value) {
            return Ok(member.written());
        }
        if is_one_row(subquery) {
            let op = if *negated { member.op.negate().unwrap_or(member.op) } else { member.op };
            let one = Expr::ScalarSubquery(subquery.clone());
            return Ok(Expr::BinaryExpr(BinaryExpr::new(Box::new(member.value), op, Box::new(one))));
        }
        if !self.joins {
            return self.three_valued(&member);
        }
        let alone = subquery.outer_ref_columns.is_empty();
        let keyed = !value.column_refs().is_empty() && !is_constant(&subquery.subquery);
        match (unknown, *negated) {
            (Unknown::False, false) if member.is_in && !row => Ok(member.written()),
            (Unknown::False, true) if member.is_in && !row && whole && alone && keyed => Ok(member.written()),
            (Unknown::False, false) => self.some(&member, Rows::True),
            (Unknown::False, true) => self.none(&member),
            (Unknown::True, false) => Ok(not(self.none(&member)?)),
            (Unknown::True, true) => Ok(not(self.some(&member, Rows::True)?)),
            (Unknown::Kept, _) => self.three_valued(&member),
        }
    }

    /// Whether no row compares true, and none unknown.
    fn none(&self, member: &Member) -> Result<Expr> {
        if member.row().is_some() {
            return Ok(not(self.some(member, Rows::NotFalse)?));
        }
        let [value, column] = self.nullable(member)?;
        if !member.subquery.outer_ref_columns.is_empty() {
            let rows = if value || column { Rows::NotFalse } else { Rows::True };
            return Ok(not(self.some(member, rows)?));
        }
        let none = not(self.some(member, Rows::True)?);
        Ok(match self.unknown(member)? {
            Some(unknown) => none.and(not(unknown)),
            None => none,
        })
    }

    /// Whether a row compares unknown; `None` where none can.
    fn unknown(&self, member: &Member) -> Result<Option<Expr>> {
        if member.row().is_some() {
            // That it does not compare true has been seen before.
            return self.some(member, Rows::NotFalse).map(Some);
        }
        let [value, column] = self.nullable(member)?;
        let column = column.then(|| self.some(member, Rows::Null)).transpose()?;
        let value = match value {
            true => Some(member.value.clone().is_null().and(self.some(member, Rows::All)?)),
            false => None,
        };
        Ok(match (column, value) {
            (Some(column), Some(value)) => Some(column.or(value)),
            (column, value) => column.or(value),
        })
    }

    fn three_valued(&self, member: &Member) -> Result<Expr> {
        let some = self.some(member, Rows::True)?;
        let truth = match self.unknown(member)? {
            Some(unknown) => {
                when(some, lit(true)).when(unknown, lit(ScalarValue::Boolean(None))).otherwise(lit(false))?
            }
            // Over no rows there is no extreme.
            None if is_ordered(member) => when(some, lit(true)).otherwise(lit(false))?,
            None => some,
        };
        Ok(if member.negated { not(truth) } else { truth })
    }

    /// Whether the value, and whether the subquery's column, can be null.
    fn nullable(&self, member: &Member) -> Result<[bool; 2]> {
        let column = member.subquery.subquery.schema().field(0).is_nullable();
        Ok([member.value.nullable(self.schema.as_ref())?, column])
    }

    /// Whether the subquery has such a row.
    fn some(&self, member: &Member, rows: Rows) -> Result<Expr> {
        let plan = self.members(member)?;
        let column = Expr::Column(Column::new_unqualified(MEMBER));
        let compared = |column: Expr| -> Result<Expr> {
            let one = |value: &Expr, column: Expr| -> Result<Expr> {
                let value = Box::new(self.outer(value.clone())?);
                Ok(Expr::BinaryExpr(BinaryExpr::new(value, member.op, Box::new(column))))
            };
            let Some((values, _)) = member.row() else { return one(&member.value, column) };
            let all = values.iter().enumerate().map(|(i, v)| one(v, Expr::Column(nth(i))));
            Ok(conjunction(all.collect::<Result<Vec<_>>>()?).unwrap_or(lit(true)))
        };
        if !self.joins && matches!(rows, Rows::True) && is_ordered(member) {
            return self.extreme(member, plan.build()?);
        }
        let plan = match rows {
            Rows::True => plan.filter(compared(column)?)?,
            Rows::NotFalse => plan.filter(compared(column)?.is_not_false())?,
            Rows::Null => plan.filter(column.is_null())?,
            Rows::All => plan,
        }
        .build()?;
        // What does not hang on the row around it is asked once.
        if self.joins && plan_has_outer(&plan) {
            return Ok(Expr::Exists(Exists { subquery: subquery(plan), negated: false }));
        }
        has_rows(plan)
    }

    /// The subquery's values under names that are nowhere else. (An alias would hide what conditions on the row around the
    /// subquery name.)
    fn members(&self, member: &Member) -> Result<LogicalPlanBuilder> {
        // In the place of the subquery's own columns: for what it names of the row around it the optimizer puts columns
        // beside them, and those may have the same name.
        let (input, value) = match member.subquery.subquery.as_ref() {
            LogicalPlan::Projection(Projection { expr, input, .. }) if expr.len() == 1 => {
                (input, expr[0].clone().unalias())
            }
            plan => (&member.subquery.subquery, Expr::Column(plan.schema().columns().swap_remove(0))),
        };
        let values = match (member.row(), value) {
            (None, value) => vec![value.alias(MEMBER)],
            (Some(_), Expr::ScalarFunction(call)) if call.name() == ROW => {
                call.args.into_iter().enumerate().map(|(i, v)| v.unalias().alias(nth(i).name)).collect()
            }
            (Some((_, names)), value) => {
                let field = |(i, name): (usize, &str)| get_field(value.clone(), name).alias(nth(i).name);
                names.into_iter().enumerate().map(field).collect()
            }
        };
        LogicalPlanBuilder::from(input.as_ref().clone()).project(values)
    }

    /// Whether a value compares true (or unknown, over no rows), from the least and the greatest: no join by another comparison is needed.
    fn extreme(&self, member: &Member, plan: LogicalPlan) -> Result<Expr> {
        let compared = |aggregate: fn(Expr) -> Expr| -> Result<Expr> {
            let call = aggregate(Expr::Column(Column::new_unqualified(MEMBER)));
            let plan =
                LogicalPlanBuilder::from(plan.clone()).aggregate(Vec::<Expr>::new(), [call])?.build()?;
            let column = Expr::Column(plan.schema().columns().swap_remove(0));
            let plan = LogicalPlanBuilder::from(plan).project([column.alias(MEMBER)])?.build()?;
            let extreme = Box::new(Expr::ScalarSubquery(subquery(plan)));
            Ok(Expr::BinaryExpr(BinaryExpr::new(Box::new(member.value.clone()), member.op, extreme)))
        };
        Ok(match member.op {
            Operator::Lt | Operator::LtEq => compared(max)?,
            Operator::Gt | Operator::GtEq => compared(min)?,
            _ => compared(min)?.or(compared(max)?),
        })
    }

    /// The columns of this scope as seen from a subquery.
    fn outer(&self, expr: Expr) -> Result<Expr> {
        let outer = expr.transform(|e| match e {
            Expr::Column(column) => {
                let field = self.schema.field_from_column(&column)?.clone();
                Ok(Transformed::yes(Expr::OuterReferenceColumn(field, column)))
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok(outer.data)
    }
}

/// Rows of a subquery, by how they compare.
#[derive(Debug, Clone, Copy)]
enum Rows {
    True,
    NotFalse,
    /// The column is null.
    Null,
    All,
}

impl Member {
    /// The values of a row, and what they are called in the subquery's.
    fn row(&self) -> Option<(&[Expr], Vec<&str>)> {
        let Expr::ScalarFunction(call) = &self.value else { return None };
        let DataType::Struct(fields) = self.subquery.subquery.schema().field(0).data_type() else {
            return None;
        };
        let alike = self.is_in && call.name() == ROW && call.args.len() == fields.len();
        alike.then(|| (call.args.as_slice(), fields.iter().map(|f| f.name().as_str()).collect()))
    }

    fn written(self) -> Expr {
        let Member { value, op, subquery, negated, is_in } = self;
        if is_in {
            return Expr::InSubquery(InSubquery { expr: Box::new(value), subquery, negated });
        }
        let (op, quantifier) = match negated {
            true => (op.negate().unwrap_or(op), SetQuantifier::All),
            false => (op, SetQuantifier::Any),
        };
        Expr::SetComparison(SetComparison { expr: Box::new(value), subquery, op, quantifier })
    }
}

/// Whether the least and the greatest of the subquery's values tell if one compares true.
fn is_ordered(member: &Member) -> bool {
    let data_type = member.subquery.subquery.schema().field(0).data_type();
    let op =
        matches!(member.op, Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq | Operator::NotEq);
    op && super::subqueries::has_greatest(data_type)
}

/// The name of one of a row's values.
fn nth(i: usize) -> Column {
    Column::new_unqualified(format!("{MEMBER}{i}"))
}

fn plan_has_outer(plan: &LogicalPlan) -> bool {
    !plan.all_out_ref_exprs().is_empty()
}

fn subquery(plan: LogicalPlan) -> Subquery {
    let outer_ref_columns = plan.all_out_ref_exprs();
    Subquery { subquery: Arc::new(plan), outer_ref_columns, spans: Spans::new() }
}

/// `(SELECT count(*) > 0 FROM plan)`
fn has_rows(plan: LogicalPlan) -> Result<Expr> {
    if is_decided_outside(&plan)? {
        let d = Diagnostic::coded(
            Code::NotMaintained,
            "a subquery in an expression is not maintained continuously with this condition",
        )
        .note("one of its conditions is about the query around it only");
        return Err(mistake(d.help("put that condition outside of the subquery: c AND x IN (SELECT …)")));
    }
    let plan = LogicalPlanBuilder::from(plan).aggregate(Vec::<Expr>::new(), [count(lit(1i64))])?.build()?;
    let rows = Expr::Column(plan.schema().columns().swap_remove(0));
    let any = rows.gt(lit(0i64)).alias("__any");
    Ok(Expr::ScalarSubquery(subquery(LogicalPlanBuilder::from(plan).project([any])?.build()?)))
}

/// Whether a condition in the subquery is about the query around it only: of such the optimizer makes no join for a value.
fn is_decided_outside(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|node| {
        let LogicalPlan::Filter(filter) = node else { return Ok(false) };
        let mut conditions = split_conjunction(&filter.predicate).into_iter();
        Ok(conditions.any(|c| c.contains_outer() && c.column_refs().is_empty()))
    })
}

/// Whether a subquery with columns of the query around it is an aggregate over all rows, and so has one row even where none
/// match; as a join the optimizer would not see that row.
fn is_one_row(subquery: &Subquery) -> bool {
    fn of(plan: &LogicalPlan) -> bool {
        match plan {
            LogicalPlan::Aggregate(a) => a.group_expr.is_empty(),
            LogicalPlan::Projection(p) => of(&p.input),
            LogicalPlan::SubqueryAlias(a) => of(&a.input),
            LogicalPlan::Sort(s) => s.fetch.is_none() && of(&s.input),
            _ => false,
        }
    }
    !subquery.outer_ref_columns.is_empty() && of(&subquery.subquery)
}

/// Whether the subquery's column is the same in all rows: there is then nothing to join by.
fn is_constant(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(p) => p.expr.first().is_some_and(|e| match e.clone().unalias() {
            Expr::Column(Column { .. }) => is_constant(&p.input),
            e => e.column_refs().is_empty(),
        }),
        LogicalPlan::SubqueryAlias(a) => is_constant(&a.input),
        LogicalPlan::Filter(f) => is_constant(&f.input),
        LogicalPlan::Distinct(_) | LogicalPlan::Sort(_) => plan.inputs().into_iter().all(is_constant),
        _ => false,
    }
}
