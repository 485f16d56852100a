// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads an archive from start to end, believing nothing.
//!
//! Names are checked (no `/`, no `..`, ascending, so none twice), lengths are limited before
//! anything is allocated, and the table at the end of each directory must fit what was read.

use super::catar::{
    CatarEntry, CatarKind, DEVICE, DEVICE_BYTES, ENTRY, ENTRY_BYTES, FILENAME, GOODBYE,
    GOODBYE_ITEM_BYTES, GOODBYE_TAIL, HEAD_BYTES, MAX_DEPTH, MAX_NAME, MAX_TARGET, PAYLOAD,
    SYMLINK, TYPE_BLOCK, TYPE_CHARACTER, TYPE_DIRECTORY, TYPE_FIFO, TYPE_FILE, TYPE_LINK,
    TYPE_MASK, TYPE_SOCKET, is_plain_name,
};
use super::index::word_at;
use super::{CasyncError, FeatureFlags};
use std::io::{self, Read};

mod meta;

/// One step through an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CatarItem {
    /// A file begins; of a regular one the content follows ([`CatarReader::content`]), of a
    /// directory its children and then [`CatarItem::Leave`].
    Enter {
        /// Its name; `None` for the root.
        name: Option<Vec<u8>>,
        /// What it is.
        entry: CatarEntry,
    },
    /// A directory ends.
    Leave,
}

struct Directory {
    entry_at: u64,
    last_name: Vec<u8>,
    children: u64,
}

/// A reader of archives.
pub struct CatarReader<R> {
    input: R,
    at: u64,
    features: Option<FeatureFlags>,
    open: Vec<Directory>,
    /// A head that was read and belongs to the next record.
    head: Option<(u64, u64)>,
    /// Bytes of the current file that were not read yet.
    content_left: u64,
    begun: bool,
    failed: bool,
}

impl<R: Read> CatarReader<R> {
    /// Reads the archive that `input` begins with.
    #[must_use]
    pub const fn new(input: R) -> Self {
        Self {
            input,
            at: 0,
            features: None,
            open: Vec::new(),
            head: None,
            content_left: 0,
            begun: false,
            failed: false,
        }
    }

    /// The next step; `None` after the root directory ended, when nothing may follow.
    ///
    /// # Errors
    /// [`CasyncError`]; the reader stays failed.
    pub fn next_item(&mut self) -> Result<Option<CatarItem>, CasyncError> {
        if self.failed {
            return Err(CasyncError::Poisoned);
        }
        let item = self.step();
        self.failed = item.is_err();
        item
    }

    /// The content of the file that was entered last. What is not read is skipped.
    pub fn content(&mut self) -> impl Read + '_ {
        Content(self)
    }

    fn step(&mut self) -> Result<Option<CatarItem>, CasyncError> {
        io::copy(&mut Content(self), &mut io::sink()).map_err(CasyncError::cause)?;
        if !self.begun {
            self.begun = true;
            let entry = self.read_entry(None)?;
            return Ok(Some(entry));
        }
        let Some(directory) = self.open.last() else {
            let mut more = [0];
            if self.head.is_some() || self.input.read(&mut more).map_err(CasyncError::cause)? > 0 {
                return Err(self.corrupt("something follows its end"));
            }
            return Ok(None);
        };
        let last = directory.last_name.clone();
        let (size, kind) = self.read_head()?;
        match kind {
            FILENAME => {
                let name = self.read_text(size, MAX_NAME)?;
                if !is_plain_name(&name) {
                    return Err(self.refused("a name would lead out of its directory"));
                }
                if name <= last {
                    return Err(self.corrupt("names are not in order"));
                }
                if let Some(directory) = self.open.last_mut() {
                    directory.last_name.clone_from(&name);
                    directory.children += 1;
                }
                self.read_entry(Some(name)).map(Some)
            }
            GOODBYE => self.read_goodbye(size).map(|()| Some(CatarItem::Leave)),
            _ => Err(self.corrupt("a directory holds something other than names")),
        }
    }

    fn read_entry(&mut self, name: Option<Vec<u8>>) -> Result<CatarItem, CasyncError> {
        let entry_at = self.at;
        let (size, kind) = self.read_head()?;
        if kind != ENTRY || size != ENTRY_BYTES {
            return Err(self.corrupt("an entry is missing"));
        }
        let body = self.read_bytes(ENTRY_BYTES - HEAD_BYTES)?;
        let words: Vec<u64> = (0..6).filter_map(|n| word_at(&body, n * 8)).collect();
        let &[bits, mode, _flags, uid, gid, mtime_nanos] = words.as_slice() else {
            return Err(self.corrupt("an entry is missing"));
        };
        let features = FeatureFlags::from_bits(bits);
        let features =
            features.ok_or_else(|| self.corrupt("its feature flags are unknown or redundant"))?;
        if *self.features.get_or_insert(features) != features {
            return Err(self.corrupt("its entries disagree about the feature flags"));
        }
        let small = |id: u64| u32::try_from(id).ok().filter(|_| id < features.owner_limit());
        let (Some(uid), Some(gid)) = (small(uid), small(gid)) else {
            return Err(self.corrupt("an owner is out of range"));
        };
        if mode & !(TYPE_MASK | 0o7777) != 0 {
            return Err(self.corrupt("a mode is out of range"));
        }
        let permissions = u32::try_from(mode & 0o7777).unwrap_or(0);
        let mut entry = CatarEntry::new(CatarKind::Fifo, permissions);
        (entry.uid, entry.gid, entry.mtime_nanos) = (uid, gid, mtime_nanos);
        self.read_meta(&mut entry)?;
        entry.kind = self.read_kind(mode)?;
        if name.is_none() && entry.kind != CatarKind::Directory {
            return Err(self.refused("its root is no directory"));
        }
        if entry.kind == CatarKind::Directory {
            if self.open.len() >= MAX_DEPTH {
                return Err(self.refused("its directories are too deep"));
            }
            self.open.push(Directory { entry_at, last_name: Vec::new(), children: 0 });
        }
        Ok(CatarItem::Enter { name, entry })
    }

    /// The record that ends an entry.
    fn read_kind(&mut self, mode: u64) -> Result<CatarKind, CasyncError> {
        let kind = match mode & TYPE_MASK {
            TYPE_DIRECTORY => return Ok(CatarKind::Directory),
            TYPE_FIFO => return Ok(CatarKind::Fifo),
            TYPE_SOCKET => return Ok(CatarKind::Socket),
            TYPE_FILE => PAYLOAD,
            TYPE_LINK => SYMLINK,
            TYPE_BLOCK | TYPE_CHARACTER => DEVICE,
            _ => return Err(self.corrupt("a file is of no known type")),
        };
        let (size, found) = self.read_head()?;
        if found != kind {
            return Err(self.corrupt("an entry has not the content of its type"));
        }
        match kind {
            PAYLOAD => {
                let len = size - HEAD_BYTES;
                self.content_left = len;
                Ok(CatarKind::File { len })
            }
            SYMLINK => {
                let target = self.read_text(size, MAX_TARGET)?;
                if target.is_empty() {
                    return Err(self.corrupt("a link points nowhere"));
                }
                Ok(CatarKind::Symlink { target })
            }
            _ => self.read_device(size, mode & TYPE_MASK == TYPE_BLOCK),
        }
    }

    fn read_device(&mut self, size: u64, block: bool) -> Result<CatarKind, CasyncError> {
        if size != DEVICE_BYTES {
            return Err(self.corrupt("a device has not two numbers"));
        }
        let body = self.read_bytes(DEVICE_BYTES - HEAD_BYTES)?;
        let number = |at: usize, bits: u32| {
            let value = word_at(&body, at).and_then(|word| u32::try_from(word).ok());
            value.filter(|value| value >> bits == 0)
        };
        match (number(0, 12), number(8, 20)) {
            (Some(major), Some(minor)) => Ok(CatarKind::Device { block, major, minor }),
            _ => Err(self.corrupt("a device's number is out of range")),
        }
    }

    fn read_goodbye(&mut self, size: u64) -> Result<(), CasyncError> {
        let start = self.at.saturating_sub(HEAD_BYTES);
        let Some(directory) = self.open.pop() else {
            return Err(self.corrupt("a directory ends twice"));
        };
        let items = directory.children.saturating_add(1).saturating_mul(GOODBYE_ITEM_BYTES);
        if size != items.saturating_add(HEAD_BYTES) {
            return Err(self.corrupt("a directory's table has not one item per name"));
        }
        let skipped = items - GOODBYE_ITEM_BYTES;
        let mut table = (&mut self.input).take(skipped);
        let count = io::copy(&mut table, &mut io::sink()).map_err(CasyncError::cause)?;
        self.at = self.at.saturating_add(count);
        let tail = self.read_bytes(GOODBYE_ITEM_BYTES)?;
        let expected = [start - directory.entry_at, size, GOODBYE_TAIL];
        if count != skipped || (0..3).any(|n| word_at(&tail, n * 8) != expected.get(n).copied()) {
            return Err(self.corrupt("a directory's table does not fit the directory"));
        }
        Ok(())
    }

    fn read_head(&mut self) -> Result<(u64, u64), CasyncError> {
        if let Some(head) = self.head.take() {
            return Ok(head);
        }
        let bytes = self.read_bytes(HEAD_BYTES)?;
        let head = word_at(&bytes, 0).zip(word_at(&bytes, 8));
        let (size, kind) = head.ok_or_else(|| self.corrupt("it ends too early"))?;
        if size < HEAD_BYTES {
            return Err(self.corrupt("a record is shorter than its head"));
        }
        Ok((size, kind))
    }

    /// Text that ends with its only zero byte; returned without it.
    fn read_text(&mut self, size: u64, limit: u64) -> Result<Vec<u8>, CasyncError> {
        let len = size - HEAD_BYTES;
        if len > limit + 1 {
            return Err(self.refused("a name is too long"));
        }
        let mut text = self.read_bytes(len)?;
        if text.pop() != Some(0) || text.contains(&0) {
            return Err(self.corrupt("a name has a zero byte in it, or none behind it"));
        }
        Ok(text)
    }

    /// Exactly `len` bytes; the caller has limited it.
    fn read_bytes(&mut self, len: u64) -> Result<Vec<u8>, CasyncError> {
        let mut bytes = Vec::new();
        let read = (&mut self.input).take(len).read_to_end(&mut bytes);
        read.map_err(CasyncError::cause)?;
        if bytes.len() as u64 != len {
            return Err(self.corrupt("it ends too early"));
        }
        self.at = self.at.saturating_add(len);
        Ok(bytes)
    }

    const fn corrupt(&self, what: &'static str) -> CasyncError {
        CasyncError::Archive { offset: self.at, what }
    }

    const fn refused(&self, what: &'static str) -> CasyncError {
        CasyncError::Refused { offset: self.at, what }
    }
}

struct Content<'a, R>(&'a mut CatarReader<R>);

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let reader = &mut *self.0;
        let count = (&mut reader.input).take(reader.content_left).read(buf)?;
        if count == 0 && reader.content_left > 0 && !buf.is_empty() {
            reader.failed = true;
            return Err(reader.corrupt("it ends within a file").into_io());
        }
        reader.content_left -= count as u64;
        reader.at = reader.at.saturating_add(count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
