// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who may change the environment now? One at a time: a lock file, the one `fw_setenv` takes too.
//!
//! The kernel drops the lock with the process, so a crash leaves nothing to clean up.

use crate::BackendError;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

/// The right to change the environment, held until it is dropped.
#[derive(Debug)]
pub struct EnvLock {
    _file: File,
}

impl EnvLock {
    /// Waits for the lock file at `path`; a commit takes about a second on slow flash.
    ///
    /// # Errors
    /// [`BackendError::Lock`] when the file cannot be made or locked.
    pub fn acquire(path: &Path) -> Result<Self, BackendError> {
        let taken = || -> io::Result<File> {
            if let Some(dir) = path.parent() {
                fs::create_dir_all(dir)?;
            }
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
            file.lock()?;
            Ok(file)
        };
        let failed = |source| BackendError::Lock { path: path.to_owned(), source };
        Ok(Self { _file: taken().map_err(failed)? })
    }
}
