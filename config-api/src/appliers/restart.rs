// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which services have to start anew, because what they were started from is another? (Fault B12
//! of the reference: it restarted all containers at every change.)
//!
//! A service was started from its unit's file, from the units that this one names (its image's
//! build, its networks and volumes), and from the configuration's own files where it reads them.
//! All of that in one fingerprint: where it differs from the one of the last start, the service
//! starts anew. A container that has a place of `/data/config` in it starts anew with every
//! configuration: what it mounted is the generation before, which is deleted. A build reads its
//! files once, so that their content counts.

use super::{Unit, UnitKind};
use crate::CONFIG_DIR;
use std::collections::{BTreeMap, BTreeSet};

/// What the configuration's own files are.
#[derive(Clone, Copy, Debug)]
pub struct OwnFiles<'f> {
    /// Another text for every generation.
    pub generation: &'f str,
    /// Another text for every content of `files/`.
    pub files: &'f str,
}

/// Why a service starts anew.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// It was not there before.
    New,
    /// Its unit has another content.
    Unit,
    /// It reads the configuration's own files.
    Files,
    /// A unit that it names changes; the file's name.
    Through(String),
}

/// Directives that give a unit another name beside its file's.
const NAMING: [&str; 3] = ["ImageTag=", "VolumeName=", "NetworkName="];

/// What every unit is started from.
#[must_use]
pub fn fingerprints(units: &BTreeMap<Unit, Vec<u8>>, own: OwnFiles<'_>) -> BTreeMap<Unit, String> {
    let alone: BTreeMap<&Unit, [u8; 32]> =
        units.iter().map(|(unit, content)| (unit, alone(unit, content, own))).collect();
    let of_one = |unit: &Unit| {
        let mut hasher = blake3::Hasher::new();
        for named in reached(unit, units) {
            hasher.update(named.filename().as_bytes());
            hasher.update(alone.get(&named).unwrap_or(&[0; 32]));
        }
        (unit.clone(), hasher.finalize().to_hex().to_string())
    };
    units.keys().map(of_one).collect()
}

/// Why a service starts anew when the units of `before` become those of `after`, which have other
/// files of their own where `files_differ`; nothing where it runs on.
#[must_use]
pub fn causes(
    unit: &Unit,
    before: &BTreeMap<Unit, Vec<u8>>,
    after: &BTreeMap<Unit, Vec<u8>>,
    files_differ: bool,
) -> Vec<Cause> {
    if !before.contains_key(unit) {
        return vec![Cause::New];
    }
    let mut causes = BTreeSet::new();
    for named in reached(unit, after) {
        let content = after.get(&named).map_or(&[][..], Vec::as_slice);
        let differs = before.get(&named).map(Vec::as_slice) != Some(content);
        let reads = reads_files(content) && (named.kind != UnitKind::Build || files_differ);
        if (differs || reads) && named != *unit {
            causes.insert(Cause::Through(named.filename()));
        } else if differs {
            causes.insert(Cause::Unit);
        } else if reads {
            causes.insert(Cause::Files);
        }
    }
    causes.into_iter().collect()
}

fn alone(unit: &Unit, content: &[u8], own: OwnFiles<'_>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(blake3::hash(content).as_bytes());
    if reads_files(content) {
        hasher.update(match unit.kind {
            UnitKind::Build => own.files.as_bytes(),
            UnitKind::Network | UnitKind::Volume | UnitKind::Container => own.generation.as_bytes(),
        });
    }
    *hasher.finalize().as_bytes()
}

/// Whether a unit names a place in the configuration's directory.
fn reads_files(content: &[u8]) -> bool {
    String::from_utf8_lossy(content).contains(CONFIG_DIR)
}

/// The unit itself, those that it names, and those that these name.
fn reached(unit: &Unit, units: &BTreeMap<Unit, Vec<u8>>) -> BTreeSet<Unit> {
    let mut found = BTreeSet::from([unit.clone()]);
    let mut open = vec![unit.clone()];
    while let Some(unit) = open.pop() {
        let Some(content) = units.get(&unit) else { continue };
        let text = String::from_utf8_lossy(content);
        for (other, content) in units.iter().filter(|(other, _)| other.mode == unit.mode) {
            let names = names_of(other, content);
            if !found.contains(other) && names.iter().any(|name| mentions(&text, name)) {
                found.insert(other.clone());
                open.push(other.clone());
            }
        }
    }
    found
}

/// How other units may name this one.
fn names_of(unit: &Unit, content: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(content);
    let given = text.lines().filter_map(|line| {
        let value = NAMING.iter().find_map(|key| line.strip_prefix(key))?;
        (!value.is_empty()).then(|| value.to_owned())
    });
    given.chain([unit.filename()]).collect()
}

/// Whether a value of the text names it, not as a part of another name.
fn mentions(text: &str, name: &str) -> bool {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "_-./".contains(letter);
    text.lines().filter(|line| !NAMING.iter().any(|key| line.starts_with(key))).any(|line| {
        let Some((_, value)) = line.split_once('=') else { return false };
        value.match_indices(name).any(|(at, _)| {
            let before = value.get(..at).and_then(|text| text.chars().next_back());
            let after = value.get(at + name.len()..).and_then(|text| text.chars().next());
            !before.is_some_and(is_part) && !after.is_some_and(is_part)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::UnitMode;
    use super::*;

    const MODE: UnitMode = UnitMode::Rootless;

    fn unit(name: &str) -> Unit {
        Unit::parse(MODE, name).unwrap()
    }

    fn units(list: &[(&str, &str)]) -> BTreeMap<Unit, Vec<u8>> {
        list.iter().map(|(name, text)| (unit(name), text.as_bytes().to_vec())).collect()
    }

    const OWN: OwnFiles<'_> = OwnFiles { generation: "gen-1", files: "f1" };
    const BASE: [(&str, &str); 6] = [
        ("web.container", "[Container]\nImage=localhost/web:1\nNetwork=inner.network\n"),
        ("db.container", "[Container]\nImage=db:1\nVolume=data.volume:/data\n"),
        ("site.container", "[Container]\nImage=a\nVolume=/data/config/files/site:/site\n"),
        ("web.build", "[Build]\nImageTag=localhost/web:1\nFile=/data/config/files/Containerfile\n"),
        ("inner.network", "[Network]\nSubnet=10.0.0.0/24\n"),
        ("data.volume", "[Volume]\n"),
    ];

    /// The services that start anew, by both ways of asking, which must agree.
    fn restarted(after: &[(&str, &str)], own: OwnFiles<'_>) -> Vec<String> {
        let (before, after) = (units(&BASE), units(after));
        let (old, new) = (fingerprints(&before, OWN), fingerprints(&after, own));
        let changed: Vec<&Unit> = new
            .iter()
            .filter(|(unit, print)| old.get(*unit) != Some(print))
            .map(|(u, _)| u)
            .collect();
        if own.generation != OWN.generation {
            let differ = own.files != OWN.files;
            let told = after.keys().filter(|one| !causes(one, &before, &after, differ).is_empty());
            assert_eq!(changed, told.collect::<Vec<_>>());
        }
        changed.into_iter().map(Unit::filename).collect()
    }

    fn with(name: &'static str, text: &'static str) -> Vec<(&'static str, &'static str)> {
        let others = BASE.into_iter().filter(|(other, _)| *other != name);
        others.chain([(name, text)]).collect()
    }

    const NEXT: OwnFiles<'_> = OwnFiles { generation: "gen-2", files: "f1" };

    #[test]
    fn nothing_that_changed_restarts_nothing() {
        assert!(restarted(&BASE, OWN).is_empty());
        // Another generation takes the mounted files away.
        assert_eq!(restarted(&BASE, NEXT), ["site.container"]);
    }

    #[test]
    fn one_unit_that_changed_restarts_what_depends_on_it_and_nothing_else() {
        let plain = "[Container]\nImage=db:2\nVolume=data.volume:/data\n";
        let found = restarted(&with("db.container", plain), NEXT);
        assert_eq!(found, ["db.container", "site.container"]);
        let network = "[Network]\nSubnet=10.0.1.0/24\n";
        let found = restarted(&with("inner.network", network), NEXT);
        assert_eq!(found, ["inner.network", "site.container", "web.container"]);
        let volume = "[Volume]\nLabel=x\n";
        let found = restarted(&with("data.volume", volume), NEXT);
        assert_eq!(found, ["data.volume", "db.container", "site.container"]);
    }

    #[test]
    fn other_files_build_the_image_anew_and_restart_its_container() {
        let own = OwnFiles { generation: "gen-2", files: "f2" };
        assert_eq!(restarted(&BASE, own), ["web.build", "site.container", "web.container"]);
        let (before, after) = (units(&BASE), units(&BASE));
        let why = causes(&unit("web.container"), &before, &after, true);
        assert_eq!(why, [Cause::Through("web.build".to_owned())]);
        assert_eq!(causes(&unit("web.build"), &before, &after, true), [Cause::Files]);
    }

    #[test]
    fn a_name_inside_of_another_name_is_no_mention() {
        assert!(mentions("Network=inner.network:ip=10.0.0.2", "inner.network"));
        assert!(!mentions("Network=my-inner.network", "inner.network"));
        assert!(!mentions("Image=localhost/web:1", "web.build"));
        assert!(!mentions("ImageTag=localhost/web:1", "localhost/web:1"));
        let other = Unit::parse(UnitMode::Rootful, "web.container").unwrap();
        let mut all = units(&BASE);
        all.insert(other.clone(), b"[Container]\nNetwork=inner.network\n".to_vec());
        assert_eq!(reached(&other, &all).len(), 1, "units of the other manager are others");
        // Two that name each other end the search.
        let ring = [
            ("a.container", "[Container]\nNetwork=b.container\n"),
            ("b.container", "[Container]\nNetwork=a.container\n"),
        ];
        assert_eq!(fingerprints(&units(&ring), OWN).len(), 2);
    }
}
