// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be done with a private key, wherever it is: sign, decrypt, agree on a secret.

use crate::LibraryFault;
use crate::pkcs11::{TokenError, TokenKey, TokenKeyKind};
use crate::rsa_scheme::RsaScheme;
use openssl::bn::{BigNum, BigNumContext};
use openssl::derive::Deriver;
use openssl::ec::{EcKey, EcPoint};
use openssl::ecdsa::EcdsaSig;
use openssl::encrypt::Decrypter;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{Id, PKey, Private};
use openssl::rsa::Padding;

/// Why a key did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("OpenSSL refused")]
    Library(#[source] LibraryFault),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("keys of this kind cannot do that")]
    Kind,
}

impl From<ErrorStack> for KeyError {
    fn from(cause: ErrorStack) -> Self {
        Self::Library(cause.into())
    }
}

/// What sort of key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    Rsa,
    Ec,
    Other,
}

/// A private key.
pub(crate) enum PrivateKey {
    /// In our memory.
    Software(PKey<Private>),
    /// On a token.
    Token(TokenKey),
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key must not reach a log.
        f.write_str("PrivateKey(..)")
    }
}

impl PrivateKey {
    pub(crate) fn kind(&self) -> KeyKind {
        match self {
            Self::Software(key) => match key.id() {
                Id::RSA => KeyKind::Rsa,
                Id::EC => KeyKind::Ec,
                _ => KeyKind::Other,
            },
            Self::Token(key) => match key.kind() {
                TokenKeyKind::Rsa => KeyKind::Rsa,
                TokenKeyKind::Ec => KeyKind::Ec,
                TokenKeyKind::Other => KeyKind::Other,
            },
        }
    }

    /// Bytes of what is encrypted to an RSA key, where that is known.
    pub(crate) fn rsa_len(&self) -> Option<usize> {
        match self {
            Self::Software(key) => key.rsa().ok().and_then(|rsa| usize::try_from(rsa.size()).ok()),
            Self::Token(key) => key.rsa_len(),
        }
    }

    /// The signature over the SHA-256 of `message`, as CMS wants it.
    pub(crate) fn sign_sha256(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        match self {
            Self::Software(key) => {
                let mut signer = openssl::sign::Signer::new(MessageDigest::sha256(), key)?;
                Ok(signer.sign_oneshot_to_vec(message)?)
            }
            Self::Token(key) => match key.kind() {
                TokenKeyKind::Rsa => Ok(key.sign_rsa_sha256(message)?),
                TokenKeyKind::Ec => {
                    let raw = key.sign_ecdsa_sha256(message)?;
                    let (r, s) = raw.split_at(raw.len() / 2);
                    let (r, s) = (BigNum::from_slice(r)?, BigNum::from_slice(s)?);
                    Ok(EcdsaSig::from_private_components(r, s)?.to_der()?)
                }
                TokenKeyKind::Other => Err(KeyError::Kind),
            },
        }
    }

    /// What was encrypted to this key; `None` when it cannot be decrypted. That a result is there
    /// says nothing about its truth: newer libraries give random bytes for a wrong key. A caller
    /// must not let anybody tell `None` from a wrong result: that answers questions about the key.
    pub(crate) fn decrypt_rsa(
        &self,
        scheme: &RsaScheme,
        bytes: &[u8],
    ) -> Result<Option<Vec<u8>>, KeyError> {
        let key = match self {
            Self::Software(key) => key,
            Self::Token(key) => return Ok(key.decrypt_rsa(scheme, bytes)?),
        };
        let mut decrypter = Decrypter::new(key)?;
        match scheme {
            RsaScheme::Pkcs1 => decrypter.set_rsa_padding(Padding::PKCS1)?,
            RsaScheme::Oaep { hash, mask, label } => {
                decrypter.set_rsa_padding(Padding::PKCS1_OAEP)?;
                decrypter.set_rsa_oaep_md(hash.digest())?;
                decrypter.set_rsa_mgf1_md(mask.digest())?;
                if !label.is_empty() {
                    decrypter.set_rsa_oaep_label(label)?;
                }
            }
        }
        let decrypt = || {
            let mut out = vec![0; decrypter.decrypt_len(bytes).ok()?];
            let len = decrypter.decrypt(bytes, &mut out).ok()?;
            out.truncate(len);
            Some(out)
        };
        Ok(decrypt())
    }

    /// The secret shared with the owner of `point`, a point of this key's curve.
    pub(crate) fn agree(&self, point: &[u8]) -> Result<Vec<u8>, KeyError> {
        let key = match self {
            Self::Software(key) => key,
            Self::Token(key) => return Ok(key.agree(point)?),
        };
        let ec = key.ec_key()?;
        let group = ec.group();
        let mut context = BigNumContext::new()?;
        // Refuses points that are not on the curve, which would tell the key bit by bit.
        let point = EcPoint::from_bytes(group, point, &mut context)?;
        let peer = EcKey::from_public_key(group, &point)?;
        peer.check_key()?;
        let peer = PKey::from_ec_key(peer)?;
        let mut deriver = Deriver::new(key)?;
        deriver.set_peer(&peer)?;
        Ok(deriver.derive_to_vec()?)
    }
}
