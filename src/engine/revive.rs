//! Jobs that have failed while their process lives on with others: they begin again when somebody asks for it.

use super::jobs::{Jobs, job_home};
use super::launch::{Launched, MakeSources, Pending};
use super::{Engine, Result};
use crate::disk::Disk;
use crate::runtime::RuntimeError;
use crate::runtime::control::Control;
use crate::runtime::wanted::Wanted;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked whether it is to begin again.
const LOOK: Duration = Duration::from_millis(200);

/// A statement that has failed. Its folder is not locked: whoever has removed the reason may run it in another process.
pub(super) struct Failed {
    statement: Pending,
    disk: Disk,
    dir: PathBuf,
    /// How often it had been told to begin again when it failed.
    asked: u64,
}

impl Failed {
    /// From a statement that lasts; gives the lock on its folder back.
    pub(super) fn new(mut statement: Pending) -> Option<Self> {
        let home = statement.home.take()?;
        let (disk, dir) = (home.store.disk.clone(), home.store.dir.clone());
        let asked = Wanted::read(&disk, &dir).restart;
        drop(home);
        Some(Failed { statement, disk, dir, asked })
    }

    /// Waits on a thread of its own until it is to begin again, or the session ends.
    pub(super) fn wait(self, engine: &Engine, jobs: &Arc<Jobs>, sources: &MakeSources) {
        let (engine, all, sources) = (engine.clone(), jobs.clone(), sources.clone());
        let name = format!("failed {}", self.statement.name);
        let waits = move || {
            while Wanted::read(&self.disk, &self.dir).restart <= self.asked {
                if all.is_closing() {
                    return;
                }
                std::thread::sleep(LOOK);
            }
            self.begin(&engine, &all, &sources);
        };
        // Without a thread for it, it can still be run again by its file.
        if let Ok(thread) = std::thread::Builder::new().name(name).spawn(waits) {
            jobs.keep(thread);
        }
    }

    fn begin(mut self, engine: &Engine, jobs: &Arc<Jobs>, sources: &MakeSources) {
        let Pending { number, name, writes, .. } = &self.statement;
        let number = *number;
        let Ok(home) = job_home(engine, name, writes) else { return };
        // Its state has been removed meanwhile: what it is now, only its file tells.
        if home.producer != self.statement.producer {
            return;
        }
        self.statement.control = Arc::new(Control::default());
        self.statement.home = Some(home);
        jobs.revived(number, self.statement.control.clone());
        let begun: Result<()> =
            Launched::alone(engine, self.statement, sources).and_then(|launched| jobs.start(launched));
        if let Err(error) = begun {
            jobs.ended(number, Err(RuntimeError::Output(error.to_string())));
        }
    }
}
