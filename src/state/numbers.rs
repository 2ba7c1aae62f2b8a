//! Lists of numbers: of slots, of entries.

/// The numbers, each once, the greatest first.
///
/// What is freed in this order is given out again from the least up: what comes together then lies together, as it did when
/// it came, whatever the order in which it goes.
pub fn descending(mut numbers: Vec<u32>) -> Vec<u32> {
    let words = numbers.iter().max().map_or(0, |most| *most as usize / 64 + 1);
    // Of few numbers far apart most words would be nothing.
    if words > numbers.len() {
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        numbers.dedup();
        return numbers;
    }
    let mut set = vec![0u64; words];
    numbers.iter().for_each(|number| set[*number as usize / 64] |= 1 << (number % 64));
    numbers.clear();
    for (word, mut bits) in set.into_iter().enumerate().rev() {
        while bits != 0 {
            let bit = bits.ilog2();
            numbers.push(word as u32 * 64 + bit);
            bits ^= 1 << bit;
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn each_once_from_the_greatest_on(numbers in prop::collection::vec(0u32..3000, 0..200), far: bool) {
            let numbers: Vec<u32> = numbers.into_iter().map(|n| if far { n * 1_000_000 } else { n }).collect();
            let expected: BTreeSet<u32> = numbers.iter().copied().collect();
            prop_assert_eq!(descending(numbers), expected.into_iter().rev().collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_greatest_number_there_is() {
        assert_eq!(descending(vec![0, u32::MAX, 0]), [u32::MAX, 0]);
        assert!(descending(vec![]).is_empty());
    }
}
