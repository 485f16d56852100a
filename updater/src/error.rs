// SPDX-License-Identifier: MIT OR Apache-2.0
//! What stops an install, with the place and the way out.

use crate::{PlanInstallError, SlotName};
use bundle::BundleError;
use std::io;
use std::path::PathBuf;
use storage::{ByteLen, StorageError};

/// The kinds of failure that programs turn into exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// An act failed.
    Failed,
    /// The request or the configuration is wrong.
    Usage,
    /// The state does not allow it.
    Refused,
    /// What was read is not what was signed.
    NotVerified,
    /// Somebody else is at it.
    Busy,
}

/// The way out when the bundle itself does not know a better one.
const FETCH_AGAIN: &str = "fetch the bundle again, then install it again";

/// A failed or refused install.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The plan refused; nothing was written.
    #[error(transparent)]
    Plan(Box<PlanInstallError>),
    /// The boot state could not be read.
    #[error("cannot read the boot state")]
    LoadState {
        /// Cause.
        #[source]
        source: bootctl::BackendError,
    },
    /// The boot state could not be written.
    #[error("cannot write the boot state")]
    StoreState {
        /// Cause.
        #[source]
        source: bootctl::BackendError,
    },
    /// A target is mounted.
    #[error("slot {slot} ({device}) is mounted at {at}", device = device.display(), at = at.display())]
    Mounted {
        /// Slot.
        slot: SlotName,
        /// Its device.
        device: PathBuf,
        /// Where.
        at: PathBuf,
    },
    /// Somebody wanted it to end.
    #[error("stopped by {by}")]
    Stopped {
        /// Who, in a word: the name of a signal.
        by: &'static str,
    },
    /// A target could not be opened.
    #[error("cannot open slot {slot} ({device})", device = device.display())]
    OpenSlot {
        /// Slot.
        slot: SlotName,
        /// Its device.
        device: PathBuf,
        /// Cause.
        #[source]
        source: Box<StorageError>,
    },
    /// The image could not be read from the bundle, or does not verify.
    #[error("cannot read the image for slot {slot} at offset {offset}")]
    ReadImage {
        /// Slot it is for.
        slot: SlotName,
        /// Offset in the image.
        offset: u64,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Something in the bundle does not verify; nothing was written.
    #[error("the bundle was read before anything is written, and is damaged")]
    PreCheck {
        /// Cause.
        #[source]
        source: Box<BundleError>,
    },
    /// The image could not be opened in the bundle.
    #[error("cannot open the image for slot {slot}")]
    OpenImage {
        /// Slot it is for.
        slot: SlotName,
        /// Cause.
        #[source]
        source: Box<BundleError>,
    },
    /// The content of the image cannot be put together.
    #[error("cannot open the content for slot {slot}")]
    Content {
        /// Slot it is for.
        slot: SlotName,
        /// Cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The image ends before or after the length in the manifest.
    #[error("the image for slot {slot} has {found} bytes, the manifest says {expected}")]
    ImageLength {
        /// Slot it is for.
        slot: SlotName,
        /// Bytes by the manifest.
        expected: u64,
        /// Bytes found; when larger than expected, at least so many.
        found: u64,
    },
    /// What was stored is what was in the bundle, and that is not what the manifest says.
    #[error("the image for slot {slot} is not the one that was signed")]
    WrongImage {
        /// Slot it is for.
        slot: SlotName,
        /// Cause: [`BundleError::ImageDigest`].
        #[source]
        source: Box<BundleError>,
    },
    /// A device refused a read, write or flush.
    #[error("cannot {act} slot {slot} at offset {offset:#x} of {device}", device = device.display())]
    Slot {
        /// What was tried.
        act: &'static str,
        /// Slot.
        slot: SlotName,
        /// Byte offset.
        offset: u64,
        /// Its device.
        device: PathBuf,
        /// Cause.
        #[source]
        source: Box<StorageError>,
    },
    /// The device does not hold what was written to it.
    #[error("slot {slot} does not hold what was written: {len} at offset {offset:#x} of {device} differ",
        device = device.display())]
    ReadBackMismatch {
        /// Slot.
        slot: SlotName,
        /// Its device.
        device: PathBuf,
        /// Start of the range that differs.
        offset: u64,
        /// Length of the compared range.
        len: ByteLen,
    },
    /// What the board keeps of its boot state or itself cannot be opened; nothing was written.
    #[error("cannot open the board's boot state")]
    Board {
        /// Cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The target disappeared from the configuration between plan and write.
    #[error("slot {slot} was not opened")]
    NotOpened {
        /// Slot.
        slot: SlotName,
    },
}

impl From<PlanInstallError> for InstallError {
    fn from(refusal: PlanInstallError) -> Self {
        Self::Plan(Box::new(refusal))
    }
}

impl InstallError {
    /// What kind of failure it is, for exit codes.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Plan(plan) => plan.class(),
            Self::Mounted { .. } => ErrorClass::Busy,
            Self::OpenSlot { source, .. } => match **source {
                StorageError::Busy { .. } => ErrorClass::Busy,
                StorageError::ReadOnly { .. } => ErrorClass::Refused,
                StorageError::Open { .. }
                | StorageError::Absent { .. }
                | StorageError::Read { .. }
                | StorageError::Write { .. }
                | StorageError::Flush { .. }
                | StorageError::OutOfBounds { .. }
                | StorageError::UnalignedErase { .. }
                | StorageError::Poisoned { .. }
                | StorageError::PowerCut { .. } => ErrorClass::Failed,
            },
            Self::ReadImage { source, .. } => classify_io(source),
            Self::PreCheck { source }
            | Self::OpenImage { source, .. }
            | Self::WrongImage { source, .. } => classify_bundle(source),
            Self::ImageLength { .. } => ErrorClass::NotVerified,
            Self::Stopped { .. }
            | Self::Content { .. }
            | Self::LoadState { .. }
            | Self::StoreState { .. }
            | Self::Slot { .. }
            | Self::ReadBackMismatch { .. }
            | Self::Board { .. }
            | Self::NotOpened { .. } => ErrorClass::Failed,
        }
    }

    /// What is wrong with the bundle, where it is that.
    #[must_use]
    pub fn of_bundle(&self) -> Option<&BundleError> {
        match self {
            Self::ReadImage { source, .. } => BundleError::inside(source),
            Self::PreCheck { source }
            | Self::OpenImage { source, .. }
            | Self::WrongImage { source, .. } => Some(source),
            Self::Plan(_)
            | Self::LoadState { .. }
            | Self::StoreState { .. }
            | Self::Mounted { .. }
            | Self::Stopped { .. }
            | Self::OpenSlot { .. }
            | Self::Content { .. }
            | Self::ImageLength { .. }
            | Self::Slot { .. }
            | Self::ReadBackMismatch { .. }
            | Self::Board { .. }
            | Self::NotOpened { .. } => None,
        }
    }

    /// The way out, where there is one to name.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Plan(plan) => return plan.hint(),
            Self::Mounted { .. } => "unmount it; a slot that is in use is never written",
            Self::OpenSlot { source, .. } => return open_hint(source),
            // The bundle knows whether fetching it again would help.
            Self::PreCheck { source }
            | Self::OpenImage { source, .. }
            | Self::WrongImage { source, .. } => {
                return source.hint().or(Some(FETCH_AGAIN));
            }
            Self::ReadImage { source, .. } => {
                let cause = BundleError::inside(source).and_then(BundleError::hint);
                return cause.or(Some(FETCH_AGAIN));
            }
            Self::Content { .. } => {
                "see whether the chunk store can be reached and is complete, then install again"
            }
            Self::ImageLength { .. } => FETCH_AGAIN,
            Self::Stopped { .. } => {
                "install again when it suits: nothing of it boots until it is whole"
            }
            Self::Slot { source, .. } if turned_read_only(source) => {
                "the device turned read-only: look for its failure in the kernel's log, or at a \
                 write-protect switch; then install again"
            }
            Self::Slot { .. } | Self::ReadBackMismatch { .. } => {
                "install again; if it fails at the same place, the device is wearing out"
            }
            Self::StoreState { source } | Self::LoadState { source } => {
                return source.hint().or(Some(
                    "run `atomix doctor` to see which copy of the environment is at fault",
                ));
            }
            Self::Board { .. } => "run `atomix doctor`: it names what is missing",
            Self::NotOpened { .. } => "install again; system.conf was changed meanwhile",
        })
    }
}

fn turned_read_only(source: &StorageError) -> bool {
    matches!(source, StorageError::Write { source, .. } | StorageError::Flush { source, .. }
        if source.kind() == io::ErrorKind::ReadOnlyFilesystem)
}

fn open_hint(source: &StorageError) -> Option<&'static str> {
    match source {
        StorageError::Busy { .. } => Some("close or unmount what uses the device"),
        StorageError::ReadOnly { .. } => Some("make the device writable"),
        StorageError::Absent { .. } => {
            Some("compare system.conf with the partition table; first boot creates slot B")
        }
        StorageError::Open { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            Some("run it as root")
        }
        StorageError::Open { .. } => {
            Some("correct the slot's device in system.conf: it has to be a block device")
        }
        StorageError::Read { .. }
        | StorageError::Write { .. }
        | StorageError::Flush { .. }
        | StorageError::OutOfBounds { .. }
        | StorageError::UnalignedErase { .. }
        | StorageError::Poisoned { .. }
        | StorageError::PowerCut { .. } => source.hint(),
    }
}

fn classify_io(source: &io::Error) -> ErrorClass {
    BundleError::inside(source).map_or(ErrorClass::Failed, classify_bundle)
}

/// Bytes that cannot be had are a failure; bytes that are there and wrong are not verified.
const fn classify_bundle(error: &BundleError) -> ErrorClass {
    match error {
        BundleError::Source(_) | BundleError::WorkerLost => ErrorClass::Failed,
        BundleError::CryptNotEncrypted => ErrorClass::Refused,
        BundleError::Trailer(_)
        | BundleError::Signature(_)
        | BundleError::Manifest(_)
        | BundleError::Verity(_)
        | BundleError::Squashfs(_)
        | BundleError::PlainTooLarge { .. }
        | BundleError::PlainStreamed
        | BundleError::PayloadDigest
        | BundleError::Envelope(_)
        | BundleError::Decrypt(_)
        | BundleError::EncryptedOther { .. }
        | BundleError::PayloadUnaligned { .. }
        | BundleError::ImageMissing { .. }
        | BundleError::ImageWithoutFile { .. }
        | BundleError::ImageSize { .. }
        | BundleError::ImageDigest { .. }
        | BundleError::ManifestTooLarge { .. } => ErrorClass::NotVerified,
    }
}

/// The install lock could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("another install is running{}", holder.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    Busy {
        /// The process that holds it, where it is known.
        holder: Option<u32>,
    },
    /// The lock file cannot be used.
    #[error("cannot use the lock file {path}", path = path.display())]
    Unusable {
        /// Its path.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

impl LockError {
    /// What kind of failure it is, for exit codes.
    #[must_use]
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Busy { .. } => ErrorClass::Busy,
            Self::Unusable { .. } => ErrorClass::Failed,
        }
    }

    /// The way out, where there is one to name.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Busy { .. } => Some("wait until it ends"),
            Self::Unusable { .. } => Some("run as root, or give --root a directory you may write"),
        }
    }
}
