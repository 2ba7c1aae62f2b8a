//! What an aggregate call, or several that share a state, keeps for its groups: the trait [`CallState`], and walking a batch's rows.

use crate::operators::{OperatorError, Result};
use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};

/// A batch's rows for one state.
pub(super) struct Input<'a> {
    /// The columns that the call asked for (its `inputs`).
    pub(super) values: &'a [ArrayRef],
    /// For each call of the state the rows that pass its FILTER; `None` = all.
    pub(super) filters: &'a [Option<&'a BooleanBuffer>],
    /// Weight of each row; `None` = all +1.
    pub(super) weights: Option<&'a [i64]>,
    /// Group of each row.
    pub(super) groups: &'a [usize],
    /// Number of groups: every group is below it.
    pub(super) total: usize,
}

impl Input<'_> {
    /// Rows that pass the FILTER of the state's only call; `None` = all.
    pub(super) fn filter(&self) -> Option<&BooleanBuffer> {
        self.filters.first().copied().flatten()
    }

    /// The rows that pass the FILTER and are valid in `nulls`; `None` = all.
    pub(super) fn mask(&self, nulls: Option<&NullBuffer>) -> Option<BooleanBuffer> {
        match (self.filter(), nulls.filter(|n| n.null_count() > 0)) {
            (None, None) => None,
            (Some(filter), None) => Some(filter.clone()),
            (None, Some(nulls)) => Some(nulls.inner().clone()),
            (Some(filter), Some(nulls)) => Some(filter & nulls.inner()),
        }
    }

    /// Calls `f(row, group, weight)` for the rows of [`Input::mask`].
    #[inline]
    pub(super) fn each(&self, nulls: Option<&NullBuffer>, mut f: impl FnMut(usize, usize, i64)) {
        match (self.mask(nulls), self.weights) {
            (None, None) => self.groups.iter().enumerate().for_each(|(row, group)| f(row, *group, 1)),
            (None, Some(weights)) => {
                self.groups.iter().zip(weights).enumerate().for_each(|(row, (group, w))| f(row, *group, *w));
            }
            (Some(mask), None) => mask.set_indices().for_each(|row| f(row, self.groups[row], 1)),
            (Some(mask), Some(weights)) => {
                mask.set_indices().for_each(|row| f(row, self.groups[row], weights[row]));
            }
        }
    }

    /// The rows of [`Input::mask`].
    pub(super) fn rows(&self, nulls: Option<&NullBuffer>) -> Box<dyn Iterator<Item = usize>> {
        match self.mask(nulls) {
            None => Box::new(0..self.groups.len()),
            Some(mask) => Box::new(mask.set_indices().collect::<Vec<_>>().into_iter()),
        }
    }

    /// The weight of a row.
    pub(super) fn weight(&self, row: usize) -> i64 {
        self.weights.map_or(1, |w| w[row])
    }
}

/// A call's state as columns.
pub(super) struct Saved {
    /// For each row which of the groups that were asked for it belongs to; `None` = row i to the i-th.
    pub(super) groups: Option<Vec<usize>>,
    /// The columns.
    pub(super) columns: Vec<ArrayRef>,
}

/// The state of one aggregate call, or of several that read the same, for the groups `0..total` of a pane.
pub(super) trait CallState: Send {
    /// Makes groups `0..total` exist, empty.
    fn grow(&mut self, total: usize) -> Result<()>;

    /// Takes rows in.
    fn update(&mut self, input: &Input) -> Result<()>;

    /// The results of groups that exist. The state stays as it is.
    fn evaluate(&mut self, groups: &[usize]) -> Result<ArrayRef>;

    /// The results of groups that exist, where the caller drops the state afterwards.
    fn finish(&mut self, groups: &[usize], total: usize) -> Result<ArrayRef> {
        debug_assert!(groups.len() <= total);
        self.evaluate(groups)
    }

    /// The results of the state's call number `call`, like [`CallState::evaluate`]; a state of one call has only 0.
    fn evaluate_call(&mut self, call: usize, groups: &[usize]) -> Result<ArrayRef> {
        debug_assert_eq!(call, 0, "a state of one call");
        self.evaluate(groups)
    }

    /// Keeps `groups` as groups `0..`, in that order, and drops the others.
    fn retain(&mut self, groups: &[usize]) -> Result<()>;

    /// The state of some groups, each named once, as columns; it stays as it is.
    fn save(&mut self, groups: &[usize]) -> Result<Saved>;

    /// Whether its rows only come, and it can tell which have since the last checkpoint: then this one takes those, and not all rows
    /// of a group. It may be able to at one checkpoint and not at the next.
    fn notes_added(&self) -> bool {
        false
    }

    /// Begins to note what [`CallState::update`] adds, with nothing noted.
    fn begin_added(&mut self) {}

    /// What has been added to some groups, each named once, since this was last called; of other groups it is forgotten. What is loaded
    /// is not among it.
    fn save_added(&mut self, groups: &[usize]) -> Result<Saved> {
        self.save(groups)
    }

    /// Adds saved state to groups that exist: row i belongs to group `groups[i]`.
    fn load(&mut self, groups: &[usize], columns: &[ArrayRef]) -> Result<()>;

    /// Adds state that an older build saved for the state's call number `call` alone. Whether it was such.
    fn load_older(&mut self, _call: usize, _groups: &[usize], _columns: &[ArrayRef]) -> Result<bool> {
        Ok(false)
    }

    /// Number of rows kept beside the groups themselves.
    fn entries(&self) -> usize {
        0
    }

    /// Bytes held, roughly.
    fn bytes(&self) -> usize;
}

/// A column of a state table as the primitive type that it was written as.
pub(super) fn primitive<T: ArrowPrimitiveType>(columns: &[ArrayRef], i: usize) -> Result<&PrimitiveArray<T>> {
    let column = columns.get(i).and_then(|c| c.as_primitive_opt::<T>());
    column.ok_or_else(|| misfit(format!("state column {i} has another type")))
}

/// The error for a state table that does not fit.
pub(super) fn misfit(reason: String) -> OperatorError {
    OperatorError::Restore { operator: "Aggregate", reason }
}

/// Moves the elements `ids` of `from` to the front, in that order, and drops the others.
pub(super) fn retain_by<T: Clone>(from: &mut Vec<T>, ids: &[usize]) {
    *from = ids.iter().map(|id| from[*id].clone()).collect();
}

/// The null buffer of an array, nulls of its values included (dictionaries, the null type).
pub(super) fn nulls_of(array: &ArrayRef) -> Option<NullBuffer> {
    array.logical_nulls()
}
