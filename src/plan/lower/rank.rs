//! Rankings to operators: `row_number()`, `rank()` and `dense_rank()` with the conditions on them, ORDER BY and LIMIT.

use super::super::dataflow::{Node, Spec};
use super::super::order::DISTINCT_RANK;
use super::super::trace::{self, ColumnTrace, trace};
use super::super::{EmitMode, arrow_schema, mistakes};
use super::bounds::Bounds;
use super::{Lowering, Result, physical};
use crate::operators::aggregate::WindowKey;
use crate::operators::filter::FilterSpec;
use crate::operators::project::ProjectSpec;
use crate::operators::shown::tidy;
use crate::operators::top_n::{RankFunction, TopNSpec, TopNUse};
use crate::operators::window::length;
use crate::sql::Diagnostic;
use arrow::array::RecordBatch;
use arrow::compute::SortOptions;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::DFSchemaRef;
use datafusion::logical_expr::expr::{Sort as SortExpr, WindowFunction, WindowFunctionDefinition};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    Expr, FetchType, Filter, Limit, LogicalPlan, Projection, SkipType, Sort, Window,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use std::collections::HashSet;
use std::sync::Arc;

/// A sort key as the operator takes it.
type SortKey = (Arc<dyn PhysicalExpr>, SortOptions);

/// One ranking function.
#[derive(Clone)]
struct Call {
    function: RankFunction,
    keys: Vec<Expr>,
    order: Vec<SortExpr>,
    /// What its expressions are over.
    schema: DFSchemaRef,
    /// Its column in the schema of the whole.
    column: usize,
    bounds: Bounds,
}

/// Ranking functions over the same rows, the first applied first, with what a filter above says of them.
struct Ranking<'a> {
    input: &'a LogicalPlan,
    calls: Vec<Call>,
    /// The columns of the whole.
    schema: DFSchemaRef,
    /// The conditions that the ranges of the calls do not say.
    filter: Option<Expr>,
}

/// What one operator is made of besides its place in the dataflow.
struct Cut {
    keys: Vec<Arc<dyn PhysicalExpr>>,
    order: Vec<SortKey>,
    function: RankFunction,
    bounds: Bounds,
    output: bool,
    window: Option<WindowKey>,
    /// Whether all rows, or all of a window, come together on one worker.
    gathers: bool,
    /// The keys in words.
    named: Vec<String>,
    schema: SchemaRef,
    event_time: Option<usize>,
}

/// The plan below what only names it.
fn unaliased(mut plan: &LogicalPlan) -> &LogicalPlan {
    while let LogicalPlan::SubqueryAlias(alias) = plan {
        plan = &alias.input;
    }
    plan
}

impl Lowering {
    /// A ranking with the filter on it, if the plan is one. `used` says which of its columns are read above.
    pub(super) fn ranking(
        &mut self,
        plan: &LogicalPlan,
        used: Option<&HashSet<usize>>,
    ) -> Option<Result<usize>> {
        let ranking = match unaliased(plan) {
            LogicalPlan::Window(window) => Ranking::new(window, None),
            LogicalPlan::Filter(filter) => match unaliased(&filter.input) {
                LogicalPlan::Window(window) => Ranking::new(window, Some(filter)),
                _ => return None,
            },
            _ => return None,
        };
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
        ranking: Ranking,
        used: Option<&HashSet<usize>>,
    ) -> Result<usize> {
        let Ranking { input, mut calls, schema, filter } = ranking;
        if calls.iter().any(|call| call.bounds.is_empty()) {
            return self.no_rows(plan);
        }
        let base = input.schema().fields().len();
        // The last column is left out where nobody reads it: without ranks in the output fewer rows change.
        let last = schema.fields().len() - 1;
        let read_by_filter =
            filter.iter().flat_map(|e| e.column_refs()).any(|c| schema.index_of_column(c).ok() == Some(last));
        let left_out = !read_by_filter && used.is_some_and(|used| !used.contains(&last));
        let natural: Vec<usize> = calls.iter().map(|call| call.column).collect();
        tightest_first(&mut calls, input);
        let mut node = self.plan(input)?;
        let mut traces = trace(input).map_err(mistakes::without_place)?;
        let mut fields = arrow_schema(input).fields().to_vec();
        let mut columns: Vec<usize> = (0..base).collect();
        for call in calls {
            let output = !(left_out && call.column == last);
            // A ranking that neither shows nor bounds anything.
            if !output && call.bounds.all() {
                continue;
            }
            let key_columns = columns_of(&call.keys, &call.schema);
            let keys = call.keys.iter().map(|e| physical(e, &call.schema)).collect::<Result<Vec<_>>>()?;
            let order = sort_keys(&call.order, &call.schema)?;
            let window = window_key(&traces, &key_columns);
            let is_bound = |c: &Option<usize>| c.is_some_and(|c| traces[c].window.is_some_and(|w| w.closes));
            let gathers = key_columns.iter().all(is_bound);
            traces = trace::ranked(&traces, &key_columns);
            if output {
                traces.push(ColumnTrace::default());
                fields.push(schema.field(call.column).clone());
                columns.push(call.column);
            }
            let cut = Cut {
                keys,
                order,
                function: call.function,
                bounds: call.bounds,
                output,
                window,
                gathers,
                named: call.keys.iter().map(|k| tidy(&k.schema_name().to_string())).collect(),
                schema: Arc::new(Schema::new(fields.clone())),
                event_time: traces.iter().position(|t| t.event_time),
            };
            node = self.cut(node, cut);
        }
        node = self.arranged(node, &columns, &natural);
        let Some(predicate) = filter else { return Ok(node) };
        let predicate = physical(&predicate, &schema)?;
        Ok(self.over(node, Spec::Filter(FilterSpec { predicate })))
    }

    /// The rows of a cut over `input`: exchanges, a first cut on each worker where that helps, the operator.
    fn cut(&mut self, input: usize, cut: Cut) -> usize {
        let Cut { keys, order, function, bounds, output, window, gathers, named, schema, event_time } = cut;
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
        if spec.last.is_some() && gathers && input_append_only {
            let state = state_bound(&first(TopNUse::Candidates), &named);
            node = self.over(node, Spec::TopN(first(TopNUse::Candidates)));
            self.flow.nodes[node].append_only = true;
            self.flow.nodes[node].state = Some(state);
        } else if spec.last.is_some() && keys.is_empty() {
            let all: Vec<Arc<dyn PhysicalExpr>> = columns_as_they_are(&input_schema);
            node = self.exchange(node, &all);
            let state = state_bound(&first(TopNUse::Spread), &named);
            node = self.over(node, Spec::TopN(first(TopNUse::Spread)));
            self.flow.nodes[node].append_only = false;
            self.flow.nodes[node].event_time = None;
            self.flow.nodes[node].state = Some(state);
        }
        node = self.exchange(node, &keys);
        let spec = TopNSpec { input_append_only: self.append_only(node), ..spec };
        let (state, append_only) = (state_bound(&spec, &named), spec.append_only());
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

    /// A node over another with the same columns.
    fn over(&mut self, input: usize, spec: Spec) -> usize {
        let below = self.flow.nodes[input].clone();
        self.flow.nodes.push(Node { spec, inputs: vec![input], state: None, ..below });
        self.flow.nodes.len() - 1
    }

    /// The columns in the order of the plan's: `columns` says which of them each of the node's is, `natural` in what order the ranks come.
    fn arranged(&mut self, node: usize, columns: &[usize], natural: &[usize]) -> usize {
        if columns.is_sorted() || natural.is_empty() {
            return node;
        }
        let below = self.flow.nodes[node].clone();
        let mut places: Vec<usize> = (0..columns.len()).collect();
        places.sort_by_key(|i| columns[*i]);
        let fields: Vec<_> = places.iter().map(|i| below.schema.fields()[*i].clone()).collect();
        let column = |i: &usize| {
            Arc::new(PhysicalColumn::new(below.schema.field(*i).name(), *i)) as Arc<dyn PhysicalExpr>
        };
        let schema = Arc::new(Schema::new(fields));
        let spec = ProjectSpec { expressions: places.iter().map(column).collect(), schema: schema.clone() };
        let added = self.over(node, Spec::Project(spec));
        // Only ranks change places, and none of them is a time.
        self.flow.nodes[added].schema = schema;
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
            return Err(Diagnostic::new("LIMIT and OFFSET must be constants")
                .help("a condition on row_number() OVER (ORDER BY …) may compare with any expression"));
        };
        let mut last = fetch.map(|n| n.saturating_add(skip));
        let (input, order): (&LogicalPlan, &[SortExpr]) = match limit.input.as_ref() {
            LogicalPlan::Sort(sort) => {
                last = [last, sort.fetch].into_iter().flatten().min();
                (&sort.input, &sort.expr)
            }
            other => (other, &[]),
        };
        let bounds = Bounds { first: (skip as u64).saturating_add(1), last: last.map(|n| n as u64) };
        if bounds.is_empty() { self.no_rows(plan) } else { self.top(input, order, bounds) }
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

impl<'a> Ranking<'a> {
    fn new(window: &'a Window, filter: Option<&Filter>) -> Result<Self> {
        let mut calls = Vec::new();
        let input = collect(window, &mut calls)?;
        let mut ranking = Ranking { input, calls, schema: window.schema.clone(), filter: None };
        if let Some(filter) = filter {
            ranking.bound(&filter.predicate);
        }
        Ok(ranking)
    }

    /// Takes the conditions on a rank out of a predicate. Only those on the last rank may be applied before the
    /// others: a rank counts all rows, unless what is left out stands behind all that stay.
    fn bound(&mut self, predicate: &Expr) {
        let mut rest = Vec::new();
        for condition in split_conjunction(predicate) {
            let found = (0..self.calls.len()).rev().find_map(|i| {
                let column = self.calls[i].column;
                let bounds = Bounds::of(condition, &|c| self.schema.index_of_column(c).ok() == Some(column))?;
                let others = &self.calls[i + 1..];
                (others.iter().all(|later| follows(&self.calls[i], later))).then_some((i, bounds))
            });
            match found {
                // Rows below the range must stay for the ranks that come later.
                Some((i, (bounds, exact))) if i + 1 == self.calls.len() => {
                    self.calls[i].bounds = self.calls[i].bounds.and(bounds);
                    if !exact {
                        rest.push(condition.clone());
                    }
                }
                Some((i, (bounds, exact))) => {
                    self.calls[i].bounds = self.calls[i].bounds.and(Bounds { first: 1, ..bounds });
                    if !exact || bounds.first > 1 {
                        rest.push(condition.clone());
                    }
                }
                None => rest.push(condition.clone()),
            }
        }
        self.filter = conjunction(rest);
    }
}

/// Whether a later call ranks in the same order, as far as both go: then rows beyond a rank of `call` stand behind all that stay.
fn follows(call: &Call, later: &Call) -> bool {
    let same = |a: &[Expr], b: &[Expr]| a.len() == b.len() && a.iter().all(|e| b.contains(e));
    let common = call.order.len().min(later.order.len());
    same(&call.keys, &later.keys) && call.order[..common] == later.order[..common]
}

/// Brings a bounded call before those that would otherwise rank all rows, where that changes no rank.
fn tightest_first(calls: &mut [Call], input: &LogicalPlan) {
    let over_input = |call: &Call| {
        let columns =
            call.keys.iter().chain(call.order.iter().map(|s| &s.expr)).flat_map(|e| e.column_refs());
        columns.into_iter().all(|c| input.schema().has_column(c))
    };
    let Some(at) = calls.iter().position(|call| call.bounds.last.is_some()) else { return };
    let movable = calls[..=at].iter().all(|other| follows(&calls[at], other) && over_input(other));
    if at == 0 || !movable || calls[at].bounds.first > 1 {
        return;
    }
    calls[..=at].rotate_right(1);
    for call in &mut calls[..=at] {
        call.schema = input.schema().clone();
    }
}

/// The calls of a window node and those below it, lowest first, and what they are over.
fn collect<'a>(window: &'a Window, calls: &mut Vec<Call>) -> Result<&'a LogicalPlan> {
    let input = match window.input.as_ref() {
        LogicalPlan::Window(inner) => collect(inner, calls)?,
        other => other,
    };
    let width = window.input.schema().fields().len();
    for (i, expr) in window.window_expr.iter().enumerate() {
        let Expr::WindowFunction(function) = expr.clone().unalias_nested().data else {
            return Err(Diagnostic::new("this OVER is not maintained continuously"));
        };
        let params = &function.params;
        calls.push(Call {
            function: rank_function(&function)?,
            keys: params.partition_by.clone(),
            order: params.order_by.clone(),
            schema: window.input.schema().clone(),
            column: width + i,
            bounds: Bounds::default(),
        });
    }
    Ok(input)
}

fn rank_function(function: &WindowFunction) -> Result<RankFunction> {
    let name = function.fun.name().to_string();
    let aggregate = matches!(function.fun, WindowFunctionDefinition::AggregateUDF(_));
    match name.as_str() {
        "row_number" => return Ok(RankFunction::RowNumber),
        "rank" => return Ok(RankFunction::Rank),
        "dense_rank" => return Ok(RankFunction::DenseRank),
        _ => {}
    }
    let d = Diagnostic::new(format!("{name}() OVER (…) is not maintained continuously"))
        .note("of the functions with OVER, row_number(), rank() and dense_rank() are");
    let first_or_last = matches!(name.as_str(), "first_value" | "last_value" | "nth_value");
    Err(match name.as_str() {
        _ if aggregate && !first_or_last => d.help(format!(
            "write {name}(…) with GROUP BY the columns of its PARTITION BY, and join that to the rows by them where these are wanted too"
        )),
        "lag" | "lead" => d.help(
            "number the rows in a subquery, row_number() OVER (…) AS n, and join it to itself where a.n = b.n + 1",
        ),
        _ if first_or_last => d.help(
            "take the row itself: row_number() OVER (PARTITION BY … ORDER BY …) = 1, or DISTINCT ON (…) … ORDER BY …",
        ),
        "ntile" | "percent_rank" | "cume_dist" => {
            d.help("it hangs on how many rows there are in all: rank() OVER (…) numbers them without that")
        }
        _ => d.help("a SELECT without EMIT answers it once, over what is there now"),
    })
}

/// The columns that plain keys are.
fn columns_of(keys: &[Expr], schema: &DFSchemaRef) -> Vec<Option<usize>> {
    let column = |e: &Expr| match e.clone().unalias() {
        Expr::Column(c) => schema.index_of_column(&c).ok(),
        _ => None,
    };
    keys.iter().map(column).collect()
}

fn columns_as_they_are(schema: &SchemaRef) -> Vec<Arc<dyn PhysicalExpr>> {
    let fields = schema.fields().iter().enumerate();
    fields.map(|(i, f)| Arc::new(PhysicalColumn::new(f.name(), i)) as Arc<dyn PhysicalExpr>).collect()
}

fn sort_keys(order: &[SortExpr], schema: &DFSchemaRef) -> Result<Vec<SortKey>> {
    let key = |sort: &SortExpr| {
        let options = SortOptions { descending: !sort.asc, nulls_first: sort.nulls_first };
        Ok((physical(&sort.expr, schema)?, options))
    };
    order.iter().map(key).collect()
}

/// Which of the keys cuts the state by the watermark.
fn window_key(traces: &[ColumnTrace], keys: &[Option<usize>]) -> Option<WindowKey> {
    let windows = keys.iter().enumerate().filter_map(|(key, column)| {
        let window = traces.get((*column)?)?.window.filter(|w| w.closes)?;
        Some(WindowKey { key, to_end: window.to_end, grace: window.grace })
    });
    // The end tells more than the start where windows grow.
    windows.min_by_key(|w| w.to_end)
}

fn state_bound(spec: &TopNSpec, keys: &[String]) -> String {
    if let Some(window) = &spec.window {
        return if window.grace > 0 {
            format!("dropped when the watermark passes the window's end by {}", length(window.grace))
        } else {
            "dropped when the watermark passes the window's end".into()
        };
    }
    let rows = |n: u64| match (n, spec.function) {
        (1, RankFunction::RowNumber) => "one row".to_string(),
        (n, RankFunction::RowNumber) => format!("{n} rows"),
        (n, RankFunction::Rank) => format!("{n} rows and their ties"),
        (n, RankFunction::DenseRank) => format!("the rows of {n} sort keys"),
    };
    match spec.last {
        Some(last) if spec.input_append_only => match spec.purpose {
            TopNUse::Candidates => format!("{} on each worker", rows(last)),
            _ if keys.is_empty() => rows(last),
            _ => format!("{} for each distinct ({})", rows(last), keys.join(", ")),
        },
        _ if spec.input_append_only => "grows with every row".into(),
        _ => "all rows of its input".into(),
    }
}

/// Refuses EMIT FINAL with an ORDER BY for the whole result.
pub(super) fn refuse_final_order(plan: &LogicalPlan) -> Result<()> {
    let mut below = plan;
    while let LogicalPlan::Projection(projection) = below {
        below = &projection.input;
    }
    match below {
        LogicalPlan::Sort(sort) if sort.fetch.is_none() && !of_distinct_on(&sort.input) => Err(
            Diagnostic::new("ORDER BY cannot be kept with EMIT FINAL: rows go out as their windows close")
                .help("leave it out, or write the result to a stream and SELECT … ORDER BY from that"),
        ),
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
