// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does the sandbox run? A child in a process group of its own, with a device tree that names
//! its chip and what is broken about it. [`Repeated`] is for those who start it thousands of times.

use crate::program::Program;
use crate::progress::say;
use crate::serial::Serial;
use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

/// No sandbox outlives this, even when its test was killed without a chance to clean up.
const LONGEST_RUN: &str = "300";

/// Ticks in a second of the emulated timer, whose ticks are really microseconds: the sandbox's
/// seconds are a hundredth of ours. Its watchdog alone goes by real time.
const TICKS_PER_SECOND: u32 = 10_000;

/// What goes wrong with the flash; erases of a block and programs of a page are its acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Nothing.
    None,
    /// The power fails in the middle of this act, counted from 0.
    CutAt(u32),
    /// Every act from this one on is refused with an error.
    ErrorFrom(u32),
    /// No act does anything, and the chip says nothing of it.
    Protected,
}

/// What a reset does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// U-Boot stops, so that what it left can be looked at.
    Halts,
    /// U-Boot starts again, with the same commands.
    Restarts,
}

/// What the clock goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clock {
    /// Time that passes, a hundred times too fast.
    Passing,
    /// Delays alone: pauses take no time, and a busy machine changes nothing.
    Delays,
}

/// What is plugged in.
pub struct Hardware<'a> {
    /// The sandbox's program.
    pub firmware: &'a Path,
    /// The disk with the slots; without one the table cannot be read.
    pub disk: Option<&'a Path>,
    /// The flash with the environment.
    pub flash: &'a Path,
    /// What is wrong with it.
    pub fault: Fault,
    /// What a reset does.
    pub reset: Reset,
    /// Name of the watchdog, where there is one.
    pub watchdog: Option<&'a str>,
    /// Commands to end with, instead of the boot that begins when nobody presses a key.
    pub commands: Option<&'a str>,
    /// Where the log and the device tree go.
    pub logs: &'a Path,
}

/// The sandbox, running.
pub struct Sandbox {
    child: Child,
    /// What it says.
    pub serial: Serial,
}

impl Sandbox {
    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(hardware: &Hardware<'_>) -> Result<Self> {
        let tree = device_tree(hardware, Clock::Passing)?;
        let Hardware { firmware, disk, commands, logs, .. } = hardware;
        let mut command = command(firmware, &tree, *disk, *commands);
        command.stdout(Stdio::piped()).stderr(Stdio::inherit());
        command.current_dir(logs).process_group(0);
        let mut child = command.spawn().context("cannot start the sandbox")?;
        let output = child.stdout.take().context("no output")?;
        let log = hardware.logs.join("serial.log");
        let serial = Serial::new(output, std::io::sink(), &log, Instant::now())?;
        Ok(Self { child, serial })
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn end(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }

    /// Cuts the power.
    pub fn cut(&mut self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // It may have ended by itself.
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
        if let Err(cause) = self.child.wait() {
            say(&format!("the sandbox was not waited for: {cause}"));
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.cut();
    }
}

/// The sandbox's program with what it is told.
fn command(firmware: &Path, tree: &Path, disk: Option<&Path>, commands: Option<&str>) -> Command {
    // What the board finds by itself, the sandbox is told.
    let mut told = match disk {
        Some(disk) => format!("host bind 0 {}; ", disk.display()),
        None => "true; ".to_owned(),
    };
    told.push_str(commands.unwrap_or("true"));
    let mut command = Command::new("timeout");
    command.args(["-s", "KILL", LONGEST_RUN]).arg(firmware);
    command.arg("-d").arg(tree).arg("-c").arg(told);
    if commands.is_none() {
        // Goes on to autoboot.
        command.arg("-i");
    }
    command.stdin(Stdio::null());
    command
}

/// The same hardware, started over and over, each time until it ends by itself; its clock goes by
/// delays. What is bound as a disk and what the flash holds may change between starts.
pub struct Repeated {
    firmware: PathBuf,
    tree: PathBuf,
    logs: PathBuf,
}

impl Repeated {
    /// Prepares it.
    ///
    /// # Errors
    /// When its device tree cannot be made.
    pub fn new(hardware: &Hardware<'_>) -> Result<Self> {
        Ok(Self {
            firmware: hardware.firmware.to_owned(),
            tree: device_tree(hardware, Clock::Delays)?,
            logs: hardware.logs.to_owned(),
        })
    }

    /// Starts it, and returns all that it said until it ended.
    ///
    /// # Errors
    /// When it cannot be started, or did not come to an end.
    pub fn run(&self, disk: Option<&Path>, commands: Option<&str>) -> Result<String> {
        let mut command = command(&self.firmware, &self.tree, disk, commands);
        let ended = command.current_dir(&self.logs).output().context("cannot start the sandbox")?;
        let text = String::from_utf8_lossy(&ended.stdout).into_owned();
        ensure!(ended.status.code().is_some(), "the sandbox did not end:\n{text}");
        Ok(text)
    }
}

/// The compiled device tree of this hardware.
fn device_tree(hardware: &Hardware<'_>, clock: Clock) -> Result<PathBuf> {
    let (fault, at) = match hardware.fault {
        Fault::None => (0, 0),
        Fault::CutAt(act) => (1, act),
        Fault::ErrorFrom(act) => (2, act),
        Fault::Protected => (3, 0),
    };
    let watchdog = hardware.watchdog.map_or_else(String::new, |name| {
        format!("{name} {{ compatible = \"sandbox,alarm-wdt\"; }};")
    });
    let reset = match hardware.reset {
        Reset::Halts => "",
        Reset::Restarts => "reset { compatible = \"sandbox,reset\"; };",
    };
    let clock = match clock {
        Clock::Passing => "",
        Clock::Delays => "sandbox,virtual;",
    };
    let source = format!(
        "/dts-v1/;
/ {{
    #address-cells = <1>;
    #size-cells = <1>;
    model = \"sandbox\";
    aliases {{ spi0 = \"/spi@0\"; }};
    chosen {{ tick-timer = \"/timer\"; stdout-path = \"/serial\"; }};
    serial {{ compatible = \"sandbox,serial\"; }};
    {reset}
    timer {{ compatible = \"sandbox,timer\"; clock-frequency = <{TICKS_PER_SECOND}>; {clock} }};
    {watchdog}
    udc {{ compatible = \"sandbox,udc\"; }};
    spi@0 {{
        compatible = \"sandbox,spi\";
        #address-cells = <1>;
        #size-cells = <0>;
        reg = <0 1>;
        cs-gpios = <0>;
        flash@0 {{
            compatible = \"gigadevice,gd25q128\", \"jedec,spi-nor\";
            reg = <0>;
            spi-max-frequency = <50000000>;
            sandbox,filename = \"{flash}\";
            sandbox,fault = <{fault}>;
            sandbox,fault-at = <{at}>;
        }};
    }};
}};
",
        flash = hardware.flash.display()
    );
    let (text, tree) = (hardware.logs.join("board.dts"), hardware.logs.join("board.dtb"));
    fs::write(&text, source)?;
    Program::new("dtc").args(["-q", "-o"]).arg(&tree).arg(&text).run()?;
    Ok(tree)
}
