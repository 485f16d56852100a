// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which images may go into which slots? RAUC's table, whole; what the engine can write of it now
//! is asked apart from it, so that *wrong* and *not yet* stay two answers.

use crate::SlotType;
use bundle::ImageType;

/// Whether RAUC lets an image of this type into a slot of this type (without an `install` hook).
#[must_use]
pub const fn accepts(slot: SlotType, image: ImageType) -> bool {
    use ImageType as I;
    match slot {
        SlotType::Raw => matches!(
            image,
            I::Raw
                | I::Ext4
                | I::Vfat
                | I::Squashfs
                | I::RawCaibx
                | I::Ext4Caibx
                | I::VfatCaibx
                | I::SquashfsCaibx
        ),
        SlotType::Ext4 => matches!(
            image,
            I::Ext4
                | I::Raw
                | I::Tar
                | I::Catar
                | I::Caidx
                | I::Emptyfs
                | I::Ext4Caibx
                | I::RawCaibx
        ),
        SlotType::Vfat => {
            matches!(image, I::Vfat | I::Raw | I::Tar | I::Caidx | I::RawCaibx)
        }
        SlotType::Ubifs => {
            matches!(image, I::Ubifs | I::Raw | I::Tar | I::Caidx | I::UbifsCaibx | I::RawCaibx)
        }
        SlotType::Ubivol => matches!(
            image,
            I::Ubifs | I::Squashfs | I::Raw | I::SquashfsCaibx | I::UbifsCaibx | I::RawCaibx
        ),
        SlotType::Nand | SlotType::Nor => matches!(image, I::Raw | I::RawCaibx),
        SlotType::BootEmmc | SlotType::BootRawFallback => matches!(image, I::Raw),
        SlotType::BootMbrSwitch => matches!(image, I::Raw | I::Vfat),
        SlotType::BootGptSwitch => matches!(image, I::Raw | I::Vfat | I::Ext4),
    }
}

/// Whether the image is a run of bytes to be written as it is.
pub(crate) const fn is_plain(image: ImageType) -> bool {
    matches!(image, ImageType::Raw | ImageType::Ext4 | ImageType::Vfat | ImageType::Squashfs)
}

/// Whether the file is an index of such a run of bytes.
pub(crate) const fn is_blob_index(image: ImageType) -> bool {
    use ImageType as I;
    matches!(image, I::RawCaibx | I::Ext4Caibx | I::VfatCaibx | I::SquashfsCaibx)
}
