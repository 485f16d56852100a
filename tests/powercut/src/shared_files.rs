// SPDX-License-Identifier: MIT OR Apache-2.0
//! The small files of a board in several hands: a system, its boot loader's programs and its engine
//! each own their seam, and all of it is one file system with one log.

use anyhow::{Result, bail};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use storage::{ByteLen, Files, FilesError, Journal, MemoryFiles, RecordingFiles};

enum Kind {
    Plain(MemoryFiles),
    Recorded(RecordingFiles),
}

/// Small files; clones are the same ones.
#[derive(Clone)]
pub struct SharedFiles(Arc<Mutex<Kind>>);

impl SharedFiles {
    /// Shares `files`; what is done to them is logged where there is a journal.
    pub fn new(files: MemoryFiles, journal: Option<Journal>) -> Self {
        let kind = match journal {
            Some(journal) => Kind::Recorded(RecordingFiles::new(files, journal)),
            None => Kind::Plain(files),
        };
        Self(Arc::new(Mutex::new(kind)))
    }

    /// The files again, when nobody else has them any more.
    ///
    /// # Errors
    /// When somebody has.
    pub fn into_inner(self) -> Result<MemoryFiles> {
        let Ok(kind) = Arc::try_unwrap(self.0) else { bail!("somebody still has the small files") };
        Ok(match kind.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Kind::Plain(files) => files,
            Kind::Recorded(files) => files.into_inner(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Kind> {
        // Whoever panicked left old or new contents, as a cut does, so the guard is taken over.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kind {
    fn files(&self) -> &dyn Files {
        match self {
            Self::Plain(files) => files,
            Self::Recorded(files) => files,
        }
    }

    fn files_mut(&mut self) -> &mut dyn Files {
        match self {
            Self::Plain(files) => files,
            Self::Recorded(files) => files,
        }
    }
}

impl Files for SharedFiles {
    fn read(&self, path: &Path, limit: ByteLen) -> Result<Option<Vec<u8>>, FilesError> {
        self.lock().files().read(path, limit)
    }

    fn replace(&mut self, path: &Path, content: &[u8]) -> Result<(), FilesError> {
        self.lock().files_mut().replace(path, content)
    }

    fn remove(&mut self, path: &Path) -> Result<(), FilesError> {
        self.lock().files_mut().remove(path)
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, FilesError> {
        self.lock().files().list(dir)
    }
}
