//! What a step changes among a partition's ranks: one walk over the rows before the step merged with the changes,
//! which numbers both what was and what is, from the first change on and no further than it matters.

use super::spec::RankFunction;
use crate::state::ranked::{Before, Change, Entry};
use std::cmp::Ordering;

/// Which ranks are wanted of which rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) function: RankFunction,
    pub(super) first: i64,
    pub(super) last: i64,
    /// Whether the rank itself goes out.
    pub(super) output: bool,
}

/// Takes what goes out: a row, its rank (0 where that is not wanted), its weight.
pub(super) trait Takes {
    /// One more row, and where else it is kept; returns its number.
    fn row(&mut self, row: &[u8], place: u32) -> usize;
    /// Weight for a row of that number.
    fn weight(&mut self, row: usize, rank: i64, weight: i64);
}

/// The ranks that some copies of one row have: `weight` copies from `from` on. With ties they share the rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ranks {
    from: i64,
    weight: i64,
}

/// Numbers one side of the walk.
struct Numbering<'a> {
    function: RankFunction,
    rows: i64,
    keys: i64,
    /// The sort key of the last row, and the rank of its tie.
    tie: Option<(&'a [u8], i64)>,
}

impl<'a> Numbering<'a> {
    fn new(function: RankFunction, before: Before) -> Self {
        Numbering { function, rows: before.rows, keys: before.keys, tie: None }
    }

    /// The rank that a row with this sort key would have next.
    fn next(&self, key: &[u8]) -> i64 {
        match (self.function, self.tie) {
            (RankFunction::RowNumber, _) => self.rows + 1,
            (_, Some((tie, rank))) if tie == key => rank,
            (RankFunction::Rank, _) => self.rows + 1,
            (RankFunction::DenseRank, _) => self.keys + 1,
        }
    }

    fn take(&mut self, key: &'a [u8], weight: i64) -> Ranks {
        let from = self.next(key);
        if weight > 0 && self.function != RankFunction::RowNumber {
            if self.tie.is_none_or(|(tie, _)| tie != key) {
                self.keys += 1;
            }
            self.tie = Some((key, from));
        }
        self.rows += weight.max(0);
        Ranks { from, weight: weight.max(0) }
    }
}

/// Walks over `rows`, a partition's from `before` on as they were, and `changes`, in order and each row once. Where
/// ranks are shared, the walk has to begin with a sort key's first row.
pub(super) fn walk<'a>(
    wanted: Wanted,
    before: Before,
    rows: impl Iterator<Item = &'a Entry>,
    changes: &[Change<'a>],
    out: &mut impl Takes,
) {
    let mut rows = rows.peekable();
    let mut changes = changes.iter().peekable();
    let (mut old, mut new) =
        (Numbering::new(wanted.function, before), Numbering::new(wanted.function, before));
    loop {
        let order = match (rows.peek(), changes.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(row), Some(change)) => (*row.row).cmp(change.row),
        };
        let entry = if order.is_le() { rows.next() } else { None };
        let change = if order.is_ge() { changes.next() } else { None };
        let (row, place, key_length) = match (entry, change) {
            (Some(entry), _) => (&*entry.row, entry.place, entry.key),
            (_, Some(change)) => (change.row, change.place, change.key),
            (None, None) => return,
        };
        let key = &row[..key_length as usize];
        let (was, is) = (old.next(key), new.next(key));
        if was > wanted.last && is > wanted.last {
            return;
        }
        // No change is left, and this row has the rank that it had: so have all behind it.
        let level = was == is && (wanted.function != RankFunction::Rank || old.rows == new.rows);
        if level && change.is_none() && changes.peek().is_none() {
            return;
        }
        let weight = entry.map_or(0, |e| e.weight);
        let changed = weight + change.map_or(0, |c| c.weight);
        let (was, is) = (old.take(key, weight), new.take(key, changed));
        difference(wanted, (row, place), was, is, out);
    }
}

/// Sends one row's ranks that are in the range now and were not, and takes back the others.
fn difference(wanted: Wanted, (row, place): (&[u8], u32), was: Ranks, is: Ranks, out: &mut impl Takes) {
    let ties = wanted.function != RankFunction::RowNumber;
    if !wanted.output || (ties && was.from == is.from) {
        let weight = count(wanted, is) - count(wanted, was);
        if weight != 0 {
            let number = out.row(row, place);
            out.weight(number, if wanted.output { is.from } else { 0 }, weight);
        }
        return;
    }
    if was == is {
        return;
    }
    let mut number = None;
    if ties {
        for (ranks, sign) in [(was, -1), (is, 1)] {
            let weight = count(wanted, ranks);
            if weight > 0 {
                let number = *number.get_or_insert_with(|| out.row(row, place));
                out.weight(number, ranks.from, sign * weight);
            }
        }
        return;
    }
    let range = |ranks: Ranks| {
        ranks.from.max(wanted.first)
            ..ranks.from.saturating_add(ranks.weight).min(wanted.last.saturating_add(1))
    };
    let (was, is) = (range(was), range(is));
    for rank in was.clone().filter(|rank| !is.contains(rank)) {
        let number = *number.get_or_insert_with(|| out.row(row, place));
        out.weight(number, rank, -1);
    }
    for rank in is.filter(|rank| !was.contains(rank)) {
        let number = *number.get_or_insert_with(|| out.row(row, place));
        out.weight(number, rank, 1);
    }
}

/// How many of a row's copies are in the range.
fn count(wanted: Wanted, ranks: Ranks) -> i64 {
    if wanted.function != RankFunction::RowNumber {
        return if (wanted.first..=wanted.last).contains(&ranks.from) { ranks.weight } else { 0 };
    }
    let end = ranks.from.saturating_add(ranks.weight).min(wanted.last.saturating_add(1));
    (end - ranks.from.max(wanted.first)).max(0)
}

/// Sends the rows of a whole partition that are in the range.
pub(super) fn send_all<'a>(wanted: Wanted, rows: impl Iterator<Item = &'a Entry>, out: &mut impl Takes) {
    let mut numbering = Numbering::new(wanted.function, Before::default());
    for entry in rows.filter(|e| e.weight > 0) {
        if numbering.next(entry.sort_key()) > wanted.last {
            return;
        }
        let is = numbering.take(entry.sort_key(), entry.weight);
        difference(wanted, (&entry.row, entry.place), Ranks { from: is.from, weight: 0 }, is, out);
    }
}

/// How many of the first entries hold all rows whose rank is at most `last`.
pub(super) fn needed<'a>(function: RankFunction, last: i64, rows: impl Iterator<Item = &'a Entry>) -> usize {
    let mut numbering = Numbering::new(function, Before::default());
    let mut entries = 0;
    for entry in rows {
        if numbering.next(entry.sort_key()) > last {
            break;
        }
        numbering.take(entry.sort_key(), entry.weight);
        entries += 1;
    }
    entries
}
