// SPDX-License-Identifier: MIT OR Apache-2.0
//! Decrypts an EnvelopedData with one private key.
//!
//! With the certificate at hand only the recipients that it names are tried; without it every one
//! that the key could be. Nothing tells a failed attempt from another but that the content is no
//! SignedData in the end: who sends bundles learns nothing about the key. For the same reason a
//! key that cannot be unpacked (bad padding, wrong length) is replaced by a random one, which then
//! fails like any wrong key (RFC 3218).

use super::parse::{Envelope, EnvelopeError, Recipient, content_type};
use crate::LibraryFault;
use crate::cms::{ID_SIGNED_DATA, names_certificate};
use crate::credential::{
    Credential, CredentialAccess, CredentialError, load_certificate, load_key,
};
use crate::private_key::{KeyError, KeyKind, PrivateKey};
use crate::rsa_scheme::{Hash, RsaScheme};
use cms::cert::x509::spki::AlgorithmIdentifierOwned;
use cms::enveloped_data::{
    KeyAgreeRecipientIdentifier, KeyAgreeRecipientInfo, KeyTransRecipientInfo,
    OriginatorIdentifierOrKey, RecipientIdentifier,
};
use der::asn1::OctetString;
use der::{Encode, Sequence};
use openssl::aes::{AesKey, unwrap_key};
use openssl::hash::Hasher;
use openssl::x509::X509;

/// Who can read encrypted bundles here: a private key, in a file or on a token, and its certificate
/// if one was named.
pub struct DecryptionIdentity {
    key: PrivateKey,
    certificate: Option<X509>,
}

impl std::fmt::Debug for DecryptionIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DecryptionIdentity").finish_non_exhaustive()
    }
}

impl DecryptionIdentity {
    /// Loads the key and, if named, its certificate, which spares attempts with foreign recipients.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn load(
        key: &Credential,
        certificate: Option<&Credential>,
        access: &CredentialAccess<'_>,
    ) -> Result<Self, CredentialError> {
        let certificate = match certificate {
            Some(certificate) => Some(load_certificate(certificate, access)?),
            None => None,
        };
        Ok(Self { key: load_key(key, access)?, certificate })
    }
}

/// The SignedData inside `cms`.
pub(crate) fn open_envelope(
    cms: &[u8],
    identity: &DecryptionIdentity,
) -> Result<Vec<u8>, EnvelopeError> {
    let envelope = Envelope::parse(cms)?;
    let mut last = None;
    for recipient in &envelope.recipients {
        let keys = match (recipient, identity.key.kind()) {
            (Recipient::Transport(info), KeyKind::Rsa) => {
                vec![transported(info, identity, envelope.cipher.key_len())]
            }
            (Recipient::Agreement(info), KeyKind::Ec) => agreed(info, identity),
            (Recipient::Transport(_) | Recipient::Agreement(_) | Recipient::Other, _) => {
                continue;
            }
        };
        for key in keys {
            match key {
                Ok(Some(key)) => {
                    if let Some(content) = decrypt(&envelope, &key) {
                        return Ok(content);
                    }
                }
                Ok(None) => {}
                Err(cause) => last = Some(cause),
            }
        }
    }
    Err(EnvelopeError::NoKeyFits { recipients: envelope.count, cause: last })
}

fn decrypt(envelope: &Envelope, key: &[u8]) -> Option<Vec<u8>> {
    if key.len() != envelope.cipher.key_len() {
        return None;
    }
    let plain =
        openssl::symm::decrypt(envelope.cipher, key, Some(&envelope.iv), &envelope.ciphertext);
    plain.ok().filter(|content| content_type(content) == Some(ID_SIGNED_DATA))
}

type Attempt = Result<Option<Vec<u8>>, LibraryFault>;

fn words(refused: KeyError) -> LibraryFault {
    match refused {
        KeyError::Library(cause) => cause,
        KeyError::Token(cause) => {
            let below = std::error::Error::source(&cause).map(ToString::to_string);
            LibraryFault::of_words(&format!("{cause}: {}", below.unwrap_or_default()))
        }
        KeyError::Kind => LibraryFault::of_words("keys of this kind cannot decrypt"),
    }
}

fn transported(
    info: &KeyTransRecipientInfo,
    identity: &DecryptionIdentity,
    key_len: usize,
) -> Attempt {
    let meant = match (&info.rid, &identity.certificate) {
        (_, None) => true,
        (RecipientIdentifier::IssuerAndSerialNumber(name), Some(certificate)) => {
            names_certificate(name, certificate).unwrap_or(false)
        }
        (RecipientIdentifier::SubjectKeyIdentifier(key), Some(certificate)) => {
            certificate.subject_key_id().is_some_and(|id| id.as_slice() == key.0.as_bytes())
        }
    };
    // What has another length was not encrypted to this key, and costs no operation of it: a
    // signature of a stranger has room for thousands of recipients of a byte.
    let len = info.enc_key.as_bytes().len();
    let meant = meant && identity.key.rsa_len().is_none_or(|expected| expected == len);
    let algorithm = &info.key_enc_alg;
    let scheme = RsaScheme::of(algorithm.oid, algorithm.parameters.as_ref());
    match (meant, scheme) {
        (true, Some(scheme)) => {
            let bytes = info.enc_key.as_bytes();
            let mut stand_in = vec![0; key_len];
            openssl::rand::rand_bytes(&mut stand_in)?;
            let found = identity.key.decrypt_rsa(&scheme, bytes).map_err(words)?;
            Ok(Some(found.filter(|key| key.len() == key_len).unwrap_or(stand_in)))
        }
        (true, None) => Err(LibraryFault::of_words(&format!(
            "recipient uses the unsupported key transport {}",
            algorithm.oid
        ))),
        (false, _) => Ok(None),
    }
}

/// What the key derivation of a key agreement hashes (RFC 5753, 7.2).
#[derive(Sequence)]
struct SharedInfo {
    key_info: AlgorithmIdentifierOwned,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    user_keying_material: Option<OctetString>,
    #[asn1(context_specific = "2", tag_mode = "EXPLICIT")]
    key_bits: OctetString,
}

fn agreed(info: &KeyAgreeRecipientInfo, identity: &DecryptionIdentity) -> Vec<Attempt> {
    let meant = |rid: &KeyAgreeRecipientIdentifier| match (rid, &identity.certificate) {
        (_, None) => true,
        (KeyAgreeRecipientIdentifier::IssuerAndSerialNumber(name), Some(certificate)) => {
            names_certificate(name, certificate).unwrap_or(false)
        }
        (KeyAgreeRecipientIdentifier::RKeyId(id), Some(certificate)) => {
            let wanted = id.subject_key_identifier.0.as_bytes();
            certificate.subject_key_id().is_some_and(|id| id.as_slice() == wanted)
        }
    };
    let keys: Vec<_> = info.recipient_enc_keys.iter().filter(|key| meant(&key.rid)).collect();
    if keys.is_empty() {
        return Vec::new();
    }
    // One secret serves all keys of this info: the originator has one key pair for it.
    let wrapping = match wrapping_key(info, identity) {
        Ok(wrapping) => wrapping,
        Err(refused) => return vec![Err(refused)],
    };
    keys.iter().map(|key| Ok(unwrapped(&wrapping, key.enc_key.as_bytes()))).collect()
}

fn wrapping_key(
    info: &KeyAgreeRecipientInfo,
    identity: &DecryptionIdentity,
) -> Result<Vec<u8>, LibraryFault> {
    let unsupported = || LibraryFault::of_words("recipient uses an unsupported key agreement");
    let hash = Hash::of_key_agreement(info.key_enc_alg.oid).ok_or_else(unsupported)?;
    let wrap: AlgorithmIdentifierOwned =
        info.key_enc_alg.parameters.as_ref().ok_or_else(unsupported)?.decode_as()?;
    let key_bytes: u32 = match wrap.oid.to_string().as_str() {
        "2.16.840.1.101.3.4.1.5" => 16,
        "2.16.840.1.101.3.4.1.25" => 24,
        "2.16.840.1.101.3.4.1.45" => 32,
        _ => return Err(unsupported()),
    };
    let OriginatorIdentifierOrKey::OriginatorKey(originator) = &info.originator else {
        return Err(unsupported());
    };
    let secret = identity.key.agree(originator.public_key.raw_bytes()).map_err(words)?;
    let shared = SharedInfo {
        key_info: wrap,
        user_keying_material: info.ukm.clone(),
        key_bits: OctetString::new((key_bytes * 8).to_be_bytes())?,
    };
    derive(hash, &secret, &shared.to_der()?, key_bytes as usize)
}

/// ANSI X9.63's key derivation: hashes of secret, counter and info, one after the other.
fn derive(hash: Hash, secret: &[u8], info: &[u8], len: usize) -> Result<Vec<u8>, LibraryFault> {
    let mut key = Vec::new();
    let mut counter: u32 = 0;
    while key.len() < len {
        counter += 1;
        let mut hasher = Hasher::new(hash.digest())?;
        hasher.update(secret)?;
        hasher.update(&counter.to_be_bytes())?;
        hasher.update(info)?;
        key.extend_from_slice(&hasher.finish()?);
    }
    key.truncate(len);
    Ok(key)
}

/// AES key wrap (RFC 3394), which knows whether its key was right.
fn unwrapped(wrapping: &[u8], wrapped: &[u8]) -> Option<Vec<u8>> {
    let len = wrapped.len().checked_sub(8).filter(|len| *len >= 16 && len % 8 == 0)?;
    let key = AesKey::new_decrypt(wrapping).ok()?;
    let mut out = vec![0; len];
    let written = unwrap_key(&key, None, &mut out, wrapped).ok()?;
    out.truncate(written);
    Some(out)
}
