//! When a side's rows are over: the rows of a second of time together, put in order when the watermark comes to it.

use std::collections::{BTreeMap, VecDeque};

/// Bits of a time in nanoseconds that rows lying together share: about a second.
const BITS: u32 = 30;

/// Entries of [`RowLists`](crate::state::row_lists::RowLists) by the time (ns) at which they are over. Entries that have
/// been removed meanwhile, or are other rows' now, may be in it still.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// What is next, in order; all of it before what is in `later`.
    next: VecDeque<(i64, u32)>,
    /// The rest, by the bits of its times; with the first time of each.
    later: BTreeMap<i64, (i64, Vec<u32>)>,
    /// The part of `later` that has got entries last: rows come nearly in the order of their times.
    last: Option<(i64, (i64, Vec<u32>))>,
    /// From which part on entries are `later`.
    from: Option<i64>,
}

impl Due {
    /// An entry is over at `at`.
    pub(super) fn add(&mut self, at: i64, id: u32) {
        let part = at >> BITS;
        if self.from.is_some_and(|from| part < from) {
            let place = self.next.partition_point(|(there, _)| *there <= at);
            self.next.insert(place, (at, id));
            return;
        }
        if let Some((key, (first, ids))) = &mut self.last
            && *key == part
        {
            *first = at.min(*first);
            ids.push(id);
            return;
        }
        self.put_back();
        let (first, mut ids) = self.later.remove(&part).unwrap_or((at, Vec::new()));
        ids.push(id);
        self.last = Some((part, (first.min(at), ids)));
    }

    fn put_back(&mut self) {
        if let Some((key, part)) = self.last.take() {
            self.later.insert(key, part);
        }
    }

    /// Takes the entries that are over at a time for which `passed` says so, which it does of all before another of which it
    /// does; `at` tells when an entry is over. In no order.
    pub(super) fn take(&mut self, passed: impl Fn(i64) -> bool, at: impl Fn(u32) -> i64) -> Vec<u32> {
        self.put_back();
        while let Some(part) = self.later.first_entry().filter(|part| passed(part.get().0)) {
            let key = *part.key();
            self.from = Some(key.saturating_add(1));
            let ids = part.remove().1.into_iter().map(|id| (at(id), id));
            // What is over at another time now has been added for that.
            let mut ids: Vec<(i64, u32)> = ids.filter(|(at, _)| at >> BITS == key).collect();
            // Those that go all at once go in any order.
            if !passed((key << BITS) + ((1 << BITS) - 1)) {
                ids.sort_by_key(|(at, _)| *at);
            }
            self.next.extend(ids);
        }
        let count = self.next.partition_point(|(at, _)| passed(*at));
        self.next.drain(..count).map(|(_, id)| id).collect()
    }

    /// The first time at which an entry is over.
    pub(super) fn first(&self) -> Option<i64> {
        let parts = self.later.values().next().into_iter().chain(self.last.as_ref().map(|(_, part)| part));
        self.next.front().map(|(at, _)| *at).or_else(|| parts.map(|(first, _)| *first).min())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The same as a map by time, whatever comes in whatever order.
        #[test]
        fn entries_are_over_in_the_order_of_their_times(
            steps in prop::collection::vec((prop::collection::vec(-3i64 << BITS..9i64 << BITS, 0..40), 0i64..1 << 31), 1..12)
        ) {
            let (mut due, mut map) = (Due::default(), BTreeMap::<i64, Vec<u32>>::new());
            let mut times = Vec::new();
            let mut watermark = -2i64 << BITS;
            for (came, on) in steps {
                for at in came {
                    let id = times.len() as u32;
                    times.push(at);
                    due.add(at, id);
                    map.entry(at).or_default().push(id);
                }
                prop_assert_eq!(due.first(), map.keys().next().copied());
                watermark += on;
                let mut taken = due.take(|at| at < watermark, |id| times[id as usize]);
                let later = map.split_off(&watermark);
                let mut expected: Vec<u32> = std::mem::replace(&mut map, later).into_values().flatten().collect();
                taken.sort_unstable();
                expected.sort_unstable();
                prop_assert_eq!(taken, expected);
            }
            let all = due.take(|_| true, |id| times[id as usize]);
            prop_assert_eq!(all.len(), map.values().map(Vec::len).sum::<usize>());
            prop_assert_eq!(due.first(), None);
        }
    }

    #[test]
    fn what_never_is_over_stays() {
        let mut due = Due::default();
        for (id, at) in [i64::MAX, i64::MIN, 5].into_iter().enumerate() {
            due.add(at, id as u32);
        }
        assert_eq!(due.first(), Some(i64::MIN));
        assert_eq!(due.take(|at| at < i64::MAX, |id| [i64::MAX, i64::MIN, 5][id as usize]), [1, 2]);
        assert_eq!(due.first(), Some(i64::MAX));
    }
}
