// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be done to a finished bundle: sign it anew, put another signature on it, encrypt it,
//! take it apart, convert its images. Each makes a new file and leaves the old one alone.
//!
//! Order in each: the old signature is judged, the payload is copied, the *copy* is compared with
//! what was signed (so that nobody can change it in between), the new signature is made and judged,
//! and only then does the new file get its name. There is no partial output.

mod convert;
mod extract;
mod output;
mod rewrite;

pub use convert::{ConvertImages, ConvertRequest, ImageEncoder, convert_bundle};
pub use extract::{extract_bundle, extract_signature};
pub use rewrite::{
    Appending, ResignRequest, Rewritten, encrypt_bundle, replace_signature, resign_bundle,
};

pub(crate) use extract::NewDirectory;
pub(crate) use output::NewFile;

use crate::cms_sign::SigningIdentity;
use crate::keyring::stack_of;
use crate::{
    BundleError, BundleFormat, CheckTime, CreateError, Keyring, Notice, SealError, SignError,
    SignatureError, UnixTime,
};
use std::io;
use std::path::PathBuf;

/// Days before its end from which on a signer's certificate is remarked upon, as RAUC does.
const SOON_DAYS: i64 = 30;
const DAY_SECS: i64 = 86_400;
/// What readers accept by default.
const DEFAULT_SIGNATURE_BYTES: usize = 64 * 1024;

/// Whether the bundle that comes in must be a true one.
#[derive(Clone, Copy, Debug)]
pub enum Verification<'a> {
    /// By this keyring.
    By {
        /// The keyring.
        keyring: &'a Keyring,
        /// The moment to judge by.
        time: CheckTime,
    },
    /// `--no-verify`.
    Skipped,
}

/// The keyring that a fresh signature must satisfy.
#[derive(Clone, Copy, Debug)]
pub struct PostCheck<'a> {
    /// The keyring (`--signing-keyring`).
    pub keyring: &'a Keyring,
    /// The moment to judge by.
    pub time: CheckTime,
}

/// Why an operation made nothing; no output was left behind.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// The output exists (`already exists`) or cannot be written.
    #[error("cannot write {path}", path = path.display())]
    Output {
        /// The output.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file that goes in cannot be read.
    #[error("cannot read {path}", path = path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The bundle that goes in is refused.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The new signature could not be made.
    #[error("cannot sign the bundle")]
    Sign(#[source] SignError),
    /// The keyring refuses the new signature.
    #[error("new signature is refused by the keyring for signing")]
    PostCheck(#[source] SignatureError),
    /// Encryption failed.
    #[error("cannot encrypt the bundle")]
    Seal(#[source] SealError),
    /// Only bundles of format crypt are encrypted: of another one only the signature would be.
    #[error("refused to encrypt a bundle of format {format}, only format crypt is encrypted")]
    NotCrypt {
        /// The format found.
        format: BundleFormat,
    },
    /// An image could not be converted.
    #[error("cannot convert image file {filename:?}")]
    Convert {
        /// The file.
        filename: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The converted content could not be packed.
    #[error("cannot make the converted bundle")]
    Create(#[source] CreateError),
    /// The bundle has an entry that nobody should unpack.
    #[error("{entry:?} in the bundle is not unpacked: {why}")]
    Entry {
        /// The entry.
        entry: String,
        /// Why not.
        why: &'static str,
    },
}

impl OperationError {
    /// The way out, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Output { source, .. } if source.kind() == io::ErrorKind::AlreadyExists => {
                Some("remove the old file or choose another name; nothing is overwritten")
            }
            Self::Bundle(refused) => refused.hint(),
            Self::Sign(refused) => refused.hint(),
            Self::PostCheck(refused) => refused.hint(),
            Self::Create(refused) => refused.hint(),
            Self::NotCrypt { .. } => Some("build the bundle with format=crypt"),
            Self::Output { .. }
            | Self::Input { .. }
            | Self::Seal(_)
            | Self::Convert { .. }
            | Self::Entry { .. } => None,
        }
    }
}

/// Judges who signs, before anybody else does.
pub(crate) fn post_check(
    identity: &SigningIdentity,
    check: PostCheck<'_>,
    signing_time: UnixTime,
) -> Result<Vec<Notice>, SignatureError> {
    let untrusted = stack_of(identity.intermediates())
        .map_err(|cause| SignatureError::Library(cause.into()))?;
    let moment = match check.time {
        CheckTime::At(moment) => Some(moment),
        CheckTime::SigningTime => Some(signing_time),
        CheckTime::Skip => None,
    };
    let (chain, mut notices) = check.keyring.judge(identity.certificate(), &untrusted, moment)?;
    for certificate in chain {
        let left = certificate.not_after.0.saturating_sub(moment.unwrap_or(signing_time).0);
        if left < SOON_DAYS * DAY_SECS {
            notices.push(Notice::ExpiresSoon {
                subject: certificate.subject,
                not_after: certificate.not_after,
                days: left.div_euclid(DAY_SECS),
            });
        }
    }
    Ok(notices)
}

/// A remark on a signature that default readers will not take.
pub(crate) fn size_notice(signature: &[u8]) -> Option<Notice> {
    let bytes = signature.len();
    (bytes > DEFAULT_SIGNATURE_BYTES).then_some(Notice::LargeSignature { bytes })
}
