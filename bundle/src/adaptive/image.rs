// SPDX-License-Identifier: MIT OR Apache-2.0
//! The image, following a plan: blocks of slots, blocks of the bundle, zeros.
//!
//! Blocks of slots are read and hashed ahead, on other threads; so are the parts of the bundle. A
//! block of a slot that is not what its index says is taken from the bundle instead. The whole is
//! compared with the manifest's digest before its last bytes are handed out.

use super::block_hash_index::BLOCK_BYTES;
use super::plan::{Origin, Step};
use super::{AdaptiveError, BlockHash, BlockHashIndex, DeltaPlan, OldBlocks};
use crate::casync::Prefetch;
use crate::image_parts::ImageParts;
use crate::{BundleError, Source};
use openssl::sha::sha256;
use std::io::{self, Read};
use std::sync::Arc;
use storage::ByteLen;

const BLOCK: u64 = BLOCK_BYTES as u64;
/// Threads for blocks of slots, and steps that may wait for the reader: 8 MiB.
const SLOT_THREADS: usize = 2;
const SLOT_WINDOW: usize = 8;
/// Threads for parts of the bundle: several requests on their way at once.
const BUNDLE_THREADS: usize = 4;
const BUNDLE_WINDOW: usize = 6;

/// What putting the image together took so far, in blocks of [`BLOCK_BYTES`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdaptiveTally {
    /// Blocks of zeros, made here.
    pub zero_blocks: u64,
    /// Blocks that were in the target.
    pub target_blocks: u64,
    /// Blocks that were in the slot that runs.
    pub active_blocks: u64,
    /// Blocks taken from the bundle.
    pub bundle_blocks: u64,
    /// Blocks of slots that were not what the index said.
    pub misses: u64,
}

/// The parts of a run, or why there are none.
type Run = Result<Vec<(u64, Vec<u8>)>, BundleError>;

/// An image put together from slots and bundle, read from start to end. Each of its blocks is the
/// one that the index names; whether the whole is the image of the manifest is for the reader to
/// compare, who computes its digest anyway. Failures are [`io::Error`]s that hold an
/// [`AdaptiveError`]; see [`AdaptiveError::cause`]. After a failure it stays failed.
pub struct AdaptiveImage {
    name: String,
    hashes: Vec<BlockHash>,
    steps: std::vec::IntoIter<Step>,
    parts: Arc<ImageParts>,
    target: Option<Arc<dyn Source>>,
    slots: Prefetch<Option<Vec<u8>>>,
    runs: Prefetch<Run>,
    run: std::vec::IntoIter<(u64, Vec<u8>)>,
    /// The part at hand.
    part: Option<(u64, Vec<u8>)>,
    /// Blocks ready to be handed out.
    current: Vec<u8>,
    position: usize,
    left: u64,
    tally: AdaptiveTally,
    failed: bool,
}

impl std::fmt::Debug for AdaptiveImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdaptiveImage")
            .field("name", &self.name)
            .field("tally", &self.tally)
            .finish_non_exhaustive()
    }
}

impl AdaptiveImage {
    /// The image `name` of a bundle: its index, its parts, a plan made of both, and the slots that
    /// the plan was made for, the target's and the active one's.
    ///
    /// # Errors
    /// [`AdaptiveError::WrongLength`].
    pub fn new(
        name: &str,
        index: &BlockHashIndex,
        parts: ImageParts,
        plan: DeltaPlan,
        slots: (Option<OldBlocks>, Option<OldBlocks>),
    ) -> Result<Self, AdaptiveError> {
        let len = parts.len().get();
        if index.blocks().saturating_mul(BLOCK) != len {
            let (expected, found) = (len.div_ceil(BLOCK), index.blocks());
            return Err(AdaptiveError::WrongLength { name: name.to_owned(), expected, found });
        }
        let parts = Arc::new(parts);
        let runs = start_runs(&plan.steps, &parts);
        let (target, active) = slots;
        let contents = (target.map(|old| old.content), active.map(|old| old.content));
        let slots = start_slots(&plan.steps, contents.0.clone(), contents.1);
        Ok(Self {
            name: name.to_owned(),
            hashes: index.hashes().to_vec(),
            steps: plan.steps.into_iter(),
            parts,
            target: contents.0,
            slots,
            runs,
            run: Vec::new().into_iter(),
            part: None,
            current: Vec::new(),
            position: 0,
            left: len,
            tally: AdaptiveTally::default(),
            failed: false,
        })
    }

    /// Length of the image.
    #[must_use]
    pub fn len(&self) -> ByteLen {
        self.parts.len()
    }

    /// Whether the image has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// What was needed so far.
    #[must_use]
    pub fn tally(&self) -> AdaptiveTally {
        self.tally
    }

    fn advance(&mut self) -> Result<bool, AdaptiveError> {
        let Some(step) = self.steps.next() else { return Ok(false) };
        let len = usize::try_from(step.count).unwrap_or(0) * BLOCK_BYTES;
        let mut bytes = match step.origin {
            Origin::Zeros => Some(vec![0; len]),
            Origin::Bundle => None,
            Origin::Target(_) | Origin::Active(_) => self.slots.next().flatten(),
            // Read now, and not ahead: it was written while this image was produced.
            Origin::Written(place) => read_blocks(self.target.as_ref(), place, step.count),
        };
        let from_bundle = bytes.is_none();
        let bytes = bytes.get_or_insert_with(|| vec![0; len]);
        for (number, block) in (step.first..).zip(bytes.chunks_mut(BLOCK_BYTES)) {
            let true_block =
                !from_bundle && (step.origin == Origin::Zeros || self.is_true(number, block));
            if true_block {
                self.count(step.origin);
                continue;
            }
            if step.origin != Origin::Bundle {
                self.tally.misses += 1;
            }
            self.read_block(number, step.origin, block)?;
            self.count(Origin::Bundle);
        }
        self.current = std::mem::take(bytes);
        self.position = 0;
        Ok(true)
    }

    fn is_true(&self, number: u64, block: &[u8]) -> bool {
        let known = usize::try_from(number).ok().and_then(|number| self.hashes.get(number));
        known == Some(&sha256(block))
    }

    const fn count(&mut self, origin: Origin) {
        match origin {
            Origin::Zeros => self.tally.zero_blocks += 1,
            Origin::Written(_) | Origin::Target(_) => self.tally.target_blocks += 1,
            Origin::Active(_) => self.tally.active_blocks += 1,
            Origin::Bundle => self.tally.bundle_blocks += 1,
        }
    }

    /// Takes a block from the bundle.
    fn read_block(
        &mut self,
        number: u64,
        planned: Origin,
        block: &mut [u8],
    ) -> Result<(), AdaptiveError> {
        let offset = number * BLOCK;
        let wanted = self.parts.part_of(offset);
        if self.part.as_ref().is_none_or(|(part, _)| *part != wanted) {
            let bytes = if planned == Origin::Bundle {
                self.next_part(wanted)?
            } else {
                self.parts.read_part(wanted).map_err(bundle_fault)?
            };
            self.part = Some((wanted, bytes));
        }
        let start = usize::try_from(offset - self.parts.span_of(wanted).0).unwrap_or(usize::MAX);
        let found = self.part.as_ref().and_then(|(_, part)| part.get(start..start + block.len()));
        let wrong = || AdaptiveError::WrongBlock { name: self.name.clone(), block: number };
        block.copy_from_slice(found.ok_or_else(wrong)?);
        if self.is_true(number, block) { Ok(()) } else { Err(wrong()) }
    }

    /// The next part of the plan; parts before the wanted one were read out of order already.
    fn next_part(&mut self, wanted: u64) -> Result<Vec<u8>, AdaptiveError> {
        loop {
            match self.run.next() {
                Some((part, bytes)) if part == wanted => return Ok(bytes),
                Some((part, _)) if part < wanted => {}
                Some(_) => return self.parts.read_part(wanted).map_err(bundle_fault),
                None => match self.runs.next() {
                    Some(run) => self.run = run.map_err(bundle_fault)?.into_iter(),
                    None => return self.parts.read_part(wanted).map_err(bundle_fault),
                },
            }
        }
    }

    fn read_some(&mut self, buf: &mut [u8]) -> Result<usize, AdaptiveError> {
        while self.position >= self.current.len() && !buf.is_empty() {
            if !self.advance()? {
                return if self.left == 0 { Ok(0) } else { Err(AdaptiveError::Poisoned) };
            }
        }
        let rest = self.current.get(self.position..).unwrap_or_default();
        let count = rest.len().min(buf.len());
        let (to, from) = (buf.get_mut(..count), rest.get(..count));
        to.unwrap_or_default().copy_from_slice(from.unwrap_or_default());
        self.position += count;
        self.left -= count as u64;
        Ok(count)
    }
}

impl Read for AdaptiveImage {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.failed {
            return Err(AdaptiveError::Poisoned.into_io());
        }
        self.read_some(buf).map_err(|failure| {
            self.failed = true;
            failure.into_io()
        })
    }
}

fn bundle_fault(failure: BundleError) -> AdaptiveError {
    AdaptiveError::Bundle(Box::new(failure))
}

fn read_blocks(content: Option<&Arc<dyn Source>>, first: u64, count: u64) -> Option<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(count).ok()? * BLOCK_BYTES];
    // What cannot be read is not there: the bundle has it.
    content?.read_at(first * BLOCK, &mut bytes).ok()?;
    Some(bytes)
}

/// Reads ahead what the plan takes from slots.
fn start_slots(
    steps: &[Step],
    target: Option<Arc<dyn Source>>,
    active: Option<Arc<dyn Source>>,
) -> Prefetch<Option<Vec<u8>>> {
    let from_slots = |step: &&Step| matches!(step.origin, Origin::Target(_) | Origin::Active(_));
    let jobs: Vec<Step> = steps.iter().filter(from_slots).copied().collect();
    Prefetch::new(jobs.len(), SLOT_THREADS, SLOT_WINDOW, move |number| {
        let step = jobs.get(number)?;
        match step.origin {
            Origin::Target(place) => read_blocks(target.as_ref(), place, step.count),
            Origin::Active(place) => read_blocks(active.as_ref(), place, step.count),
            Origin::Zeros | Origin::Written(_) | Origin::Bundle => None,
        }
    })
}

/// Reads ahead what the plan takes from the bundle.
fn start_runs(steps: &[Step], parts: &Arc<ImageParts>) -> Prefetch<Run> {
    let mut wanted: Vec<u64> = Vec::new();
    for step in steps.iter().filter(|step| step.origin == Origin::Bundle) {
        let first = parts.part_of(step.first * BLOCK);
        let last = parts.part_of((step.first + step.count) * BLOCK - 1);
        let known = wanted.last().copied();
        wanted.extend((first..=last).filter(|part| known != Some(*part)));
    }
    parts.announce(&wanted);
    let runs = parts.runs_of(&wanted);
    let parts = Arc::clone(parts);
    Prefetch::new(runs.len(), BUNDLE_THREADS, BUNDLE_WINDOW, move |number| {
        let run = runs.get(number).map(Vec::as_slice).unwrap_or_default();
        Ok(run.iter().copied().zip(parts.read_run(run)?).collect())
    })
}

#[cfg(test)]
mod tests;
