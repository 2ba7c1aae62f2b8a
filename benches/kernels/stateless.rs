//! What keeps no state: the exchange between workers and the assignment of windows.

use crate::data::{BATCH, Result, SECOND, bids, window_schema};
use arrow::array::ArrayRef;
use criterion::{BenchmarkId, Criterion, Throughput};
use millstream::delta::{Delta, hash_columns, partition};
use millstream::operators::Operator;
use millstream::operators::window::{WindowAssign, WindowKind, WindowSpec};

/// What an exchange between workers does to a batch: hash, partition, take.
pub(crate) fn exchange(c: &mut Criterion) -> Result<()> {
    let delta = Delta::insert(bids(BATCH, 10_000, 0)?);
    let mut group = c.benchmark_group("exchange");
    group.throughput(Throughput::Elements(BATCH as u64));
    for (name, keys) in [("one key", vec![0]), ("two keys", vec![0, 2])] {
        let keys: Vec<ArrayRef> = keys.into_iter().map(|k: usize| delta.batch.column(k).clone()).collect();
        for workers in [2, 8] {
            group.bench_function(BenchmarkId::new(name, format!("{workers} workers")), |b| {
                b.iter(|| {
                    let hashes = hash_columns(&keys, BATCH).unwrap_or_default();
                    let parts = partition(&hashes, workers);
                    parts.iter().flat_map(|rows| delta.take(rows)).map(|part| part.num_rows()).sum::<usize>()
                })
            });
        }
    }
    group.finish();
    Ok(())
}

pub(crate) fn windows(c: &mut Criterion) -> Result<()> {
    let schema = window_schema();
    let delta = Delta::insert(bids(BATCH, 10_000, 0)?);
    let mut group = c.benchmark_group("window assign");
    group.throughput(Throughput::Elements(BATCH as u64));
    let kinds = [
        ("tumble", WindowKind::Tumble { size: 10 * SECOND }),
        ("hop of 5", WindowKind::Hop { slide: 2 * SECOND, size: 10 * SECOND }),
    ];
    for (name, kind) in kinds {
        let spec = WindowSpec {
            time: 2,
            kind,
            offset: 0,
            grace: 0,
            event_time: true,
            counted: false,
            schema: schema.clone(),
        };
        let mut operator = WindowAssign::new(spec);
        let mut out = Vec::new();
        group.bench_function(name, |b| {
            b.iter(|| {
                out.clear();
                operator.push(0, delta.clone(), &mut out).is_ok()
            })
        });
    }
    group.finish();
    Ok(())
}
