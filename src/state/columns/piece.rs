//! Columns of rows that lie together, packed where that takes less memory.

use super::near::{self, Near, Numbers};
use super::repeats::{self, Repeated, Repeats, Texts};
use super::shared::Shared;
use crate::delta::Chosen;
use arrow::array::{Array, ArrayData, ArrayRef, AsArray, StringArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::{concat, interleave, take};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use std::sync::Arc;

/// A column of a piece.
#[derive(Debug, Clone)]
pub(super) enum Column {
    /// As it came.
    Plain(ArrayRef),
    /// Numbers or times that lie near each other.
    Near(Near),
    /// Texts of which many are equal.
    Repeated(Repeated),
    /// Texts among those of others.
    Shared(Shared),
}

impl Column {
    /// The column, if it is as it came.
    pub(super) fn plain(&self) -> Option<&ArrayRef> {
        match self {
            Column::Plain(column) => Some(column),
            Column::Near(_) | Column::Repeated(_) | Column::Shared(_) => None,
        }
    }
}

/// How a column of a store is packed.
#[derive(Debug)]
pub(super) enum Packing {
    /// Not at all.
    None,
    /// As numbers or times that lie near each other.
    Near,
    /// As texts that repeat.
    Repeats(Repeats),
}

impl Packing {
    /// How columns of the type are packed.
    pub(super) fn of(data_type: &DataType) -> Packing {
        match data_type {
            DataType::Utf8 => Packing::Repeats(Repeats::default()),
            counted if near::counts(counted) => Packing::Near,
            _ => Packing::None,
        }
    }

    /// Rows of a column as those of a piece that is not added to any more, and the bytes that they take. Errors: none of its
    /// own.
    pub(super) fn pack(&mut self, column: &ArrayRef, rows: Chosen) -> Result<(Column, usize), ArrowError> {
        let packed = match self {
            Packing::None => None,
            Packing::Near => Near::of(column, rows).map(|near| (near.bytes(), Column::Near(near))),
            Packing::Repeats(repeats) => {
                let texts = column.as_string_opt().and_then(|texts| repeats.code(texts, rows));
                texts.map(|texts| (texts.bytes(), Column::Repeated(texts)))
            }
        };
        if let Some((bytes, column)) = packed {
            return Ok((column, bytes));
        }
        let column = match rows {
            Chosen::All(_) => column.clone(),
            Chosen::These(rows) => take(column, rows, None)?,
            Chosen::Dealt(rows) => match Shared::of(column, rows)? {
                Some(shared) => {
                    let bytes = shared.bytes();
                    return Ok((Column::Shared(shared), bytes));
                }
                None => take(column, rows, None)?,
            },
        };
        let bytes = bytes_of(&column)?;
        // What comes may be a small part of large buffers.
        let column = if is_tight(&column, bytes) { column } else { copied(&[column])? };
        Ok((Column::Plain(column), bytes))
    }

    /// A column is not kept any more.
    pub(super) fn release(&mut self, column: &Column) {
        if let (Packing::Repeats(repeats), Column::Repeated(texts)) = (self, column) {
            repeats.release(texts);
        }
    }

    /// Where the words that texts mean are looked up.
    pub(super) fn texts(&self, words: u32) -> Option<Texts<'_>> {
        match self {
            Packing::Repeats(repeats) => Some(repeats.texts(words)),
            Packing::None | Packing::Near => None,
        }
    }

    /// The words that a column's texts mean, as they are now.
    pub(super) fn frozen(&mut self, column: &Column) -> Result<Option<(u32, Arc<StringArray>)>, ArrowError> {
        match (self, column) {
            (Packing::Repeats(repeats), Column::Repeated(texts)) => {
                Ok(Some((texts.words, repeats.frozen(texts.words)?)))
            }
            _ => Ok(None),
        }
    }

    /// Bytes held besides the columns.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Packing::Repeats(repeats) => repeats.bytes(),
            Packing::None | Packing::Near => 0,
        }
    }
}

/// Rows of columns of one type: of each the number of its column and the row there. `none`: such a column without rows.
/// `words`: where the words of texts are looked up.
pub(super) fn gathered<'a>(
    columns: &[&'a Column],
    indices: &[(usize, usize)],
    none: &ArrayRef,
    words: impl Fn(u32) -> Option<Texts<'a>>,
) -> Result<ArrayRef, ArrowError> {
    let plain: Vec<&dyn Array> = columns.iter().filter_map(|c| Some(c.plain()?.as_ref())).collect();
    if plain.len() == columns.len() {
        return interleave(&plain, indices);
    }
    if near::counts(none.data_type()) {
        let data: Vec<Option<ArrayData>> = columns.iter().map(|c| Some(c.plain()?.to_data())).collect();
        let places = columns.iter().zip(&data).map(|(column, data)| match (column, data) {
            (Column::Near(near), _) => Ok(near.numbers()),
            (_, Some(data)) => Ok(Numbers::of(data)),
            _ => Err(other_kind()),
        });
        return near::gathered(none.data_type(), &places.collect::<Result<Vec<_>, _>>()?, indices);
    }
    let places = columns.iter().map(|column| match column {
        Column::Repeated(texts) => {
            words(texts.words).map(|words| words.meant_by(texts)).ok_or_else(other_kind)
        }
        Column::Shared(shared) => Ok(shared.texts()),
        Column::Plain(column) => column.as_string_opt().map(Texts::of).ok_or_else(other_kind),
        Column::Near(_) => Err(other_kind()),
    });
    Ok(Arc::new(repeats::gathered(&places.collect::<Result<Vec<_>, _>>()?, indices)?))
}

/// Columns one behind the other, as a copy of its own that is not packed.
pub(super) fn joined(columns: &[&Column], packing: &Packing) -> Result<ArrayRef, ArrowError> {
    let plain: Vec<ArrayRef> = columns.iter().filter_map(|c| c.plain().cloned()).collect();
    if plain.len() == columns.len() {
        return copied(&plain);
    }
    let unpacked = columns.iter().map(|column| match column {
        Column::Plain(column) => Ok(column.clone()),
        Column::Near(near) => near.whole(),
        Column::Repeated(texts) => {
            let words = packing.texts(texts.words).ok_or_else(other_kind)?;
            repeats::whole(words.meant_by(texts), texts.len())
        }
        Column::Shared(shared) => repeats::whole(shared.texts(), shared.len()),
    });
    copied(&unpacked.collect::<Result<Vec<_>, _>>()?)
}

/// Columns of a store are all of one type.
fn other_kind() -> ArrowError {
    ArrowError::InvalidArgumentError("columns of different types".into())
}

/// Which of the chosen rows are null, if any is; `nulls`: those of all rows.
pub(super) fn chosen_nulls(nulls: Option<&NullBuffer>, rows: Chosen) -> Option<NullBuffer> {
    let nulls = nulls.filter(|nulls| nulls.null_count() > 0)?;
    let chosen = match rows {
        Chosen::All(_) => nulls.clone(),
        Chosen::These(rows) | Chosen::Dealt(rows) => {
            let is_valid = |i: usize| nulls.is_valid(rows.value(i) as usize);
            NullBuffer::new(BooleanBuffer::collect_bool(rows.len(), is_valid))
        }
    };
    Some(chosen).filter(|nulls| nulls.null_count() > 0)
}

/// Which of some rows are null, if any is; `nulls`: those of the columns where they are.
pub(super) fn nulls_of(nulls: &[Option<&NullBuffer>], indices: &[(usize, usize)]) -> Option<NullBuffer> {
    if nulls.iter().all(|nulls| nulls.is_none()) {
        return None;
    }
    let is_valid = |i: usize| {
        let (place, row) = indices[i];
        nulls[place].is_none_or(|nulls| nulls.is_valid(row))
    };
    let nulls = NullBuffer::new(BooleanBuffer::collect_bool(indices.len(), is_valid));
    Some(nulls).filter(|nulls| nulls.null_count() > 0)
}

/// Columns one behind the other, as a copy.
pub(super) fn copied(columns: &[ArrayRef]) -> Result<ArrayRef, ArrowError> {
    let empty = columns[0].slice(0, 0);
    // One alone would only be shared.
    let all = columns.iter().map(AsRef::as_ref).chain([empty.as_ref()]);
    concat(&all.collect::<Vec<&dyn Array>>())
}

/// Whether a column holds little else than its own values, which take `bytes` bytes.
pub(super) fn is_tight(column: &ArrayRef, bytes: usize) -> bool {
    column.get_buffer_memory_size() <= bytes + bytes / 8 + 1024
}

/// Bytes of a column's values, without those beside it in its buffers.
pub(super) fn bytes_of(column: &ArrayRef) -> Result<usize, ArrowError> {
    column.to_data().get_slice_memory_size()
}
