// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does somebody get who has taken over the HTTP process, and speaks to root's? Not an
//! administrator's rights: what one signed is verified again, once, for that very request.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    reason = "a test may stop where it stands, and plays the HTTP process's files"
)]

mod fake;
mod ssh;

use config_api::auth::{DeviceId, SignedRequest};
use config_api::helper::{Asker, Helper, Spool};
use config_api::jobs::JobId;
use config_api::protocol::{
    AuditEntry, FailureCode, FileName, Grounds, Outcome, PROTOCOL_VERSION, Proof, Reply, Request,
    RequestFrame, Source, SpoolName, Upload, decode_length, encode_frame, parse_frame,
};
use fake::{CONFIG, Fake, etag};
use ssh::Keygen;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

const DEVICE: &str = "0a1b2c3d4e5f";
const BODY: &str = "version = 1 # owned\n";

struct Captured {
    dir: tempfile::TempDir,
    fake: Fake,
    helper: Helper<Fake, Spool>,
    key: Keygen,
}

impl Captured {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["spool", "own"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let spool = Spool::new(dir.path().join("spool"), dir.path().join("own"));
        let key = Keygen::new("ed25519", None);
        let fake = Fake::provisioned(&key.public());
        let helper = Helper::new(fake.clone(), spool, DeviceId::new(DEVICE).unwrap());
        Self { dir, fake, helper, key }
    }

    fn ask(&self, request: Request) -> Reply {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        let frame = RequestFrame { version: PROTOCOL_VERSION, request };
        ours.write_all(&encode_frame(&frame).unwrap()).unwrap();
        self.helper.serve(&mut theirs, Asker::Service).unwrap();
        loop {
            let mut header = [0; 4];
            ours.read_exact(&mut header).unwrap();
            let mut content = vec![0; decode_length(header).unwrap()];
            ours.read_exact(&mut content).unwrap();
            let reply: Reply = parse_frame(&content).unwrap();
            if !reply.more_follows() {
                return reply;
            }
        }
    }

    fn proof(&self, method: &str, target: &str, body: &str) -> Proof {
        let Reply::Nonce { nonce } = self.ask(Request::Nonce {}) else { panic!("no nonce") };
        Proof {
            method: method.to_owned(),
            target: target.to_owned(),
            nonce,
            sha256: hex::encode(openssl::sha::sha256(body.as_bytes())),
            ..Proof::default()
        }
    }

    fn sign(&self, proof: Proof) -> Proof {
        signed_by(&self.key, DEVICE, proof)
    }

    fn apply(&self, number: u8, source: Source, proof: Proof, if_match: Option<String>) -> Reply {
        let grounds = Grounds::Signed { proof: Box::new(proof) };
        self.ask(Request::Apply {
            job: JobId::new([number; 16]),
            source,
            grounds,
            if_match,
            confirm_secs: None,
        })
    }

    fn upload(&self, body: &str) -> Source {
        let spool = SpoolName::new([body.len().to_le_bytes()[0]; 16]);
        fs::write(self.dir.path().join("spool").join(spool.as_str()), body).unwrap();
        Source::Upload {
            upload: Upload {
                spool,
                file_name: FileName::new(""),
                length: body.len() as u64,
                sha256: hex::encode(openssl::sha::sha256(body.as_bytes())),
            },
        }
    }

    fn is_untouched(&self) -> bool {
        self.fake.with(|state| state.applied.is_empty() && state.text.as_deref() == Some(CONFIG))
    }

    fn denials(&self) -> Vec<String> {
        let code = |entry: &AuditEntry| match entry {
            AuditEntry::Denied { code, .. } => code.clone(),
            other => panic!("{other:?}"),
        };
        self.fake.with(|state| state.audit.iter().map(code).collect())
    }
}

fn signed_by(key: &Keygen, device: &str, proof: Proof) -> Proof {
    let request = SignedRequest {
        device: &DeviceId::new(device).unwrap(),
        nonce: &proof.nonce,
        method: &proof.method,
        target: &proof.target,
        content_type: &proof.content_type,
        file_name: &proof.file_name,
        if_match: &proof.if_match,
        sha256: &proof.sha256,
    };
    let armored = key.sign(&request.message().unwrap());
    Proof { signature: openssl::base64::encode_block(armored.as_bytes()), ..proof }
}

fn is_failed(reply: &Reply) -> bool {
    matches!(reply, Reply::Finished { outcome: Outcome::Failed { .. } })
}

#[test]
fn a_configuration_that_nobody_signed_is_not_applied() {
    let captured = Captured::new();
    let stranger = Keygen::new("ed25519", None);
    let whole = || captured.proof("POST", "/api/config", BODY);
    let forged = [
        whole(),
        signed_by(&stranger, DEVICE, whole()),
        signed_by(&captured.key, "ffffffffffff", whole()),
        captured.sign(Proof { nonce: "0".repeat(64), ..whole() }),
        captured.sign(captured.proof("POST", "/api/validate", BODY)),
        captured.sign(captured.proof("PUT", "/api/config", BODY)),
        captured.sign(captured.proof("POST", "/api/config", "version = 1 # another")),
        captured.sign(Proof { file_name: "other.tar.gz".to_owned(), ..whole() }),
        captured.sign(Proof { if_match: "\"old\"".to_owned(), ..whole() }),
        // An operator's way back is part of what was signed: here it was left out on the way.
        captured.sign(captured.proof("POST", "/api/config?confirm_within=60", BODY)),
    ];
    let count = forged.len();
    for (number, proof) in (1..).zip(forged) {
        let told = format!("{proof:?}");
        let reply = captured.apply(number, captured.upload(BODY), proof, None);
        assert!(is_failed(&reply), "{reply:?} for {told}");
    }
    assert!(captured.is_untouched());
    assert_eq!(captured.denials().len(), count, "each is written down");
    let proof = captured.sign(whole());
    let reply = captured.apply(99, captured.upload(BODY), proof, None);
    assert!(matches!(reply, Reply::Finished { outcome: Outcome::Succeeded { .. } }), "{reply:?}");
}

#[test]
fn what_was_signed_once_is_good_once() {
    let captured = Captured::new();
    let proof = captured.sign(captured.proof("POST", "/api/config", CONFIG));
    let first = captured.apply(1, captured.upload(CONFIG), proof.clone(), None);
    assert!(matches!(first, Reply::Finished { outcome: Outcome::Succeeded { .. } }), "{first:?}");
    let again = captured.apply(2, captured.upload(CONFIG), proof.clone(), None);
    assert!(is_failed(&again), "{again:?}");
    let condition = captured.apply(3, captured.upload(CONFIG), proof, Some(etag(CONFIG)));
    assert!(is_failed(&condition));
    assert_eq!(captured.denials(), ["nonce-unknown", "nonce-unknown"]);
}

#[test]
fn a_signed_part_is_no_other_part() {
    let captured = Captured::new();
    let good = r#"{"isAdmin": false}"#;
    let evil = r#"{"isAdmin": true, "ssh_key": "ssh-ed25519 AAAA"}"#;
    let guest = |body: &str| captured.proof("PUT", "/api/config/users/guest", body);
    let change = |body: &str| Source::Change { body: body.to_owned() };
    let swapped = captured.apply(1, change(evil), captured.sign(guest(good)), None);
    assert!(is_failed(&swapped), "another body: {swapped:?}");
    let moved =
        Proof { target: "/api/config/users/admin".to_owned(), ..captured.sign(guest(good)) };
    assert!(is_failed(&captured.apply(2, change(good), moved, None)), "another user");
    let deleted = Proof { method: "DELETE".to_owned(), ..captured.sign(guest(good)) };
    assert!(is_failed(&captured.apply(3, change(good), deleted, None)), "another method (S7)");
    let unbound = Proof { if_match: "\"x\"".to_owned(), ..guest(good) };
    let unbound = captured.apply(4, change(good), captured.sign(unbound), None);
    assert!(is_failed(&unbound), "a condition was taken away");
    assert!(captured.is_untouched());
    let done = captured.apply(5, change(good), captured.sign(guest(good)), None);
    assert!(matches!(done, Reply::Finished { outcome: Outcome::Succeeded { .. } }), "{done:?}");
}

#[test]
fn neither_secrets_nor_confirmations_without_a_signature_for_them() {
    let captured = Captured::new();
    let denied = |request: Request| match captured.ask(request) {
        Reply::Failed { code, .. } => assert_eq!(code, FailureCode::Denied),
        other => panic!("{other:?}"),
    };
    let by = |proof: Proof| Grounds::Signed { proof: Box::new(proof) };
    let nonce = captured.sign(captured.proof("GET", "/api/nonce", ""));
    denied(Request::Export { grounds: by(nonce) });
    let export = captured.sign(captured.proof("GET", "/api/config/export", ""));
    denied(Request::Confirm { job: JobId::new([1; 16]), grounds: by(export) });
    let other = format!("/api/jobs/{}/confirm", JobId::new([2; 16]));
    let other = captured.sign(captured.proof("POST", &other, ""));
    denied(Request::Confirm { job: JobId::new([1; 16]), grounds: by(other) });
    assert!(captured.fake.with(|state| state.confirmed.is_empty()));
}

#[test]
fn nobody_but_root_finds_configurations_on_the_device() {
    let captured = Captured::new();
    captured.fake.with(|state| state.text = None);
    let grounds = Grounds::FirstBoot { place: "/boot config.toml".to_owned(), asked: true };
    let source = captured.upload(BODY);
    let apply = Request::Apply {
        job: JobId::new([1; 16]),
        source,
        grounds,
        if_match: None,
        confirm_secs: None,
    };
    let entry = AuditEntry::SeedRefused { place: "sdb1".to_owned(), reason: "x".to_owned() };
    for request in [apply, Request::Audit { entry }] {
        let reply = captured.ask(request);
        assert!(matches!(reply, Reply::Failed { code: FailureCode::Denied, .. }), "{reply:?}");
    }
    assert!(captured.fake.with(|state| state.applied.is_empty() && state.audit.is_empty()));
}
