// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is this request an administrator's? Decided from its head, from cheap to dear.

use super::armor::parse_armored;
use super::{AdminSigners, Denied, DeviceId, Nonce, NonceStore, SignedRequest, Uptime};
use crate::model::decode_base64;
use storage::Digest;

/// Header of the nonce.
pub const NONCE_HEADER: &str = "x-atomixos-nonce";
/// Header of the signature: the armored text in base64, since a header has one line.
pub const SIGNATURE_HEADER: &str = "x-atomixos-signature";
/// Header of the body's SHA-256, in hexadecimal.
pub const DIGEST_HEADER: &str = "x-atomixos-sha256";

/// SHA-256 of nothing: a request without a body need not say it.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Longest header of a signature: base64 of the longest armored text.
const MAX_SIGNATURE_HEADER_BYTES: usize = super::armor::MAX_ARMORED_BYTES / 3 * 4 + 4;

/// What a request's head says, as it came; absent headers are `None`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Claim<'r> {
    /// The method.
    pub method: &'r str,
    /// Path and query as sent.
    pub target: &'r str,
    /// `Content-Type`.
    pub content_type: Option<&'r str>,
    /// `X-Config-Filename`.
    pub file_name: Option<&'r str>,
    /// `If-Match`.
    pub if_match: Option<&'r str>,
    /// `X-AtomixOS-Nonce`.
    pub nonce: Option<&'r str>,
    /// `X-AtomixOS-Signature`.
    pub signature: Option<&'r str>,
    /// `X-AtomixOS-SHA256`.
    pub sha256: Option<&'r str>,
    /// Whether a body is announced.
    pub body: Body,
}

/// Whether a request has a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// It has none.
    #[default]
    Absent,
    /// One is announced.
    Announced,
}

/// The proof that an administrator asked, and what the body has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    fingerprint: String,
    body_sha256: Digest,
}

impl Verified {
    /// The key that signed, as OpenSSH prints it.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// What the body was promised to be.
    #[must_use]
    pub const fn body_sha256(&self) -> Digest {
        self.body_sha256
    }
}

/// Believes a request, or says why not. A nonce is used up as soon as the arithmetic begins,
/// whatever comes out: so one nonce costs one verification.
///
/// # Errors
/// [`Denied`].
pub fn authenticate(
    claim: &Claim<'_>,
    device: &DeviceId,
    signers: &AdminSigners,
    nonces: &mut NonceStore,
    now: Uptime,
) -> Result<Verified, Denied> {
    if signers.is_empty() {
        return Err(Denied::NoSigners);
    }
    let nonce_text = claim.nonce.ok_or(Denied::Missing { name: NONCE_HEADER })?;
    let nonce = Nonce::parse(nonce_text).ok_or(Denied::Malformed { name: NONCE_HEADER })?;
    if !nonces.knows(&nonce, now) {
        return Err(Denied::Nonce);
    }
    let sha256 = match (claim.sha256, claim.body) {
        (Some(text), _) => text,
        (None, Body::Absent) => EMPTY_SHA256,
        (None, Body::Announced) => return Err(Denied::Missing { name: DIGEST_HEADER }),
    };
    let promised = sha256.parse().map_err(|_| Denied::Malformed { name: DIGEST_HEADER })?;
    let encoded = claim.signature.ok_or(Denied::Missing { name: SIGNATURE_HEADER })?;
    let signature = parse_signature_header(encoded)?;
    let key = signers.find(signature.public_key()).ok_or(Denied::UnknownKey)?;
    let request = SignedRequest {
        device,
        nonce: nonce_text,
        method: claim.method,
        target: claim.target,
        content_type: claim.content_type.unwrap_or_default(),
        file_name: claim.file_name.unwrap_or_default(),
        if_match: claim.if_match.unwrap_or_default(),
        sha256,
    };
    let message = request.message().ok_or(Denied::Malformed { name: "target" })?;
    if !nonces.take(&nonce, now) {
        return Err(Denied::Nonce);
    }
    key.verify(&signature, &message).map_err(Denied::Signature)?;
    Ok(Verified { fingerprint: key.fingerprint(), body_sha256: promised })
}

/// The header's value for an armored signature.
#[must_use]
pub fn signature_header(armored: &str) -> String {
    openssl::base64::encode_block(armored.as_bytes())
}

fn parse_signature_header(encoded: &str) -> Result<super::SshSignature, Denied> {
    let malformed = Denied::Malformed { name: SIGNATURE_HEADER };
    if encoded.len() > MAX_SIGNATURE_HEADER_BYTES {
        return Err(malformed);
    }
    let armored = decode_base64(encoded).and_then(|bytes| String::from_utf8(bytes).ok());
    parse_armored(&armored.ok_or(malformed)?).map_err(Denied::Unreadable)
}
