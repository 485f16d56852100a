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
    Explored, Faults, Gaps, Invariant, Nature, Scenario, Size, Until, explore, run, scenario,
    scenarios, timeline,
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

fn with_gaps(second: Nature, faults: Faults) -> Explored {
    let base = scenario([Nature::Sound, second], faults);
    explore(&Scenario { gaps: Gaps::Included, ..base }, Until::Everything).unwrap()
}

fn way(found: &Explored, invariant: Invariant) -> String {
    let violation = found.violations.iter().find(|violation| violation.invariant == invariant);
    timeline(violation.unwrap_or_else(|| panic!("{invariant:?} is closed: correct docs/model.md")))
}

/// Gap 1: Linux sees a lost environment as two unknown slots, although the recorder knows them.
#[test]
fn gap_an_environment_lost_under_linux_lets_an_update_overwrite_the_last_good_slot() {
    let found = with_gaps(Nature::Sound, Faults { environment: 1, ..NONE });
    let text = way(&found, Invariant::NothingProven);
    assert!(text.contains("BOTH ENVIRONMENT COPIES LOST"), "{text}");
}

/// Gap 2: what is known to be bad, and is unhealthy, goes on running beside a good slot.
#[test]
fn gap_an_unhealthy_bad_slot_taken_after_a_loss_is_not_left_for_the_good_one() {
    let found = with_gaps(Nature::Broken, Faults { technician: 1, ..NONE });
    let text = way(&found, Invariant::Stuck);
    assert!(text.contains("erases the environment"), "{text}");
}

/// Gap 3: one lost copy takes back that an install has begun, after which its target gets a seal.
#[test]
fn gap_a_copy_lost_during_an_install_calls_its_unconfirmed_target_good() {
    let found = with_gaps(Nature::Broken, Faults { environment: 1, ..NONE });
    let text = way(&found, Invariant::NothingProven);
    assert!(text.contains("COPY LOST") || text.contains("COPIES LOST"), "{text}");
}
