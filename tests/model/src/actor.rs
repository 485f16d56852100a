// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who makes a step? Counted, so that nobody can be in the model without acting in it.

use crate::step::{Act, Outcome, Step};
use crate::world::Health;
use std::fmt;

/// Who, or what, makes the world another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Actor {
    /// The selector, starting nothing.
    Firmware,
    /// A started kernel that comes up and is healthy.
    HealthyBoot,
    /// One that panics or hangs.
    DeadBoot,
    /// One that comes up and is unhealthy, silent or ends in emergency mode.
    SickBoot,
    /// `atomix boot`: started, attempts, deadline, emergency mode.
    Linux,
    /// `atomix health`.
    Verifier,
    /// The steps of an install.
    Installer,
    /// Who installs and reboots without being asked.
    Agent,
    /// A person.
    Technician,
    /// A power cut.
    Power,
    /// The environment's newest copy lost.
    LostCopy,
    /// Both lost.
    LostEnvironment,
    /// A flipped or edited counter.
    FlippedCounter,
    /// A slot that wears out, an install that meets an I/O error.
    Media,
}

impl Actor {
    /// Every one.
    pub const ALL: [Self; 14] = [
        Self::Firmware,
        Self::HealthyBoot,
        Self::DeadBoot,
        Self::SickBoot,
        Self::Linux,
        Self::Verifier,
        Self::Installer,
        Self::Agent,
        Self::Technician,
        Self::Power,
        Self::LostCopy,
        Self::LostEnvironment,
        Self::FlippedCounter,
        Self::Media,
    ];

    /// Who made a step.
    #[must_use]
    pub const fn of(step: &Step) -> Self {
        if step.cut.is_some() {
            return Self::Power;
        }
        match step.act {
            Act::Boot(boot) => match boot.outcome {
                None => Self::Firmware,
                Some(Outcome::Dies) => Self::DeadBoot,
                Some(Outcome::Up(Health::Healthy)) => Self::HealthyBoot,
                Some(Outcome::Up(Health::Unhealthy | Health::Silent | Health::DeadEnd)) => {
                    Self::SickBoot
                }
            },
            Act::Started | Act::Deadline | Act::GiveUp | Act::RestoreAttempts => Self::Linux,
            Act::MarkGood
            | Act::Healthy
            | Act::ConfirmFallback
            | Act::UnhealthyReboot
            | Act::UnhealthyStay => Self::Verifier,
            Act::Begin(_) | Act::AgentLeaves | Act::Reboot => Self::Agent,
            Act::Announce
            | Act::BeginRefused
            | Act::ZeroSeal
            | Act::WriteSome
            | Act::WriteAll
            | Act::WriteSeal
            | Act::NoteEnd
            | Act::Finish
            | Act::FinishRefused => Self::Installer,
            Act::PowerCycle | Act::Hand(_) => Self::Technician,
            Act::PowerCut => Self::Power,
            Act::LoseNewest => Self::LostCopy,
            Act::LoseBoth => Self::LostEnvironment,
            Act::Flip(..) => Self::FlippedCounter,
            Act::WearOut(_) | Act::InstallFails => Self::Media,
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Firmware => "firmware, starting nothing",
            Self::HealthyBoot => "boot, healthy",
            Self::DeadBoot => "boot, panics or hangs",
            Self::SickBoot => "boot, up and unhealthy",
            Self::Linux => "Linux",
            Self::Verifier => "verifier",
            Self::Installer => "installer",
            Self::Agent => "agent",
            Self::Technician => "technician",
            Self::Power => "power cut",
            Self::LostCopy => "newest copy lost",
            Self::LostEnvironment => "both copies lost",
            Self::FlippedCounter => "counter flipped",
            Self::Media => "media",
        })
    }
}

/// Steps by who made them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally([u64; Actor::ALL.len()]);

impl Tally {
    /// One more step.
    pub(crate) fn count(&mut self, step: &Step) {
        if let Some(count) = self.0.get_mut(Actor::of(step) as usize) {
            *count += 1;
        }
    }

    /// All of the other's.
    pub(crate) fn add(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }

    /// Each with its steps.
    pub fn rows(&self) -> impl Iterator<Item = (Actor, u64)> {
        Actor::ALL.into_iter().zip(self.0)
    }
}
