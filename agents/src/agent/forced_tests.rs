// SPDX-License-Identifier: MIT OR Apache-2.0
//! How often is an update tried that fails here and that a server forces?

use super::*;

#[test]
fn what_fails_is_tried_again_by_force_of_a_server_that_is_told_how_it_ended() {
    let mut world = World::with(|world| world.served.get_mut(&3).unwrap().nature = Nature::Broken);
    let mut told = Script { urgency: Urgency::Forced, is_signed: false, ..Script::of(3) };
    live(&mut world, &mut told, HOUR * 4);
    assert!((2..8).contains(&world.begun.len()), "{}", world.begun.len());
}

/// Nobody tells the server of a document that an update failed: a forced one was fetched, written and
/// booted again at every question, until somebody published another.
#[test]
fn a_signed_release_forces_what_fails_here_once_and_its_next_one_once_more() {
    let forced = || Script { urgency: Urgency::Forced, ..Script::of(3) };
    for (nature, begun, tries) in
        [(Nature::Broken, 1, 0), (Nature::Sick, 1, 1), (Nature::Dies, 1, 1)]
    {
        let mut world = World::with(|world| world.served.get_mut(&3).unwrap().nature = nature);
        live(&mut world, &mut forced(), HOUR * 24);
        is_updated(&world, 1);
        assert_eq!((world.begun.len(), tries_of(&world, 3)), (begun, tries), "{nature:?}");
        let again = Script { offers: vec![(0, Some(3)), (1, Some(3))], ..forced() };
        live(&mut world, &mut { again }, HOUR * 24);
        is_updated(&world, 1);
        assert_eq!((world.begun.len(), tries_of(&world, 3)), (2 * begun, 2 * tries), "{nature:?}");
        assert!(world.told.iter().any(|words| words.contains("by force of this release")));
    }
}

/// What a release forces is not lost by a cut, and a cut costs at most one try more.
#[test]
fn whenever_the_power_goes_a_forced_release_is_tried_again_and_ever_less() {
    let make = || {
        let mut world =
            World::with(|world| world.served.get_mut(&3).unwrap().nature = Nature::Sick);
        live(&mut world, &mut Script::of(3), HOUR * 8);
        world
    };
    let forced = || Script {
        offers: vec![(0, Some(3)), (1, Some(3))],
        urgency: Urgency::Forced,
        ..Script::of(3)
    };
    cut_everywhere(&make, &forced, HOUR * 8, &|world| {
        is_updated(world, 1);
        assert!((2..=3).contains(&tries_of(world, 3)), "{:?}", world.cuts);
        assert!(world.disk.forced.is_some(), "{:?}", world.cuts);
    });
}
