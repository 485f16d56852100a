// SPDX-License-Identifier: MIT OR Apache-2.0
//! One device held by several owners: two environment copies on one flash, two partitions on one
//! disk image, a test that looks at the medium while the code under test writes it.

use crate::{ByteLen, Geometry, Storage, StorageError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A cloneable handle on one device; calls are serialised.
pub struct Shared<S> {
    inner: Arc<Mutex<S>>,
    label: Arc<str>,
}

impl<S: Storage> Shared<S> {
    /// Shares `storage`.
    pub fn new(storage: S) -> Self {
        let label = Arc::from(storage.label());
        Self { inner: Arc::new(Mutex::new(storage)), label }
    }

    /// Runs `act` with the device itself.
    pub fn with<T>(&self, act: impl FnOnce(&mut S) -> T) -> T {
        act(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, S> {
        // A panic elsewhere does not change what is on the medium, so the guard is taken over.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), label: Arc::clone(&self.label) }
    }
}

impl<S: Storage> Storage for Shared<S> {
    fn label(&self) -> &str {
        &self.label
    }

    fn len(&self) -> ByteLen {
        self.lock().len()
    }

    fn geometry(&self) -> Geometry {
        self.lock().geometry()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        self.lock().read_at(offset, buf)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), StorageError> {
        self.lock().write_at(offset, data)
    }

    fn erase(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.lock().erase(offset, len)
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        self.lock().flush()
    }

    fn forget_cached(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.lock().forget_cached(offset, len)
    }
}
