// SPDX-License-Identifier: MIT OR Apache-2.0
//! Small files that must be whole after a power cut: status, marks, configuration.

use crate::rooted::{LastLink, Unresolved, resolve_below};
use crate::steps::{remove_steps, replace_steps};
use crate::{ByteLen, FileStep, FilesError};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Reads and durably replaces small files. Paths are absolute as on the board (`/data/…`).
pub trait Files: Send {
    /// Reads a whole file of at most `limit` bytes; `None` when it does not exist.
    ///
    /// # Errors
    /// [`FilesError::Read`] when it exists and cannot be read, [`FilesError::TooLarge`].
    fn read(&self, path: &Path, limit: ByteLen) -> Result<Option<Vec<u8>>, FilesError>;

    /// Replaces the file's content so that after a cut at any point the old or the new content is
    /// there whole: temporary file beside it, sync, rename, sync of the directory. Missing parent
    /// directories are made.
    ///
    /// # Errors
    /// [`FilesError::Write`].
    fn replace(&mut self, path: &Path, content: &[u8]) -> Result<(), FilesError>;

    /// The same for what nobody but the owner may read, at no moment: mode 0600 from the first byte
    /// on. Where files have no modes it is the same as [`Files::replace`].
    ///
    /// # Errors
    /// [`FilesError::Write`].
    fn replace_secret(&mut self, path: &Path, content: &[u8]) -> Result<(), FilesError> {
        self.replace(path, content)
    }

    /// Removes the file durably; a missing file is no error.
    ///
    /// # Errors
    /// [`FilesError::Write`].
    fn remove(&mut self, path: &Path) -> Result<(), FilesError>;

    /// The names in a directory, sorted; empty when the directory does not exist.
    ///
    /// # Errors
    /// [`FilesError::Read`].
    fn list(&self, dir: &Path) -> Result<Vec<String>, FilesError>;
}

/// Read and write for the owner, nothing for anybody else.
const OWNER_ONLY: u32 = 0o600;

/// Who may read a file that is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Readers {
    /// Whom the process's umask lets.
    AsUmask,
    /// Its owner.
    Owner,
}

/// Files of this machine, below a root directory (`/` on a board, `--root DIR` elsewhere).
#[derive(Clone, Debug)]
pub struct HostFiles {
    root: PathBuf,
}

impl HostFiles {
    /// Files below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where `path` really lies; links are followed as on the board, never out of the root.
    ///
    /// # Errors
    /// [`FilesError::Escapes`] when the path has a `..` in it, [`FilesError::Read`] when its
    /// links never end.
    pub fn resolve(&self, path: &Path) -> Result<PathBuf, FilesError> {
        self.resolve_as(path, LastLink::Follow)
    }

    fn replace_as(&self, path: &Path, content: &[u8], readers: Readers) -> Result<(), FilesError> {
        let real = self.resolve_as(path, LastLink::Keep)?;
        perform(replace_steps(&real, &missing_dirs(&real), content), readers)
            .map_err(|source| FilesError::Write { path: path.to_owned(), source })
    }

    fn resolve_as(&self, path: &Path, last: LastLink) -> Result<PathBuf, FilesError> {
        let path = path.to_owned();
        resolve_below(&self.root, &path, last).map_err(|cause| match cause {
            Unresolved::Escapes => FilesError::Escapes { path },
            Unresolved::Loop => FilesError::Read { path, source: cause.into() },
        })
    }
}

impl Files for HostFiles {
    fn read(&self, path: &Path, limit: ByteLen) -> Result<Option<Vec<u8>>, FilesError> {
        let failed = |source| FilesError::Read { path: path.to_owned(), source };
        let file = match File::open(self.resolve(path)?) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut content = Vec::new();
        file.take(limit.get().saturating_add(1)).read_to_end(&mut content).map_err(failed)?;
        if content.len() as u64 > limit.get() {
            return Err(FilesError::TooLarge { path: path.to_owned(), limit });
        }
        Ok(Some(content))
    }

    fn replace(&mut self, path: &Path, content: &[u8]) -> Result<(), FilesError> {
        self.replace_as(path, content, Readers::AsUmask)
    }

    fn replace_secret(&mut self, path: &Path, content: &[u8]) -> Result<(), FilesError> {
        self.replace_as(path, content, Readers::Owner)
    }

    fn remove(&mut self, path: &Path) -> Result<(), FilesError> {
        let real = self.resolve_as(path, LastLink::Keep)?;
        if matches!(fs::symlink_metadata(&real), Err(error) if error.kind() == io::ErrorKind::NotFound)
        {
            return Ok(());
        }
        perform(remove_steps(&real), Readers::AsUmask)
            .map_err(|source| FilesError::Write { path: path.to_owned(), source })
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, FilesError> {
        let failed = |source| FilesError::Read { path: dir.to_owned(), source };
        let entries = match fs::read_dir(self.resolve(dir)?) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }
}

/// The directories above `real` that do not exist yet, outermost first.
fn missing_dirs(real: &Path) -> Vec<PathBuf> {
    let missing =
        real.ancestors().skip(1).take_while(|dir| !dir.as_os_str().is_empty() && !dir.is_dir());
    let mut dirs: Vec<_> = missing.map(Path::to_owned).collect();
    dirs.reverse();
    dirs
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that renames and removes")]
fn perform(steps: Vec<FileStep>, readers: Readers) -> io::Result<()> {
    // Synced through the handle that wrote: a handle opened later may miss a write's failure.
    let mut written = None;
    for step in steps {
        match step {
            FileStep::MakeDir { dir } => match fs::create_dir(dir) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                Ok(()) | Err(_) => {}
            },
            FileStep::WriteTemp { temp, content } => {
                let mut options = OpenOptions::new();
                // A link left under the temporary name must not choose what is overwritten.
                options.write(true).create(true).truncate(true).custom_flags(nix::libc::O_NOFOLLOW);
                if readers == Readers::Owner {
                    options.mode(OWNER_ONLY);
                }
                let file = written.insert(options.open(temp)?);
                if readers == Readers::Owner {
                    // One that a cut left behind keeps the mode that it was made with.
                    file.set_permissions(Permissions::from_mode(OWNER_ONLY))?;
                }
                file.write_all(&content)?;
            }
            FileStep::SyncFile { file } => match written.take() {
                Some(handle) => handle.sync_all()?,
                None => File::open(file)?.sync_all()?,
            },
            FileStep::Rename { from, to } => fs::rename(from, to)?,
            FileStep::Remove { file } => fs::remove_file(file)?,
            FileStep::SyncDir { dir } => File::open(dir)?.sync_all()?,
        }
    }
    Ok(())
}
