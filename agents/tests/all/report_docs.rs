// SPDX-License-Identifier: MIT OR Apache-2.0
//! The page about the device report has each member with its type, and an example that is made
//! here: `UPDATE_FIXTURES=1 cargo test -p agents report_docs::` writes it anew.

use crate::report_support::{Device, booted, bundle, install, marked, verdict};
use agents::{EnvironmentFacts, Refusal, Report};
use bootctl::{Entry, Mark, Reason, SlotId, SlotState};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("../../../docs/agents-report.md");

fn example_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/device-report.json")
}

/// A device that was given 3.0.0, left it, and has something to tell everywhere.
fn example() -> Report {
    let mut device = Device::new();
    install(SlotId::A, 3, "3.0.0").into_iter().for_each(|entry| device.record(entry));
    device.record(booted(SlotId::A, Reason::Trying));
    let cause = "unit app.service failed";
    device.record(verdict(SlotId::A, cause));
    device.record(marked(SlotId::A, Mark::Bad));
    let cause = cause.to_owned();
    device.record(Entry::FellBack { from: SlotId::A, to: SlotId::B, cause });
    device.record(booted(SlotId::B, Reason::Fallback));
    device.record(verdict(SlotId::B, ""));
    device.facts.a.state = SlotState::Bad;
    device.facts.a.attempts = bootctl::AttemptsLeft::ZERO;
    device.facts.a.bundle = Some(bundle(3));
    device.facts.a.version = Some("3.0.0".to_owned());
    device.contents.a.manifest = Some(crate::report_support::digest(3));
    device.facts.failed = vec![bundle(3)];
    device.boot.reason = Some(Reason::Fallback);
    device.environment =
        Some(EnvironmentFacts { copies: 2, faults: vec!["copy 2: blank".to_owned()] });
    device.agent.failures = 2;
    device.agent.refusal = Some(Refusal {
        kind: "release-expired".to_owned(),
        words: "the update server's release is not followed: the release expired at \
                2026-11-18T00:00:00Z, it is at least 2026-11-18T00:12:31Z"
            .to_owned(),
        since: Some(bundle::UnixTime(1_794_960_751)),
        bundle: None,
        version: None,
    });
    device.missing = vec!["cannot read /data/rauc/status.raucs: Input/output error".to_owned()];
    device.report()
}

/// The type at every path; elements of a list share one.
fn describe(path: &str, value: &Value, into: &mut BTreeMap<String, &'static str>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "yes or no",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(items) => {
            items.iter().for_each(|item| describe(&format!("{path}[]"), item, into));
            "list"
        }
        Value::Object(members) => {
            for (name, member) in members {
                let dot = if path.is_empty() { "" } else { "." };
                describe(&format!("{path}{dot}{name}"), member, into);
            }
            "object"
        }
    };
    if !matches!(kind, "object" | "list") {
        into.insert(path.to_owned(), kind);
    }
}

#[test]
fn the_page_has_each_member_with_its_type() {
    let mut members = BTreeMap::new();
    describe("", &serde_json::to_value(example()).unwrap(), &mut members);
    let mut rows = BTreeMap::new();
    for line in PAGE.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let [_, name, kind, meaning, _] = cells[..] {
            assert!(!meaning.is_empty(), "{name} means nothing");
            rows.insert(name.trim_matches('`').to_owned(), kind);
        }
    }
    assert_eq!(rows, members, "left the page, right the type");
}

#[test]
fn the_example_is_what_a_device_would_say() {
    let text = serde_json::to_string_pretty(&example()).unwrap() + "\n";
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        std::fs::write(example_path(), &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(example_path()).unwrap(), text);
    assert_eq!(Report::parse(text.as_bytes()).unwrap(), example());
}

#[test]
fn the_page_has_the_attributes_of_hawkbit() {
    for name in example().attributes().keys() {
        let name = name.replace("slot.b.", "slot.a.");
        assert!(PAGE.contains(&format!("`{name}`")), "{name} is not in the page");
    }
}
