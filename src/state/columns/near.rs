//! Numbers and times that lie near each other, each kept as what it is more than the least of them (frame of reference, as in
//! Goldstein, Ramakrishnan and Shaft, ICDE 1998): 2 or 4 bytes instead of 8.

use super::piece::{chosen_nulls, nulls_of};
use crate::delta::Chosen;
use arrow::array::{Array, ArrayData, ArrayRef, make_array};
use arrow::buffer::{Buffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, TimeUnit};
use arrow::error::ArrowError;

/// The values of a column.
#[derive(Debug, Clone)]
pub(super) struct Near {
    data_type: DataType,
    least: i64,
    more: More,
    nulls: Option<NullBuffer>,
}

/// What they are more than the least; of nulls anything.
#[derive(Debug, Clone)]
enum More {
    Short(ScalarBuffer<u16>),
    Long(ScalarBuffer<u32>),
}

/// Where values are looked up.
pub(super) enum Numbers<'a> {
    /// As they are.
    Whole(&'a [i64], Option<&'a NullBuffer>),
    /// More than the least.
    Short(i64, &'a [u16], Option<&'a NullBuffer>),
    /// More than the least.
    Long(i64, &'a [u32], Option<&'a NullBuffer>),
}

/// Whether values of the type are eight bytes that count something.
pub(super) fn counts(data_type: &DataType) -> bool {
    use DataType::{Date64, Duration, Int64, Time64, Timestamp, UInt64};
    matches!(data_type, Int64 | UInt64 | Timestamp(..) | Date64 | Duration(_))
        || matches!(data_type, Time64(TimeUnit::Microsecond | TimeUnit::Nanosecond))
}

impl Near {
    /// Rows of a column whose type [`counts`], if their values are near enough.
    pub(super) fn of(column: &ArrayRef, rows: Chosen) -> Option<Near> {
        let data = column.to_data();
        let (values, nulls) = (whole(&data), chosen_nulls(column.nulls(), rows));
        let (least, more) = match rows {
            Chosen::All(_) => near(values.iter().copied(), nulls.as_ref())?,
            Chosen::These(rows) | Chosen::Dealt(rows) => {
                near(rows.values().iter().map(|row| values[*row as usize]), nulls.as_ref())?
            }
        };
        Some(Near { data_type: data.data_type().clone(), least, more, nulls })
    }

    /// The column as it was. Errors: none of its own.
    pub(super) fn whole(&self) -> Result<ArrayRef, ArrowError> {
        let len = match &self.more {
            More::Short(more) => more.len(),
            More::Long(more) => more.len(),
        };
        gathered(&self.data_type, &[self.numbers()], &(0..len).map(|row| (0, row)).collect::<Vec<_>>())
    }

    /// Where to look them up.
    pub(super) fn numbers(&self) -> Numbers<'_> {
        match &self.more {
            More::Short(more) => Numbers::Short(self.least, more, self.nulls.as_ref()),
            More::Long(more) => Numbers::Long(self.least, more, self.nulls.as_ref()),
        }
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        let nulls = self.nulls.as_ref().map_or(0, |nulls| nulls.len() / 8);
        nulls
            + match &self.more {
                More::Short(more) => more.len() * 2,
                More::Long(more) => more.len() * 4,
            }
    }
}

/// The least of the values, and what they are more; `None` = they are too far from each other.
fn near(values: impl Iterator<Item = i64> + Clone, nulls: Option<&NullBuffer>) -> Option<(i64, More)> {
    let wider = |(least, most): (i64, i64), value: i64| (least.min(value), most.max(value));
    // A null may have any value beneath it: only where there are some is each asked.
    let (least, most) = match nulls {
        None => values.clone().fold((i64::MAX, i64::MIN), wider),
        Some(nulls) => values
            .clone()
            .zip(nulls)
            .filter(|(_, is_valid)| *is_valid)
            .fold((i64::MAX, i64::MIN), |span, (value, _)| wider(span, value)),
    };
    let span = if least > most { 0 } else { most.abs_diff(least) };
    let more = values.map(|value| value.wrapping_sub(least));
    if span <= u64::from(u16::MAX) {
        Some((least, More::Short(more.map(|more| more as u16).collect())))
    } else if span <= u64::from(u32::MAX) {
        Some((least, More::Long(more.map(|more| more as u32).collect())))
    } else {
        None
    }
}

/// The values of a column whose type [`counts`], as they are.
fn whole(data: &ArrayData) -> &[i64] {
    &data.buffer::<i64>(0)[..data.len()]
}

/// Values of a column of `data_type`, which [`counts`]: of each the number of its place and the row there.
pub(super) fn gathered(
    data_type: &DataType,
    places: &[Numbers],
    indices: &[(usize, usize)],
) -> Result<ArrayRef, ArrowError> {
    let value = |(place, row): &(usize, usize)| match places[*place] {
        Numbers::Whole(values, _) => values[*row],
        // What it was made from did not overflow, or was a null.
        Numbers::Short(least, more, _) => least.wrapping_add(i64::from(more[*row])),
        Numbers::Long(least, more, _) => least.wrapping_add(i64::from(more[*row])),
    };
    let values: Vec<i64> = indices.iter().map(value).collect();
    let nulls: Vec<Option<&NullBuffer>> = places.iter().map(Numbers::nulls).collect();
    let nulls = nulls_of(&nulls, indices);
    let data = ArrayData::builder(data_type.clone())
        .len(indices.len())
        .nulls(nulls)
        .add_buffer(Buffer::from_vec(values));
    Ok(make_array(data.build()?))
}

impl<'a> Numbers<'a> {
    /// The values of a column whose type [`counts`]; `data`: what it is made of.
    pub(super) fn of(data: &'a ArrayData) -> Numbers<'a> {
        Numbers::Whole(whole(data), data.nulls())
    }

    fn nulls(&self) -> Option<&'a NullBuffer> {
        match self {
            Numbers::Whole(_, nulls) | Numbers::Short(_, _, nulls) | Numbers::Long(_, _, nulls) => *nulls,
        }
    }
}
