// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which variables do handlers and hooks get? RAUC's, on top of the process's own.
//!
//! Slots are numbered from 1; RAUC's order is that of a hash table, here the target slots come
//! first and then the others, by name. `RAUC_IMAGE_*_n` is the image that is really chosen for
//! the slot, by variant.

use super::target::TargetGroup;
use super::{SlotState, SystemFacts};
use crate::slot_handlers::SlotPlace;
use crate::{Slot, SlotName, SystemConfig};
use bundle::{Image, Manifest, VerifiedBundle};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;

/// Variables, by name.
pub(super) type Variables = BTreeMap<String, OsString>;

/// What all programs of an install have in common.
pub(super) struct ProgramFacts<'a> {
    pub config: &'a SystemConfig,
    pub facts: &'a SystemFacts,
    pub config_path: &'a Path,
    pub inherited: &'a BTreeSet<OsString>,
    pub manifest: &'a Manifest,
    pub transaction: &'a str,
    /// Where the files of the bundle lie.
    pub content: Option<&'a Path>,
}

fn set(variables: &mut Variables, name: &str, value: impl Into<OsString>) {
    variables.insert(name.to_owned(), value.into());
}

fn text(value: Option<&String>) -> OsString {
    value.map(OsString::from).unwrap_or_default()
}

impl ProgramFacts<'_> {
    fn system(&self) -> Variables {
        let mut all = Variables::new();
        set(&mut all, "RAUC_SYSTEM_COMPATIBLE", &self.config.system.compatible);
        set(&mut all, "RAUC_SYSTEM_VARIANT", self.facts.variant().unwrap_or_default());
        set(&mut all, "RAUC_SYSTEM_VERSION", text(self.facts.version.as_ref()));
        set(&mut all, "RAUC_MOUNT_PREFIX", self.config.system.mountprefix.as_os_str());
        all
    }

    fn put_meta(&self, all: &mut Variables, inherited: bool) {
        for (label, keys) in &self.manifest.meta {
            for (key, value) in keys {
                let name = format!("RAUC_META_{}_{}", shell_name(label), shell_name(key));
                if !inherited || !self.inherited.contains(&OsString::from(&name)) {
                    all.entry(name).or_insert_with(|| value.into());
                }
            }
        }
    }

    /// For the handlers of `system.conf` and of the manifest.
    pub fn for_handler(&self, targets: &TargetGroup, images: &[(SlotName, &Image)]) -> Variables {
        let mut all = self.system();
        set(&mut all, "RAUC_SYSTEM_CONFIG", self.config_path.as_os_str());
        set(&mut all, "RAUC_CURRENT_BOOTNAME", text(self.facts.booted_from.as_ref()));
        for (name, value) in self.facts.info.iter() {
            if !self.inherited.contains(&OsString::from(name)) {
                all.entry(name.to_owned()).or_insert_with(|| value.into());
            }
        }
        let content = self.content.unwrap_or(Path::new(""));
        for name in ["RAUC_BUNDLE_MOUNT_POINT", "RAUC_UPDATE_SOURCE"] {
            set(&mut all, name, content);
        }
        set(&mut all, "RAUC_TRANSACTION_ID", self.transaction);
        let is_target = |slot: &&Slot| targets.values().any(|target| *target == slot.name);
        let first = self.config.slots.values().filter(is_target);
        let rest = self.config.slots.values().filter(|slot| !is_target(slot));
        let (mut slots, mut chosen) = (Vec::new(), Vec::new());
        for (index, slot) in first.chain(rest).enumerate() {
            let number = (index + 1).to_string();
            if is_target(&slot) {
                chosen.push(number.clone());
                let image = images.iter().find(|(target, _)| *target == slot.name);
                if let Some((_, image)) = image {
                    put_image(&mut all, image, &format!("_{number}"));
                }
            }
            put_slot(&mut all, slot, &number);
            slots.push(number);
        }
        set(&mut all, "RAUC_SLOTS", slots.join(" "));
        set(&mut all, "RAUC_TARGET_SLOTS", chosen.join(" "));
        self.put_meta(&mut all, true);
        all
    }

    /// For the bundle's `install-check`.
    pub fn for_check(&self) -> Variables {
        let mut all = self.system();
        let update = &self.manifest.update;
        set(&mut all, "RAUC_MF_COMPATIBLE", &update.compatible);
        set(&mut all, "RAUC_MF_VERSION", text(update.version.as_ref()));
        set(&mut all, "RAUC_MF_BUILD", text(update.build.as_ref()));
        self.put_meta(&mut all, false);
        all
    }

    /// For a slot hook.
    pub fn for_slot(
        &self,
        (slot, state): (&Slot, SlotState),
        image: &Image,
        place: &SlotPlace<'_>,
        bundle: &VerifiedBundle,
    ) -> Variables {
        let mut all = self.system();
        let parent = slot.parent.as_ref();
        let bootname = parent.and_then(|name| self.config.slots.get(name)).unwrap_or(slot);
        set(&mut all, "RAUC_SLOT_NAME", slot.name.to_string());
        set(&mut all, "RAUC_SLOT_STATE", state.name());
        set(&mut all, "RAUC_SLOT_CLASS", &slot.name.class);
        set(&mut all, "RAUC_SLOT_TYPE", slot.slot_type.name());
        set(&mut all, "RAUC_SLOT_DEVICE", place.device);
        set(&mut all, "RAUC_SLOT_BOOTNAME", text(bootname.bootname.as_ref()));
        set(&mut all, "RAUC_SLOT_PARENT", parent.map(ToString::to_string).unwrap_or_default());
        if let Some(mount_point) = place.mount_point {
            set(&mut all, "RAUC_SLOT_MOUNT_POINT", mount_point);
        }
        put_image(&mut all, image, "");
        let content = self.content.unwrap_or(Path::new(""));
        if let Some(filename) = &image.filename {
            set(&mut all, "RAUC_IMAGE_NAME", content.join(filename));
        }
        let size = image.size.map_or(0, storage::ByteLen::get);
        set(&mut all, "RAUC_IMAGE_SIZE", size.to_string());
        let chain = &bundle.signer().chain;
        let hashes: Vec<String> =
            chain.iter().map(bundle::CertificateInfo::spki_with_colons).collect();
        set(&mut all, "RAUC_BUNDLE_SPKI_HASHES", hashes.join(" "));
        set(&mut all, "RAUC_BUNDLE_MOUNT_POINT", content);
        for (name, value) in &place.variables {
            set(&mut all, name, value);
        }
        all
    }
}

fn put_image(all: &mut Variables, image: &Image, suffix: &str) {
    let digest = image.sha256.map(|digest| digest.to_string()).unwrap_or_default();
    set(all, &format!("RAUC_IMAGE_NAME{suffix}"), text(image.filename.as_ref()));
    set(all, &format!("RAUC_IMAGE_DIGEST{suffix}"), digest);
    set(all, &format!("RAUC_IMAGE_CLASS{suffix}"), &image.class);
}

fn put_slot(all: &mut Variables, slot: &Slot, number: &str) {
    let parent = slot.parent.as_ref().map(ToString::to_string);
    let values: [(&str, OsString); 6] = [
        ("NAME", slot.name.to_string().into()),
        ("CLASS", slot.name.class.clone().into()),
        ("TYPE", slot.slot_type.name().into()),
        ("DEVICE", slot.device.clone().into()),
        ("BOOTNAME", text(slot.bootname.as_ref())),
        ("PARENT", text(parent.as_ref())),
    ];
    for (key, value) in values {
        set(all, &format!("RAUC_SLOT_{key}_{number}"), value);
    }
}

/// As part of a variable's name; the manifest's rules let nothing else through.
fn shell_name(text: &str) -> String {
    let upper = text.chars().map(|letter| match letter {
        letter if letter.is_ascii_alphanumeric() => letter.to_ascii_uppercase(),
        _ => '_',
    });
    upper.collect()
}
