//! How a stream's topic is kept: the options of `WITH (…)` as the log takes them.

use crate::catalog::DELETED;
use crate::config::{parse_bytes, parse_duration};
use crate::connectors::OptionError;
use crate::log::{Codec, Compaction, Fsync, TopicOptions, TopicSettings};
use std::time::Duration;

/// The settings, which can be changed later.
pub(super) const SETTINGS: &[&str] =
    &["compaction", "fsync", "keep_tombstones", "retention", "retention_bytes", "segment_bytes"];

const DURATION: &str = "a duration such as '12 hours' or '7 days', or '' for none";
const BYTES: &str = "a number of bytes such as '64 MiB' or '10 GB'";

/// How the topic `name` of a stream or, with a primary key, of a table is to be made by these options.
pub(super) fn topic_options(
    topic_name: &str,
    key: Option<&Vec<String>>,
    options: &[(String, String)],
) -> Result<TopicOptions, OptionError> {
    let mut topic = TopicOptions::default();
    if let Some(key) = key {
        topic.settings.compaction = Some(Compaction::by(key.clone(), Some(DELETED.into())));
    }
    for (name, value) in options {
        match name.as_str() {
            "partitions" => {
                let count = value.parse::<u32>().ok().filter(|n| (1..=1024).contains(n));
                topic.partitions =
                    count.ok_or_else(|| wrong(name, value, "a whole number from 1 to 1024"))?;
            }
            "codec" => {
                topic.codec =
                    Codec::from_name(value).ok_or_else(|| wrong(name, value, "lz4, zstd or none"))?;
            }
            _ => {
                set(&mut topic.settings, (topic_name, key), name, value)?;
            }
        }
    }
    Ok(topic)
}

/// Gives a setting of `topic`, which has this primary key if it is a table's, the value that is written as `value`;
/// whether there is a setting of that name.
pub(super) fn set(
    settings: &mut TopicSettings,
    (topic, key): (&str, Option<&Vec<String>>),
    name: &str,
    value: &str,
) -> Result<bool, OptionError> {
    let wrong = |expected: &str| wrong(name, value, expected);
    let duration = |text: &str| parse_duration(text).filter(|d| !d.is_zero());
    let table_only = || OptionError {
        option: name.into(),
        message: format!("'{name}' is for tables, and \"{topic}\" is a stream"),
        help: Some(
            "leave it out; how long a stream keeps its rows is said by 'retention' and 'retention_bytes'"
                .into(),
        ),
    };
    match name {
        "fsync" => {
            settings.fsync = match value {
                "step" => Fsync::Step,
                "os" => Fsync::Os,
                every => Fsync::Interval {
                    every: duration(every)
                        .ok_or_else(|| wrong("step, os, or an interval such as '200 ms'"))?,
                },
            };
        }
        "retention" => {
            settings.retention = match value {
                "" => None,
                text => Some(duration(text).ok_or_else(|| wrong(DURATION))?),
            };
        }
        "retention_bytes" => {
            settings.retention_bytes = match value {
                "" => None,
                text => Some(parse_bytes(text).ok_or_else(|| wrong(BYTES))?),
            };
        }
        "segment_bytes" => {
            let bytes = parse_bytes(value).filter(|bytes| *bytes > 0);
            settings.segment_bytes = bytes.ok_or_else(|| wrong(BYTES))?;
        }
        "compaction" => {
            let key = key.ok_or_else(table_only)?;
            let keep = settings.compaction.take().map(|compaction| compaction.keep_tombstones);
            settings.compaction = match value {
                "off" => None,
                "on" => {
                    let by = Compaction::by(key.clone(), Some(DELETED.into()));
                    Some(Compaction { keep_tombstones: keep.unwrap_or(by.keep_tombstones), ..by })
                }
                _ => return Err(wrong("on or off")),
            };
        }
        "keep_tombstones" => {
            let keep: Option<Duration> = parse_duration(value);
            let keep = keep.ok_or_else(|| wrong("a duration such as '24 hours'"))?;
            let key = key.ok_or_else(table_only)?;
            // Options come in alphabetical order: whether there is compaction has been said before.
            if let Some(compaction) = &mut settings.compaction {
                *compaction =
                    Compaction { keep_tombstones: keep, ..Compaction::by(key.clone(), Some(DELETED.into())) };
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn wrong(name: &str, value: &str, expected: &str) -> OptionError {
    OptionError {
        option: name.into(),
        message: format!("'{value}' is not a value of '{name}'"),
        help: Some(format!("expected {expected}")),
    }
}
