// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does the emulated board run? QEMU as a child in a process group of its own, which is
//! killed with it whatever happens; a killed emulator is a power cut.

use crate::board::QEMU;
use crate::parts::disk::MACHINE;
use crate::progress::say;
use crate::serial::{Annotate, Serial};
use crate::timeline::{Selected, What, read_line};
use crate::wiring::Wiring;
use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use storage::{Access, FileStorage};
use uboot::{Env, EnvStore};

/// No emulator outlives this, even when its test was killed without a chance to clean up.
const LONGEST_RUN: &str = "1800";

/// How long the emulator may take to open its port.
const PORT_WAIT: Duration = Duration::from_secs(60);

/// How long the emulator may take to save a machine.
const SAVE_WAIT: Duration = Duration::from_secs(120);

/// The program that is the board.
pub const EMULATOR: &str = "qemu-system-aarch64";

/// What is plugged in.
pub struct Hardware<'a> {
    /// U-Boot.
    pub firmware: &'a Path,
    /// The disk with the slots.
    pub disk: &'a Path,
    /// The SD card with the environment; without one nothing can be saved. (The emulator knows no
    /// card that can be read but not written: it hides such errors from the guest.)
    pub card: Option<&'a Path>,
    /// How disk and card are attached.
    pub wiring: &'a Wiring,
    /// What a technician has plugged in: a read-only disk with a file system.
    pub stick: Option<&'a Path>,
    /// Files that the guest finds in `/sys/firmware/qemu_fw_cfg/by_name/opt/atomix/<name>/raw`.
    pub handed_over: Vec<(&'a str, PathBuf)>,
    /// Arguments of the emulator beside all others.
    pub more_args: &'a [String],
    /// What [`Qemu::save`] saved of such a machine, to go on with instead of a start.
    pub saved: Option<&'a Path>,
    /// Where logs and the guest's port go.
    pub logs: &'a Path,
}

impl Hardware<'_> {
    /// The emulator's arguments for the board itself.
    #[must_use]
    pub fn board(&self) -> Vec<String> {
        let mut all = ["-M", "virt"].map(str::to_owned).to_vec();
        all.extend(MACHINE.split_whitespace().map(str::to_owned));
        all.extend(["-nodefaults", "-display", "none", "-bios"].map(str::to_owned));
        all.push(self.firmware.display().to_string());
        all.extend(["-device", "sdhci-pci"].map(str::to_owned));
        all.extend(self.wiring.arguments(self.disk, self.card));
        if let Some(stick) = self.stick {
            all.push("-drive".to_owned());
            all.push(format!("if=virtio,format=raw,readonly=on,file={}", stick.display()));
        }
        all.extend(["-device", "i6300esb", "-device", "virtio-serial-pci"].map(str::to_owned));
        all
    }

    /// Those for what a test does with it.
    fn around(&self, port: &Path, monitor: &Path) -> Vec<String> {
        // A guest that goes on must not see its port closed for a moment: its agent would end.
        let wait = if self.saved.is_some() { "on" } else { "off" };
        let mut all = vec![
            "-chardev".to_owned(),
            format!("socket,id=guest,server=on,wait={wait},path={}", port.display()),
            "-device".to_owned(),
            "virtserialport,chardev=guest,name=guest".to_owned(),
        ];
        for (name, file) in &self.handed_over {
            all.push("-fw_cfg".to_owned());
            all.push(format!("name=opt/atomix/{name},file={}", file.display()));
        }
        all.extend(self.more_args.iter().cloned());
        all.push("-monitor".to_owned());
        all.push(format!("unix:{},server=on,wait=off", monitor.display()));
        if let Some(saved) = self.saved {
            all.push("-incoming".to_owned());
            all.push(format!("file:{}", saved.display()));
        }
        all
    }
}

/// A running board.
pub struct Qemu {
    child: Child,
    /// When it was switched on.
    pub start: Instant,
    /// Its serial line.
    pub serial: Serial,
    port: PathBuf,
    monitor: PathBuf,
}

impl Qemu {
    /// Switches the board on.
    ///
    /// # Errors
    /// When the emulator cannot be started.
    pub fn start(hardware: &Hardware<'_>) -> Result<Self> {
        let port = hardware.logs.join("guest.socket");
        let monitor = hardware.logs.join("monitor.socket");
        let mut command = Command::new("timeout");
        command.args(["-s", "KILL", LONGEST_RUN, EMULATOR]).args(hardware.board());
        command.args(["-serial", "stdio"]).args(hardware.around(&port, &monitor));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        command.process_group(0);
        let start = Instant::now();
        let mut child = command.spawn().context("cannot start the emulator")?;
        let input = child.stdin.take().context("no input")?;
        let output = child.stdout.take().context("no output")?;
        let log = hardware.logs.join("serial.log");
        // A logged card is a part of another file.
        let card = hardware.card.filter(|_| !matches!(hardware.wiring, Wiring::Logged { .. }));
        let annotate = note_attempts(card.map(Path::to_owned));
        let serial = Serial::annotated(output, input, &log, start, annotate)?;
        Ok(Self { child, start, serial, port, monitor })
    }

    /// The guest's port, from the host's side.
    ///
    /// # Errors
    /// When the emulator has not opened it.
    pub fn port(&self) -> Result<UnixStream> {
        connect(&self.port)
    }

    /// Stops the machine for good and saves its memory, to go on with the disk and the card as
    /// they are now.
    ///
    /// # Errors
    /// When the emulator does not do it.
    pub fn save(&mut self, to: &Path) -> Result<()> {
        let stream = connect(&self.monitor)?;
        let log = self.monitor.with_extension("log");
        let mut monitor = Serial::new(stream.try_clone()?, stream, &log, Instant::now())?;
        monitor.expect("(qemu) ", PORT_WAIT)?;
        monitor.send(&format!("migrate file:{}\ninfo status\n", to.display()))?;
        monitor.expect("VM status: paused (postmigrate)", SAVE_WAIT)?;
        self.cut();
        Ok(())
    }

    /// Waits until the guest has switched the board off.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn await_off(&mut self, within: Duration) -> Result<()> {
        self.serial.await_end(within)?;
        self.child.wait().context("the emulator was not waited for")?;
        Ok(())
    }

    /// Cuts the power.
    pub fn cut(&mut self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // It may have ended by itself.
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
        if let Err(cause) = self.child.wait() {
            say(&format!("the emulator was not waited for: {cause}"));
        }
    }
}

fn connect(socket: &Path) -> Result<UnixStream> {
    let end = Instant::now() + PORT_WAIT;
    loop {
        match UnixStream::connect(socket) {
            Ok(stream) => return Ok(stream),
            Err(cause) if Instant::now() > end => {
                return Err(cause).with_context(|| socket.display().to_string());
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// At the selector's choice, which is saved by then: the attempts that its slot has left.
fn note_attempts(card: Option<PathBuf>) -> Annotate {
    Box::new(move |line| {
        let Some(What::Selected(Selected { slot, .. })) = read_line(line, None) else {
            return None;
        };
        read_env(card.as_deref()?)?.get(&format!("BOOT_{slot}_LEFT")).map(str::to_owned)
    })
}

/// The environment on a card, if a copy is valid; the emulator may be running.
#[must_use]
pub fn read_env(card: &Path) -> Option<Env> {
    let mut copies = Vec::new();
    for place in QEMU.fw_env_config().copies {
        copies.push((FileStorage::open(card, Access::ReadOnly).ok()?, place));
    }
    EnvStore::open(copies).ok()?.load().ok().map(|loaded| loaded.env)
}

impl Drop for Qemu {
    fn drop(&mut self) {
        self.cut();
    }
}
