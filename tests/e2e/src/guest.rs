// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does a test act inside the guest? Lines over a virtio port to `guest/agent.sh`, which is
//! handed over at the start and so is part of no image.

use crate::qemu::Qemu;
use crate::serial::Serial;
use anyhow::{Context as _, Result, ensure};
use std::path::Path;
use std::time::Duration;

/// The agent.
pub const AGENT: &str = include_str!("../guest/agent.sh");

/// How long a command may take.
const COMMAND_WAIT: Duration = Duration::from_secs(120);

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
    /// Waits until the agent is ready.
    ///
    /// # Errors
    /// When it does not come up in time.
    pub fn await_ready(qemu: &Qemu, log: &Path, within: Duration) -> Result<Self> {
        let stream = qemu.port()?;
        let reader = stream.try_clone()?;
        let mut port = Serial::new(reader, stream, log, qemu.start)?;
        port.expect("READY", within).context("the guest's agent is not there")?;
        port.expect("\n", COMMAND_WAIT)?;
        Ok(Self { port })
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
