// SPDX-License-Identifier: MIT OR Apache-2.0
//! The name `rauc` on a board with our own boot protocol: its service on the bus, its command line.
//! What it does to slots and environment is what `atomix` does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

use anyhow::{Context as _, Result, ensure};
use bootctl::SlotId;
use e2e::crash_images::LateBlock;
use e2e::live::{Board, WAIT};
use e2e::scenario::Scenario;
use serde_json::Value;
use std::thread::sleep;
use std::time::{Duration, Instant};
use storage::{Access, FileStorage};

const INSTALL: &str = "rauc install /run/stick/update.raucb";

fn status(board: &mut Board) -> Result<Value> {
    Ok(serde_json::from_str(&board.told("rauc status --output-format=json")?)?)
}

/// What RAUC's JSON says of a slot.
fn of_slot(status: &Value, slot: &str, key: &str) -> Result<String> {
    let slots = status["slots"].as_array().context("no slots")?;
    let found = slots.iter().find_map(|one| one.get(slot)).context("no such slot")?;
    Ok(found[key].as_str().unwrap_or_default().to_owned())
}

/// What the selector will read.
fn is_tried(board: &mut Board) -> Result<()> {
    for (name, value) in [("atomix_state_B", "trying"), ("BOOT_ORDER", "B A"), ("BOOT_B_LEFT", "3")]
    {
        assert_eq!(board.variable(name)?, value, "{name}");
    }
    Ok(())
}

/// A mark that would give up the last good slot changes nothing.
fn keeps_last_good(board: &mut Board, which: &str) -> Result<()> {
    let refused = board.run(&format!("rauc status mark-bad {which} 2>&1"))?;
    ensure!(refused.exit == 1, "exit {}: {}", refused.exit, refused.printed);
    assert!(refused.printed.contains("slot A is the last good slot"), "{}", refused.printed);
    assert_eq!(board.variable("atomix_state_A")?, "good", "{}", refused.printed);
    Ok(())
}

/// The bus starts the service, a client installs and marks, and the boot protocol is ours.
#[test]
fn the_service_rauc_installs_over_dbus_and_its_marks_keep_the_last_good_slot() -> Result<()> {
    Scenario::new("rauc-service").run(|board| {
        board.exits("systemctl is-active --quiet rauc.service", 3)?;
        let before = status(board)?;
        assert_eq!(before["booted"], "A");
        assert_eq!(of_slot(&before, "boot.0", "boot_status")?, "good");
        assert_eq!(of_slot(&before, "boot.1", "boot_status")?, "bad");
        board.told("systemctl is-active --quiet rauc.service")?;
        keeps_last_good(board, "booted")?;
        board.mount_stick()?;
        let told = board.told(INSTALL)?;
        assert!(told.contains("100% Installing done."), "{told}");
        board.note("installed over D-Bus");
        is_tried(board)?;
        let after = status(board)?;
        assert_eq!(after["boot_primary"], "boot.1", "{after}");
        assert_eq!(of_slot(&after, "boot.1", "boot_status")?, "good");
        let property = "busctl get-property de.pengutronix.rauc / de.pengutronix.rauc.Installer";
        assert_eq!(board.told(&format!("{property} Operation"))?.trim(), "s \"idle\"");
        board.reboot("B, trying")?;
        assert_eq!(status(board)?["booted"], "B");
        keeps_last_good(board, "other")?;
        board.told("rauc status mark-good")?;
        assert_eq!(board.variable("atomix_state_B")?, "good");
        board.await_confirmation()
    })
}

/// Until the install is over the old slot is the only one that boots.
#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn a_power_cut_while_the_service_installs_leaves_the_old_slot_and_a_repeat_converges() -> Result<()>
{
    Scenario::new("rauc-power-cut").run(|board| {
        board.mount_stick()?;
        let disk = FileStorage::open(&board.machine.disk(), Access::ReadOnly)?;
        let late = LateBlock::of_update(&disk, SlotId::B)?.context("B holds the update")?;
        board.start(INSTALL)?;
        let begin = Instant::now();
        while !late.is_in(&disk)? {
            ensure!(begin.elapsed() < WAIT, "the install does not write");
            sleep(Duration::from_millis(1));
        }
        board.power_on("A, normal")?;
        assert_eq!(board.variable("atomix_state_B")?, "writing");
        assert_eq!(board.variable("BOOT_ORDER")?, "A");
        let cut = status(board)?;
        assert_eq!(cut["booted"], "A");
        assert_eq!(of_slot(&cut, "boot.1", "boot_status")?, "bad");
        let active = board.run("rauc status mark-active other 2>&1")?;
        ensure!(active.exit == 1, "half a slot is made primary: {}", active.printed);
        board.mount_stick()?;
        board.told(INSTALL)?;
        is_tried(board)?;
        board.reboot("B, trying")?;
        board.await_confirmation()
    })
}
