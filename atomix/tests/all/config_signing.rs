// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program as an operator uses it against the real config API on loopback: nonces, signatures
//! by real keys of every kind, on one machine or on two, and the configuration in force.

use crate::door::{Call, DEVICE, Door};
use crate::fake::{CONFIG, Fake};
use crate::laptop::{Agent, Laptop};
use crate::ssh::Keygen;
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
    let page = crate::laptop::page(502, "<html>Bad gateway</html>");
    let ran = laptop.run(&["config", "request-nonce", "--device", &page]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("does not reach the device"), "{}", ran.stderr);
    for odd in ["fe80::1", "http://a/b", "http://me:pw@a", "ftp://a", ""] {
        let ran = laptop.run(&["config", "export", "--device", odd]);
        assert_eq!(ran.code, 2, "{odd}: {}", ran.stderr);
        assert!(!ran.stderr.contains("pw"), "{}", ran.stderr);
    }
    let ran = laptop.run(&["--root", "/nowhere", "config", "export", "--device", "a"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
}

const PAGE: &str = "<!DOCTYPE html><title>Router</title>";

/// What a router, a proxy or a portal answers with, the code, and what is told.
const STRANGERS: [(u16, &str, &str, i32, [&str; 2]); 10] = [
    (
        200,
        "content-type: text/html\r\n",
        PAGE,
        1,
        ["a page for browsers", "other than a config API"],
    ),
    (200, "", "ok", 1, ["no word of the config API", "other than a config API"]),
    (200, "", "{\"nonce\": 7}", 1, ["something else than", "the device's own version"]),
    (204, "", "", 1, ["no word of the config API", "other than a config API"]),
    (404, "content-type: text/html\r\n", PAGE, 1, ["the answer is 404", "other than a config API"]),
    (
        302,
        "location: http://portal.example/login?token=secret\r\n",
        "",
        1,
        ["leads to http://portal.example/login?…", "redirects are not followed"],
    ),
    (405, "", PAGE, 1, ["the answer is 405", "other than a config API"]),
    (413, "", PAGE, 1, ["the answer is 413", "go around it"]),
    (429, "", PAGE, 5, ["the answer is 429", "try again"]),
    (502, "", PAGE, 1, ["the answer is 502", "go around it"]),
];

#[test]
fn what_is_no_config_api_is_called_so_whatever_it_answers() {
    let laptop = Laptop::alone();
    let config =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../config-api/tests/fixtures/001-minimal/input.toml");
    for (status, headers, body, code, words) in STRANGERS {
        let place = crate::laptop::page_with(status, headers, body);
        let runs = [
            vec!["config", "request-nonce", "--device", &place],
            vec!["config", "apply", config, "--device", &place],
            vec!["config", "export", "--device", &place],
            vec!["config", "job", "5f3c1d52-8a0b-4e5f-9c3a-0123456789ab", "--device", &place],
        ];
        for run in runs {
            // A configuration is text: that nobody's object is none shows by its type.
            let verb = run[1];
            let words = match (verb, body) {
                ("export", "{\"nonce\": 7}") => {
                    ["no word of the config API", "other than a config API"]
                }
                _ => words,
            };
            let waits = verb == "job" && matches!(status, 429 | 502);
            if waits {
                continue;
            }
            let ran = laptop.run(&run);
            assert_eq!(ran.code, code, "{status} {verb}: {}", ran.stderr);
            for word in words {
                assert!(ran.stderr.contains(word), "{status} {verb}, {word}: {}", ran.stderr);
            }
            assert!(!ran.stderr.contains("secret") && ran.stdout.is_empty(), "{}", ran.stderr);
        }
    }
}

#[test]
fn what_speaks_no_http_is_told_from_a_device_whose_answer_breaks_off() {
    let laptop = Laptop::alone();
    for (answer, words) in [
        ("SSH-2.0-OpenSSH_10.0\r\n", ["this is no answer of HTTP", "other than a config API"]),
        ("\x15\x03\x01\0\x02\x02F", ["this is no answer of HTTP", "other than a config API"]),
        ("HTTP/1.1 999 x\r\n\r\n", ["this is no answer of HTTP", "other than a config API"]),
        ("", ["the connection broke", "whether it was taken is not known"]),
        (
            "HTTP/1.1 200 x\r\ncontent-length: 9\r\n\r\n{",
            ["the connection broke", "whether it was taken is not known"],
        ),
    ] {
        let place = crate::laptop::says(answer.to_owned());
        let ran = laptop.run(&["config", "export", "--device", &place]);
        assert_eq!(ran.code, 1, "{answer:?}: {}", ran.stderr);
        for word in words {
            assert!(ran.stderr.contains(word), "{answer:?}, {word}: {}", ran.stderr);
        }
    }
}

#[test]
fn an_address_that_cannot_be_asked_is_told_precisely() {
    let laptop = Laptop::alone();
    for (place, code, words) in [
        ("ftp://127.0.0.1", 2, "never over ftp://"),
        ("http://me:pw@127.0.0.1", 2, "--ssh-key says who asks"),
        ("http://127.0.0.1/api", 2, "a path or a query stands behind it"),
        ("fe80::1", 2, "fe80::1%eth0"),
        ("fe80::1%eth0:8080", 2, "this is no IPv6 address"),
        // These are asked; nobody answers.
        ("https://127.0.0.1:1", 1, "cannot connect"),
        ("[::1%25lo]:1", 1, "http://[::1%25lo]:1 does not answer: cannot connect"),
        ("http://[::1%lo]:1", 1, "http://[::1%25lo]:1 does not answer: cannot connect"),
    ] {
        let ran = laptop.run(&["config", "request-nonce", "--device", place]);
        assert_eq!(ran.code, code, "{place}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{place}, {words}: {}", ran.stderr);
        assert!(!ran.stderr.contains("pw"), "{}", ran.stderr);
    }
}

#[test]
fn a_device_is_named_as_its_label_is_read() {
    let key = Keygen::new("ed25519", None);
    let door = provisioned(&key);
    let laptop = Laptop::at(&door);
    let ask = |id: &str| {
        laptop.run(&["config", "request-nonce", "--device", &laptop.device, "--device-id", id])
    };
    for id in [DEVICE, "0A:1B:2C:3D:4E:5F", "0a-1b-2c-3d-4e-5f", "0A1B2C3D4E5F"] {
        assert_eq!(ask(id).code, 0, "{id}: {}", ask(id).stderr);
    }
    let other = ask("0A:1B:2C:3D:4E:60");
    assert_eq!(other.code, 4, "{}", other.stderr);
    assert!(other.stderr.contains(&format!("{DEVICE}, not 0a1b2c3d4e60")), "{}", other.stderr);
    for id in ["0a:1b:2c", "my gate", ""] {
        let none = ask(id);
        assert_eq!(none.code, 2, "{id}: {}", none.stderr);
        assert!(none.stderr.contains("12 hexadecimal digits"), "{}", none.stderr);
    }
    // What is signed where no device is has the same form.
    let (path, nonce) = (key.path(), "0".repeat(64));
    let signed = laptop.json(&[
        "config",
        "sign",
        "--target",
        "/api/config/export",
        "--ssh-key",
        &path,
        "--nonce",
        &nonce,
        "--device-id",
        "0A:1B:2C:3D:4E:5F",
    ]);
    assert_eq!(signed["device"], DEVICE);
}

#[test]
fn a_key_that_others_may_read_is_told_with_the_way_out() {
    use std::os::unix::fs::PermissionsExt;
    let key = Keygen::new("ed25519", None);
    let door = provisioned(&key);
    let laptop = Laptop::at(&door);
    std::fs::set_permissions(key.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let ran = laptop.run(&laptop.with_key(&key, &["export"]));
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("its mode 0644 lets others read it"), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: chmod 600 KEY"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("@@@"), "{}", ran.stderr);
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
