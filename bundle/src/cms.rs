// SPDX-License-Identifier: MIT OR Apache-2.0
//! What did the signer sign, and is the signature the signer's?
//!
//! A CMS structure is read twice: by a strict DER parser, which tells what is in it, and by
//! OpenSSL, which verifies it. Two parsers of one attack surface must not disagree, so that
//! * only canonical DER passes: what was parsed, encoded again, must be the same bytes;
//! * exactly one SignerInfo is allowed, in both readers (of several, each chain is judged first,
//!   so that the refusal names a signer whom nobody knows);
//! * no set has so many members that sorting them would take long (`cms_shape.rs`);
//! * OpenSSL gets the one certificate that we chose, and is forbidden to look for another.
//!
//! OpenSSL wants the payload of a detached signature in one slice. A payload may be larger than
//! the device's memory, so there the signature over the *signed attributes* is verified and the
//! payload's digest, streamed, is compared with the attribute that the signature covers. That is
//! sound only when the attributes are there: they are required, always, each exactly once.
//! Requiring them for attached content too closes the known confusion of CMS, where the DER of
//! one structure's attributes passes as the content of another that has none.
//!
//! ```text
//! ContentInfo { contentType, [0] SignedData {
//!     version, digestAlgorithms, encapContentInfo { id-data, [0] content? },
//!     [0] certificates?, [1] crls?, signerInfos: SET of exactly one {
//!         version, sid, digestAlgorithm, [0] signedAttrs { contentType, messageDigest,
//!         signingTime? }, signatureAlgorithm, signature, [1] unsignedAttrs? } } }
//! ```
//! Source: RFC 5652, sections 3, 5 and 11.

use crate::cms_shape::{MAX_MEMBERS, sets_are_small};
use crate::keyring::stack_of;
use crate::{CheckTime, Keyring, Notice, SignatureError, Signer, UnixTime};
use cms::cert::IssuerAndSerialNumber;
use cms::cert::x509::attr::Attributes;
use cms::cert::x509::time::Time;
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{DigestAlgorithmIdentifiers, EncapsulatedContentInfo};
use cms::signed_data::{SignerIdentifier, SignerInfo};
use der::asn1::{ObjectIdentifier, OctetString, SetOfVec};
use der::{Any, Decode, Encode, Sequence};
use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::x509::{X509, X509Ref};

pub(crate) const ID_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
pub(crate) const ID_SIGNED_DATA: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
pub(crate) const ID_ENVELOPED_DATA: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.3");
pub(crate) const CONTENT_TYPE: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
pub(crate) const MESSAGE_DIGEST: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
pub(crate) const SIGNING_TIME: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.5");
pub(crate) const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");

/// As in RFC 5652; certificates stay as they are, since only OpenSSL judges them.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(crate) struct SignedData {
    pub version: CmsVersion,
    pub digest_algorithms: DigestAlgorithmIdentifiers,
    pub encap_content_info: EncapsulatedContentInfo,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", constructed = "true", optional = "true")]
    pub certificates: Option<SetOfVec<Any>>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", constructed = "true", optional = "true")]
    pub crls: Option<SetOfVec<Any>>,
    pub signer_infos: SetOfVec<SignerInfo>,
}

/// A well-formed signature; nothing in it is believed yet.
pub(crate) struct UntrustedSignature {
    der: Vec<u8>,
    content: Option<Vec<u8>>,
    certificates: Vec<X509>,
    /// Never empty.
    signers: Vec<ClaimedSigner>,
}

/// What one SignerInfo claims.
struct ClaimedSigner {
    certificate: X509,
    digest: MessageDigest,
    attributes: Option<ClaimedAttributes>,
}

struct ClaimedAttributes {
    message_digest: Vec<u8>,
    signing_time: Option<UnixTime>,
}

/// Whether a signature without signed attributes will do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AttributesRule {
    Required,
    Optional,
}

/// A signature that the keyring vouches for, with what it covers.
pub(crate) struct VerifiedSignature {
    pub signer: Signer,
    pub covers: Covers,
    pub notices: Vec<Notice>,
}

/// What a signature covers.
pub(crate) enum Covers {
    /// These bytes, which came with it.
    Content(Vec<u8>),
    /// Whatever has this digest.
    Detached {
        /// How to compute it.
        digest: MessageDigest,
        /// What it must be.
        expected: Vec<u8>,
    },
}

impl UntrustedSignature {
    /// Reads the structure.
    pub fn parse(cms: &[u8]) -> Result<Self, SignatureError> {
        let data = signed_data(cms)?;
        let infos = data.signer_infos.as_slice();
        if infos.is_empty() {
            return Err(SignatureError::SignerCount { found: 0 });
        }
        if data.encap_content_info.econtent_type != ID_DATA {
            return Err(SignatureError::SignedContentType);
        }
        let certificates = certificates_of(&data)?;
        let content = match data.encap_content_info.econtent {
            Some(content) => {
                let content: OctetString =
                    content.decode_as().map_err(|cause| SignatureError::Malformed(cause.into()))?;
                Some(content.into_bytes())
            }
            None => None,
        };
        let signers: Result<_, _> =
            infos.iter().map(|info| claimed_signer(info, &certificates)).collect();
        Ok(Self { der: cms.to_owned(), content, certificates, signers: signers? })
    }

    /// Judges the certificate of each signer, then that there is one, then the signature over the
    /// signed attributes, then (for attached content) the content. Of a detached payload nothing
    /// is known yet.
    pub fn verify(
        self,
        keyring: &Keyring,
        time: CheckTime,
    ) -> Result<VerifiedSignature, SignatureError> {
        self.verify_by(keyring, time, AttributesRule::Required)
    }

    /// As [`Self::verify`], for the maker of a bundle who looks at a signature that another tool
    /// made: over attached content one without signed attributes will do. Readers refuse it.
    pub fn verify_foreign(
        self,
        keyring: &Keyring,
        time: CheckTime,
    ) -> Result<VerifiedSignature, SignatureError> {
        self.verify_by(keyring, time, AttributesRule::Optional)
    }

    fn verify_by(
        mut self,
        keyring: &Keyring,
        time: CheckTime,
        rule: AttributesRule,
    ) -> Result<VerifiedSignature, SignatureError> {
        let library = |cause: ErrorStack| SignatureError::Library(cause.into());
        let untrusted = stack_of(&self.certificates).map_err(library)?;
        let mut judged = Vec::new();
        for claimed in &self.signers {
            let signing_time = claimed.attributes.as_ref().and_then(|known| known.signing_time);
            let moment = match time {
                CheckTime::At(moment) => Some(moment),
                CheckTime::SigningTime => Some(signing_time.ok_or(SignatureError::NoSigningTime)?),
                CheckTime::Skip => None,
            };
            let (chain, notices) = keyring.judge(&claimed.certificate, &untrusted, moment)?;
            judged.push((Signer { chain, signing_time }, notices));
        }
        let (found, only) = (self.signers.len(), self.signers.pop().filter(|_| judged.len() == 1));
        let (Some(claimed), Some((signer, notices))) = (only, judged.pop()) else {
            return Err(SignatureError::SignerCount { found });
        };
        let optional = rule == AttributesRule::Optional && self.content.is_some();
        if claimed.attributes.is_none() && !optional {
            return Err(SignatureError::NoSignedAttributes);
        }
        let output = self.check_signature(&claimed.certificate)?;
        let covers = match (self.content.take(), claimed.attributes) {
            (None, attributes) => Covers::Detached {
                digest: claimed.digest,
                expected: attributes.map(|known| known.message_digest).unwrap_or_default(),
            },
            // The two parsers saw different content: one of them was fooled.
            (Some(content), _) if content != output => return Err(SignatureError::NotCanonical),
            (Some(content), _) => Covers::Content(content),
        };
        Ok(VerifiedSignature { signer, covers, notices })
    }

    /// OpenSSL's verdict on the signature of `signer`, and the content that it saw.
    fn check_signature(&self, signer: &X509) -> Result<Vec<u8>, SignatureError> {
        let library = |cause: ErrorStack| SignatureError::Library(cause.into());
        let mut flags =
            CMSOptions::BINARY | CMSOptions::NO_SIGNER_CERT_VERIFY | CMSOptions::NOINTERN;
        if self.content.is_none() {
            flags |= CMSOptions::NO_CONTENT_VERIFY;
        }
        let only = stack_of(std::slice::from_ref(signer)).map_err(library)?;
        let nothing: &[u8] = &[];
        let detached = self.content.is_none().then_some(nothing);
        let mut output = Vec::new();
        CmsContentInfo::from_der(&self.der)
            .map_err(library)?
            .verify(Some(&only), None, detached, Some(&mut output), flags)
            .map_err(|cause| SignatureError::Mismatch(cause.into()))?;
        Ok(output)
    }

    /// Whether every signer signed attributes, without which [`Self::verify`] refuses.
    pub fn has_attributes(&self) -> bool {
        self.signers.iter().all(|claimed| claimed.attributes.is_some())
    }

    /// The attached content, unverified, for a look without a keyring.
    pub fn unverified_content(self) -> Option<Vec<u8>> {
        self.content
    }
}

/// The certificates that came with a signature; nobody vouches for them.
pub(crate) fn certificates(cms: &[u8]) -> Result<Vec<X509>, SignatureError> {
    certificates_of(&signed_data(cms)?)
}

fn certificates_of(data: &SignedData) -> Result<Vec<X509>, SignatureError> {
    let mut certificates = Vec::new();
    for any in data.certificates.iter().flat_map(|set| set.iter()) {
        let der = any.to_der().map_err(|cause| SignatureError::Malformed(cause.into()))?;
        certificates
            .push(X509::from_der(&der).map_err(|cause| SignatureError::Certificate(cause.into()))?);
    }
    Ok(certificates)
}

fn claimed_signer(
    info: &SignerInfo,
    certificates: &[X509],
) -> Result<ClaimedSigner, SignatureError> {
    let attributes = match &info.signed_attrs {
        None => None,
        Some(attributes) => {
            let content_type: ObjectIdentifier =
                attribute(attributes, CONTENT_TYPE, "contentType")?
                    .ok_or(missing("contentType"))?;
            if content_type != ID_DATA {
                return Err(SignatureError::SignedContentType);
            }
            let digest: OctetString = attribute(attributes, MESSAGE_DIGEST, "messageDigest")?
                .ok_or(missing("messageDigest"))?;
            let time: Option<Time> = attribute(attributes, SIGNING_TIME, "signingTime")?;
            Some(ClaimedAttributes {
                message_digest: digest.into_bytes(),
                signing_time: time.map(unix_time),
            })
        }
    };
    Ok(ClaimedSigner {
        certificate: find_signer(&info.sid, certificates)?,
        digest: digest_of(info.digest_alg.oid)?,
        attributes,
    })
}

pub(crate) fn signed_data(cms: &[u8]) -> Result<SignedData, SignatureError> {
    if !sets_are_small(cms) {
        return Err(SignatureError::TooManyMembers { limit: MAX_MEMBERS });
    }
    let info =
        ContentInfo::from_der(cms).map_err(|cause| SignatureError::Malformed(cause.into()))?;
    if info.content_type == ID_ENVELOPED_DATA {
        return Err(SignatureError::Encrypted);
    }
    if info.content_type != ID_SIGNED_DATA {
        return Err(SignatureError::ContentType { found: info.content_type.to_string() });
    }
    let data: SignedData =
        info.content.decode_as().map_err(|cause| SignatureError::Malformed(cause.into()))?;
    let again = Any::encode_from(&data)
        .and_then(|content| ContentInfo { content_type: ID_SIGNED_DATA, content }.to_der())
        .map_err(|cause| SignatureError::Malformed(cause.into()))?;
    if again != cms {
        return Err(SignatureError::NotCanonical);
    }
    Ok(data)
}

fn missing(attribute: &'static str) -> SignatureError {
    SignatureError::Attribute { attribute, found: 0 }
}

/// The value of an attribute that occurs at most once and with exactly one value.
fn attribute<T>(
    attributes: &Attributes,
    oid: ObjectIdentifier,
    name: &'static str,
) -> Result<Option<T>, SignatureError>
where
    T: for<'a> Decode<'a>,
{
    let mut values = Vec::new();
    let mut occurs = 0;
    for attribute in attributes.iter().filter(|attribute| attribute.oid == oid) {
        occurs += 1;
        values.extend(attribute.values.iter());
    }
    match values.as_slice() {
        [] if occurs == 0 => Ok(None),
        [value] if occurs == 1 => {
            let der = value.to_der().map_err(|cause| SignatureError::Malformed(cause.into()))?;
            T::from_der(&der).map(Some).map_err(|cause| SignatureError::Malformed(cause.into()))
        }
        _ => Err(SignatureError::Attribute { attribute: name, found: occurs.max(values.len()) }),
    }
}

fn unix_time(time: Time) -> UnixTime {
    // Years of ASN.1 end at 9999, far below i64.
    UnixTime(i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX))
}

fn digest_of(oid: ObjectIdentifier) -> Result<MessageDigest, SignatureError> {
    match oid {
        SHA256 => Ok(MessageDigest::sha256()),
        SHA384 => Ok(MessageDigest::sha384()),
        SHA512 => Ok(MessageDigest::sha512()),
        other => Err(SignatureError::DigestAlgorithm { found: other.to_string() }),
    }
}

/// The certificate that the signature names; an ambiguous name is refused.
fn find_signer(sid: &SignerIdentifier, certificates: &[X509]) -> Result<X509, SignatureError> {
    let mut found: Vec<&X509> = Vec::new();
    for certificate in certificates {
        if names(sid, certificate)? {
            found.push(certificate);
        }
    }
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        others => Err(SignatureError::SignerCertificate { found: others.len() }),
    }
}

fn names(sid: &SignerIdentifier, certificate: &X509Ref) -> Result<bool, SignatureError> {
    match sid {
        SignerIdentifier::IssuerAndSerialNumber(name) => names_certificate(name, certificate),
        SignerIdentifier::SubjectKeyIdentifier(key) => Ok(certificate
            .subject_key_id()
            .is_some_and(|found| found.as_slice() == key.0.as_bytes())),
    }
}

/// Whether `name` is that of `certificate`.
pub(crate) fn names_certificate(
    name: &IssuerAndSerialNumber,
    certificate: &X509Ref,
) -> Result<bool, SignatureError> {
    let library = |cause: ErrorStack| SignatureError::Library(cause.into());
    let issuer = certificate.issuer_name().to_der().map_err(library)?;
    let serial = certificate.serial_number().to_bn().map_err(library)?;
    let wanted = name.issuer.to_der().map_err(|cause| SignatureError::Malformed(cause.into()))?;
    // Serial numbers are positive; the leading zero of DER is no digit.
    let digits: &[u8] = match name.serial_number.as_bytes() {
        [0, rest @ ..] => rest,
        all => all,
    };
    Ok(issuer == wanted && !serial.is_negative() && serial.to_vec() == digits)
}
