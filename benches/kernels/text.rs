//! JSON and CSV: text to columns beside Arrow's decoders, and columns to text.

use crate::data::{BATCH, Result, bid_schema, bids};
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::csv::ReaderBuilder as CsvReaderBuilder;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::json::ReaderBuilder as JsonReaderBuilder;
use criterion::{Criterion, Throughput};
use millstream::cli::print::{Format as PrintFormat, ResultPrinter};
use millstream::formats::{Chunk, CsvOptions, Format, Limit, RowDecoder};
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;

/// A wider bid: what Nexmark's generators write, about 220 bytes as JSON.
fn wide_schema() -> SchemaRef {
    let mut fields: Vec<Field> = bid_schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    fields.push(Field::new("bidder", DataType::Int64, true));
    fields.extend(["channel", "url", "extra"].map(|name| Field::new(name, DataType::Utf8, true)));
    Arc::new(Schema::new(fields))
}

/// Bids as JSON lines.
fn json_text(rows: usize, wide: bool) -> Result<String> {
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

fn csv_text(rows: usize) -> Result<String> {
    let batch = bids(rows, 10_000, 1_700_000_000_000_000)?;
    let mut text = Vec::new();
    arrow::csv::Writer::new(&mut text).write(&batch)?;
    Ok(String::from_utf8(text)?)
}

/// Decodes all of `text` in batches, by our decoder.
fn decode(format: Format, schema: &SchemaRef, text: &[u8]) -> Result<usize> {
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

pub(crate) fn formats(c: &mut Criterion) -> Result<()> {
    let rows = 4 * BATCH;
    for (name, schema, wide) in [("narrow", bid_schema(), false), ("wide", wide_schema(), true)] {
        let text = json_text(rows, wide)?;
        let mut group = c.benchmark_group(format!("json {name}, {} bytes a row", text.len() / rows));
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_function("ours", |b| {
            b.iter(|| decode(Format::Json, &schema, text.as_bytes()).map_or(0, |decoded| decoded))
        });
        group.bench_function("arrow-json", |b| {
            b.iter(|| {
                let reader =
                    JsonReaderBuilder::new(schema.clone()).with_batch_size(BATCH).build(text.as_bytes());
                reader.map_or(0, |reader| reader.flatten().map(|batch| black_box(batch).num_rows()).sum())
            })
        });
        group.finish();
    }
    let text = csv_text(rows)?;
    let schema = bid_schema();
    let mut group = c.benchmark_group(format!("csv, {} bytes a row", text.len() / rows));
    group.throughput(Throughput::Elements(rows as u64));
    group.bench_function("ours", |b| {
        let format = Format::Csv(CsvOptions::default());
        b.iter(|| decode(format, &schema, text.as_bytes()).map_or(0, |decoded| decoded))
    });
    group.bench_function("arrow-csv", |b| {
        b.iter(|| {
            let builder = CsvReaderBuilder::new(schema.clone()).with_header(true).with_batch_size(BATCH);
            let reader = builder.build(text.as_bytes());
            reader.map_or(0, |reader| reader.flatten().map(|batch| black_box(batch).num_rows()).sum())
        })
    });
    group.finish();
    Ok(())
}

pub(crate) fn printing(c: &mut Criterion) -> Result<()> {
    let bids = bids(BATCH, 10_000, 0)?;
    let names = StringArray::from_iter_values((0..BATCH).map(|i| format!("channel {i}")));
    let mut columns = bids.columns().to_vec();
    columns.push(Arc::new(names));
    columns.push(cast(bids.column(1), &DataType::Float64)?);
    let mut fields: Vec<Field> = bid_schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    fields.push(Field::new("channel", DataType::Utf8, true));
    fields.push(Field::new("dollars", DataType::Float64, true));
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
    let mut group = c.benchmark_group("print");
    group.throughput(Throughput::Elements(BATCH as u64));
    for (name, format) in [("jsonl", PrintFormat::Jsonl), ("csv", PrintFormat::Csv)] {
        let mut printer = ResultPrinter::new(format, batch.schema(), false, Box::new(std::io::sink()));
        group.bench_function(name, |b| b.iter(|| printer.write(&batch, None).is_ok()));
    }
    group.finish();
    Ok(())
}
