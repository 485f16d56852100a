// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the flight recorder remembers: the entries and their meaning.
//!
//! Entries are facts in the past tense. They never carry secrets, and no free text longer than
//! [`TEXT_MAX`] bytes.

use crate::{AttemptsLeft, BootState, BundleId, Numbered, Reason, SlotId, SlotState};
use std::fmt;
use storage::PartUuid;

/// Longest text of an entry in bytes; longer ones are shortened at a character's edge. Bounds what
/// a hostile version or cause can take from the ring.
pub const TEXT_MAX: usize = 120;

/// How many words of dead boots are kept apart: as many as one record takes, and more than an
/// archive is read for.
pub const DEATHS_MAX: usize = 31;

/// Position of a record in the life of the board; never repeats, never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// When something happened, as far as the board knew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Seconds since 1970, or nothing while the clock was not set.
    pub unix_secs: Option<u64>,
}

impl Timestamp {
    /// The clock was not set.
    pub const UNKNOWN: Self = Self { unix_secs: None };

    /// `secs` seconds since 1970.
    #[must_use]
    pub const fn from_unix(secs: u64) -> Self {
        Self { unix_secs: Some(secs) }
    }
}

/// The verifier's verdict. Stored numbers: do not reorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum HealthVerdict {
    /// Proved itself.
    Healthy = 0,
    /// Did not.
    Unhealthy = 1,
}

/// One of the three boot-state verbs. Stored numbers: do not reorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Mark {
    /// mark-good.
    Good = 0,
    /// mark-bad.
    Bad = 1,
    /// mark-active.
    Active = 2,
}

/// State of one slot inside [`Snapshot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KnownSlot {
    /// What it held.
    pub state: SlotState,
    /// What it was written from.
    pub bundle: Option<BundleId>,
}

/// The lasting part of a boot state, enough to restore it after the environment was lost.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// The order.
    pub order: Vec<SlotId>,
    /// Slot A.
    pub a: KnownSlot,
    /// Slot B.
    pub b: KnownSlot,
    /// The disk.
    pub disk: Option<PartUuid>,
    /// Bundles known as failed, newest first.
    pub failed: Vec<BundleId>,
}

impl From<&BootState> for Snapshot {
    fn from(state: &BootState) -> Self {
        let known = |slot| {
            let record = state.slot(slot);
            KnownSlot { state: record.state, bundle: record.bundle }
        };
        Self {
            order: state.order.clone(),
            a: known(SlotId::A),
            b: known(SlotId::B),
            disk: state.disk,
            failed: state.failed.clone(),
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The board began its life on `disk`.
    FirstBoot {
        /// Partition UUID of boot-b.
        disk: PartUuid,
    },
    /// Linux came up.
    Booted {
        /// From this slot.
        slot: SlotId,
        /// The selector's reason.
        reason: Reason,
        /// Attempts left after this one was spent.
        attempts: AttemptsLeft,
    },
    /// An install began.
    InstallBegan {
        /// Target.
        slot: SlotId,
        /// Version of the bundle.
        version: String,
        /// Identity of the bundle.
        bundle: BundleId,
    },
    /// An install ended well.
    InstallFinished {
        /// Target.
        slot: SlotId,
        /// Version of the bundle.
        version: String,
        /// Identity of the bundle.
        bundle: BundleId,
    },
    /// An install was given up.
    InstallFailed {
        /// Target.
        slot: SlotId,
        /// Why.
        cause: String,
    },
    /// The verifier judged.
    Verdict {
        /// The booted slot.
        slot: SlotId,
        /// The verdict.
        verdict: HealthVerdict,
        /// Reasons, joined.
        cause: String,
    },
    /// A slot was marked.
    Marked {
        /// The slot.
        slot: SlotId,
        /// The verb.
        mark: Mark,
    },
    /// A slot was left for another.
    FellBack {
        /// The slot left.
        from: SlotId,
        /// The slot taken.
        to: SlotId,
        /// Why, in words.
        cause: String,
    },
    /// The boot state as committed.
    States(Snapshot),
    /// The running system gave up on itself: panic, emergency target, initrd failure.
    DeadEnd {
        /// The booted slot.
        slot: SlotId,
        /// What happened.
        cause: String,
    },
    /// The firmware started a slot, as its trail tells: noted when Linux came up next, in the
    /// order of the decisions.
    Chosen(Numbered),
    /// Somebody left word of how a boot died: the kernel's last message in memory that outlives a
    /// reset, or the watchdog.
    Died {
        /// The slot that ran.
        slot: SlotId,
        /// What tells this word from others, so that it is told once.
        mark: DeathMark,
        /// What it says.
        cause: String,
    },
    /// Words of dead boots that were told, perhaps in records that the ring has forgotten since: an
    /// archive keeps a word for ever, and what is told twice is the cause of nothing new.
    Known {
        /// Their marks, oldest first; at most [`DEATHS_MAX`].
        marks: Vec<DeathMark>,
    },
    /// A person asked for something beside the boot state: a variable, a login, empty data.
    Asked {
        /// For what.
        what: String,
    },
}

/// Tells the words of dead boots from each other: the first bytes of a hash of the whole word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeathMark(pub [u8; 8]);

/// An entry with its place in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Position.
    pub sequence: Sequence,
    /// Time.
    pub at: Timestamp,
    /// What happened.
    pub entry: Entry,
}
