// SPDX-License-Identifier: MIT OR Apache-2.0
//! Encrypted bundles: ours for the real rauc, the real one's for us, openssl's ways for both.

use crate::workshop::{Workshop, cut, ec, glue, now, rsa};
use bundle::{
    BundleError, BundleFormat, CheckTime, EnvelopeError, Envelopment, OperationError,
    RecipientKind, SealError, SignatureError, Verification, encrypt_bundle, extract_bundle,
    rauc_words,
};
use openssl::nid::Nid;

/// Recipients of every kind that RAUC writes for.
fn shop_with_recipients() -> Workshop {
    let shop = Workshop::new();
    shop.recipient("one", &rsa());
    shop.recipient("two", &rsa());
    shop.recipient("p256", &ec(Nid::X9_62_PRIME256V1));
    shop.recipient("p384", &ec(Nid::SECP384R1));
    shop.recipient("stranger", &rsa());
    shop.recipient("alien", &ec(Nid::X9_62_PRIME256V1));
    let all: Vec<u8> = ["two", "p256"]
        .iter()
        .flat_map(|n| std::fs::read(shop.path(&format!("{n}.pem"))).unwrap())
        .collect();
    shop.write("several.pem", &all);
    shop
}

#[test]
fn each_recipient_opens_a_bundle_made_here_and_strangers_do_not() {
    let shop = shop_with_recipients();
    shop.create(BundleFormat::Crypt, "open.raucb");
    let recipients = shop.recipients(&["one.pem", "several.pem", "p384.pem", "one.pem"]);
    assert_eq!(recipients.count(), 4);
    let by = shop.keyring();
    let by = Verification::By { keyring: &by, time: CheckTime::At(now()) };
    let output = shop.path("closed.raucb");
    let made = encrypt_bundle(&shop.open("open.raucb"), &recipients, by, &output).unwrap();
    assert_eq!(made.format, BundleFormat::Crypt);
    assert_eq!(cut(&output).0, cut(&shop.path("open.raucb")).0);

    let facts = shop.open("closed.raucb").recipients().unwrap();
    let agreed = facts.iter().filter(|fact| fact.kind == RecipientKind::KeyAgreement).count();
    assert_eq!((facts.len(), agreed), (4, 2));
    for name in ["one", "two", "p256", "p384"] {
        for certificate in [None, Some(format!("{name}.pem"))] {
            let key = shop.key(&format!("{name}.key"), certificate.as_deref());
            let bundle = shop.verify(shop.open("closed.raucb").decrypt(&key).unwrap());
            assert_eq!(bundle.envelopment(), Envelopment::Encrypted, "{name}");
            bundle.refuse_unencrypted_crypt().unwrap();
            shop.holds_the_image(&bundle);
            bundle.check_payload(&mut |_| ()).unwrap();
            shop.holds_the_image(&bundle);
        }
    }
    // A stranger, and a recipient who is told to look for somebody else's certificate.
    for (key, certificate) in [
        ("stranger.key", None),
        ("alien.key", None),
        ("one.key", Some("stranger.pem")),
        ("p256.key", Some("alien.pem")),
    ] {
        let refused = shop.open("closed.raucb").decrypt(&shop.key(key, certificate)).unwrap_err();
        let BundleError::Envelope(cause) = refused else { panic!("{refused}") };
        assert!(matches!(cause, EnvelopeError::NoKeyFits { recipients: 4, .. }), "{key}: {cause}");
        assert_eq!(rauc_words(&cause).unwrap(), "Failed to decrypt CMS EnvelopedData");
    }
}

#[test]
fn rauc_reads_what_was_encrypted_here() {
    let shop = shop_with_recipients();
    shop.create(BundleFormat::Crypt, "open.raucb");
    let recipients = shop.recipients(&["one.pem", "p256.pem"]);
    let closed = shop.path("closed.raucb");
    encrypt_bundle(&shop.open("open.raucb"), &recipients, Verification::Skipped, &closed).unwrap();
    for key in ["one.key", "p256.key"] {
        let args = ["--keyring", "ca.pem", "--key", key, "info", "closed.raucb"];
        let said = shop.run("rauc", &args);
        assert!(said.contains(" [encrypted CMS]"), "{said}");
    }
    let args = ["--keyring", "ca.pem", "info", "open.raucb"];
    let said = shop.run("rauc", &args);
    assert!(said.contains(" [unencrypted CMS]"), "{said}");
    // It decrypts the payload too: sector by sector the same file system.
    let args = ["--keyring", "ca.pem", "--key", "one.key", "extract", "closed.raucb", "out"];
    shop.run("rauc", &args);
    assert!(std::fs::read(shop.path("out/rootfs.img")).unwrap() == shop.image);
}

#[test]
fn what_rauc_encrypted_is_read_here() {
    let shop = shop_with_recipients();
    shop.rauc_bundle("crypt", "open.raucb");
    let to = ["--to", "one.pem", "--to", "several.pem", "--keyring", "ca.pem"];
    shop.run("rauc", &[&["encrypt"][..], &to, &["open.raucb", "closed.raucb"]].concat());
    for name in ["one", "two", "p256"] {
        let key = shop.key(&format!("{name}.key"), None);
        let bundle = shop.verify(shop.open("closed.raucb").decrypt(&key).unwrap());
        assert_eq!(bundle.format(), BundleFormat::Crypt);
        shop.holds_the_image(&bundle);
    }
    let key = shop.key("one.key", None);
    let bundle = shop.verify(shop.open("closed.raucb").decrypt(&key).unwrap());
    extract_bundle(&bundle, &shop.path("out")).unwrap();
    assert!(std::fs::read(shop.path("out/rootfs.img")).unwrap() == shop.image);
    assert!(shop.path("out/manifest.raucm").is_file());
}

/// OAEP and other hashes than OpenSSL's first choice, as another maker may use them.
#[test]
fn key_transport_and_agreement_work_in_every_way_that_openssl_writes() {
    let shop = shop_with_recipients();
    shop.create(BundleFormat::Crypt, "open.raucb");
    let (payload, cms) = cut(&shop.path("open.raucb"));
    shop.write("signed.der", &cms);
    for (name, cipher, options) in [
        ("one", "-aes-256-cbc", &["-keyopt", "rsa_padding_mode:oaep"][..]),
        (
            "one",
            "-aes-128-cbc",
            &[
                "-keyopt",
                "rsa_padding_mode:oaep",
                "-keyopt",
                "rsa_oaep_md:sha256",
                "-keyopt",
                "rsa_mgf1_md:sha384",
            ],
        ),
        ("p256", "-aes-192-cbc", &["-keyopt", "ecdh_kdf_md:sha256"]),
        ("p384", "-aes-256-cbc", &["-keyopt", "ecdh_kdf_md:sha512"]),
        ("two", "-aes-256-cbc", &["-keyid"]),
    ] {
        let pem = format!("{name}.pem");
        let common = ["cms", "-encrypt", "-binary", "-outform", "DER", cipher];
        let files = ["-in", "signed.der", "-out", "sealed.der", "-recip", &pem];
        shop.run("openssl", &[&common[..], &files, options].concat());
        let sealed = std::fs::read(shop.path("sealed.der")).unwrap();
        shop.write("closed.raucb", &glue(&payload, &sealed));
        for certificate in [None, Some(pem.as_str())] {
            let key = shop.key(&format!("{name}.key"), certificate);
            let bundle = shop.open("closed.raucb").decrypt(&key).unwrap();
            assert_eq!(bundle.signature(), cms, "{name} {options:?}");
        }
    }
}

#[test]
fn bundles_that_are_half_encrypted_are_refused() {
    let shop = shop_with_recipients();
    shop.create(BundleFormat::Crypt, "open.raucb");
    let bundle = shop.verify(shop.open("open.raucb"));
    let refused = bundle.refuse_unencrypted_crypt().unwrap_err();
    assert!(matches!(refused, BundleError::CryptNotEncrypted), "{refused}");
    shop.holds_the_image(&bundle);

    shop.create(BundleFormat::Verity, "verity.raucb");
    let recipients = shop.recipients(&["one.pem"]);
    let closed = shop.path("closed.raucb");
    let refused =
        encrypt_bundle(&shop.open("verity.raucb"), &recipients, Verification::Skipped, &closed)
            .unwrap_err();
    assert!(matches!(refused, OperationError::NotCrypt { .. }), "{refused}");
    assert!(rauc_words(&refused).unwrap().starts_with("Refused to encrypt input bundle"));
    assert!(!closed.exists());
    // By hand it can be done, and is refused by the reader.
    let (payload, cms) = cut(&shop.path("verity.raucb"));
    shop.write("signed.der", &cms);
    let args = ["cms", "-encrypt", "-binary", "-outform", "DER", "-aes256", "-in", "signed.der"];
    shop.run("openssl", &[&args[..], &["-out", "sealed.der", "-recip", "one.pem"]].concat());
    let sealed = std::fs::read(shop.path("sealed.der")).unwrap();
    shop.write("closed.raucb", &glue(&payload, &sealed));
    let closed = shop.open("closed.raucb").decrypt(&shop.key("one.key", None)).unwrap();
    let refused = closed.verify(&shop.keyring(), CheckTime::At(now())).unwrap_err();
    assert!(matches!(refused, BundleError::EncryptedOther { .. }), "{refused}");
    // Without the key nothing is known but that.
    let refused =
        shop.open("closed.raucb").verify(&shop.keyring(), CheckTime::At(now())).unwrap_err();
    assert!(matches!(refused, BundleError::Signature(SignatureError::Encrypted)), "{refused}");
}

#[test]
fn damaged_ciphertext_is_noticed_by_the_tree_before_it_is_decrypted() {
    let shop = Workshop::new();
    shop.create(BundleFormat::Crypt, "open.raucb");
    let (mut payload, cms) = cut(&shop.path("open.raucb"));
    payload[3 * 4096 + 5] ^= 1;
    shop.write("damaged.raucb", &glue(&payload, &cms));
    let bundle = shop.verify(shop.open("damaged.raucb"));
    let refused = bundle.check_payload(&mut |_| ()).unwrap_err();
    assert!(matches!(refused, BundleError::Verity(_)), "{refused}");
    let refused = extract_bundle(&bundle, &shop.path("out")).unwrap_err();
    assert!(matches!(refused, OperationError::Bundle(BundleError::Verity(_))), "{refused}");
    assert!(!shop.path("out").exists());
}

#[test]
fn files_without_whole_certificates_make_no_recipients() {
    let shop = shop_with_recipients();
    let cut_off = std::fs::read(shop.path("several.pem")).unwrap();
    shop.write("broken.pem", &cut_off[..cut_off.len() - 200]);
    shop.write("empty.pem", b"");
    for (name, words) in [
        ("broken.pem", ""),
        ("empty.pem", "Expecting: CERTIFICATE"),
        ("one.key", "Expecting: CERTIFICATE"),
    ] {
        let path = shop.path(name);
        let refused = bundle::Recipients::load([path.as_path()]).unwrap_err();
        let SealError::Recipient(cause) = &refused else { panic!("{name}: {refused}") };
        let below = std::error::Error::source(cause).unwrap().to_string();
        assert!(below.contains(words), "{name}: {below}");
    }
}
