//! Rows that leave by their age, once a step says since when rows are kept: only where nothing else bounds the state.
//!
//! The ranks are those of the rows that are kept: one that leaves is taken back, and those behind it move up. That it is
//! taken back by the input later changes nothing.

use super::partitions::{Kept, Partitions};
use crate::operators::StepStart;
use crate::state::ranked::Change;
use std::collections::BTreeMap;

/// A row that has come: its partition, its bytes, and how many of these are its sort key.
#[derive(Debug)]
struct Arrived {
    partition: u32,
    row: Box<[u8]>,
    key: u32,
}

/// A row that leaves, as often as it is there.
#[derive(Debug)]
pub(super) struct Leaver {
    pub(super) partition: u32,
    row: Box<[u8]>,
    key: u32,
    weight: i64,
}

impl Leaver {
    /// What its leaving changes.
    pub(super) fn change(&self) -> Change<'_> {
        Change { row: &self.row, key: self.key, place: 0, weight: -self.weight, came: i64::MIN }
    }
}

/// What is known of the rows' ages. When a row came stands in its entry.
#[derive(Debug, Default)]
pub(super) struct Ages {
    /// The clock of the running step.
    pub(super) now: i64,
    /// While rows leave by their age: they, by the time (ns) when they came. Rows that have gone or have come again
    /// meanwhile are in it still.
    arrivals: Option<BTreeMap<i64, Vec<Arrived>>>,
    /// What leaves in the running step.
    pub(super) leaving: Vec<Leaver>,
    /// Rows that have left.
    pub(super) expired: u64,
    /// Rows that were taken back when they had left already.
    pub(super) ignored: u64,
    /// Rows have come from a checkpoint that does not tell when they came.
    pub(super) some_unknown: bool,
}

impl Ages {
    /// Begins a step: finds the rows that came too long ago.
    pub(super) fn begin(&mut self, start: StepStart, partitions: &mut Partitions) {
        self.now = start.now;
        let Some(since) = start.keep_since else {
            self.arrivals = None;
            return;
        };
        // From now on all have ages.
        self.some_unknown = false;
        let arrivals = self.arrivals.get_or_insert_with(|| all(start.now, partitions));
        while let Some(first) = arrivals.first_entry().filter(|first| *first.key() < since) {
            for Arrived { partition, row, key } in first.remove() {
                let Some(Kept::Many(rows)) = partitions.get_mut(partition).map(|p| &mut p.kept) else {
                    continue;
                };
                let there = rows.get(&row).filter(|entry| entry.came < since && entry.weight > 0);
                let Some(weight) = there.map(|entry| entry.weight) else { continue };
                // Only once: the row may have come, gone and come within the time that is over.
                rows.renew(&row, i64::MAX);
                self.expired += weight as u64;
                self.leaving.push(Leaver { partition, row, key, weight });
            }
        }
    }

    /// Forgets when rows came whose partitions are no longer here.
    pub(super) fn forget(&mut self, partitions: &Partitions) {
        let Some(arrivals) = &mut self.arrivals else { return };
        arrivals.retain(|_, arrived| {
            arrived.retain(|arrived| partitions.get(arrived.partition).is_some());
            !arrived.is_empty()
        });
    }

    /// Whether rows leave by their age.
    pub(super) fn are_counted(&self) -> bool {
        self.arrivals.is_some()
    }

    /// Takes note of rows that have come to a partition.
    pub(super) fn note(&mut self, partition: u32, changes: &[Change]) {
        let Some(arrivals) = &mut self.arrivals else { return };
        for change in changes.iter().filter(|change| change.weight > 0) {
            let arrived = Arrived { partition, row: change.row.into(), key: change.key };
            arrivals.entry(change.came).or_default().push(arrived);
        }
    }

    /// Leaves out of changes of a partition's rows what takes back rows that are not there.
    pub(super) fn only_there(&mut self, kept: &Kept, changes: &mut Vec<Change>) {
        let Kept::Many(rows) = kept else { return };
        for change in changes.iter_mut().filter(|change| change.weight < 0) {
            let there = rows.get(change.row).map_or(0, |entry| entry.weight.max(0));
            self.ignored += (-change.weight - there).max(0) as u64;
            change.weight = change.weight.max(-there);
        }
        changes.retain(|change| change.weight != 0);
    }
}

/// The rows that are there, by the time when they came.
fn all(now: i64, partitions: &mut Partitions) -> BTreeMap<i64, Vec<Arrived>> {
    let mut arrivals: BTreeMap<i64, Vec<Arrived>> = BTreeMap::new();
    let mut unknown = Vec::new();
    for (partition, kept) in partitions.numbered() {
        let Kept::Many(rows) = kept else { continue };
        for entry in rows.all_mut() {
            // Of a row from a checkpoint that does not tell its age, it begins now.
            if entry.came == i64::MAX {
                entry.came = now;
                unknown.push(partition);
            }
            let arrived = Arrived { partition, row: entry.row.clone(), key: entry.key };
            arrivals.entry(entry.came).or_default().push(arrived);
        }
    }
    unknown.into_iter().for_each(|partition| partitions.note_unsaved(partition));
    arrivals
}

#[cfg(test)]
mod tests {
    use super::super::tests::{input, ranked, spec, sum};
    use super::super::{RankFunction, TopN, TopNSpec};
    use super::*;
    use crate::delta::{Delta, WATERMARK_NONE, draw, drawn};
    use crate::operators::Operator;
    use proptest::prelude::*;

    fn unbounded(function: RankFunction, last: Option<u64>) -> TopNSpec {
        TopNSpec { unbounded: true, ..spec(function, 1, last, true) }
    }

    /// A step at the time `now`, where rows are kept for `ttl`.
    fn step(operator: &mut TopN, now: i64, ttl: Option<i64>, rows: &str) -> Vec<Delta> {
        let mut out = Vec::new();
        operator
            .begin_step(StepStart { closed: WATERMARK_NONE, now, keep_since: ttl.map(|ttl| now - ttl) })
            .unwrap();
        operator.push(0, drawn(&input(), rows), &mut out).unwrap();
        operator.finish_step(WATERMARK_NONE, &mut out).unwrap();
        out
    }

    fn counts(operator: &TopN) -> [u64; 3] {
        let metrics = operator.metrics();
        [metrics.state_rows, metrics.expired, metrics.ignored]
    }

    #[test]
    fn the_ranks_are_those_of_the_rows_that_are_kept() {
        let mut operator = TopN::new(unbounded(RankFunction::RowNumber, None)).unwrap();
        let mut at = |now: i64, rows: &str| {
            let out = draw(&step(&mut operator, now, Some(10), rows));
            (out, counts(&operator))
        };
        assert_eq!(at(0, "+ 1 50 0").0, "+ 1 50 0 1\n");
        assert_eq!(at(5, "+ 1 40 0").0, "+ 1 40 0 2\n");
        assert_eq!(at(10, "").1, [2, 0, 0]);
        assert_eq!(at(11, ""), ("- 1 50 0 1\n- 1 40 0 2\n+ 1 40 0 1\n".into(), [1, 1, 0]));
        assert_eq!(at(12, "- 1 50 0\n+ 1 60 0"), ("+ 1 60 0 1\n- 1 40 0 1\n+ 1 40 0 2\n".into(), [2, 1, 1]));
        // One that comes again as the one before leaves is there anew.
        let (out, now) = at(23, "+ 1 60 0");
        assert_eq!((out.lines().count(), now), (3, [1, 3, 1]), "{out}");
        assert_eq!(at(33, "").1, [1, 3, 1]);
        assert_eq!(at(34, ""), ("- 1 60 0 1\n".into(), [0, 4, 1]));
    }

    #[test]
    fn ages_begin_with_the_rows_whenever_they_are_asked_for() {
        let new = || TopN::new(unbounded(RankFunction::Rank, Some(1))).unwrap();
        let mut operator = new();
        step(&mut operator, 0, None, "+ 1 50 0");
        step(&mut operator, 20, None, "+ 1 40 0");
        let tables = operator.snapshot().unwrap();
        let mut restored = new();
        restored.restore(tables.clone()).unwrap();
        for mut operator in [operator, restored] {
            assert_eq!(draw(&step(&mut operator, 25, Some(10), "")), "- 1 50 0 1\n+ 1 40 0 1\n");
            assert_eq!(counts(&operator), [1, 1, 0]);
        }
        // A checkpoint of before does not tell ages: they begin now.
        let mut old = tables;
        let columns: Vec<usize> = (0..old[0].batch.num_columns() - 1).collect();
        old[0].batch = old[0].batch.project(&columns).unwrap();
        let mut operator = new();
        operator.restore(old).unwrap();
        for (now, left) in [(25, 2), (35, 2), (36, 0)] {
            step(&mut operator, now, Some(10), "");
            assert_eq!(counts(&operator)[0], left, "at {now}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// After every step the sum of the deltas is the ranking of the rows that are kept, also by way of a checkpoint.
        #[test]
        fn the_sum_of_the_deltas_is_the_ranking_of_what_is_kept(
            function in prop::sample::select(vec![RankFunction::RowNumber, RankFunction::Rank, RankFunction::DenseRank]),
            last in prop::option::of(1u64..4),
            ttl in 2i64..10,
            moves in prop::collection::vec(
                (0i64..4, prop::collection::vec((0i64..2, 0i64..4, 0i64..2, any::<bool>()), 0..8), any::<bool>()), 1..14),
        ) {
            let spec = unbounded(function, last);
            let mut operator = TopN::new(spec.clone()).unwrap();
            let mut upstream: BTreeMap<[i64; 3], i64> = BTreeMap::new();
            let mut kept: BTreeMap<[i64; 3], (i64, i64)> = BTreeMap::new();
            let (mut out, mut now) = (Vec::new(), 0);
            for (later, changes, restart) in moves {
                now += later;
                let (mut text, mut net) = (String::new(), BTreeMap::<[i64; 3], i64>::new());
                for (k, v, w, back) in changes {
                    let there = upstream.entry([k, v, w]).or_default();
                    let weight = if back && *there > 0 { -1 } else { 1 };
                    *there += weight;
                    *net.entry([k, v, w]).or_default() += weight;
                    text.push_str(&format!("{weight:+} {k} {v} {w}\n"));
                }
                out.extend(step(&mut operator, now, Some(ttl), &text));
                kept.retain(|_, (_, came)| *came >= now - ttl);
                for (row, weight) in net.into_iter().filter(|(_, weight)| *weight != 0) {
                    let entry = kept.entry(row).or_insert((0, now));
                    let weight = weight.max(-entry.0);
                    *entry = (entry.0 + weight, if weight > 0 { now } else { entry.1 });
                }
                kept.retain(|_, (weight, _)| *weight != 0);
                let rows = kept.iter().map(|(row, (weight, _))| (*row, *weight)).collect();
                prop_assert_eq!(sum(&spec, &out), ranked(&spec, &rows), "at {}", now);
                if restart {
                    let tables = operator.snapshot().unwrap();
                    operator = TopN::new(spec.clone()).unwrap();
                    operator.restore(tables).unwrap();
                }
            }
        }
    }
}
