// SPDX-License-Identifier: MIT OR Apache-2.0
//! Revocation lists, made by the openssl program.

use super::{chain_fault, plain_by, verify};
use crate::authority::{Holder, NOW, Use};
use bundle::{ChainFaultKind, CheckTime, CrlCheck, Keyring, KeyringOptions, Notice, UnixTime};
use std::path::Path;
use std::process::Command;

fn openssl_tool(dir: &Path, args: &[&str]) {
    let out = Command::new("openssl").args(args).current_dir(dir).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// The authority's revocation list with `revoked` on it, made by the openssl program.
fn crl(root: &Holder, revoked: Option<&Holder>) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| std::fs::write(dir.path().join(name), content).unwrap();
    file("ca.pem", &root.certificate_pem());
    file("ca.key", &root.key_pem());
    file("index.txt", b"");
    file(
        "ca.cnf",
        b"[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ndefault_md=sha256\ndefault_crl_days=30\n",
    );
    let common = ["-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key"];
    if let Some(revoked) = revoked {
        file("bad.pem", &revoked.certificate_pem());
        openssl_tool(dir.path(), &[["ca", "-revoke", "bad.pem"].as_slice(), &common].concat());
    }
    let times = ["-crl_lastupdate", "20260901000000Z", "-crl_nextupdate", "20261001000000Z"];
    let make = ["ca", "-gencrl", "-out", "crl.pem"];
    openssl_tool(dir.path(), &[make.as_slice(), &common, &times].concat());
    std::fs::read(dir.path().join("crl.pem")).unwrap()
}

/// NOW is 2026-09-21, inside the lists' validity.
#[test]
fn revoked_signer_is_refused_and_missing_or_old_lists_too() {
    let root = Holder::root("root");
    let signer = root.signer("signer", Use::Signing, 2);
    let other = root.signer("other", Use::Signing, 3);
    let bundle = plain_by(&signer);
    let with = |crl: &[u8], crl_check| {
        let pem = [root.certificate_pem().as_slice(), crl].concat();
        Keyring::from_pem(&pem, KeyringOptions { crl_check, ..KeyringOptions::default() }).unwrap()
    };
    let revokes_signer = crl(&root, Some(&signer));
    let revokes_other = crl(&root, Some(&other));
    let whole = CrlCheck::WholeChain;
    let now = CheckTime::At(NOW);
    let (kind, words) = chain_fault(bundle.clone(), &with(&revokes_signer, whole), now);
    assert_eq!((kind, words.as_str()), (ChainFaultKind::Revoked, "certificate revoked"));
    let true_one = verify(bundle.clone(), &with(&revokes_other, whole)).unwrap();
    assert_eq!(true_one.notices(), []);
    let ignoring = verify(bundle.clone(), &with(&revokes_signer, CrlCheck::Ignore)).unwrap();
    assert_eq!(ignoring.notices(), [Notice::CrlIgnored]);
    let (kind, _) = chain_fault(bundle.clone(), &with(b"", whole), now);
    assert_eq!(kind, ChainFaultKind::CrlUnusable);
    // 2026-10-01 11:20: the list ended at midnight, the signer ends two hours later.
    let late = CheckTime::At(UnixTime(1_790_856_000));
    let (kind, words) = chain_fault(bundle, &with(&revokes_other, whole), late);
    assert_eq!((kind, words.as_str()), (ChainFaultKind::CrlUnusable, "CRL has expired"));
}

/// `[keyring] directory`: names by `openssl rehash`, anchors and lists, alone or beside a file.
#[test]
fn hashed_directory_holds_anchors_and_revocation_lists() {
    let root = Holder::root("root");
    let signer = root.signer("signer", Use::Signing, 2);
    let other = root.signer("other", Use::Signing, 3);
    let dir = tempfile::tempdir().unwrap();
    let with = |pem: &[u8], crl_check| {
        let directory = Some(dir.path().to_owned());
        Keyring::from_pem(pem, KeyringOptions { crl_check, directory, ..KeyringOptions::default() })
            .unwrap()
    };
    let (good, bad) = (plain_by(&other), plain_by(&signer));
    let now = CheckTime::At(NOW);
    let (kind, _) = chain_fault(good.clone(), &with(b"", CrlCheck::Ignore), now);
    assert_eq!(kind, ChainFaultKind::UnknownIssuer);
    std::fs::write(dir.path().join("ca.pem"), root.certificate_pem()).unwrap();
    openssl_tool(dir.path(), &["rehash", "."]);
    assert!(verify(good.clone(), &with(b"", CrlCheck::Ignore)).is_ok());
    let (kind, _) = chain_fault(good.clone(), &with(b"", CrlCheck::WholeChain), now);
    assert_eq!(kind, ChainFaultKind::CrlUnusable);
    std::fs::write(dir.path().join("crl.pem"), crl(&root, Some(&signer))).unwrap();
    openssl_tool(dir.path(), &["rehash", "."]);
    for pem in [b"".to_vec(), root.certificate_pem()] {
        let keyring = with(&pem, CrlCheck::WholeChain);
        assert!(verify(good.clone(), &keyring).is_ok());
        let (kind, words) = chain_fault(bad.clone(), &keyring, now);
        assert_eq!((kind, words.as_str()), (ChainFaultKind::Revoked, "certificate revoked"));
    }
}
