//! The columns of a frame's body: its buffers, each decompressed straight into the memory that its column keeps.
//!
//! arrow-ipc reads the same messages, but lz4 by way of two buffers of up to 4 MiB that it makes and clears for each
//! buffer of a column, which took longer than the decompression (BENCHMARKS.md). What Arrow calls validation is done here
//! as there: columns are built from what was read with all checks on.

use super::message::Start;
use super::parts::Part;
use arrow::array::{ArrayData, ArrayRef, make_array};
use arrow::buffer::Buffer;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::ipc::{CompressionType, RecordBatch};
use std::io;

/// The most bytes of a frame's columns once they are decompressed.
pub(super) const MAX_DECODED: u64 = 1 << 30;

/// Reads columns of one record batch whose parts' number has been checked.
pub(super) struct Unpacker<'a> {
    batch: RecordBatch<'a>,
    part: Part,
    at: Start,
    /// How many bytes may still be decompressed.
    left: u64,
}

impl<'a> Unpacker<'a> {
    pub(super) fn new(batch: RecordBatch<'a>) -> Self {
        let part = Part { column: 0, at: 0, bytes: Buffer::default(), own: false };
        Unpacker { batch, part, at: Start::default(), left: MAX_DECODED }
    }

    /// The column of type `data_type` whose parts begin at `start` and whose bytes are in `part`.
    pub(super) fn column(
        &mut self,
        data_type: &DataType,
        start: Start,
        part: Part,
    ) -> Result<ArrayRef, ArrowError> {
        (self.at, self.part) = (start, part);
        let column = self.next(data_type)?;
        self.part.bytes = Buffer::default();
        Ok(make_array(column))
    }

    fn next(&mut self, data_type: &DataType) -> Result<ArrayData, ArrowError> {
        use DataType::{
            Binary, BinaryView, FixedSizeList, LargeBinary, LargeList, LargeListView, LargeUtf8, List,
            ListView, Map, Null, Struct, Utf8, Utf8View,
        };
        let nodes = self.batch.nodes().filter(|nodes| self.at.node < nodes.len()).ok_or_else(missing)?;
        let node = nodes.get(self.at.node);
        self.at.node += 1;
        let len = usize::try_from(node.length()).map_err(|_| missing())?;
        let mut column = ArrayData::builder(data_type.clone()).len(len).align_buffers(true);
        if *data_type == Null {
            return column.build();
        }
        let validity = self.stored()?;
        if node.null_count() > 0 {
            let validity = self.unpacked(validity)?;
            if validity.len() < len.div_ceil(8) {
                return Err(missing());
            }
            column = column.null_bit_buffer(Some(validity));
        }
        let buffers = match data_type {
            Struct(_) | FixedSizeList(..) => 0,
            Utf8 | LargeUtf8 | Binary | LargeBinary | ListView(_) | LargeListView(_) => 2,
            Utf8View | BinaryView => 1 + self.further()?,
            _ => 1,
        };
        for _ in 0..buffers {
            let stored = self.stored()?;
            column = column.add_buffer(self.unpacked(stored)?);
        }
        match data_type {
            List(f) | LargeList(f) | ListView(f) | LargeListView(f) | FixedSizeList(f, _) | Map(f, _) => {
                column = column.add_child_data(self.next(f.data_type())?);
            }
            Struct(fields) => {
                for field in fields {
                    column = column.add_child_data(self.next(field.data_type())?);
                }
            }
            _ => {}
        }
        column.build()
    }

    /// How many further buffers the next column of views has.
    fn further(&mut self) -> Result<usize, ArrowError> {
        let counts = self.batch.variadicBufferCounts();
        let counts = counts.filter(|counts| self.at.view < counts.len()).ok_or_else(missing)?;
        let count = counts.get(self.at.view);
        self.at.view += 1;
        usize::try_from(count).map_err(|_| missing())
    }

    /// The next buffer as it lies there.
    fn stored(&mut self) -> Result<Buffer, ArrowError> {
        let places =
            self.batch.buffers().filter(|places| self.at.buffer < places.len()).ok_or_else(missing)?;
        let place = places.get(self.at.buffer);
        self.at.buffer += 1;
        let start = usize::try_from(place.offset()).ok().and_then(|start| start.checked_sub(self.part.at));
        let start = start.ok_or_else(missing)?;
        let len = usize::try_from(place.length()).map_err(|_| missing())?;
        if start.checked_add(len).is_none_or(|end| end > self.part.bytes.len()) {
            return Err(missing());
        }
        Ok(self.part.bytes.slice_with_length(start, len))
    }

    /// A buffer, decompressed: where it is compressed, its length stands before it (i64, -1 = it is as it was).
    fn unpacked(&mut self, stored: Buffer) -> Result<Buffer, ArrowError> {
        let Some(compression) = self.batch.compression().filter(|_| !stored.is_empty()) else {
            return Ok(stored);
        };
        let Some((prefix, packed)) = stored.split_first_chunk::<8>() else { return Err(missing()) };
        let len = match i64::from_le_bytes(*prefix) {
            -1 if self.part.own => return Ok(stored.slice(prefix.len())),
            // As a part of the frame it would keep all of it for as long as the column is there.
            -1 => return Ok(Buffer::from_vec(packed.to_vec())),
            len => usize::try_from(len).map_err(|_| missing())?,
        };
        let left = self.left.checked_sub(len as u64);
        self.left =
            left.ok_or_else(|| ArrowError::IpcError(format!("they take more than {MAX_DECODED} bytes")))?;
        let mut into = vec![0; len];
        let filled = match compression.codec() {
            CompressionType::LZ4_FRAME => lz4(packed, &mut into)?,
            _ => zstd::bulk::Decompressor::new()?.decompress_to_buffer(packed, into.as_mut_slice())?,
        };
        if filled != len {
            return Err(ArrowError::IpcError(format!("a column has {filled} bytes instead of {len}")));
        }
        Ok(Buffer::from_vec(into))
    }
}

fn missing() -> ArrowError {
    ArrowError::IpcError("a part of a column is missing".into())
}

/// Fills `into` with what an LZ4 frame holds and gives its length. The frame's own checksums are not looked at: it lies in
/// one of ours, which has been checked as a whole.
///
/// The format: <https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md>.
fn lz4(frame: &[u8], into: &mut [u8]) -> io::Result<usize> {
    const MAGIC: u32 = 0x184D_2204;
    /// Bits of the first byte behind the magic number; its two highest bits are the version.
    const BLOCK_CHECKSUMS: u8 = 1 << 4;
    const CONTENT_SIZE: u8 = 1 << 3;
    const DICTIONARY: u8 = 1;
    /// Of a block's length: it is as it was.
    const PLAIN: u32 = 1 << 31;
    /// How far back a block may refer.
    const WINDOW: usize = 64 << 10;
    let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why);
    let cut = || wrong("an lz4 frame is cut off");
    let (magic, rest) = frame.split_first_chunk::<4>().ok_or_else(cut)?;
    let flags = *rest.first().ok_or_else(cut)?;
    if u32::from_le_bytes(*magic) != MAGIC || flags >> 6 != 1 || flags & DICTIONARY != 0 {
        return Err(wrong("an lz4 frame of another kind"));
    }
    // Flags, the blocks' greatest length, perhaps the whole length, a checksum of these.
    let described = if flags & CONTENT_SIZE == 0 { 3 } else { 11 };
    let mut rest = rest.get(described..).ok_or_else(cut)?;
    let mut filled = 0;
    loop {
        let (len, behind) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
        let len = u32::from_le_bytes(*len);
        if len == 0 {
            return Ok(filled);
        }
        let (block, behind) = behind.split_at_checked((len & !PLAIN) as usize).ok_or_else(cut)?;
        rest = if flags & BLOCK_CHECKSUMS == 0 { behind } else { behind.get(4..).ok_or_else(cut)? };
        let (before, room) = into.split_at_mut(filled);
        filled += if len & PLAIN != 0 {
            room.get_mut(..block.len())
                .ok_or_else(|| wrong("an lz4 frame is too long"))?
                .copy_from_slice(block);
            block.len()
        } else {
            // Arrow's writer lets no block refer to the one before; others may.
            let window = &before[before.len().saturating_sub(WINDOW)..];
            lz4_flex::block::decompress_into_with_dict(block, room, window).map_err(io::Error::other)?
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    use std::io::Write;

    /// Text that repeats itself, and now and then does not.
    fn content(len: usize) -> Vec<u8> {
        (0..len).map(|i| if i % 1000 < 700 { (i % 50) as u8 } else { (i * i % 251) as u8 }).collect()
    }

    #[test]
    fn lz4_frames_of_all_kinds_are_read() {
        for len in [0, 1, 63, 64 << 10, (64 << 10) + 1, 300_000, 5 << 20] {
            let content = content(len);
            for block_mode in [BlockMode::Independent, BlockMode::Linked] {
                for checksums in [false, true] {
                    let info = FrameInfo::new()
                        .block_mode(block_mode)
                        .block_size(BlockSize::Max64KB)
                        .block_checksums(checksums)
                        .content_checksum(checksums)
                        .content_size(checksums.then_some(len as u64));
                    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
                    encoder.write_all(&content).unwrap();
                    let frame = encoder.finish().unwrap();
                    let mut into = vec![0; len];
                    assert_eq!(lz4(&frame, &mut into).unwrap(), len);
                    assert!(into == content, "{len} {block_mode:?} {checksums}");
                }
            }
        }
    }

    #[test]
    fn a_damaged_lz4_frame_is_refused_or_gives_no_more_than_there_is_room_for() {
        let content = content(100_000);
        let mut encoder = FrameEncoder::new(Vec::new());
        encoder.write_all(&content).unwrap();
        let frame = encoder.finish().unwrap();
        let mut into = vec![0; content.len()];
        for cut in (0..frame.len()).step_by(7) {
            assert!(lz4(&frame[..cut], &mut into).is_err());
        }
        assert!(lz4(&frame, &mut into[..50_000]).is_err());
        for at in 0..frame.len() {
            let mut damaged = frame.clone();
            damaged[at] ^= 1 << (at % 8);
            let filled = lz4(&damaged, &mut into).unwrap_or(0);
            assert!(filled <= into.len());
        }
    }
}
