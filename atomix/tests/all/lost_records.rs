// SPDX-License-Identifier: MIT OR Apache-2.0
//! Records on `/data` may be lost or older than the slots: no rule becomes weaker by that, and no
//! good update is given up for it.

use crate::cli_board::bundles::{self, Recipe};
use crate::cli_board::{Ran, SmallBoard};
use bootctl::{AttemptsLeft, SlotId, SlotState};
use bundle::BundleFormat;

const STATUS: &str = "/data/rauc/status.raucs";

/// A board with the good bundle (version 2.0.0) in B, written by the program itself.
fn updated() -> SmallBoard {
    let board = SmallBoard::new();
    let ran = install(&board, &bundles::good());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    board
}

fn install(board: &SmallBoard, bundle: &[u8]) -> Ran {
    board.write("/update.raucb", bundle);
    board.run(&["install", board.path("/update.raucb").to_str().unwrap()])
}

/// B proved itself; `booted` runs.
fn confirm(board: &SmallBoard, booted: SlotId) {
    let mut state = board.state();
    state.b.state = SlotState::Good;
    state.b.attempts = AttemptsLeft::DEFAULT;
    board.set_state(&state);
    board.write("/proc/cmdline", format!("rauc.slot={booted} atomix.reason=normal\n"));
}

fn older() -> Vec<u8> {
    Recipe { version: "1.9.0", ..Recipe::default() }.make()
}

#[test]
fn a_downgrade_is_refused_although_the_status_file_is_lost_or_broken() {
    for content in [None, Some("[slot.rootfs.1\nbroken")] {
        let board = updated();
        confirm(&board, SlotId::B);
        match content {
            None => std::fs::remove_file(board.path(STATUS)).unwrap(),
            Some(text) => board.write(STATUS, text),
        }
        let before = board.state();
        let ran = install(&board, &older());
        assert_eq!(ran.code, 3, "{content:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("1.9.0") && ran.stderr.contains("2.0.0"), "{}", ran.stderr);
        assert_eq!(board.state(), before);
    }
}

#[test]
fn a_rollback_does_not_lower_the_floor() {
    let board = updated();
    confirm(&board, SlotId::A);
    let ran = install(&board, &older());
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    board.write("/update.raucb", older());
    let path = board.path("/update.raucb");
    let ran = board.run(&["install", "--allow-downgrade", path.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

/// `/data` was read-only during the second install: its status file still speaks of the first.
#[test]
fn a_digest_of_an_older_install_is_not_held_against_the_slot() {
    let board = updated();
    let old_status = board.read(STATUS);
    let newer = Recipe { version: "3.0.0", rootfs_bytes: 300_000, ..Recipe::default() }.make();
    assert_eq!(install(&board, &newer).code, 0);
    let ran = board.run(&["slot", "check", "B"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(!ran.stdout.contains("no record"), "{}", ran.stdout);

    board.write(STATUS, old_status);
    let ran = board.run(&["slot", "check", "B"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("rootfs.1 (no record)"), "{}", ran.stdout);
    let ran = board.run(&["status"]);
    assert!(ran.stdout.contains("version 3.0.0"), "{}", ran.stdout);
}

#[test]
fn content_that_changed_after_its_install_is_still_found() {
    let board = updated();
    board.edit("/dev/mmcblk1p4", |slot| slot[70_000] ^= 1);
    let ran = board.run(&["slot", "check", "B"]);
    assert_eq!(ran.code, 4, "{} {}", ran.stdout, ran.stderr);
}

#[test]
fn extract_leaves_whole_images_only_and_says_that_the_bundle_is_not_true() {
    let board = SmallBoard::new();
    let mut bundle = bundles::good();
    // A block of the root file system's image, the larger one.
    let at = bundles::verity_layout().0 / 2;
    bundle[at] ^= 1;
    board.write("/update.raucb", bundle);
    let (path, dir) = (board.path("/update.raucb"), board.path("/taken-apart"));
    let ran = board.run(&["bundle", "extract", path.to_str().unwrap(), dir.to_str().unwrap()]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(dir.join("boot.vfat").exists());
    assert!(!dir.join("rootfs.img").exists());
}

#[test]
fn a_keyring_directory_is_the_boards_not_this_machines() {
    let board = SmallBoard::new();
    let elsewhere = tempfile::tempdir().unwrap();
    // The hash of the vendor's CA as OpenSSL looks for it, on this machine only.
    let pem = board.path("/etc/rauc/ca.cert.pem");
    let asked = std::process::Command::new("openssl")
        .args(["x509", "-noout", "-subject_hash", "-in"])
        .arg(pem)
        .output()
        .unwrap();
    let name = format!("{}.0", String::from_utf8(asked.stdout).unwrap().trim());
    std::fs::write(elsewhere.path().join(&name), &bundles::pki().ca_cert_pem).unwrap();
    let place = elsewhere.path().to_str().unwrap();
    board.replace(
        "/etc/rauc/system.conf",
        "path=/etc/rauc/ca.cert.pem",
        &format!("directory={place}"),
    );
    let bundle = Recipe { format: BundleFormat::Plain, ..Recipe::default() }.make();
    let ran = install(&board, &bundle);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    // The same directory below the board's root is believed.
    board.write(&format!("{place}/{name}"), &bundles::pki().ca_cert_pem);
    assert_eq!(install(&board, &bundle).code, 0);
}

/// `/data` could not be written during the install, so the status went to `/run`.
#[test]
fn a_status_kept_in_run_is_read_from_there_and_said_to_be() {
    const FALLBACK: &str = "/run/atomix/status.raucs";
    let board = SmallBoard::new();
    board.write("/data/rauc", "a file where a directory should be");
    assert_eq!(install(&board, &bundles::good()).code, 0);
    assert!(board.path(FALLBACK).exists());
    let ran = board.run(&["slot", "list"]);
    assert!(ran.stdout.contains("2.0.0") && ran.stderr.contains(FALLBACK), "{}", ran.stderr);
    let ran = board.run(&["slot", "check", "B"]);
    assert!(ran.code == 0 && !ran.stdout.contains("no record"), "{}", ran.stdout);
    let ran = board.run(&["status"]);
    assert_eq!(ran.stderr.matches(FALLBACK).count(), 1, "{}", ran.stderr);

    // Once the proper place says what the slot holds, it counts.
    std::fs::remove_file(board.path("/data/rauc")).unwrap();
    assert_eq!(install(&board, &bundles::good()).code, 0);
    let kept = String::from_utf8(board.read(STATUS)).unwrap();
    board.write(FALLBACK, kept.replace("2.0.0", "9.9.9"));
    let ran = board.run(&["slot", "list"]);
    assert!(ran.stdout.contains("2.0.0") && !ran.stdout.contains("9.9.9"), "{}", ran.stdout);
    assert!(!ran.stderr.contains(FALLBACK), "{}", ran.stderr);
}

/// A `/data` that turned read-only still holds the status of the install before.
#[test]
fn a_status_in_run_is_preferred_to_an_older_one_in_data() {
    let board = updated();
    let old_status = board.read(STATUS);
    let newer = Recipe { version: "3.0.0", rootfs_bytes: 300_000, ..Recipe::default() }.make();
    assert_eq!(install(&board, &newer).code, 0);
    board.write("/run/atomix/status.raucs", board.read(STATUS));
    board.write(STATUS, old_status);
    let ran = board.run(&["slot", "list"]);
    assert!(ran.stdout.contains("3.0.0"), "{}", ran.stdout);
    let ran = board.run(&["slot", "check", "B"]);
    assert!(ran.code == 0 && !ran.stdout.contains("no record"), "{}", ran.stdout);
}
