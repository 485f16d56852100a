// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which slots would an install write? Per class of slots without a parent one that is inactive,
//! and its children.
//!
//! With a central status RAUC takes the one that failed, else one that was never installed, else
//! the one that was installed longest ago; with a status per slot the first it finds. Which is
//! first there is the order of a hash table; here the slot that the boot loader would boot next
//! comes last, so that with nothing booted the next good boot is kept, and otherwise the names
//! decide. Readonly slots are never taken (RAUC takes one and then fails).

use super::{SlotState, SlotStates};
use crate::{Slot, SlotAccess, SlotName, SlotStatus, SlotStatusState, StatusPlace, SystemConfig};
use std::collections::{BTreeMap, BTreeSet};

/// Slot class to the slot that an image of the class goes to.
pub(super) type TargetGroup = BTreeMap<String, SlotName>;

/// Chooses the group.
pub(super) fn target_group(
    config: &SystemConfig,
    states: &SlotStates,
    status: &dyn Fn(&SlotName) -> SlotStatus,
    primary: Option<&SlotName>,
) -> TargetGroup {
    let roots = config.slots.values().filter(|slot| slot.parent.is_none());
    let classes: BTreeSet<&str> = roots.map(|slot| slot.name.class.as_str()).collect();
    let mut group = TargetGroup::new();
    for class in classes {
        let candidates = config.slots.values().filter(|slot| {
            slot.name.class == class
                && states.of(&slot.name) == SlotState::Inactive
                && slot.access == SlotAccess::Writable
        });
        let rank = |slot: &&Slot| {
            let central = matches!(config.system.status, StatusPlace::Central(_));
            let age = if central { age(&status(&slot.name)) } else { Age::Failed };
            (age, Some(&slot.name) == primary, slot.name.clone())
        };
        let Some(root) = candidates.min_by_key(rank) else { continue };
        let belongs =
            |slot: &&Slot| slot.name == root.name || slot.parent.as_ref() == Some(&root.name);
        for slot in config.slots.values().filter(belongs) {
            group.insert(slot.name.class.clone(), slot.name.clone());
        }
    }
    group
}

/// The smaller, the sooner it is taken.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Age {
    Failed,
    Never,
    /// ISO 8601 in UTC, whose order is that of time.
    At(String),
}

fn age(status: &SlotStatus) -> Age {
    match (status.state, &status.installed_at) {
        (Some(SlotStatusState::Failed), _) => Age::Failed,
        (_, None) => Age::Never,
        (_, Some(at)) => Age::At(at.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::slot_states;
    use std::path::Path;

    fn group(status_line: &str, extra: &str, booted: &str, states: &[(&str, &str)]) -> String {
        let mut text = format!("[system]\ncompatible=x\nbootloader=noop\n{status_line}\n");
        for (number, bootname) in ["A", "B", "C"].iter().enumerate() {
            text.push_str(&format!(
                "[slot.rootfs.{number}]\ndevice=/dev/r{number}\nbootname={bootname}\n\
                 [slot.app.{number}]\ndevice=/dev/a{number}\nparent=rootfs.{number}\n"
            ));
        }
        text.push_str(extra);
        let config = SystemConfig::parse(&text, Path::new("/")).unwrap();
        let slots = slot_states(&config, Some(booted), &|_| None).unwrap();
        let status = |name: &SlotName| {
            let found = states.iter().find(|(slot, _)| *slot == name.to_string());
            match found.map(|(_, said)| *said) {
                None => SlotStatus::default(),
                Some("failed") => SlotStatus {
                    state: Some(SlotStatusState::Failed),
                    installed_at: Some("2030-01-01T00:00:00Z".to_owned()),
                    ..SlotStatus::default()
                },
                Some(at) => {
                    SlotStatus { installed_at: Some(at.to_owned()), ..SlotStatus::default() }
                }
            }
        };
        let primary = "rootfs.0".parse().unwrap();
        let chosen = target_group(&config, &slots, &status, Some(&primary));
        chosen.values().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    const CENTRAL: &str = "statusfile=/s";
    const EARLY: &str = "2026-01-01T00:00:00Z";
    const LATE: &str = "2026-02-01T00:00:00Z";

    #[test]
    fn failed_comes_before_never_installed_before_oldest() {
        let chosen = |states: &[(&str, &str)]| group(CENTRAL, "", "A", states);
        assert_eq!(chosen(&[]), "app.1 rootfs.1");
        assert_eq!(chosen(&[("rootfs.1", EARLY)]), "app.2 rootfs.2");
        assert_eq!(chosen(&[("rootfs.1", LATE), ("rootfs.2", EARLY)]), "app.2 rootfs.2");
        assert_eq!(chosen(&[("rootfs.2", "failed")]), "app.2 rootfs.2");
    }

    #[test]
    fn booted_from_elsewhere_the_next_good_boot_is_kept_as_long_as_ages_allow() {
        assert_eq!(group(CENTRAL, "", "_external_", &[]), "app.1 rootfs.1");
        let old = [("rootfs.1", EARLY), ("rootfs.2", EARLY)];
        assert_eq!(group(CENTRAL, "", "_external_", &old), "app.0 rootfs.0");
        assert_eq!(group("", "", "_external_", &old), "app.1 rootfs.1");
    }

    #[test]
    fn each_root_class_has_a_target_and_readonly_slots_are_never_one() {
        let more = "[slot.data.0]\ndevice=/dev/d0\n[slot.rescue.0]\ndevice=/dev/x\nreadonly=true\n";
        assert_eq!(group(CENTRAL, more, "C", &[("rootfs.0", EARLY)]), "app.1 data.0 rootfs.1");
    }
}
