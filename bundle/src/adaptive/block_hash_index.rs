// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hashes of all blocks of an image or slot: RAUC's `block-hash-index`.
//!
//! The file is the SHA-256 of each 4096 bytes, 32 bytes each, one after the other, and nothing
//! else. Source: RAUC's manual, "Adaptive Updates".

use super::AdaptiveError;
use crate::Source;
use crate::casync::Prefetch;
use openssl::sha::sha256;
use std::io::{self, Read};
use std::sync::Arc;
use storage::ByteLen;

/// Bytes of a block.
pub const BLOCK_BYTES: usize = 4096;
const BLOCK: u64 = BLOCK_BYTES as u64;
const HASH_BYTES: usize = 32;

/// RAUC's limit: indexes stay below 4 GiB.
pub const MAX_BLOCKS: u64 = 0x7ff_ffff;

/// What an index of the image `rootfs.ext4` is called in a bundle: with this behind it.
pub const INDEX_SUFFIX: &str = ".block-hash-index";

/// What an index of a slot is called in the slot's directory.
pub const INDEX_FILE: &str = "block-hash-index";

/// Read at once while an index is built.
const PORTION_BLOCKS: u64 = 256;

/// SHA-256 of a block of [`BLOCK_BYTES`].
pub type BlockHash = [u8; HASH_BYTES];

/// SHA-256 of a block of zeros.
pub(super) const ZERO_HASH: BlockHash = [
    0xad, 0x7f, 0xac, 0xb2, 0x58, 0x6f, 0xc6, 0xe9, 0x66, 0xc0, 0x04, 0xd7, 0xd1, 0xd1, 0x6b, 0x02,
    0x4f, 0x58, 0x05, 0xff, 0x7c, 0xb4, 0x7c, 0x7a, 0x85, 0xda, 0xbd, 0x8b, 0x48, 0x89, 0x2c, 0xa7,
];

/// The hashes of all blocks, and where each of them stands.
#[derive(Clone, PartialEq, Eq)]
pub struct BlockHashIndex {
    hashes: Vec<BlockHash>,
    /// Numbers of blocks, ordered by hash and, for equal ones, by number.
    sorted: Vec<u32>,
}

impl std::fmt::Debug for BlockHashIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockHashIndex").field("blocks", &self.hashes.len()).finish()
    }
}

impl BlockHashIndex {
    fn of(hashes: Vec<BlockHash>) -> Self {
        let count = u32::try_from(hashes.len()).unwrap_or(u32::MAX);
        let mut sorted: Vec<u32> = (0..count).collect();
        sorted.sort_unstable_by_key(|number| {
            (hashes.get(usize::try_from(*number).unwrap_or(usize::MAX)), *number)
        });
        Self { hashes, sorted }
    }

    /// Reads an index file called `name`.
    ///
    /// # Errors
    /// [`AdaptiveError::Malformed`], [`AdaptiveError::Empty`] or [`AdaptiveError::TooLarge`].
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, AdaptiveError> {
        let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
        let len = bytes.len() as u64;
        if !rest.is_empty() {
            return Err(AdaptiveError::Malformed { name: name.to_owned(), len });
        }
        check_blocks(name, hashes.len() as u64)?;
        Ok(Self::of(hashes.to_vec()))
    }

    /// The index file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.hashes.as_flattened().to_vec()
    }

    /// The hashes in order.
    #[must_use]
    pub fn hashes(&self) -> &[BlockHash] {
        &self.hashes
    }

    /// Number of blocks.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.hashes.len() as u64
    }

    /// The first `blocks` of it: of an index that is longer than what it describes.
    #[must_use]
    pub fn cut_to(self, blocks: u64) -> Self {
        if self.blocks() <= blocks {
            return self;
        }
        let mut hashes = self.hashes;
        hashes.truncate(usize::try_from(blocks).unwrap_or(usize::MAX));
        Self::of(hashes)
    }

    /// The first block with this hash whose number is at least `from`.
    pub(super) fn find(&self, hash: &BlockHash, from: u64) -> Option<u64> {
        let hash_of = |number: u32| self.hashes.get(usize::try_from(number).ok()?);
        let at = self.sorted.partition_point(|number| {
            hash_of(*number).is_some_and(|known| (known, u64::from(*number)) < (hash, from))
        });
        let number = *self.sorted.get(at)?;
        (hash_of(number) == Some(hash)).then_some(u64::from(number))
    }
}

fn check_blocks(name: &str, blocks: u64) -> Result<(), AdaptiveError> {
    if blocks == 0 {
        return Err(AdaptiveError::Empty { name: name.to_owned() });
    }
    if blocks > MAX_BLOCKS {
        let len = ByteLen::new(blocks.saturating_mul(BLOCK));
        return Err(AdaptiveError::TooLarge { name: name.to_owned(), len });
    }
    Ok(())
}

/// Reads all of `content` and hashes its blocks, on several threads. `progress` is told the bytes
/// of each step, and ends the work by saying `false`.
///
/// # Errors
/// [`AdaptiveError::Empty`], [`AdaptiveError::NotAligned`], [`AdaptiveError::TooLarge`],
/// [`AdaptiveError::Old`] or [`AdaptiveError::Stopped`].
pub fn build_index(
    content: &Arc<dyn Source>,
    progress: &mut dyn FnMut(u64) -> bool,
) -> Result<BlockHashIndex, AdaptiveError> {
    let name = content.name().to_owned();
    let len = content.len().get();
    check_blocks(&name, len.div_ceil(BLOCK))?;
    if !len.is_multiple_of(BLOCK) {
        return Err(AdaptiveError::NotAligned { name, len });
    }
    let blocks = len / BLOCK;
    let portions = usize::try_from(blocks.div_ceil(PORTION_BLOCKS)).unwrap_or(usize::MAX);
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get().min(8));
    let source = Arc::clone(content);
    let mut work = Prefetch::new(portions, threads, threads * 2, move |number| {
        let first = number as u64 * PORTION_BLOCKS;
        let count = usize::try_from(PORTION_BLOCKS.min(blocks - first)).unwrap_or(0);
        let mut bytes = vec![0; count * BLOCK_BYTES];
        source.read_at(first * BLOCK, &mut bytes)?;
        Ok(bytes.chunks(BLOCK_BYTES).map(sha256).collect::<Vec<BlockHash>>())
    });
    let mut hashes = Vec::with_capacity(usize::try_from(blocks).unwrap_or(0));
    while let Some(portion) = work.next() {
        let portion =
            portion.map_err(|source| AdaptiveError::Old { name: name.clone(), source })?;
        hashes.extend_from_slice(&portion);
        if !progress(portion.len() as u64 * BLOCK) {
            return Err(AdaptiveError::Stopped);
        }
    }
    if hashes.len() as u64 != blocks {
        return Err(AdaptiveError::Poisoned);
    }
    Ok(BlockHashIndex::of(hashes))
}

/// The index file of an image that is read from start to end; what a new bundle needs.
///
/// # Errors
/// The reader's, or [`AdaptiveError`] inside.
pub fn index_of_stream(image: &mut dyn Read, len: ByteLen) -> io::Result<Vec<u8>> {
    let blocks = len.get().div_ceil(BLOCK);
    check_blocks("the image", blocks).map_err(AdaptiveError::into_io)?;
    let mut index = Vec::with_capacity(usize::try_from(blocks).unwrap_or(0) * HASH_BYTES);
    let mut portion = vec![0; BLOCK_BYTES * 256];
    let mut left = len.get();
    while left > 0 {
        let count = portion.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let bytes = portion.get_mut(..count).unwrap_or_default();
        image.read_exact(bytes)?;
        left -= count as u64;
        for block in bytes.chunks(BLOCK_BYTES) {
            if block.len() != BLOCK_BYTES {
                let name = "the image".to_owned();
                return Err(AdaptiveError::NotAligned { name, len: len.get() }.into_io());
            }
            index.extend_from_slice(&sha256(block));
        }
    }
    Ok(index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemorySource;

    fn source(bytes: Vec<u8>) -> Arc<dyn Source> {
        Arc::new(MemorySource::new("m", bytes))
    }

    #[test]
    fn index_is_the_hash_of_each_block() {
        let mut bytes = vec![0; 700 * BLOCK_BYTES];
        bytes[300 * BLOCK_BYTES] = 1;
        let index = build_index(&source(bytes.clone()), &mut |_| true).unwrap();
        assert_eq!(sha256(&[0; BLOCK_BYTES]), ZERO_HASH);
        let expected: Vec<u8> = bytes.chunks(BLOCK_BYTES).flat_map(sha256).collect();
        assert_eq!(index.encode(), expected);
        assert_eq!(BlockHashIndex::parse("i", &expected).unwrap(), index);
        let len = ByteLen::new(bytes.len() as u64);
        assert_eq!(index_of_stream(&mut &bytes[..], len).unwrap(), expected);
        assert_eq!(index.find(&ZERO_HASH, 0), Some(0));
        assert_eq!(index.find(&ZERO_HASH, 300), Some(301));
        assert_eq!(index.find(&ZERO_HASH, 700), None);
        assert_eq!(index.find(&index.hashes()[300], 0), Some(300));
        assert_eq!(index.find(&[0; 32], 0), None);
        assert_eq!(index.find(&[0xff; 32], 0), None);
        assert_eq!(index.cut_to(10).find(&ZERO_HASH, 9), Some(9));
    }

    #[test]
    fn odd_sizes_and_stops_are_refused() {
        let refused = |bytes| build_index(&source(bytes), &mut |_| true).unwrap_err();
        assert!(matches!(refused(Vec::new()), AdaptiveError::Empty { .. }));
        assert!(matches!(refused(vec![0; 4097]), AdaptiveError::NotAligned { len: 4097, .. }));
        let stopped = build_index(&source(vec![0; 8192]), &mut |_| false);
        assert!(matches!(stopped, Err(AdaptiveError::Stopped)));
        for len in [1, 31, 33] {
            let refused = BlockHashIndex::parse("i", &vec![0; len]);
            assert!(matches!(refused, Err(AdaptiveError::Malformed { .. })), "{len}");
        }
        assert!(matches!(BlockHashIndex::parse("i", &[]), Err(AdaptiveError::Empty { .. })));
    }
}
