//! From an optimized logical plan to operators; what cannot be maintained is refused here.

mod aggregate;
mod best;
mod bounds;
mod distribution;
mod join;
mod join_state;
mod outdone;
mod rank;
mod ranking;
mod rising;
mod session;
mod table;
mod window;

use super::dataflow::{Dataflow, Node, SourceSpec, Spec};
use super::in_time::InTimeNode;
use super::session::SessionNode;
use super::single_row::SingleRowNode;
use super::state_bound::StateBound;
use super::stream::stream_of;
use super::trace::{ColumnTrace, trace};
use super::window::WindowNode;
use super::{EmitMode, arrow_schema, mistakes, volatile_calls};
use crate::operators::filter::FilterSpec;
use crate::operators::project::ProjectSpec;
use crate::operators::unnest::UnnestSpec;
use crate::sql::Code;
use crate::sql::Diagnostic;
use arrow::array::RecordBatch;
use arrow::array::RecordBatchOptions;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, Filter, LogicalPlan, Projection, TableScan, Union, Unnest, Values};
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use std::any::Any;
use std::sync::Arc;

type Result<T, E = Diagnostic> = std::result::Result<T, E>;

/// See [`super::Planner::dataflow`].
pub(super) fn lower(plan: &LogicalPlan, mode: EmitMode) -> Result<Dataflow> {
    if let Some(name) = volatile_calls(plan).first() {
        return Err(Diagnostic::coded(
            Code::NotDeterministic,
            format!("{name}() gives another answer each time, so a continuous query cannot use it"),
        )
        .help(match name.as_str() {
            "random" | "uuid" => "take it from the rows, or ask once, without EMIT",
            _ => "take the time from the rows (their event time), or ask once, without EMIT",
        }));
    }
    if mode == EmitMode::Final {
        rank::refuse_final_order(plan)?;
    }
    let flow = Dataflow { sources: Vec::new(), nodes: Vec::new() };
    let mut lowering = Lowering { flow, mode, counted: false };
    let root = lowering.plan(plan)?;
    debug_assert_eq!(root + 1, lowering.flow.nodes.len());
    if mode == EmitMode::Final && !lowering.flow.root().append_only {
        let d = Diagnostic::coded(
            Code::NeverFinal,
            "EMIT FINAL needs a result that can be final: this one may change with every row",
        );
        let timeless = |node: &Node| {
            matches!(node.spec, Spec::Window(_) | Spec::Session(_)) && node.event_time.is_none()
        };
        let table = |node: &Node| matches!(node.spec, Spec::Upsert(_));
        let ranked = |node: &Node| matches!(node.spec, Spec::TopN(_)) && !node.append_only;
        return Err(if lowering.flow.nodes.iter().any(table) {
            d.note("the rows of a table may change at any time").help("use EMIT CHANGES")
        } else if lowering.flow.nodes.iter().any(timeless) {
            d.note("the window is over a column that has no watermark, so it never closes")
                .help("declare it where the stream is created: WATERMARK FOR ts AS ts - INTERVAL '5 seconds'")
        } else if lowering.flow.nodes.iter().any(ranked) {
            d.help(
                "rank the rows of each window, row_number() OVER (PARTITION BY window_start, window_end ORDER BY …), \
                 or use EMIT CHANGES",
            )
        } else {
            d.help("group by a window's bounds (window_start, window_end), or use EMIT CHANGES")
        });
    }
    Ok(lowering.flow)
}

struct Lowering {
    flow: Dataflow,
    mode: EmitMode,
    /// The window that is met next is only counted over: see [`WindowSpec::counted`](crate::operators::window::WindowSpec).
    counted: bool,
}

impl Lowering {
    /// Adds the plan's nodes and returns the index of its last.
    fn plan(&mut self, plan: &LogicalPlan) -> Result<usize> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(plan, scan),
            LogicalPlan::SubqueryAlias(alias) => self.plan(&alias.input),
            LogicalPlan::Filter(filter) => self.filter(plan, filter),
            LogicalPlan::Projection(projection) => self.project(plan, projection),
            LogicalPlan::Union(union) => self.union(plan, union),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(plan, aggregate),
            LogicalPlan::Join(join) => self.join(plan, join),
            LogicalPlan::Unnest(unnest) => self.unnest(plan, unnest),
            LogicalPlan::Values(values) => self.values(plan, values),
            LogicalPlan::Window(_) => self.ranking(plan, None).unwrap_or_else(|| Err(refused(plan))),
            LogicalPlan::Sort(sort) => self.sort(plan, sort),
            LogicalPlan::Limit(limit) => self.limit(plan, limit),
            LogicalPlan::EmptyRelation(empty) => {
                let schema = arrow_schema(plan);
                let rows = usize::from(empty.produce_one_row);
                let columns =
                    schema.fields().iter().map(|f| arrow::array::new_null_array(f.data_type(), rows));
                let options = RecordBatchOptions::new().with_row_count(Some(rows));
                let batch = RecordBatch::try_new_with_options(schema.clone(), columns.collect(), &options);
                self.add(plan, Spec::Values(batch.map_err(mistakes::arrow)?), vec![], true, None)
            }
            LogicalPlan::Extension(e) => self.extension(plan, e.node.as_any()),
            other => Err(refused(other)),
        }
    }

    /// The nodes of our own.
    fn extension(&mut self, plan: &LogicalPlan, node: &dyn Any) -> Result<usize> {
        if let Some(window) = node.downcast_ref::<WindowNode>() {
            return self.window(plan, window);
        }
        if let Some(in_time) = node.downcast_ref::<InTimeNode>() {
            return self.in_time(plan, in_time);
        }
        if let Some(session) = node.downcast_ref::<SessionNode>() {
            return self.session(plan, session);
        }
        if let Some(single) = node.downcast_ref::<SingleRowNode>() {
            let input = self.plan(&single.input)?;
            let append_only = self.append_only(input);
            let input = self.exchange(input, &[]);
            return self.add(
                plan,
                Spec::SingleRow,
                vec![input],
                append_only,
                Some(StateBound::constant("one count")),
            );
        }
        Err(refused(plan))
    }

    fn add(
        &mut self,
        plan: &LogicalPlan,
        spec: Spec,
        inputs: Vec<usize>,
        append_only: bool,
        state: Option<StateBound>,
    ) -> Result<usize> {
        let traces = trace(plan).map_err(mistakes::without_place)?;
        let event_time = traces.iter().position(|t: &ColumnTrace| t.event_time);
        let schema = arrow_schema(plan);
        self.flow.nodes.push(Node { spec, inputs, schema, append_only, event_time, state });
        Ok(self.flow.nodes.len() - 1)
    }

    fn append_only(&self, node: usize) -> bool {
        self.flow.nodes[node].append_only
    }

    fn scan(&mut self, plan: &LogicalPlan, scan: &TableScan) -> Result<usize> {
        let Some(source) = stream_of(&scan.source) else { return Err(refused(plan)) };
        if source.stream.is_table() {
            return self.table(plan, scan, &source.stream);
        }
        let all: Vec<usize> = (0..scan.source.schema().fields().len()).collect();
        let columns = scan.projection.clone().unwrap_or(all);
        self.flow.sources.push(SourceSpec {
            stream: source.stream.clone(),
            start: source.start,
            columns,
            schema: arrow_schema(plan),
            late_rule: None,
        });
        self.add(plan, Spec::Source(self.flow.sources.len() - 1), vec![], true, None)
    }

    fn filter(&mut self, plan: &LogicalPlan, filter: &Filter) -> Result<usize> {
        if let Some(ranked) = self.ranking(plan, None) {
            return ranked;
        }
        let input = self.plan(&filter.input)?;
        let predicate = physical(&filter.predicate, filter.input.schema())?;
        let append_only = self.append_only(input);
        self.add(plan, Spec::Filter(FilterSpec { predicate }), vec![input], append_only, None)
    }

    fn project(&mut self, plan: &LogicalPlan, projection: &Projection) -> Result<usize> {
        let ranked = self.ranking_below(projection);
        let input = ranked.unwrap_or_else(|| self.plan(&projection.input))?;
        self.projected(plan, projection, input)
    }

    /// The projection over a node that has the columns of its input.
    fn projected(&mut self, plan: &LogicalPlan, projection: &Projection, input: usize) -> Result<usize> {
        let expressions = projection
            .expr
            .iter()
            .map(|e| physical(e, projection.input.schema()))
            .collect::<Result<Vec<_>>>()?;
        let spec = ProjectSpec { expressions, schema: arrow_schema(plan) };
        let append_only = self.append_only(input);
        self.add(plan, Spec::Project(spec), vec![input], append_only, None)
    }

    fn union(&mut self, plan: &LogicalPlan, union: &Union) -> Result<usize> {
        let schema = arrow_schema(plan);
        let mut inputs = Vec::new();
        for input in &union.inputs {
            let node = self.plan(input)?;
            inputs.push(self.renamed(input, node, &schema)?);
        }
        let append_only = inputs.iter().all(|i| self.append_only(*i));
        self.add(plan, Spec::Union, inputs, append_only, None)
    }

    /// The arm of a union under the union's own column names.
    fn renamed(&mut self, plan: &LogicalPlan, node: usize, schema: &SchemaRef) -> Result<usize> {
        let arm = arrow_schema(plan);
        if arm.fields() == schema.fields() {
            return Ok(node);
        }
        let expressions = arm
            .fields()
            .iter()
            .zip(schema.fields())
            .enumerate()
            .map(|(i, (from, to))| {
                let column: Arc<dyn PhysicalExpr> = Arc::new(PhysicalColumn::new(from.name(), i));
                if from.data_type() == to.data_type() {
                    Ok(column)
                } else {
                    datafusion::physical_expr::expressions::cast(column, &arm, to.data_type().clone())
                }
            })
            .collect::<datafusion::error::Result<Vec<_>>>()
            .map_err(mistakes::without_place)?;
        let append_only = self.append_only(node);
        let added = self.add(
            plan,
            Spec::Project(ProjectSpec { expressions, schema: schema.clone() }),
            vec![node],
            append_only,
            None,
        )?;
        self.flow.nodes[added].schema = schema.clone();
        Ok(added)
    }

    fn values(&mut self, plan: &LogicalPlan, values: &Values) -> Result<usize> {
        let batch = values_batch(values, &arrow_schema(plan)).map_err(mistakes::without_place)?;
        self.add(plan, Spec::Values(batch), vec![], true, None)
    }

    fn unnest(&mut self, plan: &LogicalPlan, unnest: &Unnest) -> Result<usize> {
        let input = self.plan(&unnest.input)?;
        let spec = UnnestSpec {
            input_schema: arrow_schema(&unnest.input),
            lists: unnest.list_type_columns.iter().map(|(i, l)| (*i, l.depth)).collect(),
            structs: unnest.struct_type_columns.clone(),
            options: unnest.options.clone(),
            schema: arrow_schema(plan),
        };
        let append_only = self.append_only(input);
        self.add(plan, Spec::Unnest(spec), vec![input], append_only, None)
    }
}

/// The physical form of an expression over columns of `schema`.
fn physical(expr: &Expr, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>> {
    if mistakes::has_subquery(expr) {
        return Err(Diagnostic::coded(
            Code::NotMaintained,
            "a subquery in an expression is not maintained continuously yet",
        )
        .help("a SELECT without EMIT answers it once, over what is there now"));
    }
    create_physical_expr(expr, schema, &ExecutionProps::new(), &PhysicalPlanningContext::default())
        .map_err(mistakes::without_place)
}

/// The column that an expression is.
fn column(expression: &Arc<dyn PhysicalExpr>) -> Option<usize> {
    expression.downcast_ref::<PhysicalColumn>().map(PhysicalColumn::index)
}

/// The rows of VALUES.
pub(super) fn values_batch(values: &Values, schema: &SchemaRef) -> Result<RecordBatch, DataFusionError> {
    let empty = DFSchema::empty();
    let one_row = RecordBatch::try_new_with_options(
        Arc::new(Schema::empty()),
        vec![],
        &RecordBatchOptions::new().with_row_count(Some(1)),
    )?;
    let mut columns: Vec<Vec<ScalarValue>> =
        vec![Vec::with_capacity(values.values.len()); schema.fields().len()];
    for row in &values.values {
        for ((expr, column), field) in row.iter().zip(&mut columns).zip(schema.fields()) {
            let expr = create_physical_expr(
                expr,
                &empty,
                &ExecutionProps::new(),
                &PhysicalPlanningContext::default(),
            )?;
            let value = expr.evaluate(&one_row)?.into_array(1)?;
            let value = ScalarValue::try_from_array(&value, 0)?;
            column.push(value.cast_to(field.data_type())?);
        }
    }
    let arrays = columns
        .into_iter()
        .zip(schema.fields())
        .map(|(c, f)| {
            if c.is_empty() {
                Ok(arrow::array::new_empty_array(f.data_type()))
            } else {
                ScalarValue::iter_to_array(c)
            }
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(schema.clone(), arrays)?)
}

/// Why a plan node cannot be maintained, and what to write instead.
fn refused(plan: &LogicalPlan) -> Diagnostic {
    let once = "a SELECT without EMIT answers it once, over what is there now";
    let (what, help) = match plan {
        LogicalPlan::RecursiveQuery(_) => ("a recursive query is not maintained continuously", once),
        LogicalPlan::Subquery(_) => ("a subquery in an expression is not maintained continuously yet", once),
        _ => ("this query is not maintained continuously", once),
    };
    Diagnostic::coded(Code::NotMaintained, what).help(help)
}
