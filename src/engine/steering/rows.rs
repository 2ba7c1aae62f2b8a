//! Jobs as small tables: SHOW JOBS and DESCRIBE JOB.

use super::{Condition, JobDescription};
use crate::config::show_duration;
use crate::engine::{Result, Rows};
use crate::runtime::instant::shown;
use crate::runtime::status::{CheckpointStatus, JobStatus, OperatorStatus, PartitionStatus, SourceStatus};
use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray};
use arrow::datatypes::{Field, Schema};
use std::sync::Arc;
use std::time::Duration;

/// Jobs, one a row.
pub fn jobs_rows(jobs: &[JobDescription]) -> Result<Rows> {
    let said = |told: fn(&JobStatus) -> Option<i64>| -> ArrayRef {
        Arc::new(jobs.iter().map(|j| j.status.as_ref().and_then(told)).collect::<Int64Array>())
    };
    let rate = |told: fn(&JobStatus) -> f64| -> ArrayRef {
        let rates = jobs.iter().map(|j| j.status.as_ref().filter(|_| j.runs()).map(told));
        Arc::new(rates.collect::<Float64Array>())
    };
    let time = |told: fn(&JobStatus) -> Option<i64>| -> ArrayRef {
        let ms = |ns: i64| ns - ns.rem_euclid(1_000_000);
        let times = jobs.iter().map(|j| j.status.as_ref().and_then(told).map(ms));
        Arc::new(times.collect::<TimestampNanosecondArray>())
    };
    let text = |cells: Vec<Option<&str>>| -> ArrayRef { Arc::new(StringArray::from(cells)) };
    let pid = jobs.iter().map(|j| j.status.as_ref().filter(|_| j.runs()).map(|s| i64::from(s.pid)));
    let error = |j: &'_ JobDescription| match j.is {
        Condition::Waiting => j.status.as_ref().and_then(|s| s.reason.clone()),
        Condition::Failed => j.status.as_ref().and_then(|s| s.error.as_ref()).map(|e| e.message.clone()),
        _ => None,
    };
    let errors: Vec<Option<String>> = jobs.iter().map(error).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("job", text(jobs.iter().map(|j| Some(j.name.as_str())).collect())),
        ("state", text(jobs.iter().map(|j| Some(j.is.word())).collect())),
        ("sink", text(jobs.iter().map(|j| Some(j.sink.as_str())).collect())),
        ("rows_in", said(|s| i64::try_from(s.total.rows_in).ok())),
        ("rows_out", said(|s| i64::try_from(s.total.rows_out).ok())),
        ("rows_in_per_s", rate(|s| s.rows_in_per_s)),
        ("rows_out_per_s", rate(|s| s.rows_out_per_s)),
        ("lag", said(lag)),
        ("watermark", time(watermark)),
        ("since", time(|s| Some(s.since))),
        ("pid", Arc::new(pid.collect::<Int64Array>())),
        ("error", text(errors.iter().map(Option::as_deref).collect())),
    ];
    let fields: Vec<Field> =
        columns.iter().map(|(n, c)| Field::new(*n, c.data_type().clone(), true)).collect();
    let arrays = columns.into_iter().map(|(_, c)| c).collect();
    Ok(Rows::of(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?))
}

/// How many rows of topics it has yet to read, if it reads any.
fn lag(status: &JobStatus) -> Option<i64> {
    let lags: Vec<u64> = status.sources.iter().flat_map(|s| &s.partitions).filter_map(|p| p.lag).collect();
    (!lags.is_empty()).then(|| i64::try_from(lags.iter().sum::<u64>()).unwrap_or(i64::MAX))
}

/// The watermark of its result.
fn watermark(status: &JobStatus) -> Option<i64> {
    status.operators.last().and_then(|o| o.watermark)
}

/// A job, in words: what about, what of it, and how it is.
pub fn job_rows(job: &JobDescription) -> Result<Rows> {
    let mut rows = Vec::new();
    general(job, &mut rows);
    if let Some(status) = &job.status {
        counters(status, &mut rows);
        for source in &status.sources {
            partitions(source, &mut rows);
        }
        for operator in &status.operators {
            let about = format!("operator {}", operator.node);
            rows.push([about, operator.operator.clone(), operator_text(operator)]);
        }
    }
    Rows::of_text(["about", "what", "value"], &rows)
}

fn general(job: &JobDescription, rows: &mut Vec<[String; 3]>) {
    let mut row = |what: &str, value: String| rows.push(["job".into(), what.into(), value]);
    row("name", job.name.clone());
    let since = job.status.as_ref().map_or(String::new(), |s| format!(" since {}", shown_ms(s.since)));
    row("state", format!("{}{since}", job.is.word()));
    if job.pause_asked && job.is != Condition::Paused {
        row("asked", "to be paused".into());
    }
    row("sink", job.sink.clone());
    if let Some(origin) = job.origin.as_ref().filter(|o| !o.file.is_empty()) {
        row("file", origin.file.clone());
    }
    if !job.others().is_empty() {
        row("runs as one with", job.others().join(", "));
    }
    let Some(status) = &job.status else { return };
    if job.runs() {
        row("process", status.pid.to_string());
    }
    if let Some(reason) = &status.reason {
        row("waits for", reason.clone());
    }
    if let Some(error) = &status.error {
        let help = error.help.as_ref().map_or(String::new(), |help| format!("; {help}"));
        row("last error", format!("{} ({}): {}{help}", shown_ms(error.at), error.code, error.message));
    }
}

fn counters(status: &JobStatus, rows: &mut Vec<[String; 3]>) {
    let mut row = |what: &str, value: String| rows.push(["job".into(), what.into(), value]);
    row("step", status.step.to_string());
    if status.steps.count > 0 {
        row("step times", status.steps.to_string());
    }
    let rows_of =
        |total: u64, run: u64, rate: f64| format!("{total}, {run} of them in this run, {rate} a second");
    let (total, run) = (&status.total, &status.run);
    row("rows in", rows_of(total.rows_in, run.rows_in, status.rows_in_per_s));
    row("rows out", rows_of(total.rows_out, run.rows_out, status.rows_out_per_s));
    for (what, count) in [
        ("late rows", total.late),
        ("rows after idleness", total.after_idle),
        ("rows without a time", total.timeless),
        ("bad records", total.bad),
        ("rows behind the watermark", total.behind),
        ("rows of state expired", total.expired),
    ] {
        row(what, count.to_string());
    }
    if let Some(at) = watermark(status) {
        row("watermark", shown(at));
    }
    row("last checkpoint", status.checkpoint.as_ref().map_or_else(|| "none yet".into(), checkpoint_text));
}

fn checkpoint_text(checkpoint: &CheckpointStatus) -> String {
    let at = checkpoint.at.map_or(String::new(), |at| format!(" at {}", shown_ms(at)));
    format!("step {}{at}, {} bytes, in {} ms", checkpoint.step, checkpoint.bytes, checkpoint.took_ms)
}

fn partitions(source: &SourceStatus, rows: &mut Vec<[String; 3]>) {
    let holding = holder(source).map(|p| p.partition);
    for p in &source.partitions {
        let mut told = vec![match (p.end, p.lag) {
            (Some(end), Some(lag)) => format!("at {} of {end}, lag {lag}", p.position),
            _ => format!("at {}", p.position),
        }];
        told.extend(p.event_time.map(|at| format!("last event time {}", shown(at))));
        told.extend(p.watermark.map(|at| format!("watermark {}", shown(at))));
        told.extend(p.last_row.map(|at| format!("last row {}", shown_ms(at))));
        if p.ended {
            told.push("ended".into());
        } else if p.idle {
            told.push("idle".into());
        } else if holding == Some(p.partition) && source.partitions.len() > 1 {
            told.push("holds the watermark".into());
        }
        rows.push([format!("source {}", source.name), format!("partition {}", p.partition), told.join(", ")]);
    }
    let timeout = match source.idle_timeout_ms {
        0 => "never".to_string(),
        ms => show_duration(Duration::from_millis(ms)),
    };
    if source.time_column.is_some() {
        rows.push([format!("source {}", source.name), "idle after".into(), timeout]);
    }
}

/// The partition of a source that holds its watermark, if one does.
pub(in crate::engine) fn holder(source: &SourceStatus) -> Option<&PartitionStatus> {
    source.time_column.as_ref()?;
    source.partitions.iter().filter(|p| !p.ended && !p.idle).min_by_key(|p| p.watermark)
}

fn operator_text(operator: &OperatorStatus) -> String {
    let mut told = match operator.source {
        Some(_) => vec![format!("{} rows out", operator.rows_out)],
        None => vec![format!("{} rows in, {} out", operator.rows_in, operator.rows_out)],
    };
    if operator.state_rows > 0 || operator.state_bytes > 0 {
        let mut state = format!("state {} rows, {} bytes", operator.state_rows, operator.state_bytes);
        if operator.disk_bytes > 0 {
            state += &format!(" in memory and {} on disk", operator.disk_bytes);
        }
        told.push(state);
        if operator.disk_failures > 0 {
            told.push(format!("{} times state could not be moved to disk", operator.disk_failures));
        }
    }
    for (count, what) in [
        (operator.late, "late"),
        (operator.after_idle, "after idleness"),
        (operator.timeless, "without a time"),
        (operator.expired, "expired"),
    ] {
        if count > 0 {
            told.push(format!("{count} {what}"));
        }
    }
    told.extend(operator.open.map(|open| format!("next window ends {}", shown(open.end))));
    told.join(", ")
}

/// An instant of the wall clock: what lies below a millisecond tells nobody anything.
pub(super) fn shown_ms(ns: i64) -> String {
    shown(ns - ns.rem_euclid(1_000_000))
}
