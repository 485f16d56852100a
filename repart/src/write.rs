// SPDX-License-Identifier: MIT OR Apache-2.0
//! In which order do the copies of a table reach the disk?
//!
//! One copy is whole at any moment: a copy is written, flushed, read back past the cache and
//! compared before the other is touched. A cut inside the backup leaves the primary; a cut inside
//! the primary leaves the backup. Sector 0 is never written here.

use crate::encode::{Content, EncodedCopy, TableCopyName};
use crate::table::Shape;
use std::io;
use storage::{Storage, StorageError};

/// A copy of the table did not reach the disk.
#[derive(Debug, thiserror::Error)]
pub enum WriteTableError {
    /// The bytes could not be made.
    #[error("cannot encode the {copy} of the partition table")]
    Encode {
        /// Which copy.
        copy: TableCopyName,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The disk refused.
    #[error("cannot write the {copy} of the partition table")]
    Storage {
        /// Which copy.
        copy: TableCopyName,
        /// Cause.
        #[source]
        source: StorageError,
    },
    /// The disk accepted the bytes and returned others.
    #[error("the {copy} of the partition table reads back different from what was written")]
    ReadBack {
        /// Which copy.
        copy: TableCopyName,
    },
}

/// Writes the backup, then the primary.
pub(crate) fn write_both(
    disk: &mut dyn Storage,
    shape: Shape,
    content: &Content,
) -> Result<(), WriteTableError> {
    write_copy(disk, shape, content, TableCopyName::Backup)?;
    write_copy(disk, shape, content, TableCopyName::Primary)
}

/// Writes one copy durably and proves it.
pub(crate) fn write_copy(
    disk: &mut dyn Storage,
    shape: Shape,
    content: &Content,
    copy: TableCopyName,
) -> Result<(), WriteTableError> {
    let encoded =
        content.encode(shape, copy).map_err(|source| WriteTableError::Encode { copy, source })?;
    let same = put(disk, &encoded).map_err(|source| WriteTableError::Storage { copy, source })?;
    if same { Ok(()) } else { Err(WriteTableError::ReadBack { copy }) }
}

/// Whether what was written reads back.
fn put(disk: &mut dyn Storage, copy: &EncodedCopy) -> Result<bool, StorageError> {
    let pieces = [(copy.array_offset, &copy.array), (copy.header_offset, &copy.header)];
    for (offset, bytes) in pieces {
        disk.write_at(offset, bytes)?;
    }
    disk.flush()?;
    let mut same = true;
    for (offset, bytes) in pieces {
        disk.forget_cached(offset, bytes.len() as u64)?;
        let mut found = vec![0; bytes.len()];
        disk.read_at(offset, &mut found)?;
        same &= found == *bytes;
    }
    Ok(same)
}
