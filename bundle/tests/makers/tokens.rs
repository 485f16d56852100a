// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keys on a token (SoftHSM): they sign and decrypt there, and a PIN goes where the URI says.
//!
//! The module reads its place from the environment, which must be there before the process
//! starts. So each test runs itself again with it and the inner half, which is ignored otherwise,
//! does the work.

use crate::workshop::{Workshop, certificate, ec, now, rsa};
use bundle::pkcs11::TokenError;
use bundle::{
    Appending, BundleError, BundleFormat, CheckTime, Credential, CredentialAccess, CredentialError,
    DecryptionIdentity, EnvelopeError, Keyring, KeyringOptions, PostCheck, ResignRequest, Secret,
    SignError, SigningIdentity, Verification, encrypt_bundle, resign_bundle,
};
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use std::path::{Path, PathBuf};
use std::process::Command;

const PIN: &str = "1111";

fn module() -> PathBuf {
    let places = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so"];
    let found = places.iter().map(Path::new).find(|path| path.exists());
    found.expect("softhsm2 is installed by .ci/run").to_owned()
}

fn tool(dir: &Path, args: &[&str]) -> String {
    let out = Command::new("pkcs11-tool")
        .arg("--module")
        .arg(module())
        .args(args)
        .env("SOFTHSM2_CONF", dir.join("softhsm2.conf"))
        .current_dir(dir)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    said
}

fn import(dir: &Path, token: &str, label: &str, id: &str, key: &PKey<Private>) {
    import_asking(dir, token, label, id, key, &[]);
}

/// The same; `asking` says when the key wants the PIN.
fn import_asking(
    dir: &Path,
    token: &str,
    label: &str,
    id: &str,
    key: &PKey<Private>,
    asking: &[&str],
) {
    let der = certificate(label, key).to_der().unwrap();
    std::fs::write(dir.join("c.der"), der).unwrap();
    std::fs::write(dir.join("k.der"), key.private_key_to_pkcs8().unwrap()).unwrap();
    let common = ["--token-label", token, "-l", "--pin", PIN, "--label", label, "--id", id];
    for object in [["-y", "cert", "-w", "c.der"], ["-y", "privkey", "-w", "k.der"]] {
        // Agreeing on secrets is nothing that every imported key may do.
        let derive: &[&str] = if object[1] == "privkey" { &["--usage-derive"] } else { &[] };
        let usage: &[&str] =
            if object[1] == "privkey" { &["--usage-sign", "--usage-decrypt"] } else { &[] };
        let asking = if object[1] == "privkey" { asking } else { &[] };
        tool(dir, &[&common[..], &object, usage, derive, asking].concat());
    }
}

/// Two tokens: `rauc` with five keys, `other` with none.
fn with_tokens(inner: &str) {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    std::fs::create_dir(at.join("tokens")).unwrap();
    let place = format!("directories.tokendir = {}\n", at.join("tokens").display());
    std::fs::write(at.join("softhsm2.conf"), place).unwrap();
    for token in ["rauc", "other"] {
        let made = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", token, "--so-pin", "0000", "--pin", PIN])
            .env("SOFTHSM2_CONF", at.join("softhsm2.conf"))
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    import(at, "rauc", "rsa-key", "01", &rsa());
    import(at, "rauc", "rsa-other", "02", &rsa());
    import(at, "rauc", "ec-key", "03", &ec(Nid::X9_62_PRIME256V1));
    import_asking(at, "rauc", "asking-rsa", "04", &rsa(), &["--always-auth"]);
    let key = ec(Nid::X9_62_PRIME256V1);
    import_asking(at, "rauc", "asking-ec", "05", &key, &["--always-auth"]);
    let out = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", &format!("tokens::{inner}")])
        .env("SOFTHSM2_CONF", at.join("softhsm2.conf"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    let all = format!("{said}{}", String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success() && said.contains("1 passed"), "{all}");
    let slots = tool(at, &["--list-token-slots"]);
    assert!(!slots.contains("user PIN locked"), "{slots}");
}

fn uri(text: &str) -> Credential {
    Credential::parse(text).unwrap()
}

fn load(certificate: &str, key: &str, pin: &str) -> Result<SigningIdentity, SignError> {
    let (module, pin) = (module(), Secret::new(pin));
    let access = CredentialAccess {
        pkcs11_module: Some(&module),
        pkcs11_pin: Some(&pin),
        ..CredentialAccess::default()
    };
    SigningIdentity::load(&uri(certificate), &uri(key), &[], &access)
}

fn decryption(key: &str) -> Result<DecryptionIdentity, CredentialError> {
    let module = module();
    let access = CredentialAccess { pkcs11_module: Some(&module), ..CredentialAccess::default() };
    DecryptionIdentity::load(&uri(key), None, &access)
}

/// The certificate of an object, as PEM, by the token's own tool.
fn pem(shop: &Workshop, label: &str) -> Vec<u8> {
    let conf = PathBuf::from(std::env::var_os("SOFTHSM2_CONF").unwrap());
    let out = shop.path("out.der");
    let args = ["-r", "-y", "cert", "--token-label", "rauc", "--label", label, "-o"];
    tool(conf.parent().unwrap(), &[&args[..], &[out.to_str().unwrap()]].concat());
    let certificate = openssl::x509::X509::from_der(&std::fs::read(out).unwrap()).unwrap();
    certificate.to_pem().unwrap()
}

fn token_fault(refused: SignError) -> TokenError {
    let SignError::Credential(CredentialError::Token(fault)) = refused else { panic!("{refused}") };
    fault
}

#[test]
fn keys_on_a_token_sign_what_rauc_accepts() {
    with_tokens("inner_signing");
}

#[test]
#[ignore = "the inner half of keys_on_a_token_sign_what_rauc_accepts"]
fn inner_signing() {
    let shop = Workshop::new();
    shop.create(BundleFormat::Verity, "from");
    for label in ["rsa-key", "ec-key"] {
        let place = format!("pkcs11:token=rauc;object={label}");
        let identity = load(&place, &place, PIN).unwrap();
        let anchor = pem(&shop, label);
        shop.write("anchor.pem", &anchor);
        let keyring = Keyring::from_pem(&anchor, KeyringOptions::default()).unwrap();
        let request = ResignRequest {
            identity: &identity,
            timestamp: now(),
            appending: Appending::Replace,
            verification: Verification::Skipped,
            post_check: Some(PostCheck { keyring: &keyring, time: CheckTime::At(now()) }),
        };
        let to = shop.path(label);
        resign_bundle(&shop.open("from"), &request, &to).unwrap();
        shop.open(label).verify(&keyring, CheckTime::At(now())).unwrap();
        shop.run("rauc", &["--keyring", "anchor.pem", "info", label]);
    }
    // The certificate of one key and another key: found out by the first signature.
    let identity =
        load("pkcs11:token=rauc;object=rsa-key", "pkcs11:token=rauc;id=%02", PIN).unwrap();
    let request = ResignRequest {
        identity: &identity,
        timestamp: now(),
        appending: Appending::Replace,
        verification: Verification::Skipped,
        post_check: None,
    };
    let refused = resign_bundle(&shop.open("from"), &request, &shop.path("never")).unwrap_err();
    let below = std::error::Error::source(&refused).unwrap().to_string();
    assert!(below.contains("key values mismatch"), "{below}");
    assert!(!shop.path("never").exists());
}

#[test]
fn keys_on_a_token_open_encrypted_bundles() {
    with_tokens("inner_decryption");
}

#[test]
#[ignore = "the inner half of keys_on_a_token_open_encrypted_bundles"]
fn inner_decryption() {
    let shop = Workshop::new();
    shop.create(BundleFormat::Crypt, "open");
    for label in ["rsa-key", "ec-key"] {
        shop.write(&format!("{label}.pem"), &pem(&shop, label));
    }
    let recipients = shop.recipients(&["rsa-key.pem", "ec-key.pem"]);
    let closed = shop.path("closed");
    encrypt_bundle(&shop.open("open"), &recipients, Verification::Skipped, &closed).unwrap();
    for label in ["rsa-key", "ec-key"] {
        let key = decryption(&format!("pkcs11:token=rauc;object={label}?pin-value={PIN}")).unwrap();
        let bundle = shop.verify(shop.open("closed").decrypt(&key).unwrap());
        shop.holds_the_image(&bundle);
    }
    let key = decryption(&format!("pkcs11:token=rauc;object=rsa-other?pin-value={PIN}")).unwrap();
    let refused = shop.open("closed").decrypt(&key).unwrap_err();
    let none = matches!(refused, BundleError::Envelope(EnvelopeError::NoKeyFits { .. }));
    assert!(none, "{refused}");
}

#[test]
fn a_key_that_wants_the_pin_at_every_use_signs_or_says_why_not() {
    with_tokens("inner_every_use");
}

fn every_use(refused: &(dyn std::error::Error + 'static)) -> (String, String) {
    let mut cause = Some(refused);
    while let Some(error) = cause {
        if let Some(fault) = error.downcast_ref::<TokenError>() {
            assert!(matches!(fault, TokenError::PinAtEveryUse { .. }), "{fault}");
            return (fault.to_string(), fault.hint().unwrap().to_owned());
        }
        cause = error.source();
    }
    panic!("no token's fault: {refused}")
}

#[test]
#[ignore = "the inner half of a_key_that_wants_the_pin_at_every_use_signs_or_says_why_not"]
fn inner_every_use() {
    let shop = Workshop::new();
    shop.create(BundleFormat::Verity, "from");
    let resign = |identity: &SigningIdentity, keyring: &Keyring, to: &str| {
        let request = ResignRequest {
            identity,
            timestamp: now(),
            appending: Appending::Replace,
            verification: Verification::Skipped,
            post_check: Some(PostCheck { keyring, time: CheckTime::At(now()) }),
        };
        resign_bundle(&shop.open("from"), &request, &shop.path(to))
    };
    let keyring = |label| Keyring::from_pem(&pem(&shop, label), KeyringOptions::default()).unwrap();

    let place = "pkcs11:token=rauc;object=asking-rsa";
    let (identity, anchor) = (load(place, place, PIN).unwrap(), keyring("asking-rsa"));
    // Twice: a PIN that was given once is used up.
    for to in ["one", "two"] {
        resign(&identity, &anchor, to).unwrap();
        shop.open(to).verify(&anchor, CheckTime::At(now())).unwrap();
    }

    // SoftHSM has no mechanism for ECDSA in parts.
    let place = "pkcs11:token=rauc;object=asking-ec";
    let identity = load(place, place, PIN).unwrap();
    let refused = resign(&identity, &keyring("asking-ec"), "never").unwrap_err();
    let (said, hint) = every_use(&refused);
    assert!(said.contains("cannot sign"), "{said}");
    assert!(hint.contains("CKM_ECDSA_SHA256"), "{hint}");
    assert!(!shop.path("never").exists());

    shop.create(BundleFormat::Crypt, "open");
    shop.write("asking.pem", &pem(&shop, "asking-rsa"));
    let recipients = shop.recipients(&["asking.pem"]);
    let closed = shop.path("closed");
    encrypt_bundle(&shop.open("open"), &recipients, Verification::Skipped, &closed).unwrap();
    let key = decryption(&format!("pkcs11:token=rauc;object=asking-rsa?pin-value={PIN}")).unwrap();
    let refused = shop.open("closed").decrypt(&key).unwrap_err();
    let said = format!("{refused:?}");
    assert!(said.contains("(CKA_ALWAYS_AUTHENTICATE) and cannot decrypt so"), "{said}");
}

#[test]
fn a_pin_goes_to_the_named_token_only_and_once() {
    with_tokens("inner_pins");
}

#[test]
#[ignore = "the inner half of a_pin_goes_to_the_named_token_only_and_once"]
fn inner_pins() {
    let named = "pkcs11:token=rauc;object=rsa-key";
    // Without the name of a token: the certificate is public, the key is not seen. Were the PIN
    // tried on the tokens there are, it would be wrong ten times over.
    for _ in 0..10 {
        let fault = token_fault(load(named, "pkcs11:object=rsa-key", "9999").unwrap_err());
        assert!(matches!(fault, TokenError::Objects { found: 0, .. }), "{fault}");
        assert!(fault.hint().unwrap().contains("token="));
    }
    let fault = token_fault(load(named, named, "9999").unwrap_err());
    assert!(matches!(fault, TokenError::Login { .. }), "{fault}");
    let text = format!("{fault} {fault:?}");
    assert!(!text.contains("9999"), "{text}");
    // The same again is not tried: the token is not asked, three wrong ones would lock it.
    for _ in 0..3 {
        let TokenError::Login { cause, .. } = token_fault(load(named, named, "9999").unwrap_err())
        else {
            panic!("another fault")
        };
        assert!(cause.to_string().contains("refused before"), "{cause}");
    }
    load(named, named, PIN).unwrap();
    for (place, expected) in
        [("pkcs11:token=nobody;object=rsa-key", 0), ("pkcs11:serial=0;object=x", 0)]
    {
        let fault = token_fault(load(place, place, PIN).unwrap_err());
        assert!(matches!(fault, TokenError::Tokens { found, .. } if found == expected), "{fault}");
    }
    let several = token_fault(load("pkcs11:token=rauc", named, PIN).unwrap_err());
    assert!(matches!(several, TokenError::Objects { found: 5, .. }), "{several}");
    let fault = token_fault(load(&format!("{named};type=private"), named, PIN).unwrap_err());
    assert!(matches!(fault, TokenError::ObjectType { .. }), "{fault}");
}
