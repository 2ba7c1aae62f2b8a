//! From an optimized logical plan to operators; what cannot be maintained is refused here.

use super::dataflow::{Dataflow, Node, SourceSpec, Spec};
use super::stream::stream_of;
use super::trace::{self, ColumnTrace, trace};
use super::window::WindowNode;
use super::{EmitMode, arrow_schema, mistakes, volatile_calls};
use crate::operators::aggregate::{AggregateCall, AggregateSpec, WindowKey};
use crate::operators::expand::{ExpandSpec, GroupingSet};
use crate::operators::filter::FilterSpec;
use crate::operators::project::ProjectSpec;
use crate::operators::unnest::UnnestSpec;
use crate::operators::window::{WindowSpec, length};
use crate::sql::Diagnostic;
use arrow::array::RecordBatch;
use arrow::array::RecordBatchOptions;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Aggregate, Expr, Filter, LogicalPlan, Projection, TableScan, Union, Unnest, Values,
};
use datafusion::physical_expr::aggregate::LoweredAggregateBuilder;
use datafusion::physical_expr::expressions::{Column as PhysicalColumn, Literal};
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use std::sync::Arc;

type Result<T, E = Diagnostic> = std::result::Result<T, E>;

/// See [`super::Planner::dataflow`].
pub(super) fn lower(plan: &LogicalPlan, mode: EmitMode) -> Result<Dataflow> {
    if let Some(name) = volatile_calls(plan).first() {
        return Err(Diagnostic::new(format!(
            "{name}() gives another answer each time, so a continuous query cannot use it"
        ))
        .help("take the time from the rows (their event time), or ask once, without EMIT"));
    }
    let mut lowering = Lowering { flow: Dataflow { sources: Vec::new(), nodes: Vec::new() }, mode };
    let root = lowering.plan(plan)?;
    debug_assert_eq!(root + 1, lowering.flow.nodes.len());
    if mode == EmitMode::Final && !lowering.flow.root().append_only {
        let d = Diagnostic::new(
            "EMIT FINAL needs a result that can be final: this one may change with every row",
        );
        let timeless = |node: &Node| matches!(node.spec, Spec::Window(_)) && node.event_time.is_none();
        return Err(if lowering.flow.nodes.iter().any(timeless) {
            d.note("the window is over a column that has no watermark, so it never closes")
                .help("declare it where the stream is created: WATERMARK FOR ts AS ts - INTERVAL '5 seconds'")
        } else {
            d.help("group by a window's bounds (window_start, window_end), or use EMIT CHANGES")
        });
    }
    Ok(lowering.flow)
}

/// A node, its columns, and keys over them.
type Keyed = (usize, SchemaRef, Vec<Arc<dyn PhysicalExpr>>);

struct Lowering {
    flow: Dataflow,
    mode: EmitMode,
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
            LogicalPlan::Unnest(unnest) => self.unnest(plan, unnest),
            LogicalPlan::Values(values) => self.values(plan, values),
            LogicalPlan::EmptyRelation(empty) => {
                let schema = arrow_schema(plan);
                let rows = usize::from(empty.produce_one_row);
                let columns =
                    schema.fields().iter().map(|f| arrow::array::new_null_array(f.data_type(), rows));
                let options = RecordBatchOptions::new().with_row_count(Some(rows));
                let batch = RecordBatch::try_new_with_options(schema.clone(), columns.collect(), &options);
                self.add(plan, Spec::Values(batch.map_err(mistakes::arrow)?), vec![], true, None)
            }
            LogicalPlan::Extension(e) => match e.node.as_any().downcast_ref::<WindowNode>() {
                Some(window) => self.window(plan, window),
                None => Err(refused(plan)),
            },
            other => Err(refused(other)),
        }
    }

    fn add(
        &mut self,
        plan: &LogicalPlan,
        spec: Spec,
        inputs: Vec<usize>,
        append_only: bool,
        state: Option<String>,
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
        let all: Vec<usize> = (0..scan.source.schema().fields().len()).collect();
        let columns = scan.projection.clone().unwrap_or(all);
        self.flow.sources.push(SourceSpec {
            stream: source.stream.clone(),
            columns,
            schema: arrow_schema(plan),
            late_window: None,
        });
        self.add(plan, Spec::Source(self.flow.sources.len() - 1), vec![], true, None)
    }

    fn filter(&mut self, plan: &LogicalPlan, filter: &Filter) -> Result<usize> {
        let input = self.plan(&filter.input)?;
        let predicate = physical(&filter.predicate, filter.input.schema())?;
        let append_only = self.append_only(input);
        self.add(plan, Spec::Filter(FilterSpec { predicate }), vec![input], append_only, None)
    }

    fn project(&mut self, plan: &LogicalPlan, projection: &Projection) -> Result<usize> {
        let input = self.plan(&projection.input)?;
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

    fn window(&mut self, plan: &LogicalPlan, window: &WindowNode) -> Result<usize> {
        let input = self.plan(&window.input)?;
        let spec = window.spec().map_err(mistakes::without_place)?;
        self.keep_late_rows(input, &spec);
        let append_only = self.append_only(input);
        self.add(plan, Spec::Window(spec), vec![input], append_only, None)
    }

    /// Tells the source under `node` which window its rows meet first, so that it can keep the late ones.
    fn keep_late_rows(&mut self, mut node: usize, spec: &WindowSpec) {
        loop {
            match &self.flow.nodes[node].spec {
                Spec::Source(source) => {
                    let source = &mut self.flow.sources[*source];
                    if source.stream.option("late_topic").is_some() && source.late_window.is_none() {
                        let schema = source.stream.schema();
                        let time = source.stream.event_time_index();
                        source.late_window = time.map(|time| WindowSpec { time, schema, ..spec.clone() });
                    }
                    return;
                }
                Spec::Filter(_) | Spec::Project(_) => node = self.flow.nodes[node].inputs[0],
                _ => return,
            }
        }
    }

    fn aggregate(&mut self, plan: &LogicalPlan, aggregate: &Aggregate) -> Result<usize> {
        let input = self.plan(&aggregate.input)?;
        let input_append_only = self.append_only(input);
        let (key_exprs, always) = trace::group_keys(&aggregate.group_expr);
        let window = window_key(aggregate, &key_exprs, &always)?;
        let df_schema = aggregate.input.schema();
        let keys = key_exprs.iter().map(|e| physical(e, df_schema)).collect::<Result<Vec<_>>>()?;
        let schema = arrow_schema(plan);
        let input_schema = arrow_schema(&aggregate.input);
        let aggregates = aggregate
            .aggr_expr
            .iter()
            .map(|e| aggregate_call(e, df_schema, &input_schema))
            .collect::<Result<Vec<_>>>()?;
        let grouping = matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]);
        let mut totals = Vec::new();
        let (input, input_schema, keys) = if grouping {
            totals = self.totals(plan, aggregate, input, keys.len(), &aggregates)?;
            self.expand(plan, aggregate, input, keys)?
        } else {
            (input, input_schema, keys)
        };
        let input = self.exchange(input, &keys);
        let names = schema.fields().iter().map(|f| f.name().clone());
        let distinct = aggregates.is_empty();
        let spec = AggregateSpec {
            input_schema,
            group: keys.into_iter().zip(names).collect(),
            aggregates,
            // DISTINCT over rows that only come sends each row at once: it is final already. What no window
            // closes is never final.
            mode: if window.is_none() || (distinct && input_append_only) {
                EmitMode::Changes
            } else {
                self.mode
            },
            window,
            input_append_only,
            schema,
        };
        let is_final = spec.mode == EmitMode::Final;
        let append_only = is_final || (distinct && input_append_only);
        let state = state_bound(&spec, &key_exprs);
        let groups = self.add(plan, Spec::Aggregate(spec), vec![input], append_only, Some(state))?;
        if totals.is_empty() {
            return Ok(groups);
        }
        totals.insert(0, groups);
        self.add(plan, Spec::Union, totals, false, None)
    }

    /// The rows of the sets without a key: unlike groups, they are there even over no input.
    fn totals(
        &mut self,
        plan: &LogicalPlan,
        aggregate: &Aggregate,
        input: usize,
        keys: usize,
        calls: &[AggregateCall],
    ) -> Result<Vec<usize>> {
        let schema = arrow_schema(plan);
        let sets = grouping_sets(&aggregate.group_expr, schema.field(keys).data_type())?;
        let mut totals = Vec::new();
        for set in sets.iter().filter(|set| is_total(set)) {
            let mut values = (0..keys)
                .map(|i| ScalarValue::try_from(schema.field(i).data_type()))
                .collect::<Result<Vec<_>, _>>()
                .map_err(mistakes::without_place)?;
            values.push(set.id.clone());
            if calls.is_empty() {
                let columns = values.iter().map(|v| v.to_array()).collect::<Result<_, _>>();
                let batch = RecordBatch::try_new(schema.clone(), columns.map_err(mistakes::without_place)?);
                totals.push(self.add(
                    plan,
                    Spec::Values(batch.map_err(mistakes::arrow)?),
                    vec![],
                    true,
                    None,
                )?);
                continue;
            }
            let spec = AggregateSpec {
                input_schema: arrow_schema(&aggregate.input),
                group: vec![],
                aggregates: calls.to_vec(),
                mode: self.mode,
                window: None,
                input_append_only: self.append_only(input),
                schema: Arc::new(Schema::new(schema.fields()[keys + 1..].to_vec())),
            };
            let expressions =
                values
                    .into_iter()
                    .map(|value| Arc::new(Literal::new(value)) as Arc<dyn PhysicalExpr>)
                    .chain(
                        spec.schema.fields().iter().enumerate().map(|(i, f)| {
                            Arc::new(PhysicalColumn::new(f.name(), i)) as Arc<dyn PhysicalExpr>
                        }),
                    )
                    .collect();
            let exchange = self.exchange(input, &[]);
            let state = state_bound(&spec, &[]);
            let row_schema = spec.schema.clone();
            let row = self.add(plan, Spec::Aggregate(spec), vec![exchange], false, Some(state))?;
            self.flow.nodes[row].schema = row_schema;
            self.flow.nodes[row].event_time = None;
            let project = ProjectSpec { expressions, schema: schema.clone() };
            totals.push(self.add(plan, Spec::Project(project), vec![row], false, None)?);
        }
        Ok(totals)
    }

    fn exchange(&mut self, input: usize, keys: &[Arc<dyn PhysicalExpr>]) -> usize {
        let from = &self.flow.nodes[input];
        let node = Node {
            spec: Spec::Exchange(keys.to_vec()),
            inputs: vec![input],
            schema: from.schema.clone(),
            append_only: from.append_only,
            event_time: from.event_time,
            state: None,
        };
        self.flow.nodes.push(node);
        self.flow.nodes.len() - 1
    }

    /// Puts the expansion for grouping sets before an aggregate; gives the new input, its schema and the keys over it.
    fn expand(
        &mut self,
        plan: &LogicalPlan,
        aggregate: &Aggregate,
        input: usize,
        keys: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Keyed> {
        let output = arrow_schema(plan);
        let id_type = output.field(keys.len()).data_type().clone();
        let mut sets = grouping_sets(&aggregate.group_expr, &id_type)?;
        sets.retain(|set| !is_total(set));
        let from = self.flow.nodes[input].clone();
        let mut fields = from.schema.fields().to_vec();
        let width = fields.len();
        for (i, field) in output.fields().iter().take(keys.len() + 1).enumerate() {
            fields.push(Arc::new(Field::new(
                format!("__key_{i}"),
                field.data_type().clone(),
                i < keys.len(),
            )));
        }
        let schema = Arc::new(Schema::new(fields));
        let expanded_keys = (0..=keys.len())
            .map(|i| {
                Arc::new(PhysicalColumn::new(schema.field(width + i).name(), width + i))
                    as Arc<dyn PhysicalExpr>
            })
            .collect();
        let spec = ExpandSpec { keys, sets, schema: schema.clone() };
        self.flow.nodes.push(Node {
            spec: Spec::Expand(spec),
            inputs: vec![input],
            schema: schema.clone(),
            append_only: from.append_only,
            event_time: from.event_time,
            state: None,
        });
        Ok((self.flow.nodes.len() - 1, schema, expanded_keys))
    }
}

/// Which of the group keys cuts the aggregate's state by the watermark.
fn window_key(aggregate: &Aggregate, keys: &[&Expr], always: &[bool]) -> Result<Option<WindowKey>> {
    let traces = trace(&aggregate.input).map_err(mistakes::without_place)?;
    let schema = aggregate.input.schema();
    let column = |expr: &Expr| match expr.clone().unalias() {
        Expr::Column(c) => schema.index_of_column(&c).ok(),
        _ => None,
    };
    let windows = keys.iter().enumerate().filter(|(i, _)| always[*i]).filter_map(|(i, expr)| {
        let window = traces[column(expr)?].window.filter(|w| w.closes)?;
        Some(WindowKey { key: i, to_end: window.to_end, grace: window.grace })
    });
    // The end tells more than the start where windows grow.
    Ok(windows.min_by_key(|w| w.to_end))
}

fn state_bound(spec: &AggregateSpec, keys: &[&Expr]) -> String {
    match &spec.window {
        Some(window) if window.grace > 0 => {
            format!("dropped when the watermark passes the window's end by {}", length(window.grace))
        }
        Some(_) => "dropped when the watermark passes the window's end".into(),
        None if keys.is_empty() => "one row".into(),
        None => {
            let names: Vec<String> = keys.iter().map(|k| k.schema_name().to_string()).collect();
            format!("grows with the number of distinct ({})", names.join(", "))
        }
    }
}

/// The sets of a GROUP BY over its keys, with the ids that DataFusion gives them.
fn grouping_sets(group: &[Expr], id_type: &DataType) -> Result<Vec<GroupingSet>> {
    use datafusion::logical_expr::GroupingSet as Sets;
    let (keys, _) = trace::group_keys(group);
    let n = keys.len();
    let masks: Vec<Vec<bool>> = match group {
        [Expr::GroupingSet(Sets::Rollup(_))] => {
            (0..=n).rev().map(|k| (0..n).map(|i| i < k).collect()).collect()
        }
        [Expr::GroupingSet(Sets::Cube(_))] => {
            if n > 16 {
                return Err(Diagnostic::new(format!(
                    "CUBE over {n} columns makes {} grouping sets; at most 16 columns are allowed",
                    1u64 << n.min(63)
                )));
            }
            (0..1u32 << n).map(|bits| (0..n).map(|i| bits & (1 << i) == 0).collect()).collect()
        }
        [Expr::GroupingSet(Sets::GroupingSets(sets))] => {
            sets.iter().map(|set| keys.iter().map(|k| set.contains(k)).collect()).collect()
        }
        _ => Vec::new(),
    };
    let mut sets: Vec<GroupingSet> = Vec::new();
    for keeps in masks {
        let ordinal = sets.iter().filter(|s| s.keeps == keeps).count() as u64;
        let nulls = keeps.iter().fold(0u64, |id, keeps| (id << 1) | u64::from(!keeps));
        let id = ScalarValue::UInt64(Some(nulls | (ordinal << n)))
            .cast_to(id_type)
            .map_err(mistakes::without_place)?;
        sets.push(GroupingSet { keeps, id });
    }
    Ok(sets)
}

/// Whether the set has no key.
fn is_total(set: &GroupingSet) -> bool {
    !set.keeps.iter().any(|keeps| *keeps)
}

fn aggregate_call(expr: &Expr, df_schema: &DFSchema, schema: &SchemaRef) -> Result<AggregateCall> {
    let props = ExecutionProps::new();
    let context = PhysicalPlanningContext::default();
    let lowered = LoweredAggregateBuilder::new(expr, df_schema, schema, &props, &context)
        .build()
        .map_err(mistakes::without_place)?;
    Ok(AggregateCall { expr: lowered.aggregate, filter: lowered.filter })
}

/// The physical form of an expression over columns of `schema`.
fn physical(expr: &Expr, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>> {
    if mistakes::has_subquery(expr) {
        return Err(Diagnostic::new("a subquery in an expression is not maintained continuously yet")
            .help("a SELECT without EMIT answers it once, over what is there now"));
    }
    create_physical_expr(expr, schema, &ExecutionProps::new(), &PhysicalPlanningContext::default())
        .map_err(mistakes::without_place)
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
        LogicalPlan::Join(_) => ("a join is not maintained continuously yet", once),
        LogicalPlan::Sort(_) => (
            "ORDER BY cannot be kept over a result without end",
            "leave it out, or write the result to a stream and SELECT … ORDER BY from that",
        ),
        LogicalPlan::Limit(_) => ("LIMIT is not maintained continuously yet", once),
        LogicalPlan::Window(_) => ("window functions (OVER) are not maintained continuously yet", once),
        LogicalPlan::Distinct(_) => ("DISTINCT ON is not maintained continuously yet", once),
        LogicalPlan::RecursiveQuery(_) => ("a recursive query is not maintained continuously", once),
        LogicalPlan::Subquery(_) => ("a subquery in an expression is not maintained continuously yet", once),
        _ => ("this query is not maintained continuously", once),
    };
    Diagnostic::new(what).help(help)
}
