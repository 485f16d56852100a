// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who signed this bundle? Facts for people and for hooks; no decisions.

use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::x509::{X509NameRef, X509Ref};
use std::fmt::Write as _;
use storage::Digest;

/// Seconds since 1970-01-01 00:00:00 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(pub i64);

/// The signer whom the keyring vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The signer's certificate first, the trust anchor last; never empty.
    pub chain: Vec<CertificateInfo>,
    /// The signed signing time, when the signature has one.
    pub signing_time: Option<UnixTime>,
}

/// What a certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateInfo {
    /// Distinguished name of the holder, `O = …, CN = …`.
    pub subject: String,
    /// Distinguished name of the issuer.
    pub issuer: String,
    /// SHA-256 of the public key (SubjectPublicKeyInfo, DER).
    pub spki_sha256: Digest,
    /// First moment of validity.
    pub not_before: UnixTime,
    /// Last moment of validity.
    pub not_after: UnixTime,
}

impl CertificateInfo {
    /// The key's hash as RAUC shows it: upper-case pairs with colons.
    #[must_use]
    pub fn spki_with_colons(&self) -> String {
        let pairs: Vec<String> =
            self.spki_sha256.as_bytes().iter().map(|byte| format!("{byte:02X}")).collect();
        pairs.join(":")
    }

    pub(crate) fn of(certificate: &X509Ref) -> Result<Self, ErrorStack> {
        let spki = certificate.public_key()?.public_key_to_der()?;
        Ok(Self {
            subject: name_text(certificate.subject_name())?,
            issuer: name_text(certificate.issuer_name())?,
            spki_sha256: Digest::from_bytes(openssl::sha::sha256(&spki)),
            not_before: unix_time(certificate.not_before())?,
            not_after: unix_time(certificate.not_after())?,
        })
    }
}

fn name_text(name: &X509NameRef) -> Result<String, ErrorStack> {
    let mut text = String::new();
    for entry in name.entries() {
        let key = match entry.object().nid() {
            Nid::UNDEF => entry.object().to_string(),
            nid => nid.short_name()?.to_owned(),
        };
        let value = entry.data().to_string().unwrap_or_default();
        let gap = if text.is_empty() { "" } else { ", " };
        // Control characters in a name could rewrite the terminal that shows it.
        let value: String = value.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        // Writing to a String cannot fail.
        let _ = write!(text, "{gap}{key} = {value}");
    }
    Ok(text)
}

fn unix_time(time: &Asn1TimeRef) -> Result<UnixTime, ErrorStack> {
    let span = Asn1Time::from_unix(0)?.diff(time)?;
    Ok(UnixTime(i64::from(span.days) * 86_400 + i64::from(span.secs)))
}
