// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which slot would be written, and may it be? Never the running one, never the last good one; and
//! health decides nothing (I8).

use crate::Facts;
use bootctl::{SlotId, SlotState};

/// Where an update goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Into this slot.
    Write(SlotId),
    /// Into the running one, which is on trial, from the good one.
    Leave {
        /// The slot that runs.
        trial: SlotId,
    },
    /// Nowhere: the slot that runs is neither good nor on trial, and this is the last good one.
    LastGood(SlotId),
    /// Nowhere: the system runs from no slot.
    NoSlot,
}

/// Where an update of this device goes.
pub(super) fn target_of(facts: &Facts) -> Target {
    let Some(running) = facts.booted else { return Target::NoSlot };
    let other = running.other();
    match (facts.slot(running).state, facts.slot(other).state) {
        (SlotState::Good, _) => Target::Write(other),
        (SlotState::Trying, SlotState::Good) => Target::Leave { trial: running },
        // A bad one runs as the last resort, an unknown one gets its verdict: neither is left for a
        // slot that may not start, and from neither is the good one overwritten.
        (
            SlotState::Bad | SlotState::Unknown | SlotState::Empty | SlotState::Writing,
            SlotState::Good,
        ) => Target::LastGood(other),
        (
            SlotState::Trying
            | SlotState::Bad
            | SlotState::Unknown
            | SlotState::Empty
            | SlotState::Writing,
            SlotState::Empty
            | SlotState::Writing
            | SlotState::Trying
            | SlotState::Bad
            | SlotState::Unknown,
        ) => Target::Write(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_facts::facts;
    use bootctl::{BootState, Command, Force, transition};

    /// `bootctl` is the judge: it would refuse, and the agent must not even try.
    #[test]
    fn whatever_the_slots_are_bootctl_would_allow_what_is_chosen() {
        for running in SlotId::ALL {
            for state in SlotState::ALL {
                for other in SlotState::ALL {
                    let mut facts = facts();
                    facts.booted = Some(running);
                    let mut boot = BootState::lost();
                    boot.slot_mut(running).state = state;
                    boot.slot_mut(running.other()).state = other;
                    (facts.a.state, facts.b.state) = (boot.a.state, boot.b.state);
                    let may = |command| transition(&boot, Some(running), &command);
                    let context = format!("{running} is {state}, the other {other}");
                    match target_of(&facts) {
                        Target::Write(target) => {
                            assert!(may(Command::BeginInstall { target }).is_ok(), "{context}");
                        }
                        Target::Leave { trial } => {
                            assert_eq!((trial, state), (running, SlotState::Trying), "{context}");
                            let mark = Command::MarkBad { slot: trial, force: Force::No };
                            let left = may(mark).unwrap();
                            assert_eq!(left.primary(), Some(running.other()), "{context}");
                            // From there the update goes into the slot that was left.
                            let begin = Command::BeginInstall { target: trial };
                            transition(&left, Some(running.other()), &begin).unwrap();
                        }
                        Target::LastGood(target) => {
                            assert!(may(Command::BeginInstall { target }).is_err(), "{context}");
                        }
                        Target::NoSlot => panic!("{context}"),
                    }
                }
            }
        }
        let elsewhere = Facts { booted: None, ..facts() };
        assert_eq!(target_of(&elsewhere), Target::NoSlot);
    }
}
