// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs `mkfs.f2fs`: the one module of this crate that runs a program.
//!
//! The program takes a whole device or file, never an offset in one, and needs no device node
//! here: it formats a sparse file of the partition's size, of which the written extents are
//! copied. That serves image files and boards alike, does not depend on the kernel having read
//! the new table, and lets us write the superblocks last.

use crate::filesystem::{FilesystemRequest, Formatted};
use crate::table::{F2FS_MAGIC, F2FS_SUPERBLOCKS};
use nix::errno::Errno;
use nix::unistd::{Whence, lseek};
use programs::{ProgramCall, ProgramError};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use storage::{ByteLen, Storage, StorageError};

/// What is run.
const PROGRAM: &str = "mkfs.f2fs";
/// Bytes copied at a time.
const CHUNK_BYTES: u64 = 1024 * 1024;

/// `mkfs.f2fs` or the copying of its work failed.
#[derive(Debug, thiserror::Error)]
pub enum MkfsError {
    /// The scratch file could not be made or read.
    #[error("cannot use the scratch file {path}", path = path.display())]
    Scratch {
        /// Its path.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The program could not be run, or failed.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The program ended well and left no F2FS.
    #[error("{program} made no F2FS superblock at byte {offset}")]
    NoSuperblock {
        /// Program.
        program: &'static str,
        /// Where it is missing.
        offset: u64,
    },
    /// The partition failed.
    #[error("cannot copy the file system to {label}")]
    Copy {
        /// Partition.
        label: String,
        /// Cause.
        #[source]
        source: StorageError,
    },
    /// The partition holds something else than was written.
    #[error("the file system on {label} reads back different at offset {offset:#x}")]
    ReadBack {
        /// Partition.
        label: String,
        /// Byte offset.
        offset: u64,
    },
}

/// A scratch file that is gone when it is dropped.
struct Scratch {
    path: PathBuf,
    file: File,
}

impl Scratch {
    fn create(dir: &Path, request: &FilesystemRequest, len: ByteLen) -> Result<Self, MkfsError> {
        let path = dir.join(format!("mkfs-{}.tmp", request.identity));
        let failed = |source| MkfsError::Scratch { path: path.clone(), source };
        // Emptied if a cut left one behind; a symbolic link planted there is not followed.
        remove(&path).map_err(failed)?;
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).open(&path).map_err(failed)?;
        file.set_len(len.get()).map_err(failed)?;
        Ok(Self { path, file })
    }

    /// The extents that were written, as start and end.
    fn extents(&self, len: u64) -> io::Result<Vec<(u64, u64)>> {
        let mut extents = Vec::new();
        let mut at = 0;
        while at < len {
            let Some(start) = self.seek(at, Whence::SeekData)? else { break };
            let end = self.seek(start, Whence::SeekHole)?.unwrap_or(len).min(len);
            extents.push((start, end));
            at = end.max(start + 1);
        }
        Ok(extents)
    }

    fn seek(&self, at: u64, whence: Whence) -> io::Result<Option<u64>> {
        let at = i64::try_from(at).map_err(io::Error::other)?;
        match lseek(&self.file, at, whence) {
            Ok(found) => Ok(u64::try_from(found).ok()),
            Err(Errno::ENXIO) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is removed before the next use.
        let _ = remove(&self.path);
    }
}

#[expect(clippy::disallowed_methods, reason = "a scratch file has nothing to be durable")]
fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes an F2FS on `partition`.
pub(crate) fn make_f2fs(
    request: &FilesystemRequest,
    partition: &mut dyn Storage,
    scratch_dir: &Path,
    unix_time: i64,
) -> Result<Formatted, MkfsError> {
    let scratch = Scratch::create(scratch_dir, request, partition.len())?;
    if !run_mkfs(request, &scratch.path, unix_time)? {
        return Ok(Formatted::ToolMissing(PROGRAM));
    }
    let unusable = |source| MkfsError::Scratch { path: scratch.path.clone(), source };
    for offset in F2FS_SUPERBLOCKS {
        let mut magic = [0; F2FS_MAGIC.len()];
        scratch.file.read_exact_at(&mut magic, offset).map_err(unusable)?;
        if magic != F2FS_MAGIC {
            return Err(MkfsError::NoSuperblock { program: PROGRAM, offset });
        }
    }
    let extents = scratch.extents(partition.len().get()).map_err(unusable)?;
    // The sectors with the magic numbers come last and one by one, when the rest is durable and
    // proven: until then the partition counts as blank. The second superblock is first, so that
    // the first sector that is there makes a file system which the kernel mounts.
    let sector = u64::from(partition.geometry().sector_bytes.max(512));
    let [first, second] = F2FS_SUPERBLOCKS.map(|offset| sector_of(offset, sector));
    copy_extents(&scratch, partition, &without(&without(&extents, first), second))?;
    copy_extents(&scratch, partition, &[second])?;
    copy_extents(&scratch, partition, &[first])?;
    Ok(Formatted::Done)
}

/// The sector that holds the byte at `offset`, as start and end.
const fn sector_of(offset: u64, sector: u64) -> (u64, u64) {
    (offset / sector * sector, (offset / sector + 1) * sector)
}

/// What is left of `extents` when `hole` is cut out; empty ones are harmless.
fn without(extents: &[(u64, u64)], hole: (u64, u64)) -> Vec<(u64, u64)> {
    let parts =
        |(start, end): &(u64, u64)| [(*start, (*end).min(hole.0)), ((*start).max(hole.1), *end)];
    extents.iter().flat_map(parts).collect()
}

/// The program, when it is not installed.
pub(crate) fn missing_mkfs() -> Option<&'static str> {
    let asked = programs::run(ProgramCall::new(PROGRAM).arg("-V"), &|| None);
    matches!(asked, Err(ProgramError::Start { .. })).then_some(PROGRAM)
}

/// Runs the program on `file`; `false` when it is not installed.
fn run_mkfs(request: &FilesystemRequest, file: &Path, unix_time: i64) -> Result<bool, MkfsError> {
    // -f: the file is ours; -r and -T: no randomness, no clock; -t 0: nothing to discard.
    let call = ProgramCall::new(PROGRAM)
        .args(["-q", "-f", "-r", "-t", "0"])
        .args(["-l", &request.label])
        .args(["-U", &request.identity.to_string()])
        .args(["-T", &unix_time.to_string()])
        .arg(file)
        .in_our_group();
    match programs::run(call, &|| None) {
        Ok(end) => Ok(end.check(PROGRAM).map(|_done| true)?),
        Err(ProgramError::Start { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(false)
        }
        Err(refused) => Err(refused.into()),
    }
}

/// Copies extents, flushes, reads them back past the cache and compares.
fn copy_extents(
    scratch: &Scratch,
    partition: &mut dyn Storage,
    extents: &[(u64, u64)],
) -> Result<(), MkfsError> {
    let label = partition.label().to_owned();
    let failed = |source| MkfsError::Copy { label: label.clone(), source };
    for_each_chunk(scratch, extents, &mut |offset, wanted, found| {
        partition.read_at(offset, found).map_err(failed)?;
        if found == wanted {
            return Ok(());
        }
        partition.write_at(offset, wanted).map_err(failed)
    })?;
    partition.flush().map_err(failed)?;
    for_each_chunk(scratch, extents, &mut |offset, wanted, found| {
        partition.forget_cached(offset, wanted.len() as u64).map_err(failed)?;
        partition.read_at(offset, found).map_err(failed)?;
        if found == wanted {
            return Ok(());
        }
        Err(MkfsError::ReadBack { label: label.clone(), offset })
    })
}

/// Takes a chunk's offset, its bytes and a buffer of the same length.
type ChunkAct<'a> = dyn FnMut(u64, &[u8], &mut [u8]) -> Result<(), MkfsError> + 'a;

/// Gives `act` each chunk's offset, its bytes in the scratch file and a buffer as long.
fn for_each_chunk(
    scratch: &Scratch,
    extents: &[(u64, u64)],
    act: &mut ChunkAct<'_>,
) -> Result<(), MkfsError> {
    for (start, end) in extents {
        let mut at = *start;
        while at < *end {
            let len = usize::try_from((end - at).min(CHUNK_BYTES)).unwrap_or(0);
            let (mut wanted, mut found) = (vec![0; len], vec![0; len]);
            scratch
                .file
                .read_exact_at(&mut wanted, at)
                .map_err(|source| MkfsError::Scratch { path: scratch.path.clone(), source })?;
            act(at, &wanted, &mut found)?;
            at += len as u64;
        }
    }
    Ok(())
}
