// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which places can an update be written to, and which of them belong together?
//!
//! A *slot* is one device of `system.conf`; an *install group* is all slots that boot together:
//! the slot with the bootname and its children. Both of RAUC's shapes are understood: the root
//! file system as parent of a boot slot, and the boot slot as parent of the root file system.
//! Nothing here opens a device.

use crate::{SystemConfError, SystemConfig};
use bootctl::SlotId;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use storage::ByteLen;

/// More parent steps than this are a loop; RAUC draws the line at the same place.
const MAX_PARENT_STEPS: usize = 100;

/// The slot class whose slot the firmware loads when a group has several members.
const BOOT_CLASS: &str = "boot";

/// A slot's name, `CLASS.IDX`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotName {
    /// The slot class, which images are matched by.
    pub class: String,
    /// The index inside the class; text, because RAUC does not ask for a number.
    pub index: String,
}

/// The text is not `CLASS.IDX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a slot name of the form CLASS.IDX")]
pub struct ParseSlotNameError;

impl FromStr for SlotName {
    type Err = ParseSlotNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('.') {
            Some((class, index))
                if !class.is_empty() && !index.is_empty() && !index.contains('.') =>
            {
                Ok(Self { class: class.to_owned(), index: index.to_owned() })
            }
            Some(_) | None => Err(ParseSlotNameError),
        }
    }
}

impl fmt::Display for SlotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.class, self.index)
    }
}

/// What a slot's device is made of and how it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlotType {
    /// A block device that takes any image as it is.
    #[default]
    Raw,
    /// An ext4 file system.
    Ext4,
    /// A FAT file system.
    Vfat,
    /// A UBIFS file system on a UBI volume.
    Ubifs,
    /// A UBI volume.
    Ubivol,
    /// Raw NAND flash.
    Nand,
    /// NOR flash.
    Nor,
    /// The two boot partitions of an eMMC.
    BootEmmc,
    /// A boot partition switched by the MBR.
    BootMbrSwitch,
    /// A boot partition switched by the GPT.
    BootGptSwitch,
    /// Two copies in one region, tried in turn by a ROM loader.
    BootRawFallback,
}

impl SlotType {
    /// Every slot type that RAUC's parser accepts, in the order of its documentation.
    pub const ALL: [Self; 11] = [
        Self::Raw,
        Self::Ext4,
        Self::Vfat,
        Self::Ubifs,
        Self::Ubivol,
        Self::Nand,
        Self::Nor,
        Self::BootEmmc,
        Self::BootMbrSwitch,
        Self::BootGptSwitch,
        Self::BootRawFallback,
    ];

    /// The name used in `system.conf`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Ext4 => "ext4",
            Self::Vfat => "vfat",
            Self::Ubifs => "ubifs",
            Self::Ubivol => "ubivol",
            Self::Nand => "nand",
            Self::Nor => "nor",
            Self::BootEmmc => "boot-emmc",
            Self::BootMbrSwitch => "boot-mbr-switch",
            Self::BootGptSwitch => "boot-gpt-switch",
            Self::BootRawFallback => "boot-raw-fallback",
        }
    }

    /// The type of this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether the device can be written as one run of bytes, which is what the engine does now.
    #[must_use]
    pub const fn takes_plain_images(self) -> bool {
        match self {
            Self::Raw | Self::Ext4 | Self::Vfat => true,
            Self::Ubifs
            | Self::Ubivol
            | Self::Nand
            | Self::Nor
            | Self::BootEmmc
            | Self::BootMbrSwitch
            | Self::BootGptSwitch
            | Self::BootRawFallback => false,
        }
    }
}

impl fmt::Display for SlotType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether a slot may be written by an install.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlotAccess {
    /// It is a possible target.
    #[default]
    Writable,
    /// `readonly=true`: it is only there to be found as booted.
    ReadOnly,
}

/// One `[slot.CLASS.IDX]` of `system.conf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// `CLASS.IDX`.
    pub name: SlotName,
    /// The device, absolute.
    pub device: PathBuf,
    /// How the device is written.
    pub slot_type: SlotType,
    /// Text for people.
    pub description: Option<String>,
    /// The name the boot loader knows it by; never on a child.
    pub bootname: Option<String>,
    /// The parent after flattening: always a slot without a parent of its own.
    pub parent: Option<SlotName>,
    /// Whether an install may write it.
    pub access: SlotAccess,
    /// `allow-mounted`, which only has a meaning together with an `install` hook.
    pub allow_mounted: bool,
    /// `install-same`. The engine compares before it writes, so an equal slot costs no writes
    /// whatever is said here.
    pub install_same: bool,
    /// `resize`: grow the ext4 file system after writing.
    pub resize: bool,
    /// Extra options for mounting.
    pub extra_mount_opts: Option<String>,
    /// Extra options for making a file system.
    pub extra_mkfs_opts: Option<String>,
    /// Start of the region of the `boot-*-switch` and `boot-raw-fallback` types.
    pub region_start: Option<ByteLen>,
    /// Size of that region.
    pub region_size: Option<ByteLen>,
    /// Limit of what is written to an eMMC boot partition; zero is none.
    pub size_limit: ByteLen,
    /// EFI loader for a boot entry that is missing.
    pub efi_loader: Option<String>,
    /// EFI command line for a boot entry that is missing.
    pub efi_cmdline: Option<String>,
    /// Line of the section's head in the file.
    pub line: usize,
}

/// Slots that are written together: one bootname, its slot and its children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallGroup {
    /// Which of the two groups it is.
    pub slot_id: SlotId,
    /// The slot that carries the bootname.
    pub root: SlotName,
    /// The slot the firmware loads from; its first bytes are the seal.
    pub seal: SlotName,
    /// Every slot of the group, the sealed one last: the order of writing.
    pub members: Vec<Slot>,
}

impl InstallGroup {
    /// The member of a slot class.
    #[must_use]
    pub fn member(&self, class: &str) -> Option<&Slot> {
        self.members.iter().find(|slot| slot.name.class == class)
    }

    /// The member that carries the seal.
    #[must_use]
    pub fn seal_slot(&self) -> Option<&Slot> {
        self.members.iter().find(|slot| slot.name == self.seal)
    }
}

/// Replaces every parent by the root of its chain and checks the rules on parents and bootnames.
pub(crate) fn flatten_parents(slots: &mut BTreeMap<SlotName, Slot>) -> Result<(), SystemConfError> {
    let parents: BTreeMap<SlotName, Option<SlotName>> =
        slots.iter().map(|(name, slot)| (name.clone(), slot.parent.clone())).collect();
    let mut bootnames: BTreeMap<String, SlotName> = BTreeMap::new();
    for (name, slot) in slots.iter_mut() {
        slot.parent = root_of(name, &parents)?;
        let Some(bootname) = &slot.bootname else { continue };
        if slot.parent.is_some() {
            return Err(SystemConfError::BootnameOnChild { slot: name.clone(), line: slot.line });
        }
        if let Some(other) = bootnames.insert(bootname.clone(), name.clone()) {
            return Err(SystemConfError::BootnameTaken {
                slot: name.clone(),
                other: Box::new(other),
                bootname: bootname.clone(),
                line: slot.line,
            });
        }
    }
    Ok(())
}

fn root_of(
    name: &SlotName,
    parents: &BTreeMap<SlotName, Option<SlotName>>,
) -> Result<Option<SlotName>, SystemConfError> {
    let mut at = name;
    for _ in 0..MAX_PARENT_STEPS {
        match parents.get(at) {
            Some(Some(parent)) => at = parent,
            Some(None) if at == name => return Ok(None),
            Some(None) => return Ok(Some(at.clone())),
            None => {
                return Err(SystemConfError::ParentMissing {
                    slot: name.clone(),
                    parent: at.clone(),
                });
            }
        }
    }
    Err(SystemConfError::ParentLoop { slot: name.clone() })
}

impl SystemConfig {
    /// The install groups in order of their bootnames.
    ///
    /// # Errors
    /// [`SystemConfError::BootnameNotAB`], and [`SystemConfError::ClassTwiceInGroup`] when an
    /// image could go to two members.
    pub fn install_groups(&self) -> Result<Vec<InstallGroup>, SystemConfError> {
        let mut groups = Vec::new();
        for (name, slot) in &self.slots {
            let Some(bootname) = &slot.bootname else { continue };
            let slot_id = SlotId::ALL
                .into_iter()
                .find(|id| id.boot_name() == bootname)
                .ok_or_else(|| SystemConfError::BootnameNotAB {
                    slot: name.clone(),
                    bootname: bootname.clone(),
                    line: slot.line,
                })?;
            groups.push(self.group_of(slot_id, slot)?);
        }
        groups.sort_by_key(|group| group.slot_id.boot_name());
        Ok(groups)
    }

    fn group_of(&self, slot_id: SlotId, root: &Slot) -> Result<InstallGroup, SystemConfError> {
        let mut members: Vec<Slot> = vec![root.clone()];
        let mut classes = BTreeMap::from([(&root.name.class, &root.name)]);
        for slot in self.slots.values().filter(|slot| slot.parent.as_ref() == Some(&root.name)) {
            if let Some(other) = classes.insert(&slot.name.class, &slot.name) {
                return Err(SystemConfError::ClassTwiceInGroup {
                    slot: slot.name.clone(),
                    other: Box::new(other.clone()),
                    line: slot.line,
                });
            }
            members.push(slot.clone());
        }
        let seal = members
            .iter()
            .find(|slot| slot.name.class == BOOT_CLASS)
            .map_or_else(|| root.name.clone(), |slot| slot.name.clone());
        members.sort_by_key(|slot| (slot.name == seal, slot.name.clone()));
        Ok(InstallGroup { slot_id, root: root.name.clone(), seal, members })
    }
}
