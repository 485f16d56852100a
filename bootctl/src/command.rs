// SPDX-License-Identifier: MIT OR Apache-2.0
//! What Linux may ask of the boot state, and why it may be refused.

use crate::{BundleId, SlotId, SlotState};
use storage::PartUuid;

/// Whether a finished install becomes the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// First in the order, with attempts.
    Activate,
    /// Kept out of the order until it is marked active.
    Stage,
}

/// Whether a person insists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Force {
    /// The ordinary protection holds.
    No,
    /// The protection is waived knowingly.
    Yes,
}

/// One change of the boot state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// `target` is about to be written.
    BeginInstall {
        /// The slot to write.
        target: SlotId,
    },
    /// `target` is written, read back and sealed.
    FinishInstall {
        /// The slot written.
        target: SlotId,
        /// What it was written from.
        bundle: BundleId,
        /// Whether it becomes the primary.
        activation: Activation,
    },
    /// The install into `target` was given up.
    FailInstall {
        /// The slot that is now worthless.
        target: SlotId,
    },
    /// `slot` proved itself.
    MarkGood {
        /// The slot.
        slot: SlotId,
    },
    /// `slot` is not to be booted any more.
    MarkBad {
        /// The slot.
        slot: SlotId,
        /// Needed for the last good slot.
        force: Force,
    },
    /// `slot` becomes the primary.
    MarkActive {
        /// The slot.
        slot: SlotId,
    },
    /// `slot` has been up long enough, or shuts down in order: it gets its attempts back.
    RestoreAttempts {
        /// The booted slot.
        slot: SlotId,
    },
    /// `slot` was taken because the primary ran out of attempts, and is healthy.
    ConfirmFallback {
        /// The booted slot.
        slot: SlotId,
    },
    /// `slot` runs, does not prove itself, and is about to be left for the good one.
    Leave {
        /// The booted slot.
        slot: SlotId,
    },
    /// The board starts its life on this disk.
    FirstBoot {
        /// Partition UUID that boot-b has or is about to get.
        disk: PartUuid,
    },
    /// Go back to the slot that is not booted.
    Rollback {
        /// Needed when that slot is not good.
        force: Force,
    },
}

/// Why a command is not possible in this state. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The booted slot is never written.
    #[error("slot {slot} is booted and cannot be written")]
    TargetBooted {
        /// The slot.
        slot: SlotId,
    },
    /// No other slot is known to be good.
    #[error("slot {slot} is the last good slot")]
    LastGood {
        /// The slot.
        slot: SlotId,
    },
    /// There is no begun install to finish or to give up.
    #[error("no install into slot {slot} has begun (it is {state})")]
    NotInstalling {
        /// The slot.
        slot: SlotId,
        /// Its state.
        state: SlotState,
    },
    /// The slot holds no complete system.
    #[error("slot {slot} holds no complete system (it is {state})")]
    NotInstalled {
        /// The slot.
        slot: SlotId,
        /// Its state.
        state: SlotState,
    },
    /// Only the booted slot can do this for itself.
    #[error("slot {slot} is not booted (it is {state})")]
    NotBooted {
        /// The slot.
        slot: SlotId,
        /// Its state.
        state: SlotState,
    },
    /// Only a confirmed slot gets attempts back.
    #[error("slot {slot} is not confirmed (it is {state})")]
    NotConfirmed {
        /// The slot.
        slot: SlotId,
        /// Its state.
        state: SlotState,
    },
    /// The slot failed before.
    #[error("slot {slot} is known to be bad")]
    KnownBad {
        /// The slot.
        slot: SlotId,
    },
    /// The primary has not run out of attempts.
    #[error("slot {slot} was not taken as a fallback")]
    NoFallback {
        /// The booted slot.
        slot: SlotId,
    },
    /// There is nothing better to leave the slot for.
    #[error("slot {slot} is not left: slot {other} is not known to be better", other = slot.other())]
    NothingBetter {
        /// The booted slot.
        slot: SlotId,
    },
    /// The rollback target is not known to be good.
    #[error("slot {slot} is not known to be good (it is {state})")]
    NotKnownGood {
        /// The slot.
        slot: SlotId,
        /// Its state.
        state: SlotState,
    },
    /// The system does not run from a slot.
    #[error("the running system was not booted from a slot")]
    NotBootedFromSlot,
    /// The first boot of a flashed disk happens from slot A.
    #[error("first boot happens from slot A, but slot {booted} is booted")]
    FirstBootFromOther {
        /// The slot booted.
        booted: SlotId,
    },
    /// The environment already describes this disk.
    #[error("disk {disk} already went through its first boot")]
    AlreadyProvisioned {
        /// The disk.
        disk: PartUuid,
    },
}

impl Refused {
    /// The way out, where there is one.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::TargetBooted { .. } => Some("install into the other slot"),
            Self::LastGood { slot: SlotId::A } => Some(
                "install a working system into slot B first, or force it: `atomix boot mark-bad A \
                 --force`",
            ),
            Self::LastGood { slot: SlotId::B } => Some(
                "install a working system into slot A first, or force it: `atomix boot mark-bad B \
                 --force`",
            ),
            Self::NotInstalling { .. } => Some("begin the install again"),
            Self::NotInstalled { .. } => Some("install a bundle into the slot"),
            Self::NotBooted { .. } => Some("boot the slot; it proves itself by running"),
            Self::NotConfirmed { .. } => Some("wait for the health check, or mark the slot good"),
            Self::KnownBad { .. } | Self::NotKnownGood { .. } => {
                Some("install into the slot again, or use force: `atomix rollback --force`")
            }
            Self::NotBootedFromSlot => Some("name the slot"),
            Self::NoFallback { .. }
            | Self::NothingBetter { .. }
            | Self::FirstBootFromOther { .. }
            | Self::AlreadyProvisioned { .. } => None,
        }
    }
}
