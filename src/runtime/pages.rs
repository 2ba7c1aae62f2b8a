//! Huge pages while a run is behind, small ones once it has caught up: for the whole process.
//!
//! Where glibc has been told to ask for huge pages (`src/cli/allocator.rs`), a state that grows takes the kernel half the
//! time. But each new one must be cleared, or even be got from a virtual machine's host: up to 5 ms in which a worker
//! stands still. Who reads what is there already does not notice; who waits for a row does. (`prctl(2)`,
//! `PR_SET_THP_DISABLE`; pages that are there stay as they are.)

use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

/// For how long a run is not caught up before it counts as behind again.
const BEHIND_AFTER: Duration = Duration::from_secs(1);

/// How many runs are behind.
static BEHIND: Mutex<usize> = Mutex::new(0);

/// Whether glibc asks for huge pages: nothing is to be changed otherwise.
static ASKED_FOR: LazyLock<bool> = LazyLock::new(|| {
    std::env::var("GLIBC_TUNABLES").is_ok_and(|all| all.split(':').any(|one| one == "glibc.malloc.hugetlb=1"))
});

/// Whether one run is behind, which it is when it begins.
pub(super) struct Pace {
    behind: bool,
    /// When (monotonic) it was last caught up.
    caught_up: Duration,
}

impl Pace {
    pub(super) fn new(now: Duration) -> Self {
        let mut pace = Pace { behind: false, caught_up: now };
        pace.set(true);
        pace
    }

    /// It has nothing to read now.
    pub(super) fn has_caught_up(&mut self, now: Duration) {
        self.caught_up = now;
        self.set(false);
    }

    /// It has read something.
    pub(super) fn has_read(&mut self, now: Duration) {
        if now.saturating_sub(self.caught_up) >= BEHIND_AFTER {
            self.set(true);
        }
    }

    fn set(&mut self, behind: bool) {
        if std::mem::replace(&mut self.behind, behind) == behind {
            return;
        }
        // A number is whole, whoever panicked.
        let mut all = BEHIND.lock().unwrap_or_else(PoisonError::into_inner);
        *all = if behind { *all + 1 } else { *all - 1 };
        if *all == usize::from(behind) {
            huge(behind);
        }
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        self.set(false);
    }
}

/// Lets the kernel give huge pages, or not.
#[cfg(target_os = "linux")]
fn huge(wanted: bool) {
    if *ASKED_FOR {
        // A kernel without them has nothing to switch.
        let _ = rustix::thread::disable_transparent_huge_pages(!wanted);
    }
}

#[cfg(not(target_os = "linux"))]
fn huge(_: bool) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_behind_until_it_has_caught_up_and_when_that_was_long_ago() {
        let at = Duration::from_millis;
        let mut pace = Pace::new(at(0));
        pace.has_read(at(5_000));
        assert!(pace.behind);
        pace.has_caught_up(at(6_000));
        pace.has_read(at(6_999));
        assert!(!pace.behind);
        pace.has_read(at(7_000));
        assert!(pace.behind);
        pace.has_caught_up(at(7_001));
        assert!(!pace.behind);
    }
}
