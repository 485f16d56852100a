// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the screens say of a damaged or half finished board is true: nothing lost is called
//! whole, nothing half written has a version, and the last failure is the last one.

use crate::cli_board::rig::{Faults, RiggedDevices};
use crate::cli_board::{NOW, Ran, SmallBoard, run_on};
use atomix::context::{Context, Now};
use bootctl::{BundleId, Entry, SlotId, SlotState};
use bundle::UnixTime;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use storage::{Access, Fault};
use updater::InstallLock;

fn json(board: &SmallBoard, args: &[&str]) -> Value {
    let ran = board.run(&[&["--json"], args].concat());
    serde_json::from_str(&ran.stdout).unwrap()
}

fn note(board: &SmallBoard, entry: &Entry) {
    let context = Context::host(board.root(), NOW);
    let settings = context.settings().unwrap();
    let mut recorder = context.recorder(&settings, Access::ReadWrite).unwrap();
    recorder.append(NOW.timestamp(), entry).unwrap();
}

/// Runs a command line on a board whose flash fails at one place.
fn on_failing_flash(board: &SmallBoard, fault: Fault, args: &[&str]) -> Ran {
    let media = [(PathBuf::from("/dev/mtd0"), fault)].into();
    let devices = RiggedDevices::new(board.root(), Faults { media, ..Faults::default() });
    run_on(&Context::with_devices(board.root(), Box::new(devices), NOW), args)
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
fn running_install_is_not_called_a_failed_one() {
    let board = SmallBoard::new();
    let mut state = board.state();
    (state.b.state, state.b.bundle) = (SlotState::Writing, None);
    board.set_state(&state);
    let bundle = BundleId::from_bytes([3; 16]);
    note(&board, &Entry::InstallBegan { slot: SlotId::B, version: "3.0.0".to_owned(), bundle });
    let lock = InstallLock::acquire(board.root(), 4711).unwrap();
    let process = std::process::id();
    let said = board.run(&["status"]).stdout;
    assert!(said.contains(&format!("an install is running (process {process})")), "{said}");
    assert!(said.contains("its install is running") && said.contains("none on record"), "{said}");
    let said = board.run(&["doctor"]).stdout;
    assert!(said.contains("an install into B is running") && !said.contains("not finished"));
    drop(lock);
    let status = json(&board, &["status"]);
    assert_eq!(status["running_install"], Value::Null);
    assert_eq!(status["last_failure"], "the install of 3.0.0 into B is not finished");
}

#[test]
fn what_the_recorder_knows_of_a_lost_state_is_said_to_be_from_there() {
    let board = SmallBoard::after_a_fallback();
    board.corrupt_env(1);
    board.corrupt_env(2);
    let said = board.run(&["status"]);
    let booted = "booted       A  unknown (good, known from the flight recorder)";
    assert!(said.stdout.contains(booted), "{}{}", said.stdout, said.stderr);
    assert!(!said.stderr.contains("begins it anew") || said.stderr.contains("environment is lost"));
    let said = board.run(&["boot", "is-confirmed"]);
    assert_eq!(said.stdout, "slot A is confirmed (known from the flight recorder)\n");
    let whole = SmallBoard::new().run(&["boot", "is-confirmed"]);
    assert_eq!(whole.stdout, "slot A is confirmed\n");
}

#[test]
fn fallback_that_linux_has_not_recorded_is_told_as_newer() {
    let board = SmallBoard::new();
    assert_eq!(board.run(&["install", &board.offer_good()]).code, 0);
    let slots = [(); 4].map(|()| board.firmware_starts());
    assert_eq!(slots[3], SlotId::A);
    let newer = "the firmware fell back to A; not recorded yet";
    for (command, title) in [("why", "newer       "), ("status", "last failure ")] {
        let said = board.run(&[command]).stdout;
        assert!(said.contains(&format!("{title}{newer}")), "{said}");
    }
    assert_eq!(json(&board, &["status"])["last_failure"], newer);
    assert_eq!(board.run(&["boot", "started"]).code, 0);
    assert!(!board.run(&["why"]).stdout.contains("not recorded yet"));
    // Nobody knows what is recorded where the records cannot be read.
    fs::remove_file(board.path("/etc/atomix/atomix.toml")).unwrap();
    for command in ["why", "status"] {
        let said = board.run(&[command]).stdout;
        assert!(said.contains("not known") && !said.contains("not recorded yet"), "{said}");
    }
}

/// Twenty boots that died must not push what else is to be read from the screen.
#[test]
fn boots_that_are_not_recorded_yet_are_newest_first_and_as_many_as_fit() {
    let board = SmallBoard::after_a_fallback();
    for _ in 0..18 {
        board.firmware_starts();
    }
    for readable in [true, false] {
        if !readable {
            fs::remove_file(board.path("/etc/atomix/atomix.toml")).unwrap();
        }
        let said = board.run(&["why", "--last", "4"]).stdout;
        let word = if readable { "not on record" } else { "the firmware: " };
        let shown: Vec<&str> = said.lines().filter(|one| one.contains(word)).collect();
        assert_eq!(shown.len(), 4, "{said}");
        assert!(said.lines().last().unwrap().contains(" older: atomix why --last "), "{said}");
    }
    let board = SmallBoard::new();
    assert_eq!(board.run(&["install", &board.offer_good()]).code, 0);
    let _ = [(); 3].map(|()| board.firmware_starts());
    // One page of `atomix rescue`.
    let said = board.run(&["why", "--last", "8"]).stdout;
    assert!(said.lines().count() <= 19, "{said}");
    let said = board.run(&["why"]).stdout;
    let left: Vec<char> = said
        .lines()
        .filter(|one| one.contains("not on record") && one.contains("started B"))
        .filter_map(|one| one.split(", ").nth(1)?.chars().next())
        .collect();
    assert_eq!(left, ['0', '1', '2'], "{said}");
}

#[test]
fn what_was_told_later_and_what_is_cut_is_marked_and_explained() {
    let board = SmallBoard::new();
    assert_eq!(board.run(&["install", &board.offer_good()]).code, 0);
    let _ = [(); 3].map(|()| board.firmware_starts());
    board.power_on();
    let said = board.run(&["why"]).stdout;
    let marked: Vec<&str> = said.lines().filter(|line| line.contains("<=")).collect();
    assert!(marked[0].contains("newest first; <= is not later than that"), "{said}");
    assert!(marked[1..].iter().all(|line| line.contains("firmware started B")), "{said}");
    assert_eq!(marked.len(), 4, "{said}");
    assert!(said.contains('…') && said.contains("ends in … is whole"), "{said}");
    let quiet = SmallBoard::new();
    quiet.power_on();
    let said = quiet.run(&["why"]).stdout;
    assert!(!said.contains("<=") && !said.contains('…'), "{said}");
}

#[test]
fn recorder_that_holds_something_else_is_not_called_new() {
    let board = SmallBoard::new();
    // The recorder lies there: four blocks of 4 KiB.
    board.edit("/dev/mtd0", |flash| flash[0x8000..0x8600].fill(0x5a));
    for (command, begin) in [("why", "nothing readable"), ("doctor", "nothing in it is readable")] {
        let said = board.run(&[command]).stdout;
        // Lines are wrapped for the screen.
        let flat = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let wanted =
            format!("{begin}: 3 places hold something else (flight recorder on /dev/mtd0)");
        assert!(flat.contains(&wanted), "{said}");
    }
    let said = SmallBoard::new().run(&["why"]).stdout;
    assert!(said.contains("no records: it is new or was wiped"), "{said}");
}

#[test]
fn block_of_the_recorder_that_cannot_be_read_is_named_with_a_way_out() {
    let board = SmallBoard::after_a_fallback();
    // The second of four blocks.
    let run = |args: &[&str]| on_failing_flash(&board, Fault::Read { at: 0x9100 }, args);
    let said = run(&["doctor"]).stdout;
    let flat = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("1 of the flight recorder's 4 blocks cannot be read"), "{said}");
    assert!(flat.contains("/dev/mtd0") && flat.contains("replace the flash"), "{said}");
    assert!(run(&["why"]).stdout.contains("1 of its blocks cannot be read"));
}

#[test]
fn failing_recorder_is_told_of_once_by_the_start_of_a_boot() {
    let board = SmallBoard::new();
    let _ = [(); 3].map(|()| board.firmware_starts());
    let said = on_failing_flash(&board, Fault::Write { at: 0x8010 }, &["boot", "started"]);
    let warnings = said.stderr.lines().filter(|line| line.contains("flight recorder")).count();
    assert_eq!(warnings, 1, "{}", said.stderr);
    assert!(said.stderr.contains("records are not written"), "{}", said.stderr);
}

#[test]
fn clock_behind_the_flight_recorder_is_not_called_set() {
    let board = SmallBoard::after_a_fallback();
    assert!(board.run(&["doctor"]).stdout.contains("ok     clock        set"));
    let earlier = Now(UnixTime(NOW.0.0 - 86_400));
    let said = run_on(&Context::host(board.root(), earlier), &["doctor"]).stdout;
    assert!(said.contains("weak   clock"), "{said}");
    assert!(said.contains("2026-11-21T03:00:00Z"), "{said}");
}

#[test]
fn last_failure_is_the_newest_one_on_record() {
    let board = SmallBoard::after_a_fallback();
    let note = |entry: Entry| {
        note(&board, &entry);
        board.run(&["status"]).stdout
    };
    let (slot, version) = (SlotId::B, "3.0.0".to_owned());
    let bundle = BundleId::from_bytes([3; 16]);
    assert_eq!(json(&SmallBoard::new(), &["status"])["last_failure"], Value::Null);
    let before = board.run(&["status"]).stdout;
    assert!(before.contains("last failure slot B (version 2.0.0) was left"), "{before}");
    let mut state = board.state();
    state.b.state = SlotState::Writing;
    board.set_state(&state);
    let said = note(Entry::InstallBegan { slot, version: version.clone(), bundle });
    assert!(said.contains("last failure the install of 3.0.0 into B is not finished"), "{said}");
    let status = json(&board, &["status"]);
    assert_eq!(status["last_failure"], "the install of 3.0.0 into B is not finished");
    assert_eq!(status["last_fallback"]["from"], "B");
    let said = note(Entry::InstallFailed { slot, cause: "no power".to_owned() });
    assert!(said.contains("last failure install into B failed: no power"), "{said}");
    note(Entry::InstallBegan { slot, version: version.clone(), bundle });
    let said = note(Entry::InstallFinished { slot, version: version.clone(), bundle });
    assert!(said.contains("last failure install into B failed: no power"), "{said}");
    note(Entry::InstallBegan { slot, version, bundle });
    state.b.state = SlotState::Good;
    board.set_state(&state);
    let said = board.run(&["status"]).stdout;
    assert!(said.contains("install into B failed: no power"), "only its end is lost: {said}");
    let said = note(Entry::FirstBoot { disk: crate::cli_board::disk_identity() });
    assert!(!said.contains("install into B failed"), "another disk's: {said}");
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
                let ran = on_failing_flash(&SmallBoard::new(), fault, args);
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
    let way = way.split(';').next().unwrap();
    let (older, last) = way.split_once(" older: atomix why --last ").unwrap();
    let (older, last): (usize, usize) = (older.parse().unwrap(), last.parse().unwrap());
    assert_eq!(last, older + 3);
    let said = board.run(&["why", "--last", &last.to_string()]).stdout;
    assert_eq!(records(&said), last, "{said}");
    assert!(!said.contains("older: "), "{said}");
    let said = board.run(&["why", "--since", "1", "--last", "2"]).stdout;
    assert!(said.ends_with("there are more: atomix why --json --since 1\n"), "{said}");
}

/// The memory is outside of everything that a reset of data or a lost disk takes along.
#[test]
fn fallback_is_told_when_all_of_data_is_gone() {
    let board = SmallBoard::after_a_fallback();
    let told = |board: &SmallBoard| {
        let why = json(board, &["why"]);
        (why["fallback"].clone(), why["history"].clone())
    };
    let before = told(&board);
    assert_eq!(before.0["from"], "B");
    fs::remove_dir_all(board.path("/data")).unwrap();
    assert_eq!(told(&board), before);
    let status = board.run(&["status"]).stdout;
    assert!(status.contains("last failure slot B"), "{status}");
}
