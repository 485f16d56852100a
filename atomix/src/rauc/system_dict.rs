// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the values of `updater::system` to the dictionaries of D-Bus; pure.

use crate::rauc::dict::{Dict, Node};
use crate::rauc::engine::{Slots, View};
use crate::rauc::glib_order::in_order;
use updater::system::{SlotReport, SystemStatus, SystemView};
use updater::{RepositoryStatus, SlotStatus};

/// Every slot, as `GetSlotStatus` shows it.
#[must_use]
pub fn slots_of(status: &SystemStatus) -> Slots {
    let slots = status.slots.iter().map(|report| (report.slot.name.to_string(), slot_dict(report)));
    in_order(slots.collect(), |(name, _)| name)
}

fn slot_dict(report: &SlotReport) -> Dict {
    let slot = &report.slot;
    let mut dict: Dict = vec![
        ("class", Node::Text(slot.name.class.clone())),
        ("device", Node::Text(slot.device.display().to_string())),
        ("type", Node::from(slot.slot_type.name())),
    ];
    put(&mut dict, "bootname", slot.bootname.clone());
    dict.push(("state", Node::from(report.state.name())));
    put(&mut dict, "description", slot.description.clone());
    put(&mut dict, "parent", slot.parent.as_ref().map(ToString::to_string));
    put(&mut dict, "mountpoint", report.mount_point.as_ref().map(|at| at.display().to_string()));
    put(&mut dict, "boot-status", report.boot_status.map(|status| status.name().to_owned()));
    put_status(&mut dict, &report.status);
    dict
}

fn put(dict: &mut Dict, key: &'static str, text: Option<String>) {
    dict.extend(text.map(|text| (key, Node::Text(text))));
}

fn put_status(dict: &mut Dict, status: &SlotStatus) {
    put(dict, "bundle.compatible", status.compatible.clone());
    put(dict, "bundle.version", status.version.clone());
    put(dict, "bundle.description", status.description.clone());
    put(dict, "bundle.build", status.build.clone());
    put(dict, "bundle.hash", status.bundle_hash.map(|hash| hash.to_string()));
    put(dict, "status", status.state.map(|state| state.name().to_owned()));
    if let Some(digest) = status.sha256 {
        dict.push(("sha256", Node::Text(digest.to_string())));
        dict.push(("size", Node::Size(status.size.map_or(0, storage::ByteLen::get))));
    }
    put(dict, "installed.transaction", status.transaction.clone());
    for (timestamp, at, key, count) in [
        ("installed.timestamp", &status.installed_at, "installed.count", status.installed_count),
        ("activated.timestamp", &status.activated_at, "activated.count", status.activated_count),
    ] {
        if let Some(at) = at {
            dict.push((timestamp, Node::Text(at.clone())));
            dict.push((key, Node::Count(u32::try_from(count).unwrap_or(u32::MAX))));
        }
    }
}

fn repository_dict(repository: &RepositoryStatus) -> Dict {
    let mut dict: Dict = vec![("name", Node::Text(repository.name.clone()))];
    put(&mut dict, "description", repository.description.clone());
    dict.push(("path", Node::Text(repository.path.display().to_string())));
    dict.push(("type", Node::from(repository.kind)));
    let artifacts = repository.artifacts.iter().map(|artifact| {
        let instances = artifact.instances.iter().map(|instance| {
            let references = if instance.active { vec![String::new()] } else { Vec::new() };
            vec![
                ("checksum", Node::Text(instance.checksum.clone())),
                ("references", Node::Texts(references)),
            ]
        });
        vec![
            ("name", Node::Text(artifact.name.clone())),
            ("instances", Node::Dicts(instances.collect())),
        ]
    });
    dict.push(("artifacts", Node::Dicts(artifacts.collect())));
    dict
}

/// Artifact repositories, as `GetArtifactStatus` shows them.
#[must_use]
pub fn repositories_of(repositories: Vec<RepositoryStatus>) -> Vec<Dict> {
    let repositories = in_order(repositories, |repository| &repository.name);
    repositories.iter().map(repository_dict).collect()
}

/// What was last known.
pub struct LatestView(pub SystemView);

impl View for LatestView {
    fn slots(&self) -> Slots {
        slots_of(&self.0.latest())
    }

    fn artifacts(&self) -> Vec<Dict> {
        repositories_of(self.0.latest().repositories)
    }

    fn primary(&self) -> Result<String, String> {
        self.0.latest().primary.map(|name| name.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rauc::dict::dict_to_json;
    use std::path::Path;
    use updater::SystemConfig;
    use updater::system::{BootStatus, SlotState};

    #[test]
    fn a_slot_tells_what_is_known_and_leaves_out_the_rest() {
        let config = SystemConfig::parse(
            "[system]\ncompatible=x\nbootloader=noop\n\
             [slot.rootfs.0]\ndevice=/dev/a\ntype=ext4\nbootname=A\n",
            Path::new("/"),
        )
        .unwrap();
        let slot = config.slots.values().next().unwrap().clone();
        let status = SlotStatus {
            version: Some("1".to_owned()),
            installed_at: Some("2026-01-02T03:04:05Z".to_owned()),
            installed_count: 3,
            ..SlotStatus::default()
        };
        let report = SlotReport {
            slot,
            state: SlotState::Booted,
            boot_status: Some(BootStatus::Good),
            mount_point: None,
            status,
        };
        let expected = r#"{"class":"rootfs","device":"/dev/a","type":"ext4","bootname":"A","state":"booted","boot-status":"good","bundle.version":"1","installed.timestamp":"2026-01-02T03:04:05Z","installed.count":3}"#;
        assert_eq!(dict_to_json(&slot_dict(&report)).compact(), expected);
    }
}
