// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device that is only read, for so long and so much and no more: a stick that answers slowly,
//! or whose file system leads round in circles, costs a bounded time.

use std::io;
use std::time::Instant;
use storage::{ByteLen, Geometry, Storage, StorageError};

/// The device.
pub(super) struct Patient<S> {
    inner: S,
    until: Instant,
    /// How much of it may be told in this time; an atomic is not needed, but `read_at` has `&self`.
    left: std::cell::Cell<u64>,
}

impl<S: Storage> Patient<S> {
    /// Reads until then, and so many bytes.
    pub(super) const fn new(inner: S, until: Instant, bytes: u64) -> Self {
        Self { inner, until, left: std::cell::Cell::new(bytes) }
    }

    fn failed(&self, offset: u64, len: usize, why: &'static str) -> StorageError {
        StorageError::Read {
            label: self.inner.label().to_owned(),
            offset,
            len: len as u64,
            source: io::Error::new(io::ErrorKind::TimedOut, why),
        }
    }
}

impl<S: Storage> Storage for Patient<S> {
    fn label(&self) -> &str {
        self.inner.label()
    }

    fn len(&self) -> ByteLen {
        self.inner.len()
    }

    fn geometry(&self) -> Geometry {
        self.inner.geometry()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        if Instant::now() >= self.until {
            return Err(self.failed(offset, buf.len(), "it answers too slowly"));
        }
        let left = self.left.get().checked_sub(buf.len() as u64);
        let left = left.ok_or_else(|| self.failed(offset, buf.len(), "too much has to be read"))?;
        self.left.set(left);
        self.inner.read_at(offset, buf)
    }

    fn write_at(&mut self, _: u64, _: &[u8]) -> Result<(), StorageError> {
        Err(StorageError::ReadOnly { label: self.inner.label().to_owned() })
    }

    fn erase(&mut self, _: u64, _: u64) -> Result<(), StorageError> {
        Err(StorageError::ReadOnly { label: self.inner.label().to_owned() })
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        Ok(())
    }

    fn forget_cached(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.inner.forget_cached(offset, len)
    }
}
