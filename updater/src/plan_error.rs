// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why an install is not even begun.

use crate::{BundleVersion, ErrorClass, SlotName, SlotType, SystemConfError};
use bootctl::{BundleId, SlotId};
use std::path::PathBuf;
use storage::ByteLen;

/// A refusal by the plan; nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum PlanInstallError {
    /// The slots of `system.conf` form no groups.
    #[error("the slots of the configuration cannot be grouped")]
    Groups {
        /// Cause.
        #[source]
        source: SystemConfError,
    },
    /// No group is there to be written.
    #[error("no install group for slot {target} is configured")]
    NoGroup {
        /// The group that is missing.
        target: SlotId,
    },
    /// The configuration asks for something that this version does not do.
    #[error("{key} in [{group}] is not supported by this version")]
    UnsupportedSetting {
        /// Group of the configuration.
        group: String,
        /// Key.
        key: String,
    },
    /// The manifest asks for something that this version does not do.
    #[error("the bundle needs {what}, which this version does not support")]
    UnsupportedFeature {
        /// The feature.
        what: String,
    },
    /// The bundle's format is not among `bundle-formats`.
    #[error("bundles of format {format} are not allowed by the configuration")]
    FormatNotAllowed {
        /// The bundle's format.
        format: String,
    },
    /// The bundle is for another board.
    #[error("compatible {wanted:?} is wanted, the bundle is for {found:?}")]
    WrongCompatible {
        /// This system's string.
        wanted: String,
        /// The bundle's string.
        found: String,
    },
    /// The bundle is older than the configuration or the system's floor allows.
    #[error("bundle version {found} is older than {floor}")]
    TooOld {
        /// The bundle's version.
        found: BundleVersion,
        /// The oldest allowed.
        floor: BundleVersion,
    },
    /// A version is needed and the bundle has none that can be compared.
    #[error(
        "version {floor} or newer is wanted and the bundle's version {found:?} cannot be compared"
    )]
    NoComparableVersion {
        /// The bundle's text.
        found: String,
        /// The oldest allowed.
        floor: BundleVersion,
    },
    /// This very bundle was installed before and never became healthy.
    #[error("bundle {bundle} was installed before and did not become healthy")]
    KnownFailed {
        /// Its identity.
        bundle: BundleId,
    },
    /// The booted slot is unconfirmed and the other holds the last good system.
    #[error(
        "slot {booted} is booted and not confirmed, and slot {good} holds the last good system"
    )]
    BootedUnconfirmed {
        /// The booted slot.
        booted: SlotId,
        /// The slot that would be overwritten.
        good: SlotId,
    },
    /// The firmware booted the slot on trial, and nobody remembers what the other one holds.
    #[error(
        "slot {booted} is booted on trial, and slot {other} may hold the last good system: its \
         state was lost"
    )]
    BootedOnTrial {
        /// The booted slot.
        booted: SlotId,
        /// The slot that would be overwritten.
        other: SlotId,
    },
    /// The boot state machine does not allow it.
    #[error("the boot state does not allow an install into slot {target}")]
    BootState {
        /// The target.
        target: SlotId,
        /// Cause.
        #[source]
        source: bootctl::Refused,
    },
    /// The bundle has no image.
    #[error("the bundle holds no image")]
    NoImages,
    /// An image has no slot to go to.
    #[error(
        "the bundle has an image for slot class {class}, and install group {target} has no such slot"
    )]
    ClassMissing {
        /// Slot class of the image.
        class: String,
        /// Target group.
        target: SlotId,
    },
    /// No image of a class fits this system's variant.
    #[error("no image for slot class {class} fits variant {variant:?}")]
    NoVariant {
        /// Slot class.
        class: String,
        /// This system's variant; empty when it has none.
        variant: String,
    },
    /// Two images of a class fit equally.
    #[error("two images for slot class {class} fit equally")]
    ImageTwice {
        /// Slot class.
        class: String,
    },
    /// The manifest does not say how long an image is, what its digest is or what type it has.
    #[error("the image for slot class {class} has no size, digest or type")]
    ImageUndescribed {
        /// Slot class.
        class: String,
    },
    /// The image is larger than its slot.
    #[error("image {image} of {size} ({size_bytes} bytes) does not fit slot {slot} of {room} ({room_bytes} bytes)",
        size_bytes = size.get(), room_bytes = room.get())]
    TooLarge {
        /// Image file name.
        image: String,
        /// Slot.
        slot: SlotName,
        /// Image size.
        size: ByteLen,
        /// Slot size.
        room: ByteLen,
    },
    /// The size of a slot is not known.
    #[error("the size of slot {slot} is not known")]
    SizeUnknown {
        /// Slot.
        slot: SlotName,
    },
    /// The slot must not be written.
    #[error("slot {slot} ({device}) is configured read-only", device = device.display())]
    ReadOnlySlot {
        /// Slot.
        slot: SlotName,
        /// Its device.
        device: PathBuf,
    },
    /// RAUC's table does not let such an image into such a slot.
    #[error("an image of type {image_type} cannot go to slot {slot} of type {slot_type}")]
    TypeMismatch {
        /// Image type.
        image_type: String,
        /// Slot.
        slot: SlotName,
        /// Slot type.
        slot_type: SlotType,
    },
    /// The group is incomplete from an earlier install and the bundle would leave a part of it.
    #[error("slot {target} holds no finished install, and the bundle has no image for {missing}")]
    PartialOnBroken {
        /// Target group.
        target: SlotId,
        /// A member that would be left as it is.
        missing: SlotName,
    },
}

impl PlanInstallError {
    /// What kind of refusal it is, for exit codes.
    #[must_use]
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Groups { .. } | Self::NoGroup { .. } | Self::UnsupportedSetting { .. } => {
                ErrorClass::Usage
            }
            Self::SizeUnknown { .. } => ErrorClass::Failed,
            Self::UnsupportedFeature { .. }
            | Self::FormatNotAllowed { .. }
            | Self::WrongCompatible { .. }
            | Self::TooOld { .. }
            | Self::NoComparableVersion { .. }
            | Self::KnownFailed { .. }
            | Self::BootedUnconfirmed { .. }
            | Self::BootedOnTrial { .. }
            | Self::BootState { .. }
            | Self::NoImages
            | Self::ClassMissing { .. }
            | Self::NoVariant { .. }
            | Self::ImageTwice { .. }
            | Self::ImageUndescribed { .. }
            | Self::TooLarge { .. }
            | Self::ReadOnlySlot { .. }
            | Self::TypeMismatch { .. }
            | Self::PartialOnBroken { .. } => ErrorClass::Refused,
        }
    }

    /// The way out, where there is one to name.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Groups { source } => {
                source.hint().unwrap_or("correct the slots in system.conf; nothing was tried")
            }
            Self::NoGroup { .. } => "give a slot in system.conf the bootname",
            Self::UnsupportedSetting { .. } => "remove the setting, or install with rauc itself",
            Self::UnsupportedFeature { .. } => "build the bundle without it",
            Self::FormatNotAllowed { .. } => "build the bundle in an allowed format",
            Self::WrongCompatible { .. } => {
                "ask for the bundle of this board, or pass --ignore-compatible if you know that it fits"
            }
            Self::TooOld { .. } | Self::NoComparableVersion { .. } => {
                "pass --allow-downgrade if an older version is wanted"
            }
            Self::KnownFailed { .. } => "pass --force to try it again",
            Self::BootedOnTrial { .. } => {
                "wait for the verdict, or say it (`atomix boot mark-good`); after a reboot the \
                 install is no longer refused"
            }
            Self::BootedUnconfirmed { .. } => {
                "wait for the verdict, or mark the booted slot bad (`atomix rollback --mark-bad`), \
                 reboot into the good one and install there"
            }
            Self::ClassMissing { .. } => "the bundle is for another slot layout",
            Self::NoVariant { .. } => "ask for a bundle that has this variant",
            Self::TooLarge { .. } => "build a smaller image, or enlarge the slot",
            Self::PartialOnBroken { .. } => "install a bundle that holds every image",
            Self::BootState { source, .. } => return source.hint(),
            Self::NoImages | Self::ImageTwice { .. } | Self::ImageUndescribed { .. } => {
                "the bundle was built wrongly; its maker has to build it again"
            }
            Self::SizeUnknown { .. } => "compare system.conf with the partition table",
            Self::ReadOnlySlot { .. } => {
                "if bundles may change the slot, remove its readonly=true from system.conf"
            }
            Self::TypeMismatch { .. } => {
                "build the bundle with an image of the slot's type, or correct the slot's type in \
                 system.conf"
            }
        })
    }
}
