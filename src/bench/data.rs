//! The events on disk: JSON files that any engine can read, and topics with the same rows.
//!
//! Below the folder that is given there is one for each number of events:
//! `nexmark-2000000/{person,auction,bid}/part-{0,1}.json`, and `nexmark-2000000/topics/`, a data directory. `events.json` says
//! that all of the files are there. What is there already is taken.

use super::events::{Kind, PARTS, Shape, generate};
use super::ours::run_all;
use super::queries::{TABLES, Table};
use super::{BenchError, Input, Observer, Result};
use crate::delta::WATERMARK_END;
use crate::engine::{Engine, InputFormat, ProduceOptions};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Where the events are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    /// The folder of this many events.
    pub dir: PathBuf,
    /// How many there are.
    pub events: u64,
}

/// The file that says that the others are complete.
const MARK: &str = "events.json";
/// What is in them, so that files of another generator are not taken for these.
const VERSION: u32 = 1;

impl Data {
    /// Makes what `inputs` need below `dir`, as far as it is not there.
    pub fn prepare(dir: &Path, events: u64, inputs: &[Input], observer: &dyn Observer) -> Result<Self> {
        let data = Data { dir: dir.join(format!("nexmark-{events}")), events };
        data.make_files(observer)?;
        if inputs.contains(&Input::Topic) {
            data.load_topics(observer)?;
        }
        Ok(data)
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
        let mark = self.dir.join(MARK);
        let content = format!("{{\"version\":{VERSION},\"events\":{}}}\n", self.events);
        if fs::read_to_string(&mark).is_ok_and(|found| found == content) {
            return Ok(());
        }
        generate(Shape::default(), self.events, &self.dir, observer)?;
        // What was loaded before came from other files.
        remove(&self.topics())?;
        fs::write(&mark, content).map_err(BenchError::file("write", &mark))
    }

    fn load_topics(&self, observer: &dyn Observer) -> Result<()> {
        let topics = self.topics();
        if topics.exists() {
            return Ok(());
        }
        let unfinished = self.dir.join("topics.unfinished");
        remove(&unfinished)?;
        {
            let engine = Engine::open_dir(&unfinished)?;
            let definitions: String = TABLES.iter().map(Table::as_topic).collect();
            run_all(&engine, &definitions, 1)?;
            for kind in Kind::ALL {
                observer.note(&format!("loading topic {}", kind.name()));
                let options = ProduceOptions { format: InputFormat::Json, skip_bad: false, producer: None };
                let input = Dealt::open(&self.folder(kind.name()))?;
                let mut tick = || !observer.stopped();
                engine.produce(kind.name(), &options, input, &mut tick, &mut |_| {})?;
                observer.go_on()?;
                // As at the end of a file, all windows close.
                engine.state_watermark(kind.name(), WATERMARK_END)?;
            }
        }
        fs::rename(&unfinished, &topics).map_err(BenchError::file("rename", &unfinished))
    }
}

/// Removes a folder, if it is there.
pub(super) fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(BenchError::file("remove", dir)(e)),
        _ => Ok(()),
    }
}

/// The lines of a stream's files in their order of arrival: they were dealt round to the files.
struct Dealt {
    parts: Vec<BufReader<File>>,
    next: usize,
    line: Vec<u8>,
    read: usize,
}

impl Dealt {
    fn open(folder: &Path) -> Result<Self> {
        let open = |part| {
            let path = folder.join(format!("part-{part}.json"));
            let file = File::open(&path).map_err(BenchError::file("read", &path))?;
            Ok(BufReader::with_capacity(1 << 18, file))
        };
        let parts = (0..PARTS).map(open).collect::<Result<_>>()?;
        Ok(Dealt { parts, next: 0, line: Vec::new(), read: 0 })
    }
}

impl Read for Dealt {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < into.len() {
            if self.read == self.line.len() {
                self.line.clear();
                self.read = 0;
                let part = self.next % self.parts.len();
                if self.parts[part].read_until(b'\n', &mut self.line)? == 0 {
                    break;
                }
                self.next += 1;
            }
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

    #[test]
    fn what_is_there_is_taken_and_lines_come_as_they_were_dealt() {
        let dir = tempfile::tempdir().unwrap();
        let data = Data::prepare(dir.path(), 500, &[Input::Json], &Unobserved).unwrap();
        let mut lines = String::new();
        Dealt::open(&data.folder("bid")).unwrap().read_to_string(&mut lines).unwrap();
        let mut events = crate::bench::events::Events::new(Shape::default());
        let bids: Vec<u8> = (0..500)
            .filter_map(|i| match events.event(i) {
                (Kind::Bid, line) => Some(line.to_vec()),
                _ => None,
            })
            .flatten()
            .collect();
        assert_eq!(lines.as_bytes(), bids);
        // A file of ours that was touched stays as it is, until the mark is gone.
        let path = data.folder("bid").join("part-0.json");
        fs::write(&path, "").unwrap();
        Data::prepare(dir.path(), 500, &[Input::Json], &Unobserved).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
        fs::remove_file(data.dir.join(MARK)).unwrap();
        Data::prepare(dir.path(), 500, &[Input::Json], &Unobserved).unwrap();
        assert!(!fs::read(&path).unwrap().is_empty());
    }
}
