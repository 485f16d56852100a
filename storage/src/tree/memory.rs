// SPDX-License-Identifier: MIT OR Apache-2.0
//! Trees in memory, which log each act for the crash simulator when they are asked to.

use super::{Entry, Kind, Meta, Node, TreeImage, Trees, dir_of};
use crate::{ByteLen, FilesError};
use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// One act on a tree; what a power cut does to it is told per variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeStep {
    /// Its name is lost until its parent is synced, its mode until it is synced itself.
    MakeDir(PathBuf, Meta),
    /// Name, mode and content are lost.
    Write(PathBuf, Meta, Arc<[u8]>),
    /// The bytes are lost, or the first of them are there.
    Append(PathBuf, Arc<[u8]>),
    /// Content and mode are durable.
    SyncFile(PathBuf),
    /// Its name is lost, or what it leads to.
    Link(PathBuf, PathBuf),
    /// The old name returns until the directory is synced.
    Rename(PathBuf, PathBuf),
    /// The name returns until the directory is synced.
    Remove(PathBuf),
    /// The old owner and mode return until it is synced.
    Give(PathBuf, Meta),
    /// The names in it are durable, and its mode.
    SyncDir(PathBuf),
}

/// The acts that were done, in order; clones are the same log.
#[derive(Clone, Debug, Default)]
pub struct StepLog(Arc<Mutex<Vec<TreeStep>>>);

impl StepLog {
    /// All of them.
    #[must_use]
    pub fn steps(&self) -> Vec<TreeStep> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn log(&self, step: TreeStep) {
        // A list stays one when somebody else panics, so the guard is taken over.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(step);
    }
}

/// A tree in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryTrees {
    image: TreeImage,
    log: Option<StepLog>,
}

impl From<TreeImage> for MemoryTrees {
    fn from(image: TreeImage) -> Self {
        Self { image, log: None }
    }
}

impl MemoryTrees {
    /// The same tree, whose acts are logged from now on.
    #[must_use]
    pub fn recorded(image: TreeImage) -> (Self, StepLog) {
        let log = StepLog::default();
        (Self { image, log: Some(log.clone()) }, log)
    }

    /// What it holds.
    #[must_use]
    pub const fn image(&self) -> &TreeImage {
        &self.image
    }

    fn log(&self, step: TreeStep) {
        if let Some(log) = &self.log {
            log.log(step);
        }
    }

    /// The node of a name whose directories are directories.
    fn node(&self, path: &Path) -> Result<Option<&Node>, FilesError> {
        if path.components().any(|part| !matches!(part, Component::Normal(_))) {
            return Err(FilesError::Escapes { path: path.to_owned() });
        }
        let above = path.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty());
        // Outermost first, as the kernel walks.
        for dir in above.collect::<Vec<_>>().into_iter().rev() {
            match self.image.get(dir) {
                Some(Node::Dir(_)) => {}
                None => return Ok(None),
                Some(Node::File(..) | Node::Link(_)) => {
                    return Err(unreadable(path, io::ErrorKind::NotADirectory));
                }
            }
        }
        Ok(self.image.get(path))
    }

    /// A name that is free, in a directory that exists.
    fn is_free(&self, path: &Path) -> Result<(), FilesError> {
        if self.node(path)?.is_some() {
            return Err(unwritable(path, io::ErrorKind::AlreadyExists));
        }
        self.is_dir(dir_of(path))
    }

    fn is_dir(&self, dir: &Path) -> Result<(), FilesError> {
        match self.image.get(dir) {
            Some(Node::Dir(_)) => Ok(()),
            None if dir.as_os_str().is_empty() => Ok(()),
            None => Err(unwritable(dir, io::ErrorKind::NotFound)),
            Some(Node::File(..) | Node::Link(_)) => {
                Err(unwritable(dir, io::ErrorKind::NotADirectory))
            }
        }
    }

    fn has_children(&self, dir: &Path) -> bool {
        self.image.keys().any(|path| path.parent() == Some(dir))
    }
}

fn unreadable(path: &Path, kind: io::ErrorKind) -> FilesError {
    FilesError::Read { path: path.to_owned(), source: kind.into() }
}

fn unwritable(path: &Path, kind: io::ErrorKind) -> FilesError {
    FilesError::Write { path: path.to_owned(), source: kind.into() }
}

impl Trees for MemoryTrees {
    fn entry(&self, path: &Path) -> Result<Option<Entry>, FilesError> {
        Ok(self.node(path)?.map(|node| match node {
            Node::Dir(meta) => Entry { kind: Kind::Dir, meta: *meta },
            Node::File(meta, content) => {
                Entry { kind: Kind::File(ByteLen::new(content.len() as u64)), meta: *meta }
            }
            Node::Link(_) => Entry { kind: Kind::Link, meta: Meta { mode: 0o777, uid: 0, gid: 0 } },
        }))
    }

    fn list(&self, dir: &Path) -> Result<Vec<OsString>, FilesError> {
        if !dir.as_os_str().is_empty() {
            match self.node(dir)? {
                None => return Ok(Vec::new()),
                Some(Node::Dir(_)) => {}
                Some(Node::File(..) | Node::Link(_)) => {
                    return Err(unreadable(dir, io::ErrorKind::NotADirectory));
                }
            }
        }
        let children = self.image.keys().filter(|path| path.parent() == Some(dir));
        Ok(children.filter_map(|path| path.file_name()).map(ToOwned::to_owned).collect())
    }

    fn open(&self, path: &Path) -> Result<Box<dyn Read + Send>, FilesError> {
        match self.node(path)? {
            Some(Node::File(_, content)) => Ok(Box::new(io::Cursor::new(Arc::clone(content)))),
            Some(Node::Dir(_) | Node::Link(_)) => {
                Err(unreadable(path, io::ErrorKind::InvalidInput))
            }
            None => Err(unreadable(path, io::ErrorKind::NotFound)),
        }
    }

    fn link_target(&self, path: &Path) -> Result<PathBuf, FilesError> {
        match self.node(path)? {
            Some(Node::Link(target)) => Ok(target.clone()),
            Some(Node::Dir(_) | Node::File(..)) => {
                Err(unreadable(path, io::ErrorKind::InvalidInput))
            }
            None => Err(unreadable(path, io::ErrorKind::NotFound)),
        }
    }

    fn make_dir(&mut self, path: &Path, meta: Meta) -> Result<(), FilesError> {
        self.is_free(path)?;
        self.image.insert(path.to_owned(), Node::Dir(meta));
        self.log(TreeStep::MakeDir(path.to_owned(), meta));
        Ok(())
    }

    fn write(&mut self, path: &Path, content: &mut dyn Read, meta: Meta) -> Result<(), FilesError> {
        self.is_free(path)?;
        let mut bytes = Vec::new();
        content
            .read_to_end(&mut bytes)
            .map_err(|source| FilesError::Write { path: path.to_owned(), source })?;
        let bytes: Arc<[u8]> = bytes.into();
        self.image.insert(path.to_owned(), Node::File(meta, Arc::clone(&bytes)));
        self.log(TreeStep::Write(path.to_owned(), meta, bytes));
        self.log(TreeStep::SyncFile(path.to_owned()));
        Ok(())
    }

    fn append(&mut self, path: &Path, bytes: &[u8], meta: Meta) -> Result<(), FilesError> {
        let old = match self.node(path)? {
            None => {
                self.write(path, &mut io::empty(), meta)?;
                (meta, Arc::default())
            }
            Some(Node::File(meta, content)) => (*meta, Arc::clone(content)),
            Some(Node::Dir(_) | Node::Link(_)) => {
                return Err(unwritable(path, io::ErrorKind::InvalidInput));
            }
        };
        let whole: Arc<[u8]> = [&*old.1, bytes].concat().into();
        self.image.insert(path.to_owned(), Node::File(old.0, whole));
        self.log(TreeStep::Append(path.to_owned(), bytes.into()));
        self.log(TreeStep::SyncFile(path.to_owned()));
        Ok(())
    }

    fn link(&mut self, path: &Path, target: &Path) -> Result<(), FilesError> {
        self.is_free(path)?;
        self.image.insert(path.to_owned(), Node::Link(target.to_owned()));
        self.log(TreeStep::Link(path.to_owned(), target.to_owned()));
        Ok(())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> Result<(), FilesError> {
        if dir_of(from) != dir_of(to) {
            return Err(unwritable(to, io::ErrorKind::CrossesDevices));
        }
        let is_dir = match self.node(from)? {
            None => return Err(unwritable(from, io::ErrorKind::NotFound)),
            Some(node) => matches!(node, Node::Dir(_)),
        };
        if from == to {
            return Ok(());
        }
        match self.node(to)? {
            Some(Node::Dir(_)) if !is_dir => {
                return Err(unwritable(to, io::ErrorKind::IsADirectory));
            }
            Some(Node::Dir(_)) if self.has_children(to) => {
                return Err(unwritable(to, io::ErrorKind::DirectoryNotEmpty));
            }
            Some(Node::File(..) | Node::Link(_)) if is_dir => {
                return Err(unwritable(to, io::ErrorKind::NotADirectory));
            }
            Some(_) | None => {}
        }
        let moved: Vec<PathBuf> =
            self.image.keys().filter(|path| path.starts_with(from)).cloned().collect();
        for path in moved {
            if let (Some(node), Ok(rest)) = (self.image.remove(&path), path.strip_prefix(from)) {
                let name = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
                self.image.insert(name, node);
            }
        }
        self.log(TreeStep::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&mut self, path: &Path) -> Result<(), FilesError> {
        if self.node(path)?.is_none() {
            return Ok(());
        }
        if self.has_children(path) {
            return Err(unwritable(path, io::ErrorKind::DirectoryNotEmpty));
        }
        self.image.remove(path);
        self.log(TreeStep::Remove(path.to_owned()));
        Ok(())
    }

    fn give(&mut self, path: &Path, meta: Meta) -> Result<(), FilesError> {
        let given = match self.node(path)? {
            Some(Node::Dir(_)) => Node::Dir(meta),
            Some(Node::File(_, content)) => Node::File(meta, Arc::clone(content)),
            Some(Node::Link(_)) => return Err(unwritable(path, io::ErrorKind::InvalidInput)),
            None => return Err(unwritable(path, io::ErrorKind::NotFound)),
        };
        self.image.insert(path.to_owned(), given);
        self.log(TreeStep::Give(path.to_owned(), meta));
        Ok(())
    }

    fn sync_dir(&mut self, dir: &Path) -> Result<(), FilesError> {
        self.is_dir(dir)?;
        self.log(TreeStep::SyncDir(dir.to_owned()));
        Ok(())
    }
}
