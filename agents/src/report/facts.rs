// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a report need to know? Values that the program has read; nothing here reads.

use super::ReportedRecord;
use crate::{Facts, Memory, Refusal};
use bootctl::{PerSlot, Record};
use bundle::UnixTime;
use storage::Digest;

/// Everything.
#[derive(Clone, Debug)]
pub struct ReportFacts<'a> {
    /// The device, as decisions go by it.
    pub device: &'a Facts,
    /// The key that will sign.
    pub key: Option<Digest>,
    /// The version of `atomix`.
    pub atomix: &'a str,
    /// This boot.
    pub boot: BootFacts,
    /// What the status file says of the slots.
    pub contents: PerSlot<SlotContent>,
    /// The boot loader's environment, where it has one of ours.
    pub environment: Option<EnvironmentFacts>,
    /// The flight recorder, oldest first.
    pub history: &'a [Record],
    /// The same in words, in the same order.
    pub words: Vec<ReportedRecord>,
    /// How the flight recorder is.
    pub recorder: RecorderFacts,
    /// The agent.
    pub agent: AgentFacts,
    /// What could not be read, and why.
    pub missing: Vec<String>,
}

/// This boot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootFacts {
    /// The kernel's name of it.
    pub id: Option<String>,
    /// Why the firmware took this slot, as the kernel command line says; else the record tells.
    pub reason: Option<bootctl::Reason>,
    /// Why the next boot takes the slot that it takes.
    pub next_why: Option<String>,
}

/// What a slot holds, beyond what decisions need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotContent {
    /// The manifest of its bundle.
    pub manifest: Option<Digest>,
    /// When it was installed, as the status file has it.
    pub installed_at: Option<String>,
}

/// The copies of the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvironmentFacts {
    /// How many there should be.
    pub copies: usize,
    /// What is wrong with which.
    pub faults: Vec<String>,
}

/// The flight recorder itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecorderFacts {
    /// Whether it could be read, all of it or in part.
    pub readable: bool,
    /// Blocks that could not.
    pub unreadable_blocks: u64,
}

/// What the agent says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentFacts {
    /// How it is told of updates.
    pub mode: Option<String>,
    /// When a server last answered.
    pub last_contact: Option<UnixTime>,
    /// What it last decided, in words.
    pub last_decision: Option<String>,
    /// How often in a row the server could not be asked.
    pub failures: u32,
    /// What was refused last, where nothing was taken since.
    pub refusal: Option<Refusal>,
}

impl AgentFacts {
    /// Of an agent that is told of updates in this way and remembers this.
    #[must_use]
    pub fn of(mode: &str, memory: &Memory) -> Self {
        Self {
            mode: Some(mode.to_owned()),
            last_contact: memory.heard.contact,
            last_decision: memory.heard.decision.clone(),
            failures: memory.failures,
            refusal: memory.refusal.clone(),
        }
    }
}
