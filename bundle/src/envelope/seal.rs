// SPDX-License-Identifier: MIT OR Apache-2.0
//! Encrypts a signature for its recipients.

use super::parse::{Envelope, EnvelopeError};
use crate::LibraryFault;
use crate::credential::{CredentialError, certificates_of};
use crate::keyring::stack_of;
use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::symm::Cipher;
use openssl::x509::X509;
use std::path::Path;

/// Why nothing was encrypted.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// A recipient's certificate cannot be had.
    #[error("cannot load a recipient's certificate")]
    Recipient(#[source] CredentialError),
    /// Nobody to encrypt for.
    #[error("no recipient was given")]
    NoRecipient,
    /// OpenSSL refused, for example a key that cannot encrypt.
    #[error("cannot encrypt the signature")]
    Library(#[source] LibraryFault),
    /// What was made has other recipients than were asked for.
    #[error("encrypted signature is not as it should be")]
    Result(#[source] EnvelopeError),
}

/// The certificates of whoever may read a bundle, at least one, each once.
pub struct Recipients(Vec<X509>);

impl std::fmt::Debug for Recipients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Recipients").field(&self.0.len()).finish()
    }
}

impl Recipients {
    /// All certificates of these PEM files, each once.
    ///
    /// # Errors
    /// [`SealError::Recipient`] or [`SealError::NoRecipient`].
    pub fn load<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<Self, SealError> {
        let mut known = std::collections::BTreeSet::new();
        let mut recipients = Vec::new();
        for path in paths {
            for certificate in certificates_of(path).map_err(SealError::Recipient)? {
                let der = certificate.to_der().map_err(|cause| SealError::Library(cause.into()))?;
                if known.insert(der) {
                    recipients.push(certificate);
                }
            }
        }
        if recipients.is_empty() {
            return Err(SealError::NoRecipient);
        }
        Ok(Self(recipients))
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// `signature` as the content of an EnvelopedData that each of them can open.
    pub(crate) fn seal(&self, signature: &[u8]) -> Result<Vec<u8>, SealError> {
        let library = |cause: openssl::error::ErrorStack| SealError::Library(cause.into());
        let stack = stack_of(&self.0).map_err(library)?;
        let sealed =
            CmsContentInfo::encrypt(&stack, signature, Cipher::aes_256_cbc(), CMSOptions::BINARY)
                .and_then(|sealed| sealed.to_der())
                .map_err(library)?;
        let envelope = Envelope::parse(&sealed).map_err(SealError::Result)?;
        if envelope.count != self.0.len() {
            let cause = EnvelopeError::NoKeyFits { recipients: envelope.count, cause: None };
            return Err(SealError::Result(cause));
        }
        Ok(sealed)
    }
}
