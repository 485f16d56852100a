// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a boot loader could not be asked or told.
//!
//! The texts are RAUC's where RAUC has one: they reach its clients over D-Bus, and scripts read
//! them there. They therefore begin with a capital letter, other than our own.

use crate::Refused;
use std::fmt;

/// A failed act on a boot loader, with the backend's name in front as RAUC shows it.
#[derive(Debug)]
pub struct NamedError {
    backend: &'static str,
    failure: NamedFailure,
}

impl NamedError {
    /// `failure` of `backend`.
    #[must_use]
    pub const fn new(backend: &'static str, failure: NamedFailure) -> Self {
        Self { backend, failure }
    }

    /// What failed.
    #[must_use]
    pub const fn failure(&self) -> &NamedFailure {
        &self.failure
    }

    /// Whether this boot loader can never answer, so that the answer is "unknown".
    #[must_use]
    pub const fn is_unsupported(&self) -> bool {
        matches!(self.failure, NamedFailure::Unsupported { .. })
    }

    /// The way out, where there is one.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match &self.failure {
            NamedFailure::Refused(refused) => refused.hint(),
            NamedFailure::Start { .. } => Some("install the program; it is looked for in PATH"),
            NamedFailure::Late { .. } => Some("run the program by hand with the same arguments"),
            NamedFailure::NoEntry { .. } => {
                Some("set efi-loader and efi-cmdline of the slot, or make the entry by hand")
            }
            NamedFailure::LostEnvironment => Some(
                "reboot once: the boot loader then stores an environment made from its defaults",
            ),
            NamedFailure::Failed { .. }
            | NamedFailure::Parse { .. }
            | NamedFailure::Device { .. }
            | NamedFailure::Unsupported { .. }
            | NamedFailure::Own { .. } => None,
        }
    }
}

impl fmt::Display for NamedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.failure {
            // RAUC says this before it asks any backend.
            unsupported @ NamedFailure::Unsupported { .. } => unsupported.fmt(f),
            failure => write!(f, "{} backend: {failure}", self.backend),
        }
    }
}

impl std::error::Error for NamedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.failure.source()
    }
}

/// What failed.
#[derive(Debug, thiserror::Error)]
pub enum NamedFailure {
    /// A program could not be started.
    #[error("Failed to start {program}")]
    Start {
        /// The program.
        program: String,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// A program failed.
    #[error("Failed to run {program}: {how}")]
    Failed {
        /// The program.
        program: String,
        /// How, and what it said, shortened.
        how: String,
    },
    /// A program did not end, or ended and left its output open.
    #[error("Failed to run {program}: no end after {secs} seconds")]
    Late {
        /// The program.
        program: String,
        /// How long it was waited for.
        secs: u64,
    },
    /// A program's answer is not what its contract says.
    #[error("{what}")]
    Parse {
        /// What is wrong, with the answer shortened.
        what: String,
    },
    /// The firmware has no entry for this name, and nothing to make one from.
    #[error("Did not find efi entry for bootname '{bootname}'!")]
    NoEntry {
        /// The name.
        bootname: String,
    },
    /// The partition that a firmware entry is to name cannot be found.
    #[error("Can't resolve device {device} for EFI boot entry")]
    Device {
        /// As `system.conf` names it.
        device: String,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// The boot loader has nothing to ask for this.
    #[error("Obtaining {what} from bootloader '{backend}' not supported yet")]
    Unsupported {
        /// "state" or "primary entry".
        what: &'static str,
        /// The backend.
        backend: &'static str,
    },
    /// Our own protocol does not allow it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The board has our own protocol, and its environment is lost. Programs that know nothing of
    /// it would begin one that cannot boot.
    #[error("the boot loader's environment is lost and is not begun anew by other programs")]
    LostEnvironment,
    /// Our own keeper of the boot state failed.
    #[error("cannot change or read the boot state")]
    Own {
        /// Cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl NamedFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(self)
    }
}
