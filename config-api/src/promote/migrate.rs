// SPDX-License-Identifier: MIT OR Apache-2.0
//! How are the trees of the program before us taken over? It kept one directory `config` that it
//! renamed, with `config-rollback`, `config-candidate` and a marker beside it.
//!
//! Nothing of it is changed until its configuration is a generation of ours and recorded; until
//! then a cut leaves what was there, and it is looked at anew. What counts is told by its own
//! recovery table, but for two faults: a rollback tree that was being deleted is no configuration
//! (B1), and with only a candidate and a rollback tree the rollback tree counts at once (B7).

use super::candidate::{Candidate, Owner, Owners, ensure_dir};
use super::error::PromoteError;
use super::layout::{
    CANDIDATE, CONFIG, CURRENT, GENERATIONS, Generation, IMPORT_PREFIX, MANAGED_USERS, OLD_MARKER,
    OLD_ROLLBACK, OWNED_NAMES, REPLACED_PREFIX,
};
use super::store::next_number;
use serde_json::Value;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use storage::ByteLen;
use storage::tree::{Entry, Kind, Trees, rename_link, replace_file};

/// Far above what that program writes.
const MAX_JSON_BYTES: ByteLen = ByteLen::new(4 * 1024 * 1024);

/// Written for every configuration.
const ALWAYS: [&str; 10] = [
    "config.toml",
    "admin-signers",
    "users.json",
    "firewall-inbound.json",
    "lan-settings.json",
    "host-network.json",
    "health-required.json",
    "activation-policy.json",
    "quadlet",
    "quadlet-runtime.json",
];

/// How much of a configuration an old tree holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Completeness {
    /// There is none.
    Nothing,
    /// The input, from which the rest was made.
    Input,
    /// Everything that the program wrote for it.
    Whole,
}

/// What the program before us left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OldTrees {
    /// `config`.
    pub active: Completeness,
    /// `config-rollback`.
    pub rollback: Completeness,
    /// Whether its marker says that a promotion was not finished.
    pub marker: bool,
}

/// Which tree counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `config`.
    Active,
    /// `config-rollback`.
    Rollback,
}

/// Which tree counts; none when the device was not provisioned.
#[must_use]
pub fn choose(old: OldTrees) -> Option<Origin> {
    use Completeness::{Input, Nothing, Whole};
    match (old.marker, old.active, old.rollback) {
        // It was not proved: what was before it counts, unless that is being deleted already.
        (true, _, Whole) => Some(Origin::Rollback),
        (_, Input | Whole, _) => Some(Origin::Active),
        (_, Nothing, Input | Whole) => Some(Origin::Rollback),
        (_, Nothing, Nothing) => None,
    }
}

/// Makes the old configuration the first generation; `None` when there is none.
pub(super) fn take_over(
    trees: &mut dyn Trees,
    owners: Owners,
) -> Result<Option<Generation>, PromoteError> {
    let (active, rollback) = (base_of(trees, CONFIG)?, base_of(trees, OLD_ROLLBACK)?);
    let old = OldTrees {
        active: completeness(trees, &active)?,
        rollback: completeness(trees, &rollback)?,
        marker: trees.entry(Path::new(OLD_MARKER))?.is_some(),
    };
    let Some(origin) = choose(old) else { return Ok(None) };
    ensure_dir(trees, Path::new(GENERATIONS), owners.dir())?;
    let generation = next_number(trees)?;
    let from = match origin {
        Origin::Active => active,
        Origin::Rollback => rollback,
    };
    let mut candidate = Candidate::begin(trees, Path::new(CANDIDATE), owners)?;
    for name in OWNED_NAMES {
        candidate.copy(&from.join(name), Path::new(name), Links::Dropped)?;
    }
    candidate.finish(&generation.path(), owners.dir())?;
    if origin == Origin::Rollback || old.rollback == Completeness::Whole {
        bring_back(trees, owners)?;
    }
    Ok(Some(generation))
}

/// Where the files of an old tree lie. A system of ours may have stood in between: then the tree
/// has generations, and its names are links.
fn base_of(trees: &dyn Trees, dir: &str) -> Result<PathBuf, PromoteError> {
    let dir = Path::new(dir);
    let current = dir.join(Path::new(CURRENT).file_name().unwrap_or_default());
    if let Some(Entry { kind: Kind::Link, .. }) = trees.entry(&current)? {
        let target = trees.link_target(&current)?;
        let name = target.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
        if Generation::parse(&name).is_some_and(|generation| generation.link_target() == target) {
            return Ok(dir.join(target));
        }
    }
    Ok(dir.to_owned())
}

fn completeness(trees: &dyn Trees, base: &Path) -> Result<Completeness, PromoteError> {
    let has = |path: &Path| -> Result<bool, PromoteError> {
        Ok(matches!(trees.entry(path)?, Some(Entry { kind: Kind::Dir | Kind::File(_), .. })))
    };
    match trees.entry(base)? {
        Some(Entry { kind: Kind::Dir, .. }) => {}
        Some(_) | None => return Ok(Completeness::Nothing),
    }
    match trees.entry(&base.join("config.toml"))? {
        Some(Entry { kind: Kind::File(len), .. }) if len.get() > 0 => {}
        Some(_) | None => return Ok(Completeness::Nothing),
    }
    let mut wanted: Vec<PathBuf> = ALWAYS.iter().map(PathBuf::from).collect();
    let Some(units) = json(trees, &base.join("quadlet-runtime.json"))? else {
        return Ok(Completeness::Input);
    };
    for unit in units.get("units").and_then(Value::as_array).into_iter().flatten() {
        if let Some(name) = unit.get("filename").and_then(Value::as_str) {
            wanted.push(Path::new("quadlet").join(name));
        }
    }
    let Some(users) = json(trees, &base.join("users.json"))? else {
        return Ok(Completeness::Input);
    };
    for (name, user) in users.as_object().into_iter().flatten() {
        let key = user.get("ssh_key").and_then(Value::as_str).unwrap_or_default();
        if !key.is_empty() {
            wanted.push(Path::new("ssh-authorized-keys").join(name));
        }
    }
    for path in wanted {
        let plain = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if !plain || !has(&base.join(path))? {
            return Ok(Completeness::Input);
        }
    }
    Ok(Completeness::Whole)
}

/// A file of JSON; `None` when it is missing or none, which a torn tree may well have.
fn json(trees: &dyn Trees, path: &Path) -> Result<Option<Value>, PromoteError> {
    let bytes = trees.read(path, MAX_JSON_BYTES)?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// What to do with links in a tree that is copied.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Links {
    /// The operator's own are copied as links.
    Copied,
    /// A configuration has none: whoever could write into `files/` put them there.
    Dropped,
}

impl Candidate<'_> {
    /// Copies an entry with everything below it, with its owners and modes; pipes and devices are
    /// left out. A missing one is none.
    fn copy(&mut self, from: &Path, to: &Path, links: Links) -> Result<(), PromoteError> {
        let mut open = vec![(from.to_owned(), to.to_owned())];
        while let Some((from, to)) = open.pop() {
            let Some(Entry { kind, meta }) = self.reader().entry(&from)? else { continue };
            match kind {
                Kind::Dir => {
                    self.put_dir(&to, meta)?;
                    for name in self.reader().list(&from)? {
                        open.push((from.join(&name), to.join(&name)));
                    }
                }
                Kind::File(_) => {
                    let mut content = self.reader().open(&from)?;
                    self.put_file(&to, &mut *content, (meta, meta))?;
                }
                Kind::Link if links == Links::Copied => {
                    let target = self.reader().link_target(&from)?;
                    self.put_link(&to, &target, meta)?;
                }
                Kind::Link | Kind::Other => {}
            }
        }
        Ok(())
    }
}

/// Fault B3: the operator's files went with the tree that was moved aside. They come back beside
/// the configuration, unless there is something of their name again.
fn bring_back(trees: &mut dyn Trees, owners: Owners) -> Result<(), PromoteError> {
    let (rollback, config) = (Path::new(OLD_ROLLBACK), Path::new(CONFIG));
    merge_managed_users(trees, owners)?;
    for name in trees.list(rollback)? {
        let text = name.to_string_lossy();
        let is_ours = OWNED_NAMES.contains(&&*text)
            || ["current", "generations", "promotion.json", "managed-users.json"].contains(&&*text)
            || text.starts_with(IMPORT_PREFIX)
            || text.starts_with(REPLACED_PREFIX);
        let to = config.join(&name);
        if is_ours || trees.entry(&to)?.is_some() {
            continue;
        }
        let from = rollback.join(&name);
        let Some(Entry { kind, meta }) = trees.entry(&from)? else { continue };
        // A directory of one entry, so that the entry comes whole with one rename.
        let import = config.join(format!("{IMPORT_PREFIX}{text}"));
        match kind {
            Kind::Dir => {
                let mut copy = Candidate::begin(trees, &import, owners)?;
                for child in copy.reader().list(&from)? {
                    copy.copy(&from.join(&child), Path::new(&child), Links::Copied)?;
                }
                copy.finish(&to, meta)?;
            }
            Kind::File(_) => {
                let mut content = trees.open(&from)?;
                trees.remove(&import)?;
                trees.write(&import, &mut *content, meta)?;
                trees.rename(&import, &to)?;
                trees.sync_dir(config)?;
            }
            Kind::Link => {
                let target = trees.link_target(&from)?;
                trees.remove(&import)?;
                rename_link(trees, &import, &to, &target)?;
            }
            Kind::Other => {}
        }
    }
    Ok(())
}

/// The accounts of either tree were made by us.
fn merge_managed_users(trees: &mut dyn Trees, owners: Owners) -> Result<(), PromoteError> {
    let ours = Path::new(MANAGED_USERS);
    let theirs = Path::new(OLD_ROLLBACK).join("managed-users.json");
    let names = |value: Option<Value>| -> BTreeSet<String> {
        let list = value.as_ref().and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let (mine, more) = (names(json(trees, ours)?), names(json(trees, &theirs)?));
    if more.is_subset(&mine) {
        return Ok(());
    }
    let all: Vec<&String> = mine.union(&more).collect();
    let text = serde_json::to_string_pretty(&all)
        .map_err(|cause| PromoteError::CorruptRecord { problem: cause.to_string() })?;
    let meta = owners.meta(Owner::Root, 0o600);
    Ok(replace_file(trees, ours, format!("{text}\n").as_bytes(), meta)?)
}
