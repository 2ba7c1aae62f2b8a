//! Hashing rows for the exchange between workers. Not for places that outlive the process:
//! the hash is DataFusion's and may change with its version.

use arrow::array::{ArrayRef, UInt32Array};
use arrow::buffer::ScalarBuffer;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::error::Result;

/// A hash per row over `columns` (all of `rows` rows); without columns every hash is 0.
pub fn hash_columns(columns: &[ArrayRef], rows: usize) -> Result<Vec<u64>> {
    let mut hashes = vec![0; rows];
    if !columns.is_empty() {
        // A fixed seed: every worker must send a key to the same place.
        create_hashes(columns, &RandomState::with_seed(0x4D11), &mut hashes)?;
    }
    Ok(hashes)
}

/// For each of `parts` parts the indices of its rows, in order.
pub fn partition(hashes: &[u64], parts: usize) -> Vec<UInt32Array> {
    // The high half: tables within a worker use the low bits.
    let part = |hash: &u64| ((hash >> 32) as usize * parts) >> 32;
    let mut next = vec![0; parts];
    hashes.iter().for_each(|hash| next[part(hash)] += 1);
    let lengths = next.clone();
    let mut first = 0;
    for next in &mut next {
        first += std::mem::replace(next, first);
    }
    // All in one piece: where a row goes is looked up, and no branch hangs on it.
    let mut rows = vec![0; hashes.len()];
    for (row, hash) in hashes.iter().enumerate() {
        let next = &mut next[part(hash)];
        rows[*next] = row as u32;
        *next += 1;
    }
    let rows = ScalarBuffer::from(rows);
    let part = |(end, length): (usize, usize)| UInt32Array::new(rows.slice(end - length, length), None);
    next.into_iter().zip(lengths).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;
    use std::sync::Arc;

    #[test]
    fn every_row_goes_to_one_part_and_equal_keys_together() {
        let keys: ArrayRef = Arc::new(Int64Array::from_iter_values((0..1000).map(|i| i % 50)));
        let hashes = hash_columns(std::slice::from_ref(&keys), 1000).unwrap();
        let parts = partition(&hashes, 3);
        assert_eq!(parts.iter().map(|p| p.len()).sum::<usize>(), 1000);
        assert!(parts.iter().all(|p| p.len() > 100), "50 keys spread over 3 parts");
        for row in 50..1000 {
            assert_eq!(hashes[row], hashes[row % 50]);
        }
    }
}
