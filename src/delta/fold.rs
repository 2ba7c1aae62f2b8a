//! Adding deltas up.

use super::Delta;
use arrow::array::{Int64Array, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use std::collections::BTreeMap;

/// The sum of `deltas`: each distinct row once with its summed weight, rows of weight 0 left out,
/// ordered by value (the row format's order). Marks are dropped.
pub fn consolidate(schema: &SchemaRef, deltas: &[Delta]) -> Result<(RecordBatch, Int64Array), ArrowError> {
    let all = Delta::concat(schema, deltas)?;
    if schema.fields().is_empty() {
        let sum: i64 = (0..all.num_rows()).map(|i| all.weight(i)).sum();
        let keep = usize::from(sum != 0);
        return Ok((all.batch.slice(0, keep.min(all.num_rows())), Int64Array::from(vec![sum; keep])));
    }
    let fields = schema.fields().iter().map(|f| SortField::new(f.data_type().clone())).collect();
    let rows = RowConverter::new(fields)?.convert_columns(all.batch.columns())?;
    let mut sums: BTreeMap<_, (u32, i64)> = BTreeMap::new();
    for (i, row) in rows.iter().enumerate() {
        sums.entry(row).or_insert((i as u32, 0)).1 += all.weight(i);
    }
    let (indices, weights): (Vec<u32>, Vec<i64>) = sums.into_values().filter(|(_, w)| *w != 0).unzip();
    Ok((take_record_batch(&all.batch, &UInt32Array::from(indices))?, Int64Array::from(weights)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delta::drawn;
    use arrow::datatypes::{DataType, Field, Schema};
    use std::sync::Arc;

    #[test]
    fn weights_of_equal_rows_add_up_and_zeros_go() {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        let deltas = [drawn(&schema, "+ 2\n+ 1\n+ 2"), drawn(&schema, "- 1\n+ null")];
        let (batch, weights) = consolidate(&schema, &deltas).unwrap();
        assert_eq!(batch.num_rows(), 2);
        assert_eq!(weights.values().to_vec(), vec![1, 2]);
    }
}
