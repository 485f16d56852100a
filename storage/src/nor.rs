// SPDX-License-Identifier: MIT OR Apache-2.0
//! NOR flash on top of anything: the SPI chip of a virtual board, kept in an image file.
//!
//! Writing can only clear bits (a logical AND with what is there); only an erase of whole blocks
//! sets them. Code that forgets to erase fails here as it would on the chip.

use crate::device::check_range;
use crate::{ByteLen, Geometry, Storage, StorageError};

/// Bytes combined at once by a write; bounds the memory of a large one.
const CHUNK_BYTES: usize = 64 * 1024;

/// Gives `S` the behaviour of NOR flash with erase blocks of a chosen size.
#[derive(Debug)]
pub struct NorFlash<S> {
    inner: S,
    erase_bytes: u32,
}

impl<S: Storage> NorFlash<S> {
    /// Flash of erase blocks of `erase_bytes` over `inner`.
    pub fn new(inner: S, erase_bytes: u32) -> Self {
        Self { inner, erase_bytes }
    }

    /// What lies below.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

/// Refuses an erase that does not cover whole erase blocks; a block of no bytes has no whole.
pub(crate) fn check_erase(
    label: &str,
    erase_bytes: u32,
    offset: u64,
    len: u64,
) -> Result<(), StorageError> {
    let block = u64::from(erase_bytes);
    if block != 0 && offset.is_multiple_of(block) && len.is_multiple_of(block) {
        return Ok(());
    }
    Err(StorageError::UnalignedErase { label: label.to_owned(), offset, len })
}

impl<S: Storage> Storage for NorFlash<S> {
    fn label(&self) -> &str {
        self.inner.label()
    }

    fn len(&self) -> ByteLen {
        self.inner.len()
    }

    fn geometry(&self) -> Geometry {
        Geometry { sector_bytes: 1, erase_bytes: Some(self.erase_bytes) }
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        self.inner.read_at(offset, buf)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), StorageError> {
        check_range(self.label(), self.len(), offset, data.len() as u64)?;
        let mut at = offset;
        for chunk in data.chunks(CHUNK_BYTES) {
            let mut bytes = vec![0; chunk.len()];
            self.inner.read_at(at, &mut bytes)?;
            for (old, new) in bytes.iter_mut().zip(chunk) {
                *old &= new;
            }
            self.inner.write_at(at, &bytes)?;
            at += chunk.len() as u64;
        }
        Ok(())
    }

    fn erase(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        check_range(self.label(), self.len(), offset, len)?;
        check_erase(self.label(), self.erase_bytes, offset, len)?;
        self.inner.erase(offset, len)
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        self.inner.flush()
    }

    fn forget_cached(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.inner.forget_cached(offset, len)
    }
}
