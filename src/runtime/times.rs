//! How far time has come: of each source, and of each statement over its sources.
//!
//! A statement that reads several sources waits for the one that is behind. One whose partitions have all been silent for
//! the idle timeout is not waited for: where its rows come in, time is lifted to where the statement's other sources are, and
//! its rows that come later than that are told apart as those of an idle partition are. (Flink leaves an idle input out of the
//! least in the same way, but lets a window in front of a join fire behind the join's time.)

use super::feed::PartitionState;
use crate::delta::{EventTime, WATERMARK_END, WATERMARK_NONE};
use crate::plan::{SharedFlow, Spec};

/// Event times (ns) that have been reached.
#[derive(Debug, Clone)]
pub(super) struct Reached {
    /// By each source.
    pub(super) sources: Vec<EventTime>,
    /// By each statement: the least over its sources that hold it, never less than before.
    pub(super) parts: Vec<EventTime>,
}

/// A source as a statement's time sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct SourceTime {
    reached: EventTime,
    /// Each of its partitions is idle or has ended.
    silent: bool,
}

impl SourceTime {
    /// `timed` = it has a column of event times; one that has none says nothing of time, however silent it is.
    pub(super) fn of(partitions: &[PartitionState], reached: EventTime, timed: bool) -> Self {
        SourceTime { reached, silent: timed && partitions.iter().all(|p| p.idle || p.ended) }
    }
}

/// How far a statement over these sources is: the least of those that are neither silent nor at their end; if there is none,
/// the greatest that a silent one has reached.
pub(super) fn statement_time(sources: impl Iterator<Item = SourceTime> + Clone) -> EventTime {
    let live = sources.filter(|s| s.reached != WATERMARK_END);
    let holding = live.clone().filter(|s| !s.silent).map(|s| s.reached).min();
    holding.or_else(|| live.map(|s| s.reached).max()).unwrap_or(WATERMARK_END)
}

/// Where in a dataflow time is lifted.
#[derive(Debug)]
pub(super) struct Lifts {
    /// Whether a node only passes on its sources' rows, in their time.
    passes: Vec<bool>,
    /// The statements that each node is for.
    parts: Vec<Vec<usize>>,
}

impl Lifts {
    pub(super) fn of(flow: &SharedFlow) -> Self {
        let mut passes: Vec<bool> = Vec::with_capacity(flow.nodes.len());
        for node in &flow.nodes {
            let alone = match node.spec {
                Spec::Source(_) | Spec::Values(_) | Spec::Filter(_) | Spec::Project(_) => true,
                Spec::Exchange(_) | Spec::Union | Spec::Expand(_) | Spec::Unnest(_) => true,
                // They judge rows by time, or hold them.
                Spec::Window(_) | Spec::InTime(_) | Spec::Session(_) | Spec::Upsert(_) => false,
                Spec::Aggregate(_) | Spec::Join(_) | Spec::SingleRow | Spec::TopN(_) | Spec::Threshold(_) => {
                    false
                }
            };
            passes.push(alone && node.inputs.iter().all(|n| passes[*n]));
        }
        let of_node = |n| (0..flow.parts.len()).filter(|p| flow.parts[*p].reached.contains(&n)).collect();
        Lifts { passes, parts: (0..flow.nodes.len()).map(of_node).collect() }
    }

    /// What the rows of `input` have reached when they come into `node`, by their own watermark and the statements' times. Rows
    /// that have been judged or held before stay in the time that they were judged by; and where a node is for several
    /// statements, none of them may lose rows because another one does not wait.
    pub(super) fn reached(
        &self,
        node: usize,
        input: usize,
        watermark: EventTime,
        parts: &[EventTime],
    ) -> EventTime {
        if !self.passes[input] {
            return watermark;
        }
        let least = self.parts[node].iter().map(|p| parts[*p]).min();
        watermark.max(least.unwrap_or(WATERMARK_NONE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(reached: EventTime, silent: bool) -> SourceTime {
        SourceTime { reached, silent }
    }

    #[test]
    fn a_silent_source_is_not_waited_for_unless_all_are() {
        let time = |sources: &[SourceTime]| statement_time(sources.iter().copied());
        assert_eq!(time(&[source(5, false), source(9, false)]), 5);
        assert_eq!(time(&[source(5, true), source(9, false)]), 9);
        assert_eq!(time(&[source(WATERMARK_NONE, true), source(9, false)]), 9);
        assert_eq!(time(&[source(5, true), source(9, true)]), 9);
        assert_eq!(time(&[source(5, true), source(WATERMARK_END, true)]), 5, "it may go on");
        assert_eq!(time(&[source(WATERMARK_END, true), source(WATERMARK_END, false)]), WATERMARK_END);
        assert_eq!(time(&[source(WATERMARK_NONE, false), source(9, false)]), WATERMARK_NONE);
    }
}
