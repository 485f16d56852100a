// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does an exit code mean? The same in both programs; `docs/exit-codes.md` follows it.

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
