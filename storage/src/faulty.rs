// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device with one fault at a chosen place, for tests of those who must notice it.

use crate::{ByteLen, Geometry, Storage, StorageError};
use nix::errno::Errno;

/// What is wrong with the device. `at` is a byte offset; an access that covers it is hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Reading the byte fails (EIO).
    Read {
        /// Byte offset.
        at: u64,
    },
    /// Reading the byte fails (EIO) until it is written, as on media that replace a bad sector
    /// when they get a new content for it.
    ReadUntilWritten {
        /// Byte offset.
        at: u64,
    },
    /// Writing or erasing the byte fails (EIO) after what lies before it was done.
    Write {
        /// Byte offset.
        at: u64,
    },
    /// Writing the byte fails for want of room (ENOSPC) after what lies before it was done.
    NoSpace {
        /// Byte offset.
        at: u64,
    },
    /// Everything is accepted, and the byte reads back with one bit wrong.
    ReadsBackWrong {
        /// Byte offset.
        at: u64,
    },
    /// The medium has `at` bytes and claims more: what lies behind is stored at its place modulo
    /// `at`, as on counterfeit cards.
    WrapsAround {
        /// True length in bytes; not 0.
        at: u64,
    },
    /// Flushing fails (EIO).
    Flush,
}

/// A device with one [`Fault`]; wrap it again for a second one. After a failed write or flush it
/// refuses further use, as real handles do.
#[derive(Debug)]
pub struct Faulty<S> {
    inner: S,
    fault: Fault,
    poisoned: bool,
    /// The sector that could not be read was written.
    healed: bool,
}

impl<S: Storage> Faulty<S> {
    /// Gives `inner` the fault.
    pub fn new(inner: S, fault: Fault) -> Self {
        Self { inner, fault, poisoned: false, healed: false }
    }

    fn check_poison(&self) -> Result<(), StorageError> {
        if self.poisoned {
            return Err(StorageError::Poisoned { label: self.inner.label().to_owned() });
        }
        Ok(())
    }

    /// Where and how writing the range fails.
    fn write_fault(&self, offset: u64, len: u64) -> Option<(u64, Errno)> {
        let (at, errno) = match self.fault {
            Fault::Write { at } => (at, Errno::EIO),
            Fault::NoSpace { at } => (at, Errno::ENOSPC),
            Fault::Read { .. }
            | Fault::ReadUntilWritten { .. }
            | Fault::ReadsBackWrong { .. }
            | Fault::WrapsAround { .. }
            | Fault::Flush => return None,
        };
        covered(offset, len, at).map(|before| (before, errno))
    }

    fn write_failed(&mut self, offset: u64, len: u64, errno: Errno) -> StorageError {
        self.poisoned = true;
        let label = self.inner.label().to_owned();
        StorageError::Write { label, offset, len, source: errno.into() }
    }
}

/// How many bytes of the range lie before `at`, when it covers `at`.
fn covered(offset: u64, len: u64, at: u64) -> Option<u64> {
    at.checked_sub(offset).filter(|before| *before < len)
}

/// Where the pieces of a range are on a medium of `size` bytes, each with its length.
fn wrapped(offset: u64, len: u64, size: u64) -> impl Iterator<Item = (u64, usize)> {
    let mut at = offset;
    let end = offset.saturating_add(len);
    std::iter::from_fn(move || {
        let place = at % size;
        let piece = (end - at).min(size - place);
        at += piece;
        // A piece of a buffer in memory.
        (piece > 0).then(|| (place, usize::try_from(piece).unwrap_or(usize::MAX)))
    })
}

impl<S: Storage> Storage for Faulty<S> {
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
        self.check_poison()?;
        let len = buf.len() as u64;
        let fails = match self.fault {
            Fault::Read { at } => covered(offset, len, at).is_some(),
            Fault::ReadUntilWritten { at } => !self.healed && covered(offset, len, at).is_some(),
            Fault::Write { .. }
            | Fault::NoSpace { .. }
            | Fault::ReadsBackWrong { .. }
            | Fault::WrapsAround { .. }
            | Fault::Flush => false,
        };
        if fails {
            let label = self.inner.label().to_owned();
            return Err(StorageError::Read { label, offset, len, source: Errno::EIO.into() });
        }
        match self.fault {
            Fault::ReadsBackWrong { at } => {
                self.inner.read_at(offset, buf)?;
                let before = covered(offset, len, at).and_then(|at| usize::try_from(at).ok());
                if let Some(byte) = before.and_then(|at| buf.get_mut(at)) {
                    *byte ^= 1;
                }
                return Ok(());
            }
            Fault::WrapsAround { at } => {
                let mut rest = buf;
                for (place, len) in wrapped(offset, len, at) {
                    let (piece, behind) = rest.split_at_mut(len.min(rest.len()));
                    self.inner.read_at(place, piece)?;
                    rest = behind;
                }
                return Ok(());
            }
            Fault::Read { .. }
            | Fault::ReadUntilWritten { .. }
            | Fault::Write { .. }
            | Fault::NoSpace { .. }
            | Fault::Flush => {}
        }
        self.inner.read_at(offset, buf)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), StorageError> {
        self.check_poison()?;
        let len = data.len() as u64;
        if let Fault::WrapsAround { at } = self.fault {
            let mut rest = data;
            for (place, len) in wrapped(offset, len, at) {
                let (piece, behind) = rest.split_at(len.min(rest.len()));
                self.inner.write_at(place, piece)?;
                rest = behind;
            }
            return Ok(());
        }
        if let Fault::ReadUntilWritten { at } = self.fault {
            self.healed |= covered(offset, len, at).is_some();
        }
        let Some((before, errno)) = self.write_fault(offset, len) else {
            return self.inner.write_at(offset, data);
        };
        let done = usize::try_from(before).ok().and_then(|before| data.get(..before));
        self.inner.write_at(offset, done.unwrap_or_default())?;
        Err(self.write_failed(offset, len, errno))
    }

    fn erase(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.check_poison()?;
        let Some((before, errno)) = self.write_fault(offset, len) else {
            return self.inner.erase(offset, len);
        };
        let block = self.geometry().erase_bytes.map_or(1, u64::from).max(1);
        self.inner.erase(offset, before - before % block)?;
        Err(self.write_failed(offset, len, errno))
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        self.check_poison()?;
        if self.fault == Fault::Flush {
            self.poisoned = true;
            let label = self.inner.label().to_owned();
            return Err(StorageError::Flush { label, source: Errno::EIO.into() });
        }
        self.inner.flush()
    }

    fn forget_cached(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.check_poison()?;
        self.inner.forget_cached(offset, len)
    }
}
