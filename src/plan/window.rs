//! The windowing table functions as a logical plan node, and how SQL becomes one.

use super::context::mistake;
use super::session;
use super::trace::trace;
use crate::delta::type_name;
use crate::operators::window::{WindowKind, WindowSpec, length, unit_ns};
use crate::sql::Code;
use crate::sql::{self, Diagnostic, WindowCall};
use arrow::datatypes::{DataType, Field};
use datafusion::common::{Column, DFSchema, DFSchemaRef, ExprSchema, Result, ScalarValue, TableReference};
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use sqlparser::ast::{self, TableFactor};
use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The columns that a window adds, in this order.
pub const WINDOW_COLUMNS: [&str; 3] = ["window_start", "window_end", "window_time"];
/// A row may lie in at most this many windows.
const MAX_WINDOWS: i64 = 10_000;

/// Assigns the rows of its input to windows: the input's columns, then [`WINDOW_COLUMNS`].
#[derive(Debug, Clone)]
pub struct WindowNode {
    /// The rows.
    pub input: LogicalPlan,
    /// The time column of the input.
    pub time: Column,
    /// Which windows.
    pub kind: WindowKind,
    /// Shift of the alignment, ns.
    pub offset: i64,
    /// Grace, ns.
    pub grace: i64,
    /// Whether the watermark speaks of the time column: else no row is late. It is seen once, in the plan as it was
    /// written, so that all modes leave out the same rows, whatever their optimizers make of the plan.
    pub event_time: bool,
    /// The input's column of marks (Int64, ns), where a bounded query carries them in one.
    pub mark: Option<Column>,
    schema: DFSchemaRef,
}

impl WindowNode {
    fn try_new(input: LogicalPlan, time: Column, kind: WindowKind, offset: i64, grace: i64) -> Result<Self> {
        let time_type = input.schema().field_from_column(&time)?.data_type().clone();
        let qualifier = single_qualifier(input.schema());
        let mut fields: Vec<(Option<TableReference>, Arc<Field>)> =
            input.schema().iter().map(|(q, f)| (q.cloned(), f.clone())).collect();
        for name in WINDOW_COLUMNS {
            fields.push((qualifier.clone(), Arc::new(Field::new(name, time_type.clone(), false))));
        }
        let schema =
            Arc::new(DFSchema::new_with_metadata(fields, input.schema().as_ref().metadata().clone())?);
        Ok(WindowNode { input, time, kind, offset, grace, event_time: false, mark: None, schema })
    }

    /// The same windows over another plan of the same rows, whose marks are in a column.
    pub fn over(&self, input: LogicalPlan, mark: Option<Column>) -> Result<Self> {
        let node = WindowNode::try_new(input, self.time.clone(), self.kind, self.offset, self.grace)?;
        Ok(WindowNode { mark, event_time: self.event_time, ..node })
    }

    /// The operator's spec: indices into the input's columns.
    pub fn spec(&self) -> Result<WindowSpec> {
        Ok(WindowSpec {
            time: self.time_index()?,
            kind: self.kind,
            offset: self.offset,
            grace: self.grace,
            event_time: self.event_time,
            counted: false,
            schema: Arc::new(self.schema.as_arrow().clone()),
        })
    }

    /// Nanoseconds in one of the time column's unit.
    pub fn unit_ns(&self) -> i64 {
        match self.schema.field(self.schema.fields().len() - 1).data_type() {
            DataType::Timestamp(unit, _) => unit_ns(*unit),
            _ => 1,
        }
    }

    /// Index of the time column in the input.
    pub fn time_index(&self) -> Result<usize> {
        self.input.schema().index_of_column(&self.time)
    }
}

/// The qualifier that all columns share, so that `s.window_start` resolves where `s.id` does.
pub(super) fn single_qualifier(schema: &DFSchema) -> Option<TableReference> {
    let mut qualifiers = schema.iter().map(|(q, _)| q);
    let first = qualifiers.next()??;
    qualifiers.all(|q| q == Some(first)).then(|| first.clone())
}

impl PartialEq for WindowNode {
    fn eq(&self, other: &Self) -> bool {
        self.input == other.input
            && self.time == other.time
            && self.kind == other.kind
            && self.offset == other.offset
            && self.grace == other.grace
            && self.event_time == other.event_time
            && self.mark == other.mark
    }
}
impl Eq for WindowNode {}
impl Hash for WindowNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.input.hash(state);
        self.time.hash(state);
        self.kind.hash(state);
        self.offset.hash(state);
        self.grace.hash(state);
    }
}
impl PartialOrd for WindowNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match self.input.partial_cmp(&other.input)? {
            Ordering::Equal => self.kind.partial_cmp(&other.kind),
            unequal => Some(unequal),
        }
    }
}

impl UserDefinedLogicalNodeCore for WindowNode {
    fn name(&self) -> &str {
        "Window"
    }
    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }
    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }
    fn expressions(&self) -> Vec<Expr> {
        std::iter::once(&self.time).chain(&self.mark).cloned().map(Expr::Column).collect()
    }
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        WINDOW_COLUMNS.into_iter().map(String::from).collect()
    }
    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Window: {} {:?}", self.time, self.kind)
    }
    fn with_exprs_and_inputs(&self, mut exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let column = |e: Expr| match e.unalias() {
            Expr::Column(column) => Ok(column),
            _ => datafusion::common::internal_err!("a window's time and mark are columns"),
        };
        let mark = if self.mark.is_some() { exprs.pop().map(column).transpose()? } else { None };
        let (Some(time), Some(input)) = (exprs.pop(), inputs.pop()) else {
            return datafusion::common::internal_err!("a window has one input and one time column");
        };
        let node = WindowNode::try_new(input, column(time)?, self.kind, self.offset, self.grace)?;
        Ok(WindowNode { mark, event_time: self.event_time, ..node })
    }
    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let width = self.input.schema().fields().len();
        let mut needed: Vec<usize> = output_columns.iter().copied().filter(|i| *i < width).collect();
        needed.push(self.time_index().ok()?);
        if let Some(mark) = &self.mark {
            needed.push(self.input.schema().index_of_column(mark).ok()?);
        }
        needed.sort_unstable();
        needed.dedup();
        Some(vec![needed])
    }
}

/// Plans the window table functions, in the form that the parser gives all spellings.
#[derive(Debug)]
pub(super) struct WindowPlanner;

impl RelationPlanner for WindowPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let Some(call) = sql::window_call(&relation).map_err(mistake)? else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let input = context.plan(call.input.clone())?;
        let plan = match call.kind {
            sql::WindowKind::Session => session::plan(&call, input, context)?,
            _ => {
                let node = window_node(&call, input, context)?;
                LogicalPlan::Extension(Extension { node: Arc::new(node) })
            }
        };
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, call.alias))))
    }
}

fn window_node(
    call: &WindowCall,
    input: LogicalPlan,
    context: &mut dyn RelationPlannerContext,
) -> Result<WindowNode> {
    let name = call.kind.word();
    let (time, unit) = timestamp(call, &input, context)?;
    let mut ns = |what: &str, expr: &ast::Expr| interval(context, name, what, expr);
    let size = ns("size", &call.size)?;
    let inner = call.slide.as_ref().map(|e| ns("slide", e)).transpose()?;
    let offset = call.offset.as_ref().map_or(Ok(0), |e| ns("offset", e))?;
    let grace = call.grace.as_ref().map_or(Ok(0), |e| ns("grace", e))?;
    check_lengths(name, size, inner, offset, grace, unit)?;
    let kind = match (call.kind, inner) {
        (sql::WindowKind::Hop, Some(slide)) => WindowKind::Hop { slide, size },
        (sql::WindowKind::Cumulate, Some(step)) => {
            if size % step != 0 {
                let d =
                    Diagnostic::coded(Code::Window, "the size of CUMULATE must be a multiple of its step")
                        .help(format!("the step is {} and the size {}", length(step), length(size)));
                return Err(mistake(d));
            }
            WindowKind::Cumulate { step, size }
        }
        _ => WindowKind::Tumble { size },
    };
    let event_time = trace(&input)?[input.schema().index_of_column(&time)?].event_time;
    Ok(WindowNode { event_time, ..WindowNode::try_new(input, time, kind, offset, grace)? })
}

/// The time column of a call and the nanoseconds in one of its unit; and that its rows can take a window's columns.
pub(super) fn timestamp(
    call: &WindowCall,
    input: &LogicalPlan,
    context: &mut dyn RelationPlannerContext,
) -> Result<(Column, i64)> {
    let name = call.kind.word();
    let time = time_column(call, input, context)?;
    let field = input.schema().field_from_column(&time)?.clone();
    let DataType::Timestamp(unit, _) = field.data_type() else {
        let d = Diagnostic::coded(
            Code::EventTime,
            format!("{name} needs a timestamp, but \"{}\" is {}", time.name, type_name(field.data_type())),
        )
        .help("name the column that says when each row happened, of type TIMESTAMP");
        return Err(mistake(d));
    };
    for column in WINDOW_COLUMNS {
        if input.schema().has_column_with_unqualified_name(column) {
            let d = Diagnostic::coded(
                Code::Window,
                format!("the rows that {name} takes already have a column \"{column}\""),
            )
            .help(format!("give the inner one another name: {column} AS inner_{column}"));
            return Err(mistake(d));
        }
    }
    Ok((time, unit_ns(*unit)))
}

/// The column that the call names, or the input's event time.
fn time_column(
    call: &WindowCall,
    input: &LogicalPlan,
    context: &mut dyn RelationPlannerContext,
) -> Result<Column> {
    let name = call.kind.word();
    let Some(expr) = &call.time else {
        let traces = trace(input)?;
        return match traces.iter().position(|t| t.event_time) {
            Some(i) => Ok(Column::from(input.schema().qualified_field(i))),
            None => Err(mistake(
                Diagnostic::coded(
                    Code::EventTime,
                    format!("{name} needs an event time, and its rows have none"),
                )
                .help(
                    "declare it where the stream is created: WATERMARK FOR ts AS ts - INTERVAL '5 seconds'",
                ),
            )),
        };
    };
    match context.sql_to_expr(expr.clone(), input.schema())? {
        Expr::Column(column) => Ok(column),
        _ => Err(mistake(
            Diagnostic::coded(
                Code::EventTime,
                format!("the time of {name} must be a column, not an expression"),
            )
            .help(format!("compute it in a subquery: {name}((SELECT …, expression AS ts FROM s), ts, …)")),
        )),
    }
}

pub(super) fn check_lengths(
    name: &str,
    size: i64,
    inner: Option<i64>,
    offset: i64,
    grace: i64,
    unit: i64,
) -> Result<()> {
    let refuse = |message: String| Err(mistake(Diagnostic::coded(Code::Window, message)));
    if size <= 0 || inner.is_some_and(|i| i <= 0) {
        return refuse(format!("{name} needs lengths greater than zero"));
    }
    if grace < 0 {
        return refuse(format!("the grace of {name} cannot be negative"));
    }
    if [Some(size), inner, Some(offset)].into_iter().flatten().any(|l| l % unit != 0) {
        return refuse(format!(
            "the lengths of {name} are finer than the unit of its time column ({})",
            length(unit)
        ));
    }
    if inner.is_some_and(|i| size / i > MAX_WINDOWS) {
        return refuse(format!(
            "each row would lie in {} windows; at most {MAX_WINDOWS} are allowed",
            size / inner.unwrap_or(1)
        ));
    }
    Ok(())
}

/// A constant interval in nanoseconds.
pub(super) fn interval(
    context: &mut dyn RelationPlannerContext,
    name: &str,
    what: &str,
    expr: &ast::Expr,
) -> Result<i64> {
    let planned = context.sql_to_expr(expr.clone(), &DFSchema::empty())?;
    constant_interval(&planned).map_err(|why| {
        mistake(
            Diagnostic::coded(Code::Window, format!("the {what} of {name} {why}"))
                .help("write it as INTERVAL '10 minutes'"),
        )
    })
}

/// The nanoseconds of an interval literal; else why it is none.
pub(super) fn constant_interval(expr: &Expr) -> std::result::Result<i64, String> {
    let (negative, expr) = match expr {
        Expr::Negative(inner) => (true, inner.as_ref()),
        other => (false, other),
    };
    let (months, days, nanos) = match expr {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(i)), _) => (i.months, i.days, i.nanoseconds),
        Expr::Literal(ScalarValue::IntervalDayTime(Some(i)), _) => {
            (0, i.days, i64::from(i.milliseconds) * 1_000_000)
        }
        Expr::Literal(ScalarValue::IntervalYearMonth(Some(i)), _) => (*i, 0, 0),
        _ => return Err("must be a constant interval".into()),
    };
    if months != 0 {
        return Err("must have a fixed length: months and years do not".into());
    }
    let ns = i64::from(days).checked_mul(86_400_000_000_000).and_then(|d| d.checked_add(nanos));
    let ns = ns.ok_or("is too long")?;
    Ok(if negative { -ns } else { ns })
}
