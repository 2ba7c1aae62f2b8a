//! Session windows as a logical plan node, and how SQL becomes one.

use super::context::mistake;
use super::in_time::InTimeNode;
use super::window::{self, WINDOW_COLUMNS, single_qualifier};
use super::{EmitMode, mistakes};
use crate::operators::session::SessionSpec;
use crate::operators::window::{length, unit_ns};
use crate::sql::Code;
use crate::sql::{self, Diagnostic, WindowCall};
use arrow::datatypes::{DataType, Field};
use arrow::row::{RowConverter, SortField};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Column, DFSchema, DFSchemaRef, ExprSchema, Result, TableReference};
use datafusion::logical_expr::planner::RelationPlannerContext;
use datafusion::logical_expr::{
    Expr, Extension, LogicalPlan, LogicalPlanBuilder, UserDefinedLogicalNodeCore,
};
use sqlparser::ast;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Puts the rows of its input into sessions: the input's columns, then [`WINDOW_COLUMNS`].
#[derive(Debug, Clone)]
pub struct SessionNode {
    /// The rows; none of them is late or without a time.
    pub input: LogicalPlan,
    /// The time column of the input.
    pub time: Column,
    /// The columns of the input that sessions are kept apart by.
    pub keys: Vec<Column>,
    /// How far a row may be from the next, ns.
    pub gap: i64,
    /// Grace, ns.
    pub grace: i64,
    schema: DFSchemaRef,
}

impl SessionNode {
    fn try_new(input: LogicalPlan, time: Column, keys: Vec<Column>, gap: i64, grace: i64) -> Result<Self> {
        let time_type = input.schema().field_from_column(&time)?.data_type().clone();
        let qualifier = single_qualifier(input.schema());
        let mut fields: Vec<(Option<TableReference>, Arc<Field>)> =
            input.schema().iter().map(|(q, f)| (q.cloned(), f.clone())).collect();
        for name in WINDOW_COLUMNS {
            fields.push((qualifier.clone(), Arc::new(Field::new(name, time_type.clone(), false))));
        }
        let metadata = input.schema().as_ref().metadata().clone();
        let schema = Arc::new(DFSchema::new_with_metadata(fields, metadata)?);
        Ok(SessionNode { input, time, keys, gap, grace, schema })
    }

    /// The operator's spec. `closes`: the watermark speaks of the time column.
    pub fn spec(&self, mode: EmitMode, closes: bool) -> Result<SessionSpec> {
        let index = |column| self.input.schema().index_of_column(column);
        Ok(SessionSpec {
            time: index(&self.time)?,
            keys: self.keys.iter().map(index).collect::<Result<_>>()?,
            gap: self.gap,
            grace: self.grace,
            mode: if closes { mode } else { EmitMode::Changes },
            closes,
            schema: Arc::new(self.schema.as_arrow().clone()),
        })
    }

    /// Index of the time column in the input.
    pub fn time_index(&self) -> Result<usize> {
        self.input.schema().index_of_column(&self.time)
    }

    /// Nanoseconds from the time that a session's rows have in `window_time` to its end.
    pub fn before_end(&self) -> i64 {
        match self.schema.field(self.schema.fields().len() - 1).data_type() {
            DataType::Timestamp(unit, _) => unit_ns(*unit).max(1_000_000),
            _ => 1,
        }
    }
}

impl PartialEq for SessionNode {
    fn eq(&self, other: &Self) -> bool {
        self.input == other.input
            && self.time == other.time
            && self.keys == other.keys
            && self.gap == other.gap
            && self.grace == other.grace
    }
}
impl Eq for SessionNode {}
impl Hash for SessionNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.input.hash(state);
        self.time.hash(state);
        self.keys.hash(state);
        self.gap.hash(state);
        self.grace.hash(state);
    }
}
impl PartialOrd for SessionNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match self.input.partial_cmp(&other.input)? {
            Ordering::Equal => (&self.keys, self.gap).partial_cmp(&(&other.keys, other.gap)),
            unequal => Some(unequal),
        }
    }
}

impl UserDefinedLogicalNodeCore for SessionNode {
    fn name(&self) -> &str {
        "Session"
    }
    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }
    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }
    fn expressions(&self) -> Vec<Expr> {
        std::iter::once(&self.time).chain(&self.keys).cloned().map(Expr::Column).collect()
    }
    /// A row that is left out before may part a session. A filter that looks at the keys alone leaves out whole sessions.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        let others = self.schema.columns().into_iter().filter(|c| !self.keys.contains(c));
        others.map(|c| c.name).collect()
    }
    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let keys: Vec<String> = self.keys.iter().map(ToString::to_string).collect();
        write!(f, "Session: {} gap={} keys=[{}]", self.time, length(self.gap), keys.join(", "))
    }
    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let columns = exprs.into_iter().map(|e| match e.unalias() {
            Expr::Column(column) => Ok(column),
            _ => datafusion::common::internal_err!("the time and the keys of sessions are columns"),
        });
        let mut columns = columns.collect::<Result<Vec<_>>>()?.into_iter();
        let (Some(time), Some(input)) = (columns.next(), inputs.pop()) else {
            return datafusion::common::internal_err!("sessions have one input and one time column");
        };
        SessionNode::try_new(input, time, columns.collect(), self.gap, self.grace)
    }
    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let schema = self.input.schema();
        let mut needed: Vec<usize> =
            output_columns.iter().copied().filter(|i| *i < schema.fields().len()).collect();
        needed.push(self.time_index().ok()?);
        for key in &self.keys {
            needed.push(schema.index_of_column(key).ok()?);
        }
        needed.sort_unstable();
        needed.dedup();
        Some(vec![needed])
    }
}

/// The name of a key that is computed.
const KEY: &str = "__session_key_";

/// The plan of a session call over `input`: late rows are left out first.
pub(super) fn plan(
    call: &WindowCall,
    input: LogicalPlan,
    context: &mut dyn RelationPlannerContext,
) -> Result<LogicalPlan> {
    let name = call.kind.word();
    let (time, unit) = window::timestamp(call, &input, context)?;
    let gap = window::interval(context, name, "gap", &call.size)?;
    let grace = call.grace.as_ref().map_or(Ok(0), |e| window::interval(context, name, "grace", e))?;
    window::check_lengths(name, gap, None, 0, grace, unit)?;
    check_types(input.schema())?;
    let input = match &call.filter {
        Some(filter) => {
            let filter = context.sql_to_expr(filter.clone(), input.schema())?;
            LogicalPlanBuilder::from(input).filter(filter)?.build()?
        }
        None => input,
    };
    let columns = input.schema().columns();
    let (input, keys) = keyed(call, input, context)?;
    let extension = |node| LogicalPlan::Extension(Extension { node });
    let in_time = extension(Arc::new(InTimeNode::try_new(input, time.clone(), grace)?));
    let sessions = SessionNode::try_new(in_time, time, keys, gap, grace)?;
    let bounds = sessions.schema.columns().split_off(sessions.schema.fields().len() - WINDOW_COLUMNS.len());
    let hidden = sessions.schema.fields().len() > columns.len() + bounds.len();
    let plan = extension(Arc::new(sessions));
    if !hidden {
        return Ok(plan);
    }
    LogicalPlanBuilder::from(plan).project(columns.into_iter().chain(bounds).map(Expr::Column))?.build()
}

/// The input and the columns of its keys; those that are computed are added to it.
fn keyed(
    call: &WindowCall,
    input: LogicalPlan,
    context: &mut dyn RelationPlannerContext,
) -> Result<(LogicalPlan, Vec<Column>)> {
    let mut keys: Vec<Column> = Vec::new();
    let mut computed: Vec<Expr> = Vec::new();
    let qualifier = single_qualifier(input.schema());
    for expr in &call.keys {
        let planned = key(expr, &input, context)?;
        let column = match planned {
            Expr::Column(column) => column,
            planned => {
                let name = format!("{KEY}{}", computed.len());
                computed.push(planned.alias_qualified(qualifier.clone(), &name));
                Column::new(qualifier.clone(), name)
            }
        };
        if !keys.contains(&column) {
            keys.push(column);
        }
    }
    if computed.is_empty() {
        return Ok((input, keys));
    }
    let all = input.schema().columns().into_iter().map(Expr::Column).chain(computed).collect::<Vec<_>>();
    Ok((LogicalPlanBuilder::from(input).project(all)?.build()?, keys))
}

/// One key, resolved. `expr AS name` is an item of the select list that the group names: the column `name`, if there
/// is one, comes first, as it does for GROUP BY.
fn key(expr: &ast::Expr, input: &LogicalPlan, context: &mut dyn RelationPlannerContext) -> Result<Expr> {
    let schema = input.schema();
    let written = match expr {
        ast::Expr::Named { expr, name } => {
            if schema.has_column_with_unqualified_name(&sql::fold(name)) {
                ast::Expr::Identifier(name.clone())
            } else {
                expr.as_ref().clone()
            }
        }
        other => other.clone(),
    };
    let planned = context.sql_to_expr(written, schema)?.unalias();
    let refuse = |what: &str| {
        let d = Diagnostic::coded(Code::Window, format!("the keys of SESSION cannot be {what}"));
        Err(mistake(d.help("name columns, or compute the key in a subquery: SESSION((SELECT …, expression AS k FROM s), ts, gap, PARTITION => k)")))
    };
    if matches!(planned, Expr::Literal(..)) {
        return refuse("constants");
    }
    if mistakes::has_subquery(&planned) {
        return refuse("subqueries");
    }
    let many = |e: &Expr| matches!(e, Expr::AggregateFunction(_) | Expr::WindowFunction(_) | Expr::Unnest(_));
    if planned.exists(|e| Ok(many(e)))? {
        return refuse("aggregates, or anything else that is not made of one row");
    }
    if planned.is_volatile() {
        return refuse("functions that give another value each time");
    }
    Ok(planned)
}

/// Rows of sessions are kept in Arrow's row format, which lacks some types.
fn check_types(schema: &DFSchema) -> Result<()> {
    let lacking =
        |field: &&Arc<Field>| !RowConverter::supports_fields(&[SortField::new(field.data_type().clone())]);
    match schema.fields().iter().find(lacking) {
        None => Ok(()),
        Some(field) => {
            let kind = crate::delta::type_name(field.data_type());
            let d = Diagnostic::coded(
                Code::EventTime,
                format!("SESSION cannot keep the column \"{}\" of type {kind}", field.name()),
            );
            Err(mistake(d.help("leave it out in a subquery: SESSION((SELECT … FROM s), ts, gap)")))
        }
    }
}
