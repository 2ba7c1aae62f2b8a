//! An engine for tests of SQL: its clock stands still until it is told to move.

use super::{Engine, Result};
use crate::clock::Clock;
use crate::disk::Disk;
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
}
