//! The events on disk: JSON files that any engine can read, and topics with the same rows.
//!
//! Below the folder that is given there is one for each number of events:
//! `nexmark-2000000/{person,auction,bid}/part-{0,1}.json`, and `nexmark-2000000/topics/`, a data directory. `events.json` and
//! `topics.json` say that all of the one or the other is there. What is there already is taken. Topics are loaded from the
//! generator, not from the files: where only topics are read, there need be no files.

use super::events::{Events, Kind, Shape, generate};
use super::ours::run_all;
use super::queries::{TABLES, Table};
use super::{BenchError, Observer, Result};
use crate::delta::WATERMARK_END;
use crate::engine::{Engine, InputFormat, ProduceOptions};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Which forms of the events are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// As JSON files: DataFusion takes the rows that it has in memory from these, too.
    pub files: bool,
    /// As topics.
    pub topics: bool,
}

/// Where the events are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    /// The folder of this many events.
    pub dir: PathBuf,
    /// How many there are.
    pub events: u64,
}

/// The file that says that the files of events are complete.
const FILES: &str = "events.json";
/// The one that says it of the topics.
const TOPICS: &str = "topics.json";
/// What is in them, so that files of another generator are not taken for these.
const VERSION: u32 = 1;

impl Data {
    /// Makes below `dir` what is needed, as far as it is not there.
    pub fn prepare(dir: &Path, events: u64, needs: Needs, observer: &dyn Observer) -> Result<Self> {
        let data = Data { dir: dir.join(format!("nexmark-{events}")), events };
        if needs.files {
            data.make_files(observer)?;
        }
        if needs.topics {
            data.load_topics(observer)?;
        }
        Ok(data)
    }

    /// Whether what such a file speaks of is there; if it is not, everything of it is to be made.
    fn is_there(&self, mark: &str) -> bool {
        fs::read_to_string(self.dir.join(mark)).is_ok_and(|found| found == self.content())
    }

    fn mark(&self, mark: &str) -> Result<()> {
        let path = self.dir.join(mark);
        fs::write(&path, self.content()).map_err(BenchError::file("write", &path))
    }

    fn content(&self) -> String {
        format!("{{\"version\":{VERSION},\"events\":{}}}\n", self.events)
    }

    /// How many rows these streams have.
    pub fn rows(&self, tables: &[&str]) -> u64 {
        let kinds = Kind::ALL.iter().filter(|kind| tables.contains(&kind.name()));
        kinds.map(|kind| kind.count(self.events)).sum()
    }

    /// The JSON files of a stream.
    pub fn folder(&self, table: &str) -> PathBuf {
        self.dir.join(table)
    }

    /// The data directory with the topics.
    pub fn topics(&self) -> PathBuf {
        self.dir.join("topics")
    }

    /// A directory for the run of a job in the process `pid` alone.
    pub fn scratch(&self, pid: u32) -> PathBuf {
        self.dir.join(format!("scratch-{pid}"))
    }

    fn make_files(&self, observer: &dyn Observer) -> Result<()> {
        if self.is_there(FILES) {
            return Ok(());
        }
        generate(Shape::default(), self.events, &self.dir, observer)?;
        self.mark(FILES)
    }

    fn load_topics(&self, observer: &dyn Observer) -> Result<()> {
        let topics = self.topics();
        if topics.exists() && self.is_there(TOPICS) {
            return Ok(());
        }
        let unfinished = self.dir.join("topics.unfinished");
        remove(&unfinished)?;
        remove(&topics)?;
        {
            let engine = Engine::open_dir(&unfinished)?;
            let definitions: String = TABLES.iter().map(Table::as_topic).collect();
            run_all(&engine, &definitions, 1)?;
            for kind in Kind::ALL {
                let options = ProduceOptions { format: InputFormat::Json, skip_bad: false, producer: None };
                let input = Drawn::of(kind, self.events);
                let drawn = input.drawn.clone();
                let mut tick = || {
                    let percent = drawn.load(Ordering::Relaxed) * 100 / self.events;
                    observer.note(&format!("loading topic {}: {percent} %", kind.name()));
                    !observer.stopped()
                };
                engine.produce(kind.name(), &options, input, &mut tick, &mut |_| {})?;
                observer.go_on()?;
                // As at the end of a file, all windows close.
                engine.state_watermark(kind.name(), WATERMARK_END)?;
            }
        }
        fs::rename(&unfinished, &topics).map_err(BenchError::file("rename", &unfinished))?;
        self.mark(TOPICS)
    }
}

/// Removes a folder, if it is there.
pub(super) fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(BenchError::file("remove", dir)(e)),
        _ => Ok(()),
    }
}

/// The lines of a stream's events in their order of arrival, drawn as they are read.
struct Drawn {
    events: Events,
    kind: Kind,
    next: u64,
    end: u64,
    /// How far it is, for others.
    drawn: Arc<AtomicU64>,
    line: Vec<u8>,
    read: usize,
}

impl Drawn {
    /// Those of the first `end` events that are of a kind.
    fn of(kind: Kind, end: u64) -> Self {
        let events = Events::new(Shape::default());
        Drawn { events, kind, next: 0, end, drawn: Arc::default(), line: Vec::new(), read: 0 }
    }

    /// Draws the next line; whether there is one.
    fn draw(&mut self) -> bool {
        self.line.clear();
        self.read = 0;
        while self.next < self.end && Kind::of(self.next) != self.kind {
            self.next += 1;
        }
        self.drawn.store(self.next, Ordering::Relaxed);
        if self.next == self.end {
            return false;
        }
        self.line.extend_from_slice(self.events.event(self.next).1);
        self.next += 1;
        true
    }
}

impl Read for Drawn {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < into.len() && (self.read < self.line.len() || self.draw()) {
            let rest = &self.line[self.read..];
            let some = rest.len().min(into.len() - filled);
            into[filled..filled + some].copy_from_slice(&rest[..some]);
            filled += some;
            self.read += some;
        }
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Unobserved;
    use crate::bench::events::PARTS;

    const FILES_ONLY: Needs = Needs { files: true, topics: false };

    #[test]
    fn what_is_there_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let data = Data::prepare(dir.path(), 500, FILES_ONLY, &Unobserved).unwrap();
        // A file of ours that was touched stays as it is, until the mark is gone.
        let path = data.folder("bid").join("part-0.json");
        fs::write(&path, "").unwrap();
        Data::prepare(dir.path(), 500, FILES_ONLY, &Unobserved).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
        fs::remove_file(data.dir.join(FILES)).unwrap();
        Data::prepare(dir.path(), 500, FILES_ONLY, &Unobserved).unwrap();
        assert!(!fs::read(&path).unwrap().is_empty());
    }

    #[test]
    fn what_is_loaded_into_topics_is_what_the_files_have() {
        let dir = tempfile::tempdir().unwrap();
        let data = Data::prepare(dir.path(), 500, FILES_ONLY, &Unobserved).unwrap();
        for kind in Kind::ALL {
            let mut drawn = String::new();
            Drawn::of(kind, 500).read_to_string(&mut drawn).unwrap();
            let part = |part| {
                fs::read_to_string(data.folder(kind.name()).join(format!("part-{part}.json"))).unwrap()
            };
            // They were dealt round to the files.
            let parts: Vec<String> = (0..PARTS).map(part).collect();
            let mut lines: Vec<_> = parts.iter().map(|part| part.lines()).collect();
            let mut dealt = String::new();
            for i in 0..kind.count(500) as usize {
                dealt.push_str(lines[i % PARTS].next().unwrap());
                dealt.push('\n');
            }
            assert_eq!(drawn, dealt);
        }
    }

    #[test]
    fn topics_need_no_files() {
        let dir = tempfile::tempdir().unwrap();
        let needs = Needs { files: false, topics: true };
        let data = Data::prepare(dir.path(), 500, needs, &Unobserved).unwrap();
        assert!(!data.folder("bid").exists());
        let touched = data.topics().join("touched");
        fs::write(&touched, "").unwrap();
        Data::prepare(dir.path(), 500, needs, &Unobserved).unwrap();
        assert!(touched.exists());
        fs::remove_file(data.dir.join(TOPICS)).unwrap();
        Data::prepare(dir.path(), 500, needs, &Unobserved).unwrap();
        assert!(data.topics().exists() && !touched.exists());
    }
}
