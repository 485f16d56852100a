// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a boot loader could not be asked or told.
//!
//! The texts are RAUC's where RAUC has one: they reach its clients over D-Bus, and scripts read
//! them there. They therefore begin with a capital letter, other than our own.

use crate::Refused;
use std::fmt;
use storage::chain;

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

    /// The same with what was being done in front.
    #[must_use]
    pub(super) fn within(mut self, act: &str) -> Self {
        if let NamedFailure::Failed { what } | NamedFailure::Late { what } = &mut self.failure {
            *what = format!("{act}: {what}");
        }
        self
    }

    /// Whether a program was waited for in vain: the next question may take as long.
    #[must_use]
    pub const fn is_late(&self) -> bool {
        matches!(self.failure, NamedFailure::Late { .. })
    }

    /// What failed.
    #[must_use]
    pub const fn failure(&self) -> &NamedFailure {
        &self.failure
    }

    /// The way out, where there is one.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match &self.failure {
            NamedFailure::Refused(refused) => refused.hint(),
            NamedFailure::Start { .. } => Some("install the program; it is looked for in PATH"),
            NamedFailure::NoEntry { .. } => {
                Some("set efi-loader and efi-cmdline of the slot, or make the entry by hand")
            }
            NamedFailure::Failed { .. }
            | NamedFailure::Late { .. }
            | NamedFailure::Parse { .. }
            | NamedFailure::Device { .. }
            | NamedFailure::Unsupported { .. }
            | NamedFailure::Own { .. } => None,
        }
    }
}

/// The whole of it in one line, causes included, as RAUC's clients get it: there is no source left
/// to tell.
impl fmt::Display for NamedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failure = chain(&self.failure);
        match self.failure {
            // RAUC says this before it asks any backend.
            NamedFailure::Unsupported { .. } => f.write_str(&failure),
            NamedFailure::Start { .. }
            | NamedFailure::Failed { .. }
            | NamedFailure::Late { .. }
            | NamedFailure::Parse { .. }
            | NamedFailure::NoEntry { .. }
            | NamedFailure::Device { .. }
            | NamedFailure::Refused(_)
            | NamedFailure::Own { .. } => write!(f, "{} backend: {failure}", self.backend),
        }
    }
}

impl std::error::Error for NamedError {}

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
    #[error("{what}")]
    Failed {
        /// Which, how, and what it said, shortened.
        what: String,
    },
    /// A program did not end in time, and was ended.
    #[error("{what}")]
    Late {
        /// Which, and when.
        what: String,
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
    /// Our own keeper of the boot state failed.
    #[error("cannot change or read the boot state")]
    Own {
        /// Cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
