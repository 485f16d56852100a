// SPDX-License-Identifier: MIT OR Apache-2.0
//! A window into a device: a partition inside a disk image, an environment inside a flash.

use crate::device::check_range;
use crate::{ByteLen, Geometry, Storage, StorageError};

/// The bytes `start .. start + len` of another device, addressed from 0.
pub struct View<S> {
    inner: S,
    label: String,
    start: u64,
    len: ByteLen,
}

impl<S: Storage> View<S> {
    /// Opens the window; `label` is what messages call it.
    ///
    /// # Errors
    /// [`StorageError::OutOfBounds`] when the window does not lie inside the device.
    pub fn new(
        inner: S,
        label: impl Into<String>,
        start: u64,
        len: ByteLen,
    ) -> Result<Self, StorageError> {
        check_range(inner.label(), inner.len(), start, len.get())?;
        Ok(Self { inner, label: label.into(), start, len })
    }

    fn translate(&self, offset: u64, len: usize) -> Result<u64, StorageError> {
        check_range(&self.label, self.len, offset, len as u64)?;
        // Cannot overflow: the window was checked to lie inside the device.
        Ok(self.start + offset)
    }
}

impl<S: Storage> Storage for View<S> {
    fn label(&self) -> &str {
        &self.label
    }

    fn len(&self) -> ByteLen {
        self.len
    }

    fn geometry(&self) -> Geometry {
        self.inner.geometry()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        self.inner.read_at(self.translate(offset, buf.len())?, buf)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), StorageError> {
        let at = self.translate(offset, data.len())?;
        self.inner.write_at(at, data)
    }

    fn erase(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        check_range(&self.label, self.len, offset, len)?;
        self.inner.erase(self.start + offset, len)
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        self.inner.flush()
    }

    fn forget_cached(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        check_range(&self.label, self.len, offset, len)?;
        self.inner.forget_cached(self.start + offset, len)
    }
}
