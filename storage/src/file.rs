// SPDX-License-Identifier: MIT OR Apache-2.0
//! Disk images in plain files: the devices of a virtual board, of tests and of laptops.
//!
//! Never creates a file when it was asked to open one: a mistyped device path must not become a
//! file of that name that swallows an update.

use crate::device::check_range;
use crate::direct::Direct;
use crate::{Access, ByteLen, Geometry, Storage, StorageError};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes of 0xFF written at once by an erase outside NOR flash.
const ERASE_CHUNK_BYTES: usize = 64 * 1024;

/// `posix_fadvise` skips pages that the range covers only in part; widening it to this multiple
/// covers the largest page size in use (64 KiB on some arm64 kernels).
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
const LARGEST_PAGE_BYTES: u64 = 64 * 1024;

/// An open file or device node with positioned I/O, shared by images, block devices and flash.
/// It knows when it must no longer be trusted.
#[derive(Debug)]
pub(crate) struct Handle {
    file: File,
    direct: Option<Direct>,
    label: String,
    size: ByteLen,
    access: Access,
    poisoned: bool,
}

impl Handle {
    pub(crate) fn new(file: File, label: String, size: ByteLen, access: Access) -> Self {
        Self { file, direct: None, label, size, access, poisoned: false }
    }

    /// Lets large transfers pass the page cache by, where the file system can.
    pub(crate) fn with_direct(mut self, path: &Path) -> Self {
        self.direct = Direct::open(path, self.access, &self.file);
        self
    }

    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    pub(crate) fn size(&self) -> ByteLen {
        self.size
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Refuses a range outside the device, and everything once a write or flush has failed.
    pub(crate) fn check(&self, offset: u64, len: u64) -> Result<(), StorageError> {
        if self.poisoned {
            return Err(StorageError::Poisoned { label: self.label.clone() });
        }
        check_range(&self.label, self.size, offset, len)
    }

    pub(crate) fn check_write(&self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.check(offset, len)?;
        match self.access {
            Access::ReadWrite | Access::WriteBeside => Ok(()),
            Access::ReadOnly => Err(StorageError::ReadOnly { label: self.label.clone() }),
        }
    }

    pub(crate) fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        let len = buf.len() as u64;
        self.check(offset, len)?;
        let mut read = || {
            let done = match &self.direct {
                Some(direct) => direct.read_front(offset, buf)?,
                None => 0,
            };
            let rest = buf.get_mut(done..).unwrap_or_default();
            self.file.read_exact_at(rest, offset + done as u64)
        };
        let failed = |source| StorageError::Read { label: self.label.clone(), offset, len, source };
        read().map_err(failed)
    }

    pub(crate) fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), StorageError> {
        self.check_write(offset, data.len() as u64)?;
        let write = || {
            let done = match &self.direct {
                Some(direct) => direct.write_front(offset, data)?,
                None => 0,
            };
            self.file.write_all_at(data.get(done..).unwrap_or_default(), offset + done as u64)
        };
        let written = write();
        written.map_err(|source| self.write_failed(offset, data.len() as u64, source))
    }

    /// The error of a failed write or erase; from here on the handle refuses everything, because
    /// nobody knows what is on the medium.
    pub(crate) fn write_failed(
        &mut self,
        offset: u64,
        len: u64,
        source: io::Error,
    ) -> StorageError {
        self.poisoned = true;
        StorageError::Write { label: self.label.clone(), offset, len, source }
    }

    /// An erase where bits can be set by writing: 0xFF over the range.
    pub(crate) fn fill_erased(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.check_write(offset, len)?;
        let erased = [0xff; ERASE_CHUNK_BYTES];
        let mut done = 0;
        while done < len {
            let step = (len - done).min(ERASE_CHUNK_BYTES as u64);
            // `step` is at most the chunk's length.
            let chunk = erased.get(..usize::try_from(step).unwrap_or(0)).unwrap_or_default();
            self.write_at(offset + done, chunk)?;
            done += step;
        }
        Ok(())
    }

    /// `fsync`, which on a block device also empties the drive's own write cache. The kernel
    /// reports a lost write to one `fsync` only, so a second call would lie: hence the poison.
    pub(crate) fn flush(&mut self) -> Result<(), StorageError> {
        self.check(0, 0)?;
        if self.access == Access::ReadOnly {
            return Ok(());
        }
        self.file.sync_all().map_err(|source| {
            self.poisoned = true;
            StorageError::Flush { label: self.label.clone(), source }
        })
    }

    /// Drops clean pages of the range. Chosen over `BLKFLSBUF` because that needs a capability
    /// and throws away the cache of the whole device for every block that is read back.
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    pub(crate) fn forget_cached(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
        self.check(offset, len)?;
        if len == 0 {
            // To the kernel a length of 0 means "to the end".
            return Ok(());
        }
        let start = offset - offset % LARGEST_PAGE_BYTES;
        let end = (offset + len).next_multiple_of(LARGEST_PAGE_BYTES);
        let failed = |source| StorageError::Read { label: self.label.clone(), offset, len, source };
        let (Ok(at), Ok(wide)) = (i64::try_from(start), i64::try_from(end - start)) else {
            return Err(failed(io::ErrorKind::InvalidInput.into()));
        };
        posix_fadvise(&self.file, at, wide, PosixFadviseAdvice::POSIX_FADV_DONTNEED)
            .map_err(|errno| failed(errno.into()))
    }

    /// This system has no such call: a read back may come from memory. Boards run Linux.
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    pub(crate) fn forget_cached(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.check(offset, len)
    }
}

/// The flag with which the kernel refuses a block device that is in use; a writer beside others
/// goes without.
pub(crate) const fn exclusive(access: Access) -> i32 {
    match access {
        Access::ReadWrite => nix::libc::O_EXCL,
        Access::ReadOnly | Access::WriteBeside => 0,
    }
}

/// Opens an existing node; what the failure means is read from its kind.
pub(crate) fn open_node(
    path: &Path,
    label: &str,
    access: Access,
    flags: i32,
) -> Result<File, StorageError> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new()
        .read(true)
        .write(access.writes())
        .create(false)
        .custom_flags(flags)
        .open(path)
        .map_err(|source| {
            let label = label.to_owned();
            if source.kind() == io::ErrorKind::NotFound {
                StorageError::Absent { label }
            } else if source.kind() == io::ErrorKind::ResourceBusy {
                StorageError::Busy { label }
            } else if source.kind() == io::ErrorKind::ReadOnlyFilesystem {
                StorageError::ReadOnly { label }
            } else {
                StorageError::Open { label, source }
            }
        })
}

/// A disk image in a plain file.
#[derive(Debug)]
pub struct FileStorage {
    handle: Handle,
}

impl FileStorage {
    /// Opens an existing image; messages call it by its path.
    ///
    /// # Errors
    /// As [`FileStorage::open_as`].
    pub fn open(path: &Path, access: Access) -> Result<Self, StorageError> {
        Self::open_as(path, path.display().to_string(), access)
    }

    /// Opens an existing image; messages call it `label`.
    ///
    /// # Errors
    /// [`StorageError::Absent`], [`StorageError::ReadOnly`] or [`StorageError::Open`], also when
    /// the path is no plain file.
    pub fn open_as(
        path: &Path,
        label: impl Into<String>,
        access: Access,
    ) -> Result<Self, StorageError> {
        let label = label.into();
        let file = open_node(path, &label, access, 0)?;
        let facts = file
            .metadata()
            .map_err(|source| StorageError::Open { label: label.clone(), source })?;
        if !facts.is_file() {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "not a plain file");
            return Err(StorageError::Open { label, source });
        }
        let handle = Handle::new(file, label, ByteLen::new(facts.len()), access);
        Ok(Self { handle: handle.with_direct(path) })
    }

    /// Makes a new image of `size` bytes that takes no room before it is written; all bytes read
    /// as zero. File and name are durable when this returns.
    ///
    /// # Errors
    /// [`StorageError::Open`], also when the file exists already.
    pub fn create_sparse(path: &Path, size: ByteLen) -> Result<Self, StorageError> {
        let label = path.display().to_string();
        let create = || {
            let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
            file.set_len(size.get())?;
            file.sync_all()?;
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
            Ok(file)
        };
        let file =
            create().map_err(|source| StorageError::Open { label: label.clone(), source })?;
        let handle = Handle::new(file, label, size, Access::ReadWrite);
        Ok(Self { handle: handle.with_direct(path) })
    }
}

impl Storage for FileStorage {
    fn label(&self) -> &str {
        self.handle.label()
    }

    fn len(&self) -> ByteLen {
        self.handle.size()
    }

    fn geometry(&self) -> Geometry {
        Geometry { sector_bytes: 512, erase_bytes: None }
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        self.handle.read_at(offset, buf)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), StorageError> {
        self.handle.write_at(offset, data)
    }

    fn erase(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.handle.fill_erased(offset, len)
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        self.handle.flush()
    }

    fn forget_cached(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.handle.forget_cached(offset, len)
    }
}
