// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a bundle is refused. Each cause is a variant of its own, with the place in the bundle.

use crate::library_fault::{LibraryFault, in_plain_words};
use crate::{EnvelopeError, ManifestError, SourceError, SquashfsError, TrailerError, VerityError};
use openssl::x509::X509VerifyResult;
use storage::{ByteLen, Digest};

/// Why a bundle cannot be opened, verified or read.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The bytes cannot be had; says nothing about whether they are true.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The trailer names no signature.
    #[error(transparent)]
    Trailer(#[from] TrailerError),
    /// The signature does not hold.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The (verified) manifest breaks a rule.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The payload is not what was signed.
    #[error(transparent)]
    Verity(#[from] VerityError),
    /// The (verified) file system in the payload cannot be read.
    #[error("cannot read the file system of the bundle")]
    Squashfs(#[source] SquashfsError),
    /// All of a plain bundle has to be read before any of it is believed. RAUC's words.
    #[error("Bundle format 'plain' not supported in streaming mode")]
    PlainStreamed,
    /// A plain payload is larger than allowed.
    #[error("plain payload of {found} bytes is larger than the {limit} bytes allowed")]
    PlainTooLarge {
        /// Its size.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// The payload of a plain bundle does not have the signed digest.
    #[error("payload does not match the signed digest")]
    PayloadDigest,
    /// The signature is encrypted and does not open.
    #[error("cannot decrypt the bundle")]
    Envelope(#[from] EnvelopeError),
    /// A sector of the payload cannot be decrypted.
    #[error("cannot decrypt the payload")]
    Decrypt(#[source] LibraryFault),
    /// A crypt bundle that carries the key of its payload in clear is a half-made one.
    #[error("refused to install a crypt bundle whose signature is not encrypted")]
    CryptNotEncrypted,
    /// Only the signature of a crypt bundle may be encrypted.
    #[error("bundle of format {format} has an encrypted signature, which only format crypt has")]
    EncryptedOther {
        /// Its format.
        format: crate::BundleFormat,
    },
    /// A payload that comes over a network must consist of whole blocks.
    #[error("payload size ({found}) is not a multiple of 4096 bytes")]
    PayloadUnaligned {
        /// Its size.
        found: u64,
    },
    /// The manifest names an image file that is not in the bundle.
    #[error("image file {filename:?} of [image.{class}] is not in the bundle")]
    ImageMissing {
        /// Slot class of the image.
        class: String,
        /// The file named.
        filename: String,
    },
    /// The image belongs to a hook and has no file.
    #[error("[image.{class}] has no image file")]
    ImageWithoutFile {
        /// Slot class of the image.
        class: String,
    },
    /// The image file does not have the size that the manifest states.
    #[error("image file {filename:?} has {found} bytes, the manifest says {expected}")]
    ImageSize {
        /// The file.
        filename: String,
        /// Size in the manifest.
        expected: u64,
        /// Size in the bundle.
        found: u64,
    },
    /// The image file does not have the digest that the manifest states.
    #[error("image file {filename:?} has SHA-256 {found}, the manifest says {expected}")]
    ImageDigest {
        /// The file.
        filename: String,
        /// Digest in the manifest.
        expected: Digest,
        /// Digest of the file.
        found: Digest,
    },
    /// The manifest is larger than any we read.
    #[error("manifest of {found} is larger than the {limit} allowed")]
    ManifestTooLarge {
        /// Its size.
        found: ByteLen,
        /// The limit.
        limit: ByteLen,
    },
    /// A worker thread ended without an answer.
    #[error("verification thread ended unexpectedly")]
    WorkerLost,
}

impl BundleError {
    /// Whether bytes came that nobody trusted has signed, as they do from a server that lies, from a
    /// network that wants a login, and over a line that breaks them: another copy may have the true ones.
    /// All else is proven by the signature, and so in every copy.
    #[must_use]
    pub fn is_of_this_copy(&self) -> bool {
        if let Self::Squashfs(SquashfsError::Read(cause)) = self {
            return Self::inside(cause).is_some_and(Self::is_of_this_copy);
        }
        matches!(
            self,
            Self::Verity(VerityError::Tampered { .. } | VerityError::Changed { .. })
                | Self::PayloadDigest
                | Self::Trailer(_)
                | Self::PayloadUnaligned { .. }
                | Self::Signature(_)
                | Self::Envelope(_)
                | Self::Decrypt(_)
        )
    }

    /// Why a bundle's reader failed, which travels inside an I/O failure.
    #[must_use]
    pub fn inside(cause: &std::io::Error) -> Option<&Self> {
        cause.get_ref().and_then(|inner| inner.downcast_ref())
    }
}

/// Why a signature does not hold.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// Not CMS, or CMS in a notation other than DER.
    #[error("signature is not a CMS structure in DER")]
    Malformed(#[source] LibraryFault),
    /// Valid CMS in an ambiguous encoding: two parsers could read it differently.
    #[error("signature is not in canonical DER")]
    NotCanonical,
    /// A set with more members than any signature has.
    #[error("signature has a set of more than {limit} members")]
    TooManyMembers {
        /// The limit.
        limit: usize,
    },
    /// The bundle is encrypted.
    #[error("bundle is encrypted and no key to decrypt it was given")]
    Encrypted,
    /// CMS of a kind that is no signature.
    #[error("signature has CMS content type {found}, signedData is needed")]
    ContentType {
        /// The object identifier found.
        found: String,
    },
    /// What is signed is not declared as plain data.
    #[error("signature covers content of another type than id-data")]
    SignedContentType,
    /// A document beside bundles must be inside of its signature.
    #[error("signature does not carry what it signs")]
    NoContent,
    /// None, or several signers.
    #[error("unsupported number of signers: {found}")]
    SignerCount {
        /// How many.
        found: usize,
    },
    /// Nothing ties the signature to time, type and digest.
    #[error("signature has no signed attributes")]
    NoSignedAttributes,
    /// A signed attribute is missing, or there is more than one value.
    #[error("signature has {found} values of the signed attribute {attribute}, one is needed")]
    Attribute {
        /// Its name.
        attribute: &'static str,
        /// How many values.
        found: usize,
    },
    /// A digest algorithm we do not compute.
    #[error("signature uses digest algorithm {found}; SHA-256, SHA-384 and SHA-512 are supported")]
    DigestAlgorithm {
        /// The object identifier found.
        found: String,
    },
    /// A certificate in the signature does not parse.
    #[error("signature has a malformed certificate")]
    Certificate(#[source] LibraryFault),
    /// The signer's certificate is not with the signature, or is ambiguous.
    #[error("signature has {found} certificates that could be its signer's, one is needed")]
    SignerCertificate {
        /// How many.
        found: usize,
    },
    /// The signer's chain is not one the keyring accepts.
    #[error(transparent)]
    Chain(ChainFault),
    /// RAUC's rule for code signing is broken.
    #[error("unsuitable certificate purpose: {what} at depth {depth} of the chain")]
    NotForCodeSigning {
        /// Position in the chain, 0 is the signer.
        depth: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// The signer's common name is not on the list.
    #[error("signer {found:?} is not one of the allowed signers")]
    SignerNotAllowed {
        /// The name found.
        found: String,
    },
    /// Judging by the signing time needs one.
    #[error("signature has no signing time to judge its certificates by")]
    NoSigningTime,
    /// The signature is not that of the signer's key over this content.
    #[error("signature does not match content and signer")]
    Mismatch(#[source] LibraryFault),
    /// A detached signature is that of another payload.
    #[error("signature belongs to another payload")]
    PayloadDigest,
    /// Revocation lists cannot be handed to OpenSSL.
    #[error("cannot load the revocation lists of the keyring")]
    CrlStore(#[source] std::io::Error),
    /// OpenSSL failed for another reason.
    #[error("cannot verify the signature")]
    Library(#[source] LibraryFault),
}

/// Why a chain of certificates is refused, in OpenSSL's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}", on(.subject), in_plain_words(.words))]
pub struct ChainFault {
    /// The class of the cause.
    pub kind: ChainFaultKind,
    /// OpenSSL's words, such as `certificate has expired`.
    pub words: &'static str,
    /// Whose certificate it is.
    pub subject: Option<String>,
}

fn on(subject: &Option<String>) -> String {
    subject.as_ref().map_or_else(String::new, |subject| format!("certificate {subject:?}: "))
}

/// The causes that have a way out of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainFaultKind {
    /// The chain ends outside the keyring.
    UnknownIssuer,
    /// A certificate is no longer valid.
    Expired,
    /// A certificate is not valid yet.
    NotYetValid,
    /// A certificate is on a revocation list.
    Revoked,
    /// A revocation list is missing, expired or not valid yet.
    CrlUnusable,
    /// A certificate is not meant for this use.
    Purpose,
    /// Anything else.
    Other,
}

impl ChainFault {
    pub(crate) fn new(result: X509VerifyResult, subject: Option<String>) -> Self {
        // Numbers of OpenSSL's x509_vfy.h, which are part of its binary interface.
        let kind = match result.as_raw() {
            // 7: the keyring holds a CA of that name with another key.
            2 | 7 | 18 | 19 | 20 | 21 => ChainFaultKind::UnknownIssuer,
            9 => ChainFaultKind::NotYetValid,
            10 => ChainFaultKind::Expired,
            23 => ChainFaultKind::Revoked,
            3 | 11 | 12 => ChainFaultKind::CrlUnusable,
            26 => ChainFaultKind::Purpose,
            _ => ChainFaultKind::Other,
        };
        Self { kind, words: result.error_string(), subject }
    }
}

impl BundleError {
    /// The way out, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Signature(signature) => signature.hint(),
            Self::Trailer(TrailerError::TooLarge { .. }) => {
                Some("raise max-bundle-signature-size if the signer is known to need it")
            }
            Self::Trailer(_) => Some("the file is no bundle or was cut off; fetch it again"),
            Self::Verity(_) | Self::PayloadDigest => {
                Some("the bundle was changed or damaged after it was signed; fetch it again")
            }
            Self::Envelope(EnvelopeError::NoKeyFits { .. }) => {
                Some("the bundle was encrypted for others; check [encryption] key or --key")
            }
            Self::CryptNotEncrypted => {
                Some("encrypt the bundle for this device first (rauc encrypt --to)")
            }
            Self::Envelope(_)
            | Self::Decrypt(_)
            | Self::EncryptedOther { .. }
            | Self::PayloadUnaligned { .. } => {
                Some("the bundle was built wrongly; its maker has to build it again")
            }
            Self::ImageMissing { .. }
            | Self::ImageSize { .. }
            | Self::ImageDigest { .. }
            | Self::Manifest(_)
            | Self::ManifestTooLarge { .. } => {
                Some("the bundle was built wrongly; its maker has to build it again")
            }
            Self::PlainTooLarge { .. } | Self::PlainStreamed => {
                Some("build the bundle in format verity")
            }
            Self::Source(SourceError::Open { .. } | SourceError::NotRegularFile { .. }) => {
                Some("give the path of a bundle file that can be read")
            }
            Self::Source(SourceError::Read { .. } | SourceError::OutOfBounds { .. }) => {
                Some("look at the medium that the bundle lies on, or fetch it again")
            }
            Self::Squashfs(_) | Self::ImageWithoutFile { .. } | Self::WorkerLost => None,
        }
    }
}

impl SignatureError {
    /// The way out, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Encrypted => Some("set [encryption] key, or give --key"),
            Self::Chain(fault) => match fault.kind {
                ChainFaultKind::UnknownIssuer => {
                    Some("the keyring does not hold the signer's CA; check [keyring] path")
                }
                ChainFaultKind::Expired => {
                    Some("check the clock; else the bundle must be signed with a valid certificate")
                }
                ChainFaultKind::NotYetValid => Some("check the clock of this device"),
                ChainFaultKind::Revoked => Some("the signer's key was withdrawn; do not install"),
                ChainFaultKind::CrlUnusable => Some("update the revocation lists in the keyring"),
                ChainFaultKind::Purpose => {
                    Some("check [keyring] check-purpose and the key usage of the certificate")
                }
                ChainFaultKind::Other => None,
            },
            Self::NotForCodeSigning { .. } => {
                Some("check [keyring] check-purpose and the key usage of the certificate")
            }
            Self::SignerNotAllowed { .. } => Some("check [keyring] allowed-signer-cns"),
            Self::SignerCount { .. } => Some("a bundle must be signed by exactly one signer"),
            Self::Malformed(_) | Self::NotCanonical | Self::TooManyMembers { .. } => {
                Some("the bundle was changed or damaged after it was signed; fetch it again")
            }
            Self::Mismatch(_) => {
                Some("the bundle was changed or damaged after it was signed; fetch it again")
            }
            Self::ContentType { .. }
            | Self::PayloadDigest
            | Self::SignedContentType
            | Self::NoSignedAttributes
            | Self::Attribute { .. }
            | Self::DigestAlgorithm { .. }
            | Self::Certificate(_)
            | Self::SignerCertificate { .. }
            | Self::NoContent
            | Self::NoSigningTime
            | Self::CrlStore(_)
            | Self::Library(_) => None,
        }
    }
}
