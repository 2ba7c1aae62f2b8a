//! What a running statement shows of itself, and what it is told.

use super::status::JobStatus;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a job has to tell those who run it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// What it writes fails for a reason that passes; it tries again until it succeeds.
    Waits(String),
    /// It has succeeded.
    GoesOn,
    /// It was told to end while it waited.
    GaveUp(String),
    /// Rows of a stream that it had read are gone, so many of its last steps are made anew from what there is.
    Anew {
        /// The stream.
        stream: String,
        /// The steps, whose results no sink has.
        steps: usize,
    },
}

/// What a job waits for.
#[derive(Debug, Default)]
struct Waiting {
    /// Who waits, of those that write for it.
    waiters: usize,
    reason: Option<String>,
    news: Vec<News>,
}

/// What a running statement shows, and what it is told.
#[derive(Debug, Default)]
pub struct Control {
    stop: AtomicBool,
    leave: AtomicBool,
    caught_up: AtomicBool,
    recheck: AtomicBool,
    paused: AtomicBool,
    held: AtomicBool,
    restart: AtomicBool,
    checkpoints: AtomicU64,
    rows_in: AtomicU64,
    rows_out: AtomicU64,
    waiting: Mutex<Waiting>,
    shown: AtomicBool,
    status: Mutex<Option<JobStatus>>,
}

impl Control {
    fn waiting_now(&self) -> MutexGuard<'_, Waiting> {
        // Nobody panics while holding it.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// One of those that write for the job waits from now on, because of `reason`, or (`None`) no longer.
    pub fn waiting(&self, reason: Option<String>) {
        let mut waiting = self.waiting_now();
        match reason {
            Some(reason) => {
                waiting.waiters += 1;
                if waiting.waiters == 1 {
                    waiting.news.push(News::Waits(reason.clone()));
                    waiting.reason = Some(reason);
                }
            }
            None => {
                waiting.waiters = waiting.waiters.saturating_sub(1);
                if waiting.waiters == 0 {
                    waiting.reason = None;
                    if !matches!(waiting.news.last(), Some(News::GaveUp(_))) {
                        waiting.news.push(News::GoesOn);
                    }
                }
            }
        }
    }
    /// Who waited has been told to end.
    /// Some steps are made anew.
    pub(super) fn anew(&self, stream: &str, steps: usize) {
        self.waiting_now().news.push(News::Anew { stream: stream.into(), steps });
    }
    /// It ends without what it waited for.
    pub(super) fn gave_up(&self, reason: &str) {
        let mut waiting = self.waiting_now();
        if !matches!(waiting.news.last(), Some(News::GaveUp(_))) {
            waiting.news.push(News::GaveUp(reason.into()));
        }
    }
    /// What the job waits for, if it does.
    pub fn waits_for(&self) -> Option<String> {
        self.waiting_now().reason.clone()
    }
    /// What there is to tell; each is given once.
    pub fn take_news(&self) -> Vec<News> {
        std::mem::take(&mut self.waiting_now().news)
    }
    /// Whoever has this wants to see what the job is at; to be said before it starts.
    pub fn shows(&self) {
        self.shown.store(true, Ordering::Release);
    }
    pub(super) fn is_shown(&self) -> bool {
        self.shown.load(Ordering::Acquire)
    }
    pub(super) fn show(&self, status: &JobStatus) {
        if self.is_shown() {
            *self.status.lock().unwrap_or_else(PoisonError::into_inner) = Some(status.clone());
        }
    }
    /// What the job said last of itself, if it was to be shown.
    pub fn status(&self) -> Option<JobStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
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
    /// Whether the job is to make no steps: all of its statements.
    pub fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::Release);
    }
    /// Whether the job has been asked to make no steps.
    pub fn paused(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }
    /// Whether the job makes no steps, has written everything, and has a checkpoint of it.
    pub fn held(&self) -> bool {
        self.held.load(Ordering::Acquire)
    }
    pub(super) fn set_held(&self, held: bool) {
        self.held.store(held, Ordering::Release);
    }
    /// Asks the job to end after its step, with a checkpoint, and to begin again from it: all of its statements.
    pub fn restart(&self) {
        self.restart.store(true, Ordering::Release);
    }
    /// Whether the job has been asked to begin again.
    pub fn restarting(&self) -> bool {
        self.restart.load(Ordering::Acquire)
    }
    /// It begins again.
    pub fn restarted(&self) {
        self.restart.store(false, Ordering::Release);
    }
    /// Asks for a checkpoint now.
    pub fn ask_checkpoint(&self) {
        self.checkpoints.fetch_add(1, Ordering::AcqRel);
    }
    /// How many checkpoints have been asked for.
    pub fn checkpoints_asked(&self) -> u64 {
        self.checkpoints.load(Ordering::Acquire)
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
