//! [`Random`]: numbers that are spread well, not secret ones.

use crate::hash::mix;
use std::hash::{BuildHasher, RandomState};

/// Steele, Lea and Flood's SplitMix64: a counter, mixed.
#[derive(Debug)]
pub(crate) struct Random(u64);

/// The counter's step; the golden ratio in 64 bits, as published with SplitMix64.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    /// A different sequence in each process.
    pub(crate) fn new() -> Self {
        Self(RandomState::new().hash_one(0_u8))
    }

    #[cfg(test)]
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`; 0 if that is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        // The upper half of the product: no modulo, and a bias of at most bound / 2^64.
        ((u128::from(mix(self.0)) * u128::from(bound)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_below_the_bound_comes_equally_often() {
        let mut random = Random::seeded(1);
        let mut counts = [0; 7];
        for _ in 0..7_000 {
            counts[random.below(7) as usize] += 1;
        }
        // Four standard deviations: sqrt(7000 / 7 * 6 / 7) is 29.
        assert!(counts.iter().all(|count| (884..=1116).contains(count)), "{counts:?}");
        assert_eq!([random.below(0), random.below(1)], [0, 0]);
    }
}
