//! Decimal numbers as text, taken exactly: no detour through floating point, so that a number is
//! either the one that was written or refused.

/// Why a text is not the number that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It is no number.
    Malformed,
    /// It has digits below the last place that counts; the number without them, rounded down.
    Fraction(i128),
    /// It has more than 38 digits.
    Huge,
}

/// The number `text` times 10^`shift` (`-12.50e1`, an optional sign, digits, fraction, exponent).
pub(super) fn scaled(text: &str, shift: i32) -> Result<i128, Unfit> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, self::exponent(exponent)?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (mut value, mut places, mut seen, mut point) = (0i128, 0i32, false, false);
    for digit in digits {
        match digit {
            b'0'..=b'9' => {
                value = value.checked_mul(10).ok_or(Unfit::Huge)?;
                value = value.checked_add(i128::from(digit - b'0')).ok_or(Unfit::Huge)?;
                places += i32::from(point);
                seen = true;
            }
            b'.' if !point => point = true,
            _ => return Err(Unfit::Malformed),
        }
    }
    if !seen {
        return Err(Unfit::Malformed);
    }
    let value = if negative { -value } else { value };
    shifted(value, exponent.saturating_add(shift).saturating_sub(places))
}

/// The exponent's value; one that no number of ours can have is cut to ±100,000.
fn exponent(text: &str) -> Result<i32, Unfit> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Unfit::Malformed);
    }
    let size = digits.parse().unwrap_or(100_000).min(100_000);
    Ok(if text.starts_with('-') { -size } else { size })
}

fn shifted(value: i128, power: i32) -> Result<i128, Unfit> {
    let factor = 10i128.checked_pow(power.unsigned_abs());
    match (value, factor) {
        (0, _) => Ok(0),
        (_, Some(factor)) if power >= 0 => value.checked_mul(factor).ok_or(Unfit::Huge),
        (_, None) if power >= 0 => Err(Unfit::Huge),
        (_, None) => Err(Unfit::Fraction(if value < 0 { -1 } else { 0 })),
        (_, Some(factor)) if value % factor == 0 => Ok(value / factor),
        (_, Some(factor)) => Err(Unfit::Fraction(value.div_euclid(factor))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_or_refused() {
        for (text, shift, value) in [
            ("0", 0, Ok(0)),
            ("-12.50e1", 0, Ok(-125)),
            ("+7", 0, Ok(7)),
            ("1e3", 0, Ok(1000)),
            ("1.5", 0, Err(Unfit::Fraction(1))),
            ("-1.5", 0, Err(Unfit::Fraction(-2))),
            ("1.5", 2, Ok(150)),
            ("9007199254740993.0", 0, Ok(9_007_199_254_740_993)),
            ("1e-400000000000", 0, Err(Unfit::Fraction(0))),
            ("1e400000000000", 0, Err(Unfit::Huge)),
            ("0e400000000000", 0, Ok(0)),
            ("1e39", 0, Err(Unfit::Huge)),
            ("999999999999999999999999999999999999999999", 0, Err(Unfit::Huge)),
            ("", 0, Err(Unfit::Malformed)),
            (".", 0, Err(Unfit::Malformed)),
            ("-", 0, Err(Unfit::Malformed)),
            ("1e", 0, Err(Unfit::Malformed)),
            ("1.2.3", 0, Err(Unfit::Malformed)),
            ("0x1f", 0, Err(Unfit::Malformed)),
        ] {
            assert_eq!(scaled(text, shift), value, "{text}");
        }
    }
}
