// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is a body on its way to the helper? A file of the spool, there for as long as this is held.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file of the spool, gone when dropped.
pub(crate) struct SpoolFile(PathBuf);

impl SpoolFile {
    /// The file of this name, which its holder makes next, with [`SpoolFile::options`].
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// How it is made: nobody else's, and for the helper to read.
    pub(crate) fn options() -> OpenOptions {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o640);
        options
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SpoolFile {
    #[expect(clippy::disallowed_methods, reason = "a spooled body need not survive, nor its end")]
    fn drop(&mut self) {
        // What cannot be removed now is removed when the HTTP service starts.
        let _ = fs::remove_file(&self.0);
    }
}
