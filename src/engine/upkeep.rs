//! Looking after the data directory while a session runs: retention, compaction and what others have changed, in a thread
//! of its own. Every process does so that runs for longer than a moment; they leave to each other what one is doing.

use super::jobs::jobs_dir;
use super::{Engine, Result};
use crate::log::Maintained;
use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(10);

/// The thread; it ends when this is dropped.
pub(super) struct Upkeep {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    ended: bool,
    /// What could not be done, in words, and which of it has not been told.
    failures: BTreeSet<String>,
    untold: Vec<String>,
}

impl Upkeep {
    /// Starts to look after the engine's directory. Where there can be no thread, others will.
    pub(super) fn start(engine: &Engine) -> Self {
        let shared = Arc::new(Shared::default());
        let (engine, seen) = (engine.clone(), Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("upkeep".into()).spawn(move || seen.run(&engine)).ok();
        Upkeep { shared, thread }
    }

    /// What could not be done, in words; each is told once.
    pub(super) fn take_failures(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.lock().untold)
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.ended.notify_all();
        // A thread that panicked has said so itself.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, engine: &Engine) {
        loop {
            let state = self.lock();
            let waited = self.ended.wait_timeout_while(state, EVERY, |state| !state.ended);
            if waited.unwrap_or_else(PoisonError::into_inner).0.ended {
                return;
            }
            let failures: Vec<String> = match engine.look_after() {
                Ok(done) => done.failures.iter().map(ToString::to_string).collect(),
                Err(e) => vec![e.to_string()],
            };
            let mut state = self.lock();
            for failure in failures {
                if state.failures.insert(failure.clone()) {
                    state.untold.push(failure);
                }
            }
        }
    }
}

impl Engine {
    /// Does once what the topics' settings ask for.
    pub(super) fn look_after(&self) -> Result<Maintained> {
        self.drop_unused_pins()?;
        Ok(self.0.log.maintain()?)
    }

    /// Removes the pins of jobs that are not there any more.
    fn drop_unused_pins(&self) -> Result<()> {
        for owner in self.0.log.pin_owners()? {
            // A job's folder is there before its pins are.
            if !self.0.disk.exists(&jobs_dir(self).join(&owner))? {
                self.0.log.unpin(&owner)?;
            }
        }
        Ok(())
    }
}
