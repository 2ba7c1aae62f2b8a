//! Which expression of a running query has made a failure: the smallest that must have made it.
//!
//! Nothing is kept track of while rows are computed. When a query has failed, the expressions of its plan are looked at that
//! can fail in this way; the smallest expression of the text in which all of them are is the place. Else it is the query.

use super::told::Place;
use super::{Engine, EngineError};
use crate::catalog::Definitions;
use crate::delta::type_name;
use crate::sql::{self, Code, EmitQuery, Suspect};
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
        self.at_its_place(error, false)
    }

    /// The same before the first row was computed.
    pub(super) fn placed_early(&self, error: EngineError) -> EngineError {
        self.at_its_place(error, true)
    }

    fn at_its_place(&self, error: EngineError, early: bool) -> EngineError {
        let Some(failing) = Failing::of(&error, early) else { return error };
        let span = self.expression(&failing).unwrap_or_else(|| self.span());
        EngineError::Placed { source: Box::new(error), place: Place { text: self.text.clone(), span } }
    }

    fn expression(&self, failing: &Failing) -> Option<Range<usize>> {
        let planner = &self.engine.0.planner;
        let plan_of = |plan: LogicalPlan| match failing.of_subquery() {
            true => Some(plan),
            false => planner.typed(&plan).ok(),
        };
        let all = made_by(&plan_of(self.plan.clone())?, failing)?;
        if all.is_empty() {
            return None;
        }
        // The smallest expression in which all of them are.
        let has_them = |suspect: &Suspect| {
            let plan = planner.query(&self.definitions, &self.text, &suspect.query).ok().and_then(plan_of);
            let Some(LogicalPlan::Projection(alone)) = plan else { return false };
            let schema = alone.input.schema();
            alone.expr.iter().any(|expr| within(expr, schema, failing).is_superset(&all))
        };
        let found: Vec<Suspect> = sql::suspects(&self.text, &self.query.query);
        let first = found.iter().find(|suspect| has_them(suspect))?;
        let same = |s: &&Suspect| self.text.get(s.span.clone()) == self.text.get(first.span.clone());
        found.iter().filter(same).map(|s| s.span.clone()).min_by_key(|span| span.start)
    }
}

/// The different expressions of a plan that can have made a failure. What views consist of, and what types ask for, is in it.
fn made_by(plan: &LogicalPlan, failing: &Failing) -> Option<HashSet<String>> {
    let mut found = HashSet::new();
    let visited = plan.apply_with_subqueries(|node| {
        let schema = schema_of(node);
        node.apply_expressions(|expr| {
            found.extend(within(expr, &schema, failing));
            Ok(TreeNodeRecursion::Continue)
        })
    });
    visited.ok().map(|_| found)
}

/// Those within an expression.
fn within(expr: &Expr, schema: &DFSchema, failing: &Failing) -> HashSet<String> {
    let mut found = HashSet::new();
    let visited = expr.apply(|e| {
        if failing.is_made_by(e, schema) {
            found.insert(name_of(e));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(visited.is_ok(), "the visitor itself never fails");
    found
}

/// An expression in words that no other has: a subquery's are not told by its own.
fn name_of(expr: &Expr) -> String {
    let mut name = expr.to_string();
    let visited = expr.apply(|e| {
        if let Expr::ScalarSubquery(subquery) = e {
            name.push_str(&subquery.subquery.display_indent().to_string());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(visited.is_ok(), "the visitor itself never fails");
    name
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
    /// Of a value that cannot be made one of a type, if that is told. What is constant fails early, before the first row.
    Cast {
        wanted: Option<String>,
        early: bool,
    },
    /// By an operator, if that is told.
    Range(Option<Operator>),
    Rows,
    Function,
}

impl Failing {
    fn of(error: &EngineError, early: bool) -> Option<Self> {
        let message = error.told().message;
        Some(match error.kind()? {
            Code::DivisionByZero => Failing::Division,
            Code::NotAValue => {
                let kind = message.rsplit_once(" is not a value of type ").map(|(_, kind)| kind);
                let wanted = kind.and_then(|kind| kind.split(':').next()).map(String::from);
                Failing::Cast { wanted, early }
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
            (Failing::Cast { wanted, early }, Expr::Cast(cast)) => {
                let to = cast.field.data_type();
                is_type(wanted.as_deref(), to)
                    && of_type(&cast.expr, &|from| may_fail(from, to))
                    && (*early || !is_literal(&cast.expr))
            }
            // Functions that read a value make casts of their own.
            (Failing::Cast { wanted, .. }, Expr::ScalarFunction(_)) => {
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
    let widens = from.is_integer()
        && (to.is_floating() || to.is_integer() && to.primitive_width() > from.primitive_width());
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
