// SPDX-License-Identifier: MIT OR Apache-2.0
//! Storage that loses or refuses: environment copies, the last commit, sectors of the inactive
//! slot. The running slot stays, the place is named, the next attempt converges.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

use anyhow::{Context as _, Result, ensure};
use board_rock64::Role;
use bootctl::SlotId;
use e2e::board::QEMU;
use e2e::live::{Board, WAIT};
use e2e::progress::say;
use e2e::scenario::Scenario;
use e2e::wiring::{Failing, FailingAct, Fault, SECTOR_BYTES, Wiring};
use std::time::{Duration, Instant};
use storage::{Access, FileStorage, Storage};
use uboot::{EnvStore, parse_image};

/// Between two looks at the environment from outside.
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Installs, boots and confirms B.
fn with_b_confirmed(board: &mut Board) -> Result<()> {
    board.install()?;
    board.reboot("B, trying")?;
    board.await_confirmation()
}

/// Both environment copies, from outside.
fn env_store(board: &Board) -> Result<EnvStore<FileStorage>> {
    let mut copies = Vec::new();
    for place in QEMU.fw_env_config().copies {
        copies.push((FileStorage::open(&board.machine.card(), Access::ReadOnly)?, place));
    }
    Ok(EnvStore::open(copies)?)
}

/// Number of the environment copy that counts, from outside.
fn newest_copy(board: &Board) -> Result<usize> {
    Ok(env_store(board)?.load()?.active)
}

/// Whether each copy for itself says this of a variable, from outside.
fn both_copies_say(board: &Board, name: &str, value: &str) -> Result<bool> {
    let redundancy = env_store(board)?.redundancy();
    let card = FileStorage::open(&board.machine.card(), Access::ReadOnly)?;
    for place in QEMU.fw_env_config().copies {
        let mut image = vec![0; usize::try_from(place.env_bytes)?];
        card.read_at(place.offset, &mut image)?;
        match parse_image(&image, redundancy) {
            Ok((_, env)) if env.get(name) == Some(value) => {}
            // The one that is being written is looked at again.
            Ok(_) | Err(_) => return Ok(false),
        }
    }
    Ok(true)
}

/// A variable of the environment, from outside.
fn stored(board: &Board, name: &str) -> Result<String> {
    let env = board.environment().context("no copy is valid")?;
    env.get(name).cloned().with_context(|| format!("{name} is not set"))
}

/// Cuts the power and destroys the copy that was written last: this variable is then what it was
/// before.
fn lose_last_commit(board: &mut Board, name: &str, before: &str) -> Result<()> {
    board.cut();
    let newest = newest_copy(board)?;
    let lost = stored(board, name)?;
    board.corrupt(&[newest])?;
    let found = stored(board, name)?;
    say(&format!("the last commit is taken back: {name} was {lost} and is {found}"));
    ensure!(lost != before && found == before, "{name}: {lost} -> {found}, not {before}");
    Ok(())
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn without_environment_and_without_slot_a_the_board_comes_to_b_by_itself() -> Result<()> {
    Scenario::new("environment-and-a-lost").starts_off().run(|board| {
        board.power_on("A, normal")?;
        with_b_confirmed(board)?;
        board.corrupt(&[0, 1])?;
        board.overwrite("boot-a", 0, &[0; 4096])?;
        board.switch_on()?;
        board.expect("atomix: slot B")?;
        board.guest_up()?;
        ensure!(board.told("cat /proc/cmdline")?.contains("rauc.slot=B"));
        ensure!(board.variable("atomix_state_B")? == "good");
        // The way out of it is the next install.
        board.install()?;
        board.reboot("A, trying")?;
        board.await_confirmation()
    })
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn losing_the_last_commit_takes_it_back_but_not_a_begun_install() -> Result<()> {
    Scenario::new("last-commit").starts_off().run(|board| {
        board.power_on("A, normal")?;
        // Begin of an install: in both copies, before the slot is touched.
        board.mount_stick()?;
        board.start("atomix install /run/stick/update.raucb")?;
        let end = Instant::now() + WAIT;
        while !both_copies_say(board, "atomix_state_B", "writing")? {
            ensure!(Instant::now() < end, "the install does not begin");
            std::thread::sleep(BETWEEN_LOOKS);
        }
        board.cut();
        board.corrupt(&[newest_copy(board)?])?;
        ensure!(stored(board, "atomix_state_B")? == "writing", "the begin is taken back");
        board.power_on("A, normal")?;

        // End of an install: written and sealed, and not to be started.
        board.install()?;
        lose_last_commit(board, "atomix_state_B", "writing")?;
        board.power_on("A, normal")?;
        board.install()?;

        // Confirmation: tried once more.
        board.reboot("B, trying")?;
        board.await_confirmation()?;
        lose_last_commit(board, "atomix_state_B", "trying")?;
        board.power_on("B, trying")?;
        board.await_confirmation()?;

        // Marked bad: good again, until someone says it again.
        board.told("atomix boot mark-bad A")?;
        lose_last_commit(board, "atomix_state_A", "good")?;
        board.power_on("B, normal")?;
        board.told("atomix boot mark-bad A")?;
        ensure!(board.variable("atomix_state_A")? == "bad");
        board.reboot("B, normal")
    })
}

/// A sector of a partition, by its offset in KiB.
fn sector(role: Role, kib: u64) -> Result<u64> {
    let place = QEMU.partition(role).context("no such partition")?;
    Ok((place.start.get() + kib * 1024) / SECTOR_BYTES)
}

fn fault(act: FailingAct, role: Role, kib: u64, failing: Failing) -> Result<Wiring> {
    Ok(Wiring::Faulty(vec![Fault { act, sector: sector(role, kib)?, failing }]))
}

/// The disk has refused something, as the kernel tells: a fault that nobody meets proves nothing.
fn has_refused(board: &mut Board) -> Result<()> {
    let heard = board.heard()?;
    ensure!(heard.contains("I/O error, dev vda"), "the fault was not met");
    Ok(())
}

/// An install that fails, naming slot and act; the running slot stays, and without the fault the
/// next attempt converges.
fn install_fails(name: &str, wiring: Wiring, named: &[&str]) -> Result<()> {
    Scenario::new(name).wiring(wiring).run(|board| {
        board.mount_stick()?;
        let said = board.exits("atomix install /run/stick/update.raucb", 1)?;
        say(&said);
        has_refused(board)?;
        for word in named {
            ensure!(said.contains(word), "{word:?} is not named: {said}");
        }
        ensure!(board.variable("atomix_state_B")? == "writing");
        board.reboot("A, normal")?;
        board.machine.wiring = Wiring::Plain;
        board.power_on("A, normal")?;
        with_b_confirmed(board)
    })
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn old_content_that_cannot_be_read_is_overwritten() -> Result<()> {
    // Where old and new content are compared to spare writes; nobody else reads there. What was
    // written is read without error.
    let wiring = fault(FailingAct::Read, Role::Rootfs(SlotId::B), 2200, Failing::Times(1))?;
    Scenario::new("unreadable-old-content").wiring(wiring).run(|board| {
        board.install()?;
        has_refused(board)?;
        board.reboot("B, trying")?;
        board.await_confirmation()
    })
}

#[test]
fn what_cannot_be_read_back_is_not_started_and_its_place_is_named() -> Result<()> {
    let wiring = fault(FailingAct::Read, Role::Rootfs(SlotId::B), 20 * 1024, Failing::Always)?;
    let named = ["rootfs.1", "read back", "0x1400000", "Input/output error"];
    install_fails("unreadable-new-content", wiring, &named)
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn what_cannot_be_written_is_not_started_and_its_place_is_named() -> Result<()> {
    let wiring = fault(FailingAct::Write, Role::Rootfs(SlotId::B), 20 * 1024, Failing::Always)?;
    install_fails("unwritable", wiring, &["rootfs.1", "Input/output error"])
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn a_slot_whose_kernel_cannot_be_read_is_left_for_the_other() -> Result<()> {
    Scenario::new("unreadable-kernel").starts_off().run(|board| {
        board.power_on("A, normal")?;
        with_b_confirmed(board)?;
        board.power_off()?;
        board.machine.wiring =
            fault(FailingAct::Read, Role::Boot(SlotId::B), 8 * 1024, Failing::Always)?;
        board.switch_on()?;
        board.expect("atomix: slot B")?;
        board.expect("atomix: slot A")?;
        board.guest_up()?;
        ensure!(board.told("cat /proc/cmdline")?.contains("rauc.slot=A"));
        let why = board.told("atomix why")?;
        say(&why);
        ensure!(why.contains("load"), "{why}");
        // Good once and not loadable now: the board keeps to A, and can be updated again.
        board.machine.wiring = Wiring::Plain;
        board.cut();
        board.switch_on()?;
        board.selected("")?;
        board.guest_up()?;
        board.told("atomix status").map(drop)
    })
}
