// SPDX-License-Identifier: MIT OR Apache-2.0
//! `/data` missing, full or corrupt (I8): the board boots, updates and confirms without it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

use anyhow::Result;
use e2e::live::Board;
use e2e::scenario::Scenario;

/// A board in slot B, confirmed, with the power off: what a first boot done again would forget.
fn updated_and_off(board: &mut Board) -> Result<()> {
    board.install()?;
    board.reboot("B, trying")?;
    board.await_confirmation()?;
    board.told("sync")?;
    board.cut();
    Ok(())
}

/// Slot B boots as the good one that it is, and the board takes an update into A.
fn goes_on(board: &mut Board) -> Result<()> {
    board.power_on("B, normal")?;
    assert_eq!(board.variable("atomix_state_A")?, "good");
    assert_eq!(board.variable("atomix_state_B")?, "good");
    board.install()?;
    board.reboot("A, trying")?;
    board.await_confirmation()?;
    assert_eq!(board.variable("atomix_state_B")?, "good");
    Ok(())
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn with_data_corrupt_the_board_boots_updates_and_confirms() -> Result<()> {
    Scenario::new("data-corrupt").run(|board| {
        updated_and_off(board)?;
        // Both superblocks of the file system.
        overwrite_data(board, &[0x5a; 64 * 1024])?;
        goes_on(board)
    })
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn with_data_wiped_the_board_boots_updates_and_confirms() -> Result<()> {
    Scenario::new("data-wiped").run(|board| {
        updated_and_off(board)?;
        overwrite_data(board, &vec![0; 16 << 20])?;
        goes_on(board)
    })
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn with_data_full_the_board_boots_updates_and_confirms() -> Result<()> {
    Scenario::new("data-full").run(|board| {
        board.run("dd if=/dev/zero of=/data/full bs=1M; sync")?;
        let full = board.run("sh -c 'echo more >/data/more' && sync")?;
        board.note(&format!("/data is full: writing exits with {}", full.exit));
        board.install()?;
        board.reboot("B, trying")?;
        board.await_confirmation()?;
        board.reboot("B, normal")
    })
}

/// Overwrites the head of `/data`, with the power off.
fn overwrite_data(board: &mut Board, bytes: &[u8]) -> Result<()> {
    board.overwrite("data", 0, bytes)?;
    board.note("the head of /data is overwritten");
    Ok(())
}
