//! Random draws that depend on the seed, what is drawn and the event alone: each column of each event can be made by
//! itself, in any order. The bits are those of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
//! generators", OOPSLA 2014). Only exact arithmetic, so that every machine draws the same.

use std::sync::LazyLock;

/// What a draw is for; each has bits of its own.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lane {
    Delay,
    Name,
    Email,
    Card,
    City,
    State,
    Extra,
    ItemName,
    Description,
    InitialBid,
    Reserve,
    Expires,
    Seller,
    Category,
    Auction,
    Bidder,
    Price,
    Channel,
    Url,
}

fn mixed(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// The draws of one lane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draws(u64);

impl Draws {
    pub(super) fn new(seed: u64, lane: Lane) -> Self {
        Draws(mixed(mixed(seed).wrapping_add((lane as u64 + 1) << 32)))
    }

    /// Those for an event (or anything else that has a number).
    pub(super) fn of(self, event: u64) -> Draw {
        Draw(self.0 ^ event.wrapping_mul(0xd1b5_4a32_d192_ed03))
    }
}

/// A run of draws.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draw(u64);

impl Draw {
    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    /// A number from 0 on, less than `most`; 0 where `most` is 0.
    pub(super) fn below(&mut self, most: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(most)) >> 64) as u64
    }

    /// A price in cents: 1 to 1,000,000 units of money, each power of ten as likely as the others.
    pub(super) fn price(&mut self) -> i64 {
        let bits = self.bits();
        // Of 6 · 2^26: the whole part is the power of ten, then which of a table's parts, then how far into it.
        let scaled = ((u128::from(bits) * (6 << 26)) >> 64) as usize;
        let (power, part, rest) = (scaled >> 26, (scaled >> 16) & 1023, scaled & 65_535);
        let (from, to) = (POWERS[part], POWERS[part + 1]);
        let scale = [1e2, 1e3, 1e4, 1e5, 1e6, 1e7][power];
        (scale * (from + (to - from) * (rest as f64 / 65_536.0))).round() as i64
    }
}

/// 10 to the powers 0, 1/1024, …, 1. By square roots and products, which IEEE 754 rounds alike everywhere, unlike `powf`.
static POWERS: LazyLock<Vec<f64>> = LazyLock::new(|| {
    let root = (0..10).fold(10_f64, |root, _| root.sqrt());
    std::iter::successors(Some(1_f64), |power| Some(power * root)).take(1025).collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_seed_lane_and_event() {
        let first = |seed, lane, event| Draws::new(seed, lane).of(event).bits();
        let mut all: Vec<u64> = Vec::new();
        for seed in 0..4 {
            for event in 0..1000 {
                all.extend([first(seed, Lane::Price, event), first(seed, Lane::Bidder, event)]);
            }
        }
        assert_eq!(first(3, Lane::Price, 7), first(3, Lane::Price, 7));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 8000);
    }

    #[test]
    fn numbers_are_spread_evenly() {
        let draws = Draws::new(1, Lane::Category);
        let mut counts = [0; 5];
        for event in 0..10_000 {
            counts[draws.of(event).below(5) as usize] += 1;
        }
        assert!(counts.iter().all(|n| (1900..2100).contains(n)), "{counts:?}");
        assert_eq!(draws.of(0).below(0), 0);
    }

    #[test]
    fn prices_are_spread_over_the_powers_of_ten() {
        let draws = Draws::new(1, Lane::Price);
        let mut counts = [0; 6];
        for event in 0..60_000 {
            let price = draws.of(event).price();
            assert!((100..=100_000_000).contains(&price), "{price}");
            counts[(price as f64 / 100.0).log10().min(5.99) as usize] += 1;
        }
        assert!(counts.iter().all(|n| (9_500..10_500).contains(n)), "{counts:?}");
        assert!((POWERS[1024] - 10.0).abs() < 1e-10);
    }
}
