// SPDX-License-Identifier: MIT OR Apache-2.0
//! A part of a device lent for a while, where an owned device is asked for.

use storage::{ByteLen, Geometry, Storage, StorageError};

/// Forwards every call to the device it borrows.
pub(crate) struct Borrowed<'a>(pub(crate) &'a mut dyn Storage);

impl Storage for Borrowed<'_> {
    fn label(&self) -> &str {
        self.0.label()
    }

    fn len(&self) -> ByteLen {
        self.0.len()
    }

    fn geometry(&self) -> Geometry {
        self.0.geometry()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        self.0.read_at(offset, buf)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), StorageError> {
        self.0.write_at(offset, data)
    }

    fn erase(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.0.erase(offset, len)
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        self.0.flush()
    }

    fn forget_cached(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.0.forget_cached(offset, len)
    }
}
