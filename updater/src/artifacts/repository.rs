// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is in a repository, and how it changes.

use super::content::{ArtifactContent, ArtifactImage, Incoming, digest_of};
use super::disk::{HostDisk, RepositoryDisk, RepositoryEntry};
use super::error::ArtifactError;
use super::links::{is_under_way, remove_link, switch_link};
use crate::{ArtifactsSection, Machine, RepositoryType, StopQuestion};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

/// What the names of data begin with.
const DATA_PREFIX: &str = ".artifact-";
/// What a name ends with until the data are durable.
const TEMPORARY: &str = ".tmp";

/// Data of one artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactInstance {
    /// SHA-256 of the image they come from, as in their name.
    pub checksum: String,
    /// Whether the artifact's link leads to them; RAUC lists `""` as their reference then.
    pub active: bool,
}

/// One artifact of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactStatus {
    /// Its name.
    pub name: String,
    /// Its data, by digest.
    pub instances: Vec<ArtifactInstance>,
}

/// What `GetArtifactStatus` tells of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryStatus {
    /// Its name.
    pub name: String,
    /// Text for people.
    pub description: Option<String>,
    /// Its directory.
    pub path: PathBuf,
    /// Its type, by RAUC's name.
    pub kind: &'static str,
    /// What is in it, by name.
    pub artifacts: Vec<ArtifactStatus>,
}

/// What an install did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArtifactOutcome {
    /// The data are new.
    Installed,
    /// The data were there.
    Reused,
}

/// A repository, as its directory was when it was opened and as it was changed through this.
#[derive(Clone, Debug)]
pub struct ArtifactRepository<D = HostDisk> {
    disk: D,
    name: String,
    section: ArtifactsSection,
    /// By artifact, then by digest: whether the link leads there.
    artifacts: BTreeMap<String, BTreeMap<String, bool>>,
    notes: Vec<String>,
}

impl ArtifactRepository {
    /// Reads a repository's directory; see [`ArtifactRepository::notes`] for what is odd in it.
    ///
    /// # Errors
    /// [`ArtifactError::Absent`] or [`ArtifactError::Repository`].
    pub fn open(name: &str, section: &ArtifactsSection) -> Result<Self, ArtifactError> {
        Self::open_on(HostDisk, name, section)
    }
}

impl<D: RepositoryDisk> ArtifactRepository<D> {
    /// As [`ArtifactRepository::open`], on any file system.
    ///
    /// # Errors
    /// [`ArtifactError::Absent`] or [`ArtifactError::Repository`].
    pub fn open_on(disk: D, name: &str, section: &ArtifactsSection) -> Result<Self, ArtifactError> {
        let mut repository = Self {
            disk,
            name: name.to_owned(),
            section: section.clone(),
            artifacts: BTreeMap::new(),
            notes: Vec::new(),
        };
        let names = repository.names()?;
        for (artifact, checksum) in names.iter().filter_map(|name| parse_data_name(name)) {
            let instances = repository.artifacts.entry(artifact.to_owned()).or_default();
            instances.insert(checksum.to_owned(), false);
        }
        for name in names.iter().filter(|name| !name.starts_with('.')) {
            repository.read_link(name);
        }
        Ok(repository)
    }

    /// What was odd in the directory.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// What is in it.
    #[must_use]
    pub fn status(&self) -> RepositoryStatus {
        let artifacts = self.artifacts.iter().map(|(name, instances)| ArtifactStatus {
            name: name.clone(),
            instances: instances
                .iter()
                .map(|(checksum, active)| ArtifactInstance {
                    checksum: checksum.clone(),
                    active: *active,
                })
                .collect(),
        });
        RepositoryStatus {
            name: self.name.clone(),
            description: self.section.description.clone(),
            path: self.section.path.clone(),
            kind: kind_name(self.section.repository_type),
            artifacts: artifacts.collect(),
        }
    }

    /// Deactivates every artifact that is not named, durably; the data stay until
    /// [`ArtifactRepository::prune`]. Tells what it did.
    ///
    /// # Errors
    /// [`ArtifactError::Repository`].
    pub fn keep_only(&mut self, names: &BTreeSet<&str>) -> Result<Vec<String>, ArtifactError> {
        let mut told = Vec::new();
        let others: Vec<String> = self
            .artifacts
            .iter()
            .filter(|(name, instances)| {
                !names.contains(name.as_str()) && instances.values().any(|active| *active)
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in others {
            let link = self.section.path.join(&name);
            let removed = remove_link(&mut self.disk, &link);
            removed.map_err(|source| self.failed("remove the link", &link, source))?;
            told.push(format!(
                "Deactivating artifact '{name}' in repo '{}', because it is not in the new manifest",
                self.name
            ));
            for active in self.artifacts.entry(name).or_default().values_mut() {
                *active = false;
            }
        }
        Ok(told)
    }

    /// Puts an artifact's data into the repository, unless they are there, and makes them the
    /// active ones. After a cut at any point the link leads to the old data or the new ones, which
    /// are whole. `tell` is told the bytes as they pass.
    ///
    /// # Errors
    /// [`ArtifactError`]; the artifact is what it was before.
    pub fn install(
        &mut self,
        image: &ArtifactImage,
        content: ArtifactContent<'_>,
        machine: &mut dyn Machine,
        stop: StopQuestion<'_>,
        tell: &mut dyn FnMut(u64),
    ) -> Result<ArtifactOutcome, ArtifactError> {
        check_name(&image.name)?;
        let checksum = image.digest.to_string();
        let data = self.data_path(&image.name, &checksum);
        let outcome = if self.has(image, &data, stop)? {
            tell(image.size.get());
            ArtifactOutcome::Reused
        } else {
            self.put(image, content, &data, machine, stop, tell)?;
            ArtifactOutcome::Installed
        };
        let link = self.section.path.join(&image.name);
        let target = PathBuf::from(data.file_name().unwrap_or_default());
        let linked = switch_link(&mut self.disk, &link, &target);
        linked.map_err(|source| self.failed("link", &link, source))?;
        let instances = self.artifacts.entry(image.name.clone()).or_default();
        instances.values_mut().for_each(|active| *active = false);
        instances.insert(checksum, true);
        Ok(outcome)
    }

    /// Removes what does not belong here, and data without a link that nobody has open. Tells
    /// what it did and what it left.
    ///
    /// # Errors
    /// [`ArtifactError::Repository`].
    pub fn prune(&mut self) -> Result<Vec<String>, ArtifactError> {
        let mut told = Vec::new();
        for name in self.names()? {
            let path = self.section.path.join(&name);
            if parse_data_name(&name).is_some() || self.belongs(&name, &path)? {
                continue;
            }
            told.push(format!("Removing unexpected data in artifact repo: {}", path.display()));
            let removed = self.disk.remove(&path);
            removed.map_err(|source| self.failed("remove", &path, source))?;
        }
        let unused: Vec<(String, String)> = self
            .artifacts
            .iter()
            .flat_map(|(name, instances)| {
                let unused = instances.iter().filter(|(_, active)| !**active);
                unused.map(|(checksum, _)| (name.clone(), checksum.clone()))
            })
            .collect();
        for (name, checksum) in unused {
            told.push(self.remove_unused(&name, &checksum)?);
        }
        self.artifacts.retain(|_, instances| !instances.is_empty());
        let synced = self.disk.sync_dir(&self.section.path);
        synced.map_err(|source| self.failed("sync", &self.section.path, source))?;
        Ok(told)
    }

    fn remove_unused(&mut self, name: &str, checksum: &str) -> Result<String, ArtifactError> {
        let path = self.data_path(name, checksum);
        let open = self.disk.in_use(&path);
        let open = open.map_err(|source| self.failed("look into", &path, source))?;
        let of = format!("artifact '{name}' with hash '{checksum}' from repo '{}'", self.name);
        if let Some(open) = open {
            let open = open.display();
            return Ok(format!("Skipping removal of {of}: File {open} is currently open"));
        }
        let removed = self.take_away(&path);
        removed.map_err(|source| self.failed("remove", &path, source))?;
        if let Some(instances) = self.artifacts.get_mut(name) {
            instances.remove(checksum);
        }
        Ok(format!("Removing unused {of}"))
    }

    /// Removes data. A cut must not leave half a tree under the name of a whole one: the name is
    /// given up first, durably.
    fn take_away(&mut self, data: &Path) -> io::Result<()> {
        let temporary = temporary_of(data);
        self.disk.remove(&temporary)?;
        self.disk.rename(data, &temporary)?;
        self.disk.sync_dir(&self.section.path)?;
        self.disk.remove(&temporary)
    }

    /// Whether something that is no data may stay: links, but for those a cut left under way.
    fn belongs(&self, name: &str, path: &Path) -> Result<bool, ArtifactError> {
        let found = self.disk.entry(path);
        let found = found.map_err(|source| self.failed("look at", path, source))?;
        Ok(matches!(found, Some(RepositoryEntry::Link(_))) && !is_under_way(name))
    }

    fn put(
        &mut self,
        image: &ArtifactImage,
        content: ArtifactContent<'_>,
        data: &Path,
        machine: &mut dyn Machine,
        stop: StopQuestion<'_>,
        tell: &mut dyn FnMut(u64),
    ) -> Result<(), ArtifactError> {
        let temporary = temporary_of(data);
        let (disk, repo) = (&mut self.disk, &*self.name);
        let mut incoming =
            Incoming { disk, repo, image, temporary: &temporary, machine, stop, tell };
        incoming.clear()?;
        let put = match (self.section.repository_type, content) {
            (RepositoryType::Files, ArtifactContent::Stream(source)) => incoming.put_file(source),
            (RepositoryType::Trees, ArtifactContent::Stream(source)) => {
                incoming.put_archive(source)
            }
            (RepositoryType::Trees, ArtifactContent::Tree(tree)) => incoming.put_tree(tree),
            (RepositoryType::Files, ArtifactContent::Tree(_)) => Err(ArtifactError::Format {
                repo: self.name.clone(),
                artifact: image.name.clone(),
                kind: kind_name(RepositoryType::Files),
            }),
        };
        let named = put.and_then(|()| self.give_name(&temporary, data));
        if named.is_err() {
            // The failure is told; what cannot be removed is by the next pruning.
            let _ = self.disk.remove(&temporary);
        }
        named
    }

    /// A tree is durable when its file system is; only then does it get its name.
    fn give_name(&mut self, temporary: &Path, data: &Path) -> Result<(), ArtifactError> {
        let (disk, dir) = (&mut self.disk, &self.section.path);
        let mut name = || -> io::Result<()> {
            disk.sync_all(dir)?;
            let is_tree = |entry| entry == Some(RepositoryEntry::Tree);
            let (old, new) = (disk.entry(data)?, disk.entry(temporary)?);
            // What is there was found to be no use; a tree would not give way to a rename.
            if old.is_some() && is_tree(old) != is_tree(new) {
                disk.remove(data)?;
            }
            disk.rename(temporary, data)?;
            disk.sync_dir(dir)
        };
        name().map_err(|source| self.failed("store", data, source))
    }

    /// Whether the data are there: a tree is one as a whole or has another name. A file is
    /// compared with its name: a damaged one is no use.
    fn has(
        &self,
        image: &ArtifactImage,
        data: &Path,
        stop: StopQuestion<'_>,
    ) -> Result<bool, ArtifactError> {
        let found = self.disk.entry(data);
        let found = found.map_err(|source| self.failed("look at", data, source))?;
        match (self.section.repository_type, found) {
            (RepositoryType::Files, Some(RepositoryEntry::File)) => {
                let found = digest_of(&self.disk, data, stop).map_err(|source| match stop() {
                    Some(by) => ArtifactError::Stopped { by },
                    None => self.failed("read", data, source),
                })?;
                Ok(found == image.digest)
            }
            (RepositoryType::Trees, found) => Ok(found == Some(RepositoryEntry::Tree)),
            (RepositoryType::Files, Some(_) | None) => Ok(false),
        }
    }

    fn read_link(&mut self, name: &str) {
        let link = self.section.path.join(name);
        let odd = match self.disk.entry(&link) {
            Err(error) => error.to_string(),
            Ok(Some(RepositoryEntry::Link(target))) => {
                let text = target.to_string_lossy();
                // Whatever the link is called: what it leads to must not be removed.
                let found = parse_data_name(&text).and_then(|(artifact, checksum)| {
                    self.artifacts.get_mut(artifact)?.get_mut(checksum)
                });
                match found {
                    Some(active) => {
                        *active = true;
                        return;
                    }
                    None => format!("invalid target '{text}'"),
                }
            }
            Ok(_) => "not a link".to_owned(),
        };
        let link = link.display();
        self.notes.push(format!("invalid artifact link {link} in repo '{}' ({odd})", self.name));
    }

    fn names(&self) -> Result<Vec<String>, ArtifactError> {
        let path = &self.section.path;
        self.disk.names(path).map_err(|source| {
            if source.kind() == io::ErrorKind::NotFound {
                return ArtifactError::Absent { repo: self.name.clone(), path: path.clone() };
            }
            self.failed("read", path, source)
        })
    }

    fn data_path(&self, name: &str, checksum: &str) -> PathBuf {
        self.section.path.join(format!("{DATA_PREFIX}{name}-{checksum}"))
    }

    fn failed(&self, act: &'static str, path: &Path, source: io::Error) -> ArtifactError {
        ArtifactError::Repository { act, repo: self.name.clone(), path: path.to_owned(), source }
    }
}

/// What data are called until they are durable, and again while they are removed.
fn temporary_of(data: &Path) -> PathBuf {
    let mut name = data.as_os_str().to_owned();
    name.push(TEMPORARY);
    PathBuf::from(name)
}

/// Artifact and digest of a name of data; the digest is what follows the last dash.
fn parse_data_name(name: &str) -> Option<(&str, &str)> {
    let (artifact, checksum) = name.strip_prefix(DATA_PREFIX)?.rsplit_once('-')?;
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (!checksum.is_empty() && checksum.bytes().all(is_hex)).then_some((artifact, checksum))
}

/// A name comes from a signed manifest and still must not lead anywhere else.
fn check_name(name: &str) -> Result<(), ArtifactError> {
    let bad = name.is_empty()
        || name.starts_with('.')
        || name.contains(['/', '\0'])
        || is_under_way(name);
    if bad { Err(ArtifactError::Name { name: name.to_owned() }) } else { Ok(()) }
}

/// RAUC's name of a repository's type.
const fn kind_name(kind: RepositoryType) -> &'static str {
    match kind {
        RepositoryType::Files => "files",
        RepositoryType::Trees => "trees",
    }
}

#[cfg(test)]
mod tests;
