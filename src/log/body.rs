//! The body of a frame: rows as an Arrow IPC record batch, and their marks as a second one.
//!
//! ```text
//!     │ FFFFFFFF │ length i32 │ metadata (flatbuffer), padded │ buffers, each padded to 16 bytes │
//!     │ the same once more for the marks (one column of i64), if there are any                   │
//!     │ and once more for the rows' offsets (one column of u64), if the frame is sparse          │
//! ```
//!
//! Arrow's "encapsulated message" without the schema, which stands in the topic's description.
//! Compression is Arrow's own, buffer by buffer, so a projection decompresses what it needs and no more.

use super::error::LogError;
use super::frame::{HEADER_LEN, Header, MAX_BODY, Sparse};
use super::unpack::{Start, Unpacker};
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, UInt64Type};
use arrow::error::ArrowError;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow::ipc::{CompressionType, MetadataVersion};
use std::sync::Arc;

/// The most bytes of a frame's columns once they are decompressed.
const MAX_DECODED: u64 = 1 << 30;
/// The most memory that is kept from one frame for the next.
const KEPT_MEMORY: usize = 32 << 20;
/// Every buffer starts at a multiple of this: what the widest numbers (decimals) need.
const ALIGNMENT: usize = 16;

/// How a topic's frames are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Codec {
    /// Quick both ways; the default.
    #[default]
    Lz4,
    /// Smaller, and slower to write.
    Zstd,
    /// Not at all.
    None,
}

impl Codec {
    /// Every codec, the default first.
    pub const ALL: [Codec; 3] = [Codec::Lz4, Codec::Zstd, Codec::None];

    /// Its name: `lz4`, `zstd` or `none`.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
            Codec::None => "none",
        }
    }

    /// The codec of that name, in lower case.
    pub fn from_name(name: &str) -> Option<Self> {
        Codec::ALL.into_iter().find(|codec| codec.name() == name)
    }

    pub(super) fn code(self) -> u8 {
        match self {
            Codec::None => 0,
            Codec::Lz4 => 1,
            Codec::Zstd => 2,
        }
    }

    pub(super) fn from_code(code: u8) -> Option<Self> {
        Codec::ALL.into_iter().find(|codec| codec.code() == code)
    }

    fn options(self) -> Result<IpcWriteOptions, ArrowError> {
        IpcWriteOptions::try_new(ALIGNMENT, false, MetadataVersion::V5)?.try_with_compression(match self {
            Codec::Lz4 => Some(CompressionType::LZ4_FRAME),
            Codec::Zstd => Some(CompressionType::ZSTD),
            Codec::None => None,
        })
    }
}

/// The schema under which rows of `schema` are kept: dictionaries give way to their values.
/// Fails on a type that the log cannot keep.
pub(super) fn stored_schema(schema: &Schema) -> Result<SchemaRef, LogError> {
    let mut fields = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let stored = match field.data_type() {
            DataType::Dictionary(_, values) => field.as_ref().clone().with_data_type(values.as_ref().clone()),
            _ => field.as_ref().clone(),
        };
        if !can_be_stored(stored.data_type()) {
            return Err(LogError::ColumnType {
                column: field.name().clone(),
                data_type: field.data_type().to_string(),
            });
        }
        fields.push(stored);
    }
    Ok(Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())))
}

fn can_be_stored(data_type: &DataType) -> bool {
    use DataType::{
        Dictionary, FixedSizeList, LargeList, LargeListView, List, ListView, Map, RunEndEncoded, Struct,
        Union,
    };
    match data_type {
        Dictionary(..) | Union(..) | RunEndEncoded(..) => false,
        List(f) | LargeList(f) | ListView(f) | LargeListView(f) | FixedSizeList(f, _) | Map(f, _) => {
            can_be_stored(f.data_type())
        }
        Struct(fields) => fields.iter().all(|f| can_be_stored(f.data_type())),
        _ => true,
    }
}

/// `batch` under the stored schema `schema`: dictionaries are cast, names are not compared.
/// The error says in words what does not fit.
pub(super) fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, String> {
    if batch.num_columns() != schema.fields().len() {
        return Err(format!("they have {} columns, not {}", batch.num_columns(), schema.fields().len()));
    }
    let mut columns = batch.columns().to_vec();
    for (column, field) in columns.iter_mut().zip(schema.fields()) {
        if matches!(column.data_type(), DataType::Dictionary(..)) {
            *column = arrow::compute::cast(column, field.data_type())
                .map_err(|e| format!("the column {:?} cannot be decoded: {e}", field.name()))?;
        }
        if !column.data_type().equals_datatype(field.data_type()) {
            let (found, declared) = (column.data_type(), field.data_type());
            return Err(format!("the column {:?} holds {found}, not {declared}", field.name()));
        }
        if !field.is_nullable() && column.null_count() > 0 {
            return Err(format!("the column {:?} has nulls, but must have none", field.name()));
        }
    }
    let options =
        RecordBatchOptions::new().with_row_count(Some(batch.num_rows())).with_match_field_names(false);
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(|e| e.to_string())
}

fn marks_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("mark", DataType::Int64, true)]))
}

fn offsets_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("offset", DataType::UInt64, false)]))
}

/// The marks of several batches' rows as one column; rows without a mark are never late. `None` = there are none.
pub(super) fn marks_of<'a>(
    parts: impl Iterator<Item = (Option<&'a Int64Array>, usize)> + Clone,
) -> Option<Int64Array> {
    parts.clone().any(|(marks, _)| marks.is_some()).then(|| {
        let each = parts.flat_map(|(marks, rows)| {
            (0..rows).map(move |i| marks.map_or(Some(i64::MIN), |m| m.is_valid(i).then(|| m.value(i))))
        });
        each.collect()
    })
}

/// What a frame's body holds.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) batch: RecordBatch,
    pub(super) marks: Option<Int64Array>,
    /// The rows' offsets, ascending; only in a sparse frame.
    pub(super) offsets: Option<UInt64Array>,
}

/// Makes frames; keeps its memory from one to the next.
pub(super) struct Encoder {
    codec: Codec,
    shape: Shape,
    rows: StreamWriter<Vec<u8>>,
    marks: StreamWriter<Vec<u8>>,
    offsets: StreamWriter<Vec<u8>>,
}

impl Encoder {
    pub(super) fn new(schema: &Schema, codec: Codec) -> Result<Self, ArrowError> {
        Ok(Encoder {
            codec,
            shape: Shape::of(schema),
            rows: StreamWriter::try_new_with_options(Vec::new(), schema, codec.options()?)?,
            marks: StreamWriter::try_new_with_options(Vec::new(), &marks_schema(), codec.options()?)?,
            offsets: StreamWriter::try_new_with_options(Vec::new(), &offsets_schema(), codec.options()?)?,
        })
    }

    /// Encodes rows that [`conform`] to the schema. Gives the header, with what depends on the body
    /// filled in, and the frame with room for the header at its start; `None` = too large for a frame.
    /// Give the frame back with [`reuse`](Self::reuse) when it is written.
    pub(super) fn encode(
        &mut self,
        batch: &RecordBatch,
        marks: Option<&Int64Array>,
        offsets: Option<&UInt64Array>,
    ) -> Result<Option<(Header, Vec<u8>)>, ArrowError> {
        let Ok(rows) = u32::try_from(batch.num_rows()) else { return Ok(None) };
        // The writers put the schema first when they are made.
        let frame = self.rows.get_mut();
        frame.clear();
        frame.resize(HEADER_LEN, 0);
        self.rows.write(batch)?;
        let marks = marks.map(|marks| Arc::new(marks.clone()) as ArrayRef);
        let marks_len = message_of(&mut self.marks, marks_schema(), marks)?;
        let offsets = offsets.map(|offsets| Arc::new(offsets.clone()) as ArrayRef);
        let offsets_len = message_of(&mut self.offsets, offsets_schema(), offsets)?;
        let frame = self.rows.get_mut();
        // What a reader would refuse must not be written.
        let fits = Message::read(&frame[HEADER_LEN..]).is_ok_and(|m| m.check(&self.shape, rows).is_ok());
        if marks_len.is_some() {
            frame.extend_from_slice(self.marks.get_ref());
        }
        if offsets_len.is_some() {
            frame.extend_from_slice(self.offsets.get_ref());
        }
        let body = &frame[HEADER_LEN..];
        if !fits || body.len() as u64 > MAX_BODY {
            return Ok(None);
        }
        let header = Header {
            codec: self.codec,
            // At most MAX_BODY, which is far below u32::MAX.
            body_len: body.len() as u32,
            body_crc: crc32c::crc32c(body),
            rows,
            marks_len,
            sparse: offsets_len.map(|offsets_len| Sparse { offsets_len, ..Sparse::default() }),
            ..Header::default()
        };
        Ok(Some((header, std::mem::take(frame))))
    }

    /// Takes back a frame's memory for the next one.
    pub(super) fn reuse(&mut self, frame: Vec<u8>) {
        if frame.capacity() <= KEPT_MEMORY {
            *self.rows.get_mut() = frame;
        }
    }
}

/// Encodes a column beside the rows into the writer's memory; its length.
fn message_of(
    writer: &mut StreamWriter<Vec<u8>>,
    schema: SchemaRef,
    column: Option<ArrayRef>,
) -> Result<Option<u32>, ArrowError> {
    let Some(column) = column else { return Ok(None) };
    writer.get_mut().clear();
    writer.write(&RecordBatch::try_new(schema, vec![column])?)?;
    Ok(u32::try_from(writer.get_ref().len()).ok())
}

/// Reads frames' bodies; shared by no one, cheap to make.
pub(super) struct Decoder {
    schema: SchemaRef,
    shape: Shape,
    projection: Option<Vec<usize>>,
    marks: (SchemaRef, Shape),
    offsets: (SchemaRef, Shape),
}

impl Decoder {
    /// For rows of `schema`, giving the columns of `projection` (positions that exist) in its order.
    pub(super) fn new(schema: SchemaRef, projection: Option<Vec<usize>>) -> Self {
        let shaped = |schema: SchemaRef| {
            let shape = Shape::of(&schema);
            (schema, shape)
        };
        Decoder {
            shape: Shape::of(&schema),
            schema,
            projection,
            marks: shaped(marks_schema()),
            offsets: shaped(offsets_schema()),
        }
    }

    /// What a body holds whose checksum is right. The error says in words what is wrong with it.
    pub(super) fn decode(&self, header: &Header, body: &Buffer) -> Result<Content, String> {
        let senseless = "the frame's lengths make no sense";
        let offsets_len = header.sparse.map_or(0, |sparse| sparse.offsets_len) as usize;
        let offsets_at = body.len().checked_sub(offsets_len).ok_or(senseless)?;
        let marks_at =
            offsets_at.checked_sub(header.marks_len.unwrap_or_default() as usize).ok_or(senseless)?;
        let part = |from: usize, to: usize| body.slice_with_length(from, to - from);
        let rows = (&self.schema, &self.shape);
        let batch = self.message(&part(0, marks_at), header.rows, rows, self.projection.as_deref())?;
        let beside = |bytes: Buffer, (schema, shape): &(SchemaRef, Shape)| {
            Ok::<_, String>(self.message(&bytes, header.rows, (schema, shape), None)?.column(0).clone())
        };
        let marks = header.marks_len.map(|_| beside(part(marks_at, offsets_at), &self.marks)).transpose()?;
        let offsets =
            header.sparse.map(|_| beside(part(offsets_at, body.len()), &self.offsets)).transpose()?;
        let offsets = offsets.map(|offsets| offsets.as_primitive::<UInt64Type>().clone());
        if offsets.as_ref().is_some_and(|offsets| !lie_in(offsets, header)) {
            return Err("the offsets of the frame's rows make no sense".into());
        }
        Ok(Content { batch, marks: marks.map(|marks| marks.as_primitive::<Int64Type>().clone()), offsets })
    }

    fn message(
        &self,
        bytes: &Buffer,
        rows: u32,
        (schema, shape): (&SchemaRef, &Shape),
        projection: Option<&[usize]>,
    ) -> Result<RecordBatch, String> {
        let words = |e: ArrowError| format!("the frame's rows cannot be read: {e}");
        let message = Message::read(bytes)?;
        let starts = message.check(shape, rows)?;
        let mut unpacker = Unpacker::new(message.batch, bytes.slice(message.data_at));
        let mut column = |i: usize| unpacker.column(schema.field(i).data_type(), starts[i]);
        let (schema, columns) = match projection {
            None => (Arc::clone(schema), (0..starts.len()).map(&mut column).collect()),
            Some(wanted) => {
                let mut columns: Vec<ArrayRef> = Vec::with_capacity(wanted.len());
                for (n, i) in wanted.iter().enumerate() {
                    let before = wanted[..n].iter().position(|earlier| earlier == i);
                    columns
                        .push(before.map_or_else(|| column(*i), |n| Ok(columns[n].clone())).map_err(words)?);
                }
                (Arc::new(schema.project(wanted).map_err(words)?), Ok(columns))
            }
        };
        let options = RecordBatchOptions::new().with_row_count(Some(rows as usize));
        columns
            .and_then(|columns| RecordBatch::try_new_with_options(schema, columns, &options))
            .map_err(words)
    }
}

/// Whether a sparse frame's rows lie, in order, in the offsets that it covers.
fn lie_in(offsets: &UInt64Array, header: &Header) -> bool {
    let offsets = offsets.values();
    offsets.windows(2).all(|pair| pair[0] < pair[1])
        && offsets.first().is_none_or(|first| *first >= header.base_offset)
        && offsets.last().is_none_or(|last| *last < header.next_offset())
}

/// How many parts a schema's record batches have, as Arrow's format lays down.
#[derive(Debug, Clone, Default)]
struct Shape {
    /// Of each node, its validity buffer's place among `buffers`, and how many of the views come before it; a column of
    /// nulls has no such buffer.
    nodes: Vec<Option<(usize, usize)>>,
    /// Buffers, without those whose number each batch says itself.
    buffers: usize,
    /// Columns of the view types, each with a number of further buffers.
    views: usize,
    /// Where each column begins, were there no further buffers.
    columns: Vec<Start>,
}

impl Shape {
    fn of(schema: &Schema) -> Self {
        let mut shape = Shape::default();
        for field in schema.fields() {
            let start = Start { node: shape.nodes.len(), buffer: shape.buffers, view: shape.views };
            shape.columns.push(start);
            shape.add(field);
        }
        shape
    }

    fn add(&mut self, field: &Field) {
        use DataType::{
            Binary, BinaryView, FixedSizeList, LargeBinary, LargeList, LargeListView, LargeUtf8, List,
            ListView, Map, Null, Struct, Utf8, Utf8View,
        };
        let is_null = *field.data_type() == Null;
        self.nodes.push((!is_null).then_some((self.buffers, self.views)));
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

/// An encapsulated message that holds a record batch.
struct Message<'a> {
    batch: arrow::ipc::RecordBatch<'a>,
    data: &'a [u8],
    /// Where the buffers start in the message.
    data_at: usize,
}

impl<'a> Message<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let malformed = || "the frame's rows are malformed".to_string();
        let (prefix, rest) = bytes.split_at_checked(8).ok_or_else(malformed)?;
        let metadata_len = i32::from_le_bytes(super::frame::field(prefix, 4));
        let metadata_len = usize::try_from(metadata_len).map_err(|_| malformed())?;
        let (metadata, data) = rest.split_at_checked(metadata_len).ok_or_else(malformed)?;
        let message = arrow::ipc::root_as_message(metadata).map_err(|_| malformed())?;
        let batch = message.header_as_record_batch().ok_or_else(malformed)?;
        if prefix[..4] != [0xFF; 4]
            || message.version() != MetadataVersion::V5
            || usize::try_from(message.bodyLength()) != Ok(data.len())
        {
            return Err(malformed());
        }
        Ok(Message { batch, data, data_at: 8 + metadata_len })
    }

    /// Checks that the parts are there, and that decoding takes no undue memory; where each column begins.
    fn check(&self, shape: &Shape, rows: u32) -> Result<Vec<Start>, String> {
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
        if (nodes.len(), ranges.len(), views) != (shape.nodes.len(), buffers, shape.views) {
            return Err(lies());
        }
        if nodes.iter().any(|n| n.null_count() < 0 || n.null_count() > n.length()) {
            return Err(lies());
        }
        let mut decoded: u64 = 0;
        let mut lens = Vec::with_capacity(buffers);
        for range in ranges {
            let start = usize::try_from(range.offset()).map_err(|_| lies())?;
            let len = usize::try_from(range.length()).map_err(|_| lies())?;
            let end = start.checked_add(len).ok_or_else(lies)?;
            let stored = self.data.get(start..end).ok_or_else(lies)?;
            lens.push(self.decoded_len(stored).ok_or_else(lies)?);
            decoded = decoded.saturating_add(lens[lens.len() - 1]);
        }
        for (node, place) in nodes.iter().zip(&shape.nodes) {
            let Some((buffer, views)) = place.filter(|_| node.null_count() > 0) else { continue };
            // At least 1, so this is no negative number.
            if lens[buffer + further[views]] < (node.length() as u64).div_ceil(8) {
                return Err(lies());
            }
        }
        if decoded > MAX_DECODED {
            return Err(format!("the frame's rows would take {decoded} bytes"));
        }
        let begins = |start: &Start| Start { buffer: start.buffer + further[start.view], ..*start };
        Ok(shape.columns.iter().map(begins).collect())
    }

    /// The length of a buffer once it is decompressed: Arrow puts it first, -1 = what follows is as it is.
    fn decoded_len(&self, stored: &[u8]) -> Option<u64> {
        if stored.is_empty() || self.batch.compression().is_none() {
            return Some(stored.len() as u64);
        }
        let prefix = stored.first_chunk::<8>()?;
        match i64::from_le_bytes(*prefix) {
            -1 => Some((stored.len() - prefix.len()) as u64),
            len => u64::try_from(len).ok(),
        }
    }
}
