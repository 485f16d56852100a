// SPDX-License-Identifier: MIT OR Apache-2.0
//! What failed last, as far as the flight recorder remembers: a fallback, an install that failed,
//! or one that never ended. Pure; decides nothing.

use bootctl::{BootState, Entry, Record, SlotId, SlotState};
use std::fmt;

/// The last failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LastFailure {
    /// A slot was left for another; [`bootctl::explain`] tells which and why.
    FellBack,
    /// An install said that it failed.
    InstallFailed {
        /// Into which slot.
        slot: SlotId,
        /// Why.
        cause: String,
    },
    /// An install began, and neither its end nor another one of the slot is on record.
    NotFinished {
        /// Into which slot.
        slot: SlotId,
        /// What was installed; empty where the bundle has none.
        version: String,
    },
}

impl fmt::Display for LastFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FellBack => f.write_str("a fallback"),
            Self::InstallFailed { slot, cause } => write!(f, "install into {slot} failed: {cause}"),
            Self::NotFinished { slot, version } if version.is_empty() => {
                write!(f, "the install into {slot} is not finished")
            }
            Self::NotFinished { slot, version } => {
                write!(f, "the install of {version} into {slot} is not finished")
            }
        }
    }
}

/// The newest failure in `history`, oldest first, of a board with this boot state. The install of the
/// process `running`, the one that began last, did not fail yet.
#[must_use]
pub fn last_failure(
    history: &[Record],
    state: Option<&BootState>,
    running: Option<u32>,
) -> Option<LastFailure> {
    let mut ended = Vec::new();
    let mut is_running = running.is_some();
    for record in history.iter().rev() {
        match &record.entry {
            Entry::FellBack { .. } => return Some(LastFailure::FellBack),
            Entry::InstallFailed { slot, cause } => {
                return Some(LastFailure::InstallFailed { slot: *slot, cause: cause.clone() });
            }
            Entry::InstallFinished { slot, .. } => ended.push(*slot),
            // A later begin of the same slot took this one's place.
            Entry::InstallBegan { slot, version, .. } => {
                if !ended.contains(slot) && !is_running && is_open(state, *slot) {
                    return Some(LastFailure::NotFinished {
                        slot: *slot,
                        version: version.clone(),
                    });
                }
                is_running = false;
                ended.push(*slot);
            }
            // What was before is another disk's.
            Entry::FirstBoot { .. } => return None,
            Entry::Booted { .. }
            | Entry::Verdict { .. }
            | Entry::Marked { .. }
            | Entry::States(_)
            | Entry::DeadEnd { .. }
            | Entry::Chosen(_)
            | Entry::Died { .. }
            | Entry::Known { .. }
            | Entry::Asked { .. } => {}
        }
    }
    None
}

/// Whether the slot holds no system: else the end of its install was not recorded or is lost.
fn is_open(state: Option<&BootState>, slot: SlotId) -> bool {
    state.is_none_or(|state| match state.slot(slot).state {
        SlotState::Empty | SlotState::Writing | SlotState::Unknown => true,
        SlotState::Trying | SlotState::Good | SlotState::Bad => false,
    })
}
