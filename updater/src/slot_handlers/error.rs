// SPDX-License-Identifier: MIT OR Apache-2.0
//! What stops the writing of one slot, with the place and the way out.

use super::job::BoxedError;
use super::machine::MachineError;
use crate::{ErrorClass, InstallError, SlotName, SlotType};
use bundle::ImageType;
use programs::ProgramError;
use std::io;
use std::path::PathBuf;
use storage::{ByteLen, Digest, StorageError};

/// A slot that was not written, or not proven.
#[derive(Debug, thiserror::Error)]
pub enum SlotHandlerError {
    /// RAUC has no handler for the pair.
    #[error("Unsupported image type '{image}' for slot type '{slot_type}'")]
    NoHandler {
        /// Slot type.
        slot_type: SlotType,
        /// Image type.
        image: ImageType,
    },
    /// The image's content came in another shape than its type has.
    #[error("the content of the image for slot {slot} is not of the type {image}")]
    ContentShape {
        /// Slot.
        slot: SlotName,
        /// Image type.
        image: ImageType,
    },
    /// Somebody wanted it to end.
    #[error("stopped by {by}")]
    Stopped {
        /// Who, in a word.
        by: &'static str,
    },
    /// The slot is mounted.
    #[error("slot {slot} ({device}) is mounted at {at}", device = device.display(), at = at.display())]
    Mounted {
        /// Slot.
        slot: SlotName,
        /// Its device.
        device: PathBuf,
        /// Where.
        at: PathBuf,
    },
    /// Writing, flushing or reading back failed, or what is on the device is not the image.
    #[error(transparent)]
    Copy(#[from] Box<InstallError>),
    /// The device could not be opened or asked.
    #[error("cannot use the device of slot {slot}")]
    Device {
        /// Slot.
        slot: SlotName,
        /// Cause.
        #[source]
        source: Box<StorageError>,
    },
    /// The image is larger than the slot.
    #[error("Slot ({room} bytes) is too small for image ({size} bytes).", room = room.get(), size = size.get())]
    TooSmall {
        /// Bytes there is room for.
        room: ByteLen,
        /// Bytes of the image.
        size: ByteLen,
    },
    /// The image is larger than `size-limit`.
    #[error("Image size ({size} bytes) is larger than size-limit ({limit} bytes).", size = size.get(), limit = limit.get())]
    OverLimit {
        /// Bytes of the image.
        size: ByteLen,
        /// The limit.
        limit: ByteLen,
    },
    /// The region of a `boot-*` slot cannot be used.
    #[error("the region of slot {slot} cannot be used: {reason}")]
    Region {
        /// Slot.
        slot: SlotName,
        /// Why.
        reason: String,
    },
    /// The partition table cannot be switched.
    #[error("cannot switch the partition table of slot {slot}: {reason}")]
    Table {
        /// Slot.
        slot: SlotName,
        /// Why.
        reason: String,
    },
    /// An option list in `system.conf` is not a list of words.
    #[error("cannot split {key} of slot {slot} into words: {reason}")]
    Options {
        /// Slot.
        slot: SlotName,
        /// Key.
        key: &'static str,
        /// Why.
        reason: String,
    },
    /// A program failed.
    #[error("failed to run {program}")]
    Program {
        /// Program.
        program: String,
        /// Cause.
        #[source]
        source: ProgramError,
    },
    /// Something on the machine failed.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// A hook, or the writing of the slot's status, failed.
    #[error("failed to run slot hook")]
    Hook {
        /// Cause.
        #[source]
        source: BoxedError,
    },
    /// A tree could not be unpacked.
    #[error("cannot unpack the image for slot {slot}")]
    Unpack {
        /// Slot.
        slot: SlotName,
        /// Cause.
        #[source]
        source: BoxedError,
    },
    /// The image could not be read from the bundle.
    #[error("cannot read the image for slot {slot}")]
    ReadImage {
        /// Slot.
        slot: SlotName,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The image was not the one that was signed.
    #[error("the image for slot {slot} has the SHA-256 {found}, the manifest says {expected}")]
    WrongImage {
        /// Slot.
        slot: SlotName,
        /// Digest in the manifest.
        expected: Digest,
        /// Digest found.
        found: Digest,
    },
    /// The image was longer or shorter than the manifest says.
    #[error("the image for slot {slot} has {found} bytes, the manifest says {expected}")]
    WrongLength {
        /// Slot.
        slot: SlotName,
        /// Bytes in the manifest.
        expected: u64,
        /// Bytes found; when larger than expected, at least so many.
        found: u64,
    },
    /// The device does not hold what was written.
    #[error("slot {slot} does not hold what was written: SHA-256 {found} instead of {expected}")]
    ReadBack {
        /// Slot.
        slot: SlotName,
        /// Digest of the image.
        expected: Digest,
        /// Digest of what the device holds.
        found: Digest,
    },
    /// The eMMC still boots from the old boot partition.
    #[error(
        "Toggling the boot partition failed! Your kernel is most-likely affected by the ioctl ext_csd bug"
    )]
    NotToggled,
}

impl SlotHandlerError {
    /// What kind of failure it is, for exit codes.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::NoHandler { .. }
            | Self::Region { .. }
            | Self::Options { .. }
            | Self::TooSmall { .. }
            | Self::OverLimit { .. } => ErrorClass::Refused,
            Self::Mounted { .. } => ErrorClass::Busy,
            Self::Copy(source) => source.class(),
            Self::WrongImage { .. } | Self::WrongLength { .. } => ErrorClass::NotVerified,
            Self::ContentShape { .. }
            | Self::Stopped { .. }
            | Self::Device { .. }
            | Self::Table { .. }
            | Self::Program { .. }
            | Self::Machine(_)
            | Self::Hook { .. }
            | Self::Unpack { .. }
            | Self::ReadImage { .. }
            | Self::ReadBack { .. }
            | Self::NotToggled => ErrorClass::Failed,
        }
    }

    /// The way out, where there is one to name.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Mounted { .. } => Some("unmount it; a slot that is in use is never written"),
            Self::Copy(source) => source.hint(),
            Self::Device { source, .. } => source.hint(),
            Self::Program { source, .. } => source.hint(),
            Self::Region { .. } => Some("correct region-start and region-size in system.conf"),
            Self::WrongImage { .. } | Self::WrongLength { .. } => {
                Some("fetch the bundle again, then install it again")
            }
            Self::ReadBack { .. } => {
                Some("install again; if it fails at the same place, the device is wearing out")
            }
            Self::NoHandler { .. }
            | Self::ContentShape { .. }
            | Self::Stopped { .. }
            | Self::TooSmall { .. }
            | Self::OverLimit { .. }
            | Self::Table { .. }
            | Self::Options { .. }
            | Self::Machine(_)
            | Self::Hook { .. }
            | Self::Unpack { .. }
            | Self::ReadImage { .. }
            | Self::NotToggled => None,
        }
    }
}
