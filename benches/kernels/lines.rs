//! Bids as lines of text, and our decoders of such.

use crate::data::{BATCH, Result, bid_schema, bids};
use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use millstream::formats::{Chunk, Format, Limit, RowDecoder};
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;

/// A wider bid: what Nexmark's generators write, about 220 bytes as JSON.
pub(crate) fn wide_schema() -> SchemaRef {
    let mut fields: Vec<Field> = bid_schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    fields.push(Field::new("bidder", DataType::Int64, true));
    fields.extend(["channel", "url", "extra"].map(|name| Field::new(name, DataType::Utf8, true)));
    Arc::new(Schema::new(fields))
}

/// Bids as JSON lines.
pub(crate) fn json_text(rows: usize, wide: bool) -> Result<String> {
    let batch = bids(rows, 10_000, 1_700_000_000_000_000)?;
    let (auction, price) = (batch.column(0).clone(), batch.column(1).clone());
    let number = |column: &ArrayRef, row: usize| -> i64 {
        arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(column).value(row)
    };
    let mut text = String::new();
    for row in 0..rows {
        let (a, p) = (number(&auction, row), number(&price, row));
        let (second, fraction) = (row / 1000 % 60, row % 1000);
        write!(text, r#"{{"auction":{a},"price":{p},"ts":"2023-11-14T22:13:{second:02}.{fraction:03}""#)?;
        if wide {
            write!(
                text,
                r#","bidder":{},"channel":"channel-{}","url":"https://www.nexmark.com/{a}/item.htm?query=1&channel_id={p}","extra":"{:045}""#,
                a * 7,
                p % 100,
                a * p
            )?;
        }
        text.push_str("}\n");
    }
    Ok(text)
}

/// Bids as CSV, with a header.
pub(crate) fn csv_text(rows: usize) -> Result<String> {
    let batch = bids(rows, 10_000, 1_700_000_000_000_000)?;
    let mut text = Vec::new();
    arrow::csv::Writer::new(&mut text).write(&batch)?;
    Ok(String::from_utf8(text)?)
}

/// Decodes all of `text` in batches, by our decoder.
pub(crate) fn decode(format: Format, schema: &SchemaRef, text: &[u8]) -> Result<usize> {
    let mut decoder = RowDecoder::new(format, schema.clone(), false)?;
    let chunk = |from: usize| Chunk { text: &text[from..], line: 0, last: true };
    let mut at = decoder.header(chunk(0))?.map_or(0, |taken| taken.bytes);
    let mut rows = 0;
    while at < text.len() {
        at += decoder.push(chunk(at), Limit { records: BATCH, bytes: usize::MAX }).bytes;
        let (batch, bad) = decoder.finish()?;
        if let Some(bad) = bad.first() {
            return Err(bad.reason.clone().into());
        }
        rows += black_box(batch).num_rows();
    }
    Ok(rows)
}
