// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why was a slot left, and what boots next?
//!
//! Pure readings of the flight recorder and the boot state, for people. They decide nothing.

use crate::fallback::{Fallback, last_fallback};
use crate::record::Record;
use crate::select::{FirmwareFacts, select};
use crate::state::{BootState, SlotState};
use crate::{AttemptsLeft, PerSlot, Reason, SlotId};

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
    let after = selection.state.slot(slot);
    let why = match selection.reason {
        Reason::Normal => format!("slot {slot} is the primary and good"),
        Reason::Trying => {
            let left = left_in_words(after.attempts);
            format!("slot {slot} is an unconfirmed update; {left} left after this one")
        }
        Reason::Fallback => {
            format!("slot {slot} is taken because the primary may not boot")
        }
        Reason::EnvLost | Reason::ForeignDisk => {
            format!("the states of the slots were lost; slot {slot} is tried")
        }
        Reason::AttemptsReset => why_reset(state, slot),
        Reason::LastResort => {
            format!("no slot is good; {} slot {slot} is the last resort", after.state)
        }
        Reason::LoadFailed => format!("slot {slot} is the first that may boot; one did not load"),
        Reason::EnvUnwritable | Reason::Recovery => format!("slot {slot} is what is left"),
    };
    NextBoot { slot: Some(slot), reason: selection.reason, why }
}

/// The selector gives attempts back when the order leads nowhere, whatever the cause of that is.
fn why_reset(state: &BootState, slot: SlotId) -> String {
    let is_good = |slot: &SlotId| state.slot(*slot).state == SlotState::Good;
    let is_spent = |slot: SlotId| state.slot(slot).attempts == AttemptsLeft::ZERO;
    if state.order.is_empty() {
        return format!("BOOT_ORDER names no slot of this board; good slot {slot} starts anew");
    }
    if SlotId::ALL.into_iter().filter(is_good).all(is_spent) {
        return format!("every good slot ran out of attempts; slot {slot} starts anew");
    }
    format!("BOOT_ORDER names no slot that may boot; good slot {slot} starts anew")
}

fn left_in_words(left: AttemptsLeft) -> String {
    match left.get() {
        0 => "no attempt is".to_owned(),
        1 => "1 attempt is".to_owned(),
        more => format!("{more} attempts are"),
    }
}
