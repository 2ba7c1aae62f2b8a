//! The rows that the kernels are run on: bids on auctions.

use arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use std::error::Error;
use std::sync::Arc;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Rows of a batch.
pub(crate) const BATCH: usize = 8192;
/// In nanoseconds.
pub(crate) const SECOND: i64 = 1_000_000_000;

/// The columns of a bid: key, value, time.
pub(crate) fn bid_schema() -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Microsecond, None);
    Arc::new(Schema::new(vec![
        Field::new("auction", DataType::Int64, true),
        Field::new("price", DataType::Int64, true),
        Field::new("ts", time, true),
    ]))
}

/// The columns of a bid and the three of its window.
pub(crate) fn window_schema() -> SchemaRef {
    let mut fields: Vec<Field> = bid_schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    let time = fields[2].data_type().clone();
    fields.extend(
        ["window_start", "window_end", "window_time"].map(|name| Field::new(name, time.clone(), true)),
    );
    Arc::new(Schema::new(fields))
}

/// A few rounds of splitmix64.
fn mixed(i: i64) -> u64 {
    let mut z = (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB) >> 8
}

/// `rows` bids on `keys` auctions, a microsecond apart from `from` on.
pub(crate) fn bids(rows: usize, keys: u64, from: i64) -> Result<RecordBatch> {
    bids_on(drawn(rows, keys, from), from)
}

/// So many of `keys` auctions, drawn with the seed `from`.
pub(crate) fn drawn(rows: usize, keys: u64, from: i64) -> impl Iterator<Item = i64> {
    (from..from + rows as i64).map(move |i| (mixed(i) % keys) as i64)
}

/// A bid on each of these auctions, a microsecond apart from `from` on.
pub(crate) fn bids_on(auctions: impl Iterator<Item = i64>, from: i64) -> Result<RecordBatch> {
    let auctions = Int64Array::from_iter_values(auctions);
    let times = from..from + auctions.len() as i64;
    let prices = Int64Array::from_iter_values(times.clone().map(|i| (mixed(i) >> 20) as i64 % 10_000));
    let times = TimestampMicrosecondArray::from_iter_values(times);
    let columns: Vec<ArrayRef> = vec![Arc::new(auctions), Arc::new(prices), Arc::new(times)];
    Ok(RecordBatch::try_new(bid_schema(), columns)?)
}

/// A bid on each of `rows` auctions from `from` on.
pub(crate) fn bids_each(rows: usize, from: i64) -> Result<RecordBatch> {
    bids_on(from..from + rows as i64, from)
}
