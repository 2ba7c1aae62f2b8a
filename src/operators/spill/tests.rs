//! A join, a ranking and an aggregate whose state goes to disk, beside ones whose state does not.

use super::*;
use crate::delta::{WATERMARK_END, WATERMARK_NONE, consolidate, draw, drawn};
use crate::disk::Disk;
use crate::operators::aggregate::EmitMode;
use crate::operators::aggregate::tests::by_key;
use crate::operators::join::{Join, JoinInput, JoinSpec};
use crate::operators::top_n::{RankFunction, TopN, TopNSpec, TopNUse};
use arrow::compute::SortOptions;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::JoinType;
use datafusion::physical_expr::expressions::col;
use proptest::prelude::*;

fn schema(names: [&str; 2]) -> SchemaRef {
    Arc::new(Schema::new(names.map(|n| Field::new(n, DataType::Int64, true)).to_vec()))
}

fn join() -> Box<dyn Operator> {
    let (left, right) = (schema(["k", "v"]), schema(["k", "w"]));
    let input = |schema: &SchemaRef| JoinInput {
        keys: vec![col("k", schema).unwrap()],
        schema: schema.clone(),
        append_only: false,
    };
    let fields = [left.fields().to_vec(), right.fields().to_vec()].concat();
    Box::new(
        Join::new(JoinSpec {
            join_type: JoinType::Full,
            inputs: [input(&left), input(&right)],
            nulls_equal: false,
            null_aware: false,
            residual: None,
            bound: None,
            unbounded: [true; 2],
            hold: false,
            schema: Arc::new(Schema::new(fields)),
        })
        .unwrap(),
    )
}

fn top_n() -> Box<dyn Operator> {
    let input_schema = schema(["k", "v"]);
    let rank = Field::new("r", DataType::UInt64, false);
    let fields = [input_schema.fields().to_vec(), vec![Arc::new(rank)]].concat();
    Box::new(
        TopN::new(TopNSpec {
            keys: vec![col("k", &input_schema).unwrap()],
            order: vec![(col("v", &input_schema).unwrap(), SortOptions::default())],
            function: RankFunction::RowNumber,
            first: 1,
            last: None,
            output: true,
            purpose: TopNUse::Result,
            window: None,
            input_append_only: false,
            rising: false,
            unbounded: true,
            mode: EmitMode::Changes,
            schema: Arc::new(Schema::new(fields)),
            input_schema,
        })
        .unwrap(),
    )
}

fn spilling(operator: Box<dyn Operator>, limit: u64, disk: &Disk, dir: &tempfile::TempDir) -> Spilling {
    let budget = MemoryBudget::new(limit);
    Spilling::new(operator, &SpillTo { budget, disk: disk.clone(), dir: dir.path().into() })
}

/// One step with rows for both sides; the net of what goes out.
fn step(
    operator: &mut dyn Operator,
    ports: usize,
    start: StepStart,
    rows: &[(bool, i64, i64, i64)],
) -> String {
    operator.begin_step(start).unwrap();
    let mut out = Vec::new();
    for port in 0..ports {
        let text = rows.iter().filter(|(right, ..)| *right == (port == 1));
        let text: String = text.map(|(_, k, v, weight)| format!("{weight:+} {k} {v}\n")).collect();
        operator.push(port, drawn(&schema(["k", "v"]), &text), &mut out).unwrap();
    }
    operator.finish_step(WATERMARK_NONE, &mut out).unwrap();
    let Some(first) = out.first() else { return String::new() };
    let (batch, weights) = consolidate(&first.batch.schema(), &out).unwrap();
    draw(&[Delta::weighted(batch, Some(weights))])
}

/// The tables' rows in some order.
pub(crate) fn lines(tables: &[StateTable]) -> Vec<String> {
    let text = |table: &StateTable| {
        let name = table.name.clone();
        let rows = draw(&[Delta::insert(table.batch.clone())]);
        rows.lines().map(|line| format!("{name} {line}")).collect::<Vec<_>>()
    };
    let mut lines: Vec<String> = tables.iter().flat_map(text).collect();
    lines.sort();
    lines
}

/// What checkpoints hold, by table and key: all changes brought in.
#[derive(Default)]
pub(crate) struct Saved(std::collections::BTreeMap<(String, String), Vec<String>>);

impl Saved {
    pub(crate) fn take(&mut self, change: StateChange) {
        let changes = match change {
            StateChange::Whole(tables) => {
                self.0.clear();
                let whole = |t: StateTable| TableChange {
                    name: t.name,
                    key_columns: t.key_columns,
                    rows: Some(t.batch),
                    kept: None,
                    removed: None,
                    added: None,
                };
                tables.into_iter().map(whole).collect()
            }
            StateChange::Some(changes) => changes,
        };
        for TableChange { name, rows, kept, removed, added, .. } in changes {
            let of = |batch: Option<RecordBatch>| {
                batch.map_or(String::new(), |batch| draw(&[Delta::insert(batch)]))
            };
            let all = |kept: Option<crate::operators::kept_rows::KeptRows>| {
                of(kept.map(|kept| kept.batch().unwrap()))
            };
            let (rows, removed, added) = (of(rows) + &all(kept), of(removed), all(added));
            let key = |line: &str| line.split(' ').nth(1).unwrap().to_string();
            removed.lines().chain(rows.lines()).for_each(|line| {
                self.0.remove(&(name.clone(), key(line)));
            });
            for line in rows.lines().chain(added.lines()) {
                self.0.entry((name.clone(), key(line))).or_default().push(format!("{name} {line}"));
            }
        }
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.0.values().flatten().cloned().collect();
        lines.sort();
        lines
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn state_on_disk_answers_as_state_in_memory(
        steps in proptest::collection::vec(
            (proptest::collection::vec((any::<bool>(), 0..40i64, 0..3i64, 1..3i64), 0..30), any::<bool>(), 0..9u8),
            1..20,
        ),
        limit in prop_oneof![Just(0u64), Just(3000)],
        kind in 0..3u8,
        // From which step on rows leave by their age, and at which.
        ttl in proptest::option::of((0..12i64, 1..5i64)),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let operator = || match kind {
            0 => join(),
            1 => top_n(),
            _ => Box::new(by_key(&schema(["k", "v"]))),
        };
        let ports = if kind == 0 { 2 } else { 1 };
        let mut plain = operator();
        let (disk, faults) = Disk::faulty();
        let mut spilled = spilling(operator(), limit, &disk, &dir);
        let mut there: Vec<(bool, i64, i64, i64)> = Vec::new();
        let mut saved = Saved::default();
        for (now, (new, checkpoint, what)) in (0i64..).zip(steps) {
            // Some of the rows that are there go again.
            let gone = there.len() / 3;
            let mut rows: Vec<(bool, i64, i64, i64)> = there.drain(..gone).collect();
            rows.iter_mut().for_each(|row| row.3 = -row.3);
            there.extend(new.iter().copied());
            rows.extend(new);
            match what {
                0 => faults.full_after(0),
                1 => faults.heal(),
                _ => {}
            }
            let keep_since = ttl.filter(|(from, _)| now >= *from).map(|(_, age)| now - age);
            let start = StepStart { closed: WATERMARK_NONE, now, keep_since };
            let (a, b) = (step(plain.as_mut(), ports, start, &rows), step(&mut spilled, ports, start, &rows));
            prop_assert_eq!(a, b);
            let (a, b) = (plain.metrics(), spilled.metrics());
            prop_assert_eq!((a.expired, a.ignored), (b.expired, b.ignored));
            // On disk the rows are counted that a group keeps for a call, in memory the groups.
            prop_assert!(kind == 2 || a.state_rows == b.state_rows, "{} {}", a.state_rows, b.state_rows);
            if checkpoint {
                saved.take(spilled.snapshot_changes().unwrap());
                prop_assert_eq!(saved.lines(), lines(&plain.snapshot().unwrap()));
            }
            if what == 3 {
                // From what a checkpoint would have, in parts.
                let tables = spilled.snapshot().unwrap();
                let mut empty = spilling(operator(), limit, &disk, &dir);
                for table in &tables {
                    for row in 0..table.batch.num_rows() {
                        let part = StateTable { batch: table.batch.slice(row, 1), ..table.clone() };
                        empty.restore(vec![part]).unwrap();
                    }
                }
                spilled = empty;
                // What was counted before counts no more.
                let mut whole = operator();
                whole.restore(tables).unwrap();
                plain = whole;
                saved = Saved::default();
                saved.take(StateChange::Whole(spilled.snapshot().unwrap()));
            }
        }
        let mut out = Vec::new();
        spilled.finish_step(WATERMARK_END, &mut out).unwrap();
    }
}

#[test]
fn a_row_that_went_before_its_key_left_memory_is_gone_from_the_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let start = StepStart::after(WATERMARK_NONE);
    let mut first = join();
    step(first.as_mut(), 2, start, &[(false, 1, 10, 1), (true, 1, 7, 1)]);
    let mut operator = spilling(join(), u64::MAX, &Disk::real(), &dir);
    let mut saved = Saved::default();
    // No row of the right side has been on disk when the checkpoint is made.
    let tables = first.snapshot().unwrap();
    saved.take(StateChange::Whole(tables.clone()));
    operator.restore(tables).unwrap();
    step(&mut operator, 2, start, &[(true, 1, 7, -1)]);
    operator.budget.set_limit(0);
    step(&mut operator, 2, start, &[]);
    assert!(operator.metrics().disk_bytes > 0);
    saved.take(operator.snapshot_changes().unwrap());
    assert_eq!(saved.lines(), ["left + 1 1 10 1 0"]);
}

#[test]
fn what_does_not_fit_goes_to_disk_and_stays_in_memory_when_the_disk_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, faults) = Disk::faulty();
    let mut operator = spilling(join(), 100_000, &disk, &dir);
    let start = StepStart::after(WATERMARK_NONE);
    let step = |operator: &mut Spilling, rows: &[(bool, i64, i64, i64)]| step(operator, 2, start, rows);
    let budget = operator.budget.clone();
    let rows: Vec<_> = (0..5000).map(|k| (k % 2 == 0, k, 1, 1)).collect();
    faults.full_after(0);
    step(&mut operator, &rows[..4500]);
    assert!(budget.is_exceeded() && operator.metrics().disk_bytes == 0);
    faults.heal();
    step(&mut operator, &rows[4500..]);
    assert_eq!(operator.metrics().disk_bytes, 0, "the disk is not asked in each step");
    (0..LOOKS_AFTER_FAILURE).for_each(|_| drop(step(&mut operator, &[])));
    assert!(budget.used() <= 100_000, "{} bytes", budget.used());
    let metrics = operator.metrics();
    assert_eq!(metrics.state_rows, 5000);
    assert!(metrics.disk_bytes > 100_000, "{metrics:?}");
    assert_eq!(lines(&operator.snapshot().unwrap()).len(), 5000);
    drop(operator);
    assert_eq!(budget.used(), 0);
}
