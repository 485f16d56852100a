// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does a test act inside the guest? Lines over a virtio port to `guest/agent.sh`, which is
//! handed over at the start and so is part of no image.

use crate::qemu::Qemu;
use crate::serial::Serial;
use anyhow::{Context as _, Result, ensure};
use std::path::Path;
use std::time::{Duration, Instant};

/// The agent.
pub const AGENT: &str = include_str!("../guest/agent.sh");

/// How long a command may take.
const COMMAND_WAIT: Duration = Duration::from_secs(240);

/// Between two tries of a command that is waited for.
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

/// The agent inside a running guest.
pub struct Guest {
    port: Serial,
}

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its exit code.
    pub exit: i32,
    /// What it printed, both ways together.
    pub printed: String,
}

impl Guest {
    /// Listens to the port of a board that was just switched on.
    ///
    /// # Errors
    /// When the emulator has no port.
    pub fn connect(qemu: &Qemu, log: &Path) -> Result<Self> {
        let stream = qemu.port()?;
        let port = Serial::new(stream.try_clone()?, stream, log, qemu.start)?;
        Ok(Self { port })
    }

    /// Waits until the agent is ready that was started at second `since` or later: an earlier
    /// boot may have had one whom nobody waited for.
    ///
    /// # Errors
    /// When it does not come up in time.
    pub fn await_ready(&mut self, since: f64, within: Duration) -> Result<()> {
        let ready = self.port.expect_line("READY", since, within);
        ready.context("the guest's agent did not come up")
    }

    /// When the agent became ready, in seconds since the board was switched on.
    #[must_use]
    pub fn readiness(&self) -> Vec<f64> {
        let lines = self.port.lines();
        lines.iter().filter(|line| line.text.starts_with("READY")).map(|line| line.secs).collect()
    }

    /// Sends a command whose end nobody waits for, such as a reboot.
    ///
    /// # Errors
    /// When the guest is gone.
    pub fn start(&mut self, command: &str) -> Result<()> {
        self.port.send(&format!("{command}\n"))
    }

    /// Runs a command again and again until it exits with 0.
    ///
    /// # Errors
    /// When it does not in time; with its last answer.
    pub fn run_until(&mut self, command: &str, within: Duration) -> Result<Answer> {
        let end = Instant::now() + within;
        loop {
            let answer = self.run(command)?;
            if answer.exit == 0 {
                return Ok(answer);
            }
            ensure!(Instant::now() < end, "{command}: exit {}\n{}", answer.exit, answer.printed);
            std::thread::sleep(BETWEEN_TRIES);
        }
    }

    /// Runs a shell command of one line.
    ///
    /// # Errors
    /// When the guest does not answer.
    pub fn run(&mut self, command: &str) -> Result<Answer> {
        ensure!(!command.contains('\n'), "one line only: {command}");
        self.port.send(&format!("{command}\n"))?;
        let printed =
            self.port.expect("EXIT ", COMMAND_WAIT).with_context(|| command.to_owned())?;
        let exit = self.port.expect("\n", COMMAND_WAIT)?;
        Ok(Answer { exit: exit.trim().parse()?, printed })
    }
}
