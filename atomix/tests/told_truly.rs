// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the screens say of a damaged or half finished board is true: nothing lost is called
//! whole, nothing half written has a version, and the last failure is the last one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod cli_board;

use atomix::context::Context;
use bootctl::{BundleId, Entry, SlotId, SlotState};
use cli_board::rig::{Faults, RiggedDevices};
use cli_board::{NOW, SmallBoard, run_on};
use serde_json::Value;
use std::path::PathBuf;
use storage::{Access, Fault};

fn json(board: &SmallBoard, args: &[&str]) -> Value {
    let ran = board.run(&[&["--json"], args].concat());
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn help_of_install_promises_nothing_that_is_refused() {
    let said = SmallBoard::new().run(&["install", "--help"]).stderr;
    assert!(said.contains("failed here before") && !said.contains("unconfirmed"), "{said}");
}

#[test]
fn half_written_slot_has_no_version() {
    let board = SmallBoard::after_a_fallback();
    assert!(board.run(&["slot", "list"]).stdout.contains("2.0.0"), "the record is there");
    let mut state = board.state();
    state.b.state = SlotState::Writing;
    state.b.bundle = None;
    board.set_state(&state);
    for args in [&["slot", "list"][..], &["status"]] {
        let said = board.run(args).stdout;
        let rows: Vec<&str> = said.lines().filter(|line| line.contains("rootfs.1")).collect();
        assert!(rows.len() == 1 && rows[0].ends_with("incomplete"), "{said}");
    }
    let status = json(&board, &["status"]);
    assert_eq!(status["other"]["bundle_version"], Value::Null);
    let row = &json(&board, &["slot", "list"])["slots"][3];
    assert_eq!((&row["content"], &row["state"]), (&Value::Null, &Value::from("writing")));
    let said = board.run(&["status"]).stdout;
    assert!(said.contains("other slot   B  writing") && said.contains("is not finished"), "{said}");
    let said = board.run(&["doctor"]).stdout;
    assert!(said.contains("install into B is not finished") && !said.contains("B is writing"));
}

#[test]
fn last_failure_is_the_newest_one_on_record() {
    let board = SmallBoard::after_a_fallback();
    let note = |entry: Entry| {
        let context = Context::host(board.root(), NOW);
        let settings = context.settings().unwrap();
        let mut recorder = context.recorder(&settings, Access::ReadWrite).unwrap();
        recorder.append(NOW.timestamp(), &entry).unwrap();
        board.run(&["status"]).stdout
    };
    let (slot, version) = (SlotId::B, "3.0.0".to_owned());
    let bundle = BundleId::from_bytes([3; 16]);
    assert_eq!(json(&SmallBoard::new(), &["status"])["last_failure"], Value::Null);
    let before = board.run(&["status"]).stdout;
    assert!(before.contains("last failure slot B (version 2.0.0) was left"), "{before}");
    let said = note(Entry::InstallBegan { slot, version: version.clone(), bundle });
    assert!(said.contains("last failure the install of 3.0.0 into B is not finished"), "{said}");
    let status = json(&board, &["status"]);
    assert_eq!(status["last_failure"], "the install of 3.0.0 into B is not finished");
    assert_eq!(status["last_fallback"]["from"], "B");
    let said = note(Entry::InstallFailed { slot, cause: "no power".to_owned() });
    assert!(said.contains("last failure install into B failed: no power"), "{said}");
    note(Entry::InstallBegan { slot, version: version.clone(), bundle });
    let said = note(Entry::InstallFinished { slot, version, bundle });
    assert!(said.contains("last failure install into B failed: no power"), "{said}");
}

#[test]
fn doctor_does_not_praise_what_is_lost() {
    let board = SmallBoard::new();
    let said = board.run(&["doctor"]).stdout;
    assert!(said.contains("two copies") && said.contains("A is good"), "{said}");
    board.corrupt_env(2);
    let said = board.run(&["doctor"]).stdout;
    assert!(!said.contains("two copies") && said.contains("weak   environment"), "{said}");
    board.corrupt_env(1);
    let said = board.run(&["doctor"]).stdout;
    assert!(!said.contains("two copies") && !said.contains("ok     boot state"), "{said}");
    assert!(said.contains("booted slot A is lost"), "{said}");
}

#[test]
fn good_slot_is_known_to_be_the_fallback_of_a_trial() {
    let board = SmallBoard::new();
    assert_eq!(board.run(&["install", &board.offer_good()]).code, 0);
    let said = board.run(&["doctor"]).stdout;
    assert!(said.contains("B is trying; A is its fallback"), "{said}");
    assert!(!said.contains("there is no fallback"), "{said}");
}

#[test]
fn failing_flash_leaves_no_command_without_a_way_out() {
    let mut failed = 0;
    // One of the two copies is the one that is written next.
    for at in [0x100, 0x4100] {
        for fault in [Fault::Write { at }, Fault::Read { at }] {
            for args in [&["uenv", "set", "x=y"][..], &["boot", "mark-bad", "B"]] {
                let board = SmallBoard::new();
                let media = [(PathBuf::from("/dev/mtd0"), fault)].into();
                let devices =
                    RiggedDevices::new(board.root(), Faults { media, ..Faults::default() });
                let context = Context::with_devices(board.root(), Box::new(devices), NOW);
                let ran = run_on(&context, args);
                if ran.code != 0 {
                    failed += 1;
                    assert!(ran.stderr.contains("hint: "), "{args:?} {fault:?}: {}", ran.stderr);
                }
            }
        }
    }
    assert!(failed > 0, "nothing failed");
}

#[test]
fn as_many_records_are_shown_as_were_asked_for_and_the_rest_is_named() {
    let board = SmallBoard::after_a_fallback();
    let numbered = |line: &&str| line.trim_start().starts_with(|c: char| c.is_ascii_digit());
    let records =
        |said: &str| said.lines().filter(numbered).filter(|line| !line.contains("older: ")).count();
    let said = board.run(&["why", "--last", "3"]).stdout;
    assert_eq!(records(&said), 3, "{said}");
    let way = said.lines().last().unwrap();
    let (older, last) = way.split_once(" older: atomix why --last ").unwrap();
    let (older, last): (usize, usize) = (older.parse().unwrap(), last.parse().unwrap());
    assert_eq!(last, older + 3);
    let said = board.run(&["why", "--last", &last.to_string()]).stdout;
    assert_eq!(records(&said), last, "{said}");
    assert!(!said.contains("older: "), "{said}");
    let said = board.run(&["why", "--since", "1", "--last", "2"]).stdout;
    assert!(said.ends_with("there are more: atomix why --json --since 1\n"), "{said}");
}
