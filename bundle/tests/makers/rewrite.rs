// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bundles that get another signature, and those that refuse one.

use crate::workshop::{Workshop, cut, glue, now};
use bundle::{
    Appending, BundleError, BundleFormat, ChainFaultKind, CheckTime, DevelopmentPki,
    DevelopmentPkiOptions, Keyring, KeyringOptions, Notice, OperationError, PostCheck,
    ResignRequest, SignatureError, SigningIdentity, UnixTime, Verification, extract_signature,
    rauc_words, replace_signature, resign_bundle,
};

use std::os::unix::fs::PermissionsExt;

const DAY: i64 = 86_400;

/// Another maker with an own CA.
struct Other {
    identity: SigningIdentity,
    keyring: Keyring,
    both: Keyring,
    pki: DevelopmentPki,
}

fn other(shop: &Workshop, options: &DevelopmentPkiOptions) -> Other {
    let pki = DevelopmentPki::generate("other", options).unwrap();
    let identity = SigningIdentity::from_pem(&pki.signer_cert_pem, &pki.signer_key_pem, &[]);
    let ring = |pem: &[u8]| Keyring::from_pem(pem, KeyringOptions::default()).unwrap();
    let both = [&pki.ca_cert_pem[..], &shop.pki.ca_cert_pem].concat();
    Other { identity: identity.unwrap(), keyring: ring(&pki.ca_cert_pem), both: ring(&both), pki }
}

#[test]
fn payload_and_manifest_stay_when_another_maker_signs() {
    let shop = Workshop::new();
    let other = other(&shop, &DevelopmentPkiOptions::new(now()));
    let ours = shop.keyring();
    for format in [BundleFormat::Plain, BundleFormat::Verity, BundleFormat::Crypt] {
        let (from, to) = (format!("{format}.raucb"), format!("{format}-new.raucb"));
        shop.create(format, &from);
        let request = ResignRequest {
            identity: &other.identity,
            timestamp: now(),
            appending: Appending::Replace,
            verification: Verification::By { keyring: &ours, time: CheckTime::At(now()) },
            post_check: Some(PostCheck { keyring: &other.keyring, time: CheckTime::At(now()) }),
        };
        let made = resign_bundle(&shop.open(&from), &request, &shop.path(&to)).unwrap();
        assert_eq!((made.format, made.notices), (format, vec![]));
        let old = shop.verify(shop.open(&from));
        let new = shop.open(&to).verify(&other.keyring, CheckTime::At(now())).unwrap();
        assert_eq!(new.manifest_digest(), old.manifest_digest());
        shop.holds_the_image(&new);
        let refused = shop.open(&to).verify(&ours, CheckTime::At(now())).unwrap_err();
        let BundleError::Signature(SignatureError::Chain(fault)) = refused else { panic!() };
        assert_eq!(fault.kind, ChainFaultKind::UnknownIssuer);
        // The real one agrees, and nothing is overwritten.
        shop.write("other.pem", &other.pki.ca_cert_pem);
        shop.run("rauc", &["--keyring", "other.pem", "info", &to]);
        let refused = resign_bundle(&shop.open(&from), &request, &shop.path(&to)).unwrap_err();
        let below = std::error::Error::source(&refused).unwrap().to_string();
        assert!(below.contains("already exists"), "{below}");
    }
}

#[test]
fn appended_signatures_are_two_and_refused_as_two() {
    let shop = Workshop::new();
    let other = other(&shop, &DevelopmentPkiOptions::new(now()));
    let ours = shop.keyring();
    for format in [BundleFormat::Plain, BundleFormat::Verity] {
        let (from, to) = (format!("{format}.raucb"), format!("{format}-two.raucb"));
        shop.create(format, &from);
        let request = ResignRequest {
            identity: &other.identity,
            timestamp: now(),
            appending: Appending::Append,
            verification: Verification::By { keyring: &ours, time: CheckTime::At(now()) },
            post_check: Some(PostCheck { keyring: &other.keyring, time: CheckTime::At(now()) }),
        };
        resign_bundle(&shop.open(&from), &request, &shop.path(&to)).unwrap();
        for keyring in [&ours, &other.keyring] {
            let refused = shop.open(&to).verify(keyring, CheckTime::At(now())).unwrap_err();
            let text = std::error::Error::source(&refused).map(ToString::to_string);
            let text = format!("{refused}: {text:?}");
            assert!(text.contains("unable to get local issuer certificate"), "{text}");
        }
        let refused = shop.open(&to).verify(&other.both, CheckTime::At(now())).unwrap_err();
        let words = rauc_words(&refused).unwrap();
        assert_eq!(words, "Unsupported number of signers: 2", "{refused}");
        // Both signatures are true ones in OpenSSL's eyes.
        let (payload, cms) = cut(&shop.path(&to));
        shop.write("payload", &payload);
        shop.write("cms.der", &cms);
        let all = [&other.pki.ca_cert_pem[..], &shop.pki.ca_cert_pem].concat();
        shop.write("all.pem", &all);
        let mut args = vec![
            "cms", "-verify", "-binary", "-inform", "DER", "-in", "cms.der", "-CAfile", "all.pem",
            "-out", "out",
        ];
        if format == BundleFormat::Plain {
            args.extend(["-content", "payload"]);
        }
        shop.run("openssl", &args);
    }
}

#[test]
fn a_payload_that_does_not_match_its_signature_gets_no_other() {
    let shop = Workshop::new();
    let ours = shop.keyring();
    let identity = shop.identity();
    for format in [BundleFormat::Plain, BundleFormat::Verity, BundleFormat::Crypt] {
        shop.create(format, &format!("{format}"));
        let (mut payload, cms) = cut(&shop.path(&format!("{format}")));
        payload[2 * 4096 + 7] ^= 4;
        shop.write("damaged", &glue(&payload, &cms));
        let request = ResignRequest {
            identity: &identity,
            timestamp: now(),
            appending: Appending::Replace,
            verification: Verification::By { keyring: &ours, time: CheckTime::At(now()) },
            post_check: None,
        };
        let before = shop.names();
        let refused =
            resign_bundle(&shop.open("damaged"), &request, &shop.path("new")).unwrap_err();
        let damage = matches!(
            refused,
            OperationError::Bundle(BundleError::Verity(_) | BundleError::PayloadDigest)
        );
        assert!(damage, "{format}: {refused}");
        assert_eq!(shop.names(), before);
    }
}

#[test]
fn expired_certificates_are_passed_over_only_when_asked_and_ending_ones_told() {
    let shop = Workshop::new();
    let mut options = DevelopmentPkiOptions::new(now());
    options.signer_not_after = UnixTime(now().0 + 10 * DAY);
    let short = other(&shop, &options);
    shop.create(BundleFormat::Verity, "from");
    let ours = shop.keyring();
    let request = |at: i64, verification| ResignRequest {
        identity: &short.identity,
        timestamp: UnixTime(at),
        appending: Appending::Replace,
        verification,
        post_check: Some(PostCheck { keyring: &short.keyring, time: CheckTime::At(UnixTime(at)) }),
    };
    let by = Verification::By { keyring: &ours, time: CheckTime::At(now()) };
    let made = resign_bundle(&shop.open("from"), &request(now().0, by), &shop.path("to")).unwrap();
    let ending = |notice: &Notice| matches!(notice, Notice::ExpiresSoon { days: 9..=10, .. });
    assert!(made.notices.iter().any(ending), "{:?}", made.notices);
    for (moment, words) in [
        (now().0 + 11 * DAY, "certificate has expired"),
        (now().0 - 400 * DAY, "certificate is not yet valid"),
    ] {
        let request = request(moment, Verification::Skipped);
        let refused = resign_bundle(&shop.open("from"), &request, &shop.path("new")).unwrap_err();
        let OperationError::PostCheck(cause) = &refused else { panic!("{refused}") };
        assert!(cause.to_string().contains(words), "{cause}");
        assert!(!shop.path("new").exists());
    }
}

#[test]
fn signatures_travel_from_bundle_to_bundle_when_they_belong_there() {
    let shop = Workshop::new();
    let ours = shop.keyring();
    let other = other(&shop, &DevelopmentPkiOptions::new(now()));
    let by = Verification::By { keyring: &ours, time: CheckTime::At(now()) };
    let check = Some(PostCheck { keyring: &other.keyring, time: CheckTime::At(now()) });
    for format in [BundleFormat::Plain, BundleFormat::Verity] {
        let name = format!("{format}");
        shop.create(format, &name);
        let request = ResignRequest {
            identity: &other.identity,
            timestamp: now(),
            appending: Appending::Replace,
            verification: by,
            post_check: None,
        };
        let (signed, sig, out) = (format!("{name}2"), format!("{name}.sig"), format!("{name}3"));
        resign_bundle(&shop.open(&name), &request, &shop.path(&signed)).unwrap();
        extract_signature(&shop.open(&signed), &shop.path(&sig)).unwrap();
        let mode = std::fs::metadata(shop.path(&sig)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        shop.run("openssl", &["asn1parse", "-inform", "DER", "-in", &sig, "-noout"]);
        let sig = std::fs::read(shop.path(&sig)).unwrap();
        replace_signature(&shop.open(&name), &sig, by, check, &shop.path(&out)).unwrap();
        assert_eq!(
            std::fs::read(shop.path(&out)).unwrap(),
            std::fs::read(shop.path(&signed)).unwrap()
        );
        // By the wrong keyring, as no CMS, or onto itself: nothing comes of it.
        let before = shop.names();
        let wrong = Some(PostCheck { keyring: &ours, time: CheckTime::At(now()) });
        let to = shop.path("never");
        for (sig, check) in [(&sig[..], wrong), (b"", check), (&sig[..9], None)] {
            let refused = replace_signature(&shop.open(&name), sig, by, check, &to).unwrap_err();
            assert!(matches!(refused, OperationError::PostCheck(_)), "{refused}");
        }
        assert!(replace_signature(&shop.open(&name), &sig, by, check, &shop.path(&name)).is_err());
        assert_eq!(shop.names(), before);
    }
    // The signature of another payload.
    let sig = cut(&shop.path("plain2")).1;
    shop.write("foreign", &glue(&[0; 8192], &cut(&shop.path("plain")).1));
    let skipped = Verification::Skipped;
    let refused =
        replace_signature(&shop.open("foreign"), &sig, skipped, check, &shop.path("never"));
    let digest = matches!(refused, Err(OperationError::PostCheck(SignatureError::PayloadDigest)));
    assert!(digest, "{refused:?}");
}

/// RAUC's own test: a signature by `openssl cms -sign -noattr` goes on, and is refused where the
/// signing time counts.
#[test]
fn a_signature_without_attributes_goes_on_with_a_remark_and_is_not_believed() {
    let shop = Workshop::new();
    shop.create(BundleFormat::Verity, "from");
    shop.write("manifest", b"[update]\ncompatible=board\n[bundle]\nformat=verity\n");
    let args = ["cms", "-sign", "-noattr", "-nodetach", "-outform", "der", "-in", "manifest"];
    let keys = ["-signer", "signer.pem", "-inkey", "signer.key", "-out", "new.cms"];
    shop.run("openssl", &[&args[..], &keys].concat());
    let ours = shop.keyring();
    let by = Verification::By { keyring: &ours, time: CheckTime::At(now()) };
    let check = Some(PostCheck { keyring: &ours, time: CheckTime::At(now()) });
    let sig = std::fs::read(shop.path("new.cms")).unwrap();
    let made = replace_signature(&shop.open("from"), &sig, by, check, &shop.path("to")).unwrap();
    assert!(made.notices.contains(&Notice::NoSignedAttributes), "{:?}", made.notices);
    let unusable = |notice: &Notice| matches!(notice, Notice::UnusableManifest { .. });
    assert!(made.notices.iter().any(unusable), "{:?}", made.notices);
    let refused = shop.open("to").verify(&ours, CheckTime::SigningTime).unwrap_err();
    let words = "Bundle signing time attribute not found in signature";
    assert_eq!(rauc_words(&refused).as_deref(), Some(words), "{refused}");
    let refused = shop.open("to").verify(&ours, CheckTime::At(now())).unwrap_err();
    let unsigned = matches!(refused, BundleError::Signature(SignatureError::NoSignedAttributes));
    assert!(unsigned, "{refused}");
}
