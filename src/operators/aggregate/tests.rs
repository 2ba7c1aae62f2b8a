//! The operator against the batch engine: every aggregate function, over input that grows and input
//! that changes, emitted as changes and as a final result, cut at random, restored in the middle.

use super::*;
use crate::delta::{consolidate, draw, drawn, hash_columns, partition};
use arrow::array::*;
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::MemTable;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::aggregate::LoweredAggregateBuilder;
use datafusion::physical_expr::create_physical_expr;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::executor::block_on;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A small deterministic source of randomness.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }

    fn maybe<T>(&mut self, value: T) -> Option<T> {
        (self.below(5) > 0).then_some(value)
    }
}

/// Rows to draw from: k, i, u, f, g, s, b, d, t, with nulls.
fn pool(rows: usize, random: &mut Random) -> RecordBatch {
    macro_rules! column {
        ($array:ty, $value:expr) => {{
            let draw = |random: &mut Random| {
                let value = $value(random);
                random.maybe(value)
            };
            (0..rows).map(|_| draw(random)).collect::<$array>()
        }};
    }
    let eighths = |r: &mut Random| (r.below(1600) as f64 - 800.0) / 8.0;
    let decimals = column!(Decimal128Array, |r: &mut Random| r.below(100_000) as i128 - 50_000);
    let words = ["", "a", "ab", "b", "ä", "zebra"];
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("k", Arc::new(column!(Int64Array, |r: &mut Random| r.below(4) as i64))),
        ("i", Arc::new(column!(Int64Array, |r: &mut Random| r.below(40) as i64 - 20))),
        ("u", Arc::new(column!(UInt32Array, |r: &mut Random| r.below(9) as u32 + 1))),
        ("f", Arc::new(column!(Float64Array, eighths))),
        ("g", Arc::new(column!(Float64Array, eighths))),
        ("s", Arc::new(column!(StringArray, |r: &mut Random| words[r.below(6) as usize]))),
        ("b", Arc::new(column!(BooleanArray, |r: &mut Random| r.below(2) == 0))),
        ("d", Arc::new(decimals.with_precision_and_scale(10, 2).unwrap())),
        ("t", Arc::new(column!(TimestampMillisecondArray, |r: &mut Random| r.below(50) as i64))),
        ("o", Arc::new(Int64Array::from_iter_values(0..rows as i64))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap()
}

/// A session with the rows as table t.
fn session(batch: &RecordBatch) -> SessionContext {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    let table = MemTable::try_new(batch.schema(), vec![vec![batch.clone()]]).unwrap();
    context.register_table("t", Arc::new(table)).unwrap();
    context
}

/// The spec of the one aggregation in a query over t.
pub(super) fn spec(batch: &RecordBatch, sql: &str, append_only: bool, mode: EmitMode) -> AggregateSpec {
    let state = session(batch).state();
    let plan = block_on(state.create_logical_plan(sql)).unwrap();
    let mut plan = state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}).unwrap();
    let aggregate = loop {
        plan = match plan {
            LogicalPlan::Aggregate(aggregate) => break aggregate,
            other => other.inputs()[0].clone(),
        };
    };
    let input = aggregate.input.schema();
    let (props, context) = (state.execution_props(), PhysicalPlanningContext::default());
    let group = aggregate
        .group_expr
        .iter()
        .map(|e| (create_physical_expr(e, input, props, &context).unwrap(), e.schema_name().to_string()));
    let calls = aggregate.aggr_expr.iter().map(|e| {
        let lowered = LoweredAggregateBuilder::new(e, input, input.as_arrow(), props, &context);
        let lowered = lowered.build().unwrap();
        AggregateCall { expr: lowered.aggregate, filter: lowered.filter }
    });
    AggregateSpec {
        group: group.collect(),
        aggregates: calls.collect(),
        window: None,
        input_append_only: append_only,
        mode,
        schema: Arc::new(aggregate.schema.as_arrow().clone()),
        input_schema: Arc::new(input.as_arrow().clone()),
    }
}

/// Counts, sums and extremes of `v` by `k`, kept up to date.
pub(crate) fn by_key(schema: &SchemaRef) -> Aggregate {
    let sql = "SELECT k, count(*), sum(v), min(v), count(DISTINCT v) FROM t GROUP BY k";
    let batch = RecordBatch::new_empty(schema.clone());
    Aggregate::new(spec(&batch, sql, false, EmitMode::Changes), true).unwrap()
}

/// A query: keys and calls.
#[derive(Clone, Copy)]
struct Query<'a> {
    keys: &'a str,
    calls: &'a [&'a str],
    /// How the rows must be sorted for the batch engine to give our answer.
    order: &'a str,
}

impl Query<'_> {
    fn sql(&self) -> String {
        match (self.keys, self.calls) {
            ("", calls) => format!("SELECT {} FROM t", calls.join(", ")),
            (keys, []) => format!("SELECT {keys} FROM t GROUP BY {keys}"),
            (keys, calls) => format!("SELECT {keys}, {} FROM t GROUP BY {keys}", calls.join(", ")),
        }
    }
}

/// Batch answer over some rows of the pool. The batch engine takes one ORDER BY a query, so there is
/// a query for each; their columns are put side by side.
fn batch_answer(pool: &RecordBatch, rows: &[u32], query: Query) -> RecordBatch {
    let rows = take_record_batch(pool, &UInt32Array::from(rows.to_vec())).unwrap();
    let sorted = format!("SELECT * FROM t ORDER BY {}", query.order);
    let context = session(&collect(&session(&rows), &sorted));
    let mut by_order: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, call) in query.calls.iter().enumerate() {
        let order = call.split_once("ORDER BY").map_or("", |(_, order)| order.split(')').next().unwrap());
        by_order.entry(order).or_default().push(i);
    }
    if query.calls.is_empty() {
        return collect(&context, &query.sql());
    }
    let keys = if query.keys.is_empty() { 0 } else { query.keys.split(',').count() };
    let mut columns: Vec<Option<ArrayRef>> = vec![None; keys + query.calls.len()];
    for numbers in by_order.values() {
        let calls: Vec<&str> = numbers.iter().map(|i| query.calls[*i]).collect();
        let sorted = if keys > 0 { format!(" ORDER BY {}", query.keys) } else { String::new() };
        let answer = collect(&context, &format!("{}{sorted}", Query { calls: &calls, ..query }.sql()));
        let places = (0..keys).chain(numbers.iter().map(|i| keys + i));
        places.zip(answer.columns()).for_each(|(place, column)| columns[place] = Some(column.clone()));
    }
    let named = columns.into_iter().enumerate().map(|(i, c)| (format!("column{i}"), c.unwrap(), true));
    RecordBatch::try_from_iter_with_nullable(named).unwrap()
}

fn collect(context: &SessionContext, sql: &str) -> RecordBatch {
    let frame = block_on(context.sql(sql)).unwrap();
    let schema = Arc::new(frame.schema().as_arrow().clone());
    arrow::compute::concat_batches(&schema, &block_on(frame.collect()).unwrap()).unwrap()
}

fn close(a: &ScalarValue, b: &ScalarValue) -> bool {
    match (a, b) {
        (ScalarValue::Float64(Some(a)), ScalarValue::Float64(Some(b))) => {
            (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
        }
        _ => a == b,
    }
}

/// Compares what was emitted with the batch answer, whose first `keys` columns are the keys.
fn check(out: &[Delta], schema: &SchemaRef, expected: &RecordBatch, keys: usize, note: &str) {
    let (got, weights) = consolidate(schema, out).unwrap();
    assert!(weights.values().iter().all(|w| *w == 1), "{note}: weights {weights:?}\n{}", draw(out));
    assert_eq!(got.num_rows(), expected.num_rows(), "{note}: {}", draw(out));
    let key = |batch: &RecordBatch, row: usize| {
        (0..keys).map(|k| ScalarValue::try_from_array(batch.column(k), row).unwrap()).collect::<Vec<_>>()
    };
    for row in 0..got.num_rows() {
        let other = (0..expected.num_rows()).find(|other| key(expected, *other) == key(&got, row)).unwrap();
        for (column, field) in schema.fields().iter().enumerate().skip(keys) {
            let a = ScalarValue::try_from_array(got.column(column), row).unwrap();
            let b = ScalarValue::try_from_array(expected.column(column), other).unwrap();
            assert!(close(&a, &b), "{note}: {} of {:?}: {a} is not {b}", field.name(), key(&got, row));
        }
    }
}

/// The functions, and the order in which the batch engine must see the rows to give our answer.
const CASES: &[(&str, &str)] = &[
    (
        "i NULLS LAST",
        "count(*); count(i); count(i, s); count(DISTINCT i); count(DISTINCT s); count(DISTINCT f); \
         count(DISTINCT b); sum(i); sum(u); sum(f); sum(d); sum(DISTINCT i); sum(DISTINCT f); \
         sum(DISTINCT d); avg(i); avg(u); avg(f); avg(d); avg(DISTINCT f); avg(DISTINCT d); min(i); \
         max(i); min(f); max(f); min(s); max(s); min(b); max(b); min(d); max(d); min(t); max(t); \
         median(i); median(f); median(d); median(DISTINCT i); \
         percentile_cont(0.3) WITHIN GROUP (ORDER BY f); \
         percentile_cont(0.3) WITHIN GROUP (ORDER BY f DESC); percentile_cont(i, 0.7); var(f); var(DISTINCT f); \
         var_pop(f); stddev(f); stddev_pop(f); covar_samp(f, g); covar_pop(f, g); corr(f, g); \
         regr_slope(f, g); regr_intercept(f, g); regr_count(f, g); regr_r2(f, g); regr_avgx(f, g); \
         regr_avgy(f, g); regr_sxx(f, g); regr_syy(f, g); regr_sxy(f, g); bit_and(i); bit_or(i); \
         bit_xor(i);  bool_and(b); bool_or(b); approx_distinct(i); \
         approx_distinct(s); approx_median(i); approx_percentile_cont(0.4) WITHIN GROUP (ORDER BY i); \
         approx_percentile_cont(i, 0.4, 50); approx_percentile_cont(0.4) WITHIN GROUP (ORDER BY i DESC); \
         any_value(i); first_value(i); first_value(i) IGNORE NULLS; nth_value(i, 2); array_agg(i); \
         array_agg(DISTINCT i ORDER BY i DESC NULLS LAST); array_agg(i ORDER BY f, i); array_agg(1); \
         first_value(s ORDER BY f, s); last_value(s ORDER BY f DESC, s); \
         last_value(s ORDER BY f, s) IGNORE NULLS; nth_value(s, 3 ORDER BY g, s); \
         nth_value(s, -2 ORDER BY g, s); string_agg(s, '|' ORDER BY s, f); \
         string_agg(DISTINCT s, '|' ORDER BY s); sum(i) FILTER (WHERE b); count(*) FILTER (WHERE f > 0); \
         avg(i) FILTER (WHERE NOT b); max(s) FILTER (WHERE f > 0); median(f) FILTER (WHERE b); \
         first_value(s ORDER BY f, s) FILTER (WHERE b); count(DISTINCT s) FILTER (WHERE b); \
         count(DISTINCT s) FILTER (WHERE NOT b); count(DISTINCT i) FILTER (WHERE f > 0); count(DISTINCT t); \
         stddev(f) FILTER (WHERE b); sum(f) FILTER (WHERE b); sum(f + g); count(NULL)",
    ),
    ("i NULLS FIRST", "last_value(i); last_value(i) IGNORE NULLS"),
    ("s NULLS LAST", "string_agg(s, ', '); array_agg(s) FILTER (WHERE b); first_value(s)"),
    ("i NULLS LAST, u NULLS LAST", "approx_percentile_cont_with_weight(u, 0.5) WITHIN GROUP (ORDER BY i)"),
];

/// The calls of a case.
fn calls(text: &'static str) -> Vec<&'static str> {
    text.split(';').map(str::trim).collect()
}

/// Runs a query over random steps and checks it at the end of some.
fn run(query: Query, append_only: bool, mode: EmitMode, seed: u64) {
    let mut random = Random(seed * 2 + 0x9E37_79B9_7F4A_7C15);
    let pool = pool(200, &mut random);
    let mut spec = spec(&pool, &query.sql(), append_only, mode);
    let window = spec.group.iter().position(|(_, name)| name == "t.t");
    spec.window = window.map(|key| WindowKey { key, to_end: 5_000_000, grace: 0 });
    let (schema, keys) = (spec.schema.clone(), spec.group.len());
    // Rows that go through an exchange come from several workers.
    let mut senders: Vec<SendOnce> = vec![];
    if let Some(over) = spec.over_sent_once().unwrap().filter(|_| seed.is_multiple_of(2)) {
        senders.extend((0..2).map(|_| SendOnce::new(spec.clone()).unwrap()));
        spec = over;
    }
    let mut operator = Aggregate::new(spec.clone(), true).unwrap();
    let (mut live, mut out): (Vec<u32>, Vec<Delta>) = (vec![], vec![]);
    for step in 0..6 {
        for _ in 0..random.below(3) {
            let mut delta = random_delta(&pool, append_only, &mut live, &mut random);
            if !senders.is_empty() {
                delta = senders[random.below(2) as usize].pass(&delta, random.below(9) > 0).unwrap();
            }
            operator.push(0, delta, &mut out).unwrap();
        }
        operator.finish_step(WATERMARK_NONE, &mut out).unwrap();
        if append_only {
            assert!(mode == EmitMode::Changes || out.iter().all(|d| d.weights.is_none()));
        }
        if step % 2 == 1 {
            let tables = operator.snapshot().unwrap();
            if random.below(2) == 0 {
                operator = Aggregate::new(spec.clone(), true).unwrap();
                operator.restore(respread(&spec, tables)).unwrap();
            }
        }
        if mode == EmitMode::Changes && step == 2 {
            let note = format!("append_only={append_only} {mode:?} seed {seed} step {step}");
            check(&out, &schema, &batch_answer(&pool, &live, query), keys, &note);
        }
    }
    operator.finish_step(WATERMARK_END, &mut out).unwrap();
    let note = format!("append_only={append_only} {mode:?} seed {seed}");
    check(&out, &schema, &batch_answer(&pool, &live, query), keys, &note);
}

/// The tables after two workers had them.
fn respread(spec: &AggregateSpec, tables: Vec<StateTable>) -> Vec<StateTable> {
    if spec.group.is_empty() {
        return tables;
    }
    let mut both: Vec<StateTable> = vec![];
    for worker in 0..2 {
        let own = tables.iter().map(|table| {
            let keys = &table.batch.columns()[..table.key_columns];
            let hashes = hash_columns(keys, table.batch.num_rows()).unwrap();
            let batch = take_record_batch(&table.batch, &partition(&hashes, 2)[worker]).unwrap();
            StateTable { batch, ..table.clone() }
        });
        let mut operator = Aggregate::new(spec.clone(), worker == 0).unwrap();
        operator.restore(own.collect()).unwrap();
        for table in operator.snapshot().unwrap() {
            match both.iter_mut().find(|other| other.name == table.name) {
                None => both.push(table),
                Some(other) => {
                    let batches = [&other.batch, &table.batch];
                    other.batch = arrow::compute::concat_batches(&table.batch.schema(), batches).unwrap();
                }
            }
        }
    }
    both
}

/// Rows of the pool that come, and (unless the input only grows) rows that go.
fn random_delta(pool: &RecordBatch, append_only: bool, live: &mut Vec<u32>, random: &mut Random) -> Delta {
    let (mut rows, mut weights) = (vec![], vec![]);
    for _ in 0..random.below(60) {
        if !append_only && !live.is_empty() && random.below(5) < 2 {
            rows.push(live.swap_remove(random.below(live.len() as u64) as usize));
            weights.push(-1);
        } else {
            let (row, copies) = (
                random.below(pool.num_rows() as u64) as u32,
                if append_only { 1 } else { 1 + random.below(2) },
            );
            rows.push(row);
            weights.push(copies as i64);
            live.extend((0..copies).map(|_| row));
        }
    }
    let batch = take_record_batch(pool, &UInt32Array::from(rows)).unwrap();
    Delta::weighted(batch, (!append_only).then(|| Int64Array::from(weights)))
}

fn every_way(seeds: u64, test: impl Fn(bool, EmitMode, u64)) {
    for seed in 1..=seeds {
        for append_only in [true, false] {
            for mode in [EmitMode::Changes, EmitMode::Final] {
                test(append_only, mode, seed);
            }
        }
    }
}

/// All counts: what goes through an exchange is sent once.
#[test]
fn counts_give_the_batch_answer() {
    let calls = [
        "count(*)",
        "count(DISTINCT i)",
        "count(*) FILTER (WHERE f > 0)",
        "count(DISTINCT i) FILTER (WHERE f > 0)",
        "count(DISTINCT i) FILTER (WHERE b)",
        "count(i)",
        "count(i, s) FILTER (WHERE b)",
        "count(DISTINCT s)",
        "count(DISTINCT b)",
        "count(NULL)",
        "count(DISTINCT f * 2) FILTER (WHERE s > 'a')",
        "count(DISTINCT d)",
    ];
    every_way(4, |append_only, mode, seed| {
        let calls = match seed % 4 {
            0 => vec![calls[seed as usize % calls.len()], "count(DISTINCT s || 'x')"],
            _ => calls.to_vec(),
        };
        for keys in ["", "k", "s, b", "f", "k, t"] {
            run(Query { keys, calls: &calls, order: "i" }, append_only, mode, seed);
        }
    });
}

#[test]
fn every_function_gives_the_batch_answer() {
    every_way(2, |append_only, mode, seed| {
        for (order, text) in CASES {
            run(Query { keys: "k", calls: &calls(text), order }, append_only, mode, seed);
        }
    });
}

#[test]
fn global_aggregates_and_several_keys_and_windows_and_distinct() {
    every_way(2, |append_only, mode, seed| {
        run(Query { keys: "", calls: &calls(CASES[0].1), order: CASES[0].0 }, append_only, mode, seed);
        let few: &[&str] = &["count(*)", "max(f)"];
        let many: &[&str] = &[
            "count(*)",
            "stddev(f)",
            "median(f)",
            "max(s)",
            "array_agg(i ORDER BY f, i)",
            "count(DISTINCT s)",
            "sum(f)",
        ];
        let queries = [("k, s, b", few), ("k, s", &[]), ("s", &[]), ("t", &[]), ("t", many), ("k, t", many)];
        for (keys, calls) in queries {
            run(Query { keys, calls, order: "i" }, append_only, mode, seed);
        }
    });
}

#[test]
fn no_function_is_forgotten() {
    let tested: BTreeSet<&str> =
        CASES.iter().flat_map(|(_, text)| calls(text)).map(|call| call.split('(').next().unwrap()).collect();
    for function in datafusion::functions_aggregate::all_default_aggregate_functions() {
        assert!(function.name() == "grouping" || tested.contains(function.name()), "{}", function.name());
    }
}

fn small(append_only: bool, mode: EmitMode, sql: &str) -> (Aggregate, SchemaRef) {
    let fields = vec![
        Field::new("k", DataType::Int64, true),
        Field::new("x", DataType::Int64, true),
        Field::new("t", DataType::Timestamp(TimeUnit::Second, None), true),
    ];
    let schema = Arc::new(Schema::new(fields));
    let mut spec = spec(&RecordBatch::new_empty(schema.clone()), sql, append_only, mode);
    let window = spec.group.iter().position(|(_, name)| name == "t.t");
    spec.window = window.map(|key| WindowKey { key, to_end: 10_000_000_000, grace: 5_000_000_000 });
    (Aggregate::new(spec, true).unwrap(), schema)
}

/// Pushes drawn rows, ends the step at `seconds`, and draws what came out.
fn step(operator: &mut Aggregate, schema: &SchemaRef, text: &str, watermark: EventTime) -> String {
    let mut out = vec![];
    for part in text.split("\n\n") {
        operator.push(0, drawn(schema, part), &mut out).unwrap();
    }
    operator.finish_step(watermark, &mut out).unwrap();
    draw(&out)
}

#[test]
fn a_step_emits_each_group_once_and_only_what_changed() {
    let (mut op, schema) = small(false, EmitMode::Changes, "SELECT k, count(*), sum(x) FROM t GROUP BY k");
    let none = WATERMARK_NONE;
    assert_eq!(step(&mut op, &schema, "+ 1 5 null\n+ 2 7 null\n\n+ 1 6 null", none), "+ 1 2 11\n+ 2 1 7\n");
    assert_eq!(step(&mut op, &schema, "- 1 5 null\n\n+ 1 5 null", none), "");
    assert_eq!(step(&mut op, &schema, "- 2 7 null\n+ 1 null null", none), "- 2 1 7\n- 1 2 11\n+ 1 3 11\n");
    assert_eq!(step(&mut op, &schema, "+ 2 9 null", none), "+ 2 1 9\n");
    assert_eq!(op.metrics().state_rows, 2);
}

#[test]
fn a_global_aggregate_has_its_row_from_the_start() {
    let sql = "SELECT count(*), sum(x) FROM t";
    let (mut op, schema) = small(false, EmitMode::Changes, sql);
    assert_eq!(step(&mut op, &schema, "", 0), "+ 0 null\n");
    assert_eq!(step(&mut op, &schema, "", 1), "");
    let tables = op.snapshot().unwrap();
    let (mut op, _) = small(false, EmitMode::Changes, sql);
    op.restore(tables).unwrap();
    assert_eq!(step(&mut op, &schema, "+ 1 4 null", 2), "- 0 null\n+ 1 4\n");
    assert_eq!(step(&mut op, &schema, "- 1 4 null", 2), "- 1 4\n+ 0 null\n");

    let (mut op, _) = small(true, EmitMode::Final, sql);
    assert_eq!(step(&mut op, &schema, "+ 1 4 null", 0), "");
    assert_eq!(step(&mut op, &schema, "", WATERMARK_END), "+ 1 4\n");
    let tables = op.snapshot().unwrap();
    let (mut op, _) = small(true, EmitMode::Final, sql);
    op.restore(tables).unwrap();
    assert_eq!(step(&mut op, &schema, "", WATERMARK_END), "");

    let spec = op.plan.spec.clone();
    let mut second = Aggregate::new(spec, false).unwrap();
    assert_eq!(step(&mut second, &schema, "", WATERMARK_END), "");
}

#[test]
fn windows_close_at_their_end_plus_grace() {
    let second = 1_000_000_000;
    for (mode, name) in [(EmitMode::Final, "final"), (EmitMode::Changes, "changes")] {
        let (mut op, schema) = small(true, mode, "SELECT k, t, count(*), stddev(x) FROM t GROUP BY k, t");
        assert!(op.plan.spec.to_string().ends_with(&format!("emit={name}")));
        let rows =
            "+ 1 1 1970-01-01T00:00:00\n+ 1 3 1970-01-01T00:00:00\n+ 1 2 1970-01-01T00:00:10\n+ 1 7 null";
        let first = step(&mut op, &schema, rows, 14 * second);
        assert_eq!(op.metrics().state_rows, 3);
        let open = |end: i64| {
            Some(OpenWindow { end: end * second, closes: (end + 5) * second, waits: mode == EmitMode::Final })
        };
        assert_eq!(op.open_window(), open(10));
        let closed = step(&mut op, &schema, "", 15 * second);
        assert_eq!((op.metrics().state_rows, op.open_window()), (2, open(20)));
        let ended = step(&mut op, &schema, "", WATERMARK_END);
        assert_eq!(op.metrics().state_rows, 0);
        if mode == EmitMode::Final {
            assert_eq!(first, "");
            assert_eq!(closed, "+ 1 1970-01-01T00:00:00 2 1.4142135623730951\n");
            assert_eq!(ended, "+ 1 1970-01-01T00:00:10 1 null\n+ 1 null 1 null\n");
        } else {
            assert_eq!(first.lines().count(), 3);
            assert_eq!((closed.as_str(), ended.as_str()), ("", ""));
        }
        let mut out = vec![];
        assert_eq!(op.finish_step(20 * second, &mut out).unwrap(), 15 * second);
        assert_eq!(op.finish_step(WATERMARK_NONE, &mut out).unwrap(), WATERMARK_NONE);
        assert_eq!(op.finish_step(WATERMARK_END, &mut out).unwrap(), WATERMARK_END);
    }
}

/// Many windows of few rows, with every family of state: put together in panes, closed bit by bit,
/// restored in the middle; the sum is the batch answer, and each window goes out when it is over.
#[test]
fn many_small_windows_share_panes() {
    let calls: &[&str] = &["count(*)", "stddev(x)", "array_agg(x)", "count(DISTINCT x)", "sum(x)", "min(x)"];
    let query = Query { keys: "t, k", calls, order: "x" };
    every_way(1, |append_only, mode, seed| {
        let (mut op, schema) = small(append_only, mode, &query.sql());
        let spec = op.plan.spec.clone();
        let mut random = Random(seed + 77);
        let count = 4000;
        let times: Vec<i64> = (0..count).map(|_| random.below(2500) as i64).collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values((0..count).map(|i| i64::from(i % 2)))),
            Arc::new(Int64Array::from_iter_values((0..count).map(i64::from))),
            Arc::new(TimestampSecondArray::from_iter_values(times.iter().copied())),
        ];
        let batch = RecordBatch::try_new(schema, columns).unwrap();
        let mut out = vec![];
        for part in 0..4 {
            op.push(0, Delta::insert(batch.slice(part * 1000, 1000)), &mut out).unwrap();
            op.finish_step(WATERMARK_NONE, &mut out).unwrap();
        }
        assert!(op.panes.len() < 20, "{} panes", op.panes.len());
        let mut emitted = 0;
        for until in [700, 701, 1500, 2499, 2500, 3000] {
            op.finish_step((until + 15) * 1_000_000_000, &mut out).unwrap();
            // Also where a pane holds several windows, the next is one that is there.
            let left = times.iter().filter(|t| **t > until).min();
            let next = op.open_window().map(|next| next.end / 1_000_000_000 - 10);
            assert_eq!(next, left.copied());
            let tables = op.snapshot().unwrap();
            if until == 701 {
                op = Aggregate::new(spec.clone(), true).unwrap();
                op.restore(tables).unwrap();
            }
            if mode == EmitMode::Final {
                let times = out.iter().map(|d| d.batch.column(0).clone()).collect::<Vec<_>>();
                let latest = times.iter().map(|t| {
                    let t = arrow::compute::cast(t, &DataType::Int64).unwrap();
                    arrow::compute::max(t.as_primitive::<arrow::datatypes::Int64Type>()).unwrap()
                });
                assert!(latest.max().unwrap() <= until);
                let rows: usize = out.iter().map(Delta::num_rows).sum();
                assert!(rows >= emitted);
                emitted = rows;
            }
        }
        assert_eq!(op.metrics(), OperatorMetrics::default());
        let rows: Vec<u32> = (0..count as u32).collect();
        let expected = batch_answer(&batch, &rows, query);
        check(&out, &spec.schema, &expected, 2, &format!("append_only={append_only} {mode:?}"));
    });
}

#[test]
fn dead_groups_are_forgotten() {
    let sql = "SELECT k, count(DISTINCT x), sum(x), max(x), median(x) FROM t GROUP BY k";
    let (mut op, schema) = small(false, EmitMode::Changes, sql);
    let rows = |from: i64, to: i64| {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(from..to));
        let none = new_null_array(schema.field(2).data_type(), (to - from) as usize);
        RecordBatch::try_new(schema.clone(), vec![numbers.clone(), numbers, none]).unwrap()
    };
    let mut out = vec![];
    op.push(0, Delta::insert(rows(0, 3000)), &mut out).unwrap();
    op.finish_step(0, &mut out).unwrap();
    let minus = Some(Int64Array::from_value(-1, 2900));
    op.push(0, Delta::weighted(rows(100, 3000), minus), &mut out).unwrap();
    op.finish_step(0, &mut out).unwrap();
    assert_eq!(op.panes.values().map(Pane::groups).sum::<usize>(), 100);
    let changed = step(&mut op, &schema, "+ 7 9 null\n+ 200 9 null", 0);
    assert_eq!(changed, "- 7 1 7 7 7.0\n+ 7 2 16 9 8.0\n+ 200 1 9 9 9.0\n");
    assert_eq!(op.metrics().state_rows, 101 + 3 * 102);
}

#[test]
fn a_state_that_does_not_fit_is_refused() {
    let sql = "SELECT k, sum(x), stddev(x), median(x), min(x), count(DISTINCT x) FROM t GROUP BY k";
    let (mut op, schema) = small(true, EmitMode::Changes, sql);
    step(&mut op, &schema, "+ 1 5 null", 0);
    let tables = op.snapshot().unwrap();
    let names: Vec<&str> = tables.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["groups", "rows2", "seen4"]);
    for other in [
        "SELECT k FROM t GROUP BY k HAVING count(*) > 1",
        "SELECT k, stddev(x), sum(x), min(x), median(x), array_agg(x) FROM t GROUP BY k",
        "SELECT k, x, count(*) FROM t GROUP BY k, x",
    ] {
        let (mut other, _) = small(true, EmitMode::Changes, other);
        let error = other.restore(tables.clone()).unwrap_err();
        assert!(error.to_string().starts_with("checkpoint does not fit operator Aggregate"), "{error}");
    }
}

/// Of an aggregate without keys all is saved each time: noting what comes would only take memory.
#[test]
fn without_keys_nothing_is_noted_as_added() {
    let sql = "SELECT count(DISTINCT x), count(DISTINCT k) FROM t";
    let [mut fresh, mut restored] = [(); 2].map(|()| small(true, EmitMode::Changes, sql));
    let rows = |from: i64, to: i64| (from..to).map(|i| format!("+ {i} {i} null\n")).collect::<String>();
    step(&mut fresh.0, &fresh.1, &rows(0, 5000), 0);
    restored.0.restore(fresh.0.snapshot().unwrap()).unwrap();
    let bytes = [fresh, restored].map(|(mut op, schema)| {
        op.snapshot_changes().unwrap();
        step(&mut op, &schema, &rows(5000, 9000), 0);
        op.metrics().state_bytes
    });
    assert!(bytes[1] <= bytes[0], "{bytes:?}");
}

/// A checkpoint takes the values that have come, or, where those are most of what there is, each changed group whole.
#[test]
fn checkpoints_take_new_values_or_changed_groups_whole() {
    let sql = "SELECT k, count(DISTINCT x) FROM t GROUP BY k";
    let (mut op, schema) = small(true, EmitMode::Changes, sql);
    op.snapshot_changes().unwrap();
    let mut saved = |from: i64, to: i64, k: i64| {
        let rows: String = (from..to).map(|i| format!("+ {k} {i} null\n")).collect();
        step(&mut op, &schema, &rows, 0);
        let StateChange::Some(changes) = op.snapshot_changes().unwrap() else { panic!("all is saved") };
        let seen = changes.into_iter().find(|change| change.name == "seen0").unwrap();
        assert!(seen.removed.is_none());
        let rows = seen.rows.map_or(0, |rows| rows.num_rows());
        (rows, seen.added.map_or(0, |rows| rows.num_rows()))
    };
    // New values, of how many there are: all are new; less than half; more than half, with those of the group before; and of another
    // group only its own.
    assert_eq!(saved(0, 10, 1), (10, 0));
    assert_eq!(saved(5, 18, 1), (0, 8));
    assert_eq!(saved(18, 40, 1), (40, 0));
    assert_eq!(saved(0, 50, 2), (50, 0));
    assert_eq!(saved(40, 50, 1), (0, 10));
}

/// Counts of different values as they were saved before they shared a state: with weights, or by DataFusion as lists.
#[test]
fn what_older_builds_counted_is_taken_over() {
    let sql = "SELECT k, count(DISTINCT x), count(DISTINCT x) FILTER (WHERE x > 5) FROM t GROUP BY k";
    let keys: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 1]));
    let groups = |states: Vec<(&'static str, ArrayRef)>| {
        let columns =
            [("key0", keys.slice(0, 2)), ("weight", Arc::new(Int64Array::from(vec![1, 1])) as ArrayRef)];
        let batch = RecordBatch::try_from_iter(columns.into_iter().chain(states)).unwrap();
        StateTable { name: "groups".into(), batch, key_columns: 1 }
    };
    let rows = |call: usize, rows: usize, values: Vec<i64>| {
        let columns: [(&str, ArrayRef); 3] = [
            ("key0", keys.slice(0, rows)),
            ("column0", Arc::new(Int64Array::from(values))),
            ("column1", Arc::new(Int64Array::from(vec![3; rows]))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        StateTable { name: format!("rows{call}"), batch, key_columns: 1 }
    };
    let list = |lists: Vec<Option<Vec<Option<i64>>>>| -> ArrayRef {
        Arc::new(arrow::array::ListArray::from_iter_primitive::<arrow::datatypes::Int64Type, _, _>(lists))
    };
    let lists = [
        ("state0.0", list(vec![Some(vec![Some(4), Some(9)]), Some(vec![Some(6)])])),
        ("state1.0", list(vec![Some(vec![Some(9), None]), None])),
    ];
    for (mode, tables) in [
        (EmitMode::Changes, vec![rows(1, 1, vec![9]), groups(vec![]), rows(0, 3, vec![4, 6, 9])]),
        (EmitMode::Final, vec![groups(lists.to_vec())]),
    ] {
        let (mut op, schema) = small(true, mode, sql);
        op.restore(tables).unwrap();
        // The next checkpoint has nothing of the old tables.
        let StateChange::Whole(tables) = op.snapshot_changes().unwrap() else { panic!("not all is saved") };
        let names: Vec<&str> = tables.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["groups", "seen0"]);
        let (mut op, _) = small(true, mode, sql);
        op.restore(tables).unwrap();
        let changes = step(&mut op, &schema, "+ 1 4 null\n+ 1 9 null\n+ 1 8 null\n+ 2 1 null", WATERMARK_END);
        match mode {
            EmitMode::Changes => assert_eq!(changes, "- 1 2 1\n+ 1 3 2\n- 2 1 0\n+ 2 2 0\n"),
            EmitMode::Final => assert_eq!(changes, "+ 1 3 2\n+ 2 2 0\n"),
        }
        assert!(matches!(op.snapshot_changes().unwrap(), StateChange::Some(_)));
    }
}

#[test]
fn ties_and_missing_order_are_decided_by_value() {
    let sql = "SELECT k, first_value(x ORDER BY t), last_value(x ORDER BY t), array_agg(x ORDER BY t), \
               first_value(x), last_value(x) FROM t GROUP BY k";
    for append_only in [true, false] {
        let at = "1970-01-01T00:00:00";
        let (mut forth, schema) = small(append_only, EmitMode::Final, sql);
        let (mut back, _) = small(append_only, EmitMode::Final, sql);
        let rows =
            [format!("+ 1 3 {at}"), format!("+ 1 null {at}"), format!("+ 1 2 {at}"), "+ 1 9 null".into()];
        let reversed: Vec<String> = rows.iter().rev().cloned().collect();
        let expected = "+ 1 2 9 [2, 3, null, 9] 2 9\n";
        assert_eq!(step(&mut forth, &schema, &rows.join("\n\n"), WATERMARK_END), expected);
        assert_eq!(step(&mut back, &schema, &reversed.join("\n"), WATERMARK_END), expected);
    }
}

/// The batch engine's grouped `bit_xor` and its statistics of two columns overlook DISTINCT.
#[test]
fn distinct_is_heeded_or_refused() {
    for append_only in [true, false] {
        for mode in [EmitMode::Changes, EmitMode::Final] {
            let (mut op, schema) =
                small(append_only, mode, "SELECT k, bit_xor(DISTINCT x) FROM t GROUP BY k");
            assert_eq!(
                step(&mut op, &schema, "+ 1 5 null\n+ 1 5 null\n+ 1 2 null", WATERMARK_END),
                "+ 1 7\n"
            );
        }
    }
    let batch = RecordBatch::new_empty(small(true, EmitMode::Final, "SELECT count(*) FROM t").1);
    for call in ["corr(DISTINCT x, k)", "array_agg(DISTINCT x ORDER BY k)", "stddev(DISTINCT x)"] {
        let spec = spec(&batch, &format!("SELECT k, {call} FROM t GROUP BY k"), true, EmitMode::Changes);
        assert!(Aggregate::new(spec, true).is_err(), "{call}");
    }
}

#[test]
fn integer_sums_wrap_as_in_the_batch_engine() {
    let (mut op, schema) = small(false, EmitMode::Changes, "SELECT k, sum(x), avg(x) FROM t GROUP BY k");
    let most = i64::MAX;
    let rows = format!("+2 1 {most} null");
    assert_eq!(step(&mut op, &schema, &rows, 0), "+ 1 -2 9.223372036854775807e18\n".replace("775807", "776"));
    assert_eq!(step(&mut op, &schema, &format!("- 1 {most} null"), 0).lines().count(), 2);
}
