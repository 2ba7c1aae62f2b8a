//! Windows, and lateness by a row's own time, to operators.

use super::super::dataflow::Spec;
use super::super::in_time::InTimeNode;
use super::super::mistakes;
use super::super::window::WindowNode;
use super::{Lowering, Result};
use crate::operators::in_time::InTimeSpec;
use crate::operators::late::LateRule;
use crate::operators::window::WindowSpec;
use datafusion::common::Column;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};

impl Lowering {
    pub(super) fn window(&mut self, plan: &LogicalPlan, window: &WindowNode) -> Result<usize> {
        let counted = std::mem::take(&mut self.counted);
        let input = self.plan(&window.input)?;
        let spec = WindowSpec { counted, ..window.spec().map_err(mistakes::without_place)? };
        if spec.event_time {
            self.keep_late_rows(input, LateRule::Window(spec.clone()));
        }
        let append_only = self.append_only(input);
        self.add(plan, Spec::Window(spec), vec![input], append_only, None)
    }

    pub(super) fn in_time(&mut self, plan: &LogicalPlan, in_time: &InTimeNode) -> Result<usize> {
        let input = self.plan(&in_time.input)?;
        let spec = in_time.spec().map_err(mistakes::without_place)?;
        if spec.event_time {
            self.keep_late_rows(input, LateRule::InTime(spec.clone()));
        }
        let append_only = self.append_only(input);
        self.add(plan, Spec::InTime(spec), vec![input], append_only, None)
    }

    /// Whether an aggregate only counts rows of windows, and neither its groups nor anything between tell the windows' time
    /// column.
    pub(super) fn counts_windows(aggregate: &Aggregate) -> bool {
        let of_groups = aggregate.group_expr.iter();
        if aggregate.aggr_expr.is_empty()
            || !aggregate.aggr_expr.iter().all(is_count_of_rows)
            || of_groups.clone().any(|e| matches!(e, Expr::GroupingSet(_)))
        {
            return false;
        }
        let mut used: Vec<Column> = of_groups.flat_map(|e| e.column_refs()).cloned().collect();
        let mut plan = aggregate.input.as_ref();
        loop {
            plan = match plan {
                LogicalPlan::Projection(project) => {
                    let of = |column: &Column| {
                        let place = project.schema.index_of_column(column).ok()?;
                        Some(project.expr.get(place)?.column_refs().into_iter().cloned().collect::<Vec<_>>())
                    };
                    match used.iter().map(of).collect::<Option<Vec<_>>>() {
                        Some(columns) => used = columns.concat(),
                        None => return false,
                    }
                    &project.input
                }
                LogicalPlan::SubqueryAlias(alias) => {
                    let of = |column: &Column| {
                        let place = alias.schema.index_of_column(column).ok()?;
                        Some(Column::from(alias.input.schema().qualified_field(place)))
                    };
                    match used.iter().map(of).collect::<Option<Vec<_>>>() {
                        Some(columns) => used = columns,
                        None => return false,
                    }
                    &alias.input
                }
                LogicalPlan::Filter(filter) => {
                    used.extend(filter.predicate.column_refs().into_iter().cloned());
                    &filter.input
                }
                LogicalPlan::Extension(extension) => {
                    let Some(window) = extension.node.as_any().downcast_ref::<WindowNode>() else {
                        return false;
                    };
                    let place = |column: &Column| plan.schema().index_of_column(column).ok();
                    let time = window.time_index().ok();
                    // What cannot be a key is not looked at as one.
                    let mut fields = window.input.schema().fields().iter();
                    return time.is_some()
                        && fields.all(|f| !f.data_type().is_nested())
                        && used.iter().all(|c| place(c).is_some() && place(c) != time);
                }
                _ => return false,
            };
        }
    }

    /// Tells the source under `node` what its rows meet first that leaves late ones out, so that it can keep them.
    fn keep_late_rows(&mut self, mut node: usize, rule: LateRule) {
        loop {
            match &self.flow.nodes[node].spec {
                Spec::Source(source) => {
                    let source = &mut self.flow.sources[*source];
                    if source.stream.option("late_topic").is_some() && source.late_rule.is_none() {
                        let schema = source.stream.schema();
                        let time = source.stream.event_time_index();
                        source.late_rule = time.map(|time| match rule {
                            LateRule::Window(spec) => LateRule::Window(WindowSpec { time, schema, ..spec }),
                            LateRule::InTime(spec) => LateRule::InTime(InTimeSpec { time, schema, ..spec }),
                        });
                    }
                    return;
                }
                Spec::Filter(_) | Spec::Project(_) => node = self.flow.nodes[node].inputs[0],
                _ => return,
            }
        }
    }
}

/// Whether an aggregate is `count(*)`, of all rows.
fn is_count_of_rows(expr: &Expr) -> bool {
    let Expr::AggregateFunction(call) = expr.clone().unalias() else { return false };
    let all = |e: &Expr| matches!(e, Expr::Literal(value, _) if !value.is_null());
    let params = &call.params;
    call.func.name() == "count"
        && !params.distinct
        && params.filter.is_none()
        && params.order_by.is_empty()
        && params.args.iter().all(all)
}
