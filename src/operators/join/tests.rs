//! Joins of drawn deltas, and random deltas against joins computed anew.

use super::*;
use crate::delta::{consolidate, draw, drawn};
use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::JoinType;
use datafusion::logical_expr::Operator as Op;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{binary, col};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// `k, v` on the left, `k, w` on the right.
pub(super) fn schema(side: usize) -> SchemaRef {
    let names = [["k", "v"], ["k", "w"]][side];
    Arc::new(Schema::new(names.map(|n| Field::new(n, DataType::Int64, true)).to_vec()))
}

fn output(join_type: JoinType) -> SchemaRef {
    let fields = |side: usize| schema(side).fields().to_vec();
    let mark = Arc::new(Field::new("mark", DataType::Boolean, false));
    Arc::new(Schema::new(match join_type {
        JoinType::LeftSemi | JoinType::LeftAnti => fields(0),
        JoinType::RightSemi | JoinType::RightAnti => fields(1),
        JoinType::LeftMark => [fields(0), vec![mark]].concat(),
        JoinType::RightMark => [fields(1), vec![mark]].concat(),
        _ => [fields(0), fields(1)].concat(),
    }))
}

pub(super) fn spec(join_type: JoinType, residual: bool, nulls_equal: bool) -> JoinSpec {
    let input = |side: usize| JoinInput {
        keys: vec![col("k", &schema(side)).unwrap()],
        schema: schema(side),
        append_only: false,
    };
    let pair = Schema::new(["k", "v", "l", "w"].map(|n| Field::new(n, DataType::Int64, true)).to_vec());
    let less: Arc<dyn PhysicalExpr> =
        binary(col("v", &pair).unwrap(), Op::Lt, col("w", &pair).unwrap(), &pair).unwrap();
    JoinSpec {
        join_type,
        inputs: [input(0), input(1)],
        nulls_equal,
        null_aware: false,
        residual: residual.then_some(less),
        bound: None,
        unbounded: [false; 2],
        hold: false,
        schema: output(join_type),
    }
}

/// One step: `left` and `right` as drawn, and the net of what goes out.
fn step(join: &mut Join, left: &str, right: &str) -> String {
    let mut out = Vec::new();
    for (port, text) in [left, right].into_iter().enumerate() {
        join.push(port, drawn(&schema(port), text), &mut out).unwrap();
    }
    join.finish_step(WATERMARK_NONE, &mut out).unwrap();
    net(&join.spec.schema, &out)
}

pub(super) fn net(schema: &SchemaRef, out: &[Delta]) -> String {
    let (batch, weights) = consolidate(schema, out).unwrap();
    draw(&[Delta::weighted(batch, Some(weights))])
}

#[test]
fn an_inner_join_multiplies_weights() {
    let mut join = Join::new(spec(JoinType::Inner, false, false)).unwrap();
    assert_eq!(step(&mut join, "+ 1 10\n+2 2 20\n+ null 5", "+ 1 7\n+ null 6"), "+ 1 10 1 7\n");
    assert_eq!(step(&mut join, "", "+ 2 8\n+ 2 9"), "+2 2 20 2 8\n+2 2 20 2 9\n");
    assert_eq!(step(&mut join, "- 2 20", "- 2 9\n- 1 7"), "- 1 10 1 7\n- 2 20 2 8\n-2 2 20 2 9\n");
    assert_eq!(step(&mut join, "- 1 10\n- 2 20", "- 2 8"), "- 2 20 2 8\n");
    assert_eq!(join.metrics().state_rows, 0);
    assert!(join.keys.is_empty());
}

#[test]
fn an_outer_join_takes_its_padded_rows_back() {
    let mut join = Join::new(spec(JoinType::Full, false, false)).unwrap();
    let out = step(&mut join, "+ 1 10\n+ null 5", "+ 2 7");
    assert_eq!(out, "+ null null 2 7\n+ null 5 null null\n+ 1 10 null null\n");
    assert_eq!(step(&mut join, "", "+ 1 8"), "- 1 10 null null\n+ 1 10 1 8\n");
    assert_eq!(step(&mut join, "", "- 1 8"), "+ 1 10 null null\n- 1 10 1 8\n");
    assert_eq!(step(&mut join, "- null 5", "+ 1 9\n- 1 9"), "- null 5 null null\n");
    assert_eq!(step(&mut join, "+ 2 1\n- 2 1", ""), "");
}

#[test]
fn semi_anti_and_mark_joins_follow_what_is_there() {
    let run = |join_type: JoinType| {
        let mut join = Join::new(spec(join_type, false, false)).unwrap();
        let first = step(&mut join, "+ 1 10\n+2 2 20\n+ null 5", "+ 1 7\n+ 1 8");
        let second = step(&mut join, "", "- 1 7\n+ 2 3");
        format!("{first}then\n{}", second + "then\n" + &step(&mut join, "", "- 1 8"))
    };
    assert_eq!(run(JoinType::LeftSemi), "+ 1 10\nthen\n+2 2 20\nthen\n- 1 10\n");
    assert_eq!(run(JoinType::LeftAnti), "+ null 5\n+2 2 20\nthen\n-2 2 20\nthen\n+ 1 10\n");
    let marked = "+ null 5 false\n+ 1 10 true\n+2 2 20 false\nthen\n-2 2 20 false\n+2 2 20 true\nthen\n+ 1 10 false\n- 1 10 true\n";
    assert_eq!(run(JoinType::LeftMark), marked);
}

#[test]
fn a_not_in_follows_the_nulls_of_its_right_side() {
    let mut not_in = spec(JoinType::LeftAnti, false, false);
    not_in.null_aware = true;
    let mut join = Join::new(not_in).unwrap();
    assert_eq!(step(&mut join, "+ 1 10\n+ null 5", ""), "+ null 5\n+ 1 10\n");
    assert_eq!(step(&mut join, "+ 2 20", "+ 1 7"), "- null 5\n- 1 10\n+ 2 20\n");
    assert_eq!(step(&mut join, "", "+ null 1"), "- 2 20\n");
    assert_eq!(step(&mut join, "+ 3 30", ""), "");
    let tables = join.snapshot().unwrap();
    let mut not_in = spec(JoinType::LeftAnti, false, false);
    not_in.null_aware = true;
    let mut join = Join::new(not_in).unwrap();
    join.restore(tables).unwrap();
    assert_eq!(step(&mut join, "", "- null 1"), "+ 2 20\n+ 3 30\n");
    assert_eq!(step(&mut join, "", "- 1 7"), "+ null 5\n+ 1 10\n");
}

/// Rows with times in seconds, and a join of those at most `before` and `after` seconds apart.
fn within(join_type: JoinType, before: i64, after: i64, hold: bool) -> (Join, SchemaRef) {
    let time = DataType::Timestamp(TimeUnit::Second, None);
    let side = Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, true),
        Field::new("t", time.clone(), true),
    ]));
    let pair = Schema::new(vec![
        Field::new("k", DataType::Int64, true),
        Field::new("t", time.clone(), true),
        Field::new("l", DataType::Int64, true),
        Field::new("u", time, true),
    ]);
    let number = |name: &str| {
        datafusion::physical_expr::expressions::cast(col(name, &pair).unwrap(), &pair, DataType::Int64)
            .unwrap()
    };
    let lit = |n: i64| datafusion::physical_expr::expressions::lit(n);
    let apart = binary(number("u"), Op::Minus, number("t"), &pair).unwrap();
    let low = binary(apart.clone(), Op::GtEq, lit(-before), &pair).unwrap();
    let high = binary(apart, Op::LtEq, lit(after), &pair).unwrap();
    let input =
        || JoinInput { keys: vec![col("k", &side).unwrap()], schema: side.clone(), append_only: true };
    let second = 1_000_000_000;
    let spec = JoinSpec {
        join_type,
        inputs: [input(), input()],
        nulls_equal: false,
        null_aware: false,
        residual: Some(binary(low, Op::And, high, &pair).unwrap()),
        bound: Some(JoinBound::Interval { columns: [1, 1], keep: [after * second, before * second] }),
        unbounded: [false; 2],
        hold,
        schema: Arc::new(pair),
    };
    (Join::new(spec).unwrap(), side)
}

#[test]
fn the_watermark_drops_rows_that_nothing_can_match() {
    let (mut join, side) = within(JoinType::Left, 5, 10, true);
    let mut next = Vec::new();
    let mut one = |left: &str, right: &str, watermark: i64| {
        let mut out = Vec::new();
        let stamped = |text: &str| text.replace("@", "1970-01-01T00:00:");
        join.push(0, drawn(&side, &stamped(left)), &mut out).unwrap();
        join.push(1, drawn(&side, &stamped(right)), &mut out).unwrap();
        let reached = join.finish_step(watermark * 1_000_000_000, &mut out).unwrap();
        let text = net(&join.spec.schema, &out).replace("1970-01-01T00:00:", "@");
        next.push(join.open_window().map(|next| (next.end / 1_000_000_000, next.waits)));
        (text, reached / 1_000_000_000, join.metrics().state_rows)
    };
    let out = one("+ 1 @10\n+ 2 @10\n+ 3 null", "+ 1 @20\n+ 1 @21\n+ 1 @04", 8);
    // The row without a time is over at once, as is what came 6 s too early.
    assert_eq!(out, ("+ 1 @10 1 @20\n+ 3 null null null\n".into(), -2, 5));
    assert_eq!(one("", "+ 2 @20", 20), ("+ 2 @10 2 @20\n".into(), 10, 5));
    assert_eq!(one("+ 4 @20", "", 21), ("".into(), 11, 4));
    assert_eq!(one("", "", 31), ("+ 4 @20 null null\n".into(), 21, 0));
    // The rows of the right side do not go out when they are over.
    assert_eq!(next, [Some((20, true)), Some((20, true)), Some((30, true)), None]);
}

/// A row of either side.
type Row = (Option<i64>, Option<i64>);

/// What the join of these rows is.
fn recomputed(spec: &JoinSpec, sides: &[BTreeMap<Row, i64>; 2]) -> BTreeMap<String, i64> {
    let show = |x: Option<i64>| x.map_or("null".into(), |x| x.to_string());
    let row = |r: &Row| format!("{} {}", show(r.0), show(r.1));
    let matches = |l: &Row, r: &Row| {
        let keys = match (l.0, r.0) {
            (Some(a), Some(b)) => a == b,
            (None, None) => spec.nulls_equal,
            _ => false,
        };
        keys && (spec.residual.is_none() || matches!((l.1, r.1), (Some(v), Some(w)) if v < w))
    };
    let mut out: BTreeMap<String, i64> = BTreeMap::new();
    let mut add = |text: String, n: i64| *out.entry(text).or_default() += n;
    for (l, n) in &sides[0] {
        let mut found = false;
        for (r, m) in sides[1].iter().filter(|(r, _)| matches(l, r)) {
            found = true;
            if spec.gives_pairs() {
                add(format!("{} {}", row(l), row(r)), n * m);
            }
        }
        match spec.join_type {
            JoinType::Left | JoinType::Full if !found => add(format!("{} null null", row(l)), *n),
            JoinType::LeftSemi if found => add(row(l), *n),
            JoinType::LeftAnti if !found => add(row(l), *n),
            JoinType::LeftMark => add(format!("{} {found}", row(l)), *n),
            _ => {}
        }
    }
    for (r, m) in &sides[1] {
        let found = sides[0].keys().any(|l| matches(l, r));
        match spec.join_type {
            JoinType::Right | JoinType::Full if !found => add(format!("null null {}", row(r)), *m),
            JoinType::RightSemi if found => add(row(r), *m),
            JoinType::RightAnti if !found => add(row(r), *m),
            JoinType::RightMark => add(format!("{} {found}", row(r)), *m),
            _ => {}
        }
    }
    out.retain(|_, n| *n != 0);
    out
}

pub(super) const TYPES: [JoinType; 10] = [
    JoinType::Inner,
    JoinType::Left,
    JoinType::Right,
    JoinType::Full,
    JoinType::LeftSemi,
    JoinType::RightSemi,
    JoinType::LeftAnti,
    JoinType::RightAnti,
    JoinType::LeftMark,
    JoinType::RightMark,
];

/// A change of one side: side, key (3 = null), value (3 = null), whether a row that is there is taken back.
type Change = (usize, i64, i64, bool);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Any steps, restored in the middle onto other workers, add up to the join of what is there.
    #[test]
    fn steps_add_up_to_the_join_of_all_rows(
        which in 0..TYPES.len(),
        residual in any::<bool>(),
        nulls_equal in any::<bool>(),
        steps in proptest::collection::vec(proptest::collection::vec((0..2usize, 0..4i64, 0..4i64, any::<bool>()), 0..6), 1..12),
        restored in 0..12usize,
    ) {
        let spec = spec(TYPES[which], residual, nulls_equal);
        let mut join = Join::new(spec.clone()).unwrap();
        let mut sides: [BTreeMap<Row, i64>; 2] = Default::default();
        let mut sum: BTreeMap<String, i64> = BTreeMap::new();
        for (number, changes) in steps.iter().enumerate() {
            let mut texts = [String::new(), String::new()];
            for (side, key, value, back) in changes {
                let change: Change = (*side, *key, *value, *back);
                let some = |x: i64| (x < 3).then_some(x);
                let row = (some(change.1), some(change.2));
                let show = |x: Option<i64>| x.map_or("null".into(), |x| x.to_string());
                let weight = sides[*side].entry(row).or_default();
                let sign = if *back && *weight > 0 { '-' } else { '+' };
                *weight += if sign == '-' { -1 } else { 1 };
                texts[*side].push_str(&format!("{sign} {} {}\n", show(row.0), show(row.1)));
            }
            sides.iter_mut().for_each(|side| side.retain(|_, n| *n != 0));
            for line in step(&mut join, &texts[0], &texts[1]).lines() {
                let (sign, row) = line.split_once(' ').unwrap();
                let n = match sign { "+" => 1, "-" => -1, n => n.parse().unwrap() };
                *sum.entry(row.into()).or_default() += n;
            }
            sum.retain(|_, n| *n != 0);
            prop_assert_eq!(&sum, &recomputed(&spec, &sides));
            if number == restored {
                let tables = join.snapshot().unwrap();
                join = Join::new(spec.clone()).unwrap();
                join.restore(tables).unwrap();
            }
        }
    }
}

#[test]
fn a_large_fan_out_goes_out_in_bounded_batches() {
    let mut join = Join::new(spec(JoinType::Inner, false, false)).unwrap();
    let rows = |side: usize, n: i64| {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(arrow::array::Int64Array::from_value(1, n as usize)),
            Arc::new(arrow::array::Int64Array::from_iter_values(0..n)),
        ];
        Delta::insert(RecordBatch::try_new(schema(side), columns).unwrap())
    };
    let mut out = Vec::new();
    join.push(0, rows(0, 300), &mut out).unwrap();
    join.push(1, rows(1, 100), &mut out).unwrap();
    assert_eq!(out.iter().map(Delta::num_rows).sum::<usize>(), 30_000);
    assert!(out.iter().all(|d| d.num_rows() <= BATCH_ROWS && d.weights.is_none()));
}
