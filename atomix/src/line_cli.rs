// SPDX-License-Identifier: MIT OR Apache-2.0
//! Argument types of what works over a serial line. No behaviour.

use crate::serial_line::Baud;
use bootctl::{SlotId, UnknownSlot};
use clap::{Args, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

/// Arguments of `atomix rescue`.
#[derive(Clone, Debug, Args)]
pub struct RescueArgs {
    /// Drive the board at the other end of this serial line instead, through U-Boot
    #[arg(long, value_name = "DEVICE")]
    pub tty: Option<PathBuf>,
    /// How.
    #[command(flatten)]
    pub line: LineArgs,
}

/// What to do with the board at the other end of a serial line; a console without any of it.
#[derive(Clone, Debug, Args)]
pub struct LineArgs {
    /// Show the boot state and what boots next, and change nothing
    #[arg(long, group = "act")]
    pub status: bool,
    /// Make a slot boot next, then boot it
    #[arg(long, value_name = "SLOT", group = "act", value_parser = slot)]
    pub boot: Option<SlotId>,
    /// Ask for one root login on the serial console, then boot into it
    #[arg(long, group = "act")]
    pub root_shell: bool,
    /// Show the board's disk to this machine over USB
    #[arg(long, group = "act")]
    pub ums: bool,
    /// Write the environment anew, both copies; keep the slots' states where they are readable
    #[arg(long, group = "act")]
    pub env_repair: bool,
    /// Stay at U-Boot's prompt instead of booting on
    #[arg(long, requires = "act", conflicts_with_all = ["boot", "root_shell", "ums"])]
    pub stay: bool,
    /// Boot a slot that is bad, holds no complete system or does not load
    #[arg(long, requires = "boot")]
    pub force: bool,
    /// The line's speed
    #[arg(long, default_value = Baud::ROCK64, requires = "tty")]
    pub baud: Baud,
    /// Text that stops the board's U-Boot; better in ATOMIX_STOP_STRING, unseen in process lists
    // Judged by the command, which does not show it: it is a password.
    #[arg(long, value_name = "TEXT", requires = "tty", allow_hyphen_values = true)]
    pub stop_string: Option<OsString>,
    /// Seconds to wait for U-Boot's prompt, and for the board to boot
    #[arg(long, value_name = "SECS", default_value_t = 120, requires = "tty")]
    pub timeout: u32,
    /// Add everything the board says to this file, with times
    #[arg(long, value_name = "FILE", requires = "tty")]
    pub log: Option<PathBuf>,
}

/// Verbs of `atomix serial`.
#[derive(Clone, Debug, Subcommand)]
pub enum SerialCommand {
    /// Show what a serial line says, each line with its time, until Ctrl-C
    ///
    /// It waits for an adapter that is not there, and goes on when one that was unplugged returns.
    Capture(CaptureArgs),
    /// Give this terminal to the board at the other end of a line, until Ctrl-]
    ///
    /// Every key goes to the board, Ctrl-C too. It waits for an adapter that is not there, and goes
    /// on when one that was unplugged returns. `rescue --tty` also acts at U-Boot's prompt.
    Shell(ShellArgs),
}

/// Arguments of `atomix serial shell`.
#[derive(Clone, Debug, Args)]
pub struct ShellArgs {
    /// The serial line; a name below /dev/serial/by-id stays the same when it returns
    #[arg(long, value_name = "DEVICE")]
    pub tty: PathBuf,
    /// Add what the board says to this file, with times
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// The line's speed
    #[arg(long, default_value = Baud::ROCK64)]
    pub baud: Baud,
}

/// Arguments of `atomix serial capture`.
#[derive(Clone, Debug, Args)]
pub struct CaptureArgs {
    /// The serial line; a name below /dev/serial/by-id stays the same when it returns
    #[arg(long, value_name = "DEVICE")]
    pub tty: PathBuf,
    /// Add it to this file as well
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Size at which the file is renamed to FILE.1 and a new one begun
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_size: u32,
    /// The line's speed
    #[arg(long, default_value = Baud::ROCK64)]
    pub baud: Baud,
}

/// A slot, in either case.
fn slot(text: &str) -> Result<SlotId, UnknownSlot> {
    text.to_ascii_uppercase().parse()
}
