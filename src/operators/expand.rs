//! `GROUP BY GROUPING SETS / ROLLUP / CUBE`: the rows once for each grouping set
//!
//! | | |
//! |---|---|
//! | Law | linear; each row goes out once per set, with the keys that the set leaves out made null and the set's id beside them |
//! | State | none |
//! | In / Out | append-only or changing, the same out: the input's columns, then the keys, then the id |
//! | Watermark | passes |
//! | Cost | O(delta · sets); columns that a set keeps are shared, not copied |

use super::{Emit, Operator, Result};
use crate::delta::Delta;
use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use datafusion::physical_expr::PhysicalExpr;
use std::fmt;
use std::sync::Arc;

/// One grouping set.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupingSet {
    /// Which of the keys it groups by.
    pub keeps: Vec<bool>,
    /// Its id, in the type that DataFusion gives the `__grouping_id` column.
    pub id: ScalarValue,
}

/// Repeats each row for every grouping set.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpandSpec {
    /// All keys of all sets.
    pub keys: Vec<Arc<dyn PhysicalExpr>>,
    /// The sets.
    pub sets: Vec<GroupingSet>,
    /// The input's columns, then one nullable column per key, then the id.
    pub schema: SchemaRef,
}

impl fmt::Display for ExpandSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sets: Vec<String> = self
            .sets
            .iter()
            .map(|set| {
                let keys = self.keys.iter().zip(&set.keeps).filter(|(_, keeps)| **keeps);
                format!("({})", keys.map(|(k, _)| super::shown::shown(k)).collect::<Vec<_>>().join(", "))
            })
            .collect();
        write!(f, "Expand sets=[{}]", sets.join(", "))
    }
}

/// The running operator.
pub struct Expand {
    spec: ExpandSpec,
}

impl Expand {
    /// An expansion by `spec`.
    pub fn new(spec: ExpandSpec) -> Self {
        Expand { spec }
    }
}

impl Operator for Expand {
    fn push(&mut self, _port: usize, delta: Delta, out: &mut dyn Emit) -> Result<()> {
        let rows = delta.num_rows();
        let keys = self
            .spec
            .keys
            .iter()
            .map(|k| Ok(k.evaluate(&delta.batch)?.into_array(rows)?))
            .collect::<Result<Vec<ArrayRef>>>()?;
        for set in &self.spec.sets {
            let mut columns = delta.batch.columns().to_vec();
            for (key, keeps) in keys.iter().zip(&set.keeps) {
                columns.push(if *keeps { key.clone() } else { new_null_array(key.data_type(), rows) });
            }
            columns.push(set.id.to_array_of_size(rows)?);
            out.emit(delta.with_batch(RecordBatch::try_new(self.spec.schema.clone(), columns)?))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delta::{draw, drawn};
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::physical_expr::expressions::col;

    #[test]
    fn a_rollup_sends_each_row_once_per_set() {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        let out_schema = Arc::new(Schema::new(vec![
            Field::new("a", DataType::Int64, true),
            Field::new("k", DataType::Int64, true),
            Field::new("id", DataType::UInt8, false),
        ]));
        let set = |keeps, id| GroupingSet { keeps: vec![keeps], id: ScalarValue::UInt8(Some(id)) };
        let mut expand = Expand::new(ExpandSpec {
            keys: vec![col("a", &schema).unwrap()],
            sets: vec![set(true, 0), set(false, 1)],
            schema: out_schema,
        });
        let mut out = Vec::new();
        expand.push(0, drawn(&schema, "+ 1\n- 2"), &mut out).unwrap();
        assert_eq!(draw(&out), "+ 1 1 0\n- 2 2 0\n+ 1 null 1\n- 2 null 1\n");
    }
}
