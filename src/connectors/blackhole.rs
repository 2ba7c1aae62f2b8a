//! A sink that counts rows and forgets them: to measure, or to run a query for its side effects.
//!
//! `CREATE STREAM nowhere (n BIGINT) WITH (connector = 'blackhole')`. It has no options, can only be
//! written to, and remembers nothing, so nothing can be there twice; for the same reason it is the one stream that takes a
//! result which changes: of an update both rows are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ConnectorInfo;

/// What `WITH (connector = 'blackhole')` offers.
pub const BLACKHOLE: ConnectorInfo =
    ConnectorInfo { name: "blackhole", help: "counts the rows written to it and drops them", options: &[] };

/// How many rows a blackhole has swallowed. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Blackhole {
    rows: Arc<AtomicU64>,
}

impl Blackhole {
    /// Swallows `rows` rows.
    pub fn write(&self, rows: usize) {
        // A count alone: nothing else is ordered by it.
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_count_together() {
        let one = Blackhole::default();
        one.clone().write(3);
        one.write(4);
        assert_eq!(one.rows(), 7);
    }
}
