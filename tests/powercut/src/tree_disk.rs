// SPDX-License-Identifier: MIT OR Apache-2.0
//! A file system that knows what it has promised: what may be in it after a power cut?
//!
//! As for the small files it promises no more than POSIX: a content is durable after the file's
//! sync, a name after its directory's, everything after the file system's. Until then a content
//! may be empty, halved, as long as it should be and all zeros, or whole; and of the changes of one
//! directory's names the first few have happened. A directory is a thing of its own: what became of
//! the names in it has nothing to do with what became of its own name.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use updater::{RepositoryDisk, RepositoryEntry, RepositoryFile};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Something that is on a medium.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// A file.
    File(Vec<u8>),
    /// A link.
    Link(PathBuf),
    /// A directory.
    Tree(BTreeMap<String, Item>),
}

impl Item {
    /// What lies at a path below it.
    #[must_use]
    pub fn at(&self, path: &Path) -> Option<&Self> {
        names_of(path).try_fold(self, |item, name| match item {
            Self::Tree(names) => names.get(&name),
            Self::File(_) | Self::Link(_) => None,
        })
    }
}

/// A sync that is left out, to see whether that is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forgotten {
    /// None.
    #[default]
    Nothing,
    /// Files' own and the file system's.
    Contents,
    /// Directories'.
    Names,
}

/// What is uncertain after a cut at one moment.
#[derive(Clone, Debug)]
pub struct Moment(Disk);

/// A file system; clones are the same one.
#[derive(Clone, Debug)]
pub struct TreeDisk(Arc<Mutex<Disk>>);

#[derive(Clone, Debug)]
enum Node {
    File { bytes: Vec<u8>, synced: bool },
    Link(PathBuf),
    Tree { now: BTreeMap<String, usize>, kept: BTreeMap<String, usize>, pending: Vec<Change> },
}

#[derive(Clone, Debug)]
enum Change {
    Put { name: String, node: usize },
    Move { from: String, to: String, node: usize },
    Drop { name: String },
}

#[derive(Clone, Debug)]
struct Disk {
    nodes: Vec<Node>,
    forgotten: Forgotten,
    moments: Vec<Moment>,
}

/// The directory above all.
const ROOT: usize = 0;
/// What may become of a content that is not durable.
const FATES: u64 = 4;

impl TreeDisk {
    /// One that holds `items` durably.
    #[must_use]
    pub fn new(items: &Item, forgotten: Forgotten) -> Self {
        let mut disk = Disk { nodes: Vec::new(), forgotten, moments: Vec::new() };
        disk.load(items);
        Self(Arc::new(Mutex::new(disk)))
    }

    /// What it holds for programs, whatever of it is durable.
    #[must_use]
    pub fn items(&self) -> Item {
        self.lock().item(ROOT, &mut |_, node| match node {
            Node::Tree { pending, .. } => pending.len() as u64,
            Node::File { .. } | Node::Link(_) => FATES - 1,
        })
    }

    /// The moments before each act since it was made, and the present one.
    #[must_use]
    pub fn moments(&self) -> Vec<Moment> {
        let mut disk = self.lock();
        disk.remember();
        std::mem::take(&mut disk.moments)
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        // Whoever panicked left what a cut may leave as well.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Moment {
    /// How many images there are, up to `most`.
    #[must_use]
    pub fn images(&self, most: u64) -> u64 {
        self.combinations().min(most)
    }

    fn combinations(&self) -> u64 {
        self.0.wheels().values().fold(1, |count: u64, wheel| count.saturating_mul(*wheel))
    }

    /// Image `number`: each in turn where there are no more than `most`, else drawn by the seed.
    #[must_use]
    pub fn image(&self, number: u64, most: u64, seed: u64) -> Item {
        let all = self.combinations();
        let chosen = xxh3_64_with_seed(&number.to_le_bytes(), seed) % all;
        let mut rest = if all <= most { number } else { chosen };
        let mut turned = BTreeMap::new();
        for (node, wheel) in self.0.wheels() {
            turned.insert(node, rest % wheel);
            rest /= wheel;
        }
        self.0.item(ROOT, &mut |index, node| match node {
            Node::File { synced: true, .. } => FATES - 1,
            Node::File { .. } | Node::Link(_) | Node::Tree { .. } => {
                turned.get(&index).copied().unwrap_or_default()
            }
        })
    }
}

impl Disk {
    fn load(&mut self, item: &Item) -> usize {
        let index = self.nodes.len();
        self.nodes.push(match item {
            Item::File(bytes) => Node::File { bytes: bytes.clone(), synced: true },
            Item::Link(target) => Node::Link(target.clone()),
            Item::Tree(_) => {
                Node::Tree { now: BTreeMap::new(), kept: BTreeMap::new(), pending: Vec::new() }
            }
        });
        if let Item::Tree(names) = item {
            let names: BTreeMap<String, usize> =
                names.iter().map(|(name, item)| (name.clone(), self.load(item))).collect();
            self.nodes[index] = Node::Tree { now: names.clone(), kept: names, pending: Vec::new() };
        }
        index
    }

    fn remember(&mut self) {
        let mut moments = std::mem::take(&mut self.moments);
        moments.push(Moment(self.clone()));
        self.moments = moments;
    }

    /// What is uncertain and may be reached by a name: the number of its fates.
    fn wheels(&self) -> BTreeMap<usize, u64> {
        let (mut reached, mut open) = (BTreeSet::new(), vec![ROOT]);
        while let Some(index) = open.pop() {
            if let (true, Node::Tree { now, kept, pending }) =
                (reached.insert(index), &self.nodes[index])
            {
                open.extend(now.values().chain(kept.values()));
                open.extend(pending.iter().filter_map(|change| match change {
                    Change::Put { node, .. } | Change::Move { node, .. } => Some(*node),
                    Change::Drop { .. } => None,
                }));
            }
        }
        let wheel = |index: usize| match &self.nodes[index] {
            Node::File { synced: false, .. } => FATES,
            Node::Tree { pending, .. } => pending.len() as u64 + 1,
            Node::File { synced: true, .. } | Node::Link(_) => 1,
        };
        let wheels = reached.into_iter().map(|index| (index, wheel(index)));
        wheels.filter(|(_, wheel)| *wheel > 1).collect()
    }

    fn item(&self, index: usize, fate: &mut dyn FnMut(usize, &Node) -> u64) -> Item {
        let node = &self.nodes[index];
        let fate_of_it = fate(index, node);
        match node {
            Node::Link(target) => Item::Link(target.clone()),
            Node::File { bytes, .. } => Item::File(match fate_of_it {
                0 => Vec::new(),
                1 => bytes[..bytes.len() / 2].to_vec(),
                2 => vec![0; bytes.len()],
                _ => bytes.clone(),
            }),
            Node::Tree { kept, pending, .. } => {
                let mut names = kept.clone();
                for (_, change) in (0..fate_of_it).zip(pending) {
                    change.apply(&mut names);
                }
                let items = names.into_iter().map(|(name, node)| (name, self.item(node, fate)));
                Item::Tree(items.collect())
            }
        }
    }

    fn find(&self, path: &Path) -> Option<usize> {
        names_of(path).try_fold(ROOT, |index, name| match &self.nodes[index] {
            Node::Tree { now, .. } => now.get(&name).copied(),
            Node::File { .. } | Node::Link(_) => None,
        })
    }

    fn found(&self, path: &Path) -> io::Result<usize> {
        self.find(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Does an act: the moment before it is remembered.
    fn change(&mut self, dir: &Path, change: Change) -> io::Result<()> {
        let index = self.found(dir)?;
        self.remember();
        let Node::Tree { now, pending, .. } = &mut self.nodes[index] else {
            return Err(io::ErrorKind::NotADirectory.into());
        };
        change.apply(now);
        pending.push(change);
        Ok(())
    }

    fn put(&mut self, path: &Path, node: Node) -> io::Result<usize> {
        if self.find(path).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let (dir, name) = split(path)?;
        let index = self.nodes.len();
        self.nodes.push(node);
        self.change(dir, Change::Put { name, node: index })?;
        Ok(index)
    }

    fn sync(&mut self, index: usize) {
        match &mut self.nodes[index] {
            Node::File { synced, .. } => *synced = true,
            Node::Tree { now, kept, pending } => {
                pending.clear();
                kept.clone_from(now);
            }
            Node::Link(_) => {}
        }
    }
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Put { name, node } => {
                names.insert(name.clone(), *node);
            }
            Self::Move { from, to, node } => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
            Self::Drop { name } => {
                names.remove(name);
            }
        }
    }
}

fn names_of(path: &Path) -> impl Iterator<Item = String> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        Component::RootDir | Component::CurDir | Component::ParentDir | Component::Prefix(_) => {
            None
        }
    })
}

fn split(path: &Path) -> io::Result<(&Path, String)> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    Ok((dir, name.to_string_lossy().into_owned()))
}

/// A file that is being written.
struct Writing {
    disk: TreeDisk,
    node: usize,
}

impl Write for Writing {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let mut disk = self.disk.lock();
        disk.remember();
        if let Node::File { bytes, synced } = &mut disk.nodes[self.node] {
            bytes.extend_from_slice(data);
            *synced = false;
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl RepositoryFile for Writing {
    fn sync(&mut self) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.remember();
        if disk.forgotten != Forgotten::Contents {
            disk.sync(self.node);
        }
        Ok(())
    }
}

impl RepositoryDisk for TreeDisk {
    fn names(&self, dir: &Path) -> io::Result<Vec<String>> {
        let disk = self.lock();
        match &disk.nodes[disk.found(dir)?] {
            Node::Tree { now, .. } => Ok(now.keys().cloned().collect()),
            Node::File { .. } | Node::Link(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn entry(&self, path: &Path) -> io::Result<Option<RepositoryEntry>> {
        let disk = self.lock();
        Ok(disk.find(path).map(|index| match &disk.nodes[index] {
            Node::File { .. } => RepositoryEntry::File,
            Node::Tree { .. } => RepositoryEntry::Tree,
            Node::Link(target) => RepositoryEntry::Link(target.clone()),
        }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read>> {
        let disk = self.lock();
        match &disk.nodes[disk.found(path)?] {
            Node::File { bytes, .. } => Ok(Box::new(Cursor::new(bytes.clone()))),
            Node::Tree { .. } | Node::Link(_) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn create(&mut self, path: &Path) -> io::Result<Box<dyn RepositoryFile>> {
        let node = self.lock().put(path, Node::File { bytes: Vec::new(), synced: false })?;
        Ok(Box::new(Writing { disk: self.clone(), node }))
    }

    fn make_dir(&mut self, dir: &Path) -> io::Result<()> {
        let empty = Node::Tree { now: BTreeMap::new(), kept: BTreeMap::new(), pending: Vec::new() };
        self.lock().put(dir, empty).map(drop)
    }

    fn make_link(&mut self, link: &Path, target: &Path) -> io::Result<()> {
        self.lock().put(link, Node::Link(target.to_owned())).map(drop)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.lock();
        let node = disk.found(from)?;
        let ((dir, from), (same, to_name)) = (split(from)?, split(to)?);
        if dir != same {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        if let Some(index) = disk.find(to)
            && matches!(disk.nodes[index], Node::Tree { .. })
        {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        disk.change(dir, Change::Move { from, to: to_name, node })
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let inner = match self.entry(path)? {
            None => return Ok(()),
            Some(RepositoryEntry::Tree) => self.names(path)?,
            Some(_) => Vec::new(),
        };
        for name in inner {
            self.remove(&path.join(name))?;
        }
        let (dir, name) = split(path)?;
        self.lock().change(dir, Change::Drop { name })
    }

    fn sync_dir(&mut self, dir: &Path) -> io::Result<()> {
        let mut disk = self.lock();
        disk.remember();
        let index = disk.found(dir)?;
        if disk.forgotten != Forgotten::Names {
            disk.sync(index);
        }
        Ok(())
    }

    fn sync_all(&mut self, dir: &Path) -> io::Result<()> {
        let mut disk = self.lock();
        disk.remember();
        disk.found(dir)?;
        if disk.forgotten != Forgotten::Contents {
            (0..disk.nodes.len()).for_each(|index| disk.sync(index));
        }
        Ok(())
    }

    fn in_use(&self, _path: &Path) -> io::Result<Option<PathBuf>> {
        Ok(None)
    }
}
