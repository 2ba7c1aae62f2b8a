//! Texts that stay among those of others: of what an exchange deals out each worker keeps other rows, and all together keep the
//! columns. None of them copies a text then; what each has of its own is which rows are its.

use super::piece::{bytes_of, chosen_nulls, is_tight};
use super::repeats::Texts;
use crate::delta::Chosen;
use arrow::array::{Array, ArrayRef, AsArray, StringArray, UInt32Array};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::error::ArrowError;

/// Rows' texts.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    /// With those of others.
    texts: StringArray,
    /// Of each row its text; of a null any.
    rows: ScalarBuffer<u32>,
    nulls: Option<NullBuffer>,
    bytes: usize,
}

impl Shared {
    /// These rows of a column whose other rows are kept by others; `None` = it is of another type, or there is more in its
    /// buffers than its texts, which nobody may want. Errors: none of its own.
    pub(super) fn of(column: &ArrayRef, rows: &UInt32Array) -> Result<Option<Shared>, ArrowError> {
        let Some(texts) = column.as_string_opt::<i32>() else { return Ok(None) };
        if !is_tight(column, bytes_of(column)?) {
            return Ok(None);
        }
        let offsets = texts.value_offsets();
        let len = |row: &u32| (offsets[*row as usize + 1] - offsets[*row as usize]) as usize;
        // Its texts with their ends, and which they are.
        let bytes = rows.values().iter().map(|row| len(row) + 4 + 4).sum();
        let nulls = chosen_nulls(column.nulls(), Chosen::Dealt(rows));
        // A copy: there may be room for more in their buffer, which others hold.
        let rows = rows.values().to_vec().into();
        Ok(Some(Shared { texts: texts.clone(), rows, nulls, bytes }))
    }

    /// Where they are looked up.
    pub(super) fn texts(&self) -> Texts<'_> {
        Texts::of(&self.texts).at(&self.rows, self.nulls.as_ref())
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Bytes held: its part of what all hold.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
