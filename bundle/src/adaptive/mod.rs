// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which blocks of an image does this device hold already?
//!
//! A `block-hash-index` is the SHA-256 of each 4096 bytes of an image. The bundle has one beside the
//! image, and a device keeps one of each slot ([`BlockHashIndex`]). From both comes a plan, with
//! what it will cost, before anything of the image is fetched ([`DeltaPlan`], [`choose`]); and a
//! [`std::io::Read`] that follows it ([`AdaptiveImage`]). Every block is hashed when it is used, wherever
//! it came from, and whoever writes the whole compares it with the manifest's digest: an index that
//! lies costs time, never a wrong slot.

mod block_hash_index;
mod cost;
mod error;
mod image;
mod plan;

pub use block_hash_index::{
    BLOCK_BYTES, BlockHash, BlockHashIndex, INDEX_FILE, INDEX_SUFFIX, MAX_BLOCKS, build_index,
    index_of_stream,
};
pub use cost::{DeltaChoice, DeltaCost, choose, choose_before_index};
pub use error::AdaptiveError;
pub use image::{AdaptiveImage, AdaptiveTally};
pub use plan::{DeltaPlan, OldBlocks};
