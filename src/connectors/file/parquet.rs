//! One Parquet file as a partition; an offset is a row.
//!
//! Columns are found by name (else by name but for case) and cast where no value can be lost by it;
//! a declared column that the file lacks is NULL. A row is bad if it has a NULL where the column may
//! not, or a value that the declared type cannot hold (a timestamp beyond nanoseconds).

use std::fs::File;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::{CastOptions, cast, cast_with_options, concat_batches};
use arrow::datatypes::{DataType, Field, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use crate::connectors::{BadRecord, ConnectorError, OnBad, PartitionReader, Position, Read, Slice};
use crate::delta::type_name;
use crate::formats::MAX_RAW;

/// Rows that are decoded at a time.
const BATCH_ROWS: usize = 8 << 10;

/// Reads one Parquet file.
pub(super) struct ParquetReader {
    path: String,
    reader: ParquetRecordBatchReader,
    columns: Vec<Column>,
    delivered: SchemaRef,
    on_bad: OnBad,
    /// Rows that are decoded but not delivered.
    ahead: Option<RecordBatch>,
    position: Position,
    /// Why the file has no more. Said once everything before it is delivered.
    broken: Option<ArrowError>,
}

/// A declared column that is read.
struct Column {
    field: Arc<Field>,
    /// Where it is among the columns that are read from the file; `None` = the file lacks it.
    found: Option<usize>,
    /// Whether it is delivered, or only looked at.
    delivered: bool,
}

/// The columns of a file, as it states them. Every one may be NULL.
pub(super) fn parquet_schema(path: &str) -> Result<SchemaRef, ConnectorError> {
    Ok(builder(path)?.schema().clone())
}

fn builder(path: &str) -> Result<ParquetRecordBatchReaderBuilder<File>, ConnectorError> {
    let file = File::open(path).map_err(|source| ConnectorError::Io { path: path.to_owned(), source })?;
    ParquetRecordBatchReaderBuilder::try_new(file)
        .map_err(|error| ConnectorError::Other(format!("{path} cannot be read as Parquet: {error}")))
}

impl ParquetReader {
    /// A reader from row `start` on that delivers the columns `projection` of `schema` (`None` = all).
    /// Fails where the file's columns do not fit.
    pub(super) fn open(
        path: &str,
        schema: &SchemaRef,
        projection: Option<&[usize]>,
        on_bad: OnBad,
        start: Position,
    ) -> Result<Self, ConnectorError> {
        let other = |message: String| ConnectorError::Other(format!("{path}: {message}"));
        let builder = builder(path)?;
        let offset = usize::try_from(start.offset).map_err(|error| other(error.to_string()))?;
        let rows = builder.metadata().file_metadata().num_rows();
        if u64::try_from(rows).is_ok_and(|rows| rows < start.offset) {
            let message = format!("it has {rows} rows, but {offset} were read before: it was replaced");
            return Err(other(message));
        }
        let all: Vec<usize> = (0..schema.fields().len()).collect();
        let wanted = projection.unwrap_or(&all);
        let delivered = schema.project(wanted).map_err(|error| other(error.to_string()))?;
        let (roots, columns) = choose(path, builder.schema(), schema, wanted)?;
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        let reader = builder.with_projection(mask).with_batch_size(BATCH_ROWS).with_offset(offset).build();
        let reader = reader.map_err(|error| other(error.to_string()))?;
        Ok(ParquetReader {
            path: path.to_owned(),
            reader,
            columns,
            delivered: Arc::new(delivered),
            on_bad,
            ahead: None,
            position: Position { offset: start.offset, line: start.offset },
            broken: None,
        })
    }

    fn failed(&self, error: &ArrowError) -> ConnectorError {
        ConnectorError::Other(format!(
            "{}: broken Parquet data after row {}: {error}",
            self.path, self.position.offset
        ))
    }

    /// The next rows of the file, exactly `max_rows` while it has as many.
    fn next_rows(&mut self, max_rows: usize) -> Result<Option<RecordBatch>, ConnectorError> {
        let (mut parts, mut missing) = (Vec::new(), max_rows);
        while missing > 0 && self.broken.is_none() {
            let Some(batch) = self.ahead.take().map(Ok).or_else(|| self.reader.next()) else { break };
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => {
                    self.broken = Some(error);
                    break;
                }
            };
            let taken = batch.num_rows().min(missing);
            if taken < batch.num_rows() {
                self.ahead = Some(batch.slice(taken, batch.num_rows() - taken));
            }
            parts.push(batch.slice(0, taken));
            missing -= taken;
        }
        match (parts.first(), &self.broken) {
            (None, Some(error)) => Err(self.failed(error)),
            (None, None) => Ok(None),
            (Some(first), _) => {
                concat_batches(&first.schema(), &parts).map(Some).map_err(|error| self.failed(&error))
            }
        }
    }

    /// The rows of `rows` in the declared columns, and the bad ones among them.
    fn declared(&self, rows: &RecordBatch) -> Result<(RecordBatch, Vec<BadRecord>), ArrowError> {
        let count = rows.num_rows();
        let mut arrays = Vec::with_capacity(self.columns.len());
        let mut reasons: Vec<(usize, String)> = Vec::new();
        for Column { field, found, delivered } in &self.columns {
            let source = found.and_then(|column| rows.columns().get(column));
            let array = match source {
                Some(source) => converted(source, field.data_type())?,
                None => new_null_array(field.data_type(), count),
            };
            misfits(field, source, &array, &mut reasons);
            if *delivered {
                arrays.push(array);
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        if reasons.is_empty() {
            return Ok((
                RecordBatch::try_new_with_options(self.delivered.clone(), arrays, &options)?,
                Vec::new(),
            ));
        }
        reasons.sort_by_key(|(row, _)| *row);
        reasons.dedup_by_key(|(row, _)| *row);
        let mut good = vec![true; count];
        reasons.iter().for_each(|(row, _)| good.iter_mut().skip(*row).take(1).for_each(|good| *good = false));
        // NOT NULL is checked against what is left, so the columns are filtered before they are named.
        let good = BooleanArray::from(good);
        let kept = arrays.iter().map(|a| arrow::compute::filter(a, &good)).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(good.true_count()));
        let batch = RecordBatch::try_new_with_options(self.delivered.clone(), kept, &options)?;
        let bad = reasons.into_iter().map(|(row, reason)| self.bad(rows, row, reason)).collect();
        Ok((batch, bad))
    }

    fn bad(&self, rows: &RecordBatch, row: usize, reason: String) -> BadRecord {
        let mut writer = arrow::json::LineDelimitedWriter::new(Vec::new());
        // The text is for people: a row that has no JSON form is shown as nothing.
        let written = writer.write(&rows.slice(row, 1)).and_then(|()| writer.finish());
        let mut raw = if written.is_ok() { writer.into_inner() } else { Vec::new() };
        raw.truncate(MAX_RAW);
        BadRecord {
            origin: self.path.clone(),
            line: self.position.offset + row as u64 + 1,
            column: None,
            reason,
            raw: String::from_utf8_lossy(&raw).trim_end().to_owned(),
        }
    }
}

/// The file's columns to read, and the declared ones that are looked at: those wanted, and those
/// that may not be NULL although the file's may.
fn choose(
    path: &str,
    file: &SchemaRef,
    declared: &SchemaRef,
    wanted: &[usize],
) -> Result<(Vec<usize>, Vec<Column>), ConnectorError> {
    let other = |message: String| ConnectorError::Other(format!("{path}: {message}"));
    let mut places = Vec::new();
    for field in declared.fields() {
        let place = place_of(file, field.name());
        if let Some(found) = place.map(|place| file.field(place))
            && !fits(found.data_type(), field.data_type())
        {
            let (from, to) = (type_name(found.data_type()), type_name(field.data_type()));
            return Err(other(format!(
                "column \"{}\" is {from} in the file, which does not fit {to}",
                field.name()
            )));
        }
        if place.is_none() && !field.is_nullable() {
            return Err(other(format!(
                "column \"{}\" is NOT NULL, but the file does not have it",
                field.name()
            )));
        }
        places.push(place);
    }
    if places.iter().all(Option::is_none) && !places.is_empty() {
        let names = |schema: &SchemaRef| {
            schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ")
        };
        let message =
            format!("it has none of the declared columns ({}), but {}", names(declared), names(file));
        return Err(other(message));
    }
    let unsure = |column: usize| {
        let nullable =
            places.get(column).copied().flatten().is_some_and(|place| file.field(place).is_nullable());
        !declared.field(column).is_nullable() && nullable
    };
    let looked_at = (0..places.len()).filter(|column| !wanted.contains(column) && unsure(*column));
    let columns: Vec<(usize, bool)> =
        wanted.iter().map(|column| (*column, true)).chain(looked_at.map(|column| (column, false))).collect();
    let place_at = |column: usize| places.get(column).copied().flatten();
    let mut roots: Vec<usize> = columns.iter().filter_map(|(column, _)| place_at(*column)).collect();
    roots.sort_unstable();
    roots.dedup();
    let columns = columns.into_iter().map(|(column, delivered)| Column {
        field: declared
            .fields()
            .get(column)
            .cloned()
            .unwrap_or_else(|| Arc::new(declared.field(column).clone())),
        found: place_at(column).and_then(|place| roots.binary_search(&place).ok()),
        delivered,
    });
    let columns = columns.collect();
    Ok((roots, columns))
}

/// The file's column that `name` means.
fn place_of(file: &SchemaRef, name: &str) -> Option<usize> {
    let fold = name.to_lowercase();
    let mut alike = file.fields().iter().enumerate().filter(|(_, field)| field.name().to_lowercase() == fold);
    let exact = file.fields().iter().position(|field| field.name() == name);
    exact.or_else(|| alike.next().map(|(place, _)| place).filter(|_| alike.next().is_none()))
}

/// `array` as `kind`; what `kind` cannot hold is NULL.
fn converted(array: &ArrayRef, kind: &DataType) -> Result<ArrayRef, ArrowError> {
    if array.data_type() == kind {
        return Ok(array.clone());
    }
    // Without a zone means UTC here; a cast from or to a zone would go by that zone's clock.
    let utc = match array.data_type() {
        DataType::Timestamp(unit, zone) if zone.as_deref() != Some("+00:00") => {
            cast(array, &DataType::Timestamp(*unit, Some("+00:00".into())))?
        }
        _ => array.clone(),
    };
    cast_with_options(&utc, kind, &CastOptions { safe: true, ..Default::default() })
}

/// Adds the rows of `array`, converted from `source`, that are bad.
fn misfits(field: &Field, source: Option<&ArrayRef>, array: &ArrayRef, reasons: &mut Vec<(usize, String)>) {
    let nulls_before = source.map_or(array.len(), |source| source.logical_null_count());
    if array.null_count() > nulls_before {
        let kind = type_name(field.data_type());
        let lost =
            (0..array.len()).filter(|row| array.is_null(*row) && source.is_some_and(|s| s.is_valid(*row)));
        let reason = format!("the value of column \"{}\" does not fit {kind}", field.name());
        reasons.extend(lost.map(|row| (row, reason.clone())));
    }
    if !field.is_nullable() && array.null_count() > 0 {
        let reason = format!("column \"{}\" is NOT NULL, but its value is null", field.name());
        reasons.extend((0..array.len()).filter(|row| array.is_null(*row)).map(|row| (row, reason.clone())));
    }
}

/// Whether every value of `from` is a value of `to` (timestamps: but for their range).
fn fits(from: &DataType, to: &DataType) -> bool {
    use DataType::{
        Binary, BinaryView, Date32, Date64, Decimal128, Dictionary, FixedSizeList, Float16, Float32, Float64,
        LargeBinary, LargeList, LargeUtf8, List, Struct, Timestamp, Utf8, Utf8View,
    };
    match (from, to) {
        (from, to) if from == to => true,
        (Dictionary(_, values), to) => fits(values, to),
        (Utf8 | LargeUtf8 | Utf8View, Utf8 | LargeUtf8 | Utf8View)
        | (
            Binary | LargeBinary | BinaryView,
            Binary | LargeBinary | BinaryView | Utf8 | LargeUtf8 | Utf8View,
        )
        | (Date32 | Date64, Date64 | Timestamp(..))
        | (Float16, Float32 | Float64)
        | (Float32, Float64) => true,
        (Timestamp(from, _), Timestamp(to, _)) => fineness(*from) <= fineness(*to),
        (Decimal128(p, s), Decimal128(precision, scale)) => {
            scale >= s && i16::from(*precision) - i16::from(*scale) >= i16::from(*p) - i16::from(*s)
        }
        (List(from) | LargeList(from) | FixedSizeList(from, _), List(to) | LargeList(to)) => {
            fits(from.data_type(), to.data_type())
        }
        (Struct(from), Struct(to)) => {
            let alike = |(a, b): (&Arc<Field>, &Arc<Field>)| {
                a.name() == b.name() && fits(a.data_type(), b.data_type())
            };
            from.len() == to.len() && from.iter().zip(to).all(alike)
        }
        (from, to) => whole_fits(from, to),
    }
}

/// Whether whole numbers of `from` are numbers of `to`.
fn whole_fits(from: &DataType, to: &DataType) -> bool {
    let Some(width) = from.primitive_width().filter(|_| from.is_integer()) else { return false };
    let signed = from.is_signed_integer();
    // Bits of magnitude.
    let bits = width * 8 - usize::from(signed);
    match to {
        DataType::Float32 => bits <= 24,
        DataType::Float64 => bits <= 53,
        DataType::Decimal128(precision, scale) => {
            let digits = [3, 5, 10, 20].get(width.ilog2() as usize).copied().unwrap_or(i16::MAX);
            i16::from(*precision) - i16::from(*scale) >= digits
        }
        to if to.is_signed_integer() => to.primitive_width().is_some_and(|wide| bits < wide * 8),
        to if to.is_unsigned_integer() => {
            !signed && to.primitive_width().is_some_and(|wide| bits <= wide * 8)
        }
        _ => false,
    }
}

fn fineness(unit: TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 1,
        TimeUnit::Microsecond => 2,
        TimeUnit::Nanosecond => 3,
    }
}

impl PartitionReader for ParquetReader {
    fn read(&mut self, max_rows: usize) -> Result<Read, ConnectorError> {
        if max_rows == 0 {
            let batch = RecordBatch::new_empty(self.delivered.clone());
            return Ok(Read::Rows(Slice {
                batch,
                marks: None,
                stated: false,
                watermark: None,
                bad: Vec::new(),
                end: self.position,
            }));
        }
        let Some(rows) = self.next_rows(max_rows)? else {
            return Ok(Read::End);
        };
        let (batch, bad) = self.declared(&rows).map_err(|error| self.failed(&error))?;
        let mut taken = rows.num_rows() as u64;
        let mut batch = batch;
        let mut bad = bad;
        if self.on_bad == OnBad::Fail
            && let Some(first) = bad.first()
        {
            // The rows before it are delivered; then it is met as the first, and the read fails.
            let before = first.line - 1 - self.position.offset;
            if before == 0 {
                self.ahead = Some(self.again(&rows)?);
                return Err(ConnectorError::Bad(Box::new(bad.swap_remove(0))));
            }
            self.ahead = Some(self.again(&rows.slice(before as usize, rows.num_rows() - before as usize))?);
            batch = batch.slice(0, before as usize);
            bad.clear();
            taken = before;
        }
        self.position.offset += taken;
        self.position.line += taken;
        Ok(Read::Rows(Slice { batch, marks: None, stated: false, watermark: None, bad, end: self.position }))
    }

    fn position(&self) -> Position {
        self.position
    }
}

impl ParquetReader {
    /// `rows` and what is ahead: the rows that come next.
    fn again(&mut self, rows: &RecordBatch) -> Result<RecordBatch, ConnectorError> {
        match self.ahead.take() {
            Some(ahead) => {
                concat_batches(&rows.schema(), [rows, &ahead]).map_err(|error| self.failed(&error))
            }
            None => Ok(rows.clone()),
        }
    }
}
