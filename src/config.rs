//! Every setting once: its name, what it takes, its default, one line of help. May use nothing of ours.
//!
//! [`SETTINGS`] feeds `SET`, `SHOW ALL` and `--help`; [`Settings`] is what the program reads. A new
//! setting is one field, its default, and one row of the list.

use std::fmt::Write as _;
use std::time::Duration;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// A table on a terminal, JSON lines elsewhere.
    Auto,
    /// A drawn table, cut to the screen.
    Table,
    /// A drawn table in full width.
    Box,
    /// A table in Markdown.
    Md,
    /// A line for each column.
    Line,
    /// One JSON object a line.
    Jsonl,
    /// One JSON array.
    Json,
    /// Comma-separated values with a header.
    Csv,
    /// The same separated by tabs.
    Tsv,
    /// An Arrow IPC stream.
    Arrow,
    /// A Parquet file.
    Parquet,
    /// Nothing at all.
    Null,
}

/// The words for [`OutputFormat`], as people write them.
pub const FORMATS: &[(&str, OutputFormat)] = &[
    ("auto", OutputFormat::Auto),
    ("table", OutputFormat::Table),
    ("box", OutputFormat::Box),
    ("md", OutputFormat::Md),
    ("line", OutputFormat::Line),
    ("jsonl", OutputFormat::Jsonl),
    ("json", OutputFormat::Json),
    ("csv", OutputFormat::Csv),
    ("tsv", OutputFormat::Tsv),
    ("arrow", OutputFormat::Arrow),
    ("parquet", OutputFormat::Parquet),
    ("null", OutputFormat::Null),
];

/// What becomes of running jobs when the prompt is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExit {
    /// It is asked.
    Ask,
    /// They end with a checkpoint.
    Stop,
    /// The prompt waits until they have ended by themselves.
    Wait,
}

/// The words for [`OnExit`].
pub const ON_EXIT: &[(&str, OnExit)] =
    &[("ask", OnExit::Ask), ("stop", OnExit::Stop), ("wait", OnExit::Wait)];

/// The most workers a job may have: state is sharded by worker, and more shards than this only cost.
pub const MAX_WORKERS: usize = 256;
/// The most rows a step may take from one source for each worker: a step is held in memory whole.
pub const MAX_STEP_ROWS: usize = 1 << 24;
/// The longest duration a setting takes; longer ones are surely mistakes.
const MAX_DURATION: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

/// The values of all settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Worker threads of a job, 1 to [`MAX_WORKERS`].
    pub workers: usize,
    /// The most rows that a step takes for each worker and source, 1 to [`MAX_STEP_ROWS`].
    pub step_rows: usize,
    /// How long a source partition may be silent before it no longer holds the watermark back;
    /// `None` = for ever.
    pub idle_timeout: Option<Duration>,
    /// How long rows stay in state that nothing else bounds; `None` = for ever.
    pub state_ttl: Option<Duration>,
    /// Time between two checkpoints; never zero.
    pub checkpoint_interval: Duration,
    /// Bytes of memory that the state of all jobs may take; `None` = half of the machine's.
    pub memory_limit: Option<u64>,
    /// How results are printed.
    pub format: OutputFormat,
    /// What becomes of running jobs when the prompt is left.
    pub on_exit: OnExit,
    /// How many times faster than they happened the rows of a demo come; 0 = they rest.
    pub replay_speed: usize,
}

impl Default for Settings {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        Settings {
            workers: cores.min(MAX_WORKERS),
            step_rows: 65_536,
            idle_timeout: Some(Duration::from_secs(10)),
            state_ttl: None,
            memory_limit: None,
            checkpoint_interval: Duration::from_secs(10),
            format: OutputFormat::Auto,
            on_exit: OnExit::Ask,
            replay_speed: 3600,
        }
    }
}

/// One setting: what SHOW ALL and `--help` say of it, and how it is read and written as text.
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// What it takes, in words.
    pub expects: &'static str,
    /// Its default, in words.
    pub default: &'static str,
    /// What it does, in one line.
    pub doc: &'static str,
    show: fn(&Settings) -> String,
    /// Stores a text; `None` = the text is not what `expects` says.
    store: fn(&mut Settings, &str) -> Option<()>,
}

/// All settings, by name.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "checkpoint_interval",
        expects: "a duration above 0, such as '500 ms', '10 s' or '5 minutes'",
        default: "10 s",
        doc: "time between two checkpoints of a job",
        show: |s| show_duration(s.checkpoint_interval),
        store: |s, text| {
            s.checkpoint_interval = parse_duration(text).filter(|d| !d.is_zero())?;
            Some(())
        },
    },
    Setting {
        name: "format",
        expects: "auto, table, box, md, line, jsonl, json, csv, tsv, arrow, parquet or null",
        default: "auto",
        doc: "how results are printed; auto is a table on a terminal and JSON lines in a pipe",
        show: |s| FORMATS.iter().find(|(_, f)| *f == s.format).map_or("auto", |(word, _)| word).to_string(),
        store: |s, text| {
            s.format = FORMATS.iter().find(|(word, _)| text.eq_ignore_ascii_case(word))?.1;
            Some(())
        },
    },
    Setting {
        name: "idle_timeout",
        expects: "a duration such as '500 ms', '10 s' or '5 minutes', or '0' for never",
        default: "10 s",
        doc: "how long a partition may be silent before it no longer holds the watermark back",
        show: |s| s.idle_timeout.map_or_else(|| "0".to_string(), show_duration),
        store: |s, text| {
            s.idle_timeout = Some(parse_duration(text)?).filter(|d| !d.is_zero());
            Some(())
        },
    },
    Setting {
        name: "memory_limit",
        expects: "a number of bytes such as '500 MB' or '8 GiB', or 'auto' for half of the machine's memory",
        default: "auto",
        doc: "memory for the state of all jobs; what does not fit goes to disk",
        show: |s| s.memory_limit.map_or_else(|| "auto".to_string(), show_bytes),
        store: |s, text| {
            s.memory_limit = match text.trim().eq_ignore_ascii_case("auto") {
                true => None,
                false => Some(parse_bytes(text)?),
            };
            Some(())
        },
    },
    Setting {
        name: "on_exit",
        expects: "ask, stop or wait",
        default: "ask",
        doc: "what becomes of running jobs when the prompt is left: ask, stop them with a checkpoint, or wait for their end",
        show: |s| ON_EXIT.iter().find(|(_, e)| *e == s.on_exit).map_or("ask", |(word, _)| word).to_string(),
        store: |s, text| {
            s.on_exit = ON_EXIT.iter().find(|(word, _)| text.eq_ignore_ascii_case(word))?.1;
            Some(())
        },
    },
    Setting {
        name: "replay_speed",
        expects: "a number from 0 (it rests) to 1000000000, such as 600 for ten minutes in a second",
        default: "3600",
        doc: "how many times faster than they happened the rows of a demo come",
        show: |s| s.replay_speed.to_string(),
        store: |s, text| {
            s.replay_speed = parse_count(text, 1_000_000_000).or((text == "0").then_some(0))?;
            Some(())
        },
    },
    Setting {
        name: "state_ttl",
        expects: "a duration such as '30 minutes', '12 hours' or '1 day', or '0' for ever",
        default: "0",
        doc: "how long rows stay in state that nothing else bounds; 0 is for ever",
        show: |s| s.state_ttl.map_or_else(|| "0".to_string(), show_duration),
        store: |s, text| {
            s.state_ttl = Some(parse_duration(text)?).filter(|d| !d.is_zero());
            Some(())
        },
    },
    Setting {
        name: "step_rows",
        expects: "a whole number from 1 to 16777216",
        default: "65536",
        doc: "the most rows that one step takes for each worker and source",
        show: |s| s.step_rows.to_string(),
        store: |s, text| {
            s.step_rows = parse_count(text, MAX_STEP_ROWS)?;
            Some(())
        },
    },
    Setting {
        name: "workers",
        expects: "a whole number from 1 to 256",
        default: "the machine's cores",
        doc: "worker threads of a job",
        show: |s| s.workers.to_string(),
        store: |s, text| {
            s.workers = parse_count(text, MAX_WORKERS)?;
            Some(())
        },
    },
];

/// Why a setting could not be read or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// There is no such setting.
    #[error("there is no setting \"{name}\"{}", nearest.map(|n| format!(": did you mean \"{n}\"?")).unwrap_or_default())]
    Unknown {
        /// What was asked for.
        name: String,
        /// The setting whose name is nearest, if one is near.
        nearest: Option<&'static str>,
    },
    /// The value is not one that the setting takes.
    #[error("{name} cannot be \"{value}\": it takes {expected}")]
    BadValue {
        /// The setting.
        name: &'static str,
        /// The text that was given.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
}

impl Settings {
    /// Changes a setting from its text (as `SET name = value` does); on an error nothing changes.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), SettingError> {
        let setting = Setting::find(name)?;
        (setting.store)(self, value.trim()).ok_or_else(|| SettingError::BadValue {
            name: setting.name,
            value: value.to_string(),
            expected: setting.expects,
        })
    }

    /// A setting's value as text; [`Settings::set`] takes the same text back.
    pub fn get(&self, name: &str) -> Result<String, SettingError> {
        Ok((Setting::find(name)?.show)(self))
    }

    /// Gives a setting its default again.
    pub fn reset(&mut self, name: &str) -> Result<(), SettingError> {
        let default = Settings::default().get(name)?;
        self.set(name, &default)
    }

    /// Every setting with its value as text, by name: the rows of SHOW ALL.
    pub fn all(&self) -> impl Iterator<Item = (&'static Setting, String)> {
        SETTINGS.iter().map(|setting| (setting, (setting.show)(self)))
    }
}

impl Setting {
    /// The setting with that name, in any case.
    fn find(name: &str) -> Result<&'static Setting, SettingError> {
        SETTINGS
            .iter()
            .find(|s| s.name.eq_ignore_ascii_case(name))
            .ok_or_else(|| SettingError::Unknown { name: name.to_string(), nearest: nearest(name) })
    }
}

impl std::fmt::Debug for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setting").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The text of a help section: one line for each setting.
pub fn help() -> String {
    let width = SETTINGS.iter().map(|s| s.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for s in SETTINGS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:width$}  {} [default: {}]", s.name, s.doc, s.default);
    }
    text
}

fn nearest(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let (score, best) = SETTINGS
        .iter()
        .map(|s| (strsim::jaro_winkler(&name, s.name), s.name))
        .max_by(|a, b| a.0.total_cmp(&b.0))?;
    (score > 0.8).then_some(best)
}

fn parse_count(text: &str, most: usize) -> Option<usize> {
    // Digits may be grouped by underscores, as in SQL: 65_536.
    let count: usize = text.replace('_', "").parse().ok()?;
    (1..=most).contains(&count).then_some(count)
}

/// Units of a duration: every spelling, and its nanoseconds.
const UNITS: &[(&[&str], u128)] = &[
    (&["ns", "nanosecond", "nanoseconds"], 1),
    (&["us", "µs", "microsecond", "microseconds"], 1_000),
    (&["ms", "millisecond", "milliseconds"], 1_000_000),
    (&["s", "sec", "secs", "second", "seconds"], 1_000_000_000),
    (&["min", "mins", "m", "minute", "minutes"], 60 * 1_000_000_000),
    (&["h", "hr", "hour", "hours"], 3_600 * 1_000_000_000),
    (&["d", "day", "days"], 86_400 * 1_000_000_000),
];

/// Reads a duration: one or more of number and unit ('10 s', '1.5 h', '1h 30 min'), or '0'.
/// `None` where the text is no duration or is longer than ten years.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (digits, after) = rest.split_at(number);
        let after = after.trim_start();
        let unit = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (word, after) = after.split_at(unit);
        let word = word.to_lowercase();
        let (_, nanos) = UNITS.iter().find(|(spellings, _)| spellings.contains(&word.as_str()))?;
        total = total.checked_add(scaled(digits, *nanos)?)?;
        rest = after.trim_start();
    }
    let total = Duration::from_nanos(u64::try_from(total).ok()?);
    (total <= MAX_DURATION).then_some(total)
}

/// A number of bytes as [`parse_bytes`] reads it, exactly.
fn show_bytes(bytes: u64) -> String {
    let units = [
        ("GiB", 1 << 30),
        ("GB", 1_000_000_000),
        ("MiB", 1 << 20),
        ("MB", 1_000_000),
        ("KiB", 1 << 10),
        ("kB", 1000),
    ];
    match units.into_iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{} {name}", bytes / unit),
        None => bytes.to_string(),
    }
}

/// Reads a number of bytes: digits, alone or with a unit of 1000 (kB, MB, GB, TB) or 1024 (KiB, MiB, GiB, TiB).
/// `None` where the text is none.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '_')).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let unit = unit.trim().to_lowercase();
    let (_, size) = BYTES.iter().find(|(spellings, _)| spellings.contains(&unit.as_str()))?;
    u64::try_from(scaled(&digits.replace('_', ""), *size)?).ok()
}

/// Units of bytes: every spelling in lower case, and how many bytes it is.
const BYTES: &[(&[&str], u128)] = &[
    (&["", "b", "byte", "bytes"], 1),
    (&["kb"], 1_000),
    (&["mb"], 1_000_000),
    (&["gb"], 1_000_000_000),
    (&["tb"], 1_000_000_000_000),
    (&["kib", "k"], 1 << 10),
    (&["mib", "m"], 1 << 20),
    (&["gib", "g"], 1 << 30),
    (&["tib", "t"], 1 << 40),
];

/// A decimal number times a unit, cut to whole nanoseconds.
fn scaled(digits: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let mut total = whole.parse::<u128>().ok()?.checked_mul(unit)?;
    let mut place: u128 = 1;
    if fraction.is_empty() {
        return None;
    }
    for digit in fraction.chars() {
        place = place.checked_mul(10)?;
        total = total.checked_add(u128::from(digit.to_digit(10)?) * unit / place)?;
    }
    Some(total)
}

/// Writes a duration in the largest unit that it is a whole number of: `10 s`, `500 ms`, `5 min`.
pub fn show_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let (unit, size) = UNITS
        .iter()
        .rev()
        .find(|(_, size)| nanos > 0 && nanos.is_multiple_of(*size))
        .map_or(("s", 1_000_000_000), |(spellings, size)| (spellings[0], *size));
    format!("{} {unit}", nanos / size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_list_is_sorted_complete_and_true() {
        assert!(SETTINGS.is_sorted_by_key(|s| s.name));
        let defaults = Settings::default();
        for (setting, value) in defaults.all() {
            // What is shown can be set again, and the default is what the list says.
            let mut again = defaults.clone();
            again.set(setting.name, &value).unwrap();
            assert_eq!(again, defaults, "{}", setting.name);
            if setting.name != "workers" {
                assert_eq!(value, setting.default, "{}", setting.name);
            }
            assert!(help().contains(setting.doc));
        }
        assert!(SETTINGS.iter().any(|s| s.expects.contains(&MAX_STEP_ROWS.to_string())));
        assert!(SETTINGS.iter().any(|s| s.expects.contains(&MAX_WORKERS.to_string())));
    }

    #[test]
    fn values_are_set_shown_and_reset() {
        let mut s = Settings::default();
        for (name, text, shown) in [
            ("workers", " 3 ", "3"),
            ("WORKERS", "256", "256"),
            ("step_rows", "1", "1"),
            ("step_rows", "65_536", "65536"),
            ("idle_timeout", "0", "0"),
            ("idle_timeout", "0 s", "0"),
            ("idle_timeout", "90s", "90 s"),
            ("checkpoint_interval", "5 minutes", "5 min"),
            ("checkpoint_interval", "500 ms", "500 ms"),
            ("format", "CSV", "csv"),
            ("state_ttl", "1 day", "1 d"),
            ("state_ttl", "0 days", "0"),
        ] {
            s.set(name, text).unwrap();
            assert_eq!(s.get(name).unwrap(), shown, "{name} = {text}");
        }
        assert_eq!(s.idle_timeout, Some(Duration::from_secs(90)));
        for setting in SETTINGS {
            s.reset(setting.name).unwrap();
        }
        assert_eq!(s, Settings::default());
    }

    #[test]
    fn a_mistake_says_what_to_write() {
        let mut s = Settings::default();
        let before = s.clone();
        for (name, value, message) in [
            ("worker", "1", "there is no setting \"worker\": did you mean \"workers\"?"),
            ("xyz", "1", "there is no setting \"xyz\""),
            ("workers", "0", "workers cannot be \"0\": it takes a whole number from 1 to 256"),
            ("workers", "257", "workers cannot be \"257\": it takes a whole number from 1 to 256"),
            ("step_rows", "-1", "step_rows cannot be \"-1\": it takes a whole number from 1 to 16777216"),
            (
                "state_ttl",
                "-1 day",
                "state_ttl cannot be \"-1 day\": it takes a duration such as '30 minutes', '12 hours' or '1 day', or '0' for ever",
            ),
            (
                "format",
                "xml",
                "format cannot be \"xml\": it takes auto, table, box, md, line, jsonl, json, csv, tsv, arrow, parquet or null",
            ),
            (
                "checkpoint_interval",
                "0",
                "checkpoint_interval cannot be \"0\": it takes a duration above 0, such as '500 ms', '10 s' or '5 minutes'",
            ),
        ] {
            assert_eq!(s.set(name, value).unwrap_err().to_string(), message);
        }
        assert_eq!(s, before);
        assert!(s.get("nope").is_err() && s.reset("nope").is_err());
    }

    #[test]
    fn durations_in_every_usual_form() {
        for (text, millis) in [
            ("500 ms", 500),
            ("10 s", 10_000),
            ("10s", 10_000),
            ("1 SECOND", 1_000),
            ("5 minutes", 300_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("1.5 h", 5_400_000),
            ("1h 30 min", 5_400_000),
            ("2 days", 172_800_000),
            ("0.25 s", 250),
            ("0", 0),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            " ",
            "10",
            "s",
            "-1 s",
            "1 fortnight",
            "1..5 s",
            "1. s",
            ".5 s",
            "1e3 s",
            "99999999999999 d",
            "11 years",
            "3651 d",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_duration_survives_its_text(nanos in 0u64..MAX_DURATION.as_nanos() as u64) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(parse_duration(&show_duration(duration)), Some(duration));
        }

        #[test]
        fn no_text_panics(name in ".*", value in ".*") {
            let mut s = Settings::default();
            let _ = s.set(&name, &value);
            for setting in SETTINGS {
                let _ = s.set(setting.name, &value);
            }
        }
    }

    #[test]
    fn bytes_have_units() {
        let read = |text: &str| parse_bytes(text);
        assert_eq!([read("17"), read("64 MB"), read("64MiB")], [Some(17), Some(64_000_000), Some(64 << 20)]);
        assert_eq!([read("1.5 GiB"), read("0"), read("1_000 b")], [Some(3 << 29), Some(0), Some(1000)]);
        assert_eq!([read(""), read("MB"), read("-1"), read("1 parsec"), read("99999999 TB")], [None; 5]);
    }
}
