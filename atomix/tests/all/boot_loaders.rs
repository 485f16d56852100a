// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `system.conf` says of the boot loader: a script is asked which slot runs and is told of
//! installs, and `prevent-late-fallback` holds.

use crate::cli_board::{ENV_BYTES, SYSTEM_CONF, SmallBoard};
use bootctl::SlotState;
use std::path::Path;
use std::process::Command;

/// Keeps its answers beside itself, below the board's root.
const SCRIPT: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../bootctl/tests/fixtures/custom-backend.sh");

/// By a program: a file that this process writes can be open in a child that another test is
/// starting, and then does not run.
fn install_script(to: &Path) {
    let copied = Command::new("install").args(["-D", "-m", "755", SCRIPT]).arg(to).status();
    assert!(copied.unwrap().success());
}

fn board() -> SmallBoard {
    let board = SmallBoard::new();
    let config = SYSTEM_CONF.replace("bootloader=uboot", "bootloader=custom")
        + "[handlers]\nbootloader-custom-backend=/usr/lib/boot.sh\n";
    board.write("/etc/rauc/system.conf", config);
    board.write("/proc/cmdline", b"console=ttyS2 root=/dev/mmcblk1p2\n");
    install_script(&board.path("/usr/lib/boot.sh"));
    for (file, answer) in
        [("primary", "A\n"), ("state.A", "good\n"), ("state.B", "good\n"), ("current", "A\n")]
    {
        board.write(&format!("/usr/lib/{file}"), answer);
    }
    board
}

/// What the script was asked for since the last look, in order.
fn calls(board: &SmallBoard) -> Vec<String> {
    let calls = String::from_utf8(board.read("/usr/lib/calls")).unwrap();
    board.write("/usr/lib/calls", "");
    calls.lines().map(str::to_owned).collect()
}

/// What changes it was asked for.
fn changes(calls: &[String]) -> Vec<&str> {
    calls.iter().map(String::as_str).filter(|call| call.starts_with("set-")).collect()
}

#[test]
fn the_script_below_the_root_says_what_runs_and_is_told_of_an_install() {
    let board = board();
    let status = board.run(&["status"]);
    assert_eq!(status.code, 0, "{}", status.stderr);
    assert!(status.stdout.contains("slot A"), "{}", status.stdout);
    assert_eq!(calls(&board), ["get-current", "get-primary", "get-state A", "get-state B"]);

    let install = board.run(&["install", &board.offer_good()]);
    assert_eq!(install.code, 0, "{}", install.stderr);
    let called = calls(&board);
    assert_eq!(changes(&called), ["set-state B bad", "set-state B good", "set-primary B"]);
    assert!(called.contains(&"get-current".to_owned()), "{called:?}");

    board.write("/usr/lib/current", "B\n");
    let good = board.run(&["boot", "mark-good"]);
    assert_eq!(good.code, 0, "{}", good.stderr);
    assert_eq!(changes(&calls(&board)), ["set-state B good"]);
}

/// Who booted over the network is in no slot, whatever the script remembers.
#[test]
fn the_script_is_not_asked_where_the_command_line_says_what_runs() {
    for (line, status) in [("rauc.external\n", 3), ("root=/dev/nfs\n", 3), ("rauc.slot=A\n", 0)] {
        let board = board();
        board.write("/proc/cmdline", line);
        assert_eq!(board.run(&["boot", "is-confirmed"]).code, status, "{line}");
        let called = calls(&board);
        assert!(!called.contains(&"get-current".to_owned()), "{line}: {called:?}");
    }
}

/// `--root DIR` looks at another system; its configuration must not start programs of this one.
#[test]
fn no_program_outside_of_the_root_is_started() {
    let outside = tempfile::tempdir().unwrap();
    let script = outside.path().join("boot.sh");
    install_script(&script);
    let board = board();
    let from = "bootloader-custom-backend=/usr/lib/boot.sh";
    let to = format!("bootloader-custom-backend={}", script.display());
    board.replace("/etc/rauc/system.conf", from, &to);
    assert_eq!(board.run(&["status"]).code, 1);
    // Nor over a link that leads out.
    board.replace("/etc/rauc/system.conf", &to, from);
    std::fs::remove_file(board.path("/usr/lib/boot.sh")).unwrap();
    std::os::unix::fs::symlink(&script, board.path("/usr/lib/boot.sh")).unwrap();
    assert_eq!(board.run(&["status"]).code, 1);
    assert!(!outside.path().join("calls").exists());
}

#[test]
fn late_fallback_is_prevented_where_it_is_asked_for() {
    for (prevents, other) in [(false, SlotState::Good), (true, SlotState::Bad)] {
        let board = SmallBoard::new();
        let config = format!("[system]\nprevent-late-fallback={prevents}\n");
        board.replace("/etc/rauc/system.conf", "[system]\n", &config);
        let mut state = SmallBoard::both_good();
        state.a.state = SlotState::Trying;
        board.set_state(&state);
        assert_eq!(board.run(&["boot", "mark-good"]).code, 0);
        let state = board.state();
        assert_eq!((state.a.state, state.b.state), (SlotState::Good, other), "{prevents}");
    }
}

/// Between two commits a cut would leave the late fallback allowed for good: a slot that is
/// already good is not marked again.
#[test]
fn late_fallback_is_prevented_in_the_commit_that_confirms() {
    let board = SmallBoard::new();
    let config = "[system]\nprevent-late-fallback=true\n";
    board.replace("/etc/rauc/system.conf", "[system]\n", config);
    let mut state = SmallBoard::both_good();
    state.a.state = SlotState::Trying;
    board.set_state(&state);
    let copy_bytes = usize::try_from(ENV_BYTES).unwrap();
    let before = board.read("/dev/mtd0");
    assert_eq!(board.run(&["boot", "mark-good"]).code, 0);
    let after = board.read("/dev/mtd0");
    let copies = before.chunks(copy_bytes).zip(after.chunks(copy_bytes)).take(2);
    assert_eq!(copies.filter(|(before, after)| before != after).count(), 1);
}

/// A script has no commits: the running slot is confirmed before the other one is given up.
#[test]
fn a_script_hears_of_the_confirmed_slot_first() {
    let board = board();
    let config = "[system]\nprevent-late-fallback=true\n";
    board.replace("/etc/rauc/system.conf", "[system]\n", config);
    assert_eq!(board.run(&["boot", "mark-good"]).code, 0);
    assert_eq!(changes(&calls(&board)), ["set-state A good", "set-state B bad"]);
}
