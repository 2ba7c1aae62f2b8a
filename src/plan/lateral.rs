//! A pass over the plan as it was written: relations that are made of the row beside them, such as
//! `CROSS JOIN UNNEST(s.list)`, which DataFusion does not plan.
//!
//! | plan | becomes |
//! |---|---|
//! | `s, UNNEST(s.list) AS u(x)` | the rows of s with their list, unnested |
//! | `s JOIN LATERAL (SELECT … FROM UNNEST(s.list) … WHERE c) ON d` | the same, filtered by c and d |
//! | `s LEFT JOIN UNNEST(s.list) ON true` | the same; a null stands for what an empty list and a null lack |
//! | `s JOIN LATERAL (SELECT s.a + 1 AS b)` | a projection of s |
//! | a lateral subquery that reads a stream | itself: the optimizer makes a join of it |

use super::context::mistake;
use crate::sql::Code;
use crate::sql::Diagnostic;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, JoinType, NullHandling, Result};
use datafusion::logical_expr::{Expr, Join, LogicalPlan, LogicalPlanBuilder, Projection, Unnest, lit};
use std::sync::Arc;

/// The plan with its relations over the row beside them.
pub(super) fn grafted(plan: LogicalPlan) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Join(join) => Ok(match over_left(&join)? {
            Some(plan) => Transformed::yes(plan),
            None => Transformed::no(LogicalPlan::Join(join)),
        }),
        other => Ok(Transformed::no(other)),
    });
    Ok(rewritten?.data)
}

/// A lateral relation over the rows of the left.
struct Graft<'a> {
    left: &'a LogicalPlan,
    /// Whether a row of the left stays where its lists have no element.
    keeps: bool,
    /// How many unnestings there are.
    unnested: usize,
    /// Names given so far.
    names: usize,
}

/// The left's columns, then those of the relation: how it names them, and how they are named here.
struct Grown {
    plan: LogicalPlan,
    own: Vec<(Column, Column)>,
}

fn over_left(join: &Join) -> Result<Option<LogicalPlan>> {
    let keeps = match join.join_type {
        JoinType::Inner => false,
        JoinType::Left => true,
        _ => return Ok(None),
    };
    if !is_lateral(&join.right) || !join.on.is_empty() {
        return Ok(None);
    }
    let mut graft = Graft { left: &join.left, keeps, unnested: 0, names: 0 };
    let Some(Grown { plan, own }) = graft.over(&join.right)? else { return Ok(None) };
    let always = join.filter.as_ref().is_none_or(|f| *f == lit(true));
    if keeps && !(always && graft.unnested <= 1) {
        let d = Diagnostic::coded(
            Code::NotMaintained,
            "LEFT JOIN of a list's elements keeps every row: it takes no condition",
        );
        return Err(mistake(d.help("write LEFT JOIN UNNEST(…) ON true, or JOIN with the condition")));
    }
    let left = join.left.schema().columns().into_iter().map(Expr::Column);
    let own = own
        .into_iter()
        .map(|(old, now)| Expr::Column(now).alias_qualified(old.relation.clone(), old.name.clone()));
    let mut plan = LogicalPlanBuilder::from(plan).project(left.chain(own).collect::<Vec<_>>())?;
    if let Some(filter) = join.filter.clone().filter(|_| !always) {
        plan = plan.filter(filter)?;
    }
    plan.build().map(Some)
}

fn is_lateral(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => is_lateral(&alias.input),
        LogicalPlan::Subquery(subquery) => !subquery.outer_ref_columns.is_empty(),
        _ => false,
    }
}

impl Graft<'_> {
    fn width(&self) -> usize {
        self.left.schema().fields().len()
    }

    /// The relation over the left, or `None` where it reads rows of its own.
    fn over(&mut self, plan: &LogicalPlan) -> Result<Option<Grown>> {
        match plan {
            LogicalPlan::EmptyRelation(empty) if empty.produce_one_row => {
                Ok(Some(Grown { plan: self.left.clone(), own: vec![] }))
            }
            LogicalPlan::Subquery(subquery) => self.over(&subquery.subquery),
            LogicalPlan::SubqueryAlias(alias) => {
                let Some(Grown { plan, own }) = self.over(&alias.input)? else { return Ok(None) };
                let names = alias.schema.columns();
                let own = names.into_iter().zip(own).map(|(name, (_, now))| (name, now)).collect();
                Ok(Some(Grown { plan, own }))
            }
            LogicalPlan::Projection(projection) => self.projected(projection),
            LogicalPlan::Filter(filter) if !self.keeps => {
                let Some(Grown { plan, own }) = self.over(&filter.input)? else { return Ok(None) };
                let Some(predicate) = self.here(&filter.predicate, &own)? else { return Ok(None) };
                let plan = LogicalPlanBuilder::from(plan).filter(predicate)?.build()?;
                Ok(Some(Grown { plan, own }))
            }
            LogicalPlan::Unnest(unnest) => self.unnested(unnest),
            _ => Ok(None),
        }
    }

    fn projected(&mut self, projection: &Projection) -> Result<Option<Grown>> {
        let Some(Grown { plan, own }) = self.over(&projection.input)? else { return Ok(None) };
        let mut all: Vec<Expr> = self.left.schema().columns().into_iter().map(Expr::Column).collect();
        let mut now = Vec::new();
        for (expr, old) in projection.expr.iter().zip(projection.schema.columns()) {
            let Some(expr) = self.here(expr, &own)? else { return Ok(None) };
            let name = format!("__lateral{}", self.names);
            self.names += 1;
            all.push(expr.unalias().alias(&name));
            now.push((old, Column::new_unqualified(name)));
        }
        let plan = LogicalPlanBuilder::from(plan).project(all)?.build()?;
        Ok(Some(Grown { plan, own: now }))
    }

    fn unnested(&mut self, unnest: &Unnest) -> Result<Option<Grown>> {
        let Some(Grown { plan, own }) = self.over(&unnest.input)? else { return Ok(None) };
        let here = |column: &Column| own.iter().find(|(old, _)| old == column).map(|(_, now)| now.clone());
        let Some(columns) = unnest.exec_columns.iter().map(here).collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        let mut options = unnest.options.clone();
        for recursion in &mut options.recursions {
            let Some(input) = here(&recursion.input_column) else { return Ok(None) };
            recursion.input_column = input;
        }
        self.unnested += 1;
        if self.keeps {
            if unnest.list_type_columns.iter().any(|(_, list)| list.depth > 1) {
                self.unnested += 1;
            }
            options.null_handling = NullHandling::PreserveAndExpandEmpty;
        }
        let plan = LogicalPlan::Unnest(Unnest::try_new(Arc::new(plan), columns, options)?);
        let now = plan.schema().columns().split_off(self.width());
        let own = unnest.schema.columns().into_iter().zip(now).collect();
        Ok(Some(Grown { plan, own }))
    }

    /// An expression of the relation over the columns here.
    fn here(&self, expr: &Expr, own: &[(Column, Column)]) -> Result<Option<Expr>> {
        if super::has_subquery(expr) {
            return Ok(None);
        }
        let left: &DFSchema = self.left.schema();
        let mut foreign = false;
        let here = expr.clone().transform(|e| match e {
            Expr::OuterReferenceColumn(field, column) => {
                if !left.has_column(&column) {
                    foreign = true;
                    return Ok(Transformed::no(Expr::OuterReferenceColumn(field, column)));
                }
                Ok(Transformed::yes(Expr::Column(column)))
            }
            // Those of the row beside it have just been seen, and are not asked again.
            Expr::Column(column) => {
                let now = own.iter().find(|(old, _)| *old == column).map(|(_, now)| now.clone());
                Ok(Transformed::yes(Expr::Column(now.unwrap_or(column))))
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok((!foreign).then_some(here.data))
    }
}
