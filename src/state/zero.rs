//! Keys of which the two zeros are one.

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{Float32Type, Float64Type};
use std::sync::Arc;

/// A key column with -0.0 as 0.0: they are equal, so they must be one key, and the same bytes wherever a key is told as such.
pub fn one_zero(column: ArrayRef) -> ArrayRef {
    if let Some(floats) = column.as_primitive_opt::<Float64Type>() {
        if floats.values().iter().any(|v| v.to_bits() == (-0.0f64).to_bits()) {
            return Arc::new(floats.unary::<_, Float64Type>(|v| v + 0.0));
        }
    } else if let Some(floats) = column.as_primitive_opt::<Float32Type>()
        && floats.values().iter().any(|v| v.to_bits() == (-0.0f32).to_bits())
    {
        return Arc::new(floats.unary::<_, Float32Type>(|v| v + 0.0));
    }
    column
}
