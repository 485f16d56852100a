// SPDX-License-Identifier: MIT OR Apache-2.0
//! Makes the hash tree of a payload in one pass over it. Holds the tree (1/127 of the data) in
//! memory, the data never. Layout: see `verity`.

use crate::verity::{BLOCK_BYTES, HASH_BYTES, VerityError, VerityLayout};
use openssl::sha::Sha256;
use std::io::Read;
use storage::Digest;

/// Why no tree can be made.
#[derive(Debug, thiserror::Error)]
pub enum VerityBuildError {
    /// The data has a size that no tree covers.
    #[error(transparent)]
    Size(#[from] VerityError),
    /// The data ends early or cannot be read.
    #[error("cannot read data block {block} for the hash tree")]
    Read {
        /// Number of the block.
        block: u64,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

/// A tree ready to stand behind its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashTree {
    /// What stands behind the data.
    pub bytes: Vec<u8>,
    /// The root hash.
    pub root: Digest,
}

/// Makes the tree over `data_bytes` from `data`, a multiple of 4096 above 4096.
///
/// # Errors
/// [`VerityBuildError`].
pub fn build_tree(
    data: &mut dyn Read,
    data_bytes: u64,
    salt: &[u8; 32],
) -> Result<HashTree, VerityBuildError> {
    let layout = VerityLayout::of_data(data_bytes)?;
    let mut level = Vec::new();
    let mut bytes = [0; BLOCK_BYTES];
    for block in 0..layout.data_blocks {
        data.read_exact(&mut bytes).map_err(|source| VerityBuildError::Read { block, source })?;
        level.extend_from_slice(&block_hash(salt, &bytes));
    }
    let mut levels = Vec::new();
    loop {
        pad(&mut level);
        let last = level.len() == BLOCK_BYTES;
        let above: Vec<u8> =
            level.chunks(BLOCK_BYTES).flat_map(|block| block_hash(salt, block)).collect();
        levels.push(std::mem::replace(&mut level, above));
        if last {
            break;
        }
    }
    let mut root = [0; HASH_BYTES];
    root.copy_from_slice(&level);
    let bytes = levels.into_iter().rev().flatten().collect();
    Ok(HashTree { bytes, root: Digest::from_bytes(root) })
}

/// Zeroes to the end of the block.
fn pad(level: &mut Vec<u8>) {
    level.resize(level.len().next_multiple_of(BLOCK_BYTES), 0);
}

/// The hash of one block behind the salt.
pub(crate) fn block_hash(salt: &[u8; 32], block: &[u8]) -> [u8; HASH_BYTES] {
    let mut hash = Sha256::new();
    hash.update(salt);
    hash.update(block);
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verity::BLOCK;

    #[test]
    fn tree_has_the_size_that_its_layout_says() {
        for blocks in [2, 127, 128, 129, 128 * 128, 128 * 128 + 1] {
            let bytes = blocks * BLOCK;
            let tree = build_tree(&mut std::io::repeat(7), bytes, &[1; 32]).unwrap();
            let layout = VerityLayout::of_data(bytes).unwrap();
            assert_eq!(tree.bytes.len() as u64, layout.tree_bytes(), "{blocks}");
            assert_eq!(
                block_hash(&[1; 32], &tree.bytes[..BLOCK_BYTES]),
                *tree.root.as_bytes(),
                "{blocks}"
            );
        }
    }

    #[test]
    fn short_data_and_sizes_without_a_tree_are_refused() {
        let short = build_tree(&mut std::io::empty(), 2 * BLOCK, &[0; 32]);
        assert!(matches!(short, Err(VerityBuildError::Read { block: 0, .. })));
        for bytes in [0, 1, BLOCK, BLOCK + 1] {
            let refused = build_tree(&mut std::io::repeat(0), bytes, &[0; 32]);
            assert!(matches!(refused, Err(VerityBuildError::Size(_))), "{bytes}");
        }
    }
}
