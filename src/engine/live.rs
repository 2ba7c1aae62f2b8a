//! A continuous query as whoever watches it sees it: how its rows are to be listed, what it is at, why nothing comes.

use super::Engine;
use super::steering::{Condition, JobDescription};
use crate::operators::window::length;
use crate::plan::unique::UniqueKeys;
use crate::plan::{Dataflow, EmitMode};
use crate::runtime::control::Control;
use crate::runtime::instant::shown;
use crate::runtime::status::{JobStatus, OperatorStatus, SourceStatus};
use crate::sql::{EmitQuery, ListedBy, listed_by};
use std::sync::Arc;

/// A column by which rows are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ordered {
    /// Its place among the result's columns.
    pub column: usize,
    /// Greatest first.
    pub descending: bool,
    /// Nulls first.
    pub nulls_first: bool,
}

/// How the rows of a continuous query are to be shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Rows only come: none is taken back.
    pub append_only: bool,
    /// The columns that tell the rows apart, if such are known.
    pub key: Vec<usize>,
    /// How they are ordered: by ORDER BY, as far as it names columns of the result.
    pub order: Vec<Ordered>,
    /// Each row comes once and stays: EMIT FINAL.
    pub each_once: bool,
}

impl Listing {
    pub(super) fn of(flow: &Dataflow, unique: &UniqueKeys, query: &EmitQuery, mode: EmitMode) -> Self {
        let fields = flow.root().schema.fields();
        let place = |by: &ListedBy| match &by.column {
            Ok(name) => fields.iter().position(|f| f.name() == name),
            Err(number) => number.checked_sub(1).filter(|n| *n < fields.len()),
        };
        let order = listed_by(&query.query).into_iter().map_while(|by| {
            let (descending, nulls_first) = (by.descending, by.nulls_first);
            place(&by).map(|column| Ordered { column, descending, nulls_first })
        });
        Listing {
            append_only: flow.root().append_only,
            key: unique.keys.iter().find(|k| !k.is_empty()).cloned().unwrap_or_default(),
            order: order.collect(),
            each_once: mode == EmitMode::Final,
        }
    }
}

/// What can be seen of a continuous query while it runs.
#[derive(Clone)]
pub struct Watch {
    engine: Engine,
    control: Arc<Control>,
}

impl Watch {
    pub(super) fn new(engine: &Engine, control: &Arc<Control>) -> Self {
        Watch { engine: engine.clone(), control: control.clone() }
    }

    /// What the query shows, and is told.
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// What the query said last of itself, about once a second, with how much there is yet to be read now.
    pub fn status(&self) -> Option<JobStatus> {
        let mut status = self.control.status()?;
        for source in status.sources.iter_mut().filter(|s| s.is_topic) {
            let Ok(topic) = self.engine.0.log.topic(&source.name) else { continue };
            for p in &mut source.partitions {
                let number = u32::try_from(p.partition).unwrap_or(u32::MAX);
                if let (Ok(start), Ok(end)) = (topic.start_offset(number), topic.end_offset(number)) {
                    p.end = Some(end);
                    p.lag = Some(end.saturating_sub(p.position.max(start)));
                }
            }
        }
        Some(status)
    }

    /// The query as EXPLAIN WAITING looks at jobs.
    pub fn description(&self) -> Option<JobDescription> {
        self.status().map(|status| JobDescription::of_session(Condition::Running, status, ""))
    }

    /// Why no row comes now, in one line.
    pub fn brief_why(&self) -> Option<String> {
        Some(brief_why(&self.status()?, self.engine.clock().now_ns()))
    }
}

/// Why a job gives no row now, in one line. `now` is the wall clock's (ns).
pub fn brief_why(status: &JobStatus, now: i64) -> String {
    let lag: u64 = status.sources.iter().flat_map(|s| &s.partitions).filter_map(|p| p.lag).sum();
    if let Some(reason) = &status.reason {
        return format!("it waits: {reason}");
    }
    if let Some(source) = status.sources.iter().find(|s| s.rows == 0)
        && status.sources.iter().all(|s| s.rows == 0)
    {
        return match lag {
            0 if source.ended => format!("{} has no rows, and has ended", source.name),
            0 => format!("no row has come from {} yet", source.name),
            _ => format!("reading {}: {lag} rows to go", source.name),
        };
    }
    if let Some(text) = status.operators.iter().filter(|o| o.is_final).find_map(|o| window(status, o, now)) {
        return text;
    }
    let filter = status.operators.iter().find(|o| {
        (o.operator.starts_with("Filter") || o.operator.contains("Join")) && o.rows_in > 0 && o.rows_out == 0
    });
    if let Some(operator) = filter {
        let verb =
            if operator.operator.starts_with("Filter") { "has let none of" } else { "has no match for" };
        return format!(
            "{} {verb} {} rows{}",
            operator.operator,
            operator.rows_in,
            if verb.ends_with("of") { " pass" } else { "" }
        );
    }
    if let Some(operator) = status.operators.iter().find(|o| o.late > 0 && o.rows_out == 0) {
        return format!("all {} rows came too late for their windows", operator.late);
    }
    match lag {
        0 => "all that is there has been read; it waits for new rows".into(),
        1 => "1 row is yet to be read".into(),
        _ => format!("{lag} rows are yet to be read"),
    }
}

/// What an operator that holds its result back waits for.
fn window(status: &JobStatus, operator: &OperatorStatus, now: i64) -> Option<String> {
    let open = operator.open.filter(|o| o.waits)?;
    let next = if operator.rows_out == 0 { "first" } else { "next" };
    let what = if operator.operator.contains("Join") {
        format!("the {next} match is settled")
    } else {
        match super::steering::inputs(status, operator).find_map(|o| window_size(&o.operator)) {
            Some(size) => format!("the {next} {size} window closes"),
            None => format!("the {next} window closes"),
        }
    };
    let behind = |s: &&SourceStatus| !s.ended && s.watermark.is_none_or(|w| w < open.closes);
    let source = status.sources.iter().filter(behind).min_by_key(|s| s.watermark)?;
    let Some(column) = &source.time_column else {
        return Some(format!("{what} by event time, which {} has not", source.name));
    };
    let needed = open.closes.saturating_add(source.delay.unwrap_or(0));
    // Sessions close a nanosecond behind their last moment: that is what passing it means.
    let passed = if needed.rem_euclid(1000) == 1 { needed - 1 } else { needed };
    let mut text = format!("{what} when {column} passes {}", to_the_minute(passed));
    let holder = super::steering::holder(source);
    let Some(holder) = holder else {
        text.push_str(&format!("; all partitions of {} are idle", source.name));
        return Some(text);
    };
    let at = holder.event_time.or(holder.watermark);
    text.push_str(&at.map_or("; no row has come yet".into(), |at| format!("; it is {}", beside(needed, at))));
    if source.partitions.len() > 1 {
        text.push_str(&format!(", held by partition {}", holder.partition));
        if status.sources.len() > 1 {
            text.push_str(&format!(" of {}", source.name));
        }
    }
    if let Some(last) = holder.last_row {
        let silent = now.saturating_sub(last) / 1_000_000_000;
        if silent >= 2 {
            text.push_str(&format!(" (no data for {})", length(silent.saturating_mul(1_000_000_000))));
        }
    }
    Some(text)
}

/// The size of the window that an operator makes, as one says it: `1-hour`.
fn window_size(operator: &str) -> Option<String> {
    const WORDS: [(&str, &str); 4] = [("d", "day"), ("h", "hour"), ("min", "minute"), ("s", "second")];
    let is_window = ["Tumble ", "Hop ", "Cumulate "].iter().any(|kind| operator.starts_with(kind));
    let mut size = operator.split_once(" size=").filter(|_| is_window)?.1.split(' ');
    let (number, unit) = (size.next()?, size.next()?);
    let word = WORDS.iter().find(|(short, _)| *short == unit).map_or(unit, |(_, word)| word);
    Some(format!("{number}-{word}"))
}

/// A time as one says it: without its seconds, if they are none.
fn to_the_minute(at: i64) -> String {
    let text = shown(at);
    match text.strip_suffix(":00") {
        Some(short) if short.contains(':') => short.into(),
        _ => text,
    }
}

/// A time that stands beside another in a sentence: without its date, if that is the other's.
fn beside(other: i64, at: i64) -> String {
    let (other, at) = (to_the_minute(other), to_the_minute(at));
    match (other.split_once(' '), at.split_once(' ')) {
        (Some((other, _)), Some((date, time))) if other == date => time.to_string(),
        _ => at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::status::{OpenStatus, PartitionStatus};

    const SECOND: i64 = 1_000_000_000;

    fn source(rows: u64, partitions: Vec<PartitionStatus>) -> SourceStatus {
        let watermark = partitions.iter().map(|p| p.watermark).min().flatten();
        let (name, time_column) = ("s".to_string(), Some("at".to_string()));
        SourceStatus {
            name,
            rows,
            time_column,
            delay: Some(5 * SECOND),
            watermark,
            partitions,
            ..Default::default()
        }
    }

    fn partition(partition: usize, at: Option<i64>, last_row: Option<i64>) -> PartitionStatus {
        let ns = |s: i64| s * SECOND;
        PartitionStatus {
            partition,
            event_time: at.map(ns),
            watermark: at.map(|at| ns(at - 5)),
            last_row: last_row.map(ns),
            lag: Some(0),
            ..Default::default()
        }
    }

    fn status(source: SourceStatus, operators: Vec<OperatorStatus>) -> JobStatus {
        JobStatus { sources: vec![source], operators, ..JobStatus::default() }
    }

    #[test]
    fn one_line_says_what_is_waited_for() {
        let reads = OperatorStatus { operator: "Source s".into(), source: Some(0), ..Default::default() };
        let open = OpenStatus { end: 60 * SECOND, closes: 60 * SECOND, waits: true };
        let tumble = OperatorStatus {
            node: 2,
            operator: "Tumble at size=1 min grace=2 s".into(),
            inputs: vec![0],
            ..Default::default()
        };
        let holds = OperatorStatus {
            node: 1,
            operator: "Aggregate".into(),
            inputs: vec![2],
            is_final: true,
            open: Some(open),
            rows_in: 3,
            ..Default::default()
        };
        let none = OperatorStatus { operator: "Filter: a > 1".into(), rows_in: 3, ..Default::default() };
        for (status, expected) in [
            (status(source(0, vec![partition(0, None, None)]), vec![]), "no row has come from s yet"),
            (
                status(
                    source(3, vec![partition(0, Some(50), Some(99)), partition(3, Some(40), Some(88))]),
                    vec![reads.clone(), tumble.clone(), holds.clone()],
                ),
                "the first 1-minute window closes when at passes 1970-01-01 00:01:05; it is 00:00:40, held by partition 3 (no data for 12 s)",
            ),
            (
                status(
                    source(3, vec![partition(0, Some(50), Some(99))]),
                    vec![reads.clone(), OperatorStatus { rows_out: 1, inputs: vec![0], ..holds }],
                ),
                "the next window closes when at passes 1970-01-01 00:01:05; it is 00:00:50",
            ),
            (
                status(source(3, vec![partition(0, Some(50), None)]), vec![reads, none]),
                "Filter: a > 1 has let none of 3 rows pass",
            ),
            (
                status(source(3, vec![partition(0, Some(50), None)]), vec![]),
                "all that is there has been read; it waits for new rows",
            ),
        ] {
            assert_eq!(brief_why(&status, 100 * SECOND), expected);
        }
    }
}
