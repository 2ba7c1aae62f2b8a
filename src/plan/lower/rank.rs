//! Rankings to operators: `row_number()`, `rank()` and `dense_rank()` with the conditions on them, ORDER BY and LIMIT.

use super::super::dataflow::{Node, Spec};
use super::super::order::DISTINCT_RANK;
use super::super::state_bound::{Growth, StateBound, TTL, passes};
use super::super::trace::{self, ColumnTrace, trace};
use super::super::{EmitMode, arrow_schema, mistakes};
use super::bounds::Bounds;
use super::ranking::{Ranking, Source};
use super::{Lowering, Result, column, physical};
use crate::operators::aggregate::WindowKey;
use crate::operators::filter::FilterSpec;
use crate::operators::project::ProjectSpec;
use crate::operators::shown::tidy;
use crate::operators::top_n::{RankFunction, TopNSpec, TopNUse};
use crate::sql::Code;
use crate::sql::Diagnostic;
use arrow::array::RecordBatch;
use arrow::compute::SortOptions;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::DFSchemaRef;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::expr::Sort as SortExpr;
use datafusion::logical_expr::{Expr, FetchType, Limit, LogicalPlan, Projection, SkipType, Sort};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A sort key as the operator takes it.
pub(super) type SortKey = (Arc<dyn PhysicalExpr>, SortOptions);

/// What one operator is made of besides its place in the dataflow.
pub(super) struct Cut {
    pub(super) keys: Vec<Arc<dyn PhysicalExpr>>,
    pub(super) order: Vec<SortKey>,
    pub(super) function: RankFunction,
    pub(super) bounds: Bounds,
    pub(super) output: bool,
    pub(super) window: Option<WindowKey>,
    /// Whether all rows, or all of a window, come together on one worker.
    pub(super) gathers: bool,
    /// The keys in words.
    pub(super) named: Vec<String>,
    /// Whether it is a LIMIT, or else a rank that the query computes.
    pub(super) limit: bool,
    pub(super) schema: SchemaRef,
    pub(super) event_time: Option<usize>,
}

impl Lowering {
    /// A ranking with the filter on it, if the plan is one. `used` says which of its columns are read above.
    pub(super) fn ranking(
        &mut self,
        plan: &LogicalPlan,
        used: Option<&HashSet<usize>>,
    ) -> Option<Result<usize>> {
        let ranking = Ranking::of(plan)?;
        Some(ranking.and_then(|ranking| self.ranked(plan, ranking, used)))
    }

    /// A projection, of which it is known what it needs of a ranking below.
    pub(super) fn ranking_below(&mut self, projection: &Projection) -> Option<Result<usize>> {
        let schema = projection.input.schema();
        let columns = projection.expr.iter().flat_map(|e| e.column_refs());
        let used: HashSet<usize> = columns.filter_map(|c| schema.index_of_column(c).ok()).collect();
        self.ranking(&projection.input, Some(&used))
    }

    fn ranked(
        &mut self,
        plan: &LogicalPlan,
        mut ranking: Ranking,
        used: Option<&HashSet<usize>>,
    ) -> Result<usize> {
        if ranking.calls.iter().any(|call| call.bounds.is_empty()) {
            return self.no_rows(plan);
        }
        let unread = ranking.leave_out_unread(used);
        ranking.tightest_first();
        let Ranking { input, calls, columns, schema, filter } = ranking;
        let mut node = self.plan(input)?;
        let mut traces = trace(input).map_err(mistakes::without_place)?;
        let mut fields = arrow_schema(input).fields().to_vec();
        let mut places: HashMap<Source, usize> = (0..fields.len()).map(|i| (Source::Input(i), i)).collect();
        for call in calls {
            let output = unread != Some(call.source);
            // A ranking that neither shows nor bounds anything.
            if !output && call.bounds.all() {
                continue;
            }
            let over = |e: &Expr| moved(physical(e, &call.schema)?, &call.columns, &places);
            let keys = call.keys.iter().map(over).collect::<Result<Vec<_>>>()?;
            let order = call.order.iter().map(|s| Ok((over(&s.expr)?, options(s))));
            let order = order.collect::<Result<Vec<_>>>()?;
            let key_columns: Vec<Option<usize>> = keys.iter().map(column).collect();
            let window = window_key(&traces, &key_columns);
            let is_bound = |c: &Option<usize>| c.is_some_and(|c| traces[c].window.is_some_and(|w| w.closes));
            let gathers = key_columns.iter().all(is_bound);
            traces = trace::ranked(&traces, &key_columns);
            if output {
                places.insert(call.source, traces.len());
                traces.push(ColumnTrace::default());
                fields.push(call.field.clone());
            }
            let cut = Cut {
                named: call.keys.iter().map(|k| tidy(&k.schema_name().to_string())).collect(),
                keys,
                order,
                function: call.function,
                bounds: call.bounds,
                output,
                window,
                gathers,
                limit: false,
                schema: Arc::new(Schema::new(fields.clone())),
                event_time: traces.iter().position(|t| t.event_time),
            };
            node = self.cut(node, cut);
        }
        let wanted: Vec<usize> =
            columns.iter().filter(|c| unread != Some(**c)).filter_map(|c| places.get(c).copied()).collect();
        node = self.arranged(node, &wanted, &traces);
        let Some(predicate) = filter else { return Ok(node) };
        let predicate = physical(&predicate, &schema)?;
        Ok(self.over(node, Spec::Filter(FilterSpec { predicate })))
    }

    /// The rows of a cut over `input`: exchanges, a first cut on each worker where that helps, the operator.
    pub(super) fn cut(&mut self, input: usize, cut: Cut) -> usize {
        let Cut { keys, order, function, bounds, output, window, gathers, named, limit, schema, event_time } =
            cut;
        let input_append_only = self.append_only(input);
        let mode = if window.is_some() { self.mode } else { EmitMode::Changes };
        let input_schema = self.flow.nodes[input].schema.clone();
        let spec = TopNSpec {
            input_schema: input_schema.clone(),
            keys: keys.clone(),
            order,
            function,
            first: bounds.first,
            last: bounds.last,
            output,
            purpose: TopNUse::Result,
            window,
            input_append_only,
            rising: false,
            unbounded: false,
            mode,
            schema,
        };
        let first = |purpose| TopNSpec {
            first: 1,
            output: false,
            purpose,
            schema: input_schema.clone(),
            mode: EmitMode::Changes,
            ..spec.clone()
        };
        // Before rows come together each worker leaves out what cannot matter.
        let mut node = input;
        let mut rising = false;
        let above = if gathers || !input_append_only { self.above_threshold(node, &spec) } else { None };
        if let Some(above) = above {
            (node, rising) = (above, !input_append_only);
        } else if spec.last.is_some() && gathers && input_append_only {
            let spec = first(TopNUse::Candidates);
            let state = self.rank_state(&spec, &named, limit, node);
            node = self.over(node, Spec::TopN(spec));
            self.flow.nodes[node].append_only = true;
            self.flow.nodes[node].state = Some(state);
        } else if spec.last.is_some() && keys.is_empty() {
            let all: Vec<Arc<dyn PhysicalExpr>> = columns_as_they_are(&input_schema);
            node = self.spread(node, all);
            let mut spec = first(TopNUse::Spread);
            let state = self.rank_state(&spec, &named, limit, node);
            spec.unbounded = state.is_unbounded();
            node = self.over(node, Spec::TopN(spec));
            self.flow.nodes[node].append_only = false;
            self.flow.nodes[node].event_time = None;
            self.flow.nodes[node].state = Some(state);
        }
        node = self.exchange(node, &keys);
        let mut spec = TopNSpec { input_append_only: self.append_only(node), rising, ..spec };
        let (state, append_only) = (self.rank_state(&spec, &named, limit, node), spec.append_only());
        spec.unbounded = state.is_unbounded();
        let schema = spec.schema.clone();
        self.flow.nodes.push(Node {
            spec: Spec::TopN(spec),
            inputs: vec![node],
            schema,
            append_only,
            event_time,
            state: Some(state),
        });
        self.flow.nodes.len() - 1
    }

    /// What bounds the state of a ranking over a node.
    fn rank_state(&self, spec: &TopNSpec, keys: &[String], limit: bool, input: usize) -> StateBound {
        let growth = self.flow.growth(input);
        let gives = if spec.last.is_some() { Growth::of_distinct(keys) } else { growth.clone() };
        if let Some(window) = &spec.window {
            let watermark = self.flow.watermark_of(&[input]);
            return StateBound::watermark(passes(&watermark, "the window's end", window.grace), gives);
        }
        match spec.last.map(|last| rows(last, spec.function)) {
            Some(rows) if spec.input_append_only && spec.purpose == TopNUse::Candidates => {
                StateBound::constant(format!("{rows} on each worker"))
            }
            Some(rows) if spec.input_append_only && keys.is_empty() => StateBound::constant(rows),
            Some(rows) if spec.input_append_only => {
                StateBound::keys(format!("{rows} for each distinct ({})", keys.join(", ")), gives)
            }
            Some(rows) if self.is_of_each_worker(input) => {
                StateBound::constant(format!("{rows} of each worker"))
            }
            _ => {
                let rewrite = || match (limit, spec.last) {
                    (true, None) => format!("LIMIT n, or {TTL}"),
                    (false, None) => format!("WHERE {}() <= n, or {TTL}", spec.function.name()),
                    // What it ranks may change at any time: only a bounded input bounds it.
                    (_, Some(_)) => TTL.into(),
                };
                StateBound::all_of(growth, rewrite).giving(gives)
            }
        }
    }

    /// Whether a node gives what each worker has found best of its rows.
    fn is_of_each_worker(&self, node: usize) -> bool {
        match &self.flow.nodes[node].spec {
            Spec::Exchange(_) => self.is_of_each_worker(self.flow.nodes[node].inputs[0]),
            Spec::TopN(spec) => spec.purpose == TopNUse::Spread,
            _ => false,
        }
    }

    /// A node over another with the same columns.
    fn over(&mut self, input: usize, spec: Spec) -> usize {
        let below = self.flow.nodes[input].clone();
        self.flow.nodes.push(Node { spec, inputs: vec![input], state: None, ..below });
        self.flow.nodes.len() - 1
    }

    /// The node's columns as the plan has them.
    fn arranged(&mut self, node: usize, wanted: &[usize], traces: &[ColumnTrace]) -> usize {
        let below = self.flow.nodes[node].schema.clone();
        if wanted.iter().copied().eq(0..below.fields().len()) {
            return node;
        }
        let schema =
            Arc::new(Schema::new(wanted.iter().map(|i| below.fields()[*i].clone()).collect::<Vec<_>>()));
        let column =
            |i: &usize| Arc::new(PhysicalColumn::new(below.field(*i).name(), *i)) as Arc<dyn PhysicalExpr>;
        let spec = ProjectSpec { expressions: wanted.iter().map(column).collect(), schema: schema.clone() };
        let added = self.over(node, Spec::Project(spec));
        self.flow.nodes[added].schema = schema;
        self.flow.nodes[added].event_time = wanted.iter().position(|i| traces[*i].event_time);
        added
    }

    /// ORDER BY. Without a LIMIT it says nothing of which rows there are.
    pub(super) fn sort(&mut self, plan: &LogicalPlan, sort: &Sort) -> Result<usize> {
        match sort.fetch {
            None => self.plan(&sort.input),
            Some(0) => self.no_rows(plan),
            Some(n) => self.top(&sort.input, &sort.expr, Bounds { first: 1, last: Some(n as u64) }),
        }
    }

    /// LIMIT and OFFSET, mostly over an ORDER BY; rows that tie, or all without one, by value.
    pub(super) fn limit(&mut self, plan: &LogicalPlan, limit: &Limit) -> Result<usize> {
        let skip = limit.get_skip_type().map_err(mistakes::without_place)?;
        let fetch = limit.get_fetch_type().map_err(mistakes::without_place)?;
        let (SkipType::Literal(skip), FetchType::Literal(fetch)) = (skip, fetch) else {
            return Err(Diagnostic::coded(Code::NotMaintained, "LIMIT and OFFSET must be constants")
                .help("a condition on row_number() OVER (ORDER BY …) may compare with any expression"));
        };
        let mut last = fetch.map(|n| n.saturating_add(skip));
        // Between the two the optimizer may have put what leaves columns out.
        let (mut below, mut between) = (limit.input.as_ref(), Vec::new());
        let sort = loop {
            match below {
                LogicalPlan::Sort(sort) => break Some(sort),
                LogicalPlan::SubqueryAlias(alias) => below = &alias.input,
                LogicalPlan::Projection(projection) => {
                    between.push((below, projection));
                    below = &projection.input;
                }
                _ => break None,
            }
        };
        let Some(sort) = sort else {
            let bounds = Bounds::rows(skip, last);
            return if bounds.is_empty() { self.no_rows(plan) } else { self.top(&limit.input, &[], bounds) };
        };
        last = [last, sort.fetch].into_iter().flatten().min();
        let bounds = Bounds::rows(skip, last);
        if bounds.is_empty() {
            return self.no_rows(plan);
        }
        let mut node = self.top(&sort.input, &sort.expr, bounds)?;
        for (plan, projection) in between.into_iter().rev() {
            node = self.projected(plan, projection, node)?;
            // Rows leave the top at any time: no watermark speaks of what is left.
            self.flow.nodes[node].event_time = None;
        }
        Ok(node)
    }

    fn top(&mut self, input: &LogicalPlan, order: &[SortExpr], bounds: Bounds) -> Result<usize> {
        let node = self.plan(input)?;
        if bounds.all() {
            return Ok(node);
        }
        let cut = Cut {
            keys: vec![],
            order: sort_keys(order, input.schema())?,
            function: RankFunction::RowNumber,
            bounds,
            output: false,
            window: None,
            gathers: true,
            named: vec![],
            limit: true,
            schema: self.flow.nodes[node].schema.clone(),
            event_time: None,
        };
        Ok(self.cut(node, cut))
    }

    fn no_rows(&mut self, plan: &LogicalPlan) -> Result<usize> {
        let empty = RecordBatch::new_empty(arrow_schema(plan));
        self.add(plan, Spec::Values(empty), vec![], true, None)
    }
}

/// An expression over a plan's columns as one over the operator's input, where these are at other places.
fn moved(
    expr: Arc<dyn PhysicalExpr>,
    columns: &[Source],
    places: &HashMap<Source, usize>,
) -> Result<Arc<dyn PhysicalExpr>> {
    let place = |column: &PhysicalColumn| columns.get(column.index()).and_then(|s| places.get(s)).copied();
    let moved = expr.transform_up(|node| {
        let moved = node.downcast_ref::<PhysicalColumn>().and_then(|c| Some((c, place(c)?)));
        Ok(match moved {
            Some((c, at)) => Transformed::yes(Arc::new(PhysicalColumn::new(c.name(), at)) as _),
            None => Transformed::no(node),
        })
    });
    Ok(moved.map_err(mistakes::without_place)?.data)
}

fn options(sort: &SortExpr) -> SortOptions {
    SortOptions { descending: !sort.asc, nulls_first: sort.nulls_first }
}

fn columns_as_they_are(schema: &SchemaRef) -> Vec<Arc<dyn PhysicalExpr>> {
    let fields = schema.fields().iter().enumerate();
    fields.map(|(i, f)| Arc::new(PhysicalColumn::new(f.name(), i)) as Arc<dyn PhysicalExpr>).collect()
}

fn sort_keys(order: &[SortExpr], schema: &DFSchemaRef) -> Result<Vec<SortKey>> {
    let key = |sort: &SortExpr| Ok((physical(&sort.expr, schema)?, options(sort)));
    order.iter().map(key).collect()
}

/// Which of the keys cuts the state by the watermark.
pub(super) fn window_key(traces: &[ColumnTrace], keys: &[Option<usize>]) -> Option<WindowKey> {
    let windows = keys.iter().enumerate().filter_map(|(key, column)| {
        let window = traces.get((*column)?)?.window.filter(|w| w.closes)?;
        Some(WindowKey { key, to_end: window.to_end, grace: window.grace })
    });
    // The end tells more than the start where windows grow.
    windows.min_by_key(|w| w.to_end)
}

/// The rows with a rank up to `n`.
fn rows(n: u64, function: RankFunction) -> String {
    match (n, function) {
        (1, RankFunction::RowNumber) => "one row".into(),
        (n, RankFunction::RowNumber) => format!("{n} rows"),
        (1, RankFunction::Rank) => "one row and its ties".into(),
        (1, RankFunction::DenseRank) => "the rows of one sort key".into(),
        (n, RankFunction::Rank) => format!("{n} rows and their ties"),
        (n, RankFunction::DenseRank) => format!("the rows of {n} sort keys"),
    }
}

/// Refuses EMIT FINAL with an ORDER BY for the whole result.
pub(super) fn refuse_final_order(plan: &LogicalPlan) -> Result<()> {
    let mut below = plan;
    while let LogicalPlan::Projection(projection) = below {
        below = &projection.input;
    }
    match below {
        LogicalPlan::Sort(sort) if sort.fetch.is_none() && !of_distinct_on(&sort.input) => {
            Err(Diagnostic::coded(
                Code::NotMaintained,
                "ORDER BY cannot be kept with EMIT FINAL: rows go out as their windows close",
            )
            .help("leave it out, or write the result to a stream and SELECT … ORDER BY from that"))
        }
        _ => Ok(()),
    }
}

/// Whether the order is that in which DISTINCT ON chooses its rows.
fn of_distinct_on(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(p) => of_distinct_on(&p.input),
        LogicalPlan::Filter(f) => of_distinct_on(&f.input),
        LogicalPlan::Window(w) => w.schema.fields().last().is_some_and(|f| f.name() == DISTINCT_RANK),
        _ => false,
    }
}
