// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text from bundles, the environment and the flight recorder cannot steer the terminal of the
//! person who looks at it, nor pass for a line of the program.

use crate::cli_board::{SmallBoard, bundles};
use bootctl::{Entry, Recorder, SlotId, Timestamp};
use storage::{Access, ByteLen, FileStorage, View};

const HOSTILE: &str = "lost\u{1b}[2J\u{9b}1m\r\u{202e}\nsignature    verified";

fn assert_tame(text: &str) {
    let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!text.contains(steers), "{text:?}");
    assert!(!text.lines().any(|line| line.starts_with("signature    verified")), "{text:?}");
}

#[test]
fn a_cause_in_the_flight_recorder_is_shown_in_one_harmless_line() {
    let board = SmallBoard::new();
    let flash = FileStorage::open(&board.path("/dev/mtd0"), Access::ReadWrite).unwrap();
    let ring = View::new(flash, "ring", 32768, ByteLen::new(4 * 4096)).unwrap();
    let mut recorder = Recorder::open(ring, 4096).unwrap();
    let (from, to) = (SlotId::B, SlotId::A);
    let at = Timestamp::from_unix(1_795_230_000);
    recorder.append(at, &Entry::FellBack { from, to, cause: HOSTILE.to_owned() }).unwrap();
    drop(recorder);
    for command in ["why", "status"] {
        let ran = board.run(&[command]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(ran.stdout.contains("lost\\u001b[2J"), "{command}: {}", ran.stdout);
        assert_tame(&ran.stdout);
        let ran = board.run(&["--json", command]);
        assert_tame(&ran.stdout);
        let answer: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let fallback = if command == "why" { "fallback" } else { "last_fallback" };
        assert_eq!(answer[fallback]["cause"], HOSTILE, "{command}");
    }
}

#[test]
fn a_manifest_cannot_write_the_verdict_on_itself() {
    let board = SmallBoard::new();
    let bundle = bundles::resigned(|text| {
        text.replace("version=2.0.0", "version=2\\n\\rsignature    verified, signed by all")
    });
    board.write("/update.raucb", bundle);
    let path = board.path("/update.raucb");
    let ran = board.run(&["bundle", "info", "--no-verify", path.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("version      2\\u000a"), "{}", ran.stdout);
    assert_tame(&ran.stdout);
    // The installed version may not be compared; the refusal names it.
    board.replace("/etc/rauc/system.conf", "[system]", "[system]\nmin-bundle-version=1.0");
    let ran = board.run(&["install", path.to_str().unwrap()]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert_tame(&ran.stderr);
}

#[test]
fn a_variable_of_the_environment_is_shown_and_not_sent() {
    let board = SmallBoard::new();
    board.set_env(|env| {
        env.set("note", "a\u{1b}]0;title\u{7}b").unwrap();
        env.set("BOOT_ORDER", "A \u{1b}[31m B").unwrap();
    });
    let ran = board.run(&["uenv", "print", "note"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "note=a\\u001b]0;title\\u0007b\n"));
    let ran = board.run(&["boot", "state"]);
    assert!(ran.stderr.contains("\\u001b[31m"), "{}", ran.stderr);
    assert_tame(&ran.stderr);
}
