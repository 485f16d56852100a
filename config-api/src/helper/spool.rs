// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is this the body that was announced? The HTTP process owns the spool and may change, exchange
//! or link anything in it at any moment, so a body is opened beneath the spool's handle, without
//! following a link, read once into a file without a name that only the helper holds, and judged
//! there.

use super::Uploads;
use crate::protocol::{MAX_UPLOAD_BYTES, Upload};
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;
use openssl::sha::Sha256;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use storage::Digest;

/// Read and hashed at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Why a body was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The spool or the helper's own place cannot be opened.
    #[error("cannot open {}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The body cannot be opened: it is gone, a link, or leads out of the spool.
    #[error("cannot open the spooled body")]
    Open(#[source] io::Error),
    /// It is no ordinary file.
    #[error("the spooled body is no ordinary file")]
    NoFile,
    /// Longer than any upload may be.
    #[error("an upload of {length} bytes; the limit is {MAX_UPLOAD_BYTES}")]
    TooLong {
        /// Its length.
        length: u64,
    },
    /// It cannot be read or copied.
    #[error("cannot copy the spooled body")]
    Copy(#[source] io::Error),
    /// Its length or digest is not what was announced.
    #[error("the spooled body is not the one that was announced")]
    Different,
}

/// The spool and the helper's own place.
#[derive(Debug)]
pub struct Spool {
    dir: PathBuf,
    own: PathBuf,
}

impl Spool {
    /// Bodies are taken from `dir` and kept in `own`, which only the helper may write.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, own: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), own: own.into() }
    }

    fn directory(path: &Path) -> Result<OwnedFd, SpoolError> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        open(path, flags, Mode::empty())
            .map_err(|errno| SpoolError::Directory { path: path.to_owned(), source: errno.into() })
    }

    fn open(&self, upload: &Upload) -> Result<File, SpoolError> {
        let dir = Self::directory(&self.dir)?;
        // A FIFO would block until somebody writes; `O_NONBLOCK` means nothing to a file.
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let resolve = ResolveFlag::RESOLVE_BENEATH
            | ResolveFlag::RESOLVE_NO_SYMLINKS
            | ResolveFlag::RESOLVE_NO_MAGICLINKS
            | ResolveFlag::RESOLVE_NO_XDEV;
        let how = OpenHow::new().flags(flags).resolve(resolve);
        let file = openat2(&dir, upload.spool.as_str(), how)
            .map_err(|errno| SpoolError::Open(errno.into()))?;
        let file = File::from(file);
        if !file.metadata().map_err(SpoolError::Open)?.is_file() {
            return Err(SpoolError::NoFile);
        }
        Ok(file)
    }
}

/// A file in `dir` without a name: gone with its handle, whatever happens.
pub(super) fn own_file(dir: &Path) -> Result<File, SpoolError> {
    let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    let file = open(dir, flags, Mode::S_IRUSR | Mode::S_IWUSR)
        .map_err(|errno| SpoolError::Directory { path: dir.to_owned(), source: errno.into() })?;
    Ok(File::from(file))
}

impl Uploads for Spool {
    type Error = SpoolError;

    fn take(&self, upload: &Upload) -> Result<File, SpoolError> {
        if upload.length > MAX_UPLOAD_BYTES {
            return Err(SpoolError::TooLong { length: upload.length });
        }
        let announced: Digest = upload.sha256.parse().map_err(|_| SpoolError::Different)?;
        // One byte more than announced, so that a longer body shows.
        let mut from = self.open(upload)?.take(upload.length + 1);
        let mut own = own_file(&self.own)?;
        let mut hash = Sha256::new();
        let mut length = 0;
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = from.read(&mut chunk).map_err(SpoolError::Copy)?;
            let Some(part) = chunk.get(..read).filter(|part| !part.is_empty()) else { break };
            hash.update(part);
            length += part.len() as u64;
            own.write_all(part).map_err(SpoolError::Copy)?;
        }
        if length != upload.length || Digest::from_bytes(hash.finish()) != announced {
            return Err(SpoolError::Different);
        }
        own.rewind().map_err(SpoolError::Copy)?;
        Ok(own)
    }
}
