// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is printed can be repeated: the numbers by anybody, a failing image alone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

use powercut::{Depth, Place, Plan, Selector, SlotSizes, catalogue, explore, mutations, record};
use storage::Effort;

fn plan(threads: usize, recoveries: u64) -> Plan {
    let effort = Effort { all: 64, subsets_of: 8, samples: 8, tears: 16 };
    let depth = Depth { first: effort, second: effort, recoveries, images: 400 };
    Plan { depth, seed: 5, only: None, selector: Selector::Ours, threads }
}

#[test]
fn the_same_seed_gives_the_same_numbers_on_any_number_of_threads() {
    let all = catalogue(SlotSizes::BOUNDED).unwrap();
    for name in ["mark-bad", "status-file", "repair-table"] {
        let scenario = all.iter().find(|one| one.name() == name).unwrap();
        let recorded = record(&**scenario).unwrap();
        let numbers = |threads| {
            let tally = explore(&**scenario, &recorded, &plan(threads, 12)).unwrap();
            assert_eq!(tally.bricks, 0, "{name}: {:?}", tally.failures);
            (tally.operations, tally.cuts, tally.images, tally.second, tally.distinct, tally.late)
        };
        let one = numbers(1);
        assert!(one.3 > 100, "{name}: recoveries are cut again: {one:?}");
        assert_eq!(one, numbers(3), "{name}");
    }
}

#[test]
fn a_failing_image_fails_alone_by_its_cut_and_number() {
    let all = mutations().unwrap();
    let mutation = all.iter().find(|one| one.what == "rootfs is not flushed").unwrap();
    let recorded = record(&*mutation.scenario).unwrap();
    let wrong = recorded.reordered(&(mutation.order)(&recorded.journal.ops()));
    let tally = explore(&*mutation.scenario, &wrong, &plan(2, 0)).unwrap();
    assert!(!tally.failures.is_empty());
    for failure in &tally.failures {
        let alone = Plan { only: Some(failure.place), ..plan(1, 0) };
        let again = explore(&*mutation.scenario, &wrong, &alone).unwrap();
        assert_eq!((again.images, again.bricks), (1, 1), "{:?}", failure.place);
        assert_eq!(again.failures[0].violation, failure.violation);
    }
    let whole = Place { cut: 0, image: 0, then: None };
    let alone = Plan { only: Some(whole), ..plan(1, 0) };
    assert_eq!(explore(&*mutation.scenario, &wrong, &alone).unwrap().bricks, 0);
}

#[test]
fn an_image_of_a_second_cut_is_made_alone_too() {
    let all = catalogue(SlotSizes::BOUNDED).unwrap();
    let scenario = all.iter().find(|one| one.name() == "mark-good").unwrap();
    let recorded = record(&**scenario).unwrap();
    let place = Place { cut: 2, image: 5, then: Some((3, 4)) };
    let alone = Plan { only: Some(place), ..plan(1, 12) };
    let tally = explore(&**scenario, &recorded, &alone).unwrap();
    assert_eq!((tally.images, tally.second, tally.bricks), (2, 1, 0));
}

/// Two cuts, and the commit that the first one stopped is whole: the sectors that it lacked are
/// those that the next one wrote. It is legal, it is seen, and nothing follows from it.
#[test]
fn a_commit_that_was_cut_may_come_late_and_does_no_harm() {
    let all = catalogue(SlotSizes::BOUNDED).unwrap();
    let effort = Effort { all: 256, subsets_of: 8, samples: 8, tears: 64 };
    let depth = Depth { first: effort, second: effort, recoveries: 400, images: 100_000 };
    for (name, comes) in [("env-disk-pair", true), ("mark-good-disk", true), ("status-file", false)]
    {
        let scenario = all.iter().find(|one| one.name() == name).unwrap();
        let recorded = record(&**scenario).unwrap();
        let tally = explore(&**scenario, &recorded, &Plan { depth, ..plan(2, 0) }).unwrap();
        assert_eq!(tally.bricks, 0, "{name}: {:?}", tally.failures);
        assert_eq!(tally.late > 0, comes, "{name}: {} late", tally.late);
    }
}
