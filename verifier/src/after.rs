// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a verdict mean for the slot that runs?

use crate::config::Reaction;
use crate::verdict::Verdict;
use bootctl::{BootState, Reason, SlotId, SlotState, is_left_when_unhealthy};

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

/// Decides over `slot`, which runs; `reason` is why the selector took it. A good slot is never
/// rebooted for its health, since it may be the last one that still reaches the network; one that is
/// no update on trial only for a good one, by the rule of [`is_left_when_unhealthy`]. A bad slot that
/// proves itself is good after all.
#[must_use]
pub fn decide_after(
    verdict: &Verdict,
    state: &BootState,
    slot: SlotId,
    reason: Option<Reason>,
    reaction: Reaction,
) -> AfterVerdict {
    match (verdict, state.slot(slot).state, reaction) {
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
        (Verdict::Unhealthy { .. }, _, Reaction::Reboot)
            if is_left_when_unhealthy(state, slot, reason) =>
        {
            AfterVerdict::RecordAndReboot
        }
        (Verdict::Unhealthy { .. }, _, Reaction::Reboot | Reaction::Stay) => {
            AfterVerdict::RecordAndStay
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REACTIONS: [Reaction; 2] = [Reaction::Reboot, Reaction::Stay];

    fn unhealthy() -> Verdict {
        Verdict::Unhealthy { reasons: Vec::new(), warnings: Vec::new() }
    }

    /// A runs in `running` beside a B in `other`.
    fn after(verdict: &Verdict, slots: (SlotState, SlotState), reaction: Reaction) -> AfterVerdict {
        let mut state = BootState::lost();
        (state.a.state, state.b.state) = slots;
        decide_after(verdict, &state, SlotId::A, Some(Reason::EnvLost), reaction)
    }

    fn pairs() -> impl Iterator<Item = (SlotState, SlotState)> {
        let beside = |running| SlotState::ALL.into_iter().map(move |other| (running, other));
        SlotState::ALL.into_iter().flat_map(beside)
    }

    #[test]
    fn only_an_update_on_trial_or_a_slot_beside_a_better_one_is_rebooted_when_unhealthy() {
        for (running, other) in pairs() {
            for reaction in REACTIONS {
                let reboots = after(&unhealthy(), (running, other), reaction)
                    == AfterVerdict::RecordAndReboot;
                let better = other == SlotState::Good && running != SlotState::Good;
                let left = running == SlotState::Trying || better;
                assert_eq!(reboots, left && reaction == Reaction::Reboot, "{running} {other}");
            }
        }
    }

    #[test]
    fn an_unhealthy_slot_is_never_marked_good_and_a_healthy_one_never_rebooted() {
        let healthy = Verdict::Healthy { warnings: Vec::new() };
        for slots in pairs() {
            for reaction in REACTIONS {
                assert_ne!(after(&unhealthy(), slots, reaction), AfterVerdict::MarkGood);
                assert_ne!(after(&healthy, slots, reaction), AfterVerdict::RecordAndReboot);
            }
        }
    }
}
