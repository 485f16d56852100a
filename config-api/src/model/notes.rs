// SPDX-License-Identifier: MIT OR Apache-2.0
//! What will fail on the device although the contract accepts it? It harms nothing, so it is told
//! and not refused.

use super::config::{Mode, Section, Unit, UnitKind};

/// Drivers that Podman has without plugins.
const VOLUME_DRIVERS: [&str; 2] = ["local", "image"];
const NETWORK_DRIVERS: [&str; 3] = ["bridge", "macvlan", "ipvlan"];

/// What an account without privileges can mount.
const ROOTLESS_TYPES: [&str; 3] = ["tmpfs", "none", "bind"];

/// The notes on a unit.
pub(super) fn notes_of(unit: &Unit) -> Vec<String> {
    let section = unit.sections.iter().find(|section| section.name == unit.kind.section());
    let Some(section) = section else { return Vec::new() };
    let found = match unit.kind {
        UnitKind::Container => values(section, "EnvironmentFile")
            .filter(|path| !path.starts_with(['/', '$']))
            .map(|path| {
                format!("EnvironmentFile={path} lies beside the units, where nothing else is put")
            })
            .collect(),
        UnitKind::Network => unknown_driver(section, &NETWORK_DRIVERS),
        UnitKind::Volume => volume_notes(unit, section),
        UnitKind::Build => {
            let says_what = ["File", "SetWorkingDirectory"]
                .iter()
                .any(|directive| values(section, directive).next().is_some());
            let lacks = "has neither File nor SetWorkingDirectory: Podman makes no service of it";
            if says_what { Vec::new() } else { vec![lacks.to_owned()] }
        }
    };
    let place = format!("{}.{}.{}", unit.kind.as_str(), unit.name, section.name);
    found
        .into_iter()
        .map(|note: String| {
            let joint = if note.starts_with("has ") { ' ' } else { '.' };
            format!("{place}{joint}{note}")
        })
        .collect()
}

fn volume_notes(unit: &Unit, section: &Section) -> Vec<String> {
    let mut notes = unknown_driver(section, &VOLUME_DRIVERS);
    let is_image = values(section, "Driver").any(|driver| driver == "image");
    if is_image && values(section, "Image").next().is_none() {
        notes.push("Driver=image has no Image beside it: Podman makes no service of it".to_owned());
    }
    if unit.modes.contains(&Mode::Rootless) {
        let beyond = values(section, "Type").filter(|name| !ROOTLESS_TYPES.contains(name));
        notes.extend(beyond.map(|name| {
            format!("Type={name} is used by a rootless container: only root can mount it")
        }));
    }
    notes
}

fn unknown_driver(section: &Section, known: &[&str]) -> Vec<String> {
    let unknown = values(section, "Driver").filter(|driver| !known.contains(driver));
    unknown
        .map(|driver| format!("Driver={driver} needs a plugin of this name on the device"))
        .collect()
}

fn values<'s>(section: &'s Section, directive: &'s str) -> impl Iterator<Item = &'s str> {
    let found = section.directives.iter().filter(move |one| one.name == directive);
    found.flat_map(|one| one.values.iter().map(String::as_str))
}
