// SPDX-License-Identifier: MIT OR Apache-2.0
//! An image on its way into a program: counted and hashed as it passes, so that what a program
//! was given is what was signed.

use super::error::SlotHandlerError;
use super::job::SlotImage;
use crate::{SlotName, StopQuestion};
use openssl::sha::Sha256;
use std::io::{self, Read};
use storage::Digest;

/// Hashes what is read through it; told the number of bytes as they pass.
pub(super) struct Counted<'a> {
    inner: &'a mut dyn Read,
    hash: Sha256,
    len: u64,
    expected: u64,
    tell: &'a mut dyn FnMut(u64),
    stop: StopQuestion<'a>,
}

impl<'a> Counted<'a> {
    pub fn new(
        inner: &'a mut dyn Read,
        expected: u64,
        tell: &'a mut dyn FnMut(u64),
        stop: StopQuestion<'a>,
    ) -> Self {
        Self { inner, hash: Sha256::new(), len: 0, expected, tell, stop }
    }

    /// Reads what is left, and compares length and digest with the manifest's.
    pub fn finish(mut self, slot: &SlotName, image: &SlotImage) -> Result<(), SlotHandlerError> {
        // A program may leave what lies behind its format's end; that is signed too.
        io::copy(&mut self, &mut io::sink()).map_err(|source| match (self.stop)() {
            Some(by) => SlotHandlerError::Stopped { by },
            None => SlotHandlerError::ReadImage { slot: slot.clone(), source },
        })?;
        if self.len != image.size.get() {
            let (expected, found) = (image.size.get(), self.len);
            return Err(SlotHandlerError::WrongLength { slot: slot.clone(), expected, found });
        }
        let found = Digest::from_bytes(self.hash.finish());
        let expected = image.digest.expected();
        if found == expected {
            return Ok(());
        }
        Err(SlotHandlerError::WrongImage { slot: slot.clone(), expected, found })
    }
}

impl Read for Counted<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.len > self.expected {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the image is longer than the manifest says",
            ));
        }
        if let Some(by) = (self.stop)() {
            return Err(io::Error::other(format!("stopped by {by}")));
        }
        let read = self.inner.read(buf)?;
        self.hash.update(buf.get(..read).unwrap_or_default());
        self.len = self.len.saturating_add(read as u64);
        (self.tell)(read as u64);
        Ok(read)
    }
}
