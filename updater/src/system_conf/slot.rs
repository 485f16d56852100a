// SPDX-License-Identifier: MIT OR Apache-2.0
//! The groups `[slot.CLASS.IDX]`.

use super::Bootloader;
use crate::conf_group::{ConfGroup, Oddities, Toggle};
use crate::slots::flatten_parents;
use crate::{Slot, SlotAccess, SlotName, SlotType, SystemConfError, split_shell_words};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use storage::ByteLen;

const KEYS: [&str; 18] = [
    "device",
    "type",
    "description",
    "bootname",
    "parent",
    "readonly",
    "allow-mounted",
    "install-same",
    "force-install-same",
    "ignore-checksum",
    "resize",
    "extra-mount-opts",
    "extra-mkfs-opts",
    "region-start",
    "region-size",
    "size-limit",
    "efi-loader",
    "efi-cmdline",
];

/// `install-same` and its two older names.
const INSTALL_SAME: [&str; 3] = ["install-same", "force-install-same", "ignore-checksum"];

pub(super) fn parse(
    group: &ConfGroup,
    name: SlotName,
    base: &Path,
) -> Result<Slot, SystemConfError> {
    group.only(&KEYS)?;
    let device = base.join(group.required("device")?);
    let slot_type = match group.text("type") {
        None => SlotType::default(),
        Some(text) => SlotType::from_name(text)
            .ok_or_else(|| group.invalid("type", "a slot type that RAUC accepts"))?,
    };
    let bootname = group.word("bootname")?;
    if bootname.as_ref().is_some_and(|name| name.contains(char::is_whitespace)) {
        return Err(group.invalid("bootname", "a name without white space"));
    }
    let parent = group
        .word("parent")?
        .map(|text| text.parse().map_err(|_| group.invalid("parent", "a slot name CLASS.IDX")))
        .transpose()?;
    let mut install_same = true;
    // As in RAUC the first that is there holds, and the others are not looked at.
    if let Some(key) = INSTALL_SAME.into_iter().find(|key| group.text(key).is_some()) {
        install_same = group.boolean(key, Toggle::On)?;
    }
    let access = if group.boolean("readonly", Toggle::Off)? {
        SlotAccess::ReadOnly
    } else {
        SlotAccess::Writable
    };
    let slot = Slot {
        name,
        device,
        slot_type,
        description: group.text("description").map(str::to_owned),
        bootname,
        parent,
        access,
        allow_mounted: group.boolean("allow-mounted", Toggle::Off)?,
        install_same,
        resize: group.boolean("resize", Toggle::Off)?,
        extra_mount_opts: group.text("extra-mount-opts").map(str::to_owned),
        extra_mkfs_opts: group.text("extra-mkfs-opts").map(str::to_owned),
        region_start: group.size("region-start")?,
        region_size: group.size("region-size")?,
        size_limit: group.size("size-limit")?.unwrap_or(ByteLen::ZERO),
        efi_loader: group.text("efi-loader").map(str::to_owned),
        efi_cmdline: group.text("efi-cmdline").map(str::to_owned),
        line: group.line,
    };
    if let Some(options) = &slot.extra_mkfs_opts
        && split_shell_words(options).is_err()
    {
        return Err(group.invalid("extra-mkfs-opts", "words as a shell reads them"));
    }
    check_type_keys(group, &slot)?;
    Ok(slot)
}

fn check_type_keys(group: &ConfGroup, slot: &Slot) -> Result<(), SystemConfError> {
    let has_region = matches!(
        slot.slot_type,
        SlotType::BootMbrSwitch | SlotType::BootGptSwitch | SlotType::BootRawFallback
    );
    for key in ["region-start", "region-size"] {
        match has_region {
            true => drop(group.required(key)?),
            false => refuse_key(
                group,
                key,
                "needs a type with a region: boot-*-switch or boot-raw-fallback",
            )?,
        }
    }
    if slot.slot_type != SlotType::BootEmmc {
        refuse_key(group, "size-limit", "needs type=boot-emmc")?;
    }
    let device = slot.device.to_string_lossy();
    let is_boot_part = device.ends_with("boot0") || device.ends_with("boot1");
    if slot.slot_type == SlotType::BootEmmc && is_boot_part {
        return Err(group.invalid("device", "the eMMC itself, without boot0 or boot1"));
    }
    Ok(())
}

fn refuse_key(group: &ConfGroup, key: &str, why: &'static str) -> Result<(), SystemConfError> {
    match group.text(key) {
        None => Ok(()),
        Some(_) => Err(SystemConfError::Conflict {
            group: group.name.clone(),
            key: key.to_owned(),
            why,
            line: group.line_of(key),
        }),
    }
}

pub(super) fn check_all(
    slots: &mut BTreeMap<SlotName, Slot>,
    bootloader: Bootloader,
    odd: &mut Oddities<'_>,
) -> Result<(), SystemConfError> {
    flatten_parents(slots)?;
    let mut devices: BTreeMap<PathBuf, SlotName> = BTreeMap::new();
    for (name, slot) in slots.iter() {
        let efi_key = [("efi-loader", &slot.efi_loader), ("efi-cmdline", &slot.efi_cmdline)]
            .into_iter()
            .find_map(|(key, value)| value.as_ref().map(|_| key));
        if let (Some(key), false) = (efi_key, bootloader == Bootloader::Efi) {
            return Err(SystemConfError::Conflict {
                group: format!("slot.{name}"),
                key: key.to_owned(),
                why: "needs bootloader=efi",
                line: slot.line,
            });
        }
        // The two halves of a region lie on one device on purpose.
        if slot.slot_type.takes_plain_images()
            && let Some(other) = devices.insert(slot.device.clone(), name.clone())
        {
            odd(SystemConfError::DeviceTaken {
                slot: name.clone(),
                other: Box::new(other),
                device: slot.device.clone(),
                line: slot.line,
            })?;
        }
    }
    Ok(())
}
