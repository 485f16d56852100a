// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where does each hash of a verity tree stand, and do the signed numbers fit the payload?
//!
//! dm-verity, format version 1, without superblock. SHA-256, data and hash blocks of 4096 bytes,
//! the salt hashed before the block, 128 digests per hash block, the unused tail zero, the single
//! top block first, then each level below it. The root hash is that of the top block.
//!
//! ```text
//! 0 ........ data ........ D | top (1 block) | ... | level 1 | level 0 (leaf hashes) | D + T
//! level k has ceil(data blocks / 128^(k+1)) blocks
//! ```
//! Pure; nothing is computed from a size before it was compared with the payload's length.

use crate::VerityParams;

/// Bytes of a data or hash block.
pub(crate) const BLOCK_BYTES: usize = 4096;
pub(crate) const BLOCK: u64 = 4096;
/// Bytes of a digest.
pub(crate) const HASH_BYTES: usize = 32;
/// Digests in a hash block.
pub(crate) const HASHES_PER_BLOCK: u64 = 128;
/// 128^9 blocks exceed any u64 of bytes; stops a loop over levels from trusting its input.
const MAX_LEVELS: usize = 9;

/// Which block of a bundle is not what was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockKind {
    /// A block of the file system.
    Data,
    /// A block of the hash tree below its top; level 0 holds the hashes of the data.
    HashTree {
        /// Distance from the data.
        level: usize,
    },
    /// The top block, whose hash is the signed root hash.
    Root,
}

impl std::fmt::Display for BlockKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Data => f.write_str("data block"),
            Self::HashTree { level } => write!(f, "hash tree (level {level}) block"),
            Self::Root => f.write_str("hash tree root block"),
        }
    }
}

/// Why a payload is not the one that was signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerityError {
    /// The signed tree size does not leave room for data, or is no multiple of a block.
    #[error("verity-size {tree_bytes} does not fit a payload of {payload_bytes} bytes")]
    TreeSize {
        /// Size of the tree in the manifest.
        tree_bytes: u64,
        /// Size of data and tree.
        payload_bytes: u64,
    },
    /// The data before the tree is not more than one whole block.
    #[error("payload has {data_bytes} bytes of data, a multiple of 4096 above 4096 is needed")]
    DataSize {
        /// Bytes before the tree.
        data_bytes: u64,
    },
    /// A tree over this much data has another size.
    #[error("verity-size is {found}, a hash tree over {data_bytes} bytes has {expected}")]
    TreeLength {
        /// Bytes before the tree.
        data_bytes: u64,
        /// Size the tree must have.
        expected: u64,
        /// Size in the manifest.
        found: u64,
    },
    /// A block does not have its hash.
    #[error("{kind} {block} at byte {offset} of {name} does not have its signed hash")]
    Tampered {
        /// The source's name.
        name: String,
        /// What sort of block.
        kind: BlockKind,
        /// Its number: among the data blocks, or in the payload for the tree.
        block: u64,
        /// Its place in the bundle.
        offset: u64,
    },
    /// Bytes of a payload changed after they were verified.
    #[error("bytes {offset} to {end} of {name} changed after they were verified")]
    Changed {
        /// The source's name.
        name: String,
        /// First byte of the piece.
        offset: u64,
        /// First byte after it.
        end: u64,
    },
}

/// A level of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    /// First block of the level, counted in the payload.
    pub first_block: u64,
    /// Blocks of the level.
    pub blocks: u64,
}

/// Where everything stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VerityLayout {
    pub data_blocks: u64,
    /// Level 0 (leaf hashes) first; never empty.
    pub levels: Vec<Level>,
}

impl VerityLayout {
    /// The layout over `data_bytes` of data.
    pub fn of_data(data_bytes: u64) -> Result<Self, VerityError> {
        if data_bytes <= BLOCK || !data_bytes.is_multiple_of(BLOCK) {
            return Err(VerityError::DataSize { data_bytes });
        }
        let data_blocks = data_bytes / BLOCK;
        let mut levels = Vec::new();
        let mut blocks = data_blocks;
        while blocks > 1 && levels.len() < MAX_LEVELS {
            blocks = blocks.div_ceil(HASHES_PER_BLOCK);
            levels.push(Level { first_block: 0, blocks });
        }
        // The top level stands first. Cannot overflow: the tree is smaller than the data, and
        // block numbers are 4096 times smaller than byte counts.
        let mut first_block = data_blocks;
        for level in levels.iter_mut().rev() {
            level.first_block = first_block;
            first_block += level.blocks;
        }
        Ok(Self { data_blocks, levels })
    }

    /// The layout of a payload of `payload_bytes` that ends in the tree of `params`.
    pub fn of_payload(payload_bytes: u64, params: &VerityParams) -> Result<Self, VerityError> {
        let tree_bytes = params.size.get();
        let misfit = || VerityError::TreeSize { tree_bytes, payload_bytes };
        if tree_bytes == 0 || !tree_bytes.is_multiple_of(BLOCK) {
            return Err(misfit());
        }
        let data_bytes = payload_bytes.checked_sub(tree_bytes).ok_or_else(misfit)?;
        let layout = Self::of_data(data_bytes)?;
        let expected = layout.tree_bytes();
        if expected != tree_bytes {
            return Err(VerityError::TreeLength { data_bytes, expected, found: tree_bytes });
        }
        Ok(layout)
    }

    pub fn data_bytes(&self) -> u64 {
        self.data_blocks * BLOCK
    }

    pub fn tree_bytes(&self) -> u64 {
        self.levels.iter().map(|level| level.blocks * BLOCK).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use storage::{ByteLen, Digest};

    fn params(size: u64) -> VerityParams {
        VerityParams { hash: Digest::from_bytes([0; 32]), salt: [0; 32], size: ByteLen::new(size) }
    }

    #[test]
    fn top_level_stands_first_and_leaves_last() {
        let layout = VerityLayout::of_data(129 * BLOCK).unwrap();
        assert_eq!(
            layout.levels,
            [Level { first_block: 130, blocks: 2 }, Level { first_block: 129, blocks: 1 }]
        );
        let layout = VerityLayout::of_data(128 * BLOCK).unwrap();
        assert_eq!(layout.levels, [Level { first_block: 128, blocks: 1 }]);
    }

    #[test]
    fn sizes_that_do_not_fit_are_told_apart() {
        let refused = |payload, tree| VerityLayout::of_payload(payload, &params(tree)).unwrap_err();
        assert!(matches!(refused(8192, 0), VerityError::TreeSize { .. }));
        assert!(matches!(refused(8192, 4095), VerityError::TreeSize { .. }));
        assert!(matches!(refused(8192, 12288), VerityError::TreeSize { .. }));
        assert!(matches!(refused(u64::MAX, u64::MAX - 4095), VerityError::DataSize { .. }));
        assert!(matches!(refused(8192, 4096), VerityError::DataSize { data_bytes: 4096 }));
        assert!(matches!(refused(12289, 4096), VerityError::DataSize { .. }));
        assert!(matches!(
            refused(16384, 8192),
            VerityError::TreeLength { expected: 4096, found: 8192, .. }
        ));
        assert!(VerityLayout::of_payload(12288, &params(4096)).is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_sizes_are_judged_and_what_passes_fills_the_payload(payload: u64, tree: u64, small in 0_u64..1 << 40) {
            for (payload, tree) in [(payload, tree), (small, tree % (small + 1)), (small & !4095, 4096)] {
                if let Ok(layout) = VerityLayout::of_payload(payload, &params(tree)) {
                    prop_assert_eq!(layout.data_bytes() + layout.tree_bytes(), payload);
                    prop_assert_eq!(layout.levels.last().unwrap().blocks, 1);
                }
            }
        }
    }
}
