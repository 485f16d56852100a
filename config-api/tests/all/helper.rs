// SPDX-License-Identifier: MIT OR Apache-2.0
//! The helper over real sockets and a real spool: one change at a time, nothing believed that can
//! be looked at again.

#![cfg(target_os = "linux")]

use crate::bench::{Bench, job};
use crate::fake::{CONFIG, Fake, etag};
use config_api::helper::{AllowedPeers, Asker, PeerError};
use config_api::jobs::RollbackStatus;
use config_api::protocol::{
    AuditEntry, Change, FailureCode, Grounds, ItemName, Origin, Outcome, Reply, Request, Source,
    SpoolName, Upload, UserBody,
};
use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;

fn refused(reply: Reply) -> FailureCode {
    match reply {
        Reply::Failed { code, .. } => code,
        other => panic!("{other:?}"),
    }
}

fn guest() -> Change {
    let body = UserBody { is_admin: false, ssh_key: None, shell: None };
    Change::PutUser { name: ItemName::new("guest").unwrap(), body }
}

#[test]
fn a_change_is_told_step_by_step_and_ends_with_its_outcome() {
    let bench = Bench::new(Fake::unprovisioned());
    let mut client = bench.apply(1, CONFIG.as_bytes(), Grounds::FirstClaim);
    let steps: Vec<String> = (0..2)
        .map(|_| match client.next() {
            Reply::Event { event } => event.step,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(steps, ["validate", "promote"]);
    let Reply::Finished { outcome: Outcome::Succeeded { result } } = client.last() else {
        panic!("not finished")
    };
    assert_eq!(result.reapply, Some(false));
    let applied = bench.fake.with(|state| state.applied.clone());
    assert_eq!(applied, [(Origin::FirstClaim, CONFIG.to_owned())]);
}

#[test]
fn a_device_with_a_configuration_cannot_be_claimed_again() {
    let bench = Bench::provisioned();
    let Reply::Finished { outcome: Outcome::Failed { rollback, error, .. } } =
        bench.apply(1, b"version = 1", Grounds::FirstClaim).last()
    else {
        panic!("it was claimed")
    };
    assert_eq!(rollback, RollbackStatus::Skipped);
    assert_eq!(error, "the device has a configuration already");
    assert!(bench.fake.with(|state| state.applied.is_empty()));
}

#[test]
fn one_change_at_a_time_and_it_ends_although_its_client_left() {
    let bench = Bench::provisioned();
    bench.fake.hold();
    let mut first = bench.apply_signed(1, b"version = 1");
    assert!(matches!(first.next(), Reply::Event { .. }));
    assert_eq!(refused(bench.apply_signed(2, b"version = 1 ").last()), FailureCode::Busy);
    let running = bench.ask(Request::Current {}).last();
    let Reply::Current { current } = running else { panic!("{running:?}") };
    assert_eq!(current.running, Some(job(1)));
    // Neither looking nor exporting waits for it.
    assert!(matches!(
        bench.ask(Request::Export { grounds: bench.export() }).last(),
        Reply::Exported { .. }
    ));
    assert_eq!(bench.ask(Request::Recover { job: job(1) }).last(), Reply::Running);
    drop(first.stream);
    bench.fake.release();
    first.server.join().unwrap();
    assert_eq!(bench.fake.with(|state| state.text.clone()), Some("version = 1".to_owned()));
    let told = bench.ask(Request::Recover { job: job(1) }).last();
    assert!(matches!(told, Reply::Finished { outcome: Outcome::Succeeded { .. } }), "{told:?}");
    let again = bench.apply_signed(1, b"version = 1").last();
    assert_eq!(refused(again), FailureCode::Busy, "a job's name is good once");
}

#[test]
fn a_pipeline_that_panics_fails_its_job_and_not_the_next() {
    let bench = Bench::provisioned();
    bench.fake.with(|state| state.breaks = true);
    let client = bench.apply_signed(1, b"version = 1");
    let _ = client.server.join();
    let told = bench.ask(Request::Recover { job: job(1) }).last();
    assert!(matches!(told, Reply::Finished { outcome: Outcome::Failed { .. } }), "{told:?}");
}

#[test]
fn a_spooled_body_is_the_announced_one_or_none() {
    let bench = Bench::provisioned();
    let good = bench.spool(CONFIG.as_bytes());
    let validate = |upload: Upload| bench.ask(Request::Validate { upload }).last();
    assert!(matches!(validate(good.clone()), Reply::Valid { .. }));
    let longer = Upload { length: good.length + 1, ..good.clone() };
    let shorter = Upload { length: good.length - 1, ..good.clone() };
    let other = Upload { sha256: "0".repeat(64), ..good.clone() };
    let gone = Upload { spool: SpoolName::new([9; 16]), ..good.clone() };
    let endless = Upload { length: 1 << 40, ..good.clone() };
    for upload in [longer, shorter, other, gone, endless] {
        assert_eq!(refused(validate(upload.clone())), FailureCode::BadUpload, "{upload:?}");
    }
    let place = bench.dir.path().join("spool").join(good.spool.as_str());
    let secret = bench.dir.path().join("secret");
    fs::write(&secret, CONFIG).unwrap();
    fs::remove_file(&place).unwrap();
    symlink(&secret, &place).unwrap();
    assert_eq!(refused(validate(good.clone())), FailureCode::BadUpload, "a link");
    fs::remove_file(&place).unwrap();
    nix::unistd::mkfifo(&place, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(refused(validate(good)), FailureCode::BadUpload, "a pipe nobody writes to");
}

#[test]
fn a_typed_change_is_checked_against_what_is_in_force() {
    let bench = Bench::provisioned();
    let check = |change: Change, if_match: Option<String>| {
        bench.ask(Request::Check { change, if_match }).last()
    };
    assert!(matches!(check(guest(), None), Reply::Valid { .. }));
    assert!(matches!(check(guest(), Some(etag(CONFIG))), Reply::Valid { .. }));
    assert_eq!(refused(check(guest(), Some("old".to_owned()))), FailureCode::ConfigChanged);
    let bad = UserBody { is_admin: false, ssh_key: Some("bad".to_owned()), shell: None };
    let name = ItemName::new("guest").unwrap();
    let bad = Change::PutUser { name: name.clone(), body: bad };
    assert!(matches!(check(bad, None), Reply::Invalid { .. }));
    assert_eq!(refused(check(Change::DeleteUser { name }, None)), FailureCode::NotFound);
    let body = r#"{"isAdmin": false}"#;
    let grounds = bench.signed("PUT", "/api/config/users/guest", body.as_bytes());
    let source = Source::Change { body: body.to_owned() };
    let request =
        Request::Apply { job: job(3), source, grounds, if_match: None, confirm_secs: None };
    assert!(matches!(bench.ask(request).last(), Reply::Finished { .. }));
    let text = bench.fake.with(|state| state.text.clone()).unwrap();
    assert_eq!(text, format!("{CONFIG}\n[users.guest]\nisAdmin = false\n"));
}

#[test]
fn only_an_administrator_changes_a_part_exports_or_confirms() {
    let bench = Bench::provisioned();
    let source = Source::Change { body: r#"{"isAdmin": false}"#.to_owned() };
    let grounds = Grounds::FirstClaim;
    let request = Request::Apply {
        job: job(1),
        source,
        grounds: grounds.clone(),
        if_match: None,
        confirm_secs: None,
    };
    let reply = bench.ask(request).last();
    assert!(matches!(reply, Reply::Finished { outcome: Outcome::Failed { .. } }), "{reply:?}");
    for request in
        [Request::Export { grounds: grounds.clone() }, Request::Confirm { job: job(1), grounds }]
    {
        assert_eq!(refused(bench.ask(request).last()), FailureCode::NotProvisioned);
    }
    let target = format!("/api/jobs/{}/confirm", job(1));
    let grounds = bench.signed("POST", &target, b"");
    assert_eq!(bench.ask(Request::Confirm { job: job(1), grounds }).last(), Reply::Done);
    let entry = AuditEntry::DeniedMore { count: 3 };
    assert_eq!(bench.ask(Request::Audit { entry: entry.clone() }).last(), Reply::Done);
    assert_eq!(bench.fake.with(|state| state.audit.clone()), [entry]);
}

#[test]
fn an_export_is_the_very_bytes() {
    let bench = Bench::provisioned();
    let mut client = bench.ask(Request::Export { grounds: bench.export() });
    let expected = Reply::Exported { length: CONFIG.len() as u64, etag: etag(CONFIG) };
    assert_eq!(client.next(), expected);
    let mut text = String::new();
    client.stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, CONFIG);
}

#[test]
fn strange_messages_are_refused_and_long_ones_never_read() {
    let bench = Bench::provisioned();
    let json = |text: &str| {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&length[..], text.as_bytes()].concat()
    };
    let messages = [
        json("{}"),
        json("[1"),
        json(r#"{"version":2,"request":{"ask":"current"}}"#),
        json(r#"{"version":1,"request":{"ask":"current","more":1}}"#),
        json(r#"{"version":1,"request":{"ask":"shell","command":"reboot"}}"#),
        json(
            r#"{"version":1,"request":{"ask":"validate","upload":{"spool":"../../../etc/passwd",
            "file_name":"x","length":1,"sha256":""}}}"#,
        ),
        u32::MAX.to_be_bytes().to_vec(),
        0_u32.to_be_bytes().to_vec(),
    ];
    for message in messages {
        let reply = bench.send(&message).last();
        assert_eq!(refused(reply), FailureCode::BadRequest, "{message:?}");
    }
}

#[test]
fn only_the_console_of_a_device_without_a_configuration_is_told_its_addresses() {
    let told = |bench: &Bench, asker| match bench.ask_as(Request::Current {}, asker).last() {
        Reply::Current { current } => current.addresses,
        other => panic!("{other:?}"),
    };
    let bench = Bench::new(Fake::unprovisioned());
    let found = told(&bench, Asker::Root);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].interface.as_str(), found[0].address.to_string().as_str()),
        ("eth0", "192.168.1.20")
    );
    assert_eq!(told(&bench, Asker::Service), []);
    assert_eq!(told(&Bench::provisioned(), Asker::Root), []);
}

#[test]
fn the_kernel_says_who_asks() {
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let own = nix::unistd::getuid().as_raw();
    let verdict = AllowedPeers::new(own + 1).admit(&ours);
    if own == 0 {
        assert_eq!(verdict.ok(), Some(Asker::Root), "root may always ask");
    } else {
        assert!(matches!(verdict, Err(PeerError::Refused { uid }) if uid == own));
        assert!(AllowedPeers::new(own).admit(&ours).is_ok());
    }
}
