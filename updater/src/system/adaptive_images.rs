// SPDX-License-Identifier: MIT OR Apache-2.0
//! An image most of which slots hold already (`adaptive=block-hash-index`).
//!
//! Every failure of the method costs the saving and nothing else: it is told, and the image is
//! taken whole. That holds until the last byte; what was handed out before is then compared with
//! the image's own first bytes.

use super::remarks::Remarks;
use super::slot_indexes::{DeviceSource, open_slot};
use super::{BoxedError, ImageRequest};
use crate::slot_handlers::Machine;
use bundle::adaptive::{
    AdaptiveError, AdaptiveImage, AdaptiveTally, BLOCK_BYTES, BlockHash, BlockHashIndex, DeltaPlan,
    INDEX_SUFFIX, MAX_BLOCKS, OldBlocks, choose, choose_before_index,
};
use bundle::{Image, ImageStream, VerifiedBundle};
use openssl::sha::sha256;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use storage::{ByteLen, Files, chain};

/// RAUC's name of the method.
pub(super) const METHOD: &str = "block-hash-index";

/// The image and its index, or `None` with a note when taking it whole is cheaper.
pub(super) fn open_adaptive<'a>(
    request: &ImageRequest<'a>,
    machine: &mut dyn Machine,
    files: &dyn Files,
    note: &mut dyn FnMut(String),
) -> Result<Option<(AdaptiveReader<'a>, BlockHashIndex)>, BoxedError> {
    let (bundle, image) = (request.bundle, request.image);
    let filename = image.filename.clone().unwrap_or_default();
    let target =
        open_old(request.target, request.target_data, "target", machine, files, request, note)?;
    let parts = bundle.open_parts(image)?;
    let name = format!("{filename}{INDEX_SUFFIX}");
    let listed = bundle.files()?.size(&name)?;
    if let Some(choice) = choose_before_index(listed, parts.cost_of_all()) {
        note(choice.to_string());
        return Ok(None);
    }
    let limit = ByteLen::new(MAX_BLOCKS * 32);
    let index = BlockHashIndex::parse(&name, &bundle.files()?.read_file(&name, limit)?)?;
    let running = request
        .running
        .map(|slot| open_old(slot, request.running_data, "active", machine, files, request, note));
    let running = running.transpose()?;
    if running.is_none() {
        note(format!("No active slot available to use as seed for {}", image.class));
    }
    let plan = DeltaPlan::new(&index, &parts, Some(&target), running.as_ref());
    let choice = choose(plan.cost(listed));
    note(choice.to_string());
    if !choice.is_delta() {
        return Ok(None);
    }
    let hashes = index.hashes().to_vec();
    let slots = (Some(target), running);
    // The slot's writer compares the whole with the manifest's digest; once is enough.
    let delta = Some(AdaptiveImage::new(&filename, &index, parts, plan, slots)?);
    let reader = AdaptiveReader {
        delta,
        whole: None,
        behind: None,
        bundle,
        image,
        hashes,
        at: 0,
        remarks: Remarks::default(),
        failed: false,
    };
    Ok(Some((reader, index)))
}

fn open_old(
    slot: &crate::Slot,
    dir: Option<&Path>,
    role: &str,
    machine: &mut dyn Machine,
    files: &dyn Files,
    request: &ImageRequest<'_>,
    note: &mut dyn FnMut(String),
) -> Result<OldBlocks, BoxedError> {
    let failed = |error: &dyn std::error::Error| -> BoxedError {
        let name = &slot.name;
        format!("failed to open {role} slot hash index for {name}: {}", chain(error)).into()
    };
    let content =
        DeviceSource::open(machine.devices(), &slot.device).map_err(|error| failed(&error))?;
    open_slot(Arc::new(content), dir, files, note, request.stop).map_err(|error| failed(&error))
}

/// Blocks that are compared at once, before whoever reads may end it.
const BLOCKS_AT_ONCE: usize = 64;

/// An image on its way to where its delta ended.
struct Behind<'a> {
    whole: ImageStream<'a>,
    /// Blocks that were compared.
    blocks: usize,
    failure: AdaptiveError,
}

/// The image as a delta and, should that fail, whole from there on.
pub(super) struct AdaptiveReader<'a> {
    delta: Option<AdaptiveImage>,
    whole: Option<ImageStream<'a>>,
    /// While it goes to where the delta ended.
    behind: Option<Behind<'a>>,
    bundle: &'a VerifiedBundle,
    image: &'a Image,
    hashes: Vec<BlockHash>,
    at: u64,
    remarks: Remarks,
    failed: bool,
}

impl<'a> AdaptiveReader<'a> {
    pub(super) fn remarks(&self) -> Remarks {
        self.remarks.clone()
    }

    /// Opens the image whole, to go to where the delta ended.
    fn fall_back(&mut self, failure: AdaptiveError) -> io::Result<()> {
        self.remarks.add(format!("Continuing after adaptive mode error: {}", chain(&failure)));
        let whole = self.bundle.open_image(self.image).map_err(io::Error::other)?;
        self.behind = Some(Behind { whole, blocks: 0, failure });
        Ok(())
    }

    /// Goes a part of the way. What was handed out came from blocks that the index names; it is
    /// true if the image's blocks are the same.
    fn catch_up(&mut self, mut behind: Behind<'a>) -> io::Result<()> {
        let mut block = vec![0; BLOCK_BYTES];
        for expected in self.hashes.iter().skip(behind.blocks).take(BLOCKS_AT_ONCE) {
            let passed = (behind.blocks as u64).saturating_mul(BLOCK_BYTES as u64);
            let left = usize::try_from(self.at.saturating_sub(passed)).unwrap_or(BLOCK_BYTES);
            let part = block.get_mut(..left.min(BLOCK_BYTES)).unwrap_or_default();
            behind.whole.read_exact(part)?;
            // The part of a block at the end is compared by whoever writes: with the rest of the
            // image, whose digest the manifest names.
            if part.len() == BLOCK_BYTES && sha256(part) != *expected {
                return Err(AdaptiveFault::io(behind.failure));
            }
            behind.blocks += 1;
            if part.len() < BLOCK_BYTES {
                break;
            }
        }
        let passed = (behind.blocks as u64).saturating_mul(BLOCK_BYTES as u64);
        if passed >= self.at || behind.blocks >= self.hashes.len() {
            self.whole = Some(behind.whole);
        } else {
            self.behind = Some(behind);
        }
        Ok(())
    }
}

/// A delta that failed after bytes were handed out that are not the image's.
#[derive(Debug, thiserror::Error)]
#[error("index of the bundle does not belong to its image; nothing of the slot can be used")]
struct AdaptiveFault {
    #[source]
    source: AdaptiveError,
}

impl AdaptiveFault {
    fn io(source: AdaptiveError) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, Self { source })
    }
}

impl AdaptiveReader<'_> {
    fn read_some(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if let Some(behind) = self.behind.take() {
            self.catch_up(behind)?;
            // Whoever reads may end it here, or asks again.
            return Err(io::ErrorKind::Interrupted.into());
        }
        let Some(delta) = &mut self.delta else {
            // At the end of a delta there is nothing left.
            return self.whole.as_mut().map_or(Ok(0), |whole| whole.read(buf));
        };
        match delta.read(buf) {
            Ok(0) if !buf.is_empty() => {
                let text = describe_tally(&delta.tally());
                self.remarks.add(text);
                self.delta = None;
                Ok(0)
            }
            Ok(count) => {
                self.at += count as u64;
                Ok(count)
            }
            Err(failure) => {
                self.delta = None;
                self.fall_back(AdaptiveError::cause(failure))?;
                Err(io::ErrorKind::Interrupted.into())
            }
        }
    }
}

fn describe_tally(tally: &AdaptiveTally) -> String {
    format!(
        "block-hash-index: {} blocks from the target slot, {} from the active slot, {} from the bundle, {} zeros, {} out of date",
        tally.target_blocks,
        tally.active_blocks,
        tally.bundle_blocks,
        tally.zero_blocks,
        tally.misses
    )
}

impl Read for AdaptiveReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.failed {
            return Err(io::Error::other("an earlier failure ended the reading"));
        }
        self.read_some(buf).inspect_err(|error| {
            self.failed = error.kind() != io::ErrorKind::Interrupted;
        })
    }
}
