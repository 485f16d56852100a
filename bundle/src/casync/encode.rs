// SPDX-License-Identifier: MIT OR Apache-2.0
//! Takes an image or a tree apart into chunks of a store and an index of them.
//!
//! Same parameters as `casync make`, so the chunks are the same and a store can be shared. When
//! the index is returned, every chunk is durable: an index is never written before its chunks.

use super::cutter::cut_all;
use super::seed::SourceReader;
use super::{
    CasyncError, CatarImage, ChunkIndex, ChunkSizes, Chunker, FeatureFlags, LocalStore, TreeNode,
};
use std::collections::HashSet;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use storage::ByteLen;

/// What encoding did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EncodeTally {
    /// Chunks of the image.
    pub chunks: u64,
    /// Chunks that were not in the store yet.
    pub new_chunks: u64,
    /// Bytes written into the store.
    pub written: ByteLen,
}

/// Puts the chunks of `image` into `store` and returns the index, as `casync make x.caibx` does.
/// `progress` is told the bytes of each step, and ends the work by saying `false`.
///
/// # Errors
/// [`CasyncError`]; chunks that were put stay in the store.
pub fn encode_image(
    image: impl Read,
    sizes: ChunkSizes,
    store: &LocalStore,
    progress: &mut dyn FnMut(u64) -> bool,
) -> Result<(ChunkIndex, EncodeTally), CasyncError> {
    encode(image, FeatureFlags::IMAGE, sizes, store, progress)
}

/// Puts the chunks of the archive of `root` into `store` and returns the index, as
/// `casync make --with=unix x.caidx` does.
///
/// # Errors
/// [`CasyncError`].
pub fn encode_tree(
    root: &TreeNode,
    sizes: ChunkSizes,
    store: &LocalStore,
    progress: &mut dyn FnMut(u64) -> bool,
) -> Result<(ChunkIndex, EncodeTally), CasyncError> {
    let archive = CatarImage::build("tree", root, FeatureFlags::UNIX)?;
    encode(SourceReader::new(&archive), FeatureFlags::UNIX, sizes, store, progress)
}

fn encode(
    input: impl Read,
    features: FeatureFlags,
    sizes: ChunkSizes,
    store: &LocalStore,
    progress: &mut dyn FnMut(u64) -> bool,
) -> Result<(ChunkIndex, EncodeTally), CasyncError> {
    let digest = features.digest();
    let (written, new_chunks) = (AtomicU64::new(0), AtomicU64::new(0));
    // Equal chunks that two workers hold at once are one chunk.
    let begun = Mutex::new(HashSet::new());
    let chunks = cut_all(input, Chunker::new(sizes), progress, &|chunk| {
        let id = digest.id_of(chunk).ok_or(CasyncError::NoDigest)?;
        if !begun.lock().unwrap_or_else(PoisonError::into_inner).insert(id) {
            return Ok(id);
        }
        if let Some(count) = store.put(id, chunk, digest)? {
            written.fetch_add(count, Ordering::Relaxed);
            new_chunks.fetch_add(1, Ordering::Relaxed);
        }
        Ok(id)
    })?;
    store.settle()?;
    let mut index = ChunkIndex::new(features, sizes);
    for (len, id) in chunks {
        index.push(id, len);
    }
    let tally = EncodeTally {
        chunks: index.chunks().len() as u64,
        new_chunks: new_chunks.into_inner(),
        written: ByteLen::new(written.into_inner()),
    };
    Ok((index, tally))
}
