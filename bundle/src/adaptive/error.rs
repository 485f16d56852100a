// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why an adaptive update is not possible. Never fatal: the image can be taken whole. Where RAUC has
//! words for it, they are RAUC's: they are logged, and its tests look for them.

use crate::{BundleError, SourceError};
use std::io;
use storage::ByteLen;

/// Why blocks cannot be reused.
#[derive(Debug, thiserror::Error)]
pub enum AdaptiveError {
    /// There is nothing to index.
    #[error("image/partition is empty")]
    Empty {
        /// What was to be indexed.
        name: String,
    },
    /// The size is no number of whole blocks.
    #[error("image/partition size ({len}) is not a multiple of 4096 bytes")]
    NotAligned {
        /// What was to be indexed.
        name: String,
        /// Its size in bytes.
        len: u64,
    },
    /// There are more blocks than an index may hold.
    #[error("image/partition size ({bytes}) is too large", bytes = len.get())]
    TooLarge {
        /// What was to be indexed.
        name: String,
        /// Its size.
        len: ByteLen,
    },
    /// An index file is not a list of hashes.
    #[error("index {name} of {len} bytes is not a list of hashes")]
    Malformed {
        /// The index.
        name: String,
        /// Its size in bytes.
        len: u64,
    },
    /// The index and the image of a bundle do not belong together.
    #[error("index of {name} has {found} hashes, its image has {expected} blocks")]
    WrongLength {
        /// The image.
        name: String,
        /// Blocks of the image.
        expected: u64,
        /// Hashes of the index.
        found: u64,
    },
    /// A block of the bundle is not the one that its index names.
    #[error("block {block} of {name} differs from its index")]
    WrongBlock {
        /// The image.
        name: String,
        /// Number of the block.
        block: u64,
    },
    /// The bundle cannot be read.
    #[error("cannot read the image of the bundle")]
    Bundle(#[source] Box<BundleError>),
    /// A slot cannot be read.
    #[error("cannot read {name}")]
    Old {
        /// The slot's device.
        name: String,
        /// The cause.
        #[source]
        source: SourceError,
    },
    /// A reader below failed.
    #[error("cannot read")]
    Input(#[source] io::Error),
    /// The reader failed before; what it would give now is not the image.
    #[error("an earlier failure ended the reading")]
    Poisoned,
    /// Somebody asked to stop.
    #[error("stopped on request")]
    Stopped,
}

impl AdaptiveError {
    pub(crate) fn into_io(self) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, self)
    }

    /// The failure behind an [`io::Error`] of [`super::AdaptiveImage`].
    #[must_use]
    pub fn cause(failure: io::Error) -> Self {
        failure.downcast::<Self>().unwrap_or_else(Self::Input)
    }
}
