// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is this report the device's? Makes and judges the signature: CMS that carries the report, as
//! bundles are signed. Nothing of a report is read before its signature holds.

use super::{REPORT_MAX, REPORT_VERSION, Report};
use bundle::{
    CheckTime, Keyring, KeyringError, KeyringOptions, Purpose, SignError, SignatureError, Signer,
    SigningIdentity, TrustAnchors, UnixTime, sign_attached, verify_attached,
};
use serde::Deserialize;
use storage::ByteLen;

/// Longest signed report: the report, and a chain of certificates.
pub const SIGNED_REPORT_MAX: ByteLen = ByteLen::kib(96);

/// Why there is no signed report, or why one is not believed.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The report cannot be written as JSON.
    #[error("cannot write the report as JSON")]
    Encode(#[source] serde_json::Error),
    /// It cannot be signed.
    #[error("cannot sign the report")]
    Sign(#[from] SignError),
    /// The certificate to judge by is none.
    #[error("cannot use the certificate to verify by")]
    Certificate(#[from] KeyringError),
    /// Longer than any report.
    #[error("{found} bytes are no report: the longest has {most}")]
    TooLong {
        /// Its length.
        found: usize,
        /// The limit.
        most: ByteLen,
    },
    /// The signature does not hold.
    #[error("cannot believe the report")]
    Signature(#[from] SignatureError),
    /// What is signed is no report.
    #[error("what is signed is no report")]
    Parse(#[source] serde_json::Error),
    /// A report of another version.
    #[error("the report is of version {found}; this program reads version {REPORT_VERSION}")]
    Version {
        /// Its version.
        found: u32,
    },
    /// It says that another key signs than the one that did.
    #[error("the report is signed by key {found}, and says that its device has {said}")]
    OtherKey {
        /// The key that signed.
        found: String,
        /// The key that the report names.
        said: String,
    },
}

impl ReportError {
    /// The way out, where there is one.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Certificate(_) => {
                Some("give the device's certificate (`atomix report key`) or its CA's, in PEM")
            }
            Self::Signature(SignatureError::Chain(_)) => {
                Some("it is another device's, or its key was made anew: look at the device itself")
            }
            Self::Signature(_) | Self::TooLong { .. } | Self::Parse(_) => {
                Some("the file was changed or damaged, or is something else; fetch it again")
            }
            Self::Version { .. } => Some("read it with the version of atomix that made it"),
            Self::OtherKey { .. } => Some("do not believe it: somebody signed another's report"),
            Self::Encode(_) | Self::Sign(_) => None,
        }
    }
}

/// A report that its device signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedReport {
    /// It.
    pub report: Report,
    /// The bytes that were signed.
    pub bytes: Vec<u8>,
    /// Who signed it.
    pub signer: Signer,
}

impl Report {
    /// The report as JSON: no blanks, members in their order.
    ///
    /// # Errors
    /// [`ReportError::Encode`].
    pub fn encode(&self) -> Result<Vec<u8>, ReportError> {
        serde_json::to_vec(self).map_err(ReportError::Encode)
    }

    /// Reads a report that was verified. Members that this version does not know are ignored.
    ///
    /// # Errors
    /// [`ReportError::TooLong`], [`ReportError::Version`] or [`ReportError::Parse`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ReportError> {
        /// Of a later version nothing else is known.
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        demand_short(bytes, REPORT_MAX)?;
        let head: Head = serde_json::from_slice(bytes).map_err(ReportError::Parse)?;
        if head.version != REPORT_VERSION {
            return Err(ReportError::Version { found: head.version });
        }
        serde_json::from_slice(bytes).map_err(ReportError::Parse)
    }
}

/// Signs `report`, which is inside of the result. `now` may be any time: a device whose clock was
/// never set signs too.
///
/// # Errors
/// [`ReportError::Encode`] or [`ReportError::Sign`].
pub fn sign_report(
    report: &Report,
    identity: &SigningIdentity,
    now: UnixTime,
) -> Result<Vec<u8>, ReportError> {
    // Certificates have no notation for the years before 1970.
    let now = UnixTime(now.0.max(0));
    Ok(sign_attached(&report.encode()?, identity, now)?)
}

/// Judges `signed` by certificates in PEM: the device's own, or the CA of the fleet's client
/// certificates. `now` is the receiver's time.
///
/// # Errors
/// [`ReportError`], all but [`ReportError::Encode`] and [`ReportError::Sign`].
pub fn verify_report(
    signed: &[u8],
    certificates_pem: &[u8],
    now: UnixTime,
) -> Result<VerifiedReport, ReportError> {
    demand_short(signed, SIGNED_REPORT_MAX)?;
    // A client certificate is meant for TLS; that its holder signs this too is said by who gives it.
    let options = KeyringOptions {
        purpose: Purpose::Any,
        trust_anchors: TrustAnchors::AnyInKeyring,
        ..KeyringOptions::default()
    };
    let keyring = Keyring::from_pem(certificates_pem, options)?;
    let document = verify_attached(signed, &keyring, CheckTime::At(now))?;
    let report = Report::parse(&document.content)?;
    if let (Some(said), Some(leaf)) = (&report.device.key, document.signer.chain.first()) {
        let found = leaf.spki_sha256.to_string();
        if *said != found {
            return Err(ReportError::OtherKey { found, said: said.clone() });
        }
    }
    Ok(VerifiedReport { report, bytes: document.content, signer: document.signer })
}

fn demand_short(bytes: &[u8], most: ByteLen) -> Result<(), ReportError> {
    if bytes.len() as u64 > most.get() {
        return Err(ReportError::TooLong { found: bytes.len(), most });
    }
    Ok(())
}
