//! Rows in time by their own time: before sessions (`FROM SESSION(s, ts, gap)`) and interval joins
//!
//! | | |
//! |---|---|
//! | Law | linear: a row goes out as it came, or not at all; which, its own time and mark decide |
//! | State | none |
//! | In / Out | append-only or changing, the same out; the rows carry no marks any more |
//! | Watermark | passes; rows may lie behind it by the grace |
//! | Cost | O(delta); nothing is copied where no row is left out |
//!
//! A row is late when its mark (the watermark that its own partition had reached before it) lies past its time
//! plus grace. So rows that wait for each other by their own times, as those of a session do, can be let go as soon as
//! the watermark has passed them. A row without a time is left out as well; both kinds are counted.

use super::window::{length, unit_ns};
use super::{Emit, Operator, OperatorMetrics, Result, StepStart};
use crate::delta::{Delta, EventTime, WATERMARK_NONE};
use arrow::array::{Array, AsArray, BooleanArray, Int64Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{cast, is_not_null};
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use std::fmt;

/// Leaves late rows out.
#[derive(Debug, Clone, PartialEq)]
pub struct InTimeSpec {
    /// Index of the time column (a timestamp).
    pub time: usize,
    /// How far behind the watermark a row may lie, in nanoseconds of event time.
    pub grace: i64,
    /// Whether the watermark speaks of the time column. If not, no row is late.
    pub event_time: bool,
    /// The columns.
    pub schema: SchemaRef,
}

impl fmt::Display for InTimeSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InTime {}", self.schema.field(self.time).name())?;
        if self.grace != 0 {
            write!(f, " grace={}", length(self.grace))?;
        }
        Ok(())
    }
}

/// The running operator.
pub struct InTime {
    spec: InTimeSpec,
    /// Nanoseconds in one of the time column's unit.
    unit: i64,
    /// The watermark before this step: what waited for rows before it (less the grace) has been let go.
    closed: EventTime,
    late: u64,
    after_idle: u64,
    timeless: u64,
}

impl InTime {
    /// An operator by `spec`.
    pub fn new(spec: InTimeSpec) -> Self {
        let unit = match spec.schema.field(spec.time).data_type() {
            DataType::Timestamp(unit, _) => unit_ns(*unit),
            _ => 1,
        };
        InTime { spec, unit, closed: WATERMARK_NONE, late: 0, after_idle: 0, timeless: 0 }
    }

    /// Which rows are late, by their times and marks.
    pub fn late(&self, times: &dyn Array, marks: &Int64Array) -> Result<BooleanBuffer> {
        let valid = is_not_null(times)?;
        let times = cast(times, &DataType::Int64)?;
        let times = times.as_primitive::<Int64Type>().values();
        Ok(&self.behind(times, |i| marks.value(i)) & valid.values())
    }

    /// Which times, plus the grace, lie before `mark`.
    fn behind(&self, times: &[i64], mark: impl Fn(usize) -> EventTime) -> BooleanBuffer {
        BooleanBuffer::collect_bool(times.len(), |i| {
            times[i].saturating_mul(self.unit).saturating_add(self.spec.grace) < mark(i)
        })
    }

    /// Which rows are kept, or `None` if all are. A row that is in time by its own mark never lies behind what the
    /// watermark had reached unless its partition was idle: while it is not, the watermark waits for it.
    fn kept(&mut self, times: &[i64], marks: Option<&Int64Array>) -> Option<BooleanBuffer> {
        let late = marks.map(|marks| self.behind(times, |i| marks.value(i)));
        let closed = self.closed;
        let gone = (closed != WATERMARK_NONE).then(|| self.behind(times, |_| closed));
        let late = late.filter(|late| late.count_set_bits() > 0);
        let gone = gone.filter(|gone| gone.count_set_bits() > 0);
        self.late += late.as_ref().map_or(0, |late| late.count_set_bits() as u64);
        let out = match (late, gone) {
            (Some(late), Some(gone)) => {
                self.after_idle += (&gone & &!&late).count_set_bits() as u64;
                &late | &gone
            }
            (None, Some(gone)) => {
                self.after_idle += gone.count_set_bits() as u64;
                gone
            }
            (late, None) => late?,
        };
        Some(!&out)
    }
}

impl Operator for InTime {
    fn begin_step(&mut self, start: StepStart) -> Result<()> {
        self.closed = start.closed;
        Ok(())
    }

    fn push(&mut self, _port: usize, mut delta: Delta, out: &mut dyn Emit) -> Result<()> {
        if delta.batch.column(self.spec.time).null_count() > 0 {
            let mask = is_not_null(delta.batch.column(self.spec.time))?;
            self.timeless += (delta.num_rows() - mask.true_count()) as u64;
            delta = delta.filter(&mask)?;
        }
        let marks = delta.marks.take();
        if self.spec.event_time && (marks.is_some() || self.closed != WATERMARK_NONE) {
            let times = cast(delta.batch.column(self.spec.time), &DataType::Int64)?;
            let times = times.as_primitive::<Int64Type>().values().clone();
            if let Some(kept) = self.kept(&times, marks.as_ref()) {
                delta = delta.filter(&BooleanArray::new(kept, None))?;
            }
        }
        if !delta.is_empty() {
            out.emit(delta)?;
        }
        Ok(())
    }

    fn metrics(&self) -> OperatorMetrics {
        OperatorMetrics {
            late: self.late,
            after_idle: self.after_idle,
            timeless: self.timeless,
            ..Default::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delta::{draw, drawn};
    use arrow::datatypes::{Field, Schema, TimeUnit};
    use std::sync::Arc;

    const S: i64 = 1_000_000_000;

    fn operator(grace: i64, event_time: bool) -> InTime {
        let fields = vec![
            Field::new("ts", DataType::Timestamp(TimeUnit::Second, None), true),
            Field::new("v", DataType::Utf8, true),
        ];
        InTime::new(InTimeSpec {
            time: 0,
            grace: grace * S,
            event_time,
            schema: Arc::new(Schema::new(fields)),
        })
    }

    /// What the operator makes of rows of whole seconds, and its counts of late, after idleness and timeless.
    fn push(in_time: &mut InTime, rows: &str, marks: Option<&[i64]>) -> (String, [u64; 3]) {
        let plain = Arc::new(Schema::new(vec![
            Field::new("ts", DataType::Int64, true),
            Field::new("v", DataType::Utf8, true),
        ]));
        let mut delta = drawn(&plain, rows);
        let mut columns = delta.batch.columns().to_vec();
        columns[0] = cast(&columns[0], in_time.spec.schema.field(0).data_type()).unwrap();
        delta.batch = arrow::array::RecordBatch::try_new(in_time.spec.schema.clone(), columns).unwrap();
        delta.marks = marks.map(|m| m.iter().map(|m| Some(m * S)).collect());
        let mut out = Vec::new();
        in_time.push(0, delta, &mut out).unwrap();
        assert!(out.iter().all(|d| d.marks.is_none()), "marks are used up");
        let out: Vec<Delta> = out
            .iter()
            .map(|d| {
                let mut columns = d.batch.columns().to_vec();
                columns[0] = cast(&columns[0], &DataType::Int64).unwrap();
                d.with_batch(arrow::array::RecordBatch::try_new(plain.clone(), columns).unwrap())
            })
            .collect();
        let m = in_time.metrics();
        (draw(&out), [m.late, m.after_idle, m.timeless])
    }

    #[test]
    fn a_row_is_late_when_its_mark_lies_past_its_time_and_grace() {
        let rows = "+ 5 a\n-2 5 b\n+ 5 c\n+ null d";
        let marks: &[i64] = &[5, 6, 7, 99];
        let mut none = operator(0, true);
        assert_eq!(push(&mut none, rows, Some(marks)), ("+ 5 a\n".into(), [2, 0, 1]));
        let mut grace = operator(1, true);
        assert_eq!(push(&mut grace, rows, Some(marks)), ("+ 5 a\n-2 5 b\n".into(), [1, 0, 1]));
        assert_eq!(push(&mut none, "+ 5 a", None), ("+ 5 a\n".into(), [2, 0, 1]));
    }

    #[test]
    fn a_row_behind_what_has_been_reached_came_after_idleness() {
        let mut in_time = operator(1, true);
        in_time.begin_step(StepStart::after(7 * S)).unwrap();
        let rows = "+ 5 a\n+ 6 b\n+ 5 c";
        assert_eq!(push(&mut in_time, rows, Some(&[0, 0, 7])), ("+ 6 b\n".into(), [1, 1, 0]));
        in_time.begin_step(StepStart::after(7 * S + 1)).unwrap();
        assert_eq!(push(&mut in_time, "+ 6 b\n+ 7 c", None), ("+ 7 c\n".into(), [1, 2, 0]));
        in_time.begin_step(StepStart::after(i64::MAX)).unwrap();
        assert_eq!(push(&mut in_time, "+ 9 b", None), (String::new(), [1, 3, 0]));
    }

    #[test]
    fn no_row_is_late_by_a_time_of_which_no_watermark_speaks() {
        let mut in_time = operator(0, false);
        in_time.begin_step(StepStart::after(i64::MAX)).unwrap();
        let rows = "+ 5 a\n- null b";
        assert_eq!(push(&mut in_time, rows, Some(&[9, 9])), ("+ 5 a\n".into(), [0, 0, 1]));
    }
}
