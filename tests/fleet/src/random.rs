// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does chance do? Numbers that a seed decides (SplitMix64): a run is repeated by its seed.

use std::time::Duration;

/// Per mille of a chance that is certain.
const MILLE: u64 = 1000;

/// A source of numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The source of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// One below `end`; nothing is below nothing.
    pub fn below(&mut self, end: u64) -> u64 {
        // Ends here are small: what the remainder prefers is less than one in 2⁴⁰.
        self.number().checked_rem(end).unwrap_or(0)
    }

    /// Whether something happens that happens so often in a thousand times.
    pub fn happens(&mut self, per_mille: u64) -> bool {
        self.below(MILLE) < per_mille
    }

    /// A span from `from` up to `to`, to the millisecond.
    pub fn between(&mut self, from: Duration, to: Duration) -> Duration {
        let width = u64::try_from(to.saturating_sub(from).as_millis()).unwrap_or(u64::MAX);
        from + Duration::from_millis(self.below(width.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_is_the_same_chance_and_chances_are_as_said() {
        let draws = |seed| {
            let mut random = Random::new(seed);
            (0..1000).map(|_| random.below(10)).collect::<Vec<_>>()
        };
        assert_eq!(draws(7), draws(7));
        assert_ne!(draws(7), draws(8));
        let mut random = Random::new(1);
        let hits = (0..100_000).filter(|_| random.happens(50)).count();
        assert!((4700..5300).contains(&hits), "{hits}");
        assert!(!random.happens(0));
        let (from, to) = (Duration::from_secs(3), Duration::from_secs(4));
        assert!((0..100).all(|_| (from..to).contains(&random.between(from, to))));
    }
}
