// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where will each block of the image come from?
//!
//! In this order: zeros are made here; the place itself, where the old content is the same; what
//! was written before; the old content of the target above the write position; the slot that
//! runs; the bundle. Neighbours from one origin are taken in one step.

use super::block_hash_index::{BLOCK_BYTES, ZERO_HASH};
use super::{BlockHash, BlockHashIndex, DeltaCost};
use crate::Source;
use crate::image_parts::ImageParts;
use std::sync::Arc;
use storage::ByteLen;

const BLOCK: u64 = BLOCK_BYTES as u64;

/// Blocks of one step.
const STEP_BLOCKS: u64 = 256;

/// What was produced this long ago is certainly written: writers read ahead by a few MiB.
const WRITTEN_BLOCKS: u64 = 8192;

/// The content of a slot and the hashes it had.
#[derive(Clone)]
pub struct OldBlocks {
    /// The slot's device.
    pub content: Arc<dyn Source>,
    /// Its index; may be out of date.
    pub index: BlockHashIndex,
}

impl std::fmt::Debug for OldBlocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { content, index } = self;
        f.debug_struct("OldBlocks").field("content", &content.name()).field("index", index).finish()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Zeros,
    /// The target, at this block: written before, so read when its turn comes.
    Written(u64),
    /// The target's old content, at this block.
    Target(u64),
    /// The slot that runs, at this block.
    Active(u64),
    Bundle,
}

/// Neighbouring blocks from neighbouring places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub first: u64,
    pub count: u64,
    pub origin: Origin,
}

/// Where every block of [`super::BLOCK_BYTES`] will come from, and what that costs.
#[derive(Debug)]
pub struct DeltaPlan {
    pub(super) steps: Vec<Step>,
    /// Blocks of zeros.
    pub zero_blocks: u64,
    /// Blocks that slots have.
    pub slot_blocks: u64,
    /// Blocks that only the bundle has.
    pub bundle_blocks: u64,
    cost: DeltaCost,
}

impl DeltaPlan {
    /// Plans the image of `index`, whose place in the bundle is `parts`, from what the target and the
    /// slot that runs hold now. Nothing is read.
    #[must_use]
    pub fn new(
        index: &BlockHashIndex,
        parts: &ImageParts,
        target: Option<&OldBlocks>,
        active: Option<&OldBlocks>,
    ) -> Self {
        let mut steps: Vec<Step> = Vec::new();
        let (mut zero_blocks, mut slot_blocks, mut bundle_blocks) = (0, 0, 0);
        let mut wanted = Vec::new();
        for (hash, number) in index.hashes().iter().zip(0..) {
            let origin = origin_of(hash, number, index, target, active);
            match origin {
                Origin::Zeros => zero_blocks += 1,
                Origin::Written(_) | Origin::Target(_) | Origin::Active(_) => slot_blocks += 1,
                Origin::Bundle => {
                    bundle_blocks += 1;
                    let part = parts.part_of(number * BLOCK);
                    if wanted.last() != Some(&part) {
                        wanted.push(part);
                    }
                }
            }
            match steps.last_mut().filter(|step| continues(step, origin)) {
                Some(step) => step.count += 1,
                None => steps.push(Step { first: number, count: 1, origin }),
            }
        }
        let (blocks, requests) = parts.cost_of(&wanted);
        let cost = DeltaCost { blocks, index: ByteLen::ZERO, requests, image: parts.cost_of_all() };
        Self { steps, zero_blocks, slot_blocks, bundle_blocks, cost }
    }

    /// What it costs, when the index cost `index`.
    #[must_use]
    pub fn cost(&self, index: ByteLen) -> DeltaCost {
        DeltaCost { index, ..self.cost }
    }
}

fn origin_of(
    hash: &BlockHash,
    number: u64,
    index: &BlockHashIndex,
    target: Option<&OldBlocks>,
    active: Option<&OldBlocks>,
) -> Origin {
    if *hash == ZERO_HASH {
        return Origin::Zeros;
    }
    let old_target = target.and_then(|old| old.index.find(hash, number));
    if old_target == Some(number) {
        return Origin::Target(number);
    }
    let written = target.and_then(|_| index.find(hash, 0));
    if let Some(place) = written.filter(|place| place.saturating_add(WRITTEN_BLOCKS) <= number) {
        return Origin::Written(place);
    }
    let in_active = || active.and_then(|old| old.index.find(hash, 0));
    match old_target {
        Some(place) => Origin::Target(place),
        None => in_active().map_or(Origin::Bundle, Origin::Active),
    }
}

/// Whether a block from `origin` is the next of `step`.
fn continues(step: &Step, origin: Origin) -> bool {
    let follows = match (step.origin, origin) {
        (Origin::Zeros, Origin::Zeros) | (Origin::Bundle, Origin::Bundle) => true,
        (Origin::Written(at), Origin::Written(next))
        | (Origin::Target(at), Origin::Target(next))
        | (Origin::Active(at), Origin::Active(next)) => at + step.count == next,
        (
            Origin::Zeros
            | Origin::Written(_)
            | Origin::Target(_)
            | Origin::Active(_)
            | Origin::Bundle,
            _,
        ) => false,
    };
    follows && step.count < STEP_BLOCKS
}
