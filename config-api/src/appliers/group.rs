// SPDX-License-Identifier: MIT OR Apache-2.0
//! What has to be done about the files of one service, and was it done? Files that are as they
//! should be say nothing of whether the service has read them (fault B8): a stamp does, which is
//! written after every action succeeded and not before.

use super::error::ApplierError;
use std::path::{Path, PathBuf};
use storage::ByteLen;
use storage::tree::{Entry, Kind, Meta, Trees, dir_of, replace_file};

/// The owner of system files, and what others may do with them.
const MODE: u32 = 0o644;
const DIR_MODE: u32 = 0o755;
/// Far above anything that is rendered.
const MAX_FILE_BYTES: ByteLen = ByteLen::new(4 * 1024 * 1024);

/// A file of the system, relative to its root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemFile {
    /// Where.
    pub path: PathBuf,
    /// All of it.
    pub content: Vec<u8>,
}

impl SystemFile {
    /// A file of text.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, text: String) -> Self {
        Self { path: path.into(), content: text.into_bytes() }
    }
}

/// What makes a service read its files again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a unit anew, if it runs.
    TryRestart(&'static str),
    /// Have networkd read its files and go over all interfaces.
    ReloadNetworks,
    /// Have systemd read its units.
    ReloadSystemd,
}

/// The files of one service and what follows from their change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name, which is that of its stamp.
    pub name: &'static str,
    /// What must be there.
    pub files: Vec<SystemFile>,
    /// What must not.
    pub obsolete: Vec<PathBuf>,
    /// What to do after a change, in order.
    pub actions: Vec<Action>,
}

/// What has to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupPlan {
    /// What the stamp says when all of it was done.
    pub stamp: String,
    /// The actions, none when the stamp says so already.
    pub actions: Vec<Action>,
}

/// What has to be done, when the last stamp is `stamp`.
#[must_use]
pub fn plan_group(group: &Group, stamp: Option<&str>) -> GroupPlan {
    let mut hasher = blake3::Hasher::new();
    let mut add = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    for file in &group.files {
        add(file.path.as_os_str().as_encoded_bytes());
        add(&file.content);
    }
    for path in &group.obsolete {
        add(path.as_os_str().as_encoded_bytes());
    }
    let wanted = hasher.finalize().to_hex().to_string();
    let actions = if stamp == Some(&*wanted) { Vec::new() } else { group.actions.clone() };
    GroupPlan { stamp: wanted, actions }
}

/// Brings the files below the system's root in order; says whether anything had to be done.
///
/// # Errors
/// [`ApplierError::Files`].
pub fn write_files(
    trees: &mut dyn Trees,
    group: &Group,
    owner: (u32, u32),
) -> Result<bool, ApplierError> {
    let (uid, gid) = owner;
    let meta = Meta { mode: MODE, uid, gid };
    let mut changed = false;
    for file in &group.files {
        let is_there = match trees.entry(&file.path)? {
            Some(Entry { kind: Kind::File(_), meta: found }) => {
                found == meta
                    && trees.read(&file.path, MAX_FILE_BYTES)?.as_ref() == Some(&file.content)
            }
            Some(_) | None => false,
        };
        if !is_there {
            make_dirs(trees, dir_of(&file.path), Meta { mode: DIR_MODE, ..meta })?;
            replace_file(trees, &file.path, &file.content, meta)?;
            changed = true;
        }
    }
    for path in &group.obsolete {
        if trees.entry(path)?.is_some() {
            trees.remove(path)?;
            trees.sync_dir(dir_of(path))?;
            changed = true;
        }
    }
    Ok(changed)
}

/// Makes the directories that are missing.
pub(crate) fn make_dirs(trees: &mut dyn Trees, dir: &Path, meta: Meta) -> Result<(), ApplierError> {
    let mut above: Vec<&Path> = dir.ancestors().filter(|dir| !dir.as_os_str().is_empty()).collect();
    above.reverse();
    for dir in above {
        if trees.entry(dir)?.is_none() {
            trees.make_dir(dir, meta)?;
            trees.sync_dir(dir_of(dir))?;
        }
    }
    Ok(())
}
