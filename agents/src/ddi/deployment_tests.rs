// SPDX-License-Identifier: MIT OR Apache-2.0
//! What servers send for a deployment, and what they might.

use super::deployment::{Deployment, Handling, Permission, Window, parse_deployment};
use super::error::DdiError;
use super::hashes::FileHasher;
use super::server::{ActionId, Home, Resource, Server};
use crate::offer::Urgency;
use crate::place::Transport;
use serde_json::{Value, json};
use storage::ByteLen;

fn read(body: &Value) -> Result<Deployment, DdiError> {
    let server = Server::new("https://h", Transport::HttpsOnly, ("DEFAULT", "d")).unwrap();
    parse_deployment(&server, (Resource::Deployment, ActionId(8)), body.to_string().as_bytes())
}

fn artifact(file: &str) -> Value {
    json!({
        "filename": file,
        "hashes": { "sha1": "A9993E364706816ABA3E25717850C26C9CD0D89D",
                    "md5": "900150983cd24fb0d6963f7d28e17f72" },
        "size": 3,
        "_links": {
            "download": { "href": format!("https://h/DEFAULT/controller/v1/d/softwaremodules/40/artifacts/{file}") },
            "md5sum": { "href": "https://h/x.MD5SUM" } },
    })
}

fn deployment(artifacts: &[Value]) -> Value {
    json!({
        "id": "8",
        "deployment": {
            "download": "forced", "update": "forced",
            "chunks": [
                { "part": "bApp", "version": "9", "name": "notes",
                  "artifacts": [artifact("readme.txt")] },
                { "part": "os", "version": "2.0", "name": "system", "artifacts": artifacts } ] },
        "actionHistory": { "status": "RUNNING", "messages": ["one", "two"] },
    })
}

#[test]
fn the_one_bundle_among_chunks_and_artifacts_is_the_offer() {
    let read = read(&deployment(&[artifact("x.sig"), artifact("x.raucb")])).unwrap();
    assert_eq!((read.artifact.version.as_str(), read.artifact.home), ("2.0", Home::Ours));
    assert_eq!((read.permission(), read.history.len()), (Permission::Install, 2));
    let offer = read.offer();
    assert_eq!((offer.urgency, offer.size), (Urgency::Forced, Some(ByteLen::new(3))));
    assert!(offer.urls[0].ends_with("/x.raucb") && offer.file.is_none());
}

#[test]
fn none_and_many_bundles_are_told_with_their_names() {
    let none = read(&deployment(&[artifact("x.swu")])).unwrap_err();
    assert!(none.to_string().contains("readme.txt, x.swu"), "{none}");
    let many = read(&deployment(&[artifact("a.raucb"), artifact("b.RAUCB")])).unwrap_err();
    assert!(
        many.to_string().contains("2 artifacts") && many.to_string().contains("a.raucb, b.RAUCB")
    );
    let empty = read(&json!({ "id": "8", "deployment": { "chunks": [] } })).unwrap_err();
    assert!(empty.to_string().contains("no artifact at all"), "{empty}");
}

#[test]
fn every_pair_of_handlings_has_its_permission() {
    use Handling::{Attempt, Forced, Skip};
    let closed = Some(Window::Unavailable);
    for (download, update, window, wanted) in [
        (Skip, Skip, None, Permission::Wait),
        (Skip, Forced, None, Permission::Wait),
        (Attempt, Skip, None, Permission::Fetch),
        (Forced, Skip, closed, Permission::Fetch),
        (Forced, Forced, closed, Permission::Fetch),
        (Attempt, Attempt, None, Permission::Install),
        (Forced, Attempt, Some(Window::Available), Permission::Install),
        (Attempt, Forced, None, Permission::Install),
    ] {
        let mut one = read(&deployment(&[artifact("x.raucb")])).unwrap();
        (one.download, one.update, one.window) = (download, update, window);
        assert_eq!(one.permission(), wanted, "{download:?} {update:?} {window:?}");
    }
}

/// Fails when a word about the download makes the install one that waits for nothing.
#[test]
fn only_a_forced_update_makes_the_offer_forced() {
    for (download, update, wanted) in [
        (Handling::Forced, Handling::Skip, Urgency::Ordinary),
        (Handling::Forced, Handling::Attempt, Urgency::Ordinary),
        (Handling::Attempt, Handling::Forced, Urgency::Forced),
    ] {
        let mut one = read(&deployment(&[artifact("x.raucb")])).unwrap();
        (one.download, one.update) = (download, update);
        assert_eq!(one.offer().urgency, wanted, "{download:?} {update:?}");
    }
}

/// Fails when a log line begins with what a server chose: a journal reads a level there.
#[test]
fn no_refusal_begins_with_the_servers_words() {
    let mut one = read(&deployment(&[artifact("<0>x.raucb")])).unwrap();
    one.artifact.size = Some(ByteLen::new(3));
    let mut encrypted = deployment(&[artifact("<0>x.raucb")]);
    encrypted["deployment"]["chunks"][1]["encrypted"] = json!(true);
    let mut unlinked = deployment(&[artifact("<0>x.raucb")]);
    unlinked["deployment"]["chunks"][1]["artifacts"][0]["_links"] = json!({});
    for refused in [
        one.artifact.check_size(ByteLen::new(4)).unwrap_err(),
        read(&encrypted).unwrap_err(),
        read(&unlinked).unwrap_err(),
    ] {
        let words = refused.to_string();
        assert!(words.starts_with("the artifact ") && words.contains("<0>x.raucb"), "{words}");
    }
}

#[test]
fn hashes_are_compared_with_what_was_fetched() {
    let first = read(&deployment(&[artifact("x.raucb")])).unwrap();
    let hashes = |content: &[u8]| {
        let mut hasher = FileHasher::new().unwrap();
        content.chunks(2).for_each(|piece| hasher.update(piece).unwrap());
        hasher.finish().unwrap()
    };
    first.artifact.check_file(&hashes(b"abc")).unwrap();
    let other = first.artifact.check_file(&hashes(b"abd")).unwrap_err();
    assert!(matches!(other, DdiError::Differs { what: "SHA-1", .. }), "{other}");
    // Each of those that a server may name is compared, and one that holds is no complaint.
    for (name, shown, of_abc) in [
        ("md5", "MD5", "900150983cd24fb0d6963f7d28e17f72"),
        ("sha1", "SHA-1", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        ("sha256", "SHA-256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ] {
        let mut body = deployment(&[artifact("x.raucb")]);
        let at = "/deployment/chunks/1/artifacts/0/hashes";
        *body.pointer_mut(at).unwrap() = json!({ name: of_abc });
        let named = read(&body).unwrap().artifact;
        named.check_file(&hashes(b"abc")).unwrap();
        let other = named.check_file(&hashes(b"abd")).unwrap_err();
        assert!(matches!(other, DdiError::Differs { what, .. } if what == shown), "{other}");
    }
    let longer = first.artifact.check_size(ByteLen::new(4)).unwrap_err();
    assert!(longer.to_string().contains("length 4, and the server says 3"), "{longer}");
}

#[test]
fn what_no_server_says_is_refused() {
    let with = |change: &dyn Fn(&mut Value)| {
        let mut body = deployment(&[artifact("x.raucb")]);
        change(&mut body);
        read(&body)
    };
    let at = "/deployment/chunks/1/artifacts/0";
    let set = |pointer: String, value: Value| {
        with(&move |body| *body.pointer_mut(&pointer).unwrap() = value.clone())
    };
    assert!(matches!(set("/id".into(), json!("9")), Err(DdiError::OtherAction { found: 9, .. })));
    assert!(set("/id".into(), json!(8)).is_err());
    assert!(set("/deployment/update".into(), json!("maybe")).is_err());
    assert!(set(format!("{at}/size"), json!(-1)).is_err());
    assert!(set(format!("{at}/hashes/md5"), json!("xyz")).is_err());
    assert!(matches!(set(format!("{at}/_links"), json!({})), Err(DdiError::NoLink { .. })));
    let elsewhere = json!({ "href": "http://169.254.169.254/x.raucb" });
    assert!(matches!(
        set(format!("{at}/_links/download"), elsewhere),
        Err(DdiError::Artifact { .. })
    ));
    assert!(matches!(
        with(&|body| body["deployment"]["chunks"][1]["encrypted"] = json!(true)),
        Err(DdiError::Encrypted { .. })
    ));
    // A list is no object, although its values could be taken for members in their order.
    for (pointer, list) in [
        ("/deployment".to_owned(), json!(["forced", "forced", null, []])),
        ("/deployment/chunks/1".to_owned(), json!(["2.0.0", null, [artifact("x.raucb")]])),
        (at.to_owned(), json!(["x.raucb", null, 3, { "download": { "href": "https://h/x" } }])),
        (format!("{at}/hashes"), json!([null, null, null])),
        (format!("{at}/_links"), json!([{ "href": "https://h/x" }, null])),
        (format!("{at}/_links/download"), json!(["https://h/x"])),
    ] {
        let refused = set(pointer.clone(), list).unwrap_err();
        assert!(matches!(refused, DdiError::Json { .. }), "{pointer}: {refused}");
    }
    let history = with(&|body| body["actionHistory"] = json!([["words"]]));
    assert!(matches!(history, Err(DdiError::Json { .. })));
    let many: Vec<Value> = (0..200).map(|n| artifact(&format!("{n}.txt"))).collect();
    assert!(matches!(read(&deployment(&many)), Err(DdiError::Field { .. })));
}
