// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program as an operator uses it against the real config API on loopback: nonces, signatures
//! by real keys of every kind, on one machine or on two, and the configuration in force.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by them, runs the program and reads what it wrote"
)]

#[path = "../../config-api/tests/door/mod.rs"]
mod door;
#[path = "../../config-api/tests/fake/mod.rs"]
mod fake;
#[path = "config_laptop/mod.rs"]
mod laptop;
#[path = "../../config-api/tests/ssh/mod.rs"]
mod ssh;

use door::{Call, DEVICE, Door};
use fake::{CONFIG, Fake};
use laptop::{Agent, Laptop};
use ssh::Keygen;
use std::os::unix::fs::PermissionsExt;

fn provisioned(key: &Keygen) -> Door {
    Door::open(Fake::provisioned(&key.public()))
}

#[test]
fn a_nonce_is_printed_for_people_and_for_programs_and_its_device_is_compared() {
    let door = Door::open(Fake::unprovisioned());
    let laptop = Laptop::at(&door);
    let ran = laptop.run(&["config", "request-nonce", "--device", &laptop.device]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(lines[0].strip_prefix("nonce: ").is_some_and(|nonce| nonce.len() == 64), "{lines:?}");
    assert_eq!(lines[1..], [&*format!("device: {DEVICE}"), "expires-in-seconds: 300"]);
    let json = laptop.json(&["config", "request-nonce", "--device", &laptop.device]);
    assert_eq!((&json["version"], &json["device"]), (&1.into(), &DEVICE.into()));
    let other = ["config", "request-nonce", "--device", &laptop.device, "--device-id", "other"];
    let ran = laptop.run(&other);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(ran.stderr.contains(&format!("is the device {DEVICE}, not other")), "{}", ran.stderr);
}

#[test]
fn keys_of_every_kind_read_the_configuration_in_force() {
    for (kind, bits) in [("ed25519", None), ("ecdsa", Some("384")), ("rsa", Some("2048"))] {
        let key = Keygen::new(kind, bits);
        let door = provisioned(&key);
        let laptop = Laptop::at(&door);
        let ran = laptop.run(&laptop.with_key(&key, &["export"]));
        assert_eq!((ran.code, ran.stdout.as_str()), (0, CONFIG), "{kind}: {}", ran.stderr);
        let file = laptop.path("now.toml");
        let ran = laptop.run(&laptop.with_key(&key, &["export", "--out", &file]));
        assert_eq!(ran.code, 0, "{kind}: {}", ran.stderr);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), CONFIG);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let again = laptop.run(&laptop.with_key(&key, &["export", "--out", &file]));
        assert_eq!(again.code, 3, "{}", again.stderr);
    }
}

#[test]
fn an_encrypted_key_signs_by_its_agent_and_not_without() {
    let key = Keygen::new("ed25519", None);
    let door = provisioned(&key);
    let agent = Agent::start();
    agent.add(&key.path());
    Agent::encrypt(&key.path());
    let laptop = Laptop::at(&door);
    // Without a terminal nobody can be asked for the passphrase.
    let ran = laptop.run(&laptop.with_key(&key, &["export"]));
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("cannot sign with"), "{}", ran.stderr);
    let with_agent = laptop.knowing(&agent);
    let ran = with_agent.run(&laptop.with_key(&key, &["export"]));
    assert_eq!((ran.code, ran.stdout.as_str()), (0, CONFIG), "{}", ran.stderr);
    // The public half is enough then: the private one may be on another machine, or in a token.
    std::fs::remove_file(key.path()).unwrap();
    let ran = with_agent.run(&laptop.with_key(&key, &["export"]));
    assert_eq!((ran.code, ran.stdout.as_str()), (0, CONFIG), "{}", ran.stderr);
}

#[test]
fn a_strange_key_and_no_key_are_refused_with_the_way_out() {
    let door = provisioned(&Keygen::new("ed25519", None));
    let laptop = Laptop::at(&door);
    let strange = Keygen::new("ed25519", None);
    let ran = laptop.run(&laptop.with_key(&strange, &["export"]));
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(ran.stderr.contains("key-unknown") && ran.stderr.contains("isAdmin"), "{}", ran.stderr);
    let ran = laptop.run(&["config", "export", "--device", &laptop.device]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(ran.stderr.contains("--ssh-key"), "{}", ran.stderr);
    let claimed = Door::open(Fake::unprovisioned());
    let ran = laptop.run(&["config", "export", "--device", &claimed.address.to_string()]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("atomix config apply"), "{}", ran.stderr);
}

#[test]
fn a_request_signed_on_another_machine_is_good_once_and_for_its_content_alone() {
    let key = Keygen::new("ed25519", None);
    let door = provisioned(&key);
    let laptop = Laptop::at(&door);
    let request = laptop.path("request");
    let asked = laptop.run(&["config", "request-nonce", "--device", &laptop.device]);
    std::fs::write(&request, &asked.stdout).unwrap();
    let config = laptop.write("config.toml", CONFIG);
    let key_path = key.path();
    let sign = ["config", "sign", &config, "--request", &request, "--ssh-key", &key_path];
    let signed = laptop.run(&sign);
    assert_eq!(signed.code, 0, "{}", signed.stderr);
    assert!(signed.stderr.contains(&format!("for device {DEVICE}: POST /api/config")));
    let json = laptop.json(&sign);
    assert_eq!(json["headers"].as_object().unwrap().len(), 5, "{json}");
    // Its lines are headers: any program can send them.
    let call = |body: &str| {
        let call = Call::new("POST", "/api/config").body(body);
        signed.stdout.lines().fold(call, |call, line| {
            let (name, value) = line.split_once(": ").unwrap();
            call.header(name, value)
        })
    };
    let mut elsewhere = call(CONFIG);
    elsewhere.target = "/api/validate".to_owned();
    assert_eq!(door.call(&elsewhere).code(), "signature-wrong");
    // Whatever came of it, the nonce is used up.
    assert_eq!(door.call(&call(CONFIG)).code(), "nonce-unknown");
}

#[test]
fn headers_of_another_request_are_not_even_sent() {
    let key = Keygen::new("ed25519", None);
    let door = provisioned(&key);
    let laptop = Laptop::at(&door);
    let request = laptop.path("request");
    let asked = laptop.run(&["config", "request-nonce", "--device", &laptop.device]);
    std::fs::write(&request, &asked.stdout).unwrap();
    let key_path = key.path();
    let target = "/api/config/export";
    let sign =
        ["config", "sign", "--target", target, "--request", &request, "--ssh-key", &key_path];
    let signed = laptop.run(&sign);
    assert_eq!(signed.code, 0, "{}", signed.stderr);
    let good = laptop.write("signed", &signed.stdout);
    let export = ["config", "export", "--device", &laptop.device, "--signed", &good];
    let ran = laptop.run(&export);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, CONFIG), "{}", ran.stderr);
    let ran = laptop.run(&export);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(ran.stderr.contains("five minutes"), "{}", ran.stderr);
    for (name, text) in [("nothing", ""), ("more", "x-forwarded-for: 1\n")] {
        let bad = laptop.write(name, text);
        let ran = laptop.run(&["config", "export", "--device", &laptop.device, "--signed", &bad]);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
    }
}

#[test]
fn nobody_there_and_somebody_else_there_are_told_apart() {
    let laptop = Laptop::alone();
    let ran = laptop.run(&["config", "export", "--device", "127.0.0.1:1"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("does not answer: cannot connect"), "{}", ran.stderr);
    assert!(ran.stderr.contains("its LAN alone"), "{}", ran.stderr);
    let page = laptop::page(502, "<html>Bad gateway</html>");
    let ran = laptop.run(&["config", "request-nonce", "--device", &page]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("this is not the config API"), "{}", ran.stderr);
    for odd in ["http://a/b", "http://me:pw@a", "ftp://a", ""] {
        let ran = laptop.run(&["config", "export", "--device", odd]);
        assert_eq!(ran.code, 2, "{odd}: {}", ran.stderr);
        assert!(!ran.stderr.contains("pw"), "{}", ran.stderr);
    }
    let ran = laptop.run(&["--root", "/nowhere", "config", "export", "--device", "a"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
}

#[test]
fn the_device_itself_gives_out_what_is_in_force_without_a_key() {
    let laptop = Laptop::alone();
    let root = laptop.path("root");
    let ran = laptop.run(&["--root", &root, "config", "export"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    std::fs::create_dir_all(format!("{root}/data/config")).unwrap();
    std::fs::write(format!("{root}/data/config/config.toml"), "version = 1\u{1b}\n").unwrap();
    let ran = laptop.run(&["--root", &root, "config", "export"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/../config-api/tests/fixtures/001-minimal");
    let text = std::fs::read_to_string(format!("{fixture}/input.toml")).unwrap();
    std::fs::write(format!("{root}/data/config/config.toml"), &text).unwrap();
    let tree = laptop.path("tree");
    let ran = laptop.run(&["--root", &root, "config", "export", "--tree", &tree]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(std::fs::read_to_string(format!("{tree}/config.toml")).unwrap(), text);
    assert!(std::fs::metadata(format!("{tree}/quadlet/web.container")).unwrap().is_file());
    let ran = laptop.run(&["--root", &root, "config", "export"]);
    assert_eq!((ran.code, ran.stdout), (0, text));
}
