//! An Arrow IPC message that holds a record batch, and what a schema says of such a batch's parts.

use arrow::datatypes::{DataType, Field, Schema};
use arrow::ipc::{MetadataVersion, RecordBatch};
use std::ops::Range;

/// Bytes before a message's metadata: a mark, and the metadata's length.
pub(super) const PREFIX: usize = 8;

/// The bytes of prefix and metadata of the message whose prefix this is; `None` = it is none.
pub(super) fn head_len(prefix: &[u8; PREFIX]) -> Option<usize> {
    let len = i32::from_le_bytes(super::frame::field(prefix, 4));
    if prefix[..4] != [0xFF; 4] {
        return None;
    }
    usize::try_from(len).ok()?.checked_add(PREFIX)
}

/// How many parts a schema's record batches have, as Arrow's format lays down.
#[derive(Debug, Clone, Default)]
pub(super) struct Shape {
    nodes: usize,
    /// Buffers, without those whose number each batch says itself.
    buffers: usize,
    /// Columns of the view types, each with a number of further buffers.
    views: usize,
    /// Where each column begins, were there no further buffers.
    columns: Vec<Start>,
}

impl Shape {
    pub(super) fn of(schema: &Schema) -> Self {
        let mut shape = Shape::default();
        for field in schema.fields() {
            shape.columns.push(Start { node: shape.nodes, buffer: shape.buffers, view: shape.views });
            shape.add(field);
        }
        shape
    }

    /// How many columns the schema has.
    pub(super) fn columns(&self) -> usize {
        self.columns.len()
    }

    fn add(&mut self, field: &Field) {
        use DataType::{
            Binary, BinaryView, FixedSizeList, LargeBinary, LargeList, LargeListView, LargeUtf8, List,
            ListView, Map, Null, Struct, Utf8, Utf8View,
        };
        self.nodes += 1;
        self.buffers += match field.data_type() {
            Null => 0,
            Struct(_) | FixedSizeList(..) => 1,
            Utf8 | LargeUtf8 | Binary | LargeBinary | ListView(_) | LargeListView(_) => 3,
            _ => 2,
        };
        match field.data_type() {
            Utf8View | BinaryView => self.views += 1,
            List(f) | LargeList(f) | ListView(f) | LargeListView(f) | FixedSizeList(f, _) | Map(f, _) => {
                self.add(f);
            }
            Struct(fields) => fields.iter().for_each(|f| self.add(f)),
            _ => {}
        }
    }
}

/// Where a column's parts begin among a record batch's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Start {
    /// Its first node.
    pub(super) node: usize,
    /// Its first buffer.
    pub(super) buffer: usize,
    /// The first of its further buffers' counts (of columns of views).
    pub(super) view: usize,
}

/// Where a column lies in a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Its first parts.
    pub(super) start: Start,
    /// Its bytes among the message's data.
    pub(super) bytes: Range<usize>,
}

/// The metadata of a message.
pub(super) struct Message<'a> {
    pub(super) batch: RecordBatch<'a>,
    /// Where the data begins in the message, and how many bytes it has.
    pub(super) data_at: usize,
    pub(super) data_len: usize,
}

impl<'a> Message<'a> {
    /// Reads the metadata of the message that `bytes` begin with.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let malformed = || "the frame's rows are malformed".to_string();
        let head = bytes.first_chunk::<PREFIX>().and_then(head_len).ok_or_else(malformed)?;
        let metadata = bytes.get(PREFIX..head).ok_or_else(malformed)?;
        let message = arrow::ipc::root_as_message(metadata).map_err(|_| malformed())?;
        let batch = message.header_as_record_batch().ok_or_else(malformed)?;
        let data_len = usize::try_from(message.bodyLength()).map_err(|_| malformed())?;
        if message.version() != MetadataVersion::V5 {
            return Err(malformed());
        }
        Ok(Message { batch, data_at: head, data_len })
    }

    /// Checks that the batch has `rows` rows and the parts of `shape`, one behind the other; where each column lies.
    pub(super) fn columns(&self, shape: &Shape, rows: u32) -> Result<Vec<Place>, String> {
        let lies = || "the frame's rows are not those of the topic's columns".to_string();
        if self.batch.length() != i64::from(rows) {
            return Err(lies());
        }
        // How many further buffers the views have, up to each of them.
        let mut further = vec![0_usize];
        for count in self.batch.variadicBufferCounts().into_iter().flatten() {
            let before = further[further.len() - 1];
            let sum = usize::try_from(count).ok().and_then(|n| before.checked_add(n)).ok_or_else(lies)?;
            further.push(sum);
        }
        let views = further.len() - 1;
        let buffers = shape.buffers.checked_add(further[views]).ok_or_else(lies)?;
        let nodes = self.batch.nodes().ok_or_else(lies)?;
        let ranges = self.batch.buffers().ok_or_else(lies)?;
        if (nodes.len(), ranges.len(), views) != (shape.nodes, buffers, shape.views) {
            return Err(lies());
        }
        if nodes.iter().any(|n| n.null_count() < 0 || n.null_count() > n.length()) {
            return Err(lies());
        }
        let mut begins = Vec::with_capacity(buffers + 1);
        let mut end = 0;
        for range in ranges {
            let begin =
                usize::try_from(range.offset()).ok().filter(|begin| *begin >= end).ok_or_else(lies)?;
            let len = usize::try_from(range.length()).map_err(|_| lies())?;
            end = begin.checked_add(len).filter(|end| *end <= self.data_len).ok_or_else(lies)?;
            begins.push(begin);
        }
        begins.push(self.data_len);
        let starts =
            shape.columns.iter().map(|start| Start { buffer: start.buffer + further[start.view], ..*start });
        let starts: Vec<Start> = starts.collect();
        let next = |i: usize| starts.get(i + 1).map_or(buffers, |next| next.buffer);
        let place = |(i, start): (usize, &Start)| Place {
            start: *start,
            bytes: begins[start.buffer]..begins[next(i)],
        };
        Ok(starts.iter().enumerate().map(place).collect())
    }

    /// How many bytes the columns have once they are decompressed: Arrow puts each buffer's length before it, -1 = what
    /// follows is as it is. `None` = it is not all there.
    pub(super) fn decoded_len(&self, data: &[u8]) -> Option<u64> {
        let mut all: u64 = 0;
        for range in self.batch.buffers()? {
            let (begin, len) = (usize::try_from(range.offset()).ok()?, usize::try_from(range.length()).ok()?);
            let stored = data.get(begin..begin.checked_add(len)?)?;
            let is_packed = self.batch.compression().is_some() && !stored.is_empty();
            let decoded = match is_packed.then(|| stored.first_chunk::<8>()) {
                None => stored.len() as u64,
                Some(prefix) => match i64::from_le_bytes(*prefix?) {
                    -1 => stored.len() as u64,
                    len => u64::try_from(len).ok()?,
                },
            };
            all = all.saturating_add(decoded);
        }
        Some(all)
    }
}
