// SPDX-License-Identifier: MIT OR Apache-2.0
//! Small files that must be whole after a power cut: status, marks, configuration.

use crate::{ByteLen, FilesError};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

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

    /// Where `path` really lies.
    ///
    /// # Errors
    /// [`FilesError::Escapes`] when the path has a `..` in it.
    pub fn resolve(&self, path: &Path) -> Result<PathBuf, FilesError> {
        let mut real = self.root.clone();
        for part in path.components() {
            match part {
                Component::Normal(name) => real.push(name),
                Component::RootDir | Component::CurDir => {}
                Component::ParentDir | Component::Prefix(_) => {
                    return Err(FilesError::Escapes { path: path.to_owned() });
                }
            }
        }
        Ok(real)
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
        let real = self.resolve(path)?;
        replace_durably(&real, content)
            .map_err(|source| FilesError::Write { path: path.to_owned(), source })
    }

    fn remove(&mut self, path: &Path) -> Result<(), FilesError> {
        let real = self.resolve(path)?;
        remove_durably(&real).map_err(|source| FilesError::Write { path: path.to_owned(), source })
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

/// A cut before the rename leaves the old file (and a `.new` that the next replace overwrites);
/// a cut after it leaves the new one. The directory's sync makes the rename itself durable.
#[expect(clippy::disallowed_methods, reason = "this is the one place that renames")]
fn replace_durably(real: &Path, content: &[u8]) -> io::Result<()> {
    let parent = real.parent().unwrap_or(Path::new("/"));
    make_dirs_durably(parent)?;
    let mut name = real.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = parent.join(name);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&temporary, real)?;
    File::open(parent)?.sync_all()
}

/// Makes missing directories and syncs the parent of each, so that a file synced below them
/// cannot lose its path.
fn make_dirs_durably(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        make_dirs_durably(parent)?;
    }
    match fs::create_dir(dir) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    File::open(dir.parent().unwrap_or(Path::new("/")))?.sync_all()
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that removes")]
fn remove_durably(real: &Path) -> io::Result<()> {
    match fs::remove_file(real) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    File::open(real.parent().unwrap_or(Path::new("/")))?.sync_all()
}
