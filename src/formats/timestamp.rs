//! Text and numbers as instants. One rule for every format:
//!
//! - text: `2013-01-01T10:17:00.5Z`: RFC 3339, with `T` or a space, seconds and fraction optional, a
//!   zone (`Z`, `+02:00`, `+0200`, `+02`) optional: without one it is UTC; a date alone is its midnight;
//! - numbers: time since 1970. The size says the unit: below 1e11 seconds (March 1973 to the year 5138), below
//!   1e14 milliseconds (from March 1973), below 1e17 microseconds, else nanoseconds. A fraction is kept.
//!   Numbers below 1e8 are milliseconds too: made-up data that begins at 0 counts in them, as Kafka does.
//!   8 or 14 digits that begin with 19 or 20 are refused: they are more likely a date than an instant.
//!
//! Digits below the column's unit are cut off. What the unit cannot hold is refused, never wrapped.

use arrow::datatypes::TimeUnit;

use super::number::{Unfit, scaled};

/// Why a text is no timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Untimely {
    /// It does not read as a time.
    Malformed,
    /// It reads as a time that the column's unit cannot hold.
    OutOfRange,
    /// 20130101 or 20130101101700: a date in disguise, or an instant?
    Ambiguous,
}

/// The instant that `text` states (see above), in `unit` since 1970 UTC.
pub(super) fn from_text(text: &str, unit: TimeUnit) -> Result<i64, Untimely> {
    match civil(text.as_bytes()) {
        Some((seconds, nanos)) => in_unit(seconds, nanos, unit).ok_or(Untimely::OutOfRange),
        None => match text.parse().ok().and_then(|number| from_whole(number, unit)) {
            Some(instant) => Ok(instant),
            None => from_number(text, unit),
        },
    }
}

/// The instant that a time, written as text in one of these forms, states, in nanoseconds since 1970 UTC.
pub fn timestamp_ns(text: &str) -> Option<i64> {
    let (seconds, nanos) = civil(text.as_bytes())?;
    in_unit(seconds, nanos, TimeUnit::Nanosecond)
}

/// The instant that the number `text` states (see above), in `unit` since 1970 UTC.
pub(super) fn from_number(text: &str, unit: TimeUnit) -> Result<i64, Untimely> {
    if matches!(text.len(), 8 | 14)
        && (text.starts_with("19") || text.starts_with("20"))
        && text.bytes().all(|b| b.is_ascii_digit())
    {
        return Err(Untimely::Ambiguous);
    }
    let size = match scaled(text, 0) {
        Ok(whole) | Err(Unfit::Fraction(whole)) => whole.unsigned_abs(),
        Err(Unfit::Malformed) => return Err(Untimely::Malformed),
        Err(Unfit::Huge) => return Err(Untimely::OutOfRange),
    };
    let shift = match size {
        ..100_000_000 => 6,
        100_000_000..100_000_000_000 => 9,
        100_000_000_000..100_000_000_000_000 => 6,
        100_000_000_000_000..100_000_000_000_000_000 => 3,
        _ => 0,
    };
    let nanos = match scaled(text, shift) {
        Ok(nanos) | Err(Unfit::Fraction(nanos)) => nanos,
        Err(_) => return Err(Untimely::OutOfRange),
    };
    i64::try_from(nanos.div_euclid(1_000_000_000 / i128::from(per_second(unit))))
        .map_err(|_| Untimely::OutOfRange)
}

/// The instant `number` (see above) in `unit`: the fast path for whole numbers. `None` = refused.
pub(super) fn from_whole(number: i64, unit: TimeUnit) -> Option<i64> {
    if matches!(number, 19_000_000..21_000_000 | 19_000_000_000_000..21_000_000_000_000) {
        return None;
    }
    let given: i64 = match number.unsigned_abs() {
        ..100_000_000 => 1_000,
        100_000_000..100_000_000_000 => 1,
        100_000_000_000..100_000_000_000_000 => 1_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000_000,
        _ => 1_000_000_000,
    };
    let wanted = per_second(unit);
    if given <= wanted { number.checked_mul(wanted / given) } else { Some(number.div_euclid(given / wanted)) }
}

fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

fn in_unit(seconds: i64, nanos: i64, unit: TimeUnit) -> Option<i64> {
    let per_second = per_second(unit);
    // In 128 bits: the first second that nanoseconds can hold begins before their range does.
    let total =
        i128::from(seconds) * i128::from(per_second) + i128::from(nanos / (1_000_000_000 / per_second));
    i64::try_from(total).ok()
}

/// Seconds since 1970 and nanoseconds of the time that `text` writes out; `None` if it does not.
fn civil(text: &[u8]) -> Option<(i64, i64)> {
    let (year, month, day) = date(text)?;
    let midnight = days_since_1970(year, month, day) * 86_400;
    let (Some(separator), Some(hour)) = (text.get(10), digits(text, 11, 2)) else {
        return (text.len() == 10).then_some((midnight, 0));
    };
    let minute = digits(text, 14, 2)?;
    if !matches!(separator, b'T' | b't' | b' ') || text.get(13) != Some(&b':') || hour > 23 || minute > 59 {
        return None;
    }
    let (mut at, mut second, mut nanos) = (16, 0, 0);
    if text.get(at) == Some(&b':') {
        second = digits(text, 17, 2)?;
        at = 19;
        // A leap second is written 23:59:60 in UTC; the epoch's count has no room for it.
        if second > 60 || (second == 60 && minute != 59) {
            return None;
        }
        if text.get(at) == Some(&b'.') {
            let fraction = text.get(at + 1..)?;
            let length = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
            nanos = nanoseconds(fraction.get(..length)?)?;
            at += 1 + length;
        }
    }
    let offset = zone(text.get(at..)?)?;
    Some((midnight + hour * 3_600 + minute * 60 + second - offset, nanos))
}

/// Year, month and day at the start of `text`.
fn date(text: &[u8]) -> Option<(i64, i64, i64)> {
    if text.get(4) != Some(&b'-') || text.get(7) != Some(&b'-') {
        return None;
    }
    let (year, month, day) = (digits(text, 0, 4)?, digits(text, 5, 2)?, digits(text, 8, 2)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    (1..=days).contains(&day).then_some((year, month, day))
}

/// Days from 1970-01-01, counting years from March so that the leap day comes last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let before_year = year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    before_year + (153 * month + 2) / 5 + day - 1 - 719_468
}

fn digits(text: &[u8], at: usize, count: usize) -> Option<i64> {
    text.get(at..at + count)?
        .iter()
        .try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
}

/// The first nine digits of a fraction as nanoseconds; `None` without any digit.
fn nanoseconds(fraction: &[u8]) -> Option<i64> {
    let counted = fraction.get(..9).unwrap_or(fraction);
    let value = digits(counted, 0, counted.len())?;
    (!counted.is_empty()).then(|| value * 10i64.pow(9 - counted.len() as u32))
}

/// Seconds east of UTC.
fn zone(text: &[u8]) -> Option<i64> {
    let sign = match text {
        [] | [b'Z' | b'z'] | b" UTC" | b" Z" => return Some(0),
        [b'+', ..] => 1,
        [b'-', ..] => -1,
        _ => return None,
    };
    let hours = digits(text, 1, 2)?;
    let minutes = match text.len() {
        3 => 0,
        5 => digits(text, 3, 2)?,
        6 if text.get(3) == Some(&b':') => digits(text, 4, 2)?,
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;
    use TimeUnit::{Millisecond, Nanosecond, Second};

    #[test]
    fn text_with_and_without_zone_reads_as_utc() {
        for text in [
            "2013-01-01T10:17:00Z",
            "2013-01-01 10:17:00",
            "2013-01-01T10:17",
            "2013-01-01T12:17:00.000+02:00",
            "2013-01-01t02:47:00-0730",
            "2013-01-01 11:17:00+01",
            "2013-01-01 10:17:00 UTC",
            "1357035420",
            "1357035420000",
            "1357035420000000",
            "1357035420000000000",
            "1357035420.0",
            "1.35703542e9",
        ] {
            assert_eq!(from_text(text, Second), Ok(1_357_035_420), "{text}");
            assert_eq!(from_text(text, Nanosecond), Ok(1_357_035_420_000_000_000), "{text}");
        }
        assert_eq!(from_text("1969-12-31T23:59:59.9995Z", Millisecond), Ok(-1));
        assert_eq!(from_text("2016-12-31T23:59:60Z", Second), from_text("2017-01-01", Second));
        assert_eq!(from_text("1700000000.1234567899", Nanosecond), Ok(1_700_000_000_123_456_789));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "abc",
            "2013-13-01",
            "2013-02-29",
            "2013-01-01T",
            "2013-01-01T10",
            "2013-01-01T24:00",
            "2013-01-01T10:60",
            "2013-01-01T10:00:61",
            "2013-01-01T10:00:60",
            "2013-01-01T10:00:00.",
            "2013-01-01T10:00:00+2",
            "2013-01-01T10:00:00Zx",
            "2013-01-01x10:00:00",
            "2013-1-1",
            "+2013-01-01",
            "2013-01-01T10:00:00.5é",
        ] {
            assert_eq!(from_text(text, Nanosecond), Err(Untimely::Malformed), "{text}");
        }
        assert_eq!(from_text("20130101", Nanosecond), Err(Untimely::Ambiguous));
        assert_eq!(from_text("20130101101700", Nanosecond), Err(Untimely::Ambiguous));
        assert_eq!(from_text("2262-04-11T23:47:16.854775807Z", Nanosecond), Ok(i64::MAX));
        assert_eq!(from_text("2262-04-11T23:47:16.854775808Z", Nanosecond), Err(Untimely::OutOfRange));
        assert_eq!(from_text("1677-09-21T00:12:43.145224192Z", Nanosecond), Ok(i64::MIN));
        assert_eq!(from_text("1677-09-21T00:12:43.145224191Z", Nanosecond), Err(Untimely::OutOfRange));
        assert_eq!(from_text("9999999999", Nanosecond), Err(Untimely::OutOfRange));
        assert_eq!(from_text("9223372036854775808", Nanosecond), Err(Untimely::OutOfRange));
    }

    #[test]
    fn the_size_of_a_number_says_its_unit() {
        let second = 1_000_000_000;
        for (number, nanos) in [
            (10_000, 10 * second),
            (1_357_035_420, 1_357_035_420 * second),
            (1_357_035_420_000, 1_357_035_420 * second),
            (1_357_035_420_000_000, 1_357_035_420 * second),
            (1_357_035_420_000_000_000, 1_357_035_420 * second),
        ] {
            assert_eq!(from_whole(number, Nanosecond), Some(nanos), "{number}");
        }
    }

    #[test]
    fn whole_numbers_take_the_same_way_as_their_text() {
        for number in [
            0,
            1,
            -1,
            99_999_999,
            100_000_000,
            99_999_999_999,
            100_000_000_000,
            -100_000_000_001,
            99_999_999_999_999,
            100_000_000_000_000,
            100_000_000_000_000_001,
            i64::MAX,
            i64::MIN,
            20_130_101,
            20_130_101_101_700,
        ] {
            for unit in [Second, Millisecond, Nanosecond] {
                assert_eq!(from_whole(number, unit), from_number(&number.to_string(), unit).ok(), "{number}");
            }
        }
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let mut expected = days_since_1970(1900, 1, 1);
        assert_eq!(expected, -25_567);
        for year in 1900..2300 {
            for month in 1..=12 {
                for day in 1..=31 {
                    let text = format!("{year:04}-{month:02}-{day:02}");
                    if date(text.as_bytes()).is_some() {
                        assert_eq!(days_since_1970(year, month, day), expected, "{text}");
                        expected += 1;
                    }
                }
            }
        }
        assert_eq!(expected, days_since_1970(2300, 1, 1));
    }
}
