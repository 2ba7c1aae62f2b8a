//! GROUP BY and DISTINCT to operators: the aggregate, the expansion for grouping sets, the total rows.

use super::super::dataflow::{Node, Spec};
use super::super::state_bound::{Growth, StateBound, listed, passes};
use super::super::trace::{self, trace};
use super::super::{EmitMode, arrow_schema, mistakes};
use super::{Lowering, Result, column, physical};
use crate::operators::aggregate::{AggregateCall, AggregateSpec, WindowKey};
use crate::operators::expand::{ExpandSpec, GroupingSet};
use crate::operators::project::ProjectSpec;
use crate::operators::shown::tidy;
use crate::operators::threshold::ThresholdSpec;
use crate::sql::Code;
use crate::sql::Diagnostic;
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::LoweredAggregateBuilder;
use datafusion::physical_expr::expressions::{Column as PhysicalColumn, Literal};
use std::sync::Arc;

/// A node, its columns, and keys over them.
type Keyed = (usize, SchemaRef, Vec<Arc<dyn PhysicalExpr>>);

impl Lowering {
    pub(super) fn aggregate(&mut self, plan: &LogicalPlan, aggregate: &Aggregate) -> Result<usize> {
        self.counted = Self::counts_windows(aggregate);
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
        let state = self.group_state(&spec, &key_exprs, input);
        let input = match one_extreme(&spec) {
            Some(threshold) => self.cut_by(input, threshold),
            None => input,
        };
        let (input, spec) = self.exchange_groups(input, spec);
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
            let state = self.group_state(&spec, &[], input);
            let (exchange, spec) = self.exchange_groups(input, spec);
            let row_schema = spec.schema.clone();
            let row = self.add(plan, Spec::Aggregate(spec), vec![exchange], false, Some(state))?;
            self.flow.nodes[row].schema = row_schema;
            self.flow.nodes[row].event_time = None;
            let project = ProjectSpec { expressions, schema: schema.clone() };
            totals.push(self.add(plan, Spec::Project(project), vec![row], false, None)?);
        }
        Ok(totals)
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

    /// What bounds the state of the groups over a node.
    fn group_state(&self, spec: &AggregateSpec, keys: &[&Expr], input: usize) -> StateBound {
        let names: Vec<String> = keys.iter().map(|k| tidy(&k.schema_name().to_string())).collect();
        let gives = Growth::of_distinct(&names);
        if let Some(window) = &spec.window {
            let watermark = self.flow.watermark_of(&[input]);
            return StateBound::watermark(passes(&watermark, "the window's end", window.grace), gives);
        }
        let values: Vec<String> =
            spec.kept_values().into_iter().map(|v| format!("each distinct {v}")).collect();
        match (names.is_empty(), values.is_empty()) {
            (true, true) => StateBound::constant("one row"),
            (true, false) => StateBound::keys(format!("one row and {}", listed(&values)), gives),
            (false, _) => {
                let of =
                    |more: String| format!("grows with the number of distinct ({}){more}", names.join(", "));
                let more =
                    if values.is_empty() { String::new() } else { format!(" and {}", listed(&values)) };
                StateBound::keys(of(more), gives)
            }
        }
    }
}

/// Where nothing is asked of a window's rows, which only come, but one greatest or least: what leaves out those that cannot be it.
fn one_extreme(spec: &AggregateSpec) -> Option<ThresholdSpec> {
    let window = spec.window.filter(|_| spec.input_append_only)?;
    let keys = spec.group.iter().map(|(key, _)| column(key)).collect::<Option<Vec<usize>>>()?;
    let [call] = spec.aggregates.as_slice() else { return None };
    let descending = match call.expr.fun().name() {
        "max" => true,
        "min" => false,
        _ => return None,
    };
    let of = call.expr.expressions();
    let ([by], None) = (of.as_slice(), &call.filter) else { return None };
    let (by, schema) = (column(by)?, spec.input_schema.clone());
    ThresholdSpec { keys, windows: None, by, descending, most: 1, window, schema }.if_known()
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
                return Err(Diagnostic::coded(
                    Code::NotMaintained,
                    format!(
                        "CUBE over {n} columns makes {} grouping sets; at most 16 columns are allowed",
                        1u64 << n.min(63)
                    ),
                ));
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
