//! Drawn sessions; the law over random changes, cuts and restores; what closes, and when.

use super::*;
use crate::delta::{consolidate, draw, drawn};
use crate::disk::Disk;
use crate::operators::spill::tests::{Saved, lines};
use crate::operators::spill::{SpillTo, Spilling};
use crate::operators::{StateTable, StepStart};
use crate::state::budget::MemoryBudget;
use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, TimeUnit};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

const S: i64 = 1_000_000_000;

/// Columns `k`, `ts` (whole seconds), `v`.
fn schema(time: &DataType, width: usize) -> SchemaRef {
    let fields = [
        Field::new("k", DataType::Utf8, true),
        Field::new("ts", time.clone(), true),
        Field::new("v", DataType::Int64, true),
        Field::new("window_start", time.clone(), false),
        Field::new("window_end", time.clone(), false),
        Field::new("window_time", time.clone(), false),
    ];
    Arc::new(Schema::new(fields[..width].to_vec()))
}

fn seconds() -> DataType {
    DataType::Timestamp(TimeUnit::Second, None)
}

/// An operator over sessions of `gap` seconds per `k`.
fn operator(gap: i64, grace: i64, mode: EmitMode, closes: bool) -> SessionWindow {
    SessionWindow::new(SessionSpec {
        time: 1,
        keys: vec![0],
        gap: gap * S,
        grace: grace * S,
        mode,
        closes,
        schema: schema(&seconds(), 6),
    })
    .unwrap()
}

/// The batch with its times as numbers, or the other way round.
fn with_times(batch: &RecordBatch, time: &DataType) -> RecordBatch {
    let schema = schema(time, batch.num_columns());
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(c, f)| cast(c, f.data_type()).unwrap()).collect();
    RecordBatch::try_new(schema, columns).unwrap()
}

fn delta(rows: &str) -> Delta {
    let delta = drawn(&schema(&DataType::Int64, 3), rows);
    delta.with_batch(with_times(&delta.batch, &seconds()))
}

/// One step of rows, drawn as numbers of seconds; what goes out, in order, and the watermark that it leaves.
fn step(sessions: &mut SessionWindow, rows: &str, watermark: EventTime) -> (String, EventTime) {
    let mut out = Vec::new();
    sessions.begin_step(StepStart::after(WATERMARK_NONE)).unwrap();
    if !rows.is_empty() {
        sessions.push(0, delta(rows), &mut out).unwrap();
    }
    let watermark = sessions.finish_step(watermark, &mut out).unwrap();
    let numbers = |d: &Delta| d.with_batch(with_times(&d.batch, &DataType::Int64));
    (draw(&out.iter().map(numbers).collect::<Vec<_>>()), watermark)
}

fn changes(sessions: &mut SessionWindow, rows: &str) -> String {
    step(sessions, rows, WATERMARK_NONE).0
}

#[test]
fn sessions_grow_merge_and_part() {
    let mut sessions = operator(5, 0, EmitMode::Changes, true);
    assert_eq!(changes(&mut sessions, "+ a 10 1\n+ b 11 2"), "+ a 10 1 10 15 14\n+ b 11 2 11 16 15\n");
    // Exactly one gap further still belongs to it; the key b is as it was.
    assert_eq!(
        changes(&mut sessions, "+ a 15 3"),
        "- a 10 1 10 15 14\n+ a 10 1 10 20 19\n+ a 15 3 10 20 19\n"
    );
    assert_eq!(changes(&mut sessions, "+ a 21 4"), "+ a 21 4 21 26 25\n");
    // A row between two joins them.
    let merged = changes(&mut sessions, "+ a 18 5");
    assert_eq!(merged.lines().filter(|l| l.starts_with('-')).count(), 3, "{merged}");
    assert!(merged.ends_with("+ a 10 1 10 26 25\n+ a 15 3 10 26 25\n+ a 18 5 10 26 25\n+ a 21 4 10 26 25\n"));
    // One more row within changes nothing but itself, nor does one that comes and goes.
    assert_eq!(changes(&mut sessions, "+2 a 15 3\n+ a 12 9\n- a 12 9"), "+2 a 15 3 10 26 25\n");
    assert_eq!(changes(&mut sessions, "- a 15 3"), "- a 15 3 10 26 25\n");
    // The rows of one time go: it parts again.
    let parted = changes(&mut sessions, "-2 a 15 3");
    assert!(parted.ends_with("+ a 10 1 10 15 14\n+ a 18 5 18 26 25\n+ a 21 4 18 26 25\n"), "{parted}");
    assert_eq!(changes(&mut sessions, "- a 21 4\n- a 18 5\n- a 10 1").lines().count(), 3);
    assert_eq!(changes(&mut sessions, "- b 11 2"), "- b 11 2 11 16 15\n");
    assert_eq!((sessions.size.rows, sessions.size.bytes, sessions.keys.len()), (0, 0, 0));
}

#[test]
fn nulls_are_one_key_and_rows_without_a_time_none() {
    let mut sessions = operator(5, 0, EmitMode::Changes, true);
    assert_eq!(
        changes(&mut sessions, "+ null 1 1\n+ null 3 null\n+ a null 7"),
        "+ null 1 1 1 8 7\n+ null 3 null 1 8 7\n"
    );
}

#[test]
fn a_final_session_goes_out_once_when_the_watermark_has_passed_its_end_and_grace() {
    let mut sessions = operator(5, 2, EmitMode::Final, true);
    let (out, watermark) = step(&mut sessions, "+ a 10 1\n+2 a 13 2\n+ b 13 3\n+ a 30 4", 20 * S);
    // 13 + 5 + 2: a row at 18 that waited for its grace may still come.
    assert_eq!((out.as_str(), watermark), ("", 17 * S));
    let next = OpenWindow { end: 18 * S, closes: 20 * S + 1, waits: true };
    assert_eq!(sessions.open_window(), Some(next));
    let (out, watermark) = step(&mut sessions, "+ b 18 5", 20 * S + 1);
    assert_eq!(out, "+ a 10 1 10 18 17\n+ a 13 2 10 18 17\n+ a 13 2 10 18 17\n");
    assert_eq!(watermark, 17 * S + 1);
    assert_eq!(step(&mut sessions, "", 26 * S).0, "+ b 13 3 13 23 22\n+ b 18 5 13 23 22\n");
    assert_eq!(step(&mut sessions, "", WATERMARK_END), ("+ a 30 4 30 35 34\n".into(), WATERMARK_END));
    assert_eq!(step(&mut sessions, "", WATERMARK_END).0, "");
    assert_eq!((sessions.size.rows, sessions.ends.len(), sessions.keys.len()), (0, 0, 0));
    assert_eq!(sessions.open_window(), None);
}

#[test]
fn what_is_over_is_dropped_also_where_changes_go_out_but_never_without_a_watermark() {
    for (closes, left) in [(true, 1), (false, 3)] {
        let mut sessions = operator(5, 0, EmitMode::Changes, closes);
        step(&mut sessions, "+ a 10 1\n+ b 12 2\n+ a 40 3", WATERMARK_NONE);
        assert_eq!(step(&mut sessions, "", 30 * S).0, "");
        assert_eq!(sessions.metrics().state_rows, left, "closes: {closes}");
        let new = changes(&mut sessions, "+ a 38 4");
        assert_eq!(new, "- a 40 3 40 45 44\n+ a 38 4 38 45 44\n+ a 40 3 38 45 44\n");
    }
}

#[test]
fn keys_without_rows_are_forgotten() {
    let mut sessions = operator(5, 0, EmitMode::Final, true);
    let many: String = (0..3000).map(|i| format!("+ k{i} {} {i}\n", i / 10)).collect();
    step(&mut sessions, &many, WATERMARK_NONE);
    let (out, _) = step(&mut sessions, "", 200 * S);
    assert_eq!(out.lines().count(), 1950);
    assert_eq!(sessions.keys.len(), 1050);
    // Their places are others' now.
    let (out, _) = step(&mut sessions, "+ k2999 304 1\n+ k1 310 1", 303 * S);
    assert_eq!(out.lines().count(), 1030, "{out}");
    let (out, _) = step(&mut sessions, "", WATERMARK_END);
    assert!(out.contains("+ k2999 299 2999 299 309 308\n") && out.contains("+ k1 310 1 310 315 314\n"));
    assert_eq!(out.lines().count(), 22);
}

/// The rows of `(key, time, value) → weight` with their sessions, by definition.
fn expected(rows: &BTreeMap<(u8, i64, i64), i64>, gap: i64) -> String {
    let there: Vec<(&(u8, i64, i64), &i64)> = rows.iter().filter(|(_, w)| **w != 0).collect();
    let mut text = String::new();
    for ((key, time, value), weight) in &there {
        let mut others: Vec<i64> =
            there.iter().filter(|((k, ..), _)| k == key).map(|((_, t, _), _)| *t).collect();
        others.dedup();
        let at = others.iter().position(|t| t == time).unwrap();
        let mut first = at;
        while first > 0 && others[first] - others[first - 1] <= gap {
            first -= 1;
        }
        let mut last = at;
        while last + 1 < others.len() && others[last + 1] - others[last] <= gap {
            last += 1;
        }
        let end = others[last] + gap;
        let start = others[first];
        text.push_str(&format!("+{weight} k{key} {time} {value} {start} {end} {}\n", end - 1));
    }
    text
}

fn sum(deltas: &[Delta]) -> Vec<String> {
    let schema = schema(&DataType::Int64, 6);
    let numbers = |d: &Delta| d.with_batch(with_times(&d.batch, &DataType::Int64));
    let deltas: Vec<Delta> = deltas.iter().map(numbers).collect();
    let (batch, weights) = consolidate(&schema, &deltas).unwrap();
    let mut lines: Vec<String> =
        draw(&[Delta::weighted(batch, Some(weights))]).lines().map(String::from).collect();
    lines.sort();
    lines
}

fn as_drawn(text: &str) -> Vec<String> {
    let delta = drawn(&schema(&DataType::Int64, 6), text);
    sum(&[delta])
}

proptest! {
    /// Rows come, and some of those that are there go again; cut into steps, saved and restored in between.
    #[test]
    fn the_sum_of_the_changes_is_the_answer(
        steps in prop::collection::vec(
            (prop::collection::vec((0u8..3, 0i64..60, 0i64..2, any::<bool>()), 0..10), any::<bool>()), 1..10),
        gap in 1i64..8,
    ) {
        let mut sessions = operator(gap, 0, EmitMode::Changes, false);
        let (mut rows, mut out) = (BTreeMap::new(), Vec::new());
        for (changes, restored) in steps {
            let mut text = String::new();
            for (key, time, value, goes) in changes {
                let weight = rows.entry((key, time, value)).or_insert(0i64);
                let sign = if goes && *weight > 0 { '-' } else { '+' };
                *weight += if sign == '-' { -1 } else { 1 };
                text.push_str(&format!("{sign} k{key} {time} {value}\n"));
            }
            if !text.is_empty() {
                sessions.push(0, delta(&text), &mut out).unwrap();
            }
            sessions.finish_step(WATERMARK_NONE, &mut out).unwrap();
            prop_assert_eq!(sum(&out), as_drawn(&expected(&rows, gap)));
            if restored {
                let tables = sessions.snapshot().unwrap();
                sessions = operator(gap, 0, EmitMode::Changes, false);
                sessions.restore(tables).unwrap();
            }
        }
    }

    /// In time, in any order within a step: the closed sessions of all steps are those of all rows.
    #[test]
    fn final_sessions_are_those_of_all_rows_whatever_the_cut(
        times in prop::collection::vec((0u8..3, 0i64..8, 0i64..2), 0..60),
        cut in 1usize..9, gap in 1i64..8, delay in 0i64..12,
    ) {
        let mut sessions = operator(gap, 0, EmitMode::Final, true);
        let (mut rows, mut out, mut clock, mut watermark) = (BTreeMap::new(), Vec::new(), 100, WATERMARK_NONE);
        for some in times.chunks(cut) {
            let mut text = String::new();
            for (key, ahead, value) in some {
                clock += ahead / 2;
                // Not late: never behind the watermark before the step.
                let time = (clock - ahead).max(if watermark < 0 { 0 } else { watermark / S });
                *rows.entry((*key, time, *value)).or_insert(0i64) += 1;
                text.push_str(&format!("+ k{key} {time} {value}\n"));
            }
            sessions.push(0, delta(&text), &mut out).unwrap();
            watermark = watermark.max((clock - delay) * S);
            sessions.finish_step(watermark, &mut out).unwrap();
            let tables = sessions.snapshot().unwrap();
            sessions = operator(gap, 0, EmitMode::Final, true);
            sessions.restore(tables).unwrap();
        }
        sessions.finish_step(WATERMARK_END, &mut out).unwrap();
        prop_assert!(out.iter().all(|d| d.weights.is_none()));
        prop_assert_eq!(sum(&out), as_drawn(&expected(&rows, gap)));
        prop_assert_eq!(sessions.metrics().state_rows, 0);
    }
}

proptest! {
    /// With all keys on disk after each step: the same goes out, and what checkpoints save adds up to the state.
    #[test]
    fn sessions_on_disk_are_those_in_memory(
        steps in prop::collection::vec(
            (prop::collection::vec((0u8..6, 0i64..30), 0..8), 0i64..25, any::<bool>(), any::<bool>()), 1..14),
        gap in 1i64..8, changing: bool,
    ) {
        let mode = if changing { EmitMode::Changes } else { EmitMode::Final };
        let dir = tempfile::tempdir().unwrap();
        let to = SpillTo { budget: MemoryBudget::new(0), disk: Disk::real(), dir: dir.path().into() };
        let mut plain = operator(gap, 0, mode, true);
        let mut spilled = Spilling::new(Box::new(operator(gap, 0, mode, true)), &to);
        let mut saved = Saved::default();
        let mut watermark = 0;
        for (rows, ahead, checkpoint, restored) in steps {
            let text: String =
                rows.iter().map(|(key, time)| format!("+ k{key} {} 0\n", watermark + time)).collect();
            watermark += ahead;
            let step = |operator: &mut dyn Operator| {
                let mut out = Vec::new();
                if !text.is_empty() {
                    operator.push(0, delta(&text), &mut out).unwrap();
                }
                operator.finish_step(watermark * S, &mut out).unwrap();
                sum(&out)
            };
            prop_assert_eq!(step(&mut plain), step(&mut spilled));
            prop_assert_eq!(plain.metrics().state_rows, spilled.metrics().state_rows);
            if checkpoint {
                saved.take(spilled.snapshot_changes().unwrap());
                prop_assert_eq!(saved.lines(), lines(&plain.snapshot().unwrap()));
            }
            if restored {
                let tables = spilled.snapshot().unwrap();
                spilled = Spilling::new(Box::new(operator(gap, 0, mode, true)), &to);
                spilled.restore(tables.clone()).unwrap();
                saved = Saved::default();
                saved.take(StateChange::Whole(tables));
            }
        }
    }
}

#[test]
fn a_table_of_another_query_is_refused() {
    let mut sessions = operator(5, 0, EmitMode::Changes, true);
    changes(&mut sessions, "+ a 10 1");
    let table = sessions.snapshot().unwrap().remove(0);
    assert_eq!(table.key_columns, 1);
    let other = StateTable { name: "groups".into(), ..table.clone() };
    assert!(operator(5, 0, EmitMode::Changes, true).restore(vec![other]).is_err());
    let all: Vec<usize> = (1..table.batch.num_columns()).collect();
    let less = StateTable { batch: table.batch.project(&all).unwrap(), ..table };
    assert!(operator(5, 0, EmitMode::Changes, true).restore(vec![less]).is_err());
}
