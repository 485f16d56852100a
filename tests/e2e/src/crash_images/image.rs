// SPDX-License-Identifier: MIT OR Apache-2.0
//! How is an image read that nobody has written? From the base, except where the log counts.

use super::extents::{Extents, From};
use anyhow::Result;
use std::path::Path;
use std::sync::Arc;
use storage::{Access, ByteLen, FileStorage, Geometry, Storage, StorageError, View};

/// Unit in which an image is copied into a file; zeros stay holes.
const COPY_BYTES: usize = 64 * 1024;

/// Disk and card as a cut may have left them, read-only.
pub struct CrashImage<'a, B, L> {
    pub(super) base: &'a B,
    pub(super) log: &'a L,
    pub(super) disk_bytes: u64,
    pub(super) extents: Arc<Extents>,
}

impl<B, L> Clone for CrashImage<'_, B, L> {
    fn clone(&self) -> Self {
        Self { extents: Arc::clone(&self.extents), ..*self }
    }
}

impl<B: Storage + Sync, L: Storage + Sync> CrashImage<'_, B, L> {
    /// The disk.
    ///
    /// # Errors
    /// When the base is smaller than it.
    pub fn disk(&self) -> Result<View<Self>> {
        Ok(View::new(self.clone(), "disk", 0, ByteLen::new(self.disk_bytes))?)
    }

    /// The card.
    ///
    /// # Errors
    /// When the base is smaller than the disk.
    pub fn card(&self) -> Result<View<Self>> {
        let len = self.base.len().get().saturating_sub(self.disk_bytes);
        Ok(View::new(self.clone(), "card", self.disk_bytes, ByteLen::new(len))?)
    }

    /// Copies disk and card into files, sparsely.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write_to(&self, disk: &Path, card: &Path) -> Result<()> {
        let (from_disk, from_card) = (self.disk()?, self.card()?);
        let mut disk = FileStorage::create_sparse(disk, from_disk.len())?;
        let mut card = FileStorage::create_sparse(card, from_card.len())?;
        copy_sparsely(&from_disk, &mut disk, 0)?;
        copy_sparsely(&from_card, &mut card, 0)
    }
}

/// Puts a disk and a card into one file, the card behind the disk, sparsely.
///
/// # Errors
/// When a file cannot be read or written.
pub fn join(disk: &Path, card: &Path, joined: &Path) -> Result<ByteLen> {
    let disk = FileStorage::open(disk, Access::ReadOnly)?;
    let card = FileStorage::open(card, Access::ReadOnly)?;
    let disk_len = disk.len();
    let len = ByteLen::new(disk_len.get() + card.len().get());
    let mut joined = FileStorage::create_sparse(joined, len)?;
    copy_sparsely(&disk, &mut joined, 0)?;
    copy_sparsely(&card, &mut joined, disk_len.get())?;
    Ok(disk_len)
}

/// Copies everything but zeros.
fn copy_sparsely(from: &impl Storage, to: &mut FileStorage, place: u64) -> Result<()> {
    let mut buffer = vec![0; COPY_BYTES];
    let mut at = 0;
    while at < from.len().get() {
        let left = usize::try_from(from.len().get() - at)?;
        buffer.truncate(left);
        from.read_at(at, &mut buffer)?;
        if buffer.iter().any(|byte| *byte != 0) {
            to.write_at(place + at, &buffer)?;
        }
        at += buffer.len() as u64;
    }
    Ok(())
}

impl<B: Storage + Sync, L: Storage + Sync> Storage for CrashImage<'_, B, L> {
    fn label(&self) -> &str {
        "crash image"
    }

    fn len(&self) -> ByteLen {
        self.base.len()
    }

    fn geometry(&self) -> Geometry {
        self.base.geometry()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        self.base.read_at(offset, buf)?;
        let end = offset.saturating_add(buf.len() as u64);
        for extent in self.extents.overlapping(offset, end) {
            let (from, to) = (extent.start.max(offset), extent.end.min(end));
            let place = |at: u64| usize::try_from(at - offset).unwrap_or(usize::MAX);
            let Some(part) = buf.get_mut(place(from)..place(to)) else { continue };
            match extent.from {
                From::Log(log) => self.log.read_at(log + (from - extent.start), part)?,
                From::Zeros => part.fill(0),
            }
        }
        Ok(())
    }

    fn write_at(&mut self, _: u64, _: &[u8]) -> Result<(), StorageError> {
        Err(StorageError::ReadOnly { label: self.label().to_owned() })
    }

    fn erase(&mut self, _: u64, _: u64) -> Result<(), StorageError> {
        Err(StorageError::ReadOnly { label: self.label().to_owned() })
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        Ok(())
    }

    fn forget_cached(&mut self, _: u64, _: u64) -> Result<(), StorageError> {
        Ok(())
    }
}
