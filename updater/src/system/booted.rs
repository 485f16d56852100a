// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which slot was booted? RAUC's order of sources, and what the answer makes of each slot.
//!
//! First `--override-boot-slot`, then the kernel command line's explicit words, then the boot
//! loader's own answer, then the root device. What is found is compared with the bootname, the
//! name and the device of each slot.
//!
//! Deviates: RAUC looks for the words anywhere in the command line, so that `norauc.external` is
//! taken for `rauc.external`; here they are words. `root=` is the last of its kind, as the kernel
//! takes it.

use super::{SlotState, SystemError};
use crate::{SlotName, SystemConfig};
use bootctl::KernelCmdline;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Booted from something that is no slot.
pub const EXTERNAL: &str = "_external_";

/// Places below which a partition is found by what the command line calls it.
const BY_TAG: [(&str, &str); 3] = [
    ("PARTLABEL=", "/dev/disk/by-partlabel"),
    ("PARTUUID=", "/dev/disk/by-partuuid"),
    ("UUID=", "/dev/disk/by-uuid"),
];

/// What the command line says outright.
pub(super) fn explicit_boot_slot(cmdline: &KernelCmdline) -> Option<String> {
    if cmdline.has("rauc.external") || cmdline.get("root") == Some("/dev/nfs") {
        return Some(EXTERNAL.to_owned());
    }
    cmdline.get("rauc.slot").filter(|name| !name.is_empty()).map(str::to_owned)
}

/// The root device that the command line names, not yet resolved.
pub(super) fn root_device(cmdline: &KernelCmdline) -> Option<PathBuf> {
    let named = cmdline.get("root").or_else(|| cmdline.get("systemd.verity_root_data"))?;
    for (tag, dir) in BY_TAG {
        if let Some(value) = named.strip_prefix(tag) {
            return Some(Path::new(dir).join(value));
        }
    }
    Some(PathBuf::from(named))
}

/// What each slot is, and which was booted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotStates {
    /// The slot that was booted.
    pub booted: Option<SlotName>,
    states: BTreeMap<SlotName, SlotState>,
}

impl SlotStates {
    /// What a slot is; one that is not configured is inactive.
    #[must_use]
    pub fn of(&self, slot: &SlotName) -> SlotState {
        self.states.get(slot).copied().unwrap_or_default()
    }
}

/// Finds the booted slot among the configured ones; `real_path` follows the links of a device.
pub(super) fn slot_states(
    config: &SystemConfig,
    booted_from: Option<&str>,
    real_path: &dyn Fn(&Path) -> Option<PathBuf>,
) -> Result<SlotStates, SystemError> {
    if config.slots.is_empty() {
        return Err(SystemError::NoSlots);
    }
    let wanted = booted_from.ok_or(SystemError::BootSlotUnknown)?;
    let by_name = config
        .slots
        .values()
        .find(|slot| slot.bootname.as_deref() == Some(wanted) || slot.name.to_string() == wanted);
    let found = by_name.or_else(|| {
        config.slots.values().find(|slot| {
            let real = real_path(&slot.device).unwrap_or_else(|| slot.device.clone());
            real == Path::new(wanted)
        })
    });
    let Some(booted) = found else {
        if wanted == EXTERNAL {
            return Ok(SlotStates::default());
        }
        return Err(SystemError::BootSlotMissing { wanted: wanted.to_owned() });
    };
    let state = |name: &SlotName| {
        let slot = config.slots.get(name)?;
        if *name == booted.name {
            Some(SlotState::Booted)
        } else if slot.parent.as_ref() == Some(&booted.name) {
            Some(SlotState::Active)
        } else {
            None
        }
    };
    let states =
        config.slots.keys().filter_map(|name| Some((name.clone(), state(name)?))).collect();
    Ok(SlotStates { booted: Some(booted.name.clone()), states })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> SystemConfig {
        SystemConfig::parse(
            "[system]\ncompatible=x\nbootloader=noop\n\
             [slot.rootfs.0]\ndevice=/dev/a\nbootname=A\n[slot.rootfs.1]\ndevice=/dev/b\nbootname=B\n\
             [slot.app.0]\ndevice=/dev/c\nparent=rootfs.0\n[slot.data.0]\ndevice=/dev/d\n",
            Path::new("/"),
        )
        .unwrap()
    }

    fn name(text: &str) -> SlotName {
        text.parse().unwrap()
    }

    #[test]
    fn booted_slot_is_found_by_bootname_name_or_resolved_device_and_its_children_are_active() {
        let real =
            |path: &Path| (path == Path::new("/dev/a")).then(|| PathBuf::from("/dev/mmcblk0p1"));
        for wanted in ["A", "rootfs.0", "/dev/mmcblk0p1"] {
            let states = slot_states(&config(), Some(wanted), &real).unwrap();
            assert_eq!(states.booted, Some(name("rootfs.0")), "{wanted}");
            assert_eq!(states.of(&name("rootfs.0")), SlotState::Booted);
            assert_eq!(states.of(&name("app.0")), SlotState::Active);
            assert_eq!(states.of(&name("rootfs.1")), SlotState::Inactive);
            assert_eq!(states.of(&name("data.0")), SlotState::Inactive);
        }
    }

    #[test]
    fn external_has_no_booted_slot_and_what_matches_nothing_is_an_error_in_rauc_s_words() {
        let none = |_: &Path| None;
        assert_eq!(slot_states(&config(), Some(EXTERNAL), &none).unwrap(), SlotStates::default());
        let refused = slot_states(&config(), Some("C"), &none).unwrap_err();
        assert_eq!(refused.text(), "Did not find booted slot (matching 'C')");
        assert!(matches!(slot_states(&config(), None, &none), Err(SystemError::BootSlotUnknown)));
    }

    #[test]
    fn command_line_words_come_in_rauc_s_order() {
        let explicit = |line: &str| explicit_boot_slot(&KernelCmdline::parse(line));
        assert_eq!(explicit("quiet rauc.external rauc.slot=A").as_deref(), Some(EXTERNAL));
        assert_eq!(explicit("root=/dev/nfs rauc.slot=A").as_deref(), Some(EXTERNAL));
        assert_eq!(explicit("root=/dev/sda1 rauc.slot=system1").as_deref(), Some("system1"));
        assert_eq!(explicit("root=/dev/sda1 norauc.external"), None);
        let root = |line: &str| root_device(&KernelCmdline::parse(line));
        for (line, device) in [
            ("root=PARTLABEL=a", "/dev/disk/by-partlabel/a"),
            ("root=PARTUUID=b", "/dev/disk/by-partuuid/b"),
            ("root=UUID=c", "/dev/disk/by-uuid/c"),
            ("systemd.verity_root_data=/dev/d", "/dev/d"),
            ("root=/dev/e systemd.verity_root_data=/dev/d", "/dev/e"),
        ] {
            assert_eq!(root(line).as_deref(), Some(Path::new(device)), "{line}");
        }
        assert_eq!(root("quiet"), None);
    }
}
