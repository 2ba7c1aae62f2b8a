//! Statements to logical plans to incremental dataflows. May use the operators' specs, `catalog`, `sql`
//! and `config`; knows no connector, no running job, nothing async.
//!
//! The passes, in order: [`Planner::query`] (SQL to DataFusion's logical plan, windows as a node of ours),
//! [`Planner::optimize`] (what DataFusion plans wrongly is written otherwise, then [`order`], then DataFusion's analyzer and optimizer), [`Planner::dataflow`] (to operators, refusing
//! what cannot be maintained), [`explain`].

mod arrays;
mod clause;
mod context;
pub mod dataflow;
pub mod explain;
mod grouping_sets;
pub mod in_time;
mod join_bound;
mod json;
mod lateral;
mod lower;
mod membership;
mod mistakes;
mod optimizer;
mod rows;
pub mod session;
mod sets;
mod share;
pub mod single_row;
pub mod state_bound;
mod subqueries;
mod to_char;
pub use mistakes::{has_subquery, without_place as mistake};
pub mod order;
pub mod stream;
pub mod table;
pub mod trace;
pub mod unique;
mod using;
pub mod window;
mod within;
mod wording;

pub use dataflow::{Dataflow, ExchangeSpec, Node, SourceSpec, Spec};
pub use share::{FlowPart, SharedFlow};
pub use state_bound::{BoundKind, StateBound};

use crate::catalog::{Column, Definitions, ViewDef};
use crate::sql::Code;
use crate::sql::{self, Diagnostic};
use context::QueryContext;
use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNode;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::{Analyzer, OptimizerContext};
use datafusion::prelude::SessionConfig;
use datafusion::sql::planner::{ParserOptions, PlannerContext, SqlToRel};
use order::LastLimit;
use sqlparser::ast;
use std::sync::Arc;

/// How a continuous query's result goes out.
pub use crate::operators::aggregate::EmitMode;

/// Plans queries. Holds the functions; making one takes some milliseconds, so keep it.
pub struct Planner {
    state: SessionState,
}

impl Default for Planner {
    fn default() -> Self {
        Planner::new()
    }
}

impl Planner {
    /// A planner with all of DataFusion's functions.
    pub fn new() -> Self {
        let mut options = ConfigOptions::new();
        options.sql_parser.map_string_types_to_utf8view = false;
        options.sql_parser.collect_spans = true;
        // Subqueries that give one value become joins, which can be maintained. (Those that are run on their own are also
        // taken for a value that is never null, so that comparisons with none come out wrong.)
        options.optimizer.enable_physical_uncorrelated_scalar_subquery = false;
        // The zone of TIMESTAMP WITH TIME ZONE: such values are kept, and printed, in UTC.
        options.execution.time_zone = Some("+00:00".into());
        let config = SessionConfig::from(options).with_information_schema(false);
        let state = SessionStateBuilder::new().with_config(config).with_default_features();
        let state = state.with_optimizer_rules(optimizer::rules());
        let mut state = state.with_physical_optimizer_rules(grouping_sets::physical_rules()).build();
        let registered = json::register(&mut state).and_then(|()| to_char::register(&mut state));
        debug_assert!(registered.is_ok(), "a state of its own takes any function");
        Planner { state }
    }

    /// DataFusion's session state with our options, for running a bounded query.
    pub fn session_state(&self) -> &SessionState {
        &self.state
    }

    /// The logical plan of a query. `source` is the text that its spans point into.
    pub fn query(
        &self,
        definitions: &Definitions,
        source: &str,
        query: &ast::Query,
    ) -> Result<LogicalPlan, Diagnostic> {
        let mut query = query.clone();
        sql::expose_metadata(&mut query, &|name| has_metadata(definitions, name));
        let context = QueryContext::new(self, definitions, 0).with_named(using::Named::of(&query));
        self.plan_with(&context, query.clone()).map_err(|e| mistakes::diagnostic(source, &query, e))
    }

    fn plan_with(
        &self,
        context: &QueryContext,
        mut query: ast::Query,
    ) -> datafusion::error::Result<LogicalPlan> {
        arrays::called(&mut query);
        rows::single(&mut query)?;
        using::nested(&mut query);
        let options = ParserOptions::from(&self.state.config_options().sql_parser);
        SqlToRel::new_with_options(context, options)
            .sql_statement_to_plan(ast::Statement::Query(Box::new(query)))
            .and_then(within::planned)
    }

    fn view_plan(
        &self,
        definitions: &Definitions,
        view: &ViewDef,
        depth: usize,
    ) -> Result<LogicalPlan, Diagnostic> {
        let statements = sql::parse(&view.query)?;
        let [sql::ParsedStatement { statement: sql::Statement::Query(query), .. }] = statements.as_slice()
        else {
            return Err(Diagnostic::new("its text is not one query"));
        };
        let mut query = query.query.as_ref().clone();
        sql::expose_metadata(&mut query, &|name| has_metadata(definitions, name));
        let context = QueryContext::new(self, definitions, depth).with_named(using::Named::of(&query));
        self.plan_with(&context, query.clone()).map_err(|e| mistakes::diagnostic(&view.query, &query, e))
    }

    /// DataFusion's analyzer and optimizer over a plan, and late rows left out before joins by the rows' own times.
    /// `now()` stays a call: a continuous query has no one start.
    pub fn optimize(&self, plan: LogicalPlan) -> Result<LogicalPlan, Diagnostic> {
        let plan = self.plainer(plan)?;
        let written = order::total(plan, LastLimit::Least).and_then(join_bound::with_lateness);
        let optimized = written.and_then(|written| self.optimized(written.data));
        let optimized = optimized.and_then(join_bound::with_lateness);
        Ok(optimized.map_err(mistakes::without_place)?.data)
    }

    /// The plan as it was written, without what DataFusion's optimizer does not plan, or plans wrongly: the same for
    /// bounded and continuous queries.
    fn plainer(&self, plan: LogicalPlan) -> Result<LogicalPlan, Diagnostic> {
        let plan = lateral::grafted(plan)
            .and_then(sets::counted)
            .and_then(membership::exact)
            .and_then(subqueries::single_valued);
        plan.map_err(mistakes::without_place)
    }

    /// The plan of a bounded query. Where it joins rows by their own times it leaves out the same late rows as the
    /// continuous query, which takes the optimizer to see.
    pub fn bounded(&self, plan: LogicalPlan, last: LastLimit) -> Result<LogicalPlan, Diagnostic> {
        let plan = order::total(self.plainer(plan)?, last).map_err(mistakes::without_place)?;
        let joins = plan.exists(|node| {
            Ok(matches!(node, LogicalPlan::Join(_)) || node.expressions().iter().any(mistakes::has_subquery))
        });
        if !joins.map_err(mistakes::without_place)? {
            return Ok(plan);
        }
        let plan = join_bound::with_lateness(plan).map_err(mistakes::without_place)?.data;
        let seen = self.optimized(plan.clone()).and_then(join_bound::with_lateness);
        // What the optimizer cannot plan is told where the query is run.
        Ok(seen.ok().filter(|seen| seen.transformed).map_or(plan, |seen| seen.data))
    }

    /// Fails if a plan's expressions are given what they do not take, as DataFusion's analyzer sees it.
    pub fn check_types(&self, plan: &LogicalPlan) -> Result<(), Diagnostic> {
        self.typed(plan).map(drop)
    }

    /// A plan as it was written with the casts that its types ask for.
    pub fn typed(&self, plan: &LogicalPlan) -> Result<LogicalPlan, Diagnostic> {
        let options = self.state.config_options().clone();
        let typed = Analyzer::new().execute_and_check(plan.clone(), &options, |_, _| {});
        typed.map_err(mistakes::without_place)
    }

    fn optimized(&self, plan: LogicalPlan) -> datafusion::error::Result<LogicalPlan> {
        let options = self.state.config_options().clone();
        let context =
            OptimizerContext::new_with_config_options(options.clone()).without_query_execution_start_time();
        let plan = Analyzer::new().execute_and_check(plan, &options, |_, _| {})?;
        optimizer::optimized(plan, &context)
    }

    /// The incremental dataflow of an optimized plan.
    pub fn dataflow(&self, plan: &LogicalPlan, mode: EmitMode) -> Result<Dataflow, Diagnostic> {
        lower::lower(plan, mode)
    }

    /// The Arrow columns of declared SQL columns.
    pub fn columns(&self, columns: &[sql::ColumnDef]) -> Result<Vec<Column>, Diagnostic> {
        let definitions = Definitions::default();
        let context = QueryContext::new(self, &definitions, 0);
        let options = ParserOptions::from(&self.state.config_options().sql_parser);
        let sql_to_rel = SqlToRel::new_with_options(&context, options);
        columns
            .iter()
            .map(|column| {
                let declared = ast::ColumnDef {
                    name: ast::Ident::new(column.name.value.clone()),
                    data_type: column.data_type.clone(),
                    options: vec![],
                };
                let schema = sql_to_rel
                    .build_schema(vec![declared])
                    .map_err(|e| mistakes::without_place(e).at(column.type_span.clone()))?;
                let data_type = schema.field(0).data_type().clone();
                Ok(Column { name: column.name.value.clone(), data_type, nullable: !column.not_null })
            })
            .collect()
    }

    /// The delay (ns) of a watermark: `column - INTERVAL …`, or the column alone.
    pub fn watermark_delay(
        &self,
        watermark: &sql::WatermarkDef,
        columns: &[Column],
    ) -> Result<i64, Diagnostic> {
        let place = watermark.span.clone();
        let name = &watermark.column.value;
        let Some(column) = columns.iter().find(|c| c.name == *name) else {
            let nearest = columns.iter().map(|c| c.name.as_str());
            return Err(mistakes::unknown_column(name, nearest).at(watermark.column.span.clone()));
        };
        if !matches!(column.data_type, arrow::datatypes::DataType::Timestamp(..)) {
            let d = Diagnostic::coded(
                Code::EventTime,
                format!("a watermark needs a timestamp column, but \"{name}\" is not one"),
            );
            return Err(d.at(watermark.column.span.clone()).help(format!("declare it as {name} TIMESTAMP")));
        }
        let wrong = || {
            Diagnostic::coded(
                Code::EventTime,
                format!("a watermark is the column \"{name}\" less a fixed interval"),
            )
            .at(place.clone())
            .help(format!("write WATERMARK FOR {name} AS {name} - INTERVAL '5 seconds'"))
        };
        let is_column = |e: &ast::Expr| matches!(e, ast::Expr::Identifier(i) if sql::fold(i) == *name);
        let interval = match &watermark.expr {
            e if is_column(e) => return Ok(0),
            ast::Expr::BinaryOp { left, op: ast::BinaryOperator::Minus, right } if is_column(left) => right,
            _ => return Err(wrong()),
        };
        let definitions = Definitions::default();
        let context = QueryContext::new(self, &definitions, 0);
        let planned = SqlToRel::new(&context)
            .sql_to_expr(interval.as_ref().clone(), &DFSchema::empty(), &mut PlannerContext::new())
            .map_err(|_| wrong())?;
        let delay =
            window::constant_interval(&planned).map_err(|why| wrong().note(format!("the delay {why}")))?;
        if delay < 0 {
            return Err(wrong().note("the delay cannot be negative"));
        }
        Ok(delay)
    }
}

/// Whether a bare `_offset` over this stream means its metadata, not a column of its own.
fn has_metadata(definitions: &Definitions, name: &str) -> bool {
    definitions.streams.get(sql::split_start(name).0).is_some_and(|s| {
        !s.is_table() || !s.columns.iter().any(|c| sql::METADATA_COLUMNS.contains(&c.name.as_str()))
    })
}

/// All scalar functions that a query calls and that do not always give the same for the same arguments.
pub(crate) fn volatile_calls(plan: &LogicalPlan) -> Vec<String> {
    use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
    use datafusion::logical_expr::Volatility;
    let mut found = Vec::new();
    let visited = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|e| {
            e.apply(|e| {
                if let Expr::ScalarFunction(f) = e
                    && f.func.signature().volatility != Volatility::Immutable
                {
                    found.push(f.func.name().to_string());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    debug_assert!(visited.is_ok(), "the visitor itself never fails");
    found
}

/// An expression's type and columns come from this schema of a node's input.
fn arrow_schema(plan: &LogicalPlan) -> arrow::datatypes::SchemaRef {
    Arc::new(plan.schema().as_arrow().clone())
}
