//! `FROM TUMBLE(s, ts, size)`, `HOP(s, ts, slide, size)`, `CUMULATE(s, ts, step, size)` in all their spellings
//!
//! | | |
//! |---|---|
//! | Law | linear: a row goes out once for each window that its time lies in and for which it is not late |
//! | State | none: whether a row is late is told by its own mark, never by what was seen elsewhere |
//! | In / Out | append-only or changing, the same out: the input's columns, then `window_start`, `window_end`, `window_time` (end - 1 ms; - 1 s over whole seconds), of the time column's type |
//! | Watermark | passes |
//! | Cost | O(delta · windows per row); input columns are shared between the windows, not copied |
//!
//! Windows are `[start, end)`, aligned to the epoch plus the offset. A row is late for a window when its
//! mark (the watermark that its own partition had reached before it) is at or past the window's end plus
//! grace. A row without a time lies in no window; both kinds are counted. Windows as in Flink's
//! windowing table functions.

use super::combine::Combine;
use super::{Emit, Operator, OperatorMetrics, Result, StepStart};
use crate::delta::{Delta, EventTime, WATERMARK_NONE};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, PrimitiveArray, RecordBatch, make_array,
};
use arrow::buffer::{BooleanBuffer, ScalarBuffer};
use arrow::compute::{cast, is_not_null};
use arrow::datatypes::{DataType, Int64Type, SchemaRef, TimeUnit};
use std::fmt;

/// Which windows a time lies in. Lengths are in nanoseconds, positive, and whole numbers of the time column's unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Hash)]
pub enum WindowKind {
    /// Side by side.
    Tumble {
        /// Length of a window.
        size: i64,
    },
    /// Overlapping when `slide < size`.
    Hop {
        /// Distance between starts.
        slide: i64,
        /// Length of a window.
        size: i64,
    },
    /// Growing by `step` up to `size`, then anew. `size` is a multiple of `step`.
    Cumulate {
        /// By how much each window is longer than the one before.
        step: i64,
        /// Length of the longest.
        size: i64,
    },
}

/// Assigns rows to windows.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowSpec {
    /// Index of the time column (a timestamp).
    pub time: usize,
    /// The windows.
    pub kind: WindowKind,
    /// Shift of the alignment, in nanoseconds.
    pub offset: i64,
    /// How long after its end a window still takes rows, in nanoseconds of event time.
    pub grace: i64,
    /// Whether the watermark speaks of the time column. If not, no row is late and no window closes.
    pub event_time: bool,
    /// Whether the rows are only counted behind it, and nobody asks for the time itself: then equal rows may go out as one
    /// with a weight, and each is multiplied by its windows once.
    pub counted: bool,
    /// The input's columns and the three of the window.
    pub schema: SchemaRef,
}

impl WindowSpec {
    /// Length of the longest window, in nanoseconds.
    pub fn size(&self) -> i64 {
        match self.kind {
            WindowKind::Tumble { size }
            | WindowKind::Hop { size, .. }
            | WindowKind::Cumulate { size, .. } => size,
        }
    }
}

impl fmt::Display for WindowSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, inner, size) = match self.kind {
            WindowKind::Tumble { size } => ("Tumble", None, size),
            WindowKind::Hop { slide, size } => ("Hop", Some(("slide", slide)), size),
            WindowKind::Cumulate { step, size } => ("Cumulate", Some(("step", step)), size),
        };
        write!(f, "{name} {} size={}", self.schema.field(self.time).name(), length(size))?;
        if let Some((word, value)) = inner {
            write!(f, " {word}={}", length(value))?;
        }
        if self.offset != 0 {
            write!(f, " offset={}", length(self.offset))?;
        }
        if self.grace != 0 {
            write!(f, " grace={}", length(self.grace))?;
        }
        Ok(())
    }
}

/// A length of time in nanoseconds in words: `90 s`, `1 h`.
pub fn length(ns: i64) -> String {
    const UNITS: [(i64, &str); 7] = [
        (86_400_000_000_000, "d"),
        (3_600_000_000_000, "h"),
        (60_000_000_000, "min"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
        (1, "ns"),
    ];
    if ns == 0 {
        return "0 s".into();
    }
    let (unit, name) = UNITS.into_iter().find(|(unit, _)| ns % unit == 0).unwrap_or((1, "ns"));
    format!("{} {name}", ns / unit)
}

/// Nanoseconds in one of the unit.
pub fn unit_ns(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

/// The running operator.
pub struct WindowAssign {
    spec: WindowSpec,
    /// The time column's type.
    time_type: DataType,
    /// Nanoseconds in one of its unit.
    unit: i64,
    /// The watermark before this step: windows that end (plus grace) at or before it have gone out.
    closed: EventTime,
    late: u64,
    after_idle: u64,
    timeless: u64,
    combine: Combine,
}

/// One window of each row of a batch, in the time column's unit.
struct Assigned {
    start: Vec<i64>,
    end: Vec<i64>,
    /// Which rows lie in the window; `None` = all.
    within: Option<BooleanBuffer>,
}

impl WindowAssign {
    /// An assigner by `spec`.
    pub fn new(spec: WindowSpec) -> Self {
        let time_type = spec.schema.field(spec.time).data_type().clone();
        let unit = match &time_type {
            DataType::Timestamp(unit, _) => unit_ns(*unit),
            _ => 1,
        };
        WindowAssign {
            spec,
            time_type,
            unit,
            closed: WATERMARK_NONE,
            late: 0,
            after_idle: 0,
            timeless: 0,
            combine: Combine::default(),
        }
    }

    /// Which rows are late for at least one of their windows, by their times and marks.
    pub fn late(&self, times: &dyn Array, marks: &Int64Array) -> Result<BooleanBuffer> {
        let valid = is_not_null(times)?;
        let times = cast(times, &DataType::Int64)?;
        let times = times.as_primitive::<Int64Type>().values();
        let mut late = BooleanBuffer::new_unset(times.len());
        for window in self.assign(times) {
            if let Some(missed) = self.missed(&window, marks) {
                late = &late | &missed;
            }
        }
        Ok(&late & valid.values())
    }

    /// Which rows are late for their window, if any is.
    fn missed(&self, window: &Assigned, marks: &Int64Array) -> Option<BooleanBuffer> {
        let late = !&self.in_time(marks, &window.end)?;
        Some(match &window.within {
            Some(within) => &late & within,
            None => late,
        })
    }

    /// Which rows lie in a window that has gone out, if any does. A row that is in time by its own mark is never among
    /// them unless its partition was idle: while it is not, the watermark waits for it.
    fn gone(&self, window: &Assigned) -> Option<BooleanBuffer> {
        let last = self
            .closed
            .checked_sub(self.spec.grace)
            .filter(|_| self.spec.event_time && self.closed != WATERMARK_NONE)?
            .div_euclid(self.unit);
        if !window.end.iter().any(|end| *end <= last) {
            return None;
        }
        let gone = BooleanBuffer::collect_bool(window.end.len(), |i| window.end[i] <= last);
        Some(match &window.within {
            Some(within) => &gone & within,
            None => gone,
        })
    }

    /// If equal rows of a delta may be combined: the length of the parts of time, in the time column's unit, which lie in
    /// each window as a whole or not at all.
    fn combines(&self, delta: &Delta) -> Option<i64> {
        let every = match self.spec.kind {
            WindowKind::Tumble { size } => size,
            WindowKind::Hop { slide, size } if size % slide == 0 => slide,
            WindowKind::Hop { .. } => return None,
            WindowKind::Cumulate { step, .. } => step,
        };
        // Which of them are late is told by their own times and marks.
        (self.spec.counted && delta.marks.is_none()).then_some(every / self.unit)
    }

    fn assign(&self, times: &[i64]) -> Vec<Assigned> {
        let unit = self.unit;
        let offset = self.spec.offset / unit;
        match self.spec.kind {
            WindowKind::Tumble { size } => {
                let size = size / unit;
                vec![slide(&starts(times, offset, size), times, size, size, 0)]
            }
            WindowKind::Hop { slide: s, size } => {
                let windows = size / s + i64::from(size % s != 0);
                let (s, size) = (s / unit, size / unit);
                let starts = starts(times, offset, s);
                (0..windows).map(|k| slide(&starts, times, s, size, k)).collect()
            }
            WindowKind::Cumulate { step, size } => {
                (1..=size / step).map(|k| cumulate(times, offset, step / unit, size / unit, k)).collect()
            }
        }
    }

    /// Which of the rows are in time for their windows, or `None` if all are.
    fn in_time(&self, marks: &Int64Array, ends: &[i64]) -> Option<BooleanBuffer> {
        let closes = |end: i64| end.saturating_mul(self.unit).saturating_add(self.spec.grace);
        let marks = marks.values();
        let in_time = BooleanBuffer::collect_bool(ends.len(), |i| marks[i] < closes(ends[i]));
        (in_time.count_set_bits() < ends.len()).then_some(in_time)
    }

    fn in_window(
        &self,
        delta: &Delta,
        window: Assigned,
        keep: Option<BooleanBuffer>,
    ) -> Result<Option<Delta>> {
        let before_end = (1_000_000 / self.unit).max(1);
        let time = window.end.iter().map(|end| end.saturating_sub(before_end)).collect();
        let mut columns = delta.batch.columns().to_vec();
        columns.push(timestamps(window.start, &self.time_type)?);
        columns.push(timestamps(window.end, &self.time_type)?);
        columns.push(timestamps(time, &self.time_type)?);
        let out = Delta {
            batch: RecordBatch::try_new(self.spec.schema.clone(), columns)?,
            weights: delta.weights.clone(),
            // A further window over the same time leaves out what is late for it as well.
            marks: delta.marks.clone(),
        };
        Ok(match keep {
            Some(keep) => {
                let out = out.filter(&BooleanArray::new(keep, None))?;
                (!out.is_empty()).then_some(out)
            }
            None => Some(out),
        })
    }
}

impl Operator for WindowAssign {
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
        let mut times = times_of(&delta, self.spec.time)?;
        if let Some(every) = self.combines(&delta) {
            let parts = starts(&times, self.spec.offset / self.unit, every);
            let parts = timestamps(parts, &self.time_type)?;
            delta = self.combine.combine(delta, self.spec.time, &parts)?;
            times = times_of(&delta, self.spec.time)?;
        }
        let (mut late, mut after_idle): (Option<BooleanBuffer>, Option<BooleanBuffer>) = (None, None);
        for window in self.assign(&times) {
            let marks = delta.marks.as_ref().filter(|_| self.spec.event_time);
            let mut missed = marks.and_then(|marks| self.missed(&window, marks));
            if let Some(missed) = &missed {
                late = Some(late.map_or(missed.clone(), |late| &late | missed));
            }
            if let Some(gone) = self.gone(&window) {
                after_idle = Some(after_idle.map_or(gone.clone(), |rows| &rows | &gone));
                missed = Some(missed.map_or(gone.clone(), |missed| &missed | &gone));
            }
            let keep = match (window.within.clone(), missed) {
                (Some(within), Some(missed)) => Some(&within & &!&missed),
                (within, missed) => within.or(missed.map(|missed| !&missed)),
            };
            if let Some(delta) = self.in_window(&delta, window, keep)? {
                out.emit(delta)?;
            }
        }
        if let Some(after_idle) = after_idle {
            let only = late.as_ref().map_or(after_idle.clone(), |late| &after_idle & &!late);
            // A row may stand for several.
            self.after_idle += match &delta.weights {
                Some(weights) => only.set_indices().map(|row| weights.value(row).unsigned_abs()).sum::<u64>(),
                None => only.count_set_bits() as u64,
            };
        }
        self.late += late.map_or(0, |late| late.count_set_bits() as u64);
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

/// The values of a column of times.
fn times_of(delta: &Delta, column: usize) -> Result<ScalarBuffer<i64>> {
    let times = cast(delta.batch.column(column), &DataType::Int64)?;
    Ok(times.as_primitive::<Int64Type>().values().clone())
}

/// Times in the unit of a timestamp type, as a column of it.
pub(super) fn timestamps(values: Vec<i64>, kind: &DataType) -> Result<ArrayRef> {
    let column = PrimitiveArray::<Int64Type>::new(ScalarBuffer::from(values), None);
    Ok(make_array(column.into_data().into_builder().data_type(kind.clone()).build()?))
}

/// The latest start at or before each time, of starts that come every `every`.
pub(super) fn starts(times: &[i64], offset: i64, every: i64) -> Vec<i64> {
    let mut out = Vec::with_capacity(times.len());
    // Times mostly come in order, and a division costs as much as ten comparisons: what follows in the
    // window of the time before is not divided again. Empty where an end of the range of times is near.
    let mut known = 0..0;
    for &time in times {
        if !known.contains(&time) {
            let start = time.saturating_sub(time.saturating_sub(offset).rem_euclid(every));
            let end = start.checked_add(every).filter(|end| end.checked_sub(offset).is_some());
            let exact = start > i64::MIN && start.checked_sub(offset).is_some();
            known = start..end.filter(|_| exact).unwrap_or(start);
            out.push(start);
        } else {
            out.push(known.start);
        }
    }
    out
}

/// The `k`-th last of the windows that start every `slide` and may hold a time.
fn slide(starts: &[i64], times: &[i64], slide: i64, size: i64, k: i64) -> Assigned {
    let start: Vec<i64> = starts.iter().map(|start| start.saturating_sub(k * slide)).collect();
    let end: Vec<i64> = start.iter().map(|s| s.saturating_add(size)).collect();
    // Only the oldest of them can have ended before the time, when the size is no multiple of the slide
    // (or smaller than it: then there are gaps between the windows).
    let within =
        ((k + 1) * slide > size).then(|| BooleanBuffer::collect_bool(times.len(), |i| times[i] < end[i]));
    Assigned { start, end, within }
}

/// The `k`-th window (from 1) of the run that a time lies in.
fn cumulate(times: &[i64], offset: i64, step: i64, size: i64, k: i64) -> Assigned {
    let start = starts(times, offset, size);
    let end: Vec<i64> = start.iter().map(|s| s.saturating_add(k * step)).collect();
    let within = Some(BooleanBuffer::collect_bool(times.len(), |i| times[i] < end[i]));
    Assigned { start, end, within }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delta::{draw, drawn};
    use arrow::datatypes::{Field, Schema};
    use std::sync::Arc;

    const S: i64 = 1_000_000_000;

    /// A window operator over one column of whole seconds, and what it makes of `rows`.
    fn run(kind: WindowKind, offset: i64, grace: i64, rows: &str, marks: Option<Vec<i64>>) -> (String, u64) {
        let time = DataType::Timestamp(TimeUnit::Second, None);
        let input = Arc::new(Schema::new(vec![Field::new("ts", DataType::Int64, true)]));
        let fields: Vec<Field> = ["ts", "window_start", "window_end", "window_time"]
            .into_iter()
            .map(|name| Field::new(name, time.clone(), true))
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let mut window = WindowAssign::new(WindowSpec {
            time: 0,
            kind,
            offset,
            grace,
            event_time: true,
            counted: false,
            schema: schema.clone(),
        });
        let mut delta = drawn(&input, rows);
        let ts = cast(delta.batch.column(0), &time).unwrap();
        let one = Arc::new(Schema::new(vec![schema.field(0).clone()]));
        delta.batch = RecordBatch::try_new(one, vec![ts]).unwrap();
        delta.marks = marks.map(|m| Int64Array::from_iter_values(m.into_iter().map(|m| m * S)));
        let mut out = Vec::new();
        window.push(0, delta, &mut out).unwrap();
        let ints = Arc::new(Schema::new(
            schema.fields().iter().map(|f| Field::new(f.name(), DataType::Int64, true)).collect::<Vec<_>>(),
        ));
        let plain: Vec<Delta> = out
            .iter()
            .map(|d| {
                let columns = d.batch.columns().iter().map(|c| cast(c, &DataType::Int64).unwrap()).collect();
                d.with_batch(RecordBatch::try_new(ints.clone(), columns).unwrap())
            })
            .collect();
        (draw(&plain), window.metrics().late + 100 * window.metrics().timeless)
    }

    #[test]
    fn rows_that_are_only_counted_are_in_the_same_windows_combined() {
        let second = DataType::Timestamp(TimeUnit::Second, None);
        let input = Arc::new(Schema::new(vec![
            Field::new("k", DataType::Int64, true),
            Field::new("ts", DataType::Int64, true),
        ]));
        let mut fields = vec![Field::new("k", DataType::Int64, true)];
        let names = ["ts", "window_start", "window_end", "window_time"];
        fields.extend(names.map(|name| Field::new(name, second.clone(), true)));
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let text: String = (0..300)
            .map(|i| format!("{} {} {}\n", ["+", "-", "+2"][i % 3], i % 5, i as i64 / 7 - 9))
            .collect();
        let mut delta = drawn(&input, &text);
        let columns = vec![delta.batch.column(0).clone(), cast(delta.batch.column(1), &second).unwrap()];
        delta.batch = RecordBatch::try_new(Arc::new(schema.project(&[0, 1]).unwrap()), columns).unwrap();
        for kind in [
            WindowKind::Tumble { size: 10 * S },
            WindowKind::Hop { slide: 2 * S, size: 10 * S },
            WindowKind::Hop { slide: 3 * S, size: 10 * S },
            WindowKind::Cumulate { step: 2 * S, size: 10 * S },
        ] {
            let mut sums = Vec::new();
            for (counted, closed) in
                [(false, WATERMARK_NONE), (true, WATERMARK_NONE), (false, 9 * S), (true, 9 * S)]
            {
                let mut window = WindowAssign::new(WindowSpec {
                    time: 1,
                    kind,
                    offset: S,
                    grace: 0,
                    event_time: true,
                    counted,
                    schema: schema.clone(),
                });
                window.begin_step(StepStart::after(closed)).unwrap();
                let mut out: Vec<Delta> = Vec::new();
                window.push(0, delta.clone(), &mut out).unwrap();
                let without_time: Vec<Delta> = out
                    .into_iter()
                    .map(|d| Delta::weighted(d.batch.project(&[0, 2, 3]).unwrap(), d.weights))
                    .collect();
                let kept = Arc::new(schema.project(&[0, 2, 3]).unwrap());
                let (batch, weights) = crate::delta::consolidate(&kept, &without_time).unwrap();
                sums.push(draw(&[Delta::weighted(batch, Some(weights))]));
            }
            assert!(!sums[0].is_empty() && sums[0] != sums[2]);
            assert_eq!((&sums[0], &sums[2]), (&sums[1], &sums[3]), "{kind:?}");
        }
    }

    #[test]
    fn a_window_remembered_is_the_window_computed() {
        let near = |t: i64| (-25..25).map(move |i| t.saturating_add(i));
        let mut times: Vec<i64> = [i64::MIN, -60, 0, 7, i64::MAX].into_iter().flat_map(near).collect();
        for (every, offset) in
            [(10, 0), (7, 3), (10, -4), (1, 0), (i64::MAX, 5), (10, i64::MAX), (9, i64::MIN)]
        {
            for _ in 0..2 {
                let alone: Vec<i64> = times.iter().flat_map(|t| starts(&[*t], offset, every)).collect();
                assert_eq!(starts(&times, offset, every), alone, "every {every}, offset {offset}");
                times.reverse();
            }
        }
    }

    #[test]
    fn tumbling_windows_before_and_after_the_epoch_with_offset() {
        let kind = WindowKind::Tumble { size: 10 * S };
        assert_eq!(
            run(kind, 0, 0, "+ 0\n- 9\n+ 10\n+ -1\n+ null", None).0,
            "+ 0 0 10 9\n- 9 0 10 9\n+ 10 10 20 19\n+ -1 -10 0 -1\n"
        );
        assert_eq!(run(kind, -3 * S, 0, "+ 6\n+ 7", None).0, "+ 6 -3 7 6\n+ 7 7 17 16\n");
        assert_eq!(run(kind, 0, 0, "+ null", None).1, 100);
    }

    #[test]
    fn hopping_windows_overlap_leave_gaps_and_need_not_divide() {
        let hop = |slide, size| WindowKind::Hop { slide: slide * S, size: size * S };
        assert_eq!(run(hop(5, 10), 0, 0, "+ 7", None).0, "+ 7 5 15 14\n+ 7 0 10 9\n");
        assert_eq!(
            run(hop(4, 10), 0, 0, "+ 9\n+ 11", None).0,
            "+ 9 8 18 17\n+ 11 8 18 17\n+ 9 4 14 13\n+ 11 4 14 13\n+ 9 0 10 9\n"
        );
        assert_eq!(run(hop(10, 4), 0, 0, "+ 3\n+ 4", None).0, "+ 3 0 4 3\n");
    }

    #[test]
    fn cumulating_windows_grow() {
        let kind = WindowKind::Cumulate { step: 2 * S, size: 6 * S };
        assert_eq!(
            run(kind, 0, 0, "+ 1\n+ 3", None).0,
            "+ 1 0 2 1\n+ 1 0 4 3\n+ 3 0 4 3\n+ 1 0 6 5\n+ 3 0 6 5\n"
        );
    }

    #[test]
    fn a_row_for_a_window_that_has_gone_out_is_left_out_and_counted() {
        let time = DataType::Timestamp(TimeUnit::Millisecond, None);
        let field = |name: &str| Field::new(name, time.clone(), true);
        let schema =
            Arc::new(Schema::new(["ts", "window_start", "window_end", "window_time"].map(field).to_vec()));
        let kind = WindowKind::Tumble { size: 10 * S };
        let mut window = WindowAssign::new(WindowSpec {
            time: 0,
            kind,
            offset: 0,
            grace: S,
            event_time: true,
            counted: false,
            schema: schema.clone(),
        });
        let ts = arrow::array::TimestampMillisecondArray::from(vec![9_999, 10_000]);
        let batch =
            RecordBatch::try_new(Arc::new(schema.project(&[0]).unwrap()), vec![Arc::new(ts)]).unwrap();
        for (closed, kept) in [(WATERMARK_NONE, 2), (11 * S - 1, 2), (11 * S, 1), (i64::MAX, 0)] {
            let mut out = Vec::new();
            window.begin_step(StepStart::after(closed)).unwrap();
            window.push(0, Delta::insert(batch.clone()), &mut out).unwrap();
            assert_eq!(out.iter().map(Delta::num_rows).sum::<usize>(), kept, "closed at {closed}");
        }
        assert_eq!((window.metrics().late, window.metrics().after_idle), (0, 3));
    }

    #[test]
    fn no_row_is_late_for_a_window_over_a_time_of_which_no_watermark_speaks() {
        let time = DataType::Timestamp(TimeUnit::Second, None);
        let field = |name: &str| Field::new(name, time.clone(), true);
        let schema =
            Arc::new(Schema::new(["ts", "window_start", "window_end", "window_time"].map(field).to_vec()));
        let kind = WindowKind::Tumble { size: 10 * S };
        let spec =
            WindowSpec { time: 0, kind, offset: 0, grace: 0, event_time: false, counted: false, schema };
        let mut window = WindowAssign::new(spec.clone());
        window.begin_step(StepStart::after(i64::MAX)).unwrap();
        let ts = arrow::array::TimestampSecondArray::from(vec![5]);
        let batch = RecordBatch::try_new(Arc::new(spec.schema.project(&[0]).unwrap()), vec![Arc::new(ts)]);
        let marks = Some(Int64Array::from(vec![99 * S]));
        let mut out = Vec::new();
        window.push(0, Delta { batch: batch.unwrap(), weights: None, marks }, &mut out).unwrap();
        assert_eq!((out.len(), window.metrics()), (1, OperatorMetrics::default()));
    }

    #[test]
    fn a_row_is_late_when_its_mark_has_reached_the_end_plus_grace() {
        let tumble = WindowKind::Tumble { size: 10 * S };
        let marks = |m| Some(vec![m]);
        assert_eq!(run(tumble, 0, 0, "+ 5", marks(9)), ("+ 5 0 10 9\n".into(), 0));
        assert_eq!(run(tumble, 0, 0, "+ 5", marks(10)), (String::new(), 1));
        assert_eq!(run(tumble, 0, 2 * S, "+ 5", marks(11)), ("+ 5 0 10 9\n".into(), 0));
        let hop = WindowKind::Hop { slide: 5 * S, size: 10 * S };
        assert_eq!(run(hop, 0, 0, "+ 7", marks(12)), ("+ 7 5 15 14\n".into(), 1), "late for one of its two");
    }
}
