// SPDX-License-Identifier: MIT OR Apache-2.0
//! Directories, links and modes that must be whole after a power cut: the second half of the seam
//! beside [`Files`](crate::Files), for trees that are replaced as a whole.
//!
//! Every method is one act that a power cut can fall into, so an order of acts is written by the
//! caller, in the open, and recorded as it is. Paths are relative to one directory that is held
//! open; no `..`, and no link is ever followed, so that whoever can write somewhere below cannot
//! choose what is read or written elsewhere.

mod crash;
mod host;
mod image;
mod memory;

#[cfg(test)]
mod tests;

use crate::{ByteLen, FilesError};
pub use crash::{CrashTrees, crash_trees};
pub use host::HostTrees;
pub use image::{Node, TreeImage, scan};
pub use memory::{MemoryTrees, StepLog, TreeStep};
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Owner and permissions of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Meta {
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Meta {
    /// What somebody else made in passing: nobody but its maker may look.
    pub const PRIVATE_FILE: u32 = 0o600;
    /// The same of a directory.
    pub const PRIVATE_DIR: u32 = 0o700;
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A regular file of so many bytes.
    File(ByteLen),
    /// A symbolic link.
    Link,
    /// A device, pipe or socket.
    Other,
}

/// An entry of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Whose it is.
    pub meta: Meta,
}

/// A directory tree that is changed act by act. Changes of names last once their directory is
/// synced, contents once [`Trees::write`] or [`Trees::append`] returned.
pub trait Trees: Send {
    /// What a name stands for; `None` when there is no such name.
    ///
    /// # Errors
    /// [`FilesError::Read`], [`FilesError::Escapes`].
    fn entry(&self, path: &Path) -> Result<Option<Entry>, FilesError>;

    /// The names in a directory, sorted; none when it does not exist.
    ///
    /// # Errors
    /// [`FilesError::Read`].
    fn list(&self, dir: &Path) -> Result<Vec<OsString>, FilesError>;

    /// Opens a regular file for reading, past the page cache as far as the system lets us.
    ///
    /// # Errors
    /// [`FilesError::Read`] when it is missing, or no regular file.
    fn open(&self, path: &Path) -> Result<Box<dyn Read + Send>, FilesError>;

    /// Where a link leads.
    ///
    /// # Errors
    /// [`FilesError::Read`] when there is none.
    fn link_target(&self, path: &Path) -> Result<PathBuf, FilesError>;

    /// Makes a directory; its name and mode are lost until it and its parent are synced.
    ///
    /// # Errors
    /// [`FilesError::Write`], also when the name is taken.
    fn make_dir(&mut self, path: &Path, meta: Meta) -> Result<(), FilesError>;

    /// Makes a file and its content durable, not its name. Before the end nobody else may read it.
    ///
    /// # Errors
    /// [`FilesError::Write`], also when the name is taken.
    fn write(&mut self, path: &Path, content: &mut dyn Read, meta: Meta) -> Result<(), FilesError>;

    /// Puts bytes at the end of a file and makes them durable; makes the file where it is missing.
    ///
    /// # Errors
    /// [`FilesError::Write`].
    fn append(&mut self, path: &Path, bytes: &[u8], meta: Meta) -> Result<(), FilesError>;

    /// Makes a symbolic link; it is lost until its directory is synced.
    ///
    /// # Errors
    /// [`FilesError::Write`], also when the name is taken.
    fn link(&mut self, path: &Path, target: &Path) -> Result<(), FilesError>;

    /// Renames within one directory, whole or not at all; what had the name before is replaced.
    ///
    /// # Errors
    /// [`FilesError::Write`], also when the directories differ: no file system promises that a
    /// rename across two of them is one act.
    fn rename(&mut self, from: &Path, to: &Path) -> Result<(), FilesError>;

    /// Removes a name: a file, a link, anything else, or an empty directory. A missing one is none.
    ///
    /// # Errors
    /// [`FilesError::Write`].
    fn remove(&mut self, path: &Path) -> Result<(), FilesError>;

    /// Removes a name with everything below it; a cut leaves some of it. Not durable by itself.
    ///
    /// # Errors
    /// As [`Trees::remove`].
    fn remove_tree(&mut self, path: &Path) -> Result<(), FilesError> {
        let mut open = vec![path.to_owned()];
        // Directories are met before what they hold, so the reverse order empties them first.
        let mut met = Vec::new();
        while let Some(next) = open.pop() {
            if let Some(Entry { kind: Kind::Dir, .. }) = self.entry(&next)? {
                open.extend(self.list(&next)?.into_iter().map(|name| next.join(name)));
            }
            met.push(next);
        }
        for path in met.iter().rev() {
            self.remove(path)?;
        }
        Ok(())
    }

    /// Gives a directory or regular file to somebody, with other permissions; of a directory that is
    /// lost until it is synced, of a file until the next [`Trees::append`].
    ///
    /// # Errors
    /// [`FilesError::Write`].
    fn give(&mut self, path: &Path, meta: Meta) -> Result<(), FilesError>;

    /// Makes the names in a directory and its own mode durable.
    ///
    /// # Errors
    /// [`FilesError::Write`].
    fn sync_dir(&mut self, dir: &Path) -> Result<(), FilesError>;

    /// Reads a whole regular file of at most `limit` bytes; `None` when it does not exist.
    ///
    /// # Errors
    /// [`FilesError::Read`], [`FilesError::TooLarge`].
    fn read(&self, path: &Path, limit: ByteLen) -> Result<Option<Vec<u8>>, FilesError> {
        if self.entry(path)?.is_none() {
            return Ok(None);
        }
        let mut content = Vec::new();
        let file = self.open(path)?;
        file.take(limit.get().saturating_add(1))
            .read_to_end(&mut content)
            .map_err(|source| FilesError::Read { path: path.to_owned(), source })?;
        if content.len() as u64 > limit.get() {
            return Err(FilesError::TooLarge { path: path.to_owned(), limit });
        }
        Ok(Some(content))
    }
}

/// The directory that holds a name.
#[must_use]
pub fn dir_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// The name beside `path` under which its successor is made.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    dir_of(path).join(name)
}

/// Replaces a small file so that the old or the new one is there whole after a cut.
///
/// # Errors
/// As [`Trees::write`].
pub fn replace_file(
    trees: &mut dyn Trees,
    path: &Path,
    content: &[u8],
    meta: Meta,
) -> Result<(), FilesError> {
    let new = beside(path);
    // A cut before may have left one.
    trees.remove(&new)?;
    trees.write(&new, &mut &*content, meta)?;
    trees.rename(&new, path)?;
    trees.sync_dir(dir_of(path))
}

/// Points a link elsewhere so that the old or the new one is there whole after a cut.
///
/// # Errors
/// As [`Trees::link`].
pub fn replace_link(trees: &mut dyn Trees, path: &Path, target: &Path) -> Result<(), FilesError> {
    let new = beside(path);
    trees.remove(&new)?;
    rename_link(trees, &new, path, target)
}

/// Makes a link as `new` and renames it once it is whole: nobody can sync a link but by its
/// directory.
///
/// # Errors
/// As [`Trees::link`].
pub fn rename_link(
    trees: &mut dyn Trees,
    new: &Path,
    path: &Path,
    target: &Path,
) -> Result<(), FilesError> {
    trees.link(new, target)?;
    trees.sync_dir(dir_of(new))?;
    trees.rename(new, path)?;
    trees.sync_dir(dir_of(path))
}

/// Makes a directory, whole with its mode or not at all.
///
/// # Errors
/// As [`Trees::make_dir`].
pub fn make_dir_durably(trees: &mut dyn Trees, path: &Path, meta: Meta) -> Result<(), FilesError> {
    let new = beside(path);
    remove_all(trees, &new)?;
    trees.make_dir(&new, meta)?;
    trees.sync_dir(&new)?;
    trees.rename(&new, path)?;
    trees.sync_dir(dir_of(path))
}

/// Removes a name with everything below it; a cut leaves some of it. Not durable by itself.
///
/// # Errors
/// As [`Trees::remove`].
pub fn remove_all(trees: &mut dyn Trees, path: &Path) -> Result<(), FilesError> {
    trees.remove_tree(path)
}
