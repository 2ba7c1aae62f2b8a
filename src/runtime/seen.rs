//! What a running job's parts look like from outside: the step loop notes it, the monitor tells it.

use super::checkpoint::Totals;
use super::feed::PartitionState;
use super::step_times::StepTimes;
use crate::delta::{EventTime, Part, WATERMARK_NONE};
use crate::operators::{OpenWindow, Operator, OperatorMetrics};
use arrow::array::{Array, ArrayRef};
use std::cell::Cell;
use std::time::Duration;

/// How many rows a worker's node has taken and given.
#[derive(Debug, Clone, Default)]
pub(super) struct RowCount {
    taken: Cell<u64>,
    given: Cell<u64>,
}

/// What a worker's end of an exchange has sent to other workers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) rows: u64,
    /// Bytes of their columns.
    pub(super) bytes: u64,
}

impl Moved {
    /// Counts rows that go to another worker.
    pub(super) fn add(&mut self, part: &Part) {
        self.rows += part.num_rows() as u64;
        let beside = part.num_rows() * part.numbers_beside() * size_of::<i64>();
        // What has no size of its own, such as views into another's bytes, is counted as the room that it takes.
        let bytes = |c: &ArrayRef| c.to_data().get_slice_memory_size().unwrap_or(c.get_array_memory_size());
        let columns = part.columns().iter().map(bytes).sum::<usize>() as f64 * part.share();
        self.bytes += columns as u64 + beside as u64;
    }
}

impl RowCount {
    pub(super) fn took(&self, rows: usize) {
        self.taken.set(self.taken.get() + rows as u64);
    }

    pub(super) fn gave(&self, rows: usize) {
        self.given.set(self.given.get() + rows as u64);
    }
}

/// What a node shows, summed over the workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NodeSeen {
    pub(super) metrics: OperatorMetrics,
    /// Rows taken and given in this run.
    pub(super) rows_in: u64,
    pub(super) rows_out: u64,
    /// What went to other workers in this run, if it is an exchange.
    pub(super) moved: Moved,
    /// The window that closes next.
    pub(super) open: Option<OpenWindow>,
    /// The watermark of its output.
    pub(super) reached: EventTime,
}

impl Default for NodeSeen {
    fn default() -> Self {
        let metrics = OperatorMetrics::default();
        let moved = Moved::default();
        NodeSeen { metrics, rows_in: 0, rows_out: 0, moved, open: None, reached: WATERMARK_NONE }
    }
}

impl NodeSeen {
    pub(super) fn of(
        operator: Option<&mut dyn Operator>,
        rows: &RowCount,
        moved: Moved,
        reached: EventTime,
    ) -> Self {
        let (rows_in, rows_out) = (rows.taken.get(), rows.given.get());
        let (metrics, open) = match operator {
            Some(operator) => (operator.metrics(), operator.open_window()),
            None => Default::default(),
        };
        NodeSeen { metrics, rows_in, rows_out, moved, open, reached }
    }

    /// Adds what another worker's part of the node shows.
    pub(super) fn add(&mut self, other: &NodeSeen) {
        self.metrics.add(&other.metrics);
        self.rows_in += other.rows_in;
        self.rows_out += other.rows_out;
        self.moved.rows += other.moved.rows;
        self.moved.bytes += other.moved.bytes;
        self.open = self.open.into_iter().chain(other.open).min_by_key(|open| open.closes);
        self.reached = self.reached.max(other.reached);
    }
}

/// A checkpoint that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checkpointed {
    pub(super) step: u64,
    /// When (ns since the epoch); none = in an earlier run.
    pub(super) at: Option<i64>,
    pub(super) took: Duration,
}

/// What the step loop shows of itself between two steps.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) step: u64,
    /// How long the steps of this run took.
    pub(super) steps: StepTimes,
    /// For each source its partitions.
    pub(super) partitions: Vec<Vec<PartitionState>>,
    /// For each source its watermark.
    pub(super) watermarks: Vec<EventTime>,
    pub(super) nodes: Vec<NodeSeen>,
    /// For each statement its counters of this run, and of all.
    pub(super) parts: Vec<(Totals, Totals)>,
    pub(super) checkpoint: Option<Checkpointed>,
    /// No step is made until it is told to go on: everything is written, and a checkpoint made.
    pub(super) held: bool,
    /// How many checkpoints that were asked for have been made.
    pub(super) answered: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_workers_the_window_that_closes_first_is_next() {
        let window = |end| OpenWindow { end, closes: end + 5, waits: true };
        let seen =
            |rows, open| NodeSeen { rows_in: rows, rows_out: 1, open, reached: 7, ..Default::default() };
        let mut sum = NodeSeen::default();
        for (rows, open) in [(3, None), (4, Some(window(20))), (5, Some(window(10)))] {
            sum.add(&seen(rows, open));
        }
        assert_eq!(
            sum,
            NodeSeen { rows_in: 12, rows_out: 3, open: Some(window(10)), reached: 7, ..Default::default() }
        );
    }
}
