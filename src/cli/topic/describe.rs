//! `millstream topic list` and `describe`.

use super::{Failure, numbers, print, texts, times};
use crate::cli::args::Invocation;
use crate::cli::print::{PrintError, shown_type};
use crate::cli::progress::grouped;
use crate::cli::run::tell;
use crate::engine::{Engine, GroupPartition, TopicDescription};
use arrow::array::{ArrayRef, Int64Array};
use arrow::compute::cast;
use std::sync::Arc;

/// Lists all topics.
pub(super) fn list(engine: &Engine, invocation: &Invocation) -> Result<(), Failure> {
    let topics = engine.topics()?;
    let names = texts(topics.iter().map(|t| &t.name));
    let partitions = numbers(topics.iter().map(|t| u64::from(t.partitions)));
    let rows = numbers(topics.iter().map(|t| t.rows));
    print(invocation, vec![("topic", names), ("partitions", partitions), ("rows", rows)])
}

/// Shows a topic: its columns and readers in words, its partitions as a table.
pub(super) fn describe(engine: &Engine, invocation: &Invocation, name: &str) -> Result<(), Failure> {
    let topic = engine.describe_topic(name)?;
    let columns: Vec<String> =
        topic.schema.fields().iter().map(|f| format!("{} {}", f.name(), shown_type(f.data_type()))).collect();
    tell(&format!("{} ({}), frames compressed with {}", topic.name, columns.join(", "), topic.codec));
    tell(&topic.kept.join(", "));
    for (group, places) in &topic.groups {
        tell(&reader(group, places));
    }
    let stats = || topic.partitions.iter().map(|p| &p.stats);
    let mut table = vec![
        ("partition", numbers(0..topic.partitions.len() as u64)),
        ("start_offset", numbers(stats().map(|p| p.start))),
        ("end_offset", numbers(stats().map(|p| p.end))),
        ("rows", numbers(stats().map(|p| p.end - p.start))),
        ("segments", numbers(stats().map(|p| p.segments))),
        ("bytes", numbers(stats().map(|p| p.bytes))),
        ("rows_last_minute", numbers(topic.partitions.iter().map(|p| p.last_minute))),
        ("last_append", times(stats().map(|p| p.newest))),
    ];
    if topic.event_time.is_some() {
        let times = |end: fn((i64, i64)) -> i64| event_times(&topic, end).map_err(PrintError::from);
        table.push(("first_event_time", times(|span| span.0)?));
        table.push(("last_event_time", times(|span| span.1)?));
    }
    print(invocation, table)
}

fn event_times(
    topic: &TopicDescription,
    end: fn((i64, i64)) -> i64,
) -> Result<ArrayRef, arrow::error::ArrowError> {
    let values: Int64Array = topic.partitions.iter().map(|p| p.stats.event_times.map(end)).collect();
    let values: ArrayRef = Arc::new(values);
    topic.event_time.as_ref().map_or(Ok(values.clone()), |data_type| cast(&values, data_type))
}

/// A group that reads the topic, in words.
fn reader(group: &str, places: &[GroupPartition]) -> String {
    let lag: u64 = places.iter().map(|p| p.lag).sum();
    let mut pids: Vec<u32> = places.iter().filter_map(|p| p.owner).collect();
    pids.sort_unstable();
    pids.dedup();
    let by = match pids.as_slice() {
        [] => "nobody reads with it now".to_string(),
        [pid] => format!("process {pid} reads with it"),
        pids => {
            let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
            format!("processes {} read with it", pids.join(", "))
        }
    };
    let rows = if lag == 1 { "row" } else { "rows" };
    format!("group {group}: {} {rows} behind; {by}", grouped(lag))
}
