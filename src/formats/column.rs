//! One column while it is being filled, from JSON values or from text; the types that text formats
//! can be read into; and the words for what does not fit.
//!
//! | column | JSON | text (CSV field, JSON string) |
//! |---|---|---|
//! | whole numbers | a number with a whole value (`1e3` is, `1.5` is not), in range | the same |
//! | DOUBLE, REAL | a number | a number, `NaN`, `inf` |
//! | DECIMAL(p,s) | a number with at most s places | the same |
//! | BOOLEAN | `true`, `false` | `true`, `t`, `1`, `false`, `f`, `0` in any case |
//! | VARCHAR | a string; any other value as its JSON text | itself |
//! | TIMESTAMP | see `timestamp` | see `timestamp` |
//! | DATE, TIME | | `2013-01-31`, `10:17:00.5` |
//! | lists, structs | arrays, objects | their JSON text (CSV only) |

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Decimal128Array, Float32Array, Float64Array, Int8Array, Int16Array,
    Int32Array, Int64Array, ListArray, NullBufferBuilder, StringArray, StructArray, make_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::compute::kernels::cast_utils::Parser;
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Field, FieldRef, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimeUnit,
};
use arrow::error::ArrowError;

use super::FormatError;
use super::cursor::{Cursor, Fault, Number};
use super::number::{Unfit, scaled};
use super::record::Record;
use super::timestamp::{self, Untimely};
use crate::delta::type_name;

/// A column being filled.
pub(super) struct Column {
    field: FieldRef,
    /// The name as messages give it: `a`, or `a.b` within a struct.
    name: String,
    /// One bit for each row that is complete: its length is the column's.
    nulls: NullBufferBuilder,
    values: Values,
}

enum Values {
    /// Every type whose values are integers of up to 64 bits, in its own unit.
    Integer {
        values: Vec<i64>,
        meaning: Meaning,
    },
    Float(Vec<f64>),
    Decimal {
        values: Vec<i128>,
        limit: i128,
        scale: i8,
    },
    Boolean(Vec<bool>),
    Text {
        ends: Vec<i32>,
        bytes: Vec<u8>,
    },
    List {
        ends: Vec<i32>,
        items: Box<Column>,
    },
    Struct(Box<Record>),
}

#[derive(Clone, Copy)]
enum Meaning {
    /// A number from `least` to `greatest` (64 unsigned bits are kept as their 64 signed ones).
    Number {
        least: i128,
        greatest: i128,
    },
    Instant(TimeUnit),
    /// DATE or TIME: only text says it.
    Parsed(fn(&str) -> Option<i64>),
}

impl Column {
    /// A column for `field`; `parent` is the name of the struct that it belongs to.
    pub(super) fn new(field: &FieldRef, parent: Option<&str>) -> Result<Self, FormatError> {
        let name = parent.map_or_else(|| field.name().clone(), |parent| format!("{parent}.{}", field.name()));
        Column::named(field, name)
    }

    fn named(field: &FieldRef, name: String) -> Result<Self, FormatError> {
        let values = Values::new(field, &name)?;
        Ok(Column { field: field.clone(), name, nulls: NullBufferBuilder::new(1024), values })
    }

    /// Rows so far.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.nulls.len()
    }

    /// Whether a complete row is NULL here.
    pub(super) fn is_null_at(&self, row: usize) -> bool {
        !self.nulls.is_valid(row)
    }

    /// The text of a complete row, if the column holds texts and this is not NULL.
    pub(super) fn text_at(&self, row: usize) -> Option<&str> {
        let Values::Text { ends, bytes } = &self.values else { return None };
        let (from, to) = (*ends.get(row)? as usize, *ends.get(row + 1)? as usize);
        let text = std::str::from_utf8(bytes.get(from..to)?).ok()?;
        (!self.is_null_at(row)).then_some(text)
    }

    /// Whether two complete rows are the same here; lists and structs never are.
    pub(super) fn same(&self, a: usize, b: usize) -> bool {
        if self.is_null_at(a) || self.is_null_at(b) {
            return self.is_null_at(a) && self.is_null_at(b);
        }
        match &self.values {
            Values::Integer { values, .. } => values.get(a) == values.get(b),
            Values::Float(values) => values.get(a).map(|v| v.to_bits()) == values.get(b).map(|v| v.to_bits()),
            Values::Decimal { values, .. } => values.get(a) == values.get(b),
            Values::Boolean(values) => values.get(a) == values.get(b),
            Values::Text { .. } => self.text_at(a) == self.text_at(b),
            Values::List { .. } | Values::Struct(_) => false,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn nullable(&self) -> bool {
        self.field.is_nullable()
    }

    /// Whether an empty text is a value here.
    pub(super) fn is_text(&self) -> bool {
        matches!(self.values, Values::Text { .. })
    }

    /// Appends the JSON value at the cursor. After a fault the column is to be truncated.
    #[inline]
    pub(super) fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        let start = cursor.at;
        let at = |reason| Fault { at: start, reason };
        match (&mut self.values, cursor.peek()) {
            (_, Some(b'n')) => {
                cursor.literal("null")?;
                return self.null().map_err(at);
            }
            (Values::Text { ends, bytes }, Some(b'"')) => {
                cursor.string_into(bytes)?;
                ends.push(end(bytes.len()).map_err(at)?);
            }
            (Values::Text { ends, bytes }, _) => {
                bytes.extend_from_slice(cursor.value()?.as_bytes());
                ends.push(end(bytes.len()).map_err(at)?);
            }
            (Values::Struct(record), Some(b'{')) => record.read(cursor)?,
            (Values::List { ends, items }, Some(b'[')) => {
                cursor.at += 1;
                cursor.space();
                let mut more = !cursor.take(b']');
                while more {
                    items.read(cursor)?;
                    more = cursor.more(b']')?;
                }
                ends.push(end(items.len()).map_err(at)?);
            }
            (Values::List { .. } | Values::Struct(_), _) | (_, Some(b'{' | b'[')) => {
                let found = cursor.value()?;
                return Err(at(self.unfit(found, "")));
            }
            (_, Some(b'"')) => {
                let text = cursor.string()?;
                return self.text(&text).map_err(|_| at(self.text_fault(&text, true)));
            }
            (_, Some(b'-' | b'0'..=b'9')) => {
                let number = cursor.number()?;
                return self.number(&number).map_err(at);
            }
            (Values::Boolean(values), Some(first @ (b't' | b'f'))) => {
                cursor.literal(if first == b't' { "true" } else { "false" })?;
                values.push(first == b't');
            }
            (_, _) => {
                let found = cursor.value()?;
                return Err(at(self.unfit(found, "")));
            }
        }
        self.nulls.append_non_null();
        Ok(())
    }

    /// Appends a JSON number to a column of anything but text, lists and structs.
    #[inline]
    fn number(&mut self, number: &Number<'_>) -> Result<(), String> {
        match (&mut self.values, number.whole) {
            (Values::Integer { values, meaning: Meaning::Number { least, greatest } }, Some(value))
                if i128::from(value) >= *least && i128::from(value) <= *greatest =>
            {
                values.push(value);
            }
            (Values::Integer { values, meaning: Meaning::Instant(unit) }, Some(number)) => {
                match timestamp::from_whole(number, *unit) {
                    Some(value) => values.push(value),
                    None => return Err(self.text_fault(&number.to_string(), false)),
                }
            }
            // Up to 2^53 an integer is exact as a float; beyond, the text knows better how to round.
            (Values::Float(values), Some(value)) if value.unsigned_abs() < 1 << 53 && value != 0 => {
                values.push(value as f64);
            }
            (Values::Boolean(_) | Values::Integer { meaning: Meaning::Parsed(_), .. }, _) => {
                return Err(self.unfit(number.text, ""));
            }
            _ => return self.text(number.text).map_err(|_| self.text_fault(number.text, false)),
        }
        self.nulls.append_non_null();
        Ok(())
    }

    /// Appends the value that `text` writes out (see above), or fails: `text_fault` has the words.
    #[inline]
    pub(super) fn text(&mut self, text: &str) -> Result<(), Unwritten> {
        match &mut self.values {
            Values::Text { ends, bytes } => {
                bytes.extend_from_slice(text.as_bytes());
                ends.push(end(bytes.len()).map_err(|_| Unwritten)?);
            }
            Values::Integer { values, meaning } => {
                values.push(meaning.parse(text.trim()).map_err(|_| Unwritten)?)
            }
            Values::Float(values) => {
                values.push(float(text.trim(), self.field.data_type()).map_err(|_| Unwritten)?);
            }
            Values::Decimal { values, limit, scale } => {
                values.push(decimal(text.trim(), *limit, *scale).map_err(|_| Unwritten)?);
            }
            Values::Boolean(values) => values.push(boolean(text.trim()).ok_or(Unwritten)?),
            Values::List { .. } | Values::Struct(_) => return self.json(text),
        }
        self.nulls.append_non_null();
        Ok(())
    }

    /// Appends the JSON value that `text` holds, of a list or struct.
    fn json(&mut self, text: &str) -> Result<(), Unwritten> {
        let opens = |c| matches!(c, '[' | '{');
        let mut cursor = Cursor::new(text, 0);
        cursor.space();
        if !text.trim_start().starts_with(opens) {
            return Err(Unwritten);
        }
        let rows = self.len();
        self.read(&mut cursor).map_err(|_| Unwritten)?;
        cursor.space();
        if cursor.peek().is_none() {
            return Ok(());
        }
        self.truncate(rows);
        Err(Unwritten)
    }

    /// Why `text` cannot be a value of this column.
    #[cold]
    pub(super) fn text_fault(&self, text: &str, quoted: bool) -> String {
        let number = text.trim();
        let hint = match &self.values {
            Values::Integer { meaning, .. } => meaning.parse(number).err().unwrap_or_default(),
            Values::Float(_) => float(number, self.field.data_type()).err().unwrap_or_default(),
            Values::Decimal { limit, scale, .. } => decimal(number, *limit, *scale).err().unwrap_or_default(),
            _ => "",
        };
        if quoted { self.unfit(&format!("\"{text}\""), hint) } else { self.unfit(text, hint) }
    }

    #[cold]
    fn unfit(&self, found: &str, hint: &str) -> String {
        let kind = type_name(self.field.data_type());
        let mut message = format!("expected {kind} in column \"{}\", found {}", self.name, excerpt(found));
        if !hint.is_empty() {
            message.push_str(&format!(" ({hint})"));
        }
        message
    }

    /// Appends NULL, if the column may hold it.
    #[inline]
    pub(super) fn null(&mut self) -> Result<(), String> {
        if !self.nullable() {
            return Err(format!("column \"{}\" is NOT NULL, but its value is null", self.name));
        }
        self.hidden();
        Ok(())
    }

    /// Appends a value that nobody sees: the column's NULL, or what is below one.
    pub(super) fn hidden(&mut self) {
        match &mut self.values {
            Values::Integer { values, .. } => values.push(0),
            Values::Float(values) => values.push(0.0),
            Values::Decimal { values, .. } => values.push(0),
            Values::Boolean(values) => values.push(false),
            Values::Text { ends, .. } | Values::List { ends, .. } => {
                ends.push(ends.last().copied().unwrap_or_default());
            }
            Values::Struct(record) => record.hidden(),
        }
        self.nulls.append_null();
    }

    /// Cuts the column back to `rows` complete rows.
    pub(super) fn truncate(&mut self, rows: usize) {
        self.nulls.truncate(rows);
        match &mut self.values {
            Values::Integer { values, .. } => values.truncate(rows),
            Values::Float(values) => values.truncate(rows),
            Values::Decimal { values, .. } => values.truncate(rows),
            Values::Boolean(values) => values.truncate(rows),
            Values::Text { ends, bytes } => {
                ends.truncate(rows + 1);
                bytes.truncate(ends.last().map_or(0, |end| *end as usize));
            }
            Values::List { ends, items } => {
                ends.truncate(rows + 1);
                items.truncate(ends.last().map_or(0, |end| *end as usize));
            }
            Values::Struct(record) => record.truncate(rows),
        }
    }

    /// The rows so far as an array; the column is empty afterwards.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let rows = self.len();
        let kind = self.field.data_type();
        let nulls = self.nulls.finish().filter(|nulls| nulls.null_count() > 0);
        Ok(match &mut self.values {
            Values::Integer { values, .. } => integers(fresh(values), nulls, kind)?,
            Values::Float(values) if *kind == DataType::Float32 => {
                let narrow: Vec<f32> = values.drain(..).map(|value| value as f32).collect();
                Arc::new(Float32Array::new(narrow.into(), nulls))
            }
            Values::Float(values) => Arc::new(Float64Array::new(fresh(values).into(), nulls)),
            Values::Decimal { values, .. } => {
                let array = Decimal128Array::new(fresh(values).into(), nulls);
                Arc::new(array.with_data_type(kind.clone()))
            }
            Values::Boolean(values) => {
                let array = BooleanArray::new(values.as_slice().into(), nulls);
                values.clear();
                Arc::new(array)
            }
            Values::Text { ends, bytes } => {
                let offsets = OffsetBuffer::new(ScalarBuffer::from(restart(ends)));
                let array = StringArray::try_new(offsets, fresh(bytes).into(), nulls)?;
                if *kind == DataType::Utf8 { Arc::new(array) } else { cast(&array, kind)? }
            }
            Values::List { ends, items } => {
                let offsets = OffsetBuffer::new(ScalarBuffer::from(restart(ends)));
                let array = ListArray::try_new(items.field.clone(), offsets, items.finish()?, nulls)?;
                if matches!(kind, DataType::List(_)) { Arc::new(array) } else { cast(&array, kind)? }
            }
            Values::Struct(record) => {
                let (fields, arrays) = record.finish()?;
                Arc::new(StructArray::try_new_with_length(fields, arrays, nulls, rows)?)
            }
        })
    }
}

/// A text that does not fit its column.
#[derive(Debug)]
pub(super) struct Unwritten;

impl Values {
    fn new(field: &Field, name: &str) -> Result<Self, FormatError> {
        let number = |least, greatest| {
            Ok(Values::Integer { values: Vec::new(), meaning: Meaning::Number { least, greatest } })
        };
        let parsed = |parse| Ok(Values::Integer { values: Vec::new(), meaning: Meaning::Parsed(parse) });
        match field.data_type() {
            DataType::Int8 => number(i8::MIN.into(), i8::MAX.into()),
            DataType::Int16 => number(i16::MIN.into(), i16::MAX.into()),
            DataType::Int32 => number(i32::MIN.into(), i32::MAX.into()),
            DataType::Int64 => number(i64::MIN.into(), i64::MAX.into()),
            DataType::UInt8 => number(0, u8::MAX.into()),
            DataType::UInt16 => number(0, u16::MAX.into()),
            DataType::UInt32 => number(0, u32::MAX.into()),
            DataType::UInt64 => number(0, u64::MAX.into()),
            DataType::Timestamp(unit, _) => {
                Ok(Values::Integer { values: Vec::new(), meaning: Meaning::Instant(*unit) })
            }
            DataType::Date32 => parsed(|text| Date32Type::parse(text).map(i64::from)),
            DataType::Date64 => parsed(Date64Type::parse),
            DataType::Time32(TimeUnit::Second) => parsed(|text| Time32SecondType::parse(text).map(i64::from)),
            DataType::Time32(_) => parsed(|text| Time32MillisecondType::parse(text).map(i64::from)),
            DataType::Time64(TimeUnit::Nanosecond) => parsed(Time64NanosecondType::parse),
            DataType::Time64(_) => parsed(Time64MicrosecondType::parse),
            DataType::Float32 | DataType::Float64 => Ok(Values::Float(Vec::new())),
            DataType::Decimal128(precision, scale) => {
                let limit = 10i128.checked_pow((*precision).into()).unwrap_or(i128::MAX);
                Ok(Values::Decimal { values: Vec::new(), limit, scale: *scale })
            }
            DataType::Boolean => Ok(Values::Boolean(Vec::new())),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                Ok(Values::Text { ends: vec![0], bytes: Vec::new() })
            }
            DataType::List(items) | DataType::LargeList(items) => {
                // An item goes by its list's name: its own is always `item`.
                let items = Column::named(items, name.to_owned())?;
                Ok(Values::List { ends: vec![0], items: Box::new(items) })
            }
            DataType::Struct(fields) => Ok(Values::Struct(Box::new(Record::new(fields, Some(name))?))),
            other => Err(FormatError::Unreadable { column: name.to_owned(), kind: type_name(other) }),
        }
    }
}

impl Meaning {
    /// The value that `text` writes out, or a few words about why it does not.
    fn parse(self, text: &str) -> Result<i64, &'static str> {
        match self {
            Meaning::Number { least, greatest } => {
                if let Ok(value) = text.parse::<i64>()
                    && (least..=greatest).contains(&i128::from(value))
                {
                    return Ok(value);
                }
                match scaled(text, 0) {
                    // Where all 64 bits count, the cast keeps them.
                    Ok(value) if (least..=greatest).contains(&value) => Ok(value as i64),
                    Ok(_) | Err(Unfit::Huge) => Err("out of range"),
                    Err(Unfit::Fraction(_)) => Err("not a whole number"),
                    Err(Unfit::Malformed) => Err(""),
                }
            }
            Meaning::Instant(unit) => timestamp::from_text(text, unit).map_err(|why| match why {
                Untimely::Malformed => "",
                Untimely::OutOfRange if unit == TimeUnit::Nanosecond => "out of range: 1677 to 2262",
                Untimely::OutOfRange => "out of range",
                Untimely::Ambiguous => "a date is written 2013-01-31",
            }),
            Meaning::Parsed(parse) => parse(text).ok_or(""),
        }
    }
}

/// The float that `text` writes out, or a few words about why it does not.
fn float(text: &str, kind: &DataType) -> Result<f64, &'static str> {
    // Rounding once, to the type asked for: twice may end one place off.
    let value = match kind {
        DataType::Float32 => text.parse::<f32>().map(f64::from),
        _ => text.parse::<f64>(),
    };
    match value {
        Ok(value) if value.is_infinite() && text.contains(|c: char| c.is_ascii_digit()) => {
            Err("out of range")
        }
        Ok(value) => Ok(value),
        Err(_) => Err(""),
    }
}

fn decimal(text: &str, limit: i128, scale: i8) -> Result<i128, &'static str> {
    match scaled(text, scale.into()) {
        Ok(value) if value.unsigned_abs() < limit.unsigned_abs() => Ok(value),
        Ok(_) | Err(Unfit::Huge) => Err("out of range"),
        Err(Unfit::Fraction(_)) => Err("too many places"),
        Err(Unfit::Malformed) => Err(""),
    }
}

fn boolean(text: &str) -> Option<bool> {
    let is = |words: [&str; 3]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(["true", "t", "1"]) { Some(true) } else { is(["false", "f", "0"]).then_some(false) }
}

/// A text's or list's end as an offset. Batches are cut long before this overflows.
#[inline]
fn end(length: usize) -> Result<i32, String> {
    i32::try_from(length).map_err(|_| "more than 2 GiB of values in one batch".into())
}

/// Takes the values and leaves room for as many.
fn fresh<T>(values: &mut Vec<T>) -> Vec<T> {
    let next = Vec::with_capacity(values.len());
    std::mem::replace(values, next)
}

/// Takes the offsets and leaves those of no row.
fn restart(ends: &mut Vec<i32>) -> Vec<i32> {
    let taken = fresh(ends);
    ends.push(0);
    taken
}

/// An array of `kind`, a type of integers, with these values.
fn integers(values: Vec<i64>, nulls: Option<NullBuffer>, kind: &DataType) -> Result<ArrayRef, ArrowError> {
    let array: ArrayRef = match kind.primitive_width() {
        Some(1) => Arc::new(Int8Array::new(values.iter().map(|value| *value as i8).collect(), nulls)),
        Some(2) => Arc::new(Int16Array::new(values.iter().map(|value| *value as i16).collect(), nulls)),
        Some(4) => Arc::new(Int32Array::new(values.iter().map(|value| *value as i32).collect(), nulls)),
        _ => Arc::new(Int64Array::new(values.into(), nulls)),
    };
    if array.data_type() == kind {
        return Ok(array);
    }
    // The same bits under their own name: unsigned numbers, timestamps, dates, times.
    Ok(make_array(array.to_data().into_builder().data_type(kind.clone()).build()?))
}

/// At most 40 characters of `text`, for a message.
pub(super) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((cut, _)) => format!("{}…", text.get(..cut).unwrap_or_default()),
        None if text.is_empty() => "nothing".into(),
        None => text.to_owned(),
    }
}
