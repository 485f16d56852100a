// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why an act on the system failed, in RAUC's words.
//!
//! The texts reach RAUC's clients as `LastError` and are compared by its tests and by scripts, so
//! they begin with a capital letter where RAUC's do. Parts that RAUC puts in front of a cause are
//! variants with a source; [`SystemError::text`] is the whole line as RAUC shows it.

use super::ProgramFailure;
use crate::{InstallError, LockError, SlotName};
use std::path::PathBuf;
use storage::{Digest, FilesError, chain};

/// A failure of something this crate does not know the type of.
pub type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// A failed or refused act on the system.
#[derive(Debug, thiserror::Error)]
pub enum SystemError {
    /// Somebody else installs, or nobody may.
    #[error(transparent)]
    Lock(LockError),
    /// The install cannot be given an identity.
    #[error("Failed to make a transaction ID")]
    Transaction {
        /// Cause.
        #[source]
        source: BoxedError,
    },
    /// The configuration names no slots.
    #[error("No slot configuration found")]
    NoSlots,
    /// Nothing says what was booted.
    #[error("Could not find any root device or rauc slot information in /proc/cmdline")]
    BootSlotUnknown,
    /// What was booted is no slot of the configuration.
    #[error("Did not find booted slot (matching '{wanted}')")]
    BootSlotMissing {
        /// What was looked for.
        wanted: String,
    },
    /// A handler of the configuration is not there.
    #[error("System info handler script/binary '{path}' not found.", path = path.display())]
    SystemInfoMissing {
        /// Its path.
        path: PathBuf,
    },
    /// The system-info handler failed.
    #[error("Failed to read system-info variables")]
    SystemInfo {
        /// Cause.
        #[source]
        source: ProgramFailure,
    },
    /// A directory could not be made.
    #[error("Failed to create {what} '{path}'", path = path.display())]
    Directory {
        /// What it is for.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// The bundle cannot be opened or does not verify.
    #[error("{}", chain(&**cause))]
    Bundle {
        /// Cause, shown whole: OpenSSL's words must be seen.
        cause: BoxedError,
    },
    /// A manifest hash was demanded of a bundle whose manifest is not signed by itself.
    #[error("Refusing to install plain bundle when using require-manifest-hash")]
    PlainWithHash,
    /// It is another bundle than the one that was chosen.
    #[error("Refusing to install bundle with unexpected hash (expected {expected}, got {found})")]
    OtherHash {
        /// What was asked for.
        expected: String,
        /// What it is.
        found: Digest,
    },
    /// A crypt bundle whose key can be read by everybody.
    #[error("Refusing to install unencrypted crypt bundles")]
    CryptUnencrypted,
    /// The format is not among those of the configuration.
    #[error("Bundle format '{format}' not allowed")]
    FormatNotAllowed {
        /// The bundle's format.
        format: String,
    },
    /// The files of the bundle could not be laid out for its programs.
    #[error("Failed mounting bundle")]
    Content {
        /// Cause.
        #[source]
        source: super::ContentError,
    },
    /// The handler before the install failed.
    #[error("Pre-install handler error")]
    PreInstall {
        /// Cause.
        #[source]
        source: ProgramFailure,
    },
    /// The handler after the install failed.
    #[error("Post-install handler error")]
    PostInstall {
        /// Cause.
        #[source]
        source: ProgramFailure,
    },
    /// The bundle's own check said no.
    #[error("Bundle rejected: Hook returned: '{reason}'")]
    Rejected {
        /// Its last line on the standard error output.
        reason: String,
    },
    /// The bundle's own check failed, or said no without a word.
    #[error("Install-check hook failed")]
    InstallCheck {
        /// Cause.
        #[source]
        source: ProgramFailure,
    },
    /// The bundle is for another board.
    #[error("Compatible mismatch: Expected '{expected}' but bundle manifest has '{found}'")]
    Compatible {
        /// This board.
        expected: String,
        /// The bundle's.
        found: String,
    },
    /// The bundle has no version, and one is demanded.
    #[error("Version mismatch: Expected at least '{minimum}' but bundle manifest has no version")]
    NoVersion {
        /// The oldest that is allowed.
        minimum: String,
    },
    /// The bundle's version cannot be compared.
    #[error("Failed to parse semantic version '{found}' for comparison with '{minimum}'")]
    VersionUnreadable {
        /// The bundle's.
        found: String,
        /// What it is compared with.
        minimum: String,
    },
    /// The bundle is too old.
    #[error("Version mismatch: Expected at least '{minimum}' but bundle manifest has '{found}'")]
    TooOld {
        /// The oldest that is allowed.
        minimum: String,
        /// The bundle's.
        found: String,
    },
    /// The bundle is made for a newer RAUC.
    #[error("Minimum RAUC version in manifest ({wanted}) is newer than current version ({level})")]
    NeedsNewer {
        /// What the manifest demands.
        wanted: String,
        /// Whose behaviour this is.
        level: &'static str,
    },
    /// Everything between the checks and the last handler.
    #[error("Installation error")]
    Installation {
        /// Cause.
        #[source]
        source: Box<InstallationError>,
    },
    /// A slot could not be marked.
    #[error(transparent)]
    Mark(#[from] super::MarkError),
    /// No slot, or another than the configuration knows, boots next.
    #[error("{text}")]
    Primary {
        /// RAUC's text.
        text: String,
    },
    /// A single slot could not be written.
    #[error(transparent)]
    WriteSlot(#[from] super::WriteSlotError),
    /// The status file cannot be read or written.
    #[error("Error while writing status file")]
    Status {
        /// Cause.
        #[source]
        source: FilesError,
    },
    /// Somebody wanted it to end.
    #[error("Installation cancelled ({by})")]
    Stopped {
        /// Who, in a word.
        by: &'static str,
    },
}

/// What stopped the installation proper.
#[derive(Debug, thiserror::Error)]
pub enum InstallationError {
    /// No image is for this system's variant.
    #[error("Failed to find matching variant of image for slot class '{class}'")]
    NoVariant {
        /// The slot class.
        class: String,
    },
    /// There is no slot for an image.
    #[error("No target slot for class '{class}' of image '{image}' found")]
    NoTarget {
        /// The slot class.
        class: String,
        /// The image.
        image: String,
    },
    /// The slot for an image must not be written.
    #[error("Target slot for class '{class}' of image '{image}' is readonly")]
    ReadOnly {
        /// The slot class.
        class: String,
        /// The image.
        image: String,
    },
    /// The image does not go into the slot.
    #[error("Unsupported image type '{image_type}' for slot type '{slot_type}'")]
    TypeMismatch {
        /// The image's type.
        image_type: String,
        /// The slot's.
        slot_type: String,
    },
    /// There is no such repository.
    #[error("No target repo '{repository}' for artifact image '{artifact}' found")]
    NoRepository {
        /// The repository.
        repository: String,
        /// The artifact.
        artifact: String,
    },
    /// Nothing is to be done.
    #[error("No installable image found")]
    NoImage,
    /// Two slots would be made bootable.
    #[error("Would need to activate more than one slot: {first} and {second}")]
    TwoBootSlots {
        /// One.
        first: SlotName,
        /// Another.
        second: SlotName,
    },
    /// The bundle lacks a file that its manifest names.
    #[error("Source image '{image}' not found in bundle")]
    SourceMissing {
        /// The file.
        image: String,
    },
    /// A slot's device is not there.
    #[error("Destination device '{device}' for slot '{slot}' not found", device = device.display())]
    DeviceMissing {
        /// The device.
        device: PathBuf,
        /// The slot.
        slot: SlotName,
    },
    /// A repository's directory is not there.
    #[error("Destination path '{path}' not found for artifact repo '{repository}'", path = path.display())]
    RepositoryMissing {
        /// Its directory.
        path: PathBuf,
        /// Its name.
        repository: String,
    },
    /// A target is mounted.
    #[error("Destination device '{device}' already mounted", device = device.display())]
    Mounted {
        /// The device.
        device: PathBuf,
    },
    /// A target is mounted, which needs a hook of the bundle.
    #[error("Mounted device '{device}' may only be updated by a custom install hook", device = device.display())]
    MountedNeedsHook {
        /// The device.
        device: PathBuf,
    },
    /// The target could not be taken out of the boot order.
    #[error("Failed marking slot {slot} non-bootable (bad)")]
    MarkBad {
        /// The slot.
        slot: SlotName,
        /// Cause.
        #[source]
        source: super::MarkError,
    },
    /// The target could not be made bootable.
    #[error("Failed marking slot {slot} bootable (active/primary)")]
    MarkActive {
        /// The slot.
        slot: SlotName,
        /// Cause.
        #[source]
        source: super::MarkError,
    },
    /// A slot was not written.
    #[error("Failed updating slot {slot}")]
    Slot {
        /// The slot.
        slot: SlotName,
        /// Cause.
        #[source]
        source: BoxedError,
    },
    /// An artifact was not installed.
    #[error("Failed updating artifact '{artifact}' in repo '{repository}'")]
    Artifact {
        /// The artifact.
        artifact: String,
        /// Its repository.
        repository: String,
        /// Cause.
        #[source]
        source: BoxedError,
    },
    /// A repository cannot be used.
    #[error("Failed to initialize artifact repo '{repository}'")]
    Repository {
        /// Its name.
        repository: String,
        /// Cause.
        #[source]
        source: BoxedError,
    },
    /// The status cannot be written.
    #[error("Error while writing status file")]
    Status {
        /// Cause.
        #[source]
        source: BoxedError,
    },
    /// The bundle's own handler failed.
    #[error("{}", chain(cause))]
    Handler {
        /// Cause, without words around it, as in RAUC.
        cause: ProgramFailure,
    },
    /// A slot is sealed, and what the bundle wants of it cannot be done with the seal kept.
    #[error("this board's slots are sealed, and {what} cannot be done without breaking that")]
    NotWhileSealed {
        /// What was wanted.
        what: String,
    },
    /// The engine for sealed slots refused or failed.
    #[error("{}", chain(cause))]
    Sealed {
        /// Cause, shown in the text.
        cause: InstallError,
    },
    /// The bundle could not be read.
    #[error("{}", chain(&**cause))]
    Bundle {
        /// Cause, shown in the text.
        cause: BoxedError,
    },
    /// Somebody wanted it to end.
    #[error("stopped by {by}")]
    Stopped {
        /// Who, in a word.
        by: &'static str,
    },
}

impl SystemError {
    /// The whole line that RAUC would show: the act and its causes.
    #[must_use]
    pub fn text(&self) -> String {
        chain(self)
    }

    /// Whether the bundle was turned down rather than anything failed; only the event log tells
    /// the two apart.
    #[must_use]
    pub const fn is_rejection(&self) -> bool {
        matches!(
            self,
            Self::Rejected { .. }
                | Self::Compatible { .. }
                | Self::PlainWithHash
                | Self::OtherHash { .. }
                | Self::CryptUnencrypted
        )
    }

    /// Whether somebody else holds the lock.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        matches!(self, Self::Lock(LockError::Busy { .. }))
    }

    /// Who stopped it, if somebody did.
    #[must_use]
    pub fn stopped_by(&self) -> Option<&'static str> {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = cause {
            if let Some(Self::Stopped { by }) = error.downcast_ref() {
                return Some(by);
            }
            if let Some(InstallationError::Stopped { by }) = error.downcast_ref() {
                return Some(by);
            }
            if let Some(ProgramFailure::Stopped { by }) = error.downcast_ref() {
                return Some(by);
            }
            cause = error.source();
        }
        None
    }

    /// The way out, where there is one to name.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        if let Self::Installation { source } = self {
            return source.hint();
        }
        if let Self::Lock(source) = self {
            return source.hint();
        }
        if let Self::Mark(source) = self {
            return source.hint();
        }
        if let Self::WriteSlot(source) = self {
            return source.hint();
        }
        if matches!(self, Self::BootSlotUnknown | Self::BootSlotMissing { .. }) {
            return Some(
                "let the boot loader pass rauc.slot=NAME, or give --override-boot-slot; \
                 rauc.external says that no slot was booted",
            );
        }
        if matches!(self, Self::Compatible { .. }) {
            return Some("install the bundle that was made for this board");
        }
        matches!(self, Self::CryptUnencrypted).then_some("encrypt the bundle for this device first")
    }
}

impl InstallationError {
    /// The way out, where there is one to name.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        if let Self::Sealed { cause } = self {
            return cause.hint();
        }
        matches!(self, Self::NotWhileSealed { .. })
            .then_some("use a bundle of plain images without slot hooks for the sealed slots")
    }
}

impl From<InstallationError> for SystemError {
    fn from(source: InstallationError) -> Self {
        if let InstallationError::Stopped { by } = source {
            return Self::Stopped { by };
        }
        Self::Installation { source: Box::new(source) }
    }
}
