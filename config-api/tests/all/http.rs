// SPDX-License-Identifier: MIT OR Apache-2.0
//! The API over real sockets: who is let in, what is told, and how much a stranger can cost.

#![cfg(all(target_os = "linux", feature = "server"))]

use crate::door::{Call, Door, read_answer};
use crate::fake::{CONFIG, Fake, etag};
use crate::ssh::Keygen;
use config_api::protocol::{AuditEntry, Origin};
use serde_json::json;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

fn claimed() -> (Door, Keygen) {
    let keygen = Keygen::new("ed25519", None);
    (Door::open(Fake::provisioned(&keygen.public())), keygen)
}

fn post(body: &str) -> Call {
    Call::new("POST", "/api/config").body(body)
}

#[test]
fn whoever_comes_first_claims_a_new_device_and_nobody_after() {
    let door = Door::open(Fake::unprovisioned());
    let job = door.finished(&door.call(&post(CONFIG)));
    assert_eq!(job["state"], "succeeded");
    assert_eq!(job["result"]["reapply"], false);
    let steps: Vec<&str> =
        job["events"].as_array().unwrap().iter().filter_map(|one| one["step"].as_str()).collect();
    assert_eq!(steps, ["validate", "promote"]);
    let second = door.call(&post("version = 1\n"));
    assert_eq!((second.status, second.code().as_str()), (401, "no-administrators"));
    assert_eq!(door.spooled(), 0, "nothing is left in the spool");
}

#[test]
fn an_invalid_configuration_fails_its_job_with_all_faults() {
    let door = Door::open(Fake::unprovisioned());
    let job = door.finished(&door.call(&post("bad")));
    assert_eq!(job["state"], "failed");
    assert_eq!(job["rollback_status"], "skipped");
    assert_eq!(job["faults"][0]["path"], "users");
    let validate = Call::new("POST", "/api/validate");
    let refused = door.call(&validate.clone().body("bad"));
    assert_eq!((refused.status, refused.code().as_str()), (422, "config-invalid"));
    assert_eq!(refused.json()["faults"][0]["line"], 1);
    let valid = door.call(&validate.body(CONFIG));
    assert_eq!(valid.json(), json!({"ok": true, "warnings": ["a warning"]}));
}

#[test]
fn an_administrators_signature_opens_every_door_and_a_missing_one_none() {
    let (door, keygen) = claimed();
    let name = "/api/config/users/guest";
    let body = json!({"isAdmin": false});
    let calls = [
        post(CONFIG),
        Call::new("POST", "/api/validate").body(CONFIG),
        Call::new("GET", "/api/config/export"),
        Call::new("GET", "/api/config/current"),
        Call::new("PUT", name).json(&body),
        Call::new("DELETE", "/api/config/users/admin"),
        Call::new("PATCH", "/api/config/network").json(&json!({"dns_servers": ["1.1.1.1"]})),
    ];
    for call in calls {
        let unsigned = door.call(&call);
        assert_eq!(unsigned.status, 401, "{}", call.target);
        assert_eq!(unsigned.code(), "auth-header-missing");
        assert!(unsigned.header("www-authenticate").is_some());
        let signed = door.ask(&keygen, call.clone());
        let told = String::from_utf8_lossy(&signed.body);
        assert!((200..300).contains(&signed.status), "{}: {told}", call.target);
        if signed.status == 202 {
            assert_eq!(door.finished(&signed)["state"], "succeeded", "{}", call.target);
        }
    }
    let stranger = Keygen::new("ed25519", None);
    let refused = door.ask(&stranger, post(CONFIG));
    assert_eq!((refused.status, refused.code().as_str()), (401, "key-unknown"));
    let fingerprint = keygen.fingerprint();
    let origins = door.fake.with(|state| state.applied.clone());
    assert!(
        origins
            .iter()
            .all(|(origin, _)| *origin == Origin::Admin { fingerprint: fingerprint.clone() })
    );
}

#[test]
fn a_signed_request_cannot_be_used_twice_nor_for_something_else() {
    let (door, keygen) = claimed();
    let call = door.sign(
        &keygen,
        Call::new("PUT", "/api/config/users/guest").json(&json!({"isAdmin": false})),
    );
    let stolen =
        Call { method: "DELETE", target: "/api/config/users/admin".to_owned(), ..call.clone() };
    assert_eq!(door.call(&stolen).code(), "signature-wrong");
    assert_eq!(door.call(&call).code(), "nonce-unknown", "the theft used it up");
    let signed = door.sign(&keygen, post("version = 1\n"));
    let swapped = Call { body: Some(b"version = 2\n".to_vec()), ..signed };
    let refused = door.call(&swapped);
    assert_eq!((refused.status, refused.code().as_str()), (400, "body-digest"));
    assert_eq!(door.spooled(), 0);
    assert!(door.fake.with(|state| state.applied.is_empty()));
}

#[test]
fn a_body_is_not_read_before_its_sender_is_believed() {
    let (door, _) = claimed();
    let mut stream = door.connect();
    let host = door.address;
    let head = format!(
        "POST /api/config HTTP/1.1\r\nhost: {host}\r\ncontent-length: 30000000\r\nexpect: 100-continue\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(&mut stream).read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 401"), "{line}: the body was asked for");
}

/// What a stranger's request costs does not grow with what it announces: a wrong signature is told
/// from the head alone, nothing of the body is waited for, kept or shown to the helper, and its
/// nonce is used up, so that it costs one verification, by the one key that it names.
#[test]
fn a_wrong_signature_costs_the_same_whatever_body_it_announces() {
    let (keygen, second) = (Keygen::new("ed25519", None), Keygen::new("ed25519", None));
    let signers = format!("{}\n{}\n", second.public().trim(), keygen.public().trim());
    let door = Door::open(Fake::provisioned(&signers));
    let other = Keygen::new("ed25519", None);
    for (signer, code) in [(&keygen, "signature-wrong"), (&other, "key-unknown")] {
        for length in [1_u64, 1 << 20, 32 << 20, 1 << 40] {
            let mut signed = door.sign(signer, post("x"));
            // Signed for another target.
            signed.target = "/api/validate".to_owned();
            let announced = signed.header("content-length", &length.to_string());
            let announced = Call { body: None, ..announced }.header("expect", "100-continue");
            // Not a byte of the body is sent: whoever waited for one would never answer.
            let refused = door.call(&announced);
            assert_eq!((refused.status, refused.code().as_str()), (401, code), "{length}");
            // What is left of the nonce: of a known key's the arithmetic was begun once.
            let again = door.call(&announced).code();
            let used_up = if code == "key-unknown" { code } else { "nonce-unknown" };
            assert_eq!(again, used_up, "{length}");
        }
    }
    assert_eq!(door.spooled(), 0);
    assert!(door.fake.with(|state| state.applied.is_empty() && state.read == 0));
}

#[test]
fn a_typed_change_is_validated_before_there_is_a_job() {
    let (door, keygen) = claimed();
    let put = |body: &serde_json::Value| Call::new("PUT", "/api/config/users/guest").json(body);
    let cases = [
        (put(&json!({"isAdmin": false, "ssh_key": "bad"})), 422, "config-invalid"),
        (put(&json!({"isAdmin": "yes"})), 422, "config-invalid"),
        (put(&json!({"isAdmin": true, "uid": 0})), 422, "config-invalid"),
        (
            Call::new("PUT", "/api/config/users/a.b").json(&json!({"isAdmin": true})),
            422,
            "config-invalid",
        ),
        (
            Call::new("PUT", "/api/config/users/x")
                .header("content-type", "application/json")
                .body("{"),
            400,
            "not-json",
        ),
        (Call::new("PUT", "/api/config/users/x").body("{}"), 415, "not-json"),
        (Call::new("DELETE", "/api/config/users/nobody"), 404, "not-found"),
        (put(&json!({"isAdmin": true})).header("if-match", "\"old\""), 412, "config-changed"),
        (put(&json!({"isAdmin": true})).header("if-match", "W/\"x\""), 412, "config-changed"),
        (put(&json!({"isAdmin": true})).header("if-match", ""), 400, "if-match"),
        (put(&json!({"isAdmin": true})).header("if-match", "x"), 400, "if-match"),
        (put(&json!({"isAdmin": true})).header("if-match", "\"a\", \"b\""), 400, "if-match"),
    ];
    for (call, status, code) in cases {
        let answer = door.ask(&keygen, call.clone());
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}", call.target);
    }
    assert!(door.fake.with(|state| state.applied.is_empty()), "no job was begun");
    let exported = door.ask(&keygen, Call::new("GET", "/api/config/export"));
    assert_eq!(exported.body, CONFIG.as_bytes());
    let tag = exported.header("etag").unwrap().to_owned();
    assert_eq!(tag, format!("\"{}\"", etag(CONFIG)));
    let current = door.ask(&keygen, Call::new("GET", "/api/config/current"));
    assert_eq!(current.json()["config"]["users"]["admin"]["isAdmin"], true);
    let call = put(&json!({"isAdmin": false})).header("if-match", &tag);
    assert_eq!(door.finished(&door.ask(&keygen, call.clone()))["state"], "succeeded");
    assert_eq!(door.ask(&keygen, call).code(), "config-changed", "somebody was faster");
}

#[test]
fn one_change_at_a_time_and_looking_never_waits_for_it() {
    let (door, keygen) = claimed();
    door.fake.hold();
    let first = door.ask(&keygen, post("version = 1\n"));
    assert_eq!(first.status, 202);
    let second = door.ask(&keygen, post(CONFIG));
    assert_eq!((second.status, second.code().as_str()), (409, "busy"));
    assert_eq!(door.ask(&keygen, Call::new("GET", "/api/config/export")).status, 200);
    assert_eq!(door.call(&Call::new("GET", "/api/health")).json(), json!({"status": "ok"}));
    door.fake.release();
    assert_eq!(door.finished(&first)["state"], "succeeded");
    let id = first.json()["job_id"].as_str().unwrap().to_owned();
    let confirm = Call::new("POST", &format!("/api/jobs/{id}/confirm"));
    assert_eq!(door.call(&confirm).status, 401);
    assert_eq!(door.ask(&keygen, confirm).json(), json!({"ok": true}));
}

#[test]
fn a_job_is_followed_to_its_end() {
    let (door, keygen) = claimed();
    door.fake.hold();
    let answer = door.ask(&keygen, post("version = 1\n"));
    let url = answer.json()["job_url"].as_str().unwrap().to_owned();
    let mut stream = door.connect();
    stream.write_all(&Call::new("GET", &format!("{url}/events")).bytes("localhost")).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let first = lines.find(|line| line.as_ref().unwrap().starts_with("event:")).unwrap().unwrap();
    assert_eq!(first, "event: job");
    door.fake.release();
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    let last = rest.iter().rfind(|line| line.starts_with("event:")).unwrap();
    assert_eq!(last, "event: done");
    let data = rest.iter().rfind(|line| line.starts_with("data:")).unwrap();
    assert!(data.contains(r#""state":"succeeded""#), "{data}");
}

#[test]
fn a_service_that_was_killed_knows_afterwards_what_became_of_its_job() {
    let (door, keygen) = claimed();
    door.fake.hold();
    let answer = door.ask(&keygen, post("version = 1\n"));
    let url = answer.json()["job_url"].as_str().unwrap().to_owned();
    while door.call(&Call::new("GET", &url)).json()["current_step"] != "validate" {
        std::thread::sleep(Duration::from_millis(10));
    }
    let fake = door.fake.clone();
    let dir = door.kill();
    let door = Door::open_in(dir, fake.clone());
    assert_eq!(door.call(&Call::new("GET", &url)).json()["state"], "running");
    assert_eq!(door.ask(&keygen, post(CONFIG)).code(), "busy");
    fake.release();
    assert_eq!(door.wait(&url)["state"], "succeeded", "the helper saw its end");
}

#[test]
fn jobs_cannot_be_guessed_and_lost_ones_are_not_told_as_done() {
    let door = Door::open(Fake::unprovisioned());
    for id in ["1", "00000000-0000-4000-8000-000000000000", "..%2f..%2fetc%2fpasswd"] {
        for target in [format!("/api/jobs/{id}"), format!("/api/jobs/{id}/events")] {
            let answer = door.call(&Call::new("GET", &target));
            assert_eq!((answer.status, answer.code().as_str()), (404, "job-unknown"), "{target}");
        }
    }
}

#[test]
fn another_sites_page_and_another_devices_name_are_turned_away() {
    let door = Door::open(Fake::unprovisioned());
    let own = format!("http://{}", door.address);
    let cases = [
        (vec![("host", "evil.local")], 403),
        (vec![("host", "evil.local"), ("origin", "http://evil.local")], 403),
        (vec![("origin", "http://evil.example")], 403),
        (vec![("origin", "null")], 403),
        (vec![("referer", "http://evil.example/x")], 403),
        (vec![("sec-fetch-site", "cross-site")], 403),
        (vec![("origin", own.as_str()), ("sec-fetch-site", "same-origin")], 202),
    ];
    for (headers, status) in cases {
        let call = headers.iter().fold(post("bad"), |call, (name, value)| call.header(name, value));
        let answer = door.call(&call);
        assert_eq!(answer.status, status, "{headers:?}");
        if status == 202 {
            door.finished(&answer);
        } else {
            assert_eq!(answer.code(), "host-or-origin");
        }
    }
    let look = Call::new("GET", "/api/nonce").header("host", "evil.local");
    assert_eq!(door.call(&look).status, 403);
}

#[test]
fn every_answer_has_the_headers_that_browsers_mind_and_every_error_one_form() {
    let door = Door::open(Fake::unprovisioned());
    let cases = [
        (Call::new("GET", "/api/health"), 200),
        (Call::new("GET", "/nowhere"), 404),
        (Call::new("DELETE", "/api/health"), 405),
        (Call::new("POST", "/api/config"), 400),
        (Call::new("POST", "/api/config").header("transfer-encoding", "chunked"), 411),
        (post("x").header("content-length", "33554433"), 413),
        (Call::new("POST", "/api/config").header("content-length", "0"), 400),
        (Call::new("POST", "/api/validate"), 400),
        (Call::new("POST", "/api/validate").header("content-length", "0"), 400),
        (Call::new("GET", "/api/config/export"), 401),
    ];
    for (call, status) in cases {
        let answer = door.call(&call);
        assert_eq!(answer.status, status, "{} {}", call.method, call.target);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(answer.header("content-security-policy").unwrap().contains("default-src 'none'"));
        if status >= 400 {
            assert!(!answer.code().is_empty());
        }
    }
}

#[test]
fn nonces_are_bounded_and_denials_are_written_down() {
    let (door, keygen) = claimed();
    let kept = door.sign(&keygen, Call::new("GET", "/api/config/export"));
    let mut refused = 0;
    for _ in 0..40 {
        let answer = door.call(&Call::new("GET", "/api/nonce"));
        if answer.status == 429 {
            assert_eq!(answer.code(), "too-many-nonces");
            assert!(answer.header("retry-after").is_some());
            refused += 1;
        }
    }
    assert_eq!(refused, 40 - 15);
    assert_eq!(door.call(&kept).status, 200, "what was pending is still good");
    assert_eq!(door.call(&post("x")).status, 401);
    let end = std::time::Instant::now() + Duration::from_secs(60);
    let expected = AuditEntry::Denied {
        client: "127.0.0.1".to_owned(),
        target: "/api/config".to_owned(),
        code: "auth-header-missing".to_owned(),
    };
    while !door.fake.with(|state| state.audit.contains(&expected)) {
        assert!(std::time::Instant::now() < end, "it was not written down");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Two whose bodies never come to an end.
fn two_without_end(door: &Door, target: &str) -> Vec<TcpStream> {
    let slow = (0..2).map(|_| {
        let mut stream = door.connect();
        let call = Call::new("POST", target).body("version").header("content-length", "1000000");
        stream.write_all(&call.bytes("localhost")).unwrap();
        stream
    });
    let slow = slow.collect();
    while door.spooled() < 2 {
        std::thread::sleep(Duration::from_millis(10));
    }
    slow
}

#[test]
fn a_few_uploads_at_once_and_the_others_are_told_to_come_again() {
    let door = Door::open(Fake::unprovisioned());
    let slow = two_without_end(&door, "/api/config");
    let refused = door.call(&post(CONFIG));
    assert_eq!((refused.status, refused.code().as_str()), (429, "too-many-uploads"));
    drop(slow);
    while door.spooled() > 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
    // The place is free only after the file is gone.
    let answer = loop {
        let answer = door.call(&post(CONFIG));
        if answer.status != 429 {
            break answer;
        }
    };
    assert_eq!(answer.status, 202, "a sender that left frees its place");
}

#[test]
fn who_only_asks_what_is_wrong_takes_no_place_of_a_change() {
    let door = Door::open(Fake::unprovisioned());
    let _slow = two_without_end(&door, "/api/validate");
    let validation = Call::new("POST", "/api/validate").body(CONFIG);
    let refused = door.call(&validation);
    assert_eq!((refused.status, refused.code().as_str()), (429, "too-many-uploads"));
    assert_eq!(door.call(&post(CONFIG)).status, 202);
}

#[test]
fn no_head_is_two_requests_or_anothers() {
    let (door, keygen) = claimed();
    let signed = door.sign(&keygen, post(CONFIG)).bytes(&door.address.to_string());
    let signed = String::from_utf8(signed).unwrap();
    let length = format!("content-length: {}\r\n", CONFIG.len());
    // A second request hides where two readers of one head would see two ends of it.
    for strange in [
        format!("{length}transfer-encoding: chunked\r\n"),
        format!("{length}content-length: 5\r\n"),
        "content-length: +27\r\n".to_owned(),
        "transfer-encoding: chunked\r\n".to_owned(),
        "transfer-encoding: identity, chunked\r\n".to_owned(),
        format!("{length}x: a\r\n x-atomixos-nonce: b\r\n"),
    ] {
        let answer = door.send(signed.replacen(&length, &strange, 1).as_bytes());
        assert!((400..500).contains(&answer.status), "{strange}: {}", answer.head);
        assert_eq!(answer.head.matches("HTTP/1.1 ").count(), 1);
    }
    assert!(door.fake.with(|state| state.applied.is_empty()));
    let hosts = [
        "GET http://evil.example/api/nonce HTTP/1.1\r\nhost: localhost\r\n",
        "GET /api/nonce HTTP/1.1\r\nhost: localhost@evil.example\r\n",
        "GET /api/nonce HTTP/1.1\r\nhost: localhost.evil.example\r\n",
        "GET /api/nonce HTTP/1.1\r\nhost: 127.0.0.1.evil.example\r\n",
        "GET /api/nonce HTTP/1.1\r\nhost: 2130706433\r\n",
        "GET /api/nonce HTTP/1.1\r\n",
        "GET /api/nonce HTTP/1.0\r\n",
    ];
    for head in hosts {
        let answer = door.send(format!("{head}connection: close\r\n\r\n").as_bytes());
        assert!((400..500).contains(&answer.status), "{head}: {}", answer.head);
    }
    let mut foreign =
        b"POST /api/config HTTP/1.1\r\nhost: localhost\r\norigin: http://\xff\r\n".to_vec();
    foreign.extend_from_slice(b"content-length: 0\r\nconnection: close\r\n\r\n");
    assert_eq!(door.send(&foreign).status, 403);
}

#[test]
fn strange_heads_end_their_connection_and_nothing_else() {
    let door = Door::open(Fake::unprovisioned());
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000));
    let many =
        format!("GET /api/health HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "a: b\r\n".repeat(200));
    for bytes in [long.as_bytes(), many.as_bytes(), b"\0\0\0\0", b"GET / HTTP/9.9\r\n\r\n"] {
        let mut stream = door.connect();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        if let Ok(answer) = read_answer(&mut stream) {
            assert!((400..500).contains(&answer.status), "{}", answer.head);
        }
    }
    assert_eq!(door.call(&Call::new("GET", "/api/health")).status, 200);
}
