//! `SELECT e1, e2, …`
//!
//! | | |
//! |---|---|
//! | Law | linear: d(πA) = π(dA); rows that become equal keep their own weights |
//! | State | none; the expressions are deterministic (the planner refuses others) |
//! | In / Out | append-only or changing, the same out |
//! | Watermark | passes |
//! | Cost | O(delta), one evaluation of each expression per batch |

use super::shown::{shown, tidy};
use super::{Emit, Operator, Result};
use crate::delta::Delta;
use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use datafusion::physical_expr::PhysicalExpr;
use std::fmt;
use std::sync::Arc;

/// Computes the output columns from the input's.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectSpec {
    /// One expression per output column.
    pub expressions: Vec<Arc<dyn PhysicalExpr>>,
    /// The output's columns.
    pub schema: SchemaRef,
}

impl fmt::Display for ProjectSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<String> = self
            .expressions
            .iter()
            .zip(self.schema.fields())
            .map(|(e, field)| {
                let (text, name) = (shown(e), tidy(field.name()));
                if text == name { text } else { format!("{text} AS {name}") }
            })
            .collect();
        write!(f, "Project {}", columns.join(", "))
    }
}

/// The running operator.
pub struct Project {
    spec: ProjectSpec,
}

impl Project {
    /// A projection by `spec`.
    pub fn new(spec: ProjectSpec) -> Self {
        Project { spec }
    }
}

impl Operator for Project {
    fn push(&mut self, _port: usize, delta: Delta, out: &mut dyn Emit) -> Result<()> {
        let rows = delta.num_rows();
        let columns = self
            .spec
            .expressions
            .iter()
            .map(|e| Ok(e.evaluate(&delta.batch)?.into_array(rows)?))
            .collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(self.spec.schema.clone(), columns, &options)?;
        out.emit(delta.with_batch(batch))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delta::{draw, drawn};
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::logical_expr::Operator as Op;
    use datafusion::physical_expr::expressions::{binary, col, lit};

    #[test]
    fn constants_and_expressions_over_changing_rows() {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        let sum = binary(col("a", &schema).unwrap(), Op::Plus, lit(1i64), &schema).unwrap();
        let out_schema = Arc::new(Schema::new(vec![
            Field::new("b", DataType::Int64, true),
            Field::new("one", DataType::Int64, false),
        ]));
        let mut project = Project::new(ProjectSpec { expressions: vec![sum, lit(1i64)], schema: out_schema });
        let mut out = Vec::new();
        project.push(0, drawn(&schema, "+ 1\n-2 2\n+ null"), &mut out).unwrap();
        assert_eq!(draw(&out), "+ 2 1\n-2 3 1\n+ null 1\n");
    }
}
