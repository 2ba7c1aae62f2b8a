//! Rows as columns, in chunks: what is kept of rows that only come and are never looked for by their values.
//!
//! A row is copied once when it comes and once when it is gathered, both a column at a time; nothing is encoded. Columns that
//! are nothing but the rows are kept as they came. A chunk whose rows have all gone is dropped; others are rewritten when most of
//! what they hold has gone.

use crate::delta::Chosen;
use arrow::array::{Array, ArrayRef};
use arrow::compute::{concat, interleave, take_arrays};
use arrow::error::ArrowError;

/// Rows from which on a chunk is closed; it has fewer than twice as many.
const CHUNK_ROWS: usize = 1 << 13;
/// Bits of a place that tell the row within its chunk.
const ROW_BITS: u32 = 14;
const ROW_MASK: u32 = (1 << ROW_BITS) - 1;
/// Bytes of a chunk behind which no more rows come: offsets of texts have 31 bits.
const CHUNK_BYTES: usize = 1 << 26;
/// Rows from which on a piece of a chunk is not copied into a larger one: few pieces do no harm.
const PIECE_ROWS: usize = CHUNK_ROWS / 4;
/// Pieces of a chunk that is closed, at most.
const MOST_PIECES: usize = 4;
/// Rows that have gone from chunks that are held, from which on they are worth a rewriting.
const MUCH_GARBAGE: usize = CHUNK_ROWS;

/// Where a row stands.
pub type Place = u32;

/// Rows whose columns lie together.
#[derive(Debug, Default)]
struct Chunk {
    /// Pieces one behind the other, all of the same columns: few.
    pieces: Vec<Piece>,
    /// Rows in it, and those of them that have not gone.
    rows: usize,
    live: usize,
    /// Bytes of its columns, of the chunk that is open roughly.
    bytes: usize,
}

#[derive(Debug)]
struct Piece {
    /// The number of its first row within the chunk.
    first: usize,
    rows: usize,
    columns: Vec<ArrayRef>,
}

/// The rows.
#[derive(Debug, Default)]
pub struct ColumnStore {
    chunks: Vec<Chunk>,
    /// Chunks without rows, to be used again.
    free: Vec<u32>,
    /// The chunk to which rows are added.
    open: Option<u32>,
    rows: usize,
    live: usize,
}

/// Rows that were added together: the place of the first of each part of [`ColumnStore::MOST`] rows, behind which the others
/// follow.
pub struct Pushed(Vec<Place>);

impl Pushed {
    /// Where row `row` of them is.
    pub fn place(&self, row: usize) -> Place {
        self.0[row / ColumnStore::MOST] + (row % ColumnStore::MOST) as Place
    }
}

/// Rows of a store as they were at some time; their columns are not copied until they are wanted.
#[derive(Debug, Clone)]
pub struct Held {
    pieces: Vec<Vec<ArrayRef>>,
    /// Of each row its piece, and the row within it.
    rows: Vec<(u32, u32)>,
    /// A column without rows of each type.
    none: Vec<ArrayRef>,
}

impl Held {
    /// Rows that are all there is.
    pub fn of(columns: Vec<ArrayRef>, rows: usize) -> Self {
        let none = columns.iter().map(|column| column.slice(0, 0)).collect();
        Held { pieces: vec![columns], rows: (0..rows as u32).map(|row| (0, row)).collect(), none }
    }

    /// A column without rows of each type.
    pub fn none(&self) -> &[ArrayRef] {
        &self.none
    }

    /// The columns of some of the rows, in their order as given.
    pub fn take(&self, rows: &[u32]) -> Result<Vec<ArrayRef>, ArrowError> {
        if rows.is_empty() {
            return Ok(self.none.clone());
        }
        // Only the pieces that are wanted, or all would be looked at for each few rows.
        let mut known = vec![u32::MAX; self.pieces.len()];
        let mut pieces: Vec<&[ArrayRef]> = Vec::new();
        let mut indices = Vec::with_capacity(rows.len());
        for row in rows {
            let (piece, row) = self.rows[*row as usize];
            let known = &mut known[piece as usize];
            if *known == u32::MAX {
                *known = pieces.len() as u32;
                pieces.push(&self.pieces[piece as usize]);
            }
            indices.push((*known as usize, row as usize));
        }
        let column = |c: usize| {
            let arrays: Vec<&dyn Array> = pieces.iter().map(|piece| piece[c].as_ref()).collect();
            interleave(&arrays, &indices)
        };
        (0..self.none.len()).map(column).collect()
    }
}

impl ColumnStore {
    /// Adds rows of `columns`. Errors: there are too many.
    pub fn push_all(&mut self, columns: &[ArrayRef], rows: Chosen) -> Result<Pushed, ArrowError> {
        let all = rows.len();
        let mut firsts = Vec::with_capacity(all.div_ceil(Self::MOST));
        for begin in (0..all).step_by(Self::MOST) {
            let len = (all - begin).min(Self::MOST);
            let part = match rows {
                Chosen::These(rows) => take_arrays(columns, &rows.slice(begin, len), None)?,
                Chosen::All(_) => columns.iter().map(|c| c.slice(begin, len)).collect(),
            };
            firsts.push(self.push(part, len)?);
        }
        Ok(Pushed(firsts))
    }

    /// Writes the rows at these places, all that have not gone, anew and together; the places are those of then. `none`: a
    /// column without rows of each type.
    pub fn rewrite(&mut self, mut places: Vec<&mut Place>, none: &[ArrayRef]) -> Result<(), ArrowError> {
        let mut fresh = ColumnStore::default();
        for part in places.chunks_mut(Self::MOST) {
            let old: Vec<Place> = part.iter().map(|place| **place).collect();
            let first = fresh.push(self.gather(&old, none)?, part.len())?;
            part.iter_mut().zip(first..).for_each(|(place, new)| **place = new);
        }
        *self = fresh;
        Ok(())
    }

    /// Adds rows, at most [`ColumnStore::MOST`] at once; gives the place of the first, behind which the others follow.
    /// Errors: there are too many.
    fn push(&mut self, columns: Vec<ArrayRef>, rows: usize) -> Result<Place, ArrowError> {
        let bytes = columns.iter().map(bytes_of).collect::<Result<Vec<_>, _>>()?;
        // What comes may be a small part of large buffers.
        let tight = columns.iter().zip(&bytes).all(|(column, bytes)| is_tight(column, *bytes));
        let bytes = bytes.iter().sum::<usize>();
        if let Some(open) = self.open
            && self.chunks[open as usize].bytes + bytes > CHUNK_BYTES
        {
            self.close(open)?;
        }
        let number = match self.open {
            Some(number) => number,
            None => {
                let number = self.free.pop().unwrap_or(self.chunks.len() as u32);
                if number >= 1 << (u32::BITS - ROW_BITS) {
                    return Err(ArrowError::MemoryError("more rows than an operator can keep".into()));
                }
                if number as usize == self.chunks.len() {
                    self.chunks.push(Chunk::default());
                }
                self.open = Some(number);
                number
            }
        };
        let chunk = &mut self.chunks[number as usize];
        let first = chunk.rows;
        chunk.pieces.push(Piece { first, rows, columns });
        chunk.rows += rows;
        chunk.live += rows;
        chunk.bytes += bytes;
        self.rows += rows;
        self.live += rows;
        let last = chunk.pieces.len() - 1;
        let mut from = last;
        // As in a binary counter: a row is copied again no oftener than its piece doubles, which it does until it is large.
        while from > 0
            && rows < PIECE_ROWS
            && chunk.pieces[from - 1].rows < PIECE_ROWS
            && chunk.pieces[from - 1].rows <= chunk.rows - chunk.pieces[from].first
        {
            from -= 1;
        }
        if from < last || !tight {
            chunk.join(from)?;
        }
        if chunk.rows >= CHUNK_ROWS {
            self.close(number)?;
        }
        Ok((number << ROW_BITS) | first as u32)
    }

    /// No more rows come into the chunk that is open.
    fn close(&mut self, number: u32) -> Result<(), ArrowError> {
        self.open = None;
        let chunk = &mut self.chunks[number as usize];
        if chunk.pieces.len() > MOST_PIECES {
            chunk.join(0)?;
        }
        if chunk.live == 0 {
            self.drop_chunk(number);
        }
        Ok(())
    }

    fn drop_chunk(&mut self, number: u32) {
        let chunk = std::mem::take(&mut self.chunks[number as usize]);
        self.rows -= chunk.rows;
        self.free.push(number);
    }

    /// The most rows that are added at once.
    pub const MOST: usize = CHUNK_ROWS;

    /// A row has gone; its place may be another's from now on.
    pub fn free(&mut self, place: Place) {
        let number = place >> ROW_BITS;
        let chunk = &mut self.chunks[number as usize];
        chunk.live -= 1;
        self.live -= 1;
        if chunk.live == 0 && self.open != Some(number) {
            self.drop_chunk(number);
        }
    }

    /// Whether most of what is held has gone, and enough to be worth rewriting the rest.
    pub fn is_wasteful(&self) -> bool {
        let garbage = self.rows - self.live;
        garbage > MUCH_GARBAGE && garbage * 2 > self.rows
    }

    /// The columns of rows, in the order of their places as given; `none` where there is no row and no column is known.
    pub fn gather(&self, places: &[Place], none: &[ArrayRef]) -> Result<Vec<ArrayRef>, ArrowError> {
        self.gather_some(places, none, &(0..none.len()).collect::<Vec<_>>())
    }

    /// The same of some columns.
    pub fn gather_some(
        &self,
        places: &[Place],
        none: &[ArrayRef],
        columns: &[usize],
    ) -> Result<Vec<ArrayRef>, ArrowError> {
        if places.is_empty() {
            return Ok(columns.iter().map(|c| none[*c].clone()).collect());
        }
        let (pieces, indices) = self.locate(places, |piece, row| (piece as usize, row));
        let column = |c: usize| {
            let arrays: Vec<&dyn Array> = pieces.iter().map(|p| p.columns[c].as_ref()).collect();
            interleave(&arrays, &indices)
        };
        columns.iter().copied().map(column).collect()
    }

    /// The rows at these places as they are now, whatever becomes of them here; `none` as in [`Self::gather`].
    pub fn hold(&self, places: &[Place], none: &[ArrayRef]) -> Held {
        let (pieces, rows) = self.locate(places, |piece, row| (piece, row as u32));
        let pieces = pieces.into_iter().map(|piece| piece.columns.clone()).collect();
        Held { pieces, rows, none: none.to_vec() }
    }

    /// The pieces in which rows are, and for each row what `told` makes of the number of its piece among them, and of the
    /// row within it.
    fn locate<T>(&self, places: &[Place], told: impl Fn(u32, usize) -> T) -> (Vec<&Piece>, Vec<T>) {
        // Chunks that are wanted, numbered as they come.
        let mut known = vec![u32::MAX; self.chunks.len()];
        let mut pieces: Vec<&Piece> = Vec::new();
        let mut located = Vec::with_capacity(places.len());
        for place in places {
            let number = (place >> ROW_BITS) as usize;
            let row = (place & ROW_MASK) as usize;
            let chunk = &self.chunks[number];
            if known[number] == u32::MAX {
                known[number] = pieces.len() as u32;
                pieces.extend(&chunk.pieces);
            }
            let within = match chunk.pieces.len() {
                1 => 0,
                _ => chunk.pieces.partition_point(|p| p.first <= row) - 1,
            };
            located.push(told(known[number] + within as u32, row - chunk.pieces[within].first));
        }
        (pieces, located)
    }

    /// Bytes that the rows take that have not gone, roughly.
    pub fn live_bytes(&self) -> usize {
        let of = |c: &Chunk| c.bytes.checked_div(c.rows).unwrap_or(0) * c.live;
        self.chunks.iter().map(of).sum()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.chunks.iter().map(|c| c.bytes).sum::<usize>() + self.chunks.capacity() * size_of::<Chunk>()
    }
}

impl Chunk {
    /// Makes one piece of those from `from` on, which is a copy of its own.
    fn join(&mut self, from: usize) -> Result<(), ArrowError> {
        let first = self.pieces[from].first;
        let pieces: Vec<Piece> = self.pieces.drain(from..).collect();
        let column = |c: usize| {
            let empty = pieces[0].columns[c].slice(0, 0);
            let arrays = pieces.iter().map(|p| p.columns[c].as_ref());
            // One alone would only be shared.
            concat(&arrays.chain([empty.as_ref()]).collect::<Vec<&dyn Array>>())
        };
        let columns = (0..pieces[0].columns.len()).map(column).collect::<Result<_, _>>()?;
        self.pieces.push(Piece { first, rows: self.rows - first, columns });
        Ok(())
    }
}

/// Whether a column holds little else than its own values, which take `bytes` bytes.
fn is_tight(column: &ArrayRef, bytes: usize) -> bool {
    column.get_buffer_memory_size() <= bytes + bytes / 8 + 1024
}

/// Bytes of a column's values, without those beside it in its buffers.
fn bytes_of(column: &ArrayRef) -> Result<usize, ArrowError> {
    column.to_data().get_slice_memory_size()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{AsArray, Int64Array, StringArray};
    use arrow::datatypes::Int64Type;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn columns(numbers: &[i64]) -> Vec<ArrayRef> {
        let texts = numbers.iter().map(|n| (n % 3 != 0).then(|| format!("row {n}")));
        vec![Arc::new(Int64Array::from(numbers.to_vec())), Arc::new(texts.collect::<StringArray>())]
    }

    fn none() -> Vec<ArrayRef> {
        columns(&[])
    }

    #[test]
    fn chunks_whose_rows_have_gone_are_used_again() {
        let mut store = ColumnStore::default();
        let mut old: Vec<Place> = Vec::new();
        for round in 0..40i64 {
            let numbers: Vec<i64> = (0..5_000).map(|n| round * 5_000 + n).collect();
            let first = store.push(columns(&numbers), numbers.len()).unwrap();
            old.drain(..).for_each(|place| store.free(place));
            old = (0..5_000).map(|n| first + n).collect();
            let got = store.gather(&old[4_990..], &none()).unwrap();
            assert_eq!(got, columns(&numbers[4_990..]));
        }
        assert!(store.chunks.len() < 5, "{} chunks", store.chunks.len());
        assert!(store.bytes() < 2_000_000, "{} bytes", store.bytes());
    }

    #[test]
    fn rows_that_are_held_stay_what_they_were() {
        let mut store = ColumnStore::default();
        let numbers: Vec<i64> = (0..6_000).collect();
        let firsts: Vec<Place> =
            numbers.chunks(60).map(|some| store.push(columns(some), some.len()).unwrap()).collect();
        let mut places: Vec<Place> = firsts.iter().flat_map(|first| *first..*first + 60).collect();
        let held = store.hold(&places, &none());
        places.drain(..5_000).for_each(|place| store.free(place));
        store.rewrite(places.iter_mut().collect(), &none()).unwrap();
        store.push(columns(&[7; 3_000]), 3_000).unwrap();
        assert_eq!(held.take(&[5_999, 0, 61, 60, 4_242]).unwrap(), columns(&[5_999, 0, 61, 60, 4_242]));
        assert_eq!(held.take(&[]).unwrap(), none());
    }

    #[test]
    fn a_chunk_is_closed_before_its_texts_are_too_long() {
        let mut store = ColumnStore::default();
        let long = |n: u8| -> Vec<ArrayRef> {
            let text = String::from_utf8(vec![b'a' + n; CHUNK_BYTES / 3]).unwrap();
            vec![Arc::new(StringArray::from(vec![text]))]
        };
        let none: Vec<ArrayRef> = vec![Arc::new(StringArray::from(Vec::<&str>::new()))];
        let places: Vec<Place> = (0..4).map(|n| store.push(long(n), 1).unwrap()).collect();
        assert!(store.chunks.len() > 1);
        for (n, place) in (0..4).zip(places) {
            assert_eq!(store.gather(&[place], &none).unwrap(), long(n));
            store.free(place);
        }
        assert_eq!(store.live, 0);
    }

    #[test]
    fn a_row_is_a_copy_of_its_own() {
        let mut store = ColumnStore::default();
        let many = columns(&(0..100_000).collect::<Vec<_>>());
        for i in 0..10 {
            let one: Vec<ArrayRef> = many.iter().map(|c| c.slice(i * 1_000, 1)).collect();
            store.push(one, 1).unwrap();
        }
        let held = |piece: &Piece| piece.columns.iter().map(|c| c.get_array_memory_size()).sum::<usize>();
        let held: usize = store.chunks.iter().flat_map(|c| &c.pieces).map(held).sum();
        assert!(held < 10_000, "{held} bytes");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        /// Rows are what they were, however they came and whatever has gone beside them.
        #[test]
        fn rows_are_found_at_their_places(
            sizes in prop::collection::vec(prop_oneof![1usize..20, 1_000usize..ColumnStore::MOST], 1..12),
            gone in 0u64..1000,
            looks in prop::collection::vec(any::<prop::sample::Index>(), 1..50),
        ) {
            let mut store = ColumnStore::default();
            let mut held: Vec<(Place, i64)> = Vec::new();
            let mut next = 0;
            for size in sizes {
                let numbers: Vec<i64> = (next..next + size as i64).collect();
                next += size as i64;
                let first = store.push(columns(&numbers), size).unwrap();
                held.extend((first..).zip(numbers));
                held.retain(|(place, n)| {
                    let goes = (*n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54 < gone;
                    if goes && n % 7 == next % 7 {
                        store.free(*place);
                    }
                    !(goes && n % 7 == next % 7)
                });
                if held.is_empty() {
                    continue;
                }
                let looked: Vec<(Place, i64)> = looks.iter().map(|look| held[look.index(held.len())]).collect();
                let places: Vec<Place> = looked.iter().map(|(place, _)| *place).collect();
                let numbers: Vec<i64> = looked.iter().map(|(_, n)| *n).collect();
                let got = store.gather(&places, &none()).unwrap();
                prop_assert_eq!(got[0].as_primitive::<Int64Type>().values().to_vec(), numbers.clone());
                prop_assert_eq!(got, columns(&numbers));
            }
        }
    }
}
