// SPDX-License-Identifier: MIT OR Apache-2.0
//! Would the checker notice? Each deliberate mistake around the protocol's functions is caught, and
//! by the invariant that is about it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use model::{
    Explored, Faults, Invariant, Mutation, Nature, Natures, Scenario, Until, explore, scenario,
    timeline,
};

const NONE: Faults = Faults { cuts: 0, environment: 0, media: 0, technician: 0 };
const ONE_CUT: Faults = Faults { cuts: 1, ..NONE };
const ONE_COPY: Faults = Faults { environment: 1, ..NONE };
const CUT_AND_COPY: Faults = Faults { cuts: 1, environment: 1, ..NONE };
const HANDWORK: Faults = Faults { technician: 1, ..NONE };
const MEDIA: Faults = Faults { media: 3, ..NONE };

const SOUND: Natures = [Nature::Sound, Nature::Sound];
const BROKEN: Natures = [Nature::Broken, Nature::Sound];
const UNLOADABLE: Natures = [Nature::Unloadable, Nature::Sound];

/// The mistake, where it shows, and what catches it.
const TEETH: [(Mutation, Natures, Faults, Invariant); 19] = [
    (Mutation::SaveNotAwaited, SOUND, NONE, Invariant::StartsUnpaid),
    (Mutation::TrustAttemptsAlone, SOUND, CUT_AND_COPY, Invariant::StartsForbidden),
    (Mutation::IgnoreEnvironment, SOUND, ONE_CUT, Invariant::StartsForbidden),
    (Mutation::LoadFailureUnpaid, UNLOADABLE, NONE, Invariant::TurnsForEver),
    (Mutation::NoWritingCommit, SOUND, ONE_CUT, Invariant::GoodUnproven),
    (Mutation::SealNotZeroed, SOUND, CUT_AND_COPY, Invariant::StartsIncomplete),
    (Mutation::TryingBeforeSeal, SOUND, NONE, Invariant::TryingIncomplete),
    (Mutation::TargetBooted, SOUND, NONE, Invariant::WritesBooted),
    (Mutation::OverwriteLastGood, SOUND, NONE, Invariant::NothingProven),
    (Mutation::MarkGoodAtOnce, BROKEN, NONE, Invariant::ConfirmsUnhealthy),
    (Mutation::RestoreUnconfirmed, BROKEN, NONE, Invariant::StartsTooOften),
    (Mutation::NoDeadline, BROKEN, NONE, Invariant::Stuck),
    (Mutation::IgnoreFailed, BROKEN, NONE, Invariant::ReinstallsFailed),
    (Mutation::NoReconcile, BROKEN, ONE_COPY, Invariant::NothingProven),
    (Mutation::GoodTurnsBad, SOUND, MEDIA, Invariant::GoodRanOut),
    (Mutation::NoRecorder, BROKEN, ONE_COPY, Invariant::NothingProven),
    (Mutation::NoRecall, SOUND, ONE_COPY, Invariant::NothingProven),
    (Mutation::StayBesideGood, BROKEN, HANDWORK, Invariant::Stuck),
    (Mutation::BeginOnce, BROKEN, CUT_AND_COPY, Invariant::NothingProven),
];

fn explored(scenario: &Scenario) -> Explored {
    explore(scenario, Until::FirstViolation).unwrap()
}

#[test]
fn every_mistake_is_caught_by_the_invariant_that_is_about_it() {
    let mut wrong = Vec::new();
    for (mutation, natures, faults, invariant) in TEETH {
        let mutated = Scenario { mutation: Some(mutation), ..scenario(natures, faults) };
        let found = explored(&mutated);
        let texts: Vec<String> = found.violations.iter().map(timeline).collect();
        let mut lines = texts.iter().flat_map(|text| text.lines());
        assert!(lines.all(|line| line.len() < 80), "{texts:?}");
        if !found.violations.iter().any(|violation| violation.invariant == invariant) {
            let states = found.states;
            wrong.push(format!("{mutation:?}, not {invariant:?}, {states} states: {texts:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is caught above is the mistake. (The largest of these scenarios is one of the CI size.)
#[test]
fn without_a_mistake_the_same_scenarios_break_nothing() {
    for natures in [SOUND, BROKEN, UNLOADABLE] {
        for faults in [NONE, ONE_CUT, ONE_COPY, MEDIA] {
            let found = explored(&scenario(natures, faults));
            assert!(found.violations.is_empty(), "{}", timeline(&found.violations[0]));
            assert!(found.states > 100, "{found:?}");
        }
    }
}

#[test]
fn the_book_tells_of_every_mistake_and_of_what_catches_it() {
    let book = include_str!("../../../docs/model.md");
    for (mutation, _, _, invariant) in TEETH {
        let row = format!("| `{mutation:?}` | `{invariant:?}` |");
        assert!(book.contains(&row), "{row}");
    }
}

#[test]
fn no_mistake_is_forgotten_in_the_table() {
    for mutation in Mutation::ALL {
        assert!(TEETH.iter().any(|row| row.0 == mutation), "{mutation:?}");
    }
}
