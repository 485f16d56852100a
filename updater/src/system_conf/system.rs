// SPDX-License-Identifier: MIT OR Apache-2.0
//! The group `[system]`: every key, its default, and what excludes what.

use super::{AfterInstall, Bootloader, StatusPlace, SystemSection, VariantSource};
use crate::SystemConfError;
use crate::conf_group::{ConfGroup, Toggle};
use bundle::BundleFormat;
use std::path::{Path, PathBuf};
use storage::ByteLen;

/// RAUC's default, and what U-Boot's selector gives.
pub(super) const STANDARD_ATTEMPTS: u64 = 3;

const KEYS: [&str; 21] = [
    "compatible",
    "bootloader",
    "min-bundle-version",
    "bundle-formats",
    "mountprefix",
    "data-directory",
    "statusfile",
    "activate-installed",
    "prevent-late-fallback",
    "variant-name",
    "variant-file",
    "variant-dtb",
    "boot-attempts",
    "boot-attempts-primary",
    "barebox-statename",
    "barebox-dtbpath",
    "grubenv",
    "efi-use-bootnext",
    "max-bundle-download-size",
    "max-bundle-signature-size",
    "perform-pre-check",
];

const BOOTLOADERS: [(&str, Bootloader); 6] = [
    ("barebox", Bootloader::Barebox),
    ("grub", Bootloader::Grub),
    ("uboot", Bootloader::Uboot),
    ("efi", Bootloader::Efi),
    ("custom", Bootloader::Custom),
    ("noop", Bootloader::Noop),
];

const FORMATS: [BundleFormat; 3] = [BundleFormat::Plain, BundleFormat::Verity, BundleFormat::Crypt];

pub(super) fn parse(group: &ConfGroup, base: &Path) -> Result<SystemSection, SystemConfError> {
    group.only(&KEYS)?;
    let compatible = group.required("compatible")?;
    group.required("bootloader")?;
    let expected = "one of barebox, grub, uboot, efi, custom, noop";
    let bootloader = group
        .choice("bootloader", &BOOTLOADERS, expected)?
        .ok_or_else(|| group.invalid("bootloader", expected))?;
    check_bootloader_keys(group, bootloader)?;
    let data_directory = group.path("data-directory", base)?;
    let min_bundle_version = group
        .text("min-bundle-version")
        .map(|text| text.parse().map_err(|_| group.invalid("min-bundle-version", "a version")))
        .transpose()?;
    let after_install = if group.boolean("activate-installed", Toggle::On)? {
        AfterInstall::Activate
    } else {
        AfterInstall::Leave
    };
    Ok(SystemSection {
        compatible,
        bootloader,
        min_bundle_version,
        bundle_formats: formats(group)?,
        mountprefix: group.word("mountprefix")?.map_or_else(|| "/mnt/rauc/".into(), PathBuf::from),
        status: status_place(group, base, data_directory.as_deref())?,
        data_directory,
        after_install,
        prevent_late_fallback: group.boolean("prevent-late-fallback", Toggle::Off)?,
        variant: variant(group, base)?,
        boot_attempts: attempts(group, "boot-attempts")?,
        boot_attempts_primary: attempts(group, "boot-attempts-primary")?,
        barebox_statename: group.word("barebox-statename")?,
        barebox_dtbpath: group.word("barebox-dtbpath")?,
        grubenv: group.path("grubenv", base)?.unwrap_or_else(|| "/boot/grub/grubenv".into()),
        efi_use_bootnext: group.boolean("efi-use-bootnext", Toggle::On)?,
        max_bundle_download_size: group
            .nonzero_size("max-bundle-download-size", ByteLen::mib(8))?,
        max_bundle_signature_size: group
            .nonzero_size("max-bundle-signature-size", ByteLen::kib(64))?,
        perform_pre_check: group.boolean("perform-pre-check", Toggle::Off)?,
    })
}

fn conflict(group: &ConfGroup, key: &str, why: &'static str) -> SystemConfError {
    SystemConfError::Conflict {
        group: group.name.clone(),
        key: key.to_owned(),
        why,
        line: group.line_of(key),
    }
}

fn check_bootloader_keys(group: &ConfGroup, bootloader: Bootloader) -> Result<(), SystemConfError> {
    use Bootloader::{Barebox, Efi, Grub, Uboot};
    let rules: [(&str, &[Bootloader], &'static str); 6] = [
        ("boot-attempts", &[Uboot, Barebox], "needs bootloader=uboot or barebox"),
        ("boot-attempts-primary", &[Uboot, Barebox], "needs bootloader=uboot or barebox"),
        ("barebox-statename", &[Barebox], "needs bootloader=barebox"),
        ("barebox-dtbpath", &[Barebox], "needs bootloader=barebox"),
        ("grubenv", &[Grub], "needs bootloader=grub"),
        ("efi-use-bootnext", &[Efi], "needs bootloader=efi"),
    ];
    for (key, allowed, why) in rules {
        // Zero attempts are the standard ones, and stand for nothing said.
        let is_said = match key {
            "boot-attempts" | "boot-attempts-primary" => group.number(key)?.unwrap_or(0) != 0,
            _ => group.text(key).is_some(),
        };
        if is_said && !allowed.contains(&bootloader) {
            return Err(conflict(group, key, why));
        }
    }
    Ok(())
}

fn attempts(group: &ConfGroup, key: &str) -> Result<u64, SystemConfError> {
    Ok(match group.number(key)? {
        None | Some(0) => STANDARD_ATTEMPTS,
        Some(number) => number,
    })
}

fn status_place(
    group: &ConfGroup,
    base: &Path,
    data_directory: Option<&Path>,
) -> Result<StatusPlace, SystemConfError> {
    match (group.word("statusfile")?.as_deref(), data_directory) {
        (Some("per-slot"), Some(_)) => {
            Err(conflict(group, "statusfile", "cannot be per-slot with a data-directory"))
        }
        (Some("per-slot"), None) | (None, None) => Ok(StatusPlace::PerSlot),
        (Some(path), _) => Ok(StatusPlace::Central(base.join(path))),
        (None, Some(dir)) => Ok(StatusPlace::Central(dir.join("central.raucs"))),
    }
}

fn variant(group: &ConfGroup, base: &Path) -> Result<Option<VariantSource>, SystemConfError> {
    let mut found = Vec::new();
    if let Some(name) = group.word("variant-name")? {
        found.push(("variant-name", VariantSource::Name(name)));
    }
    if let Some(path) = group.path("variant-file", base)? {
        found.push(("variant-file", VariantSource::File(path)));
    }
    if group.boolean("variant-dtb", Toggle::Off)? {
        found.push(("variant-dtb", VariantSource::DeviceTree));
    }
    match found.get(1) {
        Some((key, _)) => Err(conflict(group, key, "is the second source of the variant")),
        None => Ok(found.pop().map(|(_, source)| source)),
    }
}

/// A list of formats, or changes to the default list; a mix of both is refused.
fn formats(group: &ConfGroup) -> Result<Vec<BundleFormat>, SystemConfError> {
    let key = "bundle-formats";
    let Some(text) = group.text(key) else { return Ok(FORMATS.to_vec()) };
    let expected = "names of plain, verity, crypt, either all with + or - or none";
    let words: Vec<&str> = text.split_whitespace().collect();
    let marked = words.iter().filter(|word| word.starts_with(['+', '-'])).count();
    if words.is_empty() || (marked != 0 && marked != words.len()) {
        return Err(group.invalid(key, expected));
    }
    let mut chosen = if marked == 0 { Vec::new() } else { FORMATS.to_vec() };
    for word in words {
        let name = word.trim_start_matches(['+', '-']);
        let format = BundleFormat::from_name(name).ok_or_else(|| group.invalid(key, expected))?;
        chosen.retain(|known| *known != format);
        if !word.starts_with('-') {
            chosen.push(format);
        }
    }
    if chosen.is_empty() {
        return Err(group.invalid(key, "a list that leaves a format"));
    }
    Ok(chosen)
}
