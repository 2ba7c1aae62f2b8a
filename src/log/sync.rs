//! Making appended rows survive a crash of the machine: before the append is acknowledged, a while later in the
//! background, or when the system sees fit, as the topic's [`Fsync`] says.
//!
//! A log has one thread for the background, started by the first append that needs it. It syncs what is left when the
//! last handle of the log goes. If a sync fails, the partition takes no more rows from this process (partition.rs).

use super::error::LogError;
use super::partition::{Partition, guard};
use super::settings::Fsync;
use super::tail::Tail;
use super::topic::Topic;
use crate::clock::Clock;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The partitions that have rows to sync, and who does it.
#[derive(Debug)]
pub(super) struct Syncer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    due: Vec<Due>,
    thread: Option<JoinHandle<()>>,
    closed: bool,
}

#[derive(Debug)]
struct Due {
    /// On the monotonic clock.
    at: Duration,
    topic: Arc<Topic>,
    partition: u32,
}

impl Syncer {
    pub(super) fn new(clock: Clock) -> Self {
        Syncer(Arc::new(Shared { clock, state: Mutex::default(), changed: Condvar::new() }))
    }

    /// What topics hold of it.
    pub(super) fn handle(&self) -> SyncHandle {
        SyncHandle(Arc::clone(&self.0))
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        let thread = {
            let mut state = guard(&self.0.state);
            state.closed = true;
            state.thread.take()
        };
        self.0.changed.notify_all();
        // It syncs what is left, then ends. (A thread that panicked has said so.) Where it held the last topic itself, it comes
        // upon the end when it goes on.
        let _ =
            thread.filter(|thread| thread.thread().id() != std::thread::current().id()).map(JoinHandle::join);
    }
}

/// The way for a topic to have a partition synced.
#[derive(Debug, Clone)]
pub(super) struct SyncHandle(Arc<Shared>);

impl SyncHandle {
    /// Has the partition synced in a while; at once if nobody else will.
    fn sync_in(&self, every: Duration, topic: &Arc<Topic>, partition: u32) -> Result<(), LogError> {
        let mut state = guard(&self.0.state);
        if state.closed {
            drop(state);
            return topic.sync_now(partition);
        }
        let at = self.0.clock.monotonic() + every;
        state.due.push(Due { at, topic: Arc::clone(topic), partition });
        if state.thread.is_none() {
            let shared = Arc::clone(&self.0);
            let name = "millstream-sync".to_string();
            let spawned = std::thread::Builder::new().name(name).spawn(move || shared.run());
            let Ok(thread) = spawned else {
                state.due.pop();
                drop(state);
                return topic.sync_now(partition);
            };
            state.thread = Some(thread);
        }
        self.0.changed.notify_all();
        Ok(())
    }
}

impl Shared {
    /// The thread: syncs what is due, until the log is closed and nothing is left.
    fn run(&self) {
        let mut state = guard(&self.state);
        loop {
            let now = self.clock.monotonic();
            let closed = state.closed;
            let (due, later) = state.due.drain(..).partition(|due: &Due| closed || due.at <= now);
            state.due = later;
            if !due.is_empty() {
                drop(state);
                for Due { topic, partition, .. } in due {
                    // Where it fails, the next append says so.
                    let _ = topic.sync_now(partition);
                }
                state = guard(&self.state);
                continue;
            }
            if closed {
                return;
            }
            let wait = state.due.iter().map(|due| due.at.saturating_sub(now)).min();
            state = match wait {
                // A manual clock may stand still: then this is only a pause.
                Some(wait) => {
                    let wait = wait.max(Duration::from_millis(1));
                    self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

impl Topic {
    /// What the topic's `fsync` asks for after an append.
    pub(super) fn appended(self: &Arc<Self>, partition: u32) -> Result<(), LogError> {
        match self.settings().fsync {
            Fsync::Step => self.sync(partition),
            Fsync::Os => Ok(()),
            Fsync::Interval { every } => {
                if self.partition(partition)?.unsynced.swap(true, Ordering::AcqRel) {
                    return Ok(());
                }
                self.syncer().sync_in(every, self, partition)
            }
        }
    }

    /// Makes durable what has been appended to a partition so far, by whomever. Once this has failed, nothing more can
    /// be appended to the partition by this process.
    pub fn sync(&self, partition: u32) -> Result<(), LogError> {
        if self.partition(partition)?.sync()? {
            self.wake();
        }
        Ok(())
    }

    /// The same for all partitions.
    pub fn sync_all(&self) -> Result<(), LogError> {
        (0..self.partitions()).try_for_each(|partition| self.sync(partition))
    }

    /// Syncs a partition that was to be synced in a while; the next append asks for it again.
    fn sync_now(&self, partition: u32) -> Result<(), LogError> {
        self.partition(partition)?.unsynced.store(false, Ordering::Release);
        self.sync(partition)
    }
}

impl Partition {
    /// Syncs the active segment's file; whether more is durable now.
    fn sync(&self) -> Result<bool, LogError> {
        // Those who come while one syncs are all served by the next sync.
        let wanted = self.state()?.written_place();
        let _turn = guard(&self.sync_turn);
        self.sync_up_to(wanted)
    }

    /// The same for who syncs what comes after it. It does not wait for its turn: jobs may read what they write, by way of
    /// others, and then two would wait for each other.
    pub(super) fn sync_for_another(&self) -> Result<(), LogError> {
        self.sync_up_to(self.state()?.written_place()).map(drop)
    }

    fn sync_up_to(&self, wanted: (u64, u64)) -> Result<bool, LogError> {
        let (file, mark) = {
            let mut entered = self.enter()?;
            let mark = entered.core.state;
            if mark.durable == mark.written || mark.durable_place() >= wanted {
                return Ok(false);
            }
            (entered.open_active(mark.segment)?, mark)
        };
        // Outside the locks that appends take: the others may append meanwhile.
        if !self.topic.feeders.sync_before()? {
            return Ok(false);
        }
        if let Err(e) = file.sync_data() {
            self.sync_has_failed();
            return Err(e.into());
        }
        let mut entered = self.enter()?;
        let state = entered.core.state;
        let same = (state.segment, state.epoch) == (mark.segment, mark.epoch);
        if !same || state.durable >= mark.written {
            return Ok(false);
        }
        entered.publish(Tail { durable: mark.written, durable_offset: mark.next_offset, ..state })?;
        Ok(true)
    }

    fn state(&self) -> Result<Tail, LogError> {
        Ok(self.enter()?.core.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_log_may_go_with_the_last_topic_that_is_synced() {
        let syncer = Syncer::new(Clock::system());
        let shared = Arc::clone(&syncer.0);
        let ((begin, begun), (done, ended)) = (channel(), channel());
        let thread = std::thread::spawn(move || {
            begun.recv().unwrap();
            drop(syncer);
            done.send(()).unwrap();
        });
        guard(&shared.state).thread = Some(thread);
        begin.send(()).unwrap();
        ended.recv().unwrap();
        assert!(guard(&shared.state).closed);
    }
}
