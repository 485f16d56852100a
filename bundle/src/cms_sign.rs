// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signs: makes the CMS structure that this crate, RAUC and OpenSSL accept.
//!
//! Built here rather than by OpenSSL's one call, which wants a detached payload in one slice and
//! reads the clock for the signing time. So a payload of any size is signed by its digest, and
//! the same input with an RSA key gives the same bytes. Layout and attributes: see `cms`.

use crate::cms::{
    CONTENT_TYPE, ID_DATA, ID_SIGNED_DATA, MESSAGE_DIGEST, SHA256, SIGNING_TIME, SignedData,
};
use crate::{LibraryFault, UnixTime};
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
use openssl::pkey::{Id, PKey, Private};
use openssl::x509::X509;
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
    /// The structure cannot be encoded.
    #[error("cannot encode the signature")]
    Encode(#[source] LibraryFault),
}

/// Certificate, key and intermediates of a signer.
pub struct SigningIdentity {
    certificate: X509,
    key: PKey<Private>,
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
        Ok(Self { certificate, key, intermediates })
    }

    fn algorithm(&self) -> Result<AlgorithmIdentifierOwned, SignError> {
        match self.key.id() {
            Id::RSA => Ok(AlgorithmIdentifierOwned { oid: RSA, parameters: Some(Any::null()) }),
            Id::EC => Ok(AlgorithmIdentifierOwned { oid: ECDSA_SHA256, parameters: None }),
            _ => Err(SignError::UnsupportedKey),
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

fn sign(
    content: Option<&[u8]>,
    digest: Digest,
    identity: &SigningIdentity,
    signing_time: UnixTime,
) -> Result<Vec<u8>, SignError> {
    let encode = |cause: der::Error| SignError::Encode(cause.into());
    let attributes = signed_attributes(digest, signing_time)?;
    let mut signer = openssl::sign::Signer::new(MessageDigest::sha256(), &identity.key)
        .map_err(|cause| SignError::Library(cause.into()))?;
    let signature = signer
        .sign_oneshot_to_vec(&attributes.to_der().map_err(encode)?)
        .map_err(|cause| SignError::Library(cause.into()))?;

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
    let sha256 = AlgorithmIdentifierOwned { oid: SHA256, parameters: None };
    let info = SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(sid),
        digest_alg: sha256.clone(),
        signed_attrs: Some(attributes),
        signature_algorithm: identity.algorithm()?,
        signature: OctetString::new(signature).map_err(encode)?,
        unsigned_attrs: None,
    };
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
    let content = Any::encode_from(&data).map_err(encode)?;
    ContentInfo { content_type: ID_SIGNED_DATA, content }.to_der().map_err(encode)
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
