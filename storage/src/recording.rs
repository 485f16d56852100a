// SPDX-License-Identifier: MIT OR Apache-2.0
//! Devices and files that log what is done to them, for the crash simulator.
//!
//! An act is logged once it was done: what was refused leaves no trace. Several devices and the
//! small files may share one journal, so the order between them is known.

use crate::journal::{Journal, OpKind};
use crate::steps::{remove_steps, replace_steps};
use crate::{ByteLen, Files, FilesError, Geometry, MemoryFiles, Storage, StorageError};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A device whose writes, erases and flushes are logged under its label.
#[derive(Debug)]
pub struct Recording<S> {
    inner: S,
    journal: Journal,
    device: Arc<str>,
}

impl<S: Storage> Recording<S> {
    /// Logs what is done to `inner` into `journal`. Handles on the same device carry the same
    /// label.
    pub fn new(inner: S, journal: Journal) -> Self {
        let device = Arc::from(inner.label());
        journal.register(&device, inner.geometry());
        Self { inner, journal, device }
    }

    /// The device itself.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S: Storage> Storage for Recording<S> {
    fn label(&self) -> &str {
        &self.device
    }

    fn len(&self) -> ByteLen {
        self.inner.len()
    }

    fn geometry(&self) -> Geometry {
        self.inner.geometry()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        self.inner.read_at(offset, buf)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), StorageError> {
        self.inner.write_at(offset, data)?;
        self.journal.log(&self.device, OpKind::Write { offset, data: data.to_owned() });
        Ok(())
    }

    fn erase(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.inner.erase(offset, len)?;
        self.journal.log(&self.device, OpKind::Erase { offset, len });
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        self.inner.flush()?;
        self.journal.log(&self.device, OpKind::Flush);
        Ok(())
    }

    fn forget_cached(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.inner.forget_cached(offset, len)
    }
}

/// Files in memory whose durable steps are logged, the very steps that
/// [`HostFiles`](crate::HostFiles) takes on disk.
#[derive(Clone, Debug)]
pub struct RecordingFiles {
    inner: MemoryFiles,
    journal: Journal,
    device: Arc<str>,
    dirs: BTreeSet<PathBuf>,
}

impl RecordingFiles {
    /// Logs what is done to `inner` into `journal`. Of the directories only `/` exists.
    #[must_use]
    pub fn new(inner: MemoryFiles, journal: Journal) -> Self {
        let dirs = BTreeSet::from([PathBuf::from("/")]);
        Self { inner, journal, device: Arc::from(Journal::FILES), dirs }
    }

    /// The files themselves.
    #[must_use]
    pub fn into_inner(self) -> MemoryFiles {
        self.inner
    }
}

impl Files for RecordingFiles {
    fn read(&self, path: &Path, limit: ByteLen) -> Result<Option<Vec<u8>>, FilesError> {
        self.inner.read(path, limit)
    }

    fn replace(&mut self, path: &Path, content: &[u8]) -> Result<(), FilesError> {
        let above = path.ancestors().skip(1);
        let mut missing: Vec<PathBuf> =
            above.filter(|dir| !self.dirs.contains(*dir)).map(Path::to_owned).collect();
        missing.reverse();
        for step in replace_steps(path, &missing, content) {
            self.journal.log(&self.device, OpKind::File(step));
        }
        self.dirs.extend(missing);
        self.inner.replace(path, content)
    }

    fn remove(&mut self, path: &Path) -> Result<(), FilesError> {
        if self.inner.read(path, ByteLen::new(u64::MAX))?.is_some() {
            for step in remove_steps(path) {
                self.journal.log(&self.device, OpKind::File(step));
            }
        }
        self.inner.remove(path)
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, FilesError> {
        self.inner.list(dir)
    }
}
