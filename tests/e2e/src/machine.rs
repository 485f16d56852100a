// SPDX-License-Identifier: MIT OR Apache-2.0
//! One board with its own disk and card, from freshly flashed on.

use crate::guest::{AGENT, Guest};
use crate::parts::{disk, uboot};
use crate::program::Program;
use crate::progress::say;
use crate::qemu::{Hardware, Qemu};
use crate::wiring::Wiring;
use anyhow::Result;
use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a boot may take on a busy machine.
const BOOT_WAIT: Duration = Duration::from_secs(180);

/// A board: what stays when the power is off.
pub struct Machine {
    /// U-Boot.
    pub firmware: PathBuf,
    /// What is plugged in beside disk and card.
    pub stick: Option<PathBuf>,
    /// How disk and card are attached.
    pub wiring: Wiring,
    /// A script that the initrd runs before anything else, knowing `$slot`.
    pub initrd_hook: Option<String>,
    dir: PathBuf,
    /// How often it was switched on; each time has its own logs.
    starts: Cell<usize>,
}

impl Machine {
    /// A freshly flashed board in a directory of its own, with an erased card.
    ///
    /// # Errors
    /// When a part cannot be built or copied.
    pub fn flashed(dir: &Path) -> Result<Self> {
        if dir.exists() {
            fs::remove_dir_all(dir)?;
        }
        fs::create_dir_all(dir)?;
        let firmware = uboot::qemu()?.join("u-boot.bin");
        let image = disk::disk()?.join("disk.img");
        let machine = Self {
            firmware,
            stick: None,
            wiring: Wiring::Plain,
            initrd_hook: None,
            dir: dir.to_owned(),
            starts: Cell::new(0),
        };
        Program::new("cp").args(["--sparse=always"]).arg(image).arg(machine.disk()).run()?;
        let card = fs::File::create(machine.card())?;
        card.set_len(crate::board::QEMU.flash.size.get())?;
        fs::write(machine.agent(), AGENT)?;
        Ok(machine)
    }

    /// The disk with the slots.
    #[must_use]
    pub fn disk(&self) -> PathBuf {
        self.dir.join("disk.img")
    }

    /// The card with the environment.
    #[must_use]
    pub fn card(&self) -> PathBuf {
        self.dir.join("card.img")
    }

    /// Where the logs of the last start are.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.dir.join(format!("start-{}", self.starts.get()))
    }

    fn agent(&self) -> PathBuf {
        self.dir.join("agent.sh")
    }

    /// Switches it on.
    ///
    /// # Errors
    /// When the emulator does not start.
    pub fn power_on(&self) -> Result<Qemu> {
        let mut handed_over = vec![("agent", self.agent())];
        if let Some(hook) = &self.initrd_hook {
            let path = self.dir.join("initrd-hook");
            fs::write(&path, hook)?;
            handed_over.push(("initrd", path));
        }
        self.starts.set(self.starts.get() + 1);
        fs::create_dir_all(self.logs())?;
        Qemu::start(&Hardware {
            firmware: &self.firmware,
            disk: &self.disk(),
            card: Some(&self.card()),
            wiring: &self.wiring,
            stick: self.stick.as_deref(),
            handed_over,
            logs: &self.logs(),
        })
    }

    /// Waits for the agent of a board that is on.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn guest(&self, qemu: &Qemu) -> Result<Guest> {
        Guest::await_ready(qemu, &self.logs().join("guest.log"), BOOT_WAIT)
    }
}

/// Boots a freshly flashed board once and prints what it says of itself.
///
/// # Errors
/// When it does not come up.
pub fn show_first_boot() -> Result<()> {
    let dir = std::env::temp_dir().join(format!("atomix-e2e-{}", std::process::id()));
    let machine = Machine::flashed(&dir)?;
    say(&format!("logs: {}", dir.display()));
    let mut qemu = machine.power_on()?;
    for (stage, sign) in [
        ("selector", "atomix: slot"),
        ("kernel", "Starting kernel"),
        ("initrd", "initrd: "),
        ("root file system", ": root is "),
    ] {
        qemu.serial.expect(sign, BOOT_WAIT)?;
        say(&format!("{:7.2} s {stage}", qemu.start.elapsed().as_secs_f64()));
    }
    let mut guest = machine.guest(&qemu)?;
    say(&format!("{:7.2} s guest agent", qemu.start.elapsed().as_secs_f64()));
    for command in ["atomix status --json", "systemctl --failed --no-legend", "atomix status"] {
        let answer = guest.run(command)?;
        say(&format!("$ {command}\n{}exit {}", answer.printed, answer.exit));
    }
    Ok(())
}
