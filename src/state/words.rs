//! Columns of fixed-width values as machine words and back: keys that need no encoding.

use arrow::array::{Array, ArrayData, ArrayRef, make_array};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

/// Whether values of a type fit into a word: numbers up to 64 bits, dates and times.
pub fn fits(data_type: &DataType) -> bool {
    data_type.primitive_width().is_some_and(|width| matches!(width, 1 | 2 | 4 | 8))
}

/// Puts the word of each value of a column, whose type [`fits`], into `words`; of a null any. Equal values, bit by bit, have equal words.
pub fn words(column: &ArrayRef, words: &mut Vec<u64>) {
    let (data, len) = (column.to_data(), column.len());
    words.clear();
    match column.data_type().primitive_width() {
        Some(1) => words.extend(data.buffer::<u8>(0)[..len].iter().map(|v| u64::from(*v))),
        Some(2) => words.extend(data.buffer::<u16>(0)[..len].iter().map(|v| u64::from(*v))),
        Some(4) => words.extend(data.buffer::<u32>(0)[..len].iter().map(|v| u64::from(*v))),
        _ => words.extend_from_slice(&data.buffer::<u64>(0)[..len]),
    }
}

/// The column of these words, which [`words`] gave, null where `nulls` says so.
pub fn column(
    data_type: &DataType,
    words: &[u64],
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    let values = match data_type.primitive_width() {
        Some(1) => Buffer::from_vec(words.iter().map(|w| *w as u8).collect::<Vec<_>>()),
        Some(2) => Buffer::from_vec(words.iter().map(|w| *w as u16).collect::<Vec<_>>()),
        Some(4) => Buffer::from_vec(words.iter().map(|w| *w as u32).collect::<Vec<_>>()),
        _ => Buffer::from_vec(words.to_vec()),
    };
    let data = ArrayData::builder(data_type.clone()).len(words.len()).add_buffer(values).nulls(nulls);
    Ok(make_array(data.build()?))
}

/// The hash of a word: a bijection that spreads to all bits (the finisher of SplitMix64).
pub fn spread(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        Date32Array, Float32Array, Float64Array, Int8Array, Int16Array, Int64Array, TimestampSecondArray,
        UInt64Array,
    };
    use std::sync::Arc;

    #[test]
    fn values_are_what_they_were() {
        let columns: [ArrayRef; 8] = [
            Arc::new(Int8Array::from(vec![Some(-1), None, Some(7), Some(i8::MIN)])),
            Arc::new(Int16Array::from(vec![-1, 0, 7, i16::MIN])),
            Arc::new(Date32Array::from(vec![Some(-1), Some(0), None, Some(i32::MAX)])),
            Arc::new(Int64Array::from(vec![-1, 0, i64::MIN, i64::MAX])),
            Arc::new(UInt64Array::from(vec![0, 1, u64::MAX, 3])),
            Arc::new(Float32Array::from(vec![0.5, -0.0, f32::INFINITY, 1e30])),
            Arc::new(Float64Array::from(vec![None, Some(-0.0), Some(0.1), Some(f64::MIN)])),
            Arc::new(TimestampSecondArray::from(vec![1, 2, 3, 4]).with_timezone("+00:00")),
        ];
        let mut out = Vec::new();
        for whole in &columns {
            for part in [whole.clone(), whole.slice(1, 3), whole.slice(2, 0)] {
                assert!(fits(part.data_type()));
                words(&part, &mut out);
                assert_eq!(&column(part.data_type(), &out, part.nulls().cloned()).unwrap(), &part);
            }
        }
        assert!(!fits(&DataType::Utf8) && !fits(&DataType::Boolean) && !fits(&DataType::Decimal128(3, 1)));
    }
}
