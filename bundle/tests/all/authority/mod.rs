// SPDX-License-Identifier: MIT OR Apache-2.0
//! A certificate authority of the tests, with every knob that a verifier must notice.

use bundle::{SigningIdentity, UnixTime};
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage};
use openssl::x509::{X509, X509Builder, X509NameBuilder};

/// The moment at which the tests happen.
pub const NOW: UnixTime = UnixTime(1_790_000_000);
pub const DAY: i64 = 86_400;

/// Key and certificate.
pub struct Holder {
    pub certificate: X509,
    pub key: PKey<Private>,
}

/// What a certificate may be used for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Authority,
    Signing,
    CodeSigning,
    /// For code signing, without a word on its key.
    CodeSigningOnly,
    TlsServer,
}

impl Holder {
    pub fn root(name: &str) -> Self {
        Self::issue(None, name, Use::Authority, (NOW.0 - 100 * DAY, NOW.0 + 100 * DAY), 1)
    }

    pub fn signer(&self, name: &str, used: Use, serial: u32) -> Self {
        Self::issue(Some(self), name, used, (NOW.0 - 10 * DAY, NOW.0 + 10 * DAY), serial)
    }

    pub fn issue(
        issuer: Option<&Self>,
        name: &str,
        used: Use,
        (from, to): (i64, i64),
        serial: u32,
    ) -> Self {
        // Elliptic keys are made in no time; RSA signatures are the judges' and fixtures' matter.
        let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = PKey::from_ec_key(EcKey::generate(&curve).unwrap()).unwrap();
        let mut subject = X509NameBuilder::new().unwrap();
        subject.append_entry_by_text("O", "tests").unwrap();
        subject.append_entry_by_text("CN", name).unwrap();
        let subject = subject.build();
        let mut builder = X509Builder::new().unwrap();
        builder.set_version(2).unwrap();
        let serial = BigNum::from_u32(serial).unwrap().to_asn1_integer().unwrap();
        builder.set_serial_number(&serial).unwrap();
        builder.set_subject_name(&subject).unwrap();
        let issuer_name = issuer.map_or(subject.as_ref(), |i| i.certificate.subject_name());
        builder.set_issuer_name(issuer_name).unwrap();
        builder.set_pubkey(&key).unwrap();
        builder.set_not_before(&Asn1Time::from_unix(from).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::from_unix(to).unwrap()).unwrap();
        if used == Use::Authority {
            let extension = BasicConstraints::new().critical().ca().build().unwrap();
            builder.append_extension(extension).unwrap();
            let usage = KeyUsage::new().critical().key_cert_sign().crl_sign().build().unwrap();
            builder.append_extension(usage).unwrap();
        } else if used != Use::CodeSigningOnly {
            let usage = KeyUsage::new().critical().digital_signature().build().unwrap();
            builder.append_extension(usage).unwrap();
        }
        if matches!(used, Use::CodeSigning | Use::CodeSigningOnly) {
            builder
                .append_extension(ExtendedKeyUsage::new().code_signing().build().unwrap())
                .unwrap();
        }
        if used == Use::TlsServer {
            builder
                .append_extension(ExtendedKeyUsage::new().server_auth().build().unwrap())
                .unwrap();
        }
        builder.sign(issuer.map_or(&key, |i| &i.key), MessageDigest::sha256()).unwrap();
        Self { certificate: builder.build(), key }
    }

    pub fn certificate_pem(&self) -> Vec<u8> {
        self.certificate.to_pem().unwrap()
    }

    pub fn key_pem(&self) -> Vec<u8> {
        self.key.private_key_to_pem_pkcs8().unwrap()
    }

    pub fn identity(&self) -> SigningIdentity {
        SigningIdentity::from_pem(&self.certificate_pem(), &self.key_pem(), b"").unwrap()
    }
}
