// SPDX-License-Identifier: MIT OR Apache-2.0
//! What may the small files be after a power cut?
//!
//! The model promises no more than POSIX: a content is durable after the file's sync, a name after
//! its directory's sync. Before that a content may be empty, cut short at each 512 bytes or in its
//! middle, as long as it should be and all zeros, or whole, and of the name changes in one directory
//! the first few may have happened. A rename itself is whole or not.

use crate::FileStep;
use crate::journal::{Journal, OpKind};
use crate::seed::Choices;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Files by path, with their content.
pub type FileTree = BTreeMap<PathBuf, Vec<u8>>;

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// Up to this many combinations all are tried, above it this many seeded samples.
pub const MAX_CRASH_TREES: u64 = 256;

impl Journal {
    /// What the small files may be after a cut at act `cut` (acts before it were completed, it
    /// was in work), when they began as `initial`. Trees may repeat.
    #[must_use]
    pub fn crash_files(&self, initial: &FileTree, cut: usize, seed: u64) -> Vec<FileTree> {
        let mut model = Model::new(initial);
        let (_, ops) = self.of_device(Self::FILES);
        for (number, kind) in ops.into_iter().take_while(|(number, _)| *number <= cut) {
            if let OpKind::File(step) = kind {
                model.take(step, if number == cut { Progress::InWork } else { Progress::Done });
            }
        }
        model.outcomes(seed)
    }
}

/// Whether a step was finished when the power went.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Done,
    InWork,
}

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Node {
    Dir,
    /// Index into the contents.
    File(usize),
}

struct Content {
    bytes: Vec<u8>,
    synced: bool,
}

impl Content {
    /// What it may be: half of it, zeros of its length, each prefix of whole sectors, all of it.
    fn fates(&self) -> u64 {
        self.bytes.len().div_ceil(SECTOR_BYTES) as u64 + 3
    }

    /// What is left.
    fn kept(&self, fate: u64) -> Vec<u8> {
        let len = self.bytes.len();
        let end = match usize::try_from(fate).unwrap_or(usize::MAX) {
            0 => len / 2,
            1 => return vec![0; len],
            sectors => (sectors - 2).saturating_mul(SECTOR_BYTES).min(len),
        };
        self.bytes.get(..end).unwrap_or_default().to_vec()
    }
}

enum NameChange {
    Put { name: PathBuf, node: Node },
    Move { from: PathBuf, to: PathBuf, node: Node },
    Drop { name: PathBuf },
}

struct Model {
    contents: Vec<Content>,
    current: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
    unsynced: BTreeMap<PathBuf, Vec<NameChange>>,
    made_dirs: BTreeSet<PathBuf>,
}

impl Model {
    fn new(initial: &FileTree) -> Self {
        let content = |bytes: &Vec<u8>| Content { bytes: bytes.clone(), synced: true };
        let names = initial.keys().cloned().zip((0..).map(Node::File));
        let durable: BTreeMap<PathBuf, Node> = names.collect();
        Self {
            contents: initial.values().map(content).collect(),
            current: durable.clone(),
            durable,
            unsynced: BTreeMap::new(),
            made_dirs: BTreeSet::new(),
        }
    }

    fn take(&mut self, step: FileStep, progress: Progress) {
        match step {
            FileStep::MakeDir { dir } => {
                // A directory that holds an initial file was there before.
                if !self.current.keys().any(|name| name.starts_with(&dir)) {
                    self.made_dirs.insert(dir.clone());
                    self.rename(NameChange::Put { name: dir, node: Node::Dir });
                }
            }
            FileStep::WriteTemp { temp, content } => {
                let node = Node::File(self.contents.len());
                self.contents.push(Content { bytes: content, synced: false });
                self.rename(NameChange::Put { name: temp, node });
            }
            FileStep::Rename { from, to } => {
                if let Some(node) = self.current.get(&from).copied() {
                    self.rename(NameChange::Move { from, to, node });
                }
            }
            FileStep::Remove { file } => self.rename(NameChange::Drop { name: file }),
            // A sync in work has promised nothing yet.
            FileStep::SyncFile { .. } | FileStep::SyncDir { .. }
                if progress == Progress::InWork => {}
            FileStep::SyncFile { file } => {
                if let Some(Node::File(index)) = self.current.get(&file)
                    && let Some(content) = self.contents.get_mut(*index)
                {
                    content.synced = true;
                }
            }
            FileStep::SyncDir { dir } => {
                for change in self.unsynced.remove(&dir).unwrap_or_default() {
                    change.apply(&mut self.durable);
                }
            }
        }
    }

    fn rename(&mut self, change: NameChange) {
        change.apply(&mut self.current);
        let dir = change.name().parent().unwrap_or(Path::new("/")).to_owned();
        self.unsynced.entry(dir).or_default().push(change);
    }

    fn outcomes(&self, seed: u64) -> Vec<FileTree> {
        // One wheel per directory (how many changes happened), one per unsynced content.
        let mut wheels: Vec<u64> = Vec::new();
        wheels.extend(self.unsynced.values().map(|changes| changes.len() as u64 + 1));
        let fates = self.contents.iter().filter(|content| !content.synced).map(Content::fates);
        wheels.extend(fates);
        let count = wheels.iter().fold(1_u64, |count, wheel| count.saturating_mul(*wheel));
        let mut choices = Choices::new(seed);
        let mut turn = |number: u64| -> Vec<u64> {
            let mut rest = if count <= MAX_CRASH_TREES { number } else { choices.next() % count };
            let mut turned = Vec::new();
            for wheel in &wheels {
                turned.push(rest % wheel);
                rest /= wheel;
            }
            turned
        };
        (0..count.min(MAX_CRASH_TREES)).map(|number| self.outcome(&turn(number))).collect()
    }

    fn outcome(&self, turned: &[u64]) -> FileTree {
        let mut turned = turned.iter().copied();
        let mut names = self.durable.clone();
        for changes in self.unsynced.values() {
            let happened = turned.next().unwrap_or(0);
            for (_, change) in (0..happened).zip(changes) {
                change.apply(&mut names);
            }
        }
        let kept: Vec<Vec<u8>> = self
            .contents
            .iter()
            .map(|content| {
                let fate = if content.synced { None } else { turned.next() };
                fate.map_or_else(|| content.bytes.clone(), |fate| content.kept(fate))
            })
            .collect();
        let reachable = |name: &Path| {
            name.ancestors()
                .skip(1)
                .all(|dir| !self.made_dirs.contains(dir) || names.contains_key(dir))
        };
        let files = names.iter().filter(|(name, _)| reachable(name));
        files
            .filter_map(|(name, node)| match node {
                Node::Dir => None,
                Node::File(index) => Some((name.clone(), kept.get(*index)?.clone())),
            })
            .collect()
    }
}

impl NameChange {
    /// The name whose directory must be synced for the change to last.
    fn name(&self) -> &Path {
        match self {
            Self::Put { name, .. } | Self::Move { to: name, .. } | Self::Drop { name } => name,
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, Node>) {
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
