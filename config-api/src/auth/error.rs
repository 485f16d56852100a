// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why was a request not believed? For the audit log and for tests; a client is told only what it
//! needs to do better.

/// Why a signature is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not between the two lines of an armored signature.
    #[error("not an armored SSH signature")]
    NotArmored,
    /// Longer than any signature.
    #[error("the signature is longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// The bytes end within a field.
    #[error("the signature is cut short")]
    Short,
    /// Bytes behind the last field.
    #[error("bytes follow the signature")]
    Trailing,
    /// Not what `PROTOCOL.sshsig` describes, or another version of it.
    #[error("not an SSH signature of version 1")]
    Format,
    /// Made for something else.
    #[error("the signature is for another purpose than {expected}")]
    Namespace {
        /// The purpose that is wanted.
        expected: &'static str,
    },
    /// A hash or signature algorithm that is not accepted with this key.
    #[error("the signature's algorithm is not accepted")]
    Algorithm,
    /// A token's signature without anybody having touched the token.
    #[error("nobody touched the security key")]
    NotTouched,
    /// The arithmetic says no.
    #[error("the signature does not fit the request")]
    Wrong,
}

/// Why a key cannot be verified with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The line is no usable key.
    #[error("{0}")]
    Line(crate::model::SshKeyFault),
    /// Its numbers are no key of its type.
    #[error("the key's numbers are no key of its type")]
    Numbers,
}

/// Why no nonce is handed out. Nothing that is pending is dropped for a new one: else whoever
/// asks often enough could keep the administrator out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NonceRefused {
    /// This client has as many pending as one may have.
    #[error("too many nonces are pending for this address")]
    Client,
    /// All clients together have.
    #[error("too many nonces are pending")]
    All,
}

/// Why a request is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// A header is missing.
    #[error("the header {name} is missing")]
    Missing {
        /// Its name.
        name: &'static str,
    },
    /// A header is there twice, too long, or has characters that it may not have.
    #[error("the header {name} is not well-formed")]
    Malformed {
        /// Its name.
        name: &'static str,
    },
    /// Never issued, used, or too old.
    #[error("the nonce is unknown, used or expired")]
    Nonce,
    /// The signature cannot be read.
    #[error("the signature cannot be read")]
    Unreadable(#[source] SignatureError),
    /// Signed by a key that is not an administrator's.
    #[error("the key is not an administrator's")]
    UnknownKey,
    /// The signature is wrong.
    #[error("the signature is not valid for this request")]
    Signature(#[source] SignatureError),
    /// The device has no administrators that it could ask.
    #[error("this device knows no administrator's key")]
    NoSigners,
}

impl Denied {
    /// A stable word for programs and for the audit log.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "auth-header-missing",
            Self::Malformed { .. } => "auth-header-malformed",
            Self::Nonce => "nonce-unknown",
            Self::Unreadable(_) => "signature-unreadable",
            Self::UnknownKey => "key-unknown",
            Self::Signature(_) => "signature-wrong",
            Self::NoSigners => "no-administrators",
        }
    }
}
