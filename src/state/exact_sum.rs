//! A sum of floats that is exact: values can be taken back, and no order of additions changes it.
//!
//! The sum is kept as an expansion: floats whose mantissas do not overlap, least first, which add up
//! to the sum without any rounding (Shewchuk, "Adaptive Precision Floating-Point Arithmetic", 1997).
//! Mostly 1 to 3 parts. Reading rounds once, so equal multisets give equal bits.

/// Values beyond this go to the expansion `huge`, scaled down: no addition of fewer than 2^62 values
/// then overflows, so an infinite intermediate sum cannot spoil what is left after a retraction.
const HUGE: f64 = f64::from_bits((1023 + 960) << 52);
const SCALE: f64 = f64::from_bits((1023 + 64) << 52);

/// An exact sum of weighted floats.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExactSum {
    parts: Vec<f64>,
    rare: Option<Box<Rare>>,
}

/// What few sums have: huge values (divided by 2^64) and counts of the values that are not finite.
#[derive(Debug, Clone, Default, PartialEq)]
struct Rare {
    huge: Vec<f64>,
    nan: i64,
    infinite: i64,
    negative_infinite: i64,
}

impl ExactSum {
    /// Adds `weight` times `x`. |weight| must be below 2^53.
    pub fn add(&mut self, x: f64, weight: i64) {
        if x.abs() <= HUGE {
            grow(&mut self.parts, x, weight as f64);
            return;
        }
        let rare = self.rare.get_or_insert_default();
        match x {
            f64::INFINITY => rare.infinite += weight,
            f64::NEG_INFINITY => rare.negative_infinite += weight,
            x if x.is_nan() => rare.nan += weight,
            x => grow(&mut rare.huge, x / SCALE, weight as f64),
        }
        if **rare == Rare::default() {
            self.rare = None;
        }
    }

    /// The sum, rounded once (twice beyond 1e289).
    pub fn value(&self) -> f64 {
        let Some(rare) = &self.rare else { return round(&self.parts) };
        if rare.nan != 0 || (rare.infinite != 0 && rare.negative_infinite != 0) {
            f64::NAN
        } else if rare.infinite != 0 {
            f64::INFINITY
        } else if rare.negative_infinite != 0 {
            f64::NEG_INFINITY
        } else {
            round(&rare.huge) * SCALE + round(&self.parts)
        }
    }

    /// All of the state: the parts, the huge parts (divided by 2^64), the numbers of NaN, +∞ and -∞.
    pub fn parts(&self) -> (&[f64], &[f64], [i64; 3]) {
        let Some(rare) = &self.rare else { return (&self.parts, &[], [0; 3]) };
        (&self.parts, &rare.huge, [rare.nan, rare.infinite, rare.negative_infinite])
    }

    /// Adds a state that [`ExactSum::parts`] gave.
    pub fn merge(&mut self, parts: &[f64], huge: &[f64], special: [i64; 3]) {
        parts.iter().for_each(|x| grow(&mut self.parts, *x, 1.0));
        if huge.is_empty() && special == [0; 3] {
            return;
        }
        let rare = self.rare.get_or_insert_default();
        huge.iter().for_each(|x| grow(&mut rare.huge, *x, 1.0));
        rare.nan += special[0];
        rare.infinite += special[1];
        rare.negative_infinite += special[2];
        if **rare == Rare::default() {
            self.rare = None;
        }
    }

    /// Bytes on the heap, roughly.
    pub fn heap_bytes(&self) -> usize {
        self.parts.capacity() * 8
            + self.rare.as_ref().map_or(0, |r| size_of::<Rare>() + r.huge.capacity() * 8)
    }
}

/// Adds `x * w` to an expansion.
fn grow(parts: &mut Vec<f64>, x: f64, w: f64) {
    let product = x * w;
    // Exact: the rest of a product of two floats is a float, here a multiple of x's last bit.
    let rest = x.mul_add(w, -product);
    if rest != 0.0 {
        grow_by(parts, rest);
    }
    grow_by(parts, product);
}

/// Adds `x`: carries it through the parts from the least on, keeping each addition's rounding error.
fn grow_by(parts: &mut Vec<f64>, mut x: f64) {
    let mut kept = 0;
    for i in 0..parts.len() {
        let (sum, error) = two_sum(x, parts[i]);
        if error != 0.0 {
            parts[kept] = error;
            kept += 1;
        }
        x = sum;
    }
    parts.truncate(kept);
    if x != 0.0 {
        parts.push(x);
    }
}

/// a + b as rounded, and what rounding lost.
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_part = sum - a;
    (sum, (a - (sum - b_part)) + (b - b_part))
}

/// The float nearest to the sum of the parts, ties to even.
fn round(parts: &[f64]) -> f64 {
    let Some((last, rest)) = parts.split_last() else { return 0.0 };
    let mut sum = *last;
    for (i, part) in rest.iter().enumerate().rev() {
        let (next, error) = two_sum(sum, *part);
        sum = next;
        if error != 0.0 {
            // On a tie between two floats, what is left decides the direction.
            let below = i.checked_sub(1).map_or(0.0, |i| rest[i]);
            if (error < 0.0 && below < 0.0) || (error > 0.0 && below > 0.0) {
                let twice = error * 2.0;
                let moved = sum + twice;
                if moved - sum == twice {
                    sum = moved;
                }
            }
            break;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_taken_back_leaves_no_trace() {
        let mut sum = ExactSum::default();
        let values = [1e308, 1e308, 0.1, -3e-320, f64::INFINITY, f64::NAN, 1e16, 1.0];
        values.iter().for_each(|x| sum.add(*x, 3));
        assert!(sum.value().is_nan());
        sum.add(f64::NAN, -3);
        assert_eq!(sum.value(), f64::INFINITY);
        sum.add(f64::INFINITY, -3);
        assert_eq!(sum.value(), f64::INFINITY, "6e308 is beyond the range");
        sum.add(1e308, -6);
        assert_eq!(sum.value(), 30000000000000003.3);
        [1e16, 1.0, 0.1].iter().for_each(|x| sum.add(*x, -3));
        assert_eq!(sum.value(), -9e-320);
        sum.add(-3e-320, -3);
        assert_eq!(sum, ExactSum::default());
    }

    #[test]
    fn a_tie_is_decided_by_the_smallest_part() {
        let mut sum = ExactSum::default();
        [1.0, f64::EPSILON / 2.0, 1e-300].iter().for_each(|x| sum.add(*x, 1));
        assert_eq!(sum.value(), 1.0 + f64::EPSILON);
    }

    proptest! {
        #[test]
        fn order_and_detours_do_not_matter(
            values in proptest::collection::vec((any::<i32>(), -60i32..60, -3i64..4), 0..40),
            detour in any::<f64>(),
        ) {
            let values: Vec<(f64, i64)> =
                values.into_iter().map(|(m, e, w)| (f64::from(m) * 2f64.powi(e), w)).collect();
            let (mut forth, mut back) = (ExactSum::default(), ExactSum::default());
            forth.add(detour, 7);
            values.iter().for_each(|(x, w)| forth.add(*x, *w));
            forth.add(detour, -7);
            values.iter().rev().for_each(|(x, w)| back.add(*x, *w));
            prop_assert_eq!(forth.value().to_bits(), back.value().to_bits());
            let mut copy = ExactSum::default();
            let (parts, huge, special) = forth.parts();
            copy.merge(parts, huge, special);
            prop_assert_eq!(copy.value().to_bits(), back.value().to_bits());
        }
    }
}
