// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why was a slot left, and what boots next?
//!
//! Pure readings of the flight recorder and the boot state, for people. They decide nothing.

use crate::record::{Entry, HealthVerdict, Record, Timestamp};
use crate::select::{FirmwareFacts, select};
use crate::state::{BootState, BundleId, SlotState};
use crate::{AttemptsLeft, PerSlot, Reason, SlotId};
use std::fmt;

/// The last time a slot was left for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// The slot left.
    pub from: SlotId,
    /// The slot taken.
    pub to: SlotId,
    /// When Linux noticed.
    pub at: Timestamp,
    /// Why, in words.
    pub cause: String,
    /// How many boots the slot was given.
    pub attempts: u8,
    /// How many of them reached userspace.
    pub reached_userspace: u32,
    /// What the slot had been installed from, when the recorder still knows.
    pub bundle: Option<BundleId>,
    /// Its version, when the recorder still knows.
    pub version: Option<String>,
}

impl fmt::Display for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slot {}", self.from)?;
        if let Some(version) = &self.version {
            write!(f, " (version {version})")?;
        }
        write!(
            f,
            " was left for slot {} after {} attempts, {} of which reached userspace: {}",
            self.to, self.attempts, self.reached_userspace, self.cause
        )
    }
}

/// The slot that boots next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextBoot {
    /// The slot, or `None` when nothing can.
    pub slot: Option<SlotId>,
    /// The reason the selector will give.
    pub reason: Reason,
    /// That reason in words.
    pub why: String,
}

/// What `atomix why` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The last fallback, if one is on record.
    pub fallback: Option<Fallback>,
    /// What boots next.
    pub next: NextBoot,
}

/// Explains the last fallback in `entries` (oldest first) and what `state` leads to.
#[must_use]
pub fn explain(entries: &[Record], state: &BootState) -> Explanation {
    Explanation { fallback: last_fallback(entries), next: describe_next(state) }
}

fn last_fallback(entries: &[Record]) -> Option<Fallback> {
    let position =
        entries.iter().rposition(|record| matches!(record.entry, Entry::FellBack { .. }))?;
    let (before, rest) = entries.split_at_checked(position)?;
    let record = rest.first()?;
    let Entry::FellBack { from, to, cause } = &record.entry else { return None };
    let mut fallback = Fallback {
        from: *from,
        to: *to,
        at: record.at,
        cause: cause.clone(),
        attempts: AttemptsLeft::DEFAULT.get(),
        reached_userspace: 0,
        bundle: None,
        version: None,
    };
    for earlier in before {
        match &earlier.entry {
            Entry::InstallFinished { slot, version, bundle } if slot == from => {
                fallback.bundle = Some(*bundle);
                fallback.version = Some(version.clone());
                fallback.reached_userspace = 0;
            }
            Entry::Booted { slot, .. } if slot == from => fallback.reached_userspace += 1,
            // Boots before the slot last proved itself are not held against it.
            Entry::Verdict { slot, verdict: HealthVerdict::Healthy, .. } if slot == from => {
                fallback.reached_userspace = 0;
            }
            Entry::FirstBoot { .. }
            | Entry::Booted { .. }
            | Entry::InstallBegan { .. }
            | Entry::InstallFinished { .. }
            | Entry::InstallFailed { .. }
            | Entry::Verdict { .. }
            | Entry::Marked { .. }
            | Entry::FellBack { .. }
            | Entry::States(_)
            | Entry::DeadEnd { .. } => {}
        }
    }
    Some(fallback)
}

/// What boots next from `state`, if the environment can be saved and every complete slot loads.
#[must_use]
pub fn describe_next(state: &BootState) -> NextBoot {
    let complete = |slot| match state.slot(slot).state {
        SlotState::Empty | SlotState::Writing => false,
        SlotState::Trying | SlotState::Good | SlotState::Bad | SlotState::Unknown => true,
    };
    let facts = FirmwareFacts {
        disk: state.disk,
        save_works: true,
        loads: PerSlot { a: complete(SlotId::A), b: complete(SlotId::B) },
    };
    let selection = select(Some(state), &facts);
    let Some(slot) = selection.boots else {
        let why = "no slot holds a complete system; the board goes into recovery".to_owned();
        return NextBoot { slot: None, reason: selection.reason, why };
    };
    let left = selection.state.slot(slot).attempts;
    let why = match selection.reason {
        Reason::Normal => format!("slot {slot} is the primary and good"),
        Reason::Trying => {
            format!("slot {slot} is an unconfirmed update; {left} attempts are left after this one")
        }
        Reason::Fallback => {
            format!("slot {slot} is taken because the primary may not boot")
        }
        Reason::EnvLost | Reason::ForeignDisk => {
            format!("the states of the slots were lost; slot {slot} is tried")
        }
        Reason::AttemptsReset => {
            format!("every good slot ran out of attempts; slot {slot} starts anew")
        }
        Reason::LastResort => format!("no slot is good; bad slot {slot} is the last resort"),
        Reason::LoadFailed => format!("slot {slot} is the first that may boot; one did not load"),
        Reason::EnvUnwritable | Reason::Recovery => format!("slot {slot} is what is left"),
    };
    NextBoot { slot: Some(slot), reason: selection.reason, why }
}
