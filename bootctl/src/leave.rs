// SPDX-License-Identifier: MIT OR Apache-2.0
//! May a system that does not prove itself be left for the other slot?
//!
//! Pure. Asked by the verifier's verdict and by the deadline of a boot without one. An update on
//! trial is always left: its attempts are counted. A good slot never is: it may be the last one that
//! reaches the network. Anything else runs because the environment was lost, was edited, or because
//! nothing better started; it is left only for a slot that is known to be good, and only where the
//! firmware has not just found that this one does not start. Otherwise the two would take turns for
//! ever.

use crate::{BootState, Reason, SlotId, SlotState};

/// Whether `slot`, which runs and is unhealthy or silent, is to be left. `reason` is the selector's
/// word on the kernel command line; the stored one is older where the environment cannot be saved.
#[must_use]
pub fn is_left_when_unhealthy(state: &BootState, slot: SlotId, reason: Option<Reason>) -> bool {
    match state.slot(slot).state {
        SlotState::Trying => true,
        SlotState::Good => false,
        SlotState::Empty | SlotState::Writing | SlotState::Bad | SlotState::Unknown => {
            let good = state.slot(slot.other()).state == SlotState::Good;
            good && match reason.or(state.reason) {
                // No good slot loads.
                Some(Reason::LastResort | Reason::Recovery) => false,
                // No good slot loads, unless the firmware did not know of it yet. Who leaves commits
                // what it should know, and that the other slot got its attempts back: who comes back
                // with that has met a slot that does not load. The selector never writes that word.
                Some(Reason::EnvUnwritable) => state.returned != Some(slot.other()),
                Some(
                    Reason::Normal
                    | Reason::Trying
                    | Reason::Fallback
                    | Reason::EnvLost
                    | Reason::LoadFailed
                    | Reason::ForeignDisk
                    | Reason::AttemptsReset,
                )
                | None => true,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beside(running: SlotState, other: SlotState) -> BootState {
        let mut state = BootState::lost();
        (state.a.state, state.b.state) = (running, other);
        state
    }

    #[test]
    fn an_update_on_trial_is_left_and_a_good_slot_never() {
        for other in SlotState::ALL {
            for reason in Reason::ALL {
                let left = |running| {
                    is_left_when_unhealthy(&beside(running, other), SlotId::A, Some(reason))
                };
                assert!(left(SlotState::Trying), "{other} {reason}");
                assert!(!left(SlotState::Good), "{other} {reason}");
            }
        }
    }

    #[test]
    fn anything_else_is_left_for_a_good_slot_only() {
        for running in [SlotState::Empty, SlotState::Writing, SlotState::Bad, SlotState::Unknown] {
            for other in SlotState::ALL {
                let left = is_left_when_unhealthy(&beside(running, other), SlotId::A, None);
                assert_eq!(left, other == SlotState::Good, "{running} beside {other}");
            }
        }
    }

    #[test]
    fn a_slot_is_not_left_for_one_that_did_not_start() {
        let mut state = beside(SlotState::Bad, SlotState::Good);
        let left = |state: &BootState, reason| is_left_when_unhealthy(state, SlotId::A, reason);
        for reason in Reason::ALL {
            let starts_nothing = matches!(reason, Reason::LastResort | Reason::Recovery);
            assert_eq!(left(&state, Some(reason)), !starts_nothing, "{reason}");
            state.reason = Some(reason);
            assert_eq!(left(&state, None), !starts_nothing, "stored {reason}");
        }
        // Found by the model: where nothing can be saved any more, what the selector saved before says
        // nothing against the other slot; what was told by who left for it does.
        for last in [None, Some(SlotId::A), Some(SlotId::B)] {
            state.last = last;
            assert!(left(&state, Some(Reason::EnvUnwritable)), "{last:?}");
        }
        state.returned = Some(SlotId::B);
        assert!(!left(&state, Some(Reason::EnvUnwritable)));
        assert!(left(&state, Some(Reason::EnvLost)));
    }
}
