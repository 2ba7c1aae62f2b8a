//! What the generator draws from: a stream of numbers for each event, so that an event hangs on nothing but its own number.

/// A stream of numbers (SplitMix64).
pub(super) struct Draw(u64);

/// The step of SplitMix64.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

impl Draw {
    /// The numbers of event `number`.
    pub(super) fn of(seed: u64, number: u64) -> Self {
        let mut draw = Draw(seed ^ number.wrapping_mul(0xD1B5_4A32_D192_ED03));
        draw.next();
        draw
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }

    /// Whether it is none of one in `n`.
    pub(super) fn is_most(&mut self, n: u64) -> bool {
        self.below(n) > 0
    }

    /// One of `choices`.
    pub(super) fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices.get(self.below(choices.len() as u64) as usize).copied().unwrap_or_default()
    }

    /// A price: as many between 1 and 10 as between 10 and 100, and so on up to a million; in cents.
    pub(super) fn price(&mut self) -> u64 {
        let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        (10_f64.powf(unit * 6.0) * 100.0).round() as u64
    }

    /// Appends a word of 3 to `longest` letters, one in 13 of them `special`; without spaces at its ends.
    pub(super) fn word(&mut self, longest: u64, special: u8, line: &mut Vec<u8>) {
        let start = line.len();
        for _ in 0..3 + self.below(longest - 3) {
            let letter = if self.below(13) == 0 { special } else { b'a' + self.below(26) as u8 };
            // A space at the beginning is left out, those at the end are taken back below.
            if letter != b' ' || line.len() > start {
                line.push(letter);
            }
        }
        while line.len() > start && line.last() == Some(&b' ') {
            line.pop();
        }
    }

    /// Appends letters that bring a record of `size` to about `wanted` bytes.
    pub(super) fn filler(&mut self, size: usize, wanted: usize, line: &mut Vec<u8>) {
        let Some(missing) = wanted.checked_sub(size) else { return };
        let spread = (missing as f64 * 0.2).round() as u64;
        let more = if spread == 0 { 0 } else { self.below(2 * spread) };
        // Twelve letters of five bits out of each number.
        let mut left = (missing as u64 - spread + more) as usize;
        while left > 0 {
            let mut bits = self.next();
            for _ in 0..left.min(12) {
                line.push(b'a' + ((bits & 31) * 26 / 32) as u8);
                bits >>= 5;
            }
            left -= left.min(12);
        }
    }
}
