//! Planned faults of the machine's own disk: writes that fail or tear, syncs that fail, no more room, and
//! what looks like a reboot. What only memory forgets (the power goes) needs the simulated disk.

use super::{broken, device_error};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The faults of a faulty disk. Counts start anew with each plan; clones share one plan.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Plan>>);

#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Writes until (and with) the one that goes wrong, and how many of its bytes stay.
    write: Option<(u64, WriteFault)>,
    /// Bytes by which files may still grow.
    room: Option<u64>,
    /// Syncs until (and with) the one that fails.
    sync: Option<u64>,
    /// Nothing can be changed any more, as after a crash of the process.
    pub(super) dead: bool,
    pub(super) reboots: u64,
}

#[derive(Debug, Clone, Copy)]
enum WriteFault {
    Fail,
    Tear {
        keep: usize,
    },
    /// The device gives an error, and works again.
    Device,
}

impl Faults {
    /// The `n`-th write from now on (1 = the next) fails and leaves nothing.
    pub fn fail_write(&self, n: u64) {
        self.plan().write = Some((n, WriteFault::Fail));
    }

    /// The `n`-th write from now on leaves only its first `keep` bytes, and then nothing can be
    /// changed until [`heal`](Self::heal): as if the process had died in the middle of it.
    pub fn tear_write(&self, n: u64, keep: usize) {
        self.plan().write = Some((n, WriteFault::Tear { keep }));
    }

    /// The `n`-th write from now on (1 = the next) fails as on a device that recovers: the same may then succeed.
    pub fn disturb_write(&self, n: u64) {
        self.plan().write = Some((n, WriteFault::Device));
    }

    /// The disk is full after `bytes` more; overwriting in place needs no room.
    pub fn full_after(&self, bytes: u64) {
        self.plan().room = Some(bytes);
    }

    /// The `n`-th sync from now on fails.
    pub fn fail_sync(&self, n: u64) {
        self.plan().sync = Some(n);
    }

    /// The next `Disk::boot_id` is another one.
    pub fn reboot(&self) {
        self.plan().reboots += 1;
    }

    /// Forgets all planned faults.
    pub fn heal(&self) {
        let mut plan = self.plan();
        *plan = Plan { reboots: plan.reboots, ..Plan::default() };
    }

    pub(super) fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many of a write's bytes reach the file, and the error that it then gives.
    pub(super) fn before_write(&self, len: usize, grows: u64) -> (usize, Option<io::Error>) {
        let mut plan = self.plan();
        if plan.dead {
            return (0, Some(broken()));
        }
        if let Some((n, fault)) = &mut plan.write {
            *n = n.saturating_sub(1);
            if *n == 0 {
                let fault = *fault;
                plan.write = None;
                return match fault {
                    WriteFault::Fail => (0, Some(broken())),
                    WriteFault::Device => (0, Some(device_error())),
                    WriteFault::Tear { keep } => {
                        plan.dead = true;
                        (keep.min(len), Some(broken()))
                    }
                };
            }
        }
        match &mut plan.room {
            Some(room) if *room < grows => {
                let lacking = grows - std::mem::take(room);
                let keep = len.saturating_sub(usize::try_from(lacking).unwrap_or(usize::MAX));
                (keep, Some(ErrorKind::StorageFull.into()))
            }
            Some(room) => {
                *room -= grows;
                (len, None)
            }
            None => (len, None),
        }
    }

    /// What a sync gives. It does nothing else: no test cuts the power, and real syncs are slow.
    pub(super) fn sync(&self) -> io::Result<()> {
        let mut plan = self.plan();
        if plan.dead {
            return Err(broken());
        }
        let Some(n) = &mut plan.sync else { return Ok(()) };
        *n = n.saturating_sub(1);
        if *n > 0 {
            return Ok(());
        }
        plan.sync = None;
        Err(broken())
    }
}
