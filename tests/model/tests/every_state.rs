// SPDX-License-Identifier: MIT OR Apache-2.0
//! What holds of the protocol besides its states, which `cargo xtask model` explores: once in the
//! suite, in a step of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use bootctl::{BootState, Command, FirmwareFacts, Refused, Selection, SlotId};
use model::{Actor, Explored, Faults, Nature, Size, Until, explore, scenario, scenarios};

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
    let _: fn(&BootState, Option<SlotId>, &bootctl::RecorderFacts) -> BootState = bootctl::recall;
    let _: fn(&BootState, SlotId, Option<bootctl::Reason>) -> bool =
        bootctl::is_left_when_unhealthy;
}

/// Nobody is in the model without acting in it, and updates go from A to B and back.
#[test]
fn everybody_on_the_list_acts_and_updates_go_there_and_back() {
    let faults = Faults { cuts: 0, environment: 0, media: 0, technician: 0 };
    let each = [
        Faults { cuts: 1, ..faults },
        Faults { environment: 1, ..faults },
        Faults { media: 1, ..faults },
        Faults { technician: 1, ..faults },
    ];
    let explored = each.map(|faults| {
        explore(&scenario([Nature::Broken, Nature::Unloadable], faults), Until::Everything).unwrap()
    });
    for actor in Actor::ALL {
        let steps = |one: &Explored| one.tally.rows().any(|(of, steps)| of == actor && steps > 0);
        assert!(explored.iter().any(steps), "{actor} does nothing");
    }
    let sound = explore(&scenario([Nature::Sound; 2], faults), Until::Everything).unwrap();
    assert!(sound.updated_back > 10, "{sound:?}");
    assert!(sound.violations.is_empty());
}

/// Both sizes allow for every kind of fault.
#[test]
fn no_kind_of_fault_is_left_out_of_a_size() {
    for size in [Size::Ci, Size::Exhaustive] {
        let all = scenarios(size);
        let most = |count: fn(&Faults) -> u8| all.iter().map(|one| count(&one.faults)).max();
        for count in [most(|f| f.cuts), most(|f| f.environment), most(|f| f.media)] {
            assert!(count.is_some_and(|count| count > 0), "{size:?}");
        }
        assert!(most(|f| f.technician).is_some_and(|count| count > 0), "{size:?}");
        assert!(all.iter().all(|scenario| scenario.mutation.is_none()), "{size:?}");
    }
}
