//! Rows that leave by their age: those of a side that nothing else bounds, once a step says since when rows are kept.
//!
//! What has been given of such a row stays given; it meets no row any more, and that it is taken back later changes
//! nothing. So that no row of the other side seems unmatched because its match has left, each keeps count of its own
//! matches (see [`super::Matching::Row`]), from which those that leave by their age are not taken.

use super::Join;
use crate::delta::{Delta, Part, consolidate};
use crate::operators::{Result, StepStart};
use crate::state::key_table::NO_SLOT;
use crate::state::row_lists::{NO_ROW, RowLists};
use arrow::array::{BooleanArray, Int64Array};
use std::collections::BTreeMap;

/// Rows of one side by the time (ns) at which they came. Those that have gone or have come again meanwhile are in it still.
type Arrivals = BTreeMap<i64, Vec<u32>>;

/// What is known of the rows' ages. When a row came stands in its entry, as its `until`.
#[derive(Debug, Default)]
pub(super) struct Ages {
    /// The clock of the running step.
    now: i64,
    /// While rows leave by their age: those of each side.
    arrivals: Option<[Arrivals; 2]>,
    /// What came in this step for a side that takes rows back: what is left of it is seen at the step's end.
    waiting: [Vec<Delta>; 2],
    /// Rows that have left.
    pub(super) expired: u64,
    /// Rows that were taken back when they had left already.
    pub(super) ignored: u64,
}

impl Ages {
    /// A row of a side that nothing bounds has come, once more if it is there already.
    pub(super) fn note(&mut self, side: usize, rows: &mut RowLists, id: u32) {
        if rows.until(id) == self.now {
            return;
        }
        rows.set_until(id, self.now);
        if let Some(arrivals) = &mut self.arrivals {
            arrivals[side].entry(self.now).or_default().push(id);
        }
    }

    /// A row has come back that came at some time before.
    pub(super) fn note_arrival(&mut self, side: usize, id: u32, came: i64) {
        if let Some(arrivals) = &mut self.arrivals {
            arrivals[side].entry(came).or_default().push(id);
        }
    }
}

impl Join {
    /// Whether the rows of a side have ages.
    pub(super) fn ages_of(&self, side: usize) -> bool {
        self.aging && self.spec.unbounded[side]
    }

    /// From now on rows have ages, and each counts its own matches. (Before, a count for each key is cheaper.)
    pub(super) fn begin_ages(&mut self) {
        self.aging = true;
        let before = std::mem::replace(&mut self.matching, self.spec.matching(true));
        if before != self.matching {
            self.count_all();
        }
        self.note_all_unsaved();
    }

    /// Begins a step: rows that came too long ago leave.
    pub(super) fn begin(&mut self, start: StepStart) -> Result<()> {
        self.ages.now = start.now;
        if start.keep_since.is_some() && !self.aging && self.spec.unbounded != [false; 2] {
            self.begin_ages();
        }
        if !self.aging {
            return Ok(());
        }
        let Some(since) = start.keep_since else {
            self.ages.arrivals = None;
            return Ok(());
        };
        let mut arrivals = match self.ages.arrivals.take() {
            Some(arrivals) => arrivals,
            None => self.arrivals(start.now),
        };
        for (side, arrivals) in arrivals.iter_mut().enumerate() {
            while let Some(first) = arrivals.first_entry().filter(|first| *first.key() < since) {
                first.remove().into_iter().for_each(|id| self.leave(side, id, since));
            }
        }
        self.ages.arrivals = Some(arrivals);
        self.clean()
    }

    /// The rows that are there, by their age.
    fn arrivals(&mut self, now: i64) -> [Arrivals; 2] {
        let mut arrivals = [Arrivals::new(), Arrivals::new()];
        for (side, arrivals) in arrivals.iter_mut().enumerate() {
            if !self.ages_of(side) {
                continue;
            }
            let ids: Vec<u32> = self.rows[side].ids().collect();
            for id in ids {
                let rows = &mut self.rows[side];
                // Of a row from a checkpoint that does not tell its age, it begins now.
                let (slot, unknown) = (rows.slot(id), rows.until(id) == i64::MAX);
                if unknown {
                    rows.set_until(id, now);
                }
                arrivals.entry(rows.until(id)).or_default().push(id);
                if unknown {
                    self.note_unsaved(side, slot);
                }
            }
        }
        arrivals
    }

    /// Forgets when rows came that are no longer here.
    pub(super) fn forget_arrivals(&mut self) {
        if self.ages.arrivals.take().is_some() {
            self.ages.arrivals = Some(self.arrivals(self.ages.now));
        }
    }

    /// A row leaves, unless its entry is another row's now, or it has come again.
    fn leave(&mut self, side: usize, id: u32, since: i64) {
        let rows = &mut self.rows[side];
        let (slot, weight) = (rows.slot(id), rows.weight(id));
        if slot == NO_ROW || rows.until(id) >= since {
            return;
        }
        rows.set_weight(id, 0);
        self.slots[slot as usize].weights[side] -= weight;
        self.ages.expired += weight.max(0) as u64;
        self.dead[side].push(id);
    }

    /// Whether a side's rows wait for the step's end, when it is known which of those that are taken back are there.
    pub(super) fn waits(&self, side: usize) -> bool {
        self.ages.arrivals.is_some() && self.ages_of(side) && !self.spec.inputs[side].append_only
    }

    /// A side's rows wait.
    pub(super) fn wait(&mut self, side: usize, delta: Delta) {
        self.ages.waiting[side].push(delta);
    }

    /// What is left of a side's rows that have waited, without those that are taken back but are not there.
    pub(super) fn waited(&mut self, side: usize) -> Result<Option<Delta>> {
        let waiting = std::mem::take(&mut self.ages.waiting[side]);
        if waiting.is_empty() {
            return Ok(None);
        }
        let (batch, weights) = consolidate(&self.spec.inputs[side].schema, &waiting)?;
        let delta = Delta::weighted(batch, Some(weights.clone()));
        let part = Part::from(delta.clone());
        let keys = self.key_columns(side, &part)?;
        self.intern(&keys, delta.num_rows())?;
        let slots = std::mem::take(&mut self.scratch);
        let incoming = self.rows[side].incoming(part.columns(), part.chosen())?;
        let mut left = Vec::with_capacity(slots.len());
        for (row, slot) in slots.iter().enumerate() {
            let mut weight = weights.value(row);
            // A row that can match nothing is not kept: it has not left.
            if weight < 0 && *slot != NO_SLOT {
                let there = self.rows[side].find(*slot, &incoming, row);
                let there = there.map_or(0, |id| self.rows[side].weight(id).max(0));
                self.ages.ignored += (-weight - there).max(0) as u64;
                weight = weight.max(-there);
                // Its key may have come into being for the look-up alone.
                self.empty.push(*slot);
            }
            left.push(weight);
        }
        self.scratch = slots;
        let some: BooleanArray = left.iter().map(|weight| Some(*weight != 0)).collect();
        Ok(Some(Delta::weighted(delta.batch, Some(Int64Array::from(left))).filter(&some)?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{TYPES, net, schema, spec};
    use super::super::{Join, JoinSpec};
    use super::*;
    use crate::delta::{WATERMARK_NONE, drawn};
    use crate::operators::{Operator, StateTable};
    use datafusion::common::JoinType;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// A join in which nothing bounds either side.
    fn unbounded(join_type: JoinType, residual: bool, append_only: [bool; 2]) -> JoinSpec {
        let mut spec = spec(join_type, residual, false);
        spec.unbounded = [0, 1].map(|side| !spec.counts_only(side));
        for (input, append_only) in spec.inputs.iter_mut().zip(append_only) {
            input.append_only = append_only;
        }
        spec
    }

    fn changing(join_type: JoinType) -> Join {
        Join::new(unbounded(join_type, false, [false; 2])).unwrap()
    }

    /// A step at the time `now`, where rows are kept for `ttl`; the net of what goes out.
    fn step(join: &mut Join, now: i64, ttl: Option<i64>, left: &str, right: &str) -> String {
        let mut out = Vec::new();
        join.begin_step(StepStart { closed: WATERMARK_NONE, now, keep_since: ttl.map(|ttl| now - ttl) })
            .unwrap();
        for (port, text) in [left, right].into_iter().enumerate() {
            join.push(port, drawn(&schema(port), text), &mut out).unwrap();
        }
        join.finish_step(WATERMARK_NONE, &mut out).unwrap();
        net(&join.spec.schema, &out)
    }

    fn counts(join: &Join) -> [u64; 3] {
        let metrics = join.metrics();
        [metrics.state_rows, metrics.expired, metrics.ignored]
    }

    #[test]
    fn a_row_that_leaves_changes_nothing_that_was_given() {
        let mut join = changing(JoinType::Left);
        assert_eq!(step(&mut join, 0, Some(10), "+ 1 10", "+ 1 7"), "+ 1 10 1 7\n");
        assert_eq!(step(&mut join, 5, Some(10), "+ 1 11", ""), "+ 1 11 1 7\n");
        assert_eq!(step(&mut join, 10, Some(10), "", ""), "", "as old as the limit is not older");
        assert_eq!(counts(&join), [3, 0, 0]);
        assert_eq!(step(&mut join, 11, Some(10), "+ 1 12", ""), "+ 1 12 null null\n");
        assert_eq!(counts(&join), [2, 2, 0]);
        // The row of the time 5 has had its match: nothing is taken back for it.
        let out = step(&mut join, 12, Some(10), "", "+ 1 8");
        assert_eq!(out, "+ 1 11 1 8\n- 1 12 null null\n+ 1 12 1 8\n");
        assert_eq!(step(&mut join, 13, Some(10), "- 1 10", "- 1 7\n- 9 9"), "");
        assert_eq!(counts(&join), [3, 2, 3]);
        let out = step(&mut join, 14, Some(10), "", "- 1 8");
        assert_eq!(out, "- 1 11 1 8\n+ 1 12 null null\n- 1 12 1 8\n");
        assert_eq!(step(&mut join, 99, Some(10), "", ""), "");
        assert_eq!(counts(&join), [0, 4, 3]);
        assert!(join.keys.is_empty());
    }

    #[test]
    fn a_row_that_comes_again_stays() {
        let mut join = changing(JoinType::Inner);
        step(&mut join, 0, Some(10), "+ 1 10", "");
        step(&mut join, 8, Some(10), "+ 1 10", "");
        assert_eq!(step(&mut join, 15, Some(10), "", "+ 1 7"), "+2 1 10 1 7\n");
        assert_eq!(step(&mut join, 19, Some(10), "", "+ 1 8"), "");
        assert_eq!(counts(&join), [2, 2, 0]);
    }

    #[test]
    fn a_row_taken_back_before_it_comes_in_the_same_step_is_none() {
        let mut join = changing(JoinType::Inner);
        step(&mut join, 0, Some(10), "", "+ 1 7");
        assert_eq!(step(&mut join, 1, Some(10), "- 1 10\n+ 1 10\n- 1 11\n+2 1 11", ""), "+ 1 11 1 7\n");
        assert_eq!(counts(&join), [2, 0, 0]);
    }

    #[test]
    fn only_sides_that_nothing_bounds_are_cut() {
        let mut spec = spec(JoinType::Inner, false, false);
        spec.unbounded = [true, false];
        let mut join = Join::new(spec).unwrap();
        step(&mut join, 0, Some(10), "+ 1 10", "+ 1 7");
        assert_eq!(step(&mut join, 50, Some(10), "+ 1 11", ""), "+ 1 11 1 7\n");
        assert_eq!(counts(&join), [2, 1, 0]);
    }

    fn restored(tables: Vec<StateTable>) -> Join {
        let mut join = changing(JoinType::Full);
        join.restore(tables).unwrap();
        join
    }

    #[test]
    fn rows_that_were_there_before_have_their_age_from_the_first_step_that_asks() {
        let mut join = changing(JoinType::Full);
        step(&mut join, 0, None, "+ 1 10", "+ 1 7");
        step(&mut join, 20, None, "+ 2 20", "");
        let tables = join.snapshot().unwrap();
        for mut join in [join, restored(tables)] {
            assert_eq!(step(&mut join, 25, Some(10), "", "- 1 7"), "+ 1 10 null null\n- 1 10 1 7\n");
            assert_eq!(step(&mut join, 35, Some(10), "", ""), "");
            assert_eq!(counts(&join), [2, 0, 0]);
            step(&mut join, 36, Some(10), "", "");
            assert_eq!(counts(&join), [0, 2, 0]);
        }
    }

    #[test]
    fn a_checkpoint_tells_ages_and_what_has_left_is_not_looked_for() {
        let mut join = changing(JoinType::Full);
        step(&mut join, 0, Some(10), "+ 1 10", "");
        step(&mut join, 5, Some(10), "+ 2 20", "+ 1 7");
        let mut join = restored(join.snapshot().unwrap());
        assert_eq!(step(&mut join, 12, Some(10), "", "+ 1 8"), "+ null null 1 8\n");
        assert_eq!(counts(&join), [3, 1, 0]);
        // Later, without a limit: the row that was matched was not given alone, although its match has left.
        let mut join = restored(join.snapshot().unwrap());
        assert_eq!(step(&mut join, 90, None, "", "- 1 7"), "");
        assert_eq!(counts(&join), [2, 0, 0]);
    }

    /// What one side of a join holds: rows with their weights and when they came.
    type Held = BTreeMap<(i64, i64), (i64, i64)>;

    /// A step of one side, as it is meant: rows that are too old go, then the net of what comes and goes. Gives the change.
    fn held(side: &mut Held, net: &BTreeMap<(i64, i64), i64>, now: i64, ttl: i64) -> Vec<((i64, i64), i64)> {
        side.retain(|_, (_, came)| *came >= now - ttl);
        let mut changes = Vec::new();
        for (row, weight) in net {
            let (there, came) = side.get(row).copied().unwrap_or((0, now));
            let weight = (*weight).max(-there);
            let came = if weight > 0 { now } else { came };
            side.insert(*row, (there + weight, came));
            changes.push((*row, weight));
        }
        side.retain(|_, (weight, _)| *weight != 0);
        changes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// Whatever leaves, no more of a row is taken back than was given; inner joins give the pairs of the rows that are
        /// kept; at last all have left; and a checkpoint in the middle changes nothing of that.
        #[test]
        fn no_row_is_taken_back_that_was_not_given(
            which in 0..TYPES.len(),
            residual in any::<bool>(),
            append_only in any::<[bool; 2]>(),
            ttl in 2i64..12,
            steps in proptest::collection::vec(
                (0i64..4, proptest::collection::vec((0..2usize, 0..3i64, 0..3i64, any::<bool>()), 0..6)), 1..14),
            restored in 0..14usize,
        ) {
            let spec = unbounded(TYPES[which], residual, append_only);
            let mut join = Join::new(spec.clone()).unwrap();
            // What is upstream, where nothing is forgotten.
            let mut upstream: [BTreeMap<(i64, i64), i64>; 2] = Default::default();
            let mut model: [Held; 2] = Default::default();
            let (mut sum, mut pairs) = (BTreeMap::<String, i64>::new(), BTreeMap::<String, i64>::new());
            let mut now = 0;
            for (number, (later, changes)) in steps.iter().enumerate() {
                now += later;
                let (mut texts, mut net) = ([String::new(), String::new()], [BTreeMap::new(), BTreeMap::new()]);
                for (side, key, value, back) in changes {
                    let row = (*key, *value);
                    let weight = upstream[*side].entry(row).or_default();
                    let change = if *back && *weight > 0 && !append_only[*side] { -1 } else { 1 };
                    *weight += change;
                    *net[*side].entry(row).or_default() += change;
                    texts[*side].push_str(&format!("{change:+} {key} {value}\n"));
                }
                let out = step(&mut join, now, Some(ttl), &texts[0], &texts[1]);
                for line in out.lines() {
                    let (sign, row) = line.split_once(' ').unwrap();
                    let n = match sign { "+" => 1, "-" => -1, n => n.parse().unwrap() };
                    let sum = sum.entry(row.into()).or_default();
                    *sum += n;
                    prop_assert!(*sum >= 0, "{} is taken back in step {}", row, number);
                }
                // Rows that only come have an age each, so they are no model's.
                if TYPES[which] == JoinType::Inner && append_only == [false; 2] {
                    let right: Held = {
                        let mut right = model[1].clone();
                        right.retain(|_, (_, came)| *came >= now - ttl);
                        right
                    };
                    let left = held(&mut model[0], &net[0], now, ttl);
                    let came = held(&mut model[1], &net[1], now, ttl);
                    let mut add = |l: (i64, i64), r: (i64, i64), n: i64| {
                        if l.0 == r.0 && (!residual || l.1 < r.1) && n != 0 {
                            *pairs.entry(format!("{} {} {} {}", l.0, l.1, r.0, r.1)).or_default() += n;
                        }
                    };
                    for (l, n) in left {
                        right.iter().for_each(|(r, (m, _))| add(l, *r, n * m));
                    }
                    for (r, m) in came {
                        model[0].iter().for_each(|(l, (n, _))| add(*l, r, n * m));
                    }
                    sum.retain(|_, n| *n != 0);
                    pairs.retain(|_, n| *n != 0);
                    prop_assert_eq!(&sum, &pairs);
                }
                if number == restored {
                    let tables = join.snapshot().unwrap();
                    join = Join::new(spec.clone()).unwrap();
                    join.restore(tables).unwrap();
                }
            }
            step(&mut join, now + 100, Some(ttl), "", "");
            prop_assert_eq!(join.metrics().state_rows, 0);
        }
    }
}
