//! Joins with USING and NATURAL as the SQL standard has them: one column for both sides' columns, before all others.
//!
//! DataFusion takes the left side's column for both, or in `*` the one whose relation's name sorts first. It is null where
//! an outer join has no row there.
//!
//! | join | the column of both | dropped |
//! |---|---|---|
//! | `a JOIN b USING (k)` | `a.k`, or `b.k` if the query names it | the other |
//! | `a LEFT JOIN b USING (k)` | `a.k` | `b.k` |
//! | `a RIGHT JOIN b USING (k)` | `b.k` | `a.k` |
//! | `a FULL JOIN b USING (k)` | `coalesce(a.k, b.k)`, under the name `a.k` | both |
//!
//! A query that names the dropped column, or `a.*`, gets DataFusion's join where that gives the same, else it is refused.
//! Names are looked for in all of its text.

use super::context::mistake;
use crate::sql::Code;
use crate::sql::{self, Diagnostic, METADATA_COLUMNS};
use datafusion::common::{Column, JoinType, Result};
use datafusion::functions::expr_fn::coalesce;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use sqlparser::ast::{self, JoinConstraint, JoinOperator, TableFactor, TableWithJoins};
use std::collections::HashSet;
use std::ops::ControlFlow;

/// The query with each such join in parentheses, with all that stands before it: it then reaches [`UsingPlanner`].
pub(super) fn nested(query: &mut ast::Query) {
    struct Nest;
    impl ast::VisitorMut for Nest {
        type Break = ();
        fn pre_visit_select(&mut self, select: &mut ast::Select) -> ControlFlow<()> {
            select.from.iter_mut().for_each(|from| nest(from, from.joins.len()));
            ControlFlow::Continue(())
        }
        fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
            if let TableFactor::NestedJoin { table_with_joins, .. } = factor {
                // The last one has its parentheses already.
                let before = table_with_joins.joins.len().saturating_sub(1);
                nest(table_with_joins, before);
            }
            ControlFlow::Continue(())
        }
    }
    let _ = ast::VisitMut::visit(query, &mut Nest);
}

/// Puts the last of the first `count` joins that merges columns, and what is before it, in parentheses.
fn nest(from: &mut TableWithJoins, count: usize) {
    let Some(last) = from.joins[..count].iter().rposition(|join| merging(join).is_some()) else { return };
    let rest = from.joins.split_off(last + 1);
    let inner =
        TableWithJoins { relation: from.relation.clone(), joins: std::mem::replace(&mut from.joins, rest) };
    from.relation = TableFactor::NestedJoin { table_with_joins: Box::new(inner), alias: None };
}

/// How a join with USING or NATURAL joins, if it is one that has columns of both sides.
fn merging(join: &ast::Join) -> Option<(JoinType, &JoinConstraint)> {
    let (join_type, constraint) = match &join.join_operator {
        JoinOperator::Join(c) | JoinOperator::Inner(c) => (JoinType::Inner, c),
        JoinOperator::Left(c) | JoinOperator::LeftOuter(c) => (JoinType::Left, c),
        JoinOperator::Right(c) | JoinOperator::RightOuter(c) => (JoinType::Right, c),
        JoinOperator::FullOuter(c) => (JoinType::Full, c),
        _ => return None,
    };
    let merges = matches!(constraint, JoinConstraint::Using(_) | JoinConstraint::Natural);
    let lateral = match &join.relation {
        TableFactor::Derived { lateral, .. } | TableFactor::Function { lateral, .. } => *lateral,
        TableFactor::UNNEST { .. } => true,
        _ => false,
    };
    (merges && !lateral).then_some((join_type, constraint))
}

/// What a query's text names with its relation.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// `relation.column`
    columns: HashSet<(String, String)>,
    /// `relation.*`
    all_of: HashSet<String>,
    /// Whether there is a `*` of everything.
    all: bool,
}

impl Named {
    /// All that stands in this query.
    pub(super) fn of(query: &ast::Query) -> Self {
        let mut named = Named::default();
        let _ = ast::Visit::visit(query, &mut named);
        named
    }

    fn has(&self, column: &Column) -> bool {
        column.relation.as_ref().is_some_and(|relation| {
            let relation = relation.table().to_string();
            self.all_of.contains(&relation) || self.columns.contains(&(relation, column.name.clone()))
        })
    }
}

impl ast::Visitor for Named {
    type Break = ();
    fn pre_visit_select(&mut self, select: &ast::Select) -> ControlFlow<()> {
        for item in &select.projection {
            match item {
                ast::SelectItem::Wildcard(_) => self.all = true,
                ast::SelectItem::QualifiedWildcard(
                    ast::SelectItemQualifiedWildcardKind::ObjectName(name),
                    _,
                ) => self.all_of.extend(name.0.last().and_then(|p| p.as_ident()).map(sql::fold)),
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }
    fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<()> {
        match expr {
            ast::Expr::CompoundIdentifier(parts) => {
                let pairs = parts.windows(2).map(|pair| (sql::fold(&pair[0]), sql::fold(&pair[1])));
                self.columns.extend(pairs);
            }
            ast::Expr::QualifiedWildcard(name, _) => {
                self.all_of.extend(name.0.last().and_then(|p| p.as_ident()).map(sql::fold));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Plans the joins that [`nested`] has put in parentheses.
#[derive(Debug)]
pub(super) struct UsingPlanner(pub(super) Named);

impl RelationPlanner for UsingPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let original = |relation| Ok(RelationPlanning::Original(Box::new(relation)));
        let TableFactor::NestedJoin { mut table_with_joins, alias } = relation else {
            return original(relation);
        };
        let last = table_with_joins.joins.pop();
        let Some((last, (join_type, constraint))) = last.as_ref().and_then(|j| Some((j, merging(j)?))) else {
            table_with_joins.joins.extend(last);
            return original(TableFactor::NestedJoin { table_with_joins, alias });
        };
        let left = match table_with_joins.joins.is_empty() {
            true => context.plan(table_with_joins.relation)?,
            false => context.plan(TableFactor::NestedJoin { table_with_joins, alias: None })?,
        };
        let right = context.plan(last.relation.clone())?;
        let keys = match constraint {
            JoinConstraint::Using(names) => {
                names.iter().map(|name| using(name, context)).collect::<Result<_>>()?
            }
            _ => common(&left, &right),
        };
        let plan = self.join(left, right, join_type, keys)?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
    }
}

impl UsingPlanner {
    fn join(
        &self,
        left: LogicalPlan,
        right: LogicalPlan,
        join_type: JoinType,
        keys: Vec<String>,
    ) -> Result<LogicalPlan> {
        if keys.is_empty() {
            return LogicalPlanBuilder::from(left).join_on(right, join_type, [])?.build();
        }
        let of = |plan: &LogicalPlan| -> Result<Vec<Column>> {
            keys.iter().map(|key| key_column(plan, key)).collect()
        };
        let (ours, theirs) = (of(&left)?, of(&right)?);
        let named = |columns: &[Column]| columns.iter().find(|c| self.0.has(c)).cloned();
        let (left_named, right_named) = (named(&ours), named(&theirs));
        let merged: Vec<Expr> = match join_type {
            JoinType::Inner if right_named.is_none() => columns(&ours),
            JoinType::Inner if left_named.is_none() => columns(&theirs),
            JoinType::Left if right_named.is_none() => columns(&ours),
            JoinType::Right if left_named.is_none() => columns(&theirs),
            JoinType::Full if left_named.is_none() && right_named.is_none() => {
                ours.iter().zip(&theirs).map(|(l, r)| either(l, r)).collect()
            }
            // As `*` takes the column of the relation whose name sorts first.
            JoinType::Left if self.0.all && ours.iter().zip(&theirs).any(|(l, r)| r < l) => {
                return Err(refused(join_type, &ours, &theirs, right_named));
            }
            JoinType::Inner | JoinType::Left => {
                let keys = keys.into_iter().map(Column::new_unqualified).collect();
                return LogicalPlanBuilder::from(left).join_using(right, join_type, keys)?.build();
            }
            _ => return Err(refused(join_type, &ours, &theirs, left_named.or(right_named))),
        };
        let others = |plan: &LogicalPlan, keys: &[Column]| -> Vec<Expr> {
            let all = plan.schema().columns().into_iter();
            all.filter(|c| !keys.contains(c)).map(Expr::Column).collect()
        };
        let all = [merged, others(&left, &ours), others(&right, &theirs)].concat();
        LogicalPlanBuilder::from(left).join(right, join_type, (ours, theirs), None)?.project(all)?.build()
    }
}

/// The name in USING.
fn using(name: &ast::ObjectName, context: &dyn RelationPlannerContext) -> Result<String> {
    match name.0.as_slice() {
        [ast::ObjectNamePart::Identifier(ident)] => Ok(context.normalize_ident(ident.clone())),
        _ => Err(mistake(Diagnostic::coded(
            Code::Ambiguous,
            format!("USING takes the names of columns, not {name}"),
        ))),
    }
}

/// The names that both sides have.
fn common(left: &LogicalPlan, right: &LogicalPlan) -> Vec<String> {
    let theirs: HashSet<&String> = right.schema().fields().iter().map(|f| f.name()).collect();
    let mut seen = HashSet::new();
    let names = left.schema().fields().iter().map(|f| f.name());
    let both = names.filter(|n| theirs.contains(n) && !METADATA_COLUMNS.contains(&n.as_str()));
    both.filter(|n| seen.insert(*n)).cloned().collect()
}

fn key_column(plan: &LogicalPlan, name: &str) -> Result<Column> {
    let schema = plan.schema().as_ref();
    Column::new_unqualified(name)
        .normalize_with_schemas_and_ambiguity_check(&[&[schema]], &plan.using_columns()?)
}

fn columns(columns: &[Column]) -> Vec<Expr> {
    columns.iter().cloned().map(Expr::Column).collect()
}

/// The value of the side that has a row, as the left's column.
fn either(left: &Column, right: &Column) -> Expr {
    let value = coalesce(vec![Expr::Column(left.clone()), Expr::Column(right.clone())]);
    value.alias_qualified(left.relation.clone(), left.name.clone())
}

fn refused(
    join_type: JoinType,
    left: &[Column],
    right: &[Column],
    named: Option<Column>,
) -> datafusion::error::DataFusionError {
    let side = join_type.to_string().to_uppercase();
    let made = format!("{side} JOIN with USING or NATURAL has one column for both sides");
    let mut d = Diagnostic::coded(
        Code::Ambiguous,
        match named {
            Some(named) => format!("{made}, and no \"{named}\" beside it"),
            None => made,
        },
    );
    if let (Some(l), Some(r)) = (left.first(), right.first()) {
        let help = match join_type {
            JoinType::Left => format!("write ON {l} = {r}, or the names of the columns instead of *"),
            _ => format!("write ON {l} = {r}, and coalesce({l}, {r}) for the column of both"),
        };
        d = d.help(help);
    }
    mistake(d)
}
