// SPDX-License-Identifier: MIT OR Apache-2.0
//! Choices that look random and can be repeated: the SplitMix64 sequence of a seed.

/// A sequence of choices; the same seed gives the same ones.
#[derive(Clone, Debug)]
pub(crate) struct Choices(u64);

impl Choices {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A sequence of its own for something that has a name, so that its choices do not depend on
    /// how many others were asked before it.
    pub(crate) fn named(seed: u64, name: &str) -> Self {
        let mut state = Self(seed);
        for byte in name.bytes() {
            state = Self(state.next() ^ u64::from(byte));
        }
        state
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `count`; 0 when there is none.
    pub(crate) fn below(&mut self, count: u64) -> u64 {
        self.next().checked_rem(count).unwrap_or(0)
    }
}
