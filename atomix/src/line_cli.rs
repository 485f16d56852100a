// SPDX-License-Identifier: MIT OR Apache-2.0
//! Argument types of what works over a serial line. No behaviour.

use crate::serial_line::Baud;
use bootctl::SlotId;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::str::FromStr;

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
    #[arg(long, requires = "tty", group = "act")]
    pub status: bool,
    /// Make a slot boot next, then boot it
    #[arg(long, value_name = "SLOT", requires = "tty", group = "act")]
    pub boot: Option<SlotId>,
    /// Ask for one root login on the serial console, then boot into it
    #[arg(long, requires = "tty", group = "act")]
    pub root_shell: bool,
    /// Show the board's disk to this machine over USB
    #[arg(long, requires = "tty", group = "act")]
    pub ums: bool,
    /// Write the environment anew, both copies; keep the slots' states where they are readable
    #[arg(long, requires = "tty", group = "act")]
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
    /// Text that stops the board's U-Boot; who lists processes sees it, so the variable is better
    #[arg(long, value_name = "TEXT", env = "ATOMIX_STOP_STRING", hide_env_values = true)]
    pub stop_string: Option<StopText>,
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

/// The text that stops U-Boot. It is a password: never shown, never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct StopText(String);

/// A text that U-Boot cannot be stopped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("U-Boot takes 1 to 64 printable characters")]
pub struct BadStopText;

impl StopText {
    /// What is typed.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl FromStr for StopText {
    type Err = BadStopText;

    fn from_str(text: &str) -> Result<Self, BadStopText> {
        let is_typable = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if is_typable && (1..=64).contains(&text.len()) {
            return Ok(Self(text.to_owned()));
        }
        Err(BadStopText)
    }
}

impl std::fmt::Debug for StopText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StopText(..)")
    }
}
