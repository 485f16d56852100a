// SPDX-License-Identifier: MIT OR Apache-2.0
//! A technician has 80 columns and 24 lines at 115200 baud. The answers that are read there fit,
//! on a board that has much to tell.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod cli_board;

use cli_board::{Ran, SmallBoard};
use std::fs;

const COLUMNS: usize = 80;
const LINES: usize = 24;
const STATUS: &str = "/data/rauc/status.raucs";

fn fits(board: &SmallBoard, args: &[&str], code: u8) -> Ran {
    let ran = board.run(args);
    assert_eq!(ran.code, code, "{args:?}: {}", ran.stderr);
    // The line that waits for the next command needs one line of the screen.
    let count = ran.stdout.lines().count() + ran.stderr.lines().count();
    assert!(count < LINES, "{args:?} has {count} lines:\n{}{}", ran.stdout, ran.stderr);
    for line in ran.stdout.lines() {
        assert!(line.chars().count() <= COLUMNS, "{args:?} is too wide: {line}");
    }
    ran
}

#[test]
fn board_that_fell_back_fits_the_screen() {
    let board = SmallBoard::after_a_fallback();
    let status = fits(&board, &["status"], 0).stdout;
    for part in ["small-board", "booted       A", "boots next", "last failure", "rootfs.1"] {
        assert!(status.contains(part), "status lacks {part:?}:\n{status}");
    }
    let why = fits(&board, &["why"], 0).stdout;
    for part in ["from slot B (2.0.0) to slot A", "3 attempts, 3 of which", "cause"] {
        assert!(why.contains(part), "why lacks {part:?}:\n{why}");
    }
    fits(&board, &["slot", "list"], 0);
    fits(&board, &["boot", "state"], 0);
    fits(&board, &["uenv", "check"], 0);
    fits(&board, &["doctor"], 0);
}

#[test]
fn board_with_a_long_history_fits_the_screen() {
    let board = SmallBoard::after_a_fallback();
    for _ in 0..20 {
        board.power_on();
    }
    let why = fits(&board, &["why"], 0).stdout;
    assert!(why.contains("booted A"), "{why}");
    fits(&board, &["status"], 0);
}

/// A table of which the first row is the heads of the columns and each next begins with a slot.
fn shows_devices(table: &str, devices: &[&str]) {
    let whole: String = table.lines().map(str::trim).collect();
    for device in devices {
        assert!(whole.contains(device), "{device} is not whole:\n{table}");
    }
}

#[test]
fn board_with_long_names_fits_the_screen() {
    let board = SmallBoard::after_a_fallback();
    let deep = format!("/dev/{}/rootfs-b", ["disk/by-partlabel"; 6].join("/"));
    for (old, new) in
        [("/dev/mmcblk1p2", "/dev/disk/by-partlabel/rootfs-a"), ("/dev/mmcblk1p4", deep.as_str())]
    {
        board.write(new, board.read(old));
        board.replace("/etc/rauc/system.conf", old, new);
    }
    let compatible = "a-board-of-a-product-line-of-a-house-".repeat(4);
    board.replace("/etc/rauc/system.conf", "small-board", &compatible);
    board.replace(STATUS, "2.0.0", &"20261122.release-candidate+".repeat(9));
    let status = fits(&board, &["status"], 0).stdout;
    assert!(status.contains("compatible   a-board-of-a-product-line"), "{status}");
    shows_devices(&status, &["/dev/disk/by-partlabel/rootfs-a", &deep]);
    let list = fits(&board, &["slot", "list"], 0).stdout;
    shows_devices(&list, &["/dev/disk/by-partlabel/rootfs-a", &deep]);

    let config = String::from_utf8(board.read("/etc/rauc/system.conf")).unwrap();
    let long = config.replace("rootfs.", &format!("{}.", "root-file-system-".repeat(5)));
    board.write("/etc/rauc/system.conf", long.replace("boot.", "boot-file-system."));
    for row in fits(&board, &["slot", "list"], 0).stdout.lines().filter(|row| row.contains(" A ")) {
        assert!(
            row.contains("boot-file-system.0") || row.contains("root-file-system-root-f…"),
            "{row}"
        );
    }
    fits(&board, &["status"], 0);
}

#[test]
fn broken_board_fits_the_screen() {
    let board = SmallBoard::new();
    fs::remove_file(board.path("/dev/mtd0")).unwrap();
    fs::remove_file(board.path("/etc/rauc/ca.cert.pem")).unwrap();
    board.edit("/dev/mmcblk1", |disk| disk[572] ^= 1);
    let doctor = fits(&board, &["doctor"], 10).stdout;
    for part in ["BROKEN", "/dev/mtd0 does not exist", "keyring", "primary copy is damaged"] {
        assert!(doctor.contains(part), "doctor lacks {part:?}:\n{doctor}");
    }
}

#[test]
fn bundle_and_plan_fit_the_screen() {
    let board = SmallBoard::new();
    let bundle = board.offer_good();
    let info = fits(&board, &["bundle", "info", &bundle], 0).stdout;
    assert!(info.contains("signature    verified"), "{info}");
    fits(&board, &["install", "--dry-run", &bundle], 0);
    fits(&board, &["repart", "--dry-run"], 0);
}
