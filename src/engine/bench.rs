//! An engine for tests of SQL: its clock stands still until it is told to move, and so may a stream's watermark.

use super::sources::appender;
use super::{Engine, Result};
use crate::clock::Clock;
use crate::disk::Disk;
use crate::sql::Code;
use crate::sql::Diagnostic;
use arrow::array::RecordBatch;
use std::path::Path;
use std::time::Duration;

/// Where the clock of tests begins: 2026-01-01 00:00:00 UTC.
const START: i64 = 1_767_225_600_000_000_000;

/// A clock that moves when it is told.
#[derive(Debug, Clone)]
pub struct TestClock(Clock);

impl Default for TestClock {
    fn default() -> Self {
        TestClock(Clock::manual(START))
    }
}

impl TestClock {
    /// Moves it on.
    pub fn advance(&self, by: Duration) {
        self.0.advance(by);
    }
}

impl Engine {
    /// Opens a data directory with such a clock.
    pub fn open_for_test(dir: &Path, clock: &TestClock) -> Result<Self> {
        Engine::open(dir, Disk::real(), clock.0.clone())
    }

    /// States that all partitions of a stream have come as far as `at` (ns of event time), without a row that says so.
    pub fn state_watermark(&self, name: &str, at: i64) -> Result<()> {
        let definitions = self.definitions()?;
        let Some(stream) = definitions.streams.get(name) else {
            let d = Diagnostic::coded(Code::NoRelation, format!("there is no stream \"{name}\""));
            return Err(match definitions.nearest(name) {
                Some(near) => d.help(format!("did you mean \"{near}\"?")),
                None => d,
            }
            .into());
        };
        if stream.connector != "topic" || stream.is_table() {
            return Err(Diagnostic::coded(
                Code::WrongKind,
                format!("\"{name}\" is no stream in a topic: it keeps no watermark"),
            )
            .into());
        }
        if stream.query.is_some() {
            let d = Diagnostic::coded(
                Code::NotWritten,
                format!("the watermark of \"{name}\" is that of the query that writes it"),
            );
            return Err(d.help("move that of a stream which the query reads").into());
        }
        if stream.event_time.is_none() {
            let d = Diagnostic::coded(Code::EventTime, format!("stream \"{name}\" has no event time"));
            return Err(d.help("declare it where the stream is created: WATERMARK FOR ts AS ts").into());
        }
        let mut appender = appender(self, stream, 0)?;
        appender.append(1, &RecordBatch::new_empty(stream.schema()), None, Some(at))?;
        Ok(appender.sync()?)
    }
}
