//! The names that can be written in a statement: what an editor offers, and what help lists.

use super::Engine;
use super::define::COMMON_OPTIONS;
use super::settings::SETTINGS as TOPIC_SETTINGS;
use crate::connectors::CONNECTORS;
use std::collections::BTreeSet;

/// An option of `WITH (…)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionName {
    /// As it is written.
    pub name: &'static str,
    /// The values that are words, if it has such.
    pub values: &'static [&'static str],
}

/// The options whose values are words, and these.
const WORDS: &[(&str, &[&str])] = &[
    ("codec", &["lz4", "zstd", "none"]),
    ("compaction", &["on", "off"]),
    ("compression", &["gzip", "zstd", "none"]),
    ("connector", &["topic", "file", "nexmark", "blackhole"]),
    ("follow", &["true", "false"]),
    ("format", &["json", "csv", "parquet", "debezium_json"]),
    ("fsync", &["step", "os", "200 ms"]),
    ("header", &["true", "false"]),
    ("on_bad", &["fail", "skip", "topic"]),
    ("table", &["person", "auction", "bid"]),
];

/// Every option of `WITH (…)` that some connector takes.
pub fn option_names() -> Vec<OptionName> {
    let connectors = CONNECTORS.iter().flat_map(|c| c.options).map(|o| o.name);
    let all: BTreeSet<&'static str> = connectors
        .chain(COMMON_OPTIONS.iter().map(|o| o.name))
        .chain(TOPIC_SETTINGS.iter().copied())
        .collect();
    let values =
        |name: &str| WORDS.iter().find(|(option, _)| *option == name).map_or(&[][..], |(_, values)| values);
    all.into_iter().map(|name| OptionName { name, values: values(name) }).collect()
}

impl Engine {
    /// Every function that a query can call, by name.
    pub fn function_names(&self) -> Vec<String> {
        let state = self.0.planner.session_state();
        let names = state.scalar_functions().keys().chain(state.aggregate_functions().keys());
        let names: BTreeSet<String> = names.chain(state.window_functions().keys()).cloned().collect();
        let plain = |name: &String| name.starts_with(|c: char| c.is_ascii_alphabetic());
        names.into_iter().filter(plain).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_have_the_words_of_their_values() {
        let names = option_names();
        for (option, _) in WORDS {
            assert!(names.iter().any(|o| o.name == *option), "{option}");
        }
        let of = |name: &str| names.iter().find(|o| o.name == name).unwrap().values;
        let connectors: Vec<&str> = CONNECTORS.iter().map(|c| c.name).collect();
        assert_eq!(of("connector"), connectors);
        assert!(of("path").is_empty());
    }
}
