//! The body of a frame: rows as an Arrow IPC record batch, and their marks as a second one.
//!
//! ```text
//!     │ FFFFFFFF │ length i32 │ metadata (flatbuffer), padded │ buffers, each padded to 16 bytes │
//!     │ the same once more for the marks (one column of i64), if there are any                   │
//!     │ and once more for the rows' offsets (one column of u64), if the frame is sparse          │
//!     │ checksums of these parts, if it is large (parts.rs)                                      │
//! ```
//!
//! Arrow's "encapsulated message" without the schema, which stands in the topic's description.
//! Compression is Arrow's own, buffer by buffer, so a projection decompresses what it needs and no more.

use super::error::LogError;
use super::frame::{HEADER_LEN, Header, MAX_BODY, Sparse};
use super::message::{Message, Shape};
use super::parts::{Body, CHECKED_BODY, Checks, Part, Parts, Wanted};
use super::unpack::{MAX_DECODED, Unpacker};
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, UInt64Type};
use arrow::error::ArrowError;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow::ipc::{CompressionType, MetadataVersion};
use std::sync::Arc;

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
        if marks_len.is_some() {
            frame.extend_from_slice(self.marks.get_ref());
        }
        if offsets_len.is_some() {
            frame.extend_from_slice(self.offsets.get_ref());
        }
        // What a reader would refuse must not be written.
        let Some(checks) = checks(&frame[HEADER_LEN..], &self.shape, rows) else { return Ok(None) };
        let has_checks = checks.is_some();
        frame.extend(checks.iter().flat_map(Checks::bytes));
        let body = &frame[HEADER_LEN..];
        if body.len() as u64 > MAX_BODY {
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
            has_checks,
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

/// The checksums of the parts of a body with `rows` rows of `shape`, if it is large enough to have them; `None` = it is too
/// large to be read.
fn checks(body: &[u8], shape: &Shape, rows: u32) -> Option<Option<Checks>> {
    let message = Message::read(body).ok()?;
    let columns = message.columns(shape, rows).ok()?;
    message.decoded_len(&body[message.data_at..]).filter(|len| *len <= MAX_DECODED)?;
    if body.len() < CHECKED_BODY {
        return Some(None);
    }
    Checks::of(body, &message, &columns).map(Some)
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

    /// What of a frame is to be read for it; `None` = all.
    pub(super) fn wanted(&self) -> Option<Wanted> {
        Wanted::new(&self.shape, self.projection.as_deref())
    }

    /// What a body holds whose checksums are right. The error says in words what is wrong with it.
    pub(super) fn decode(&self, header: &Header, body: &Body) -> Result<Content, String> {
        let senseless = "the frame's lengths make no sense";
        let (rows, beside) = match body {
            Body::Whole(body) => {
                let checks_len = if header.has_checks { Checks::len(self.shape.columns()) } else { 0 };
                let end = body.len().checked_sub(checks_len).ok_or(senseless)?;
                let at = end.checked_sub(header.beside_len()).ok_or(senseless)?;
                (Rows::Whole(body.slice_with_length(0, at)), body.slice_with_length(at, end - at))
            }
            Body::Parts(parts) => (Rows::Parts(parts), parts.beside.clone()),
        };
        if beside.len() != header.beside_len() {
            return Err(senseless.into());
        }
        let batch =
            self.message(&rows, header.rows, (&self.schema, &self.shape), self.projection.as_deref())?;
        let marks_len = header.marks_len.unwrap_or_default() as usize;
        let column = |bytes: Buffer, (schema, shape): &(SchemaRef, Shape)| {
            let batch = self.message(&Rows::Whole(bytes), header.rows, (schema, shape), None)?;
            Ok::<_, String>(batch.column(0).clone())
        };
        let marks = beside.slice_with_length(0, marks_len);
        let marks = header.marks_len.map(|_| column(marks, &self.marks)).transpose()?;
        let offsets = header.sparse.map(|_| column(beside.slice(marks_len), &self.offsets)).transpose()?;
        let offsets = offsets.map(|offsets| offsets.as_primitive::<UInt64Type>().clone());
        if offsets.as_ref().is_some_and(|offsets| !lie_in(offsets, header)) {
            return Err("the offsets of the frame's rows make no sense".into());
        }
        Ok(Content { batch, marks: marks.map(|marks| marks.as_primitive::<Int64Type>().clone()), offsets })
    }

    fn message(
        &self,
        bytes: &Rows<'_>,
        rows: u32,
        (schema, shape): (&SchemaRef, &Shape),
        projection: Option<&[usize]>,
    ) -> Result<RecordBatch, String> {
        let words = |e: ArrowError| format!("the frame's rows cannot be read: {e}");
        let message = Message::read(bytes.head())?;
        let places = message.columns(shape, rows)?;
        let mut unpacker = Unpacker::new(message.batch);
        let mut column = |i: usize| {
            let part = match bytes {
                Rows::Whole(all) if all.len() == message.data_at + message.data_len => {
                    Part { column: i, at: 0, bytes: all.slice(message.data_at), own: false }
                }
                Rows::Whole(_) => return Err("the frame's rows are malformed".into()),
                Rows::Parts(parts) => {
                    let part = parts.columns.iter().find(|part| part.column == i);
                    part.cloned().ok_or("a column of the frame was not read")?
                }
            };
            unpacker.column(schema.field(i).data_type(), places[i].start, part).map_err(words)
        };
        let (schema, columns) = match projection {
            None => (Arc::clone(schema), (0..places.len()).map(column).collect::<Result<_, String>>()?),
            Some(wanted) => {
                let mut columns: Vec<ArrayRef> = Vec::with_capacity(wanted.len());
                for (n, i) in wanted.iter().enumerate() {
                    let before = wanted[..n].iter().position(|earlier| earlier == i);
                    columns.push(before.map_or_else(|| column(*i), |n| Ok(columns[n].clone()))?);
                }
                (Arc::new(schema.project(wanted).map_err(words)?), columns)
            }
        };
        let options = RecordBatchOptions::new().with_row_count(Some(rows as usize));
        RecordBatch::try_new_with_options(schema, columns, &options).map_err(words)
    }
}

/// A message as it was read.
enum Rows<'a> {
    Whole(Buffer),
    Parts(&'a Parts),
}

impl Rows<'_> {
    fn head(&self) -> &[u8] {
        match self {
            Rows::Whole(bytes) => bytes,
            Rows::Parts(parts) => &parts.head,
        }
    }
}

/// Whether a sparse frame's rows lie, in order, in the offsets that it covers.
fn lie_in(offsets: &UInt64Array, header: &Header) -> bool {
    let offsets = offsets.values();
    offsets.windows(2).all(|pair| pair[0] < pair[1])
        && offsets.first().is_none_or(|first| *first >= header.base_offset)
        && offsets.last().is_none_or(|last| *last < header.next_offset())
}
