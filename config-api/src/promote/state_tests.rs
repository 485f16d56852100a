// SPDX-License-Identifier: MIT OR Apache-2.0
//! The promotion's state machine: what counts is always kept, nobody's device is only one that
//! failed its first configuration, and recovering twice is recovering once.

use super::*;
use crate::promote::state::INITIAL_TRIES;
use proptest::prelude::*;

const NEW: Generation = Generation::new(8);
const OLD: Generation = Generation::new(7);

fn boot(number: u8) -> BootId {
    BootId(format!("boot-{number}"))
}

fn pending(from: Option<Generation>, phase: Phase, tries_left: u8) -> State {
    State::Pending {
        from,
        to: NEW,
        phase,
        window_secs: 60,
        confirm_secs: None,
        boot: boot(1),
        tries_left,
    }
}

const ACTIVATING: Phase = Phase::Activating { until: Moment(100) };
const CONFIRMING: Phase = Phase::Confirming { until: Moment(200) };

fn recover(state: &State, number: u8, now: u64) -> State {
    step(state, &Command::Recover { boot: boot(number), now: Moment(now) }).unwrap()
}

#[test]
fn a_restarted_service_goes_on_until_the_deadline_and_not_longer() {
    for phase in [ACTIVATING, CONFIRMING] {
        let state = pending(Some(OLD), phase, 3);
        assert_eq!(recover(&state, 1, 99), state);
        let late = recover(&state, 1, 200);
        assert_eq!(late, State::Reverting { to: OLD, failed: NEW, boot: boot(1) });
    }
}

#[test]
fn after_a_reboot_the_one_before_counts_whatever_the_clock_says() {
    for phase in [ACTIVATING, CONFIRMING] {
        let back = recover(&pending(Some(OLD), phase, 3), 2, 0);
        assert_eq!(back, State::Committed { generation: OLD, rollback: Some(Rollback::Skipped) });
    }
}

#[test]
fn a_first_configuration_is_tried_three_times_and_then_given_up() {
    let mut state = pending(None, ACTIVATING, INITIAL_TRIES);
    for number in 2..4 {
        state = recover(&state, number, 5);
        assert_eq!(state.next(), Next::Activate { generation: NEW, until: Moment(65) });
    }
    let given_up = recover(&state, 4, 5);
    assert_eq!(given_up, State::Unprovisioned { rollback: Some(Rollback::Discarded) });
}

#[test]
fn a_confirmation_that_comes_too_late_is_refused() {
    let state = pending(Some(OLD), CONFIRMING, 3);
    assert!(step(&state, &Command::Confirm { now: Moment(200) }).is_err());
    assert_eq!(
        step(&state, &Command::Confirm { now: Moment(199) }).unwrap(),
        State::Committed { generation: NEW, rollback: None }
    );
    let activating = pending(Some(OLD), ACTIVATING, 3);
    assert!(step(&activating, &Command::Confirm { now: Moment(1) }).is_err(), "not healthy yet");
}

#[test]
fn one_promotion_at_a_time() {
    let promote = Command::Promote {
        to: NEW,
        window_secs: 60,
        confirm_secs: None,
        boot: boot(1),
        now: Moment(0),
    };
    assert!(step(&pending(Some(OLD), ACTIVATING, 3), &promote).is_err());
    let reverting = State::Reverting { to: OLD, failed: NEW, boot: boot(1) };
    assert!(step(&reverting, &promote).is_err());
}

fn commands() -> impl Strategy<Value = Command> {
    let (number, now) = (0..3_u8, 0..400_u64);
    prop_oneof![
        (1..9_u32, number.clone(), now.clone()).prop_map(|(to, number, now)| Command::Promote {
            to: Generation::new(to),
            window_secs: 60,
            confirm_secs: None,
            boot: boot(number),
            now: Moment(now),
        }),
        proptest::option::of(now.clone().prop_map(Moment))
            .prop_map(|confirm_until| Command::Healthy { confirm_until }),
        now.clone().prop_map(|now| Command::Confirm { now: Moment(now) }),
        Just(Command::Fail),
        Just(Command::Reapplied { rollback: Rollback::Completed }),
        (number, now)
            .prop_map(|(number, now)| Command::Recover { boot: boot(number), now: Moment(now) }),
    ]
}

proptest! {
    #[test]
    fn what_counts_is_kept_and_was_promised(all in proptest::collection::vec(commands(), 0..40)) {
        let mut state = State::Unprovisioned { rollback: None };
        let mut proved = None;
        for command in &all {
            let Ok(next) = step(&state, command) else { continue };
            if let Some(shown) = next.shown() {
                prop_assert!(next.kept().contains(&shown));
            }
            if let State::Committed { generation, .. } = &next {
                proved = Some(*generation);
            }
            // Once somebody's, always somebody's.
            prop_assert!(proved.is_none() || next.is_provisioned(), "{state:?} {command:?}");
            if let Command::Recover { .. } = command {
                prop_assert_eq!(&step(&next, command).unwrap(), &next);
            }
            let record = Record::new(next.clone(), Seeds::default());
            prop_assert_eq!(Record::parse(&record.encode().unwrap()).unwrap(), record);
            state = next;
        }
    }

    #[test]
    fn any_bytes_are_a_record_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _refused = Record::parse(&bytes);
    }
}
