// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a look cost?

use super::super::played::World;
use super::*;
use crate::Urgency;
use crate::test_facts::manifest;

fn offer() -> Offer {
    Offer {
        version: "2.0".to_owned(),
        manifest: Some(manifest(3)),
        file: None,
        size: Some(ByteLen::mib(100)),
        urls: vec!["https://updates.example/gateway.raucb".to_owned()],
        min_version: None,
        rollout: None,
        expires: None,
        urgency: Urgency::Ordinary,
        document: None,
    }
}

fn looks(acting: Acting) -> World {
    let mut world = World::with(|world| {
        world.look_cost = ByteLen::mib(1);
        world.policy.most_day = Some(ByteLen::mib(1));
    });
    let policy = world.policy.clone();
    world.live(Duration::ZERO, &mut |hands, memory| {
        let mut course = Course::new(hands, memory, &policy).asked(Force::No, acting);
        for _ in 0..3 {
            assert!(course.consider(&offer()).is_ok());
        }
    });
    world
}

/// A server that offers ever another bundle, none of which is taken, costs no more than a day may.
#[test]
fn looks_are_bytes_of_the_day() {
    let world = looks(Acting::Act);
    assert_eq!(world.fetched, ByteLen::mib(1).get());
    assert_eq!(world.disk.spent(world.now), ByteLen::mib(1));
}

/// Fails when a look may take what is not left of the day, or of what one update may take.
#[test]
fn a_look_takes_no_more_than_what_is_left() {
    for (spent, most_update, fetched) in [(5, None, 0), (4, None, 6), (0, Some(5), 0)] {
        let mut world = World::with(|world| {
            world.look_cost = ByteLen::mib(6);
            world.policy.most_day = Some(ByteLen::mib(10));
            world.policy.most_update = most_update.map(ByteLen::mib);
            world.disk.spend(world.now, ByteLen::mib(spent));
        });
        let policy = world.policy.clone();
        world.live(Duration::ZERO, &mut |hands, memory| {
            let considered = Course::new(hands, memory, &policy).consider(&offer());
            assert_eq!(considered.is_ok(), fetched > 0);
        });
        assert_eq!(world.fetched, ByteLen::mib(fetched).get());
    }
}

#[test]
fn who_only_asks_changes_nothing() {
    let world = looks(Acting::DryRun);
    assert_eq!((world.fetched, world.remembered), (ByteLen::mib(3).get(), 0));
}
