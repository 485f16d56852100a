// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every install and every mark is in the audit log, whoever did it; a log that cannot be written
//! is told and refuses nothing.

use crate::cli_board::{SmallBoard, bundles};
use bootctl::SlotState;
use serde_json::Value;
use std::fs;

/// The events of the log, which hangs together.
fn events(board: &SmallBoard) -> Vec<Value> {
    let ran = board.run(&["--json", "config", "audit"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(answer["intact"], true);
    answer["records"].as_array().unwrap().iter().map(|line| line["event"].clone()).collect()
}

fn board() -> SmallBoard {
    let board = SmallBoard::new();
    fs::create_dir_all(board.path("/data")).unwrap();
    board
}

#[test]
fn an_install_is_recorded_with_its_bundle_and_a_refused_one_with_its_reason() {
    let board = board();
    let good = board.offer_good();
    assert_eq!(board.run(&["install", &good, "--dry-run"]).code, 0);
    assert!(events(&board).is_empty(), "nothing was done");
    assert_eq!(board.run(&["install", &good]).code, 0);
    let strange = bundles::Recipe::default().signed_by(bundles::stranger());
    board.write("/strange.raucb", strange);
    let strange = board.path("/strange.raucb").display().to_string();
    assert_eq!(board.run(&["install", &strange]).code, 4);
    let events = events(&board);
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!((&events[0]["kind"], &events[0]["slot"]), (&"installed".into(), &"B".into()));
    assert_eq!(events[0]["bundle"].as_str().unwrap().len(), 64, "a digest");
    assert_eq!(events[0]["failure"], Value::Null);
    assert_eq!(events[1]["bundle"], "strange.raucb");
    assert!(events[1]["failure"].as_str().unwrap().contains("certificate"), "{:?}", events[1]);
}

#[test]
fn marks_by_hand_and_by_the_verifier_are_recorded() {
    let board = board();
    let mut state = board.state();
    state.a.state = SlotState::Trying;
    board.set_state(&state);
    assert_eq!(board.run(&["health", "run"]).code, 0);
    assert_eq!(board.run(&["boot", "mark-bad", "B"]).code, 0);
    assert_ne!(board.run(&["boot", "mark-bad", "A"]).code, 0, "the last good one");
    let marks: Vec<String> = events(&board)
        .iter()
        .map(|event| format!("{} {} {}", event["slot"], event["mark"], event["by"]))
        .collect();
    assert_eq!(marks.len(), 2, "{marks:?}");
    assert_eq!(marks[0], r#""A" "good" "health check""#);
    assert!(marks[1].starts_with(r#""B" "bad" "atomix boot, user "#), "{marks:?}");
}

#[test]
fn a_log_that_cannot_be_written_is_told_and_the_install_is_done() {
    let board = board();
    board.write("/data/atomix/audit", "in the way");
    let good = board.offer_good();
    let ran = board.run(&["install", &good]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("the audit log does not know of this"), "{}", ran.stderr);
    let ran = board.run(&["boot", "mark-good", "A"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("the audit log does not know of this"), "{}", ran.stderr);
}
