//! How many bytes the state of all operators of a process may take in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The budget, shared by all that keep state. Who is over it gives up a share in proportion to what it holds.
#[derive(Debug)]
pub struct MemoryBudget {
    limit: AtomicU64,
    used: AtomicU64,
}

impl MemoryBudget {
    /// Of `limit` bytes.
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(MemoryBudget { limit: AtomicU64::new(limit), used: AtomicU64::new(0) })
    }

    /// The limit in bytes.
    pub fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Changes the limit: what is too much then goes within the next steps.
    pub fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Bytes that are used.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// One that held `before` bytes holds `now`.
    pub fn change(&self, before: u64, now: u64) {
        if now >= before {
            self.used.fetch_add(now - before, Ordering::Relaxed);
        } else {
            self.used.fetch_sub(before - now, Ordering::Relaxed);
        }
    }

    /// Whether more is used than may be.
    pub fn is_exceeded(&self) -> bool {
        self.used() > self.limit()
    }

    /// How many of its `own` bytes one should give up now: if the budget is exceeded, so many that, when all do so, three
    /// quarters of it are used; nothing where that would be little.
    pub fn excess(&self, own: u64) -> u64 {
        let (used, limit) = (self.used(), self.limit());
        if used <= limit || own <= limit / 64 {
            return 0;
        }
        let keep = u128::from(own) * u128::from(limit / 4 * 3) / u128::from(used.max(1));
        own - u64::try_from(keep).unwrap_or(own).min(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_hold_much_give_up_in_proportion() {
        let budget = MemoryBudget::new(1000);
        budget.change(0, 900);
        assert_eq!((budget.excess(900), budget.is_exceeded()), (0, false));
        budget.change(0, 600);
        assert_eq!((budget.excess(900), budget.excess(600), budget.excess(10)), (450, 300, 0));
        budget.change(900, 450);
        budget.change(600, 300);
        assert_eq!((budget.used(), budget.excess(450)), (750, 0));
        let none = MemoryBudget::new(0);
        none.change(0, 7);
        assert_eq!(none.excess(7), 7);
    }
}
