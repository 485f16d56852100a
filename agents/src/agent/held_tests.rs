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

/// Fails when a full medium, or whatever else of the device fails at any point of a round, is told to
/// people as a server that is away. Only a look or a fetch that fails misses somebody.
#[test]
fn wherever_the_device_itself_fails_no_server_is_missed() {
    let (mut missed, mut own) = (0, 0);
    for fault in 1..40 {
        let mut world = World::new();
        world.disk.failures = 3;
        world.faults.push(fault);
        once_in(&mut world, &mut Script::of(3), (Force::No, Acting::Act));
        let told = world.told.join("\n");
        if told.contains("cannot look:") || told.contains("cannot fetch:") {
            assert_eq!(world.disk.failures, 4, "{fault}: {told}");
            missed += 1;
        } else {
            assert!([0, 3].contains(&world.disk.failures), "{fault}: {told}");
            own += 1;
        }
    }
    assert!(missed >= 2 && own >= 10, "{missed} {own}");
}

/// Fails when a fleet whose receiver of reports was away comes back to it at one moment.
#[test]
fn devices_come_back_to_the_receiver_of_reports_each_at_its_own_moment() {
    let pause = |change: fn(&mut Facts)| {
        let mut world = World::with(|world| {
            (world.receiver_is_away, world.change) = (true, change);
        });
        let mut nothing = Script { offers: Vec::new(), ..Script::of(3) };
        once_in(&mut world, &mut nothing, (Force::No, Acting::Act));
        world.disk.report.tries.wait(world.now).unwrap()
    };
    let pauses = [
        pause(|facts| facts.device_id = "020000000001".to_owned()),
        pause(|facts| facts.device_id = "020000000002".to_owned()),
        pause(|facts| facts.device_id = "020000000003".to_owned()),
    ];
    assert!(pauses[0] != pauses[1] || pauses[1] != pauses[2], "{pauses:?}");
}

/// One place of a bundle, which nobody but the server chose, silenced the device for a day: it did not
/// hear of a better place, nor of another release.
#[test]
fn a_place_puts_the_next_question_off_by_an_interval_at_most() {
    let said = |secs| {
        let source = "it asks for less".into();
        let retry_after = Some(Duration::from_secs(secs));
        let end = RoundEnd::new(Vec::new(), Ending::Unreachable { retry_after, source });
        match Polled::Took(end).asked(HOUR) {
            Asked::Failed { retry_after } => retry_after,
            Asked::Answered { .. } => None,
        }
    };
    assert_eq!(said(600), Some(Duration::from_secs(600)), "never earlier");
    assert_eq!(said(86_400), Some(HOUR));
    let (code, meaning, retry_after) = (503, "it has a fault", Some(24 * HOUR));
    let server = Polled::Unanswered(AskError::Status { code, meaning, retry_after });
    assert_eq!(server.asked(HOUR), Asked::Failed { retry_after }, "the server itself may");
}
