// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every command against every slot state: what it leads to, or why it is refused.

use bootctl::{
    Activation, AttemptsLeft, BootState, BundleId, Command, Force, Refused, SlotId, SlotRecord,
    SlotState, transition,
};
use storage::PartUuid;

const NEW: BundleId = BundleId::from_bytes([1; 16]);
const OLD: BundleId = BundleId::from_bytes([2; 16]);

fn disk(byte: u8) -> PartUuid {
    let text = format!("{byte:02x}").repeat(16);
    text.parse().unwrap()
}

fn record(state: SlotState) -> SlotRecord {
    let attempts = match state {
        SlotState::Trying | SlotState::Good | SlotState::Unknown => AttemptsLeft::ONE,
        SlotState::Empty | SlotState::Writing | SlotState::Bad => AttemptsLeft::ZERO,
    };
    SlotRecord { state, attempts, bundle: Some(OLD) }
}

/// A with `a`, B with `b`, B before A.
fn state(a: SlotState, b: SlotState) -> BootState {
    BootState {
        order: vec![SlotId::B, SlotId::A],
        a: record(a),
        b: record(b),
        disk: Some(disk(7)),
        ..BootState::lost()
    }
}

/// Result in short: state, attempts and place in the order of slot B, or the refusal.
fn outcome(before: &BootState, booted: Option<SlotId>, command: Command) -> String {
    match transition(before, booted, &command) {
        Ok(after) => {
            let b = after.b;
            let place = match after.order.iter().position(|slot| *slot == SlotId::B) {
                None => "out".to_owned(),
                Some(index) => index.to_string(),
            };
            format!("{} {} {place}", b.state, b.attempts)
        }
        Err(refused) => {
            let debug = format!("{refused:?}");
            debug.split([' ', '{']).next().unwrap_or_default().to_owned()
        }
    }
}

/// One row: the command on slot B for B empty, writing, trying, good, bad, unknown.
fn check_row(a: SlotState, booted: Option<SlotId>, command: Command, expected: [&str; 6]) {
    for (b, expected) in SlotState::ALL.into_iter().zip(expected) {
        let found = outcome(&state(a, b), booted, command);
        assert_eq!(found, expected, "{command:?} with A {a}, B {b}, booted {booted:?}");
    }
}

const B: SlotId = SlotId::B;
const FROM_A: Option<SlotId> = Some(SlotId::A);
const FROM_B: Option<SlotId> = Some(SlotId::B);

#[test]
fn every_pair_of_install_command_and_state_is_as_designed() {
    let begin = Command::BeginInstall { target: B };
    let written = "writing 0 out";
    check_row(SlotState::Good, FROM_A, begin, [written; 6]);
    check_row(SlotState::Good, None, begin, [written; 6]);
    check_row(SlotState::Good, FROM_B, begin, ["TargetBooted"; 6]);
    for a in SlotState::ALL.into_iter().filter(|a| *a != SlotState::Good) {
        let row = [written, written, written, "LastGood", written, written];
        check_row(a, FROM_A, begin, row);
        check_row(a, None, begin, row);
        check_row(a, FROM_B, begin, ["TargetBooted"; 6]);
    }
    for booted in [None, FROM_A] {
        let no = "NotInstalling";
        let finish = |activation| Command::FinishInstall { target: B, bundle: NEW, activation };
        let row = [no, "trying 3 0", no, no, no, no];
        check_row(SlotState::Good, booted, finish(Activation::Activate), row);
        let row = [no, "trying 0 out", no, no, no, no];
        check_row(SlotState::Good, booted, finish(Activation::Stage), row);
        let row = ["empty 0 out", "empty 0 out", no, no, no, no];
        check_row(SlotState::Good, booted, Command::FailInstall { target: B }, row);
    }
}

#[test]
fn every_pair_of_mark_and_state_is_as_designed() {
    let (none, far, bad) = ("NotInstalled", "NotBooted", "bad 0 out");
    let good = Command::MarkGood { slot: B };
    check_row(
        SlotState::Good,
        FROM_B,
        good,
        [none, none, "good 3 0", "good 3 0", "good 3 0", "good 3 0"],
    );
    for booted in [None, FROM_A] {
        check_row(SlotState::Good, booted, good, [none, none, far, "good 3 0", far, far]);
    }
    for booted in [None, FROM_A, FROM_B] {
        let mark = |force| Command::MarkBad { slot: B, force };
        let row = [none, none, bad, bad, bad, bad];
        check_row(SlotState::Good, booted, mark(Force::No), row);
        check_row(SlotState::Good, booted, mark(Force::Yes), row);
        check_row(SlotState::Bad, booted, mark(Force::Yes), row);
        let row = [none, none, bad, "LastGood", bad, bad];
        check_row(SlotState::Bad, booted, mark(Force::No), row);
        check_row(SlotState::Trying, booted, mark(Force::No), row);
        let active = Command::MarkActive { slot: B };
        let row = [none, none, "trying 3 0", "good 3 0", "KnownBad", "unknown 3 0"];
        check_row(SlotState::Good, booted, active, row);
    }
}

#[test]
fn every_pair_of_boot_command_and_state_is_as_designed() {
    let no = "NotConfirmed";
    let restore = Command::RestoreAttempts { slot: B };
    check_row(SlotState::Good, FROM_B, restore, [no, no, no, "good 3 0", no, no]);
    for booted in [None, FROM_A] {
        check_row(SlotState::Good, booted, restore, [no, no, no, "NotBooted", no, no]);
    }
    let none = "NotInstalled";
    let (force, ask) =
        (Command::Rollback { force: Force::Yes }, Command::Rollback { force: Force::No });
    let careful = "NotKnownGood";
    check_row(SlotState::Good, FROM_A, ask, [none, none, careful, "good 3 0", careful, careful]);
    check_row(
        SlotState::Good,
        FROM_A,
        force,
        [none, none, "trying 3 0", "good 3 0", "trying 3 0", "unknown 3 0"],
    );
    check_row(SlotState::Good, None, force, ["NotBootedFromSlot"; 6]);
}

#[test]
fn every_pair_of_healthy_fallback_and_primary_is_as_designed() {
    let confirm = Command::ConfirmFallback { slot: SlotId::A };
    let none = "NoFallback";
    let exhausted = |b| {
        let mut before = state(SlotState::Good, b);
        before.b.attempts = AttemptsLeft::ZERO;
        before
    };
    let first = [none, none, "bad 0 out", "good 3 0", none, "unknown 3 0"];
    let second = [none, none, "bad 0 out", "bad 0 out", none, "bad 0 out"];
    for (b, (first, second)) in SlotState::ALL.into_iter().zip(first.into_iter().zip(second)) {
        let before = exhausted(b);
        assert_eq!(outcome(&before, FROM_A, confirm), first, "first time, B {b}");
        let again = BootState { returned: Some(B), ..before.clone() };
        assert_eq!(outcome(&again, FROM_A, confirm), second, "second time, B {b}");
        assert_eq!(outcome(&before, FROM_B, confirm), "NotBooted");
        let alive = BootState { b: record(SlotState::Good), ..before };
        assert_eq!(outcome(&alive, FROM_A, confirm), none, "B still has an attempt");
    }
    for a in SlotState::ALL.into_iter().filter(|a| *a != SlotState::Good) {
        let mut before = exhausted(SlotState::Good);
        before.a = record(a);
        assert_eq!(outcome(&before, FROM_A, confirm), "NotConfirmed", "A {a}");
    }
}

#[test]
fn every_pair_of_leave_and_state_is_as_designed() {
    let none = "NothingBetter";
    let leave = Command::Leave { slot: SlotId::A };
    for a in SlotState::ALL {
        for b in SlotState::ALL {
            let before = state(a, b);
            let better = b == SlotState::Good && a != SlotState::Good;
            let expected = match transition(&before, FROM_A, &leave) {
                Ok(after) => {
                    let mut told = before.clone();
                    if a != SlotState::Trying {
                        told.b.attempts = AttemptsLeft::DEFAULT;
                        told.returned = Some(SlotId::B);
                    }
                    assert_eq!(after, told);
                    true
                }
                Err(refused) => {
                    assert!(format!("{refused:?}").starts_with(none), "{a} {b}: {refused}");
                    false
                }
            };
            assert_eq!(expected, better || a == SlotState::Trying, "{a} beside {b}");
            for booted in [None, FROM_B] {
                let refused = transition(&before, booted, &leave).unwrap_err();
                assert!(matches!(refused, Refused::NotBooted { .. }), "{refused}");
            }
        }
    }
}

#[test]
fn first_boot_happens_once_per_disk_and_may_be_repeated_until_then() {
    let (mine, other) = (disk(7), disk(8));
    let first =
        |before: &BootState, booted, disk| transition(before, booted, &Command::FirstBoot { disk });
    let fresh = first(&BootState::lost(), FROM_A, mine).unwrap();
    assert_eq!(fresh, BootState::factory(mine));
    assert_eq!(first(&fresh, FROM_A, mine), Ok(fresh.clone()), "the cut first boot is repeated");
    assert_eq!(first(&fresh, FROM_B, mine), Err(Refused::FirstBootFromOther { booted: B }));
    for b in SlotState::ALL {
        let lived = state(SlotState::Good, b);
        let refused = Err(Refused::AlreadyProvisioned { disk: mine });
        assert_eq!(first(&lived, FROM_A, mine), refused, "B {b}");
        assert_eq!(first(&lived, FROM_A, other), Ok(BootState::factory(other)), "B {b}");
    }
}

#[test]
fn a_failed_bundle_is_remembered_until_it_proves_itself() {
    let bad = transition(
        &state(SlotState::Good, SlotState::Trying),
        FROM_A,
        &Command::MarkBad { slot: B, force: Force::No },
    )
    .unwrap();
    assert!(bad.is_known_failed(&OLD) && !bad.is_known_failed(&NEW));
    // It may be installed again by a person; confirmed, it is no longer known as failed.
    let mut again = bad;
    for (booted, command) in [
        (FROM_A, Command::BeginInstall { target: B }),
        (
            FROM_A,
            Command::FinishInstall { target: B, bundle: OLD, activation: Activation::Activate },
        ),
        (FROM_B, Command::MarkGood { slot: B }),
    ] {
        again = transition(&again, booted, &command).unwrap();
    }
    assert!(!again.is_known_failed(&OLD));
    assert_eq!(again.primary(), Some(B));
}

/// The selector turns a slot bad without a word in the list. Linux adds it at its next boot; an
/// install that comes first, or after that commit was lost, must not erase what alone tells of it.
#[test]
fn an_install_over_a_bad_slot_remembers_what_failed_there() {
    for found in SlotState::ALL {
        let before = state(SlotState::Good, found);
        assert!(before.failed.is_empty());
        let after = transition(&before, FROM_A, &Command::BeginInstall { target: B }).unwrap();
        // What did not fail is no news.
        assert_eq!(after.is_known_failed(&OLD), found == SlotState::Bad, "{found}");
        assert_eq!(after.failed.is_empty(), found != SlotState::Bad, "{found}");
    }
}

#[test]
fn only_eight_failed_bundles_are_remembered_newest_first() {
    let mut state = BootState::lost();
    for byte in 0..12 {
        state.remember_failed(BundleId::from_bytes([byte; 16]));
    }
    state.remember_failed(BundleId::from_bytes([9; 16]));
    let bytes: Vec<u8> = state.failed.iter().map(|bundle| bundle.as_bytes()[0]).collect();
    assert_eq!(bytes, [9, 11, 10, 8, 7, 6, 5, 4]);
}

#[test]
fn every_refusal_says_which_slot_and_ends_without_a_full_stop() {
    let slot = B;
    let state = SlotState::Trying;
    for refused in [
        Refused::TargetBooted { slot },
        Refused::LastGood { slot },
        Refused::NotInstalling { slot, state },
        Refused::NotInstalled { slot, state },
        Refused::NotBooted { slot, state },
        Refused::NotConfirmed { slot, state },
        Refused::KnownBad { slot },
        Refused::NoFallback { slot },
        Refused::NothingBetter { slot },
        Refused::NotKnownGood { slot, state },
        Refused::FirstBootFromOther { booted: slot },
    ] {
        let text = refused.to_string();
        assert!(text.contains("slot B") && !text.ends_with('.'), "{text}");
    }
    assert_eq!(Refused::LastGood { slot }.hint().map(str::is_empty), Some(false));
}
