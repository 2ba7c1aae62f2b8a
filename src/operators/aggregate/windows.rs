//! Which pane a row belongs to, and when a pane is over.

use super::Aggregate;
use super::plan::{Part, Plan};
use crate::delta::WATERMARK_END;
use crate::operators::Result;
use arrow::array::{Array, ArrayRef, Int64Array, UInt32Array};
use hashbrown::HashMap;

/// Runs of rows of one pane that are cut out as slices even if they are short.
const FEW_RUNS: usize = 4;
/// Average length from which on a run is cut out as a slice.
const LONG_RUN: usize = 128;

/// A pane's place in time: the window key's value divided by the panes' width. Without a window 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PaneKey {
    /// The window key is null: over at the end of input.
    null: bool,
    at: i64,
}

impl PaneKey {
    /// When (ns) the first and the last of the windows that the pane may hold are over.
    pub(super) fn closes(&self, plan: &Plan, width: i64) -> (i64, i64) {
        if self.null {
            return (WATERMARK_END, WATERMARK_END);
        }
        let first = self.at.saturating_mul(width);
        (plan.close(Some(first)), plan.close(Some(first.saturating_add(width - 1))))
    }
}

/// A greater width with which the panes would be about `wanted`; `None` if that cannot be.
pub(super) fn width<'a>(panes: impl Iterator<Item = &'a PaneKey>, width: i64, wanted: usize) -> Option<i64> {
    let times = panes.filter(|p| !p.null).map(|p| p.at);
    let (least, greatest) = times.fold(None, |span: Option<(i64, i64)>, at| {
        Some(span.map_or((at, at), |(a, b)| (a.min(at), b.max(at))))
    })?;
    let units = (i128::from(greatest) - i128::from(least) + 1) * i128::from(width);
    let new = i64::try_from(units / wanted as i128 + 1).ok()?;
    (new > width).then_some(new)
}

impl Aggregate {
    /// The rows of each pane, panes in order of first appearance.
    pub(super) fn split(&self, keys: &[ArrayRef], rows: usize) -> Result<Vec<(PaneKey, Part)>> {
        match self.plan.windows(keys)? {
            None => Ok(vec![(PaneKey::default(), Part::All)]),
            Some(windows) => Ok(split(&windows, self.width, rows)),
        }
    }
}

fn split(windows: &Int64Array, width: i64, rows: usize) -> Vec<(PaneKey, Part)> {
    let pane = |row: usize| match windows.is_null(row) {
        true => PaneKey { null: true, at: 0 },
        false => PaneKey { null: false, at: windows.value(row).div_euclid(width) },
    };
    let values = windows.values();
    let mut runs: Vec<(PaneKey, usize)> = Vec::new();
    for row in 0..rows {
        // Rows mostly come in runs of one window: look at the bare value before dividing.
        if row > 0 && values[row] == values[row - 1] && windows.is_null(row) == windows.is_null(row - 1) {
            continue;
        }
        let key = pane(row);
        if runs.last().is_none_or(|(last, _)| *last != key) {
            runs.push((key, row));
        }
    }
    if runs.len() <= 1 {
        return runs.into_iter().map(|(key, _)| (key, Part::All)).collect();
    }
    let ends: Vec<usize> = runs.iter().skip(1).map(|(_, start)| *start).chain([rows]).collect();
    if runs.len() <= FEW_RUNS || rows / runs.len() >= LONG_RUN {
        let slices = runs.into_iter().zip(ends);
        return slices.map(|((key, start), end)| (key, Part::Slice(start, end - start))).collect();
    }
    let mut places: HashMap<PaneKey, usize> = HashMap::new();
    let mut parts: Vec<(PaneKey, Vec<u32>)> = Vec::new();
    for ((key, start), end) in runs.into_iter().zip(ends) {
        let place = *places.entry(key).or_insert_with(|| {
            parts.push((key, Vec::new()));
            parts.len() - 1
        });
        parts[place].1.extend(start as u32..end as u32);
    }
    parts.into_iter().map(|(key, rows)| (key, Part::Take(UInt32Array::from(rows)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(parts: Vec<(PaneKey, Part)>, all: usize) -> Vec<(bool, i64, usize)> {
        parts.into_iter().map(|(key, part)| (key.null, key.at, part.len(all))).collect()
    }

    #[test]
    fn rows_go_to_their_panes_in_runs_or_one_by_one() {
        let same = Int64Array::from(vec![20, 20, 20]);
        assert_eq!(rows(split(&same, 1, 3), 3), [(false, 20, 3)]);
        let runs = Int64Array::from(vec![Some(-1), Some(-1), None, Some(10)]);
        assert_eq!(rows(split(&runs, 10, 4), 4), [(false, -1, 2), (true, 0, 1), (false, 1, 1)]);
        let mixed = Int64Array::from_iter_values((0..100).map(|i| i % 3));
        assert_eq!(rows(split(&mixed, 1, 100), 100), [(false, 0, 34), (false, 1, 33), (false, 2, 33)]);
    }

    #[test]
    fn panes_grow_until_they_are_few() {
        let panes: Vec<PaneKey> = (0..1000).map(|i| PaneKey { null: false, at: i * 7 }).collect();
        assert_eq!(width(panes.iter(), 1, 1), Some(6995));
        assert_eq!(width(panes.iter(), 1, 100_000), None);
        let ends = [PaneKey { null: false, at: i64::MIN }, PaneKey { null: false, at: i64::MAX }];
        assert_eq!(width(ends.iter(), 1, 1), None);
    }
}
