//! What decides whether a source's rows are late, for whoever keeps the late ones.

use super::Result;
use super::in_time::{InTime, InTimeSpec};
use super::window::{WindowAssign, WindowSpec};
use arrow::array::{Int64Array, RecordBatch};
use arrow::buffer::BooleanBuffer;

/// The operator that a source's rows meet first of those that leave late rows out.
#[derive(Debug, Clone, PartialEq)]
pub enum LateRule {
    /// Windows: late for at least one of the row's.
    Window(WindowSpec),
    /// The row's own time.
    InTime(InTimeSpec),
}

impl LateRule {
    /// Which rows are late, by their marks.
    pub fn late(&self, batch: &RecordBatch, marks: &Int64Array) -> Result<BooleanBuffer> {
        match self {
            LateRule::Window(spec) => WindowAssign::new(spec.clone()).late(batch.column(spec.time), marks),
            LateRule::InTime(spec) => InTime::new(spec.clone()).late(batch.column(spec.time), marks),
        }
    }
}
