// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix config audit` through the program: what was recorded, in lines and as JSON, and that a
//! log which was changed is told by its words and by its exit code.

use config_api::audit::{AuditEvent, AuditLog, ConfigChange, Text, UnixTime};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output};
use storage::tree::HostTrees;

fn audit(root: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_atomix"));
    command.arg("--root").arg(root).args(["config", "audit"]).args(more);
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A device with three records; the first one's peer tries to forge a line.
fn recorded(root: &Path) {
    let data = root.join("data");
    fs::create_dir_all(&data).unwrap();
    let facts = fs::metadata(&data).unwrap();
    let trees = Box::new(HostTrees::open(&data).unwrap());
    let mut log = AuditLog::new(trees, (facts.uid(), facts.gid()), "boot-1");
    let refused = AuditEvent::AuthenticationFailed {
        peer: Text::new("192.0.2.7"),
        request: Text::new("POST /api/config\n2026-01-01 slot A marked bad by root"),
        reason: Text::new("unknown nonce"),
        suppressed: 4,
    };
    log.record(UnixTime(1_800_000_000), refused).unwrap();
    for (at, change) in [(60, ConfigChange::Promoted), (90, ConfigChange::Committed)] {
        let by = Text::new("SHA256:abc");
        let event = AuditEvent::ConfigChanged { change, generation: Some(4), by, detail: None };
        log.record(UnixTime(1_800_000_000 + at), event).unwrap();
    }
}

#[test]
fn what_was_recorded_is_shown_in_lines_and_as_json() {
    let root = tempfile::tempdir().unwrap();
    recorded(root.path());
    let shown = audit(root.path(), &[]);
    let lines = text(&shown.stdout);
    assert_eq!(shown.status.code(), Some(0), "{lines}{}", text(&shown.stderr));
    assert_eq!(lines.lines().count(), 3, "nobody forges a line: {lines}");
    assert!(lines.contains("unknown nonce (and 4 more before it)"), "{lines}");
    assert!(lines.contains("configuration gen-4 committed by SHA256:abc"), "{lines}");
    let json: Value = serde_json::from_slice(&audit(root.path(), &["--json"]).stdout).unwrap();
    assert_eq!((json["version"].as_u64(), json["intact"].as_bool()), (Some(1), Some(true)));
    assert_eq!(json["records"][2]["event"]["change"], "committed");
    assert_eq!(json["records"][2]["time"], 1_800_000_090);
}

#[test]
fn a_device_without_records_says_so() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("data")).unwrap();
    let shown = audit(root.path(), &[]);
    assert_eq!((shown.status.code(), &*text(&shown.stdout)), (Some(0), "nothing is recorded\n"));
}

#[test]
fn a_log_that_was_changed_is_shown_told_and_not_verified() {
    let root = tempfile::tempdir().unwrap();
    recorded(root.path());
    let segment = root.path().join("data/atomix/audit/changes-000001.jsonl");
    let lines = fs::read_to_string(&segment).unwrap();
    let last = lines.lines().next_back().unwrap();
    fs::write(&segment, format!("{last}\n{last}\n")).unwrap();
    let shown = audit(root.path(), &[]);
    assert_eq!(shown.status.code(), Some(4));
    assert!(text(&shown.stdout).contains("lines are missing or changed"));
    let json = audit(root.path(), &["--json"]);
    assert_eq!(json.status.code(), Some(4));
    let json: Value = serde_json::from_slice(&json.stdout).expect("one object and no second");
    assert_eq!(json["intact"], false);
}
