// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `system.conf` says of the boot loader: a script is asked which slot runs and is told of
//! installs, and `prevent-late-fallback` holds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod cli_board;

use bootctl::SlotState;
use cli_board::{SYSTEM_CONF, SmallBoard};
use std::os::unix::fs::PermissionsExt;

/// Keeps its answers beside itself, below the board's root.
const SCRIPT: &str = include_str!("../../bootctl/tests/fixtures/custom-backend.sh");

fn board() -> SmallBoard {
    let board = SmallBoard::new();
    let config = SYSTEM_CONF.replace("bootloader=uboot", "bootloader=custom")
        + "[handlers]\nbootloader-custom-backend=/usr/lib/boot.sh\n";
    board.write("/etc/rauc/system.conf", config);
    board.write("/proc/cmdline", b"console=ttyS2 root=/dev/mmcblk1p2\n");
    board.write("/usr/lib/boot.sh", SCRIPT);
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(board.path("/usr/lib/boot.sh"), mode).unwrap();
    for (file, answer) in
        [("primary", "A\n"), ("state.A", "good\n"), ("state.B", "good\n"), ("current", "A\n")]
    {
        board.write(&format!("/usr/lib/{file}"), answer);
    }
    board
}

/// What changes the script was asked for, in order.
fn changes(board: &SmallBoard) -> Vec<String> {
    let calls = String::from_utf8(board.read("/usr/lib/calls")).unwrap();
    calls.lines().filter(|call| call.starts_with("set-")).map(str::to_owned).collect()
}

#[test]
fn the_script_below_the_root_says_what_runs_and_is_told_of_an_install() {
    let board = board();
    let status = board.run(&["status"]);
    assert_eq!(status.code, 0, "{}", status.stderr);
    assert!(status.stdout.contains("slot A"), "{}", status.stdout);
    assert_eq!(changes(&board), [""; 0]);

    let install = board.run(&["install", &board.offer_good()]);
    assert_eq!(install.code, 0, "{}", install.stderr);
    assert_eq!(changes(&board), ["set-state B bad", "set-state B good", "set-primary B"]);

    board.write("/usr/lib/current", "B\n");
    board.write("/usr/lib/calls", "");
    let good = board.run(&["boot", "mark-good"]);
    assert_eq!(good.code, 0, "{}", good.stderr);
    assert_eq!(changes(&board), ["set-state B good"]);
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
