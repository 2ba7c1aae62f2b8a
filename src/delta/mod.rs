//! What flows between operators: rows with weights. May use nothing of ours.
//!
//! A [`Delta`] is an Arrow batch plus, optionally, a weight per row (+1 = the row is added,
//! -1 = it is taken back; the algebra is that of DBSP, VLDB 2023) and, optionally, a *mark* per row.
//! No weights = all +1: the append-only fast path allocates none.

mod drawn;
mod fold;
mod hash;
mod part;
mod types;

pub use drawn::{draw, drawn};
pub use fold::consolidate;
pub use hash::{hash_columns, partition};
pub use part::{Chosen, KEPT_WHOLE, Part};
pub use types::{shown_type, type_name};

use arrow::array::{Array, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{concat, concat_batches, filter, filter_record_batch, take, take_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

/// Event time in nanoseconds since the epoch, as watermarks and marks use it.
/// [`WATERMARK_NONE`] = nothing known yet; [`WATERMARK_END`] = the input has ended.
pub type EventTime = i64;
/// No watermark yet.
pub const WATERMARK_NONE: EventTime = i64::MIN;
/// The input has ended: every window closes.
pub const WATERMARK_END: EventTime = i64::MAX;

/// A change to a relation: rows, each with a weight and a mark.
#[derive(Debug, Clone)]
pub struct Delta {
    /// The rows.
    pub batch: RecordBatch,
    /// Weight of each row, never null, never 0; `None` = every row has weight +1.
    pub weights: Option<Int64Array>,
    /// The *mark* of each row: the watermark (ns) that the row's own source partition had reached
    /// just before the row. A row is late for a window when its mark ≥ window end + grace.
    /// `None` = no row of this batch lies behind its partition's watermark, so none can be late.
    pub marks: Option<Int64Array>,
}

impl Delta {
    /// Rows that are added and that cannot be late.
    pub fn insert(batch: RecordBatch) -> Self {
        Delta { batch, weights: None, marks: None }
    }

    /// Rows with the given weights (`None` = all +1).
    pub fn weighted(batch: RecordBatch, weights: Option<Int64Array>) -> Self {
        Delta { batch, weights, marks: None }
    }

    /// Number of rows (not the sum of weights).
    pub fn num_rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.batch.num_rows() == 0
    }

    /// The rows' schema.
    pub fn schema(&self) -> SchemaRef {
        self.batch.schema()
    }

    /// The weight of row `i`.
    pub fn weight(&self, i: usize) -> i64 {
        self.weights.as_ref().map_or(1, |w| w.value(i))
    }

    /// The same weights and marks over other columns (same number of rows).
    pub fn with_batch(&self, batch: RecordBatch) -> Self {
        debug_assert_eq!(batch.num_rows(), self.batch.num_rows());
        Delta { batch, weights: self.weights.clone(), marks: self.marks.clone() }
    }

    /// The rows where `mask` is true.
    pub fn filter(&self, mask: &BooleanArray) -> Result<Self, ArrowError> {
        Ok(Delta {
            batch: filter_record_batch(&self.batch, mask)?,
            weights: map_i64(&self.weights, |a| filter(a, mask))?,
            marks: map_i64(&self.marks, |a| filter(a, mask))?,
        })
    }

    /// The rows at `indices`, in that order (a row may come several times).
    pub fn take(&self, indices: &UInt32Array) -> Result<Self, ArrowError> {
        Ok(Delta {
            batch: take_rows(&self.batch, indices)?,
            weights: map_i64(&self.weights, |a| take(a, indices, None))?,
            marks: map_i64(&self.marks, |a| take(a, indices, None))?,
        })
    }

    /// `len` rows from `offset`, without copying.
    pub fn slice(&self, offset: usize, len: usize) -> Self {
        Delta {
            batch: self.batch.slice(offset, len),
            weights: self.weights.as_ref().map(|w| w.slice(offset, len)),
            marks: self.marks.as_ref().map(|m| m.slice(offset, len)),
        }
    }

    /// All rows of `deltas`, in order; they share `schema`.
    pub fn concat(schema: &SchemaRef, deltas: &[Delta]) -> Result<Self, ArrowError> {
        if let [one] = deltas {
            return Ok(one.clone());
        }
        let batch = concat_batches(schema, deltas.iter().map(|d| &d.batch))?;
        let weights = concat_i64(deltas, |d| &d.weights, 1)?;
        let marks = concat_i64(deltas, |d| &d.marks, WATERMARK_NONE)?;
        Ok(Delta { batch, weights, marks })
    }
}

fn map_i64(
    column: &Option<Int64Array>,
    kernel: impl FnOnce(&dyn Array) -> Result<arrow::array::ArrayRef, ArrowError>,
) -> Result<Option<Int64Array>, ArrowError> {
    let Some(column) = column else { return Ok(None) };
    Ok(Some(arrow::array::AsArray::as_primitive(&kernel(column)?).clone()))
}

fn concat_i64(
    deltas: &[Delta],
    column: impl Fn(&Delta) -> &Option<Int64Array>,
    absent: i64,
) -> Result<Option<Int64Array>, ArrowError> {
    if deltas.iter().all(|d| column(d).is_none()) {
        return Ok(None);
    }
    let parts: Vec<Int64Array> = deltas
        .iter()
        .map(|d| column(d).clone().unwrap_or_else(|| Int64Array::from_value(absent, d.num_rows())))
        .collect();
    let parts: Vec<&dyn Array> = parts.iter().map(|a| a as &dyn Array).collect();
    Ok(Some(arrow::array::AsArray::as_primitive(&concat(&parts)?).clone()))
}
/// The rows at `indices`; of a batch without columns too, which only has a number of rows.
pub(crate) fn take_rows(batch: &RecordBatch, indices: &UInt32Array) -> Result<RecordBatch, ArrowError> {
    if batch.num_columns() > 0 {
        return take_record_batch(batch, indices);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(indices.len()));
    RecordBatch::try_new_with_options(batch.schema(), vec![], &options)
}
