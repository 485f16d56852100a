// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much is tried of an operation, and which image of it is meant?

use crate::firmware::Selector;
use crate::scenario::Cost;
use storage::Effort;

/// How much is tried.
#[derive(Clone, Copy, Debug)]
pub struct Depth {
    /// Images of each cut.
    pub first: Effort,
    /// Images of each cut of the recovery.
    pub second: Effort,
    /// So many images have their recovery cut again.
    pub recoveries: u64,
    /// About so many images are made of all these cuts, at least one of each.
    pub images: u64,
}

/// How long somebody waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thoroughness {
    /// Minutes: each change of the code.
    Bounded,
    /// Hours: a release.
    Exhaustive,
}

impl Depth {
    /// What is tried of an operation, by what judging an image of it costs.
    #[must_use]
    pub fn of(cost: Cost, thoroughness: Thoroughness) -> Self {
        let effort = |all, tears, samples| Effort { all, subsets_of: 10, samples, tears };
        let (first, second, recoveries, images) = match (cost, thoroughness) {
            (Cost::Low, Thoroughness::Bounded) => {
                (effort(1024, 200, 64), effort(64, 40, 16), 400, 40_000)
            }
            (Cost::High, Thoroughness::Bounded) => {
                (effort(1024, 300, 64), effort(64, 40, 16), 200, 25_000)
            }
            (Cost::Again, Thoroughness::Bounded) => {
                (effort(1024, 300, 64), effort(64, 40, 16), 120, 12_000)
            }
            (Cost::Program, Thoroughness::Bounded) => (effort(4, 8, 2), effort(4, 4, 1), 2, 100),
            (Cost::Low, Thoroughness::Exhaustive) => {
                (effort(1 << 20, 16_384, 4096), effort(1024, 400, 64), 2000, 400_000)
            }
            (Cost::High | Cost::Again, Thoroughness::Exhaustive) => {
                (effort(1 << 16, 4096, 1024), effort(1024, 300, 64), 1000, 100_000)
            }
            (Cost::Program, Thoroughness::Exhaustive) => {
                (effort(64, 200, 64), effort(16, 24, 8), 20, 2000)
            }
        };
        Self { first, second, recoveries, images }
    }
}

/// One image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The cut.
    pub cut: usize,
    /// The image of that cut.
    pub image: u64,
    /// The cut and image of its recovery.
    pub then: Option<(usize, u64)>,
}

/// What is done.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How much is tried.
    pub depth: Depth,
    /// What chooses where not all is tried.
    pub seed: u64,
    /// Only this image.
    pub only: Option<Place>,
    /// The selector on the board.
    pub selector: Selector,
    /// How many threads.
    pub threads: usize,
}
