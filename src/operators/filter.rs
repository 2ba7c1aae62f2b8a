//! `WHERE p`, `HAVING p`
//!
//! | | |
//! |---|---|
//! | Law | linear: d(σA) = σ(dA); weights and marks pass with their rows |
//! | State | none |
//! | In / Out | append-only or changing, the same out |
//! | Watermark | passes |
//! | Cost | O(delta), one evaluation of the predicate per batch |

use super::{Emit, Operator, Result};
use crate::delta::Delta;
use arrow::array::{AsArray, BooleanArray};
use arrow::compute::prep_null_mask_filter;
use datafusion::physical_expr::PhysicalExpr;
use std::fmt;
use std::sync::Arc;

/// Keeps the rows where the predicate is true.
#[derive(Debug, Clone)]
pub struct FilterSpec {
    /// A Boolean expression over the input's columns; null counts as false.
    pub predicate: Arc<dyn PhysicalExpr>,
}

// Not derived: a derived one would move the trait object.
impl PartialEq for FilterSpec {
    fn eq(&self, other: &Self) -> bool {
        *self.predicate == *other.predicate
    }
}

impl fmt::Display for FilterSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter {}", super::shown::shown(&self.predicate))
    }
}

/// The running operator.
pub struct Filter {
    spec: FilterSpec,
}

impl Filter {
    /// A filter by `spec`.
    pub fn new(spec: FilterSpec) -> Self {
        Filter { spec }
    }
}

impl Operator for Filter {
    fn push(&mut self, _port: usize, delta: Delta, out: &mut dyn Emit) -> Result<()> {
        let mask = evaluate_mask(&self.spec.predicate, &delta)?;
        match mask.true_count() {
            0 => {}
            n if n == delta.num_rows() => out.emit(delta)?,
            _ => out.emit(delta.filter(&mask)?)?,
        }
        Ok(())
    }
}

/// Evaluates a Boolean expression over a delta's rows; null counts as false.
fn evaluate_mask(predicate: &Arc<dyn PhysicalExpr>, delta: &Delta) -> Result<BooleanArray> {
    let value = predicate.evaluate(&delta.batch)?.into_array(delta.num_rows())?;
    let mask = value.as_boolean();
    Ok(if arrow::array::Array::null_count(mask) > 0 { prep_null_mask_filter(mask) } else { mask.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delta::{draw, drawn};
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::logical_expr::Operator as Op;
    use datafusion::physical_expr::expressions::{binary, col, lit};

    #[test]
    fn null_is_false_and_weights_stay_with_their_rows() {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        let predicate = binary(col("a", &schema).unwrap(), Op::Gt, lit(1i64), &schema).unwrap();
        let mut filter = Filter::new(FilterSpec { predicate });
        let mut out = Vec::new();
        filter.push(0, drawn(&schema, "+ 1\n- 2\n+ null\n+3 4"), &mut out).unwrap();
        filter.push(0, drawn(&schema, "+ 0"), &mut out).unwrap();
        assert_eq!(draw(&out), "- 2\n+3 4\n");
    }
}
