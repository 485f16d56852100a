// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does somebody get who has taken over the HTTP process, and speaks to root's? Not an
//! administrator's rights: what one signed is verified again, once, for that very request.

#![cfg(target_os = "linux")]

use crate::bench::{Bench, DEVICE, by, job, sign};
use crate::fake::{CONFIG, etag};
use crate::ssh::Keygen;
use config_api::protocol::{
    AuditEntry, FailureCode, Grounds, Outcome, Proof, Reply, Request, Source,
};

const BODY: &str = "version = 1 # owned\n";

fn apply(
    bench: &Bench,
    number: u8,
    source: Source,
    proof: Proof,
    if_match: Option<String>,
) -> Reply {
    bench.change(number, source, by(proof), if_match).last()
}

fn is_untouched(bench: &Bench) -> bool {
    bench.fake.with(|state| state.applied.is_empty() && state.text.as_deref() == Some(CONFIG))
}

fn denials(bench: &Bench) -> Vec<String> {
    let code = |entry: &AuditEntry| match entry {
        AuditEntry::Denied { code, .. } => code.clone(),
        other => panic!("{other:?}"),
    };
    bench.fake.with(|state| state.audit.iter().map(code).collect())
}

fn is_failed(reply: &Reply) -> bool {
    matches!(reply, Reply::Finished { outcome: Outcome::Failed { .. } })
}

#[test]
fn a_configuration_that_nobody_signed_is_not_applied() {
    let bench = Bench::provisioned();
    let stranger = Keygen::new("ed25519", None);
    let whole = || bench.head("POST", "/api/config", BODY);
    let forged = [
        whole(),
        sign(&stranger, DEVICE, whole()),
        sign(&bench.key, "ffffffffffff", whole()),
        bench.sign(Proof { nonce: "0".repeat(64), ..whole() }),
        bench.sign(bench.head("POST", "/api/validate", BODY)),
        bench.sign(bench.head("PUT", "/api/config", BODY)),
        bench.sign(bench.head("POST", "/api/config", "version = 1 # another")),
        bench.sign(Proof { file_name: "other.tar.gz".to_owned(), ..whole() }),
        bench.sign(Proof { if_match: "\"old\"".to_owned(), ..whole() }),
        // An operator's way back is part of what was signed: here it was left out on the way.
        bench.sign(bench.head("POST", "/api/config?confirm_within=60", BODY)),
    ];
    let count = forged.len();
    for (number, proof) in (1..).zip(forged) {
        let told = format!("{proof:?}");
        let reply = apply(&bench, number, bench.upload(BODY), proof, None);
        assert!(is_failed(&reply), "{reply:?} for {told}");
    }
    assert!(is_untouched(&bench));
    assert_eq!(denials(&bench).len(), count, "each is written down");
    let proof = bench.sign(whole());
    let reply = apply(&bench, 99, bench.upload(BODY), proof, None);
    assert!(matches!(reply, Reply::Finished { outcome: Outcome::Succeeded { .. } }), "{reply:?}");
}

#[test]
fn what_was_signed_once_is_good_once() {
    let bench = Bench::provisioned();
    let proof = bench.sign(bench.head("POST", "/api/config", CONFIG));
    let first = apply(&bench, 1, bench.upload(CONFIG), proof.clone(), None);
    assert!(matches!(first, Reply::Finished { outcome: Outcome::Succeeded { .. } }), "{first:?}");
    let again = apply(&bench, 2, bench.upload(CONFIG), proof.clone(), None);
    assert!(is_failed(&again), "{again:?}");
    let condition = apply(&bench, 3, bench.upload(CONFIG), proof, Some(etag(CONFIG)));
    assert!(is_failed(&condition));
    assert_eq!(denials(&bench), ["nonce-unknown", "nonce-unknown"]);
}

#[test]
fn a_signed_part_is_no_other_part() {
    let bench = Bench::provisioned();
    let good = r#"{"isAdmin": false}"#;
    let evil = r#"{"isAdmin": true, "ssh_key": "ssh-ed25519 AAAA"}"#;
    let guest = |body: &str| bench.head("PUT", "/api/config/users/guest", body);
    let change = |body: &str| Source::Change { body: body.to_owned() };
    let swapped = apply(&bench, 1, change(evil), bench.sign(guest(good)), None);
    assert!(is_failed(&swapped), "another body: {swapped:?}");
    let moved = Proof { target: "/api/config/users/admin".to_owned(), ..bench.sign(guest(good)) };
    assert!(is_failed(&apply(&bench, 2, change(good), moved, None)), "another user");
    let deleted = Proof { method: "DELETE".to_owned(), ..bench.sign(guest(good)) };
    assert!(is_failed(&apply(&bench, 3, change(good), deleted, None)), "another method (S7)");
    let unbound = Proof { if_match: "\"x\"".to_owned(), ..guest(good) };
    let unbound = apply(&bench, 4, change(good), bench.sign(unbound), None);
    assert!(is_failed(&unbound), "a condition was taken away");
    assert!(is_untouched(&bench));
    let done = apply(&bench, 5, change(good), bench.sign(guest(good)), None);
    assert!(matches!(done, Reply::Finished { outcome: Outcome::Succeeded { .. } }), "{done:?}");
}

#[test]
fn neither_secrets_nor_confirmations_without_a_signature_for_them() {
    let bench = Bench::provisioned();
    let denied = |request: Request| match bench.ask(request).last() {
        Reply::Failed { code, .. } => assert_eq!(code, FailureCode::Denied),
        other => panic!("{other:?}"),
    };
    let nonce = bench.sign(bench.head("GET", "/api/nonce", ""));
    denied(Request::Export { grounds: by(nonce) });
    let export = bench.sign(bench.head("GET", "/api/config/export", ""));
    denied(Request::Confirm { job: job(1), grounds: by(export) });
    let other = format!("/api/jobs/{}/confirm", job(2));
    let other = bench.sign(bench.head("POST", &other, ""));
    denied(Request::Confirm { job: job(1), grounds: by(other) });
    assert!(bench.fake.with(|state| state.confirmed.is_empty()));
}

#[test]
fn nobody_but_root_finds_configurations_on_the_device() {
    let bench = Bench::provisioned();
    bench.fake.with(|state| state.text = None);
    let grounds = Grounds::FirstBoot { place: "/boot config.toml".to_owned(), asked: true };
    let source = bench.upload(BODY);
    let apply = Request::Apply { job: job(1), source, grounds, if_match: None, confirm_secs: None };
    let entry = AuditEntry::SeedRefused { place: "sdb1".to_owned(), reason: "x".to_owned() };
    for request in [apply, Request::Audit { entry }] {
        let reply = bench.ask(request).last();
        assert!(matches!(reply, Reply::Failed { code: FailureCode::Denied, .. }), "{reply:?}");
    }
    assert!(bench.fake.with(|state| state.applied.is_empty() && state.audit.is_empty()));
}
