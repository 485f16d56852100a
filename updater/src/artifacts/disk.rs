// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a repository ask of its file system? Each effect by itself, so that a simulator can
//! cut the power between any two of them (`tests/powercut`).
//!
//! A content is durable after its sync, a name after its directory's, and all of both after the
//! file system's. Paths are those of the system; nothing here follows a link at the end of one.

use super::in_use;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepositoryEntry {
    /// A regular file.
    File,
    /// A directory.
    Tree,
    /// A symbolic link with this target, as it stands in it.
    Link(PathBuf),
    /// A device, a socket, a pipe.
    Other,
}

/// A file that is being written.
pub trait RepositoryFile: Write {
    /// Makes its content durable, not its name.
    ///
    /// # Errors
    /// The system's.
    fn sync(&mut self) -> io::Result<()>;
}

/// The file system below a repository. Every error is the system's own.
pub trait RepositoryDisk: Send {
    /// The names in a directory, sorted.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] where there is no directory.
    fn names(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// What a name stands for; `None` for nothing.
    ///
    /// # Errors
    /// The system's.
    fn entry(&self, path: &Path) -> io::Result<Option<RepositoryEntry>>;

    /// Reads a file, past the cache where the file system lets it.
    ///
    /// # Errors
    /// The system's.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Read>>;

    /// Makes a new file that only its owner may use.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`].
    fn create(&mut self, path: &Path) -> io::Result<Box<dyn RepositoryFile>>;

    /// Makes a new directory that only its owner may use.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`].
    fn make_dir(&mut self, dir: &Path) -> io::Result<()>;

    /// Makes a new link.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`].
    fn make_link(&mut self, link: &Path, target: &Path) -> io::Result<()>;

    /// Gives a file, link or tree another name in its directory; a file or link of that name is
    /// replaced, whole.
    ///
    /// # Errors
    /// The system's.
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file, a link, or a tree name by name; an absent one is no error.
    ///
    /// # Errors
    /// [`io::ErrorKind::ResourceBusy`] where something is mounted in it.
    fn remove(&mut self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// The system's.
    fn sync_dir(&mut self, dir: &Path) -> io::Result<()>;

    /// Makes everything on the file system durable that `dir` lies on.
    ///
    /// # Errors
    /// The system's; since Linux 5.8 also when an earlier write failed.
    fn sync_all(&mut self, dir: &Path) -> io::Result<()>;

    /// What of the tree at `path` is in use by anybody, if anything is.
    ///
    /// # Errors
    /// The system's; what cannot be looked at may be in use.
    fn in_use(&self, path: &Path) -> io::Result<Option<PathBuf>>;
}

/// The file systems of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostDisk;

impl RepositoryFile for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

impl RepositoryDisk for HostDisk {
    fn names(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn entry(&self, path: &Path) -> io::Result<Option<RepositoryEntry>> {
        let facts = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        Ok(Some(match facts.file_type() {
            kind if kind.is_file() => RepositoryEntry::File,
            kind if kind.is_dir() => RepositoryEntry::Tree,
            kind if kind.is_symlink() => RepositoryEntry::Link(fs::read_link(path)?),
            _ => RepositoryEntry::Other,
        }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read>> {
        let file = File::open(path)?;
        // A file system that keeps its pages gives them back as they are.
        drop_pages(&file);
        Ok(Box::new(file))
    }

    fn create(&mut self, path: &Path) -> io::Result<Box<dyn RepositoryFile>> {
        let mut options = OpenOptions::new();
        Ok(Box::new(options.write(true).create_new(true).mode(0o600).open(path)?))
    }

    fn make_dir(&mut self, dir: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(dir)
    }

    fn make_link(&mut self, link: &Path, target: &Path) -> io::Result<()> {
        std::os::unix::fs::symlink(target, link)
    }

    #[expect(clippy::disallowed_methods, reason = "callers sync content before and names after")]
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    #[expect(clippy::disallowed_methods, reason = "callers sync the directory where it matters")]
    fn remove(&mut self, path: &Path) -> io::Result<()> {
        match self.entry(path)? {
            None => return Ok(()),
            Some(RepositoryEntry::Tree) => {}
            Some(_) => return fs::remove_file(path),
        }
        match in_use::mounted_below(path)? {
            Some(_) => Err(io::ErrorKind::ResourceBusy.into()),
            None => fs::remove_dir_all(path),
        }
    }

    fn sync_dir(&mut self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn sync_all(&mut self, dir: &Path) -> io::Result<()> {
        storage::sync_all_below(dir)
    }

    fn in_use(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        in_use::in_use(path)
    }
}

/// Lets the next read come from the medium.
#[cfg(target_os = "linux")]
fn drop_pages(file: &File) {
    use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
    let _ = posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
}

/// No portable call does.
#[cfg(not(target_os = "linux"))]
fn drop_pages(_file: &File) {}
