// SPDX-License-Identifier: MIT OR Apache-2.0
//! Throw-away keys for the demonstration and for tests.
//!
//! Every subject says that it is a development certificate, so that no one mistakes a device that
//! trusts it for a production one. Never writes anything to disk. Keys are drawn from OpenSSL's
//! generator; times and serial numbers are arguments.

use crate::{LibraryFault, UnixTime};
use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectKeyIdentifier,
};
use openssl::x509::{X509, X509Name, X509NameRef};

/// The mark in every subject.
const MARK: &str = "DEVELOPMENT - do not trust";

/// Ten years and some: longer than any board stands on a desk.
const DEFAULT_LIFETIME_SECS: i64 = 10 * 366 * 86_400;

/// The keys could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make development keys for {name:?}")]
pub struct DevelopmentPkiError {
    /// The name they were wanted for.
    pub name: String,
    #[source]
    source: LibraryFault,
}

/// What the signer's certificate says it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extended {
    /// No extended key usage: good for anything.
    Absent,
    /// E-mail protection, which RAUC's default purpose asks for.
    EmailProtection,
    /// Code signing.
    CodeSigning,
    /// TLS server: unfit for bundles.
    TlsServer,
}

/// Who signs the signer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intermediate {
    /// The CA itself.
    None,
    /// One CA between.
    One,
}

/// What tests turn; [`DevelopmentPkiOptions::new`] is what the demonstration uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DevelopmentPkiOptions {
    /// From when all certificates are valid.
    pub not_before: UnixTime,
    /// Until when the CA is valid.
    pub ca_not_after: UnixTime,
    /// Until when the signer is valid.
    pub signer_not_after: UnixTime,
    /// Purpose of the signer.
    pub extended: Extended,
    /// Whether there is a CA between.
    pub intermediate: Intermediate,
    /// Serial of the CA; the intermediate and the signer take the next two.
    pub serial: u32,
}

impl DevelopmentPkiOptions {
    /// Valid from a day before `now` (clocks of boards are late) for ten years.
    #[must_use]
    pub fn new(now: UnixTime) -> Self {
        let until = UnixTime(now.0.saturating_add(DEFAULT_LIFETIME_SECS));
        Self {
            not_before: UnixTime(now.0.saturating_sub(86_400)),
            ca_not_after: until,
            signer_not_after: until,
            extended: Extended::Absent,
            intermediate: Intermediate::None,
            serial: 1,
        }
    }
}

/// A CA, a signer and what lies between, all PEM.
#[derive(Clone)]
pub struct DevelopmentPki {
    /// The CA's certificate: what goes into a keyring.
    pub ca_cert_pem: Vec<u8>,
    /// The certificates between CA and signer; empty without one.
    pub intermediate_pem: Vec<u8>,
    /// The signer's certificate.
    pub signer_cert_pem: Vec<u8>,
    /// The signer's private key, unprotected.
    pub signer_key_pem: Vec<u8>,
}

impl std::fmt::Debug for DevelopmentPki {
    /// Leaves the key out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DevelopmentPki")
            .field("ca_cert_pem", &String::from_utf8_lossy(&self.ca_cert_pem))
            .finish_non_exhaustive()
    }
}

impl DevelopmentPki {
    /// Makes fresh P-256 keys and their certificates; `name` becomes part of every subject.
    ///
    /// # Errors
    /// [`DevelopmentPkiError`] when OpenSSL refuses.
    pub fn generate(
        name: &str,
        options: &DevelopmentPkiOptions,
    ) -> Result<Self, DevelopmentPkiError> {
        build(name, options).map_err(|cause| {
            let source = cause.into();
            DevelopmentPkiError { name: name.to_owned(), source }
        })
    }
}

fn build(name: &str, options: &DevelopmentPkiOptions) -> Result<DevelopmentPki, ErrorStack> {
    let ca_key = new_key()?;
    let ca_name = subject(name, "CA")?;
    let ca = Role { serial: options.serial, not_after: options.ca_not_after, is: Is::Authority };
    let ca_cert = certify(&ca, options, (&ca_name, &ca_key), (&ca_name, &ca_key, None))?;

    let signer_key = new_key()?;
    let signer_name = subject(name, "signer")?;
    let signer = Role {
        serial: options.serial.wrapping_add(2),
        not_after: options.signer_not_after,
        is: Is::Signer(options.extended),
    };
    let leaf = (&*signer_name, &signer_key);
    let (intermediate_pem, signer_cert) = match options.intermediate {
        Intermediate::None => {
            (Vec::new(), certify(&signer, options, leaf, (&ca_name, &ca_key, Some(&ca_cert)))?)
        }
        Intermediate::One => {
            let key = new_key()?;
            let between = subject(name, "intermediate CA")?;
            let role = Role { serial: options.serial.wrapping_add(1), ..ca };
            let cert =
                certify(&role, options, (&between, &key), (&ca_name, &ca_key, Some(&ca_cert)))?;
            (cert.to_pem()?, certify(&signer, options, leaf, (&between, &key, Some(&cert)))?)
        }
    };
    Ok(DevelopmentPki {
        ca_cert_pem: ca_cert.to_pem()?,
        intermediate_pem,
        signer_cert_pem: signer_cert.to_pem()?,
        signer_key_pem: signer_key.private_key_to_pem_pkcs8()?,
    })
}

/// What tells the certificates of one PKI apart.
struct Role {
    serial: u32,
    not_after: UnixTime,
    is: Is,
}

enum Is {
    Authority,
    Signer(Extended),
}

fn new_key() -> Result<PKey<Private>, ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    PKey::from_ec_key(EcKey::generate(&group)?)
}

fn subject(name: &str, role: &str) -> Result<X509Name, ErrorStack> {
    let mut subject = X509Name::builder()?;
    subject.append_entry_by_nid(Nid::ORGANIZATIONNAME, MARK)?;
    subject.append_entry_by_nid(Nid::COMMONNAME, &format!("{name} {role}"))?;
    Ok(subject.build())
}

fn certify(
    role: &Role,
    options: &DevelopmentPkiOptions,
    (subject, key): (&X509NameRef, &PKey<Private>),
    (issuer, issuer_key, issuer_cert): (&X509NameRef, &PKey<Private>, Option<&X509>),
) -> Result<X509, ErrorStack> {
    let mut cert = X509::builder()?;
    cert.set_version(2)?;
    let serial = Asn1Integer::from_bn(&*BigNum::from_u32(role.serial)?)?;
    cert.set_serial_number(&serial)?;
    cert.set_subject_name(subject)?;
    cert.set_issuer_name(issuer)?;
    cert.set_pubkey(key)?;
    cert.set_not_before(&*Asn1Time::from_unix(options.not_before.0)?)?;
    cert.set_not_after(&*Asn1Time::from_unix(role.not_after.0)?)?;
    match role.is {
        Is::Authority => {
            cert.append_extension(BasicConstraints::new().critical().ca().build()?)?;
            let usage = KeyUsage::new().critical().key_cert_sign().crl_sign().build()?;
            cert.append_extension(usage)?;
        }
        Is::Signer(extended) => {
            cert.append_extension(BasicConstraints::new().critical().build()?)?;
            cert.append_extension(KeyUsage::new().critical().digital_signature().build()?)?;
            if let Some(usage) = extended_usage(extended)? {
                cert.append_extension(usage)?;
            }
        }
    }
    let issuer_cert = issuer_cert.map(|cert| &**cert);
    let id = SubjectKeyIdentifier::new().build(&cert.x509v3_context(issuer_cert, None))?;
    cert.append_extension(id)?;
    if issuer_cert.is_some() {
        let context = cert.x509v3_context(issuer_cert, None);
        let id = AuthorityKeyIdentifier::new().keyid(true).build(&context)?;
        cert.append_extension(id)?;
    }
    cert.sign(issuer_key, MessageDigest::sha256())?;
    Ok(cert.build())
}

fn extended_usage(extended: Extended) -> Result<Option<openssl::x509::X509Extension>, ErrorStack> {
    let mut usage = ExtendedKeyUsage::new();
    match extended {
        Extended::Absent => return Ok(None),
        Extended::EmailProtection => usage.email_protection(),
        Extended::CodeSigning => usage.code_signing(),
        Extended::TlsServer => usage.server_auth(),
    };
    usage.build().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_800_000_000);

    fn cert(pem: &[u8]) -> X509 {
        X509::from_pem(pem).unwrap()
    }

    #[test]
    fn chain_holds_and_every_subject_warns() {
        let mut options = DevelopmentPkiOptions::new(NOW);
        options.intermediate = Intermediate::One;
        let pki = DevelopmentPki::generate("demo", &options).unwrap();
        let (ca, between, signer) =
            (cert(&pki.ca_cert_pem), cert(&pki.intermediate_pem), cert(&pki.signer_cert_pem));
        assert!(between.verify(&ca.public_key().unwrap()).unwrap());
        assert!(signer.verify(&between.public_key().unwrap()).unwrap());
        assert!(!signer.verify(&ca.public_key().unwrap()).unwrap());
        for cert in [&ca, &between, &signer] {
            assert!(format!("{:?}", cert.subject_name()).contains(MARK));
        }
    }

    #[test]
    fn times_and_serials_are_those_asked_for() {
        let mut options = DevelopmentPkiOptions::new(NOW);
        options.signer_not_after = UnixTime(NOW.0 - 10);
        options.serial = 41;
        let pki = DevelopmentPki::generate("demo", &options).unwrap();
        let signer = cert(&pki.signer_cert_pem);
        assert!(*signer.not_after() == *Asn1Time::from_unix(NOW.0 - 10).unwrap());
        assert!(*signer.not_before() == *Asn1Time::from_unix(NOW.0 - 86_400).unwrap());
        assert_eq!(signer.serial_number().to_bn().unwrap(), BigNum::from_u32(43).unwrap());
    }

    #[test]
    fn debug_output_keeps_the_key_secret() {
        let pki = DevelopmentPki::generate("demo", &DevelopmentPkiOptions::new(NOW)).unwrap();
        assert!(!format!("{pki:?}").contains("PRIVATE"));
    }
}
