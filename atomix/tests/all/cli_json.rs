// SPDX-License-Identifier: MIT OR Apache-2.0
//! The JSON that programs read, one fixture per answer and version: the same members of the same
//! types. A changed shape is a new version with a fixture of its own; the old one stays.

use crate::cli_board::SmallBoard;
use agents::{Heard, InstallRecord, InstallStage, MemoryStore, Refusal, Urgency};
use bootctl::SlotId;
use bundle::UnixTime;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

/// Set it to write the fixtures anew.
const UPDATE: &str = "UPDATE_FIXTURES";

/// The types at every path.
type Shape = BTreeMap<String, BTreeSet<&'static str>>;

/// What an answer is made of. Elements of a list share one path.
fn shape(value: &Value) -> Shape {
    let mut shape = BTreeMap::new();
    describe("", value, &mut shape);
    shape
}

fn describe(path: &str, value: &Value, into: &mut Shape) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(items) => {
            items.iter().for_each(|item| describe(&format!("{path}[]"), item, into));
            "list"
        }
        Value::Object(members) => {
            for (name, member) in members {
                describe(&format!("{path}.{name}"), member, into);
            }
            "object"
        }
    };
    into.entry(path.to_owned()).or_default().insert(kind);
}

/// Replaces what differs from run to run, so that a fixture written anew shows real changes only.
fn normalised(value: &Value, board: &SmallBoard) -> Value {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        Value::Array(items) => items.iter().map(|item| normalised(item, board)).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, member)| (name.clone(), normalised(member, board))).collect()
        }
        Value::String(text) => {
            let text = text.replace(board.root().to_str().unwrap(), "ROOT");
            let bare = text.replace(':', "");
            let is_hash = bare.len() >= 32 && bare.bytes().all(|byte| byte.is_ascii_hexdigit());
            if is_hash { json!("0".repeat(bare.len())) } else { json!(text) }
        }
    }
}

fn fixture_path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/json").join(name)
}

/// Runs a query and holds its answer to the fixture.
fn hold(board: &SmallBoard, name: &str, args: &[&str], code: u8) {
    let ran = board.run(&[&["--json"], args].concat());
    assert_eq!(ran.code, code, "{args:?}: {}", ran.stderr);
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(answer["version"], 1, "{args:?} does not say its version");
    let answer = normalised(&answer, board);
    let path = fixture_path(name);
    if std::env::var_os(UPDATE).is_some() {
        let text = serde_json::to_string_pretty(&answer).unwrap() + "\n";
        fs::write(&path, text).unwrap();
    }
    let text = fs::read_to_string(&path).unwrap_or_default();
    let fixture: Value = serde_json::from_str(&text).unwrap_or_default();
    let (found, expected) = (shape(&answer), shape(&fixture));
    let differs: Vec<String> = expected
        .keys()
        .chain(found.keys())
        .filter(|path| expected.get(*path) != found.get(*path))
        .map(|path| format!("{path}: was {:?}, is {:?}", expected.get(path), found.get(path)))
        .collect();
    assert!(
        differs.is_empty(),
        "`atomix --json {}` is not of the shape of {name}:\n{}\n\
         A member that programs may rely on changed. If that is meant and was never released, \
         run `{UPDATE}=1 cargo test -p atomix cli_json::`; else give the answer a new \
         version and a fixture of its own.",
        args.join(" "),
        differs.join("\n")
    );
}

#[test]
fn answers_about_a_board_keep_their_shape() {
    let board = SmallBoard::after_a_fallback();
    board.write("/etc/rauc/ca.cert.pem", &crate::cli_board::bundles::pki().ca_cert_pem);
    hold(&board, "status-v1.json", &["status"], 0);
    hold(&board, "why-v1.json", &["why"], 0);
    hold(&board, "slot-list-v1.json", &["slot", "list"], 0);
    hold(&board, "boot-state-v1.json", &["boot", "state"], 0);
    hold(&board, "report-v1.json", &["report", "make"], 0);
    hold(&board, "uenv-check-v1.json", &["uenv", "check"], 0);
    hold(&board, "uenv-print-v1.json", &["uenv", "print", "BOOT_ORDER"], 0);
    hold(&board, "boot-is-confirmed-v1.json", &["boot", "is-confirmed"], 0);
    hold(&board, "slot-check-v1.json", &["slot", "check", "A"], 0);
    checks_of_slots(&SmallBoard::new());
    hold(&board, "doctor-v1.json", &["doctor"], 0);
    hold(&board, "health-run-v1.json", &["health", "run", "--dry-run"], 0);
    fs::remove_file(board.path("/etc/healthy")).unwrap();
    hold(&board, "health-probe-v1.json", &["health", "probe"], 10);
}

#[test]
fn what_the_agent_remembers_keeps_its_shape() {
    let board = SmallBoard::new();
    board.write("/sys/class/net/eth0/address", "02:00:5e:10:20:30\n");
    board.write("/data/config/os-upgrade.json", r#"{"server_url": "https://u.example"}"#);
    let mut files = storage::HostFiles::new(board.root());
    let (mut store, mut memory, _) = MemoryStore::load(&files);
    memory.install = Some(InstallRecord {
        manifest: storage::Digest::from_bytes([7; 32]),
        version: Some("2.0.0".to_owned()),
        url: None,
        etag: None,
        slot: SlotId::B,
        from: None,
        urgency: Urgency::Ordinary,
        stage: InstallStage::Begun,
    });
    memory.refuse(Refusal {
        kind: "offer-downgrade".to_owned(),
        words: "refused: 1.0.0 is older than 2.0.0, which runs".to_owned(),
        since: Some(UnixTime(1_795_229_000)),
        bundle: Some(storage::Digest::from_bytes([8; 32])),
        version: Some("1.0.0".to_owned()),
    });
    memory.leaving = Some(SlotId::B);
    store.store(&mut files, &memory).unwrap();
    let at = Some(UnixTime(1_795_229_000));
    let said = |words: &str| Some(words.to_owned());
    let (came, decision) = (said("version 1.0.0 is offered"), said("refused"));
    let heard = Heard { asked: at, contact: at, came, decision, way_out: said("wait"), next: at };
    heard.store(&mut files).unwrap();
    hold(&board, "agent-status-v1.json", &["agent", "status"], 0);
}

/// What `slot check` says of the slots: their content is as installed, is not, or has no record.
fn checks_of_slots(board: &SmallBoard) {
    let matches = |slot: &str, code: u8| -> Value {
        let ran = board.run(&["--json", "slot", "check", slot]);
        assert_eq!(ran.code, code, "{slot}: {}", ran.stderr);
        let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
        let slots = answer["slots"].as_array().unwrap();
        slots.iter().map(|slot| (slot["name"].as_str().unwrap(), slot["matches"].clone())).collect()
    };
    assert_eq!(matches("A", 0), json!({ "rootfs.0": null, "boot.0": null }));
    assert_eq!(board.run(&["install", &board.offer_good()]).code, 0);
    hold(board, "slot-check-matches-v1.json", &["slot", "check", "B"], 0);
    assert_eq!(matches("B", 0), json!({ "rootfs.1": true, "boot.1": true }));
    board.edit("/dev/mmcblk1p4", |slot| slot[300_000] ^= 1);
    assert_eq!(matches("B", 4), json!({ "rootfs.1": false, "boot.1": true }));
}

#[test]
fn answers_about_bundles_and_disks_keep_their_shape() {
    let board = SmallBoard::new();
    let bundle = board.offer_good();
    hold(&board, "bundle-info-v1.json", &["bundle", "info", &bundle], 0);
    hold(&board, "install-plan-v1.json", &["install", "--dry-run", &bundle], 0);
    let (cert, key) = (board.path("/signer.pem"), board.path("/signer.key"));
    fs::write(&cert, &crate::cli_board::bundles::pki().signer_cert_pem).unwrap();
    fs::write(&key, &crate::cli_board::bundles::pki().signer_key_pem).unwrap();
    let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
    let root = board.root().to_str().unwrap();
    let publish = ["release", "publish", &bundle, root, "--cert", cert, "--key", key];
    hold(&board, "release-publish-v1.json", &publish, 0);
    let rollout = ["--min-version", "1", "--ends", "2026-12-01T00:00:00Z"];
    assert_eq!(board.run(&[&publish[..], &rollout].concat()).code, 0);
    let document = board.path("/small-board.release");
    hold(&board, "release-show-v1.json", &["release", "show", document.to_str().unwrap()], 0);
    let data = "[Partition]\nType=linux-generic\nLabel=data\nSizeMinBytes=512K\n";
    board.write("/etc/repart.d/50-data.conf", data);
    hold(&board, "repart-plan-v1.json", &["repart", "--dry-run"], 0);
}

/// A refusal to compare would hide everything: the comparison itself must see differences.
#[test]
fn shape_tells_types_and_members_apart() {
    let one = json!({ "version": 1, "slots": [{ "bytes": 1 }, { "bytes": null }] });
    assert_eq!(shape(&one)[".slots[].bytes"], BTreeSet::from(["null", "number"]));
    assert_ne!(shape(&one), shape(&json!({ "version": 1, "slots": [{ "bytes": 1 }] })));
    assert_ne!(shape(&one), shape(&json!({ "version": "1", "slots": [{ "bytes": 1 }] })));
}
