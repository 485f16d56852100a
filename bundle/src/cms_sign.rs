// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signs: makes the CMS structure that this crate, RAUC and OpenSSL accept.
//!
//! Built here rather than by OpenSSL's one call, which wants a detached payload in one slice and
//! reads the clock for the signing time. So a payload of any size is signed by its digest, and
//! the same input with an RSA key gives the same bytes. Layout and attributes: see `cms`.

use crate::cms::signed_data;
use crate::cms::{
    CONTENT_TYPE, ID_DATA, ID_SIGNED_DATA, MESSAGE_DIGEST, SHA256, SIGNING_TIME, SignedData,
};
use crate::credential::{certificates_of, load_certificate, load_key};
use crate::pkcs11::TokenError;
use crate::private_key::{KeyError, KeyKind, PrivateKey};
use crate::{
    CertificateInfo, Credential, CredentialAccess, CredentialError, LibraryFault, SignatureError,
    UnixTime,
};
use cms::cert::IssuerAndSerialNumber;
use cms::cert::x509::attr::{Attribute, Attributes};
use cms::cert::x509::name::Name;
use cms::cert::x509::serial_number::SerialNumber;
use cms::cert::x509::spki::AlgorithmIdentifierOwned;
use cms::cert::x509::time::Time;
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{EncapsulatedContentInfo, SignerIdentifier, SignerInfo};
use der::asn1::{GeneralizedTime, ObjectIdentifier, OctetString, SetOfVec, UtcTime};
use der::{Any, Decode, Encode};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::x509::X509;
use std::path::PathBuf;
use std::time::Duration;
use storage::Digest;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");

/// Why something cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The signer's certificate does not parse.
    #[error("cannot read the signer's certificate")]
    Certificate(#[source] LibraryFault),
    /// The signer's key does not parse.
    #[error("cannot read the signer's key")]
    Key(#[source] LibraryFault),
    /// An intermediate certificate does not parse.
    #[error("cannot read an intermediate certificate")]
    Intermediate(#[source] LibraryFault),
    /// The key is not that of the certificate.
    #[error("key values mismatch between the signer's certificate and key")]
    KeyMismatch,
    /// Neither RSA nor an elliptic curve.
    #[error("keys of this kind cannot sign bundles")]
    UnsupportedKey,
    /// The signing time cannot be written in a certificate's notation.
    #[error("signing time {seconds} cannot be encoded")]
    Time {
        /// Seconds since 1970.
        seconds: i64,
    },
    /// OpenSSL refused.
    #[error("cannot compute the signature")]
    Library(#[source] LibraryFault),
    /// Certificate, key or intermediates cannot be had.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The token that holds the key refused.
    #[error("cannot compute the signature")]
    Token(#[source] TokenError),
    /// The signature to which another one is to be added cannot be read.
    #[error("cannot add to the signature that is there")]
    Existing(#[source] SignatureError),
    /// The structure cannot be encoded.
    #[error("cannot encode the signature")]
    Encode(#[source] LibraryFault),
}

impl SignError {
    /// The way out, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Credential(refused) => refused.hint(),
            Self::Token(refused) => refused.hint(),
            Self::KeyMismatch => Some("give the key that belongs to the certificate"),
            Self::Certificate(_)
            | Self::Key(_)
            | Self::Intermediate(_)
            | Self::UnsupportedKey
            | Self::Time { .. }
            | Self::Library(_)
            | Self::Existing(_)
            | Self::Encode(_) => None,
        }
    }
}

/// Certificate, key and intermediates of a signer.
pub struct SigningIdentity {
    certificate: X509,
    key: PrivateKey,
    intermediates: Vec<X509>,
}

impl std::fmt::Debug for SigningIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key must not reach a log.
        f.debug_struct("SigningIdentity").finish_non_exhaustive()
    }
}

impl SigningIdentity {
    /// Reads PEM texts; `intermediates_pem` holds any number of certificates.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn from_pem(
        certificate_pem: &[u8],
        key_pem: &[u8],
        intermediates_pem: &[u8],
    ) -> Result<Self, SignError> {
        let certificate = X509::from_pem(certificate_pem)
            .map_err(|cause| SignError::Certificate(cause.into()))?;
        let key =
            PKey::private_key_from_pem(key_pem).map_err(|cause| SignError::Key(cause.into()))?;
        let intermediates = X509::stack_from_pem(intermediates_pem)
            .map_err(|cause| SignError::Intermediate(cause.into()))?;
        let public =
            certificate.public_key().map_err(|cause| SignError::Certificate(cause.into()))?;
        if !public.public_eq(&key) {
            return Err(SignError::KeyMismatch);
        }
        Ok(Self { certificate, key: PrivateKey::Software(key), intermediates })
    }

    /// Loads certificate and key from files or tokens; each file of `intermediates` holds one or
    /// more certificates.
    ///
    /// # Errors
    /// [`SignError::Credential`] or [`SignError::KeyMismatch`]. A key on a token is compared with
    /// the certificate by its first signature.
    pub fn load(
        certificate: &Credential,
        key: &Credential,
        intermediates: &[PathBuf],
        access: &CredentialAccess<'_>,
    ) -> Result<Self, SignError> {
        let certificate = load_certificate(certificate, access)?;
        let key = load_key(key, access)?;
        let mut between = Vec::new();
        for path in intermediates {
            between.extend(certificates_of(path)?);
        }
        let public =
            certificate.public_key().map_err(|cause| SignError::Certificate(cause.into()))?;
        match &key {
            PrivateKey::Software(key) if !public.public_eq(key) => Err(SignError::KeyMismatch),
            PrivateKey::Software(_) | PrivateKey::Token(_) => {
                Ok(Self { certificate, key, intermediates: between })
            }
        }
    }

    /// What the signer's certificate says of itself, for those who keep its fingerprint.
    ///
    /// # Errors
    /// [`SignError::Certificate`].
    pub fn describe(&self) -> Result<CertificateInfo, SignError> {
        CertificateInfo::of(&self.certificate).map_err(|cause| SignError::Certificate(cause.into()))
    }

    pub(crate) fn certificate(&self) -> &X509 {
        &self.certificate
    }

    pub(crate) fn intermediates(&self) -> &[X509] {
        &self.intermediates
    }

    fn algorithm(&self) -> Result<AlgorithmIdentifierOwned, SignError> {
        match self.key.kind() {
            KeyKind::Rsa => {
                Ok(AlgorithmIdentifierOwned { oid: RSA, parameters: Some(Any::null()) })
            }
            KeyKind::Ec => Ok(AlgorithmIdentifierOwned { oid: ECDSA_SHA256, parameters: None }),
            KeyKind::Other => Err(SignError::UnsupportedKey),
        }
    }

    /// The signature over `message`, checked with the certificate: neither a key that is not the
    /// certificate's nor a token that miscounts gets a bundle out of the house.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let library = |cause: openssl::error::ErrorStack| SignError::Library(cause.into());
        let signature = self.key.sign_sha256(message).map_err(|refused| match refused {
            KeyError::Library(cause) => SignError::Library(cause),
            KeyError::Token(cause) => SignError::Token(cause),
            KeyError::Kind => SignError::UnsupportedKey,
        })?;
        let public =
            self.certificate.public_key().map_err(|cause| SignError::Certificate(cause.into()))?;
        let mut verifier =
            openssl::sign::Verifier::new(MessageDigest::sha256(), &public).map_err(library)?;
        // A signature of another kind of key is a failure in OpenSSL's eyes, not a "no".
        match verifier.verify_oneshot(&signature, message) {
            Ok(true) => Ok(signature),
            Ok(false) | Err(_) => Err(SignError::KeyMismatch),
        }
    }
}

/// Signs `content`, which travels inside the signature (formats verity and crypt).
///
/// # Errors
/// [`SignError`].
pub fn sign_attached(
    content: &[u8],
    identity: &SigningIdentity,
    signing_time: UnixTime,
) -> Result<Vec<u8>, SignError> {
    let digest = Digest::from_bytes(openssl::sha::sha256(content));
    sign(Some(content), digest, identity, signing_time)
}

/// Signs a payload, which stays where it is, by its SHA-256 (format plain).
///
/// # Errors
/// [`SignError`].
pub fn sign_detached(
    payload_sha256: Digest,
    identity: &SigningIdentity,
    signing_time: UnixTime,
) -> Result<Vec<u8>, SignError> {
    sign(None, payload_sha256, identity, signing_time)
}

/// Adds a signature of `identity` to those of `cms`. Over what, is taken from `cms`; of a detached
/// signature the digest of the payload must be given.
///
/// # Errors
/// [`SignError`].
pub(crate) fn append_signer(
    cms: &[u8],
    payload_sha256: Option<Digest>,
    identity: &SigningIdentity,
    signing_time: UnixTime,
) -> Result<Vec<u8>, SignError> {
    let encode = |cause: der::Error| SignError::Encode(cause.into());
    let mut data = signed_data(cms).map_err(SignError::Existing)?;
    let content = match &data.encap_content_info.econtent {
        Some(content) => Some(content.decode_as::<OctetString>().map_err(encode)?),
        None => None,
    };
    let digest = match (content, payload_sha256) {
        (Some(content), _) => Digest::from_bytes(openssl::sha::sha256(content.as_bytes())),
        (None, Some(digest)) => digest,
        (None, None) => return Err(SignError::Existing(SignatureError::SignedContentType)),
    };
    let mut infos = data.signer_infos.into_vec();
    infos.push(signer_info(digest, identity, signing_time)?);
    data.signer_infos = SetOfVec::try_from(infos).map_err(encode)?;
    let mut algorithms = data.digest_algorithms.into_vec();
    if !algorithms.iter().any(|known| known.oid == SHA256) {
        algorithms.push(AlgorithmIdentifierOwned { oid: SHA256, parameters: None });
    }
    data.digest_algorithms = SetOfVec::try_from(algorithms).map_err(encode)?;
    let mut all = certificates(identity)?.into_vec();
    for known in data.certificates.into_iter().flat_map(SetOfVec::into_vec) {
        if !all.contains(&known) {
            all.push(known);
        }
    }
    data.certificates = Some(SetOfVec::try_from(all).map_err(encode)?);
    wrap(&data)
}

fn wrap(data: &SignedData) -> Result<Vec<u8>, SignError> {
    let encode = |cause: der::Error| SignError::Encode(cause.into());
    let content = Any::encode_from(data).map_err(encode)?;
    ContentInfo { content_type: ID_SIGNED_DATA, content }.to_der().map_err(encode)
}

fn signer_info(
    digest: Digest,
    identity: &SigningIdentity,
    signing_time: UnixTime,
) -> Result<SignerInfo, SignError> {
    let encode = |cause: der::Error| SignError::Encode(cause.into());
    let attributes = signed_attributes(digest, signing_time)?;
    let signature = identity.sign(&attributes.to_der().map_err(encode)?)?;
    let issuer = identity
        .certificate
        .issuer_name()
        .to_der()
        .map_err(|cause| SignError::Library(cause.into()))?;
    let serial = identity
        .certificate
        .serial_number()
        .to_bn()
        .map_err(|cause| SignError::Library(cause.into()))?;
    let sid = IssuerAndSerialNumber {
        issuer: Name::from_der(&issuer).map_err(encode)?,
        serial_number: SerialNumber::new(&serial.to_vec()).map_err(encode)?,
    };
    Ok(SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(sid),
        digest_alg: AlgorithmIdentifierOwned { oid: SHA256, parameters: None },
        signed_attrs: Some(attributes),
        signature_algorithm: identity.algorithm()?,
        signature: OctetString::new(signature).map_err(encode)?,
        unsigned_attrs: None,
    })
}

fn sign(
    content: Option<&[u8]>,
    digest: Digest,
    identity: &SigningIdentity,
    signing_time: UnixTime,
) -> Result<Vec<u8>, SignError> {
    let encode = |cause: der::Error| SignError::Encode(cause.into());
    let sha256 = AlgorithmIdentifierOwned { oid: SHA256, parameters: None };
    let info = signer_info(digest, identity, signing_time)?;
    let econtent = match content {
        Some(content) => {
            let octets = OctetString::new(content).map_err(encode)?;
            Some(Any::encode_from(&octets).map_err(encode)?)
        }
        None => None,
    };
    let data = SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::try_from(vec![sha256]).map_err(encode)?,
        encap_content_info: EncapsulatedContentInfo { econtent_type: ID_DATA, econtent },
        certificates: Some(certificates(identity)?),
        crls: None,
        signer_infos: SetOfVec::try_from(vec![info]).map_err(encode)?,
    };
    wrap(&data)
}

fn signed_attributes(digest: Digest, time: UnixTime) -> Result<Attributes, SignError> {
    let encode = |cause: der::Error| SignError::Encode(cause.into());
    let one = |oid, value: Any| -> Result<Attribute, SignError> {
        let values = SetOfVec::try_from(vec![value]).map_err(encode)?;
        Ok(Attribute { oid, values })
    };
    let digest = OctetString::new(digest.as_bytes().as_slice()).map_err(encode)?;
    let attributes = vec![
        one(CONTENT_TYPE, Any::encode_from(&ID_DATA).map_err(encode)?)?,
        one(MESSAGE_DIGEST, Any::encode_from(&digest).map_err(encode)?)?,
        one(SIGNING_TIME, asn1_time(time)?)?,
    ];
    SetOfVec::try_from(attributes).map_err(encode)
}

/// Years to 2049 are UTCTime, later ones GeneralizedTime, as RFC 5652 11.3 demands.
fn asn1_time(time: UnixTime) -> Result<Any, SignError> {
    let refused = |_| SignError::Time { seconds: time.0 };
    let seconds = u64::try_from(time.0).map_err(|_| SignError::Time { seconds: time.0 })?;
    let since = Duration::from_secs(seconds);
    let time = match UtcTime::from_unix_duration(since) {
        Ok(short) => Time::UtcTime(short),
        Err(_) => Time::GeneralTime(GeneralizedTime::from_unix_duration(since).map_err(refused)?),
    };
    let der = time.to_der().map_err(|cause| SignError::Encode(cause.into()))?;
    Any::from_der(&der).map_err(|cause| SignError::Encode(cause.into()))
}

fn certificates(identity: &SigningIdentity) -> Result<SetOfVec<Any>, SignError> {
    let mut all = std::collections::BTreeSet::new();
    for certificate in std::iter::once(&identity.certificate).chain(&identity.intermediates) {
        all.insert(certificate.to_der().map_err(|cause| SignError::Library(cause.into()))?);
    }
    let mut set = Vec::new();
    for der in all {
        set.push(Any::from_der(&der).map_err(|cause| SignError::Encode(cause.into()))?);
    }
    SetOfVec::try_from(set).map_err(|cause| SignError::Encode(cause.into()))
}
