//! What others ask of a job: `wanted.json` in its folder.
//!
//! | | |
//! |---|---|
//! | `paused` | the job makes no steps; stays so when it is run again |
//! | `checkpoint`, `stop`, `restart` | how often that was asked for; a job does what was asked since its run began |
//!
//! Whoever asks replaces the file as a whole, holding the lock on `wanted.lock` beside it. The job looks at it a few times
//! a second; nobody waits for it.

use crate::disk::{Disk, DiskError, Open};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

const FILE: &str = "wanted.json";
const LOCK: &str = "wanted.lock";

/// What is asked of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wanted {
    /// It is to make no steps.
    pub paused: bool,
    /// How many checkpoints have been asked for.
    pub checkpoint: u64,
    /// How often it was told to end.
    pub stop: u64,
    /// How often it was told to begin again.
    pub restart: u64,
}

impl Wanted {
    /// What the folder `dir` of a job says; nothing where it says nothing.
    pub fn read(disk: &Disk, dir: &Path) -> Self {
        let bytes = disk.read(&dir.join(FILE)).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// Changes what is asked of the job in the folder `dir`; gives what is asked now.
    pub fn change(disk: &Disk, dir: &Path, change: impl FnOnce(&mut Wanted)) -> Result<Wanted, DiskError> {
        let file = Arc::new(disk.open(&dir.join(LOCK), Open::Create)?);
        let _held = file.lock()?;
        let before = Wanted::read(disk, dir);
        let mut wanted = before;
        change(&mut wanted);
        if wanted != before {
            let bytes = serde_json::to_vec(&wanted).unwrap_or_default();
            disk.write_atomically(&dir.join(FILE), &bytes)?;
        }
        Ok(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_at_the_same_time_is_not_lost() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Wanted::read(&Disk::real(), dir.path()), Wanted::default());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        Wanted::change(&Disk::real(), dir.path(), |w| w.checkpoint += 1).unwrap();
                    }
                });
            }
            let paused = Wanted::change(&Disk::real(), dir.path(), |w| w.paused = true).unwrap();
            assert!(paused.paused);
        });
        let wanted = Wanted::read(&Disk::real(), dir.path());
        assert_eq!(wanted, Wanted { paused: true, checkpoint: 40, stop: 0, restart: 0 });
    }

    #[test]
    fn what_cannot_be_read_asks_for_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "{\"paused\": tr").unwrap();
        assert_eq!(Wanted::read(&Disk::real(), dir.path()), Wanted::default());
        std::fs::write(dir.path().join(FILE), "{\"paused\": true, \"of_a_later_version\": 1}").unwrap();
        assert!(Wanted::read(&Disk::real(), dir.path()).paused);
    }
}
