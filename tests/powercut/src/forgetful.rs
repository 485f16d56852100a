// SPDX-License-Identifier: MIT OR Apache-2.0
//! A medium that loses a sector, and code that looks only at its own cache.

use std::collections::BTreeMap;
use storage::{ByteLen, Geometry, Storage, StorageError};

/// The device of the bad medium.
const BAD: &str = "/dev/rootfs-b";

/// The sector that it loses, in bytes.
const LOST: std::ops::Range<u64> = 2560..3072;

/// Wraps the device of the bad medium: the sector is never written, and whoever reads gets what was
/// accepted, as from a cache that is not dropped.
pub fn forget_a_sector(device: Box<dyn Storage>) -> Box<dyn Storage> {
    if device.label() == BAD {
        Box::new(Forgetful { inner: device, cache: BTreeMap::new() })
    } else {
        device
    }
}

struct Forgetful {
    inner: Box<dyn Storage>,
    /// What was accepted, by its place.
    cache: BTreeMap<u64, Vec<u8>>,
}

impl Storage for Forgetful {
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
        self.inner.read_at(offset, buf)?;
        for (at, data) in &self.cache {
            for (place, byte) in (*at..).zip(data) {
                let within = place.checked_sub(offset).and_then(|at| usize::try_from(at).ok());
                if let Some(found) = within.and_then(|at| buf.get_mut(at)) {
                    *found = *byte;
                }
            }
        }
        Ok(())
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), StorageError> {
        self.cache.insert(offset, data.to_owned());
        let end = offset + data.len() as u64;
        let part = |from: u64, to: u64| {
            let within = |at: u64| usize::try_from(at.clamp(offset, end) - offset).unwrap_or(0);
            data.get(within(from)..within(to)).unwrap_or_default()
        };
        let (before, after) = (part(offset, LOST.start), part(LOST.end, end));
        if !before.is_empty() {
            self.inner.write_at(offset, before)?;
        }
        if after.is_empty() { Ok(()) } else { self.inner.write_at(LOST.end.max(offset), after) }
    }

    fn erase(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.inner.erase(offset, len)
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        self.inner.flush()
    }

    fn forget_cached(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.inner.forget_cached(offset, len)
    }
}
