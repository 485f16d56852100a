// SPDX-License-Identifier: MIT OR Apache-2.0
//! What came out, in numbers that can be added.

use crate::plan::Place;
use crate::violation::{Invariant, Violation};
use std::collections::BTreeMap;
use storage::Coverage;

/// Failing images of one scenario that are kept to be told of.
pub const MAX_FAILURES: usize = 8;

/// An image that is a brick.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which one.
    pub place: Place,
    /// What is broken.
    pub violation: Violation,
}

/// Of how many cuts of the operations which images were made; those of recoveries are all samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Covered {
    /// Every legal one.
    pub every: u64,
    /// Every one but for mixtures of bits in a flash.
    pub all_but_mixtures: u64,
    /// Samples.
    pub sampled: u64,
}

impl Covered {
    /// One more cut.
    pub const fn count(&mut self, coverage: Coverage) {
        match coverage {
            Coverage::Every => self.every += 1,
            Coverage::AllButMixtures => self.all_but_mixtures += 1,
            Coverage::Sampled => self.sampled += 1,
        }
    }
}

/// What came out.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Acts of the operation.
    pub operations: u64,
    /// Cut points, those of recoveries among them.
    pub cuts: u64,
    /// What was made of those that are not in recoveries.
    pub covered: Covered,
    /// Legal images, each as often as it is legal.
    pub images: u64,
    /// Those of them that were made by a second cut.
    pub second: u64,
    /// Different contents of the board, all judged.
    pub distinct: u64,
    /// Images whose recovery was cut again.
    pub recoveries: u64,
    /// Images after a second cut that hold a commit which the first cut had seemed to undo.
    pub late: u64,
    /// How many break an invariant.
    pub bricks: u64,
    /// The same, by the invariant that was seen to be broken first.
    pub by_invariant: BTreeMap<Invariant, u64>,
    /// How long it took.
    pub secs: f64,
    /// The first that do.
    pub failures: Vec<Failure>,
}

impl Tally {
    /// Both together, one after the other.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.add(other.clone());
        self.operations += other.operations;
        self.secs += other.secs;
        self
    }

    /// Adds what was done beside it.
    pub fn add(&mut self, other: Self) {
        self.cuts += other.cuts;
        self.covered.every += other.covered.every;
        self.covered.all_but_mixtures += other.covered.all_but_mixtures;
        self.covered.sampled += other.covered.sampled;
        self.images += other.images;
        self.second += other.second;
        self.distinct += other.distinct;
        self.recoveries += other.recoveries;
        self.late += other.late;
        self.bricks += other.bricks;
        for (invariant, count) in other.by_invariant {
            *self.by_invariant.entry(invariant).or_default() += count;
        }
        self.failures.extend(other.failures);
    }

    /// One more brick.
    pub fn brick(&mut self, place: Place, violation: Violation) {
        self.bricks += 1;
        *self.by_invariant.entry(violation.invariant).or_default() += 1;
        if self.failures.len() < MAX_FAILURES {
            self.failures.push(Failure { place, violation });
        }
    }
}
