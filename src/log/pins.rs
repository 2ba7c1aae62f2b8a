//! Pins: offsets that somebody will come back to, such as a job to where its last checkpoint stood. Compaction and
//! retention by time leave the rows from there on as they are; retention by size does not wait for anybody.
//!
//! ```text
//!     DIR/pins/<name>.json   {"version":1,"crc32c":"…","pins":[{"topic":"<uuid>","partition":0,"offset":17}]}
//! ```
//!
//! The checksum is that of `pins`' text without blanks. A file is replaced whole and synced. One that cannot be read pins
//! everything, until its owner writes it again or it is removed.

use super::error::LogError;
use super::{Log, Result};
use crate::disk::Disk;
use serde::{Deserialize, Serialize};
use std::path::Path;

const VERSION: u64 = 1;

/// A place in a topic that somebody will read again from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The topic's name.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The first offset that is still needed.
    pub offset: u64,
}

/// The lowest pin of a partition.
pub(super) struct Pinned<'a> {
    /// When this was begun.
    pub(super) lowest: Option<u64>,
    /// Now: somebody may have set one meanwhile.
    pub(super) now: &'a dyn Fn() -> Result<Option<u64>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct File {
    version: u64,
    crc32c: String,
    pins: serde_json::Value,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    topic: String,
    partition: u32,
    offset: u64,
}

/// All pins of a data directory.
#[derive(Debug, Default)]
pub(super) struct Pins {
    entries: Vec<Entry>,
    /// A file could not be read: nobody knows what it pins.
    unknown: bool,
}

impl Pins {
    pub(super) fn read(disk: &Disk, dir: &Path) -> Result<Self> {
        let dir = dir.join("pins");
        let mut pins = Pins::default();
        let names = match disk.list(&dir) {
            Err(e) if e.is_not_found() => return Ok(pins),
            names => names?,
        };
        for name in names.iter().filter(|name| name.ends_with(".json")) {
            match disk.read(&dir.join(name)) {
                // Its job was dropped meanwhile.
                Err(e) if e.is_not_found() => {}
                bytes => match entries(&bytes?) {
                    Some(entries) => pins.entries.extend(entries),
                    None => pins.unknown = true,
                },
            }
        }
        Ok(pins)
    }

    /// The first offset of a partition that somebody still needs.
    pub(super) fn lowest(&self, topic_dir: &Path, partition: u32) -> Option<u64> {
        if self.unknown {
            return Some(0);
        }
        let topic = topic_dir.file_name()?.to_str()?;
        let of = |entry: &&Entry| entry.topic == topic && entry.partition == partition;
        self.entries.iter().filter(of).map(|entry| entry.offset).min()
    }
}

fn entries(bytes: &[u8]) -> Option<Vec<Entry>> {
    let file: File = serde_json::from_slice(bytes).ok()?;
    let sound = file.version == VERSION && file.crc32c == checksum(&file.pins);
    sound.then(|| serde_json::from_value(file.pins).ok()).flatten()
}

fn checksum(pins: &serde_json::Value) -> String {
    format!("{:08x}", crc32c::crc32c(pins.to_string().as_bytes()))
}

impl Log {
    /// Replaces the pins of `owner` (letters, digits, dots, hyphens and underscores). They hold until the owner replaces
    /// or [unpins](Self::unpin) them, whoever runs. A topic that is not there pins nothing.
    pub fn pin(&self, owner: &str, pins: &[Pin]) -> Result<()> {
        let mut entries = Vec::with_capacity(pins.len());
        for pin in pins {
            let topic = match self.topic(&pin.topic) {
                Err(LogError::NoTopic { .. }) => continue,
                topic => topic?,
            };
            let uuid = topic.dir().file_name().unwrap_or_default().to_string_lossy().into_owned();
            entries.push(Entry { topic: uuid, partition: pin.partition, offset: pin.offset });
        }
        let pins = serde_json::json!(entries);
        let file = serde_json::json!(File { version: VERSION, crc32c: checksum(&pins), pins });
        let dir = self.dir().join("pins");
        let disk = &self.0.disk;
        let path = dir.join(format!("{owner}.json"));
        if !disk.exists(&path)? {
            // Who made the directory may have died before its name was durable.
            disk.create_dir(&dir)?;
            disk.sync_dir(self.dir())?;
        }
        Ok(disk.write_atomically(&path, (file.to_string() + "\n").as_bytes())?)
    }

    /// Who has pins.
    pub fn pin_owners(&self) -> Result<Vec<String>> {
        match self.0.disk.list(&self.dir().join("pins")) {
            Err(e) if e.is_not_found() => Ok(Vec::new()),
            names => {
                Ok(names?.iter().filter_map(|name| name.strip_suffix(".json")).map(String::from).collect())
            }
        }
    }

    /// Removes the pins of `owner`, if it has any.
    pub fn unpin(&self, owner: &str) -> Result<()> {
        match self.0.disk.remove_file(&self.dir().join("pins").join(format!("{owner}.json"))) {
            Err(e) if e.is_not_found() => Ok(()),
            removed => Ok(removed?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::TopicOptions;
    use crate::log::tests::{Place, numbers_schema};

    #[test]
    fn the_lowest_pin_counts_and_a_damaged_file_pins_everything() {
        let place = Place::new();
        let log = place.log();
        let t = log.create_topic("t", TopicOptions::default(), numbers_schema()).unwrap();
        let at = |topic: &str, offset| Pin { topic: topic.into(), partition: 0, offset };
        log.pin("a", &[at("t", 7), at("gone", 1)]).unwrap();
        log.pin("b", &[at("t", 5)]).unwrap();
        let lowest = |partition| Pins::read(&place.disk, log.dir()).unwrap().lowest(t.dir(), partition);
        assert_eq!((lowest(0), lowest(1)), (Some(5), None));
        log.pin("b", &[at("t", 9)]).unwrap();
        assert_eq!(lowest(0), Some(7));
        let path = log.dir().join("pins/a.json");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace('7', "8")).unwrap();
        assert_eq!((lowest(0), lowest(1)), (Some(0), Some(0)));
        log.unpin("a").unwrap();
        log.unpin("a").unwrap();
        assert_eq!(lowest(0), Some(9));
    }
}
