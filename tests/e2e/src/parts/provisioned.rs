// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a board look like that has been in use? The flashed disk and its card after the first
//! boot, confirmed and switched off in order; and the same board up and running, with its memory,
//! so that a scenario need not wait for the boot before its own first step.

use crate::cache::{Inputs, part};
use crate::guest::AGENT;
use crate::machine::Machine;
use crate::parts::{bundle, disk, uboot};
use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// How long each step may take on a busy machine.
const WAIT: Duration = Duration::from_secs(300);

/// Card readers are the PCI class 0x0805.
const REMOVE_CARD_READER: &str = "for one in /sys/bus/pci/devices/*; do \
    case $(cat $one/class) in 0x0805*) echo 1 >$one/remove;; esac; done; \
    ! [ -e /dev/mmcblk0 ]";

/// What a guest that goes on does first: it finds its card reader.
pub const FIND_CARD_READER: &str =
    "echo 1 >/sys/bus/pci/rescan; until [ -b /dev/mmcblk0 ]; do sleep 0.1; done";

/// The files `disk.img` and `card.img`.
///
/// # Errors
/// When the board does not come up, is not healthy or does not switch off.
pub fn provisioned() -> Result<PathBuf> {
    let inputs = Inputs::new("provisioned 1").part(&disk::disk()?).part(&uboot::qemu()?);
    part("provisioned", inputs.text(AGENT), |dir| {
        let work = dir.join("work");
        let machine = Machine::flashed(&work)?;
        let mut qemu = machine.power_on()?;
        let mut guest = machine.guest(&qemu)?;
        let healthy = "atomix why | grep -q 'A is healthy'";
        guest.run_until(healthy, WAIT).context("the first boot is not healthy")?;
        guest.start("systemctl poweroff")?;
        qemu.await_off(WAIT)?;
        fs::rename(machine.disk(), dir.join("disk.img"))?;
        fs::rename(machine.card(), dir.join("card.img"))?;
        fs::remove_dir_all(work)?;
        Ok(())
    })
}

/// The files `disk.img`, `card.img` and `memory` of a board that runs slot A, whose verification
/// is over, with something of the stick's size plugged in and never looked at.
///
/// # Errors
/// As [`provisioned`].
pub fn running() -> Result<PathBuf> {
    let stick = bundle::update()?;
    let inputs = Inputs::new("running 3").part(&provisioned()?).part(&stick);
    part("running", inputs, |dir| {
        let mut machine = Machine::provisioned(&dir.join("work"))?;
        machine.stick = Some(stick.join("stick.squashfs"));
        let mut qemu = machine.power_on()?;
        let mut guest = machine.guest(&qemu)?;
        let settled = "systemctl is-system-running --wait; \
            test $(systemctl is-active os-verification.service) = inactive";
        guest.run_until(settled, WAIT).context("the board does not settle")?;
        // The emulator does not save the registers of its card reader: the guest finds it anew.
        let removed = guest.run(&format!("sync; {REMOVE_CARD_READER}"))?;
        ensure!(removed.exit == 0, "the card reader stays: {}", removed.printed);
        qemu.save(&dir.join("memory"))?;
        fs::rename(machine.disk(), dir.join("disk.img"))?;
        fs::rename(machine.card(), dir.join("card.img"))?;
        fs::remove_dir_all(machine.dir())?;
        Ok(())
    })
}
