//! What a row of a delta costs an operator that keeps state: with little state and with much, in deltas of few rows and
//! of many. The cost must follow the delta: down the column of a table it may grow by cache misses, not by the state.

mod aggregate;
mod join;
mod session;
mod top_n;
mod upsert;

use crate::data::{BATCH, Result};
use arrow::array::{Int64Array, RecordBatch};
use criterion::{BenchmarkId, Criterion, Throughput};
use millstream::delta::{Delta, EventTime, WATERMARK_NONE};
use millstream::operators::{Operator, OperatorMetrics};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Rows that the state is made of.
const STATES: [usize; 3] = [10_000, 100_000, 1_000_000];
/// Rows of a delta.
const DELTAS: [usize; 2] = [10, 1_000];

/// What comes in one step.
pub(crate) struct Step {
    /// Deltas and the inputs they come from.
    inputs: Vec<(usize, Delta)>,
    /// What the inputs have reached after it, in nanoseconds.
    watermark: EventTime,
}

/// Where a round of steps is drawn.
#[derive(Clone, Copy)]
pub(crate) struct At {
    /// Rows that the state was made of.
    state: usize,
    /// Rows of each delta.
    rows: usize,
    /// Rows drawn before: no two rounds are the same.
    from: i64,
}

/// An operator and what it is given.
pub(crate) struct Case<'a> {
    name: &'a str,
    /// The operator with a state made of so many rows.
    filled: &'a dyn Fn(usize) -> Result<Box<dyn Operator>>,
    /// A round of steps, which leaves the state as large as it was.
    round: &'a dyn Fn(At) -> Result<Vec<Step>>,
}

/// Runs all cases and prints the table of their costs.
pub(crate) fn deltas(c: &mut Criterion) -> Result<()> {
    let mut table = Table::default();
    for group in [aggregate::aggregates, join::joins, top_n::rankings, upsert::upserts, session::sessions] {
        group(c, &mut table)?;
    }
    // Of what `cargo test` runs once there is nothing to tell.
    if !std::env::args().any(|argument| argument == "--test") {
        table.print();
    }
    Ok(())
}

/// A step with these rows at the first input, without a watermark.
fn step(delta: Delta) -> Step {
    step_at(0, delta)
}

fn step_at(port: usize, delta: Delta) -> Step {
    Step { inputs: vec![(port, delta)], watermark: WATERMARK_NONE }
}

/// Rows that come in one step and go in the next.
fn come_and_go(port: usize, rows: RecordBatch) -> [Step; 2] {
    let minus = Int64Array::from_value(-1, rows.num_rows());
    let go = Delta::weighted(rows.clone(), Some(minus));
    [step_at(port, Delta::insert(rows)), step_at(port, go)]
}

/// Gives an operator so many rows in steps of a batch; `draw` makes the step of some rows from a number on.
fn fill(
    mut operator: impl Operator + 'static,
    rows: usize,
    draw: impl Fn(usize, i64) -> Result<Step>,
) -> Result<Box<dyn Operator>> {
    for from in (0..rows).step_by(BATCH) {
        run(&mut operator, vec![draw(BATCH.min(rows - from), from as i64)?])?;
    }
    Ok(Box::new(operator))
}

fn run(operator: &mut dyn Operator, steps: Vec<Step>) -> Result<Vec<Delta>> {
    let mut out = Vec::new();
    for step in steps {
        for (port, delta) in step.inputs {
            operator.push(port, delta, &mut out)?;
        }
        operator.finish_step(step.watermark, &mut out)?;
    }
    Ok(out)
}

/// Measures a case at each size of state and delta.
fn measure(c: &mut Criterion, table: &mut Table, case: &Case) -> Result<()> {
    for state in STATES {
        // Filled when the first bench of it runs: those that a filter leaves out cost nothing.
        let (mut operator, mut from) = (None, state as i64);
        let mut costs = [None; DELTAS.len()];
        for (rows, cost) in DELTAS.into_iter().zip(&mut costs) {
            let a_round = (case.round)(At { state, rows, from })?;
            let of_round = a_round.iter().flat_map(|s| &s.inputs).map(|(_, delta)| delta.num_rows());
            let of_round: usize = of_round.sum();
            let mut samples = Vec::new();
            let mut rounds = |count: u64| -> Result<Duration> {
                let operator = match &mut operator {
                    Some(operator) => operator,
                    none => none.insert((case.filled)(state)?),
                };
                let mut spent = Duration::ZERO;
                for _ in 0..count {
                    let steps = (case.round)(At { state, rows, from })?;
                    from += rows as i64;
                    let started = Instant::now();
                    let out = run(operator.as_mut(), steps)?;
                    spent += started.elapsed();
                    drop(out);
                }
                samples.push(spent.as_nanos() as f64 / (count * of_round as u64) as f64);
                Ok(spent)
            };
            let mut group = c.benchmark_group(format!("delta: {}", case.name));
            group.throughput(Throughput::Elements(of_round as u64));
            group.bench_function(
                BenchmarkId::new(format!("{rows} rows"), format!("state of {state}")),
                |b| {
                    b.iter_custom(|count| {
                        rounds(count).unwrap_or_else(|error| panic!("{}: {error}", case.name))
                    })
                },
            );
            group.finish();
            samples.sort_unstable_by(f64::total_cmp);
            *cost = samples.get(samples.len() / 2).copied();
        }
        if let Some(operator) = operator {
            table.add(case.name, operator.metrics(), costs)?;
        }
    }
    Ok(())
}

/// What has been measured.
#[derive(Default)]
pub(crate) struct Table {
    lines: String,
}

impl Table {
    /// A line: an operator, the state that it has now, and nanoseconds for each row at each size of delta.
    fn add(&mut self, name: &str, state: OperatorMetrics, costs: [Option<f64>; DELTAS.len()]) -> Result<()> {
        let OperatorMetrics { state_rows, state_bytes, .. } = state;
        if state_rows == 0 {
            return Err(format!("{name}: no state is left").into());
        }
        write!(self.lines, "| {name} | {state_rows} | {} |", state_bytes / state_rows)?;
        for cost in costs {
            let cost = cost.map_or(String::from("-"), |ns| format!("{ns:.0}"));
            write!(self.lines, " {cost} |")?;
        }
        self.lines.push('\n');
        Ok(())
    }

    fn print(&self) {
        if !self.lines.is_empty() {
            let [few, many] = DELTAS;
            println!("\nWhat a row of a delta costs, in nanoseconds (median):\n");
            println!("| operator | rows of state | bytes for each | deltas of {few} rows | of {many} |");
            println!("|---|---|---|---|---|\n{}", self.lines);
        }
    }
}
