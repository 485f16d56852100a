// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is this small document the signer's? For documents beside bundles (what a server offers, what a
//! device reports) the same CMS, the same strict reading and the same keyring count as for bundles.
//! Never reads the document itself: before the signature holds nobody has a byte of it.

use crate::cms::{Covers, UntrustedSignature};
use crate::{CheckTime, Keyring, Notice, SignatureError, Signer};

/// A document that the keyring vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedDocument {
    /// What was signed.
    pub content: Vec<u8>,
    /// Who signed it.
    pub signer: Signer,
    /// What does not stop anything.
    pub notices: Vec<Notice>,
}

/// Verifies a CMS structure that carries its content, as [`crate::sign_attached`] makes it. The
/// caller bounds its length.
///
/// # Errors
/// [`SignatureError`]; [`SignatureError::NoContent`] for a detached signature.
pub fn verify_attached(
    cms: &[u8],
    keyring: &Keyring,
    time: CheckTime,
) -> Result<SignedDocument, SignatureError> {
    let verified = UntrustedSignature::parse(cms)?.verify(keyring, time)?;
    match verified.covers {
        Covers::Content(content) => {
            Ok(SignedDocument { content, signer: verified.signer, notices: verified.notices })
        }
        Covers::Detached { .. } => Err(SignatureError::NoContent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        DevelopmentPki, DevelopmentPkiOptions, KeyringOptions, SigningIdentity, UnixTime,
        sign_attached, sign_detached,
    };
    use storage::Digest;

    const NOW: UnixTime = UnixTime(1_800_000_000);

    fn pki(name: &str) -> (SigningIdentity, Keyring) {
        let pki = DevelopmentPki::generate(name, &DevelopmentPkiOptions::new(NOW)).unwrap();
        let identity =
            SigningIdentity::from_pem(&pki.signer_cert_pem, &pki.signer_key_pem, b"").unwrap();
        let keyring = Keyring::from_pem(&pki.ca_cert_pem, KeyringOptions::default()).unwrap();
        (identity, keyring)
    }

    #[test]
    fn only_what_the_keyring_vouches_for_is_handed_out() {
        let (identity, keyring) = pki("one");
        let (_, stranger) = pki("other");
        let cms = sign_attached(b"{\"version\":1}", &identity, NOW).unwrap();
        let at = CheckTime::At(NOW);
        assert_eq!(verify_attached(&cms, &keyring, at).unwrap().content, b"{\"version\":1}");
        let refused = verify_attached(&cms, &stranger, at).unwrap_err();
        assert!(matches!(refused, SignatureError::Chain(_)), "{refused}");
        let end = b"\"version\":1";
        let place = cms.windows(end.len()).position(|bytes| bytes == end).unwrap();
        let mut changed = cms.clone();
        changed[place + end.len() - 1] = b'2';
        let refused = verify_attached(&changed, &keyring, at).unwrap_err();
        assert!(matches!(refused, SignatureError::Mismatch(_)), "{refused}");
    }

    #[test]
    fn a_signature_without_its_document_is_none() {
        let (identity, keyring) = pki("one");
        let digest = Digest::from_bytes([7; 32]);
        let cms = sign_detached(digest, &identity, NOW).unwrap();
        let refused = verify_attached(&cms, &keyring, CheckTime::At(NOW)).unwrap_err();
        assert!(matches!(refused, SignatureError::NoContent), "{refused}");
    }
}
