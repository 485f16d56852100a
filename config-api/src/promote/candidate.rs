// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does a new tree come onto the medium so that it may count? Every file is synced, every
//! directory after what it holds, everything is read back, and only then it gets its name.

use super::error::PromoteError;
use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use storage::tree::{Entry, Kind, Meta, Trees, dir_of, make_dir_durably, remove_all};

/// Mode of a directory that nobody gave one.
const DIR_MODE: u32 = 0o755;

/// Whose an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The system's.
    Root,
    /// The account that runs the containers without privileges.
    AppService,
}

/// The numbers of the owners on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owners {
    /// User and group of the system.
    pub root: (u32, u32),
    /// User and group of the containers.
    pub app_service: (u32, u32),
}

impl Owners {
    /// What an entry of `owner` with `mode` has on this machine.
    #[must_use]
    pub const fn meta(&self, owner: Owner, mode: u32) -> Meta {
        let (uid, gid) = match owner {
            Owner::Root => self.root,
            Owner::AppService => self.app_service,
        };
        Meta { mode, uid, gid }
    }

    pub(super) const fn dir(&self) -> Meta {
        self.meta(Owner::Root, DIR_MODE)
    }
}

/// What an entry holds.
pub enum Content<'a> {
    /// Nothing: it is a directory.
    Dir,
    /// These bytes.
    Bytes(&'a [u8]),
    /// What is read from here; it may be large.
    Payload(&'a mut dyn Read),
}

/// An entry of a new configuration.
pub struct Item<'a> {
    /// Where, relative to the configuration. A directory comes before what it holds.
    pub path: &'a Path,
    /// Whose.
    pub owner: Owner,
    /// Permission bits.
    pub mode: u32,
    /// What.
    pub content: Content<'a>,
}

/// A new configuration, entry by entry.
pub trait Source {
    /// Gives every entry to `put`.
    ///
    /// # Errors
    /// Those of `put`, and [`PromoteError::Source`].
    fn each(
        &mut self,
        put: &mut dyn FnMut(Item<'_>) -> Result<(), PromoteError>,
    ) -> Result<(), PromoteError>;
}

/// A tree that is being written where nobody reads it.
pub(super) struct Candidate<'t> {
    trees: &'t mut dyn Trees,
    base: PathBuf,
    dirs: BTreeSet<PathBuf>,
    files: Vec<(PathBuf, blake3::Hash)>,
}

impl<'t> Candidate<'t> {
    /// Begins at `base`, whatever a cut left there. Nobody but its maker may look in before the end:
    /// a part that is somebody else's is not his to change before it was read back.
    pub(super) fn begin(
        trees: &'t mut dyn Trees,
        base: &Path,
        owners: Owners,
    ) -> Result<Self, PromoteError> {
        remove_all(trees, base)?;
        trees.make_dir(base, owners.meta(Owner::Root, Meta::PRIVATE_DIR))?;
        let dirs = BTreeSet::from([base.to_owned()]);
        Ok(Self { trees, base: base.to_owned(), dirs, files: Vec::new() })
    }

    /// The same tree, for what is copied from it.
    pub(super) fn reader(&self) -> &dyn Trees {
        &*self.trees
    }

    fn place(&mut self, path: &Path, above: Meta) -> Result<PathBuf, PromoteError> {
        let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        if !is_plain || path.as_os_str().is_empty() {
            return Err(PromoteError::Path { path: path.to_owned() });
        }
        let whole = self.base.join(path);
        let mut missing: Vec<&Path> =
            whole.ancestors().skip(1).take_while(|dir| !self.dirs.contains(*dir)).collect();
        missing.reverse();
        for dir in missing {
            self.trees.make_dir(dir, above)?;
            self.dirs.insert(dir.to_owned());
        }
        Ok(whole)
    }

    pub(super) fn put_dir(&mut self, path: &Path, meta: Meta) -> Result<(), PromoteError> {
        let whole = self.place(path, meta)?;
        self.trees.make_dir(&whole, meta)?;
        self.dirs.insert(whole);
        Ok(())
    }

    pub(super) fn put_file(
        &mut self,
        path: &Path,
        content: &mut dyn Read,
        (meta, above): (Meta, Meta),
    ) -> Result<(), PromoteError> {
        let whole = self.place(path, above)?;
        let mut hashed = Hashing { inner: content, hasher: blake3::Hasher::new(), failed: None };
        let written = self.trees.write(&whole, &mut hashed, meta);
        if let Some(source) = hashed.failed {
            return Err(PromoteError::Source { path: path.to_owned(), source });
        }
        written?;
        self.files.push((whole, hashed.hasher.finalize()));
        Ok(())
    }

    /// Links are not read back: what they lead to is compared when they are used.
    pub(super) fn put_link(
        &mut self,
        path: &Path,
        target: &Path,
        above: Meta,
    ) -> Result<(), PromoteError> {
        let whole = self.place(path, above)?;
        Ok(self.trees.link(&whole, target)?)
    }

    /// Makes all of it durable, reads it back, opens it, and gives it its name in the same directory.
    pub(super) fn finish(self, name: &Path, meta: Meta) -> Result<(), PromoteError> {
        // In the set's order a directory comes before what it holds.
        for dir in self.dirs.iter().rev() {
            self.trees.sync_dir(dir)?;
        }
        for (path, wanted) in &self.files {
            let mut hasher = blake3::Hasher::new();
            let unreadable = |source| PromoteError::Source { path: path.clone(), source };
            io::copy(&mut self.trees.open(path)?, &mut hasher).map_err(unreadable)?;
            if hasher.finalize() != *wanted {
                return Err(PromoteError::ReadBack { path: path.clone() });
            }
        }
        self.trees.give(&self.base, meta)?;
        self.trees.sync_dir(&self.base)?;
        self.trees.rename(&self.base, name)?;
        Ok(self.trees.sync_dir(dir_of(name))?)
    }
}

/// Hashes what passes, and remembers that it could not be read: the writer cannot tell.
struct Hashing<'a> {
    inner: &'a mut dyn Read,
    hasher: blake3::Hasher,
    failed: Option<io::Error>,
}

impl Read for Hashing<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buf) {
            Ok(count) => {
                self.hasher.update(buf.get(..count).unwrap_or_default());
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                self.failed = Some(error);
                Err(kind.into())
            }
        }
    }
}

/// Makes a directory durable with those above it, where they are missing.
pub(super) fn ensure_dir(
    trees: &mut dyn Trees,
    dir: &Path,
    meta: Meta,
) -> Result<(), PromoteError> {
    let mut above: Vec<&Path> = dir.ancestors().filter(|dir| !dir.as_os_str().is_empty()).collect();
    above.reverse();
    for dir in above {
        match trees.entry(dir)? {
            Some(Entry { kind: Kind::Dir, .. }) => continue,
            // A link may lead where nobody looked; it is somebody's, and none of ours.
            Some(_) => return Err(PromoteError::Path { path: dir.to_owned() }),
            None => {}
        }
        make_dir_durably(trees, dir, meta)?;
    }
    Ok(())
}
