//! JSON and CSV: text to columns beside Arrow's decoders, and columns to text.

use crate::data::{BATCH, Result, bid_schema, bids};
use crate::lines::{csv_text, decode, json_text, wide_schema};
use arrow::array::{RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::csv::ReaderBuilder as CsvReaderBuilder;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::json::ReaderBuilder as JsonReaderBuilder;
use criterion::{Criterion, Throughput};
use millstream::cli::print::{Format as PrintFormat, ResultPrinter};
use millstream::formats::{CsvOptions, Format};
use std::hint::black_box;
use std::sync::Arc;

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
