// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every way we know to make a signature look better than it is, refused with its own cause.

mod revocation;

use crate::authority::{DAY, Holder, NOW, Use};
use bundle::{
    BundleError, ChainFaultKind, CheckTime, Keyring, KeyringOptions, Limits, MemorySource, Notice,
    PayloadAlignment, Purpose, SignatureError, TrustAnchors, UnixTime, UntrustedBundle,
    VerityError, sign_attached, sign_detached,
};
use cms::cert::x509::spki::AlgorithmIdentifierOwned;
use cms::content_info::ContentInfo;
use cms::signed_data::{SignedData, SignerInfo, SignerInfos};
use der::asn1::{ObjectIdentifier, OctetString, SetOfVec};
use der::{Any, Decode, Encode};
use std::sync::Arc;
use storage::Digest;

const PLAIN: &[u8] = include_bytes!("../../../../tests/fixtures/rauc-1.8/plain.raucb");
const VERITY: &[u8] = include_bytes!("../../../../tests/fixtures/rauc-1.8/verity.raucb");

fn cut(bundle: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (rest, trailer) = bundle.split_last_chunk::<8>().unwrap();
    let at = rest.len() - usize::try_from(u64::from_be_bytes(*trailer)).unwrap();
    (rest[..at].to_vec(), rest[at..].to_vec())
}

fn glue(payload: &[u8], cms: &[u8]) -> Vec<u8> {
    [payload, cms, &(cms.len() as u64).to_be_bytes()].concat()
}

fn plain_by(holder: &Holder) -> Vec<u8> {
    let payload = cut(PLAIN).0;
    let digest = Digest::from_bytes(openssl::sha::sha256(&payload));
    glue(&payload, &sign_detached(digest, &holder.identity(), NOW).unwrap())
}

fn manifest_text() -> Vec<u8> {
    let info = ContentInfo::from_der(&cut(VERITY).1).unwrap();
    let data: SignedData = info.content.decode_as().unwrap();
    let octets: OctetString = data.encap_content_info.econtent.unwrap().decode_as().unwrap();
    octets.into_bytes()
}

fn verity_by(holder: &Holder) -> Vec<u8> {
    glue(&cut(VERITY).0, &sign_attached(&manifest_text(), &holder.identity(), NOW).unwrap())
}

fn keyring(root: &Holder, options: KeyringOptions) -> Keyring {
    Keyring::from_pem(&root.certificate_pem(), options).unwrap()
}

fn verify(bundle: Vec<u8>, keyring: &Keyring) -> Result<bundle::VerifiedBundle, BundleError> {
    verify_at(bundle, keyring, CheckTime::At(NOW))
}

fn verify_at(
    bundle: Vec<u8>,
    keyring: &Keyring,
    time: CheckTime,
) -> Result<bundle::VerifiedBundle, BundleError> {
    UntrustedBundle::open(Arc::new(MemorySource::new("b", bundle)), &Limits::default())?
        .verify(keyring, time)
}

fn refusal(bundle: Vec<u8>, keyring: &Keyring) -> SignatureError {
    match verify(bundle, keyring) {
        Err(BundleError::Signature(refused)) => refused,
        other => panic!("{other:?}"),
    }
}

/// Rewrites the CMS structure of a bundle.
fn forge(bundle: &[u8], change: impl FnOnce(&mut SignedData)) -> Vec<u8> {
    let (payload, cms) = cut(bundle);
    let info = ContentInfo::from_der(&cms).unwrap();
    let mut data: SignedData = info.content.decode_as().unwrap();
    change(&mut data);
    let content = Any::encode_from(&data).unwrap();
    let info = ContentInfo { content_type: info.content_type, content };
    glue(&payload, &info.to_der().unwrap())
}

fn change_signer(data: &mut SignedData, change: impl FnOnce(&mut SignerInfo)) {
    let mut info = data.signer_infos.0.get(0).unwrap().clone();
    change(&mut info);
    data.signer_infos = SignerInfos(SetOfVec::try_from(vec![info]).unwrap());
}

fn change_attribute(data: &mut SignedData, oid: &str, values: Option<Vec<Any>>) {
    let oid = ObjectIdentifier::new(oid).unwrap();
    change_signer(data, |info| {
        let mut attributes = info.signed_attrs.take().unwrap().into_vec();
        match values {
            None => attributes.retain(|attribute| attribute.oid != oid),
            Some(values) => {
                for attribute in attributes.iter_mut().filter(|attribute| attribute.oid == oid) {
                    attribute.values = SetOfVec::try_from(values.clone()).unwrap();
                }
            }
        }
        info.signed_attrs = Some(SetOfVec::try_from(attributes).unwrap());
    });
}

const CONTENT_TYPE: &str = "1.2.840.113549.1.9.3";
const MESSAGE_DIGEST: &str = "1.2.840.113549.1.9.4";
const SIGNING_TIME: &str = "1.2.840.113549.1.9.5";

fn octets(bytes: &[u8]) -> Any {
    Any::encode_from(&OctetString::new(bytes).unwrap()).unwrap()
}

#[test]
fn honest_bundles_of_both_formats_verify() {
    let root = Holder::root("root");
    let signer = root.signer("signer", Use::Signing, 2);
    let keyring = keyring(&root, KeyringOptions::default());
    for bundle in [plain_by(&signer), verity_by(&signer)] {
        let verified = verify(bundle, &keyring).unwrap();
        assert_eq!(verified.signer().signing_time, Some(NOW));
        let subjects: Vec<_> =
            verified.signer().chain.iter().map(|info| info.subject.as_str()).collect();
        assert_eq!(subjects, ["O = tests, CN = signer", "O = tests, CN = root"]);
        assert_eq!(verified.signer().chain[0].not_after, UnixTime(NOW.0 + 10 * DAY));
    }
}

#[test]
fn forged_attributes_are_refused() {
    let root = Holder::root("root");
    let signer = root.signer("signer", Use::Signing, 2);
    let keyring = keyring(&root, KeyringOptions::default());
    let other = octets(&[0; 32]);
    for bundle in [plain_by(&signer), verity_by(&signer)] {
        let none = forge(&bundle, |data| change_signer(data, |info| info.signed_attrs = None));
        assert!(matches!(refusal(none, &keyring), SignatureError::NoSignedAttributes));
        for (oid, name) in [(CONTENT_TYPE, "contentType"), (MESSAGE_DIGEST, "messageDigest")] {
            let gone = forge(&bundle, |data| change_attribute(data, oid, None));
            assert!(
                matches!(refusal(gone, &keyring), SignatureError::Attribute { attribute, found: 0 } if attribute == name)
            );
            let empty = forge(&bundle, |data| change_attribute(data, oid, Some(vec![])));
            assert!(matches!(refusal(empty, &keyring), SignatureError::Attribute { .. }));
        }
        let two = forge(&bundle, |data| {
            change_attribute(data, MESSAGE_DIGEST, Some(vec![other.clone(), octets(&[1; 32])]));
        });
        assert!(matches!(
            refusal(two, &keyring),
            SignatureError::Attribute { attribute: "messageDigest", found: 2 }
        ));
        // Well formed, so only the signature over the attributes can tell.
        let replaced = forge(&bundle, |data| {
            change_attribute(data, MESSAGE_DIGEST, Some(vec![other.clone()]));
        });
        assert!(matches!(refusal(replaced, &keyring), SignatureError::Mismatch(_)));
        let timeless = forge(&bundle, |data| change_attribute(data, SIGNING_TIME, None));
        assert!(matches!(refusal(timeless, &keyring), SignatureError::Mismatch(_)));
    }
}

#[test]
fn second_messagedigest_attribute_cannot_be_smuggled_in() {
    let root = Holder::root("root");
    let signer = root.signer("signer", Use::Signing, 2);
    let bundle = forge(&plain_by(&signer), |data| {
        change_signer(data, |info| {
            let mut attributes = info.signed_attrs.take().unwrap().into_vec();
            let digest = ObjectIdentifier::new(MESSAGE_DIGEST).unwrap();
            let mut second = attributes.iter().find(|a| a.oid == digest).unwrap().clone();
            second.values = SetOfVec::try_from(vec![octets(&[1; 32])]).unwrap();
            attributes.push(second);
            info.signed_attrs = Some(SetOfVec::try_from(attributes).unwrap());
        });
    });
    let refused = refusal(bundle, &keyring(&root, KeyringOptions::default()));
    assert!(
        matches!(refused, SignatureError::Attribute { attribute: "messageDigest", found: 2 }),
        "{refused:?}"
    );
}

#[test]
fn signers_and_algorithms_other_than_one_known_are_refused() {
    let root = Holder::root("root");
    let signer = root.signer("signer", Use::Signing, 2);
    let keyring = keyring(&root, KeyringOptions::default());
    let bundle = plain_by(&signer);
    let second = forge(&bundle, |data| {
        let first = data.signer_infos.0.get(0).unwrap().clone();
        let mut second = first.clone();
        second.signature = OctetString::new(vec![1; 256]).unwrap();
        data.signer_infos = SignerInfos(SetOfVec::try_from(vec![first, second]).unwrap());
    });
    let refused = refusal(second, &keyring);
    assert_eq!(refused.to_string(), "unsupported number of signers: 2");
    let nobody = forge(&bundle, |data| data.signer_infos = SignerInfos(SetOfVec::new()));
    assert!(matches!(refusal(nobody, &keyring), SignatureError::SignerCount { found: 0 }));
    let sha1 = forge(&bundle, |data| {
        change_signer(data, |info| {
            let oid = ObjectIdentifier::new("1.3.14.3.2.26").unwrap();
            info.digest_alg = AlgorithmIdentifierOwned { oid, parameters: None };
        });
    });
    assert!(matches!(refusal(sha1, &keyring), SignatureError::DigestAlgorithm { .. }));
    let sha512 = forge(&bundle, |data| {
        change_signer(data, |info| {
            let oid = ObjectIdentifier::new("2.16.840.1.101.3.4.2.3").unwrap();
            info.digest_alg = AlgorithmIdentifierOwned { oid, parameters: None };
        });
    });
    assert!(matches!(refusal(sha512, &keyring), SignatureError::Mismatch(_)));
    let bare = forge(&bundle, |data| data.certificates = None);
    assert!(matches!(refusal(bare, &keyring), SignatureError::SignerCertificate { found: 0 }));
}

#[test]
fn attached_content_is_never_a_plain_bundle() {
    let root = Holder::root("root");
    let signer = root.signer("signer", Use::Signing, 2);
    let keyring = keyring(&root, KeyringOptions::default());
    let (payload, _) = cut(PLAIN);
    let inner = b"[update]\ncompatible=x\n";
    let cms = sign_attached(inner, &signer.identity(), NOW).unwrap();
    let refused = verify(glue(&payload, &cms), &keyring).unwrap_err();
    assert!(matches!(refused, BundleError::Manifest(_)), "{refused:?}");
    // Content put beside a detached signature is covered by nothing.
    let added = forge(&plain_by(&signer), |data| {
        data.encap_content_info.econtent = Some(octets(&manifest_text()));
    });
    assert!(matches!(refusal(added, &keyring), SignatureError::Mismatch(_)));
    // Content taken away from an attached signature leaves a digest the payload does not have.
    let taken = forge(&verity_by(&signer), |data| data.encap_content_info.econtent = None);
    let refused = verify(taken, &keyring).unwrap_err();
    assert!(matches!(refused, BundleError::PayloadDigest), "{refused:?}");
}

#[test]
fn signed_attributes_of_one_bundle_are_not_content_of_another() {
    let root = Holder::root("root");
    let signer = root.signer("signer", Use::Signing, 2);
    let keyring = keyring(&root, KeyringOptions::default());
    let confused = forge(&plain_by(&signer), |data| {
        let attributes = data.signer_infos.0.get(0).unwrap().signed_attrs.clone().unwrap();
        data.encap_content_info.econtent = Some(octets(&attributes.to_der().unwrap()));
        change_signer(data, |info| info.signed_attrs = None);
    });
    assert!(matches!(refusal(confused, &keyring), SignatureError::NoSignedAttributes));
}

#[test]
fn changed_payload_and_changed_manifest_are_refused() {
    let root = Holder::root("root");
    let signer = root.signer("signer", Use::Signing, 2);
    let keyring = keyring(&root, KeyringOptions::default());
    for at in [0, 100, cut(PLAIN).0.len() - 1] {
        let mut bundle = plain_by(&signer);
        bundle[at] ^= 1;
        let refused = verify(bundle, &keyring).unwrap_err();
        assert!(matches!(refused, BundleError::PayloadDigest), "{at}: {refused:?}");
    }
    let text = String::from_utf8(manifest_text()).unwrap().replacen('=', "=x", 1);
    let swapped = forge(&verity_by(&signer), |data| {
        data.encap_content_info.econtent = Some(octets(text.as_bytes()));
    });
    assert!(matches!(refusal(swapped, &keyring), SignatureError::Mismatch(_)));
    let mut verity = verity_by(&signer);
    verity[0] ^= 1;
    let verified = verify(verity, &keyring).unwrap();
    let image = verified.manifest().images[0].clone();
    let refused = verified.open_image(&image).unwrap_err();
    assert!(
        matches!(refused, BundleError::Verity(VerityError::Tampered { offset: 0, .. })),
        "{refused:?}"
    );
}

#[test]
fn encodings_that_two_parsers_could_read_differently_are_refused() {
    let root = Holder::root("root");
    let signer = root.signer("signer", Use::Signing, 2);
    let keyring = keyring(&root, KeyringOptions::default());
    let (payload, cms) = cut(&plain_by(&signer));
    let trailing = glue(&payload, &[cms.as_slice(), &[0]].concat());
    assert!(matches!(refusal(trailing, &keyring), SignatureError::Malformed(_)));
    // The outer sequence in the indefinite form, legal in BER.
    let body = cms.get(4..).unwrap();
    let indefinite = glue(&payload, &[&[0x30, 0x80], body, &[0, 0]].concat());
    assert!(matches!(refusal(indefinite, &keyring), SignatureError::Malformed(_)));
    let enveloped = ContentInfo {
        content_type: ObjectIdentifier::new("1.2.840.113549.1.7.3").unwrap(),
        content: Any::null(),
    };
    let encrypted = glue(&payload, &enveloped.to_der().unwrap());
    assert!(matches!(refusal(encrypted, &keyring), SignatureError::Encrypted));
    let garbage = glue(&payload, b"garbage");
    assert!(matches!(refusal(garbage, &keyring), SignatureError::Malformed(_)));
}

#[test]
fn attributes_out_of_order_are_refused_before_openssl_sees_them() {
    let root = Holder::root("root");
    let signer = root.signer("signer", Use::Signing, 2);
    let keyring = keyring(&root, KeyringOptions::default());
    let (payload, mut cms) = cut(&plain_by(&signer));
    let info = ContentInfo::from_der(&cms).unwrap();
    let data: SignedData = info.content.decode_as().unwrap();
    let attributes = data.signer_infos.0.get(0).unwrap().signed_attrs.clone().unwrap();
    let [first, second] = [0, 1].map(|index| attributes.get(index).unwrap().to_der().unwrap());
    let in_order = [first.as_slice(), &second].concat();
    let at = cms.windows(in_order.len()).position(|window| window == in_order).unwrap();
    cms[at..at + in_order.len()].copy_from_slice(&[second, first].concat());
    assert!(matches!(refusal(glue(&payload, &cms), &keyring), SignatureError::NotCanonical));
}

#[test]
fn images_that_contradict_the_signed_manifest_are_refused_by_name() {
    let root = Holder::root("root");
    let signer = root.signer("signer", Use::Signing, 2);
    let keyring = keyring(&root, KeyringOptions::default());
    let text = String::from_utf8(manifest_text()).unwrap();
    let open = |key: &str, value: &str| {
        let mut in_image = false;
        let changed: Vec<String> = text
            .lines()
            .map(|line| {
                in_image =
                    if line.starts_with('[') { line.starts_with("[image") } else { in_image };
                let hit = in_image && line.starts_with(&format!("{key}="));
                if hit { format!("{key}={value}") } else { line.to_owned() }
            })
            .collect();
        let text = changed.join("\n") + "\n";
        assert_ne!(text.as_bytes(), manifest_text());
        let cms = sign_attached(text.as_bytes(), &signer.identity(), NOW).unwrap();
        let verified = verify(glue(&cut(VERITY).0, &cms), &keyring).unwrap();
        let image = verified.manifest().images[0].clone();
        let mut stream = verified.open_image(&image)?;
        std::io::copy(&mut stream, &mut std::io::sink())
            .map(|_| ())
            .map_err(bundle::ImageStream::cause)
    };
    let missing = open("filename", "absent.img").unwrap_err();
    assert!(matches!(missing, BundleError::ImageMissing { .. }), "{missing:?}");
    let size = open("size", "1").unwrap_err();
    assert!(matches!(size, BundleError::ImageSize { expected: 1, .. }), "{size:?}");
    let digest = open("sha256", &"00".repeat(32)).unwrap_err();
    assert!(matches!(digest, BundleError::ImageDigest { .. }), "{digest:?}");
}

fn chain_fault(bundle: Vec<u8>, keyring: &Keyring, time: CheckTime) -> (ChainFaultKind, String) {
    match verify_at(bundle, keyring, time) {
        Err(BundleError::Signature(SignatureError::Chain(fault))) => {
            assert!(BundleError::Signature(SignatureError::Chain(fault.clone())).hint().is_some());
            (fault.kind, fault.words.to_owned())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn strangers_and_times_are_told_apart_in_openssls_words() {
    let root = Holder::root("root");
    let signer = root.signer("signer", Use::Signing, 2);
    let ours = keyring(&root, KeyringOptions::default());
    let theirs = keyring(&Holder::root("other"), KeyringOptions::default());
    // Same name, other key: the name alone must not link a chain.
    let twin = keyring(&Holder::root("root"), KeyringOptions::default());
    let early = CheckTime::At(UnixTime(NOW.0 - 11 * DAY));
    let late = CheckTime::At(UnixTime(NOW.0 + 11 * DAY));
    for bundle in [plain_by(&signer), verity_by(&signer)] {
        let (kind, words) = chain_fault(bundle.clone(), &theirs, CheckTime::At(NOW));
        assert_eq!(kind, ChainFaultKind::UnknownIssuer);
        assert_eq!(words, "unable to get local issuer certificate");
        assert!(verify(bundle.clone(), &twin).is_err());
        let (kind, words) = chain_fault(bundle.clone(), &ours, late);
        assert_eq!((kind, words.as_str()), (ChainFaultKind::Expired, "certificate has expired"));
        let (kind, words) = chain_fault(bundle.clone(), &ours, early);
        assert_eq!(kind, ChainFaultKind::NotYetValid);
        assert_eq!(words, "certificate is not yet valid");
        assert!(verify_at(bundle.clone(), &ours, CheckTime::SigningTime).is_ok());
        assert!(verify_at(bundle, &ours, CheckTime::Skip).is_ok());
    }
}

#[test]
fn purpose_is_judged_as_rauc_judges_it() {
    let root = Holder::root("root");
    let with = |purpose| keyring(&root, KeyringOptions { purpose, ..KeyringOptions::default() });
    let server = plain_by(&root.signer("server", Use::TlsServer, 3));
    let (kind, _) = chain_fault(server.clone(), &with(Purpose::SmimeSign), CheckTime::At(NOW));
    assert_eq!(kind, ChainFaultKind::Purpose);
    assert!(verify(server.clone(), &with(Purpose::Any)).is_ok());
    let code = plain_by(&root.signer("code", Use::CodeSigning, 4));
    assert_eq!(verify(code.clone(), &with(Purpose::CodeSign)).unwrap().notices(), []);
    let silent = plain_by(&root.signer("silent", Use::CodeSigningOnly, 6));
    let accepted = verify(silent, &with(Purpose::CodeSign)).unwrap();
    assert_eq!(accepted.notices(), [Notice::KeyUsageMissing]);
    let (kind, _) = chain_fault(code, &with(Purpose::SmimeSign), CheckTime::At(NOW));
    assert_eq!(kind, ChainFaultKind::Purpose);
    let bare = plain_by(&root.signer("bare", Use::Signing, 5));
    for bundle in [server, bare] {
        let refused = refusal(bundle, &with(Purpose::CodeSign));
        assert!(matches!(refused, SignatureError::NotForCodeSigning { depth: 0, .. }));
    }
}

#[test]
fn only_listed_common_names_may_sign() {
    let root = Holder::root("root");
    let bundle = plain_by(&root.signer("signer", Use::Signing, 2));
    let with = |name: &str| {
        let allowed_signer_cns = Some(vec!["someone".to_owned(), name.to_owned()]);
        keyring(&root, KeyringOptions { allowed_signer_cns, ..KeyringOptions::default() })
    };
    assert!(verify(bundle.clone(), &with("signer")).is_ok());
    let refused = refusal(bundle, &with("signer2"));
    assert!(matches!(refused, SignatureError::SignerNotAllowed { found } if found == "signer"));
}

#[test]
fn intermediate_in_the_keyring_is_an_anchor_only_when_allowed() {
    let root = Holder::root("root");
    let span = (NOW.0 - 10 * DAY, NOW.0 + 10 * DAY);
    let middle = Holder::issue(Some(&root), "middle", Use::Authority, span, 9);
    let bundle = plain_by(&middle.signer("signer", Use::Signing, 2));
    let strict = keyring(&middle, KeyringOptions::default());
    assert_eq!(
        chain_fault(bundle.clone(), &strict, CheckTime::At(NOW)).0,
        ChainFaultKind::UnknownIssuer
    );
    let trust_anchors = TrustAnchors::AnyInKeyring;
    let partial = keyring(&middle, KeyringOptions { trust_anchors, ..KeyringOptions::default() });
    assert!(verify(bundle, &partial).is_ok());
}

/// 15000 members in the wrong order were sorted by insertion before anybody was asked who signed:
/// a hundred million comparisons for every stranger's bundle of 64 KiB.
#[test]
fn set_of_thousands_of_members_is_refused_before_it_is_sorted() {
    let der = |tag: u8, value: &[u8]| {
        let len = u16::try_from(value.len()).unwrap().to_be_bytes();
        [&[tag, 0x82], &len[..], value].concat()
    };
    let member = |n: u16| [[4, 2], n.to_be_bytes()].concat();
    let members: Vec<u8> = (0..15_000).rev().flat_map(member).collect();
    let oid = |oid: ObjectIdentifier| oid.to_der().unwrap();
    let id_data = oid(ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1"));
    let data =
        [vec![2, 1, 1], der(0x31, &[]), der(0x30, &id_data), der(0xa0, &members), der(0x31, &[])];
    let id_signed = oid(ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2"));
    let content = der(0xa0, &der(0x30, &data.concat()));
    let cms = der(0x30, &[id_signed, content].concat());
    let root = Holder::root("root");
    let keyring = keyring(&root, KeyringOptions::default());
    let refused = refusal(glue(&[0; 8192], &cms), &keyring);
    assert!(matches!(refused, SignatureError::TooManyMembers { limit: 64 }), "{refused}");
}

/// Old tools made plain bundles without padding: remarked upon in a file, refused from a server.
#[test]
fn payload_that_ends_inside_a_block_is_told_or_refused_as_asked() {
    let root = Holder::root("root");
    let signer = root.signer("signer", Use::Signing, 2);
    let mut payload = cut(PLAIN).0;
    payload.extend([0; 100]);
    let digest = Digest::from_bytes(openssl::sha::sha256(&payload));
    let bundle = glue(&payload, &sign_detached(digest, &signer.identity(), NOW).unwrap());
    let keyring = keyring(&root, KeyringOptions::default());
    let bytes = payload.len() as u64;
    let accepted = verify(bundle.clone(), &keyring).unwrap();
    assert_eq!(accepted.notices(), [Notice::PayloadUnaligned { bytes }]);
    let limits = Limits { alignment: PayloadAlignment::Required, ..Limits::default() };
    let source = Arc::new(MemorySource::new("m", bundle));
    let refused = UntrustedBundle::open(source, &limits).unwrap_err();
    assert!(matches!(refused, BundleError::PayloadUnaligned { found } if found == bytes));
}
