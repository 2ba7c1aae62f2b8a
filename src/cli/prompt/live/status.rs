//! The line below a live result: how much, how quick, how far, and why nothing comes.

use super::draw::cut;
use crate::cli::progress::grouped;
use crate::engine::{JobStatus, shown_instant};
use std::time::Duration;

/// What a look at a running query shows.
#[derive(Default)]
pub(super) struct Glance {
    pub(super) rows_in: u64,
    pub(super) rows_out: u64,
    /// Rows read in the last second or so.
    pub(super) per_second: u64,
    /// What the query said last of itself.
    pub(super) status: Option<JobStatus>,
    /// Changes that came and went between two drawings.
    pub(super) not_drawn: u64,
    pub(super) frozen: bool,
    pub(super) caught_up: bool,
    /// Why no row has come for a while.
    pub(super) why: Option<String>,
    /// What keys do.
    pub(super) keys: KeysDo,
}

/// What the keys do while a query runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::cli) enum KeysDo {
    /// All that they can.
    #[default]
    All,
    /// It cannot go on as a job.
    NoJob,
    /// There is no keyboard: only a signal stops it.
    Nothing,
}

impl KeysDo {
    fn told(self) -> &'static str {
        match self {
            KeysDo::All => "q stop · space freeze · b go on as a job",
            KeysDo::NoJob => "q stop · space freeze",
            KeysDo::Nothing => "Ctrl-C stops",
        }
    }
}

/// The line, in few words where it is narrow. Its first parts matter most: the others fall off.
pub(super) fn line(glance: &Glance, width: usize) -> String {
    let fits = |parts: &[String]| parts.join(" · ").chars().count() <= width;
    let mut parts = parts(glance, false);
    if !fits(&parts[..parts.len().min(MATTER)]) {
        parts = self::parts(glance, true);
    }
    while !fits(&parts) && parts.len() > 1 {
        parts.pop();
    }
    cut(&parts.join(" · "), width)
}

/// The parts that are to be told in whatever words: all up to those that are bad.
const MATTER: usize = 7;

fn parts(glance: &Glance, short: bool) -> Vec<String> {
    let words = |long: &'static str, few: &'static str| if short { few } else { long };
    let state = match (glance.frozen, glance.caught_up, lag(glance)) {
        (true, ..) => "frozen",
        (_, true, _) => "live",
        (_, _, 0) => "running",
        _ => "catching up",
    };
    let mut parts = vec![
        state.to_string(),
        format!("{} in", grouped(glance.rows_in)),
        format!("{} out", grouped(glance.rows_out)),
        format!("{}{}", grouped(glance.per_second), words(" rows/s", "/s")),
    ];
    if let Some(status) = &glance.status {
        let times =
            status.sources.iter().flat_map(|s| &s.partitions).filter_map(|p| p.event_time.or(p.watermark));
        parts.extend(times.max().map(|at| {
            let at = shown_instant(at - at.rem_euclid(1_000_000_000));
            match (short, at.rsplit_once(':')) {
                (true, Some((minute, _))) => minute.to_string(),
                _ => format!("event time {at}"),
            }
        }));
        let late: u64 = status.operators.iter().map(|o| o.late + o.after_idle).sum();
        parts.push(format!("{} late", grouped(late)));
        if !short || status.run.bad > 0 {
            parts.push(format!("{} bad", grouped(status.run.bad)));
        }
        let bytes: u64 = status.operators.iter().map(|o| o.state_bytes).sum();
        parts.push(format!("{}{}", words("state ", ""), size(bytes)));
    }
    if glance.not_drawn > 0 {
        parts.push(format!("{} changes not drawn", grouped(glance.not_drawn)));
    }
    parts
}

/// The lines below it: how far it has caught up, or why nothing comes; then the keys.
pub(super) fn below(glance: &Glance, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(bar) = bar(glance, width) {
        lines.push(bar);
    } else if let Some(why) = &glance.why {
        lines.extend(wrapped(&format!("waiting: {why}"), width, 3));
    }
    lines.push(cut(glance.keys.told(), width));
    lines
}

/// Rows of topics that are yet to be read.
fn lag(glance: &Glance) -> u64 {
    let status = glance.status.as_ref();
    status.map_or(0, |s| s.sources.iter().flat_map(|s| &s.partitions).filter_map(|p| p.lag).sum())
}

/// How far it has caught up with what was there, if there is much.
fn bar(glance: &Glance, width: usize) -> Option<String> {
    let lag = lag(glance);
    if glance.caught_up || lag < 1000 {
        return None;
    }
    let done = glance.rows_in as f64 / (glance.rows_in + lag) as f64;
    let left = match glance.per_second {
        0 => String::new(),
        rate => format!(", {} to go", duration(Duration::from_secs(lag.div_ceil(rate)))),
    };
    let tail = format!(" {:>3.0} %{left}", (done * 100.0).floor());
    let room = width.saturating_sub(tail.chars().count()).min(40);
    if room < 5 {
        return Some(cut(tail.trim_start(), width));
    }
    let full = (done * room as f64) as usize;
    Some(format!("{}{}{tail}", "█".repeat(full), "░".repeat(room - full)))
}

fn duration(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

/// Bytes in the unit that people would choose.
pub(in crate::cli::prompt) fn size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / *unit as f64),
        None => format!("{bytes} B"),
    }
}

/// A sentence in lines of a width, at most so many.
fn wrapped(text: &str, width: usize, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.len() - 1;
        let room = lines[last].chars().count() + 1 + word.chars().count() <= width;
        if lines[last].is_empty() {
            lines[last] = word.into();
        } else if room || lines.len() == most {
            lines[last].push(' ');
            lines[last].push_str(word);
        } else {
            lines.push(word.into());
        }
    }
    lines.iter().map(|l| cut(l, width)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(lag: u64) -> JobStatus {
        let mut status = JobStatus::default();
        status.sources.push(Default::default());
        status.sources[0].partitions.push(Default::default());
        status.sources[0].partitions[0].lag = Some(lag);
        status.sources[0].partitions[0].event_time = Some(1_357_041_720_500_000_000);
        status.operators.push(Default::default());
        status.operators[0].late = 3;
        status.operators[0].state_bytes = 1536;
        status
    }

    #[test]
    fn the_line_says_what_finds_place() {
        let glance = Glance {
            rows_in: 26_483,
            rows_out: 12,
            per_second: 4100,
            status: Some(status(0)),
            not_drawn: 7,
            caught_up: true,
            ..Glance::default()
        };
        assert_eq!(
            line(&glance, 200),
            "live · 26,483 in · 12 out · 4,100 rows/s · event time 2013-01-01 12:02:00 · 3 late · 0 bad · state 1.5 KiB · 7 changes not drawn"
        );
        assert_eq!(
            line(&glance, 80),
            "live · 26,483 in · 12 out · 4,100/s · 2013-01-01 12:02 · 3 late · 1.5 KiB"
        );
        assert_eq!(line(&glance, 50), "live · 26,483 in · 12 out · 4,100/s");
        assert_eq!(line(&glance, 3), "li…");
        assert_eq!(
            line(&Glance { frozen: true, ..Glance::default() }, 80),
            "frozen · 0 in · 0 out · 0 rows/s"
        );
    }

    #[test]
    fn catching_up_has_a_bar_and_waiting_a_reason() {
        let mut glance =
            Glance { rows_in: 3000, per_second: 500, status: Some(status(1000)), ..Glance::default() };
        let lines = below(&glance, 30);
        assert_eq!(lines[0], "█████████░░░░  75 %, 2 s to go");
        assert!(line(&glance, 80).starts_with("catching up"));
        glance.status = Some(status(0));
        glance.why = Some("the next window closes when at passes noon".into());
        assert_eq!(
            below(&glance, 30),
            ["waiting: the next window", "closes when at passes noon", "q stop · space freeze · b go …"]
        );
        glance.why = None;
        assert_eq!(below(&glance, 80).len(), 1);
    }
}
