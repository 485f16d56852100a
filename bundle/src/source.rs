// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where do a bundle's bytes come from?
//!
//! A source is a name, a length that never changes and positioned reads. It believes nothing and
//! checks nothing about the bytes; whoever reads twice must expect two answers, which is why the
//! readers above compare every block with a signed or recorded hash.

use nix::libc::{O_NOCTTY, O_NONBLOCK};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use storage::ByteLen;

/// Why bytes of a source cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file cannot be opened.
    #[error("cannot open {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A directory, device or pipe: their length can change or is unknown.
    #[error("{path} is not a regular file")]
    NotRegularFile {
        /// The path.
        path: PathBuf,
    },
    /// A read failed, or the file became shorter than it was when opened.
    #[error("cannot read {len} bytes at offset {offset} of {name}")]
    Read {
        /// The source's name.
        name: String,
        /// Where.
        offset: u64,
        /// How many bytes were wanted.
        len: usize,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A range that does not lie inside the source.
    #[error("offset {offset} + {len} bytes lies outside {name} of {size} bytes")]
    OutOfBounds {
        /// The source's name.
        name: String,
        /// Where.
        offset: u64,
        /// How many bytes were wanted.
        len: usize,
        /// Length of the source in bytes.
        size: u64,
    },
}

/// The bytes of a bundle, addressed by position.
#[expect(clippy::len_without_is_empty, reason = "an empty bundle is an error, not a state")]
pub trait Source: Send + Sync {
    /// The name a user knows the source by, for messages.
    fn name(&self) -> &str;

    /// Its length, the same at every call.
    fn len(&self) -> ByteLen;

    /// Fills `buf` from byte `offset`: whole or an error.
    ///
    /// # Errors
    /// [`SourceError::OutOfBounds`] or [`SourceError::Read`].
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), SourceError>;

    /// Announces ranges (first, end) that will be read soon, in this order, each once; it takes
    /// the place of what was announced before. Sources for which asking is cheap do nothing.
    fn prefetch(&self, _ranges: &[(u64, u64)]) {}

    /// Whether its bytes come over a network, again at every read.
    fn is_remote(&self) -> bool {
        false
    }

    /// Tells where reading in sequence ends: read-ahead need not go beyond.
    fn end_of_data(&self, _end: u64) {}

    /// Which of several copies is read now; another number when another took its place.
    fn copy(&self) -> u64 {
        0
    }

    /// What was read at `offset` of this copy is not what was signed. Whether another copy is read
    /// from now on, so that asking again may help.
    fn reject(&self, _copy: u64, _offset: u64) -> bool {
        false
    }
}

/// Whether a range lies inside a source.
pub(crate) fn check_range(
    name: &str,
    size: u64,
    offset: u64,
    len: usize,
) -> Result<(), SourceError> {
    match offset.checked_add(len as u64) {
        Some(end) if end <= size => Ok(()),
        _ => Err(SourceError::OutOfBounds { name: name.to_owned(), offset, len, size }),
    }
}

/// Opens a file for reading without waiting: a pipe that took its place has perhaps no writer ever.
pub(crate) fn open_at_once(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).custom_flags(O_NONBLOCK | O_NOCTTY).open(path)
}

/// A regular file, opened once: replacing the path later does not change what is read.
#[derive(Debug)]
pub struct FileSource {
    file: File,
    name: String,
    len: u64,
}

impl FileSource {
    /// Opens the regular file at `path`.
    ///
    /// # Errors
    /// [`SourceError::Open`] or [`SourceError::NotRegularFile`].
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let open = |source| SourceError::Open { path: path.to_owned(), source };
        // Asked before opening, since opening some devices does something; asked again of the
        // handle, since the path may change in between.
        if !std::fs::metadata(path).map_err(open)?.is_file() {
            return Err(SourceError::NotRegularFile { path: path.to_owned() });
        }
        Self::of_file(open_at_once(path).map_err(open)?, path)
    }

    /// The regular file `file`, which is known as `path`.
    pub(crate) fn of_file(file: File, path: &Path) -> Result<Self, SourceError> {
        let open = |source| SourceError::Open { path: path.to_owned(), source };
        let metadata = file.metadata().map_err(open)?;
        if !metadata.is_file() {
            return Err(SourceError::NotRegularFile { path: path.to_owned() });
        }
        Ok(Self { file, name: path.display().to_string(), len: metadata.len() })
    }
}

impl Source for FileSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> ByteLen {
        ByteLen::new(self.len)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), SourceError> {
        check_range(&self.name, self.len, offset, buf.len())?;
        self.file.read_exact_at(buf, offset).map_err(|source| SourceError::Read {
            name: self.name.clone(),
            offset,
            len: buf.len(),
            source,
        })
    }
}

/// Bytes in memory, for tests and for bundles built in memory.
#[derive(Clone, Debug)]
pub struct MemorySource {
    name: String,
    bytes: Vec<u8>,
}

impl MemorySource {
    /// A source called `name` of these bytes.
    pub fn new(name: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self { name: name.into(), bytes }
    }
}

impl Source for MemorySource {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> ByteLen {
        ByteLen::new(self.bytes.len() as u64)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), SourceError> {
        check_range(&self.name, self.bytes.len() as u64, offset, buf.len())?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        // The range was checked against the buffer's length just above.
        let bytes = self.bytes.get(start..start.saturating_add(buf.len())).unwrap_or_default();
        buf.copy_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_outside_are_refused_without_overflow() {
        let source = MemorySource::new("m", vec![1, 2, 3]);
        let mut buf = [0; 2];
        source.read_at(1, &mut buf).unwrap();
        assert_eq!(buf, [2, 3]);
        for offset in [2, 3, u64::MAX] {
            let refused = source.read_at(offset, &mut buf);
            assert!(matches!(refused, Err(SourceError::OutOfBounds { .. })), "{offset}");
        }
    }

    #[test]
    fn directories_and_missing_files_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let refused = FileSource::open(dir.path());
        assert!(matches!(refused, Err(SourceError::NotRegularFile { .. })));
        let missing = FileSource::open(&dir.path().join("no"));
        assert!(matches!(missing, Err(SourceError::Open { .. })));
    }

    #[test]
    fn a_pipe_that_took_the_place_of_a_file_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let file = open_at_once(&path).unwrap();
        let refused = FileSource::of_file(file, &path);
        assert!(matches!(refused, Err(SourceError::NotRegularFile { .. })));
    }

    #[test]
    fn replaced_file_is_read_through_the_first_handle() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b");
        let other = dir.path().join("c");
        #[expect(clippy::disallowed_methods, reason = "the test plays the attacker")]
        {
            std::fs::write(&path, b"old").unwrap();
            std::fs::write(&other, b"new").unwrap();
        }
        let source = FileSource::open(&path).unwrap();
        #[expect(clippy::disallowed_methods, reason = "the test plays the attacker")]
        std::fs::rename(&other, &path).unwrap();
        let mut buf = [0; 3];
        source.read_at(0, &mut buf).unwrap();
        assert_eq!(&buf, b"old");
    }
}
