// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a verdict mean for the slot that runs?

use crate::config::Reaction;
use crate::verdict::Verdict;
use bootctl::SlotState;

/// What the program does with a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterVerdict {
    /// Confirm the slot.
    MarkGood,
    /// Write the reasons down, then reboot: the selector spends the next attempt or falls back.
    RecordAndReboot,
    /// Write the verdict down and go on running.
    RecordAndStay,
}

/// Decides; every pair is listed. A good slot is never rebooted for its health, since it may be
/// the last one that still reaches the network. A bad slot runs only as the last resort; when it
/// proves itself it is good after all.
#[must_use]
pub fn decide_after(verdict: &Verdict, state: SlotState, reaction: Reaction) -> AfterVerdict {
    match (verdict, state, reaction) {
        (
            Verdict::Healthy { .. },
            SlotState::Trying | SlotState::Good | SlotState::Bad | SlotState::Unknown,
            Reaction::Reboot | Reaction::Stay,
        ) => AfterVerdict::MarkGood,
        (
            Verdict::Healthy { .. },
            SlotState::Empty | SlotState::Writing,
            Reaction::Reboot | Reaction::Stay,
        ) => AfterVerdict::RecordAndStay,
        (Verdict::Unhealthy { .. }, SlotState::Trying, Reaction::Reboot) => {
            AfterVerdict::RecordAndReboot
        }
        (Verdict::Unhealthy { .. }, SlotState::Trying, Reaction::Stay) => {
            AfterVerdict::RecordAndStay
        }
        (
            Verdict::Unhealthy { .. },
            SlotState::Empty
            | SlotState::Writing
            | SlotState::Good
            | SlotState::Bad
            | SlotState::Unknown,
            Reaction::Reboot | Reaction::Stay,
        ) => AfterVerdict::RecordAndStay,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [SlotState; 6] = [
        SlotState::Empty,
        SlotState::Writing,
        SlotState::Trying,
        SlotState::Good,
        SlotState::Bad,
        SlotState::Unknown,
    ];

    #[test]
    fn only_an_unhealthy_trying_slot_is_rebooted() {
        let unhealthy = Verdict::Unhealthy { reasons: Vec::new(), warnings: Vec::new() };
        for state in STATES {
            for reaction in [Reaction::Reboot, Reaction::Stay] {
                let reboots =
                    decide_after(&unhealthy, state, reaction) == AfterVerdict::RecordAndReboot;
                assert_eq!(reboots, state == SlotState::Trying && reaction == Reaction::Reboot);
            }
        }
    }

    #[test]
    fn an_unhealthy_slot_is_never_marked_good_and_a_healthy_one_never_rebooted() {
        let healthy = Verdict::Healthy { warnings: Vec::new() };
        let unhealthy = Verdict::Unhealthy { reasons: Vec::new(), warnings: Vec::new() };
        for state in STATES {
            for reaction in [Reaction::Reboot, Reaction::Stay] {
                assert_ne!(decide_after(&unhealthy, state, reaction), AfterVerdict::MarkGood);
                assert_ne!(decide_after(&healthy, state, reaction), AfterVerdict::RecordAndReboot);
            }
        }
    }
}
