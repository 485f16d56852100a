// SPDX-License-Identifier: MIT OR Apache-2.0
//! One board with its own disk and card, from freshly flashed on.

use crate::guest::{AGENT, Guest};
use crate::parts::{disk, provisioned, uboot};
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
const BOOT_WAIT: Duration = Duration::from_secs(300);

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
    /// A script that the initrd runs when the slot's root is there, writable at `/root`, knowing
    /// `$slot`.
    pub root_hook: Option<String>,
    /// Arguments of the emulator beside the usual ones.
    pub more_args: Vec<String>,
    /// The memory with which the next start goes on; it is used once.
    saved: Cell<Option<PathBuf>>,
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
        Self::flashed_with(dir, &disk::disk()?)
    }

    /// As [`Machine::flashed`], with the `disk.img` of another part.
    ///
    /// # Errors
    /// As [`Machine::flashed`].
    pub fn flashed_with(dir: &Path, part: &Path) -> Result<Self> {
        let machine = Self::bare(dir)?;
        copy_sparse(&part.join("disk.img"), &machine.disk())?;
        let card = fs::File::create(machine.card())?;
        card.set_len(crate::board::QEMU.flash.size.get())?;
        Ok(machine)
    }

    /// A board whose first boot is over, confirmed and switched off in order.
    ///
    /// # Errors
    /// As [`Machine::flashed`].
    pub fn provisioned(dir: &Path) -> Result<Self> {
        let machine = Self::bare(dir)?;
        let part = provisioned::provisioned()?;
        copy_sparse(&part.join("disk.img"), &machine.disk())?;
        copy_sparse(&part.join("card.img"), &machine.card())?;
        Ok(machine)
    }

    /// A board that runs slot A when it is switched on for the first time: everything of the boot
    /// before is over, and an update may be plugged in.
    ///
    /// # Errors
    /// As [`Machine::flashed`].
    pub fn running(dir: &Path) -> Result<Self> {
        let machine = Self::bare(dir)?;
        let part = provisioned::running()?;
        copy_sparse(&part.join("disk.img"), &machine.disk())?;
        copy_sparse(&part.join("card.img"), &machine.card())?;
        machine.saved.set(Some(part.join("memory")));
        Ok(machine)
    }

    fn bare(dir: &Path) -> Result<Self> {
        if dir.exists() {
            fs::remove_dir_all(dir)?;
        }
        fs::create_dir_all(dir)?;
        let machine = Self {
            firmware: uboot::qemu()?.join("u-boot.bin"),
            stick: None,
            initrd_hook: None,
            root_hook: None,
            more_args: Vec::new(),
            wiring: Wiring::Plain,
            saved: Cell::new(None),
            dir: dir.to_owned(),
            starts: Cell::new(0),
        };
        fs::write(machine.agent(), AGENT)?;
        Ok(machine)
    }

    /// Where everything of this board is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
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
        for (name, hook) in [("initrd", &self.initrd_hook), ("root", &self.root_hook)] {
            if let Some(hook) = hook {
                let path = self.dir.join(format!("{name}-hook"));
                fs::write(&path, hook)?;
                handed_over.push((name, path));
            }
        }
        let saved = self.saved.take();
        self.starts.set(self.starts.get() + 1);
        fs::create_dir_all(self.logs())?;
        Qemu::start(&Hardware {
            firmware: &self.firmware,
            disk: &self.disk(),
            card: Some(&self.card()),
            wiring: &self.wiring,
            stick: self.stick.as_deref(),
            handed_over,
            more_args: &self.more_args,
            saved: saved.as_deref(),
            logs: &self.logs(),
        })
    }

    /// Waits for the agent of a board that is on.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn guest(&self, qemu: &Qemu) -> Result<Guest> {
        let mut guest = self.connect(qemu)?;
        guest.await_ready(0.0, BOOT_WAIT)?;
        Ok(guest)
    }

    /// Listens to the agent's port of a board that was just switched on.
    ///
    /// # Errors
    /// When there is none.
    pub fn connect(&self, qemu: &Qemu) -> Result<Guest> {
        Guest::connect(qemu, &self.logs().join("guest.log"))
    }
}

pub(crate) fn copy_sparse(from: &Path, to: &Path) -> Result<()> {
    Program::new("cp").args(["--sparse=always", "--reflink=auto"]).arg(from).arg(to).run()
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
