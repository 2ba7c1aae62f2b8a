//! Why a job gives no rows, in plain sentences: EXPLAIN WAITING j.
//!
//! Everything is told from what the job says of itself; the first sentences are about what stops all rows, then follow
//! the operators from the sources on, then time.

use super::rows::{holder, shown_ms};
use super::{Condition, JobDescription};
use crate::config::show_duration;
use crate::engine::{Result, Rows};
use crate::operators::window::length;
use crate::runtime::instant::shown;
use crate::runtime::status::{JobStatus, OpenStatus, OperatorStatus, PartitionStatus, SourceStatus};
use std::time::Duration;

/// The sentences as a table.
pub fn why_rows(job: &JobDescription) -> Result<Rows> {
    Rows::of_sentences("why", why(job))
}

/// Why `job` gives no rows now, as far as that can be seen; one sentence each.
pub fn why(job: &JobDescription) -> Vec<String> {
    let mut told = Vec::new();
    let stands = condition(job, &mut told);
    let Some(status) = &job.status else { return told };
    if stands || job.is == Condition::Finished {
        return told;
    }
    if status.run.rows_out > 0 {
        let rate = match status.rows_out_per_s {
            rate if rate > 0.0 => format!(", {rate} a second now"),
            _ => ", none in the last seconds".into(),
        };
        told.push(format!("It has written {} in this run{rate}.", rows(status.run.rows_out)));
    }
    if input(status, &mut told) {
        return told;
    }
    operators(status, &mut told);
    late(status, &mut told);
    waiting(status, &mut told);
    let lag: u64 = status.sources.iter().flat_map(|s| &s.partitions).filter_map(|p| p.lag).sum();
    if lag > 0 {
        let are = if lag == 1 { "is" } else { "are" };
        told.push(format!("{} of its topics {are} yet to be read.", rows(lag)));
    }
    if status.run.rows_out == 0 && told.is_empty() {
        told.push("Nothing holds it up: of the rows that came, none made a result.".into());
    }
    if told.is_empty() || status.run.rows_out > 0 && told.len() == 1 && status.caught_up {
        told.push("It has read all that there is and waits for rows.".into());
    }
    told
}

/// What keeps the job as such from making steps; whether something does.
fn condition(job: &JobDescription, told: &mut Vec<String>) -> bool {
    let name = &job.name;
    let since = job.status.as_ref().map_or(String::new(), |s| format!(" since {}", shown_ms(s.since)));
    let error = job.status.as_ref().and_then(|s| s.error.as_ref());
    match job.is {
        Condition::Running => return false,
        Condition::Starting => told.push(format!("Job {name} is just starting.")),
        Condition::Paused => told.push(format!(
            "Job {name} is paused{since}: it makes no steps until 'millstream job resume {name}' or RESUME JOB \"{name}\"."
        )),
        Condition::Waiting => {
            let reason = job.status.as_ref().and_then(|s| s.reason.clone()).unwrap_or_default();
            told.push(format!("Job {name} cannot go on{since} and tries again by itself: {reason}."));
        }
        Condition::Stopped => told.push(format!("Job {name} does not run{since}; it goes on when it is run again: {}.", job.again())),
        Condition::Interrupted => told.push(format!(
            "Job {name} does not run: its process ended without a word, as when it is killed. It goes on from its last \
             checkpoint when it is run again: {}.",
            job.again()
        )),
        Condition::Finished => {
            told.push(format!("Job {name} has finished{since}: all of its bounded input has been read and every window is closed."));
            if let Some(status) = &job.status {
                told.push(format!("It has read {} and written {} in all.", rows(status.total.rows_in), rows(status.total.rows_out)));
            }
        }
        Condition::Failed => {
            told.push(format!("Job {name} has failed{since}: {}.", error.map_or("", |e| e.message.trim_end_matches('.'))));
            told.extend(error.and_then(|e| e.help.as_ref()).map(|help| format!("{}.", help.trim_end_matches('.'))));
            told.push(format!("Run it again by {}.", job.again()));
        }
    }
    if job.pause_asked && !job.runs() {
        told.push("It was paused, and will be when it is run again.".into());
    }
    true
}

/// What is told of sources that have given nothing; whether nothing came at all.
fn input(status: &JobStatus, told: &mut Vec<String>) -> bool {
    let silent = |s: &&SourceStatus| s.rows == 0;
    if status.sources.iter().all(|s| s.rows == 0) && !status.sources.is_empty() {
        for source in &status.sources {
            told.push(nothing(source, status.total.rows_in > 0));
        }
        if status.total.rows_in == 0 {
            return true;
        }
        return false;
    }
    for source in status.sources.iter().filter(silent) {
        told.push(nothing(source, false));
    }
    false
}

fn nothing(source: &SourceStatus, earlier: bool) -> String {
    let lag: u64 = source.partitions.iter().filter_map(|p| p.lag).sum();
    let (name, run) = (&source.name, if earlier { " in this run" } else { "" });
    if lag > 0 {
        return format!(
            "No row of {name} has been read{run}, but there are {} to be read: it has just begun, or a step takes long.",
            rows(lag)
        );
    }
    if source.ended {
        return format!("{name} gave no row{run}, and has ended.");
    }
    format!("No rows have come from {name}{run}.")
}

/// What the operators let through.
fn operators(status: &JobStatus, told: &mut Vec<String>) {
    for operator in &status.operators {
        let filters = operator.operator.starts_with("Filter");
        let joins = operator.operator.contains("Join");
        let held = operator.open.is_some_and(|o| o.waits) || operator.is_final;
        if filters && operator.rows_in > 0 {
            let passed = operator.rows_out as f64 / operator.rows_in as f64 * 100.0;
            told.push(match operator.rows_out {
                0 => format!("{} has let none of {} pass.", operator.operator, rows(operator.rows_in)),
                n if n == operator.rows_in => continue,
                n => format!(
                    "{} has let {n} of {} pass ({}).",
                    operator.operator,
                    rows(operator.rows_in),
                    percent(passed)
                ),
            });
        } else if joins && operator.rows_in > 0 && operator.rows_out == 0 && !held {
            told.push(format!(
                "{} has found no match for {}, and keeps {}.",
                operator.operator,
                rows(operator.rows_in),
                rows(operator.state_rows)
            ));
        }
    }
}

fn percent(passed: f64) -> String {
    if passed < 0.1 { "less than 0.1 %".into() } else { format!("{passed:.1} %") }
}

/// Rows that were left out of windows, and why.
fn late(status: &JobStatus, told: &mut Vec<String>) {
    for operator in &status.operators {
        if operator.late > 0 {
            let all = match operator.rows_out {
                0 => format!("All of the {} that came to {}", rows(operator.rows_in), operator.operator),
                _ => format!(
                    "{} of {} that came to {}",
                    operator.late,
                    rows(operator.rows_in),
                    operator.operator
                ),
            };
            let delays: Vec<String> = upstream(status, operator)
                .filter_map(|s| s.delay.map(|d| format!("{} of {}", length(d), s.name)))
                .collect();
            let delay = match delays.as_slice() {
                [] => String::new(),
                delays => format!(
                    " A greater delay than {} in WATERMARK FOR would have waited for them.",
                    delays.join(", ")
                ),
            };
            told.push(format!(
                "{all} {} late: the watermark of their own partition had already passed their window.{delay}",
                if operator.late == 1 { "was" } else { "were" }
            ));
        }
        if operator.after_idle > 0 {
            told.push(format!(
                "{} came to {} after their partition had been idle, when the window had closed without them.",
                rows(operator.after_idle),
                operator.operator
            ));
        }
        if operator.timeless > 0 {
            told.push(format!(
                "{} without an event time came to {}, and lie in no window.",
                rows(operator.timeless),
                operator.operator
            ));
        }
    }
}

/// What waits for the watermark, and what the watermark waits for.
fn waiting(status: &JobStatus, told: &mut Vec<String>) {
    let mut any = false;
    for operator in status.operators.iter().filter(|o| o.is_final) {
        let Some(open) = operator.open.filter(|o| o.waits) else {
            if operator.state_rows > 0 {
                told.push(format!(
                    "{} keeps {} and gives its result when its input has ended.",
                    operator.operator,
                    rows(operator.state_rows)
                ));
                any = true;
            }
            continue;
        };
        any = true;
        told.push(window(operator, open));
        told.extend(holders(status, operator, open));
    }
    if !any {
        return;
    }
    for source in &status.sources {
        let idle: Vec<String> = source
            .partitions
            .iter()
            .filter(|p| p.idle && !p.ended)
            .map(|p| p.partition.to_string())
            .collect();
        if !idle.is_empty() && idle.len() < source.partitions.len() {
            told.push(format!(
                "{} of {} {} idle and {} not hold the watermark.",
                partitions(&idle),
                source.name,
                if idle.len() == 1 { "is" } else { "are" },
                if idle.len() == 1 { "does" } else { "do" }
            ));
        }
        let ended: Vec<String> =
            source.partitions.iter().filter(|p| p.ended).map(|p| p.partition.to_string()).collect();
        if !ended.is_empty() && ended.len() < source.partitions.len() {
            told.push(format!(
                "{} of {} {} ended.",
                partitions(&ended),
                source.name,
                if ended.len() == 1 { "has" } else { "have" }
            ));
        }
    }
}

fn partitions(numbers: &[String]) -> String {
    match numbers {
        [one] => format!("Partition {one}"),
        many => format!("Partitions {}", many.join(", ")),
    }
}

fn window(operator: &OperatorStatus, open: OpenStatus) -> String {
    let grace = match open.closes.saturating_sub(open.end) {
        // A window that takes rows up to its end itself is over just behind it.
        0 | 1 => String::new(),
        grace => format!(" plus its grace of {}", length(grace)),
    };
    let what = if operator.operator.contains("Join") {
        "the time until which a match may come"
    } else {
        "the end of its next window"
    };
    format!(
        "{} holds {} until the watermark reaches {}: {what}{grace}.",
        operator.operator,
        rows(operator.state_rows),
        shown(open.closes)
    )
}

/// For each source of an operator that holds its window open: which partition, and how far it must go.
fn holders(status: &JobStatus, operator: &OperatorStatus, open: OpenStatus) -> Vec<String> {
    let behind = |s: &&SourceStatus| !s.ended && s.watermark.is_none_or(|w| w < open.closes);
    let behind: Vec<&SourceStatus> = upstream(status, operator).filter(behind).collect();
    let silent = |s: &SourceStatus| s.time_column.is_some() && holder(s).is_none();
    // Those that are silent are waited for only where all are.
    let waits_for_silent = behind.iter().all(|s| silent(s));
    let tell = |source: &SourceStatus| match silent(source) && !waits_for_silent {
        true => format!("All partitions of {} are idle and do not hold the watermark.", source.name),
        false => hold(source, open),
    };
    behind.into_iter().map(tell).collect()
}

fn hold(source: &SourceStatus, open: OpenStatus) -> String {
    let name = &source.name;
    let Some(column) = &source.time_column else {
        return format!("{name} has no event time, so its rows move no watermark.");
    };
    let needed = open.closes.saturating_add(source.delay.unwrap_or(0));
    let more = match source.delay {
        Some(0) => format!("a row of {column} {} or later closes it", shown(needed)),
        Some(delay) => format!(
            "a row of {column} {} or later closes it, as the watermark stays {} behind",
            shown(needed),
            length(delay)
        ),
        None => {
            format!("the job that writes {name} must state a watermark of {} or later", shown(open.closes))
        }
    };
    let Some(partition) = holder(source) else {
        let at = source
            .watermark
            .map_or("no row has come yet".into(), |w| format!("its watermark is {}", shown(w)));
        return format!("All partitions of {name} are idle, and {at}: {more}.");
    };
    let several = source.partitions.len() > 1;
    let which = if several { format!("Partition {} of {name}", partition.partition) } else { name.clone() };
    let idle = match source.idle_timeout_ms {
        0 => " Idle partitions hold the watermark too, since idle_timeout is 0.".to_string(),
        ms => format!(
            " It no longer holds the watermark when it has been silent for {} (idle_timeout).",
            show_duration(Duration::from_millis(ms))
        ),
    };
    let idle = if several { idle } else { String::new() };
    format!("{which} holds the watermark: {}; {more}.{idle}", reached(partition, column))
}

fn reached(partition: &PartitionStatus, column: &str) -> String {
    match (partition.event_time, partition.watermark) {
        (Some(at), _) => format!("its greatest {column} is {}", shown(at)),
        (None, Some(at)) => format!("its watermark is {}", shown(at)),
        (None, None) => "it has given no row with an event time yet".into(),
    }
}

/// The sources that an operator's rows come from.
fn upstream<'s>(
    status: &'s JobStatus,
    operator: &'s OperatorStatus,
) -> impl Iterator<Item = &'s SourceStatus> {
    let reads: Vec<usize> = inputs(status, operator).filter_map(|n| n.source).collect();
    status.sources.iter().filter(move |source| reads.contains(&source.number))
}

/// An operator, and those that its rows come from.
pub(in crate::engine) fn inputs<'s>(
    status: &'s JobStatus,
    operator: &'s OperatorStatus,
) -> impl Iterator<Item = &'s OperatorStatus> {
    let mut nodes = vec![operator];
    let mut at = 0;
    while let Some(node) = nodes.get(at).copied() {
        for input in &node.inputs {
            let known = status.operators.iter().find(|o| o.node == *input);
            nodes.extend(known.filter(|o| !nodes.iter().any(|n| n.node == o.node)));
        }
        at += 1;
    }
    nodes.into_iter()
}

fn rows(count: u64) -> String {
    if count == 1 { "1 row".into() } else { format!("{count} rows") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::checkpoint::Totals;
    use crate::runtime::status::{Failure, State};

    const SECOND: i64 = 1_000_000_000;

    fn partition(number: usize, event_time: Option<i64>) -> PartitionStatus {
        PartitionStatus {
            partition: number,
            lag: Some(0),
            event_time: event_time.map(|s| s * SECOND),
            watermark: event_time.map(|s| (s - 5) * SECOND),
            ..PartitionStatus::default()
        }
    }

    /// A source `s` that has given so many rows, with a delay of 5 s and these greatest event times (s).
    fn source(rows: u64, event_times: &[Option<i64>]) -> SourceStatus {
        let partitions: Vec<PartitionStatus> =
            event_times.iter().enumerate().map(|(number, at)| partition(number, *at)).collect();
        SourceStatus {
            name: "s".into(),
            is_topic: true,
            time_column: Some("at".into()),
            delay: Some(5 * SECOND),
            idle_timeout_ms: 10_000,
            watermark: partitions.iter().map(|p| p.watermark).min().flatten(),
            rows,
            partitions,
            ..SourceStatus::default()
        }
    }

    fn operator(node: usize, text: &str, rows_in: u64, rows_out: u64) -> OperatorStatus {
        OperatorStatus {
            node,
            operator: text.into(),
            inputs: node.checked_sub(1).into_iter().collect(),
            source: (node == 0).then_some(0),
            rows_in,
            rows_out,
            ..OperatorStatus::default()
        }
    }

    /// A final aggregate that holds a window which ends at 60 s.
    fn aggregate(node: usize, rows: u64, grace: i64) -> OperatorStatus {
        let closes = (60 + grace) * SECOND;
        OperatorStatus {
            is_final: true,
            state_rows: rows,
            open: (rows > 0).then_some(OpenStatus { end: 60 * SECOND, closes, waits: true }),
            ..operator(node, "Aggregate", rows, 0)
        }
    }

    fn job(is: Condition, source: SourceStatus, operators: Vec<OperatorStatus>) -> JobDescription {
        let run = Totals { rows_in: source.rows, ..Totals::default() };
        let status = JobStatus {
            name: "j".into(),
            run,
            total: run,
            sources: vec![source],
            operators,
            ..JobStatus::default()
        };
        JobDescription::of_session(is, status, "j")
    }

    fn running(source: SourceStatus, operators: Vec<OperatorStatus>) -> Vec<String> {
        why(&job(Condition::Running, source, operators))
    }

    #[test]
    fn no_rows_came() {
        assert_eq!(
            running(source(0, &[None]), vec![operator(0, "Source s", 0, 0)]),
            ["No rows have come from s."]
        );
        let mut behind = source(0, &[None]);
        behind.partitions[0].lag = Some(7);
        assert_eq!(
            running(behind, vec![]),
            [
                "No row of s has been read, but there are 7 rows to be read: it has just begun, or a step takes long."
            ]
        );
    }

    #[test]
    fn a_filter_lets_none_or_few_pass() {
        let told = |passed| {
            running(
                source(4000, &[None]),
                vec![operator(0, "Source s", 0, 4000), operator(1, "Filter k > 0", 4000, passed)],
            )
        };
        assert_eq!(told(0), ["Filter k > 0 has let none of 4000 rows pass."]);
        assert_eq!(told(1), ["Filter k > 0 has let 1 of 4000 rows pass (less than 0.1 %)."]);
        assert_eq!(told(1000), ["Filter k > 0 has let 1000 of 4000 rows pass (25.0 %)."]);
        assert_eq!(told(4000), ["Nothing holds it up: of the rows that came, none made a result."]);
    }

    #[test]
    fn a_window_is_open_and_a_partition_holds_it() {
        let mut waits = source(9, &[Some(90), Some(30), Some(20), Some(99)]);
        waits.partitions[2].idle = true;
        waits.partitions[3].ended = true;
        let told = running(waits.clone(), vec![operator(0, "Source s", 0, 9), aggregate(1, 3, 10)]);
        assert_eq!(
            told,
            [
                "Aggregate holds 3 rows until the watermark reaches 1970-01-01 00:01:10: the end of its next window plus its \
                 grace of 10 s.",
                "Partition 1 of s holds the watermark: its greatest at is 1970-01-01 00:00:30; a row of at 1970-01-01 \
                 00:01:15 or later closes it, as the watermark stays 5 s behind. It no longer holds the watermark when it has \
                 been silent for 10 s (idle_timeout).",
                "Partition 2 of s is idle and does not hold the watermark.",
                "Partition 3 of s has ended.",
            ]
        );
        waits.idle_timeout_ms = 0;
        waits.partitions[1] = partition(1, None);
        waits.watermark = None;
        let told = running(waits, vec![operator(0, "Source s", 0, 9), aggregate(1, 1, 0)]);
        assert!(
            told[1].starts_with(
                "Partition 1 of s holds the watermark: it has given no row with an event time yet;"
            ),
            "{told:?}"
        );
        assert!(
            told[1].ends_with("Idle partitions hold the watermark too, since idle_timeout is 0."),
            "{told:?}"
        );
    }

    #[test]
    fn all_are_idle_or_one_partition_holds_alone() {
        let mut idle = source(1, &[Some(30)]);
        let operators = vec![operator(0, "Source s", 0, 1), aggregate(1, 1, 0)];
        let told = running(idle.clone(), operators.clone());
        assert_eq!(
            told[1],
            "s holds the watermark: its greatest at is 1970-01-01 00:00:30; a row of at 1970-01-01 00:01:05 or later closes \
             it, as the watermark stays 5 s behind."
        );
        idle.partitions[0].idle = true;
        let told = running(idle, operators);
        assert!(
            told[1].starts_with(
                "All partitions of s are idle, and its watermark is 1970-01-01 00:00:25: a row of at"
            ),
            "{told:?}"
        );
    }

    #[test]
    fn rows_are_late_or_have_no_time() {
        let window = OperatorStatus { late: 3, timeless: 1, after_idle: 2, ..operator(1, "Tumble", 9, 3) };
        let told = running(source(9, &[Some(90)]), vec![operator(0, "Source s", 0, 9), window.clone()]);
        assert_eq!(
            told,
            [
                "3 of 9 rows that came to Tumble were late: the watermark of their own partition had already passed their \
                 window. A greater delay than 5 s of s in WATERMARK FOR would have waited for them.",
                "2 rows came to Tumble after their partition had been idle, when the window had closed without them.",
                "1 row without an event time came to Tumble, and lie in no window.",
            ]
        );
        let all = OperatorStatus { late: 9, rows_out: 0, timeless: 0, after_idle: 0, ..window };
        let told = running(source(9, &[Some(90)]), vec![operator(0, "Source s", 0, 9), all]);
        assert!(told[0].starts_with("All of the 9 rows that came to Tumble were late"), "{told:?}");
    }

    #[test]
    fn a_result_that_comes_at_the_end_and_a_join_without_a_match() {
        let last = OperatorStatus { is_final: true, state_rows: 4, ..operator(1, "Aggregate", 9, 0) };
        let told = running(source(9, &[None]), vec![operator(0, "Source s", 0, 9), last]);
        assert_eq!(told, ["Aggregate keeps 4 rows and gives its result when its input has ended."]);
        let join = OperatorStatus { state_rows: 9, ..operator(1, "InnerJoin on=[a = b]", 9, 0) };
        let told = running(source(9, &[None]), vec![operator(0, "Source s", 0, 9), join]);
        assert_eq!(told, ["InnerJoin on=[a = b] has found no match for 9 rows, and keeps 9 rows."]);
    }

    #[test]
    fn a_job_that_makes_no_steps_says_only_why() {
        let of = |is, change: fn(&mut JobStatus)| {
            let mut job =
                job(is, source(3, &[Some(30)]), vec![operator(0, "Source s", 0, 3), aggregate(1, 3, 0)]);
            change(job.status.as_mut().unwrap());
            why(&job)
        };
        let paused = of(Condition::Paused, |_| ());
        assert!(
            paused.len() == 1 && paused[0].contains("makes no steps until 'millstream job resume j'"),
            "{paused:?}"
        );
        let waiting = of(Condition::Waiting, |s| s.reason = Some("the disk is full".into()));
        assert_eq!(
            waiting,
            ["Job j cannot go on since 1970-01-01 00:00:00 and tries again by itself: the disk is full."]
        );
        let failed = of(Condition::Failed, |s| {
            s.state = State::Failed;
            s.error =
                Some(Failure { at: 0, code: "sink".into(), message: "no.".into(), help: Some("do".into()) });
        });
        assert_eq!(failed[..2], ["Job j has failed since 1970-01-01 00:00:00: no.", "do."]);
        assert!(failed[2].starts_with("Run it again by 'millstream run'"), "{failed:?}");
        let finished = of(Condition::Finished, |_| ());
        assert_eq!(finished[1], "It has read 3 rows and written 0 rows in all.");
        let stopped = of(Condition::Stopped, |_| ());
        assert!(stopped.len() == 1 && stopped[0].contains("does not run"), "{stopped:?}");
    }

    #[test]
    fn a_job_that_writes_says_so_and_what_it_waits_for_next() {
        let mut writes = job(
            Condition::Running,
            source(9, &[Some(30)]),
            vec![operator(0, "Source s", 0, 9), aggregate(1, 1, 0)],
        );
        let status = writes.status.as_mut().unwrap();
        (status.run.rows_out, status.rows_out_per_s) = (5, 2.5);
        let told = why(&writes);
        assert_eq!(told[0], "It has written 5 rows in this run, 2.5 a second now.");
        assert!(told[1].starts_with("Aggregate holds 1 row until"), "{told:?}");
        let status = writes.status.as_mut().unwrap();
        status.operators.pop();
        (status.rows_out_per_s, status.caught_up) = (0.0, true);
        assert_eq!(
            why(&writes),
            [
                "It has written 5 rows in this run, none in the last seconds.",
                "It has read all that there is and waits for rows."
            ]
        );
    }
}
