// SPDX-License-Identifier: MIT OR Apache-2.0
//! The whole chain where nothing goes wrong: flashed, updated there and back, confirmed, rolled
//! back by hand. Each scenario has a board of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

use anyhow::{Result, ensure};
use e2e::live::Board;
use e2e::scenario::Scenario;

#[test]
fn a_flashed_board_makes_its_other_slot_and_data_at_first_boot() -> Result<()> {
    Scenario::new("first-boot").flashed().run(|board| {
        assert_eq!(board.told("cat /data/atomix/provisioned")?, "1\n");
        assert!(board.told("cat /proc/mounts")?.contains("/dev/vda5 /data f2fs "));
        // libubootenv reads what we and U-Boot have written.
        assert_eq!(board.variable("atomix_state_A")?, "good");
        assert_eq!(board.variable("atomix_state_B")?, "empty");
        board.await_confirmation()?;
        board.reboot("A, normal")
    })
}

/// The original suite's `rauc-slots`: both slots are there and called what they are.
#[test]
fn rauc_slots_are_seen_and_named() -> Result<()> {
    Scenario::new("slots").run(|board| {
        let slots = board.told("atomix slot list")?;
        for slot in ["rootfs.0", "boot.0", "rootfs.1", "boot.1"] {
            assert!(slots.contains(slot), "{slot}\n{slots}");
        }
        let status = board.told("atomix status")?;
        assert!(status.lines().count() <= 24 && status.lines().all(|line| line.len() <= 80));
        assert!(status.contains("1.0") || status.contains("slot A"), "{status}");
        Ok(())
    })
}

/// The original suite's `rauc-update`, three times in a row: there, back and there again.
#[test]
fn rauc_update_is_tried_and_confirmed_there_and_back_and_there_again() -> Result<()> {
    Scenario::new("update").run(|board| {
        for (slot, other) in [("B", "A"), ("A", "B"), ("B", "A")] {
            board.install()?;
            board.reboot(&format!("{slot}, trying"))?;
            assert!(board.told("cat /proc/cmdline")?.contains(&format!("rauc.slot={slot}")));
            assert!(board.told("cat /etc/os-release")?.contains("IMAGE_VERSION=2.0"));
            board.await_confirmation()?;
            let modules = board.told("cat /proc/modules")?;
            assert!(!modules.contains("dm_verity") && !modules.contains("nbd"), "{modules}");
            let state = board.variable(&format!("atomix_state_{other}"))?;
            assert_eq!(state, "good", "the other slot stays what it was");
        }
        Ok(())
    })
}

/// The original suite's `rauc-confirm`: an update is none until the verifier says so.
#[test]
fn rauc_confirm_is_the_verifiers_word_and_nothing_else() -> Result<()> {
    Scenario::new("confirm").run(|board| {
        board.install()?;
        board.reboot("B, trying")?;
        board.exits("atomix boot is-confirmed", 10)?;
        assert_eq!(board.variable("atomix_state_B")?, "trying");
        board.await_confirmation()?;
        assert_eq!(board.variable("atomix_state_B")?, "good");
        let why = board.told("atomix why")?;
        assert!(why.contains("B is healthy") && why.contains("marked B good"), "{why}");
        Ok(())
    })
}

/// The original suite's `rauc-rollback`: somebody wants the version before.
#[test]
fn rauc_rollback_by_hand_boots_the_slot_before_and_stays_there() -> Result<()> {
    Scenario::new("rollback").run(|board| {
        board.install()?;
        board.reboot("B, trying")?;
        board.await_confirmation()?;
        board.told("atomix rollback --mark-bad")?;
        board.reboot("A, normal")?;
        assert!(board.told("cat /etc/os-release")?.contains("IMAGE_VERSION=1.0"));
        assert_eq!(board.variable("atomix_state_B")?, "bad");
        assert_eq!(board.variable("atomix_state_A")?, "good");
        Ok(())
    })
}

/// A board without a battery: nothing of the chain may need to know what day it is.
#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn with_the_clock_at_1970_an_update_is_installed_and_confirmed() -> Result<()> {
    let scenario = Scenario::new("clock-1970").more_args(&["-rtc", "base=1970-01-01T00:00:10"]);
    scenario.run(|board| {
        // systemd moves the clock to its own build date at most; nobody set it.
        let year: u32 = board.told("date +%Y")?.trim().parse()?;
        board.note(&format!("the guest takes the year for {year}"));
        set_clock_to_1970(board)?;
        board.install()?;
        board.reboot("B, trying")?;
        set_clock_to_1970(board)?;
        board.await_confirmation()
    })
}

/// Not to its first seconds: the kernel refuses a clock that is behind its uptime.
fn set_clock_to_1970(board: &mut Board) -> Result<()> {
    board.told("date -s @90000")?;
    let day = board.told("date +%F")?;
    ensure!(day.trim() == "1970-01-02", "the clock was not set: {day}");
    Ok(())
}
