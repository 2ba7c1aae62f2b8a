//! Frames of a topic, written and read back.

use crate::data::{BATCH, Result, bid_schema, bids};
use criterion::{BenchmarkId, Criterion, Throughput};
use millstream::clock::Clock;
use millstream::disk::Disk;
use millstream::log::{Append, Codec, Log, TopicOptions};
use std::hint::black_box;
use std::sync::Arc;

/// Frames of a topic written and read back through the file system's cache.
pub(crate) fn frames(c: &mut Criterion) -> Result<()> {
    let home = tempfile::tempdir()?;
    let log = Log::open(home.path().join("data"), Disk::real(), Clock::system())?;
    let batch = bids(BATCH, 10_000, 0)?;
    let count = 64;
    let mut group = c.benchmark_group("frames");
    for codec in [Codec::Lz4, Codec::None] {
        let options = TopicOptions { codec, ..TopicOptions::default() };
        let name = codec.name();
        let topic = log.create_topic(&format!("read_{name}"), options.clone(), bid_schema())?;
        let mut writer = topic.writer(0)?;
        for _ in 0..count {
            writer.append(Append::rows(&batch))?;
        }
        group.throughput(Throughput::Elements((count * BATCH) as u64));
        group.bench_function(BenchmarkId::new("read all columns", name), |b| {
            b.iter(|| read_all(&topic, None).map_or(0, |rows| rows))
        });
        group.bench_function(BenchmarkId::new("read 1 of 3 columns", name), |b| {
            b.iter(|| read_all(&topic, Some(vec![0])).map_or(0, |rows| rows))
        });
        // A topic of its own, which only grows while it is measured.
        let topic = log.create_topic(&format!("write_{name}"), options, bid_schema())?;
        let mut writer = topic.writer(0)?;
        group.throughput(Throughput::Elements(BATCH as u64));
        group.bench_function(BenchmarkId::new("append", name), |b| {
            b.iter(|| writer.append(Append::rows(&batch)).is_ok())
        });
        log.delete_topic(&format!("write_{name}"))?;
    }
    group.finish();
    Ok(())
}

fn read_all(topic: &Arc<millstream::log::Topic>, columns: Option<Vec<usize>>) -> Result<usize> {
    let mut reader = topic.reader(0, 0, columns)?;
    let mut rows = 0;
    while let Some(frame) = reader.next()? {
        rows += black_box(frame.batch).num_rows();
    }
    Ok(rows)
}
