//! Before a ranking within windows of rows that only come, or whose sort value only rises, before a join of rows with the greatest
//! of their window, and before a window's `max` alone: leaves out what stands behind `most` others already
//!
//! | | |
//! |---|---|
//! | SQL | `row_number() OVER (PARTITION BY window_end ORDER BY n DESC) <= 10` over counts, the auctions with most bids of a window; `bid JOIN (SELECT window_start, window_end, max(price) AS m FROM TUMBLE(bid, …) GROUP BY …) ON price = m AND ts >= window_start AND ts < window_end` |
//! | Law | the first `most` rows of each partition are the same; a row that is left out comes back when it has risen. Where the partition is the window that a time lies in, rows at its very start go on whatever they have, as they lie at the end of the window before as well |
//! | State | for each partition a value that `most` rows of this worker have reached; it is in no checkpoint, as it may be forgotten at any time |
//! | In / Out | rows that only come; or that come and go, whose sort value only rises: a row is taken back only in a step in which it comes again with no smaller one. The same out; not all that goes on is taken back, and not all that is taken back has gone on |
//! | Watermark | passes |
//! | Cost | O(rows), vectorised where rows of a partition lie together; where more than half of the rows go on it is tried only now and then |
//!
//! Before the exchange each worker tells by its own rows, so that few rows move and few are ranked. The idea is Fagin's threshold
//! (Fagin, Lotem and Naor 2003), and that of Flink's ranking by a monotonic column ("UpdateFastStrategy"), which also keeps the
//! first rows only.

use super::aggregate::WindowKey;
use super::shown::tidy;
use super::trial::Trial;
use super::window::{length, starts, unit_ns};
use super::{Emit, Operator, OperatorMetrics, Result};
use crate::delta::{Delta, EventTime};
use crate::state::key_table::KeyTable;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{cast, partition, take_arrays};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, SchemaRef, UInt64Type};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Partitions beyond which all is forgotten: of so many each has few rows.
const MOST_PARTITIONS: usize = 1 << 14;

/// See the module's head. `Display` is its line in EXPLAIN.
#[derive(Debug, Clone, PartialEq)]
pub struct ThresholdSpec {
    /// PARTITION BY, as columns; the window's bound is one of them, or the time that lies in it.
    pub keys: Vec<usize>,
    /// If the window's key is a time: the windows, one of which it lies in.
    pub windows: Option<Tumbling>,
    /// The column by which rows are ranked first: see [`ThresholdSpec::takes`].
    pub by: usize,
    /// Whether the greatest come first, or the least: "rises" is then "falls". Nulls come last.
    pub descending: bool,
    /// How many rows are wanted, at least one.
    pub most: usize,
    /// The partition key that is a window's bound, and when the window is over.
    pub window: WindowKey,
    /// The columns.
    pub schema: SchemaRef,
}

/// Windows side by side, of which each time lies in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tumbling {
    /// Length of a window, in nanoseconds; a whole number of the time column's unit.
    pub size: i64,
    /// Shift of the alignment, in nanoseconds.
    pub offset: i64,
}

impl ThresholdSpec {
    /// Whether a column of this type can be ranked by: numbers and times.
    pub fn takes(data_type: &DataType) -> bool {
        let number = data_type.is_integer()
            || matches!(data_type, DataType::Float32 | DataType::Float64 | DataType::Decimal128(..));
        number || matches!(data_type, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64)
    }

    /// This, if it has keys and values of types that it can keep.
    pub fn if_known(self) -> Option<Self> {
        let of = |column: &usize| self.schema.field(*column).data_type();
        let known = ThresholdSpec::takes(of(&self.by)) && !self.keys.iter().any(|key| of(key).is_nested());
        known.then_some(self)
    }

    fn key_types(&self) -> Vec<DataType> {
        let of = |(at, key): (usize, &usize)| match self.windows.filter(|_| at == self.window.key) {
            Some(_) => DataType::Int64,
            None => self.schema.field(*key).data_type().clone(),
        };
        self.keys.iter().enumerate().map(of).collect()
    }
}

impl fmt::Display for ThresholdSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |column: &usize| tidy(self.schema.field(*column).name());
        let key = |(at, key): (usize, &usize)| match self.windows.filter(|_| at == self.window.key) {
            Some(windows) => format!("{} in {}", name(key), length(windows.size)),
            None => name(key),
        };
        let keys: Vec<String> = self.keys.iter().enumerate().map(key).collect();
        let direction = if self.descending { " DESC" } else { "" };
        write!(f, "Threshold {} keys=[{}] order=[{}{direction}]", self.most, keys.join(", "), name(&self.by))
    }
}

/// The running operator.
pub struct Threshold {
    spec: ThresholdSpec,
    /// Nanoseconds in a unit of the window key.
    unit: i64,
    keys: KeyTable,
    /// For each slot what its partition's rows have reached, where the greatest come first.
    reached: Vec<Option<i64>>,
    /// The partitions by the time at which they are over.
    closing: BTreeMap<EventTime, Vec<u32>>,
    trial: Trial,
    slots: Vec<u32>,
    /// Values beside their partition, while the `most`th of each is looked for.
    crowd: Vec<(u32, i64)>,
}

impl Threshold {
    /// An operator by `spec`. Errors: a key type that cannot be kept.
    pub fn new(spec: ThresholdSpec) -> Result<Self> {
        let types = spec.key_types();
        let bound = spec.keys.get(spec.window.key).map(|key| spec.schema.field(*key).data_type());
        let unit = match bound {
            Some(DataType::Timestamp(unit, _)) => unit_ns(*unit),
            _ => 1,
        };
        Ok(Threshold {
            spec,
            unit,
            keys: KeyTable::new(&types)?,
            reached: Vec::new(),
            closing: BTreeMap::new(),
            trial: Trial::new(),
            slots: Vec::new(),
            crowd: Vec::new(),
        })
    }

    fn forget(&mut self) -> Result<()> {
        self.keys = KeyTable::new(&self.spec.key_types())?;
        self.reached = Vec::new();
        self.closing.clear();
        Ok(())
    }

    /// Puts the starts of their windows in the place of times among the keys. Says which rows lie at the very start.
    fn in_windows(&self, keys: &mut [ArrayRef]) -> Result<Option<BooleanBuffer>> {
        let Some(windows) = self.spec.windows else { return Ok(None) };
        let key = &mut keys[self.spec.window.key];
        let times = whole(key)?;
        let starts = starts(times.values(), windows.offset / self.unit, windows.size / self.unit);
        let at_start = BooleanBuffer::collect_bool(starts.len(), |row| starts[row] == times.value(row));
        *key = Arc::new(Int64Array::new(starts.into(), times.nulls().cloned()));
        Ok(Some(at_start))
    }

    /// Ranges of rows of one partition, and the partitions' slots in `slots`.
    fn ranges(&mut self, keys: &[ArrayRef]) -> Result<Vec<Range<usize>>> {
        let ranges = partition(keys)?.ranges();
        let firsts: UInt32Array = ranges.iter().map(|range| range.start as u32).collect();
        let first = take_arrays(keys, &firsts, None)?;
        let mut slots = std::mem::take(&mut self.slots);
        self.keys.intern(&first, ranges.len(), |_| false, &mut slots)?;
        self.reached.resize(self.keys.slots(), None);
        let mut ends: Option<Int64Array> = None;
        for (i, slot) in slots.iter().enumerate() {
            let reached = &mut self.reached[*slot as usize];
            if reached.is_some() {
                continue;
            }
            *reached = Some(i64::MIN);
            let ends = match &mut ends {
                Some(ends) => ends,
                None => ends.insert(whole(&first[self.spec.window.key])?),
            };
            let end = ends.is_valid(i).then(|| ends.value(i));
            let closes = self.spec.window.close(end, self.unit);
            self.closing.entry(closes).or_default().push(*slot);
        }
        self.slots = slots;
        Ok(ranges)
    }

    /// Raises what is reached by the rows that come.
    fn raise(&mut self, ranges: &[Range<usize>], values: &[i64], delta: &Delta) {
        let crowd = &mut self.crowd;
        crowd.clear();
        for (range, slot) in ranges.iter().zip(&self.slots) {
            let Some(reached) = &mut self.reached[*slot as usize] else { continue };
            let come = range.clone().filter(|row| delta.weight(*row) > 0).map(|row| values[row]);
            let come = come.filter(|value| *value < i64::MAX);
            if self.spec.most == 1 {
                *reached = come.fold(*reached, i64::max);
            } else {
                crowd.extend(come.filter(|value| *value > *reached).map(|value| (*slot, value)));
            }
        }
        // Each of them is another row: of one that rises in a step only one comes.
        crowd.sort_unstable_by_key(|(slot, _)| *slot);
        for of_one in crowd.chunk_by_mut(|a, b| a.0 == b.0).filter(|c| c.len() >= self.spec.most) {
            let (_, (slot, value), _) =
                of_one.select_nth_unstable_by_key(self.spec.most - 1, |(_, value)| std::cmp::Reverse(*value));
            self.reached[*slot as usize] = Some(*value);
        }
    }

    /// Which rows go on. What is taken back and has not reached it stands behind enough others for ever, whoever keeps it.
    fn kept(&self, ranges: &[Range<usize>], values: &[i64]) -> BooleanBuffer {
        let mut kept = Vec::with_capacity(values.len());
        for (range, slot) in ranges.iter().zip(&self.slots) {
            let reached = self.reached[*slot as usize].unwrap_or(i64::MIN);
            kept.extend(values[range.clone()].iter().map(|value| *value >= reached));
        }
        BooleanBuffer::from(kept)
    }
}

/// A column as numbers of which none is less than that of a value that stands behind; those of several values may be the same. Nulls
/// have the least, what is not a number the greatest, which tells nothing of the others.
fn in_order(column: &dyn Array, descending: bool) -> Result<Vec<i64>> {
    let turn = |value: i64| if descending { value } else { !value };
    let (mut values, odd): (Vec<i64>, Option<BooleanBuffer>) = match column.data_type() {
        DataType::UInt64 => {
            let values = column.as_primitive::<UInt64Type>().values().iter();
            (values.map(|value| turn((value ^ (1 << 63)) as i64)).collect(), None)
        }
        DataType::Decimal128(..) => {
            let within = |value: &i128| (*value).clamp(i64::MIN.into(), i64::MAX.into()) as i64;
            let values = column.as_primitive::<Decimal128Type>().values().iter();
            (values.map(|value| turn(within(value))).collect(), None)
        }
        DataType::Float32 | DataType::Float64 => {
            let column = cast(column, &DataType::Float64)?;
            let values = column.as_primitive::<Float64Type>().values();
            // The bits in the order of the numbers; -0 is 0.
            let ordered = |value: &f64| {
                let bits = (value + 0.0).to_bits() as i64;
                turn(bits ^ (((bits >> 63) as u64) >> 1) as i64)
            };
            let odd = values.iter().any(|value| value.is_nan());
            let odd = odd.then(|| BooleanBuffer::collect_bool(values.len(), |row| values[row].is_nan()));
            (values.iter().map(ordered).collect(), odd)
        }
        _ => (whole(column)?.values().iter().map(|value| turn(*value)).collect(), None),
    };
    for row in odd.iter().flat_map(BooleanBuffer::set_indices) {
        values[row] = i64::MAX;
    }
    if let Some(nulls) = column.nulls().filter(|nulls| nulls.null_count() > 0) {
        for row in (!nulls.inner()).set_indices() {
            values[row] = i64::MIN;
        }
    }
    Ok(values)
}

/// A column as numbers of 64 bits.
fn whole(column: &dyn Array) -> Result<Int64Array> {
    Ok(cast(column, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

impl Operator for Threshold {
    fn push(&mut self, _port: usize, delta: Delta, out: &mut dyn Emit) -> Result<()> {
        let rows = delta.num_rows();
        if self.trial.is_paused() {
            return out.emit(delta);
        }
        let mut keys: Vec<ArrayRef> =
            self.spec.keys.iter().map(|key| delta.batch.column(*key).clone()).collect();
        let at_start = self.in_windows(&mut keys)?;
        let ranges = self.ranges(&keys)?;
        let values = in_order(delta.batch.column(self.spec.by), self.spec.descending)?;
        self.raise(&ranges, &values, &delta);
        let mut kept = self.kept(&ranges, &values);
        if let Some(at_start) = at_start {
            kept = &kept | &at_start;
        }
        let kept = BooleanArray::new(kept, None);
        self.trial.judge(rows, kept.true_count());
        if self.keys.len() > MOST_PARTITIONS || self.trial.has_failed() {
            self.forget()?;
        }
        match kept.true_count() {
            0 => Ok(()),
            all if all == rows => out.emit(delta),
            _ => out.emit(delta.filter(&kept)?),
        }
    }

    fn finish_step(&mut self, watermark: EventTime, _out: &mut dyn Emit) -> Result<EventTime> {
        while let Some(first) = self.closing.first_entry().filter(|e| *e.key() <= watermark) {
            for slot in first.remove() {
                self.keys.remove(slot);
                self.reached[slot as usize] = None;
            }
        }
        Ok(watermark)
    }

    fn metrics(&self) -> OperatorMetrics {
        let bytes = self.reached.capacity() * size_of::<Option<i64>>() + self.keys.bytes();
        OperatorMetrics {
            state_rows: self.keys.len() as u64,
            state_bytes: bytes as u64,
            ..Default::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delta::{draw, drawn};
    use crate::operators::trial::{PAUSE, TRIAL};
    use arrow::array::{Decimal128Array, Float32Array, Float64Array, RecordBatch, UInt64Array};
    use arrow::datatypes::{Field, Schema};

    fn operator(most: usize, descending: bool) -> Threshold {
        let fields = ["w", "n", "k"].map(|name| Field::new(name, DataType::Int64, true));
        let window = WindowKey { key: 0, to_end: 10, grace: 2 };
        let schema = Arc::new(Schema::new(fields.to_vec()));
        let spec = ThresholdSpec { keys: vec![0], windows: None, by: 1, descending, most, window, schema };
        Threshold::new(spec).unwrap()
    }

    fn push(threshold: &mut Threshold, rows: &str) -> String {
        let mut out = Vec::new();
        threshold.push(0, drawn(&threshold.spec.schema.clone(), rows), &mut out).unwrap();
        draw(&out)
    }

    #[test]
    fn what_enough_rows_are_ahead_of_is_left_out_until_it_has_risen() {
        let mut two = operator(2, true);
        let rows = "+ 0 5 1\n+ 0 3 2\n+ 0 3 3\n+ 0 2 4\n+ 10 1 5\n";
        assert_eq!(push(&mut two, rows), "+ 0 5 1\n+ 0 3 2\n+ 0 3 3\n+ 10 1 5\n");
        assert_eq!(push(&mut two, "- 0 2 4\n+ 0 3 4\n- 0 3 2\n+ 0 9 2\n"), "+ 0 3 4\n- 0 3 2\n+ 0 9 2\n");
        assert_eq!(push(&mut two, "- 0 3 4\n+ 0 4 4\n- 0 3 3\n+ 0 4 3\n"), "+ 0 4 4\n+ 0 4 3\n");
        let mut least = operator(1, false);
        assert_eq!(push(&mut least, "+ 0 5 1\n+ 0 null 2\n+ null 7 3\n"), "+ 0 5 1\n+ null 7 3\n");
        assert_eq!(push(&mut least, "- 0 5 1\n+ 0 4 1\n- 0 null 2\n+ 0 6 2\n+ null null 4\n"), "+ 0 4 1\n");
    }

    #[test]
    fn numbers_of_all_kinds_stand_in_their_order() {
        let numbers = [f64::NEG_INFINITY, -7.5, -1e-300, -0.0, 0.0, 1e-300, 0.1, 3.0, f64::INFINITY];
        let floats = Float64Array::from(numbers.to_vec());
        let ordered = in_order(&floats, true).unwrap();
        assert!(ordered.is_sorted() && ordered[3] == ordered[4]);
        let turned = in_order(&floats, false).unwrap();
        assert!(turned.iter().rev().is_sorted() && turned[3] == turned[4]);
        for (one, other) in [(0, 1), (1, 2), (2, 3), (4, 5), (5, 6), (6, 7), (7, 8)] {
            assert!(ordered[one] < ordered[other] && turned[one] > turned[other], "{one}");
        }
        for descending in [true, false] {
            let floats = Float64Array::from(vec![Some(f64::NAN), None, Some(-f64::NAN), Some(1.0)]);
            let ordered = in_order(&floats, descending).unwrap();
            assert_eq!(ordered[..3], [i64::MAX, i64::MIN, i64::MAX]);
            let floats = Float32Array::from(vec![-1.5, 2.5]);
            let ordered = in_order(&floats, descending).unwrap();
            assert_eq!(ordered[0] < ordered[1], descending);
            let unsigned = UInt64Array::from(vec![0, 1, 1 << 63, u64::MAX]);
            let ordered = in_order(&unsigned, descending).unwrap();
            assert!(ordered.windows(2).all(|pair| (pair[0] < pair[1]) == descending));
        }
        let decimals = Decimal128Array::from(vec![i128::MIN, -5, 0, 70, 1 << 90, i128::MAX]);
        let ordered = in_order(&decimals, true).unwrap();
        assert_eq!(ordered, [i64::MIN, -5, 0, 70, i64::MAX, i64::MAX]);
    }

    #[test]
    fn what_is_not_a_number_goes_on_and_leaves_nothing_out() {
        let fields = [("w", DataType::Int64), ("n", DataType::Float64)];
        let schema = Arc::new(Schema::new(fields.map(|(name, of)| Field::new(name, of, true)).to_vec()));
        for descending in [true, false] {
            let window = WindowKey { key: 0, to_end: 10, grace: 2 };
            let schema = schema.clone();
            let spec =
                ThresholdSpec { keys: vec![0], windows: None, by: 1, descending, most: 1, window, schema };
            let rows = [f64::NAN, 1.0, 2.0, 0.5, -0.0];
            let columns: Vec<ArrayRef> =
                vec![Arc::new(Int64Array::from(vec![0; 5])), Arc::new(Float64Array::from(rows.to_vec()))];
            let batch = RecordBatch::try_new(spec.schema.clone(), columns).unwrap();
            let mut out: Vec<Delta> = Vec::new();
            Threshold::new(spec).unwrap().push(0, Delta::insert(batch), &mut out).unwrap();
            let left = out[0].batch.column(1).as_primitive::<Float64Type>().values().to_vec();
            assert!(left[0].is_nan());
            assert_eq!(left[1..], [if descending { 2.0 } else { -0.0 }]);
        }
    }

    #[test]
    fn a_time_tells_its_window_and_at_its_very_start_goes_on() {
        let spec =
            ThresholdSpec { windows: Some(Tumbling { size: 10, offset: 3 }), ..operator(1, true).spec };
        let mut threshold = Threshold::new(spec).unwrap();
        let rows = "+ 5 4 1\n+ 13 9 2\n+ 6 3 3\n+ 12 4 4\n+ 14 8 5\n+ 13 1 6\n+ 3 1 7\n+ -7 1 8\n+ -1 0 9\n";
        let expected = "+ 5 4 1\n+ 13 9 2\n+ 12 4 4\n+ 13 1 6\n+ 3 1 7\n+ -7 1 8\n";
        assert_eq!(push(&mut threshold, rows), expected);
        assert_eq!(threshold.metrics().state_rows, 3);
        threshold.finish_step(14, &mut Vec::new()).unwrap();
        assert_eq!(threshold.metrics().state_rows, 2, "over 10 + 2 after its start at -7 + 10");
        assert_eq!(push(&mut threshold, "+ 7 2 1\n+ 22 8 2\n+ 22 9 3\n"), "+ 22 9 3\n");
    }

    #[test]
    fn where_nothing_is_left_out_it_is_tried_now_and_then() {
        let mut threshold = operator(1, true);
        threshold.trial.pauses = true;
        for n in 0..TRIAL {
            assert_eq!(push(&mut threshold, &format!("+ 0 {n} 1\n")), format!("+ 0 {n} 1\n"));
        }
        assert_eq!(threshold.metrics().state_rows, 0);
        for _ in 0..PAUSE {
            assert_eq!(push(&mut threshold, "+ 0 2 1\n+ 0 1 2\n"), "+ 0 2 1\n+ 0 1 2\n");
        }
        assert_eq!(push(&mut threshold, "+ 0 2 1\n+ 0 1 2\n"), "+ 0 2 1\n");
    }

    #[test]
    fn of_very_many_partitions_nothing_is_kept() {
        let mut threshold = operator(1, true);
        let rows: String = (0..=MOST_PARTITIONS).map(|w| format!("+ {w} 1 1\n")).collect();
        assert_eq!(push(&mut threshold, &rows), rows);
        assert_eq!(threshold.metrics().state_rows, 0);
    }

    #[test]
    fn what_windows_have_reached_is_forgotten_with_them() {
        let mut threshold = operator(1, true);
        let mut bytes = 0;
        for window in 0..1_000i64 {
            assert_eq!(
                push(&mut threshold, &format!("+ {window} 5 1\n+ {window} 4 2\n")),
                format!("+ {window} 5 1\n")
            );
            threshold.finish_step(window, &mut Vec::new()).unwrap();
            // It is over when its end, and the grace, are behind.
            assert_eq!(threshold.metrics().state_rows, (window as u64 + 1).min(12));
            if window == 100 {
                bytes = threshold.metrics().state_bytes;
            }
        }
        assert!(threshold.metrics().state_bytes <= 2 * bytes, "{}", threshold.metrics().state_bytes);
    }
}
