//! Instants (ns since the epoch) as the files and tables about jobs tell them: `2026-01-31T12:00:00.5Z`.

use crate::formats::timestamp_ns;
use arrow::temporal_conversions::timestamp_ns_to_datetime;

/// For people: `2026-01-31 12:00:00.5`, to the millisecond where nothing lies below it.
pub fn shown(ns: i64) -> String {
    let Some(at) = timestamp_ns_to_datetime(ns) else { return ns.to_string() };
    let text = at.format("%Y-%m-%d %H:%M:%S%.9f").to_string();
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

fn text(ns: i64) -> String {
    format!("{}Z", shown(ns).replace(' ', "T"))
}

/// An instant in a file.
pub(super) mod told {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(ns: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::text(*ns))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::timestamp_ns(&text).ok_or_else(|| serde::de::Error::custom(format!("{text} is no time")))
    }
}

/// An instant in a file, if there is one.
pub(super) mod maybe {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        ns: &Option<i64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        ns.map(super::text).serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<i64>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.and_then(|text| super::timestamp_ns(&text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn instants_for_people() {
        let second = 1_000_000_000;
        for (ns, expected) in [
            (0, "1970-01-01 00:00:00"),
            (1_769_860_800 * second, "2026-01-31 12:00:00"),
            (1_769_860_800 * second + 120_000_000, "2026-01-31 12:00:00.12"),
            (-1, "1969-12-31 23:59:59.999999999"),
        ] {
            assert_eq!(shown(ns), expected);
        }
    }

    proptest! {
        #[test]
        fn an_instant_survives_its_text(ns in any::<i64>()) {
            prop_assert_eq!(timestamp_ns(&text(ns)), Some(ns));
        }
    }
}
