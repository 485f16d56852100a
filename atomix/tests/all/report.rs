// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix report` on a board: it tells the truth of what the commands did, fits the screen, and is
//! believed by whoever has the board's certificate, OpenSSL included.

use crate::cli_board::{Ran, SmallBoard, bundles};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const PAGE: &str = include_str!("../../../docs/agents-report.md");
const KEY: &str = "/data/atomix/agent/report.key";
const COLUMNS: usize = 80;
const LINES: usize = 24;

fn ok(board: &SmallBoard, args: &[&str]) -> Ran {
    let ran = board.run(args);
    assert_eq!(ran.code, 0, "{args:?}: {}", ran.stderr);
    ran
}

/// A board with the files of the kernel that name device and boot.
fn named(board: SmallBoard) -> SmallBoard {
    board.write("/sys/class/net/eth0/address", "02:00:C0:A8:00:42\n");
    board.write("/proc/sys/kernel/random/boot_id", "0b1f4a1e-6a51-4b5c-9a0e-2f6f0c7f8a11\n");
    board.write("/proc/uptime", "301.22 600.10\n");
    board
}

fn report(board: &SmallBoard) -> Value {
    serde_json::from_str(&ok(board, &["--json", "report", "make"]).stdout).unwrap()
}

/// What differs from run to run: digits of bundles that are signed anew for each run.
fn masked(text: &str) -> String {
    let mask = |word: &str| {
        let is_digest = word.len() >= 12 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_digest { "0".repeat(word.len()) } else { word.to_owned() }
    };
    let line = |line: &str| line.split(' ').map(mask).collect::<Vec<_>>().join(" ");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_page_shows_what_a_board_that_fell_back_prints() {
    let board = named(SmallBoard::after_a_fallback());
    let shown = ok(&board, &["report", "make"]).stdout;
    assert!(shown.lines().count() < LINES, "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= COLUMNS), "{shown}");
    let picture = masked(&shown);
    assert!(masked(PAGE).contains(&picture), "the page has another picture than\n{picture}");
}

#[test]
fn a_report_says_what_became_of_an_update() {
    let board = named(SmallBoard::new());
    assert_eq!(report(&board)["last_update"], Value::Null);
    ok(&board, &["install", &board.offer_good()]);
    let told = report(&board);
    assert_eq!(told["last_update"]["result"], "pending");
    assert_eq!(told["last_update"]["to"], "2.0.0");
    assert_eq!(told["slots"][1]["state"], "trying");
    assert_eq!(told["boot"]["next"], "B");
    let manifest = told["slots"][1]["manifest"].as_str().unwrap();
    assert_eq!(manifest.len(), 64);
    assert!(manifest.starts_with(told["slots"][1]["bundle"].as_str().unwrap()));
    board.power_on();
    assert_eq!(report(&board)["last_update"]["result"], "pending");
    ok(&board, &["boot", "mark-good", "B"]);
    let told = report(&board);
    assert_eq!(told["last_update"]["result"], "good");
    assert_eq!(told["device"]["id"], "0200c0a80042");
    assert_eq!(told["device"]["compatible"], "small-board");
    assert_eq!(told["boot"]["slot"], "B");
    assert_eq!(told["environment"]["redundant"], true);

    let told = report(&named(SmallBoard::after_a_fallback()));
    assert_eq!(told["last_update"]["result"], "fell-back");
    assert_eq!(told["last_trouble"]["kind"], "fell-back");
    assert_eq!(told["failed"].as_array().unwrap().len(), 1);
}

#[test]
fn what_cannot_be_read_is_told_and_the_rest_with_it() {
    let board = named(SmallBoard::after_a_fallback());
    board.corrupt_env(1);
    let told = report(&board);
    assert_eq!(
        (&told["environment"]["whole"], &told["environment"]["redundant"]),
        (&Value::from(1), &Value::from(false))
    );
    fs::remove_file(board.path("/dev/mtd0")).unwrap();
    fs::remove_file(board.path("/sys/class/net/eth0/address")).unwrap();
    let told = report(&board);
    let missing = told["missing"].to_string();
    assert!(missing.contains("/dev/mtd0") && missing.contains("the device's name"), "{missing}");
    assert_eq!(told["recorder"]["readable"], false);
    assert_eq!(told["slots"][0]["state"], "unknown");
    assert_eq!(told["device"]["compatible"], "small-board");
    let shown = ok(&board, &["report", "make"]).stdout;
    assert!(shown.contains("not read") && shown.lines().count() < LINES, "{shown}");
    let ran = ok(&board, &["--json", "report", "make", "--device-id", "gateway-7"]);
    assert!(ran.stdout.contains("\"gateway-7\""));
}

#[test]
fn looking_at_the_report_changes_nothing() {
    let board = named(SmallBoard::after_a_fallback());
    let before = board.everything();
    ok(&board, &["report", "make"]);
    assert!(board.everything() == before);
}

#[test]
fn a_signed_report_is_believed_by_the_boards_certificate_alone() {
    let board = named(SmallBoard::after_a_fallback());
    let place = |name: &str| board.path(name).to_str().unwrap().to_owned();
    let signed = place("/report.cms");
    let key: Value =
        serde_json::from_str(&ok(&board, &["--json", "report", "key"]).stdout).unwrap();
    assert_eq!(key["made_now"], true);
    board.write("/device.pem", key["certificate"].as_str().unwrap());
    assert_eq!(fs::metadata(board.path(KEY)).unwrap().permissions().mode() & 0o777, 0o600);
    let made = ok(&board, &["--json", "report", "make", "--out", &signed]);
    let told: Value = serde_json::from_str(&made.stdout).unwrap();
    assert_eq!(told["device"]["key"], key["fingerprint"]);
    let verify = ["report", "verify", &signed, "--certificate", &place("/device.pem")];
    let believed = ok(&board, &[&["--json"][..], &verify].concat());
    assert_eq!(serde_json::from_str::<Value>(&believed.stdout).unwrap(), told);
    let shown = ok(&board, &verify).stdout;
    assert_eq!(shown, ok(&board, &["report", "make"]).stdout);
    // Nothing is written over, and the key stays the same.
    assert_eq!(board.run(&["report", "make", "--out", &signed]).code, 3);
    assert_eq!(
        serde_json::from_str::<Value>(&ok(&board, &["--json", "report", "key"]).stdout).unwrap()["fingerprint"],
        key["fingerprint"]
    );

    let other = named(SmallBoard::new());
    let theirs: Value =
        serde_json::from_str(&ok(&other, &["--json", "report", "key"]).stdout).unwrap();
    board.write("/other.pem", theirs["certificate"].as_str().unwrap());
    let judge = |certificate: &str| {
        board.run(&["report", "verify", &signed, "--certificate", &place(certificate)]).code
    };
    assert_eq!(judge("/other.pem"), 4);
    assert_eq!(judge("/report.cms"), 2);
    assert_eq!(judge("/nowhere.pem"), 2);
    let line = PAGE.lines().find(|line| line.starts_with("openssl cms")).unwrap();
    let openssl =
        Command::new("sh").args(["-ec", line]).current_dir(board.root()).output().unwrap();
    assert!(openssl.status.success(), "{}", String::from_utf8_lossy(&openssl.stderr));
    assert_eq!(serde_json::from_slice::<Value>(&openssl.stdout).unwrap(), told);

    board.edit("/report.cms", |bytes| {
        let at = bytes.windows(5).position(|part| part == b"2.0.0").unwrap();
        bytes[at] = b'9';
    });
    assert_eq!(judge("/device.pem"), 4);
    board.write("/report.cms", vec![0x30; 200 * 1024]);
    assert_eq!(judge("/device.pem"), 4);
}

#[test]
fn a_client_certificate_signs_in_place_of_the_boards_own_key() {
    let board = named(SmallBoard::new());
    let pki = bundles::pki();
    board.write("/client.pem", &pki.signer_cert_pem);
    board.write("/client.key", &pki.signer_key_pem);
    board.write("/ca.pem", &pki.ca_cert_pem);
    let place = |name: &str| board.path(name).to_str().unwrap().to_owned();
    let (cert, key, out) = (place("/client.pem"), place("/client.key"), place("/report.cms"));
    ok(&board, &["report", "make", "--cert", &cert, "--key", &key, "--out", &out]);
    assert!(!board.path(KEY).exists(), "a key was made that nobody needs");
    ok(&board, &["report", "verify", &out, "--certificate", &place("/ca.pem")]);
    assert_eq!(board.run(&["report", "make", "--cert", &cert]).code, 2);
}

/// The truth of a device whose data partition is broken is wanted most.
#[test]
fn a_board_that_cannot_keep_a_key_reports_all_the_same() {
    let board = named(SmallBoard::new());
    board.write("/data/atomix/agent", "in the way\n");
    let out = board.path("/report.cms").to_str().unwrap().to_owned();
    let ran = ok(&board, &["--json", "report", "make", "--out", &out]);
    assert!(ran.stderr.contains("is kept nowhere"), "{}", ran.stderr);
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(told["missing"].to_string().contains("is kept nowhere"), "{told}");
    assert_eq!(board.run(&["report", "key"]).code, 1);
}

/// The server of a device with a client certificate knows that one, and no other key.
#[test]
fn the_settings_of_the_agent_say_who_signs_and_under_which_name() {
    let board = named(SmallBoard::new());
    let pki = bundles::pki();
    board.write("/data/config/hawkbit/client.pem", &pki.signer_cert_pem);
    board.write("/data/config/hawkbit/client.key", &pki.signer_key_pem);
    board.write("/ca.pem", &pki.ca_cert_pem);
    board.write(
        "/data/config/os-upgrade.json",
        r#"{"mode": "hawkbit", "hawkbit": {"url": "https://h", "target_id": "gateway-7",
            "client_cert_file": "/data/config/hawkbit/client.pem",
            "client_key_file": "/data/config/hawkbit/client.key"}}"#,
    );
    let place = |name: &str| board.path(name).to_str().unwrap().to_owned();
    let looked = report(&board);
    assert_eq!(
        (&looked["agent"]["mode"], &looked["device"]["id"]),
        (&Value::from("hawkbit"), &Value::from("gateway-7"))
    );
    let out = place("/report.cms");
    ok(&board, &["report", "make", "--out", &out]);
    assert!(!board.path(KEY).exists(), "a key was made that nobody needs");
    let verify = ["--json", "report", "verify", &out, "--certificate", &place("/ca.pem")];
    let told: Value = serde_json::from_str(&ok(&board, &verify).stdout).unwrap();
    assert_eq!(told["device"]["key"], looked["device"]["key"]);

    fs::remove_file(board.path("/data/config/hawkbit/client.key")).unwrap();
    let out = place("/second.cms");
    let ran = ok(&board, &["--json", "report", "make", "--out", &out]);
    assert!(ran.stdout.contains("not signed with the client certificate"), "{}", ran.stdout);
    board.write("/data/config/os-upgrade.json", "{");
    let told = report(&board);
    assert!(told["missing"].to_string().contains("no settings of the update agent"), "{told}");
    assert!(told["agent"].as_object().unwrap().is_empty());
}
