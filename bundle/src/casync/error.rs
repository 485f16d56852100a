// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why an image cannot be put together from chunks, or taken apart into them.

use super::ChunkId;
use crate::SourceError;
use std::io;
use std::path::PathBuf;
use storage::ByteLen;

/// What is wrong with a chunk that somebody gave us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkFault {
    /// Its compressed form cannot be expanded.
    #[error("it cannot be expanded")]
    Corrupt,
    /// It expands to more than the index says: a small file that would fill the memory stops
    /// here.
    #[error("it expands to more than the {expected} bytes that the index records")]
    TooLong {
        /// Bytes that the index records.
        expected: u32,
    },
    /// The index records another length.
    #[error("it has {found} bytes, the index records {expected}")]
    Length {
        /// Bytes that the index records.
        expected: u32,
        /// Bytes it has.
        found: u32,
    },
    /// Its hash is not its name.
    #[error("its content is not the one it is named after")]
    Hash,
}

/// Why casync data cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CasyncError {
    /// An index contradicts itself or the format.
    #[error("chunk index is corrupt at byte {offset}: {what}")]
    Index {
        /// Where.
        offset: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// An index that no device should read.
    #[error("chunk index of {found} is larger than the {limit} allowed")]
    IndexTooLarge {
        /// Its size.
        found: ByteLen,
        /// The limit.
        limit: ByteLen,
    },
    /// No seed and no store has the chunk.
    #[error("chunk {id} is not in {store}")]
    ChunkMissing {
        /// The chunk.
        id: ChunkId,
        /// The store.
        store: String,
    },
    /// The store has something else under the chunk's name.
    #[error("{store} has a wrong chunk under the name {id}")]
    Chunk {
        /// The chunk.
        id: ChunkId,
        /// The store.
        store: String,
        /// What is wrong.
        #[source]
        source: ChunkFault,
    },
    /// The store cannot be read.
    #[error("cannot read chunks of {store}")]
    Store {
        /// The store.
        store: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file or directory cannot be read or written.
    #[error("cannot {act} {path}", path = path.display())]
    File {
        /// What was tried.
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A source of bytes failed.
    #[error("cannot read an old content")]
    Source(#[from] SourceError),
    /// The image or archive that is read fails.
    #[error("cannot read the image")]
    Input(#[source] io::Error),
    /// An archive contradicts itself or the format.
    #[error("archive is corrupt at byte {offset}: {what}")]
    Archive {
        /// Where.
        offset: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// An archive holds what no device should unpack.
    #[error("archive is refused at byte {offset}: {what}")]
    Refused {
        /// Where.
        offset: u64,
        /// Which rule it breaks.
        what: &'static str,
    },
    /// A tar holds what an archive cannot keep.
    #[error("tar is not readable at byte {offset}: {what}")]
    Tar {
        /// Where.
        offset: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// Two things of a tree cannot both be.
    #[error("{path:?} of the tree {what}")]
    Tree {
        /// The entry.
        path: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The hash is not to be had from OpenSSL.
    #[error("hash SHA-512/256 is not available in OpenSSL")]
    NoDigest,
    /// The reader failed before; what it would give now is not the image.
    #[error("an earlier failure ended the reading")]
    Poisoned,
    /// Somebody asked to stop.
    #[error("stopped on request")]
    Stopped,
}

impl CasyncError {
    /// A way out, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::ChunkMissing { .. } | Self::Chunk { .. } => Some(
                "publish the whole .castr directory beside the bundle, or name it in [casync] storepath",
            ),
            Self::Index { .. }
            | Self::IndexTooLarge { .. }
            | Self::Store { .. }
            | Self::File { .. }
            | Self::Source(_)
            | Self::Input(_)
            | Self::Archive { .. }
            | Self::Refused { .. }
            | Self::Tar { .. }
            | Self::Tree { .. }
            | Self::NoDigest
            | Self::Poisoned
            | Self::Stopped => None,
        }
    }

    /// As a failure of a [`std::io::Read`]; [`CasyncError::cause`] takes it out again.
    pub(crate) fn into_io(self) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, self)
    }

    /// The failure behind an [`io::Error`] of one of this module's readers.
    #[must_use]
    pub fn cause(failure: io::Error) -> Self {
        failure.downcast::<Self>().unwrap_or_else(Self::Input)
    }
}
