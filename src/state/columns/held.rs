//! Rows of a store as they were, for those who write them beside the steps.

use super::piece::{Column, Packing, gathered};
use super::repeats::Texts;
use super::{ColumnStore, Piece, Place, locate};
use crate::delta::Chosen;
use arrow::array::{ArrayRef, StringArray};
use arrow::error::ArrowError;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows of a store as they were at some time; their columns are not copied until they are wanted.
#[derive(Debug, Clone, Default)]
pub struct Held {
    /// The pieces of each chunk, of those chunks that are wanted.
    chunks: Vec<Vec<Piece>>,
    /// Of each column the words that its texts mean, by their number.
    words: Vec<BTreeMap<u32, Arc<StringArray>>>,
    /// Where each row is.
    places: Vec<Place>,
    /// A column without rows of each type.
    none: Vec<ArrayRef>,
}

impl Held {
    /// Rows that are all there is. Errors: there are too many.
    pub fn of(columns: &[ArrayRef], rows: usize) -> Result<Self, ArrowError> {
        let mut store = ColumnStore::default();
        let pushed = store.push_all(columns, Chosen::All(rows))?;
        let none: Vec<ArrayRef> = columns.iter().map(|column| column.slice(0, 0)).collect();
        store.hold((0..rows).map(|row| pushed.place(row)).collect(), &none)
    }

    /// Rows at places of these chunks' pieces.
    pub(super) fn new(
        chunks: Vec<Vec<Piece>>,
        places: Vec<Place>,
        none: &[ArrayRef],
        packing: &mut [Packing],
    ) -> Result<Self, ArrowError> {
        let mut words: Vec<BTreeMap<u32, Arc<StringArray>>> = none.iter().map(|_| BTreeMap::new()).collect();
        for piece in chunks.iter().flatten() {
            for ((column, packing), words) in piece.columns.iter().zip(&mut *packing).zip(&mut words) {
                words.extend(packing.frozen(column)?);
            }
        }
        Ok(Held { chunks, words, places, none: none.to_vec() })
    }

    /// A column without rows of each type.
    pub fn none(&self) -> &[ArrayRef] {
        &self.none
    }

    /// The numbers of all rows in the order of their places; none if they have no place or are in order as they are.
    pub fn as_they_lie(&self) -> Option<Vec<u32>> {
        if self.places.is_sorted() {
            return None;
        }
        // Place and row in one number: to sort the rows alone would look up each one's place again and again.
        let mut rows: Vec<u64> =
            (0u64..).zip(&self.places).map(|(row, place)| u64::from(*place) << 32 | row).collect();
        rows.sort_unstable();
        Some(rows.into_iter().map(|row| row as u32).collect())
    }

    /// The columns of some of the rows, in their order as given.
    pub fn take(&self, rows: &[u32]) -> Result<Vec<ArrayRef>, ArrowError> {
        if rows.is_empty() || self.none.is_empty() {
            return Ok(self.none.clone());
        }
        let places = rows.iter().map(|row| self.places[*row as usize]);
        let (pieces, indices) = locate(places, self.chunks.len(), |chunk| &self.chunks[chunk]);
        let column = |c: usize| {
            let columns: Vec<&Column> = pieces.iter().map(|piece| &piece.columns[c]).collect();
            let words = |words: u32| self.words[c].get(&words).map(|words| Texts::of(words));
            gathered(&columns, &indices, &self.none[c], words)
        };
        (0..self.none.len()).map(column).collect()
    }
}
