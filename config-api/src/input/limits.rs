// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much may an input cost? Limits are kept while reading: no byte beyond them is expanded,
//! stored or waited for. Time needs no limit of its own: the work is bounded by what is expanded.

use std::cell::Cell;
use std::io::{self, Read};

/// The limits of one input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that are handed over.
    pub upload: u64,
    /// Bytes of the expanded archive, its headers and padding included.
    pub expanded: u64,
    /// Members of the archive.
    pub members: usize,
    /// Bytes of one member.
    pub member: u64,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self { upload: 32 * MIB, expanded: 256 * MIB, members: 4096, member: 64 * MIB }
    }
}

/// Reads at most so many bytes; one more is an error, and is remembered.
pub(super) struct Limited<'l, R> {
    inner: R,
    left: u64,
    exceeded: &'l Cell<bool>,
}

impl<'l, R> Limited<'l, R> {
    pub(super) const fn new(inner: R, most: u64, exceeded: &'l Cell<bool>) -> Self {
        Self { inner, left: most, exceeded }
    }
}

impl<R: Read> Read for Limited<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            if self.inner.read(&mut [0])? == 0 {
                return Ok(0);
            }
            self.exceeded.set(true);
            return Err(io::Error::other("more bytes than allowed"));
        }
        let count = (&mut self.inner).take(self.left).read(buf)?;
        self.left -= count as u64;
        Ok(count)
    }
}
