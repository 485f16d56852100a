// SPDX-License-Identifier: MIT OR Apache-2.0
//! What became of an installed update after the restart?
//!
//! An update has succeeded when its bundle runs from a slot that the verifier has marked good, and
//! not before. That it was written well is only progress.

use super::state::{Action, Stage};
use crate::facts::Facts;
use bootctl::{BundleId, SlotId, SlotState};

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BootOutcome {
    /// It runs, and the verifier has marked it good.
    Good,
    /// It runs, and the verifier has not spoken.
    OnTrial,
    /// It does not run and will not.
    FellBack {
        /// In words.
        why: String,
    },
    /// It was not restarted into yet.
    NotYet,
}

/// Judges an action by what the device is now. `why` is what the flight recorder says of the last
/// fall back, if there was one.
#[must_use]
pub fn boot_outcome(action: &Action, facts: &Facts, why: Option<&str>) -> BootOutcome {
    let slot = match action.stage {
        Stage::Installed(slot) | Stage::Trial(slot) => slot,
        Stage::Announced
        | Stage::Confirming
        | Stage::Waiting
        | Stage::Offered
        | Stage::Installing
        | Stage::Stored => return BootOutcome::NotYet,
    };
    let Some(wanted) = action.manifest.map(BundleId::from) else {
        return BootOutcome::FellBack { why: "nobody knows which bundle it was".to_owned() };
    };
    let holds = facts.slot(slot).bundle == Some(wanted);
    let state = facts.slot(slot).state;
    if facts.booted == Some(slot) && holds {
        return match state {
            SlotState::Good => BootOutcome::Good,
            SlotState::Trying | SlotState::Unknown => BootOutcome::OnTrial,
            SlotState::Bad | SlotState::Empty | SlotState::Writing => fell_back(slot, why),
        };
    }
    // That the bundle failed before says nothing here: it may be tried again because it was forced.
    match state {
        SlotState::Trying | SlotState::Good if holds && facts.next == Some(slot) => {
            BootOutcome::NotYet
        }
        SlotState::Trying
        | SlotState::Good
        | SlotState::Unknown
        | SlotState::Bad
        | SlotState::Empty
        | SlotState::Writing => fell_back(slot, why),
    }
}

fn fell_back(slot: SlotId, why: Option<&str>) -> BootOutcome {
    let why = why.unwrap_or("no reason is recorded");
    BootOutcome::FellBack { why: format!("slot {slot} was given up: {why}") }
}
