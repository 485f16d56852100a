// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does the memory of the server say while the device itself has to wait?

use super::*;

/// Fails when the owner's program that forbids a restart counts as a server that is away, or is
/// asked once more by the same round after the server was.
#[test]
fn a_no_of_the_owners_program_is_no_outage_and_is_asked_for_once_in_a_round() {
    let mut world = World::new();
    world.hook_forbids_until = Some(UnixTime(NOON.0 + 6 * 3600));
    once_in(&mut world, &mut Script::of(3), (Force::No, Acting::Act));
    assert_eq!((tries_of(&world, 3), world.disk.failures), (1, 0), "{:#?}", world.told);
    for _ in 0..4 {
        world.told.clear();
        once_in(&mut world, &mut Script::of(3), (Force::No, Acting::Act));
        let forbidden = world.told.iter().filter(|words| words.contains("forbids")).count();
        assert_eq!((forbidden, world.disk.failures), (1, 0), "{:#?}", world.told);
    }
}

/// Fails when what could not be remembered counts as a server that is away, or hides that it was.
#[test]
fn what_the_device_cannot_do_says_nothing_of_its_server() {
    let mut world = World::new();
    world.disk.failures = 3;
    world.is_forgetful = true;
    once_in(&mut world, &mut Script::of(3), (Force::No, Acting::Act));
    assert_eq!(world.disk.failures, 3);
    world.is_forgetful = false;
    world.hook_forbids_until = Some(UnixTime(NOON.0 + 3600));
    once_in(&mut world, &mut Script::of(3), (Force::No, Acting::Act));
    assert_eq!(world.disk.failures, 0, "it has answered");
}
