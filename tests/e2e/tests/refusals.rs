// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bundles that must not be installed, and installs that must wait: refused with the reason and
//! the exit code of `docs/exit-codes.md`, and nothing is changed by them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

use anyhow::Result;
use e2e::live::Board;
use e2e::parts::variants;
use e2e::scenario::Scenario;

/// The bundle, its exit code, and what must be said.
const REFUSED: [(&str, i32, &str); 4] = [
    ("older.raucb", 3, "1.5 is older than 2.0"),
    ("other-board.raucb", 3, "compatible \"qemu-virt\" is wanted, the bundle is for \"rock64\""),
    ("foreign.raucb", 4, "foreign.raucb"),
    ("tampered.raucb", 4, "tampered.raucb"),
];

/// What an install could change: the environment, and both partitions of the other slot.
fn state(board: &mut Board, slot: &str) -> Result<Vec<String>> {
    board.told("sync")?;
    let mut all = vec![board.told("fw_printenv")?];
    all.push(board.told("dd if=/dev/mmcblk0 bs=32k skip=126 count=2 2>/dev/null | sha256sum")?);
    for label in [format!("boot-{slot}"), format!("rootfs-{slot}")] {
        all.push(board.digest_of(&label)?);
    }
    Ok(all)
}

#[test]
fn what_is_old_foreign_or_tampered_with_is_refused_and_changes_nothing() -> Result<()> {
    let stick = variants::stick()?.join("stick.squashfs");
    Scenario::new("refusals").stick(&stick).run(|board| {
        board.install()?;
        board.reboot("B, trying")?;
        // A trying slot does not overwrite the last good one either.
        board.mount_stick()?;
        board.exits("atomix install /run/stick/update.raucb", 3)?;
        board.await_confirmation()?;
        let before = state(board, "a")?;
        for (bundle, code, reason) in REFUSED {
            let said = board.exits(&format!("atomix install /run/stick/{bundle}"), code)?;
            assert!(said.contains(reason), "{bundle}: {said}");
            assert!(said.contains("hint: "), "{bundle}: {said}");
            assert_eq!(state(board, "a")?, before, "{bundle} changed something");
            board.note(&format!("{bundle} refused"));
        }
        Ok(())
    })
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn of_two_installs_at_once_the_second_is_refused_and_the_first_goes_on() -> Result<()> {
    Scenario::new("two-installs").run(|board| {
        board.mount_stick()?;
        let first =
            "(atomix install /run/stick/update.raucb >/run/first 2>&1; echo $? >/run/done) &";
        board
            .told(&format!("{first} until [ -s /run/atomix/install.lock ]; do sleep 0.1; done"))?;
        let said = board.exits("atomix install /run/stick/update.raucb", 5)?;
        assert!(said.contains("another install is running (process "), "{said}");
        assert_eq!(board.run_until("cat /run/done")?.trim(), "0");
        board.reboot("B, trying")
    })
}
