// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does an exit code mean? The same in both programs; `docs/exit-codes.md` follows it.

use bootctl::BackendError;
use uboot::EnvError;

/// What an exit code means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// An act failed.
    Failed,
    /// The command line or a configuration file is wrong.
    Usage,
    /// The state does not allow it.
    Refused,
    /// Signature, certificate, hash tree or digest does not hold.
    NotVerified,
    /// Another install runs, or the device is in use.
    Busy,
    /// The answer to a query is no.
    No,
}

impl Class {
    /// The process exit code.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::NotVerified => 4,
            Self::Busy => 5,
            Self::No => 10,
        }
    }
}

impl From<&EnvError> for Class {
    fn from(error: &EnvError) -> Self {
        if matches!(error, EnvError::Foreign { .. }) { Self::Refused } else { Self::Failed }
    }
}

impl From<&BackendError> for Class {
    fn from(error: &BackendError) -> Self {
        use BackendError as E;
        match error {
            E::Environment { source } => source.into(),
            E::LockHeld { .. } => Self::Busy,
            E::NoRequests { .. } => Self::Refused,
            E::NoDefaults
            | E::Changed
            | E::CopyLost { .. }
            | E::Lock { .. }
            | E::Start { .. }
            | E::Failed { .. }
            | E::Answer { .. }
            | E::Unsupported { .. } => Self::Failed,
        }
    }
}
