// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which units go where, which services stop and which run, in which order? Both targets
//! are directories of root: the units of the unprivileged account too, where systemd reads them for
//! it, so that it can neither swap a directory for a link nor poison our list of files (S2).

use super::error::ApplierError;
use super::settings::RuntimeUnits;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

const ROOTFUL_DIR: &str = "etc/containers/systemd";

/// Who runs a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnitMode {
    /// The system.
    Rootful,
    /// The account without privileges.
    Rootless,
}

impl fmt::Display for UnitMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rootful => "rootful",
            Self::Rootless => "rootless",
        })
    }
}

/// What a unit is, by the end of its file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnitKind {
    /// An image that is built here; others wait for it.
    Build,
    /// A network.
    Network,
    /// A volume.
    Volume,
    /// A container.
    Container,
}

/// A unit's file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unit {
    /// Who runs it.
    pub mode: UnitMode,
    /// What it is.
    pub kind: UnitKind,
    /// Its name without the end.
    stem: String,
}

impl Unit {
    /// Reads a file's name: no directory, no hidden file, nothing but the four kinds.
    #[must_use]
    pub fn parse(mode: UnitMode, filename: &str) -> Option<Self> {
        let (stem, end) = filename.rsplit_once('.')?;
        let kind = match end {
            "build" => UnitKind::Build,
            "network" => UnitKind::Network,
            "volume" => UnitKind::Volume,
            "container" => UnitKind::Container,
            _ => return None,
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let is_name = !stem.is_empty() && !stem.starts_with('-') && stem.bytes().all(plain);
        is_name.then(|| Self { mode, kind, stem: stem.to_owned() })
    }

    /// Its file's name.
    #[must_use]
    pub fn filename(&self) -> String {
        let end = match self.kind {
            UnitKind::Build => "build",
            UnitKind::Network => "network",
            UnitKind::Volume => "volume",
            UnitKind::Container => "container",
        };
        format!("{}.{end}", self.stem)
    }

    /// The service that is made of it.
    #[must_use]
    pub fn service(&self) -> String {
        let end = match self.kind {
            UnitKind::Build => "-build",
            UnitKind::Network => "-network",
            UnitKind::Volume => "-volume",
            UnitKind::Container => "",
        };
        format!("{}{end}.service", self.stem)
    }
}

/// Where units are read from, relative to the system's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuadletTargets {
    /// The system's.
    pub rootful: PathBuf,
    /// The unprivileged account's.
    pub rootless: PathBuf,
}

impl QuadletTargets {
    /// Those of a system whose unprivileged account has this number.
    #[must_use]
    pub fn of_user(uid: u32) -> Self {
        let rootful = PathBuf::from(ROOTFUL_DIR);
        Self { rootless: rootful.join("users").join(uid.to_string()), rootful }
    }

    /// Where a unit's file lies.
    #[must_use]
    pub fn path(&self, unit: &Unit) -> PathBuf {
        let dir = match unit.mode {
            UnitMode::Rootful => &self.rootful,
            UnitMode::Rootless => &self.rootless,
        };
        dir.join(unit.filename())
    }
}

/// What has to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuadletPlan {
    /// Units whose services stop, and whose files go before systemd reads them again.
    pub stale: Vec<Unit>,
    /// Units whose files must be there, with what the generation says.
    pub wanted: Vec<(Unit, Vec<u8>)>,
    /// Units whose services must run, in the order they are started in.
    pub started: Vec<Unit>,
}

/// What has to be done so that the units are those of the generation. `contents` are its files by
/// name, `ours` the units that we put there before, `present` what lies in the targets.
///
/// # Errors
/// [`ApplierError::Unit`], [`ApplierError::ForeignUnit`]; nothing is done then.
pub fn plan_quadlets(
    units: &RuntimeUnits,
    contents: &BTreeMap<String, Vec<u8>>,
    ours: &BTreeSet<Unit>,
    present: &BTreeSet<Unit>,
) -> Result<QuadletPlan, ApplierError> {
    let wrong = |name: &str, problem| ApplierError::Unit { name: name.to_owned(), problem };
    let mut wanted = BTreeMap::new();
    for listed in &units.units {
        let name = &listed.filename;
        let unit = Unit::parse(listed.mode, name).ok_or_else(|| wrong(name, "no unit of ours"))?;
        if unit.service() != listed.service {
            return Err(wrong(name, "not what its service says"));
        }
        let content = contents.get(name).ok_or_else(|| wrong(name, "missing"))?;
        if present.contains(&unit) && !ours.contains(&unit) {
            return Err(ApplierError::ForeignUnit { name: name.clone() });
        }
        if wanted.insert(unit, content.clone()).is_some() {
            return Err(wrong(name, "listed twice"));
        }
    }
    let stale = ours.iter().filter(|unit| !wanted.contains_key(*unit)).cloned().collect();
    // The system's before the account's, images before what is made of them: the order of the type.
    let mut started: Vec<Unit> = wanted.keys().cloned().collect();
    started.sort();
    Ok(QuadletPlan { stale, wanted: wanted.into_iter().collect(), started })
}
