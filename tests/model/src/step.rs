// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can happen next, in words? One step of the world: who did it, whether it is a fault, which
//! invariant it broke.

use crate::invariant::Invariant;
use crate::world::{Health, System, World};
use bootctl::{AttemptsLeft, Reason, SlotId};
use std::fmt;

/// What a started kernel came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Panics before userspace, or hangs until the watchdog or a person takes the power.
    Dies,
    /// Comes up.
    Up(Health),
}

/// One run of the firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot {
    /// The slot whose kernel started.
    pub slot: Option<SlotId>,
    /// The selector's reason.
    pub reason: Reason,
    /// Attempts left after this one, as the selector saved or would have saved them.
    pub left: Option<AttemptsLeft>,
    /// What became of it; `None` where no kernel started.
    pub outcome: Option<Outcome>,
    /// Whether the environment could be saved.
    pub saved: bool,
}

/// What a technician does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handwork {
    /// `mark-bad`, with or without `--force`.
    MarkBad(SlotId),
    /// `mark-active`.
    MarkActive(SlotId),
    /// `atomix rollback`, with or without `--force`.
    Rollback,
    /// `install --force`.
    Install(System),
    /// Erases the environment from the rescue menu or from U-Boot's prompt.
    EraseEnvironment,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The power is there: the firmware runs.
    Boot(Boot),
    /// `atomix boot started`.
    Started,
    /// `atomix health`: confirmed.
    MarkGood,
    /// `atomix health`: healthy, and nothing was to be changed.
    Healthy,
    /// `atomix health`: the other slot gets its attempts back, or is given up.
    ConfirmFallback,
    /// `atomix health`: unhealthy, the slot is left.
    UnhealthyReboot,
    /// `atomix health`: unhealthy, the slot stays.
    UnhealthyStay,
    /// No verdict in 15 minutes.
    Deadline,
    /// Emergency mode.
    GiveUp,
    /// Up for two minutes.
    RestoreAttempts,
    /// An orderly reboot.
    Reboot,
    /// Somebody looks after a board whose environment was lost while it ran.
    PowerCycle,
    /// The agent begins.
    Begin(System),
    /// The agent leaves a slot that it may not update from.
    AgentLeaves,
    /// The older copy of the environment is told of the begin.
    Announce,
    /// The begin is refused: the target is not `writing` any more.
    BeginRefused,
    /// The seal of the target is zeroed.
    ZeroSeal,
    /// Some images are written.
    WriteSome,
    /// All images are written and read back.
    WriteAll,
    /// The seal is written.
    WriteSeal,
    /// The recorder is told of the end.
    NoteEnd,
    /// The target is made bootable.
    Finish,
    /// The end is refused: the target is not `writing` any more.
    FinishRefused,
    /// An I/O error ends the install.
    InstallFails,
    /// A person.
    Hand(Handwork),
    /// The power goes.
    PowerCut,
    /// The environment's newest copy is lost.
    LoseNewest,
    /// Both copies are lost.
    LoseBoth,
    /// A counter holds another text.
    Flip(SlotId, Option<&'static str>),
    /// A slot's medium wears out.
    WearOut(SlotId),
}

/// Where in a commit the power went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The copy being written is torn: the old environment counts, and has no other copy.
    Torn,
    /// Both copies are whole and active, and the old one counts (NOR flash).
    OldCounts,
    /// The new one counts; nothing after the commit has happened.
    NewCounts,
}

/// Who makes a step, and whether it must come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It comes if nothing else does.
    Fair,
    /// It may come at any time: agents and orderly reboots.
    Free,
    /// A fault or a technician.
    Fault,
}

/// One step.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// What.
    pub act: Act,
    /// The power cut in it.
    pub cut: Option<Cut>,
    /// Who.
    pub kind: Kind,
    /// What it broke.
    pub broken: Option<Invariant>,
    /// The world after it.
    pub world: World,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Boot(boot) => return boot.fmt(f),
            Self::Started => "started",
            Self::MarkGood => "marked good",
            Self::Healthy => "healthy",
            Self::ConfirmFallback => "other slot judged by its fallback",
            Self::UnhealthyReboot => "unhealthy, reboots",
            Self::UnhealthyStay => "unhealthy, stays",
            Self::Deadline => "no verdict in 15 min, reboots",
            Self::GiveUp => "emergency mode, reboots",
            Self::RestoreAttempts => "attempts given back",
            Self::Reboot => "reboots in order",
            Self::PowerCycle => "switched off and on by a person",
            Self::Begin(system) => return write!(f, "agent begins bundle {}", system.0),
            Self::AgentLeaves => "agent marks this slot bad and reboots",
            Self::Announce => "begin told to both copies",
            Self::BeginRefused => "begin of install refused",
            Self::ZeroSeal => "seal zeroed",
            Self::WriteSome => "images half written",
            Self::WriteAll => "images written",
            Self::WriteSeal => "seal written",
            Self::NoteEnd => "end of install recorded",
            Self::Finish => "install finished",
            Self::FinishRefused => "end of install refused",
            Self::InstallFails => "install fails on an I/O error",
            Self::Hand(hand) => return hand.fmt(f),
            Self::PowerCut => "POWER CUT",
            Self::LoseNewest => "NEWEST ENVIRONMENT COPY LOST",
            Self::LoseBoth => "BOTH ENVIRONMENT COPIES LOST",
            Self::Flip(slot, Some(text)) => {
                return write!(f, "BOOT_{slot}_LEFT FLIPS TO \"{text}\"");
            }
            Self::Flip(slot, None) => return write!(f, "BOOT_{slot}_LEFT IS GONE"),
            Self::WearOut(slot) => return write!(f, "SLOT {slot} WEARS OUT"),
        };
        f.write_str(text)
    }
}

impl fmt::Display for Boot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.saved && self.slot.is_some() {
            f.write_str("ENVIRONMENT NOT SAVED, ")?;
        }
        f.write_str(match self.outcome {
            None if self.reason == Reason::Recovery => "nothing to start",
            None => "does not load",
            Some(Outcome::Dies) => "dies before userspace",
            Some(Outcome::Up(_)) => "comes up",
        })
    }
}

impl fmt::Display for Handwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MarkBad(slot) => write!(f, "TECHNICIAN marks {slot} bad"),
            Self::MarkActive(slot) => write!(f, "TECHNICIAN marks {slot} active"),
            Self::Rollback => f.write_str("TECHNICIAN rolls back"),
            Self::Install(system) => write!(f, "TECHNICIAN forces bundle {}", system.0),
            Self::EraseEnvironment => f.write_str("TECHNICIAN erases the environment"),
        }
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Torn => "POWER CUT in the commit, it tears",
            Self::OldCounts => "POWER CUT in the commit, the old one counts",
            Self::NewCounts => "POWER CUT after the commit",
        })
    }
}
