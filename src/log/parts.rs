//! Which parts of a frame's body are read, where not all columns are wanted, and how they are trusted.
//!
//! A large frame ends with checksums of its body's parts, so that its columns can be read and checked one by one:
//!
//! ```text
//!     │ rows: prefix and metadata │ their data, column by column │ marks, offsets │ checksums │
//!     checksums: │ crc of prefix and metadata │ crc of each column │ crc of marks and offsets │ crc of these │ 0… │
//! ```
//!
//! Each is the CRC32C (u32) of the part's bytes; zeros fill up to a multiple of 16 bytes.

use super::frame::{Header, field};
use super::message::{Message, Place, Shape};
use arrow::buffer::Buffer;
use std::ops::Range;

/// Bodies from this length on have checksums of their parts: smaller ones are read as quickly as a whole.
pub(super) const CHECKED_BODY: usize = 64 << 10;
/// Parts nearer to each other than this are read together, in bytes.
const NEAR: usize = 4 << 10;

/// A body as it was read, its checksums verified.
#[derive(Debug)]
pub(super) enum Body {
    Whole(Buffer),
    Parts(Parts),
}

/// The parts of a body that were wanted.
#[derive(Debug)]
pub(super) struct Parts {
    /// Prefix and metadata of the rows.
    pub(super) head: Buffer,
    pub(super) columns: Vec<Part>,
    /// Marks and offsets.
    pub(super) beside: Buffer,
}

/// A column's bytes, and where in the rows' data they begin.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) column: usize,
    pub(super) at: usize,
    pub(super) bytes: Buffer,
    /// Nothing else is in the memory of these bytes.
    pub(super) own: bool,
}

/// The checksums of a body's parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Checks {
    pub(super) head: u32,
    pub(super) columns: Vec<u32>,
    pub(super) beside: u32,
}

impl Checks {
    /// How many bytes they take in a frame with so many columns.
    pub(super) fn len(columns: usize) -> usize {
        (4 * (columns + 3)).next_multiple_of(16)
    }

    /// Those of a body that is all there but for them.
    pub(super) fn of(body: &[u8], message: &Message<'_>, columns: &[Place]) -> Option<Self> {
        let data = body.get(message.data_at..)?;
        let crc = |bytes: Option<&[u8]>| bytes.map(crc32c::crc32c);
        Some(Checks {
            head: crc(body.get(..message.data_at))?,
            columns: columns.iter().map(|c| crc(data.get(c.bytes.clone()))).collect::<Option<_>>()?,
            beside: crc(data.get(message.data_len..))?,
        })
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let crcs = std::iter::once(&self.head).chain(&self.columns).chain([&self.beside]);
        let mut bytes: Vec<u8> = crcs.flat_map(|crc| crc.to_le_bytes()).collect();
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        bytes.resize(Checks::len(self.columns.len()), 0);
        bytes
    }

    /// Those in `bytes`; `None` = they are damaged.
    pub(super) fn read(bytes: &[u8], columns: usize) -> Option<Self> {
        let end = 4 * (columns + 2);
        let crc = |i: usize| u32::from_le_bytes(field(bytes, 4 * i));
        let checks =
            || Checks { head: crc(0), columns: (1..=columns).map(crc).collect(), beside: crc(columns + 1) };
        (bytes.len() == Checks::len(columns) && crc32c::crc32c(&bytes[..end]) == crc(columns + 2))
            .then(checks)
    }
}

/// What of a frame is wanted.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    shape: Shape,
    /// The columns, each once, ascending.
    columns: Vec<usize>,
}

/// A column, and its place in the body.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) index: usize,
    pub(super) bytes: Range<usize>,
}

/// Where in a body the wanted parts lie.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) columns: Vec<Column>,
    pub(super) beside: Range<usize>,
    /// Where the rows' data begins.
    pub(super) data_at: usize,
}

impl Wanted {
    /// The columns of `projection`; `None` = whole frames are.
    pub(super) fn new(shape: &Shape, projection: Option<&[usize]>) -> Option<Self> {
        let mut columns = projection?.to_vec();
        columns.sort_unstable();
        columns.dedup();
        (columns.len() < shape.columns()).then(|| Wanted { shape: shape.clone(), columns })
    }

    /// How many columns a frame has.
    pub(super) fn all_columns(&self) -> usize {
        self.shape.columns()
    }

    /// The parts to read of the frame whose body begins with `head`; `None` = it is as quickly read as a whole.
    pub(super) fn plan(&self, header: &Header, head: &[u8]) -> Result<Option<Plan>, String> {
        let message = Message::read(head)?;
        let places = message.columns(&self.shape, header.rows)?;
        let data_end = message.data_at.saturating_add(message.data_len);
        let body = (header.body_len as usize).checked_sub(Checks::len(places.len()));
        let beside =
            data_end..body.filter(|end| *end >= data_end).ok_or("the frame's lengths make no sense")?;
        let column = |index: &usize| {
            let Range { start, end } = places[*index].bytes;
            Column { index: *index, bytes: start + message.data_at..end + message.data_at }
        };
        let columns: Vec<_> = self.columns.iter().map(column).collect();
        let bytes: usize = columns.iter().map(|column| column.bytes.len()).sum();
        let pays = bytes < beside.end / 2;
        Ok(pays.then_some(Plan { columns, beside, data_at: message.data_at }))
    }
}

impl Plan {
    /// The columns, those near to each other together: what is read at once.
    pub(super) fn reads(&self) -> impl Iterator<Item = &[Column]> {
        self.columns.chunk_by(|a, b| b.bytes.start - a.bytes.end < NEAR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_read_back_and_no_flipped_bit_goes_unseen() {
        for columns in [0, 1, 2, 7] {
            let checks =
                Checks { head: 5, columns: (0..columns).map(|i| i * 77).collect(), beside: u32::MAX };
            let columns = columns as usize;
            let sound = checks.bytes();
            assert_eq!((sound.len(), sound.len() % 16), (Checks::len(columns), 0));
            assert_eq!(Checks::read(&sound, columns), Some(checks));
            for bit in 0..4 * (columns + 3) * 8 {
                let mut bytes = sound.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Checks::read(&bytes, columns), None);
            }
        }
    }
}
