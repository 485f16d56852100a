// SPDX-License-Identifier: MIT OR Apache-2.0
//! What may a tree hold after a power cut?
//!
//! The model promises no more than POSIX: a content and its mode are durable after the file's
//! sync, a name after its directory's sync, each directory for itself. Before that a content may be
//! empty, cut short at each 512 bytes or in its middle, all zeros, or whole; a new directory may
//! have the mode it was made with, a link may lead nowhere; and of the changes of names in one
//! directory the first few may have happened, of each directory independently. A rename is whole
//! or not. Directories are nodes, not paths: a tree that is renamed keeps what it holds.

use super::{Meta, Node, TreeImage, TreeStep, dir_of};
use crate::seed::Choices;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// The mode that an entry has between being made and being given its own.
const fn made(mode: u32) -> Meta {
    Meta { mode, uid: 0, gid: 0 }
}

/// The trees that a cut at act `cut` may leave (acts before it were completed, it was in work) of
/// one that began as `initial`: all of them when there are at most `most`, else so many samples.
#[must_use]
pub fn crash_trees(
    initial: &TreeImage,
    steps: &[TreeStep],
    cut: usize,
    most: u64,
    seed: u64,
) -> CrashTrees {
    let mut model = Model::new(initial);
    for (number, step) in steps.iter().enumerate().take(cut.saturating_add(1)) {
        // A sync in work has promised nothing yet.
        if number < cut || !matches!(step, TreeStep::SyncFile(_) | TreeStep::SyncDir(_)) {
            model.take(step);
        }
    }
    let wheels = model.wheels();
    let count = wheels.iter().fold(1_u64, |count, wheel| count.saturating_mul(*wheel));
    CrashTrees { model, wheels, count, most, seed }
}

/// The trees of one cut; each is made when it is asked for.
pub struct CrashTrees {
    model: Model,
    wheels: Vec<u64>,
    count: u64,
    most: u64,
    seed: u64,
}

impl CrashTrees {
    /// How many there are. They may repeat.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.min(self.most)
    }

    /// Whether these are all legal ones.
    #[must_use]
    pub const fn is_every(&self) -> bool {
        self.count <= self.most
    }

    /// Tree `number`.
    #[must_use]
    pub fn tree(&self, number: u64) -> TreeImage {
        let mut choices = Choices::new(self.seed ^ number.wrapping_mul(0x9e37_79b9));
        let mut rest = number;
        let turned = self.wheels.iter().map(|wheel| {
            if !self.is_every() {
                // The first two are the ends: nothing of it happened, and all of it did.
                return match number {
                    0 => 0,
                    1 => wheel - 1,
                    _ => choices.below(*wheel),
                };
            }
            let turn = rest % wheel;
            rest /= wheel;
            turn
        });
        self.model.outcome(turned.collect::<Vec<_>>())
    }
}

enum Change {
    Put(OsString, usize),
    Move(OsString, OsString, usize),
    Drop(OsString),
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<OsString, usize>) {
        match self {
            Self::Put(name, inode) => {
                names.insert(name.clone(), *inode);
            }
            Self::Move(from, to, inode) => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
            Self::Drop(name) => {
                names.remove(name);
            }
        }
    }
}

#[derive(Default)]
struct Names {
    now: BTreeMap<OsString, usize>,
    kept: BTreeMap<OsString, usize>,
    changes: Vec<Change>,
}

enum What {
    Dir(Names),
    /// Durable bytes, and those that are not yet.
    File(Arc<[u8]>, Option<Vec<u8>>),
    Link(PathBuf),
}

struct Inode {
    meta: Meta,
    /// What it has when `meta` (of a link: what it leads to) was not yet synced.
    unsynced: Option<Meta>,
    what: What,
}

struct Model {
    inodes: Vec<Inode>,
}

const ROOT: usize = 0;

impl Model {
    fn new(initial: &TreeImage) -> Self {
        let dir = |meta| Inode { meta, unsynced: None, what: What::Dir(Names::default()) };
        let mut model = Self { inodes: vec![dir(made(0o755))] };
        // In the map's order a directory comes before what it holds.
        for (path, node) in initial {
            let inode = match node {
                Node::Dir(meta) => dir(*meta),
                Node::File(meta, content) => {
                    let what = What::File(Arc::clone(content), None);
                    Inode { meta: *meta, unsynced: None, what }
                }
                Node::Link(target) => {
                    let what = What::Link(target.clone());
                    Inode { meta: made(0o777), unsynced: None, what }
                }
            };
            model.inodes.push(inode);
            let number = model.inodes.len() - 1;
            let name = path.file_name().unwrap_or_default().to_owned();
            if let Some(names) = model.names(dir_of(path)) {
                names.now.insert(name.clone(), number);
                names.kept.insert(name, number);
            }
        }
        model
    }

    fn find(&self, path: &Path) -> Option<usize> {
        path.iter().try_fold(ROOT, |at, name| match &self.inodes.get(at)?.what {
            What::Dir(names) => names.now.get(name).copied(),
            What::File(..) | What::Link(_) => None,
        })
    }

    fn names(&mut self, dir: &Path) -> Option<&mut Names> {
        let at = self.find(dir)?;
        match &mut self.inodes.get_mut(at)?.what {
            What::Dir(names) => Some(names),
            What::File(..) | What::Link(_) => None,
        }
    }

    fn change(&mut self, dir: &Path, change: Change) {
        if let Some(names) = self.names(dir) {
            change.apply(&mut names.now);
            names.changes.push(change);
        }
    }

    fn put(&mut self, path: &Path, inode: Inode) {
        self.inodes.push(inode);
        let number = self.inodes.len() - 1;
        self.change(dir_of(path), Change::Put(name_of(path).to_owned(), number));
    }

    fn take(&mut self, step: &TreeStep) {
        match step {
            TreeStep::MakeDir(path, meta) => {
                let (unsynced, what) = (Some(made(Meta::PRIVATE_DIR)), What::Dir(Names::default()));
                self.put(path, Inode { meta: *meta, unsynced, what });
            }
            TreeStep::Write(path, meta, content) => {
                let what = What::File(Arc::default(), Some(content.to_vec()));
                let unsynced = Some(made(Meta::PRIVATE_FILE));
                self.put(path, Inode { meta: *meta, unsynced, what });
            }
            TreeStep::Append(path, bytes) => {
                let found = self.find(path).and_then(|at| self.inodes.get_mut(at));
                if let Some(Inode { what: What::File(_, tail), .. }) = found {
                    tail.get_or_insert_default().extend_from_slice(bytes);
                }
            }
            TreeStep::Link(path, target) => {
                let what = What::Link(target.clone());
                self.put(path, Inode { meta: made(0o777), unsynced: Some(made(0o777)), what });
            }
            TreeStep::Rename(from, to) => {
                if let Some(number) = self.find(from) {
                    let (from, name) = (name_of(from).to_owned(), name_of(to).to_owned());
                    self.change(dir_of(to), Change::Move(from, name, number));
                }
            }
            TreeStep::Remove(path) => {
                self.change(dir_of(path), Change::Drop(name_of(path).to_owned()));
            }
            TreeStep::Give(path, meta) => {
                if let Some(inode) = self.find(path).and_then(|at| self.inodes.get_mut(at)) {
                    // What was there when it was synced last may return.
                    inode.unsynced.get_or_insert(inode.meta);
                    inode.meta = *meta;
                }
            }
            TreeStep::SyncFile(path) | TreeStep::SyncDir(path) => {
                if let Some(number) = self.find(path) {
                    self.sync(number);
                }
            }
        }
    }

    fn sync(&mut self, number: usize) {
        let Some(inode) = self.inodes.get_mut(number) else { return };
        inode.unsynced = None;
        let links: Vec<usize> = match &mut inode.what {
            What::Dir(names) => {
                names.kept = names.now.clone();
                names.changes.clear();
                names.now.values().copied().collect()
            }
            What::File(kept, tail) => {
                if let Some(tail) = tail.take() {
                    *kept = [&**kept, &tail].concat().into();
                }
                Vec::new()
            }
            What::Link(_) => Vec::new(),
        };
        // Nobody can sync a link; it comes with its directory.
        for link in links {
            if let Some(Inode { unsynced, what: What::Link(_), .. }) = self.inodes.get_mut(link) {
                *unsynced = None;
            }
        }
    }

    /// In how many ways each uncertain thing may end, in the order in which `outcome` asks.
    fn wheels(&self) -> Vec<u64> {
        let mut wheels = Vec::new();
        for inode in &self.inodes {
            wheels.push(if inode.unsynced.is_some() { 2 } else { 1 });
            wheels.push(match &inode.what {
                What::Dir(names) => names.changes.len() as u64 + 1,
                What::File(_, Some(tail)) => tail.len().div_ceil(SECTOR_BYTES) as u64 + 3,
                What::File(_, None) | What::Link(_) => 1,
            });
        }
        wheels
    }

    fn outcome(&self, turned: Vec<u64>) -> TreeImage {
        let turn = |at: usize| turned.get(at).copied().unwrap_or(0);
        let mut image = TreeImage::new();
        let mut open = vec![(PathBuf::new(), ROOT)];
        while let Some((path, number)) = open.pop() {
            let Some(inode) = self.inodes.get(number) else { continue };
            let settled = turn(2 * number) == 1 || inode.unsynced.is_none();
            let meta = if settled { inode.meta } else { inode.unsynced.unwrap_or(inode.meta) };
            let fate = turn(2 * number + 1);
            let node = match &inode.what {
                What::Dir(names) => {
                    let mut kept = names.kept.clone();
                    let happened = usize::try_from(fate).unwrap_or(usize::MAX);
                    for change in names.changes.iter().take(happened) {
                        change.apply(&mut kept);
                    }
                    open.extend(kept.iter().map(|(name, number)| (path.join(name), *number)));
                    Node::Dir(meta)
                }
                What::File(kept, None) => Node::File(meta, Arc::clone(kept)),
                What::File(kept, Some(tail)) => {
                    Node::File(meta, [&**kept, &left_of(tail, fate)].concat().into())
                }
                What::Link(target) => {
                    Node::Link(if settled { target.clone() } else { PathBuf::new() })
                }
            };
            if number != ROOT {
                image.insert(path, node);
            }
        }
        image
    }
}

/// What is left of bytes that were not synced: each prefix of whole sectors up to all of it, its
/// half, or zeros.
fn left_of(bytes: &[u8], fate: u64) -> Vec<u8> {
    let sectors = bytes.len().div_ceil(SECTOR_BYTES);
    match usize::try_from(fate).unwrap_or(usize::MAX) {
        0 => bytes.get(..bytes.len() / 2).unwrap_or_default().to_vec(),
        1 => vec![0; bytes.len()],
        fate => {
            let end = (fate - 2).min(sectors).saturating_mul(SECTOR_BYTES).min(bytes.len());
            bytes.get(..end).unwrap_or_default().to_vec()
        }
    }
}

fn name_of(path: &Path) -> &OsStr {
    path.file_name().unwrap_or_default()
}
