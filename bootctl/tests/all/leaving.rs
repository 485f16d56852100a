// SPDX-License-Identifier: MIT OR Apache-2.0
//! Leaving an unhealthy slot ends, from every state there is: on a board where nothing is healthy
//! the reboots stop, and on one whose other slot is healthy the unhealthy one is given up. Found by
//! reviews: two slots took turns for ever.

use bootctl::{
    AttemptsLeft, BootState, Command, FirmwareFacts, PerSlot, Reason, RecorderFacts, SelectStep,
    SlotId, SlotRecord, SlotState, is_left_when_unhealthy, reconcile, select, transition,
};
use storage::PartUuid;

const A: SlotId = SlotId::A;
const B: SlotId = SlotId::B;

/// No board comes to an end later than this.
const BOOTS_MAX: usize = 200;

fn disk() -> PartUuid {
    "11111111-2222-3333-4444-555555555555".parse().unwrap()
}

fn facts(save_works: bool, (a, b): (bool, bool)) -> FirmwareFacts {
    FirmwareFacts { disk: Some(disk()), save_works, loads: PerSlot { a, b } }
}

/// Every pair of states, every order, every one that was given its attempts back.
fn beginnings() -> impl Iterator<Item = BootState> {
    let orders = [vec![], vec![A], vec![B], vec![A, B], vec![B, A]];
    let pairs = SlotState::ALL.into_iter().flat_map(|a| SlotState::ALL.map(|b| (a, b)));
    pairs.flat_map(move |(a, b)| {
        orders.clone().into_iter().flat_map(move |order| {
            [None, Some(A), Some(B)].map(|returned| {
                let full = AttemptsLeft::DEFAULT;
                let record = |state| SlotRecord { state, attempts: full, bundle: None };
                let order = order.clone();
                let factory = BootState::factory(disk());
                BootState { order, a: record(a), b: record(b), returned, ..factory }
            })
        })
    })
}

/// One start: the state that the firmware leaves and, where Linux comes up, in which slot, why, and
/// with what is made of it.
fn start(state: &mut BootState, facts: &FirmwareFacts) -> Option<(SlotId, Reason)> {
    let chosen = select(Some(state), facts);
    if chosen.save {
        *state = chosen.state;
    }
    let slot = chosen.boots?;
    *state = reconcile(state, Some(slot), Some(chosen.reason), &RecorderFacts::default()).state;
    Some((slot, chosen.reason))
}

/// What the verifier does in an unhealthy slot; nothing where it stays, or is counted on trial.
fn left(slot: SlotId, reason: Reason, state: &BootState) -> Option<BootState> {
    let is_left = state.slot(slot).state != SlotState::Trying
        && is_left_when_unhealthy(state, slot, Some(reason));
    transition(state, Some(slot), &Command::Leave { slot }).ok().filter(|_| is_left)
}

fn ends(begin: &BootState, facts: &FirmwareFacts) -> bool {
    let mut state = begin.clone();
    for _ in 0..BOOTS_MAX {
        if select(Some(&state), facts).steps.contains(&SelectStep::Recovery) {
            return true;
        }
        let Some((slot, reason)) = start(&mut state, facts) else { continue };
        // A trial is left by its count.
        if state.slot(slot).state == SlotState::Trying {
            return true;
        }
        match left(slot, reason, &state) {
            Some(next) => state = next,
            None => return true,
        }
    }
    false
}

#[test]
fn board_on_which_nothing_is_healthy_is_not_rebooted_for_ever() {
    let attempts = [0, 1, 3, 9].map(|left| AttemptsLeft::new(left).unwrap());
    for begin in beginnings() {
        for (of_a, of_b) in attempts.into_iter().flat_map(|a| attempts.map(|b| (a, b))) {
            let mut begin = begin.clone();
            (begin.a.attempts, begin.b.attempts) = (of_a, of_b);
            for loads in [(true, true), (false, true), (true, false)] {
                for saves in [true, false] {
                    assert!(ends(&begin, &facts(saves, loads)), "{begin:?} {loads:?} {saves}");
                }
            }
        }
    }
}

#[test]
fn slot_that_is_never_healthy_is_given_up_beside_one_that_is() {
    let facts = facts(true, (true, true));
    let mut given_up = 0;
    for begin in beginnings() {
        // Nothing else can be started then.
        if matches!(begin.a.state, SlotState::Empty | SlotState::Writing) {
            continue;
        }
        let mut state = begin.clone();
        let mut late = 0;
        for number in 0..BOOTS_MAX {
            let Some((slot, reason)) = start(&mut state, &facts) else { continue };
            if slot == B {
                late += usize::from(number > BOOTS_MAX / 2);
                state = left(B, reason, &state).unwrap_or(state);
                continue;
            }
            for healthy in [
                Command::MarkGood { slot: A },
                Command::RestoreAttempts { slot: A },
                Command::ConfirmFallback { slot: A },
            ] {
                state = transition(&state, Some(A), &healthy).unwrap_or(state);
            }
        }
        // Good once, it may be tried again after a power cycle; it is never the only one.
        if begin.b.state != SlotState::Good {
            assert_eq!(late, 0, "{begin:?} ends as {state:?}");
            given_up += 1;
        }
    }
    assert!(given_up > 100, "{given_up}");
}
