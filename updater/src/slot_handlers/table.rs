// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which handler writes an image of this type into a slot of this type? The pairs are RAUC's, in
//! [`crate::accepts`]; here each gets its way of writing.

use crate::{SlotType, accepts};
use bundle::ImageType;

/// The ways to write a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HandlerKind {
    /// Bytes onto a device.
    Copy,
    /// Bytes onto a device that holds a file system afterwards, mounted around hooks.
    CopyFilesystem,
    /// A fresh file system, and an archive unpacked into it.
    Unpack,
    /// A UBI volume, or a UBIFS on one, replaced as a whole.
    Volume,
    /// `flashcp`.
    Nor,
    /// `flash_erase` and `nandwrite`.
    Nand,
    /// The boot partition of an eMMC that is not in use.
    BootEmmc,
    /// The half of a region that the MBR does not name.
    BootMbrSwitch,
    /// The half of a region that the GPT does not name.
    BootGptSwitch,
    /// Both copies in a region.
    BootRawFallback,
    /// The image's `install` hook does it all.
    InstallHook,
}

/// Whether somebody else does the writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InstallHook {
    /// The image has an `install` hook: any pair is accepted.
    Present,
    /// The image is written here.
    Absent,
}

/// The handler of a pair; `None` where RAUC has none. An image without a type is for hooks alone.
#[must_use]
pub(crate) const fn handler_for(
    slot: SlotType,
    image: Option<ImageType>,
    hook: InstallHook,
) -> Option<HandlerKind> {
    if let InstallHook::Present = hook {
        return Some(HandlerKind::InstallHook);
    }
    let Some(image) = image else { return None };
    if !accepts(slot, image) {
        return None;
    }
    Some(match slot {
        SlotType::Raw => HandlerKind::Copy,
        SlotType::Ext4 | SlotType::Vfat | SlotType::Ubifs if is_archive(image) => {
            HandlerKind::Unpack
        }
        // RAUC does not look for a file system in these.
        SlotType::Ext4 | SlotType::Vfat if matches!(image, ImageType::RawCaibx) => {
            HandlerKind::Copy
        }
        SlotType::Ext4 | SlotType::Vfat => HandlerKind::CopyFilesystem,
        SlotType::Ubifs | SlotType::Ubivol => HandlerKind::Volume,
        SlotType::Nand => HandlerKind::Nand,
        SlotType::Nor => HandlerKind::Nor,
        SlotType::BootEmmc => HandlerKind::BootEmmc,
        SlotType::BootMbrSwitch => HandlerKind::BootMbrSwitch,
        SlotType::BootGptSwitch => HandlerKind::BootGptSwitch,
        SlotType::BootRawFallback => HandlerKind::BootRawFallback,
    })
}

/// Whether the image goes into a fresh file system.
#[must_use]
const fn is_archive(image: ImageType) -> bool {
    match image {
        ImageType::Tar | ImageType::Catar | ImageType::Caidx | ImageType::Emptyfs => true,
        ImageType::Raw
        | ImageType::Ext4
        | ImageType::Vfat
        | ImageType::Ubifs
        | ImageType::Squashfs
        | ImageType::RawCaibx
        | ImageType::Ext4Caibx
        | ImageType::VfatCaibx
        | ImageType::UbifsCaibx
        | ImageType::SquashfsCaibx => false,
    }
}

/// Whether the file of such an image is an index of its content and not the content: without a store
/// there is nothing to write.
#[must_use]
pub const fn is_index(image: ImageType) -> bool {
    match image {
        ImageType::Caidx
        | ImageType::RawCaibx
        | ImageType::Ext4Caibx
        | ImageType::VfatCaibx
        | ImageType::UbifsCaibx
        | ImageType::SquashfsCaibx => true,
        ImageType::Raw
        | ImageType::Ext4
        | ImageType::Vfat
        | ImageType::Ubifs
        | ImageType::Squashfs
        | ImageType::Tar
        | ImageType::Emptyfs
        | ImageType::Catar => false,
    }
}

/// Whether slots of this type can be mounted, and so carry a `slot.raucs`.
#[must_use]
pub(crate) const fn is_mountable(slot: SlotType) -> bool {
    match slot {
        SlotType::Ext4 | SlotType::Vfat | SlotType::Ubifs => true,
        SlotType::Raw
        | SlotType::Ubivol
        | SlotType::Nand
        | SlotType::Nor
        | SlotType::BootEmmc
        | SlotType::BootMbrSwitch
        | SlotType::BootGptSwitch
        | SlotType::BootRawFallback => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// RAUC's map of handlers: slot type, way of writing, image types.
    const PAIRS: &str = "\
        raw: copy raw ext4 vfat squashfs raw-caibx ext4-caibx vfat-caibx squashfs-caibx\n\
        ext4: copy-filesystem ext4 raw ext4-caibx\n\
        ext4: unpack tar catar caidx emptyfs\n\
        ext4: copy raw-caibx\n\
        vfat: copy-filesystem vfat raw\n\
        vfat: unpack tar caidx\n\
        vfat: copy raw-caibx\n\
        ubifs: volume ubifs raw ubifs-caibx raw-caibx\n\
        ubifs: unpack tar caidx\n\
        ubivol: volume ubifs squashfs raw squashfs-caibx ubifs-caibx raw-caibx\n\
        nand: nand raw raw-caibx\n\
        nor: nor raw raw-caibx\n\
        boot-emmc: boot-emmc raw\n\
        boot-mbr-switch: boot-mbr-switch raw vfat\n\
        boot-gpt-switch: boot-gpt-switch raw vfat ext4\n\
        boot-raw-fallback: boot-raw-fallback raw";

    fn kind_name(kind: HandlerKind) -> &'static str {
        match kind {
            HandlerKind::Copy => "copy",
            HandlerKind::CopyFilesystem => "copy-filesystem",
            HandlerKind::Unpack => "unpack",
            HandlerKind::Volume => "volume",
            HandlerKind::Nor => "nor",
            HandlerKind::Nand => "nand",
            HandlerKind::BootEmmc => "boot-emmc",
            HandlerKind::BootMbrSwitch => "boot-mbr-switch",
            HandlerKind::BootGptSwitch => "boot-gpt-switch",
            HandlerKind::BootRawFallback => "boot-raw-fallback",
            HandlerKind::InstallHook => "install-hook",
        }
    }

    #[test]
    fn every_pair_is_accepted_and_written_as_rauc_does_and_no_other() {
        let mut wanted = BTreeSet::new();
        for line in PAIRS.lines() {
            let (slot, rest) = line.split_once(": ").unwrap();
            let (handler, images) = rest.split_once(' ').unwrap();
            for image in images.split(' ') {
                assert!(wanted.insert((slot, image.to_owned(), handler)), "{line}");
            }
        }
        let mut found = BTreeSet::new();
        for slot in SlotType::ALL {
            for image in ImageType::ALL {
                if let Some(kind) = handler_for(slot, Some(image), InstallHook::Absent) {
                    found.insert((slot.name(), image.to_string(), kind_name(kind)));
                }
                let hooked = handler_for(slot, Some(image), InstallHook::Present);
                assert_eq!(hooked, Some(HandlerKind::InstallHook));
            }
            assert_eq!(handler_for(slot, None, InstallHook::Absent), None);
        }
        assert_eq!(found, wanted);
    }
}
