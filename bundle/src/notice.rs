// SPDX-License-Identifier: MIT OR Apache-2.0
//! What should people hear about a bundle that was accepted all the same?

use crate::UnixTime;
use std::fmt;

/// A remark, not a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The keyring holds revocation lists, and `check-crl` is off.
    CrlIgnored,
    /// By RAUC's rule for code signing the signer's certificate should state its key usage.
    KeyUsageMissing,
    /// The payload is no multiple of 4096 bytes. Old tools made such plain bundles.
    PayloadUnaligned {
        /// Its size.
        bytes: u64,
    },
    /// The signature is larger than readers accept by default.
    LargeSignature {
        /// Its size.
        bytes: usize,
    },
    /// A certificate of the signer's chain ends soon.
    ExpiresSoon {
        /// Whose certificate.
        subject: String,
        /// Its last moment.
        not_after: UnixTime,
        /// Whole days until then.
        days: i64,
    },
    /// The signature carries no signed attributes, so that readers of this program refuse it.
    NoSignedAttributes,
    /// The manifest names no format, which means plain.
    FormatMissing,
    /// A signature made elsewhere covers a manifest that no reader accepts.
    UnusableManifest {
        /// What a reader will say.
        why: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CrlIgnored => f.write_str(
                "keyring holds revocation lists that are not consulted, as check-crl is off",
            ),
            Self::KeyUsageMissing => {
                f.write_str("signer's certificate for code signing does not state its key usage")
            }
            Self::PayloadUnaligned { bytes } => {
                write!(f, "payload size ({bytes}) is not a multiple of 4096 bytes")
            }
            Self::LargeSignature { bytes } => {
                write!(f, "signature of {bytes} bytes is larger than readers accept by default")
            }
            Self::ExpiresSoon { subject, days, .. } => {
                write!(f, "certificate {subject:?} will expire in less than {} days", days + 1)
            }
            Self::NoSignedAttributes => f.write_str(
                "signature has no signed attributes; readers of this program refuse the bundle",
            ),
            Self::FormatMissing => f.write_str(
                "manifest names no bundle format, so plain is used; format=verity is recommended",
            ),
            Self::UnusableManifest { why } => {
                write!(f, "signed manifest will be refused by readers: {why}")
            }
        }
    }
}
