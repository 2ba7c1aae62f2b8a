//! How long steps take, in a histogram whose buckets grow with what they count.
//!
//! A duration of `n` ns lies in the bucket of its highest bit and the [`SUB_BITS`] bits below it: a bucket is an eighth
//! as wide as the durations in it are long at most, so a quantile is told 12.5 % too long at most. Taking note of a step costs
//! one addition.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

const SUB_BITS: u32 = 3;
const SUBS: usize = 1 << SUB_BITS;
/// Enough for every `u64`.
const BUCKETS: usize = (64 - SUB_BITS as usize + 1) * SUBS;

/// What steps took.
#[derive(Debug, Clone)]
pub(super) struct StepHistogram {
    counts: Box<[u64]>,
    count: u64,
    longest: u64,
}

impl Default for StepHistogram {
    fn default() -> Self {
        StepHistogram { counts: vec![0; BUCKETS].into(), count: 0, longest: 0 }
    }
}

impl StepHistogram {
    /// Takes note of a step, from its input taken to its results handed over.
    pub(super) fn record(&mut self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(ns)] += 1;
        self.count += 1;
        self.longest = self.longest.max(ns);
    }

    /// What there is to tell of them.
    pub(super) fn times(&self) -> StepTimes {
        let us = |ns: u64| ns.div_ceil(1000);
        StepTimes {
            count: self.count,
            p50_us: us(self.quantile(50)),
            p99_us: us(self.quantile(99)),
            longest_us: us(self.longest),
        }
    }

    /// No more than `percent` of the steps took longer than this (ns).
    fn quantile(&self, percent: u64) -> u64 {
        let rank = (self.count * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return end(bucket).min(self.longest);
            }
        }
        0
    }
}

fn bucket(ns: u64) -> usize {
    if ns < SUBS as u64 {
        return ns as usize;
    }
    let shift = 63 - ns.leading_zeros() - SUB_BITS;
    shift as usize * SUBS + (ns >> shift) as usize
}

/// The longest duration of a bucket.
fn end(bucket: usize) -> u64 {
    if bucket < 2 * SUBS {
        return bucket as u64;
    }
    let shift = bucket / SUBS - 1;
    let first = (SUBS + bucket % SUBS) as u64;
    (first << shift) + ((1 << shift) - 1)
}

/// How long the steps of a run took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepTimes {
    /// How many there were.
    pub count: u64,
    /// Half of them took no longer than this, in microseconds.
    pub p50_us: u64,
    /// 99 % of them took no longer than this.
    pub p99_us: u64,
    /// What the longest took.
    pub longest_us: u64,
}

impl fmt::Display for StepTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |us: u64| us as f64 / 1000.0;
        let (p50, p99, longest) = (ms(self.p50_us), ms(self.p99_us), ms(self.longest_us));
        write!(f, "p50 {p50:.1} ms, p99 {p99:.1} ms, longest {longest:.1} ms of {} in this run", self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_and_are_an_eighth_wide_at_most() {
        let mut next = 0_u64;
        for b in 0..BUCKETS {
            let last = end(b);
            assert_eq!((bucket(next), bucket(last)), (b, b), "{next} to {last}");
            assert!((last - next) as u128 * 8 <= next as u128, "{next} to {last}");
            let Some(after) = last.checked_add(1) else {
                assert_eq!(b, BUCKETS - 1);
                return;
            };
            next = after;
        }
        panic!("the last bucket ends before the longest duration");
    }

    #[test]
    fn quantiles_are_those_of_the_steps() {
        let mut histogram = StepHistogram::default();
        assert_eq!(histogram.times(), StepTimes::default());
        for ms in 1..=1000 {
            histogram.record(Duration::from_millis(ms));
        }
        let times = histogram.times();
        assert_eq!((times.count, times.longest_us), (1000, 1_000_000));
        for (told, exact) in [(times.p50_us, 500_000), (times.p99_us, 990_000)] {
            assert!(told >= exact && told <= exact + exact / 8, "{told} for {exact}");
        }
        let mut one = StepHistogram::default();
        one.record(Duration::from_micros(1234));
        assert_eq!(one.times().to_string(), "p50 1.2 ms, p99 1.2 ms, longest 1.2 ms of 1 in this run");
    }
}
