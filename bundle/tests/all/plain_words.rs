// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is said of a refused signature is for people: the libraries' reasons, without their codes,
//! source files and the word that every program begins its messages with; and each cause by its
//! own sentence.

use crate::authority::{DAY, Holder, NOW, Use};
use bundle::{
    CheckTime, Keyring, KeyringOptions, Limits, MemorySource, Purpose, SigningIdentity, UnixTime,
    UntrustedBundle, sign_detached,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use storage::{Digest, chain};

const PAYLOAD: &[u8] = include_bytes!("../../../tests/fixtures/rauc-1.8/plain.raucb");

fn payload() -> &'static [u8] {
    let (rest, trailer) = PAYLOAD.split_last_chunk::<8>().unwrap();
    &rest[..rest.len() - usize::try_from(u64::from_be_bytes(*trailer)).unwrap()]
}

fn signature(holder: &Holder) -> Vec<u8> {
    let digest = Digest::from_bytes(openssl::sha::sha256(payload()));
    sign_detached(digest, &holder.identity(), NOW).unwrap()
}

fn refused(cms: &[u8], keyring: &Keyring, time: UnixTime) -> String {
    let bundle = [payload(), cms, &(cms.len() as u64).to_be_bytes()].concat();
    let source = Arc::new(MemorySource::new("b", bundle));
    let verified = UntrustedBundle::open(source, &Limits::default())
        .and_then(|bundle| bundle.verify(keyring, CheckTime::At(time)));
    chain(&verified.expect_err("verified"))
}

fn is_plain(said: &str) {
    let code = |word: &str| word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let words = said.split(|letter: char| !letter.is_ascii_alphanumeric());
    let problem = if said.to_lowercase().contains("error") {
        "a word that says nothing"
    } else if said.contains("routines") || said.contains(".c:") {
        "the inside of a library"
    } else if words.into_iter().any(code) {
        "a code"
    } else if said.contains("::") || said.ends_with([':', ' ', '.']) {
        "an end that leads nowhere"
    } else if said.split(": ").any(starts_large) {
        "a capital"
    } else {
        return;
    };
    panic!("{problem}: {said}");
}

/// Names such as CMS, PEM and ASN.1 stay as they are.
fn starts_large(part: &str) -> bool {
    let mut letters = part.chars();
    let first = letters.next().is_some_and(char::is_uppercase);
    first && letters.next().is_some_and(char::is_lowercase)
}

#[test]
fn refused_signatures_are_told_apart_in_plain_words() {
    let root = Holder::root("root");
    let keyring = |purpose| {
        let options = KeyringOptions { purpose, ..KeyringOptions::default() };
        Keyring::from_pem(&root.certificate_pem(), options).unwrap()
    };
    let (plain, code) = (keyring(Purpose::SmimeSign), keyring(Purpose::CodeSign));
    let good = signature(&root.signer("signer", Use::Signing, 2));
    let other = Holder::root("other").signer("stranger", Use::Signing, 3);
    let tls = signature(&root.signer("tls", Use::TlsServer, 4));
    let for_code = signature(&root.signer("code", Use::CodeSigning, 5));

    let mut altered = good.clone();
    let last = altered.len() - 1;
    altered[last] ^= 1;
    let mut certificate = good.clone();
    let key =
        certificate.windows(8).position(|bytes| bytes.starts_with(&[6, 7, 0x2a, 0x86])).unwrap();
    certificate[key - 2] = 0x31;
    let mut changed = good.clone();
    let time = changed.windows(2).position(|bytes| bytes == [0x17, 0x0d]).unwrap();
    changed[time + 2] = b'x';

    let said = [
        refused(&altered, &plain, NOW),
        refused(&certificate, &plain, NOW),
        refused(&changed, &plain, NOW),
        refused(b"no signature at all", &plain, NOW),
        refused(&good[..good.len() - 9], &plain, NOW),
        refused(&signature(&other), &plain, NOW),
        refused(&good, &plain, UnixTime(NOW.0 + 20 * DAY)),
        refused(&good, &plain, UnixTime(NOW.0 - 20 * DAY)),
        refused(&tls, &plain, NOW),
        refused(&good, &code, NOW),
    ];
    for text in &said {
        is_plain(text);
    }
    let distinct: BTreeSet<&String> = said.iter().collect();
    assert_eq!(distinct.len(), said.len(), "{said:#?}");
    // The control: nothing is wrong with this one but that its payload is not signed so.
    let bundle = [payload(), &for_code, &(for_code.len() as u64).to_be_bytes()].concat();
    let source = Arc::new(MemorySource::new("b", bundle));
    let opened = UntrustedBundle::open(source, &Limits::default()).unwrap();
    opened.verify(&code, CheckTime::At(NOW)).expect("a good bundle");
}

#[test]
fn malformed_keys_and_keyrings_are_told_in_plain_words() {
    let root = Holder::root("root");
    let (certificate, key) = (root.certificate_pem(), root.key_pem());
    let keyring = |pem: &str| {
        chain(&Keyring::from_pem(pem.as_bytes(), KeyringOptions::default()).expect_err("taken"))
    };
    let text = String::from_utf8(certificate.clone()).unwrap();
    let middle = text.len() / 2;
    let cut = format!("{}\n-----END CERTIFICATE-----\n", &text[..middle]);
    let with_crl = format!("{text}-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n");
    let identity = |certificate: &[u8], key: &[u8], between: &[u8]| match SigningIdentity::from_pem(
        certificate,
        key,
        between,
    ) {
        Ok(_) => panic!("taken"),
        Err(refused) => chain(&refused),
    };
    let said = [
        keyring(""),
        keyring("-----BEGIN CERTIFICATE-----\nnonsense\n"),
        keyring("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        keyring(&cut),
        keyring(&with_crl),
        identity(b"", &key, b""),
        identity(&certificate, b"no key", b""),
        identity(&certificate, &key, b"-----BEGIN CERTIFICATE-----\nnonsense\n"),
        identity(&certificate, &Holder::root("other").key_pem(), b""),
    ];
    for text in &said {
        is_plain(text);
    }
    let bad = "keyring has a malformed certificate: ";
    assert!(said[1..4].iter().all(|text| text.starts_with(bad)), "{said:#?}");
    assert!(said[4].starts_with("keyring has a malformed revocation list: "), "{}", said[4]);
}
