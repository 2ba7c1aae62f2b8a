//! Numbers and times as text, appended to a line without an allocation.

const DAY_MS: i64 = 86_400_000;

/// Appends a number.
pub(super) fn number(value: u64, line: &mut Vec<u8>) {
    let mut digits = [0_u8; 20];
    let mut from = digits.len();
    let mut rest = value;
    loop {
        from -= 1;
        digits[from] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    line.extend_from_slice(&digits[from..]);
}

/// Appends a number in `width` digits, with zeros before it.
pub(super) fn padded(value: u64, width: u32, line: &mut Vec<u8>) {
    for place in (0..width).rev() {
        line.push(b'0' + (value / 10_u64.pow(place) % 10) as u8);
    }
}

/// Writes instants as `YYYY-MM-DD HH:MM:SS.mmm`, in UTC. Remembers the day, which rarely changes.
#[derive(Default)]
pub(super) struct Instants {
    day: Option<i64>,
    date: Vec<u8>,
}

impl Instants {
    /// Appends the instant so many milliseconds after the epoch.
    pub(super) fn write(&mut self, ms: i64, line: &mut Vec<u8>) {
        let (day, time) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS).unsigned_abs());
        if self.day != Some(day) {
            self.day = Some(day);
            self.date.clear();
            let (year, month, of_month) = civil(day);
            padded(year.unsigned_abs(), 4, &mut self.date);
            self.date.push(b'-');
            padded(month, 2, &mut self.date);
            self.date.push(b'-');
            padded(of_month, 2, &mut self.date);
        }
        line.extend_from_slice(&self.date);
        for (before, value, width) in [
            (b' ', time / 3_600_000, 2),
            (b':', time / 60_000 % 60, 2),
            (b':', time / 1000 % 60, 2),
            (b'.', time % 1000, 3),
        ] {
            line.push(before);
            padded(value, width, line);
        }
    }
}

/// Year, month and day of the Gregorian calendar, so many days after 1970-01-01 (H. Hinnant's `civil_from_days`).
fn civil(day: i64) -> (i64, u64, u64) {
    let from_march = day + 719_468;
    let era = from_march.div_euclid(146_097);
    let of_era = from_march.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month.unsigned_abs(), of_month.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut line = Vec::new();
        write(&mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn numbers_and_instants_are_written_as_they_are() {
        for value in [0, 9, 10, 1_234_567, u64::MAX] {
            assert_eq!(shown(|line| number(value, line)), value.to_string());
        }
        assert_eq!(shown(|line| padded(42, 4, line)), "0042");
        let mut instants = Instants::default();
        for (ms, text) in [
            (0, "1970-01-01 00:00:00.000"),
            (-1, "1969-12-31 23:59:59.999"),
            (951_782_399_999, "2000-02-28 23:59:59.999"),
            (951_782_400_000, "2000-02-29 00:00:00.000"),
            (951_868_800_007, "2000-03-01 00:00:00.007"),
            (1_767_225_550_000, "2025-12-31 23:59:10.000"),
        ] {
            assert_eq!(shown(|line| instants.write(ms, line)), text);
        }
    }
}
