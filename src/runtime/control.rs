//! What a running statement shows of itself, and what it is told.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What a running statement shows, and what it is told.
#[derive(Debug, Default)]
pub struct Control {
    stop: AtomicBool,
    leave: AtomicBool,
    caught_up: AtomicBool,
    recheck: AtomicBool,
    rows_in: AtomicU64,
    rows_out: AtomicU64,
}

impl Control {
    /// Asks the job to end after its step, with a checkpoint: all of its statements.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }
    /// Whether the job has been asked to end.
    pub fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
    /// Asks this statement of the job to end, for good: it is not in later checkpoints.
    pub fn leave(&self) {
        self.leave.store(true, Ordering::Release);
    }
    pub(super) fn leaving(&self) -> bool {
        self.leave.load(Ordering::Acquire)
    }
    /// Whether the job had read everything there when it last looked, and its result had been written.
    pub fn caught_up(&self) -> bool {
        !self.must_recheck() && self.caught_up.load(Ordering::Acquire)
    }
    pub(super) fn set_caught_up(&self, caught_up: bool) {
        self.caught_up.store(caught_up, Ordering::Release);
    }
    /// Makes the job look at its sources anew before it counts as caught up.
    pub fn recheck(&self) {
        self.recheck.store(true, Ordering::Release);
        self.set_caught_up(false);
    }
    pub(super) fn must_recheck(&self) -> bool {
        self.recheck.load(Ordering::Acquire)
    }
    /// Whether to look anew, which is then begun.
    pub(super) fn take_recheck(&self) -> bool {
        self.recheck.swap(false, Ordering::AcqRel)
    }
    /// Rows read in this run.
    pub fn rows_in(&self) -> u64 {
        self.rows_in.load(Ordering::Relaxed)
    }
    pub(super) fn add_rows_in(&self, rows: u64) {
        self.rows_in.fetch_add(rows, Ordering::Relaxed);
    }
    /// Rows written in this run.
    pub fn rows_out(&self) -> u64 {
        self.rows_out.load(Ordering::Relaxed)
    }
    pub(super) fn add_rows_out(&self, rows: u64) {
        self.rows_out.fetch_add(rows, Ordering::Relaxed);
    }
}
