// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packs content into a squashfs with our own writer, and counts bytes on their way.

use crate::create::{Digests, content_len};
use crate::create_content::{FileItem, Item, MANIFEST_NAME, Unchanged};
use crate::{
    CreateError, CreateProgress, CreateRequest, CreateStep, SquashfsTree, WriteSquashfsError,
    write_squashfs,
};
use openssl::sha::Sha256;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use storage::{ByteLen, Digest};

pub(crate) fn pack(
    file: &mut File,
    request: &CreateRequest<'_>,
    manifest: &str,
    items: &BTreeMap<String, Item<'_>>,
    digests: &Digests,
    progress: &mut dyn FnMut(CreateProgress),
) -> Result<ByteLen, CreateError> {
    let meter = RefCell::new(Meter::new(CreateStep::Pack, content_len(items), progress));
    let mut tree = SquashfsTree::new();
    let mut add = || -> Result<(), WriteSquashfsError> {
        for (path, item) in items {
            match item {
                Item::Directory => tree.add_directory(path, 0o755)?,
                Item::Symlink { target } => tree.add_symlink(path, target)?,
                Item::File(file) => {
                    let content = LateOpen { file, opened: None, meter: &meter };
                    // Digested above, all of them; a missing digest matches no content.
                    let wanted = digests.get(path).map(|facts| facts.0);
                    let wanted = wanted.unwrap_or(Digest::from_bytes([0; 32]));
                    tree.add_file(path, file.mode, Unchanged::new(content, wanted))?;
                }
            }
        }
        tree.add_file(MANIFEST_NAME, 0o644, manifest.as_bytes())
    };
    add().map_err(CreateError::Pack)?;
    // Squashfs counts unsigned 32-bit seconds; times beyond are clamped, never wrapped.
    let mtime = u32::try_from(request.timestamp.0.max(0)).unwrap_or(u32::MAX);
    let out = BufWriter::new(file);
    write_squashfs(tree, request.compression, mtime, out).map_err(CreateError::Pack)
}

/// Opens its file at the first read, so that a bundle of many files needs one descriptor.
struct LateOpen<'a, 'p> {
    file: &'a FileItem<'a>,
    opened: Option<Box<dyn Read + 'a>>,
    meter: &'a RefCell<Meter<'p>>,
}

impl Read for LateOpen<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let reader = match &mut self.opened {
            Some(reader) => reader,
            None => self.opened.insert(self.file.open()?),
        };
        let count = reader.read(buf)?;
        if count == 0 {
            self.opened = Some(Box::new(io::empty()));
        }
        self.meter.borrow_mut().add(count);
        Ok(count)
    }
}

/// Counts bytes of a step and tells the caller.
pub(crate) struct Meter<'p> {
    state: CreateProgress,
    tell: &'p mut dyn FnMut(CreateProgress),
}

impl<'p> Meter<'p> {
    pub(crate) fn new(
        step: CreateStep,
        total: ByteLen,
        tell: &'p mut dyn FnMut(CreateProgress),
    ) -> Self {
        Self { state: CreateProgress { step, done: ByteLen::ZERO, total }, tell }
    }

    pub(crate) fn add(&mut self, count: usize) {
        self.state.done = ByteLen::new(self.state.done.get().saturating_add(count as u64));
        (self.tell)(self.state);
    }
}

/// Counts what is read.
pub(crate) struct Metered<'m, 'p, R> {
    pub(crate) inner: R,
    pub(crate) meter: &'m mut Meter<'p>,
}

impl<R: Read> Read for Metered<'_, '_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buf)?;
        self.meter.add(count);
        Ok(count)
    }
}

/// Hashes what is written.
pub(crate) struct HashingSink(pub(crate) Sha256);

impl Write for HashingSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
