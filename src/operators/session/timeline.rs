//! One key's rows in the order of their times, and its sessions.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::ops::RangeBounds;

/// A row's place: its time, then its bytes.
pub(super) type Place = (i64, Box<[u8]>);
/// Rows with their weights.
pub(super) type Rows = BTreeMap<Place, i64>;

/// From the first row's time to the last's, in the time column's unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Session {
    pub(super) start: i64,
    pub(super) last: i64,
}

impl Session {
    /// The places of the session's rows.
    pub(super) fn places(self) -> impl RangeBounds<Place> {
        let end = self.last.checked_add(1).map_or(Unbounded, |after| Excluded(first_at(after)));
        (Included(first_at(self.start)), end)
    }
}

/// One row's part of a step.
pub(super) struct Change<'a> {
    pub(super) time: i64,
    pub(super) row: &'a [u8],
    pub(super) weight: i64,
}

/// What a step did to a timeline.
#[derive(Debug)]
pub(super) struct Touched {
    /// The sessions before that are near a changed row, in order.
    pub(super) old: Vec<Session>,
    /// The sessions now that are near a changed row, in order. What is in both is as it was, but for changed rows.
    pub(super) new: Vec<Session>,
    /// The changed rows with the weights that they had, if that was asked for.
    pub(super) before: Rows,
}

/// What all timelines hold.
#[derive(Debug, Default)]
pub(super) struct Size {
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

/// Rough cost of a row beside its bytes: its place in the tree.
const ROW_BYTES: usize = 40;

impl Size {
    fn add(&mut self, place: &Place) {
        self.rows += 1;
        self.bytes += place.1.len() + ROW_BYTES;
    }

    fn remove(&mut self, place: &Place) {
        self.rows -= 1;
        self.bytes -= place.1.len() + ROW_BYTES;
    }
}

/// The first place that a row of this time can have.
fn first_at(time: i64) -> Place {
    // No bytes: nothing is allocated.
    (time, Box::default())
}

/// One key's rows. A row is there while its weight is greater than 0: only then it counts for the sessions.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    rows: Rows,
    /// First row's time → last row's time. They are further than a gap apart.
    sessions: BTreeMap<i64, i64>,
    /// The last checkpoint may have rows of it.
    pub(super) saved: bool,
    /// It is among those that have changed since the last checkpoint.
    pub(super) unsaved: bool,
    /// It has been used since it was last looked at whether it may leave memory.
    pub(super) used: bool,
}

impl Timeline {
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Its rows, which are no longer counted.
    pub(super) fn into_rows(self, size: &mut Size) -> Rows {
        self.rows.keys().for_each(|place| size.remove(place));
        self.rows
    }

    pub(super) fn sessions(&self) -> impl Iterator<Item = Session> {
        self.sessions.iter().map(|(start, last)| Session { start: *start, last: *last })
    }

    /// Takes changes in, which come in the order of their times.
    pub(super) fn apply(&mut self, changes: &[Change], gap: i64, remember: bool, size: &mut Size) -> Touched {
        let mut times: Vec<(i64, bool)> = Vec::new();
        for change in changes {
            if times.last().is_none_or(|(time, _)| *time != change.time) {
                times.push((change.time, self.has(change.time)));
            }
        }
        let old = self.near(&times, gap);
        let mut before = Rows::new();
        for change in changes {
            self.add(change, remember.then_some(&mut before), size);
        }
        // First all that come: a time that has gone is in the way of none of them, and is taken out of whatever
        // session it is in then.
        for (time, had) in &times {
            if !had && self.has(*time) {
                self.join(*time, gap);
            }
        }
        for (time, had) in &times {
            if *had && !self.has(*time) {
                self.part(*time, gap);
            }
        }
        let new = self.near(&times, gap);
        Touched { old, new, before }
    }

    /// The first session and the rows up to its end.
    pub(super) fn take_first(&mut self, size: &mut Size) -> Option<(Session, Rows)> {
        let (start, last) = self.sessions.pop_first()?;
        let rest = match self.sessions.first_key_value() {
            Some((next, _)) => self.rows.split_off(&first_at(*next)),
            None => Rows::new(),
        };
        let taken = std::mem::replace(&mut self.rows, rest);
        taken.keys().for_each(|place| size.remove(place));
        Some((Session { start, last }, taken))
    }

    fn add(&mut self, change: &Change, before: Option<&mut Rows>, size: &mut Size) {
        use std::collections::btree_map::Entry;
        match self.rows.entry((change.time, change.row.into())) {
            Entry::Vacant(place) => {
                if let Some(before) = before {
                    before.entry(place.key().clone()).or_insert(0);
                }
                size.add(place.key());
                place.insert(change.weight);
            }
            Entry::Occupied(mut place) => {
                if let Some(before) = before {
                    before.entry(place.key().clone()).or_insert(*place.get());
                }
                *place.get_mut() += change.weight;
                if *place.get() == 0 {
                    size.remove(place.key());
                    place.remove();
                }
            }
        }
    }

    /// Whether a row of this time is there.
    fn has(&self, time: i64) -> bool {
        self.rows.range(Session { start: time, last: time }.places()).any(|(_, weight)| *weight > 0)
    }

    /// The sessions within a gap of one of the times, in order.
    fn near(&self, times: &[(i64, bool)], gap: i64) -> Vec<Session> {
        let mut near: Vec<Session> = Vec::new();
        for (time, _) in times {
            let first = time.saturating_sub(gap);
            let upto = self.sessions.range(..=time.saturating_add(gap)).rev();
            let known = near.last().copied();
            let from = near.len();
            near.extend(
                upto.take_while(|(_, last)| **last >= first)
                    .map(|(start, last)| Session { start: *start, last: *last })
                    // Times come in order, so those that the time before was near come last of the known.
                    .take_while(|session| known.is_none_or(|known| known < *session)),
            );
            near[from..].reverse();
        }
        near
    }

    /// A row of a time that was not there has come.
    fn join(&mut self, time: i64, gap: i64) {
        let (mut start, mut last) = (time, time);
        if let Some((first, end)) = self.sessions.range(..=time).next_back() {
            if time <= *end {
                return;
            }
            if time.saturating_sub(*end) <= gap {
                start = *first;
            }
        }
        if let Some((next, end)) = self.sessions.range((Excluded(time), Unbounded)).next()
            && next.saturating_sub(time) <= gap
        {
            let next = *next;
            last = *end;
            self.sessions.remove(&next);
        }
        self.sessions.insert(start, last);
    }

    /// The last row of a time has gone.
    fn part(&mut self, time: i64, gap: i64) {
        let Some((start, last)) = self.sessions.range(..=time).next_back().map(|(s, l)| (*s, *l)) else {
            return;
        };
        // Another time that has gone may have shortened the session already.
        if last < time {
            return;
        }
        let there = |(place, weight): (&Place, &i64)| (*weight > 0).then_some(place.0);
        let before = self.rows.range(..first_at(time)).rev().find_map(there).filter(|t| *t >= start);
        let after = time.checked_add(1).and_then(|t| self.rows.range(first_at(t)..).find_map(there));
        let after = after.filter(|t| *t <= last);
        self.sessions.remove(&start);
        match (before, after) {
            (Some(before), Some(after)) if after.saturating_sub(before) <= gap => {
                self.sessions.insert(start, last);
            }
            (before, after) => {
                if let Some(before) = before {
                    self.sessions.insert(start, before);
                }
                if let Some(after) = after {
                    self.sessions.insert(after, last);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The sessions of times, by their definition.
    fn sessions(rows: &BTreeMap<i64, i64>, gap: i64) -> Vec<Session> {
        let mut all: Vec<Session> = Vec::new();
        for time in rows.iter().filter(|(_, w)| **w > 0).map(|(t, _)| *t) {
            match all.last_mut().filter(|s| time.saturating_sub(s.last) <= gap) {
                Some(session) => session.last = time,
                None => all.push(Session { start: time, last: time }),
            }
        }
        all
    }

    fn apply(timeline: &mut Timeline, changes: &mut [(i64, i64)], gap: i64, size: &mut Size) -> Touched {
        changes.sort_unstable();
        let changes: Vec<Change> =
            changes.iter().map(|(time, weight)| Change { time: *time, row: b"r", weight: *weight }).collect();
        timeline.apply(&changes, gap, true, size)
    }

    proptest! {
        #[test]
        fn sessions_kept_are_the_sessions_computed(
            steps in prop::collection::vec(prop::collection::vec((0i64..60, -2i64..4), 0..12), 1..12),
            gap in 1i64..8,
        ) {
            let (mut timeline, mut size, mut rows) = (Timeline::default(), Size::default(), BTreeMap::new());
            for step in steps {
                let mut step: Vec<(i64, i64)> = step.into_iter().filter(|(_, w)| *w != 0).collect();
                let old = sessions(&rows, gap);
                let had = rows.clone();
                step.iter().for_each(|(time, weight)| *rows.entry(*time).or_insert(0) += weight);
                let touched = apply(&mut timeline, &mut step, gap, &mut size);
                let new = sessions(&rows, gap);
                prop_assert_eq!(timeline.sessions().collect::<Vec<_>>(), new.clone());
                rows.retain(|_, w| *w != 0);
                prop_assert_eq!(size.rows, rows.len());
                // What is not touched is the same before and after; what is touched is told in order.
                let rest = |all: Vec<Session>, touched: &[Session]| -> Vec<Session> {
                    assert!(touched.windows(2).all(|w| w[0] < w[1]) && touched.iter().all(|t| all.contains(t)));
                    all.into_iter().filter(|s| !touched.contains(s)).collect()
                };
                prop_assert_eq!(rest(old, &touched.old), rest(new, &touched.new));
                for ((time, _), weight) in &touched.before {
                    prop_assert_eq!(*weight, had.get(time).copied().unwrap_or(0));
                }
            }
            let mut left = rows.len();
            while let Some((session, taken)) = timeline.take_first(&mut size) {
                prop_assert!(taken.iter().all(|((time, _), weight)| *weight <= 0 || *time <= session.last));
                left -= taken.len();
                prop_assert_eq!(size.rows, left);
            }
        }
    }

    #[test]
    fn times_at_the_ends_of_their_range_do_not_overflow() {
        let (mut timeline, mut size) = (Timeline::default(), Size::default());
        let mut all = [(i64::MIN, 1), (i64::MAX, 1), (i64::MAX - 3, 1), (i64::MIN + 5, 1)];
        apply(&mut timeline, &mut all, 4, &mut size);
        let starts: Vec<i64> = timeline.sessions().map(|s| s.start).collect();
        assert_eq!(starts, [i64::MIN, i64::MIN + 5, i64::MAX - 3]);
        apply(&mut timeline, &mut [(i64::MAX, -1), (i64::MIN, -1)], 4, &mut size);
        assert_eq!(timeline.sessions().count(), 2);
        assert_eq!((timeline.take_first(&mut size).unwrap().1.len(), size.rows), (1, 1));
    }
}
