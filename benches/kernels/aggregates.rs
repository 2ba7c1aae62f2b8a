//! A GROUP BY over many rows a step: rows a second, where `deltas` has the cost of few.

use crate::data::{BATCH, Result, bids};
use crate::flows::with_columns;
use crate::planned::aggregate_spec;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use millstream::delta::{Delta, WATERMARK_END, WATERMARK_NONE};
use millstream::operators::Operator;
use millstream::operators::aggregate::{Aggregate, EmitMode};

pub(crate) fn aggregates(c: &mut Criterion) -> Result<()> {
    let query = "SELECT auction, count(*), avg(price) FROM bids GROUP BY auction EMIT CHANGES";
    let mut group = c.benchmark_group("aggregate count, avg");
    group.sample_size(20);
    group.throughput(Throughput::Elements((32 * BATCH) as u64));
    for (name, keys) in [("10k keys", 10_000), ("1M keys", 1_000_000)] {
        for (mode_name, mode) in [("changes", EmitMode::Changes), ("final", EmitMode::Final)] {
            // Without a window a final result goes out at the end of the input, which a query cannot ask for.
            let mut spec = aggregate_spec(query)?;
            spec.mode = mode;
            let wanted = spec.input_schema.clone();
            let mut deltas = Vec::new();
            for step in 0..32 {
                let batch = bids(BATCH, keys, step * BATCH as i64)?;
                deltas.push(Delta::insert(with_columns(&batch, &wanted)?));
            }
            let fresh = || Aggregate::new(spec.clone(), true);
            // Four batches a step: about what a worker gets of a step under load.
            let run = |operator: millstream::operators::Result<Aggregate>| -> Result<usize> {
                let (mut operator, mut out) = (operator?, Vec::new());
                for step in deltas.chunks(4) {
                    for delta in step {
                        operator.push(0, delta.clone(), &mut out)?;
                    }
                    operator.finish_step(WATERMARK_NONE, &mut out)?;
                }
                operator.finish_step(WATERMARK_END, &mut out)?;
                Ok(out.iter().map(Delta::num_rows).sum())
            };
            run(fresh())?;
            group.bench_function(BenchmarkId::new(name, mode_name), |b| {
                b.iter_batched(
                    fresh,
                    |operator| run(operator).map_or(0, |rows| rows),
                    BatchSize::PerIteration,
                )
            });
        }
    }
    group.finish();
    Ok(())
}
