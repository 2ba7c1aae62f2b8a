//! `to_char` of times whose format tells no more than their minute, hour or day: each such piece of time is written once
//! a batch, by DataFusion's own function, and looked up for all others.
//!
//! DataFusion reads the format and the calendar for every row. A stream's rows are near each other in time, so that a batch
//! has few days, hours or minutes.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{
    DataType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use datafusion::common::{Result, ScalarValue};
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::functions::datetime;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use std::collections::HashMap;
use std::sync::Arc;

/// Seconds of a minute, an hour and a day.
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Pieces of time are looked up as long as a batch has at least so many rows for each.
const WORTH: usize = 4;

/// Puts the function in the place of DataFusion's, which it calls.
pub(super) fn register(state: &mut SessionState) -> Result<()> {
    state.register_udf(Arc::new(ScalarUDF::from(ToChar { inner: datetime::to_char() })))?;
    Ok(())
}

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ToChar {
    inner: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for ToChar {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let pieces = match args.args.as_slice() {
            [ColumnarValue::Array(times), ColumnarValue::Scalar(ScalarValue::Utf8(Some(format)))] => {
                finest(format).and_then(|seconds| Pieces::of(times, seconds))
            }
            _ => None,
        };
        let Some(Pieces { first, place }) = pieces else { return self.inner.invoke_with_args(args) };
        args.number_rows = first.len();
        args.args[0] = ColumnarValue::Array(first);
        let texts = self.inner.invoke_with_args(args)?.into_array(place.len())?;
        Ok(ColumnarValue::Array(take(&texts, &place, None)?))
    }
}

/// The length in seconds of the finest piece of time that a `strftime` format tells; `None` where it tells seconds or less,
/// or something that is not known here.
fn finest(format: &str) -> Option<i64> {
    let mut finest = DAY;
    let mut signs = format.chars();
    while let Some(sign) = signs.next() {
        if sign != '%' {
            continue;
        }
        let mut specifier = signs.next()?;
        if matches!(specifier, '-' | '_' | '0') {
            specifier = signs.next()?;
        }
        finest = finest.min(match specifier {
            'Y' | 'C' | 'y' | 'q' | 'm' | 'b' | 'B' | 'h' | 'd' | 'e' | 'a' | 'A' | 'w' | 'u' | 'U' | 'W'
            | 'G' | 'g' | 'V' | 'j' | 'D' | 'F' | 'v' | 't' | 'n' | '%' => DAY,
            'H' | 'k' | 'I' | 'l' | 'P' | 'p' => HOUR,
            'M' | 'R' => MINUTE,
            _ => return None,
        });
    }
    Some(finest)
}

/// The pieces of time that a column has.
struct Pieces {
    /// A time of each.
    first: ArrayRef,
    /// Which of them each row is in.
    place: UInt32Array,
}

impl Pieces {
    /// Of a column of timestamps without a time zone; `None` where that saves nothing.
    fn of(times: &ArrayRef, seconds: i64) -> Option<Self> {
        match times.data_type() {
            DataType::Timestamp(TimeUnit::Second, None) => {
                Self::of_unit::<TimestampSecondType>(times.as_primitive(), seconds)
            }
            DataType::Timestamp(TimeUnit::Millisecond, None) => {
                Self::of_unit::<TimestampMillisecondType>(times.as_primitive(), seconds * 1_000)
            }
            DataType::Timestamp(TimeUnit::Microsecond, None) => {
                Self::of_unit::<TimestampMicrosecondType>(times.as_primitive(), seconds * 1_000_000)
            }
            DataType::Timestamp(TimeUnit::Nanosecond, None) => {
                Self::of_unit::<TimestampNanosecondType>(times.as_primitive(), seconds * 1_000_000_000)
            }
            _ => None,
        }
    }

    fn of_unit<T: ArrowPrimitiveType<Native = i64>>(times: &PrimitiveArray<T>, length: i64) -> Option<Self> {
        let most = times.len() / WORTH;
        let mut known: HashMap<i64, u32> = HashMap::new();
        let mut first = Vec::new();
        let mut place = Vec::with_capacity(times.len());
        // Beginning and end of the last row's piece, and its place: the next row mostly is in the same.
        let mut last = (0..0, 0);
        for (row, time) in times.values().iter().enumerate() {
            if times.is_null(row) {
                place.push(0);
                continue;
            }
            if !last.0.contains(time) {
                let piece = time.div_euclid(length);
                let next = first.len() as u32;
                let at = *known.entry(piece).or_insert(next);
                if at == next {
                    if first.len() >= most {
                        return None;
                    }
                    first.push(*time);
                }
                let begin = piece.saturating_mul(length);
                last = (begin..begin.saturating_add(length), at);
            }
            place.push(last.1);
        }
        if first.is_empty() {
            return None;
        }
        let first = PrimitiveArray::<T>::from_iter_values(first).with_data_type(times.data_type().clone());
        Some(Pieces { first: Arc::new(first), place: UInt32Array::new(place.into(), times.nulls().cloned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Field;
    use datafusion::common::config::ConfigOptions;

    fn call(function: &ScalarUDF, times: &ArrayRef, format: &str) -> ArrayRef {
        let format = ScalarValue::from(format);
        let args = ScalarFunctionArgs {
            arg_fields: vec![
                Arc::new(Field::new("t", times.data_type().clone(), true)),
                Arc::new(Field::new("f", DataType::Utf8, false)),
            ],
            args: vec![ColumnarValue::Array(times.clone()), ColumnarValue::Scalar(format)],
            number_rows: times.len(),
            return_field: Arc::new(Field::new("text", DataType::Utf8, true)),
            config_options: Arc::new(ConfigOptions::new()),
        };
        function.invoke_with_args(args).unwrap().into_array(times.len()).unwrap()
    }

    #[test]
    fn every_format_gives_what_datafusion_gives() {
        let inner = datetime::to_char();
        let ours = ScalarUDF::from(ToChar { inner: inner.clone() });
        // Around the beginning of 1970, of a day, of an hour; backwards too; with rows that have no time.
        let seconds = [-86_401, -1, 0, 59, 60, 3_599, 3_600, 86_399, 86_400, 1_767_225_599, 1_767_225_600, 3];
        let of = |unit: i64| {
            let times = seconds.iter().cycle().take(400).enumerate();
            times.map(move |(i, s)| (i % 7 != 3).then_some(s * unit + (i as i64 * 31) % unit))
        };
        let columns: [ArrayRef; 4] = [
            Arc::new(PrimitiveArray::<TimestampSecondType>::from_iter(of(1))),
            Arc::new(PrimitiveArray::<TimestampMillisecondType>::from_iter(of(1_000))),
            Arc::new(PrimitiveArray::<TimestampMicrosecondType>::from_iter(of(1_000_000))),
            Arc::new(PrimitiveArray::<TimestampNanosecondType>::from_iter(of(1_000_000_000))),
        ];
        let mut formats: Vec<String> = ('A'..='z').map(|sign| format!("at %{sign}!")).collect();
        formats.extend(["%Y-%m-%d", "%H:%M", "%-d.%-m.%Y %_H", "%0e%%", "", "%H:%M:%S%.f"].map(String::from));
        for times in &columns {
            for format in &formats {
                // What is no format fails in both.
                let valid = chrono_knows(format);
                if valid {
                    assert_eq!(&call(&ours, times, format), &call(&inner, times, format), "{format}");
                }
            }
        }
    }

    /// Whether DataFusion takes the format for a time.
    fn chrono_knows(format: &str) -> bool {
        let one: ArrayRef = Arc::new(PrimitiveArray::<TimestampSecondType>::from(vec![0]));
        let args = ScalarFunctionArgs {
            arg_fields: vec![
                Arc::new(Field::new("t", one.data_type().clone(), true)),
                Arc::new(Field::new("f", DataType::Utf8, false)),
            ],
            args: vec![ColumnarValue::Array(one), ColumnarValue::Scalar(ScalarValue::from(format))],
            number_rows: 1,
            return_field: Arc::new(Field::new("text", DataType::Utf8, true)),
            config_options: Arc::new(ConfigOptions::new()),
        };
        datetime::to_char().invoke_with_args(args).is_ok()
    }

    #[test]
    fn what_tells_seconds_or_is_unknown_is_left_to_datafusion() {
        assert_eq!(["%Y-%m-%d", "%H", "%H:%M", "%R x"].map(finest), [DAY, HOUR, MINUTE, MINUTE].map(Some));
        assert_eq!(["%S", "%T", "%H:%M:%.3f", "%c", "%s", "%+", "%", "%:z"].map(finest), [None; 8]);
        let distinct: ArrayRef =
            Arc::new(PrimitiveArray::<TimestampSecondType>::from_iter_values((0..100).map(|d| d * DAY)));
        assert!(Pieces::of(&distinct, DAY).is_none(), "nothing is saved");
        assert!(Pieces::of(&distinct, 50 * DAY).is_some());
    }
}
