// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a board look like that has been in use? The flashed disk and its card after the first
//! boot, confirmed and switched off in order: where most scenarios begin.

use crate::cache::{Inputs, part};
use crate::guest::AGENT;
use crate::machine::Machine;
use crate::parts::{disk, uboot};
use anyhow::{Context as _, Result};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// How long each step may take on a busy machine.
const WAIT: Duration = Duration::from_secs(180);

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
