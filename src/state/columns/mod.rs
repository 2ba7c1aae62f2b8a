//! Rows as columns, in chunks: what is kept of rows that only come and are never looked for by their values.
//!
//! A row is copied once when it comes and once when it is gathered, both a column at a time. Where many have come, numbers and
//! times are kept by what they are more than the least ([`near`]), and texts that repeat once ([`repeats`]); other columns that are
//! nothing but the rows are kept as they came, texts whose other rows others keep with these together ([`shared`]). A chunk
//! whose rows have all gone is dropped; others are rewritten when most of what they hold has gone.

mod held;
mod near;
mod piece;
mod repeats;
mod shared;
#[cfg(test)]
mod tests;

pub use held::Held;

use self::piece::{Column, Packing, bytes_of, is_tight};
use crate::delta::{Chosen, KEPT_WHOLE};
use arrow::array::ArrayRef;
use arrow::error::ArrowError;

/// Rows from which on a chunk is closed; it has fewer than twice as many.
const CHUNK_ROWS: usize = 1 << 13;
/// Bits of a place that tell the row within its chunk.
const ROW_BITS: u32 = 14;
const ROW_MASK: u32 = (1 << ROW_BITS) - 1;
/// Bytes of a chunk behind which no more rows come: offsets of texts have 31 bits.
const CHUNK_BYTES: usize = 1 << 26;
/// Rows from which on a piece of a chunk is packed and not copied into a larger one: few pieces do no harm.
const PIECE_ROWS: usize = KEPT_WHOLE;
const _: () = assert!(PIECE_ROWS * MOST_PIECES == CHUNK_ROWS, "a chunk of pieces is no longer than others");
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
    /// Bytes of its columns.
    bytes: usize,
}

#[derive(Debug, Clone)]
struct Piece {
    /// The number of its first row within the chunk.
    first: usize,
    rows: usize,
    columns: Vec<Column>,
    /// Bytes of its columns.
    bytes: usize,
}

/// The rows.
#[derive(Debug, Default)]
pub struct ColumnStore {
    chunks: Vec<Chunk>,
    /// Chunks without rows, to be used again.
    free: Vec<u32>,
    /// The chunk to which rows are added.
    open: Option<u32>,
    /// How each column is packed; empty as long as no row has come.
    packing: Vec<Packing>,
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

impl ColumnStore {
    /// Adds rows of `columns`. Errors: there are too many.
    pub fn push_all(&mut self, columns: &[ArrayRef], rows: Chosen) -> Result<Pushed, ArrowError> {
        let all = rows.len();
        let mut firsts = Vec::with_capacity(all.div_ceil(Self::MOST));
        for begin in (0..all).step_by(Self::MOST) {
            let len = (all - begin).min(Self::MOST);
            firsts.push(match rows {
                Chosen::These(rows) => self.push(columns, Chosen::These(&rows.slice(begin, len)))?,
                Chosen::Dealt(rows) => self.push(columns, Chosen::Dealt(&rows.slice(begin, len)))?,
                Chosen::All(_) => {
                    let columns: Vec<ArrayRef> = columns.iter().map(|c| c.slice(begin, len)).collect();
                    self.push(&columns, Chosen::All(len))?
                }
            });
        }
        Ok(Pushed(firsts))
    }

    /// Writes the rows at these places, all that have not gone, anew and together; the places are those of then. `none`: a
    /// column without rows of each type.
    pub fn rewrite(&mut self, mut places: Vec<&mut Place>, none: &[ArrayRef]) -> Result<(), ArrowError> {
        let mut fresh = ColumnStore::default();
        for part in places.chunks_mut(Self::MOST) {
            let old: Vec<Place> = part.iter().map(|place| **place).collect();
            let first = fresh.push(&self.gather(&old, none)?, Chosen::All(part.len()))?;
            part.iter_mut().zip(first..).for_each(|(place, new)| **place = new);
        }
        *self = fresh;
        Ok(())
    }

    /// Adds rows, at most [`ColumnStore::MOST`] at once; gives the place of the first, behind which the others follow.
    /// Errors: there are too many.
    fn push(&mut self, columns: &[ArrayRef], chosen: Chosen) -> Result<Place, ArrowError> {
        if self.packing.is_empty() {
            self.packing = columns.iter().map(|column| Packing::of(column.data_type())).collect();
        }
        let rows = chosen.len();
        let (mut added, tight) = match rows >= PIECE_ROWS {
            true => (Piece::packed(columns, chosen, &mut self.packing)?, true),
            false => Piece::plain(chosen.taken(columns)?, rows)?,
        };
        if let Some(open) = self.open
            && self.chunks[open as usize].bytes + added.bytes > CHUNK_BYTES
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
        added.first = first;
        chunk.bytes += added.bytes;
        chunk.pieces.push(added);
        chunk.rows += rows;
        chunk.live += rows;
        self.rows += rows;
        self.live += rows;
        if rows < PIECE_ROWS {
            let last = chunk.pieces.len() - 1;
            let mut from = last;
            // As in a binary counter: a row is copied again no oftener than its piece doubles, which it does until it is large.
            while from > 0
                && chunk.pieces[from - 1].rows < PIECE_ROWS
                && chunk.pieces[from - 1].rows <= chunk.rows - chunk.pieces[from].first
            {
                from -= 1;
            }
            // What comes may be a small part of large buffers.
            if from < last || !tight {
                chunk.join(from, &mut self.packing)?;
            }
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
            chunk.join(0, &mut self.packing)?;
        }
        if chunk.live == 0 {
            self.drop_chunk(number);
        }
        Ok(())
    }

    fn drop_chunk(&mut self, number: u32) {
        let chunk = std::mem::take(&mut self.chunks[number as usize]);
        chunk.pieces.iter().for_each(|piece| piece.release(&mut self.packing));
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
        let (pieces, indices) = self.locate(places);
        let column = |c: usize| {
            let columns: Vec<&Column> = pieces.iter().map(|p| &p.columns[c]).collect();
            piece::gathered(&columns, &indices, &none[c], |words| self.packing[c].texts(words))
        };
        columns.iter().copied().map(column).collect()
    }

    /// The rows at these places as they are now, whatever becomes of them here; `none` as in [`Self::gather`]. Errors: none
    /// of its own.
    pub fn hold(&mut self, places: Vec<Place>, none: &[ArrayRef]) -> Result<Held, ArrowError> {
        let mut wanted = vec![false; self.chunks.len()];
        places.iter().for_each(|place| wanted[number_of(*place)] = true);
        let chunks = self.chunks.iter().zip(wanted);
        let chunks = chunks.map(|(chunk, wanted)| if wanted { chunk.pieces.clone() } else { vec![] });
        Held::new(chunks.collect(), places, none, &mut self.packing)
    }

    /// The pieces in which rows are, and for each row the number of its piece among them, and the row within it.
    fn locate(&self, places: &[Place]) -> (Vec<&Piece>, Vec<(usize, usize)>) {
        locate(places.iter().copied(), self.chunks.len(), |chunk| &self.chunks[chunk].pieces)
    }

    /// Bytes that the rows take that have not gone, roughly.
    pub fn live_bytes(&self) -> usize {
        let of = |c: &Chunk| c.bytes.checked_div(c.rows).unwrap_or(0) * c.live;
        self.chunks.iter().map(of).sum()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let packing: usize = self.packing.iter().map(Packing::bytes).sum();
        let chunks: usize = self.chunks.iter().map(|c| c.bytes).sum();
        chunks + packing + self.chunks.capacity() * size_of::<Chunk>()
    }
}

/// The number of a place's chunk.
fn number_of(place: Place) -> usize {
    (place >> ROW_BITS) as usize
}

/// The pieces in which rows are, of those of so many chunks, and for each row the number of its piece among them, and the row
/// within it.
fn locate<'p>(
    places: impl ExactSizeIterator<Item = Place>,
    chunks: usize,
    pieces_of: impl Fn(usize) -> &'p [Piece],
) -> (Vec<&'p Piece>, Vec<(usize, usize)>) {
    // Chunks that are wanted, numbered as they come.
    let mut known = vec![u32::MAX; chunks];
    let mut pieces: Vec<&Piece> = Vec::new();
    let mut located = Vec::with_capacity(places.len());
    for place in places {
        let (number, row) = (number_of(place), (place & ROW_MASK) as usize);
        let of_chunk = pieces_of(number);
        if known[number] == u32::MAX {
            known[number] = pieces.len() as u32;
            pieces.extend(of_chunk);
        }
        let within = match of_chunk.len() {
            1 => 0,
            _ => of_chunk.partition_point(|p| p.first <= row) - 1,
        };
        located.push((known[number] as usize + within, row - of_chunk[within].first));
    }
    (pieces, located)
}

impl Chunk {
    /// Makes one piece of those from `from` on, which is a copy of its own.
    fn join(&mut self, from: usize, packing: &mut [Packing]) -> Result<(), ArrowError> {
        let pieces: Vec<Piece> = self.pieces.drain(from..).collect();
        let rows = pieces.iter().map(|piece| piece.rows).sum();
        let joined = (0..packing.len()).map(|c| {
            let columns: Vec<&Column> = pieces.iter().map(|piece| &piece.columns[c]).collect();
            piece::joined(&columns, &packing[c])
        });
        let joined = joined.collect::<Result<Vec<ArrayRef>, _>>()?;
        for piece in &pieces {
            piece.release(packing);
            self.bytes -= piece.bytes;
        }
        let piece = match rows >= PIECE_ROWS {
            true => Piece::packed(&joined, Chosen::All(rows), packing)?,
            false => Piece::plain(joined, rows)?.0,
        };
        self.bytes += piece.bytes;
        self.pieces.push(Piece { first: pieces[0].first, ..piece });
        Ok(())
    }
}

impl Piece {
    /// The chosen rows of the columns, packed where that takes less.
    fn packed(columns: &[ArrayRef], rows: Chosen, packing: &mut [Packing]) -> Result<Self, ArrowError> {
        let mut piece =
            Piece { first: 0, rows: rows.len(), columns: Vec::with_capacity(columns.len()), bytes: 0 };
        for (column, packing) in columns.iter().zip(packing) {
            let (column, bytes) = packing.pack(column, rows)?;
            piece.columns.push(column);
            piece.bytes += bytes;
        }
        Ok(piece)
    }

    /// All rows of the columns as they are, and whether little else is in their buffers.
    fn plain(columns: Vec<ArrayRef>, rows: usize) -> Result<(Self, bool), ArrowError> {
        let (mut bytes, mut tight) = (0, true);
        for column in &columns {
            let own = bytes_of(column)?;
            bytes += own;
            tight &= is_tight(column, own);
        }
        let columns = columns.into_iter().map(Column::Plain).collect();
        Ok((Piece { first: 0, rows, columns, bytes }, tight))
    }

    /// It is not kept any more.
    fn release(&self, packing: &mut [Packing]) {
        self.columns.iter().zip(packing).for_each(|(column, packing)| packing.release(column));
    }
}
