//! Which expression of a running query has made a failure: the only one that can have made it.
//!
//! Nothing is kept track of while rows are computed. When a query has failed, the expressions of its plan are looked at that
//! can fail in this way; if there is one, and one in the text can be made out as it, that is the place. Else it is the query.

use super::told::Place;
use super::{Engine, EngineError};
use crate::catalog::Definitions;
use crate::delta::type_name;
use crate::sql::{self, Code, EmitQuery, normalized};
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator};
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

/// A query that runs, with what is needed to find out where it failed.
pub(super) struct Running {
    engine: Engine,
    definitions: Definitions,
    text: Arc<str>,
    query: EmitQuery,
    /// As it was planned, its result as what it writes wants it.
    plan: LogicalPlan,
}

impl Running {
    pub(super) fn new(
        engine: &Engine,
        definitions: Definitions,
        text: &str,
        query: &EmitQuery,
        plan: LogicalPlan,
    ) -> Arc<Self> {
        let (engine, text, query) = (engine.clone(), text.into(), query.clone());
        Arc::new(Running { engine, definitions, text, query, plan })
    }

    /// The query's bytes in its text.
    pub(super) fn span(&self) -> Range<usize> {
        self.query.span.clone()
    }

    /// The query as it was planned.
    pub(super) fn plan(&self) -> LogicalPlan {
        self.plan.clone()
    }

    /// The failure with its place, if it is one that an expression has made.
    pub(super) fn placed(&self, error: EngineError) -> EngineError {
        let Some(failing) = Failing::of(&error) else { return error };
        let span = self.expression(&failing).unwrap_or_else(|| self.span());
        EngineError::Placed { source: Box::new(error), place: Place { text: self.text.clone(), span } }
    }

    fn expression(&self, failing: &Failing) -> Option<Range<usize>> {
        if self.all(failing)? != 1 {
            return None;
        }
        let planner = &self.engine.0.planner;
        let makes_it = |query: &sqlparser::ast::Query| {
            let plan = planner.query(&self.definitions, &self.text, query).ok()?;
            let plan = if failing.of_subquery() { plan } else { planner.typed(&plan).ok()? };
            let LogicalPlan::Projection(p) = &plan else { return None };
            let expr = p.expr.first()?.clone().unalias();
            Some(failing.is_made_by(&expr, p.input.schema()))
        };
        let mut found = sql::suspects(&self.text, &self.query.query);
        found.retain(|suspect| makes_it(&suspect.query) == Some(true));
        let texts: HashSet<String> = found.iter().map(|s| normalized(&self.text[s.span.clone()])).collect();
        found.into_iter().min_by_key(|s| s.span.start).map(|s| s.span).filter(|_| texts.len() == 1)
    }

    /// How many different expressions of the plan can have made it; views and what types ask for are in it.
    fn all(&self, failing: &Failing) -> Option<usize> {
        let planner = &self.engine.0.planner;
        let plan = if failing.of_subquery() { self.plan.clone() } else { planner.typed(&self.plan).ok()? };
        let mut found = HashSet::new();
        let visited = plan.apply_with_subqueries(|node| {
            let schema = schema_of(node);
            node.apply_expressions(|expr| {
                expr.apply(|e| {
                    if failing.is_made_by(e, &schema) {
                        found.insert(e.to_string());
                    }
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        });
        visited.ok().map(|_| found.len())
    }
}

/// What a node's expressions are about.
fn schema_of(node: &LogicalPlan) -> DFSchema {
    match node.inputs().as_slice() {
        [] => node.schema().as_ref().clone(),
        inputs => merge_schema(inputs),
    }
}

/// A kind of failure that an expression makes.
enum Failing {
    Division,
    /// Of a value that cannot be made one of a type, if that is told.
    Cast(Option<String>),
    /// By an operator, if that is told.
    Range(Option<Operator>),
    Rows,
    Function,
}

impl Failing {
    fn of(error: &EngineError) -> Option<Self> {
        let message = error.to_string();
        Some(match error.kind()? {
            Code::DivisionByZero => Failing::Division,
            Code::NotAValue => {
                let kind = message.rsplit_once(" is not a value of type ").map(|(_, kind)| kind);
                Failing::Cast(kind.and_then(|kind| kind.split(':').next()).map(String::from))
            }
            Code::OutOfRange => {
                let signs = [(" + ", Operator::Plus), (" - ", Operator::Minus), (" * ", Operator::Multiply)];
                let said = message.rsplit_once("out of range: ").map_or("", |(_, said)| said);
                Failing::Range(signs.into_iter().find(|(sign, _)| said.contains(sign)).map(|(_, op)| op))
            }
            Code::ManyRows => Failing::Rows,
            Code::Argument => Failing::Function,
            _ => return None,
        })
    }

    fn of_subquery(&self) -> bool {
        matches!(self, Failing::Rows)
    }

    /// Whether an expression can fail so by itself, not through what it is made of.
    fn is_made_by(&self, expr: &Expr, schema: &DFSchema) -> bool {
        // A type that cannot be told may be any.
        let of_type =
            |e: &Expr, what: &dyn Fn(&DataType) -> bool| e.get_type(schema).map_or(true, |kind| what(&kind));
        match (self, expr) {
            (Failing::Division, Expr::BinaryExpr(b)) => {
                matches!(b.op, Operator::Divide | Operator::Modulo)
                    && of_type(expr, &|kind| !kind.is_floating())
                    && !is_other_than_zero(&b.right)
            }
            (Failing::Cast(wanted), Expr::Cast(cast)) => {
                let to = cast.field.data_type();
                is_type(wanted.as_deref(), to)
                    && of_type(&cast.expr, &|from| may_fail(from, to))
                    && !is_literal(&cast.expr)
            }
            // Functions that read a value make casts of their own.
            (Failing::Cast(wanted), Expr::ScalarFunction(_)) => {
                of_type(expr, &|kind| is_type(wanted.as_deref(), kind))
            }
            (Failing::Range(sign), Expr::BinaryExpr(b)) => {
                let sums = [Operator::Plus, Operator::Minus, Operator::Multiply];
                sums.contains(&b.op)
                    && sign.is_none_or(|sign| sign == b.op)
                    && of_type(expr, &|kind| !kind.is_floating() && !kind.is_integer())
            }
            (Failing::Rows, Expr::ScalarSubquery(_)) | (Failing::Function, Expr::ScalarFunction(_)) => true,
            _ => false,
        }
    }
}

fn is_type(wanted: Option<&str>, kind: &DataType) -> bool {
    // A message names the type without its digits.
    let bare = |name: &str| name.split('(').next().unwrap_or_default().trim_end().to_string();
    wanted.is_none_or(|wanted| bare(wanted) == bare(&type_name(kind)))
}

/// Whether a value of one type may have no place in another.
fn may_fail(from: &DataType, to: &DataType) -> bool {
    let widens = from.is_integer() && (to.is_floating() || to.is_integer() && to.size() > from.size());
    !(from == to || to.is_string() || *from == DataType::Null || widens)
}

fn is_literal(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(..) => true,
        Expr::Cast(cast) => is_literal(&cast.expr),
        Expr::Negative(inner) => is_literal(inner),
        _ => false,
    }
}

/// A divisor that is a number, and not zero.
fn is_other_than_zero(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(value, _) => ScalarValue::new_zero(&value.data_type()).is_ok_and(|zero| zero != *value),
        Expr::Cast(cast) => is_other_than_zero(&cast.expr),
        Expr::Negative(inner) => is_other_than_zero(inner),
        _ => false,
    }
}
