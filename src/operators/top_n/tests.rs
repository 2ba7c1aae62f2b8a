//! The ranking operator against a plain recomputation, and its smaller promises.

use super::*;
use crate::delta::{consolidate, draw, drawn};
use crate::operators::aggregate::WindowKey;
use crate::operators::threshold::{Threshold, ThresholdSpec};
use arrow::array::UInt64Array;
use arrow::compute::SortOptions;
use arrow::datatypes::{Field, Schema, SchemaRef, TimeUnit};
use datafusion::physical_expr::expressions::{cast as cast_expr, col};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

const ASC: SortOptions = SortOptions { descending: false, nulls_first: false };
const DESC: SortOptions = SortOptions { descending: true, nulls_first: true };

/// Columns: key, value, another one.
pub(super) fn input() -> SchemaRef {
    let fields = ["k", "v", "w"].map(|name| Field::new(name, DataType::Int64, true));
    Arc::new(Schema::new(fields.to_vec()))
}

/// Rows of a key by `v`; what ties is decided by `w` in the order, as the planner does it for row_number().
pub(super) fn spec(function: RankFunction, first: u64, last: Option<u64>, output: bool) -> TopNSpec {
    let input_schema = input();
    let mut fields = input_schema.fields().to_vec();
    if output {
        fields.push(Arc::new(Field::new("r", DataType::UInt64, false)));
    }
    let column = |name: &str| col(name, &input_schema).unwrap();
    let mut order = vec![(column("v"), DESC)];
    if function == RankFunction::RowNumber {
        order.push((column("w"), ASC));
    }
    TopNSpec {
        keys: vec![column("k")],
        order,
        function,
        first,
        last,
        output,
        purpose: TopNUse::Result,
        window: None,
        input_append_only: false,
        rising: false,
        unbounded: false,
        mode: EmitMode::Changes,
        schema: Arc::new(Schema::new(fields)),
        input_schema,
    }
}

fn step(operator: &mut TopN, deltas: &[&str], watermark: EventTime) -> String {
    let mut out = Vec::new();
    for delta in deltas {
        operator.push(0, drawn(&input(), delta), &mut out).unwrap();
    }
    operator.finish_step(watermark, &mut out).unwrap();
    draw(&out)
}

fn steps(spec: TopNSpec, deltas: &[&str]) -> Vec<String> {
    let mut operator = TopN::new(spec).unwrap();
    deltas.iter().map(|delta| step(&mut operator, &[delta], WATERMARK_NONE)).collect()
}

#[test]
fn a_row_that_comes_shifts_those_behind_it_and_no_others() {
    let spec = spec(RankFunction::RowNumber, 1, Some(3), true);
    let got = steps(spec, &["+ 1 50 0\n+ 1 40 0\n+ 2 7 0", "+ 1 45 0", "+ 1 44 0\n+ 1 3 3", "- 1 50 0"]);
    assert_eq!(got[0], "+ 1 50 0 1\n+ 1 40 0 2\n+ 2 7 0 1\n");
    assert_eq!(got[1], "+ 1 45 0 2\n- 1 40 0 2\n+ 1 40 0 3\n");
    assert_eq!(got[2], "+ 1 44 0 3\n- 1 40 0 3\n");
    assert_eq!(got[3], "- 1 50 0 1\n- 1 45 0 2\n+ 1 45 0 1\n- 1 44 0 3\n+ 1 44 0 2\n+ 1 40 0 3\n");
}

#[test]
fn without_the_rank_only_the_rows_that_come_and_go_are_sent() {
    let spec = spec(RankFunction::RowNumber, 1, Some(2), false);
    let got = steps(spec, &["+ 1 50 0\n+ 1 40 0", "+ 1 60 0", "+ 1 1 0", "-  1 60 0"]);
    assert_eq!(got, ["+ 1 50 0\n+ 1 40 0\n", "+ 1 60 0\n- 1 40 0\n", "", "- 1 60 0\n+ 1 40 0\n"]);
}

#[test]
fn rows_that_tie_share_a_rank_and_all_of_them_stay() {
    let rows = "+ 1 9 1\n+ 1 8 1\n+ 1 8 2\n+ 1 7 1";
    let rank = spec(RankFunction::Rank, 1, Some(2), true);
    assert_eq!(
        steps(rank, &[rows, "+ 1 9 2"]),
        ["+ 1 9 1 1\n+ 1 8 1 2\n+ 1 8 2 2\n", "+ 1 9 2 1\n- 1 8 1 2\n- 1 8 2 2\n"]
    );
    let dense = spec(RankFunction::DenseRank, 2, Some(3), true);
    assert_eq!(
        steps(dense, &[rows, "- 1 9 1"]),
        ["+ 1 8 1 2\n+ 1 8 2 2\n+ 1 7 1 3\n", "- 1 8 1 2\n- 1 8 2 2\n- 1 7 1 3\n+ 1 7 1 2\n"]
    );
}

#[test]
fn nulls_stand_where_the_order_says() {
    let mut first = spec(RankFunction::RowNumber, 1, Some(1), false);
    assert_eq!(steps(first.clone(), &["+ 1 5 0\n+ 1 null 0"]), ["+ 1 null 0\n"]);
    first.order[0].1.nulls_first = false;
    assert_eq!(steps(first, &["+ 1 5 0\n+ 1 null 0\n+ null 2 2"]), ["+ 1 5 0\n+ null 2 2\n"]);
}

#[test]
fn one_row_a_key_is_kept_of_rows_that_only_come() {
    let spec = TopNSpec { input_append_only: true, ..spec(RankFunction::RowNumber, 1, Some(1), false) };
    let mut operator = TopN::new(spec).unwrap();
    assert_eq!(step(&mut operator, &["+ 1 5 0\n+ 1 6 0", "+ 1 5 9\n+ 2 1 1"], 0), "+ 1 6 0\n+ 2 1 1\n");
    assert_eq!(step(&mut operator, &["+ 1 5 0\n+ 1 6 0\n+ 2 1 2"], 0), "");
    assert_eq!(step(&mut operator, &["+ 1 7 0\n+ 1 8 0"], 0), "+ 1 8 0\n- 1 6 0\n");
    assert_eq!(operator.metrics().state_rows, 2);
}

#[test]
fn state_is_bounded_where_rows_only_come() {
    for (function, kept) in
        [(RankFunction::RowNumber, 3), (RankFunction::Rank, 4), (RankFunction::DenseRank, 12)]
    {
        let spec = TopNSpec { input_append_only: true, ..spec(function, 1, Some(3), true) };
        let mut operator = TopN::new(spec).unwrap();
        // Values from 0 to 49, each from four rows.
        for i in 0..200 {
            step(&mut operator, &[&format!("+ 1 {} {i}", i * 37 % 50)], 0);
        }
        assert_eq!(operator.metrics().state_rows, kept, "{function:?}");
    }
}

#[test]
fn a_row_owed_is_not_there_until_it_has_been_paid() {
    let spec = spec(RankFunction::RowNumber, 1, Some(2), true);
    let got = steps(spec, &["+ 1 5 0\n- 1 9 0", "+ 1 9 0", "+ 1 9 0", "- 1 9 0\n- 1 5 0"]);
    assert_eq!(got, ["+ 1 5 0 1\n", "", "+ 1 9 0 1\n- 1 5 0 1\n+ 1 5 0 2\n", "- 1 9 0 1\n- 1 5 0 2\n"]);
}

#[test]
fn candidates_are_sent_once_and_never_taken_back() {
    let mut spec = spec(RankFunction::RowNumber, 1, Some(1), false);
    spec.keys.clear();
    spec.input_append_only = true;
    spec.purpose = TopNUse::Candidates;
    let mut operator = TopN::new(spec).unwrap();
    assert_eq!(step(&mut operator, &["+ 1 5 0\n+ 1 4 0"], 0), "+ 1 5 0\n");
    assert_eq!(step(&mut operator, &["+ 1 3 0\n+ 1 6 0"], 0), "+ 1 6 0\n");
    assert!(operator.snapshot().unwrap().is_empty());
}

/// The first rows of each worker are others among another number of workers: what has been sent follows that.
#[test]
fn rows_that_are_spread_anew_are_sent_as_far_as_they_were_not() {
    let mut spec = spec(RankFunction::RowNumber, 1, Some(2), false);
    spec.keys.clear();
    spec.purpose = TopNUse::Spread;
    let mut first = TopN::new(spec.clone()).unwrap();
    assert_eq!(step(&mut first, &["+ 1 9 0\n+ 1 8 0\n+ 1 7 0\n+ 1 6 0\n+ 1 6 0"], 0), "+ 1 9 0\n+ 1 8 0\n");
    let table = first.snapshot().unwrap().remove(0);
    let part = |from, to| StateTable { batch: table.batch.slice(from, to - from), ..table.clone() };
    let mut others = [TopN::new(spec.clone()).unwrap(), TopN::new(spec.clone()).unwrap()];
    others[0].restore(vec![part(0, 1)]).unwrap();
    others[1].restore(vec![part(1, 2), part(2, 4)]).unwrap();
    // A checkpoint before any step tells the same.
    let saved = others[1].snapshot().unwrap();
    others[1] = TopN::new(spec.clone()).unwrap();
    others[1].restore(saved).unwrap();
    assert_eq!(others.each_mut().map(|other| step(other, &[], 0)), ["", "+ 1 7 0\n"]);
    assert_eq!(others.each_mut().map(|other| step(other, &[], 0)), ["", ""]);
    assert_eq!(step(&mut others[1], &["- 1 8 0\n+ 1 1 0"], 0), "- 1 8 0\n+ 1 6 0\n");
    // Together again: of the three that were sent one is too many.
    let saved = others.each_mut().map(|other| other.snapshot().unwrap().remove(0));
    let mut one = TopN::new(spec).unwrap();
    one.restore(saved.to_vec()).unwrap();
    assert_eq!(step(&mut one, &[], 0), "- 1 6 0\n");
}

/// What is kept is counted as it is, also where rows tie, come twice, and fall out of the range.
#[test]
fn the_size_is_that_of_the_rows_that_are_kept() {
    for last in [1, 2] {
        let mut spec = spec(RankFunction::RowNumber, 1, Some(last), false);
        spec.input_append_only = true;
        let mut operator = TopN::new(spec).unwrap();
        for rows in [
            "+ 1 5 3\n+ 1 5 2\n+ 2 7 1",
            "+ 1 5 2\n+ 1 5 1\n+ 2 7 1",
            "+ 1 5 0",
            "+ 1 6 4\n+ 1 6 3",
            "+ 2 8 8\n+ 2 8 7",
        ] {
            step(&mut operator, &[rows], WATERMARK_NONE);
            let mut size = Growth::default();
            operator.partitions.iter().for_each(|partition| size += partitions::size(partition));
            assert_eq!(operator.size, size, "after {rows:?}");
        }
    }
}

/// The same with the key as a window's end in seconds.
fn windowed(mode: EmitMode) -> TopNSpec {
    let mut spec = spec(RankFunction::RowNumber, 1, Some(1), true);
    let time = DataType::Timestamp(TimeUnit::Second, None);
    spec.keys = vec![cast_expr(col("k", &input()).unwrap(), &input(), time).unwrap()];
    spec.window = Some(crate::operators::aggregate::WindowKey { key: 0, to_end: 0, grace: 2_000_000_000 });
    spec.mode = mode;
    spec
}

#[test]
fn a_window_s_rows_go_out_once_it_is_over_and_its_state_with_them() {
    const S: i64 = 1_000_000_000;
    let mut operator = TopN::new(windowed(EmitMode::Final)).unwrap();
    assert_eq!(step(&mut operator, &["+ 10 1 0\n+ 10 2 0\n+ 20 3 0\n+ null 4 4"], 11 * S), "");
    let open = |end: i64| Some(OpenWindow { end: end * S, closes: (end + 2) * S, waits: true });
    assert_eq!(operator.open_window(), open(10));
    assert_eq!(step(&mut operator, &["- 10 2 0"], 12 * S), "+ 10 1 0 1\n");
    assert_eq!(operator.open_window(), open(20));
    assert_eq!(operator.metrics().state_rows, 2);
    assert_eq!(step(&mut operator, &[], WATERMARK_END), "+ 20 3 0 1\n+ null 4 4 1\n");
    assert_eq!((operator.metrics().state_rows, operator.open_window()), (0, None));
    let mut changes = TopN::new(windowed(EmitMode::Changes)).unwrap();
    assert_eq!(step(&mut changes, &["+ 10 1 0\n+ 10 2 0"], 0), "+ 10 2 0 1\n");
    let mut out = Vec::new();
    assert_eq!(changes.finish_step(12 * S, &mut out).unwrap(), 10 * S);
    assert!(out.is_empty());
    assert_eq!(changes.metrics().state_rows, 0);
}

#[test]
fn much_goes_out_in_parts() {
    let mut operator = TopN::new(spec(RankFunction::RowNumber, 1, None, true)).unwrap();
    let rows: String = (0..40_000).map(|i| format!("+ 1 {i} 0\n")).collect();
    let mut out = Vec::new();
    operator.push(0, drawn(&input(), &rows), &mut out).unwrap();
    operator.finish_step(0, &mut out).unwrap();
    assert!(out.len() > 1);
    let ranks: Vec<u64> = out
        .iter()
        .flat_map(|d| d.batch.column(3).as_any().downcast_ref::<UInt64Array>().unwrap().values().to_vec())
        .collect();
    assert_eq!(ranks, (1..=40_000).collect::<Vec<u64>>());
}

/// The ranks of all rows by definition.
pub(super) fn ranked(spec: &TopNSpec, rows: &BTreeMap<[i64; 3], i64>) -> BTreeMap<(Vec<i64>, i64), i64> {
    let mut ranks = BTreeMap::new();
    for (row, weight) in rows.iter().filter(|(_, w)| **w > 0) {
        let mine = || rows.iter().filter(|(other, w)| other[0] == row[0] && **w > 0);
        let less = |other: &[i64; 3]| other[1] > row[1];
        let before = |other: &[i64; 3]| less(other) || (other[1] == row[1] && other[2] < row[2]);
        let count = |f: &dyn Fn(&[i64; 3]) -> bool| mine().filter(|(o, _)| f(o)).map(|(_, w)| w).sum::<i64>();
        let own: Vec<i64> = match spec.function {
            RankFunction::RowNumber => (0..*weight).map(|i| count(&before) + 1 + i).collect(),
            RankFunction::Rank => vec![count(&less) + 1; *weight as usize],
            RankFunction::DenseRank => {
                let mut values: Vec<i64> = mine().filter(|(o, _)| less(o)).map(|(o, _)| o[1]).collect();
                values.dedup();
                values.sort_unstable();
                values.dedup();
                vec![values.len() as i64 + 1; *weight as usize]
            }
        };
        for rank in own.into_iter().filter(|r| (spec.least()..=spec.most()).contains(r)) {
            *ranks.entry((row.to_vec(), if spec.output { rank } else { 0 })).or_default() += 1;
        }
    }
    ranks
}

/// The sum of what has gone out.
pub(super) fn sum(spec: &TopNSpec, out: &[Delta]) -> BTreeMap<(Vec<i64>, i64), i64> {
    let (batch, weights) = consolidate(&spec.schema, out).unwrap();
    let int = |column: usize, row: usize| {
        cast(batch.column(column), &DataType::Int64).unwrap().as_primitive::<Int64Type>().value(row)
    };
    (0..batch.num_rows())
        .map(|i| {
            let rank = if spec.output { int(3, i) } else { 0 };
            (((0..3).map(|c| int(c, i)).collect(), rank), weights.value(i))
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    /// After every step the sum of the deltas is what the definition says, also by way of a checkpoint onto more
    /// workers, whatever the range, the function, and whether rows are taken back.
    #[test]
    fn the_sum_of_the_deltas_is_the_answer(
        function in prop::sample::select(vec![RankFunction::RowNumber, RankFunction::Rank, RankFunction::DenseRank]),
        first in 1u64..4,
        length in prop::option::of(0u64..5),
        output: bool,
        append_only: bool,
        moves in prop::collection::vec(
            (prop::collection::vec((0i64..3, 0i64..6, 0i64..3, any::<prop::sample::Index>(), 1i64..3), 0..12), any::<bool>()),
            1..14,
        ),
    ) {
        let last = length.map(|n| first + n);
        let spec = TopNSpec { input_append_only: append_only, ..spec(function, first, last, output) };
        let mut operators = vec![TopN::new(spec.clone()).unwrap()];
        let mut rows: BTreeMap<[i64; 3], i64> = BTreeMap::new();
        let mut out = Vec::new();
        for (step, (changes, restart)) in moves.into_iter().enumerate() {
            let mut text = vec![String::new(); operators.len()];
            for (k, v, w, which, weight) in changes {
                let mut row = [k, v, w];
                let mut weight = if append_only { 1 } else { weight };
                let some: Vec<_> = rows.iter().filter(|(_, w)| **w > 0).collect();
                if !append_only && weight == 1 && !some.is_empty() {
                    (row, weight) = (*some[which.index(some.len())].0, -1);
                }
                *rows.entry(row).or_default() += weight;
                let place = row[0] as usize % operators.len();
                text[place].push_str(&format!("{weight:+} {} {} {}\n", row[0], row[1], row[2]));
            }
            for (operator, text) in operators.iter_mut().zip(&text) {
                operator.push(0, drawn(&input(), text), &mut out).unwrap();
                operator.finish_step(WATERMARK_NONE, &mut out).unwrap();
            }
            prop_assert_eq!(sum(&spec, &out), ranked(&spec, &rows), "after step {}", step);
            if restart {
                let tables: Vec<StateTable> =
                    operators.iter_mut().flat_map(|o| o.snapshot().unwrap()).collect();
                operators = (0..1 + step % 3).map(|_| TopN::new(spec.clone()).unwrap()).collect();
                for table in tables {
                    let keys = table.batch.column(0).as_primitive::<Int64Type>().clone();
                    for place in 0..operators.len() {
                        let own = keys.iter().map(|k| k.map(|k| k as usize % operators.len() == place));
                        let own = arrow::compute::filter_record_batch(&table.batch, &own.collect()).unwrap();
                        operators[place].restore(vec![StateTable { batch: own, ..table.clone() }]).unwrap();
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    /// Rows that only rise, at several workers that leave out what stands too far behind: only the first are kept, and the sum of
    /// the deltas is what the definition says, also if what had been reached is forgotten and the ranking goes on from a checkpoint.
    #[test]
    fn of_rows_that_rise_the_first_are_kept(
        number: bool,
        first in 1u64..3,
        length in 0u64..4,
        output: bool,
        workers in 1usize..4,
        moves in prop::collection::vec(
            (prop::collection::vec((0i64..2, 0i64..9, 0i64..4), 0..12), any::<bool>(), 1usize..6),
            1..14,
        ),
    ) {
        let function = if number { RankFunction::RowNumber } else { RankFunction::Rank };
        let most = first + length;
        let spec = TopNSpec { rising: true, ..spec(function, first, Some(most), output) };
        let window = WindowKey { key: 0, to_end: 1 << 60, grace: 0 };
        let threshold = || {
            Threshold::new(ThresholdSpec {
                keys: vec![0],
                windows: None,
                by: 1,
                descending: true,
                most: most as usize,
                window,
                schema: input(),
            })
            .unwrap()
        };
        let mut before: Vec<Threshold> = (0..workers).map(|_| threshold()).collect();
        let mut operator = TopN::new(spec.clone()).unwrap();
        let mut values: BTreeMap<(i64, i64), i64> = BTreeMap::new();
        let mut out = Vec::new();
        for (step, (changes, restart, cut)) in moves.into_iter().enumerate() {
            let mut lines = vec![Vec::new(); workers];
            let mut touched = std::collections::BTreeSet::new();
            for (k, id, more) in changes {
                if !touched.insert((k, id)) {
                    continue;
                }
                let lines = &mut lines[id as usize % workers];
                let old = values.get(&(k, id)).copied();
                if let Some(old) = old {
                    lines.push(format!("- {k} {old} {id}\n"));
                }
                let new = old.unwrap_or(0) + more;
                values.insert((k, id), new);
                lines.push(format!("+ {k} {new} {id}\n"));
            }
            for (threshold, lines) in before.iter_mut().zip(lines) {
                for part in lines.chunks(cut) {
                    let mut kept = Vec::new();
                    threshold.push(0, drawn(&input(), &part.concat()), &mut kept).unwrap();
                    for delta in kept {
                        operator.push(0, delta, &mut out).unwrap();
                    }
                }
            }
            operator.finish_step(WATERMARK_NONE, &mut out).unwrap();
            let rows = values.iter().map(|((k, id), value)| ([*k, *value, *id], 1)).collect();
            prop_assert_eq!(sum(&spec, &out), ranked(&spec, &rows), "after step {}", step);
            if number {
                prop_assert!(operator.metrics().state_rows <= 2 * most, "{}", operator.metrics().state_rows);
            }
            if restart {
                let tables = operator.snapshot().unwrap();
                operator = TopN::new(spec.clone()).unwrap();
                operator.restore(tables).unwrap();
                before = (0..workers).map(|_| threshold()).collect();
            }
        }
    }
}

#[test]
fn windows_leave_nothing_behind() {
    let window = WindowKey { key: 0, to_end: 10, grace: 0 };
    let fields = vec![
        Field::new("k", DataType::Timestamp(TimeUnit::Nanosecond, None), true),
        Field::new("v", DataType::Int64, true),
        Field::new("w", DataType::Int64, true),
    ];
    let schema = Arc::new(Schema::new(fields));
    let order = vec![(col("v", &schema).unwrap(), DESC)];
    let spec = TopNSpec {
        keys: vec![col("k", &schema).unwrap()],
        order,
        window: Some(window),
        rising: true,
        input_schema: schema.clone(),
        schema: schema.clone(),
        ..spec(RankFunction::Rank, 1, Some(1), false)
    };
    let mut operator = TopN::new(spec).unwrap();
    let mut bytes = 0;
    for window in 0..1_000i64 {
        for n in 1..4 {
            let back = if n > 1 { format!("- {window} {} 1\n", n - 1) } else { String::new() };
            let rows = drawn(&input(), &format!("{back}+ {window} {n} 1\n"));
            let mut columns = rows.batch.columns().to_vec();
            columns[0] = cast(&columns[0], schema.field(0).data_type()).unwrap();
            let delta = rows.with_batch(arrow::array::RecordBatch::try_new(schema.clone(), columns).unwrap());
            operator.push(0, delta, &mut Vec::new()).unwrap();
            operator.finish_step(window, &mut Vec::new()).unwrap();
        }
        if window == 100 {
            bytes = operator.metrics().state_bytes;
        }
    }
    assert!(operator.metrics().state_bytes <= 2 * bytes, "{} of {bytes}", operator.metrics().state_bytes);
}
