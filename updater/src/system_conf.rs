// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does this system's RAUC configuration say?
//!
//! RAUC's `system.conf`: a key file with the groups below, every key that RAUC documents, and its
//! strictness: an unknown group or key is refused. On top of RAUC, a group begun twice, a key for
//! one language, a key without value and two slots on one device are refused, except by
//! [`SystemConfig::parse_lenient`], which reads them as RAUC does. Relative paths start at the directory of
//! the file. Nothing here reads a file or judges whether an install can use a setting; that is
//! [`SystemConfig::unsupported`] and the plan.

use crate::conf_group::{ConfGroup, Oddities, read_groups};
use crate::{BundleVersion, Slot, SlotName, SystemConfError};
use bundle::BundleFormat;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use storage::ByteLen;

mod optional;
mod slot;
mod system;

pub use optional::{
    ArtifactsSection, CasyncSection, EncryptionSection, EventLogSection, HandlersSection,
    KeyringSection, LogFormat, PollingSection, RepositoryType, StreamingSection,
};

/// The boot loader that selects the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bootloader {
    /// barebox with its state framework.
    Barebox,
    /// GRUB with an environment file.
    Grub,
    /// U-Boot with its environment.
    Uboot,
    /// UEFI boot entries.
    Efi,
    /// A program that answers the boot questions.
    Custom,
    /// None: nothing is asked or marked.
    Noop,
}

/// Where the system's variant comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VariantSource {
    /// The name itself.
    Name(String),
    /// The first line of a file.
    File(PathBuf),
    /// The first `compatible` string of the device tree.
    DeviceTree,
}

/// Where slot status is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatusPlace {
    /// One file for all slots.
    Central(PathBuf),
    /// A file inside each slot.
    PerSlot,
}

/// What is done with a slot after it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterInstall {
    /// It boots next.
    Activate,
    /// It waits to be activated.
    Leave,
}

/// The group `[system]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemSection {
    /// The board's match string.
    pub compatible: String,
    /// The boot loader.
    pub bootloader: Bootloader,
    /// Older bundles are refused.
    pub min_bundle_version: Option<BundleVersion>,
    /// The accepted bundle formats.
    pub bundle_formats: Vec<BundleFormat>,
    /// Below which directory things are mounted.
    pub mountprefix: PathBuf,
    /// Where adaptive data and the status live.
    pub data_directory: Option<PathBuf>,
    /// Where slot status is kept.
    pub status: StatusPlace,
    /// What follows an install.
    pub after_install: AfterInstall,
    /// Marking the booted slot good marks the other bad.
    pub prevent_late_fallback: bool,
    /// Where the variant comes from.
    pub variant: Option<VariantSource>,
    /// Boot attempts of a slot marked good.
    pub boot_attempts: u64,
    /// Boot attempts of a slot made primary.
    pub boot_attempts_primary: u64,
    /// barebox: name of the state.
    pub barebox_statename: Option<String>,
    /// barebox: device tree file.
    pub barebox_dtbpath: Option<String>,
    /// GRUB: environment file.
    pub grubenv: PathBuf,
    /// EFI: activate by `BootNext`.
    pub efi_use_bootnext: bool,
    /// Limit for bundles that are downloaded whole.
    pub max_bundle_download_size: ByteLen,
    /// Limit of the signature.
    pub max_bundle_signature_size: ByteLen,
    /// Read every image to the end before anything is written.
    pub perform_pre_check: bool,
}

/// A whole `system.conf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemConfig {
    /// `[system]`.
    pub system: SystemSection,
    /// `[keyring]`.
    pub keyring: Option<KeyringSection>,
    /// `[casync]`.
    pub casync: Option<CasyncSection>,
    /// `[streaming]`.
    pub streaming: Option<StreamingSection>,
    /// `[polling]`.
    pub polling: Option<PollingSection>,
    /// `[encryption]`.
    pub encryption: Option<EncryptionSection>,
    /// `path` of `[autoinstall]`.
    pub autoinstall: Option<PathBuf>,
    /// `[handlers]`.
    pub handlers: HandlersSection,
    /// `[log.NAME]`.
    pub logs: BTreeMap<String, EventLogSection>,
    /// `[artifacts.NAME]`.
    pub artifacts: BTreeMap<String, ArtifactsSection>,
    /// `[slot.CLASS.IDX]`, parents flattened.
    pub slots: BTreeMap<SlotName, Slot>,
}

/// A setting that is understood but not carried out by this version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedSetting {
    /// Group name.
    pub group: String,
    /// Key.
    pub key: String,
}

impl SystemConfig {
    /// Reads the text of a `system.conf` that lies in `base_dir`.
    ///
    /// # Errors
    /// [`SystemConfError`] with the line.
    pub fn parse(text: &str, base_dir: &Path) -> Result<Self, SystemConfError> {
        Self::read(text, base_dir, &mut Err)
    }

    /// As [`SystemConfig::parse`], for a system that RAUC ran on so far: what RAUC takes and we
    /// would refuse is read as RAUC reads it, and told beside the result.
    ///
    /// # Errors
    /// [`SystemConfError`] with the line.
    pub fn parse_lenient(
        text: &str,
        base_dir: &Path,
    ) -> Result<(Self, Vec<SystemConfError>), SystemConfError> {
        let mut taken = Vec::new();
        let config = Self::read(text, base_dir, &mut |oddity| {
            taken.push(oddity);
            Ok(())
        })?;
        Ok((config, taken))
    }

    fn read(text: &str, base_dir: &Path, odd: &mut Oddities<'_>) -> Result<Self, SystemConfError> {
        let groups = read_groups(text, odd)?;
        let mut slots = BTreeMap::new();
        let (mut logs, mut artifacts) = (BTreeMap::new(), BTreeMap::new());
        let mut single: BTreeMap<&str, &ConfGroup> = BTreeMap::new();
        for group in &groups {
            let parts: Vec<&str> = group.name.split('.').collect();
            match parts.as_slice() {
                [
                    name @ ("system" | "keyring" | "casync" | "streaming" | "polling"
                    | "encryption" | "autoinstall" | "handlers"),
                ] => {
                    single.insert(name, group);
                }
                ["slot", class, index] if !class.is_empty() && !index.is_empty() => {
                    let name = SlotName { class: (*class).to_owned(), index: (*index).to_owned() };
                    slots.insert(name.clone(), slot::parse(group, name, base_dir)?);
                }
                ["log", first, ..] if !first.is_empty() => {
                    let name = group.name.strip_prefix("log.").unwrap_or_default();
                    logs.insert(name.to_owned(), group);
                }
                ["artifacts", name] if !name.is_empty() => {
                    artifacts.insert((*name).to_owned(), optional::artifacts(group, base_dir)?);
                }
                _ => {
                    return Err(SystemConfError::UnknownGroup {
                        group: group.name.clone(),
                        line: group.line,
                    });
                }
            }
        }
        let head = single.get("system").ok_or(SystemConfError::MissingGroup { group: "system" })?;
        let system = system::parse(head, base_dir)?;
        slot::check_all(&mut slots, system.bootloader, odd)?;
        check_repositories(&artifacts, &slots, &groups)?;
        let data = system.data_directory.as_deref();
        let handlers = optional::handlers(single.get("handlers").copied(), base_dir)?;
        if system.bootloader == Bootloader::Custom && handlers.bootloader_custom_backend.is_none() {
            return Err(SystemConfError::Missing {
                group: "handlers".to_owned(),
                key: "bootloader-custom-backend".to_owned(),
                line: head.line,
            });
        }
        let get = |name: &str| single.get(name).copied();
        Ok(Self {
            keyring: get("keyring").map(|g| optional::keyring(g, base_dir)).transpose()?,
            casync: get("casync").map(optional::casync).transpose()?,
            streaming: get("streaming").map(optional::streaming).transpose()?,
            polling: get("polling").map(optional::polling).transpose()?,
            encryption: get("encryption").map(|g| optional::encryption(g, base_dir)).transpose()?,
            autoinstall: get("autoinstall")
                .map(|g| optional::autoinstall(g, base_dir))
                .transpose()?
                .flatten(),
            logs: logs
                .into_iter()
                .map(|(name, group)| Ok((name, optional::event_log(group, data)?)))
                .collect::<Result<_, SystemConfError>>()?,
            handlers,
            artifacts,
            slots,
            system,
        })
    }

    /// The settings that would change what an install does and that this version does not carry
    /// out. An install refuses while there are any: going on without them would be a guess.
    #[must_use]
    pub fn unsupported(&self) -> Vec<UnsupportedSetting> {
        let mut found = Vec::new();
        let mut add = |group: &str, key: &str| {
            found.push(UnsupportedSetting { group: group.to_owned(), key: key.to_owned() });
        };
        let handlers = &self.handlers;
        for (key, handler) in [
            ("system-info", &handlers.system_info),
            ("pre-install", &handlers.pre_install),
            ("post-install", &handlers.post_install),
        ] {
            if handler.is_some() {
                add("handlers", key);
            }
        }
        let standard = system::STANDARD_ATTEMPTS;
        if self.system.boot_attempts != standard {
            add("system", "boot-attempts");
        }
        if self.system.boot_attempts_primary != standard {
            add("system", "boot-attempts-primary");
        }
        for slot in self.slots.values().filter(|slot| slot.resize) {
            add(&format!("slot.{}", slot.name), "resize");
        }
        found
    }

    /// What is there and has no effect in this version: an install goes on without it, because it
    /// asks for nothing that an install does here. Named as in the file.
    #[must_use]
    pub fn unused(&self) -> Vec<String> {
        let groups = [
            ("casync", self.casync.is_some()),
            ("streaming", self.streaming.is_some()),
            ("polling", self.polling.is_some()),
            ("encryption", self.encryption.is_some()),
            ("autoinstall", self.autoinstall.is_some()),
        ];
        let groups = groups.into_iter().filter(|(_, is_there)| *is_there);
        let mut found: Vec<String> = groups.map(|(name, _)| format!("[{name}]")).collect();
        found.extend(self.logs.keys().map(|name| format!("[log.{name}]")));
        found.extend(self.artifacts.keys().map(|name| format!("[artifacts.{name}]")));
        for slot in self.slots.values() {
            let keys = [
                // Only for slots with an `install` hook; bundles with hooks are refused.
                ("allow-mounted", slot.allow_mounted),
                // Only for archives, which are refused.
                ("extra-mount-opts", slot.extra_mount_opts.is_some()),
                ("extra-mkfs-opts", slot.extra_mkfs_opts.is_some()),
                // Only for `boot-emmc`, which is refused.
                ("size-limit", slot.size_limit != ByteLen::ZERO),
            ];
            let keys = keys.into_iter().filter(|(_, is_there)| *is_there);
            found.extend(keys.map(|(key, _)| format!("{key} in [slot.{}]", slot.name)));
        }
        found
    }
}

/// RAUC keeps images of slots and of repositories in one name space.
fn check_repositories(
    artifacts: &BTreeMap<String, ArtifactsSection>,
    slots: &BTreeMap<SlotName, Slot>,
    groups: &[ConfGroup],
) -> Result<(), SystemConfError> {
    let classes: BTreeSet<&String> = slots.keys().map(|slot| &slot.class).collect();
    for name in artifacts.keys() {
        if classes.contains(name) {
            let group = format!("artifacts.{name}");
            let line = groups.iter().find(|g| g.name == group).map_or(0, |g| g.line);
            return Err(SystemConfError::Conflict {
                group,
                key: "path".to_owned(),
                why: "belongs to a repository named like a slot class",
                line,
            });
        }
    }
    Ok(())
}
