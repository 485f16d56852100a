// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every exit code by a real run of the built program, and the page that explains them.

use crate::cli_board::{SmallBoard, bundles};
use atomix::cli::Cli;
use atomix::failure::Class;
use bootctl::SlotState;
use clap::CommandFactory;
use serde_json::Value;
use std::fs;
use std::process::{Command, Output};
use updater::InstallLock;

const PAGE: &str = include_str!("../../../docs/exit-codes.md");

/// Runs the built program on the board.
fn atomix(board: &SmallBoard, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_atomix"))
        .arg("--root")
        .arg(board.root())
        .args(args)
        .output()
        .unwrap()
}

fn code(board: &SmallBoard, args: &[&str]) -> i32 {
    atomix(board, args).status.code().unwrap()
}

/// Puts a bundle beside the board's own files; certificates are judged by the signing time, so
/// that the day of the test run does not matter.
fn offer(board: &SmallBoard, bundle: Vec<u8>) -> String {
    let conf = "/etc/rauc/system.conf";
    board.replace(conf, "[keyring]\n", "[keyring]\nuse-bundle-signing-time=true\n");
    board.write("/update.raucb", bundle);
    board.path("/update.raucb").to_str().unwrap().to_owned()
}

fn with_state(a: SlotState, b: SlotState) -> SmallBoard {
    let board = SmallBoard::new();
    let mut state = SmallBoard::both_good();
    state.a.state = a;
    state.b.state = b;
    board.set_state(&state);
    board
}

#[test]
fn exit_code_0_when_it_is_done() {
    let board = SmallBoard::new();
    let bundle = offer(&board, bundles::good());
    assert_eq!(code(&board, &["status"]), 0);
    assert_eq!(code(&board, &["boot", "is-confirmed"]), 0);
    assert_eq!(code(&board, &["install", &bundle]), 0);
    assert_eq!(board.state().b.state, SlotState::Trying);
    assert_eq!(code(&board, &["--help"]), 0);
    assert_eq!(code(&board, &["--version"]), 0);
}

#[test]
fn exit_code_1_when_an_act_fails() {
    let board = SmallBoard::new();
    fs::remove_file(board.path("/dev/mtd0")).unwrap();
    assert_eq!(code(&board, &["uenv", "print"]), 1);
    board.edit("/dev/mmcblk1", |disk| disk.fill(0));
    assert_eq!(code(&board, &["repart", "--dry-run"]), 1);
    assert_eq!(code(&board, &["bundle", "info", "/nowhere/update.raucb"]), 1);
}

#[test]
fn exit_code_2_when_the_command_line_or_the_configuration_is_wrong() {
    let board = SmallBoard::new();
    assert_eq!(code(&board, &["boot", "mark-good", "C"]), 2);
    assert_eq!(code(&board, &["no-such-verb"]), 2);
    assert_eq!(code(&board, &["--board", "/nowhere", "status"]), 2);
    board.write("/etc/rauc/system.conf", "[system]\ncompatible=small-board\ncolour=red\n");
    assert_eq!(code(&board, &["status"]), 2);
    fs::remove_file(board.path("/etc/rauc/system.conf")).unwrap();
    assert_eq!(code(&board, &["status"]), 2);
}

#[test]
fn exit_code_3_when_the_state_does_not_allow_it() {
    let board = with_state(SlotState::Good, SlotState::Bad);
    assert_eq!(code(&board, &["boot", "mark-bad", "A"]), 3);
    assert_eq!(code(&board, &["rollback"]), 3);
    let board = with_state(SlotState::Trying, SlotState::Good);
    let bundle = offer(&board, bundles::good());
    assert_eq!(code(&board, &["install", &bundle]), 3);
    let other = bundles::Recipe { compatible: "large-board", ..bundles::Recipe::default() };
    let board = SmallBoard::new();
    let bundle = offer(&board, other.make());
    assert_eq!(code(&board, &["install", &bundle]), 3);
    assert_eq!(code(&board, &["install", "--dry-run", &bundle]), 3);
}

#[test]
fn exit_code_4_when_a_bundle_or_a_slot_is_not_verified() {
    let board = SmallBoard::new();
    let bundle = offer(&board, bundles::Recipe::default().signed_by(bundles::stranger()));
    assert_eq!(code(&board, &["bundle", "info", &bundle]), 4);
    assert_eq!(code(&board, &["install", &bundle]), 4);
    let board = SmallBoard::new();
    let bundle = offer(&board, bundles::good());
    assert_eq!(code(&board, &["install", &bundle]), 0);
    assert_eq!(code(&board, &["slot", "check", "B"]), 0);
    board.edit("/dev/mmcblk1p4", |slot| slot[300_000] ^= 1);
    assert_eq!(code(&board, &["slot", "check", "B"]), 4);
}

#[test]
fn exit_code_5_when_somebody_else_is_at_it() {
    let board = SmallBoard::new();
    let bundle = offer(&board, bundles::good());
    let lock = InstallLock::acquire(board.root(), 4711).unwrap();
    assert_eq!(code(&board, &["install", &bundle]), 5);
    drop(lock);
    let mounted = "36 35 179:4 / /mnt/b rw - ext4 /dev/mmcblk1p4 rw\n";
    board.write("/proc/self/mountinfo", mounted);
    assert_eq!(code(&board, &["install", &bundle]), 5);
}

#[test]
fn exit_code_10_when_the_answer_is_no() {
    let board = with_state(SlotState::Trying, SlotState::Good);
    assert_eq!(code(&board, &["boot", "is-confirmed"]), 10);
    assert_eq!(code(&board, &["health", "probe"]), 0);
    fs::remove_file(board.path("/etc/healthy")).unwrap();
    assert_eq!(code(&board, &["health", "probe"]), 10);
    assert_eq!(code(&board, &["uenv", "print", "no_such_variable"]), 10);
    board.corrupt_env(2);
    assert_eq!(code(&board, &["uenv", "check"]), 10);
    board.edit("/dev/mmcblk1", |disk| disk.fill(0));
    assert_eq!(code(&board, &["doctor"]), 10);
    let row = PAGE.lines().find(|line| line.starts_with("| 10 |")).unwrap();
    for query in
        ["boot is-confirmed", "health probe", "uenv print", "uenv check", "doctor", "release show"]
    {
        assert!(row.contains(&format!("`{query}")), "{query} is not in {row}");
    }
}

/// Every class, and its row in the page; a new class does not compile here before it has a name.
const CLASSES: [Class; 6] =
    [Class::Failed, Class::Usage, Class::Refused, Class::NotVerified, Class::Busy, Class::No];

const fn name(class: Class) -> &'static str {
    match class {
        Class::Failed => "failed",
        Class::Usage => "usage",
        Class::Refused => "refused",
        Class::NotVerified => "not verified",
        Class::Busy => "busy",
        Class::No => "no",
    }
}

#[test]
fn page_has_one_row_for_each_class_with_its_code() {
    let rows: Vec<(u8, String)> = PAGE
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
            let code = cells.next()?.parse().ok()?;
            let (name, when) = (cells.next()?, cells.next()?);
            assert!(!when.is_empty(), "row {code} does not say when");
            Some((code, name.to_owned()))
        })
        .collect();
    let mut expected = vec![(0, "done".to_owned())];
    expected.extend(CLASSES.map(|class| (class.exit_code(), name(class).to_owned())));
    assert_eq!(rows, expected);
}

#[test]
fn help_names_every_exit_code() {
    let help = Cli::command().render_long_help().to_string();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("Exit codes: 0 done,"), "{help}");
    for class in CLASSES {
        let code = class.exit_code();
        assert!(help.contains(&format!(", {code} ")), "--help does not tell of {code}");
    }
}

/// The JSON of a failure has these members and no others.
fn failure_object(out: &Output) -> Value {
    let text = String::from_utf8(out.stdout.clone()).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("one object: {text}"));
    let object = value.as_object().unwrap();
    assert_eq!(object.keys().collect::<Vec<_>>(), ["error", "version"]);
    assert_eq!(object["version"], 1);
    let error = object["error"].as_object().unwrap();
    assert_eq!(error.keys().collect::<Vec<_>>(), ["code", "hint", "message"]);
    assert_eq!(error["code"].as_i64(), out.status.code().map(i64::from));
    value
}

#[test]
fn failure_as_json_is_one_object_with_code_message_and_hint() {
    let board = with_state(SlotState::Good, SlotState::Bad);
    let out = atomix(&board, &["--json", "boot", "mark-bad", "A"]);
    let error = failure_object(&out)["error"].clone();
    assert_eq!(error["code"], 3);
    assert_eq!(error["message"], "refused: slot A is the last good slot");
    assert!(error["hint"].as_str().unwrap().contains("force"));
    // People are told too.
    let stderr = String::from_utf8(out.stderr).unwrap();
    assert!(stderr.starts_with("atomix: refused: slot A is the last good slot\nhint: "));
    let board = with_state(SlotState::Trying, SlotState::Good);
    let out = atomix(&board, &["--json", "uenv", "print", "no_such_variable"]);
    let error = failure_object(&out)["error"].clone();
    assert_eq!((error["code"].as_i64(), error["hint"].is_null()), (Some(10), true));
}

/// `atomix --json install … | head` hides the end of an install and must not change it.
#[test]
fn install_whose_output_nobody_reads_ends_with_its_own_code() {
    let board = SmallBoard::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = Command::new(env!("CARGO_BIN_EXE_atomix"))
        .args(["--json", "--root"])
        .arg(board.root())
        .args(["install", &board.offer_good()])
        .stdout(writer.try_clone().unwrap())
        .stderr(writer)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(board.state().b.state, SlotState::Trying);
}

/// A query whose answer is an object says no in it and by the exit code, not by a second object.
#[test]
fn answer_that_is_no_stays_one_object() {
    let board = SmallBoard::new();
    fs::remove_file(board.path("/etc/healthy")).unwrap();
    board.edit("/dev/mmcblk1", |disk| disk.fill(0));
    board.set_env(|env| env.set("atomix_state_A", "trying").unwrap());
    board.corrupt_env(2);
    let status = format!("[slot.rootfs.0]\nstatus=ok\nsize=4096\nsha256={}\n", "00".repeat(32));
    board.write("/data/rauc/status.raucs", status);
    let queries = [
        (["uenv", "check"].as_slice(), 10),
        (&["health", "probe"], 10),
        (&["doctor"], 10),
        (&["boot", "is-confirmed"], 10),
        (&["slot", "check", "A"], 4),
    ];
    for (args, code) in queries {
        let out = atomix(&board, &[&["--json"], args].concat());
        assert_eq!(out.status.code(), Some(code), "{args:?}: {out:?}");
        let text = String::from_utf8(out.stdout).unwrap();
        let value: Result<Value, _> = serde_json::from_str(&text);
        assert!(value.is_ok(), "{args:?} prints more than one object: {text}");
    }
}
