// SPDX-License-Identifier: MIT OR Apache-2.0
//! The seam itself: positioned reads and writes with an explicit point of durability.
//!
//! A write is *accepted* when `write_at` returns, *durable* when a later `flush` returns, and
//! *valid* only after it was read back from the medium (`forget_cached`, then `read_at`).

use crate::{ByteLen, StorageError};
use std::path::{Path, PathBuf};

/// What a device is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Size of a logical block in bytes; 512 or 4096 on disks, 1 where bytes are addressable.
    pub sector_bytes: u32,
    /// Size of an erase block in bytes where bits can only be cleared by writing (NOR flash):
    /// there a write is a logical AND and `erase` alone sets bits. `None` on disks and files.
    pub erase_bytes: Option<u32>,
}

/// A device, partition or image that can be read and written at byte offsets.
///
/// Reads and writes are whole or an error; ranges outside the device are refused before anything
/// is touched. After a failed write or flush every further call fails with
/// [`StorageError::Poisoned`].
#[expect(clippy::len_without_is_empty, reason = "a device of no bytes is an error, not a state")]
pub trait Storage: Send {
    /// The name a user knows the device by, for messages.
    fn label(&self) -> &str;

    /// The size of the device in bytes.
    fn len(&self) -> ByteLen;

    /// Sector and erase block sizes.
    fn geometry(&self) -> Geometry;

    /// Fills `buf` from byte `offset`.
    ///
    /// # Errors
    /// [`StorageError::OutOfBounds`] or [`StorageError::Read`].
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), StorageError>;

    /// Writes all of `data` at byte `offset`; not durable before [`Storage::flush`].
    /// On NOR flash (`erase_bytes` is set) bits can only go from 1 to 0.
    ///
    /// # Errors
    /// [`StorageError::OutOfBounds`], [`StorageError::ReadOnly`] or [`StorageError::Write`].
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), StorageError>;

    /// Sets `len` bytes at `offset` to 0xFF. On NOR flash in whole erase blocks; elsewhere it is
    /// an ordinary write.
    ///
    /// # Errors
    /// As [`Storage::write_at`], and [`StorageError::UnalignedErase`].
    fn erase(&mut self, offset: u64, len: u64) -> Result<(), StorageError>;

    /// Makes everything accepted so far durable, through every cache the device has.
    ///
    /// # Errors
    /// [`StorageError::Flush`].
    fn flush(&mut self) -> Result<(), StorageError>;

    /// Drops cached content of the range, so that the next read comes from the medium.
    /// Call it after [`Storage::flush`]; dirty data need not be dropped.
    ///
    /// # Errors
    /// [`StorageError::Read`] when the cache cannot be dropped.
    fn forget_cached(&mut self, offset: u64, len: u64) -> Result<(), StorageError>;
}

/// How a device is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// For reading only; others may write.
    ReadOnly,
    /// For writing; on a block device exclusively, so a mounted one is refused.
    ReadWrite,
    /// For writing to a place of a disk that no partition holds, such as an environment in raw
    /// MMC, while partitions of the disk are mounted. Not exclusive.
    WriteBeside,
}

impl Access {
    /// Whether anything may be written.
    #[must_use]
    pub const fn writes(self) -> bool {
        match self {
            Self::ReadOnly => false,
            Self::ReadWrite | Self::WriteBeside => true,
        }
    }
}

/// Finds and opens devices by the path that configuration names.
///
/// On a board this opens `/dev/…`; on a virtual board the same paths lead into image files.
pub trait Devices {
    /// Opens `device`.
    ///
    /// # Errors
    /// [`StorageError::Absent`], [`StorageError::Busy`], [`StorageError::ReadOnly`] or
    /// [`StorageError::Open`].
    fn open(&self, device: &Path, access: Access) -> Result<Box<dyn Storage>, StorageError>;

    /// Where `device` is mounted, if it is.
    ///
    /// # Errors
    /// [`StorageError::Open`] when the mount table cannot be read.
    fn mounted_at(&self, device: &Path) -> Result<Option<PathBuf>, StorageError>;
}

/// Refuses a range that does not lie wholly inside `size`, before any arithmetic on it.
pub(crate) fn check_range(
    label: &str,
    size: ByteLen,
    offset: u64,
    len: u64,
) -> Result<(), StorageError> {
    match offset.checked_add(len) {
        Some(end) if end <= size.get() => Ok(()),
        Some(_) | None => {
            Err(StorageError::OutOfBounds { label: label.to_owned(), offset, len, size })
        }
    }
}

/// Passes every call on to the device behind a pointer.
macro_rules! forward_storage {
    ($pointer:ty) => {
        impl<S: Storage + ?Sized> Storage for $pointer {
            fn label(&self) -> &str {
                (**self).label()
            }

            fn len(&self) -> ByteLen {
                (**self).len()
            }

            fn geometry(&self) -> Geometry {
                (**self).geometry()
            }

            fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
                (**self).read_at(offset, buf)
            }

            fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), StorageError> {
                (**self).write_at(offset, data)
            }

            fn erase(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
                (**self).erase(offset, len)
            }

            fn flush(&mut self) -> Result<(), StorageError> {
                (**self).flush()
            }

            fn forget_cached(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
                (**self).forget_cached(offset, len)
            }
        }
    };
}

forward_storage!(Box<S>);
forward_storage!(&mut S);
