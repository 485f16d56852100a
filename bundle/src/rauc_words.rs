// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does RAUC say in this case? Its sentences, which scripts and its own tests look for.
//!
//! Our messages are our own; a program that takes RAUC's place prints these beside them.

use crate::{
    BundleError, CreateError, EnvelopeError, MinVersionError, OperationError, SealError,
    SignatureError,
};
use std::error::Error;

/// RAUC's sentence for one error of a chain (not for its causes), where it has one to look for.
#[must_use]
pub fn rauc_words(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(refused) = error.downcast_ref::<SignatureError>() {
        return signature_words(refused);
    }
    if let Some(refused) = error.downcast_ref::<EnvelopeError>() {
        return Some(match refused {
            EnvelopeError::NotEncrypted => return None,
            EnvelopeError::Malformed(_)
            | EnvelopeError::TooManyRecipients { .. }
            | EnvelopeError::Cipher { .. }
            | EnvelopeError::NoContent
            | EnvelopeError::NoKeyFits { .. } => "Failed to decrypt CMS EnvelopedData".to_owned(),
        });
    }
    if let Some(BundleError::Signature(refused)) = error.downcast_ref::<BundleError>() {
        return signature_words(refused);
    }
    if let Some(BundleError::PayloadDigest) = error.downcast_ref::<BundleError>() {
        return Some("signature verification failed".to_owned());
    }
    if let Some(OperationError::NotCrypt { .. }) = error.downcast_ref::<OperationError>() {
        return Some("Refused to encrypt input bundle that is not in 'crypt' format.".to_owned());
    }
    if let Some(SealError::Recipient(_)) = error.downcast_ref::<SealError>() {
        return Some("Failed to load recipient certificate".to_owned());
    }
    if let Some(CreateError::ImageUnaligned { .. }) = error.downcast_ref::<CreateError>() {
        return Some("image size is not a multiple of 4096 bytes".to_owned());
    }
    error.downcast_ref::<MinVersionError>().map(|refused| match refused {
        MinVersionError::Syntax(syntax) => format!(
            "Failed to parse 'min-rauc-version'. Expected \
             'Major[.Minor[.Patch]][-pre_release]]', got '{}'",
            syntax.text
        ),
        MinVersionError::TooOld { found } => format!(
            "Minimum RAUC version field in manifest is only supported since 1.14 (not '{found}')"
        ),
        MinVersionError::TooNew { found } => {
            format!("Minimum RAUC version in manifest ({found}) is newer than current version")
        }
    })
}

fn signature_words(refused: &SignatureError) -> Option<String> {
    Some(match refused {
        SignatureError::SignerCount { found } => format!("Unsupported number of signers: {found}"),
        SignatureError::NoSigningTime => {
            "Bundle signing time attribute not found in signature".to_owned()
        }
        SignatureError::Encrypted => "Encrypted bundle detected, but no decryption key given. Use \
                                      --key=<PEMFILE|PKCS11-URL> to provide one."
            .to_owned(),
        SignatureError::Chain(fault) => {
            format!("signature verification failed: Verify error: {}", fault.words)
        }
        SignatureError::Malformed(_)
        | SignatureError::NotCanonical
        | SignatureError::TooManyMembers { .. }
        | SignatureError::ContentType { .. }
        | SignatureError::SignedContentType
        | SignatureError::NoContent
        | SignatureError::NoSignedAttributes
        | SignatureError::Attribute { .. }
        | SignatureError::DigestAlgorithm { .. }
        | SignatureError::Certificate(_)
        | SignatureError::SignerCertificate { .. }
        | SignatureError::NotForCodeSigning { .. }
        | SignatureError::SignerNotAllowed { .. }
        | SignatureError::PayloadDigest
        | SignatureError::Mismatch(_)
        | SignatureError::CrlStore(_)
        | SignatureError::Library(_) => "signature verification failed".to_owned(),
    })
}
