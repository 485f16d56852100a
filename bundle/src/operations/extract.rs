// SPDX-License-Identifier: MIT OR Apache-2.0
//! Takes a bundle apart: its files into a directory, its signature into a file.

use super::OperationError;
use super::output::NewFile;
use crate::squashfs::EntryFacts;
use crate::{
    BundleError, SquashfsEntry, SquashfsError, SquashfsFiles, UntrustedBundle, VerifiedBundle,
};
use nix::libc::{O_DIRECTORY, O_NOFOLLOW};
use std::fs::{DirBuilder, File, FileTimes, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, fchown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Unpacks every file of the bundle into `dir`, which must not exist, after all of the payload was
/// compared with the signature.
///
/// # Errors
/// [`OperationError`]; `dir` is then not there.
pub fn extract_bundle(bundle: &VerifiedBundle, dir: &Path) -> Result<(), OperationError> {
    let failed = |source| OperationError::Output { path: dir.to_owned(), source };
    let place = NewDirectory::create(dir).map_err(failed)?;
    bundle.check_payload(&mut |_| {})?;
    unpack(bundle.files()?, dir, &|| false)?;
    place.keep();
    Ok(())
}

/// Writes the bundle's CMS structure to `path`, which must not exist.
///
/// # Errors
/// [`OperationError::Output`].
pub fn extract_signature(bundle: &UntrustedBundle, path: &Path) -> Result<(), OperationError> {
    let failed = |source| OperationError::Output { path: path.to_owned(), source };
    // Of a crypt bundle that was decrypted it holds the key of the payload.
    let mut file = NewFile::begin_private(path).map_err(failed)?;
    file.file().write_all(bundle.signature()).map_err(failed)?;
    file.finish().map_err(failed)
}

/// A directory that goes away again unless it is kept.
pub(crate) struct NewDirectory {
    path: PathBuf,
    kept: bool,
}

impl NewDirectory {
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        Self::create_with(path, 0o777)
    }

    /// For work in between: what lies here may have set-uid bits, and is nobody else's affair.
    pub(crate) fn create_private(path: &Path) -> io::Result<Self> {
        Self::create_with(path, 0o700)
    }

    fn create_with(path: &Path, mode: u32) -> io::Result<Self> {
        DirBuilder::new().mode(mode).create(path).map_err(|source| {
            if source.kind() == io::ErrorKind::AlreadyExists {
                return io::Error::new(source.kind(), "it already exists");
            }
            source
        })?;
        Ok(Self { path: path.to_owned(), kept: false })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for NewDirectory {
    fn drop(&mut self) {
        if !self.kept {
            // The first failure is the one to report.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Writes all entries below `dir`, with their modes and times; owners too when we are root. No
/// existing file is opened and no symbolic link followed. `stop` is asked before each entry.
pub(crate) fn unpack(
    files: &SquashfsFiles,
    dir: &Path,
    stop: &dyn Fn() -> bool,
) -> Result<(), OperationError> {
    let owners = Owners::of_this_process();
    let mut directories = Vec::new();
    for (inner, entry) in files.entries() {
        let path = dir.join(inner);
        let failed = |source| OperationError::Output { path: path.clone(), source };
        if stop() {
            return Err(failed(io::Error::from(io::ErrorKind::Interrupted)));
        }
        let name = inner.to_string_lossy();
        let facts = files.facts(inner).unwrap_or_default();
        match entry {
            SquashfsEntry::Directory => {
                std::fs::create_dir(&path).map_err(failed)?;
                directories.push((path.clone(), facts));
            }
            SquashfsEntry::Symlink { target } => {
                symlink(target, &path).map_err(failed)?;
                owners.give_link(&path, &facts).map_err(failed)?;
            }
            SquashfsEntry::File { .. } => {
                let file = write_file(files, &name, &path)?;
                owners.give(&file, &facts).map_err(failed)?;
                finish(&file, &facts).map_err(failed)?;
            }
            SquashfsEntry::Special => {
                let why = "devices, pipes and sockets have no place in a bundle";
                return Err(OperationError::Entry { entry: name.into_owned(), why });
            }
        }
    }
    // Last and the innermost first: a directory may be meant to be read-only.
    for (path, facts) in directories.iter().rev() {
        let failed = |source| OperationError::Output { path: path.clone(), source };
        // By its handle: whoever may write here could have put a link in its place meanwhile.
        let mut options = OpenOptions::new();
        let options = options.read(true).custom_flags(O_NOFOLLOW | O_DIRECTORY);
        let directory = options.open(path).map_err(failed)?;
        owners.give(&directory, facts).map_err(failed)?;
        finish(&directory, facts).map_err(failed)?;
    }
    Ok(())
}

fn write_file(files: &SquashfsFiles, name: &str, path: &Path) -> Result<File, OperationError> {
    let failed = |source| OperationError::Output { path: path.to_owned(), source };
    let cause = crate::verified::squashfs_cause;
    let mut content = files.open_file(name).map_err(cause)?;
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
    let mut chunk = vec![0; 256 * 1024];
    loop {
        let read = io::Read::read(&mut content, &mut chunk);
        let count = read.map_err(BundleError::from_read)?;
        match chunk.get(..count) {
            Some([]) | None => return Ok(file),
            Some(bytes) => file.write_all(bytes).map_err(failed)?,
        }
    }
}

impl BundleError {
    fn from_read(failure: io::Error) -> Self {
        crate::verified::squashfs_cause(SquashfsError::Read(failure))
    }
}

fn finish(file: &File, facts: &EntryFacts) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(u32::from(facts.mode & 0o7777)))?;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(facts.mtime));
    file.set_times(FileTimes::new().set_modified(time))
}

/// Whether owners can be given away.
struct Owners {
    give: bool,
}

impl Owners {
    fn of_this_process() -> Self {
        Self { give: nix::unistd::geteuid().is_root() }
    }

    fn give(&self, file: &File, facts: &EntryFacts) -> io::Result<()> {
        if self.give { fchown(file, Some(facts.uid), Some(facts.gid)) } else { Ok(()) }
    }

    fn give_link(&self, path: &Path, facts: &EntryFacts) -> io::Result<()> {
        if self.give { lchown(path, Some(facts.uid), Some(facts.gid)) } else { Ok(()) }
    }
}
