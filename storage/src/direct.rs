// SPDX-License-Identifier: MIT OR Apache-2.0
//! Large transfers that do not pass through the page cache (`O_DIRECT` of `open(2)`).
//!
//! An image that is written through the cache fills the memory of a small board with dirty pages,
//! stops everything else at the flush, costs a copy of every byte, and what is read back may be
//! the cache's own opinion. Small and unaligned transfers gain nothing and take the ordinary way;
//! the kernel keeps both ways coherent. Where a file system knows no direct transfers (some that
//! live in memory) everything goes the ordinary way.

use crate::Access;
use std::fs::File;
use std::io;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// What offset, length and address must be a multiple of. Devices ask for their logical block;
/// none has a larger one.
const ALIGNMENT: usize = 4096;

/// Smaller transfers are quicker through the cache.
const SMALLEST_BYTES: usize = 64 * 1024;

/// A buffer that starts at an address from which devices transfer directly.
///
/// ```
/// let mut buffer = storage::AlignedBuffer::zeroed(10);
/// buffer.set_len(3);
/// buffer.copy_from_slice(b"abc");
/// assert_eq!(*buffer, *b"abc");
/// ```
#[derive(Debug)]
pub struct AlignedBuffer {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl AlignedBuffer {
    /// `len` zeros.
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        let bytes = vec![0; len + ALIGNMENT];
        // The address of a vector's bytes does not change while it neither grows nor shrinks.
        let start = bytes.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Self { bytes, start, len }
    }

    /// Makes the buffer end after `len` bytes, at most as many as it was made with.
    pub fn set_len(&mut self, len: usize) {
        self.len = len.min(self.bytes.len() - ALIGNMENT);
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(self.start..self.start + self.len).unwrap_or_default()
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..self.start + self.len).unwrap_or_default()
    }
}

/// A second handle of an open file or device, for direct transfers.
#[derive(Debug)]
pub(crate) struct Direct {
    file: File,
    /// It was opened, and then a transfer was refused.
    refused: AtomicBool,
}

impl Direct {
    /// Opens `path` again, if it still is what `opened` is and can transfer directly.
    #[cfg(target_os = "linux")]
    pub(crate) fn open(path: &Path, access: Access, opened: &File) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let file = crate::file::open_node(path, "", access, nix::libc::O_DIRECT).ok()?;
        let (first, second) = (opened.metadata().ok()?, file.metadata().ok()?);
        let same = first.dev() == second.dev()
            && first.ino() == second.ino()
            && first.rdev() == second.rdev();
        same.then_some(Self { file, refused: AtomicBool::new(false) })
    }

    /// Other systems have other ways, and no boards.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn open(_: &Path, _: Access, _: &File) -> Option<Self> {
        None
    }

    /// Fills the front of `buf` from byte `offset`; returns how much of it.
    pub(crate) fn read_front(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.direct_len(offset, buf);
        let front = buf.get_mut(..len).unwrap_or_default();
        self.transfer(len, |done| {
            let rest = front.get_mut(done..).unwrap_or_default();
            std::os::unix::fs::FileExt::read_at(&self.file, rest, offset + done as u64)
        })
    }

    /// Writes the front of `data` at byte `offset`; returns how much of it.
    pub(crate) fn write_front(&self, offset: u64, data: &[u8]) -> io::Result<usize> {
        let len = self.direct_len(offset, data);
        self.transfer(len, |done| {
            let rest = data.get(done..len).unwrap_or_default();
            std::os::unix::fs::FileExt::write_at(&self.file, rest, offset + done as u64)
        })
    }

    /// How much of a transfer can go directly.
    fn direct_len(&self, offset: u64, buf: &[u8]) -> usize {
        let aligned = offset.is_multiple_of(ALIGNMENT as u64)
            && buf.as_ptr().align_offset(ALIGNMENT) == 0
            && !self.refused.load(Ordering::Relaxed);
        let whole = buf.len() - buf.len() % ALIGNMENT;
        if aligned && whole >= SMALLEST_BYTES { whole } else { 0 }
    }

    /// Repeats `step`, which is told what is done, as long as it goes on in whole blocks.
    fn transfer(
        &self,
        len: usize,
        mut step: impl FnMut(usize) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut done = 0;
        while done < len && done.is_multiple_of(ALIGNMENT) {
            match step(done) {
                Ok(0) => break,
                Ok(more) => done += more,
                Err(failed) if failed.kind() == io::ErrorKind::Interrupted => {}
                // Refused before anything was transferred: it wants another alignment than ours.
                Err(failed) if failed.kind() == io::ErrorKind::InvalidInput => {
                    self.refused.store(true, Ordering::Relaxed);
                    break;
                }
                Err(failed) => return Err(failed),
            }
        }
        Ok(done)
    }
}
