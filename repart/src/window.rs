// SPDX-License-Identifier: MIT OR Apache-2.0
//! A few sectors of a disk in memory, addressed by their place on the disk.
//!
//! The `gpt` crate wants to read and seek a whole disk. It only ever gets this: bytes that were
//! read within our limits, or bytes that are still to be written in our order.

use std::io::{self, Read, Seek, SeekFrom, Write};

/// Bytes `base .. base + bytes.len()` of a disk.
#[derive(Debug)]
pub(crate) struct Window {
    base: u64,
    bytes: Vec<u8>,
    position: u64,
}

impl Window {
    pub(crate) fn new(base: u64, bytes: Vec<u8>) -> Self {
        Self { base, bytes, position: base }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The position inside `bytes`, or `None` outside the window.
    fn index(&self) -> Option<usize> {
        let index = usize::try_from(self.position.checked_sub(self.base)?).ok()?;
        (index <= self.bytes.len()).then_some(index)
    }
}

impl Read for Window {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let rest = self.index().and_then(|index| self.bytes.get(index..)).unwrap_or_default();
        let count = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.position = self.position.saturating_add(count as u64);
        Ok(count)
    }
}

impl Write for Window {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let index = self.index().unwrap_or(self.bytes.len());
        let rest = self.bytes.get_mut(index..).unwrap_or_default();
        let count = rest.len().min(data.len());
        if let (Some(to), Some(from)) = (rest.get_mut(..count), data.get(..count)) {
            to.copy_from_slice(from);
        }
        self.position = self.position.saturating_add(count as u64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Window {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => {
                self.base.saturating_add(self.bytes.len() as u64).checked_add_signed(by)
            }
        };
        self.position = place.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
