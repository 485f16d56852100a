// SPDX-License-Identifier: MIT OR Apache-2.0
//! The protocol as it is: no state of the CI size breaks an invariant, and every run comes to rest.
//! What is known to be open is still found where it is looked for.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

use bootctl::{BootState, Command, FirmwareFacts, Refused, Selection, SlotId};
use model::{
    Faults, Gap, Invariant, Nature, Scenario, Size, Until, explore, run, scenario, scenarios,
    timeline,
};

const NONE: Faults = Faults { cuts: 0, environment: 0, media: 0, technician: 0 };

#[test]
fn every_state_of_the_ci_size_holds_every_invariant_and_comes_to_rest() {
    let report = run(&scenarios(Size::Ci), 2, &|_, _| {}).unwrap();
    let texts: Vec<String> = report.total.violations.iter().map(timeline).collect();
    assert!(texts.is_empty(), "{}", texts.join("\n"));
    // A search that stops early finds nothing either.
    assert!(report.total.states > 1_000_000, "{report}");
    assert!(report.total.boots_to_rest > 3, "an update that dies is left after three boots");
    println!("{report}");
}

/// No transition reads a clock: there is none among what they are given, and they are plain
/// functions that hold nothing.
#[test]
fn no_decision_of_the_protocol_is_given_a_time() {
    let _: fn(&BootState, Option<SlotId>, &Command) -> Result<BootState, Refused> =
        bootctl::transition;
    let _: fn(Option<&BootState>, &FirmwareFacts) -> Selection = bootctl::select;
    let _: fn(
        &BootState,
        Option<SlotId>,
        Option<bootctl::Reason>,
        &bootctl::RecorderFacts,
    ) -> bootctl::Reconciled = bootctl::reconcile;
}

/// Explores what is known to be open until it breaks something, and tells how.
fn broken_by(gap: Gap, second: Nature, faults: Faults) -> (Invariant, String) {
    let base = scenario([Nature::Sound, second], faults);
    let found = explore(&Scenario { gap: Some(gap), ..base }, Until::FirstViolation).unwrap();
    let violation = found.violations.first();
    let violation = violation.unwrap_or_else(|| panic!("{gap:?} is closed: correct docs/model.md"));
    (violation.invariant, timeline(violation))
}

#[test]
fn gap_an_environment_lost_under_linux_lets_an_update_overwrite_the_last_good_slot() {
    let faults = Faults { environment: 1, ..NONE };
    let (invariant, way) = broken_by(Gap::LostUnderLinux, Nature::Sound, faults);
    assert_eq!(invariant, Invariant::NothingProven, "{way}");
    assert!(way.contains("BOTH ENVIRONMENT COPIES LOST"), "{way}");
}

#[test]
fn gap_an_unhealthy_bad_slot_taken_after_a_loss_is_not_left_for_the_good_one() {
    let faults = Faults { technician: 1, ..NONE };
    let (invariant, way) = broken_by(Gap::UnhealthyBesideGood, Nature::Broken, faults);
    assert_eq!(invariant, Invariant::Stuck, "{way}");
    assert!(way.contains("erases the environment"), "{way}");
}

#[test]
fn gap_a_copy_lost_during_an_install_calls_its_unconfirmed_target_good() {
    let faults = Faults { cuts: 1, environment: 1, ..NONE };
    let (invariant, way) = broken_by(Gap::BeginTakenBack, Nature::Broken, faults);
    assert_eq!(invariant, Invariant::NothingProven, "{way}");
    assert!(way.contains("NEWEST ENVIRONMENT COPY LOST"), "{way}");
}
